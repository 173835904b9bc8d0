//! Servers that are gone for a while, and answers that come when their time is over.

use super::*;

/// As many as a dead server must not make expensive.
const MANY: u32 = 1000;

/// `connections` to a server that listens from `until_ns` on.
fn dead_until(until_ns: u64, connections: u32, duration_ns: u64) -> Run {
    let mut run = Run::answering(OK);
    run.model.listeners = vec![Listener::RefuseUntil(until_ns)];
    run.model.service = Service::Constant(50 * MS);
    (run.connections, run.requests, run.duration_ns) = (connections, None, Some(duration_ns));
    run
}

fn refused(run: &Run) -> u64 {
    run.run().0.record.connections.failed.count(ConnectFailure::Refused)
}

#[test]
fn a_dead_server_gets_five_quick_attempts_of_each_connection_and_then_one_a_second() {
    let [early, late] = [2, 5].map(|end| refused(&dead_until(60 * SECOND, MANY, end * SECOND)));
    // 1, 8, 64, 512 ms, each shortened by up to a quarter, and then one second, likewise.
    let each = |count: u64| count as f64 / f64::from(MANY);
    assert!((6.0..=7.2).contains(&each(early)), "{early} attempts in the first two seconds");
    assert!((3.2..=3.6).contains(&each(late - early)), "{} in three more", late - early);
}

#[test]
fn all_connections_are_back_within_a_second_and_a_half_wherever_in_its_pause_each_one_is() {
    for dead_ns in [5 * SECOND, 5 * SECOND + 333 * MS] {
        let run = dead_until(dead_ns, MANY, dead_ns + 3 * SECOND / 2);
        let (outcome, sim) = run.run();
        assert_eq!(outcome.open_max, MANY, "{dead_ns}");
        let connections = &outcome.record.connections;
        assert_eq!((connections.established, connections.open_end), (1000, 1000), "{dead_ns}");
        // Each of them works: it has taken a request before the end.
        assert!(sim.server().requests >= u64::from(MANY), "{dead_ns}");
    }
}

#[test]
fn an_answer_a_little_after_its_time_is_a_timeout_whenever_the_timers_are_looked_at() {
    for (service_ns, is_late) in [(100 * MS, true), (99 * MS, false)] {
        let mut run = Run::answering(OK);
        run.model.service = Service::Constant(service_ns);
        run.model.queue = crate::sim::ServerQueue::PerConnection;
        (run.requests, run.connections, run.timeout_ns) = (Some(60), 7, 100 * MS);
        let (outcome, sim) = run.run();
        let late = if is_late { 60 } else { 0 };
        assert_eq!(failed(&outcome, Failure::Timeout), late, "{service_ns}");
        assert_eq!(completed(&outcome), 60 - late, "{service_ns}");
        assert_eq!(outcome.record.connections.errored, late, "{service_ns}");
        assert_eq!(sim.server().requests, 60, "{service_ns}");
    }
}

#[test]
fn e06_an_answer_that_came_while_the_worker_stood_still_for_too_long_is_a_timeout() {
    for (still_ns, depth) in [(SECOND, 1), (SECOND, 8), (80 * MS, 1), (80 * MS, 8)] {
        let mut run = Run::answering(OK);
        run.model.standstill_ns = Some(SECOND..SECOND + still_ns);
        run.model.service = Service::Constant(MS / 4);
        (run.requests, run.duration_ns) = (None, Some(3 * SECOND));
        (run.connections, run.timeout_ns, run.depth) = (4, 100 * MS, depth);
        let (outcome, _) = run.run();
        let late = if still_ns > run.timeout_ns { 4 } else { 0 };
        assert_eq!(failed(&outcome, Failure::Timeout), late, "{still_ns} {depth}");
        // Nothing that is counted as completed took longer than it might.
        let whole = outcome.record.whole();
        assert_eq!(whole.failed.total() - late, failed(&outcome, Failure::CutOff));
        assert!(outcome.record.latency.max() <= run.timeout_ns, "{still_ns} {depth}");
    }
}
