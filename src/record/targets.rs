//! What became of each target's requests, where a run has several targets.
//!
//! Counted beside the totals, by the same events, so that the sums over all targets are the totals:
//! the identities hold them to that.

use crate::hist::Hist;
use crate::limits;
use crate::outcome::{Failure, FailureCounts};

use super::{Phase, Recorder, Stamps};

/// Classes of status codes: 1xx (the final 101) to 5xx, and all others.
pub const STATUS_CLASSES: usize = 6;

/// What happened to one target's requests during one phase.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TargetCounts {
    /// Requests whose first byte was handed to the backend.
    pub started: u64,
    /// Whole, valid final responses.
    pub completed: u64,
    /// Requests that failed, by cause.
    pub failed: FailureCounts,
    /// Completed requests by class of status: 1xx to 5xx, others last.
    pub classes: [u64; STATUS_CLASSES],
}

impl TargetCounts {
    /// Adds another worker's or another phase's.
    pub fn merge(&mut self, other: &Self) {
        self.started += other.started;
        self.completed += other.completed;
        self.failed.merge(&other.failed);
        for (mine, theirs) in self.classes.iter_mut().zip(other.classes) {
            *mine += theirs;
        }
    }
}

/// Everything counted of one target.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetRecord {
    /// By the phase of the event; indexed by `Phase`.
    pub phases: [TargetCounts; 4],
    /// Started, unresolved after the drain.
    pub inflight_end: u64,
    /// Latency in nanoseconds of its completed requests that became due in the window, as
    /// `WorkerRecord::latency`.
    pub latency: Hist,
}

impl Default for TargetRecord {
    fn default() -> Self {
        Self {
            phases: [TargetCounts::default(); 4],
            inflight_end: 0,
            latency: Hist::new(limits::LATENCY_NS_MAX),
        }
    }
}

impl TargetRecord {
    /// The counts of one phase.
    pub fn phase(&self, phase: Phase) -> &TargetCounts {
        &self.phases[phase as usize]
    }

    /// The counts of all phases together.
    pub fn whole(&self) -> TargetCounts {
        let mut sum = TargetCounts::default();
        for phase in &self.phases {
            sum.merge(phase);
        }
        sum
    }

    /// Adds another worker's.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.phases.iter_mut().zip(&other.phases) {
            mine.merge(theirs);
        }
        self.inflight_end += other.inflight_end;
        self.latency.merge(&other.latency);
    }
}

/// Adds another worker's targets, which are the same ones or, in a record of nothing yet, new.
pub(super) fn merge(mine: &mut Vec<TargetRecord>, theirs: &[TargetRecord]) {
    mine.resize_with(mine.len().max(theirs.len()), TargetRecord::default);
    for (mine, theirs) in mine.iter_mut().zip(theirs) {
        mine.merge(theirs);
    }
}

/// Where in `TargetCounts::classes` a status is counted.
pub fn status_class(status: u16) -> usize {
    match status {
        100..600 => usize::from(status / 100) - 1,
        _ => STATUS_CLASSES - 1,
    }
}

impl Recorder {
    /// The same, counting `count` targets one by one as well.
    #[must_use]
    pub fn with_targets(mut self, count: usize) -> Self {
        self.record.targets = vec![TargetRecord::default(); count];
        self
    }

    /// How many targets are counted one by one.
    pub fn targets(&self) -> usize {
        self.record.targets.len()
    }

    /// Targets are counted one by one.
    #[inline]
    pub fn has_targets(&self) -> bool {
        !self.record.targets.is_empty()
    }

    /// `count` due requests that take `bytes` altogether were handed to the backend.
    pub fn started_unlike(&mut self, count: u64, bytes: u64) {
        self.started(count, 0);
        self.record.phases[self.phase as usize].bytes_out += bytes;
    }

    /// One request of `target` was started; booked by `started` as well.
    pub fn target_started(&mut self, target: u32) {
        let phase = self.phase as usize;
        if let Some(record) = self.record.targets.get_mut(target as usize) {
            record.phases[phase].started += 1;
        }
    }

    /// `count` requests of `target` were answered; booked by `answered` as well.
    pub fn target_answered(&mut self, target: u32, status: u16, count: u64, stamps: Stamps) {
        let phase = self.phase as usize;
        let Some(record) = self.record.targets.get_mut(target as usize) else { return };
        record.phases[phase].completed += count;
        record.phases[phase].classes[status_class(status)] += count;
        if stamps.intended_ns >= self.window_start_ns {
            record.latency.record(self.now_ns.saturating_sub(stamps.intended_ns), count);
        }
    }

    /// `count` requests of `target` failed; booked by `failed` as well.
    pub fn target_failed(&mut self, target: u32, cause: Failure, count: u64) {
        let phase = self.phase as usize;
        if let Some(record) = self.record.targets.get_mut(target as usize) {
            record.phases[phase].failed.add(cause, count);
        }
    }

    /// `count` requests of `target` are unresolved at the end; booked by `left_in_flight` as well.
    pub fn target_left_in_flight(&mut self, target: u32, count: u64) {
        if let Some(record) = self.record.targets.get_mut(target as usize) {
            record.inflight_end += count;
        }
    }
}
