//! Where a service exchanges a credential for a token.
//!
//! Takes `tokens:` as written; returns what each of its endpoints hands out, and for how long. Refuses
//! an operation that the catalog does not have, and one that hands nothing out.

use super::HostPattern;
use serde::Deserialize;

/// An operation that hands out tokens in exchange for a credential.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenEndpoint {
    /// The operation, by its name.
    pub operation: Box<str>,
    /// The only host where it does, if not all.
    host: Option<String>,
    /// What its requests have besides the members that OAuth and registries name, as in `client.secret`.
    #[serde(default)]
    takes: Vec<Box<str>>,
    /// The members of an answer that are credentials, as in `access_token` or `access_token.token`; of
    /// an answer in XML, the elements.
    pub hands_out: Vec<Box<str>>,
    /// The member that says how long they last: seconds, or a point in time.
    pub life: Option<Box<str>>,
    /// Whether it hands tokens out to anybody, too, who presents no credential.
    #[serde(default)]
    pub anonymous: bool,
    /// Whether what it hands out may do more than what was presented: it mints, and is judged so.
    #[serde(default)]
    pub mints: bool,
    #[serde(skip)]
    on: Option<HostPattern>,
}

impl TokenEndpoint {
    /// Checks it against the catalog that it stands in.
    pub(super) fn compile(
        mut self,
        is_known: impl Fn(&str) -> bool,
    ) -> Result<Self, (String, String)> {
        let error = |message: &str| (self.operation.to_string(), message.to_owned());
        if !is_known(&self.operation) {
            return Err(error("`tokens`: the catalog has no such operation"));
        }
        if self.hands_out.is_empty() {
            return Err(error("`tokens`: say what it hands out in `hands_out:`"));
        }
        if let Some(host) = &self.host {
            let on = HostPattern::parse(host).ok_or_else(|| error("`tokens`: that is no host"))?;
            self.on = Some(on);
        }
        Ok(self)
    }

    /// Whether its requests have a member of this name by the catalog.
    pub fn has_member(&self, name: &str) -> bool {
        self.takes.iter().any(|known| **known == *name)
    }

    /// Whether an operation on a host is this.
    pub fn is(&self, operation: &str, host: &str) -> bool {
        *self.operation == *operation && self.on.as_ref().is_none_or(|on| on.fits(host))
    }
}
