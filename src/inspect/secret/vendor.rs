//! The shapes of vendors' secrets, as data.
//!
//! Each has the word that evidence shows, the service whose catalog it belongs to where there is one,
//! what it begins with, and what follows. What is public by design (publishable keys, ids of keys for
//! tests) has no row here; neither has a bare UUID, which is a secret only where one was issued.

use super::shape::Letters::{Alnum, Base32, Base36, Base64, Dotted, Hex, Hexes, Word};
use super::shape::Rule::{Checksum, Coded, Mixed, Random, Slack};
use super::shape::{Form, Letters, Rule, Shape};

const fn shape(
    word: &'static str,
    service: Option<&'static str>,
    begins: &'static [&'static str],
    form: Form,
) -> Shape {
    Shape { word, service, begins, form }
}

/// So many of these letters follow.
const fn of(letters: Letters, least: usize, most: usize, rule: Rule) -> Form {
    Form::Letters { letters, least, most, rule }
}

/// All of them. Of two that fit the same bytes the first is told.
#[rustfmt::skip]
pub(super) const SHAPES: &[Shape] = &[
    shape("github-token", Some("github"), &["ghp_", "gho_", "ghu_", "ghs_", "ghr_"], of(Alnum, 36, 36, Checksum)),
    shape("github-token", Some("github"), &["ghs_"], of(Dotted, 37, 1024, Mixed)),
    shape("github-token", Some("github"), &["github_pat_"], of(Word, 60, 255, Mixed)),
    shape("gitlab-token", None, &["glpat-", "gldt-", "glrt-", "glcbt-", "glptt-", "glsoat-", "gloas-", "glagent-", "glft-", "glimt-"], of(Dotted, 20, 320, Random)),
    shape("aws-access-key-id", Some("aws"), &["AKIA"], of(Base32, 16, 16, Random)),
    shape("aws-secret-access-key", Some("aws"), &["aws_secret_access_key", "AWS_SECRET_ACCESS_KEY", "SecretAccessKey", "secretAccessKey", "secret_access_key"], Form::Assigned { letters: Base64, length: 40 }),
    shape("aws-session-token", Some("aws"), &["IQoJb3JpZ2lu"], of(Base64, 200, 2048, Coded)),
    shape("bedrock-api-key", Some("bedrock"), &["ABSK"], of(Base64, 109, 300, Coded)),
    shape("bedrock-api-key", Some("bedrock"), &["bedrock-api-key-YmVkcm9jay5hbWF6b25hd3MuY29t"], of(Base64, 32, 2048, Coded)),
    shape("google-api-key", Some("google"), &["AIza"], of(Word, 35, 35, Random)),
    shape("google-access-token", Some("google"), &["ya29."], of(Dotted, 40, 2048, Random)),
    shape("google-refresh-token", Some("google"), &["1//0"], of(Word, 40, 256, Mixed)),
    shape("google-client-secret", Some("google"), &["GOCSPX-"], of(Word, 28, 28, Random)),
    shape("azure-client-secret", None, &["Q~"], Form::Azure),
    shape("azure-storage-key", None, &["AccountKey="], of(Base64, 86, 88, Coded)),
    shape("anthropic-key", Some("anthropic"), &["sk-ant-api", "sk-ant-admin", "sk-ant-oat", "sk-ant-ort", "sk-ant-sid"], of(Word, 70, 200, Random)),
    shape("openrouter-key", Some("openrouter"), &["sk-or-v1-"], of(Hex, 64, 64, Random)),
    shape("openai-key", Some("openai"), &["T3BlbkFJ"], Form::Openai),
    shape("openai-key", Some("openai"), &["sk-proj-", "sk-svcacct-", "sk-admin-"], of(Word, 60, 250, Mixed)),
    shape("api-key", None, &["sk-"], of(Word, 32, 200, Mixed)),
    shape("groq-key", None, &["gsk_"], of(Alnum, 52, 52, Random)),
    shape("xai-key", None, &["xai-"], of(Alnum, 80, 80, Random)),
    shape("perplexity-key", None, &["pplx-"], of(Alnum, 48, 56, Random)),
    shape("hugging-face-token", None, &["hf_", "api_org_"], of(Alnum, 34, 37, Random)),
    shape("replicate-token", None, &["r8_"], of(Alnum, 37, 37, Random)),
    shape("langsmith-key", None, &["lsv2_pt_", "lsv2_sk_"], of(Word, 42, 44, Random)),
    shape("slack-token", None, &["xoxb-", "xoxp-", "xoxa-", "xoxr-", "xoxe-", "xoxe.", "xoxs-", "xoxo-", "xoxc-", "xapp-"], of(Dotted, 24, 400, Slack)),
    shape("slack-cookie", None, &["xoxd-"], of(Base64, 40, 400, Random)),
    shape("slack-webhook", None, &["hooks.slack.com/services/T", "hooks.slack.com/workflows/T", "hooks.slack.com/triggers/T"], of(Base64, 40, 120, Random)),
    shape("discord-webhook", None, &["discord.com/api/webhooks/", "discordapp.com/api/webhooks/"], of(Base64, 80, 120, Random)),
    shape("stripe-key", None, &["sk_live_", "rk_live_", "sk_prod_", "rk_prod_"], of(Alnum, 20, 250, Random)),
    shape("stripe-webhook-secret", None, &["whsec_"], of(Base64, 32, 64, Mixed)),
    shape("npm-token", Some("npm"), &["npm_"], of(Alnum, 36, 36, Checksum)),
    shape("crates-io-token", Some("crates-io"), &["cio"], of(Alnum, 32, 32, Mixed)),
    shape("crates-io-token", Some("crates-io"), &["cio_tp_"], of(Alnum, 32, 120, Random)),
    shape("pypi-token", Some("pypi"), &["pypi-AgEIcHlwaS5vcmc", "pypi-AgENdGVzdC5weXBpLm9yZ"], of(Word, 50, 1024, Coded)),
    shape("rubygems-key", Some("rubygems"), &["rubygems_"], of(Hex, 48, 48, Random)),
    shape("docker-hub-token", Some("docker-hub"), &["dckr_pat_"], of(Word, 27, 27, Random)),
    shape("docker-hub-token", Some("docker-hub"), &["dckr_oat_"], of(Word, 32, 32, Random)),
    shape("digitalocean-token", None, &["dop_v1_", "doo_v1_", "dor_v1_"], of(Hex, 64, 64, Random)),
    shape("cloudflare-token", Some("cloudflare"), &["cfut_", "cfat_", "cfk_"], of(Alnum, 40, 56, Random)),
    shape("cloudflare-origin-key", Some("cloudflare"), &["v1.0-"], of(Word, 171, 171, Coded)),
    shape("vercel-token", Some("vercel"), &["vcp_", "vci_", "vca_", "vcr_", "vck_"], of(Alnum, 24, 80, Mixed)),
    shape("fly-token", Some("fly"), &["fo1_"], of(Word, 43, 43, Random)),
    shape("fly-token", Some("fly"), &["fm1r_", "fm1a_", "fm2_"], of(Base64, 100, 2048, Coded)),
    shape("heroku-key", Some("heroku"), &["HRKU-AA"], of(Word, 58, 58, Random)),
    shape("render-key", None, &["rnd_"], of(Alnum, 28, 64, Mixed)),
    shape("supabase-token", None, &["sbp_"], of(Alnum, 40, 40, Random)),
    shape("supabase-key", None, &["sb_secret_"], of(Word, 28, 64, Random)),
    shape("neon-key", None, &["napi_"], of(Alnum, 60, 80, Random)),
    shape("planetscale-secret", None, &["pscale_tkn_", "pscale_oauth_", "pscale_pw_"], of(Dotted, 32, 64, Random)),
    shape("mongodb-atlas-secret", None, &["mdb_sa_sk_"], of(Word, 40, 64, Random)),
    shape("vault-token", None, &["hvs.", "hvb.", "hvr."], of(Word, 24, 300, Mixed)),
    shape("terraform-token", None, &[".atlasv1."], Form::Terraform),
    shape("kubernetes-token", Some("kubernetes"), &["eyJ"], Form::Jwt),
    shape("kubernetes-token", Some("kubernetes"), &["k8s-aws-v1."], of(Word, 40, 2048, Coded)),
    shape("openshift-token", Some("kubernetes"), &["sha256~"], of(Word, 43, 43, Random)),
    shape("linear-key", None, &["lin_api_"], of(Alnum, 40, 40, Random)),
    shape("notion-token", None, &["ntn_"], of(Alnum, 40, 50, Random)),
    shape("notion-token", None, &["secret_"], of(Alnum, 43, 43, Mixed)),
    shape("sentry-token", None, &["sntrys_"], of(Base64, 60, 400, Coded)),
    shape("sentry-token", None, &["sntryu_"], of(Hex, 64, 64, Random)),
    shape("grafana-token", None, &["glsa_"], of(Word, 41, 41, Random)),
    shape("grafana-token", None, &["glc_"], of(Base64, 60, 400, Coded)),
    shape("doppler-token", None, &["dp.pt.", "dp.st.", "dp.ct.", "dp.sa.", "dp.scim.", "dp.audit."], of(Dotted, 40, 80, Random)),
    shape("1password-token", None, &["ops_eyJ"], of(Base64, 240, 2048, Coded)),
    shape("pulumi-token", None, &["pul-"], of(Hex, 40, 40, Random)),
    shape("databricks-token", None, &["dapi"], of(Hex, 32, 32, Random)),
    shape("shopify-token", None, &["shpat_", "shpca_", "shppa_", "shpss_"], of(Hexes, 32, 32, Random)),
    shape("sendgrid-key", None, &["SG."], of(Dotted, 66, 66, Random)),
    shape("postman-key", None, &["PMAK-"], of(Word, 59, 59, Random)),
    shape("sourcegraph-token", None, &["sgp_"], of(Word, 40, 64, Random)),
    shape("netlify-token", None, &["nfp_"], of(Alnum, 36, 40, Random)),
    shape("age-key", None, &["AGE-SECRET-KEY-1"], of(Base36, 58, 58, Random)),
    shape("atlassian-token", None, &["ATATT3xFfGF0"], of(Base64, 100, 300, Coded)),
    shape("tailscale-key", None, &["tskey-auth-", "tskey-api-", "tskey-client-", "tskey-scim-"], of(Word, 24, 80, Random)),
    shape("new-relic-key", None, &["NRAK-"], of(Base36, 27, 27, Random)),
    shape("figma-token", None, &["figd_"], of(Word, 40, 43, Random)),
    shape("private-key", None, &["PRIVATE KEY-----", "PRIVATE KEY BLOCK-----"], Form::Pem),
];
