//! Against closed forms, published tables, and simulated data whose truth is known.

use super::*;
use crate::rng::Rng;

fn near(what: &str, value: f64, expected: f64, tolerance: f64) {
    let off = (value - expected).abs();
    assert!(off <= tolerance, "{what}: {value} is {off} off {expected}");
}

/// A standard normal value (Box and Muller).
pub(crate) fn normal(rng: &mut Rng) -> f64 {
    let uniform = |rng: &mut Rng| ((rng.next_u64() >> 11) + 1) as f64 / (1_u64 << 53) as f64;
    let (radius, angle) = (uniform(rng), uniform(rng));
    (-2.0 * radius.ln()).sqrt() * (2.0 * std::f64::consts::PI * angle).cos()
}

/// Exponential with mean 1: as skewed as block times get.
fn exponential(rng: &mut Rng) -> f64 {
    rng.exponential(1_000_000) as f64 / 1e6
}

#[test]
fn tails_and_their_inverses_are_those_of_the_tables() {
    // Abramowitz and Stegun, table 26.5.
    for (tail, z) in [
        (0.025, 1.959_963_985),
        (0.005, 2.575_829_304),
        (1e-6, 4.753_424_309),
        (1e-10, 6.361_340_902),
    ] {
        near("normal", normal_critical(tail), z, 1e-8);
        near("normal tail", normal_tail(z) / tail, 1.0, 1e-8);
        near("by symmetry", normal_tail(-z), 1.0 - tail, 1e-9);
    }
    near("the middle", normal_tail(0.0), 0.5, 1e-15);
    // Table 26.10.
    for (degrees, tail, t) in [
        (1.0, 0.025, 12.706_2),
        (4.0, 0.025, 2.776_4),
        (9.0, 0.025, 2.262_2),
        (9.0, 0.005, 3.249_8),
        (5.0, 0.0005, 6.868_8),
        (30.0, 0.025, 2.042_3),
        (120.0, 0.005, 2.617_4),
    ] {
        near("student", student_critical(tail, degrees), t, 1e-4);
        near("student tail", student_tail(t, degrees) / tail, 1.0, 1e-3);
    }
    // Closed forms: one degree of freedom is Cauchy, two have a square root.
    near("cauchy", student_tail(1.0, 1.0), 0.25, 1e-14);
    near("two", student_tail(1.5, 2.0), 0.5 - 1.5 / (2.0 * (2.0_f64 + 2.25).sqrt()), 1e-14);
    assert_eq!(student_critical(0.0, 3.0), f64::INFINITY);
}

#[test]
fn spent_as_published_the_bounds_are_the_published_ones() {
    // Lan-DeMets bounds of the O'Brien-Fleming kind for equal steps, two-sided 5 %: Reboussin,
    // DeMets, Kim and Lan, Controlled Clinical Trials 21 (2000).
    let tables: [&[f64]; 4] = [
        &[2.9626, 1.9686],
        &[3.7103, 2.5114, 1.9930],
        &[4.3326, 2.9631, 2.3590, 2.0141],
        &[4.8769, 3.3569, 2.6803, 2.2898, 2.0310],
    ];
    for table in tables {
        let mut boundary = Boundary::default();
        for (look, expected) in (1..).zip(table) {
            let information = f64::from(look) / table.len() as f64;
            let bound = boundary.look(information, obrien_fleming(information, 0.05));
            near("bound", bound, *expected, 6e-4);
        }
    }
}

#[test]
fn one_look_spends_all_and_nothing_left_is_never_reached() {
    let mut boundary = Boundary::default();
    near("all at once", boundary.look(40.0, 0.05), 1.959_964, 1e-5);
    assert_eq!(boundary.look(50.0, 0.05), f64::INFINITY, "nothing is left");
    assert_eq!(boundary.look(50.0, 0.06), f64::INFINITY, "no unit is new");
    assert_eq!(obrien_fleming(0.0, 0.05), 0.0);
    near("in the end all", obrien_fleming(1.0, 0.05), 0.05, 1e-12);
}

#[test]
fn what_is_spent_is_how_often_paths_without_a_difference_cross() {
    let (looks, alpha) = (5, 0.05);
    let mut boundary = Boundary::default();
    let bounds: Vec<f64> = (1..=looks)
        .map(|look| {
            let information = f64::from(look) / f64::from(looks);
            boundary.look(information, alpha * information)
        })
        .collect();
    let mut rng = Rng::new(5);
    let paths = 20_000;
    let crossed = (0..paths)
        .filter(|_| {
            let mut sum = 0.0;
            (1..).zip(&bounds).any(|(look, bound)| {
                sum += normal(&mut rng);
                sum.abs() / f64::from(look).sqrt() > *bound
            })
        })
        .count();
    near("crossed", crossed as f64 / f64::from(paths), alpha, 0.005);
}

#[test]
fn an_estimate_has_the_textbook_mean_and_error() {
    let mut rng = Rng::new(1);
    let one = estimate(Units::Single(&[1.0, 2.0, 3.0, 6.0]), 100, &mut rng).unwrap();
    near("mean", one.value, 3.0, 1e-12);
    near("error", one.error, (14.0_f64 / 3.0 / 4.0).sqrt(), 1e-12);
    near("deviation", one.deviation(), (14.0_f64 / 3.0).sqrt(), 1e-12);
    // Few units: Student's interval.
    near("low", one.low, 3.0 - 3.182_446 * one.error, 1e-5);
    let groups = [vec![1.0, 3.0], vec![4.0, 4.0, 4.0], vec![6.0]];
    let nested = estimate(Units::Nested(&groups), 100, &mut rng).unwrap();
    near("mean of means", nested.value, 4.0, 1e-12);
    near("error of means", nested.error, (4.0_f64 / 3.0).sqrt(), 1e-12);
    // Welch's own form: se^2 = 1/3 + 4/3, degrees by Satterthwaite.
    let (a, b) = ([1.0, 2.0, 3.0], [5.0, 7.0, 9.0]);
    let two = estimate(Units::Separate(&a, &b), 100, &mut rng).unwrap();
    near("difference", two.value, 5.0, 1e-12);
    near("error", two.error, (5.0_f64 / 3.0).sqrt(), 1e-12);
    near("degrees", two.degrees, (25.0 / 9.0) / (1.0 / 18.0 + 16.0 / 18.0), 1e-9);
}

#[test]
fn what_is_no_sample_has_no_estimate_and_what_does_not_vary_no_width() {
    let mut rng = Rng::new(1);
    let mut none = |units| assert_eq!(estimate(units, 100, &mut rng), None);
    none(Units::Single(&[1.0]));
    none(Units::Single(&[1.0, f64::NAN, 2.0]));
    none(Units::Separate(&[1.0, 2.0], &[3.0]));
    none(Units::Nested(&[vec![1.0], vec![]]));
    let same = estimate(Units::Single(&[2.5; 20]), 100, &mut rng).unwrap();
    assert_eq!((same.low, same.value, same.high), (2.5, 2.5, 2.5));
    assert_eq!(same.at_level(1e-6), (2.5, 2.5));
}

#[test]
fn at_another_level_the_interval_is_students_times_the_same_skew() {
    let mut rng = Rng::new(3);
    let values: Vec<f64> = (0..30).map(|_| normal(&mut rng)).collect();
    let estimate = estimate(Units::Single(&values), 4000, &mut rng).unwrap();
    assert_eq!(estimate.at_level(0.05), (estimate.low, estimate.high));
    let (low, high) = estimate.at_level(0.001);
    let stretch = student_critical(0.0005, 29.0) / student_critical(0.025, 29.0);
    near("low", (low - estimate.value) / (estimate.low - estimate.value), stretch, 1e-9);
    near("high", (high - estimate.value) / (estimate.high - estimate.value), stretch, 1e-9);
}

#[test]
fn one_odd_unit_widens_the_interval_and_does_not_blow_it_up() {
    let mut rng = Rng::new(7);
    // Differences of logarithms: 60 pairs at -5 %, each within some 1 %, and one at +100 %.
    for noise in [1e-2, 1e-4, 1e-8] {
        let mut pairs: Vec<f64> =
            (0..60).map(|_| 0.95_f64.ln() + noise * normal(&mut rng)).collect();
        pairs.push(2_f64.ln());
        let found = estimate(Units::Single(&pairs), RESAMPLES, &mut rng).unwrap();
        let reach = student_critical(0.025, 60.0) * found.error;
        near("as Student's", found.low, found.value - reach, 0.05 * reach);
        near("as Student's", found.high, found.value + reach, 0.5 * reach);
        let (low, high) = (found.low.exp_m1(), found.high.exp_m1());
        assert!(-0.1 < low && high < 0.05, "{low} to {high}");
        // The same of starts, one of which was odd.
        let starts: Vec<Vec<f64>> = pairs.iter().map(|pair| vec![*pair; 3]).collect();
        let nested = estimate(Units::Nested(&starts), 1000, &mut rng).unwrap();
        assert!(nested.low > -0.1 && nested.high < 0.05, "{nested:?}");
        let runs = [&pairs[..12], &pairs[60..]].concat();
        let separate = estimate(Units::Separate(&runs, &pairs[12..24]), 1000, &mut rng).unwrap();
        assert!(separate.low > -0.4 && separate.high < 0.4, "{separate:?}");
    }
}

/// The share of `rounds` samples whose 95 % interval covers `truth`.
fn covered(
    rounds: u32,
    truth: f64,
    resamples: u32,
    mut draw: impl FnMut(&mut Rng) -> Vec<Vec<f64>>,
    units: impl Fn(&[Vec<f64>]) -> Units<'_>,
) -> f64 {
    let mut rng = Rng::new(2024);
    let hits = (0..rounds)
        .filter(|_| {
            let sample = draw(&mut rng);
            let found = estimate(units(&sample), resamples, &mut rng).unwrap();
            found.low <= truth && truth <= found.high
        })
        .count();
    hits as f64 / f64::from(rounds)
}

/// Rounds and resamples of the coverage tests: few in a debug build, the real numbers where
/// `WRING_PROOFS` asks for them (scripts/compare-proofs). The bars are the same for both: every seed
/// is fixed, so that a run that passed once passes always.
pub(crate) fn effort(full: (u32, u32), quick: (u32, u32)) -> (u32, u32) {
    if std::env::var_os("WRING_PROOFS").is_some() { full } else { quick }
}

fn assert_covers(what: &str, share: f64) {
    println!("{what}: the interval covers the truth in {:.2} %", share * 100.0);
    assert!((0.93..=0.97).contains(&share), "{what}: covered {share}");
}

#[test]
fn intervals_of_pairs_cover_the_truth_as_often_as_they_say() {
    let (rounds, resamples) = effort((4000, RESAMPLES), (1000, 100));
    for count in [8, 12, 20, 60] {
        let normals = |rng: &mut Rng| vec![(0..count).map(|_| 3.0 + normal(rng)).collect()];
        let share = covered(rounds, 3.0, resamples, normals, |s| Units::Single(&s[0]));
        assert_covers(&format!("{count} normal pairs"), share);
    }
    // Differences of skewed values are symmetric and long-tailed.
    for count in [8, 20, 40] {
        let tailed =
            |rng: &mut Rng| vec![(0..count).map(|_| exponential(rng) - exponential(rng)).collect()];
        let share = covered(rounds, 0.0, resamples, tailed, |s| Units::Single(&s[0]));
        assert_covers(&format!("{count} long-tailed pairs"), share);
    }
    // One value in ten lies thirty deviations off: a few such pairs hide everything else, and the
    // interval errs on the careful side.
    let hiccups = |rng: &mut Rng| {
        let mut value = || if rng.chance_ppm(50_000) { -30.0 } else { 0.0 } + normal(rng);
        vec![(0..20).map(|_| value() - value()).collect()]
    };
    let share = covered(rounds, 0.0, resamples, hiccups, |s| Units::Single(&s[0]));
    println!("20 pairs with hiccups: the interval covers the truth in {:.2} %", share * 100.0);
    assert!(share >= 0.93, "20 pairs with hiccups: covered {share}");
    let skewed = |rng: &mut Rng| vec![(0..40).map(|_| exponential(rng)).collect()];
    let share = covered(rounds, 1.0, resamples, skewed, |s| Units::Single(&s[0]));
    assert_covers("40 skewed values", share);
}

#[test]
fn intervals_over_processes_cover_what_blocks_alone_miss() {
    let (rounds, resamples) = effort((4000, RESAMPLES), (1000, 100));
    // Each process has a place of its own, as far from the others as blocks are from each other.
    let draw = |processes: usize| {
        move |rng: &mut Rng| -> Vec<Vec<f64>> {
            (0..processes)
                .map(|_| {
                    let place = normal(rng);
                    (0..8).map(|_| place + normal(rng)).collect()
                })
                .collect()
        }
    };
    for processes in [4, 6, 10] {
        let share = covered(rounds, 0.0, resamples, draw(processes), |s| Units::Nested(s));
        assert_covers(&format!("{processes} processes of 8 blocks"), share);
    }
    let flat = |rng: &mut Rng| vec![draw(6)(rng).concat()];
    let share = covered(rounds, 0.0, resamples, flat, |s| Units::Single(&s[0]));
    assert!(share < 0.75, "blocks of one process are no independent units: {share}");
}

#[test]
fn intervals_between_two_samples_cover_the_truth_also_when_they_scatter_differently() {
    let (rounds, resamples) = effort((4000, RESAMPLES), (1000, 100));
    for (count_a, count_b, spread_b) in [(5, 5, 1.0), (8, 8, 1.0), (10, 20, 3.0)] {
        let draw = |rng: &mut Rng| {
            let a = (0..count_a).map(|_| normal(rng)).collect();
            vec![a, (0..count_b).map(|_| 1.0 + spread_b * normal(rng)).collect()]
        };
        let share = covered(rounds, 1.0, resamples, draw, |s| Units::Separate(&s[0], &s[1]));
        assert_covers(&format!("{count_a} and {count_b} runs"), share);
    }
}

#[test]
fn signed_ranks_have_the_published_p_values() {
    // All of one sign: 2 of 2^n outcomes.
    let rising: Vec<f64> = (1..=10).map(f64::from).collect();
    near("all positive", signed_rank(&rising), 2.0 / 1024.0, 1e-12);
    let falling: Vec<f64> = rising.iter().map(|d| -d).collect();
    near("all negative", signed_rank(&falling), 2.0 / 1024.0, 1e-12);
    // Tables of the statistic: for n = 10, P(W <= 8) = 0.0244 and P(W <= 10) = 0.0420.
    let with_negative = |ranks: &[u32]| -> Vec<f64> {
        (1..=10).map(|n| if ranks.contains(&n) { -f64::from(n) } else { f64::from(n) }).collect()
    };
    near("W = 8", signed_rank(&with_negative(&[3, 5])), 2.0 * 0.0244, 1e-4);
    near("W = 10", signed_rank(&with_negative(&[1, 2, 3, 4])), 2.0 * 0.0420, 1e-4);
    near("size does not count", signed_rank(&[1.0, 2.0, -1e9]), 1.0, 1e-12);
    assert_eq!(signed_rank(&[]), 1.0);
    assert_eq!(signed_rank(&[0.0; 20]), 1.0);
    // The normal distribution takes over without a step.
    let mut rng = Rng::new(6);
    for shift in [0.0, 0.2, 0.5] {
        let mut values: Vec<f64> = (0..60).map(|_| shift + normal(&mut rng)).collect();
        let exact = signed_rank(&values);
        values.push(1e-9);
        let approximate = signed_rank(&values);
        assert!((exact - approximate).abs() < 0.05 * exact + 1e-4, "{exact} {approximate}");
    }
}

#[test]
fn as_many_units_as_are_said_to_be_needed_reach_as_far_as_was_asked() {
    // 1 % noise to a hundredth of the mean with 80 % power: (1.96 + 0.84)^2 units a side.
    assert_eq!(units_needed(1.0, 1.0, normal_critical(0.025)), 8);
    assert_eq!(units_needed(2.0, 1.0, normal_critical(0.025)), 32);
    assert_eq!(units_needed(1.0, 0.0, 2.0), u64::MAX);
    assert_eq!(units_needed(0.0, 1.0, 2.0), 0);
    // The claim itself: a true difference as large as the gap is found in 80 % of the samples.
    let critical = normal_critical(0.025);
    let count = units_needed(1.0, 0.3, critical);
    let mut rng = Rng::new(9);
    let found = (0..4000)
        .filter(|_| {
            let sum: f64 = (0..count).map(|_| 0.3 + normal(&mut rng)).sum();
            sum / (count as f64).sqrt() > critical
        })
        .count();
    near("power", found as f64 / 4000.0, 0.8, 0.02);
}
