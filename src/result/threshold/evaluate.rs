//! What a run measured, against a limit.

use super::parse::PERCENTILE_WHOLE;
use super::{Fraction, Metric, Part, Series, Statistic, Threshold};
use crate::hist::Hist;
use crate::inspect::{Check, Counts};
use crate::outcome::{Cause, CauseCounts};
use crate::record::Phase;
use crate::result::RunResult;

/// Samples that must lie above a percentile before it is known.
const SAMPLES_ABOVE: u64 = 10;

/// What came of one threshold.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// What was measured.
    pub measured: Measured,
    /// Whether that is within the limit. What is not known does not pass.
    pub passed: bool,
}

/// A measured value, in the unit that its field names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measured {
    /// A time.
    Time {
        /// In nanoseconds.
        ns: u64,
        /// It is this or more: the request of that rank was never answered.
        at_least: bool,
    },
    /// A count.
    Count(u64),
    /// A part of a whole.
    Share {
        /// How many.
        part: u64,
        /// Of how many; never 0.
        whole: u64,
    },
    /// Requests per second.
    RequestsPerSecond(f64),
    /// Bytes per second.
    BytesPerSecond(f64),
    /// Nothing that could be compared.
    Unknown(Unknown),
}

/// Why there is nothing to compare.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unknown {
    /// Fewer than ten samples lie above the percentile.
    TooFewSamples {
        /// How many there are in all.
        samples: u64,
        /// How many there must be.
        needed: u64,
    },
    /// Nothing was measured at all: no sample, no request, no window.
    Nothing,
    /// The metric is of runs at a rate, and this was a closed loop.
    NoSchedule,
    /// The run was not over TLS.
    NoTls,
    /// Answers were not checked for this.
    NotChecked(Check),
}

impl Threshold {
    /// Measures `result` and compares. Pure: the same result gives the same evaluation, so a stored
    /// one can be judged by thresholds that nobody thought of when it was made.
    ///
    /// A time known only as "at least" passes a `>` or `>=` that it reaches, and nothing else. A value
    /// that is not known passes nothing.
    pub fn evaluate(&self, result: &RunResult) -> Evaluation {
        let (measured, value) = match self.metric {
            Metric::Time(series, statistic) => time(series, statistic, result),
            Metric::Requests => rate(
                result.window_completed(),
                result,
                Measured::RequestsPerSecond(result.requests_per_s()),
            ),
            Metric::Transfer => rate(
                result.total.phase(Phase::Window).bytes_in,
                result,
                Measured::BytesPerSecond(result.bytes_per_s()),
            ),
            Metric::Part(part) => self.counted(part, result),
        };
        let is_lower_bound = matches!(measured, Measured::Time { at_least: true, .. });
        let passed = value.is_some_and(|value| {
            (!is_lower_bound || self.comparison.is_lower_bound())
                && self.comparison.holds(value.compare(self.limit))
        });
        Evaluation { measured, passed }
    }

    fn counted(&self, part: Part, result: &RunResult) -> (Measured, Option<Fraction>) {
        if let Some(check) = self.lacks(&result.asked.checks) {
            return (Measured::Unknown(Unknown::NotChecked(check)), None);
        }
        let (part, whole) = match part_of(part, result) {
            Ok(counts) => counts,
            Err(unknown) => return (Measured::Unknown(unknown), None),
        };
        if !self.is_share {
            return (Measured::Count(part), Some(Fraction::whole(part)));
        }
        if whole == 0 {
            return (Measured::Unknown(Unknown::Nothing), None);
        }
        let share = Fraction { number: part.into(), over: whole.into() };
        (Measured::Share { part, whole }, Some(share))
    }
}

/// A part and its whole.
fn part_of(part: Part, result: &RunResult) -> Result<(u64, u64), Unknown> {
    let total = &result.total;
    let (window, drain) = (total.phase(Phase::Window), total.phase(Phase::Drain));
    let is_scheduled = result.asked.schedule.is_some();
    let scheduled = |counts| if is_scheduled { Ok(counts) } else { Err(Unknown::NoSchedule) };
    let completed = window.completed + drain.completed;
    match part {
        Part::Failed(causes) => {
            let failed = of_causes(&window.failed, causes) + of_causes(&drain.failed, causes);
            Ok((failed, completed + window.failed.total() + drain.failed.total()))
        }
        Part::Unanswered => Ok((result.unanswered(), window.due)),
        Part::Shed => scheduled((window.shed, window.due)),
        Part::Unsent => scheduled((window.unsent, window.due)),
        Part::Sent => scheduled((window.started, window.due)),
        Part::Held => scheduled((window.completed, window.due)),
        Part::Status(set) => {
            let counts = window.statuses.iter().zip(&drain.statuses).enumerate();
            let in_set = counts.filter(|(status, _)| set.contains(*status as u16));
            Ok((in_set.map(|(_, (window, drain))| window + drain).sum(), completed))
        }
        Part::Checks(kinds) => {
            let asked = Check::ALL.iter().filter(|check| kinds >> check.index() & 1 == 1);
            let made = asked.filter_map(|check| result.failed_checks(*check));
            let late = |counts: Counts| {
                counts[Phase::Window as usize].saturating_add(counts[Phase::Drain as usize])
            };
            Ok(made.fold((0, 0), |(failed, of), counts| {
                (u64::saturating_add(failed, late(counts)), of + completed)
            }))
        }
        Part::ConnectFailed(causes) => {
            let connections = &total.connections;
            Ok((of_causes(&connections.failed, causes), connections.attempts))
        }
    }
}

fn of_causes<C: Cause>(counts: &CauseCounts<C>, causes: u32) -> u64 {
    let asked = counts.iter().filter(|(cause, _)| causes >> cause.index() & 1 == 1);
    asked.map(|(_, count)| count).sum()
}

/// `count` per second of the window.
fn rate(count: u64, result: &RunResult, measured: Measured) -> (Measured, Option<Fraction>) {
    if result.window_ns == 0 {
        return (Measured::Unknown(Unknown::Nothing), None);
    }
    let number = u128::from(count) * 1_000_000_000;
    (measured, Some(Fraction { number, over: result.window_ns.into() }))
}

fn time(series: Series, statistic: Statistic, result: &RunResult) -> (Measured, Option<Fraction>) {
    let found = match hist_of(series, result) {
        Ok(hist) if series == Series::Latency => latency(statistic, hist, result),
        Ok(hist) => plain(statistic, hist),
        Err(unknown) => Err(unknown),
    };
    match found {
        Ok((ns, at_least)) => (Measured::Time { ns, at_least }, Some(Fraction::whole(ns))),
        Err(unknown) => (Measured::Unknown(unknown), None),
    }
}

fn hist_of(series: Series, result: &RunResult) -> Result<&Hist, Unknown> {
    let (total, is_scheduled) = (&result.total, result.asked.schedule.is_some());
    match series {
        Series::Latency => Ok(&total.latency),
        Series::Service if is_scheduled => Ok(&total.service),
        // In a closed loop a request is due when it is sent.
        Series::Service => Ok(&total.latency),
        Series::Lag | Series::Late if !is_scheduled => Err(Unknown::NoSchedule),
        Series::Lag => Ok(&total.sending.lag),
        Series::Late => Ok(&total.sending.late),
        Series::Connect => Ok(&total.connect),
        Series::Handshake => match &total.tls {
            Some(tls) => Ok(&tls.handshake),
            None => Err(Unknown::NoTls),
        },
    }
}

/// The quantile, if `samples` are enough to know it.
fn quantile(percentile: u64, samples: u64) -> Result<f64, Unknown> {
    let above = u128::from(PERCENTILE_WHOLE - percentile);
    let needed = (u128::from(SAMPLES_ABOVE) * u128::from(PERCENTILE_WHOLE)).div_ceil(above);
    if u128::from(samples) < needed {
        // Over the smallest difference from 100 %, this is at most a thousand million.
        return Err(Unknown::TooFewSamples { samples, needed: needed as u64 });
    }
    Ok(percentile as f64 / PERCENTILE_WHOLE as f64)
}

fn plain(statistic: Statistic, hist: &Hist) -> Result<(u64, bool), Unknown> {
    if hist.is_empty() {
        return Err(Unknown::Nothing);
    }
    let ns = match statistic {
        Statistic::Min => hist.min(),
        Statistic::Mean => hist.mean().round() as u64,
        Statistic::Max => hist.max(),
        Statistic::Percentile(percentile) => hist.quantile(quantile(percentile, hist.len())?),
    };
    Ok((ns, false))
}

/// Latency, with the requests that were never answered.
fn latency(statistic: Statistic, hist: &Hist, result: &RunResult) -> Result<(u64, bool), Unknown> {
    let unanswered = result.unanswered();
    let samples = hist.len() + unanswered;
    if samples == 0 {
        return Err(Unknown::Nothing);
    }
    let with_unanswered = |q| match result.quantile_with_unanswered(q) {
        Ok(ns) => (ns, false),
        Err(at_least_ns) => (at_least_ns, true),
    };
    match statistic {
        Statistic::Min if hist.is_empty() => Err(Unknown::Nothing),
        Statistic::Min => Ok((hist.min(), false)),
        Statistic::Max => Ok(with_unanswered(1.0)),
        Statistic::Percentile(percentile) => Ok(with_unanswered(quantile(percentile, samples)?)),
        Statistic::Mean => {
            let waited = &result.total.unanswered;
            let sum = |hist: &Hist| hist.mean() * hist.len() as f64;
            let mean = (sum(hist) + sum(waited)) / (hist.len() + waited.len()).max(1) as f64;
            Ok((mean.round() as u64, false))
        }
    }
}
