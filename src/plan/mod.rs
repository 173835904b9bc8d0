//! The validated, immutable test, and the request's bytes.
//!
//! Owns everything that can be decided before the loop: what is sent, where to, for how long, and
//! which share of it each worker takes. Knows nothing of flags, files or threads.

mod lines;
mod network;
mod pacing;
mod pattern;
mod placeholder;
mod request;
mod server;
mod targets;
mod tls;

use std::sync::Arc;

use crate::inspect::Checks;
use crate::io::Address;
use crate::schedule::Arrivals;

pub use lines::Lines;
pub use network::{Network, Prelude};

pub use pacing::Pacing;
pub use pattern::PatternTooLong;
pub use placeholder::Text;
pub use request::{Arena, Body, Header, Request, RequestError, is_token};
pub use server::ServerOf;
pub use targets::{Lane, Origin, Seat, Target, Targets};
pub use tls::Tls;

/// Which backend a run uses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EngineChoice {
    /// The best that works here.
    Auto,
    /// io_uring, or an error that says why not.
    Uring,
    /// epoll, which works everywhere.
    Epoll,
}

/// When a run ends by itself. With both, whichever comes first; with neither, when it is stopped.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct StopAfter {
    /// Length of the window, in nanoseconds.
    pub duration_ns: Option<u64>,
    /// Requests started in the window, over all workers.
    pub requests: Option<u64>,
    /// Without a length, a server that cannot be reached is waited for until the run is stopped.
    pub waits: bool,
}

/// One worker's part of the plan.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Share {
    /// The CPU to be pinned to; `None` leaves it to the scheduler.
    pub cpu: Option<u32>,
    /// How many connections it keeps.
    pub connections: u32,
    /// Index of its first connection among all; connection `i` goes to address `i mod addresses`.
    pub connection_first: u32,
    /// Its part of `StopAfter::requests` in a closed loop: as many for each of its connections as
    /// the others have for theirs, so that all of them are at work until the end. On a
    /// schedule `Plan::dealt` says how many it is.
    pub requests: Option<u64>,
    /// Seed of its private random stream.
    pub seed: u64,
}

/// What was asked for, in the words of whoever asked; printed and stored, never branched on.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Provenance {
    /// The URL as typed.
    pub url: String,
    /// Host as resolved: name or literal.
    pub host: String,
    /// All arguments as typed, secrets redacted.
    pub options: Vec<String>,
    /// Things the user should know about how the request was understood.
    pub notes: Vec<String>,
}

/// The whole test.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What is sent, again and again; the first of `targets`, if there are.
    pub request: Request,
    /// What is sent, where that is not always the same.
    pub targets: Option<Arc<Targets>>,
    /// Where to; never empty. Connections are spread evenly over all of them.
    pub addresses: Vec<Address>,
    /// How connections are made and given up.
    pub network: Network,
    /// Connections over all workers.
    pub connections: u32,
    /// Most requests outstanding on one connection.
    pub depth: u32,
    /// When the window ends.
    pub stop: StopAfter,
    /// The rate; `None` sends as fast as answers come (a closed loop).
    pub pacing: Option<Pacing>,
    /// Load before the window starts, in nanoseconds.
    pub warmup_ns: u64,
    /// The warm-up ends as soon as the target is steady; `warmup_ns` is its longest.
    pub warmup_until_steady: bool,
    /// Longest wait for outstanding answers after the window, in nanoseconds.
    pub drain_ns: u64,
    /// Longest wait for one answer, from its actual send, in nanoseconds.
    pub timeout_ns: u64,
    /// Longest time for one connection attempt, and for opening as a whole, in nanoseconds.
    pub connect_timeout_ns: u64,
    /// Length of one interval of the timeline, in nanoseconds.
    pub interval_ns: u64,
    /// Seed of everything random.
    pub seed: u64,
    /// TLS; `None` is plain HTTP.
    pub tls: Option<Tls>,
    /// TCP congestion control; `None` leaves the system's.
    pub tcp_congestion: Option<String>,
    /// Which backend.
    pub engine: EngineChoice,
    /// Whose cost is watched, if anybody's.
    pub server: Option<ServerOf>,
    /// What answers are checked for.
    pub checks: Checks,
    /// One for each worker; together exactly `connections` and `stop.requests`.
    pub shares: Vec<Share>,
    /// What was asked for, in words.
    pub provenance: Provenance,
}

impl Plan {
    /// How many different requests there are, at least one.
    pub fn target_count(&self) -> usize {
        self.targets.as_ref().map_or(1, |targets| targets.list().len())
    }

    /// How many servers they are for.
    pub fn server_count(&self) -> u32 {
        self.targets.as_ref().map_or(1, |targets| targets.origins().len() as u32)
    }

    /// The shares, each with its part of the requests that the window may start, on a schedule too.
    pub fn dealt(&self) -> Vec<Share> {
        let mut shares = self.shares.clone();
        if let (Some(pacing), Some(requests)) = (&self.pacing, self.stop.requests) {
            let parts = pacing.parts(shares.len() as u32, self.seed, requests);
            for (share, part) in shares.iter_mut().zip(parts) {
                share.requests = Some(part);
            }
        }
        shares
    }

    /// Whether worker `w` of `W` has the requests whose index is `w` modulo `W`, which only the even
    /// parts of a schedule make possible; else its requests follow each other.
    fn deals_in_turn(&self) -> bool {
        let pacing = self.pacing.as_ref();
        let is_even = |pacing: &Pacing| pacing.arrivals == Arrivals::Constant;
        pacing.is_some_and(|pacing| is_even(pacing) || self.stop.requests.is_none())
    }

    /// The way of each worker through the targets; `None` where there is nothing but one request.
    pub fn lanes(&self) -> Vec<Option<Arc<Lane>>> {
        let Some(targets) = &self.targets else { return vec![None; self.shares.len()] };
        let (shares, in_turn) = (self.dealt(), self.deals_in_turn());
        let mut lanes = targets.lanes(&shares, in_turn, self.depth);
        // A known number of requests has all numbers below it. Those of a warm-up have numbers too,
        // how many is not known, and no number may come twice.
        if !in_turn && self.warmup_ns == 0 && self.stop.requests.is_some() {
            let mut number = 0;
            for (lane, share) in lanes.iter_mut().zip(&shares) {
                (lane.number_first, lane.number_step) = (number, 1);
                number += share.requests.unwrap_or(0);
            }
        }
        lanes.into_iter().map(|lane| Some(Arc::new(lane))).collect()
    }
}

/// Deals connections and requests over `threads` workers: every worker gets its part of the
/// connections rounded down, the first ones one more, and of the requests what its connections are
/// of all of them, to within one; nothing is rounded away. `cpus[w]` is worker `w`'s CPU; with too
/// few CPUs the remaining workers stay unpinned. `threads` is at least 1 and at most `connections`.
pub fn deal(
    connections: u32,
    requests: Option<u64>,
    threads: u32,
    cpus: &[u32],
    seed: u64,
) -> Vec<Share> {
    // How many requests are for the connections before this one.
    let before = |total: u64, connection: u32| {
        let product = u128::from(total) * u128::from(connection);
        product.div_ceil(u128::from(connections.max(1))) as u64
    };
    let mut connection_first = 0;
    (0..threads)
        .map(|worker| {
            let own = part(u64::from(connections), threads, worker) as u32;
            let (first, end) = (connection_first, connection_first + own);
            connection_first = end;
            Share {
                cpu: cpus.get(worker as usize).copied(),
                connections: own,
                connection_first: first,
                requests: requests.map(|total| before(total, end) - before(total, first)),
                seed: seed.wrapping_add(u64::from(worker).wrapping_mul(WORKER_SEED_STEP)),
            }
        })
        .collect()
}

/// Not the generator's own step, with which a worker's stream would be its neighbour's, shifted.
const WORKER_SEED_STEP: u64 = 0xd134_2543_de82_ef95;

fn part(total: u64, parts: u32, index: u32) -> u64 {
    let parts = u64::from(parts.max(1));
    total / parts + u64::from(u64::from(index) < total % parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_to_exactly_what_was_asked() {
        for (connections, requests, threads) in [(15, 100, 8), (1, 1, 1), (64, 7, 3), (1000, 0, 7)]
        {
            let shares = deal(connections, Some(requests), threads, &[0, 1], 42);
            assert_eq!(shares.iter().map(|s| s.connections).sum::<u32>(), connections);
            assert_eq!(shares.iter().map(|s| s.requests.unwrap()).sum::<u64>(), requests);
            let mut next = 0;
            for share in &shares {
                assert_eq!(share.connection_first, next);
                next += share.connections;
            }
            let (least, most) = (
                shares.iter().map(|s| s.connections).min().unwrap(),
                shares.iter().map(|s| s.connections).max().unwrap(),
            );
            assert!(most - least <= 1);
        }
    }

    #[test]
    fn every_connection_has_as_many_requests_as_any_other_to_within_one() {
        for connections in 1..=40_u32 {
            for threads in 1..=connections.min(9) {
                for total in [0, 1, 2, 5, 39, 41, 300, 1_000_003, u64::MAX] {
                    let shares = deal(connections, Some(total), threads, &[], 0);
                    let of = |share: &Share| u128::from(share.requests.unwrap());
                    assert_eq!(shares.iter().map(of).sum::<u128>(), u128::from(total));
                    for share in &shares {
                        // |share - n·own/all| < 1, in whole numbers.
                        let all = u128::from(connections);
                        let due = u128::from(total) * u128::from(share.connections);
                        let off = (of(share) * all).abs_diff(due);
                        assert!(off < all, "{total} over {connections} on {threads}: {share:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn workers_beyond_the_cpus_stay_unpinned() {
        let cpus: Vec<_> = deal(4, None, 3, &[5, 7], 0).into_iter().map(|s| s.cpu).collect();
        assert_eq!(cpus, [Some(5), Some(7), None]);
    }
}
