//! The end of a chunked request body (RFC 9112 section 7.1), found byte for byte and kept nowhere.

use crate::limits;

use super::head::Malformed;

/// Longest trailer section, as long as a head may be.
const TRAILER_BYTES_MAX: usize = limits::HEAD_BYTES_MAX;

/// Where the decoder stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// In the digits of a chunk's size.
    Size {
        value: u64,
        digits: u32,
    },
    /// After them, up to the end of the line.
    SizeLine {
        value: u64,
    },
    /// A CR was seen: only LF may follow.
    SizeEnd {
        value: u64,
    },
    Data {
        left: u64,
    },
    DataReturn,
    DataEnd,
    TrailerStart,
    TrailerLine,
    /// The last line is a CR long so far.
    LastReturn,
}

/// A resumable reader of one chunked body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunked {
    state: State,
    /// Bytes of the current size line, or of the trailer section.
    line_bytes: usize,
}

impl Chunked {
    pub(super) fn new() -> Self {
        Self { state: State::Size { value: 0, digits: 0 }, line_bytes: 0 }
    }

    /// Reads on: `Ok(Some(n))` when the body ends with the first `n` bytes, `Ok(None)` when all of
    /// them belong to it and more follow.
    pub(super) fn find_end(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        let mut at = 0;
        while at < bytes.len() {
            if let State::Data { left } = self.state {
                let taken = left.min((bytes.len() - at) as u64);
                at += taken as usize;
                self.state = match left - taken {
                    0 => State::DataReturn,
                    left => State::Data { left },
                };
                continue;
            }
            let ended = self.step(bytes[at])?;
            at += 1;
            if ended {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    /// One byte of framing; true when it is the last of the body.
    fn step(&mut self, byte: u8) -> Result<bool, Malformed> {
        self.line_bytes += 1;
        let bytes_max = match self.state {
            State::TrailerStart | State::TrailerLine | State::LastReturn => TRAILER_BYTES_MAX,
            _ => limits::CHUNK_LINE_BYTES_MAX,
        };
        if self.line_bytes > bytes_max {
            return Err(Malformed);
        }
        self.state = match (self.state, byte) {
            (State::Size { digits: 0, .. }, byte) if !byte.is_ascii_hexdigit() => {
                return Err(Malformed);
            }
            (State::Size { value, digits }, byte) => match (byte as char).to_digit(16) {
                Some(digit) if value >> 60 == 0 => {
                    State::Size { value: value << 4 | u64::from(digit), digits: digits + 1 }
                }
                Some(_) => return Err(Malformed),
                None => size_line(value, byte)?,
            },
            (State::SizeLine { value }, byte) => match byte {
                b'\r' | b'\n' => size_line(value, byte)?,
                _ => State::SizeLine { value },
            },
            (State::SizeEnd { value }, b'\n') => after_size(value),
            (State::DataReturn, b'\r') => State::DataEnd,
            (State::DataReturn | State::DataEnd, b'\n') => State::Size { value: 0, digits: 0 },
            (State::TrailerStart, b'\r') => State::LastReturn,
            (State::TrailerStart | State::LastReturn, b'\n') => return Ok(true),
            (State::TrailerLine, b'\n') => State::TrailerStart,
            (State::TrailerStart | State::TrailerLine, _) => State::TrailerLine,
            _ => return Err(Malformed),
        };
        let is_new_line = matches!(self.state, State::Data { .. } | State::Size { digits: 0, .. });
        if is_new_line {
            self.line_bytes = 0;
        }
        Ok(false)
    }
}

/// What follows a size when `byte` comes after its digits or within an extension.
fn size_line(value: u64, byte: u8) -> Result<State, Malformed> {
    match byte {
        b'\n' => Ok(after_size(value)),
        b'\r' => Ok(State::SizeEnd { value }),
        b';' | b' ' | b'\t' => Ok(State::SizeLine { value }),
        _ => Err(Malformed),
    }
}

fn after_size(value: u64) -> State {
    match value {
        0 => State::TrailerStart,
        left => State::Data { left },
    }
}
