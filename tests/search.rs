//! What a server can carry, what a request costs it, and when it is warm, told from outside.
#![expect(clippy::unwrap_used, reason = "a test says what it means by failing")]

mod support;

use std::fs;
use std::time::Duration;

use support::serve::Serve;
use support::{assert_identities_hold, number, report_of, said, wring};

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
    assert!(output.status.success(), "{}", said(&output));
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
fn a_server_that_cannot_be_watched_is_refused_before_any_load() {
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
    let both = ["--server-pid", "1", "--server-cgroup", "/", "-n1", &serve.url()];
    let output = wring(&both, RUN_MAX);
    assert!(said(&output).contains("contradict"), "{}", said(&output));
    assert_eq!(number(&serve.into_counts(), "/requests"), 0);
}
