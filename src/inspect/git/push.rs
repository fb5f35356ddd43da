//! What a push says before its pack (gitprotocol-pack, gitprotocol-http).
//!
//! Takes the body of a `git-receive-pack` request, or its beginning; returns the refs it creates,
//! moves and deletes. Refuses what two servers could read two ways: lines of odd lengths, names that
//! are no ref names, ids of mixed lengths, signed pushes, and anything but a pack behind the commands.

use crate::inspect::{IDENTITIES, Unreadable};
use std::collections::HashSet;

/// The longest line (gitprotocol-common, "pkt-line Format").
const LONGEST: usize = 65_520;
/// The lengths of object ids in hexadecimal: SHA-1, SHA-256.
const ID_LENGTHS: [usize; 2] = [40, 64];
/// What a pack begins with.
const PACK: &[u8] = b"PACK";

/// A ref that is created, moved or deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Command {
    /// Where it pointed, in hexadecimal; zeros where it is created.
    pub(super) old: String,
    /// Where it is to point; zeros where it is deleted.
    pub(super) new: String,
    /// Its full name, as in `refs/heads/main`.
    pub(super) name: String,
}

impl Command {
    /// Whether the ref is deleted.
    pub(super) fn deletes(&self) -> bool {
        is_zero(&self.new)
    }
    /// Whether the ref is created.
    pub(super) fn creates(&self) -> bool {
        is_zero(&self.old)
    }
}

/// What a push asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Push {
    /// The refs, in their order; none where a client only asks whether it may push.
    pub(super) commands: Vec<Command>,
    /// Whether all of them are to change or none.
    pub(super) atomic: bool,
    /// What it tells the server's hooks.
    pub(super) options: Vec<String>,
}

/// How far a push that is still on its way has been looked through.
#[derive(Clone, Debug, Default)]
pub struct Opening {
    at: usize,
    ended: bool,
    lists: usize,
    begun: bool,
}

enum Packet<'a> {
    Line(&'a [u8]),
    Flush,
}

/// The first packet, and its length; none where not all of it is there.
fn packet(bytes: &[u8]) -> Result<Option<(Packet<'_>, usize)>, Unreadable> {
    let Some((header, behind)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    if !header.iter().all(u8::is_ascii_hexdigit) {
        return Err(Unreadable::Git("a line does not begin with its length"));
    }
    let length = header.iter().fold(0, |length, digit| {
        let value = char::from(*digit).to_digit(16).unwrap_or_default();
        length * 16 + value as usize
    });
    match length {
        0 => Ok(Some((Packet::Flush, 4))),
        // Some servers take these for the end of the commands, and others do not know them.
        1..=3 => Err(Unreadable::Git("it has a special packet that no push has")),
        _ if length > LONGEST => Err(Unreadable::Git("a line is longer than one may be")),
        _ => Ok(behind.get(..length - 4).map(|line| (Packet::Line(line), length))),
    }
}

impl Opening {
    /// Whether the bytes so far hold all that is judged, or something that is refused in any case.
    pub fn is_complete(&mut self, bytes: &[u8]) -> bool {
        while !self.ended {
            match packet(bytes.get(self.at..).unwrap_or_default()) {
                Err(_refused) => return true,
                Ok(None) => return false,
                Ok(Some((Packet::Line(line), length))) => {
                    self.at += length;
                    if !self.begun && line.contains(&0) {
                        self.lists += usize::from(Capabilities::of(line).options);
                    }
                    self.begun |= line.contains(&0);
                }
                Ok(Some((Packet::Flush, length))) => {
                    self.at += length;
                    self.ended = self.lists == 0;
                    self.lists = self.lists.saturating_sub(1);
                }
            }
        }
        bytes.len() >= self.at + PACK.len()
    }
}

/// What a client says of itself behind its first command, as far as it changes what follows.
#[derive(Clone, Copy, Debug, Default)]
struct Capabilities {
    atomic: bool,
    options: bool,
}

impl Capabilities {
    fn of(line: &[u8]) -> Self {
        let said = line.splitn(2, |byte| *byte == 0).nth(1).unwrap_or_default();
        let mut read = Self::default();
        // Servers look for a word between any white space, whatever value they are given with it.
        for word in said.split(u8::is_ascii_whitespace) {
            let word = word.split(|byte| *byte == b'=').next().unwrap_or_default();
            read.atomic |= word == b"atomic";
            read.options |= word == b"push-options";
        }
        read
    }
}

/// Reads a push, or the beginning of one that holds all before its pack.
pub(super) fn read(bytes: &[u8]) -> Result<Push, Unreadable> {
    let mut push = Push::default();
    let mut capabilities = None;
    let mut names = HashSet::new();
    let mut rest = bytes;
    let mut shallow = false;
    while let Some(line) = next(&mut rest)? {
        if let Some(id) = line.strip_prefix(b"shallow ") {
            shallow = true;
            if capabilities.is_some() || read_id(chomped(id)).is_none() {
                return Err(Unreadable::Git("a line of a shallow clone stands where none may"));
            }
            continue;
        }
        if line.starts_with(b"push-cert") {
            return Err(Unreadable::Git("a signed push is not read; push with --no-signed"));
        }
        let command = match line.iter().position(|byte| *byte == 0) {
            None if capabilities.is_none() => {
                return Err(Unreadable::Git("its first command says nothing of the client"));
            }
            None => chomped(line),
            Some(_) if capabilities.is_some() => {
                return Err(Unreadable::Git("a later command has capabilities"));
            }
            Some(end) => {
                capabilities = Some(Capabilities::of(line));
                line.get(..end).unwrap_or_default()
            }
        };
        let command = read_command(command)?;
        if push.commands.first().is_some_and(|first| first.old.len() != command.old.len()) {
            return Err(Unreadable::Git("its object ids are of two kinds"));
        }
        if !names.insert(command.name.clone()) {
            return Err(Unreadable::Git("it changes one ref twice"));
        }
        push.commands.push(command);
        if push.commands.len() > IDENTITIES {
            return Err(Unreadable::Git("it changes more than 1,000 refs"));
        }
    }
    let said = capabilities.unwrap_or_default();
    push.atomic = said.atomic;
    while let Some(line) = if said.options { next(&mut rest)? } else { None } {
        let option = std::str::from_utf8(chomped(line))
            .map_err(|_bytes| Unreadable::Git("one of its options is not UTF-8"))?;
        push.options.push(option.to_owned());
        if push.options.len() > IDENTITIES {
            return Err(Unreadable::Git("it has more than 1,000 options"));
        }
    }
    let asks = push.commands.is_empty() && !shallow;
    match rest {
        [] if asks || !push.commands.is_empty() => Ok(push),
        _ if !push.commands.is_empty() && rest.starts_with(PACK) => Ok(push),
        _ => Err(Unreadable::Git("what follows its commands is no pack")),
    }
}

/// The next line of a list; none at its end.
fn next<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Unreadable> {
    let (packet, length) =
        packet(rest)?.ok_or(Unreadable::Git("it ends before its commands do"))?;
    *rest = rest.get(length..).unwrap_or_default();
    Ok(match packet {
        Packet::Line(line) => Some(line),
        Packet::Flush => None,
    })
}

/// A line without the line feed that may end it.
fn chomped(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\n").unwrap_or(line)
}

fn read_command(line: &[u8]) -> Result<Command, Unreadable> {
    const NONE: Unreadable = Unreadable::Git("a command is not `OLD NEW REF`");
    let mut parts = line.splitn(3, |byte| *byte == b' ');
    let (Some(old), Some(new), Some(name)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(NONE);
    };
    let (Some(old), Some(new)) = (read_id(old), read_id(new)) else { return Err(NONE) };
    if old.len() != new.len() || (is_zero(&old) && is_zero(&new)) {
        return Err(NONE);
    }
    let name = std::str::from_utf8(name)
        .ok()
        .filter(|name| is_ref_name(name))
        .ok_or(Unreadable::Git("it changes what is not a ref name"))?;
    Ok(Command { old, new, name: name.to_owned() })
}

fn read_id(bytes: &[u8]) -> Option<String> {
    let is_id = ID_LENGTHS.contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_hexdigit);
    is_id.then(|| String::from_utf8_lossy(bytes).to_ascii_lowercase())
}

fn is_zero(id: &str) -> bool {
    id.bytes().all(|byte| byte == b'0')
}

/// Whether a name is a ref's (git-check-ref-format), below `refs/`, where every pushed ref is.
fn is_ref_name(name: &str) -> bool {
    let Some(below) = name.strip_prefix("refs/") else { return false };
    let is_component = |part: &str| {
        !part.is_empty() && !part.starts_with('.') && part.strip_suffix(".lock").is_none()
    };
    below.split('/').all(is_component)
        && !name.ends_with('.')
        && !name.contains("..")
        && !name.contains("@{")
        && !name.chars().any(|c| c.is_control() || c.is_whitespace() || "~^:?*[\\".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const A: &str = "1111111111111111111111111111111111111111";
    const B: &str = "22222222222222222222222222222222222222Bb";
    const ZERO: &str = "0000000000000000000000000000000000000000";

    fn line(text: &str) -> String {
        format!("{:04x}{text}", text.len() + 4)
    }

    fn push(lines: &[&str], rest: &str) -> Vec<u8> {
        let lines: String = lines.iter().map(|text| line(text)).collect();
        format!("{lines}0000{rest}").into_bytes()
    }

    fn refused(body: &[u8]) -> &'static str {
        match read(body) {
            Err(Unreadable::Git(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn commands_are_read_as_git_writes_them() {
        let first = format!("{A} {B} refs/heads/main\0 report-status-v2 side-band-64k atomic");
        let gone = format!("{B} {ZERO} refs/tags/v1\n");
        let new = format!("{ZERO} {A} refs/heads/grün/ä");
        let shallow = format!("shallow {A}\n");
        let read = read(&push(&[&shallow, &first, &gone, &new], "PACK\0\0\0\x02")).unwrap();
        let names: Vec<_> = read
            .commands
            .iter()
            .map(|command| (&*command.name, command.creates(), command.deletes()))
            .collect();
        let expected = [
            ("refs/heads/main", false, false),
            ("refs/tags/v1", false, true),
            ("refs/heads/grün/ä", true, false),
        ];
        assert_eq!(names, expected);
        assert_eq!(read.commands[0].new, B.to_lowercase());
        assert!(read.atomic && read.options.is_empty());
        for (said, atomic) in [("atomic=1", true), ("x atomic=", true), ("atomics", false)] {
            let first = format!("{A} {B} refs/heads/main\0{said}");
            assert_eq!(super::read(&push(&[&first], "PACK")).unwrap().atomic, atomic, "{said}");
        }
    }

    #[test]
    fn ids_of_sha256_and_options_are_read() {
        let (a, zero) = ("ab".repeat(32), "0".repeat(64));
        let first = format!("{a} {zero} refs/heads/x\0push-options object-format=sha256");
        let mut body = push(&[&first], "");
        body.extend(push(&["ci.skip\n", "x=y"], ""));
        let read = read(&body).unwrap();
        assert!(read.commands[0].deletes());
        assert_eq!(read.options, ["ci.skip", "x=y"]);
        assert_eq!(refused(&push(&[&first], "")), "it ends before its commands do");
    }

    #[test]
    fn a_client_may_ask_before_it_sends() {
        assert_eq!(read(b"0000"), Ok(Push::default()));
    }

    #[test]
    fn what_could_be_read_another_way_is_refused() {
        let first = format!("{A} {B} refs/heads/main\0 report-status");
        let long = "ab".repeat(32);
        for (body, why) in [
            (b"".to_vec(), "it ends before its commands do"),
            (push(&[&first], "PACK")[..60].to_vec(), "it ends before its commands do"),
            (line(&first).into_bytes(), "it ends before its commands do"),
            (b"+01a".to_vec(), "a line does not begin with its length"),
            (b"00g0".to_vec(), "a line does not begin with its length"),
            (b"fff1".to_vec(), "a line is longer than one may be"),
            (
                format!("{}0001", line(&first)).into_bytes(),
                "it has a special packet that no push has",
            ),
            (
                format!("{}0002", line(&first)).into_bytes(),
                "it has a special packet that no push has",
            ),
            (push(&[""], ""), "its first command says nothing of the client"),
            (push(&[&first, ""], ""), "a command is not `OLD NEW REF`"),
            (
                push(&["push-cert\0 report-status"], ""),
                "a signed push is not read; push with --no-signed",
            ),
            (
                push(&[&format!("{A} {B} refs/heads/x")], ""),
                "its first command says nothing of the client",
            ),
            (
                push(&[&first, &format!("{A} {B} refs/heads/x\0")], ""),
                "a later command has capabilities",
            ),
            (
                push(&[&first, &format!("shallow {A}")], ""),
                "a line of a shallow clone stands where none may",
            ),
            (push(&["shallow 12"], ""), "a line of a shallow clone stands where none may"),
            (push(&[&format!("shallow {A}")], ""), "what follows its commands is no pack"),
            (
                push(&[&first, &format!("{ZERO} {ZERO} refs/heads/x")], ""),
                "a command is not `OLD NEW REF`",
            ),
            (
                push(&[&first, &format!("{A} {long} refs/heads/x")], ""),
                "a command is not `OLD NEW REF`",
            ),
            (
                push(&[&first, &format!("{A}  {B} refs/heads/x")], ""),
                "a command is not `OLD NEW REF`",
            ),
            (
                push(&[&first, &format!("{A} {} refs/heads/x", &B[1..])], ""),
                "a command is not `OLD NEW REF`",
            ),
            (
                push(&[&first, &format!("{long} {long} refs/heads/x")], ""),
                "its object ids are of two kinds",
            ),
            (
                push(&[&first, &format!("{A} {ZERO} refs/heads/main")], ""),
                "it changes one ref twice",
            ),
            (push(&[&first], "0000"), "what follows its commands is no pack"),
            (
                push(&[&first], &line(&format!("{A} {ZERO} refs/heads/x"))),
                "what follows its commands is no pack",
            ),
            (b"0000PACK".to_vec(), "what follows its commands is no pack"),
        ] {
            assert_eq!(refused(&body), why, "{}", String::from_utf8_lossy(&body));
        }
        let many: Vec<String> = (0..1_001)
            .map(|at| format!("{A} {B} refs/heads/{at}{}", if at == 0 { "\0" } else { "" }))
            .collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(refused(&push(&many, "")), "it changes more than 1,000 refs");
    }

    #[test]
    fn only_names_of_refs_are_refs() {
        for name in ["refs/heads/main", "refs/x", "refs/heads/a-b_c/ö.1", "refs/heads/@"] {
            assert!(is_ref_name(name), "{name}");
        }
        for name in [
            "main",
            "HEAD",
            "refs/",
            "refs",
            "refs//x",
            "refs/heads/",
            "refs/heads/.x",
            "refs/heads/x.lock",
            "refs/heads/x.",
            "refs/heads/a..b",
            "refs/heads/a b",
            "refs/heads/a~1",
            "refs/heads/a^",
            "refs/heads/a:b",
            "refs/heads/*",
            "refs/heads/a?",
            "refs/heads/[",
            "refs/heads/a\\b",
            "refs/heads/a@{1}",
            "refs/heads/a\nb",
            "refs/heads/a\u{a0}b",
            "refs/heads/a\u{7f}",
            "refs/../heads/x",
            "Refs/heads/x",
        ] {
            assert!(!is_ref_name(name), "{name}");
        }
    }

    #[test]
    fn the_opening_is_known_as_soon_as_it_is_there_and_no_sooner() {
        let first = format!("{A} {B} refs/heads/main\0 push-options");
        let mut body = push(&[&first, &format!("{A} {ZERO} refs/heads/x")], "");
        body.extend(push(&["0000"], ""));
        let end = body.len() + 4;
        body.extend(b"PACK and so on");
        let mut opening = Opening::default();
        for so_far in 0..=body.len() {
            assert_eq!(opening.is_complete(&body[..so_far]), so_far >= end, "{so_far} of {end}");
        }
        assert_eq!(read(&body[..end]), read(&body));
        assert!(Opening::default().is_complete(&body));
        // What is refused need not be waited for.
        assert!(Opening::default().is_complete(b"what"));
        assert!(!Opening::default().is_complete(b"0000"));
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            // What is waited for is no whole push that carries a pack.
            let waits = !Opening::default().is_complete(&bytes);
            let whole = read(&bytes);
            prop_assert!(!(waits && whole.is_ok() && bytes.ends_with(PACK)));
        }

        #[test]
        fn what_is_cut_off_behind_the_opening_changes_nothing(
            names in prop::collection::vec("[a-z]{1,6}(/[a-z0-9]{1,6}){0,2}", 1..8),
            options in prop::collection::vec("[ -~]{0,12}", 0..4),
            pack in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            let lines: Vec<String> = names
                .iter()
                .enumerate()
                .map(|(at, name)| {
                    let end = if at == 0 { "\0 atomic push-options" } else { "" };
                    format!("{A} {ZERO} refs/heads/{at}/{name}{end}")
                })
                .collect();
            let mut body = push(&lines.iter().map(String::as_str).collect::<Vec<_>>(), "");
            body.extend(push(&options.iter().map(String::as_str).collect::<Vec<_>>(), "PACK"));
            let end = body.len();
            body.extend(&pack);
            let mut opening = Opening::default();
            let found = (0..=body.len()).find(|so_far| opening.is_complete(&body[..*so_far]));
            prop_assert_eq!(found, Some(end));
            let whole = read(&body).unwrap();
            prop_assert_eq!(&read(&body[..end]).unwrap(), &whole);
            prop_assert_eq!(whole.commands.len(), names.len());
            prop_assert_eq!(whole.options, options);
        }
    }
}
