//! The worker over TLS, in the simulated network and under its faults. Families C, D and G of the
//! fault catalogue; each test names its cases.

use super::*;
use crate::outcome::TlsFault;
use crate::sim::{LiveEnd, LiveMaker, LivePeer, ServerCounts};
use crate::tls::Settings;
use crate::tls::tests::certificates::{Authority, Issued, Valid};
use crate::tls::tests::options;
use crate::tls::tests::server::{Like, Server};
use std::sync::atomic::{AtomicU64, Ordering};

/// How the server behaves once the handshake is done.
#[derive(Clone, Debug)]
struct Behaviour {
    answer: Vec<u8>,
    /// After so many answers on a connection it ends as said.
    answers_max: usize,
    ending: Ends,
    /// The connection ends after so many bytes of the server's, whatever they are.
    cut: Option<(u64, LiveEnd)>,
    /// Each answer in records of its own, one byte each.
    dribbles: bool,
    /// New keys before each answer.
    rekeys: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ends {
    Never,
    /// close_notify, then FIN.
    Properly,
    /// FIN alone.
    Truncated,
    Reset,
    /// A record that was changed on its way.
    Garbage,
    /// close_notify, and the socket stays.
    NotifyOnly,
}

impl Behaviour {
    fn answering(answer: &str) -> Self {
        Self {
            answer: answer.as_bytes().to_vec(),
            answers_max: usize::MAX,
            ending: Ends::Never,
            cut: None,
            dribbles: false,
            rekeys: false,
        }
    }

    fn ending(answer: &str, answers_max: usize, ending: Ends) -> Self {
        Self { answers_max, ending, ..Self::answering(answer) }
    }
}

/// A server over TLS, and what all its connections counted.
#[derive(Debug)]
struct Peer {
    server: Server,
    behaviour: Behaviour,
    answered: usize,
    sent: u64,
    requests: Arc<AtomicU64>,
}

impl LivePeer for Peer {
    fn receive(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> LiveEnd {
        self.server.receive(bytes);
        let mut end = LiveEnd::Stays;
        while let Some(at) = self.server.read.windows(4).position(|four| four == b"\r\n\r\n") {
            self.server.read.drain(..at + 4);
            self.requests.fetch_add(1, Ordering::Relaxed);
            if self.answered == self.behaviour.answers_max {
                continue;
            }
            self.answered += 1;
            if self.behaviour.rekeys {
                self.server.conn.refresh_traffic_keys().unwrap();
            }
            if self.behaviour.dribbles {
                self.behaviour.answer.clone().chunks(1).for_each(|one| self.server.write(one));
            } else {
                self.server.write(&self.behaviour.answer.clone());
            }
            if self.answered == self.behaviour.answers_max {
                end = self.end();
            }
        }
        out.extend(self.server.outgoing());
        if self.behaviour.ending == Ends::Garbage && self.answered == self.behaviour.answers_max {
            out.extend_from_slice(&[23, 3, 3, 0, 40]);
            out.extend_from_slice(&[9; 40]);
        }
        if self.server.error.is_some() {
            end = LiveEnd::Fin;
        }
        if let Some((cut, how)) = self.behaviour.cut {
            let left = cut.saturating_sub(self.sent);
            if out.len() as u64 >= left {
                out.truncate(left as usize);
                end = how;
            }
            self.sent += out.len() as u64;
        }
        end
    }
}

impl Peer {
    fn end(&mut self) -> LiveEnd {
        match self.behaviour.ending {
            Ends::Never | Ends::Garbage => LiveEnd::Stays,
            Ends::Properly => {
                self.server.conn.send_close_notify();
                LiveEnd::Fin
            }
            Ends::NotifyOnly => {
                self.server.conn.send_close_notify();
                LiveEnd::Stays
            }
            Ends::Truncated => LiveEnd::Fin,
            Ends::Reset => LiveEnd::Rst,
        }
    }
}

/// A run against a TLS server, and the server's own count of requests.
struct Encrypted {
    run: Run,
    requests: Arc<AtomicU64>,
}

impl Encrypted {
    fn new(like: &Like, behaviour: Behaviour) -> Self {
        let root = Authority::root("Test Root");
        let issued = root.issue(&["localhost"], Valid::Now);
        let settings = Settings::new(options("localhost", &root)).unwrap();
        Self::with(settings, like, &issued, behaviour)
    }

    fn with(settings: Settings, like: &Like, issued: &Issued, behaviour: Behaviour) -> Self {
        let (config, requests) = (like.config(issued), Arc::new(AtomicU64::new(0)));
        let counted = Arc::clone(&requests);
        let maker = LiveMaker::new(move || {
            Box::new(Peer {
                server: Server::new(&config),
                behaviour: behaviour.clone(),
                answered: 0,
                sent: 0,
                requests: Arc::clone(&counted),
            })
        });
        let mut run = Run::against(Model::scripted(vec![Listener::Live(maker)]));
        run.tls = Some(settings);
        Self { run, requests }
    }

    fn run(&self) -> (Outcome, u64) {
        let (outcome, sim) = self.run.run();
        assert_eq!(*sim.server(), ServerCounts::default(), "nobody reached the plain server");
        (outcome, self.requests.load(Ordering::Relaxed))
    }
}

const BOTH: [u16; 2] = [12, 13];
const CLOSE_DELIMITED: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello";

fn failed(outcome: &Outcome, cause: Failure) -> u64 {
    outcome.record.whole().failed.count(cause)
}

#[test]
fn a_run_over_tls_counts_as_a_plain_one_does() {
    for version in BOTH {
        for depth in [1, 16] {
            let mut it =
                Encrypted::new(&Like { version, ..Like::default() }, Behaviour::answering(OK));
            it.run.depth = depth;
            let (outcome, requests) = it.run();
            let (whole, tls) = (outcome.record.whole(), outcome.record.tls.unwrap());
            assert_eq!((whole.completed, requests, whole.failed.total()), (400, 400, 0));
            assert_eq!((tls.full + tls.resumed, tls.handshake.len()), (4, 4));
            let bytes = outcome.record.bytes;
            assert_eq!((bytes.head, bytes.body), (400 * (OK.len() as u64 - 5), 400 * 5));
            // At least a record's header and tag for each answer of a turn.
            assert!(bytes.tls > 4 * 22, "{bytes:?}");
            assert_eq!(whole.bytes_in, bytes.total());
        }
    }
}

#[test]
fn a_rate_is_kept_over_tls_too() {
    let mut it = Encrypted::new(&Like::default(), Behaviour::answering(OK));
    let paced = paced::paced("2k", SECOND);
    it.run = Run { pace: paced.pace, requests: None, duration_ns: Some(SECOND), ..it.run };
    let (outcome, requests) = it.run();
    assert_eq!((outcome.record.whole().completed, requests), (2000, 2000));
}

#[test]
fn nothing_the_backend_does_loses_a_request_over_tls() {
    for seed in 0..30 {
        let like = Like { version: BOTH[seed as usize % 2], ..Like::default() };
        let mut it = Encrypted::new(&like, Behaviour::answering(OK));
        it.run.depth = [1, 4, 16][seed as usize % 3];
        it.run.model.seed = seed;
        it.run.model.faults = Faults::swarm(&mut Rng::new(seed));
        it.run.model.queue_ops = 8 + seed as usize;
        let (outcome, requests) = it.run();
        assert_eq!((outcome.record.whole().completed, requests), (400, 400), "seed {seed}");
    }
}

/// Every connection ends a byte sooner than the one before, in order or by a reset in turn.
#[test]
fn g02_an_end_or_a_reset_at_every_byte_of_the_handshake_is_a_failed_attempt() {
    const BYTES: u64 = 1000;
    let like = Like { tickets: 0, ..Like::default() };
    let root = Authority::root("Test Root");
    let config = like.config(&root.issue(&["localhost"], Valid::Now));
    let settings = Settings::new(options("localhost", &root)).unwrap();
    for turn in 0..2 {
        let (made, requests) = (AtomicU64::new(0), Arc::new(AtomicU64::new(0)));
        let config = Arc::clone(&config);
        let maker = LiveMaker::new(move || {
            let made = made.fetch_add(1, Ordering::Relaxed);
            let how = [LiveEnd::Fin, LiveEnd::Rst][((made + turn) % 2) as usize];
            let cut = BYTES.saturating_sub(made);
            Box::new(Peer {
                server: Server::new(&config),
                behaviour: Behaviour { cut: Some((cut, how)), ..Behaviour::answering(OK) },
                answered: 0,
                sent: 0,
                requests: Arc::clone(&requests),
            })
        });
        let mut run = Run::against(Model::scripted(vec![Listener::Live(maker)]));
        run.tls = Some(settings.clone());
        (run.connections, run.requests) = (16, None);
        run.duration_ns = Some(BYTES / 16 * SECOND);
        let (outcome, _) = run.run();
        let connections = &outcome.record.connections;
        let tls = outcome.record.tls.unwrap();
        assert!(connections.attempts > BYTES, "every byte was met: {connections:?}");
        assert!(connections.established > 100, "the handshake was shorter: {connections:?}");
        let failed = connections.failed.count(ConnectFailure::Tls);
        assert!(failed > 500 && failed == connections.failed.total(), "{connections:?}");
        assert_eq!(tls.faults.count(TlsFault::Closed), failed, "{:?}", tls.faults);
    }
}

#[test]
fn g07_records_of_one_byte_are_answers_like_any_other() {
    let mut it =
        Encrypted::new(&Like::default(), Behaviour { dribbles: true, ..Behaviour::answering(OK) });
    it.run.model.faults.recv_split_ppm = 300_000;
    let (outcome, _) = it.run();
    assert_eq!(outcome.record.whole().completed, 400);
}

#[test]
fn g08_a_broken_record_fails_the_oldest_request_by_tls_and_cuts_off_the_others() {
    for depth in [1, 4] {
        let mut it = Encrypted::new(&Like::default(), Behaviour::ending(OK, 2, Ends::Garbage));
        it.run.depth = depth;
        let (outcome, _) = it.run();
        let faults = outcome.record.tls.as_ref().unwrap().faults;
        assert!(faults.count(TlsFault::Protocol) > 0);
        assert_eq!(outcome.record.connections.errored, faults.total());
        if depth > 1 {
            assert!(failed(&outcome, Failure::Tls) > 0);
            assert!(failed(&outcome, Failure::CutOff) > 0);
        }
        assert!(outcome.record.whole().completed > 100);
    }
}

#[test]
fn g09_keys_that_change_with_every_answer_change_nothing_else() {
    let behaviour = Behaviour { rekeys: true, ..Behaviour::answering(OK) };
    let mut it = Encrypted::new(&Like::default(), behaviour);
    it.run.depth = 4;
    let (outcome, requests) = it.run();
    assert_eq!((outcome.record.whole().completed, requests), (400, 400));
}

#[test]
fn g10_handshakes_are_counted_as_full_or_resumed() {
    for (tickets, any_resumed) in [(0, false), (1, true), (2, true)] {
        for version in BOTH {
            let like = Like { version, tickets, ..Like::default() };
            let it = Encrypted::new(&like, Behaviour::ending(OK, 10, Ends::Properly));
            let (outcome, _) = it.run();
            let tls = outcome.record.tls.unwrap();
            assert_eq!(tls.handshakes(), outcome.record.connections.established);
            assert!(tls.full > 0 && (tls.resumed > 0) == any_resumed, "{tickets}: {tls:?}");
        }
    }
}

#[test]
fn g11_a_missing_close_notify_truncates_only_what_the_end_delimits() {
    let sized = OK;
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    for (answer, ending, truncated) in [
        (sized, Ends::Truncated, false),
        (chunked, Ends::Truncated, false),
        (CLOSE_DELIMITED, Ends::Truncated, true),
        (sized, Ends::Properly, false),
        (CLOSE_DELIMITED, Ends::Properly, false),
        (CLOSE_DELIMITED, Ends::NotifyOnly, false),
    ] {
        let it = Encrypted::new(&Like::default(), Behaviour::ending(answer, 1, ending));
        let (outcome, _) = it.run();
        let whole = outcome.record.whole();
        let eof_body = failed(&outcome, Failure::EofBody);
        if truncated {
            assert_eq!((whole.completed, eof_body), (0, whole.failed.total()), "{answer}");
            assert!(eof_body > 0);
        } else {
            // The next request may meet the end.
            let stale = failed(&outcome, Failure::Stale);
            assert_eq!((eof_body, whole.failed.total()), (0, stale), "{answer} {ending:?}");
            assert_eq!(whole.completed + stale, 400, "{answer} {ending:?}");
            assert!(whole.completed >= 200, "{answer} {ending:?}");
        }
    }
}

#[test]
fn a_reset_is_a_reset_over_tls_too() {
    let it = Encrypted::new(&Like::default(), Behaviour::ending(CLOSE_DELIMITED, 1, Ends::Reset));
    let (outcome, _) = it.run();
    let whole = outcome.record.whole();
    assert_eq!((whole.completed, whole.failed.total()), (0, failed(&outcome, Failure::Reset)));
    assert!(whole.failed.total() > 0);
}

#[test]
fn requests_longer_than_a_scratch_buffer_leave_in_pieces_and_arrive_whole() {
    let mut it = Encrypted::new(&Like::default(), Behaviour::answering(OK));
    it.run.body = Some(vec![b'x'; 50_000]);
    it.run.method = "POST";
    it.run.requests = Some(20);
    it.run.model.faults.queue_full_ppm = 100_000;
    let (outcome, requests) = it.run();
    assert_eq!((outcome.record.whole().completed, requests), (20, 20));
}

#[test]
fn first_handshakes_that_all_fail_alike_end_the_opening() {
    let (root, other) = (Authority::root("Test Root"), Authority::root("Another Root"));
    let issued = other.issue(&["localhost"], Valid::Now);
    let settings = Settings::new(options("localhost", &root)).unwrap();
    let mut it = Encrypted::with(settings, &Like::default(), &issued, Behaviour::answering(OK));
    it.run.connections = 100;
    // Ten a second would take ten seconds, of which two are allowed.
    it.run.connect_pace = Some(ConnectPace { interval_ns: 100 * MS, first_ns: 0 });
    it.run.duration_ns = Some(1);
    let control = Control::default();
    control.start_at(0);
    let (outcome, _) = it.run.worker().0.run(&control);
    let tls = outcome.record.tls.unwrap();
    assert_eq!(outcome.record.connections.established, 0);
    assert_eq!(tls.faults.total(), 8, "{:?}", tls.faults);
    assert_eq!(tls.faults.count(TlsFault::UnknownIssuer), 8);
    assert!(tls.first_fault.unwrap().contains("unknown issuer"));
    let server = &outcome.record.servers[0];
    assert_eq!((server.failed.count(ConnectFailure::Tls), server.faults.total()), (8, 8));
    let (cause, text) = server.worst_fault().unwrap();
    assert!(cause == TlsFault::UnknownIssuer && text.contains("unknown issuer"), "{text}");
    // Others may have a server that answers them.
    assert_eq!(control.stop(), Stop::No);
}

#[test]
fn an_attempt_under_way_may_still_succeed_where_many_have_failed() {
    let (root, other) = (Authority::root("Test Root"), Authority::root("Another Root"));
    let like = Like::default();
    let configs = [&other, &root].map(|a| like.config(&a.issue(&["localhost"], Valid::Now)));
    let (made, requests) = (AtomicU64::new(0), Arc::new(AtomicU64::new(0)));
    let maker = LiveMaker::new(move || {
        // The first nineteen are shown to nobody's liking.
        let config = &configs[usize::from(made.fetch_add(1, Ordering::Relaxed) >= 19)];
        Box::new(Peer {
            server: Server::new(config),
            behaviour: Behaviour::answering(OK),
            answered: 0,
            sent: 0,
            requests: Arc::clone(&requests),
        })
    });
    let mut run = Run::against(Model::scripted(vec![Listener::Live(maker)]));
    run.tls = Some(Settings::new(options("localhost", &root)).unwrap());
    // One after the other, so that the first fail while others are under way.
    run.connect_pace = Some(ConnectPace { interval_ns: MS / 100, first_ns: 0 });
    run.connections = 20;
    let (outcome, _) = run.run();
    let record = &outcome.record;
    assert!(outcome.open_at_start > 0, "the last one was waited for");
    assert_eq!((record.whole().completed, record.servers[0].faults.total()), (400, 19));
}

#[test]
fn a_protocol_that_is_not_spoken_fails_the_handshake() {
    let root = Authority::root("Test Root");
    let issued = root.issue(&["localhost"], Valid::Now);
    for (offer, taken, spoken) in [
        (&["h2"][..], &["h2"][..], false),
        (&["h2", "http/1.1"], &["http/1.1"], true),
        (&["http/1.1"], &[], true),
        (&[], &["http/1.1"], true),
    ] {
        let alpn = offer.iter().map(|name| (*name).to_owned()).collect();
        let asked = crate::tls::Options { alpn, ..options("localhost", &root) };
        let like = Like { alpn: taken, ..Like::default() };
        let settings = Settings::new(asked).unwrap();
        let (outcome, _) =
            Encrypted::with(settings, &like, &issued, Behaviour::answering(OK)).run();
        let tls = outcome.record.tls.as_ref().unwrap();
        assert_eq!(tls.faults.count(TlsFault::Alpn) > 0, !spoken, "{offer:?} {taken:?}");
        let expected = if spoken { 400 } else { 0 };
        assert_eq!(outcome.record.whole().completed, expected, "{offer:?} {taken:?}");
    }
}

#[test]
fn a_server_that_stops_talking_in_the_handshake_times_out_as_an_attempt() {
    let maker = LiveMaker::new(|| Box::new(Silent));
    let root = Authority::root("Test Root");
    let mut run = Run::against(Model::scripted(vec![Listener::Live(maker)]));
    run.tls = Some(Settings::new(options("localhost", &root)).unwrap());
    let (outcome, _) = run.run();
    let connections = outcome.record.connections;
    let timeouts = connections.failed.count(ConnectFailure::Timeout);
    assert!(timeouts > 0, "{connections:?}");
    assert_eq!(connections.established, 0);
    assert_eq!(outcome.record.tls.unwrap().faults.count(TlsFault::Silent), timeouts);
}

/// Ends the handshake in order, and nothing else.
#[derive(Debug)]
struct Notifying;

impl LivePeer for Notifying {
    fn receive(&mut self, _bytes: &[u8], out: &mut Vec<u8>) -> LiveEnd {
        out.extend([21, 3, 3, 0, 2, 1, 0]);
        LiveEnd::Stays
    }
}

#[test]
fn g03_a_close_notify_in_the_handshake_fails_the_attempt_before_its_time_is_over() {
    let maker = LiveMaker::new(|| Box::new(Notifying));
    let root = Authority::root("Test Root");
    let mut run = Run::against(Model::scripted(vec![Listener::Live(maker)]));
    run.tls = Some(Settings::new(options("localhost", &root)).unwrap());
    run.duration_ns = Some(MS);
    let (outcome, _) = run.run();
    assert!(outcome.window_end_ns < 100 * MS, "{}", outcome.window_end_ns);
    let (connections, tls) = (outcome.record.connections, outcome.record.tls.unwrap());
    assert!(connections.failed.count(ConnectFailure::Tls) >= 4, "{connections:?}");
    assert_eq!(connections.failed.total(), tls.faults.count(TlsFault::Closed), "{connections:?}");
}

#[derive(Debug)]
struct Silent;

impl LivePeer for Silent {
    fn receive(&mut self, _bytes: &[u8], _out: &mut Vec<u8>) -> LiveEnd {
        LiveEnd::Stays
    }
}

#[test]
fn a_plain_server_is_a_fault_of_its_own_and_a_tls_server_is_noticed_by_a_plain_run() {
    let root = Authority::root("Test Root");
    let answer = b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec();
    let script = vec![Step::Read(100), Step::Write(answer), Step::Fin];
    let mut run = Run::against(Model::scripted(vec![Listener::Script(script)]));
    run.tls = Some(Settings::new(options("localhost", &root)).unwrap());
    let (outcome, _) = run.run();
    let tls = outcome.record.tls.unwrap();
    assert_eq!(tls.faults.count(TlsFault::NotTls), tls.faults.total(), "{:?}", tls.faults);

    let alert = vec![Step::Read(10), Step::Write(vec![21, 3, 1, 0, 2, 2, 70]), Step::Fin];
    let run = Run::against(Model::scripted(vec![Listener::Script(alert)]));
    let (outcome, _) = run.run();
    assert!(outcome.record.notices.tls_on_plain > 0);
    assert!(failed(&outcome, Failure::Parse) > 0);
}
