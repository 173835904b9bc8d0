//! What goes over the wire, byte by byte, and what comes back in every framing.
#![expect(clippy::unwrap_used, reason = "a test says what it means by failing")]

use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::support::scripted::{Script, Scripted};
use super::support::{
    Folder, Nginx, assert_identities_hold, is_measured, number, report_of, said, wring,
};
use serde_json::Value;

/// Bounds a hang; no claim depends on it.
const RUN_MAX: Duration = Duration::from_secs(40);
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const NO_BODY: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";

/// Everything one request puts on the wire; `{}` in an argument stands for host and port.
fn sent_to(server: &Scripted, arguments: &[&str]) -> String {
    let authority = server.address.to_string();
    let arguments: Vec<String> = arguments.iter().map(|a| a.replace("{}", &authority)).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = wring(&[&arguments[..], &["-n", "1", "-c", "1"]].concat(), RUN_MAX);
    assert!(is_measured(&output), "{arguments:?}: {}", said(&output));
    let received = server.received();
    assert_eq!(received.len(), 1, "one connection");
    String::from_utf8(received[0].clone()).unwrap().replace(&authority, "{}")
}

fn sent(arguments: &[&str]) -> String {
    let is_head = arguments.windows(2).any(|pair| pair == ["-X", "HEAD"]);
    let answer = if is_head { NO_BODY } else { OK };
    sent_to(&Scripted::start(Script::Answer(answer.to_vec())), arguments)
}

#[test]
fn a_request_is_its_line_and_its_host_and_nothing_unasked() {
    assert_eq!(sent(&["http://{}/"]), "GET / HTTP/1.1\r\nHost: {}\r\n\r\n");
    assert_eq!(sent(&["http://{}"]), "GET / HTTP/1.1\r\nHost: {}\r\n\r\n");
    assert_eq!(sent(&["HTTP://{}/"]), "GET / HTTP/1.1\r\nHost: {}\r\n\r\n");
    assert_eq!(sent(&["-X", "HEAD", "http://{}/"]), "HEAD / HTTP/1.1\r\nHost: {}\r\n\r\n");
    assert_eq!(sent(&["-XDELETE", "http://{}/x"]), "DELETE /x HTTP/1.1\r\nHost: {}\r\n\r\n");
    assert_eq!(sent(&["-X", "custom", "http://{}/"]), "custom / HTTP/1.1\r\nHost: {}\r\n\r\n");
}

#[test]
fn path_and_query_are_sent_as_typed_and_the_fragment_is_not() {
    let cases = [
        ("/a/../b//c", "/a/../b//c"),
        ("/%7Ex?q=%20+&r=[1]#part?no", "/%7Ex?q=%20+&r=[1]"),
        ("?only=query", "/?only=query"),
        ("#fragment", "/"),
        ("/a|b^c`{d}", "/a|b^c`{d}"),
        ("/p;v=1:2@3", "/p;v=1:2@3"),
    ];
    for (typed, target) in cases {
        let expected = format!("GET {target} HTTP/1.1\r\nHost: {{}}\r\n\r\n");
        assert_eq!(sent(&[&format!("http://{{}}{typed}")]), expected);
    }
}

#[test]
fn headers_keep_their_order_and_a_host_replaces_ours() {
    let line = ["-H", "B: 2", "-H", "a:1", "-H", "B:  3 ", "-H", "E:", "http://{}/"];
    let expected = "GET / HTTP/1.1\r\nHost: {}\r\nB: 2\r\na: 1\r\nB: 3\r\nE: \r\n\r\n";
    assert_eq!(sent(&line), expected);
    let replaced = sent(&["-H", "A: 1", "-H", "Host: other:81", "http://{}/"]);
    assert_eq!(replaced.to_ascii_lowercase().matches("host:").count(), 1, "{replaced}");
    assert!(replaced.contains("Host: other:81\r\n") && replaced.contains("A: 1\r\n"), "{replaced}");
}

#[test]
fn a_body_comes_with_its_length_and_as_post() {
    let text = sent(&["-b", "a=1&b=2", "http://{}/"]);
    assert_eq!(text, "POST / HTTP/1.1\r\nHost: {}\r\nContent-Length: 7\r\n\r\na=1&b=2");
    let empty = sent(&["-b", "", "-X", "PUT", "http://{}/"]);
    assert_eq!(empty, "PUT / HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\n\r\n");
    let own = sent(&["-H", "content-length: 3", "-b", "abc", "http://{}/"]);
    assert_eq!(own.to_ascii_lowercase().matches("content-length: 3\r\n").count(), 1, "{own}");
    assert!(own.ends_with("\r\n\r\nabc"), "{own}");
    let folder = Folder::new();
    let path = folder.path().join("body");
    fs::write(&path, "line 1\r\n\nline 3\n").unwrap();
    let file = sent(&["-X", "PATCH", "-b", &format!("@{}", path.display()), "http://{}/"]);
    let expected = "PATCH / HTTP/1.1\r\nHost: {}\r\nContent-Length: 16\r\n\r\nline 1\r\n\nline 3\n";
    assert_eq!(file, expected);
}

#[test]
fn a_body_is_read_from_standard_input() {
    let server = Scripted::start(Script::Answer(OK.to_vec()));
    let mut child = Command::new(env!("CARGO_BIN_EXE_wring"))
        .args(["-b", "@-", "-n", "3", "-c", "1", &server.url()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"from stdin").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let head = format!("POST / HTTP/1.1\r\nHost: {}\r\nContent-Length: 10\r\n\r\n", server.address);
    let expected = format!("{head}from stdin").repeat(3);
    assert_eq!(String::from_utf8(server.received()[0].clone()).unwrap(), expected);
}

#[test]
fn a_large_body_arrives_whole_however_often() {
    let folder = Folder::new();
    let path = folder.path().join("body");
    let body: Vec<u8> = (0..300_000_u32).map(|i| b'a' + (i % 23) as u8).collect();
    fs::write(&path, &body).unwrap();
    let server = Scripted::start(Script::Answer(OK.to_vec()));
    let file = format!("@{}", path.display());
    let line =
        [&*server.url(), "-b", &file, "-n", "7", "-c", "1", "-p", "3", "-T", "30s", "--json"];
    let output = wring(&line, RUN_MAX);
    assert!(is_measured(&output), "{}", said(&output));
    let head =
        format!("POST / HTTP/1.1\r\nHost: {}\r\nContent-Length: 300000\r\n\r\n", server.address);
    let expected = [head.as_bytes(), &body].concat().repeat(7);
    assert!(server.received()[0] == expected, "the bytes on the wire differ");
    assert_eq!(number(&report_of(&output), "/whole/bytes_out"), expected.len() as u64);
}

#[test]
fn an_ipv6_literal_keeps_its_brackets_in_the_host_field() {
    let Some(server) = Scripted::listen("[::1]:0", Script::Answer(OK.to_vec())) else {
        eprintln!("SKIPPED: this machine has no ::1");
        return;
    };
    assert_eq!(sent_to(&server, &["http://{}/v6"]), "GET /v6 HTTP/1.1\r\nHost: {}\r\n\r\n");
}

#[test]
fn a_name_is_sent_as_typed_and_all_its_addresses_are_used_evenly() {
    let (first, second) = on_one_port_of_both_loopbacks();
    let port = first.address.port();
    let both: Vec<SocketAddr> = ("localhost", port).to_socket_addrs().unwrap().collect();
    let url = format!("http://localhost:{port}/");
    let output = wring(&[&url, "-c", "8", "-n", "80", "--json"], RUN_MAX);
    assert!(is_measured(&output), "{}", said(&output));
    let report = report_of(&output);
    let printed: Vec<String> =
        report["asked"]["addresses"].as_array().unwrap().iter().map(text_of).collect();
    let mut resolved: Vec<String> = both.iter().map(ToString::to_string).collect();
    resolved.dedup();
    assert_eq!(printed, resolved);
    let received = first.received();
    let host = format!("Host: localhost:{port}\r\n");
    assert!(received.iter().all(|bytes| String::from_utf8_lossy(bytes).contains(&host)));
    let used = |server: &Scripted| server.received().len();
    match second {
        Some(second) if resolved.len() == 2 => assert_eq!((used(&first), used(&second)), (4, 4)),
        _ => assert_eq!(used(&first), 8),
    }
}

/// Two servers on 127.0.0.1 and ::1; only the first where there is no ::1.
fn on_one_port_of_both_loopbacks() -> (Scripted, Option<Scripted>) {
    let answers = || Script::Answer(OK.to_vec());
    let has_second = Scripted::listen("[::1]:0", answers()).is_some();
    for _ in 0..100 {
        let first = Scripted::start(answers());
        let second = Scripted::listen(&format!("[::1]:{}", first.address.port()), answers());
        // A port that is free on one may be taken on the other.
        if second.is_some() == has_second {
            return (first, second);
        }
    }
    panic!("no port is free on both");
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// Runs 40 requests of which each gets `answer`, and holds the bytes against their classes.
fn check_framing(script: Script, line: &[&str], status: &str, classes: [u64; 4]) -> Value {
    let (Script::Answer(answer) | Script::AnswerAndClose(answer)) = script.clone() else {
        panic!("nothing would be answered")
    };
    let said_bytes = String::from_utf8_lossy(&answer).into_owned();
    let server = Scripted::start(script);
    let output = wring(&[&[&*server.url(), "-n", "40", "--json"], line].concat(), RUN_MAX);
    assert!(is_measured(&output), "{said_bytes}: {}", said(&output));
    let report = report_of(&output);
    assert_identities_hold(&report);
    assert_eq!(number(&report, "/requests/completed"), 40, "{said_bytes}");
    assert_eq!(number(&report, &format!("/whole/statuses/{status}")), 40, "{said_bytes}");
    assert_eq!(server.requests(), 40);
    assert_eq!(classes.iter().sum::<u64>(), answer.len() as u64, "the test adds up");
    assert_eq!(number(&report, "/whole/bytes_in"), 40 * answer.len() as u64, "{said_bytes}");
    for (name, each) in ["head", "body", "framing", "interim"].iter().zip(classes) {
        assert_eq!(number(&report, &format!("/bytes/{name}")), 40 * each, "{name}: {said_bytes}");
    }
    assert_eq!(number(&report, "/bytes/stray"), 0);
    report
}

/// On kept connections, alone and pipelined.
fn check_kept(answer: &str, line: &[&str], status: &str, classes: [u64; 4]) {
    for depth in ["1", "4"] {
        let line = [&["-c", "3", "-p", depth], line].concat();
        let script = Script::Answer(answer.as_bytes().to_vec());
        let report = check_framing(script, &line, status, classes);
        assert_eq!(number(&report, "/connections/attempts"), 3, "not kept: {answer}");
    }
}

#[test]
fn every_framing_of_a_kept_connection_is_counted_exactly() {
    check_kept("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", &[], "200", [38, 5, 0, 0]);
    check_kept("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", &[], "200", [38, 0, 0, 0]);
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    check_kept(
        &format!("{chunked}5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nSum: 1\r\nB: 2\r\n\r\n"),
        &[],
        "200",
        [chunked.len() as u64, 6, 33, 0],
    );
    check_kept(&format!("{chunked}0\r\n\r\n"), &[], "200", [chunked.len() as u64, 0, 5, 0]);
    check_kept("HTTP/1.1 204 No Content\r\n\r\n", &[], "204", [27, 0, 0, 0]);
    check_kept("HTTP/1.1 304 X\r\nContent-Length: 9\r\n\r\n", &[], "304", [37, 0, 0, 0]);
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n";
    check_kept(head, &["-X", "HEAD"], "200", [head.len() as u64, 0, 0, 0]);
    check_kept("HTTP/1.1 599\r\nContent-Length: 1\r\n\r\nx", &[], "599", [35, 1, 0, 0]);
    let old = "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n";
    check_kept(&format!("{old}ok"), &[], "200", [old.len() as u64, 2, 0, 0]);
}

#[test]
fn interim_answers_are_told_apart_and_never_completed() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    let answer = format!("{interim}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    check_kept(&answer, &[], "200", [38, 2, 0, interim.len() as u64]);
}

#[test]
fn an_answer_that_ends_with_its_connection_is_whole() {
    let cases = [
        ("HTTP/1.1 200 OK\r\n\r\nuntil the end", [19, 13, 0, 0]),
        ("HTTP/1.0 200 OK\r\n\r\n", [19, 0, 0, 0]),
        ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", [38, 2, 0, 0]),
        ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", [57, 2, 0, 0]),
    ];
    for (answer, classes) in cases {
        let script = Script::AnswerAndClose(answer.as_bytes().to_vec());
        let report = check_framing(script, &["-c", "3"], "200", classes);
        assert!(number(&report, "/connections/established") >= 40, "{answer}");
    }
}

#[test]
fn large_bodies_from_nginx_are_counted_to_the_byte() {
    let folder = Folder::new();
    let sizes = [65_536_u64, 1_048_576, 1_048_577];
    for size in sizes {
        fs::write(folder.path().join(size.to_string()), vec![b'x'; size as usize]).unwrap();
    }
    let root = format!("root {};", folder.path().display());
    let Some(nginx) = Nginx::start(&root) else { return };
    for size in sizes {
        for depth in ["1", "4"] {
            let url = nginx.url(&size.to_string());
            let output = wring(&[&url, "-c", "5", "-p", depth, "-n", "60", "--json"], RUN_MAX);
            assert!(is_measured(&output), "{}", said(&output));
            let report = report_of(&output);
            assert_identities_hold(&report);
            assert_eq!(number(&report, "/requests/completed"), 60);
            assert_eq!(number(&report, "/bytes/body"), 60 * size, "depth {depth}");
            let head = number(&report, "/bytes/head");
            assert_eq!(head % 60, 0, "heads of equal length: {head}");
            assert_eq!(number(&report, "/whole/bytes_in"), head + 60 * size);
        }
    }
    drop(nginx);
}
