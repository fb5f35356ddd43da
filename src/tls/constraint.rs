//! Which hosts an authority may sign for: name constraints (RFC 5280 section 4.2.1.10).
//!
//! Takes the hosts that a policy declares, or a certificate; returns the extension, or the hosts in
//! it. A name permits every name below it too, so that a wildcard's parent stands for the wildcard.
//! Refuses an authority and a policy that do not fit each other.

use rcgen::{CidrSubnet, GeneralSubtree, NameConstraints};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

/// How an authority and a policy do not fit; the fault is the operator's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// The policy wants constraints and there are none, or they let addresses through.
    #[error(
        "it may sign for any host, but the policy says `ca.constrain: true`; remove `ca.pem` and `ca.key` to have a new one made, or unset `constrain`"
    )]
    Unconstrained,
    /// There are constraints that the policy does not know of.
    #[error(
        "it may sign for some hosts only, but the policy does not say `ca.constrain: true`; say so, or remove `ca.pem` and `ca.key` to have a new one made"
    )]
    Constrained,
    /// The policy has hosts that the constraints have not.
    #[error(
        "it may not sign for {0}, which the policy declares; remove `ca.pem` and `ca.key` to have a new one made, or unset `constrain` and remove them"
    )]
    Uncovered(String),
}

/// The constraints to these hosts: nothing else, and no address.
pub(super) fn to(hosts: &[String]) -> NameConstraints {
    let every_address = [CidrSubnet::V4([0; 4], [0; 4]), CidrSubnet::V6([0; 16], [0; 16])];
    NameConstraints {
        permitted_subtrees: hosts.iter().cloned().map(GeneralSubtree::DnsName).collect(),
        excluded_subtrees: every_address.map(GeneralSubtree::IpAddress).into(),
    }
}

/// The hosts that a certificate is constrained to; nothing where it may sign for others as well.
pub(super) fn of(certificate: &X509Certificate<'_>) -> Option<Vec<String>> {
    let constraints = certificate.name_constraints().ok()??.value;
    let excluded = constraints.excluded_subtrees.iter().flatten();
    let whole = |length: usize| {
        let all_zero = |bytes: &[u8]| bytes.len() == length && bytes.iter().all(|byte| *byte == 0);
        excluded.clone().any(
            |subtree| matches!(&subtree.base, GeneralName::IPAddress(network) if all_zero(network)),
        )
    };
    // An address and its mask.
    if !whole(8) || !whole(32) {
        return None;
    }
    let permitted = constraints.permitted_subtrees.iter().flatten();
    let hosts: Vec<String> = permitted
        .filter_map(|subtree| match &subtree.base {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        })
        .collect();
    (!hosts.is_empty()).then_some(hosts)
}

/// Whether an authority that is constrained to some hosts fits a policy that wants others.
pub(super) fn check(permitted: Option<&[String]>, wanted: Option<&[String]>) -> Result<(), Misfit> {
    let (permitted, wanted) = match (permitted, wanted) {
        (None, None) => return Ok(()),
        (None, Some(_)) => return Err(Misfit::Unconstrained),
        (Some(_), None) => return Err(Misfit::Constrained),
        (Some(permitted), Some(wanted)) => (permitted, wanted),
    };
    let below = |host: &str, name: &str| {
        host.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    let uncovered = |host: &&String| !permitted.iter().any(|name| below(host, name));
    let mut missing = wanted.iter().filter(uncovered);
    let Some(first) = missing.next() else { return Ok(()) };
    Err(Misfit::Uncovered(match missing.count() {
        0 => format!("`{first}`"),
        more => format!("`{first}` and {more} more"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_covers_itself_and_what_is_below_it() {
        let hosts = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let permitted = hosts(&["docs.example", "a.b.example"]);
        let cases: [(&[&str], Option<&str>); 6] = [
            (&["docs.example", "a.b.example"], None),
            (&["x.docs.example"], None),
            (&["xdocs.example"], Some("`xdocs.example`")),
            (&["example", "b.example", "docs.example"], Some("`example` and 1 more")),
            (&["docs.example.evil.example"], Some("`docs.example.evil.example`")),
            (&[], None),
        ];
        for (wanted, missing) in cases {
            let checked = check(Some(&permitted), Some(&hosts(wanted)));
            let expected = missing.map_or(Ok(()), |text| Err(Misfit::Uncovered(text.to_owned())));
            assert_eq!(checked, expected, "{wanted:?}");
        }
        assert_eq!(check(None, Some(&permitted)), Err(Misfit::Unconstrained));
        assert_eq!(check(Some(&permitted), None), Err(Misfit::Constrained));
    }
}
