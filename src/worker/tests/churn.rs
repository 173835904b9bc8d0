//! Connections that come and go: closed after so many requests, opened at a rate, and begun with
//! something that is no request.

use super::paced::{pace_of, profile};
use super::*;
use crate::io::Address;
use crate::proto::ProxyVersion;
use crate::schedule::Arrivals;
use crate::sim::{PeerEnd, PeerSeen};

fn churning(requests_max: u64, depth: u32) -> Run {
    let mut run = Run::answering(OK);
    (run.requests_max, run.depth, run.requests) = (requests_max, depth, Some(1000));
    run
}

/// Nothing failed, and every request was answered.
fn check_clean(outcome: &Outcome, sim: &Sim, what: &str) {
    let whole = outcome.record.whole();
    assert_eq!((whole.failed.total(), outcome.record.inflight_end), (0, 0), "{what}");
    assert_eq!(whole.completed, whole.started, "{what}");
    assert_eq!(sim.server().requests, whole.started, "{what}");
}

#[test]
fn a_connection_carries_exactly_as_many_requests_as_it_may_at_any_depth() {
    for close in [CloseKind::Reset, CloseKind::Orderly] {
        for (requests_max, depth) in [(1, 1), (1, 16), (2, 1), (2, 16), (7, 1), (7, 16), (250, 16)]
        {
            let mut run = churning(requests_max, depth);
            run.close = close;
            let (outcome, sim) = run.run();
            let what = format!("{requests_max} requests, depth {depth}, {close:?}");
            check_clean(&outcome, &sim, &what);
            assert_eq!(completed(&outcome), 1000, "{what}");
            let ends = &outcome.record.connections;
            // Of four connections three at most end with less than they may carry.
            let least = 1000_u64.div_ceil(requests_max);
            assert!((least..=least + 3).contains(&ends.established), "{what}: {ends:?}");
            assert_eq!(ends.attempts, ends.established, "{what}: none is opened in vain");
            assert_eq!(ends.errored + ends.closed_by_peer, 0, "{what}: {ends:?}");
            assert!(ends.closed_by_us >= 1000 / requests_max - 3, "{what}: {ends:?}");
            assert!(sim.server().connections >= least, "{what}");
        }
    }
}

#[test]
fn no_connection_carries_more_however_hostile_the_backend() {
    for (seed, (requests_max, depth)) in (0..60).zip([(1, 1), (2, 16), (7, 16)].iter().cycle()) {
        let mut run = churning(*requests_max, *depth);
        run.model.seed = seed;
        run.model.faults = Faults::swarm(&mut Rng::new(seed));
        run.model.queue_ops = 6;
        // The server counts the requests of each connection, and would answer no more.
        let most = *requests_max as u32;
        run.model.ending = Ending::AfterAnswers { answers: most + 1, leftover: Leftover::Reset };
        run.connections = 9;
        let (outcome, sim) = run.run();
        check_clean(&outcome, &sim, &format!("seed {seed}"));
        assert_eq!(outcome.record.connections.closed_by_peer, 0, "seed {seed}");
    }
}

#[test]
fn a_schedule_is_kept_over_connections_that_end() {
    for (requests_max, depth) in [(1, 1), (2, 1), (7, 1), (1, 16), (2, 16), (7, 16)] {
        let mut run = churning(requests_max, depth);
        run.pace = Some(pace_of(&profile("2k", Some(SECOND)), Arrivals::Constant, 0, 1));
        (run.requests, run.duration_ns, run.connections) = (None, Some(SECOND), 8);
        let (outcome, sim) = run.run();
        let what = format!("{requests_max} requests, depth {depth}");
        check_clean(&outcome, &sim, &what);
        let window = outcome.record.phase(Phase::Window);
        assert_eq!((window.due, window.started, window.unsent), (2000, 2000, 0), "{what}");
        assert!(sim.server().connections >= 2000 / requests_max, "{what}");
        let opened = outcome.record.connect_window.len();
        assert!(opened + 8 >= 2000 / requests_max, "{what}: {opened}");
    }
}

#[test]
fn answers_that_announce_the_close_leave_it_to_the_peer() {
    let answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello";
    let mut run = Run::answering(answer);
    run.model.ending = Ending::AfterAnswers { answers: 1, leftover: Leftover::Reset };
    run.requests_max = 1;
    let (outcome, sim) = run.run();
    check_clean(&outcome, &sim, "announced");
    let ends = &outcome.record.connections;
    assert!(ends.closed_by_peer >= 396 && ends.errored == 0, "{ends:?}");
}

#[test]
fn connections_that_come_and_go_reach_every_address_evenly() {
    let mut run = churning(1, 1);
    (run.connections, run.addresses) = (1, 3);
    let (outcome, _) = run.run();
    let counts = &outcome.record.addresses;
    assert_eq!(counts.iter().map(|address| address.completed).collect::<Vec<_>>(), [334, 333, 333]);
    assert!(counts.iter().all(|address| address.failed == 0));
}

#[test]
fn each_address_has_its_own_counts() {
    let mut run = Run::answering(OK);
    run.model.listeners = vec![Listener::Serve, Listener::Refuse, Listener::Serve];
    (run.connections, run.addresses) = (6, 3);
    let (outcome, _) = run.run();
    let counts = &outcome.record.addresses;
    assert_eq!(counts.len(), 3);
    assert_eq!((counts[1].established, counts[1].completed, counts[1].failed), (0, 0, 2));
    assert_eq!(counts[0].established + counts[2].established, 6);
    assert_eq!(counts[0].completed + counts[2].completed, 400);
    assert!(Run::answering(OK).run().0.record.addresses.is_empty(), "one address needs no table");
}

#[test]
fn attempts_begin_at_the_rate_asked_for_and_opening_waits_for_them() {
    let mut run = Run::answering(OK);
    (run.connections, run.requests) = (50, Some(50));
    run.connect_pace = Some(ConnectPace { interval_ns: 20 * MS, first_ns: 5 * MS });
    let (outcome, sim) = run.run();
    assert_eq!(outcome.open_at_start, 50);
    assert_eq!(completed(&outcome), 50);
    // The last begins at 985 ms; the run itself takes no time worth naming.
    assert!((985 * MS..995 * MS).contains(&sim.time_ns()), "{}", sim.time_ns());
}

#[test]
fn connections_that_come_and_go_are_opened_at_the_rate_asked_for() {
    let mut run = churning(1, 1);
    (run.requests, run.duration_ns) = (None, Some(2 * SECOND));
    run.connect_pace = Some(ConnectPace { interval_ns: 10 * MS, first_ns: 0 });
    let (outcome, sim) = run.run();
    check_clean(&outcome, &sim, "paced");
    let opened = outcome.record.connect_window.len();
    assert!((195..=201).contains(&opened), "{opened}");
}

const CONNECT: &[u8] = b"CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n";
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";

/// Peers that answer CONNECT with `granted`, then one request.
fn proxy(granted: &str, connections: u32, requests: u64) -> Run {
    let steps = vec![
        Step::Read(CONNECT.len()),
        Step::Write(granted.as_bytes().to_vec()),
        Step::Read(REQUEST.len()),
        Step::Write(OK.as_bytes().to_vec()),
    ];
    let mut run = Run::against(Model::scripted(vec![Listener::Script(steps)]));
    run.prelude = Some(Prelude::Tunnels(Arc::from([Some(Arc::from(CONNECT))])));
    (run.connections, run.requests, run.requests_max) = (connections, Some(requests), 1);
    run
}

#[test]
fn a_tunnel_is_asked_for_once_on_every_connection_and_before_any_request() {
    for seed in 0..40 {
        let mut run = proxy("HTTP/1.1 200 Connection established\r\nVia: p\r\n\r\n", 5, 40);
        run.model.seed = seed;
        run.model.faults = Faults::swarm(&mut Rng::new(seed));
        let (outcome, sim) = run.run();
        assert_eq!(completed(&outcome), 40, "seed {seed}");
        assert_eq!(outcome.record.whole().failed.total(), 0, "seed {seed}");
        let bytes: Vec<u8> = [CONNECT, REQUEST].concat();
        let used = |seen: &&PeerSeen| seen.read.len() > CONNECT.len();
        assert_eq!(sim.seen().iter().filter(used).count(), 40, "seed {seed}");
        assert!(sim.seen().iter().filter(used).all(|seen| seen.read == bytes), "seed {seed}");
        // What the proxy said is nobody's answer.
        assert_eq!(outcome.record.whole().bytes_in, 40 * OK.len() as u64, "seed {seed}");
    }
}

#[test]
fn a_tunnel_that_is_refused_is_a_failed_attempt_with_its_status() {
    for (granted, status) in [
        ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", 407),
        ("HTTP/1.1 503\r\n\r\n", 503),
        ("SSH-2.0-OpenSSH\r\n", 0),
        ("HTTP/1.1 200 OK\r\n\r\nearly", 0),
    ] {
        let mut run = proxy(granted, 2, 10);
        run.duration_ns = Some(SECOND / 10);
        let (outcome, sim) = run.run();
        let ends = &outcome.record.connections;
        assert!(ends.failed.count(ConnectFailure::Proxy) >= 2, "{granted:?}: {ends:?}");
        assert_eq!(ends.failed.count(ConnectFailure::Proxy), ends.failed.total(), "{granted:?}");
        assert_eq!((ends.established, ends.proxy_status), (0, status), "{granted:?}");
        assert_eq!(outcome.record.whole().started, 0, "{granted:?}");
        assert!(sim.seen().iter().all(|seen| seen.read == CONNECT), "{granted:?}");
    }
}

#[test]
fn a_proxy_that_hangs_up_or_is_silent_costs_the_attempt_alone() {
    let ends_with = |steps: Vec<Step>| {
        let mut run = Run::against(Model::scripted(vec![Listener::Script(steps)]));
        run.prelude = Some(Prelude::Tunnels(Arc::from([Some(Arc::from(CONNECT))])));
        // The window goes on for longer than an attempt may take.
        (run.connections, run.duration_ns, run.requests) = (3, Some(3 * SECOND), None);
        let (outcome, _) = run.run();
        assert_eq!(outcome.record.connections.established, 0);
        outcome.record.connections.failed
    };
    let closed = ends_with(vec![Step::Read(CONNECT.len()), Step::Fin]);
    assert!(closed.count(ConnectFailure::Proxy) >= 3, "{closed:?}");
    let reset = ends_with(vec![Step::Read(CONNECT.len()), Step::Rst]);
    assert!(reset.count(ConnectFailure::Reset) >= 3, "{reset:?}");
    let silent = ends_with(vec![Step::Read(CONNECT.len())]);
    assert!(silent.count(ConnectFailure::Timeout) >= 3, "{silent:?}");
}

#[test]
fn a_proxy_header_comes_first_and_once_with_the_connections_own_ends() {
    let far: Address = ([127, 0, 0, 1], 80).into();
    for (version, header) in [
        (ProxyVersion::V1, &b"PROXY TCP4 192.0.2.99 127.0.0.1 1024 80\r\n"[..]),
        (
            ProxyVersion::V2,
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x63\x7f\0\0\x01\x04\0\0\x50",
        ),
    ] {
        let steps = vec![
            Step::Read(header.len() + REQUEST.len()),
            Step::Write(OK.as_bytes().to_vec()),
            Step::Read(REQUEST.len()),
            Step::Write(OK.as_bytes().to_vec()),
        ];
        let mut run = Run::against(Model::scripted(vec![Listener::Script(steps)]));
        run.prelude = Some(Prelude::ProxyHeader { version, addresses: Arc::from([far.clone()]) });
        (run.connections, run.requests, run.requests_max) = (1, Some(20), 2);
        let (outcome, sim) = run.run();
        assert_eq!((completed(&outcome), outcome.record.whole().failed.total()), (20, 0));
        let expected = [header, REQUEST, REQUEST].concat();
        assert_eq!(sim.seen().len(), 10);
        assert!(sim.seen().iter().all(|seen| seen.read == expected), "{:?}", sim.seen()[0]);
        assert!(sim.seen()[..9].iter().all(|seen| seen.end == Some(PeerEnd::Reset)));
    }
}
