//! What wring counts is what the server counted: the difference is exactly 0.
//!
//! `scripts/exact` does the same with ten million requests.

use std::time::Duration;

use super::support::serve::Serve;
use super::support::{Nginx, assert_identities_hold, is_measured, number, report_of, said, wring};

/// Bounds a hang; no claim depends on it.
const RUN_MAX: Duration = Duration::from_secs(60);
const KEEP: &str = "location / { return 200 \"ok\"; }";

/// The numbers of one run's report.
struct Counts {
    started: u64,
    completed: u64,
    failed: u64,
    inflight_end: u64,
    cut_off: u64,
    /// Sent while the server was closing: at the latest moment, or just after it.
    races: u64,
}

fn counts(arguments: &[&str]) -> Counts {
    // No answer is given up for being late on a busy machine.
    let output = wring(&[arguments, &["-T", "40s"]].concat(), RUN_MAX);
    assert!(is_measured(&output), "{arguments:?}: {}", said(&output));
    let report = report_of(&output);
    assert_identities_hold(&report);
    let number = |pointer: &str| number(&report, pointer);
    let counts = Counts {
        started: number("/requests/started"),
        completed: number("/requests/completed"),
        failed: number("/requests/failed"),
        inflight_end: number("/requests/inflight_end"),
        cut_off: number("/whole/failures/cut_off"),
        races: number("/whole/failures/stale") + number("/whole/failures/eof"),
    };
    assert_eq!(counts.started, counts.completed + counts.failed + counts.inflight_end);
    counts
}

/// A fixed number of requests, with every shape of load.
fn check_exact(connections: u32, depth: u32, requests: u64) {
    let Some(nginx) = Nginx::start(KEEP) else { return };
    let (url, c, p, n) =
        (nginx.url(""), connections.to_string(), depth.to_string(), requests.to_string());
    let counts = counts(&[&url, "-c", &c, "-p", &p, "-n", &n, "--json"]);
    let log = nginx.into_log();
    assert_eq!(counts.started, requests);
    assert_eq!(counts.completed, requests);
    assert_eq!(log.len() as u64, requests);
    assert!(log.iter().all(|line| line == "200 OK"));
}

#[test]
fn one_connection_counts_what_nginx_logs() {
    check_exact(1, 1, 1_001);
    check_exact(1, 16, 5_003);
}

#[test]
fn fifteen_connections_count_what_nginx_logs() {
    check_exact(15, 1, 5_003);
    check_exact(15, 16, 20_011);
}

#[test]
fn sixty_four_connections_count_what_nginx_logs() {
    check_exact(64, 1, 10_007);
    check_exact(64, 16, 50_021);
}

#[test]
fn a_thousand_connections_count_what_nginx_logs() {
    check_exact(1000, 1, 10_007);
    check_exact(1000, 16, 50_021);
}

#[test]
fn fewer_requests_than_connections_are_still_exact() {
    check_exact(64, 16, 7);
    check_exact(1, 16, 1);
}

#[test]
fn a_timed_run_counts_window_and_drain_together() {
    for (c, p) in [("1", "1"), ("15", "16"), ("64", "1"), ("1000", "1"), ("1000", "16")] {
        let Some(nginx) = Nginx::start(KEEP) else { return };
        let line = ["-c", c, "-p", p, "-d", "300ms", "--drain", "40s", "--json"];
        let counts = counts(&[&[&*nginx.url("")], &line[..]].concat());
        let log = nginx.into_log();
        assert_eq!(counts.completed, counts.started, "-c {c} -p {p}");
        assert_eq!(log.len() as u64, counts.completed, "-c {c} -p {p}");
    }
}

#[test]
fn a_server_that_ends_connections_leaves_exact_counts_and_the_rest_cut_off() {
    for limit in [1, 10, 1000] {
        let server = format!("keepalive_requests {limit}; {KEEP}");
        let Some(nginx) = Nginx::start(&server) else { return };
        let counts = counts(&[&nginx.url(""), "-c", "15", "-p", "16", "-n", "20000", "--json"]);
        let log = nginx.into_log();
        assert_eq!(counts.started, 20_000);
        assert_eq!(counts.completed, log.len() as u64, "keepalive_requests {limit}");
        assert_eq!(counts.failed, counts.cut_off, "keepalive_requests {limit}");
        assert!(counts.cut_off > 0, "keepalive_requests {limit} cut nothing off");
    }
}

#[test]
fn a_server_that_closes_after_every_answer_fails_nothing_without_pipelining() {
    let server = format!("keepalive_requests 1; {KEEP}");
    let Some(nginx) = Nginx::start(&server) else { return };
    let counts = counts(&[&nginx.url(""), "-c", "15", "-n", "2000", "--json"]);
    assert_eq!(counts.completed, 2_000);
    assert_eq!(nginx.into_log().len(), 2_000);
}

#[test]
fn a_timed_run_over_ending_connections_is_exact_too() {
    for limit in [1, 1000] {
        let server = format!("keepalive_requests {limit}; {KEEP}");
        for depth in ["1", "16"] {
            let Some(nginx) = Nginx::start(&server) else { return };
            let line = ["-c", "15", "-p", depth, "-d", "400ms", "--drain", "40s", "--json"];
            let counts = counts(&[&[&*nginx.url("")], &line[..]].concat());
            let log = nginx.into_log();
            assert_eq!(counts.completed, log.len() as u64, "limit {limit}, depth {depth}");
            assert_eq!(counts.failed, counts.cut_off, "limit {limit}, depth {depth}");
            assert_eq!(counts.inflight_end, 0);
        }
    }
}

#[test]
fn every_built_in_server_counts_what_wring_counts() {
    for engine in ["tokio-uring", "uring", "epoll"] {
        let serve = Serve::start(&["--engine", engine]);
        let mut sum = 0;
        let cases = ["1", "15", "64", "1000"].into_iter().flat_map(|c| ["1", "16"].map(|p| (c, p)));
        for ((c, p), is_timed) in cases.zip([false, true, true, false].into_iter().cycle()) {
            let end = if is_timed { ["-d", "100ms"] } else { ["-n", "5003"] };
            let line = ["-c", c, "-p", p, "--drain", "40s", "--json"];
            let counts = counts(&[&[&*serve.url()], &line[..], &end].concat());
            assert_eq!(counts.completed, counts.started, "{engine} -c {c} -p {p}");
            sum += counts.completed;
            assert_eq!(number(&serve.counts(), "/requests"), sum, "{engine} -c {c} -p {p}");
        }
        let last = serve.into_counts();
        assert_eq!((number(&last, "/requests"), number(&last, "/answers")), (sum, sum));
        assert_eq!(number(&last, "/malformed"), 0);
    }
}

#[test]
fn a_target_that_closes_after_each_answer_and_says_so_fails_nothing() {
    for engine in ["tokio-uring", "uring", "epoll"] {
        let serve = Serve::start(&["--engine", engine, "--close-after", "1"]);
        let counts = counts(&[&serve.url(), "-c", "15", "-n", "2000", "--json"]);
        assert_eq!((counts.completed, counts.failed), (2_000, 0), "{engine}");
        let last = serve.into_counts();
        assert_eq!(number(&last, "/requests"), 2_000, "{engine}");
        assert!(number(&last, "/connections") >= 2_000, "{engine}");
    }
}

#[test]
fn a_target_that_closes_without_a_word_leaves_exact_counts() {
    for engine in ["tokio-uring", "uring", "epoll"] {
        for (depth, after) in [("1", "7"), ("16", "7"), ("16", "1"), ("4", "100")] {
            let serve = Serve::start(&["--engine", engine, "--close-after", after]);
            let line = ["-c", "64", "-p", depth, "-n", "9000", "--json"];
            let counts = counts(&[&[&*serve.url()], &line[..]].concat());
            let what = format!("{engine}, depth {depth}, after {after}");
            assert_eq!(counts.started, 9_000, "{what}");
            assert_eq!(counts.inflight_end, 0, "{what}");
            assert_eq!(counts.completed, number(&serve.into_counts(), "/requests"), "{what}");
            assert_eq!(counts.failed, counts.cut_off + counts.races, "{what}");
        }
    }
}
