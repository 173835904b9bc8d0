//! What wrk2 prints beyond wrk's block, to the letter, because scripts and plotting pages read it.
//!
//! wrk2 counts microseconds in a histogram of three digits up to a day. Ours counts nanoseconds, so
//! its values are put into one of wrk2's kind, and every line is derived from that. Where wrk2
//! prints `-nan` for a run without samples, this prints zeros.

use crate::hist::Hist;
use crate::record::RATE_SAMPLE_NS;
use crate::result::RunResult;
use crate::units::wrk as units;

use super::wrk::padded;

/// What wrk2 calls latency from the intended time.
pub(super) const RECORDED: &str = "Recorded Latency";
/// What wrk2 calls latency from the actual send.
pub(super) const UNCORRECTED: &str =
    "Uncorrected Latency (measured without taking delayed starts into account)";
/// The line that ends a latency block.
const RULE: &str = "----------------------------------------------------------\n";

/// wrk2's bound on latency, in microseconds: a day.
const LATENCY_US_MAX: u64 = 24 * 60 * 60 * 1_000_000;
/// wrk2's rows of `Latency Distribution`.
const PERCENTILES: [f64; 8] = [50.0, 75.0, 90.0, 99.0, 99.9, 99.99, 99.999, 100.0];
/// Lines of the spectrum on each halving of the distance to 100 %.
const TICKS_PER_HALF_DISTANCE: u32 = 5;

/// Latencies as wrk2 counts them.
pub(super) struct Latencies {
    us: Hist,
}

impl Latencies {
    pub(super) fn of(ns: &Hist) -> Self {
        Self { us: ns.rescaled(1000, LATENCY_US_MAX) }
    }

    /// The row of `Thread Stats`. Unlike wrk's, this deviation is that of all values: n below the
    /// line; the largest value is the lowest of its bucket.
    pub(super) fn stats_row(&self) -> String {
        let format = |us: f64, width| padded(&units::format_time_us(us), width);
        let samples = self.us.len();
        // A lone sample is its own mean and lies within it, however its bucket is rounded.
        let share = if samples == 1 { 1.0 } else { self.us.share_within_stdevs(1.0) };
        format!(
            "    {:<10}{}{}{}{:>8.2}%\n",
            "Latency",
            format(self.us.mean(), 8),
            format(self.us.stdev(), 10),
            format(self.max_us() as f64, 9),
            share * 100.0,
        )
    }

    /// The block of `-L` or `-U` with its percentile spectrum, and the line that ends it.
    pub(super) fn block(&self, title: &str) -> String {
        let mut text = format!("  Latency Distribution (HdrHistogram - {title})\n");
        for percentile in PERCENTILES {
            let us = self.us.value_at_rank(self.rank(percentile));
            let value = padded(&units::format_time_us(us as f64), 10);
            text += &format!("{percentile:>7.3}%{value}\n");
        }
        text += "\n  Detailed Percentile spectrum:\n";
        text += &format!(
            "{:>12} {:>12} {:>12} {:>12}\n\n",
            "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
        );
        for step in self.us.spectrum(TICKS_PER_HALF_DISTANCE) {
            let share = step.percentile / 100.0;
            let value_ms = step.value as f64 / 1000.0;
            let inverted = 1.0 / (1.0 - share);
            text +=
                &format!("{value_ms:>12.3} {share:>12.6} {:>12} {inverted:>12.2}\n", step.count);
        }
        let (buckets, sub_buckets) = self.us.layout();
        text += &format!(
            "#[Mean    = {:>12.3}, StdDeviation   = {:>12.3}]\n",
            self.us.mean() / 1000.0,
            self.us.stdev() / 1000.0
        );
        text += &format!(
            "#[Max     = {:>12.3}, Total count    = {:>12}]\n",
            self.max_us() as f64 / 1000.0,
            self.us.len()
        );
        text += &format!("#[Buckets = {buckets:>12}, SubBuckets     = {sub_buckets:>12}]\n{RULE}");
        text
    }

    /// Which value stands for a percentile: the rank is rounded to the nearest.
    fn rank(&self, percentile: f64) -> u64 {
        ((percentile / 100.0 * self.us.len() as f64 + 0.5) as u64).max(1)
    }

    fn max_us(&self) -> u64 {
        self.us.lowest_equivalent(self.us.max().min(self.us.value_max()))
    }
}

/// One line for each thread, as wrk2 prints after its ten seconds of calibration. wring needs none:
/// readers of the text expect the lines, so they carry what was measured, the mean of the run's
/// corrected latency, and the interval that `Req/Sec` was sampled at. Without an answer there is no
/// mean, and wrk2 prints no line either.
pub(super) fn calibration(result: &RunResult) -> String {
    let latency = &result.total.latency;
    if latency.is_empty() {
        return String::new();
    }
    let line = format!(
        "  Thread calibration: mean lat.: {:.3}ms, rate sampling interval: {}ms\n",
        (latency.mean() / 1000.0).floor() / 1000.0,
        RATE_SAMPLE_NS / 1_000_000
    );
    line.repeat(result.workers.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    /// wrk2's histogram, the slow way: every bucket there is, one after the other.
    struct Naive {
        /// Lowest and highest value, and how many values it holds.
        buckets: Vec<(u64, u64, u64)>,
    }

    impl Naive {
        /// 2048 buckets of one microsecond, then 1024 of two, of four, … until a day fits.
        fn of(values_us: &[u64]) -> Self {
            let mut buckets: Vec<(u64, u64, u64)> = (0..2048).map(|us| (us, us, 0)).collect();
            let mut width = 1;
            while buckets.last().unwrap().1 < 24 * 60 * 60 * 1_000_000 {
                width *= 2;
                for _ in 0..1024 {
                    let lowest = buckets.last().unwrap().1 + 1;
                    buckets.push((lowest, lowest + width - 1, 0));
                }
            }
            for &us in values_us {
                let place = buckets.partition_point(|bucket| bucket.1 < us);
                buckets[place].2 += 1;
            }
            Self { buckets }
        }

        fn total(&self) -> u64 {
            self.buckets.iter().map(|bucket| bucket.2).sum()
        }

        fn middle(bucket: &(u64, u64, u64)) -> f64 {
            (bucket.0 + (bucket.1 - bucket.0).div_ceil(2)) as f64
        }

        fn mean(&self) -> f64 {
            let sum: f64 = self.buckets.iter().map(|b| Self::middle(b) * b.2 as f64).sum();
            sum / self.total() as f64
        }

        fn stdev(&self) -> f64 {
            let mean = self.mean();
            let square = |b: &(u64, u64, u64)| (Self::middle(b) - mean).powi(2) * b.2 as f64;
            (self.buckets.iter().map(square).sum::<f64>() / self.total() as f64).sqrt()
        }

        /// One step of wrk2's walk at a time: look at the place; move on until it holds something
        /// and has reached the next mark; print; set the mark one tick farther.
        fn spectrum(&self) -> Vec<String> {
            let total = self.total();
            let (mut place, mut counted) = (0, self.buckets[0].2);
            let mut mark = 0.0_f64;
            let mut lines = Vec::new();
            let mut line = |highest: u64, percentile: f64, counted: u64| {
                let (value, share) = (highest as f64 / 1000.0, percentile / 100.0);
                let inverse = 1.0 / (1.0 - share);
                lines.push(format!("{value:12.3} {share:12.6} {counted:12} {inverse:12.2}"));
            };
            let mut last_was_printed = false;
            while !last_was_printed {
                loop {
                    let reached = 100.0 * counted as f64 / total as f64;
                    if self.buckets[place].2 != 0 && mark <= reached {
                        line(self.buckets[place].1, mark, counted);
                        let halvings = ((100.0 / (100.0 - mark)).ln() / 2.0_f64.ln()) as i64 + 1;
                        mark += 100.0 / (5 * 2_i64.pow(halvings as u32)) as f64;
                        break;
                    }
                    place += 1;
                    counted += self.buckets[place].2;
                }
                if counted == total {
                    line(self.buckets[place].1, 100.0, counted);
                    last_was_printed = true;
                }
            }
            lines
        }

        fn block(&self) -> Vec<String> {
            let mut lines = vec!["  Latency Distribution (HdrHistogram - T)".to_owned()];
            for percentile in ["50", "75", "90", "99", "99.9", "99.99", "99.999", "100"] {
                let percentile: f64 = percentile.parse().unwrap();
                let rank = (percentile / 100.0 * self.total() as f64 + 0.5) as u64;
                let mut counted = 0;
                let found = self.buckets.iter().find(|bucket| {
                    counted += bucket.2;
                    counted >= rank.max(1)
                });
                let us = found.unwrap().1 as f64;
                // Two letters of unit end in column 18, one in column 17.
                let (value, width) = match us {
                    ..850.0 => (format!("{us:.2}us"), 10),
                    ..1e6 => (format!("{:.2}ms", us / 1e3), 10),
                    ..51e6 => (format!("{:.2}s", us / 1e6), 9),
                    _ => (format!("{:.2}m", us / 60e6), 9),
                };
                let blank = if width == 9 { " " } else { "" };
                lines.push(format!("{percentile:7.3}%{value:>width$}{blank}"));
            }
            lines.push(String::new());
            lines.push("  Detailed Percentile spectrum:".to_owned());
            lines.push("       Value   Percentile   TotalCount 1/(1-Percentile)".to_owned());
            lines.push(String::new());
            lines.extend(self.spectrum());
            let top = self.buckets.iter().rfind(|bucket| bucket.2 > 0).unwrap();
            lines.push(format!(
                "#[Mean    = {:12.3}, StdDeviation   = {:12.3}]",
                self.mean() / 1000.0,
                self.stdev() / 1000.0
            ));
            lines.push(format!(
                "#[Max     = {:12.3}, Total count    = {:12}]",
                top.0 as f64 / 1000.0,
                self.total()
            ));
            lines.push("#[Buckets =           27, SubBuckets     =         2048]".to_owned());
            lines.push("-".repeat(58));
            lines
        }
    }

    /// Compares the block with the naive one, line by line.
    fn check(values_us: &[u64]) {
        let mut us = Hist::new(LATENCY_US_MAX);
        for &value in values_us {
            us.record(value, 1);
        }
        let block = Latencies { us }.block("T");
        assert!(block.ends_with('\n'));
        let (ours, naive): (Vec<&str>, _) = (block.lines().collect(), Naive::of(values_us).block());
        for (ours, naive) in ours.iter().zip(&naive) {
            assert_eq!(ours, naive);
        }
        assert_eq!(ours.len(), naive.len());
    }

    #[test]
    fn the_block_is_the_one_that_the_slow_way_gives() {
        check(&[0]);
        check(&[5]);
        check(&[1, 1, 1]);
        check(&[2047, 2048, 2049, 2050]);
        check(&[850, 999_999, 1_000_000, 51_000_000, 3_600_000_000]);
        check(&(0..100_000).collect::<Vec<u64>>());
        let mut rng = Rng::new(11);
        for powers in [8, 12, 20, 30] {
            let mut value = |_| {
                let magnitude = 1 + rng.below(powers);
                rng.below(1 << magnitude)
            };
            let values: Vec<u64> = (0..20_000).map(&mut value).collect();
            check(&values);
        }
        // One in a hundred takes 100 ms.
        let step: Vec<u64> = (0..5_000).map(|n| if n % 100 == 0 { 100_000 } else { 300 }).collect();
        check(&step);
    }

    #[test]
    fn nanoseconds_become_microseconds_to_the_nearest() {
        let mut ns = Hist::new(crate::limits::LATENCY_NS_MAX);
        for (value, count) in [(0, 1), (499, 1), (500, 1), (1_200_000, 2), (7_000_000_000, 1)] {
            ns.record(value, count);
        }
        let us = Latencies::of(&ns).us;
        let found: Vec<(u64, u64)> = us.buckets().collect();
        assert_eq!(found[..3], [(0, 2), (1, 1), (1_200, 2)]);
        assert!(found[3].0.abs_diff(7_000_000) < 7_000, "{found:?}");
    }

    #[test]
    fn a_run_without_samples_prints_zeros() {
        let latencies = Latencies::of(&Hist::new(1 << 40));
        let block = latencies.block(RECORDED);
        assert!(block.contains("100.000%    0.00us\n"), "{block}");
        assert!(block.contains("       0.000     1.000000            0          inf\n"), "{block}");
        assert!(!block.contains("NaN") && !latencies.stats_row().contains("NaN"));
    }
}
