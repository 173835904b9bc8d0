//! Searches over targets whose capacity is known, with many seeds each.

use super::simulated::{Server, Service};
use super::*;
use crate::result::threshold::Threshold;
use crate::result::{Verdict, judge};
use crate::rng::Rng;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;
/// What a trial takes beside its load, in nanoseconds.
const AROUND_NS: u64 = 300 * MS;

fn claims(typed: &[&str]) -> Vec<Claim> {
    let of = |typed: &&str| Claim::of(Threshold::parse(typed).unwrap());
    typed.iter().map(of).chain([Claim::Steady]).collect()
}

fn config(typed: &[&str], budget_s: u64) -> Config {
    let claims = claims(typed);
    Config { claims, width: 0.01, budget_ns: budget_s * SECOND, with_curve: false }
}

/// A whole search; the end, and the time it took.
fn search(config: Config, server: &mut Server) -> (Capacity, Ended, u64) {
    let claims = config.claims.clone();
    let begin_ns = server.now_ns;
    let mut capacity = Capacity::new(config);
    loop {
        let elapsed_ns = server.now_ns - begin_ns;
        match capacity.next(elapsed_ns) {
            Next::Probe(length_ns) => capacity.probed(server.probe(length_ns)),
            Next::Trial(ask) => capacity.tried(&server.trial(&ask, &claims)),
            Next::Done(ended) => return (capacity, ended, elapsed_ns),
        }
        server.now_ns += AROUND_NS;
    }
}

fn server(service: Service, poisson: bool, seed: u64) -> Server {
    Server {
        service,
        poisson,
        pause: None,
        stall: None,
        rng: Rng::new(seed),
        now_ns: seed * 777 * MS,
    }
}

/// How many of `seeds` searches have the truth in their bracket, and the brackets' median width.
fn contained(
    truth_per_s: f64,
    config: &Config,
    seeds: u64,
    of: impl Fn(u64) -> Server,
) -> (u64, f64) {
    let mut inside = 0;
    let mut widths = Vec::new();
    for seed in 1..=seeds {
        let (capacity, _, elapsed_ns) = search(config.clone(), &mut of(seed));
        assert!(elapsed_ns <= config.budget_ns + 2 * SECOND, "seed {seed}: {elapsed_ns}");
        let (low, high) = capacity.bracket();
        let low = low.map_or(0.0, |point| point.rate_per_s);
        let high = high.map_or(f64::INFINITY, |point| point.rate_per_s);
        inside += u64::from(low <= truth_per_s && truth_per_s <= high);
        widths.push(high / low - 1.0);
    }
    widths.sort_by(f64::total_cmp);
    (inside, widths[widths.len() / 2])
}

fn check(inside: u64, seeds: u64, width: f64, width_max: f64) {
    assert!(inside * 100 >= seeds * 95, "{inside} of {seeds} brackets hold the truth");
    assert!(width <= width_max, "the brackets are {width} wide");
}

/// Share of the requests that wait at most `t` services at an M/D/1 queue (Erlang 1909).
fn waits_at_most(load: f64, t: f64) -> f64 {
    let mut factorial = 1.0;
    let terms = (0..=t.floor() as i32).map(|k| {
        factorial *= f64::from(k.max(1));
        let x = load * (f64::from(k) - t);
        x.powi(k) / factorial * (-x).exp()
    });
    (1.0 - load) * terms.sum::<f64>()
}

/// The load of an M/D/1 queue at which the 99th percentile of the latency is `limit` services.
fn load_of(limit: f64) -> f64 {
    let (mut low, mut high) = (0.01, 0.99);
    for _ in 0..50 {
        let middle = (low + high) / 2.0;
        let holds = waits_at_most(middle, limit - 1.0) > 0.99;
        if holds { low = middle } else { high = middle }
    }
    low
}

#[test]
fn the_closed_form_of_m_d_1_is_that_of_the_tables() {
    for (load, p99) in [(0.5, 4.336), (0.8, 11.356), (0.9, 22.898)] {
        let share = waits_at_most(load, p99 - 1.0);
        assert!((share - 0.99).abs() < 2e-4, "{load}: {share}");
    }
}

#[test]
fn the_bracket_holds_the_truth_of_m_m_1() {
    // p99 = ln(100) / (mu - lambda).
    let truth = 20_000.0 - 100_f64.ln() / 0.001;
    let config = config(&["p99<1ms"], 30);
    let of = |seed| server(Service::Exponential(MS / 20), true, seed);
    let (inside, width) = contained(truth, &config, 30, of);
    check(inside, 30, width, 0.3);
}

#[test]
fn the_bracket_holds_the_truth_of_m_d_1() {
    let truth = 5_000.0 * load_of(25.0);
    assert!((4_500.0..4_600.0).contains(&truth), "{truth}");
    let config = config(&["p99<5ms", "failed<0.1%"], 150);
    let of = |seed| server(Service::Constant(MS / 5), true, seed);
    let (inside, width) = contained(truth, &config, 40, of);
    check(inside, 40, width, 0.1);
}

#[test]
fn a_generator_that_stands_still_now_and_then_leaves_those_stretches_out() {
    // For 6 ms, longer than the limit, about 1 % of the time: judged with them, no rate near the
    // truth would hold.
    let truth = 5_000.0 * load_of(25.0);
    let config = config(&["p99<5ms"], 170);
    let of = |seed| Server {
        stall: Some((600 * MS, 6 * MS)),
        ..server(Service::Constant(MS / 5), true, seed)
    };
    let (inside, width) = contained(truth, &config, 20, of);
    check(inside, 20, width, 0.1);
}

#[test]
fn a_stretch_in_which_wring_was_late_is_left_out_with_the_one_after_it() {
    use super::trial::undisturbed;
    let late_ns = [0, MS, 2 * MS, 0, 0, 3 * MS];
    assert_eq!(undisturbed(&late_ns, Some(5 * MS)), [true, true, false, false, true, false]);
    assert_eq!(undisturbed(&late_ns, Some(50 * MS)), [true; 6]);
    assert_eq!(undisturbed(&late_ns, None), [true; 6]);
}

#[test]
fn the_bracket_of_a_hard_limit_is_narrow_whether_latency_or_only_failures_are_asked_for() {
    for typed in ["p99<25ms", "failed<0.1%"] {
        let config = config(&[typed], 150);
        for seed in 1..=20 {
            // Not a round number, so that no step lands on it.
            let mut server = server(Service::Constant(1_070_000 + seed * 997), false, seed);
            let truth = 1e9 / (1_070_000 + seed * 997) as f64;
            let (capacity, ended, _) = search(config.clone(), &mut server);
            let (low, high) = capacity.bracket();
            let (low, high) = (low.unwrap().rate_per_s, high.unwrap().rate_per_s);
            assert_eq!(ended, Ended::Narrow, "seed {seed}");
            assert!(high / low <= 1.0101, "{low} to {high}");
            // In the time of a trial a backlog that grows by less is not seen.
            assert!(low <= truth * 1.002 && truth <= high, "{low} to {high} for {truth}");
        }
    }
}

#[test]
fn a_pause_now_and_then_decides_nothing_by_itself_and_the_bracket_holds_the_truth() {
    // For 100 ms of every 5 s nothing is served. Whoever comes in the first (100 - 96 + 1) / (1 - load)
    // ms of a pause waits longer than 96 ms; 1 % of 5 s are 50 ms.
    let truth = 1_000.0 * (1.0 - 5.0 / 50.0);
    let config = config(&["p99<96ms"], 600);
    let paused = |seed| Server {
        pause: Some((5 * SECOND, 100 * MS)),
        ..server(Service::Constant(MS), false, seed)
    };
    let (inside, width) = contained(truth, &config, 20, paused);
    check(inside, 20, width, 0.6);
}

#[test]
fn an_objective_that_no_rate_meets_is_missed_and_one_that_all_meet_has_no_bound() {
    let mut slow = server(Service::Constant(10 * MS), false, 1);
    let (capacity, ended, _) = search(config(&["p99<5ms"], 120), &mut slow);
    assert_eq!(ended, Ended::Missed);
    assert!(capacity.bracket().0.is_none());
    // The closed loop found less than there is.
    let mut capacity = Capacity::new(config(&["p99<5ms"], 120));
    capacity.probed(1.0);
    let mut fast = server(Service::Constant(1_000), false, 1);
    let mut elapsed_ns = 0;
    let ended = loop {
        match capacity.next(elapsed_ns) {
            Next::Trial(ask) => {
                elapsed_ns += ask.length_ns + ask.lead_in_ns + AROUND_NS;
                let claims = capacity.claims().to_vec();
                capacity.tried(&fast.trial(&ask, &claims));
            }
            Next::Probe(_) => panic!("probed twice"),
            Next::Done(ended) => break ended,
        }
    };
    assert!(matches!(ended, Ended::Unbounded | Ended::TimeUp), "{ended:?}");
    assert!(capacity.bracket().1.is_none());
}

#[test]
fn trials_that_wring_spoiled_are_repeated_then_given_up_and_never_count() {
    let mut server = server(Service::Constant(MS / 5), false, 1);
    let mut capacity = Capacity::new(config(&["p99<5ms"], 150));
    capacity.probed(5_000.0);
    // Above 3,000/s the generator cannot keep up.
    let mut elapsed_ns = 0;
    loop {
        match capacity.next(elapsed_ns) {
            Next::Trial(ask) => {
                elapsed_ns += ask.length_ns + ask.lead_in_ns + AROUND_NS;
                let claims = capacity.claims().to_vec();
                let mut trial = server.trial(&ask, &claims);
                if ask.rate_per_s > 3_000.0 {
                    trial.spoiled = Some(Verdict::GeneratorLimited { busy_share: 1.0 });
                }
                capacity.tried(&trial);
            }
            Next::Probe(_) => panic!("probed twice"),
            Next::Done(_) => break,
        }
    }
    let (low, high) = capacity.bracket();
    let (low, high) = (low.unwrap(), high.unwrap());
    assert!(low.rate_per_s <= 3_000.0 && high.rate_per_s > 3_000.0);
    assert!(high.rate_per_s / low.rate_per_s < 1.02);
    assert_eq!(capacity.standing(high), Standing::OutOfReach);
    assert!(capacity.points().iter().all(|point| point.spoiled <= 3 + point.trials));
    assert!(capacity.points().iter().all(|p| p.rate_per_s <= 3_000.0 || p.trials == 0));
}

#[test]
fn one_bad_trial_does_not_decide() {
    let mut server = server(Service::Constant(MS / 5), false, 1);
    let mut capacity = Capacity::new(config(&["p99<5ms"], 150));
    capacity.probed(4_000.0);
    let (mut elapsed_ns, mut count) = (0, 0);
    loop {
        match capacity.next(elapsed_ns) {
            Next::Trial(ask) => {
                elapsed_ns += ask.length_ns + ask.lead_in_ns + AROUND_NS;
                let claims = capacity.claims().to_vec();
                let mut trial = server.trial(&ask, &claims);
                count += 1;
                if count == 1 {
                    // Something else had the machine for itself.
                    trial.claims[0].iter_mut().for_each(|batch| batch.bad = batch.total);
                }
                capacity.tried(&trial);
            }
            Next::Probe(_) => panic!("probed twice"),
            Next::Done(_) => break,
        }
    }
    let (low, high) = capacity.bracket();
    let (low, high) = (low.unwrap().rate_per_s, high.unwrap().rate_per_s);
    assert!(low > 4_100.0 && (low..=high).contains(&5_000.0), "{low} to {high}");
}

#[test]
fn the_estimate_lies_near_the_truth_and_the_curve_covers_the_loads_below() {
    let truth = 5_000.0 * load_of(25.0);
    let mut off = Vec::new();
    for seed in 1..=8 {
        let mut server = server(Service::Constant(MS / 5), true, seed);
        let mut config = config(&["p99<5ms"], 150);
        config.with_curve = true;
        let (capacity, _, _) = search(config, &mut server);
        off.extend(capacity.estimate_per_s().map(|estimate| (estimate / truth - 1.0).abs()));
        let lowest = capacity.points()[0].rate_per_s;
        assert!(lowest < 1_000.0, "{lowest}");
    }
    assert!(off.len() >= 6, "{off:?}");
    assert!(off.iter().all(|&off| off < 0.05), "{off:?}");
}

#[test]
fn a_run_is_read_as_evidence_by_interval() {
    use crate::record::Flow;
    use crate::result::{RunResult, Second};
    let second = |index: u64, completed: u64, unsent: u64| Second {
        start_ns: index * 100 * MS,
        length_ns: 100 * MS,
        inflight_start: 1,
        inflight_end: 1 + index,
        flow: Flow { due: 10, completed, failed: 1, unsent, ..Flow::default() },
        ..Second::default()
    };
    let mut result = RunResult {
        seconds: vec![second(0, 9, 0), second(1, 8, 0), second(2, 7, 2)],
        over_limits: vec![Some(vec![5, 6]), Some(vec![1, 2]), None],
        late_ns_max: vec![0; 3],
        window_ns: 200 * MS,
        ..RunResult::default()
    };
    result.asked.warmup_ns = 100 * MS;
    result.verdict = judge(&result);
    let claims = claims(&["p99<5ms", "failed<1%", "mean<1s"]);
    assert_eq!(limits_ns(&claims), [5 * MS, 5 * MS / 2]);
    let trial = Trial::of_run(&result, &claims, 100.0);
    // The first interval was the lead-in; of the last nobody knows the latencies.
    assert_eq!(trial.claims[0], [Batch { bad: 2.0, near: 3.0, total: 9.0 }]);
    let failed = Batch { bad: 1.0, near: 1.0, total: 9.0 };
    assert_eq!(trial.claims[1], [failed, Batch { total: 8.0, ..failed }]);
    // Nothing was measured that has a mean.
    assert_eq!(trial.claims[2], []);
    let growth: Vec<f64> = trial.claims[3].iter().map(|batch| batch.bad).collect();
    assert_eq!(growth, [1.0, 4.0]);
    assert_eq!(trial.used_ns, 200 * MS);
    // No identity was checked, but the histograms are empty: nothing to say about wring.
    assert_eq!(trial.spoiled, None);
    // Late by 2 ms of 5 in the window's first interval: that and the next say nothing, so that nothing
    // is left, and the failures still count.
    result.late_ns_max[1] = 2 * MS;
    let trial = Trial::of_run(&result, &claims, 100.0);
    assert_eq!((trial.used_ns, trial.claims[0].len(), trial.claims[1].len()), (0, 0, 2));
    assert!(matches!(trial.spoiled, Some(Verdict::Invalid(_))), "{:?}", trial.spoiled);
    // In the lead-in's last it costs the first interval of the window.
    result.late_ns_max = vec![2 * MS, 0, 0];
    let trial = Trial::of_run(&result, &claims, 100.0);
    assert_eq!((trial.used_ns, trial.spoiled), (100 * MS, None));
}

#[test]
fn that_none_fails_holds_once_there_were_enough_requests_to_tell() {
    // 20 requests a second: a share of 2 % takes 200 of them.
    let mut one = server(Service::Constant(50 * MS), false, 1);
    let (capacity, _, _) = search(config(&["failed<2%", "p90<500ms"], 150), &mut one);
    let (low, high) = capacity.bracket();
    let (low, high) = (low.unwrap().rate_per_s, high.unwrap().rate_per_s);
    assert!(low <= 20.05 && 20.0 <= high && high / low < 1.1, "{low} to {high}");
    // A thousandth takes 4,000, which is more than there is time for: that is not known to hold.
    let mut one = server(Service::Constant(50 * MS), false, 1);
    let (capacity, ended, _) = search(config(&["failed<0.1%", "p90<500ms"], 150), &mut one);
    assert_eq!((capacity.bracket().0.map(|p| p.rate_per_s), ended), (None, Ended::TimeUp));
    assert!(capacity.points().iter().all(|point| capacity.standing(point) != Standing::Held));
    // With time for it, at one rate at least, it is.
    let mut one = server(Service::Constant(50 * MS), false, 1);
    let (capacity, _, _) = search(config(&["failed<0.1%", "p90<500ms"], 1200), &mut one);
    assert!(capacity.bracket().0.is_some_and(|low| low.rate_per_s <= 20.05));
}

#[test]
fn where_wring_itself_spoils_every_rate_nothing_is_missed() {
    let busy = Verdict::GeneratorLimited { busy_share: 0.99 };
    let mut one = server(Service::Constant(MS), false, 1);
    let config = config(&["p99<50ms"], 6000);
    let claims = config.claims.clone();
    let mut capacity = Capacity::new(config);
    let mut elapsed_ns = 0;
    let ended = loop {
        match capacity.next(elapsed_ns) {
            Next::Probe(length_ns) => capacity.probed(one.probe(length_ns)),
            Next::Trial(ask) => {
                elapsed_ns += ask.length_ns + ask.lead_in_ns + AROUND_NS;
                let spoiled = Some(busy.clone());
                capacity.tried(&Trial { spoiled, ..one.trial(&ask, &claims) });
            }
            Next::Done(ended) => break ended,
        }
    };
    assert_eq!(ended, Ended::OutOfReach);
    let found = Found::of(&capacity, Vec::new());
    assert!(found.is_beyond_wring() && found.is_cut_off() && found.held.is_none());
}
