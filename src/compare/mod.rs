//! Which of two or more sets of blocks is faster, and whether that is real.
//!
//! Owns the metrics that are compared, the differences with their intervals, the verdict and when it
//! may be given. Knows nothing of servers, files or how blocks were run.
//!
//! The idea: the block is the unit, never the request. Two blocks that ran one after the other make a
//! pair; what moved both, a slower minute of the machine for instance, is not in their ratio. A
//! verdict is looked for at planned moments only, each of which spends a part of one small error
//! probability, so that looking often does not find what is not there.

mod blocks;
mod difference;
mod likeness;
mod metric;
mod order;
mod race;

use crate::result::{Answers, Interrupted};
use crate::rng::Rng;

pub use blocks::{Block, Disturbance, Unfit, summarize, unfit};
pub use difference::{Difference, Layout, Unknown, Word, difference, judge, units_more, unknown};
pub use likeness::unlike;
pub use metric::Metric;
pub use order::{Order, is_steady};
pub use race::{Look, Race, Rules};

/// The chance that two equal sides are called faster or slower, over all looks together.
pub const FALSE_ALARM: f64 = 0.003;
/// The error probability of the intervals that are shown, and of a verdict that is given at one look.
pub const SHOWN: f64 = 0.05;

/// One side of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Side {
    /// `A`, `B`, …
    pub name: String,
    /// Its URL, command or files.
    pub label: String,
    /// What was measured.
    pub blocks: Vec<Block>,
    /// What was answered, in every block or run, whether it counts or not.
    pub answers: Answers,
}

/// Another side beside the reference.
#[derive(Clone, Debug, PartialEq)]
pub struct Against {
    /// One for each metric that both sides know, in half of the pairs or runs at least; of the one that
    /// decides, wherever it is known.
    pub differences: Vec<Difference>,
    /// Where these, and the one that decides, are not known.
    pub unknown: Vec<Unknown>,
    /// What is said of the metric that decides.
    pub word: Word,
    /// The error probability that the word was given at.
    pub alpha: f64,
    /// The interval says faster or slower, but that comes from few of the pairs, or from few starts.
    pub is_by_few: bool,
    /// How many units more it would take, where undecided and where that can be told.
    pub more: Option<u64>,
}

/// A whole comparison, as reports show it.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The first is the reference.
    pub sides: Vec<Side>,
    /// One for each other side, in order.
    pub others: Vec<Against>,
    /// What the verdict is about.
    pub metric: Metric,
    /// Differences up to this share are as good as none.
    pub margin: f64,
    /// How blocks belong together.
    pub layout: Layout,
    /// What was asked for, for people: connections, depth, length of a block.
    pub setup: Vec<String>,
    /// Remarks on how it went.
    pub notes: Vec<String>,
    /// Why it ended early, if it did.
    pub interrupted: Option<Interrupted>,
}

/// What a comparison is held to.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// What it decides on.
    pub metric: Metric,
    /// Differences up to this share are as good as none.
    pub margin: f64,
    /// How blocks belong together.
    pub layout: Layout,
    /// The error probability of the verdict.
    pub alpha: f64,
}

impl Against {
    /// Where the metric that decides is not known, if anywhere.
    pub fn unknown_of(&self, metric: Metric) -> Option<&Unknown> {
        self.unknown.iter().find(|unknown| unknown.metric == metric)
    }

    /// Whether it is not known in so many pairs or runs that nothing can be decided.
    pub fn is_little_known(&self, metric: Metric) -> bool {
        self.unknown_of(metric).is_some_and(Unknown::is_too_much)
    }
}

/// Compares `other` with `reference` in every metric that both know, and gives the verdict.
pub fn against(reference: &[Block], other: &[Block], terms: &Terms, rng: &mut Rng) -> Against {
    let Terms { metric, margin, layout, alpha } = *terms;
    let all = Metric::ALL.map(|metric| unknown(metric, reference, other, layout));
    let shown = all.iter().filter(|u| u.metric == metric || !u.is_too_much());
    let differences: Vec<Difference> =
        shown.clone().filter_map(|u| difference(u.metric, reference, other, layout, rng)).collect();
    let unknown: Vec<Unknown> = shown.filter(|unknown| unknown.units > 0).copied().collect();
    let decisive = differences.iter().find(|difference| difference.metric == metric);
    let interval = decisive.and_then(|difference| difference.interval_at(alpha));
    let found = interval.map_or(Word::Undecided, |interval| judge(metric, interval, margin));
    let units = decisive.and_then(|found| found.estimate).map_or(0, |estimate| estimate.units);
    let is_by_few =
        matches!(found, Word::Faster | Word::Slower) && difference::is_too_few(layout, units);
    let is_little_known = unknown.iter().any(|u| u.metric == metric && u.is_too_much());
    let word = if is_by_few || is_little_known { Word::Undecided } else { found };
    let more = match word {
        Word::Undecided if !is_little_known => {
            decisive.and_then(|found| units_more(found, alpha, margin, layout))
        }
        _ => None,
    };
    Against { differences, unknown, word, alpha, is_by_few, more }
}

#[cfg(test)]
mod tests;
