//! Hostile streams end as `Limit`, in bounded memory and linear work.

use super::{ClientCodec, GET, Memo, Trace, chunked, drive, ok, work};
use crate::limits::{
    CHUNK_LINE_BYTES_MAX, CHUNK_OVERHEAD_FREE_BYTES, FIELDS_MAX, HEAD_BYTES_MAX, HEAD_SCRATCH_BYTES,
};
use crate::proto::h1::codec::scratch_capacity;
use crate::proto::{ByteClass, Flow, ProtoError};

/// The outcome, the same whole, in odd pieces and byte by byte.
fn outcome(raw: &[u8]) -> String {
    let whole = drive(GET, [raw], &mut Memo::new());
    for piece_bytes in [1, 2, 3, 4096, 16_384, 65_535, 65_536, 65_537] {
        let pieces = drive(GET, raw.chunks(piece_bytes), &mut Memo::disabled());
        assert_eq!(pieces, whole, "in pieces of {piece_bytes}");
    }
    whole.to_string()
}

/// A head of exactly `head_bytes`.
fn padded_head(head_bytes: usize) -> String {
    let bare = ok("Content-Length: 0\r\nX: \r\n", "");
    let padding = "x".repeat(head_bytes - bare.len());
    ok(&format!("Content-Length: 0\r\nX: {padding}\r\n"), "")
}

#[test]
fn a_head_may_be_as_long_as_the_bound_and_no_longer() {
    assert_eq!(outcome(padded_head(HEAD_BYTES_MAX).as_bytes()), "200 | Keep Clean");
    assert_eq!(outcome(padded_head(HEAD_BYTES_MAX + 1).as_bytes()), "| Limit");
    let stray = outcome(padded_head(HEAD_BYTES_MAX + 10).as_bytes());
    assert_eq!(stray, "| Limit Stray=9");
}

#[test]
fn fields_may_be_as_many_as_the_bound_and_no_more() {
    for count in [63, 64, 65, FIELDS_MAX - 1] {
        let fields = "X: y\r\n".repeat(count) + "Content-Length: 0\r\n";
        assert_eq!(outcome(ok(&fields, "").as_bytes()), "200 | Keep Clean");
    }
    let fields = "X: y\r\n".repeat(FIELDS_MAX) + "Content-Length: 0\r\n";
    assert_eq!(outcome(ok(&fields, "").as_bytes()), "| Limit");
}

#[test]
fn an_endless_line_is_cut_off_with_bounded_memory() {
    let mut raw = b"HTTP/1.1 200 OK\r\nX: ".to_vec();
    raw.resize(raw.len() + (1 << 20), b'x');
    for piece_bytes in [1, 1000, 16_384, raw.len()] {
        let mut codec = ClientCodec::new(1, false);
        let (mut memo, mut trace) = (Memo::new(), Trace::default());
        codec.submit(1);
        assert_eq!(scratch_capacity(&codec), HEAD_SCRATCH_BYTES);
        let mut error = None;
        for piece in raw.chunks(piece_bytes) {
            match codec.receive(piece, &mut memo, &mut trace) {
                Err(seen) => assert_eq!(error.replace(seen), None),
                Ok(flow) => assert_eq!(flow == Flow::Close, error.is_some()),
            }
            assert!(scratch_capacity(&codec) <= HEAD_BYTES_MAX);
        }
        assert_eq!(error, Some(ProtoError::Limit));
        assert_eq!(trace.class_bytes(ByteClass::Head), HEAD_BYTES_MAX as u64 + 1);
        assert_eq!(trace.bytes.iter().sum::<u64>(), raw.len() as u64);
    }
}

#[test]
fn a_head_that_comes_byte_by_byte_costs_linear_work() {
    let raw = padded_head(60 * 1024);
    work::take();
    drive(GET, raw.as_bytes().chunks(1), &mut Memo::new());
    let work_bytes = work::take();
    // Searched for its end, judged line by line, and parsed.
    assert!(work_bytes <= 3 * raw.len() + 1, "{work_bytes} for {}", raw.len());
}

#[test]
fn a_head_of_many_lines_costs_linear_work_however_it_comes() {
    let raw = ok(&("X: y\r\n".repeat(FIELDS_MAX - 1) + "Content-Length: 0\r\n"), "");
    for piece_bytes in [1, 100, 5000] {
        work::take();
        drive(GET, raw.as_bytes().chunks(piece_bytes), &mut Memo::disabled());
        let work_bytes = work::take();
        // More fields than are expected cost a second parse.
        assert!(work_bytes <= 4 * raw.len() + 1, "{work_bytes} for {}", raw.len());
    }
}

#[test]
fn ordinary_heads_do_not_grow_the_scratch() {
    let mut codec = ClientCodec::new(1, false);
    let mut memo = Memo::new();
    for _ in 0..3 {
        codec.reset();
        codec.submit(1);
        for piece in padded_head(HEAD_SCRATCH_BYTES).as_bytes().chunks(7) {
            let flow = codec.receive(piece, &mut memo, &mut Trace::default());
            assert_eq!(flow, Ok(Flow::Keep));
        }
        assert_eq!(codec.outstanding(), 0);
        assert_eq!(scratch_capacity(&codec), HEAD_SCRATCH_BYTES);
    }
}

#[test]
fn a_chunk_line_may_be_as_long_as_the_bound_and_no_longer() {
    let extension = "x".repeat(CHUNK_LINE_BYTES_MAX - 2);
    let framing = CHUNK_LINE_BYTES_MAX + 2 + 7;
    let raw = chunked(&format!("2;{extension}\r\nok\r\n0\r\n\r\n"));
    assert_eq!(outcome(raw.as_bytes()), format!("200 | Keep Clean Body=2 Framing={framing}"));
    let raw = chunked(&format!("2;{extension}x\r\nok\r\n0\r\n\r\n"));
    let framing = CHUNK_LINE_BYTES_MAX + 1;
    assert_eq!(outcome(raw.as_bytes()), format!("| Limit Framing={framing} Stray=11"));
}

#[test]
fn chunks_made_of_framing_are_cut_off() {
    let extension = "x".repeat(4000);
    let raw = chunked(&format!("1;{extension}\r\nx\r\n").repeat(100));
    let whole = drive(GET, [raw.as_bytes()], &mut Memo::new());
    assert_eq!(whole.verdict, Err(ProtoError::Limit));
    let framing = whole.trace.class_bytes(ByteClass::Framing);
    let bound = CHUNK_OVERHEAD_FREE_BYTES + 5000;
    assert!((CHUNK_OVERHEAD_FREE_BYTES..bound).contains(&framing));
    outcome(raw.as_bytes());
}

#[test]
fn plain_one_byte_chunks_are_allowed_for_ever() {
    let raw = chunked(&("1\r\nx\r\n".repeat(50_000) + "0\r\n\r\n"));
    let whole = drive(GET, [raw.as_bytes()], &mut Memo::new());
    assert_eq!(whole.to_string(), "200 | Keep Clean Body=50000 Framing=250005");
}

#[test]
fn trailers_are_bounded_in_bytes_and_fields() {
    let long = "x".repeat(HEAD_BYTES_MAX);
    let raw = chunked(&format!("0\r\nX: {long}\r\n\r\n"));
    let framing = 3 + HEAD_BYTES_MAX + 1;
    assert_eq!(outcome(raw.as_bytes()), format!("| Limit Framing={framing} Stray=6"));
    let most = chunked(&format!("0\r\n{}\r\n", "X: y\r\n".repeat(FIELDS_MAX)));
    assert_eq!(outcome(most.as_bytes()), "200 | Keep Clean Framing=6005");
    let more = chunked(&format!("0\r\n{}\r\n", "X: y\r\n".repeat(FIELDS_MAX + 1)));
    assert_eq!(outcome(more.as_bytes()), "| Limit Framing=6004 Stray=7");
}
