//! How long before a deadline a wait stops sleeping.
//!
//! As long as a sleep here usually overshoots, which is measured at the start; and much longer for a
//! while after one overshot its deadline all the same. On a virtual machine the processor that goes
//! to sleep is taken away, and now and then comes back late by milliseconds; one that stays awake is
//! left alone.

use super::Spin;

/// A sleep that overshot makes the others shorter for this long, in nanoseconds.
const WARY_NS: u64 = 10_000_000_000;

/// The stretch before a deadline in which a backend stays awake.
#[derive(Clone, Copy, Debug)]
pub struct Lead {
    spin: Spin,
    wary_lead_ns: u64,
    wary_until_ns: u64,
}

impl Lead {
    /// By the rules of `spin`.
    pub fn new(spin: Spin) -> Self {
        Self { spin, wary_lead_ns: 0, wary_until_ns: 0 }
    }

    /// How long it is now, in nanoseconds.
    #[inline]
    pub fn ns(&self, now_ns: u64) -> u64 {
        if now_ns < self.wary_until_ns { self.wary_lead_ns } else { self.spin.before_deadline_ns }
    }

    /// A sleep with nothing to wake it was over at `now_ns`, for a deadline at `until_ns`.
    pub fn woke(&mut self, until_ns: u64, now_ns: u64) {
        let Some(late_ns) = now_ns.checked_sub(until_ns).filter(|&late_ns| late_ns > 0) else {
            return;
        };
        // Twice what would have done.
        let enough_ns = 2 * (late_ns + self.ns(now_ns));
        let most_ns = self.spin.before_deadline_max_ns.max(self.spin.before_deadline_ns);
        self.wary_lead_ns = enough_ns.min(most_ns).max(self.ns(now_ns));
        self.wary_until_ns = now_ns + WARY_NS;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: u64 = 1_000;

    #[test]
    fn an_overshot_deadline_makes_the_lead_longer_for_a_while_and_no_longer_than_allowed() {
        let spin =
            Spin { before_deadline_ns: 20 * US, before_deadline_max_ns: 500 * US, ..Spin::NEVER };
        let mut lead = Lead::new(spin);
        lead.woke(100 * US, 90 * US);
        assert_eq!(lead.ns(100 * US), 20 * US, "in time");
        lead.woke(100 * US, 130 * US);
        assert_eq!(lead.ns(130 * US), 100 * US);
        lead.woke(1000 * US, 3000 * US);
        assert_eq!(lead.ns(3000 * US), 500 * US);
        assert_eq!(lead.ns(3000 * US + WARY_NS), 20 * US, "forgotten");
        let mut never = Lead::new(Spin::NEVER);
        never.woke(100 * US, 5000 * US);
        assert_eq!(never.ns(5000 * US), 0, "who may not spin does not begin to");
    }
}
