//! Who owns an id: declared in the policy first, learned from answers second, else nobody.
//!
//! Takes an id of a request; returns its owners. What was learned lets reads pass, and writes where it
//! was learned whole, as the owner's lists have it; anything else waits for a person at least.

use super::{Context, Target};
use crate::catalog::{Catalog, Effect};
use crate::inspect::Identity;
use crate::message::Head;
use crate::policy::Ix;
use std::sync::Arc;
use std::time::Duration;

/// Where it was learned who owns a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Learned {
    /// How long ago.
    pub ago: Duration,
    /// From the answer to what, as in `query project`.
    pub operation: Arc<str>,
    /// Of which request.
    pub request_id: Arc<str>,
    /// Whether it may belong to others as well.
    pub shared: bool,
    /// Whether the proxy itself asked, which lets nothing pass that would have waited.
    pub looked_up: bool,
}

/// An owner of an id.
pub(super) struct Owner {
    /// The kind of the id.
    pub(super) kind: String,
    /// The resource.
    pub(super) resource: Ix,
    /// Where that was learned, if it is not declared.
    pub(super) learned: Option<Learned>,
}

/// The owners of an id.
pub(super) fn of(
    identity: &Identity,
    head: &Head,
    catalog: &Catalog,
    context: &Context<'_>,
) -> Vec<Owner> {
    let (policy, service) = (context.policy, &catalog.service);
    let owner = |kind: &str, ix: &Ix| Owner { kind: kind.to_owned(), resource: *ix, learned: None };
    // Some kinds stand for things of any other.
    let any = |kind: &str| catalog.of_any_kind.contains(kind);
    let kind = identity.kind.as_deref().filter(|kind| !any(kind));
    let declared: Vec<Owner> = if let Some(kind) = kind {
        let kinds = std::iter::once(kind).chain(catalog.of_any_kind.iter().map(String::as_str));
        let owners = |kind| policy.owners(service, kind, &identity.value).iter();
        kinds.flat_map(|kind| owners(kind).map(move |ix| owner(kind, ix))).collect()
    } else {
        let kinds = policy.owners_of_any_kind(service, &identity.value).into_iter();
        kinds.flat_map(|(kind, owners)| owners.iter().map(move |ix| owner(kind, ix))).collect()
    };
    if catalog.has_declared_hosts() {
        // Each host is a world of its own: one cluster's `default` is not another's. Nothing is learned
        // from them either.
        let host = head.target().host().as_str();
        let here = |owner: &Owner| {
            let resource = policy.resources.get(owner.resource);
            resource.is_some_and(|r| r.hosts.iter().any(|pattern| pattern.fits(host)))
        };
        return declared.into_iter().filter(here).collect();
    }
    if !declared.is_empty() {
        return declared;
    }
    let view = context.inventory;
    let found = view.owners(policy, service, kind, &identity.value);
    let learned = found.into_iter().map(|found| Owner {
        kind: found.kind.to_string(),
        resource: found.resource,
        learned: Some(Learned {
            ago: found.fact.age(view.now()),
            operation: found.fact.lesson.operation.clone(),
            request_id: found.fact.lesson.request_id.clone(),
            shared: found.doubt.shared,
            looked_up: found.doubt.looked_up,
        }),
    });
    learned.collect()
}

/// The owners of what an id that nobody owns lies in, as `acme/web` does in `acme`. They are declared:
/// what is learned says nothing of what else a thing holds.
pub(super) fn of_what_holds(
    identity: &Identity,
    head: &Head,
    catalog: &Catalog,
    context: &Context<'_>,
) -> Vec<Owner> {
    let holder = identity.kind.as_ref().and_then(|kind| catalog.within.get(&**kind));
    let (Some(kind), Some((value, _))) = (holder, identity.value.split_once('/')) else {
        return Vec::new();
    };
    let holder = Identity { kind: Some(Arc::from(kind.as_str())), value: value.to_owned() };
    let owners = of(&holder, head, catalog, context).into_iter();
    owners.filter(|owner| owner.learned.is_none()).collect()
}

/// Whether nobody but the proxy itself has asked whose an id is. That lets nothing pass, so the id is
/// unknown as well.
pub(super) fn only_looked_up(owners: &[Owner]) -> bool {
    owners.iter().all(|owner| owner.learned.as_ref().is_some_and(|learned| learned.looked_up))
}

/// Whether what was learned is too little for a call to pass without a person.
pub(super) fn too_little(owners: &[Owner], effect: Effect) -> bool {
    let learned = |owner: &Owner| owner.learned.is_some();
    match effect {
        Effect::Read => false,
        // An owner that was seen among others that were not may be one of several.
        Effect::Write => {
            let whole =
                |owner: &Owner| owner.learned.as_ref().is_none_or(|it| !it.shared && !it.looked_up);
            owners.iter().any(learned) && !owners.iter().any(whole)
        }
        _ => owners.iter().any(learned),
    }
}

impl Owner {
    /// The id as a target of this owner.
    pub(super) fn target(&self, id: String, context: &Context<'_>) -> Target {
        let resource = context.policy.resources.get(self.resource);
        Target {
            kind: self.kind.clone(),
            id,
            environment: resource.and_then(|resource| resource.environment.clone()),
            resource: resource.map(|resource| resource.name.clone()),
            learned: self.learned.clone(),
        }
    }
}
