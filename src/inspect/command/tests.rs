//! What a text runs, word by word, and that no text takes long.

use super::{Script, Unread, bounds};
use proptest::prelude::*;

/// The commands of a text, one a line.
fn read(text: &str) -> Vec<String> {
    let script = Script::of_text(text);
    let line = |command: &super::Simple| {
        let words: Vec<&str> = command.words.iter().map(|word| word.text.as_str()).collect();
        words.join(" ")
    };
    script.commands.iter().map(line).collect()
}

#[test]
fn words_are_as_the_shell_hands_them_over() {
    for (text, expected) in [
        ("a 'b c' \"d $e\" f\\ g", vec!["a b c d $e f g"]),
        ("a && b || c; d & e", vec!["a", "b", "c", "d", "e"]),
        ("a | b |& c", vec!["a", "b", "c"]),
        ("if a; then b; elif c; then d; else e; fi", vec!["a", "b", "c", "d", "e"]),
        ("while a; do b; done; until c; do d; done", vec!["a", "b", "c", "d"]),
        ("for x in 1 2; do echo $x; done", vec!["echo 1 2"]),
        ("case x in a) b;; c) d;; esac", vec!["b", "d"]),
        ("f() { a; }; f", vec!["a", "f"]),
        ("(a; { b; })", vec!["a", "b"]),
        ("a $(b $(c)) `d`", vec!["c", "b $(…)", "d", "a $(…) $(…)"]),
        ("A=1 B=2 c $A", vec!["c $A"]),
        ("A='x y'; c $A \"$A\"", vec!["", "c x y x y"]),
        ("a ~/b \"$HOME/c\" $PWD/d", vec!["a ~/b ~/c ./d"]),
        ("a {b,c}.{d,e}", vec!["a b.d b.e c.d c.e"]),
        ("a $'\\x41\\n' $\"b\"", vec!["a A\n b"]),
        ("env -i A=b c d", vec!["c d"]),
        ("sudo -u x -- timeout -s KILL 5 c -d", vec!["c -d"]),
        ("docker run --rm -e A=b -v /a:/b image c d", vec!["c d"]),
        ("docker compose exec -T web c", vec!["c"]),
        ("kubectl -n x exec pod -- c d", vec!["c d", "kubectl -n x exec pod -- c d"]),
        ("ssh -p 22 host 'a; b'", vec!["a", "b", "ssh -p 22 host a; b"]),
        ("bash -c 'a \"$1\"' x", vec!["a $1", "bash -c a \"$1\" x"]),
        ("eval a 'b; c'", vec!["a b", "c", "eval a b; c"]),
        (
            "find . -name '*.x' -exec a {} \\; -exec b {} +",
            vec!["a *.x", "b *.x", "find . -name *.x -exec a {} ; -exec b {} +"],
        ),
        ("xargs -n 1 -I {} a {}", vec!["a {}"]),
        ("command -v a", vec!["command -v a"]),
        ("env", vec!["env"]),
        ("# a comment", vec![]),
        ("", vec![]),
    ] {
        assert_eq!(read(text), expected, "{text}");
    }
}

#[test]
fn redirections_here_documents_and_code_are_kept() {
    let script = Script::of_text("a < in > out 2>> err <<< 'x' <<E\nbody $(b)\nE\n");
    let of = |words: &[super::Word]| words.iter().map(|word| word.text.clone()).collect::<Vec<_>>();
    let a = script.commands.last().expect("a command");
    assert_eq!(
        (of(&a.reads), of(&a.writes)),
        (vec!["in".into()], vec!["out".into(), "err".into()])
    );
    assert_eq!(a.input, ["x", "body $(b)\n"]);
    assert_eq!(script.commands.first().map(super::Simple::head), Some("b"));
    for (text, program, code) in [
        ("python3.12 -c 'x'", "python", "x"),
        ("node -e \"y\"", "node", "y"),
        ("python <<'E'\nz\nE\n", "python", "z\n"),
        ("echo w | python3 -", "python", "w"),
        ("perl -ne 'print' f", "perl", "print"),
    ] {
        let script = Script::of_text(text);
        let code_of = |one: &super::Simple| one.code.first().cloned();
        let found = script.commands.iter().find_map(code_of).expect("code");
        assert_eq!((&*found.program, &*found.text), (program, code), "{text}");
    }
}

/// Texts that parsers take long for, or too much of the stack: they end, with as little of the stack
/// as a task may have left.
#[test]
fn hostile_texts_are_within_bounds() {
    let nests = ["(", "$(", "((", "$((", "{ ", "${a:-", "<(", "a=(", "\"$(", "$[", "f() ", "@("];
    let others = [
        "`",
        "if ",
        "while ",
        "case a in b) ",
        "function f ",
        "[[ ",
        "! ",
        "time ",
        "coproc ",
        "\"`\\`",
        "a{",
        "{a,",
        "<<E ",
        "<<E$[\t\t",
        "a[",
        "~",
        "*",
        "|",
        "&&",
        ";",
        "\\",
        "'",
        "\"",
        "$'",
        "$\"",
        "#",
        "for a in ",
        "select a in ",
        "a;",
        "a\n",
        "x=$x$x;",
        "x=({a,b}{a,b});",
        "eval ",
        "bash -c ",
        "cat <<E\nE\n",
        "$(cat <<E\nE\n",
        "until ",
        "else ",
        "\u{fe0f}",
    ];
    let small = std::thread::Builder::new().stack_size(1 << 20);
    let run = small.spawn(move || {
        for part in nests.iter().chain(&others) {
            for count in [1, 7, 20, 39, 41, 119, 1_000, 20_000] {
                for close in ["", ")", " ; }", "}", "; fi", " ]]", "\nE\n"] {
                    let text = format!("{}x{}", part.repeat(count), close.repeat(count));
                    let script = Script::of_text(&text);
                    assert!(script.commands.len() <= super::COMMANDS);
                    if nests.contains(part) && count > 40 {
                        let parsed = bounds::parse(&text, &mut { usize::MAX });
                        assert!(parsed.is_err(), "{part:?} {count} {close:?}");
                    }
                }
            }
        }
    });
    run.expect("a thread").join().expect("within its stack");
}

#[test]
fn what_grows_by_itself_is_cut() {
    let doubled = format!("x=aaaaaaaa; {}cat $x", "x=$x$x; ".repeat(40));
    let script = Script::of_text(&doubled);
    let longest =
        script.commands.iter().flat_map(|one| &one.words).map(|word| word.text.len()).max();
    assert!(longest.is_some_and(|longest| longest <= 16 << 10));
    let many = format!("cat {}", "{a,b}".repeat(40));
    assert!(Script::of_text(&many).commands.iter().all(|one| one.words.len() < 300));
    let nested = (0..20).fold("cat .env".to_owned(), |text, _| format!("bash -c {text:?}"));
    assert_eq!(Script::of_text(&nested).unread, Some(Unread::TooMuch));
}

/// Texts on which the parser works for a long time are not given to it whole: what it may cost is counted
/// before, in steps and not in time.
#[test]
fn what_takes_the_parser_long_is_refused_before() {
    for (part, count) in [("{''", 1_365), ("{$a", 1_365), ("{\" \"", 800), ("{\\a", 1_000)] {
        let text = format!("echo {}", part.repeat(count));
        let parsed = bounds::parse(&text, &mut super::allowance(text.len()));
        assert_eq!(parsed.err(), Some(bounds::Refused::Costly), "{part}");
    }
    for (open, close) in [("$(", ")"), ("\"$(", ")\""), ("<(", ")")] {
        let inner = "x ".repeat(10_000);
        let text = format!("echo {}{inner}{}", open.repeat(20), close.repeat(20));
        let parsed = bounds::parse(&text, &mut super::allowance(text.len()));
        assert_eq!(parsed.err(), Some(bounds::Refused::Costly), "{open}");
        assert_eq!(Script::of_text(&text).unread, Some(Unread::TooMuch));
    }
    // What looks the same and is quoted costs little.
    let json = format!("curl -d '{}' https://a.example", "{\"a\": \"b\"}, ".repeat(500));
    let mut steps = super::allowance(json.len());
    assert!(bounds::parse(&json, &mut steps).is_ok() && steps > 0);
    for length in [0, 100, 4 << 10, 32 << 10, 1 << 20, usize::MAX] {
        assert!(super::allowance(length) <= 128 << 10);
    }
}

/// What is put in for variables, passed through pipelines and handed over as words is bounded by the same
/// work: none of it is more than a few times the text.
#[test]
fn what_a_text_makes_of_itself_is_bounded() {
    let doubled = "x='a b';".to_owned() + &"x=$x$x;".repeat(20) + &"cat $x $x $x;".repeat(90);
    let passed = format!("echo {}{}", "x".repeat(12_000), "|cat".repeat(400));
    let braces = format!("cat {}", "{a,b}".repeat(18)).repeat(80);
    for text in [doubled, passed, braces] {
        let script = Script::of_text(&text);
        let words = script.commands.iter().flat_map(|one| &one.words);
        let input = script.commands.iter().flat_map(|one| &one.input);
        let held: usize = words.map(|word| word.text.len()).sum::<usize>()
            + input.map(String::len).sum::<usize>();
        assert!(held <= 1 << 20, "{held} of {}", text.len());
        assert_eq!(script.unread, Some(Unread::Unparsed), "{}", &text[..40]);
    }
    let many = Script::of_text(&format!("cat {}", "a ".repeat(20_000)));
    assert!(many.commands.iter().map(|one| one.words.len()).sum::<usize>() <= super::WORDS);
    assert_eq!(many.unread, Some(Unread::TooMuch));
}

/// A script that is too much as a whole is read as the shell reads it: by as few lines as belong together.
#[test]
fn long_scripts_are_read_by_their_commands() {
    let one =
        |at: usize| format!("x{at}=\"$(date)\"\nif [ -n \"$x{at}\" ]; then\n  b{at} \\\n  c\nfi\n");
    let end = "cat <<E\nd $(e)\nE\n'last one' \"f\ng\"\n";
    let text = (0..60).map(one).collect::<Vec<_>>().concat() + end;
    assert!(bounds::parse(&text, &mut super::allowance(text.len())).is_err());
    let script = Script::of_text(&text);
    assert_eq!(script.unread, None);
    let read = read(&text);
    assert_eq!(
        read.iter().filter(|line| line.starts_with('b') && line.ends_with(" c")).count(),
        60
    );
    assert_eq!(read.last().map(String::as_str), Some("last one f\ng"));
    assert!(read.contains(&"e".to_owned()) && !read.contains(&"d".to_owned()));
    // What does not parse in between does not hide what follows, nor does a line without end.
    let endless = ":".repeat(200_000);
    for (between, unread) in [
        ("if then", Unread::Unparsed),
        (&*endless, Unread::TooMuch),
        ("echo \"{''\" ) (", Unread::Unparsed),
    ] {
        let text = format!("a\n{between}\nlast\n");
        let script = Script::of_text(&text);
        assert_eq!(script.unread, Some(unread));
        assert_eq!(script.commands.last().map(super::Simple::head), Some("last"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read(text in any::<String>()) {
        Script::of_text(&text);
    }

    #[test]
    fn any_text_of_what_shells_have_is_read(parts in prop::collection::vec(prop::sample::select(vec![
        "a", "b=", "$b", "${b", "}", "(", ")", "$(", "`", "\"", "'", "\\", "|", "&&", ";", "\n", " ", "<", ">", "<<E", "E\n",
        "<<<", "{", ",", "[", "]", "[[", "]]", "if ", "then ", "fi", "for ", "do ", "done", "case ", "esac", "#", "!", "$((", "))",
        "bash -c ", "eval ", "xargs ", "env ", "sudo ", "find . -exec ", "{}", "echo ", "base64 -d", "*", "~", "é", "\u{0}", "-",
    ]), 0..120)) {
        let text = parts.concat();
        Script::of_text(&text);
        crate::inspect::discovery::of_call("Bash", &serde_json::json!({"command": text}));
    }
}
