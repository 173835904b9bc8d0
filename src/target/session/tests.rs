//! Claims about the request reader: framing, splits, the memo, malformed input.

use super::*;
use crate::target::answers::Content;

const GET: &str = "GET /a?b=c HTTP/1.1\r\nHost: h\r\n\r\n";

/// Everything a session says about a stream, in words.
#[derive(Debug, Default, Eq, PartialEq)]
struct Said {
    runs: Vec<(String, u32)>,
    requests: u64,
    malformed: u64,
    closes: bool,
}

fn feed<'a>(parts: impl IntoIterator<Item = &'a [u8]>, close_after: Option<u32>) -> Said {
    let mut memo = Memo::default();
    feed_with(&mut memo, parts, close_after)
}

fn feed_with<'a>(
    memo: &mut Memo,
    parts: impl IntoIterator<Item = &'a [u8]>,
    close_after: Option<u32>,
) -> Said {
    let mut session = Session::new(close_after);
    let (mut replies, mut said) = (Replies::default(), Said::default());
    for part in parts {
        replies.clear();
        session.receive(memo, part, &mut replies);
        for run in &replies.runs {
            let name = name(run.answer);
            match said.runs.last_mut() {
                Some(last) if last.0 == name => last.1 += run.count,
                _ => said.runs.push((name, run.count)),
            }
        }
        said.requests += replies.requests;
        said.malformed += replies.malformed;
        said.closes = replies.closes;
        if replies.closes {
            break;
        }
    }
    said
}

fn name(answer: Answer) -> String {
    let persistence = match answer.persistence {
        Persistence::Silent => "",
        Persistence::KeepAlive => " keep",
        Persistence::Close => " close",
    };
    let content = match answer.content {
        Content::Whole => "whole",
        Content::HeadOnly => "head",
        Content::Continue => "continue",
        Content::Malformed => "400",
        Content::HeadTooLarge => "431",
        Content::CutShort => "cut short",
        Content::BadStatus => "bad status",
        Content::Count => "count",
    };
    format!("{content}{persistence}")
}

/// The whole stream at once says this: `2 whole | 1 head close, 3 requests, closes`.
fn check(stream: &str, expected: &str) {
    assert_eq!(words(&feed([stream.as_bytes()], None)), expected, "{stream:?}");
}

fn words(said: &Said) -> String {
    let runs: Vec<_> = said.runs.iter().map(|(name, count)| format!("{count} {name}")).collect();
    let mut words = format!("{}, {} requests", runs.join(" | "), said.requests);
    if said.malformed > 0 {
        words.push_str(&format!(", {} malformed", said.malformed));
    }
    if said.closes {
        words.push_str(", closes");
    }
    words
}

#[test]
fn each_kind_of_request_gets_its_answer() {
    check(GET, "1 whole, 1 requests");
    check("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", "1 head, 1 requests");
    check("GET / HTTP/1.0\r\n\r\n", "1 whole close, 1 requests, closes");
    check("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "1 whole keep, 1 requests");
    check(
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: x, Close\r\n\r\n",
        "1 whole close, 1 requests, closes",
    );
    check("GET /__count HTTP/1.1\r\nHost: h\r\n\r\n", "1 count, 0 requests");
    check("POST /__count HTTP/1.1\r\nHost: h\r\n\r\n", "1 whole, 1 requests");
    check("\r\n\nGET / HTTP/1.1\nHost:h\n\n", "1 whole, 1 requests");
    check(&GET[..GET.len() - 1], ", 0 requests");
}

#[test]
fn a_request_with_a_body_counts_when_its_last_byte_is_there() {
    let head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n";
    check(&format!("{head}1234"), ", 0 requests");
    check(&format!("{head}12345"), "1 whole, 1 requests");
    check(&format!("{head}12345{GET}"), "2 whole, 2 requests");
    let head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    check(&format!("{head}5\r\n12345\r\n0\r\n\r"), ", 0 requests");
    check(&format!("{head}5;a=\"b\"\r\n12345\r\n00\r\nT: v\r\n\r\n{GET}"), "2 whole, 2 requests");
}

#[test]
fn an_expected_continue_is_given_only_while_the_body_is_to_come() {
    let head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    check(head, "1 continue, 0 requests");
    check(&format!("{head}ab"), "1 whole, 1 requests");
    let said = feed([head.as_bytes(), b"a", b"b"], None);
    assert_eq!(words(&said), "1 continue | 1 whole, 1 requests");
    let twice = [head.as_bytes(), b"ab", head.as_bytes(), b"ab"];
    assert_eq!(
        words(&feed(twice, None)),
        "1 continue | 1 whole | 1 continue | 1 whole, 2 requests"
    );
}

#[test]
fn what_the_grammar_forbids_is_malformed_and_ends_the_connection() {
    let refused = "1 400 close, 0 requests, 1 malformed, closes";
    for stream in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/2.0\r\nHost: h\r\n\r\n",
        "GET /\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n",
        "G(T / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nA: \0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nA: a\rb\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +5\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5, 5\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551616\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n",
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        check(stream, refused);
        // What came before it counts and is answered first.
        check(
            &format!("{GET}{GET}{stream}"),
            "2 whole | 1 400 close, 2 requests, 1 malformed, closes",
        );
    }
    let head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    for body in
        ["\r\n", "x\r\n", "5\r\n12345x", "-1\r\n", "10000000000000000\r\n", "5\rx", "5x\r\n"]
    {
        check(&format!("{head}{body}"), refused);
    }
}

#[test]
fn a_head_over_the_limit_is_refused_whether_or_not_it_ends() {
    let refused = "1 431 close, 0 requests, 1 malformed, closes";
    let long = format!("GET / HTTP/1.1\r\nHost: h\r\nA: {}", "a".repeat(limits::HEAD_BYTES_MAX));
    check(&long, refused);
    check(&format!("{long}\r\n\r\n"), refused);
    let said = feed(long.as_bytes().chunks(1000), None);
    assert_eq!(words(&said), refused);
    let head = "GET / HTTP/1.1\r\nHost: h\r\nA: \r\n\r\n";
    let fits = head.replace("A: ", &format!("A: {}", "a".repeat(65536 - head.len())));
    check(&fits, "1 whole, 1 requests");
    let framing = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    let extension = "e".repeat(limits::CHUNK_LINE_BYTES_MAX);
    check(&format!("{framing}1;{extension}\r\n"), "1 400 close, 0 requests, 1 malformed, closes");
}

#[test]
fn the_connection_ends_after_so_many_answers_and_says_so_only_after_one() {
    let stream = GET.repeat(5);
    let said = feed([stream.as_bytes()], Some(3));
    assert_eq!(words(&said), "3 whole, 3 requests, closes");
    let said = feed([stream.as_bytes()], Some(1));
    assert_eq!(words(&said), "1 whole close, 1 requests, closes");
    let said = feed(stream.as_bytes().chunks(7), Some(3));
    assert_eq!(words(&said), "3 whole, 3 requests, closes");
}

/// A stream with every framing, repeats, and changes of head in the middle of a batch.
fn mixed_stream() -> String {
    let post = "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 7\r\n\r\nGET / H";
    let chunked = "PUT /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
                   3\r\nabc\r\n1f;x\r\n0123456789abcdefghijklmnopqrstu\r\n0\r\nA: b\r\n\r\n";
    let head = "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n";
    let old = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    let three = GET.repeat(3);
    format!("{three}{post}{post}{GET}{chunked}\r\n{three}{head}{head}{old}{chunked}{three}")
}

#[test]
fn a_stream_split_at_any_two_bytes_says_the_same() {
    let stream = mixed_stream();
    let bytes = stream.as_bytes();
    let whole = feed([bytes], None);
    assert_eq!((whole.requests, whole.malformed), (17, 0));
    for first in 0..=bytes.len() {
        for second in (first..=bytes.len()).step_by(11) {
            let parts = [&bytes[..first], &bytes[first..second], &bytes[second..]];
            assert_eq!(feed(parts, None), whole, "split at {first} and {second}");
        }
    }
    for step in 1..50 {
        assert_eq!(feed(bytes.chunks(step), None), whole, "in steps of {step}");
    }
}

#[test]
fn a_stream_cut_at_any_byte_never_counts_more_than_arrived() {
    let stream = mixed_stream();
    let mut before = 0;
    for end in 0..=stream.len() {
        let requests = feed([&stream.as_bytes()[..end]], None).requests;
        assert!((before..=before + 1).contains(&requests), "cut at {end}");
        before = requests;
    }
    assert_eq!(before, 17);
}

#[test]
fn a_memo_of_another_connection_changes_nothing() {
    let stream = mixed_stream();
    let whole = feed([stream.as_bytes()], None);
    for filler in
        [GET, "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", "GET /a?b=c HTTP/1.1\r\nHost: hh\r\n\r\n"]
    {
        for step in [3, 37, 64, 1000] {
            let mut memo = Memo::default();
            feed_with(&mut memo, [filler.as_bytes()], None);
            assert_eq!(feed_with(&mut memo, stream.as_bytes().chunks(step), None), whole);
        }
    }
}

#[test]
fn equal_requests_are_told_from_a_last_one_that_differs() {
    let other = GET.replace("/a", "/b");
    for before in 1..5 {
        let stream = format!("{}{other}{GET}", GET.repeat(before));
        check(&stream, &format!("{} whole, {} requests", before + 2, before + 2));
        let head = GET.replace("GET", "HEA").replace("HEA", "HEAD");
        check(
            &format!("{}{head}", GET.repeat(before)),
            &format!("{before} whole | 1 head, {} requests", before + 1),
        );
    }
}
