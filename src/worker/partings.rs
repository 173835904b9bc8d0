//! Connections whose peers announced that they close, by when that is given up on.
//!
//! All of them are given the same time, so the order in which they come is the order in which they
//! are due, and nobody has to walk over all connections to find the next one. A connection stands in
//! the queue at most once: whoever opens, parts and opens again before its turn comes is looked at
//! too early and queued anew.

use std::collections::VecDeque;

/// The queue; never allocates after `new`.
#[derive(Debug)]
pub(super) struct Partings {
    queue: VecDeque<(u64, u32)>,
    is_queued: Vec<bool>,
    /// When the first is due.
    next_ns: u64,
}

impl Partings {
    /// For connections `0 .. connections`.
    pub(super) fn new(connections: u32) -> Self {
        let count = connections as usize;
        let queue = VecDeque::with_capacity(count);
        Self { queue, is_queued: vec![false; count], next_ns: u64::MAX }
    }

    /// Connection `index` is to be looked at, at `until_ns`.
    pub(super) fn add(&mut self, until_ns: u64, index: u32) {
        if !std::mem::replace(&mut self.is_queued[index as usize], true) {
            self.queue.push_back((until_ns, index));
            self.note_next();
        }
    }

    /// When the next one is due; `u64::MAX` when there is none.
    #[inline]
    pub(super) fn next_ns(&self) -> u64 {
        self.next_ns
    }

    fn note_next(&mut self) {
        self.next_ns = self.queue.front().map_or(u64::MAX, |(until_ns, _)| *until_ns);
    }

    /// Takes out one that is due.
    #[inline]
    pub(super) fn take(&mut self, now_ns: u64) -> Option<u32> {
        if self.next_ns() > now_ns {
            return None;
        }
        let (_, index) = self.queue.pop_front()?;
        self.note_next();
        self.is_queued[index as usize] = false;
        Some(index)
    }
}
