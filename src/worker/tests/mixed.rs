//! Several targets on one worker: the order they leave in, what is counted of each, and servers of
//! their own. The judge is a scripted peer that keeps what it was sent, or the model server.

use super::*;
use crate::plan::{Body, Lines, Origin, Target, Text};
use crate::record::TargetRecord;
use crate::schedule::Arrivals;

/// A target by method, path, weight and origin.
pub(super) fn target(method: &str, path: &str, weight: u32, origin: u32) -> Target {
    let request = Request::with_placeholders(method, path, "h", &[], Body::None).unwrap();
    Target { name: format!("{method} {path}"), weight, origin, request }
}

fn origins(count: u32) -> Vec<Origin> {
    (0..count)
        .map(|at| Origin { name: format!("http://h{at}"), address_first: at, addresses: 1 })
        .collect()
}

pub(super) fn targets(list: Vec<Target>, origins_count: u32) -> Arc<Targets> {
    Arc::new(Targets::new(list, origins(origins_count)).unwrap())
}

pub(super) fn on_schedule(run: &mut Run, rate: &str, duration_ns: u64) {
    let profile = paced::profile(rate, Some(duration_ns));
    run.pace = Some(paced::pace_of(&profile, Arrivals::Constant, 0, 1));
    (run.requests, run.duration_ns) = (None, Some(duration_ns));
}

fn started(record: &TargetRecord) -> u64 {
    record.whole().started
}

#[test]
fn every_target_has_exactly_its_share_at_any_depth_and_number_of_connections() {
    let list =
        || vec![target("GET", "/a", 5, 0), target("GET", "/b", 3, 0), target("GET", "/c", 2, 0)];
    for (connections, depth, requests) in [(1, 1, 10), (3, 1, 997), (4, 16, 1000), (64, 7, 1003)] {
        let mut run = Run::answering(OK);
        (run.connections, run.depth, run.requests) = (connections, depth, Some(requests));
        let (outcome, sim) = run.mixed(&targets(list(), 1));
        assert_eq!((completed(&outcome), sim.server().requests), (requests, requests));
        let shares = [5, 3, 2].map(|weight| requests * weight / 10);
        for (record, share) in outcome.record.targets.iter().zip(shares) {
            let count = started(record);
            assert!(count.abs_diff(share) <= 1, "{count} of {requests}, asked {share}");
            assert_eq!(record.whole().completed, count);
            assert_eq!(record.latency.len(), count);
        }
        if requests % 10 == 0 {
            let counts: Vec<u64> = outcome.record.targets.iter().map(started).collect();
            assert_eq!(counts, shares);
        }
    }
}

#[test]
fn the_window_begins_the_order_anew() {
    let mut run = Run::answering(OK);
    (run.warmup_ns, run.requests) = (50 * MS, Some(2));
    let (outcome, _) =
        run.mixed(&targets(vec![target("GET", "/a", 1, 0), target("GET", "/b", 1, 0)], 1));
    let window = |at: usize| outcome.record.targets[at].phase(Phase::Window).started;
    assert_eq!((window(0), window(1)), (1, 1));
    assert!(outcome.record.phase(Phase::Warmup).started > 2);
}

#[test]
fn a_head_among_gets_is_answered_without_a_body() {
    let list = [("GET", "/a", 2), ("HEAD", "/b", 1), ("GET", "/c", 1)];
    let list = || list.map(|(method, path, weight)| target(method, path, weight, 0)).to_vec();
    let head = OK.strip_suffix("hello").unwrap();
    // The order is A B A C.
    let round = [(27, OK), (28, head), (27, OK), (27, OK)];
    let step = |(bytes, answer): (usize, &str)| [Step::Read(bytes), Step::Write(answer.into())];
    for depth in [1, 2, 3, 16] {
        let mut run = Run::answering(OK);
        let rounds = std::iter::repeat_n(round, 25).flatten();
        run.model.listeners = vec![Listener::Script(rounds.flat_map(step).collect())];
        (run.connections, run.depth, run.requests) = (1, depth, Some(100));
        let (outcome, _) = run.mixed(&targets(list(), 1));
        assert_eq!(completed(&outcome), 100, "depth {depth}");
        assert_eq!(outcome.record.bytes.body, 75 * 5, "depth {depth}");
        assert_eq!(outcome.record.connections.attempts, 1);
    }
}

#[test]
fn failures_belong_to_the_target_that_failed() {
    let mut run = Run::answering(OK);
    run.model.ending = Ending::CutAnswer { answers: 3, bytes: 10, reset: false };
    (run.connections, run.requests) = (1, Some(40));
    let (outcome, _) =
        run.mixed(&targets(vec![target("GET", "/a", 3, 0), target("GET", "/b", 1, 0)], 1));
    let failed: Vec<u64> =
        outcome.record.targets.iter().map(|record| record.whole().failed.total()).collect();
    assert_eq!(failed.iter().sum::<u64>(), outcome.record.whole().failed.total());
    // The order is A A B A, and of four answers the last is cut.
    assert_eq!(failed, [10, 0]);
}

#[test]
fn a_schedule_keeps_the_order_by_index() {
    let mut run = Run::answering(OK);
    on_schedule(&mut run, "1000", 90 * MS);
    let list = vec![target("GET", "/a", 2, 0), target("GET", "/b", 1, 0)];
    let (outcome, _) = run.mixed(&targets(list, 1));
    let counts: Vec<u64> = outcome.record.targets.iter().map(started).collect();
    assert_eq!(counts, [60, 30]);
}

#[test]
fn several_servers_get_their_exact_shares_and_connections_of_their_own() {
    for paced in [false, true] {
        for depth in [1, 4] {
            let mut run = Run::answering(OK);
            (run.connections, run.depth, run.requests) = (5, depth, Some(400));
            run.addresses = 2;
            if paced {
                on_schedule(&mut run, "1000", 400 * MS);
            }
            let list = vec![target("GET", "/a", 3, 0), target("GET", "/b", 1, 1)];
            let (outcome, sim) = run.mixed(&targets(list, 2));
            assert_eq!((completed(&outcome), sim.server().requests), (400, 400));
            let counts: Vec<u64> = outcome.record.targets.iter().map(started).collect();
            assert_eq!(counts, [300, 100], "paced {paced}, depth {depth}");
        }
    }
}

#[test]
fn a_server_that_is_down_holds_the_mix() {
    let mut run = Run::answering(OK);
    run.model.listeners = vec![Listener::Serve, Listener::Refuse];
    (run.connections, run.requests, run.addresses) = (4, None, 2);
    run.duration_ns = Some(SECOND);
    let list = vec![target("GET", "/a", 3, 0), target("GET", "/b", 1, 1)];
    let (outcome, _) = run.mixed(&targets(list, 2));
    // The requests before the first one for the other server.
    assert!(outcome.record.whole().started <= 3, "{}", outcome.record.whole().started);
}

#[test]
fn placeholders_are_filled_in_order_and_a_batch_is_one_send() {
    for depth in [1, 4] {
        let mut run = Run::answering(OK);
        (run.connections, run.depth, run.requests) = (1, depth, Some(8));
        let lines = Arc::new(Lines::new(b"a\nbb{{seq}}\n\n").unwrap());
        let request =
            Request::with_placeholders("POST", "/{{seq}}", "h", &[], Body::InTurn(lines)).unwrap();
        let wire = |k: usize| {
            let seq = format!("{k:016}");
            let body = ["a".to_owned(), format!("bb{seq}"), String::new()][k % 3].clone();
            let length = body.len();
            format!("POST /{seq} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{body}")
        };
        let step = |k| [Step::Read(wire(k).len()), Step::Write(OK.into())];
        run.model.listeners = vec![Listener::Script((0..8).flat_map(step).collect())];
        let list = vec![Target { request, ..target("GET", "/", 1, 0) }];
        let (outcome, sim) = run.mixed(&targets(list, 1));
        let read = String::from_utf8_lossy(&sim.seen()[0].read).into_owned();
        assert_eq!(read, (0..8).map(wire).collect::<String>(), "depth {depth}");
        assert_eq!(completed(&outcome), 8);
    }
}

#[test]
fn what_varies_goes_out_whole_whatever_the_network_does() {
    let body = Body::Same(Text::typed(b"{\"id\":\"{{uuid}}\"}"));
    let request = Request::with_placeholders("POST", "/{{seq}}", "h", &[], body).unwrap();
    for seed in 1..20 {
        let mut run = Run::answering(OK);
        run.model.seed = seed;
        run.model.faults =
            Faults { short_send_ppm: 300_000, queue_full_ppm: 50_000, ..Faults::default() };
        (run.connections, run.depth, run.requests) = (5, 4, Some(300));
        let list = vec![Target { request: request.clone(), ..target("GET", "/", 1, 0) }];
        let (outcome, sim) = run.mixed(&targets(list, 1));
        assert_eq!((completed(&outcome), sim.server().requests), (300, 300), "seed {seed}");
    }
}

#[test]
fn scratch_that_is_short_makes_connections_wait_and_loses_nothing() {
    let request = Request::with_placeholders("GET", "/{{seq}}", "h", &[], Body::None).unwrap();
    for paced in [false, true] {
        let mut run = Run::answering(OK);
        (run.connections, run.requests, run.scratch_max) = (16, Some(500), Some(2));
        if paced {
            on_schedule(&mut run, "5000", 100 * MS);
        }
        let list = vec![Target { request: request.clone(), ..target("GET", "/", 1, 0) }];
        let (outcome, sim) = run.mixed(&targets(list, 1));
        assert_eq!((completed(&outcome), sim.server().requests), (500, 500), "paced {paced}");
    }
}
