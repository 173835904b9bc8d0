//! The contract suite on real sockets, with every feature and with the newer one masked; and what is
//! this backend's own.

use super::*;
use crate::io::OpKind;
use crate::io::contract::{
    contract_suite,
    peer::{MakeBackend, OverSockets},
};

struct Newest;

impl MakeBackend for Newest {
    type B = Epoll;

    fn make(setup: Setup) -> Epoll {
        Epoll::new(setup, Clock::start()).unwrap()
    }
}

/// Without `epoll_pwait2`, as before Linux 5.11 and under filters that do not know it.
struct Oldest;

impl MakeBackend for Oldest {
    type B = Epoll;

    fn make(setup: Setup) -> Epoll {
        Epoll::with_masked(setup, Clock::start(), Masked { pwait2: true }).unwrap()
    }
}

/// Looks for work instead of sleeping, after work and before deadlines.
struct Spinning;

impl MakeBackend for Spinning {
    type B = Epoll;

    fn make(setup: Setup) -> Epoll {
        let spin = Spin { after_work_ns: 200_000, before_deadline_ns: 300_000, ..Spin::NEVER };
        Epoll::new(Setup { spin, ..setup }, Clock::start()).unwrap()
    }
}

contract_suite!(newest, OverSockets<Newest>);
contract_suite!(oldest, OverSockets<Oldest>);
contract_suite!(spinning, OverSockets<Spinning>);

fn setup() -> Setup {
    Setup {
        slots: 2,
        arena: Arc::from([0; 8]),
        addresses: Vec::new(),
        sources: Vec::new(),
        tcp_congestion: None,
        recv_buffer_bytes: 64,
        recv_buffers: 1,
        send_buffers: 1,
        send_buffer_bytes: 64,
        spin: Spin::NEVER,
        keeps_deadline: false,
    }
}

#[test]
fn what_a_long_wait_leaves_for_the_second_exceeds_how_late_the_first_may_end() {
    for ns in [1, 1000, LONG_WAIT_NS, LONG_WAIT_NS + 1, 1_000_000_000, u64::MAX] {
        let step_ns = step_ns(ns);
        let late_ns = step_ns / 1000;
        assert!(step_ns >= 1 && step_ns <= ns, "{ns}");
        assert!(step_ns == ns || step_ns + late_ns < ns, "{ns}");
        // A wait that is made at once may end this much late, and no more.
        assert!(step_ns < ns || late_ns <= 2_000 || ns <= LONG_WAIT_NS, "{ns}");
    }
}

#[test]
fn a_turn_is_never_over_before_its_deadline_without_an_event() {
    for masked in [Masked::default(), Masked { pwait2: true }] {
        let mut backend = Epoll::with_masked(setup(), Clock::start(), masked).unwrap();
        let mut done = Completions::with_capacity(4);
        for wait_ns in [1, 999, 70_000, 1_000_001, 3_000_000, 20_000_000] {
            let until_ns = backend.now_ns() + wait_ns;
            backend.turn(until_ns, &mut done).unwrap();
            assert!(done.stamp_ns >= until_ns, "{} ns early", until_ns - done.stamp_ns);
        }
    }
}

#[test]
fn looking_in_vain_is_accounted_and_sleeping_is_not() {
    let mut done = Completions::with_capacity(4);
    let mut spun = |before_deadline_ns: u64| {
        let spin = Spin { before_deadline_ns, ..Spin::NEVER };
        let mut backend = Epoll::new(Setup { spin, ..setup() }, Clock::start()).unwrap();
        let until_ns = backend.now_ns() + 5_000_000;
        backend.turn(until_ns, &mut done).unwrap();
        backend.idle_spin_ns()
    };
    assert_eq!(spun(0), 0);
    // On a crowded machine most of it is no spinning, but waiting for a CPU.
    assert!(spun(10_000_000) > 0);
}

#[test]
fn operations_on_an_empty_slot_fail_and_give_their_buffers_back() {
    let mut backend = Epoll::new(setup(), Clock::start()).unwrap();
    let slot = Slot(1);
    let token = |kind| Token::new(kind, 1, 1);
    let send = Op::Send { slot, start: 0, len: 8, confirm: Confirm::OnFailure };
    backend.push(send, token(OpKind::Send)).unwrap();
    backend.push(Op::RecvStream { slot }, token(OpKind::Recv)).unwrap();
    let lease = backend.lease_send().unwrap();
    backend.push(Op::SendLeased { slot, lease, len: 1 }, token(OpKind::Send)).unwrap();
    let mut done = Completions::with_capacity(4);
    backend.turn(u64::MAX, &mut done).unwrap();
    let results: Vec<_> = done.items.iter().map(|item| (item.token.kind(), item.result)).collect();
    let failed = Err(sys::NO_SOCKET);
    let wanted = [(OpKind::Send, failed), (OpKind::Recv, failed), (OpKind::Send, failed)];
    assert_eq!(results, wanted);
    assert!(backend.lease_send().is_some());
}

#[test]
fn what_happens_to_a_closed_socket_is_not_told_of_the_next_in_its_slot() {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let (others, _kept) = std::os::unix::net::UnixStream::pair().unwrap();
    // A second descriptor keeps the first socket alive after its slot is closed.
    let _second = ours.try_clone().unwrap();
    let mut backend = Epoll::new(setup(), Clock::start()).unwrap();
    let slot = Slot(0);
    let mut done = Completions::with_capacity(4);
    backend.adopt(slot, ours.into()).unwrap();
    backend.push(Op::RecvStream { slot }, Token::new(OpKind::Recv, 1, 0)).unwrap();
    backend.turn(0, &mut done).unwrap();
    drop(theirs);
    let close = Op::Close { slot, kind: CloseKind::Orderly };
    backend.push(close, Token::new(OpKind::Recv, 1, 0)).unwrap();
    backend.adopt(slot, others.into()).unwrap();
    let later = Token::new(OpKind::Recv, 2, 0);
    backend.push(Op::RecvStream { slot }, later).unwrap();
    for _ in 0..3 {
        let until_ns = backend.now_ns() + 2_000_000;
        backend.turn(until_ns, &mut done).unwrap();
        assert!(done.items.iter().all(|item| item.token != later), "{:?}", done.items);
    }
}
