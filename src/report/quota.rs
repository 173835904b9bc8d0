//! What a CPU quota took from wring: to and from the file schema.

use crate::result::QuotaUse;

use super::schema;
use super::stored::ReadError;

pub(super) fn to_schema(quota: &QuotaUse) -> schema::quota::CpuQuota {
    schema::quota::CpuQuota {
        quota_us: quota.quota_us,
        period_us: quota.period_us,
        throttled_periods: quota.throttled_periods,
        throttled_ns: quota.throttled_ns,
    }
}

/// `amount_max` is the largest number that no renderer has to fear.
pub(super) fn from_schema(
    stored: schema::quota::CpuQuota,
    amount_max: u64,
) -> Result<QuotaUse, ReadError> {
    let schema::quota::CpuQuota { quota_us, period_us, throttled_periods, throttled_ns } = stored;
    if [quota_us, period_us, throttled_periods, throttled_ns].iter().any(|&v| v > amount_max) {
        return Err(ReadError::Implausible("cpu_quota"));
    }
    Ok(QuotaUse { quota_us, period_us, throttled_periods, throttled_ns })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Phase;
    use crate::report::text::{self, TextOptions};
    use crate::report::{json, samples, stored};
    use crate::result::{RunResult, Verdict, judge};

    /// Three milliseconds of every hundred, as the kernel told of a window of two seconds.
    fn throttled(mut result: RunResult) -> RunResult {
        result.quota = Some(QuotaUse {
            quota_us: 3_000,
            period_us: 100_000,
            throttled_periods: 19,
            throttled_ns: 1_843_000_000 * result.workers.len() as u64,
        });
        result.verdict = judge(&result);
        result
    }

    fn verdict(result: &RunResult) -> String {
        let text = String::from_utf8(text::render(result, &TextOptions::default())).unwrap();
        text.lines().last().unwrap().to_owned()
    }

    #[test]
    fn a_schedule_that_a_quota_broke_is_not_blamed_on_the_target() {
        let mut result = samples::scheduled();
        let sent = result.total.phases[Phase::Window as usize].started / 2;
        result.total.phases[Phase::Window as usize].started = sent;
        result.verdict = judge(&result);
        assert!(matches!(result.verdict, Verdict::RateNotHeld { .. }), "{:?}", result.verdict);
        let result = throttled(result);
        assert!(matches!(result.verdict, Verdict::Invalid(_)), "{:?}", result.verdict);
        let verdict = verdict(&result);
        for words in ["invalid", "CPU quota", "3.00 ms of CPU time in every 100 ms", "19 times"] {
            assert!(verdict.contains(words), "no '{words}' in: {verdict}");
        }
    }

    #[test]
    fn a_closed_loop_that_a_quota_held_back_was_limited_by_it() {
        let mut result = samples::calm();
        result.target_on_this_machine = true;
        let result = throttled(result);
        assert!(matches!(result.verdict, Verdict::ShortOfCpu { .. }), "{:?}", result.verdict);
        let verdict = verdict(&result);
        assert!(verdict.contains("CPU quota") && verdict.contains("a larger quota"), "{verdict}");
    }

    #[test]
    fn a_quota_is_stored_and_read_again_and_its_lack_too() {
        let result = throttled(samples::calm());
        let read = stored::read(&stored::write(&result)).unwrap();
        assert_eq!(read.quota, result.quota);
        let object: serde_json::Value = serde_json::from_slice(&json::render(&result)).unwrap();
        assert_eq!(object["cpu_quota"]["throttled_periods"], 19);
        let without = stored::read(&stored::write(&samples::calm())).unwrap();
        assert_eq!(without.quota, None);
    }
}
