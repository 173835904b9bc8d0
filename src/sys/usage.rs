//! What another process, or a control group, used of this machine: CPU time, memory, switches.
//!
//! A look reads counters, two looks make a usage. CPU time of a process comes from its CPU clock,
//! which counts nanoseconds and keeps those of threads that ended; that of children that ended and
//! were waited for is kept by the kernel in ticks of 10 ms. The family is all processes that descend
//! from the first, those found at an earlier look included when they have lost their parent since.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::clock::process_cpu_ns_of;
use super::host::status_bytes;

/// Nanoseconds in a tick of `/proc` (USER_HZ, the same on every architecture here).
const TICK_NS: u64 = 10_000_000;
/// Processes looked at, at most.
const PROCESSES_MAX: usize = 20_000;
/// Threads looked at, at most: context switches are counted by thread.
const THREADS_MAX: usize = 4096;
/// Groups within groups, at most.
const GROUPS_MAX: usize = 1024;

/// The counters of a family or a group at one moment.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct UsageLook {
    /// Of a group: what the kernel counts for it as a whole.
    group_cpu_ns: Option<u64>,
    /// By process id.
    processes: BTreeMap<u32, ProcessLook>,
}

#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct ProcessLook {
    /// When it started, which tells it from a later one with the same id.
    started_ticks: u64,
    /// Nobody has waited for it yet; until then its clock can be read.
    has_ended: bool,
    cpu_ns: u64,
    /// CPU time of its children that ended and were waited for.
    reaped_ns: u64,
    resident_bytes: u64,
    /// By thread id: switches because it waited, and because its time was up.
    switches: BTreeMap<u32, (u64, u64)>,
}

/// What was used between two looks.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Usage {
    /// CPU time, user and system, in nanoseconds.
    pub cpu_ns: u64,
    /// Memory in RAM at the second look, in bytes: the processes added up, shared pages with each.
    pub resident_bytes: u64,
    /// Context switches of a thread that waited for something.
    pub switches_voluntary: u64,
    /// Context switches of a thread that had to leave its CPU.
    pub switches_forced: u64,
    /// Processes at the second look.
    pub processes: u32,
    /// Their threads.
    pub threads: u32,
    /// A process ended in between, and its CPU time could not be found with its parent.
    pub lost_a_process: bool,
}

impl UsageLook {
    /// The family of process `pid` as of now; those of `before` that have lost their parent since
    /// still belong to it.
    pub fn of_process(pid: u32, before: Option<&Self>) -> io::Result<Self> {
        let known = |pid: &u32| before.and_then(|look| look.processes.get(pid));
        let mut members = family(pid, &parents());
        for (&pid, then) in before.iter().flat_map(|look| &look.processes) {
            // Unless the id was given to somebody else.
            let is_it = stat_of(pid).is_some_and(|now| now.started_ticks == then.started_ticks);
            if is_it && !members.contains(&pid) {
                members.push(pid);
            }
        }
        let look = Self { group_cpu_ns: None, processes: processes(&members) };
        match look.processes.get(&pid) {
            Some(first)
                if !first.has_ended && known(&pid).is_none_or(|then| then.is_same_as(first)) =>
            {
                Ok(look)
            }
            _ => Err(io::Error::new(io::ErrorKind::NotFound, "there is no such process")),
        }
    }

    /// The control group with the folder `folder` as of now, groups within it included.
    pub fn of_group(folder: &str) -> io::Result<Self> {
        let folder = Path::new(folder);
        let stat = fs::read_to_string(folder.join("cpu.stat"))?;
        let group_cpu_ns = parse_usage_ns(&stat).ok_or_else(|| {
            io::Error::new(io::ErrorKind::Unsupported, "it is no group of version 2")
        })?;
        let processes = processes(&group_members(folder));
        Ok(Self { group_cpu_ns: Some(group_cpu_ns), processes })
    }

    /// Finds the folder of the group that was typed: the folder itself, or its path below the mount
    /// of the version-2 hierarchy, as `/proc/PID/cgroup` has it. With a first look at it.
    pub fn find_group(typed: &str) -> io::Result<(String, Self)> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let below = typed.trim_start_matches("0::").trim_start_matches('/');
        let mounted = mount_of_v2(&mounts).map(|mount| Path::new(mount).join(below));
        let mut refused = io::Error::new(io::ErrorKind::NotFound, "there is no such group");
        for folder in [Some(PathBuf::from(typed)), mounted].into_iter().flatten() {
            let Some(name) = folder.to_str().filter(|_| folder.is_dir()) else { continue };
            match Self::of_group(name) {
                Ok(look) => return Ok((name.to_owned(), look)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let what = "the folder has no cpu.stat, so it is no group of version 2";
                    refused = io::Error::new(io::ErrorKind::Unsupported, what);
                }
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    /// Whether process `pid` is one of those looked at.
    pub fn has(&self, pid: u32) -> bool {
        self.processes.contains_key(&pid)
    }

    /// What was used since `before`.
    pub fn since(&self, before: &Self) -> Usage {
        let mut usage = Usage::default();
        let (mut reaped_ns, mut own_ns) = (0, 0);
        let nothing = ProcessLook::default();
        for (pid, now) in &self.processes {
            let then = before.processes.get(pid).filter(|then| then.is_same_as(now));
            let then = then.unwrap_or(&nothing);
            own_ns += now.cpu_ns.saturating_sub(then.cpu_ns);
            reaped_ns += now.reaped_ns.saturating_sub(then.reaped_ns);
            usage.resident_bytes += now.resident_bytes;
            usage.processes += u32::from(!now.has_ended);
            usage.threads += if now.has_ended { 0 } else { now.switches.len() as u32 };
            for (thread, &(voluntary, forced)) in &now.switches {
                let then = then.switches.get(thread).copied().unwrap_or_default();
                usage.switches_voluntary += voluntary.saturating_sub(then.0);
                usage.switches_forced += forced.saturating_sub(then.1);
            }
        }
        let ended = |(pid, then): &(&u32, &ProcessLook)| {
            self.processes.get(pid).is_none_or(|now| !now.is_same_as(then))
        };
        // What one that ended had used before the first look is in its parent's sum as well.
        let gone: Vec<&ProcessLook> =
            before.processes.iter().filter(ended).map(|(_, then)| then).collect();
        let gone_ns: u64 = gone.iter().map(|then| then.cpu_ns + then.reaped_ns).sum();
        let tolerance_ns = TICK_NS * 2 * gone.len() as u64;
        usage.lost_a_process = reaped_ns + tolerance_ns < gone_ns;
        let family_ns = own_ns + reaped_ns.saturating_sub(gone_ns);
        usage.cpu_ns = match (self.group_cpu_ns, before.group_cpu_ns) {
            (Some(now), Some(then)) => now.saturating_sub(then),
            _ => family_ns,
        };
        // A group counts whatever ended in it.
        usage.lost_a_process &= self.group_cpu_ns.is_none();
        usage
    }
}

impl ProcessLook {
    fn is_same_as(&self, other: &Self) -> bool {
        self.started_ticks == other.started_ticks
    }
}

/// The fields of `/proc/PID/stat` that matter here (proc_pid_stat(5)).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Stat {
    pub(super) has_ended: bool,
    pub(super) parent: u32,
    /// Process group.
    pub(super) group: u32,
    pub(super) session: u32,
    reaped_ns: u64,
    pub(super) started_ticks: u64,
}

/// The name stands in brackets and may hold anything, brackets included.
fn parse_stat(text: &str) -> Option<Stat> {
    let (_, tail) = text.rsplit_once(')')?;
    let fields: Vec<&str> = tail.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    let state = *fields.first()?;
    Some(Stat {
        has_ended: matches!(state, "Z" | "X" | "x"),
        parent: u32::try_from(number(1)?).ok()?,
        group: u32::try_from(number(2)?).ok()?,
        session: u32::try_from(number(3)?).ok()?,
        reaped_ns: number(13)?.checked_add(number(14)?)?.checked_mul(TICK_NS)?,
        started_ticks: number(19)?,
    })
}

pub(super) fn stat_of(pid: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Every process; none where `/proc` is hidden.
pub(super) fn all_processes() -> Vec<(u32, Stat)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.take(PROCESSES_MAX).filter_map(|pid| Some((pid, stat_of(pid)?))).collect()
}

/// Every process and its parent.
fn parents() -> Vec<(u32, u32)> {
    all_processes().into_iter().map(|(pid, stat)| (pid, stat.parent)).collect()
}

/// `first` and whatever descends from it.
pub(super) fn family(first: u32, parents: &[(u32, u32)]) -> Vec<u32> {
    let mut members = vec![first];
    let mut next = 0;
    while let Some(&parent) = members.get(next) {
        let children = parents.iter().filter(|(pid, of)| *of == parent && *pid != parent);
        let children: Vec<u32> = children.map(|(pid, _)| *pid).collect();
        members.extend(children.into_iter().filter(|child| *child != first));
        next += 1;
        if members.len() > PROCESSES_MAX {
            break;
        }
    }
    members
}

/// Looks at each process that is there; the clocks last and one after the other, so that they are
/// of one moment.
fn processes(members: &[u32]) -> BTreeMap<u32, ProcessLook> {
    let mut threads_left = THREADS_MAX;
    let mut looks: BTreeMap<u32, ProcessLook> = members
        .iter()
        .filter_map(|&pid| {
            let stat = stat_of(pid)?;
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let switches = switches_of(pid, threads_left);
            threads_left -= switches.len();
            let look = ProcessLook {
                started_ticks: stat.started_ticks,
                has_ended: stat.has_ended,
                cpu_ns: 0,
                reaped_ns: stat.reaped_ns,
                // A kernel thread has none.
                resident_bytes: status_bytes(&status, "VmRSS:").unwrap_or(0),
                switches,
            };
            Some((pid, look))
        })
        .collect();
    for (pid, look) in &mut looks {
        look.cpu_ns = process_cpu_ns_of(*pid).unwrap_or(0);
    }
    looks
}

fn switches_of(pid: u32, most: usize) -> BTreeMap<u32, (u64, u64)> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let threads = tasks.filter_map(|task| {
        let thread = task.file_name().to_str()?.parse::<u32>().ok()?;
        let status = fs::read_to_string(task.path().join("status")).ok()?;
        Some((thread, parse_switches(&status)))
    });
    threads.take(most).collect()
}

fn parse_switches(status: &str) -> (u64, u64) {
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
    };
    (field("voluntary_ctxt_switches:"), field("nonvoluntary_ctxt_switches:"))
}

/// Processes of a group and the groups within it.
fn group_members(folder: &Path) -> Vec<u32> {
    let mut open = vec![folder.to_owned()];
    let mut members = Vec::new();
    let mut seen = 0;
    while let Some(folder) = open.pop() {
        seen += 1;
        let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
        members.extend(text.lines().filter_map(|line| line.trim().parse::<u32>().ok()));
        if seen + open.len() >= GROUPS_MAX || members.len() > PROCESSES_MAX {
            continue;
        }
        let below = fs::read_dir(&folder).into_iter().flatten().flatten();
        open.extend(below.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()));
    }
    members
}

/// The line `usage_usec` of `cpu.stat`, which version 1 does not have.
fn parse_usage_ns(text: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix("usage_usec "))?;
    value.trim().parse::<u64>().ok()?.checked_mul(1000)
}

/// Where the version-2 hierarchy is mounted (proc_pid_mountinfo(5)).
fn mount_of_v2(mountinfo: &str) -> Option<&str> {
    let line = mountinfo.lines().find(|line| line.contains(" - cgroup2 "))?;
    line.split(' ').nth(4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    fn look(processes: &[(u32, ProcessLook)]) -> UsageLook {
        UsageLook { group_cpu_ns: None, processes: processes.iter().cloned().collect() }
    }

    fn process(started_ticks: u64, cpu_ns: u64, reaped_ns: u64) -> ProcessLook {
        ProcessLook { started_ticks, cpu_ns, reaped_ns, resident_bytes: 10, ..Default::default() }
    }

    #[test]
    fn a_family_is_everybody_who_descends_from_the_first() {
        let parents = [(1, 0), (10, 1), (11, 10), (12, 11), (13, 10), (99, 1)];
        let mut members = family(10, &parents);
        members.sort_unstable();
        assert_eq!(members, [10, 11, 12, 13]);
        assert_eq!(family(7, &parents), [7]);
        // Ids may be read while they change hands: a circle must end.
        assert_eq!(family(1, &[(1, 2), (2, 1)]), [1, 2]);
    }

    #[test]
    fn the_stat_line_is_read_behind_a_name_with_brackets() {
        let text = "42 (a) S (b c) S 7 2 3 4 5 6 7 8 9 10 30 12 5 6 15 16 3 0 777 1000 55\n";
        let stat = Stat {
            has_ended: false,
            parent: 7,
            group: 2,
            session: 3,
            reaped_ns: 11 * TICK_NS,
            started_ticks: 777,
        };
        assert_eq!(parse_stat(text), Some(stat));
        assert!(parse_stat(&text.replace(") S 7", ") Z 7")).unwrap().has_ended);
        assert_eq!(parse_stat("42 (short) S 1"), None);
    }

    #[test]
    fn usage_is_what_the_clocks_moved_by() {
        let before = look(&[(1, process(5, 1_000, 0)), (2, process(6, 500, 0))]);
        let mut after = look(&[(1, process(5, 4_000, 0)), (2, process(6, 700, 0))]);
        let switches = [(1, (10, 2)), (3, (4, 0))];
        after.processes.get_mut(&1).unwrap().switches = switches.into_iter().collect();
        let usage = after.since(&before);
        assert_eq!((usage.cpu_ns, usage.resident_bytes), (3_200, 20));
        assert_eq!((usage.switches_voluntary, usage.switches_forced), (14, 2));
        assert_eq!((usage.processes, usage.threads), (2, 2));
        assert!(!usage.lost_a_process);
    }

    #[test]
    fn a_child_that_ended_is_found_with_its_parent_once() {
        let second_ns = 1_000_000_000;
        let before = look(&[(1, process(5, second_ns, 0)), (2, process(6, 3 * second_ns, 0))]);
        let reaped = look(&[(1, process(5, 2 * second_ns, 4 * second_ns))]);
        let usage = reaped.since(&before);
        assert_eq!((usage.cpu_ns, usage.lost_a_process), (2 * second_ns, false));
        let lost = look(&[(1, process(5, 2 * second_ns, 0))]);
        let usage = lost.since(&before);
        assert_eq!((usage.cpu_ns, usage.lost_a_process), (second_ns, true));
        // An id that was given away is a new process.
        let other = look(&[(1, process(5, 2 * second_ns, 0)), (2, process(77, 10, 0))]);
        assert_eq!(other.since(&before).cpu_ns, second_ns + 10);
    }

    #[test]
    fn a_group_counts_for_itself() {
        let group = |ns| UsageLook { group_cpu_ns: Some(ns), ..UsageLook::default() };
        assert_eq!(group(900).since(&group(200)).cpu_ns, 700);
        assert_eq!(parse_usage_ns("usage_usec 12\nuser_usec 5\n"), Some(12_000));
        assert_eq!(parse_usage_ns("nr_periods 1\n"), None);
        let mounts = "30 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw\n";
        assert_eq!(mount_of_v2(mounts), Some("/sys/fs/cgroup"));
        assert_eq!(mount_of_v2("1 2 0:3 / /x rw - cgroup cgroup rw,cpu\n"), None);
    }

    #[test]
    fn a_working_child_is_seen_through_its_parent_and_after_its_end() {
        // A shell whose child spins until told to stop.
        let mut shell = Command::new("sh")
            .args(["-c", "sh -c 'while :; do :; done' & echo $!; read x; kill $!; wait; read x"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = shell.id();
        let mut line = String::new();
        let mut stdout = io::BufReader::new(shell.stdout.take().unwrap());
        io::BufRead::read_line(&mut stdout, &mut line).unwrap();
        let child: u32 = line.trim().parse().unwrap();
        let before = UsageLook::of_process(pid, None).unwrap();
        assert!(before.processes.contains_key(&child));
        let busy = loop {
            let now = UsageLook::of_process(pid, Some(&before)).unwrap();
            if now.since(&before).cpu_ns > 50_000_000 {
                break now;
            }
        };
        let usage = busy.since(&before);
        assert!(usage.processes >= 2 && usage.resident_bytes > 0, "{usage:?}");
        let mut stdin = shell.stdin.take().unwrap();
        io::Write::write_all(&mut stdin, b"\n").unwrap();
        let ended = loop {
            let now = UsageLook::of_process(pid, Some(&before)).unwrap();
            if !now.processes.contains_key(&child) {
                break now;
            }
        };
        let (so_far, whole) = (usage.cpu_ns, ended.since(&before));
        assert!(!whole.lost_a_process, "{whole:?}");
        // Ticks of 10 ms are what the parent keeps.
        assert!(whole.cpu_ns + 3 * TICK_NS > so_far, "{whole:?} after {so_far}");
        drop(stdin);
        shell.wait().unwrap();
        assert!(UsageLook::of_process(pid, Some(&before)).is_err());
    }

    #[test]
    fn a_folder_that_is_no_group_is_refused_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().to_str().unwrap();
        let error = UsageLook::find_group(name).unwrap_err();
        assert!(error.to_string().contains("cpu.stat"), "{error}");
        fs::write(folder.path().join("cpu.stat"), "nr_periods 1\n").unwrap();
        let error = UsageLook::find_group(name).unwrap_err();
        assert!(error.to_string().contains("version 2"), "{error}");
        let missing = UsageLook::find_group("no/such/group").unwrap_err();
        assert!(missing.to_string().contains("no such group"), "{missing}");
        // A group as the kernel shows it, with one within it.
        fs::write(folder.path().join("cpu.stat"), "usage_usec 7\n").unwrap();
        fs::create_dir(folder.path().join("inner")).unwrap();
        let own = std::process::id();
        fs::write(folder.path().join("inner/cgroup.procs"), format!("{own}\n")).unwrap();
        let (found, look) = UsageLook::find_group(name).unwrap();
        assert_eq!((found.as_str(), look.group_cpu_ns), (name, Some(7_000)));
        assert_eq!(look.processes.keys().copied().collect::<Vec<_>>(), [own]);
        assert!(look.has(own) && !look.has(own + 1));
    }
}
