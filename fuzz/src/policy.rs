//! I4: no text is a policy that allows what it does not say, and every other text has a report.

use holdgate::explain::{Explained, explain};
use holdgate::fingerprint::FingerprintKey;
use holdgate::message::{Host, Target};
use holdgate::policy::{Policy, Secrets, Word, compile, state_folder};
use std::path::Path;
use std::sync::Arc;
use zeroize::Zeroizing;

const HOSTS: &[&str] = &["a.test", "b.a.test", "backboard.railway.com", "api.anthropic.com"];
const REQUESTS: &[(&str, &str, &str)] = &[
    ("GET", "/x", ""),
    ("POST", "/x/y", ""),
    ("DELETE", "/x", ""),
    ("POST", "/graphql/v2", "{\"query\":\"mutation { volumeDelete(volumeId: \\\"v\\\") }\"}"),
    ("POST", "/graphql/v2", "{\"query\":\"{ me { email } }\"}"),
];

struct Fixed;

impl Secrets for Fixed {
    fn variable(&self, name: &str) -> Option<Zeroizing<Vec<u8>>> {
        Some(Zeroizing::new(format!("the value of {name}").into_bytes()))
    }
    fn file(&self, _path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
        Err("there are no files".to_owned())
    }

    fn law(&self, path: &Path) -> Result<String, String> {
        Err(format!("{}: there are no files here", path.display()))
    }
}

/// Reads the bytes as a policy, and judges a few requests under it.
pub fn policy(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    assert!(state_folder(text, Path::new("base")).starts_with("base") || text.contains("state"));
    let key = Arc::new(FingerprintKey::new(b"fuzz"));
    match compile(text, "policy.yaml", Path::new(""), &Fixed, &key) {
        Ok(mut policy) => {
            policy.with_stand_ins();
            judge(&policy, text);
        }
        Err(report) => {
            let lines = text.split(['\n', '\r']).count();
            assert!(!report.to_string().is_empty());
            assert!(report.problems().iter().all(|problem| problem.place.line as usize <= lines));
        }
    }
}

fn judge(policy: &Policy, text: &str) {
    for agent in &policy.agents {
        for host in HOSTS {
            let target = Target::new(Host::parse(host).expect("it is a name"), 443, false);
            let candidates = policy.candidates(agent, &target);
            for (method, path, body) in REQUESTS {
                let request = format!("{method} https://{host}{path}\n\n{body}");
                let judged = explain(policy, agent, &request).expect("it is a request");
                if judged.word() != Word::Allow {
                    assert!(judged.reason().is_some(), "{request} is refused for no reason");
                    continue;
                }
                let Explained::Ruled(ruling) = judged else { panic!("a refusal allows") };
                assert!(
                    !candidates.is_empty(),
                    "{request} is allowed on a host that nothing declares"
                );
                let rule = ruling.rule.as_deref().expect("a rule allows it");
                let line = rule.strip_prefix("policy.yaml:").and_then(|line| line.parse().ok());
                let line: usize = line.expect("a rule has a line");
                assert!((1..=text.lines().count()).contains(&line), "{rule} is no line");
                assert!(text.contains("allow"), "{request} is allowed by nothing");
            }
        }
    }
}
