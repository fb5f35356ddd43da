//! Conditions, by table.

use super::*;
use serde_json::json;

fn truth(written: Value, arguments: Value, side: Side) -> Truth {
    let written: Written = serde_json::from_value(written).unwrap();
    let Value::Object(map) = arguments else { panic!("arguments are an object") };
    written.condition_at(written.place().unwrap()).unwrap().holds(&Arguments::new(map), side)
}

#[test]
fn a_condition_is_established_or_not() {
    use Truth::{No, Unknown, Yes};
    let cases: &[(Value, Value, Truth, Truth)] = &[
        // Condition, arguments, to restrict, to permit.
        (json!({"argument": "a", "is": true}), json!({"a": true}), Yes, Yes),
        (json!({"argument": "a", "is": true}), json!({"a": "true"}), Yes, Yes),
        (json!({"argument": "a", "is": true}), json!({"a": "True"}), Unknown, Unknown),
        (json!({"argument": "a", "is": true}), json!({"a": 1}), Unknown, Unknown),
        (json!({"argument": "a", "is": true}), json!({"a": null}), No, No),
        (json!({"argument": "a", "is": true}), json!({}), No, No),
        (json!({"argument": "a", "is": 0}), json!({"a": "0"}), Yes, Yes),
        (json!({"argument": "a", "is": 0}), json!({"a": 0.5}), Unknown, Unknown),
        (json!({"argument": "a", "is": "x"}), json!({"a": ["x", "y"]}), Yes, No),
        (json!({"argument": "a", "in": ["x", "y"]}), json!({"a": ["x", "y"]}), Yes, Yes),
        (json!({"argument": "a", "in": ["x"], "not": true}), json!({"a": ["x", "y"]}), Yes, No),
        (
            json!({"argument": "a.b", "like": "refs/heads/*"}),
            json!({"a": {"b": "refs/heads/x"}}),
            Yes,
            Yes,
        ),
        (
            json!({"argument": "a.b", "like": "refs/heads/*"}),
            json!({"a": "refs/heads/x"}),
            Unknown,
            Unknown,
        ),
        (json!({"argument": "a", "like": "x*"}), json!({"a": {"x": 1}}), Unknown, Unknown),
        (json!({"argument": "a", "present": false}), json!({"a": null}), Yes, Yes),
        (json!({"argument": "a", "present": true}), json!({"a": [0]}), Yes, Yes),
        (json!({"argument": "a", "empty": true}), json!({"a": []}), Yes, Yes),
        (json!({"argument": "a", "empty": true}), json!({}), Yes, Yes),
        (json!({"argument": "a", "empty": true}), json!({"a": ["x"]}), No, No),
        (json!({"argument": "a", "at_most": 0}), json!({"a": "0"}), Yes, Yes),
        (json!({"argument": "a", "at_most": 0}), json!({"a": "none"}), Unknown, Unknown),
        (json!({"argument": "a", "at_least": 2, "at_most": 4}), json!({"a": [1, 3]}), Yes, No),
        (
            json!({"argument": "a", "anywhere": {"key": "isDeleted", "is": true}}),
            json!({"a": {"volumes": [{"x": {"isDeleted": true}}]}}),
            Yes,
            Yes,
        ),
        (
            json!({"argument": "a", "anywhere": {"key": "isDeleted", "is": true}}),
            json!({"a": "{\"x\": \"[{\\\"isdeleted\\\": true}]\"}"}),
            Yes,
            Yes,
        ),
        (
            json!({"argument": "a", "anywhere": {"key": "isDeleted", "is": true}}),
            json!({"a": {"isDeleted": false}}),
            No,
            No,
        ),
        (
            json!({"argument": "a", "anywhere": {"key": "isDeleted", "is": true}}),
            json!({"a": "{isDeleted: true"}),
            Unknown,
            Unknown,
        ),
    ];
    for (written, arguments, restrict, permit) in cases {
        let told = format!("{written} {arguments}");
        assert_eq!(truth(written.clone(), arguments.clone(), Side::Restrict), *restrict, "{told}");
        assert_eq!(truth(written.clone(), arguments.clone(), Side::Permit), *permit, "{told}");
    }
}

#[test]
fn an_unknown_argument_is_no_answer() {
    let written =
        Written { argument: "a".to_owned(), is: Some(Scalar::Bool(true)), ..Written::default() };
    let condition = written.condition_at(written.place().unwrap()).unwrap();
    for side in [Side::Restrict, Side::Permit] {
        assert_eq!(condition.holds(&Arguments::unknown(), side), Truth::Unknown, "{side:?}");
    }
}

#[test]
fn texts_within_texts_end_in_unknown() {
    let mut text = json!({"isDeleted": true}).to_string();
    for _ in 0..6 {
        text = json!({ "x": text }).to_string();
    }
    let written = json!({"argument": "a", "anywhere": {"key": "isDeleted", "is": true}});
    assert_eq!(truth(written, json!({ "a": text }), Side::Permit), Truth::Unknown);
}

#[test]
fn a_condition_that_says_nothing_is_refused() {
    let cases = [
        json!({"argument": "a"}),
        json!({"argument": "a", "is": 1, "in": [1]}),
        json!({"argument": "a", "in": []}),
        json!({"argument": "a..b", "is": 1}),
        json!({"argument": "", "is": 1}),
    ];
    for case in cases {
        let written: Written = serde_json::from_value(case.clone()).unwrap();
        assert!(written.place().and_then(|at| written.condition_at(at)).is_err(), "{case}");
    }
}

#[test]
fn a_pattern_fits_whole_texts() {
    let cases = [
        ("a*", "abc", true),
        ("*c", "abc", true),
        ("a*c", "ac", true),
        ("a*a", "a", false),
        ("*:Delete*", "ec2:DeleteVolume", true),
        ("*:Delete*", "ec2:Undelete", false),
        ("a*b*c", "axbxc", true),
        ("a*b*c", "axcxb", false),
        ("abc", "abcd", false),
        ("*", "", true),
    ];
    for (pattern, text, fits) in cases {
        assert_eq!(Pattern::new(pattern).fits(text), fits, "{pattern} {text}");
    }
}
