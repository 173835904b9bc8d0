//! The built-in reference server: it answers every request alike and counts exactly.
//!
//! Owns the server's threads, its request reader, its answers and its counts. Must not know
//! schedules, workers or the client's codec: the reader is written anew from the RFCs, so that the
//! two can judge each other.
//!
//! The idea: everything about an answer is decided before the first connection; what is left is
//! finding the end of each request and sending ranges of prepared bytes. `session` does that purely
//! and all engines drive it: `tokio_engine` on a foreign io_uring stack, so that a bug of our ring
//! cannot cancel out, and `backend_engine` on our own `io::Backend`, the ring or epoll.

mod answers;
mod backend_engine;
mod chunked;
mod counts;
mod faults;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod head;
mod listen;
mod schedule;
mod session;
mod stamps;
mod thread;
mod tokio_engine;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod timing_tests;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use answers::Answers;
use faults::Faults;
use stamps::Stamps;
use thread::{Clock, Shared, Thread};

use crate::io::BackendError;
use crate::sys;
use crate::uring::SetupError;

pub use counts::Counts;
pub use schedule::{Freeze, Timing, Wait};
pub use stamps::StampLog;

/// What to serve, where, and with what.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Serving threads, at least 1. Connections are dealt to them in turn.
    pub threads: u32,
    /// Thread `i` is pinned to `cpus[i % len]`; empty leaves the threads unpinned.
    pub cpus: Vec<u32>,
    /// Bytes of each answer's body; a large body is not held in memory.
    pub body_bytes: u64,
    /// When answers leave. The engine on tokio-uring has timers of one millisecond: it delays all
    /// answers alike, rounded up, and refuses anything else.
    pub timing: Timing,
    /// Status of every answer, 200 to 599.
    pub status: u16,
    /// What serves.
    pub engine: Engine,
    /// Close a connection after this many answers. After 1 the answer says `Connection: close`;
    /// with more the end comes unannounced.
    pub close_after: Option<u32>,
    /// Of a million requests so many, drawn by the seed of `timing`, are met by a fault instead of
    /// an answer, and it is the last thing that happens on the connection: a close, a reset, a body
    /// cut short, a broken status line, or silence. The engine on tokio-uring refuses it.
    pub faults_ppm: u32,
}

/// What moves the bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Engine {
    /// tokio-uring: independent of our own ring.
    TokioUring,
    /// Our own `io::Backend` on io_uring: faster than the client it serves.
    Backend,
    /// Our own `io::Backend` on epoll, where io_uring is denied.
    Epoll,
}

/// Why a server could not start. `Display` ends with what to try.
#[derive(Debug)]
pub enum StartError {
    /// A value of `Config` makes no server.
    Config(&'static str),
    /// The address cannot be listened on.
    Listen { address: SocketAddr, source: io::Error },
    /// The kernel gave no io_uring, or not the kind needed.
    Ring(SetupError),
    /// Nor epoll.
    Epoll(BackendError),
    /// A thread could not be made.
    Thread(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(what) => write!(f, "the server cannot be set up: {what}"),
            Self::Listen { address, source } => {
                write!(f, "cannot listen on {address}: {source}; {}", listen_advice(source))
            }
            Self::Ring(refused) => refused.fmt(f),
            Self::Epoll(error) => write!(f, "epoll cannot be used: {error}"),
            Self::Thread(source) => write!(
                f,
                "cannot start a server thread: {source}; try fewer threads or a higher process \
                 limit (ulimit -u)"
            ),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config(_) | Self::Ring(_) | Self::Epoll(_) => None,
            Self::Listen { source, .. } | Self::Thread(source) => Some(source),
        }
    }
}

fn listen_advice(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::AddrInUse => {
            "another program listens there: stop it, or choose another port (0 takes a free one)"
        }
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need privileges: choose a port from 1024 on"
        }
        io::ErrorKind::AddrNotAvailable => {
            "no interface of this machine has that address: try 127.0.0.1 or 0.0.0.0"
        }
        _ => "try another address",
    }
}

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Option<Stamps>>>,
    clocks: Vec<Clock>,
    clock: sys::Clock,
}

impl Server {
    /// Listens, starts the threads and returns once all of them serve.
    pub fn start(config: Config) -> Result<Self, StartError> {
        check(&config)?;
        let listen_error = |source| StartError::Listen { address: config.listen, source };
        let listener = listen::bind(config.listen).map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;
        if config.engine != Engine::TokioUring {
            // A fast engine has to outrun the generator. Where the system's default paces with
            // timers, as BBR does, that costs it several percent; a kernel without reno is no loss.
            let _ = sys::set_tcp_congestion(&listener, "reno");
        }
        let (shared, inboxes) = Shared::new(config.threads);
        let shared = Arc::new(shared);
        let clock = sys::Clock::start();
        let mut server = Self {
            address,
            shared: Arc::clone(&shared),
            threads: Vec::new(),
            clocks: Vec::new(),
            clock,
        };
        let answers = Answers::new(config.status, config.body_bytes);
        let (ready, started) = std::sync::mpsc::channel();
        for (index, inbox) in inboxes.into_iter().enumerate() {
            let thread = Thread {
                index,
                cpu: config.cpus.get(index % config.cpus.len().max(1)).copied(),
                listener: listener.try_clone().map_err(listen_error)?,
                inbox,
                shared: Arc::clone(&shared),
                answers: answers.clone(),
                timing: config.timing.clone(),
                clock,
                close_after: config.close_after,
                faults: Faults::new(config.timing.seed, index, config.faults_ppm),
            };
            let (engine, ready) = (config.engine, ready.clone());
            let spawned = std::thread::Builder::new()
                .name(format!("wring-serve-{index}"))
                .spawn(move || thread::run(thread, engine, &ready))
                .map_err(StartError::Thread)?;
            server.threads.push(spawned);
        }
        drop(ready);
        // A thread that fails says so or drops its sender; either way the others are stopped by
        // dropping the server.
        for _ in 0..server.threads.len() {
            let lost = || StartError::Thread(io::Error::other("it ended before it served"));
            server.clocks.push(started.recv().map_err(|_| lost())??);
        }
        Ok(server)
    }

    /// The same; where io_uring is denied it serves on epoll instead, and says why.
    pub fn start_or_fall_back(config: Config) -> Result<(Self, Option<SetupError>), StartError> {
        match Self::start(config.clone()) {
            Err(StartError::Ring(refused)) => {
                let server = Self::start(Config { engine: Engine::Epoll, ..config })?;
                Ok((server, Some(refused)))
            }
            started => started.map(|server| (server, None)),
        }
    }

    /// Where it listens, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The counts so far.
    pub fn counts(&self) -> Counts {
        counts::total(&self.shared.tallies)
    }

    /// CPU time used by the server's threads so far, in nanoseconds; `None` where the kernel does not
    /// tell.
    pub fn cpu_ns(&self) -> Option<u64> {
        self.clocks.iter().map(|clock| clock.cpu_ns(&self.shared)).sum()
    }

    /// Why it is of no use any more: a thread broke, and the connections dealt to it get no answer.
    pub fn broken(&self) -> Option<&str> {
        self.shared.broken()
    }

    /// Stops accepting, closes every connection, ends the threads and returns the final counts, for
    /// whoever takes a server that broke for a bug.
    ///
    /// Takes about 100 ms at most.
    pub fn stop(self) -> Counts {
        match self.stop_with_log() {
            Ok((counts, _)) => counts,
            Err(broken) => panic!("the server broke: {broken}"),
        }
    }

    /// As `stop`, with the stamps of all requests in the counts if `Timing::is_logged`; or says why
    /// the server broke.
    pub fn stop_with_log(mut self) -> Result<(Counts, Option<StampLog>), String> {
        // A thread that panicked has said why it is broken.
        let stamps: Vec<Stamps> = self.end().into_iter().flatten().flatten().collect();
        if let Some(broken) = self.broken() {
            return Err(broken.to_owned());
        }
        let log =
            (!stamps.is_empty()).then(|| StampLog::new(stamps, self.clock.base_monotonic_ns()));
        Ok((self.counts(), log))
    }

    fn end(&mut self) -> Vec<std::thread::Result<Option<Stamps>>> {
        self.shared.stop();
        self.threads.drain(..).map(JoinHandle::join).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A panic has already printed its message; a drop must not raise it again.
        drop(self.end());
    }
}

fn check(config: &Config) -> Result<(), StartError> {
    if config.threads == 0 || config.threads > crate::limits::THREADS_MAX {
        return Err(StartError::Config("the number of threads must be 1 to 1024"));
    }
    if !(200..=599).contains(&config.status) {
        return Err(StartError::Config("the status must be 200 to 599"));
    }
    if config.body_bytes > BODY_BYTES_MAX {
        return Err(StartError::Config("the body must be at most 1 PiB"));
    }
    if config.close_after == Some(0) {
        return Err(StartError::Config("a connection must be given at least one answer"));
    }
    if config.engine == Engine::TokioUring && config.timing.needs_precision() {
        return Err(StartError::Config(
            "the engine on tokio-uring has no timers for this: it can delay all answers alike",
        ));
    }
    if config.faults_ppm > 1_000_000 {
        return Err(StartError::Config("the share of faults must be at most 100 %"));
    }
    if config.engine == Engine::TokioUring && config.faults_ppm > 0 {
        return Err(StartError::Config("the engine on tokio-uring has no faults"));
    }
    if matches!(config.timing.wait, Wait::Service(_)) && config.threads > 1 {
        return Err(StartError::Config("one queue for all connections needs one thread"));
    }
    Ok(())
}

/// Keeps sums of body bytes far from overflow.
const BODY_BYTES_MAX: u64 = 1 << 50;
