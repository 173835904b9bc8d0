//! wrk's own block, to the letter, because scripts scrape it.
//!
//! The counts and the layout are wrk 4's. Two things differ on purpose: a run without samples shows
//! a share of `0.00%` where wrk shows `-nan%`, and a duration below a second, which wrk cannot be
//! asked for, keeps its digits.
//!
//! A run on a schedule is wrk2's trade, so its latencies are written as wrk2 writes them.

use crate::hist::Hist;
use crate::outcome::Failure;
use crate::record::Phase;
use crate::result::RunResult;
use crate::units::wrk as units;

use super::wrk2::{self, Latencies};
use super::{URL_CHARS_MAX, escape};

/// wrk's rows of `Latency Distribution`.
const PERCENTILES: [u32; 4] = [50, 75, 90, 99];
/// Statuses above this are errors to wrk.
const STATUS_OK_MAX: usize = 399;

/// Which parts the block has.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Parts {
    /// `Latency Distribution`; on a schedule with its percentile spectrum.
    pub(super) latency_distribution: bool,
    /// The same from the actual send, on a schedule alone. Implies the other one, as in wrk2.
    pub(super) uncorrected: bool,
    /// wrk2's lines on the calibration of its threads.
    pub(super) calibration: bool,
}

/// What wrk's line `Socket errors` counts.
struct SocketErrors {
    connect: u64,
    read: u64,
    write: u64,
    timeout: u64,
}

impl SocketErrors {
    /// Over the whole run, so that no failure is missing from the line scripts look at.
    fn of(result: &RunResult) -> Self {
        let failed = result.total.whole().failed;
        let read = [
            Failure::Reset,
            Failure::Eof,
            Failure::EofBody,
            Failure::Parse,
            Failure::Limit,
            Failure::Stale,
            Failure::Tls,
        ];
        Self {
            connect: result.total.connections.failed.total(),
            read: read.into_iter().map(|cause| failed.count(cause)).sum(),
            write: failed.count(Failure::Send),
            timeout: failed.count(Failure::Timeout),
        }
    }

    fn any(&self) -> bool {
        self.connect + self.read + self.write + self.timeout > 0
    }
}

/// The block, from `Running` to `Transfer/sec`.
pub(super) fn block(result: &RunResult, parts: Parts) -> String {
    let asked = &result.asked;
    let window = result.total.phase(Phase::Window);
    let mut text = format!(
        "Running {} test @ {}\n  {} threads and {} connections\n",
        duration(asked.duration_ns.unwrap_or(result.window_ns)),
        escape(&asked.url, URL_CHARS_MAX),
        asked.threads,
        asked.connections,
    );
    if parts.calibration {
        text += &wrk2::calibration(result);
    }
    text += &format!("  Thread Stats{:>6}{:>11}{:>8}{:>12}\n", "Avg", "Stdev", "Max", "+/- Stdev");
    text += &match asked.schedule {
        Some(_) => scheduled_latency(result, parts),
        None => latency(result, parts.latency_distribution),
    };
    text += &format!(
        "  {} requests in {}, {}B read\n",
        window.completed,
        units::format_time_us(result.window_ns as f64 / 1e3),
        units::format_binary(window.bytes_in as f64),
    );
    let errors = SocketErrors::of(result);
    if errors.any() {
        text += &format!(
            "  Socket errors: connect {}, read {}, write {}, timeout {}\n",
            errors.connect, errors.read, errors.write, errors.timeout
        );
    }
    let bad_statuses: u64 = window.statuses.iter().skip(STATUS_OK_MAX + 1).sum();
    if bad_statuses > 0 {
        text += &format!("  Non-2xx or 3xx responses: {bad_statuses}\n");
    }
    text += &format!("Requests/sec: {:>9.2}\n", result.requests_per_s());
    text += &format!("Transfer/sec: {:>10}B\n", units::format_binary(result.bytes_per_s()));
    text
}

/// The rows of `Thread Stats` and the distribution of a closed loop.
fn latency(result: &RunResult, distribution: bool) -> String {
    let latency = &result.total.latency;
    let mut text = stats_row("Latency", latency, |ns| units::format_time_us(ns / 1e3));
    text += &rates_row(result);
    if distribution {
        text += "  Latency Distribution\n";
        for percentile in PERCENTILES {
            let ns = latency.quantile(f64::from(percentile) / 100.0);
            let value = padded(&units::format_time_us(ns as f64 / 1e3), 10);
            text += &format!("{percentile:>7}%{value}\n");
        }
    }
    text
}

/// The same of a schedule, in wrk2's form.
fn scheduled_latency(result: &RunResult, parts: Parts) -> String {
    let recorded = Latencies::of(&result.total.latency);
    let mut text = recorded.stats_row() + &rates_row(result);
    if parts.latency_distribution || parts.uncorrected {
        text += &recorded.block(wrk2::RECORDED);
    }
    if parts.uncorrected {
        text.push('\n');
        text += &Latencies::of(&result.total.service).block(wrk2::UNCORRECTED);
    }
    text
}

fn rates_row(result: &RunResult) -> String {
    stats_row("Req/Sec", &result.total.rates, units::format_metric)
}

fn duration(ns: u64) -> String {
    let seconds = ns as f64 / 1e9;
    if ns > 0 && seconds < 1.0 {
        units::format_time_us(seconds * 1e6)
    } else {
        units::format_time_s(seconds)
    }
}

/// One row of `Thread Stats`. wrk's deviation is that of a sample: n - 1 below the line.
fn stats_row(name: &str, hist: &Hist, format: fn(f64) -> String) -> String {
    let samples = hist.len() as f64;
    let correction = if samples < 2.0 { 0.0 } else { (samples / (samples - 1.0)).sqrt() };
    // A lone sample is its own mean and lies within it, however its bucket is rounded.
    let share = if samples == 1.0 { 1.0 } else { hist.share_within_stdevs(correction) };
    format!(
        "    {name:<10}{}{}{}{:>8.2}%\n",
        padded(&format(hist.mean().min(hist.max() as f64)), 8),
        padded(&format(hist.stdev() * correction), 10),
        padded(&format(hist.max() as f64), 9),
        share * 100.0,
    )
}

/// wrk aligns the digits: a unit of two letters takes the whole width, a shorter one is followed by
/// blanks in its stead. A text that is too long is cut, as `printf` is told to.
pub(super) fn padded(text: &str, width: usize) -> String {
    let letters = text.chars().rev().take(2).filter(char::is_ascii_alphabetic).count();
    let (width, blanks) = (width - (2 - letters), 2 - letters);
    format!("{text:>width$.width$}{:blanks$}", "")
}
