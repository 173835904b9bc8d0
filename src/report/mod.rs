//! Pure renderers: a finished run in, bytes out.
//!
//! Owns every word of the reports and the stored file's format. Knows no terminal, no file, no
//! clock and no running worker: callers decide where the bytes go and whether colour is wanted.
//!
//! The idea: one plain `RunResult` is the source of all forms, so two reports of one run cannot
//! disagree. What a renderer derives (percentiles, shares, sentences) is derived when it renders
//! and never read back from a stored file.

mod answers;
mod checks;
pub mod compare;
mod connections;
pub mod doctor;
mod escape;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod json;
mod latency;
mod machine;
mod page;
mod quota;
mod schedule;
pub mod schema;
pub mod search;
mod server;
mod servers;
mod steady;
pub mod stored;
mod table;
mod targets;
pub mod text;
mod tls;
mod words;
mod wrk;
mod wrk2;

pub use escape::escape;

use crate::result::RunResult;

/// Longest URL shown, in characters.
const URL_CHARS_MAX: usize = 2048;
/// Longest remark, option or address shown, in characters.
const NOTE_CHARS_MAX: usize = 400;

/// Samples that must lie above a quantile before it is printed as known.
const SAMPLES_ABOVE_MIN: u64 = 10;

/// A quantile of the latency row: its name and its value in hundred-thousandths.
#[derive(Clone, Copy, Debug)]
struct Quantile {
    name: &'static str,
    per_100k: u64,
}

/// The one that verdicts speak of.
const P99: Quantile = Quantile { name: "p99", per_100k: 99_000 };

/// The quantiles that every latency row shows.
const QUANTILES: [Quantile; 6] = [
    Quantile { name: "p50", per_100k: 50_000 },
    Quantile { name: "p75", per_100k: 75_000 },
    Quantile { name: "p90", per_100k: 90_000 },
    P99,
    Quantile { name: "p99.9", per_100k: 99_900 },
    Quantile { name: "p99.99", per_100k: 99_990 },
];

impl Quantile {
    fn share(self) -> f64 {
        self.per_100k as f64 / 100_000.0
    }

    /// Whether at least `SAMPLES_ABOVE_MIN` of `samples` lie above it.
    fn is_known(self, samples: u64) -> bool {
        let above_per_100k = u128::from(100_000 - self.per_100k);
        above_per_100k * u128::from(samples) >= u128::from(SAMPLES_ABOVE_MIN) * 100_000
    }

    /// Its value with unanswered requests counted as slower than any; `None` when unknown.
    fn with_unanswered(self, result: &RunResult) -> Option<Result<u64, u64>> {
        let samples = result.total.latency.len() + result.unanswered();
        self.is_known(samples).then(|| result.quantile_with_unanswered(self.share()))
    }

    /// Its value in `hist`; `None` when unknown.
    fn of(self, hist: &crate::hist::Hist) -> Option<u64> {
        self.is_known(hist.len()).then(|| hist.quantile(self.share()))
    }
}

#[cfg(test)]
mod checks_tests;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod schedule_tests;
#[cfg(test)]
mod stored_tests;
#[cfg(test)]
mod tests;
