//! What a threshold says of single requests, for whoever gathers evidence request by request.

use super::parse::PERCENTILE_WHOLE;
use super::{Comparison, Fraction, Metric, Part, Series, Statistic, Threshold};
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

    /// Why nothing could be asked of a rate by this, and what would be right; `None` where something
    /// can. An objective bounds what load makes worse: times and failures from above, what is got done
    /// from below.
    pub fn unfit_as_objective(&self, is_encrypted: bool) -> Option<String> {
        let metric = self.text.split(['<', '>', '=']).next().unwrap_or_default();
        let value = self.text.rsplit(['<', '>', '=']).next().unwrap_or_default();
        let wrong = |what: &str, sign: &str, value: &str| {
            Some(format!("'{}' {what}; write '{metric}{sign}{value}'", self.text))
        };
        let is_upper = matches!(self.comparison, Comparison::Less | Comparison::LessOrEqual);
        let is_equal = self.comparison == Comparison::Equal;
        match self.metric {
            Metric::Time(Series::Handshake, _) if !is_encrypted => Some(format!(
                "'{}' is about TLS handshakes, and an http URL has none; leave it out, or give an \
                 https URL",
                self.text
            )),
            Metric::Time(..) if !is_upper => {
                wrong("asks for slow answers: times are bounded from above", "<", value)
            }
            Metric::Requests | Metric::Transfer if !self.comparison.is_lower_bound() => {
                wrong("asks for little: what is got done is bounded from below", ">", value)
            }
            Metric::Part(Part::Sent | Part::Held) => {
                let is_all = is_equal && self.limit.compare(Fraction::whole(1_u32)).is_eq();
                let is_right = self.comparison.is_lower_bound() || is_all;
                if is_right { None } else { wrong("asks for little", ">", value) }
            }
            // Some answers are wanted, others are not.
            Metric::Part(Part::Status(_)) if !is_equal || self.is_share => None,
            Metric::Part(_) if is_equal => {
                let is_none = self.limit.number == 0;
                if is_none { None } else { wrong("asks for a number of failures", "<", value) }
            }
            Metric::Part(_) if !is_upper => {
                wrong("asks for failures: they are bounded from above", "<", value)
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

    #[test]
    fn an_objective_bounds_what_load_makes_worse() {
        let unfit = |typed: &str| Threshold::parse(typed).unwrap().unfit_as_objective(false);
        for (typed, right) in [
            ("p99>5ms", "write 'p99<5ms'"),
            ("p99>=5ms", "write 'p99<5ms'"),
            ("p99=5ms", "write 'p99<5ms'"),
            ("mean > 1s", "write 'mean<1s'"),
            ("failed>1%", "write 'failed<1%'"),
            ("failed=7", "write 'failed<7'"),
            ("unanswered>=1", "write 'unanswered<1'"),
            ("checks>3", "write 'checks<3'"),
            ("rps<10k", "write 'rps>10k'"),
            ("rps=10k", "write 'rps>10k'"),
            ("transfer<1MiB", "write 'transfer>1MiB'"),
            ("held<99%", "write 'held>99%'"),
            ("handshake.p99<1ms", "an http URL has none"),
        ] {
            let said = unfit(typed).unwrap_or_else(|| panic!("{typed}"));
            assert!(said.contains(right), "{typed}: {said}");
        }
        for typed in [
            "p99<5ms",
            "p99.9<=20ms",
            "max<1s",
            "failed<0.1%",
            "failed=0",
            "failed<=0%",
            "rps>10k",
            "rps>=1",
            "held>99.9%",
            "sent=100%",
            "status[5xx]=0",
            "status[2xx]>99%",
            "status[200]=100%",
            "status[5xx]<1%",
            "connect.p99<1ms",
            "checks=0",
        ] {
            assert_eq!(unfit(typed), None, "{typed}");
        }
        let handshake = Threshold::parse("handshake.p99<1ms").unwrap();
        assert_eq!(handshake.unfit_as_objective(true), None);
    }
}
