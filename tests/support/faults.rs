//! What the tests of the fault catalogue share: engines, confined processes, a server in trouble.
//!
//! Knows nothing of single cases. What needs root says so loudly and is skipped without it; nothing
//! here changes the machine outside a namespace of its own.

use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Folder, Running, assert_identities_hold, ended_with, number, report_of, said};

/// The engines that must behave alike; each case runs on all of them.
pub(crate) const ENGINES: [&str; 2] = ["uring", "epoll"];
/// Longest run of any case; it bounds only what hangs.
pub(crate) const RUN_MAX: Duration = Duration::from_secs(60);
/// What takes longer than it should by this much hangs; a busy machine alone does not do that.
pub(crate) const HANG: Duration = Duration::from_secs(20);
pub(crate) const WRING: &str = env!("CARGO_BIN_EXE_wring");
/// Users with no rights at all and no name: as many, from this one on.
const NOBODIES: (u32, u32) = (50_000, 10_000);

/// Runs a case on every engine at once.
pub(crate) fn on_every_engine(case: impl Fn(&'static str) + Sync) {
    thread::scope(|scope| {
        let cases: Vec<_> =
            ENGINES.map(|engine| (engine, scope.spawn(|| case(engine)))).into_iter().collect();
        for (engine, case) in cases {
            assert!(case.join().is_ok(), "engine {engine} fails");
        }
    });
}

/// `wring URL --engine ENGINE --json LINE`.
pub(crate) fn command(engine: &str, url: &str, line: &[&str]) -> Command {
    let mut command = Command::new(WRING);
    command.args([url, "--engine", engine, "--json"]).args(line);
    command
}

/// The report of a run that ended with one of `codes`; its identities hold.
pub(crate) fn sound(output: &Output, codes: &[i32]) -> Value {
    let is_as_wanted = codes.iter().any(|&code| ended_with(output, code));
    assert!(is_as_wanted, "{codes:?} wanted: {}", said(output));
    assert!(!said(output).contains("panicked"), "{}", said(output));
    let report = report_of(output);
    assert_identities_hold(&report);
    report
}

/// The number at `pointer` below `/requests`, `/connections` and so on.
pub(crate) fn at(report: &Value, pointer: &str) -> u64 {
    number(report, pointer)
}

/// A verdict where connections failed names the cause instead of asking for more of them.
pub(crate) fn assert_cause_named(report: &Value, cause: &str) {
    let verdict = &report["verdict"];
    let text = verdict["text"].as_str().expect("words");
    assert!(!text.contains("try -c") && verdict["try_connections"].is_null(), "{text}");
    // Where wring itself had no time to spare, that comes first.
    assert!(text.contains(cause) || verdict["kind"] != "not generator-limited", "{text}");
}

/// Asserts that what took `limit` at the most, had it the machine for itself, does not hang.
pub(crate) fn assert_within(began: Instant, limit: Duration, what: &str) {
    let limit = limit + HANG;
    assert!(began.elapsed() <= limit, "{what} took {:?}, at most {limit:?} fit", began.elapsed());
}

/// Ends a run as its user does, and gives what it says.
pub(crate) fn interrupt(running: Running) -> Output {
    running.signal("INT");
    running.finish(RUN_MAX)
}

/// Whether this is root, without which a case cannot be set up; says so when not.
pub(crate) fn is_root(case: &str) -> bool {
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    if !is_root {
        skip(case, "it needs root");
        return false;
    }
    // Root in a container may lack the right to namespaces of its own, or the tools.
    let tried = Command::new("unshare")
        .args(["-n", "-m", "-p", "-f", "--kill-child", "--", "sh", "-c", "ip link set lo up"])
        .output();
    let may = tried.is_ok_and(|output| output.status.success());
    if !may {
        skip(case, "it needs namespaces of its own, and ip (iproute2)");
    }
    may
}

/// Says past the test harness's capture that a case did not run.
pub(crate) fn skip(case: &str, why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {case}: {why}");
}

/// `script` in namespaces of its own (flags of unshare(1)), with `$0` as wring and `$1` and so on
/// as `arguments`; all it started ends with it.
pub(crate) fn in_namespaces(flags: &[&str], script: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.args(flags).args(["-p", "-f", "--kill-child", "--", "sh", "-ec", script, WRING]);
    command.args(arguments);
    command
}

/// The beginning of a script that has a network of its own, with loopback and a target at `$url`
/// there.
pub(crate) const OWN_NETWORK: &str = "
ip link set lo up
\"$0\" serve --listen 127.0.0.1:8080 --threads 1 >/dev/null 2>\"$1\" &
until grep -q listening \"$1\"; do sleep 0.01; done
url=http://127.0.0.1:8080/
";

/// A copy of wring that a user without rights can execute.
pub(crate) fn copy_for_anybody(folder: &Folder) -> PathBuf {
    let copy = folder.path().join("wring");
    std::fs::copy(WRING, &copy).expect("room for a copy");
    for path in [folder.path(), &copy] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("our file");
    }
    copy
}

/// `program` as somebody without any capability and under limits given to prlimit(1). Each time it
/// is somebody else: the processes of one user count together against their limit.
pub(crate) fn as_nobody(limits: &[&str], program: &std::path::Path) -> Command {
    static USERS: AtomicU32 = AtomicU32::new(0);
    let nth = std::process::id().wrapping_mul(97) + USERS.fetch_add(1, Ordering::Relaxed);
    let nobody = NOBODIES.0 + nth % NOBODIES.1;
    let mut command = Command::new("prlimit");
    command.args(limits).args(["setpriv", "--clear-groups", "--bounding-set=-all"]);
    command.args(["--inh-caps=-all", &format!("--reuid={nobody}"), &format!("--regid={nobody}")]);
    command.arg(program);
    command
}

/// Connections of this machine that lead to `address`, by the kernel's name for their state.
pub(crate) fn connections_to(address: SocketAddr, state: State) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux");
    let port = format!(":{:04X}", address.port());
    let is_one = |line: &&str| {
        // Thousands of others may be waiting for the end of their time.
        if !line.contains(&port) {
            return false;
        }
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields.get(2).is_some_and(|remote| remote.ends_with(&port))
            && fields.get(3) == Some(&state.code())
    };
    table.lines().skip(1).filter(is_one).count()
}

/// States of a TCP socket.
#[derive(Clone, Copy, Debug)]
pub(crate) enum State {
    Established,
    SynSent,
    CloseWait,
}

impl State {
    fn code(self) -> &'static str {
        match self {
            Self::Established => "01",
            Self::SynSent => "02",
            Self::CloseWait => "08",
        }
    }
}

/// CPU time a process has used so far, by /proc; 0 once it is gone.
pub(crate) fn cpu_time(id: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let fields: Vec<&str> =
        stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    // utime and stime, in hundredths of a second (proc(5), sysconf(_SC_CLK_TCK)).
    Duration::from_millis((ticks(11) + ticks(12)) * 10)
}

/// Most memory a process has had resident so far, in bytes.
pub(crate) fn peak_resident_bytes(id: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    if !status.starts_with("Name:\twring\n") {
        // It is about to take the place of its parent's image, whose memory is not its own.
        return Some(0);
    }
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Waits until `holds`; fails when that takes longer than `limit`.
pub(crate) fn await_that(what: &str, limit: Duration, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + limit;
    while !holds() {
        assert!(Instant::now() < deadline, "{what} did not come within {limit:?}");
        thread::sleep(Duration::from_millis(5));
    }
}
