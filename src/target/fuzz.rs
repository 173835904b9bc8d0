//! What must be true of the request reader whatever a client sends, for the fuzzer and for tests.
//!
//! Owns the claims; knows nothing of where the bytes come from. Each function panics when its claim
//! is broken. Interim answers are left out of the comparison: whether one is due depends on
//! how much of the body has come with the head (RFC 9110 section 10.1.1).

use super::answers::Answer;
use super::chunked::Chunked;
use super::session::{Memo, Replies, Session};

/// What a session said about a stream, without interim answers.
#[derive(Debug, Default, Eq, PartialEq)]
struct Said {
    runs: Vec<(Answer, u32)>,
    requests: u64,
    malformed: u64,
    closes: bool,
}

/// What a stream of requests comes to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Seen {
    /// Requests that are counted.
    pub requests: u64,
    /// Requests that broke the grammar or a limit.
    pub malformed: u64,
}

fn said(raw: &[u8], cuts: &[usize], close_after: Option<u32>, memo: &mut Memo) -> Said {
    let mut session = Session::new(close_after);
    let (mut replies, mut said, mut from) = (Replies::default(), Said::default(), 0);
    for &to in cuts.iter().chain([&raw.len()]) {
        replies.clear();
        session.receive(memo, &raw[from..to], &mut replies);
        from = to;
        for run in replies.runs.iter().filter(|run| run.answer != Answer::CONTINUE) {
            match said.runs.last_mut() {
                Some((last, count)) if *last == run.answer => *count += run.count,
                _ => said.runs.push((run.answer, run.count)),
            }
        }
        said.requests += replies.requests;
        said.malformed += replies.malformed;
        said.closes = replies.closes;
        if said.closes {
            break;
        }
    }
    said
}

/// Requests are read alike however they are cut and whatever the memo holds; every counted request
/// has one answer, and a malformed one ends the connection.
pub fn requests_are_read_alike(raw: &[u8], cuts: &[usize], close_after: Option<u32>) -> Seen {
    let expected = said(raw, &[], close_after, &mut Memo::default());
    let every_byte: Vec<usize> = (1..raw.len()).collect();
    let mut memo = Memo::default();
    for cuts in [cuts, &every_byte, &[], cuts] {
        assert_eq!(said(raw, cuts, close_after, &mut memo), expected, "cut at {cuts:?}");
        let mut fresh = Memo::default();
        assert_eq!(said(raw, cuts, close_after, &mut fresh), expected, "cut at {cuts:?}, no memo");
    }
    let counted = expected.runs.iter().filter(|(answer, _)| answer.is_counted());
    let answered: u64 = counted.map(|(_, count)| u64::from(*count)).sum();
    assert_eq!(answered, expected.requests, "each counted request has one answer");
    assert!(expected.malformed <= 1 && (expected.malformed == 0 || expected.closes));
    if let Some(most) = close_after {
        assert!(expected.requests <= u64::from(most), "{} answers", expected.requests);
    }
    Seen { requests: expected.requests, malformed: expected.malformed }
}

/// How many bytes a chunked body takes; `None` when it is malformed or goes on.
pub fn chunked_end(raw: &[u8]) -> Option<usize> {
    Chunked::new().find_end(raw).ok().flatten()
}
