//! HTTPS of other makers' servers, several servers in one run, and what is judged over TLS.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::certificates::Valid;
use super::support::proxies::TunnelProxy;
use super::support::{
    Nginx, Port, Running, assert_identities_hold, find_program, is_measured, number, report_of,
    said, wring,
};
use super::{ENGINES, RUN_MAX, Store};

const READY_MAX: Duration = Duration::from_secs(30);
/// XXH3 of `hello`, as `xxhsum -H3` prints it.
const HASH_OF_HELLO: &str = "9555e8555c62dcfd";

/// Prints a line for each request. The handshake is made by the connection's own thread.
const PYTHON: &str = r#"
import http.server, os, ssl, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        os.write(1, b"request\n")
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2], sys.argv[3])
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
"#;

/// The same with a body in chunks.
const NODE: &str = r#"
const fs = require("fs");
const [port, cert, key] = process.argv.slice(1);
const options = { cert: fs.readFileSync(cert), key: fs.readFileSync(key) };
require("https").createServer(options, (request, response) => {
  fs.writeSync(1, "request\n");
  response.write("hel");
  response.end("lo");
}).listen(Number(port), "127.0.0.1");
"#;

/// Starts a server and waits until it listens.
pub(super) fn listening(command: &mut Command, port: &Port) -> Running {
    let server = Running::start(command);
    let deadline = Instant::now() + READY_MAX;
    while TcpStream::connect(port.address()).is_err() {
        assert!(!server.has_ended(), "{}", said(&server.finish(READY_MAX)));
        assert!(Instant::now() < deadline, "{command:?} does not listen");
        thread::sleep(Duration::from_millis(10));
    }
    server
}

/// The report of a run that ends with `code`. A machine that is so busy that wring stood still makes
/// its times worthless and its counts no less exact.
pub(super) fn measured(code: i32, arguments: &[&str]) -> Value {
    let output = wring(&[arguments, &["--json", "-T", "20s"]].concat(), RUN_MAX);
    let all = said(&output);
    let report = report_of(&output);
    assert_identities_hold(&report);
    let verdict = &report["verdict"];
    let stood_still = verdict["kind"] == "invalid" && output.status.code() == Some(4);
    assert!(output.status.code() == Some(code) || stood_still, "{arguments:?}: {verdict} {all}");
    report
}

/// Runs against a server of a script, which prints a line for each request.
fn counts_what_is_measured(program: &str, flag: &str, script: &str) {
    let Some(program) = find_program(program) else { return };
    let store = Store::new();
    let (cert, key) = store.files("server", &store.root.issue(&["127.0.0.1"], Valid::Now));
    let port = Port::reserve();
    let number_typed = port.address().port().to_string();
    let mut command = Command::new(program);
    let server = listening(command.args([flag, script, &number_typed, &cert, &key]), &port);
    let (url, ca) = (format!("https://{}/", port.address()), store.ca());
    for engine in ENGINES {
        let line = ["-n", "200", "-c", "3", "--cacert", &ca, "--engine", engine];
        let report =
            measured(0, &[&line[..], &["--expect-body-hash=9555e8555c62dcfd", &url]].concat());
        assert_eq!(number(&report, "/requests/completed"), 200, "{report}");
        assert_eq!(number(&report, "/bytes/body"), 1000);
        assert_eq!(report["tls"]["agreed"]["version"], "TLS 1.3");
    }
    server.signal("KILL");
    let printed = server.finish(RUN_MAX).stdout;
    assert_eq!(String::from_utf8(printed).unwrap().lines().count(), 400);
}

#[test]
fn a_python_server_counts_what_wring_counts() {
    counts_what_is_measured("python3", "-c", PYTHON);
}

#[test]
fn a_node_server_counts_what_wring_counts() {
    counts_what_is_measured("node", "-e", NODE);
}

#[test]
fn stunnel_before_a_plain_server_lets_every_request_through_once() {
    let Some(program) = find_program("stunnel") else { return };
    let Some(nginx) = Nginx::start("location / { return 200 \"hello\"; }") else { return };
    let store = Store::new();
    let (cert, key) = store.files("server", &store.root.issue(&["127.0.0.1"], Valid::Now));
    let port = Port::reserve();
    let config = store.keep(
        "stunnel.conf",
        &format!(
            "foreground = yes\npid =\nsyslog = no\ndebug = err\n[one]\naccept = {}\n\
             connect = {}\ncert = {cert}\nkey = {key}\n",
            port.address(),
            nginx.address
        ),
    );
    let server = listening(Command::new(program).arg(config), &port);
    let (url, ca) = (format!("https://{}/", port.address()), store.ca());
    for (engine, depth) in [("uring", "1"), ("epoll", "16")] {
        let line =
            ["-n", "1000", "-c", "4", "-p", depth, "--cacert", &ca, "--engine", engine, &url];
        let report = measured(0, &line);
        assert_eq!(number(&report, "/requests/completed"), 1000);
    }
    drop(server);
    assert_eq!(nginx.into_log(), vec!["200 OK"; 2000]);
}

#[test]
fn a_proxy_is_asked_for_a_tunnel_to_each_server_before_any_handshake() {
    let store = Store::new();
    let (cert, key) =
        store.files("server", &store.root.issue(&["127.0.0.1", "localhost"], Valid::Now));
    let port = Port::reserve();
    let Some(nginx) = Nginx::start(&format!(
        "listen {} ssl; ssl_certificate {cert}; ssl_certificate_key {key};
         location / {{ return 200 \"hello\"; }}",
        port.address()
    )) else {
        return;
    };
    let proxy = TunnelProxy::start(port.address(), "HTTP/1.1 200 Tunnel\r\n\r\n");
    let (through, ca) = (format!("http://{}", proxy.address), store.ca());
    for engine in ENGINES {
        let line = ["-n", "400", "-c", "4", "-t", "1", "--proxy", &through, "--cacert", &ca];
        let line = [&line[..], &["--engine", engine]].concat();
        let report = measured(0, &[&line[..], &["https://127.0.0.1:7/one"]].concat());
        assert_eq!(number(&report, "/requests/completed"), 400);
        // One that comes late may know a session already.
        let handshakes =
            ["full", "resumed"].map(|how| number(&report, &format!("/tls/handshakes_{how}")));
        assert_eq!(handshakes.iter().sum::<u64>(), 4);
        // What has its tunnel and what has another one, each by its own name.
        let urls = ["https://127.0.0.1:7/one", "https://localhost:8/two"];
        let report = measured(0, &[&line[..], &urls].concat());
        assert_eq!(number(&report, "/targets/1/window/completed"), 200, "{report}");
    }
    let heads = proxy.heads();
    let asked = |place: &str| {
        let begins = format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n");
        heads.iter().filter(|head| head.starts_with(&begins)).count()
    };
    assert_eq!((asked("127.0.0.1:7"), asked("localhost:8")), (12, 4), "{heads:?}");
    assert_eq!(nginx.into_log(), vec!["200 OK"; 1600]);
}

#[test]
fn bodies_and_headers_are_looked_at_over_tls_as_without() {
    let store = Store::new();
    let issued = store.root.issue(&["127.0.0.1"], Valid::Now);
    let answer =
        "add_header X-Backend a$request_method always; location /b { return 200 \"hellO\"; }
         location /a { return 200 \"hello\"; }";
    let (cert, key) = store.files("server", &issued);
    let port = Port::reserve();
    let Some(_nginx) = Nginx::start(&format!(
        "listen {} ssl; ssl_certificate {cert}; ssl_certificate_key {key}; {answer}",
        port.address()
    )) else {
        return;
    };
    let ca = store.ca();
    let [right, wrong] = ["a", "b"].map(|path| format!("https://{}/{path}", port.address()));
    let hash = format!("--expect-body-hash={HASH_OF_HELLO}");
    for (engine, depth) in [("uring", "16"), ("epoll", "1")] {
        let line = ["-n", "500", "-c", "4", "-p", depth, "--cacert", &ca, "--engine", engine];
        let looks = [&line[..], &["--expect-body-bytes", "5", &hash, "--group-by", "x-backend"]];
        let looks = looks.concat();
        let report = measured(0, &[&looks[..], &[&right]].concat());
        assert_eq!(report["groups"]["values"][0]["value"], "aGET");
        assert_eq!(number(&report, "/groups/values/0/answers/whole"), 500);
        let report = measured(99, &[&looks[..], &[&wrong]].concat());
        assert_eq!(number(&report, "/checks/failed/body_hash/whole"), 500, "{report}");
        assert_eq!(number(&report, "/checks/failed/body_bytes/whole"), 0);
        let report = measured(99, &[&line[..], &["--expect-body-bytes", "6", &right]].concat());
        assert_eq!(number(&report, "/checks/failed/body_bytes/whole"), 500);
    }
}

#[test]
fn plain_requests_to_a_port_for_tls_are_one_clear_message() {
    let store = Store::new();
    let issued = store.root.issue(&["127.0.0.1"], Valid::Now);
    let Some((nginx, port)) = super::nginx(&store, &issued, "") else { return };
    let (cert, key) = store.files("server", &issued);
    let Some(openssl) = find_program("openssl") else { return };
    let silent = Port::reserve();
    let accept = silent.address().to_string();
    let mut command = Command::new(openssl);
    command.args(["s_server", "-quiet", "-www", "-accept", &accept, "-cert", &cert, "-key", &key]);
    let server = listening(&mut command, &silent);
    // nginx answers 400, OpenSSL hangs up.
    for (address, message) in [
        (port.address(), "every answer was 400, and the port speaks TLS: try https://"),
        (
            silent.address(),
            "every connection was closed without an answer: if the port speaks HTTPS, try https://",
        ),
    ] {
        let output = wring(&["-n", "3", "-c", "1", &format!("http://{address}/")], RUN_MAX);
        assert_eq!(output.status.code(), Some(3), "{}", said(&output));
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert_eq!(stdout.matches(message).count(), 1, "{}", said(&output));
        assert_eq!(stdout.matches("https://").count(), 1, "{}", said(&output));
    }
    let url = format!("http://{}/", port.address());
    for line in [
        &["search", "--max-rps", "--max-duration", "9s", &url][..],
        &["search", "--slo", "p99<5ms", "--max-duration", "9s", &url],
        &["compare", "--max-duration", "9s", &url, &url],
    ] {
        let output = Running::start(Command::new(env!("CARGO_BIN_EXE_wring")).args(line));
        let output = output.finish(RUN_MAX);
        assert_eq!(output.status.code(), Some(3), "{line:?}: {}", said(&output));
        assert!(said(&output).contains("the port speaks TLS"), "{}", said(&output));
    }
    drop((server, nginx));
    // A 400 alone says nothing.
    let Some(plain) = Nginx::start("location / { return 400; }") else { return };
    let output = wring(&["-n", "3", "-c", "1", &plain.url("")], RUN_MAX);
    assert!(is_measured(&output), "{}", said(&output));
    assert!(!said(&output).contains("https://"), "{}", said(&output));
}

#[test]
fn handshakes_and_connecting_are_judged_each_by_itself() {
    let store = Store::new();
    let issued = store.root.issue(&["127.0.0.1"], Valid::Now);
    let Some((nginx, port)) = super::nginx(&store, &issued, "") else { return };
    let (url, ca) = (format!("https://{}/", port.address()), store.ca());
    let line = ["-n", "100", "-c", "25", "-t", "1", "--cacert", &ca];
    let judged = |code, thresholds: [&str; 2], url: &str| {
        let more: Vec<&str> = thresholds.iter().flat_map(|typed| ["--threshold", typed]).collect();
        let report = measured(code, &[&line[..], &more, &[url]].concat());
        [0, 1].map(|at| report["thresholds"][at]["passed"] == true)
    };
    assert_eq!(judged(0, ["handshake.p50<20s", "connect.max<20s"], &url), [true, true]);
    assert_eq!(judged(99, ["handshake.p50<1us", "connect.max<20s"], &url), [false, true]);
    assert_eq!(judged(99, ["handshake.max>1us", "connect.p50<1ns"], &url), [true, false]);
    // Nothing is known of handshakes where there are none, so nothing passes.
    let plain = Nginx::start("location / { return 200 \"ok\"; }").unwrap();
    let output = wring(
        &["-n", "100", "-c", "2", "--threshold", "handshake.p50<20s", &plain.url("")],
        RUN_MAX,
    );
    assert_eq!(output.status.code(), Some(99), "{}", said(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("not over TLS"), "{}", said(&output));
    drop(nginx);
}

/// Three servers, each with its own parts of the requests, two of them over TLS, and each of those
/// with a certificate for its own name alone.
#[test]
fn servers_with_and_without_tls_share_a_run_and_each_is_verified_by_its_name() {
    let store = Store::new();
    let (by_address, address_key) =
        store.files("address", &store.root.issue(&["127.0.0.1"], Valid::Now));
    let (by_name, name_key) = store.files("name", &store.root.issue(&["localhost"], Valid::Now));
    let [first, second] = [Port::reserve(), Port::reserve()];
    let server = |port: &Port, cert: &str, key: &str| {
        format!(
            "server {{ listen {} ssl; ssl_certificate {cert}; ssl_certificate_key {key};
             access_log parts.log part buffer=64k; keepalive_requests 1000000;
             location / {{ return 200 \"ok\"; }} }}",
            port.address()
        )
    };
    let http = format!(
        "log_format part '$server_port $https $http_host $status $request_completion'; {}{}",
        server(&first, &by_address, &address_key),
        server(&second, &by_name, &name_key)
    );
    let plain = "access_log parts.log part buffer=64k; location / { return 200 \"ok\"; }";
    let ca = store.ca();
    for (engine, depth, more) in
        [("uring", "1", &[][..]), ("epoll", "16", &[]), ("uring", "4", &["-R", "20k"])]
    {
        let Some(nginx) = Nginx::start_with(&http, plain) else { return };
        let [a, b] = [first.address().port(), second.address().port()];
        let c = nginx.address.port();
        let list = store.keep(
            "urls",
            &format!(
                "3 http://127.0.0.1:{c}/\n2 https://127.0.0.1:{a}/\n5 https://localhost:{b}/x\n"
            ),
        );
        let line = ["-4", "-n", "2000", "-c", "9", "-p", depth, "--urls", &list, "--cacert", &ca];
        let report = measured(0, &[&line[..], &["--engine", engine], more].concat());
        assert_eq!(number(&report, "/requests/completed"), 2000, "{report}");
        let mut parts = BTreeMap::<String, u64>::new();
        for line in nginx.into_log_named("parts.log") {
            *parts.entry(line).or_default() += 1;
        }
        let expected = [
            (format!("{c}  127.0.0.1:{c} 200 OK"), 600),
            (format!("{a} on 127.0.0.1:{a} 200 OK"), 400),
            (format!("{b} on localhost:{b} 200 OK"), 1000),
        ];
        assert_eq!(parts, BTreeMap::from(expected));
        assert!(number(&report, "/tls/connections_plain") > 0, "{report}");
        assert_eq!(report["servers"][2]["name"], format!("https://localhost:{b}"));
    }
    // One that shows the other's certificate is found out, and nothing is sent to it.
    let Some(nginx) = Nginx::start_with(&http, plain) else { return };
    let [a, b] = [&first, &second].map(|port| port.address().port());
    let urls = [format!("https://127.0.0.1:{b}/"), format!("https://localhost:{a}/")];
    let output = wring(&["-4", "-c", "8", "--cacert", &ca, &urls[0], &urls[1]], RUN_MAX);
    super::refused(&output, "is not for ");
    assert_eq!(fs::read_to_string(store.ca()).unwrap(), store.root.pem());
    assert_eq!(nginx.into_log_named("parts.log"), Vec::<String>::new());
}

#[test]
fn every_host_may_be_resolved_to_one_address() {
    let store = Store::new();
    let issued = store.root.issue(&["one.test", "two.test"], Valid::Now);
    let Some((nginx, port)) = super::nginx(&store, &issued, "") else { return };
    let (number_typed, ca) = (port.address().port(), store.ca());
    let [one, two] = ["one", "two"].map(|name| format!("https://{name}.test:{number_typed}/"));
    // What is named goes before what is not.
    let any = format!("*:{number_typed}:127.0.0.1");
    let line = ["-n", "100", "-c", "2", "--cacert", &ca, "--resolve", &any, &one, &two];
    let report = measured(0, &line);
    assert_eq!(number(&report, "/requests/completed"), 100);
    let own = format!("two.test:{number_typed}:127.0.0.9");
    let output = wring(
        &["--resolve", &own, "-c", "1", "-n", "1", "--resolve", &any, "--cacert", &ca, &two],
        RUN_MAX,
    );
    assert_eq!(output.status.code(), Some(3), "nobody listens there: {}", said(&output));
    assert_eq!(nginx.into_log(), vec!["200 OK"; 100]);
}
