//! The open loop against closed forms. Nothing here is a measurement: time is virtual, so what comes
//! out is the law, the seed's noise and the histogram's resolution.

use std::f64::consts::LN_2;

use super::*;
use crate::hist::Hist;
use crate::schedule::{Arrivals, Cursor, Profile, parse_stages};
use crate::sim::ServerQueue;
use crate::units::parse_rate;

pub(super) fn profile(rate: &str, length_ns: Option<u64>) -> Arc<Profile> {
    Arc::new(Profile::constant(parse_rate(rate).unwrap(), length_ns).unwrap())
}

pub(super) fn pace_of(
    profile: &Arc<Profile>,
    arrivals: Arrivals,
    worker: u32,
    workers: u32,
) -> Pace {
    let cursor = Cursor::new(Arc::clone(profile), arrivals, worker, workers, 1, None);
    Pace {
        window: cursor,
        warmup: None,
        profile: Arc::clone(profile),
        arrivals,
        workers,
        deadline_ns: None,
    }
}

/// A run at `rate` for `duration_ns` on one connection, against a server that is fast and near.
pub(super) fn paced(rate: &str, duration_ns: u64) -> Run {
    let mut run = Run::answering(OK);
    run.model.one_way_ns = 100;
    run.model.turn_cost_ns = 50;
    run.model.queue = ServerQueue::SingleFifo;
    run.pace = Some(pace_of(&profile(rate, Some(duration_ns)), Arrivals::Constant, 0, 1));
    (run.connections, run.requests, run.duration_ns) = (1, None, Some(duration_ns));
    run
}

fn window(outcome: &Outcome) -> &PhaseCounts {
    outcome.record.phase(Phase::Window)
}

/// Quantiles of latency divided by a millisecond.
fn ms(hist: &Hist, q: f64) -> f64 {
    hist.quantile(q) as f64 / MS as f64
}

fn near(what: &str, value: f64, expected: f64, tolerance: f64) {
    let off = (value - expected).abs();
    assert!(off <= tolerance, "{what}: {value} is {off} off {expected}, more than {tolerance}");
}

#[test]
fn exactly_floor_of_rate_times_duration_is_due_and_started_on_any_number_of_workers() {
    for (rate, duration_ns, due) in [
        ("1k", SECOND, 1000),
        ("333", 3 * SECOND, 999),
        ("7", SECOND / 3, 2),
        ("0.1", 25 * SECOND, 2),
        ("1001/m", SECOND, 16),
        ("20k", 100 * MS, 2000),
    ] {
        for workers in [1, 2, 3, 8] {
            let total: u64 = (0..workers)
                .map(|worker| {
                    let mut run = paced(rate, duration_ns);
                    let profile = profile(rate, Some(duration_ns));
                    run.pace = Some(pace_of(&profile, Arrivals::Constant, worker, workers));
                    run.connections = 3;
                    let (outcome, sim) = run.run();
                    let counts = window(&outcome);
                    assert_eq!((counts.unsent, counts.shed), (0, 0));
                    assert_eq!(counts.due, counts.started);
                    assert_eq!(sim.server().requests, counts.started);
                    counts.started
                })
                .sum();
            assert_eq!(total, due, "{rate} for {duration_ns} ns on {workers} workers");
        }
    }
}

#[test]
fn a_request_leaves_when_it_is_due_and_never_before() {
    let (outcome, _) = paced("1k", SECOND).run();
    let sending = &outcome.record.sending;
    assert_eq!(sending.lag.len(), 1000);
    // Turns cost 50 ns here, and waits end exactly at their deadline.
    assert!(sending.lag.max() <= 500, "{}", sending.lag.max());
    // All gaps but the first request's, each as long as asked.
    assert_eq!(sending.gap_tenths[10], 999);
}

/// What one law says about latency, in service times: quantiles and the load they are for.
struct Law {
    name: &'static str,
    arrivals: Arrivals,
    service: Service,
    load: f64,
    rate: &'static str,
    quantiles: [(f64, f64); 3],
}

/// The service time's own quantile: what is seen when latency counts from the send alone.
fn service_quantile(service: Service, q: f64) -> f64 {
    match service {
        Service::Constant(_) => 1.0,
        Service::Exponential { .. } => -(1.0 - q).ln(),
    }
}

/// Mean service time 1 ms on one connection: what cannot be served waits in the backlog.
fn check_law(law: &Law) {
    const SEEDS: u64 = 12;
    let mut seen = law.quantiles.map(|_| Vec::new());
    let mut service = law.quantiles.map(|_| 0.0);
    let length_ns = 20 * SECOND;
    for seed in 1..=SEEDS {
        let mut run = paced(law.rate, length_ns);
        run.model.service = law.service;
        run.model.seed = seed;
        let pace = |length_ns, seed| {
            let profile = profile(law.rate, Some(length_ns));
            let cursor = Cursor::new(Arc::clone(&profile), law.arrivals, 0, 1, seed, None);
            Pace { window: cursor, ..pace_of(&profile, law.arrivals, 0, 1) }
        };
        run.pace = Some(pace(length_ns, seed));
        let (outcome, _) = run.run();
        let record = &outcome.record;
        for (at, (q, _)) in law.quantiles.iter().enumerate() {
            seen[at].push(ms(&record.latency, *q));
            service[at] += ms(&record.service, *q) / SEEDS as f64;
        }
    }
    for (at, &(q, expected)) in law.quantiles.iter().enumerate() {
        let mean = seen[at].iter().sum::<f64>() / SEEDS as f64;
        let squares: f64 = seen[at].iter().map(|x| (x - mean).powi(2)).sum();
        let error = (squares / (SEEDS * (SEEDS - 1)) as f64).sqrt();
        let what = format!("{} at load {}, p{}", law.name, law.load, q * 100.0);
        // Four standard errors, the histogram's digits, and the empty start.
        let tolerance = 4.0 * error + expected * 0.004;
        near(&what, mean, expected, tolerance);
        assert!(tolerance < expected * 0.25, "{what}: the test is blunt: {tolerance}");
        let plain = service_quantile(law.service, q);
        near(&format!("{what}, from the send"), service[at], plain, plain * 0.06);
        assert!(
            (service[at] - expected).abs() > tolerance,
            "{what}: service latency alone shows it: {}",
            service[at]
        );
    }
}

#[test]
fn constant_arrivals_at_an_exponential_server_wait_as_d_m_1_says() {
    let service = Service::Exponential { mean_ns: MS };
    let arrivals = Arrivals::Constant;
    // Sojourn ~ Exp(mu (1 - s)), s = exp(-(1 - s) / rho).
    for (load, rate, s) in [(0.5, "500", 0.203_19), (0.8, "800", 0.628_64), (0.9, "900", 0.806_88)]
    {
        let quantiles = [0.5, 0.9, 0.99].map(|q: f64| (q, -(1.0 - q).ln() / (1.0 - s)));
        check_law(&Law { name: "D/M/1", arrivals, service, load, rate, quantiles });
    }
}

#[test]
fn random_arrivals_at_an_exponential_server_wait_as_m_m_1_says() {
    let service = Service::Exponential { mean_ns: MS };
    let arrivals = Arrivals::Poisson;
    for (load, rate) in [(0.5, "500"), (0.8, "800"), (0.9, "900")] {
        let quantiles = [0.5, 0.9, 0.99].map(|q: f64| (q, -(1.0 - q).ln() / (1.0 - load)));
        check_law(&Law { name: "M/M/1", arrivals, service, load, rate, quantiles });
    }
}

#[test]
fn random_arrivals_at_a_constant_server_wait_as_m_d_1_says() {
    let (service, arrivals) = (Service::Constant(MS), Arrivals::Poisson);
    // Erlang's series for the wait, plus the service.
    for (load, rate, values) in [
        (0.5, "500", [1.000, 2.516, 4.336]),
        (0.8, "800", [2.276, 6.012, 11.356]),
        (0.9, "900", [4.013, 11.783, 22.898]),
    ] {
        let all = [(0.5, values[0]), (0.9, values[1]), (0.99, values[2])];
        // Half of all requests do not wait at load 0.5: there both clocks agree.
        let quantiles = if load < 0.6 { [all[1], all[1], all[2]] } else { all };
        check_law(&Law { name: "M/D/1", arrivals, service, load, rate, quantiles });
    }
}

#[test]
fn constant_arrivals_at_a_faster_constant_server_never_wait() {
    let mut run = paced("900", 10 * SECOND);
    run.model.service = Service::Constant(MS);
    let (outcome, _) = run.run();
    near("D/D/1 p50", ms(&outcome.record.latency, 0.5), 1.0, 0.003);
    near("D/D/1 max", outcome.record.latency.max() as f64 / MS as f64, 1.0, 0.003);
}

#[test]
fn a_frozen_server_makes_half_of_the_requests_late_by_up_to_the_freeze() {
    let mut run = paced("1k", 10 * SECOND);
    (run.connections, run.timeout_ns) = (64, 30 * SECOND);
    run.model.pause_ns = Some(3 * SECOND..8 * SECOND);
    let (outcome, _) = run.run();
    let record = &outcome.record;
    assert_eq!((window(&outcome).started, record.latency.len()), (10_000, 10_000));
    for (q, seconds) in [(0.75, 2.5), (0.90, 4.0), (0.99, 4.9), (1.0, 5.0)] {
        let corrected = ms(&record.latency, q) / 1000.0;
        near(&format!("p{}", q * 100.0), corrected, seconds, seconds * 0.002 + 0.002);
    }
    near("p49", ms(&record.latency, 0.49), 0.0, 0.01);
    // From the send, the 64 requests under way are all there is to see.
    assert!(ms(&record.service, 0.99) < 1.0, "{}", ms(&record.service, 0.99));
    near("service max", record.service.max() as f64 / SECOND as f64, 5.0, 0.002);
    // And the lag says whose it was: all but those 64 requests of the freeze found no connection.
    let sending = &record.sending;
    near("waited p99", ms(&sending.waited, 0.99) / 1000.0, 4.9 - 0.064, 0.06);
    assert!(sending.late.max() < MS, "{}", sending.late.max());
}

#[test]
fn twice_the_capacity_makes_latency_grow_by_a_second_each_second() {
    let mut run = paced("2k", 5 * SECOND);
    run.model.service = Service::Constant(MS);
    (run.connections, run.timeout_ns) = (4, 30 * SECOND);
    let (outcome, _) = run.run();
    let (record, counts) = (&outcome.record, window(&outcome));
    assert_eq!(counts.due, 10_000);
    near("started", counts.started as f64, 5_000.0, 10.0);
    assert_eq!(counts.unsent, counts.due - counts.started);
    // A request due at t is answered at 2 t: (R - C) / C * t later.
    for (q, seconds) in [(0.25, 0.625), (0.5, 1.25), (0.9, 2.25), (1.0, 2.5)] {
        let corrected = ms(&record.latency, q) / 1000.0;
        near(&format!("p{}", q * 100.0), corrected, seconds, seconds * 0.002 + 0.005);
    }
    near("service p50", ms(&record.service, 0.5), 4.0, 0.05);
    // Those never sent were due in the second half and waited for the rest of it.
    assert_eq!(record.unanswered.len(), counts.unsent);
    near("never sent, longest", record.unanswered.max() as f64 / SECOND as f64, 2.5, 0.01);
}

#[test]
fn one_stalled_connection_of_a_hundred_holds_up_one_request() {
    let mut run = paced("10k", 2 * SECOND);
    (run.connections, run.addresses, run.timeout_ns) = (100, 100, 30 * SECOND);
    run.model.listeners = (0..100)
        .map(|index| if index == 37 { Listener::Script(vec![]) } else { Listener::Serve })
        .collect();
    let (outcome, _) = run.run();
    let record = &outcome.record;
    assert_eq!((window(&outcome).started, record.inflight_end), (20_000, 1));
    assert_eq!(record.latency.len(), 19_999);
    assert!(record.latency.max() < MS / 10, "{}", record.latency.max());
    assert!(record.sending.lag.max() < MS / 10, "{}", record.sending.lag.max());
    // From the send alone nothing of it is seen: the stalled request has no latency at all.
    assert!(record.service.max() < MS / 10 && record.service.len() == 19_999);
    // Its wait is known to be at least the rest of the run.
    assert!(record.unanswered.max() > 2 * SECOND, "{}", record.unanswered.max());
}

#[test]
fn a_standstill_of_the_loop_is_wrings_own_lateness_whoever_had_to_wait() {
    for (connections, depth) in [(4, 1), (1, 1), (64, 1), (2, 4)] {
        let mut run = paced("1k", 3 * SECOND);
        (run.connections, run.depth) = (connections, depth);
        run.model.one_way_ns = 10_000;
        run.model.standstill_ns = Some(SECOND..SECOND + 800 * MS);
        let (outcome, _) = run.run();
        let (counts, sending) = (window(&outcome), &outcome.record.sending);
        assert_eq!((counts.started, counts.unsent), (3000, 0));
        // 800 of 3000 requests became due meanwhile, each as late as the rest of it.
        for (q, late_ms) in [(0.90, 500.0), (0.99, 770.0), (1.0, 800.0)] {
            let what = format!("{connections} connections, {depth} deep, p{}", q * 100.0);
            near(&what, ms(&sending.late, q), late_ms, 8.0);
        }
        // They leave as connections become free, which takes 20 us for each round.
        let drained_ms = 800.0 / f64::from(connections * depth) * 0.025;
        assert!(ms(&sending.waited, 1.0) < drained_ms + 1.0, "{}", ms(&sending.waited, 1.0));
    }
}

#[test]
fn a_standstill_while_the_target_is_frozen_is_the_targets_all_the_same() {
    let mut run = paced("1k", 4 * SECOND);
    (run.connections, run.timeout_ns) = (4, 30 * SECOND);
    run.model.pause_ns = Some(SECOND..3 * SECOND);
    run.model.standstill_ns = Some(1500 * MS..1800 * MS);
    let (outcome, _) = run.run();
    let sending = &outcome.record.sending;
    // No answer came meanwhile, so nobody was held up by it.
    near("waited", ms(&sending.waited, 1.0), 2000.0, 20.0);
    assert!(ms(&sending.late, 1.0) < 1.0, "{}", ms(&sending.late, 1.0));
}

#[test]
fn a_delay_of_the_loop_costs_those_behind_it_the_share_of_connections_it_kept_idle() {
    // Twice the capacity on 64 connections: while it stands still for ten milliseconds ten of them
    // come back, after five on average.
    let mut run = paced("2k", 5 * SECOND);
    run.model.service = Service::Constant(MS);
    (run.connections, run.timeout_ns) = (64, 30 * SECOND);
    run.model.standstill_ns = Some(4 * SECOND..4 * SECOND + 10 * MS);
    let (outcome, _) = run.run();
    let sending = &outcome.record.sending;
    near("started", window(&outcome).started as f64, 5_064.0, 15.0);
    near("of the ten", ms(&sending.late, 1.0), 5.0, 0.1);
    near("of those behind them", ms(&sending.late, 0.99), 5.0 * 10.0 / 64.0, 0.1);
    assert!(ms(&sending.late, 0.7) < 0.01, "{}", ms(&sending.late, 0.7));
    assert!(ms(&sending.waited, 1.0) > 2400.0);
}

/// What was due in each interval of a run, how long nobody was there in it, in milliseconds, and
/// where it began.
fn series(run: &Run) -> Vec<(u64, u64, u64)> {
    let (worker, mut reader) = run.worker();
    let control = Control::default();
    control.start_at(0);
    worker.run(&control);
    std::iter::from_fn(|| reader.pop())
        .map(|it| (it.flow.due, it.turn_gap_ns_max / MS, it.start_ns / MS))
        .collect()
}

#[test]
fn what_is_due_in_an_interval_is_what_the_schedule_says_whoever_was_not_there() {
    let mut run = paced("1k", 4 * SECOND);
    run.interval_ns = SECOND;
    run.connections = 64;
    let calm = series(&run);
    assert_eq!(calm, [0, 1, 2, 3].map(|second| (1000, 0, second * 1000)));
    run.model.standstill_ns = Some(1200 * MS..2500 * MS);
    let still = series(&run);
    assert_eq!(still[..4], [(1000, 0, 0), (1000, 800, 1000), (1000, 500, 2000), (1000, 0, 3000)]);
    // Along a ramp the seconds are its integral, however many bounds a standstill covers.
    let stages = parse_stages("0->1k:4s", limits::DURATION_NS_MAX).unwrap();
    run.pace = Some(pace_of(&Arc::new(Profile::stages(stages).unwrap()), Arrivals::Constant, 0, 1));
    let due = [125, 375, 625, 875].map(Some);
    for still_ns in [None, Some(100 * MS..3500 * MS)] {
        run.model.standstill_ns = still_ns;
        let found = series(&run);
        assert_eq!([0, 1, 2, 3].map(|at| found.get(at).map(|it| it.0)), due, "{found:?}");
    }
    // Of more intervals than anybody could hand over some become one.
    (run.interval_ns, run.duration_ns) = (MS, Some(4 * SECOND));
    let found = series(&run);
    assert_eq!(found.iter().map(|it| it.0).sum::<u64>(), 2000);
}

#[test]
fn a_wait_that_was_wanted_is_no_standstill() {
    for rate in ["3", "1k"] {
        let mut run = paced(rate, 2 * SECOND);
        assert!(run.run().0.turn_gap_ns_max < MS, "{rate}");
        run.model.standstill_ns = Some(SECOND..SECOND + 300 * MS);
        let gap_ns = run.run().0.turn_gap_ns_max;
        assert!((289 * MS..=300 * MS).contains(&gap_ns), "{rate}: {gap_ns}");
    }
    let mut run = Run::answering(OK);
    run.model.service = Service::Constant(100 * MS);
    (run.requests, run.duration_ns) = (None, Some(2 * SECOND));
    assert!(run.run().0.turn_gap_ns_max < MS);
    run.model.standstill_ns = Some(SECOND..SECOND + 300 * MS);
    assert!(run.run().0.turn_gap_ns_max >= 289 * MS);
}

#[test]
fn what_is_due_at_the_very_end_leaves_however_much_it_is() {
    let mut run = paced("100k", SECOND);
    run.connections = 300;
    run.model.standstill_ns = Some(SECOND - 2 * MS..SECOND + MS);
    let (outcome, _) = run.run();
    assert_eq!(window_counts(&outcome).1, 100_000);
}

#[test]
fn a_backlog_of_a_billion_is_booked_in_no_time() {
    let mut run = paced("500M", 3 * SECOND);
    run.timeout_ns = 30 * SECOND;
    run.model.service = Service::Constant(10 * MS);
    let began = std::time::Instant::now();
    let (outcome, _) = run.run();
    let counts = window(&outcome);
    assert_eq!(counts.due, 1_500_000_000);
    assert_eq!(counts.unsent, counts.due - counts.started);
    assert_eq!(outcome.record.unanswered.len(), counts.unsent);
    near("median wait", ms(&outcome.record.unanswered, 0.5), 1500.0, 5.0);
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
}

#[test]
fn a_stalled_connection_gets_no_second_request_while_others_are_idle() {
    let mut run = paced("1k", 2 * SECOND);
    (run.connections, run.addresses, run.depth) = (10, 10, 8);
    run.timeout_ns = 30 * SECOND;
    run.model.listeners = (0..10)
        .map(|index| if index == 3 { Listener::Script(vec![]) } else { Listener::Serve })
        .collect();
    let (outcome, _) = run.run();
    assert_eq!(outcome.record.inflight_end, 1);
}

#[test]
fn pipelined_requests_on_a_schedule_each_keep_their_own_intended_time() {
    // One connection, four deep, at a server that takes 10 ms each; a request every 10 ms is served
    // in step, so each has its own ten milliseconds, whoever it shares the connection with.
    let mut run = paced("100", 2 * SECOND);
    run.model.service = Service::Constant(10 * MS);
    run.depth = 4;
    let (outcome, sim) = run.run();
    assert_eq!(sim.server().requests, 200);
    near("p50", ms(&outcome.record.latency, 0.5), 10.0, 0.02);
    near("max", outcome.record.latency.max() as f64 / MS as f64, 10.0, 0.02);
    // At three times the rate and the same server a backlog fills the pipeline.
    let mut run = paced("300", 2 * SECOND);
    run.model.service = Service::Constant(10 * MS);
    (run.depth, run.timeout_ns) = (4, 30 * SECOND);
    let (outcome, _) = run.run();
    near("service p50", ms(&outcome.record.service, 0.5), 40.0, 0.1);
    near("corrected max", outcome.record.latency.max() as f64 / MS as f64, 1350.0, 30.0);
}

#[test]
fn what_could_not_start_before_its_deadline_is_shed_and_what_starts_is_young() {
    let mut run = paced("2k", 5 * SECOND);
    run.model.service = Service::Constant(MS);
    (run.connections, run.timeout_ns) = (1, 30 * SECOND);
    run.pace.as_mut().unwrap().deadline_ns = Some(50 * MS);
    let (outcome, _) = run.run();
    let (record, counts) = (&outcome.record, window(&outcome));
    assert_eq!(counts.due, 10_000);
    assert_eq!(counts.due, counts.started + counts.shed + counts.unsent);
    near("started", counts.started as f64, 5_000.0, 10.0);
    near("shed", counts.shed as f64, 4_900.0, 10.0);
    assert!(record.sending.lag.max() <= 50 * MS, "{}", record.sending.lag.max());
    assert!(record.latency.max() <= 52 * MS, "{}", record.latency.max());
    assert_eq!(record.unanswered.len(), counts.shed + counts.unsent);
}

#[test]
fn a_number_of_requests_ends_a_schedule_with_the_last_answer() {
    for duration_ns in [None, Some(60 * SECOND)] {
        let mut run = paced("1k", SECOND);
        let profile = profile("1k", duration_ns);
        let pace = pace_of(&profile, Arrivals::Constant, 0, 1);
        let window = Cursor::new(profile, Arrivals::Constant, 0, 1, 1, Some(500));
        run.pace = Some(Pace { window, ..pace });
        (run.requests, run.duration_ns) = (Some(500), duration_ns);
        let (outcome, _) = run.run();
        assert_eq!(window_counts(&outcome), (500, 500, 500));
        let length_ns = outcome.window_end_ns - outcome.window_start_ns;
        assert!((499 * MS..501 * MS).contains(&length_ns), "{length_ns}");
    }
}

fn window_counts(outcome: &Outcome) -> (u64, u64, u64) {
    let counts = window(outcome);
    (counts.due, counts.started, counts.completed)
}

#[test]
fn a_warm_up_that_falls_behind_leaves_the_window_nothing() {
    let mut run = paced("2k", SECOND);
    run.model.service = Service::Constant(MS);
    run.timeout_ns = 30 * SECOND;
    let pace = run.pace.as_mut().unwrap();
    pace.warmup = Some(pace_of(&profile("2k", Some(SECOND)), Arrivals::Constant, 0, 1).window);
    run.warmup_ns = SECOND;
    let (outcome, sim) = run.run();
    let (warmup, counts) = (outcome.record.phase(Phase::Warmup), window(&outcome));
    assert_eq!((warmup.due, counts.due), (2000, 2000));
    near("unsent in the warm-up", warmup.unsent as f64, 1000.0, 5.0);
    near("unsent in the window", counts.unsent as f64, 1000.0, 5.0);
    assert_eq!(sim.server().requests, warmup.started + counts.started);
    // The window's latency grows from nothing again.
    near("max", outcome.record.latency.max() as f64 / MS as f64, 500.0, 5.0);
    assert_eq!(outcome.record.sending.lag.len(), counts.started);
}

#[test]
fn what_is_due_in_the_window_never_leaves_before_it() {
    let mut run = paced("1k", SECOND);
    let pace = run.pace.as_mut().unwrap();
    pace.warmup = Some(pace_of(&profile("1k", Some(SECOND)), Arrivals::Constant, 0, 1).window);
    run.warmup_ns = SECOND;
    let (mut worker, _) = run.worker();
    worker.recorder.enter(Phase::Warmup);
    worker.release.as_mut().unwrap().begin_warmup(0);
    // The warm-up was ended early, and a turn that was stamped before that sends a little later.
    worker.window.start_ns = 100 * MS;
    worker.recorder.advance(105 * MS);
    worker.release_due();
    assert_eq!(worker.release.as_ref().unwrap().backlog(), 100, "those of 0 to 99 ms");
}

#[test]
fn a_worker_that_hears_late_of_its_window_begins_it_behind_what_it_started() {
    let mut run = paced("1k", SECOND);
    run.warmup_ns = SECOND;
    for (heard_ns, start_ns) in [(90 * MS, 100 * MS), (150 * MS, 150 * MS + 1)] {
        let (mut worker, _) = run.worker();
        worker.window.start_ns = SECOND;
        worker.recorder.enter(Phase::Warmup);
        worker.recorder.advance(heard_ns);
        let control = Control::over(worker.task.servers());
        control.begin_window_at(100 * MS);
        worker.heed_window(&control);
        assert_eq!(worker.window.start_ns, start_ns);
        assert_eq!(worker.window.deadline_ns, start_ns + SECOND, "as long as any other");
    }
}

#[test]
fn stages_ramp_as_their_integral_says() {
    let stages = parse_stages("0->1k:2s,1k:1s,1k->0:1s", limits::DURATION_NS_MAX).unwrap();
    let profile = Arc::new(Profile::stages(stages).unwrap());
    let mut run = paced("1k", 4 * SECOND);
    run.pace = Some(pace_of(&profile, Arrivals::Constant, 0, 1));
    let (outcome, _) = run.run();
    assert_eq!(window_counts(&outcome), (2500, 2500, 2500));
    assert!(outcome.record.sending.lag.max() < MS / 10);
}

#[test]
fn a_run_stopped_early_owes_what_was_due_by_then() {
    // The server never answers, so the first request is all that ever starts.
    let mut run = paced("1k", SECOND);
    run.model = Model::scripted(vec![Listener::Script(vec![])]);
    run.timeout_ns = 30 * SECOND;
    let (outcome, _) = run.run();
    let counts = window(&outcome);
    assert_eq!((counts.due, counts.started, counts.unsent), (1000, 1, 999));
    assert_eq!(outcome.record.inflight_end, 1);
    near("waited", outcome.record.unanswered.quantile(0.5) as f64 / SECOND as f64, 0.5, 0.01);
}

#[test]
fn random_arrivals_have_exponential_gaps_and_the_asked_rate() {
    let mut run = paced("1k", 60 * SECOND);
    run.connections = 64;
    run.pace = Some(pace_of(&profile("1k", Some(60 * SECOND)), Arrivals::Poisson, 0, 1));
    let (outcome, _) = run.run();
    let started = window(&outcome).started as f64;
    near("requests", started, 60_000.0, 5.0 * 60_000_f64.sqrt());
    let gaps = &outcome.record.sending.gap_tenths;
    let below: u64 = gaps[..7].iter().sum();
    let share = below as f64 / gaps.iter().sum::<u64>() as f64;
    near("gaps below 0.65 of the mean", share, 1.0 - (-0.65_f64).exp(), 0.01);
    let median = gaps.iter().scan(0, |sum, count| {
        *sum += count;
        Some(*sum)
    });
    let at = median.take_while(|sum| (*sum as f64) < started / 2.0).count();
    near("median gap in tenths", at as f64, LN_2 * 10.0, 1.0);
}

#[test]
fn identities_hold_on_a_schedule_under_swarms_of_faults() {
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        let mut run = paced(["300", "2k", "9k"][rng.below(3) as usize], SECOND);
        run.model.seed = seed;
        run.model.faults = Faults::swarm(&mut rng);
        run.model.service = Service::Exponential { mean_ns: 1 + rng.below(2 * MS) };
        run.connections = 1 + rng.below(20) as u32;
        run.depth = 1 + rng.below(4) as u32;
        run.timeout_ns = [5 * MS, 30 * SECOND][rng.below(2) as usize];
        if rng.below(2) == 0 {
            let leftover = Leftover::Swallow;
            run.model.ending = Ending::AfterAnswers { answers: 7, leftover };
        }
        if rng.below(2) == 0 {
            run.pace.as_mut().unwrap().deadline_ns = Some(rng.below(100 * MS));
        }
        let (outcome, _) = run.run();
        let counts = window(&outcome);
        assert_eq!(counts.due, counts.started + counts.shed + counts.unsent, "seed {seed}");
    }
}
