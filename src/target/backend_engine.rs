//! The fast engine: one loop in each thread over our own `io::Backend`.
//!
//! Owns the slots, each connection's queue of answers, and what is due when. Knows nothing of what
//! the backend stands on. The idea: a read becomes a run of equal answers, a run becomes ranges of the
//! arena, and nothing is allocated per request.
//!
//! A socket has at most one send in flight and each is confirmed: a client that pipelines without
//! reading fills its socket's buffer, and a second send behind a pending one could overtake the
//! rest of it. Answers that come due meanwhile wait in the queue and leave together.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::net::{Shutdown, TcpStream};
use std::os::fd::OwnedFd;

use crate::epoll::Epoll;
use crate::io::{
    Backend, BackendError, CloseKind, Completion, Completions, Confirm, IoError, Op, OpKind,
    QueueFull, RecvLease, Setup, Slot, Spin, Token,
};
use crate::limits;
use crate::sys;
use crate::uring::Uring;

use super::StartError;
use super::answers::{Content, Cursor, Piece, count_answer};
use super::counts;
use super::faults::Fault;
use super::listen::{AcceptFailure, accept_failure};
use super::schedule::{Schedule, Span};
use super::session::{Memo, Replies, Run, Session};
use super::stamps::{Stamp, Stamps};
use super::thread::{Dealt, Thread};

/// Connections of one thread; the ring's table and completion queue are sized for it.
const SLOTS_MAX: u32 = 16 * 1024;
/// Scratch for the answers to `/__count`.
const SEND_BUFFERS: u16 = 16;
/// Longest answer to `/__count`: eight numbers of twenty digits, their names and a head.
const SEND_BUFFER_BYTES: usize = 1024;

/// How often waiting connections are looked for. Accepting is outside the backend's vocabulary, so
/// nothing wakes the loop for it.
const ACCEPT_INTERVAL_NS: u64 = 500_000;
/// How long it looks for requests before it sleeps. A generator that has to wake its target pays
/// for it, and the generator is what is to be measured: up to a gap of this length, at 5,000 requests
/// a second or more, it never has to.
const SPIN_NS: u64 = 200_000;
/// Pause after an accept that failed for want of descriptors.
const ACCEPT_PAUSE_NS: u64 = 10_000_000;
/// Connections taken in one turn, so that a flood of them does not starve the others.
const ACCEPTS_PER_TURN: u32 = 64;
/// How long connections may take to end when the server stops.
const STOP_GRACE_NS: u64 = 60_000_000;
/// How long a closed connection is still read, so that unread bytes do not turn its end into a
/// reset which destroys answers on their way (RFC 9112 section 9.6).
const LINGER_NS: u64 = 1_000_000_000;
/// Runs queued on one connection before it is no longer read, and read again when they are sent.
const QUEUED_RUNS_MAX: usize = 256;
/// The same where answers wait: each may be a run of its own then, and the deepest pipeline must
/// be read while it waits, since its arrivals are stamped as it is read.
const WAITING_RUNS_MAX: usize = 16 * 1024;

/// A run of answers and the time before which it must not leave.
#[derive(Clone, Copy, Debug)]
struct Queued {
    run: Run,
    due_ns: u64,
}

/// Where a connection stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    /// The slot is empty.
    Free,
    /// Requests are read and answered.
    Open,
    /// No more requests are read; what is queued is sent, then our side ends.
    Ending,
    /// The same, but the end is a reset.
    Breaking,
    /// What is queued is sent; requests are read and counted, and never answered.
    Silent,
    /// The peer has ended; what is queued is sent, then the slot is freed.
    PeerEnded,
    /// Our side has ended; bytes are thrown away until the peer ends its own.
    Lingering,
}

/// What a send in flight will have done when it is confirmed.
#[derive(Clone, Copy, Debug)]
struct InFlight {
    counted_answers: u32,
}

/// One slot's connection.
#[derive(Debug)]
struct Conn {
    phase: Phase,
    generation: u32,
    /// A second descriptor of the socket in the slot, to end one side of it.
    stream: Option<TcpStream>,
    session: Session,
    queue: VecDeque<Queued>,
    /// The run being sent.
    cursor: Option<(Cursor, bool)>,
    in_flight: Option<InFlight>,
    is_receiving: bool,
    /// Not read until the queue is empty.
    is_paused: bool,
    /// Number of the connection in order of accepts.
    number: u32,
    /// Requests on it that were given a time.
    timed_requests: u32,
    /// When the last of their answers is due.
    last_due_ns: u64,
}

impl Conn {
    fn new() -> Self {
        Self {
            phase: Phase::Free,
            generation: 0,
            stream: None,
            session: Session::new(None),
            queue: VecDeque::new(),
            cursor: None,
            in_flight: None,
            is_receiving: false,
            is_paused: false,
            number: 0,
            timed_requests: 0,
            last_due_ns: 0,
        }
    }

    fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.cursor.is_none() && self.in_flight.is_none()
    }

    /// Queues a run; false when it joined the one before it.
    fn enqueue(&mut self, run: Run, due_ns: u64) -> bool {
        match self.queue.back_mut() {
            Some(last) if last.run.answer == run.answer && last.due_ns == due_ns => {
                last.run.count = last.run.count.saturating_add(run.count);
                false
            }
            _ => {
                self.queue.push_back(Queued { run, due_ns });
                true
            }
        }
    }
}

/// A moment at which a connection wants attention, unless it is another by then.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Due {
    at_ns: u64,
    /// What was queued first comes first among equals.
    sequence: u64,
    index: u32,
    generation: u32,
}

/// What a thread keeps when answers wait or are logged.
#[derive(Debug)]
struct Timer {
    schedule: Schedule,
    /// Answers that wait, the earliest first.
    due: BinaryHeap<Reverse<Due>>,
    queued: u64,
    stamps: Option<Stamps>,
}

impl Timer {
    /// `None` when answers leave at once and nothing is logged.
    fn new(thread: &Thread) -> Option<Self> {
        let timing = &thread.timing;
        let threads = thread.shared.tallies.len();
        (timing.plain_delay_ns() != Some(0)).then(|| Self {
            schedule: Schedule::new(timing, thread.index),
            due: BinaryHeap::new(),
            queued: 0,
            stamps: timing.is_logged.then(|| Stamps::new(&thread.shared.stamp_budget, threads)),
        })
    }

    /// Gives each request of a read its time and queues the answers.
    fn enqueue(&mut self, thread: &Thread, conn: &mut Conn, index: u32, now_ns: u64, runs: &[Run]) {
        for &run in runs {
            if !run.answer.is_counted() {
                // In its turn, but for no reason of its own later.
                conn.enqueue(run, 0);
                continue;
            }
            if self.schedule.wants_beginning() {
                self.schedule.begin(thread.shared.first_request_ns(now_ns));
            }
            for _ in 0..run.count {
                let span = self.schedule.next(now_ns, conn.last_due_ns);
                let Span { start_ns, end_ns } = span;
                if let Some(stamps) = &mut self.stamps {
                    let (connection, number) = (conn.number, conn.timed_requests);
                    let stamp = Stamp { arrival_ns: now_ns, start_ns, end_ns, connection, number };
                    stamps.push(stamp, &thread.shared.stamp_budget);
                }
                conn.timed_requests = conn.timed_requests.wrapping_add(1);
                conn.last_due_ns = end_ns;
                if conn.enqueue(Run { count: 1, ..run }, end_ns) && end_ns > now_ns {
                    let (sequence, generation) = (self.queued, conn.generation);
                    self.due.push(Reverse(Due { at_ns: end_ns, sequence, index, generation }));
                    self.queued += 1;
                }
            }
        }
    }

    /// The next answer that is due at `now_ns`.
    fn pop_due(&mut self, now_ns: u64) -> Option<Due> {
        if self.due.peek()?.0.at_ns > now_ns {
            return None;
        }
        self.due.pop().map(|Reverse(due)| due)
    }
}

/// The body of a thread on our own ring; gives its stamps if it kept any.
pub(super) fn on_ring(
    thread: Thread,
    ready: impl FnOnce(Result<(), StartError>),
) -> Result<Option<Stamps>, BackendError> {
    run(thread, ready, |setup, clock| Uring::new(setup, clock).map_err(StartError::Ring))
}

/// The same on epoll.
pub(super) fn on_epoll(
    thread: Thread,
    ready: impl FnOnce(Result<(), StartError>),
) -> Result<Option<Stamps>, BackendError> {
    run(thread, ready, |setup, clock| Epoll::new(setup, clock).map_err(StartError::Epoll))
}

fn run<B: Backend>(
    mut thread: Thread,
    ready: impl FnOnce(Result<(), StartError>),
    make: fn(Setup, sys::Clock) -> Result<B, StartError>,
) -> Result<Option<Stamps>, BackendError> {
    let slots = slots_allowed();
    let timer = Timer::new(&thread);
    let setup = Setup {
        slots,
        arena: thread.answers.arena().into(),
        addresses: Vec::new(),
        sources: Vec::new(),
        tcp_congestion: None,
        recv_buffer_bytes: limits::RECV_BUFFER_BYTES,
        recv_buffers: limits::RECV_BUFFERS,
        send_buffers: SEND_BUFFERS,
        send_buffer_bytes: SEND_BUFFER_BYTES,
        spin: Spin {
            after_work_ns: SPIN_NS,
            // Nor does it sleep through the last stretch before an answer's time.
            before_deadline_ns: if timer.is_some() { SPIN_NS } else { 0 },
            ..Spin::NEVER
        },
        keeps_deadline: false,
    };
    let backend = match make(setup, thread.clock) {
        Ok(backend) => backend,
        Err(error) => {
            ready(Err(error));
            return Ok(None);
        }
    };
    ready(Ok(()));
    serve(backend, &mut thread, slots, timer)
}

/// How many connections the descriptor limit allows: the ring's table may not be larger than it.
fn slots_allowed() -> u32 {
    match sys::ensure_descriptors(2 * u64::from(SLOTS_MAX)) {
        Ok(()) => SLOTS_MAX,
        Err(limit) => (limit.hard / 2).clamp(1, u64::from(SLOTS_MAX)) as u32,
    }
}

/// One thread's server.
struct Engine<'a, B: Backend> {
    backend: B,
    thread: &'a mut Thread,
    conns: Vec<Conn>,
    free: VecDeque<u32>,
    memo: Memo,
    replies: Replies,
    timer: Option<Timer>,
    /// Ends of lingering: in order of time, since each waits equally long.
    lingering: VecDeque<Due>,
    /// Operations that found the submission queue full.
    unqueued: VecDeque<(Op, Token)>,
    /// Connections that found no scratch buffer.
    without_scratch: Vec<u32>,
    accept_at_ns: u64,
    now_ns: u64,
}

/// Serves until the server stops, with `slots` connections at most.
fn serve<B: Backend>(
    backend: B,
    thread: &mut Thread,
    slots: u32,
    timer: Option<Timer>,
) -> Result<Option<Stamps>, BackendError> {
    let mut engine = Engine {
        backend,
        thread,
        conns: (0..slots).map(|_| Conn::new()).collect(),
        free: (0..slots).collect(),
        memo: Memo::default(),
        replies: Replies::default(),
        timer,
        lingering: VecDeque::new(),
        unqueued: VecDeque::new(),
        without_scratch: Vec::new(),
        accept_at_ns: 0,
        now_ns: 0,
    };
    let mut done = Completions::with_capacity(limits::COMPLETIONS_PER_TURN);
    engine.now_ns = engine.backend.now_ns();
    while !engine.thread.shared.is_stopping() {
        if engine.now_ns >= engine.accept_at_ns {
            engine.accept()?;
        }
        engine.turn(engine.accept_at_ns, &mut done)?;
    }
    engine.stop(&mut done)?;
    Ok(engine.timer.and_then(|timer| timer.stamps))
}

impl<B: Backend> Engine<'_, B> {
    /// One turn of the backend and all that follows from it.
    fn turn(&mut self, until_ns: u64, done: &mut Completions) -> Result<(), BackendError> {
        let answer = self.timer.as_ref().and_then(|timer| timer.due.peek()).map(|due| &due.0);
        let due = [answer, self.lingering.front()].into_iter().flatten();
        let until_ns = due.map(|due| due.at_ns).fold(until_ns, u64::min);
        // What found the queue full is tried again after a turn that does not wait.
        let until_ns = if self.unqueued.is_empty() { until_ns } else { 0 };
        self.backend.turn(until_ns, done)?;
        self.now_ns = done.stamp_ns;
        while let Some((op, token)) = self.unqueued.pop_front() {
            if let Err(QueueFull(op)) = self.backend.push(op, token) {
                self.unqueued.push_front((op, token));
                break;
            }
        }
        // Before the completions, so that answers leave in the order in which they are due: none of
        // a request that came only now is due earlier.
        while let Some(due) = self.timer.as_mut().and_then(|timer| timer.pop_due(self.now_ns)) {
            if self.is_current(due.index, due.generation) {
                self.pump(due.index);
            }
        }
        for completion in done.items.drain(..) {
            self.complete(completion);
        }
        while let Some(due) = self.lingering.pop_front_if(|due| due.at_ns <= self.now_ns) {
            if self.is_current(due.index, due.generation) {
                self.close(due.index);
            }
        }
        for index in std::mem::take(&mut self.without_scratch) {
            self.pump(index);
        }
        Ok(())
    }

    /// Queues an operation, now or as soon as there is room. Operations of one slot stay in order.
    fn push(&mut self, op: Op, token: Token) {
        if !self.unqueued.is_empty() {
            self.unqueued.push_back((op, token));
        } else if let Err(QueueFull(op)) = self.backend.push(op, token) {
            self.unqueued.push_back((op, token));
        }
    }

    fn token(&self, kind: OpKind, index: u32) -> Token {
        Token::new(kind, self.conns[index as usize].generation, index)
    }

    fn is_current(&self, index: u32, generation: u32) -> bool {
        let conn = &self.conns[index as usize];
        conn.phase != Phase::Free && conn.generation == generation
    }

    /// Takes connections while there are any, and slots for them.
    fn accept(&mut self) -> Result<(), BackendError> {
        self.accept_at_ns = self.now_ns + ACCEPT_INTERVAL_NS;
        // A slot's close may still wait for room; it must not end the slot's next connection.
        if !self.unqueued.is_empty() {
            return Ok(());
        }
        for _ in 0..ACCEPTS_PER_TURN {
            if self.free.is_empty() {
                return Ok(());
            }
            if let Ok(dealt) = self.thread.inbox.try_recv() {
                self.open(dealt)?;
                continue;
            }
            match self.thread.listener.accept() {
                Ok((stream, _)) => {
                    if let Some(dealt) = self.thread.shared.deal(self.thread.index, stream) {
                        self.open(dealt)?;
                    }
                }
                Err(error) => match accept_failure(&error) {
                    AcceptFailure::Gone => {}
                    AcceptFailure::Empty => return Ok(()),
                    AcceptFailure::Exhausted => {
                        self.thread.tally().accept_failures.add(1);
                        self.accept_at_ns = self.now_ns + ACCEPT_PAUSE_NS;
                        return Ok(());
                    }
                },
            }
        }
        // More may wait: look again in the next turn.
        self.accept_at_ns = self.now_ns;
        Ok(())
    }

    fn open(&mut self, dealt: Dealt) -> Result<(), BackendError> {
        let Dealt { stream, number } = dealt;
        // Fails only on a connection that is gone already, which its first read will tell.
        let _ = stream.set_nodelay(true);
        let Ok(for_slot) = stream.try_clone() else {
            self.thread.tally().accept_failures.add(1);
            return Ok(());
        };
        let Some(index) = self.free.pop_front() else {
            return Ok(());
        };
        self.backend.adopt(Slot(index), OwnedFd::from(for_slot))?;
        let conn = &mut self.conns[index as usize];
        conn.phase = Phase::Open;
        conn.stream = Some(stream);
        conn.session = Session::new(self.thread.close_after);
        conn.number = number as u32;
        conn.timed_requests = 0;
        conn.last_due_ns = 0;
        self.thread.tally().connections.add(1);
        self.receive(index);
        Ok(())
    }

    /// Reads on, unless the connection is being read or must not be.
    fn receive(&mut self, index: u32) {
        let conn = &mut self.conns[index as usize];
        if conn.is_receiving || conn.is_paused {
            return;
        }
        conn.is_receiving = true;
        let token = self.token(OpKind::Recv, index);
        self.push(Op::RecvStream { slot: Slot(index) }, token);
    }

    fn complete(&mut self, completion: Completion) {
        let Completion { token, result, lease, more, .. } = completion;
        let index = token.index();
        if !self.is_current(index, token.generation()) {
            if let Some(lease) = lease {
                self.backend.recycle(lease);
            }
            return;
        }
        match token.kind() {
            OpKind::Send => self.sent(index, result),
            OpKind::Recv | OpKind::Connect | OpKind::Discard => {
                self.conns[index as usize].is_receiving = more;
                self.received(index, result, lease);
            }
        }
    }

    fn received(&mut self, index: u32, result: Result<u32, IoError>, lease: Option<RecvLease>) {
        if let Some(lease) = lease {
            self.take_bytes(index, lease);
        }
        match result {
            Ok(1..) | Err(IoError::NoBuffers | IoError::Cancelled) => {
                if self.conns[index as usize].phase != Phase::Free {
                    self.receive(index);
                }
            }
            Ok(0) => {
                let conn = &mut self.conns[index as usize];
                let is_over = conn.is_idle() || conn.phase == Phase::Lingering;
                conn.phase = Phase::PeerEnded;
                if is_over {
                    self.close(index);
                }
            }
            Err(_) => self.close(index),
        }
    }

    /// Reads the requests in a receive and queues their answers.
    fn take_bytes(&mut self, index: u32, lease: RecvLease) {
        let conn = &mut self.conns[index as usize];
        let tally = self.thread.tally();
        tally.bytes_in.add(lease.len() as u64);
        if !matches!(conn.phase, Phase::Open | Phase::Silent) {
            self.backend.recycle(lease);
            return;
        }
        let replies = &mut self.replies;
        replies.clear();
        conn.session.receive(&mut self.memo, self.backend.bytes(&lease), replies);
        self.backend.recycle(lease);
        tally.requests.add(replies.requests);
        tally.malformed.add(replies.malformed);
        if conn.phase == Phase::Silent {
            return;
        }
        let struck = self.thread.faults.as_mut().and_then(|f| f.strike(&mut replies.runs));
        let mut runs_max = QUEUED_RUNS_MAX;
        if let Some(timer) = &mut self.timer {
            timer.enqueue(self.thread, conn, index, self.now_ns, &replies.runs);
            runs_max = WAITING_RUNS_MAX;
        } else {
            for &run in &replies.runs {
                conn.enqueue(run, 0);
            }
        }
        conn.phase = match struck {
            Some(Fault::Silence) => Phase::Silent,
            Some(Fault::Reset) => Phase::Breaking,
            Some(_) => Phase::Ending,
            None if replies.closes => Phase::Ending,
            None => Phase::Open,
        };
        if conn.queue.len() > runs_max && !conn.is_paused {
            conn.is_paused = true;
            if conn.is_receiving {
                let token = self.token(OpKind::Recv, index);
                self.push(Op::CancelRecv { slot: Slot(index) }, token);
            }
        }
        self.pump(index);
    }

    fn sent(&mut self, index: u32, result: Result<u32, IoError>) {
        let in_flight = self.conns[index as usize].in_flight.take();
        let (Ok(bytes), Some(in_flight)) = (result, in_flight) else {
            return self.close(index);
        };
        let tally = self.thread.tally();
        tally.bytes_out.add(u64::from(bytes));
        tally.answers.add(u64::from(in_flight.counted_answers));
        self.pump(index);
    }

    /// Sends the next range that is due; ends the connection when it was the last.
    fn pump(&mut self, index: u32) {
        let conn = &mut self.conns[index as usize];
        if conn.in_flight.is_some() || matches!(conn.phase, Phase::Free | Phase::Lingering) {
            return;
        }
        loop {
            if let Some((cursor, is_counted)) = &mut conn.cursor {
                if let Some(piece) = cursor.next_piece(&self.thread.answers) {
                    let Piece { range, completes } = piece;
                    let counted_answers = if *is_counted { completes } else { 0 };
                    conn.in_flight = Some(InFlight { counted_answers });
                    let (start, len) = (range.start as u32, range.len() as u32);
                    let op = Op::Send { slot: Slot(index), start, len, confirm: Confirm::Always };
                    let token = self.token(OpKind::Send, index);
                    return self.push(op, token);
                }
                conn.cursor = None;
            }
            let Some(next) = conn.queue.front_mut().filter(|next| next.due_ns <= self.now_ns)
            else {
                break;
            };
            let answer = next.run.answer;
            if answer.content == Content::Count {
                return self.send_count(index);
            }
            let mut count = next.run.count;
            conn.queue.pop_front();
            // What came due one by one leaves together.
            let joins = |next: &mut Queued| next.run.answer == answer && next.due_ns <= self.now_ns;
            while let Some(next) = conn.queue.pop_front_if(joins) {
                count = count.saturating_add(next.run.count);
            }
            conn.cursor = Some((Cursor::new(answer, count), answer.is_counted()));
        }
        if conn.queue.is_empty() {
            self.drained(index);
        }
    }

    /// Sends one answer to `/__count`.
    fn send_count(&mut self, index: u32) {
        let conn = &mut self.conns[index as usize];
        let Some(next) = conn.queue.front_mut() else { return };
        let Some(mut lease) = self.backend.lease_send() else {
            return self.without_scratch.push(index);
        };
        let json = counts::total(&self.thread.shared.tallies).to_json();
        let bytes = count_answer(&json, next.run.answer.persistence);
        next.run.count -= 1;
        if next.run.count == 0 {
            conn.queue.pop_front();
        }
        self.backend.send_bytes_mut(&mut lease)[..bytes.len()].copy_from_slice(&bytes);
        conn.in_flight = Some(InFlight { counted_answers: 0 });
        let op = Op::SendLeased { slot: Slot(index), lease, len: bytes.len() as u32 };
        let token = self.token(OpKind::Send, index);
        self.push(op, token);
    }

    /// Everything queued on the connection has left.
    fn drained(&mut self, index: u32) {
        let conn = &mut self.conns[index as usize];
        match conn.phase {
            Phase::Open | Phase::Silent => {
                if conn.is_paused {
                    conn.is_paused = false;
                    self.receive(index);
                }
            }
            Phase::Ending => {
                let is_ended =
                    conn.stream.as_ref().is_none_or(|s| s.shutdown(Shutdown::Write).is_err());
                conn.phase = Phase::Lingering;
                conn.is_paused = false;
                let generation = conn.generation;
                if is_ended {
                    return self.close(index);
                }
                let at_ns = self.now_ns + LINGER_NS;
                self.lingering.push_back(Due { at_ns, sequence: 0, index, generation });
                self.receive(index);
            }
            Phase::PeerEnded => self.close(index),
            Phase::Breaking => self.end(index, CloseKind::Reset),
            Phase::Free | Phase::Lingering => {}
        }
    }

    /// Frees the slot, whatever is in flight.
    fn close(&mut self, index: u32) {
        self.end(index, CloseKind::Orderly);
    }

    /// The same with a FIN or a RST.
    fn end(&mut self, index: u32, kind: CloseKind) {
        let token = self.token(OpKind::Recv, index);
        self.push(Op::Close { slot: Slot(index), kind }, token);
        let conn = &mut self.conns[index as usize];
        conn.phase = Phase::Free;
        conn.generation = (conn.generation + 1) % Token::GENERATIONS;
        conn.stream = None;
        conn.queue.clear();
        conn.cursor = None;
        conn.in_flight = None;
        conn.is_receiving = false;
        conn.is_paused = false;
        self.free.push_back(index);
        self.thread.tally().closed.add(1);
    }

    /// Shuts every connection down and waits for the sends in flight, so that they are counted.
    fn stop(&mut self, done: &mut Completions) -> Result<(), BackendError> {
        let until_ns = self.now_ns + STOP_GRACE_NS;
        let streams = self.conns.iter().filter_map(|conn| conn.stream.as_ref());
        for stream in streams {
            // Fails only when the peer has ended the connection, which then ends as well.
            let _ = stream.shutdown(Shutdown::Both);
        }
        while self.free.len() < self.conns.len() && self.now_ns < until_ns {
            self.turn(until_ns, done)?;
        }
        for index in 0..self.conns.len() as u32 {
            if self.conns[index as usize].phase != Phase::Free {
                self.close(index);
            }
        }
        self.turn(self.now_ns, done)
    }
}
