//! Servers that say exactly what a test gives them, on plain sockets.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Longest silence of a client; it bounds only what hangs.
const READ_MAX: Duration = Duration::from_secs(60);

/// What a scripted server does with each request.
#[derive(Clone)]
pub(crate) enum Script {
    /// Sends these bytes and goes on.
    Answer(Vec<u8>),
    /// Sends these bytes and closes the connection.
    AnswerAndClose(Vec<u8>),
    /// Sends these bytes, waits, and closes the connection.
    AnswerThenClose(Vec<u8>, Duration),
    /// Waits, then sends these bytes and goes on.
    AnswerLate(Vec<u8>, Duration),
    /// Sends the first bytes, then these over and over, each time after a pause, until the client
    /// goes.
    Endless(Vec<u8>, Vec<u8>, Duration),
    /// Reads on and never says a word.
    Silence,
}

/// A server that knows no HTTP but where a head ends; its threads end with the test's process.
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    requests: Arc<AtomicU64>,
    received: Arc<Mutex<Vec<Vec<u8>>>>,
    open: Arc<AtomicU64>,
}

impl Scripted {
    pub(crate) fn start(script: Script) -> Self {
        Self::listen("127.0.0.1:0", script).expect("loopback has a free port")
    }

    /// On an address of choice, which may not exist on this machine.
    pub(crate) fn listen(address: &str, script: Script) -> Option<Self> {
        let listener = TcpListener::bind(address).ok()?;
        let address = listener.local_addr().expect("bound");
        let server = Self {
            address,
            requests: Arc::default(),
            received: Arc::default(),
            open: Arc::default(),
        };
        let (requests, received) = (Arc::clone(&server.requests), Arc::clone(&server.received));
        let open = Arc::clone(&server.open);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (script, requests) = (script.clone(), Arc::clone(&requests));
                let (received, open) = (Arc::clone(&received), Arc::clone(&open));
                open.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || {
                    let bytes = converse(stream, &script, &requests);
                    received.lock().expect("no test panics holding it").push(bytes);
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Some(server)
    }

    /// `http://address/`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Heads received so far.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }

    /// Waits until so many requests have come in.
    pub(crate) fn await_requests(&self, count: u64) {
        self.await_that("a request", || self.requests() >= count);
    }

    /// All bytes that came in, by connection, once the client has closed all of them.
    pub(crate) fn received(&self) -> Vec<Vec<u8>> {
        self.await_that("the end of all connections", || self.open.load(Ordering::SeqCst) == 0);
        self.received.lock().expect("no test panics holding it").clone()
    }

    fn await_that(&self, what: &str, holds: impl Fn() -> bool) {
        let deadline = Instant::now() + READ_MAX;
        while !holds() {
            assert!(Instant::now() < deadline, "{what} did not come");
            thread::sleep(super::POLL);
        }
    }
}

/// Serves one connection to its end; gives all bytes that came in.
fn converse(mut stream: TcpStream, script: &Script, requests: &AtomicU64) -> Vec<u8> {
    let _ = stream.set_read_timeout(Some(READ_MAX));
    let _ = stream.set_nodelay(true);
    let (mut received, mut seen) = (Vec::new(), 0);
    let mut chunk = [0; 16 * 1024];
    loop {
        let count = match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return received,
            Ok(count) => count,
        };
        received.extend_from_slice(&chunk[..count]);
        while let Some(end) = head_end(&received[seen..]) {
            seen += end;
            requests.fetch_add(1, Ordering::SeqCst);
            let sent = match script {
                Script::Answer(bytes) => stream.write_all(bytes),
                Script::AnswerAndClose(bytes) => {
                    let _ = stream.write_all(bytes);
                    return received;
                }
                Script::AnswerThenClose(bytes, pause) => {
                    let _ = stream.write_all(bytes);
                    thread::sleep(*pause);
                    return received;
                }
                Script::AnswerLate(bytes, pause) => {
                    thread::sleep(*pause);
                    stream.write_all(bytes)
                }
                Script::Endless(first, piece, pause) => {
                    let mut sent = stream.write_all(first);
                    while sent.is_ok() {
                        thread::sleep(*pause);
                        sent = stream.write_all(piece);
                    }
                    sent
                }
                Script::Silence => Ok(()),
            };
            if sent.is_err() {
                return received;
            }
        }
    }
}

pub(crate) fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}
