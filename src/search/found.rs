//! What a search found, as plain data for reports.

use super::capacity::{Ask, Capacity, Ended, Point, Purpose, Standing};
use super::curve::{CurvePoint, knee};
use super::evidence::Finding;
use super::objective::Claim;
use super::trial::{Latencies, Trial};
use crate::result::{Answers, Verdict};

/// Why a search stopped before it was done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Stopped {
    /// By SIGINT.
    Interrupt,
    /// By SIGTERM or SIGHUP.
    Terminate,
    /// A trial could not be carried out; in words.
    Trouble(String),
}

/// One rate.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundPoint {
    /// Requests per second.
    pub rate_per_s: f64,
    /// What came of it.
    pub standing: Standing,
    /// Time measured at it, in nanoseconds.
    pub measured_ns: u64,
    /// Trials that count.
    pub trials: u32,
    /// Trials that wring itself spoiled.
    pub spoiled: u32,
    /// Latency from the intended times, of all its trials.
    pub latencies: Latencies,
    /// For each claim the share that missed it, and what that says.
    pub claims: Vec<(f64, Finding)>,
    /// CPU time of the server for one request, in nanoseconds, where it was watched.
    pub cpu_ns_per_request: Option<f64>,
}

/// One trial.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundTrial {
    /// When its load began, in nanoseconds since the search began.
    pub start_ns: u64,
    /// The rate asked for.
    pub rate_per_s: f64,
    /// Length of its window, in nanoseconds.
    pub length_ns: u64,
    /// Time of it that its latencies are judged by, in nanoseconds; less where wring itself was late.
    pub used_ns: u64,
    /// What it was for.
    pub purpose: Purpose,
    /// Requests completed per second of the window.
    pub achieved_per_s: f64,
    /// Requests due in the window.
    pub due: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those without an answer for another reason.
    pub unanswered: u64,
    /// Latency from the intended times.
    pub latencies: Latencies,
    /// For each claim the share that missed it in this trial alone.
    pub shares: Vec<f64>,
    /// Why it does not count.
    pub spoiled: Option<Verdict>,
}

impl FoundTrial {
    /// A trial that began at `start_ns`.
    pub fn of(start_ns: u64, ask: &Ask, trial: &Trial) -> Self {
        let share = |batches: &Vec<super::Batch>| {
            let total: f64 = batches.iter().map(|batch| batch.total).sum();
            let bad: f64 = batches.iter().map(|batch| batch.bad).sum();
            if total > 0.0 { bad / total } else { 0.0 }
        };
        Self {
            start_ns,
            rate_per_s: ask.rate_per_s,
            length_ns: trial.length_ns,
            used_ns: trial.used_ns,
            purpose: ask.purpose,
            achieved_per_s: trial.achieved_per_s,
            due: trial.due,
            failed: trial.failed,
            unanswered: trial.unanswered,
            latencies: trial.latencies(),
            shares: trial.claims.iter().map(share).collect(),
            spoiled: trial.spoiled.clone(),
        }
    }
}

/// A search that came to an end.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The URL as typed.
    pub url: String,
    /// All arguments as typed, secrets redacted.
    pub options: Vec<String>,
    /// Connections that the trials had.
    pub connections: u32,
    /// Requests in flight on each at most.
    pub depth: u32,
    /// `constant` or `poisson`.
    pub arrivals: String,
    /// What a rate had to meet.
    pub claims: Vec<Claim>,
    /// The width asked for.
    pub width: f64,
    /// What the closed loop got, if it came to that.
    pub probe_per_s: Option<f64>,
    /// How long it took, in nanoseconds.
    pub elapsed_ns: u64,
    /// Why it ended; `None` when it was stopped.
    pub ended: Option<Ended>,
    /// Why it was stopped.
    pub stopped: Option<Stopped>,
    /// Every rate, in ascending order.
    pub points: Vec<FoundPoint>,
    /// The highest that held, as a place in `points`.
    pub held: Option<usize>,
    /// The lowest above it that failed or was out of reach.
    pub failed: Option<usize>,
    /// Where the objective is crossed, by a line through the shares; an estimate.
    pub estimate_per_s: Option<f64>,
    /// A rate held although a lower one failed.
    pub is_contradictory: bool,
    /// Every trial, in order of time.
    pub trials: Vec<FoundTrial>,
    /// What was answered, in the closed loop and in all trials.
    pub answers: Answers,
}

impl Found {
    /// What the search itself knows; the rest is to be filled in.
    pub fn of(capacity: &Capacity, trials: Vec<FoundTrial>) -> Self {
        let claims = capacity.claims().to_vec();
        let points: Vec<FoundPoint> = capacity
            .points()
            .into_iter()
            .filter(|point| point.trials + point.spoiled > 0)
            .map(|point| found_point(capacity, point, &claims))
            .collect();
        let place = |point: Option<&Point>| {
            points.iter().position(|found| Some(found.rate_per_s) == point.map(|p| p.rate_per_s))
        };
        let (low, high) = capacity.bracket();
        Self {
            url: String::new(),
            options: Vec::new(),
            connections: 0,
            depth: 1,
            arrivals: String::new(),
            width: 0.0,
            probe_per_s: capacity.probe_per_s(),
            elapsed_ns: 0,
            ended: None,
            stopped: None,
            held: place(low),
            failed: place(high),
            estimate_per_s: capacity.estimate_per_s(),
            is_contradictory: capacity.is_contradictory(),
            claims,
            points,
            trials,
            answers: Answers::default(),
        }
    }

    /// The bracket's width relative to its lower end, where the upper one failed.
    pub fn bracket_width(&self) -> Option<f64> {
        let failed = self.points[self.failed?].rate_per_s;
        let is_failure = !self.is_cut_off();
        is_failure.then_some(failed / self.points[self.held?].rate_per_s - 1.0)
    }

    /// Whether the upper end did not fail, but was out of wring's reach.
    pub fn is_cut_off(&self) -> bool {
        self.failed.is_some_and(|place| self.points[place].standing == Standing::OutOfReach)
    }

    /// Whether nothing was found because wring itself could not judge it.
    pub fn is_beyond_wring(&self) -> bool {
        let is = |standing: Standing| self.points.iter().any(|p| p.standing == standing);
        let counts = self.points.iter().any(|point| point.trials > 0);
        let is_open = is(Standing::OutOfReach) || !counts;
        self.held.is_none() && !is(Standing::Failed) && is_open
    }

    /// Where latency bends upwards, up to the first rate that failed; a heuristic.
    pub fn knee(&self) -> Option<CurvePoint> {
        let last = self.failed.unwrap_or_else(|| self.points.len().saturating_sub(1));
        let points: Vec<CurvePoint> = self
            .points
            .iter()
            .take(last + 1)
            .filter_map(|point| {
                let latency_ns = point.latencies.p99_ns.or(point.latencies.p50_ns)?;
                Some(CurvePoint { rate_per_s: point.rate_per_s, latency_ns })
            })
            .collect();
        knee(&points)
    }
}

fn found_point(capacity: &Capacity, point: &Point, claims: &[Claim]) -> FoundPoint {
    let latencies = point.latency.as_ref().map(Latencies::of).unwrap_or_default();
    let of = |(index, claim): (usize, &Claim)| point.claim(index, claim);
    FoundPoint {
        rate_per_s: point.rate_per_s,
        standing: capacity.standing(point),
        measured_ns: point.measured_ns,
        trials: point.trials,
        spoiled: point.spoiled,
        latencies,
        claims: claims.iter().enumerate().map(of).collect(),
        cpu_ns_per_request: point.cpu_ns_per_request(),
    }
}
