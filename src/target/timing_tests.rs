//! Times and stamps over real sockets. Lower bounds hold whatever the machine does; nothing but a
//! hang is bounded from above.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::units::{Distribution, parse_distribution};

/// Bounds a hang; no claim depends on it.
const HANG: Duration = Duration::from_secs(60);
const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const MS: u64 = 1_000_000;

fn config(engine: Engine, threads: u32, timing: Timing) -> Config {
    Config {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        threads,
        cpus: Vec::new(),
        body_bytes: 0,
        timing,
        status: 200,
        engine,
        close_after: None,
        faults_ppm: 0,
    }
}

fn start(threads: u32, timing: Timing) -> Server {
    Server::start(config(Engine::Backend, threads, timing)).unwrap()
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(HANG)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn send(stream: &mut TcpStream, count: usize) {
    stream.write_all(GET.repeat(count).as_bytes()).unwrap();
}

/// Reads `count` answers without a body.
fn receive(stream: &mut TcpStream, count: usize) {
    let (mut seen, mut tail) = (0, Vec::new());
    let mut byte = [0];
    while seen < count {
        stream.read_exact(&mut byte).unwrap();
        tail.push(byte[0]);
        if tail.ends_with(b"\r\n\r\n") {
            assert!(tail.starts_with(b"HTTP/1.1 200 OK\r\n"));
            tail.clear();
            seen += 1;
        }
    }
}

fn await_requests(server: &Server, requests: u64) {
    let begun = Instant::now();
    while server.counts().requests < requests {
        assert!(begun.elapsed() < HANG, "{:?}", server.counts());
        thread::yield_now();
    }
}

fn service(text: &str) -> Timing {
    Timing { wait: Wait::Service(read(text)), is_logged: true, ..Timing::default() }
}

fn read(text: &str) -> Distribution {
    parse_distribution(text, 1_000 * MS).unwrap()
}

/// The log's lines as numbers: arrival, start, end, connection, number.
fn rows(log: Option<StampLog>) -> Vec<[u64; 5]> {
    let mut bytes = Vec::new();
    log.unwrap().write(&mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("arrival_ns,start_ns,end_ns,connection,number"));
    let row = |line: &str| {
        let fields: Vec<u64> = line.split(',').map(|field| field.parse().unwrap()).collect();
        fields.try_into().unwrap()
    };
    lines.map(row).collect()
}

#[test]
fn one_server_takes_two_connections_one_after_the_other() {
    let server = start(1, service("20ms"));
    let mut streams = [connect(&server), connect(&server)];
    let begun = Instant::now();
    // One after the other, so that it is known whose request came first.
    for (before, stream) in streams.iter_mut().enumerate() {
        send(stream, 1);
        await_requests(&server, before as u64 + 1);
    }
    let last_sent = Instant::now();
    receive(&mut streams[0], 1);
    assert!(begun.elapsed() >= Duration::from_millis(20));
    receive(&mut streams[1], 1);
    assert!(begun.elapsed() >= Duration::from_millis(40), "{:?}", begun.elapsed());
    let spread_ns = last_sent.duration_since(begun).as_nanos() as u64;
    let (counts, log) = server.stop_with_log().unwrap();
    assert_eq!((counts.requests, counts.answers), (2, 2));
    let rows = rows(log);
    let [first, second] = rows[..] else { panic!("{rows:?}") };
    assert_eq!(first[2] - first[1], 20 * MS);
    assert_eq!(second[2] - second[1], 20 * MS);
    if spread_ns < 20 * MS {
        assert_eq!((second[1], second[2] - first[1]), (first[2], 40 * MS), "{rows:?}");
    }
}

#[test]
fn the_log_has_every_request_and_its_queue_is_first_come_first_served() {
    const CONNECTIONS: usize = 4;
    const ROUNDS: usize = 20;
    const DEPTH: usize = 5;
    let server = start(1, service("50%:exp:100us,50%:0"));
    let before_ns = sys::Clock::start().base_monotonic_ns();
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let mut stream = connect(&server);
            thread::spawn(move || {
                for _ in 0..ROUNDS {
                    send(&mut stream, DEPTH);
                    receive(&mut stream, DEPTH);
                }
                stream
            })
        })
        .collect();
    let streams: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    let (counts, log) = server.stop_with_log().unwrap();
    let after_ns = sys::Clock::start().base_monotonic_ns();
    drop(streams);
    let rows = rows(log);
    assert_eq!(rows.len() as u64, counts.requests);
    assert_eq!(rows.len(), CONNECTIONS * ROUNDS * DEPTH);
    let mut numbers = [0; CONNECTIONS];
    let (mut last_arrival_ns, mut free_ns) = (before_ns, before_ns);
    for row @ [arrival_ns, start_ns, end_ns, connection, number] in rows {
        assert!(last_arrival_ns <= arrival_ns && end_ns <= after_ns, "{row:?}");
        assert_eq!(start_ns, arrival_ns.max(free_ns), "{row:?}");
        assert!(start_ns <= end_ns, "{row:?}");
        let expected = &mut numbers[connection as usize];
        assert_eq!(number, *expected);
        *expected += 1;
        (last_arrival_ns, free_ns) = (arrival_ns, end_ns);
    }
}

#[test]
fn threads_log_together_and_number_connections_across_them() {
    let timing = Timing { is_logged: true, ..Timing::default() };
    let server = start(2, timing);
    let mut streams: Vec<_> = (0..6).map(|_| connect(&server)).collect();
    for round in 1..=3 {
        for stream in &mut streams {
            send(stream, round);
            receive(stream, round);
        }
    }
    let (counts, log) = server.stop_with_log().unwrap();
    let rows = rows(log);
    assert_eq!((counts.requests, rows.len()), (36, 36));
    assert!(rows.is_sorted_by_key(|row| row[0]), "{rows:?}");
    assert!(rows.iter().all(|row| row[0] == row[1] && row[1] == row[2]), "{rows:?}");
    for connection in 0..6 {
        let numbers: Vec<_> = rows.iter().filter(|r| r[3] == connection).map(|r| r[4]).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5]);
    }
}

#[test]
fn requests_are_read_and_counted_during_a_freeze_and_answered_after_it() {
    let freeze = Some(Freeze { from_ns: 100 * MS, length_ns: 300 * MS });
    let server = start(1, Timing { freeze, is_logged: true, ..Timing::default() });
    let mut streams = [connect(&server), connect(&server)];
    let begun = Instant::now();
    // The first answer may be inside the freeze if the machine stalls; the log tells.
    send(&mut streams[0], 1);
    receive(&mut streams[0], 1);
    thread::sleep(Duration::from_millis(150).saturating_sub(begun.elapsed()));
    send(&mut streams[1], 3);
    await_requests(&server, 4);
    let counts = server.counts();
    let is_early = begun.elapsed() < Duration::from_millis(400);
    receive(&mut streams[1], 3);
    assert!(begun.elapsed() >= Duration::from_millis(400), "{:?}", begun.elapsed());
    send(&mut streams[0], 1);
    receive(&mut streams[0], 1);
    let (_, log) = server.stop_with_log().unwrap();
    let rows = rows(log);
    let first_ns = rows[0][0];
    let (from_ns, until_ns) = (first_ns + 100 * MS, first_ns + 400 * MS);
    for row @ [arrival_ns, start_ns, end_ns, ..] in &rows {
        let is_inside = (from_ns..until_ns).contains(arrival_ns);
        assert_eq!(*end_ns, if is_inside { until_ns } else { *arrival_ns }, "{row:?}");
        assert_eq!(start_ns, end_ns);
    }
    assert_eq!((rows.len(), rows[0][2], counts.requests), (5, first_ns, 4));
    // Read while the answers waited, unless this test was slower than the freeze.
    assert!(!is_early || (counts.answers == 1 && rows[1][2] == until_ns), "{counts:?} {rows:?}");
}

#[test]
fn answers_with_delays_that_vary_keep_their_order_on_a_connection() {
    let wait = Wait::Delay(read("50%:0,40%:exp:1ms,10%:5ms"));
    let timing = Timing { wait, is_logged: true, ..Timing::default() };
    let server = start(1, timing);
    let mut stream = connect(&server);
    // All ordinary answers are alike; one that can be told from them stands among each batch.
    let count = GET.replace("GET /", "GET /__count");
    for round in 0..10 {
        let batch = format!("{}{count}{GET}", GET.repeat(20));
        stream.write_all(batch.as_bytes()).unwrap();
        receive(&mut stream, 20);
        let mut answer = Vec::new();
        let mut byte = [0];
        while !answer.ends_with(b"}") {
            stream.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        let answer = String::from_utf8(answer).unwrap();
        // The counts come in their turn: after the twenty before them have left.
        let left = format!("\"answers\":{},", round * 21 + 20);
        assert!(answer.contains(&left), "{answer} lacks {left}");
        receive(&mut stream, 1);
    }
    let (counts, log) = server.stop_with_log().unwrap();
    let rows = rows(log);
    assert_eq!((counts.answers, rows.len()), (210, 210));
    assert!(rows.is_sorted_by_key(|row| row[2]), "{rows:?}");
    assert!(rows.iter().all(|row| row[0] == row[1] && row[1] <= row[2]));
}

#[test]
fn the_deepest_pipeline_is_read_while_it_waits() {
    let depth = crate::limits::PIPELINE_MAX as usize;
    let server = start(1, service("exp:100us"));
    let mut stream = connect(&server);
    send(&mut stream, depth);
    await_requests(&server, depth as u64);
    receive(&mut stream, depth);
    let (counts, log) = server.stop_with_log().unwrap();
    let rows = rows(log);
    assert_eq!((counts.answers, rows.len()), (depth as u64, depth));
    // Its arrivals are those of a few reads, long before its last service.
    assert!(rows[depth - 1][0] < rows[depth - 1][1], "{:?}", rows.last());
}

#[test]
fn a_client_that_leaves_does_not_stop_the_queue() {
    let server = start(1, service("2ms"));
    let mut leaver = connect(&server);
    send(&mut leaver, 5);
    await_requests(&server, 5);
    drop(leaver);
    let mut stays = connect(&server);
    send(&mut stays, 1);
    receive(&mut stays, 1);
    let (counts, log) = server.stop_with_log().unwrap();
    let rows = rows(log);
    assert_eq!((counts.requests, rows.len()), (6, 6));
    assert_eq!((rows[5][3], rows[5][4]), (1, 0));
    assert!(rows[5][2] >= rows[0][1] + 12 * MS, "{rows:?}");
}

#[test]
fn without_logging_there_is_no_log() {
    let server = start(1, Timing { is_logged: false, ..service("0") });
    let mut stream = connect(&server);
    send(&mut stream, 2);
    receive(&mut stream, 2);
    let (counts, log) = server.stop_with_log().unwrap();
    assert_eq!((counts.answers, log.is_none()), (2, true));
}

#[test]
fn what_an_engine_or_several_threads_cannot_do_is_refused() {
    let log = Timing { is_logged: true, ..Timing::default() };
    for bad in [
        config(Engine::TokioUring, 1, log),
        config(Engine::TokioUring, 1, service("1ms")),
        config(Engine::Backend, 2, service("1ms")),
    ] {
        assert!(matches!(Server::start(bad), Err(StartError::Config(_))));
    }
}
