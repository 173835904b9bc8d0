//! The calls around `receive`: capacity, discarding, giving up, starting over.

use super::{ClientCodec, GOOD, Memo, Trace, chunked, ok};
use crate::proto::{ByteClass, Flow, StreamEnd};

struct Rig {
    codec: ClientCodec,
    memo: Memo,
    trace: Trace,
}

impl Rig {
    fn new(depth: u32) -> Self {
        let codec = ClientCodec::new(depth, false);
        Self { codec, memo: Memo::new(), trace: Trace::default() }
    }

    fn receive(&mut self, bytes: impl AsRef<[u8]>) -> Flow {
        let flow = self.codec.receive(bytes.as_ref(), &mut self.memo, &mut self.trace);
        flow.expect("these streams are correct")
    }

    fn discarded(&mut self, count: u64) -> Flow {
        self.codec.discarded(count, &mut self.trace)
    }
}

#[test]
fn capacity_is_what_the_depth_leaves() {
    let mut rig = Rig::new(3);
    assert_eq!(rig.codec.capacity(), 3);
    rig.codec.submit(2);
    assert_eq!((rig.codec.capacity(), rig.codec.outstanding()), (1, 2));
    assert_eq!(rig.receive(GOOD), Flow::Keep);
    assert_eq!((rig.codec.capacity(), rig.codec.outstanding()), (2, 1));
    assert_eq!(rig.receive(""), Flow::Keep);
}

#[test]
fn nothing_is_submitted_once_a_head_says_close() {
    let mut rig = Rig::new(3);
    rig.codec.submit(2);
    assert_eq!(rig.receive(ok("Connection: close\r\nContent-Length: 2\r\n", "o")), Flow::Keep);
    assert_eq!((rig.codec.capacity(), rig.codec.outstanding()), (0, 2));
    assert_eq!(rig.receive("k"), Flow::Close);
    assert_eq!((rig.codec.capacity(), rig.codec.outstanding()), (0, 1));
    assert_eq!(rig.receive(""), Flow::Close);
}

#[test]
fn a_known_closing_answer_closes_from_the_memo_too() {
    let raw = ok("Connection: close\r\nContent-Length: 2\r\n", "ok");
    let mut rig = Rig::new(2);
    for _ in 0..2 {
        rig.codec.reset();
        rig.codec.submit(2);
        assert_eq!(rig.receive(&raw), Flow::Close);
        assert_eq!((rig.codec.capacity(), rig.codec.outstanding()), (0, 1));
    }
}

#[test]
fn the_rest_of_a_sized_body_can_be_discarded() {
    let mut rig = Rig::new(2);
    rig.codec.submit(2);
    assert_eq!(rig.codec.discardable_bytes(), 0);
    rig.receive(ok("Content-Length: 10\r\n", "abc"));
    assert_eq!(rig.codec.discardable_bytes(), 7);
    assert_eq!(rig.discarded(5), Flow::Keep);
    assert_eq!((rig.codec.discardable_bytes(), rig.codec.outstanding()), (2, 2));
    assert_eq!(rig.discarded(2), Flow::Keep);
    assert_eq!((rig.codec.discardable_bytes(), rig.codec.outstanding()), (0, 1));
    assert_eq!(rig.trace.class_bytes(ByteClass::Body), 10);
    assert_eq!(rig.receive(GOOD), Flow::Keep);
    assert_eq!(rig.codec.outstanding(), 0);
}

#[test]
fn discarding_the_last_answer_closes() {
    let mut rig = Rig::new(1);
    rig.codec.submit(1);
    rig.receive(ok("Content-Length: 10737418240\r\nConnection: close\r\n", ""));
    assert_eq!(rig.discarded(10_737_418_239), Flow::Keep);
    assert_eq!(rig.discarded(1), Flow::Close);
    assert_eq!(rig.trace.class_bytes(ByteClass::Body), 10_737_418_240);
    assert_eq!(rig.trace.events, [("200".to_string(), 1)]);
}

#[test]
fn a_close_delimited_body_can_be_discarded_to_its_end() {
    let mut rig = Rig::new(2);
    rig.codec.submit(2);
    rig.receive(ok("", "abc"));
    assert_eq!(rig.codec.discardable_bytes(), u64::MAX);
    assert_eq!(rig.discarded(1 << 40), Flow::Keep);
    assert_eq!(rig.codec.end_of_stream(&mut rig.trace), StreamEnd::Clean);
    assert_eq!(rig.codec.outstanding(), 1);
    assert_eq!(rig.trace.class_bytes(ByteClass::Body), (1 << 40) + 3);
}

#[test]
fn chunked_bodies_have_to_be_looked_at() {
    let mut rig = Rig::new(1);
    rig.codec.submit(1);
    rig.receive(chunked("ff\r\nabc"));
    assert_eq!(rig.codec.discardable_bytes(), 0);
}

#[test]
fn giving_up_classifies_what_was_held_and_reset_starts_over() {
    let mut rig = Rig::new(1);
    rig.codec.submit(1);
    rig.receive(&GOOD[..20]);
    assert_eq!(rig.trace.bytes, [0; 5]);
    rig.codec.abandon(&mut rig.trace);
    assert_eq!(rig.trace.class_bytes(ByteClass::Head), 20);
    rig.codec.abandon(&mut rig.trace);
    assert_eq!(rig.receive("late"), Flow::Close);
    assert_eq!(rig.trace.class_bytes(ByteClass::Stray), 4);
    rig.codec.reset();
    assert_eq!((rig.codec.capacity(), rig.codec.outstanding()), (1, 0));
    rig.codec.submit(1);
    assert_eq!(rig.receive(GOOD), Flow::Keep);
    assert_eq!(rig.trace.events, [("200".to_string(), 1)]);
}

#[test]
fn reset_in_the_middle_of_a_head_forgets_it() {
    let mut rig = Rig::new(1);
    rig.codec.submit(1);
    rig.receive(&GOOD[..20]);
    rig.codec.reset();
    rig.codec.submit(1);
    assert_eq!(rig.receive(GOOD), Flow::Keep);
    assert_eq!(rig.codec.outstanding(), 0);
}

#[test]
fn an_idle_connection_ends_cleanly() {
    let mut rig = Rig::new(1);
    rig.codec.submit(1);
    rig.receive(GOOD);
    assert_eq!(rig.codec.end_of_stream(&mut rig.trace), StreamEnd::Clean);
}

#[test]
fn unsolicited_is_noted_once_per_connection() {
    let mut rig = Rig::new(1);
    for connection in 1..3 {
        rig.codec.reset();
        for _ in 0..3 {
            assert_eq!(rig.receive(GOOD), Flow::Close);
        }
        assert_eq!(rig.trace.events, [("Unsolicited".to_string(), connection)]);
    }
}

#[test]
fn an_answer_to_head_among_others_has_no_body_however_they_are_mixed_and_split() {
    const REQUESTS: u32 = 6;
    let head = GOOD.strip_suffix(b"ok").unwrap();
    let mut memo = Memo::new();
    for mix in 0..1_u32 << REQUESTS {
        let is_head = |request: u32| mix >> request & 1 == 1;
        let answer = |request: u32| if is_head(request) { head } else { GOOD };
        let stream: Vec<u8> = (0..REQUESTS).flat_map(answer).copied().collect();
        let gets = REQUESTS - mix.count_ones();
        for cut in 0..stream.len() {
            let mut codec = ClientCodec::mixed(REQUESTS);
            // Connections are used again, with whatever was outstanding.
            codec.submit(1);
            codec.submitted(true);
            codec.reset();
            codec.submit(REQUESTS);
            (0..REQUESTS).for_each(|request| codec.submitted(is_head(request)));
            let mut trace = Trace::default();
            for piece in [&stream[..cut], &stream[cut..]] {
                assert_eq!(codec.receive(piece, &mut memo, &mut trace), Ok(Flow::Keep), "{mix:b}");
            }
            assert_eq!((trace.answer_count(), codec.outstanding()), (REQUESTS, 0), "{mix:b}");
            assert_eq!(trace.class_bytes(ByteClass::Body), 2 * u64::from(gets), "{mix:b}, {cut}");
        }
    }
}
