//! What a tool call of a model is about to do: look for credentials, destroy something, call an API.
//!
//! Takes the tool's name and its input; returns an [`Intent`]. The rules are tables: which files hold
//! credentials, what reads a file, which commands print secrets, what cannot be undone. Shell text is
//! read by its grammar (`command`), not searched. What could not be read is said, never taken for fine;
//! nothing here is a verdict, and nothing of it is run.

mod call;
mod code;
mod destroy;
mod file;
mod glob;
mod line;
mod name;
mod printed;
mod search;
mod shape;
mod shell;
mod shown;
mod sql;
mod tool;

#[cfg(test)]
mod tests;

pub use line::{Line, whole};

use super::command::{Script, Unread};
use crate::catalog::Reversibility;
use serde_json::Value;
use std::fmt;

/// How credentials are looked for, by the numbers of MITRE ATT&CK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Technique {
    /// T1552: in the environment of a process, or printed by a program that keeps them.
    Unsecured,
    /// T1552.001: in files.
    Files,
    /// T1552.003: in the history of a shell.
    History,
    /// T1552.004: private keys.
    PrivateKeys,
    /// T1552.005: the metadata service of a cloud.
    Metadata,
    /// T1552.007: the API of containers.
    Containers,
}

impl Technique {
    /// Its number.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unsecured => "T1552",
            Self::Files => "T1552.001",
            Self::History => "T1552.003",
            Self::PrivateKeys => "T1552.004",
            Self::Metadata => "T1552.005",
            Self::Containers => "T1552.007",
        }
    }
}

/// A tool call that looks for credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovery {
    /// How.
    pub technique: Technique,
    /// The command or the file, for people: short, and without secrets.
    pub what: String,
}

/// A tool call that destroys something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destructive {
    /// Whether it can be got back.
    pub reversibility: Reversibility,
    /// The command, for people: short, and without secrets.
    pub what: String,
}

/// A call over HTTP that a tool call makes. It is as it stands there, with the secrets in it.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpCall {
    /// The method, in capitals.
    pub method: String,
    /// The address.
    pub url: String,
    /// The body, where it stands there.
    pub body: Option<String>,
}

impl fmt::Debug for HttpCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpCall").field("method", &self.method).finish_non_exhaustive()
    }
}

/// What a tool call is about to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Intent {
    /// That it looks for credentials: the first way in which it does.
    pub discovery: Option<Discovery>,
    /// That it destroys something: the gravest.
    pub destructive: Option<Destructive>,
    /// All in it that cannot be undone, for people, as far as [`ACTS`].
    pub irreversible: Vec<String>,
    /// The calls that it makes, as far as they stand there.
    pub calls: Vec<HttpCall>,
    /// That a part of what it runs could not be read, and why.
    pub unread: Option<Unread>,
}

/// So many acts that cannot be undone are told of.
pub const ACTS: usize = 16;
/// Calls that are told of at most.
const CALLS: usize = 32;
/// Scripts in code in scripts.
const NESTED: usize = 3;

/// What a tool call is about to do.
pub fn of_call(tool: &str, input: &Value) -> Intent {
    read(tool, input).0
}

/// The same, and what people are shown of the call, without secrets: what looks for credentials in it,
/// or its first command, file or address. All of it is read once.
pub fn read(tool: &str, input: &Value) -> (Intent, String) {
    let (mut intent, mut first) = (Intent::default(), None);
    for act in tool::acts(tool, input) {
        let shown = act.judge(&mut intent);
        first.get_or_insert(shown);
    }
    let shown = match &intent.discovery {
        Some(found) => found.what.clone(),
        None => first.filter(|shown| !shown.is_empty()).unwrap_or_else(|| shown::text(tool)),
    };
    (intent, shown)
}

impl Intent {
    fn discovers(&mut self, technique: Technique, what: impl FnOnce() -> String) {
        if self.discovery.is_none() {
            self.discovery = Some(Discovery { technique, what: what() });
        }
    }

    fn destroys(&mut self, reversibility: Reversibility, what: impl FnOnce() -> String) {
        let grave = |of: Reversibility| match of {
            Reversibility::Reversible => 0,
            Reversibility::Recoverable => 1,
            Reversibility::Irreversible => 2,
        };
        let is_graver = |known: &Destructive| grave(reversibility) > grave(known.reversibility);
        let is_first = self.destructive.as_ref().is_none_or(is_graver);
        let is_told =
            reversibility == Reversibility::Irreversible && self.irreversible.len() < ACTS;
        if !is_first && !is_told {
            return;
        }
        let what = what();
        if is_told && !self.irreversible.contains(&what) {
            self.irreversible.push(what.clone());
        }
        if is_first {
            self.destructive = Some(Destructive { reversibility, what });
        }
    }

    fn calls(&mut self, call: HttpCall) {
        if self.calls.len() < CALLS {
            self.calls.push(call);
        } else {
            self.unread = self.unread.max(Some(Unread::TooMuch));
        }
    }

    /// Judges a script that is run in a folder, where that is known.
    fn script(&mut self, script: &Script, folder: &str, nested: usize) {
        self.unread = self.unread.max(script.unread);
        let mut folder = folder.to_owned();
        for command in &script.commands {
            if let Some(technique) = shell::discovers(command, script, &folder) {
                self.discovers(technique, || shown::command(command));
            }
            if let Some(reversibility) = destroy::by(command) {
                self.destroys(reversibility, || shown::command(command));
            }
            let made = call::of(command);
            if made.is_elsewhere {
                self.unread = self.unread.max(Some(Unread::Elsewhere));
            }
            for call in made.calls {
                if call::is_destructive(&call) {
                    self.destroys(Reversibility::Irreversible, || shown::call(&call));
                }
                self.calls(call);
            }
            for part in &command.code {
                self.code(&part.program, &part.text, &folder, nested);
            }
            if matches!(command.head(), "cd" | "pushd") {
                folder = file::joined(&folder, command.argument(0));
            }
        }
    }

    /// Judges code in another language than the shell's.
    fn code(&mut self, program: &str, text: &str, folder: &str, nested: usize) {
        if let Some((technique, what)) = code::discovers(text, folder) {
            self.discovers(technique, || shown::text(&format!("{program}: {what}")));
        }
        if nested < NESTED {
            for inner in code::scripts(text) {
                self.script(&inner, folder, nested + 1);
            }
        }
        for call in code::calls(text) {
            if call::is_destructive(&call) {
                self.destroys(Reversibility::Irreversible, || shown::call(&call));
            }
            self.calls(call);
        }
        if let Some(reversibility) = code::destroys(text) {
            self.destroys(reversibility, || format!("{program} code that deletes"));
        }
    }
}
