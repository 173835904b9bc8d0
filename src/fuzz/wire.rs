//! What comes and goes over a connection: answers, chunked bodies, requests.

use super::input::Input;
use crate::plan::{Header, Request};
use crate::proto::h1::fuzz::{self as h1, Stream};
use crate::target::fuzz as target;

/// A stream is cut, fed byte by byte and compared whole: longer ones only cost time.
const RAW_BYTES_MAX: usize = 4096;

fn stream<'d>(input: &mut Input<'d>, raw_bytes_max: usize) -> Stream<'d> {
    let asked = u32::from(input.byte() % 24);
    let head_request = input.byte() % 4 == 3;
    let cuts = input.cuts();
    let raw = input.take(raw_bytes_max);
    Stream { asked, head_request, raw, cuts: cuts.of(raw) }
}

/// The answer parser: any bytes, cut anywhere.
pub(super) fn answers(data: &[u8]) {
    h1::answers_are_the_same_however_they_are_cut(&stream(&mut Input::new(data), RAW_BYTES_MAX));
}

/// The memo against plain parsing, over up to three connections that share it.
pub(super) fn memo(data: &[u8]) {
    let mut input = Input::new(data);
    let lengths = [input.short(), input.short(), input.short()];
    let streams = lengths.map(|length| stream(&mut input, usize::from(length) % RAW_BYTES_MAX));
    h1::a_memo_changes_nothing(&streams);
}

/// The client's chunk decoder, cut anywhere, and beside that of the reference server, which shares
/// no code with it: where both find an end it is the same one.
pub(super) fn chunks(data: &[u8]) {
    let mut input = Input::new(data);
    let cuts = input.cuts();
    let raw = input.take(RAW_BYTES_MAX);
    let Some(Ok((used, data_bytes))) = h1::chunked_end(raw, &cuts.of(raw)) else { return };
    // The shortest framing is `0`, two line ends and, for each chunk, a digit and two more.
    assert!(data_bytes + 5 <= used && used <= raw.len(), "{data_bytes} of {used}");
    if let Some(end) = target::chunked_end(raw) {
        assert_eq!(end, used, "the server's reader ends the body elsewhere");
    }
}

/// The request reader of the reference server.
pub(super) fn requests(data: &[u8]) {
    let mut input = Input::new(data);
    let close_after = match input.byte() % 8 {
        0 => None,
        count => Some(u32::from(count)),
    };
    let cuts = input.cuts();
    let raw = input.take(RAW_BYTES_MAX);
    target::requests_are_read_alike(raw, &cuts.of(raw), close_after);
}

/// What `plan` serialises is, to an independent reader, exactly one request for each copy.
pub(super) fn serialised(data: &[u8]) {
    let mut input = Input::new(data);
    let (copies, has_body) = (1 + u32::from(input.byte() % 4), input.byte() % 2 == 1);
    let cuts = input.cuts();
    let mut lines = input.rest().split(|&byte| byte == b'\n').map(String::from_utf8_lossy);
    let mut line = || lines.next().unwrap_or_default();
    let (method, path, host) = (line(), line(), line());
    let body = has_body.then(|| line().into_owned().into_bytes());
    let headers: Vec<Header> = lines
        .filter_map(|typed| {
            let (name, value) = typed.split_once(':')?;
            Some(Header { name: name.to_owned(), value: value.as_bytes().to_vec() })
        })
        .collect();
    let Ok(request) = Request::new(&method, &path, &host, &headers, body.as_deref()) else {
        return;
    };
    let arena = request.arena(copies);
    assert_eq!(arena.bytes.len(), arena.request_bytes as usize * arena.copies as usize);
    // A header of the user's may ask for anything: framing, connection and control characters (which
    // a server refuses, RFC 9110 section 5.5) are his to break.
    const FRAMING: [&str; 5] =
        ["transfer-encoding", "content-length", "connection", "expect", "host"];
    let is_plain = headers.iter().all(|header| {
        let is_control = |&byte: &u8| (byte < b' ' && byte != b'\t') || byte == 0x7f;
        !FRAMING.iter().any(|name| header.name.eq_ignore_ascii_case(name))
            && !header.value.iter().any(is_control)
    });
    let raw = request.bytes().repeat(arena.copies as usize);
    let seen = target::requests_are_read_alike(&raw, &cuts.of(&raw), None);
    if is_plain && raw.len() < RAW_BYTES_MAX && !host.is_empty() && !path.contains("__count") {
        assert_eq!((seen.requests, seen.malformed), (u64::from(arena.copies), 0));
    }
}
