//! Question: what does one pipelined answer cost the codec, beside httparse on the same bytes?
//!
//! Yardstick: httparse parsing each head of the same batch, same process, interleaved rounds.
//! Floor: one comparison with the known head, which is what a memo hit cannot do without.
//! Ratios are taken within a round and their median is printed with the extremes; the
//! nanoseconds are gossip.
//!
//! - `hit`: all heads are equal, so every answer but the first of a run comes from the memo.
//! - `miss`: heads alternate in one digit of their date, so every head is parsed and kept: the
//!   worst case, with the cost of failed comparisons, our own rules and a copy on top.
//! - `split`: equal heads, each batch cut in the middle of its last head.
//!
//! Seen (batches of 16, instructions, beside httparse = 1): hit 0.05, miss 1.9, split 0.2.
//! By the clock hit is not to be told from compare from batches of 16 on; alone it is 0.15.
//!
//! Tried and lost: looking for bare LF in one 32-bit count (miss 2.1), in fixed pieces of 16 (2.2)
//! or in 16 lanes of 16 bits (2.0); resuming the search for a head's end by one state step for
//! every byte, without skipping over text (split 0.29).
//!
//! `cargo bench --bench codec` measures; `codec callgrind N [hit|miss|split|httparse]` runs N
//! answers of one sort and nothing else, for `valgrind --tool=callgrind`; without arguments, as in
//! `cargo test --benches`, it runs tiny.

#![expect(clippy::print_stdout, reason = "a bench prints its result")]

use std::hint::black_box;
use std::mem::MaybeUninit;
use std::time::Instant;

use wring::proto::h1::{ClientCodec, Memo};
use wring::proto::{Answer, ByteClass, Notice, Sink};

const BATCHES: [usize; 3] = [1, 16, 64];
const ROUNDS: usize = 31;

/// An answer as nginx sends it; `digit` is the last of its date's seconds.
fn answer(digit: char) -> String {
    let date = format!("Date: Thu, 01 Jan 2026 00:00:0{digit} GMT");
    let fields = format!("Server: nginx\r\n{date}\r\nContent-Type: text/plain\r\n");
    format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 13\r\n\r\nHello, World!")
}

/// Counts what it is told, so that no work can be left out.
#[derive(Default)]
struct Tally {
    answers: u64,
    bytes: u64,
    calls: u64,
}

impl Sink for Tally {
    fn answers(&mut self, answer: Answer, count: u32) {
        self.answers += u64::from(count) * u64::from(answer.status / 200);
        self.calls += 1;
    }

    fn bytes(&mut self, _: ByteClass, count: u64) {
        self.bytes += count;
    }

    fn notice(&mut self, _: Notice) {}
}

/// A batch of answers, cut into the receives that deliver it.
struct Batch {
    count: usize,
    answer_bytes: usize,
    receives: Vec<Vec<u8>>,
}

impl Batch {
    fn new(digits: [char; 2], count: usize) -> Self {
        let texts = digits.map(answer);
        let bytes: String = (0..count).map(|index| texts[index % 2].as_str()).collect();
        Self { count, answer_bytes: texts[0].len(), receives: vec![bytes.into_bytes()] }
    }

    fn split(mut self) -> Self {
        let whole = self.receives.remove(0);
        let (a, b) = whole.split_at(whole.len() - self.answer_bytes * 2 / 3);
        self.receives = vec![a.to_vec(), b.to_vec()];
        self
    }
}

/// Ours, with one codec and one memo. Returns the checksum.
fn ours(batch: &Batch, batch_count: usize) -> u64 {
    let mut codec = ClientCodec::new(batch.count as u32, false);
    let (mut memo, mut tally) = (Memo::new(), Tally::default());
    for _ in 0..batch_count {
        codec.submit(batch.count as u32);
        for bytes in &batch.receives {
            let flow = codec.receive(black_box(bytes), &mut memo, &mut tally);
            black_box(&flow);
        }
    }
    assert_eq!(codec.outstanding(), 0);
    assert!(tally.calls <= tally.answers);
    tally.answers * 1_000 + tally.bytes
}

/// httparse on each head, told for free where the next one starts. Returns the checksum.
fn httparse_each(batch: &Batch, batch_count: usize) -> u64 {
    let (mut answers, mut bytes) = (0, 0);
    for _ in 0..batch_count {
        for text in black_box(&batch.receives[0]).chunks(batch.answer_bytes) {
            let mut fields = [const { MaybeUninit::uninit() }; 64];
            let mut response = httparse::Response::new(&mut []);
            let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
                &mut response,
                text,
                &mut fields,
            );
            assert!(matches!(black_box(parsed), Ok(httparse::Status::Complete(_))));
            answers += u64::from(response.code.unwrap_or_default() / 200);
            bytes += text.len() as u64;
        }
    }
    answers * 1_000 + bytes
}

/// One comparison for each answer. Returns the checksum.
fn compare_each(batch: &Batch, batch_count: usize) -> u64 {
    let known = answer('0');
    let known = black_box(&known.as_bytes()[..known.len() - 13]);
    let (mut answers, mut bytes) = (0, 0);
    for _ in 0..batch_count {
        for text in black_box(&batch.receives[0]).chunks(batch.answer_bytes) {
            answers += u64::from(text.starts_with(known));
            bytes += text.len() as u64;
        }
    }
    answers * 1_000 + bytes
}

type Work = fn(&Batch, usize) -> u64;

fn ns_per_answer(work: Work, batch: &Batch, batch_count: usize, checksum: &mut u64) -> f64 {
    let start = Instant::now();
    *checksum = checksum.wrapping_add(black_box(work(batch, batch_count)));
    start.elapsed().as_nanos() as f64 / (batch.count * batch_count) as f64
}

/// Median, least and most.
fn spread(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    (values[values.len() / 2], values[0], values[values.len() - 1])
}

fn measure(count: usize, rounds: usize, answers_per_round: usize) {
    let same = Batch::new(['0', '0'], count);
    // A batch of one cannot alternate within itself, so batches do.
    let other = Batch::new(['0', '1'], count.max(2));
    let other = match count {
        1 => Batch {
            count: 2,
            answer_bytes: other.answer_bytes,
            receives: other.receives[0].chunks(other.answer_bytes).map(<[u8]>::to_vec).collect(),
        },
        _ => other,
    };
    let split = Batch::new(['0', '0'], count).split();
    let variants: [(&str, Work, &Batch); 5] = [
        ("httparse", httparse_each, &same),
        ("compare", compare_each, &same),
        ("hit", ours, &same),
        ("miss", ours, &other),
        ("split", ours, &split),
    ];
    let mut checksum = 0;
    let mut ns = [const { Vec::new() }; 5];
    for round in 0..rounds {
        // The order turns, so that no variant always follows the same one.
        for turn in 0..variants.len() {
            let index = (round + turn) % variants.len();
            let (_, work, batch) = variants[index];
            let batch_count = (answers_per_round / batch.count).max(1);
            ns[index].push(ns_per_answer(work, batch, batch_count, &mut checksum));
        }
    }
    println!("batch of {count} ({} bytes each), checksum {checksum:x}", same.answer_bytes);
    for (index, (name, ..)) in variants.iter().enumerate() {
        let (median_ns, ..) = spread(ns[index].clone());
        let ratios = ns[index].iter().zip(&ns[0]).map(|(ours, httparse)| ours / httparse);
        let (ratio, least, most) = spread(ratios.collect());
        println!(
            "  {name:9} {median_ns:7.1} ns/answer   {ratio:.3} of httparse ({least:.3}-{most:.3})"
        );
    }
}

fn run_for_callgrind(answers: usize, what: &str) {
    let count = 16;
    let batch_count = answers / count;
    let checksum = match what {
        "httparse" => httparse_each(&Batch::new(['0', '0'], count), batch_count),
        "miss" => ours(&Batch::new(['0', '1'], count), batch_count),
        "split" => ours(&Batch::new(['0', '0'], count).split(), batch_count),
        _ => ours(&Batch::new(['0', '0'], count), batch_count),
    };
    println!("{what}: {answers} answers in batches of {count}, checksum {checksum:x}");
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut words = arguments.iter().map(String::as_str).filter(|word| *word != "--bench");
    if words.next() == Some("callgrind") {
        let answers = words.next().and_then(|count| count.parse().ok()).unwrap_or(100_000);
        return run_for_callgrind(answers, words.next().unwrap_or("hit"));
    }
    let is_real = arguments.iter().any(|word| word == "--bench");
    for count in BATCHES {
        if is_real { measure(count, ROUNDS, 100_000) } else { measure(count, 2, 64) }
    }
}
