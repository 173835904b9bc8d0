//! The memo against plain parsing, over random and hostile streams in random pieces.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::{Asked, Memo, chunked, drive, ok};

/// Answers as servers send them; some differ in one byte or only in how they are framed.
fn corpus() -> Vec<String> {
    vec![
        ok("Content-Length: 2\r\n", "ok"),
        ok("Content-Length: 3\r\n", "ok!"),
        ok("Content-Length: 0\r\n", ""),
        ok("Content-Length: 2\r\nDate: Mon\r\n", "ok"),
        ok("Content-Length: 2\r\nDate: Tue\r\n", "ok"),
        ok("Content-Length: 40\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno".into(),
        "HTTP/1.1 204 No Content\r\n\r\n".into(),
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n".into(),
        "HTTP/1.1 100 Continue\r\n\r\n".into(),
        "HTTP/1.1 200 OK\nContent-Length: 2\n\nok".into(),
        "\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".into(),
        chunked("2\r\nok\r\n0\r\n\r\n"),
        chunked("1;a=\"b\"\r\no\r\n1\r\nk\r\n0\r\nX: y\r\n\r\n"),
        ok("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        ok("Connection: close\r\nContent-Length: 2\r\n", "ok"),
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok".into(),
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok".into(),
        ok("", "until the end"),
    ]
}

/// One connection's stream: what was asked, the bytes, and where they are cut.
#[derive(Clone, Debug)]
struct Stream {
    asked: Asked,
    raw: Vec<u8>,
    cuts: Vec<Index>,
}

impl Stream {
    fn pieces(&self) -> Vec<&[u8]> {
        let mut cuts: Vec<usize> =
            self.cuts.iter().map(|cut| cut.index(self.raw.len() + 1)).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for cut in cuts {
            pieces.push(&self.raw[from..cut]);
            from = cut;
        }
        pieces.push(&self.raw[from..]);
        pieces
    }
}

fn stream(mutation_max: usize) -> impl Strategy<Value = Stream> {
    let repeated = (select(corpus()), 1..6_usize).prop_map(|(text, count)| text.repeat(count));
    let bytes = select(b"\r\n \t:;,0159aHx\"\0\x7f\xff".to_vec());
    let mutations = vec((any::<Index>(), bytes, 0..3_u8), 0..=mutation_max);
    let asked = (0..24_u32, prop::bool::weighted(0.2))
        .prop_map(|(count, head_request)| Asked { count, head_request });
    (asked, vec(repeated, 0..6), mutations, vec(any::<Index>(), 0..6)).prop_map(
        |(asked, texts, mutations, cuts)| {
            let mut raw = texts.concat().into_bytes();
            for (at, byte, how) in mutations {
                mutate(&mut raw, at, byte, how);
            }
            Stream { asked, raw, cuts }
        },
    )
}

/// Replaces, inserts or removes one byte.
fn mutate(raw: &mut Vec<u8>, at: Index, byte: u8, how: u8) {
    let at = at.index(raw.len() + 1);
    match how {
        0 if at < raw.len() => raw[at] = byte,
        1 if at < raw.len() => drop(raw.remove(at)),
        _ => raw.insert(at, byte),
    }
}

/// The property: a worker's connections share one memo, and nobody can tell.
fn connections_sharing_a_memo_read_as_if_they_had_none(streams: &[Stream]) {
    let mut memo = Memo::new();
    for stream in streams {
        let expected = drive(stream.asked, [&stream.raw[..]], &mut Memo::disabled());
        let outcome = drive(stream.asked, stream.pieces(), &mut memo);
        assert_eq!(outcome, expected);
        let outcome = drive(stream.asked, [&stream.raw[..]], &mut memo);
        assert_eq!(outcome, expected);
        let outcome = drive(stream.asked, stream.raw.chunks(1), &mut memo);
        assert_eq!(outcome, expected);
    }
}

/// The status a corpus answer ends with on a GET, unless it is interim.
fn status(text: &str) -> Option<&str> {
    text.trim_start().split(' ').nth(1).filter(|status| !status.starts_with('1'))
}

proptest! {
    // A failing case is printed; it becomes a case of the table, not a file of seeds.
    #![proptest_config(ProptestConfig {
        cases: 100,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_shared_memo_changes_nothing_on_good_streams(streams in vec(stream(0), 1..4)) {
        connections_sharing_a_memo_read_as_if_they_had_none(&streams);
    }

    #[test]
    fn a_shared_memo_changes_nothing_on_hostile_streams(streams in vec(stream(4), 1..4)) {
        connections_sharing_a_memo_read_as_if_they_had_none(&streams);
    }

    #[test]
    fn any_bytes_are_read_alike_in_any_pieces(
        start in select(vec!["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nX: "]),
        noise in vec(any::<u8>(), 0..200),
        cuts in vec(any::<Index>(), 0..6),
    ) {
        let raw = [start.as_bytes(), &noise].concat();
        let asked = Asked { count: 2, head_request: false };
        connections_sharing_a_memo_read_as_if_they_had_none(&[Stream { asked, raw, cuts }]);
    }

    /// Against what the generator knows, so that memo and parser cannot err together.
    #[test]
    fn kept_connections_deliver_every_answer_sent(
        texts in vec(select(corpus()[..14].to_vec()), 0..20),
    ) {
        let statuses: Vec<&str> = texts.iter().filter_map(|text| status(text)).collect();
        let asked = Asked { count: statuses.len() as u32, head_request: false };
        // An interim response after the last request's answer would be unsolicited.
        let kept = texts.iter().rposition(|text| status(text).is_some()).map_or(0, |at| at + 1);
        let raw = texts[..kept].concat();
        let outcome = drive(asked, [raw.as_bytes()], &mut Memo::new());
        let mut seen = Vec::new();
        for (name, count) in &outcome.trace.events {
            if name.starts_with(char::is_numeric) {
                seen.extend(vec![name.as_str(); *count as usize]);
            }
        }
        prop_assert_eq!(seen, statuses);
        prop_assert_eq!(outcome.left, 0);
    }
}
