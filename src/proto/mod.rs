//! HTTP codecs: bytes to events. Knows nothing of time, sockets or latency.
//!
//! `h1` is the only protocol so far; beside it stand the two things that may come before it on a
//! connection, the PROXY header and the way through a proxy's tunnel. Answers are handed to a `Sink`
//! in runs, because a pipelined batch of identical answers is the common case and must cost one call,
//! not one each.

pub mod h1;
mod proxy_header;
mod tunnel;

pub use proxy_header::{Ends, PROXY_HEADER_BYTES_MAX, ProxyVersion, write_proxy_header};
pub use tunnel::{Tunnel, TunnelAnswer};

/// What the bytes of an answer were.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ByteClass {
    /// Heads of final responses.
    Head,
    /// Bodies, without their framing.
    Body,
    /// Chunk lines, their line ends and trailers.
    Framing,
    /// Interim (1xx) responses.
    Interim,
    /// Bytes nobody asked for.
    Stray,
}

/// Something worth counting that does not end a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Notice {
    /// One interim response was skipped.
    Interim,
    /// A line in a head ended in a bare LF (accepted: RFC 9112 section 2.2).
    BareLf,
    /// Both Content-Length and Transfer-Encoding (RFC 9112 section 6.3: chunked wins, then close).
    LengthAndChunked,
    /// Transfer-Encoding in an HTTP/1.0 response (RFC 9112 section 6.1: faulty framing, close).
    ChunkedInHttp10,
    /// A message arrived that nobody had asked for.
    Unsolicited,
}

/// What is known of a complete answer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// What `Sink::label` said of its head.
    pub label: u16,
}

/// Receives what a codec finds, in order.
///
/// What has a body here is for sinks that look at answers; others leave it, and nothing is done for
/// them.
pub trait Sink {
    /// `count` complete final responses of this kind, the oldest outstanding first.
    fn answers(&mut self, answer: Answer, count: u32);
    /// `count` bytes of this class were consumed. All classes together are exactly the bytes given.
    fn bytes(&mut self, class: ByteClass, count: u64);
    /// Something to count.
    fn notice(&mut self, notice: Notice);

    /// As `answers`, for several that stand whole, one after the other, in `raw`: their heads are
    /// equal and `head_bytes` long, their bodies equally long. Only heads and bodies are in `raw`.
    #[inline]
    fn answers_at_hand(&mut self, answer: Answer, count: u32, raw: &[u8], head_bytes: usize) {
        let _ = (raw, head_bytes);
        self.answers(answer, count);
    }

    /// The label of answers with this whole, correct head of a final response. Equal heads must
    /// have equal labels for all connections that share a memo: they are asked for once.
    #[inline]
    fn label(&mut self, head: &[u8]) -> u16 {
        let _ = head;
        0
    }

    /// A final response begins that is not told by `answers_at_hand`.
    #[inline]
    fn begin(&mut self) {}

    /// The next bytes of its body, without their framing. Those that `ClientCodec::discarded` tells
    /// of are never seen.
    #[inline]
    fn body(&mut self, bytes: &[u8]) {
        let _ = bytes;
    }
}

/// Why an answer cannot be accepted. The connection is of no use after it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ProtoError {
    /// It broke RFC 9110 or RFC 9112.
    Parse,
    /// It went over one of `limits`.
    Limit,
}

/// Whether the connection can carry more requests.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Flow {
    /// Yes.
    Keep,
    /// No: the last complete answer was the last one on this connection (`Connection: close`,
    /// HTTP/1.0, faulty framing, or bytes nobody asked for). Later bytes are stray.
    Close,
}

/// How the stream ended, seen from the oldest outstanding request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StreamEnd {
    /// Nothing was outstanding, or the end completed the last answer (close-delimited bodies).
    Clean,
    /// Before the final head was whole.
    BeforeHead,
    /// Inside the body or its framing.
    InBody,
}
