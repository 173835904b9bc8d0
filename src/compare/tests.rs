//! The verdict on simulated comparisons whose truth is known, and its parts by hand.
//!
//! The simulated ones are run by the same `Race` and `Order` as real ones. A debug build runs some of
//! them; scripts/compare-proofs all.

use super::*;
use crate::result::{Asked, Manifest, RunResult, Schedule, ServerCost};
use crate::stats::{Estimate, RESAMPLES, Units, estimate};

/// A standard normal value (Box and Muller).
fn normal(rng: &mut Rng) -> f64 {
    let uniform = |rng: &mut Rng| ((rng.next_u64() >> 11) + 1) as f64 / (1_u64 << 53) as f64;
    let (radius, angle) = (uniform(rng), uniform(rng));
    (-2.0 * radius.ln()).sqrt() * (2.0 * std::f64::consts::PI * angle).cos()
}

/// Comparisons and resamples: the first where `WRING_PROOFS` asks for the whole proof. Every seed is
/// fixed, so a run that passed once passes always.
fn effort(full: u32, quick: u32) -> (u32, u32) {
    if std::env::var_os("WRING_PROOFS").is_some() { (full, RESAMPLES) } else { (quick, 40) }
}

/// What the blocks of a simulated comparison are like.
#[derive(Clone, Copy)]
struct World {
    /// By how much B's logarithm lies above A's.
    effect: f64,
    /// Standard deviation of a block's logarithm.
    noise: f64,
    /// One block in twenty is so much slower, whatever its side.
    hiccup: f64,
    /// How long the tail of slow blocks is: the mean of an exponential share.
    tail: f64,
    /// What both lose from the first to the last block.
    drift: f64,
    pairs: u64,
}

const CALM: World =
    World { effect: 0.0, noise: 0.01, hiccup: 0.0, tail: 0.0, drift: 0.0, pairs: 60 };

impl World {
    fn block(&self, side: f64, number: u64, rng: &mut Rng) -> f64 {
        let passed = number as f64 / (2 * self.pairs) as f64;
        let hiccup = if rng.chance_ppm(50_000) { self.hiccup } else { 0.0 };
        let slow = hiccup + self.tail * rng.exponential(1_000_000) as f64 / 1e6;
        side * self.effect - self.drift * passed - slow + self.noise * normal(rng)
    }

    /// The rules of its comparisons, whose bounds are worked out once.
    fn race(&self, resamples: u32) -> Race {
        let rules = Rules {
            metric: Metric::RequestsPerS,
            margin: 0.01,
            layout: Layout::Pairs,
            units_max: self.pairs,
            resamples,
        };
        Race::new(rules, 1)
    }

    /// One comparison until it stops by itself or all pairs are used up.
    fn compare(&self, seed: u64, race: &Race) -> Look {
        let (mut order, mut rng) = (Order::new(seed), Rng::new(seed));
        let mut race = race.reseeded(!seed);
        let mut differences = Vec::new();
        for pair in 0.. {
            let first_is_a = order.reference_first();
            let first = self.block(if first_is_a { 0.0 } else { 1.0 }, 2 * pair, &mut rng);
            let second = self.block(if first_is_a { 1.0 } else { 0.0 }, 2 * pair + 1, &mut rng);
            differences.push(if first_is_a { second - first } else { first - second });
            let count = differences.len() as u64;
            if !race.is_look(count) {
                continue;
            }
            let look = race.look(std::slice::from_ref(&differences), count == self.pairs).unwrap();
            if look.word != Word::Undecided || count == self.pairs {
                return look;
            }
        }
        unreachable!("the last pair ends it")
    }

    fn one(&self) -> Look {
        self.compare(1, &self.race(500))
    }

    /// All looks at which `count` comparisons stopped.
    fn many(&self, count: u32, resamples: u32) -> Vec<Look> {
        let race = self.race(resamples);
        (0..u64::from(count)).map(|seed| self.compare(seed * 7919 + 1, &race)).collect()
    }
}

fn share(looks: &[Look], is: impl Fn(&Look) -> bool) -> f64 {
    looks.iter().filter(|look| is(look)).count() as f64 / looks.len() as f64
}

/// The whole proof holds the share of false alarms to one in a hundred. Of a few hundred comparisons
/// two in a hundred are allowed, several times what is spent; looks at 5 % each find ten and more.
fn false_alarms_max(count: u32) -> f64 {
    if count >= 1000 { 0.01 } else { 0.02 }
}

fn is_told_apart(look: &Look) -> bool {
    matches!(look.word, Word::Faster | Word::Slower)
}

#[test]
fn a_side_is_told_apart_from_itself_in_at_most_one_comparison_of_a_hundred() {
    let (count, resamples) = effort(1000, 200);
    let noisy = World { noise: 0.05, ..CALM };
    let tailed = World { noise: 0.001, tail: 0.02, ..CALM };
    let hiccups = World { hiccup: 0.3, ..CALM };
    let drift = World { drift: 0.1, ..CALM };
    let (short, long) = (World { pairs: 8, ..noisy }, World { pairs: 120, ..noisy });
    for (what, world) in [
        ("1 %", CALM),
        ("5 %", noisy),
        ("5 %, 8 pairs", short),
        ("5 %, 120 pairs", long),
        ("long-tailed", tailed),
        ("long-tailed, 8 pairs", World { pairs: 8, ..tailed }),
        ("hiccups", hiccups),
        ("hiccups, 30 pairs", World { pairs: 30, ..hiccups }),
        ("drift of 10 %", drift),
        ("drift and hiccups", World { hiccup: 0.3, ..drift }),
    ] {
        let looks = world.many(count, resamples);
        let told = share(&looks, is_told_apart);
        println!(
            "A = A, {what}: told apart in {:.2} % of {count}, same in {:.0} %, after {:.0} pairs",
            told * 100.0,
            share(&looks, |look| look.word == Word::Same) * 100.0,
            looks.iter().map(|look| look.estimate.units as f64).sum::<f64>() / looks.len() as f64,
        );
        assert!(told <= false_alarms_max(count), "{what}: {told}");
    }
}

#[test]
fn two_percent_are_found_among_one_percent_of_noise() {
    let (count, resamples) = effort(1000, 100);
    for (effect, word) in [(-0.02, Word::Slower), (0.02, Word::Faster)] {
        let looks = World { effect, ..CALM }.many(count, resamples);
        let found = share(&looks, |look| look.word == word);
        let pairs: usize = looks.iter().map(|look| look.estimate.units).sum();
        println!(
            "{effect}: {} in {:.1} % of {count}, after {:.0} pairs",
            word.name(),
            found * 100.0,
            pairs as f64 / looks.len() as f64
        );
        assert!(found >= 0.8, "{effect}: {found}");
    }
}

#[test]
fn the_interval_covers_the_truth_although_the_data_decided_when_to_stop() {
    let (count, resamples) = effort(1000, 100);
    for (effect, noise) in [(0.0, 0.02), (0.01, 0.02), (0.03, 0.02), (0.02, 0.01)] {
        let looks = World { effect, noise, ..CALM }.many(count, resamples);
        let covered =
            share(&looks, |look| look.estimate.low <= effect && effect <= look.estimate.high);
        println!("{effect} in {noise}: covered in {:.1} % of {count}", covered * 100.0);
        assert!(covered >= 0.93, "{effect} in {noise}: {covered}");
    }
}

#[test]
fn drift_that_hits_both_sides_fools_the_naive_comparison_and_not_this_one() {
    let (count, resamples) = effort(1000, 60);
    let world = World { drift: 0.1, ..CALM };
    let looks = world.many(count, resamples);
    let told = share(&looks, is_told_apart);
    let covered = share(&looks, |look| look.estimate.low <= 0.0 && look.estimate.high >= 0.0);
    println!("drift: told apart in {:.2} % of {count}, covered {covered}", told * 100.0);
    assert!(told <= false_alarms_max(count), "{told}");
    assert!(covered >= 0.93, "{covered}");
    // The same blocks one side after the other, as by hand.
    let mut rng = Rng::new(1);
    let fooled = (0..20).filter(|_| {
        let a: Vec<f64> = (0..60).map(|n| world.block(0.0, n, &mut rng)).collect();
        let b: Vec<f64> = (60..120).map(|n| world.block(1.0, n, &mut rng)).collect();
        let naive = estimate(Units::Separate(&a, &b), 200, &mut rng).unwrap();
        judge(Metric::RequestsPerS, (naive.low, naive.high), 0.01) == Word::Slower
    });
    assert_eq!(fooled.count(), 20, "back to back, drift looks like a slower side");
}

/// How starts of one build differ from each other.
#[derive(Clone, Copy, Debug)]
enum Starts {
    /// Each lands somewhere around the mean.
    Scattered,
    /// At one of two speeds, tight around each: memory lay well, or it did not.
    TwoSpeeds,
    /// One in twenty is far off.
    Outliers,
}

/// The differences of one pair of starts: twelve pairs of blocks, which scatter by 1 %.
fn start(starts: Starts, rng: &mut Rng) -> Vec<f64> {
    let mut place = || match starts {
        Starts::Scattered => 0.03 * normal(rng),
        Starts::TwoSpeeds => f64::from(u8::from(rng.chance_ppm(500_000))) * 0.1,
        Starts::Outliers => 0.005 * normal(rng) - if rng.chance_ppm(50_000) { 0.3 } else { 0.0 },
    };
    let place = place() - place();
    (0..12).map(|_| place + 0.014 * normal(rng)).collect()
}

#[test]
fn processes_that_differ_by_themselves_are_not_taken_for_builds_that_differ() {
    let (count, resamples) = effort(1000, 200);
    let (metric, margin) = (Metric::RequestsPerS, 0.01);
    // Start after start, with all looks on the way; then all pairs as if they were one process.
    let told = |layout: Layout, starts: Starts, processes: u64| {
        let is_nested = layout == Layout::Processes;
        let units_max = if is_nested { processes } else { 12 * processes };
        let race = Race::new(Rules { metric, margin, layout, units_max, resamples }, 1);
        let told = (0..u64::from(count)).filter(|seed| {
            let mut rng = Rng::new(seed * 7919 + 1);
            let mut race = race.reseeded(!seed);
            let mut groups = Vec::new();
            for process in 1..=processes {
                groups.push(start(starts, &mut rng));
                let is_last = process == processes;
                let look = match is_nested {
                    true if race.is_look(process) => race.look(&groups, is_last),
                    false if is_last => race.look(&[groups.concat()], true),
                    _ => None,
                };
                if let Some(look) = look.filter(|look| look.word != Word::Undecided) {
                    return is_told_apart(&look);
                }
            }
            false
        });
        told.count() as f64 / f64::from(count)
    };
    for starts in [Starts::Scattered, Starts::TwoSpeeds, Starts::Outliers] {
        for processes in [3, 6, 10] {
            let nested = told(Layout::Processes, starts, processes);
            println!("{starts:?}, {processes} starts: told apart in {:.2} %", nested * 100.0);
            assert!(nested <= false_alarms_max(count), "{starts:?}, {processes} starts: {nested}");
        }
    }
    let flat = told(Layout::Pairs, Starts::Scattered, 6);
    println!("Scattered, as if pairs were independent: told apart in {:.2} %", flat * 100.0);
    assert!(flat > 0.3, "{flat}");
}

#[test]
fn fewer_than_four_starts_or_runs_call_nothing_faster_or_slower() {
    let groups = |count: usize| -> Vec<Vec<f64>> {
        (0..count).map(|n| vec![-0.5 + 0.001 * n as f64; 4]).collect()
    };
    let (metric, margin, resamples) = (Metric::RequestsPerS, 0.01, 100);
    let look = |count: usize| {
        let layout = Layout::Processes;
        let rules = Rules { metric, margin, layout, units_max: count as u64, resamples };
        Race::new(rules, 1).look(&groups(count), true).unwrap()
    };
    assert_eq!((look(3).word, look(3).is_by_few), (Word::Undecided, true));
    assert_eq!((look(4).word, look(4).is_by_few), (Word::Slower, false));
    let runs = |count: usize| {
        let side = |base: f64| -> Vec<Block> {
            blocks(&(0..count).map(|n| (base + n as f64 / 10.0, 0.0)).collect::<Vec<_>>())
        };
        let terms = Terms { metric, margin, layout: Layout::Runs, alpha: FALSE_ALARM };
        against(&side(1000.0), &side(500.0), &terms, &mut Rng::new(1))
    };
    assert_eq!((runs(3).word, runs(3).is_by_few, runs(3).more), (Word::Undecided, true, Some(1)));
    assert_eq!((runs(4).word, runs(4).is_by_few, runs(4).more), (Word::Slower, false, None));
}

#[test]
fn stored_runs_of_one_server_are_told_apart_in_at_most_one_comparison_of_a_hundred() {
    let count = effort(1000, 400).0;
    let terms = Terms {
        metric: Metric::RequestsPerS,
        margin: 0.01,
        layout: Layout::Runs,
        alpha: FALSE_ALARM,
    };
    let mut rng = Rng::new(11);
    for (what, is_tailed) in [("normal", false), ("long-tailed", true)] {
        for runs in [4, 6] {
            let mut side = || {
                let mut off = || match is_tailed {
                    true => -0.03 * rng.exponential(1_000_000) as f64 / 1e6,
                    false => 0.03 * normal(&mut rng),
                };
                blocks(&(0..runs).map(|_| (off().exp(), 0.0)).collect::<Vec<_>>())
            };
            let told = (0..count).filter(|_| {
                let found = against(&side(), &side(), &terms, &mut Rng::new(1));
                matches!(found.word, Word::Faster | Word::Slower)
            });
            let told = told.count() as f64 / f64::from(count);
            println!("{runs} and {runs} {what} runs: told apart in {:.2} %", told * 100.0);
            assert!(told <= false_alarms_max(count), "{what}, {runs}: {told}");
        }
    }
}

#[test]
fn looks_come_at_tenths_of_the_plan_but_not_before_there_is_something_to_see() {
    let looks = |layout, units_max| -> Vec<u64> {
        let metric = Metric::P99;
        let rules = Rules { metric, margin: 0.01, layout, units_max, resamples: 100 };
        let race = Race::new(rules, 1);
        (1..=units_max).filter(|units| race.is_look(*units)).collect()
    };
    assert_eq!(looks(Layout::Pairs, 100), [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
    assert_eq!(looks(Layout::Pairs, 20), [8, 10, 12, 14, 16, 18, 20]);
    assert_eq!(looks(Layout::Pairs, 5), [5]);
    assert_eq!(looks(Layout::Processes, 6), [5, 6]);
    assert_eq!(looks(Layout::Processes, 3), [3]);
}

#[test]
fn what_is_plain_is_said_at_the_first_look_and_an_early_look_asks_for_more() {
    let plain = World { effect: -0.2, ..CALM }.one();
    assert_eq!((plain.word, plain.estimate.units), (Word::Slower, 12));
    assert!(plain.alpha < 1e-3, "{}", plain.alpha);
    let unclear = World { noise: 0.3, ..CALM }.one();
    assert_eq!((unclear.word, unclear.estimate.units), (Word::Undecided, 60));
    assert!(unclear.alpha > 1e-3 && unclear.alpha < FALSE_ALARM, "{}", unclear.alpha);
}

#[test]
fn words_follow_from_where_the_interval_lies() {
    let rps = |low, high| judge(Metric::RequestsPerS, (low, high), 0.01);
    assert_eq!(rps(-0.009, 0.009), Word::Same);
    assert_eq!(rps(0.002, 0.009), Word::Same, "different, but by less than counts");
    assert_eq!(rps(0.002, 0.02), Word::Faster);
    assert_eq!(rps(-0.05, -0.03), Word::Slower);
    assert_eq!(rps(-0.01, 0.005), Word::Undecided);
    let p99 = |low, high| judge(Metric::P99, (low, high), 0.01);
    assert_eq!(p99(0.03, 0.05), Word::Slower, "a longer wait is worse");
    assert_eq!(p99(-0.05, -0.03), Word::Faster);
}

/// Blocks with these requests per second and failed shares.
fn blocks(values: &[(f64, f64)]) -> Vec<Block> {
    let block = |(number, &(rps, failed)): (usize, &(f64, f64))| Block {
        process: (number / 3) as u32,
        requests_per_s: Some(rps),
        failed_share: Some(failed),
        ..Block::default()
    };
    values.iter().enumerate().map(block).collect()
}

#[test]
fn ratios_are_of_geometric_means_and_shares_are_subtracted() {
    let a = blocks(&[(100.0, 0.0), (200.0, 0.0), (400.0, 0.0)]);
    let b = blocks(&[(110.0, 0.02), (220.0, 0.01), (440.0, 0.03)]);
    let mut rng = Rng::new(1);
    let found = difference(Metric::RequestsPerS, &a, &b, Layout::Pairs, &mut rng).unwrap();
    assert!((found.reference - 200.0).abs() < 1e-9 && (found.other - 220.0).abs() < 1e-9);
    assert!((found.relative() - 0.1).abs() < 1e-9);
    let (low, high) = found.interval().unwrap();
    assert!((low - 0.1).abs() < 1e-9 && (high - 0.1).abs() < 1e-9, "pairs agree exactly");
    let runs = difference(Metric::RequestsPerS, &a, &b, Layout::Runs, &mut rng).unwrap();
    assert!(runs.interval().unwrap().0 < -0.5, "as runs they scatter");
    let uneven = [&a[..], &blocks(&[(50.0, 0.0)])].concat();
    let uneven: Vec<Block> =
        (0..).zip(uneven).map(|(n, b)| Block { process: n / 3, ..b }).collect();
    let twice = uneven.iter().map(|block| Block {
        requests_per_s: block
            .requests_per_s
            .map(|rps| rps * if block.process == 0 { 2.0 } else { 0.5 }),
        ..*block
    });
    let twice: Vec<Block> = twice.collect();
    let layout = Layout::Processes;
    let found = difference(Metric::RequestsPerS, &uneven, &twice, layout, &mut rng).unwrap();
    assert!((found.reference - 100.0).abs() < 1e-9, "of 200 and 50, however many blocks");
    assert!(found.relative().abs() < 1e-9 && (found.other - 100.0).abs() < 1e-9);
    let failed = difference(Metric::Failed, &a, &b, Layout::Pairs, &mut rng).unwrap();
    assert_eq!((failed.reference, failed.other, failed.relative()), (0.0, 0.02, 0.02));
    assert_eq!(difference(Metric::P50, &a, &b, Layout::Pairs, &mut rng), None, "not known");
}

/// A block with this p99 in milliseconds, if it is known, and this share of failures.
fn late(p99_ms: Option<f64>, failed: f64) -> Block {
    let latency_ns = [Some(1e6), Some(1e6), p99_ms.map(|ms| ms * 1e6), None];
    Block { latency_ns, failed_share: Some(failed), ..Block::default() }
}

#[test]
fn where_a_percentile_is_not_known_the_pair_is_left_out_and_counted_by_cause() {
    let a: Vec<Block> = (0..12).map(|n| late(Some(2.0 + 0.001 * f64::from(n)), 0.0)).collect();
    let mut b: Vec<Block> = (0..12).map(|n| late(Some(3.0 + 0.001 * f64::from(n)), 0.0)).collect();
    // Two per cent failed, so that p99 lies among them; and too few requests once.
    (b[3], b[7]) = (late(None, 0.02), late(None, 0.0));
    let terms = Terms { metric: Metric::P99, margin: 0.01, layout: Layout::Pairs, alpha: SHOWN };
    let found = against(&a, &b, &terms, &mut Rng::new(1));
    let unknown = Unknown { metric: Metric::P99, units: 2, by_failures: 1, of: 12 };
    assert_eq!(found.unknown, [unknown]);
    assert_eq!((found.word, found.is_little_known(Metric::P99)), (Word::Slower, false));
    let of = |metric| found.differences.iter().find(|d| d.metric == metric);
    let p99 = of(Metric::P99).unwrap();
    assert_eq!(p99.estimate.unwrap().units, 10);
    assert!((p99.reference - 2e6).abs() < 1e4 && (p99.relative() - 0.5).abs() < 0.01);
    // What failed is compared everywhere.
    assert_eq!(of(Metric::Failed).unwrap().estimate.unwrap().units, 12);
    assert!(of(Metric::P999).is_none(), "known nowhere");
    let processes = Terms { layout: Layout::Processes, ..terms };
    let one_each = |side: &[Block]| -> Vec<Block> {
        (0..).zip(side).map(|(process, block)| Block { process, ..*block }).collect()
    };
    let found = against(&one_each(&a), &one_each(&b), &processes, &mut Rng::new(1));
    let units = found.differences.iter().find(|d| d.metric == Metric::P99).unwrap();
    assert_eq!(units.estimate.unwrap().units, 10, "a process without a value is none");
}

#[test]
fn what_is_known_in_less_than_half_decides_nothing() {
    let a: Vec<Block> = (0..20).map(|n| late(Some(2.0 + 0.001 * f64::from(n)), 0.0)).collect();
    let mut b: Vec<Block> = (0..20).map(|n| late(Some(1.0 + 0.001 * f64::from(n)), 0.0)).collect();
    b[..11].fill(late(None, 0.02));
    let terms = Terms { metric: Metric::P99, margin: 0.01, layout: Layout::Pairs, alpha: SHOWN };
    let found = against(&a, &b, &terms, &mut Rng::new(1));
    assert_eq!((found.word, found.more), (Word::Undecided, None), "the blocks that were better");
    assert!(found.is_little_known(Metric::P99) && !found.is_by_few);
    // Nowhere at all is no reason to give up either.
    b.fill(late(None, 0.02));
    let found = against(&a, &b, &terms, &mut Rng::new(1));
    assert_eq!((found.word, found.unknown[0].units), (Word::Undecided, 20));
    assert!(found.differences.iter().all(|d| d.metric != Metric::P99));
    assert!(found.differences.iter().any(|d| d.metric == Metric::Failed));
    // Of another metric it is just not shown.
    let other = Terms { metric: Metric::Failed, ..terms };
    assert!(against(&a, &b, &other, &mut Rng::new(1)).unknown.is_empty());
}

#[test]
fn shares_differ_by_no_more_than_the_whole() {
    let (a, b) = (blocks(&[(1.0, 0.0), (1.0, 0.9)]), blocks(&[(1.0, 1.0), (1.0, 1.0)]));
    let failed = difference(Metric::Failed, &a, &b, Layout::Pairs, &mut Rng::new(1)).unwrap();
    assert!((failed.relative() - 0.55).abs() < 1e-9);
    assert_eq!(failed.interval(), Some((-1.0, 1.0)), "two pairs know nothing more");
}

#[test]
fn one_run_a_side_has_a_difference_and_no_interval() {
    let (a, b) = (blocks(&[(100.0, 0.0)]), blocks(&[(90.0, 0.0)]));
    let terms =
        Terms { metric: Metric::RequestsPerS, margin: 0.01, layout: Layout::Runs, alpha: SHOWN };
    let found = against(&a, &b, &terms, &mut Rng::new(1));
    assert_eq!((found.word, found.more), (Word::Undecided, None));
    assert!((found.differences[0].relative() + 0.1).abs() < 1e-9);
    assert_eq!(found.differences[0].interval(), None);
}

#[test]
fn as_many_pairs_more_as_are_told_decide_most_comparisons() {
    let mut rng = Rng::new(4);
    let pairs = |count: usize, rng: &mut Rng| -> (Vec<Block>, Vec<Block>) {
        let side = |effect: f64, rng: &mut Rng| -> Vec<(f64, f64)> {
            (0..count).map(|_| ((effect + 0.02 * normal(rng)).exp(), 0.0)).collect()
        };
        (blocks(&side(0.0, rng)), blocks(&side(-0.015, rng)))
    };
    // What 20 pairs with 2 % of noise on each side and 1.5 % between them look like on average.
    let (a, b) = pairs(20, &mut rng);
    let seen = difference(Metric::RequestsPerS, &a, &b, Layout::Pairs, &mut rng).unwrap();
    let error = 0.02 * (2.0_f64 / 20.0).sqrt();
    let estimate = Estimate { value: -0.015, error, ..seen.estimate.unwrap() };
    let typical = Difference { estimate: Some(estimate), ..seen };
    let more = units_more(&typical, FALSE_ALARM, 0.01, Layout::Pairs).unwrap();
    let count = 20 + more as usize;
    assert!((40..100).contains(&count), "{count}");
    let decided = (0..50).filter(|_| {
        let (a, b) = pairs(count, &mut rng);
        let found = difference(Metric::RequestsPerS, &a, &b, Layout::Pairs, &mut rng).unwrap();
        let interval = found.interval_at(FALSE_ALARM).unwrap();
        judge(Metric::RequestsPerS, interval, 0.01) != Word::Undecided
    });
    let decided = decided.count();
    assert!(decided >= 35, "{decided} of 50 with {count} pairs");
}

#[test]
fn the_order_is_random_balanced_and_the_same_for_the_same_seed() {
    let orders = |seed| -> Vec<bool> {
        let mut order = Order::new(seed);
        (0..400).map(|_| order.reference_first()).collect()
    };
    let order = orders(1);
    assert_eq!(order, orders(1));
    assert_ne!(order, orders(2));
    assert!(order.chunks(2).all(|two| two[0] != two[1]), "ABBA or BAAB");
    let begun_by_a = order.chunks(2).filter(|two| two[0]).count();
    assert!((70..130).contains(&begun_by_a), "{begun_by_a} of 200");
}

#[test]
fn a_warm_up_is_over_when_the_later_half_is_no_higher_than_the_earlier() {
    let warming = |blocks: u32| (0..blocks).map(|n| -0.5 * (-f64::from(n) / 3.0).exp()).collect();
    let rising: Vec<f64> = warming(8);
    assert!(!is_steady(&rising));
    assert!(!is_steady(&rising[..5]), "too few to tell");
    let warm: Vec<f64> = warming(30);
    assert!(is_steady(&warm));
    let mut rng = Rng::new(8);
    let noisy: Vec<f64> = (0..6).map(|_| 0.2 * normal(&mut rng)).collect();
    assert!(is_steady(&noisy), "noise is no drift");
}

fn result(change: impl Fn(&mut RunResult)) -> RunResult {
    let mut result = RunResult {
        asked: Asked {
            url: "http://127.0.0.1:8081/a".to_owned(),
            connections: 64,
            depth: 1,
            request_bytes: 60,
            request_hash: 1,
            ..Asked::default()
        },
        manifest: Manifest {
            kernel: Some("6.1".to_owned()),
            backend: "uring (single_issuer)".to_owned(),
            ..Manifest::default()
        },
        ..RunResult::default()
    };
    change(&mut result);
    result
}

#[test]
fn results_that_differ_in_more_than_the_target_are_told_apart_by_name() {
    let base = result(|_| {});
    assert!(unlike(&base, &base).is_empty());
    let check = |change: &dyn Fn(&mut RunResult), expected: &str| {
        let found = unlike(&base, &result(change));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(expected), "{found:?}");
    };
    check(&|r| r.manifest.kernel = None, "kernel: 6.1 and unknown");
    check(&|r| r.manifest.cpu_model = Some("x".to_owned()), "CPU: unknown and x");
    check(&|r| r.asked.connections = 8, "connections: 64 and 8");
    check(&|r| r.asked.threads = 8, "threads: 0 and 8");
    check(&|r| r.manifest.backend = "epoll (x)".to_owned(), "engine: uring and epoll");
    check(
        &|r| r.asked.requests_per_connection = Some(1),
        "requests per connection: without end and 1",
    );
    check(&|r| r.total.tls = Some(Default::default()), "TLS: none and without a handshake");
    check(&|r| r.asked.depth = 16, "pipeline depth: 1 and 16");
    check(&|r| r.asked.request_hash = 2, "request: 60 bytes (hash 0000000000000001) and");
    check(&|r| r.asked.schedule = Some(Schedule::default()), "rate: as fast as it goes and");
}

#[test]
fn the_host_alone_makes_no_other_request() {
    let base = result(|_| {});
    let other = |url: &str, bytes| {
        unlike(
            &base,
            &result(|r| {
                (r.asked.url, r.asked.request_hash) = (url.to_owned(), 2);
                r.asked.request_bytes = bytes;
            }),
        )
    };
    assert!(other("http://127.0.0.1:8082/a", 60).is_empty());
    assert!(other("http://h/a", 60 - 13).is_empty());
    assert_eq!(other("http://127.0.0.1:8082/a", 61).len(), 1, "more than the host differs");
    assert_eq!(other("http://127.0.0.1:8082/b", 60).len(), 1, "another path");
    assert_eq!(other("http://127.0.0.1:8081/a", 60).len(), 1, "the same host, another request");
}

#[test]
fn a_block_keeps_what_is_known_of_it() {
    use crate::record::Phase;
    let mut run = RunResult { window_ns: 500_000_000, ..RunResult::default() };
    run.total.phases[Phase::Window as usize].completed = 2000;
    run.total.latency.record(1_000_000, 1990);
    run.total.latency.record(5_000_000, 10);
    run.server = Some(ServerCost {
        of: crate::plan::ServerOf::Process(1),
        length_ns: 500_000_000,
        requests: 2000,
        cpu_ns: 4_000_000,
        resident_bytes: 0,
        switches_voluntary: 0,
        switches_forced: 0,
        processes: 1,
        threads: 1,
        lost_a_process: false,
    });
    let block = summarize(&run, 3);
    assert_eq!((block.process, block.requests_per_s), (3, Some(4000.0)));
    assert_eq!(block.server_cpu_ns, Some(2000.0));
    assert_eq!(block.failed_share, Some(0.0));
    assert_eq!(block.latency_ns[3], None, "two samples lie above p99.9");
    let near = |value: Option<f64>, ns: f64| (value.unwrap() / ns - 1.0).abs() < 0.01;
    assert!(near(block.latency_ns[0], 1e6) && near(block.latency_ns[2], 1e6));
    assert_eq!(unfit(&RunResult::default()), Some(Unfit::Empty));
    use crate::result::{Invalid, Verdict};
    let late = Invalid::OwnLag { p99_ns: 2, limit_ns: 1 };
    for (reasons, why) in [
        (vec![late.clone(), Invalid::Gap { gap_ns: 1 }], Disturbance::SentLate),
        (vec![Invalid::Gap { gap_ns: 1 }, late], Disturbance::StoodStill),
        (vec![Invalid::Starved { share: 0.5 }], Disturbance::Starved),
        (vec![Invalid::Suspended { suspended_ns: 1 }], Disturbance::Suspended),
        (vec![], Disturbance::NoWindow),
    ] {
        run.verdict = Verdict::Invalid(reasons);
        assert_eq!(unfit(&run), Some(Unfit::Disturbed(why)));
    }
}
