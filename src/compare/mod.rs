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

use crate::result::Interrupted;
use crate::rng::Rng;

pub use blocks::{Block, Unfit, summarize, unfit};
pub use difference::{Difference, Layout, Word, difference, judge, units_more};
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
}

/// Another side beside the reference.
#[derive(Clone, Debug, PartialEq)]
pub struct Against {
    /// One for each metric that both sides know.
    pub differences: Vec<Difference>,
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

/// Compares `other` with `reference` in every metric that both know, and gives the verdict.
pub fn against(reference: &[Block], other: &[Block], terms: &Terms, rng: &mut Rng) -> Against {
    let Terms { metric, margin, layout, alpha } = *terms;
    let differences: Vec<Difference> = Metric::ALL
        .into_iter()
        .filter_map(|metric| difference(metric, reference, other, layout, rng))
        .collect();
    let decisive = differences.iter().find(|difference| difference.metric == metric);
    let interval = decisive.and_then(|difference| difference.interval_at(alpha));
    let found = interval.map_or(Word::Undecided, |interval| judge(metric, interval, margin));
    let units = decisive.and_then(|found| found.estimate).map_or(0, |estimate| estimate.units);
    let is_by_few =
        matches!(found, Word::Faster | Word::Slower) && difference::is_too_few(layout, units);
    let word = if is_by_few { Word::Undecided } else { found };
    let more = match word {
        Word::Undecided => decisive.and_then(|found| units_more(found, alpha, margin, layout)),
        _ => None,
    };
    Against { differences, word, alpha, is_by_few, more }
}

#[cfg(test)]
mod tests;
