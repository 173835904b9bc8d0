//! The peers that black-box tests count with must themselves count right.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::support::{Nginx, Port, find_program, run};

#[test]
fn nginx_logs_each_pipelined_request_once_and_nothing_else() {
    let Some(nginx) = Nginx::start("location / { return 200 \"ok\"; }") else { return };
    let mut stream = TcpStream::connect(nginx.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let one = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let last = "GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(format!("{}{last}", one.repeat(16)).as_bytes()).unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 17);
    drop(stream);
    assert_eq!(nginx.into_log(), ["200 OK"; 17]);
}

#[test]
fn nginx_keeps_to_the_limit_of_requests_it_is_given() {
    let server = "keepalive_requests 3; location / { return 200 \"ok\"; }";
    let Some(nginx) = Nginx::start(server) else { return };
    let mut stream = TcpStream::connect(nginx.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all("GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(5).as_bytes()).unwrap();
    let mut answers = String::new();
    // The rest of the batch goes unread, so the end may be a reset.
    let _ = stream.read_to_string(&mut answers);
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 3);
    drop(stream);
    assert_eq!(nginx.into_log(), ["200 OK"; 3]);
}

#[test]
fn a_dropped_nginx_is_gone() {
    let Some(nginx) = Nginx::start("location / { return 200; }") else { return };
    let process = format!("/proc/{}", nginx.id());
    assert!(Path::new(&process).exists());
    drop(nginx);
    // Its port may be somebody else's again.
    assert!(!Path::new(&process).exists());
}

#[test]
fn a_run_returns_all_that_was_printed_however_much() {
    let output = run(Command::new("seq").arg("100000"), Duration::from_secs(30));
    assert!(output.status.success());
    assert_eq!(output.stdout.iter().filter(|&&byte| byte == b'\n').count(), 100_000);
}

#[test]
#[should_panic(expected = "ran longer than")]
fn a_run_that_hangs_is_killed_and_fails() {
    run(Command::new("sleep").arg("60"), Duration::from_millis(50));
}

#[test]
fn a_reserved_port_is_given_to_whoever_names_it_and_to_nobody_else() {
    let port = Port::reserve();
    assert!(TcpStream::connect(port.address()).is_err(), "nobody listens yet");
    let others: Vec<_> = (0..200).map(|_| Port::reserve()).collect();
    assert!(others.iter().all(|other| other.address() != port.address()));
    std::net::TcpListener::bind(port.address()).unwrap();
}

#[test]
fn a_missing_peer_is_a_skip_and_where_peers_are_required_a_failure() {
    let found = std::panic::catch_unwind(|| find_program("no-such-program"));
    let is_required = std::env::var_os("WRING_REQUIRE_PEERS").is_some_and(|value| value == "1");
    assert_eq!(found.is_err(), is_required);
    assert!(found.is_err() || found.is_ok_and(|program| program.is_none()));
}
