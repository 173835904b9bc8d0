//! Question: how many answers a second is the whole user space good for (turn loop, connection,
//! codec, recorder), without a kernel?
//!
//! Yardstick: the same simulation driven by a loop that only counts bytes. Both push the same
//! operations, so what the simulation itself costs is in both, and the difference is ours. It is
//! taken within a round; its median is printed with the extremes. The absolute figure means little
//! on another machine, instructions for each answer (callgrind) mean the same everywhere.
//!
//! 64 connections; answers of 140 bytes with equal heads, as a benchmark target sends them.
//!
//! Seen (instructions for one answer, simulation subtracted): 704 at depth 1, 64 at depth 16, 34 at
//! depth 64. By the clock, depth 16 and 64 are within the noise of the simulation.
//!
//! `cargo bench --bench turn` measures; `turn callgrind N DEPTH [worker|count]` does N requests and
//! nothing else and prints N, for `valgrind --tool=callgrind`. Two N give the slope, free of the
//! set-up; the slopes' difference between worker and count is our own cost of one answer. Without
//! arguments, as in `cargo test`, it runs tiny.

#![expect(clippy::print_stdout, reason = "a bench prints its result")]

mod counting;

use std::sync::Arc;
use std::time::Instant;

use wring::conn::Shape;
use wring::io::{Setup, Spin};
use wring::limits;
use wring::plan::{Arena, Request};
use wring::record::{Recorder, interval_queue};
use wring::sim::{Model, Sim};
use wring::worker::{Control, CpuTime, Task, Worker};

use counting::Load;

const DEPTHS: [u32; 3] = [1, 16, 64];
const ROUNDS: usize = 15;
const CONNECTIONS: u32 = 64;
const SECOND_NS: u64 = 1_000_000_000;
/// Of virtual time: the requests end the run, not the clock.
const ENDLESS_NS: u64 = 24 * 3600 * SECOND_NS;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Driver {
    Count,
    Worker,
}

fn answer() -> Vec<u8> {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n";
    format!("{head}{}", "x".repeat(100)).into_bytes()
}

fn request() -> Request {
    Request::new("GET", "/", "127.0.0.1:8080", &[], None).expect("a plain request")
}

fn arena(depth: u32) -> Arena {
    request().arena(depth)
}

fn sim(arena: &Arena) -> Sim {
    let setup = Setup {
        slots: CONNECTIONS,
        arena: Arc::clone(&arena.bytes),
        addresses: vec![([127, 0, 0, 1], 8080).into()],
        sources: Vec::new(),
        tcp_congestion: None,
        recv_buffer_bytes: limits::RECV_BUFFER_BYTES,
        recv_buffers: limits::RECV_BUFFERS,
        send_buffers: 0,
        send_buffer_bytes: 0,
        spin: Spin::NEVER,
        keeps_deadline: false,
    };
    Sim::new(setup, Model::answering(answer()))
}

fn worker(arena: &Arena, depth: u32, requests: u64) -> Worker<Sim> {
    let task = Task {
        connections: CONNECTIONS,
        connection_first: 0,
        addresses: 1,
        pace: None,
        requests: Some(requests),
        duration_ns: Some(ENDLESS_NS),
        patience: None,
        warmup_ns: 0,
        drain_ns: SECOND_NS,
        opening_ns: SECOND_NS,
        connect_pace: None,
        shape: Shape::new(&request(), arena, depth, SECOND_NS, SECOND_NS, 1),
        lane: None,
        seed: 1,
    };
    Worker::new(sim(arena), task, Recorder::new(interval_queue(SECOND_NS).0), CpuTime::default)
}

/// Nanoseconds for `requests` requests, and how many the model server counted and answered.
fn run(driver: Driver, depth: u32, requests: u64) -> (f64, u64) {
    let arena = arena(depth);
    let (elapsed, completed, sim) = match driver {
        Driver::Worker => {
            let worker = worker(&arena, depth, requests);
            let control = Control::default();
            control.start_at(0);
            let start = Instant::now();
            let (outcome, sim) = worker.run(&control);
            (start.elapsed(), outcome.record.whole().completed, sim)
        }
        Driver::Count => {
            let load = Load {
                connections: CONNECTIONS,
                depth,
                request_bytes: arena.request_bytes,
                answer_bytes: answer().len() as u64,
                requests,
                duration_ns: ENDLESS_NS,
            };
            let sim = sim(&arena);
            let start = Instant::now();
            let (counted, sim) = counting::run(sim, load, || 0);
            assert_eq!(counted.sent, requests);
            assert_eq!(counted.bytes_in_window, requests * load.answer_bytes);
            (start.elapsed(), counted.answers_in_window, sim)
        }
    };
    let server = sim.server();
    assert_eq!((completed, server.requests, server.answers), (requests, requests, requests));
    (elapsed.as_nanos() as f64, server.bytes_out)
}

/// Median, least and most.
fn spread(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    (values[values.len() / 2], values[0], values[values.len() - 1])
}

fn measure(depth: u32, rounds: usize, requests: u64) {
    let mut checksum = 0_u64;
    let (mut count_ns, mut own_ns) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let mut order = [Driver::Count, Driver::Worker];
        order.rotate_left(round % 2);
        let mut ns = [0.0; 2];
        for driver in order {
            let (elapsed_ns, bytes) = run(driver, depth, requests);
            ns[driver as usize] = elapsed_ns / requests as f64;
            checksum = checksum.wrapping_add(bytes);
        }
        count_ns.push(ns[Driver::Count as usize]);
        own_ns.push(ns[Driver::Worker as usize] - ns[Driver::Count as usize]);
    }
    let (sim_ns, ..) = spread(count_ns);
    let (median_ns, least_ns, most_ns) = spread(own_ns);
    println!("depth {depth}, {requests} requests a round, checksum {checksum:x}");
    println!("  simulation and counting {sim_ns:7.1} ns/answer");
    println!(
        "  our own                 {median_ns:7.1} ns/answer ({least_ns:.1}-{most_ns:.1}), \
         {:.1} million answers/s",
        1e3 / median_ns
    );
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut words = arguments.iter().map(String::as_str).filter(|word| *word != "--bench");
    if words.next() == Some("callgrind") {
        let requests = words.next().and_then(|count| count.parse().ok()).unwrap_or(100_000);
        let depth = words.next().and_then(|depth| depth.parse().ok()).unwrap_or(16);
        let driver = if words.next() == Some("count") { Driver::Count } else { Driver::Worker };
        let (_, bytes) = run(driver, depth, requests);
        println!("{driver:?}: {requests} requests at depth {depth}, {bytes} bytes answered");
        return;
    }
    let is_real = arguments.iter().any(|word| word == "--bench");
    for depth in DEPTHS {
        if is_real { measure(depth, ROUNDS, 300_000) } else { measure(depth, 2, 2000) }
    }
}
