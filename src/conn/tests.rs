//! One connection over a backend that does what the test says: what no model server brings about.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;

use super::*;
use crate::io::{BackendError, Completions, QueueFull, RecvLease, SendLease, Token as IoToken};
use crate::record::interval_queue;

const MS: u64 = 1_000_000;
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Takes every operation, and lends the same bytes again and again.
#[derive(Default)]
struct Scripted {
    pushed: Vec<(String, IoToken)>,
    bytes: Vec<u8>,
    leases_made: u16,
    leases_out: BTreeSet<u16>,
}

impl Scripted {
    fn lease(&mut self) -> RecvLease {
        self.leases_made += 1;
        assert!(self.leases_out.insert(self.leases_made));
        RecvLease::new(self.leases_made, self.bytes.len() as u32)
    }
}

impl Backend for Scripted {
    fn now_ns(&mut self) -> u64 {
        0
    }

    fn push(&mut self, op: Op, token: IoToken) -> Result<(), QueueFull> {
        let name = format!("{op:?}");
        let name = name.split([' ', '{']).next().unwrap_or_default();
        self.pushed.push((name.to_owned(), token));
        Ok(())
    }

    fn turn(&mut self, _until_ns: u64, _done: &mut Completions) -> Result<(), BackendError> {
        Ok(())
    }

    fn bytes(&self, _lease: &RecvLease) -> &[u8] {
        &self.bytes
    }

    fn bytes_mut(&mut self, _lease: &mut RecvLease) -> &mut [u8] {
        &mut self.bytes
    }

    fn recycle(&mut self, lease: RecvLease) {
        assert!(self.leases_out.remove(&lease.buffer()), "given back twice");
    }

    fn lease_send(&mut self) -> Option<SendLease> {
        None
    }

    fn return_send(&mut self, _lease: SendLease) {}

    fn send_bytes_mut(&mut self, _lease: &mut SendLease) -> &mut [u8] {
        &mut []
    }

    fn adopt(&mut self, _slot: Slot, _fd: OwnedFd) -> Result<(), BackendError> {
        Err(BackendError { call: "adopt", errno: 0 })
    }

    fn description(&self) -> String {
        "scripted".to_owned()
    }
}

/// A connection with all it works with.
struct Bench {
    conn: Conn,
    backend: Scripted,
    recorder: Recorder,
    memo: Memo,
    shape: Shape,
    rng: Rng,
}

impl Bench {
    /// One that is open and has a request on its way.
    fn waiting() -> Self {
        let request = Request::new("GET", "/", "h", &[], None).unwrap();
        let shape = Shape::new(&request, &request.arena(2), 2, 100 * MS, 70 * MS, 1);
        let (writer, _) = interval_queue(1000 * MS);
        let seat = Seat { origin: 0, address: 0, address_first: 0, addresses: 1 };
        let mut bench = Self {
            conn: Conn::new(0, seat, &shape),
            backend: Scripted { bytes: OK.to_vec(), ..Scripted::default() },
            recorder: Recorder::new(writer),
            memo: Memo::new(),
            shape,
            rng: Rng::new(1),
        };
        bench.open();
        bench
    }

    fn with<T>(&mut self, act: impl FnOnce(&mut Conn, &mut Context<'_, Scripted>) -> T) -> T {
        let mut ctx = Context {
            backend: &mut self.backend,
            recorder: &mut self.recorder,
            memo: &mut self.memo,
            shape: &self.shape,
            rng: &mut self.rng,
            turn: 1,
        };
        act(&mut self.conn, &mut ctx)
    }

    fn open(&mut self) {
        assert_eq!(self.with(|conn, ctx| conn.connect(ctx)), Pumped::Done);
        let token = self.conn.token(OpKind::Connect);
        self.complete(token, Ok(0), false);
        assert_eq!(self.conn.status(), Status::Open);
        assert_eq!(self.with(|conn, ctx| conn.start(ctx, 1)), 1);
    }

    /// A completion; with bytes if it is a receive that succeeded.
    fn complete(&mut self, token: IoToken, result: Result<u32, IoError>, more: bool) {
        self.complete_with(token, result, more, false);
    }

    fn complete_with(
        &mut self,
        token: IoToken,
        result: Result<u32, IoError>,
        more: bool,
        has_rest: bool,
    ) {
        let has_bytes = token.kind() == OpKind::Recv && matches!(result, Ok(1..));
        let lease = has_bytes.then(|| self.backend.lease());
        self.with(|conn, ctx| {
            conn.complete(Completion { token, result, lease, more, has_rest }, ctx);
        });
    }

    fn recv(&self) -> IoToken {
        self.conn.token(OpKind::Recv)
    }

    fn counts(&self) -> String {
        format!("{:?} {:?}", self.recorder.record(), self.recorder.inflight())
    }
}

/// Ends a connection.
type End = fn(&mut Bench);

/// Every way in which a connection ends while its receive is still under way.
const ENDINGS: [(&str, End); 5] = [
    ("a timeout", |bench| {
        bench.recorder.advance(100 * MS);
        bench.with(|conn, ctx| conn.check_time(ctx));
    }),
    ("an answer that breaks the rules", |bench| {
        bench.backend.bytes = b"no answer\r\n\r\n".to_vec();
        let recv = bench.recv();
        bench.complete(recv, Ok(13), true);
        bench.backend.bytes = OK.to_vec();
    }),
    ("a send that fails", |bench| {
        let send = bench.conn.token(OpKind::Send);
        bench.complete(send, Err(IoError::Other(5)), false);
    }),
    ("a parting that takes too long", |bench| {
        bench.backend.bytes =
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".to_vec();
        let recv = bench.recv();
        bench.complete(recv, Ok(57), true);
        assert_eq!(bench.conn.status(), Status::Parting);
        bench.backend.bytes = OK.to_vec();
        bench.recorder.advance(PARTING_NS);
        bench.with(|conn, ctx| conn.check_time(ctx));
    }),
    ("the end of the run", |bench| bench.with(|conn, ctx| conn.finish(ctx))),
];

#[test]
fn late_completions_give_their_bytes_back_and_change_nothing() {
    for (ending, end) in ENDINGS {
        for is_open_again in [false, true] {
            let mut bench = Bench::waiting();
            let old = bench.recv();
            end(&mut bench);
            assert_eq!(bench.conn.status(), Status::Down, "{ending}");
            assert_eq!(bench.backend.pushed.last().unwrap().0, "Close", "{ending}");
            if is_open_again {
                bench.open();
            }
            let (counts, status) = (bench.counts(), bench.conn.status());
            let inflight = bench.recorder.inflight();
            let pushed = bench.backend.pushed.len();
            bench.complete(old, Ok(OK.len() as u32), true);
            bench.complete(old, Ok(OK.len() as u32), false);
            bench.complete(old, Ok(0), false);
            bench.complete(old, Err(IoError::Reset), false);
            bench.complete(old, Err(IoError::Cancelled), false);
            for kind in [OpKind::Send, OpKind::Connect, OpKind::Discard] {
                let late = IoToken::new(kind, old.generation(), old.index());
                bench.complete(late, Err(IoError::Cancelled), false);
            }
            assert_eq!(bench.backend.leases_out, BTreeSet::new(), "{ending}");
            assert_eq!(bench.counts(), counts, "{ending}");
            assert_eq!(bench.conn.status(), status, "{ending}");
            assert_eq!(bench.backend.pushed.len(), pushed, "{ending}");
            if is_open_again {
                // What is its own is still taken in.
                let recv = bench.recv();
                bench.complete(recv, Ok(OK.len() as u32), true);
                assert_eq!(bench.recorder.inflight(), inflight - 1, "{ending}");
                assert_eq!(bench.backend.leases_out, BTreeSet::new(), "{ending}");
            }
        }
    }
}

#[test]
fn nothing_is_sent_while_the_socket_holds_more_than_the_last_answer() {
    let mut bench = Bench::waiting();
    let recv = bench.recv();
    bench.complete_with(recv, Ok(OK.len() as u32), true, true);
    assert_eq!((bench.conn.status(), bench.conn.room()), (Status::Open, 0));
    // It was the end: no request met it.
    bench.complete(recv, Ok(0), false);
    assert_eq!(bench.conn.status(), Status::Down);
    let record = bench.recorder.record();
    assert_eq!((record.whole().completed, record.whole().failed.total()), (1, 0));
    assert_eq!(record.connections.closed_by_peer, 1);

    // Two are outstanding: what the socket holds may well be the second's answer.
    let mut bench = Bench::waiting();
    assert_eq!(bench.with(|conn, ctx| conn.start(ctx, 1)), 1);
    let recv = bench.recv();
    bench.complete_with(recv, Ok(OK.len() as u32), true, true);
    assert_eq!(bench.conn.room(), 1);
    bench.complete(recv, Ok(OK.len() as u32), true);
    assert_eq!((bench.conn.status(), bench.conn.room()), (Status::Open, 2));
}

#[test]
fn generations_that_come_round_again_are_told_apart_as_far_as_a_token_goes() {
    let mut bench = Bench::waiting();
    bench.conn.generation = IoToken::GENERATIONS - 1;
    let last = bench.recv();
    ENDINGS[0].1(&mut bench);
    bench.open();
    assert_eq!(bench.recv().generation(), 0);
    bench.complete(last, Ok(OK.len() as u32), false);
    assert_eq!((bench.recorder.inflight(), bench.backend.leases_out.len()), (1, 0));
    let own = bench.recv();
    bench.complete(own, Ok(OK.len() as u32), true);
    assert_eq!((bench.recorder.inflight(), bench.backend.leases_out.len()), (0, 0));
}

#[test]
fn what_a_connection_waits_for_says_when_it_has_waited_too_long() {
    let mut bench = Bench::waiting();
    assert_eq!(bench.conn.expiry_ns(&bench.shape), 100 * MS);
    bench.recorder.advance(30 * MS);
    assert_eq!(bench.with(|conn, ctx| conn.start(ctx, 1)), 1);
    assert_eq!(bench.conn.expiry_ns(&bench.shape), 100 * MS, "that of the oldest");
    let recv = bench.recv();
    bench.complete(recv, Ok(OK.len() as u32), true);
    assert_eq!(bench.conn.expiry_ns(&bench.shape), 130 * MS);
    bench.recorder.advance(130 * MS - 1);
    bench.with(|conn, ctx| conn.check_time(ctx));
    assert_eq!(bench.conn.status(), Status::Open);
    bench.recorder.advance(130 * MS);
    bench.with(|conn, ctx| conn.check_time(ctx));
    assert_eq!(bench.conn.status(), Status::Down);
    assert_eq!(bench.conn.expiry_ns(&bench.shape), u64::MAX);
    assert_eq!(bench.with(|conn, ctx| conn.connect(ctx)), Pumped::Done);
    assert_eq!(bench.conn.expiry_ns(&bench.shape), 200 * MS);
}

#[test]
fn an_answer_is_early_if_the_turn_ends_without_the_end_of_its_send() {
    for is_told in [true, false] {
        let mut bench = Bench::waiting();
        let recv = bench.recv();
        bench.complete(recv, Ok(OK.len() as u32), true);
        bench.shape.confirm = Confirm::Always;
        assert_eq!(bench.with(|conn, ctx| conn.start(ctx, 1)), 1);
        let send = bench.conn.token(OpKind::Send);
        bench.complete(recv, Ok(OK.len() as u32), true);
        assert_eq!(bench.conn.status(), Status::Open);
        assert!(bench.conn.has_wishes(), "the turn's end has to decide");
        if is_told {
            bench.complete(send, Ok(100), false);
        }
        bench.with(|conn, ctx| conn.settle(ctx));
        let status = if is_told { Status::Open } else { Status::Down };
        assert_eq!(bench.conn.status(), status, "told: {is_told}");
        assert_eq!(bench.recorder.record().whole().failed.total(), 0);
    }
}

#[test]
fn what_is_said_to_follow_an_answer_must_come_in_time() {
    let mut bench = Bench::waiting();
    let recv = bench.recv();
    bench.complete_with(recv, Ok(OK.len() as u32), true, true);
    assert_eq!((bench.conn.status(), bench.conn.room()), (Status::Open, 0));
    bench.recorder.advance(99 * MS);
    bench.with(|conn, ctx| conn.check_time(ctx));
    assert_eq!(bench.conn.status(), Status::Open);
    bench.recorder.advance(100 * MS);
    bench.with(|conn, ctx| conn.check_time(ctx));
    assert_eq!(bench.conn.status(), Status::Down);
    assert_eq!(bench.recorder.record().whole().failed.total(), 0);
}
