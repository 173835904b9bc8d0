//! The backend on epoll, for hosts that deny io_uring.
//!
//! Owns the poller, its sockets and their buffers. Knows nothing of HTTP, schedules or workers. Must
//! be made by the thread that uses it, whose timers it makes accurate.
//!
//! The idea: what the ring's kernel does, done here. Operations queue up and are executed at the
//! next turn; sends are tried at once; a receive waits for an edge of its socket and then reads until
//! less comes than could, which in a stream means that nothing is left. Each socket gets a few
//! receives at a time, so that a busy one starves nobody. One clock read stamps the batch.
//!
//! The socket of a refused attempt is kept over the close, for the slot's next attempt: making and
//! closing one costs as much as the attempt.
//!
//! An edge is told once: `is_readable` and `is_writable` remember it until a call proves it stale.

mod buffers;
mod socket;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::io::{
    Backend, BackendError, CloseKind, Completion, Completions, Confirm, IoError, Lead, Op,
    QueueFull, RecvLease, SendLease, Setup, Slot, Spin, Token,
};
use crate::limits;
use crate::sys::{self, Blocking, Clock, Dialer, Poller};

use buffers::Buffers;
use socket::{Receiving, Sending, Socket, Source, Want};

/// Operations that may wait for the next turn.
const OPS_MAX: usize = 512;
/// Sockets that one wait can tell of.
const EVENTS_MAX: usize = 512;
/// Completions that may wait for room, before operations and sockets wait instead.
const FINISHED_MAX: usize = 1024;
/// Completions that one operation or one look after a socket adds, at most.
const COMPLETIONS_EACH_MAX: usize = RECEIVES_EACH_MAX + 2;
/// Receives of one socket before it is the others' turn.
const RECEIVES_EACH_MAX: usize = 4;
/// Waits longer than this are made in two, in nanoseconds: the kernel may end a wait late by a
/// thousandth of its length.
const LONG_WAIT_NS: u64 = 2_000_000;
/// Part of a long wait that is left for the second.
const SECOND_WAIT_PART: u64 = 400;

/// What to leave unused although the kernel has it, so that tests reach the other path.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Masked {
    /// Waiting in one call with an accuracy of nanoseconds (Linux 5.11).
    pub pwait2: bool,
}

/// An epoll backend.
#[derive(Debug)]
pub struct Epoll {
    poller: Poller,
    clock: Clock,
    sockets: Vec<Socket>,
    /// Pushed since the last turn, in order.
    queued: VecDeque<Queued>,
    /// Slots whose sockets can go on.
    ready: VecDeque<u32>,
    /// In arrival order, until a batch has room.
    finished: VecDeque<Completion>,
    recv_buffers: Buffers,
    send_buffers: Buffers,
    arena: Arc<[u8]>,
    dialer: Dialer,
    spin: Spin,
    lead: Lead,
    idle_spin_ns: u64,
    /// The last turn brought completions.
    has_worked: bool,
    /// The kernel keeps this thread's timers to the nanosecond.
    is_timer_exact: bool,
}

/// What waits for the next turn.
#[derive(Debug)]
enum Queued {
    Op(Op, Token),
    Adopt(Slot, OwnedFd),
}

impl Epoll {
    /// A backend for the calling thread, with everything it will ever need.
    pub fn new(setup: Setup, clock: Clock) -> Result<Self, BackendError> {
        Self::with_masked(setup, clock, Masked::default())
    }

    /// The same, leaving some kernel features unused.
    pub fn with_masked(setup: Setup, clock: Clock, masked: Masked) -> Result<Self, BackendError> {
        let poller = Poller::new(EVENTS_MAX, masked.pwait2)
            .map_err(|error| broken("epoll_create1", &error))?;
        Ok(Self {
            poller,
            clock,
            sockets: (0..setup.slots).map(|_| Socket::default()).collect(),
            queued: VecDeque::with_capacity(OPS_MAX),
            ready: VecDeque::with_capacity(setup.slots as usize),
            finished: VecDeque::with_capacity(FINISHED_MAX + COMPLETIONS_EACH_MAX),
            recv_buffers: Buffers::new(setup.recv_buffers, setup.recv_buffer_bytes),
            send_buffers: Buffers::new(setup.send_buffers, setup.send_buffer_bytes),
            arena: setup.arena,
            dialer: Dialer::new(&setup.addresses, &setup.sources, setup.tcp_congestion),
            spin: setup.spin,
            lead: Lead::new(setup.spin),
            idle_spin_ns: 0,
            has_worked: false,
            is_timer_exact: sys::set_timer_slack_ns(1),
        })
    }

    fn finish(&mut self, token: Token, result: Result<u32, IoError>) {
        self.finished.push_back(Completion::ended(token, result));
    }

    /// Executes what was pushed, as far as there is room for its completions.
    fn execute_all(&mut self) {
        while self.finished.len() < FINISHED_MAX {
            match self.queued.pop_front() {
                Some(Queued::Op(op, token)) => self.execute(op, token),
                Some(Queued::Adopt(slot, fd)) => self.take_over(slot, fd),
                None => return,
            }
        }
    }

    fn execute(&mut self, op: Op, token: Token) {
        match op {
            Op::Connect { slot, address_index } => self.connect(slot, address_index, token),
            Op::Send { slot, start, len, confirm } => {
                self.start_send(slot, Source::Arena(start), len, confirm, token);
            }
            Op::SendLeased { slot, lease, len } => {
                let from = Source::Scratch(lease.buffer());
                self.start_send(slot, from, len, Confirm::Always, token);
            }
            Op::RecvStream { slot } => self.start_receive(slot, Want::Stream, token),
            Op::RecvOnce { slot, bytes_max } => {
                self.start_receive(slot, Want::Once(bytes_max as usize), token);
            }
            Op::Discard { slot, bytes_max } => {
                let bytes_max = bytes_max.min(limits::DISCARD_BYTES_MAX) as usize;
                self.start_receive(slot, Want::Discard(bytes_max), token);
            }
            Op::CancelRecv { slot } => {
                if let Some(receiving) = self.sockets[slot.0 as usize].recv.take() {
                    self.finish(receiving.token, Err(IoError::Cancelled));
                }
            }
            Op::Close { slot, kind } => self.close(slot, kind),
        }
    }

    /// A socket that cannot be watched leaves the slot empty, which its first operation will tell.
    fn take_over(&mut self, slot: Slot, fd: OwnedFd) {
        let socket = &mut self.sockets[slot.0 as usize];
        if self.poller.add(&fd, socket.key(slot.0)).is_ok() {
            socket.occupy(fd, true);
        }
    }

    fn connect(&mut self, slot: Slot, address_index: u32, token: Token) {
        let spare = self.sockets[slot.0 as usize].spare.take();
        let spare = spare.filter(|&(_, made)| self.dialer.fits(made, address_index));
        let is_spare = spare.is_some();
        let made = spare.map(|(fd, _)| fd);
        let made = made.map_or_else(|| self.dialer.socket(address_index, Blocking::No), Ok);
        let fd = match made {
            Ok(fd) => fd,
            Err(error) => return self.finish(token, Err(error)),
        };
        let is_connected = match sys::start_connect(&fd, self.dialer.raw(address_index)) {
            Ok(is_connected) => is_connected,
            Err(error) => return self.finish(token, Err(io_error(&error))),
        };
        let socket = &mut self.sockets[slot.0 as usize];
        let key = socket.key(slot.0);
        let watched =
            if is_spare { self.poller.renew(&fd, key) } else { self.poller.add(&fd, key) };
        if let Err(error) = watched {
            let errno = error.raw_os_error().unwrap_or(0);
            return self.finish(token, Err(IoError::Local(errno)));
        }
        socket.occupy(fd, false);
        socket.address_index = address_index;
        if is_connected {
            self.finish(token, Ok(0));
        } else {
            socket.connect = Some(token);
        }
    }

    fn start_send(&mut self, slot: Slot, from: Source, len: u32, confirm: Confirm, token: Token) {
        let socket = &mut self.sockets[slot.0 as usize];
        // A second send would overtake the rest of the first. Callers vouch that there is none.
        if socket.send.is_some() || socket.fd.is_none() {
            let error = refusal(socket);
            if let Source::Scratch(buffer) = from {
                self.send_buffers.give_back(buffer);
            }
            return self.finish(token, Err(error));
        }
        socket.send = Some(Sending { token, from, len, sent: 0, confirm });
        self.go_on_sending(slot.0);
    }

    fn start_receive(&mut self, slot: Slot, want: Want, token: Token) {
        let socket = &mut self.sockets[slot.0 as usize];
        if socket.recv.is_some() || socket.fd.is_none() {
            let error = refusal(socket);
            return self.finish(token, Err(error));
        }
        socket.recv = Some(Receiving { token, want });
        wake_for(socket, want);
        self.queue_if_ready(slot.0);
    }

    fn close(&mut self, slot: Slot, kind: CloseKind) {
        let before = self.sockets[slot.0 as usize].vacate();
        let Some(fd) = before.fd else {
            // A slot may be closed more than once.
            self.sockets[slot.0 as usize].spare = before.spare;
            return;
        };
        // Nothing is in flight where an attempt was refused. What the poller still tells of it comes
        // under the key of the life that ends here.
        if before.is_refused
            && self.dialer.fits(before.address_index, before.address_index)
            && sys::disconnect(&fd).is_ok()
        {
            self.sockets[slot.0 as usize].spare = Some((fd, before.address_index));
            return;
        }
        if kind == CloseKind::Reset {
            // A socket that refuses the option is closed in order, which is no worse.
            let _ = sys::set_linger_zero(&fd);
        }
        if before.is_adopted {
            // Fails only when it was never watched.
            let _ = self.poller.remove(&fd);
        }
        if let Some(Sending { from: Source::Scratch(buffer), .. }) = before.send {
            self.send_buffers.give_back(buffer);
        }
        let send = before.send.map(|sending| sending.token);
        let recv = before.recv.map(|receiving| receiving.token);
        for token in [before.connect, send, recv].into_iter().flatten() {
            self.finish(token, Err(IoError::Cancelled));
        }
    }

    fn queue_if_ready(&mut self, slot: u32) {
        let socket = &mut self.sockets[slot as usize];
        if !socket.is_queued && socket.can_go_on() {
            socket.is_queued = true;
            self.ready.push_back(slot);
        }
    }

    /// Looks after sockets that can go on, in turn, until there are `wanted` completions.
    fn go_on(&mut self, wanted: usize) {
        while self.finished.len() < wanted.min(FINISHED_MAX) {
            let Some(slot) = self.ready.pop_front() else { return };
            let socket = &mut self.sockets[slot as usize];
            socket.is_queued = false;
            if let (Some(fd), true) = (&socket.fd, socket.can_go_on())
                && let Some(token) = socket.connect.take()
            {
                let result = sys::take_error(fd).map(|()| 0).map_err(|error| io_error(&error));
                socket.is_refused = result == Err(IoError::Refused);
                self.finish(token, result);
            }
            let socket = &self.sockets[slot as usize];
            if socket.is_writable && socket.send.is_some() {
                self.go_on_sending(slot);
            }
            for _ in 0..RECEIVES_EACH_MAX {
                self.receive(slot);
            }
            self.queue_if_ready(slot);
        }
    }

    /// Sends until all is taken or nothing more is.
    fn go_on_sending(&mut self, slot: u32) {
        let socket = &mut self.sockets[slot as usize];
        let (Some(fd), Some(sending)) = (&socket.fd, &mut socket.send) else { return };
        // An error that waits on the socket is the connect's to take.
        if socket.connect.is_some() {
            return;
        }
        let bytes = match sending.from {
            Source::Arena(start) => &self.arena[start as usize..][..sending.len as usize],
            Source::Scratch(buffer) => &self.send_buffers.bytes(buffer)[..sending.len as usize],
        };
        let result = loop {
            match sys::send_some(fd, &bytes[sending.sent as usize..]) {
                Ok(Some(count)) => {
                    sending.sent += count as u32;
                    if sending.sent == sending.len {
                        break Ok(sending.len);
                    }
                }
                Ok(None) => {
                    socket.is_writable = false;
                    return;
                }
                Err(error) => break Err(io_error(&error)),
            }
        };
        let Sending { token, from, confirm, .. } = *sending;
        socket.send = None;
        if let Source::Scratch(buffer) = from {
            self.send_buffers.give_back(buffer);
        }
        if result.is_err() || confirm == Confirm::Always {
            self.finish(token, result);
        }
    }

    /// One receive, if one is in flight and may bring something.
    fn receive(&mut self, slot: u32) {
        let socket = &mut self.sockets[slot as usize];
        let (Some(fd), Some(Receiving { token, want })) = (&socket.fd, socket.recv) else { return };
        if !socket.is_readable || socket.connect.is_some() {
            return;
        }
        let (received, asked, buffer) = match want {
            _ if socket.errno.is_some() => {
                let error = socket.errno.take().map(io::Error::from_raw_os_error);
                (error.map_or(Ok(None), Err), 0, None)
            }
            Want::Discard(bytes_max) => (sys::discard_some(fd, bytes_max), bytes_max, None),
            Want::Stream | Want::Once(_) => {
                let Some(buffer) = self.recv_buffers.lend() else {
                    socket.recv = None;
                    return self.finish(token, Err(IoError::NoBuffers));
                };
                let bytes = self.recv_buffers.bytes_mut(buffer);
                let asked = match want {
                    Want::Once(bytes_max) => bytes_max.min(bytes.len()),
                    _ => bytes.len(),
                };
                (sys::recv_some(fd, &mut bytes[..asked]), asked, Some(buffer))
            }
        };
        // Less than asked for is all there was; what comes later is told anew. The end is not.
        if !socket.has_ended && received.as_ref().is_ok_and(|count| count.is_none_or(|n| n < asked))
        {
            socket.is_readable = false;
        }
        if let Ok(None) = received {
            socket.is_readable = false;
            return buffer.into_iter().for_each(|buffer| self.recv_buffers.give_back(buffer));
        }
        let result = match received {
            Ok(count) => Ok(count.unwrap_or(0) as u32),
            Err(error) => Err(io_error(&error)),
        };
        let bytes = result.unwrap_or(0);
        let more = matches!(want, Want::Stream) && bytes > 0;
        if !more {
            socket.recv = None;
        }
        let looks = bytes > 0 && bytes as usize == asked && !socket.has_ended;
        let has_more = match socket.fd.as_ref().filter(|_| looks).map(sys::holds_more) {
            None => false,
            Some(Ok(has_more)) => has_more,
            Some(Err(error)) => {
                socket.errno = error.raw_os_error();
                true
            }
        };
        let has_rest = bytes > 0 && (socket.has_ended || has_more);
        let lease = match buffer {
            Some(buffer) if bytes > 0 => Some(RecvLease::new(buffer, bytes)),
            Some(buffer) => {
                self.recv_buffers.give_back(buffer);
                None
            }
            None => None,
        };
        self.finished.push_back(Completion { token, result, lease, more, has_rest });
    }

    /// Looks, or waits, and notes what is ready. True when that lets a socket go on.
    fn look(&mut self, timeout_ns: u64) -> io::Result<bool> {
        for number in 0..self.poller.wait(timeout_ns)? {
            let told = self.poller.readiness(number);
            let slot = (told.key & u64::from(u32::MAX)) as u32;
            let socket = &mut self.sockets[slot as usize];
            if socket.fd.is_none() || socket.key(slot) != told.key {
                continue;
            }
            socket.is_readable |= told.is_readable;
            socket.is_writable |= told.is_writable;
            socket.has_ended |= told.has_ended;
            self.queue_if_ready(slot);
        }
        Ok(!self.ready.is_empty())
    }

    /// Waits until a socket can go on, or until `until_ns`.
    fn wait(&mut self, until_ns: u64) -> io::Result<()> {
        // Whoever has been idle goes on sleeping: there is nobody to hurry for.
        let after_work_ns = if self.has_worked { self.spin.after_work_ns } else { 0 };
        let mut now_ns = self.clock.now_ns();
        let asleep_until_ns = until_ns.saturating_sub(self.lead.ns(now_ns));
        let awake_until_ns = now_ns.saturating_add(after_work_ns);
        loop {
            let is_awake = now_ns < awake_until_ns || now_ns >= asleep_until_ns;
            let timeout_ns = if is_awake { 0 } else { step_ns(asleep_until_ns - now_ns) };
            let has_found = self.look(timeout_ns)?;
            if has_found || now_ns >= until_ns {
                return Ok(());
            }
            let later_ns = self.clock.now_ns();
            if !is_awake {
                self.lead.woke(until_ns, later_ns);
            } else {
                self.idle_spin_ns += (later_ns - now_ns).min(limits::SPIN_STEP_NS_MAX);
            }
            now_ns = later_ns;
            if now_ns >= until_ns {
                return Ok(());
            }
        }
    }
}

/// Sets how many bytes make the socket readable. A body comes in many segments, and waking for each
/// costs the peer, who does the waking, as much as us.
fn wake_for(socket: &mut Socket, want: Want) {
    let discarded = match want {
        Want::Discard(bytes_max) => u32::try_from(bytes_max).unwrap_or(u32::MAX),
        Want::Stream | Want::Once(_) => 0,
    };
    let bytes = if discarded >= limits::DISCARD_WAKE_BYTES_MIN || socket.low_water_bytes > 1 {
        discarded.clamp(1, limits::DISCARD_WAKE_BYTES)
    } else {
        socket.low_water_bytes
    };
    if bytes != socket.low_water_bytes
        && let Some(fd) = &socket.fd
        // Without it there are more receives, and all is well.
        && sys::set_receive_low_water(fd, bytes).is_ok()
    {
        socket.low_water_bytes = bytes;
        // Setting it tells anew of a socket that has as many bytes.
        socket.is_readable = socket.has_ended;
    }
}

/// How much of a wait of `ns` to make at once.
fn step_ns(ns: u64) -> u64 {
    if ns > LONG_WAIT_NS { ns - ns / SECOND_WAIT_PART } else { ns }
}

/// Why a socket takes no operation of a sort that it has in flight, or an empty slot any.
fn refusal(socket: &Socket) -> IoError {
    if socket.fd.is_none() { sys::NO_SOCKET } else { sys::IN_PROGRESS }
}

fn io_error(error: &io::Error) -> IoError {
    sys::io_error(error.raw_os_error().unwrap_or(0))
}

fn broken(call: &'static str, error: &io::Error) -> BackendError {
    BackendError { call, errno: error.raw_os_error().unwrap_or(0) }
}

impl Backend for Epoll {
    fn now_ns(&mut self) -> u64 {
        self.clock.now_ns()
    }

    fn push(&mut self, op: Op, token: Token) -> Result<(), QueueFull> {
        if self.queued.len() >= OPS_MAX {
            return Err(QueueFull(op));
        }
        self.queued.push_back(Queued::Op(op, token));
        Ok(())
    }

    fn turn(&mut self, until_ns: u64, done: &mut Completions) -> Result<(), BackendError> {
        done.items.clear();
        self.has_worked |= !self.queued.is_empty();
        self.execute_all();
        self.go_on(done.room());
        let is_idle = self.finished.is_empty() && self.ready.is_empty() && self.queued.is_empty();
        let waited = if is_idle { self.wait(until_ns) } else { self.look(0).map(drop) };
        self.go_on(done.room());
        let count = done.room().min(self.finished.len());
        done.items.extend(self.finished.drain(..count));
        self.has_worked = count > 0;
        done.stamp_ns = self.clock.now_ns();
        waited.map_err(|error| broken("epoll_pwait2", &error))
    }

    fn bytes(&self, lease: &RecvLease) -> &[u8] {
        &self.recv_buffers.bytes(lease.buffer())[..lease.len()]
    }

    fn bytes_mut(&mut self, lease: &mut RecvLease) -> &mut [u8] {
        &mut self.recv_buffers.bytes_mut(lease.buffer())[..lease.len()]
    }

    fn recycle(&mut self, lease: RecvLease) {
        self.recv_buffers.give_back(lease.buffer());
    }

    fn lease_send(&mut self) -> Option<SendLease> {
        self.send_buffers.lend().map(SendLease::new)
    }

    fn send_bytes_mut(&mut self, lease: &mut SendLease) -> &mut [u8] {
        self.send_buffers.bytes_mut(lease.buffer())
    }

    fn return_send(&mut self, lease: SendLease) {
        self.send_buffers.give_back(lease.buffer());
    }

    fn adopt(&mut self, slot: Slot, fd: OwnedFd) -> Result<(), BackendError> {
        // What was pushed for the slot's last socket comes first.
        self.queued.push_back(Queued::Adopt(slot, fd));
        Ok(())
    }

    fn local_address(&self, slot: Slot) -> Option<SocketAddr> {
        self.sockets[slot.0 as usize].fd.as_ref().and_then(sys::local_address)
    }

    fn idle_spin_ns(&self) -> u64 {
        self.idle_spin_ns
    }

    fn description(&self) -> String {
        let wait = if self.poller.has_pwait2() { "epoll_pwait2" } else { "ppoll" };
        let slack = if self.is_timer_exact { " timer_slack_1ns" } else { "" };
        format!("epoll (edge_triggered {wait}{slack})")
    }
}

#[cfg(test)]
mod tests;
