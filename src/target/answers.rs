//! What the server sends, laid out before the first connection.
//!
//! Owns the bytes of every answer that does not vary and the map from "n answers of this kind" to
//! ranges of those bytes. Knows nothing of sockets or requests.
//!
//! The idea: an answer is laid out as many times in a row as fit a batch, so that the answers to a
//! pipelined batch are one range; an answer too large for that is laid out once, and a body too
//! large for memory repeats one filler whose length is a whole number of its pattern's periods.

use std::ops::Range;

/// A batch of answers leaves as one write up to this size, or as one answer if that is larger.
pub(super) const BATCH_BYTES_MAX: usize = 256 * 1024;
/// Answers other than the ordinary one are rare: they are laid out up to this size only.
const RARE_BATCH_BYTES_MAX: usize = 16 * 1024;
/// Every answer says who it is from and, with a body, what that is, as answers of real servers do.
/// There is no `Date`: a server without a clock sends none (RFC 9110 section 6.6.1), and heads that
/// never change keep the target out of what is measured.
const SERVER: &str = "Server: wring\r\n";
const CONTENT_TYPE: &str = "Content-Type: text/plain; charset=utf-8\r\n";
/// A longer body is sent as repetitions of this many bytes.
const FILLER_BYTES: usize = 1024 * 1024;
/// The body's pattern; a power of two long, so that it divides the filler.
const PATTERN: &[u8; 64] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-\n";

const _: () = assert!(FILLER_BYTES.is_multiple_of(PATTERN.len()));

/// What an answer carries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(super) enum Content {
    /// Head and body.
    Whole,
    /// The head alone, as HEAD asks.
    HeadOnly,
    /// `100 Continue`.
    Continue,
    /// `400 Bad Request`.
    Malformed,
    /// `431 Request Header Fields Too Large`.
    HeadTooLarge,
    /// An answer that ends inside its body.
    CutShort,
    /// An answer whose status is no number.
    BadStatus,
    /// The counts; made when asked for, so not laid out.
    Count,
}

/// What an answer says about the connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(super) enum Persistence {
    /// Nothing: HTTP/1.1 persists.
    Silent,
    /// `Connection: keep-alive`, which an HTTP/1.0 client asked for.
    KeepAlive,
    /// `Connection: close`.
    Close,
}

/// One kind of answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Answer {
    pub(super) content: Content,
    pub(super) persistence: Persistence,
}

impl Answer {
    pub(super) const CONTINUE: Self =
        Self { content: Content::Continue, persistence: Persistence::Silent };
    pub(super) const MALFORMED: Self =
        Self { content: Content::Malformed, persistence: Persistence::Close };
    pub(super) const HEAD_TOO_LARGE: Self =
        Self { content: Content::HeadTooLarge, persistence: Persistence::Close };

    pub(super) const CUT_SHORT: Self =
        Self { content: Content::CutShort, persistence: Persistence::Silent };
    pub(super) const BAD_STATUS: Self =
        Self { content: Content::BadStatus, persistence: Persistence::Silent };

    fn index(self) -> usize {
        self.content as usize * 3 + self.persistence as usize
    }

    /// True when it answers a request that is counted.
    pub(super) fn is_counted(self) -> bool {
        matches!(self.content, Content::Whole | Content::HeadOnly)
    }
}

/// Where one kind of answer lies in the arena.
#[derive(Clone, Copy, Debug, Default)]
struct Layout {
    start: usize,
    /// Bytes of one answer, as the client counts them.
    one_bytes: u64,
    head_bytes: usize,
    /// Whole answers in a row; 0 when not even one is laid out whole.
    copies: u32,
    /// Body bytes that follow the head where no whole answer is laid out.
    filler_bytes: usize,
}

/// A range to send, and how many answers end with it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Piece {
    pub(super) range: Range<usize>,
    pub(super) completes: u32,
}

/// How much of a run of equal answers is still to be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor {
    answer: Answer,
    left: u32,
    /// Bytes of the first of them already given out.
    offset: u64,
}

impl Cursor {
    pub(super) fn new(answer: Answer, count: u32) -> Self {
        Self { answer, left: count, offset: 0 }
    }

    /// The next range, at most a batch or one filler long; `None` when all are given out.
    pub(super) fn next_piece(&mut self, answers: &Answers) -> Option<Piece> {
        if self.left == 0 {
            return None;
        }
        let layout = answers.layouts[self.answer.index()];
        if layout.copies > 0 {
            let count = self.left.min(layout.copies);
            self.left -= count;
            let bytes = layout.one_bytes as usize * count as usize;
            return Some(Piece { range: layout.start..layout.start + bytes, completes: count });
        }
        let range = if self.offset == 0 {
            layout.start..layout.start + layout.head_bytes + layout.filler_bytes
        } else {
            let bytes = (layout.one_bytes - self.offset).min(layout.filler_bytes as u64) as usize;
            let start = layout.start + layout.head_bytes;
            start..start + bytes
        };
        self.offset += range.len() as u64;
        let completes = u32::from(self.offset == layout.one_bytes);
        if completes == 1 {
            self.left -= 1;
            self.offset = 0;
        }
        Some(Piece { range, completes })
    }
}

/// The laid-out answers.
#[derive(Clone, Debug)]
pub(super) struct Answers {
    arena: Vec<u8>,
    layouts: [Layout; 21],
}

impl Answers {
    /// Lays out the answers of a server that says `status` with `body_bytes` of body.
    pub(super) fn new(status: u16, body_bytes: u64) -> Self {
        let mut all = Self { arena: Vec::new(), layouts: [Layout::default(); 21] };
        let body_bytes = if forbids_body(status) { 0 } else { body_bytes };
        for persistence in [Persistence::Silent, Persistence::KeepAlive, Persistence::Close] {
            let head = head(status, body_bytes, persistence);
            let batch_bytes = match persistence {
                Persistence::Silent => BATCH_BYTES_MAX,
                Persistence::KeepAlive | Persistence::Close => RARE_BATCH_BYTES_MAX,
            };
            all.lay_out(
                Answer { content: Content::Whole, persistence },
                &head,
                body_bytes,
                batch_bytes,
            );
            all.lay_out(
                Answer { content: Content::HeadOnly, persistence },
                &head,
                0,
                RARE_BATCH_BYTES_MAX,
            );
        }
        all.lay_out(Answer::CONTINUE, b"HTTP/1.1 100 Continue\r\n\r\n", 0, 0);
        all.lay_out(Answer::MALFORMED, &head(400, 0, Persistence::Close), 0, 0);
        all.lay_out(Answer::HEAD_TOO_LARGE, &head(431, 0, Persistence::Close), 0, 0);
        // Its head promises more than comes, also where there would be no body to cut. A part of a
        // large body is as good as half of it.
        let promised = head(200, body_bytes.max(2), Persistence::Silent);
        let half_bytes = (body_bytes / 2).clamp(1, RARE_BATCH_BYTES_MAX as u64);
        all.lay_out(Answer::CUT_SHORT, &promised, half_bytes, 0);
        all.lay_out(Answer::BAD_STATUS, b"HTTP/1.1 2OO OK\r\nContent-Length: 0\r\n\r\n", 0, 0);
        all
    }

    /// Every byte that a `Piece` may name.
    pub(super) fn arena(&self) -> &[u8] {
        &self.arena
    }

    /// Bytes of one answer of this kind; 0 for those that are not laid out.
    pub(super) fn one_bytes(&self, answer: Answer) -> u64 {
        self.layouts[answer.index()].one_bytes
    }

    fn lay_out(&mut self, answer: Answer, head: &[u8], body_bytes: u64, batch_bytes: usize) {
        let one_bytes = head.len() as u64 + body_bytes;
        let filler_bytes = body_bytes.min(FILLER_BYTES as u64) as usize;
        let whole = filler_bytes as u64 == body_bytes;
        let copies = if whole { (batch_bytes / one_bytes as usize).max(1) } else { 0 };
        self.layouts[answer.index()] = Layout {
            start: self.arena.len(),
            one_bytes,
            head_bytes: head.len(),
            copies: copies as u32,
            filler_bytes,
        };
        for _ in 0..copies.max(1) {
            self.arena.extend_from_slice(head);
            self.arena.extend(PATTERN.iter().cycle().take(filler_bytes));
        }
    }
}

/// The answer to `/__count`.
pub(super) fn count_answer(json: &str, persistence: Persistence) -> Vec<u8> {
    let mut bytes = head(200, json.len() as u64, persistence);
    bytes.extend_from_slice(json.as_bytes());
    bytes
}

/// RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5.
fn forbids_body(status: u16) -> bool {
    matches!(status, 204 | 205 | 304)
}

fn head(status: u16, body_bytes: u64, persistence: Persistence) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status} {}\r\n{SERVER}", reason(status));
    match persistence {
        Persistence::Silent => {}
        Persistence::KeepAlive => head.push_str("Connection: keep-alive\r\n"),
        Persistence::Close => head.push_str("Connection: close\r\n"),
    }
    // RFC 9110 section 8.6: no length beside 204, and one beside 304 would be that of a 200.
    if !matches!(status, 204 | 304) {
        head.push_str(&format!("{CONTENT_TYPE}Content-Length: {body_bytes}\r\n"));
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// The reason phrase; empty for a status that has none here, which the grammar allows.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: Answer = Answer { content: Content::Whole, persistence: Persistence::Silent };

    fn sent(answers: &Answers, answer: Answer, count: u32) -> (Vec<u8>, u32, usize) {
        let mut cursor = Cursor::new(answer, count);
        let (mut bytes, mut completes, mut pieces) = (Vec::new(), 0, 0);
        while let Some(piece) = cursor.next_piece(answers) {
            bytes.extend_from_slice(&answers.arena()[piece.range]);
            completes += piece.completes;
            pieces += 1;
        }
        (bytes, completes, pieces)
    }

    fn expected(body_bytes: usize, count: usize) -> Vec<u8> {
        let mut one = format!(
            "HTTP/1.1 200 OK\r\n{SERVER}{CONTENT_TYPE}Content-Length: {body_bytes}\r\n\r\n"
        )
        .into_bytes();
        one.extend(PATTERN.iter().cycle().take(body_bytes));
        one.repeat(count)
    }

    #[test]
    fn a_batch_of_small_answers_is_one_range() {
        let answers = Answers::new(200, 100);
        let (bytes, completes, pieces) = sent(&answers, WHOLE, 64);
        assert_eq!(bytes, expected(100, 64));
        assert_eq!((completes, pieces), (64, 1));
    }

    #[test]
    fn any_body_size_and_count_gives_the_same_bytes_as_writing_them_out() {
        for body_bytes in [0, 1, 63, 5_000, 300_000, FILLER_BYTES, FILLER_BYTES + 1, 3_000_001] {
            let answers = Answers::new(200, body_bytes as u64);
            for count in [1, 2, 3] {
                let (bytes, completes, _) = sent(&answers, WHOLE, count);
                assert!(bytes == expected(body_bytes, count as usize), "{body_bytes} x {count}");
                assert_eq!(completes, count);
                assert_eq!(bytes.len() as u64, answers.one_bytes(WHOLE) * u64::from(count));
            }
        }
        let answers = Answers::new(200, 0);
        assert_eq!(sent(&answers, WHOLE, 100_000).0, expected(0, 100_000));
    }

    #[test]
    fn a_body_larger_than_memory_needs_only_the_filler() {
        let answers = Answers::new(200, 1 << 40);
        assert!(answers.arena().len() < 4 * FILLER_BYTES);
        let head = head(200, 1 << 40, Persistence::Silent);
        assert_eq!(answers.one_bytes(WHOLE), (1 << 40) + head.len() as u64);
    }

    #[test]
    fn no_content_and_not_modified_have_neither_body_nor_length() {
        for (status, line) in [(204, "HTTP/1.1 204 No Content"), (304, "HTTP/1.1 304 Not Modified")]
        {
            let (bytes, ..) = sent(&Answers::new(status, 100), WHOLE, 1);
            assert_eq!(bytes, format!("{line}\r\n{SERVER}\r\n").into_bytes());
        }
    }

    #[test]
    fn an_unknown_status_keeps_the_space_before_its_empty_reason() {
        let (bytes, ..) = sent(&Answers::new(299, 0), WHOLE, 1);
        let head = format!("HTTP/1.1 299 \r\n{SERVER}{CONTENT_TYPE}Content-Length: 0\r\n\r\n");
        assert_eq!(bytes, head.as_bytes());
    }
}
