//! What the server counts, exactly and readable at any time.
//!
//! Owns the counters and their sum. The idea: each counter has one writer, its thread, so counting
//! is a plain load and store; a reader adds the threads up. A request is counted before any byte of
//! its answer leaves, so whoever holds an answer finds its request in the counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a server has done so far, over all its threads.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Requests fully received, body included; without those for `/__count`.
    pub requests: u64,
    /// Answers to them that were handed to the kernel whole.
    pub answers: u64,
    /// Connections accepted.
    pub connections: u64,
    /// Of those, the ones still open.
    pub open: u64,
    /// Bytes received, whatever they were.
    pub bytes_in: u64,
    /// Bytes handed to the kernel, whatever they were.
    pub bytes_out: u64,
    /// Requests that broke the grammar or a limit; they are not in `requests`.
    pub malformed: u64,
    /// Accepts that failed for want of descriptors or memory.
    pub accept_failures: u64,
}

impl Counts {
    /// One JSON object, keys in the order of the fields.
    pub fn to_json(&self) -> String {
        format!(
            "{{\"requests\":{},\"answers\":{},\"connections\":{},\"open\":{},\"bytes_in\":{},\
             \"bytes_out\":{},\"malformed\":{},\"accept_failures\":{}}}",
            self.requests,
            self.answers,
            self.connections,
            self.open,
            self.bytes_in,
            self.bytes_out,
            self.malformed,
            self.accept_failures
        )
    }
}

/// A counter with one writer.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`. Only the owning thread may call this: two writers would lose counts.
    pub(super) fn add(&self, n: u64) {
        // Release, so that a reader who learns of an answer by other means sees its request.
        self.0.store(self.0.load(Ordering::Relaxed) + n, Ordering::Release);
    }

    fn read(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// One thread's counters, on cache lines of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Tally {
    pub(super) requests: Counter,
    pub(super) answers: Counter,
    pub(super) connections: Counter,
    pub(super) closed: Counter,
    pub(super) bytes_in: Counter,
    pub(super) bytes_out: Counter,
    pub(super) malformed: Counter,
    pub(super) accept_failures: Counter,
}

/// The sum over threads.
pub(super) fn total(tallies: &[Tally]) -> Counts {
    let mut sum = Counts::default();
    for tally in tallies {
        // What is counted later is read first, so no sum shows more answers than requests.
        let closed = tally.closed.read();
        let connections = tally.connections.read();
        sum.answers += tally.answers.read();
        sum.requests += tally.requests.read();
        sum.connections += connections;
        sum.open += connections - closed;
        sum.bytes_in += tally.bytes_in.read();
        sum.bytes_out += tally.bytes_out.read();
        sum.malformed += tally.malformed.read();
        sum.accept_failures += tally.accept_failures.read();
    }
    sum
}
