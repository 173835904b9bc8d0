//! Under the name `wrk` or `wrk2`, wring is that tool: its grammar, its text and nothing more, its exit
//! codes.
#![expect(clippy::unwrap_used, reason = "a test says what it means by failing")]

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use super::support::scripted::{Script, Scripted};
use super::support::serve::Serve;
use super::support::{Folder, Port, find_program, run, said};

const RUN_MAX: Duration = Duration::from_secs(20);

/// Runs wring under another name.
fn run_as(name: &str, line: &[&str]) -> Output {
    let folder = Folder::new();
    let name = folder.path().join(name);
    symlink(env!("CARGO_BIN_EXE_wring"), &name).unwrap();
    run(Command::new(name).args(line), RUN_MAX)
}

fn as_wrk(line: &[&str]) -> Output {
    run_as("wrk", line)
}

/// Lines with `N` for each number, `U` for each unit behind one, and one blank for several.
fn shape(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    text.lines().map(shape_of_line).collect()
}

fn shape_of_line(line: &str) -> String {
    const UNITS: [&str; 10] = ["us", "ms", "s", "m", "h", "B", "KB", "MB", "GB", "TB"];
    let words = line.split_whitespace().map(|word| {
        let bare = word.trim_end_matches(',');
        let comma = &word[bare.len()..];
        let unit = bare.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        match unit {
            // What wrk prints as the share of nothing.
            "-nan%" | "nan%" => "N%".to_owned(),
            _ if unit.len() == bare.len() => word.to_owned(),
            "" | "%" => format!("N{unit}{comma}"),
            // A deviation may fall on either side of a thousand.
            "k" | "M" => format!("N{comma}"),
            _ if UNITS.contains(&unit) => format!("NU{comma}"),
            _ => word.to_owned(),
        }
    });
    let words: Vec<String> = words.collect();
    // Columns are right-aligned, so blanks depend on the lengths of numbers; indents do not.
    let indent = line.len() - line.trim_start().len();
    format!("{}{}", " ".repeat(indent.min(5)), words.join(" "))
}

fn assert_like_wrk(wrk: &Path, line: &[&str]) {
    let theirs = run(Command::new(wrk).args(line), RUN_MAX);
    let ours = as_wrk(line);
    assert_eq!(ours.status.code(), theirs.status.code(), "{line:?}: {}", said(&ours));
    let context = format!("{line:?}\n{}\n{}", said(&ours), said(&theirs));
    assert_eq!(shape(&ours.stdout), shape(&theirs.stdout), "{context}");
    assert_eq!(ours.stderr, theirs.stderr, "{context}");
}

#[test]
fn the_report_has_wrks_lines_and_no_others() {
    let Some(wrk) = find_program("wrk") else { return };
    let serve = Serve::start(&["--delay", "1ms", "--engine", "tokio-uring"]);
    assert_like_wrk(&wrk, &["-d1s", "-c", "10", "-t2", &serve.url()]);
    assert_like_wrk(&wrk, &["--latency", "-d", "1", "-c4", "-t1", "-HX: y", &serve.url()]);
    let failing = Serve::start(&["--status", "404", "--delay", "1ms", "--engine", "tokio-uring"]);
    assert_like_wrk(&wrk, &["-d1s", "-c2", "-t1", &failing.url()]);
}

#[test]
fn requests_that_time_out_are_in_wrks_line() {
    let server = Scripted::start(Script::Silence);
    let output = as_wrk(&["-d2s", "-c2", "-t1", "--timeout", "1", &server.url()]);
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(text.contains("  Socket errors: connect 0, read 0, write 0, timeout "), "{text}");
    assert!(text.contains("  0 requests in "), "{text}");
}

#[test]
fn what_wrk_refuses_is_refused_in_its_words() {
    let Some(wrk) = find_program("wrk") else { return };
    let port = Port::reserve();
    let dead = format!("http://{}/", port.address());
    assert_like_wrk(&wrk, &["-d1s", "-c2", "-t1", &dead]);
    for line in [
        &[][..],
        &["-c", "1", "-t", "2", &dead],
        &["no-url"],
        &["-d", "x", &dead],
        &["-d", "1.5", &dead],
        &["-d", "100ms", &dead],
        &["-r", &dead],
    ] {
        let theirs = run(Command::new(&wrk).args(line), RUN_MAX);
        let ours = as_wrk(line);
        assert_eq!(ours.status.code(), theirs.status.code(), "{line:?}");
        assert_eq!(shape(&ours.stdout), shape(&theirs.stdout), "{line:?}");
        assert_eq!(said_by(&ours), said_by(&theirs), "{line:?}");
    }
}

/// What is on stderr, without the path of the program that says it.
fn said_by(output: &Output) -> String {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    text.split_once("wrk: ").map_or_else(|| text.clone(), |(_, rest)| rest.to_owned())
}

#[test]
fn what_wrk2_refuses_is_refused_in_its_words_before_any_load() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let missing = "Throughput MUST be specified with the --rate or -R option\n";
    for (line, stderr) in [
        (&[&*url][..], missing),
        (&[&url, "-R", "0"], missing),
        (&["-R", "x", &url], ""),
        (&["-R5"], ""),
        (&["-R5", "-d0", &url], ""),
        (&["-R5", "-c1", "-t2", &url], "number of connections must be >= threads\n"),
        (&["-R5", "no-url"], "invalid URL: no-url\n"),
    ] {
        let output = run_as("wrk2", line);
        assert_eq!(output.status.code(), Some(1), "{line:?}: {}", said(&output));
        let text = String::from_utf8(output.stdout.clone()).unwrap();
        assert!(text.starts_with("Usage: wrk <options> <url>"), "{line:?}: {}", said(&output));
        assert!(text.contains("\n    -U  --u_latency "), "{text}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), stderr, "{line:?}");
    }
    let output = run_as("wrk2", &["-v"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.starts_with(b"wrk 4.0.0 "), "{}", said(&output));
    assert!(listener.accept().is_err(), "load was sent");
}
