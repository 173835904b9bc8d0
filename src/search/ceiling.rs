//! The most a closed loop gets, and the fewest connections that get it.
//!
//! The idea: double until two steps in a row gain nothing, then look between the last load that fell
//! short and the first that did not. With more than one request in flight allowed on a connection,
//! the same again over the depth.

use super::trial::Latencies;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;
/// A load that gets this share of the most is as good as any.
const AS_GOOD: f64 = 0.98;
/// Steps without a gain that end the doubling.
const IN_VAIN_MAX: u32 = 2;
/// Steps between what fell short and what did not.
const BISECTIONS_MAX: u32 = 3;
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

/// A load that was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
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
    /// Whether the numbers can be used at all.
    pub is_valid: bool,
}

/// The search.
#[derive(Clone, Debug)]
pub struct Ceiling {
    connections_max: u32,
    depth_max: u32,
    budget_ns: u64,
    loads: Vec<Load>,
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

    /// The load with the most requests per second.
    pub fn most(&self) -> Option<&Load> {
        let valid = self.loads.iter().filter(|load| load.is_valid);
        valid.max_by(|a, b| a.requests_per_s.total_cmp(&b.requests_per_s))
    }

    /// The smallest load that does as well: beyond it nothing is gained.
    pub fn enough(&self) -> Option<&Load> {
        let most = self.most()?.requests_per_s;
        let good = self.loads.iter().filter(|l| l.is_valid && l.requests_per_s >= AS_GOOD * most);
        good.min_by_key(|load| {
            (u64::from(load.connections) * u64::from(load.depth), load.connections)
        })
    }

    /// What to measure after `elapsed_ns` since the search began; `None` when there is nothing left,
    /// or no time.
    pub fn next(&self, elapsed_ns: u64) -> Option<CeilingAsk> {
        let length_ns = (self.budget_ns / 32).clamp(200 * MS, 3 * SECOND);
        let left_ns = self.budget_ns.saturating_sub(elapsed_ns);
        if left_ns < length_ns + AROUND_NS {
            return None;
        }
        let (connections, depth) = self.choose()?;
        Some(CeilingAsk { connections, depth, length_ns })
    }

    fn choose(&self) -> Option<(u32, u32)> {
        let by_connections: Vec<(u32, f64)> =
            self.series(|load| load.depth == 1, |l| l.connections);
        if let Some(connections) = step(&by_connections, self.connections_max) {
            return Some((connections, 1));
        }
        let connections = enough(&by_connections)?;
        let by_depth = self.series(|load| load.connections == connections, |load| load.depth);
        step(&by_depth, self.depth_max).map(|depth| (connections, depth))
    }

    /// Loads of one kind by size, the best of each.
    fn series(&self, of: impl Fn(&Load) -> bool, size: fn(&Load) -> u32) -> Vec<(u32, f64)> {
        let mut series: Vec<(u32, f64)> = Vec::new();
        for load in self.loads.iter().filter(|load| of(load)) {
            // What cannot be used is no gain, and is not measured again and again.
            let got = if load.is_valid { load.requests_per_s } else { 0.0 };
            match series.iter_mut().find(|(known, _)| *known == size(load)) {
                Some((_, best)) => *best = best.max(got),
                None => series.push((size(load), got)),
            }
        }
        series.sort_by_key(|&(size, _)| size);
        series
    }
}

/// The next size to measure, given what each so far got.
fn step(series: &[(u32, f64)], most: u32) -> Option<u32> {
    let Some(&(last, _)) = series.last() else { return Some(1) };
    let (mut best, mut in_vain) = (0.0, 0);
    for &(_, got) in series {
        in_vain = if got * AS_GOOD > best { 0 } else { in_vain + 1 };
        best = f64::max(best, got);
    }
    if last < most && in_vain < IN_VAIN_MAX {
        return Some(last.saturating_mul(2).min(most));
    }
    let good = enough(series)?;
    let short = series.iter().map(|&(size, _)| size).filter(|&size| size < good).max()?;
    let middle = (f64::from(short) * f64::from(good)).sqrt().round() as u32;
    let bisections = series.iter().filter(|(size, _)| !size.is_power_of_two()).count() as u32;
    (bisections < BISECTIONS_MAX && short < middle && middle < good).then_some(middle)
}

/// The smallest size that is as good as any.
fn enough(series: &[(u32, f64)]) -> Option<u32> {
    let best = series.iter().map(|&(_, got)| got).fold(0.0, f64::max);
    series.iter().find(|&&(_, got)| got > 0.0 && got >= AS_GOOD * best).map(|&(size, _)| size)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches a target that gets `rate` requests per second of so many in flight.
    fn search(connections_max: u32, depth_max: u32, rate: impl Fn(u32, u32) -> f64) -> Ceiling {
        let mut ceiling = Ceiling::new(connections_max, depth_max, 60 * SECOND);
        let mut elapsed_ns = 0;
        while let Some(ask) = ceiling.next(elapsed_ns) {
            elapsed_ns += ask.length_ns + AROUND_NS;
            ceiling.measured(Load {
                connections: ask.connections,
                depth: ask.depth,
                requests_per_s: rate(ask.connections, ask.depth),
                latencies: Latencies::default(),
                is_generator_limited: false,
                is_valid: true,
            });
        }
        ceiling
    }

    #[test]
    fn the_fewest_connections_that_saturate_a_target_are_found() {
        // 1,000/s for each request in flight, up to 40.
        let ceiling = search(1024, 1, |c, _| 1000.0 * f64::from(c.min(40)));
        assert_eq!(ceiling.most().unwrap().requests_per_s, 40_000.0);
        let enough = ceiling.enough().unwrap().connections;
        assert!((40..=46).contains(&enough), "{enough}");
        assert!(ceiling.loads().len() < 16, "{:?}", ceiling.loads());
    }

    #[test]
    fn depth_is_tried_on_top_when_it_is_allowed() {
        let ceiling = search(256, 64, |c, p| 1000.0 * f64::from(c.min(8)) * f64::from(p.min(4)));
        let enough = ceiling.enough().unwrap();
        assert_eq!((enough.connections, enough.depth), (8, 4), "{:?}", ceiling.loads());
    }

    #[test]
    fn a_target_that_gets_worse_with_more_ends_the_search_at_its_best() {
        let ceiling = search(1024, 1, |c, _| 10_000.0 / f64::from(c));
        assert_eq!(ceiling.enough().unwrap().connections, 1);
        assert!(ceiling.loads().len() <= 3);
        assert!(search(1, 1, |_, _| 5.0).enough().is_some());
        // Nothing at all.
        assert!(search(64, 1, |_, _| 0.0).loads().len() <= 3);
    }

    #[test]
    fn the_time_is_kept() {
        let ceiling = search(1 << 20, 1024, |c, p| f64::from(c) * f64::from(p));
        let length_ns = 60 * SECOND / 32 + AROUND_NS;
        assert!(ceiling.loads().len() as u64 * length_ns <= 60 * SECOND);
    }
}
