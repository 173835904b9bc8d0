//! Limits, memory and the facts of this machine.
//!
//! Every fact is optional: a container may hide `/proc` and `/sys`, and a report without the CPU's
//! name is better than no report.
#![expect(unsafe_code, reason = "resource limits have no safe door in the standard library")]

use std::fmt;
use std::fs;
use std::path::Path;

use super::{check, parse_cpu_list};

/// More descriptors are needed than this process may ever open.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FdLimit {
    /// How many are needed.
    pub needed: u64,
    /// The hard limit.
    pub hard: u64,
}

impl fmt::Display for FdLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { needed, hard } = self;
        write!(f, "{needed} file descriptors are needed and the hard limit is {hard}")
    }
}

impl std::error::Error for FdLimit {}

/// Descriptors that this process has open; the standard streams where `/proc` is hidden.
pub fn open_descriptors() -> u64 {
    // Reading the folder is one of those that it lists.
    fs::read_dir("/proc/self/fd").map_or(3, |entries| entries.count().saturating_sub(1) as u64)
}

/// Makes room for `needed` open descriptors and as many more as may be had: raises the soft limit
/// to the hard one.
pub fn ensure_descriptors(needed: u64) -> Result<(), FdLimit> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for one rlimit during the call.
    let read = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    // Without an answer there is nothing to go by: let the sockets themselves fail if they must.
    if check(read).is_err() {
        return Ok(());
    }
    let refusal = FdLimit { needed, hard: limit.rlim_max };
    if limit.rlim_max < needed {
        return Err(refusal);
    }
    let enough = limit.rlim_cur >= needed;
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: `limit` is a valid rlimit that the call only reads.
    let written = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    if enough { Ok(()) } else { check(written).map(drop).map_err(|_| refusal) }
}

/// Has this process's memory come in ordinary pages (prctl(2), PR_SET_THP_DISABLE). True when the
/// kernel agrees. The allocator asks for huge ones, of which each is resident with its first byte.
pub fn refuse_huge_pages() -> bool {
    let [yes, unused]: [libc::c_ulong; 2] = [1, 0];
    // SAFETY: the call takes numbers only.
    unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, yes, unused, unused, unused) == 0 }
}

/// Memory of this process that is in RAM now, in bytes.
pub fn resident_bytes() -> Option<u64> {
    status_bytes(&fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

/// The most memory of this process that was ever in RAM, in bytes.
pub fn peak_resident_bytes() -> Option<u64> {
    status_bytes(&fs::read_to_string("/proc/self/status").ok()?, "VmHWM:")
}

pub(super) fn status_bytes(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    Some(kib * 1024)
}

/// How many of the kernel's io_uring worker threads this process has: operations that reach them
/// have left the fast path.
pub fn io_wq_threads() -> Option<usize> {
    io_wq_threads_in(Path::new("/proc/self/task"))
}

fn io_wq_threads_in(tasks: &Path) -> Option<usize> {
    let is_worker = |task: std::io::Result<fs::DirEntry>| {
        let comm = task.and_then(|task| fs::read_to_string(task.path().join("comm")));
        comm.is_ok_and(|comm| comm.starts_with("iou-wrk"))
    };
    Some(fs::read_dir(tasks).ok()?.map(is_worker).filter(|&is| is).count())
}

/// What a reader needs to know of the machine to compare two results.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct MachineFacts {
    /// The kernel's release.
    pub kernel: Option<String>,
    /// The CPU's name.
    pub cpu_model: Option<String>,
    /// CPUs online.
    pub cpus_online: Option<u32>,
    /// Hardware vulnerabilities that the kernel works around, and those it leaves open:
    /// `mitigated: retbleed, spectre_v2; vulnerable: mds`.
    pub mitigations: Option<String>,
    /// The frequency governor of the first CPU.
    pub governor: Option<String>,
    /// Where the kernel's time comes from: `tsc`, `kvm-clock`.
    pub clock_source: Option<String>,
    /// The congestion control that new TCP sockets get.
    pub tcp_congestion: Option<String>,
}

impl MachineFacts {
    /// The facts of this machine, as far as they can be read.
    pub fn read() -> Self {
        Self::read_from(Path::new("/"))
    }

    fn read_from(root: &Path) -> Self {
        let cpu = root.join("sys/devices/system/cpu");
        let cpuinfo = fs::read_to_string(root.join("proc/cpuinfo")).ok();
        let online = line_of(&cpu.join("online")).and_then(|list| parse_cpu_list(&list));
        let clock = "sys/devices/system/clocksource/clocksource0/current_clocksource";
        Self {
            kernel: line_of(&root.join("proc/sys/kernel/osrelease")),
            cpu_model: cpuinfo.as_deref().and_then(cpu_model),
            cpus_online: online.and_then(|cpus| u32::try_from(cpus.len()).ok()),
            mitigations: mitigations(&cpu.join("vulnerabilities")),
            governor: line_of(&cpu.join("cpu0/cpufreq/scaling_governor")),
            clock_source: line_of(&root.join(clock)),
            tcp_congestion: line_of(&root.join("proc/sys/net/ipv4/tcp_congestion_control")),
        }
    }
}

/// The one line of a small file, without its end; `None` when it is missing or empty.
pub(super) fn line_of(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

fn cpu_model(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    let (_, name) = line.split_once(':')?;
    Some(name.trim().to_owned())
}

fn mitigations(folder: &Path) -> Option<String> {
    let (mut mitigated, mut vulnerable) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder).ok()?.flatten() {
        let Some(state) = line_of(&entry.path()) else { continue };
        let name = entry.file_name().to_string_lossy().into_owned();
        if state.starts_with("Mitigation") {
            mitigated.push(name);
        } else if state.starts_with("Vulnerable") {
            vulnerable.push(name);
        }
    }
    let mut parts = Vec::new();
    for (title, mut names) in [("mitigated", mitigated), ("vulnerable", vulnerable)] {
        names.sort_unstable();
        if !names.is_empty() {
            parts.push(format!("{title}: {}", names.join(", ")));
        }
    }
    Some(if parts.is_empty() { "none needed".to_owned() } else { parts.join("; ") })
}

/// What `kernel.io_uring_disabled` says (0: allowed, 1: needs a capability, 2: nobody); `None` where
/// the kernel has no such setting (before Linux 6.6).
pub fn io_uring_disabled() -> Option<u8> {
    fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok()?.trim().parse().ok()
}

/// Whether a seccomp filter watches the calling thread (proc_pid_status(5), `Seccomp`); `None`
/// where `/proc` does not tell.
pub fn is_seccomp_filtered() -> Option<bool> {
    let status = fs::read_to_string("/proc/thread-self/status").ok()?;
    let mode = status.lines().find_map(|line| line.strip_prefix("Seccomp:"))?;
    Some(mode.trim() == "2")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_within_the_limit_are_granted_and_beyond_it_refused_with_the_number() {
        assert_eq!(ensure_descriptors(64), Ok(()));
        let refusal = ensure_descriptors(u64::MAX - 1);
        // Only a process without any limit can be granted that many.
        if let Err(limit) = refusal {
            assert_eq!(limit.needed, u64::MAX - 1);
            assert!(limit.to_string().contains(&limit.hard.to_string()));
            assert_eq!(ensure_descriptors(limit.hard), Ok(()));
        }
    }

    #[test]
    fn memory_is_read_from_the_status_text() {
        let status = "Name:\twring\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(status_bytes(status, "VmRSS:"), Some(1 << 20));
        assert_eq!(status_bytes(status, "VmHWM:"), Some(2 << 20));
        assert_eq!(status_bytes(status, "VmSwap:"), None);
        assert_eq!(status_bytes("VmRSS: what kB", "VmRSS:"), None);
    }

    #[test]
    fn this_process_uses_memory_and_never_more_than_its_peak() {
        let now = resident_bytes().unwrap();
        assert!(now > 100 * 1024);
        assert!(peak_resident_bytes().unwrap() >= now / 2);
    }

    #[test]
    fn ring_workers_are_told_by_the_name_the_kernel_gives_them() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for (task, comm) in [(1, "wring"), (2, "iou-wrk-1"), (3, "iou-sqp-1"), (4, "iou-wrk-9")] {
            fs::create_dir_all(root.join(task.to_string())).unwrap();
            fs::write(root.join(format!("{task}/comm")), format!("{comm}\n")).unwrap();
        }
        // A thread that ended while it was looked at.
        fs::create_dir_all(root.join("5")).unwrap();
        assert_eq!(io_wq_threads_in(root), Some(2));
        assert!(io_wq_threads().is_some());
        assert_eq!(io_wq_threads_in(Path::new("/nonexistent")), None);
    }

    #[test]
    fn a_machine_without_proc_and_sys_has_no_facts_and_no_failure() {
        let facts = MachineFacts::read_from(Path::new("/nonexistent"));
        assert_eq!(facts, MachineFacts::default());
    }

    #[test]
    fn facts_are_read_from_the_files_the_kernel_writes() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for (path, text) in [
            ("proc/cpuinfo", "processor\t: 0\nmodel name\t: Made Up 9000 @ 2.5GHz\n"),
            ("proc/sys/kernel/osrelease", "6.18.0-test\n"),
            ("proc/sys/net/ipv4/tcp_congestion_control", "bbr\n"),
            ("sys/devices/system/cpu/online", "0-3,8\n"),
            ("sys/devices/system/cpu/vulnerabilities/mds", "Vulnerable: no microcode\n"),
            ("sys/devices/system/cpu/vulnerabilities/retbleed", "Mitigation: IBRS\n"),
            ("sys/devices/system/cpu/vulnerabilities/l1tf", "Not affected\n"),
            ("sys/devices/system/cpu/vulnerabilities/a", "Mitigation: PTI\n"),
        ] {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let facts = MachineFacts::read_from(root);
        let expected = MachineFacts {
            kernel: Some("6.18.0-test".into()),
            cpu_model: Some("Made Up 9000 @ 2.5GHz".into()),
            cpus_online: Some(5),
            mitigations: Some("mitigated: a, retbleed; vulnerable: mds".into()),
            governor: None,
            clock_source: None,
            tcp_congestion: Some("bbr".into()),
        };
        assert_eq!(facts, expected);
    }
}
