//! One connection's life: attempts, requests in flight, receiving, and every way to end.
//!
//! Owns a slot of the backend and the requests outstanding on it. Knows neither which backend it is
//! nor other connections nor pacing: the worker says when it may connect and how many requests it
//! may start, and hands it its completions.
//!
//! ```text
//! Down --connect--> Connecting --ok--> (Prelude --ok-->) Open --announced close--> Parting --> Down
//!   ^                   | failed          | failed         | end of stream, error, all sent    |
//!   +-------------------+-----------------+----------------+-----------------------------------+
//! ```
//!
//! Over TLS a connected socket is Handshaking before it is Open; to others that is still connecting.
//!
//! The idea: whatever must be pushed is a wish that `pump` fulfils when the queue has room, so a full
//! queue delays but never loses. A request's ending is decided here and nowhere else:
//! the oldest outstanding request takes the cause, those behind it are cut off.

mod inflight;
mod mix;
mod prelude;
mod receive;
mod tls;

use crate::io::{
    Backend, CloseKind, Completion, Confirm, IoError, Op, OpKind, QueueFull, SendLease, Slot, Token,
};
use crate::outcome::{ConnectFailure, Failure};
use crate::plan::{Arena, Lane, Prelude, Request, Seat};
use crate::proto::h1::ClientCodec;
use crate::proto::{ProtoError, StreamEnd};
use crate::record::{Recorder, Stamps};
use crate::rng::Rng;

pub use crate::proto::h1::Memo;
pub use mix::Mix;

use inflight::{Inflight, Run};
use prelude::Step;
use receive::{AnswerSink, Recv};
use tls::Tls;

pub use tls::TlsShape;

/// Longest pause between two attempts of one connection, in nanoseconds.
const BACKOFF_NS_MAX: u64 = 1_000_000_000;
/// Pauses from this length on end on a grid of `RETRY_GRID_NS`, so that the attempts of many
/// connections share their wake-ups.
const RETRY_GRID_FROM_NS: u64 = 100_000_000;
const RETRY_GRID_NS: u64 = 20_000_000;
/// First pause after an attempt that failed, in nanoseconds.
const BACKOFF_NS_MIN: u64 = 1_000_000;
/// How often the pause doubles with every attempt that failed. At once a second a dead server is
/// cheap; what it costs is the way there.
const BACKOFF_DOUBLINGS: u32 = 3;
/// How long an announced close may take the peer before we close, in nanoseconds. Letting the peer
/// go first leaves the TIME_WAIT, and with it the port, on its side.
pub const PARTING_NS: u64 = 1_000_000;

/// What all connections of a worker have in common.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Bytes of one request.
    pub request_bytes: u32,
    /// Requests one send can cover.
    pub copies: u32,
    /// Most requests outstanding on one connection.
    pub depth: u32,
    /// Places of a pipeline that are free before a closed loop fills them.
    pub refill_min: u32,
    /// Whether sends are confirmed.
    pub confirm: Confirm,
    /// The requests are HEAD.
    pub head_request: bool,
    /// Some requests are HEAD and others are not.
    pub mixes_head: bool,
    /// Longest wait for an answer, in nanoseconds.
    pub timeout_ns: u64,
    /// Longest connection attempt, in nanoseconds.
    pub connect_timeout_ns: u64,
    /// How many addresses there are to connect to.
    pub addresses: u32,
    /// Whether bodies may be thrown away in the kernel, as they can be over plain TCP.
    pub discards: bool,
    /// What comes first on every connection.
    pub prelude: Option<Prelude>,
    /// Requests that one connection may carry; `u64::MAX` is without bound.
    pub requests_max: u64,
    /// How a connection is closed that has carried them.
    pub close: CloseKind,
    /// What TLS needs; `None` sends everything as it is.
    pub tls: Option<TlsShape>,
}

/// A pipeline this deep is refilled once half of it is free.
const DEEP: u32 = 8;
/// What one small segment is charged to a socket's send buffer, whatever it carries.
const SEGMENT_CHARGE_BYTES: usize = 1300;

impl Shape {
    /// The shape of a plan's connections, over plain TCP and kept for ever. Sends go unconfirmed when
    /// everything that can be outstanding fits any send buffer.
    pub fn new(
        request: &Request,
        arena: &Arena,
        depth: u32,
        timeout_ns: u64,
        connect_timeout_ns: u64,
        addresses: u32,
    ) -> Self {
        // At worst every outstanding request went out in a segment of its own.
        let charge_bytes = (arena.request_bytes as usize + SEGMENT_CHARGE_BYTES) * depth as usize;
        let small = charge_bytes <= crate::limits::UNCONFIRMED_SEND_BYTES_MAX;
        Self {
            request_bytes: arena.request_bytes,
            copies: arena.copies,
            depth,
            // A peer that answers the requests of a deep pipeline one by one would otherwise be sent
            // one by one. Where one send does not fill the pipeline, more follow at once.
            refill_min: if arena.copies < depth || depth < DEEP { 1 } else { depth.div_ceil(2) },
            confirm: if small { Confirm::OnFailure } else { Confirm::Always },
            head_request: request.head_request(),
            mixes_head: false,
            timeout_ns,
            connect_timeout_ns,
            addresses,
            discards: true,
            prelude: None,
            requests_max: u64::MAX,
            close: CloseKind::Reset,
            tls: None,
        }
    }

    /// The same where the requests are those of a lane.
    #[must_use]
    pub fn with_lane(self, lane: &Lane) -> Self {
        let targets = lane.targets();
        // At worst every outstanding request is as large as the largest.
        let charge_bytes = (targets.bytes_max() + SEGMENT_CHARGE_BYTES) * self.depth as usize;
        let small = charge_bytes <= crate::limits::UNCONFIRMED_SEND_BYTES_MAX;
        let unconfirmed = small && lane.has_batches();
        Self {
            confirm: if unconfirmed { Confirm::OnFailure } else { Confirm::Always },
            mixes_head: targets.mixes_head(),
            head_request: targets.list().iter().all(|target| target.request.head_request()),
            ..self
        }
    }

    /// The same over TLS: every send leaves a scratch buffer, so every one is confirmed.
    #[must_use]
    pub fn over_tls(self, tls: TlsShape) -> Self {
        Self { confirm: Confirm::Always, tls: Some(tls), ..self }
    }
}

/// Where the bytes of a batch are, as they are before any encryption.
#[derive(Debug)]
enum Bytes {
    /// This range of the arena.
    Arena { start: u32, len: u32 },
    /// The first of this scratch buffer.
    Scratch { lease: SendLease, len: u32 },
}

/// What a connection works with during one call.
pub struct Context<'a, B> {
    /// The outside world.
    pub backend: &'a mut B,
    /// Where everything is counted; its `now_ns` is the time of the call.
    pub recorder: &'a mut Recorder,
    /// The worker's framing memo.
    pub memo: &'a mut Memo,
    /// What all connections share.
    pub shape: &'a Shape,
    /// Jitter.
    pub rng: &'a mut Rng,
    /// Number of the current turn.
    pub turn: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// No socket. May try again from the time on.
    Down { retry_ns: u64 },
    /// An attempt is under way since the time.
    Connecting { since_ns: u64 },
    /// The same, connected; what comes first is on its way.
    Prelude { since_ns: u64 },
    /// The socket is connected, and TLS is being agreed on; the attempt is under way since the time.
    Handshaking { since_ns: u64 },
    /// Requests may be sent.
    Open,
    /// The peer announced that it closes; waiting for that until the time.
    Parting { until_ns: u64 },
}

/// Where in its life a connection is, for whoever counts connections.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Status {
    /// No socket.
    Down,
    /// An attempt is under way.
    Connecting,
    /// Requests can be sent and answers awaited.
    Open,
    /// The peer announced that it closes.
    Parting,
}

/// Whether everything a connection wished for could be pushed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Pumped {
    /// Yes.
    Done,
    /// The queue is full: pump again after the next turn.
    QueueFull,
}

/// Something to push before anything else.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Wish {
    /// The close of the socket before.
    Close(CloseKind),
    /// Records that TLS has ready.
    Records,
}

/// One connection.
#[derive(Debug)]
pub struct Conn {
    state: State,
    index: u32,
    /// The server that it goes to, among those of the run.
    origin: u32,
    address_index: u32,
    /// Its server's addresses: the first, and how many.
    address_first: u32,
    addresses: u32,
    generation: u32,
    codec: ClientCodec,
    inflight: Inflight,
    recv: Recv,
    /// Bodies have been large lately: heads are received alone, bodies discarded.
    large: bool,
    small_in_a_row: u8,
    /// What could not be pushed yet.
    wish: Option<Wish>,
    /// Its TLS, if its server has any.
    tls: Option<Box<Tls>>,
    /// How far what comes first is.
    prelude: Step,
    /// A confirmed send is under way.
    sending: bool,
    /// Not all bytes of the requests started last are known to have left.
    uploading: bool,
    /// The socket held more than the last answer: nobody has asked for it, or it is the end.
    has_rest: bool,
    /// The peer no longer takes bytes; what it still says is awaited.
    send_broken: bool,
    /// Requests that the current connection may still carry.
    left: u64,
    /// Whole answers on the current connection.
    answers: u64,
    /// How many of them its address has been credited with.
    credited: u64,
    last_answer_ns: u64,
    /// How long the current connection's handshake took: at least one round trip.
    connect_ns: u64,
    failures_in_a_row: u32,
}

impl Conn {
    /// A connection that has not been tried yet. `index` is its slot.
    pub fn new(index: u32, seat: Seat, shape: &Shape) -> Self {
        let codec = if shape.mixes_head {
            ClientCodec::mixed(shape.depth)
        } else {
            ClientCodec::new(shape.depth, shape.head_request)
        };
        Self {
            state: State::Down { retry_ns: 0 },
            index,
            origin: seat.origin,
            address_index: seat.address,
            address_first: seat.address_first,
            addresses: seat.addresses.max(1),
            generation: 0,
            codec,
            inflight: Inflight::new(shape.depth),
            recv: Recv::None,
            large: false,
            small_in_a_row: 0,
            wish: None,
            tls: shape
                .tls
                .as_ref()
                .filter(|tls| tls.client.encrypts(seat.origin))
                .map(|_| Box::default()),
            prelude: Step::Send,
            sending: false,
            uploading: false,
            has_rest: false,
            send_broken: false,
            left: 0,
            answers: 0,
            credited: 0,
            last_answer_ns: 0,
            connect_ns: 0,
            failures_in_a_row: 0,
        }
    }

    /// Where in its life it is.
    #[inline]
    pub fn status(&self) -> Status {
        match self.state {
            State::Down { .. } => Status::Down,
            State::Connecting { .. } | State::Prelude { .. } | State::Handshaking { .. } => {
                Status::Connecting
            }
            State::Open => Status::Open,
            State::Parting { .. } => Status::Parting,
        }
    }

    fn is_in_prelude(&self) -> bool {
        matches!(self.state, State::Prelude { .. })
    }

    fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// The server that it goes to, among those of the run.
    #[inline]
    pub fn origin(&self) -> u32 {
        self.origin
    }

    /// How many addresses it goes through.
    pub fn addresses(&self) -> u32 {
        self.addresses
    }

    /// When a connection that is down may be tried again, in nanoseconds.
    pub fn retry_ns(&self) -> Option<u64> {
        match self.state {
            State::Down { retry_ns } => Some(retry_ns),
            _ => None,
        }
    }

    /// Until when the peer may take to close as it announced, in nanoseconds.
    pub fn parting_until_ns(&self) -> Option<u64> {
        match self.state {
            State::Parting { until_ns } => Some(until_ns),
            _ => None,
        }
    }

    /// How many requests it could start now.
    #[inline]
    pub fn room(&self) -> u32 {
        if !self.is_open() || self.sending || self.send_broken || self.has_rest {
            return 0;
        }
        u64::from(self.codec.capacity()).min(self.left) as u32
    }

    /// How many a closed loop starts now: a pipeline is refilled once half of it is free.
    #[inline]
    pub fn refill(&self, shape: &Shape) -> u32 {
        if self.codec.capacity() < shape.refill_min { 0 } else { self.room() }
    }

    /// Begins an attempt. Only when down.
    pub fn connect<B: Backend>(&mut self, ctx: &mut Context<'_, B>) -> Pumped {
        debug_assert!(matches!(self.state, State::Down { .. }), "only what is down connects");
        if self.pump(ctx) == Pumped::QueueFull {
            return Pumped::QueueFull;
        }
        let op = Op::Connect { slot: Slot(self.index), address_index: self.address_index };
        let token = self.token(OpKind::Connect);
        if ctx.backend.push(op, token).is_err() {
            return Pumped::QueueFull;
        }
        ctx.recorder.attempted(self.address_index);
        self.state = State::Connecting { since_ns: ctx.recorder.now_ns() };
        Pumped::Done
    }

    /// True when a request could be started and none is outstanding.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.inflight.oldest().is_none()
    }

    /// Starts up to `allowed` requests of a closed loop and says how many. They share their stamps
    /// and one send.
    #[inline]
    pub fn start<B: Backend>(&mut self, ctx: &mut Context<'_, B>, allowed: u64) -> u32 {
        let count = self.send(ctx, allowed);
        if count > 0 {
            let stamps = Stamps::closed(ctx.recorder.now_ns());
            self.inflight.push(stamps, ctx.turn, count, 0);
            ctx.recorder.due(u64::from(count));
            ctx.recorder.started(u64::from(count), u64::from(ctx.shape.request_bytes));
        }
        count
    }

    /// Starts up to `allowed` requests that are due and says how many. They share one send;
    /// `next_intended_ns` is asked once for each.
    #[inline]
    pub fn start_due<B: Backend>(
        &mut self,
        ctx: &mut Context<'_, B>,
        allowed: u64,
        mut next_intended_ns: impl FnMut(&mut Recorder) -> u64,
    ) -> u32 {
        let count = self.send(ctx, allowed);
        for _ in 0..count {
            let intended_ns = next_intended_ns(ctx.recorder);
            let stamps = Stamps { intended_ns, sent_ns: ctx.recorder.now_ns() };
            self.inflight.push(stamps, ctx.turn, 1, 0);
        }
        ctx.recorder.started(u64::from(count), u64::from(ctx.shape.request_bytes));
        count
    }

    /// Queues one send that covers up to `allowed` requests.
    #[inline]
    fn send<B: Backend>(&mut self, ctx: &mut Context<'_, B>, allowed: u64) -> u32 {
        let room = self.room().min(ctx.shape.copies);
        let count = u64::from(room).min(allowed) as u32;
        if count == 0 {
            return 0;
        }
        let bytes = Bytes::Arena { start: 0, len: count * ctx.shape.request_bytes };
        if self.hand_over(ctx, bytes).is_err() {
            return 0;
        }
        self.left -= u64::from(count);
        self.codec.submit(count);
        count
    }

    /// Queues the send of a batch.
    #[inline(always)]
    fn hand_over<B: Backend>(
        &mut self,
        ctx: &mut Context<'_, B>,
        bytes: Bytes,
    ) -> Result<(), QueueFull> {
        if self.tls.is_some() {
            return self.hand_over_encrypted(ctx, bytes);
        }
        let slot = Slot(self.index);
        let (op, confirm) = match bytes {
            Bytes::Arena { start, len } => {
                let confirm = ctx.shape.confirm;
                (Op::Send { slot, start, len, confirm }, confirm)
            }
            Bytes::Scratch { lease, len } => (Op::SendLeased { slot, lease, len }, Confirm::Always),
        };
        ctx.backend.push(op, self.token(OpKind::Send))?;
        self.sending = confirm == Confirm::Always;
        self.uploading = self.sending;
        Ok(())
    }

    /// Pushes whatever is wished for: a close, the next receive.
    #[inline]
    pub fn pump<B: Backend>(&mut self, ctx: &mut Context<'_, B>) -> Pumped {
        if let Some(wish) = self.wish
            && self.fulfil(wish, ctx) == Pumped::QueueFull
        {
            return Pumped::QueueFull;
        }
        match self.state {
            State::Open | State::Parting { .. } | State::Handshaking { .. } => self.pump_recv(ctx),
            State::Prelude { .. } => self.pump_prelude(ctx),
            State::Down { .. } | State::Connecting { .. } => Pumped::Done,
        }
    }

    fn fulfil<B: Backend>(&mut self, wish: Wish, ctx: &mut Context<'_, B>) -> Pumped {
        match wish {
            Wish::Close(kind) => {
                // The generation has moved on already; a close carries no token that matters.
                let op = Op::Close { slot: Slot(self.index), kind };
                if ctx.backend.push(op, self.token(OpKind::Recv)).is_err() {
                    return Pumped::QueueFull;
                }
                self.wish = None;
                Pumped::Done
            }
            Wish::Records => self.pump_records(ctx),
        }
    }

    /// True while something is to be pushed that found no room in the queue, or to be settled at the end
    /// of the turn.
    #[inline]
    pub fn has_wishes(&self) -> bool {
        let may_wish = matches!(self.recv, Recv::None | Recv::StreamUnwanted);
        let is_wishing = || match self.state {
            State::Open | State::Parting { .. } | State::Handshaking { .. } => true,
            State::Prelude { .. } => self.prelude.is_wish(),
            State::Down { .. } | State::Connecting { .. } => false,
        };
        self.wish.is_some() || (may_wish && is_wishing()) || self.is_to_settle()
    }

    /// Handles a completion of this connection. Those of earlier generations are let go.
    #[inline]
    pub fn complete<B: Backend>(&mut self, completion: Completion, ctx: &mut Context<'_, B>) {
        if completion.token.generation() != self.generation % Token::GENERATIONS {
            if let Some(lease) = completion.lease {
                ctx.backend.recycle(lease);
            }
            return;
        }
        match completion.token.kind() {
            // The receive of a prelude is a single one.
            OpKind::Recv if !completion.more && self.is_in_prelude() => {
                self.prelude_completed(completion, ctx);
            }
            OpKind::Send if self.is_in_prelude() => self.prelude_completed(completion, ctx),
            OpKind::Recv => self.received(completion, ctx),
            OpKind::Discard => self.discarded(&completion, ctx),
            OpKind::Send => self.sent(completion.result, ctx),
            OpKind::Connect => self.connected(completion.result, ctx),
        }
    }

    /// When what it waits for will have taken too long, in nanoseconds; `u64::MAX` when it waits for
    /// nothing. It moves on with every answer, and never back but to a parting.
    #[inline]
    pub fn expiry_ns(&self, shape: &Shape) -> u64 {
        match self.state {
            State::Open => {
                let oldest = self.inflight.oldest().map(|run| run.stamps.sent_ns);
                // What is said to be there after an answer has to come as well.
                let since_ns = oldest.or_else(|| self.has_rest.then_some(self.last_answer_ns));
                since_ns.map_or(u64::MAX, |since_ns| since_ns + shape.timeout_ns)
            }
            State::Connecting { since_ns }
            | State::Prelude { since_ns }
            | State::Handshaking { since_ns } => since_ns + shape.connect_timeout_ns,
            State::Parting { until_ns } => until_ns,
            State::Down { .. } => u64::MAX,
        }
    }

    /// Ends what has waited too long: the oldest request, an attempt, an announced close.
    #[inline]
    pub fn check_time<B: Backend>(&mut self, ctx: &mut Context<'_, B>) {
        if ctx.recorder.now_ns() < self.expiry_ns(ctx.shape) {
            return;
        }
        match self.state {
            State::Open => {
                self.fail(Failure::Timeout, ctx);
                self.end(Ending::Errored, CloseKind::Reset, ctx);
            }
            State::Handshaking { .. } => self.handshake_timed_out(ctx),
            State::Connecting { .. } | State::Prelude { .. } => {
                self.attempt_failed(ConnectFailure::Timeout, ctx);
            }
            State::Parting { .. } => self.end(Ending::ClosedByUs, CloseKind::Reset, ctx),
            State::Down { .. } => {}
        }
    }

    /// The run is over: what is unresolved is counted as such, and the socket closed.
    pub fn finish<B: Backend>(&mut self, ctx: &mut Context<'_, B>) {
        self.codec.abandon(&mut AnswerSink::new(&mut self.inflight, ctx.recorder));
        while let Some(run) = self.inflight.take(u32::MAX) {
            ctx.recorder.left_in_flight(u64::from(run.count), run.stamps);
            ctx.recorder.target_left_in_flight(run.target, u64::from(run.count));
        }
        match self.state {
            State::Open | State::Parting { .. } => {
                self.credit(ctx.recorder);
                ctx.recorder.connections_mut().open_end += 1;
            }
            State::Connecting { .. } | State::Prelude { .. } | State::Handshaking { .. } => {
                ctx.recorder.connections_mut().connecting_end += 1;
            }
            State::Down { .. } => return,
        }
        self.leave(CloseKind::Orderly, u64::MAX, ctx);
    }

    /// The block is over and another may follow: a connection between two requests stays open for
    /// it. Any other ends as at the end of the run, so that what it still owed comes up nowhere, and
    /// may be tried again at once.
    pub fn rest<B: Backend>(&mut self, ctx: &mut Context<'_, B>) {
        let is_down = matches!(self.state, State::Down { .. });
        if self.room() > 0 && self.is_idle() {
            self.credit(ctx.recorder);
            ctx.recorder.connections_mut().open_end += 1;
        } else if !is_down {
            self.finish(ctx);
            self.state = State::Down { retry_ns: ctx.recorder.now_ns() };
        }
    }

    /// Tells the address of the current connection what it has answered.
    fn credit(&mut self, recorder: &mut Recorder) {
        recorder.answered_by(self.address_index, self.answers - self.credited);
        self.credited = self.answers;
    }

    fn token(&self, kind: OpKind) -> Token {
        Token::new(kind, self.generation, self.index)
    }

    fn connected<B: Backend>(&mut self, result: Result<u32, IoError>, ctx: &mut Context<'_, B>) {
        let State::Connecting { since_ns } = self.state else { return };
        match result {
            Ok(_) if ctx.shape.prelude.as_ref().is_some_and(|p| p.is_for(self.address_index)) => {
                // Nothing of the connection before is in flight in this one.
                (self.recv, self.prelude) = (Recv::None, Step::Send);
                self.state = State::Prelude { since_ns };
                self.pump(ctx);
            }
            Ok(_) => self.ready(since_ns, ctx),
            Err(error) => {
                if let IoError::Local(errno) | IoError::Other(errno) = error {
                    ctx.recorder.connections_mut().local_errno = errno;
                }
                self.attempt_failed(connect_failure(error), ctx);
            }
        }
    }

    /// Whatever the connection carries from here on goes to the target and nobody before it.
    fn ready<B: Backend>(&mut self, since_ns: u64, ctx: &mut Context<'_, B>) {
        self.codec.reset();
        self.recv = Recv::None;
        self.sending = false;
        self.uploading = false;
        self.has_rest = false;
        self.send_broken = false;
        self.left = ctx.shape.requests_max;
        self.answers = 0;
        self.credited = 0;
        self.last_answer_ns = 0;
        self.connect_ns = ctx.recorder.now_ns().saturating_sub(since_ns);
        if self.tls.is_some() {
            self.begin_handshake(since_ns, ctx);
        } else {
            self.opened(since_ns, ctx);
            self.pump(ctx);
        }
    }

    /// Requests may be sent. Without its TLS, the attempt began at `since_ns`.
    fn opened<B>(&mut self, since_ns: u64, ctx: &mut Context<'_, B>) {
        ctx.recorder.established(since_ns, self.address_index);
        ctx.recorder.server_established(self.origin);
        if ctx.shape.tls.is_some() && self.tls.is_none() {
            ctx.recorder.established_plain();
        }
        self.state = State::Open;
    }

    fn attempt_failed<B: Backend>(&mut self, cause: ConnectFailure, ctx: &mut Context<'_, B>) {
        ctx.recorder.connect_failed(cause, self.address_index);
        ctx.recorder.server_failed(self.origin, cause);
        // Another address may be better.
        self.go_to_next_address();
        let retry_ns = self.backoff_ns(ctx);
        self.leave(CloseKind::Orderly, retry_ns, ctx);
    }

    /// With one address it stays the same.
    fn go_to_next_address(&mut self) {
        let next = (self.address_index - self.address_first + 1) % self.addresses;
        self.address_index = self.address_first + next;
    }

    fn sent<B: Backend>(&mut self, result: Result<u32, IoError>, ctx: &mut Context<'_, B>) {
        self.sending = false;
        match result {
            Ok(_) | Err(IoError::Cancelled) if self.tls.is_none() => self.uploading = false,
            Ok(_) | Err(IoError::Cancelled) => self.records_left(ctx),
            // The peer is gone, but what it said before may still be on its way to us: the receive
            // ends by itself, and it knows better what became of the requests.
            Err(IoError::Reset | IoError::BrokenPipe) => self.send_broken = true,
            Err(_) if matches!(self.state, State::Handshaking { .. }) => {
                self.attempt_failed(ConnectFailure::Local, ctx);
            }
            Err(_) => {
                self.fail(Failure::Send, ctx);
                self.end(Ending::Errored, CloseKind::Reset, ctx);
            }
        }
    }

    /// The receive ended in an error.
    fn broke<B: Backend>(&mut self, error: IoError, ctx: &mut Context<'_, B>) {
        if matches!(self.state, State::Parting { .. }) {
            self.end(Ending::ClosedByPeer, CloseKind::Orderly, ctx);
            return;
        }
        let stale = self.inflight.oldest().is_some_and(|oldest| {
            oldest.stamps.sent_ns >= self.last_answer_ns && self.is_stale(oldest, ctx)
        });
        let cause = match error {
            IoError::TimedOut => Failure::Timeout,
            _ if stale => Failure::Stale,
            _ => Failure::Reset,
        };
        self.fail(cause, ctx);
        self.end(Ending::Errored, CloseKind::Reset, ctx);
    }

    /// Whether the oldest request met a connection that was ending already: it was queued in one
    /// turn and left in the next, which reaped the end, sooner than the peer could have answered it.
    fn is_stale<B>(&self, oldest: &Run, ctx: &Context<'_, B>) -> bool {
        let waited_ns = ctx.recorder.now_ns().saturating_sub(oldest.stamps.sent_ns);
        self.answers > 0 && ctx.turn <= oldest.turn + 1 && waited_ns < self.connect_ns
    }

    /// The peer closed in order.
    fn ended_by_peer<B: Backend>(&mut self, ctx: &mut Context<'_, B>) {
        self.nothing_more_comes(ctx);
        self.end(Ending::ClosedByPeer, CloseKind::Orderly, ctx);
    }

    /// Ends what is in flight when the stream of answers ended in order.
    fn nothing_more_comes<B: Backend>(&mut self, ctx: &mut Context<'_, B>) {
        let (end, answers) = self.end_stream(ctx.recorder);
        self.note_answers(answers, ctx.recorder.now_ns());
        if let Some(oldest) = self.inflight.oldest() {
            let cause = match end {
                StreamEnd::InBody => Failure::EofBody,
                StreamEnd::Clean => Failure::CutOff,
                StreamEnd::BeforeHead if oldest.stamps.sent_ns < self.last_answer_ns => {
                    Failure::CutOff
                }
                StreamEnd::BeforeHead if self.is_stale(oldest, ctx) => Failure::Stale,
                StreamEnd::BeforeHead if self.send_broken => Failure::Send,
                StreamEnd::BeforeHead => Failure::Eof,
            };
            self.fail(cause, ctx);
        }
    }

    /// The last answer this connection can carry was delivered.
    fn part<B: Backend>(&mut self, ctx: &mut Context<'_, B>) {
        self.fail(Failure::CutOff, ctx);
        if self.is_open() {
            self.state = State::Parting { until_ns: ctx.recorder.now_ns() + PARTING_NS };
        }
    }

    fn answer_refused<B: Backend>(&mut self, error: ProtoError, ctx: &mut Context<'_, B>) {
        let cause = match error {
            ProtoError::Parse => Failure::Parse,
            ProtoError::Limit => Failure::Limit,
        };
        self.fail(cause, ctx);
        self.end(Ending::Errored, CloseKind::Reset, ctx);
    }

    /// Ends every outstanding request: the oldest by `cause`, the others as cut off.
    fn fail<B: Backend>(&mut self, cause: Failure, ctx: &mut Context<'_, B>) {
        let mut cause = Some(cause);
        while let Some(run) = self.inflight.take(if cause.is_some() { 1 } else { u32::MAX }) {
            let cause = cause.take().unwrap_or(Failure::CutOff);
            ctx.recorder.failed(cause, u64::from(run.count), run.stamps);
            ctx.recorder.target_failed(run.target, cause, u64::from(run.count));
        }
    }

    /// Ends the connection and says when it may be tried again: at once if it delivered an answer.
    fn end<B: Backend>(&mut self, ending: Ending, kind: CloseKind, ctx: &mut Context<'_, B>) {
        let connections = ctx.recorder.connections_mut();
        match ending {
            Ending::ClosedByUs => connections.closed_by_us += 1,
            Ending::ClosedByPeer => connections.closed_by_peer += 1,
            Ending::Errored => connections.errored += 1,
        }
        self.codec.abandon(&mut AnswerSink::new(&mut self.inflight, ctx.recorder));
        self.credit(ctx.recorder);
        if self.left == 0 {
            // Connections that come and go see every address, however few they are.
            self.go_to_next_address();
        }
        let retry_ns = if self.answers > 0 {
            self.failures_in_a_row = 0;
            ctx.recorder.now_ns()
        } else {
            self.backoff_ns(ctx)
        };
        self.leave(kind, retry_ns, ctx);
    }

    fn leave<B: Backend>(&mut self, kind: CloseKind, retry_ns: u64, ctx: &mut Context<'_, B>) {
        if self.tls.is_some() {
            self.leave_tls(kind, ctx);
        }
        self.generation = self.generation.wrapping_add(1);
        self.state = State::Down { retry_ns };
        self.recv = Recv::None;
        self.wish = Some(Wish::Close(kind));
        self.pump(ctx);
    }

    fn backoff_ns<B: Backend>(&mut self, ctx: &mut Context<'_, B>) -> u64 {
        let doublings = BACKOFF_DOUBLINGS * self.failures_in_a_row.min(10);
        let pause_ns = (BACKOFF_NS_MIN << doublings).min(BACKOFF_NS_MAX);
        self.failures_in_a_row += 1;
        let jittered_ns = pause_ns - ctx.rng.below(pause_ns / 4 + 1);
        let retry_ns = ctx.recorder.now_ns() + jittered_ns;
        if pause_ns < RETRY_GRID_FROM_NS {
            return retry_ns;
        }
        retry_ns.next_multiple_of(RETRY_GRID_NS)
    }
}

/// How an established connection came to its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ending {
    ClosedByUs,
    ClosedByPeer,
    Errored,
}

fn connect_failure(error: IoError) -> ConnectFailure {
    match error {
        IoError::Refused => ConnectFailure::Refused,
        IoError::TimedOut => ConnectFailure::Timeout,
        IoError::Unreachable => ConnectFailure::Unreachable,
        IoError::Reset | IoError::BrokenPipe => ConnectFailure::Reset,
        IoError::NoPorts => ConnectFailure::Ports,
        IoError::Busy => ConnectFailure::Busy,
        _ => ConnectFailure::Local,
    }
}

#[cfg(test)]
mod tests;
