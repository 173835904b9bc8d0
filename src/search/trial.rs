//! What a trial at one rate measured.

use super::evidence::Batch;
use super::objective::Claim;
use crate::hist::Hist;
use crate::record::Phase;
use crate::result::threshold::{Aim, Measured};
use crate::result::{Invalid, RunResult, Second, ServerCost, Verdict};

/// Samples that must lie above a quantile before it is known.
const SAMPLES_ABOVE: f64 = 10.0;
/// wring's own lag at its 99th percentile may reach this share of the tightest limit.
const OWN_LAG_SHARE: f64 = 0.1;

/// Latencies from the intended times, in nanoseconds; `None` where too few samples lie above.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Latencies {
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

impl Latencies {
    /// Those of a histogram.
    pub fn of(hist: &Hist) -> Self {
        let samples = hist.len() as f64;
        let known = |q: f64| ((1.0 - q) * samples >= SAMPLES_ABOVE).then(|| hist.quantile(q));
        Self {
            p50_ns: known(0.5),
            p90_ns: known(0.9),
            p99_ns: known(0.99),
            p99_9_ns: known(0.999),
            max_ns: (!hist.is_empty()).then(|| hist.max()),
        }
    }
}

/// One trial.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// The rate asked for.
    pub rate_per_s: f64,
    /// Length of its window, in nanoseconds.
    pub length_ns: u64,
    /// For each claim of the objective, what each stretch of it had, in order of time.
    pub claims: Vec<Vec<Batch>>,
    /// Requests completed per second of the window.
    pub achieved_per_s: f64,
    /// Requests due in the window.
    pub due: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those without an answer for another reason: never sent, or unresolved.
    pub unanswered: u64,
    /// All its latencies; `None` where they were not kept.
    pub latency: Option<Hist>,
    /// What it cost the server, where that was watched.
    pub server: Option<ServerCost>,
    /// Why it says nothing about the target: wring itself could not do it.
    pub spoiled: Option<Verdict>,
}

/// The latencies whose exceedances a run must count for these claims: for each claim on latency its
/// limit, and half of it.
pub fn limits_ns(claims: &[Claim]) -> Vec<u64> {
    claims.iter().filter_map(Claim::limit_ns).flat_map(|ns| [ns, ns / 2]).collect()
}

impl Trial {
    /// Reads a run of `length_ns` at `rate_per_s` whose plan counted what exceeds the claims' limits,
    /// in the claims' order.
    pub fn of_run(result: &RunResult, claims: &[Claim], rate_per_s: f64) -> Self {
        let mut limit = 0;
        let judged = claims;
        let claims = judged
            .iter()
            .map(|claim| match claim {
                Claim::Share(_, Aim::Slower { .. }) => {
                    limit += 2;
                    slower(result, limit - 2)
                }
                Claim::Share(_, Aim::Failed { .. }) => failed(result),
                Claim::Whole(threshold) => {
                    let evaluation = threshold.evaluate(result);
                    let known = !matches!(evaluation.measured, Measured::Unknown(_));
                    let bad = f64::from(u8::from(!evaluation.passed));
                    known.then_some(Batch { bad, near: bad, total: 1.0 }).into_iter().collect()
                }
                Claim::Steady => growth(result),
            })
            .collect();
        let window = result.total.phase(Phase::Window);
        let failed = result.total.window_started_failed;
        Self {
            rate_per_s,
            length_ns: result.window_ns,
            claims,
            achieved_per_s: result.requests_per_s(),
            due: window.due,
            failed,
            unanswered: result.unanswered() - failed,
            latency: Some(result.total.latency.clone()),
            server: result.server.clone(),
            spoiled: spoiled(&result.verdict, judged),
        }
    }

    /// Its latencies in short.
    pub fn latencies(&self) -> Latencies {
        self.latency.as_ref().map(Latencies::of).unwrap_or_default()
    }
}

/// The verdict, if it says that wring itself could not do it. Sending late spoils nothing where that
/// is far below every latency that is judged.
fn spoiled(verdict: &Verdict, claims: &[Claim]) -> Option<Verdict> {
    let tightest_ns = claims.iter().filter_map(Claim::limit_ns).min();
    let matters = |reason: &&Invalid| match reason {
        Invalid::OwnLag { p99_ns, .. } => {
            tightest_ns.is_none_or(|ns| *p99_ns as f64 > ns as f64 * OWN_LAG_SHARE)
        }
        _ => true,
    };
    match verdict {
        Verdict::GeneratorLimited { .. } => Some(verdict.clone()),
        Verdict::Invalid(reasons) => {
            let reasons: Vec<Invalid> = reasons.iter().filter(matters).cloned().collect();
            (!reasons.is_empty()).then_some(Verdict::Invalid(reasons))
        }
        _ => None,
    }
}

/// Requests that ended by stretch, and those among them that took longer than the limit. Failed ones
/// did, as did those that never ended: they come last.
fn slower(result: &RunResult, limit: usize) -> Vec<Batch> {
    let measured = measured(result).filter_map(|(index, second)| {
        // Nobody knows the latencies of a stretch whose histogram was missing.
        let over = result.over_limits.get(index)?.as_ref()?.get(limit..limit + 2)?;
        let failed = second.flow.failed;
        let total = second.flow.completed + failed;
        (total > 0).then(|| Batch {
            bad: (over[0] + failed) as f64,
            near: (over[1] + failed) as f64,
            total: total as f64,
        })
    });
    with_unanswered(measured.collect(), result)
}

fn failed(result: &RunResult) -> Vec<Batch> {
    let measured = measured(result).filter_map(|(_, second)| {
        let total = second.flow.completed + second.flow.failed;
        let bad = second.flow.failed as f64;
        (total > 0).then_some(Batch { bad, near: bad, total: total as f64 })
    });
    with_unanswered(measured.collect(), result)
}

fn with_unanswered(mut batches: Vec<Batch>, result: &RunResult) -> Vec<Batch> {
    let unanswered = (result.unanswered() - result.total.window_started_failed) as f64;
    match batches.last_mut() {
        Some(last) => {
            last.bad += unanswered;
            last.near += unanswered;
            last.total += unanswered;
        }
        None if unanswered > 0.0 => {
            batches.push(Batch { bad: unanswered, near: unanswered, total: unanswered });
        }
        None => {}
    }
    batches
}

/// The series from the window's start on, the drain included.
fn measured(result: &RunResult) -> impl Iterator<Item = (usize, &Second)> {
    let start_ns = result.asked.warmup_ns;
    result.seconds.iter().enumerate().filter(move |(_, second)| second.start_ns >= start_ns)
}

/// By how much what waits for its answer grew, of the requests that became due meanwhile.
fn growth(result: &RunResult) -> Vec<Batch> {
    let end_ns = result.asked.warmup_ns + result.window_ns;
    let in_window = measured(result)
        .map(|(_, second)| second)
        .filter(|second| second.start_ns + second.length_ns / 2 < end_ns);
    in_window
        .map(|second| {
            let before = second.inflight_start + second.backlog_start;
            // What the window's end gave up was waiting until then.
            let after = second.inflight_end + second.backlog_end + second.flow.unsent;
            let bad = after as f64 - before as f64;
            Batch { bad, near: 0.0, total: second.flow.due as f64 }
        })
        .collect()
}
