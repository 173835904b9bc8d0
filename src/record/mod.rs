//! One worker's histograms, counters and timeline.
//!
//! Owns every number a worker produces. Knows neither other workers nor output. The idea: events are
//! counted by the *phase* they happen in, so the window, the warm-up and the drain are told apart by
//! an index and nothing is ever reset or subtracted; answers arrive in runs that share their stamps,
//! so a pipelined batch costs one histogram record.
//!
//! Allocates in `new` alone.

mod addresses;
mod servers;
mod standing;
mod targets;
mod timeline;
mod tls;

use crate::hist::Hist;
use crate::inspect::{self, Findings, Inspector};
use crate::limits;
use crate::outcome::{ConnectFailure, ConnectFailureCounts, Failure, FailureCounts};

pub use addresses::AddressCounts;
pub use servers::ServerRecord;
pub use standing::Standing;
pub use targets::{STATUS_CLASSES, TargetCounts, TargetRecord, status_class};
pub use timeline::{Flow, Interval, IntervalReader, IntervalWriter, interval_queue};
pub use tls::{TlsFacts, TlsRecord};

/// Where in its life a run is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Phase {
    /// Connections are being opened; nothing is sent.
    Opening,
    /// Load that is counted but not measured.
    Warmup,
    /// The measurement.
    Window,
    /// Nothing starts; outstanding answers are waited for.
    Drain,
}

impl Phase {
    /// All phases in order.
    pub const ALL: [Self; 4] = [Self::Opening, Self::Warmup, Self::Window, Self::Drain];
}

const _: () = assert!(Phase::ALL.len() == inspect::PHASES);

/// Status codes are counted by value up to this.
pub const STATUSES: usize = 1000;

/// When one request was to leave and when it left, in nanoseconds of the run's clock.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Stamps {
    /// When it was due. In a closed loop that is the moment of sending.
    pub intended_ns: u64,
    /// When its first byte was handed to the backend.
    pub sent_ns: u64,
}

impl Stamps {
    /// A request of a closed loop: due when it is sent.
    pub fn closed(sent_ns: u64) -> Self {
        Self { intended_ns: sent_ns, sent_ns }
    }
}

/// How far behind its schedule a request left, or was given up. All times in nanoseconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Lag {
    /// When it was due, on the run's clock.
    pub intended_ns: u64,
    /// From then to now.
    pub total_ns: u64,
    /// The part of it that was wring's own: a connection had room, or nobody looked for one. The rest
    /// it waited for a connection.
    pub late_ns: u64,
}

/// What happened during one phase.
#[derive(Clone, Debug, PartialEq)]
pub struct PhaseCounts {
    /// Requests that became due: by the schedule, or in a closed loop by being started.
    pub due: u64,
    /// Due requests whose deadline passed before they could start.
    pub shed: u64,
    /// Due requests that had not started when the phase ended, and never did.
    pub unsent: u64,
    /// Requests whose first byte was handed to the backend.
    pub started: u64,
    /// Whole, valid final responses.
    pub completed: u64,
    /// Requests that failed, by cause.
    pub failed: FailureCounts,
    /// Completed requests by status; always `STATUSES` long.
    pub statuses: Vec<u64>,
    /// Bytes received, of any class.
    pub bytes_in: u64,
    /// Request bytes handed to the backend.
    pub bytes_out: u64,
}

impl Default for PhaseCounts {
    fn default() -> Self {
        Self {
            due: 0,
            shed: 0,
            unsent: 0,
            started: 0,
            completed: 0,
            failed: FailureCounts::default(),
            statuses: vec![0; STATUSES],
            bytes_in: 0,
            bytes_out: 0,
        }
    }
}

impl PhaseCounts {
    /// Adds another worker's counts of the same phase, or another phase's.
    pub fn merge(&mut self, other: &Self) {
        self.due += other.due;
        self.shed += other.shed;
        self.unsent += other.unsent;
        self.started += other.started;
        self.completed += other.completed;
        self.failed.merge(&other.failed);
        for (mine, theirs) in self.statuses.iter_mut().zip(&other.statuses) {
            *mine += theirs;
        }
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
    }
}

/// How connection attempts and connections ended. Over the whole run.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ConnectionCounts {
    /// Attempts begun.
    pub attempts: u64,
    /// Attempts that became connections.
    pub established: u64,
    /// Attempts that failed, by cause.
    pub failed: ConnectFailureCounts,
    /// Attempts unresolved at the end of the run.
    pub connecting_end: u64,
    /// Connections closed by wring: at the end, or because an answer announced the close.
    pub closed_by_us: u64,
    /// Connections the peer closed in order.
    pub closed_by_peer: u64,
    /// Connections given up for an error: reset, timeout, a broken answer.
    pub errored: u64,
    /// Connections open at the end of the run.
    pub open_end: u64,
    /// Connections that the block before had left open; 0 where each run opens its own.
    pub carried: u64,
    /// The error number of an attempt that failed on this machine; 0 when none did.
    pub local_errno: i32,
    /// The status with which a proxy refused a tunnel; 0 when none did.
    pub proxy_status: u16,
}

impl ConnectionCounts {
    /// Adds another worker's counts.
    pub fn merge(&mut self, other: &Self) {
        self.attempts += other.attempts;
        self.established += other.established;
        self.failed.merge(&other.failed);
        self.connecting_end += other.connecting_end;
        self.closed_by_us += other.closed_by_us;
        self.closed_by_peer += other.closed_by_peer;
        self.errored += other.errored;
        self.open_end += other.open_end;
        self.carried += other.carried;
        if other.local_errno != 0 {
            self.local_errno = other.local_errno;
        }
        if other.proxy_status != 0 {
            self.proxy_status = other.proxy_status;
        }
    }
}

/// What the received bytes were. Over the whole run; the sum is every byte received.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ByteCounts {
    /// Heads of final responses.
    pub head: u64,
    /// Bodies without their framing.
    pub body: u64,
    /// Chunk lines, their line ends and trailers.
    pub framing: u64,
    /// Interim responses.
    pub interim: u64,
    /// Bytes nobody asked for.
    pub stray: u64,
    /// What TLS adds: handshakes, record headers, tags, and records nobody looked into any more. The
    /// other classes count plaintext.
    pub tls: u64,
}

impl ByteCounts {
    /// Bytes of all classes.
    pub fn total(&self) -> u64 {
        self.head + self.body + self.framing + self.interim + self.stray + self.tls
    }

    /// Adds another worker's counts.
    pub fn merge(&mut self, other: &Self) {
        self.head += other.head;
        self.body += other.body;
        self.framing += other.framing;
        self.interim += other.interim;
        self.stray += other.stray;
        self.tls += other.tls;
    }
}

/// Things noticed in answers that end nothing. Over the whole run.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct NoticeCounts {
    /// Interim responses skipped.
    pub interim: u64,
    /// Heads with a bare LF as line end.
    pub bare_lf: u64,
    /// Answers with both Content-Length and chunked framing.
    pub length_and_chunked: u64,
    /// Chunked answers in HTTP/1.0.
    pub chunked_in_http10: u64,
    /// Messages nobody had asked for.
    pub unsolicited: u64,
    /// Answers to plain requests that were TLS records.
    pub tls_on_plain: u64,
}

impl NoticeCounts {
    /// Adds another worker's counts.
    pub fn merge(&mut self, other: &Self) {
        self.interim += other.interim;
        self.bare_lf += other.bare_lf;
        self.length_and_chunked += other.length_and_chunked;
        self.chunked_in_http10 += other.chunked_in_http10;
        self.unsolicited += other.unsolicited;
        self.tls_on_plain += other.tls_on_plain;
    }
}

/// Gaps between requests are counted in tenths of the asked gap up to this many.
pub const GAP_TENTHS: usize = 128;

/// Requests of the window that were given up because their deadline had passed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Shed {
    /// How many.
    pub count: u64,
    /// Of these, those whose wait was wring's own for the larger part.
    pub late: u64,
    /// From the intended time until they were given up, in nanoseconds: the sum.
    pub sum_ns: u128,
    /// The part of that sum that was wring's own.
    pub late_sum_ns: u128,
    /// The longest.
    pub ns_max: u64,
}

impl Shed {
    fn add(&mut self, lag: Lag) {
        self.count += 1;
        self.late += u64::from(lag.late_ns > lag.total_ns / 2);
        self.sum_ns += u128::from(lag.total_ns);
        self.late_sum_ns += u128::from(lag.late_ns);
        self.ns_max = self.ns_max.max(lag.total_ns);
    }

    /// Adds another worker's.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.late += other.late;
        self.sum_ns += other.sum_ns;
        self.late_sum_ns += other.late_sum_ns;
        self.ns_max = self.ns_max.max(other.ns_max);
    }

    /// From the intended time until they were given up, on average; 0 of none.
    pub fn mean_ns(&self) -> u64 {
        (self.sum_ns / u128::from(self.count.max(1))) as u64
    }

    /// The part of it that was wring's own, on average.
    pub fn late_mean_ns(&self) -> u64 {
        (self.late_sum_ns / u128::from(self.count.max(1))) as u64
    }
}

/// How the requests that became due in the window left. All times in nanoseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Sending {
    /// From the intended time to the send, of every request that started.
    pub lag: Hist,
    /// The part of it during which a connection had room: wring was late.
    pub late: Hist,
    /// The part of it during which no connection had room: the target, or too few connections.
    pub waited: Hist,
    /// Those that never started because their deadline had passed.
    pub shed: Shed,
    /// Whether requests left by a schedule at all.
    pub paced: bool,
    /// Time integral over the window of the requests that were due and not answered, sent or not, in
    /// request nanoseconds.
    pub outstanding_integral_ns: u128,
    /// How many they were when the window ended.
    pub outstanding_end: u64,
    /// Times between two sends of a worker, over the time that was asked for (the mean one, when
    /// arrivals are random), rounded to tenths; the last place holds all longer ones.
    pub gap_tenths: Vec<u64>,
}

impl Default for Sending {
    fn default() -> Self {
        Self {
            lag: Hist::new(limits::LATENCY_NS_MAX),
            late: Hist::new(limits::LATENCY_NS_MAX),
            waited: Hist::new(limits::LATENCY_NS_MAX),
            shed: Shed::default(),
            paced: false,
            outstanding_integral_ns: 0,
            outstanding_end: 0,
            gap_tenths: vec![0; GAP_TENTHS],
        }
    }
}

impl Sending {
    /// Adds another worker's.
    pub fn merge(&mut self, other: &Self) {
        self.lag.merge(&other.lag);
        self.late.merge(&other.late);
        self.waited.merge(&other.waited);
        self.shed.merge(&other.shed);
        self.paced |= other.paced;
        self.outstanding_integral_ns += other.outstanding_integral_ns;
        self.outstanding_end += other.outstanding_end;
        for (mine, theirs) in self.gap_tenths.iter_mut().zip(&other.gap_tenths) {
            *mine += theirs;
        }
    }
}

/// Everything one worker counted, or the merge of several.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerRecord {
    /// Counts by the phase of the event; indexed by `Phase`.
    pub phases: [PhaseCounts; 4],
    /// Started, unresolved after the drain.
    pub inflight_end: u64,
    /// Of the requests that became due in the window: failed, in it or after it.
    pub window_started_failed: u64,
    /// Of the requests that became due in the window: started, and unresolved after the drain.
    pub window_started_inflight_end: u64,
    /// Connection attempts and connections.
    pub connections: ConnectionCounts,
    /// The same for each address, where there are several.
    pub addresses: Vec<AddressCounts>,
    /// Received bytes by class.
    pub bytes: ByteCounts,
    /// What was noticed in answers.
    pub notices: NoticeCounts,
    /// What the checks of answers found.
    pub findings: Findings,
    /// Latency in nanoseconds, from the intended time, of every completed request that became due in
    /// the window.
    pub latency: Hist,
    /// Service latency in nanoseconds, from the actual send, of the same requests. Recorded on a
    /// schedule alone: in a closed loop it is `latency`.
    pub service: Hist,
    /// How long, in nanoseconds, every other request that became due in the window waited: until it
    /// failed, was shed, or until the end. Its answer would have taken at least as long.
    pub unanswered: Hist,
    /// How the sending of a schedule went; all zero in a closed loop.
    pub sending: Sending,
    /// Duration in nanoseconds of every successful connection attempt, in any phase, without its TLS
    /// handshake.
    pub connect: Hist,
    /// The same of those that succeeded in the window.
    pub connect_window: Hist,
    /// Of TLS; `None` without it.
    pub tls: Option<Box<TlsRecord>>,
    /// Completed requests per second, sampled every `RATE_SAMPLE_NS` of the window.
    pub rates: Hist,
    /// Sum over all requests, however they ended, of the time they were in flight, in nanoseconds.
    pub inflight_sum_ns: u128,
    /// Time integral of the number of requests in flight, in request nanoseconds.
    pub inflight_integral_ns: u128,
    /// The same requests by target, where a run has several; else empty.
    pub targets: Vec<TargetRecord>,
    /// Connections by server; of a whole run empty unless it has several.
    pub servers: Vec<ServerRecord>,
}

/// How often the per-thread request rate is sampled, in nanoseconds (wrk's own interval).
pub const RATE_SAMPLE_NS: u64 = 100_000_000;
/// For how long the shortest service latency is looked for, in nanoseconds.
const SERVICE_LEAST_NS: u64 = 1_000_000_000;
/// Largest rate a sample tells apart, in requests per second.
pub const RATE_PER_S_MAX: u64 = 1_000_000_000;

impl Default for WorkerRecord {
    fn default() -> Self {
        Self {
            phases: std::array::from_fn(|_| PhaseCounts::default()),
            inflight_end: 0,
            window_started_failed: 0,
            window_started_inflight_end: 0,
            connections: ConnectionCounts::default(),
            addresses: Vec::new(),
            bytes: ByteCounts::default(),
            notices: NoticeCounts::default(),
            findings: Findings::default(),
            latency: Hist::new(limits::LATENCY_NS_MAX),
            service: Hist::new(limits::LATENCY_NS_MAX),
            unanswered: Hist::new(limits::LATENCY_NS_MAX),
            sending: Sending::default(),
            connect: Hist::new(limits::LATENCY_NS_MAX),
            connect_window: Hist::new(limits::LATENCY_NS_MAX),
            tls: None,
            rates: Hist::new(RATE_PER_S_MAX),
            inflight_sum_ns: 0,
            inflight_integral_ns: 0,
            targets: Vec::new(),
            servers: Vec::new(),
        }
    }
}

impl WorkerRecord {
    /// The counts of one phase.
    pub fn phase(&self, phase: Phase) -> &PhaseCounts {
        &self.phases[phase as usize]
    }

    /// The counts of all phases together.
    pub fn whole(&self) -> PhaseCounts {
        let mut sum = PhaseCounts::default();
        for phase in &self.phases {
            sum.merge(phase);
        }
        sum
    }

    /// Adds another worker's record, histogram bucket by bucket.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.phases.iter_mut().zip(&other.phases) {
            mine.merge(theirs);
        }
        self.inflight_end += other.inflight_end;
        self.window_started_failed += other.window_started_failed;
        self.window_started_inflight_end += other.window_started_inflight_end;
        self.connections.merge(&other.connections);
        self.bytes.merge(&other.bytes);
        self.notices.merge(&other.notices);
        self.findings.merge(&other.findings);
        self.latency.merge(&other.latency);
        self.service.merge(&other.service);
        self.unanswered.merge(&other.unanswered);
        self.sending.merge(&other.sending);
        addresses::merge(&mut self.addresses, &other.addresses);
        self.connect.merge(&other.connect);
        self.connect_window.merge(&other.connect_window);
        if let Some(tls) = &other.tls {
            self.tls.get_or_insert_default().merge(tls);
        }
        self.rates.merge(&other.rates);
        self.inflight_sum_ns += other.inflight_sum_ns;
        self.inflight_integral_ns += other.inflight_integral_ns;
        targets::merge(&mut self.targets, &other.targets);
        servers::merge(&mut self.servers, &other.servers);
    }
}

/// Writes one worker's record while the run goes on. Time is handed in once per turn.
#[derive(Debug)]
pub struct Recorder {
    record: WorkerRecord,
    phase: Phase,
    window_start_ns: u64,
    now_ns: u64,
    inflight: u64,
    /// Due, neither started nor given up.
    backlog: u64,
    last_sent_ns: u64,
    /// The shortest service latency since the time, and in the second before it.
    service_least: (u64, u64, u64),
    intervals: IntervalWriter,
    rate_sample_start_ns: u64,
    rate_sample_completed: u64,
    inspector: Option<Box<Inspector>>,
}

impl Recorder {
    /// An empty record whose seconds go to `intervals`.
    pub fn new(intervals: IntervalWriter) -> Self {
        Self {
            record: WorkerRecord::default(),
            phase: Phase::Opening,
            window_start_ns: u64::MAX,
            now_ns: 0,
            inflight: 0,
            backlog: 0,
            last_sent_ns: 0,
            service_least: (0, u64::MAX, u64::MAX),
            intervals,
            rate_sample_start_ns: 0,
            rate_sample_completed: 0,
            inspector: None,
        }
    }

    /// The same for a run on a schedule, which tells corrected from service latency.
    pub fn paced(intervals: IntervalWriter) -> Self {
        let mut recorder = Self::new(intervals);
        recorder.record.sending.paced = true;
        recorder
    }

    /// Counts for each of `addresses` apart, if they are several.
    #[must_use]
    pub fn over_addresses(mut self, addresses: u32) -> Self {
        let several = if addresses > 1 { addresses as usize } else { 0 };
        self.record.addresses = vec![AddressCounts::default(); several];
        self
    }

    /// The same record with room for what TLS counts.
    #[must_use]
    pub fn with_tls(mut self) -> Self {
        self.record.tls = Some(Box::default());
        self
    }

    /// Connections stay from what `before` counted: so does what was agreed on over TLS.
    pub fn carry_tls(&mut self, before: &Self) {
        self.record.tls = before.record.tls.as_ref().map(|tls| {
            let facts = tls.facts.clone();
            Box::new(TlsRecord { facts, ..TlsRecord::default() })
        });
    }

    /// With an inspector that answers are shown to.
    #[must_use]
    pub fn inspecting(self, inspector: Option<Inspector>) -> Self {
        Self { inspector: inspector.map(Box::new), ..self }
    }

    /// Whether answers are to be shown to an inspector.
    #[inline]
    pub fn inspects(&self) -> bool {
        self.inspector.is_some()
    }

    /// The inspector, if answers are to be shown to one.
    #[inline]
    pub fn inspector_mut(&mut self) -> Option<&mut Inspector> {
        self.inspector.as_deref_mut()
    }

    /// The phase events are counted in.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The time of the last `advance`, in nanoseconds.
    pub fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// Requests in flight.
    pub fn inflight(&self) -> u64 {
        self.inflight
    }

    /// Requests due that have neither started nor been given up.
    pub fn backlog(&self) -> u64 {
        self.backlog
    }

    /// The shortest service latency of the last one or two seconds with answers, in nanoseconds: the
    /// least that an answer takes to come; 0 before the first one.
    pub fn service_least_ns(&self) -> u64 {
        let (_, now_ns, before_ns) = self.service_least;
        match now_ns.min(before_ns) {
            u64::MAX => 0,
            least_ns => least_ns,
        }
    }

    /// What was counted up to now.
    pub fn record(&self) -> &WorkerRecord {
        &self.record
    }

    /// Moves time on to `now_ns`; everything recorded until the next call happened then.
    pub fn advance(&mut self, now_ns: u64) {
        self.move_to(now_ns);
        self.intervals.advance(self.now_ns, self.inflight, self.backlog);
    }

    /// Where the current interval ends, if that is over by `now_ns`.
    #[inline]
    pub fn interval_over(&self, now_ns: u64) -> Option<u64> {
        self.intervals.over(now_ns)
    }

    /// Ends the interval at exactly `end_ns`, by when `due` more requests had become due. The loop
    /// has not been there since `gone_ns`.
    pub fn end_interval(&mut self, end_ns: u64, gone_ns: u64, due: u64) {
        self.move_to(end_ns);
        self.due(due);
        self.intervals.stood_still(gone_ns, end_ns);
        self.intervals.advance(end_ns, self.inflight, self.backlog);
    }

    /// The loop was not there from `from_ns` to `to_ns`.
    #[inline]
    pub fn stood_still(&mut self, from_ns: u64, to_ns: u64) {
        self.intervals.stood_still(from_ns, to_ns);
    }

    fn move_to(&mut self, now_ns: u64) {
        let elapsed_ns = now_ns.saturating_sub(self.now_ns);
        self.record.inflight_integral_ns += u128::from(self.inflight) * u128::from(elapsed_ns);
        self.now_ns = self.now_ns.max(now_ns);
        if self.phase == Phase::Window {
            let sending = &mut self.record.sending;
            if sending.paced {
                let outstanding = u128::from(self.inflight + self.backlog);
                sending.outstanding_integral_ns += outstanding * u128::from(elapsed_ns);
            }
            self.sample_rate();
        }
    }

    /// Enters the warm-up or the drain at the current time.
    pub fn enter(&mut self, phase: Phase) {
        debug_assert_ne!(phase, Phase::Window, "the window has a planned start");
        if self.phase == Phase::Window && self.record.sending.paced {
            let unsent = self.record.phase(Phase::Window).unsent;
            self.record.sending.outstanding_end = self.inflight + unsent;
        }
        self.set_phase(phase);
        if phase == Phase::Warmup {
            self.start_series(self.now_ns);
        }
    }

    /// The series begins at `planned_ns`, at or a little before the current time, and its intervals
    /// count from there. Once it has begun, nothing happens.
    pub fn start_series(&mut self, planned_ns: u64) {
        if !self.intervals.started() {
            self.intervals.start(planned_ns);
        }
    }

    /// Enters the window, which starts at `planned_ns`, at or a little before the current time.
    /// Everything started before the call has an earlier stamp and does not belong to it.
    pub fn enter_window(&mut self, planned_ns: u64) {
        self.set_phase(Phase::Window);
        self.window_start_ns = planned_ns;
        self.rate_sample_start_ns = self.now_ns;
        self.rate_sample_completed = 0;
        self.start_series(planned_ns);
    }

    fn set_phase(&mut self, phase: Phase) {
        self.phase = phase;
        if let Some(inspector) = &mut self.inspector {
            inspector.enter(phase as usize);
        }
    }

    /// `count` requests became due.
    #[inline]
    pub fn due(&mut self, count: u64) {
        self.record.phases[self.phase as usize].due += count;
        self.backlog += count;
        self.intervals.flow.due += count;
    }

    /// `count` due requests of `request_bytes` each were handed to the backend.
    #[inline]
    pub fn started(&mut self, count: u64, request_bytes: u64) {
        debug_assert!(self.backlog >= count, "more requests started than were due");
        let phase = &mut self.record.phases[self.phase as usize];
        phase.started += count;
        phase.bytes_out += count * request_bytes;
        self.backlog -= count;
        self.inflight += count;
        self.intervals.flow.started += count;
    }

    /// How one started request kept its schedule. `asked_gap_ns` is the time that was to lie between
    /// it and the worker's request before it, on average if arrivals are random; 0 says that there is
    /// none.
    #[inline]
    pub fn left(&mut self, lag: Lag, asked_gap_ns: u64) {
        debug_assert!(lag.intended_ns <= self.now_ns, "a request left before its time");
        self.intervals.lag(lag.total_ns, lag.late_ns);
        if lag.intended_ns < self.window_start_ns {
            return;
        }
        let sending = &mut self.record.sending;
        sending.lag.record(lag.total_ns, 1);
        sending.late.record(lag.late_ns, 1);
        sending.waited.record(lag.total_ns - lag.late_ns, 1);
        if asked_gap_ns > 0 && self.last_sent_ns >= self.window_start_ns {
            let gap_ns = u128::from(self.now_ns - self.last_sent_ns);
            let tenths = (gap_ns * 10 + u128::from(asked_gap_ns / 2)) / u128::from(asked_gap_ns);
            sending.gap_tenths[tenths.min(GAP_TENTHS as u128 - 1) as usize] += 1;
        }
        self.last_sent_ns = self.now_ns;
    }

    /// A request's deadline passed before it could start.
    pub fn shed(&mut self, lag: Lag) {
        debug_assert!(self.backlog > 0, "what is shed was due");
        self.record.phases[self.phase as usize].shed += 1;
        self.intervals.flow.shed += 1;
        self.backlog -= 1;
        if lag.intended_ns >= self.window_start_ns {
            self.record.sending.shed.add(lag);
            self.record.unanswered.record(lag.total_ns, 1);
        }
    }

    /// `count` due requests have not started, and the phase they belong to ends.
    pub fn unsent(&mut self, count: u64) {
        debug_assert!(self.backlog >= count, "what is never sent was due");
        self.record.phases[self.phase as usize].unsent += count;
        self.intervals.flow.unsent += count;
        self.backlog -= count;
    }

    /// `count` of the window's requests that were never sent had waited so long when it ended.
    pub fn unsent_waited(&mut self, count: u64, waited_ns: u64) {
        // A run stopped in its warm-up had no window.
        if self.window_start_ns != u64::MAX {
            self.record.unanswered.record(waited_ns, count);
        }
    }

    /// `count` requests with these stamps were answered with `status`.
    #[inline]
    pub fn answered(&mut self, status: u16, count: u64, stamps: Stamps) {
        let latency_ns = self.now_ns.saturating_sub(stamps.intended_ns);
        let service_ns = self.now_ns.saturating_sub(stamps.sent_ns);
        let phase = &mut self.record.phases[self.phase as usize];
        phase.completed += count;
        phase.statuses[usize::from(status).min(STATUSES - 1)] += count;
        if stamps.intended_ns >= self.window_start_ns {
            self.record.latency.record(latency_ns, count);
            if self.record.sending.paced {
                self.record.service.record(service_ns, count);
            }
        }
        if self.record.sending.paced {
            let (since_ns, least_ns, _) = &mut self.service_least;
            *least_ns = service_ns.min(*least_ns);
            if self.now_ns >= *since_ns + SERVICE_LEAST_NS {
                self.service_least = (self.now_ns, u64::MAX, *least_ns);
            }
        }
        self.rate_sample_completed += count;
        self.intervals.flow.completed += count;
        self.intervals.latency(latency_ns, count);
        self.resolve(count, service_ns);
    }

    /// `count` requests with these stamps failed.
    pub fn failed(&mut self, cause: Failure, count: u64, stamps: Stamps) {
        self.record.phases[self.phase as usize].failed.add(cause, count);
        if stamps.intended_ns >= self.window_start_ns {
            let waited_ns = self.now_ns.saturating_sub(stamps.intended_ns);
            self.record.window_started_failed += count;
            self.record.unanswered.record(waited_ns, count);
        }
        self.intervals.flow.failed += count;
        self.resolve(count, self.now_ns.saturating_sub(stamps.sent_ns));
    }

    /// `count` requests with these stamps are unresolved at the end of the run.
    pub fn left_in_flight(&mut self, count: u64, stamps: Stamps) {
        let inflight_ns = self.now_ns.saturating_sub(stamps.sent_ns);
        self.record.inflight_end += count;
        if stamps.intended_ns >= self.window_start_ns {
            let waited_ns = self.now_ns.saturating_sub(stamps.intended_ns);
            self.record.window_started_inflight_end += count;
            self.record.unanswered.record(waited_ns, count);
        }
        self.record.inflight_sum_ns += u128::from(count) * u128::from(inflight_ns);
    }

    /// `count` bytes were received.
    #[inline]
    pub fn received(&mut self, count: u64) {
        self.record.phases[self.phase as usize].bytes_in += count;
        self.intervals.flow.bytes_in += count;
    }

    /// The classes of received bytes, for the codec's sink.
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut ByteCounts {
        &mut self.record.bytes
    }

    /// What answers gave notice of, for the codec's sink.
    pub fn notices_mut(&mut self) -> &mut NoticeCounts {
        &mut self.record.notices
    }

    /// Attempts and connections.
    pub fn connections_mut(&mut self) -> &mut ConnectionCounts {
        &mut self.record.connections
    }

    /// An attempt to an address was begun.
    pub fn attempted(&mut self, address_index: u32) {
        self.record.connections.attempts += 1;
        self.at_address(address_index, |counts| counts.attempts += 1);
    }

    /// An attempt begun at `begun_ns` became a connection.
    pub fn established(&mut self, begun_ns: u64, address_index: u32) {
        let took_ns = self.now_ns.saturating_sub(begun_ns);
        self.record.connections.established += 1;
        self.record.connect.record(took_ns, 1);
        if self.phase == Phase::Window {
            self.record.connect_window.record(took_ns, 1);
        }
        self.at_address(address_index, |counts| counts.established += 1);
    }

    /// A connection of a run over TLS has none itself.
    pub fn established_plain(&mut self) {
        self.record.tls.get_or_insert_default().plain += 1;
    }

    /// An attempt failed.
    pub fn connect_failed(&mut self, cause: ConnectFailure, address_index: u32) {
        self.record.connections.failed.add(cause, 1);
        self.at_address(address_index, |counts| counts.failed += 1);
    }

    /// A connection to an address that has ended brought so many answers.
    pub fn answered_by(&mut self, address_index: u32, answers: u64) {
        self.at_address(address_index, |counts| counts.completed += answers);
    }

    fn at_address(&mut self, address_index: u32, change: impl FnOnce(&mut AddressCounts)) {
        if let Some(counts) = self.record.addresses.get_mut(address_index as usize) {
            change(counts);
        }
    }

    /// Shows whoever watches how the counts stand.
    pub fn show(&self) {
        let sum = |pick: fn(&PhaseCounts) -> u64| self.record.phases.iter().map(pick).sum();
        self.intervals.show(Standing {
            due: sum(|phase| phase.due),
            completed: sum(|phase| phase.completed),
            failed: sum(|phase| phase.failed.total()),
            inflight: self.inflight,
            backlog: self.backlog,
        });
    }

    /// Ends the record; the last, partial interval is handed over.
    pub fn finish(mut self) -> WorkerRecord {
        self.show();
        self.intervals.finish(self.now_ns, self.inflight, self.backlog);
        if let Some(inspector) = self.inspector {
            self.record.findings = inspector.finish();
        }
        self.record
    }

    fn resolve(&mut self, count: u64, inflight_ns: u64) {
        debug_assert!(self.inflight >= count, "more requests ended than were in flight");
        self.inflight -= count;
        self.record.inflight_sum_ns += u128::from(count) * u128::from(inflight_ns);
    }

    fn sample_rate(&mut self) {
        let elapsed_ns = self.now_ns - self.rate_sample_start_ns;
        if elapsed_ns < RATE_SAMPLE_NS {
            return;
        }
        let completed = u128::from(self.rate_sample_completed);
        let rate_per_s = completed * 1_000_000_000 / u128::from(elapsed_ns);
        self.record.rates.record(rate_per_s as u64, 1);
        self.rate_sample_start_ns = self.now_ns;
        self.rate_sample_completed = 0;
    }
}

/// The lag of a request due at `intended_ns` when a connection has had room since `room_since_ns`.
#[cfg(test)]
pub(crate) fn lag_of(recorder: &Recorder, intended_ns: u64, room_since_ns: u64) -> Lag {
    let total_ns = recorder.now_ns().saturating_sub(intended_ns);
    let waited_ns = room_since_ns.min(recorder.now_ns()).saturating_sub(intended_ns);
    Lag { intended_ns, total_ns, late_ns: total_ns - waited_ns }
}

#[cfg(test)]
mod tests;
