//! How a client hears what became of its push (gitprotocol-pack, "Report Status").
//!
//! Takes a push; returns the answer that git shows when none of its refs is changed. Of an answer
//! with any other status than 200 git shows the status alone. None where not all of the push has
//! arrived, because a client that still sends takes such an answer for a broken connection.

use super::{RECEIVE, Service, push, service};
use crate::message::Message;

/// The refs of a push whose client waits for a report on each.
#[derive(Debug)]
pub struct Report {
    refs: Vec<String>,
    side_band: bool,
}

/// The most bytes of a line, with room for what its band and its length take.
const LONGEST: usize = 60_000;

impl Report {
    /// The media type of a report.
    pub const MEDIA_TYPE: &'static str = "application/x-git-receive-pack-result";

    /// From a push that has arrived whole, and whose client reads a report.
    pub fn of<B>(message: &Message<B>) -> Option<Self> {
        let head = message.head();
        if !matches!(service(head), Some((Service::ReceivePack, _)))
            || head.media_type().is_none_or(|kind| kind != RECEIVE)
        {
            return None;
        }
        let push = push::read(message.whole()?).ok()?;
        let refs: Vec<String> = push.commands.into_iter().map(|command| command.name).collect();
        (push.reports && !refs.is_empty()).then_some(Self { refs, side_band: push.side_band })
    }

    /// The answer: nothing has changed. `text` is shown as it is, `word` beside each ref.
    pub fn refusing(&self, text: &str, word: &str) -> Vec<u8> {
        let mut report = Vec::new();
        line(&mut report, b"", b"unpack ok\n");
        for name in &self.refs {
            line(&mut report, b"", format!("ng {name} {word}\n").as_bytes());
        }
        report.extend_from_slice(b"0000");
        if !self.side_band {
            return report;
        }
        let mut answer = Vec::new();
        for part in text.as_bytes().chunks(LONGEST) {
            line(&mut answer, b"\x02", part);
        }
        for part in report.chunks(LONGEST) {
            line(&mut answer, b"\x01", part);
        }
        answer.extend_from_slice(b"0000");
        answer
    }
}

/// Adds a line with its length; what is longer than a line may be is cut.
fn line(out: &mut Vec<u8>, band: &[u8], text: &[u8]) {
    let text = text.get(..LONGEST).unwrap_or(text);
    out.extend_from_slice(format!("{:04x}", 4 + band.len() + text.len()).as_bytes());
    out.extend_from_slice(band);
    out.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_in_the_bands_that_the_client_asked_for() {
        let mut report = Report { refs: vec!["refs/heads/x".to_owned()], side_band: false };
        let plain = b"000eunpack ok\n001ang refs/heads/x denied\n0000";
        assert_eq!(report.refusing("why\n", "denied"), plain);
        report.side_band = true;
        let banded = [&b"0009\x02why\n0031\x01"[..], plain, b"0000"].concat();
        assert_eq!(report.refusing("why\n", "denied"), banded);
    }

    #[test]
    fn no_line_is_longer_than_one_may_be() {
        let refs = (0..1_000).map(|at| format!("refs/heads/{at}/{}", "x".repeat(200))).collect();
        let answer = Report { refs, side_band: true }.refusing(&"y".repeat(200_000), "denied");
        let mut rest = &answer[..];
        let mut lines = 0;
        while rest != b"0000" {
            let length = std::str::from_utf8(&rest[..4]).unwrap();
            let length = usize::from_str_radix(length, 16).unwrap();
            assert!((5..=65_520).contains(&length), "{length}");
            rest = &rest[length..];
            lines += 1;
        }
        assert!(lines > 7, "{lines}");
    }
}
