//! What a head means: status, how its body is framed, whether the connection lives on.
//!
//! httparse does the syntax. Where it is more lenient than RFC 9112, or cannot know, the rule is
//! enforced here: versions, status codes, white space after the status, folded framing fields.

use std::mem::MaybeUninit;

use httparse::{Header, ParserConfig, Response, Status};

use super::super::{Answer, Flow, Notice, ProtoError};
use super::fields::{Connection, ContentLength, TransferEncoding};
use crate::limits::FIELDS_MAX;

/// Fields expected of an ordinary head. More cost a second parse with room for `FIELDS_MAX`.
const FIELDS_USUAL: usize = 64;
/// `HTTP/1.1 200`: what stands before the reason phrase and its space.
const STATUS_BYTES: usize = 12;

/// How many bytes of body follow a head, and how that is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Body {
    /// So many, possibly none.
    Sized(u64),
    /// The chunked coding ends it.
    Chunked,
    /// The end of the stream ends it.
    ToClose,
}

/// What is worth counting about one head.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Notices {
    bare_lf: bool,
    length_and_chunked: bool,
    chunked_in_http10: bool,
}

impl Notices {
    pub(super) fn iter(self) -> impl Iterator<Item = Notice> {
        let all = [
            self.bare_lf.then_some(Notice::BareLf),
            self.length_and_chunked.then_some(Notice::LengthAndChunked),
            self.chunked_in_http10.then_some(Notice::ChunkedInHttp10),
        ];
        all.into_iter().flatten()
    }

    pub(super) fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// A head's meaning.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Head {
    pub(super) answer: Answer,
    pub(super) body: Body,
    /// Whether another answer can follow this one.
    pub(super) flow: Flow,
    pub(super) notices: Notices,
}

impl Head {
    /// An interim response: the answer proper is still to come.
    pub(super) fn is_interim(&self) -> bool {
        self.answer.status < 200
    }
}

/// What parsing at the start of a head gave.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Parsed {
    /// A whole head of so many bytes, and its verdict.
    Whole { head: Result<Head, ProtoError>, bytes: usize },
    /// No whole head that httparse accepts.
    Refused(ProtoError),
    /// The bytes end inside the head.
    Partial,
}

/// Parses the head at the start of `bytes`, which begin with `H`.
pub(super) fn parse(bytes: &[u8], head_request: bool) -> Parsed {
    #[cfg(test)]
    super::tests::work::add(bytes.len());
    parse_with_room::<FIELDS_USUAL>(bytes, head_request)
        .or_else(|| parse_with_room::<FIELDS_MAX>(bytes, head_request))
        .unwrap_or(Parsed::Refused(ProtoError::Limit))
}

/// As `parse`; `None` when there are more than `FIELDS` fields.
fn parse_with_room<const FIELDS: usize>(bytes: &[u8], head_request: bool) -> Option<Parsed> {
    let mut fields = [const { MaybeUninit::<Header<'_>>::uninit() }; FIELDS];
    let mut response = Response::new(&mut []);
    let mut config = ParserConfig::default();
    config.allow_obsolete_multiline_headers_in_responses(true);
    let parsed = match config.parse_response_with_uninit_headers(&mut response, bytes, &mut fields)
    {
        Ok(Status::Complete(head_bytes)) => Parsed::Whole {
            head: meaning(&bytes[..head_bytes], &response, head_request),
            bytes: head_bytes,
        },
        Ok(Status::Partial) => Parsed::Partial,
        Err(httparse::Error::TooManyHeaders) => return None,
        Err(_) => Parsed::Refused(ProtoError::Parse),
    };
    Some(parsed)
}

/// RFC 9112 section 6.3 for one whole head.
fn meaning(
    head: &[u8],
    response: &Response<'_, '_>,
    head_request: bool,
) -> Result<Head, ProtoError> {
    let status = response.code.unwrap_or_default();
    if !(100..=999).contains(&status) || status == 101 || has_space_for_reason(head) {
        return Err(ProtoError::Parse);
    }
    let mut length = ContentLength::default();
    let mut coding = TransferEncoding::default();
    let mut connection = Connection::default();
    for field in response.headers.iter() {
        match field.name.len() {
            10 if field.name.eq_ignore_ascii_case("connection") => connection.add(field.value),
            14 if field.name.eq_ignore_ascii_case("content-length") => {
                refuse_folded(head, field)?;
                length.add(field.value)?;
            }
            17 if field.name.eq_ignore_ascii_case("transfer-encoding") => {
                refuse_folded(head, field)?;
                coding.add(field.value)?;
            }
            _ => {}
        }
    }
    let bare_lf = has_bare_lf(head);
    let answer = Answer { status, label: 0 };
    if status < 200 {
        // Nothing of an interim response outlives it but the fact that it came.
        let notices = Notices { bare_lf, ..Notices::default() };
        return Ok(Head { answer, body: Body::Sized(0), flow: Flow::Keep, notices });
    }
    let is_http10 = response.version == Some(0);
    let notices = Notices {
        bare_lf,
        length_and_chunked: coding.is_present && length.body_bytes().is_some(),
        chunked_in_http10: coding.is_present && is_http10,
    };
    let body = match length.body_bytes() {
        _ if head_request || matches!(status, 204 | 304) => Body::Sized(0),
        _ if coding.is_chunked_last => Body::Chunked,
        _ if coding.is_present => Body::ToClose,
        Some(body_bytes) => Body::Sized(body_bytes),
        None => Body::ToClose,
    };
    let ends = connection.has_close
        || (is_http10 && !connection.has_keep_alive)
        || notices.length_and_chunked
        || notices.chunked_in_http10
        || body == Body::ToClose;
    Ok(Head { answer, body, flow: if ends { Flow::Close } else { Flow::Keep }, notices })
}

/// `HTTP/1.1 200  OK`: httparse takes the second space for a part of the reason.
fn has_space_for_reason(head: &[u8]) -> bool {
    matches!(head.get(STATUS_BYTES..STATUS_BYTES + 2), Some([b' ', b' ' | b'\t']))
}

/// A framing field whose value goes on in another line is refused, even where httparse has trimmed
/// the fold away: parsers disagree on what such a field says.
fn refuse_folded(head: &[u8], field: &Header<'_>) -> Result<(), ProtoError> {
    let name_at = field.name.as_ptr() as usize - head.as_ptr() as usize;
    let mut lines = head[name_at..].split(|&byte| byte == b'\n');
    match lines.nth(1) {
        Some([b' ' | b'\t', ..]) => Err(ProtoError::Parse),
        _ => Ok(()),
    }
}

/// Every CR of a head that parses is followed by LF, so comparing the counts is enough.
fn has_bare_lf(head: &[u8]) -> bool {
    // Counted in bytes, a piece at a time, the loop becomes a vector one.
    let surplus = head.chunks(64).map(|piece| {
        let surplus = piece.iter().fold(0_i8, |surplus, &byte| {
            surplus + i8::from(byte == b'\n') - i8::from(byte == b'\r')
        });
        i32::from(surplus)
    });
    surplus.sum::<i32>() != 0
}
