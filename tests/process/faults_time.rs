//! Family E of the fault catalogue, and servers that take their time without end, from outside.

use std::thread;
use std::time::{Duration, Instant};

use super::support::Running;
use super::support::bytes::{ByteServer, Step};
use super::support::faults::{
    RUN_MAX, assert_within, at, command, interrupt, on_every_engine, peak_resident_bytes, sound,
};
use super::support::scripted::{Script, Scripted};
use super::support::serve::Serve;

const MS: u64 = 1_000_000;

#[test]
fn e1_a_server_stopped_for_a_second_makes_every_request_of_that_second_late() {
    on_every_engine(|engine| {
        let serve = Serve::start(&[]);
        let line = ["-R", "200", "-d", "3s", "-c", "32", "-T", "20s", "--drain", "20s"];
        let running = Running::start(&mut command(engine, &serve.url(), &line));
        serve.await_requests();
        thread::sleep(Duration::from_millis(300));
        let stopping = Instant::now();
        serve.signal("STOP");
        thread::sleep(Duration::from_secs(1));
        serve.signal("CONT");
        // As long as it was asked for, or more where sleeps and signals take their time.
        let stopped_ns = stopping.elapsed().as_nanos() as u64;
        let report = sound(&running.finish(RUN_MAX), &[0, 4]);
        assert_eq!(at(&report, "/requests/due"), 600);
        assert_eq!(at(&report, "/requests/completed"), 600, "{report}");
        // A third is late by up to a second, evenly. From the actual sends only the connections
        // that had a request under way are: the rest had not left.
        let corrected = |what: &str| at(&report, &format!("/latency/{what}"));
        assert!(corrected("max_ns") >= 900 * MS, "{}", report["latency"]);
        let late_ns = |share: u64| stopped_ns.saturating_sub(3000 * MS * share / 100);
        let p75 = corrected("p75_ns");
        assert!((100 * MS..late_ns(25) + 200 * MS).contains(&p75), "{}", report["latency"]);
        let late = corrected("p90_ns");
        assert!((500 * MS..late_ns(10) + 200 * MS).contains(&late), "{}", report["latency"]);
        let from_send = at(&report, "/service/p90_ns");
        assert!(from_send < late / 2, "{from_send} is not less than {late}");
    });
}

#[test]
fn in_a_closed_loop_a_server_stopped_for_good_is_told_from_one_that_set_the_pace() {
    on_every_engine(|engine| {
        let serve = Serve::start(&[]);
        let line = ["-d", "1800ms", "--drain", "100ms", "-c", "8", "-T", "60s", "--interval", "1h"];
        let running = Running::start(&mut command(engine, &serve.url(), &line));
        serve.await_requests();
        thread::sleep(Duration::from_millis(200));
        serve.signal("STOP");
        let output = running.finish(RUN_MAX);
        serve.signal("CONT");
        let report = sound(&output, &[0]);
        assert_eq!(at(&report, "/silent_end/inflight"), 8);
        assert!(at(&report, "/silent_end/length_ns") > 500 * MS, "{}", report["silent_end"]);
        let text = report["verdict"]["text"].as_str().expect("words");
        assert!(text.contains("while 8 requests waited: the target had stopped"), "{text}");
        assert!(!text.contains("try -c"), "{text}");
    });
}

#[test]
fn e2_a_server_stopped_until_after_the_end_leaves_nothing_out() {
    on_every_engine(|engine| {
        let serve = Serve::start(&[]);
        let line = ["-R", "200", "-d", "2s", "--drain", "300ms", "-c", "8", "-T", "60s"];
        let began = Instant::now();
        let running = Running::start(&mut command(engine, &serve.url(), &line));
        serve.await_requests();
        thread::sleep(Duration::from_millis(200));
        serve.signal("STOP");
        let output = running.finish(RUN_MAX);
        serve.signal("CONT");
        assert_within(began, Duration::from_millis(2300 + 1000), "the run");
        let report = sound(&output, &[0, 4]);
        assert_eq!(at(&report, "/requests/due"), 400);
        assert_eq!(at(&report, "/requests/inflight_end"), 8, "{report}");
        assert!(at(&report, "/requests/unsent_end") > 50, "{report}");
        assert_ne!(report["verdict"]["kind"], "schedule kept", "{report}");
    });
}

#[test]
fn e4_a_connection_that_stalls_holds_up_one_request_and_no_other() {
    on_every_engine(|engine| {
        // The first connection is never answered; the requests belong to no connection.
        let answer = Step::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec());
        let server = ByteServer::start(vec![vec![], vec![answer]], 1, true);
        let line =
            ["-R", "500", "-d", "2s", "-c", "10", "-t", "1", "-T", "60s", "--drain", "300ms"];
        let running = Running::start(&mut command(engine, &server.url(), &line));
        let report = sound(&running.finish(RUN_MAX), &[0, 4]);
        assert_eq!(at(&report, "/requests/due"), 1000);
        assert_eq!(at(&report, "/requests/inflight_end"), 1, "{report}");
        assert_eq!(at(&report, "/requests/failed"), 0, "{report}");
        // A share of its own would be a tenth. Of the last ones some may come too late on a machine
        // that is busy.
        let (completed, unsent) =
            (at(&report, "/requests/completed"), at(&report, "/requests/unsent_end"));
        assert_eq!(completed + unsent, 999, "{report}");
        assert!(unsent < 50, "{unsent} requests waited for the one that stalls");
    });
}

#[test]
fn e5_e6_an_answer_after_the_timeout_is_no_answer() {
    on_every_engine(|engine| {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec();
        // Late enough for a worker that is itself late to look at its timeouts, and in time for the
        // answers to come before the end.
        let server = Scripted::start(Script::AnswerLate(answer, Duration::from_millis(600)));
        let line = ["-c", "4", "-n", "32", "-T", "100ms", "-d", "20s"];
        let report = sound(
            &Running::start(&mut command(engine, &server.url(), &line)).finish(RUN_MAX),
            &[3],
        );
        assert_eq!(at(&report, "/requests/started"), 32);
        assert_eq!(at(&report, "/whole/failures/timeout"), 32);
        assert_eq!(at(&report, "/requests/completed"), 0);
        assert_eq!(at(&report, "/connections/errored"), 32);
        // What was sent last may not have been read yet.
        server.await_requests(32);
        assert_eq!(server.requests(), 32);
    });
}

#[test]
fn e8_a_rate_that_nothing_reaches_is_told_and_costs_no_memory() {
    on_every_engine(|engine| {
        let serve = Serve::start(&[]);
        // The highest that there are. Of random ones as many are due as are drawn; ten deviations.
        for (line, due) in [
            (&["-R", "1G", "-d", "300ms"][..], 300_000_000..300_000_001),
            (&["--stages", "0->1G:200ms,1G:100ms"], 200_000_000..200_000_001),
            (&["-R", "10M", "-d", "300ms", "--arrivals", "poisson"], 2_980_000..3_020_000),
        ] {
            let line = [line, &["-c", "4", "-t", "1"]].concat();
            let began = Instant::now();
            let running = Running::start(&mut command(engine, &serve.url(), &line));
            let mut peak = 0;
            while let Some(bytes) =
                peak_resident_bytes(running.id()).filter(|_| !running.has_ended())
            {
                peak = peak.max(bytes);
                thread::sleep(Duration::from_millis(5));
            }
            let report = sound(&running.finish(RUN_MAX), &[0, 4]);
            assert_within(began, Duration::from_millis(300 + 1000 + 1000), "the run");
            assert!(due.contains(&at(&report, "/requests/due")), "{line:?}: {report}");
            assert!(at(&report, "/requests/unsent_end") > due.start / 20 * 19, "{report}");
            assert_ne!(report["verdict"]["kind"], "schedule kept");
            assert!(peak < 200 << 20, "{peak} bytes");
        }
    });
}

#[test]
fn e9_a_window_of_a_millisecond_and_one_of_a_day_are_measured() {
    on_every_engine(|engine| {
        let serve = Serve::start(&[]);
        let run = |line: &[&str]| Running::start(&mut command(engine, &serve.url(), line));
        let report = sound(&run(&["-d", "1ms", "-c", "4"]).finish(RUN_MAX), &[0, 3, 4]);
        assert_eq!(at(&report, "/window/length_ns"), MS);
        let running = run(&["-d", "24h", "-c", "4"]);
        serve.await_more(100);
        thread::sleep(Duration::from_millis(50));
        let report = sound(&interrupt(running), &[130]);
        assert!(at(&report, "/window/length_ns") > 10 * MS, "{report}");
        assert_eq!(at(&report, "/asked/duration_ns"), 24 * 3600 * 1000 * MS);
    });
}

const CONNECTIONS: u64 = 64;
const PER_CONNECTION_BYTES_MAX: u64 = 128 << 10;

/// A server that goes on for ever must not hold the run beyond its bound, nor fill its memory.
fn check_endless(first: &[u8], piece: &[u8], pause_ms: u64, causes: &[&str]) {
    on_every_engine(|engine| {
        let silent = Scripted::start(Script::Silence);
        let (start_bytes, _) = run_watched(engine, &silent, "100ms");
        let pause = Duration::from_millis(pause_ms);
        let server = Scripted::start(Script::Endless(first.to_vec(), piece.to_vec(), pause));
        let began = Instant::now();
        let (peak_bytes, report) = run_watched(engine, &server, "700ms");
        assert_within(began, Duration::from_millis(900 + 1000), "the run");
        let more = peak_bytes.saturating_sub(start_bytes);
        assert!(more <= CONNECTIONS * PER_CONNECTION_BYTES_MAX, "{more} above {start_bytes}");
        let started = at(&report, "/requests/started");
        let counted: u64 = causes.iter().map(|cause| at(&report, cause)).sum();
        assert!(started >= CONNECTIONS, "{report}");
        assert_eq!(counted, started, "{causes:?} in {report}");
    });
}

/// The most memory that was resident in a run where nothing completes, and its report.
fn run_watched(engine: &str, server: &Scripted, duration: &str) -> (u64, serde_json::Value) {
    let connections = CONNECTIONS.to_string();
    let line = ["-c", &connections, "-t", "1", "-d", duration, "--drain", "200ms", "-T", "60s"];
    let running = Running::start(&mut command(engine, &server.url(), &line));
    let mut peak = 0;
    while let Some(bytes) = peak_resident_bytes(running.id()).filter(|_| !running.has_ended()) {
        peak = peak.max(bytes);
        thread::sleep(Duration::from_millis(2));
    }
    (peak, sound(&running.finish(RUN_MAX), &[3]))
}

const INFLIGHT: &str = "/requests/inflight_end";
const LIMIT: &str = "/whole/failures/limit";

#[test]
fn a_server_that_answers_a_byte_every_ten_milliseconds_holds_nobody_up() {
    check_endless(b"HTTP/1.1 200 OK\r\nA: ", b"b", 10, &[INFLIGHT]);
}

#[test]
fn a_server_that_never_answers_holds_nobody_up() {
    check_endless(b"", b"", 10, &[INFLIGHT]);
}

#[test]
fn an_endless_head_is_given_up_at_the_limit() {
    check_endless(b"HTTP/1.1 200 OK\r\n", &[b'a'; 8192], 0, &[LIMIT, INFLIGHT]);
    check_endless(b"HTTP/1.1 200 OK\r\n", &b"A: b\r\n".repeat(512), 0, &[LIMIT, INFLIGHT]);
}

#[test]
fn an_endless_body_is_thrown_away() {
    check_endless(b"HTTP/1.1 200 OK\r\n\r\n", &[b'a'; 1 << 16], 0, &[INFLIGHT]);
    let length = b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n";
    check_endless(length, &[b'a'; 1 << 16], 0, &[INFLIGHT]);
}

#[test]
fn an_endless_chunk_extension_is_given_up_at_the_limit() {
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;a=";
    check_endless(head, &[b'a'; 4096], 0, &[LIMIT, INFLIGHT]);
}

#[test]
fn endless_interim_answers_are_given_up_at_the_limit() {
    let interim = b"HTTP/1.1 102 Processing\r\n\r\n".repeat(40);
    check_endless(b"", &interim, 1, &[LIMIT, INFLIGHT]);
}
