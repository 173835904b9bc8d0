//! The default engine: one tokio-uring runtime in each thread, one task for each connection.
//!
//! Owns the ring's flags, the tasks and their end. The idea: a task reads up to 16 KiB, lets
//! `session` say what answers it, and sends all those answers as one write from shared bytes.
//!
//! Stopping never drops an operation in flight if it can help it: the sockets are shut down, so
//! every read and write ends by itself and its task with it. Dropping the runtime cancels the rest.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, TcpListener};
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tokio_uring::net::TcpStream;

use crate::uring::{self, SetupError};

use super::StartError;
use super::answers::{Answers, Content, Cursor, count_answer};
use super::counts::{self, Tally};
use super::listen::{AcceptFailure, accept_failure};
use super::session::{Memo, Replies, Run, Session};
use super::thread::{Inbox, Shared, Thread};

/// Bytes of one read: at depth 64 a batch of requests is about 3 KiB.
const READ_BYTES: usize = 16 * 1024;
/// Submissions between two enters; connections ready at the same time go in together.
const RING_ENTRIES: u32 = 1024;
/// Completions that may wait: each connection has one read or write in flight.
const COMPLETION_ENTRIES: u32 = 16 * 1024;
/// How long tasks may take to end by themselves.
const STOP_GRACE: Duration = Duration::from_millis(60);
/// How long a closed connection is still read, so that unread bytes do not turn its end into a
/// reset which destroys answers on their way (RFC 9112 section 9.6).
const LINGER: Duration = Duration::from_secs(1);
/// Pause after an accept that failed for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// Serves until the server stops; tells `ready` once it accepts, or why it cannot.
pub(super) fn run(thread: Thread, ready: impl FnOnce(Result<(), StartError>)) {
    // The runtime panics when it may not enter its ring, so that is found out before.
    let refused = |error: io::Error| SetupError::new("io_uring_setup", &error);
    match uring::may_enter().and_then(|()| runtime().map_err(refused)) {
        Ok(runtime) => runtime.block_on(serve(thread, ready)),
        Err(refused) => ready(Err(StartError::Ring(refused))),
    }
}

fn runtime() -> io::Result<tokio_uring::Runtime> {
    let mut ring = tokio_uring::uring_builder();
    ring.setup_single_issuer()
        .setup_coop_taskrun()
        .setup_taskrun_flag()
        .setup_cqsize(COMPLETION_ENTRIES);
    let mut builder = tokio_uring::builder();
    builder.entries(RING_ENTRIES).uring_builder(&ring);
    tokio_uring::Runtime::new(&builder)
}

/// What the tasks of one thread share.
struct Local {
    index: usize,
    shared: std::sync::Arc<Shared>,
    answers: Answers,
    /// The arena of `answers`, countable by reference.
    arena: Bytes,
    delay: Duration,
    close_after: Option<u32>,
    memo: RefCell<Memo>,
    /// The open connections, by a number that is never used again.
    open: RefCell<HashMap<u64, Rc<TcpStream>>>,
    next_number: std::cell::Cell<u64>,
    /// Told when a connection ends.
    ended: Notify,
}

impl Local {
    fn tally(&self) -> &Tally {
        &self.shared.tallies[self.index]
    }
}

async fn serve(thread: Thread, ready: impl FnOnce(Result<(), StartError>)) {
    let Thread { index, listener, mut inbox, shared, answers, timing, close_after, .. } = thread;
    let listener = match watched(listener) {
        Ok(listener) => listener,
        Err(source) => return ready(Err(StartError::Thread(source))),
    };
    let local = Rc::new(Local {
        index,
        arena: Bytes::copy_from_slice(answers.arena()),
        shared,
        answers,
        delay: Duration::from_nanos(timing.plain_delay_ns().unwrap_or_default()),
        close_after,
        memo: RefCell::default(),
        open: RefCell::default(),
        next_number: std::cell::Cell::new(0),
        ended: Notify::new(),
    });
    let tasks = {
        let (for_accept, for_inbox) = (Rc::clone(&local), Rc::clone(&local));
        [
            tokio_uring::spawn(async move { accept(&listener, &for_accept).await }),
            tokio_uring::spawn(async move { take_dealt(&mut inbox, &for_inbox).await }),
        ]
    };
    ready(Ok(()));
    local.shared.wake(index).notified().await;
    for task in tasks {
        task.abort();
    }
    end_connections(&local).await;
}

#[expect(
    deprecated,
    reason = "the replacement is an unsafe fn; its duty, that the descriptor stays open, is kept \
              by a TcpListener that is owned and never replaced"
)]
fn watched(listener: TcpListener) -> io::Result<AsyncFd<TcpListener>> {
    Ok(AsyncFd::try_with_interest(listener, Interest::READABLE)?)
}

async fn accept(listener: &AsyncFd<TcpListener>, local: &Rc<Local>) {
    while let Ok(mut guard) = listener.readable().await {
        let accepted = match guard.try_io(|inner| inner.get_ref().accept()) {
            Ok(accepted) => accepted,
            Err(_would_block) => continue,
        };
        match accepted {
            Ok((stream, _)) => {
                if let Some(dealt) = local.shared.deal(local.index, stream) {
                    open(dealt.stream, local);
                }
            }
            Err(error) if accept_failure(&error) == AcceptFailure::Exhausted => {
                local.tally().accept_failures.add(1);
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            Err(_) => {}
        }
    }
}

async fn take_dealt(inbox: &mut Inbox, local: &Rc<Local>) {
    while let Some(dealt) = inbox.recv().await {
        open(dealt.stream, local);
    }
}

/// Counts a connection and starts its task.
fn open(stream: std::net::TcpStream, local: &Rc<Local>) {
    if local.shared.is_stopping() {
        return;
    }
    // Fails only on a connection that is gone already, which its first read will tell.
    let _ = stream.set_nodelay(true);
    let number = local.next_number.replace(local.next_number.get() + 1);
    let stream = Rc::new(TcpStream::from_std(stream));
    local.tally().connections.add(1);
    local.open.borrow_mut().insert(number, Rc::clone(&stream));
    let guard = OpenGuard { local: Rc::clone(local), number };
    tokio_uring::spawn(async move { connection(&stream, &guard.local).await });
}

/// Takes a connection off the books however its task ends.
struct OpenGuard {
    local: Rc<Local>,
    number: u64,
}

impl Drop for OpenGuard {
    fn drop(&mut self) {
        self.local.open.borrow_mut().remove(&self.number);
        self.local.tally().closed.add(1);
        self.local.ended.notify_one();
    }
}

/// Shuts every connection down and waits for the tasks to notice.
async fn end_connections(local: &Local) {
    for stream in local.open.borrow().values() {
        // Fails only when the peer has ended the connection, whose task then ends as well.
        let _ = stream.shutdown(Shutdown::Both);
    }
    let all_ended = async {
        while !local.open.borrow().is_empty() {
            local.ended.notified().await;
        }
    };
    // Tasks that wait out a delay do not notice; they hold no operation and are dropped.
    let _ = tokio::time::timeout(STOP_GRACE, all_ended).await;
}

/// One connection, from its first read to its end.
async fn connection(stream: &TcpStream, local: &Local) {
    let mut session = Session::new(local.close_after);
    let mut replies = Replies::default();
    let mut buffer = Vec::with_capacity(READ_BYTES);
    loop {
        let (result, back) = stream.read(buffer).await;
        buffer = back;
        let Ok(read_bytes @ 1..) = result else {
            return;
        };
        replies.clear();
        session.receive(&mut local.memo.borrow_mut(), &buffer[..read_bytes], &mut replies);
        let tally = local.tally();
        tally.bytes_in.add(read_bytes as u64);
        tally.requests.add(replies.requests);
        tally.malformed.add(replies.malformed);
        if !local.delay.is_zero() && replies.requests > 0 {
            wait(local.delay).await;
        }
        for &run in &replies.runs {
            if !send_run(stream, run, local).await {
                return;
            }
        }
        if replies.closes {
            return linger(stream, buffer, local).await;
        }
    }
}

/// Waits at least `delay`: a timer may fire within the millisecond it was set for.
async fn wait(delay: Duration) {
    let due = Instant::now() + delay;
    loop {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left).await;
    }
}

/// Sends a run of answers and counts what left; false when the connection broke.
async fn send_run(stream: &TcpStream, run: Run, local: &Local) -> bool {
    let tally = local.tally();
    if run.answer.content == Content::Count {
        for _ in 0..run.count {
            let json = counts::total(&local.shared.tallies).to_json();
            let bytes = Bytes::from(count_answer(&json, run.answer.persistence));
            let bytes_wanted = bytes.len();
            if send(stream, bytes, tally).await < bytes_wanted {
                return false;
            }
        }
        return true;
    }
    let mut cursor = Cursor::new(run.answer, run.count);
    while let Some(piece) = cursor.next_piece(&local.answers) {
        let bytes_wanted = piece.range.len();
        let sent_bytes = send(stream, local.arena.slice(piece.range), tally).await;
        let is_whole = sent_bytes == bytes_wanted;
        if run.answer.is_counted() {
            let one_bytes = local.answers.one_bytes(run.answer);
            let partly = sent_bytes as u64 / one_bytes;
            tally.answers.add(if is_whole { u64::from(piece.completes) } else { partly });
        }
        if !is_whole {
            return false;
        }
    }
    true
}

/// Sends all the bytes, unless the connection breaks; says how many the kernel took.
async fn send(stream: &TcpStream, mut bytes: Bytes, tally: &Tally) -> usize {
    let mut sent_bytes = 0;
    while !bytes.is_empty() {
        let (result, back) = stream.write(bytes).submit().await;
        bytes = back;
        let Ok(taken @ 1..) = result else {
            break;
        };
        sent_bytes += taken;
        tally.bytes_out.add(taken as u64);
        bytes = bytes.slice(taken..);
    }
    sent_bytes
}

/// Ends our side, then reads until the peer ends its own.
async fn linger(stream: &TcpStream, mut buffer: Vec<u8>, local: &Local) {
    if stream.shutdown(Shutdown::Write).is_err() {
        return;
    }
    let peer_ended = async {
        loop {
            let (result, back) = stream.read(buffer).await;
            buffer = back;
            match result {
                Ok(read_bytes @ 1..) => local.tally().bytes_in.add(read_bytes as u64),
                _ => return,
            }
        }
    };
    if tokio::time::timeout(LINGER, peer_ended).await.is_err() {
        // The read in flight holds the socket; this ends it.
        let _ = stream.shutdown(Shutdown::Both);
    }
}
