//! The chunked coding (RFC 9112 section 7.1): where a chunked body ends.
//!
//! Keeps no bytes. Sizes, extensions and trailers are checked strictly, one byte at a time; data is
//! skipped whole. What framing may cost is bounded, so that a body made of framing ends as `limit`.

use super::super::ProtoError;
use super::fields::is_token;
use crate::limits::{
    CHUNK_LINE_BYTES_MAX, CHUNK_OVERHEAD_FREE_BYTES, CHUNK_OVERHEAD_RATIO, FIELDS_MAX,
    HEAD_BYTES_MAX,
};

/// Hex digits of the largest size that fits 64 bits.
const SIZE_DIGITS_MAX: u8 = 16;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    Size,
    Extension(Extension),
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
}

/// Inside `;name=value` or `;name="value"`, with optional space around the signs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Extension {
    NameStart,
    Name,
    NameEnd,
    ValueStart,
    Value,
    Quoted,
    Escaped,
    ValueEnd,
}

/// One chunked body.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChunkDecoder {
    phase: Phase,
    size_digits: u8,
    /// Bytes of the current chunk that are still to come.
    left_bytes: u64,
    line_bytes: usize,
    framing_bytes: u64,
    body_bytes: u64,
    trailer_bytes: usize,
    trailer_fields: usize,
}

/// What a stretch of bytes did. The first `used` of them belong to the body and its framing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fed {
    pub(super) used: usize,
    /// How many of those were data; the others were framing.
    pub(super) data_bytes: usize,
    /// `Some(Ok)` when the body is whole.
    pub(super) end: Option<Result<(), ProtoError>>,
}

impl ChunkDecoder {
    pub(super) const fn new() -> Self {
        Self {
            phase: Phase::Size,
            size_digits: 0,
            left_bytes: 0,
            line_bytes: 0,
            framing_bytes: 0,
            body_bytes: 0,
            trailer_bytes: 0,
            trailer_fields: 0,
        }
    }

    /// Goes on where it stopped; `data` is shown the data.
    pub(super) fn feed(&mut self, bytes: &[u8], mut data: impl FnMut(&[u8])) -> Fed {
        let mut used = 0;
        let mut data_bytes = 0;
        let mut end = None;
        while end.is_none() && used < bytes.len() {
            if self.phase == Phase::Data {
                let taken = self.skip_data(bytes.len() - used);
                data(&bytes[used..used + taken]);
                used += taken;
                data_bytes += taken;
            } else {
                end = self.step(bytes[used]).transpose();
                used += 1;
            }
        }
        Fed { used, data_bytes, end }
    }

    /// Skips data, of which `bytes_max` bytes are there.
    fn skip_data(&mut self, bytes_max: usize) -> usize {
        let taken = usize::try_from(self.left_bytes).unwrap_or(usize::MAX).min(bytes_max);
        self.left_bytes -= taken as u64;
        self.body_bytes = self.body_bytes.saturating_add(taken as u64);
        if self.left_bytes == 0 {
            self.phase = Phase::DataCr;
        }
        taken
    }

    /// One byte that is not data; `Some` when it is the last of all.
    fn step(&mut self, byte: u8) -> Result<Option<()>, ProtoError> {
        match self.phase {
            Phase::Size | Phase::Extension(_) | Phase::SizeLf => self.step_size_line(byte)?,
            Phase::Data | Phase::DataCr => self.phase = expect(byte, b'\r', Phase::DataLf)?,
            Phase::DataLf => {
                self.phase = expect(byte, b'\n', Phase::Size)?;
                self.framing_bytes += 2;
            }
            Phase::EndLf => return expect(byte, b'\n', Some(())),
            _ => self.step_trailer(byte)?,
        }
        Ok(None)
    }

    fn step_size_line(&mut self, byte: u8) -> Result<(), ProtoError> {
        if self.phase == Phase::SizeLf {
            expect(byte, b'\n', ())?;
            return self.end_size_line();
        }
        if byte != b'\r' {
            self.line_bytes += 1;
            if self.line_bytes > CHUNK_LINE_BYTES_MAX {
                return Err(ProtoError::Limit);
            }
        }
        self.phase = match (self.phase, byte) {
            (Phase::Size, b';') if self.size_digits > 0 => Phase::Extension(Extension::NameStart),
            (Phase::Size, b'\r') if self.size_digits > 0 => Phase::SizeLf,
            (Phase::Size, _) => {
                self.add_digit(byte)?;
                Phase::Size
            }
            (Phase::Extension(extension), _) => after_extension(extension, byte)?,
            _ => return Err(ProtoError::Parse),
        };
        Ok(())
    }

    fn add_digit(&mut self, byte: u8) -> Result<(), ProtoError> {
        let digit = char::from(byte).to_digit(16).ok_or(ProtoError::Parse)?;
        if self.size_digits == SIZE_DIGITS_MAX {
            return Err(ProtoError::Parse);
        }
        self.size_digits += 1;
        self.left_bytes = (self.left_bytes << 4) | u64::from(digit);
        Ok(())
    }

    fn end_size_line(&mut self) -> Result<(), ProtoError> {
        self.framing_bytes += self.line_bytes as u64 + 2;
        let earned = self.body_bytes.saturating_mul(CHUNK_OVERHEAD_RATIO);
        if self.framing_bytes > earned.saturating_add(CHUNK_OVERHEAD_FREE_BYTES) {
            return Err(ProtoError::Limit);
        }
        self.line_bytes = 0;
        self.size_digits = 0;
        self.phase = if self.left_bytes == 0 { Phase::TrailerStart } else { Phase::Data };
        Ok(())
    }

    /// Trailer fields are checked like header fields, but for bare LF, and otherwise ignored.
    fn step_trailer(&mut self, byte: u8) -> Result<(), ProtoError> {
        self.trailer_bytes += 1;
        if self.trailer_bytes > HEAD_BYTES_MAX {
            return Err(ProtoError::Limit);
        }
        self.phase = match (self.phase, byte) {
            (Phase::TrailerStart, b'\r') => Phase::EndLf,
            // A folded line (RFC 9112 section 5.2) continues a field, so it cannot be the first.
            (Phase::TrailerStart, b' ' | b'\t') if self.trailer_fields > 0 => Phase::TrailerValue,
            (Phase::TrailerStart, _) if is_token(byte) => {
                self.trailer_fields += 1;
                if self.trailer_fields > FIELDS_MAX {
                    return Err(ProtoError::Limit);
                }
                Phase::TrailerName
            }
            (Phase::TrailerName, b':') => Phase::TrailerValue,
            (Phase::TrailerName, _) if is_token(byte) => Phase::TrailerName,
            (Phase::TrailerValue, b'\r') => Phase::TrailerLf,
            (Phase::TrailerValue, b'\t' | b' '..=b'~' | 0x80..) => Phase::TrailerValue,
            (Phase::TrailerLf, b'\n') => Phase::TrailerStart,
            _ => return Err(ProtoError::Parse),
        };
        Ok(())
    }
}

fn expect<T>(byte: u8, wanted: u8, next: T) -> Result<T, ProtoError> {
    if byte == wanted { Ok(next) } else { Err(ProtoError::Parse) }
}

/// RFC 9112 section 7.1.1.
fn after_extension(extension: Extension, byte: u8) -> Result<Phase, ProtoError> {
    use Extension::{Escaped, Name, NameEnd, NameStart, Quoted, Value, ValueEnd, ValueStart};
    let next = match (extension, byte) {
        (Name | NameEnd | Value | ValueEnd, b'\r') => return Ok(Phase::SizeLf),
        (Name | NameEnd | Value | ValueEnd, b';') => NameStart,
        (Name | NameEnd, b'=') => ValueStart,
        (NameStart | ValueStart, b' ' | b'\t') => extension,
        (Name | NameEnd, b' ' | b'\t') => NameEnd,
        (Value | ValueEnd, b' ' | b'\t') => ValueEnd,
        (NameStart | Name, _) if is_token(byte) => Name,
        (ValueStart | Value, _) if is_token(byte) => Value,
        (ValueStart, b'"') => Quoted,
        (Quoted, b'"') => ValueEnd,
        (Quoted, b'\\') => Escaped,
        (Quoted | Escaped, b'\t' | b' '..=b'~' | 0x80..) => Quoted,
        _ => return Err(ProtoError::Parse),
    };
    Ok(Phase::Extension(next))
}
