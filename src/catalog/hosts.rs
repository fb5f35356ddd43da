//! The hosts of a service as a catalog writes them.
//!
//! Takes `api.example.com`, `*.example.com` (one label more) or `**.example.com` (one or more);
//! says which hosts are meant. Refuses anything else.

use crate::message::Host;

/// The hosts that one entry means.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// Exactly this one.
    Exact(Box<str>),
    /// Any with exactly one label before this parent.
    Label(Box<str>),
    /// Any below this parent.
    Below(Box<str>),
}

impl HostPattern {
    /// Reads an entry.
    pub fn parse(text: &str) -> Option<Self> {
        let host = |text: &str| Some(Box::from(Host::parse(text).ok()?.as_str()));
        if let Some(parent) = text.strip_prefix("**.") {
            return host(parent).map(Self::Below);
        }
        match text.strip_prefix("*.") {
            Some(parent) => host(parent).map(Self::Label),
            None => host(text).map(Self::Exact),
        }
    }

    /// The host, or the parent of those that are meant.
    pub fn host(&self) -> &str {
        let (Self::Exact(host) | Self::Label(host) | Self::Below(host)) = self;
        host
    }

    /// Whether a host is meant.
    pub fn fits(&self, host: &str) -> bool {
        match self {
            Self::Exact(exact) => **exact == *host,
            Self::Label(parent) => host.split_once('.').is_some_and(|(_, rest)| *rest == **parent),
            Self::Below(parent) => host
                .strip_suffix(&**parent)
                .and_then(|before| before.strip_suffix('.'))
                .is_some_and(|before| !before.is_empty()),
        }
    }

    /// Whether some host is meant by both.
    pub fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(host), pattern) | (pattern, Self::Exact(host)) => pattern.fits(host),
            (Self::Label(one), Self::Label(other)) => one == other,
            (Self::Label(parent), Self::Below(above))
            | (Self::Below(above), Self::Label(parent)) => {
                parent == above || Self::Below(above.clone()).fits(parent)
            }
            (Self::Below(one), Self::Below(other)) => {
                one == other || self.fits(other) || Self::Below(other.clone()).fits(one)
            }
        }
    }
}

impl std::fmt::Display for HostPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let before = match self {
            Self::Exact(_) => "",
            Self::Label(_) => "*.",
            Self::Below(_) => "**.",
        };
        write!(f, "{before}{}", self.host())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_fit_by_whole_labels() {
        let cases = [
            ("a.test", "a.test", true),
            ("a.test", "b.a.test", false),
            ("*.a.test", "b.a.test", true),
            ("*.a.test", "a.test", false),
            ("*.a.test", "c.b.a.test", false),
            ("**.a.test", "c.b.a.test", true),
            ("**.a.test", "a.test", false),
            ("**.a.test", "ba.test", false),
        ];
        for (pattern, host, fits) in cases {
            assert_eq!(HostPattern::parse(pattern).unwrap().fits(host), fits, "{pattern} {host}");
        }
        for text in ["", "*", "*.*.a", "a.*.b", "**", "a b"] {
            assert_eq!(HostPattern::parse(text), None, "{text}");
        }
    }

    #[test]
    fn two_patterns_meet_where_a_host_fits_both() {
        let cases = [
            ("a.test", "*.test", true),
            ("*.a.test", "*.b.test", false),
            ("*.a.test", "**.test", true),
            ("**.a.test", "**.b.a.test", true),
            ("**.a.test", "*.a.test", true),
            ("**.b.a.test", "*.a.test", false),
        ];
        for (one, other, meet) in cases {
            let [one, other] = [one, other].map(|text| HostPattern::parse(text).unwrap());
            assert_eq!(one.meets(&other), meet, "{one} {other}");
            assert_eq!(other.meets(&one), meet, "{other} {one}");
        }
    }
}
