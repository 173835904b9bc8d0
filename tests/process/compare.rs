//! `wring compare` on real servers: two that differ and two that do not, builds that wring starts
//! itself, stored results, and what is said when it cannot be.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use super::support::denied::{Denied, by_seccomp};
use super::support::scripted::{Script, Scripted};
use super::support::serve::Serve;
use super::support::{Folder, Port, Running, run, said, wring};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);

fn stdout(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The word of the verdict, which must be the last line and of the one form of its word.
fn word(output: &std::process::Output) -> String {
    let text = stdout(output);
    let last = text.lines().last().unwrap_or_else(|| panic!("{}", said(output)));
    let rest = last.strip_prefix("verdict: B is ").unwrap_or_else(|| panic!("{}", said(output)));
    let (word, rest) = rest.split_once(' ').unwrap_or_else(|| panic!("{last}"));
    let (before, between) = match word {
        "faster" | "slower" => ("than A in ", " by "),
        "same" => ("as A in ", " within "),
        "undecided" => ("against A in ", " at "),
        _ => panic!("{last}"),
    };
    let rest = rest.strip_prefix(before).unwrap_or_else(|| panic!("{last}"));
    let (_, rest) = rest.split_once(between).unwrap_or_else(|| panic!("{last}"));
    let (amount, rest) = rest.split_once(" % (95 %: ").unwrap_or_else(|| panic!("{last}"));
    assert!(amount.parse::<f64>().is_ok(), "{last}");
    let (interval, more) = rest.split_once(')').unwrap_or_else(|| panic!("{last}"));
    let ends: Vec<f64> = interval.split(" to ").filter_map(|end| end.parse().ok()).collect();
    assert!(interval == "unknown" || (ends.len() == 2 && ends[0] <= ends[1]), "{last}");
    let is_whole = more.is_empty()
        || (word == "undecided" && more.starts_with("; some ") && more.ends_with(" would tell"));
    assert!(is_whole, "{last}");
    word.to_owned()
}

/// Whether any of this machine's processes has `mark` in its command line; one that wring started
/// and that is not wring itself.
fn is_running(mark: &str) -> bool {
    let entries = fs::read_dir("/proc").expect("there is a /proc");
    entries.flatten().any(|entry| {
        let own = entry.file_name().to_str() == Some(&std::process::id().to_string());
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        !own && line.contains(mark) && !line.contains("--a-cmd")
    })
}

/// The command of a reference server, with a word in it that no other process has.
fn serve_command(mark: &str, more: &str) -> String {
    let program = env!("CARGO_BIN_EXE_wring");
    format!("exec {program} serve -t1 --listen 127.0.0.1:{{port}} --log {mark} {more}")
}

#[test]
fn an_added_millisecond_is_slower_and_the_exit_code_says_so() {
    let (a, b) = (Serve::start(&["-t1"]), Serve::start(&["-t1", "--delay", "1ms"]));
    let urls = [a.address, b.address].map(|address| format!("http://{address}/"));
    let folder = Folder::new();
    let file = folder.path().join("c.json");
    let json = format!("--json={}", file.display());
    let flags = ["-c2", "-t1", "--max-duration", "10s", "--block", "30ms", json.as_str()];
    let output = wring(&[&["compare", &urls[0], &urls[1]], &flags[..]].concat(), LIMIT);
    assert_eq!(word(&output), "slower", "{}", said(&output));
    assert_eq!(output.status.code(), Some(99), "{}", said(&output));
    let found: Value = serde_json::from_slice(&fs::read(file).expect("written")).expect("JSON");
    assert_eq!(found["comparisons"][0]["verdict"], "slower");
    let blocks = |side: usize| found["sides"][side]["blocks"].as_array().map_or(0, Vec::len);
    assert!(blocks(0) >= 4 && blocks(0) == blocks(1), "{found}");
    // Each server saw one connection for each of -c, kept over all blocks; beside them the one that
    // asks for the counts.
    assert!(
        (2..=3).contains(&a.counts()["connections"].as_u64().expect("a count")),
        "{}",
        a.counts()
    );
}

#[test]
fn a_server_is_not_told_apart_from_itself_in_a_short_comparison() {
    let server = Serve::start(&["-t1"]);
    let url = format!("http://{}/", server.address);
    let flags = ["-c2", "-t1", "--max-duration", "1500ms", "--fail-on", "never", "--format", "md"];
    let output = wring(&[&["compare", &url, &url], &flags[..]].concat(), LIMIT);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let text = stdout(&output);
    let verdict = text.lines().next().unwrap_or_default();
    let is_right =
        ["same", "undecided"].iter().any(|word| verdict.contains(&format!(" is {word} ")));
    assert!(verdict.starts_with("**verdict: B is ") && is_right, "{}", said(&output));
    assert!(text.contains("| requests/sec | A | "), "{text}");
    assert!(text.contains("| ---: |"), "{text}");
}

#[test]
fn builds_are_started_compared_and_stopped() {
    let folder = Folder::new();
    let mark = folder.path().join("compare-builds").display().to_string();
    let commands = [serve_command(&mark, ""), serve_command(&mark, "--delay 2ms")];
    let output = wring(
        &[
            "compare",
            "--a-cmd",
            &commands[0],
            "--b-cmd",
            &commands[1],
            "/",
            "-c2",
            "-t1",
            "--max-duration",
            "3s",
            "--block",
            "40ms",
            "--restarts",
            "3",
        ],
        LIMIT,
    );
    let word = word(&output);
    assert!(["slower", "undecided"].contains(&word.as_str()), "{}", said(&output));
    let text = stdout(&output);
    assert!(text.contains("server CPU/request"), "{text}");
    assert!(text.contains("each side started "), "{text}");
    assert!(!is_running(&mark), "a server is left behind");
}

#[test]
fn a_command_that_ends_or_never_listens_is_shown_and_stopped() {
    let mark = "wring-compare-never-listens";
    let good = serve_command("/dev/null", "");
    let ends = "echo cannot bind {port} because; echo of reasons >&2; exit 7".to_owned();
    let output = wring(&["compare", "--a-cmd", &good, "--b-cmd", &ends], LIMIT);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    let text = stderr(&output);
    for said in ["the server of B ended", "exit status 7", "cannot bind ", "of reasons"] {
        assert!(text.contains(said), "{said}: {text}");
    }
    let silent = format!("exec -a {mark} sleep 600 # {{port}}");
    let silent = format!("exec bash -c '{silent}'");
    let mut command = Command::new(env!("CARGO_BIN_EXE_wring"));
    command.args(["compare", "--a-cmd", &silent, "--b-cmd", &silent]);
    let running = Running::start(&mut command);
    while !is_running(mark) {
        std::thread::sleep(Duration::from_millis(10));
    }
    running.signal("INT");
    let output = running.finish(LIMIT);
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    assert!(!is_running(mark), "a server is left behind");
}

#[test]
fn a_build_that_dies_while_it_is_measured_is_shown() {
    let folder = Folder::new();
    let mark = folder.path().join("compare-dies").display().to_string();
    let good = serve_command(&mark, "");
    let server = serve_command(&mark, "").replace("exec ", "");
    let dies = format!("{server} & sleep 1; kill -9 $!; echo out of luck >&2; exit 9");
    let flags = ["-c2", "-t1", "--margin", "0%", "--max-duration", "50s", "--restarts", "0"];
    let line = [&["compare", "--a-cmd", &good, "--b-cmd", &dies, "/"], &flags[..]].concat();
    let output = wring(&line, LIMIT);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    let text = stderr(&output);
    // On a busy machine it may be gone before its first answer.
    for said in ["the server of B ended ", "(exit status 9)", "out of luck"] {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert!(!is_running(&mark), "a server is left behind");
}

#[test]
fn builds_that_do_not_end_when_asked_are_killed_also_after_two_interrupts() {
    let mark = "wring-compare-stubborn";
    let stubborn = "trap '' TERM; printf 'exec -a MARK sleep 600' | bash; : {port}";
    let stubborn = stubborn.replace("MARK", mark);
    let mut command = Command::new(env!("CARGO_BIN_EXE_wring"));
    command.args(["compare", "--a-cmd", &stubborn, "--b-cmd", &stubborn]);
    let running = Running::start(&mut command);
    while !is_running(mark) {
        std::thread::sleep(Duration::from_millis(10));
    }
    running.signal("INT");
    std::thread::sleep(Duration::from_millis(300));
    running.signal("INT");
    let begun = Instant::now();
    let output = running.finish(LIMIT);
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    assert!(!is_running(mark), "a server is left behind");
    // 200 ms on a machine with time for it; asking politely would take a second more.
    assert!(begun.elapsed() < Duration::from_millis(900), "{:?}", begun.elapsed());
}

#[test]
fn a_server_that_goes_to_the_background_is_told_and_stopped() {
    let folder = Folder::new();
    let mark = folder.path().join("compare-daemon").display().to_string();
    let good = serve_command(&mark, "");
    // A session of its own, as daemons make it, and the command ends while it goes on.
    let server = serve_command(&mark, "").replace("exec ", "");
    let daemon = format!("setsid sh -c '{server}; :' >/dev/null 2>&1 & sleep 0.5");
    let output = wring(
        &["compare", "--a-cmd", &good, "--b-cmd", &daemon, "-c2", "-t1", "--max-duration", "4s"],
        LIMIT,
    );
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    let text = stderr(&output);
    for said in ["the server of B went to the background", "exit status 0", "'daemon off;'"] {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert!(!is_running(&mark), "a server is left behind");
}

#[test]
fn servers_of_plain_commands_do_not_outlive_a_wring_that_is_killed() {
    let folder = Folder::new();
    let mark = folder.path().join("compare-killed").display().to_string();
    let plain = format!("A=1 {}", serve_command(&mark, "").replace("exec ", ""));
    let mut command = Command::new(env!("CARGO_BIN_EXE_wring"));
    command.args(["compare", "--a-cmd", &plain, "--b-cmd", &plain, "-c2", "-t1"]);
    let running = Running::start(command.args(["--max-duration", "50s", "--margin", "0%"]));
    while !is_running(&mark) {
        std::thread::sleep(Duration::from_millis(10));
    }
    running.signal("KILL");
    running.finish(LIMIT);
    let deadline = Instant::now() + LIMIT;
    while is_running(&mark) {
        assert!(Instant::now() < deadline, "a server is left behind");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn the_longest_time_bounds_servers_that_never_listen_or_will_not_end() {
    let folder = Folder::new();
    let mark = folder.path().join("compare-bound").display().to_string();
    let short = ["-c2", "-t1", "--max-duration", "500ms", "--restarts", "0"];
    let never = format!("sleep 600; : {{port}} {mark}");
    let begun = Instant::now();
    let line = [&["compare", "--a-cmd", &never, "--b-cmd", &never], &short[..]].concat();
    let output = wring(&line, LIMIT);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(
        stderr(&output).contains("after 1.00 s, which is what --max-duration left"),
        "{output:?}"
    );
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let server = serve_command(&mark, "").replace("exec ", "");
    let stubborn = format!("trap '' TERM; {server} & while :; do sleep 600; done");
    let begun = Instant::now();
    let line = [&["compare", "--a-cmd", &stubborn, "--b-cmd", &stubborn], &short[..]].concat();
    let output = wring(&line, LIMIT);
    word(&output);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(!is_running(&mark), "a server is left behind");
}

#[test]
fn the_cost_of_servers_that_run_is_told_when_they_are_named() {
    let (a, b) = (Serve::start(&["-t1"]), Serve::start(&["-t1"]));
    let urls = [a.url(), b.url()];
    let pids = [a.id().to_string(), b.id().to_string()];
    let line = ["compare", &urls[0], &urls[1], "-c2", "-t1", "--fail-on", "never", "--json"];
    let named = ["--a-server-pid", &pids[0], "--b-server-pid", &pids[1], "--metric", "cpu"];
    let short = ["--max-duration", "1s"];
    let output = wring(&[&line[..], &named, &short].concat(), LIMIT);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(found["metric"], "server_cpu_ns_per_request");
    for side in 0..2 {
        let cost = &found["sides"][side]["blocks"][0]["server_cpu_ns_per_request"];
        assert!(cost.as_f64().is_some_and(|ns| ns > 0.0), "{found}");
    }
    let unknown = wring(&[&line[..], &["--metric", "cpu"], &short].concat(), LIMIT);
    assert_eq!(unknown.status.code(), Some(2), "{}", said(&unknown));
    assert!(stderr(&unknown).contains("by --a-server-pid and --b-server-pid"), "{unknown:?}");
    let gone = ["--a-server-pid", "4194305", "--b-server-pid", &pids[1]];
    let gone = wring(&[&line[..], &gone, &short].concat(), LIMIT);
    assert_eq!(gone.status.code(), Some(2), "{}", said(&gone));
    assert!(stderr(&gone).contains("--a-server-pid 4194305 cannot be watched"), "{gone:?}");
}

#[test]
fn failures_that_hide_the_percentile_leave_the_comparison_undecided_and_are_told() {
    let (a, b) = (Serve::start(&["-t1"]), Serve::start(&["-t1", "--faults", "5%"]));
    let line =
        ["compare", &a.url(), &b.url(), "-c4", "-t1", "--metric", "p99", "-T300ms", "--json"];
    let output = wring(&[&line[..], &["--max-duration", "6s", "--block", "200ms"]].concat(), LIMIT);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let comparison = &found["comparisons"][0];
    assert_eq!(comparison["verdict"], "undecided", "{comparison}");
    let left_out = comparison["left_out"].as_array().expect("a list");
    let p99 = left_out.iter().find(|left_out| left_out["metric"] == "p99_ns").expect("p99");
    assert!(p99["by_failures"].as_u64().is_some_and(|pairs| pairs > 0), "{comparison}");
    let differences = comparison["differences"].as_array().expect("a list");
    let failed = differences.iter().find(|d| d["metric"] == "failed_share").expect("failed");
    let number = |key: &str| failed[key].as_f64().expect("a number");
    assert!(number("difference") > 0.01 && number("high") <= 1.0, "{failed}");
    assert!(found["sides"][1]["answers"]["failed"]["eof"].is_number(), "{}", found["sides"][1]);
}

#[test]
fn answers_that_fail_a_check_are_counted_for_each_side_and_end_with_their_code() {
    let (a, b) = (Serve::start(&["-t1"]), Serve::start(&["-t1", "--status", "500"]));
    let (url_a, url_b) = (a.url(), b.url());
    let line = ["compare", &url_a, &url_b, "-c2", "-t1", "--max-duration", "1s"];
    let plain = wring(&[&line[..], &["--fail-on", "never"]].concat(), LIMIT);
    assert_eq!(plain.status.code(), Some(0), "{}", said(&plain));
    let text = stdout(&plain);
    assert!(text.contains("Answers\n  A  2xx ") && text.contains("\n  B  5xx "), "{text}");
    assert!(text.contains(" are outside 2xx and 3xx\n"), "{text}");
    let checked = wring(&[&line[..], &["--fail-on", "never", "--expect", "200"]].concat(), LIMIT);
    assert_eq!(checked.status.code(), Some(99), "{}", said(&checked));
    let text = stdout(&checked);
    assert!(text.contains("  A  0 of ") && text.contains("(expected: 200)"), "{text}");
    let bodies = ["--expect-body-bytes", "7", "--expect-body-hash", "--json"];
    let bodies = wring(&[&line[..], &bodies].concat(), LIMIT);
    assert_eq!(bodies.status.code(), Some(99), "{}", said(&bodies));
    let found: Value = serde_json::from_slice(&bodies.stdout).expect("JSON");
    let answers = &found["sides"][0]["answers"];
    assert_eq!(answers["failed_checks"]["body_bytes"], answers["completed"], "{answers}");
    assert_eq!(answers["failed_checks"]["body_hash"], 0, "every body is the same");
}

#[test]
fn a_server_that_dies_while_it_is_measured_ends_the_comparison() {
    let server = Serve::start(&["-t1"]);
    let dying = Serve::start(&["-t1"]);
    let urls = [server.address, dying.address].map(|address| format!("http://{address}/"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_wring"));
    command.args(["compare", &urls[0], &urls[1], "-c2", "-t1", "--max-duration", "50s"]);
    command.args(["--margin", "0%"]);
    let running = Running::start(&mut command);
    dying.await_requests();
    dying.kill();
    let output = running.finish(LIMIT);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(stderr(&output).contains("wring: error: B"), "{}", said(&output));
}

#[test]
fn stored_results_are_compared_if_they_were_made_alike() {
    // Runs of a server without a delay differ too much on a busy machine.
    let [fast, slow] = ["1ms", "15ms"].map(|delay| Serve::start(&["-t1", "--delay", delay]));
    let folder = Folder::new();
    let store = |server: &Serve, name: &str, connections: &str| -> String {
        let path = folder.path().join(name).display().to_string();
        let url = format!("http://{}/", server.address);
        let output = wring(&["-d120ms", "-t1", connections, "-o", &path, &url], LIMIT);
        assert!(output.status.success(), "{}", said(&output));
        path
    };
    let a: Vec<String> = (0..4).map(|n| store(&fast, &format!("a{n}.json"), "-c2")).collect();
    let b: Vec<String> = (0..4).map(|n| store(&slow, &format!("b{n}.json"), "-c2")).collect();
    let output = wring(&["compare", &a.join(","), &b.join(","), "--fail-on", "never"], LIMIT);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(word(&output), "slower", "{}", said(&output));

    let alone = wring(&["compare", &a[0], &b[0], &a[1], "--fail-on", "undecided"], LIMIT);
    assert_eq!(alone.status.code(), Some(99), "{}", said(&alone));
    let text = stdout(&alone);
    assert!(text.contains("no interval can be given"), "{text}");
    assert!(text.contains("verdict: C is undecided against A"), "{text}");

    let other = store(&fast, "other.json", "-c3");
    let unlike = wring(&["compare", &a[0], &other], LIMIT);
    assert_eq!(unlike.status.code(), Some(2), "{}", said(&unlike));
    assert!(stderr(&unlike).contains("connections: 2 and 3"), "{}", said(&unlike));
    let forced = wring(&["compare", &a[0], &other, "--force", "--json"], LIMIT);
    assert_eq!(forced.status.code(), Some(0), "{}", said(&forced));
    let found: Value = serde_json::from_slice(&forced.stdout).expect("JSON");
    assert!(found["notes"].to_string().contains("connections: 2 and 3"), "{found}");

    let copy = folder.path().join("copy.json").display().to_string();
    fs::copy(&a[0], &copy).expect("writable");
    let again = format!("{},{}", a[0], a[0]);
    let dotted = a[0].replace("a0.json", "./a0.json");
    for line in [[&again, &b[0]], [&a[0], &dotted], [&a[0], &copy]] {
        let refused = wring(&["compare", line[0], line[1]], LIMIT);
        assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
        assert!(stderr(&refused).contains("are the same run"), "{}", said(&refused));
    }

    let hanging = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", hanging.local_addr().expect("bound"));
    let empty = folder.path().join("empty.json").display().to_string();
    wring(&["-d120ms", "-t1", "-c2", "-T100ms", "--drain", "0s", "-o", &empty, &url], LIMIT);
    let refused = wring(&["compare", &a[0], &empty, "--force"], LIMIT);
    assert_eq!(refused.status.code(), Some(3), "{}", said(&refused));
    assert!(stderr(&refused).contains("no request completed in the run in '"), "{refused:?}");
    assert!(stderr(&refused).contains("empty.json'"), "{refused:?}");

    let newer = folder.path().join("newer.json").display().to_string();
    let mut stored: Value = serde_json::from_slice(&fs::read(&a[0]).expect("there")).expect("JSON");
    stored["schema_version"] = 9999.into();
    fs::write(&newer, stored.to_string()).expect("writable");
    let refused = wring(&["compare", &a[0], &newer], LIMIT);
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    assert!(stderr(&refused).contains("schema version 9999"), "{}", said(&refused));
}

#[test]
fn what_cannot_be_compared_is_refused_before_any_load() {
    let nobody = Port::reserve();
    let url = format!("http://{}/", nobody.address());
    for (words, code, expected) in [
        (vec![url.as_str()], 2, "is one side only"),
        (vec![&url, "nonsense"], 2, "neither a URL nor a stored result"),
        (vec![&url, &url, "-d1s"], 2, "-d has no meaning"),
        (vec![&url, &url, "-q"], 3, ": no connection to"),
    ] {
        let output = wring(&[&["compare"], &words[..]].concat(), LIMIT);
        assert_eq!(output.status.code(), Some(code), "{words:?} {}", said(&output));
        assert!(stderr(&output).contains(expected), "{words:?} {}", said(&output));
        assert!(output.stdout.is_empty(), "{}", said(&output));
    }
}

#[test]
fn where_io_uring_is_denied_both_sides_run_on_epoll_and_it_is_said() {
    const EPERM: i32 = 1;
    let serve = Serve::start(&["-t1"]);
    let url = serve.url();
    let folder = Folder::new();
    let command = serve_command(&folder.path().join("log").display().to_string(), "");
    let sides: [&[&str]; 2] = [&[&url, &url], &["--a-cmd", &command, "--b-cmd", &command, "/"]];
    for (denied, sides) in [Denied::Setup, Denied::Enter].into_iter().zip(sides) {
        let file = folder.path().join("c.json");
        let json = format!("--json={}", file.display());
        let flags = ["-c2", "-t1", "--max-duration", "2s", "--block", "30ms", &json];
        let Some(mut line) = by_seccomp(denied, EPERM) else { return };
        let output = run(line.arg("compare").args(sides).args(flags), LIMIT);
        assert!(stdout(&output).contains("verdict: B is "), "{}", said(&output));
        let notes = |text: &str| text.matches("epoll is used instead").count();
        let (text, stderr) = (stdout(&output), stderr(&output));
        assert_eq!((notes(&stderr), notes(&text)), (1, 1), "{}", said(&output));
        assert!(stderr.contains("wring: note: io_uring cannot be used here: a seccomp filter"));
        let found: Value = serde_json::from_slice(&fs::read(file).expect("written")).expect("JSON");
        assert_eq!(notes(&found["notes"].to_string()), 1, "{}", found["notes"]);
        let Some(mut line) = by_seccomp(denied, EPERM) else { return };
        let output = run(line.arg("compare").args(sides).args(["--engine", "uring"]), LIMIT);
        assert_eq!(output.status.code(), Some(3), "{}", said(&output));
        assert!(said(&output).contains("seccomp filter"), "{}", said(&output));
    }
}

#[test]
fn both_sides_are_sent_what_standard_input_gives_once() {
    let folder = Folder::new();
    let body = folder.path().join("body");
    fs::write(&body, "from standard input").unwrap();
    let [a, b] = [(), ()].map(|()| {
        Scripted::start(Script::Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()))
    });
    let line =
        "exec \"$0\" compare -b @- -c1 -t1 --block 20ms --max-duration 600ms \"$2\" \"$3\" <\"$1\"";
    let mut command = Command::new("sh");
    command.args(["-c", line, env!("CARGO_BIN_EXE_wring")]).arg(&body).args([a.url(), b.url()]);
    let output = run(&mut command, LIMIT);
    assert!(matches!(output.status.code(), Some(0 | 99)), "{}", said(&output));
    for server in [a, b] {
        let received = server.received().concat();
        let text = String::from_utf8_lossy(&received);
        assert!(text.contains("\r\n\r\nfrom standard input"), "{text:.200}");
    }
}
