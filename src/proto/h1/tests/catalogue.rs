//! The catalogue of answers through the codec: however the bytes come, the counts are the same.

use super::{ClientCodec, Memo};
use crate::proto::{Answer, ByteClass, Flow, Notice, ProtoError, Sink, StreamEnd};
use crate::tests::catalogue::{Case, Counts, Delivery, GOOD, Step, cases};

/// Up to this length a case is split at every byte and comes byte by byte.
const SPLIT_EVERYWHERE_BYTES_MAX: usize = 2000;

/// Counts what a codec finds by the catalogue's names.
#[derive(Default)]
struct Counting {
    counts: Counts,
    answers: u32,
    bytes: u64,
}

impl Sink for Counting {
    fn answers(&mut self, answer: Answer, count: u32) {
        self.counts.add(&answer.status.to_string(), u64::from(count));
        self.answers += count;
    }

    fn bytes(&mut self, class: ByteClass, count: u64) {
        self.bytes += count;
        match class {
            ByteClass::Body => self.counts.add("body", count),
            ByteClass::Stray => self.counts.add("stray", count),
            ByteClass::Head | ByteClass::Framing | ByteClass::Interim => {}
        }
    }

    fn notice(&mut self, notice: Notice) {
        let name = match notice {
            Notice::Interim => "interim",
            Notice::BareLf => "bare_lf",
            Notice::LengthAndChunked => "length_and_chunked",
            Notice::ChunkedInHttp10 => "chunked_in_http10",
            Notice::Unsolicited => "unsolicited",
        };
        self.counts.add(name, 1);
    }
}

/// One connection from its first byte to its end. How requests end is what a connection makes of
/// the codec's word: the oldest takes the cause, those behind it are cut off.
fn drive(case: &Case, delivery: Delivery, memo: &mut Memo) -> Counts {
    let mut codec = ClientCodec::new(case.depth, case.head_request);
    let mut sink = Counting::default();
    let mut verdict = Ok(Flow::Keep);
    let (mut given, mut end) = (0, None);
    codec.submit(case.depth);
    let mut receive = |bytes: &[u8], codec: &mut ClientCodec, sink: &mut Counting| {
        given += bytes.len() as u64;
        let flow = codec.receive(bytes, memo, sink);
        match verdict {
            Ok(_) => verdict = flow,
            Err(_) => assert_eq!(flow, Ok(Flow::Close), "an error is reported once"),
        }
    };
    for step in case.delivered(delivery) {
        match step {
            Step::Send(bytes) => receive(&bytes, &mut codec, &mut sink),
            Step::Fill(mut left) => {
                let fill = vec![b'x'; 1 << 20];
                while left > 0 {
                    let count = left.min(fill.len() as u64);
                    receive(&fill[..count as usize], &mut codec, &mut sink);
                    left -= count;
                }
            }
            Step::Gap | Step::Pause(_) => {}
            Step::Fin | Step::Rst => end = Some(step),
        }
    }
    let is_to_close = codec.discardable_bytes() == u64::MAX;
    let answers = sink.answers;
    let ended = match end {
        Some(Step::Fin) => codec.end_of_stream(&mut sink),
        _ => {
            codec.abandon(&mut sink);
            StreamEnd::Clean
        }
    };
    assert_eq!(sink.bytes, given, "every byte has one class");
    assert_eq!(codec.outstanding() + sink.answers, case.depth, "every request has one place");
    let cause = match (verdict, &end, ended) {
        (Err(ProtoError::Parse), ..) => "parse",
        (Err(ProtoError::Limit), ..) => "limit",
        (Ok(Flow::Close), ..) => "cut_off",
        (_, Some(Step::Rst), _) => "reset",
        (_, None, _) => "timeout",
        (_, _, StreamEnd::InBody) => "eof_body",
        (_, _, StreamEnd::BeforeHead) if answers == 0 => "eof",
        _ => "cut_off",
    };
    let mut counts = sink.counts;
    if codec.outstanding() > 0 {
        counts.add(cause, 1);
        counts.add("cut_off", u64::from(codec.outstanding()) - 1);
    }
    let is_last = is_to_close && matches!(end, Some(Step::Fin));
    counts.add("close", u64::from(verdict == Ok(Flow::Close) || is_last));
    counts
}

/// Whole, in two at every `stride`-th byte, in small pieces.
fn deliveries(case: &Case, stride: usize) -> Vec<Delivery> {
    let raw_bytes = case.raw().len();
    let mut all = vec![Delivery::Whole];
    if case.is_in_pieces() {
        return all;
    }
    if raw_bytes <= SPLIT_EVERYWHERE_BYTES_MAX {
        all.extend((1..raw_bytes).step_by(stride).map(Delivery::SplitAt));
        all.extend([1, 2, 3, 7].map(Delivery::Pieces));
    } else {
        let strides = [1, 9, 17, 31].map(|tenth| raw_bytes * tenth / 32);
        all.extend(strides.into_iter().chain([raw_bytes - 1]).map(Delivery::SplitAt));
        let pieces = [61, 4096, 16_384, 65_536].into_iter();
        all.extend(pieces.filter(|bytes| raw_bytes / bytes < 10_000).map(Delivery::Pieces));
    }
    all
}

/// Without a memo, with an empty one, and with one that knows the case's heads already.
fn check(case: &Case, stride: usize) {
    let mut warmed = Memo::new();
    drive(case, Delivery::Whole, &mut warmed);
    for delivery in deliveries(case, stride) {
        for memo in [&mut Memo::disabled(), &mut Memo::new(), &mut warmed] {
            let counts = drive(case, delivery, memo);
            assert_eq!(counts.text(), case.expected.text(), "{}, {delivery:?}", case.name());
        }
    }
}

/// The case with an ordinary answer behind it and one more request; `None` where the peer ends the
/// connection or nothing follows.
fn coalesced(case: &Case) -> Option<Case> {
    let [Step::Send(raw)] = &case.steps[..] else { return None };
    if raw.is_empty() || case.timeout_ms.is_some() {
        return None;
    }
    // A HEAD request is answered without the body.
    let good = if case.head_request { &GOOD[..GOOD.len() - 2] } else { GOOD };
    let mut both = case.clone();
    both.steps = vec![Step::Send([raw, good.as_bytes()].concat())];
    both.depth += 1;
    let expected = &mut both.expected;
    if expected.count("parse") + expected.count("limit") > 0 {
        expected.add("cut_off", 1);
        expected.add("stray", good.len() as u64);
    } else if expected.count("close") == 0 {
        expected.add("200", 1);
        expected.add("body", good.len() as u64 - 38);
    } else if expected.take("unsolicited") > 0 {
        // With one request more, what was nobody's may be an answer: another case altogether.
        return None;
    } else {
        expected.add("cut_off", 1);
        expected.add("unsolicited", 1);
        expected.add("stray", good.len() as u64);
    }
    Some(both)
}

#[test]
fn every_answer_of_the_catalogue_counts_the_same_however_it_is_cut() {
    let cases: Vec<Case> = cases().into_iter().filter(Case::is_one_batch).collect();
    assert!(cases.len() > 250, "{}", cases.len());
    cases.iter().for_each(|case| check(case, 1));
}

#[test]
fn every_answer_of_the_catalogue_counts_the_same_with_another_behind_it() {
    let all: Vec<Case> =
        cases().iter().filter(|case| case.is_one_batch()).filter_map(coalesced).collect();
    assert!(all.len() > 200, "{}", all.len());
    all.iter().for_each(|case| check(case, 3));
}
