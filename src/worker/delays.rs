//! What wring itself took from a schedule: when its loop stood still although it had work.
//!
//! Requests that wait while no connection is free are the target's to answer for, except for what the
//! loop made them wait by not looking: it came back from a wait too late, or was ready to run and got
//! no CPU. What each such time cost is kept in one growing sum, so that for a request due at any time
//! back then, its share is a difference.

/// Sums are kept for this many moments; when more are needed, every other one is forgotten, and
/// between two moments the sum is taken to have grown evenly.
const MOMENTS_MAX: usize = 4096;
/// Shorter delays are not kept: a turn's own work takes as long.
const DELAY_NS_MIN: u64 = 50_000;

/// A sum of delays over time.
#[derive(Debug)]
pub(super) struct Delays {
    /// Moments and the sum at each, both ascending.
    moments: Vec<(u64, u64)>,
}

impl Delays {
    pub(super) fn new() -> Self {
        Self { moments: Vec::with_capacity(MOMENTS_MAX) }
    }

    /// The loop was not there from `from_ns` to `to_ns`, which is not before any delay added already,
    /// and that cost those who waited `lost_ns`.
    pub(super) fn add(&mut self, from_ns: u64, to_ns: u64, lost_ns: u64) {
        let (last_ns, sum_ns) = self.moments.last().copied().unwrap_or((0, 0));
        let from_ns = from_ns.max(last_ns);
        if to_ns < from_ns.saturating_add(DELAY_NS_MIN) {
            return;
        }
        let lost_ns = lost_ns.min(to_ns - from_ns);
        if self.moments.len() + 2 > MOMENTS_MAX {
            let mut nth = 0_usize;
            self.moments.retain(|_| {
                nth += 1;
                nth.is_multiple_of(2)
            });
        }
        self.moments.push((from_ns, sum_ns));
        self.moments.push((to_ns, sum_ns + lost_ns));
    }

    /// What those between `from_ns` and `to_ns` cost.
    pub(super) fn between(&self, from_ns: u64, to_ns: u64) -> u64 {
        match self.moments.last() {
            Some(&(last_ns, _)) if from_ns < last_ns => {
                self.sum_at(to_ns).saturating_sub(self.sum_at(from_ns))
            }
            _ => 0,
        }
    }

    fn sum_at(&self, at_ns: u64) -> u64 {
        let next = self.moments.partition_point(|&(moment_ns, _)| moment_ns <= at_ns);
        let Some(&(before_ns, before)) = next.checked_sub(1).map(|last| &self.moments[last]) else {
            return 0;
        };
        let Some(&(after_ns, after)) = self.moments.get(next) else { return before };
        let part = u128::from(after - before) * u128::from(at_ns - before_ns);
        before + (part / u128::from(after_ns - before_ns)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// A delay that cost as much as it lasted.
    fn add(delays: &mut Delays, from_ns: u64, to_ns: u64) {
        delays.add(from_ns, to_ns, to_ns - from_ns);
    }

    #[test]
    fn a_time_holds_of_the_delays_what_overlaps_it() {
        let mut delays = Delays::new();
        assert_eq!(delays.between(0, 100 * MS), 0);
        add(&mut delays, 10 * MS, 20 * MS);
        add(&mut delays, 30 * MS, 30 * MS + DELAY_NS_MIN - 1);
        add(&mut delays, 40 * MS, 45 * MS);
        for (from, to, share) in [
            (0, 10, 0),
            (0, 15, 5),
            (12, 18, 6),
            (0, 100, 15),
            (20, 40, 0),
            (44, 60, 1),
            (50, 60, 0),
        ] {
            assert_eq!(delays.between(from * MS, to * MS), share * MS, "{from} to {to}");
        }
    }

    #[test]
    fn delays_that_overlap_are_counted_once() {
        let mut delays = Delays::new();
        add(&mut delays, 10 * MS, 20 * MS);
        add(&mut delays, 15 * MS, 22 * MS);
        assert_eq!(delays.between(0, 100 * MS), 12 * MS);
    }

    #[test]
    fn a_delay_may_cost_less_than_it_lasted() {
        let mut delays = Delays::new();
        delays.add(10 * MS, 20 * MS, 2 * MS);
        assert_eq!(delays.between(0, 100 * MS), 2 * MS);
        assert_eq!(delays.between(15 * MS, 100 * MS), MS, "evenly");
        delays.add(20 * MS, 30 * MS, 100 * MS);
        assert_eq!(delays.between(20 * MS, 30 * MS), 10 * MS, "never more");
    }

    #[test]
    fn the_sum_stays_right_when_moments_are_forgotten() {
        let mut delays = Delays::new();
        for nth in 0..20_000 {
            add(&mut delays, nth * MS, nth * MS + MS / 4);
        }
        assert!(delays.moments.len() <= MOMENTS_MAX && delays.moments.capacity() == MOMENTS_MAX);
        let all = delays.between(0, 20_000 * MS);
        assert!(all.abs_diff(5_000 * MS) <= 5_000 * MS / 100, "{all}");
        let recent = delays.between(19_000 * MS, 20_000 * MS);
        assert!(recent.abs_diff(250 * MS) <= 3 * MS, "{recent}");
    }
}
