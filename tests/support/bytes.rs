//! A server of raw bytes: each connection plays a script of its own.
//!
//! Owns plain sockets and one thread per connection. Knows no HTTP but where a head ends.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::scripted::head_end;

/// Longest silence of a client; it bounds only what hangs.
const READ_MAX: Duration = Duration::from_secs(60);
/// Pieces this far apart are received apart, if the machine is not too busy.
const GAP: Duration = Duration::from_micros(500);

/// One thing a connection does.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Sends these bytes. An end that follows goes with the last of them.
    Send(Vec<u8>),
    /// Sends so many bytes `x`.
    Fill(u64),
    /// Waits just long enough that what was sent travels alone.
    Gap,
    /// Waits so many milliseconds.
    Pause(u64),
    /// Ends its direction and goes on reading.
    Fin,
    /// Resets the connection.
    Rst,
}

/// The server; its threads end with the test's process.
pub(crate) struct ByteServer {
    pub(crate) address: SocketAddr,
    heads: Arc<AtomicU64>,
}

impl ByteServer {
    /// The n-th connection plays the n-th script whenever `batch` more requests have come in; those
    /// beyond the last script play the last one if `repeats`, else they are silent.
    pub(crate) fn start(scripts: Vec<Vec<Step>>, batch: u32, repeats: bool) -> Self {
        let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let listener = listener.expect("a socket");
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        listener.bind(&any.into()).expect("loopback has a free port");
        listener.listen(4096).expect("it listens");
        let listener = TcpListener::from(listener);
        let address = listener.local_addr().expect("bound");
        let server = Self { address, heads: Arc::default() };
        let heads = Arc::clone(&server.heads);
        let scripts = Arc::new(scripts);
        thread::spawn(move || {
            for (index, stream) in listener.incoming().flatten().enumerate() {
                let (scripts, heads) = (Arc::clone(&scripts), Arc::clone(&heads));
                thread::spawn(move || {
                    let last = if repeats { scripts.last() } else { None };
                    let script = scripts.get(index).or(last).map_or(&[][..], Vec::as_slice);
                    converse(stream, script, batch, &heads);
                });
            }
        });
        server
    }

    /// `http://address/`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Heads received so far.
    pub(crate) fn heads(&self) -> u64 {
        self.heads.load(Ordering::SeqCst)
    }
}

/// Serves one connection until the client ends it.
fn converse(mut stream: TcpStream, script: &[Step], batch: u32, heads: &AtomicU64) {
    let _ = stream.set_read_timeout(Some(READ_MAX));
    let _ = stream.set_write_timeout(Some(READ_MAX));
    let _ = stream.set_nodelay(true);
    let (mut received, mut waiting) = (Vec::new(), 0);
    let mut chunk = vec![0; 64 * 1024];
    loop {
        let count = match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return,
            Ok(count) => count,
        };
        received.extend_from_slice(&chunk[..count]);
        while let Some(end) = head_end(&received) {
            received.drain(..end);
            heads.fetch_add(1, Ordering::SeqCst);
            waiting += 1;
            if waiting == batch {
                waiting = 0;
                if play(&mut stream, script).is_err() {
                    return;
                }
            }
        }
        // A body is not kept; a head may begin at its end.
        received.drain(..received.len().saturating_sub(1024));
    }
}

fn play(stream: &mut TcpStream, script: &[Step]) -> std::io::Result<()> {
    for (at, step) in script.iter().enumerate() {
        match step {
            Step::Send(bytes) => {
                let ends = matches!(script.get(at + 1), Some(Step::Fin));
                send(stream, bytes, ends)?;
            }
            Step::Fill(count) => {
                let filler = vec![b'x'; (*count).min(1 << 20) as usize];
                let mut left = *count;
                while left > 0 {
                    let piece = left.min(filler.len() as u64) as usize;
                    stream.write_all(&filler[..piece])?;
                    left -= piece as u64;
                }
            }
            Step::Gap => thread::sleep(GAP),
            Step::Pause(ms) => thread::sleep(Duration::from_millis(*ms)),
            Step::Fin => stream.shutdown(Shutdown::Write)?,
            Step::Rst => {
                await_taken(stream);
                let socket = socket2::SockRef::from(&*stream);
                socket.set_linger(Some(Duration::ZERO))?;
                return Err(std::io::ErrorKind::ConnectionReset.into());
            }
        }
    }
    Ok(())
}

/// Waits until the other side has all that was sent, of which a reset takes back what it has not. How
/// soon it leaves is up to the congestion control.
fn await_taken(stream: &TcpStream) {
    let (Ok(own), Ok(peer)) = (stream.local_addr(), stream.peer_addr()) else { return };
    let [own, peer] = [own, peer].map(|address| format!(":{:04X}", address.port()));
    let is_taken = || {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
        let mut lines = table.lines().map(|line| line.split_whitespace().skip(1));
        let queue = lines.find_map(|mut fields| {
            let is_it = fields.next()?.ends_with(&own) && fields.next()?.ends_with(&peer);
            if is_it { fields.nth(1) } else { None }
        });
        queue.is_none_or(|queue| queue.starts_with("00000000:"))
    };
    let began = Instant::now();
    while !is_taken() && began.elapsed() < READ_MAX {
        thread::sleep(GAP);
    }
}

/// Sends all of it; held back for the end of the stream, which then travels in the same segment.
fn send(stream: &mut TcpStream, bytes: &[u8], ends: bool) -> std::io::Result<()> {
    if !ends {
        return stream.write_all(bytes);
    }
    let socket = socket2::SockRef::from(&*stream);
    let mut rest = bytes;
    while !rest.is_empty() {
        let count = socket.send_with_flags(rest, libc::MSG_MORE | libc::MSG_NOSIGNAL)?;
        rest = &rest[count..];
    }
    Ok(())
}
