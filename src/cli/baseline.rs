//! `holdgate baseline learn|show|score|forget`.
//!
//! Takes sessions of the audit log that an operator marks as normal; keeps their counts as a profile in
//! the state folder, sorted JSON for people to read and compare. Refuses a log whose chain is not whole,
//! unless it is told to take it all the same.

use super::kept::Kept;
use super::{Unusable, print};
use crate::audit;
use crate::baseline::{
    Added, FOLDER, Learned, Model, Profile, Reading, Tally, file_name, name_is_good,
};
use crate::hold::escaped;
use crate::load::{self, Origin};
use crate::policy;
use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

#[derive(Debug, Subcommand)]
pub(super) enum BaselineCommand {
    /// Counts sessions as normal for a profile.
    Learn {
        #[command(flatten)]
        read: Read,
        /// The sessions, as `audit tail --json` and `sessions show` name them.
        #[arg(long = "session", required = true, value_name = "ID")]
        sessions: Vec<String>,
        /// Learns also from a log whose chain is not whole; the profile says so.
        #[arg(long)]
        unverified: bool,
    },
    /// How unusual a session was for a profile, and what made it so.
    Score {
        #[command(flatten)]
        read: Read,
        /// The session.
        #[arg(long, value_name = "ID")]
        session: String,
    },
    /// What was learned, or which profiles there are.
    Show {
        /// The profile.
        #[arg(long, value_name = "NAME")]
        profile: Option<String>,
    },
    /// Forgets a profile.
    Forget {
        /// The profile.
        #[arg(long, value_name = "NAME")]
        profile: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Read {
    /// The profile.
    #[arg(long, value_name = "NAME")]
    profile: String,
    /// The folder of another log than that of the policy's state, such as STATE/run/ID/audit.
    #[arg(long, value_name = "FOLDER")]
    log: Option<PathBuf>,
}

pub(super) fn run(
    command: BaselineCommand,
    origin: &Origin,
    json: bool,
) -> anyhow::Result<ExitCode> {
    // A policy that waits for its profile does not load, and this is what makes the profile.
    let state = policy::state_folder(&origin.read()?.0, &origin.base());
    let folder = state.join(FOLDER);
    match command {
        BaselineCommand::Learn { read, sessions, unverified } => {
            let log = Kept::named(read.log, &state)?;
            learn(&Profiles { folder }, &read.profile, &log, &sessions, unverified, json)
        }
        BaselineCommand::Score { read, session } => {
            let log = Kept::named(read.log, &state)?;
            score(&Profiles { folder }, &read.profile, &log, &session, json)
        }
        BaselineCommand::Show { profile: None } => list(&Profiles { folder }, json),
        BaselineCommand::Show { profile: Some(name) } => show(&Profiles { folder }, &name, json),
        BaselineCommand::Forget { profile } => forget(&Profiles { folder }, &profile, json),
    }
}

/// The folder of profiles.
struct Profiles {
    folder: PathBuf,
}

impl Profiles {
    fn path(&self, name: &str) -> anyhow::Result<PathBuf> {
        if !name_is_good(name) {
            let message = "a profile's name has letters, digits, `-`, `_` and `.`, no `.` first";
            bail!(Unusable(message.to_owned()));
        }
        Ok(self.folder.join(file_name(name)))
    }

    /// A profile, if it is there.
    fn find(&self, name: &str) -> anyhow::Result<Option<Profile>> {
        let path = self.path(name)?;
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => bail!("{}: {error}", path.display()),
        };
        match Profile::parse(&text, name) {
            Ok(profile) => Ok(Some(profile)),
            Err(error) => bail!("{}: {error}", path.display()),
        }
    }

    fn get(&self, name: &str) -> anyhow::Result<Profile> {
        match self.find(name)? {
            Some(profile) => Ok(profile),
            None => bail!(
                "nothing was learned for the profile `{name}`; `holdgate baseline learn --profile {name} --session ID` does"
            ),
        }
    }

    /// Changes a profile while nobody else does; it is there as a whole, as before or as after.
    fn change(
        &self,
        name: &str,
        change: impl FnOnce(&mut Profile) -> anyhow::Result<()>,
    ) -> anyhow::Result<PathBuf> {
        let path = self.path(name)?;
        load::private_folder(&self.folder)?;
        let folder = fs::File::open(&self.folder)?;
        folder.lock()?;
        let mut profile = self.find(name)?.unwrap_or_else(|| Profile::new(name));
        change(&mut profile)?;
        let fresh = path.with_extension("fresh");
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        load::write_private(&fresh, profile.text()?.as_bytes())?;
        fs::rename(&fresh, &path)?;
        folder.sync_all()?;
        Ok(path)
    }
}

/// What the log has of a session.
fn read(log: &Kept, session: &str) -> anyhow::Result<Reading> {
    let mut reading = Reading::default();
    audit::each(&log.folder, session, |record| reading.take(&record, session))?;
    if reading.records.is_none() {
        bail!("the log in {} has no session `{}`", log.folder.display(), escaped(session));
    }
    Ok(reading)
}

fn learn(
    profiles: &Profiles,
    name: &str,
    log: &Kept,
    sessions: &[String],
    unverified: bool,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let (whole, notes) = log.trusted();
    if !whole && !unverified {
        bail!(
            "{}; nothing is learned from it (`--unverified` learns all the same)",
            notes.join("; ")
        );
    }
    let mut readings = Vec::new();
    for session in sessions {
        readings.push((session, read(log, session)?));
    }
    let mut told = Vec::new();
    let path = profiles.change(name, |profile| {
        for (session, reading) in &readings {
            let requests = u32::try_from(reading.steps.len()).unwrap_or(u32::MAX);
            let learned = Learned {
                agent: reading.agent.clone().unwrap_or_default(),
                requests,
                records: reading.records.unwrap_or_default(),
                verified: whole,
            };
            let added = profile.learn(session, learned, &reading.steps)?;
            told.push(json!({
                "session": session,
                "agent": reading.agent,
                "learned": added == Added::Learned,
                "requests": requests,
                "held": reading.held,
                "denied": reading.denied,
                "unread": reading.unread,
            }));
        }
        Ok(())
    })?;
    if json {
        let value = json!({ "profile": name, "file": path, "verified": whole, "notes": notes, "sessions": told });
        print(&format!("{value}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = String::new();
    noted(&notes, &mut out)?;
    for session in &told {
        let number = |key: &str| session.get(key).and_then(Value::as_u64).unwrap_or(0);
        let id = escaped(session.get("session").and_then(Value::as_str).unwrap_or_default());
        if session.get("learned") == Some(&Value::Bool(true)) {
            writeln!(
                out,
                "{id}: {} requests that passed were learned; {} records of holds, {} denials and {} unreadable records do not count",
                number("requests"),
                number("held"),
                number("denied"),
                number("unread")
            )?;
        } else {
            writeln!(out, "{id}: it was learned before and counts once")?;
        }
    }
    writeln!(
        out,
        "{} is written; a running proxy takes it up when its policy is loaded again",
        path.display()
    )?;
    print(&out)?;
    Ok(ExitCode::SUCCESS)
}

fn noted(notes: &[String], out: &mut String) -> std::fmt::Result {
    notes.iter().try_for_each(|note| writeln!(out, "note: {}", escaped(note)))
}

fn score(
    profiles: &Profiles,
    name: &str,
    log: &Kept,
    session: &str,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let profile = profiles.get(name)?;
    let (whole, notes) = log.trusted();
    let reading = read(log, session)?;
    let model = Model::from(&profile);
    let id: Arc<str> = Arc::from(session);
    let mut tally = Tally::default();
    for step in &reading.steps {
        let surprise = model.surprise(step, tally.before(&id));
        tally.note(&id, &surprise);
    }
    let mut report = tally.report(&id, name, &model);
    if let Some(map) = report.as_object_mut() {
        map.insert("session".to_owned(), session.into());
        map.insert("agent".to_owned(), reading.agent.into());
        map.insert("learned".to_owned(), profile.sessions.contains_key(session).into());
        map.insert("unread".to_owned(), reading.unread.into());
        map.insert("verified".to_owned(), whole.into());
        map.insert("notes".to_owned(), notes.clone().into());
    }
    let mut out = String::new();
    if as_json {
        writeln!(out, "{report}")?;
    } else {
        noted(&notes, &mut out)?;
        if profile.sessions.contains_key(session) {
            writeln!(
                out,
                "note: the profile was learned from this session, so it cannot surprise much"
            )?;
        }
        told(&report, &mut out)?;
    }
    print(&out)?;
    Ok(ExitCode::SUCCESS)
}

/// The surprise of a session, for people.
pub(super) fn told(report: &Value, out: &mut String) -> std::fmt::Result {
    let text = |key: &str| report.get(key).and_then(Value::as_str).unwrap_or_default();
    let bits = |of: Option<&Value>, key: &str| {
        of.and_then(|of| of.get(key)).and_then(Value::as_f64).unwrap_or(0.0)
    };
    let sums = report.get("bits");
    writeln!(
        out,
        "surprise against the profile {}: {:.1} bits a request (usual: {:.1}) over {} requests, {:.1} in all, at most {:.1} in one",
        escaped(text("profile")),
        bits(sums, "mean"),
        bits(sums, "usual_mean"),
        report.get("requests").and_then(Value::as_u64).unwrap_or(0),
        bits(sums, "total"),
        bits(sums, "most")
    )?;
    for (name, feature) in report.get("features").and_then(Value::as_object).into_iter().flatten() {
        let (mean, total) = (bits(Some(feature), "mean"), bits(Some(feature), "total"));
        writeln!(out, "  {name:<10} {mean:>5.1} bits a request, {total:.1} in all")?;
    }
    for line in report.get("contributions").and_then(Value::as_array).into_iter().flatten() {
        writeln!(out, "  most by    {}", escaped(line.as_str().unwrap_or_default()))?;
    }
    Ok(())
}

fn list(profiles: &Profiles, json: bool) -> anyhow::Result<ExitCode> {
    let mut names = Vec::new();
    if profiles.folder.exists() {
        for entry in fs::read_dir(&profiles.folder)? {
            let name = entry?.file_name();
            let name = name.to_str().and_then(|name| name.strip_suffix(".json"));
            names.extend(name.filter(|name| name_is_good(name)).map(str::to_owned));
        }
    }
    names.sort();
    let mut out = String::new();
    if json {
        writeln!(out, "{}", json!(names))?;
    } else if names.is_empty() {
        out.push_str("nothing was learned\n");
    } else {
        names.iter().try_for_each(|name| writeln!(out, "{name}"))?;
    }
    print(&out)?;
    Ok(ExitCode::SUCCESS)
}

fn show(profiles: &Profiles, name: &str, json: bool) -> anyhow::Result<ExitCode> {
    let profile = profiles.get(name)?;
    if json {
        print(&profile.text()?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = String::new();
    writeln!(out, "{name}, learned from {} sessions", profile.sessions.len())?;
    for (session, learned) in &profile.sessions {
        let unverified = if learned.verified { "" } else { ", from a log that was not whole" };
        writeln!(
            out,
            "  session    {} of {}, {} requests{unverified}",
            escaped(session),
            escaped(&learned.agent),
            learned.requests
        )?;
    }
    for (host, effects) in &profile.hosts {
        for (effect, kinds) in effects {
            for (kind, count) in kinds {
                let (host, kind) = (escaped(host), escaped(kind));
                writeln!(out, "  {count:>6} {host} {} {kind}", effect.as_str())?;
            }
        }
    }
    for (from, next) in &profile.order {
        for (to, count) in next {
            writeln!(out, "  {count:>6} {} -> {}", escaped(from), escaped(to))?;
        }
    }
    print(&out)?;
    Ok(ExitCode::SUCCESS)
}

fn forget(profiles: &Profiles, name: &str, json: bool) -> anyhow::Result<ExitCode> {
    let path: &Path = &profiles.path(name)?;
    let forgotten = match fs::remove_file(path) {
        Ok(()) => true,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => bail!("{}: {error}", path.display()),
    };
    let out = match forgotten {
        _ if json => format!("{}\n", json!({ "profile": name, "forgotten": forgotten })),
        true => format!(
            "the profile {name} is forgotten; a policy with `raise_at` on it does not load until it is learned again\n"
        ),
        false => format!("nothing was learned for the profile {name}\n"),
    };
    print(&out)?;
    Ok(ExitCode::SUCCESS)
}
