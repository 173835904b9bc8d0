//! What stands between wring and a target: HAProxy, a proxy that opens tunnels, and a listener that
//! notes who came.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use super::scripted::head_end;
use super::{Folder, POLL, Port, READY_MAX, find_program, stop};

/// A HAProxy whose one frontend is made of these lines and logs to a file.
pub(crate) struct Haproxy {
    child: Child,
    folder: Folder,
    pub(crate) address: SocketAddr,
    _port: Port,
}

impl Haproxy {
    /// Starts it with `bind` options (`accept-proxy`) and the frontend's `lines`. `None`, and a word
    /// on stderr, when it is not installed.
    pub(crate) fn start(bind: &str, lines: &str) -> Option<Self> {
        let program = find_program("haproxy")?;
        let (folder, port) = (Folder::new(), Port::reserve());
        let address = port.address();
        let config = folder.path().join("haproxy.cfg");
        // One thread: HAProxy drops a line of its log when another thread is writing one.
        let text = format!(
            "global\n  maxconn 2000\n  nbthread 1\n  log stdout format raw local0\n\
             defaults\n  mode http\n  timeout client 20s\n  timeout server 20s\n  \
             timeout connect 5s\n\
             frontend one\n  bind {address} {bind}\n  log global\n{lines}\n"
        );
        fs::write(&config, &text).expect("writable");
        let log = fs::File::create(folder.path().join("log")).expect("writable");
        let child = Command::new(program)
            .args(["-db", "-f"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(Stdio::null())
            .spawn()
            .expect("haproxy can be executed");
        let haproxy = Self { child, folder, address, _port: port };
        let deadline = Instant::now() + READY_MAX;
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "haproxy does not start with:\n{text}");
            thread::sleep(POLL);
        }
        Some(haproxy)
    }

    /// `http://address/`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Stops it and gives its log, a line for each request.
    pub(crate) fn into_log(mut self) -> Vec<String> {
        stop(&mut self.child, "USR1");
        let log = fs::read_to_string(self.folder.path().join("log")).expect("haproxy logs");
        log.lines().map(str::to_owned).collect()
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        stop(&mut self.child, "TERM");
    }
}

/// A proxy that opens tunnels and nothing else; its threads end with the test's process.
pub(crate) struct TunnelProxy {
    pub(crate) address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl TunnelProxy {
    /// Answers CONNECT with `answer`; one that begins with a status of 200 is followed by a tunnel to
    /// `target`.
    pub(crate) fn start(target: SocketAddr, answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("bound");
        let proxy = Self { address, heads: Arc::default() };
        let heads = Arc::clone(&proxy.heads);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let heads = Arc::clone(&heads);
                thread::spawn(move || tunnel(client, target, answer, &heads));
            }
        });
        proxy
    }

    /// The heads it got, whole.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("no test panics holding it").clone()
    }
}

fn tunnel(mut client: TcpStream, target: SocketAddr, answer: &str, heads: &Mutex<Vec<String>>) {
    let (mut head, mut byte) = (Vec::new(), [0; 1]);
    while head_end(&head).is_none() {
        match client.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    heads.lock().expect("no test panics holding it").push(text);
    let server = TcpStream::connect(target);
    let is_open = client.write_all(answer.as_bytes()).is_ok() && answer.contains(" 200 ");
    let (Ok(server), true) = (server, is_open) else { return };
    let back = (server.try_clone(), client.try_clone());
    let (Ok(from_server), Ok(to_client)) = back else { return };
    thread::spawn(move || pump(from_server, to_client));
    pump(client, server);
}

fn pump(mut from: TcpStream, mut to: TcpStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

/// A listener that answers every head and notes where its connections come from.
pub(crate) struct Callers {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<IpAddr>>>,
}

impl Callers {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("bound");
        let callers = Self { address, seen: Arc::default() };
        let seen = Arc::clone(&callers.seen);
        thread::spawn(move || {
            while let Ok((mut stream, from)) = listener.accept() {
                seen.lock().expect("no test panics holding it").push(from.ip());
                thread::spawn(move || {
                    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
                    while let Ok(count @ 1..) = stream.read(&mut chunk) {
                        bytes.extend_from_slice(&chunk[..count]);
                        while let Some(end) = head_end(&bytes) {
                            bytes.drain(..end);
                            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                            if stream.write_all(answer).is_err() {
                                return;
                            }
                        }
                    }
                });
            }
        });
        callers
    }

    /// `http://address/`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Where connections came from, in order.
    pub(crate) fn seen(&self) -> Vec<IpAddr> {
        self.seen.lock().expect("no test panics holding it").clone()
    }
}
