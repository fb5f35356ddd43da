//! Credentials in JSON that stands in the place of headers.
//!
//! Takes a value and the slot it stands in; returns one [`Presented`] for each text below a key that
//! names a credential as a header or a parameter would, or that has a vendor's form. Refuses values
//! with more of them than any client sends.

use super::Presented;
use super::form::has_form;
use super::reading::{one, read};
use super::slot::{is_parameter, is_slot};
use crate::fingerprint::FingerprintKey;
use serde_json::Value;

/// More than any client presents in one place.
const MOST: usize = 50;
/// How much of a name is shown.
const LONGEST: usize = 60;

/// There are more credentials than are judged.
#[derive(Debug)]
pub(in crate::inspect) struct TooMany;

/// The credentials in a value.
pub(in crate::inspect) fn within(
    value: &Value,
    slot: &str,
    key: &FingerprintKey,
) -> Result<Vec<Presented>, TooMany> {
    let mut found = Vec::new();
    walk(value, slot, false, key, &mut found)?;
    Ok(found)
}

/// `named` is whether a key above names a credential.
fn walk(
    value: &Value,
    slot: &str,
    named: bool,
    key: &FingerprintKey,
    found: &mut Vec<Presented>,
) -> Result<(), TooMany> {
    match value {
        Value::String(text) if !text.is_empty() && (named || has_form(text.as_bytes())) => {
            read(slot, text.trim().as_bytes(), key, found);
        }
        Value::Number(number) if named => read(slot, number.to_string().as_bytes(), key, found),
        Value::Array(members) => {
            for member in members {
                walk(member, slot, named, key, found)?;
            }
        }
        Value::Object(map) => {
            for (name, value) in map {
                if has_form(name.as_bytes()) {
                    found.push(one(&format!("{slot} name"), name.as_bytes(), name.as_bytes(), key));
                }
                walk(value, &below(slot, name), named || names_credential(name), key, found)?;
            }
        }
        _ => {}
    }
    if found.len() > MOST { Err(TooMany) } else { Ok(()) }
}

fn names_credential(name: &str) -> bool {
    let lower = name.trim().to_lowercase();
    is_slot(&lower) || is_parameter(&lower) || matches!(lower.as_str(), "cookie" | "set-cookie")
}

/// The slot of a key, which is the agent's text.
fn below(slot: &str, name: &str) -> String {
    let shown: String = if has_form(name.as_bytes()) {
        "[credential]".to_owned()
    } else {
        name.trim().chars().filter(|c| !c.is_control()).take(LONGEST).collect()
    };
    // However deep it stands, a slot is one short line.
    let slot: String = slot.chars().take(4 * LONGEST).collect();
    format!("{slot} {}", shown.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const TOKEN: &str = "00000000-0000-4000-8000-00000000dead";

    #[test]
    fn every_slot_of_connection_parameters_is_found() {
        let key = FingerprintKey::new(b"key");
        let of_token = key.fingerprint(TOKEN.as_bytes());
        for (value, slot) in [
            (json!({"Authorization": format!("Bearer {TOKEN}")}), "init authorization"),
            (json!({"authToken": TOKEN}), "init authtoken"),
            (json!({"headers": {"authorization": TOKEN}}), "init headers authorization"),
            (json!({"headers": {"X-Api-Key": [TOKEN]}}), "init headers x-api-key"),
            (json!({"apiKey": {"value": TOKEN}}), "init apikey value"),
            (json!({" Token": TOKEN}), "init token"),
            (json!({"cookie": TOKEN}), "init cookie"),
        ] {
            let found = within(&value, "init", &key).unwrap();
            assert_eq!(found.len(), 1, "{value}");
            assert_eq!(found[0].slot, slot);
            assert!(found[0].readings().contains(&of_token), "{value}");
        }
        let form = "ghp_0123456789abcdef0123456789abcdef0123";
        for value in [json!({"thing": form}), json!({ form: 1 }), json!({"a": [{"b": form}]})] {
            let found = within(&value, "init", &key).unwrap();
            assert_eq!(found.len(), 1, "{value}");
            assert!(!format!("{found:?}").contains("ghp_"), "{found:?}");
        }
        for value in [json!({"projectId": TOKEN}), json!({"token": null}), json!({"token": ""})] {
            assert!(within(&value, "init", &key).unwrap().is_empty(), "{value}");
        }
        let many: Vec<Value> = (0..=MOST).map(|n| json!(format!("secret {n}"))).collect();
        assert!(within(&json!({ "token": many }), "init", &key).is_err());
    }
}
