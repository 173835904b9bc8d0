//! The catalogue of answers over real sockets, with the built binary: the counts of its report are
//! those of the table, on every engine.
#![expect(clippy::unwrap_used, reason = "a test says what it means by failing")]

#[path = "../catalogue/mod.rs"]
mod catalogue;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::support::bytes::{ByteServer, Step};
use super::support::faults::{HANG, State, await_that, connections_to, on_every_engine};
use super::support::{Folder, assert_identities_hold, is_measured, number, report_of, said, wring};
use catalogue::{Case, Counts, Delivery, GOOD, NAMES, cases};
use serde_json::Value;

/// Every engine is held to the same table.
const ENGINES: [&str; 2] = ["uring", "epoll"];
/// Bounds a hang; no claim depends on it.
const RUN_MAX: Duration = Duration::from_secs(60);

/// What one run of several connections is to come to, and what it came to.
struct Run {
    expected: Counts,
    counts: Counts,
    /// A large body may wait in the kernel for more of it when its time is over.
    is_body_exact: bool,
    established: u64,
}

/// Cuts that show whether pieces matter: in the middle, before the last byte, and many.
fn deliveries(case: &Case) -> Vec<Delivery> {
    let raw_bytes = case.raw().len();
    if raw_bytes < 2 || case.is_in_pieces() || !case.is_one_batch() {
        return vec![Delivery::Whole];
    }
    vec![
        Delivery::Whole,
        Delivery::SplitAt(raw_bytes / 2),
        Delivery::SplitAt(raw_bytes - 1),
        Delivery::Pieces(raw_bytes.div_ceil(60)),
    ]
}

fn script(case: &Case, delivery: Delivery) -> Vec<Step> {
    let steps = case.delivered(delivery).into_iter().map(|step| match step {
        catalogue::Step::Send(bytes) => Step::Send(bytes),
        catalogue::Step::Fill(count) => Step::Fill(count),
        catalogue::Step::Gap => Step::Gap,
        catalogue::Step::Pause(ms) => Step::Pause(ms),
        catalogue::Step::Fin => Step::Fin,
        catalogue::Step::Rst => Step::Rst,
    });
    steps.collect()
}

/// Runs cases of one shape together, each delivery of each on a connection of its own.
fn run(engine: &str, cases: &[&Case]) -> Run {
    let first = cases[0];
    let plays: Vec<_> = cases
        .iter()
        .flat_map(|case| deliveries(case).into_iter().map(move |delivery| (*case, delivery)))
        .collect();
    let mut expected = Counts::default();
    plays.iter().for_each(|(case, _)| expected.add_all(&case.expected, 1));
    expected.take("close");
    let scripts = plays.iter().map(|(case, delivery)| script(case, *delivery)).collect();
    let server = ByteServer::start(scripts, first.depth, !first.is_one_batch());
    let requests = first.requests.unwrap_or(first.depth * plays.len() as u32);
    let mut line: Vec<String> =
        ["--engine", engine, "-t", "1", "--json", "-c"].map(String::from).into();
    line.extend([plays.len().to_string(), "-p".into(), first.depth.to_string()]);
    line.extend([
        "-T".into(),
        first.timeout_ms.map_or_else(|| "20s".into(), |ms| format!("{ms}ms")),
    ]);
    match first.rate_per_s {
        None => line.extend(["-n".into(), requests.to_string(), "-d".into(), "40s".into()]),
        Some(rate) => {
            let duration = format!("{}ms", requests * 1000 / rate);
            line.extend(["-R".into(), rate.to_string(), "-d".into(), duration]);
        }
    }
    if first.head_request {
        line.extend(["-X".into(), "HEAD".into()]);
    }
    let folder = Folder::new();
    if first.request_body_bytes > 0 {
        let path = folder.path().join("body");
        fs::write(&path, vec![b'x'; first.request_body_bytes]).unwrap();
        line.extend(["-b".into(), format!("@{}", path.display())]);
    }
    line.push(server.url());
    let output = wring(&line.iter().map(String::as_str).collect::<Vec<_>>(), RUN_MAX);
    let names: Vec<String> = cases.iter().map(|case| case.name()).collect();
    let is_fine = is_measured(&output) || output.status.code() == Some(3);
    assert!(is_fine, "{names:?}: {}", said(&output));
    let report = report_of(&output);
    assert_identities_hold(&report);
    assert_eq!(number(&report, "/requests/started"), u64::from(requests), "{names:?}");
    assert_eq!(number(&report, "/requests/inflight_end"), 0, "{names:?}");
    assert!(number(&report, "/requests/completed") <= server.heads(), "{names:?}");
    let is_body_exact = first.timeout_ms.is_none() || !first.has_fill();
    Run {
        expected,
        is_body_exact,
        counts: counts_of(&report),
        established: number(&report, "/connections/established"),
    }
}

fn counts_of(report: &Value) -> Counts {
    let mut counts = Counts::default();
    for place in ["/whole/statuses", "/whole/failures", "/notices"] {
        for (name, count) in report.pointer(place).unwrap().as_object().unwrap() {
            let known = place == "/whole/statuses" || NAMES.contains(&name.as_str());
            // Whether the beginning of a TLS record is seen as one depends on how it is cut.
            if name == "tls_on_plain" {
                continue;
            }
            assert!(known, "the table has no word for {place}/{name}");
            counts.add(name, count.as_u64().unwrap());
        }
    }
    counts.add("body", number(report, "/bytes/body"));
    counts.add("stray", number(report, "/bytes/stray"));
    counts
}

/// What differs, if anything does. Of stray bytes those that come after the connection was given up
/// are not seen, so in pieces there may be fewer.
fn difference(run: &Run) -> Option<String> {
    let (mut counts, mut expected) = (run.counts.clone(), run.expected.clone());
    let at_most: &[&str] = match run.is_body_exact {
        true => &["stray", "unsolicited"],
        false => &["stray", "unsolicited", "body"],
    };
    for name in at_most {
        if counts.take(name) > expected.take(name) {
            return Some(format!("too many {name}: {}", run.counts.text()));
        }
    }
    let (seen, wanted) = (counts.text(), expected.text());
    (seen != wanted).then(|| format!("counted {seen}, expected {wanted}"))
}

/// Runs together what can be; where that differs from the table, each case alone says which it is.
fn check_family(family: &str) {
    let all: Vec<Case> = cases()
        .into_iter()
        .filter(|case| case.number.starts_with(family) && case.not_over_sockets.is_none())
        .collect();
    assert!(all.len() > 10, "{family}: {}", all.len());
    let shape = |case: &Case| {
        // By name where the case is a run of its own.
        let alone = (!case.is_one_batch()).then(|| case.name());
        (
            case.depth,
            case.head_request,
            case.request_body_bytes,
            case.timeout_ms,
            case.has_fill(),
            alone,
        )
    };
    on_every_engine(|engine| {
        let mut rest: Vec<&Case> = all.iter().collect();
        while let Some(first) = rest.first().copied() {
            let (group, others): (Vec<_>, Vec<_>) =
                rest.into_iter().partition(|case| shape(case) == shape(first));
            rest = others;
            for group in group.chunks(40) {
                check_group(engine, group);
            }
        }
    });
}

fn check_group(engine: &str, group: &[&Case]) {
    let together = run(engine, group);
    let alone = |case: &&Case| {
        let difference = difference(&run(engine, &[case]))?;
        Some(format!("{}: {difference}", case.name()))
    };
    if let Some(difference) = difference(&together) {
        let culprits: Vec<String> = group.iter().filter_map(alone).collect();
        panic!("{engine}: {difference}; alone: {culprits:#?}");
    }
    if let Some(connections) = group[0].connections {
        // One that ended with the last request may have been replaced already.
        let (name, most) = (group[0].name(), connections + u64::from(connections > 1));
        let established = together.established;
        assert!((connections..=most).contains(&established), "{engine}: {name}: {established}");
    }
}

#[test]
fn heads_are_counted_as_the_table_says() {
    check_family("A");
}

#[test]
fn bodies_are_counted_as_the_table_says() {
    check_family("B");
}

#[test]
fn pipelines_are_counted_as_the_table_says() {
    check_family("C");
}

#[test]
fn connections_are_counted_as_the_table_says() {
    check_family("D");
}

/// The report of a run on one worker, whose identities hold.
fn report(engine: &str, line: &str, url: &str) -> Value {
    let line: Vec<&str> = line.split_whitespace().chain([url]).collect();
    let output = wring(&[&["--engine", engine, "-t", "1", "--json"], &line[..]].concat(), RUN_MAX);
    let report = report_of(&output);
    assert_identities_hold(&report);
    assert!(is_measured(&output) || output.status.code() == Some(3), "{}", said(&output));
    report
}

/// All failures are of these causes.
fn assert_causes(report: &Value, causes: &[&str]) {
    let known: u64 =
        causes.iter().map(|cause| number(report, &format!("/whole/failures/{cause}"))).sum();
    assert_eq!(number(report, "/requests/failed"), known, "{}", report["whole"]["failures"]);
}

#[test]
fn pipelined_answers_are_each_as_late_as_they_are() {
    for engine in ENGINES {
        // Far enough apart that a busy machine takes no two in at once.
        let answer = [Step::Pause(60), Step::Send(GOOD.into())];
        let script = std::iter::repeat_n(answer, 4).flatten().collect();
        let server = ByteServer::start(vec![script], 4, false);
        let report = report(engine, "-c 1 -p 4 -n 4", &server.url());
        let ms = |name: &str| number(&report, &format!("/latency/{name}_ns")) / 1_000_000;
        assert_eq!(number(&report, "/latency/count"), 4);
        assert!(ms("min") >= 60 && ms("mean") >= 150 && ms("max") >= 240, "{}", report["latency"]);
        assert!(ms("min") + 60 <= ms("max"), "{}", report["latency"]);
    }
}

#[test]
fn bytes_behind_a_large_body_are_no_answer() {
    const BODY_BYTES: usize = 60_000;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY_BYTES}\r\n\r\n");
    for behind in ["x", GOOD] {
        // In one segment of the loopback, so that what is behind the body comes with it.
        let answer = [head.as_bytes(), &[b'b'; BODY_BYTES], behind.as_bytes()].concat();
        for engine in ENGINES {
            let server = ByteServer::start(vec![vec![Step::Send(answer.clone())]], 1, true);
            let report = report(engine, "-c 2 -n 40 -d 40s", &server.url());
            let counts = counts_of(&report);
            let text = format!("{engine} {behind:?}: {}", counts.text());
            assert_eq!((counts.count("200"), counts.count("body")), (40, 40 * BODY_BYTES as u64));
            // What is behind the last of each connection may be left where it is.
            let unsolicited = counts.count("unsolicited");
            assert!((38..=40).contains(&unsolicited), "{text}");
            assert_eq!(counts.count("stray"), unsolicited * behind.len() as u64, "{text}");
        }
    }
}

/// Reads the head of a request and a little more, answers, and does nothing any more.
fn refuse_early(mut stream: TcpStream) {
    let mut chunk = [0; 2000];
    if stream.read_exact(&mut chunk).is_ok() {
        let _ = stream.write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n");
        thread::park();
    }
}

#[test]
fn an_upload_that_is_answered_before_its_end_is_given_up_with_its_connection() {
    let folder = Folder::new();
    let path = folder.path().join("body");
    fs::write(&path, vec![b'x'; 8 << 20]).unwrap();
    for engine in ENGINES {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || refuse_early(stream));
            }
        });
        for load in ["", "-R 200"] {
            let line = format!("-c 2 -n 20 -d 40s -T 20s {load} -b @{}", path.display());
            let report = report(engine, &line, &url);
            assert_eq!(number(&report, "/whole/statuses/413"), 20, "{}", report["whole"]);
            assert_eq!(number(&report, "/requests/failed"), 0, "{}", report["whole"]);
            assert_eq!(number(&report, "/connections/closed_by_us"), 20);
        }
    }
}

/// Reads one request, answers it, reads half of the next and closes with the rest unread.
fn answer_one_and_a_half(mut stream: TcpStream, request_bytes: usize, whole: &AtomicU64) {
    let mut request = vec![0; request_bytes];
    if stream.read_exact(&mut request).is_err() {
        return;
    }
    whole.fetch_add(1, Ordering::SeqCst);
    let _ = stream.write_all(GOOD.as_bytes());
    let _ = stream.read_exact(&mut request[..request_bytes / 2]);
}

#[test]
fn a_server_that_reads_a_part_of_a_batch_bounds_what_was_completed() {
    const BODY_BYTES: usize = 300_000;
    let folder = Folder::new();
    let path = folder.path().join("body");
    fs::write(&path, vec![b'x'; BODY_BYTES]).unwrap();
    for engine in ENGINES {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let head =
            format!("POST / HTTP/1.1\r\nHost: {address}\r\nContent-Length: {BODY_BYTES}\r\n\r\n");
        let whole = Arc::new(AtomicU64::new(0));
        let received = Arc::clone(&whole);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let received = Arc::clone(&received);
                let request_bytes = head.len() + BODY_BYTES;
                thread::spawn(move || answer_one_and_a_half(stream, request_bytes, &received));
            }
        });
        let line = format!("-c 2 -p 4 -n 40 -b @{}", path.display());
        let report = report(engine, &line, &format!("http://{address}/"));
        let whole = whole.load(Ordering::SeqCst);
        let (started, completed) =
            (number(&report, "/requests/started"), number(&report, "/requests/completed"));
        assert_eq!((started, number(&report, "/requests/inflight_end")), (40, 0));
        assert!(completed <= whole && whole <= started, "{completed} <= {whole} <= {started}");
        assert_causes(&report, &["reset", "cut_off", "eof", "send", "stale"]);
    }
}

#[test]
fn a_connection_reset_as_it_is_accepted_is_replaced() {
    for engine in ENGINES {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        thread::spawn(move || {
            for (index, mut stream) in listener.incoming().flatten().enumerate() {
                if (1..=3).contains(&index) {
                    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
                    continue;
                }
                thread::spawn(move || {
                    let mut chunk = [0; 4096];
                    while stream.read(&mut chunk).is_ok_and(|count| count > 0) {
                        let _ = stream.write_all(GOOD.as_bytes());
                    }
                });
            }
        });
        // Whether a reset meets the attempt or the connection is a matter of microseconds.
        let report = report(engine, "-c 2 -d 1s", &url);
        assert!(number(&report, "/requests/completed") > 0, "{}", report["whole"]);
        assert_eq!(number(&report, "/connections/attempts"), 5);
        assert_eq!(number(&report, "/connections/open_end"), 2);
    }
}

#[test]
fn an_answer_without_an_end_ends_with_the_run() {
    let endless = [
        ("body", "HTTP/1.1 200 OK\r\n\r\n", "timeout"),
        ("length", "HTTP/1.1 200 OK\r\nContent-Length: 9000000000000000000\r\n\r\n", "timeout"),
        (
            "chunk",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffff\r\n",
            "timeout",
        ),
        ("head", "HTTP/1.1 200 OK\r\nX: ", "limit"),
        ("extension", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", "limit"),
        ("trailer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ", "limit"),
    ];
    for engine in ENGINES {
        for (what, start, cause) in endless {
            let script = vec![Step::Send(start.into()), Step::Fill(u64::MAX)];
            let server = ByteServer::start(vec![script], 1, true);
            // A limit is met before the time is over, however busy the machine is.
            let timeout = if cause == "timeout" { "100ms" } else { "40s" };
            let line = format!("-c 2 -d 200ms -T {timeout} --drain 40s");
            let begin = Instant::now();
            let report = report(engine, &line, &server.url());
            assert!(begin.elapsed() < HANG, "{what}: {:?}", begin.elapsed());
            assert!(number(&report, "/requests/failed") >= 2, "{what}: {}", report["whole"]);
            assert_causes(&report, &[cause]);
        }
    }
}

/// A listener whose queue is full: the next attempts are dropped without a word.
fn full_listener() -> (socket2::Socket, SocketAddr, Vec<TcpStream>) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    socket.bind(&any.into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
        waiting.push(stream);
        assert!(waiting.len() < 10, "the queue does not fill");
    }
    (socket, address, waiting)
}

#[test]
fn an_attempt_that_is_dropped_ends_in_time() {
    for engine in ENGINES {
        let (_listener, address, _waiting) = full_listener();
        let url = format!("http://{address}/");
        let line = ["--engine", engine, "-c", "2", "-d", "200ms", "--connect-timeout", "150ms"];
        let begin = Instant::now();
        let output = wring(&[&line[..], &[&url]].concat(), RUN_MAX);
        assert!(begin.elapsed() < HANG, "{:?}", begin.elapsed());
        assert_eq!(output.status.code(), Some(3), "{}", said(&output));
        let stderr = String::from_utf8_lossy(&output.stderr);
        // How many attempts there is time for is the machine's; all of them end for the one reason.
        let causes = stderr.split_once("could be opened: ").unwrap().1.lines().next().unwrap();
        let count = causes.strip_suffix(" timeout").and_then(|count| count.parse::<u64>().ok());
        assert!(count >= Some(1), "{stderr}");
    }
}

#[test]
fn an_attempt_that_is_repeated_delays_no_request() {
    for engine in ENGINES {
        let (listener, address, waiting) = full_listener();
        let server = thread::spawn(move || {
            // After the first attempt and before the kernel's second, which comes a second later.
            await_that("an attempt", RUN_MAX, || connections_to(address, State::SynSent) > 0);
            thread::sleep(Duration::from_millis(100));
            drop(waiting);
            let listener = TcpListener::from(listener);
            for mut stream in listener.incoming().flatten() {
                let mut chunk = [0; 4096];
                let mut answers = 0;
                while stream.read(&mut chunk).is_ok_and(|count| count > 0) {
                    let _ = stream.write_all(GOOD.as_bytes());
                    answers += 1;
                }
                if answers > 0 {
                    return;
                }
            }
        });
        let report =
            report(engine, "-c 1 -n 5 --connect-timeout 40s", &format!("http://{address}/"));
        server.join().unwrap();
        assert_eq!(number(&report, "/requests/completed"), 5);
        assert_eq!(number(&report, "/connections/attempts"), 1);
        let (connect_ns, latency_ns) =
            (number(&report, "/connect/max_ns"), number(&report, "/latency/mean_ns"));
        assert!(connect_ns >= 700_000_000, "{connect_ns}");
        assert!(latency_ns < connect_ns / 2, "{latency_ns} of {connect_ns}");
    }
}
