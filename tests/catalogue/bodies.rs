//! Family B: how bodies are framed, but for the chunked coding itself.

use super::{Case, GOOD, LARGE, Step, chunked, each, large, ok};

pub(super) fn cases() -> Vec<Case> {
    let mut all = lengths();
    all.extend(codings());
    all.extend(ends_and_absences());
    all.extend(interim_responses());
    all.extend(reuse());
    all.extend(large_bodies());
    all
}

pub(super) fn elsewhere() -> Vec<(&'static str, &'static str)> {
    vec![(
        "B35",
        "a closed loop has no idle connection, so the case has a rate; the codec alone: \
         `bytes_nobody_asked_for_close_and_never_complete`",
    )]
}

/// A 200 with this Content-Length.
fn with_length(value: &str) -> String {
    ok(&format!("Content-Length: {value}\r\n"), "")
}

/// The same with a value that is refused where the line ends.
fn with_wrong_length(value: &str) -> String {
    ok(&format!("Content-Length: {value}\r\n¦"), "")
}

fn lengths() -> Vec<Case> {
    let wrong = "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n¦X: y\r\n";
    let sized = |value: &str, rest: &str| ok(&format!("Content-Length: {value}\r\n"), rest);
    let mut all = vec![
        Case::new("B1", "five", sized("5", "hello"), "200 body=5"),
        Case::new("B1", "none", sized("0", ""), "200"),
        Case::new("B1", "space around", ok("content-LENGTH: \t005 \t\r\n", "hello"), "200 body=5"),
        Case::new("B2", "a list", sized("5,5", "hello"), "200 body=5"),
        Case::new("B2", "a list with spaces", sized("5 , 5", "hello"), "200 body=5"),
        Case::new(
            "B2",
            "two fields",
            ok("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"),
            "200 body=5",
        ),
        Case::new("B3", "a list", ok("Content-Length: 5,6\r\n¦", "hello"), "parse"),
        Case::new(
            "B3",
            "two fields",
            ok("Content-Length: 5\r\nContent-Length: 6\r\n¦", "hello"),
            "parse",
        ),
    ];
    all.extend(each(
        "B4",
        [
            "-1", "+5", "0x20", "42s", "", " ", "030,30", "5,", ",5", "5 5", "5_0", "5.0", "1e3",
            "\"5\"",
        ],
        "parse",
        with_wrong_length,
    ));
    all.push(Case::new("B4", "the head never ends", wrong, "parse"));
    all.push(Case::new("B4", "the end comes first", wrong, "parse").then([Step::Fin]));
    all.extend(each(
        "B5",
        [
            "9223372036854775808",
            "18446744073709551615",
            "18446744073709551616",
            "18446744073709551621",
            "99999999999999999999999999999999999999999",
        ],
        "parse",
        with_wrong_length,
    ));
    let most = Case::new("B5", "2^63 - 1", sized("9223372036854775807", "x"), "eof_body body=1");
    all.push(most.then([Step::Fin]));
    for (what, rest, body) in [("no body", "", 0), ("four of five", "hell", 4)] {
        let case = Case::new("B6", what, sized("5", rest), &format!("eof_body body={body}"));
        all.push(case.then([Step::Fin]));
    }
    all.extend([
        Case::new("B7", "text", sized("2", "ok¦more"), "200 body=2 unsolicited close"),
        Case::new("B7", "a line end", sized("2", "ok¦\r\n"), "200 body=2 unsolicited close"),
        Case::new("B7", "a whole answer", format!("{GOOD}¦{GOOD}"), "200 body=2 unsolicited close"),
        Case::new(
            "B29",
            "gzip, not decoded",
            ok("Content-Encoding: gzip\r\nContent-Length: 5\r\n", "\u{1f}hell"),
            "200 body=5",
        ),
    ]);
    for (what, gibibytes) in [("1 GiB", 1_u64), ("10 GiB", 10)] {
        let bytes = gibibytes << 30;
        let case =
            Case::new("B30", what, with_length(&bytes.to_string()), &format!("200 body={bytes}"));
        let mut case = case.then([Step::Fill(bytes)]);
        case.not_over_sockets = (gibibytes > 1).then_some("takes too long; 1 GiB shows the same");
        all.push(case);
    }
    all
}

fn codings() -> Vec<Case> {
    let body = "2\r\nok\r\n0\r\n\r\n";
    let coded = |value: &str| ok(&format!("Transfer-Encoding: {value}\r\n"), body);
    let both = "200 body=2 length_and_chunked close";
    let mut all = vec![
        Case::new(
            "B8",
            "length first",
            ok("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", body),
            both,
        ),
        Case::new(
            "B8",
            "length last",
            ok("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", body),
            both,
        ),
        Case::new(
            "B8",
            "a wrong length",
            ok("Transfer-Encoding: chunked\r\nContent-Length: x\r\n¦", "2\r\nok"),
            "parse",
        ),
        Case::new(
            "B9",
            "even with keep-alive",
            format!(
                "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n{body}"
            ),
            "200 body=2 chunked_in_http10 close",
        ),
    ];
    all.extend(each(
        "B10",
        ["gzip, chunked", "gzip,chunked", "x;a=\"b,c\", chunked"],
        "200 body=2",
        coded,
    ));
    let to_close = format!("200 body={} close", body.len());
    for number_and_value in [
        ("B11", "gzip"),
        ("B11", "chunked, identity"),
        ("B11", "chunked, gzip"),
        ("B11", "identity"),
        ("B12", "chunkedchunked"),
        ("B12", "xchunked"),
        ("B12", "chunkedx"),
        ("B12", "chunke"),
        ("B12", ","),
    ] {
        let (number, value) = number_and_value;
        let case = Case::new(number, &format!("{value:?} to the end"), coded(value), &to_close);
        all.push(case.then([Step::Fin]));
    }
    all.extend(each(
        "B12",
        ["CHUNKED", "Chunked ", ", chunked", "chunked,", ",,gzip ,, chunked ,"],
        "200 body=2",
        coded,
    ));
    all.extend(each(
        "B12",
        ["chunked, chunked", "chunked;x=1", "chunked gzip", "gzip;a=\"b, chunked", "\"chunked\""],
        "parse",
        |value| ok(&format!("Transfer-Encoding: {value}\r\n¦"), body),
    ));
    all
}

fn ends_and_absences() -> Vec<Case> {
    let mut all = vec![
        Case::new("B21", "a body", ok("", "hello"), "200 body=5 close").then([Step::Fin]),
        Case::new("B21", "no body", ok("", ""), "200 close").then([Step::Fin]),
        Case::new("B21", "an answer inside", ok("", GOOD), "200 body=40 close").then([Step::Fin]),
        Case::new("B21", "the end comes late", ok("", "hello"), "200 body=5 close")
            .then([Step::Pause(20), Step::Fin]),
        Case::new("B21", "never reused", ok("", "hello"), "200*2 body=10")
            .then([Step::Fin])
            .run(2, 2),
        Case::new("B22", "a body", ok("", "hello"), "reset body=5").then([Step::Rst]),
        Case::new("B22", "no body", ok("", ""), "reset").then([Step::Gap, Step::Rst]),
    ];
    for status in ["204", "304"] {
        let raw = format!("HTTP/1.1 {status} X\r\nContent-Length: 5\r\n\r\n");
        all.push(Case::new("B23", &format!("{status} with a length"), &raw, status));
        let bare = format!("HTTP/1.1 {status} X\r\n\r\n");
        all.push(Case::new("B23", &format!("{status} without"), bare, status));
        let sent = format!("{raw}¦hello");
        let expected = format!("{status} unsolicited close");
        all.push(Case::new("B24", &format!("{status} and a body"), sent, &expected));
    }
    let coded = "HTTP/1.1 304 X\r\nTransfer-Encoding: chunked\r\n\r\n";
    all.push(Case::new("B23", "304 with a coding", coded, "304"));
    all.extend([
        Case::new("B25", "a length", with_length("5"), "200").head(),
        Case::new("B25", "no length", ok("", ""), "200").head(),
        Case::new("B25", "a coding", chunked(""), "200").head(),
        Case::new(
            "B25",
            "a body anyway",
            ok("Content-Length: 5\r\n", "¦hello"),
            "200 unsolicited close",
        )
        .head(),
        Case::new("B25", "kept", with_length("5"), "200*3").head().run(3, 1),
    ]);
    all
}

/// What comes behind a large body, or where none belongs, is nobody's; and an upload that is refused
/// early ends, however large it is and whether or not the answer says that the connection does.
fn large_bodies() -> Vec<Case> {
    let mut all = Vec::new();
    for (what, bytes) in LARGE {
        let with_more = format!("{}¦more", large(bytes));
        let expected = format!("200 body={bytes} unsolicited close");
        all.push(Case::new("B7", &format!("{what} and more"), &with_more, &expected));
        let expected = format!("200*2 body={} unsolicited*2 stray=8", 2 * bytes);
        let twice = format!("{what} and more, then the next");
        all.push(Case::new("B7", &twice, with_more.replace('¦', ""), &expected).run(2, 2));
        let absent = format!("HTTP/1.1 204 X\r\n\r\n¦{}", "x".repeat(bytes));
        let one = Case::new("B24", &format!("204 and {what}"), &absent, "204 unsolicited close");
        all.push(one);
        let expected = format!("204*2 unsolicited*2 stray={}", 2 * bytes);
        let twice = format!("204 and {what}, then the next");
        all.push(Case::new("B24", &twice, absent.replace('¦', ""), &expected).run(2, 2));
        for (field, close) in [("", ""), ("Connection: close\r\n", " close")] {
            let refused = format!("HTTP/1.1 413 X\r\n{field}Content-Length: 2\r\n\r\nno");
            let what = format!("413 before {what} were read{close}");
            let case = Case::new("B34", &what, refused, &format!("413 body=2{close}"));
            all.push(Case { request_body_bytes: bytes, ..case });
        }
    }
    // More than the buffers of both sides take, of which the server reads no more.
    let refused = "HTTP/1.1 413 X\r\nContent-Length: 2\r\n\r\nno";
    let case = Case::new("B34", "413, and the rest is never read", refused, "413*2 body=4");
    let case = case.then([Step::Pause(5000)]).run(2, 2);
    all.push(Case { request_body_bytes: 8 << 20, ..case });
    all
}

fn interim_responses() -> Vec<Case> {
    let hundred = "HTTP/1.1 100 \r\n\r\n";
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: x\r\nContent-Length: 7\r\n\r\n";
    let mix = format!("{hundred}HTTP/1.1 102 P\r\n\r\n{hints}");
    vec![
        Case::new("B26", "one", format!("{hints}{GOOD}"), "200 body=2 interim"),
        Case::new("B26", "three", format!("{mix}{GOOD}"), "200 body=2 interim*3"),
        Case::new("B26", "32", format!("{}{GOOD}", hundred.repeat(32)), "200 body=2 interim*32"),
        Case::new("B26", "33", format!("{}¦{GOOD}", hundred.repeat(33)), "interim*32 limit"),
        Case::new("B27", "with a body", "HTTP/1.1 101 Switching\r\n¦\r\nxyz", "parse"),
        Case::new(
            "B27",
            "upgrade",
            "HTTP/1.1 101 X\r\n¦Upgrade: h2c\r\nConnection: upgrade\r\n\r\n",
            "parse",
        ),
        Case::new("B28", "one", hints, "eof interim").then([Step::Fin]),
        Case::new("B28", "three", mix, "eof interim*3").then([Step::Fin]),
    ]
}

fn reuse() -> Vec<Case> {
    let answer = |version: &str, fields: &str| {
        format!("HTTP/{version} 200 OK\r\n{fields}Content-Length: 2\r\n\r\nok")
    };
    let keep = "Connection: keep-alive\r\n";
    let close = "Connection: close\r\n";
    let after_end = format!("{}¦HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", GOOD);
    // Over a real socket what nobody asked for has to come before the next request leaves, half a
    // second later; then it would be taken for the answer, and rightly.
    let idle = Case {
        rate_per_s: Some(2),
        ..Case::new("B35", "at 2 a second", GOOD, "200*2 body=4 unsolicited*2 stray=102")
            .then([
                Step::Pause(15),
                Step::Send(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n".to_vec()),
                Step::Gap,
                Step::Fin,
            ])
            .run(2, 2)
    };
    let refused_upload =
        "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno";
    let early = Case {
        request_body_bytes: 8 << 20,
        ..Case::new("B34", "413 before the body was read", refused_upload, "413 body=2 close")
    };
    vec![
        Case::new("B31", "1.0", answer("1.0", ""), "200 body=2 close"),
        Case::new("B31", "1.0 is closed", answer("1.0", ""), "200*3 body=6").run(3, 3),
        Case::new("B31", "1.0 keep-alive is kept", answer("1.0", keep), "200*3 body=6").run(3, 1),
        Case::new("B32", "close", answer("1.1", close), "200 body=2 close"),
        Case::new("B32", "the peer does not close", answer("1.1", close), "200*3 body=6").run(3, 3),
        Case::new(
            "B32",
            "any case, in a list",
            answer("1.1", "CONNECTION: x, Close ,y\r\n"),
            "200 body=2 close",
        ),
        Case::new(
            "B33",
            "1.1",
            answer("1.1", "Connection: keep-alive, close\r\n"),
            "200 body=2 close",
        ),
        Case::new(
            "B33",
            "1.0",
            answer("1.0", "Connection: close\r\nConnection: keep-alive\r\n"),
            "200 body=2 close",
        ),
        Case::new("B35", "right behind an answer", after_end, "200 body=2 unsolicited close")
            .then([Step::Fin]),
        early,
        idle,
    ]
}
