//! Question: what does recording one run of answers cost?
//!
//! Yardstick: hdrhistogram recording the same latency with the same count, alone; the recorder does
//! it twice (whole run, current second) beside its counters. Floor: adding latency and count to two
//! sums. A run is what arrived in one turn of requests sent in one batch: it costs the same however
//! many answers it has, so the cost of an answer falls with the depth.
//!
//! Latencies are drawn log-uniformly from 10 us to 10 ms, which touches more of the histogram than a
//! steady target does. Ratios are taken within a round; the nanoseconds are gossip.
//!
//! Seen (instructions for one run): recorder 202, hdr 70, add 10.
//!
//! `cargo bench --bench recorder` measures; `recorder callgrind N [recorder|hdr|add]` records N runs
//! of 16 and nothing else, for `valgrind --tool=callgrind`; without arguments, as in `cargo test`,
//! it runs tiny.

#![expect(clippy::print_stdout, reason = "a bench prints its result")]

use std::hint::black_box;
use std::time::Instant;

use hdrhistogram::Histogram;
use wring::limits;
use wring::record::{Phase, Recorder, Stamps, interval_queue};
use wring::rng::Rng;

const RUNS_OF: [u64; 3] = [1, 16, 64];
const ROUNDS: usize = 31;
const LATENCIES: usize = 4096;
const NOW_NS: u64 = 1_000_000_000;
/// Longer than any bench, so that no second ends.
const INTERVAL_NS: u64 = 3600 * 1_000_000_000;

fn latencies_ns() -> Vec<u64> {
    let mut rng = Rng::new(7);
    let mut draw = || 10_000.0 * 1000_f64.powf(rng.below(1 << 20) as f64 / (1 << 20) as f64);
    (0..LATENCIES).map(|_| draw() as u64).collect()
}

/// One way of recording, with whatever it keeps from round to round.
enum Way {
    Add,
    Hdr(Box<Histogram<u64>>),
    Ours(Box<Recorder>),
}

impl Way {
    const NAMES: [&str; 3] = ["hdr", "add", "recorder"];

    fn new(name: &str) -> Self {
        match name {
            "add" => Self::Add,
            "hdr" => {
                let bounds = Histogram::new_with_bounds(1, limits::LATENCY_NS_MAX, 3);
                Self::Hdr(Box::new(bounds.expect("the bounds are in order")))
            }
            _ => {
                let mut recorder = Recorder::new(interval_queue(INTERVAL_NS).0);
                recorder.enter_window(recorder.now_ns());
                recorder.advance(NOW_NS);
                Self::Ours(Box::new(recorder))
            }
        }
    }

    /// Records `runs` runs of `count` answers. Gives how many answers are known afterwards.
    fn record(&mut self, latencies_ns: &[u64], runs: usize, count: u64) -> u64 {
        let latencies_ns = latencies_ns.iter().cycle().take(runs);
        match self {
            Self::Add => {
                let (mut answers, mut sum_ns) = (0, 0_u64);
                for &latency_ns in latencies_ns {
                    answers += black_box(count);
                    sum_ns = sum_ns.wrapping_add(latency_ns * count);
                }
                black_box(sum_ns);
                answers
            }
            Self::Hdr(hist) => {
                let before = hist.len();
                for &latency_ns in latencies_ns {
                    hist.saturating_record_n(latency_ns, black_box(count));
                }
                hist.len() - before
            }
            Self::Ours(recorder) => {
                let before = recorder.record().phase(Phase::Window).completed;
                recorder.due(runs as u64 * count);
                recorder.started(runs as u64 * count, 40);
                for &latency_ns in latencies_ns {
                    let stamps = Stamps::closed(NOW_NS - latency_ns);
                    recorder.answered(200, black_box(count), stamps);
                }
                assert_eq!(recorder.inflight(), 0);
                recorder.record().phase(Phase::Window).completed - before
            }
        }
    }
}

/// Median, least and most.
fn spread(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    (values[values.len() / 2], values[0], values[values.len() - 1])
}

fn measure(count: u64, rounds: usize, runs: usize) {
    let latencies_ns = latencies_ns();
    let mut ways = Way::NAMES.map(Way::new);
    let mut ns = [const { Vec::new() }; Way::NAMES.len()];
    let mut answers = 0;
    for round in 0..rounds {
        // The order turns, so that no way always follows the same one.
        for turn in 0..ways.len() {
            let index = (round + turn) % ways.len();
            let start = Instant::now();
            let recorded = ways[index].record(&latencies_ns, runs, count);
            ns[index].push(start.elapsed().as_nanos() as f64 / runs as f64);
            assert_eq!(recorded, runs as u64 * count);
            answers += recorded;
        }
    }
    println!("runs of {count}, checksum {answers:x}");
    for (index, name) in Way::NAMES.iter().enumerate() {
        let (median_ns, ..) = spread(ns[index].clone());
        let ratios = ns[index].iter().zip(&ns[0]).map(|(this, hdr)| this / hdr);
        let (ratio, least, most) = spread(ratios.collect());
        let per_answer_ns = median_ns / count as f64;
        println!(
            "  {name:9} {median_ns:6.2} ns/run {per_answer_ns:6.2} ns/answer   \
             {ratio:.2} of hdr ({least:.2}-{most:.2})"
        );
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut words = arguments.iter().map(String::as_str).filter(|word| *word != "--bench");
    if words.next() == Some("callgrind") {
        let runs = words.next().and_then(|count| count.parse().ok()).unwrap_or(100_000);
        let name = words.next().unwrap_or("recorder");
        let answers = Way::new(name).record(&latencies_ns(), runs, 16);
        println!("{name}: {runs} runs, {answers} answers");
        return;
    }
    let is_real = arguments.iter().any(|word| word == "--bench");
    for count in RUNS_OF {
        if is_real { measure(count, ROUNDS, 200_000) } else { measure(count, 3, 5000) }
    }
}
