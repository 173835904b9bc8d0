//! Many targets in one run, and bodies of every kind, against servers that see what is sent: nginx's
//! log has each target's share to the request, scripted servers have the bytes.

use super::support;
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::time::Duration;

use super::support::scripted::{Script, Scripted};
use super::support::{
    Folder, Nginx, assert_identities_hold, is_measured, number, report_of, said, wring,
};
use serde_json::Value;

const RUN_MAX: Duration = Duration::from_secs(30);
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
/// Each target has a status of its own, which nginx logs.
const BY_STATUS: &str = "location /a { return 200 \"ok\"; } location /b { return 201 \"ok\"; } \
                         location /c { return 404 \"ok\"; } location /d { return 503 \"ok\"; }";

fn run(arguments: &[&str]) -> Value {
    let output = wring(arguments, RUN_MAX);
    // On a busy machine a schedule may be kept badly (4), which changes no count.
    let is_measured = matches!(output.status.code(), Some(0 | 4));
    assert!(is_measured, "{arguments:?}: {}", said(&output));
    let report = report_of(&output);
    assert_identities_hold(&report);
    report
}

/// A list of requests in a file.
fn list(text: &str) -> (Folder, String) {
    let folder = Folder::new();
    let path = folder.path().join("urls");
    fs::write(&path, text).expect("writable");
    let path = path.to_str().expect("UTF-8").to_owned();
    (folder, path)
}

fn by_status(log: &[String]) -> BTreeMap<&str, u64> {
    let mut counts = BTreeMap::new();
    for line in log {
        *counts.entry(line.split(' ').next().expect("a status")).or_default() += 1;
    }
    counts
}

#[test]
fn nginx_logs_exactly_each_targets_share() {
    for (threads, depth, requests) in [(1, 1, 1001), (2, 1, 2003), (1, 16, 5003), (2, 16, 10_007)] {
        let Some(nginx) = Nginx::start(BY_STATUS) else { return };
        let weights = [50_u64, 30, 19, 1];
        let lines: String = (weights.iter().zip(["a", "b", "c", "d"]))
            .map(|(weight, path)| format!("{weight} GET {}\n", nginx.url(path)))
            .collect();
        let (_folder, path) = list(&lines);
        let (t, p, n) = (threads.to_string(), depth.to_string(), requests.to_string());
        let report = run(&["--urls", &path, "-c8", "-t", &t, "-p", &p, "-n", &n, "--json"]);
        let log = nginx.into_log();
        let logged = by_status(&log);
        assert_eq!(log.len() as u64, requests);
        for (index, status) in ["200", "201", "404", "503"].into_iter().enumerate() {
            let counted = number(&report, &format!("/targets/{index}/window/started"));
            let share = requests * weights[index] / 100;
            assert!(counted.abs_diff(share) <= 1, "target {index} of {requests}: {counted}");
            assert_eq!(logged[status], counted, "-t {t} -p {p}: {logged:?}");
            assert_eq!(number(&report, &format!("/targets/{index}/window/completed")), counted);
        }
    }
}

#[test]
fn the_shares_of_a_number_of_requests_do_not_depend_on_threads_connections_or_depth() {
    let Some(nginx) = Nginx::start(BY_STATUS) else { return };
    let lines = format!("5 {}\n3 {}\n2 {}\n", nginx.url("a"), nginx.url("b"), nginx.url("c"));
    let (_folder, path) = list(&lines);
    let counts = |more: &[&str]| {
        let report = run(&[&["--urls", &path, "-n", "1003", "--json"], more].concat());
        [0, 1, 2].map(|at| number(&report, &format!("/targets/{at}/window/started")))
    };
    let alone = counts(&["-c1", "-t1"]);
    assert_eq!(alone.iter().sum::<u64>(), 1003);
    for more in [
        &["-c5", "-t2"][..],
        &["-c5", "-t2", "-p7"],
        &["-c5", "-t2", "-R", "10k"],
        &["-c5", "-t2", "-p4", "--requests-per-connection", "7"],
        &["-c5", "-t2", "-p4", "--engine", "epoll"],
    ] {
        assert_eq!(counts(more), alone, "{more:?}");
    }
}

#[test]
fn two_servers_get_their_exact_shares_in_a_closed_loop_and_on_a_schedule() {
    for (rate, depth) in [(&[][..], "1"), (&[][..], "8"), (&["-R", "5k"][..], "4")] {
        let (Some(first), Some(second)) = (Nginx::start(BY_STATUS), Nginx::start(BY_STATUS)) else {
            return;
        };
        let lines = format!("3 {}\n1 {}\n1 {}\n", first.url("a"), second.url("b"), first.url("b"));
        let (_folder, path) = list(&lines);
        let arguments =
            [&["--urls", &path, "-c6", "-t2", "-p", depth, "-n", "1005", "--json"], rate].concat();
        let report = run(&arguments);
        let servers = report["servers"].as_array().expect("a list");
        assert_eq!(servers.len(), 2);
        let bound: u64 = servers.iter().map(|s| s["connections"].as_u64().expect("a count")).sum();
        assert_eq!(bound, 6);
        let (first, second) = (first.into_log(), second.into_log());
        assert_eq!(by_status(&first), BTreeMap::from([("200", 603), ("201", 201)]));
        assert_eq!(by_status(&second), BTreeMap::from([("201", 201)]));
    }
}

#[test]
fn a_head_among_gets_and_posts_keeps_its_connection() {
    let Some(nginx) = Nginx::start(BY_STATUS) else { return };
    let folder = Folder::new();
    let body = folder.path().join("body");
    fs::write(&body, vec![b'x'; 5000]).expect("writable");
    let lines = format!(
        "2 GET {}\nHEAD {}\nPOST {} @{}\n",
        nginx.url("a"),
        nginx.url("b"),
        nginx.url("c"),
        body.display()
    );
    let (_folder, path) = list(&lines);
    let report = run(&["--urls", &path, "-c4", "-p8", "-n", "2000", "--json"]);
    assert_eq!(number(&report, "/whole/completed"), 2000);
    assert_eq!(number(&report, "/connections/attempts"), 4);
    // HEAD is answered without the two bytes.
    assert_eq!(number(&report, "/bytes/body"), 1500 * 2);
    assert_eq!(
        by_status(&nginx.into_log()),
        BTreeMap::from([("200", 1000), ("201", 500), ("404", 500)])
    );
}

/// What one connection sent to a server that answers everything.
fn sent(arguments: &[&str], path: &str) -> String {
    let server = Scripted::start(Script::Answer(ANSWER.to_vec()));
    let url = format!("http://{}{path}", server.address);
    run(&[arguments, &["-c1", "-t1", "--json", &url]].concat());
    let received = server.received();
    assert_eq!(received.len(), 1, "connections");
    String::from_utf8(received[0].clone()).expect("UTF-8").replace(&server.address.to_string(), "S")
}

#[test]
fn bodies_arrive_byte_for_byte() {
    let head = "POST /p HTTP/1.1\r\nHost: S\r\n";
    let form = sent(&["-n1", "--form", "a=1 2", "--form", "b=ü"], "/p");
    let kind = "Content-Type: application/x-www-form-urlencoded\r\n";
    assert_eq!(form, format!("{head}{kind}Content-Length: 14\r\n\r\na=1+2&b=%C3%BC"));
    let json = sent(&["-n1", "--json-body", "{\"a\": 1}"], "/p");
    let kind = "Content-Type: application/json\r\n";
    assert_eq!(json, format!("{head}{kind}Content-Length: 8\r\n\r\n{{\"a\": 1}}"));
    let (_folder, file) = list("first\n\nthird one\r\n");
    let lines = sent(&["-n5", "--body-lines", &file], "/p");
    let one = |body: &str| format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
    let all = ["first", "", "third one", "first", ""].map(one).concat();
    assert_eq!(lines, all);
    let multipart =
        sent(&["-n1", "--multipart", "n=v", "--multipart", &format!("f=@{file}")], "/p");
    let (head, body) = multipart.split_once("\r\n\r\n").expect("a head");
    let boundary = head.split_once("boundary=").expect("a boundary").1;
    let boundary = boundary.split("\r\n").next().expect("a line");
    assert_eq!(
        body,
        format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"n\"\r\n\r\nv\r\n\
             --{boundary}\r\nContent-Disposition: form-data; name=\"f\"; filename=\"urls\"\r\n\
             Content-Type: application/octet-stream\r\n\r\nfirst\n\nthird one\r\n\r\n\
             --{boundary}--\r\n"
        )
    );
}

/// The requests in a stream, each of this length.
fn split(stream: &str, bytes: usize) -> Vec<&str> {
    assert_eq!(stream.len() % bytes, 0, "{stream}");
    (0..stream.len() / bytes).map(|at| &stream[at * bytes..(at + 1) * bytes]).collect()
}

#[test]
fn placeholders_are_of_fixed_width_and_unique_over_all_threads() {
    for more in [&["-p1"][..], &["-p16"], &["-R", "5k"], &["--engine", "epoll", "-p4"]] {
        let server = Scripted::start(Script::Answer(ANSWER.to_vec()));
        let url = format!("http://{}/{{{{seq}}}}", server.address);
        let arguments = ["-H", "X: {{rand}}", "-X", "PATCH", &url, "-c4", "-t2", "-n", "501"];
        let report = run(&[&arguments[..], &["--json"], more].concat());
        assert_eq!(number(&report, "/whole/completed"), 501);
        let host = server.address.to_string();
        let bytes =
            format!("PATCH /{:016} HTTP/1.1\r\nHost: {host}\r\nX: {:016}\r\n\r\n", 0, 0).len();
        let (mut numbers, mut randoms) = (HashSet::new(), HashSet::new());
        for stream in server.received() {
            let stream = String::from_utf8(stream).expect("UTF-8");
            for request in split(&stream, bytes) {
                let number = &request[7..23];
                assert!(numbers.insert(number.parse::<u64>().expect("digits")), "{number} twice");
                let random = request.split_once("X: ").expect("a header").1[..16].to_owned();
                assert!(random.bytes().all(|b| b.is_ascii_hexdigit()), "{request}");
                assert!(randoms.insert(random), "{request}");
            }
        }
        let all: HashSet<u64> = (0..501).collect();
        assert_eq!(numbers, all, "{more:?}");
    }
}

#[test]
fn a_seed_repeats_what_is_filled_in_and_a_warm_up_does_not_repeat_numbers() {
    let path = "/{{seq}}/{{uuid}}";
    let once = sent(&["-n3", "--seed", "7"], path);
    assert_eq!(once, sent(&["-n3", "--seed", "7"], path));
    assert_ne!(once, sent(&["-n3", "--seed", "8"], path));
    let warm = sent(&["-n3", "--warmup", "20ms"], "/{{seq}}");
    let numbers: Vec<u64> =
        warm.split("GET /").skip(1).map(|request| request[..16].parse().expect("digits")).collect();
    assert!(numbers.len() > 3);
    assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>());
}

#[test]
fn a_stored_result_prints_the_same_targets() {
    let Some(nginx) = Nginx::start(BY_STATUS) else { return };
    let folder = Folder::new();
    let stored = folder.path().join("r.json");
    let stored = stored.to_str().expect("UTF-8");
    let (a, c) = (nginx.url("a"), nginx.url("c"));
    let output = wring(&["-c2", "-n", "300", "-o", stored, &a, &c], RUN_MAX);
    assert!(is_measured(&output), "{}", said(&output));
    let text = String::from_utf8_lossy(&output.stdout);
    let section = text.split_once("Targets in the window").expect("a section").1;
    let rows: Vec<Vec<&str>> =
        section.lines().skip(1).take(3).map(|row| row.split_whitespace().collect()).collect();
    assert_eq!(rows[0][..5], ["weight", "started", "completed", "2xx", "4xx"]);
    assert_eq!(rows[1][..7], ["GET", a.as_str(), "1", "150", "150", "150", "0"]);
    assert_eq!(rows[2][..7], ["GET", c.as_str(), "1", "150", "150", "0", "150"]);
    let again = wring(&["report", stored], RUN_MAX);
    assert_eq!(String::from_utf8_lossy(&again.stdout), text);
}

#[test]
fn a_wrong_line_is_told_with_its_place_and_nothing_is_sent() {
    let server = Scripted::start(Script::Answer(ANSWER.to_vec()));
    let good = server.url();
    for (line, words) in [
        (format!("GET {good}\n0 GET {good}"), "urls:2:1: a weight of 0"),
        (format!("{good}\n\nGET {good} 'X: y"), "urls:3:"),
        (format!("GET {good} word"), "'word' is no header"),
        ("GET".to_owned(), "urls:1:4: the URL is missing"),
        ("# only a remark\n".to_owned(), "lists no request"),
        (format!("{{\"url\":\"{good}\",\"wait\":1}}"), "urls:1:"),
        (format!("GET {good} @/no/such/file"), "/no/such/file"),
    ] {
        let (_folder, path) = list(&line);
        let output = wring(&["--urls", &path, "-n1"], RUN_MAX);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{line}: {}", said(&output));
        assert!(stderr.contains(words), "{line}: {stderr}");
    }
    assert_eq!(server.requests(), 0);
}

#[test]
fn a_number_of_requests_for_a_server_that_nobody_reaches_ends_and_says_what_was_not_started() {
    let Some(nginx) = Nginx::start(BY_STATUS) else { return };
    let nobody = support::Port::reserve();
    let (there, gone) = (nginx.url("a"), format!("http://{}/b", nobody.address()));
    let line = ["-n", "100", "-c", "4", "-t", "2", "--connect-timeout", "100ms", "--json"];
    let output = wring(&[&line[..], &[&there, &gone]].concat(), RUN_MAX);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    let report = report_of(&output);
    assert_identities_hold(&report);
    let text = report["verdict"]["text"].as_str().expect("a verdict");
    let server = format!("http://{}", nobody.address());
    assert!(
        text.contains(&format!("nothing could be measured at {server}: connect refused")),
        "{text}"
    );
    assert_eq!(number(&report, "/given_up_server"), 1);
    let remarks = report["remarks"].to_string();
    assert!(
        remarks.contains(&format!("GET {gone}: 50 of 50 requests were never started")),
        "{remarks}"
    );
    assert!(nginx.into_log().len() <= 4, "the others wait for those");
}
