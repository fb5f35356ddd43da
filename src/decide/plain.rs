//! What plain resources say of a call: the rules that fit its method and path.
//!
//! Takes a call and the candidates without a catalog; adds their opinions and returns those that have
//! one. A resource without a rule that fits abstains; where all abstain, the call is out of scope.

use super::Reason;
use super::opinion::Opinions;
use super::scope::{Candidate, held_reason};
use crate::catalog::{Effect, Reversibility};
use crate::inspect::Operation;
use crate::inspect::rest::{self, is_destructive_parameter, is_destructive_word};
use crate::message::{Head, Message};
use crate::policy::path::{Segment, Template, bare_path};
use crate::policy::{Call, Environments, Judge, Resource, Rule, Rules, Word};
use http::Method;
use std::borrow::Cow;

pub(super) fn judge_plain<'a, B>(
    operation: &Operation,
    message: &Message<B>,
    candidates: &[Candidate<'a>],
    opinions: &mut Opinions<'a>,
    websocket: &mut bool,
) -> (Vec<Candidate<'a>>, bool) {
    let segments = message.head().path().segments();
    let path: Vec<&str> = segments.iter().map(Cow::as_ref).collect();
    let mut judges = Vec::new();
    let mut effective: Option<Does> = None;
    for candidate in candidates {
        let Judge::Plain(rules) = &candidate.1.judge else { continue };
        // Nothing but its host says where a plain call acts.
        let known = candidate.1.environment.as_deref();
        opinions.acts_in(Environments { known: vec![known], unknown: false });
        if let Some(does) =
            by_rules(operation, message, &path, rules, candidate.1, opinions, websocket)
        {
            effective = effective.max(Some(does));
            judges.push(*candidate);
        }
    }
    if let Some(does) = effective {
        opinions.does(operation, does);
    }
    if judges.is_empty() {
        let by = candidates.first().map(|(_, resource)| (*resource, Some(resource.place)));
        opinions.deny(Reason::ScopeViolation, by);
        return (candidates.to_vec(), false);
    }
    (judges, effective.is_some_and(|(effect, _)| effect != Effect::Read))
}

/// What a call does, the graver first.
pub(super) type Does = (Effect, Reversibility);

/// What a call does by a rule, which may say it itself.
fn by_rule(rule: &Rule, operation: &Operation) -> Does {
    let effect = rule.effect.unwrap_or(operation.effect);
    let usual = match effect {
        _ if effect == operation.effect => operation.reversibility,
        Effect::Destructive | Effect::Unknown => Reversibility::Irreversible,
        _ => Reversibility::Reversible,
    };
    (effect, rule.reversibility.unwrap_or(usual))
}

/// What the rules of one resource say; none if it abstains.
fn by_rules<'a, B>(
    operation: &Operation,
    message: &Message<B>,
    path: &[&str],
    rules: &'a Rules,
    resource: &'a Resource,
    opinions: &mut Opinions<'a>,
    websocket: &mut bool,
) -> Option<Does> {
    let head = message.head();
    let method = head.method();
    let applies = |template: &Template, rule: &Rule, path: &[&str]| {
        rule.when.is_empty() || {
            let arguments = rest::arguments_of_plain(message, template, path);
            let environments = opinions.environments();
            let call = Call { head, arguments: &arguments, environments };
            opinions.applies(&rule.when, rule.word, call, rule.place)
        }
    };
    let fits = |rule: &Rule| match &rule.method {
        None => true,
        Some(wanted) => wanted == method || (*wanted == Method::GET && *method == Method::HEAD),
    };
    let mut does = None;
    // A trailing slash or dot is another spelling to many servers; it is no way past these.
    let mut restricting: Vec<&Rule> = Vec::new();
    let mut restrict = |path: &[&str]| {
        let path = bare_path(path);
        let matching = rules.restricting.matches(&path).into_iter();
        let fitting =
            matching.filter(|(template, rule)| fits(rule) && applies(template, rule, &path));
        restricting.extend(fitting.map(|(_, rule)| rule));
    };
    restrict(path);
    if path.iter().any(|segment| segment.contains('/')) {
        // An encoded slash is one to many servers: both readings count.
        let split: Vec<&str> = path.iter().flat_map(|segment| segment.split('/')).collect();
        restrict(&split);
    }
    let allowing = rules.allowing.matches(path).into_iter();
    let allowing: Vec<&(Template, Rule)> =
        allowing.filter(|(template, rule)| fits(rule) && applies(template, rule, path)).collect();
    for rule in restricting {
        let of_rule = by_rule(rule, operation);
        does = does.max(Some(of_rule));
        if rule.word == Word::Deny {
            opinions.deny(Reason::ScopeViolation, Some((resource, Some(rule.place))));
        } else {
            let reason = held_reason(of_rule.0);
            opinions.word(Word::Hold, reason, Some(resource), Some(rule.place), None);
        }
    }
    *websocket |= allowing.iter().any(|(_, rule)| rule.websocket);
    let outright: Vec<&Rule> = allowing
        .iter()
        .filter(|(template, rule)| is_outright(template, rule, operation, head, path))
        .map(|(_, rule)| rule)
        .collect();
    if let Some(first) = outright.first() {
        opinions.allow(resource, Some(first.place));
        // Of several that allow it, the one that says the graver is believed.
        return does.max(outright.iter().map(|rule| by_rule(rule, operation)).max());
    }
    let Some((_, rule)) = allowing.first() else { return does };
    // What destroys, or does nobody knows what, is not meant by a wildcard.
    opinions.word(
        Word::Hold,
        held_reason(operation.effect),
        Some(resource),
        Some(rule.place),
        None,
    );
    does.max(Some((operation.effect, operation.reversibility)))
}

/// Whether an allowing rule means this very call, rather than covering it by a wildcard.
fn is_outright(
    template: &Template,
    rule: &Rule,
    operation: &Operation,
    head: &Head,
    path: &[&str],
) -> bool {
    if rule.effect.is_some() {
        return true;
    }
    match operation.effect {
        Effect::Destructive => {}
        Effect::Unknown => return rule.method.is_some(),
        _ => return true,
    }
    if template.has_wildcard() || (*head.method() == Method::DELETE && rule.method.is_none()) {
        return false;
    }
    let query =
        head.query().pairs().iter().any(|(name, value)| is_destructive_parameter(name, value));
    let words_written = path.iter().zip(template.segments()).all(|(segment, written)| {
        !is_destructive_word(segment) || matches!(written, Segment::Literal(_))
    });
    words_written && !query
}
