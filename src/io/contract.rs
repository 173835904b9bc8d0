//! One contract suite for every backend.
//!
//! Owns what `io` promises, as tests. Knows a backend only through `Fixture`: something that starts
//! it with scripted peers behind its addresses. `contract_suite!(name, Fixture)` makes one test of
//! every case, so that a failure says which promise was broken and by whom.
//!
//! Backends on sockets need one function (`peer::MakeBackend`); the peers are in `peer`.

pub(crate) mod cases;
pub(crate) mod peer;
mod simulated;

use std::collections::VecDeque;
use std::sync::Arc;

use super::{
    Backend, CloseKind, Completions, Confirm, IoError, Op, OpKind, QueueFull, RecvLease, Setup,
    Slot, Spin, Token,
};
use crate::sim::{Listener, PeerSeen};

/// A backend with peers to talk to.
pub(crate) trait Fixture: Sized {
    type B: Backend;

    /// `listeners[i]` is to be found at address index `i`; `setup.addresses` is the fixture's.
    /// Only `Script`, `Refuse` and `Blackhole` are asked for.
    fn start(setup: Setup, listeners: Vec<Listener>) -> Self;

    fn backend(&mut self) -> &mut Self::B;

    /// What the scripted peers saw, in the order they accepted, once all their connections have
    /// ended. Called when the client has closed everything.
    fn seen(self) -> Vec<PeerSeen>;
}

/// Long enough for any case, in nanoseconds; it bounds hangs and decides nothing else.
const PATIENCE_NS: u64 = 60_000_000_000;

/// Bytes that differ from place to place: a period of 251 shares no factor with any buffer size.
fn pattern(start: usize, len: usize) -> Vec<u8> {
    let period: Vec<u8> = (0..251).collect();
    let mut bytes = period.repeat((start % 251 + len) / 251 + 1);
    bytes.truncate(start % 251 + len);
    bytes.split_off(start % 251)
}

/// More than a socket's buffers take, both sides together.
const LARGE_BYTES: usize = 12 << 20;

/// A small backend: 16 slots, 16 receive buffers of 4 KiB, 2 scratch buffers of 1 KiB.
pub(crate) fn small() -> Setup {
    Setup {
        slots: 16,
        arena: Arc::from(pattern(0, 64 * 1024)),
        addresses: Vec::new(),
        sources: Vec::new(),
        tcp_congestion: None,
        recv_buffer_bytes: 4096,
        recv_buffers: 16,
        send_buffers: 2,
        send_buffer_bytes: 1024,
        spin: Spin::NEVER,
        keeps_deadline: false,
    }
}

/// A completion whose bytes are copied out.
#[derive(Debug)]
struct Got {
    token: Token,
    result: Result<u32, IoError>,
    bytes: Vec<u8>,
    more: bool,
}

/// A patient client: one per case.
struct Client<F: Fixture> {
    fixture: F,
    done: Completions,
    capacity: usize,
    /// Taken from the backend and not yet asked for.
    got: VecDeque<Got>,
    last_stamp_ns: u64,
    /// While set, leases are kept here instead of being recycled.
    held: Option<Vec<RecvLease>>,
    open: Vec<bool>,
}

fn token(kind: OpKind, slot: u32) -> Token {
    Token::new(kind, 1, slot)
}

impl<F: Fixture> Client<F> {
    fn new(setup: Setup, listeners: Vec<Listener>) -> Self {
        Self::with_capacity(setup, listeners, 64)
    }

    fn with_capacity(setup: Setup, listeners: Vec<Listener>, capacity: usize) -> Self {
        Self {
            open: vec![false; setup.slots as usize],
            fixture: F::start(setup, listeners),
            done: Completions::with_capacity(capacity),
            capacity,
            got: VecDeque::new(),
            last_stamp_ns: 0,
            held: None,
        }
    }

    /// A client with one connection, in slot 0, to a peer that plays `steps`.
    fn connected(setup: Setup, steps: Vec<crate::sim::Step>) -> Self {
        let mut client = Self::new(setup, vec![Listener::Script(steps)]);
        client.connect(0, 0);
        client
    }

    fn now_ns(&mut self) -> u64 {
        self.fixture.backend().now_ns()
    }

    /// Pushes, taking turns while the queue is full; the operation must come back unharmed.
    fn push(&mut self, op: Op, token: Token) {
        match &op {
            Op::Connect { slot, .. } => self.open[slot.0 as usize] = true,
            Op::Close { slot, .. } => self.open[slot.0 as usize] = false,
            _ => {}
        }
        let before = format!("{op:?}");
        let mut op = op;
        for _ in 0..10_000 {
            match self.fixture.backend().push(op, token) {
                Ok(()) => return,
                Err(QueueFull(back)) => op = back,
            }
            assert_eq!(format!("{op:?}"), before, "QueueFull gave another operation back");
            self.turn(0);
        }
        panic!("the queue stays full");
    }

    /// One turn, with what always holds checked.
    fn turn(&mut self, until_ns: u64) {
        let backend = self.fixture.backend();
        backend.turn(until_ns, &mut self.done).unwrap();
        assert!(self.done.items.len() <= self.capacity, "more than the batch has room for");
        assert!(self.done.stamp_ns >= self.last_stamp_ns, "stamps went back");
        self.last_stamp_ns = self.done.stamp_ns;
        assert!(backend.now_ns() >= self.last_stamp_ns, "the clock is behind a stamp");
        for item in self.done.items.drain(..) {
            let mut bytes = Vec::new();
            if let Some(lease) = item.lease {
                bytes = backend.bytes(&lease).to_vec();
                assert_eq!(item.token.kind(), OpKind::Recv, "only receives have leases");
                assert_eq!(item.result, Ok(bytes.len() as u32));
                assert!(!lease.is_empty(), "end of stream comes without a lease");
                match &mut self.held {
                    Some(held) => held.push(lease),
                    None => backend.recycle(lease),
                }
            } else if item.token.kind() == OpKind::Recv {
                assert!(matches!(item.result, Ok(0) | Err(_)), "bytes without a lease");
                assert!(!item.more, "the end of a receive that goes on");
            }
            assert!(item.token.kind() == OpKind::Recv || !item.more);
            let (token, result, more) = (item.token, item.result, item.more);
            self.got.push_back(Got { token, result, bytes, more });
        }
    }

    /// The next completion with this token.
    fn wait(&mut self, token: Token) -> Got {
        let give_up_ns = self.now_ns() + PATIENCE_NS;
        loop {
            let place = self.got.iter().position(|got| got.token == token);
            if let Some(got) = place.and_then(|place| self.got.remove(place)) {
                return got;
            }
            assert!(self.now_ns() < give_up_ns, "{token:?} never completes; got {:?}", self.got);
            self.turn(give_up_ns);
        }
    }

    /// Lets time pass.
    fn pass(&mut self, ns: u64) {
        let until_ns = self.now_ns() + ns;
        while self.now_ns() < until_ns {
            self.turn(until_ns);
        }
    }

    fn connect(&mut self, slot: u32, address_index: u32) {
        let connect = token(OpKind::Connect, slot);
        self.push(Op::Connect { slot: Slot(slot), address_index }, connect);
        assert_eq!(self.wait(connect).result, Ok(0));
    }

    fn start_send(&mut self, slot: u32, start: u32, len: u32, confirm: Confirm) {
        let op = Op::Send { slot: Slot(slot), start, len, confirm };
        self.push(op, token(OpKind::Send, slot));
    }

    /// Sends and waits until it is taken.
    fn send(&mut self, slot: u32, start: u32, len: u32) {
        self.start_send(slot, start, len, Confirm::Always);
        assert_eq!(self.wait(token(OpKind::Send, slot)).result, Ok(len));
    }

    fn start_stream(&mut self, slot: u32) {
        self.push(Op::RecvStream { slot: Slot(slot) }, token(OpKind::Recv, slot));
    }

    /// One receive of at most `bytes_max`, pushed again when there was no buffer.
    fn recv_once(&mut self, slot: u32, bytes_max: u32) -> Got {
        loop {
            let recv = token(OpKind::Recv, slot);
            self.push(Op::RecvOnce { slot: Slot(slot), bytes_max }, recv);
            let got = self.wait(recv);
            assert!(!got.more, "RecvOnce completes once");
            assert!(got.bytes.len() <= bytes_max as usize, "more than asked for");
            if got.result != Err(IoError::NoBuffers) {
                return got;
            }
        }
    }

    /// `count` bytes or all up to the end of stream, by single receives.
    fn recv_exactly(&mut self, slot: u32, count: usize, bytes_max: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < count {
            let left = (count - bytes.len()) as u32;
            let got = self.recv_once(slot, left.min(bytes_max));
            assert!(got.result.unwrap() > 0, "end of stream after {} bytes", bytes.len());
            bytes.extend(got.bytes);
        }
        bytes
    }

    /// Goes on with a stream that was started until it has given `count` bytes (then it is still
    /// going on), or ended.
    fn stream_until(&mut self, slot: u32, count: usize) -> (Vec<u8>, Option<Got>) {
        let mut bytes = Vec::new();
        while bytes.len() < count {
            let got = self.wait(token(OpKind::Recv, slot));
            bytes.extend_from_slice(&got.bytes);
            match got.result {
                _ if got.more => {}
                Ok(1..) | Err(IoError::NoBuffers) => self.start_stream(slot),
                Ok(0) | Err(_) => return (bytes, Some(got)),
            }
        }
        (bytes, None)
    }

    /// Discards once.
    fn discard(&mut self, slot: u32, bytes_max: u64) -> u64 {
        let discard = token(OpKind::Discard, slot);
        self.push(Op::Discard { slot: Slot(slot), bytes_max }, discard);
        let count = u64::from(self.wait(discard).result.unwrap());
        assert!(count <= bytes_max, "discarded {count} of at most {bytes_max}");
        count
    }

    fn close(&mut self, slot: u32, kind: CloseKind) {
        self.push(Op::Close { slot: Slot(slot), kind }, token(OpKind::Connect, slot));
    }

    /// Closes what is open, lets the peers end, and gives what they saw. Nothing but receives that
    /// were cancelled may be left, or that ended for want of a buffer: a stream looks for the next
    /// buffer before it looks for bytes, so that end can follow the last byte that a test took.
    fn finish(mut self) -> Vec<PeerSeen> {
        for slot in 0..self.open.len() {
            if self.open[slot] {
                self.close(slot as u32, CloseKind::Orderly);
            }
        }
        // A backend ends a bounded number of operations in one turn.
        let mut before = usize::MAX;
        while self.got.len() != before {
            before = self.got.len();
            self.pass(20_000_000);
        }
        for got in &self.got {
            let is_ended = matches!(got.result, Err(IoError::Cancelled | IoError::NoBuffers));
            assert!(is_ended && got.bytes.is_empty(), "unasked for: {got:?}");
            assert_eq!(got.token.kind(), OpKind::Recv, "unasked for: {got:?}");
        }
        assert!(self.held.is_none());
        self.fixture.seen()
    }
}

/// Makes a module `$name` with one test for each promise.
macro_rules! contract_suite {
    ($name:ident, $fixture:ty) => {
        mod $name {
            use super::*;
            $crate::io::contract::contract_cases! { $fixture;
                connecting_to_a_listener_completes_once
                connecting_to_a_closed_port_is_refused_and_the_slot_works_after_a_close
                a_slot_that_was_refused_again_and_again_is_refused_once_each_time
                closing_ends_a_connect_that_nobody_answers
                a_confirmed_send_completes_with_all_bytes_and_the_peer_sees_exactly_them
                a_send_confirmed_on_failure_is_silent_when_it_succeeds
                a_large_send_completes_only_when_all_of_it_is_taken
                a_leased_send_carries_the_scratch_bytes_and_the_buffer_comes_back
                a_stream_gives_every_byte_in_order_and_ends_with_the_fin
                a_single_receive_respects_its_limit_and_goes_on_at_the_right_byte
                a_cancelled_stream_ends_and_the_connection_still_works
                cancelling_no_receive_has_no_effect
                cancelling_a_receive_of_the_same_batch_loses_no_byte
                discarding_goes_no_further_than_asked
                a_large_body_discarded_in_pieces_has_its_exact_length
                closing_ends_a_discard
                a_reset_by_the_peer_ends_the_receive
                bytes_before_a_reset_are_received
                a_send_after_a_reset_fails_whatever_its_confirm
                closing_ends_what_is_in_flight_with_its_own_tokens
                closing_and_connecting_again_in_one_turn_works
                closing_gives_the_scratch_buffer_back
                an_orderly_close_is_an_end_of_stream_to_the_peer
                a_resetting_close_is_a_reset_to_the_peer
                without_free_buffers_a_stream_ends_and_nothing_is_lost
                a_turn_until_the_past_returns_at_once
                a_turn_without_events_reaches_its_deadline
                more_events_than_room_come_later_and_none_is_lost
                a_full_queue_gives_the_operation_back_and_nothing_is_lost
                many_connections_echo_at_once
                a_slot_can_be_used_hundreds_of_times
            }
        }
    };
}

/// One test for each named case.
macro_rules! contract_cases {
    ($fixture:ty; $($case:ident)*) => {
        $(
            #[test]
            fn $case() {
                $crate::io::contract::cases::$case::<$fixture>();
            }
        )*
    };
}

pub(crate) use {contract_cases, contract_suite};
