//! Family D: how connections end and stall.

use super::{Case, Delivery, GOOD, Step, chunked, ok};

/// A head, a body with a length and one in chunks, trailers: something of everything.
fn varied() -> String {
    let first = ok("X: y\r\n z\r\nContent-Length: 11\r\n", "hello world");
    let second = chunked("b;x=\"y\"\r\nhello world\r\n1\r\n!\r\n0\r\nA: b\r\n\r\n");
    format!("{first}HTTP/1.1 100 \r\n\r\n{second}")
}

pub(super) fn cases() -> Vec<Case> {
    let drip = |bytes: &str, pause_ms| {
        let pieces = bytes.bytes().map(|byte| [Step::Pause(pause_ms), Step::Send(vec![byte])]);
        pieces.flatten().collect::<Vec<_>>()
    };
    let half_open = ok("Content-Length: 5\r\n", "he");
    let mut all = vec![
        Case::new("D5", "alone", "", "eof").then([Step::Fin]),
        Case::new("D5", "inside the head", "HTTP/1.1 200 OK\r\nContent-", "eof").then([Step::Fin]),
        Case::new("D6", "at once", "", "reset").then([Step::Rst]),
        Case::new("D6", "inside the head", "HTTP/1.1 200 OK\r\nContent-", "reset")
            .then([Step::Gap, Step::Rst]),
        Case::new("D6", "inside the body", &half_open, "reset body=2").then([Step::Gap, Step::Rst]),
        Case::new("D7", "right after", GOOD, "200 body=2").then([Step::Gap, Step::Fin]),
        Case::new("D9", "no answer", "", "timeout").times_out(),
        Case::new("D9", "no answer to four", "", "timeout cut_off*3").depth(4).times_out(),
        Case::new("D9", "inside the head", "HTTP/1.1 200 OK\r\nContent-", "timeout").times_out(),
        Case::new("D9", "inside the body", &half_open, "timeout body=2").times_out(),
        // What waits in the kernel when the time is over was never received: a client that waits for
        // much of a body counts less of it than came to this machine, over sockets.
        Case::new(
            "D9",
            "inside a large body",
            ok("Content-Length: 1000000\r\n", ""),
            "timeout body=500000",
        )
        .then([Step::Fill(500_000)])
        .times_out(),
        Case::new("D10", "a whole answer", "", "200")
            .then(drip("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 10)),
        Case::new("D10", "too slow", "", "timeout").then(drip(&GOOD[..37], 30)).times_out(),
        Case::new(
            "D12",
            "a length",
            ok("Content-Length: 100000000000\r\n", ""),
            "timeout body=20480",
        )
        .then((0..20).flat_map(|_| [Step::Fill(1024), Step::Pause(5)]))
        .times_out(),
        Case::new("D12", "no length", ok("", ""), "timeout body=20480")
            .then((0..20).flat_map(|_| [Step::Fill(1024), Step::Pause(5)]))
            .times_out(),
        Case::new("D13", "a length", GOOD, "200 body=2").then([Step::Fin]),
        Case::new("D13", "four answers", GOOD.repeat(4), "200*4 body=8").depth(4).then([Step::Fin]),
        Case::new("D13", "chunked", chunked("2\r\nok\r\n0\r\n\r\n"), "200 body=2")
            .then([Step::Fin]),
    ];
    for piece_bytes in 1..=64 {
        let case = Case::new(
            "D11",
            &format!("pieces of {piece_bytes}"),
            varied(),
            "200*2 body=23 interim",
        )
        .depth(2);
        let steps = case.delivered(Delivery::Pieces(piece_bytes));
        all.push(Case { steps, ..case });
    }
    all
}

pub(super) fn elsewhere() -> Vec<(&'static str, &'static str)> {
    vec![
        (
            "D1",
            "tests/process/faults_connections.rs: `d1_a_server_that_stays_dead_costs_pauses_that_grow_and_next_to_no_cpu`; \
             the bar itself is held by scripts/faults-bars",
        ),
        (
            "D2",
            "tests/process/faults_connections.rs: `d2_a_server_killed_and_started_again_gets_all_its_connections_back`; \
             the bar itself is held by scripts/faults-bars",
        ),
        (
            "D3",
            "tests/process/hostile.rs: `an_attempt_that_is_dropped_ends_in_time`; in `sim`: `Listener::Blackhole`",
        ),
        ("D4", "tests/process/hostile.rs: `an_attempt_that_is_repeated_delays_no_request`"),
        (
            "D6",
            "as it is accepted: tests/process/hostile.rs: `a_connection_reset_as_it_is_accepted_is_replaced`",
        ),
        (
            "D9",
            "tests/process/faults_connections.rs: \
             `d9_a_peer_that_reads_nothing_of_an_upload_times_out_each_request_once`",
        ),
        (
            "D11",
            "segments and buffers: tests/process/faults_connections.rs: \
             `d11_the_smallest_segments_and_buffers_change_no_count`; the reads of every size are cases",
        ),
        (
            "D12",
            "really endless: tests/process/hostile.rs: `an_answer_without_an_end_ends_with_the_run`",
        ),
        (
            "D8",
            "tests/process/faults_connections.rs: `d8_a_request_that_races_the_end_of_its_connection_fails_by_a_cause_of_that_race`; \
             tests/process/faults_connections.rs: `d8_an_idle_connection_that_the_server_closes_is_replaced_at_once_and_fails_nothing`",
        ),
        (
            "D14",
            "tests/process/faults_connections.rs: `d14_without_a_free_port_it_is_this_machine_that_is_named_and_it_is_not_hurried`",
        ),
        (
            "D15",
            "tests/process/faults_connections.rs: `d15_descriptors_that_run_out_in_the_run_stop_nobody_and_are_named`; \
             that all files of the machine are in use (ENFILE) is the machine's to suffer, and \
             takes the same way: an error of socket(2) is `local`",
        ),
        (
            "D16",
            "tests/process/faults_connections.rs: `d16_a_network_that_leads_nowhere_is_named`; `sim` has a listener \
             that is unreachable",
        ),
        (
            "D17",
            "src/worker/tests/catalogue.rs: `late_completions_of_earlier_connections_are_dropped`; \
             src/conn/tests.rs: `late_completions_give_their_bytes_back_and_change_nothing`",
        ),
        (
            "D18",
            "tests/process/faults_connections.rs: `d18_thousands_of_connections_are_opened_in_time`; \
             tests/process/faults_connections.rs: `d18_attempts_keep_to_the_rate_that_was_asked_for`; more than an \
             address has ports end as D14",
        ),
        (
            "D19",
            "needs raw sockets or minutes of silence; the kernel reports both as an error of the \
             receive, as the resets of B22, C4 and D6 do",
        ),
    ]
}
