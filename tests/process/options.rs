//! Each flag of a measurement does what it says, told from outside.
#![expect(clippy::unwrap_used, reason = "a test says what it means by failing")]

use std::fs;
use std::process::Command;
use std::time::Duration;

use super::support::scripted::{Script, Scripted};
use super::support::serve::Serve;
use super::support::{
    Folder, assert_identities_hold, find_program, is_measured, number, report_of, run, said, wring,
};
use serde_json::Value;

/// Bounds a hang. What would wait for something in vain waits for longer.
const RUN_MAX: Duration = Duration::from_secs(20);
const WRING: &str = env!("CARGO_BIN_EXE_wring");

/// A good run against `url`, with its report.
fn measured(url: &str, line: &[&str]) -> Value {
    let output = wring(&[&[url, "--json"], line].concat(), RUN_MAX);
    assert!(is_measured(&output), "{line:?}: {}", said(&output));
    let report = report_of(&output);
    assert_identities_hold(&report);
    report
}

#[test]
fn fifteen_connections_on_two_threads_are_fifteen() {
    let serve = Serve::start(&[]);
    let report = measured(&serve.url(), &["-c15", "-t2", "-n", "3000"]);
    let shares = report["workers"].as_array().unwrap();
    let shares: Vec<u64> = shares.iter().map(|w| w["connections"].as_u64().unwrap()).collect();
    assert_eq!(shares, [8, 7]);
    for name in ["open_at_start", "open_min", "open_max", "established"] {
        assert_eq!(number(&report, &format!("/connections/{name}")), 15, "{name}");
    }
    assert_eq!(number(&serve.into_counts(), "/connections"), 15);
}

#[test]
fn more_threads_than_connections_are_fewer_and_it_is_said() {
    let serve = Serve::start(&[]);
    let output = wring(&[&serve.url(), "-t", "4", "-c", "2", "-n", "10"], RUN_MAX);
    assert!(is_measured(&output), "{}", said(&output));
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(stderr.contains("-t 4") && stderr.contains("2 threads"), "{stderr}");
    assert!(output.stdout.starts_with(b"Running "));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("\n  2 threads and 2 connections\n"), "{text}");
}

#[test]
fn threads_go_where_they_are_put() {
    let serve = Serve::start(&[]);
    let cpus_of = |report: &Value| -> Vec<Option<u64>> {
        report["workers"].as_array().unwrap().iter().map(|w| w["cpu"].as_u64()).collect()
    };
    let all = cpus_of(&measured(&serve.url(), &["-n", "50", "-c", "8"]));
    let first = all[0].unwrap();
    let named = first.to_string();
    let chosen = cpus_of(&measured(&serve.url(), &["-n", "50", "--cpus", &named]));
    assert_eq!(chosen, [Some(first)]);
    let free = cpus_of(&measured(&serve.url(), &["-n", "50", "-t", "2", "--no-pin"]));
    assert_eq!(free, [None, None]);
    let mut distinct = all.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), all.len(), "each worker has a CPU of its own");
}

#[test]
fn warmup_is_load_that_is_counted_apart() {
    let serve = Serve::start(&[]);
    let line = ["-c", "4", "--warmup", "200ms", "-d", "300ms"];
    let report = measured(&serve.url(), &line);
    let part = |phase: &str, what: &str| number(&report, &format!("/{phase}/{what}"));
    assert!(part("warmup", "completed") > 0);
    let sum: u64 = ["warmup", "window", "drain"].iter().map(|p| part(p, "completed")).sum();
    assert_eq!(sum, part("whole", "completed"));
    assert_eq!(sum, number(&serve.into_counts(), "/requests"));
    assert_eq!(part("window", "length_ns"), 300_000_000);
    // Latency is of the requests of the window, whenever they completed.
    assert_eq!(part("latency", "count"), part("window", "started"));
    let per_s = report["rates"]["requests_per_s"].as_f64().unwrap();
    let expected = part("window", "completed") as f64 / 0.3;
    assert!((per_s - expected).abs() < 0.01, "{per_s} is not {expected}");
}

#[test]
fn a_number_and_a_duration_end_with_whichever_comes_first() {
    let serve = Serve::start(&[]);
    let report = measured(&serve.url(), &["-n", "500", "-d", "15s"]);
    assert_eq!(number(&report, "/requests/started"), 500);
    assert!(number(&report, "/window/length_ns") < 10_000_000_000);
    let slow = Serve::start(&["--delay", "20ms"]);
    let report = measured(&slow.url(), &["-n", "1M", "-d", "300ms", "-c", "2"]);
    assert!(number(&report, "/requests/started") < 1_000);
    assert_eq!(number(&report, "/window/length_ns"), 300_000_000);
    assert_eq!(number(&slow.into_counts(), "/requests"), number(&report, "/requests/completed"));
}

#[test]
fn a_server_that_never_answers_times_every_request_out_and_the_run_ends() {
    let server = Scripted::start(Script::Silence);
    let line = [&*server.url(), "-c", "4", "-T", "100ms", "-d", "1s", "--drain", "60s", "--json"];
    let output = wring(&line, RUN_MAX);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    let report = report_of(&output);
    assert_identities_hold(&report);
    let started = number(&report, "/requests/started");
    assert!(started >= 4, "{report}");
    assert_eq!(number(&report, "/whole/failures/timeout"), started);
    assert_eq!(number(&report, "/requests/failed"), started);
}

#[test]
fn pipelined_requests_time_out_once_and_the_rest_is_cut_off() {
    let server = Scripted::start(Script::Silence);
    let line = [&*server.url(), "-c", "2", "-p", "8", "-T", "200ms", "-n", "16", "--json"];
    let output = wring(&line, RUN_MAX);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    let report = report_of(&output);
    assert_identities_hold(&report);
    let cause = |name: &str| number(&report, &format!("/whole/failures/{name}"));
    assert_eq!(cause("timeout") + cause("cut_off"), 16, "{report}");
    assert!(cause("timeout") >= 2, "{report}");
}

#[test]
fn a_drain_ends_when_it_should_and_tells_what_is_left() {
    let server = Scripted::start(Script::Silence);
    let line = ["-c", "3", "-t", "1", "-T", "60s", "-d", "500ms", "--drain", "300ms", "--json"];
    let output = wring(&[&[&*server.url()], &line[..]].concat(), RUN_MAX);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    let report = report_of(&output);
    assert_identities_hold(&report);
    assert_eq!(number(&report, "/requests/inflight_end"), 3);
    assert_eq!(number(&report, "/latency_with_unanswered/unanswered"), 3);
    let oldest = number(&report, "/unanswered/waited_max_ns");
    // The drain at least, however late the worker began.
    assert!((300_000_000..20_000_000_000).contains(&oldest), "{oldest}");
}

#[test]
fn answers_with_an_error_status_are_completed_and_shown() {
    let serve = Serve::start(&["--status", "503", "--body", "7"]);
    let report = measured(&serve.url(), &["-n", "100"]);
    assert_eq!(number(&report, "/whole/statuses/503"), 100);
    assert_eq!(number(&report, "/bytes/body"), 700);
    let output = wring(&[&serve.url(), "-n", "100"], RUN_MAX);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("  Non-2xx or 3xx responses: 100\n"), "{text}");
}

#[test]
fn latency_is_never_less_than_the_servers_delay() {
    let serve = Serve::start(&["--delay", "30ms"]);
    let report = measured(&serve.url(), &["-n", "40", "-c", "4"]);
    assert!(number(&report, "/latency/min_ns") >= 30_000_000, "{report}");
}

fn check_selftest(command: &mut Command) -> (String, String) {
    let output = run(command, Duration::from_secs(120));
    assert!(is_measured(&output), "{}", said(&output));
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(text.starts_with("Running 1s test @ http://127.0.0.1:"), "{text}");
    assert!(text.contains("I1–I8 hold") || text.contains("I1–I7 hold"), "{text}");
    let (_, table) = text.rsplit_once("\n\n").unwrap();
    for words in ["depth 1", "depth 64", "1 MiB", "connections", "wake-up"] {
        assert!(table.to_lowercase().contains(&words.to_lowercase()), "no {words} in:\n{table}");
    }
    let stderr = String::from_utf8(output.stderr).unwrap();
    (text, stderr)
}

#[test]
fn the_selftest_needs_nothing_else_and_ends_with_what_the_machine_can_do() {
    let folder = Folder::new();
    let stored = folder.path().join("stored");
    let mut selftest = Command::new(WRING);
    selftest.args(["selftest", "-d", "1s", "-c", "15", "-p", "16", "-o"]).arg(&stored);
    check_selftest(&mut selftest);
    // What is stored holds against the target's own count.
    let report: Value = serde_json::from_slice(&fs::read(stored).unwrap()).unwrap();
    assert_identities_hold(&report);
    let sixth = &report["identities"][5];
    assert_eq!((&sixth["name"], &sixth["holds"]), (&"I6".into(), &true.into()));
    assert_eq!(number(&report, "/target_requests"), number(&report, "/requests/completed"));
    assert_eq!(report["machine"]["version"], 1);
    for figure in ["requests_per_s_depth_1", "bytes_in_per_s_1_mib", "wake_up_p99_ns"] {
        assert!(number(&report, &format!("/machine/{figure}/value")) > 0, "{}", report["machine"]);
    }
}

#[test]
fn a_single_cpu_is_shared_and_it_is_said() {
    let Some(taskset) = find_program("taskset") else { return };
    let serve = Serve::start(&[]);
    let report = measured(&serve.url(), &["-n", "10"]);
    let cpu = report["manifest"]["cpus_allowed"][0].to_string();
    let line = ["-c", &*cpu, WRING, &serve.url(), "-n", "1000", "-c", "9", "--json"];
    let output = run(Command::new(&taskset).args(line), RUN_MAX);
    assert!(is_measured(&output), "{}", said(&output));
    assert_eq!(report_of(&output)["workers"].as_array().unwrap().len(), 1);
    let mut selftest = Command::new(&taskset);
    let (_, stderr) = check_selftest(selftest.args(["-c", &cpu, WRING, "selftest", "-d", "1s"]));
    assert!(stderr.contains("share one CPU"), "{stderr}");
}
