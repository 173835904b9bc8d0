//! Family A: heads.

use super::{Case, GOOD, Step, chunked, each, ok};

/// Bounds of one head that users are promised.
const HEAD_BYTES_MAX: usize = 64 * 1024;
const FIELDS_MAX: usize = 1000;

pub(super) fn cases() -> Vec<Case> {
    let mut all = status_lines();
    all.extend(fields());
    all.extend(limits());
    all
}

fn status_lines() -> Vec<Case> {
    let whole = |value: &str| value.to_owned();
    let mut all = each(
        "A1",
        [
            "HTP¦/1.1 200 OK\r\n\r\n",
            "<¦html>hello</html>",
            "\0¦\u{1}\u{2}",
            "\n¦HTTP/1.1 200 OK\r\n\r\n",
            "h¦ttp/1.1 200 OK\r\n\r\n",
            "\u{16}¦\u{3}\u{1}\u{2}\u{2}\u{28}",
        ],
        "parse",
        whole,
    );
    all.extend(each(
        "A2",
        [
            "HTTP/1.2¦ 200 OK\r\n\r\n",
            "HTTP/2¦.0 200 OK\r\n\r\n",
            "HTTP/11¦.1 200 OK\r\n\r\n",
            "HTTP/0¦1.1 200 OK\r\n\r\n",
            "HTTP/1.01¦ 200 OK\r\n\r\n",
            "HTTP/1.1\r¦\n\r\n",
        ],
        "parse",
        whole,
    ));
    let digits = "2".repeat(100);
    all.extend(each(
        "A3",
        ["2", "20", "2000", &digits, "-20", "-200", "000", "001", "099", "2x0", "", "+20"],
        "parse",
        |status| format!("HTTP/1.1 {status} OK\r\n¦Content-Length: 0\r\n\r\n"),
    ));
    for status in ["200", "404", "500", "599", "600", "999"] {
        let raw = format!("HTTP/1.1 {status} OK\r\nContent-Length: 0\r\n\r\n");
        all.push(Case::new("A3", status, raw, status));
    }
    let with_reason = |reason: &str| format!("HTTP/1.1 200{reason}\r\nContent-Length: 0\r\n\r\n");
    all.extend(each("A4", ["", " "], "200", with_reason));
    all.extend(each("A5", [" \u{e9}t\u{e9}", " \u{2603}", " a\tb"], "200", with_reason));
    let latin1 = b"HTTP/1.1 200 \xff\xfe\r\nContent-Length: 0\r\n\r\n";
    all.push(Case::new("A5", "bytes that are no UTF-8", latin1, "200"));
    all.extend(each(
        "A6",
        [
            "HTTP/1.1 200  OK",
            "HTTP/1.1 200 \tOK",
            "HTTP/1.1 200\tOK",
            "HTTP/1.1  200 OK",
            "HTTP/1.1 \t200 OK",
        ],
        "parse",
        |line| format!("{line}\r\n¦Content-Length: 0\r\n\r\n"),
    ));
    all.push(Case::new("A6", "tab behind the version", "HTTP/1.1\t¦200 OK\r\n\r\n", "parse"));
    all
}

fn fields() -> Vec<Case> {
    let mut all = vec![
        Case::new(
            "A7",
            "everywhere",
            "HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
            "200 body=2 bare_lf",
        ),
        Case::new(
            "A7",
            "at the end",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\nok",
            "200 body=2 bare_lf",
        ),
        Case::new(
            "A7",
            "one field",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\n\r\nok",
            "200 body=2 bare_lf",
        ),
        Case::new(
            "A7",
            "an interim response",
            format!("HTTP/1.1 100 Continue\n\n{GOOD}"),
            "200 body=2 bare_lf interim",
        ),
        Case::new("A7", "no head, but a chunk line", chunked("2\n¦ok\r\n0\r\n\r\n"), "parse"),
    ];
    all.extend(each(
        "A8",
        [
            "HTTP/1.1 200 OK\rX¦: y\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: a\rb¦\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\rX¦: y\r\n\r\n",
            "HTTP/1.1 200 OK\r\r¦\n\r\n",
        ],
        "parse",
        str::to_owned,
    ));
    for byte in [0_u8, 1, 7, 8, 0xb, 0xc, 0x1b, 0x1f, 0x7f] {
        let byte = char::from(byte);
        let raws = [
            ("value", ok(&format!("X: a{byte}¦b\r\n"), "")),
            ("name", ok(&format!("X{byte}¦: b\r\n"), "")),
            ("reason", format!("HTTP/1.1 200 O{byte}¦\r\n\r\n")),
        ];
        for (place, raw) in raws {
            all.push(Case::new("A9", &format!("{byte:?} in a {place}"), raw, "parse"));
        }
    }
    all.extend(each(
        "A10",
        ["no colon", ": empty name", "X : y", "X\t: y", "a b: c", "\u{e9}: x", "(x): y"],
        "parse",
        |line| ok(&format!("{line}\r\n¦X: y\r\n"), ""),
    ));
    for line in ["no colon", ": empty name", "X : y", " X: y"] {
        let raw = format!("HTTP/1.1 200 OK\r\n{line}\r\n¦X: y\r\n");
        let what = |how| format!("{line:?}, {how}");
        all.push(Case::new("A10", &what("and the head never ends"), &raw, "parse"));
        all.push(
            Case::new("A10", &what("and the end comes first"), &raw, "parse").then([Step::Fin]),
        );
    }
    all.extend(each("A11", ["X: a\r\n b", "X:\r\n\tb\r\n ", "X: a\r\n \r\n b"], "200", |field| {
        ok(&format!("{field}\r\nContent-Length: 0\r\n"), "")
    }));
    let folded_close = ok("Connection: x,\r\n close\r\nContent-Length: 0\r\n", "");
    all.push(Case::new("A11", "close in a folded Connection", folded_close, "200 close"));
    all.extend(each(
        "A11",
        [
            "Content-Length:\r\n¦ 0\r\n",
            "Content-Length: 0\r\n \r\n¦",
            "content-length: 1,\r\n¦ 1\r\n",
            "Transfer-Encoding:\r\n chunked\r\n¦",
            "Transfer-Encoding: gzip,\r\n\tchunked\r\n¦",
        ],
        "parse",
        |field| ok(field, ""),
    ));
    all.push(Case::new("A12", "one", format!("\r\n{GOOD}"), "200 body=2"));
    all.push(Case::new("A12", "two", format!("\r\n\r¦\n{GOOD}"), "parse"));
    all.push(Case::new("A12", "half of one", format!("\rH¦{}", &GOOD[1..]), "parse"));
    all
}

/// A head of exactly `head_bytes`, with a length of 0.
fn padded_head(head_bytes: usize) -> String {
    let bare = ok("Content-Length: 0\r\nX: \r\n", "");
    ok(&format!("Content-Length: 0\r\nX: {}\r\n", "x".repeat(head_bytes - bare.len())), "")
}

/// The mark of stray bytes, put behind the byte that goes over the bound.
fn over(raw: &str) -> String {
    let (left, right) = raw.split_at(HEAD_BYTES_MAX + 1);
    format!("{left}¦{right}")
}

fn limits() -> Vec<Case> {
    let fields = |count: usize| ok(&("X: y\r\n".repeat(count - 1) + "Content-Length: 0\r\n"), "");
    let start = "HTTP/1.1 200 OK\r\nX: ";
    let endless = format!("{start}{}", "x".repeat(1 << 20));
    vec![
        Case::new("A13", "a head of 64 KiB", padded_head(HEAD_BYTES_MAX), "200"),
        Case::new("A13", "a byte more", over(&padded_head(HEAD_BYTES_MAX + 1)), "limit"),
        Case::new("A13", "1000 fields", fields(FIELDS_MAX), "200"),
        Case::new("A13", "1001 fields", fields(FIELDS_MAX + 1), "limit"),
        Case::new("A13", "one line of 1 MiB", over(&endless), "limit"),
        Case::new("A13", "the reason is 1 MiB", over(&endless.replace("\r\nX: ", "")), "limit"),
    ]
}
