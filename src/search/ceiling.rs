//! The most a closed loop gets, and the fewest connections that get it.
//!
//! The idea: double until two steps in a row gain nothing, then look between the last load that fell
//! short and the first that did not. With more than one request in flight allowed on a connection,
//! the same again over the depth. A load that was disturbed says nothing: it is measured again, and
//! left out when it stays so.

use std::collections::{BTreeMap, BTreeSet};

use super::trial::Latencies;
use crate::result::Verdict;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;
/// A load that gets this share of the most is as good as any.
const AS_GOOD: f64 = 0.98;
/// Steps without a gain that end the doubling.
const IN_VAIN_MAX: u32 = 2;
/// Steps between what fell short and what did not.
const BISECTIONS_MAX: u32 = 3;
/// Times that a load is measured before it is left out, and loads left out in a row that end the
/// doubling.
const TRIES_MAX: usize = 3;
const LEFT_OUT_MAX: usize = 2;
/// The rate is still rising where the largest load allowed is not so many times what is enough; and it
/// takes so many loads beyond that to know that it is not.
const BEYOND_ENOUGH: f64 = 1.2;
const BEYOND_MIN: usize = 2;
/// What a measurement takes beside its window, at a guess, in nanoseconds.
const AROUND_NS: u64 = 200 * MS;

/// A load to measure in a closed loop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CeilingAsk {
    /// Connections.
    pub connections: u32,
    /// Requests in flight on each.
    pub depth: u32,
    /// Length of the window, in nanoseconds.
    pub length_ns: u64,
}

/// What to do next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CeilingNext {
    /// Measure this and tell it by `measured`.
    Load(CeilingAsk),
    /// There is nothing left to do.
    Done(CeilingEnded),
}

/// Why a search ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CeilingEnded {
    /// More connections, or requests in flight, gain nothing.
    Found,
    /// The time was up before that was known.
    TimeUp,
    /// The rate still rose at the most that was allowed: of connections, of requests in flight on
    /// each, or of both.
    MostAllowed {
        /// Connections.
        connections: bool,
        /// Requests in flight on each.
        depth: bool,
    },
    /// Larger loads were disturbed again and again.
    Disturbed,
}

/// A load that was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// Connections.
    pub connections: u32,
    /// Requests in flight on each.
    pub depth: u32,
    /// Requests completed per second.
    pub requests_per_s: f64,
    /// How long they took.
    pub latencies: Latencies,
    /// wring itself had no time to spare.
    pub is_generator_limited: bool,
    /// Why the numbers cannot be used.
    pub spoiled: Option<Verdict>,
}

impl Load {
    /// Whether the numbers can be used at all.
    pub fn is_valid(&self) -> bool {
        self.spoiled.is_none()
    }
}

/// The search.
#[derive(Clone, Debug)]
pub struct Ceiling {
    connections_max: u32,
    depth_max: u32,
    budget_ns: u64,
    loads: Vec<Load>,
}

/// What is known of the loads of one kind.
#[derive(Debug, Default)]
struct Series {
    /// By size in ascending order, the most that each got.
    got: Vec<(u32, f64)>,
    /// The size of each load, and whether it counts.
    measured: Vec<(u32, bool)>,
    /// Sizes that were disturbed and are to be measured again.
    again: Option<u32>,
    /// Sizes that stayed disturbed.
    left_out: BTreeSet<u32>,
}

/// What a series asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    /// A larger size: there may be more to get.
    Larger(u32),
    /// A size between: less may be enough.
    Between(u32),
    /// None.
    Done,
}

/// What a series shows of larger sizes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    /// They gain nothing.
    Found,
    /// They are not allowed.
    Most,
    /// They were disturbed.
    Disturbed,
}

impl End {
    /// What that is for the search, where `connections` were at their most and, if it came to that,
    /// `depth` is what the series is about.
    fn ended(self, connections: bool, depth: bool) -> CeilingEnded {
        match self {
            Self::Found => CeilingEnded::Found,
            Self::Most => CeilingEnded::MostAllowed { connections, depth },
            Self::Disturbed => CeilingEnded::Disturbed,
        }
    }
}

impl Ceiling {
    /// A search over 1 to `connections_max` connections, and depths of 1 to `depth_max`.
    pub fn new(connections_max: u32, depth_max: u32, budget_ns: u64) -> Self {
        Self { connections_max, depth_max, budget_ns, loads: Vec::new() }
    }

    /// A load came to this.
    pub fn measured(&mut self, load: Load) {
        self.loads.push(load);
    }

    /// Everything measured, in that order.
    pub fn loads(&self) -> &[Load] {
        &self.loads
    }

    /// The most that is allowed: connections, and requests in flight on each.
    pub fn most_allowed(&self) -> (u32, u32) {
        (self.connections_max, self.depth_max)
    }

    /// Loads that were disturbed every time they were measured, as connections and depth.
    pub fn left_out(&self) -> BTreeSet<(u32, u32)> {
        let place = |load: &Load| (load.connections, load.depth);
        let valid: BTreeSet<_> =
            self.loads.iter().filter(|load| load.is_valid()).map(place).collect();
        self.loads.iter().map(place).filter(|place| !valid.contains(place)).collect()
    }

    /// The load with the most requests per second.
    pub fn most(&self) -> Option<&Load> {
        let valid = self.loads.iter().filter(|load| load.is_valid());
        valid.max_by(|a, b| a.requests_per_s.total_cmp(&b.requests_per_s))
    }

    /// The smallest load that does as well: beyond it nothing is gained.
    pub fn enough(&self) -> Option<&Load> {
        let most = self.most()?.requests_per_s;
        let good = self.loads.iter().filter(|l| l.is_valid() && l.requests_per_s >= AS_GOOD * most);
        good.min_by_key(|load| {
            (u64::from(load.connections) * u64::from(load.depth), load.connections)
        })
    }

    /// What to do after `elapsed_ns` since the search began.
    pub fn next(&self, elapsed_ns: u64) -> CeilingNext {
        let length_ns = (self.budget_ns / 32).clamp(200 * MS, 3 * SECOND);
        let left_ns = self.budget_ns.saturating_sub(elapsed_ns);
        let (connections, depth, then) = match self.choose() {
            Ok(chosen) => chosen,
            Err(ended) => return CeilingNext::Done(ended),
        };
        if left_ns < length_ns + AROUND_NS {
            return CeilingNext::Done(then);
        }
        CeilingNext::Load(CeilingAsk { connections, depth, length_ns })
    }

    /// The next load, and what the search has come to if there is no time for it; or why there is none.
    fn choose(&self) -> Result<(u32, u32, CeilingEnded), CeilingEnded> {
        let by_connections = self.series(|load| load.depth == 1, |load| load.connections);
        let goes_deeper = self.depth_max > 1;
        let is_most = |end| end == End::Most;
        let at_most = by_connections.end(self.connections_max);
        let ended = at_most.ended(is_most(at_most), false);
        match by_connections.step(self.connections_max) {
            Step::Larger(size) => return Ok((size, 1, CeilingEnded::TimeUp)),
            Step::Between(size) if goes_deeper => return Ok((size, 1, CeilingEnded::TimeUp)),
            Step::Between(size) => return Ok((size, 1, ended)),
            Step::Done => {}
        }
        let Some(connections) = by_connections.enough().filter(|_| goes_deeper) else {
            return Err(ended);
        };
        let by_depth = self.series(|load| load.connections == connections, |load| load.depth);
        let ended = by_depth.end(self.depth_max).ended(is_most(at_most), true);
        match by_depth.step(self.depth_max) {
            Step::Larger(size) => Ok((connections, size, CeilingEnded::TimeUp)),
            Step::Between(size) => Ok((connections, size, ended)),
            Step::Done => Err(ended),
        }
    }

    /// Loads of one kind by size.
    fn series(&self, of: impl Fn(&Load) -> bool, size: fn(&Load) -> u32) -> Series {
        let all = self.loads.iter().filter(|load| of(load));
        let measured = all.map(|load| (size(load), load.is_valid())).collect();
        let mut series = Series { measured, ..Series::default() };
        for load in self.loads.iter().filter(|load| of(load) && load.is_valid()) {
            match series.got.iter_mut().find(|(known, _)| *known == size(load)) {
                Some((_, best)) => *best = best.max(load.requests_per_s),
                None => series.got.push((size(load), load.requests_per_s)),
            }
        }
        series.got.sort_by_key(|&(size, _)| size);
        let spoiled = self.loads.iter().filter(|load| of(load) && !load.is_valid()).map(size);
        let mut tries = BTreeMap::new();
        for size in spoiled.filter(|size| !series.got.iter().any(|(known, _)| known == size)) {
            *tries.entry(size).or_insert(0) += 1;
        }
        series.again = tries.iter().find(|(_, tries)| **tries < TRIES_MAX).map(|(size, _)| *size);
        series.left_out = tries
            .into_iter()
            .filter(|(_, tries)| *tries >= TRIES_MAX)
            .map(|(size, _)| size)
            .collect();
        series
    }
}

impl Series {
    /// The next size to measure, up to `most`.
    fn step(&self, most: u32) -> Step {
        let tried = self.got.iter().map(|&(size, _)| size).chain(self.left_out.iter().copied());
        let last = tried.max();
        if let Some(size) = self.again {
            let is_beyond = last.is_none_or(|last| size > last);
            return if is_beyond { Step::Larger(size) } else { Step::Between(size) };
        }
        let Some(last) = last else { return Step::Larger(1) };
        let (mut best, mut in_vain) = (0.0, 0);
        for &(_, got) in &self.got {
            in_vain = if got * AS_GOOD > best { 0 } else { in_vain + 1 };
            best = f64::max(best, got);
        }
        let known = self.got.last().map_or(0, |&(size, _)| size);
        let is_hopeless = self.left_out.range(known..).count() >= LEFT_OUT_MAX;
        if last < most && in_vain < IN_VAIN_MAX && !is_hopeless {
            return Step::Larger(last.saturating_mul(2).min(most));
        }
        if let Some(size) = self.between() {
            return Step::Between(size);
        }
        // One load that happened to be slow is no ceiling.
        let least = self.enough().map_or(f64::INFINITY, |size| BEYOND_ENOUGH * f64::from(size));
        let beyond = |(size, is_valid): &&(u32, bool)| *is_valid && f64::from(*size) >= least;
        let beyond = self.measured.iter().filter(beyond).count();
        let tries = self.measured.iter().filter(|(size, _)| *size == known).count();
        if (1..BEYOND_MIN).contains(&beyond) && tries < TRIES_MAX {
            return Step::Between(known);
        }
        Step::Done
    }

    /// A size between the largest that fell short and the smallest that is as good as any.
    fn between(&self) -> Option<u32> {
        let good = self.enough()?;
        let short = self.got.iter().map(|&(size, _)| size).filter(|&size| size < good).max()?;
        let middle = (f64::from(short) * f64::from(good)).sqrt().round() as u32;
        let sizes = self.got.iter().map(|&(size, _)| size).chain(self.left_out.iter().copied());
        let bisections = sizes.filter(|size| !size.is_power_of_two()).count() as u32;
        let is_new = short < middle && middle < good && !self.left_out.contains(&middle);
        (bisections < BISECTIONS_MAX && is_new).then_some(middle)
    }

    /// What the series has come to once nothing larger is left to try.
    fn end(&self, most: u32) -> End {
        let last = self.got.last().map_or(0, |&(size, _)| size);
        let Some(enough) = self.enough() else { return End::Disturbed };
        if f64::from(last) >= BEYOND_ENOUGH * f64::from(enough) {
            return End::Found;
        }
        // Where the largest was left out, nobody knows whether the rate rises up to there.
        if last < most { End::Disturbed } else { End::Most }
    }

    /// The smallest size that is as good as any.
    fn enough(&self) -> Option<u32> {
        let best = self.got.iter().map(|&(_, got)| got).fold(0.0, f64::max);
        let mut good = self.got.iter().filter(|(_, got)| *got > 0.0 && *got >= AS_GOOD * best);
        good.next().map(|&(size, _)| size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches a target that gets `rate` requests per second of so many in flight; `None` of a load
    /// that was disturbed. Also tells how it ended.
    fn look(
        mut ceiling: Ceiling,
        mut rate: impl FnMut(u32, u32) -> Option<f64>,
    ) -> (Ceiling, CeilingEnded) {
        let mut elapsed_ns = 0;
        loop {
            let ask = match ceiling.next(elapsed_ns) {
                CeilingNext::Load(ask) => ask,
                CeilingNext::Done(ended) => return (ceiling, ended),
            };
            elapsed_ns += ask.length_ns + AROUND_NS;
            let got = rate(ask.connections, ask.depth);
            ceiling.measured(Load {
                connections: ask.connections,
                depth: ask.depth,
                requests_per_s: got.unwrap_or(3.0),
                latencies: Latencies::default(),
                is_generator_limited: false,
                spoiled: got.is_none().then(|| Verdict::Invalid(vec![])),
            });
        }
    }

    fn search(
        connections_max: u32,
        depth_max: u32,
        rate: impl Fn(u32, u32) -> f64,
    ) -> (Ceiling, CeilingEnded) {
        let ceiling = Ceiling::new(connections_max, depth_max, 60 * SECOND);
        look(ceiling, |connections, depth| Some(rate(connections, depth)))
    }

    #[test]
    fn the_fewest_connections_that_saturate_a_target_are_found() {
        // 1,000/s for each request in flight, up to 40.
        let (ceiling, ended) = search(1024, 1, |c, _| 1000.0 * f64::from(c.min(40)));
        assert_eq!(ceiling.most().unwrap().requests_per_s, 40_000.0);
        let enough = ceiling.enough().unwrap().connections;
        assert!((40..=46).contains(&enough), "{enough}");
        assert!(ceiling.loads().len() < 16, "{:?}", ceiling.loads());
        assert_eq!(ended, CeilingEnded::Found);
        // The most that is allowed lies beyond what is enough, if only by half: it is measured twice.
        let (ceiling, ended) = search(64, 1, |c, _| 1000.0 * f64::from(c.min(40)));
        assert_eq!(ended, CeilingEnded::Found);
        assert_eq!(ceiling.loads().iter().filter(|load| load.connections == 64).count(), 2);
        // So that a load which was slow by chance is no ceiling.
        let mut seen = 0;
        let ceiling = Ceiling::new(64, 1, 60 * SECOND);
        let (_, ended) = look(ceiling, |c, _| {
            seen += u32::from(c == 64);
            Some(if c == 64 && seen == 1 { 10.0 } else { f64::from(c) })
        });
        assert_eq!(ended, CeilingEnded::MostAllowed { connections: true, depth: false });
    }

    #[test]
    fn depth_is_tried_on_top_when_it_is_allowed() {
        let rate = |c: u32, p: u32| 1000.0 * f64::from(c.min(8)) * f64::from(p.min(4));
        let (ceiling, ended) = search(256, 64, rate);
        let enough = ceiling.enough().unwrap();
        assert_eq!((enough.connections, enough.depth), (8, 4), "{:?}", ceiling.loads());
        assert_eq!(ended, CeilingEnded::Found);
        // More in flight shows the ceiling although more connections are not allowed.
        assert_eq!(search(4, 64, rate).1, CeilingEnded::Found);
    }

    #[test]
    fn a_target_that_gets_worse_with_more_ends_the_search_at_its_best() {
        let (ceiling, ended) = search(1024, 1, |c, _| 10_000.0 / f64::from(c));
        assert_eq!((ceiling.enough().unwrap().connections, ended), (1, CeilingEnded::Found));
        assert!(ceiling.loads().len() <= 3);
        assert!(search(1, 1, |_, _| 5.0).0.enough().is_some());
        // Nothing at all.
        assert!(search(64, 1, |_, _| 0.0).0.loads().len() <= 3);
    }

    #[test]
    fn a_rate_that_still_rises_at_the_most_allowed_is_no_ceiling() {
        let most = |connections, depth| CeilingEnded::MostAllowed { connections, depth };
        let rising = |c: u32, p: u32| f64::from(c) * f64::from(p);
        assert_eq!(search(64, 1, rising).1, most(true, false));
        assert_eq!(search(1, 1, rising).1, most(true, false));
        assert_eq!(search(8, 4, rising).1, most(true, true));
        assert_eq!(search(64, 4, |c, p| f64::from(c.min(8) * p)).1, most(false, true));
    }

    #[test]
    fn the_time_is_kept_and_a_search_that_it_ended_says_so() {
        let (ceiling, ended) = search(1 << 20, 1024, |c, p| f64::from(c) * f64::from(p));
        let length_ns = 60 * SECOND / 32 + AROUND_NS;
        assert!(ceiling.loads().len() as u64 * length_ns <= 60 * SECOND);
        assert_eq!(ended, CeilingEnded::TimeUp);
        // With time for the doubling alone the ceiling is known, if not how little is enough.
        let short = Ceiling::new(1024, 1, 3_800 * MS);
        let (_, ended) = look(short, |c, _| Some(f64::from(c.min(40))));
        assert_eq!(ended, CeilingEnded::Found);
        let short = Ceiling::new(1024, 2, 3_800 * MS);
        let (_, ended) = look(short, |c, _| Some(f64::from(c.min(40))));
        assert_eq!(ended, CeilingEnded::TimeUp, "depth was never tried");
    }

    #[test]
    fn a_disturbed_load_is_measured_again_and_is_no_gain_and_no_loss() {
        // Each load is disturbed the first time.
        let mut seen = BTreeSet::new();
        let ceiling = Ceiling::new(1024, 1, 600 * SECOND);
        let rate = |c: u32| 1000.0 * f64::from(c.min(40));
        let (ceiling, ended) = look(ceiling, |c, _| (!seen.insert(c)).then(|| rate(c)));
        assert_eq!(ceiling.most().unwrap().requests_per_s, 40_000.0, "{:?}", ceiling.loads());
        assert_eq!((ended, ceiling.left_out().len()), (CeilingEnded::Found, 0));
        // One that stays so is stepped over.
        let ceiling = Ceiling::new(1024, 1, 600 * SECOND);
        let (ceiling, ended) = look(ceiling, |c, _| (c != 16).then(|| rate(c)));
        assert_eq!(ceiling.most().unwrap().requests_per_s, 40_000.0, "{:?}", ceiling.loads());
        assert_eq!((ended, ceiling.left_out()), (CeilingEnded::Found, BTreeSet::from([(16, 1)])));
        let tries = ceiling.loads().iter().filter(|load| load.connections == 16).count();
        assert_eq!(tries, TRIES_MAX);
    }

    #[test]
    fn where_every_larger_load_is_disturbed_the_search_ends_and_says_so() {
        let ceiling = Ceiling::new(1024, 1, 600 * SECOND);
        let (ceiling, ended) = look(ceiling, |c, _| (c <= 8).then(|| f64::from(c)));
        assert_eq!((ended, ceiling.most().unwrap().connections), (CeilingEnded::Disturbed, 8));
        assert_eq!(ceiling.left_out(), BTreeSet::from([(16, 1), (32, 1)]));
        let (ceiling, ended) = look(Ceiling::new(1024, 1, 600 * SECOND), |_, _| None);
        assert_eq!((ended, ceiling.most()), (CeilingEnded::Disturbed, None));
        assert_eq!(ceiling.loads().len(), TRIES_MAX * LEFT_OUT_MAX);
    }
}
