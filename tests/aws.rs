//! Calls of Amazon Web Services by real clients that sign them: curl, and boto3 where it is.

use crate::support::origin::{Identity, Origin, text};
use crate::support::policy::Edit;
use crate::support::{Answer, Gate, mock::Options, sha256};
use http_body_util::BodyExt as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

const EC2: &str = "ec2.us-east-1.amazonaws.com";
const S3: &str = "acme-staging.s3.us-east-1.amazonaws.com";
const STORE: &str = "s3.us-east-1.amazonaws.com";
/// The name that boto3 calls a bucket of this region by.
const GLOBAL: &str = "acme-staging.s3.amazonaws.com";
const KEY: &str = "AKIAIOSFODNN7EXAMPLE";
/// What the agent of the mock's policy may carry.
const ISSUED: &str = "    credentials: [railway-staging-token]";
const FOREIGN: &str = "AKIAI44QH8DHBEXAMPLE";

const STAGING: &str = "service: aws
environment: staging
ids:
  instance: [i-staging]
  bucket: [acme-staging]
allow: [read, write]
hold: [destructive, credential, access, execute, unknown]";

const PRODUCTION: &str = "service: aws
environment: production
ids:
  instance: [i-production]
  bucket: [acme-production]
allow: [read]
deny: [write, destructive, credential, access, execute, unknown]";

/// The proxy before an upstream that answers for Amazon's hosts, and keeps the first line of each call.
struct Account {
    gate: Gate,
    origin: Origin,
    heard: Arc<Mutex<Vec<String>>>,
    _key: tempfile::NamedTempFile,
}

impl Account {
    async fn start() -> Self {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hears = heard.clone();
        let origin = Origin::http(Identity::named(&[EC2, S3, STORE, GLOBAL]), move |request| {
            let line = format!("{} {}", request.method(), request.uri().path());
            hears.lock().unwrap().push(line);
            async move {
                request.into_body().collect().await.unwrap();
                text("<Response/>")
            }
        })
        .await;
        let key = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(key.path(), KEY).unwrap();
        let credential = format!(
            "\ncredentials:\n  aws-key:\n    service: aws\n    value: {{ file: {} }}\n    resources: [aws-staging, aws-production]\n",
            key.path().display()
        );
        let gate = Gate::with(Options::default(), |policy| {
            let mut edit = Edit(policy).replace("wait: 20s", "wait: 1s").root(&origin.roots());
            for host in [EC2, S3, STORE, GLOBAL] {
                edit = edit.resolve(&format!("{host}:443"), origin.address);
            }
            edit.resource("aws-staging", STAGING)
                .resource("aws-production", PRODUCTION)
                .replace("\ncredentials:\n", &credential)
                .replace(ISSUED, &format!("{}, aws-key]", ISSUED.trim_end_matches(']')))
                .0
        });
        let gate = gate.await;
        Self { gate, origin, heard, _key: key }
    }

    /// A call that curl signs.
    fn signed(&self, key: &str, service: &str, arguments: &[&str]) -> Answer {
        let user = format!("{key}:wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY");
        let scheme = format!("aws:amz:us-east-1:{service}");
        self.gate.curl(&[&["--aws-sigv4", &scheme, "--user", &user], arguments].concat())
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signed_calls_are_judged_by_operation_and_thing() {
    let account = Account::start().await;
    let url = format!("https://{EC2}/");
    let describe = "Action=DescribeInstances&Version=2016-11-15";
    let staging = format!("{describe}&InstanceId.1=i-staging");
    let answer = account.signed(KEY, "ec2", &[&url, "-d", &staging]);
    assert_eq!((answer.status, answer.body.as_str()), (200, "<Response/>"), "{answer:?}");
    assert_eq!(account.heard(), ["POST /"]);

    let before = (account.origin.connections(), account.origin.bytes_received());
    let terminate = |instance: &str| {
        format!("Action=TerminateInstances&Version=2016-11-15&InstanceId.1={instance}")
    };
    let both = format!("{}&InstanceId.2=i-production", terminate("i-staging"));
    let query = format!("{url}?{}", terminate("i-staging"));
    let cases: &[(&str, &str, &[&str], &str, &str)] = &[
        (KEY, "ec2", &[&url, "-d", &terminate("i-staging")], "hold", "destructive"),
        (KEY, "ec2", &[&query], "hold", "destructive"),
        (KEY, "ec2", &[&url, "-d", &terminate("i-other")], "hold", "unknown_target"),
        (KEY, "ec2", &[&url, "-d", &terminate("i-production")], "deny", "scope_violation"),
        (KEY, "ec2", &[&url, "-d", &both], "deny", "scope_violation"),
        (KEY, "ec2", &[&query, "-d", describe], "deny", "unreadable"),
        (KEY, "sts", &[&url, "-d", &staging], "deny", "unreadable"),
        (FOREIGN, "ec2", &[&url, "-d", &staging], "deny", "foreign_credential"),
        (KEY, "ec2", &["-X", "DELETE", &url], "deny", "unknown_operation"),
    ];
    for (key, service, arguments, verdict, reason) in cases {
        let answer = account.signed(key, service, arguments);
        assert_eq!((&*answer.verdict(), &*answer.reason()), (*verdict, *reason), "{arguments:?}");
    }
    assert_eq!((account.origin.connections(), account.origin.bytes_received()), before);

    // A dry run of a thing that may not be touched is a read of it.
    let dry = format!("{}&DryRun=true", terminate("i-production"));
    assert_eq!(account.signed(KEY, "ec2", &[&url, "-d", &dry]).status, 200);
    assert_eq!(account.heard(), ["POST /", "POST /"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_judged_by_bucket_and_sub_resource() {
    let account = Account::start().await;
    let object = format!("https://{S3}/a/b.txt");
    assert_eq!(account.signed(KEY, "s3", &[&object]).status, 200);
    assert_eq!(account.signed(KEY, "s3", &["-X", "PUT", "-d", "x", &object]).status, 200);
    assert_eq!(account.heard(), ["GET /a/b.txt", "PUT /a/b.txt"]);

    let before = (account.origin.connections(), account.origin.bytes_received());
    let list = "<Delete><Object><Key>a</Key></Object></Delete>";
    let odd = format!("<!DOCTYPE x []>{list}");
    let (many, other) =
        (format!("https://{S3}/?delete"), format!("https://{STORE}/acme-production/a"));
    let policy = format!("https://{S3}/?policy");
    let frob = format!("{object}?frobnicate");
    let xml = "Content-Type: application/xml";
    let public = "x-amz-acl: public-read";
    let cases: &[(&[&str], &str, &str)] = &[
        (&["-X", "DELETE", &object], "hold", "destructive"),
        (&["-H", xml, "-d", list, &many], "hold", "destructive"),
        (&["-H", xml, "-d", &odd, &many], "deny", "unreadable"),
        (&["-X", "PUT", "-d", "{}", &policy], "hold", "access_change"),
        (&["-X", "PUT", "-d", "x", "-H", public, &object], "hold", "access_change"),
        (&["-X", "PUT", "-d", "x", &other], "deny", "scope_violation"),
        (&["-X", "DELETE", &other], "deny", "scope_violation"),
        (&[&frob], "deny", "unknown_operation"),
    ];
    for (arguments, verdict, reason) in cases {
        let answer = account.signed(KEY, "s3", arguments);
        assert_eq!((&*answer.verdict(), &*answer.reason()), (*verdict, *reason), "{arguments:?}");
    }
    assert_eq!((account.origin.connections(), account.origin.bytes_received()), before);
}

/// The signature of a retry is another; the call is the same.
#[tokio::test(flavor = "multi_thread")]
async fn an_approved_call_is_redeemed_by_the_next_signature() {
    let account = Account::start().await;
    let object = format!("https://{S3}/a/b.txt");
    let delete = |date: &str, version: &str| {
        let signature = sha256(date.as_bytes());
        let date = format!("x-amz-date: {date}");
        let url = format!("{object}?versionId={version}");
        let authorization = format!(
            "Authorization: AWS4-HMAC-SHA256 Credential={KEY}/20260101/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-date, Signature={signature}"
        );
        account.gate.curl(&["-X", "DELETE", "-H", &authorization, "-H", &date, &url])
    };
    assert_eq!(delete("20260101T000000Z", "1").verdict(), "hold");
    account.gate.approve(&account.gate.wait_for_hold());
    assert_eq!(delete("20260101T000500Z", "2").verdict(), "hold");
    assert_eq!(account.heard(), Vec::<String>::new());
    assert_eq!(delete("20260101T000500Z", "1").status, 200);
    assert_eq!(account.heard(), ["DELETE /a/b.txt"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn boto3_gets_what_it_may_and_an_error_for_the_rest() {
    const SCRIPT: &str = "
import boto3
from botocore.config import Config
config = Config(retries={'total_max_attempts': 1})
ec2 = boto3.client('ec2', region_name='us-east-1', config=config)
s3 = boto3.client('s3', region_name='us-east-1', config=config)
ec2.describe_instances(InstanceIds=['i-staging'])
s3.put_object(Bucket='acme-staging', Key='a', Body=b'x' * 100000)
for call in (
    lambda: ec2.terminate_instances(InstanceIds=['i-staging']),
    lambda: s3.delete_objects(Bucket='acme-staging', Delete={'Objects': [{'Key': 'a'}]}),
    lambda: ec2.terminate_instances(InstanceIds=['i-production']),
):
    try:
        call()
        print('through')
    except Exception as error:
        print(type(error).__name__, repr(str(error)))
";
    let found = Command::new("python3").args(["-c", "import boto3"]).output();
    if !found.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: there is no boto3");
        return;
    }
    let account = Account::start().await;
    let running = account.gate.running();
    let output = Command::new("python3")
        .args(["-c", SCRIPT])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", account.gate.folder.path())
        .env("HTTPS_PROXY", format!("http://{}", running.proxy))
        .env("AWS_CA_BUNDLE", &running.ca)
        .env("AWS_ACCESS_KEY_ID", KEY)
        .env("AWS_SECRET_ACCESS_KEY", "x")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(told.lines().filter(|line| *line != "through").count(), 3, "{told}");
    assert!(told.contains("i-production") && told.contains("scope_violation"), "{told}");
    assert_eq!(account.heard(), ["POST /", "PUT /a"]);
}
