//! The built binary from outside: streams, exit codes, and its second name.
#![expect(clippy::unwrap_used, reason = "a test says what it means by failing")]

use std::os::unix::fs::symlink;
use std::process::{Command, Output, Stdio};

const WRING: &str = env!("CARGO_BIN_EXE_wring");

fn output(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

fn wring(line: &[&str]) -> (Option<i32>, String, String) {
    output(Command::new(WRING).args(line))
}

#[test]
fn help_and_version_go_to_stdout_and_end_well() {
    for (line, words) in
        [("-h", "Examples"), ("--help", "Machine:"), ("-V", "wring "), ("man", ".TH")]
    {
        let (code, stdout, stderr) = wring(&[line]);
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{line}");
        assert!(stdout.contains(words), "{line}");
    }
}

#[test]
fn a_usage_error_is_one_message_on_stderr_and_code_2() {
    for line in [&[][..], &["-c", "0", "http://127.0.0.1:9/"], &["http://h:70000/"], &["--nope"]] {
        let (code, stdout, stderr) = wring(line);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{line:?}");
        assert_eq!(stderr.matches("error:").count(), 1, "{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
    }
}

#[test]
fn an_argument_that_is_no_text_is_a_usage_error() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let (code, _, stderr) = output(Command::new(WRING).arg(OsStr::from_bytes(b"http://h/\xff")));
    assert_eq!(code, Some(2), "{stderr}");
}

#[test]
fn a_name_that_does_not_resolve_is_code_3() {
    let (code, stdout, stderr) = wring(&["http://name.invalid/"]);
    assert_eq!((code, stdout.as_str()), (Some(3), ""));
    assert!(stderr.contains("name.invalid"), "{stderr}");
}

#[test]
fn a_reader_that_has_gone_away_is_a_normal_end() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let (code, _, stderr) = output_to(Command::new(WRING).args(["completions", "bash"]), writer);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
}

fn output_to(command: &mut Command, stdout: std::io::PipeWriter) -> (Option<i32>, String, String) {
    let child = command.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped()).spawn();
    let Output { status, stderr, .. } = child.unwrap().wait_with_output().unwrap();
    (status.code(), String::new(), String::from_utf8(stderr).unwrap())
}

#[test]
fn a_refused_run_leaves_no_report_file_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.json");
    let json = format!("--json={}", path.display());
    let (code, _, stderr) = wring(&[&json, "http://name.invalid/"]);
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!((code, left), (Some(3), 0), "{stderr}");
}

#[test]
fn under_the_name_wrk_it_answers_as_wrk() {
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().join("wrk");
    symlink(WRING, &name).unwrap();
    let none = output(&mut Command::new(&name));
    let version = output(Command::new(&name).arg("-v"));
    let fewer = output(Command::new(&name).args(["-c1", "-t2", "http://127.0.0.1:9/"]));
    let unknown = output(Command::new(&name).args(["-c1", "-t1", "http://name.invalid/"]));
    assert_eq!((none.0, none.2.as_str()), (Some(1), ""));
    assert!(none.1.starts_with("Usage: wrk <options> <url>"), "{}", none.1);
    assert_eq!(version.0, Some(1));
    assert!(version.1.starts_with("wrk 4.1.0 "), "{}", version.1);
    assert_eq!(fewer.0, Some(1));
    assert_eq!(fewer.2, "number of connections must be >= threads\n");
    assert_eq!((unknown.0, unknown.1.as_str()), (Some(1), ""));
    assert!(unknown.2.starts_with("unable to resolve name.invalid:http "), "{}", unknown.2);
}
