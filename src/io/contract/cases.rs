//! The promises, one function each.

use super::*;
use crate::sim::{PeerEnd, Step};

const NS_PER_MS: u64 = 1_000_000;
/// A peer that reads nothing for so long still reads nothing when a busy machine has let the client
/// do a few things.
const NOT_READING_NS: u64 = 400 * NS_PER_MS;

pub(crate) fn connecting_to_a_listener_completes_once<F: Fixture>() {
    let mut client = Client::<F>::connected(small(), vec![]);
    client.pass(5 * NS_PER_MS);
    assert!(client.got.is_empty(), "a second completion: {:?}", client.got);
    assert_eq!(client.finish().len(), 1);
}

pub(crate) fn connecting_to_a_closed_port_is_refused_and_the_slot_works_after_a_close<
    F: Fixture,
>() {
    let listeners = vec![Listener::Refuse, Listener::Script(vec![Step::Read(3)])];
    let mut client = Client::<F>::new(small(), listeners);
    let connect = token(OpKind::Connect, 0);
    client.push(Op::Connect { slot: Slot(0), address_index: 0 }, connect);
    assert_eq!(client.wait(connect).result, Err(IoError::Refused));
    client.close(0, CloseKind::Orderly);
    client.connect(0, 1);
    client.send(0, 7, 3);
    let seen = client.finish();
    assert_eq!((seen.len(), &seen[0].read), (1, &pattern(7, 3)));
}

pub(crate) fn a_slot_that_was_refused_again_and_again_is_refused_once_each_time<F: Fixture>() {
    let read = || Listener::Script(vec![Step::Read(3)]);
    let mut client = Client::<F>::new(small(), vec![Listener::Refuse, Listener::Refuse, read()]);
    for address_index in [0, 0, 0, 1, 0, 1] {
        let connect = token(OpKind::Connect, 0);
        client.push(Op::Connect { slot: Slot(0), address_index }, connect);
        assert_eq!(client.wait(connect).result, Err(IoError::Refused));
        client.pass(NS_PER_MS);
        assert!(client.got.is_empty(), "a second completion: {:?}", client.got);
        client.close(0, CloseKind::Orderly);
        if address_index == 1 {
            client.pass(NS_PER_MS);
            client.close(0, CloseKind::Reset);
        }
    }
    client.connect(0, 2);
    client.send(0, 7, 3);
    let seen = client.finish();
    assert_eq!((seen.len(), &seen[0].read), (1, &pattern(7, 3)));
}

pub(crate) fn closing_ends_a_connect_that_nobody_answers<F: Fixture>() {
    let mut client = Client::<F>::new(small(), vec![Listener::Blackhole]);
    let connect = token(OpKind::Connect, 0);
    client.push(Op::Connect { slot: Slot(0), address_index: 0 }, connect);
    client.pass(10 * NS_PER_MS);
    assert!(client.got.is_empty(), "nobody should have answered: {:?}", client.got);
    client.close(0, CloseKind::Reset);
    assert_eq!(client.wait(connect).result, Err(IoError::Cancelled));
    client.finish();
}

pub(crate) fn a_confirmed_send_completes_with_all_bytes_and_the_peer_sees_exactly_them<
    F: Fixture,
>() {
    let mut client = Client::<F>::connected(small(), vec![]);
    client.send(0, 1000, 5000);
    client.send(0, 0, 1);
    client.send(0, 64 * 1024 - 9, 9);
    let seen = client.finish();
    let whole = [pattern(1000, 5000), pattern(0, 1), pattern(64 * 1024 - 9, 9)].concat();
    assert!(seen[0].read == whole, "the peer saw {} other bytes", seen[0].read.len());
}

pub(crate) fn a_send_confirmed_on_failure_is_silent_when_it_succeeds<F: Fixture>() {
    let mut client = Client::<F>::connected(small(), vec![Step::Echo(300)]);
    for n in 0..3 {
        client.start_send(0, n * 100, 100, Confirm::OnFailure);
        let echoed = client.recv_exactly(0, 100, 100);
        assert_eq!(echoed, pattern(n as usize * 100, 100));
    }
    client.pass(2 * NS_PER_MS);
    assert!(client.got.is_empty(), "not silent: {:?}", client.got);
    client.finish();
}

pub(crate) fn a_large_send_completes_only_when_all_of_it_is_taken<F: Fixture>() {
    let pause_ns = 40 * NS_PER_MS;
    let piece_bytes = 256 * 1024;
    let steps = vec![
        Step::Pause(pause_ns),
        Step::ReadSlowly { bytes: 16 * piece_bytes, piece_bytes, pause_ns: NS_PER_MS / 10 },
    ];
    let setup = Setup { arena: Arc::from(pattern(0, LARGE_BYTES)), ..small() };
    let mut client = Client::<F>::new(setup, vec![Listener::Script(steps)]);
    let start_ns = client.now_ns();
    client.connect(0, 0);
    client.send(0, 0, LARGE_BYTES as u32);
    // The pause began after `start_ns`.
    let taken_ns = client.now_ns() - start_ns;
    assert!(taken_ns >= pause_ns, "taken after {taken_ns} ns, with the peer not reading");
    let seen = client.finish();
    assert!(seen[0].read == pattern(0, LARGE_BYTES), "{} bytes", seen[0].read.len());
}

pub(crate) fn a_leased_send_carries_the_scratch_bytes_and_the_buffer_comes_back<F: Fixture>() {
    let mut client = Client::<F>::connected(small(), vec![]);
    let send = token(OpKind::Send, 0);
    let mut wanted = Vec::new();
    for round in 0..5_u8 {
        let backend = client.fixture.backend();
        let mut lease = backend.lease_send().unwrap();
        let bytes = backend.send_bytes_mut(&mut lease);
        assert_eq!(bytes.len(), 1024);
        bytes.fill(round);
        let mut other = backend.lease_send().unwrap();
        assert!(backend.lease_send().is_none(), "there are only two");
        backend.send_bytes_mut(&mut other).fill(100 + round);

        client.push(Op::SendLeased { slot: Slot(0), lease, len: 700 }, send);
        assert_eq!(client.wait(send).result, Ok(700));
        client.push(Op::SendLeased { slot: Slot(0), lease: other, len: 1024 }, send);
        assert_eq!(client.wait(send).result, Ok(1024));
        wanted.extend([round; 700]);
        wanted.extend([100 + round; 1024]);
    }
    let seen = client.finish();
    assert!(seen[0].read == wanted);
}

pub(crate) fn a_stream_gives_every_byte_in_order_and_ends_with_the_fin<F: Fixture>() {
    let steps = vec![Step::Write(pattern(3, 100_000)), Step::Fin];
    let mut client = Client::<F>::connected(small(), steps);
    client.start_stream(0);
    let (bytes, last) = client.stream_until(0, usize::MAX);
    assert!(bytes == pattern(3, 100_000), "{} bytes", bytes.len());
    assert_eq!(last.unwrap().result, Ok(0));
    client.finish();
}

pub(crate) fn a_single_receive_respects_its_limit_and_goes_on_at_the_right_byte<F: Fixture>() {
    let steps = vec![Step::Write(pattern(0, 5000)), Step::Fin];
    let mut client = Client::<F>::connected(small(), steps);
    assert_eq!(client.recv_exactly(0, 10, 4), pattern(0, 10));
    assert_eq!(client.recv_exactly(0, 4990, 1 << 20), pattern(10, 4990));
    assert_eq!(client.recv_once(0, 100).result, Ok(0));
    client.finish();
}

pub(crate) fn a_cancelled_stream_ends_and_the_connection_still_works<F: Fixture>() {
    let answer = Step::Write(pattern(0, 1000));
    let steps = vec![Step::Read(1), answer.clone(), Step::Read(1), answer, Step::Fin];
    let mut client = Client::<F>::connected(small(), steps);
    client.start_stream(0);
    client.pass(NS_PER_MS);
    client.push(Op::CancelRecv { slot: Slot(0) }, token(OpKind::Recv, 0));
    let last = client.wait(token(OpKind::Recv, 0));
    assert_eq!((last.result, last.more), (Err(IoError::Cancelled), false));

    client.send(0, 0, 1);
    assert_eq!(client.recv_exactly(0, 1000, 300), pattern(0, 1000));
    client.start_stream(0);
    client.send(0, 0, 1);
    let (bytes, last) = client.stream_until(0, usize::MAX);
    assert_eq!((bytes, last.unwrap().result), (pattern(0, 1000), Ok(0)));
    client.finish();
}

pub(crate) fn cancelling_no_receive_has_no_effect<F: Fixture>() {
    let mut client = Client::<F>::connected(small(), vec![Step::Echo(50)]);
    client.push(Op::CancelRecv { slot: Slot(0) }, token(OpKind::Recv, 0));
    client.send(0, 0, 50);
    assert_eq!(client.recv_exactly(0, 50, 50), pattern(0, 50));
    client.push(Op::CancelRecv { slot: Slot(0) }, token(OpKind::Recv, 0));
    client.pass(2 * NS_PER_MS);
    assert!(client.got.is_empty(), "a cancel has no completion: {:?}", client.got);
    client.finish();
}

pub(crate) fn cancelling_a_receive_of_the_same_batch_loses_no_byte<F: Fixture>() {
    let steps = vec![Step::Write(pattern(0, 6000)), Step::Fin];
    let mut client = Client::<F>::connected(small(), steps);
    client.pass(5 * NS_PER_MS);
    client.start_stream(0);
    client.push(Op::CancelRecv { slot: Slot(0) }, token(OpKind::Recv, 0));
    let mut bytes = Vec::new();
    loop {
        let got = client.wait(token(OpKind::Recv, 0));
        bytes.extend(got.bytes);
        if !got.more {
            break;
        }
    }
    let left = 6000 - bytes.len();
    bytes.extend(client.recv_exactly(0, left, 4096));
    assert_eq!(bytes, pattern(0, 6000));
    client.finish();
}

pub(crate) fn discarding_goes_no_further_than_asked<F: Fixture>() {
    let steps = vec![Step::Write(pattern(0, 1000)), Step::Fin];
    let mut client = Client::<F>::connected(small(), steps);
    assert_eq!(client.recv_exactly(0, 10, 10), pattern(0, 10));
    let mut discarded = 0;
    while discarded < 700 {
        discarded += client.discard(0, 700 - discarded);
    }
    assert_eq!(client.recv_exactly(0, 100, 100), pattern(710, 100));
    let mut rest = 0;
    loop {
        match client.discard(0, crate::limits::DISCARD_BYTES_MAX) {
            0 => break,
            count => rest += count,
        }
    }
    assert_eq!(rest, 190);
    client.finish();
}

pub(crate) fn a_large_body_discarded_in_pieces_has_its_exact_length<F: Fixture>() {
    let body_bytes = 3 << 20;
    let steps = vec![Step::Write(pattern(0, body_bytes)), Step::Write(b"TAIL".to_vec())];
    let mut client = Client::<F>::connected(small(), steps);
    let mut left = body_bytes as u64;
    while left > 0 {
        let count = client.discard(0, left.min(100_000));
        assert!(count > 0, "end of stream with {left} bytes to come");
        left -= count;
    }
    assert_eq!(client.recv_exactly(0, 4, 100), b"TAIL");
    client.finish();
}

pub(crate) fn closing_ends_a_discard<F: Fixture>() {
    let mut client = Client::<F>::connected(small(), vec![]);
    let discard = token(OpKind::Discard, 0);
    client.push(Op::Discard { slot: Slot(0), bytes_max: 100 }, discard);
    client.pass(NS_PER_MS);
    client.close(0, CloseKind::Orderly);
    assert_eq!(client.wait(discard).result, Err(IoError::Cancelled));
    client.finish();
}

pub(crate) fn a_reset_by_the_peer_ends_the_receive<F: Fixture>() {
    let mut client = Client::<F>::connected(small(), vec![Step::Read(1), Step::Rst]);
    client.start_stream(0);
    client.send(0, 0, 1);
    assert_eq!(client.wait(token(OpKind::Recv, 0)).result, Err(IoError::Reset));
    client.close(0, CloseKind::Reset);
    assert_eq!(client.finish()[0].end, Some(PeerEnd::OwnReset));
}

pub(crate) fn bytes_before_a_reset_are_received<F: Fixture>() {
    let steps = vec![Step::Write(pattern(0, 10)), Step::Read(1), Step::Rst];
    let mut client = Client::<F>::connected(small(), steps);
    assert_eq!(client.recv_exactly(0, 10, 100), pattern(0, 10));
    client.send(0, 0, 1);
    assert_eq!(client.recv_once(0, 100).result, Err(IoError::Reset));
    client.finish();
}

pub(crate) fn a_send_after_a_reset_fails_whatever_its_confirm<F: Fixture>() {
    let mut client = Client::<F>::connected(small(), vec![Step::Read(1), Step::Rst]);
    client.send(0, 0, 1);
    assert_eq!(client.recv_once(0, 100).result, Err(IoError::Reset));
    for confirm in [Confirm::Always, Confirm::OnFailure, Confirm::OnFailure] {
        client.start_send(0, 0, 100, confirm);
        let result = client.wait(token(OpKind::Send, 0)).result;
        assert!(matches!(result, Err(IoError::BrokenPipe | IoError::Reset)), "{result:?}");
    }
    client.finish();
}

pub(crate) fn closing_ends_what_is_in_flight_with_its_own_tokens<F: Fixture>() {
    for kind in [CloseKind::Orderly, CloseKind::Reset] {
        let setup = Setup { arena: Arc::from(pattern(0, LARGE_BYTES)), ..small() };
        let mut client = Client::<F>::connected(setup, vec![Step::Pause(NOT_READING_NS)]);
        client.start_stream(0);
        client.start_send(0, 0, LARGE_BYTES as u32, Confirm::Always);
        client.pass(5 * NS_PER_MS);
        client.close(0, kind);
        for op in [OpKind::Recv, OpKind::Send] {
            let got = client.wait(token(op, 0));
            assert_eq!((got.result, got.more), (Err(IoError::Cancelled), false), "{op:?}");
        }
        assert!(client.got.is_empty());
        client.finish();
    }
}

pub(crate) fn closing_and_connecting_again_in_one_turn_works<F: Fixture>() {
    let mut client = Client::<F>::connected(small(), vec![Step::Echo(2000)]);
    client.start_stream(0);
    client.pass(NS_PER_MS);
    let connect = Token::new(OpKind::Connect, 2, 0);
    client.close(0, CloseKind::Reset);
    client.push(Op::Connect { slot: Slot(0), address_index: 0 }, connect);
    assert_eq!(client.wait(connect).result, Ok(0));
    let old = client.wait(token(OpKind::Recv, 0));
    assert_eq!((old.result, old.more), (Err(IoError::Cancelled), false));

    let recv = Token::new(OpKind::Recv, 2, 0);
    client.send(0, 0, 2000);
    let mut echoed = Vec::new();
    while echoed.len() < 2000 {
        client.push(Op::RecvOnce { slot: Slot(0), bytes_max: 4096 }, recv);
        let got = client.wait(recv);
        assert!(matches!(got.result, Ok(1..) | Err(IoError::NoBuffers)), "{:?}", got.result);
        echoed.extend(got.bytes);
    }
    assert_eq!(echoed, pattern(0, 2000));
    assert_eq!(client.finish().len(), 2);
}

pub(crate) fn closing_gives_the_scratch_buffer_back<F: Fixture>() {
    let setup = Setup { send_buffers: 1, send_buffer_bytes: LARGE_BYTES, ..small() };
    let mut client = Client::<F>::connected(setup, vec![Step::Pause(NOT_READING_NS)]);
    let send = token(OpKind::Send, 0);
    let lease = client.fixture.backend().lease_send().unwrap();
    client.push(Op::SendLeased { slot: Slot(0), lease, len: LARGE_BYTES as u32 }, send);
    client.pass(NS_PER_MS);
    assert!(client.fixture.backend().lease_send().is_none(), "still in flight");
    client.close(0, CloseKind::Reset);
    assert_eq!(client.wait(send).result, Err(IoError::Cancelled));
    let lease = client.fixture.backend().lease_send().unwrap();
    client.connect(0, 0);
    client.push(Op::SendLeased { slot: Slot(0), lease, len: 10 }, send);
    assert_eq!(client.wait(send).result, Ok(10));
    client.finish();
}

pub(crate) fn an_orderly_close_is_an_end_of_stream_to_the_peer<F: Fixture>() {
    let mut client = Client::<F>::connected(small(), vec![]);
    client.start_stream(0);
    client.send(0, 0, 10);
    client.close(0, CloseKind::Orderly);
    assert_eq!(client.wait(token(OpKind::Recv, 0)).result, Err(IoError::Cancelled));
    let seen = client.finish();
    assert_eq!((seen[0].read.len(), seen[0].end), (10, Some(PeerEnd::Eof)));
}

pub(crate) fn a_resetting_close_is_a_reset_to_the_peer<F: Fixture>() {
    let mut client = Client::<F>::connected(small(), vec![]);
    client.start_stream(0);
    client.pass(NS_PER_MS);
    client.close(0, CloseKind::Reset);
    assert_eq!(client.wait(token(OpKind::Recv, 0)).result, Err(IoError::Cancelled));
    let seen = client.finish();
    assert_eq!(seen[0].end, Some(PeerEnd::Reset));
}

pub(crate) fn without_free_buffers_a_stream_ends_and_nothing_is_lost<F: Fixture>() {
    let setup = Setup { recv_buffers: 4, recv_buffer_bytes: 1024, ..small() };
    let steps = vec![Step::Write(pattern(0, 10_000)), Step::Fin];
    let mut client = Client::<F>::connected(setup, steps);
    let mut bytes = Vec::new();
    let mut starved = 0;
    client.held = Some(Vec::new());
    client.start_stream(0);
    let recv = token(OpKind::Recv, 0);
    loop {
        let got = client.wait(recv);
        bytes.extend(got.bytes);
        match got.result {
            Ok(0) => break,
            _ if got.more => {}
            Ok(_) => client.start_stream(0),
            Err(error) => {
                assert_eq!(error, IoError::NoBuffers);
                starved += 1;
                let held = client.held.replace(Vec::new()).unwrap();
                assert!(held.len() <= 4, "{} leases of 4 buffers", held.len());
                for lease in held {
                    client.fixture.backend().recycle(lease);
                }
                client.start_stream(0);
            }
        }
    }
    for lease in client.held.take().unwrap() {
        client.fixture.backend().recycle(lease);
    }
    assert!(bytes == pattern(0, 10_000), "{} bytes", bytes.len());
    // 10 receives of 1 KiB, 4 buffers: at least twice there was none.
    assert!(starved >= 2, "{starved}");
    client.finish();
}

pub(crate) fn a_turn_until_the_past_returns_at_once<F: Fixture>() {
    let mut client = Client::<F>::connected(small(), vec![]);
    client.start_stream(0);
    let start_ns = client.now_ns();
    for _ in 0..10 {
        client.turn(0);
        client.turn(start_ns);
    }
    assert!(client.got.is_empty());
    assert!(client.now_ns() - start_ns < 5_000 * NS_PER_MS);
    client.finish();
}

pub(crate) fn a_turn_without_events_reaches_its_deadline<F: Fixture>() {
    for in_flight in [false, true] {
        let mut client = Client::<F>::connected(small(), vec![]);
        if in_flight {
            client.start_stream(0);
        }
        for wait_ns in [30_000, 5 * NS_PER_MS] {
            let until_ns = client.now_ns() + wait_ns;
            let mut turns = 0;
            while client.last_stamp_ns < until_ns {
                turns += 1;
                assert!(turns < 100, "spins instead of waiting");
                client.turn(until_ns);
            }
            let late_ns = client.last_stamp_ns - until_ns;
            assert!(late_ns < 10_000 * NS_PER_MS, "overslept by {late_ns} ns");
        }
        client.finish();
    }
}

pub(crate) fn more_events_than_room_come_later_and_none_is_lost<F: Fixture>() {
    let count = 32;
    let setup = Setup { slots: count, ..small() };
    let steps = vec![Step::Write(pattern(0, 500)), Step::Fin];
    let mut client = Client::<F>::with_capacity(setup, vec![Listener::Script(steps)], 4);
    for slot in 0..count {
        let op = Op::Connect { slot: Slot(slot), address_index: 0 };
        client.push(op, token(OpKind::Connect, slot));
    }
    for slot in 0..count {
        assert_eq!(client.wait(token(OpKind::Connect, slot)).result, Ok(0));
    }
    for slot in 0..count {
        client.start_stream(slot);
    }
    for slot in 0..count {
        let (bytes, last) = client.stream_until(slot, usize::MAX);
        assert_eq!((bytes, last.unwrap().result), (pattern(0, 500), Ok(0)), "slot {slot}");
    }
    assert!(client.got.is_empty(), "{:?}", client.got);
    client.finish();
}

pub(crate) fn a_full_queue_gives_the_operation_back_and_nothing_is_lost<F: Fixture>() {
    let count = 64;
    let setup = Setup { slots: count, ..small() };
    let mut client = Client::<F>::new(setup, vec![Listener::Script(vec![])]);
    for slot in 0..count {
        client.connect(slot, 0);
    }
    for round in 0..5 {
        for slot in 0..count {
            // A cancel of nothing fills the queue and completes nothing.
            for _ in 0..20 {
                client.push(Op::CancelRecv { slot: Slot(slot) }, token(OpKind::Recv, slot));
            }
            client.start_send(slot, slot * 100, 100, Confirm::Always);
        }
        for slot in 0..count {
            assert_eq!(client.wait(token(OpKind::Send, slot)).result, Ok(100), "round {round}");
        }
    }
    assert!(client.got.is_empty(), "{:?}", client.got);
    let mut seen: Vec<_> = client.finish().into_iter().map(|peer| peer.read).collect();
    let mut wanted: Vec<_> =
        (0..count as usize).map(|slot| pattern(slot * 100, 100).repeat(5)).collect();
    seen.sort();
    wanted.sort();
    assert!(seen == wanted, "a send was lost, doubled or went astray");
}

pub(crate) fn many_connections_echo_at_once<F: Fixture>() {
    let (count, rounds) = (256, 4);
    let setup = Setup { slots: count, recv_buffers: 32, ..small() };
    let steps = vec![Step::Echo(100 * rounds as usize)];
    let mut client = Client::<F>::new(setup, vec![Listener::Script(steps)]);
    for slot in 0..count {
        let op = Op::Connect { slot: Slot(slot), address_index: 0 };
        client.push(op, token(OpKind::Connect, slot));
    }
    for slot in 0..count {
        assert_eq!(client.wait(token(OpKind::Connect, slot)).result, Ok(0));
        client.start_stream(slot);
    }
    for round in 0..rounds {
        for slot in 0..count {
            client.start_send(slot, slot * 101 + round, 100, Confirm::OnFailure);
        }
        for slot in 0..count {
            let (bytes, ended) = client.stream_until(slot, 100);
            assert!(ended.is_none(), "slot {slot}: {ended:?}");
            assert!(bytes == pattern((slot * 101 + round) as usize, 100), "slot {slot}");
        }
    }
    assert_eq!(client.finish().len(), count as usize);
}

pub(crate) fn a_slot_can_be_used_hundreds_of_times<F: Fixture>() {
    let rounds = 300;
    let mut client = Client::<F>::new(small(), vec![Listener::Script(vec![Step::Echo(10)])]);
    for round in 0..rounds {
        let start = round * 10;
        client.connect(3, 0);
        client.start_send(3, start, 10, Confirm::OnFailure);
        assert_eq!(client.recv_exactly(3, 10, 100), pattern(start as usize, 10));
        client.close(3, if round % 2 == 0 { CloseKind::Orderly } else { CloseKind::Reset });
    }
    assert_eq!(client.finish().len(), rounds as usize);
}
