//! What is kept of a run or block.

use super::Metric;
use crate::result::{Invalid, RunResult, ServerCost, Verdict};

/// A percentile is known when so many samples lie above it.
const SAMPLES_ABOVE_MIN: f64 = 10.0;

/// One block, or one stored run. `None` is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Block {
    /// Which process of its side it was measured in, counted from 0.
    pub process: u32,
    /// Requests completed per second.
    pub requests_per_s: Option<f64>,
    /// Latency in nanoseconds at p50, p90, p99 and p99.9, requests without an answer counting as
    /// slower than any.
    pub latency_ns: [Option<f64>; 4],
    /// Share of the requests due in the window that were not answered.
    pub failed_share: Option<f64>,
    /// CPU time of the server for each request, in nanoseconds.
    pub server_cpu_ns: Option<f64>,
    /// wring itself was the limit.
    pub is_generator_limited: bool,
}

impl Block {
    /// The metric's value.
    pub fn value(&self, metric: Metric) -> Option<f64> {
        let [p50, p90, p99, p999] = self.latency_ns;
        match metric {
            Metric::RequestsPerS => self.requests_per_s,
            Metric::P50 => p50,
            Metric::P90 => p90,
            Metric::P99 => p99,
            Metric::P999 => p999,
            Metric::Failed => self.failed_share,
            Metric::ServerCpu => self.server_cpu_ns,
        }
    }

    /// The value on the scale that differences are taken on.
    pub(super) fn inward(&self, metric: Metric) -> Option<f64> {
        self.value(metric).and_then(|value| metric.inward(value))
    }

    /// Whether a percentile is not known because it lies among the requests without an answer, which
    /// are slower than any.
    pub fn is_lost_to_failures(&self, metric: Metric) -> bool {
        let (Some(percentile), Some(failed)) = (metric.percentile(), self.failed_share) else {
            return false;
        };
        self.value(metric).is_none() && failed > 0.0 && failed >= 1.0 - percentile - 1e-9
    }
}

/// Takes from a result what is compared.
pub fn summarize(result: &RunResult, process: u32) -> Block {
    let unanswered = result.unanswered();
    let all = (result.total.latency.len() + unanswered) as f64;
    let quantile = |share: f64| -> Option<f64> {
        // A little less, because the share has no exact binary form.
        let is_known = (1.0 - share) * all >= SAMPLES_ABOVE_MIN - 1e-6;
        let found = is_known.then(|| result.quantile_with_unanswered(share))?;
        found.ok().map(|ns| ns as f64)
    };
    let cost = result.server.as_ref().filter(|cost| !cost.lost_a_process);
    Block {
        process,
        requests_per_s: (result.window_ns > 0).then(|| result.requests_per_s()),
        latency_ns: [0.5, 0.9, 0.99, 0.999].map(quantile),
        failed_share: (all > 0.0).then(|| unanswered as f64 / all),
        server_cpu_ns: cost.and_then(ServerCost::cpu_ns_per_request),
        is_generator_limited: result.is_short_of_time(),
    }
}

/// Why a block is not compared.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unfit {
    /// A counting identity does not hold: a bug, after which no number can be trusted.
    Miscounted,
    /// No request was completed in the window, or none as it was meant.
    Empty,
    /// wring, or the machine, kept it from being measured: the block says nothing of the target.
    Disturbed(Disturbance),
}

/// What kept a block from being measured.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Disturbance {
    /// wring itself sent late.
    SentLate,
    /// A worker of wring did not get its CPU.
    Starved,
    /// A worker of wring stood still.
    StoodStill,
    /// The machine was suspended.
    Suspended,
    /// A worker's backend broke.
    Broke,
    /// The window never opened.
    NoWindow,
}

/// Whether a block can be compared.
pub fn unfit(result: &RunResult) -> Option<Unfit> {
    match &result.verdict {
        _ if result.identities.iter().any(|check| check.is_broken()) => Some(Unfit::Miscounted),
        _ if result.window_completed() == 0 => Some(Unfit::Empty),
        Verdict::Invalid(reasons) => {
            let of = |reason: &Invalid| match reason {
                Invalid::NeverReached { .. } | Invalid::Lost { .. } | Invalid::SpeaksTls => {
                    Unfit::Empty
                }
                Invalid::OwnLag { .. } | Invalid::OwnShed { .. } => {
                    Unfit::Disturbed(Disturbance::SentLate)
                }
                Invalid::Starved { .. } => Unfit::Disturbed(Disturbance::Starved),
                Invalid::Gap { .. } => Unfit::Disturbed(Disturbance::StoodStill),
                Invalid::Suspended { .. } => Unfit::Disturbed(Disturbance::Suspended),
                Invalid::WorkerBroke | Invalid::IdentityBroken { .. } => {
                    Unfit::Disturbed(Disturbance::Broke)
                }
            };
            Some(reasons.first().map_or(Unfit::Disturbed(Disturbance::NoWindow), of))
        }
        _ => None,
    }
}
