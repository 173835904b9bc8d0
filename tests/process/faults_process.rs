//! Family J of the fault catalogue: what users, terminals and disks do to the process.

use super::support;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::support::faults::{
    HANG, RUN_MAX, WRING, assert_within, at, command, in_namespaces, interrupt, is_root,
    on_every_engine, sound,
};
use super::support::scripted::{Script, Scripted};
use super::support::serve::Serve;
use super::support::{Folder, Running, allowed_cpus, assert_identities_hold, find_program, said};

#[test]
fn j3_a_hangup_ends_a_run_as_a_termination_does() {
    on_every_engine(|engine| {
        let serve = Serve::start(&[]);
        let running = Running::start(&mut command(engine, &serve.url(), &["-d", "60s"]));
        serve.await_requests();
        let began = Instant::now();
        running.signal("HUP");
        let report = sound(&running.finish(RUN_MAX), &[143]);
        assert_within(began, Duration::from_secs(1), "the end");
        assert_eq!(report["interrupted"], "SIGTERM");
        let completed = at(&report, "/requests/completed");
        assert_eq!(completed, at(&serve.into_counts(), "/requests"));
    });
}

#[test]
fn j2_signals_of_different_kinds_count_together() {
    on_every_engine(|engine| {
        let server = Scripted::start(Script::Silence);
        let line = ["-c", "3", "-d", "60s", "-T", "50s", "--drain", "50s"];
        let running = Running::start(&mut command(engine, &server.url(), &line));
        server.await_requests(3);
        running.signal("TERM");
        thread::sleep(Duration::from_millis(300));
        let began = Instant::now();
        running.signal("HUP");
        let report = sound(&running.finish(RUN_MAX), &[3]);
        assert_within(began, Duration::from_millis(200), "the end");
        assert_eq!(report["interrupted"], "SIGTERM");
        assert_eq!(at(&report, "/requests/inflight_end"), 3);
    });
}

#[test]
fn j4_a_terminal_that_is_gone_costs_no_file() {
    on_every_engine(|engine| {
        let serve = Serve::start(&[]);
        let folder = Folder::new();
        let stored = folder.path().join("r");
        // Closed, not merely unread: what is opened next could take their numbers.
        let script = "exec \"$0\" \"$@\" <&- >&- 2>&-";
        let mut run = Command::new("sh");
        run.args(["-c", script, WRING, &serve.url(), "--engine", engine, "-n", "100", "-o"]);
        let output = Running::start(run.arg(&stored)).finish(RUN_MAX);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        let again = support::wring(&["report", stored.to_str().expect("UTF-8")], RUN_MAX);
        assert!(again.status.success(), "{}", said(&again));
        assert_eq!(at(&serve.into_counts(), "/requests"), 100);
    });
}

#[test]
fn j5_a_folder_that_goes_away_during_the_run_is_told_and_the_report_is_printed() {
    on_every_engine(|engine| {
        let serve = Serve::start(&[]);
        let folder = Folder::new();
        let gone = folder.path().join("gone");
        fs::create_dir(&gone).expect("our folder");
        let stored = gone.join("r").display().to_string();
        let line = ["-d", "0", "-o", &stored];
        let running = Running::start(&mut command(engine, &serve.url(), &line));
        serve.await_requests();
        fs::remove_dir_all(&gone).expect("our folder");
        let output = interrupt(running);
        sound(&output, &[1]);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(stderr.contains(&stored) && stderr.contains("No such file"), "{stderr}");
    });
}

#[test]
fn j5_a_disk_that_fills_up_leaves_no_broken_file() {
    if !is_root("j5 (a small disk)") {
        return;
    }
    on_every_engine(|engine| {
        let serve = Serve::start(&[]);
        let folder = Folder::new();
        let script = "
mount -t tmpfs -o size=64k none \"$1\"
echo old >\"$1/r\"
head -c 56k /dev/zero >\"$1/filler\"
\"$0\" \"$2\" --engine \"$3\" -n 100 -o \"$1/r\" --json || status=$?
test \"$(cat \"$1/r\")\" = old
test \"$(ls -A \"$1\")\" = \"filler
r\"
exit $status";
        let path = folder.path().to_str().expect("UTF-8");
        let mut run = in_namespaces(&["-m"], script, &[path, &serve.url(), engine]);
        let output = Running::start(&mut run).finish(RUN_MAX);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(stderr.contains("space") && stderr.contains(path), "{}", said(&output));
        sound(&output, &[1]);
    });
}

#[test]
fn j6_pipes_that_nobody_reads_stop_no_worker() {
    on_every_engine(|engine| {
        let serve = Serve::start(&[]);
        let folder = Folder::new();
        let stored = folder.path().join("r");
        let (mut out, full) = full_pipe();
        let (_err, full_err) = full_pipe();
        let mut run = Command::new(WRING);
        // A note for stderr before the load, and a report for stdout after it.
        run.args([&*serve.url(), "--engine", engine, "-t", "64", "-c", "2", "-n", "500", "-o"]);
        let mut child = run
            .arg(&stored)
            .stdin(Stdio::null())
            .stdout(full)
            .stderr(full_err)
            .spawn()
            .expect("wring can be executed");
        // It holds the pipes' other ends, too.
        drop(run);
        let deadline = Instant::now() + RUN_MAX;
        while !stored.exists() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
        let is_stored = stored.exists();
        // Someone reads at last.
        let reader = thread::spawn(move || {
            let mut text = Vec::new();
            let _ = out.read_to_end(&mut text);
            text
        });
        let deadline = Instant::now() + HANG;
        while child.try_wait().expect("own child").is_none() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
        let status = child.try_wait().expect("own child");
        let _ = child.kill();
        let _ = child.wait();
        assert!(is_stored, "the run waited for somebody to read its output");
        assert_eq!(status.and_then(|status| status.code()), Some(0));
        let text = String::from_utf8_lossy(&reader.join().expect("reads")).into_owned();
        assert!(text.contains("Running ") && text.contains("verdict:"), "{text}");
        assert_eq!(at(&serve.into_counts(), "/requests"), 500);
    });
}

/// A pipe with no room left: of sockets, because the room of one of the other sort depends on what
/// its user has besides (pipe(7)).
fn full_pipe() -> (UnixStream, OwnedFd) {
    let (reader, mut writer) = UnixStream::pair().expect("two sockets");
    writer.set_nonblocking(true).expect("a socket");
    // The last bytes one by one: there may be room for a few when there is none for many.
    for size in [4096, 1] {
        while writer.write(&vec![b'.'; size]).is_ok() {}
    }
    writer.set_nonblocking(false).expect("a socket");
    (reader, writer.into())
}

#[test]
fn j8_a_tool_that_was_stopped_says_that_its_numbers_are_no_good() {
    on_every_engine(|engine| {
        let serve = Serve::start(&[]);
        let running = Running::start(&mut command(engine, &serve.url(), &["-d", "0", "-c", "4"]));
        serve.await_requests();
        running.signal("STOP");
        thread::sleep(Duration::from_millis(1400));
        running.signal("CONT");
        serve.await_more(100);
        let report = sound(&interrupt(running), &[4]);
        assert_eq!(report["verdict"]["kind"], "invalid");
        assert!(!report["verdict"]["gaps_ns"].as_array().expect("a list").is_empty(), "{report}");
    });
}

/// A process that takes all that it gets of a CPU, until it is dropped.
struct Hog(std::process::Child);

impl Drop for Hog {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_worker_that_others_keep_from_its_cpu_measures_nothing_of_a_target_elsewhere() {
    let cpus = allowed_cpus();
    let (Some(taskset), [ours, .., theirs]) = (find_program("taskset"), &cpus[..]) else { return };
    let (ours, theirs) = (ours.to_string(), theirs.to_string());
    // A worker that always has something to do gets a fifth of its CPU.
    let serve = Serve::start(&["--threads", "1"]);
    let id = serve.id().to_string();
    let moved = Command::new(&taskset).args(["-a", "-p", "-c", &theirs, &id]).output().unwrap();
    assert!(moved.status.success(), "{}", said(&moved));
    let hog = || {
        let mut hog = Command::new(&taskset);
        hog.args(["-c", &ours, "sh", "-c", "while :; do :; done"]);
        Hog(hog.stdin(Stdio::null()).spawn().unwrap())
    };
    let line = ["-d", "700ms", "-c", "16", "-t", "1", "--cpus", &*ours];
    let hogs: Vec<Hog> = (0..4).map(|_| hog()).collect();
    let running = Running::start(&mut command("auto", &serve.url(), &line));
    let report = sound(&running.finish(RUN_MAX), &[3, 4]);
    drop(hogs);
    let starved = at(&report, "/workers/0/starved_ns");
    assert!(starved > at(&report, "/window/length_ns") / 10, "{report}");
    if at(&report, "/window/completed") > 0 {
        assert_eq!(report["verdict"]["kind"], "invalid", "{report}");
        assert!(report["verdict"]["starved_share"].as_f64() > Some(0.1), "{report}");
    }
}

#[test]
fn j8_many_short_stops_break_no_count() {
    on_every_engine(|engine| {
        let serve = Serve::start(&[]);
        let line = ["-d", "0", "-c", "15", "-p", "4", "--drain", "20s", "-T", "20s"];
        let running = Running::start(&mut command(engine, &serve.url(), &line));
        serve.await_requests();
        // Each one interrupts whatever call the workers are in.
        for _ in 0..40 {
            running.signal("STOP");
            thread::sleep(Duration::from_millis(5));
            running.signal("CONT");
            thread::sleep(Duration::from_millis(5));
        }
        let report = sound(&interrupt(running), &[0, 4]);
        let completed = at(&report, "/requests/completed");
        assert_eq!(at(&report, "/requests/failed"), 0, "{report}");
        assert_eq!(completed, at(&serve.into_counts(), "/requests"));
    });
}

#[test]
fn j9_a_closed_standard_input_is_no_input() {
    on_every_engine(|engine| {
        let serve = Serve::start(&[]);
        let run = |line: &str| {
            let script = format!("exec \"$0\" {} --engine {engine} {line} <&-", serve.url());
            Running::start(Command::new("sh").args(["-c", &script, WRING])).finish(RUN_MAX)
        };
        sound(&run("-n 100 --json"), &[0]);
        let output = run("-n 100 -b @-");
        // An empty body, or a refusal by name: never a hang, and never a foreign file's bytes.
        let is_named = said(&output).contains("standard input");
        assert!(output.status.success() || is_named, "{}", said(&output));
    });
}

#[test]
fn i14_terminals_of_every_kind_get_a_report() {
    let Some(script) = find_program("script") else { return };
    on_every_engine(|engine| {
        let serve = Serve::start(&["--delay", "2ms", "--engine", "tokio-uring"]);
        for (setup, size) in [
            ("TERM=dumb", "cols 80 rows 24"),
            ("TERM=xterm", "cols 1 rows 1"),
            ("TERM=", "cols 0 rows 0"),
            ("TERM=nonsense LC_ALL=C", "cols 500 rows 2"),
        ] {
            let line = format!(
                "stty {size}; {setup} {WRING} {} --engine {engine} -c 4 -d 600ms",
                serve.url()
            );
            let mut run = Command::new(&script);
            let output = Running::start(run.args(["-qec", &line, "/dev/null"])).finish(RUN_MAX);
            assert!(output.status.success(), "{setup} {size}: {}", said(&output));
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(text.contains("verdict:") && !text.contains("panicked"), "{setup}: {text}");
        }
    });
}

#[test]
fn i14_without_proc_sys_home_and_a_writable_root_a_run_is_measured() {
    if !is_root("i14") {
        return;
    }
    on_every_engine(|engine| {
        let serve = Serve::start(&[]);
        let script = "
mount -t tmpfs none /sys
mount -o remount,bind,ro / || true
mount -t tmpfs none /proc
exec env -i \"$0\" \"$1\" --engine \"$2\" -c 8 -n 1000 --json";
        let mut run = in_namespaces(&["-m"], script, &[&serve.url(), engine]);
        let output = Running::start(&mut run).finish(RUN_MAX);
        assert!(output.status.success(), "{}", said(&output));
        let report = support::report_of(&output);
        assert_identities_hold(&report);
        assert!(report["manifest"]["kernel"].is_null(), "/proc is still there: {report}");
        assert_eq!(at(&serve.into_counts(), "/requests"), 1000);
    });
}
