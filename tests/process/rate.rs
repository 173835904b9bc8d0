//! A rate that is asked for is the rate that is sent, and what could not be sent is told.
//!
//! Counts are exact on any machine. How well a schedule is kept depends on what else runs, so a run
//! that wring itself calls invalid is done again.

use std::process::Command;
use std::time::Duration;

use super::support::serve::Serve;
use super::support::{
    Folder, Running, assert_identities_hold, number, report_of, run, said, wring,
};
use serde_json::Value;

/// Bounds a hang; no claim depends on it.
const RUN_MAX: Duration = Duration::from_secs(40);
const ATTEMPTS: u32 = 5;
const SECOND_NS: u64 = 1_000_000_000;

/// A run at a rate, with its report. That the numbers cannot be used is no failure of counting.
fn counted(url: &str, line: &[&str]) -> Value {
    // No answer is given up for being late on a busy machine.
    let output = wring(&[&[url, "--json", "-T", "20s", "--drain", "20s"], line].concat(), RUN_MAX);
    let code = output.status.code();
    assert!(matches!(code, Some(0 | 4)), "{line:?}: {}", said(&output));
    let report = report_of(&output);
    assert_eq!(report["verdict"]["kind"] == "invalid", code == Some(4), "{report}");
    assert_identities_hold(&report);
    let part = |name: &str| number(&report, &format!("/requests/{name}"));
    assert_eq!(part("due"), part("started") + part("unsent_end") + part("shed"), "{line:?}");
    report
}

/// The first of some runs for which `is_good`, or the last: on a machine that is busy all the time
/// wring rightly calls them invalid, and the counts still hold.
fn attempted(url: &str, line: &[&str], mut is_good: impl FnMut(&Value) -> bool) -> Value {
    let mut report = counted(url, line);
    for _ in 1..ATTEMPTS {
        if is_good(&report) {
            return report;
        }
        report = counted(url, line);
    }
    is_good(&report);
    report
}

/// What must be the verdict unless the run is invalid.
fn assert_verdict(report: &Value, kind: &str) {
    assert!(report["verdict"]["kind"] == kind || !is_valid(report), "{report}");
}

fn is_valid(report: &Value) -> bool {
    report["verdict"]["kind"] != "invalid"
}

fn due(report: &Value) -> u64 {
    number(report, "/schedule/due")
}

#[test]
fn a_rate_for_a_time_makes_exactly_their_product_due() {
    let serve = Serve::start(&[]);
    for (rate, duration, connections, threads, total) in [
        ("1k", "1s", "16", "2", 1000),
        ("333", "1s", "7", "2", 333),
        ("3", "1s", "4", "2", 3),
        ("1", "1s", "4", "2", 1),
        ("90/m", "1s", "1", "1", 1),
        ("7/ms", "100ms", "3", "1", 700),
    ] {
        let line = ["-R", rate, "-d", duration, "-c", connections, "-t", threads];
        let report = counted(&serve.url(), &line);
        assert_eq!(due(&report), total, "{line:?}");
        assert_eq!(number(&report, "/asked/schedule/requests"), total, "{line:?}");
    }
}

#[test]
fn what_is_due_is_sent_and_the_target_gets_it() {
    let serve = Serve::start(&[]);
    let line = ["-R", "1k", "-d", "1s", "-c", "200"];
    let mut all = 0;
    let report = attempted(&serve.url(), &line, |report| {
        all += number(report, "/requests/completed");
        report["verdict"]["kind"] == "schedule kept"
    });
    // On a machine that is busy all the time, wring or the target may have no CPU for as long as it
    // takes. Then the verdict says so, and there is evidence of it.
    let started = number(&report, "/requests/started");
    let is_fine = match report["verdict"]["kind"].as_str() {
        Some("schedule kept") => started == 1000,
        Some("rate not held by the target") => number(&report, "/window/completed") < 1000,
        Some("generator-limited") => report["verdict"]["busy_share"].as_f64() >= Some(0.9),
        Some("short of CPU") => report["verdict"]["starved_share"].as_f64() > Some(0.0),
        _ => !is_valid(&report),
    };
    assert!(is_fine, "{report}");
    for count in ["requests/completed", "latency/count", "service/count", "send_lag/total/count"] {
        assert_eq!(number(&report, &format!("/{count}")), started, "{count}");
    }
    assert_eq!(report["schedule"]["asked_per_s"], 1000.0);
    assert_eq!(report["schedule"]["sent_share"], started as f64 / 1000.0);
    assert_eq!(number(&serve.into_counts(), "/requests"), all);
}

#[test]
fn a_number_of_requests_at_a_rate_is_exact_and_takes_its_time() {
    let serve = Serve::start(&[]);
    for (line, total) in [
        (&["-R", "2k", "-n", "501", "-t", "2", "-c", "7"][..], 501),
        (&["-R", "100", "-n", "7", "-t", "2"], 7),
        (&["-R", "100", "-n", "1", "-t", "2"], 1),
        (&["-R", "2k", "-n", "500", "-p", "4", "-c", "2"], 500),
        (&["-R", "2k", "-n", "300", "--arrivals", "poisson"], 300),
        (&["-R", "1k", "-n", "100", "-d", "15s"], 100),
    ] {
        let before = number(&serve.counts(), "/requests");
        let report = counted(&serve.url(), line);
        for what in ["due", "started", "completed"] {
            assert_eq!(number(&report, &format!("/requests/{what}")), total, "{line:?} {what}");
        }
        assert_eq!(number(&serve.counts(), "/requests"), before + total, "{line:?}");
    }
    let report = counted(&serve.url(), &["-R", "1k", "-n", "301"]);
    // The last of 301 is due after 300 ms, and nothing is sent early.
    assert!(number(&report, "/window/length_ns") >= 3 * SECOND_NS / 10, "{report}");
    let report = counted(&serve.url(), &["-R", "100", "-n", "1M", "-d", "300ms"]);
    assert_eq!(due(&report), 30);
}

#[test]
fn stages_ask_for_the_area_below_them() {
    let serve = Serve::start(&[]);
    let stages = "0->1k:400ms,1k:300ms,1000->0:200ms";
    let report = counted(&serve.url(), &["--stages", stages, "-c", "8"]);
    assert_eq!(due(&report), 200 + 300 + 100);
    assert_eq!(number(&report, "/window/length_ns"), 9 * SECOND_NS / 10);
    let words = "0/s->1,000/s:400ms,1,000/s:300ms,1,000/s->0/s:200ms";
    assert_eq!(report["asked"]["schedule"]["profile"], words);
    assert_eq!(due(&counted(&serve.url(), &["--stages", stages, "-n", "50"])), 50);
}

#[test]
fn the_series_adds_up_to_what_was_asked() {
    let serve = Serve::start(&[]);
    let line = ["-R", "1k", "-d", "500ms", "--interval", "100ms"];
    let report = counted(&serve.url(), &line);
    let seconds = report["seconds"].as_array().unwrap();
    for (name, total) in [("asked", "due"), ("started", "started"), ("completed", "completed")] {
        let sum: u64 = seconds.iter().map(|second| second[name].as_u64().unwrap()).sum();
        assert_eq!(sum, number(&report, &format!("/requests/{total}")), "{name}");
    }
    let lag_max = seconds.iter().map(|second| second["lag_max_ns"].as_u64().unwrap()).max();
    assert!(lag_max > Some(0), "{report}");
}

#[test]
fn the_warm_up_has_the_rate_and_is_counted_apart() {
    let serve = Serve::start(&[]);
    let line = ["-R", "500", "--warmup", "400ms", "-d", "600ms"];
    let report = counted(&serve.url(), &line);
    assert_eq!(number(&report, "/warmup/due"), 200);
    assert_eq!(number(&report, "/window/due"), 300);
    assert_eq!(due(&report), 300);
    let quiet = counted(&serve.url(), &["--stages", "0->1k:500ms", "--warmup", "200ms"]);
    assert_eq!((number(&quiet, "/warmup/due"), due(&quiet)), (0, 250));
}

#[test]
fn a_target_that_cannot_keep_up_is_told_with_its_backlog() {
    // Two connections and 100 ms for each answer: 20 requests a second.
    let serve = Serve::start(&["--delay", "100ms"]);
    let line = ["-R", "200", "-d", "1s", "-c", "2", "-t", "1"];
    let report = attempted(&serve.url(), &line, is_valid);
    assert_verdict(&report, "rate not held by the target");
    assert_eq!(due(&report), 200);
    let started = number(&report, "/schedule/started");
    assert!(started <= 22, "{started} of two at a time");
    assert_eq!(number(&report, "/schedule/unsent_end"), 200 - started);
    let achieved = report["schedule"]["achieved_share"].as_f64().unwrap();
    assert!(achieved <= 0.1, "{achieved}");
    assert!(number(&report, "/service/min_ns") >= SECOND_NS / 10, "{report}");
    // The last that was sent had waited for most of the window; its service latency hides that.
    let (corrected, service) =
        (number(&report, "/latency/max_ns"), number(&report, "/service/max_ns"));
    assert!(corrected > service + SECOND_NS / 2, "{corrected} {service}");
    let lag = |part: &str| number(&report, &format!("/send_lag/{part}/max_ns"));
    assert!(lag("no_connection") > SECOND_NS / 2, "{report}");
    assert!(lag("total") >= lag("late").max(lag("no_connection")), "{report}");
}

#[test]
fn a_deadline_sheds_what_could_not_start_in_time() {
    let serve = Serve::start(&["--delay", "100ms"]);
    let line = ["-R", "200", "-d", "1s", "-c", "2", "-t", "1", "--deadline", "50ms"];
    let report = counted(&serve.url(), &line);
    let part = |name: &str| number(&report, &format!("/schedule/{name}"));
    assert_eq!(part("due"), 200);
    assert_eq!(part("due"), part("started") + part("shed") + part("unsent_end"));
    assert!(part("shed") > 100, "{report}");
    assert_eq!(number(&report, "/asked/schedule/deadline_ns"), SECOND_NS / 20);
    assert_eq!(number(&report, "/requests/completed"), number(&serve.into_counts(), "/requests"));
}

#[test]
fn poisson_arrivals_follow_from_the_seed_and_the_seed_is_told() {
    let serve = Serve::start(&[]);
    let line =
        |seed| ["-R", "1k", "-d", "400ms", "-t", "2", "--arrivals", "poisson", "--seed", seed];
    let of_seed = |seed| due(&counted(&serve.url(), &line(seed)));
    let seeds = ["1", "2", "3", "4", "5"];
    let totals = seeds.map(of_seed);
    assert_eq!(totals, seeds.map(of_seed));
    assert!(totals.iter().any(|total| *total != totals[0]), "{totals:?}");
    // Ten deviations on either side of 400.
    assert!(totals.iter().all(|total| (200..600).contains(total)), "{totals:?}");
    let output = wring(&[&[&*serve.url()], &line("77")[..]].concat(), RUN_MAX);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("poisson") && text.contains("seed 77"), "{text}");
}

#[test]
fn without_spinning_the_workers_sleep() {
    let serve = Serve::start(&[]);
    let report = counted(&serve.url(), &["-R", "500", "-d", "200ms", "--no-spin"]);
    assert_eq!(number(&report, "/asked/schedule/spin_ns"), 0);
    assert_eq!(due(&report), 100);
}

#[test]
fn an_endless_schedule_is_ended_by_a_signal() {
    let serve = Serve::start(&[]);
    let line = [&*serve.url(), "-R", "1k", "-d", "0", "--json"];
    let running = Running::start(Command::new(env!("CARGO_BIN_EXE_wring")).args(line));
    serve.await_requests();
    running.signal("INT");
    let output = running.finish(RUN_MAX);
    assert!(matches!(output.status.code(), Some(0 | 4)), "{}", said(&output));
    let report = report_of(&output);
    assert_identities_hold(&report);
    assert_eq!(report["asked"]["schedule"]["requests"], Value::Null);
    assert_eq!(number(&report, "/requests/completed"), number(&serve.into_counts(), "/requests"));
}

#[test]
fn rates_are_over_the_window_as_it_really_was() {
    let serve = Serve::start(&[]);
    let rate =
        |report: &Value, name: &str| report["schedule"][format!("{name}_per_s")].as_f64().unwrap();
    let fits = |report: &Value| {
        let seconds = number(report, "/window/length_ns") as f64 / SECOND_NS as f64;
        let is_near = |rate: f64, count: u64| (rate * seconds - count as f64).abs() < 1e-6;
        assert!(is_near(rate(report, "due"), due(report)), "{report}");
        assert!(is_near(rate(report, "achieved"), number(report, "/window/completed")), "{report}");
    };
    let report = counted(&serve.url(), &["-R", "2", "-n", "2", "-c", "4"]);
    fits(&report);
    assert_eq!(rate(&report, "asked"), 2.0);
    // The last of two is due after one gap, of half a second.
    assert!(rate(&report, "due") > 2.0, "{report}");

    let line = [&*serve.url(), "--stages", "200->2k:20s", "--json=/dev/stderr"];
    let running = Running::start(Command::new(env!("CARGO_BIN_EXE_wring")).args(line));
    serve.await_more(20);
    running.signal("INT");
    let output = running.finish(RUN_MAX);
    let text = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let json = stderr.lines().find(|line| line.starts_with('{')).unwrap();
    let report: Value = serde_json::from_str(json).unwrap();
    fits(&report);
    assert_eq!(rate(&report, "asked"), 1100.0);
    assert!(rate(&report, "due") < 1000.0, "{report}");
    assert!(text.contains(" 22,000 requests (of which "), "{text}");
    assert!(text.contains(" became due before the interruption)\n"), "{text}");
}

#[test]
fn a_stored_result_keeps_its_schedule() {
    let serve = Serve::start(&[]);
    let folder = Folder::new();
    let stored = folder.path().join("r").display().to_string();
    let report = counted(&serve.url(), &["-R", "1k", "-d", "200ms", "-o", &stored]);
    let again = report_of(&wring(&["report", &stored, "--format", "json"], RUN_MAX));
    for part in ["schedule", "service", "send_lag", "requests", "verdict"] {
        assert_eq!(report[part], again[part], "{part}");
    }
    assert_eq!(report["asked"]["schedule"], again["asked"]["schedule"]);
    let text = String::from_utf8(wring(&["report", &stored, "-U"], RUN_MAX).stdout).unwrap();
    assert!(text.contains(RECORDED) && text.contains(UNCORRECTED), "{text}");
}

const RECORDED: &str = "Latency Distribution (HdrHistogram - Recorded Latency)";
const UNCORRECTED: &str = "Latency Distribution (HdrHistogram - Uncorrected Latency (measured \
                           without taking delayed starts into account))";

#[test]
fn distributions_are_printed_when_asked_for() {
    let serve = Serve::start(&[]);
    for (flag, recorded, uncorrected) in
        [(&[][..], 0, 0), (&["-L"], 1, 0), (&["-U"], 1, 1), (&["-LU"], 1, 1)]
    {
        let url = serve.url();
        let line = [&[&*url, "-R", "1k", "-d", "100ms"], flag].concat();
        let text = String::from_utf8(wring(&line, RUN_MAX).stdout).unwrap();
        let found = (text.matches(RECORDED).count(), text.matches(UNCORRECTED).count());
        assert_eq!(found, (recorded, uncorrected), "{flag:?}:\n{text}");
        for words in ["Requests/sec:", "Send lag", "corrected", "service", "verdict:"] {
            assert!(text.contains(words), "{flag:?}: no {words} in:\n{text}");
        }
    }
}

#[test]
fn under_the_name_wrk2_there_is_its_text_and_no_other() {
    let serve = Serve::start(&[]);
    let folder = Folder::new();
    let name = folder.path().join("wrk2");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_wring"), &name).unwrap();
    let wrk2 = |line: &[&str]| {
        let output = run(Command::new(&name).args(["-c4", "-d1s"]).args(line), RUN_MAX);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr))
    };
    let (text, stderr) = wrk2(&["-R100", &serve.url()]);
    let head = format!("Running 1s test @ {}\n  2 threads and 4 connections\n", serve.url());
    assert!(text.starts_with(&head) && !text.contains(RECORDED), "{text}");
    let last = text.lines().last().unwrap();
    assert!(last.starts_with("Transfer/sec:") && !text.contains("verdict"), "{text}");
    assert_eq!(stderr, "");
    let (text, stderr) = wrk2(&["-R100", "-U", "-B", &serve.url()]);
    assert!(text.contains(RECORDED) && text.contains(UNCORRECTED), "{text}");
    assert!(text.contains("Detailed Percentile spectrum:"), "{text}");
    assert!(stderr.starts_with("wrk2: -B "), "{stderr}");
}
