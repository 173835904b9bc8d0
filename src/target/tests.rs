//! The server from outside, over real loopback sockets, once for each engine.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::*;
use crate::units::Distribution;

/// Bounds a hang; no claim depends on it.
const HANG: Duration = Duration::from_secs(60);
/// What every ordinary answer of these tests begins with.
const HEAD: &str = "HTTP/1.1 200 OK\r\nServer: wring\r\nContent-Type: text/plain; \
                    charset=utf-8\r\nContent-Length: 100\r\n\r\n";
const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
/// Of the ordinary answer: 40 bytes of head, 100 of body.
const ANSWER_BYTES: usize = HEAD.len() + 100;

fn config(engine: Engine) -> Config {
    Config {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        threads: 1,
        cpus: Vec::new(),
        body_bytes: 100,
        timing: Timing::default(),
        status: 200,
        engine,
        close_after: None,
        faults_ppm: 0,
    }
}

/// Every answer this much later.
fn delayed(ns: u64) -> Timing {
    Timing { wait: Wait::Delay(Distribution::constant(ns)), ..Timing::default() }
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(HANG)).unwrap();
    stream.set_write_timeout(Some(HANG)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// One answer: its head as text and its body.
fn answer(stream: &mut TcpStream, has_body: bool) -> (String, Vec<u8>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let length = length.map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; if has_body { length } else { 0 }];
    stream.read_exact(&mut body).unwrap();
    (head, body)
}

fn ask(stream: &mut TcpStream, request: &str) -> (String, Vec<u8>) {
    stream.write_all(request.as_bytes()).unwrap();
    answer(stream, !request.starts_with("HEAD"))
}

/// True when the server ends the connection without another byte.
fn is_closed(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => rest.is_empty(),
        Err(error) => error.kind() == ErrorKind::ConnectionReset && rest.is_empty(),
    }
}

fn wait_until(server: &Server, is_so: impl Fn(Counts) -> bool) {
    let begun = Instant::now();
    while !is_so(server.counts()) {
        assert!(begun.elapsed() < HANG, "still {:?}", server.counts());
        std::thread::yield_now();
    }
}

fn body_pattern(bytes: usize) -> Vec<u8> {
    let pattern = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-\n";
    pattern.iter().copied().cycle().take(bytes).collect()
}

fn an_answer_is_complete_and_counted(engine: Engine) {
    let server = Server::start(config(engine)).unwrap();
    let mut stream = connect(&server);
    for _ in 0..3 {
        let (head, body) = ask(&mut stream, GET);
        assert_eq!(head, HEAD);
        assert_eq!(body, body_pattern(100));
    }
    assert_eq!(server.counts().requests, 3);
    assert_eq!((server.counts().connections, server.counts().open), (1, 1));
    let counts = server.stop();
    let expected = Counts {
        requests: 3,
        answers: 3,
        connections: 1,
        bytes_in: 3 * GET.len() as u64,
        bytes_out: 3 * ANSWER_BYTES as u64,
        ..Counts::default()
    };
    assert_eq!(counts, expected);
    assert!(is_closed(&mut stream));
}

fn pipelined_requests_in_odd_pieces_are_counted_one_by_one(engine: Engine) {
    let server = Server::start(config(engine)).unwrap();
    let mut sent = 0;
    for piece in [1, 7, 29, 100, 4096, 70_000] {
        let mut stream = connect(&server);
        let count = if piece == 1 { 20 } else { 2000 };
        let requests = GET.repeat(count);
        let mut writer = stream.try_clone().unwrap();
        let writes = std::thread::spawn(move || {
            for part in requests.as_bytes().chunks(piece) {
                writer.write_all(part).unwrap();
            }
        });
        let mut answers = vec![0; count * ANSWER_BYTES];
        stream.read_exact(&mut answers).unwrap();
        writes.join().unwrap();
        let (first, rest) = answers.split_at(ANSWER_BYTES);
        assert!(rest.chunks(ANSWER_BYTES).all(|answer| answer == first));
        sent += count as u64;
        assert_eq!(server.counts().requests, sent);
    }
    let counts = server.stop();
    assert_eq!((counts.requests, counts.answers, counts.connections), (sent, sent, 6));
    assert_eq!(
        (counts.bytes_in, counts.bytes_out),
        (sent * GET.len() as u64, sent * ANSWER_BYTES as u64)
    );
}

fn head_gets_no_body_and_batches_may_mix(engine: Engine) {
    let server = Server::start(config(engine)).unwrap();
    let mut stream = connect(&server);
    let head = GET.replace("GET", "HEAD");
    stream.write_all(format!("{GET}{head}{head}{GET}").as_bytes()).unwrap();
    for has_body in [true, false, false, true] {
        let (head, body) = answer(&mut stream, has_body);
        assert_eq!(head, HEAD);
        assert_eq!(body.len(), if has_body { 100 } else { 0 });
    }
    assert_eq!(server.stop().answers, 4);
}

fn a_request_body_is_waited_for(engine: Engine) {
    let server = Server::start(config(engine)).unwrap();
    let mut stream = connect(&server);
    let expects = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
    let (head, _) = ask(&mut stream, expects);
    assert_eq!(head, "HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(server.counts().requests, 0);
    let (head, body) = ask(&mut stream, "abc");
    assert_eq!((&head[..15], body.len()), ("HTTP/1.1 200 OK", 100));
    let long = "x".repeat(300_000);
    let request = format!("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 300000\r\n\r\n{long}");
    ask(&mut stream, &request);
    let chunked = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    ask(&mut stream, &format!("{chunked}493e0\r\n{long}\r\n0\r\n\r\n"));
    let counts = server.stop();
    assert_eq!((counts.requests, counts.answers, counts.malformed), (3, 3, 0));
}

fn no_content_has_no_body(engine: Engine) {
    let server = Server::start(Config { status: 204, ..config(engine) }).unwrap();
    let mut stream = connect(&server);
    for _ in 0..2 {
        assert_eq!(ask(&mut stream, GET).0, "HTTP/1.1 204 No Content\r\nServer: wring\r\n\r\n");
    }
    assert_eq!(
        server.stop().bytes_out,
        2 * "HTTP/1.1 204 No Content\r\nServer: wring\r\n\r\n".len() as u64
    );
}

fn a_connection_ends_as_asked(engine: Engine) {
    let server = Server::start(config(engine)).unwrap();
    for request in
        ["GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"]
    {
        let mut stream = connect(&server);
        // What follows such a request is neither answered nor counted.
        let (head, _) = ask(&mut stream, &format!("{request}{GET}"));
        assert!(head.contains("\r\nConnection: close\r\n"), "{head}");
        assert!(is_closed(&mut stream));
    }
    let mut stream = connect(&server);
    for _ in 0..2 {
        let (head, _) = ask(&mut stream, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        assert!(head.contains("\r\nConnection: keep-alive\r\n"), "{head}");
    }
    assert_eq!(server.stop().requests, 4);
}

fn malformed_requests_are_refused_and_counted_apart(engine: Engine) {
    let server = Server::start(config(engine)).unwrap();
    let mut stream = connect(&server);
    assert!(ask(&mut stream, &format!("{GET}GET\r\n\r\n")).0.starts_with("HTTP/1.1 200 "));
    assert!(answer(&mut stream, true).0.starts_with("HTTP/1.1 400 "));
    assert!(is_closed(&mut stream));
    let mut stream = connect(&server);
    let long = format!("GET / HTTP/1.1\r\nHost: h\r\nA: {}\r\n\r\n", "a".repeat(70_000));
    assert!(ask(&mut stream, &long).0.starts_with("HTTP/1.1 431 "));
    assert!(is_closed(&mut stream));
    let counts = server.stop();
    assert_eq!((counts.requests, counts.answers, counts.malformed), (1, 1, 2));
}

fn a_connection_is_closed_after_so_many_answers(engine: Engine) {
    for (close_after, announced) in [(1, true), (3, false)] {
        let server =
            Server::start(Config { close_after: Some(close_after), ..config(engine) }).unwrap();
        for _ in 0..5 {
            let mut stream = connect(&server);
            stream.write_all(GET.repeat(10).as_bytes()).unwrap();
            for _ in 0..close_after {
                let (head, _) = answer(&mut stream, true);
                assert_eq!(head.contains("Connection: close"), announced, "{head}");
            }
            assert!(is_closed(&mut stream));
        }
        let counts = server.stop();
        let expected = 5 * u64::from(close_after);
        assert_eq!((counts.requests, counts.answers), (expected, expected));
        assert_eq!((counts.connections, counts.open), (5, 0));
    }
}

fn no_answer_comes_before_its_delay(engine: Engine) {
    let delay = Duration::from_millis(15);
    let timing = delayed(delay.as_nanos() as u64);
    let server = Server::start(Config { timing, ..config(engine) }).unwrap();
    let mut streams: Vec<_> = (0..5).map(|_| connect(&server)).collect();
    for round in 1..=3 {
        let begun = Instant::now();
        for stream in &mut streams {
            stream.write_all(GET.repeat(round).as_bytes()).unwrap();
        }
        for stream in &mut streams {
            for _ in 0..round {
                answer(stream, true);
                assert!(begun.elapsed() >= delay);
            }
        }
    }
    assert_eq!(server.stop().answers, 5 * (1 + 2 + 3));
}

fn large_bodies_arrive_whole(engine: Engine) {
    for body_bytes in [200_000, 1 << 20, (3 << 20) + 5] {
        let config = Config { body_bytes: body_bytes as u64, ..config(engine) };
        let server = Server::start(config).unwrap();
        let mut stream = connect(&server);
        stream.write_all(GET.repeat(3).as_bytes()).unwrap();
        for _ in 0..3 {
            let (_, body) = answer(&mut stream, true);
            assert!(body == body_pattern(body_bytes));
        }
        assert_eq!(server.stop().answers, 3);
    }
}

fn the_counts_can_be_asked_for(engine: Engine) {
    let server = Server::start(Config { threads: 2, ..config(engine) }).unwrap();
    let mut streams: Vec<_> = (0..4).map(|_| connect(&server)).collect();
    for stream in &mut streams {
        ask(stream, GET);
    }
    let count = GET.replace("GET / ", "GET /__count ");
    let (_, body) = ask(&mut streams[0], &count);
    let json = String::from_utf8(body).unwrap();
    assert!(json.starts_with("{\"requests\":4,\"answers\":"), "{json}");
    assert!(json.contains("\"connections\":4,\"open\":4,"), "{json}");
    ask(&mut streams[1], GET);
    let (_, body) = ask(&mut streams[2], &count);
    assert!(body.starts_with(b"{\"requests\":5,"));
    assert_eq!(server.stop().requests, 5);
}

fn many_connections_are_served_at_once(engine: Engine) {
    let server = Server::start(Config { threads: 2, ..config(engine) }).unwrap();
    let mut streams: Vec<_> = (0..200).map(|_| connect(&server)).collect();
    for _ in 0..3 {
        for stream in &mut streams {
            stream.write_all(GET.repeat(5).as_bytes()).unwrap();
        }
        for stream in &mut streams {
            for _ in 0..5 {
                assert_eq!(answer(stream, true).1.len(), 100);
            }
        }
    }
    assert_eq!(server.counts().requests, 3000);
    assert_eq!(server.counts().open, 200);
    assert!(server.cpu_ns() > Some(0));
    let counts = server.stop();
    assert_eq!((counts.requests, counts.answers, counts.open), (3000, 3000, 0));
    assert!(streams.iter_mut().all(is_closed));
}

fn stopping_does_not_wait_for_clients(engine: Engine) {
    let slow = Config { timing: delayed(60_000_000_000), ..config(engine) };
    let server = Server::start(slow).unwrap();
    let mut waits = connect(&server);
    waits.write_all(GET.as_bytes()).unwrap();
    let idle = connect(&server);
    wait_until(&server, |counts| counts.requests == 1 && counts.open == 2);
    let begun = Instant::now();
    assert_eq!((server.stop().answers, begun.elapsed() < HANG), (0, true));
    drop(idle);

    let large = Config { body_bytes: 1 << 40, ..config(engine) };
    let server = Server::start(large).unwrap();
    let mut never_reads = connect(&server);
    never_reads.write_all(GET.as_bytes()).unwrap();
    wait_until(&server, |counts| counts.requests == 1);
    let counts = server.stop();
    assert_eq!((counts.requests, counts.answers, counts.open), (1, 0, 0));
}

fn a_busy_server_stops_and_counts_no_more_than_was_asked(engine: Engine) {
    let server = Server::start(config(engine)).unwrap();
    let clients: Vec<_> = (0..4)
        .map(|_| {
            // Here and not in the thread, which may begin when the others have stopped the server.
            let mut stream = connect(&server);
            std::thread::spawn(move || {
                let (mut started, mut completed) = (0u64, 0u64);
                let mut answers = vec![0; 16 * ANSWER_BYTES];
                loop {
                    started += 16;
                    if stream.write_all(GET.repeat(16).as_bytes()).is_err() {
                        return (started, completed);
                    }
                    let mut read_bytes = 0;
                    while read_bytes < answers.len() {
                        match stream.read(&mut answers[read_bytes..]) {
                            Ok(bytes @ 1..) => read_bytes += bytes,
                            _ => return (started, completed + (read_bytes / ANSWER_BYTES) as u64),
                        }
                    }
                    completed += 16;
                }
            })
        })
        .collect();
    wait_until(&server, |counts| counts.requests >= 2000);
    let counts = server.stop();
    let (mut started, mut completed) = (0, 0);
    for client in clients {
        let (client_started, client_completed) = client.join().unwrap();
        started += client_started;
        completed += client_completed;
    }
    assert!(completed <= counts.answers, "{completed} {counts:?}");
    assert!(counts.answers <= counts.requests && counts.requests <= started, "{counts:?}");
}

/// Runs each claim with one engine.
macro_rules! claims {
    ($module:ident, $engine:expr, $($claim:ident)*) => {
        mod $module {
            use super::super::Engine;
            $(#[test] fn $claim() { super::$claim($engine); })*
        }
    };
}

macro_rules! all_claims {
    ($module:ident, $engine:expr) => {
        claims! { $module, $engine,
            an_answer_is_complete_and_counted
            pipelined_requests_in_odd_pieces_are_counted_one_by_one
            head_gets_no_body_and_batches_may_mix
            a_request_body_is_waited_for
            no_content_has_no_body
            a_connection_ends_as_asked
            malformed_requests_are_refused_and_counted_apart
            a_connection_is_closed_after_so_many_answers
            no_answer_comes_before_its_delay
            large_bodies_arrive_whole
            the_counts_can_be_asked_for
            many_connections_are_served_at_once
            stopping_does_not_wait_for_clients
            a_busy_server_stops_and_counts_no_more_than_was_asked
        }
    };
}

all_claims!(tokio_uring, Engine::TokioUring);
all_claims!(backend, Engine::Backend);
all_claims!(epoll, Engine::Epoll);

#[test]
fn an_address_in_use_is_told_with_what_to_try() {
    let server = Server::start(config(Engine::TokioUring)).unwrap();
    let taken = Config { listen: server.address(), ..config(Engine::TokioUring) };
    let message = Server::start(taken).unwrap_err().to_string();
    assert!(message.contains(&server.address().to_string()), "{message}");
    assert!(message.contains("choose another port"), "{message}");
}

#[test]
fn a_configuration_that_makes_no_server_is_refused() {
    let good = config(Engine::TokioUring);
    for bad in [
        Config { threads: 0, ..good.clone() },
        Config { status: 100, ..good.clone() },
        Config { status: 600, ..good.clone() },
        Config { body_bytes: u64::MAX, ..good.clone() },
        Config { close_after: Some(0), ..good },
    ] {
        assert!(matches!(Server::start(bad), Err(StartError::Config(_))));
    }
}

#[test]
fn each_fault_is_what_a_client_sees_of_it_and_no_answer_is_counted() {
    let faulty = Config { faults_ppm: 1_000_000, ..config(Engine::Backend) };
    let server = Server::start(faulty).unwrap();
    let mut seen = std::collections::BTreeMap::new();
    let connections = 40;
    for _ in 0..connections {
        let mut stream = connect(&server);
        // Silence has no other sign than that nothing comes.
        stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        stream.write_all(GET.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        let end = match stream.read_to_end(&mut bytes) {
            Ok(_) => "end",
            Err(error) if error.kind() == ErrorKind::ConnectionReset => "reset",
            Err(error) if error.kind() == ErrorKind::WouldBlock => "silence",
            Err(error) => panic!("{error}"),
        };
        let text = String::from_utf8(bytes).unwrap();
        let what = match text.strip_prefix(HEAD) {
            Some(half) => format!("{} bytes of body, {end}", half.len()),
            None => format!("{}, {end}", text.lines().next().unwrap_or_default()),
        };
        *seen.entry(what).or_insert(0) += 1;
    }
    let counts = server.stop();
    let kinds: Vec<&str> = seen.keys().map(String::as_str).collect();
    let expected = [", end", ", reset", ", silence", "50 bytes of body, end"];
    assert_eq!(kinds[..4], expected, "{seen:?}");
    assert_eq!(kinds[4..], ["HTTP/1.1 2OO OK, end"], "{seen:?}");
    assert_eq!((counts.requests, counts.answers), (connections, 0));
}
