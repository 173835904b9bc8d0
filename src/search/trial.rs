//! What a trial at one rate measured.

use super::evidence::Batch;
use super::objective::Claim;
use crate::hist::Hist;
use crate::record::Phase;
use crate::result::threshold::{Aim, Measured};
use crate::result::{
    BUSY_SHARE_LIMITED, Invalid, RunResult, Second, ServerCost, Verdict, own_lag_limit_ns,
    own_lag_ns,
};

/// Samples that must lie above a quantile before it is known.
const SAMPLES_ABOVE: f64 = 10.0;
/// Where wring sends later than this share of the tightest limit, the stretch is left out: what it
/// adds to a queue is worked off within few waits of that length, in this stretch and the next.
const LATE_SHARE: f64 = 0.25;
/// A trial of which less is left says nothing.
const USED_SHARE_MIN: f64 = 0.125;

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
    /// Time that its latencies are judged by, in nanoseconds: the window without the stretches in which
    /// wring itself sent late.
    pub used_ns: u64,
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
        let tightest_ns = claims.iter().filter_map(Claim::limit_ns).min();
        let keeps = undisturbed(&result.late_ns_max, tightest_ns);
        let claims = judged
            .iter()
            .map(|claim| match claim {
                Claim::Share(_, Aim::Slower { .. }) => {
                    limit += 2;
                    slower(result, limit - 2, &keeps)
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
        let used_ns = used_ns(result, &keeps);
        let too_little = (used_ns as f64) < USED_SHARE_MIN * result.window_ns as f64;
        Self {
            rate_per_s,
            length_ns: result.window_ns,
            used_ns,
            claims,
            achieved_per_s: result.requests_per_s(),
            due: window.due,
            failed,
            unanswered: result.unanswered() - failed,
            latency: Some(result.total.latency.clone()),
            server: result.server.clone(),
            spoiled: spoiled(result, judged, too_little),
        }
    }

    /// Its latencies in short.
    pub fn latencies(&self) -> Latencies {
        self.latency.as_ref().map(Latencies::of).unwrap_or_default()
    }
}

/// Which stretches say something of the target, given how late wring itself sent in each at most:
/// neither one in which it was late by what matters to the tightest limit nor the one after it, in
/// which the target works off what came at once. All of them where no latency is judged.
pub(super) fn undisturbed(late_ns_max: &[u64], tightest_ns: Option<u64>) -> Vec<bool> {
    let Some(tightest_ns) = tightest_ns else { return vec![true; late_ns_max.len()] };
    let accepted_ns = (tightest_ns as f64 * LATE_SHARE) as u64;
    let is_late = |index: usize| late_ns_max[index] > accepted_ns;
    (0..late_ns_max.len()).map(|at| !is_late(at) && (at == 0 || !is_late(at - 1))).collect()
}

/// Length of the window's stretches that are kept, in nanoseconds.
fn used_ns(result: &RunResult, keeps: &[bool]) -> u64 {
    let end_ns = result.asked.warmup_ns + result.window_ns;
    let left_out = |index: &usize| keeps.get(*index) == Some(&false);
    let lost = measured(result)
        .filter(|(index, second)| left_out(index) && second.start_ns < end_ns)
        .map(|(_, second)| second.length_ns.min(end_ns - second.start_ns));
    result.window_ns.saturating_sub(lost.sum())
}

/// The verdict, if it says that wring itself could not do it. Where latencies are judged, stretches
/// in which it sent late or stood still are left out, and the rest counts unless it is `too_little`.
fn spoiled(result: &RunResult, claims: &[Claim], too_little: bool) -> Option<Verdict> {
    let leaves_out = claims.iter().any(|claim| claim.limit_ns().is_some());
    let matters = |reason: &&Invalid| match reason {
        Invalid::OwnLag { .. } | Invalid::Gap { .. } => too_little || !leaves_out,
        // Without time on the CPU it sends late, if that matters at this rate.
        Invalid::Starved { .. } => too_little || !leaves_out,
        _ => true,
    };
    let late = || {
        let limit_ns = own_lag_limit_ns(result);
        Invalid::OwnLag { p99_ns: own_lag_ns(result).unwrap_or(0), limit_ns }
    };
    let busy_share = result.busy_share_max();
    match &result.verdict {
        // Late because it had no time to spare: resting will not help.
        _ if too_little && busy_share >= BUSY_SHARE_LIMITED => {
            Some(Verdict::GeneratorLimited { busy_share })
        }
        verdict if result.is_short_of_time() => Some(verdict.clone()),
        Verdict::Invalid(reasons) => {
            let reasons: Vec<Invalid> = reasons.iter().filter(matters).cloned().collect();
            (!reasons.is_empty()).then_some(Verdict::Invalid(reasons))
        }
        _ => too_little.then(|| Verdict::Invalid(vec![late()])),
    }
}

/// Requests that ended by stretch, and those among them that took longer than the limit. Failed ones
/// did, as did those that never ended: they come last.
fn slower(result: &RunResult, limit: usize, keeps: &[bool]) -> Vec<Batch> {
    let kept = measured(result).filter(|(index, _)| keeps.get(*index) != Some(&false));
    let batches = kept.filter_map(|(index, second)| {
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
    with_unanswered(batches.collect(), result)
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
