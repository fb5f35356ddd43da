//! Credentials that the agent never holds: it sends a placeholder, the proxy puts the real value in.
//!
//! Takes a value and the key of the installation; returns [`Injected`], which puts the value in the
//! place of its placeholder in a header or a query and takes it out of answers. Refuses values that
//! no header can carry, and those too short to be told apart in an answer. Pure.

mod placeholder;
mod rest;
mod scrub;

pub use rest::Rest;
pub use scrub::Scrubber;

use crate::fingerprint::FingerprintKey;
use crate::inspect::credential::decoded;
use crate::message::path::pairs;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use percent_encoding::utf8_percent_encode;
use scrub::{Scrub, UNRESERVED};
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// A shorter value could stand in an answer by chance.
const SHORTEST: usize = 12;
/// A longer one fits no header that servers take.
const LONGEST: usize = 4096;

/// Why a value cannot be put in; the operator's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Too short or too long.
    #[error("a value that is put in has {SHORTEST} to {LONGEST} bytes")]
    Length,
    /// A byte that may not stand in a header (RFC 9110 section 5.5), or that ends a value.
    #[error(
        "a value that is put in has visible ASCII characters only, no spaces and no line breaks"
    )]
    Character,
}

/// A credential whose value only the proxy has. Nothing of the value is printed.
pub struct Injected {
    name: Arc<str>,
    placeholder: String,
    value: Zeroizing<String>,
    scrub: Scrub,
    sought: rest::Sought,
}

/// Where in a request a placeholder stands for a value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Header(HeaderName),
    /// A parameter by its name, decoded and in small letters.
    Query(String),
}

/// A value that is to be put in, and where; made by a verdict, used once it allows.
#[derive(Clone, Debug)]
pub struct Injection {
    place: Place,
    injected: Arc<Injected>,
}

impl Injected {
    /// A credential by its name in the policy.
    pub fn new(name: Arc<str>, value: &[u8], key: &FingerprintKey) -> Result<Self, Unfit> {
        if !(SHORTEST..=LONGEST).contains(&value.len()) {
            return Err(Unfit::Length);
        }
        let text = str::from_utf8(value).map_err(|_not_text| Unfit::Character)?;
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Unfit::Character);
        }
        let placeholder = placeholder::of(text, &name, key);
        let scrub = Scrub::new(text, &placeholder);
        let sought = rest::Sought::new(text, key);
        Ok(Self { name, placeholder, value: Zeroizing::new(text.to_owned()), scrub, sought })
    }

    /// Its name in the policy.
    pub const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What the agent holds in its stead.
    pub fn placeholder(&self) -> &str {
        &self.placeholder
    }

    /// How its value is put in where a slot of a request presents its placeholder; none where the slot
    /// is not one that a value is put in, or has more in it than the placeholder.
    pub fn injection(
        self: &Arc<Self>,
        slot: &str,
        headers: &HeaderMap,
        query: &str,
    ) -> Option<Injection> {
        let place = match slot.split_once(' ')? {
            ("header", name) => {
                let name = HeaderName::try_from(name).ok()?;
                let mut values = headers.get_all(&name).iter();
                values.find_map(|value| self.header(value))?;
                Place::Header(name)
            }
            ("query", name) => {
                query.split('&').find_map(|pair| self.pair(pair, name))?;
                Place::Query(name.to_owned())
            }
            _ => return None,
        };
        Some(Injection { place, injected: self.clone() })
    }

    /// A header with the value in the place of the placeholder: alone, behind a scheme, quoted, or as
    /// user or password of Basic (RFC 7617). It is never printed, and never kept in a table of HPACK.
    fn header(&self, given: &HeaderValue) -> Option<HeaderValue> {
        let text = given.to_str().ok()?.trim();
        let (scheme, rest) = text.split_once([' ', '\t']).unwrap_or(("", text));
        let rest = rest.trim_start();
        let put = if scheme.eq_ignore_ascii_case("basic") {
            let decoded = decoded(rest.as_bytes())?;
            let pair = str::from_utf8(&decoded).ok()?;
            let (user, password) = pair.split_once(':').unwrap_or((pair, ""));
            let of = |part: &str| {
                if part == self.placeholder {
                    self.value.clone()
                } else {
                    Zeroizing::new(part.to_owned())
                }
            };
            if user != self.placeholder && password != self.placeholder {
                return None;
            }
            let (user, password) = (of(user), of(password));
            let pair = Zeroizing::new(format!("{}:{}", *user, *password));
            Zeroizing::new(STANDARD.encode(pair.as_bytes()))
        } else {
            let quoted = rest.split_once(self.placeholder.as_str())?;
            match quoted {
                ("" | "token=", "") | ("token=\"", "\"") => {}
                _ => return None,
            }
            Zeroizing::new(format!("{}{}{}", quoted.0, *self.value, quoted.1))
        };
        let whole = Zeroizing::new(match scheme {
            "" => put.to_string(),
            scheme => format!("{scheme} {}", *put),
        });
        let mut value = HeaderValue::from_str(&whole).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// A pair of a query with the value in the place of the placeholder, where it has the name.
    fn pair(&self, pair: &str, named: &str) -> Option<Zeroizing<String>> {
        let (name, value) = pairs(pair).ok()?.pop()?;
        if value != self.placeholder || !name.eq_ignore_ascii_case(named) {
            return None;
        }
        let (name, _) = pair.split_once('=')?;
        let value = utf8_percent_encode(&self.value, UNRESERVED);
        Some(Zeroizing::new(format!("{name}={value}")))
    }
}

impl Injection {
    /// Puts the value in.
    pub fn put_in(&self, headers: &mut HeaderMap, path_and_query: &mut Zeroizing<String>) {
        match &self.place {
            Place::Header(name) => {
                for (_, value) in headers.iter_mut().filter(|(other, _)| *other == name) {
                    if let Some(put) = self.injected.header(value) {
                        *value = put;
                    }
                }
            }
            Place::Query(name) => {
                let Some((_, query)) = path_and_query.split_once('?') else { return };
                let mut at = path_and_query.len() - query.len();
                // One pair for what was presented once: the others are the agent's own text.
                for pair in query.split('&') {
                    if let Some(put) = self.injected.pair(pair, name) {
                        let before = path_and_query.get(..at).unwrap_or_default();
                        let after = path_and_query.get(at + pair.len()..).unwrap_or_default();
                        *path_and_query = Zeroizing::new(format!("{before}{}{after}", *put));
                        return;
                    }
                    at += pair.len() + 1;
                }
            }
        }
    }
}

impl fmt::Debug for Injected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Injected").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
