//! What a CPU quota of wring's own control group took from it.

/// A quota that ran out while the window lasted, and how often.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct QuotaUse {
    /// CPU time that the group may use in each period, over all CPUs together, in microseconds.
    pub quota_us: u64,
    /// Length of a period, in microseconds.
    pub period_us: u64,
    /// Periods in which the group was stopped until the next one.
    pub throttled_periods: u64,
    /// For how long it stood still, added up over the CPUs it was on, in nanoseconds.
    pub throttled_ns: u64,
}
