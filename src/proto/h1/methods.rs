//! Which outstanding requests are HEAD, where some are and some are not.
//!
//! An answer means another thing to HEAD than to any other method (RFC 9112 section 6.3), so what is
//! known of one answer says nothing of the next, unless their requests are of the same sort.

use std::collections::VecDeque;

/// The outstanding requests in their order, as runs of the same sort. Does not allocate after `new`.
#[derive(Debug)]
pub(super) struct Methods {
    runs: VecDeque<(bool, u32)>,
}

impl Methods {
    /// Room for `depth` requests.
    pub(super) fn new(depth: u32) -> Self {
        Self { runs: VecDeque::with_capacity(depth as usize) }
    }

    /// A request was sent.
    pub(super) fn push(&mut self, is_head: bool) {
        match self.runs.back_mut() {
            Some((of_run, count)) if *of_run == is_head => *count += 1,
            _ => self.runs.push_back((is_head, 1)),
        }
    }

    /// The oldest `count` requests were answered; they are of the same sort.
    pub(super) fn take(&mut self, count: u32) {
        if let Some((_, left)) = self.runs.front_mut() {
            debug_assert!(*left >= count, "answers to requests of two sorts");
            *left -= count;
            if *left == 0 {
                self.runs.pop_front();
            }
        }
    }

    /// Whether the oldest is HEAD; without any, no.
    pub(super) fn oldest(&self) -> bool {
        self.runs.front().is_some_and(|run| run.0)
    }

    /// How many of the oldest are of its sort.
    pub(super) fn alike(&self) -> u32 {
        self.runs.front().map_or(0, |run| run.1)
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.runs.clear();
    }
}
