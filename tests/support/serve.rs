//! `wring serve` as a process of its own.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Bounds a hang; no claim depends on it.
const HANG: Duration = Duration::from_secs(30);

/// A running `wring serve --count-on-exit` on a free port.
pub(crate) struct Serve {
    child: Child,
    // Held open: a server whose stderr is gone has nowhere to complain.
    _stderr: BufReader<std::process::ChildStderr>,
    pub(crate) address: SocketAddr,
}

impl Serve {
    /// Starts it and waits until it listens.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::listen("127.0.0.1:0", arguments)
    }

    /// The same on an address of choice.
    pub(crate) fn listen(address: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_wring"))
            .args(["serve", "--listen", address, "--count-on-exit"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("wring can be executed");
        let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
        let mut line = String::new();
        stderr.read_line(&mut line).expect("readable");
        let address = line.trim_end().strip_prefix("wring: listening on http://");
        let address = address.and_then(|rest| rest.trim_end_matches('/').parse().ok());
        let address = address.unwrap_or_else(|| panic!("wring serve said: {line}"));
        Self { child, _stderr: stderr, address }
    }

    /// `http://address/`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// The answer to `/__count`.
    pub(crate) fn counts(&self) -> Value {
        let mut stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(HANG)).expect("a socket");
        let ask = "GET /__count HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        stream.write_all(ask.as_bytes()).expect("writable");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it closes");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a whole head");
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until requests come in.
    pub(crate) fn await_requests(&self) {
        self.await_total(1);
    }

    /// Waits until so many more requests have come in.
    pub(crate) fn await_more(&self, count: u64) {
        self.await_total(super::number(&self.counts(), "/requests") + count);
    }

    fn await_total(&self, total: u64) {
        let deadline = Instant::now() + HANG;
        // Each question is a connection and takes a port, so there is a pause between them.
        while super::number(&self.counts(), "/requests") < total {
            assert!(Instant::now() < deadline, "{total} requests did not come");
            thread::sleep(super::POLL);
        }
    }

    /// Sends it the signal of that name, such as `STOP`.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").arg(format!("-{name}")).arg(id).status();
        assert!(status.is_ok_and(|status| status.success()), "the server is gone");
    }

    /// Kills it and waits until it is gone.
    pub(crate) fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Stops it as a user does and gives what it prints.
    pub(crate) fn into_counts(mut self) -> Value {
        super::stop(&mut self.child, "INT");
        let mut text = String::new();
        let mut stdout = self.child.stdout.take().expect("piped");
        stdout.read_to_string(&mut text).expect("readable");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        super::stop(&mut self.child, "INT");
    }
}
