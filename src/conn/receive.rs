//! Receiving: which receive is in flight, when to change it, and what its bytes mean.
//!
//! Small answers come through one multishot receive that is never pushed again. Once a body is large
//! its bytes are not looked at: the connection changes to single receives, a small one for the head
//! and discarding ones for the body, which the kernel throws away without copying. A discarding
//! receive never asks for more than the current body, because a pipelined head may follow it; and
//! two receives are never in flight at once, so the change waits for the multishot's last completion.

use crate::inspect::Body;
use crate::io::{Backend, CloseKind, Completion, IoError, Op, OpKind, Slot};
use crate::limits;
use crate::proto::{Answer, ByteClass, Flow, Notice, ProtoError, Sink, StreamEnd};
use crate::record::Recorder;

use super::inflight::{Inflight, Run};
use super::{Conn, Context, Ending, Memo, Pumped, State};

/// After this many answers in a row without a large body, the multishot receive comes back.
const SMALL_IN_A_ROW: u8 = 8;

/// Which receive is in flight.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Recv {
    /// None; `pump` pushes the right one.
    None,
    /// The multishot one.
    Stream,
    /// The multishot one, which should end; its cancel is still to be pushed.
    StreamUnwanted,
    /// The multishot one, whose end was asked for.
    StreamEnding,
    /// A single one.
    Once,
    /// A discarding one.
    Discard,
}

impl Conn {
    #[inline]
    pub(super) fn pump_recv<B: Backend>(&mut self, ctx: &mut Context<'_, B>) -> Pumped {
        let slot = Slot(self.index);
        let (op, kind, next) = match self.recv {
            Recv::Stream | Recv::StreamEnding | Recv::Once | Recv::Discard => return Pumped::Done,
            Recv::StreamUnwanted => (Op::CancelRecv { slot }, OpKind::Recv, Recv::StreamEnding),
            Recv::None if !self.large => (Op::RecvStream { slot }, OpKind::Recv, Recv::Stream),
            Recv::None => match self.codec.discardable_bytes() {
                0 => {
                    let bytes_max = limits::HEAD_RECV_BYTES;
                    (Op::RecvOnce { slot, bytes_max }, OpKind::Recv, Recv::Once)
                }
                rest => {
                    let bytes_max = rest.min(limits::DISCARD_BYTES_MAX);
                    (Op::Discard { slot, bytes_max }, OpKind::Discard, Recv::Discard)
                }
            },
        };
        if ctx.backend.push(op, self.token(kind)).is_err() {
            return Pumped::QueueFull;
        }
        self.recv = next;
        Pumped::Done
    }

    #[inline]
    pub(super) fn received<B: Backend>(
        &mut self,
        completion: Completion,
        ctx: &mut Context<'_, B>,
    ) {
        if !completion.more {
            self.recv = Recv::None;
        }
        if self.tls.is_some() {
            return self.received_records(completion, ctx);
        }
        match completion.result {
            Ok(0) => self.ended_by_peer(ctx),
            Ok(_) => {
                if let Some(lease) = completion.lease {
                    let outcome = self.take_in(ctx.backend.bytes(&lease), ctx.recorder, ctx.memo);
                    if outcome.is_err() {
                        note_tls(ctx.backend.bytes(&lease), ctx.recorder);
                    }
                    ctx.backend.recycle(lease);
                    match outcome {
                        Ok(Flow::Keep) if self.has_served() && !self.uploading => {
                            return self.retire(ctx);
                        }
                        Ok(Flow::Keep) => {
                            self.has_rest = completion.has_rest && self.is_idle();
                            self.mind_large_bodies(ctx.shape.discards);
                        }
                        Ok(Flow::Close) => self.part(ctx),
                        Err(error) => return self.answer_refused(error, ctx),
                    }
                }
                self.pump(ctx);
            }
            // Ended by us, to change to another receive, or for want of a buffer: go on.
            Err(IoError::Cancelled | IoError::NoBuffers) => {
                self.pump(ctx);
            }
            Err(error) => self.broke(error, ctx),
        }
    }

    pub(super) fn discarded<B: Backend>(
        &mut self,
        completion: &Completion,
        ctx: &mut Context<'_, B>,
    ) {
        self.recv = Recv::None;
        match completion.result {
            Ok(0) => self.ended_by_peer(ctx),
            Ok(count) => {
                ctx.recorder.received(u64::from(count));
                let (flow, answers) = self.throw_away(u64::from(count), ctx.recorder);
                self.note_answers(answers, ctx.recorder.now_ns());
                self.small_in_a_row = 0;
                self.has_rest = completion.has_rest && self.is_idle();
                if flow == Flow::Close && matches!(self.state, State::Open) {
                    self.part(ctx);
                } else if flow == Flow::Keep && self.has_served() && !self.uploading {
                    return self.retire(ctx);
                }
                self.pump(ctx);
            }
            Err(IoError::Cancelled | IoError::NoBuffers) => {
                self.pump(ctx);
            }
            Err(error) => self.broke(error, ctx),
        }
    }

    /// Feeds the codec and notes which answers came of it.
    #[inline]
    fn take_in(
        &mut self,
        bytes: &[u8],
        recorder: &mut Recorder,
        memo: &mut Memo,
    ) -> Result<Flow, ProtoError> {
        recorder.received(bytes.len() as u64);
        let (outcome, answers) = if recorder.inspects() {
            self.take_in_inspected(bytes, recorder, memo)
        } else {
            let mut sink = AnswerSink::new(&mut self.inflight, recorder);
            (self.codec.receive(bytes, memo, &mut sink), sink.answers)
        };
        if answers > 0 {
            self.answers += answers;
            self.last_answer_ns = recorder.now_ns();
            self.small_in_a_row = self.small_in_a_row.saturating_add(1);
        }
        outcome
    }

    /// All its requests are answered, and it carries no more: it has carried all that it may, or the
    /// last was answered before all of it had left, and what has not left must not (RFC 9112 section
    /// 9.5: a server may answer early and read no further).
    #[inline]
    pub(super) fn has_served(&self) -> bool {
        (self.left == 0 || self.uploading) && self.is_idle()
    }

    /// Whether the end of the turn decides what becomes of it: an answer came while a part of its
    /// request had not left, as far as is known by now (the end of the send may be told after it, in
    /// the same turn), or no more can be sent.
    #[inline]
    pub(super) fn is_to_settle(&self) -> bool {
        (self.uploading && self.is_idle() && self.is_open())
            || (self.send_broken && self.is_used_up())
    }

    /// At the end of a turn: closes a connection whose last answer came early, and one that has served
    /// and waited for that to be known; of one that can send no more, the peer's end is awaited.
    pub fn settle<B: Backend>(&mut self, ctx: &mut Context<'_, B>) {
        if self.send_broken && self.is_used_up() {
            self.state = State::Parting { until_ns: ctx.recorder.now_ns() };
        } else if self.is_open() && self.has_served() {
            self.retire(ctx);
        }
    }

    /// Closes a connection that has served. Nothing is cut off by that, and a new one follows at once.
    pub(super) fn retire<B: Backend>(&mut self, ctx: &mut Context<'_, B>) {
        let kind = if self.uploading { CloseKind::Reset } else { ctx.shape.close };
        self.end(Ending::ClosedByUs, kind, ctx);
    }

    /// Apart, so that the loop of a plain run stays as small as it is.
    #[inline(never)]
    fn take_in_inspected(
        &mut self,
        bytes: &[u8],
        recorder: &mut Recorder,
        memo: &mut Memo,
    ) -> (Result<Flow, ProtoError>, u64) {
        let mut sink = InspectingSink::new(self.index, &mut self.inflight, recorder);
        (self.codec.receive(bytes, memo, &mut sink), sink.plain.answers)
    }

    /// Tells the codec of bytes that the kernel threw away.
    fn throw_away(&mut self, count: u64, recorder: &mut Recorder) -> (Flow, u64) {
        if recorder.inspects() {
            let mut sink = InspectingSink::new(self.index, &mut self.inflight, recorder);
            return (self.codec.discarded(count, &mut sink), sink.plain.answers);
        }
        let mut sink = AnswerSink::new(&mut self.inflight, recorder);
        (self.codec.discarded(count, &mut sink), sink.answers)
    }

    /// Tells the codec that the stream has ended.
    pub(super) fn end_stream(&mut self, recorder: &mut Recorder) -> (StreamEnd, u64) {
        if recorder.inspects() {
            let mut sink = InspectingSink::new(self.index, &mut self.inflight, recorder);
            return (self.codec.end_of_stream(&mut sink), sink.plain.answers);
        }
        let mut sink = AnswerSink::new(&mut self.inflight, recorder);
        (self.codec.end_of_stream(&mut sink), sink.answers)
    }

    pub(super) fn note_answers(&mut self, answers: u64, now_ns: u64) {
        if answers > 0 {
            self.answers += answers;
            self.last_answer_ns = now_ns;
        }
    }

    /// Changes between the two ways of receiving.
    #[inline]
    fn mind_large_bodies(&mut self, discards: bool) {
        if self.codec.discardable_bytes() >= limits::DISCARD_BYTES_MIN && discards {
            self.large = true;
            self.small_in_a_row = 0;
            if self.recv == Recv::Stream {
                self.recv = Recv::StreamUnwanted;
            }
        } else if self.large && self.small_in_a_row >= SMALL_IN_A_ROW {
            self.large = false;
        }
    }
}

/// An answer to a plain request that begins as a TLS alert or handshake does: the port is HTTPS.
#[cold]
fn note_tls(bytes: &[u8], recorder: &mut Recorder) {
    if matches!(bytes, [21 | 22, 3, 0..=4, ..]) {
        recorder.notices_mut().tls_on_plain += 1;
    }
}

/// Takes the codec's findings to the in-flight queue and the recorder.
pub(super) struct AnswerSink<'a> {
    inflight: &'a mut Inflight,
    recorder: &'a mut Recorder,
    /// Whole answers seen through this sink.
    pub(super) answers: u64,
}

impl<'a> AnswerSink<'a> {
    pub(super) fn new(inflight: &'a mut Inflight, recorder: &'a mut Recorder) -> Self {
        Self { inflight, recorder, answers: 0 }
    }

    /// So many of the bytes counted as TLS's turned out to be plaintext, which the codec classifies.
    pub(super) fn plaintext(&mut self, count: u64) {
        self.recorder.bytes_mut().tls -= count;
    }
}

impl AnswerSink<'_> {
    /// Books `count` answers; `each` is told of every run of requests that shared their stamps.
    #[inline]
    fn book(&mut self, status: u16, count: u32, mut each: impl FnMut(&mut Recorder, &Run)) {
        self.answers += u64::from(count);
        let mut left = count;
        while left > 0 {
            let Some(run) = self.inflight.take(left) else {
                debug_assert!(false, "the codec answered more than was outstanding");
                return;
            };
            left -= run.count;
            self.recorder.answered(status, u64::from(run.count), run.stamps);
            if self.recorder.has_targets() {
                let count = u64::from(run.count);
                self.recorder.target_answered(run.target, status, count, run.stamps);
            }
            each(self.recorder, &run);
        }
    }
}

impl Sink for AnswerSink<'_> {
    #[inline]
    fn answers(&mut self, answer: Answer, count: u32) {
        self.book(answer.status, count, |_, _| {});
    }

    #[inline]
    fn bytes(&mut self, class: ByteClass, count: u64) {
        let bytes = self.recorder.bytes_mut();
        match class {
            ByteClass::Head => bytes.head += count,
            ByteClass::Body => bytes.body += count,
            ByteClass::Framing => bytes.framing += count,
            ByteClass::Interim => bytes.interim += count,
            ByteClass::Stray => bytes.stray += count,
        }
    }

    fn notice(&mut self, notice: Notice) {
        let notices = self.recorder.notices_mut();
        match notice {
            Notice::Interim => notices.interim += 1,
            Notice::BareLf => notices.bare_lf += 1,
            Notice::LengthAndChunked => notices.length_and_chunked += 1,
            Notice::ChunkedInHttp10 => notices.chunked_in_http10 += 1,
            Notice::Unsolicited => notices.unsolicited += 1,
        }
    }
}

/// The same for a run whose answers are looked at: shows heads and bodies to the inspector.
pub(super) struct InspectingSink<'a> {
    conn: u32,
    pub(super) plain: AnswerSink<'a>,
}

impl<'a> InspectingSink<'a> {
    pub(super) fn new(conn: u32, inflight: &'a mut Inflight, recorder: &'a mut Recorder) -> Self {
        Self { conn, plain: AnswerSink::new(inflight, recorder) }
    }

    /// Books `count` answers with the same body.
    fn book(&mut self, answer: Answer, body: Body, count: u32) {
        self.plain.book(answer.status, count, |recorder, run| {
            let now_ns = recorder.now_ns();
            if let Some(inspector) = recorder.inspector_mut() {
                inspector.count(run.target as usize, answer.label, body, run.count.into(), now_ns);
            }
        });
    }
}

impl Sink for InspectingSink<'_> {
    fn answers(&mut self, answer: Answer, count: u32) {
        debug_assert_eq!(count, 1, "several are told by `answers_at_hand`");
        let inspector = self.plain.recorder.inspector_mut();
        let body = inspector.map_or_else(Body::default, |inspector| inspector.completed(self.conn));
        self.book(answer, body, count);
    }

    fn answers_at_hand(&mut self, answer: Answer, count: u32, raw: &[u8], head_bytes: usize) {
        let Some(inspector) = self.plain.recorder.inspector_mut() else { return };
        let answer_bytes = raw.len() / count as usize;
        if !inspector.hashes() {
            let bytes = (answer_bytes - head_bytes) as u64;
            return self.book(answer, Body { bytes, hash: 0 }, count);
        }
        // Most bodies are those of their neighbours.
        let (mut last, mut alike) = (Body::default(), 0);
        for whole in raw.chunks_exact(answer_bytes) {
            let Some(inspector) = self.plain.recorder.inspector_mut() else { return };
            let body = inspector.whole(&whole[head_bytes..]);
            if body != last && alike > 0 {
                self.book(answer, last, alike);
                alike = 0;
            }
            (last, alike) = (body, alike + 1);
        }
        self.book(answer, last, alike);
    }

    fn bytes(&mut self, class: ByteClass, count: u64) {
        if class == ByteClass::Body
            && let Some(inspector) = self.plain.recorder.inspector_mut()
        {
            inspector.passed(self.conn, count);
        }
        self.plain.bytes(class, count);
    }

    fn notice(&mut self, notice: Notice) {
        self.plain.notice(notice);
    }

    fn label(&mut self, head: &[u8]) -> u16 {
        self.plain.recorder.inspector_mut().map_or(0, |inspector| inspector.label(head))
    }

    fn begin(&mut self) {
        if let Some(inspector) = self.plain.recorder.inspector_mut() {
            inspector.begin(self.conn);
        }
    }

    fn body(&mut self, bytes: &[u8]) {
        if let Some(inspector) = self.plain.recorder.inspector_mut() {
            inspector.body(self.conn, bytes);
        }
    }
}
