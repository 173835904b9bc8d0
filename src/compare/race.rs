//! When the data is looked at, and what a look must find.

use super::difference::is_too_few;
use super::{FALSE_ALARM, Layout, Metric, SHOWN, Word, judge};
use crate::rng::Rng;
use crate::stats::{self, Boundary, Estimate, Units, normal_tail, obrien_fleming, signed_rank};

/// Looks that are planned.
const LOOKS: u64 = 10;
/// Fewest pairs and fewest processes that are looked at while more are planned. Builds that come up at
/// one of two speeds by chance, tight around each, look like different builds when three or four
/// starts happen to agree: no interval over so few can know better.
const PAIRS_MIN: u64 = 8;
const PROCESSES_MIN: u64 = 5;
/// This share of the budget is spent evenly, so that what is plain to see is said early; the rest as
/// O'Brien and Fleming would.
const EVEN_SHARE: f64 = 0.1;

/// The ranks of the pairs must agree at this level: on few pairs, some of which were disturbed, an
/// interval alone errs more often than it says. Eight pairs that all agree reach it, fewer cannot.
const RANKS_LEVEL: f64 = 0.01;

/// What a comparison that stops by itself is held to.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// What it decides on.
    pub metric: Metric,
    /// Differences up to this are as good as none.
    pub margin: f64,
    /// Pairs, or processes within which there are pairs.
    pub layout: Layout,
    /// How many of those there will be at most.
    pub units_max: u64,
    /// Resamples behind each interval.
    pub resamples: u32,
}

/// What a look found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    /// The word; undecided is to go on.
    pub word: Word,
    /// The error probability that the word was given at.
    pub alpha: f64,
    /// The difference, on the metric's scale.
    pub estimate: Estimate,
    /// The interval says faster or slower, but that comes from few of the pairs, or from few starts.
    pub is_by_few: bool,
}

/// A comparison on its way to a verdict.
#[derive(Clone, Debug)]
pub struct Race {
    rules: Rules,
    /// The planned looks: at how many units, and the error probability that each may use.
    planned: Vec<(u64, f64)>,
    /// How many units there were at the latest look.
    seen: u64,
    rng: Rng,
}

impl Race {
    /// Before the first pair. `seed` is of the resampling.
    pub fn new(rules: Rules, seed: u64) -> Self {
        let mut race = Self { planned: Vec::new(), seen: 0, rng: Rng::new(seed), rules };
        let mut boundary = Boundary::default();
        let looks: Vec<u64> = (1..=rules.units_max).filter(|units| race.is_look(*units)).collect();
        for units in looks {
            let spent = race.budget(units, units == rules.units_max);
            let bound = boundary.look(units as f64, spent);
            race.planned.push((units, level(bound)));
        }
        race
    }

    /// The same race with other resamples.
    pub fn reseeded(&self, seed: u64) -> Self {
        Self { rng: Rng::new(seed), ..self.clone() }
    }

    /// Whether the data is looked at when there are `units`.
    pub fn is_look(&self, units: u64) -> bool {
        let most = self.rules.units_max;
        let planned = |look: u64| (most * look).div_ceil(LOOKS);
        units >= most || (units >= self.least() && (1..LOOKS).any(|look| planned(look) == units))
    }

    fn least(&self) -> u64 {
        match self.rules.layout {
            Layout::Processes => PROCESSES_MIN,
            Layout::Pairs | Layout::Runs => PAIRS_MIN,
        }
    }

    /// What may have been spent after a look.
    fn budget(&self, units: u64, is_last: bool) -> f64 {
        let information = units as f64 / self.rules.units_max.max(1) as f64;
        if is_last {
            return FALSE_ALARM;
        }
        obrien_fleming(information, FALSE_ALARM).max(EVEN_SHARE * FALSE_ALARM * information)
    }

    /// Looks at the differences: one list for each process, one list in all without processes. The
    /// last look spends what is left; it must be the last for a reason that is not in the data.
    /// `None` when no look is due, or there is nothing new to look at.
    pub fn look(&mut self, groups: &[Vec<f64>], is_last: bool) -> Option<Look> {
        let (units, count) = match (self.rules.layout, groups) {
            (Layout::Processes, groups) => (Units::Nested(groups), groups.len() as u64),
            (_, [pairs]) => (Units::Single(pairs), pairs.len() as u64),
            _ => return None,
        };
        if count <= self.seen {
            return None;
        }
        let planned = self.planned.iter().find(|(units, _)| *units == count);
        let alpha = match planned {
            Some((_, alpha)) if !is_last || count == self.rules.units_max => *alpha,
            _ if is_last => self.last_level(count),
            _ => return None,
        };
        self.seen = count;
        let estimate = stats::estimate(units, self.rules.resamples, &mut self.rng)?;
        let metric = self.rules.metric;
        let (low, high) = estimate.at_level(alpha);
        let interval = (metric.outward(low), metric.outward(high));
        let found = judge(metric, interval, self.rules.margin);
        let is_by_few = match (units, found) {
            (Units::Single(pairs), Word::Faster | Word::Slower) => signed_rank(pairs) > RANKS_LEVEL,
            (Units::Nested(groups), Word::Faster | Word::Slower) => {
                is_too_few(self.rules.layout, groups.len())
            }
            _ => false,
        };
        let word = if is_by_few { Word::Undecided } else { found };
        Some(Look { word, alpha, estimate, is_by_few })
    }

    /// The level of a last look that comes sooner than was planned.
    fn last_level(&self, count: u64) -> f64 {
        let mut boundary = Boundary::default();
        for (units, _) in self.planned.iter().filter(|(units, _)| *units <= self.seen) {
            boundary.look(*units as f64, self.budget(*units, false));
        }
        level(boundary.look(count as f64, FALSE_ALARM))
    }
}

/// The error probability of so many standard errors to either side.
fn level(bound: f64) -> f64 {
    (2.0 * normal_tail(bound)).min(SHOWN)
}
