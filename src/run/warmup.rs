//! A warm-up that ends by itself: when the series is steady, or when it has lasted long enough.
//!
//! The idea: the control thread reads the series as it grows, and once its end is steady tells the
//! workers when the window starts, a moment ahead, so that all start it together.

use crate::plan::Plan;
use crate::result::{RunResult, Second, WarmedUp};
use crate::stats::steady_since;
use crate::worker::Control;

/// From the decision to the window: longer than any worker goes without looking.
const WINDOW_LEAD_NS: u64 = 100_000_000;
/// Levels of the rate that differ by less are one, as a share.
const RATE_TOLERANCE: f64 = 0.03;
/// The same of the 99th percentile of the latency, which is far noisier.
const P99_TOLERANCE: f64 = 0.3;

/// Watches for the end of the warm-up.
#[derive(Debug)]
pub(super) struct WarmupWatch {
    is_wanted: bool,
    /// Entries of the series that were there at the last look.
    seen: usize,
    steady_from_ns: Option<u64>,
}

impl WarmupWatch {
    pub(super) fn new(plan: &Plan) -> Self {
        Self { is_wanted: plan.warmup_until_steady, seen: 0, steady_from_ns: None }
    }

    /// Looks at the series so far and, if its end is steady, lets the window begin.
    pub(super) fn look(&mut self, now_ns: u64, seconds: &[Second], plan: &Plan, control: &Control) {
        let Some(start_ns) = control.start_ns().filter(|_| self.is_wanted) else { return };
        let is_over = now_ns + WINDOW_LEAD_NS >= start_ns + plan.warmup_ns;
        if self.steady_from_ns.is_some() || is_over || seconds.len() == self.seen {
            return;
        }
        self.seen = seconds.len();
        if let Some(from) = steady_from(seconds) {
            self.steady_from_ns = Some(seconds[from].start_ns);
            control.begin_window_at(now_ns + WINDOW_LEAD_NS);
        }
    }

    /// What came of it in `result`; `None` unless it was wanted.
    pub(super) fn tell(
        &self,
        plan: &Plan,
        control: &Control,
        result: &RunResult,
    ) -> Option<WarmedUp> {
        let start_ns = control.start_ns().filter(|_| self.is_wanted)?;
        let window_ns = control.window_ns().unwrap_or(start_ns + plan.warmup_ns);
        let length_ns = match result.seconds.last() {
            // A stop came before the window, and then the drain: nobody waited for the rest.
            Some(last) if result.window_ns == 0 => {
                (last.start_ns + last.length_ns).saturating_sub(result.drain_ns)
            }
            _ => window_ns.saturating_sub(start_ns),
        };
        Some(WarmedUp { length_ns, steady_from_ns: self.steady_from_ns })
    }
}

/// The entry from which on both rate and latency are steady.
fn steady_from(seconds: &[Second]) -> Option<usize> {
    let per_s =
        |second: &Second| second.flow.completed as f64 * 1e9 / second.length_ns.max(1) as f64;
    let rates: Vec<f64> = seconds.iter().map(per_s).collect();
    // A target that answers nothing is not warm, however steadily it does so.
    if rates.last().is_none_or(|&rate| rate <= 0.0) {
        return None;
    }
    // An interval without an answer has no latency, but then its rate says enough.
    let p99s: Vec<f64> = seconds.iter().map(|second| second.p99_ns.unwrap_or(0) as f64).collect();
    let from = steady_since(&rates, RATE_TOLERANCE)?;
    Some(from.max(steady_since(&p99s, P99_TOLERANCE)?))
}
