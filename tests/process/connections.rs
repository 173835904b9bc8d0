//! Every kind of connection, against servers that count for themselves.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::process::Output;
use std::time::Duration;

use super::support::faults::{
    ENGINES, OWN_NETWORK, in_namespaces, is_root, on_every_engine, sound,
};
use super::support::proxies::{Callers, Haproxy, TunnelProxy};
use super::support::scripted::{Script, Scripted};
use super::support::serve::Serve;
use super::support::{
    Folder, Nginx, Running, assert_identities_hold, number, report_of, said, wring,
};
use serde_json::Value;

const RUN_MAX: Duration = Duration::from_secs(30);
const KEEP: &str = "location / { return 200 \"ok\"; }";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A good run with its report.
fn measured(engine: &str, url: &str, line: &[&str]) -> Value {
    let output = wring(&[&[url, "--engine", engine, "--json"], line].concat(), RUN_MAX);
    // On a busy machine wring may stand still for too long, which makes a run invalid and no count
    // wrong.
    let is_measured = matches!(output.status.code(), Some(0 | 4));
    assert!(is_measured, "{engine} {line:?}: {}", said(&output));
    let report = report_of(&output);
    assert_identities_hold(&report);
    report
}

fn refused(line: &[&str], code: i32) -> String {
    let output: Output = wring(line, RUN_MAX);
    assert_eq!(output.status.code(), Some(code), "{line:?}: {}", said(&output));
    assert!(output.stdout.is_empty(), "{}", said(&output));
    String::from_utf8(output.stderr).unwrap_or_default()
}

#[test]
fn a_socket_file_counts_what_nginx_logs_and_discards_large_bodies() {
    let folder = Folder::new();
    fs::write(folder.path().join("large"), vec![b'x'; 1 << 20]).expect("room for a file");
    let root = folder.path().display();
    let socket = folder.path().join("socket");
    let path = socket.to_str().expect("a plain path");
    let server =
        format!("listen unix:{path} backlog=4096; root {root}; {KEEP} location /large {{}}");
    let Some(nginx) = Nginx::start(&server) else { return };
    let mut sum = 0;
    for engine in ENGINES {
        for (c, p, n) in [("1", "1", 301), ("15", "16", 5_003), ("64", "1", 2_000)] {
            let count = n.to_string();
            let line = ["--unix-socket", path, "-c", c, "-p", p, "-n", &count];
            let report = measured(engine, "http://any.name/", &line);
            assert_eq!(number(&report, "/requests/completed"), n, "{engine} -c {c} -p {p}");
            assert_eq!(report["asked"]["addresses"][0], format!("unix:{path}"));
            assert_eq!(report["target_on_this_machine"], true);
            sum += n;
        }
        let line = ["--unix-socket", path, "-c", "4", "-n", "40"];
        let report = measured(engine, "http://any.name/large", &line);
        assert_eq!(number(&report, "/bytes/body"), 40 << 20, "{engine}");
        let line = ["--unix-socket", path, "-c", "8", "-n", "500", "--no-keepalive"];
        let report = measured(engine, "http://any.name/", &line);
        assert_eq!(number(&report, "/requests/completed"), 500, "{engine}");
        sum += 540;
    }
    let log = nginx.into_log();
    assert_eq!(log.len() as u64, sum);
    assert!(log.iter().all(|line| line == "200 OK"));
    let gone = refused(&["http://h/", "--unix-socket", path, "-d", "1s"], 2);
    assert!(gone.contains("does not exist") || gone.contains("no connection"), "{gone}");
}

#[test]
fn a_path_that_is_no_socket_and_a_socket_without_a_server_are_told() {
    let folder = Folder::new();
    let file = folder.path().join("file");
    fs::write(&file, "x").expect("writable");
    let dead = folder.path().join("dead");
    drop(std::os::unix::net::UnixListener::bind(&dead).expect("a socket file"));
    for (path, code, words) in [
        (file.to_str(), 2, "is no socket"),
        (folder.path().to_str(), 2, "is a directory"),
        (Some("/nonexistent/socket"), 2, "does not exist"),
        (dead.to_str(), 3, "refused"),
    ] {
        let path = path.expect("a plain path");
        let stderr = refused(&["http://h/", "--unix-socket", path, "-c", "2", "-d", "1s"], code);
        assert!(stderr.contains(path) && stderr.contains(words), "{stderr}");
        assert!(stderr.lines().filter(|line| line.contains("error")).count() == 1, "{stderr}");
    }
}

#[test]
fn a_server_with_a_short_queue_behind_a_socket_file_gets_every_connection_in_the_end() {
    use std::io::{Read as _, Write as _};
    let folder = Folder::new();
    let path = folder.path().join("socket");
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None);
    let socket = socket.expect("a socket");
    socket.bind(&socket2::SockAddr::unix(&path).expect("a short path")).expect("a free path");
    socket.listen(1).expect("bound");
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = socket.accept() {
            std::thread::sleep(Duration::from_millis(2));
            std::thread::spawn(move || {
                while let Ok(1..) = stream.read(&mut [0; 4096]) {
                    let _ = stream.write_all(OK);
                }
            });
        }
    });
    for engine in ENGINES {
        let path = path.to_str().expect("a plain path");
        let line = ["--unix-socket", path, "-c", "12", "-d", "1500ms", "-t", "1"];
        let report = measured(engine, "http://h/", &line);
        assert_eq!(number(&report, "/connections/open_max"), 12, "{engine}: {report}");
        assert!(number(&report, "/connections/failures/busy") > 0, "{engine}: {report}");
        assert_eq!(number(&report, "/requests/failed"), 0, "{engine}");
    }
}

#[test]
fn two_addresses_are_used_evenly_and_each_has_its_counts() {
    let one = Scripted::start(Script::Answer(OK.to_vec()));
    let port = one.address.port();
    let Some(two) = Scripted::listen(&format!("127.0.0.2:{port}"), Script::Answer(OK.to_vec()))
    else {
        return;
    };
    let resolve = format!("name.example:{port}:127.0.0.1,127.0.0.2");
    let url = format!("http://name.example:{port}/path");
    let line = ["--resolve", &resolve, "-c", "10", "-n", "2000", "-t", "1"];
    let report = measured("auto", &url, &line);
    let rows = report["addresses"].as_array().expect("a list");
    assert_eq!(rows.len(), 2);
    for (row, server) in rows.iter().zip([&one, &two]) {
        assert_eq!(row["address"], server.address.to_string());
        assert_eq!((&row["attempts"], &row["established"]), (&5.into(), &5.into()));
        assert_eq!(number(row, "/completed"), server.requests(), "{row}");
    }
    assert_eq!(one.requests() + two.requests(), 2000);
    let text = wring(&[&[&*url], &line[..]].concat(), RUN_MAX);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("address          attempts") || text.contains("attempts  established"));
    assert!(text.contains(&format!("127.0.0.2:{port}")), "{text}");
    // The name goes out as it was typed.
    let received = one.received();
    assert!(received.iter().all(|bytes| {
        String::from_utf8_lossy(bytes).contains(&format!("Host: name.example:{port}\r\n"))
    }));
    // One of them dead: the other takes all, and the table says so.
    let free = TcpListener::bind("127.0.0.3:0").and_then(|listener| listener.local_addr());
    let dead = free.map_or(1, |address: SocketAddr| address.port());
    let live = Serve::start(&["--threads", "1"]);
    let resolve = format!("h:{}:127.0.0.9,127.0.0.1", live.address.port());
    let url = format!("http://h:{}/", live.address.port());
    let report = measured("auto", &url, &["--resolve", &resolve, "-c", "6", "-n", "300"]);
    assert_eq!(number(&report, "/addresses/0/established"), 0, "{dead} {report}");
    assert!(number(&report, "/addresses/0/failed") >= 3, "{report}");
    assert_eq!(number(&report, "/addresses/1/completed"), 300, "{report}");
    assert_eq!(report["addresses"].as_array().map(Vec::len), Some(2));
}

#[test]
fn connections_go_where_they_are_told_and_the_request_stays_the_same() {
    let server = Scripted::start(Script::Answer(OK.to_vec()));
    let to = server.address.to_string();
    let line = ["--connect-to", &to, "-c", "2", "-n", "20"];
    let report = measured("auto", "http://name.invalid:81/a?b", &line);
    assert_eq!(report["asked"]["addresses"][0], to);
    assert!(server.received().iter().all(|bytes| {
        String::from_utf8_lossy(bytes).starts_with("GET /a?b HTTP/1.1\r\nHost: name.invalid:81\r\n")
    }));
    let none = refused(&["http://127.0.0.1:9/", "-6"], 2);
    assert!(none.contains("-6: '127.0.0.1' has no IPv6 address"), "{none}");
    let local = Serve::start(&[]);
    let url = format!("http://localhost:{}/", local.address.port());
    let report = measured("auto", &url, &["-4", "-n", "10"]);
    assert_eq!(report["asked"]["addresses"], serde_json::json!([local.address.to_string()]));
}

#[test]
fn connections_come_from_the_addresses_asked_for_in_turn() {
    for engine in ENGINES {
        let callers = Callers::start();
        let line = ["--source-ip", "127.0.0.2,127.0.1.0/30", "-c", "9", "-n", "900", "-t", "2"];
        measured(engine, &callers.url(), &line);
        let mut by_address: BTreeMap<IpAddr, u32> = BTreeMap::new();
        callers.seen().into_iter().for_each(|from| *by_address.entry(from).or_default() += 1);
        let expected: [IpAddr; 3] =
            [[127, 0, 0, 2], [127, 0, 1, 1], [127, 0, 1, 2]].map(IpAddr::from);
        assert_eq!(by_address.keys().copied().collect::<Vec<_>>(), expected, "{engine}");
        assert!(by_address.values().all(|&count| (2..=4).contains(&count)), "{by_address:?}");
    }
    let other = refused(&["http://127.0.0.1:9/", "--source-ip", "192.0.2.77"], 2);
    assert!(other.contains("192.0.2.77 is not an address of this machine"), "{other}");
}

/// Each shape of churn, exact against nginx's log.
fn check_churn(engine: &str, line: &[&str], requests: u64, connections: u64) {
    let Some(nginx) = Nginx::start(KEEP) else { return };
    let report = measured(engine, &nginx.url(""), line);
    let log = nginx.into_log();
    let what = format!("{engine} {line:?}");
    assert_eq!(number(&report, "/requests/started"), requests, "{what}");
    assert_eq!(number(&report, "/requests/completed"), requests, "{what}");
    assert_eq!(log.len() as u64, requests, "{what}");
    assert!(log.iter().all(|line| line == "200 OK"), "{what}");
    let established = number(&report, "/connections/established");
    assert!((connections..connections + 15).contains(&established), "{what}: {established}");
    let opened = number(&report, "/new_connections/established");
    let at_start = number(&report, "/connections/open_at_start");
    assert_eq!(opened, established - at_start, "{what}");
    assert!(report["new_connections"]["per_s"].as_f64().is_some_and(|per_s| per_s > 0.0), "{what}");
    assert_eq!(number(&report, "/new_connections/connect/count"), opened, "{what}");
}

#[test]
fn connections_that_come_and_go_count_what_nginx_logs() {
    for engine in ENGINES {
        check_churn(engine, &["--no-keepalive", "-c", "15", "-n", "3000"], 3000, 3000);
        let line = ["--requests-per-connection", "1", "-c", "15", "-n", "3000"];
        check_churn(engine, &line, 3000, 3000);
        let line = ["--requests-per-connection", "7", "-p", "16", "-c", "15", "-n", "7000"];
        check_churn(engine, &line, 7000, 1000);
        let line =
            ["--requests-per-connection", "2", "--close", "orderly", "-c", "15", "-n", "2000"];
        check_churn(engine, &line, 2000, 1000);
        let line =
            ["--requests-per-connection", "3", "-p", "4", "-c", "15", "-R", "5k", "-n", "1500"];
        check_churn(engine, &line, 1500, 500);
    }
}

#[test]
fn a_server_is_told_of_the_close_only_where_that_was_asked_for() {
    let server = Scripted::start(Script::Answer(OK.to_vec()));
    measured("auto", &server.url(), &["--requests-per-connection", "1", "-c", "1", "-n", "3"]);
    let received = server.received();
    let used: Vec<_> = received.iter().filter(|bytes| !bytes.is_empty()).collect();
    assert_eq!(used.len(), 3);
    let plain = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
    assert!(used.iter().all(|bytes| **bytes == plain.as_bytes()), "{used:?}");
    let server = Scripted::start(Script::Answer(OK.to_vec()));
    measured("auto", &server.url(), &["--no-keepalive", "-c", "1", "-n", "3"]);
    let told = format!("GET / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", server.address);
    let received = server.received();
    assert_eq!(received.iter().filter(|bytes| **bytes == told.as_bytes()).count(), 3);
}

#[test]
fn connections_are_opened_at_the_rate_asked_for_over_all_threads() {
    let serve = Serve::start(&[]);
    let line = ["-c", "30", "-t", "2", "--connect-rate", "100", "--connect-timeout", "150ms"];
    let report = measured("auto", &serve.url(), &[&line[..], &["-d", "100ms"]].concat());
    assert_eq!(number(&report, "/connections/open_at_start"), 30);
    let opening_ns = number(&report, "/opening/length_ns");
    assert!((280_000_000..2_000_000_000).contains(&opening_ns), "{opening_ns}");
    let line = ["-c", "30", "-t", "2", "--connect-rate", "200", "--no-keepalive", "-d", "500ms"];
    let report = measured("auto", &serve.url(), &line);
    let opened = number(&report, "/new_connections/established");
    assert!((50..=105).contains(&opened), "{opened}");
}

#[test]
fn haproxy_takes_the_proxy_header_and_sees_the_ends_it_names() {
    let lines = "  log-format \"%ci:%cp %fi:%fp %ST\"\n  http-request return status 200 content-type text/plain string ok";
    for (engine, version) in ENGINES.into_iter().flat_map(|e| [(e, "v1"), (e, "v2")]) {
        let Some(haproxy) = Haproxy::start("accept-proxy", lines) else { return };
        let address = haproxy.address;
        let line = ["--proxy-protocol", version, "--source-ip", "127.0.0.5", "-c", "4"];
        let line = [&line[..], &["--requests-per-connection", "5", "-n", "200"]].concat();
        let report = measured(engine, &haproxy.url(), &line);
        assert_eq!(number(&report, "/whole/statuses/200"), 200, "{engine} {version}");
        assert_eq!(number(&report, "/requests/failed"), 0, "{engine} {version}");
        let log = haproxy.into_log();
        let ends = format!(" {address} 200");
        let is_ours = |line: &&String| line.starts_with("127.0.0.5:") && line.ends_with(&ends);
        let ours: Vec<_> = log.iter().filter(is_ours).collect();
        assert_eq!(ours.len(), 200, "{engine} {version}: {:?}", log.first());
        let ports = ours.iter().filter_map(|line| line.split([':', ' ']).nth(1));
        let ports: std::collections::BTreeSet<_> = ports.collect();
        // Of four connections three at most end with less than five requests.
        assert!((40..=43).contains(&ports.len()), "each connection names its own: {}", ports.len());
    }
}

#[test]
fn a_header_that_nobody_sends_is_missed_by_haproxy() {
    let lines = "  http-request return status 200 content-type text/plain string ok";
    let Some(haproxy) = Haproxy::start("accept-proxy", lines) else { return };
    let output = wring(&[&haproxy.url(), "-c", "1", "-n", "3", "--json"], RUN_MAX);
    assert!(!output.status.success(), "the test above could not fail: {}", said(&output));
}

#[test]
fn a_proxy_passes_whole_urls_on_and_gets_its_user() {
    let Some(target) = Nginx::start(KEEP) else { return };
    // QWxhZGRpbjpvcGVuIHNlc2FtZQ== is RFC 7617's own example.
    let forward = "if ($http_proxy_authorization != \"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\") \
                   { return 407; } \
                   location / { proxy_pass http://$http_host$request_uri; }";
    let Some(proxy) = Nginx::start(forward) else { return };
    let url = target.url("some/path?query");
    let through = format!("http://Aladdin:open%20sesame@{}", proxy.address);
    let report = measured("auto", &url, &["--proxy", &through, "-c", "8", "-n", "1000"]);
    assert_eq!(number(&report, "/whole/statuses/200"), 1000);
    assert_eq!(report["asked"]["addresses"][0], proxy.address.to_string());
    let shown = report.to_string();
    assert!(!shown.contains("sesame") && !shown.contains("QWxhZGRpbj"), "{shown}");
    let plain = format!("http://{}", proxy.address);
    let report = measured("auto", &url, &["--proxy", &plain, "-c", "2", "-n", "20"]);
    assert_eq!(number(&report, "/whole/statuses/407"), 20);
    assert_eq!(proxy.into_log().len(), 1020);
    assert_eq!(target.into_log().len(), 1000);
}

#[test]
fn a_proxy_is_asked_with_the_whole_url_and_the_targets_host() {
    let proxy = Scripted::start(Script::Answer(OK.to_vec()));
    let through = format!("http://{}/", proxy.address);
    let line = ["--proxy", &through, "-u", "joe:secret", "-c", "1", "-n", "1"];
    let report = measured("auto", "http://name.invalid:81/a?b", &line);
    assert!(!report.to_string().contains("secret"), "{report}");
    let expected = "GET http://name.invalid:81/a?b HTTP/1.1\r\nHost: name.invalid:81\r\n\
                    Authorization: Basic am9lOnNlY3JldA==\r\n\r\n";
    assert_eq!(String::from_utf8_lossy(&proxy.received().concat()), expected);
}

#[test]
fn a_tunnel_carries_exactly_what_nginx_logs() {
    for engine in ENGINES {
        let Some(target) = Nginx::start(KEEP) else { return };
        let answer = "HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n";
        let proxy = TunnelProxy::start(target.address, answer);
        let through = format!("http://a:b@{}", proxy.address);
        let line = ["--proxy", &through, "--proxy-tunnel", "-c", "4", "-p", "4"];
        let line = [&line[..], &["--requests-per-connection", "25", "-n", "1000"]].concat();
        let report = measured(engine, &target.url("x"), &line);
        assert_eq!(number(&report, "/whole/statuses/200"), 1000, "{engine}");
        let to = target.address;
        let expected = format!(
            "CONNECT {to} HTTP/1.1\r\nHost: {to}\r\nProxy-Authorization: Basic YTpi\r\n\r\n"
        );
        let heads = proxy.heads();
        // An attempt may be undecided when the run ends.
        let counts = ["established", "attempts"];
        let [least, most] = counts.map(|name| number(&report, &format!("/connections/{name}")));
        assert!((least..=most).contains(&(heads.len() as u64)), "{engine}: {}", heads.len());
        assert!(heads.iter().all(|head| *head == expected), "{heads:?}");
        assert_eq!(target.into_log().len(), 1000, "{engine}");
    }
}

#[test]
fn a_tunnel_that_is_refused_means_nothing_can_be_measured_and_the_status_is_named() {
    let target: SocketAddr = ([127, 0, 0, 1], 9).into();
    let asks = "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n";
    for (user, answer, words) in [
        ("", asks, "407: give it a user"),
        ("a:b@", asks, "407: it does not accept the user and password"),
        ("", "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "403"),
        ("", "hello\r\n", "is that a proxy"),
    ] {
        let proxy = TunnelProxy::start(target, answer);
        let through = format!("http://{user}{}", proxy.address);
        let line = ["http://127.0.0.1:9/", "--proxy", &through, "--proxy-tunnel"];
        let line = [&line[..], &["-c", "2", "-d", "1s", "--connect-timeout", "300ms"]].concat();
        let stderr = refused(&line, 3);
        assert!(stderr.contains(words) && stderr.contains("proxy"), "{stderr}");
    }
}

#[test]
fn ports_that_are_gone_have_a_cause_of_their_own_and_a_reset_leaves_them_free() {
    if !is_root("ports") {
        return;
    }
    on_every_engine(|engine| {
        let folder = Folder::new();
        let log = folder.path().join("log");
        // A port that waits is not given to the same far end again, as it is not across machines.
        let script = format!(
            "{OWN_NETWORK}
            echo 0 >/proc/sys/net/ipv4/tcp_tw_reuse
            echo 50000 50063 >/proc/sys/net/ipv4/ip_local_port_range
            exec \"$0\" $url --json --engine {engine} -c 4 -t 1 --requests-per-connection 1 \
                -n 300 -d 2s --close $2"
        );
        let log = log.to_str().expect("a plain path");
        let run = |close: &str| {
            Running::start(&mut in_namespaces(&["-n", "-m"], &script, &[log, close]))
                .finish(RUN_MAX)
        };
        let report = sound(&run("reset"), &[0, 4]);
        assert_eq!(number(&report, "/requests/completed"), 300, "{engine}");
        assert_eq!(number(&report, "/connections/failures/ports"), 0, "{engine}");
        let report = sound(&run("orderly"), &[0, 4]);
        assert!(number(&report, "/connections/failures/ports") > 0, "{engine}: {report}");
        assert!(number(&report, "/requests/completed") < 300, "{engine}");
        assert_eq!(number(&report, "/requests/failed"), 0, "{engine}");
        let remarks = report["remarks"].to_string();
        for words in ["no free local port", "--source-ip", "--close reset"] {
            assert!(remarks.contains(words), "{remarks}");
        }
    });
}
