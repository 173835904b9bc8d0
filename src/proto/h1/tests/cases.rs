//! The table of verdicts: heads, body framing, pipelining.

use super::{Asked, GOOD, HEAD, check, check_asked, chunked, gets, ok};

const PARSE: &str = "| Parse";

#[test]
fn garbage_is_refused_at_the_first_byte_that_proves_it() {
    check("HTP/1.1 200 OK\r\n\r\n", "| Parse Stray=15");
    check("<html>hello</html>", "| Parse Stray=17");
    check("\0", PARSE);
    check("\nHTTP/1.1 200 OK\r\n\r\n", "| Parse Stray=19");
    check("http/1.1 200 OK\r\n\r\n", "| Parse Stray=18");
}

#[test]
fn only_versions_1_0_and_1_1_are_understood() {
    check("HTTP/1.2 200 OK\r\n\r\n", "| Parse Stray=11");
    check("HTTP/2.0 200 OK\r\n\r\n", "| Parse Stray=13");
    check("HTTP/11.1 200 OK\r\n\r\n", "| Parse Stray=13");
    check("HTTP/01.1 200 OK\r\n\r\n", "| Parse Stray=14");
    check("HTTP/1.01 200 OK\r\n\r\n", "| Parse Stray=11");
    check("HTTP/1.1\t200 OK\r\n\r\n", "| Parse Stray=10");
    check("HTTP/1.1\r\n\r\n", "| Parse Stray=3");
    check("HTTP/1.0 200 OK\r\n\r\nhi", "200 | Keep Clean Body=2");
}

#[test]
fn a_status_is_three_digits_from_100_up() {
    let digits = "2".repeat(100);
    for status in ["2", "20", "2000", &digits, "-20", "-200", "000", "099", "2x0", "", "+20"] {
        let raw = format!("HTTP/1.1 {status} OK\r\nContent-Length: 0\r\n\r\n");
        check(raw, "| Parse Stray=21");
    }
    for status in ["200", "404", "600", "999"] {
        let raw = format!("HTTP/1.1 {status} OK\r\nContent-Length: 0\r\n\r\n");
        check(raw, &format!("{status} | Keep Clean"));
    }
}

#[test]
fn the_reason_is_optional_and_free_text() {
    for reason in ["", " ", " OK", " Not Found", " a\tb", " \u{e9}t\u{e9}", " \u{2603}"] {
        let raw = format!("HTTP/1.1 200{reason}\r\nContent-Length: 0\r\n\r\n");
        check(raw, "200 | Keep Clean");
    }
    check(b"HTTP/1.1 200 \xff\xfe\r\nContent-Length: 0\r\n\r\n", "200 | Keep Clean");
}

#[test]
fn status_line_delimiters_are_single_spaces() {
    for line in [
        "HTTP/1.1 200  OK",
        "HTTP/1.1 200 \tOK",
        "HTTP/1.1 200\tOK",
        "HTTP/1.1  200 OK",
        "HTTP/1.1 200  ",
        "HTTP/1.1 \t200 OK",
    ] {
        check(format!("{line}\r\nContent-Length: 0\r\n\r\n"), "| Parse Stray=21");
    }
}

#[test]
fn bare_lf_is_a_line_end_in_heads_and_noticed_once_per_head() {
    check("HTTP/1.1 200 OK\nContent-Length: 2\n\nok", "BareLf 200 | Keep Clean Body=2");
    check("HTTP/1.1 200 OK\r\nContent-Length: 2\n\r\nok", "BareLf 200 | Keep Clean Body=2");
    check("HTTP/1.1 204\n\n", "BareLf 204 | Keep Clean");
    let interim = "HTTP/1.1 100 Continue\n\n";
    check(format!("{interim}HTTP/1.1 204\r\n\r\n"), "BareLf Interim 204 | Keep Clean Interim=23");
}

#[test]
fn control_bytes_in_a_head_are_refused_where_they_stand() {
    check("HTTP/1.1 200 OK\rX: y\r\n\r\n", "| Parse Stray=7");
    check("HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n", "| Parse Stray=4");
    check("HTTP/1.1 200 OK\r\n\rX: y\r\n\r\n", "| Parse Stray=7");
    check("HTTP/1.1 200 OK\r\r\n\r\n", "| Parse Stray=3");
    for byte in (0..0x20).chain([0x7f]).filter(|byte| !b"\t\r\n".contains(byte)) {
        let byte = char::from(byte);
        check(ok(&format!("X: a{byte}b\r\n"), ""), "| Parse Stray=5");
        check(ok(&format!("X{byte}: b\r\n"), ""), "| Parse Stray=7");
        check(format!("HTTP/1.1 200 O{byte}\r\n\r\n"), "| Parse Stray=4");
    }
}

#[test]
fn malformed_field_lines_are_refused_where_they_end() {
    for line in ["no colon", ": empty name", "X : y", "X\t: y", "a b: c", "\u{e9}: x", "(x): y"] {
        check(ok(&format!("{line}\r\n"), ""), "| Parse Stray=2");
        check(format!("HTTP/1.1 200 OK\nX: y\n{line}\n"), PARSE);
    }
    check("HTTP/1.1 200 OK\r\n X: y\r\n\r\n", "| Parse Stray=2");
    check("HTTP/1.1 200 OK\r\nno colon", "| Keep BeforeHead");
    check(ok("X:\r\nContent-Length: 0\r\n", ""), "200 | Keep Clean");
    check(ok("X:y\r\nContent-Length:0\r\n", ""), "200 | Keep Clean");
}

#[test]
fn folded_lines_go_on_but_not_in_framing_fields() {
    check(ok("X: a\r\n b\r\nContent-Length: 0\r\n", ""), "200 | Keep Clean");
    check(ok("X:\r\n\tb\r\n \r\nContent-Length: 0\r\n", ""), "200 | Keep Clean");
    check(ok("Connection: x,\r\n close\r\nContent-Length: 0\r\n", ""), "200 | Close Clean");
    for name in ["Content-Length", "content-length"] {
        check(ok(&format!("{name}:\r\n 0\r\n"), ""), "| Parse Stray=6");
        check(ok(&format!("{name}: 0\r\n \r\n"), ""), "| Parse Stray=2");
        check(ok(&format!("{name}: 1,\r\n 1\r\n"), ""), "| Parse Stray=6");
        check(ok(&format!("{name}: 0\n\t\r\nX: y\r\n"), ""), "| Parse Stray=8");
    }
    check(ok("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"), "| Parse Stray=7");
    check(ok("Transfer-Encoding: chunked\r\n \r\n", "0\r\n\r\n"), "| Parse Stray=7");
}

#[test]
fn one_stray_line_end_before_a_status_line_is_accepted() {
    let good = String::from_utf8_lossy(GOOD);
    check(format!("\r\n{good}"), "200 | Keep Clean Body=2");
    check_asked(gets(2), format!("{good}\r\n{good}"), "200*2 | Keep Clean Body=4");
    check(format!("\r\n\r\n{good}"), "| Parse Stray=41");
    check(format!("\r{good}"), "| Parse Stray=39");
}

#[test]
fn lengths_are_digits_and_agree() {
    check(ok("Content-Length: 5\r\n", "hello"), "200 | Keep Clean Body=5");
    check(ok("content-LENGTH: \t005 \t\r\n", "hello"), "200 | Keep Clean Body=5");
    check(ok("Content-Length: 5,5\r\n", "hello"), "200 | Keep Clean Body=5");
    check(ok("Content-Length: 5 , 5\r\n", "hello"), "200 | Keep Clean Body=5");
    let twice = "Content-Length: 5\r\nContent-Length: 5\r\n";
    check(ok(twice, "hello"), "200 | Keep Clean Body=5");
    for value in [
        "-1",
        "+5",
        "0x20",
        "42s",
        "",
        " ",
        "030,30",
        "5,6",
        "5,",
        ",5",
        "5 5",
        "5;q",
        "\"5\"",
        "5_0",
        "5.0",
        "1e3",
        "9223372036854775808",
        "9223372036854775809",
        "18446744073709551615",
        "18446744073709551616",
        "18446744073709551621",
        "99999999999999999999999999999999999999999",
    ] {
        check(ok(&format!("Content-Length: {value}\r\n"), ""), "| Parse Stray=2");
    }
    check(ok("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"), "| Parse Stray=7");
    check(ok("Content-Length: 5\r\nContent-Length: 05\r\n", "hello"), "| Parse Stray=7");
    check(ok("Content-Length: 5\r\nX: y\r\nContent-Length: 5,6\r\n", ""), "| Parse Stray=2");
    check(ok("Content-Length: 9223372036854775807\r\n", "x"), "| Keep InBody Body=1");
}

#[test]
fn a_stream_that_ends_early_says_where() {
    check("", "| Keep BeforeHead");
    check("HTTP/1.1 200 OK\r\nContent-", "| Keep BeforeHead");
    check("HTTP/1.1 100 Continue\r\n\r\n", "Interim | Keep BeforeHead Interim=25");
    check(ok("Content-Length: 5\r\n", "hell"), "| Keep InBody Body=4");
    check(ok("Content-Length: 5\r\n", ""), "| Keep InBody");
    check(chunked("5\r\nhel"), "| Keep InBody Body=3 Framing=3");
    check(chunked("5\r\nhello\r\n"), "| Keep InBody Body=5 Framing=5");
    check(chunked("0\r\n"), "| Keep InBody Framing=3");
    check(chunked("0\r\n\r"), "| Keep InBody Framing=4");
}

#[test]
fn bytes_nobody_asked_for_close_and_never_complete() {
    check(ok("Content-Length: 2\r\n", "okmore"), "200 Unsolicited | Close Clean Body=2 Stray=4");
    check(ok("Content-Length: 2\r\n", "ok\r\n"), "200 Unsolicited | Close Clean Body=2 Stray=2");
    let good = String::from_utf8_lossy(GOOD);
    let twice = format!("{good}{good}");
    check(&twice, "200 Unsolicited | Close Clean Body=2 Stray=40");
    check_asked(gets(0), GOOD, "Unsolicited | Close Clean Stray=40");
    let closing = ok("Connection: close\r\nContent-Length: 0\r\n", &good);
    check_asked(gets(2), closing, "200 Unsolicited | Close Clean Stray=40 cut_off=1");
}

#[test]
fn chunked_wins_over_a_length_and_ends_the_connection() {
    let body = "2\r\nok\r\n0\r\n\r\n";
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    ] {
        let expected = "LengthAndChunked 200 | Close Clean Body=2 Framing=10";
        check(ok(fields, body), expected);
    }
    let bad = ok("Transfer-Encoding: chunked\r\nContent-Length: x\r\n", body);
    check(bad, "| Parse Stray=14");
}

#[test]
fn chunked_in_http_1_0_is_read_and_ends_the_connection() {
    check(
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "ChunkedInHttp10 200 | Close Clean Framing=5",
    );
}

#[test]
fn transfer_codings_are_compared_whole() {
    for value in [
        "chunked",
        "CHUNKED",
        "Chunked ",
        "gzip, chunked",
        "gzip,chunked",
        ", chunked",
        "chunked,",
        ",,gzip ,, chunked ,",
        "x;a=\"b,c\", chunked",
        "x;a=\"b\\\",c\", chunked",
    ] {
        let raw = ok(&format!("Transfer-Encoding: {value}\r\n"), "2\r\nok\r\n0\r\n\r\n");
        check(raw, "200 | Keep Clean Body=2 Framing=10");
    }
    let two_fields = "Transfer-Encoding: gzip\r\ntransfer-encoding: chunked\r\n";
    check(ok(two_fields, "0\r\n\r\n"), "200 | Keep Clean Framing=5");
    for value in [
        "chunkedchunked",
        "xchunked",
        "chunkedx",
        "gzip",
        "chunked, identity",
        "chunked, gzip",
        "identity",
        "",
        ",",
        "x;a=\"b, chunked\"",
        "chunke",
        "x;chunked",
    ] {
        let raw = ok(&format!("Transfer-Encoding: {value}\r\n"), "0\r\n\r\n");
        check(raw, "200 | Keep Clean Body=5");
    }
    for value in
        ["chunked, chunked", "chunked;x=1", "chunked gzip", "gzip;a=\"b, chunked", "\"chunked\""]
    {
        check(ok(&format!("Transfer-Encoding: {value}\r\n"), "0\r\n\r\n"), "| Parse Stray=7");
    }
}

#[test]
fn chunk_sizes_are_hexadecimal_digits_only() {
    check(chunked("5\r\nhello\r\n0\r\n\r\n"), "200 | Keep Clean Body=5 Framing=10");
    check(
        chunked("1\r\nh\r\n0000004\r\nello\r\n000\r\n\r\n"),
        "200 | Keep Clean Body=5 Framing=23",
    );
    check(chunked("a\r\n0123456789\r\n0\r\n\r\n"), "200 | Keep Clean Body=10 Framing=10");
    check(chunked("A\r\n0123456789\r\n0\r\n\r\n"), "200 | Keep Clean Body=10 Framing=10");
    check(chunked("0000000000000002\r\nok\r\n0\r\n\r\n"), "200 | Keep Clean Body=2 Framing=25");
    check(chunked("ffffffffffffffff\r\nok"), "| Keep InBody Body=2 Framing=18");
    for (size, framing) in [
        ("0x5", 2),
        ("+5", 1),
        ("-5", 1),
        ("5_0", 2),
        (" 5", 1),
        ("5 ", 2),
        ("5\t", 2),
        ("g", 1),
        ("", 1),
        (";x", 1),
        ("00000000000000005", 17),
        ("10000000000000000", 17),
        ("5\u{e9}", 2),
    ] {
        let raw = chunked(&format!("{size}\r\nhello\r\n0\r\n\r\n"));
        let stray = size.len() + 14 - framing;
        check(raw, &format!("| Parse Framing={framing} Stray={stray}"));
    }
}

#[test]
fn chunk_extensions_are_ignored_when_well_formed() {
    for extension in [
        ";a",
        ";a=b",
        ";a=\"b\"",
        ";a=\"b;\\\"c\\\\\"",
        "; a = b ; c",
        ";a;b=c;d=\"\"",
        ";a=\"\u{e9}\"",
        ";a=b \t",
    ] {
        let raw = chunked(&format!("2{extension}\r\nok\r\n0{extension}\r\n\r\n"));
        let framing = 10 + 2 * extension.len();
        check(raw, &format!("200 | Keep Clean Body=2 Framing={framing}"));
    }
    // With each, how many of its bytes are fine before the one that is refused.
    for (extension, fine) in [
        (";a=\"b", 5),
        (";a=b\"", 4),
        (";a\"", 2),
        (";", 1),
        (";=b", 1),
        (";a=", 3),
        (";a b", 3),
        (";a=\"b\\", 6),
        (";a=\"b\"c", 6),
        (";\u{1}", 1),
        (";a\n", 2),
    ] {
        let raw = chunked(&format!("2{extension}\r\nok\r\n0\r\n\r\n"));
        let framing = 2 + fine;
        let stray = 12 + extension.len() - framing;
        check(raw, &format!("| Parse Framing={framing} Stray={stray}"));
    }
}

#[test]
fn line_ends_around_chunks_are_strict() {
    check(chunked("2\nok\r\n0\r\n\r\n"), "| Parse Framing=2 Stray=9");
    check(chunked("2\r\nok\n0\r\n\r\n"), "| Parse Body=2 Framing=4 Stray=5");
    check(chunked("2\r\nok0\r\n\r\n"), "| Parse Body=2 Framing=4 Stray=4");
    check(chunked("2\r\nok\r0\r\n\r\n"), "| Parse Body=2 Framing=5 Stray=4");
    check(chunked("2\rXok\r\n0\r\n\r\n"), "| Parse Framing=3 Stray=9");
    check(chunked("0\r\n\n"), "| Parse Framing=4");
    check(chunked("0\r\n\rX"), "| Parse Framing=5");
}

#[test]
fn trailers_are_checked_and_ignored() {
    let trailers = "Content-Length: 9\r\nTransfer-Encoding: x\r\nX:\r\n folded\r\n";
    let framing = 5 + trailers.len();
    let raw = chunked(&format!("0\r\n{trailers}\r\n"));
    check(raw, &format!("200 | Keep Clean Framing={framing}"));
    check(chunked("0\r\nX: y\n\r\n"), "| Parse Framing=8 Stray=2");
    check(chunked("0\r\nno colon\r\n\r\n"), "| Parse Framing=6 Stray=9");
    check(chunked("0\r\n folded\r\n\r\n"), "| Parse Framing=4 Stray=10");
    check(chunked("0\r\n: x\r\n\r\n"), "| Parse Framing=4 Stray=6");
    check(chunked("0\r\nX: \0\r\n\r\n"), "| Parse Framing=7 Stray=4");
}

#[test]
fn without_framing_the_end_of_the_stream_completes() {
    check(ok("", "hello"), "200 | Keep Clean Body=5");
    check(ok("", ""), "200 | Keep Clean");
    let good = String::from_utf8_lossy(GOOD);
    check_asked(gets(3), ok("", &good), "200 | Keep Clean Body=40 cut_off=2");
}

#[test]
fn answers_that_never_have_a_body() {
    for status in [204, 304] {
        let raw = format!("HTTP/1.1 {status} X\r\nContent-Length: 5\r\n\r\n");
        check(&raw, &format!("{status} | Keep Clean"));
        let sent = format!("{raw}hello");
        check(sent, &format!("{status} Unsolicited | Close Clean Stray=5"));
        let bare = format!("HTTP/1.1 {status} X\r\n\r\n");
        check(bare, &format!("{status} | Keep Clean"));
    }
    check("HTTP/1.1 304 X\r\nTransfer-Encoding: chunked\r\n\r\n", "304 | Keep Clean");
    check_asked(HEAD, ok("Content-Length: 5\r\n", ""), "200 | Keep Clean");
    check_asked(HEAD, ok("", ""), "200 | Keep Clean");
    check_asked(HEAD, chunked(""), "200 | Keep Clean");
    let with_body = ok("Content-Length: 5\r\n", "hello");
    check_asked(HEAD, with_body, "200 Unsolicited | Close Clean Stray=5");
    check("HTTP/1.1 205 X\r\nContent-Length: 0\r\n\r\n", "205 | Keep Clean");
}

#[test]
fn interim_responses_are_skipped_up_to_a_bound() {
    let good = String::from_utf8_lossy(GOOD);
    let one = "HTTP/1.1 103 Early Hints\r\nLink: x\r\nContent-Length: 7\r\n\r\n";
    check(format!("{one}{good}"), "Interim 200 | Keep Clean Body=2 Interim=56");
    let hundred = "HTTP/1.1 100 \r\n\r\n";
    let mix = format!("{hundred}HTTP/1.1 102 P\r\n\r\n{hundred}{good}");
    check(mix, "Interim*3 200 | Keep Clean Body=2 Interim=52");
    let most = hundred.repeat(32);
    check(format!("{most}{good}"), "Interim*32 200 | Keep Clean Body=2 Interim=544");
    check(format!("{most}{hundred}{good}"), "Interim*32 | Limit Interim=544 Stray=40");
    let per_answer = format!("{most}{good}");
    check_asked(
        gets(2),
        per_answer.repeat(2),
        "Interim*32 200 Interim*32 200 | Keep Clean Body=4 Interim=1088",
    );
    check("HTTP/1.1 101 Switching\r\n\r\nxyz", "| Parse Stray=5");
    check("HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\n\r\n", "| Parse Stray=16");
}

#[test]
fn the_connection_lives_on_as_version_and_connection_say() {
    let cases = [
        ("1.1", "", "Keep"),
        ("1.1", "Connection: keep-alive\r\n", "Keep"),
        ("1.1", "Connection: close\r\n", "Close"),
        ("1.1", "CONNECTION: Close\r\n", "Close"),
        ("1.1", "Connection: x, close ,y\r\n", "Close"),
        ("1.1", "Connection: x\r\nConnection: close\r\n", "Close"),
        ("1.1", "Connection: keep-alive, close\r\n", "Close"),
        ("1.1", "Connection: closed\r\n", "Keep"),
        ("1.1", "Proxy-Connection: close\r\n", "Keep"),
        ("1.0", "", "Close"),
        ("1.0", "Connection: Keep-Alive\r\n", "Keep"),
        ("1.0", "Connection: keep-alive, close\r\n", "Close"),
        ("1.0", "Connection: x,keep-alive\r\n", "Keep"),
    ];
    for (version, field, flow) in cases {
        let raw = format!("HTTP/{version} 200 OK\r\n{field}Content-Length: 2\r\n\r\nok");
        check(raw, &format!("200 | {flow} Clean Body=2"));
    }
}

#[test]
fn pipelined_answers_are_told_apart() {
    let good = String::from_utf8_lossy(GOOD);
    check_asked(gets(5), good.repeat(5), "200*5 | Keep Clean Body=10");
    check_asked(gets(5), good.repeat(3), "200*3 | Keep BeforeHead Body=6 cut_off=1");
    let no = "HTTP/1.1 404 No\r\nContent-Length: 3\r\n\r\nno!";
    let mix = format!("{good}{good}{no}{}{no}", chunked("1\r\nx\r\n0\r\n\r\n"));
    check_asked(gets(5), mix, "200*2 404 200 404 | Keep Clean Body=11 Framing=10");
    let last = ok("Connection: close\r\nContent-Length: 0\r\n", "");
    check_asked(gets(4), format!("{good}{last}"), "200*2 | Close Clean Body=2 cut_off=2");
    check_asked(gets(3), format!("{good}HTP{good}"), "200 | Parse Body=2 Stray=40 cut_off=1");
    check_asked(gets(2), good.repeat(3), "200*2 Unsolicited | Close Clean Body=4 Stray=40");
}

#[test]
fn a_head_of_a_get_is_not_reused_for_a_head_request() {
    let mut memo = super::Memo::new();
    let with_body = ok("Content-Length: 5\r\n", "hello");
    let (head, _) = with_body.split_at(with_body.len() - 5);
    let get = Asked { count: 1, head_request: false };
    for _ in 0..2 {
        let outcome = super::drive(get, [with_body.as_bytes()], &mut memo);
        assert_eq!(outcome.to_string(), "200 | Keep Clean Body=5");
        let outcome = super::drive(HEAD, [head.as_bytes()], &mut memo);
        assert_eq!(outcome.to_string(), "200 | Keep Clean");
    }
}
