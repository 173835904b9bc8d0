//! The requests in flight on one connection, oldest first.
//!
//! The idea: in a closed loop requests sent in one batch share their stamps, so the queue holds runs,
//! not requests. It is as long as the pipeline is deep, because on a schedule every request has its
//! own. Where a run has several targets, requests of one run are all of one target.

use crate::record::Stamps;

/// Requests that share their stamps.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Run {
    /// When they were due and when they were handed to the backend.
    pub(super) stamps: Stamps,
    /// In which turn.
    pub(super) turn: u64,
    /// How many.
    pub(super) count: u32,
    /// Of which target.
    pub(super) target: u32,
}

/// A bounded queue of runs; never allocates after `new`.
#[derive(Debug)]
pub(super) struct Inflight {
    runs: Box<[Run]>,
    head: u32,
    len: u32,
}

impl Inflight {
    /// Room for `depth` requests.
    pub(super) fn new(depth: u32) -> Self {
        Self { runs: vec![Run::default(); depth as usize].into_boxed_slice(), head: 0, len: 0 }
    }

    /// The oldest run.
    #[inline]
    pub(super) fn oldest(&self) -> Option<&Run> {
        (self.len > 0).then(|| &self.runs[self.head as usize])
    }

    /// Appends `count` requests of a target. At most `depth` may be in flight.
    #[inline]
    pub(super) fn push(&mut self, stamps: Stamps, turn: u64, count: u32, target: u32) {
        let capacity = self.runs.len() as u32;
        if self.len > 0 {
            let last = (self.head + self.len - 1) % capacity;
            let last = &mut self.runs[last as usize];
            if last.stamps == stamps && last.turn == turn && last.target == target {
                last.count += count;
                return;
            }
        }
        debug_assert!(self.len < capacity, "more runs than the pipeline is deep");
        let next = (self.head + self.len) % capacity;
        self.runs[next as usize] = Run { stamps, turn, count, target };
        self.len += 1;
    }

    /// Takes up to `count` of the oldest requests that share a stamp; the run's `count` says how many
    /// were taken. `None` when nothing is in flight.
    #[inline]
    pub(super) fn take(&mut self, count: u32) -> Option<Run> {
        if self.len == 0 {
            return None;
        }
        let oldest = &mut self.runs[self.head as usize];
        if oldest.count > count {
            oldest.count -= count;
            return Some(Run { count, ..*oldest });
        }
        let run = *oldest;
        self.head += 1;
        if self.head == self.runs.len() as u32 {
            self.head = 0;
        }
        self.len -= 1;
        Some(run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn runs_give_back_every_request_with_its_own_stamp_in_order() {
        let mut rng = Rng::new(11);
        let mut queue = Inflight::new(16);
        let mut model = std::collections::VecDeque::new();
        for turn in 0..10_000 {
            let room = 16 - model.len() as u64;
            let count = rng.below(room + 1) as u32;
            if count > 0 {
                let stamps = Stamps { intended_ns: turn / 2, sent_ns: turn / 3 };
                let target = (turn / 5 % 2) as u32;
                queue.push(stamps, turn / 3, count, target);
                model.extend((0..count).map(|_| (stamps, target)));
            }
            let mut left = rng.below(model.len() as u64 + 1) as u32;
            let oldest = queue.oldest().map(|run| (run.stamps, run.target));
            assert_eq!(oldest, model.front().copied());
            while left > 0 {
                let run = queue.take(left).unwrap();
                left -= run.count;
                for _ in 0..run.count {
                    assert_eq!(model.pop_front(), Some((run.stamps, run.target)));
                }
            }
        }
        assert_eq!(queue.take(5).is_none(), model.is_empty());
    }
}
