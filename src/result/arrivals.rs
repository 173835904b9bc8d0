//! Whether requests really left as the schedule asked: the times between them against the asked ones.

use super::{RunResult, WorkerSummary};
use crate::record::Phase;

/// A gap is known to the length of a turn, so a tenth of it must not be less.
const TURNS_PER_GAP_MIN: f64 = 10.0;

/// The Kolmogorov–Smirnov distance between the times that lay between two sends of a worker and
/// those that were asked for: the largest difference of the two distribution functions, `0.0 ..=
/// 1.0`, both rounded to tenths of the asked (mean) gap. A distance, not a test: with enough requests
/// every test would fail.
///
/// `None` without a schedule, and where requests follow each other so fast that the length of a turn
/// decides: there the send lag is the evidence.
pub fn distance_from_asked(result: &RunResult) -> Option<f64> {
    let schedule = result.asked.schedule.as_ref()?;
    let gaps = &result.total.sending.gap_tenths;
    let total: u64 = gaps.iter().sum();
    let started = result.total.phase(Phase::Window).started;
    // A stored result may claim anything; sums of its times must not overflow.
    let sum = |pick: fn(&WorkerSummary) -> u64| -> f64 {
        result.workers.iter().map(|worker| pick(worker) as f64).sum()
    };
    let busy_ns = sum(|worker| worker.busy_ns);
    let turn_ns = busy_ns / sum(|worker| worker.turns).max(1.0);
    let gap_ns = result.window_ns as f64 * result.workers.len() as f64 / started.max(1) as f64;
    // Nothing but spinning for all that is known: a thread that lost its CPU time and again.
    if total == 0 || busy_ns == 0.0 || gap_ns < TURNS_PER_GAP_MIN * turn_ns {
        return None;
    }
    let asked = |gap: f64| match schedule.arrivals.as_str() {
        "poisson" => 1.0 - (-gap).exp(),
        _ => f64::from(u8::from(gap >= 1.0)),
    };
    let mut below = 0;
    let mut distance: f64 = 0.0;
    // The last place holds all longer gaps, so it has no upper edge.
    for (tenths, count) in gaps.iter().enumerate().take(gaps.len() - 1) {
        below += count;
        let edge = (tenths as f64 + 0.5) / 10.0;
        distance = distance.max((below as f64 / total as f64 - asked(edge)).abs());
    }
    Some(distance)
}
