//! The difference of one metric with its interval, and the word for it.

use super::{Block, Metric, SHOWN};
use crate::rng::Rng;
use crate::stats::{self, Estimate, Units, student_critical, units_needed};

/// How the blocks of two sides belong together.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Layout {
    /// Block `i` of both sides make a pair; one process each.
    Pairs,
    /// The same, in several processes one after the other, which are the units.
    Processes,
    /// Runs of their own, in no order.
    Runs,
}

/// What the other side is beside the reference.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Word {
    /// The interval lies within the margin.
    Same,
    /// The interval excludes no difference, on the good side.
    Faster,
    /// The same on the other side.
    Slower,
    /// Neither.
    Undecided,
}

impl Word {
    /// As it stands in the verdict.
    pub fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Faster => "faster",
            Self::Slower => "slower",
            Self::Undecided => "undecided",
        }
    }
}

/// How one metric of another side differs from the reference's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// Which.
    pub metric: Metric,
    /// The reference's mean: geometric over blocks, except shares.
    pub reference: f64,
    /// The other's.
    pub other: f64,
    /// Of the logarithm of the ratio, or of the plain difference of shares; `None` when there are too
    /// few units for any.
    pub estimate: Option<Estimate>,
}

impl Difference {
    /// The other relative to the reference, less 1; of shares the plain difference.
    pub fn relative(&self) -> f64 {
        match (&self.estimate, self.metric.is_share()) {
            (Some(estimate), _) => self.metric.outward(estimate.value),
            (None, true) => self.other - self.reference,
            (None, false) => self.other / self.reference - 1.0,
        }
    }

    /// The 95 % interval of `relative`.
    pub fn interval(&self) -> Option<(f64, f64)> {
        self.interval_at(SHOWN)
    }

    /// The interval with the error probability `alpha`.
    pub fn interval_at(&self, alpha: f64) -> Option<(f64, f64)> {
        let (low, high) = self.estimate?.at_level(alpha);
        Some((self.metric.outward(low), self.metric.outward(high)))
    }
}

/// Where a metric is not known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Unknown {
    /// Which.
    pub metric: Metric,
    /// Pairs in which it is not known in both blocks, or runs of either side in which it is not; they
    /// are left out.
    pub units: usize,
    /// Those among them in which a percentile lies among the requests without an answer.
    pub by_failures: usize,
    /// All pairs, or runs.
    pub of: usize,
}

impl Unknown {
    /// Whether what is left is too little to speak for the whole: it is left because it was better.
    pub fn is_too_much(&self) -> bool {
        2 * self.units > self.of
    }
}

/// Where a metric is not known.
pub fn unknown(metric: Metric, reference: &[Block], other: &[Block], layout: Layout) -> Unknown {
    let is_unknown = |block: &Block| block.inward(metric).is_none();
    let is_lost = |block: &Block| block.is_lost_to_failures(metric);
    let pairs = || reference.iter().zip(other);
    let runs = || reference.iter().chain(other);
    let (units, by_failures, of) = match layout {
        Layout::Runs => (
            runs().filter(|run| is_unknown(run)).count(),
            runs().filter(|run| is_lost(run)).count(),
            runs().count(),
        ),
        Layout::Pairs | Layout::Processes => (
            pairs().filter(|(a, b)| is_unknown(a) || is_unknown(b)).count(),
            pairs().filter(|(a, b)| is_lost(a) || is_lost(b)).count(),
            pairs().count(),
        ),
    };
    Unknown { metric, units, by_failures, of }
}

/// Compares one metric; `None` when no pair, or no run of a side, knows it.
pub fn difference(
    metric: Metric,
    reference: &[Block],
    other: &[Block],
    layout: Layout,
    rng: &mut Rng,
) -> Option<Difference> {
    let is_known = |block: &&Block| block.inward(metric).is_some();
    // What is not known on one side of a pair counts on neither.
    let (reference, other): (Vec<Block>, Vec<Block>) = match layout {
        Layout::Runs => (
            reference.iter().filter(is_known).copied().collect(),
            other.iter().filter(is_known).copied().collect(),
        ),
        Layout::Pairs | Layout::Processes => {
            let pairs = reference.iter().zip(other);
            pairs.filter(|(a, b)| is_known(a) && is_known(b)).unzip()
        }
    };
    let (reference, other) = (&reference[..], &other[..]);
    let values = |side: &[Block]| side.iter().filter_map(|block| block.inward(metric)).collect();
    let (a, b): (Vec<f64>, Vec<f64>) = (values(reference), values(other));
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let estimate = match layout {
        Layout::Runs => stats::estimate(Units::Separate(&a, &b), stats::RESAMPLES, rng),
        Layout::Pairs => {
            let pairs: Vec<f64> = a.iter().zip(&b).map(|(a, b)| b - a).collect();
            stats::estimate(Units::Single(&pairs), stats::RESAMPLES, rng)
        }
        Layout::Processes => {
            let pairs: Vec<f64> = a.iter().zip(&b).map(|(a, b)| b - a).collect();
            let groups = by_process(reference, &pairs);
            stats::estimate(Units::Nested(&groups), stats::RESAMPLES, rng)
        }
    };
    // Every process counts alike, however many blocks it had, as it does in the estimate.
    let of = |side: &[Block], values: &[f64]| match layout {
        Layout::Processes => {
            let means: Vec<f64> =
                by_process(side, values).iter().map(|group| mean(group)).collect();
            metric.level(mean(&means))
        }
        Layout::Pairs | Layout::Runs => metric.level(mean(values)),
    };
    Some(Difference { metric, reference: of(reference, &a), other: of(other, &b), estimate })
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// One value for each block, by the process that the block was measured in.
fn by_process(blocks: &[Block], values: &[f64]) -> Vec<Vec<f64>> {
    let mut groups: Vec<(u32, Vec<f64>)> = Vec::new();
    for (block, &value) in blocks.iter().zip(values) {
        match groups.last_mut() {
            Some((process, group)) if *process == block.process => group.push(value),
            _ => groups.push((block.process, vec![value])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

/// The word for an interval of relative differences.
pub fn judge(metric: Metric, (low, high): (f64, f64), margin: f64) -> Word {
    let (more, less) = (low > 0.0, high < 0.0);
    let (better, worse) = if metric.more_is_better() { (more, less) } else { (less, more) };
    match () {
        () if low > -margin && high < margin => Word::Same,
        () if better => Word::Faster,
        () if worse => Word::Slower,
        () => Word::Undecided,
    }
}

/// With fewer processes, or runs of a side, than this no side is called faster or slower: servers
/// that come up at one of two speeds by chance are all fast on one side and all slow on the other in
/// more than one comparison of a hundred.
const STARTS_LEAST: usize = 4;

/// Whether so many units are too few for another word than same.
pub(super) fn is_too_few(layout: Layout, units: usize) -> bool {
    matches!(layout, Layout::Processes | Layout::Runs) && units < STARTS_LEAST
}

/// How many units (pairs, processes, runs of a side) more it would take to decide, were the
/// difference what it seems to be: until the interval at `alpha` no longer reaches zero or, where
/// that is sooner, lies within the margin. `None` where nothing is known.
pub fn units_more(difference: &Difference, alpha: f64, margin: f64, layout: Layout) -> Option<u64> {
    let estimate = difference.estimate?;
    // Near 1 the logarithm of a ratio is its distance from 1.
    let off = estimate.value.abs();
    let gap = off.max(margin - off);
    let critical = student_critical(alpha / 2.0, estimate.degrees.max(8.0));
    let needed = units_needed(estimate.deviation(), gap, critical);
    let least = if is_too_few(layout, estimate.units) { STARTS_LEAST as u64 } else { 0 };
    let more = needed.max(least).saturating_sub(estimate.units as u64).max(1);
    (gap > 0.0 && more < 1 << 40).then_some(more)
}
