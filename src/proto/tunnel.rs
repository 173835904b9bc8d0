//! A proxy's answer to CONNECT, read byte by byte.
//!
//! A 2xx answer has no body, whatever its fields say (RFC 9110 section 9.3.6): behind its head the
//! tunnel begins. Of any other answer the status is all that matters, because the connection is
//! given up. So nothing is kept but a few numbers.

use super::ProtoError;
use crate::limits;

/// What has been read of the answer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TunnelAnswer {
    /// Bytes of all heads so far.
    bytes: u32,
    interim: u32,
    status: u16,
    place: Place,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Place {
    /// So many bytes of the status line's fixed beginning have been seen.
    #[default]
    Start,
    StatusLine(u8),
    /// Within a line; only its end matters.
    Line,
    /// A line has just ended.
    LineStart,
    /// The CR of a line that holds nothing else.
    EmptyLine,
}

/// What the bytes come to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tunnel {
    /// The head goes on.
    Unfinished,
    /// The tunnel is open; so many of the bytes belonged to the head.
    Open { used: usize },
    /// The proxy refused with this status.
    Refused { status: u16 },
}

/// `HTTP/1.x NNN`; the digits of the minor version and the status are written as `#`.
const BEGINNING: &[u8; 12] = b"HTTP/1.# ###";
const STATUS_FROM: u8 = 9;

impl TunnelAnswer {
    /// Takes the next bytes of the answer.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Tunnel, ProtoError> {
        for (index, &byte) in bytes.iter().enumerate() {
            self.bytes += 1;
            if self.bytes as usize > limits::HEAD_BYTES_MAX {
                return Err(ProtoError::Limit);
            }
            self.step(byte)?;
            if self.status >= 300 {
                return Ok(Tunnel::Refused { status: self.status });
            }
            if self.place != Place::Start {
                continue;
            }
            if self.status >= 200 {
                return Ok(Tunnel::Open { used: index + 1 });
            }
            self.interim += 1;
            self.status = 0;
            if self.interim > limits::INTERIM_MAX {
                return Err(ProtoError::Limit);
            }
        }
        Ok(Tunnel::Unfinished)
    }

    fn step(&mut self, byte: u8) -> Result<(), ProtoError> {
        self.place = match self.place {
            Place::Start => return self.begin(0, byte),
            Place::StatusLine(seen) => return self.begin(seen, byte),
            Place::Line | Place::LineStart if byte == 0 => return Err(ProtoError::Parse),
            Place::Line if byte == b'\n' => Place::LineStart,
            Place::LineStart if byte == b'\r' => Place::EmptyLine,
            // A bare LF may end a line (RFC 9112 section 2.2).
            Place::LineStart | Place::EmptyLine if byte == b'\n' => Place::Start,
            Place::EmptyLine => return Err(ProtoError::Parse),
            Place::Line | Place::LineStart => Place::Line,
        };
        Ok(())
    }

    fn begin(&mut self, seen: u8, byte: u8) -> Result<(), ProtoError> {
        if seen as usize == BEGINNING.len() {
            // A reason may follow, or nothing at all.
            self.place = match byte {
                b' ' | b'\r' => Place::Line,
                b'\n' => Place::LineStart,
                _ => return Err(ProtoError::Parse),
            };
            return if (100..=599).contains(&self.status) {
                Ok(())
            } else {
                Err(ProtoError::Parse)
            };
        }
        match BEGINNING[seen as usize] {
            b'#' if byte.is_ascii_digit() && seen >= STATUS_FROM => self.digit(byte),
            b'#' if byte.is_ascii_digit() => {}
            wanted if wanted == byte => {}
            _ => return Err(ProtoError::Parse),
        }
        self.place = Place::StatusLine(seen + 1);
        Ok(())
    }

    fn digit(&mut self, byte: u8) {
        self.status = self.status * 10 + u16::from(byte - b'0');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The verdict on `text`, the same however it is cut in two.
    fn check(text: &str, expected: Result<Tunnel, ProtoError>) {
        let whole = TunnelAnswer::default().receive(text.as_bytes());
        assert_eq!(whole, expected, "{text:?}");
        for cut in 0..text.len() {
            let mut answer = TunnelAnswer::default();
            let (first, second) = text.as_bytes().split_at(cut);
            let verdict = match answer.receive(first) {
                Ok(Tunnel::Unfinished) => answer.receive(second).map(|tunnel| match tunnel {
                    Tunnel::Open { used } => Tunnel::Open { used: used + cut },
                    other => other,
                }),
                early => early,
            };
            assert_eq!(verdict, expected, "{text:?} cut at {cut}");
        }
    }

    #[test]
    fn a_2xx_answer_opens_the_tunnel_behind_its_head() {
        for text in [
            "HTTP/1.1 200 Connection established\r\n\r\n",
            "HTTP/1.0 200\r\nVia: x\r\nContent-Length: 5\r\n\r\n",
            "HTTP/1.1 204 \r\n\r\n",
            "HTTP/1.1 200 OK\nVia: x\n\n",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        ] {
            check(text, Ok(Tunnel::Open { used: text.len() }));
        }
        let mut answer = TunnelAnswer::default();
        let early = answer.receive(b"HTTP/1.1 200 OK\r\n\r\nhello");
        assert_eq!(early, Ok(Tunnel::Open { used: 19 }));
    }

    #[test]
    fn any_other_final_status_refuses_it() {
        check("HTTP/1.1 407 Auth\r\n\r\n", Ok(Tunnel::Refused { status: 407 }));
        check("HTTP/1.1 302 Found\r\n", Ok(Tunnel::Refused { status: 302 }));
        check("HTTP/1.1 503", Ok(Tunnel::Refused { status: 503 }));
    }

    #[test]
    fn whatever_is_no_answer_is_none() {
        for text in [
            "SSH-2.0-OpenSSH\r\n",
            "HTTP/2 200\r\n\r\n",
            "HTTP/1.1  200 OK\r\n\r\n",
            "HTTP/1.1 2OO OK\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/1.1 099 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\rx",
            "HTTP/1.1 200 OK\r\nA: \0\r\n\r\n",
        ] {
            check(text, Err(ProtoError::Parse));
        }
        check("HTTP/1.1 200 OK\r\nVia: x\r\n", Ok(Tunnel::Unfinished));
        let endless = format!("HTTP/1.1 200 OK\r\n{}", "A: b\r\n".repeat(20_000));
        assert_eq!(TunnelAnswer::default().receive(endless.as_bytes()), Err(ProtoError::Limit));
        let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(40);
        assert_eq!(TunnelAnswer::default().receive(interim.as_bytes()), Err(ProtoError::Limit));
    }
}
