//! The baselines of agents: which profile each has, and from when on it makes a request wait.
//!
//! Takes the agents as written; returns the agents with what was learned, and the texts of the profiles,
//! which are part of the law. Refuses `raise_at` where nothing was learned, and profiles that cannot be
//! read: an operator who relies on one is told that it is not there.

use super::Agent;
use super::compile::Compiler;
use super::file::File;
use super::node::Spanned;
use crate::baseline::{Baseline, FOLDER, Model, Profile, file_name, name_is_good};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// What there is of a profile.
#[derive(Clone)]
enum Found {
    Model(Arc<Model>),
    Nothing,
    /// It has a problem of its own.
    Unusable,
}

impl Compiler<'_> {
    /// Gives each agent its baseline; returns the texts of the profiles.
    pub(super) fn baselines(
        &mut self,
        file: &File,
        state: &Path,
        agents: &mut [Agent],
    ) -> Vec<String> {
        let mut known: HashMap<&str, Found> = HashMap::new();
        let mut texts = Vec::new();
        for ((_, entry), agent) in file.agents.iter().zip(agents) {
            let raise_at = entry.raise_at.as_ref();
            let Some(name) = &entry.profile else {
                if let Some(raise_at) = raise_at {
                    self.problem(raise_at.place, "`raise_at` needs a `profile` to compare with");
                }
                continue;
            };
            let found =
                known.entry(&name.value).or_insert_with(|| self.profile(name, state, &mut texts));
            match (found, raise_at) {
                (Found::Model(model), _) => {
                    agent.baseline = Some(Baseline {
                        profile: Arc::from(name.value.as_str()),
                        model: model.clone(),
                        raise_at: raise_at.map(|bits| (bits.value.0, bits.place)),
                    });
                }
                (Found::Nothing, Some(raise_at)) => {
                    let message = format!(
                        "nothing was learned for the profile `{0}`; learn it with `holdgate baseline learn --profile {0} --session ID`, or leave `raise_at` out until then",
                        name.value
                    );
                    self.problem(raise_at.place, message);
                }
                (Found::Nothing, None) | (Found::Unusable, _) => {}
            }
        }
        texts
    }

    fn profile(&mut self, name: &Spanned<String>, state: &Path, texts: &mut Vec<String>) -> Found {
        if !name_is_good(&name.value) {
            let message = "a profile's name has letters, digits, `-`, `_` and `.`, no `.` first";
            self.problem(name.place, message);
            return Found::Unusable;
        }
        let path = state.join(FOLDER).join(file_name(&name.value));
        let text = match self.secrets.profile(&path) {
            Ok(Some(text)) => text,
            Ok(None) => return Found::Nothing,
            Err(error) => {
                self.problem(name.place, format!("the profile `{}`: {error}", name.value));
                return Found::Unusable;
            }
        };
        match Profile::parse(&text, &name.value) {
            Ok(profile) => {
                texts.push(text);
                Found::Model(Arc::new(Model::from(&profile)))
            }
            Err(error) => {
                self.problem(name.place, format!("{}: {error}", path.display()));
                Found::Unusable
            }
        }
    }
}
