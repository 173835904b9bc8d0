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

/// Receives what a codec finds, in order.
pub trait Sink {
    /// `count` complete final responses with this status, the oldest outstanding first.
    fn answers(&mut self, status: u16, count: u32);
    /// `count` bytes of this class were consumed. All classes together are exactly the bytes given.
    fn bytes(&mut self, class: ByteClass, count: u64);
    /// Something to count.
    fn notice(&mut self, notice: Notice);
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
