//! `holdgate audit tail|show|verify`.

use super::kept::Kept;
use super::{print, runtime};
use crate::audit::{self, Query};
use crate::inventory;
use crate::load::{self, Origin};
use clap::Subcommand;
use serde_json::{Value, json};
use std::process::ExitCode;
use std::time::Duration;

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// The newest records.
    Tail {
        /// How many.
        #[arg(short = 'n', long, default_value_t = 20)]
        count: usize,
        /// Goes on with what comes.
        #[arg(short, long)]
        follow: bool,
    },
    /// The records of a request, by its id or by a record's number.
    Show {
        /// `r_…`, or a `seq`.
        id: String,
    },
    /// Checks the chain: exit 0 whole, 1 broken, with the first bad record named.
    Verify,
}

pub(super) fn run(command: AuditCommand, origin: &Origin, json: bool) -> anyhow::Result<ExitCode> {
    let policy = load::load(origin, false)?;
    let log = Kept::of_state(&policy.state)?;
    let folder = log.folder.clone();
    match command {
        AuditCommand::Tail { count, follow } => {
            let records = audit::tail(&folder, count)?;
            let last = records.last().and_then(|record| record.get("seq")).and_then(Value::as_u64);
            for record in &records {
                print(&line(record, json))?;
            }
            if follow {
                let mut follow = audit::Follow::after(&folder, last.unwrap_or(0));
                runtime()?.block_on(async {
                    loop {
                        for record in follow.next().await? {
                            print(&line(&record, json))?;
                        }
                    }
                    #[expect(unreachable_code, reason = "names the type of the error")]
                    anyhow::Ok(())
                })?;
            }
            Ok(ExitCode::SUCCESS)
        }
        AuditCommand::Show { id } => {
            let query = id.parse().map_or_else(|_text| Query::Request(id.clone()), Query::Seq);
            let records = audit::find(&folder, &query)?;
            for record in &records {
                print(&if json { format!("{record}\n") } else { format!("{record:#}\n") })?;
            }
            Ok(if records.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
        }
        AuditCommand::Verify => verify(&log, json),
    }
}

fn verify(log: &Kept, as_json: bool) -> anyhow::Result<ExitCode> {
    match log.verified()? {
        Ok(summary) => {
            let text = if as_json {
                let notices: Vec<Value> = summary
                    .notices
                    .iter()
                    .map(|n| json!({ "seq": n.seq, "detail": n.detail }))
                    .collect();
                format!(
                    "{}\n",
                    json!({ "whole": true, "first": summary.first, "last": summary.last, "files": summary.files, "checkpoints": summary.checkpoints, "unsigned": summary.unsigned, "notices": notices })
                )
            } else {
                let mut text = String::new();
                for notice in &summary.notices {
                    let note = format!("note at record {}: {}\n", notice.seq, notice.detail);
                    text.push_str(&note);
                }
                text + &format!(
                    "whole: records {} to {} in {} files, {} signed checkpoints, {} records after the last\n",
                    summary.first,
                    summary.last,
                    summary.files,
                    summary.checkpoints,
                    summary.unsigned
                )
            };
            print(&text)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(broken) => {
            let text = if as_json {
                json!({ "whole": false, "file": broken.file, "line": broken.line, "seq": broken.seq, "why": broken.to_string() }).to_string()
            } else {
                format!("broken: {broken}")
            };
            print(&format!("{text}\n"))?;
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Where what was used was first seen.
fn seen(record: &Value) -> String {
    let seen = |used: &Value| {
        let seen = used.get("first_seen")?;
        let ago = Duration::from_secs(seen.get("seconds_ago")?.as_u64()?);
        let ago = inventory::told(ago);
        let of = |key: &str| seen.get(key).and_then(Value::as_str);
        let place = match of("answer_to") {
            Some(asked) => format!("the answer to `{asked}`"),
            None => format!("the result of `{}`", of("result_of")?),
        };
        Some(format!("first seen {ago} ago in {place}"))
    };
    let used = record.get("credentials").and_then(Value::as_array);
    used.into_iter().flatten().find_map(seen).unwrap_or_default()
}

fn line(record: &Value, json: bool) -> String {
    if json {
        return format!("{record}\n");
    }
    let text = |key: &str| record.get(key).and_then(Value::as_str).unwrap_or_default();
    let operation = record.get("operations").and_then(|list| list.get(0)).and_then(Value::as_str);
    let (method, path) = (text("method"), text("path"));
    // A plain operation is its method and path, which say little without the host.
    let what = operation
        .filter(|operation| *operation != format!("{method} {path}"))
        .map_or_else(|| format!("{method} {}{path}", text("host")), str::to_owned);
    let status = record.get("status").map(ToString::to_string).unwrap_or_default();
    format!(
        "{:>7} {} {:<10} {:<14} {:<6} {:<24} {} {status} {}\n",
        record.get("seq").map(ToString::to_string).unwrap_or_default(),
        text("time"),
        text("kind"),
        text("agent"),
        text("verdict"),
        text("reason"),
        what.trim(),
        [text("detail"), &seen(record)].join(" ").trim()
    )
    .replace(|c: char| c.is_control() && c != '\n', "\u{fffd}")
}
