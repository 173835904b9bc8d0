//! For how long this machine stands still: threads that do nothing but read the clock, and the time
//! between two reads.
//!
//! The idea: such a thread has no reason to wait. Whatever keeps it (the hypervisor, an interrupt,
//! another process) would keep a worker too, and makes a request late that is due just then. The gaps
//! say how late such requests are without a single one being sent: a request due at a random moment
//! of a gap of length g is late by the rest of it, which is uniform between 0 and g.

use std::thread;

use crate::sys::{self, Clock, Signals};
use crate::units::format_duration_ns;

use super::probe::Machine;
use super::{Check, Group, Mark};

/// How long it is looked for, in nanoseconds.
const LOOK_NS: u64 = 500_000_000;
/// CPUs that are looked at, at most.
const CPUS_MAX: usize = 8;
/// A shorter gap is an interrupt or a cache miss, in nanoseconds.
const GAP_NS_MIN: u64 = 10_000;
/// Gaps kept for one CPU; later ones only add to the total.
const GAPS_MAX: usize = 1 << 16;
/// Between two looks at the signals, in reads of the clock.
const READS: u32 = 10_000;
/// How late a request due at a random moment is at the 99.9th percentile. wring accepts a lag of its
/// own of a millisecond at the 99th.
const LATE_NS: [u64; 3] = [100_000, 1_000_000, 10_000_000];

/// What was seen on the CPU where it was worst.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Standstill {
    pub(super) cpu: u32,
    /// CPUs that were looked at, all at once.
    pub(super) cpus: u32,
    /// Share of the time that was lost.
    pub(super) share: f64,
    pub(super) longest_ns: u64,
    /// How late a request due at a random moment would be at the 99.9th percentile.
    pub(super) late_p999_ns: u64,
}

/// Looks on the first of `cpus`, all at once, each with a thread of its own. `None` when it was interrupted.
pub(super) fn measure(cpus: &[u32], signals: &Signals) -> Option<Standstill> {
    let cpus = &cpus[..cpus.len().min(CPUS_MAX)];
    let seen = thread::scope(|scope| {
        let look = |&cpu| scope.spawn(move || look(cpu, signals));
        let looks: Vec<_> = cpus.iter().map(look).collect();
        looks.into_iter().map(|look| look.join().ok()?).collect::<Option<Vec<_>>>()
    })?;
    let worst = seen.into_iter().max_by_key(|seen| (seen.late_p999_ns, seen.longest_ns))?;
    Some(Standstill { cpus: cpus.len() as u32, ..worst })
}

fn look(cpu: u32, signals: &Signals) -> Option<Standstill> {
    sys::pin_current_thread(cpu);
    let mut gaps = Vec::with_capacity(GAPS_MAX);
    let clock = Clock::start();
    let (from_ns, mut lost_ns) = (clock.now_ns(), 0);
    let mut last_ns = from_ns;
    while last_ns - from_ns < LOOK_NS {
        if signals.count() > 0 {
            return None;
        }
        for _ in 0..READS {
            let now_ns = clock.now_ns();
            let gap_ns = now_ns - last_ns;
            last_ns = now_ns;
            if gap_ns >= GAP_NS_MIN {
                lost_ns += gap_ns;
                if gaps.len() < GAPS_MAX {
                    gaps.push(gap_ns);
                }
            }
        }
    }
    let total_ns = last_ns - from_ns;
    Some(Standstill {
        cpu,
        cpus: 1,
        share: lost_ns as f64 / total_ns as f64,
        longest_ns: gaps.iter().copied().max().unwrap_or(0),
        late_p999_ns: late_ns(&gaps, total_ns, 0.001),
    })
}

/// By how much more than this a moment drawn at random out of `total_ns` is late with probability
/// `share`: the level that cuts `share * total_ns` off the gaps.
fn late_ns(gaps: &[u64], total_ns: u64, share: f64) -> u64 {
    let above = |level_ns: u64| gaps.iter().map(|gap| gap.saturating_sub(level_ns)).sum::<u64>();
    let allowed_ns = (total_ns as f64 * share) as u64;
    let (mut low, mut high) = (0, gaps.iter().copied().max().unwrap_or(0));
    while low < high {
        let middle = low + (high - low) / 2;
        if above(middle) > allowed_ns { low = middle + 1 } else { high = middle }
    }
    low
}

pub(super) fn check(machine: &Machine) -> Check {
    let check = Check::new(
        Group::Cpu,
        "standstills",
        "a thread that only reads the clock was kept from it: a request that is due just then leaves \
         late, whatever the generator, and an answer is seen late",
    );
    let Some(seen) = &machine.standstill else {
        return check.seen(Mark::Unknown, "not looked for");
    };
    let mark = Mark::of_rising(seen.late_p999_ns, LATE_NS);
    let check = check
        .fact("cpu", u64::from(seen.cpu))
        .fact("cpus_looked_at", u64::from(seen.cpus))
        .fact("lost_share", seen.share)
        .fact("longest_ns", seen.longest_ns)
        .fact("late_p999_ns", seen.late_p999_ns)
        .seen(
            mark,
            format!(
                "CPU {} stood still for {:.2} % of the time, {} at longest: a request due at any moment \
                 is late by {} at p99.9",
                seen.cpu,
                seen.share * 100.0,
                format_duration_ns(seen.longest_ns),
                format_duration_ns(seen.late_p999_ns),
            ),
        );
    if mark < Mark::Warning {
        return check;
    }
    check.change(
        "stop what else runs here; in a virtual machine: CPUs of its own (dedicated, pinned)",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lateness_of_gaps_is_that_of_moments_drawn_from_them() {
        // One gap of 10 in 1,000: a moment is in it with 1 %, and later than 5 with half of that.
        assert_eq!(late_ns(&[10_000], 1_000_000, 0.005), 5_000);
        assert_eq!(late_ns(&[10_000], 1_000_000, 0.01), 0);
        assert_eq!(late_ns(&[10_000], 1_000_000, 0.0), 10_000);
        assert_eq!(late_ns(&[], 1_000_000, 0.001), 0);
        // Of two, the longer one is cut first: 4 off the one and 1 off the other.
        assert_eq!(late_ns(&[6_000, 3_000], 1_000_000, 0.005), 2_000);
        let gaps: Vec<u64> = (1..=1_000).collect();
        let level = late_ns(&gaps, 10_000_000, 0.01);
        let late = gaps.iter().map(|gap| gap.saturating_sub(level)).sum::<u64>();
        assert!(late <= 100_000 && late + gaps.len() as u64 > 100_000, "{level}: {late}");
    }

    #[test]
    fn a_look_at_this_machine_is_consistent() {
        let cpus = sys::allowed_cpus();
        let signals = Signals::default();
        let seen = measure(&cpus[..1], &signals).unwrap();
        assert_eq!((seen.cpu, seen.cpus), (cpus[0], 1));
        assert!((0.0..=1.0).contains(&seen.share), "{seen:?}");
        assert!(seen.late_p999_ns <= seen.longest_ns, "{seen:?}");
    }
}
