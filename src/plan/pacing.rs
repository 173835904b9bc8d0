//! The open loop's part of a plan: at which rate requests become due.

use std::sync::Arc;

use crate::schedule::{Arrivals, Cursor, Profile, deal};

/// At which rate requests become due, and what happens when they cannot be sent then.
#[derive(Clone, Debug)]
pub struct Pacing {
    /// The window's schedule.
    pub profile: Arc<Profile>,
    /// The warm-up's: constant, at the rate the window starts with. `None` when nothing is due in
    /// the warm-up, or there is none.
    pub warmup: Option<Arc<Profile>>,
    /// How requests follow each other at that rate.
    pub arrivals: Arrivals,
    /// A request that could not be started within this many nanoseconds of its intended time is
    /// given up; `None` waits for ever.
    pub deadline_ns: Option<u64>,
    /// Latencies, in nanoseconds; how many requests exceed each is counted for every interval.
    pub limits_ns: Vec<u64>,
    /// May workers keep their CPUs busy shortly before an intended time.
    pub spin: bool,
    /// The window's schedule in words.
    pub described: String,
}

impl Pacing {
    /// How many of the window's first `requests` are each worker's.
    pub fn parts(&self, workers: u32, seed: u64, requests: u64) -> Vec<u64> {
        deal(&self.profile, self.arrivals, workers, seed, requests)
    }

    /// The window's requests of worker `worker` of `workers`, at most `requests` of them.
    pub fn window_share(
        &self,
        worker: u32,
        workers: u32,
        seed: u64,
        requests: Option<u64>,
    ) -> Cursor {
        let profile = Arc::clone(&self.profile);
        Cursor::new(profile, self.arrivals, worker, workers, seed, requests)
    }

    /// The same for the warm-up, whose random arrivals are others than the window's.
    pub fn warmup_share(&self, worker: u32, workers: u32, seed: u64) -> Option<Cursor> {
        let profile = Arc::clone(self.warmup.as_ref()?);
        Some(Cursor::new(profile, self.arrivals, worker, workers, !seed, None))
    }

    /// `constant` or `poisson`.
    pub fn arrivals_name(&self) -> &'static str {
        match self.arrivals {
            Arrivals::Constant => "constant",
            Arrivals::Poisson => "poisson",
        }
    }

    /// How many requests the window asks for when it may start at most `requests`; `None` without an
    /// end, and where arrivals are random and nothing else bounds them.
    pub fn requests(&self, requests: Option<u64>) -> Option<u64> {
        match (self.arrivals, self.profile.total()) {
            (Arrivals::Constant, Some(total)) => Some(requests.map_or(total, |n| n.min(total))),
            _ => requests,
        }
    }

    /// Requests per second, on average over the window.
    pub fn mean_rate_per_s(&self) -> f64 {
        let length_ns = self.profile.length_ns().unwrap_or(1_000_000_000).max(1);
        self.profile.integral(length_ns) * 1e9 / length_ns as f64
    }

    /// Requests per second just before the end; without one, all the time.
    pub fn end_rate_per_s(&self) -> f64 {
        let length_ns = self.profile.length_ns().unwrap_or(1);
        self.profile.rate_per_s_at(length_ns.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::parse_rate;

    #[test]
    fn on_a_schedule_a_number_of_requests_is_the_indexes_below_it_whatever_the_threads() {
        let profile = Arc::new(Profile::constant(parse_rate("1000/s").unwrap(), None).unwrap());
        let pacing = Pacing {
            profile,
            warmup: None,
            arrivals: Arrivals::Constant,
            deadline_ns: None,
            limits_ns: Vec::new(),
            spin: false,
            described: String::new(),
        };
        for total in [0, 1, 7, 50] {
            for workers in 1..9 {
                let parts = pacing.parts(workers, 0, total);
                let taken = |worker: u32| {
                    let own = Some(parts[worker as usize]);
                    let mut cursor = pacing.window_share(worker, workers, 0, own);
                    let times = std::iter::from_fn(|| {
                        let due_ns = cursor.peek_ns();
                        cursor.advance();
                        due_ns
                    });
                    times.collect::<Vec<u64>>()
                };
                let mut all: Vec<u64> = (0..workers).flat_map(taken).collect();
                all.sort_unstable();
                let expected: Vec<u64> = (0..total).map(|k| k * 1_000_000).collect();
                assert_eq!(all, expected, "{total} on {workers}");
            }
        }
    }
}
