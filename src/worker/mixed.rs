//! Requests of several kinds in a closed loop: which connection takes the next one.
//!
//! The idea: the order of requests is fixed, so it is not a connection that asks for a request, but
//! the next request that looks for a connection to its server. While none of them has room, it
//! waits, and with it all that come after it: a slow server holds the mix, whose shares are exact.

use std::sync::Arc;

use super::Worker;
use super::places::Places;
use crate::conn::Mix;
use crate::io::Backend;
use crate::plan::Lane;
use crate::record::Phase;

/// A worker's mix, and which connections could take a request.
#[derive(Debug)]
pub(super) struct Mixed {
    pub(super) mix: Mix,
    /// By server.
    free: Vec<Places>,
}

impl Mixed {
    pub(super) fn new(lane: Arc<Lane>, connections: u32, seed: u64) -> Self {
        let origins = lane.targets().origins().len();
        let free = (0..origins).map(|_| Places::new(connections)).collect();
        // Not the stream that the connections' jitter is drawn from.
        Self { mix: Mix::new(lane, !seed), free }
    }
}

impl<B: Backend> Worker<B> {
    /// A connection may have room: the next requests leave, as far as theirs have.
    pub(super) fn start_mixed(&mut self, index: u32) {
        let Some(mut mixed) = self.mixed.take() else { return };
        let conn = &self.conns[index as usize];
        mixed.free[conn.origin() as usize].set(index, conn.room() > 0);
        self.start_next(&mut mixed);
        self.mixed = Some(mixed);
    }

    fn start_next(&mut self, mixed: &mut Mixed) {
        loop {
            let phase = self.recorder.phase();
            let allowed = match phase {
                Phase::Warmup => u64::MAX,
                Phase::Window => self.requests_left,
                Phase::Opening | Phase::Drain => return,
            };
            let origin = mixed.mix.origin() as usize;
            if allowed == 0 {
                return;
            }
            let Some(index) = mixed.free[origin].next() else { return };
            let Some((conn, mut ctx)) = self.split(index) else { return };
            let started = conn.start_mixed(&mut ctx, &mut mixed.mix, allowed);
            mixed.free[origin].set(index, conn.room() > 0);
            if started == 0 {
                // The queue empties with the next turn, which must not wait for that. Scratch comes
                // back with completions, which lead here.
                if !mixed.mix.lacks_scratch() {
                    self.make_ready(index);
                }
                return;
            }
            if phase == Phase::Window && self.requests_left != u64::MAX {
                self.requests_left -= u64::from(started);
            }
        }
    }
}
