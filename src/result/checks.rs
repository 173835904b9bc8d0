//! What the checks of answers found, and whether the result is what was asked of it.

use super::RunResult;
use super::threshold::Threshold;
use crate::inspect::{Check, Counts};
use crate::outcome::Cause as _;
use crate::record::STATUSES;

impl RunResult {
    /// Answers that failed a check, by the phase they were complete in; `None` when they were not
    /// checked for that.
    pub fn failed_checks(&self, check: Check) -> Option<Counts> {
        let (checks, findings) = (&self.asked.checks, &self.total.findings);
        match check {
            // The counts by status say it all.
            Check::Status => checks.statuses.map(|expected| {
                std::array::from_fn(|phase| {
                    let counts = self.total.phases[phase].statuses.iter().take(STATUSES);
                    let failed =
                        counts.enumerate().filter(|(status, _)| !expected.contains(*status as u16));
                    failed.fold(0, |sum: u64, (_, count)| sum.saturating_add(*count))
                })
            }),
            Check::BodyBytes => checks.body_bytes.map(|_| findings.body_bytes_failed),
            Check::BodyHash => {
                checks.body_hash.map(|reference| findings.body_hash_failed(reference))
            }
        }
    }

    /// The thresholds as asked, and for every check that none of them speaks of one more: no answer
    /// may fail it.
    pub fn thresholds(&self) -> Vec<Threshold> {
        let mut thresholds = self.asked.thresholds.clone();
        let checks = Check::ALL.iter().copied().filter(|check| self.asked.checks.has(*check));
        let unspoken = checks.filter(|check| {
            !self.asked.thresholds.iter().any(|threshold| threshold.is_about(*check))
        });
        thresholds.extend(unspoken.map(Threshold::none_fails));
        thresholds
    }

    /// Whether every threshold holds.
    pub fn passes(&self) -> bool {
        self.thresholds().iter().all(|threshold| threshold.evaluate(self).passed)
    }
}
