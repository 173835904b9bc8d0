//! The format of `--json` and of stored results: the only place that defines it.
//!
//! One JSON object. Times are nanoseconds (`_ns`), sizes bytes, everything counted an integer;
//! rates and shares alone are fractions. `null` stands for "not known" or "does not apply". A
//! percentile is `null` when fewer than ten samples lie above it. Counts belong to the phase in
//! which the event happened. Fields marked *derived* repeat what others say; readers of stored
//! results compute them anew.
//!
//! `SCHEMA_VERSION` rises when a field changes its meaning, its type or disappears. New fields do
//! not raise it: readers skip what they do not know.
//!
//! - Version 1 knows the closed loop alone: every request is due when it is started.
//! - Version 2 adds runs on a schedule. `latency` counts from the intended time, which a closed
//!   loop has at the send; `requests.due` repeats the phases, where due requests are counted; the
//!   verdict has kinds of its own for a schedule.

pub mod answers;
mod checks;
mod connections;
pub mod machine;
pub mod quota;
pub mod search;
pub mod server;
pub mod steady;
pub mod targets;
mod tls;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use checks::{Bodies, Body, BodyHash, ByPhase, Checks, Group, Groups, Threshold};
pub use connections::{AddressCounts, NewConnections};
pub use targets::{ServerFault, ServerTls};
pub use tls::{Agreed, Tls};

/// The version of this format.
pub const SCHEMA_VERSION: u32 = 2;
/// What `kind` says in every object of this format.
pub const KIND: &str = "wring-result";

/// The whole object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Version of the format.
    pub schema_version: u32,
    /// Always `wring-result`.
    pub kind: String,
    /// Where and with what the result was made.
    pub manifest: Manifest,
    /// What was asked for.
    pub asked: Asked,
    /// Who set the pace, and whether the numbers can be used.
    pub verdict: Verdict,
    /// Why the run ended before it was done: `SIGINT`, `SIGTERM` (also for SIGHUP) or null.
    pub interrupted: Option<String>,
    /// The server that was waited for in vain, so that the run ended before all its requests were
    /// started: a place in `servers`, 0 with one; null unless that happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_up_server: Option<u32>,
    /// A look at the port after the run found TLS where plain requests had gone.
    #[serde(default, skip_serializing_if = "is_false")]
    pub speaks_tls: bool,
    /// Rates over the window; derived.
    pub rates: Rates,
    /// How the sending of a schedule went, over the window; null in a closed loop; derived.
    #[serde(default)]
    pub schedule: Option<ScheduleKept>,
    /// Requests of the whole run.
    pub requests: Requests,
    /// Requests the target received whole, by its own count, where known.
    pub target_requests: Option<u64>,
    /// What this machine can do; absent unless the run was a self test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<machine::Machine>,
    /// How a warm-up went that was to end by itself; null where it was of a fixed length.
    #[serde(default)]
    pub warmed_up: Option<steady::WarmedUp>,
    /// By how much requests per second changed through the window, as a share of those at its start,
    /// negative if they fell; null unless they drifted; derived.
    #[serde(default)]
    pub drift_share: Option<f64>,
    /// When they did, since the window's start; null where that was little by little, or not at all;
    /// derived.
    #[serde(default)]
    pub drift_at_ns: Option<u64>,
    /// What the window cost the target; null unless its processes were named.
    #[serde(default)]
    pub server: Option<server::ServerCost>,
    /// What a CPU quota of wring's own control group took from it; null where none ran out.
    #[serde(default)]
    pub cpu_quota: Option<quota::CpuQuota>,
    /// Generator and target share this machine.
    pub target_on_this_machine: bool,
    /// The CPUs that the threads of a target on this machine may use; null unless a worker had waited
    /// for its own and they could be found.
    #[serde(default)]
    pub target_cpus: Option<Vec<u32>>,
    /// The quiet before the window's end; null unless requests were in flight then.
    #[serde(default)]
    pub silent_end: Option<SilentEnd>,
    /// How long the machine was suspended while the run lasted.
    #[serde(default)]
    pub suspended_ns: u64,
    /// When the window started, on the machine's monotonic clock; on a schedule its first request was
    /// due then. 0 in version 1, which did not tell.
    #[serde(default)]
    pub window_start_monotonic_ns: u64,
    /// While connections were opened.
    pub opening: Phase,
    /// Before the window.
    pub warmup: Phase,
    /// The measurement.
    pub window: Phase,
    /// After it, while outstanding answers were waited for.
    pub drain: Phase,
    /// All phases together; derived.
    pub whole: Phase,
    /// Requests that became due in the window and have no latency.
    pub unanswered: Unanswered,
    /// Attempts and connections of the whole run.
    pub connections: Connections,
    /// Connections opened in the window; derived.
    #[serde(default)]
    pub new_connections: Option<NewConnections>,
    /// What went to each address, in the order of `asked.addresses`; empty with one.
    #[serde(default)]
    pub addresses: Vec<AddressCounts>,
    /// What the bytes received in the whole run were.
    pub bytes: Bytes,
    /// What was noticed in answers, in the whole run.
    pub notices: Notices,
    /// Corrected latency of the completed requests that became due in the window: from the intended
    /// time, which in a closed loop is the send; derived.
    pub latency: Latency,
    /// The same with requests that failed, were never answered or never sent as slower than any;
    /// derived.
    pub latency_with_unanswered: LatencyWithUnanswered,
    /// Latency of the same requests from the actual send; null in a closed loop; derived.
    #[serde(default)]
    pub service: Option<Latency>,
    /// From the intended time to the send of every request that became due in the window and
    /// started; null in a closed loop; derived.
    #[serde(default)]
    pub send_lag: Option<SendLag>,
    /// Duration of the successful connection attempts of the whole run; derived.
    pub connect: Latency,
    /// TLS; null without it, and before wring knew it.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// Time requests spent in flight, computed in two independent ways.
    pub inflight: Inflight,
    /// Each of several targets; absent when there is one, or more than are counted one by one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<targets::Target>,
    /// The servers, where a run has several targets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<targets::Server>,
    /// The series, in order.
    pub seconds: Vec<Second>,
    /// What answers were checked for, and how many failed; null when they were not checked.
    #[serde(default)]
    pub checks: Option<Checks>,
    /// Answers by the value of a header; null when they were not grouped.
    #[serde(default)]
    pub groups: Option<Groups>,
    /// What the result had to measure.
    #[serde(default)]
    pub thresholds: Vec<Threshold>,
    /// One for each worker thread.
    pub workers: Vec<Worker>,
    /// The counting identities.
    pub identities: Vec<Identity>,
    /// Remarks on the course of the run.
    pub remarks: Vec<String>,
    /// The histograms; in stored results alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub histograms: Option<Histograms>,
}

/// Where and with what a result was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// wring's version.
    pub version: String,
    /// RFC 3339 stamp of the start.
    pub started_at: String,
    /// Kernel release.
    pub kernel: Option<String>,
    /// CPU model name.
    pub cpu_model: Option<String>,
    /// CPUs the process could use.
    pub cpus_allowed: Vec<u32>,
    /// CPU vulnerabilities and their mitigations.
    pub mitigations: Option<String>,
    /// Frequency governor.
    pub governor: Option<String>,
    /// Clock source of the kernel.
    pub clock_source: Option<String>,
    /// TCP congestion control.
    pub tcp_congestion: Option<String>,
    /// Backend and its features in use.
    pub backend: String,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// The URL as typed, secrets redacted.
    pub url: String,
    /// Addresses in dealing order: connection `i` went to address `i` modulo their number.
    pub addresses: Vec<String>,
    /// Arguments as typed, secrets redacted.
    pub options: Vec<String>,
    /// When requests were to leave; null in a closed loop.
    #[serde(default)]
    pub schedule: Option<Schedule>,
    /// Connections over all workers.
    pub connections: u32,
    /// Worker threads.
    pub threads: u32,
    /// Most requests outstanding on one connection.
    pub depth: u32,
    /// Requests after which a connection is replaced; null is never.
    #[serde(default)]
    pub requests_per_connection: Option<u32>,
    /// Length of the window, if bounded by time.
    pub duration_ns: Option<u64>,
    /// Requests in the window, if bounded by count.
    pub requests: Option<u64>,
    /// Warm-up before the window.
    pub warmup_ns: u64,
    /// Longest drain.
    pub drain_ns: u64,
    /// Longest wait for one answer.
    pub timeout_ns: u64,
    /// Longest connection attempt.
    pub connect_timeout_ns: u64,
    /// Connection attempts per second over all workers; absent when they were not paced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_rate_per_s: Option<f64>,
    /// Length of one interval of the series.
    pub interval_ns: u64,
    /// Seed of everything random.
    pub seed: u64,
    /// Bytes of one request on the wire.
    pub request_bytes: u64,
    /// FNV-1a (64 bits) of those bytes as 16 hexadecimal digits.
    pub request_hash: String,
    /// How the request was understood.
    pub notes: Vec<String>,
}

/// What was asked of the arrivals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// The rate, or the stages, as understood.
    pub profile: String,
    /// `constant` or `poisson`.
    pub arrivals: String,
    /// Requests asked for over the window; null without an end, and when arrivals are random.
    pub requests: Option<u64>,
    /// Mean rate over the window.
    pub rate_per_s: f64,
    /// Rate just before the window's end.
    pub rate_end_per_s: f64,
    /// Longest time a request may start after its intended time; null when there is none.
    pub deadline_ns: Option<u64>,
    /// How long before an intended time the workers stopped sleeping; 0 is not at all.
    pub spin_ns: u64,
}

/// How the sending of a schedule went, over the window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScheduleKept {
    /// Mean rate of the profile as asked, whatever part of it the window came to cover.
    pub asked_per_s: f64,
    /// Requests that became due per second of the actual window, which an interruption or a number
    /// of requests may make another than the planned one.
    #[serde(default)]
    pub due_per_s: f64,
    /// Requests completed per second of the actual window; over `due_per_s` it is `achieved_share`.
    pub achieved_per_s: f64,
    /// Requests that became due.
    pub due: u64,
    /// Requests sent.
    pub started: u64,
    /// Requests given up because their deadline passed.
    pub shed: u64,
    /// How long these had waited, and whose doing that was; null without any. Not derived.
    #[serde(default)]
    pub shed_lag: Option<ShedLag>,
    /// Requests due and not sent when the window closed.
    pub unsent_end: u64,
    /// `started` over `due`.
    pub sent_share: f64,
    /// Requests due in the window that were answered, in it or in the drain, over `due`.
    #[serde(default)]
    pub answered_share: f64,
    /// Requests completed over `due`: the rate held.
    pub achieved_share: f64,
    /// Kolmogorov–Smirnov distance of the times from one send to the next from the asked ones, 0 to
    /// 1; null where turns of the loop are too long to tell.
    pub arrivals_distance: Option<f64>,
}

/// From the intended time to the send, and its two parts, of the requests that were sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SendLag {
    /// All of it.
    pub total: Latency,
    /// While a connection had room: wring was late.
    pub late: Latency,
    /// While no connection had room: the target, or too few connections.
    pub no_connection: Latency,
}

/// Requests of the window that were given up because their deadline had passed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShedLag {
    /// How many.
    pub count: u64,
    /// Of these, those whose wait was wring's own for the larger part.
    pub late: u64,
    /// From the intended time until they were given up, on average.
    pub mean_ns: u64,
    /// The part of it that was wring's own, on average.
    pub late_mean_ns: u64,
    /// From the intended time until they were given up, at most.
    pub max_ns: u64,
}

/// The verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// `generator-limited`, `not generator-limited`, `short of CPU`, `not judged`, `schedule kept`,
    /// `rate not held by the target` or `invalid`.
    pub kind: String,
    /// The line of the text report after `verdict: `; derived.
    pub text: String,
    /// With `generator-limited`, `not generator-limited` and `short of CPU`: share of the window the
    /// busiest worker was busy, its `busy_ns` over the window's length, 0 to 1.
    pub busy_share: Option<f64>,
    /// A connection count worth trying next; null unless the generator had time to spare, no attempt
    /// to connect failed, and the target still answered at the end.
    pub try_connections: Option<u32>,
    /// Names of broken identities; empty unless invalid.
    pub broken_identities: Vec<String>,
    /// Standstills of a worker's loop; empty unless invalid.
    pub gaps_ns: Vec<u64>,
    /// With `short of CPU`, and with `invalid` for that reason: the share of the window a worker
    /// waited for its CPU.
    pub starved_share: Option<f64>,
    /// With `invalid` because a worker's backend broke, or because it panicked.
    pub worker_broke: bool,
    /// With `invalid` because the machine was suspended: for how long.
    #[serde(default)]
    pub suspended_ns: Option<u64>,
    /// With `invalid` because wring itself sent late: by how much at the 99th percentile, or with
    /// fewer than 1,000 requests at the highest quantile that ten lie above.
    #[serde(default)]
    pub own_lag_p99_ns: Option<u64>,
    /// With the same: what is accepted.
    #[serde(default)]
    pub own_lag_limit_ns: Option<u64>,
    /// With `invalid` because there was never a connection to some of several servers: their places in
    /// `servers`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub never_reached: Vec<u32>,
    /// With `invalid` because the run was given up for want of a connection to a server: its place in
    /// `servers`, 0 with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<u32>,
    /// With `invalid` because plain requests went to a port for TLS.
    #[serde(default, skip_serializing_if = "is_false")]
    pub speaks_tls: bool,
    /// With `invalid` because wring itself was late for their deadline: how many requests it shed.
    #[serde(default)]
    pub own_shed: Option<u64>,
    /// With `schedule kept`: share of the requests due in the window that were sent, 0 to 1.
    #[serde(default)]
    pub sent_share: Option<f64>,
    /// With `rate not held by the target`: requests completed in the window over those due in it.
    #[serde(default)]
    pub achieved_share: Option<f64>,
}

/// How long no answer had come when the window ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SilentEnd {
    /// From the last answer, or the window's start, to its end; to within some 50 ms.
    pub length_ns: u64,
    /// Requests in flight at its end.
    pub inflight: u64,
}

/// Rates over the window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Requests completed per second.
    pub requests_per_s: f64,
    /// Bytes received per second.
    pub bytes_in_per_s: f64,
    /// Requests per second of single threads, each sampled every 100 ms.
    pub per_thread: ThreadRates,
}

/// Requests per second of single threads. Null without samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ThreadRates {
    /// How many samples.
    pub samples: u64,
    /// Lowest.
    pub min_per_s: Option<u64>,
    /// Mean, rounded.
    pub mean_per_s: Option<u64>,
    /// Standard deviation, rounded.
    pub stdev_per_s: Option<u64>,
    /// Highest.
    pub max_per_s: Option<u64>,
}

/// Requests of the whole run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Requests {
    /// Became due; derived.
    pub due: u64,
    /// Had their first byte handed to the kernel; derived.
    pub started: u64,
    /// Answered whole and validly, whatever the status; derived.
    pub completed: u64,
    /// Failed for any cause; derived.
    pub failed: u64,
    /// Unresolved after the drain.
    pub inflight_end: u64,
    /// Due, and given up because their deadline passed; derived.
    #[serde(default)]
    pub shed: u64,
    /// Due, and not sent when their phase ended; derived.
    #[serde(default)]
    pub unsent_end: u64,
}

/// What happened during a phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// How long it lasted; null where it was not measured.
    pub length_ns: Option<u64>,
    /// Requests that became due.
    #[serde(default)]
    pub due: u64,
    /// Due requests given up because their deadline passed.
    #[serde(default)]
    pub shed: u64,
    /// Due requests that had not started when the phase ended, and never did.
    #[serde(default)]
    pub unsent: u64,
    /// Requests started.
    pub started: u64,
    /// Requests completed.
    pub completed: u64,
    /// Requests failed; derived.
    pub failed: u64,
    /// Requests failed, by cause, zeros included.
    pub failures: BTreeMap<String, u64>,
    /// Requests completed, by status, zeros left out.
    pub statuses: BTreeMap<u16, u64>,
    /// Bytes received.
    pub bytes_in: u64,
    /// Request bytes handed to the kernel.
    pub bytes_out: u64,
}

/// Requests that became due in the window and have no latency.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unanswered {
    /// Failed, in the window or after it.
    pub failed: u64,
    /// Unresolved after the drain.
    pub inflight_end: u64,
    /// Shed; derived.
    #[serde(default)]
    pub shed: u64,
    /// Never sent; derived.
    #[serde(default)]
    pub unsent: u64,
    /// Longest that any of them waited.
    pub waited_max_ns: u64,
}

/// Connection attempts and connections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Connections {
    /// Open when the window started; if it never did, here and in the next two those open at the end.
    pub open_at_start: u32,
    /// Fewest open during the window.
    pub open_min: u32,
    /// Most open during the window.
    pub open_max: u32,
    /// Attempts begun.
    pub attempts: u64,
    /// Attempts that became connections.
    pub established: u64,
    /// Attempts that failed; derived.
    pub failed: u64,
    /// Attempts that failed, by cause, zeros included.
    pub failures: BTreeMap<String, u64>,
    /// Attempts undecided at the end.
    pub connecting_end: u64,
    /// Closed by wring.
    pub closed_by_us: u64,
    /// Closed by the peer, in order.
    pub closed_by_peer: u64,
    /// Given up for an error.
    pub errored: u64,
    /// Open at the end.
    pub open_end: u64,
    /// Left open by the block before, where runs are blocks of one session.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub carried: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

fn is_false(is: &bool) -> bool {
    !*is
}

/// Bytes received, by class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bytes {
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
    /// What TLS adds: handshakes, record headers, tags. The other classes count plaintext.
    #[serde(default)]
    pub tls: u64,
}

/// Things noticed in answers that end nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notices {
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
    #[serde(default)]
    pub tls_on_plain: u64,
}

/// A distribution of times. All but the counts are null without samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Samples.
    pub count: u64,
    /// Samples above the histogram's bound.
    pub overflow: u64,
    /// Exact smallest.
    pub min_ns: Option<u64>,
    /// Mean, rounded.
    pub mean_ns: Option<u64>,
    /// Standard deviation, rounded.
    pub stdev_ns: Option<u64>,
    /// Median.
    pub p50_ns: Option<u64>,
    /// 75th percentile.
    pub p75_ns: Option<u64>,
    /// 90th percentile.
    pub p90_ns: Option<u64>,
    /// 99th percentile.
    pub p99_ns: Option<u64>,
    /// 99.9th percentile.
    pub p99_9_ns: Option<u64>,
    /// 99.99th percentile.
    pub p99_99_ns: Option<u64>,
    /// Exact largest.
    pub max_ns: Option<u64>,
}

/// A quantile that may only be known from below.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bound {
    /// The time.
    pub ns: u64,
    /// True when the quantile is this or more, false when it is this.
    pub at_least: bool,
}

/// Latency with unanswered requests counted as slower than any answered one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LatencyWithUnanswered {
    /// Answered and unanswered requests.
    pub count: u64,
    /// Unanswered ones alone.
    pub unanswered: u64,
    /// Median.
    pub p50: Option<Bound>,
    /// 75th percentile.
    pub p75: Option<Bound>,
    /// 90th percentile.
    pub p90: Option<Bound>,
    /// 99th percentile.
    pub p99: Option<Bound>,
    /// 99.9th percentile.
    pub p99_9: Option<Bound>,
    /// 99.99th percentile.
    pub p99_99: Option<Bound>,
    /// Largest.
    pub max: Option<Bound>,
}

/// Time in flight, in request nanoseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inflight {
    /// Sum over all requests of the time they were in flight.
    pub sum_ns: Wide,
    /// Time integral of the number in flight.
    pub integral_ns: Wide,
}

/// One interval of the series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// Start, since the load began.
    pub start_ns: u64,
    /// Length.
    pub length_ns: u64,
    /// In flight at the start.
    pub inflight_start: u64,
    /// In flight at the end.
    pub inflight_end: u64,
    /// Due and not sent at the start.
    #[serde(default)]
    pub backlog_start: u64,
    /// Due and not sent at the end.
    #[serde(default)]
    pub backlog_end: u64,
    /// Requests that became due.
    #[serde(default)]
    pub asked: u64,
    /// Requests started.
    pub started: u64,
    /// Requests completed.
    pub completed: u64,
    /// Requests failed.
    pub failed: u64,
    /// Due requests given up because their deadline passed.
    #[serde(default)]
    pub shed: u64,
    /// Due requests given up because their phase ended.
    #[serde(default)]
    pub unsent: u64,
    /// Longest time from a request's intended time to its send, of those that left in it.
    #[serde(default)]
    pub lag_max_ns: u64,
    /// Longest time in it that a worker's loop was not there, as in `workers`; what became due
    /// meanwhile left late.
    #[serde(default)]
    pub turn_gap_max_ns: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Median latency of its answers, where known.
    pub p50_ns: Option<u64>,
    /// 99th percentile, where known.
    pub p99_ns: Option<u64>,
    /// Largest, where known.
    pub max_ns: Option<u64>,
}

/// One worker thread, over the window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Worker {
    /// The CPU it was pinned to; null when it was not.
    pub cpu: Option<u32>,
    /// Its connections.
    pub connections: u32,
    /// CPU time it worked.
    pub busy_ns: u64,
    /// CPU time it looked for work in vain; not part of `busy_ns`.
    #[serde(default)]
    pub idle_spin_ns: u64,
    /// Turns of its loop.
    #[serde(default)]
    pub turns: u64,
    /// Requests it completed.
    pub completed: u64,
    /// Longest time between two of its turns, less the wait it wanted: its loop was not there.
    pub turn_gap_max_ns: u64,
    /// Time it was ready to run and waited for its CPU during the window.
    pub starved_ns: u64,
    /// Its backend broke before the run was over, or it panicked, and nothing of it is known.
    pub broke: bool,
}

/// One counting identity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// `I1` to `I8`.
    pub name: String,
    /// What it says; derived.
    pub claim: String,
    /// Null where it does not apply.
    pub holds: Option<bool>,
    /// The equation whose sides follow: the first that broke, else the first that it asks of the
    /// total. Empty where it does not apply, and before wring told.
    #[serde(default)]
    pub equation: String,
    /// Left side of that equation.
    pub left: Wide,
    /// Right side of the same.
    pub right: Wide,
    /// The worker it broke in; null for the total.
    pub worker: Option<u32>,
}

/// The histograms of a stored result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Histograms {
    /// Of `latency`.
    pub latency: Histogram,
    /// How long the requests without an answer waited.
    pub unanswered: Histogram,
    /// Of `connect`.
    pub connect: Histogram,
    /// Of `new_connections.connect`; absent where none was opened in the window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_window: Option<Histogram>,
    /// Of `rates.per_thread`.
    pub rates: Histogram,
    /// What a schedule adds; absent in a closed loop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled: Option<ScheduledHistograms>,
    /// Of `tls.handshake`; absent without TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_handshake: Option<Histogram>,
}

/// The histograms of a run on a schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScheduledHistograms {
    /// Of `service`.
    pub service: Histogram,
    /// Of `send_lag.total`.
    pub lag: Histogram,
    /// Of `send_lag.late`.
    pub late: Histogram,
    /// Of `send_lag.no_connection`.
    pub no_connection: Histogram,
    /// Times between two sends of a worker over the asked (mean) ones, rounded to tenths: how many
    /// were so many tenths; the last place holds all longer ones.
    pub gap_tenths: Vec<u64>,
    /// Time integral over the window of the requests due and not answered.
    pub outstanding_integral_ns: Wide,
    /// How many they were at its end.
    pub outstanding_end: u64,
}

/// One histogram.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// Largest value told apart from larger ones.
    pub value_max: u64,
    /// Exact smallest value; 0 when empty.
    pub min: u64,
    /// Exact largest value; 0 when empty.
    pub max: u64,
    /// How many values lay above `value_max`.
    pub overflow: u64,
    /// The buckets in HdrHistogram's V2 form without compression, in base64.
    pub v2: String,
}

/// A number that may pass 64 bits: a JSON number up to there, a string of digits beyond, because
/// few readers of JSON keep such numbers exact.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(into = "NumberOrDigits", try_from = "NumberOrDigits")]
pub struct Wide(pub u128);

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum NumberOrDigits {
    Number(u64),
    Digits(String),
}

impl From<Wide> for NumberOrDigits {
    fn from(wide: Wide) -> Self {
        u64::try_from(wide.0).map_or_else(|_| Self::Digits(wide.0.to_string()), Self::Number)
    }
}

impl TryFrom<NumberOrDigits> for Wide {
    type Error = std::num::ParseIntError;

    fn try_from(number: NumberOrDigits) -> Result<Self, Self::Error> {
        match number {
            NumberOrDigits::Number(number) => Ok(Self(number.into())),
            NumberOrDigits::Digits(digits) => digits.parse().map(Self),
        }
    }
}
