//! One harness for all tests of the codec: drive a stream in every way, demand one outcome.
//!
//! `cases` is the table of verdicts, `catalogue` the one shared with all other drivers, `random` compares the memo with plain parsing, `bounds` holds
//! the memory and work limits, `api` the calls around `receive`.

mod api;
mod bounds;
mod cases;
mod catalogue;
mod random;

use super::{ClientCodec, Memo};
use crate::proto::{Answer, ByteClass, Flow, Notice, ProtoError, Sink, StreamEnd};

/// Counts the bytes looked at by the slow path, so that tests can bound work instead of time.
pub(super) mod work {
    use std::cell::Cell;

    thread_local! {
        static BYTES: Cell<usize> = const { Cell::new(0) };
    }

    pub(in super::super) fn add(bytes: usize) {
        BYTES.set(BYTES.get() + bytes);
    }

    pub(super) fn take() -> usize {
        BYTES.replace(0)
    }
}

/// A correct answer that follows others in coalesced streams.
const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// What a sink was told, with neighbouring equal events merged.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Trace {
    events: Vec<(String, u32)>,
    bytes: [u64; 5],
    /// Label and body of every answer.
    bodies: Vec<(u16, Vec<u8>)>,
    /// The body that is coming in.
    body: Vec<u8>,
}

impl Trace {
    fn add(&mut self, name: String, count: u32) {
        match self.events.last_mut() {
            Some((last, total)) if *last == name => *total += count,
            _ => self.events.push((name, count)),
        }
    }

    fn class_bytes(&self, class: ByteClass) -> u64 {
        self.bytes[class as usize]
    }

    fn answer_count(&self) -> u32 {
        let answers = self.events.iter().filter(|(name, _)| name.starts_with(char::is_numeric));
        answers.map(|(_, count)| count).sum()
    }
}

impl Sink for Trace {
    fn answers(&mut self, answer: Answer, count: u32) {
        assert!(count == 1, "several are told by `answers_at_hand`");
        self.add(answer.status.to_string(), count);
        self.bodies.push((answer.label, std::mem::take(&mut self.body)));
    }

    fn bytes(&mut self, class: ByteClass, count: u64) {
        assert!(count > 0);
        self.bytes[class as usize] += count;
    }

    fn notice(&mut self, notice: Notice) {
        self.add(format!("{notice:?}"), 1);
    }

    fn answers_at_hand(&mut self, answer: Answer, count: u32, raw: &[u8], head_bytes: usize) {
        let whole_bytes = raw.len() / count as usize;
        assert_eq!(whole_bytes * count as usize, raw.len(), "all are equally long");
        for whole in raw.chunks(whole_bytes) {
            assert_eq!(whole[..head_bytes], raw[..head_bytes], "their heads are equal");
            self.begin();
            self.body(&whole[head_bytes..]);
            self.answers(answer, 1);
        }
    }

    fn label(&mut self, head: &[u8]) -> u16 {
        // Equal for equal heads, and hardly ever for others.
        crate::result::fnv1a(head) as u16
    }

    fn begin(&mut self) {
        self.body.clear();
    }

    fn body(&mut self, bytes: &[u8]) {
        self.body.extend_from_slice(bytes);
    }
}

/// Everything a stream led to.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Outcome {
    trace: Trace,
    verdict: Result<Flow, ProtoError>,
    end: StreamEnd,
    left: u32,
    is_close_delimited: bool,
}

impl Outcome {
    /// Requests left without an answer, but for the one that the verdict is about.
    fn cut_off(&self) -> u32 {
        let is_one_failed = self.verdict.is_err() || self.end != StreamEnd::Clean;
        self.left - u32::from(is_one_failed)
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (name, count) in &self.trace.events {
            match count {
                1 => write!(f, "{name} ")?,
                _ => write!(f, "{name}*{count} ")?,
            }
        }
        match self.verdict {
            Ok(flow) => write!(f, "| {flow:?} {:?}", self.end)?,
            Err(error) => write!(f, "| {error:?}")?,
        }
        for class in [ByteClass::Body, ByteClass::Framing, ByteClass::Interim, ByteClass::Stray] {
            match self.trace.class_bytes(class) {
                0 => {}
                count => write!(f, " {class:?}={count}")?,
            }
        }
        match self.cut_off() {
            0 => Ok(()),
            count => write!(f, " cut_off={count}"),
        }
    }
}

/// The requests a stream answers.
#[derive(Clone, Copy, Debug)]
struct Asked {
    count: u32,
    head_request: bool,
}

const GET: Asked = Asked { count: 1, head_request: false };
const HEAD: Asked = Asked { count: 1, head_request: true };

fn gets(count: u32) -> Asked {
    Asked { count, ..GET }
}

/// Drives one connection from its first byte to the end of the stream.
fn drive<'raw>(
    asked: Asked,
    pieces: impl IntoIterator<Item = &'raw [u8]>,
    memo: &mut Memo,
) -> Outcome {
    let mut codec = ClientCodec::new(asked.count, asked.head_request);
    let mut trace = Trace::default();
    let mut verdict = Ok(Flow::Keep);
    let mut given = 0;
    codec.submit(asked.count);
    for piece in pieces {
        given += piece.len() as u64;
        let flow = codec.receive(piece, memo, &mut trace);
        match verdict {
            Ok(_) => verdict = flow,
            Err(_) => assert_eq!(flow, Ok(Flow::Close), "an error is reported once"),
        }
    }
    let is_close_delimited = codec.discardable_bytes() == u64::MAX;
    let end = codec.end_of_stream(&mut trace);
    assert_eq!(trace.bytes.iter().sum::<u64>(), given, "every byte has one class");
    assert_eq!(asked.count - codec.outstanding(), trace.answer_count());
    assert_eq!(codec.capacity(), 0, "nothing can be sent after the end");
    Outcome { trace, verdict, end, left: codec.outstanding(), is_close_delimited }
}

/// Drives a stream whole, split at every byte and byte by byte, without a memo, with an empty one
/// and with one warmed by the same stream. All must agree; returns what they agree on.
fn drive_in_every_way(asked: Asked, raw: &[u8]) -> Outcome {
    let expected = drive(asked, [raw], &mut Memo::disabled());
    let memos: [fn() -> Memo; 2] = [Memo::disabled, Memo::new];
    let mut warmed = Memo::new();
    drive(asked, [raw], &mut warmed);
    let same = |outcome: Outcome, how: &str| {
        assert_eq!(outcome, expected, "{how}: {:?}", String::from_utf8_lossy(raw));
    };
    for memo in memos {
        same(drive(asked, [raw], &mut memo()), "whole");
        same(drive(asked, raw.chunks(1), &mut memo()), "byte by byte");
        for at in 0..=raw.len() {
            let (a, b) = raw.split_at(at);
            same(drive(asked, [a, b], &mut memo()), &format!("split at {at}"));
        }
    }
    same(drive(asked, [raw], &mut warmed), "warmed, whole");
    same(drive(asked, raw.chunks(1), &mut warmed), "warmed, byte by byte");
    for at in 0..=raw.len() {
        let (a, b) = raw.split_at(at);
        same(drive(asked, [a, b], &mut warmed), &format!("warmed, split at {at}"));
    }
    expected
}

/// The one check: what `raw` leads to, alone, with a good answer after it, and truncated anywhere.
fn check_asked(asked: Asked, raw: impl AsRef<[u8]>, expected: &str) {
    let raw = raw.as_ref();
    let outcome = drive_in_every_way(asked, raw);
    assert_eq!(outcome.to_string(), expected, "{:?}", String::from_utf8_lossy(raw));

    // A HEAD request is answered without the body.
    let good = if asked.head_request { &GOOD[..GOOD.len() - 2] } else { GOOD };
    let both: Vec<u8> = [raw, good].concat();
    let one_more = Asked { count: asked.count + 1, head_request: asked.head_request };
    let coalesced = drive_in_every_way(one_more, &both);
    let goes_on = outcome.verdict == Ok(Flow::Keep)
        && outcome.end == StreamEnd::Clean
        && outcome.left == 0
        && !outcome.is_close_delimited;
    if goes_on {
        let mut trace = outcome.trace.clone();
        trace.add("200".into(), 1);
        assert_eq!(coalesced.trace.events, trace.events);
    }

    for at in 0..raw.len() {
        let part = &raw[..at];
        let whole = drive(asked, [part], &mut Memo::new());
        assert_eq!(whole, drive(asked, part.chunks(1), &mut Memo::disabled()));
        if !outcome.is_close_delimited {
            let count = whole.trace.answer_count();
            assert!(count <= outcome.trace.answer_count(), "truncated at {at}");
        }
    }
}

/// As `check_asked`, for one GET.
fn check(raw: impl AsRef<[u8]>, expected: &str) {
    check_asked(GET, raw, expected);
}

/// A 200 with these header lines and this rest.
fn ok(fields: &str, rest: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{fields}\r\n{rest}")
}

/// A chunked 200 with this body.
fn chunked(rest: &str) -> String {
    ok("Transfer-Encoding: chunked\r\n", rest)
}
