//! The simulation is exact, deterministic, and as hostile as its dials say.

use std::sync::Arc;

use super::*;
use crate::io::{CloseKind, OpKind, Spin};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: sim\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn setup(slots: u32, recv_buffers: u16) -> Setup {
    Setup {
        slots,
        arena: Arc::from(REQUEST.repeat(16)),
        addresses: vec![([127, 0, 0, 1], 80).into()],
        sources: Vec::new(),
        tcp_congestion: None,
        recv_buffer_bytes: 4096,
        recv_buffers,
        send_buffers: 2,
        send_buffer_bytes: 1024,
        spin: Spin::NEVER,
        keeps_deadline: false,
    }
}

/// A closed loop of fixed depth that knows answers by their length alone and survives every fault.
struct Loop {
    sim: Sim,
    depth: u32,
    conns: Vec<LoopConn>,
    done: Completions,
    retry: VecDeque<(Op, Token)>,
    /// Round-trip times of whole batches, in nanoseconds.
    latencies_ns: Vec<u64>,
    answers: u64,
    /// Streams that ended for the backend's own reasons.
    streams_ended: u64,
}

#[derive(Default)]
struct LoopConn {
    generation: u32,
    sent_ns: u64,
    sent: u64,
    received_bytes: u64,
    receiving: bool,
}

impl Loop {
    fn new(sim: Sim, conns: u32, depth: u32) -> Self {
        let mut it = Self {
            sim,
            depth,
            conns: Vec::new(),
            done: Completions::with_capacity(64),
            retry: VecDeque::new(),
            latencies_ns: Vec::new(),
            answers: 0,
            streams_ended: 0,
        };
        for index in 0..conns {
            it.conns.push(LoopConn::default());
            it.connect(index);
        }
        it
    }

    fn push(&mut self, op: Op, kind: OpKind, index: u32) {
        let token = Token::new(kind, self.conns[index as usize].generation, index);
        self.retry.push_back((op, token));
    }

    fn connect(&mut self, index: u32) {
        let op = Op::Connect { slot: Slot(index), address_index: 0 };
        self.push(op, OpKind::Connect, index);
    }

    fn send(&mut self, index: u32, now_ns: u64) {
        let len = REQUEST.len() as u32 * self.depth;
        let confirm = Confirm::OnFailure;
        let conn = &mut self.conns[index as usize];
        conn.sent_ns = now_ns;
        conn.sent += u64::from(self.depth);
        let op = Op::Send { slot: Slot(index), start: 0, len, confirm };
        self.push(op, OpKind::Send, index);
    }

    fn receive(&mut self, index: u32) {
        self.conns[index as usize].receiving = true;
        self.push(Op::RecvStream { slot: Slot(index) }, OpKind::Recv, index);
    }

    fn reconnect(&mut self, index: u32) {
        let slot = Slot(index);
        self.push(Op::Close { slot, kind: CloseKind::Reset }, OpKind::Connect, index);
        let conn = &mut self.conns[index as usize];
        *conn = LoopConn { generation: conn.generation + 1, ..LoopConn::default() };
        self.connect(index);
    }

    fn turn(&mut self) {
        while let Some((op, token)) = self.retry.pop_front() {
            if let Err(QueueFull(op)) = self.sim.push(op, token) {
                self.retry.push_front((op, token));
                break;
            }
        }
        let mut done = std::mem::replace(&mut self.done, Completions::with_capacity(0));
        let until_ns = self.sim.now_ns() + 1_000_000_000;
        self.sim.turn(until_ns, &mut done).unwrap();
        let now_ns = done.stamp_ns;
        for mut item in done.items.drain(..) {
            let index = item.token.index();
            let lease = item.lease.take();
            if let Some(lease) = lease {
                let bytes = self.sim.bytes(&lease).to_vec();
                self.sim.recycle(lease);
                if item.token.generation() == self.conns[index as usize].generation {
                    self.received(index, &bytes, now_ns);
                }
            }
            if item.token.generation() != self.conns[index as usize].generation {
                continue;
            }
            match (item.token.kind(), item.result) {
                (OpKind::Connect, Ok(_)) => {
                    self.receive(index);
                    self.send(index, now_ns);
                }
                (OpKind::Recv, Ok(0)) => self.reconnect(index),
                (OpKind::Recv, Ok(_)) if !item.more => {
                    self.streams_ended += 1;
                    self.receive(index);
                }
                (OpKind::Recv, Err(IoError::NoBuffers)) => self.receive(index),
                (_, Err(_)) => self.reconnect(index),
                _ => {}
            }
        }
        self.done = done;
    }

    fn received(&mut self, index: u32, bytes: &[u8], now_ns: u64) {
        let conn = &mut self.conns[index as usize];
        for (at, byte) in bytes.iter().enumerate() {
            let place = (conn.received_bytes as usize + at) % ANSWER.len();
            assert_eq!(*byte, ANSWER[place], "a byte lost, invented or out of order");
        }
        let before = conn.received_bytes / ANSWER.len() as u64;
        conn.received_bytes += bytes.len() as u64;
        let after = conn.received_bytes / ANSWER.len() as u64;
        self.answers += after - before;
        if after == conn.sent && after > before {
            self.latencies_ns.push(now_ns - conn.sent_ns);
            self.send(index, now_ns);
        }
    }
}

fn model() -> Model {
    Model::answering(ANSWER.to_vec())
}

#[test]
fn one_connection_sees_two_ways_and_the_service_exactly() {
    let model = Model { service: Service::Constant(70_000), ..model() };
    let mut run = Loop::new(Sim::new(setup(1, 4), model), 1, 1);
    while run.latencies_ns.len() < 1000 {
        run.turn();
    }
    assert!(run.latencies_ns.iter().all(|ns| *ns == 90_000), "{:?}", &run.latencies_ns[..9]);
    // One for the connection, and one each for the requests.
    assert_eq!(run.sim.now_ns(), 20_000 + 1000 * 90_000);
    assert_eq!(run.sim.server().answers, 1000);
}

#[test]
fn one_server_for_all_gives_its_rate_whatever_the_concurrency() {
    let model =
        Model { service: Service::Constant(10_000), queue: ServerQueue::SingleFifo, ..model() };
    let mut run = Loop::new(Sim::new(setup(32, 64), model), 32, 1);
    while run.sim.now_ns() < 1_000_000_000 {
        run.turn();
    }
    // A saturated server of 10 µs answers 100,000 in a second, less the first round trips.
    let answers = run.sim.server().answers;
    assert!((99_990..=100_000).contains(&answers), "{answers}");
    // Little's law: 32 in flight at 100,000/s are 320 µs each.
    assert!(run.latencies_ns.iter().skip(100).all(|ns| *ns == 320_000));
}

#[test]
fn a_server_for_each_connection_scales_and_serves_a_pipeline_in_order() {
    let model = Model { service: Service::Constant(10_000), ..model() };
    let mut run = Loop::new(Sim::new(setup(4, 16), model), 4, 8);
    while run.latencies_ns.len() < 400 {
        run.turn();
    }
    assert!(run.latencies_ns.iter().all(|ns| *ns == 20_000 + 8 * 10_000));
}

#[test]
fn exponential_service_has_its_mean() {
    let service = Service::Exponential { mean_ns: 50_000 };
    let mut run = Loop::new(Sim::new(setup(1, 4), Model { service, seed: 3, ..model() }), 1, 1);
    while run.latencies_ns.len() < 20_000 {
        run.turn();
    }
    let mean_ns = run.latencies_ns.iter().sum::<u64>() / 20_000 - 20_000;
    // The standard error is 50,000 / sqrt(20,000) = 354 ns.
    assert!((48_500..51_500).contains(&mean_ns), "{mean_ns}");
}

#[test]
fn a_pause_delays_exactly_what_falls_into_it() {
    let pause_ns = Some(10_000_000..1_010_000_000);
    let service = Service::Constant(0);
    let mut run = Loop::new(Sim::new(setup(1, 4), Model { pause_ns, service, ..model() }), 1, 1);
    while run.sim.now_ns() < 1_100_000_000 {
        run.turn();
    }
    let long: Vec<_> = run.latencies_ns.iter().filter(|ns| **ns != 20_000).collect();
    assert_eq!(long.len(), 1);
    assert!((1_000_000_000..=1_000_020_000).contains(long[0]), "{long:?}");
}

fn faulty(seed: u64) -> Loop {
    let mut rng = Rng::new(seed);
    let ending = match rng.below(4) {
        0 => Ending::Never,
        1 => Ending::AfterAnswers { answers: 5, leftover: Leftover::Swallow },
        2 => Ending::CutAnswer { answers: 7, bytes: 3, reset: false },
        _ => Ending::ResetAfterAnswers(4),
    };
    let faults = Faults::swarm(&mut rng);
    let service = Service::Exponential { mean_ns: 30_000 };
    let model = Model { seed, faults, service, ending, ..model() };
    let mut run = Loop::new(Sim::new(setup(16, 8), model), 16, 1 + seed as u32 % 4);
    for _ in 0..3000 {
        run.turn();
    }
    run
}

#[test]
fn no_mix_of_faults_loses_or_invents_a_byte_or_stops_the_loop() {
    for seed in 0..60 {
        let run = faulty(seed);
        let server = *run.sim.server();
        assert!(run.answers > 100, "seed {seed}: {} answers", run.answers);
        assert!(run.answers <= server.answers, "seed {seed}");
        assert!(server.answers <= server.requests, "seed {seed}");
        assert_eq!((server.malformed, run.sim.leases_out()), (0, 0), "seed {seed}");
        assert!(server.bytes_in / REQUEST.len() as u64 >= server.requests, "seed {seed}");
    }
}

#[test]
fn the_same_seed_gives_the_same_digest_and_another_seed_another() {
    let digests: Vec<_> = (0..20).map(|seed| faulty(seed).sim.digest()).collect();
    let again: Vec<_> = (0..20).map(|seed| faulty(seed).sim.digest()).collect();
    assert_eq!(digests, again);
    let mut distinct = digests;
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), 20);
}

#[test]
fn each_fault_alone_shows() {
    let base = faulty_alone(Faults::none());
    let on = 400_000;
    for (name, faults) in [
        ("recv_split", Faults { recv_split_ppm: on, ..Faults::none() }),
        ("reorder", Faults { reorder_ppm: on, ..Faults::none() }),
        ("no_buffers", Faults { no_buffers_ppm: on, ..Faults::none() }),
        ("stream_ends", Faults { stream_ends_ppm: on, ..Faults::none() }),
        ("queue_full", Faults { queue_full_ppm: on, ..Faults::none() }),
        ("late_cancel", Faults { late_cancel_ppm: on, ..Faults::none() }),
        ("early_return", Faults { early_return_ppm: on, ..Faults::none() }),
        ("clock_stands", Faults { clock_stands_ppm: on, ..Faults::none() }),
        ("short_send", Faults { short_send_ppm: on, ..Faults::none() }),
        ("overflow", Faults { overflow_ppm: on, ..Faults::none() }),
        ("refused", Faults { refused_ppm: on, ..Faults::none() }),
        ("connect_hangs", Faults { connect_hangs_ppm: on, ..Faults::none() }),
        ("no_descriptors", Faults { no_descriptors_ppm: on, ..Faults::none() }),
        ("send_fails", Faults { send_fails_ppm: on, ..Faults::none() }),
        ("request_reset", Faults { request_reset_ppm: on, ..Faults::none() }),
        ("answer_reset", Faults { answer_reset_ppm: on, ..Faults::none() }),
        ("answer_eof", Faults { answer_eof_ppm: on, ..Faults::none() }),
        ("stall", Faults { stall_ppm: on, ..Faults::none() }),
    ] {
        assert_ne!(faulty_alone(faults), base, "{name} changes nothing");
    }
}

fn faulty_alone(faults: Faults) -> u64 {
    let ending = Ending::AfterAnswers { answers: 5, leftover: Leftover::Swallow };
    let model = Model { faults, ending, ..model() };
    let mut run = Loop::new(Sim::new(setup(8, 8), model), 8, 1);
    for turn in 0..500 {
        run.turn();
        if turn % 50 == 49 {
            // Closes with a receive in flight, so that there is something to cancel.
            run.reconnect(turn % 8);
        }
    }
    run.sim.digest()
}

#[test]
fn a_server_that_closes_reads_no_request_it_will_not_answer() {
    for leftover in [Leftover::Swallow, Leftover::Reset] {
        let ending = Ending::AfterAnswers { answers: 3, leftover };
        let mut run = Loop::new(Sim::new(setup(2, 8), Model { ending, ..model() }), 2, 2);
        for _ in 0..400 {
            run.turn();
        }
        let server = run.sim.server();
        // Depth 2 and three answers: the fourth request of each connection is never read.
        assert!(server.connections > 10);
        assert!(server.requests - server.answers <= 2, "{server:?}");
        assert!(server.answers <= 3 * server.connections);
        assert!(run.answers + 6 >= server.answers, "{} {server:?}", run.answers);
    }
}

#[test]
fn a_body_of_10_gib_costs_no_memory_and_arrives_to_the_byte() {
    let answer = Answer { bytes: ANSWER.to_vec(), fill_bytes: 10 << 30 };
    let mut sim = Sim::new(setup(1, 4), Model::answering(answer));
    let slot = Slot(0);
    let mut done = Completions::with_capacity(4);
    let recv = Token::new(OpKind::Discard, 0, 0);
    sim.push(Op::Connect { slot, address_index: 0 }, Token::new(OpKind::Connect, 0, 0)).unwrap();
    sim.turn(u64::MAX, &mut done).unwrap();
    let len = REQUEST.len() as u32;
    let send = Op::Send { slot, start: 0, len, confirm: Confirm::OnFailure };
    sim.push(send, Token::new(OpKind::Send, 0, 0)).unwrap();
    let mut left = (10 << 30) + ANSWER.len() as u64;
    while left > 0 {
        sim.push(Op::Discard { slot, bytes_max: left }, recv).unwrap();
        sim.turn(u64::MAX, &mut done).unwrap();
        left -= u64::from(done.items[0].result.unwrap());
    }
    assert_eq!(sim.server().bytes_out, (10 << 30) + ANSWER.len() as u64);
}

#[test]
fn waiting_without_end_for_nothing_is_an_error_not_a_hang() {
    let mut sim = Sim::new(setup(1, 4), model());
    let mut done = Completions::with_capacity(4);
    let error = sim.turn(u64::MAX, &mut done).unwrap_err();
    assert_eq!(error.errno, EDEADLK);
    sim.turn(5_000, &mut done).unwrap();
    assert_eq!(done.stamp_ns, 5_000);
}

#[test]
fn garbage_is_counted_and_reset() {
    let arena: Arc<[u8]> = Arc::from(&b"nonsense\r\n\r\n"[..]);
    let mut sim = Sim::new(Setup { arena, ..setup(1, 4) }, model());
    let slot = Slot(0);
    let mut done = Completions::with_capacity(4);
    let token = Token::new(OpKind::Recv, 0, 0);
    sim.push(Op::Connect { slot, address_index: 0 }, token).unwrap();
    sim.turn(u64::MAX, &mut done).unwrap();
    let send = Op::Send { slot, start: 0, len: 12, confirm: Confirm::OnFailure };
    sim.push(send, token).unwrap();
    sim.push(Op::RecvStream { slot }, token).unwrap();
    sim.turn(u64::MAX, &mut done).unwrap();
    assert_eq!(done.items[0].result, Err(IoError::Reset));
    assert_eq!((sim.server().malformed, sim.server().requests), (1, 0));
}

#[test]
#[should_panic(expected = "two sends in flight on slot 0")]
fn a_second_send_on_a_busy_slot_is_the_callers_fault() {
    let listeners = vec![Listener::Script(vec![Step::Pause(1_000_000)])];
    let model = Model { send_window_bytes: 8, ..Model::scripted(listeners) };
    let mut sim = Sim::new(setup(1, 4), model);
    let slot = Slot(0);
    let mut done = Completions::with_capacity(4);
    let token = Token::new(OpKind::Send, 0, 0);
    sim.push(Op::Connect { slot, address_index: 0 }, token).unwrap();
    sim.turn(u64::MAX, &mut done).unwrap();
    for _ in 0..2 {
        let send = Op::Send { slot, start: 0, len: 12, confirm: Confirm::Always };
        sim.push(send, token).unwrap();
    }
    let _ = sim.turn(u64::MAX, &mut done);
}

#[test]
fn a_completion_queue_that_overflows_ends_streams_and_loses_nothing() {
    let faults = Faults { overflow_ppm: 500_000, ..Faults::none() };
    let mut run = Loop::new(Sim::new(setup(16, 64), Model { faults, ..model() }), 16, 4);
    while run.answers < 2000 {
        run.turn();
    }
    assert!(run.streams_ended > 10, "{} streams ended", run.streams_ended);
    // Nothing waits for ever: all that was asked was answered.
    assert!(run.sim.server().answers - run.answers <= 16 * 4);
}

#[test]
fn what_is_late_under_way_is_not_overtaken_by_the_end() {
    let faults = Faults { short_send_ppm: 1_000_000, ..Faults::none() };
    for confirm in [Confirm::OnFailure, Confirm::Always] {
        for seed in 0..50 {
            let listeners = vec![Listener::Script(vec![Step::Read(100)])];
            let model = Model { seed, faults, ..Model::scripted(listeners) };
            let mut sim = Sim::new(setup(1, 4), model);
            let (slot, token) = (Slot(0), Token::new(OpKind::Send, 0, 0));
            let mut done = Completions::with_capacity(4);
            sim.push(Op::Connect { slot, address_index: 0 }, token).unwrap();
            sim.turn(u64::MAX, &mut done).unwrap();
            sim.push(Op::Send { slot, start: 0, len: 100, confirm }, token).unwrap();
            sim.turn(done.stamp_ns + 15_000, &mut done).unwrap();
            while confirm == Confirm::Always && done.items.is_empty() {
                sim.turn(u64::MAX, &mut done).unwrap();
            }
            sim.push(Op::Close { slot, kind: CloseKind::Orderly }, token).unwrap();
            sim.turn(sim.time_ns() + 1_000_000, &mut done).unwrap();
            let peer = &sim.seen()[0];
            assert_eq!((peer.read.len(), peer.end), (100, Some(PeerEnd::Eof)), "seed {seed}");
        }
    }
}

#[test]
fn a_listener_that_comes_and_goes_refuses_in_between() {
    let listeners = vec![Listener::ComesAndGoes { up_ns: 100_000, down_ns: 300_000 }];
    let mut sim = Sim::new(setup(1, 4), Model { listeners, turn_cost_ns: 0, ..model() });
    let (slot, token) = (Slot(0), Token::new(OpKind::Connect, 0, 0));
    let mut done = Completions::with_capacity(4);
    for (at_ns, expected) in [
        (0, Ok(0)),
        (99_999, Ok(0)),
        (120_000, Err(IoError::Refused)),
        (399_000, Err(IoError::Refused)),
        (420_000, Ok(0)),
    ] {
        sim.turn(at_ns, &mut done).unwrap();
        sim.push(Op::Connect { slot, address_index: 0 }, token).unwrap();
        sim.turn(u64::MAX, &mut done).unwrap();
        assert_eq!(done.items[0].result, expected, "at {at_ns}");
        sim.push(Op::Close { slot, kind: CloseKind::Reset }, token).unwrap();
    }
}
