//! The query protocol: parameters in the query of a GET or in a form, EC2's spelling among them.
//!
//! Takes decoded pairs; returns the `Action` and its arguments as JSON, with `InstanceId.1` and
//! `Tag.member.1.Key` made into arrays and objects. Every value is a string.
//! Refuses what two readers could take two ways: a name twice or in two spellings, a value and a list
//! under one name, numbers and names beside each other.

use crate::inspect::Unreadable;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Parameters of the signature, which are no arguments.
const SIGNATURE: &[&str] = &[
    "awsaccesskeyid",
    "expires",
    "securitytoken",
    "signature",
    "signaturemethod",
    "signatureversion",
    "timestamp",
];

/// Whether a parameter belongs to the signature, not to the call.
pub(super) fn is_signature(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(
        name.as_str(),
        "x-amz-algorithm"
            | "x-amz-content-sha256"
            | "x-amz-credential"
            | "x-amz-date"
            | "x-amz-expires"
            | "x-amz-region-set"
            | "x-amz-security-token"
            | "x-amz-signature"
            | "x-amz-signedheaders"
    ) || SIGNATURE.contains(&name.as_str())
}

/// Whether a name is the one that says which operation it is, in any spelling.
pub(super) fn is_action(name: &str) -> bool {
    name.split('.').next().is_some_and(|first| first.trim().eq_ignore_ascii_case("action"))
}

/// Reads the pairs of a query or a form.
pub(super) fn read(pairs: &[(String, String)]) -> Result<(String, Map<String, Value>), Unreadable> {
    const MOST: usize = 10_000;
    if pairs.len() > MOST {
        return Err(Unreadable::Aws("it has more than 10,000 parameters"));
    }
    let mut action = None;
    let mut root = Node::default();
    let mut seen = std::collections::HashSet::new();
    for (name, value) in pairs {
        if !seen.insert(name.trim().to_ascii_lowercase()) {
            return Err(Unreadable::Aws("a parameter stands in it twice"));
        }
        if is_action(name) {
            if name != "Action" {
                return Err(Unreadable::Aws("`Action` is spelled in another way"));
            }
            action = Some(value.clone());
        } else if !is_signature(name) {
            root.put(name, value)?;
        }
    }
    let action = action.ok_or(Unreadable::Aws("it has no Action"))?;
    if action.is_empty() || !action.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(Unreadable::Aws("its Action is not the name of an operation"));
    }
    match root.value()? {
        Value::Object(arguments) => Ok((action, arguments)),
        _ => Ok((action, Map::new())),
    }
}

#[derive(Debug, Default)]
struct Node {
    text: Option<String>,
    names: BTreeMap<String, Self>,
    numbers: BTreeMap<u32, Self>,
}

impl Node {
    fn put(&mut self, name: &str, value: &str) -> Result<(), Unreadable> {
        // Also what bounds the recursion of `value`.
        const DEEPEST: usize = 16;
        let parts: Vec<&str> = name.split('.').collect();
        if parts.len() > DEEPEST || parts.iter().any(|part| part.is_empty()) {
            return Err(Unreadable::Aws("the name of a parameter does not parse"));
        }
        let mut at = self;
        for (depth, part) in parts.into_iter().enumerate() {
            let number = part.bytes().all(|byte| byte.is_ascii_digit());
            at = if number && depth > 0 {
                let number: u32 = part
                    .parse()
                    .ok()
                    .filter(|_| !part.starts_with('0') || part == "0")
                    .ok_or(Unreadable::Aws("the number of a list does not parse"))?;
                at.numbers.entry(number).or_default()
            } else {
                at.names.entry(part.to_owned()).or_default()
            };
        }
        at.text = Some(value.to_owned());
        Ok(())
    }

    fn value(self) -> Result<Value, Unreadable> {
        let Self { text, names, numbers } = self;
        match (text, names.is_empty(), numbers.is_empty()) {
            (Some(text), true, true) => Ok(Value::String(text)),
            (None, _, false) if names.is_empty() => {
                Ok(Value::Array(numbers.into_values().map(Self::value).collect::<Result<_, _>>()?))
            }
            (None, _, true) => {
                let mut map = Map::new();
                for (name, node) in names {
                    map.insert(name, node.value()?);
                }
                // `Tags.member.1` is the first of the list `Tags`.
                if map.len() == 1
                    && let Some(list @ Value::Array(_)) = map.get_mut("member")
                {
                    return Ok(list.take());
                }
                Ok(Value::Object(map))
            }
            _ => Err(Unreadable::Aws("a parameter is a value and a list at once")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::path::pairs;
    use serde_json::json;

    #[test]
    fn parameters_become_arguments() {
        let cases = [
            ("Action=A", json!({})),
            ("Action=A&X=1&Version=2", json!({"X": "1", "Version": "2"})),
            ("Action=A&InstanceId.2=b&InstanceId.1=a", json!({"InstanceId": ["a", "b"]})),
            (
                "Action=A&Filter.1.Name=n&Filter.1.Value.1=v&Filter.1.Value.2=w",
                json!({"Filter": [{"Name": "n", "Value": ["v", "w"]}]}),
            ),
            (
                "Action=A&T.member.1.Key=k&T.member.1.Value=v",
                json!({"T": [{"Key": "k", "Value": "v"}]}),
            ),
            ("Action=A&Filters.Filter.1.Name=n", json!({"Filters": {"Filter": [{"Name": "n"}]}})),
            ("Action=A&DryRun=true&X=TRUE", json!({"DryRun": "true", "X": "TRUE"})),
            (
                "Action=A&M.entry.1.key=k&M.entry.1.value=v",
                json!({"M": {"entry": [{"key": "k", "value": "v"}]}}),
            ),
            (
                "Action=A&X-Amz-Signature=1&Signature=2&Name=%26Action%3DB",
                json!({"Name": "&Action=B"}),
            ),
        ];
        for (text, expected) in cases {
            let (action, arguments) = read(&pairs(text).unwrap()).unwrap();
            assert_eq!((action.as_str(), Value::Object(arguments)), ("A", expected), "{text}");
        }
    }

    #[test]
    fn what_has_two_readings_is_refused() {
        for text in [
            "Version=1",
            "action=A",
            "Action=",
            "Action=A&Action=B",
            "Action=A&action=B",
            "Action=A&%41ction=B",
            "Action=A&Action.1=B&X=1",
            "Action=A%20B",
            "Action=a.b",
            "Action=A&X=1&X=2",
            "Action=A&X=1&x=2",
            "Action=A&X=1&X.1=2",
            "Action=A&X.1=1&X.name=2",
            "Action=A&X.01=1",
            "Action=A&X..1=1",
            "Action=A&X.99999999999=1",
            "Action=A&X.1=1&X.1.Y=2",
            "Action=A&a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q=1",
        ] {
            assert!(read(&pairs(text).unwrap()).is_err(), "{text}");
        }
    }
}
