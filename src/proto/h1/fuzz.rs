//! What must be true of the codec whatever a peer sends, for the fuzzer and for tests.
//!
//! Owns the claims; knows nothing of where the bytes come from. The idea: what a stream means is a
//! function of its bytes alone, so every way of cutting it, with and without a memo, must tell the
//! same. Each function panics when its claim is broken.

use super::chunk::ChunkDecoder;
use super::{ClientCodec, Memo};
use crate::proto::{Answer, ByteClass, Flow, Notice, ProtoError, Sink, StreamEnd};

/// One connection: what was asked on it, what came, and where that is cut.
#[derive(Clone, Debug)]
pub struct Stream<'raw> {
    /// Requests outstanding when the first byte comes.
    pub asked: u32,
    /// Whether they are HEAD requests.
    pub head_request: bool,
    /// The bytes of the peer.
    pub raw: &'raw [u8],
    /// Where they are cut: offsets in ascending order, at most the length.
    pub cuts: Vec<usize>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Event {
    Answer(u16),
    Notice(Notice),
}

/// What the sink was told, neighbouring equal events merged.
#[derive(Debug, Default, Eq, PartialEq)]
struct Trace {
    events: Vec<(Event, u32)>,
    bytes: [u64; 5],
    /// Label and body of every answer; without bodies that were thrown away unseen.
    bodies: Vec<(u16, Vec<u8>)>,
    /// The body that is coming in.
    body: Vec<u8>,
}

impl Trace {
    fn add(&mut self, event: Event, count: u32) {
        match self.events.last_mut() {
            Some((last, total)) if *last == event => *total += count,
            _ => self.events.push((event, count)),
        }
    }

    fn answers(&self) -> u32 {
        let answers = self.events.iter().filter(|(event, _)| matches!(event, Event::Answer(_)));
        answers.map(|(_, count)| count).sum()
    }
}

impl Sink for Trace {
    fn answers(&mut self, answer: Answer, count: u32) {
        let Answer { status, label } = answer;
        assert!((200..1000).contains(&status) && count == 1, "{count} answers with {status}");
        self.add(Event::Answer(status), count);
        self.bodies.push((label, std::mem::take(&mut self.body)));
    }

    fn bytes(&mut self, class: ByteClass, count: u64) {
        assert!(count > 0, "no bytes of {class:?} were reported");
        self.bytes[class as usize] += count;
    }

    fn notice(&mut self, notice: Notice) {
        self.add(Event::Notice(notice), 1);
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
        head.iter().fold(0, |label: u16, &byte| label.wrapping_mul(31) ^ u16::from(byte))
    }

    fn begin(&mut self) {
        self.body.clear();
    }

    fn body(&mut self, bytes: &[u8]) {
        self.body.extend_from_slice(bytes);
    }
}

#[derive(Debug, Eq, PartialEq)]
struct Outcome {
    trace: Trace,
    verdict: Result<Flow, ProtoError>,
    end: StreamEnd,
    left: u32,
}

/// Whether bytes that need not be seen are thrown away unseen, as the kernel does with large bodies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Unseen {
    Read,
    Discarded,
}

fn drive(stream: &Stream<'_>, cuts: &[usize], unseen: Unseen, memo: &mut Memo) -> Outcome {
    let mut codec = ClientCodec::new(stream.asked, stream.head_request);
    let mut trace = Trace::default();
    let mut verdict = Ok(Flow::Keep);
    codec.submit(stream.asked);
    let mut from = 0;
    for &to in cuts.iter().chain([&stream.raw.len()]) {
        let mut piece = &stream.raw[from..to];
        from = to;
        let discarded = codec.discardable_bytes().min(piece.len() as u64);
        if unseen == Unseen::Discarded && discarded > 0 {
            verdict = Ok(codec.discarded(discarded, &mut trace));
            piece = &piece[discarded as usize..];
        }
        let flow = codec.receive(piece, memo, &mut trace);
        match verdict {
            Ok(_) => verdict = flow,
            Err(_) => assert_eq!(flow, Ok(Flow::Close), "an error is reported once"),
        }
        let (answers, left) = (trace.answers(), codec.outstanding());
        assert_eq!(answers + left, stream.asked, "each request is answered once or outstanding");
        assert!(codec.capacity() + left <= stream.asked, "more room than the depth");
    }
    let end = codec.end_of_stream(&mut trace);
    // Of an answer that is not complete any part may have been seen.
    trace.body.clear();
    if unseen == Unseen::Discarded {
        trace.bodies.iter_mut().for_each(|(_, body)| body.clear());
    }
    let classified: u64 = trace.bytes.iter().sum();
    assert_eq!(classified, stream.raw.len() as u64, "every byte has one class");
    assert_eq!(trace.answers() + codec.outstanding(), stream.asked);
    assert_eq!(codec.capacity(), 0, "nothing can be sent after the end");
    Outcome { trace, verdict, end, left: codec.outstanding() }
}

/// Cut anywhere, byte by byte, or with bodies thrown away unseen: a stream tells the same.
pub fn answers_are_the_same_however_they_are_cut(stream: &Stream<'_>) {
    let expected = drive(stream, &[], Unseen::Read, &mut Memo::disabled());
    let every_byte: Vec<usize> = (1..stream.raw.len()).collect();
    let unseen = drive(stream, &[], Unseen::Discarded, &mut Memo::disabled());
    for cuts in [&stream.cuts, &every_byte] {
        for (how, expected) in [(Unseen::Read, &expected), (Unseen::Discarded, &unseen)] {
            let seen = drive(stream, cuts, how, &mut Memo::disabled());
            assert_eq!(seen, *expected, "{how:?}, cut at {cuts:?}");
        }
    }
    let without_bodies = |outcome: &Outcome| {
        let trace = &outcome.trace;
        (trace.events.clone(), trace.bytes, outcome.verdict, outcome.end, outcome.left)
    };
    assert_eq!(without_bodies(&unseen), without_bodies(&expected));
}

/// Connections that share a memo read as if there were none.
pub fn a_memo_changes_nothing(streams: &[Stream<'_>]) {
    let mut memo = Memo::new();
    for stream in streams {
        let expected = drive(stream, &[], Unseen::Read, &mut Memo::disabled());
        let every_byte: Vec<usize> = (1..stream.raw.len()).collect();
        for cuts in [&stream.cuts[..], &[], &every_byte, &stream.cuts] {
            let seen = drive(stream, cuts, Unseen::Read, &mut memo);
            assert_eq!(seen, expected, "cut at {cuts:?}");
        }
    }
}

/// Where a chunked body ends: the bytes it takes with its framing, and its data. `None` while the
/// end is still to come.
pub fn chunked_end(raw: &[u8], cuts: &[usize]) -> Option<Result<(usize, usize), ProtoError>> {
    let expected = feed(raw, &[]);
    let every_byte: Vec<usize> = (1..raw.len()).collect();
    for cuts in [cuts, &every_byte] {
        assert_eq!(feed(raw, cuts), expected, "cut at {cuts:?}");
    }
    let (used, data_bytes, end) = expected;
    end.map(|end| end.map(|()| (used, data_bytes)))
}

fn feed(raw: &[u8], cuts: &[usize]) -> (usize, usize, Option<Result<(), ProtoError>>) {
    let mut decoder = ChunkDecoder::new();
    let (mut used, mut data_bytes, mut from) = (0, 0, 0);
    for &to in cuts.iter().chain([&raw.len()]) {
        let piece = &raw[from..to];
        from = to;
        let fed = decoder.feed(piece, |_| {});
        assert!(fed.data_bytes <= fed.used && fed.used <= piece.len(), "{fed:?}");
        used += fed.used;
        data_bytes += fed.data_bytes;
        if fed.end.is_some() {
            return (used, data_bytes, fed.end);
        }
        assert_eq!(fed.used, piece.len(), "bytes are left over, yet the body goes on");
    }
    (used, data_bytes, None)
}
