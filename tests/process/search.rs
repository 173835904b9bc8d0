//! What a server can carry, what a request costs it, and when it is warm, told from outside.
#![expect(clippy::unwrap_used, reason = "a test says what it means by failing")]

use super::support;
use std::fs;
use std::time::Duration;

use super::support::serve::Serve;
use super::support::{assert_identities_hold, is_measured, number, report_of, said, wring};

const RUN_MAX: Duration = Duration::from_secs(60);

/// CPU time of a process by another road than wring's: each thread's own counter.
fn cpu_ns_by_threads(pid: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let ran = tasks.map(|task| {
        let text = fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap();
        text.split_ascii_whitespace().next().unwrap().parse::<u64>().unwrap()
    });
    ran.sum()
}

#[test]
fn what_a_request_costs_the_server_agrees_with_the_kernels_count_of_its_threads() {
    let serve = Serve::start(&["-t", "1", "--engine", "epoll"]);
    let pid = serve.id();
    let before_ns = cpu_ns_by_threads(pid);
    let line = ["-c", "8", "-d", "500ms", "--json", "--server-pid", &pid.to_string(), &serve.url()];
    let output = wring(&line, RUN_MAX);
    let spent_ns = cpu_ns_by_threads(pid) - before_ns;
    assert!(is_measured(&output), "{}", said(&output));
    let report = report_of(&output);
    assert_identities_hold(&report);
    let (cpu_ns, requests) =
        (number(&report, "/server/cpu_ns"), number(&report, "/server/requests"));
    assert_eq!(number(&report, "/server/pid"), u64::from(pid));
    assert_eq!(requests, number(&report, "/window/completed"));
    // Opening and drain are outside of the window, a thread's counter may be a tick behind.
    let spent = spent_ns as f64;
    assert!(cpu_ns as f64 <= 1.02 * spent + 1e7, "{cpu_ns} of {spent_ns}");
    assert!(cpu_ns as f64 >= 0.9 * spent - 1e7, "{cpu_ns} of {spent_ns}");
    let each = report["server"]["cpu_ns_per_request"].as_f64().unwrap();
    assert!((each * requests as f64 - cpu_ns as f64).abs() < 1.0 * requests as f64);
    assert!(number(&report, "/server/resident_bytes") > 100_000);
    let text = wring(&["-c1", "-n50", "--server-pid", &pid.to_string(), &serve.url()], RUN_MAX);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("Server cost in the window") && text.contains("per request"), "{text}");
}

#[test]
fn a_server_that_cannot_be_watched_is_refused_and_a_group_with_wring_in_it_noted() {
    let serve = Serve::start(&[]);
    for (line, named) in [
        (["--server-pid", "4194305"], "no such process"),
        (["--server-pid", "nginx"], "'nginx' is not a process id"),
        (["--server-pid", "0"], "'0' is not a process id"),
        (["--server-cgroup", "/nowhere/at/all"], "no such group"),
        (["--server-cgroup", "/proc"], "cpu.stat"),
    ] {
        let output = wring(&[&line[..], &["-n1", &serve.url()]].concat(), RUN_MAX);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains(named), "{named}: {}", said(&output));
    }
    // A group as the kernel shows it, with this process in it: wring must not be there.
    let group = support::Folder::new();
    let file = |name: &str, text: &str| fs::write(group.path().join(name), text).unwrap();
    file("cpu.stat", "usage_usec 7\n");
    file("cgroup.procs", &format!("{}\n", std::process::id()));
    let own = format!(
        "echo $$ > {0}/cgroup.procs; exec {1} --server-cgroup {0} -c1 -n1 {2}",
        group.path().display(),
        env!("CARGO_BIN_EXE_wring"),
        serve.url()
    );
    let output = std::process::Command::new("sh").args(["-c", &own]).output().unwrap();
    let note = "wring itself is in the group of --server-cgroup";
    assert!(said(&output).contains(note), "{}", said(&output));
    file("cgroup.procs", "1\n");
    let folder = group.path().to_str().unwrap();
    let output = wring(&["--server-cgroup", folder, "-c1", "-n1", &serve.url()], RUN_MAX);
    assert!(!said(&output).contains(note), "{}", said(&output));
    let both = ["--server-pid", "1", "--server-cgroup", "/", "-n1", &serve.url()];
    let output = wring(&both, RUN_MAX);
    assert!(said(&output).contains("contradict"), "{}", said(&output));
    assert_eq!(number(&serve.into_counts(), "/requests"), 2);
}

/// Runs `wring search` with these words.
fn search(words: &[&str]) -> std::process::Output {
    wring(&[&["search", "-q"], words].concat(), RUN_MAX)
}

#[test]
fn a_search_brackets_the_capacity_of_a_single_server() {
    // 500 requests a second, one at a time.
    let serve = Serve::start(&["--service", "2ms"]);
    let folder = support::Folder::new();
    let csv = folder.path().join("trials.csv");
    let csv_name = csv.to_str().unwrap();
    let pid = serve.id().to_string();
    let line =
        ["--slo", "p90<60ms", "--slo", "failed<5%", "--max-duration", "8s", "--width", "20%"];
    let more = ["-c16", "-t1", "--json", "--csv", csv_name, "--server-pid", &pid, &serve.url()];
    let output = search(&[&line[..], &more].concat());
    let found = report_of(&output);
    let is_found = found["held_per_s"].is_number();
    assert_eq!(output.status.code(), Some(if is_found { 0 } else { 99 }), "{}", said(&output));
    assert_eq!(found["kind"], "wring-search");
    assert_eq!(found["objective"][0], "p90<60ms");
    let per_s = |name: &str| found[name].as_f64().unwrap_or(f64::NAN);
    // A busy machine serves less, but never more.
    assert!((20.0..510.0).contains(&per_s("closed_loop_per_s")), "{found}");
    if let Some(held) = found["held_per_s"].as_f64() {
        assert!(held <= 520.0, "{found}");
        assert!(found["failed_per_s"].as_f64().is_none_or(|failed| failed > held), "{found}");
    }
    let ended = found["ended"].as_str().unwrap();
    assert!(["narrow", "time up"].contains(&ended), "{found}");
    let trials = found["trials"].as_array().unwrap();
    assert!(trials.len() >= 4, "{found}");
    let curve = found["curve"].as_array().unwrap();
    let cost = |rate: &serde_json::Value| rate["server_cpu_ns_per_request"].as_f64();
    assert!(curve.iter().filter_map(cost).all(|ns| ns > 0.0), "{found}");
    assert!(curve.iter().any(|rate| cost(rate).is_some()), "{found}");
    let csv = fs::read_to_string(&csv).unwrap();
    assert!(csv.starts_with("trial,start_ns,rate_per_s,"), "{csv}");
    assert_eq!(csv.lines().count(), trials.len() + 1, "{csv}");
    let columns = csv.lines().next().unwrap().split(',').count();
    assert!(csv.lines().all(|line| line.split(',').count() == columns), "{csv}");
}

#[test]
fn an_objective_that_no_rate_meets_is_told_with_its_own_exit_code() {
    let serve = Serve::start(&["--delay", "50ms", "--engine", "tokio-uring"]);
    let line = ["--slo", "p50<5ms", "--max-duration", "50s", "-c16", "-t1", &serve.url()];
    let output = search(&line);
    assert_eq!(output.status.code(), Some(99), "{}", said(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("verdict: p50<5ms is missed even at"), "{text}");
    assert!(text.contains("Latency against rate") && text.contains("Trials"), "{text}");
}

#[test]
fn nonsense_is_refused_before_any_load() {
    let serve = Serve::start(&[]);
    let url = serve.url();
    for (words, named) in [
        (&["--slo", "p99<", &url][..], "--slo: 'p99<'"),
        (&["--slo", "latency=good", &url], "--slo: 'latency=good'"),
        (&[&url], "nothing says what to search for"),
        (&["--max-rps", "--slo", "p99<5ms", &url], "two searches"),
        (&["--slo", "p99<5ms", "-R", "10", &url], "-R is not for wring search"),
        (&["--slo", "p99<5ms", "-d", "10s", &url], "-d is not for wring search"),
        (&["--slo", "p99<5ms", "-n", "10", &url], "-n is not for wring search"),
        (&["--slo", "p99<5ms", "--stages", "0->1:1s", &url], "--stages is not for wring search"),
        (&["--slo", "p99<5ms", "--width", "0", &url], "'0' is not a width"),
        (&["--slo", "p99<5ms", "--max-duration", "10ms", &url], "too short"),
        (&["--max-rps", "--arrivals", "poisson", &url], "--arrivals has no meaning with --max-rps"),
        (&["--max-rps", "--no-spin", &url], "--no-spin has no meaning with --max-rps"),
        (&["--slo", "p99<5ms", "--csv", "/nowhere/x.csv", &url], "--csv: cannot write"),
        (&["--slo", "p99>5ms", &url], "write 'p99<5ms'"),
        (&["--slo", "rps<10k", &url], "write 'rps>10k'"),
        (&["--slo", "failed>1%", &url], "write 'failed<1%'"),
        (&["--slo", "handshake.p99<1ms", &url], "an http URL has none"),
        (&["--slo", "checks=0", &url], "--slo 'checks=0' needs --expect"),
        (&["--slo", "p99<5ms", "--threshold", "p99<1s", &url], "--slo 'p99<5ms' says what a rate"),
        (&["--slo", "p99<5ms", "--warmup", "auto", &url], "--warmup is not for wring search"),
        (&["--slo", "p99<5ms", "--interval", "1s", &url], "--interval is not for wring search"),
        (&["--slo", "p99<5ms", "--group-by", "X", &url], "--group-by is not for wring search"),
        (&["--slo", "p99<5ms", "-L", &url], "-L is not for wring search"),
        (&["--max-rps", "-U", &url], "-U is not for wring search"),
        (&["--slo", "p99<5ms", "--max-connections", "8", &url], "--max-connections has no meaning"),
        (&["--slo", "p99<5ms", "--max-pipeline", "8", &url], "--max-pipeline has no meaning"),
        (&["--max-rps", "-c", "64", &url], "-c has no meaning with --max-rps"),
        (&["--max-rps", "-p", "4", &url], "-p has no meaning with --max-rps"),
        (&["--max-rps", "--width", "1%", &url], "--width has no meaning with --max-rps"),
        (&["--max-rps", "--server-pid", "1", &url], "--server-pid has no meaning with --max-rps"),
        (&["--max-rps", "--json=same", "--csv", "same", &url], "name the same file 'same'"),
        (&["--slo", "p99<5ms"], "no URL"),
        (&["--slo", "p99<5ms", &url, &url], "one URL"),
    ] {
        let output = search(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {}", said(&output));
        assert!(said(&output).contains(named), "{named}: {}", said(&output));
        assert!(output.stdout.is_empty(), "{}", said(&output));
    }
    assert_eq!(number(&serve.into_counts(), "/requests"), 0);
}

#[test]
fn nobody_there_and_a_server_that_dies_midway_are_told() {
    let port = support::Port::reserve();
    let url = format!("http://{}/", port.address());
    let output = search(&["--slo", "p99<5ms", &url]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    let serve = Serve::start(&["--service", "1ms"]);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_wring"));
    command.args(["search", "-c4", "-t1", "--slo", "p99<50ms", "--max-duration", "60s", "--width"]);
    let running = support::Running::start(command.args(["0.1%", &serve.url()]));
    // The probe is about two seconds long.
    std::thread::sleep(Duration::from_secs(5));
    serve.kill();
    let output = running.finish(RUN_MAX);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    let text = said(&output);
    assert!(text.contains("the target could not be reached for trial"), "{text}");
    assert!(text.contains("closed loop: ") && text.contains("until then"), "{text}");
}

#[test]
fn an_interrupted_search_prints_the_best_bracket_so_far() {
    let serve = Serve::start(&["--service", "1ms"]);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_wring"));
    command.args(["search", "-c8", "-t1", "--slo", "p99<100ms", "--max-duration", "60s"]);
    let running = support::Running::start(command.arg(serve.url()));
    std::thread::sleep(Duration::from_secs(4));
    running.signal("INT");
    let output = running.finish(Duration::from_secs(10));
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("verdict: interrupted by SIGINT; so far "), "{text}");
}

#[test]
fn the_most_requests_per_second_and_the_connections_they_take_are_found() {
    let serve = Serve::start(&["--service", "1ms"]);
    let line = ["--max-rps", "--max-duration", "6s", "--max-connections", "16", "-t1", "--json"];
    let output = search(&[&line[..], &["--max-pipeline", "2", &serve.url()]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let found = report_of(&output);
    let most = found["most"]["requests_per_s"].as_f64().unwrap();
    assert!((100.0..1_100.0).contains(&most), "{found}");
    assert!(number(&found, "/enough/connections") <= 16, "{found}");
    assert!(found["loads"].as_array().unwrap().len() >= 3, "{found}");
    let output =
        search(&["--max-rps", "--max-duration", "1s", "--max-connections", "2", &serve.url()]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("Rate against load") && text.contains("verdict: "), "{text}");
}

#[test]
fn answers_that_fail_a_check_are_counted_over_all_trials_and_end_with_their_code() {
    let serve = Serve::start(&["--status", "500", "--service", "1ms"]);
    let url = serve.url();
    let line = ["--max-duration", "3s", "-t1", "--expect", "200", "--json"];
    let kinds = [&["--max-rps", "--max-connections", "2"][..], &["-c4", "--slo", "p99<900ms"]];
    for kind in kinds {
        let output = search(&[kind, &line[..], &[&url]].concat());
        assert_eq!(output.status.code(), Some(99), "{}", said(&output));
        let answers = &report_of(&output)["answers"];
        let count = |name: &str| answers[name].as_u64().unwrap();
        assert!(count("completed") > 0, "{answers}");
        assert_eq!(answers["failed_checks"]["status"], answers["completed"], "{answers}");
        assert_eq!(answers["classes"]["5xx"], count("outside_2xx_3xx"), "{answers}");
    }
    // Unasked it is told all the same.
    let line = ["--max-rps", "--max-connections", "1", "--max-duration", "1s", "-t1", &url];
    let output = search(&line);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(" are outside 2xx and 3xx\n"), "{text}");
    assert!(text.contains("and -c 1 is the most allowed: raise --max-connections"), "{text}");
}

#[test]
fn a_target_that_hangs_is_told_as_such() {
    let serve = Serve::start(&["--service", "1ms"]);
    for kind in [&["--max-rps"][..], &["-c4", "--slo", "p99<50ms"]] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_wring"));
        command.args(["search", "-t1", "-T", "300ms", "--max-duration", "12s"]).args(kind);
        let running = support::Running::start(command.arg(serve.url()));
        serve.await_more(600);
        serve.signal("STOP");
        let output = running.finish(RUN_MAX);
        serve.signal("CONT");
        assert_eq!(output.status.code(), Some(3), "{}", said(&output));
        assert!(said(&output).contains("the target answered no request"), "{}", said(&output));
    }
}

#[test]
fn a_ceiling_that_was_not_seen_is_no_ceiling() {
    let serve = Serve::start(&["--delay", "5ms"]);
    let url = serve.url();
    let line =
        ["--max-rps", "--max-connections", "2", "-t1", "--json", "--max-duration", "3s", &url];
    let output = search(&line);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(report_of(&output)["ended"], "most allowed", "{}", said(&output));
    let output = search(&["--max-rps", "-t1", "--max-duration", "1s", &url]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("verdict: at least ") && text.contains("; the time was up"), "{text}");
}

#[test]
fn a_warm_up_that_a_signal_ended_is_not_said_to_have_lasted_a_minute() {
    let serve = Serve::start(&["--service", "1ms"]);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_wring"));
    // Five intervals of a second are the least that are steady.
    command.args(["-c2", "-t1", "--warmup", "auto", "-q", &serve.url()]);
    let running = support::Running::start(&mut command);
    serve.await_requests();
    running.signal("INT");
    let output = running.finish(RUN_MAX);
    let text = String::from_utf8(output.stdout).unwrap();
    let (_, after) =
        text.split_once("Warm-up\n  stopped after ").unwrap_or_else(|| panic!("{text}"));
    assert!(after.contains(": the window never began\n") && !text.contains("within 1m"), "{text}");
}

#[test]
fn a_warm_up_ends_by_itself_when_the_target_is_steady() {
    // Answers nothing for the first second, then takes 10 ms for each request.
    let serve = Serve::start(&["--freeze", "0s:1s", "--delay", "10ms"]);
    let line =
        ["-c", "4", "-t1", "--warmup", "auto", "--interval", "100ms", "-d", "200ms", "--json"];
    for rate in [&[][..], &["-R", "200"]] {
        let output = wring(&[&line[..], rate, &[&serve.url()]].concat(), Duration::from_secs(100));
        assert!(is_measured(&output), "{}", said(&output));
        let report = report_of(&output);
        assert_identities_hold(&report);
        let length_ns = number(&report, "/warmed_up/length_ns");
        // Five intervals at least, and the freeze, which only the first run meets.
        let freeze_ns = if rate.is_empty() { 1_000_000_000 } else { 0 };
        assert!(length_ns >= freeze_ns + 400_000_000, "{length_ns}");
        let window_ns = number(&report, "/window/length_ns");
        assert_eq!(window_ns, 200_000_000, "the window is as long as asked");
        if length_ns < 59_000_000_000 {
            let from_ns = report["warmed_up"]["steady_from_ns"].as_u64().unwrap();
            assert!(freeze_ns <= from_ns + 200_000_000 && from_ns < length_ns, "{report}");
        }
    }
}

#[test]
fn no_more_connections_are_tried_than_the_limit_of_descriptors_allows() {
    let Some(prlimit) = support::find_program("prlimit") else { return };
    let nobody = support::Port::reserve();
    let url = format!("http://{}/", nobody.address());
    for (more, code, words) in [
        (&[][..], 3, "no connection to "),
        (&["--max-connections", "1k"], 2, "file descriptors are needed and the hard limit is 300"),
    ] {
        let mut command = std::process::Command::new(&prlimit);
        command.args(["--nofile=300:300", env!("CARGO_BIN_EXE_wring"), "search", "--max-rps"]);
        let output = support::run(command.args(more).arg(&url), RUN_MAX);
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        assert!(said(&output).contains(words), "{}", said(&output));
    }
}
