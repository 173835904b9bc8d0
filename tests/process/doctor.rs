//! `wring doctor` as users run it: what it says of this machine, of limits put on it, and when it
//! is interrupted.
#![expect(clippy::unwrap_used, reason = "a test says what it means by failing")]

use super::support;
use std::io::Write as _;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use super::support::denied::{Denied, by_seccomp};
use super::support::faults::{await_that, in_namespaces, is_root};
use super::support::{Running, find_program, report_of, run, said, wring};
use serde_json::Value;

/// Bounds a hang; no claim depends on it.
const RUN_MAX: Duration = Duration::from_secs(40);
const WRING: &str = env!("CARGO_BIN_EXE_wring");

fn check<'a>(object: &'a Value, name: &str) -> &'a Value {
    let checks = object["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no {name}"))
}

/// The object that `wrapper … wring doctor --quick --json` prints.
fn doctor_under(wrapper: &[&str]) -> Value {
    let output = run(
        Command::new(wrapper[0]).args(&wrapper[1..]).args([WRING, "doctor", "--quick", "--json"]),
        RUN_MAX,
    );
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    report_of(&output)
}

/// What must hold of the text of any machine.
fn assert_is_whole(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", said(output));
    assert!(output.stderr.is_empty(), "{}", said(output));
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    for heading in ["Kernel\n", "\nCPU\n", "\nLimits\n", "\nNetwork\n", "\nCeiling\n"] {
        assert!(text.contains(heading), "{heading}: {text}");
    }
    assert!(text.lines().last().unwrap().starts_with("verdict: "), "{text}");
    text
}

#[test]
fn without_load_every_check_is_a_line_and_nothing_is_coloured() {
    let text = assert_is_whole(&wring(&["doctor", "--quick"], RUN_MAX));
    assert!(text.lines().filter(|line| line.starts_with("  ok ")).count() >= 5, "{text}");
    assert!(text.contains("unknown loopback"), "{text}");
    assert!(!text.contains('\x1b'), "{text}");
    let colored = wring(&["doctor", "--quick", "--color", "always"], RUN_MAX);
    let plain = wring(&["doctor", "--quick", "--color", "never"], RUN_MAX);
    assert!(!assert_is_whole(&plain).contains('\x1b'));
    assert!(colored.stdout.contains(&0x1b), "{}", said(&colored));
}

#[test]
fn with_load_the_ceiling_is_measured() {
    let started = Instant::now();
    let output = wring(&["doctor", "--json"], RUN_MAX);
    let took = started.elapsed();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let object = report_of(&output);
    assert_eq!((&object["schema_version"], &object["kind"]), (&1.into(), &"wring-doctor".into()));
    assert!(["fit", "reservations", "unfit"].contains(&object["verdict"].as_str().unwrap()));
    assert_eq!(check(&object, "io_uring")["facts"]["usable"], true);
    let per_s = check(&object, "loopback")["facts"]["requests_per_s"].as_f64().unwrap();
    assert!(per_s > 100.0, "{object}");
    let wake_up = &check(&object, "wake-up")["facts"];
    let wake_ns = |name: &str| wake_up[name].as_u64();
    // A machine that others keep busy may leave no time for enough waits.
    let p99_ns = wake_ns("p99_ns").or_else(|| wake_ns("max_ns"));
    assert!(wake_ns("p50_ns").is_some() && wake_ns("p50_ns") <= p99_ns, "{wake_up}");
    assert!(p99_ns <= wake_ns("max_ns"), "{wake_up}");
    let took_ns = object["took_ns"].as_u64().unwrap();
    assert!(u128::from(took_ns) <= took.as_nanos(), "{took_ns} of {took:?}");
    // The same checks with load and without.
    let quick = report_of(&wring(&["doctor", "--json", "--quick"], RUN_MAX));
    let count = |object: &Value| object["checks"].as_array().unwrap().len();
    assert_eq!(count(&object), count(&quick));
}

#[test]
fn one_cpu_of_several_is_told_and_the_rest_named() {
    let Some(taskset) = find_program("taskset") else { return };
    let free = check(&doctor_under(&["env"]), "CPUs")["facts"].clone();
    let first = free["allowed"].as_str().unwrap().split([',', '-']).next().unwrap().to_owned();
    let object = doctor_under(&[taskset.to_str().unwrap(), "-c", &first]);
    let cpus = check(&object, "CPUs");
    assert_eq!((&cpus["verdict"], &cpus["facts"]["allowed"]), (&"warning".into(), &first.into()));
    assert_eq!(cpus["facts"]["allowed_count"], 1);
    if free["online_count"].as_u64() > Some(1) {
        assert!(cpus["change"].to_string().contains("taskset -c 0"), "{cpus}");
    }
}

#[test]
fn a_low_limit_on_open_files_says_how_many_connections_are_left() {
    let Some(prlimit) = find_program("prlimit") else { return };
    let prlimit = prlimit.to_str().unwrap();
    let object = doctor_under(&[prlimit, "--nofile=200:200"]);
    let files = check(&object, "open files");
    assert_eq!((&files["verdict"], &files["facts"]["hard"]), (&"warning".into(), &200.into()));
    // One for each worker, the standard streams, report files, and some to spare.
    let most = files["facts"]["connections_max"].as_u64().unwrap();
    assert!((100..195).contains(&most), "{files}");
    assert!(files["change"].to_string().contains("prlimit --nofile="), "{files}");
    assert_eq!(check(&object, "io_uring")["verdict"], "ok");
    // Too few for any ring with the connections of a default run.
    let object = doctor_under(&[prlimit, "--nofile=40:40"]);
    assert_eq!(check(&object, "open files")["verdict"], "bad");
    assert_eq!(check(&object, "io_uring")["facts"]["cause"], "open_files");
    assert_eq!(object["verdict"], "unfit");
}

#[test]
fn a_soft_limit_that_may_be_raised_is_no_obstacle() {
    let Some(prlimit) = find_program("prlimit") else { return };
    let object = doctor_under(&[prlimit.to_str().unwrap(), "--nofile=40:4096"]);
    assert_eq!(check(&object, "open files")["facts"]["soft"], 40);
    assert_eq!(check(&object, "io_uring")["verdict"], "ok");
}

#[test]
fn a_memlock_limit_of_0_is_named_as_the_cause() {
    let (Some(prlimit), Some(setpriv)) = (find_program("prlimit"), find_program("setpriv")) else {
        return;
    };
    // Only root may become somebody else, and the limit is for those who are nobody.
    let id = run(Command::new("id").arg("-u"), RUN_MAX);
    if id.stdout != b"0\n" {
        let _ = writeln!(std::io::stderr(), "SKIPPED: not root, so no unprivileged user to become");
        return;
    }
    let folder = support::Folder::new();
    // Where that user may read and execute it, whatever the mode of the build's folders.
    let copy = folder.path().join("wring");
    std::fs::copy(WRING, &copy).unwrap();
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"];
    let output = run(
        Command::new(prlimit)
            .arg("--memlock=0:0")
            .arg(setpriv)
            .args(nobody)
            .arg(&copy)
            .args(["doctor", "--json"]),
        RUN_MAX,
    );
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let object = report_of(&output);
    let locked = check(&object, "locked memory");
    assert_eq!(
        (&locked["verdict"], &locked["facts"]["soft_bytes"]),
        (&"warning".into(), &0.into())
    );
    let ring = check(&object, "io_uring");
    // Not every kernel counts the memory of rings; then it works.
    if ring["facts"]["usable"] == false {
        assert_eq!(ring["facts"]["cause"], "memlock", "{ring}");
        assert!(ring["seen"].as_str().unwrap().contains("limit on locked memory is 0 B"), "{ring}");
        assert!(ring["change"].to_string().contains("ulimit -l unlimited"), "{ring}");
        assert_ne!(object["verdict"], "fit", "epoll is there, and slower");
    }
}

#[test]
fn a_seccomp_filter_is_named_as_the_cause_with_the_call_that_it_denies() {
    const EPERM: i32 = 1;
    for (denied, call) in [
        (Denied::Setup, "io_uring_setup"),
        (Denied::Enter, "io_uring_enter"),
        (Denied::Register, "io_uring_register of descriptors"),
    ] {
        let Some(mut command) = by_seccomp(denied, EPERM) else { return };
        let output = run(command.args(["doctor", "--quick", "--json"]), RUN_MAX);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        let object = report_of(&output);
        let ring = check(&object, "io_uring");
        assert_eq!(ring["facts"]["cause"], "seccomp", "{ring}");
        assert_eq!(ring["facts"]["failed_step"], call, "{ring}");
        assert!(ring["change"].to_string().contains("--security-opt seccomp="), "{ring}");
        assert_ne!(object["verdict"], "fit", "epoll is there, and slower");
    }
}

#[test]
fn an_interrupted_examination_is_printed_and_its_code_says_so() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let doctor = Running::start(Command::new(WRING).args(["doctor", "--json"]));
        // Inside the load, which has a thread for each side and one that looks on, and lasts a second.
        let tasks = format!("/proc/{}/task", doctor.id());
        await_that("load", RUN_MAX, || std::fs::read_dir(&tasks).unwrap().count() >= 3);
        doctor.signal(signal);
        let output = doctor.finish(RUN_MAX);
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        let object = report_of(&output);
        let seen = check(&object, "loopback")["seen"].to_string();
        assert!(seen.contains("interrupted"), "{seen}");
    }
}

#[test]
fn what_doctor_does_not_know_is_a_usage_error() {
    for arguments in [&["doctor", "--fast"][..], &["doctor", "now"], &["doctor", "--color", "x"]] {
        let output = wring(arguments, RUN_MAX);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(output.stdout.is_empty(), "{}", said(&output));
    }
    let output = wring(&["docter"], RUN_MAX);
    assert!(said(&output).contains("doctor"), "{}", said(&output));
}

#[test]
fn without_proc_and_sys_it_says_what_cannot_be_seen() {
    if !is_root("doctor without /proc") {
        return;
    }
    let script = "mount -t tmpfs none /sys; mount -t tmpfs none /proc; exec \"$0\" doctor --json";
    let output = Running::start(&mut in_namespaces(&["-m"], script, &[])).finish(RUN_MAX);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let object = report_of(&output);
    let cpus = check(&object, "CPUs");
    assert!(cpus["facts"]["cores"].is_null(), "{cpus}");
    assert!(cpus["seen"].as_str().unwrap().contains("cores cannot be seen"), "{cpus}");
    let loopback = check(&object, "loopback");
    assert!(loopback["facts"]["target_busy_share"].is_null(), "{loopback}");
    // Where one CPU is shared, or the worker had none, that is what is said.
    assert!(!loopback["seen"].as_str().unwrap().ends_with("limited by the kernel"), "{loopback}");
}
