//! Signals end a run in order, and a second one at once.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use super::support::faults::{State, await_that, connections_to};
use super::support::scripted::{Script, Scripted};
use super::support::serve::Serve;
use super::support::{Folder, Running, assert_identities_hold, number, report_of, said, wring};

/// Bounds a hang. What would wait for something in vain waits for longer.
const RUN_MAX: Duration = Duration::from_secs(20);

fn start(arguments: &[&str]) -> Running {
    Running::start(Command::new(env!("CARGO_BIN_EXE_wring")).args(arguments))
}

/// A run that is interrupted after its first requests must still give a whole, exact report.
fn check_interrupted(signal: &str, code: i32, word: &str) {
    let serve = Serve::start(&[]);
    let running = start(&[&serve.url(), "-c", "15", "-p", "4", "-d", "60s", "--json"]);
    serve.await_requests();
    running.signal(signal);
    let output = running.finish(RUN_MAX);
    assert_eq!(output.status.code(), Some(code), "{}", said(&output));
    let report = report_of(&output);
    assert_eq!(report["interrupted"], word, "{report}");
    assert_identities_hold(&report);
    let completed = number(&report, "/requests/completed");
    assert_eq!(completed, number(&report, "/requests/started"));
    assert_eq!(completed, number(&serve.into_counts(), "/requests"));
}

#[test]
fn an_interrupted_run_reports_all_it_measured() {
    check_interrupted("INT", 130, "SIGINT");
}

#[test]
fn a_terminated_run_reports_all_it_measured() {
    check_interrupted("TERM", 143, "SIGTERM");
}

#[test]
fn the_text_report_of_an_interrupted_run_is_whole_and_says_so() {
    let serve = Serve::start(&[]);
    let running = start(&[&serve.url(), "-d", "60s"]);
    serve.await_requests();
    running.signal("INT");
    let output = running.finish(RUN_MAX);
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    let text = String::from_utf8_lossy(&output.stdout);
    for words in ["Requests/sec:", "Transfer/sec:", "verdict:", "SIGINT"] {
        assert!(text.contains(words), "no '{words}' in {text}");
    }
}

/// A self test that is interrupted while it fills the table of what the machine can do.
fn check_interrupted_table(signal: &str, code: i32, word: &str) {
    let folder = Folder::new();
    let stored = folder.path().join("r").display().to_string();
    let mut selftest = Command::new(env!("CARGO_BIN_EXE_wring"));
    selftest.args(["selftest", "-d", "100ms", "--no-pin", "-o", &stored]);
    let streams = selftest.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = streams.spawn().expect("wring");
    let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let is_table = |line: &String| line.contains("now what this machine can do");
    assert!(lines.by_ref().map_while(Result::ok).any(|line| is_table(&line)));
    thread::sleep(Duration::from_millis(200));
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-s", signal, &id]).status().expect("kill").success());
    let output = child.wait_with_output().expect("an end");
    assert_eq!(output.status.code(), Some(code), "{}", said(&output));
    let text = String::from_utf8_lossy(&output.stdout);
    let (_, table) = text.rsplit_once("What this machine can do").expect("a table");
    assert!(table.trim_end().ends_with("  interrupted"), "{text}");
    assert!(text.contains(&format!("\nInterrupted\n  by {word} after the whole window")), "{text}");
    let again = wring(&["report", &stored, "--format", "json"], RUN_MAX);
    let report = report_of(&again);
    assert_eq!(report["interrupted"], word, "{report}");
    assert!(report["machine"]["wake_up_p99_ns"].is_null(), "{report}");
}

#[test]
fn a_self_test_interrupted_in_its_table_says_so_in_rows_report_file_and_code() {
    check_interrupted_table("INT", 130, "SIGINT");
    check_interrupted_table("TERM", 143, "SIGTERM");
}

#[test]
fn without_an_end_of_its_own_a_run_ends_normally_when_interrupted() {
    let serve = Serve::start(&[]);
    let running = start(&[&serve.url(), "-d", "0", "--json"]);
    serve.await_requests();
    running.signal("INT");
    let output = running.finish(RUN_MAX);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let report = report_of(&output);
    assert!(report["interrupted"].is_null(), "{report}");
    assert_identities_hold(&report);
    assert_eq!(number(&report, "/requests/completed"), number(&serve.into_counts(), "/requests"));
}

#[test]
fn a_second_signal_ends_a_long_drain_at_once() {
    let server = Scripted::start(Script::Silence);
    let arguments = [&*server.url(), "-c", "3", "-d", "60s", "-T", "50s", "--drain", "50s"];
    let running = start(&[&arguments[..], &["--json"]].concat());
    server.await_requests(3);
    running.signal("INT");
    // The control thread must have seen the first before the second counts as one of its own.
    thread::sleep(Duration::from_millis(300));
    running.signal("INT");
    let output = running.finish(RUN_MAX);
    // No request completed, which comes before interruption.
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    let report = report_of(&output);
    assert_eq!(report["interrupted"], "SIGINT");
    assert_eq!(number(&report, "/requests/inflight_end"), 3);
    assert_identities_hold(&report);
}

#[test]
fn an_interrupted_warm_up_measured_nothing_and_leaves_an_empty_window_and_a_short_drain() {
    let serve = Serve::start(&["--delay", "2ms", "--engine", "tokio-uring"]);
    let running = start(&[&serve.url(), "-c", "15", "--warmup", "60s", "-d", "60s", "--json"]);
    serve.await_requests();
    // Long enough that a drain counted from the beginning would show.
    thread::sleep(Duration::from_millis(1500));
    running.signal("INT");
    let output = running.finish(RUN_MAX);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    let report = report_of(&output);
    assert_identities_hold(&report);
    assert_eq!(report["interrupted"], "SIGINT", "{report}");
    for open in ["open_at_start", "open_min", "open_max"] {
        assert_eq!(number(&report, &format!("/connections/{open}")), 15, "{report}");
    }
    assert_eq!(number(&report, "/window/length_ns"), 0);
    assert_eq!(number(&report, "/latency/count"), 0);
    assert!(number(&report, "/drain/length_ns") < 1_200_000_000, "{}", report["drain"]);
    assert_eq!(number(&report, "/whole/completed"), number(&serve.into_counts(), "/requests"));
}

#[test]
fn a_signal_before_the_load_ends_the_run_before_it_starts() {
    // A full queue of connections: the kernel neither accepts nor refuses any more.
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let listener = listener.unwrap();
    listener.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let running = start(&[&format!("http://{address}/"), "-c", "8", "-T", "60s", "-d", "60s"]);
    // It listens for signals from before it begins to connect.
    await_that("an attempt", RUN_MAX, || connections_to(address, State::SynSent) > 0);
    running.signal("INT");
    let output = running.finish(RUN_MAX);
    assert!([3, 130].contains(&output.status.code().unwrap()), "{}", said(&output));
}
