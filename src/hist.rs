//! A histogram of non-negative integers with a fixed relative error.
//!
//! Owns recording, merging, quantiles and the binary form. Does not know what is measured: values
//! are plain `u64`. The idea: three significant digits everywhere (an HDR histogram), with the exact
//! smallest and largest value kept beside it, and values above the bound counted, never lost.
//!
//! Allocates in `new` alone; recording never does.

use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2Serializer};

const SIGNIFICANT_DIGITS: u8 = 3;

/// One line of a percentile spectrum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpectrumStep {
    /// Highest value of the bucket that the percentile lies in.
    pub value: u64,
    /// The percentile, `0.0 ..= 100.0`.
    pub percentile: f64,
    /// Values up to `value`.
    pub count: u64,
}

/// Counts of values, each known to 0.1 %.
#[derive(Clone, Debug)]
pub struct Hist {
    counts: Histogram<u64>,
    value_max: u64,
    overflow: u64,
    min: u64,
    max: u64,
}

impl Hist {
    /// An empty histogram for `0 ..= value_max`; larger values are recorded as `value_max` and
    /// counted in `overflow`.
    pub fn new(value_max: u64) -> Self {
        let value_max = value_max.max(2);
        let counts = Histogram::new_with_bounds(1, value_max, SIGNIFICANT_DIGITS)
            .expect("1 <= 2 <= value_max and 3 digits are always accepted");
        Self { counts, value_max, overflow: 0, min: u64::MAX, max: 0 }
    }

    /// Records `value`, `count` times.
    #[inline]
    pub fn record(&mut self, value: u64, count: u64) {
        if count == 0 {
            return;
        }
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        if value > self.value_max {
            self.overflow += count;
        }
        self.counts.saturating_record_n(value.min(self.value_max), count);
    }

    /// Number of values recorded, those above the bound included.
    pub fn len(&self) -> u64 {
        self.counts.len()
    }

    /// True when nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Largest value that can be told apart from larger ones.
    pub fn value_max(&self) -> u64 {
        self.value_max
    }

    /// How many values lay above the bound.
    pub fn overflow(&self) -> u64 {
        self.overflow
    }

    /// The exact largest value, 0 when empty.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The exact smallest value, 0 when empty.
    pub fn min(&self) -> u64 {
        if self.is_empty() { 0 } else { self.min }
    }

    /// Mean of the values, each taken at the middle of its bucket; 0 when empty.
    pub fn mean(&self) -> f64 {
        self.counts.mean()
    }

    /// Standard deviation of the values (population form); 0 when empty.
    pub fn stdev(&self) -> f64 {
        self.counts.stdev()
    }

    /// The value at quantile `q` in `0.0 ..= 1.0`: at least a share `q` of the values is not above
    /// it. Never above the exact maximum. 0 when empty.
    pub fn quantile(&self, q: f64) -> u64 {
        self.counts.value_at_quantile(q).min(self.max)
    }

    /// Share of the values within `stdevs` standard deviations of the mean, `0.0 ..= 1.0`.
    pub fn share_within_stdevs(&self, stdevs: f64) -> f64 {
        if self.is_empty() {
            return 0.0;
        }
        let (mean, width) = (self.mean(), self.stdev() * stdevs);
        // All in one bucket, whose bounds may all lie beside its mean.
        if width == 0.0 {
            return 1.0;
        }
        let (low, high) = (mean - width, mean + width);
        let within: u64 = self
            .counts
            .iter_recorded()
            .filter(|step| {
                let value = step.value_iterated_to() as f64;
                value >= low && value <= high
            })
            .map(|step| step.count_at_value())
            .sum();
        within as f64 / self.len() as f64
    }

    /// Every bucket that holds something, as (highest equivalent value, count), ascending.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.counts.iter_recorded().map(|step| (step.value_iterated_to(), step.count_at_value()))
    }

    /// How many values lie above `value`, to the bucket.
    pub fn count_above(&self, value: u64) -> u64 {
        let bucket = self.counts.highest_equivalent(value);
        let above = self.buckets().filter(|&(highest, _)| highest > bucket);
        above.map(|(_, count)| count).sum()
    }

    /// The highest value of the bucket that the `rank`-th smallest value lies in, ranks from 1; 0 when
    /// there are fewer values.
    pub fn value_at_rank(&self, rank: u64) -> u64 {
        let mut count = 0;
        self.buckets()
            .find(|&(_, in_bucket)| {
                count += in_bucket;
                count >= rank
            })
            .map_or(0, |(value, _)| value)
    }

    /// The lowest value that cannot be told apart from `value`.
    pub fn lowest_equivalent(&self, value: u64) -> u64 {
        self.counts.lowest_equivalent(value)
    }

    /// How many ranges, each twice as wide as the one before, the bound takes, and how many buckets
    /// the first of them has.
    pub fn layout(&self) -> (u32, u32) {
        let buckets_first = (2 * 10_u32.pow(SIGNIFICANT_DIGITS.into())).next_power_of_two();
        (self.counts.buckets().into(), buckets_first)
    }

    /// The same values in a unit that is `divisor` times as large, rounded to the nearest, in a
    /// histogram for `0 ..= value_max`. A value is taken at the middle of its bucket.
    pub fn rescaled(&self, divisor: u64, value_max: u64) -> Self {
        let mut scaled = Self::new(value_max);
        for (highest, count) in self.buckets() {
            let middle = self.counts.median_equivalent(highest).clamp(self.min(), self.max);
            scaled.record(
                middle / divisor + u64::from(middle % divisor >= divisor.div_ceil(2)),
                count,
            );
        }
        scaled
    }

    /// The percentile spectrum in HdrHistogram's classic form: `ticks_per_half_distance` lines on the
    /// way to 50 %, as many from there to 75 %, and so on to the last bucket, which ends it at 100 %.
    /// A bucket that several lines fall into has them all.
    pub fn spectrum(&self, ticks_per_half_distance: u32) -> Vec<SpectrumStep> {
        let total = self.len();
        let mut steps = Vec::new();
        let (mut count, mut value, mut percentile) = (0, 0, 0.0);
        for (highest, in_bucket) in self.buckets() {
            count += in_bucket;
            value = highest;
            while percentile <= 100.0 * count as f64 / total as f64 {
                steps.push(SpectrumStep { value, percentile, count });
                let halvings = ((100.0 / (100.0 - percentile)).ln() / 2.0_f64.ln()).floor();
                let ticks = f64::from(ticks_per_half_distance.max(1)) * (halvings + 1.0).exp2();
                let next = percentile + 100.0 / ticks;
                // Where a step is too small for the number, or everything is counted, it is the last.
                if next <= percentile || count == total {
                    break;
                }
                percentile = next;
            }
        }
        steps.push(SpectrumStep { value, percentile: 100.0, count });
        steps
    }

    /// Adds all values of `other`, bucket by bucket. Both must have the same bound.
    pub fn merge(&mut self, other: &Self) {
        assert_eq!(self.value_max, other.value_max, "histograms of one kind share their bound");
        self.counts.add(&other.counts).expect("equal bounds always fit");
        self.overflow += other.overflow;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// Forgets all values; keeps the memory.
    pub fn clear(&mut self) {
        self.counts.reset();
        self.overflow = 0;
        self.min = u64::MAX;
        self.max = 0;
    }

    /// The HdrHistogram V2 binary form of the buckets (exact extremes and overflow are not in it).
    pub fn to_v2(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        V2Serializer::new()
            .serialize(&self.counts, &mut bytes)
            .expect("writing to a vector cannot fail");
        bytes
    }

    /// Reads what `to_v2` wrote; the exact extremes and the overflow are given beside it.
    /// `None` when the bytes are not a V2 histogram of this kind.
    pub fn from_v2(
        bytes: &[u8],
        value_max: u64,
        min: u64,
        max: u64,
        overflow: u64,
    ) -> Option<Self> {
        let counts: Histogram<u64> = Deserializer::new().deserialize(&mut &bytes[..]).ok()?;
        let mut hist = Self::new(value_max);
        hist.counts.add(&counts).ok()?;
        hist.min = if hist.counts.is_empty() { u64::MAX } else { min };
        hist.max = max;
        hist.overflow = overflow;
        Some(hist)
    }
}

impl PartialEq for Hist {
    /// Equal bound, extremes and buckets.
    fn eq(&self, other: &Self) -> bool {
        self.value_max == other.value_max
            && self.overflow == other.overflow
            && self.min == other.min
            && self.max == other.max
            && self.buckets().eq(other.buckets())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn quantiles_are_within_a_thousandth_of_the_exact_ones() {
        let mut rng = Rng::new(1);
        let mut values: Vec<u64> = (0..10_000).map(|_| 1_000 + rng.below(50_000_000)).collect();
        let mut hist = Hist::new(3_600_000_000_000);
        for &value in &values {
            hist.record(value, 1);
        }
        values.sort_unstable();
        for (q, rank) in [(0.5, 4_999), (0.9, 8_999), (0.99, 9_899), (0.999, 9_989)] {
            let exact = values[rank] as f64;
            let error = (hist.quantile(q) as f64 - exact).abs() / exact;
            assert!(error <= 0.001, "q {q}: {} for {exact}", hist.quantile(q));
        }
        assert_eq!((hist.min(), hist.max()), (values[0], values[9_999]));
    }

    #[test]
    fn values_of_one_bucket_all_lie_within_their_deviation_of_nothing() {
        for value in [1, 2_047, 2_048, 1_234_567, 40_000_001] {
            let mut hist = Hist::new(3_600_000_000_000);
            hist.record(value, 3);
            assert_eq!(hist.share_within_stdevs(1.0), 1.0, "{value}");
        }
        let mut hist = Hist::new(1_000_000);
        hist.record(100, 98);
        hist.record(900_000, 2);
        assert_eq!(hist.share_within_stdevs(1.0), 0.98);
    }

    #[test]
    fn a_value_above_the_bound_is_counted_and_its_maximum_kept() {
        let mut hist = Hist::new(1_000_000);
        hist.record(5_000_000, 3);
        hist.record(10, 1);
        assert_eq!((hist.len(), hist.overflow(), hist.max()), (4, 3, 5_000_000));
    }

    #[test]
    fn merging_equals_recording_everything_in_one() {
        let mut rng = Rng::new(2);
        let (mut a, mut b, mut all) = (Hist::new(1 << 40), Hist::new(1 << 40), Hist::new(1 << 40));
        for index in 0..5_000 {
            let value = rng.below(1 << 41);
            if index % 3 == 0 {
                a.record(value, 2)
            } else {
                b.record(value, 2)
            }
            all.record(value, 2);
        }
        a.merge(&b);
        assert_eq!(a, all);
    }

    #[test]
    fn the_binary_form_gives_the_same_histogram_back() {
        let mut hist = Hist::new(1 << 40);
        for value in [0, 1, 17, 123_456, 987_654_321, 1 << 41] {
            hist.record(value, value + 1);
        }
        let back =
            Hist::from_v2(&hist.to_v2(), 1 << 40, hist.min(), hist.max(), hist.overflow()).unwrap();
        assert_eq!(back, hist);
        assert!(Hist::from_v2(b"nonsense", 1 << 40, 0, 0, 0).is_none());
    }

    #[test]
    fn a_rank_finds_the_highest_value_of_its_bucket() {
        let mut hist = Hist::new(1 << 40);
        hist.record(7, 2);
        hist.record(5_001, 1);
        assert_eq!((hist.value_at_rank(1), hist.value_at_rank(2)), (7, 7));
        assert_eq!((hist.value_at_rank(3), hist.value_at_rank(4)), (5_003, 0));
        assert_eq!(hist.lowest_equivalent(5_003), 5_000);
        let above = [6, 7, 5_000, 5_003, 5_004].map(|value| hist.count_above(value));
        assert_eq!(above, [3, 1, 0, 0, 0]);
    }

    #[test]
    fn a_rescaled_histogram_keeps_every_value_to_a_thousandth() {
        let mut rng = Rng::new(3);
        let (mut fine, mut coarse) = (Hist::new(1 << 42), Hist::new(1 << 33));
        for _ in 0..10_000 {
            let value = rng.below(1 << 36);
            fine.record(value, 1);
            coarse.record(value / 1000, 1);
        }
        let scaled = fine.rescaled(1000, 1 << 33);
        assert_eq!(scaled.len(), 10_000);
        for rank in (1..=10_000).step_by(97) {
            let (a, b) = (scaled.value_at_rank(rank), coarse.value_at_rank(rank));
            assert!(a.abs_diff(b) <= 1 + b / 500, "rank {rank}: {a} for {b}");
        }
    }

    #[test]
    fn a_spectrum_ends_even_where_its_steps_get_too_small_for_the_number() {
        let mut hist = Hist::new(1 << 40);
        hist.record(1, (1 << 52) - 2);
        hist.record(2, 1);
        hist.record(3, 1);
        let steps = hist.spectrum(5);
        assert!((200..400).contains(&steps.len()), "{}", steps.len());
        let last = SpectrumStep { value: 3, percentile: 100.0, count: 1 << 52 };
        assert_eq!(steps.last(), Some(&last));
        assert!(steps.windows(2).all(|pair| pair[0].percentile <= pair[1].percentile));
    }

    #[test]
    fn a_cleared_histogram_is_a_new_one() {
        let mut hist = Hist::new(1000);
        hist.record(5, 5);
        hist.clear();
        assert_eq!(hist, Hist::new(1000));
        assert_eq!((hist.min(), hist.max(), hist.quantile(0.99)), (0, 0, 0));
    }
}
