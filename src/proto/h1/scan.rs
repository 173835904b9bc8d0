//! Where a head and its lines end, found one byte at a time and resumable at any byte.
//!
//! The idea: errors belong to a position in the stream, never to a receive. A head that can no
//! longer become one is rejected at the first byte that proves it, so garbage is not collected.

use super::super::ProtoError;
use crate::limits::HEAD_BYTES_MAX;

/// How every head starts; the byte at `MINOR_AT` may be `0` or `1`.
const PREFIX: &[u8; 9] = b"HTTP/1.1 ";
const MINOR_AT: u8 = 7;

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Phase {
    #[default]
    Start,
    StartLf,
    /// So many bytes of `PREFIX` were seen.
    Prefix(u8),
    Line,
    LineLf,
    LineStart,
    EndLf,
}

/// The search for one head's end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HeadScan {
    phase: Phase,
    seen_bytes: usize,
}

/// What a stretch of bytes did to the search.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Scan {
    /// The head goes on.
    More,
    /// The last byte ends a line, and the head goes on.
    Line,
    /// The last byte ends the head.
    Whole,
    /// The last byte proves that this is no head, or is one too many.
    Broken(ProtoError),
}

impl HeadScan {
    /// Goes on where the search stopped, up to the next line end. Each byte is looked at once; tells
    /// how many that were.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> (usize, Scan) {
        let within = &bytes[..bytes.len().min(HEAD_BYTES_MAX - self.seen_bytes)];
        let mut at = 0;
        let scan = loop {
            let Some(&byte) = within.get(at) else {
                if at == bytes.len() {
                    break Scan::More;
                }
                at += 1;
                break Scan::Broken(ProtoError::Limit);
            };
            at += 1;
            match step(self.phase, byte) {
                Ok(Some(phase)) => self.phase = phase,
                Ok(None) => break Scan::Whole,
                Err(error) => break Scan::Broken(error),
            }
            match self.phase {
                // Most bytes of a head do nothing but lengthen a line.
                Phase::Line => {
                    at += within[at..].iter().take_while(|&&byte| is_text(byte)).count();
                }
                Phase::LineStart => break Scan::Line,
                _ => {}
            }
        };
        self.seen_bytes += at;
        #[cfg(test)]
        super::tests::work::add(at);
        (at, scan)
    }
}

/// Whether a line of a head may contain this byte.
fn is_text(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

/// The phase after `byte`; `None` when it ends the head.
///
/// Everything refused here is refused by the parser of whole heads as well.
fn step(phase: Phase, byte: u8) -> Result<Option<Phase>, ProtoError> {
    let next = match (phase, byte) {
        // Some servers end a body with one line end too many.
        (Phase::Start, b'\r') => Phase::StartLf,
        (Phase::StartLf, b'\n') => Phase::Prefix(0),
        (Phase::Start, b'H') => Phase::Prefix(1),
        (Phase::Prefix(at), _) => after_prefix(at, byte)?,
        (Phase::Line, b'\r') => Phase::LineLf,
        (Phase::LineStart, b'\r') => Phase::EndLf,
        (Phase::LineStart, b'\n') | (Phase::EndLf, b'\n') => return Ok(None),
        (Phase::Line, b'\n') | (Phase::LineLf, b'\n') => Phase::LineStart,
        (Phase::Line | Phase::LineStart, _) if is_text(byte) => Phase::Line,
        _ => return Err(ProtoError::Parse),
    };
    Ok(Some(next))
}

fn after_prefix(at: u8, byte: u8) -> Result<Phase, ProtoError> {
    let fits = byte == PREFIX[usize::from(at)] || (at == MINOR_AT && byte == b'0');
    match at + 1 {
        _ if !fits => Err(ProtoError::Parse),
        count if usize::from(count) == PREFIX.len() => Ok(Phase::Line),
        count => Ok(Phase::Prefix(count)),
    }
}
