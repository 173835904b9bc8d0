//! The turn loop without the work: it counts bytes and sends a request for every answer's worth.
//!
//! Owns the yardstick of the benches. Knows no HTTP: every answer is taken to have the same length,
//! which whoever calls has found out. No parsing, no stamp per request, no histogram, no timeout;
//! a connection that ends is a panic. What it shares with the worker is the backend and the way
//! of using it: one multishot receive per connection, unconfirmed sends from the arena, as many
//! requests sent at once as answers arrived at once.

use wring::io::{Backend, Completion, Completions, Confirm, IoError, Op, OpKind, Slot, Token};
use wring::limits;

/// Connection attempts begun in one turn; two operations each.
const CONNECTING_MAX: u32 = 64;
/// First batches sent in one turn.
const FIRST_SENDS_MAX: u32 = 128;
/// Longest opening, and longest wait for outstanding answers, in nanoseconds.
const PATIENCE_NS: u64 = 5_000_000_000;

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Number of connections, in slots `0 ..`.
    pub(crate) connections: u32,
    /// Requests outstanding on each; the arena holds as many.
    pub(crate) depth: u32,
    /// Bytes of one request.
    pub(crate) request_bytes: u32,
    /// Bytes of one answer.
    pub(crate) answer_bytes: u64,
    /// Requests to send; `u64::MAX` is without bound.
    pub(crate) requests: u64,
    /// Length of the window, in nanoseconds.
    pub(crate) duration_ns: u64,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counted {
    /// Requests sent.
    pub(crate) sent: u64,
    /// Answers to them, those after the window included.
    pub(crate) answers: u64,
    /// Answers that arrived inside the window.
    pub(crate) answers_in_window: u64,
    /// Bytes that arrived inside the window.
    pub(crate) bytes_in_window: u64,
    /// Length of the window, in nanoseconds.
    pub(crate) window_ns: u64,
    /// CPU time of the thread in the window, in nanoseconds.
    pub(crate) busy_ns: u64,
}

struct Counting<B> {
    backend: B,
    load: Load,
    /// Bytes of an answer that is not whole yet, for each connection.
    rest_bytes: Vec<u64>,
    opened: u32,
    is_sending: bool,
    bytes: u64,
    counted: Counted,
}

/// Opens the connections, loads them until the window or the requests end, and waits for what is
/// outstanding. `cpu_ns` tells the calling thread's CPU time.
pub(crate) fn run<B: Backend>(backend: B, load: Load, cpu_ns: fn() -> u64) -> (Counted, B) {
    let outstanding_bytes = load.request_bytes as usize * load.depth as usize;
    assert!(
        outstanding_bytes <= limits::UNCONFIRMED_SEND_BYTES_MAX,
        "{outstanding_bytes} bytes outstanding may not fit the socket: choose a smaller depth"
    );
    let mut this = Counting {
        backend,
        load,
        rest_bytes: vec![0; load.connections as usize],
        opened: 0,
        is_sending: false,
        bytes: 0,
        counted: Counted::default(),
    };
    let mut done = Completions::with_capacity(limits::COMPLETIONS_PER_TURN);
    this.open(&mut done);
    this.load(&mut done, cpu_ns);
    (this.counted, this.backend)
}

impl<B: Backend> Counting<B> {
    fn open(&mut self, done: &mut Completions) {
        let patience_end_ns = self.backend.now_ns() + PATIENCE_NS;
        for index in 0..self.load.connections {
            let op = Op::Connect { slot: Slot(index), address_index: 0 };
            self.push(op, OpKind::Connect, index);
            let begun = index + 1;
            while (begun % CONNECTING_MAX == 0 || begun == self.load.connections)
                && self.opened < begun
            {
                self.turn(patience_end_ns, done);
                assert!(done.stamp_ns < patience_end_ns, "{} connections opened", self.opened);
            }
        }
    }

    fn load(&mut self, done: &mut Completions, cpu_ns: fn() -> u64) {
        let cpu_start_ns = cpu_ns();
        let start_ns = self.backend.now_ns();
        let deadline_ns = start_ns.saturating_add(self.load.duration_ns);
        let mut now_ns = start_ns;
        self.is_sending = true;
        for index in 0..self.load.connections {
            self.send(index, u64::from(self.load.depth));
            if (index + 1) % FIRST_SENDS_MAX == 0 {
                now_ns = self.turn(deadline_ns, done);
            }
        }
        while now_ns < deadline_ns && self.counted.answers < self.load.requests {
            let before = (self.counted.answers, self.bytes);
            now_ns = self.turn(deadline_ns, done);
            // What a turn brings that ends behind the window counts outside it, as it does for
            // the worker.
            let now = (self.counted.answers, self.bytes);
            (self.counted.answers_in_window, self.counted.bytes_in_window) =
                if now_ns < deadline_ns { now } else { before };
        }
        self.counted.window_ns = now_ns.min(deadline_ns) - start_ns;
        self.counted.busy_ns = cpu_ns() - cpu_start_ns;
        self.is_sending = false;
        let patience_end_ns = now_ns + PATIENCE_NS;
        while self.counted.answers < self.counted.sent && now_ns < patience_end_ns {
            now_ns = self.turn(patience_end_ns, done);
        }
    }

    /// Gives the time of the turn.
    fn turn(&mut self, until_ns: u64, done: &mut Completions) -> u64 {
        self.backend.turn(until_ns, done).expect("the backend works");
        for completion in done.items.drain(..) {
            self.complete(completion);
        }
        done.stamp_ns
    }

    #[inline]
    fn complete(&mut self, completion: Completion) {
        let index = completion.token.index();
        match completion.token.kind() {
            OpKind::Recv => {
                if !completion.more {
                    self.push(Op::RecvStream { slot: Slot(index) }, OpKind::Recv, index);
                }
                let Some(lease) = completion.lease else {
                    // Other connections hold all buffers for now.
                    assert_eq!(completion.result, Err(IoError::NoBuffers), "connection {index}");
                    return;
                };
                let bytes = lease.len() as u64;
                self.backend.recycle(lease);
                self.bytes += bytes;
                let rest_bytes = self.rest_bytes[index as usize] + bytes;
                let answers = rest_bytes / self.load.answer_bytes;
                self.rest_bytes[index as usize] = rest_bytes - answers * self.load.answer_bytes;
                self.counted.answers += answers;
                self.send(index, answers);
            }
            OpKind::Connect => {
                assert_eq!(completion.result, Ok(0), "connection {index} was not opened");
                self.opened += 1;
                self.push(Op::RecvStream { slot: Slot(index) }, OpKind::Recv, index);
            }
            kind => panic!("{kind:?} of connection {index} failed: {:?}", completion.result),
        }
    }

    #[inline]
    fn send(&mut self, index: u32, count: u64) {
        let count = count.min(self.load.requests - self.counted.sent);
        if count == 0 || !self.is_sending {
            return;
        }
        let len = count as u32 * self.load.request_bytes;
        let op = Op::Send { slot: Slot(index), start: 0, len, confirm: Confirm::OnFailure };
        self.push(op, OpKind::Send, index);
        self.counted.sent += count;
    }

    /// A turn hands over at most 256 completions, and none leads to more than two operations, so
    /// the queue of 512 always has room.
    #[inline]
    fn push(&mut self, op: Op, kind: OpKind, index: u32) {
        self.backend.push(op, Token::new(kind, 0, index)).expect("the queue has room");
    }
}
