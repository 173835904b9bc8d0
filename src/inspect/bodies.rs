//! How often each distinct body was met.
//!
//! A worker tells up to `limits::BODIES_MAX` of them apart by a 64-bit hash and counts the others
//! together. The reference of a run is the body of the answer that was complete first by the clock
//! all workers share (of several at the same nanosecond, the one with the smallest hash), unless a
//! hash was given; a worker's own first body has a place in its table from the start.

use super::{Counts, PHASES, Reference, add, total};
use crate::limits::BODIES_MAX;

/// Bodies that a finished result lists, the reference included.
const LISTED_MAX: usize = 16;

/// How often one body was met.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct BodyCount {
    /// XXH3 (64 bits, seed 0) of its bytes without framing.
    pub hash: u64,
    /// Answers with it.
    pub counts: Counts,
}

/// How often each body of one target was met.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Bodies {
    /// When the first answer was complete, in nanoseconds of the run's clock, and its body's hash.
    pub first: Option<(u64, u64)>,
    /// Bodies that were told apart.
    pub seen: Vec<BodyCount>,
    /// Answers with other bodies.
    pub other: Counts,
}

impl Bodies {
    /// An empty table with room for all it tells apart. A given reference has its place.
    pub(super) fn with_room(reference: Reference) -> Self {
        let mut seen = Vec::with_capacity(BODIES_MAX);
        if let Reference::Given(hash) = reference {
            seen.push(BodyCount { hash, counts: Counts::default() });
        }
        Self { first: None, seen, other: Counts::default() }
    }

    /// Counts `count` answers. Never allocates in a table that was made by `with_room`.
    pub(super) fn count(&mut self, hash: u64, count: u64, phase: usize, now_ns: u64) {
        if self.first.is_none() {
            self.first = Some((now_ns, hash));
        }
        let known = self.seen.iter().position(|body| body.hash == hash);
        let place = known.unwrap_or(self.seen.len());
        if place == BODIES_MAX {
            self.other[phase] += count;
            return;
        }
        if place == self.seen.len() {
            self.seen.push(BodyCount { hash, counts: Counts::default() });
        }
        self.seen[place].counts[phase] += count;
    }

    /// The hash that bodies are compared with; `None` before the first answer.
    pub fn reference(&self, reference: Reference) -> Option<u64> {
        match reference {
            Reference::Given(hash) => Some(hash),
            Reference::First => self.first.map(|(_, hash)| hash),
        }
    }

    /// Answers whose body is not the reference. Exact as long as no worker met more than
    /// `limits::BODIES_MAX` bodies before it met the reference; then answers with the reference may
    /// be among the others, and count as different.
    pub fn differing(&self, reference: Reference) -> Counts {
        let reference = self.reference(reference);
        let mut differing = self.other;
        for body in self.seen.iter().filter(|body| Some(body.hash) != reference) {
            add(&mut differing, &body.counts);
        }
        differing
    }

    /// All answers.
    pub fn all(&self) -> Counts {
        let mut all = self.other;
        self.seen.iter().for_each(|body| add(&mut all, &body.counts));
        all
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.first = match (self.first, other.first) {
            (Some(mine), Some(theirs)) => Some(mine.min(theirs)),
            (mine, theirs) => mine.or(theirs),
        };
        for theirs in &other.seen {
            match self.seen.iter_mut().find(|body| body.hash == theirs.hash) {
                Some(mine) => add(&mut mine.counts, &theirs.counts),
                None => self.seen.push(*theirs),
            }
        }
        add(&mut self.other, &other.other);
    }

    /// The reference first, then the most frequent ones; those beyond the bound count as other.
    pub(super) fn condense(&mut self, reference: Option<Reference>) {
        let reference = reference.and_then(|reference| self.reference(reference));
        let is_other = |body: &BodyCount| Some(body.hash) != reference;
        self.seen.sort_by_key(|body| {
            (is_other(body), std::cmp::Reverse(total(&body.counts)), body.hash)
        });
        // A given reference that nobody met is no body of this run.
        self.seen.retain(|body| total(&body.counts) > 0);
        for body in self.seen.split_off(self.seen.len().min(LISTED_MAX)) {
            add(&mut self.other, &body.counts);
        }
    }
}

const _: () = assert!(LISTED_MAX <= BODIES_MAX && PHASES > 0);
