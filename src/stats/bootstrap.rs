//! The mean of few units with an interval: percentile-t bootstrap, in one or two levels.
//!
//! The idea (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 12): resample the
//! units, and look how far the resample's mean lies from the mean *in its own standard errors*. The
//! quantiles of that take the place of Student's where they lie further out, so that skew widens the
//! interval on its side. They never narrow it: of long-tailed values few units show too little of the
//! tails, and quantiles of resamples then lie too close (Efron, J. Am. Stat. Assoc. 64, 1969: of
//! symmetric values, however long their tails, Student's own errs on the careful side). The tests
//! measure how often the truth is covered.
//!
//! The method has a weak spot: a resample that happens to lack the units which scatter has next to no
//! standard error of its own, in which any distance is enormous. One odd unit among sixty alike ones is
//! missing from a third of the resamples. Standard errors of resamples are therefore kept away from
//! zero (Polansky, "Stabilizing bootstrap-t confidence intervals for small samples", Canadian Journal
//! of Statistics 28, 2000): none counts as smaller than half of the sample's own. Of units without odd
//! ones hardly a resample's is.
//!
//! Two levels (Kalibera and Jones, ISMM 2013): blocks within processes. Processes are the units, and
//! a resample draws processes and, within each, blocks.

use super::distributions::student_critical;
use crate::rng::Rng;

/// Resamples behind an interval.
pub const RESAMPLES: u32 = 10_000;
/// The interval's error probability, both sides together.
const ALPHA: f64 = 0.05;
/// Below so many units a resample is too often one unit many times, and its quantiles lie anywhere;
/// Student's are taken alone.
const UNITS_MIN: usize = 10;
/// A resample's standard error counts as this share of the sample's own at least.
const ERROR_SHARE_MIN: f64 = 0.5;

/// What an estimate is made from.
#[derive(Clone, Copy, Debug)]
pub enum Units<'a> {
    /// One value for each unit: the differences of pairs, for instance.
    Single(&'a [f64]),
    /// Values within processes: the processes are the units.
    Nested(&'a [Vec<f64>]),
    /// Two independent samples, whose difference, second less first, is wanted.
    Separate(&'a [f64], &'a [f64]),
}

/// A mean, or difference of means, with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The mean.
    pub value: f64,
    /// Its standard error.
    pub error: f64,
    /// Degrees of freedom of that.
    pub degrees: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// How many units there were; of two samples, the smaller number.
    pub units: usize,
}

impl Estimate {
    /// The interval with the error probability `alpha` instead of 5 %. Ten thousand resamples do not
    /// reach far into the tails, so both halves are stretched, or shrunk, as Student's would be.
    pub fn at_level(&self, alpha: f64) -> (f64, f64) {
        let critical = |alpha: f64| student_critical(alpha / 2.0, self.degrees);
        let stretch = critical(alpha) / critical(ALPHA);
        let reach = |end: f64| {
            let half = end - self.value;
            // Nothing stays nothing however far it is stretched.
            if half == 0.0 { self.value } else { self.value + half * stretch }
        };
        (reach(self.low), reach(self.high))
    }

    /// Standard deviation of one unit.
    pub fn deviation(&self) -> f64 {
        self.error * (self.units as f64).sqrt()
    }
}

/// Estimates with `resamples` resamples; `None` with fewer than two units, or values that are no
/// numbers.
pub fn estimate(units: Units<'_>, resamples: u32, rng: &mut Rng) -> Option<Estimate> {
    match units {
        Units::Single(values) => single(values, resamples, rng),
        Units::Nested(groups) => nested(groups, resamples, rng),
        Units::Separate(a, b) => separate(a, b, resamples, rng),
    }
}

/// Mean and variance of the mean.
#[derive(Clone, Copy)]
struct Moments {
    mean: f64,
    error_squared: f64,
}

fn moments(values: impl Iterator<Item = f64>) -> Moments {
    let (mut sum, mut squares, mut count) = (0.0, 0.0, 0.0);
    for value in values {
        sum += value;
        squares += value * value;
        count += 1.0;
    }
    let mean = sum / count;
    // Callers centre their values, so little cancels; rounding may still leave less than nothing.
    let variance = ((squares - sum * mean) / (count - 1.0)).max(0.0);
    Moments { mean, error_squared: variance / count }
}

fn are_numbers(values: &[f64]) -> bool {
    values.iter().all(|value| value.is_finite())
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn pick(values: &[f64], rng: &mut Rng) -> f64 {
    values[rng.below(values.len() as u64) as usize]
}

fn single(values: &[f64], resamples: u32, rng: &mut Rng) -> Option<Estimate> {
    if values.len() < 2 || !are_numbers(values) {
        return None;
    }
    let centre = mean(values);
    let centred: Vec<f64> = values.iter().map(|value| value - centre).collect();
    let seen = moments(centred.iter().copied());
    let draw = || moments((0..centred.len()).map(|_| pick(&centred, rng)));
    let degrees = values.len() as f64 - 1.0;
    Some(conclude(centre, seen.error_squared, degrees, values.len(), resamples, draw))
}

fn nested(groups: &[Vec<f64>], resamples: u32, rng: &mut Rng) -> Option<Estimate> {
    let is_whole = |group: &Vec<f64>| !group.is_empty() && are_numbers(group);
    if groups.len() < 2 || !groups.iter().all(is_whole) {
        return None;
    }
    let means: Vec<f64> = groups.iter().map(|group| mean(group)).collect();
    let centre = mean(&means);
    let centred: Vec<Vec<f64>> =
        groups.iter().map(|group| group.iter().map(|value| value - centre).collect()).collect();
    let seen = moments(means.iter().map(|mean| mean - centre));
    let draw = || {
        moments((0..centred.len()).map(|_| {
            let group = &centred[rng.below(centred.len() as u64) as usize];
            (0..group.len()).map(|_| pick(group, rng)).sum::<f64>() / group.len() as f64
        }))
    };
    let degrees = groups.len() as f64 - 1.0;
    Some(conclude(centre, seen.error_squared, degrees, groups.len(), resamples, draw))
}

/// Welch's statistic (Biometrika 34, 1947), with Satterthwaite's degrees of freedom.
fn separate(a: &[f64], b: &[f64], resamples: u32, rng: &mut Rng) -> Option<Estimate> {
    let units = a.len().min(b.len());
    if units < 2 || !are_numbers(a) || !are_numbers(b) {
        return None;
    }
    let centred = |values: &[f64]| -> (f64, Vec<f64>) {
        let centre = mean(values);
        (centre, values.iter().map(|value| value - centre).collect())
    };
    let ((mean_a, a), (mean_b, b)) = (centred(a), centred(b));
    let (seen_a, seen_b) = (moments(a.iter().copied()), moments(b.iter().copied()));
    let error_squared = seen_a.error_squared + seen_b.error_squared;
    let share = |seen: Moments, count: usize| {
        seen.error_squared * seen.error_squared / (count as f64 - 1.0)
    };
    let shares = share(seen_a, a.len()) + share(seen_b, b.len());
    let degrees =
        if shares > 0.0 { error_squared * error_squared / shares } else { units as f64 - 1.0 };
    let draw = || {
        let drawn_a = moments((0..a.len()).map(|_| pick(&a, rng)));
        let drawn_b = moments((0..b.len()).map(|_| pick(&b, rng)));
        Moments {
            mean: drawn_b.mean - drawn_a.mean,
            error_squared: drawn_a.error_squared + drawn_b.error_squared,
        }
    };
    Some(conclude(mean_b - mean_a, error_squared, degrees, units, resamples, draw))
}

/// The interval around `value`; `draw` gives a resample's mean, as seen from `value`.
fn conclude(
    value: f64,
    error_squared: f64,
    degrees: f64,
    units: usize,
    resamples: u32,
    mut draw: impl FnMut() -> Moments,
) -> Estimate {
    let error = error_squared.sqrt();
    let critical = student_critical(ALPHA / 2.0, degrees);
    let (below, above) = if units < UNITS_MIN || error == 0.0 {
        (-critical, critical)
    } else {
        let least = ERROR_SHARE_MIN * error;
        let mut distances: Vec<f64> = (0..resamples)
            .map(|_| {
                let Moments { mean, error_squared } = draw();
                mean / error_squared.sqrt().max(least)
            })
            .collect();
        let last = distances.len() - 1;
        let mut quantile = |share: f64| {
            let rank = (share * last as f64).round() as usize;
            *distances.select_nth_unstable_by(rank, f64::total_cmp).1
        };
        (quantile(ALPHA / 2.0).min(-critical), quantile(1.0 - ALPHA / 2.0).max(critical))
    };
    // A distance that is too high says that the mean was too high: the ends change sides.
    Estimate {
        value,
        error,
        degrees,
        low: value - above * error,
        high: value - below * error,
        units,
    }
}
