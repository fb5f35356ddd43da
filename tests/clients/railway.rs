//! Railway's own command line, as it is, against the mock: what it shows of what passes, of what is
//! held, and of what is denied.

use super::{bare, environment};
use crate::support::Gate;
use crate::support::mock::{
    ACCOUNT_TOKEN, Options, PRODUCTION_ENVIRONMENT, PRODUCTION_VOLUME, PROJECT,
    STAGING_ENVIRONMENT, STAGING_VOLUME,
};
use crate::support::policy::Edit;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::Command;

/// The environment's ids in the mock's policy, as both resources begin them.
const STAGING_IDS: &str = "    environment: staging\n    ids:\n";
const PRODUCTION_IDS: &str = "    environment: production\n    ids:\n";

/// Where the command line is: what `RAILWAY_CLI` says, or on the PATH. Without it there is nothing
/// to test, which is said past what the harness keeps of a test that passes.
fn installed() -> Option<String> {
    let named = std::env::var("RAILWAY_CLI").ok().filter(|path| !path.is_empty());
    let program = named.clone().unwrap_or_else(|| "railway".to_owned());
    let version = Command::new(&program).arg("--version").output();
    if version.is_ok_and(|output| output.status.success()) {
        return Some(program);
    }
    assert!(named.is_none(), "RAILWAY_CLI is no command line: {program}");
    let line = "the Railway CLI is not installed here: nothing was tested with it\n";
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    None
}

/// The mock's policy for an agent whose issued token carries the whole account, which is what
/// `railway login` leaves behind; a held call is answered at once.
fn logged_in(policy: String) -> String {
    let file = policy.split('"').find(|text| text.ends_with("/staging-token")).unwrap();
    std::fs::write(file, ACCOUNT_TOKEN).unwrap();
    Edit(policy)
        .replace("  wait: 20s\n", "  wait: 100ms\n")
        .replace(
            "    resources: [railway-staging]\n",
            "    resources: [railway-staging, railway-production]\n",
        )
        .0
}

/// The command line in front of a gate.
struct Cli<'g> {
    gate: &'g Gate,
    program: String,
    proxied: BTreeMap<String, String>,
}

/// What it wrote, and whether it says that it did what it was asked.
#[derive(Debug)]
struct Said {
    stdout: String,
    stderr: String,
    done: bool,
}

impl<'g> Cli<'g> {
    fn of(gate: &'g Gate, program: String) -> Self {
        Self { gate, program, proxied: environment(gate) }
    }

    /// Runs a command in an environment of the project.
    fn run(&self, environment: &str, arguments: &[&str]) -> Said {
        let output = bare(self.gate, &self.program)
            .args(arguments)
            .envs(&self.proxied)
            .env("HOME", self.gate.folder.path())
            .env("RAILWAY_API_TOKEN", ACCOUNT_TOKEN)
            .env("RAILWAY_PROJECT_ID", PROJECT)
            .env("RAILWAY_ENVIRONMENT_ID", environment)
            // Neither telemetry nor questions nor colours.
            .envs([("DO_NOT_TRACK", "1"), ("CI", "1"), ("NO_COLOR", "1")])
            .output()
            .unwrap();
        Said {
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            done: output.status.success(),
        }
    }

    /// How often a document with this text reached the mock.
    fn arrived(&self, text: &str) -> usize {
        let seen = self.gate.mock.requests();
        seen.iter().filter(|seen| String::from_utf8_lossy(&seen.body).contains(text)).count()
    }

    /// Runs a command that is held, which a person has to understand from what it shows; approves
    /// it, and runs it again.
    fn approved(&self, operation: &str, why: &str, arguments: &[&str]) -> Said {
        let held = self.run(STAGING_ENVIRONMENT, arguments);
        assert!(!held.done, "{held:?}");
        let waiting = self.gate.waiting();
        assert_eq!(waiting.len(), 1, "{waiting:?}");
        let id = waiting[0]["id"].as_str().unwrap();
        let message = format!(
            "`mutation {operation}` {why} It is held as {id}; send the same request again once it \
             is approved, and do not try another way."
        );
        assert!(held.stderr.contains(&message), "{held:?}");
        assert_eq!(self.arrived(operation), 0);
        self.gate.approve(id);
        let again = self.run(STAGING_ENVIRONMENT, arguments);
        assert!(again.done, "{again:?}");
        assert_eq!(self.arrived(operation), 1);
        again
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_works_unchanged() {
    let Some(program) = installed() else { return };
    let gate = Gate::with(Options::default(), logged_in).await;
    let cli = Cli::of(&gate, program);
    let shown: &[(&[&str], &[&str])] = &[
        (&["whoami"], &["Logged in as Jo Operator (jo@pocketos.example)"]),
        (
            &["status"],
            &[PROJECT, STAGING_ENVIRONMENT, "- api: ", "- database (Postgres): ", "database-data"],
        ),
        (
            &["volume", "list"],
            &[
                "Environment: staging\n",
                "Volume: database-data\n",
                "Attached to: database\n",
                "Mount path: /var/lib/postgresql/data\n",
                "Storage used: 1280MB/5000MB\n",
            ],
        ),
    ];
    for (arguments, expected) in shown {
        let said = cli.run(STAGING_ENVIRONMENT, arguments);
        assert!(said.done && said.stderr.is_empty(), "{arguments:?}: {said:?}");
        for text in *expected {
            assert!(said.stdout.contains(text), "{text} in {said:?}");
        }
    }
    let records = gate.records();
    let judged: Vec<&str> =
        records.iter().filter_map(|record| record["verdict"].as_str()).collect();
    assert!(judged.len() >= 6 && judged.iter().all(|verdict| *verdict == "allow"), "{judged:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_is_deleted_once_a_person_approved() {
    let Some(program) = installed() else { return };
    let gate = Gate::with(Options::default(), logged_in).await;
    for volume in [STAGING_VOLUME, PRODUCTION_VOLUME] {
        gate.mock.name_volume(volume, "pg-data");
    }
    let cli = Cli::of(&gate, program);
    let delete = ["volume", "delete", "--volume", "pg-data", "--yes"];
    let why = "destroys something in staging, so a person has to approve it.";
    let said = cli.approved("volumeDelete", why, &delete);
    assert!(said.stdout.contains("Volume \"pg-data\" deleted"), "{said:?}");
    assert_eq!(gate.mock.deletions(), [STAGING_VOLUME]);

    // The same words, one variable apart.
    let said = cli.run(PRODUCTION_ENVIRONMENT, &delete);
    assert!(!said.done, "{said:?}");
    let message = "`mutation volumeDelete` is beyond what is declared for this agent in production; \
                   ask the operator if the task needs it.";
    assert!(said.stderr.contains(message), "{said:?}");
    assert!(gate.waiting().is_empty());
    assert_eq!(cli.arrived("volumeDelete"), 1);
    assert!(gate.mock.volume_exists(PRODUCTION_VOLUME));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_that_nobody_declared_is_held() {
    let Some(program) = installed() else { return };
    let gate = Gate::with(Options::default(), logged_in).await;
    let cli = Cli::of(&gate, program);
    let why = "names an id that no declared resource owns, so a person has to approve it; verify \
               which environment it belongs to.";
    let delete = ["delete", "--project", "pocketos", "--yes"];
    cli.approved("projectScheduleDelete", why, &delete);
    assert!(!gate.mock.project_stays());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_with_production_in_it_is_not_deleted() {
    let Some(program) = installed() else { return };
    let gate = Gate::with(Options::default(), |policy| {
        let ids = |begin: &str| format!("{begin}      project: [{PROJECT}]\n");
        Edit(logged_in(policy))
            .replace(STAGING_IDS, &ids(STAGING_IDS))
            .replace(PRODUCTION_IDS, &ids(PRODUCTION_IDS))
            .0
    })
    .await;
    let cli = Cli::of(&gate, program);
    let said = cli.run(STAGING_ENVIRONMENT, &["delete", "--project", "pocketos", "--yes"]);
    assert!(!said.done, "{said:?}");
    let message = "`mutation projectScheduleDelete` is beyond what is declared for this agent";
    assert!(said.stderr.contains(message), "{said:?}");
    assert_eq!(cli.arrived("projectScheduleDelete"), 0);
    assert!(gate.mock.project_stays());
}
