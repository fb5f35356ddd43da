//! Requests as servers execute them, and those that are no request.

use super::*;
use serde_json::json;

const ID: &str = "dddddddd-0000-4000-8000-000000000002";

fn deletes(request: &Value) -> bool {
    let document = read(request, &Documents::new()).unwrap();
    document.calls.iter().any(|call| {
        call.kind == "mutation" && call.field == "volumeDelete" && call.arguments["volumeId"] == ID
    })
}

/// J-01, J-03, J-07, J-09, J-10, J-15.
#[test]
fn every_disguise_is_the_same_call() {
    let cases = [
        json!({"query": format!("mutation {{ volumeDelete(volumeId: \"{ID}\") }}")}),
        json!({"query": "mutation D($id: String!) { volumeDelete(volumeId: $id) }", "variables": {"id": ID}}),
        json!({"query": format!("mutation D($id: String = \"{ID}\") {{ volumeDelete(volumeId: $id) }}")}),
        json!({"query": format!("mutation {{ harmless: volumeDelete(volumeId: \"{ID}\") }}")}),
        json!({"query": format!("mutation {{ ...F }} fragment F on Mutation {{ ... on Mutation {{ volumeDelete(volumeId: \"{ID}\") }} }}")}),
        json!({"query": format!("mutation {{ volumeDelete(volumeId: \"\"\"{ID}\"\"\") @skip(if: true) }}")}),
        json!({"query": format!("mutation {{ volumeDelete(volumeId: \"\\u0064{}\") }}", &ID[1..])}),
        json!([{"query": "{ me { email } }"}, {"query": format!("mutation {{ volumeDelete(volumeId: \"{ID}\") }}")}]),
        json!({"query": format!("query A {{ me {{ id }} }} mutation B {{ volumeDelete(volumeId: \"{ID}\") }}"), "operationName": "A"}),
    ];
    for request in cases {
        assert!(deletes(&request), "{request}");
    }
}

/// J-03, J-12, J-16, J-18, J-24.
#[test]
fn doubt_is_unreadable() {
    let cases = [
        json!({"query": "mutation { volumeDelete("}),
        json!({"query": "{ a } { b }"}),
        json!({"query": "query A { a } query A { b }", "operationName": "A"}),
        json!({"query": "query A { a } query B { b }"}),
        json!({"query": "query A { a }", "operationName": "B"}),
        json!({"query": "{ ...F } fragment F on Q { ...F }"}),
        json!({"query": "{ ...F }"}),
        json!({"query": "type A { b: C }"}),
        json!({"query": "{ a(x: \"\nb\") }"}),
        json!({"query": "{ a(x: $y) }"}),
        json!({"query": "{ a(x: 1, x: 2) }"}),
        json!({"query": ["{ a }"]}),
        json!({"query": "{ a }", "variables": "{}"}),
        json!({"query": "{ a }", "other": 1}),
        json!({"extensions": {"persistedQuery": {"sha256Hash": "x"}}}),
        json!({"query": ""}),
        json!({"query": "{ a }", "extensions": {"persistedQuery": {"version": 1, "sha256Hash": "00"}}}),
        json!({"query": "{ a }", "extensions": {"persistedQuery": true}}),
        json!([]),
        json!("{ a }"),
        json!({"query": "{ a }".repeat(30_000)}),
        json!({"query": format!("{{ {} }}", "a ".repeat(600))}),
        // Small, and large once it is put together.
        json!({"query": format!("query($v: X) {{ a(x: [{}]) }}", "$v ".repeat(6000)), "variables": {"v": "A".repeat(9000)}}),
        json!({"query": format!("query($v: X = \"{}\") {{ a(x: [{}]) }}", "A".repeat(9000), "$v ".repeat(6000))}),
        json!({"query": format!("query($v: X) {{ a {{ {} }} }} fragment F on Q {{ b(x: $v) }}", "...F ".repeat(6000)), "variables": {"v": vec![json!([]); 1000]}}),
        json!({"query": format!("{{ a {{ {} }} }} fragment F on Q {{ b(x: \"{}\") }}", "...F ".repeat(6000), "A".repeat(9000))}),
    ];
    for request in cases {
        assert!(read(&request, &Documents::new()).is_err(), "{request:.200}");
    }
    // Inline fragments in fragments in fragments take no more stack than fields do.
    let mut query = "{ ...F0 }".to_owned();
    for n in 0..98 {
        let fragment = format!(
            " fragment F{n} on Q {{ {}...F{}{} }}",
            "... { ".repeat(60),
            n + 1,
            " }".repeat(60)
        );
        query.push_str(&fragment);
    }
    query.push_str(" fragment F98 on Q { a }");
    let small = std::thread::Builder::new().stack_size(512 << 10);
    let reading =
        small.spawn(move || read(&json!({ "query": query }), &Documents::new()).is_err()).unwrap();
    assert!(reading.join().unwrap());
    // A chain of fragments that doubles at each step is cut off, not unfolded.
    let mut query = "{ ...F0 }".to_owned();
    for n in 0..40 {
        let fragment = format!(" fragment F{n} on Q {{ ...F{0} ...F{0} }}", n + 1);
        query.push_str(&fragment);
    }
    query.push_str(" fragment F40 on Q { a }");
    assert!(read(&json!({ "query": query }), &Documents::new()).is_err());
}

#[test]
fn a_hash_of_the_document_itself_is_nothing_new() {
    let own = hex(digest::digest(&digest::SHA256, b"{ a }").as_ref());
    let request = json!({"query": "{ a }", "extensions": {"persistedQuery": {"version": 1, "sha256Hash": own}}});
    assert_eq!(read(&request, &Documents::new()).unwrap().calls.len(), 1);
}

#[test]
fn meaning_ignores_spacing_and_order_and_nothing_else() {
    let meaning = |request: Value| meaning(&request).unwrap();
    let base = meaning(
        json!({"query": "mutation M($a: X) { f(a: $a) }", "variables": {"a": 1, "b": {"c": 2, "d": 3}}}),
    );
    let same = meaning(
        json!({"variables": {"b": {"d": 3, "c": 2}, "a": 1}, "query": "mutation M ( $a : X ) {\n # c\n f(a: $a), }"}),
    );
    assert_eq!(base, same);
    let other = meaning(
        json!({"query": "mutation M($a: X) { f(a: $a) }", "variables": {"a": 2, "b": {"c": 2, "d": 3}}}),
    );
    assert_ne!(base, other);
    let inexact = json!({"query": "{ a }", "variables": {"x": 1.5}});
    assert!(read(&inexact, &Documents::new()).is_ok() && super::meaning(&inexact).is_none());
}

/// J-12.
#[test]
fn a_document_that_is_named_by_its_hash_is_read_where_it_is_known() {
    let text = format!("mutation {{ volumeDelete(volumeId: \"{ID}\") }}");
    let hash = hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
    let named = |hash: &str| json!({"extensions": {"persistedQuery": {"version": 1, "sha256Hash": hash}}, "variables": {"id": ID}});
    let known = Documents::from([(hash.clone(), text)]);
    let call = |hash: &str| read(&named(hash), &known).unwrap().calls.remove(0);
    for spelling in [hash.clone(), hash.to_ascii_uppercase()] {
        assert_eq!(call(&spelling).field, "volumeDelete", "{spelling}");
    }
    let other = "0".repeat(64);
    let unknown = call(&other);
    assert_eq!((unknown.kind, &*unknown.field), ("registered", &*format!("document {other}")));
    assert_eq!(unknown.arguments["id"], ID);
    let meaning = |request: &Value| meaning(request).unwrap();
    assert_ne!(meaning(&named(&other)), meaning(&named(&"1".repeat(64))));
    for hash in ["", "00", "zz", &"g".repeat(64)] {
        assert!(read(&named(hash), &known).is_err(), "{hash}");
    }
}
