//! What the built binary keeps in memory while it runs, in the cases that are quick to see.
//!
//! Anonymous memory alone: what a debug build maps of its own file says nothing of a release. The
//! whole of the resident memory of a release build is for `scripts/memory` to hold to its bounds.
#![expect(clippy::unwrap_used, reason = "a test says what it means by failing")]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

const WRING: &str = env!("CARGO_BIN_EXE_wring");
/// A debug build touches all that it allocates (its allocator fills it), a release build does not.
const ANONYMOUS_KIB_MAX: u64 = 24 * 1024;

/// Ended with the test, however that ends.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server and its URL.
fn serve(body_bytes: u64) -> (Ended, String) {
    let body = body_bytes.to_string();
    let line = ["serve", "--listen", "127.0.0.1:0", "--threads", "1", "--body", &body];
    let mut command = Command::new(WRING);
    command.args(line).args(["--engine", "uring"]);
    let mut child = Ended(
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap(),
    );
    let mut said = BufReader::new(child.0.stderr.take().unwrap());
    let mut first = String::new();
    said.read_line(&mut first).unwrap();
    // Nothing the server still says may stop it.
    thread::spawn(move || said.read_to_end(&mut Vec::new()));
    let url = first.split_whitespace().find(|word| word.starts_with("http://"));
    (child, url.unwrap_or_else(|| panic!("{first:?} names no URL")).to_owned())
}

fn anonymous_kib(child: &Child) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// The most anonymous memory seen during a run, in KiB, and the run's report.
fn run(url: &str, options: &[&str]) -> (u64, String) {
    let mut command = Command::new(WRING);
    command.arg(url).args(["-t", "1", "-q"]).args(options).stdin(Stdio::null());
    let mut child = Ended(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut peak_kib = 0;
    while child.0.try_wait().unwrap().is_none() {
        peak_kib = peak_kib.max(anonymous_kib(&child.0).unwrap_or(0));
        thread::sleep(Duration::from_millis(5));
    }
    let mut report = String::new();
    child.0.stdout.take().unwrap().read_to_string(&mut report).unwrap();
    (peak_kib, report)
}

#[test]
fn sixty_four_connections_need_little_memory() {
    let (_server, url) = serve(100);
    for depth in ["1", "64"] {
        let (kib, report) = run(&url, &["-c", "64", "-p", depth, "-d", "500ms"]);
        assert!(report.contains("requests in"), "{report}");
        assert!((1024..ANONYMOUS_KIB_MAX).contains(&kib), "depth {depth}: {kib} KiB");
    }
}

#[test]
fn a_body_of_a_gibibyte_is_not_held_in_memory() {
    let (_server, url) = serve(1 << 30);
    let (kib, report) = run(&url, &["-c", "1", "-n", "1", "-T", "60s"]);
    assert!(report.contains(" 1 requests in"), "{report}");
    assert!((1024..ANONYMOUS_KIB_MAX).contains(&kib), "{kib} KiB");
}
