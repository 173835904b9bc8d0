//! How a worker's counts stand while it works, for whoever watches.
//!
//! The idea: the worker writes a few words now and then, which anybody may read at any time. Nobody
//! waits, and nothing is exact: words read together may have been written one after the other.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the run began, and what is open, at some moment of late.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Standing {
    /// Requests that became due.
    pub due: u64,
    /// Requests completed.
    pub completed: u64,
    /// Requests failed.
    pub failed: u64,
    /// Requests in flight.
    pub inflight: u64,
    /// Requests due and not started.
    pub backlog: u64,
}

impl Standing {
    /// Adds another worker's.
    pub fn merge(&mut self, other: &Self) {
        self.due += other.due;
        self.completed += other.completed;
        self.failed += other.failed;
        self.inflight += other.inflight;
        self.backlog += other.backlog;
    }
}

/// Where one worker writes its standing.
#[derive(Debug, Default)]
pub(super) struct Slot {
    due: AtomicU64,
    completed: AtomicU64,
    failed: AtomicU64,
    inflight: AtomicU64,
    backlog: AtomicU64,
}

impl Slot {
    pub(super) fn write(&self, standing: Standing) {
        let Standing { due, completed, failed, inflight, backlog } = standing;
        self.due.store(due, Ordering::Relaxed);
        self.completed.store(completed, Ordering::Relaxed);
        self.failed.store(failed, Ordering::Relaxed);
        self.inflight.store(inflight, Ordering::Relaxed);
        self.backlog.store(backlog, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Standing {
        Standing {
            due: self.due.load(Ordering::Relaxed),
            completed: self.completed.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            inflight: self.inflight.load(Ordering::Relaxed),
            backlog: self.backlog.load(Ordering::Relaxed),
        }
    }
}
