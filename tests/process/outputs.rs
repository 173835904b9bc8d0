//! Where results go, and what happens when they cannot go there.
#![expect(clippy::unwrap_used, reason = "a test says what it means by failing")]

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::support::serve::Serve;
use super::support::{
    Folder, Running, find_program, is_measured, number, report_of, run, said, wring,
};

const RUN_MAX: Duration = Duration::from_secs(20);
const WRING: &str = env!("CARGO_BIN_EXE_wring");

fn names(folder: &Folder) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn json_on_stdout_is_one_object_and_nothing_else() {
    let serve = Serve::start(&[]);
    let output = wring(&[&serve.url(), "-n", "100", "--json"], RUN_MAX);
    assert!(output.status.success(), "{}", said(&output));
    let report = report_of(&output);
    assert_eq!(report["schema_version"], 2);
    assert_eq!(number(&report, "/requests/completed"), 100);
    assert_eq!(output.stdout.iter().filter(|&&byte| byte == b'\n').count(), 1);
}

#[test]
fn json_in_a_file_leaves_stdout_to_the_text() {
    let serve = Serve::start(&[]);
    let folder = Folder::new();
    let path = folder.path().join("r.json");
    let json = format!("--json={}", path.display());
    let output = wring(&[&serve.url(), "-n", "100", &json], RUN_MAX);
    assert!(output.status.success(), "{}", said(&output));
    assert!(output.stdout.starts_with(b"Running "), "{}", said(&output));
    let report: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(number(&report, "/requests/completed"), 100);
    assert_eq!(names(&folder), ["r.json"]);
}

#[test]
fn a_stored_result_renders_as_it_was_first_printed() {
    let serve = Serve::start(&[]);
    let folder = Folder::new();
    let (stored, json) = (folder.path().join("r"), folder.path().join("r.json"));
    let stored = stored.to_str().unwrap();
    let json_flag = format!("--json={}", json.display());
    for look in [&[][..], &["-L"], &["-v"], &["-L", "-v"]] {
        let run = [&*serve.url(), "-d", "200ms", "-p", "4", "-o", stored, &json_flag];
        let first = wring(&[&run[..], look].concat(), RUN_MAX);
        assert!(first.status.success(), "{}", said(&first));
        let again = wring(&[&["report", stored], look].concat(), RUN_MAX);
        assert!(again.status.success(), "{}", said(&again));
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        assert_eq!(text(&again.stdout), text(&first.stdout), "{look:?}");
        let again = wring(&["report", stored, "--format", "json"], RUN_MAX);
        assert_eq!(text(&again.stdout), text(&fs::read(&json).unwrap()));
    }
    assert_eq!(names(&folder), ["r", "r.json"]);
}

#[test]
fn a_result_that_is_none_is_refused_in_words() {
    let folder = Folder::new();
    let path = folder.path().join("r");
    for bytes in [&b""[..], b"{}", b"{\"schema_version\":99}", b"\0\x1b[31m", b"[1,2", &[0xff; 64]]
    {
        fs::write(&path, bytes).unwrap();
        let output = wring(&["report", path.to_str().unwrap()], RUN_MAX);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(output.stdout.is_empty() && !output.stderr.contains(&0x1b), "{}", said(&output));
    }
}

#[test]
fn a_reader_that_has_gone_away_costs_no_file() {
    let serve = Serve::start(&[]);
    let folder = Folder::new();
    let (stored, json) = (folder.path().join("r"), folder.path().join("r.json"));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut child = Command::new(WRING)
        .args([&*serve.url(), "-n", "100", "-o", stored.to_str().unwrap()])
        .arg(format!("--json={}", json.display()))
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(names(&folder), ["r", "r.json"]);
    assert!(fs::metadata(json).unwrap().len() > 0 && fs::metadata(stored).unwrap().len() > 0);
}

#[test]
fn a_head_behind_the_pipe_sees_its_line_and_nobody_complains() {
    let serve = Serve::start(&[]);
    let script = "\"$0\" \"$1\" -n 100 | head -1; echo end";
    let output = run(Command::new("sh").args(["-c", script, WRING, &serve.url()]), RUN_MAX);
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(text.starts_with("Running ") && text.ends_with("\nend\n"), "{}", said(&output));
    assert!(output.stderr.is_empty(), "{}", said(&output));
}

#[test]
fn a_full_disk_is_told_and_costs_the_other_outputs_nothing() {
    let serve = Serve::start(&[]);
    let folder = Folder::new();
    let json = folder.path().join("r.json");
    let json_flag = format!("--json={}", json.display());
    let output = wring(&[&serve.url(), "-n", "100", "-o", "/dev/full", &json_flag], RUN_MAX);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(stderr.contains("/dev/full") && stderr.contains("space"), "{stderr}");
    assert!(output.stdout.starts_with(b"Running "), "{}", said(&output));
    assert_eq!(names(&folder), ["r.json"]);
}

#[test]
fn a_full_disk_behind_stdout_is_told() {
    let serve = Serve::start(&[]);
    let script = "exec \"$0\" \"$1\" -n 100 >/dev/full";
    let output = run(Command::new("sh").args(["-c", script, WRING, &serve.url()]), RUN_MAX);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(String::from_utf8_lossy(&output.stderr).contains("stdout"), "{}", said(&output));
}

#[test]
fn an_interrupted_run_writes_its_files_and_leaves_no_other() {
    let serve = Serve::start(&[]);
    let folder = Folder::new();
    let stored = folder.path().join("r");
    let arguments = [&*serve.url(), "-d", "60s", "-o", stored.to_str().unwrap()];
    let running = Running::start(Command::new(WRING).args(arguments));
    serve.await_requests();
    running.signal("INT");
    let output = running.finish(RUN_MAX);
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    assert_eq!(names(&folder), ["r"]);
    let again = wring(&["report", stored.to_str().unwrap()], RUN_MAX);
    assert_eq!(again.stdout, output.stdout);
}

#[test]
fn without_a_terminal_nothing_is_coloured_or_redrawn() {
    let serve = Serve::start(&[]);
    for look in [&[][..], &["-v", "-L"], &["-t", "9", "-c", "2"]] {
        let output = wring(&[&[&*serve.url(), "-d", "300ms"], look].concat(), RUN_MAX);
        assert!(output.status.success(), "{}", said(&output));
        for stream in [&output.stdout, &output.stderr] {
            let text = String::from_utf8(stream.clone()).unwrap();
            assert!(!text.chars().any(|c| c != '\n' && c.is_control()), "{text:?}");
        }
    }
}

#[test]
fn on_a_terminal_the_line_is_redrawn_at_most_four_times_a_second() {
    let Some(script) = find_program("script") else { return };
    let serve = Serve::start(&["--delay", "2ms", "--engine", "tokio-uring"]);
    let line = format!("{WRING} {} -c 4 -d 2s", serve.url());
    let output = run(Command::new(script).args(["-qec", &line, "/dev/null"]), RUN_MAX);
    assert!(output.status.success(), "{}", said(&output));
    let text = String::from_utf8_lossy(&output.stdout);
    let redraws = text.matches(" req/s").count();
    // One at the start, one for each quarter of the two seconds; fewer on a busy machine.
    assert!((2..=10).contains(&redraws), "{redraws} redraws in {text:?}");
    assert!(text.contains("verdict:"), "{text}");
}

#[test]
fn a_quiet_run_has_nothing_on_stderr() {
    let serve = Serve::start(&[]);
    let output = wring(&[&serve.url(), "-q", "-t", "9", "-c", "2", "-b", "x", "-n", "9"], RUN_MAX);
    assert!(output.status.success() && output.stderr.is_empty(), "{}", said(&output));
}

#[test]
fn secrets_are_in_no_output() {
    let serve = Serve::start(&[]);
    let folder = Folder::new();
    let stored = folder.path().join("r");
    let secret = "c2VjcmV0";
    let authorization = format!("Authorization: Basic {secret}");
    let cookie = format!("-HCookie: session={secret}");
    let url = serve.url();
    let run = [&*url, "-H", &authorization, &cookie, "-n", "9", "-v", "-o"];
    let output = wring(&[&run[..], &[stored.to_str().unwrap()]].concat(), RUN_MAX);
    assert!(output.status.success(), "{}", said(&output));
    assert!(!said(&output).contains(secret), "{}", said(&output));
    assert!(!String::from_utf8(fs::read(stored).unwrap()).unwrap().contains(secret));
}

#[test]
fn completions_and_the_manual_know_every_flag() {
    let help = wring(&["--help"], RUN_MAX);
    let help = String::from_utf8(help.stdout).unwrap();
    let flags: Vec<&str> = help
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
        .filter(|word| word.len() > 3 && word.starts_with("--"))
        .collect();
    assert!(flags.len() > 25, "{flags:?}");
    for page in [&["man"][..], &["completions", "bash"], &["completions", "zsh"]] {
        let output = wring(page, RUN_MAX);
        // roff writes a hyphen as \-.
        let text = String::from_utf8(output.stdout).unwrap().replace("\\-", "-");
        for flag in &flags {
            assert!(text.contains(flag), "{page:?} lacks {flag}");
        }
    }
    let fish = String::from_utf8(wring(&["completions", "fish"], RUN_MAX).stdout).unwrap();
    for flag in &flags {
        assert!(fish.contains(&format!("-l {}", &flag[2..])), "fish lacks {flag}");
    }
}

#[test]
fn a_terminal_that_is_dumb_or_of_no_kind_gets_no_escapes() {
    let Some(script) = find_program("script") else { return };
    let serve = Serve::start(&["--delay", "2ms", "--engine", "tokio-uring"]);
    let folder = Folder::new();
    let stored = folder.path().join("r").display().to_string();
    assert!(is_measured(&wring(&[&serve.url(), "-n", "50", "-q", "-o", &stored], RUN_MAX)));
    let wring = env!("CARGO_BIN_EXE_wring");
    let live = format!("{wring} {} -d 600ms -c 2", serve.url());
    for line in [format!("{wring} report {stored}"), live] {
        let on_terminal = |kind: Option<&str>| {
            let mut command = Command::new(&script);
            command.args(["-qec", &line, "/dev/null"]).env_remove("TERM").env_remove("NO_COLOR");
            kind.map(|kind| command.env("TERM", kind));
            String::from_utf8_lossy(&run(&mut command, RUN_MAX).stdout).into_owned()
        };
        for kind in [Some("dumb"), Some(""), None] {
            let text = on_terminal(kind);
            assert!(text.contains("verdict: ") && !text.contains('\u{1b}'), "{kind:?}: {text:?}");
        }
        assert!(on_terminal(Some("xterm")).contains("\u{1b}["), "{line}");
    }
}

#[test]
fn a_report_beyond_the_limit_on_file_sizes_is_told_of_and_leaves_nothing() {
    let serve = Serve::start(&[]);
    let folder = Folder::new();
    let (json, stored) = (folder.path().join("a.json"), folder.path().join("b"));
    let arguments = format!("-n 50 -o {} --json={}", stored.display(), json.display());
    let script = format!("ulimit -f 1; exec {WRING} {} {arguments}", serve.url());
    let output = run(Command::new("sh").args(["-c", &script]), RUN_MAX);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let stderr = String::from_utf8(output.stderr).unwrap();
    for path in [&json, &stored] {
        assert!(stderr.contains(&format!("cannot write '{}'", path.display())), "{stderr}");
    }
    assert_eq!(names(&folder), Vec::<String>::new());
    assert!(String::from_utf8(output.stdout).unwrap().contains("verdict: "));
}
