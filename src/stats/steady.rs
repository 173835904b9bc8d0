//! From when on a series is steady, and whether it drifts.
//!
//! The idea: a warm-up ends with the last change of level. Changes are found by cutting the series
//! where that makes its pieces enough quieter than the whole (optimal partitioning: Jackson et al.,
//! "An algorithm for optimal partitioning of data on an interval", IEEE Signal Processing Letters 12,
//! 2005), as in Barrett et al., "Virtual machine warmup blows hot and cold", OOPSLA 2017, where levels
//! that differ too little to matter also count as one. How noisy the series is comes from the
//! differences of neighbours, which a change of level touches once. A drift that never jumps is found
//! by the test of Mann (1945) and Kendall, and measured by the slope of Theil (1950) and Sen (1968). One
//! that jumps once, which in a short series that test cannot see, is a change of level whose sides
//! differ by more than chance explains (Worsley, "On the likelihood ratio test for a shift in location
//! of normal populations", J. Am. Stat. Assoc. 74, 1979, by Bonferroni's bound).

use super::distributions::student_tail;

/// Steps that a level must have lasted to be one.
const STEPS_STEADY: usize = 5;
/// Steps without which nothing is said of a drift.
const STEPS_DRIFT: usize = 8;
/// Longest series that is looked at; of longer ones the end.
const STEPS_MAX: usize = 512;
/// Standard deviations that a statistic of Mann and Kendall exceeds once in a thousand steady series.
const DRIFT_CRITICAL: f64 = 3.29;

/// Steps that a jump must have on each side, and the error probability of its test.
const STEPS_LEVEL: usize = 3;
const JUMP_ALPHA: f64 = 0.001;

/// A series that does not stay at one level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drift {
    /// By how much it changes from its start to its end, relative to its start; negative if it falls.
    pub change: f64,
    /// The step at which it jumps, if that is what it does; `None` where it goes one way all the time.
    pub jumps_at: Option<usize>,
}

/// The step from which on `series` is steady: since then its level is that of its end, within the
/// share `tolerance` of it, for at least five steps, and it does not drift by more. `None` if it is
/// not steady (yet).
pub fn steady_since(series: &[f64], tolerance: f64) -> Option<usize> {
    let skipped = series.len().saturating_sub(STEPS_MAX);
    let series = &series[skipped..];
    if series.len() < STEPS_STEADY {
        return None;
    }
    let starts = change_points(series);
    let level = |from: usize, to: usize| mean(&series[from..to]);
    let mut since = *starts.last()?;
    let last = level(since, series.len());
    // The level of the end must have lasted before earlier ones can be said to be like it.
    if series.len() - since < STEPS_STEADY {
        return None;
    }
    for pair in starts.windows(2).rev() {
        if (level(pair[0], pair[1]) - last).abs() > tolerance * last.abs() {
            break;
        }
        since = pair[0];
    }
    let drifts = trend(&series[since..]).is_some_and(|drift| drift.change.abs() > tolerance);
    (!drifts).then_some(since + skipped)
}

/// Whether `series` drifts, all the time or by a jump, by tests at a thousandth each; `None` for one
/// that does not, or is too short to tell.
pub fn drift(series: &[f64]) -> Option<Drift> {
    let skipped = series.len().saturating_sub(STEPS_MAX);
    let series = &series[skipped..];
    let in_whole =
        |drift: Drift| Drift { jumps_at: drift.jumps_at.map(|at| at + skipped), ..drift };
    let Some((jump, left)) = jump(series) else { return trend(series) };
    // Of two that are there, the one that leaves less to explain is what it does.
    let trend = trend(series).filter(|_| off_the_line(series) < left);
    Some(trend.unwrap_or_else(|| in_whole(jump)))
}

/// The jump between two levels that chance explains least, if it does not explain it, with the squares
/// that are left when the levels are taken away.
fn jump(series: &[f64]) -> Option<(Drift, f64)> {
    if series.len() < STEPS_DRIFT {
        return None;
    }
    let squares = |part: &[f64]| -> f64 {
        let level = mean(part);
        part.iter().map(|value| (value - level).powi(2)).sum()
    };
    let degrees = series.len() as f64 - 2.0;
    let options = change_points(series).into_iter().filter_map(|at| {
        let (before, after) = series.split_at(at);
        if before.len().min(after.len()) < STEPS_LEVEL {
            return None;
        }
        let left = squares(before) + squares(after);
        let parts = (before.len() as f64).recip() + (after.len() as f64).recip();
        let error = (left / degrees * parts).sqrt().max(f64::MIN_POSITIVE);
        Some((at, (mean(after) - mean(before)).abs() / error, left))
    });
    let (at, statistic, left) = options.max_by(|a, b| a.1.total_cmp(&b.1))?;
    // Any of so many places might have been the one.
    let places = series.len() as f64 - 1.0;
    if 2.0 * student_tail(statistic, degrees) * places > JUMP_ALPHA {
        return None;
    }
    let (first, last) = (mean(&series[..at]), mean(&series[at..]));
    let from = if first == 0.0 { last } else { first };
    Some((Drift { change: (last - first) / from.abs(), jumps_at: Some(at) }, left))
}

/// The squares that are left of `series` when the line of least squares is taken away.
fn off_the_line(series: &[f64]) -> f64 {
    let centre = (series.len() as f64 - 1.0) / 2.0;
    let level = mean(series);
    let steps = || (0_u32..).map(|step| f64::from(step) - centre).zip(series);
    let along: f64 = steps().map(|(x, y)| x * (y - level)).sum();
    let slope = along / steps().map(|(x, _)| x * x).sum::<f64>();
    steps().map(|(x, y)| (y - level - slope * x).powi(2)).sum()
}

/// Whether `series`, of the longest length at most, goes one way all the time, by the test of Mann and
/// Kendall.
fn trend(series: &[f64]) -> Option<Drift> {
    let count = series.len() as f64;
    if series.len() < STEPS_DRIFT {
        return None;
    }
    let (mut score, mut slopes) = (0.0, Vec::new());
    for (i, a) in series.iter().enumerate() {
        for (j, b) in series.iter().enumerate().skip(i + 1) {
            score += (b - a).partial_cmp(&0.0).map_or(0.0, |order| f64::from(order as i8));
            slopes.push((b - a) / (j - i) as f64);
        }
    }
    let variance = count * (count - 1.0) * (2.0 * count + 5.0) / 18.0 - ties(series);
    // With the correction for continuity.
    let statistic = (score - f64::signum(score)) / variance.max(f64::MIN_POSITIVE).sqrt();
    let level = median(&mut series.to_vec());
    if score == 0.0 || statistic.abs() < DRIFT_CRITICAL || level == 0.0 {
        return None;
    }
    // The line of Theil and Sen, which at its ends goes no further than what was seen: a series that
    // falls along a curve has a line that ends below nothing.
    let half = median(&mut slopes) * (count - 1.0) / 2.0;
    let least = series.iter().copied().fold(f64::INFINITY, f64::min);
    let most = series.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let [first, last] = [level - half, level + half].map(|end| end.max(least).min(most));
    let from = if first == 0.0 { level } else { first };
    Some(Drift { change: (last - first) / from.abs(), jumps_at: None })
}

/// What equal values take from the variance of the score (Kendall, "Rank correlation methods", 1975).
fn ties(series: &[f64]) -> f64 {
    let mut sorted = series.to_vec();
    sorted.sort_by(f64::total_cmp);
    let groups = sorted.chunk_by(|a, b| a == b).map(|group| group.len() as f64);
    groups.map(|t| t * (t - 1.0) * (2.0 * t + 5.0) / 18.0).sum()
}

/// Where the levels of `series` start; the first is 0.
///
/// The cost of a cut is that of the strengthened Schwarz criterion, three times the logarithm of the
/// length, in units of the noise.
fn change_points(series: &[f64]) -> Vec<usize> {
    let noise = noise_of(series);
    let penalty = 3.0 * (series.len() as f64).ln() * noise * noise;
    let mut sums = vec![(0.0, 0.0)];
    for &value in series {
        let (sum, squares) = sums[sums.len() - 1];
        sums.push((sum + value, squares + value * value));
    }
    let cost = |from: usize, to: usize| {
        let (sum, squares) = (sums[to].0 - sums[from].0, sums[to].1 - sums[from].1);
        (squares - sum * sum / (to - from) as f64).max(0.0)
    };
    // best[t]: least cost of the first t steps, and where the last level of that starts.
    let mut best = vec![(-penalty, 0)];
    for to in 1..=series.len() {
        let options = (0..to).map(|from| (best[from].0 + cost(from, to) + penalty, from));
        best.push(options.min_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((0.0, 0)));
    }
    let mut starts = Vec::new();
    let mut to = series.len();
    while to > 0 {
        to = best[to].1;
        starts.push(to);
    }
    starts.reverse();
    starts
}

/// The standard deviation of the noise: the median of the absolute differences of neighbours, which
/// is 0.954 of it for normal values. Never 0, so that a series without noise has levels too.
fn noise_of(series: &[f64]) -> f64 {
    let mut steps: Vec<f64> = series.windows(2).map(|pair| (pair[1] - pair[0]).abs()).collect();
    let least = mean(series).abs() * 1e-6 + f64::MIN_POSITIVE;
    (median(&mut steps) / 0.953_872_552_4).max(least)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn median(values: &mut [f64]) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { values[middle - 1].midpoint(values[middle]) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    /// About normal, mean 0 and variance 1: twelve uniform numbers (Irwin and Hall).
    fn noise(rng: &mut Rng) -> f64 {
        (0..12).map(|_| rng.below(1_000_000) as f64 / 1e6).sum::<f64>() - 6.0
    }

    fn series(rng: &mut Rng, sd: f64, levels: &[(usize, f64)]) -> Vec<f64> {
        let steps = levels.iter().flat_map(|&(count, level)| vec![level; count]);
        steps.map(|level| level + sd * noise(rng)).collect()
    }

    #[test]
    fn a_jump_is_found_where_it_is_and_a_level_series_has_none() {
        let mut rng = Rng::new(1);
        let (mut found, mut alarms) = (0, 0);
        for _ in 0..200 {
            let jump = series(&mut rng, 10.0, &[(12, 900.0), (18, 1000.0)]);
            found += u32::from(change_points(&jump) == [0, 12]);
            let level = series(&mut rng, 10.0, &[(30, 1000.0)]);
            alarms += u32::from(change_points(&level) != [0]);
        }
        assert!(found >= 180 && alarms <= 10, "{found} found, {alarms} alarms of 200");
        assert_eq!(change_points(&[5.0; 9]), [0]);
        assert_eq!(change_points(&[0.0, 0.0, 7.0, 7.0, 7.0]), [0, 2]);
    }

    #[test]
    fn a_warm_up_ends_with_the_last_change_that_matters() {
        let mut rng = Rng::new(2);
        let warm = series(&mut rng, 5.0, &[(4, 300.0), (5, 700.0), (12, 1000.0)]);
        assert_eq!(steady_since(&warm, 0.02), Some(9));
        // Not yet: the last level is too short.
        assert_eq!(steady_since(&warm[..12], 0.02), None);
        // A level that differs by too little to matter belongs to it.
        let settled = series(&mut rng, 0.5, &[(5, 300.0), (10, 990.0), (10, 1000.0)]);
        assert_eq!(steady_since(&settled, 0.02), Some(5));
        assert_eq!(steady_since(&settled, 0.001), Some(15));
        assert_eq!(steady_since(&[1.0; 4], 0.02), None);
        assert_eq!(steady_since(&[0.0; 8], 0.02), Some(0));
    }

    #[test]
    fn a_slow_climb_is_not_steady_and_is_a_drift_of_the_right_size() {
        let mut rng = Rng::new(3);
        let climb: Vec<f64> =
            (0..40).map(|step| 1000.0 + 5.0 * f64::from(step) + 5.0 * noise(&mut rng)).collect();
        let change = drift(&climb).unwrap().change;
        assert!((change - 195.0 / 1000.0).abs() < 0.02, "{change}");
        assert_eq!(steady_since(&climb, 0.02), None);
        let falling: Vec<f64> = climb.iter().rev().copied().collect();
        assert!(drift(&falling).unwrap().change < -0.15);
        // Steep and curved: nothing falls by more than all of it.
        let curved: Vec<f64> = (0..14).map(|n| 400.0 / (1.0 + f64::from(n))).collect();
        let change = drift(&curved).unwrap().change;
        assert!((-1.0..-0.5).contains(&change), "{change}");
        let started: Vec<f64> = (0..14).map(|n| 10.0 * f64::from(n * n)).collect();
        assert!(drift(&started).unwrap().change > 1.0, "from nothing");
    }

    #[test]
    fn steady_series_are_called_drifting_about_once_in_a_thousand() {
        let mut rng = Rng::new(4);
        for count in [8, 10, 20, 60] {
            let mut steady = || series(&mut rng, 50.0, &[(count, 1000.0)]);
            let alarms = (0..2000).filter(|_| drift(&steady()).is_some()).count();
            // Two tests at a thousandth each.
            assert!(alarms <= 10, "{alarms} of 2000 with {count} steps");
        }
        assert_eq!(drift(&[3.0; 50]), None);
        assert_eq!(drift(&[1.0, 2.0, 3.0]), None);
    }

    #[test]
    fn a_jump_in_the_middle_of_a_short_series_is_a_drift_with_its_place_and_size() {
        let mut rng = Rng::new(5);
        let mut found = 0;
        for at in [3, 5, 7] {
            for _ in 0..100 {
                let levels = [(at, 1000.0), (10 - at, 700.0)];
                let Some(drift) = drift(&series(&mut rng, 10.0, &levels)) else { continue };
                found += u32::from(drift.jumps_at == Some(at));
                assert!((drift.change + 0.3).abs() < 0.02, "{drift:?}");
            }
        }
        assert!(found >= 290, "{found} of 300");
        // As it was seen on a server that became slower after five seconds.
        let seen = [1574.0, 1560.0, 1643.0, 1728.0, 1808.0, 636.0, 628.0, 612.0, 616.0, 404.0];
        let drift_of = |series: &[f64]| drift(series).unwrap();
        assert_eq!(drift_of(&seen).jumps_at, Some(5));
        // Seen from its start, however long it is.
        let long: Vec<f64> = series(&mut rng, 5.0, &[(700, 1000.0), (100, 900.0)]);
        assert_eq!(drift_of(&long).jumps_at, Some(700));
        // What falls all the time does not jump, one odd second is no level, and a dip that is over
        // is none that lasts.
        let falling: Vec<f64> = (0..20).map(|step| 1000.0 - 20.0 * f64::from(step)).collect();
        assert_eq!(drift_of(&falling).jumps_at, None);
        for (odd, length) in [(9, 1), (0, 1), (5, 1), (4, 2)] {
            let mut steady = series(&mut rng, 5.0, &[(10, 1000.0)]);
            steady[odd..odd + length].fill(100.0);
            assert_eq!(drift(&steady), None, "{steady:?}");
        }
    }

    #[test]
    fn the_score_of_mann_and_kendall_is_that_of_a_worked_example() {
        // Eight values in ascending order: S = 28, variance 8 * 7 * 21 / 18 = 65.33, so the statistic
        // is 27 / 8.083 = 3.34; with one pair swapped S = 26 and it is 3.09.
        let rising: Vec<f64> = (1..=8).map(f64::from).collect();
        assert!(trend(&rising).is_some());
        let mut swapped = rising;
        swapped.swap(3, 4);
        assert!(trend(&swapped).is_none());
    }
}
