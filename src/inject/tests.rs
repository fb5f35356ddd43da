use super::*;
use crate::message::tests::head;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use percent_encoding::NON_ALPHANUMERIC;
use proptest::prelude::*;

const VALUE: &str = "ghp_Zk9+Qx/2mN\"7&B4<L8wRtY1uI0oPaSdFgHjKl";

fn injected(value: &str) -> Arc<Injected> {
    let key = FingerprintKey::new(b"key");
    Arc::new(Injected::new(Arc::from("name"), value.as_bytes(), &key).unwrap())
}

#[test]
fn a_placeholder_has_the_shape_of_its_value_and_nothing_else_of_it() {
    for value in [
        VALUE,
        "11111111-2222-4333-9444-555555555555",
        "0123456789abcdef0123456789abcdef",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV",
        "sk-ant-api03-abcdefghijklmnop",
        "correcthorsebattery",
    ] {
        let one = injected(value);
        let placeholder = one.placeholder();
        assert_eq!(placeholder.len(), value.len(), "{value}");
        assert_ne!(placeholder, value);
        assert_eq!(placeholder, injected(value).placeholder(), "the same after a restart");
        let other_key = FingerprintKey::new(b"other");
        let other = Injected::new(Arc::from("name"), value.as_bytes(), &other_key).unwrap();
        assert_ne!(placeholder, other.placeholder());
        assert_eq!(
            uuid::Uuid::try_parse(placeholder).is_ok(),
            uuid::Uuid::try_parse(value).is_ok()
        );
        assert!(!format!("{one:?}").contains(placeholder));
    }
    assert!(injected("sk-ant-api03-abcdefghijklmnop").placeholder().starts_with("sk-ant-api03-"));
    // The same length and kind: the name alone makes it, so that a new value needs no new placeholder.
    assert_eq!(injected("abcdefghijkl-1").placeholder(), injected("lkjihgfedcba-2").placeholder());
}

/// K-22.
#[test]
fn a_value_that_could_break_out_of_its_place_is_refused() {
    let key = FingerprintKey::new(b"key");
    for (value, unfit) in [
        (&b"line one\r\nX-Evil: 1"[..], Unfit::Character),
        (b"with\0nothing-in-it", Unfit::Character),
        (b"two words and more", Unfit::Character),
        ("gr\u{fc}\u{df}e-aus-dem-norden".as_bytes(), Unfit::Character),
        (b"short", Unfit::Length),
        (&[b'a'; 5000], Unfit::Length),
    ] {
        let made = Injected::new(Arc::from("name"), value, &key);
        assert_eq!(made.err(), Some(unfit), "{value:?}");
    }
}

#[test]
fn a_value_is_put_where_its_placeholder_stands_and_nowhere_else() {
    let one = injected(VALUE);
    let placeholder = one.placeholder().to_owned();
    let basic = |pair: String| format!("Basic {}", STANDARD.encode(pair));
    for (header, given, put) in [
        ("authorization", placeholder.clone(), Some(VALUE.to_owned())),
        ("authorization", format!("Bearer {placeholder}"), Some(format!("Bearer {VALUE}"))),
        ("authorization", format!("bearer   {placeholder}"), Some(format!("bearer {VALUE}"))),
        ("authorization", basic(format!("u:{placeholder}")), Some(basic(format!("u:{VALUE}")))),
        ("authorization", basic(format!("{placeholder}:")), Some(basic(format!("{VALUE}:")))),
        (
            "authorization",
            format!("Token token=\"{placeholder}\""),
            Some(format!("Token token=\"{VALUE}\"")),
        ),
        ("x-api-key", placeholder.clone(), Some(VALUE.to_owned())),
        ("authorization", format!("Bearer {placeholder}x"), None),
        ("authorization", format!("Bearer x {placeholder}"), None),
        ("referer", format!("https://u:{placeholder}@a.test/"), None),
    ] {
        let head = head("GET", "https://a.test/x", &[(header, &given)]).unwrap();
        let slot = format!("header {header}");
        let injection = one.injection(&slot, head.headers(), head.query().as_str());
        assert_eq!(injection.is_some(), put.is_some(), "{given}");
        let Some(injection) = injection else { continue };
        assert!(!format!("{injection:?}").contains(VALUE));
        let (mut headers, mut path) =
            (head.headers().clone(), Zeroizing::new(head.path_and_query()));
        injection.put_in(&mut headers, &mut path);
        assert_eq!(headers[header], put.unwrap());
        assert!(headers[header].is_sensitive());
        assert_eq!(*path, "/x");
    }
    let url = format!("https://a.test/x?a=%41&token={placeholder}&token=other");
    let head = head("GET", &url, &[]).unwrap();
    let injection = one.injection("query token", head.headers(), head.query().as_str()).unwrap();
    let mut path = Zeroizing::new(head.path_and_query());
    injection.put_in(&mut HeaderMap::new(), &mut path);
    let encoded = utf8_percent_encode(VALUE, UNRESERVED);
    assert_eq!(*path, format!("/x?a=%41&token={encoded}&token=other"));
    // Of many pairs with the placeholder the one that presented it, by its name however it is written.
    let others = format!("text={placeholder}&Access%5FToken={placeholder}&a=1&text={placeholder}");
    let head =
        crate::message::tests::head("GET", &format!("https://a.test/x?{others}"), &[]).unwrap();
    let of = |slot: &str| one.injection(slot, head.headers(), head.query().as_str());
    let mut path = Zeroizing::new(head.path_and_query());
    of("query access_token").unwrap().put_in(&mut HeaderMap::new(), &mut path);
    let put = others.replace(&format!("5FToken={placeholder}"), &format!("5FToken={encoded}"));
    assert_eq!(*path, format!("/x?{put}"));
    assert!(of("query token").is_none());
    for slot in ["cookie", "path", "body token", "header cookie"] {
        assert!(one.injection(slot, head.headers(), "").is_none(), "{slot}");
    }
}

/// The ways in which an answer may say a value.
fn said(value: &str) -> Vec<Vec<u8>> {
    let hex = |byte: u8| format!("{byte:02x}");
    let mut all = vec![
        value.as_bytes().to_vec(),
        value.to_ascii_uppercase().into_bytes(),
        serde_json::to_vec(value).unwrap(),
        value.replace('/', "\\/").replace('"', "\\\"").into_bytes(),
        utf8_percent_encode(value, NON_ALPHANUMERIC).to_string().into_bytes(),
        utf8_percent_encode(value, NON_ALPHANUMERIC).to_string().to_lowercase().into_bytes(),
        value.bytes().flat_map(|byte| hex(byte).into_bytes()).collect(),
        value.bytes().flat_map(|byte| format!("\\u00{byte:02X}").into_bytes()).collect(),
        value.bytes().flat_map(|byte| [byte, 0]).collect(),
    ];
    let html = value.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
    let nested = serde_json::to_string(&serde_json::to_string(value).unwrap()).unwrap();
    let percent = utf8_percent_encode(value, NON_ALPHANUMERIC).to_string();
    let base64 = STANDARD.encode(value);
    all.extend([
        html.replace('>', "&gt;").into_bytes(),
        html.replace("quot", "#34").into_bytes(),
        html.replace('&', "&amp;").into_bytes(),
        value.bytes().flat_map(|byte| format!("&#x{byte:X};").into_bytes()).collect(),
        value.replace('&', "\\u0026").replace('<', "\\u003c").replace('"', "\\\"").into_bytes(),
        nested.as_bytes()[3..nested.len() - 3].to_vec(),
        percent.replace("%2F", "/").replace("%2B", "+").into_bytes(),
        percent.replace('%', "%25").into_bytes(),
        value.replace('"', "\"\"").into_bytes(),
        value.replacen('p', "%70", 1).into_bytes(),
        value.replacen('_', "\\u005f", 1).into_bytes(),
        value.bytes().map(hex).collect::<Vec<_>>().join(":").into_bytes(),
        utf8_percent_encode(&base64, NON_ALPHANUMERIC).to_string().into_bytes(),
    ]);
    for (line, end) in [(60, "\n"), (64, "\r\n"), (76, "\n"), (60, "\\n")] {
        let text = STANDARD.encode(format!("{}{value}", "x".repeat(31)));
        let lines: Vec<&str> = (0..text.len().div_ceil(line))
            .map(|number| &text[number * line..text.len().min((number + 1) * line)])
            .collect();
        // What stands before is not the value's.
        all.push(lines.join(end).as_bytes()[42..].to_vec());
    }
    for before in ["", "x", "xy", "user:"] {
        for after in ["", "\"", "ab"] {
            let text = format!("{before}{value}{after}");
            all.push(STANDARD.encode(&text).into_bytes());
            all.push(URL_SAFE_NO_PAD.encode(&text).into_bytes());
        }
    }
    all
}

/// No run of the value's characters, plain or decoded, is left that says more than a few of them.
fn is_clean(text: &[u8], value: &str) -> bool {
    said(value).iter().all(|said| {
        // The ends of base64 share a group with what stands around them.
        let inside = said.get(8..said.len() - 8).unwrap();
        memchr::memmem::find(&text.to_ascii_lowercase(), &inside.to_ascii_lowercase()).is_none()
    })
}

#[test]
fn a_value_is_taken_out_however_it_is_said_and_cut() {
    let one = injected(VALUE);
    for said in said(VALUE) {
        let text = [b"before ", said.as_slice(), b" after"].concat();
        for cut in 0..=text.len() {
            let mut scrubber = Scrubber::new(&one);
            let (first, second) = text.split_at(cut);
            let mut out = scrubber.pass(Bytes::copy_from_slice(first), false).to_vec();
            out.extend_from_slice(&scrubber.pass(Bytes::copy_from_slice(second), true));
            assert_eq!(scrubber.kept(), 0);
            assert_eq!(out.len(), text.len(), "{}", String::from_utf8_lossy(&said));
            assert!(is_clean(&out, VALUE), "{}", String::from_utf8_lossy(&out));
            assert!(out.starts_with(b"before ") && out.ends_with(b" after"));
        }
    }
    // Said plainly, the agent reads what it holds.
    let mut scrubber = Scrubber::new(&one);
    let out = scrubber.pass(Bytes::from(format!("token={VALUE};")), true);
    assert_eq!(out, format!("token={};", one.placeholder()));
}

/// I3: what the scrubber passes over is seen all the same, before its end passes.
#[test]
fn what_still_says_a_value_is_seen_however_it_is_cut() {
    let one = injected(VALUE);
    let twice = STANDARD.encode(STANDARD.encode(VALUE));
    let escaped = serde_json::to_string(&serde_json::to_string(&STANDARD.encode(VALUE)).unwrap());
    let hex: String = crate::fingerprint::hex(STANDARD.encode(VALUE).as_bytes());
    for said in [VALUE.to_owned(), twice, escaped.unwrap(), hex] {
        let text = format!("{} {said} after", "before ".repeat(2000));
        for cut in [0, 1, 9_000, text.len() - 40, text.len() - 7, text.len()] {
            let mut rest = Rest::of(std::slice::from_ref(&one)).unwrap();
            let (first, second) = text.as_bytes().split_at(cut);
            assert!(rest.goes_on(first) || rest.goes_on(second), "{said} at {cut}");
        }
        let mut rest = Rest::of(std::slice::from_ref(&one)).unwrap();
        assert!(text.bytes().any(|byte| rest.goes_on(&[byte])), "{said}");
        assert!(rest.says(said.as_bytes()) && !rest.says(&said.as_bytes()[12..]));
    }
    let mut rest = Rest::of(std::slice::from_ref(&one)).unwrap();
    assert!(!rest.goes_on(STANDARD.encode(one.placeholder()).as_bytes()), "it is the agent's");
    assert!(Rest::of(&[]).is_none());
}

proptest! {
    #[test]
    fn what_is_not_the_value_passes_as_it_is(text: Vec<u8>, cuts: Vec<prop::sample::Index>) {
        let one = injected(VALUE);
        let mut scrubber = Scrubber::new(&one);
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        ends.sort_unstable();
        let (mut out, mut from) = (Vec::new(), 0);
        for end in ends {
            out.extend_from_slice(&scrubber.pass(Bytes::copy_from_slice(&text[from..end]), false));
            from = end;
        }
        out.extend_from_slice(&scrubber.pass(Bytes::copy_from_slice(&text[from..]), true));
        prop_assert_eq!(out, text);
    }
}
