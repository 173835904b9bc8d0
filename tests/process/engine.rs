//! The same numbers on epoll, and hosts that deny io_uring.
//!
//! The black-box tests of counts, of bytes on the wire and of rates run here once more, on epoll:
//! `support::wring` adds the flag when it is compiled below this file.
#![expect(clippy::unwrap_used, reason = "a test says what it means by failing")]
#![expect(clippy::duplicate_mod, reason = "each of the files below has the support it has alone")]

#[path = "counts.rs"]
mod counts;
#[path = "rate.rs"]
mod rate;
#[path = "../support/mod.rs"]
mod support;
#[path = "wire.rs"]
mod wire;

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

use support::denied::{Denied, by_memlock, by_seccomp, program_by_seccomp};
use support::faults::await_that;
use support::serve::Serve;
use support::{
    Folder, Port, Running, assert_identities_hold, is_measured, number, report_of, run, said, wring,
};

const RUN_MAX: Duration = Duration::from_secs(60);
const EPERM: i32 = 1;
const EAGAIN: i32 = 11;
const EINVAL: i32 = 22;
const ENOSYS: i32 = 38;

fn backend(report: &Value) -> &str {
    report["manifest"]["backend"].as_str().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Runs `command` on `line` against a server of its own; the server's count must be wring's.
fn counted(mut command: Command, line: &[&str]) -> (Value, String) {
    let serve = Serve::start(&[]);
    let output = run(command.arg(serve.url()).args(["-n", "5003", "--json"]).args(line), RUN_MAX);
    assert!(is_measured(&output), "{}", said(&output));
    let report = report_of(&output);
    assert_identities_hold(&report);
    assert_eq!(number(&report, "/requests/completed"), 5003);
    assert_eq!(number(&serve.into_counts(), "/requests"), 5003);
    (report, stderr(&output))
}

/// What was denied is told once on stderr, with what to change, and in the report.
fn assert_falls_back(make: impl Fn() -> Option<Command>, cause: &str, advice: &str) {
    for line in [&["-c", "64", "-p", "16"][..], &["-c", "3", "-t", "2"]] {
        let Some(command) = make() else { return };
        assert_falls_back_on(command, line, cause, advice);
    }
}

fn assert_falls_back_on(command: Command, line: &[&str], cause: &str, advice: &str) {
    let (report, stderr) = counted(command, line);
    assert!(backend(&report).starts_with("epoll "), "{}", backend(&report));
    for word in [cause, advice, "epoll is used instead"] {
        assert!(stderr.contains(word), "no '{word}' in: {stderr}");
    }
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    let notes = report["asked"]["notes"].to_string();
    assert!(notes.contains(cause), "{notes}");
}

/// The same reason refuses a run that insists, before the target sees anything of it.
fn assert_refuses(mut command: Command, cause: &str, advice: &str) {
    let serve = Serve::start(&[]);
    let output = run(command.args([&*serve.url(), "-d", "5s", "--engine", "uring"]), RUN_MAX);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(output.stdout.is_empty(), "{}", said(&output));
    let stderr = stderr(&output);
    assert!(stderr.contains(cause) && stderr.contains(advice), "{stderr}");
    assert!(!stderr.contains("epoll is used"), "{stderr}");
    assert_eq!(number(&serve.into_counts(), "/connections"), 0);
}

#[test]
fn the_report_names_the_engine_that_was_asked_for() {
    let serve = Serve::start(&["--engine", "epoll"]);
    for threads in ["1", "2"] {
        let line = [&*serve.url(), "-c", "8", "-t", threads, "-n", "100", "--json"];
        let output = wring(&[&line[..], &["--engine", "epoll"]].concat(), RUN_MAX);
        assert!(backend(&report_of(&output)).starts_with("epoll "), "{}", said(&output));
        assert_eq!(stderr(&output), "");
    }
}

#[test]
fn behind_a_seccomp_filter_epoll_measures_and_the_filter_is_named() {
    for errno in [EPERM, ENOSYS] {
        let make = || by_seccomp(Denied::Setup, errno);
        assert_falls_back(make, "seccomp", "io_uring_setup");
        let Some(command) = make() else { return };
        assert_refuses(command, "seccomp", "io_uring_setup");
    }
}

#[test]
fn whichever_call_is_denied_is_found_out_before_the_load_and_named() {
    for (denied, errno, call) in [
        (Denied::Enter, EPERM, "io_uring_enter failed: Operation not permitted"),
        (Denied::Enter, ENOSYS, "io_uring_enter failed: Function not implemented"),
        (Denied::Enter, EAGAIN, "io_uring_enter failed"),
        (Denied::Register, EPERM, "io_uring_register of descriptors failed"),
        // As kernels answer that do not know a flag, or an operation.
        (Denied::Setup, EINVAL, "io_uring_setup failed: Invalid argument"),
        (Denied::BufferRings, EINVAL, "io_uring_register of receive buffers failed"),
    ] {
        let cause = match errno {
            // Of that error the system does not say that it is a filter's.
            EAGAIN => "the kernel refuses it",
            EINVAL => "this kernel's is too old",
            _ => "seccomp",
        };
        let make = || by_seccomp(denied, errno);
        let Some(command) = make() else { return };
        assert_falls_back_on(command, &["-p", "16"], cause, call);
        let Some(command) = make() else { return };
        assert_refuses(command, cause, call);
    }
}

/// Every turn of a ring submits several operations as soon as there is a connection.
const WORK: Denied = Denied::Batches(2);

#[test]
fn a_ring_that_breaks_at_work_is_named_and_not_taken_for_a_dead_server() {
    let serve = Serve::start(&[]);
    for line in [&["-n", "100"][..], &["-R", "100", "-d", "5s", "-t", "2"]] {
        let Some(mut command) = by_seccomp(WORK, EPERM) else { return };
        let output = run(command.arg(serve.url()).args(line), RUN_MAX);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        let stderr = stderr(&output);
        assert!(stderr.contains("io_uring_enter failed: Operation not permitted"), "{stderr}");
        assert!(stderr.contains("--engine") && !stderr.contains("is the server"), "{stderr}");
    }
}

#[test]
fn a_server_whose_ring_breaks_ends_with_one_message() {
    for line in [&["--threads", "1"][..], &["--threads", "2", "--count-on-exit"]] {
        let Some(mut command) = by_seccomp(WORK, EPERM) else { return };
        let port = Port::reserve();
        let address = port.address().to_string();
        let command = command.args(["serve", "--listen", &address, "--engine", "uring"]);
        let server = Running::start(command.args(line));
        await_that("a server", RUN_MAX, || TcpStream::connect(port.address()).is_ok());
        let output = server.finish(RUN_MAX);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(output.stdout.is_empty(), "{}", said(&output));
        let stderr = stderr(&output);
        assert!(stderr.contains("the server broke: io_uring_enter failed"), "{stderr}");
        assert_eq!(stderr.matches("wring: error").count(), 1, "{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
    }
}

#[test]
fn without_memory_to_lock_epoll_measures_and_the_limit_is_named() {
    let Some(command) = by_memlock() else { return };
    let (report, _) = counted(command, &[]);
    // Kernels differ in what of a ring they count against the limit.
    if backend(&report).starts_with("uring ") {
        return;
    }
    assert_falls_back(by_memlock, "locked memory", "ulimit -l");
    assert_refuses(by_memlock().unwrap(), "locked memory", "ulimit -l");
}

#[test]
fn the_server_falls_back_too_and_refuses_the_engines_it_cannot_run() {
    let timings = [&[][..], &["--delay", "exp:1ms"]];
    for (denied, timing) in
        [(Denied::Setup, timings[0]), (Denied::Enter, timings[0]), (Denied::Enter, timings[1])]
    {
        let Some(mut command) = by_seccomp(denied, EPERM) else { return };
        let command = command.args(["serve", "--listen", "127.0.0.1:0"]).args(timing);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let note = lines.next().unwrap().unwrap();
        assert!(note.contains("seccomp") && note.contains("epoll is used instead"), "{note}");
        let listening = lines.next().unwrap().unwrap();
        let url = listening.strip_prefix("wring: listening on ").unwrap();
        let output = wring(&[url, "-n", "503", "-c", "10", "--json"], RUN_MAX);
        let _ = Command::new("kill").arg("-INT").arg(child.id().to_string()).status();
        assert!(child.wait().unwrap().success());
        assert_eq!(number(&report_of(&output), "/requests/completed"), 503);
    }
    for (denied, call) in [(Denied::Setup, "io_uring_setup"), (Denied::Enter, "io_uring_enter")] {
        for engine in ["uring", "tokio-uring"] {
            let Some(mut command) = by_seccomp(denied, EPERM) else { return };
            let line = ["serve", "--listen", "127.0.0.1:0", "--engine", engine];
            let output = run(command.args(line), RUN_MAX);
            assert_eq!(output.status.code(), Some(3), "{}", said(&output));
            let stderr = stderr(&output);
            assert!(stderr.contains("seccomp"), "{stderr}");
            assert!(stderr.contains(&format!("{call} failed")), "{stderr}");
            assert_eq!(stderr.lines().count(), 1, "{stderr}");
        }
    }
}

#[test]
fn the_selftest_falls_back_on_both_sides_and_says_so_once() {
    let Some(mut command) = by_seccomp(Denied::Setup, EPERM) else { return };
    let output = run(command.args(["selftest", "-d", "200ms", "--json"]), RUN_MAX);
    assert!(is_measured(&output), "{}", said(&output));
    let report = report_of(&output);
    assert_identities_hold(&report);
    assert!(backend(&report).starts_with("epoll "), "{}", backend(&report));
    assert_eq!(stderr(&output).matches("seccomp").count(), 1, "{}", said(&output));
}

#[test]
fn under_the_name_wrk_the_fallback_is_a_line_on_stderr_only() {
    let serve = Serve::start(&[]);
    let folder = Folder::new();
    let name = folder.path().join("wrk");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_wring"), &name).unwrap();
    let Some(mut command) = program_by_seccomp(Denied::Setup, EPERM, &name) else { return };
    let line = ["-c", "2", "-t", "1", "-d", "1s", &serve.url()];
    let output = run(command.args(line), RUN_MAX);
    assert!(is_measured(&output), "{}", said(&output));
    let stdout = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(stdout.starts_with("Running ") && !stdout.contains("epoll"), "{}", said(&output));
    assert!(stderr(&output).contains("epoll is used instead"), "{}", said(&output));
}

#[test]
fn workers_that_may_not_be_pinned_run_unpinned_and_it_is_said() {
    let Some(mut command) = by_seccomp(Denied::Call(libc::SYS_sched_setaffinity as u32), EPERM)
    else {
        return;
    };
    let serve = Serve::start(&[]);
    let cpu = support::allowed_cpus()[0].to_string();
    let line = [&*serve.url(), "-n", "50", "--cpus", &cpu, "--json"];
    let output = run(command.args(line), RUN_MAX);
    assert!(is_measured(&output), "{}", said(&output));
    let report = report_of(&output);
    assert!(report["workers"][0]["cpu"].is_null(), "{report}");
    assert!(
        report["remarks"][0].as_str().unwrap().starts_with("1 of 1 workers could not be pinned")
    );
}
