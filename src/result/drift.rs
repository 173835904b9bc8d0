//! How the warm-up went, and whether the rate drifted through the window.

use super::{RunResult, Second};
use crate::stats;

/// A change over the window that is too small to matter, as a share.
const CHANGE_MIN: f64 = 0.03;

/// A warm-up that was to end when the target is steady.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct WarmedUp {
    /// How long it lasted, in nanoseconds; until the stop where one came first.
    pub length_ns: u64,
    /// Since when, counted from its start, the series was steady; `None` if it was not when the time
    /// was up.
    pub steady_from_ns: Option<u64>,
}

/// That requests per second did not stay what they were at the start of the window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drift {
    /// By how much they changed to its end, as a share of what they were: negative if they fell.
    pub change: f64,
    /// When, since the window's start in nanoseconds, if it was at once; `None` if it was little by
    /// little.
    pub at_ns: Option<u64>,
}

/// How requests per second changed through the window. `None` where they did not by more than chance
/// explains and 3 %, in windows of fewer than eight intervals, and where the schedule itself has
/// stages.
pub fn drift(result: &RunResult) -> Option<Drift> {
    let changes =
        |s: &super::Schedule| s.rate_end_per_s != s.rate_per_s || s.profile.contains("->");
    if result.asked.schedule.as_ref().is_some_and(changes) {
        return None;
    }
    let start_ns = result.warmed_up.map_or(result.asked.warmup_ns, |warmed| warmed.length_ns);
    let end_ns = start_ns.saturating_add(result.window_ns);
    let longest_ns = result.seconds.iter().map(|second| second.length_ns).max()?;
    // Whole intervals alone: the first and the last of the load may be cut short.
    let whole = |second: &&Second| {
        second.start_ns >= start_ns
            && second.start_ns.saturating_add(second.length_ns)
                <= end_ns.saturating_add(longest_ns / 100)
            && second.length_ns >= longest_ns - longest_ns / 10
    };
    let per_s =
        |second: &Second| second.flow.completed as f64 * 1e9 / second.length_ns.max(1) as f64;
    let seconds: Vec<&Second> = result.seconds.iter().filter(whole).collect();
    let series: Vec<f64> = seconds.iter().map(|second| per_s(second)).collect();
    let found = stats::drift(&series).filter(|drift| drift.change.abs() >= CHANGE_MIN)?;
    let at = found.jumps_at.and_then(|at| seconds.get(at));
    Some(Drift { change: found.change, at_ns: at.map(|second| second.start_ns - start_ns) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Flow;

    /// A window with these numbers of answers, a second each, after two seconds of warm-up.
    fn run(completed: &[u64]) -> RunResult {
        const SECOND: u64 = 1_000_000_000;
        let second = |(index, &completed): (usize, &u64)| Second {
            start_ns: index as u64 * SECOND,
            length_ns: SECOND,
            flow: Flow { completed, ..Flow::default() },
            ..Second::default()
        };
        let warm_up = [1, 5_000];
        let seconds = warm_up.iter().chain(completed).enumerate().map(second).collect();
        let window_ns = completed.len() as u64 * SECOND;
        let mut result = RunResult { seconds, window_ns, ..RunResult::default() };
        result.asked.warmup_ns = 2 * SECOND;
        result
    }

    #[test]
    fn a_rate_that_falls_through_the_window_is_told_by_how_much() {
        let falling: Vec<u64> = (0..11).map(|step| 1_050 - 10 * step).collect();
        let Drift { change, at_ns } = drift(&run(&falling)).unwrap();
        assert!((change + 100.0 / 1050.0).abs() < 0.001 && at_ns.is_none(), "{change}");
        let rising: Vec<u64> = falling.iter().rev().copied().collect();
        assert!(drift(&run(&rising)).unwrap().change > 0.09);
        // At once, after three seconds.
        let stepped = drift(&run(&[1_000, 1_010, 990, 600, 605, 595, 600, 610, 590, 600])).unwrap();
        assert!((stepped.change + 0.4).abs() < 0.001, "{stepped:?}");
        assert_eq!(stepped.at_ns, Some(3_000_000_000));
        // Too little to matter, and no trend at all.
        let slightly: Vec<u64> = (0..11).map(|step| 100_000 - 10 * step).collect();
        assert_eq!(drift(&run(&slightly)), None);
        assert_eq!(drift(&run(&[1_000, 900, 1_100, 950, 1_050, 1_000, 900, 1_100, 1_000])), None);
        assert_eq!(drift(&run(&[])), None);
    }

    #[test]
    fn what_a_schedule_asks_for_is_no_drift() {
        let mut result = run(&(0..11).map(|step| 1_050 - 10 * step).collect::<Vec<_>>());
        let schedule = super::super::Schedule {
            profile: "0/s->1,000/s:11s".to_owned(),
            rate_per_s: 500.0,
            rate_end_per_s: 1_000.0,
            ..super::super::Schedule::default()
        };
        result.asked.schedule = Some(schedule);
        assert_eq!(drift(&result), None);
    }
}
