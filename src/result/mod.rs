//! The finished run as plain data, the counting identities, the verdict, and thresholds.
//!
//! Owns what a result *is*, whether it can be trusted, and whether it is good enough. Knows no file format and no wording: the
//! renderers in `report` turn this into text and JSON.

mod answers;
mod arrivals;
mod checks;
mod cost;
mod drift;
mod identities;
mod machine;
mod quota;
pub mod threshold;
mod verdict;

use crate::hist::Hist;
use crate::inspect::Checks;
use crate::record::{Flow, Interval, Phase, WorkerRecord};

pub use answers::Answers;
pub use arrivals::distance_from_asked;
pub use cost::ServerCost;
pub use drift::{Drift, WarmedUp, drift};
pub use identities::{Identity, IdentityCheck, check};
pub use machine::{Figure, MachineFigures, Side};
pub use quota::QuotaUse;
use threshold::Threshold;
pub use verdict::{
    BUSY_SHARE_LIMITED, Invalid, Verdict, judge, own_lag_limit_ns, own_lag_ns, silent_at_end,
};

/// From this share of the asked rate of attempts on, it is that which sets the pace of connections.
const CONNECT_PACED_SHARE: f64 = 0.9;

/// What was asked for, as far as reports show it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asked {
    /// The URL as typed.
    pub url: String,
    /// Every address that load went to, in dealing order.
    pub addresses: Vec<String>,
    /// Arguments as typed, secrets redacted.
    pub options: Vec<String>,
    /// When requests were to leave; `None` in a closed loop.
    pub schedule: Option<Schedule>,
    /// Connections over all workers.
    pub connections: u32,
    /// Worker threads.
    pub threads: u32,
    /// Most requests outstanding on one connection.
    pub depth: u32,
    /// Requests after which a connection is replaced; `None` is never.
    pub requests_per_connection: Option<u32>,
    /// Length of the window, if it was bounded by time.
    pub duration_ns: Option<u64>,
    /// Requests in the window, if it was bounded by count.
    pub requests: Option<u64>,
    /// Warm-up before the window.
    pub warmup_ns: u64,
    /// Longest drain after it.
    pub drain_ns: u64,
    /// Longest wait for one answer.
    pub timeout_ns: u64,
    /// Longest connection attempt.
    pub connect_timeout_ns: u64,
    /// Connection attempts per second over all workers; `None` is as fast as they end.
    pub connect_rate_per_s: Option<f64>,
    /// Length of one interval of the series.
    pub interval_ns: u64,
    /// Seed of everything random.
    pub seed: u64,
    /// Bytes of one request on the wire.
    pub request_bytes: u64,
    /// FNV-1a (64 bits) of the request's bytes, to tell whether two results sent the same.
    pub request_hash: u64,
    /// Remarks on how the request was understood.
    pub notes: Vec<String>,
    /// What was sent, where that was more than one request; in the order given.
    pub targets: Vec<AskedTarget>,
    /// The servers they are for, in the order first named.
    pub servers: Vec<AskedServer>,
    /// What answers were checked for.
    pub checks: Checks,
    /// What the result must measure to pass, as asked.
    pub thresholds: Vec<Threshold>,
}

/// One of several targets, as asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AskedTarget {
    /// Method and URL, secrets redacted.
    pub name: String,
    /// Its part of the requests, beside the others' weights.
    pub weight: u32,
    /// Its server's place in `Asked::servers`.
    pub server: u32,
}

/// A server that targets name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AskedServer {
    /// Scheme, host and port.
    pub name: String,
    /// Connections bound to it over all workers.
    pub connections: u32,
    /// Its addresses.
    pub addresses: Vec<String>,
}

/// What was asked of the arrivals.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schedule {
    /// The rate, or the stages, as understood: `20,000/s`, `0/s->10,000/s:30s,10,000/s:2m`.
    pub profile: String,
    /// `constant` or `poisson`.
    pub arrivals: String,
    /// Requests asked for over the whole window; `None` without an end, and when arrivals are random.
    pub requests: Option<u64>,
    /// Mean rate over the window.
    pub rate_per_s: f64,
    /// Rate just before the window's end.
    pub rate_end_per_s: f64,
    /// Longest time a request may start after its intended time.
    pub deadline_ns: Option<u64>,
    /// How long before an intended time the workers stopped sleeping; 0 is not at all.
    pub spin_ns: u64,
}

/// Where and with what a result was made. `None` where the machine did not tell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Manifest {
    /// wring's version.
    pub version: String,
    /// RFC 3339 stamp of the start.
    pub started_at: String,
    /// Kernel release.
    pub kernel: Option<String>,
    /// CPU model name.
    pub cpu_model: Option<String>,
    /// CPUs this process may use.
    pub cpus_allowed: Vec<u32>,
    /// CPU vulnerabilities and their mitigations, one line.
    pub mitigations: Option<String>,
    /// Frequency governor.
    pub governor: Option<String>,
    /// Clock source of the kernel.
    pub clock_source: Option<String>,
    /// TCP congestion control in force.
    pub tcp_congestion: Option<String>,
    /// The backend with the features in use, as it describes itself.
    pub backend: String,
}

/// One worker, for the per-thread parts of the report.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WorkerSummary {
    /// The CPU it was pinned to.
    pub cpu: Option<u32>,
    /// Its connections.
    pub connections: u32,
    /// CPU time it worked during the window, in nanoseconds.
    pub busy_ns: u64,
    /// Time it looked for work in vain during the window, in nanoseconds; not part of `busy_ns`.
    pub idle_spin_ns: u64,
    /// Turns it took in the window.
    pub turns: u64,
    /// Time it was ready to run and waited for its CPU during the window, in nanoseconds.
    pub starved_ns: u64,
    /// Requests completed in the window.
    pub completed: u64,
    /// Longest that its loop was not there in the window, in nanoseconds: the time between two turns
    /// less the wait it wanted.
    pub turn_gap_ns_max: u64,
    /// Its backend broke before the run was over, or it panicked, and nothing of it is known.
    pub broke: bool,
}

/// How many connections were open while the window lasted or, if it never began, when the run ended.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct OpenConnections {
    /// When the window started.
    pub at_start: u32,
    /// Fewest at any turn of the window.
    pub min: u32,
    /// Most at any turn of the window.
    pub max: u32,
}

/// How long before the window's end the last answer came, when requests were in flight then.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SilentEnd {
    /// From the last answer, or the window's start, to its end; to within some 50 ms.
    pub length_ns: u64,
    /// Requests in flight at its end.
    pub inflight: u64,
}

/// One interval of the whole run, all workers together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Second {
    /// Start, in nanoseconds since the load began.
    pub start_ns: u64,
    /// Length.
    pub length_ns: u64,
    /// Requests in flight at the start.
    pub inflight_start: u64,
    /// Requests in flight at the end.
    pub inflight_end: u64,
    /// Requests due and not started at the start.
    pub backlog_start: u64,
    /// Requests due and not started at the end.
    pub backlog_end: u64,
    /// Longest time from a request's intended time to its send, of those that left in it.
    pub lag_ns_max: u64,
    /// Longest time in it that a worker's loop was not there, in nanoseconds.
    pub turn_gap_ns_max: u64,
    /// What went through.
    pub flow: Flow,
    /// Median latency of its answers; `None` when it is not known. While a run goes on, that of few
    /// answers too.
    pub p50_ns: Option<u64>,
    /// 99th percentile.
    pub p99_ns: Option<u64>,
    /// Largest latency.
    pub max_ns: Option<u64>,
}

/// Answers that make a median known, and a 99th percentile: ten lie above it.
const P50_ANSWERS_MIN: u64 = 20;
const P99_ANSWERS_MIN: u64 = 1000;

impl Second {
    /// The same without the quantiles that too few answers lie above to be known.
    #[must_use]
    pub fn with_known_quantiles(self) -> Self {
        let known = |ns: Option<u64>, least| ns.filter(|_| self.flow.completed >= least);
        let (p50_ns, p99_ns) =
            (known(self.p50_ns, P50_ANSWERS_MIN), known(self.p99_ns, P99_ANSWERS_MIN));
        Self { p50_ns, p99_ns, ..self }
    }
}

/// What one worker counted in it, without quantiles.
impl From<&Interval> for Second {
    fn from(interval: &Interval) -> Self {
        Self {
            inflight_start: interval.inflight_start,
            inflight_end: interval.inflight_end,
            backlog_start: interval.backlog_start,
            backlog_end: interval.backlog_end,
            flow: interval.flow,
            ..Self::default()
        }
    }
}

/// Why a run ended before it was done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Interrupted {
    /// SIGINT.
    Interrupt,
    /// SIGTERM or SIGHUP.
    Terminate,
}

/// A finished run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunResult {
    /// What was asked for.
    pub asked: Asked,
    /// Where it ran.
    pub manifest: Manifest,
    /// All workers' records merged.
    pub total: WorkerRecord,
    /// One for each worker.
    pub workers: Vec<WorkerSummary>,
    /// Length of the opening, in nanoseconds.
    pub opening_ns: u64,
    /// When the window started, in nanoseconds of the machine's monotonic clock; on a schedule that
    /// is when its first request was due.
    pub window_start_monotonic_ns: u64,
    /// Actual length of the window, in nanoseconds.
    pub window_ns: u64,
    /// Actual length of the drain, in nanoseconds.
    pub drain_ns: u64,
    /// Connections open during the window.
    pub open: OpenConnections,
    /// The series.
    pub seconds: Vec<Second>,
    /// For each entry of the series and each limit that was asked for, how many answers took longer;
    /// `None` where that is not known. Empty unless asked for, and in series too long for it.
    pub over_limits: Vec<Option<Vec<u64>>>,
    /// For each entry of `over_limits`, the longest that wring itself sent late in it, in nanoseconds.
    pub late_ns_max: Vec<u64>,
    /// How long the machine was suspended while the run lasted.
    pub suspended_ns: u64,
    /// Why it ended early, if it did.
    pub interrupted: Option<Interrupted>,
    /// The server that was waited for in vain, so that it ended before all its requests were started:
    /// a place in `Asked::servers`, 0 where there is one.
    pub given_up: Option<u32>,
    /// Every answer was a refusal of plain HTTP, and a look at the port found TLS there.
    pub speaks_tls: bool,
    /// The target is on this machine.
    pub target_on_this_machine: bool,
    /// The CPUs that the target's threads may use, where that was looked at (a worker had waited for
    /// its own) and could be found.
    pub target_cpus: Option<Vec<u32>>,
    /// The quiet before the window's end, if answers were awaited then.
    pub silent_end: Option<SilentEnd>,
    /// Requests the target received whole, where the target's own count is known.
    pub target_requests: Option<u64>,
    /// What this machine can do, after a self test.
    pub machine: Option<MachineFigures>,
    /// How the warm-up went, where it was to end by itself.
    pub warmed_up: Option<WarmedUp>,
    /// What the window cost the target, where its processes were named.
    pub server: Option<ServerCost>,
    /// What a CPU quota of wring's own control group took from it; `None` where there is none, or it
    /// took nothing.
    pub quota: Option<QuotaUse>,
    /// Every identity with what was found.
    pub identities: Vec<IdentityCheck>,
    /// What the numbers mean.
    pub verdict: Verdict,
    /// Remarks on the course of the run (fewer connections, a late worker), for a person.
    pub remarks: Vec<String>,
}

impl RunResult {
    /// Requests completed in the window.
    pub fn window_completed(&self) -> u64 {
        self.total.phase(Phase::Window).completed
    }

    /// Whether a worker did not work to the end, so that its part is missing from there on or whole.
    pub fn has_broken_worker(&self) -> bool {
        self.workers.iter().any(|worker| worker.broke)
    }

    /// How a server is named to people.
    pub fn server_name(&self, server: u32) -> &str {
        let named = self.asked.servers.get(server as usize);
        named.map_or(self.asked.url.as_str(), |server| server.name.as_str())
    }

    /// Requests that were asked for and never started; 0 where no number of them was.
    pub fn never_started(&self) -> u64 {
        let started = self.total.phase(Phase::Window).started;
        self.asked.requests.map_or(0, |requests| requests.saturating_sub(started))
    }

    /// Requests completed per second of the window; 0 without a window.
    pub fn requests_per_s(&self) -> f64 {
        per_s(self.window_completed(), self.window_ns)
    }

    /// Share of the requests due in the window that were sent, `0.0 ..= 1.0`; 1 when none was due.
    pub fn sent_share(&self) -> f64 {
        let window = self.total.phase(Phase::Window);
        share(window.started, window.due)
    }

    /// Share of the requests due in the window that were answered, in it or in the drain, `0.0 ..=
    /// 1.0`; 1 when none was due.
    pub fn answered_share(&self) -> f64 {
        share(self.total.latency.len(), self.total.phase(Phase::Window).due)
    }

    /// Requests completed in the window as a share of those due in it; 1 when none was due. On a
    /// schedule this is the achieved rate over the asked one.
    pub fn achieved_share(&self) -> f64 {
        let window = self.total.phase(Phase::Window);
        share(window.completed, window.due)
    }

    /// Connections established per second of the window; 0 without a window.
    pub fn connections_per_s(&self) -> f64 {
        per_s(self.total.connect_window.len(), self.window_ns)
    }

    /// New connections came as fast as the asked rate of attempts lets them.
    pub fn is_connect_paced(&self) -> bool {
        let rate_per_s = self.asked.connect_rate_per_s;
        rate_per_s.is_some_and(|per_s| self.connections_per_s() >= CONNECT_PACED_SHARE * per_s)
    }

    /// Bytes received per second of the window; 0 without a window.
    pub fn bytes_per_s(&self) -> f64 {
        per_s(self.total.phase(Phase::Window).bytes_in, self.window_ns)
    }

    /// The largest share of the window that any worker was busy: its CPU time less the idle spin,
    /// `0.0 ..= 1.0`.
    pub fn busy_share_max(&self) -> f64 {
        self.share_max(|worker| worker.busy_ns)
    }

    /// A worker had no time to spare: whatever was measured is no ceiling of the target's.
    pub fn is_short_of_time(&self) -> bool {
        match self.verdict {
            Verdict::GeneratorLimited { .. } => true,
            Verdict::ShortOfCpu { .. } => self.occupied_share_max() >= BUSY_SHARE_LIMITED,
            _ => false,
        }
    }

    /// The largest share of the window that any worker had no time to spare in, because it was busy
    /// or waited for its CPU, `0.0 ..= 1.0`.
    pub fn occupied_share_max(&self) -> f64 {
        let throttled_ns = self.throttled_ns();
        self.share_max(|worker| worker.busy_ns + worker.starved_ns.max(throttled_ns))
    }

    /// The largest share of the window that any worker waited for its CPU, `0.0 ..= 1.0`.
    pub fn starved_share_max(&self) -> f64 {
        let throttled_ns = self.throttled_ns();
        self.share_max(|worker| worker.starved_ns.max(throttled_ns))
    }

    /// The target may be what a worker waits for its CPU for: it is on this machine, and not known to
    /// have CPUs of its own.
    pub fn may_share_cpus(&self) -> bool {
        let Some(theirs) = &self.target_cpus else { return self.target_on_this_machine };
        let is_theirs = |cpu: &u32| theirs.contains(cpu);
        let shares = |worker: &WorkerSummary| match &worker.cpu {
            Some(cpu) => is_theirs(cpu),
            None => self.manifest.cpus_allowed.iter().any(is_theirs),
        };
        self.target_on_this_machine && self.workers.iter().any(shares)
    }

    /// How long a quota kept each worker from running, if all of them alike. Not every kernel counts
    /// that as waiting for a CPU.
    fn throttled_ns(&self) -> u64 {
        self.quota.map_or(0, |quota| quota.throttled_ns / (self.workers.len() as u64).max(1))
    }

    fn share_max(&self, part_ns: impl Fn(&WorkerSummary) -> u64) -> f64 {
        let share = |worker: &WorkerSummary| part_ns(worker) as f64 / self.window_ns.max(1) as f64;
        self.workers.iter().map(share).fold(0.0, f64::max).min(1.0)
    }

    /// Requests that became due in the window and have no latency: failed, unresolved, never sent.
    /// They are slower than any that were answered.
    pub fn unanswered(&self) -> u64 {
        let window = self.total.phase(Phase::Window);
        let unresolved = self.total.window_started_failed + self.total.window_started_inflight_end;
        unresolved + window.unsent + window.shed
    }

    /// The latency at quantile `q` when unanswered requests count as slower than any answered one:
    /// `Ok` for a known value, `Err` for "at least this": the slowest answer, or the wait of the
    /// unanswered request of that rank if it was longer.
    pub fn quantile_with_unanswered(&self, q: f64) -> Result<u64, u64> {
        let answered = self.total.latency.len();
        let all = answered + self.unanswered();
        let rank = q * all as f64;
        if rank <= answered as f64 && answered > 0 {
            return Ok(self.total.latency.quantile(rank / answered as f64));
        }
        let unanswered = &self.total.unanswered;
        let rest = (rank - answered as f64) / self.unanswered().max(1) as f64;
        Err(self.total.latency.max().max(unanswered.quantile(rest)))
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

fn per_s(count: u64, ns: u64) -> f64 {
    if ns == 0 { 0.0 } else { count as f64 * 1e9 / ns as f64 }
}

/// Adds one worker's interval to the series, which the other workers' intervals of the same time
/// share. `start_ns` counts from the start of the load. The series keeps at most `seconds_max`
/// entries: beyond it neighbours are merged and their quantiles dropped, because quantiles do not add.
pub fn halve(seconds: &mut Vec<Second>) {
    let mut merged = Vec::with_capacity(seconds.len().div_ceil(2));
    for pair in seconds.chunks(2) {
        let mut first = pair[0].clone();
        if let Some(second) = pair.get(1) {
            first.length_ns += second.length_ns;
            first.inflight_end = second.inflight_end;
            first.backlog_end = second.backlog_end;
            first.lag_ns_max = first.lag_ns_max.max(second.lag_ns_max);
            first.turn_gap_ns_max = first.turn_gap_ns_max.max(second.turn_gap_ns_max);
            first.flow.merge(&second.flow);
            first.max_ns = first.max_ns.max(second.max_ns);
            first.p50_ns = None;
            first.p99_ns = None;
        }
        merged.push(first);
    }
    *seconds = merged;
}

/// FNV-1a, 64 bits (Fowler, Noll, Vo): tells requests apart, protects nothing.
pub fn fnv1a(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// A result with nothing in it, to be filled in; also the base of tests.
impl Default for RunResult {
    fn default() -> Self {
        Self {
            asked: Asked::default(),
            manifest: Manifest::default(),
            total: WorkerRecord::default(),
            workers: Vec::new(),
            opening_ns: 0,
            window_start_monotonic_ns: 0,
            window_ns: 0,
            drain_ns: 0,
            open: OpenConnections::default(),
            seconds: Vec::new(),
            over_limits: Vec::new(),
            late_ns_max: Vec::new(),
            suspended_ns: 0,
            interrupted: None,
            given_up: None,
            speaks_tls: false,
            target_on_this_machine: false,
            target_cpus: None,
            silent_end: None,
            target_requests: None,
            machine: None,
            warmed_up: None,
            server: None,
            quota: None,
            identities: Vec::new(),
            verdict: Verdict::Invalid(Vec::new()),
            remarks: Vec::new(),
        }
    }
}

/// Bound of every latency histogram of a result, for readers of stored ones.
pub fn empty_latency() -> Hist {
    Hist::new(crate::limits::LATENCY_NS_MAX)
}

#[cfg(test)]
mod tests;
