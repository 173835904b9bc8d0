//! The format of what `wring search --json` prints: one JSON object, like `schema` in its units.

use serde::Serialize;

use super::answers::Answers;

/// The version of this format.
pub const SEARCH_SCHEMA_VERSION: u32 = 1;

/// The highest rate that meets an objective.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Search {
    /// Version of the format.
    pub schema_version: u32,
    /// Always `wring-search`.
    pub kind: String,
    /// The URL as typed, secrets redacted.
    pub url: String,
    /// Arguments as typed, secrets redacted.
    pub options: Vec<String>,
    /// Connections of the trials.
    pub connections: u32,
    /// Requests in flight on each at most.
    pub depth: u32,
    /// `constant` or `poisson`.
    pub arrivals: String,
    /// What a rate had to meet.
    pub objective: Vec<String>,
    /// `narrow`, `time up`, `missed`, `unbounded`, `out of reach`, `SIGINT`, `SIGTERM` or `trouble`.
    pub ended: String,
    /// With `trouble`: what it was.
    pub trouble: Option<String>,
    /// How long it took.
    pub elapsed_ns: u64,
    /// What a closed loop got; null if it did not come to that.
    pub closed_loop_per_s: Option<f64>,
    /// The highest rate that held.
    pub held_per_s: Option<f64>,
    /// The lowest rate above it that failed.
    pub failed_per_s: Option<f64>,
    /// The lowest rate above it that wring itself could not judge, where that comes first.
    pub out_of_reach_per_s: Option<f64>,
    /// The distance of the two, over the lower.
    pub width: Option<f64>,
    /// The width asked for.
    pub width_asked: f64,
    /// Where the objective is crossed, by a line through the logarithms of the shares; an estimate.
    pub estimate_per_s: Option<f64>,
    /// Where latency bends upwards; a heuristic.
    pub knee_per_s: Option<f64>,
    /// A rate held although a lower one failed.
    pub contradictory: bool,
    /// Latency against rate: every rate tried, in ascending order.
    pub curve: Vec<Rate>,
    /// Every trial, in order of time.
    pub trials: Vec<Trial>,
    /// What was answered, in the closed loop and in all trials.
    pub answers: Answers,
}

/// A rate and what all its trials say.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rate {
    /// Requests per second.
    pub rate_per_s: f64,
    /// `held`, `failed`, `open` or `out of reach`.
    pub standing: String,
    /// Time measured at it.
    pub measured_ns: u64,
    /// Trials that count.
    pub trials: u32,
    /// Trials that wring itself spoiled.
    pub spoiled: u32,
    /// Share of the requests that missed each claim; in the order of `objective`.
    pub missed_shares: Vec<f64>,
    /// Latency from the intended times.
    #[serde(flatten)]
    pub latency: Latency,
    /// CPU time of the server for one request; null unless it was watched.
    pub server_cpu_ns_per_request: Option<f64>,
}

/// One trial.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trial {
    /// When its load began, since the search began.
    pub start_ns: u64,
    /// The rate asked for.
    pub rate_per_s: f64,
    /// Length of its window.
    pub length_ns: u64,
    /// How much of it counts: less where wring itself sent late, 0 where it spoiled the trial.
    pub counted_ns: u64,
    /// `bracket`, `narrow`, `confirm` or `curve`.
    pub purpose: String,
    /// Requests completed per second of the window.
    pub achieved_per_s: f64,
    /// Requests due in the window.
    pub due: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those without an answer for another reason.
    pub unanswered: u64,
    /// Share of its requests that missed each claim.
    pub missed_shares: Vec<f64>,
    /// Latency from the intended times.
    #[serde(flatten)]
    pub latency: Latency,
    /// Why it does not count: the verdict of its run; null if it does.
    pub spoiled: Option<String>,
    /// The same in more words.
    pub spoiled_reason: Option<String>,
}

/// Percentiles; null where fewer than ten samples lie above.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Latency {
    /// Median.
    pub p50_ns: Option<u64>,
    /// 90th percentile.
    pub p90_ns: Option<u64>,
    /// 99th percentile.
    pub p99_ns: Option<u64>,
    /// 99.9th percentile.
    pub p99_9_ns: Option<u64>,
    /// Largest.
    pub max_ns: Option<u64>,
}

/// The most requests per second of a closed loop.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ceiling {
    /// Version of the format.
    pub schema_version: u32,
    /// Always `wring-ceiling`.
    pub kind: String,
    /// The URL as typed, secrets redacted.
    pub url: String,
    /// Arguments as typed, secrets redacted.
    pub options: Vec<String>,
    /// `done`; `time up`, `most allowed` or `disturbed` where `most` is a lower bound; `SIGINT`,
    /// `SIGTERM` or `trouble`.
    pub ended: String,
    /// With `trouble`: what it was.
    pub trouble: Option<String>,
    /// How long it took.
    pub elapsed_ns: u64,
    /// The load with the most requests per second.
    pub most: Option<Load>,
    /// The smallest load with at least 98 % of that.
    pub enough: Option<Load>,
    /// Every load, in order of time.
    pub loads: Vec<Load>,
    /// Loads that were disturbed each time they were measured, and count for nothing.
    pub left_out: Vec<LeftOut>,
    /// What was answered under all loads.
    pub answers: Answers,
}

/// A load that was left out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LeftOut {
    /// Connections.
    pub connections: u32,
    /// Requests in flight on each.
    pub depth: u32,
}

/// A load in a closed loop.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Load {
    /// Connections.
    pub connections: u32,
    /// Requests in flight on each.
    pub depth: u32,
    /// Requests completed per second.
    pub requests_per_s: f64,
    /// Latency from the sends.
    #[serde(flatten)]
    pub latency: Latency,
    /// wring itself had no time to spare.
    pub generator_limited: bool,
    /// Whether the numbers can be used; if not, the load was measured again.
    pub valid: bool,
    /// Why they cannot.
    pub invalid_reason: Option<String>,
}
