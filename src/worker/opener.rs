//! When the next connection attempt may begin, where their rate is bounded.
//!
//! Attempts are spaced evenly. A worker that comes late may catch up a little, so that turns of some
//! milliseconds do not lower the rate, but a rate not used is not saved up.

/// How late attempts may be made up for, in nanoseconds.
const CATCH_UP_NS: u64 = 10_000_000;

/// At which rate one worker begins its attempts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ConnectPace {
    /// Nanoseconds between two of them.
    pub interval_ns: u64,
    /// Nanoseconds from the worker's start to the first, so that workers take turns.
    pub first_ns: u64,
}

/// The gate that every attempt passes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Opener {
    interval_ns: u64,
    next_ns: u64,
}

impl Opener {
    /// A gate that is always open without a pace.
    pub(super) fn new(pace: Option<ConnectPace>, now_ns: u64) -> Self {
        pace.map_or_else(Self::default, |pace| Self {
            interval_ns: pace.interval_ns,
            next_ns: now_ns.saturating_add(pace.first_ns),
        })
    }

    /// When the next attempt may begin.
    #[inline]
    pub(super) fn next_ns(self) -> u64 {
        self.next_ns
    }

    /// An attempt begins.
    #[inline]
    pub(super) fn pass(&mut self, now_ns: u64) {
        if self.interval_ns > 0 {
            let earliest_ns = now_ns.saturating_sub(CATCH_UP_NS);
            self.next_ns = self.next_ns.max(earliest_ns).saturating_add(self.interval_ns);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// How many attempts pass when the worker looks every `look_ns` for `length_ns`.
    fn passed(pace: Option<ConnectPace>, look_ns: u64, length_ns: u64) -> u64 {
        let mut opener = Opener::new(pace, 0);
        let mut count = 0;
        for now_ns in (0..length_ns).step_by(look_ns as usize) {
            while opener.next_ns() <= now_ns && count < 1_000_000 {
                opener.pass(now_ns);
                count += 1;
            }
        }
        count
    }

    #[test]
    fn attempts_keep_their_rate_however_often_the_worker_looks() {
        let pace = Some(ConnectPace { interval_ns: MS, first_ns: 0 });
        for look_ns in [MS / 10, MS, 3 * MS, 8 * MS] {
            let count = passed(pace, look_ns, 1000 * MS);
            assert!((992..=1000).contains(&count), "{count} looking every {look_ns} ns");
        }
        assert_eq!(
            passed(Some(ConnectPace { interval_ns: MS, first_ns: 999 * MS }), MS, 1000 * MS),
            1
        );
        assert_eq!(passed(None, MS, 2 * MS), 1_000_000, "without a pace the gate is open");
    }

    #[test]
    fn a_pause_is_made_up_for_by_some_milliseconds_only() {
        let pace = Some(ConnectPace { interval_ns: MS, first_ns: 0 });
        let mut opener = Opener::new(pace, 0);
        opener.pass(0);
        let mut burst = 0;
        while opener.next_ns() <= 5000 * MS {
            opener.pass(5000 * MS);
            burst += 1;
        }
        assert_eq!(burst, 11);
    }
}
