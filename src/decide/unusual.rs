//! What a baseline adds to a ruling.
//!
//! Takes a ruling and the last request of the session; notes how unusual the request is for the agent's
//! profile. One that is as unusual as the policy says, or more, waits for a person: an allow becomes a
//! hold, a hold has one reason more that its approval has to cover, and a denial stays as it is.

use super::{Context, Finding, Reason, Ruling};
use crate::baseline::{Step, Surprise};
use crate::message::Head;
use crate::policy::Word;
use std::sync::Arc;

/// How unusual a request is for a profile.
#[derive(Clone, Debug)]
pub struct Unusual {
    /// The profile.
    pub profile: Arc<str>,
    /// By how much, and what made it so.
    pub surprise: Surprise,
    /// Whether that is why it waits.
    pub raised: bool,
}

/// Compares a request with the agent's baseline, if it has one.
pub(super) fn compare(ruling: &mut Ruling, head: &Head, context: &Context<'_>) {
    let Some(baseline) = &context.agent.baseline else { return };
    let operations = ruling.operations.iter().map(|operation| (operation.effect, &operation.name));
    let Some(step) = Step::new(head.target().host().shared(), operations) else { return };
    let surprise = baseline.model.surprise(&step, context.before);
    // What was approved comes again after something else than it came after first, and its approval is
    // no less of it for that.
    let millibits = match context.grant {
        Some(_) => surprise.millibits_whenever(),
        None => surprise.millibits(),
    };
    let place = baseline.raise_at.filter(|(bits, _)| millibits >= *bits);
    let raised = place.is_some() && ruling.word != Word::Deny;
    if raised {
        let evidence = format!("{surprise} against the profile {}", baseline.profile);
        ruling.findings.push(Finding {
            reason: Reason::ApprovalRequired,
            slot: None,
            evidence: Some(evidence),
        });
        ruling.findings.sort_by_key(|finding| finding.reason);
        ruling.terms.reasons.insert(TERM.to_owned());
    }
    if raised && ruling.word == Word::Allow {
        ruling.word = Word::Hold;
        ruling.reason = Some(Reason::ApprovalRequired);
        ruling.rule = place.map(|(_, place)| context.policy.rule_name(place));
        let operation = ruling.operation().map_or("the call", |operation| operation);
        ruling.detail = format!(
            "`{operation}` is unusual for the work this agent was given, so a person has to approve it."
        );
    }
    let profile = baseline.profile.clone();
    ruling.surprise = Some(Box::new(Unusual { profile, surprise, raised }));
}

/// What stands on the card for it.
pub(super) const TERM: &str = "approval_required by the baseline";
