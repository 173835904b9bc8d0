//! What a threshold says of single requests, for whoever gathers evidence request by request.

use super::parse::PERCENTILE_WHOLE;
use super::{Comparison, Metric, Part, Series, Statistic, Threshold};
use crate::outcome::{Cause, Failure};

/// A threshold as a share of requests that may miss it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aim {
    /// At most this share takes longer than the limit from when it was due, or gets no answer.
    Slower {
        /// `0.0 ..= 1.0`, below 1.
        allowed: f64,
        /// In nanoseconds.
        limit_ns: u64,
    },
    /// At most this share fails, whatever the cause, or gets no answer.
    Failed {
        /// `0.0 ..= 1.0`, below 1.
        allowed: f64,
    },
}

impl Threshold {
    /// The threshold as a share of requests: an upper bound on a percentile of the latency, or on the
    /// share of failed or unanswered requests. `None` for anything else, which only a whole result
    /// meets or misses.
    pub fn aim(&self) -> Option<Aim> {
        if !matches!(self.comparison, Comparison::Less | Comparison::LessOrEqual) {
            return None;
        }
        match self.metric {
            Metric::Time(Series::Latency, Statistic::Percentile(percentile)) => Some(Aim::Slower {
                allowed: 1.0 - percentile as f64 / PERCENTILE_WHOLE as f64,
                limit_ns: self.limit.approximate() as u64,
            }),
            Metric::Part(Part::Failed(causes)) if self.is_share => {
                let all = (0..Failure::ALL.len()).fold(0, |set, index| set | 1 << index);
                (causes == all).then(|| Aim::Failed { allowed: self.limit.approximate() })
            }
            Metric::Part(Part::Unanswered) if self.is_share => {
                Some(Aim::Failed { allowed: self.limit.approximate() })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aim(typed: &str) -> Option<Aim> {
        Threshold::parse(typed).unwrap().aim()
    }

    #[test]
    fn bounds_on_percentiles_and_failures_are_shares_of_requests() {
        let Some(Aim::Slower { allowed, limit_ns }) = aim("p99<5ms") else { panic!() };
        assert!((allowed - 0.01).abs() < 1e-12 && limit_ns == 5_000_000);
        let Some(Aim::Slower { allowed, .. }) = aim("p99.9<=1s") else { panic!() };
        assert!((allowed - 0.001).abs() < 1e-12);
        let Some(Aim::Failed { allowed }) = aim("failed<0.1%") else { panic!() };
        assert!((allowed - 0.001).abs() < 1e-12);
        assert!(matches!(aim("unanswered<1%"), Some(Aim::Failed { .. })));
        for whole in ["mean<1ms", "rps>10k", "failed<10", "failed[timeout]<1%", "service.p99<1ms"] {
            assert_eq!(aim(whole), None, "{whole}");
        }
    }
}
