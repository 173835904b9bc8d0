//! Which answers a target gave over several runs, and what became of the requests without one.

use super::RunResult;
use crate::inspect::{Check, Checks, Findings, total};
use crate::outcome::{Cause as _, FailureCounts};
use crate::units::StatusSet;

/// What came back, of one run or of several with the same checks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answers {
    /// Requests by the status of their answer, in every phase of the runs.
    statuses: Vec<u64>,
    /// Requests that failed, by cause.
    pub failed: FailureCounts,
    checks: Checks,
    findings: Findings,
}

impl Answers {
    /// Those of one run.
    pub fn of(result: &RunResult) -> Self {
        let whole = result.total.whole();
        Self {
            statuses: whole.statuses,
            failed: whole.failed,
            checks: result.asked.checks.clone(),
            findings: result.total.findings.clone(),
        }
    }

    /// Adds those of another run. The first that is added brings the checks.
    pub fn add(&mut self, other: &Self) {
        if self.statuses.is_empty() {
            self.checks = other.checks.clone();
        }
        self.statuses.resize(self.statuses.len().max(other.statuses.len()), 0);
        for (count, more) in self.statuses.iter_mut().zip(&other.statuses) {
            *count = count.saturating_add(*more);
        }
        self.failed.merge(&other.failed);
        self.findings.merge(&other.findings);
        // A table of bodies keeps its bound however many runs there are.
        self.findings.condense(&self.checks);
    }

    /// All of them.
    pub fn completed(&self) -> u64 {
        self.statuses.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Those that answer the request, with a body or with another place: 2xx and 3xx.
    pub fn good(&self) -> u64 {
        self.by_class().iter().filter(|(class, _)| matches!(class, 2 | 3)).map(|(_, n)| n).sum()
    }

    /// Those outside 2xx and 3xx.
    pub fn other(&self) -> u64 {
        self.completed() - self.good()
    }

    /// How many there were of each class that came: 2 for 2xx.
    pub fn by_class(&self) -> Vec<(usize, u64)> {
        let of = |(class, counts): (usize, &[u64])| {
            (class, counts.iter().fold(0, |sum: u64, count| sum.saturating_add(*count)))
        };
        self.statuses.chunks(100).enumerate().map(of).filter(|(_, count)| *count > 0).collect()
    }

    /// The statuses that were expected, if that was checked.
    pub fn expected(&self) -> Option<&StatusSet> {
        self.checks.statuses.as_ref()
    }

    /// Each kind of check that was made, with how many answers failed it.
    pub fn failed_checks(&self) -> Vec<(Check, u64)> {
        Check::ALL.iter().filter_map(|&check| Some((check, self.failed_check(check)?))).collect()
    }

    /// Whether any answer failed a check.
    pub fn fails_a_check(&self) -> bool {
        self.failed_checks().iter().any(|(_, count)| *count > 0)
    }

    fn failed_check(&self, check: Check) -> Option<u64> {
        match check {
            Check::Status => self.checks.statuses.map(|expected| {
                let counts = self.statuses.iter().enumerate();
                let failed = counts.filter(|(status, _)| !expected.contains(*status as u16));
                failed.fold(0, |sum: u64, (_, count)| sum.saturating_add(*count))
            }),
            Check::BodyBytes => {
                self.checks.body_bytes.map(|_| total(&self.findings.body_bytes_failed))
            }
            Check::BodyHash => {
                let failed = |reference| total(&self.findings.body_hash_failed(reference));
                self.checks.body_hash.map(failed)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Phase;
    use crate::units::parse_statuses;

    fn run(statuses: &[(usize, u64)]) -> RunResult {
        let mut result = RunResult::default();
        result.asked.checks.statuses = parse_statuses("2xx", ',').ok();
        for (index, &(status, count)) in statuses.iter().enumerate() {
            // Whatever the phase.
            let phase = if index % 2 == 0 { Phase::Window } else { Phase::Drain };
            result.total.phases[phase as usize].statuses[status] = count;
        }
        result
    }

    #[test]
    fn answers_of_several_runs_add_up_by_class_and_are_checked_together() {
        let mut answers = Answers::default();
        assert_eq!((answers.completed(), answers.fails_a_check()), (0, false));
        answers.add(&Answers::of(&run(&[(200, 5), (301, 2)])));
        assert_eq!((answers.other(), answers.fails_a_check()), (0, true));
        answers.add(&Answers::of(&run(&[(204, 5), (404, 3), (500, 1), (503, 2)])));
        assert_eq!((answers.completed(), answers.good(), answers.other()), (18, 12, 6));
        assert_eq!(answers.by_class(), [(2, 10), (3, 2), (4, 3), (5, 3)]);
        assert_eq!(answers.failed_checks(), [(Check::Status, 8)]);
        let unchecked = Answers { checks: Checks::default(), ..answers };
        assert_eq!(unchecked.failed_checks(), []);
    }
}
