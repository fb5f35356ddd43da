//! Real clients under the environment of `holdgate env`, as they are: curl, Python, Node, git, and
//! Railway's own.

mod railway;

use crate::support::mock::{
    ACCOUNT_TOKEN, Options, PRODUCTION_VOLUME, STAGING_ENVIRONMENT, STAGING_TOKEN, STAGING_VOLUME,
};
use crate::support::origin::{Identity, Origin, text};
use crate::support::policy::Edit;
use crate::support::{FOREIGN, Gate, write_policy};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::{Command, Output, Stdio};

const RAILWAY: &str = "https://backboard.railway.com/graphql/v2";

/// The environment that `holdgate env` prints for a proxy that listens where this one does.
fn environment(gate: &Gate) -> BTreeMap<String, String> {
    let output = gate.holdgate(&["--policy", settled(gate), "env", "--shell", "json"]);
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The same policy with the port that the system chose; its name.
fn settled(gate: &Gate) -> &'static str {
    let policy = std::fs::read_to_string(gate.policy_path()).unwrap();
    let chosen = format!("proxy:\n  listen: {}\n", gate.running().proxy);
    let policy = Edit(policy).replace("proxy:\n  listen: 127.0.0.1:0\n", &chosen).0;
    std::fs::write(gate.folder.path().join("settled.yaml"), policy).unwrap();
    "settled.yaml"
}

/// A command in the gate's folder with nothing in its environment but what a login leaves there.
fn bare(gate: &Gate, program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().current_dir(gate.folder.path()).stdin(Stdio::null());
    for name in ["PATH", "HOME", "PYENV_ROOT", "LANG"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    // What an agent's shell must not hand on to a test.
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_TERMINAL_PROMPT", "0");
    command
}

/// Runs a program under the environment; what it wrote.
fn run(gate: &Gate, program: &str, arguments: &[&str]) -> Output {
    bare(gate, program).args(arguments).envs(environment(gate)).output().unwrap()
}

/// Standard output, of a run that succeeded.
fn out(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Whether a client is here. Where the checks of the project run, each has to be.
pub(crate) fn has(program: &str, arguments: &[&str]) -> bool {
    let found = Command::new(program).args(arguments).output();
    let found = found.is_ok_and(|output| output.status.success());
    assert!(found || std::env::var_os("CI").is_none(), "{program} {arguments:?} is missing");
    if !found {
        eprintln!("skipped: there is no {program} {arguments:?}");
    }
    found
}

/// The published call, word for word but for its token and volume.
fn published(token: &str, volume: &str) -> String {
    format!(
        "curl -X POST https://backboard.railway.app/graphql/v2 \\\n  \
         -H \"Authorization: Bearer {token}\" \\\n  \
         -d '{{\"query\":\"mutation {{ volumeDelete(volumeId: \\\"{volume}\\\") }}\"}}'"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_published_call_does_not_get_through() {
    let gate = Gate::start().await;
    let cases = [
        // Found in a file, made for something else, and it carries the whole account.
        (FOREIGN, PRODUCTION_VOLUME, "foreign_credential"),
        (ACCOUNT_TOKEN, PRODUCTION_VOLUME, "foreign_credential"),
        (FOREIGN, STAGING_VOLUME, "foreign_credential"),
        // The one that was issued, on what it was not issued for.
        (STAGING_TOKEN, PRODUCTION_VOLUME, "credential_out_of_scope"),
    ];
    for (token, volume, reason) in cases {
        let output = run(&gate, "sh", &["-c", &published(token, volume)]);
        let answer: Value = serde_json::from_str(&out(&output)).unwrap();
        assert_eq!(
            (&answer["reason"], &answer["verdict"]),
            (&reason.into(), &"deny".into()),
            "{answer}"
        );
        assert_eq!(answer["operation"], "mutation volumeDelete", "{answer}");
        assert_eq!(answer["target"]["volume"], volume, "{answer}");
        assert_eq!(answer["data"], Value::Null, "{answer}");
        let error = &answer["errors"][0];
        assert_eq!(error["extensions"]["code"], "DENIED", "{answer}");
        // Railway's own client would refresh its token and try again.
        assert!(!error["message"].as_str().unwrap().to_lowercase().contains("not authorized"));
        assert!(!answer.to_string().contains(token), "{answer}");
    }
    assert_eq!((gate.mock.bytes_received(), gate.mock.connections()), (0, 0));
    assert!(gate.mock.volume_exists(PRODUCTION_VOLUME) && gate.mock.volume_exists(STAGING_VOLUME));
    let denied = gate.records().iter().filter(|record| record["verdict"] == "deny").count();
    assert_eq!(denied, cases.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_speaks_both_versions() {
    let gate = Gate::start().await;
    let query =
        json!({ "query": "query { projectToken { projectId environmentId } }" }).to_string();
    let authorization = format!("Project-Access-Token: {STAGING_TOKEN}");
    for (version, code) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let arguments =
            [version, "-sS", "-w", " %{http_version} %{http_code}", "-H", &authorization];
        let output = run(&gate, "curl", &[&arguments[..], &["-d", &query, RAILWAY]].concat());
        let answer = out(&output);
        assert!(answer.contains(STAGING_ENVIRONMENT), "{answer}");
        assert!(answer.ends_with(&format!(" {code} 200")), "{answer}");
        // Two heads on one connection.
        let pages = ["https://docs.railway.com/a", "https://docs.railway.com/b"];
        let output = run(
            &gate,
            "curl",
            &[version, "-sS", "-I", "-w", "%{http_code};%{num_connects};", pages[0], pages[1]],
        );
        assert!(out(&output).contains("200;1;"), "{output:?}");
        assert!(out(&output).ends_with("200;0;"), "{output:?}");
        let denied = run(&gate, "curl", &[version, "-sS", "--fail-with-body", "-d", "x", pages[0]]);
        assert_eq!(denied.status.code(), Some(22), "{denied:?}");
        let denied: Value = serde_json::from_slice(&denied.stdout).unwrap();
        assert_eq!(denied["reason"], "scope_violation", "{denied}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shells_form_is_evaluated_as_it_is() {
    let gate = Gate::start().await;
    let settled = settled(&gate);
    let holdgate = env!("CARGO_BIN_EXE_holdgate");
    let script = format!(
        "set -e\neval \"$({holdgate} --policy {settled} env)\"\n\
         curl -sS https://docs.railway.com/x\ncurl -sS https://nowhere.example/\n"
    );
    let output = out(&bare(&gate, "sh").args(["-c", &script]).output().unwrap());
    let (page, denial) = output.split_once("</html>\n").unwrap();
    assert!(page.contains("Railway Docs"), "{page}");
    let denial: Value = serde_json::from_str(denial).unwrap();
    assert_eq!(denial["reason"], "out_of_scope", "{denial}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agents_token_comes_from_its_own_environment() {
    let gate = Gate::with(Options::default(), |policy| {
        let token = "    token: { env: HOLDGATE_TEST_AGENT_TOKEN }\n    profile: coding-agent\n";
        Edit(policy).replace("    profile: coding-agent\n", token).0
    });
    // The process that serves does not know the variable, so nobody is the agent.
    let mut gate = gate.await;
    let page = "https://docs.railway.com/";
    let proxy = format!("http://staging-fixer:guess@{}", gate.running().proxy);
    let answer = gate.curl(&["--proxy", &proxy, page]);
    assert!(answer.stderr.contains("407"), "{answer:?}");
    gate.kill();
    std::fs::write(gate.folder.path().join("token"), "agents-own-token\n").unwrap();
    let policy = std::fs::read_to_string(gate.policy_path()).unwrap();
    let file = Edit(policy).replace("{ env: HOLDGATE_TEST_AGENT_TOKEN }", "{ file: token }").0;
    write_policy(gate.folder.path(), &file);
    gate.serve();
    let script = format!(
        "eval \"$({} --policy {} env)\"; curl -sS {page}",
        env!("CARGO_BIN_EXE_holdgate"),
        settled(&gate)
    );
    let shell = |token: &str| {
        let mut shell = bare(&gate, "sh");
        shell.args(["-c", &script]).env("HOLDGATE_AGENT_TOKEN", token).output().unwrap()
    };
    assert!(out(&shell("agents-own-token")).contains("Railway Docs"));
    let refused = shell("another");
    assert!(!refused.status.success(), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("407"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_names_what_clients_look_for() {
    let gate = Gate::start().await;
    let environment = environment(&gate);
    let proxy = format!("http://{}", gate.running().proxy);
    for name in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]
    {
        assert_eq!(environment[name], proxy, "{name}");
    }
    for name in ["NO_PROXY", "no_proxy"] {
        assert_eq!(environment[name], "localhost,127.0.0.1,::1", "{name}");
    }
    for name in [
        "SSL_CERT_FILE",
        "CURL_CA_BUNDLE",
        "REQUESTS_CA_BUNDLE",
        "GIT_SSL_CAINFO",
        "CARGO_HTTP_CAINFO",
        "PIP_CERT",
        "DENO_CERT",
        "AWS_CA_BUNDLE",
    ] {
        let bundle = std::fs::read_to_string(&environment[name]).unwrap();
        let own = std::fs::read_to_string(&gate.running().ca).unwrap();
        assert!(bundle.contains(own.trim()), "{name}");
    }
    let own = std::fs::canonicalize(&gate.running().ca).unwrap();
    assert_eq!(std::fs::canonicalize(&environment["NODE_EXTRA_CA_CERTS"]).unwrap(), own);
    assert_eq!(environment["NODE_USE_ENV_PROXY"], "1");
    for (name, value) in &environment {
        let key = std::fs::read_to_string(value).is_ok_and(|text| text.contains("PRIVATE KEY"));
        assert!(!key, "{name} leads to a key");
        assert!(!name.contains("APPROVER"), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_under_development_are_reached_directly() {
    let origin = Origin::http(Identity::plain(), |_request| async { text("developing") }).await;
    let gate = Gate::start().await;
    let before = gate.records().len();
    for host in ["127.0.0.1", "localhost"] {
        let url = format!("http://{host}:{}/", origin.address.port());
        assert_eq!(out(&run(&gate, "curl", &["-4", "-sS", &url])), "developing", "{host}");
        let script =
            format!("import urllib.request as u; print(u.urlopen('{url}').read().decode())");
        if has("python3", &["--version"]) {
            assert_eq!(out(&run(&gate, "python3", &["-c", &script])), "developing\n", "{host}");
        }
    }
    assert_eq!(gate.records().len(), before);
}

/// What each Python library is asked to do: a page, a query, and the published call.
fn python(get: &str, post: &str) -> String {
    format!(
        "import json, sys\n{get}\n{post}\n\
         headers = {{'Authorization': 'Bearer ' + sys.argv[1]}}\n\
         query = json.dumps({{'query': 'query {{ volumeInstance(id: \"eeeeeeee-0000-4000-8000-000000000001\") {{ id }} }}'}})\n\
         delete = json.dumps({{'query': 'mutation {{ volumeDelete(volumeId: \"' + sys.argv[2] + '\") }}'}})\n\
         status, body = get('https://docs.railway.com/page')\n\
         assert status == 200 and 'Railway Docs' in body, (status, body)\n\
         status, body = post('{RAILWAY}', query, headers)\n\
         assert status == 200 and 'data' in json.loads(body), (status, body)\n\
         status, body = post('https://backboard.railway.app/graphql/v2', delete, headers)\n\
         denial = json.loads(body)\n\
         print(status, denial['reason'], denial['errors'][0]['extensions']['code'])\n\
         status, body = get('https://nowhere.example/')\n\
         print(status, json.loads(body)['reason'])\n"
    )
}

/// Runs a script against the mock and checks what every client is to see.
fn python_sees_it(script: &str) -> impl Fn(&Gate) + '_ {
    move |gate| {
        let output = run(gate, "python3", &["-c", script, STAGING_TOKEN, PRODUCTION_VOLUME]);
        let wanted = "403 credential_out_of_scope DENIED\n403 out_of_scope\n";
        assert_eq!(out(&output), wanted, "{output:?}");
        assert!(gate.mock.volume_exists(PRODUCTION_VOLUME));
        let seen = gate.mock.requests();
        let paths: Vec<&str> = seen.iter().map(|seen| &*seen.path).collect();
        assert_eq!(paths, ["/page", "/graphql/v2"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pythons_urllib_works() {
    if !has("python3", &["--version"]) {
        return;
    }
    let get = "import urllib.request, urllib.error\n\
               def ask(request):\n\
               \u{20}   try:\n\
               \u{20}       with urllib.request.urlopen(request, timeout=30) as answer:\n\
               \u{20}           return answer.status, answer.read().decode()\n\
               \u{20}   except urllib.error.HTTPError as error:\n\
               \u{20}       return error.code, error.read().decode()\n\
               def get(url): return ask(url)";
    let post = "def post(url, body, headers): return ask(urllib.request.Request(url, body.encode(), headers))";
    python_sees_it(&python(get, post))(&Gate::start().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn pythons_requests_works() {
    if !has("python3", &["-c", "import requests"]) {
        return;
    }
    let get = "import requests\nsession = requests.Session()\n\
               def pair(answer): return answer.status_code, answer.text\n\
               def get(url): return pair(session.get(url, timeout=30))";
    let post = "def post(url, body, headers): return pair(session.post(url, data=body, headers=headers, timeout=30))";
    python_sees_it(&python(get, post))(&Gate::start().await);
}

/// What proxy agents for Node do: CONNECT, TLS on the tunnel, HTTPS on that.
const NODE: &str = r#"
const http = require('http'), https = require('https'), tls = require('tls');
const proxy = new URL(process.env.HTTPS_PROXY);
function tunnel(host) {
  return new Promise((resolve, reject) => {
    const path = host + ':443';
    http.request({ host: proxy.hostname, port: proxy.port, method: 'CONNECT', path, headers: { host: path } })
      .on('connect', (answer, socket) => answer.statusCode === 200
        ? resolve(tls.connect({ socket, servername: host }))
        : reject(new Error('CONNECT: ' + answer.statusCode)))
      .on('error', reject).end();
  });
}
async function ask(method, url, headers, body) {
  const { hostname, pathname } = new URL(url);
  const socket = await tunnel(hostname);
  const agent = new https.Agent();
  agent.createConnection = () => socket;
  return new Promise((resolve, reject) => {
    const request = https.request(
      { host: hostname, path: pathname, method, headers, agent },
      answer => {
        let text = '';
        answer.on('data', part => text += part).on('end', () => { socket.end(); resolve([answer.statusCode, text]); });
      });
    request.on('error', reject);
    request.end(body);
  });
}
(async () => {
  const [token, volume] = process.argv.slice(1);
  let [status, text] = await ask('GET', 'https://docs.railway.com/page', {});
  console.log(status, text.includes('Railway Docs'));
  const headers = { authorization: 'Bearer ' + token, 'content-type': 'application/json' };
  const query = JSON.stringify({ query: `mutation { volumeDelete(volumeId: "${volume}") }` });
  [status, text] = await ask('POST', 'https://backboard.railway.com/graphql/v2', headers, query);
  console.log(status, JSON.parse(text).reason);
  [status, text] = await ask('GET', 'https://nowhere.example/', {});
  console.log(status, JSON.parse(text).reason);
})().catch(error => { console.error(error); process.exit(1); });
"#;

#[tokio::test(flavor = "multi_thread")]
async fn node_works() {
    if !has("node", &["--version"]) {
        return;
    }
    let gate = Gate::start().await;
    let output = run(&gate, "node", &["-e", NODE, STAGING_TOKEN, PRODUCTION_VOLUME]);
    assert_eq!(
        out(&output),
        "200 true\n403 credential_out_of_scope\n403 out_of_scope\n",
        "{output:?}"
    );
    assert_eq!(gate.mock.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn git_shows_a_denial_as_text() {
    let gate = Gate::start().await;
    let cases = [
        // Nobody declared the host; and a declared one that is no place to push to.
        ("https://git.example/owner/project.git", "out_of_scope"),
        ("https://api.staging.railway.app/admin/project.git", "scope_violation"),
    ];
    for (url, reason) in cases {
        let output = run(&gate, "git", &["ls-remote", url]);
        assert!(!output.status.success(), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        let told = said.lines().find(|line| line.starts_with("remote: holdgate: "));
        let told = told.unwrap_or_else(|| panic!("{said}"));
        assert!(told.contains(reason), "{told}");
        assert!(said.contains("403"), "{said}");
    }
    assert_eq!(gate.mock.bytes_received(), 0);
}
