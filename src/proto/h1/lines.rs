//! What the lines of a head tell before the head is whole.
//!
//! The idea: a line that can be part of no valid head ends the matter where it ends, so that a peer
//! which then falls silent, or leaves, is blamed for what it sent. A line is judged by itself and by
//! the lines before it; what is refused here is refused by `head` as well.

use super::super::ProtoError;
use super::fields::{ContentLength, TransferEncoding, is_token};

/// Bytes of the version and the space behind it, which the search for the end has checked.
const VERSION_BYTES: usize = 9;

/// The lines of one head so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lines {
    /// Where the next one starts.
    from: usize,
    last: Last,
    length: ContentLength,
    coding: TransferEncoding,
}

/// The line before, as far as it decides whether another may go on with it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Last {
    #[default]
    None,
    Status,
    /// A field that decides framing.
    Framing,
    Field,
}

impl Lines {
    /// Judges the line that ends where `head` ends, which is all there is of it so far.
    pub(super) fn end(&mut self, head: &[u8]) -> Result<(), ProtoError> {
        let line = &head[self.from..];
        self.from = head.len();
        #[cfg(test)]
        super::tests::work::add(line.len());
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match (self.last, line) {
            (Last::None, _) => {
                self.last = Last::Status;
                // A line end may stand before it.
                status_line(line.strip_prefix(b"\r\n").unwrap_or(line))
            }
            (Last::Field, [b' ' | b'\t', ..]) => Ok(()),
            (Last::Status | Last::Framing, [b' ' | b'\t', ..]) => Err(ProtoError::Parse),
            (_, _) => self.field(line),
        }
    }

    fn field(&mut self, line: &[u8]) -> Result<(), ProtoError> {
        let colon = line.iter().position(|&byte| byte == b':').ok_or(ProtoError::Parse)?;
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if name.is_empty() || !name.iter().all(|&byte| is_token(byte)) {
            return Err(ProtoError::Parse);
        }
        self.last = Last::Framing;
        match name.len() {
            14 if name.eq_ignore_ascii_case(b"content-length") => self.length.add(value),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.coding.add(value),
            _ => {
                self.last = Last::Field;
                Ok(())
            }
        }
    }
}

/// Three digits, then nothing, or one space and a reason.
fn status_line(line: &[u8]) -> Result<(), ProtoError> {
    let (status, reason) = line
        .get(VERSION_BYTES..)
        .and_then(|rest| rest.split_at_checked(3))
        .ok_or(ProtoError::Parse)?;
    let is_fine = status.iter().all(u8::is_ascii_digit)
        && status[0] != b'0'
        && status != b"101"
        && !matches!(reason, [b' ', b' ' | b'\t', ..])
        && matches!(reason, [] | [b' ', ..]);
    if is_fine { Ok(()) } else { Err(ProtoError::Parse) }
}
