//! What a CPU quota of wring's own control group takes from the window: its counters read before it
//! starts and when it ends.
//!
//! The idea: the control thread looks, and in the window only where there is a quota at all.

use crate::result::QuotaUse;
use crate::sys::{CgroupFacts, CpuQuota, Limit, Throttled};

/// Takes the looks.
#[derive(Debug)]
pub(super) struct QuotaWatch {
    quota: Option<CpuQuota>,
    before: Throttled,
    is_in_window: bool,
    after: Option<Throttled>,
}

impl QuotaWatch {
    pub(super) fn new() -> Self {
        Self::of(&CgroupFacts::read())
    }

    fn of(facts: &CgroupFacts) -> Self {
        let quota = match facts.cpu {
            Limit::At(quota) => Some(quota),
            Limit::Unlimited | Limit::Unknown => None,
        };
        let before = facts.throttled.unwrap_or_default();
        Self { quota, before, is_in_window: false, after: None }
    }

    /// Looks if it is time. `window` is when it starts and, where that is known, ends.
    pub(super) fn look(&mut self, now_ns: u64, window: Option<(u64, Option<u64>)>) {
        let (Some(_), Some((start_ns, end_ns))) = (self.quota, window) else { return };
        if !self.is_in_window && now_ns >= start_ns {
            self.is_in_window = true;
            self.before = CgroupFacts::read().throttled.unwrap_or_default();
        } else if self.after.is_none() && end_ns.is_some_and(|end_ns| now_ns >= end_ns) {
            self.after = CgroupFacts::read().throttled;
        }
    }

    /// What it took; asked when all workers have ended.
    pub(super) fn taken(self) -> Option<QuotaUse> {
        let after = self.after.or_else(|| CgroupFacts::read().throttled);
        self.between(after?)
    }

    fn between(&self, after: Throttled) -> Option<QuotaUse> {
        let CpuQuota { quota_us, period_us } = self.quota?;
        let throttled_periods =
            after.throttled_periods.saturating_sub(self.before.throttled_periods);
        let throttled_ns = after.throttled_ns.saturating_sub(self.before.throttled_ns);
        let has_run_out = throttled_periods > 0 || throttled_ns > 0;
        has_run_out.then_some(QuotaUse { quota_us, period_us, throttled_periods, throttled_ns })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn throttled(throttled_periods: u64, throttled_ns: u64) -> Throttled {
        Throttled { periods: 100, throttled_periods, throttled_ns }
    }

    fn watch(cpu: Limit<CpuQuota>) -> QuotaWatch {
        let throttled = Some(throttled(5, 7_000));
        QuotaWatch::of(&CgroupFacts { cpu, throttled, ..CgroupFacts::default() })
    }

    #[test]
    fn a_quota_that_ran_out_is_told_by_what_it_took_since_the_first_look() {
        let quota = Limit::At(CpuQuota { quota_us: 3_000, period_us: 100_000 });
        let taken = watch(quota).between(throttled(15, 950_007_000));
        let expected = QuotaUse {
            quota_us: 3_000,
            period_us: 100_000,
            throttled_periods: 10,
            throttled_ns: 950_000_000,
        };
        assert_eq!(taken, Some(expected));
    }

    #[test]
    fn a_quota_that_sufficed_and_a_group_without_one_took_nothing() {
        let quota = Limit::At(CpuQuota { quota_us: 3_000, period_us: 100_000 });
        assert_eq!(watch(quota).between(throttled(5, 7_000)), None);
        assert_eq!(watch(Limit::Unlimited).between(throttled(15, 8_000)), None);
        assert_eq!(watch(Limit::Unknown).between(throttled(15, 8_000)), None);
    }
}
