//! One request as a baseline sees it.
//!
//! Takes the host of a call and its operations; returns a [`Step`]. Names of things are folded away, so
//! that another page or another id is no other kind of operation: an API that was never described
//! names its operations by method and path.

use crate::catalog::Effect;
use std::borrow::Cow;
use std::sync::Arc;

/// The longest kind that is told apart, in bytes.
const LONGEST: usize = 160;
/// The most segments of a path that are told apart.
const SEGMENTS: usize = 4;
/// A longer segment of a path is the name of a thing.
const LONGEST_SEGMENT: usize = 32;

/// One operation of a step.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Act {
    /// What it does.
    pub effect: Effect,
    /// The kind of operation.
    pub kind: Arc<str>,
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Where it went.
    pub host: Arc<str>,
    /// What it does there, each act once; at least one.
    acts: Vec<Act>,
}

/// What came before a step, as far as it bears on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Before {
    /// The effect of the gravest act.
    pub effect: Effect,
    /// Where it went.
    pub host: Arc<str>,
}

impl Step {
    /// A request to a host; none where it has no operation.
    pub fn new<'o>(
        host: &Arc<str>,
        operations: impl IntoIterator<Item = (Effect, &'o Arc<str>)>,
    ) -> Option<Self> {
        let mut acts: Vec<Act> = Vec::new();
        for (effect, name) in operations {
            let act = Act { effect, kind: kind(effect, name) };
            if !acts.contains(&act) {
                acts.push(act);
            }
        }
        (!acts.is_empty()).then(|| Self { host: host.clone(), acts })
    }

    /// What it does, each act once.
    pub fn acts(&self) -> &[Act] {
        &self.acts
    }

    /// The effect of its gravest act.
    pub fn effect(&self) -> Effect {
        let effects = self.acts.iter().map(|act| act.effect);
        effects.max_by_key(|effect| effect.severity()).unwrap_or(Effect::Unknown)
    }

    /// What it is to the step that comes after it.
    pub fn as_before(&self) -> Before {
        Before { effect: self.effect(), host: self.host.clone() }
    }
}

/// The kind of an operation: its name in the catalog; where that is a method and a path, the path
/// without the names of things. Reads of a path are one kind, for what is read differs each time.
fn kind(effect: Effect, name: &Arc<str>) -> Arc<str> {
    let plain = name.split_once(' ').filter(|(method, path)| {
        path.starts_with('/') && method.bytes().all(|byte| byte.is_ascii_uppercase())
    });
    let Some((method, path)) = plain.filter(|(_, path)| !path.contains('{')) else {
        return if name.len() > LONGEST { Arc::from(cut(name)) } else { name.clone() };
    };
    if effect == Effect::Read {
        return Arc::from(format!("{method} /**"));
    }
    let mut folded = String::from(method);
    folded.push(' ');
    let mut segments = path.split('/').skip(1);
    for segment in segments.by_ref().take(SEGMENTS) {
        folded.push('/');
        folded.push_str(if names_a_thing(segment) { "{id}" } else { segment });
    }
    if segments.next().is_some() {
        folded.push_str("/**");
    }
    Arc::from(cut(&folded))
}

/// Whether a segment is the name of one thing: it has a digit, but is no version, or is long.
fn names_a_thing(segment: &str) -> bool {
    let digits = segment.strip_prefix('v').unwrap_or_default();
    let version = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    segment.len() > LONGEST_SEGMENT
        || (segment.bytes().any(|byte| byte.is_ascii_digit()) && !version)
}

fn cut(text: &str) -> Cow<'_, str> {
    if text.len() <= LONGEST {
        return text.into();
    }
    let end = (0..=LONGEST).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}…", text.get(..end).unwrap_or_default()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_things_are_folded_away() {
        let cases = [
            (Effect::Write, "mutation volumeCreate", "mutation volumeCreate"),
            (Effect::Destructive, "DELETE /volumes/7", "DELETE /volumes/{id}"),
            (Effect::Destructive, "DELETE /v2/volumes/7", "DELETE /v2/volumes/{id}"),
            (Effect::Write, "POST /deployments", "POST /deployments"),
            (Effect::Write, "POST /a/b/c/d/e", "POST /a/b/c/d/**"),
            (Effect::Write, "POST /", "POST /"),
            (Effect::Read, "GET /guides/volumes", "GET /**"),
            // A catalog's own template says already which segments are names.
            (Effect::Read, "GET /repos/{owner}/{repo}", "GET /repos/{owner}/{repo}"),
            (Effect::Read, "query project", "query project"),
            (Effect::Destructive, "ec2:TerminateInstances", "ec2:TerminateInstances"),
        ];
        for (effect, name, expected) in cases {
            assert_eq!(&*kind(effect, &Arc::from(name)), expected, "{name}");
        }
        let long = kind(Effect::Write, &Arc::from("é".repeat(LONGEST)));
        assert!(long.len() <= LONGEST + '…'.len_utf8() && long.ends_with('…'));
    }

    #[test]
    fn a_request_is_each_of_its_acts_once_and_as_grave_as_the_gravest() {
        let host = Arc::from("h");
        let [read, delete] = ["query me", "mutation volumeDelete"].map(Arc::from);
        let asked = [(Effect::Read, &read), (Effect::Destructive, &delete), (Effect::Read, &read)];
        let step = Step::new(&host, asked).unwrap();
        assert_eq!(step.acts().len(), 2);
        assert_eq!(step.effect(), Effect::Destructive);
        assert_eq!(Step::new(&host, []), None);
    }
}
