//! One request head: where it ends, and what it asks for.
//!
//! Owns the grammar of a request head (RFC 9112 sections 2 to 6) as a server must read it, written
//! from the RFC and not over the parser of the client, so that a mistake in one shows in the other.
//! Knows nothing of connections.

use super::answers::{Answer, Content, Persistence};

/// Where the request's body ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Body {
    /// There is none.
    Empty,
    /// After this many bytes, at least one.
    Length(u64),
    /// After the last chunk and the trailer section.
    Chunked,
}

/// What one head asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Request {
    pub(super) body: Body,
    pub(super) answer: Answer,
    pub(super) expects_continue: bool,
}

/// The head is not one that RFC 9112 allows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Malformed;

/// Where the scan for the end of a head stands; carried over from read to read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Scan {
    /// Before the request line: empty lines are skipped (RFC 9112 section 2.2).
    #[default]
    Before,
    InLine,
    LineStart,
    LineStartReturn,
}

impl Scan {
    /// Reads on; `Some(n)` when the head ends with the first `n` of these bytes.
    pub(super) fn find_end(&mut self, bytes: &[u8]) -> Option<usize> {
        for (index, &byte) in bytes.iter().enumerate() {
            *self = match (*self, byte) {
                (Self::Before, b'\r' | b'\n') => Self::Before,
                (Self::LineStart | Self::LineStartReturn, b'\n') => {
                    *self = Self::Before;
                    return Some(index + 1);
                }
                (Self::LineStart, b'\r') => Self::LineStartReturn,
                (Self::InLine, b'\n') => Self::LineStart,
                _ => Self::InLine,
            };
        }
        None
    }
}

/// Reads a head, from its first byte through the empty line.
pub(super) fn parse(head: &[u8]) -> Result<Request, Malformed> {
    let start = head.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).ok_or(Malformed)?;
    let mut lines = head[start..].split_inclusive(|&byte| byte == b'\n').map(without_line_end);
    let line = request_line(lines.next().ok_or(Malformed)?)?;
    let mut fields = Fields::default();
    for field in lines {
        if field.is_empty() {
            break;
        }
        fields.take(field)?;
    }
    fields.request(line)
}

/// A bare LF ends a line as CR LF does (RFC 9112 section 2.2).
fn without_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// What the request line says.
#[derive(Clone, Copy)]
struct RequestLine {
    content: Content,
    is_http_1_0: bool,
}

fn request_line(line: &[u8]) -> Result<RequestLine, Malformed> {
    let mut parts = line.split(|&byte| byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Malformed);
    };
    let is_http_1_0 = match version {
        b"HTTP/1.1" => false,
        b"HTTP/1.0" => true,
        _ => return Err(Malformed),
    };
    if !is_token(method)
        || target.is_empty()
        || !target.iter().all(|&byte| byte > b' ' && byte != 127)
    {
        return Err(Malformed);
    }
    let path = target.split(|&byte| byte == b'?').next().unwrap_or(target);
    let content = match (method, path) {
        (b"HEAD", _) => Content::HeadOnly,
        (b"GET", b"/__count") => Content::Count,
        _ => Content::Whole,
    };
    Ok(RequestLine { content, is_http_1_0 })
}

/// The fields that decide framing and persistence.
#[derive(Default)]
struct Fields {
    hosts: u32,
    length: Option<u64>,
    is_chunked: bool,
    says_close: bool,
    says_keep_alive: bool,
    expects_continue: bool,
}

impl Fields {
    fn take(&mut self, line: &[u8]) -> Result<(), Malformed> {
        let colon = line.iter().position(|&byte| byte == b':').ok_or(Malformed)?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        let is_value_byte = |&byte: &u8| byte == b'\t' || (byte >= b' ' && byte != 127);
        if !is_token(name) || !value.iter().all(is_value_byte) {
            return Err(Malformed);
        }
        if name.eq_ignore_ascii_case(b"host") {
            self.hosts += 1;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            let length = decimal(value).ok_or(Malformed)?;
            if self.length.is_some_and(|before| before != length) {
                return Err(Malformed);
            }
            self.length = Some(length);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            // Any other coding could not be undone, and two of them would be applied twice.
            if self.is_chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Malformed);
            }
            self.is_chunked = true;
        } else if name.eq_ignore_ascii_case(b"connection") {
            for option in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
                self.says_close |= option.eq_ignore_ascii_case(b"close");
                self.says_keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            }
        } else if name.eq_ignore_ascii_case(b"expect") {
            self.expects_continue |= value.eq_ignore_ascii_case(b"100-continue");
        }
        Ok(())
    }

    fn request(self, line: RequestLine) -> Result<Request, Malformed> {
        let is_1_0 = line.is_http_1_0;
        // RFC 9112 section 3.2: a server answers 400 to anything but one Host in HTTP/1.1.
        if self.hosts > 1 || (self.hosts == 0 && !is_1_0) {
            return Err(Malformed);
        }
        // RFC 9112 section 6.1: both framings, or chunked from HTTP/1.0, is how requests are
        // smuggled.
        if self.is_chunked && (is_1_0 || self.length.is_some()) {
            return Err(Malformed);
        }
        let body = match self.length {
            _ if self.is_chunked => Body::Chunked,
            None | Some(0) => Body::Empty,
            Some(bytes) => Body::Length(bytes),
        };
        let persistence = if self.says_close || (is_1_0 && !self.says_keep_alive) {
            Persistence::Close
        } else if is_1_0 {
            Persistence::KeepAlive
        } else {
            Persistence::Silent
        };
        let answer = Answer { content: line.content, persistence };
        Ok(Request { body, answer, expects_continue: self.expects_continue && !is_1_0 })
    }
}

/// RFC 9110 section 5.6.2.
fn is_token(bytes: &[u8]) -> bool {
    let is_token_byte =
        |&byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !bytes.is_empty() && bytes.iter().all(is_token_byte)
}

/// Digits only: no sign, no list, no overflow.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |value, &byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}
