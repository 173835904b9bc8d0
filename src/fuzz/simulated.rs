//! Whole workers in worlds that the bytes describe, on the simulated backend.
//!
//! The claims are the counting identities, which hold in every world, and that a run ends, gives
//! back what it took, and is the same twice.

use std::sync::Arc;

use super::input::Input;
use crate::inspect::{Checks, Inspector, Reference};
use crate::io::{Setup, Spin};
use crate::plan::Request;
use crate::record::{Recorder, interval_queue};
use crate::result::{Second, check};
use crate::rng::Rng;
use crate::sim::{Answer, Ending, Faults, Leftover, Listener, Model, Service, Sim};
use crate::worker::{Control, CpuTime, Outcome, Shape, Task, Worker};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;
/// Enough for requests of several rounds on every connection; more only takes longer.
const REQUESTS_MAX: u64 = 200;

const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

/// One world and the load on it.
struct World {
    model: Model,
    /// The answers are the fuzzer's, so the model server's count judges nothing.
    is_hostile: bool,
    connections: u32,
    depth: u32,
    requests: u64,
    timeout_ns: u64,
    checks: Checks,
}

fn world(data: &[u8]) -> World {
    let mut input = Input::new(data);
    let seed = input.long();
    let mut rng = Rng::new(seed);
    let mut model = Model::answering(GOOD.to_vec());
    model.seed = seed;
    model.faults = Faults::swarm(&mut rng);
    let (count, bytes) = (u32::from(input.byte() % 24), u64::from(input.byte()));
    model.ending = match input.byte() % 8 {
        0 => Ending::AfterAnswers { answers: count + 1, leftover: Leftover::Reset },
        1 => Ending::AfterAnswers { answers: count + 1, leftover: Leftover::Swallow },
        2 => Ending::ResetAfterAnswers(count + 1),
        3 => Ending::CutAnswer { answers: count, bytes, reset: true },
        4 => Ending::CutAnswer { answers: count, bytes, reset: false },
        _ => Ending::Never,
    };
    model.listeners = match input.byte() % 8 {
        0 => vec![Listener::Serve, Listener::Refuse],
        1 => vec![Listener::RefuseUntil(u64::from(input.byte()) * MS)],
        2 => vec![Listener::Serve, Listener::Blackhole],
        3 => vec![Listener::Unreachable, Listener::Serve],
        _ => Vec::new(),
    };
    model.service = match input.byte() % 4 {
        0 => Service::Constant(u64::from(input.byte()) * MS / 8),
        _ => Service::Exponential { mean_ns: 1 + rng.below(2 * MS) },
    };
    if input.byte().is_multiple_of(2) {
        let fill_bytes = u64::from(input.short()) * 4;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {fill_bytes}\r\n\r\n");
        model.answers.push(Answer { bytes: head.into_bytes(), fill_bytes });
    }
    let (connections, depth) = (1 + u32::from(input.byte() % 9), 1 + u32::from(input.byte() % 9));
    let requests = 1 + u64::from(input.byte()) % REQUESTS_MAX;
    let timeout_ns = (1 + u64::from(input.byte() % 64)) * MS;
    let raw = input.take(2048);
    if !raw.is_empty() {
        model.answers.push(Answer::from(raw.to_vec()));
    }
    // Half of the worlds are looked at: each answer is then counted in several more ways.
    let checks = Checks {
        body_bytes: seed.is_multiple_of(2).then_some(5),
        body_hash: seed.is_multiple_of(4).then_some(Reference::First),
        group_by: seed.is_multiple_of(2).then(|| "Server".to_owned()),
        ..Checks::default()
    };
    let is_hostile = !raw.is_empty();
    World { model, is_hostile, connections, depth, requests, timeout_ns, checks }
}

/// Runs a world to its end and holds it to the identities.
fn run(world: &World) -> (Outcome, u64) {
    const ADDRESSES: u32 = 2;
    let request = Request::new("GET", "/", "h", &[], None).expect("a plain request");
    let arena = request.arena(world.depth);
    let setup = Setup {
        slots: world.connections,
        arena: Arc::clone(&arena.bytes),
        addresses: vec![([127, 0, 0, 1], 80).into(); ADDRESSES as usize],
        sources: Vec::new(),
        tcp_congestion: None,
        recv_buffer_bytes: 4096,
        recv_buffers: 16,
        send_buffers: 0,
        send_buffer_bytes: 0,
        spin: Spin::NEVER,
        keeps_deadline: false,
    };
    let mut shape =
        Shape::new(&request, &arena, world.depth, world.timeout_ns, world.timeout_ns, ADDRESSES);
    shape.discards = !world.checks.needs_bodies();
    let task = Task {
        connections: world.connections,
        connection_first: 0,
        addresses: ADDRESSES,
        requests: Some(world.requests),
        pace: None,
        duration_ns: Some(SECOND),
        patience: None,
        warmup_ns: 0,
        drain_ns: SECOND,
        opening_ns: 2 * SECOND,
        connect_pace: None,
        shape,
        lane: None,
        seed: world.model.seed,
    };
    let (writer, mut reader) = interval_queue(3600 * SECOND);
    let sim = Sim::new(setup, world.model.clone());
    let inspector = Inspector::new(&world.checks, world.connections, 1);
    let recorder = Recorder::new(writer).inspecting(inspector);
    let worker = Worker::new(sim, task, recorder, CpuTime::default);
    let control = Control::default();
    control.start_at(0);
    let (outcome, sim) = worker.run(&control);
    let mut seconds = Vec::new();
    while let Some(interval) = reader.pop() {
        seconds.push(Second::from(&interval));
    }
    let record = &outcome.record;
    let server = (!world.is_hostile).then(|| sim.server().requests);
    let each = std::slice::from_ref(record);
    for check in check(record, each, &seconds, world.connections, server) {
        assert!(!check.is_broken(), "{check:?}");
    }
    assert!(outcome.broke.is_none(), "{:?}", outcome.broke);
    assert_eq!(sim.leases_out(), 0, "every lease came back");
    assert_eq!(sim.open_slots(), 0, "every socket was closed");
    (outcome, sim.digest())
}

/// A worker in any world keeps its accounts, and one in four tells the same twice.
pub(super) fn worlds(data: &[u8]) {
    let world = world(data);
    let (outcome, digest) = run(&world);
    // Half of the time is better spent on another world.
    if !world.model.seed.is_multiple_of(4) {
        return;
    }
    let (again, same) = run(&world);
    assert_eq!(digest, same, "the same world went otherwise");
    assert_eq!(outcome.record, again.record, "the same world was counted otherwise");
}
