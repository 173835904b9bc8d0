//! Serialising the request, once, before anything is sent.
//!
//! On the wire: the request line, `Host`, the user's headers in their order, `Content-Length` when
//! there is a body. Nothing is added unasked. Where something is filled in for every request, or each
//! has another body, `write` makes the bytes of one request from what was serialised.

use std::fmt;
use std::sync::Arc;

use super::lines::Lines;
use super::placeholder::{self, Hole, Text};
use crate::limits;
use crate::rng::Rng;

/// A header as the user gave it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Header {
    /// Field name, as typed.
    pub name: String,
    /// Field value without surrounding blanks; any bytes but CR, LF and NUL.
    pub value: Vec<u8>,
}

/// One serialised request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request {
    bytes: Vec<u8>,
    head_request: bool,
    /// What is filled in anew for every request.
    holes: Vec<Hole>,
    /// The bodies that take turns; `bytes` then ends where the length is to stand.
    lines: Option<Arc<Lines>>,
}

/// What follows a request's head.
#[derive(Clone, Debug)]
pub enum Body {
    /// Nothing.
    None,
    /// The same for every request, but for its placeholders.
    Same(Text),
    /// Another one for every request, in turn.
    InTurn(Arc<Lines>),
}

/// Where in a serialised request its parts begin, in bytes.
struct Parts {
    target: usize,
    values: Vec<usize>,
    body: usize,
}

/// Why a request cannot be sent as asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RequestError {
    /// The method is not a token (RFC 9110 section 9.1).
    Method(String),
    /// The request target holds a blank, a control character or is empty.
    Target(String),
    /// The field name is not a token (RFC 9110 section 5.1).
    HeaderName(String),
    /// The field value holds CR, LF or NUL.
    HeaderValue(String),
    /// A `Content-Length` that differs from the body.
    ContentLength { given: String, body_bytes: usize },
    /// `Transfer-Encoding` contradicts a body that is sent with its length.
    TransferEncoding,
    /// The body is larger than can be held.
    BodyBytes(usize),
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Method(method) => write!(
                f,
                "method {method:?} is not an HTTP token; use letters such as GET or POST, without blanks"
            ),
            Self::Target(target) => write!(
                f,
                "path {target:?} holds a blank or a control character; percent-encode it (a blank is %20)"
            ),
            Self::HeaderName(name) => {
                write!(f, "header name {name:?} is not an HTTP token; write -H 'Name: value'")
            }
            Self::HeaderValue(name) => write!(
                f,
                "the value of header {name:?} holds CR, LF or NUL, which would split the request; remove it"
            ),
            Self::ContentLength { given, body_bytes } => write!(
                f,
                "header Content-Length: {given} contradicts the body of {body_bytes} bytes; leave it out, it is computed"
            ),
            Self::TransferEncoding => write!(
                f,
                "header Transfer-Encoding contradicts the body, which is sent with its Content-Length; leave it out"
            ),
            Self::BodyBytes(bytes) => write!(
                f,
                "the body has {bytes} bytes; at most {} fit in memory once per worker",
                limits::REQUEST_BODY_BYTES_MAX
            ),
        }
    }
}

impl Request {
    /// Serialises a request; `host` is used unless the headers bring their own `Host`.
    pub fn new(
        method: &str,
        target: &str,
        host: &str,
        headers: &[Header],
        body: Option<&[u8]>,
    ) -> Result<Self, RequestError> {
        let body_bytes = body.map(<[u8]>::len);
        let (mut bytes, _) = serialise(method, target, host, headers, body_bytes)?;
        bytes.extend_from_slice(body.unwrap_or_default());
        Ok(Self { bytes, head_request: method == "HEAD", holes: Vec::new(), lines: None })
    }

    /// The same with the placeholders of the target, the header values and the body made places to
    /// fill. `host` is sent as it is.
    pub fn with_placeholders(
        method: &str,
        target: &str,
        host: &str,
        headers: &[Header],
        body: Body,
    ) -> Result<Self, RequestError> {
        let target = Text::typed(target.as_bytes());
        let values: Vec<Text> = headers.iter().map(|header| Text::typed(&header.value)).collect();
        let blank: Vec<Header> = headers
            .iter()
            .zip(&values)
            .map(|(header, value)| Header { value: value.bytes().to_vec(), ..header.clone() })
            .collect();
        let body_bytes = match &body {
            Body::None => None,
            Body::Same(text) => Some(text.bytes().len()),
            Body::InTurn(lines) => {
                check_lengthless(headers, lines)?;
                Some(0)
            }
        };
        // Filling in changes no byte that is not ASCII.
        let blank_target = String::from_utf8_lossy(target.bytes());
        let (mut bytes, parts) = serialise(method, &blank_target, host, &blank, body_bytes)?;
        let mut holes = Vec::new();
        let mut add = |text: &Text, at: usize| {
            holes.extend(text.holes().iter().map(|h| Hole { at: h.at + at as u32, ..*h }));
        };
        add(&target, parts.target);
        for (value, &at) in values.iter().zip(&parts.values) {
            add(value, at);
        }
        let mut lines = None;
        match body {
            Body::None => {}
            Body::Same(text) => {
                add(&text, parts.body);
                bytes.extend_from_slice(text.bytes());
            }
            Body::InTurn(in_turn) => {
                bytes.truncate(bytes.len() - LENGTH_OF_NOTHING.len());
                lines = Some(in_turn);
            }
        }
        Ok(Self { bytes, head_request: method == "HEAD", holes, lines })
    }

    /// The request as it goes over the wire.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// True for HEAD, whose answers have no body whatever they announce.
    pub fn head_request(&self) -> bool {
        self.head_request
    }

    /// Every request has the same bytes, which are `bytes`.
    pub fn is_constant(&self) -> bool {
        self.holes.is_empty() && self.lines.is_none()
    }

    /// The most bytes that one request takes.
    pub fn bytes_max(&self) -> usize {
        let line_bytes = self.lines.as_ref().map(|lines| LENGTH_BYTES_MAX + lines.longest_bytes());
        self.bytes.len() + line_bytes.unwrap_or(0)
    }

    /// Writes request `number` to the front of `out`, which has room for `bytes_max`; gives its
    /// length.
    pub fn write(&self, out: &mut [u8], number: u64, rng: &mut Rng) -> usize {
        let head_bytes = self.bytes.len();
        out[..head_bytes].copy_from_slice(&self.bytes);
        placeholder::fill(out, 0, &self.holes, number, rng);
        match &self.lines {
            Some(lines) => head_bytes + lines.write(&mut out[head_bytes..], number, rng),
            None => head_bytes,
        }
    }

    /// The request laid out up to `depth` times in a row, so that one send covers a batch.
    pub fn arena(&self, depth: u32) -> Arena {
        let fitting = (limits::ARENA_BYTES_TARGET / self.bytes.len()).max(1);
        let copies = fitting.min(depth.max(1) as usize);
        Arena {
            bytes: self.bytes.repeat(copies).into(),
            request_bytes: self.bytes.len() as u32,
            copies: copies as u32,
        }
    }
}

/// Many copies of one request in a row; `n` requests are the first `n * request_bytes` bytes.
#[derive(Clone, Debug)]
pub struct Arena {
    /// All copies.
    pub bytes: Arc<[u8]>,
    /// Bytes of one request.
    pub request_bytes: u32,
    /// How many one send can cover.
    pub copies: u32,
}

/// How the head of a request ends whose body has no bytes.
const LENGTH_OF_NOTHING: &[u8] = b"0\r\n\r\n";
/// The longest end of a head whose length is written for each request.
const LENGTH_BYTES_MAX: usize = 20 + 4;

/// The head of a request with a body of `body_bytes`, if it has one, and where its parts begin.
fn serialise(
    method: &str,
    target: &str,
    host: &str,
    headers: &[Header],
    body_bytes: Option<usize>,
) -> Result<(Vec<u8>, Parts), RequestError> {
    if !is_token(method) {
        return Err(RequestError::Method(method.to_owned()));
    }
    let bad = |byte: u8| byte <= b' ' || byte == 0x7f;
    if target.is_empty() || target.bytes().any(bad) || host.bytes().any(bad) {
        return Err(RequestError::Target(target.to_owned()));
    }
    let length = body_bytes.unwrap_or(0);
    if length > limits::REQUEST_BODY_BYTES_MAX {
        return Err(RequestError::BodyBytes(length));
    }
    let mut bytes = format!("{method} {target} HTTP/1.1\r\n").into_bytes();
    let mut parts = Parts { target: method.len() + 1, values: Vec::new(), body: 0 };
    if !headers.iter().any(|header| header.name.eq_ignore_ascii_case("host")) {
        bytes.extend_from_slice(format!("Host: {host}\r\n").as_bytes());
    }
    let mut length_given = false;
    for header in headers {
        length_given |= check_header(header, length)?;
        bytes.extend_from_slice(header.name.as_bytes());
        bytes.extend_from_slice(b": ");
        parts.values.push(bytes.len());
        bytes.extend_from_slice(&header.value);
        bytes.extend_from_slice(b"\r\n");
    }
    if body_bytes.is_some() && !length_given {
        bytes.extend_from_slice(format!("Content-Length: {length}\r\n").as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    parts.body = bytes.len();
    Ok((bytes, parts))
}

/// Bodies in turn differ in length, so no length of the user's can be right for all.
fn check_lengthless(headers: &[Header], lines: &Lines) -> Result<(), RequestError> {
    let given = headers.iter().find(|h| h.name.eq_ignore_ascii_case("content-length"));
    given.map_or(Ok(()), |header| {
        let given = String::from_utf8_lossy(&header.value).into_owned();
        Err(RequestError::ContentLength { given, body_bytes: lines.longest_bytes() })
    })
}

/// Checks one header; true when it is an acceptable `Content-Length`.
fn check_header(header: &Header, body_bytes: usize) -> Result<bool, RequestError> {
    if !is_token(&header.name) {
        return Err(RequestError::HeaderName(header.name.clone()));
    }
    if header.value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
        return Err(RequestError::HeaderValue(header.name.clone()));
    }
    if header.name.eq_ignore_ascii_case("transfer-encoding") {
        return Err(RequestError::TransferEncoding);
    }
    if !header.name.eq_ignore_ascii_case("content-length") {
        return Ok(false);
    }
    if header.value != body_bytes.to_string().as_bytes() {
        let given = String::from_utf8_lossy(&header.value).into_owned();
        return Err(RequestError::ContentLength { given, body_bytes });
    }
    Ok(true)
}

/// RFC 9110 section 5.6.2.
/// Whether this is a token, as methods and field names are (RFC 9110 section 5.6.2).
pub fn is_token(text: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &str, value: &str) -> Header {
        Header { name: name.to_owned(), value: value.as_bytes().to_vec() }
    }

    fn wire(headers: &[Header], body: Option<&str>) -> String {
        let body = body.map(str::as_bytes);
        let request = Request::new("POST", "/a?b=c", "h:80", headers, body).unwrap();
        String::from_utf8(request.bytes().to_vec()).unwrap()
    }

    #[test]
    fn nothing_is_added_unasked() {
        assert_eq!(wire(&[], None), "POST /a?b=c HTTP/1.1\r\nHost: h:80\r\n\r\n");
    }

    #[test]
    fn a_body_brings_its_length_and_an_empty_body_too() {
        assert_eq!(
            wire(&[header("X", "1")], Some("hi")),
            "POST /a?b=c HTTP/1.1\r\nHost: h:80\r\nX: 1\r\nContent-Length: 2\r\n\r\nhi"
        );
        assert!(wire(&[], Some("")).ends_with("Content-Length: 0\r\n\r\n"));
    }

    #[test]
    fn the_users_host_replaces_ours_and_an_equal_length_is_not_doubled() {
        assert_eq!(
            wire(&[header("hOST", "other"), header("content-length", "2")], Some("hi")),
            "POST /a?b=c HTTP/1.1\r\nhOST: other\r\ncontent-length: 2\r\n\r\nhi"
        );
    }

    #[test]
    fn whatever_would_split_or_contradict_the_request_is_refused() {
        let refused = |method: &str, target: &str, headers: &[Header]| {
            Request::new(method, target, "h", headers, Some(b"hi")).unwrap_err()
        };
        assert!(matches!(refused("GE T", "/", &[]), RequestError::Method(_)));
        assert!(matches!(refused("", "/", &[]), RequestError::Method(_)));
        assert!(matches!(refused("GET\r\nX: y", "/", &[]), RequestError::Method(_)));
        assert!(matches!(refused("GET", "/a b", &[]), RequestError::Target(_)));
        assert!(matches!(refused("GET", "/\r\nX: y", &[]), RequestError::Target(_)));
        assert!(matches!(refused("GET", "", &[]), RequestError::Target(_)));
        for (name, value) in [("X Y", "1"), ("", "1"), ("X:", "1"), ("X\r\nY", "1")] {
            let error = refused("GET", "/", &[header(name, value)]);
            assert!(matches!(error, RequestError::HeaderName(_)), "{name:?}");
        }
        for value in ["a\rb", "a\nb", "a\0b"] {
            let error = refused("GET", "/", &[header("X", value)]);
            assert!(matches!(error, RequestError::HeaderValue(_)), "{value:?}");
        }
        let length = refused("POST", "/", &[header("Content-Length", "3")]);
        assert!(matches!(length, RequestError::ContentLength { body_bytes: 2, .. }));
        let coding = refused("POST", "/", &[header("Transfer-Encoding", "chunked")]);
        assert_eq!(coding, RequestError::TransferEncoding);
    }

    fn written(request: &Request, number: u64) -> String {
        let mut out = vec![b'?'; request.bytes_max()];
        let bytes = request.write(&mut out, number, &mut Rng::new(1));
        String::from_utf8(out[..bytes].to_vec()).unwrap()
    }

    #[test]
    fn placeholders_are_filled_wherever_they_stand_and_the_length_is_right() {
        let headers = [header("X-Id", "a{{seq}}b"), header("Y", "{{no}}")];
        let body = Body::Same(Text::typed(b"<{{seq}}>"));
        let request =
            Request::with_placeholders("PUT", "/i/{{seq}}?x", "h", &headers, body).unwrap();
        assert!(!request.is_constant());
        for number in [0, 7, 123_456] {
            let seq = format!("{number:016}");
            let wire = format!(
                "PUT /i/{seq}?x HTTP/1.1\r\nHost: h\r\nX-Id: a{seq}b\r\nY: {{{{no}}}}\r\n\
                 Content-Length: 18\r\n\r\n<{seq}>"
            );
            assert_eq!(written(&request, number), wire);
        }
    }

    #[test]
    fn without_placeholders_it_is_the_plain_request() {
        let headers = [header("X", "1")];
        let body = Body::Same(Text::typed(b"hi"));
        let request = Request::with_placeholders("POST", "/", "h", &headers, body).unwrap();
        assert_eq!(request, Request::new("POST", "/", "h", &headers, Some(b"hi")).unwrap());
        assert!(request.is_constant());
        let request = Request::with_placeholders("GET", "/", "h", &[], Body::None).unwrap();
        assert_eq!(request, Request::new("GET", "/", "h", &[], None).unwrap());
    }

    #[test]
    fn bodies_take_turns_each_with_its_own_length() {
        let lines = Arc::new(Lines::new(b"one\n\n{{seq}}-three\n").unwrap());
        let request =
            Request::with_placeholders("POST", "/", "h", &[], Body::InTurn(Arc::clone(&lines)));
        let request = request.unwrap();
        let head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: ";
        assert_eq!(written(&request, 0), format!("{head}3\r\n\r\none"));
        assert_eq!(written(&request, 1), format!("{head}0\r\n\r\n"));
        assert_eq!(written(&request, 2), format!("{head}22\r\n\r\n0000000000000002-three"));
        assert_eq!(written(&request, 3), format!("{head}3\r\n\r\none"));
        let length = [header("content-length", "3")];
        let refused =
            Request::with_placeholders("POST", "/", "h", &length, Body::InTurn(lines)).unwrap_err();
        assert!(matches!(refused, RequestError::ContentLength { .. }));
    }

    #[test]
    fn a_batch_is_a_prefix_of_the_arena() {
        let request = Request::new("GET", "/", "h", &[], None).unwrap();
        let arena = request.arena(16);
        assert_eq!(arena.copies, 16);
        assert_eq!(arena.bytes.len(), 16 * request.bytes().len());
        assert_eq!(&arena.bytes[..request.bytes().len()], request.bytes());
        let large = Request::new("POST", "/", "h", &[], Some(&[b'x'; 300_000])).unwrap();
        assert_eq!(large.arena(64).copies, 1);
    }
}
