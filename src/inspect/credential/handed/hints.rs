//! Whether a text could hold a secret at all: what most answers are passed over by.
//!
//! Takes the bytes of an answer; returns whether a name that says a secret, a vendor's form, a key or
//! the user of an address may stand in them. A table of letters in rows of four finds where to look, in
//! one pass; only what stands around those is held against the expression. Says "yes" wherever the
//! expression finds something in the whole, and takes time in proportion to the text whatever it says.

use crate::inspect::sieve::{self, Bits, Sieve};
use memchr::{memchr, memmem};
use regex::bytes::Regex;
use std::sync::LazyLock;

/// What every answer has that could hold a secret: a name that says one, a form, a key. Of the users of
/// addresses [`has_user`] knows.
const HINTS: &str = r#"(?i-u)token|secret|passw|pwd|authori|api[-_. ]?key|access[-_. ]?key|credential|bearer|jwt|private key|(?:auth|key|pat|session|sessionid|sig|signature|basic)["']?[ \t]{0,32}[:=]|gh[pousr]_|github_pat_|gl(?:pat|dt|rt|cbt|ptt|soat|oas)-|a[ksbc][ic]a[a-z2-7]{12}|aiza|ya29|sk-ant|t3blbkfj|[sr]k_(?:live|test|prod)_|xox[a-z]?[.-]|xapp-|npm_|pypi-|do[opr]_v1|f[mo][12][ar]?_|bot[0-9]{8}|"base64""#;

static HINT: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(HINTS).ok());

/// What follows each of [`SIGNED`].
const SIGNS: &[u8] = b"\"' \t:=";
/// Names that count where a sign follows, by their ends.
const SIGNED: &[[u8; 3]] = &[*b"uth", *b"key", *b"pat", *b"sig", *b"ure", *b"sic"];
/// Names that are too short for a row.
const SHORT: &[[u8; 3]] = &[*b"pwd", *b"jwt"];
/// One row of each other alternative: all that the expression finds has a row.
const ROWS: &[[u8; 4]] = &[
    *b"oken", *b"ecre", *b"assw", *b"hori", *b"ikey", *b"i-ke", *b"i_ke", *b"i.ke", *b"i ke",
    *b"skey", *b"s-ke", *b"s_ke", *b"s.ke", *b"s ke", *b"eden", *b"arer", *b"te k", *b"sess",
    *b"ghp_", *b"gho_", *b"ghu_", *b"ghs_", *b"ghr_", *b"pat_", *b"glpa", *b"gldt", *b"glrt",
    *b"glcb", *b"glpt", *b"glso", *b"gloa", *b"aiza", *b"ya29", *b"sk-a", *b"t3bl", *b"k_li",
    *b"k_te", *b"k_pr", *b"xapp", *b"npm_", *b"pypi", *b"doo_", *b"dop_", *b"dor_", *b"ase6",
];
/// Rows of what begins alike and goes on in some way.
const BEGUN: &[([u8; 3], &[u8])] = &[
    (*b"xox", b".-abcdefghijklmnopqrstuvwxyz"),
    (*b"bot", b"0123456789"),
    (*b"fm1", b"_ar"),
    (*b"fm2", b"_ar"),
    (*b"fo1", b"_ar"),
    (*b"fo2", b"_ar"),
    (*b"aki", b"a"),
    (*b"asi", b"a"),
    (*b"abi", b"a"),
    (*b"aci", b"a"),
    (*b"akc", b"a"),
    (*b"asc", b"a"),
    (*b"abc", b"a"),
    (*b"acc", b"a"),
];
/// How far what the expression finds may reach before and behind a row of it.
const BEFORE: usize = 16;
const BEHIND: usize = 64;

/// Whether the expression, or the user of an address, may stand in a text.
pub(in crate::inspect::credential) fn may_hold(text: &[u8]) -> bool {
    has_hint(text) || has_user(text)
}

/// Whether an address with a user stands in a text: each byte is looked at once, as an address ends
/// where the next could begin.
fn has_user(text: &[u8]) -> bool {
    if memchr(b'@', text).is_none() {
        return false;
    }
    let ends = |byte: &u8| matches!(byte, b'/' | b'"' | b'\'' | b' ' | b'\t' | b'\r' | b'\n');
    memmem::find_iter(text, b"://").any(|at| {
        let behind = text.get(at + 3..).unwrap_or_default();
        behind.iter().take_while(|byte| !ends(byte)).any(|byte| *byte == b'@')
    })
}

/// Whether the expression finds anything. What is near each other is looked at together, so that no byte
/// is looked at often.
fn has_hint(text: &[u8]) -> bool {
    let Some(hint) = HINT.as_ref() else { return true };
    let mut pending: Option<(usize, usize)> = None;
    let found = |(from, to): (usize, usize)| {
        hint.is_match(text.get(from..to.min(text.len())).unwrap_or_default())
    };
    let mut row_at = |at: usize| {
        let (from, to) = (at.saturating_sub(BEFORE), at + BEHIND);
        match &mut pending {
            Some((_, end)) if from <= *end => *end = to,
            Some(window) => {
                let before = std::mem::replace(window, (from, to));
                return found(before);
            }
            none => *none = Some((from, to)),
        }
        false
    };
    rows(text, &mut row_at) || pending.is_some_and(found)
}

/// Calls with the place of each row of the table, until that says that it is enough.
fn rows(text: &[u8], enough: &mut impl FnMut(usize) -> bool) -> bool {
    let table = &*TABLE;
    table.sieve.places(text, &mut |at, row| table.has(row) && enough(at))
}

/// The rows, and what is looked for before them.
struct Table {
    sieve: Sieve,
    /// The rows themselves, in order.
    all: Vec<u32>,
    rows: Bits,
}

static TABLE: LazyLock<Table> = LazyLock::new(Table::new);

impl Table {
    fn new() -> Self {
        let behind = |three: &[u8; 3], last: u8| [three[0], three[1], three[2], last];
        let signed = SIGNED.iter().flat_map(|end| SIGNS.iter().map(move |sign| behind(end, *sign)));
        let short = SHORT.iter().flat_map(|name| (0..=u8::MAX).map(move |any| behind(name, any)));
        let begun =
            BEGUN.iter().flat_map(|(first, on)| on.iter().map(move |last| behind(first, *last)));
        let rows = ROWS.iter().copied().chain(signed).chain(short).chain(begun);
        let mut all: Vec<u32> = rows.map(sieve::folded).collect();
        all.sort_unstable();
        all.dedup();
        Self { sieve: Sieve::new(&all), rows: all.iter().copied().collect(), all }
    }

    fn has(&self, row: u32) -> bool {
        self.rows.bit(row) != 0 && self.all.binary_search(&row).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What every alternative finds, at least once each.
    const FOUND: &[&str] = &[
        "token",
        "secret",
        "passw",
        "pwd",
        "authori",
        "apikey",
        "api-key",
        "api_key",
        "api.key",
        "api key",
        "accesskey",
        "access-key",
        "access_key",
        "access.key",
        "access key",
        "credential",
        "bearer",
        "jwt",
        "private key",
        "auth:",
        "auth\" :",
        "key=",
        "key':",
        "pat\t=",
        "session=",
        "sessionid\"                                :",
        "sig=",
        "signature\":",
        "basic:",
        "ghp_",
        "gho_",
        "ghu_",
        "ghs_",
        "ghr_",
        "github_pat_",
        "glpat-",
        "gldt-",
        "glrt-",
        "glcbt-",
        "glptt-",
        "glsoat-",
        "gloas-",
        "AKIAABCDEFGHIJKL",
        "ASIAABCDEFGHIJKL",
        "ABIAABCDEFGHIJKL",
        "ACCAABCDEFGHIJKL",
        "AIza",
        "ya29",
        "sk-ant",
        "T3BlbkFJ",
        "sk_live_",
        "sk_test_",
        "rk_prod_",
        "xoxb-",
        "xox-",
        "xoxe.",
        "xapp-",
        "npm_",
        "pypi-",
        "dop_v1",
        "doo_v1",
        "dor_v1",
        "fm1_",
        "fm2r_",
        "fm1a_",
        "fo1_",
        "bot12345678",
        "\"base64\"",
    ];
    /// What only nearly is one.
    const NEAR: &[&str] = &[
        "tok",
        "key",
        "s-ke",
        "auth",
        "session",
        "pat ",
        "asia",
        "fm1a",
        "xox",
        "bot1234567",
        "://",
        "@",
        "/",
        "a",
        " ",
        "\n",
        "\u{e9}",
        "://user:",
        "sig\"",
        "te k",
        "  ",
        "x",
        "0",
        "\"",
    ];

    fn finds(text: &[u8]) -> bool {
        let user = Regex::new(r#"(?-u)://[^/"' \t\r\n]*@"#).unwrap();
        HINT.as_ref().unwrap().is_match(text) || user.is_match(text)
    }

    #[test]
    fn every_alternative_has_its_row() {
        for found in FOUND {
            for text in [(*found).to_owned(), found.to_uppercase()] {
                for before in [0, 1, 5, 8, 100] {
                    for behind in [0, 1, 7, 200] {
                        let text = format!("{}{text}{}", "-".repeat(before), "-".repeat(behind));
                        assert!(finds(text.as_bytes()), "it is no hint: {text}");
                        assert!(may_hold(text.as_bytes()), "{text}");
                    }
                }
            }
        }
        for near in NEAR.iter().chain(&["https://a.test/@b", "a@b.test", "https://a.test 'c@d'"]) {
            assert!(!may_hold(near.as_bytes()), "{near}");
        }
    }

    #[test]
    fn every_alternative_is_tried() {
        // Those of the expression, and what each of them is written like here.
        let inner = HINTS.strip_prefix("(?i-u)").unwrap();
        let (mut depth, mut alternatives) = (0, vec![String::new()]);
        for letter in inner.chars() {
            match letter {
                '(' => depth += 1,
                ')' => depth -= 1,
                '|' if depth == 0 => {
                    alternatives.push(String::new());
                    continue;
                }
                _ => {}
            }
            alternatives.last_mut().unwrap().push(letter);
        }
        for alternative in alternatives {
            let alone = Regex::new(&format!("(?i-u){alternative}")).unwrap();
            assert!(FOUND.iter().any(|found| alone.is_match(found.as_bytes())), "{alternative}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_the_expression_finds_is_passed_over(
            parts in prop::collection::vec(
                prop_oneof![
                    4 => "[ -~\t\n]{0,40}".prop_map(String::into_bytes),
                    4 => prop::sample::select(NEAR).prop_map(|near| near.as_bytes().to_vec()),
                    1 => prop::sample::select(FOUND).prop_map(|found| found.as_bytes().to_vec()),
                    1 => prop::collection::vec(any::<u8>(), 0..40),
                ],
                0..24,
            ),
        ) {
            let text = parts.concat();
            prop_assert_eq!(may_hold(&text), finds(&text));
        }
    }
}
