//! Family B: the chunked coding.

use super::{Case, Step, chunked, each};

/// Bounds that users are promised.
const LINE_BYTES_MAX: usize = 4 * 1024;
const HEAD_BYTES_MAX: usize = 64 * 1024;
const FIELDS_MAX: usize = 1000;

pub(super) fn cases() -> Vec<Case> {
    let mut all = sizes();
    all.extend(extensions());
    all.extend(line_ends_and_trailers());
    all.extend(ends());
    all
}

fn sizes() -> Vec<Case> {
    let mut all = Vec::new();
    for (raw, body) in [
        ("5\r\nhello\r\n0\r\n\r\n", 5),
        ("1\r\nh\r\n0000004\r\nello\r\n000\r\n\r\n", 5),
        ("a\r\n0123456789\r\n0\r\n\r\n", 10),
        ("A\r\n0123456789\r\n0\r\n\r\n", 10),
        ("0000000000000002\r\nok\r\n0\r\n\r\n", 2),
    ] {
        all.push(Case::new("B13", &format!("{raw:?}"), chunked(raw), &format!("200 body={body}")));
    }
    let rest = "\r\nhello\r\n0\r\n\r\n";
    all.extend(each(
        "B13",
        ["0x¦5", "+¦5", "-¦5", "5_¦0", " ¦5", "5 ¦", "5\t¦", "g¦", ";¦x"],
        "parse",
        |size| chunked(&format!("{size}{rest}")),
    ));
    all.push(Case::new("B13", "no size", chunked("\r¦\nhello\r\n"), "parse"));
    all.extend(each(
        "B14",
        ["00000000000000005¦", "10000000000000000¦", "fffffffffffffffff¦"],
        "parse",
        |size| chunked(&format!("{size}{rest}")),
    ));
    let most = Case::new("B14", "2^64 - 1", chunked("ffffffffffffffff\r\nok"), "eof_body body=2");
    all.push(most.then([Step::Fin]));
    all
}

fn extensions() -> Vec<Case> {
    let fine = [
        ";a",
        ";a=b",
        ";a=\"b\"",
        ";a=\"b;\\\"c\\\\\"",
        "; a = b ; c",
        ";a;b=c;d=\"\"",
        ";a=\"\u{e9}\"",
        ";a=b \t",
    ];
    let mut all = each("B15", fine, "200 body=2", |extension| {
        chunked(&format!("2{extension}\r\nok\r\n0{extension}\r\n\r\n"))
    });
    all.extend(each(
        "B15",
        [
            ";a=\"b\r¦",
            ";a=b\"¦",
            ";a\"¦",
            ";\r¦",
            ";=¦b",
            ";a=\r¦",
            ";a b¦",
            ";a=\"b\\\r¦",
            ";a=\"b\"c¦",
            ";\u{1}¦",
            ";a\n¦",
        ],
        "parse",
        |extension| {
            // Where the line's end is what is refused, half of it stands before the mark.
            let end = if extension.contains('\r') { "\n" } else { "\r\n" };
            chunked(&format!("2{extension}{end}ok\r\n0\r\n\r\n"))
        },
    ));
    let long = "x".repeat(LINE_BYTES_MAX - 2);
    all.push(Case::new(
        "B15",
        "a line of 4 KiB",
        chunked(&format!("2;{long}\r\nok\r\n0\r\n\r\n")),
        "200 body=2",
    ));
    all.push(Case::new(
        "B15",
        "a byte more",
        chunked(&format!("2;{long}x¦\r\nok\r\n0\r\n\r\n")),
        "limit",
    ));
    // 64 KiB of framing are free and 16 bytes for each of the body: the 17th such line is too much.
    let line = format!("1;{}\r\n", "x".repeat(4000));
    let flood = format!(
        "{}{line}¦x\r\n{}",
        format!("{line}x\r\n").repeat(16),
        format!("{line}x\r\n").repeat(40)
    );
    all.push(Case::new("B17", "huge extensions", chunked(&flood), "limit body=16"));
    let small = format!("{}0\r\n\r\n", "1\r\nx\r\n".repeat(20_000));
    all.push(Case::new("B17", "one-byte chunks alone are fine", chunked(&small), "200 body=20000"));
    all
}

fn line_ends_and_trailers() -> Vec<Case> {
    let mut all = Vec::new();
    for (raw, body) in [
        ("2\n¦ok\r\n0\r\n\r\n", 0),
        ("2\r\nok\n¦0\r\n\r\n", 2),
        ("2\r\nok0¦\r\n\r\n", 2),
        ("2\r\nok\r0¦\r\n\r\n", 2),
        ("2\rX¦ok\r\n0\r\n\r\n", 0),
        ("0\r\n\n", 0),
        ("0\r\n\rX", 0),
    ] {
        let what = format!("{:?}", raw.replace('¦', ""));
        all.push(Case::new("B16", &what, chunked(raw), &format!("parse body={body}")));
    }
    let trailers = "Content-Length: 9\r\nTransfer-Encoding: x\r\nX:\r\n folded\r\n";
    all.push(Case::new(
        "B18",
        "ignored",
        chunked(&format!("2\r\nok\r\n0\r\n{trailers}\r\n")),
        "200 body=2",
    ));
    all.extend(each(
        "B18",
        ["X: y\n¦\r\n", "no ¦colon\r\n\r\n", " ¦folded\r\n\r\n", ":¦ x\r\n\r\n", "X: \0¦\r\n\r\n"],
        "parse",
        |trailer| chunked(&format!("0\r\n{trailer}")),
    ));
    let long = format!("X: {}", "x".repeat(HEAD_BYTES_MAX - 3));
    all.push(Case::new(
        "B18",
        "64 KiB and a byte",
        chunked(&format!("0\r\n{long}x¦\r\n\r\n")),
        "limit",
    ));
    let most = "X: y\r\n".repeat(FIELDS_MAX);
    all.push(Case::new("B18", "1000 fields", chunked(&format!("0\r\n{most}\r\n")), "200"));
    all.push(Case::new(
        "B18",
        "1001 fields",
        chunked(&format!("0\r\n{most}X¦: y\r\n\r\n")),
        "limit",
    ));
    all
}

fn ends() -> Vec<Case> {
    let mut all = Vec::new();
    for (raw, body) in [
        ("", 0),
        ("5", 0),
        ("5\r\nhel", 3),
        ("5\r\nhello", 5),
        ("5\r\nhello\r\n", 5),
        ("0\r\n", 0),
        ("0\r\n\r", 0),
        ("0\r\nX: y\r\n", 0),
    ] {
        let expected = format!("eof_body body={body}");
        all.push(Case::new("B19", &format!("{raw:?}"), chunked(raw), &expected).then([Step::Fin]));
    }
    let late = |bytes: &str| [Step::Pause(20), Step::Send(bytes.into())];
    all.extend([
        Case::new("B20", "the last line end", chunked("2\r\nok\r\n0\r\n"), "200 body=2")
            .then(late("\r\n")),
        Case::new("B20", "half of it", chunked("2\r\nok\r\n0\r\n\r"), "200 body=2")
            .then(late("\n")),
        Case::new("B20", "never", chunked("2\r\nok\r\n0\r\n"), "timeout body=2").times_out(),
    ]);
    all
}
