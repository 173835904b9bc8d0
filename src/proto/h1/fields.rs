//! The three fields that decide framing and reuse: Content-Length, Transfer-Encoding, Connection.
//!
//! All are lists that may be spread over several fields (RFC 9110 section 5.3), so each is a small
//! accumulator that is shown every field of its name, in order.

use super::super::ProtoError;

/// What Content-Length said (RFC 9110 section 8.6).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ContentLength {
    /// The length in bytes and the number of its digits, which together are its text.
    seen: Option<(u64, usize)>,
}

impl ContentLength {
    /// Takes one field. Repeated values must be the same to the letter: `030,30` is equal to some
    /// parsers and not to others, which is what a smuggled request needs.
    pub(super) fn add(&mut self, value: &[u8]) -> Result<(), ProtoError> {
        for member in value.split(|&byte| byte == b',') {
            let member = trim(member);
            let this = (decimal(member)?, member.len());
            if *self.seen.get_or_insert(this) != this {
                return Err(ProtoError::Parse);
            }
        }
        Ok(())
    }

    /// The length in bytes, if there was such a field.
    pub(super) fn body_bytes(&self) -> Option<u64> {
        self.seen.map(|(body_bytes, _)| body_bytes)
    }
}

/// One or more digits, below 2^63: whatever is longer is no length but an attempt at a wrap.
fn decimal(text: &[u8]) -> Result<u64, ProtoError> {
    if text.is_empty() {
        return Err(ProtoError::Parse);
    }
    let mut value = 0_u64;
    for &byte in text {
        if !byte.is_ascii_digit() {
            return Err(ProtoError::Parse);
        }
        value = value
            .checked_mul(10)
            .and_then(|tens| tens.checked_add(u64::from(byte - b'0')))
            .filter(|&value| i64::try_from(value).is_ok())
            .ok_or(ProtoError::Parse)?;
    }
    Ok(value)
}

/// What Transfer-Encoding said (RFC 9112 section 6.1).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TransferEncoding {
    pub(super) is_present: bool,
    /// The last coding is `chunked`, so the body ends by itself.
    pub(super) is_chunked_last: bool,
    has_chunked: bool,
}

impl TransferEncoding {
    /// Takes one field. Names are compared whole and without case; empty members are skipped.
    pub(super) fn add(&mut self, value: &[u8]) -> Result<(), ProtoError> {
        self.is_present = true;
        let mut rest = value;
        loop {
            let end = member_bytes(rest)?;
            self.add_coding(trim(&rest[..end]))?;
            if end == rest.len() {
                return Ok(());
            }
            rest = &rest[end + 1..];
        }
    }

    fn add_coding(&mut self, coding: &[u8]) -> Result<(), ProtoError> {
        if coding.is_empty() {
            return Ok(());
        }
        let mut parts = coding.splitn(2, |&byte| byte == b';');
        let name = trim(parts.next().unwrap_or_default());
        if name.is_empty() || !name.iter().all(|&byte| is_token(byte)) {
            return Err(ProtoError::Parse);
        }
        self.is_chunked_last = name.eq_ignore_ascii_case(b"chunked");
        if self.is_chunked_last {
            // RFC 9112 sections 6.1 and 7.1: at most once, and without parameters.
            if self.has_chunked || parts.next().is_some() {
                return Err(ProtoError::Parse);
            }
            self.has_chunked = true;
        }
        Ok(())
    }
}

/// Length of the list member at the start: up to a comma that stands outside quotes.
fn member_bytes(list: &[u8]) -> Result<usize, ProtoError> {
    let mut in_quotes = false;
    let mut is_escaped = false;
    for (index, &byte) in list.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_quotes => is_escaped = true,
            b'"' => in_quotes = !in_quotes,
            b',' if !in_quotes => return Ok(index),
            _ => {}
        }
    }
    if in_quotes { Err(ProtoError::Parse) } else { Ok(list.len()) }
}

/// What Connection said (RFC 9112 section 9.3).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Connection {
    pub(super) has_close: bool,
    pub(super) has_keep_alive: bool,
}

impl Connection {
    /// Takes one field.
    pub(super) fn add(&mut self, value: &[u8]) {
        for member in value.split(|&byte| byte == b',') {
            let member = trim(member);
            self.has_close |= member.eq_ignore_ascii_case(b"close");
            self.has_keep_alive |= member.eq_ignore_ascii_case(b"keep-alive");
        }
    }
}

/// Without white space at the ends. Line ends count as such: a folded line is one space.
fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b'\r' | b'\n', rest @ ..] = text {
        text = rest;
    }
    while let [rest @ .., b' ' | b'\t' | b'\r' | b'\n'] = text {
        text = rest;
    }
    text
}

/// Whether a token may contain this byte (RFC 9110 section 5.6.2).
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
