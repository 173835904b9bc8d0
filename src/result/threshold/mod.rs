//! Thresholds: what a result must measure to pass.
//!
//! Owns the grammar (`p99<20ms`, `failed<0.1%`, `status[5xx]=0`) and the evaluation, which is a pure
//! function of a finished run. Knows no flag and no exit code, and leaves the words for what was
//! measured to the renderers.
//!
//! The idea: a threshold guards something, so what cannot be known does not pass. A percentile with
//! fewer than ten samples above it is not known; a request without an answer is slower than any.
//! Limits and measured values are fractions of integers, so that a value exactly at its limit is told
//! from one beside it.

mod aim;
mod evaluate;
mod parse;
#[cfg(test)]
mod tests;

use std::fmt;

pub use aim::Aim;
pub use evaluate::{Evaluation, Measured, Unknown};
pub use parse::ThresholdError;

use crate::inspect::{Check, Checks};
use crate::outcome::Cause as _;
use crate::units::StatusSet;

/// One condition on a result. `Display` gives it as typed, without blanks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Threshold {
    text: String,
    metric: Metric,
    comparison: Comparison,
    limit: Fraction,
    /// A limit on a count was given as a percentage of the whole.
    is_share: bool,
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Threshold {
    /// Whether it speaks of runs at a rate alone.
    pub fn needs_schedule(&self) -> bool {
        match self.metric {
            Metric::Time(Series::Lag | Series::Late, _) => true,
            Metric::Part(part) => {
                matches!(part, Part::Shed | Part::Unsent | Part::Sent | Part::Held)
            }
            _ => false,
        }
    }

    /// Whether it speaks of the failed checks of one kind.
    pub fn is_about(&self, check: Check) -> bool {
        matches!(self.metric, Metric::Part(Part::Checks(kinds)) if kinds >> check.index() & 1 == 1)
    }

    /// A kind of check that it speaks of and that was not made; for one that speaks of all kinds, any
    /// of them when none was made.
    pub fn lacks(&self, checks: &Checks) -> Option<Check> {
        let asked = Check::ALL.iter().copied().filter(|check| self.is_about(*check));
        let lacking = asked.clone().find(|check| !checks.has(*check));
        let is_enough = asked.count() == Check::ALL.len() && checks.has_any();
        lacking.filter(|_| !is_enough)
    }

    /// No check of this kind may fail.
    pub fn none_fails(check: Check) -> Self {
        Self {
            text: format!("checks[{}]=0", check.name()),
            metric: Metric::Part(Part::Checks(1 << check.index())),
            comparison: Comparison::Equal,
            limit: Fraction::whole(0_u32),
            is_share: false,
        }
    }
}

/// What is measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Metric {
    /// A statistic over a series of times.
    Time(Series, Statistic),
    /// Requests completed per second of the window.
    Requests,
    /// Bytes received per second of the window.
    Transfer,
    /// A part of a whole, as a count or a share.
    Part(Part),
}

/// Times of the requests that became due in the window; of connection attempts in the whole run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Series {
    /// From the intended time, which in a closed loop is the send, to the answer. Requests without an
    /// answer count as slower than any; in the mean, with the time they waited.
    Latency,
    /// From the actual send to the answer.
    Service,
    /// From the intended time to the send; on a schedule alone.
    Lag,
    /// wring's own part of it.
    Late,
    /// Successful connection attempts.
    Connect,
    /// Successful TLS handshakes, from the connected socket on.
    Handshake,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Statistic {
    Min,
    Mean,
    Max,
    /// In millionths of a per cent: 99 000 000 is the 99th percentile.
    Percentile(u64),
}

/// What is counted, and of which whole it is a part. Requests and answers are those that ended in
/// the window and in the drain after it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Part {
    /// Failed requests by the causes at these indexes; of those completed or failed.
    Failed(u32),
    /// Requests due in the window that have no answer: failed, unresolved after the drain, shed or
    /// never sent; of those due in the window.
    Unanswered,
    /// Requests given up because their deadline passed; of those due in the window.
    Shed,
    /// Requests due and never sent; of those due in the window.
    Unsent,
    /// Requests sent; of those due in the window.
    Sent,
    /// Requests completed in the window; of those due in it.
    Held,
    /// Answers with these statuses; of all answers.
    Status(StatusSet),
    /// Failed checks of the kinds at these indexes; of the checks made. With all kinds, of those that
    /// were made.
    Checks(u32),
    /// Connection attempts that failed by the causes at these indexes; of all attempts of the run.
    ConnectFailed(u32),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
}

impl Comparison {
    fn holds(self, ordering: std::cmp::Ordering) -> bool {
        match self {
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
            Self::Equal => ordering.is_eq(),
        }
    }

    fn is_lower_bound(self) -> bool {
        matches!(self, Self::Greater | Self::GreaterOrEqual)
    }
}

/// A number that is not negative, exactly. `over` is never 0.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Fraction {
    number: u128,
    over: u128,
}

impl Fraction {
    fn whole(number: impl Into<u128>) -> Self {
        Self { number: number.into(), over: 1 }
    }

    fn compare(self, other: Self) -> std::cmp::Ordering {
        let (left, right) =
            (self.number.checked_mul(other.over), other.number.checked_mul(self.over));
        match (left, right) {
            (Some(left), Some(right)) => left.cmp(&right),
            // Terms beyond 128 bits: nobody can tell such values apart by hand either.
            _ => self.approximate().total_cmp(&other.approximate()),
        }
    }

    fn approximate(self) -> f64 {
        self.number as f64 / self.over as f64
    }
}
