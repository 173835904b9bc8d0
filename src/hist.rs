//! A histogram of non-negative integers with a fixed relative error.
//!
//! Owns recording, merging, quantiles and the binary form. Does not know what is measured: values
//! are plain `u64`. The idea: three significant digits everywhere (an HDR histogram), with the exact
//! smallest and largest value kept beside it, and values above the bound counted, never lost.
//!
//! Counting is done here, a few instructions for each value, as every answer is counted more than
//! once; buckets are those of hdrhistogram, which knows the binary form and judges the rest in tests.
//!
//! Allocates in `new` alone; recording never does.

use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2Serializer};

const SIGNIFICANT_DIGITS: u8 = 3;
/// Below twice this many every value has a bucket of its own. Then this many buckets, each twice as
/// wide as those before, reach twice as far, and so on: the power of two that gives three digits.
const HALF_BUCKETS: u64 = 1 << HALF_BUCKETS_LOG2;
const HALF_BUCKETS_LOG2: u32 = 10;

/// Most buckets are empty: they are passed over by as many.
const STRIDE: usize = 64;
const EMPTY: [u64; STRIDE] = [0; STRIDE];

const _: () = assert!(2 * HALF_BUCKETS >= 2 * 10_u64.pow(SIGNIFICANT_DIGITS as u32));

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
    counts: Box<[u64]>,
    len: u64,
    value_max: u64,
    overflow: u64,
    min: u64,
    max: u64,
}

/// How often the width of the buckets around `value` has doubled.
#[inline]
fn doublings(value: u64) -> u32 {
    (value | (2 * HALF_BUCKETS - 1)).ilog2() - HALF_BUCKETS_LOG2
}

/// Which bucket `value` lies in.
#[inline]
fn place(value: u64) -> usize {
    let doublings = doublings(value);
    (u64::from(doublings) * HALF_BUCKETS + (value >> doublings)) as usize
}

/// Lowest value of the bucket at `place`, and how many there are in it.
fn bucket(place: usize) -> (u64, u64) {
    let place = place as u64;
    let doublings = (place / HALF_BUCKETS).saturating_sub(1);
    ((place - doublings * HALF_BUCKETS) << doublings, 1 << doublings)
}

/// What a bucket counts for in a mean.
fn middle(place: usize) -> u64 {
    let (lowest, values) = bucket(place);
    lowest + values / 2
}

impl Hist {
    /// An empty histogram for `0 ..= value_max`; larger values are recorded as `value_max` and
    /// counted in `overflow`.
    pub fn new(value_max: u64) -> Self {
        let value_max = value_max.max(2);
        let counts = vec![0; place(value_max) + 1].into_boxed_slice();
        Self { counts, len: 0, value_max, overflow: 0, min: u64::MAX, max: 0 }
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
        self.len += count;
        self.counts[place(value.min(self.value_max))] += count;
    }

    /// Number of values recorded, those above the bound included.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// True when nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.len == 0
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
        if self.is_empty() {
            return 0.0;
        }
        self.places().map(|(place, count)| middle(place) as f64 * count as f64).sum::<f64>()
            / self.len as f64
    }

    /// Standard deviation of the values (population form); 0 when empty.
    pub fn stdev(&self) -> f64 {
        if self.is_empty() {
            return 0.0;
        }
        let mean = self.mean();
        let squares = self.places().map(|(place, count)| {
            let deviation = middle(place) as f64 - mean;
            deviation * deviation * count as f64
        });
        (squares.sum::<f64>() / self.len as f64).sqrt()
    }

    /// The value at quantile `q` in `0.0 ..= 1.0`: at least a share `q` of the values is not above
    /// it. Never above the exact maximum. 0 when empty.
    pub fn quantile(&self, q: f64) -> u64 {
        let rank = (q.min(1.0) * self.len as f64).ceil() as u64;
        self.value_at_rank(rank.max(1)).min(self.max)
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
        let is_within = |value: u64| (low..=high).contains(&(value as f64));
        let within = self.buckets().filter(|&(highest, _)| is_within(highest));
        within.map(|(_, count)| count).sum::<u64>() as f64 / self.len() as f64
    }

    /// Every bucket that holds something, as (highest equivalent value, count), ascending.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.places().map(|(place, count)| {
            let (lowest, values) = bucket(place);
            (lowest + (values - 1), count)
        })
    }

    /// The same by the buckets' places.
    fn places(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        let strides = self.counts.chunks(STRIDE).enumerate();
        let strides = strides.filter(|(_, counts)| *counts != &EMPTY[..counts.len()]);
        strides.flat_map(|(stride, counts)| {
            let counts = counts.iter().enumerate().filter(|&(_, &count)| count > 0);
            counts.map(move |(place, &count)| (stride * STRIDE + place, count))
        })
    }

    /// How many values lie above `value`, to the bucket.
    pub fn count_above(&self, value: u64) -> u64 {
        let bucket = place(value);
        self.places().filter(|&(place, _)| place > bucket).map(|(_, count)| count).sum()
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
        bucket(place(value)).0
    }

    /// How many ranges, each twice as wide as the one before, the bound takes, and how many buckets
    /// the first of them has.
    pub fn layout(&self) -> (u32, u32) {
        (doublings(self.value_max) + 1, 2 * HALF_BUCKETS as u32)
    }

    /// The same values in a unit that is `divisor` times as large, rounded to the nearest, in a
    /// histogram for `0 ..= value_max`. A value is taken at the middle of its bucket.
    pub fn rescaled(&self, divisor: u64, value_max: u64) -> Self {
        let mut scaled = Self::new(value_max);
        for (place, count) in self.places() {
            let middle = middle(place).clamp(self.min(), self.max);
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
        for (place, count) in other.places() {
            self.counts[place] = self.counts[place].saturating_add(count);
        }
        self.len = self.len.saturating_add(other.len);
        self.overflow += other.overflow;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// Forgets all values; keeps the memory.
    pub fn clear(&mut self) {
        for counts in self.counts.chunks_mut(STRIDE) {
            counts.copy_from_slice(&EMPTY[..counts.len()]);
        }
        self.len = 0;
        self.overflow = 0;
        self.min = u64::MAX;
        self.max = 0;
    }

    /// The HdrHistogram V2 binary form of the buckets (exact extremes and overflow are not in it).
    pub fn to_v2(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        V2Serializer::new()
            .serialize(&self.by_the_library(), &mut bytes)
            .expect("writing to a vector cannot fail");
        bytes
    }

    /// The same counts in hdrhistogram's own form.
    fn by_the_library(&self) -> Histogram<u64> {
        let mut counts = Histogram::new_with_bounds(1, self.value_max, SIGNIFICANT_DIGITS)
            .expect("1 <= 2 <= value_max and 3 digits are always accepted");
        for (place, count) in self.places() {
            counts.saturating_record_n(bucket(place).0, count);
        }
        counts
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
        for step in counts.iter_recorded() {
            let place = place(step.value_iterated_to());
            let count = hist.counts.get_mut(place)?;
            *count = count.checked_add(step.count_at_value())?;
            hist.len = hist.len.checked_add(step.count_at_value())?;
        }
        hist.min = if hist.is_empty() { u64::MAX } else { min };
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

    /// Values of every size, those at the bounds of buckets among them.
    fn values(rng: &mut Rng, count: usize, value_max: u64) -> Vec<u64> {
        let mut values: Vec<u64> = (0..count)
            .map(|_| {
                let high = 1_u64 << rng.below(u64::from(value_max.ilog2()) + 1);
                let near = high.wrapping_add(rng.below(5)).wrapping_sub(2);
                if rng.below(3) == 0 { near } else { rng.below(high) }
            })
            .map(|value| value.min(value_max))
            .collect();
        values.extend([0, 1, 2, 1023, 1024, 2047, 2048, 2049, 4095, 4096, 4097, value_max]);
        values
    }

    #[test]
    fn every_figure_is_that_of_the_library_for_the_same_values() {
        let mut rng = Rng::new(5);
        for value_max in [2, 1000, 2047, 2048, 1 << 20, 3_600_000_000_000, u64::MAX / 2] {
            let mut hist = Hist::new(value_max);
            let mut library =
                Histogram::<u64>::new_with_bounds(1, value_max, SIGNIFICANT_DIGITS).unwrap();
            for value in values(&mut rng, 2000, value_max).into_iter().filter(|&v| v <= value_max) {
                let count = 1 + rng.below(3);
                hist.record(value, count);
                library.record_n(value, count).unwrap();
                assert_eq!(hist.lowest_equivalent(value), library.lowest_equivalent(value));
                let middle = library.median_equivalent(value);
                assert_eq!(super::middle(place(value)), middle, "{value}");
            }
            assert_eq!(hist.len(), library.len());
            let steps = library.iter_recorded();
            let steps = steps.map(|step| (step.value_iterated_to(), step.count_at_value()));
            assert!(hist.buckets().eq(steps), "{value_max}");
            for q in [0.001, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 0.9999, 1.0] {
                let wanted = library.value_at_quantile(q).min(hist.max());
                assert_eq!(hist.quantile(q), wanted, "{q} of {value_max}");
            }
            let close = |a: f64, b: f64| (a - b).abs() <= 1e-9 * b.abs().max(1.0);
            assert!(close(hist.mean(), library.mean()), "{} {}", hist.mean(), library.mean());
            assert!(close(hist.stdev(), library.stdev()), "{} {}", hist.stdev(), library.stdev());
            assert_eq!(hist.layout().0, u32::from(library.buckets()), "{value_max}");
            assert_eq!(hist.by_the_library(), library);
        }
    }

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
