//! The worker, its connections and its recorder over the simulated backend. The judge is the model
//! server, which counts with a parser of its own.

mod blocks;
mod catalogue;
mod checks;
mod churn;
mod late;
mod mixed;
mod paced;
mod reach;
mod seeds;
mod tls;
mod verdicts;

use std::sync::Arc;

use super::*;
use crate::inspect::{Checks, Inspector};
use crate::io::{CloseKind, Setup, Spin};
use crate::outcome::{ConnectFailure, Failure};
use crate::plan::{Prelude, Request, Targets, deal};
use crate::record::interval_queue;
use crate::result::{Identity, Second, check};
use crate::sim::{Answer, Ending, Faults, Leftover, Listener, Model, Service, Sim, Step};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

/// One simulated run, to be changed where a test needs it otherwise.
struct Run {
    model: Model,
    connections: u32,
    depth: u32,
    requests: Option<u64>,
    pace: Option<Pace>,
    duration_ns: Option<u64>,
    patience: Option<Patience>,
    warmup_ns: u64,
    timeout_ns: u64,
    method: &'static str,
    body: Option<Vec<u8>>,
    addresses: u32,
    requests_max: u64,
    close: CloseKind,
    prelude: Option<Prelude>,
    connect_pace: Option<ConnectPace>,
    /// Fewer scratch buffers than the lane asks for.
    scratch_max: Option<u16>,
    tls: Option<crate::tls::Settings>,
    checks: Checks,
    interval_ns: u64,
}

impl Run {
    fn against(model: Model) -> Self {
        Self {
            model,
            connections: 4,
            depth: 1,
            requests: Some(400),
            pace: None,
            duration_ns: Some(10 * SECOND),
            patience: None,
            warmup_ns: 0,
            timeout_ns: 2 * SECOND,
            method: "GET",
            body: None,
            addresses: 1,
            requests_max: u64::MAX,
            close: CloseKind::Reset,
            prelude: None,
            connect_pace: None,
            scratch_max: None,
            tls: None,
            checks: Checks::default(),
            interval_ns: 3600 * SECOND,
        }
    }

    fn answering(answer: &str) -> Self {
        Self::against(Model::answering(answer.as_bytes().to_vec()))
    }

    /// The worker before its first turn, and the reader of its seconds.
    fn worker(&self) -> (Worker<Sim>, crate::record::IntervalReader) {
        self.worker_on(None)
    }

    fn worker_on(&self, lane: Option<Arc<Lane>>) -> (Worker<Sim>, crate::record::IntervalReader) {
        let request = Request::new(self.method, "/", "h", &[], self.body.as_deref()).unwrap();
        let arena = request.arena(self.depth);
        let (send_buffer_bytes, send_buffers) =
            lane.as_ref().map_or((0, 0), |lane| lane.scratch(self.connections));
        let setup = Setup {
            slots: self.connections,
            arena: Arc::clone(lane.as_ref().map_or(&arena.bytes, |lane| &lane.arena)),
            addresses: vec![([127, 0, 0, 1], 80).into(); self.addresses as usize],
            sources: Vec::new(),
            tcp_congestion: None,
            recv_buffer_bytes: 4096,
            recv_buffers: 16,
            // Fewer than connections, so that some have to wait for one.
            send_buffers: self.scratch_max.unwrap_or_else(|| send_buffers.max(2)),
            send_buffer_bytes: match (&self.prelude, &self.tls) {
                (_, Some(_)) => send_buffer_bytes.max(2048),
                (Some(prelude), None) => prelude.bytes_max().max(send_buffer_bytes),
                (None, None) => send_buffer_bytes,
            },
            spin: Spin::NEVER,
            keeps_deadline: false,
        };
        let shape =
            Shape::new(&request, &arena, self.depth, self.timeout_ns, 2 * SECOND, self.addresses);
        let mut shape = match &self.tls {
            Some(tls) => shape.over_tls(TlsShape { client: tls.client(), arena: arena.bytes }),
            None => shape,
        };
        shape.discards &= !self.checks.needs_bodies();
        let task = Task {
            connections: self.connections,
            connection_first: 0,
            addresses: self.addresses,
            requests: self.requests,
            pace: self.pace.clone(),
            duration_ns: self.duration_ns,
            patience: self.patience,
            warmup_ns: self.warmup_ns,
            drain_ns: SECOND,
            opening_ns: 2 * SECOND,
            connect_pace: self.connect_pace,
            shape: Shape {
                requests_max: self.requests_max,
                close: self.close,
                prelude: self.prelude.clone(),
                ..match &lane {
                    Some(lane) => shape.with_lane(lane),
                    None => shape,
                }
            },
            lane: lane.clone(),
            seed: self.model.seed,
        };
        let (writer, reader) = interval_queue(self.interval_ns);
        let sim = Sim::new(setup, self.model.clone());
        let recorder = match &self.pace {
            Some(_) => Recorder::paced(writer),
            None => Recorder::new(writer),
        };
        let targets = lane.as_ref().map_or(1, |lane| lane.targets().list().len());
        let recorder = recorder.with_targets(lane.map_or(0, |lane| lane.targets().reported()));
        let recorder = if self.tls.is_some() { recorder.with_tls() } else { recorder };
        let inspector = Inspector::new(&self.checks, self.connections, targets);
        let recorder = recorder.inspecting(inspector);
        (Worker::new(sim, task, recorder, CpuTime::default), reader)
    }

    fn run(&self) -> (Outcome, Sim) {
        self.run_worker(self.worker())
    }

    /// The same with several targets.
    fn mixed(&self, targets: &Arc<Targets>) -> (Outcome, Sim) {
        let shares = deal(self.connections, self.requests, 1, &[], self.model.seed);
        let mut lanes = targets.lanes(&shares, self.pace.is_some(), self.depth);
        self.run_worker(self.worker_on(Some(Arc::new(lanes.remove(0)))))
    }

    fn run_worker(
        &self,
        (worker, mut reader): (Worker<Sim>, crate::record::IntervalReader),
    ) -> (Outcome, Sim) {
        let control = Control::over(worker.task.servers());
        control.start_at(0);
        let (outcome, sim) = worker.run(&control);
        let mut seconds: Vec<Second> = Vec::new();
        while let Some(interval) = reader.pop() {
            seconds.push(Second::from(&interval));
        }
        let record = &outcome.record;
        let server = Some(sim.server().requests);
        for check in check(record, std::slice::from_ref(record), &seconds, self.connections, server)
        {
            // Scripted peers do not count requests, so only the model server judges I6.
            let judged = check.identity != Identity::I6 || self.model.listeners.is_empty();
            assert!(check.holds != Some(false) || !judged, "{check:?}");
        }
        assert!(outcome.broke.is_none());
        assert_eq!(sim.leases_out(), 0, "every lease came back");
        assert_eq!(sim.open_slots(), 0, "every socket was closed");
        (outcome, sim)
    }
}

fn completed(outcome: &Outcome) -> u64 {
    outcome.record.whole().completed
}

fn failed(outcome: &Outcome, cause: Failure) -> u64 {
    outcome.record.whole().failed.count(cause)
}

#[test]
fn exactly_n_requests_are_started_and_all_are_answered() {
    for (connections, depth) in [(1, 1), (3, 1), (4, 16), (64, 7)] {
        let mut run = Run::answering(OK);
        (run.connections, run.depth, run.requests) = (connections, depth, Some(1000));
        let (outcome, sim) = run.run();
        assert_eq!(completed(&outcome), 1000);
        assert_eq!(sim.server().requests, 1000);
        assert_eq!(outcome.record.latency.len(), 1000);
        assert_eq!(outcome.open_at_start, connections);
    }
}

#[test]
fn one_connection_sees_exactly_the_round_trip_and_the_service_time() {
    let mut run = Run::answering(OK);
    run.model.service = Service::Constant(3 * MS);
    (run.connections, run.requests) = (1, Some(100));
    let (outcome, _) = run.run();
    let expected_ns = 2 * run.model.one_way_ns + 3 * MS;
    let latency = &outcome.record.latency;
    assert!(latency.min() >= expected_ns, "{} < {expected_ns}", latency.min());
    assert!(latency.max() <= expected_ns + 10 * run.model.turn_cost_ns, "{}", latency.max());
}

#[test]
fn pipelined_answers_each_have_their_own_latency() {
    // A server that takes 10 ms each answers a batch of four after 10, 20, 30 and 40 ms.
    let mut run = Run::answering(OK);
    run.model.service = Service::Constant(10 * MS);
    (run.connections, run.depth, run.requests) = (1, 4, Some(4));
    let (outcome, _) = run.run();
    let slack_ns = MS / 10;
    for (q, ms) in [(0.25, 10), (0.5, 20), (0.75, 30), (1.0, 40)] {
        let latency_ns = outcome.record.latency.quantile(q);
        let least_ns = ms * MS - ms * MS / 1000;
        assert!(latency_ns >= least_ns && latency_ns <= ms * MS + slack_ns, "{q}: {latency_ns}");
    }
}

#[test]
fn the_window_is_as_long_as_asked_and_counts_what_arrives_inside_it() {
    let mut run = Run::answering(OK);
    run.model.service = Service::Constant(MS);
    (run.requests, run.duration_ns, run.warmup_ns) = (None, Some(SECOND), SECOND / 2);
    let (outcome, _) = run.run();
    assert_eq!(outcome.window_end_ns - outcome.window_start_ns, SECOND);
    let window = outcome.record.phase(Phase::Window);
    let per_connection = SECOND / (MS + 2 * run.model.one_way_ns);
    let expected = u64::from(run.connections) * per_connection;
    assert!(window.completed.abs_diff(expected) <= expected / 100, "{}", window.completed);
    assert!(outcome.record.phase(Phase::Warmup).completed > 0);
    assert_eq!(outcome.record.phase(Phase::Drain).started, 0);
    assert_eq!(outcome.record.phase(Phase::Drain).completed, u64::from(run.connections));
}

#[test]
fn the_turn_that_crosses_into_the_window_belongs_to_it() {
    // A server that is always ready: some turn always crosses the boundary with answers in hand.
    for warmup_ns in [SECOND / 100, SECOND / 100 + 1, SECOND / 100 + 777] {
        for depth in [1, 16] {
            let mut run = Run::answering(OK);
            (run.connections, run.depth, run.warmup_ns) = (16, depth, warmup_ns);
            (run.requests, run.duration_ns) = (None, Some(SECOND / 100));
            let (outcome, _) = run.run();
            let window = outcome.record.phase(Phase::Window);
            assert_eq!(outcome.record.latency.len(), window.started);
            assert!(outcome.record.phase(Phase::Warmup).completed > 100);
        }
    }
}

#[test]
fn a_full_queue_delays_receives_but_forgets_none() {
    let mut run = Run::answering(OK);
    run.model.ending = Ending::AfterAnswers { answers: 3, leftover: Leftover::Swallow };
    run.model.queue_ops = 8;
    run.model.faults.stream_ends_ppm = 300_000;
    run.model.faults.no_buffers_ppm = 300_000;
    run.model.faults.recv_split_ppm = 500_000;
    (run.connections, run.requests) = (64, Some(3000));
    let (outcome, _) = run.run();
    assert_eq!(failed(&outcome, Failure::Timeout), 0);
    assert_eq!(outcome.record.inflight_end, 0);
    assert_eq!(completed(&outcome) + outcome.record.whole().failed.total(), 3000);
}

#[test]
fn an_answer_that_never_comes_is_a_timeout_and_the_connection_is_replaced() {
    let mut run = Run::answering(OK);
    run.model.service = Service::Constant(5 * SECOND);
    (run.requests, run.connections, run.timeout_ns) = (Some(3), 1, 100 * MS);
    run.depth = 2;
    let (outcome, _) = run.run();
    assert_eq!(failed(&outcome, Failure::Timeout), 2);
    assert_eq!(failed(&outcome, Failure::CutOff), 1);
    assert_eq!(outcome.record.connections.errored, 2);
}

#[test]
fn requests_unresolved_after_the_drain_are_counted_as_such() {
    let mut run = Run::answering(OK);
    run.model.service = Service::Constant(60 * SECOND);
    (run.requests, run.duration_ns, run.timeout_ns) = (None, Some(SECOND), 100 * SECOND);
    let (outcome, _) = run.run();
    assert_eq!((outcome.record.inflight_end, completed(&outcome)), (4, 0));
    assert!(outcome.record.unanswered.min() >= 2 * SECOND - MS);
}

#[test]
fn a_server_that_closes_after_k_answers_cuts_off_the_pipelined_rest() {
    let mut run = Run::answering(OK);
    run.model.ending = Ending::AfterAnswers { answers: 10, leftover: Leftover::Swallow };
    (run.connections, run.depth, run.requests) = (2, 4, Some(1000));
    let (outcome, sim) = run.run();
    assert_eq!(completed(&outcome), sim.server().answers);
    assert!(failed(&outcome, Failure::CutOff) > 0);
    assert_eq!(failed(&outcome, Failure::Reset), 0);
    assert!(outcome.record.connections.closed_by_peer > 10);
    assert!(completed(&outcome) + outcome.record.whole().failed.total() == 1000);
}

#[test]
fn an_announced_close_costs_no_request() {
    let answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello";
    let mut run = Run::answering(answer);
    run.model.ending = Ending::AfterAnswers { answers: 1, leftover: Leftover::Reset };
    let (outcome, sim) = run.run();
    assert_eq!((completed(&outcome), sim.server().requests), (400, 400));
    let connections = &outcome.record.connections;
    assert!(connections.closed_by_peer >= 396, "the peer goes first: {connections:?}");
    assert_eq!(connections.attempts, connections.established + connections.connecting_end);
}

#[test]
fn an_announced_close_that_does_not_come_is_ours() {
    let answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello";
    let (outcome, _) = Run::answering(answer).run();
    assert_eq!(completed(&outcome), 400);
    assert!(outcome.record.connections.closed_by_us >= 396);
}

#[test]
fn a_reset_ends_the_oldest_request_and_cuts_off_the_others() {
    let mut run = Run::answering(OK);
    run.model.ending = Ending::CutAnswer { answers: 0, bytes: 0, reset: true };
    (run.connections, run.depth, run.requests) = (1, 4, Some(8));
    let (outcome, _) = run.run();
    assert_eq!((failed(&outcome, Failure::Reset), failed(&outcome, Failure::CutOff)), (2, 6));
}

#[test]
fn a_close_before_any_answer_is_eof_and_one_inside_the_body_is_eof_body() {
    for (bytes, cause) in [(0, Failure::Eof), (10, Failure::Eof), (41, Failure::EofBody)] {
        let mut run = Run::answering(OK);
        run.model.ending = Ending::CutAnswer { answers: 0, bytes, reset: false };
        (run.connections, run.requests) = (1, Some(5));
        let (outcome, _) = run.run();
        assert_eq!(failed(&outcome, cause), 5, "{cause:?} after {bytes} bytes");
    }
}

#[test]
fn a_kept_connection_that_ends_as_the_next_request_leaves_is_stale() {
    let mut run = Run::answering(OK);
    run.model.ending = Ending::AfterAnswers { answers: 1, leftover: Leftover::Swallow };
    (run.connections, run.requests) = (1, Some(100));
    let (outcome, sim) = run.run();
    assert_eq!(completed(&outcome), sim.server().answers);
    assert_eq!(failed(&outcome, Failure::Stale), 50);
}

#[test]
fn a_broken_answer_is_counted_and_its_connection_given_up() {
    let mut run = Run::answering("HTTP/1.1 2OO OK\r\n\r\n");
    (run.connections, run.depth, run.requests) = (1, 2, Some(6));
    let (outcome, _) = run.run();
    assert_eq!((failed(&outcome, Failure::Parse), failed(&outcome, Failure::CutOff)), (3, 3));
}

#[test]
fn large_bodies_are_discarded_to_the_byte_and_small_ones_in_between_too() {
    let large = |bytes: u64| Answer {
        bytes: format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n").into_bytes(),
        fill_bytes: bytes,
    };
    let small = Answer::from(OK.as_bytes().to_vec());
    for depth in [1, 5] {
        let mut run = Run::answering(OK);
        run.model.answers = vec![large(1 << 20), small.clone(), large(65_536), large(20_000)];
        run.model.answers.extend(std::iter::repeat_n(small.clone(), 20));
        (run.connections, run.depth, run.requests) = (3, depth, Some(720));
        let (outcome, sim) = run.run();
        assert_eq!(completed(&outcome), 720);
        assert_eq!(outcome.record.whole().bytes_in, sim.server().bytes_out);
        let bodies = [1 << 20, 5, 65_536, 20_000].into_iter().chain(std::iter::repeat(5));
        let sent: u64 = sim.answers_of().iter().zip(bodies).map(|(count, body)| count * body).sum();
        assert!(sent > 25 * (1 << 20), "each connection gets them in turn");
        assert_eq!(outcome.record.bytes.body, sent);
    }
}

#[test]
fn a_body_of_ten_gibibytes_is_counted_exactly() {
    let bytes = 10_u64 << 30;
    let mut run = Run::answering(OK);
    run.model.answers = vec![Answer {
        bytes: format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n").into_bytes(),
        fill_bytes: bytes,
    }];
    run.model.send_window_bytes = 64 << 20;
    (run.connections, run.requests, run.timeout_ns) = (1, Some(2), 3600 * SECOND);
    run.duration_ns = None;
    let (outcome, _) = run.run();
    assert_eq!((completed(&outcome), outcome.record.bytes.body), (2, 2 * bytes));
}

#[test]
fn a_close_delimited_answer_ends_with_its_connection() {
    let mut run = Run::answering("HTTP/1.1 200 OK\r\n\r\nhello");
    run.model.ending = Ending::AfterAnswers { answers: 1, leftover: Leftover::Swallow };
    let (outcome, _) = run.run();
    assert_eq!(completed(&outcome), 400);
    assert_eq!(outcome.record.bytes.body, 2000);
}

#[test]
fn head_answers_have_no_body_and_large_requests_are_sent_whole() {
    let mut run = Run::answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    run.method = "HEAD";
    assert_eq!(completed(&run.run().0), 400);
    let mut run = Run::answering(OK);
    (run.method, run.body, run.depth) = ("POST", Some(vec![b'x'; 300_000]), 3);
    let (outcome, sim) = run.run();
    assert_eq!((completed(&outcome), sim.server().requests), (400, 400));
}

#[test]
fn a_target_that_refuses_is_retried_with_growing_pauses_and_all_come_back() {
    let mut run = Run::answering(OK);
    run.model.listeners = vec![Listener::RefuseUntil(5 * SECOND)];
    run.model.service = Service::Constant(20 * MS);
    (run.connections, run.requests, run.duration_ns) = (100, None, Some(8 * SECOND));
    let (outcome, _) = run.run();
    let connections = &outcome.record.connections;
    // 1, 8, 64, 512 ms and then once a second: about 10 attempts in 5 s.
    let refused = connections.failed.count(ConnectFailure::Refused);
    assert!((850..=1150).contains(&refused), "{refused}");
    assert_eq!((outcome.open_at_start, outcome.open_max), (0, 100));
    assert_eq!(connections.open_end, 100);
}

#[test]
fn connections_are_spread_evenly_and_go_on_where_nobody_listens() {
    let mut run = Run::answering(OK);
    run.model.listeners = vec![Listener::Serve, Listener::Refuse];
    (run.connections, run.addresses) = (10, 2);
    let (outcome, _) = run.run();
    assert_eq!((outcome.open_at_start, completed(&outcome)), (10, 400));
    // Half of them met the address where nobody listens, and went on to the other.
    assert_eq!(outcome.record.connections.failed.count(ConnectFailure::Refused), 5);
}

#[test]
fn an_attempt_without_an_answer_is_given_up_in_time() {
    let mut run = Run::answering(OK);
    run.model.listeners = vec![Listener::Blackhole];
    (run.requests, run.duration_ns) = (None, Some(3 * SECOND));
    let (outcome, _) = run.run();
    assert!(outcome.record.connections.failed.count(ConnectFailure::Timeout) >= 4);
    assert!(outcome.window_end_ns <= 4 * SECOND, "{}", outcome.window_end_ns);
}

#[test]
fn bytes_nobody_asked_for_are_stray_and_end_the_connection() {
    let twice = format!("{OK}{OK}");
    let mut run = Run::against(Model::scripted(vec![Listener::Script(vec![
        Step::Read(27),
        Step::Write(twice.into_bytes()),
    ])]));
    (run.connections, run.requests) = (1, Some(10));
    let (outcome, _) = run.run();
    assert_eq!(completed(&outcome), 10);
    assert_eq!(outcome.record.bytes.stray, 10 * OK.len() as u64);
    assert_eq!(outcome.record.notices.unsolicited, 10);
}

#[test]
fn bytes_behind_a_body_that_is_discarded_are_stray_too() {
    for body_bytes in [5, 3000, 20_000, 65_536, 1 << 20] {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {body_bytes}\r\n\r\n");
        for behind in ["x", OK] {
            let answer = [head.as_bytes(), &vec![b'b'; body_bytes], behind.as_bytes()].concat();
            let script = vec![Step::Read(27), Step::Write(answer)];
            let mut run = Run::against(Model::scripted(vec![Listener::Script(script)]));
            (run.connections, run.requests) = (1, Some(10));
            let (outcome, _) = run.run();
            let bytes = outcome.record.bytes;
            assert_eq!(completed(&outcome), 10, "{body_bytes}");
            assert_eq!(bytes.body, 10 * body_bytes as u64);
            // What is behind the last of them may be left where it is.
            let unsolicited = outcome.record.notices.unsolicited;
            assert!((9..=10).contains(&unsolicited), "{body_bytes}: {unsolicited}");
            assert_eq!(bytes.stray, unsolicited * behind.len() as u64);
        }
    }
}

#[test]
fn an_answer_to_a_request_that_has_not_left_whole_ends_its_connection() {
    let early = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno";
    // It reads no further, and closes nothing.
    let script = vec![Step::Read(100), Step::Write(early.into()), Step::Pause(3600 * SECOND)];
    for depth in [1, 3] {
        let mut run = Run::against(Model::scripted(vec![Listener::Script(script.clone())]));
        run.model.send_window_bytes = 64 << 10;
        (run.method, run.body, run.depth) = ("POST", Some(vec![b'x'; 1 << 20]), depth);
        (run.connections, run.requests) = (2, Some(6 * u64::from(depth)));
        let (outcome, _) = run.run();
        let requests = 6 * u64::from(depth);
        assert_eq!((completed(&outcome), outcome.record.whole().failed.total()), (requests, 0));
        assert_eq!(outcome.record.connections.closed_by_us, requests);
    }
}

#[test]
fn a_pipeline_is_kept_full_and_a_deep_one_at_least_half() {
    for (depth, least) in [(2, 1.9), (3, 2.9), (7, 6.8), (16, 11.5)] {
        let mut run = Run::answering(OK);
        // One answer after the other, so that each finds the others outstanding.
        (run.model.service, run.model.one_way_ns) = (Service::Constant(MS), 1000);
        (run.connections, run.depth, run.requests) = (1, depth, Some(400));
        let (outcome, _) = run.run();
        let length_ns = (outcome.window_end_ns - outcome.window_start_ns) as f64;
        let inflight = outcome.record.inflight_integral_ns as f64 / length_ns;
        assert!(inflight >= least && inflight <= f64::from(depth), "{depth}: {inflight}");
    }
}

#[test]
fn no_seed_breaks_an_identity_whatever_goes_wrong() {
    for seed in 0..200 {
        let mut rng = Rng::new(seed);
        let mut run = Run::answering(OK);
        run.model.seed = seed;
        run.model.faults = Faults::swarm(&mut rng);
        run.model.ending = match rng.below(5) {
            0 => Ending::AfterAnswers {
                answers: 1 + rng.below(20) as u32,
                leftover: Leftover::Reset,
            },
            1 => Ending::ResetAfterAnswers(1 + rng.below(20) as u32),
            2 => Ending::CutAnswer {
                answers: rng.below(9) as u32,
                bytes: rng.below(45),
                reset: rng.below(2) == 0,
            },
            _ => Ending::Never,
        };
        run.model.service = Service::Exponential { mean_ns: 1 + rng.below(2 * MS) };
        if rng.below(2) == 0 {
            let bytes = rng.below(200_000);
            run.model.answers.push(Answer {
                bytes: format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n").into_bytes(),
                fill_bytes: bytes,
            });
        }
        run.connections = 1 + rng.below(9) as u32;
        run.depth = 1 + rng.below(9) as u32;
        run.timeout_ns = (1 + rng.below(50)) * MS;
        (run.requests, run.duration_ns) = (Some(1 + rng.below(500)), Some(SECOND));
        let (outcome, sim) = run.run();
        assert!(completed(&outcome) <= sim.server().requests, "seed {seed}");
        if seed % 16 == 0 {
            let (again, _) = run.run();
            assert_eq!(outcome.record, again.record, "seed {seed} is not the same twice");
        }
    }
}

#[test]
fn a_worker_that_wakes_after_its_whole_window_starts_nothing() {
    for pace in [None, Some("100")] {
        for warmup_ns in [0, SECOND / 10] {
            let mut run = match pace {
                None => Run::answering(OK),
                Some(rate) => paced::paced(rate, SECOND),
            };
            (run.requests, run.duration_ns, run.warmup_ns) = (None, Some(SECOND), warmup_ns);
            // Before it sees its connections open it loses its CPU until long after.
            run.model.one_way_ns = MS;
            run.model.standstill_ns = Some(MS..10 * SECOND);
            let (outcome, sim) = run.run();
            assert_eq!(sim.server().requests, 0);
            assert_eq!(outcome.record.whole().started, 0);
            assert_eq!(
                outcome.record.phase(Phase::Window).unsent,
                if pace.is_some() { 100 } else { 0 }
            );
            assert_eq!(outcome.window_end_ns - outcome.window_start_ns, SECOND);
            assert!(outcome.turn_gap_ns_max >= 9 * SECOND, "{}", outcome.turn_gap_ns_max);
            assert_eq!(outcome.open_at_start, run.connections);
        }
    }
}

#[test]
fn connections_are_gone_through_only_when_one_of_them_may_have_waited_too_long() {
    let mut run = Run::answering(OK);
    run.timeout_ns = 500 * MS;
    run.model.service = Service::Constant(MS / 4);
    let (mut worker, _) = run.worker();
    let mut done = Completions::with_capacity(limits::COMPLETIONS_PER_TURN);
    let mut walks = 0;
    let mut expiry_ns = worker.next_expiry_ns;
    worker.recorder.enter(Phase::Warmup);
    worker.window.start_ns = u64::MAX;
    while worker.recorder.now_ns() < 5 * SECOND {
        worker.turn(u64::MAX, &mut done).unwrap();
        if worker.next_expiry_ns != expiry_ns {
            (walks, expiry_ns) = (walks + 1, worker.next_expiry_ns);
        }
    }
    // Answers come within a millisecond, so nothing can be late for half a second at a time.
    assert!((8..=12).contains(&walks), "{walks} walks in five seconds");
}
