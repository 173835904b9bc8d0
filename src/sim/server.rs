//! The model server's ear: a naive reader of HTTP/1 requests, and what it counted.
//!
//! Shares nothing with our codecs on purpose: it is the judge of what was really sent.

/// What the model server counted over all connections.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ServerCounts {
    /// Requests received to the last byte of their body.
    pub requests: u64,
    /// Answers sent to the last byte.
    pub answers: u64,
    /// Connections accepted.
    pub connections: u64,
    /// Bytes that arrived.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Connections on which something came that is no request; they are reset.
    pub malformed: u64,
}

/// Reads one connection's requests.
#[derive(Debug, Default)]
pub(super) struct RequestReader {
    /// Bytes of the current request's body still to come.
    body_left_bytes: u64,
    /// Within a body.
    in_body: bool,
}

/// What one look at the bytes gave.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Read {
    /// This many bytes are used up; no request has ended.
    More(usize),
    /// This many bytes are used up, and a request has ended with them.
    Request(usize),
    /// Not a request.
    Malformed,
}

impl RequestReader {
    pub(super) fn read(&mut self, bytes: &[u8]) -> Read {
        let mut used = 0;
        if !self.in_body {
            let Some(end) = head_end(bytes) else { return Read::More(0) };
            let Some(body_bytes) = body_bytes(&bytes[..end]) else { return Read::Malformed };
            self.in_body = true;
            self.body_left_bytes = body_bytes;
            used = end;
        }
        let body = self.body_left_bytes.min((bytes.len() - used) as u64);
        self.body_left_bytes -= body;
        used += body as usize;
        if self.body_left_bytes > 0 {
            return Read::More(used);
        }
        self.in_body = false;
        Read::Request(used)
    }
}

/// Where the head ends: behind the first empty line.
fn head_end(bytes: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|&b| b == b'\n') {
        let end = from + at + 1;
        if bytes[..end].ends_with(b"\r\n\r\n") {
            return Some(end);
        }
        from = end;
    }
    None
}

/// The body length a head announces, or `None` when it is not a well-formed request head.
fn body_bytes(head: &[u8]) -> Option<u64> {
    let head = std::str::from_utf8(head).ok()?;
    let mut lines = head.strip_suffix("\r\n\r\n")?.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let tidy = words.next().is_none() && !method.is_empty() && !target.is_empty();
    if !tidy || !version.starts_with("HTTP/1.") {
        return None;
    }
    let mut body_bytes = 0;
    for line in lines {
        let (name, value) = line.split_once(':')?;
        if name.is_empty() || name.contains(' ') || line.contains(['\r', '\n']) {
            return None;
        }
        if name.eq_ignore_ascii_case("content-length") {
            body_bytes = value.trim().parse().ok()?;
        }
        if name.eq_ignore_ascii_case("transfer-encoding") {
            return None;
        }
    }
    Some(body_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(stream: &[u8], piece_bytes: usize) -> (usize, usize) {
        let mut reader = RequestReader::default();
        let (mut kept, mut requests) = (Vec::new(), 0);
        for piece in stream.chunks(piece_bytes) {
            kept.extend_from_slice(piece);
            loop {
                match reader.read(&kept) {
                    Read::More(n) => {
                        kept.drain(..n);
                        break;
                    }
                    Read::Request(n) => {
                        kept.drain(..n);
                        requests += 1;
                    }
                    Read::Malformed => panic!("malformed"),
                }
            }
        }
        (requests, kept.len())
    }

    #[test]
    fn pipelined_requests_with_and_without_bodies_are_counted_at_every_split() {
        let one = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nPOST /x HTTP/1.1\r\nHost: a\r\n\
            content-length: 5\r\n\r\n\r\n\r\nxPUT / HTTP/1.1\r\nContent-Length: 0\r\n\r\n";
        let stream = one.repeat(3);
        for piece_bytes in 1..stream.len() {
            assert_eq!(count(&stream, piece_bytes), (9, 0), "pieces of {piece_bytes}");
        }
        assert_eq!(count(&stream[..stream.len() - 1], 7).0, 8);
    }

    #[test]
    fn what_is_no_request_is_called_malformed() {
        for bad in [
            &b"GET /\r\n\r\n"[..],
            b"GET / FTP/1\r\n\r\n",
            b"GET  / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
            b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
            b"xGET / HTTP/1.1\nHost: a\r\n\r\n",
        ] {
            assert_eq!(RequestReader::default().read(bad), Read::Malformed);
        }
    }
}
