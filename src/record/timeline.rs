//! The seconds of a run, handed from a worker to whoever reads them.
//!
//! A worker owns the writer, the run's control thread the reader. Full intervals travel through a
//! bounded queue; their histograms come back cleared through a second one. How the counts stand in
//! between is read from a few words beside it. Neither side waits: with no spare histogram an
//! interval keeps exact counts and is marked as without quantiles; with the queue full, two intervals
//! become one. Nothing is allocated after `interval_queue`.

use std::sync::Arc;

use rtrb::{Consumer, Producer, RingBuffer};

use super::standing::{Slot, Standing};
use crate::hist::Hist;
use crate::limits;

/// Intervals that fit the queue; the reader comes by several times a second.
const QUEUE: usize = 64;

/// What went through during an interval.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Flow {
    /// Requests that became due.
    pub due: u64,
    /// Due requests given up because their deadline had passed.
    pub shed: u64,
    /// Due requests given up because their phase ended.
    pub unsent: u64,
    /// Requests started.
    pub started: u64,
    /// Requests completed.
    pub completed: u64,
    /// Requests failed.
    pub failed: u64,
    /// Bytes received.
    pub bytes_in: u64,
}

impl Flow {
    /// Adds another flow over the same time, or the time right after.
    pub fn merge(&mut self, other: &Self) {
        self.due += other.due;
        self.shed += other.shed;
        self.unsent += other.unsent;
        self.started += other.started;
        self.completed += other.completed;
        self.failed += other.failed;
        self.bytes_in += other.bytes_in;
    }
}

/// One interval of one worker.
#[derive(Debug)]
pub struct Interval {
    /// Which interval of the grid it starts in, counted from the first; all workers' grids agree.
    pub index: u64,
    /// Start, in nanoseconds of the run's clock.
    pub start_ns: u64,
    /// End.
    pub end_ns: u64,
    /// Requests in flight at the start.
    pub inflight_start: u64,
    /// Requests in flight at the end.
    pub inflight_end: u64,
    /// Requests due and not started at the start.
    pub backlog_start: u64,
    /// The same at the end.
    pub backlog_end: u64,
    /// Longest time from a request's intended time to its send, of those that left in it, in
    /// nanoseconds.
    pub lag_ns_max: u64,
    /// The longest part of it during which a connection had room: wring itself was late.
    pub late_ns_max: u64,
    /// Longest time in it that the worker's loop was not there, in nanoseconds.
    pub turn_gap_ns_max: u64,
    /// What went through.
    pub flow: Flow,
    /// Latencies of the answers of this interval in nanoseconds; `None` when there were none, or no
    /// spare was there.
    pub latency: Option<Box<Hist>>,
}

/// The worker's end.
#[derive(Debug)]
pub struct IntervalWriter {
    /// Counted up by the recorder.
    pub(super) flow: Flow,
    standing: Arc<Slot>,
    out: Producer<Interval>,
    spare: Consumer<Box<Hist>>,
    latency: Option<Box<Hist>>,
    interval_ns: u64,
    first_ns: u64,
    start_ns: u64,
    inflight_start: u64,
    backlog_start: u64,
    lag_ns_max: u64,
    late_ns_max: u64,
    turn_gap_ns_max: u64,
    next_ns: u64,
}

/// The reader's end.
#[derive(Debug)]
pub struct IntervalReader {
    standing: Arc<Slot>,
    intervals: Consumer<Interval>,
    spare: Producer<Box<Hist>>,
}

/// A queue for intervals of `interval_ns` nanoseconds, with its pool of histograms.
pub fn interval_queue(interval_ns: u64) -> (IntervalWriter, IntervalReader) {
    let (out, intervals) = RingBuffer::new(QUEUE);
    let (mut spare_in, spare) = RingBuffer::new(limits::INTERVAL_POOL);
    for _ in 0..limits::INTERVAL_POOL {
        let fits = spare_in.push(Box::new(Hist::new(limits::LATENCY_NS_MAX)));
        debug_assert!(fits.is_ok(), "the queue was made for the whole pool");
    }
    let standing = Arc::new(Slot::default());
    let writer = IntervalWriter {
        flow: Flow::default(),
        standing: Arc::clone(&standing),
        out,
        spare,
        latency: None,
        interval_ns: interval_ns.max(1),
        first_ns: 0,
        start_ns: 0,
        inflight_start: 0,
        backlog_start: 0,
        lag_ns_max: 0,
        late_ns_max: 0,
        turn_gap_ns_max: 0,
        next_ns: u64::MAX,
    };
    (writer, IntervalReader { standing, intervals, spare: spare_in })
}

impl IntervalWriter {
    /// Whether the first interval has begun.
    pub(super) fn started(&self) -> bool {
        self.next_ns != u64::MAX
    }

    /// The first interval begins. Intervals of all workers that start together share their bounds.
    pub(super) fn start(&mut self, now_ns: u64) {
        self.latency = self.spare.pop().ok();
        self.first_ns = now_ns;
        self.start_ns = now_ns;
        self.turn_gap_ns_max = 0;
        self.next_ns = now_ns + self.interval_ns;
    }

    /// One more answer, or several alike.
    #[inline]
    pub(super) fn latency(&mut self, latency_ns: u64, count: u64) {
        if let Some(hist) = &mut self.latency {
            hist.record(latency_ns, count);
        }
    }

    /// One more request left, so long after its intended time, and so much of that was wring's own.
    #[inline]
    pub(super) fn lag(&mut self, lag_ns: u64, late_ns: u64) {
        self.lag_ns_max = self.lag_ns_max.max(lag_ns);
        self.late_ns_max = self.late_ns_max.max(late_ns);
    }

    /// The loop was not there from `from_ns` to `to_ns`, which counts as far as the interval goes.
    #[inline]
    pub(super) fn stood_still(&mut self, from_ns: u64, to_ns: u64) {
        let gap_ns = to_ns.saturating_sub(from_ns.max(self.start_ns));
        self.turn_gap_ns_max = self.turn_gap_ns_max.max(gap_ns);
    }

    /// Where the interval ends, if that is over by `now_ns`. It then goes over as many bounds as the
    /// queue could not take.
    #[inline]
    pub(super) fn over(&self, now_ns: u64) -> Option<u64> {
        let more = now_ns.checked_sub(self.next_ns)? / self.interval_ns;
        let passed = if more < QUEUE as u64 { 0 } else { more };
        Some(self.next_ns + passed * self.interval_ns)
    }

    /// How the counts stand now; the reader sees them at once.
    pub(super) fn show(&self, standing: Standing) {
        self.standing.write(standing);
    }

    /// Hands the interval over when its time is up.
    #[inline]
    pub(super) fn advance(&mut self, now_ns: u64, inflight: u64, backlog: u64) {
        if now_ns >= self.next_ns {
            self.hand_over(now_ns, inflight, backlog, 1);
        }
    }

    /// Hands the last interval over, whole or not; a thousandth of one in which nothing was is none.
    pub(super) fn finish(&mut self, now_ns: u64, inflight: u64, backlog: u64) {
        let is_empty =
            self.flow == Flow::default() && self.inflight_start + self.backlog_start == 0;
        let least_ns = if is_empty { self.interval_ns / 1000 } else { 0 };
        if self.started() && (now_ns > self.start_ns + least_ns || self.flow != Flow::default()) {
            self.hand_over(now_ns, inflight, backlog, 0);
        }
    }

    /// `reserved` places of the queue are kept free: the last interval must always fit.
    fn hand_over(&mut self, now_ns: u64, inflight: u64, backlog: u64, reserved: usize) {
        // Bounds stay on the grid, so that the workers' intervals line up.
        let passed = (now_ns - self.next_ns.min(now_ns)) / self.interval_ns;
        self.next_ns = self.next_ns.saturating_add((passed + 1) * self.interval_ns);
        if self.out.slots() <= reserved {
            return;
        }
        // One without answers needs no histogram to have its quantiles known.
        let latency = if self.flow.completed > 0 { self.latency.take() } else { None };
        let interval = Interval {
            index: (self.start_ns - self.first_ns) / self.interval_ns,
            start_ns: self.start_ns,
            end_ns: now_ns,
            inflight_start: self.inflight_start,
            inflight_end: inflight,
            backlog_start: self.backlog_start,
            backlog_end: backlog,
            lag_ns_max: std::mem::take(&mut self.lag_ns_max),
            late_ns_max: std::mem::take(&mut self.late_ns_max),
            turn_gap_ns_max: std::mem::take(&mut self.turn_gap_ns_max),
            flow: std::mem::take(&mut self.flow),
            latency,
        };
        let pushed = self.out.push(interval);
        debug_assert!(pushed.is_ok(), "there was room, and there is one writer");
        self.start_ns = now_ns;
        self.inflight_start = inflight;
        self.backlog_start = backlog;
        if self.latency.is_none() {
            self.latency = self.spare.pop().ok();
        }
    }
}

impl IntervalReader {
    /// How the worker's counts stood of late.
    pub fn standing(&self) -> Standing {
        self.standing.read()
    }

    /// True once the worker has ended and will hand nothing more over. What it did hand over may
    /// still be in the queue.
    pub fn worker_ended(&self) -> bool {
        self.intervals.is_abandoned()
    }

    /// The next full interval, if there is one.
    pub fn pop(&mut self) -> Option<Interval> {
        self.intervals.pop().ok()
    }

    /// Gives a histogram back; it is cleared here, outside the worker.
    pub fn give_back(&mut self, mut latency: Box<Hist>) {
        latency.clear();
        // A full pool means the histogram came from elsewhere; dropping it is right.
        let _ = self.spare.push(latency);
    }
}
