//! What cannot be measured is refused: before a byte is sent, with one message, in time.
#![expect(clippy::unwrap_used, reason = "a test says what it means by failing")]

use std::io;
use std::net::TcpListener;
use std::process::{Command, Output};
use std::time::Duration;

use super::support::serve::Serve;
use super::support::{Folder, Port, assert_identities_hold, number, report_of, run, said, wring};

/// Bounds a hang. What would wait for something in vain waits for longer.
const RUN_MAX: Duration = Duration::from_secs(20);

/// A listener that must see nobody.
struct Bystander(TcpListener);

impl Bystander {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.0.local_addr().unwrap())
    }

    fn saw_nobody(&self) -> bool {
        self.0.accept().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Runs `arguments`, which must be refused with one message that holds `words`.
    fn check(&self, arguments: &[&str], words: &[&str]) {
        let output = wring(arguments, RUN_MAX);
        assert_refused(&output, 2, words, arguments);
        assert!(self.saw_nobody(), "{arguments:?} sent load");
    }
}

fn assert_refused(output: &Output, code: i32, words: &[&str], arguments: &[&str]) {
    let said = said(output);
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert!(output.stdout.is_empty(), "{arguments:?}: {said}");
    assert_eq!(stderr.matches("error:").count(), 1, "{arguments:?}: {said}");
    assert!(stderr.starts_with("wring: error: "), "{arguments:?}: {said}");
    assert!(stderr.lines().count() <= 2, "{arguments:?}: more than a message and a hint: {said}");
    assert!(stderr.lines().skip(1).all(|line| line.starts_with("  hint: ")), "{said}");
    let is_plain = |c: char| c == '\n' || !c.is_control();
    assert!(stderr.chars().all(is_plain), "{arguments:?}: control characters: {said}");
    for word in words {
        assert!(stderr.contains(word), "{arguments:?}: no '{word}' in: {said}");
    }
}

#[test]
fn a_url_that_is_none_is_refused_by_what_is_wrong_with_it() {
    let bystander = Bystander::new();
    let url = bystander.url("");
    let authority = url.trim_start_matches("http://").to_owned();
    let user = format!("http://me:secret@{authority}");
    bystander.check(&[], &["no URL"]);
    bystander.check(&[""], &["empty"]);
    bystander.check(&[&authority], &[&authority, "http://"]);
    bystander.check(&["http://127.0.0.1:0/"], &["'0'", "1 to 65535"]);
    bystander.check(&["http://127.0.0.1:70000/"], &["'70000'", "1 to 65535"]);
    bystander.check(&["http://127.0.0.1:-1/"], &["-1"]);
    bystander.check(&["http:///path"], &["no host"]);
    bystander.check(&["http://[::1/"], &["[::1"]);
    bystander.check(&[&format!("ftp://{authority}")], &["ftp"]);
    bystander.check(&[&user], &["user name", "-u"]);
    let output = wring(&[&user], RUN_MAX);
    assert!(!said(&output).contains("secret"), "the password is shown: {}", said(&output));
    bystander.check(&[&bystander.url("a b")], &["/a b", "%20"]);
    bystander.check(&[&bystander.url("a\r\nX: y")], &["a\\r\\nX: y", "control character"]);
    bystander.check(&[&bystander.url("a\rb")], &["a\\rb"]);
    bystander.check(&[&bystander.url("a\nb")], &["a\\nb"]);
}

#[test]
fn a_host_that_would_split_the_request_is_refused_wherever_it_is_named() {
    let bystander = Bystander::new();
    let url = bystander.url("");
    let authority = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
    for (host, shown) in [
        ("exa\r\nmple", "exa\\r\\nmple"),
        (&*format!("{authority}\r\nX: y"), "\\r\\nX: y"),
        (&*format!("{authority}\n"), "\\n"),
        ("127.0.0.1\r:80", "\\r:80"),
    ] {
        bystander.check(&[&format!("http://{host}/")], &[shown, "control character"]);
    }
    for host in ["127.0.0.1%0d%0aX", "127.0.0.1%0a", "a%00b"] {
        bystander.check(&[&format!("http://{host}/")], &[host, "neither a host name nor"]);
    }
    bystander.check(&[&url, "-H", "Host: a\r\nX: y"], &["\"Host\"", "CR, LF or NUL"]);
    bystander.check(&[&url, "--resolve", "a\r\nb:80:127.0.0.1"], &["--resolve: 'a\\r\\nb"]);
    bystander.check(&[&url, "--proxy", "http://a\r\nb:80"], &["--proxy: 'http://a\\r\\nb"]);
}

#[test]
fn words_that_are_no_command_are_refused_with_a_suggestion() {
    let bystander = Bystander::new();
    let url = bystander.url("");
    bystander.check(&["selftset"], &["selftset", "selftest"]);
    bystander.check(&["frobnicate"], &["frobnicate"]);
    bystander.check(&["--nope", &url], &["--nope"]);
    bystander.check(&["-Z", &url], &["-Z"]);
    bystander.check(&[&url, "extra"], &["extra"]);
    bystander.check(&["run"], &["no URL"]);
    bystander.check(&["report"], &["RESULT"]);
    bystander.check(&["completions", "tcsh"], &["tcsh"]);
    bystander.check(&["serve", "--listen", "nowhere"], &["nowhere"]);
    bystander.check(&["serve", "--body", "-1"], &["-1"]);
    bystander.check(&["report", "/nowhere/r"], &["/nowhere/r"]);
}

#[test]
fn a_number_that_makes_no_load_is_refused_by_its_value() {
    let bystander = Bystander::new();
    let url = bystander.url("");
    for flag in ["-c", "-t", "-p", "-n"] {
        for value in ["0", "-1", "1.5", "x", "99999999999999999999999"] {
            bystander.check(&[flag, value, &url], &[&format!("'{value}'")]);
        }
        bystander.check(&[flag, "", &url], &["empty"]);
    }
    for flag in ["-d", "-T", "--warmup", "--drain", "--connect-timeout", "--interval"] {
        for value in ["-1", "-1s", "nan", "NaN", "inf", "1e30", "1e30s", "5 parsecs"] {
            bystander.check(&[flag, value, &url], &[&format!("'{value}'")]);
        }
        bystander.check(&[flag, "", &url], &["empty"]);
    }
    bystander.check(&["-T", "0", &url], &["'0'"]);
    bystander.check(&["-c0", &url], &["'0'"]);
    bystander.check(&["--seed", "-1", &url], &["'-1'"]);
    bystander.check(&["--connections=0", &url], &["'0'"]);
    bystander.check(&["-c"], &["-c"]);
}

#[test]
fn a_schedule_that_sends_nothing_or_says_two_things_is_refused() {
    let bystander = Bystander::new();
    let url = bystander.url("");
    for value in ["0", "0/m", "-1", "-0.1/s", "nan", "NaN/s", "inf", "1e30", "2G", "5/parsec"] {
        bystander.check(&["-R", value, &url], &["--rate", &format!("'{value}'")]);
    }
    bystander.check(&["-R", "", &url], &["--rate", "empty"]);
    bystander.check(&["-R", "0.1", "-d", "9s", &url], &["-R", "0.1/s", "no request"]);
    bystander.check(&["-R", "10/h", &url], &["-R", "10/h", "no request"]);
    bystander.check(&["-R5", "--stages", "5:1s", &url], &["5/s", "'5:1s'", "contradict"]);
    bystander.check(&["--stages", "5:1s", "-d5", &url], &["-d (5s)", "'5:1s'", "contradict"]);
    bystander.check(&["--stages", "5:1s", "-d0", &url], &["-d (0s)", "contradict"]);
    bystander.check(&["--stages", "5:1s", "-n0", &url], &["'0'"]);
    for stages in ["5", "5:", ":5s", "5:1s,", "a->5:1s", "5->:1s", "5:0s", "5:-1s", "0->1:1s"] {
        bystander.check(&["--stages", stages, &url], &["--stages", "stage"]);
    }
    for (flag, value) in [("--arrivals", "poisson"), ("--deadline", "1s")] {
        bystander.check(&[flag, value, &url], &[flag, "needs a rate", "-R 10k"]);
    }
    bystander.check(&["-U", &url], &["-U needs a rate"]);
    bystander.check(&["--u_latency", &url], &["-U needs a rate"]);
    bystander.check(&["-R5", "--arrivals", "random", &url], &["'random'", "poisson"]);
    let fast = ["--arrivals poisson", "11,000,000/s", "at most 10,000,000/s", "evenly spaced"];
    bystander.check(&["-R11M", "--arrivals", "poisson", &url], &fast);
    let stages = ["--stages", "0->11M:1s", "--arrivals", "poisson", &url];
    bystander.check(&stages, &fast);
    bystander.check(&["-R5", "--deadline", "0", &url], &["--deadline", "'0'"]);
    bystander.check(&["-R5", "-B", &url], &["-B", "own intended time"]);
}

#[test]
fn a_request_that_cannot_be_sent_is_refused() {
    let bystander = Bystander::new();
    let url = bystander.url("");
    let folder = Folder::new();
    let (missing, directory) = (folder.path().join("missing"), folder.path());
    let missing = format!("@{}", missing.display());
    let directory = format!("@{}", directory.display());
    bystander.check(&["-b", &missing, &url], &[&missing[1..]]);
    bystander.check(&["-b", &directory, &url], &[&directory[1..], "directory"]);
    bystander.check(&["-b", "@", &url], &["@"]);
    bystander.check(&["-X", "GE\nT", &url], &["GE\\nT"]);
    bystander.check(&["-X", "GE T", &url], &["GE T"]);
    bystander.check(&["-X", "", &url], &["method"]);
    // A value may be a secret, so it is named by its field.
    bystander.check(&["-H", "A: b\r\nC: d", &url], &["\"A\"", "CR, LF or NUL"]);
    bystander.check(&["-H", "A\n: b", &url], &["\"A ***\""]);
    bystander.check(&["-H", "A: b\nc", &url], &["\"A\"", "CR, LF or NUL"]);
    bystander.check(&["-H", "nocolon", &url], &["nocolon"]);
    bystander.check(&["-H", ": empty", &url], &["name"]);
    bystander.check(&["-H", "A b: c", &url], &["A ***"]);
    bystander.check(&["-H", "Content-Length: 5", "-b", "abc", &url], &["Content-Length", "5"]);
    bystander.check(&["-H", "Transfer-Encoding: chunked", "-b", "a", &url], &["Transfer-Encoding"]);
    bystander.check(&["-H", "Host: a", "-H", "host: b", &url], &["Host"]);
}

#[test]
fn flags_that_contradict_each_other_or_the_machine_are_refused() {
    let bystander = Bystander::new();
    let url = bystander.url("");
    bystander.check(&["-q", "-v", &url], &["-q", "-v"]);
    bystander.check(&["--no-pin", "--cpus", "0", &url], &["--no-pin", "--cpus"]);
    bystander.check(&["--cpus", "4000", &url], &["4000"]);
    bystander.check(&["--cpus", "a-b", &url], &["a-b"]);
    bystander.check(&["--engine", "magic", &url], &["magic"]);
    bystander.check(&["--color", "blue", &url], &["blue"]);
    bystander.check(&["--tcp-congestion", "nope", &url], &["nope"]);
    bystander.check(&["-s", "a.lua", &url], &["-s", "Lua"]);
}

#[test]
fn a_report_that_cannot_be_written_is_told_before_the_load() {
    let bystander = Bystander::new();
    let url = bystander.url("");
    let folder = Folder::new();
    let directory = folder.path().display().to_string();
    let missing = format!("{directory}/missing/r");
    let same = format!("{directory}/r");
    for path in [&directory, &missing] {
        bystander.check(&[&format!("--json={path}"), &url], &[path, "--json"]);
        bystander.check(&["-o", path, &url], &[path, "-o"]);
    }
    bystander.check(&[&format!("--json={same}"), "-o", &same, &url], &[&same]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "files are left behind");
}

#[test]
fn nobody_listening_is_told_in_time_with_the_cause() {
    let dead = Port::reserve();
    let url = format!("http://{}/", dead.address());
    for connections in ["1", "64", "1000"] {
        let arguments = [&*url, "-c", connections, "-T", "60s", "-d", "60s"];
        let output = wring(&arguments, RUN_MAX);
        assert_refused(&output, 3, &["refused", &url[7..url.len() - 1]], &arguments);
    }
}

#[test]
fn a_name_without_an_address_is_told_in_time_with_the_cause() {
    let arguments = ["http://no-such-name.invalid:8080/"];
    assert_refused(&wring(&arguments, RUN_MAX), 3, &["no-such-name.invalid"], &arguments);
}

/// wring under the limits that `ulimit` sets.
fn limited(ulimit: &str, url: &str) -> Output {
    let script = format!("ulimit {ulimit} && exec \"$0\" \"$@\"");
    let wring = env!("CARGO_BIN_EXE_wring");
    run(
        Command::new("sh").args(["-c", &script, wring, url, "-c", "100", "-n", "1000", "--json"]),
        RUN_MAX,
    )
}

#[test]
fn a_soft_descriptor_limit_is_raised_and_a_hard_one_told_with_the_number_needed() {
    let serve = Serve::start(&[]);
    let output = limited("-Sn 50", &serve.url());
    assert!(output.status.success(), "{}", said(&output));
    let report = report_of(&output);
    assert_eq!(number(&report, "/connections/open_at_start"), 100);
    assert_identities_hold(&report);
    let before = serve.counts()["connections"].as_u64().unwrap();
    let output = limited("-n 50", &serve.url());
    assert_refused(&output, 2, &["-c 100 on ", " thread", "limit is 50"], &["ulimit -n 50"]);
    // The question itself is a connection.
    assert_eq!(serve.counts()["connections"].as_u64().unwrap(), before + 1);
}

/// The number that a refusal for want of descriptors says is needed.
fn needed(output: &Output) -> u64 {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let (before, _) = stderr.split_once(" file descriptors are needed").expect("a number");
    before.rsplit(' ').next().and_then(|number| number.parse().ok()).expect("a number")
}

#[test]
fn the_descriptors_that_are_said_to_be_needed_are_enough_and_no_fewer_are_tried() {
    let serve = Serve::start(&[]);
    let folder = Folder::new();
    let stored = folder.path().join("r").display().to_string();
    let url = serve.url();
    let rate = ["-c", "30", "-t", "30", "-R", "1k", "-d", "100ms"];
    for line in [
        &["-c", "1", "-n", "50"][..],
        &["-c", "40", "-t", "40", "-n", "500"],
        &["-c", "40", "-t", "40", "-n", "500", "--engine", "epoll"],
        &rate,
        &["-c", "40", "-n", "500", "--no-keepalive", "-o", &stored],
    ] {
        let limited = |descriptors: u64| {
            let script = format!("ulimit -n {descriptors} && exec \"$0\" \"$@\"");
            let wring = ["-c", &script, env!("CARGO_BIN_EXE_wring"), &url, "--json"];
            run(Command::new("sh").args([&wring[..], line].concat()), RUN_MAX)
        };
        let needed = needed(&limited(10));
        assert!(needed < 150, "{needed} for {line:?}");
        let refused = limited(needed - 1);
        assert_eq!(refused.status.code(), Some(2), "{line:?}: {}", said(&refused));
        let output = limited(needed);
        assert!(matches!(output.status.code(), Some(0 | 4)), "{line:?}: {}", said(&output));
        let report = report_of(&output);
        assert_identities_hold(&report);
        assert_eq!(number(&report, "/connections/failures/local"), 0, "{line:?}: {report}");
    }
}
