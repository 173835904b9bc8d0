//! One connection's answers, in order.
//!
//! The state says what the next byte is. Only a head that arrives in pieces is kept (`scratch`);
//! every other byte is classified where it stands. After the last answer, an error or a message
//! nobody asked for, the connection is over and all further bytes are stray.

use super::super::{Answer, ByteClass, Flow, Notice, ProtoError, Sink, StreamEnd};
use super::chunk::ChunkDecoder;
use super::head::{self, Body, Head, Parsed};
use super::lines::Lines;
use super::memo::{Memo, Run};
use super::methods::Methods;
use super::scan::{HeadScan, Scan};
use crate::limits::{HEAD_BYTES_MAX, HEAD_SCRATCH_BYTES, INTERIM_MAX};

/// By how much the scratch grows when a head does not fit.
const SCRATCH_GROWTH: usize = 16;

#[derive(Clone, Copy, Debug)]
enum State {
    /// A head starts here or is being collected.
    Head,
    /// So many bytes of body are still to come, never none.
    Sized {
        left_bytes: u64,
    },
    Chunked(ChunkDecoder),
    ToClose,
    /// The last answer was complete, or something came that nobody had asked for.
    Closed,
    /// An error was reported, or the connection was given up.
    Failed,
}

/// A head that was resolved: its bytes within the current receive, and what they mean.
struct Resolved {
    used: usize,
    head: Result<Head, ProtoError>,
}

/// The client's codec of one connection. Use it again for the next one after `reset`.
#[derive(Debug)]
pub struct ClientCodec {
    state: State,
    depth: u32,
    outstanding: u32,
    /// The oldest outstanding request is HEAD.
    head_request: bool,
    /// Which of them are HEAD, where some are and some are not.
    methods: Option<Box<Methods>>,
    /// A final head said that its answer is the last, or the connection is over.
    is_closing: bool,
    has_noted_unsolicited: bool,
    /// The answer whose body is being read.
    answer: Answer,
    interim_count: u32,
    scan: HeadScan,
    lines: Lines,
    scratch: Vec<u8>,
}

impl ClientCodec {
    /// A codec for at most `depth` outstanding requests, which are all HEAD, or none of them.
    pub fn new(depth: u32, head_request: bool) -> Self {
        Self {
            state: State::Head,
            depth,
            outstanding: 0,
            head_request,
            methods: None,
            is_closing: false,
            has_noted_unsolicited: false,
            answer: Answer::default(),
            interim_count: 0,
            scan: HeadScan::default(),
            lines: Lines::default(),
            scratch: Vec::with_capacity(HEAD_SCRATCH_BYTES),
        }
    }

    /// A codec for at most `depth` outstanding requests of which some are HEAD: after each `submit`
    /// `submitted` says which.
    pub fn mixed(depth: u32) -> Self {
        Self { methods: Some(Box::new(Methods::new(depth))), ..Self::new(depth, false) }
    }

    /// A new TCP connection takes over. What was held is forgotten: see `abandon`.
    pub fn reset(&mut self) {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        let mut methods = self.methods.take();
        if let Some(methods) = &mut methods {
            methods.clear();
        }
        let new = Self {
            state: State::Head,
            depth: self.depth,
            outstanding: 0,
            head_request: self.head_request,
            methods,
            is_closing: false,
            has_noted_unsolicited: false,
            answer: Answer::default(),
            interim_count: 0,
            scan: HeadScan::default(),
            lines: Lines::default(),
            scratch,
        };
        *self = new;
    }

    /// Requests that may be submitted at this moment; 0 once the connection is known to end.
    pub fn capacity(&self) -> u32 {
        if self.is_closing { 0 } else { self.depth - self.outstanding }
    }

    /// `count` requests, at most `capacity`, are on their way.
    pub fn submit(&mut self, count: u32) {
        debug_assert!(count <= self.capacity());
        self.outstanding += count;
    }

    /// One of the requests just submitted, in their order, is HEAD or is not. For a mixed codec.
    pub fn submitted(&mut self, head_request: bool) {
        if let Some(methods) = &mut self.methods {
            methods.push(head_request);
            self.head_request = methods.oldest();
        }
    }

    /// Requests submitted and not answered whole.
    pub fn outstanding(&self) -> u32 {
        self.outstanding
    }

    /// Takes the next bytes of the stream, all of them.
    ///
    /// An error is reported once; it belongs to the oldest outstanding request. Whatever comes
    /// after it is stray and answered with `Flow::Close`.
    pub fn receive(
        &mut self,
        bytes: &[u8],
        memo: &mut Memo,
        sink: &mut impl Sink,
    ) -> Result<Flow, ProtoError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let used = match self.state {
                State::Head if self.outstanding == 0 => self.close(0),
                State::Head => match self.receive_run(rest, memo, sink) {
                    0 => self.receive_head(rest, memo, sink)?,
                    used => used,
                },
                State::Sized { left_bytes } => {
                    let body_bytes = left_bytes.min(rest.len() as u64);
                    sink.body(&rest[..body_bytes as usize]);
                    self.discarded(body_bytes, sink);
                    body_bytes as usize
                }
                State::Chunked(_) => self.receive_chunked(rest, sink)?,
                State::ToClose => {
                    sink.body(rest);
                    report(sink, ByteClass::Body, rest.len())
                }
                State::Closed => self.receive_unsolicited(rest, sink),
                State::Failed => report(sink, ByteClass::Stray, rest.len()),
            };
            rest = &rest[used..];
        }
        Ok(self.flow())
    }

    /// The peer ended the stream. A body that only the end delimits is complete by it.
    ///
    /// After `Flow::Close` or an error the end says nothing more: `Clean`.
    pub fn end_of_stream(&mut self, sink: &mut impl Sink) -> StreamEnd {
        let end = match self.state {
            State::Head if self.outstanding > 0 => StreamEnd::BeforeHead,
            State::Head | State::Closed | State::Failed => StreamEnd::Clean,
            State::Sized { .. } | State::Chunked(_) => StreamEnd::InBody,
            State::ToClose => {
                self.complete(sink);
                StreamEnd::Clean
            }
        };
        self.abandon(sink);
        end
    }

    /// A body is being read that only the end of the stream delimits.
    pub fn reads_to_close(&self) -> bool {
        matches!(self.state, State::ToClose)
    }

    /// How many of the next bytes need not be looked at: the rest of a body of known length,
    /// `u64::MAX` for one that the end of the stream delimits, else 0.
    pub fn discardable_bytes(&self) -> u64 {
        match self.state {
            State::Sized { left_bytes } => left_bytes,
            State::ToClose => u64::MAX,
            _ => 0,
        }
    }

    /// `count` bytes, at most `discardable_bytes`, were thrown away unseen.
    pub fn discarded(&mut self, count: u64, sink: &mut impl Sink) -> Flow {
        debug_assert!(count <= self.discardable_bytes());
        sink.bytes(ByteClass::Body, count);
        if let State::Sized { left_bytes } = &mut self.state {
            *left_bytes = left_bytes.saturating_sub(count);
            if *left_bytes == 0 {
                self.complete(sink);
            }
        }
        self.flow()
    }

    /// The connection is given up. Classifies the bytes still held, so that classes always add up
    /// to the bytes given.
    pub fn abandon(&mut self, sink: &mut impl Sink) {
        if !self.scratch.is_empty() {
            let class = if self.outstanding > 0 { ByteClass::Head } else { ByteClass::Stray };
            report(sink, class, self.scratch.len());
            self.scratch.clear();
        }
        self.is_closing = true;
        self.state = State::Failed;
    }

    fn flow(&self) -> Flow {
        match self.state {
            State::Closed | State::Failed => Flow::Close,
            _ => Flow::Keep,
        }
    }

    /// Ends the connection from our side; `used` bytes had a part in it.
    fn close(&mut self, used: usize) -> usize {
        self.is_closing = true;
        self.state = State::Closed;
        used
    }

    /// Answers that repeat the known head, whole in `bytes`. Returns the bytes used.
    #[inline]
    fn receive_run(&mut self, bytes: &[u8], memo: &Memo, sink: &mut impl Sink) -> usize {
        if !self.scratch.is_empty() {
            return 0;
        }
        if self.methods.is_some() {
            return self.receive_mixed_run(bytes, memo, sink);
        }
        let Some(run) = memo.run(bytes, self.head_request, self.outstanding) else { return 0 };
        self.outstanding -= run.count;
        self.interim_count = 0;
        self.take_run(run, bytes, sink)
    }

    /// The same where only the oldest requests are known to be of one sort.
    fn receive_mixed_run(&mut self, bytes: &[u8], memo: &Memo, sink: &mut impl Sink) -> usize {
        let alike = self.methods.as_ref().map_or(0, |methods| methods.alike());
        let Some(run) = memo.run(bytes, self.head_request, alike) else { return 0 };
        self.answered(run.count);
        self.take_run(run, bytes, sink)
    }

    /// Reports answers at the start of `bytes` that are outstanding no more. Returns the bytes they
    /// took.
    #[inline]
    fn take_run(&mut self, run: Run, bytes: &[u8], sink: &mut impl Sink) -> usize {
        let count = run.count as usize;
        report(sink, ByteClass::Head, count * run.head_bytes);
        if run.body_bytes > 0 {
            report(sink, ByteClass::Body, count * run.body_bytes);
        }
        let used = count * (run.head_bytes + run.body_bytes);
        sink.answers_at_hand(run.head.answer, run.count, &bytes[..used], run.head_bytes);
        if run.head.flow == Flow::Close {
            self.close(0);
        }
        used
    }

    /// Goes on with a head. Returns the bytes used.
    fn receive_head(
        &mut self,
        bytes: &[u8],
        memo: &mut Memo,
        sink: &mut impl Sink,
    ) -> Result<usize, ProtoError> {
        let resolved = if self.scratch.is_empty() {
            match self.head_in_place(bytes, memo, sink) {
                None => self.collect_head(bytes, memo, sink),
                resolved => resolved,
            }
        } else {
            self.collect_head(bytes, memo, sink)
        };
        let Some(Resolved { used, head }) = resolved else { return Ok(bytes.len()) };
        let head_bytes = self.scratch.len() + used;
        self.scratch.clear();
        (self.scan, self.lines) = Default::default();
        let is_one_interim_too_many =
            |head: &Head| head.is_interim() && self.interim_count == INTERIM_MAX;
        let head = match head {
            Ok(head) if is_one_interim_too_many(&head) => Err(ProtoError::Limit),
            other => other,
        };
        match head {
            Ok(head) => {
                self.start_answer(&head, head_bytes, sink);
                Ok(used)
            }
            Err(error) => {
                report(sink, ByteClass::Head, head_bytes);
                Err(self.fail(error, bytes.len() - used, sink))
            }
        }
    }

    /// A head that is whole at the start of `bytes` and correct. Anything else is for
    /// `collect_head`, which finds the exact byte that decides it.
    fn head_in_place(
        &self,
        bytes: &[u8],
        memo: &mut Memo,
        sink: &mut impl Sink,
    ) -> Option<Resolved> {
        if let Some((head, used)) = memo.recall(bytes, self.head_request) {
            return Some(Resolved { used, head: Ok(head) });
        }
        if bytes[0] != b'H' {
            return None;
        }
        let bytes = &bytes[..bytes.len().min(HEAD_BYTES_MAX)];
        let parsed = head::parse(bytes, self.head_request);
        let Parsed::Whole { head: Ok(mut head), bytes: used } = parsed else { return None };
        label(&mut head, &bytes[..used], sink);
        memo.keep(&bytes[..used], &head, self.head_request);
        Some(Resolved { used, head: Ok(head) })
    }

    /// Searches on for the end of the head and keeps what belongs to it until then.
    fn collect_head(
        &mut self,
        bytes: &[u8],
        memo: &mut Memo,
        sink: &mut impl Sink,
    ) -> Option<Resolved> {
        let held_bytes = self.scratch.len();
        let mut used = 0;
        let head = loop {
            let (count, scan) = self.scan.feed(&bytes[used..]);
            if held_bytes > 0 && !matches!(scan, Scan::Broken(_)) {
                self.hold(&bytes[used..used + count]);
            }
            used += count;
            let so_far = if held_bytes > 0 { &self.scratch } else { &bytes[..used] };
            match scan {
                Scan::More if held_bytes > 0 => return None,
                Scan::More => {
                    self.hold(bytes);
                    return None;
                }
                Scan::Line => match self.lines.end(so_far) {
                    Ok(()) => {}
                    Err(error) => break Err(error),
                },
                Scan::Whole => break whole_head(so_far, memo, self.head_request, sink),
                Scan::Broken(error) => break Err(error),
            }
        };
        // What is used is counted with the receive it came in.
        self.scratch.truncate(held_bytes);
        Some(Resolved { used, head })
    }

    /// Adds to the scratch, which grows to one head and never beyond. It takes few steps: what each
    /// leaves behind may stay resident, and a hostile server makes every connection take them all.
    fn hold(&mut self, bytes: &[u8]) {
        let needed = self.scratch.len() + bytes.len();
        debug_assert!(needed <= HEAD_BYTES_MAX);
        if needed > self.scratch.capacity() {
            let capacity = needed.max(self.scratch.capacity() * SCRATCH_GROWTH).min(HEAD_BYTES_MAX);
            self.scratch.reserve_exact(capacity - self.scratch.len());
        }
        self.scratch.extend_from_slice(bytes);
    }

    /// What follows a correct head of `head_bytes`.
    fn start_answer(&mut self, head: &Head, head_bytes: usize, sink: &mut impl Sink) {
        let class = if head.is_interim() { ByteClass::Interim } else { ByteClass::Head };
        report(sink, class, head_bytes);
        for notice in head.notices.iter() {
            sink.notice(notice);
        }
        if head.is_interim() {
            self.interim_count += 1;
            sink.notice(Notice::Interim);
            return;
        }
        self.answer = head.answer;
        sink.begin();
        self.is_closing = head.flow == Flow::Close;
        match head.body {
            Body::Sized(0) => self.complete(sink),
            Body::Sized(left_bytes) => self.state = State::Sized { left_bytes },
            Body::Chunked => self.state = State::Chunked(ChunkDecoder::new()),
            Body::ToClose => self.state = State::ToClose,
        }
    }

    /// The oldest outstanding request has its whole answer.
    fn complete(&mut self, sink: &mut impl Sink) {
        self.answered(1);
        self.state = if self.is_closing { State::Closed } else { State::Head };
        sink.answers(self.answer, 1);
    }

    /// The oldest `count` outstanding requests are outstanding no more.
    #[inline]
    fn answered(&mut self, count: u32) {
        self.outstanding -= count;
        self.interim_count = 0;
        if let Some(methods) = &mut self.methods {
            methods.take(count);
            self.head_request = methods.oldest();
        }
    }

    fn receive_chunked(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Result<usize, ProtoError> {
        let State::Chunked(decoder) = &mut self.state else { return Ok(0) };
        let fed = decoder.feed(bytes, |data| sink.body(data));
        report(sink, ByteClass::Framing, fed.used - fed.data_bytes);
        report(sink, ByteClass::Body, fed.data_bytes);
        match fed.end {
            None => {}
            Some(Ok(())) => self.complete(sink),
            Some(Err(error)) => return Err(self.fail(error, bytes.len() - fed.used, sink)),
        }
        Ok(fed.used)
    }

    fn receive_unsolicited(&mut self, bytes: &[u8], sink: &mut impl Sink) -> usize {
        if !self.has_noted_unsolicited {
            self.has_noted_unsolicited = true;
            sink.notice(Notice::Unsolicited);
        }
        report(sink, ByteClass::Stray, bytes.len())
    }

    /// Gives up after an error that leaves `stray_bytes` of a receive unread.
    fn fail(&mut self, error: ProtoError, stray_bytes: usize, sink: &mut impl Sink) -> ProtoError {
        report(sink, ByteClass::Stray, stray_bytes);
        self.is_closing = true;
        self.state = State::Failed;
        error
    }
}

/// The verdict on a head that ends where `text` ends; one line end may stand before it.
fn whole_head(
    text: &[u8],
    memo: &mut Memo,
    head_request: bool,
    sink: &mut impl Sink,
) -> Result<Head, ProtoError> {
    if let Some((head, _)) = memo.recall(text, head_request) {
        return Ok(head);
    }
    let from_status_line = text.strip_prefix(b"\r\n").unwrap_or(text);
    match head::parse(from_status_line, head_request) {
        Parsed::Whole { mut head, bytes } => {
            debug_assert_eq!(bytes, from_status_line.len());
            if let Ok(head) = &mut head {
                label(head, from_status_line, sink);
                memo.keep(from_status_line, head, head_request);
            }
            head
        }
        Parsed::Refused(error) => Err(error),
        Parsed::Partial => Err(ProtoError::Parse),
    }
}

/// Asks the sink for the label of a head that was just parsed.
fn label(head: &mut Head, text: &[u8], sink: &mut impl Sink) {
    if !head.is_interim() {
        head.answer.label = sink.label(text);
    }
}

fn report(sink: &mut impl Sink, class: ByteClass, count: usize) -> usize {
    if count > 0 {
        sink.bytes(class, count as u64);
    }
    count
}

/// Bytes of memory held for heads that come in pieces.
#[cfg(test)]
pub(super) fn scratch_capacity(codec: &ClientCodec) -> usize {
    codec.scratch.capacity()
}
