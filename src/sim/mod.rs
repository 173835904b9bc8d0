//! The simulated backend: a virtual clock, byte pipes and a model server.
//!
//! Owns a small network in memory that keeps the contract of `io::Backend`. Must not know our
//! codecs or the machines above `io`: it judges them, with its own reader of requests.
//!
//! The idea: time is a number that jumps to the next event. A run over the simulation is a pure
//! function of the model, its seed and what is pushed, so any failure can be replayed. What no
//! correct caller does (two sends in flight, an operation on an empty slot, a wait for nothing that
//! never ends) is a panic or an error here, where a kernel would be silent.

mod clock;
mod live;
mod model;
mod net;
mod peer;
mod server;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::{BinaryHeap, VecDeque};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use crate::io::{
    Backend, BackendError, Completion, Completions, Confirm, IoError, Op, QueueFull, RecvLease,
    SendLease, Setup, Slot, Token,
};
use crate::rng::Rng;

pub use live::{LiveEnd, LiveMaker, LivePeer};
pub use model::{
    Answer, CONNECT_TIMEOUT_NS, Ending, Faults, Leftover, Listener, Model, PeerEnd, PeerSeen,
    STALL_NS_MAX, ServerQueue, Service, Step,
};
pub use server::ServerCounts;

use clock::Clock;
use peer::Steps;
use wire::{Conn, Event, EventKind, PendingRecv, PendingSend, RecvSort, SendFrom};

/// A backend without a kernel.
#[derive(Debug)]
pub struct Sim {
    setup: Setup,
    model: Model,
    rng: Rng,
    clock: Clock,
    event_seq: u64,
    events: BinaryHeap<Event>,
    /// Which connection each slot holds.
    slots: Vec<Option<usize>>,
    conns: Vec<Conn>,
    free_conns: Vec<usize>,
    queued: VecDeque<(Op, Token)>,
    ready: VecDeque<Ready>,
    late: Vec<Option<Ready>>,
    recv: Buffers,
    send: Buffers,
    /// Answers, then what scripts write.
    sources: Vec<Answer>,
    scripts: Steps,
    seen: Vec<PeerSeen>,
    counts: ServerCounts,
    /// Whole answers sent, of each of the model's.
    answers_of: Vec<u64>,
    bytes_received: u64,
    server_busy_until_ns: u64,
    leases_out: u32,
    /// Turns in a row that began with every receive buffer in the caller's hands.
    turns_without_buffer: u32,
    digest: u64,
}

/// A completion waiting for a turn, and the scratch buffer that comes back with it.
#[derive(Debug)]
struct Ready {
    completion: Completion,
    scratch: Option<u16>,
}

/// Numbered buffers of one size.
#[derive(Debug)]
struct Buffers {
    bytes: Vec<u8>,
    one_bytes: usize,
    free: Vec<u16>,
    is_free: Vec<bool>,
}

impl Buffers {
    fn new(count: u16, one_bytes: usize) -> Self {
        Self {
            bytes: vec![0; usize::from(count) * one_bytes],
            one_bytes,
            free: (0..count).rev().collect(),
            is_free: vec![true; usize::from(count)],
        }
    }

    fn take(&mut self) -> Option<u16> {
        let buffer = self.free.pop()?;
        self.is_free[usize::from(buffer)] = false;
        Some(buffer)
    }

    fn give_back(&mut self, buffer: u16) {
        let was_free = std::mem::replace(&mut self.is_free[usize::from(buffer)], true);
        assert!(!was_free, "buffer {buffer} came back twice");
        self.free.push(buffer);
    }

    fn bytes(&self, buffer: u16) -> &[u8] {
        let start = usize::from(buffer) * self.one_bytes;
        &self.bytes[start..start + self.one_bytes]
    }

    fn bytes_mut(&mut self, buffer: u16) -> &mut [u8] {
        let start = usize::from(buffer) * self.one_bytes;
        &mut self.bytes[start..start + self.one_bytes]
    }
}

impl Sim {
    /// A network at virtual time 0 with nothing connected.
    pub fn new(setup: Setup, model: Model) -> Self {
        let mut sources = model.answers.clone();
        let scripts = Steps::new(&model.listeners, &mut sources);
        Self {
            rng: Rng::new(model.seed),
            clock: Clock::default(),
            event_seq: 0,
            events: BinaryHeap::new(),
            slots: vec![None; setup.slots as usize],
            conns: Vec::new(),
            free_conns: Vec::new(),
            queued: VecDeque::new(),
            ready: VecDeque::new(),
            late: Vec::new(),
            recv: Buffers::new(setup.recv_buffers, setup.recv_buffer_bytes),
            send: Buffers::new(setup.send_buffers, setup.send_buffer_bytes),
            sources,
            scripts,
            seen: Vec::new(),
            counts: ServerCounts::default(),
            answers_of: vec![0; model.answers.len()],
            bytes_received: 0,
            server_busy_until_ns: 0,
            leases_out: 0,
            turns_without_buffer: 0,
            digest: 0xcbf2_9ce4_8422_2325,
            setup,
            model,
        }
    }

    /// What the model server counted so far.
    pub fn server(&self) -> &ServerCounts {
        &self.counts
    }

    /// How often each of the model's answers was sent to the last byte.
    pub fn answers_of(&self) -> &[u64] {
        &self.answers_of
    }

    /// Bytes taken off the connections for receives, whether or not anybody looked at them.
    pub fn bytes_received(&self) -> u64 {
        self.bytes_received
    }

    /// The time it is, whatever the clock shows, in nanoseconds.
    pub fn time_ns(&self) -> u64 {
        self.clock.now_ns
    }

    /// What scripted peers saw, in the order of their connections.
    pub fn seen(&self) -> &[PeerSeen] {
        &self.seen
    }

    /// Slots that hold a socket.
    pub fn open_slots(&self) -> u32 {
        self.slots.iter().flatten().count() as u32
    }

    /// Receive leases handed over and not yet given back.
    pub fn leases_out(&self) -> u32 {
        self.leases_out
    }

    /// A hash over all completions handed over; equal for equal seeds and pushes.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    fn at(&mut self, at_ns: u64, conn: usize, kind: EventKind) {
        let serial = self.conns.get(conn).map_or(0, |conn| conn.serial);
        self.events.push(Event { at_ns, seq: self.event_seq, conn, serial, kind });
        self.event_seq += 1;
    }

    /// Schedules `kind` for when a byte that leaves now has arrived.
    fn after_one_way(&mut self, conn: usize, kind: EventKind) {
        self.at(self.clock.now_ns + self.model.one_way_ns, conn, kind);
    }

    fn complete(&mut self, token: Token, result: Result<u32, IoError>) {
        self.finish(Completion::ended(token, result), None);
    }

    fn finish(&mut self, completion: Completion, scratch: Option<u16>) {
        self.ready.push_back(Ready { completion, scratch });
    }

    fn conn_in(&self, slot: Slot, what: &str) -> usize {
        self.slots[slot.0 as usize].unwrap_or_else(|| panic!("{what} on empty slot {}", slot.0))
    }

    fn apply(&mut self, op: Op, token: Token) {
        match op {
            Op::Connect { slot, address_index } => self.connect(slot, address_index, token),
            Op::Send { slot, start, len, confirm } => {
                let (start, len) = (start as usize, len as usize);
                assert!(start + len <= self.setup.arena.len(), "send beyond the arena");
                let from = SendFrom::Arena { start };
                self.start_send(slot, PendingSend { token, from, taken: 0, len, confirm });
            }
            Op::SendLeased { slot, lease, len } => {
                let (from, len) = (SendFrom::Scratch { buffer: lease.buffer() }, len as usize);
                assert!(len <= self.setup.send_buffer_bytes, "send beyond the scratch buffer");
                let confirm = Confirm::Always;
                self.start_send(slot, PendingSend { token, from, taken: 0, len, confirm });
            }
            Op::RecvStream { slot } => self.start_recv(slot, token, RecvSort::Stream),
            Op::RecvOnce { slot, bytes_max } => {
                assert!(bytes_max > 0, "a receive of nothing cannot be told from end of stream");
                self.start_recv(slot, token, RecvSort::Once { bytes_max: u64::from(bytes_max) });
            }
            Op::Discard { slot, bytes_max } => {
                assert!(bytes_max > 0, "a discard of nothing cannot be told from end of stream");
                self.start_recv(slot, token, RecvSort::Discard { bytes_max });
            }
            Op::CancelRecv { slot } => {
                let conn = self.conn_in(slot, "CancelRecv");
                if let Some(PendingRecv { token, .. }) = self.conns[conn].recv.take() {
                    let result = Err(IoError::Cancelled);
                    let completion = Completion::ended(token, result);
                    self.cancel(Ready { completion, scratch: None });
                }
            }
            Op::Close { slot, kind } => self.close(slot, kind),
        }
    }

    fn start_send(&mut self, slot: Slot, send: PendingSend) {
        let conn = self.conn_in(slot, "send");
        assert!(self.conns[conn].connected, "send on slot {} before it is connected", slot.0);
        let before = self.conns[conn].send.replace(send);
        assert!(before.is_none(), "two sends in flight on slot {}", slot.0);
        if self.rng_says(self.model.faults.send_fails_ppm) {
            return self.end_send(conn, Some(IoError::Local(ENOBUFS)));
        }
        self.advance_send(conn);
    }

    fn start_recv(&mut self, slot: Slot, token: Token, sort: RecvSort) {
        let conn = self.conn_in(slot, "receive");
        assert!(self.conns[conn].connected, "receive on slot {} before it is connected", slot.0);
        let before = self.conns[conn].recv.replace(PendingRecv { token, sort });
        assert!(before.is_none(), "two receives in flight on slot {}", slot.0);
        self.advance_recv(conn);
    }

    /// Handles every event that is due.
    fn handle_due(&mut self) {
        while let Some(event) = self.events.peek().copied() {
            if event.at_ns > self.clock.now_ns {
                return;
            }
            self.events.pop();
            if let EventKind::LateCompletion(index) = event.kind {
                self.ready.extend(self.late[index].take());
            } else if self.conns[event.conn].serial == event.serial {
                self.handle(event.conn, event.kind);
            }
        }
    }

    /// Moves what is ready to `done`, as far as it fits.
    fn hand_over(&mut self, done: &mut Completions) {
        let mut fit = done.room();
        if self.ready.len() > 1 && self.rng_says(self.model.faults.overflow_ppm) {
            fit = fit.min(1 + self.rng.below(self.ready.len() as u64 - 1) as usize);
            self.end_streams_behind(fit);
        }
        for _ in 0..fit {
            let Some(Ready { completion, scratch }) = self.ready.pop_front() else { break };
            if let Some(buffer) = scratch {
                self.send.give_back(buffer);
            }
            self.leases_out += u32::from(completion.lease.is_some());
            done.items.push(completion);
        }
        if self.model.faults.reorder_ppm > 0 {
            for right in 1..done.items.len() {
                let same = done.items[right - 1].token.index() == done.items[right].token.index();
                if !same && self.rng.chance_ppm(self.model.faults.reorder_ppm) {
                    done.items.swap(right - 1, right);
                }
            }
        }
        for item in &done.items {
            self.digest = mix(self.digest, done.stamp_ns ^ item.token.bits());
            let result = match item.result {
                Ok(bytes) => u64::from(bytes) << 1 | u64::from(item.more),
                Err(error) => u64::MAX - error_number(error),
            };
            self.digest = mix(self.digest, result);
        }
    }
}

impl Sim {
    /// The completion queue was full after `fit` completions: a stream that has one behind them ends
    /// with its last.
    fn end_streams_behind(&mut self, fit: usize) {
        for Ready { completion, .. } in self.ready.range_mut(fit..).rev() {
            if !completion.more {
                continue;
            }
            let of_stream = |conn: &usize| {
                let recv = self.conns[*conn].recv;
                recv.is_some_and(|recv| recv.token == completion.token)
            };
            if let Some(conn) = self.slots.iter().flatten().copied().find(of_stream) {
                self.conns[conn].recv = None;
                completion.more = false;
            }
        }
    }
}

/// A number for each cause, for the digest alone.
fn error_number(error: IoError) -> u64 {
    match error {
        IoError::Refused => 1,
        IoError::TimedOut => 2,
        IoError::Unreachable => 3,
        IoError::Reset => 4,
        IoError::BrokenPipe => 5,
        IoError::Cancelled => 6,
        IoError::NoBuffers => 7,
        IoError::Local(_) => 8,
        IoError::Other(_) => 9,
        IoError::NoPorts => 10,
        IoError::Busy => 11,
    }
}

fn mix(hash: u64, value: u64) -> u64 {
    (hash ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
}

impl Backend for Sim {
    fn now_ns(&mut self) -> u64 {
        self.clock.reading_ns()
    }

    fn push(&mut self, op: Op, token: Token) -> Result<(), QueueFull> {
        let full = self.queued.len() >= self.model.queue_ops;
        if full || self.rng_says(self.model.faults.queue_full_ppm) {
            return Err(QueueFull(op));
        }
        self.queued.push_back((op, token));
        Ok(())
    }

    fn turn(&mut self, until_ns: u64, done: &mut Completions) -> Result<(), BackendError> {
        recycle_nothing(done);
        if self.clock.now_ns > self.model.end_ns {
            return Err(BackendError { call: "sim: a turn after the end of time", errno: ETIME });
        }
        let all_out = self.leases_out == u32::from(self.setup.recv_buffers);
        self.turns_without_buffer = if all_out { self.turns_without_buffer + 1 } else { 0 };
        let turns = self.turns_without_buffer;
        assert!(turns < TURNS_WITHOUT_BUFFER_MAX, "no buffer came back in {turns} turns");
        // What the caller pushed after the last stamp leaves at that stamp: it costs nothing until
        // here, and the turn's cost is added behind it.
        while let Some((op, token)) = self.queued.pop_front() {
            self.apply(op, token);
        }
        self.clock.now_ns += self.model.turn_cost_ns;
        let stands = self.rng_says(self.model.faults.clock_stands_ppm);
        if self.rng_says(self.model.faults.early_return_ppm) {
            done.stamp_ns = self.clock.read(stands);
            return Ok(());
        }
        self.handle_due();
        while self.ready.is_empty() && self.clock.now_ns < until_ns {
            match self.events.peek() {
                Some(event) if event.at_ns <= until_ns => self.clock.now_ns = event.at_ns,
                None if until_ns == u64::MAX => {
                    let call = "sim: a wait without end, and nothing will ever happen; turn";
                    return Err(BackendError { call, errno: EDEADLK });
                }
                _ => self.clock.now_ns = until_ns,
            }
            self.handle_due();
        }
        if let Some(end_ns) = self.model.still_until_ns(self.clock.now_ns) {
            // The world goes on meanwhile.
            while let Some(event) = self.events.peek().filter(|event| event.at_ns <= end_ns) {
                self.clock.now_ns = event.at_ns;
                self.handle_due();
            }
            self.clock.now_ns = end_ns;
            if self.model.standstill_interrupts {
                done.stamp_ns = self.clock.read(stands);
                return Ok(());
            }
        }
        done.stamp_ns = self.clock.read(stands);
        self.hand_over(done);
        Ok(())
    }

    fn bytes(&self, lease: &RecvLease) -> &[u8] {
        &self.recv.bytes(lease.buffer())[..lease.len()]
    }

    fn bytes_mut(&mut self, lease: &mut RecvLease) -> &mut [u8] {
        &mut self.recv.bytes_mut(lease.buffer())[..lease.len()]
    }

    fn recycle(&mut self, lease: RecvLease) {
        self.recv.give_back(lease.buffer());
        self.leases_out -= 1;
    }

    fn lease_send(&mut self) -> Option<SendLease> {
        self.send.take().map(SendLease::new)
    }

    fn send_bytes_mut(&mut self, lease: &mut SendLease) -> &mut [u8] {
        self.send.bytes_mut(lease.buffer())
    }

    fn return_send(&mut self, lease: SendLease) {
        self.send.give_back(lease.buffer());
    }

    /// Always fails: there are no descriptors here.
    fn adopt(&mut self, _slot: Slot, _fd: OwnedFd) -> Result<(), BackendError> {
        Err(BackendError { call: "adopt", errno: ENOTSUP })
    }

    /// Every slot has a port of its own.
    fn local_address(&self, slot: Slot) -> Option<SocketAddr> {
        self.slots[slot.0 as usize]?;
        Some(SocketAddr::from(([192, 0, 2, 99], 1024 + slot.0 as u16)))
    }

    fn description(&self) -> String {
        format!("sim (seed {})", self.model.seed)
    }
}

/// A caller that keeps every buffer for so many turns has lost them.
const TURNS_WITHOUT_BUFFER_MAX: u32 = 10_000;

/// Numbers of Linux, which the simulation does not ask.
const EDEADLK: i32 = 35;
const ENOTSUP: i32 = 95;
const ETIME: i32 = 62;
const ENOBUFS: i32 = 105;

impl Sim {
    /// Draws only when the dial is on, so that a dial at zero leaves the stream of draws alone.
    fn rng_says(&mut self, ppm: u32) -> bool {
        ppm > 0 && self.rng.chance_ppm(ppm)
    }
}

/// Clears a batch whose leases must have been taken out by the caller.
fn recycle_nothing(done: &mut Completions) {
    for item in &done.items {
        assert!(item.lease.is_none(), "a lease was left in the batch: its buffer would be lost");
    }
    done.items.clear();
}
