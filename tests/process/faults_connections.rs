//! Family D of the fault catalogue: servers that die, refuse, stall and close, from outside.

use super::support;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use super::support::faults::{
    HANG, OWN_NETWORK, RUN_MAX, State, assert_within, at, await_that, command, connections_to,
    cpu_time, in_namespaces, interrupt, is_root, on_every_engine, skip, sound,
};
use super::support::scripted::{Script, Scripted};
use super::support::serve::Serve;
use super::support::{Folder, Port, Running, said};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A port where nobody accepts: a queue of `backlog` that is filled by whoever comes first.
fn never_accepting(backlog: i32) -> (socket2::Socket, SocketAddr) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let socket = socket.expect("a socket");
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    socket.bind(&any.into()).expect("loopback has a free port");
    socket.listen(backlog).expect("it listens");
    let address = socket.local_addr().expect("bound").as_socket().expect("an IPv4 address");
    (socket, address)
}

#[test]
fn d1_a_server_that_stays_dead_costs_pauses_that_grow_and_next_to_no_cpu() {
    on_every_engine(|engine| {
        let serve = Serve::start(&[]);
        let line = ["-c", "64", "-d", "0", "--drain", "100ms"];
        let running = Running::start(&mut command(engine, &serve.url(), &line));
        serve.await_requests();
        let killed = Instant::now();
        serve.kill();
        // Past the first attempts, which follow each other quickly.
        thread::sleep(Duration::from_millis(500));
        let before = cpu_time(running.id());
        thread::sleep(Duration::from_secs(1));
        let busy = cpu_time(running.id()).saturating_sub(before);
        // `scripts/faults-bars` holds a thousand connections to a twentieth of a CPU; this is for
        // builds that check everything, and for time that is counted in hundredths of a second.
        assert!(busy <= Duration::from_millis(80), "{busy:?} of a second");
        let report = sound(&interrupt(running), &[0]);
        let refused = at(&report, "/connections/failures/refused");
        // From 1 ms to 1 s in four steps, and one or two a second from there on.
        let most = 7 + 2 * killed.elapsed().as_secs();
        assert!((64 * 3..64 * most).contains(&refused), "{refused} attempts");
        assert_eq!(at(&report, "/connections/open_min"), 0);
        assert_eq!(at(&report, "/connections/open_end"), 0);
    });
}

#[test]
fn d2_a_server_killed_and_started_again_gets_all_its_connections_back() {
    on_every_engine(|engine| {
        let port = Port::reserve();
        let address = port.address().to_string();
        let serve = Serve::listen(&address, &[]);
        let line = ["-c", "50", "-d", "0", "--interval", "100ms"];
        let running = Running::start(&mut command(engine, &serve.url(), &line));
        serve.await_requests();
        serve.kill();
        thread::sleep(Duration::from_millis(2200));
        let serve = Serve::listen(&address, &[]);
        // `scripts/faults-bars` holds a thousand connections to a second and a half, of which the
        // longest pause between two attempts is one; this is for a busy machine. The question itself
        // is a connection.
        let asked = std::cell::Cell::new(0);
        await_that("full concurrency", Duration::from_secs(5), || {
            thread::sleep(Duration::from_millis(50));
            asked.set(asked.get() + 1);
            serve.counts()["connections"].as_u64() >= Some(50 + asked.get())
        });
        running.signal("INT");
        let report = sound(&running.finish(RUN_MAX), &[0]);
        assert_eq!(at(&report, "/connections/open_end"), 50);
        // While it dies, a server may let some in and drop them.
        assert!((100..200).contains(&at(&report, "/connections/established")), "{report}");
        assert_eq!(at(&report, "/requests/inflight_end"), 0);
        let (second, all) =
            (at(&serve.into_counts(), "/requests"), at(&report, "/requests/completed"));
        assert!(second > 0 && second < all, "{second} of {all}");
    });
}

#[test]
fn d3_an_attempt_that_nobody_answers_times_out_by_its_name() {
    on_every_engine(|engine| {
        let (_held, address) = never_accepting(0);
        // Fills the queue, so that every later SYN is dropped.
        let first = std::net::TcpStream::connect(address).expect("the queue has one place");
        let began = Instant::now();
        let line = ["-c", "4", "-d", "60s", "--connect-timeout", "400ms"];
        let output = Running::start(&mut command(engine, &format!("http://{address}/"), &line))
            .finish(RUN_MAX);
        assert_within(began, Duration::from_millis(400), "giving up");
        assert_eq!(output.status.code(), Some(3), "{}", said(&output));
        assert!(said(&output).contains(" timeout"), "{}", said(&output));
        drop(first);
    });
}

#[test]
fn d4_with_a_full_backlog_the_rest_wait_to_connect_and_the_run_ends_in_time() {
    on_every_engine(|engine| {
        let (_held, address) = never_accepting(1);
        let line = ["-c", "8", "-d", "500ms", "--drain", "200ms", "-T", "300ms"];
        let began = Instant::now();
        let url = format!("http://{address}/");
        let report =
            sound(&Running::start(&mut command(engine, &url, &line)).finish(RUN_MAX), &[3]);
        // Opening, window, drain, and what is allowed beyond.
        assert_within(began, Duration::from_millis(300 + 500 + 200 + 1000), "the run");
        let open = at(&report, "/connections/open_at_start");
        assert!((1..8).contains(&open), "{open} open");
        assert!(at(&report, "/connections/failures/timeout") >= 8 - open, "{report}");
        assert_eq!(at(&report, "/requests/completed"), 0);
    });
}

#[test]
fn d4_a_late_accept_shows_in_connecting_and_not_in_requests() {
    on_every_engine(|engine| {
        let (held, address) = never_accepting(1);
        let url = format!("http://{address}/");
        let line = ["-c", "8", "-n", "80", "--connect-timeout", "20s", "-v"];
        let running = Running::start(&mut command(engine, &url, &line));
        await_that("a full queue", HANG, || {
            connections_to(address, State::Established) >= 2
                && connections_to(address, State::SynSent) >= 1
        });
        thread::sleep(Duration::from_millis(200));
        let listener: std::net::TcpListener = held.into();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || answer_all(stream));
            }
        });
        let report = sound(&running.finish(RUN_MAX), &[0]);
        assert_eq!(at(&report, "/requests/completed"), 80);
        // A dropped SYN is sent again after a second.
        let opening_ns = at(&report, "/opening/length_ns");
        assert!(opening_ns > 500_000_000, "{opening_ns}");
        assert!(at(&report, "/latency/mean_ns") < opening_ns / 2, "{}", report["latency"]);
    });
}

/// Answers until the client closes.
fn answer_all(mut stream: std::net::TcpStream) {
    use std::io::{Read as _, Write as _};
    let mut bytes = [0; 4096];
    while let Ok(1..) = stream.read(&mut bytes) {
        if stream.write_all(ANSWER).is_err() {
            return;
        }
    }
}

#[test]
fn d8_an_idle_connection_that_the_server_closes_is_replaced_at_once_and_fails_nothing() {
    on_every_engine(|engine| {
        let script = Script::AnswerThenClose(ANSWER.to_vec(), Duration::from_millis(50));
        let server = Scripted::start(script);
        // Each connection idles most of the time, and is closed meanwhile.
        let line = ["-R", "20", "-d", "2s", "-c", "2", "-t", "1", "--no-spin"];
        let running = Running::start(&mut command(engine, &server.url(), &line));
        server.await_requests(1);
        thread::sleep(Duration::from_millis(300));
        let before = cpu_time(running.id());
        let looks = (0..10).map(|_| {
            thread::sleep(Duration::from_millis(100));
            connections_to(server.address, State::CloseWait)
        });
        // A close may be on its way at any look, but not at every one.
        let waiting: Vec<usize> = looks.collect();
        assert!(waiting.contains(&0), "{waiting:?} connections in CLOSE_WAIT");
        let busy = cpu_time(running.id()).saturating_sub(before);
        assert!(busy <= Duration::from_millis(400), "{busy:?} of a second: it spins");
        let report = sound(&running.finish(RUN_MAX), &[0, 4]);
        assert_eq!(at(&report, "/requests/due"), 40);
        let started = at(&report, "/requests/started");
        // A request that leaves as the server closes is lost by nobody's fault.
        let raced = ["stale", "eof", "reset", "send"]
            .map(|cause| at(&report, &format!("/whole/failures/{cause}")));
        let completed = at(&report, "/requests/completed");
        assert_eq!(completed + raced.iter().sum::<u64>(), started, "{report}");
        assert!(completed >= 10, "{report}");
        let closed = at(&report, "/connections/closed_by_peer");
        assert!(closed >= 5, "{closed} closed by the server");
    });
}

/// How soon after its answer each connection is closed, in microseconds: whichever of them the
/// machine is quick enough for meets a request that has just been sent.
const CLOSED_AFTER_US: [u64; 8] = [100, 200, 400, 600, 900, 1300, 2000, 4000];

#[test]
fn d8_a_request_that_races_the_end_of_its_connection_fails_by_a_cause_of_that_race() {
    on_every_engine(|engine| {
        let (held, address) = never_accepting(0);
        let _first = std::net::TcpStream::connect(address).expect("the queue has one place");
        let url = format!("http://{address}/");
        let line = ["-c", "8", "-t", "1", "-n", "64", "--connect-timeout", "20s"];
        let running = Running::start(&mut command(engine, &url, &line));
        // What is stale ended sooner than the peer could have answered: sooner than the connection
        // took to open, which is a second when the first attempt is dropped.
        await_that("attempts", HANG, || connections_to(address, State::SynSent) >= 8);
        thread::sleep(Duration::from_millis(100));
        held.listen(64).expect("it listens");
        let listener: std::net::TcpListener = held.into();
        thread::spawn(move || {
            for (index, stream) in listener.incoming().flatten().enumerate().skip(1) {
                let pause = CLOSED_AFTER_US.get(index - 1).copied().map(Duration::from_micros);
                thread::spawn(move || match pause {
                    Some(pause) => answer_once(stream, pause),
                    None => answer_all(stream),
                });
            }
        });
        let report = sound(&running.finish(RUN_MAX), &[0]);
        let failures = &report["whole"]["failures"];
        // Which of them is the machine's: whether the end comes in the same turn, before the server
        // has read the request or after. Each connection loses one at most.
        let all = ["stale", "eof", "reset", "send"];
        let raced = all.map(|cause| at(&report, &format!("/whole/failures/{cause}")));
        assert!(raced.iter().sum::<u64>() <= 8, "{failures}");
        assert_eq!(at(&report, "/requests/failed"), raced.iter().sum::<u64>(), "{failures}");
        assert_eq!(at(&report, "/requests/completed") + raced.iter().sum::<u64>(), 64);
    });
}

/// Answers one request, and closes after a pause.
fn answer_once(mut stream: std::net::TcpStream, pause: Duration) {
    use std::io::{Read as _, Write as _};
    if let Ok(1..) = stream.read(&mut [0; 4096]) {
        let _ = stream.write_all(ANSWER);
        let answered = Instant::now();
        while answered.elapsed() < pause {
            std::hint::spin_loop();
        }
    }
}

#[test]
fn d9_a_peer_that_reads_nothing_of_an_upload_times_out_each_request_once() {
    on_every_engine(|engine| {
        // The kernel opens the connections, and its buffers fill up.
        let (_held, address) = never_accepting(64);
        let folder = Folder::new();
        let path = folder.path().join("body");
        std::fs::write(&path, vec![b'x'; 16 << 20]).expect("our folder");
        let (url, body) = (format!("http://{address}/"), format!("@{}", path.display()));
        let line = ["-c", "2", "-n", "4", "-T", "400ms", "-d", "20s", "-b", &body];
        let began = Instant::now();
        let report =
            sound(&Running::start(&mut command(engine, &url, &line)).finish(RUN_MAX), &[3]);
        assert_within(began, Duration::from_millis(2 * 400 + 1000), "giving up");
        assert_eq!(at(&report, "/requests/started"), 4);
        assert_eq!(at(&report, "/whole/failures/timeout"), 4, "{}", report["whole"]["failures"]);
        assert_eq!(at(&report, "/requests/failed"), 4, "{}", report["whole"]["failures"]);
        assert_eq!(at(&report, "/connections/errored"), 4);
        assert_eq!(at(&report, "/bytes/head"), 0);
    });
}

#[test]
fn d11_the_smallest_segments_and_buffers_change_no_count() {
    const UPLOAD_BYTES: usize = 20_000;
    const ANSWER_BYTES: usize = 50_000;
    on_every_engine(|engine| {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let socket = socket.expect("a socket");
        // Less than these the kernel does not take (tcp(7), socket(7)).
        socket.set_tcp_mss(88).expect("an option of TCP");
        socket.set_recv_buffer_size(1).expect("an option");
        socket.set_send_buffer_size(1).expect("an option");
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        socket.bind(&any.into()).expect("loopback has a free port");
        socket.listen(64).expect("it listens");
        let address = socket.local_addr().expect("bound").as_socket().expect("an IPv4 address");
        let listener: std::net::TcpListener = socket.into();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || answer_uploads(stream, UPLOAD_BYTES, ANSWER_BYTES));
            }
        });
        let body = "x".repeat(UPLOAD_BYTES);
        let line = ["-c", "3", "-n", "12", "-p", "2", "-T", "40s", "-b", &body];
        let url = format!("http://{address}/");
        let report =
            sound(&Running::start(&mut command(engine, &url, &line)).finish(RUN_MAX), &[0]);
        assert_eq!(at(&report, "/requests/completed"), 12, "{}", report["whole"]["failures"]);
        assert_eq!(at(&report, "/bytes/body"), 12 * ANSWER_BYTES as u64);
        assert_eq!(at(&report, "/bytes/stray"), 0);
        assert_eq!(at(&report, "/connections/established"), 3);
    });
}

/// Reads whole requests and answers each with a large body.
fn answer_uploads(mut stream: std::net::TcpStream, upload_bytes: usize, answer_bytes: usize) {
    use std::io::{Read as _, Write as _};
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {answer_bytes}\r\n\r\n");
    let answer = [head.as_bytes(), &vec![b'y'; answer_bytes]].concat();
    let (mut seen, mut chunk) = (Vec::new(), vec![0; 4096]);
    while let Ok(count @ 1..) = stream.read(&mut chunk) {
        seen.extend_from_slice(&chunk[..count]);
        while let Some(end) = support::scripted::head_end(&seen) {
            if seen.len() < end + upload_bytes {
                break;
            }
            seen.drain(..end + upload_bytes);
            if stream.write_all(&answer).is_err() {
                return;
            }
        }
    }
}

#[test]
fn d14_without_a_free_port_it_is_this_machine_that_is_named_and_it_is_not_hurried() {
    if !is_root("d14") {
        return;
    }
    on_every_engine(|engine| {
        let folder = Folder::new();
        let log = folder.path().join("log");
        let script = format!(
            "{OWN_NETWORK}
             echo 40000 40009 >/proc/sys/net/ipv4/ip_local_port_range
             exec \"$0\" $url --engine \"$2\" --json -c 20 -d 1s"
        );
        let arguments = [log.to_str().expect("UTF-8"), engine];
        let output =
            Running::start(&mut in_namespaces(&["-n"], &script, &arguments)).finish(RUN_MAX);
        let report = sound(&output, &[0]);
        assert_eq!(at(&report, "/connections/open_at_start"), 10);
        let ports = at(&report, "/connections/failures/ports");
        // Ten connections of ten doublings; without pauses there would be thousands.
        assert!((10..200).contains(&ports), "{ports} attempts");
        assert_eq!(at(&report, "/connections/failures/local"), 0);
        assert_eq!(at(&report, "/connections/failures/refused"), 0);
        let remarks = report["remarks"].to_string();
        assert!(remarks.contains("ip_local_port_range"), "no advice in {remarks}");
    });
}

#[test]
fn d15_descriptors_that_run_out_in_the_run_stop_nobody_and_are_named() {
    on_every_engine(|engine| {
        let serve = Serve::start(&["--close-after", "50"]);
        let line = ["-c", "16", "-d", "0"];
        let running = Running::start(&mut command(engine, &serve.url(), &line));
        serve.await_requests();
        limit_descriptors(running.id(), 12);
        thread::sleep(Duration::from_millis(700));
        limit_descriptors(running.id(), 1024);
        // Beyond the longest pause between two attempts, work goes on.
        thread::sleep(Duration::from_millis(1100));
        serve.await_more(16 * 100);
        let report = sound(&interrupt(running), &[0]);
        assert!(at(&report, "/connections/failures/local") > 0, "{report}");
        // Every connection came back; some are always between two answers' connections. The limit
        // leaves room for less than eight.
        let open = at(&report, "/connections/open_end");
        assert!((10..=16).contains(&open), "{report}");
        let remarks = report["remarks"].to_string();
        assert!(remarks.contains("ulimit -n"), "no advice in {remarks}");
    });
}

/// Sets the soft limit alone: a hard limit that was lowered stays low without root.
fn limit_descriptors(id: u32, soft: u32) {
    let mut prlimit = std::process::Command::new("prlimit");
    let status = prlimit.args([format!("--pid={id}"), format!("--nofile={soft}:")]).status();
    assert!(status.is_ok_and(|status| status.success()), "prlimit fails");
}

#[test]
fn d16_a_network_that_leads_nowhere_is_named() {
    if !is_root("d16") {
        return;
    }
    on_every_engine(|engine| {
        for (setup, cause) in [
            ("true", " unreachable\n  hint: is there a route"),
            ("ip link set lo up; ip route add unreachable 10.9.9.0/24", " unreachable\n"),
            (
                "ip link set lo up; ip route add blackhole 10.9.9.0/24",
                " local\n  hint: Invalid argument",
            ),
            (
                "ip link set lo up; ip route add prohibit 10.9.9.0/24",
                " local\n  hint: this machine forbids it",
            ),
        ] {
            let script =
                format!("{setup}; exec \"$0\" http://10.9.9.9:80/ --engine \"$1\" -c 4 -d 1s");
            let output =
                Running::start(&mut in_namespaces(&["-n"], &script, &[engine])).finish(RUN_MAX);
            assert_eq!(output.status.code(), Some(3), "{setup}: {}", said(&output));
            assert!(said(&output).contains(cause), "{setup}: {}", said(&output));
        }
    });
}

#[test]
fn d18_thousands_of_connections_are_opened_in_time() {
    if support::descriptors_max() < 4500 {
        return skip("d18", "it needs 4,500 descriptors (ulimit -Hn)");
    }
    on_every_engine(|engine| {
        let serve = Serve::start(&[]);
        let began = Instant::now();
        let line = ["-c", "4000", "-d", "500ms", "--connect-timeout", "20s"];
        let report =
            sound(&Running::start(&mut command(engine, &serve.url(), &line)).finish(RUN_MAX), &[0]);
        assert_eq!(at(&report, "/connections/open_at_start"), 4000);
        let opening = Duration::from_nanos(at(&report, "/opening/length_ns"));
        assert_within(began, opening + Duration::from_millis(2500), "the run after its opening");
    });
}

#[test]
fn d18_attempts_keep_to_the_rate_that_was_asked_for() {
    on_every_engine(|engine| {
        let serve = Serve::start(&[]);
        let line = ["-c", "500", "-t", "2", "--connect-rate", "1000", "--connect-timeout", "20s"];
        let line = [&line[..], &["-d", "200ms"]].concat();
        let report =
            sound(&Running::start(&mut command(engine, &serve.url(), &line)).finish(RUN_MAX), &[0]);
        assert_eq!(at(&report, "/connections/open_at_start"), 500);
        let opening_ns = at(&report, "/opening/length_ns");
        assert!(opening_ns >= 470_000_000, "500 connections were opened in {opening_ns} ns");
        assert_eq!(at(&report, "/connections/attempts"), 500);
    });
}
