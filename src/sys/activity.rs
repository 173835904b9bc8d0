//! What the machine was doing between two looks: CPU time, stolen time, swapping, processes.
//!
//! A look reads counters, two looks make a share. CPU time is counted in ticks, so a short sample is
//! coarse: 300 ms of one CPU are 30 ticks.

use std::collections::HashMap;
use std::fs;

/// Ticks per second of the times in `/proc` (USER_HZ, the same on every architecture here).
const TICKS_PER_S: f64 = 100.0;
/// Processes looked at, at most: a machine with more is busy in other ways.
const PROCESSES_MAX: usize = 10_000;

/// The counters at one moment.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ActivityLook {
    /// By CPU; `None` when `/proc/stat` is hidden.
    cpus: Option<Vec<(u32, CpuTicks)>>,
    /// Pages swapped in and out.
    swapped_pages: Option<u64>,
    /// By process id: name and CPU time in ticks.
    processes: HashMap<u32, (String, u64)>,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct CpuTicks {
    total: u64,
    busy: u64,
    stolen: u64,
}

/// A process and how much CPU time it took, in CPUs.
#[derive(Clone, Debug, PartialEq)]
pub struct BusyProcess {
    /// Its id.
    pub pid: u32,
    /// Its name; written by whoever started it.
    pub name: String,
    /// 1.0 is one CPU all the time.
    pub cpus: f64,
}

/// What happened between two looks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Activity {
    /// Share of the CPUs' time that somebody ran, 0 to 1.
    pub busy_share: Option<f64>,
    /// Share of their time that the hypervisor gave to others, 0 to 1.
    pub stolen_share: Option<f64>,
    /// Pages swapped in and out.
    pub swapped_pages: Option<u64>,
    /// The process that ran most, this one aside.
    pub busiest: Option<BusyProcess>,
}

impl ActivityLook {
    /// The counters as of now.
    pub fn now() -> Self {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let vmstat = fs::read_to_string("/proc/vmstat").unwrap_or_default();
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let processes = processes
            .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
            .take(PROCESSES_MAX)
            .filter_map(|pid| {
                let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
                Some((pid, parse_process(&stat)?))
            });
        Self {
            cpus: parse_stat(&stat),
            swapped_pages: parse_vmstat(&vmstat),
            processes: processes.collect(),
        }
    }

    /// What happened on `cpus` since `before`, `elapsed_ns` ago.
    pub fn since(&self, before: &Self, cpus: &[u32], elapsed_ns: u64) -> Activity {
        let sum = |look: &Self| {
            let all = look.cpus.as_ref()?;
            let mut sum = CpuTicks::default();
            for (_, ticks) in all.iter().filter(|(cpu, _)| cpus.contains(cpu)) {
                sum.total += ticks.total;
                sum.busy += ticks.busy;
                sum.stolen += ticks.stolen;
            }
            Some(sum)
        };
        let shares = sum(self).zip(sum(before)).and_then(|(now, then)| {
            // Idle time may be corrected backwards (proc_stat(5)); nothing else is.
            let total = now.total.saturating_sub(then.total) as f64;
            let share = |now: u64, then: u64| (now.saturating_sub(then) as f64 / total).min(1.0);
            (total > 0.0).then(|| (share(now.busy, then.busy), share(now.stolen, then.stolen)))
        });
        let swapped = self.swapped_pages.zip(before.swapped_pages);
        Activity {
            busy_share: shares.map(|(busy, _)| busy),
            stolen_share: shares.map(|(_, stolen)| stolen),
            swapped_pages: swapped.map(|(now, then)| now.saturating_sub(then)),
            busiest: self.busiest_since(before, elapsed_ns),
        }
    }

    fn busiest_since(&self, before: &Self, elapsed_ns: u64) -> Option<BusyProcess> {
        let own = std::process::id();
        let ran = |(&pid, (name, ticks)): (&u32, &(String, u64))| {
            // One that started in between had used nothing before.
            let then = before.processes.get(&pid).map_or(0, |(_, ticks)| *ticks);
            (ticks.saturating_sub(then), pid, name.clone())
        };
        let all = self.processes.iter().filter(|(pid, _)| **pid != own).map(ran);
        let (ticks, pid, name) = all.max()?;
        let cpus = ticks as f64 / TICKS_PER_S / (elapsed_ns.max(1) as f64 / 1e9);
        (ticks > 0).then_some(BusyProcess { pid, name, cpus })
    }
}

/// The lines `cpuN user nice system idle iowait irq softirq steal guest guest_nice` of `/proc/stat`
/// (proc_stat(5)). Guest time is part of user time already.
fn parse_stat(text: &str) -> Option<Vec<(u32, CpuTicks)>> {
    let cpus: Vec<(u32, CpuTicks)> = text
        .lines()
        .filter_map(|line| {
            let mut fields = line.strip_prefix("cpu")?.split_ascii_whitespace();
            let cpu = fields.next()?.parse().ok()?;
            // The line over all CPUs has a blank where the others have their number.
            if line.as_bytes().get(3) == Some(&b' ') {
                return None;
            }
            let ticks: Vec<u64> = fields.take(8).map_while(|field| field.parse().ok()).collect();
            let at = |index: usize| ticks.get(index).copied().unwrap_or(0);
            let busy = at(0) + at(1) + at(2) + at(5) + at(6);
            let (idle, stolen) = (at(3) + at(4), at(7));
            Some((cpu, CpuTicks { total: busy + idle + stolen, busy, stolen }))
        })
        .collect();
    (!cpus.is_empty()).then_some(cpus)
}

fn parse_vmstat(text: &str) -> Option<u64> {
    let pages = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.and_then(|value| value.trim().parse::<u64>().ok())
    };
    Some(pages("pswpin")? + pages("pswpout")?)
}

/// Name, and user and system time in ticks, of one `/proc/PID/stat`. The name stands in brackets and
/// may hold anything, brackets included.
fn parse_process(text: &str) -> Option<(String, u64)> {
    let (head, tail) = text.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    let mut fields = tail.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((name.to_owned(), user + system))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(stat: &str, processes: &[(u32, &str, u64)]) -> ActivityLook {
        let processes = processes.iter().map(|&(pid, name, ticks)| (pid, (name.to_owned(), ticks)));
        ActivityLook {
            cpus: parse_stat(stat),
            swapped_pages: parse_vmstat("pswpin 5\npswpout 7\n"),
            processes: processes.collect(),
        }
    }

    #[test]
    fn shares_are_those_of_the_asked_cpus_alone() {
        let before = "cpu  0 0 0 0\ncpu0 10 0 10 100 0 0 0 5 0 0\ncpu1 0 0 0 100 0 0 0 0 0 0\n";
        let after = "cpu  0 0 0 0\ncpu0 40 0 20 140 0 5 5 15 9 9\ncpu1 90 0 0 110 0 0 0 0 0 0\n";
        let (before, after) = (look(before, &[]), look(after, &[]));
        let on_first = after.since(&before, &[0], 1_000_000_000);
        assert_eq!((on_first.busy_share, on_first.stolen_share), (Some(0.5), Some(0.1)));
        let on_second = after.since(&before, &[1], 1_000_000_000);
        assert_eq!((on_second.busy_share, on_second.stolen_share), (Some(0.9), Some(0.0)));
        assert_eq!(on_second.swapped_pages, Some(0));
        let nowhere = after.since(&before, &[7], 1);
        assert_eq!((nowhere.busy_share, nowhere.stolen_share), (None, None));
    }

    #[test]
    fn the_busiest_process_is_another_one_and_told_in_cpus() {
        let own = std::process::id();
        let before = look("", &[(1, "init", 100), (9, "cc1", 1000), (own, "wring", 0)]);
        let after =
            look("", &[(1, "init", 101), (9, "cc1", 1050), (own, "wring", 900), (77, "ld", 20)]);
        let busiest = after.since(&before, &[0], 500_000_000).busiest.unwrap();
        assert_eq!((busiest.pid, busiest.name.as_str()), (9, "cc1"));
        assert!((busiest.cpus - 1.0).abs() < 1e-9);
        assert_eq!(before.since(&before, &[0], 1).busiest, None);
    }

    #[test]
    fn a_hidden_proc_gives_no_shares() {
        let hidden = ActivityLook::default();
        assert_eq!(hidden.since(&hidden, &[0], 1), Activity::default());
        assert_eq!(parse_stat("intr 1 2 3\n"), None);
        assert_eq!(parse_vmstat("pswpin 1\n"), None);
    }

    #[test]
    fn a_name_with_brackets_and_blanks_does_not_shift_the_fields() {
        let stat = "42 (a) S (b c) R 1 2 3 4 5 6 7 8 9 10 30 12 0 0\n";
        assert_eq!(parse_process(stat), Some(("a) S (b c".to_owned(), 42)));
        assert_eq!(parse_process("42 (short) R 1 2\n"), None);
        assert_eq!(parse_process(""), None);
    }

    #[test]
    fn this_machine_can_be_looked_at() {
        let before = ActivityLook::now();
        let after = ActivityLook::now();
        let activity = after.since(&before, &[0], 1_000_000);
        assert!(activity.busy_share.is_none_or(|share| (0.0..=1.0).contains(&share)));
    }
}
