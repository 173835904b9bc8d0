//! `wring serve` as a process: answers that take their time, and the log that is left behind.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::support::serve::Serve;
use super::support::{Folder, said, wring};
use wring::sys::Clock;

/// Bounds a hang; no claim depends on it.
const HANG: Duration = Duration::from_secs(40);
const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

fn connect(serve: &Serve) -> TcpStream {
    let stream = TcpStream::connect(serve.address).expect("it listens");
    stream.set_read_timeout(Some(HANG)).expect("a socket");
    stream.set_nodelay(true).expect("a socket");
    stream
}

fn send(stream: &mut TcpStream) {
    stream.write_all(GET.as_bytes()).expect("writable");
}

/// Reads one answer without a body.
fn receive(stream: &mut TcpStream) {
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("an answer");
        answer.push(byte[0]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
}

/// Now on the kernel's monotonic clock.
fn monotonic_ns() -> u64 {
    Clock::start().base_monotonic_ns()
}

#[test]
fn a_delay_is_as_long_as_asked_and_not_a_timers_tick_longer() {
    let serve = Serve::start(&["--body", "0", "--delay", "1ms"]);
    let mut stream = connect(&serve);
    let mut took: Vec<Duration> = (0..100)
        .map(|_| {
            let begun = Instant::now();
            send(&mut stream);
            receive(&mut stream);
            begun.elapsed()
        })
        .collect();
    took.sort();
    assert!(took[0] >= Duration::from_millis(1), "{took:?}");
    // The quickest tenth: what a busy machine adds is not the timer's.
    assert!(took[10] < Duration::from_micros(1900), "{took:?}");
    let by_name = Serve::start(&["--body", "0", "--delay", "1ms", "--engine", "tokio-uring"]);
    let mut stream = connect(&by_name);
    send(&mut stream);
    receive(&mut stream);
}

#[test]
fn the_log_lets_a_client_on_this_machine_see_its_own_requests() {
    let folder = Folder::new();
    let path = folder.path().join("stamps.csv");
    let log = path.to_str().expect("a plain name");
    let serve = Serve::start(&["--body", "0", "--service", "20ms", "--log", log]);
    assert!(!path.exists(), "the log appears when the server stops");
    let mut streams = [connect(&serve), connect(&serve)];
    let begun = Instant::now();
    let mut seen = Vec::new();
    for _ in 0..2 {
        for stream in &mut streams {
            let before_ns = monotonic_ns();
            send(stream);
            receive(stream);
            seen.push((before_ns, monotonic_ns()));
        }
    }
    assert!(begun.elapsed() >= Duration::from_millis(80));
    let counts = serve.into_counts();
    assert_eq!(counts["requests"], 4);
    let text = fs::read_to_string(&path).expect("the log");
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("arrival_ns,start_ns,end_ns,connection,number"));
    let mut connections = Vec::new();
    for ((sent_ns, received_ns), line) in seen.iter().zip(lines.by_ref()) {
        let fields: Vec<u64> = line.split(',').map(|field| field.parse().unwrap()).collect();
        let [arrival_ns, start_ns, end_ns, connection, number] = fields[..] else {
            panic!("{line}");
        };
        assert!(*sent_ns <= arrival_ns && end_ns <= *received_ns, "{line} {seen:?}");
        assert_eq!((start_ns, end_ns), (arrival_ns, arrival_ns + 20_000_000), "{line}");
        connections.push((connection, number));
    }
    assert_eq!(connections, [(0, 0), (1, 0), (0, 1), (1, 1)]);
    assert_eq!(lines.next(), None);
}

#[test]
fn nothing_is_answered_during_a_freeze() {
    let serve = Serve::start(&["--body", "0", "--freeze", "100ms:300ms"]);
    let mut stream = connect(&serve);
    let begun = Instant::now();
    let (mut gap, mut last, mut answers) = (Duration::ZERO, begun, 0);
    let mut is_over = false;
    while !is_over {
        is_over = begun.elapsed() > Duration::from_millis(450);
        send(&mut stream);
        receive(&mut stream);
        gap = gap.max(last.elapsed());
        last = Instant::now();
        answers += 1;
    }
    // No answer leaves for 300 ms. One that left before may be received late, but only one, and it
    // leaves a gap of half of that before or after it.
    assert!(gap >= Duration::from_millis(150), "{gap:?}");
    assert_eq!(serve.into_counts()["answers"], answers);
}

#[test]
fn a_log_that_cannot_be_written_is_told_before_it_listens() {
    for path in ["/nonexistent/stamps.csv", "/"] {
        let output = wring(&["serve", "--listen", "127.0.0.1:0", "--log", path], HANG);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(path) && stderr.contains("--log"), "{stderr}");
        assert!(!stderr.contains("listening"), "{stderr}");
    }
}
