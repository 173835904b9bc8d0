//! A connection over TLS: the handshake, records out and records in.
//!
//! Everything that leaves goes through one scratch buffer at a time, first what TLS itself has to
//! say, then requests. Because a record cannot be encrypted twice, a buffer that found no room in
//! the queue is kept until it does. Requests longer than a buffer follow piece by piece.
//!
//! Bodies are never discarded unseen: every record must be decrypted.

use std::ops::Range;
use std::sync::Arc;

use crate::io::{
    Backend, CloseKind, Completion, Confirm, IoError, Op, OpKind, QueueFull, RecvLease, SendLease,
    Slot,
};
use crate::outcome::{ConnectFailure, Failure};
use crate::proto::{Flow, ProtoError};
use crate::record::TlsFacts;
use crate::tls::{self, Client, Fault, Session};

use super::receive::{AnswerSink, InspectingSink, Recv};
use super::{Bytes, Conn, Context, Ending, PARTING_NS, Pumped, State, Wish};

/// What all connections of a worker share for TLS.
#[derive(Clone, Debug)]
pub struct TlsShape {
    /// The worker's configuration, which knows what servers are spoken to over TLS.
    pub client: Client,
    /// The requests, as in the backend's arena.
    pub arena: Arc<[u8]>,
}

/// Where requests are before encryption.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Source {
    #[default]
    Arena,
    Own,
}

/// What TLS adds to a connection.
#[derive(Debug, Default)]
pub(super) struct Tls {
    session: Session,
    begun_ns: u64,
    /// Requests that are in no arena: as they are before encryption.
    own: Vec<u8>,
    /// Where the requests started last are.
    source: Source,
    /// What of them is still to be encrypted.
    rest: Range<u32>,
    /// A buffer that waits for room in the queue, and how many bytes are in it.
    kept: Option<(SendLease, u32)>,
}

impl Conn {
    /// The socket is connected; the attempt began at `since_ns`.
    pub(super) fn begin_handshake<B: Backend>(&mut self, since_ns: u64, ctx: &mut Context<'_, B>) {
        let (Some(tls), Some(shape)) = (&mut self.tls, &ctx.shape.tls) else { return };
        self.state = State::Handshaking { since_ns };
        tls.begun_ns = ctx.recorder.now_ns();
        tls.rest = 0..0;
        match tls.session.begin(&shape.client, self.origin) {
            Ok(()) => {
                self.wish = Some(Wish::Records);
                self.pump(ctx);
            }
            Err(fault) => self.handshake_failed(fault, ctx),
        }
    }

    fn handshake_failed<B: Backend>(&mut self, fault: Fault, ctx: &mut Context<'_, B>) {
        ctx.recorder.tls_fault(self.origin, fault.cause, fault.text);
        // The alert says to the peer why.
        self.push_buffer(0..0, ctx);
        self.attempt_failed(ConnectFailure::Tls, ctx);
    }

    /// An attempt that timed out like any other; what it waited for is told apart.
    pub(super) fn handshake_timed_out<B: Backend>(&mut self, ctx: &mut Context<'_, B>) {
        let fault = Fault::silent();
        ctx.recorder.tls_fault(self.origin, fault.cause, fault.text);
        self.attempt_failed(ConnectFailure::Timeout, ctx);
    }

    /// The handshake is done: the attempt has become a connection.
    fn handshake_done<B: Backend>(&mut self, ctx: &mut Context<'_, B>) {
        let Some(tls) = &self.tls else { return };
        // An offer of other protocols is the user's wish, but their answers are not understood.
        if let Some(chosen) = tls.session.alpn()
            && !matches!(chosen, b"http/1.1" | b"http/1.0")
        {
            let fault = Fault::protocol_not_spoken(chosen);
            return self.handshake_failed(fault, ctx);
        }
        let now_ns = ctx.recorder.now_ns();
        let session = &tls.session;
        ctx.recorder.handshake_done(self.origin, tls.begun_ns, session.is_resumed(), || {
            let tls::Facts { version, cipher, group, alpn, subject } = session.facts();
            TlsFacts { version, cipher, group, alpn, subject }
        });
        self.opened(now_ns.saturating_sub(self.connect_ns), ctx);
    }

    /// Queues the send of a batch, encrypted.
    pub(super) fn hand_over_encrypted<B: Backend>(
        &mut self,
        ctx: &mut Context<'_, B>,
        bytes: Bytes,
    ) -> Result<(), QueueFull> {
        let slot = Slot(self.index);
        let refused = |bytes: Bytes| {
            QueueFull(match bytes {
                Bytes::Arena { start, len } => {
                    Op::Send { slot, start, len, confirm: Confirm::Always }
                }
                Bytes::Scratch { lease, len } => Op::SendLeased { slot, lease, len },
            })
        };
        // What was started before leaves before.
        let Some(tls) = self.tls.as_mut().filter(|tls| tls.rest.is_empty()) else {
            return Err(refused(bytes));
        };
        match bytes {
            Bytes::Arena { start, len } => {
                tls.source = Source::Arena;
                self.uploading = self.push_buffer(start..start + len, ctx);
                if self.uploading { Ok(()) } else { Err(refused(bytes)) }
            }
            Bytes::Scratch { mut lease, len } => {
                tls.source = Source::Own;
                tls.own.clear();
                let plain = &ctx.backend.send_bytes_mut(&mut lease)[..len as usize];
                tls.own.extend_from_slice(plain);
                if !self.push_buffer(0..len, ctx) {
                    return Err(refused(Bytes::Scratch { lease, len }));
                }
                self.uploading = true;
                ctx.backend.return_send(lease);
                Ok(())
            }
        }
    }

    /// Fills a buffer with what TLS has ready and as much of `range` of the source as fits, and queues it. False
    /// when there is no buffer, or nothing to be sent.
    fn push_buffer<B: Backend>(&mut self, range: Range<u32>, ctx: &mut Context<'_, B>) -> bool {
        let (Some(tls), Some(shape)) = (&mut self.tls, &ctx.shape.tls) else { return false };
        if self.sending {
            return false;
        }
        let Some(mut lease) = ctx.backend.lease_send() else { return false };
        let out = ctx.backend.send_bytes_mut(&mut lease);
        let mut written = tls.session.take_outgoing(out);
        let room = tls::plain_bytes_max(out.len() - written);
        let all_taken = tls.session.outgoing_bytes() == 0;
        let piece = if all_taken { range.len().min(room) } else { 0 };
        if piece > 0 {
            let (start, end) = (range.start as usize, range.start as usize + piece);
            let plain = match tls.source {
                Source::Arena => &shape.arena[start..end],
                Source::Own => &tls.own[start..end],
            };
            match tls.session.encrypt(plain, &mut out[written..]) {
                Some(bytes) => written += bytes,
                None => {
                    ctx.backend.return_send(lease);
                    self.keys_used_up();
                    return false;
                }
            }
        }
        if written == 0 {
            ctx.backend.return_send(lease);
            return false;
        }
        tls.rest = range.start + piece as u32..range.end;
        self.sending = true;
        self.push_lease(lease, written as u32, ctx);
        true
    }

    /// Queues a buffer, or keeps it until the queue has room.
    fn push_lease<B: Backend>(&mut self, lease: SendLease, len: u32, ctx: &mut Context<'_, B>) {
        let op = Op::SendLeased { slot: Slot(self.index), lease, len };
        let pushed = ctx.backend.push(op, self.token(OpKind::Send));
        let Some(tls) = &mut self.tls else { return };
        if let Err(QueueFull(Op::SendLeased { lease, len, .. })) = pushed {
            tls.kept = Some((lease, len));
            self.wish = Some(Wish::Records);
        }
    }

    /// Pushes what TLS has ready, if nothing is on its way.
    pub(super) fn pump_records<B: Backend>(&mut self, ctx: &mut Context<'_, B>) -> Pumped {
        let Some(tls) = &mut self.tls else { return Pumped::Done };
        self.wish = None;
        if let Some((lease, len)) = tls.kept.take() {
            self.push_lease(lease, len, ctx);
            return if self.wish.is_some() { Pumped::QueueFull } else { Pumped::Done };
        }
        let rest = tls.rest.clone();
        if self.sending || (rest.is_empty() && tls.session.outgoing_bytes() == 0) {
            // What is on its way comes back, and then the rest follows.
            return Pumped::Done;
        }
        if !self.push_buffer(rest, ctx) && !self.send_broken {
            // No buffer is free: one comes back with the next turn.
            self.wish = Some(Wish::Records);
        }
        Pumped::Done
    }

    /// A buffer has left: what remains follows.
    pub(super) fn records_left<B: Backend>(&mut self, ctx: &mut Context<'_, B>) {
        let Some(tls) = &self.tls else { return };
        self.uploading &= !tls.rest.is_empty();
        if !tls.rest.is_empty() || tls.session.outgoing_bytes() > 0 {
            self.sending = false;
            self.wish = Some(Wish::Records);
            // Until all has left, nothing else is to be started.
            self.pump(ctx);
        }
    }

    /// No more may be encrypted under these keys (TLS 1.2): answers are awaited, then the connection
    /// is replaced.
    fn keys_used_up(&mut self) {
        self.send_broken = true;
    }

    /// Whether all is answered of what could be encrypted.
    #[cold]
    pub(super) fn is_used_up(&self) -> bool {
        let tls = self.tls.as_ref();
        self.is_idle() && self.is_open() && tls.is_some_and(|tls| tls.session.is_exhausted())
    }

    /// A receive brought records, or its end.
    pub(super) fn received_records<B: Backend>(
        &mut self,
        completion: Completion,
        ctx: &mut Context<'_, B>,
    ) {
        let is_handshaking = matches!(self.state, State::Handshaking { .. });
        match completion.result {
            Ok(0) if is_handshaking => self.handshake_failed(Fault::closed(), ctx),
            Ok(0) => self.records_ended(ctx),
            Ok(_) => {
                self.has_rest = completion.has_rest;
                if let Some(lease) = completion.lease {
                    self.decrypt(lease, ctx);
                }
            }
            Err(IoError::Cancelled | IoError::NoBuffers) => {
                self.pump(ctx);
            }
            Err(_) if is_handshaking => self.handshake_failed(Fault::reset(), ctx),
            Err(error) => self.broke(error, ctx),
        }
    }

    fn decrypt<B: Backend>(&mut self, mut lease: RecvLease, ctx: &mut Context<'_, B>) {
        let Some(tls) = &mut self.tls else { return ctx.backend.recycle(lease) };
        let bytes = ctx.backend.bytes_mut(&mut lease);
        ctx.recorder.received(bytes.len() as u64);
        ctx.recorder.bytes_mut().tls += bytes.len() as u64;
        let (codec, memo) = (&mut self.codec, &mut *ctx.memo);
        let (outcome, decrypted, answers) = if ctx.recorder.inspects() {
            let mut sink = InspectingSink::new(self.index, &mut self.inflight, ctx.recorder);
            let (outcome, decrypted) = through(&mut tls.session, bytes, |plain| {
                sink.plain.plaintext(plain.len() as u64);
                codec.receive(plain, memo, &mut sink)
            });
            (outcome, decrypted, sink.plain.answers)
        } else {
            let mut sink = AnswerSink::new(&mut self.inflight, ctx.recorder);
            let (outcome, decrypted) = through(&mut tls.session, bytes, |plain| {
                sink.plaintext(plain.len() as u64);
                codec.receive(plain, memo, &mut sink)
            });
            (outcome, decrypted, sink.answers)
        };
        ctx.backend.recycle(lease);
        if answers > 0 {
            self.answers += answers;
            self.last_answer_ns = ctx.recorder.now_ns();
        }
        self.after_records(outcome, decrypted, ctx);
    }

    /// What follows from what was in the records.
    fn after_records<B: Backend>(
        &mut self,
        outcome: Result<Flow, ProtoError>,
        decrypted: Result<(), Fault>,
        ctx: &mut Context<'_, B>,
    ) {
        let Some(tls) = &self.tls else { return };
        let is_handshaking = matches!(self.state, State::Handshaking { .. });
        if is_handshaking && tls.session.is_established() {
            self.handshake_done(ctx);
            if !self.is_open() {
                return;
            }
        }
        if let Err(fault) = decrypted {
            if matches!(self.state, State::Handshaking { .. }) {
                return self.handshake_failed(fault, ctx);
            }
            return self.records_broke(fault, ctx);
        }
        match outcome {
            Ok(Flow::Keep) if self.is_open() && self.has_served() && !self.uploading => {
                return self.retire(ctx);
            }
            Ok(Flow::Keep) => {
                // What comes after the last answer is looked at before anything is sent. After the
                // handshake, tickets may come at any time.
                let is_part = self.tls.as_ref().is_some_and(|tls| tls.session.holds_a_part());
                let is_between = self.is_idle() && self.last_answer_ns > 0;
                self.has_rest = is_between && (self.has_rest || is_part);
            }
            Ok(Flow::Close) => self.part(ctx),
            Err(error) => return self.answer_refused(error, ctx),
        }
        let Some(tls) = &self.tls else { return };
        if tls.session.is_closed_by_peer() && self.is_open() {
            // The end of the stream; the socket's follows, and leaves its port on that side.
            self.nothing_more_comes(ctx);
            self.state = State::Parting { until_ns: ctx.recorder.now_ns() + PARTING_NS };
        } else if tls.session.is_exhausted() {
            self.keys_used_up();
        } else if tls.session.outgoing_bytes() > 0 {
            // A request that starts in this turn takes it along.
            self.wish = Some(Wish::Records);
            if self.recv != Recv::None {
                return;
            }
        }
        self.pump(ctx);
    }

    /// A record was broken, or the peer sent an alert.
    fn records_broke<B: Backend>(&mut self, fault: Fault, ctx: &mut Context<'_, B>) {
        ctx.recorder.tls_fault(self.origin, fault.cause, fault.text);
        self.push_buffer(0..0, ctx);
        self.fail(Failure::Tls, ctx);
        self.end(Ending::Errored, CloseKind::Orderly, ctx);
    }

    /// The socket ended. Unless the peer had announced that, an answer which only the end delimits
    /// may have been cut short by anybody (RFC 8446 section 6.1).
    fn records_ended<B: Backend>(&mut self, ctx: &mut Context<'_, B>) {
        let is_announced = self.tls.as_ref().is_some_and(|tls| tls.session.is_closed_by_peer());
        // Nobody is there any more to be told of our end.
        self.state = State::Parting { until_ns: ctx.recorder.now_ns() };
        if !is_announced && self.codec.reads_to_close() {
            self.fail(Failure::EofBody, ctx);
            return self.end(Ending::ClosedByPeer, CloseKind::Orderly, ctx);
        }
        self.ended_by_peer(ctx);
    }

    /// The connection is about to be closed: a buffer that never left goes back, and a peer that may
    /// not expect the end is told.
    pub(super) fn leave_tls<B: Backend>(&mut self, kind: CloseKind, ctx: &mut Context<'_, B>) {
        let says_so = kind == CloseKind::Orderly && self.is_open() && !self.sending;
        let Some(tls) = &mut self.tls else { return };
        tls.rest = 0..0;
        if let Some((lease, _)) = tls.kept.take() {
            ctx.backend.return_send(lease);
        }
        if !says_so || tls.session.is_closed_by_peer() || !tls.session.is_established() {
            return;
        }
        let Some(mut lease) = ctx.backend.lease_send() else { return };
        let out = ctx.backend.send_bytes_mut(&mut lease);
        let mut written = tls.session.take_outgoing(out);
        written += tls.session.close_notify(&mut out[written..]);
        if written == 0 {
            return ctx.backend.return_send(lease);
        }
        let op = Op::SendLeased { slot: Slot(self.index), lease, len: written as u32 };
        // A courtesy that waits for nothing.
        if let Err(QueueFull(Op::SendLeased { lease, .. })) =
            ctx.backend.push(op, self.token(OpKind::Send))
        {
            ctx.backend.return_send(lease);
        }
    }
}

/// Decrypts `bytes` and feeds what was in them, up to the first answer that cannot be accepted.
fn through(
    session: &mut Session,
    bytes: &mut [u8],
    mut feed: impl FnMut(&[u8]) -> Result<Flow, ProtoError>,
) -> (Result<Flow, ProtoError>, Result<(), Fault>) {
    let mut outcome = Ok(Flow::Keep);
    let decrypted = session.receive(bytes, &mut |plain| {
        outcome = feed(plain);
        outcome.is_ok()
    });
    (outcome, decrypted)
}
