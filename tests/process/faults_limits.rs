//! Family I of the fault catalogue: what a machine or a container allows, from outside.

use std::process::Command;

use super::support::faults::{
    RUN_MAX, WRING, as_nobody, at, command, copy_for_anybody, interrupt, is_root, on_every_engine,
    skip, sound,
};
use super::support::serve::Serve;
use super::support::{Folder, Running, allowed_cpus, find_program, said};

#[test]
fn i2_without_locked_memory_it_runs_or_says_which_limit_to_raise() {
    if !is_root("i2") {
        return;
    }
    on_every_engine(|engine| {
        let serve = Serve::start(&[]);
        let folder = Folder::new();
        let program = copy_for_anybody(&folder);
        let mut run = as_nobody(&["--memlock=0:0"], &program);
        run.args([&*serve.url(), "--engine", engine, "-c", "4", "-n", "100", "--json"]);
        let output = Running::start(&mut run).finish(RUN_MAX);
        if output.status.success() {
            assert_eq!(at(&sound(&output, &[0]), "/requests/completed"), 100);
        } else {
            // The ring is what was asked for, and what the limit is about.
            assert_eq!(output.status.code(), Some(3), "{}", said(&output));
            assert_eq!(engine, "uring", "{}", said(&output));
            assert!(said(&output).contains("ulimit -l"), "{}", said(&output));
        }
    });
}

#[test]
fn i11_cpus_may_have_holes_and_change_during_the_run() {
    let Some(taskset) = find_program("taskset") else { return };
    let cpus = allowed_cpus();
    let [first, last] = [cpus[0], cpus[cpus.len() - 1]].map(|cpu| cpu.to_string());
    on_every_engine(|engine| {
        let serve = Serve::start(&[]);
        let mut run = Command::new(&taskset);
        run.args(["-c", &last, WRING, &serve.url(), "--engine", engine]);
        run.args(["-n", "200", "-c", "5", "-t", "3", "--json"]);
        let report = sound(&Running::start(&mut run).finish(RUN_MAX), &[0]);
        assert_eq!(report["manifest"]["cpus_allowed"].as_array().map(Vec::len), Some(1));
        assert_eq!(at(&report, "/requests/completed"), 200);
        let line = ["-d", "0", "-c", "8", "-t", "5", "-T", "20s", "--drain", "20s"];
        let running = Running::start(&mut command(engine, &serve.url(), &line));
        serve.await_more(100);
        for cpu in [&*last, &first, &last] {
            let mut taskset = Command::new(&taskset);
            taskset.args(["-a", "-c", "-p", cpu, &running.id().to_string()]);
            assert!(taskset.output().is_ok_and(|output| output.status.success()), "{cpu}");
            serve.await_more(100);
        }
        let report = sound(&interrupt(running), &[0, 4]);
        assert_eq!(at(&report, "/requests/failed"), 0, "{report}");
        assert_eq!(report["workers"].as_array().map(Vec::len), Some(5));
    });
}

#[test]
fn i13_a_thread_that_cannot_be_started_is_told_and_nothing_hangs() {
    if !is_root("i13") {
        return;
    }
    on_every_engine(|engine| {
        let serve = Serve::start(&[]);
        let folder = Folder::new();
        let program = copy_for_anybody(&folder);
        let mut run = as_nobody(&["--nproc=1:1"], &program);
        run.args([&*serve.url(), "--engine", engine, "-c", "4", "-t", "2", "-n", "100"]);
        let output = Running::start(&mut run).finish(RUN_MAX);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains("ulimit -u"), "{}", said(&output));
        assert_eq!(at(&serve.into_counts(), "/requests"), 0);
    });
}

/// A control group of its own, removed when dropped.
struct Group(std::path::PathBuf);

/// Files of a group and what they are to hold.
type Settings<'a> = &'a [(&'a str, &'a str)];

impl Group {
    /// With the first settings in a hierarchy of version 1, else with the second ones in that of
    /// version 2. `None`, and a word, where groups cannot be made.
    fn new(controller: &str, engine: &str, settings: [Settings<'_>; 2]) -> Option<Self> {
        let root = std::path::Path::new("/sys/fs/cgroup");
        let name = format!("wring-test-{controller}-{}-{engine}", std::process::id());
        let is_old = root.join(controller).is_dir();
        let parent = if is_old { root.join(controller) } else { root.to_owned() };
        let settings = settings[usize::from(!is_old)];
        // Whether a controller is there for groups is the machine's to say.
        let has_it = || {
            let list = std::fs::read_to_string(root.join("cgroup.subtree_control"));
            list.is_ok_and(|list| list.split_whitespace().any(|name| name == controller))
        };
        let group = Self(parent.join(name));
        let is_made = (is_old || has_it())
            && std::fs::create_dir(&group.0).is_ok()
            && settings
                .iter()
                .all(|(file, value)| std::fs::write(group.0.join(file), value).is_ok());
        if !is_made {
            skip(controller, "no control group can be made below /sys/fs/cgroup");
        }
        is_made.then_some(group)
    }

    /// wring in this group from its first instruction.
    fn command(&self, line: &[&str]) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$ >\"$1/cgroup.procs\" && shift && exec \"$0\" \"$@\"", WRING]);
        command.arg(&self.0).args(line);
        command
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[test]
fn i10_in_64_mebibytes_thousands_of_connections_run_or_are_refused() {
    if !is_root("i10") {
        return;
    }
    on_every_engine(|engine| {
        let limit: [Settings<'_>; 2] =
            [&[("memory.limit_in_bytes", "64M")], &[("memory.max", "64M")]];
        let Some(group) = Group::new("memory", engine, limit) else { return };
        let serve = Serve::start(&[]);
        let line = [&*serve.url(), "--engine", engine, "-c", "8000", "-d", "300ms", "--json"];
        let line = [&line[..], &["-t", "1", "--connect-timeout", "10s", "-T", "10s"]].concat();
        let output = Running::start(&mut group.command(&line)).finish(RUN_MAX);
        // Killed by the system, there would be no code.
        assert!(output.status.code().is_some(), "{}", said(&output));
        let is_refused = matches!(output.status.code(), Some(2 | 3)) && !output.stderr.is_empty();
        if !is_refused {
            sound(&output, &[0, 4]);
        }
    });
}

#[test]
fn i12_a_throttled_tool_counts_what_it_could_not_send_and_names_its_quota() {
    if !is_root("i12") {
        return;
    }
    on_every_engine(|engine| {
        let quota: [Settings<'_>; 2] = [
            &[("cpu.cfs_period_us", "100000"), ("cpu.cfs_quota_us", "3000")],
            &[("cpu.max", "3000 100000")],
        ];
        let Some(group) = Group::new("cpu", engine, quota) else { return };
        let serve = Serve::start(&[]);
        let line = [&*serve.url(), "--engine", engine, "-R", "20k", "-d", "1s", "--json"];
        let output = Running::start(&mut group.command(&line)).finish(RUN_MAX);
        let report = sound(&output, &[4]);
        assert_eq!(report["verdict"]["kind"], "invalid", "{report}");
        let text = report["verdict"]["text"].as_str().expect("words");
        assert!(text.contains("the CPU quota of its control group, 3.00 ms of"), "{text}");
        assert_eq!(at(&report, "/requests/due"), 20_000);
        let late = at(&report, "/requests/unsent_end") + at(&report, "/send_lag/late/count");
        assert!(late > 0, "{report}");
        // Three milliseconds of every hundred, for all workers together.
        assert!(at(&report, "/cpu_quota/throttled_periods") >= 3, "{report}");
        assert!(at(&report, "/cpu_quota/throttled_ns") > 300_000_000, "{report}");
    });
}
