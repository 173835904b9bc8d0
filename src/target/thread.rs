//! What the server's threads share, and what each is given.
//!
//! Owns the stop signal, the dealing of connections and the threads' CPU clocks. Whichever thread
//! accepts a connection deals it to the next thread in turn: the kernel would give most to whoever
//! happens to be idle.

use std::fs;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, OnceLock};

use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::sys;

use super::answers::Answers;
use super::counts::Tally;
use super::faults::Faults;
use super::schedule::Timing;
use super::stamps::{Budget, Stamps};
use super::{Engine, StartError, backend_engine, tokio_engine};

/// A connection and its number in order of accepts, from 0.
#[derive(Debug)]
pub(super) struct Dealt {
    pub(super) stream: TcpStream,
    pub(super) number: usize,
}

/// Connections dealt to a thread by the others.
pub(super) type Inbox = UnboundedReceiver<Dealt>;

/// What all threads and the server's handle see.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) tallies: Vec<Tally>,
    stopping: AtomicBool,
    /// One for each thread, told when `stopping` is set.
    wake: Vec<Notify>,
    inboxes: Vec<UnboundedSender<Dealt>>,
    accepted: AtomicUsize,
    /// Why a thread serves no more, once one does not.
    broken: OnceLock<String>,
    /// When the first request came, in the server's nanoseconds; `u64::MAX` until then.
    first_request_ns: AtomicU64,
    pub(super) stamp_budget: Budget,
    /// CPU time of threads that have ended; 0 while they run.
    final_cpu_ns: Vec<AtomicU64>,
}

impl Shared {
    pub(super) fn new(threads: u32) -> (Self, Vec<Inbox>) {
        let (inboxes, receivers) = (0..threads).map(|_| unbounded_channel()).unzip();
        let shared = Self {
            tallies: (0..threads).map(|_| Tally::default()).collect(),
            stopping: AtomicBool::new(false),
            wake: (0..threads).map(|_| Notify::new()).collect(),
            inboxes,
            accepted: AtomicUsize::new(0),
            broken: OnceLock::new(),
            first_request_ns: AtomicU64::new(u64::MAX),
            stamp_budget: Budget::new(),
            final_cpu_ns: (0..threads).map(|_| AtomicU64::new(0)).collect(),
        };
        (shared, receivers)
    }

    /// Asks every thread to end.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        for wake in &self.wake {
            wake.notify_one();
        }
    }

    /// True once the threads are asked to end.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// A thread serves no more, for this reason. The first one stands.
    fn breaks(&self, why: String) {
        let _ = self.broken.set(why);
    }

    /// Why a thread serves no more.
    pub(super) fn broken(&self) -> Option<&str> {
        self.broken.get().map(String::as_str)
    }

    /// Told when the thread is asked to end.
    pub(super) fn wake(&self, index: usize) -> &Notify {
        &self.wake[index]
    }

    /// Deals an accepted connection: gives it back when it is the asking thread's own turn.
    pub(super) fn deal(&self, index: usize, stream: TcpStream) -> Option<Dealt> {
        let number = self.accepted.fetch_add(1, Ordering::Relaxed);
        let (turn, dealt) = (number % self.inboxes.len(), Dealt { stream, number });
        if turn == index {
            return Some(dealt);
        }
        // A thread that no longer listens to its inbox is stopping, and so are all the others.
        let _ = self.inboxes[turn].send(dealt);
        None
    }

    /// A request came at `now_ns`; says when the server's first one did.
    pub(super) fn first_request_ns(&self, now_ns: u64) -> u64 {
        let (unset, relaxed) = (u64::MAX, Ordering::Relaxed);
        match self.first_request_ns.compare_exchange(unset, now_ns, relaxed, relaxed) {
            Ok(_) => now_ns,
            Err(first_ns) => first_ns,
        }
    }
}

/// What one thread is given.
#[derive(Debug)]
pub(super) struct Thread {
    pub(super) index: usize,
    pub(super) cpu: Option<u32>,
    pub(super) listener: TcpListener,
    pub(super) inbox: Inbox,
    pub(super) shared: Arc<Shared>,
    pub(super) answers: Answers,
    pub(super) timing: Timing,
    /// The server's: all its threads share the base.
    pub(super) clock: sys::Clock,
    pub(super) close_after: Option<u32>,
    /// `None` when nothing is to go wrong.
    pub(super) faults: Option<Faults>,
}

impl Thread {
    /// The thread's own counters.
    pub(super) fn tally(&self) -> &Tally {
        &self.shared.tallies[self.index]
    }
}

/// The body of a server thread: serves until asked to end. Gives its stamps if it kept any.
pub(super) fn run(
    thread: Thread,
    engine: Engine,
    ready: &Sender<Result<Clock, StartError>>,
) -> Option<Stamps> {
    if let Some(cpu) = thread.cpu {
        // A CPU that is refused leaves the thread unpinned, which serves as well.
        let _ = sys::pin_current_thread(cpu);
    }
    let (index, shared) = (thread.index, Arc::clone(&thread.shared));
    let clock = Clock { index, path: own_schedstat() };
    // The starter may have given up because another thread failed; then nobody listens.
    let tell = |result: Result<(), StartError>| drop(ready.send(result.map(|()| clock)));
    let _alarm = PanicAlarm(&shared);
    let served = match engine {
        Engine::TokioUring => {
            tokio_engine::run(thread, tell);
            Ok(None)
        }
        Engine::Backend => backend_engine::on_ring(thread, tell),
        Engine::Epoll => backend_engine::on_epoll(thread, tell),
    };
    shared.final_cpu_ns[index].store(sys::thread_cpu_ns(), Ordering::Release);
    served.unwrap_or_else(|error| {
        shared.breaks(error.to_string());
        None
    })
}

/// Lets whoever watches over the server know of a panic: connections dealt to this thread would wait
/// for ever.
struct PanicAlarm<'a>(&'a Shared);

impl Drop for PanicAlarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.breaks("a thread panicked".to_owned());
        }
    }
}

/// Reads one thread's CPU time from outside.
#[derive(Debug)]
pub(super) struct Clock {
    index: usize,
    path: PathBuf,
}

impl Clock {
    /// Nanoseconds on a CPU so far; the last value once the thread has ended. `None` without `/proc`.
    pub(super) fn cpu_ns(&self, shared: &Shared) -> Option<u64> {
        match shared.final_cpu_ns[self.index].load(Ordering::Acquire) {
            0 => read_cpu_ns(&self.path).ok(),
            cpu_ns => Some(cpu_ns),
        }
    }
}

/// Where the kernel shows the calling thread's CPU time to the whole process.
fn own_schedstat() -> PathBuf {
    let own = fs::read_link("/proc/thread-self").unwrap_or_else(|_| PathBuf::from("thread-self"));
    Path::new("/proc").join(own).join("schedstat")
}

/// The first number of `schedstat`: nanoseconds on a CPU.
fn read_cpu_ns(path: &Path) -> io::Result<u64> {
    let text = fs::read_to_string(path)?;
    let first = text.split_whitespace().next().and_then(|number| number.parse().ok());
    first.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}
