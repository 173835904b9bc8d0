//! What a CPU quota took from wring.

use serde::{Deserialize, Serialize};

/// A quota of wring's own control group that ran out while the window lasted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CpuQuota {
    /// CPU time that the group may use in each period, over all CPUs together.
    pub quota_us: u64,
    /// Length of a period.
    pub period_us: u64,
    /// Periods in which the group was stopped until the next one.
    pub throttled_periods: u64,
    /// For how long it stood still, added up over the CPUs it was on.
    pub throttled_ns: u64,
}
