//! What commands print whose words already say it.
//!
//! Takes the commands of one pipeline; returns its output where it is made of nothing else than the
//! text: `echo`, `printf`, `cat` of a here document, decoded by `base64 -d`, `xxd -r` or `rev`.

use super::{Simple, base};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

/// What is longer is not put together.
pub(super) const LONGEST: usize = 16 << 10;

/// The output of a pipeline.
pub(super) fn of(commands: &[Simple]) -> Option<String> {
    let (head, rest) = commands.split_first()?;
    let mut text = first(head)?;
    for (stage, command) in rest.iter().enumerate() {
        let is_next = command.place.pipeline == head.place.pipeline
            && command.place.stage == head.place.stage + stage + 1;
        text = passed(command, text).filter(|_| is_next)?;
    }
    (text.len() <= LONGEST).then_some(text)
}

/// The output of a command that nothing is piped into.
pub(super) fn first(command: &Simple) -> Option<String> {
    match command.input.first().filter(|_| command.head() != "echo") {
        Some(input) => passed(command, input.clone()),
        None => said(command),
    }
}

/// Whether a command turns text into other text that can then run.
pub(super) fn is_decoder(command: &Simple) -> bool {
    let decodes = command.has("-d") || command.has("--decode") || command.has("-D");
    match command.head() {
        "base64" | "base32" | "basenc" | "openssl" | "gzip" | "gpg" | "zstd" | "xz" => decodes,
        "xxd" => command.has_flag('r'),
        "gunzip" | "zcat" | "rev" | "tr" => true,
        _ => false,
    }
}

fn said(command: &Simple) -> Option<String> {
    let is_known = command.arguments().iter().all(|word| word.is_known && !word.is_wild);
    if !is_known || !command.writes.is_empty() || !command.reads.is_empty() {
        return None;
    }
    let words = || command.arguments().iter().map(|word| word.text.as_str());
    match base(command.head()) {
        "echo" => {
            let is_option = |word: &&str| matches!(*word, "-n" | "-e" | "-E" | "-ne" | "-en");
            let text: Vec<&str> = words().skip_while(is_option).collect();
            let text = text.join(" ");
            Some(if command.has_flag('e') { unescaped(&text) } else { text })
        }
        "printf" => {
            let format = words().find(|word| *word != "--")?;
            let rest: Vec<&str> = words().skip_while(|word| *word == "--").skip(1).collect();
            let text = if format.contains('%') { rest.join("") } else { format.to_owned() };
            Some(unescaped(&text))
        }
        _ => None,
    }
}

/// The output of a command that this is piped into.
pub(super) fn passed(command: &Simple, text: String) -> Option<String> {
    let decodes = command.has("-d") || command.has("--decode") || command.has("-D");
    match command.head() {
        "cat" | "tee" if command.operands().next().is_none() => Some(text),
        "rev" => Some(text.trim_end().chars().rev().collect()),
        "base64" if decodes => {
            let letters: String = text.chars().filter(|c| !c.is_whitespace()).collect();
            let bytes = STANDARD.decode(&letters).or_else(|_| STANDARD_NO_PAD.decode(&letters));
            String::from_utf8(bytes.ok()?).ok()
        }
        "xxd" if command.has_flag('r') => {
            let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
            let byte = |pair: &[u32]| match pair {
                [high, low] => u8::try_from(high * 16 + low).ok(),
                _ => None,
            };
            String::from_utf8(digits.chunks(2).map_while(byte).collect()).ok()
        }
        _ => None,
    }
}

/// Takes escapes off, as `printf` does.
fn unescaped(text: &str) -> String {
    let mut left = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        left.push_str(before);
        let (digits, radix) = match after.as_bytes().first() {
            Some(b'x') => (after.get(1..).unwrap_or_default(), 16),
            Some(b'0'..=b'7') => (after, 8),
            Some(b'n') => {
                left.push('\n');
                rest = after.get(1..).unwrap_or_default();
                continue;
            }
            _ => {
                rest = after;
                continue;
            }
        };
        let most = if radix == 16 { 2 } else { 3 };
        let length = digits.chars().take(most).take_while(|c| c.is_digit(radix)).count();
        let code = digits.get(..length).and_then(|digits| u32::from_str_radix(digits, radix).ok());
        left.extend(code.and_then(char::from_u32));
        rest = digits.get(length..).unwrap_or_default();
    }
    left.push_str(rest);
    left
}
