//! The same search over whole runs of a worker in the simulation: real schedule, codec, connections
//! and recorder, and a single server behind them.

use std::sync::Arc;

use super::*;
use crate::io::{Setup, Spin};
use crate::plan::Request;
use crate::record::{Phase, Recorder, interval_queue};
use crate::result::threshold::Threshold;
use crate::schedule::{Arrivals, Cursor, Profile};
use crate::sim::{Model, ServerQueue, Service, Sim};
use crate::units::Rate;
use crate::worker::{Control, CpuTime, Outcome, Pace, Shape, Task, Worker};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;
const CONNECTIONS: u32 = 16;
/// Stretches that a trial is cut into.
const STRETCHES: u64 = 8;

/// A run at `rate_per_s` for `length_ns` against a server that takes `service_ns` for each request.
fn run(rate_per_s: f64, length_ns: u64, service_ns: u64) -> Outcome {
    let request = Request::new("GET", "/", "h", &[], None).unwrap();
    let arena = request.arena(1);
    let rate = Rate::new((rate_per_s * 1000.0) as u64, 1000 * SECOND).unwrap();
    let profile = Arc::new(Profile::constant(rate, Some(length_ns)).unwrap());
    let pace = Pace {
        window: Cursor::new(Arc::clone(&profile), Arrivals::Constant, 0, 1, 1, None),
        warmup: None,
        profile,
        arrivals: Arrivals::Constant,
        workers: 1,
        deadline_ns: None,
    };
    let setup = Setup {
        slots: CONNECTIONS,
        arena: Arc::clone(&arena.bytes),
        addresses: vec![([127, 0, 0, 1], 80).into()],
        sources: Vec::new(),
        tcp_congestion: None,
        recv_buffer_bytes: 4096,
        recv_buffers: 16,
        send_buffers: 0,
        send_buffer_bytes: 0,
        spin: Spin::NEVER,
        keeps_deadline: true,
    };
    let task = Task {
        connections: CONNECTIONS,
        connection_first: 0,
        addresses: 1,
        requests: None,
        pace: Some(pace),
        duration_ns: Some(length_ns),
        patience: None,
        warmup_ns: 0,
        drain_ns: 10 * SECOND,
        opening_ns: SECOND,
        connect_pace: None,
        lane: None,
        shape: Shape::new(&request, &arena, 1, 60 * SECOND, SECOND, 1),
        seed: 1,
    };
    let mut model = Model::answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec());
    (model.one_way_ns, model.turn_cost_ns) = (100, 50);
    model.queue = ServerQueue::SingleFifo;
    model.service = Service::Constant(service_ns);
    let (writer, _reader) = interval_queue(3600 * SECOND);
    let worker =
        Worker::new(Sim::new(setup, model), task, Recorder::paced(writer), CpuTime::default);
    let control = Control::default();
    control.start_at(0);
    worker.run(&control).0
}

/// A trial. A run is a function of its plan, so a longer one begins as a shorter one: the difference
/// of their counts is what the stretch between their ends had.
fn trial(ask: &Ask, claims: &[Claim], service_ns: u64) -> Trial {
    let limits = limits_ns(claims);
    let mut before = vec![0.0; limits.len() + 2];
    let mut batches = vec![Vec::new(); claims.len()];
    for stretch in 1..=STRETCHES {
        let outcome = run(ask.rate_per_s, ask.length_ns * stretch / STRETCHES, service_ns);
        let (record, window) = (&outcome.record, outcome.record.phase(Phase::Window));
        let unanswered = window.unsent as f64;
        let over = limits.iter().map(|&ns| record.latency.count_above(ns) as f64 + unanswered);
        let waiting = (window.due - window.completed) as f64;
        let now: Vec<f64> = over.chain([window.due as f64, waiting]).collect();
        let since = |at: usize| now[at] - before[at];
        let total = since(limits.len());
        batches[0].push(Batch { bad: since(0), near: since(1), total });
        batches[1].push(Batch { bad: since(limits.len() + 1), near: 0.0, total });
        before = now;
    }
    Trial {
        rate_per_s: ask.rate_per_s,
        length_ns: ask.length_ns,
        used_ns: ask.length_ns,
        claims: batches,
        achieved_per_s: ask.rate_per_s,
        due: before[limits.len()] as u64,
        failed: 0,
        unanswered: 0,
        latency: None,
        server: None,
        spoiled: None,
    }
}

#[test]
fn the_bracket_holds_the_capacity_of_a_server_in_the_simulation() {
    for service_ns in [1_930_000, 2_000_000, 2_110_000] {
        let truth = 1e9 / service_ns as f64;
        let claims = vec![Claim::of(Threshold::parse("p99<20ms").unwrap()), Claim::Steady];
        let config = Config {
            claims: claims.clone(),
            width: 0.04,
            budget_ns: 40 * SECOND,
            with_curve: false,
        };
        let mut capacity = Capacity::new(config);
        let mut elapsed_ns = 0;
        let ended = loop {
            match capacity.next(elapsed_ns) {
                Next::Probe(length_ns) => {
                    elapsed_ns += length_ns;
                    // As a closed loop that saturates it.
                    let outcome = run(2.0 * truth, length_ns, service_ns);
                    let completed = outcome.record.phase(Phase::Window).completed;
                    capacity.probed(completed as f64 * 1e9 / length_ns as f64);
                }
                Next::Trial(ask) => {
                    elapsed_ns += ask.length_ns + ask.rest_ns + 300 * MS;
                    capacity.tried(&trial(&ask, &claims, service_ns));
                }
                Next::Done(ended) => break ended,
            }
        };
        let (low, high) = capacity.bracket();
        let (low, high) = (low.unwrap().rate_per_s, high.unwrap().rate_per_s);
        assert_eq!(ended, Ended::Narrow, "{low} to {high}");
        // 20 ms of backlog take a while to build up.
        assert!(low <= truth * 1.01 && truth <= high, "{low} to {high} for {truth}");
        assert!(high / low <= 1.041, "{low} to {high}");
    }
}
