//! Strict JSON: what it accepts has one value, the value that others read.

use holdgate::message::json::{canonical, has_inexact_number, parse};
use serde_json::Value;
use std::collections::HashSet;

/// Reads the bytes as one document, beside `serde_json` and a walk over its keys.
pub fn json(data: &[u8]) {
    let lenient = serde_json::from_slice::<Value>(data);
    match (parse(data), lenient) {
        (Ok(strict), Ok(lenient)) => {
            assert_eq!(strict, lenient, "two values of one document");
            assert!(!has_twice(data), "a key stands there twice");
            stable(&strict);
        }
        (Ok(_), Err(error)) => panic!("serde_json refuses it: {error}"),
        // The one thing that the strict reader adds.
        (Err(error), Ok(_)) => assert!(has_twice(data), "{error}"),
        (Err(error), Err(_)) => assert!(!error.to_string().is_empty()),
    }
}

/// Written again it is the same document, and its canonical form does not depend on the order.
fn stable(value: &Value) {
    let written = serde_json::to_vec(value).expect("a value can be written");
    let again = parse(&written).expect("what was written is strict");
    if !has_inexact_number(value) {
        assert_eq!(&again, value);
    }
    let (mut first, mut second) = (String::new(), String::new());
    canonical(value, &mut first);
    canonical(&reversed(value), &mut second);
    assert_eq!(first, second, "the canonical form depends on the order of keys");
}

fn reversed(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            map.iter().rev().map(|(key, value)| (key.clone(), reversed(value))).collect()
        }
        Value::Array(members) => members.iter().map(reversed).collect(),
        scalar => scalar.clone(),
    }
}

/// Whether an object of a valid document has a key twice: a walk over its bytes.
fn has_twice(data: &[u8]) -> bool {
    let mut open: Vec<Option<HashSet<String>>> = Vec::new();
    let mut at = 0;
    while let Some(byte) = data.get(at) {
        match byte {
            b'{' => open.push(Some(HashSet::new())),
            b'[' => open.push(None),
            b'}' | b']' => drop(open.pop()),
            b'"' => {
                let mut end = at + 1;
                while data[end] != b'"' {
                    end += if data[end] == b'\\' { 2 } else { 1 };
                }
                let text: String = serde_json::from_slice(&data[at..=end]).expect("a string");
                at = end;
                let next = data[end + 1..].iter().find(|byte| !byte.is_ascii_whitespace());
                if let (Some(b':'), Some(Some(keys))) = (next, open.last_mut())
                    && !keys.insert(text)
                {
                    return true;
                }
            }
            _ => {}
        }
        at += 1;
    }
    false
}
