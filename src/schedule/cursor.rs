//! One worker's way through a profile, request by request.
//!
//! Constant arrivals are the indexes `worker`, `worker + workers`, … of the profile, without
//! dividing where the rate is constant. Poisson arrivals are a stream of the worker's own at its
//! part of the rate: independent Poisson processes add up to one at the whole rate. With stages the
//! exponential gaps are laid along the integral of the rate instead of along time, which makes the
//! process inhomogeneous without rejecting anything: even after an hour of almost no rate the next
//! arrival costs the same.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use super::Profile;
use super::profile::Shape;
use super::stages::Stages;
use crate::rng::Rng;
use crate::units::Rate;

/// How requests follow each other at a rate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Arrivals {
    /// Evenly spaced.
    Constant,
    /// Independently of each other: exponential gaps.
    Poisson,
}

/// Random arrivals are gone through one by one up to this many, which takes about a second.
const DEALT_BY_TIME_MAX: u64 = 10_000_000;

/// How many of the first `total` requests of a schedule are each worker's: those that come first,
/// whoever's they are, so that all workers come to their last one at about the same time. Constant
/// arrivals are dealt in turn, and so are more random ones than can be gone through: of so many, each
/// worker's stream takes as long as another's, within a few thousandths.
pub fn deal(
    profile: &Arc<Profile>,
    arrivals: Arrivals,
    workers: u32,
    seed: u64,
    total: u64,
) -> Vec<u64> {
    let all = u64::from(workers);
    if arrivals == Arrivals::Constant || workers == 1 || total > DEALT_BY_TIME_MAX {
        return (0..all).map(|at| total / all + u64::from(at < total % all)).collect();
    }
    let cursor = |worker| Cursor::new(Arc::clone(profile), arrivals, worker, workers, seed, None);
    let mut cursors: Vec<Cursor> = (0..workers).map(cursor).collect();
    let next = |at: usize, cursor: &Cursor| cursor.peek_ns().map(|t_ns| Reverse((t_ns, at)));
    let mut first: BinaryHeap<_> =
        cursors.iter().enumerate().filter_map(|(at, cursor)| next(at, cursor)).collect();
    for _ in 0..total {
        let Some(mut soonest) = first.peek_mut() else { break };
        let Reverse((_, at)) = *soonest;
        cursors[at].advance();
        match next(at, &cursors[at]) {
            Some(later) => *soonest = later,
            None => drop(std::collections::binary_heap::PeekMut::pop(soonest)),
        }
    }
    cursors.iter().map(Cursor::taken).collect()
}

/// Where one worker is in its part of the schedule.
#[derive(Clone, Debug)]
pub struct Cursor {
    next_ns: Option<u64>,
    taken: u64,
    requests_max: u64,
    profile: Arc<Profile>,
    walk: Walk,
}

/// How the next time is found.
#[derive(Clone, Debug)]
enum Walk {
    /// Every `stride`-th request of a constant rate.
    Even(Even),
    /// Every `stride`-th index of the profile.
    Indexed { index: u64, stride: u64 },
    /// Random gaps in time, in fractions of a nanosecond.
    Random { rng: Rng, now: u128, gap_mean: f64 },
    /// Random gaps along the integral of the rate, in units of the stages' axis.
    RandomPlaces { rng: Rng, place: u128, gap_mean: f64 },
}

/// A nanosecond has `2^20` parts in the sum of random gaps: rounding every gap of a day of a
/// million a second moves its end by a tenth of a nanosecond, typically.
const PART_BITS: u32 = 20;

/// So many due requests are stepped over one by one before their end is searched for.
const STEPS_BEFORE_A_LEAP: u64 = 64;

impl Cursor {
    /// The part of worker `worker` of `workers`, before its first request.
    ///
    /// `requests_max` bounds how many requests this worker takes: its part as `deal` says makes all
    /// workers' requests together exactly the first ones of the schedule. `seed` is the run's and matters for Poisson
    /// arrivals only.
    pub fn new(
        profile: Arc<Profile>,
        arrivals: Arrivals,
        worker: u32,
        workers: u32,
        seed: u64,
        requests_max: Option<u64>,
    ) -> Self {
        assert!(worker < workers, "worker {worker} of {workers}");
        let (index, stride) = (u64::from(worker), u64::from(workers));
        let walk = match (arrivals, &profile.shape) {
            (Arrivals::Constant, Shape::Constant { rate, end }) => {
                let total = end.map_or(u64::MAX, |end| end.total);
                Walk::Even(Even::new(*rate, index, stride, total))
            }
            (Arrivals::Constant, Shape::Stages(_)) => Walk::Indexed { index, stride },
            (Arrivals::Poisson, Shape::Constant { rate, .. }) => {
                let gap_mean_ns = f64::from(workers) * rate.per_ns() as f64 / rate.count() as f64;
                let gap_mean = gap_mean_ns * f64::from(1 << PART_BITS);
                Walk::Random { rng: worker_rng(seed, worker), now: 0, gap_mean }
            }
            (Arrivals::Poisson, Shape::Stages(stages)) => {
                let gap_mean = f64::from(workers) * stages.per_request() as f64;
                Walk::RandomPlaces { rng: worker_rng(seed, worker), place: 0, gap_mean }
            }
        };
        let requests_max = requests_max.unwrap_or(u64::MAX);
        let mut cursor = Self { next_ns: None, taken: 0, requests_max, profile, walk };
        cursor.next_ns = cursor.first();
        cursor
    }

    /// Intended time of the next request, in nanoseconds from the schedule's start; `None` when
    /// there is none left.
    #[inline]
    pub fn peek_ns(&self) -> Option<u64> {
        self.next_ns
    }

    /// Takes the next request and goes to the one after it. Without one, nothing happens.
    #[inline]
    pub fn advance(&mut self) {
        if self.next_ns.is_none() {
            return;
        }
        self.taken += 1;
        if self.taken >= self.requests_max {
            self.next_ns = None;
            return;
        }
        if let Walk::Even(even) = &mut self.walk {
            self.next_ns = even.step();
        } else {
            self.next_ns = self.step();
        }
    }

    /// Takes every request that is due at `t_ns` or before, at most `most`, and says how many that
    /// were. However many they are, evenly spaced ones take no longer than a hundred.
    pub fn take_until(&mut self, t_ns: u64, most: u64) -> u64 {
        let before = self.taken;
        let is_due = |next_ns: Option<u64>| next_ns.is_some_and(|next_ns| next_ns <= t_ns);
        while self.taken - before < most && is_due(self.next_ns) {
            if self.taken - before == STEPS_BEFORE_A_LEAP && self.index().is_some() {
                self.skip(self.count_until(t_ns).min(most - STEPS_BEFORE_A_LEAP));
                break;
            }
            self.advance();
        }
        self.taken - before
    }

    /// Takes `count` requests, or all that are left; says how many that were.
    pub fn skip(&mut self, count: u64) -> u64 {
        let before = self.taken;
        match self.index() {
            Some((index, stride)) if self.next_ns.is_some() && count > 0 => {
                let left = self.left(index, stride);
                self.taken += count.min(left);
                self.next_ns = None;
                if count < left {
                    self.leap(index.saturating_add(count.saturating_mul(stride)));
                }
            }
            _ => {
                while self.taken - before < count && self.next_ns.is_some() {
                    self.advance();
                }
            }
        }
        self.taken - before
    }

    /// The index the cursor stands at and the distance to its next one; `None` where arrivals are
    /// random and have to be drawn one by one.
    fn index(&self) -> Option<(u64, u64)> {
        match &self.walk {
            Walk::Even(even) => Some((even.index_of(self.taken), even.stride)),
            Walk::Indexed { index, stride } => Some((*index, *stride)),
            Walk::Random { .. } | Walk::RandomPlaces { .. } => None,
        }
    }

    /// How many requests are left, the next one included, for indexes from `index` on.
    fn left(&self, index: u64, stride: u64) -> u64 {
        let total = self.profile.total().unwrap_or(u64::MAX);
        let in_profile = total.saturating_sub(index).div_ceil(stride);
        in_profile.min(self.requests_max - self.taken)
    }

    /// Goes to an index of this worker's, further on.
    fn leap(&mut self, to: u64) {
        match &mut self.walk {
            Walk::Even(even) => even.leap(to),
            Walk::Indexed { index, .. } => *index = to,
            Walk::Random { .. } | Walk::RandomPlaces { .. } => {}
        }
        self.next_ns = self.profile.time_ns(to);
    }

    /// How many of the requests from here on are due at `t_ns` or before.
    fn count_until(&self, t_ns: u64) -> u64 {
        let Some((index, stride)) = self.index() else { return 0 };
        let left = self.left(index, stride);
        let is_due = |nth: u64| {
            let at = nth.checked_mul(stride).and_then(|step| index.checked_add(step));
            at.and_then(|at| self.profile.time_ns(at)).is_some_and(|at_ns| at_ns <= t_ns)
        };
        // Doubling finds a bound, halving the place: `low` are due, the one at `high` is not.
        let (mut low, mut high) = (0, 1_u64);
        while high < left && is_due(high) {
            low = high;
            high = high.saturating_mul(2);
        }
        let mut high = high.min(left);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if is_due(middle) { low = middle } else { high = middle }
        }
        if is_due(low) { high.min(left) } else { 0 }
    }

    /// How many requests have been taken.
    #[inline]
    pub fn taken(&self) -> u64 {
        self.taken
    }

    fn first(&mut self) -> Option<u64> {
        if self.requests_max == 0 {
            return None;
        }
        match &self.walk {
            Walk::Even(even) => even.time_ns(),
            Walk::Indexed { index, .. } => self.profile.time_ns(*index),
            // The first arrival comes after a gap like any other.
            Walk::Random { .. } | Walk::RandomPlaces { .. } => self.step(),
        }
    }

    fn step(&mut self) -> Option<u64> {
        match &mut self.walk {
            Walk::Even(even) => even.step(),
            Walk::Indexed { index, stride } => {
                *index = index.checked_add(*stride)?;
                self.profile.time_ns(*index)
            }
            Walk::Random { rng, now, gap_mean } => {
                *now = now.saturating_add(exponential(rng, *gap_mean));
                let now_ns = u64::try_from(*now >> PART_BITS).ok()?;
                before(now_ns, self.profile.length_ns())
            }
            Walk::RandomPlaces { rng, place, gap_mean } => {
                *place = place.saturating_add(exponential(rng, *gap_mean));
                let stages: &Stages = match &self.profile.shape {
                    Shape::Stages(stages) => stages,
                    Shape::Constant { .. } => return None,
                };
                // Rounded up, the very last nanosecond could give the end itself.
                before(stages.time_of_place(*place)?, Some(stages.length_ns()))
            }
        }
    }
}

fn before(t_ns: u64, end_ns: Option<u64>) -> Option<u64> {
    if end_ns.is_some_and(|end_ns| t_ns >= end_ns) { None } else { Some(t_ns) }
}

/// Every `stride`-th request of a constant rate, stepped by quotient and remainder.
#[derive(Clone, Debug)]
struct Even {
    /// `ceil(index * per_ns / count)`; meaningless once `left` is 0.
    t_ns: u64,
    /// `t_ns * count - index * per_ns`: by how many parts of `count` the time was rounded up.
    rounded_up: u64,
    /// Requests left, this one included.
    left: u64,
    /// `stride * per_ns = whole_ns * count + part`.
    whole_ns: u128,
    part: u64,
    count: u64,
    /// Where the worker's part begins, for leaps.
    first: u64,
    stride: u64,
    rate: Rate,
    total: u64,
}

impl Even {
    fn new(rate: Rate, index: u64, stride: u64, total: u64) -> Self {
        let count = u128::from(rate.count());
        let scaled = u128::from(index) * u128::from(rate.per_ns());
        let step = u128::from(stride) * u128::from(rate.per_ns());
        let t_ns = u64::try_from(scaled.div_ceil(count));
        let left = total.saturating_sub(index).div_ceil(stride);
        Self {
            left: if t_ns.is_ok() { left } else { 0 },
            t_ns: t_ns.unwrap_or(u64::MAX),
            // Remainders of a division by `count`: they fit wherever it does.
            rounded_up: (scaled.div_ceil(count) * count - scaled) as u64,
            whole_ns: step / count,
            part: (step % count) as u64,
            count: rate.count(),
            first: index,
            stride,
            rate,
            total,
        }
    }

    fn index_of(&self, taken: u64) -> u64 {
        self.first.saturating_add(taken.saturating_mul(self.stride))
    }

    fn leap(&mut self, to: u64) {
        let first = self.first;
        *self = Self { first, ..Self::new(self.rate, to, self.stride, self.total) };
    }

    fn time_ns(&self) -> Option<u64> {
        if self.left == 0 { None } else { Some(self.t_ns) }
    }

    #[inline]
    fn step(&mut self) -> Option<u64> {
        self.left = self.left.saturating_sub(1);
        let carry = self.part > self.rounded_up;
        self.rounded_up = if carry {
            // Both terms are below `count`, in this order neither leaves `0..count`.
            self.count - (self.part - self.rounded_up)
        } else {
            self.rounded_up - self.part
        };
        let next_ns = u64::try_from(self.whole_ns)
            .ok()
            .and_then(|whole_ns| self.t_ns.checked_add(whole_ns))
            .and_then(|t_ns| t_ns.checked_add(u64::from(carry)));
        match next_ns {
            Some(t_ns) => self.t_ns = t_ns,
            // Beyond 584 years.
            None => self.left = 0,
        }
        self.time_ns()
    }
}

/// A stream for one worker that shares nothing with another worker's or another seed's.
///
/// All streams of this generator walk one cycle of `2^64` states, and nearby seeds start a few
/// steps apart: seeds that differ by the generator's increment give the same stream, shifted. So
/// the place on the cycle is itself drawn, from the seed and then from the worker; two streams
/// start at places as far apart as random ones.
fn worker_rng(seed: u64, worker: u32) -> Rng {
    let of_seed = Rng::new(seed).next_u64();
    Rng::new(Rng::new(of_seed ^ u64::from(worker)).next_u64())
}

/// An exponentially distributed number with this mean, rounded to a whole one.
fn exponential(rng: &mut Rng, mean: f64) -> u128 {
    // In 0 < u <= 1, where the logarithm is finite: the 53 bits a float holds, from 1 on.
    let u = ((rng.next_u64() >> 11) + 1) as f64 / (1_u64 << 53) as f64;
    // Never negative; the cast rounds down.
    (-u.ln() * mean + 0.5) as u128
}
