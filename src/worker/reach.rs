//! When to stop waiting for a server that cannot be reached.
//!
//! A run that only a number of requests ends would wait for ever where the next request is for a
//! server to which no connection can be had. The idea: all workers tell each other which servers they
//! reach, and each of them gives up when the server of its next request has not been reached by any
//! of them for too long. So a server that serves one connection at a time is not given up while
//! another worker is being served.

use super::{Control, Phase, Worker};
use crate::io::Backend;

/// How often the servers are looked at, in nanoseconds.
const LOOK_NS: u64 = 100_000_000;

/// For how long a server without a connection is waited for. All in nanoseconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Patience {
    /// One that was never reached, from the start of the load on.
    pub never_reached_ns: u64,
    /// One that was.
    pub lost_ns: u64,
}

/// A worker's connections by server, and until when it waits.
#[derive(Debug)]
pub(super) struct Reach {
    patience: Option<Patience>,
    open: Vec<u32>,
    /// Connections that had been established when they were looked at last.
    established: Vec<u64>,
    next_look_ns: u64,
    load_start_ns: u64,
    /// The server that was waited for in vain.
    pub(super) given_up: Option<u32>,
}

impl Reach {
    pub(super) fn new(servers: u32) -> Self {
        Self {
            patience: None,
            open: vec![0; servers as usize],
            established: vec![0; servers as usize],
            next_look_ns: u64::MAX,
            load_start_ns: 0,
            given_up: None,
        }
    }

    /// The load begins.
    pub(super) fn begin(&mut self, patience: Option<Patience>, start_ns: u64) {
        self.patience = patience;
        self.established.fill(0);
        self.next_look_ns = if patience.is_some() { start_ns } else { u64::MAX };
        self.load_start_ns = start_ns;
        self.given_up = None;
    }

    /// Connections to each server that are open.
    pub(super) fn open(&self) -> &[u32] {
        &self.open
    }

    pub(super) fn opened(&mut self, server: u32) {
        self.open[server as usize] += 1;
    }

    pub(super) fn ended(&mut self, server: u32) {
        self.open[server as usize] -= 1;
    }
}

impl<B: Backend> Worker<B> {
    /// The next request has waited too long for a connection to its server, and will wait no more.
    #[inline]
    pub(super) fn gives_up(&mut self, control: &Control) -> bool {
        self.recorder.now_ns() >= self.reach.next_look_ns && self.looks_in_vain(control)
    }

    #[cold]
    fn looks_in_vain(&mut self, control: &Control) -> bool {
        let now_ns = self.recorder.now_ns();
        self.reach.next_look_ns = now_ns + LOOK_NS;
        let servers = &self.recorder.record().servers;
        for (at, record) in servers.iter().enumerate() {
            let is_new = record.established > self.reach.established[at];
            self.reach.established[at] = record.established;
            if self.reach.open[at] > 0 || is_new {
                control.reached(at as u32, now_ns);
            }
        }
        let Some(patience) = self.reach.patience else { return false };
        if self.recorder.phase() != Phase::Window || self.has_started_all() {
            return false;
        }
        let server = self.next_server();
        let (since_ns, longest_ns) = match control.reached_ns(server) {
            None => (self.reach.load_start_ns, patience.never_reached_ns),
            Some(reached_ns) => (reached_ns, patience.lost_ns),
        };
        let is_in_vain = now_ns.saturating_sub(since_ns) >= longest_ns;
        if is_in_vain {
            self.reach.given_up = Some(server);
        }
        is_in_vain
    }

    /// Which server the next request is for.
    fn next_server(&self) -> u32 {
        match (&self.release, &self.mixed) {
            (Some(release), _) => release.next_origin(),
            (None, Some(mixed)) => mixed.mix.origin(),
            (None, None) => 0,
        }
    }
}
