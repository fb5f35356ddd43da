use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

const SECRET: &str = r#"{"lc":1,"type":"secret","id":["OPENAI_API_KEY"]}"#;

fn shapes(text: &str) -> Vec<Shape> {
    objects(text.as_bytes()).unwrap().into_iter().map(|object| object.shape).collect()
}

fn strip(text: &str) -> String {
    let found = objects(text.as_bytes()).unwrap();
    String::from_utf8(stripped(text.as_bytes(), &found, Shape::Secret).unwrap()).unwrap()
}

/// Inside a text, so many times.
fn escaped(text: &str, times: usize) -> String {
    (0..times).fold(text.to_owned(), |text, _| Value::from(text).to_string())
}

#[test]
fn objects_are_found_in_every_order_and_spelling() {
    for text in [
        SECRET,
        r#"{"id":["A"],"type":"secret","lc":1}"#,
        r#"{"type":"secret","id":["A"],"lc":1,"more":{"a":[]}}"#,
        "{ \"lc\" : 1 ,\r\n \"type\"\t: \"secret\" , \"id\" : [ \"A\" ] }",
        // What the languages that revive it take for the same.
        r#"{"lc":1.0,"type":"secret","id":["A"]}"#,
        r#"{"lc":true,"type":"secret","id":"A"}"#,
        r#"{"lc":1,"type":"secret","id":{"A":1}}"#,
        r#"{"lc":1,"type":"x","type":"secret","id":["A"]}"#,
        r#"{"lc":1,"type":"secret","type":"x","id":["A"]}"#,
        r#"{"\u006c\u0063":1,"t\u0079pe":"\u0073ecret","i\u0064":["A"]}"#,
        r#"{"l\u0063":1,"type":"secret","id":["A"]}"#,
        r#"{"lc":1,"type":"secret","id":["A"],"x":NaN}"#,
    ] {
        assert_eq!(shapes(text), [Shape::Secret], "{text}");
        assert_eq!(strip(text), "null", "{text}");
    }
    let other = |word: &str| SECRET.replace("\"secret\"", word);
    assert_eq!(shapes(&other("\"constructor\"")), [Shape::Constructor]);
    assert_eq!(shapes(&other("\"not_implemented\"")), [Shape::NotImplemented]);
    assert_eq!(strip(&other("\"constructor\"")), other("\"constructor\""));
}

#[test]
fn what_only_resembles_one_is_none() {
    for text in [
        r#"{"lc":1}"#,
        r#"{"lc":1,"type":"secret"}"#,
        r#"{"lc":1,"type":"secret","id":null}"#,
        r#"{"lc":null,"type":"secret","id":["A"]}"#,
        r#"{"lc":"1","type":"secret","id":["A"]}"#,
        r#"{"lc":1,"type":"secrets","id":["A"]}"#,
        r#"{"lc":1,"a":{"type":"secret","id":["A"]}}"#,
        r#"{"lc":1,"type":["secret"],"id":["A"]}"#,
        r#"["lc",1,"type","secret","id",["A"]]"#,
        r#"{"lc":1,"type":"secret","id":["A"]"#,
        r#"{"calc":1,"type":"secret","id":["A"]}"#,
        "the name \"lc\" and the type \"secret\" of the id {x}",
    ] {
        assert_eq!(shapes(text), [], "{text}");
        assert_eq!(strip(text), text);
    }
}

#[test]
fn objects_are_found_wherever_they_stand() {
    let deep = format!("{}{SECRET}{}", "[".repeat(500), "]".repeat(500));
    let constructor =
        format!(r#"{{"lc":1,"type":"constructor","id":["a"],"kwargs":{{"k":{SECRET}}}}}"#);
    for (text, left) in [
        (
            format!("{{\"a\":[1,{{\"b\":{SECRET}}},\"c\"]}}"),
            "{\"a\":[1,{\"b\":null},\"c\"]}".to_owned(),
        ),
        (format!("{SECRET}\n{SECRET}\n"), "null\nnull\n".to_owned()),
        (
            format!("event: x\ndata: {{\"m\":{SECRET}}}\n\ndata: [DONE]\n\n"),
            "event: x\ndata: {\"m\":null}\n\ndata: [DONE]\n\n".to_owned(),
        ),
        (
            format!("# Notes\n\nIt's `{{` and \"{{\": see {SECRET}, or {{}}."),
            "# Notes\n\nIt's `{` and \"{\": see null, or {}.".to_owned(),
        ),
        (format!("log: '{{\"a\": \"}}{{{SECRET}'"), "log: '{\"a\": \"}{null'".to_owned()),
        (deep, format!("{}null{}", "[".repeat(500), "]".repeat(500))),
        (constructor.clone(), constructor.replace(SECRET, "null")),
    ] {
        assert!(shapes(&text).contains(&Shape::Secret), "{text}");
        assert_eq!(strip(&text), left);
    }
}

#[test]
fn objects_are_found_in_texts_within_texts() {
    for times in 1..=4 {
        let text = format!("{{\"a\":\"x\\u00e9\\/\",\"b\":{}}}", escaped(SECRET, times));
        assert_eq!(shapes(&text), [Shape::Secret], "{times}: {text}");
        let left = strip(&text);
        assert_eq!(left, format!("{{\"a\":\"x\\u00e9\\/\",\"b\":{}}}", escaped("null", times)));
        assert!(serde_json::from_str::<Value>(&left).is_ok(), "{left}");
    }
    // In a text that is no document.
    let text = format!("level=info msg={}", escaped(SECRET, 1));
    assert_eq!(strip(&text), "level=info msg=\"null\"");
    // With every letter escaped.
    let all: Vec<String> = SECRET.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect();
    let all = all.concat();
    assert_eq!(strip(&format!("{{\"a\":\"{all}\"}}")), "{\"a\":\"null\"}");
    // More often than is read is not taken for none.
    assert_eq!(objects(escaped(SECRET, 9).as_bytes()), Err(TooMuch::Work));
}

#[test]
fn what_is_written_otherwise_is_told() {
    let wide = |marked: bool, unit: fn(u16) -> [u8; 2]| -> Vec<u8> {
        let mark = marked.then_some(0xfeff);
        mark.into_iter().chain(SECRET.encode_utf16()).flat_map(unit).collect()
    };
    for marked in [true, false] {
        for unit in [u16::to_le_bytes as fn(u16) -> [u8; 2], u16::to_be_bytes] {
            assert_eq!(objects(&wide(marked, unit)), Err(TooMuch::Wide), "{marked}");
        }
    }
    let wider: Vec<u8> = SECRET.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
    assert_eq!(objects(&wider), Err(TooMuch::Wide));
    // Data of other kinds is neither.
    assert_eq!(objects(b"\0asm\x01\0\0\0 no such name"), Ok(Vec::new()));
}

#[test]
fn what_takes_too_much_is_told() {
    let hint = "\"lc\"";
    for text in [
        format!("{hint}{}", "{\"a\":".repeat(100_000)),
        format!("{hint}{}", "{\"a\":[".repeat(100_000)),
        format!("{hint}{}", "[{\"a\":[1,1,1,".repeat(100_000)),
    ] {
        assert_eq!(objects(text.as_bytes()), Err(TooMuch::Work), "{text:.40}");
    }
    // Hostile, and cheap all the same.
    for text in [
        format!("{hint}{}", "{".repeat(1_000_000)),
        format!("{hint}{}", "{\"".repeat(500_000)),
        format!("{hint}{}", "\\".repeat(1_000_000)),
        format!("{hint}{}", "{\"a\":\"{\"a\":\"".repeat(100_000)),
    ] {
        assert!(matches!(objects(text.as_bytes()), Ok(_) | Err(TooMuch::Work)), "{text:.40}");
    }
    // What only unescaping makes an object of would take apart the document around it.
    let text = r#"{"a":"\",\"lc\":1,\"type\":\"secret\",\"id\":[1]}"}"#;
    let found = objects(text.as_bytes()).unwrap();
    assert_eq!(stripped(text.as_bytes(), &found, Shape::Secret), Err(TooMuch::Broken));
}

/// A document with texts, some of which hold documents, and here and there an object.
fn documents() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(1)),
        Just(json!(null)),
        "[ -~]{0,12}".prop_map(Value::from),
        Just(serde_json::from_str(SECRET).unwrap()),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-z\\\\\"]{1,4}", inner.clone()), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
            inner.prop_map(|value| Value::from(value.to_string())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_left_is_json_and_has_none(document in documents()) {
        let text = document.to_string();
        let found = objects(text.as_bytes());
        prop_assume!(found.is_ok());
        if let Ok(left) = stripped(text.as_bytes(), &found.unwrap(), Shape::Secret) {
            prop_assert!(serde_json::from_slice::<Value>(&left).is_ok());
            let again = objects(&left).unwrap();
            prop_assert!(again.iter().all(|object| object.shape != Shape::Secret));
        }
    }

    #[test]
    fn no_bytes_do_harm(text in prop::collection::vec(prop::sample::select(br#"{}[]":,\lctypeidsecretu006c1 "#.to_vec()), 0..200)) {
        if let Ok(found) = objects(&text) {
            for object in &found {
                prop_assert!(object.place.start < object.place.end && object.place.end <= text.len());
            }
            drop(stripped(&text, &found, Shape::Secret));
        }
    }
}
