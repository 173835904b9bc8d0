//! The highest rate that meets an objective.
//!
//! The idea: `next` looks at everything known and picks one step; nothing is remembered of why the
//! steps before were taken but the rate that is being measured. What is known is a list of rates,
//! each with the evidence of all its trials.

use std::collections::BTreeMap;

use super::evidence::{Batch, Finding, effort, judge};
use super::objective::Claim;
use super::trial::Trial;
use crate::hist::Hist;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;
/// What opening, draining and resting take beside a trial, at a guess.
const AROUND_NS: u64 = 300 * MS;
/// Trials at one rate in which wring may have had no time to spare, more than those that count, before
/// the rate is out of its reach.
const LIMITED_MAX: u32 = 3;
/// The same of trials that were spoiled otherwise: whatever else the machine did may be over soon.
const SPOILED_MAX: u32 = 8;
/// How far off the guess of the time that a question needs may be before it is believed.
const GUESS_OFF: f64 = 2.0;
/// The first step away from the probed rate.
const STEP_FIRST: f64 = 0.04;
/// How far above the probed rate an upper bound is looked for.
const ABOVE_PROBE_MAX: f64 = 16.0;
/// A share that missed which leaves no hope for rates a little lower.
const HOPELESS: f64 = 0.95;
/// The lowest rate tried, as a share of the probed one.
const LOWEST_SHARE: f64 = 0.02;
/// Waits as long as a latency limit, one after the other, that a judgement on it must have time for:
/// what waits that long waits together with those before and after it.
const WAITS_MIN: u64 = 200;
/// Loads at which the curve is measured, as shares of the rate found.
const CURVE: [f64; 5] = [0.1, 0.25, 0.5, 0.75, 0.9];

/// What is searched for, and how long.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What a rate must meet.
    pub claims: Vec<Claim>,
    /// The bracket's width to stop at, relative to its lower end.
    pub width: f64,
    /// How long the whole search may take, in nanoseconds.
    pub budget_ns: u64,
    /// Measure the curve at loads below the bracket.
    pub with_curve: bool,
}

/// A trial to be carried out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ask {
    /// Requests per second.
    pub rate_per_s: f64,
    /// Length of the window, in nanoseconds.
    pub length_ns: u64,
    /// Load at the same rate before it, so that the queues are what they come to be.
    pub lead_in_ns: u64,
    /// Rest before it, in which the target works off what the trial before left.
    pub rest_ns: u64,
    /// Length of one stretch of evidence.
    pub stretch_ns: u64,
    /// Why.
    pub purpose: Purpose,
}

/// What a trial is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Purpose {
    /// To find a bracket.
    Bracket,
    /// To make it narrower.
    Narrow,
    /// To back one of its ends with more evidence.
    Confirm,
    /// For the curve.
    Curve,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Next {
    /// Measure a closed loop for so many nanoseconds; its rate is told by `probed`.
    Probe(u64),
    /// Carry a trial out and tell it by `tried`.
    Trial(Ask),
    /// There is nothing left to do.
    Done(Ended),
}

/// Why a search ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ended {
    /// The bracket is as narrow as asked.
    Narrow,
    /// The time was up.
    TimeUp,
    /// The lowest rate misses the objective.
    Missed,
    /// No rate failed, as far as was looked.
    Unbounded,
    /// wring itself spoiled even the lowest rate.
    OutOfReach,
}

/// One rate and the evidence on it.
#[derive(Clone, Debug)]
pub struct Point {
    /// Requests per second.
    pub rate_per_s: f64,
    /// Time measured at it, in nanoseconds.
    pub measured_ns: u64,
    /// Trials that count.
    pub trials: u32,
    /// Trials that wring itself spoiled.
    pub spoiled: u32,
    /// Those among them in which it had no time to spare.
    limited: u32,
    /// All its latencies.
    pub latency: Option<Hist>,
    /// CPU time of the server, and the requests it was for.
    server: (u64, u64),
    /// By claim, in order of time.
    claims: Vec<Vec<Batch>>,
    /// Time after which an open question is left open.
    patience_ns: u64,
}

impl Point {
    /// CPU time of the server for one request, in nanoseconds; `None` where nobody watched it.
    pub fn cpu_ns_per_request(&self) -> Option<f64> {
        let (cpu_ns, requests) = self.server;
        (requests > 0).then(|| cpu_ns as f64 / requests as f64)
    }

    /// The share that missed a claim, and what the evidence says of it.
    pub fn claim(&self, index: usize, claim: &Claim) -> (f64, Finding) {
        let batches = self.claims.get(index).map_or(&[][..], Vec::as_slice);
        match claim {
            Claim::Whole(_) => by_majority(batches),
            // A queue's length wanders for long before it is known to stay: it is innocent until it
            // is seen to grow.
            Claim::Steady => match judge(batches, claim.allowed()) {
                (share, Finding::Open) if share <= claim.allowed() => (share, Finding::Held),
                judged => judged,
            },
            _ => judge(batches, claim.allowed()),
        }
    }

    /// How many times the evidence at hand it takes, at a guess, until every claim is decided.
    fn effort(&self, claims: &[Claim]) -> f64 {
        let latencies = claims.iter().enumerate().filter(|(_, claim)| claim.limit_ns().is_some());
        let of = |(index, claim): (usize, &Claim)| {
            let batches = self.claims.get(index).map_or(&[][..], Vec::as_slice);
            effort(batches, claim.allowed())
        };
        latencies.map(of).fold(1.0, f64::max)
    }

    /// What the evidence says of all claims together. A single trial, however bad, is not the end of a
    /// rate.
    fn finding(&self, claims: &[Claim]) -> Finding {
        let of = |(index, claim): (usize, &Claim)| self.claim(index, claim).1;
        let findings: Vec<Finding> = claims.iter().enumerate().map(of).collect();
        if findings.contains(&Finding::Failed) {
            return if self.trials >= 2 { Finding::Failed } else { Finding::Open };
        }
        let all_held = findings.iter().all(|&finding| finding == Finding::Held);
        if all_held { Finding::Held } else { Finding::Open }
    }
}

/// Whole trials: two that agree decide, or the majority of more.
fn by_majority(batches: &[Batch]) -> (f64, Finding) {
    let total = batches.len() as f64;
    let bad: f64 = batches.iter().map(|batch| batch.bad).sum();
    let finding = match batches.len() {
        0 | 1 => Finding::Open,
        2 if bad == 1.0 => Finding::Open,
        _ if bad * 2.0 > total => Finding::Failed,
        _ if bad * 2.0 < total => Finding::Held,
        _ => Finding::Open,
    };
    (if batches.is_empty() { 0.0 } else { bad / total }, finding)
}

/// How a rate stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// It meets the objective.
    Held,
    /// It misses it.
    Failed,
    /// It could not be told in the time it was given.
    Open,
    /// wring itself could not do it.
    OutOfReach,
}

/// The search.
#[derive(Clone, Debug)]
pub struct Capacity {
    config: Config,
    probe_per_s: Option<f64>,
    points: Vec<Point>,
    /// The rate being measured, and why.
    current: Option<(usize, Purpose)>,
    /// How long the target needs to work off what the trial before left, in nanoseconds.
    rest_ns: u64,
    /// Trials of the curve by what they were asked for, so that none is asked twice.
    curve_asked: BTreeMap<usize, ()>,
}

/// The bracket as of now, as indexes of points.
#[derive(Clone, Copy, Debug, Default)]
struct Bracket {
    low: Option<usize>,
    high: Option<usize>,
}

impl Capacity {
    /// A search that has not begun.
    pub fn new(config: Config) -> Self {
        let (current, curve_asked) = (None, BTreeMap::new());
        Self { config, probe_per_s: None, points: Vec::new(), current, rest_ns: 0, curve_asked }
    }

    /// The closed loop did so many requests per second.
    pub fn probed(&mut self, rate_per_s: f64) {
        self.probe_per_s = Some(rate_per_s);
    }

    /// The rate of the closed loop, once known.
    pub fn probe_per_s(&self) -> Option<f64> {
        self.probe_per_s
    }

    /// A trial came to this; it took its place among the rates tried.
    pub fn tried(&mut self, trial: &Trial) {
        let index = self.index_of(trial.rate_per_s);
        let point = &mut self.points[index];
        let last_ns = trial.latency.as_ref().map_or(0, Hist::max);
        // Twice the longest wait is what a queue of that length takes to drain, and then some.
        self.rest_ns = (2 * last_ns).clamp(20 * MS, 2 * SECOND);
        if let Some(verdict) = &trial.spoiled {
            point.spoiled += 1;
            point.limited += u32::from(verdict.is_about_own_time());
            return;
        }
        point.trials += 1;
        point.measured_ns += trial.used_ns;
        for (so_far, batches) in point.claims.iter_mut().zip(&trial.claims) {
            so_far.extend_from_slice(batches);
        }
        if let Some(cost) = &trial.server {
            point.server.0 += cost.cpu_ns;
            point.server.1 += cost.requests;
        }
        match (&mut point.latency, &trial.latency) {
            (Some(all), Some(latency)) => all.merge(latency),
            (all @ None, Some(latency)) => *all = Some(latency.clone()),
            (_, None) => {}
        }
    }

    /// Forgets the latest trials at a rate: the target died in them.
    pub fn forget(&mut self, rate_per_s: f64) {
        if let Some(point) = self.points.iter_mut().find(|p| p.rate_per_s == rate_per_s) {
            point.claims.iter_mut().for_each(Vec::clear);
            (point.trials, point.measured_ns, point.latency) = (0, 0, None);
        }
    }

    /// All rates tried, in ascending order.
    pub fn points(&self) -> Vec<&Point> {
        let mut points: Vec<&Point> = self.points.iter().collect();
        points.sort_by(|a, b| a.rate_per_s.total_cmp(&b.rate_per_s));
        points
    }

    /// How a rate stands.
    pub fn standing(&self, point: &Point) -> Standing {
        match point.finding(&self.config.claims) {
            _ if point.limited >= LIMITED_MAX + point.trials => Standing::OutOfReach,
            _ if point.spoiled >= SPOILED_MAX + point.trials => Standing::OutOfReach,
            Finding::Held => Standing::Held,
            Finding::Failed => Standing::Failed,
            Finding::Open => Standing::Open,
        }
    }

    /// The highest rate that held below the lowest that failed or was out of reach, and that one.
    pub fn bracket(&self) -> (Option<&Point>, Option<&Point>) {
        let Bracket { low, high } = self.bracket_indexes();
        (low.map(|index| &self.points[index]), high.map(|index| &self.points[index]))
    }

    /// A rate that held although a lower one failed.
    pub fn is_contradictory(&self) -> bool {
        let (_, high) = self.bracket();
        high.is_some_and(|high| {
            self.points.iter().any(|point| {
                point.rate_per_s > high.rate_per_s && self.standing(point) == Standing::Held
            })
        })
    }

    /// Where the claim that fails first crosses what it allows, if its share grows with the rate like
    /// a power around the bracket: a straight line through the logarithms of the shares, weighted by
    /// the time behind each. An estimate; the bracket is what is known.
    pub fn estimate_per_s(&self) -> Option<f64> {
        let (low, high) = self.bracket();
        let (low, high) = (low?.rate_per_s, high?.rate_per_s);
        self.estimate_near(low, high).filter(|&rate| low <= rate && rate <= high)
    }

    fn estimate_near(&self, low: f64, high: f64) -> Option<f64> {
        let near = |p: &&Point| low * 0.9 <= p.rate_per_s && p.rate_per_s <= high * 1.1;
        let crossings = self.config.claims.iter().enumerate().filter_map(|(index, claim)| {
            let Claim::Share(..) = claim else { return None };
            let of = |point: &Point| {
                let (share, _) = point.claim(index, claim);
                let weight = point.measured_ns as f64;
                let excess = (share / claim.allowed()).ln();
                (share > 0.0).then(|| (point.rate_per_s.ln(), excess, weight))
            };
            crossing(&self.points.iter().filter(near).filter_map(of).collect::<Vec<_>>())
        });
        Some(crossings.min_by(f64::total_cmp)?.exp())
    }

    /// The claims.
    pub fn claims(&self) -> &[Claim] {
        &self.config.claims
    }

    /// What to do after `elapsed_ns` since the search began.
    pub fn next(&mut self, elapsed_ns: u64) -> Next {
        let left_ns = self.config.budget_ns.saturating_sub(elapsed_ns);
        let Some(probe_per_s) = self.probe_per_s else {
            return Next::Probe((self.full_ns() / 4).clamp(self.least_ns(), 3 * SECOND));
        };
        // Without a rate that held there is no curve below it.
        let with_curve = self.config.with_curve && self.bracket_indexes().low.is_some();
        let reserve_ns = if with_curve { self.curve_ns() } else { 0 };
        let spare_ns = left_ns.saturating_sub(reserve_ns);
        if let Some((index, purpose)) = self.current {
            let goes_on = !self.is_in_vain(&self.points[index], spare_ns);
            if goes_on && let Some(length_ns) = self.more(index, purpose, spare_ns) {
                return self.ask(index, length_ns, purpose);
            }
            self.current = None;
        }
        let ended = match self.choose(probe_per_s, spare_ns) {
            Ok((rate_per_s, purpose)) => {
                let index = self.index_of(rate_per_s);
                self.points[index].patience_ns = self.patience_ns(index, purpose, spare_ns);
                if let Some(length_ns) = self.more(index, purpose, spare_ns) {
                    self.current = Some((index, purpose));
                    return self.ask(index, length_ns, purpose);
                }
                Ended::TimeUp
            }
            Err(ended) => ended,
        };
        self.next_of_curve(left_ns).unwrap_or(Next::Done(ended))
    }

    /// Time that backs an end of the final bracket.
    fn full_ns(&self) -> u64 {
        (self.config.budget_ns / 8).clamp(SECOND / 2, 60 * SECOND)
    }

    /// Length of the shortest trial.
    fn least_ns(&self) -> u64 {
        (self.full_ns() / 16).clamp(250 * MS, 2 * SECOND)
    }

    /// Time that a decision takes at least, as the bracket stands: the narrower, the longer.
    fn required_ns(&self) -> u64 {
        let Bracket { low, high } = self.bracket_indexes();
        let share = match (low, high) {
            (Some(low), Some(high)) => {
                let width = self.points[high].rate_per_s / self.points[low].rate_per_s - 1.0;
                2.0 * self.config.width / width.max(1e-9)
            }
            _ => 0.0,
        };
        (self.full_ns() as f64 * share.clamp(1.0 / 16.0, 1.0)) as u64
    }

    /// After how long a question that stays open at this rate is given up.
    fn patience_ns(&self, index: usize, purpose: Purpose, spare_ns: u64) -> u64 {
        let point = &self.points[index];
        let fair_ns = match purpose {
            // There will be time to come back when the other end is known.
            Purpose::Bracket => {
                let needed_ns = 2 * self.more_ns(point.rate_per_s);
                // Lower rates need longer still to show that few fail.
                let evidence_ns = self.evidence_ns(point.rate_per_s).saturating_mul(5) / 4;
                needed_ns.max(evidence_ns.min(spare_ns / 2))
            }
            _ => (spare_ns / 4).max(self.required_ns()).min(4 * self.full_ns()),
        };
        point.patience_ns.max(point.measured_ns + fair_ns.min(spare_ns))
    }

    /// Time below which nothing can be said of a rate: for so many requests that their number alone
    /// leaves no doubt, and for so many waits as long as the limit that they are not all one.
    fn evidence_ns(&self, rate_per_s: f64) -> u64 {
        let of = |claim: &Claim| {
            let requests = claim.requests_least();
            let for_requests = (requests / rate_per_s * SECOND as f64) as u64;
            for_requests.max(WAITS_MIN * claim.limit_ns().unwrap_or(0))
        };
        self.config.claims.iter().map(of).max().unwrap_or(0)
    }

    /// Time that a rate is measured for at least, as the bracket stands.
    fn more_ns(&self, rate_per_s: f64) -> u64 {
        let evidence_ns = self.evidence_ns(rate_per_s).min(self.full_ns());
        self.required_ns().max(self.least_ns()).max(evidence_ns)
    }

    /// Length of the next trial at a rate; `None` when it has had what it needs, or time is up.
    fn more(&self, index: usize, purpose: Purpose, left_ns: u64) -> Option<u64> {
        let point = &self.points[index];
        let required_ns = match purpose {
            Purpose::Confirm => self.full_ns(),
            _ => self.more_ns(point.rate_per_s),
        };
        let measured_ns = point.measured_ns;
        let goal_ns = match self.standing(point) {
            Standing::OutOfReach => return None,
            Standing::Held if measured_ns >= required_ns => return None,
            Standing::Failed if purpose != Purpose::Confirm => return None,
            Standing::Failed if measured_ns >= required_ns / 4 => return None,
            Standing::Held | Standing::Failed => required_ns,
            // One bad trial asks for another.
            Standing::Open if point.trials < 2 => required_ns.max(measured_ns + self.least_ns()),
            Standing::Open if measured_ns < required_ns => required_ns,
            Standing::Open if measured_ns >= point.patience_ns => return None,
            Standing::Open => point.patience_ns,
        };
        // Each about as long as all before it: what is far off is told soon.
        let first_ns = self.required_ns() / 2;
        let length_ns = first_ns
            .max(measured_ns)
            .clamp(self.least_ns(), (self.full_ns() / 2).max(self.least_ns()))
            .min((goal_ns - measured_ns).max(self.least_ns()));
        let fits_ns = left_ns.saturating_sub(AROUND_NS + self.rest_ns) * 8 / 9;
        (fits_ns >= self.least_ns()).then(|| length_ns.min(fits_ns))
    }

    /// The rate lies so near to the limit that its question cannot be answered in the time there is:
    /// rates farther off tell more.
    fn is_in_vain(&self, point: &Point, left_ns: u64) -> bool {
        let is_open = self.standing(point) == Standing::Open;
        let has_ns = point.measured_ns + left_ns / 4;
        let needs_ns = point.measured_ns as f64 * point.effort(&self.config.claims);
        is_open && point.trials >= 2 && needs_ns > GUESS_OFF * has_ns as f64
    }

    fn ask(&self, index: usize, length_ns: u64, purpose: Purpose) -> Next {
        // Short enough that little is lost where one of them is left out.
        let stretch_ns = (length_ns / 16).clamp(25 * MS, 100 * MS);
        // A whole number of stretches, so that the window begins with one.
        let lead_in_ns = (length_ns / 8).clamp(100 * MS, 2 * SECOND).div_ceil(stretch_ns);
        Next::Trial(Ask {
            rate_per_s: self.points[index].rate_per_s,
            length_ns,
            lead_in_ns: lead_in_ns * stretch_ns,
            rest_ns: self.rest_ns,
            stretch_ns,
            purpose,
        })
    }

    /// The next rate to measure, or why there is none.
    fn choose(&self, probe_per_s: f64, spare_ns: u64) -> Result<(f64, Purpose), Ended> {
        let bracket = self.bracket_indexes();
        let rate = |index: usize| self.points[index].rate_per_s;
        let (low, high) = match (bracket.low, bracket.high) {
            (low, None) => return self.choose_above(probe_per_s, low.map(rate)),
            (None, Some(high)) => return self.choose_below(probe_per_s, rate(high)),
            (Some(low), Some(high)) => (low, high),
        };
        let lacks_ns = self.full_ns().saturating_sub(self.points[low].measured_ns);
        let is_narrow = rate(high) / rate(low) - 1.0 <= self.config.width;
        let must_confirm = lacks_ns > 0 && spare_ns < lacks_ns * 5 / 4 + 2 * AROUND_NS;
        if is_narrow || must_confirm {
            if lacks_ns > 0 {
                return Ok((rate(low), Purpose::Confirm));
            }
            if is_narrow
                && self.points[high].measured_ns < self.full_ns() / 4
                && !self.is_cut_off(high)
            {
                return Ok((rate(high), Purpose::Confirm));
            }
            return Err(if is_narrow { Ended::Narrow } else { Ended::TimeUp });
        }
        // Ends that rest on far shorter trials than the bracket has come to deserve.
        for end in [low, high] {
            if self.points[end].measured_ns < self.required_ns() / 4 && !self.is_cut_off(end) {
                return Ok((rate(end), Purpose::Confirm));
            }
        }
        Ok((self.choose_within(rate(low), rate(high), spare_ns), Purpose::Narrow))
    }

    fn is_cut_off(&self, index: usize) -> bool {
        self.standing(&self.points[index]) == Standing::OutOfReach
    }

    /// Steps that double, until a rate fails.
    fn choose_above(&self, probe_per_s: f64, held: Option<f64>) -> Result<(f64, Purpose), Ended> {
        let highest = self.points.iter().map(|p| p.rate_per_s).fold(0.0, f64::max);
        // What was left open above is stepped over as well.
        let base = held.unwrap_or(0.0).max(highest);
        let mut rate_per_s = probe_per_s;
        let mut step = STEP_FIRST;
        while rate_per_s <= base * 1.001 {
            rate_per_s = probe_per_s * (1.0 + step);
            step *= 2.0;
        }
        if rate_per_s > probe_per_s * ABOVE_PROBE_MAX {
            return Err(Ended::Unbounded);
        }
        Ok((rounded(rate_per_s), Purpose::Bracket))
    }

    /// Steps that double, until a rate holds; below half of the upper bound each rate is half of the
    /// one before.
    fn choose_below(&self, probe_per_s: f64, failed: f64) -> Result<(f64, Purpose), Ended> {
        let lowest = (probe_per_s * LOWEST_SHARE).max(1.0);
        let tried = self.points.iter().map(|p| p.rate_per_s).filter(|&rate| rate <= failed);
        let base = tried.fold(failed, f64::min);
        if base <= lowest * 1.001 {
            let is_lowest = |p: &&Point| p.rate_per_s <= lowest * 1.001;
            let standing = self.points.iter().find(is_lowest).map(|p| self.standing(p));
            return Err(match standing {
                Some(Standing::Failed) => Ended::Missed,
                Some(Standing::OutOfReach) => Ended::OutOfReach,
                _ => Ended::TimeUp,
            });
        }
        let top = self.points.iter().filter(|p| self.standing(p) == Standing::Failed);
        let top = top.map(|p| p.rate_per_s).fold(failed, f64::max);
        if self.is_hopeless(base) {
            return Ok((rounded((base / 4.0).max(lowest)), Purpose::Bracket));
        }
        let mut step = STEP_FIRST;
        let mut rate_per_s = top * (1.0 - step);
        while rate_per_s >= base * 0.999 && step < 0.5 {
            step *= 2.0;
            rate_per_s = top * (1.0 - step);
        }
        if rate_per_s >= base * 0.999 {
            rate_per_s = base / 2.0;
        }
        Ok((rounded(rate_per_s.max(lowest)), Purpose::Bracket))
    }

    /// Nearly every request missed a claim at this rate: the answer is far below, or nowhere.
    fn is_hopeless(&self, rate_per_s: f64) -> bool {
        let point = self.points.iter().find(|p| p.rate_per_s == rate_per_s && p.trials > 0);
        point.is_some_and(|point| {
            let claims = self.config.claims.iter().enumerate();
            let mut shares = claims.filter(|(_, claim)| matches!(claim, Claim::Share(..)));
            // At the closed loop's own rate a queue has no end, which says nothing of lower ones.
            let is_below = self.probe_per_s.is_some_and(|probe| rate_per_s < 0.9 * probe);
            is_below && shares.any(|(index, claim)| point.claim(index, claim).0 > HOPELESS)
        })
    }

    /// Between the ends. Half of the way from an end to where the limit seems to lie, on the side that
    /// is farther away: the nearer to the limit, the longer a question stays open, by the square.
    /// Rates that were left open bound the way; where it has become short, the one with the least
    /// evidence gets more.
    fn choose_within(&self, low: f64, high: f64, spare_ns: u64) -> f64 {
        let inside = |point: &&Point| low < point.rate_per_s && point.rate_per_s < high;
        let open: Vec<&Point> = self.points.iter().filter(inside).collect();
        let estimate = self.estimate_near(low, high).filter(|&rate| low < rate && rate < high);
        let hasty = open.iter().filter(|point| {
            point.measured_ns < 2 * self.required_ns() && !self.is_in_vain(point, spare_ns)
        });
        if let Some(point) = hasty.min_by_key(|point| point.measured_ns) {
            return point.rate_per_s;
        }
        let is_wide = high / low - 1.0 > 2.0 * self.config.width;
        let Some(middle) = estimate.filter(|_| is_wide) else {
            return self.choose_around(&open, low, high);
        };
        let first = open.iter().map(|p| p.rate_per_s).fold(middle, f64::min);
        let last = open.iter().map(|p| p.rate_per_s).fold(middle, f64::max);
        let (below, above) = (first / low, high / last);
        if below.max(above) - 1.0 < self.config.width {
            return self.choose_around(&open, low, high);
        }
        rounded(if below >= above { (low * first).sqrt() } else { (last * high).sqrt() })
    }

    /// The middle of the wider gap between the ends and what was left open between them; where the
    /// gaps are narrow, the open rate with the least evidence.
    fn choose_around(&self, open: &[&Point], low: f64, high: f64) -> f64 {
        let first = open.iter().map(|p| p.rate_per_s).fold(high, f64::min);
        let last = open.iter().map(|p| p.rate_per_s).fold(low, f64::max);
        if open.is_empty() {
            return rounded((low * high).sqrt());
        }
        let (below, above) = (first / low, high / last);
        if below.max(above) - 1.0 < self.config.width / 2.0 {
            let poorest = open.iter().min_by_key(|point| point.measured_ns);
            return poorest.map_or(low, |point| point.rate_per_s);
        }
        rounded(if below >= above { (low * first).sqrt() } else { (last * high).sqrt() })
    }

    /// What the curve takes, at a guess.
    fn curve_ns(&self) -> u64 {
        CURVE.len() as u64 * (self.curve_trial_ns() * 9 / 8 + AROUND_NS)
    }

    fn curve_trial_ns(&self) -> u64 {
        (self.full_ns() / 8).clamp(self.least_ns(), 3 * SECOND)
    }

    fn next_of_curve(&mut self, left_ns: u64) -> Option<Next> {
        let low = self.bracket_indexes().low.filter(|_| self.config.with_curve)?;
        let held = self.points[low].rate_per_s;
        let length_ns = self.curve_trial_ns();
        if left_ns < length_ns * 9 / 8 + AROUND_NS {
            return None;
        }
        for (step, share) in CURVE.iter().enumerate() {
            let rate_per_s = rounded(held * share);
            let near = |p: &Point| (p.rate_per_s / rate_per_s - 1.0).abs() < 0.05;
            if self.curve_asked.contains_key(&step) || self.points.iter().any(near) {
                continue;
            }
            self.curve_asked.insert(step, ());
            let index = self.index_of(rate_per_s);
            return Some(self.ask(index, length_ns, Purpose::Curve));
        }
        None
    }

    fn bracket_indexes(&self) -> Bracket {
        let standing = |standing: &[Standing]| -> Vec<usize> {
            let is = |index: &usize| standing.contains(&self.standing(&self.points[*index]));
            (0..self.points.len()).filter(is).collect()
        };
        let rate = |index: &usize| self.points[*index].rate_per_s;
        let above = standing(&[Standing::Failed, Standing::OutOfReach]);
        let high = above.into_iter().min_by(|a, b| rate(a).total_cmp(&rate(b)));
        let below = |index: &usize| high.is_none_or(|high| rate(index) < rate(&high));
        let held = standing(&[Standing::Held]).into_iter().filter(below);
        Bracket { low: held.max_by(|a, b| rate(a).total_cmp(&rate(b))), high }
    }

    fn index_of(&mut self, rate_per_s: f64) -> usize {
        if let Some(index) = self.points.iter().position(|p| p.rate_per_s == rate_per_s) {
            return index;
        }
        self.points.push(Point {
            rate_per_s,
            measured_ns: 0,
            trials: 0,
            spoiled: 0,
            limited: 0,
            latency: None,
            server: (0, 0),
            claims: vec![Vec::new(); self.config.claims.len()],
            patience_ns: 0,
        });
        self.points.len() - 1
    }
}

/// Where the line through the points (x, y, weight) is 0; `None` unless it rises.
fn crossing(points: &[(f64, f64, f64)]) -> Option<f64> {
    let sum = |of: &dyn Fn(&(f64, f64, f64)) -> f64| points.iter().map(of).sum::<f64>();
    let weight = sum(&|p| p.2);
    let (x, y) = (sum(&|p| p.0 * p.2) / weight, sum(&|p| p.1 * p.2) / weight);
    let slope = sum(&|p| (p.0 - x) * (p.1 - y) * p.2) / sum(&|p| (p.0 - x).powi(2) * p.2);
    (points.len() >= 3 && slope > 0.0 && slope.is_finite()).then(|| x - y / slope)
}

/// A rate that is good to read, within a thousandth.
fn rounded(rate_per_s: f64) -> f64 {
    let step = 10_f64.powi((rate_per_s.max(1e-3).log10().floor() as i32) - 3);
    // Division by a power of ten that is exact keeps short decimals short.
    if step >= 1.0 {
        (rate_per_s / step).round() * step
    } else {
        let inverse = step.recip().round();
        (rate_per_s * inverse).round() / inverse
    }
}
