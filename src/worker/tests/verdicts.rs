//! Whose doing it was, judged over runs whose truth is known: the same world with and without pauses
//! of the loop, and servers of which one stalls.

use super::mixed::{on_schedule, target, targets};
use super::paced::paced;
use super::*;
use crate::result::{Invalid, RunResult, Schedule, Verdict, WorkerSummary, judge};
use crate::sim::ServerQueue;

/// The finished run, with a worker busy for so large a share of the window.
fn result_of(run: &Run, outcome: &Outcome, busy_share: f64) -> RunResult {
    let window_ns = outcome.window_end_ns - outcome.window_start_ns;
    let due = outcome.record.phase(Phase::Window).due as f64;
    let rate_per_s = due * 1e9 / window_ns as f64;
    let mut result = RunResult { total: outcome.record.clone(), window_ns, ..Default::default() };
    result.asked.connections = run.connections;
    result.asked.schedule =
        Some(Schedule { rate_per_s, rate_end_per_s: rate_per_s, ..Schedule::default() });
    result.workers = vec![WorkerSummary {
        busy_ns: (window_ns as f64 * busy_share) as u64,
        turn_gap_ns_max: outcome.turn_gap_ns_max,
        ..WorkerSummary::default()
    }];
    result
}

/// `rate` for four seconds over 64 connections to a server that takes `service_ns`, with a pause of
/// `pause_ns` every `every_ns`.
fn pausing(rate: &str, queue: ServerQueue, service_ns: u64, pause_ns: u64, every_ns: u64) -> Run {
    let mut run = paced(rate, 4 * SECOND);
    run.model.service = Service::Constant(service_ns);
    run.model.queue = queue;
    (run.connections, run.timeout_ns) = (64, 30 * SECOND);
    run.model.standstill_ns = (pause_ns > 0).then(|| every_ns..every_ns + pause_ns);
    run.model.standstill_every_ns = every_ns;
    run
}

/// How a run was judged, and its record.
fn judged(run: &Run, busy_share: f64) -> (Verdict, WorkerRecord) {
    let (outcome, _) = run.run();
    let verdict = judge(&result_of(run, &outcome, busy_share));
    (verdict, outcome.record)
}

fn is_own_lag(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Invalid(reasons)
        if matches!(reasons.as_slice(), [Invalid::OwnLag { .. }]))
}

#[test]
fn pauses_of_the_loop_do_not_hide_that_the_target_is_the_limit() {
    use ServerQueue::{PerConnection, SingleFifo};
    // Twice the capacity: one server with a queue of its own, 128 ms and 6.4 ms deep, and one that
    // works on all connections at once.
    for (rate, queue, service_ns, is_harmless) in [
        ("1k", SingleFifo, 2 * MS, true),
        ("20k", SingleFifo, MS / 10, false),
        ("1k", PerConnection, 128 * MS, false),
    ] {
        let (_, undisturbed) = judged(&pausing(rate, queue, service_ns, 0, 1), 0.1);
        for (pause_ms, every_ms) in [(30, 300), (30, 1000), (10, 100)] {
            for interrupts in [false, true] {
                let mut run = pausing(rate, queue, service_ns, pause_ms * MS, every_ms * MS);
                run.model.standstill_interrupts = interrupts;
                let what = format!("{rate} {queue:?} {pause_ms}/{every_ms} {interrupts}");
                let (verdict, record) = judged(&run, 0.1);
                assert!(matches!(verdict, Verdict::RateNotHeld { .. }), "{what}: {verdict:?}");
                let late = &record.sending.late;
                // Each is noticed, and never counts for longer than it was.
                let pauses = 4 * SECOND / (every_ms * MS);
                assert!(late.max() >= pause_ms * MS / 3, "{what}: {}", late.max());
                assert!(late.max() <= pauses * pause_ms * MS * 1001 / 1000, "{what}");
                // What the pauses took from the target is the share of time it was without work.
                let [with, without] =
                    [&record, &undisturbed].map(|record| record.latency.quantile(0.5) as f64);
                let off = (with / without - 1.0).abs();
                assert!(off < if is_harmless { 0.001 } else { 0.08 }, "{what}: {off}");
                assert!(late.quantile(0.99) < record.latency.quantile(0.5) / 10, "{what}");
            }
        }
    }
}

#[test]
fn pauses_below_capacity_are_wrings_own() {
    for (rate, service_ns, pause_ms, every_ms) in [
        // The same pauses at half of the capacity.
        ("250", 2 * MS, 30, 300),
        ("250", 2 * MS, 10, 100),
        ("5k", MS / 10, 30, 1000),
        // Hardly ever there, with connections free all the time.
        ("100", 2 * MS, 600, 1000),
    ] {
        for interrupts in [false, true] {
            let mut run =
                pausing(rate, ServerQueue::SingleFifo, service_ns, pause_ms * MS, every_ms * MS);
            run.model.standstill_interrupts = interrupts;
            let (verdict, record) = judged(&run, 0.1);
            assert!(is_own_lag(&verdict), "{rate} {pause_ms}/{every_ms}: {verdict:?}");
            let late = record.sending.late.max();
            let least_ns = (pause_ms - 5) * MS;
            assert!((least_ns..=pause_ms * MS).contains(&late), "{late}");
        }
    }
}

#[test]
fn a_busy_generator_does_not_blame_the_target_it_overloads() {
    let run = pausing("1k", ServerQueue::SingleFifo, 2 * MS, 30, 300);
    assert!(matches!(judged(&run, 0.5).0, Verdict::RateNotHeld { .. }));
    assert!(matches!(judged(&run, 0.95).0, Verdict::GeneratorLimited { .. }));
}

#[test]
fn a_request_behind_one_whose_server_has_no_connection_free_waited_for_a_connection() {
    for (stalled, timeout_ns) in [(0, 500 * MS), (1, 500 * MS), (1, 30 * SECOND)] {
        let mut run = Run::answering(OK);
        on_schedule(&mut run, "100", 4 * SECOND);
        (run.connections, run.addresses, run.timeout_ns) = (10, 2, timeout_ns);
        run.model.listeners = vec![Listener::Serve, Listener::Serve];
        run.model.listeners[stalled] = Listener::Script(vec![]);
        let list = vec![target("GET", "/a", 1, 0), target("GET", "/b", 1, 1)];
        let (outcome, _) = run.mixed(&targets(list, 2));
        let sending = &outcome.record.sending;
        assert!(sending.late.max() < MS, "{stalled}: {}", sending.late.max());
        if timeout_ns < SECOND {
            assert!(sending.waited.quantile(0.5) > 500 * MS, "{}", sending.waited.max());
        }
        let verdict = judge(&result_of(&run, &outcome, 0.1));
        assert!(matches!(verdict, Verdict::RateNotHeld { .. }), "{stalled}: {verdict:?}");
    }
}
