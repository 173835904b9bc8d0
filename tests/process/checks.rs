//! Answers checked, grouped and judged: what wring says is what the servers themselves say.
#![expect(clippy::unwrap_used, reason = "a test says what it means by failing")]

use super::support;
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::support::scripted::{Script, Scripted};
use super::support::serve::Serve;
use super::support::{
    Folder, Nginx, Port, assert_identities_hold, ended_with, find_program, number, report_of, said,
    wring,
};
use serde_json::Value;

const RUN_MAX: Duration = Duration::from_secs(60);
const READY_MAX: Duration = Duration::from_secs(10);

/// XXH3 of nothing and of `hello`, as `xxhsum -H3` prints them.
const HASH_OF_NOTHING: &str = "2d06800538d394c2";
const HASH_OF_HELLO: &str = "9555e8555c62dcfd";

/// A run that ends with `code`, with its report.
fn run(code: i32, line: &[&str]) -> Value {
    let output = wring(&[line, &["--json"]].concat(), RUN_MAX);
    assert!(ended_with(&output, code), "{line:?}: {}", said(&output));
    let report = report_of(&output);
    assert_identities_hold(&report);
    report
}

/// Answers by value, over the whole run.
fn groups(report: &Value) -> BTreeMap<String, u64> {
    let values = report["groups"]["values"].as_array().unwrap();
    let group = |group: &Value| {
        (group["value"].as_str().unwrap().to_owned(), number(group, "/answers/whole"))
    };
    values.iter().map(group).collect()
}

fn hello() -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".to_vec()
}

/// Two answers in turn on every connection, however requests are pipelined.
fn alternating(first: &'static [u8], second: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut seen = Vec::new();
                let mut chunk = [0; 4096];
                let mut turn = 0;
                while let Ok(count @ 1..) = stream.read(&mut chunk) {
                    seen.extend_from_slice(&chunk[..count]);
                    while let Some(end) = support::scripted::head_end(&seen) {
                        seen.drain(..end);
                        turn += 1;
                        let answer = if turn % 2 == 1 { first } else { second };
                        if stream.write_all(answer).is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    url
}

#[test]
fn nginx_over_two_backends_is_grouped_as_its_log_says() {
    let ports = [Port::reserve(), Port::reserve()].map(|port| (port.address(), port));
    let [a, b] = [ports[0].0, ports[1].0];
    let http = format!(
        "upstream both {{ server {a}; server {b}; keepalive 64; }}
         server {{ listen {a}; access_log off; keepalive_requests 1000000; \
         location / {{ return 200 \"one\"; }} }}
         server {{ listen {b}; access_log off; keepalive_requests 1000000; \
         location / {{ return 503 \"the other\"; }} }}
         log_format upstream '$upstream_addr $upstream_status';"
    );
    let server = "access_log upstream.log upstream buffer=64k;
        location / { proxy_pass http://both; proxy_http_version 1.1; proxy_set_header Connection '';
        proxy_next_upstream off; add_header X-Backend $upstream_addr always; }";
    for depth in ["1", "16"] {
        let Some(nginx) = Nginx::start_with(&http, server) else { return };
        let url = nginx.url("");
        let line = [&*url, "-c", "8", "-p", depth, "-n", "5003", "--group-by", "x-backend"];
        let report = run(0, &line);
        let log = nginx.into_log_named("upstream.log");
        let mut logged = BTreeMap::<String, u64>::new();
        for line in &log {
            *logged.entry(line.split(' ').next().unwrap().to_owned()).or_default() += 1;
        }
        assert_eq!(log.len(), 5003);
        assert_eq!(groups(&report), logged, "depth {depth}");
        assert_eq!(logged.len(), 2, "both backends took part");
        assert_eq!(number(&report, "/whole/statuses/503"), logged[&b.to_string()]);
        assert_eq!(number(&report, "/groups/without/whole"), 0);
    }
}

/// A process that is killed when dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The number of requests that HAProxy sent to each server of `backend both`, by its own count.
fn haproxy_counts(socket: &std::path::Path) -> BTreeMap<String, u64> {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(READY_MAX)).unwrap();
    stream.write_all(b"show stat\n").unwrap();
    let mut table = String::new();
    stream.read_to_string(&mut table).unwrap();
    let mut lines = table.trim_start_matches("# ").lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let column = |name: &str| names.iter().position(|known| *known == name).unwrap();
    let (server, answers) = (column("svname"), column("hrsp_2xx"));
    let mut counts = BTreeMap::new();
    for line in lines.filter(|line| line.starts_with("both,")) {
        let fields: Vec<&str> = line.split(',').collect();
        if fields[server] != "BACKEND" {
            counts.insert(fields[server].to_owned(), fields[answers].parse().unwrap());
        }
    }
    counts
}

#[test]
fn haproxy_over_two_backends_is_grouped_as_its_own_counters_say() {
    let Some(program) = find_program("haproxy") else { return };
    let (one, other) = (Serve::start(&["--body", "10"]), Serve::start(&["--body", "10"]));
    let folder = Folder::new();
    let port = Port::reserve();
    let (address, socket) = (port.address(), folder.path().join("stats"));
    let config = folder.path().join("haproxy.cfg");
    let text = format!(
        "global
    stats socket {} mode 600 level admin
defaults
    mode http
    timeout connect 10s
    timeout client 30s
    timeout server 30s
frontend front
    bind {address}
    default_backend both
backend both
    balance roundrobin
    http-response set-header X-Server %s
    server one {} weight 3
    server other {} weight 1
",
        socket.display(),
        one.address,
        other.address
    );
    fs::write(&config, text).unwrap();
    let mut haproxy = Command::new(program);
    haproxy.args(["-db", "-q", "-f"]).arg(&config).stdin(Stdio::null());
    let _haproxy = Killed(haproxy.spawn().unwrap());
    let deadline = Instant::now() + READY_MAX;
    while TcpStream::connect(address).is_err() || UnixStream::connect(&socket).is_err() {
        assert!(Instant::now() < deadline, "haproxy does not listen");
        thread::sleep(Duration::from_millis(5));
    }
    let url = format!("http://{address}/");
    for depth in ["1", "8"] {
        let before = haproxy_counts(&socket);
        let line = [&*url, "-c", "8", "-p", depth, "-n", "3001", "--group-by", "X-Server"];
        let report = run(0, &line);
        let mut sent = haproxy_counts(&socket);
        sent.iter_mut().for_each(|(server, count)| *count -= before[server]);
        assert_eq!(groups(&report), sent, "depth {depth}");
        assert!(sent["one"] > 2 * sent["other"] && sent["other"] > 0, "{sent:?}");
        assert_eq!(sent.values().sum::<u64>(), 3001);
    }
    let _ = (one.into_counts(), other.into_counts());
}

#[test]
fn a_status_that_was_not_expected_fails_the_run_and_no_request() {
    let serve = Serve::start(&["--status", "404"]);
    let url = serve.url();
    let report = run(99, &[&url, "-n", "300", "--expect", "200,3xx"]);
    assert_eq!(number(&report, "/requests/completed"), 300);
    assert_eq!(number(&report, "/requests/failed"), 0);
    assert_eq!(number(&report, "/checks/failed/status/whole"), 300);
    assert_eq!(report["thresholds"][0]["condition"], "checks[status]=0");
    assert_eq!(report["thresholds"][0]["passed"], false);
    let report = run(0, &[&url, "-n", "300", "--expect", "404"]);
    assert_eq!(number(&report, "/checks/failed/status/whole"), 0);
    // A threshold of one's own on the check stands in for none at all.
    run(0, &[&url, "-n", "300", "--expect", "200", "--threshold", "checks[status]<=100%"]);
    let output = wring(&[&url, "-n", "300", "--expect", "2xx"], RUN_MAX);
    assert_eq!(output.status.code(), Some(99), "{}", said(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("\n  status     300        300  expected: 2xx\n"), "{text}");
    assert!(text.contains("\n  FAIL  checks[status]=0  measured 300\n"), "{text}");
    assert!(text.lines().last().unwrap().starts_with("verdict: "), "{text}");
}

#[test]
fn a_body_that_changes_is_found_whatever_its_framing() {
    const SIZED: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    const OTHER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhellO";
    const CHUNKED: &[u8] =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n";
    for depth in ["1", "16"] {
        let line = ["-c", "4", "-n", "800", "-p", depth, "--expect-body-hash"];
        let url = alternating(SIZED, OTHER);
        let report = run(99, &[&[&*url], &line[..]].concat());
        // Every connection begins with the first of the two, and each has an even number.
        let bodies = &report["checks"]["body_hash"]["targets"][0];
        assert_eq!(bodies["reference"], HASH_OF_HELLO, "depth {depth}");
        let same = number(bodies, "/seen/0/answers/whole");
        assert_eq!(same + number(bodies, "/seen/1/answers/whole"), 800);
        assert_eq!(number(&report, "/checks/failed/body_hash/whole"), 800 - same);
        assert!((398..=402).contains(&same), "{same} of 800 at depth {depth}");
        let url = alternating(SIZED, CHUNKED);
        let report = run(0, &[&[&*url], &line[..], &["--expect-body-bytes", "5"]].concat());
        assert_eq!(number(&report, "/checks/failed/body_hash/whole"), 0);
        assert_eq!(number(&report, "/checks/failed/body_bytes/whole"), 0);
    }
    let closing = Scripted::start(Script::AnswerAndClose(b"HTTP/1.1 200 OK\r\n\r\nhello".to_vec()));
    let given = format!("--expect-body-hash={HASH_OF_HELLO}");
    let report = run(0, &[&closing.url(), "-c", "4", "-n", "100", &given]);
    assert_eq!(number(&report, "/checks/body_hash/targets/0/seen/0/answers/whole"), 100);
    let given = format!("--expect-body-hash={HASH_OF_NOTHING}");
    let report = run(99, &[&closing.url(), "-c", "4", "-n", "100", &given]);
    assert_eq!(number(&report, "/checks/failed/body_hash/whole"), 100);
}

#[test]
fn large_bodies_are_compared_by_every_engine() {
    let serve = Serve::start(&["--body", "300000"]);
    let url = serve.url();
    for engine in ["uring", "epoll"] {
        let line = [&*url, "-c", "4", "-t", "2", "-n", "200", "-T", "40s", "--engine", engine];
        let report = run(0, &[&line[..], &["--expect-body-hash"]].concat());
        assert_eq!(number(&report, "/checks/body_hash/targets/0/seen/0/answers/whole"), 200);
        // Without the hash they are thrown away unseen, and their length is known all the same.
        let report = run(99, &[&line[..], &["--expect-body-bytes", "299999"]].concat());
        assert_eq!(number(&report, "/checks/failed/body_bytes/whole"), 200);
        run(0, &[&line[..], &["--expect-body-bytes", "300000"]].concat());
    }
}

#[test]
fn thresholds_decide_the_exit_code_and_are_printed_with_what_was_measured() {
    let serve = Serve::start(&[]);
    let url = serve.url();
    let good = ["--threshold", "p99<1m", "--threshold", "failed<0.1%", "--threshold", "rps>1"];
    let report = run(0, &[&[&*url, "-n", "2000"], &good[..]].concat());
    let thresholds = report["thresholds"].as_array().unwrap();
    assert_eq!(thresholds.len(), 3);
    assert!(thresholds.iter().all(|threshold| threshold["passed"] == true), "{thresholds:?}");
    let p99_ns = number(&report, "/latency/p99_ns");
    assert_eq!(number(&thresholds[0], "/measured_ns"), p99_ns);

    let bad = ["--threshold", "status[2xx]<1", "--threshold", "p99<1m", "--threshold=max<1ns"];
    let output = wring(&[&[&*url, "-n", "2000"], &bad[..]].concat(), RUN_MAX);
    assert_eq!(output.status.code(), Some(99), "{}", said(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("\n  FAIL  status[2xx]<1  measured 2,000\n"), "{text}");
    assert!(text.contains("\n  pass  p99<1m         measured "), "{text}");
    assert!(text.contains("\n  FAIL  max<1ns        measured "), "{text}");

    // Too few to know: it does not pass, and says how many it takes.
    let output = wring(&[&url, "-n", "500", "--threshold", "p99<1m"], RUN_MAX);
    assert_eq!(output.status.code(), Some(99), "{}", said(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("not known: of 500 requests"), "{text}");
    assert!(text.contains("it takes 1,000"), "{text}");
}

#[test]
fn what_is_worse_than_a_failed_threshold_has_its_own_exit_code() {
    // Nothing completed: 3.
    let silent = Scripted::start(Script::Silence);
    let line = ["-c", "2", "-T", "100ms", "-n", "4", "--threshold", "failed=0"];
    let report = run(3, &[&[&*silent.url()], &line[..]].concat());
    assert_eq!(report["thresholds"][0]["passed"], false);
    // wring itself could not keep the schedule: 4. One thread cannot send so many while it sleeps.
    let serve = Serve::start(&["--delay", "50ms"]);
    let line = ["-d", "60s", "-R", "100", "--threshold", "rps>1M"];
    let mut child = Command::new(env!("CARGO_BIN_EXE_wring"))
        .args([&[&*serve.url()], &line[..]].concat())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    serve.await_requests();
    // A loop that stands still for over a second was not measuring.
    let signal = |name: &str| {
        let id = child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    };
    thread::sleep(Duration::from_millis(300));
    signal("-STOP");
    thread::sleep(Duration::from_millis(1_500));
    signal("-CONT");
    thread::sleep(Duration::from_millis(100));
    signal("-INT");
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(4), "{text}");
    assert!(text.contains("  FAIL  rps>1M  "), "{text}");
}

#[test]
fn a_stored_result_is_judged_anew_by_other_thresholds() {
    let serve = Serve::start(&["--status", "404"]);
    let folder = Folder::new();
    let stored = folder.path().join("r");
    let stored = stored.to_str().unwrap();
    let line = ["-n", "2000", "-o", stored, "--expect", "200", "--group-by", "Server"];
    let own = ["--threshold", "rps>1G", "--threshold", "p99<1m"];
    let first = wring(&[&[&*serve.url()], &line[..], &own].concat(), RUN_MAX);
    assert_eq!(first.status.code(), Some(99), "{}", said(&first));
    // Rendered again it is the same, and no verdict of this command.
    let again = wring(&["report", stored], RUN_MAX);
    assert_eq!(again.status.code(), Some(0), "{}", said(&again));
    assert_eq!(again.stdout, first.stdout);
    for (thresholds, code) in [
        (&["p99<1m", "checks[status]>0"][..], 0),
        (&["p99<1m"], 99),
        (&["p99<1ns", "checks<=100%"], 99),
        (&["status[404]=2000", "checks=2000"], 0),
        (&["held>1%", "checks>0"], 99),
        (&["checks[body_hash]=0", "checks[status]>0"], 99),
    ] {
        let flags: Vec<&str> = thresholds.iter().flat_map(|t| ["--threshold", t]).collect();
        let judged = wring(&[&["report", stored], &flags[..]].concat(), RUN_MAX);
        assert_eq!(judged.status.code(), Some(code), "{thresholds:?}: {}", said(&judged));
        let text = String::from_utf8(judged.stdout).unwrap();
        assert!(!text.contains("rps>1G"), "{text}");
        assert!(text.contains(thresholds[0]), "{text}");
    }
}

#[test]
fn the_self_test_takes_checks_thresholds_and_a_rate() {
    // Not pinned, it cannot be starved on CPUs of its own.
    let line = ["selftest", "-R", "1k", "-d", "500ms", "--json", "--no-pin", "--expect", "200"];
    let more = ["--expect-body-bytes", "100", "--expect-body-hash"];
    let more = [&more[..], &["--threshold", "p50<1m", "--threshold", "p50>1m"]].concat();
    let output = wring(&[&line[..], &more].concat(), RUN_MAX);
    // Late is what a busy machine makes it.
    assert!(matches!(output.status.code(), Some(99 | 4)), "{}", said(&output));
    let report = report_of(&output);
    assert_identities_hold(&report);
    assert_eq!(number(&report, "/schedule/due"), 500, "{report}");
    assert_eq!(number(&report, "/target_requests"), number(&report, "/requests/completed"));
    let passed = |index: usize| report["thresholds"][index]["passed"].as_bool().unwrap();
    let conditions = report["thresholds"].as_array().unwrap().len();
    assert_eq!((passed(0), passed(1), conditions), (true, false, 5));
    assert!((2..5).all(passed), "{}", report["thresholds"]);
}

#[test]
fn more_values_than_are_told_apart_are_counted_together() {
    // Every answer has a value of its own.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut chunk, mut seen, mut number) = ([0; 4096], Vec::new(), 0);
        while let Ok(count @ 1..) = stream.read(&mut chunk) {
            seen.extend_from_slice(&chunk[..count]);
            while let Some(end) = support::scripted::head_end(&seen) {
                seen.drain(..end);
                let answer =
                    format!("HTTP/1.1 200 OK\r\nX-Id: {number}\r\nContent-Length: 0\r\n\r\n");
                number += 1;
                let _ = stream.write_all(answer.as_bytes());
            }
        }
    });
    let report = run(0, &[&url, "-c", "1", "-p", "4", "-n", "200", "--group-by", "X-Id"]);
    assert_eq!(groups(&report).len(), 64);
    assert!(groups(&report).values().all(|count| *count == 1));
    assert_eq!(number(&report, "/groups/other/whole"), 200 - 64);
    let server = Scripted::start(Script::Answer(hello()));
    let report = run(0, &[&server.url(), "-n", "100", "--group-by", "X-Id"]);
    assert_eq!(number(&report, "/groups/without/whole"), 100);
}

#[test]
fn every_target_has_a_reference_of_its_own() {
    let serve = Serve::start(&["--body", "10"]);
    let hello = Scripted::start(Script::Answer(hello()));
    let changing = alternating(
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb",
    );
    let line = ["-c", "6", "-n", "600", "--expect-body-hash"];
    let report = run(0, &[&[&*serve.url(), &hello.url()], &line[..]].concat());
    assert_eq!(number(&report, "/checks/failed/body_hash/whole"), 0);
    let targets = report["checks"]["body_hash"]["targets"].as_array().unwrap();
    assert_eq!(targets.len(), 2);
    assert_eq!(targets[1]["reference"], HASH_OF_HELLO);
    assert!(targets.iter().all(|target| number(target, "/seen/0/answers/whole") == 300));
    let output = wring(&[&[&*serve.url(), &changing], &line[..]].concat(), RUN_MAX);
    assert_eq!(output.status.code(), Some(99), "{}", said(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("\n  target 2 GET http://127.0.0.1:"), "{text}");
}

/// What a server does to the answers of one batch of pipelined requests.
#[derive(Clone, Copy, Debug)]
enum Mischief {
    None,
    Swaps,
    Doubles,
}

/// A server that answers each request with its path as the body, on every connection whole batches
/// of `depth` at once, the third with mischief done to its middle. Also gives the paths in the order
/// they came in, by connection.
fn echoing(depth: usize, mischief: Mischief) -> (String, Arc<Mutex<Vec<Vec<String>>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let log = Arc::new(Mutex::new(Vec::new()));
    let all = Arc::clone(&log);
    thread::spawn(move || {
        for (index, stream) in listener.incoming().flatten().enumerate() {
            let log = Arc::clone(&all);
            log.lock().unwrap().push(Vec::new());
            thread::spawn(move || {
                echo(stream, depth, mischief, &mut |path| {
                    log.lock().unwrap()[index].push(path.to_owned());
                })
            });
        }
    });
    (url, log)
}

fn echo(mut stream: TcpStream, depth: usize, mischief: Mischief, log: &mut dyn FnMut(&str)) {
    let (mut seen, mut chunk, mut waiting, mut batches) = (Vec::new(), [0; 4096], Vec::new(), 0);
    while let Ok(count @ 1..) = stream.read(&mut chunk) {
        seen.extend_from_slice(&chunk[..count]);
        while let Some(end) = support::scripted::head_end(&seen) {
            let head = String::from_utf8(seen.drain(..end).collect()).unwrap();
            let path = head.split(' ').nth(1).unwrap();
            log(path);
            let length = path.len();
            waiting.push(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{path}"));
        }
        while waiting.len() >= depth {
            let mut batch: Vec<String> = waiting.drain(..depth).collect();
            batches += 1;
            match mischief {
                Mischief::Swaps if batches == 3 => batch.swap(1, 2),
                Mischief::Doubles if batches == 3 => batch[2] = batch[1].clone(),
                _ => {}
            }
            if stream.write_all(batch.concat().as_bytes()).is_err() {
                return;
            }
        }
    }
}

#[test]
fn pipelined_answers_are_held_against_the_requests_they_answer() {
    const DEPTH: usize = 5;
    // Three kinds of requests, so that neighbours in a batch are of different kinds.
    for (mischief, wrong) in [(Mischief::None, 0), (Mischief::Swaps, 2), (Mischief::Doubles, 1)] {
        for engine in ["uring", "epoll"] {
            let (url, log) = echoing(DEPTH, mischief);
            let targets = ["a", "bb", "ccc"].map(|path| format!("{url}{path}"));
            let line = ["-c", "1", "-p", "5", "-n", "60", "--engine", engine, "--expect-body-hash"];
            let code = if wrong == 0 { 0 } else { 99 };
            let report = run(code, &[&targets.each_ref().map(String::as_str)[..], &line].concat());
            assert_eq!(number(&report, "/requests/completed"), 60);
            let failed = number(&report, "/checks/failed/body_hash/whole");
            assert_eq!(failed, wrong, "{mischief:?}: {}", report["checks"]);
            assert_eq!(number(&report, "/notices/unsolicited"), 0);
            // What came in is what was sent, in the order of the targets.
            let log = log.lock().unwrap();
            let paths: Vec<&str> = log.iter().flatten().map(String::as_str).collect();
            let wanted: Vec<&str> = ["/a", "/bb", "/ccc"].repeat(20);
            assert_eq!(paths, wanted);
        }
    }
}

#[test]
fn numbered_requests_come_in_once_each_and_in_order_on_every_connection() {
    const DEPTH: usize = 4;
    let paces = [&[][..], &["-R", "3k"], &["-R", "3k", "--arrivals", "poisson"]];
    for (engine, pace) in ["uring", "epoll"].into_iter().flat_map(|e| paces.map(|pace| (e, pace))) {
        // On a schedule nothing fills the last batches.
        let depth = if pace.is_empty() { DEPTH } else { 1 };
        let (url, log) = echoing(depth, Mischief::None);
        let numbered = format!("{url}{{{{seq}}}}");
        // Two threads have unlike parts.
        let line = ["-t2", "-c", "3", "-p", "4", "-n", "240", "--engine", engine];
        let line = [&[&*numbered], &line[..], pace, &["--expect-body-bytes", "17"]].concat();
        let report = run(0, &line);
        assert_eq!(number(&report, "/requests/completed"), 240);
        assert_eq!(number(&report, "/checks/failed/body_bytes/whole"), 0);
        let log = log.lock().unwrap();
        assert!(log.iter().all(|paths| paths.is_sorted()), "{log:?}");
        let mut all: Vec<&String> = log.iter().flatten().collect();
        all.sort();
        let log = format!("{pace:?} {log:?}");
        let wanted: Vec<String> = (0..240).map(|number| format!("/{number:016}")).collect();
        assert!(all.into_iter().eq(&wanted), "{log}");
    }
}
