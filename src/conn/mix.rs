//! Sending requests that are not always the same: the worker's place in its lane, and the batch that
//! leaves from there.
//!
//! The idea: the place belongs to the worker, not to a connection, so the order of requests is kept
//! whatever the connections do: whichever has room takes the next ones.

use std::sync::Arc;

use crate::io::{Backend, Op, QueueFull, SendLease};
use crate::plan::Lane;
use crate::record::{Recorder, Stamps};
use crate::rng::Rng;

use super::{Bytes, Conn, Context};

/// One worker's way through its lane: what leaves next.
#[derive(Debug)]
pub struct Mix {
    lane: Arc<Lane>,
    place: u32,
    /// The next request's number over all workers. Never starts anew.
    number: u64,
    rng: Rng,
    /// Scratch that was written and found no room in the queue.
    spare: Option<SendLease>,
    /// The last attempt found all scratch in flight.
    lacks_scratch: bool,
}

impl Mix {
    /// At the lane's start; `seed` is for what is filled in at random.
    pub fn new(lane: Arc<Lane>, seed: u64) -> Self {
        let number = lane.number_first;
        Self { lane, place: 0, number, rng: Rng::new(seed), spare: None, lacks_scratch: false }
    }

    /// Where it leads.
    pub fn lane(&self) -> &Lane {
        &self.lane
    }

    /// Goes to where the worker's request `index` stands, counted from its first.
    pub fn seek(&mut self, index: u64) {
        self.place = (index % u64::from(self.lane.cycle())) as u32;
    }

    /// The last attempt to send found all scratch in flight; it comes back with their completions.
    pub fn lacks_scratch(&self) -> bool {
        self.lacks_scratch
    }

    /// The server that the next request is for.
    #[inline]
    pub fn origin(&self) -> u32 {
        if self.lane.has_origins() { self.lane.target(self.place).origin } else { 0 }
    }

    /// How many of the next requests, at most `count`, are for one server.
    fn alike(&self, count: u32) -> u32 {
        if !self.lane.has_origins() {
            return count;
        }
        let origin = self.origin();
        let is_alike = |n: &u32| self.lane.target(self.place_after(*n)).origin == origin;
        (0..count).take_while(is_alike).count() as u32
    }

    fn place_after(&self, count: u32) -> u32 {
        (self.place + count) % self.lane.cycle()
    }

    /// Writes the next `count` requests; gives how many bytes that were.
    fn write(&mut self, out: &mut [u8], count: u32) -> u32 {
        let mut at = 0;
        for n in 0..count {
            let place = self.place_after(n);
            let number = self.number + u64::from(n) * self.lane.number_step;
            at += self.lane.write(&mut out[at..], place, number, &mut self.rng);
        }
        at as u32
    }

    /// The next request has left; gives its target.
    fn advance(&mut self) -> u32 {
        let target = self.lane.target_index(self.place);
        self.place = self.place_after(1);
        self.number += self.lane.number_step;
        target
    }
}

impl Conn {
    /// Starts up to `allowed` of the next requests of a closed loop and says how many. They share
    /// their stamps and one send, and are all for this connection's server.
    pub fn start_mixed<B: Backend>(
        &mut self,
        ctx: &mut Context<'_, B>,
        mix: &mut Mix,
        allowed: u64,
    ) -> u32 {
        let (count, bytes) = self.send_mixed(ctx, mix, allowed);
        if count > 0 {
            ctx.recorder.due(u64::from(count));
            ctx.recorder.started_unlike(u64::from(count), u64::from(bytes));
        }
        for _ in 0..count {
            let stamps = Stamps::closed(ctx.recorder.now_ns());
            self.started_one(ctx, mix, stamps);
        }
        count
    }

    /// The same for requests that are due; `next_intended_ns` is asked once for each.
    pub fn start_due_mixed<B: Backend>(
        &mut self,
        ctx: &mut Context<'_, B>,
        mix: &mut Mix,
        allowed: u64,
        mut next_intended_ns: impl FnMut(&mut Recorder) -> u64,
    ) -> u32 {
        let (count, bytes) = self.send_mixed(ctx, mix, allowed);
        for _ in 0..count {
            let intended_ns = next_intended_ns(ctx.recorder);
            let stamps = Stamps { intended_ns, sent_ns: ctx.recorder.now_ns() };
            self.started_one(ctx, mix, stamps);
        }
        if count > 0 {
            ctx.recorder.started_unlike(u64::from(count), u64::from(bytes));
        }
        count
    }

    fn started_one<B: Backend>(&mut self, ctx: &mut Context<'_, B>, mix: &mut Mix, stamps: Stamps) {
        let is_head = mix.lane.target(mix.place).request.head_request();
        let target = mix.advance();
        self.codec.submitted(is_head);
        self.inflight.push(stamps, ctx.turn, 1, target);
        ctx.recorder.target_started(target);
    }

    /// Queues one send of the next requests: how many, and their bytes.
    fn send_mixed<B: Backend>(
        &mut self,
        ctx: &mut Context<'_, B>,
        mix: &mut Mix,
        allowed: u64,
    ) -> (u32, u32) {
        let room = self.room().min(mix.lane.batch_max);
        let count = mix.alike(u64::from(room).min(allowed) as u32);
        if count == 0 {
            return (0, 0);
        }
        debug_assert_eq!(mix.origin(), self.origin, "the request is for another server");
        let (bytes, len) = if mix.lane.is_written() {
            let spare = mix.spare.take().or_else(|| ctx.backend.lease_send());
            mix.lacks_scratch = spare.is_none();
            let Some(mut lease) = spare else { return (0, 0) };
            let len = mix.write(ctx.backend.send_bytes_mut(&mut lease), count);
            (Bytes::Scratch { lease, len }, len)
        } else {
            let (start, len) = mix.lane.range(mix.place, count);
            (Bytes::Arena { start, len }, len)
        };
        if let Err(QueueFull(op)) = self.hand_over(ctx, bytes) {
            if let Op::SendLeased { lease, .. } = op {
                mix.spare = Some(lease);
            }
            return (0, 0);
        }
        self.left -= u64::from(count);
        self.codec.submit(count);
        (count, len)
    }
}
