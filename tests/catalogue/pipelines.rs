//! Family C: several requests on their way at once.

use super::{Case, GOOD, LARGE, Step, chunked, large, ok};

pub(super) fn cases() -> Vec<Case> {
    let no = "HTTP/1.1 404 No\r\nContent-Length: 3\r\n\r\nno!";
    let mix = format!("{GOOD}{GOOD}{no}{}{no}", chunked("1\r\nx\r\n0\r\n\r\n"));
    let last = ok("Connection: close\r\nContent-Length: 0\r\n", "");
    let bare = |status: u16| format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
    let tagged: String = (201..=208).filter(|status| *status != 204).map(bare).collect();
    let spaced = |count: u64| {
        let one = [Step::Pause(10), Step::Send(GOOD.into())];
        std::iter::repeat_n(one, count as usize).flatten()
    };
    let mut all = vec![
        Case::new("C1", "five equal ones", GOOD.repeat(5), "200*5 body=10").depth(5),
        Case::new("C1", "five different ones", mix, "200*3 404*2 body=11").depth(5),
        Case::new(
            "C2",
            "at the second of four",
            format!("{GOOD}{last}"),
            "200*2 body=2 cut_off*2 close",
        )
        .depth(4),
        Case::new("C2", "at the last", format!("{GOOD}{last}"), "200*2 body=2 close").depth(2),
        Case::new(
            "C2",
            "and more behind it",
            format!("{last}¦{GOOD}"),
            "200 cut_off*3 unsolicited close",
        )
        .depth(4),
        Case::new("C2", "new requests are started", &last, "200*3 cut_off*3").depth(2).run(6, 3),
        Case::new("C2", "a body up to the end", ok("", GOOD), "200 body=40 cut_off*2 close")
            .depth(3)
            .then([Step::Fin]),
        Case::new("C3", "after three of five", GOOD.repeat(3), "200*3 body=6 cut_off*2")
            .depth(5)
            .then([Step::Fin]),
        Case::new(
            "C3",
            "inside the third",
            format!("{}{}", GOOD.repeat(2), &GOOD[..39]),
            "200*2 body=5 eof_body cut_off*2",
        )
        .depth(5)
        .then([Step::Fin]),
        Case::new("C3", "before the first", "", "eof cut_off*4").depth(5).then([Step::Fin]),
        Case::new("C4", "after three of five", GOOD.repeat(3), "200*3 body=6 reset cut_off")
            .depth(5)
            .then([Step::Gap, Step::Rst]),
        Case::new("C4", "before the first", "", "reset cut_off*4").depth(5).then([Step::Rst]),
        Case::new(
            "C5",
            "at the second of four",
            format!("{GOOD}HTP¦/1.1 200 OK\r\n\r\n{GOOD}"),
            "200 body=2 parse cut_off*2",
        )
        .depth(4),
        Case::new(
            "C5",
            "a limit",
            format!("{GOOD}{}¦{GOOD}", "HTTP/1.1 100 \r\n\r\n".repeat(33)),
            "200 body=2 interim*32 limit cut_off*2",
        )
        .depth(4),
        Case::new(
            "C6",
            "one",
            format!("{}¦{GOOD}", GOOD.repeat(2)),
            "200*2 body=4 unsolicited close",
        )
        .depth(2),
        Case::new(
            "C6",
            "many",
            format!("{}¦{}", GOOD.repeat(4), GOOD.repeat(4)),
            "200*4 body=8 unsolicited close",
        )
        .depth(4),
        Case::new("C8", "10 ms each", "", "200*4 body=8").depth(4).then(spaced(4)),
        Case::new("C10", "every answer is another", tagged, "201 202 203 205 206 207 208").depth(7),
    ];
    for (what, bytes) in LARGE {
        let answer = large(bytes);
        let raw = format!("{answer}{answer}¦{answer}");
        let expected = format!("200*2 body={} unsolicited close", 2 * bytes);
        all.push(Case::new("C6", &format!("of {what}"), raw, &expected).depth(2));
    }
    all
}

pub(super) fn elsewhere() -> Vec<(&'static str, &'static str)> {
    vec![
        (
            "C7",
            "tests/process/hostile.rs: `a_server_that_reads_a_part_of_a_batch_bounds_what_was_completed`",
        ),
        (
            "C8",
            "the four latencies: src/worker/tests.rs: `pipelined_answers_each_have_their_own_latency`",
        ),
        (
            "C9",
            "tests/process/counts.rs: `a_server_that_ends_connections_leaves_exact_counts_and_the_rest_cut_off`",
        ),
        (
            "C10",
            "order and integrity by tags: tests/process/checks.rs: \
             `pipelined_answers_are_held_against_the_requests_they_answer`; tests/process/checks.rs: \
             `numbered_requests_come_in_once_each_and_in_order_on_every_connection`",
        ),
    ]
}
