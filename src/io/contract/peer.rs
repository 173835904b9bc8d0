//! Scripted peers on real sockets, for backends that have a kernel underneath.
//!
//! One listener and one thread for each address, one thread for each connection; everything on
//! 127.0.0.1 and ports the system chooses.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use super::{Fixture, PATIENCE_NS};
use crate::io::{Backend, Setup};
use crate::sim::{Listener, PeerEnd, PeerSeen, Step};

/// Makes a backend on real sockets; all that such a backend must bring to the suite.
pub(crate) trait MakeBackend {
    type B: Backend;

    fn make(setup: Setup) -> Self::B;
}

/// The fixture of every backend on real sockets.
pub(crate) struct OverSockets<M: MakeBackend> {
    backend: M::B,
    peers: Peers,
}

impl<M: MakeBackend> Fixture for OverSockets<M> {
    type B = M::B;

    fn start(mut setup: Setup, listeners: Vec<Listener>) -> Self {
        let mut peers = Peers::default();
        for (index, listener) in listeners.into_iter().enumerate() {
            setup.addresses.push(peers.listen(index as u32, listener).into());
        }
        Self { backend: M::make(setup), peers }
    }

    fn backend(&mut self) -> &mut M::B {
        &mut self.backend
    }

    fn seen(mut self) -> Vec<PeerSeen> {
        self.peers.stop.store(true, Ordering::Release);
        for acceptor in self.peers.acceptors.drain(..) {
            acceptor.join().unwrap();
        }
        let seen = self.peers.seen.lock().unwrap().clone();
        assert!(seen.iter().all(|peer| peer.end.is_some()));
        seen
    }
}

#[derive(Default)]
struct Peers {
    seen: Arc<Mutex<Vec<PeerSeen>>>,
    stop: Arc<AtomicBool>,
    acceptors: Vec<JoinHandle<()>>,
    /// Sockets that fill the queues of black holes.
    plugs: Vec<Socket>,
}

impl Drop for Peers {
    /// Ends the acceptors of a case that failed, too.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

/// Small, so that a peer which does not read is felt soon.
const PEER_RECV_BUFFER_BYTES: usize = 64 * 1024;
const BACKLOG: i32 = 1024;

fn listener(backlog: i32) -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(PEER_RECV_BUFFER_BYTES).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    socket.listen(backlog).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

impl Peers {
    fn listen(&mut self, address_index: u32, how: Listener) -> SocketAddr {
        match how {
            Listener::Script(steps) => {
                let (socket, address) = listener(BACKLOG);
                let (seen, stop) = (Arc::clone(&self.seen), Arc::clone(&self.stop));
                let acceptor = Acceptor { address_index, steps, seen, stop };
                self.acceptors.push(thread::spawn(move || acceptor.run(&socket.into())));
                address
            }
            // Its port is closed again when the socket is dropped.
            Listener::Refuse => listener(BACKLOG).1,
            Listener::Blackhole => {
                // With a queue for one, filled, the kernel drops every further SYN.
                let (socket, address) = listener(0);
                let plug = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
                plug.connect(&address.into()).unwrap();
                self.plugs.extend([socket, plug]);
                address
            }
            other => panic!("the contract suite has no such listener: {other:?}"),
        }
    }
}

struct Acceptor {
    address_index: u32,
    steps: Vec<Step>,
    seen: Arc<Mutex<Vec<PeerSeen>>>,
    stop: Arc<AtomicBool>,
}

impl Acceptor {
    /// Accepts until told to stop and nobody waits any more; then waits for its connections.
    fn run(&self, listener: &TcpListener) {
        listener.set_nonblocking(true).unwrap();
        let mut players = Vec::new();
        loop {
            let stopping = self.stop.load(Ordering::Acquire);
            match listener.accept() {
                Ok((stream, _)) => {
                    let place = {
                        let mut seen = self.seen.lock().unwrap();
                        let address_index = self.address_index;
                        seen.push(PeerSeen { address_index, read: Vec::new(), end: None });
                        seen.len() - 1
                    };
                    let (steps, seen) = (self.steps.clone(), Arc::clone(&self.seen));
                    players.push(thread::spawn(move || {
                        let mut player = Player { stream, read: Vec::new() };
                        let end = player.play(&steps).unwrap_or_else(|end| end);
                        // Before the record, since the suite looks at nothing else.
                        let Player { stream, read } = player;
                        if end == PeerEnd::OwnReset {
                            SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
                        }
                        drop(stream);
                        let mut seen = seen.lock().unwrap();
                        (seen[place].read, seen[place].end) = (read, Some(end));
                    }));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock && stopping => break,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    thread::sleep(Duration::from_micros(200));
                }
                Err(error) => panic!("accept: {error}"),
            }
        }
        for player in players {
            player.join().unwrap();
        }
    }
}

struct Player {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Player {
    /// Plays all steps, then reads to the end; `Err` when the connection ends before that.
    fn play(&mut self, steps: &[Step]) -> Result<PeerEnd, PeerEnd> {
        self.stream.set_nonblocking(false).unwrap();
        self.stream.set_nodelay(true).unwrap();
        self.stream.set_read_timeout(Some(Duration::from_nanos(PATIENCE_NS))).unwrap();
        self.stream.set_write_timeout(Some(Duration::from_nanos(PATIENCE_NS))).unwrap();
        for step in steps {
            match step {
                Step::Read(bytes) => self.read_exactly(*bytes)?,
                Step::ReadSlowly { bytes, piece_bytes, pause_ns } => {
                    let mut left = *bytes;
                    while left > 0 {
                        left -= self.read_some(left.min(*piece_bytes))?;
                        thread::sleep(Duration::from_nanos(*pause_ns));
                    }
                }
                Step::Write(bytes) => self.write(bytes)?,
                Step::Echo(bytes) => {
                    let mut left = *bytes;
                    while left > 0 {
                        let count = self.read_some(left)?;
                        let echoed = self.read[self.read.len() - count..].to_vec();
                        self.write(&echoed)?;
                        left -= count;
                    }
                }
                Step::Pause(ns) => thread::sleep(Duration::from_nanos(*ns)),
                Step::Fin => self.stream.shutdown(Shutdown::Write).map_err(|_| PeerEnd::Reset)?,
                Step::Rst => return Ok(PeerEnd::OwnReset),
            }
        }
        loop {
            self.read_some(256 * 1024)?;
        }
    }

    fn read_exactly(&mut self, bytes: usize) -> Result<(), PeerEnd> {
        let mut left = bytes;
        while left > 0 {
            left -= self.read_some(left)?;
        }
        Ok(())
    }

    fn read_some(&mut self, bytes_max: usize) -> Result<usize, PeerEnd> {
        let before = self.read.len();
        self.read.resize(before + bytes_max.min(256 * 1024), 0);
        let result = self.stream.read(&mut self.read[before..]);
        self.read.truncate(before + *result.as_ref().unwrap_or(&0));
        match result {
            Ok(0) => Err(PeerEnd::Eof),
            Ok(count) => Ok(count),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Err(PeerEnd::Reset),
            Err(error) => panic!("the peer waits for bytes that do not come: {error}"),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), PeerEnd> {
        match self.stream.write_all(bytes).map_err(|error| error.kind()) {
            Ok(()) => Ok(()),
            Err(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => Err(PeerEnd::Reset),
            Err(kind) => panic!("the peer cannot write: {kind}"),
        }
    }
}
