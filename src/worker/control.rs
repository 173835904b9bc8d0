//! What a worker and whoever started it share while it runs: a few atomic words.
//!
//! Nobody waits on anything here. Workers report themselves open, and which servers they reach; the
//! starter sets the common start; anyone may ask for a stop. Each word is read at most once a turn.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

const UNSET: u64 = u64::MAX;

/// How urgently a run should end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stop {
    /// Not at all.
    No,
    /// Start nothing more, wait for outstanding answers.
    Drain,
    /// Now.
    AtOnce,
}

/// Shared by all workers of a run.
#[derive(Debug)]
pub struct Control {
    start_ns: AtomicU64,
    window_ns: AtomicU64,
    stop: AtomicU8,
    workers_ready: AtomicU32,
    connections_open: AtomicU32,
    /// By server: when any worker last had a connection to it; 0 is never.
    reached_ns: Box<[AtomicU64]>,
}

impl Default for Control {
    fn default() -> Self {
        Self::over(1)
    }
}

impl Control {
    /// For a run with so many servers.
    pub fn over(servers: u32) -> Self {
        Self {
            start_ns: AtomicU64::new(UNSET),
            window_ns: AtomicU64::new(UNSET),
            stop: AtomicU8::new(0),
            workers_ready: AtomicU32::new(0),
            connections_open: AtomicU32::new(0),
            reached_ns: (0..servers).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// A worker's opening ended with `connections` open.
    pub fn opened(&self, connections: u32) {
        self.opened_late(connections);
        self.workers_ready.fetch_add(1, Ordering::Release);
    }

    /// So many more are open in a worker whose opening had ended.
    pub fn opened_late(&self, connections: u32) {
        self.connections_open.fetch_add(connections, Ordering::Relaxed);
    }

    /// A worker has a connection to `server` at this time, or had one just before.
    pub fn reached(&self, server: u32, now_ns: u64) {
        if let Some(reached_ns) = self.reached_ns.get(server as usize) {
            reached_ns.fetch_max(now_ns.max(1), Ordering::Relaxed);
        }
    }

    /// When any worker last had a connection to `server`; `None` is never.
    pub fn reached_ns(&self, server: u32) -> Option<u64> {
        let reached_ns = self.reached_ns.get(server as usize)?.load(Ordering::Relaxed);
        (reached_ns > 0).then_some(reached_ns)
    }

    /// Workers whose opening ended, and connections that were open in them then or came to be later,
    /// while they waited for the others.
    pub fn ready(&self) -> (u32, u32) {
        let workers = self.workers_ready.load(Ordering::Acquire);
        (workers, self.connections_open.load(Ordering::Relaxed))
    }

    /// Sets the common start of the load, in the backends' time.
    pub fn start_at(&self, start_ns: u64) {
        self.start_ns.store(start_ns, Ordering::Release);
    }

    /// The common start, once it is set.
    pub fn start_ns(&self) -> Option<u64> {
        let start_ns = self.start_ns.load(Ordering::Acquire);
        (start_ns != UNSET).then_some(start_ns)
    }

    /// Ends the warm-up early: the window starts then, in the backends' time. Comes to nothing where
    /// it has started already.
    pub fn begin_window_at(&self, window_ns: u64) {
        self.window_ns.store(window_ns, Ordering::Release);
    }

    /// When the window starts, once somebody has ended the warm-up.
    pub fn window_ns(&self) -> Option<u64> {
        let window_ns = self.window_ns.load(Ordering::Acquire);
        (window_ns != UNSET).then_some(window_ns)
    }

    /// Asks for a stop; a stronger wish replaces a weaker one.
    pub fn request_stop(&self, stop: Stop) {
        self.stop.fetch_max(stop as u8, Ordering::Relaxed);
    }

    /// What was asked for.
    #[inline]
    pub fn stop(&self) -> Stop {
        match self.stop.load(Ordering::Relaxed) {
            0 => Stop::No,
            1 => Stop::Drain,
            _ => Stop::AtOnce,
        }
    }
}
