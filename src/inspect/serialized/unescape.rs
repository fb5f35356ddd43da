//! A text with the escapes of JSON taken off, once or several times, which knows where each byte stood.
//!
//! Takes bytes; returns those that a parser would have handed on from inside a text, with the places of
//! the original. What is no escape stays as it is.

use super::TooMuch;
use std::borrow::Cow;

/// A text at one level of escapes.
pub(super) struct Text<'t> {
    bytes: Cow<'t, [u8]>,
    /// Where each byte stood in the original, and where it ends; none if nothing was taken off.
    places: Option<Vec<u32>>,
}

impl<'t> Text<'t> {
    /// A text as it came.
    pub(super) fn whole(bytes: &'t [u8]) -> Result<Self, TooMuch> {
        u32::try_from(bytes.len()).map_err(|_length| TooMuch::Work)?;
        Ok(Self { bytes: Cow::Borrowed(bytes), places: None })
    }

    /// Its bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where a byte stood in the original, or the end.
    pub(super) fn place(&self, at: usize) -> usize {
        match &self.places {
            None => at,
            Some(places) => places.get(at).map_or(0, |place| *place as usize),
        }
    }

    /// The same with one level of escapes taken off; none if there is none.
    pub(super) fn unescaped(&self) -> Option<Text<'static>> {
        memchr::memchr(b'\\', &self.bytes)?;
        let mut bytes = Vec::with_capacity(self.bytes.len());
        let mut places = Vec::with_capacity(self.bytes.len() + 1);
        let mut rest: &[u8] = &self.bytes;
        let mut changed = false;
        while let Some((first, behind)) = rest.split_first() {
            let at = self.bytes.len() - rest.len();
            let place = u32::try_from(self.place(at)).ok()?;
            let escaped = if *first == b'\\' { escape(behind) } else { None };
            let Some((length, c)) = escaped else {
                bytes.push(*first);
                places.push(place);
                rest = behind;
                continue;
            };
            changed = true;
            let mut buffer = [0; 4];
            for byte in c.encode_utf8(&mut buffer).as_bytes() {
                bytes.push(*byte);
                places.push(place);
            }
            rest = behind.get(length..).unwrap_or_default();
        }
        places.push(u32::try_from(self.place(self.bytes.len())).ok()?);
        changed.then_some(Text { bytes: Cow::Owned(bytes), places: Some(places) })
    }
}

/// What stands behind a backslash: how long it is, and for what.
fn escape(behind: &[u8]) -> Option<(usize, char)> {
    let c = match behind.first()? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let digits = str::from_utf8(behind.get(1..5)?).ok()?;
            let digits = Some(digits).filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()))?;
            let unit = u32::from_str_radix(digits, 16).ok()?;
            // Half of a pair stands for no letter that matters here.
            return Some((5, char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER)));
        }
        _ => return None,
    };
    Some((1, c))
}
