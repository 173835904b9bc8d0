//! The backend on io_uring.
//!
//! Owns the ring, the sockets in its direct-descriptor table, and all memory the kernel can see.
//! Knows nothing of HTTP, schedules or workers. Must be made by the thread that uses it.
//!
//! The idea: one `enter` a turn submits everything and reaps everything; one clock read stamps it.
//! Receives are multishot from a small ring of provided buffers, so the hot path queues nothing but
//! sends, and sends whose success is certain to be noticed otherwise leave no completion.
//!
//! A socket has an ordinary descriptor (for options and for closing with a reset) and a place in the
//! ring's table (for everything else). One whose attempt was refused keeps both over the close, for
//! the slot's next attempt: making and closing a socket costs as much as the attempt. Entering and
//! leaving the table are queued like any other operation, so that they happen in order with the
//! operations around them. Nothing here is linked and nothing reaches io-wq.
#![expect(unsafe_code, reason = "the ring and the memory it shares with the kernel")]

mod memory;
mod refused;
mod ring;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use io_uring::types::{CancelBuilder, Fixed, Timespec};
use io_uring::{cqueue, opcode, squeue};

use crate::io::{
    Backend, BackendError, CloseKind, Completion, Completions, Confirm, IoError, Lead, Op,
    QueueFull, RecvLease, SendLease, Setup, Slot, Spin, Token,
};
use crate::sys::{self, Blocking, Clock, Dialer};

pub use refused::{Denial, SetupError};
pub use ring::Masked;

use memory::{RecvBuffers, SendBuffers};
use ring::{Ring, Wait};

const SQ_ENTRIES: u32 = 512;
const CQ_ENTRIES_MIN: u32 = 4096;
const BUFFER_GROUP: u16 = 0;
/// `IORING_RECVSEND_POLL_FIRST`, which the crate has no name for.
const RECV_POLL_FIRST: u16 = 1;
/// How often, and after what pause, a ring that found too little memory is tried again.
const MEMORY_TRIES: u32 = 20;
const MEMORY_PAUSE: Duration = Duration::from_millis(5);
/// How often a full queue is submitted for a socket from elsewhere; the kernel may be short of memory
/// for a moment.
const ADOPT_TRIES: u32 = 100;
/// User data of operations nobody waits for: cancelling, entering and leaving the table.
const INTERNAL: u64 = u64::MAX;
/// User data of the timer.
const TIMER: u64 = u64::MAX - 1;

/// An io_uring backend.
#[derive(Debug)]
pub struct Uring {
    // Dropped first, after `drop` below has ended every operation.
    ring: Ring,
    clock: Clock,
    recv_buffers: RecvBuffers,
    send_buffers: SendBuffers,
    arena: Arc<[u8]>,
    dialer: Dialer,
    sockets: Vec<Socket>,
    /// Descriptors entering the table, read by the kernel when it executes the entry.
    entering: Box<[RawFd]>,
    /// Descriptors whose slots were closed; kept until the ring has seen the close.
    closing: Vec<OwnedFd>,
    /// Scratch buffers of closed connections whose sends have not come back yet, by the user data of
    /// their send; those of open ones are with the socket.
    leased_before: Vec<(u64, u16)>,
    /// Completions that the kernel does not make: attempts that ended before they reached the ring.
    synthetic: VecDeque<Completion>,
    /// How often the submission queue was emptied.
    flushes: u64,
    spin: Spin,
    lead: Lead,
    keeps_deadline: bool,
    /// When the timer in flight goes off, if there is one; in the backend's time.
    timer_ns: Option<u64>,
    /// Read by the kernel when it takes the timer's entry.
    timer_at: Box<Timespec>,
    idle_spin_ns: u64,
    /// The last turn brought any.
    brought_any: bool,
}

/// Whether a thread of this process may make a ring and enter it, however that is set up.
pub fn may_enter() -> Result<(), SetupError> {
    Ring::new(1, 2, Masked::default())?.do_nothing()
}

/// Whether rings for all of `setups` can be made here at the same time, and entered. None is left.
pub fn probe(setups: impl IntoIterator<Item = Setup>) -> Result<(), SetupError> {
    let clock = Clock::start();
    let rings: Result<Vec<Uring>, SetupError> =
        setups.into_iter().map(|setup| Uring::new(setup, clock)).collect();
    rings.map(drop)
}

#[derive(Debug, Default)]
struct Socket {
    fd: Option<OwnedFd>,
    recv_token: u64,
    send_token: u64,
    send_len: u32,
    /// What the socket's low-water mark was set to; a new socket's is 1.
    wake_bytes: u32,
    /// The scratch buffer of the send in flight, by the user data of the send.
    leased: Option<(u64, u16)>,
    connect_token: u64,
    connect_flush: u64,
    /// The address it was made for.
    address_index: u32,
    /// The kernel says of its receives whether there is more behind the bytes. Of a Unix socket it did
    /// not before Linux 6.17, and before 6.5 what it said was left to chance.
    tells_rest: bool,
    attempt: Attempt,
}

/// How a slot's last attempt went, as far as that decides about its socket.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Attempt {
    /// Under way, or it ended in anything but a refusal.
    #[default]
    Other,
    /// It was refused, and the slot is not closed yet.
    Refused,
    /// It was refused, and the slot was closed: the socket is there for the next attempt.
    Spare,
}

impl Uring {
    /// A ring for the calling thread, with everything it will ever need.
    pub fn new(setup: Setup, clock: Clock) -> Result<Self, SetupError> {
        Self::with_masked(setup, clock, Masked::default())
    }

    /// The same, leaving some kernel features unused.
    pub fn with_masked(setup: Setup, clock: Clock, masked: Masked) -> Result<Self, SetupError> {
        let mut tries = 0;
        loop {
            match Self::try_new(setup.clone(), clock, masked) {
                // The kernel gives back the memory of a ring a moment after it was closed.
                Err(SetupError { denial: Denial::LockedMemory, .. }) if tries < MEMORY_TRIES => {
                    tries += 1;
                    std::thread::sleep(MEMORY_PAUSE);
                }
                made => return made,
            }
        }
    }

    fn try_new(setup: Setup, clock: Clock, masked: Masked) -> Result<Self, SetupError> {
        let cq_entries = setup.slots.saturating_mul(4).max(CQ_ENTRIES_MIN).next_power_of_two();
        let mut ring = Ring::new(SQ_ENTRIES, cq_entries, masked)?;
        let submitter = ring.inner.submitter();
        submitter
            .register_files_sparse(setup.slots.max(1))
            .map_err(|error| SetupError::new("io_uring_register of descriptors", &error))?;
        let memory = |error: std::io::Error| SetupError::new("mapping buffers", &error);
        let mut recv_buffers =
            RecvBuffers::new(setup.recv_buffers, setup.recv_buffer_bytes).map_err(memory)?;
        let send_buffers =
            SendBuffers::new(setup.send_buffers, setup.send_buffer_bytes).map_err(memory)?;
        // SAFETY: the ring's memory is mapped for as long as `self` lives, and `drop` ends every
        // operation that could use it before it is unmapped.
        unsafe {
            submitter.register_buf_ring_with_flags(
                recv_buffers.ring_address(),
                recv_buffers.entries(),
                BUFFER_GROUP,
                0,
            )
        }
        .map_err(|error| SetupError::new("io_uring_register of receive buffers", &error))?;
        recv_buffers.publish();
        ring.do_nothing()?;
        Ok(Self {
            ring,
            clock,
            recv_buffers,
            send_buffers,
            arena: setup.arena,
            dialer: Dialer::new(&setup.addresses, &setup.sources, setup.tcp_congestion),
            sockets: (0..setup.slots).map(|_| Socket::default()).collect(),
            entering: vec![-1; setup.slots as usize].into_boxed_slice(),
            closing: Vec::with_capacity(SQ_ENTRIES as usize),
            leased_before: Vec::with_capacity(usize::from(setup.send_buffers)),
            synthetic: VecDeque::with_capacity(SQ_ENTRIES as usize),
            flushes: 1,
            spin: setup.spin,
            lead: Lead::new(setup.spin),
            // Whoever stays awake before a deadline needs no timer for it.
            keeps_deadline: setup.keeps_deadline && setup.spin == Spin::NEVER,
            timer_ns: None,
            timer_at: Box::new(Timespec::new()),
            idle_spin_ns: 0,
            brought_any: false,
        })
    }

    /// The receive operations' buffer size, in bytes.
    pub fn recv_buffer_bytes(&self) -> usize {
        self.recv_buffers.buffer_bytes()
    }

    fn push_internal(&mut self, entry: squeue::Entry) {
        self.ring.push(&entry.user_data(INTERNAL).flags(squeue::Flags::SKIP_SUCCESS));
    }

    /// Puts `fd` into the table at `slot`, in order with what is queued around it.
    fn enter_table(&mut self, slot: Slot, fd: &OwnedFd) {
        self.entering[slot.0 as usize] = fd.as_raw_fd();
        let fds = &raw const self.entering[slot.0 as usize];
        self.push_internal(opcode::FilesUpdate::new(fds, 1).offset(slot.0 as i32).build());
    }

    fn connect(&mut self, slot: Slot, address_index: u32, token: Token) -> bool {
        let index = slot.0 as usize;
        // One attempt per slot and flush: the entry for the table is read when the kernel gets there.
        if self.ring.room() < 2 || self.sockets[index].connect_flush == self.flushes {
            return false;
        }
        if self.connect_spare(slot, address_index, token) {
            return true;
        }
        debug_assert!(self.sockets[index].fd.is_none(), "the slot is in use");
        let is_unix = self.dialer.is_unix(address_index);
        let made = match is_unix {
            true => self.connected_unix(address_index),
            false => self.dialer.socket(address_index, Blocking::Yes),
        };
        let fd = match made {
            Ok(fd) => fd,
            Err(error) => {
                self.conclude(token, Err(error));
                return true;
            }
        };
        self.enter_table(slot, &fd);
        if is_unix {
            self.conclude(token, Ok(0));
        } else {
            self.push_connect(slot, address_index, token);
        }
        self.sockets[index].fd = Some(fd);
        self.sockets[index].tells_rest = !is_unix;
        self.sockets[index].wake_bytes = 1;
        self.sockets[index].address_index = address_index;
        self.sockets[index].connect_flush = self.flushes;
        true
    }

    fn push_connect(&mut self, slot: Slot, address_index: u32, token: Token) {
        let raw = self.dialer.raw(address_index);
        let connect = opcode::Connect::new(Fixed(slot.0), raw.as_ptr(), raw.len());
        self.ring.push(&connect.build().user_data(token.bits()));
        self.sockets[slot.0 as usize].connect_token = token.bits();
    }

    /// Begins the attempt on the socket that the last one left, if that fits. One that does not is let
    /// go: the next to enter the table takes its place there.
    fn connect_spare(&mut self, slot: Slot, address_index: u32, token: Token) -> bool {
        let socket = &mut self.sockets[slot.0 as usize];
        if std::mem::take(&mut socket.attempt) != Attempt::Spare {
            return false;
        }
        let fits = self.dialer.fits(socket.address_index, address_index);
        if fits {
            self.push_connect(slot, address_index, token);
        } else {
            socket.fd = None;
        }
        fits
    }

    /// Keeps the socket of a refused attempt, in which nothing is in flight, for the next one.
    fn keep_spare(&mut self, slot: Slot) -> bool {
        let socket = &mut self.sockets[slot.0 as usize];
        let is_refused = std::mem::take(&mut socket.attempt) == Attempt::Refused;
        // What was adopted has no address to be dialled.
        if !is_refused || !self.dialer.fits(socket.address_index, socket.address_index) {
            return false;
        }
        let Some(fd) = &socket.fd else { return false };
        let is_spare = sys::disconnect(fd).is_ok();
        if is_spare {
            socket.attempt = Attempt::Spare;
        }
        is_spare
    }

    /// A socket file is connected at once or not at all. Through the ring, one whose listener has a
    /// full queue would be waited for by a thread of the kernel.
    fn connected_unix(&mut self, address_index: u32) -> Result<OwnedFd, IoError> {
        let fd = self.dialer.socket(address_index, Blocking::No)?;
        let connected = sys::start_connect(&fd, self.dialer.raw(address_index));
        connected
            .and_then(|_| sys::set_blocking(&fd))
            .map_err(|error| sys::io_error(error.raw_os_error().unwrap_or(0)))?;
        Ok(fd)
    }

    /// An attempt that the kernel makes no completion for.
    fn conclude(&mut self, token: Token, result: Result<u32, IoError>) {
        self.synthetic.push_back(Completion::ended(token, result));
    }

    fn send(&mut self, slot: Slot, bytes: *const u8, len: u32, confirm: Confirm, token: Token) {
        self.sockets[slot.0 as usize].send_len = len;
        self.sockets[slot.0 as usize].send_token = token.bits();
        // MSG_WAITALL makes the kernel retry a short send itself.
        let send = opcode::Send::new(Fixed(slot.0), bytes, len)
            .flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL)
            .build()
            .user_data(token.bits());
        match confirm {
            Confirm::Always => self.ring.push(&send),
            Confirm::OnFailure => self.ring.push(&send.flags(squeue::Flags::SKIP_SUCCESS)),
        }
    }

    /// Sets how many bytes wake a receive. A body comes in many segments, and waking for each costs
    /// the peer, who does the waking, as much as us.
    fn wake_at(&mut self, slot: Slot, bytes: u32) {
        let socket = &mut self.sockets[slot.0 as usize];
        if socket.wake_bytes != bytes
            && let Some(fd) = &socket.fd
        {
            // Without it there are more receives, and all is well.
            let _ = sys::set_receive_low_water(fd, bytes);
            socket.wake_bytes = bytes;
        }
    }

    fn close(&mut self, slot: Slot, kind: CloseKind) -> bool {
        if self.ring.room() < 2 {
            return false;
        }
        let socket = &mut self.sockets[slot.0 as usize];
        socket.send_token = INTERNAL;
        // A slot may be closed more than once.
        if socket.attempt == Attempt::Spare || self.keep_spare(slot) {
            return true;
        }
        if let Some(fd) = self.sockets[slot.0 as usize].fd.take() {
            if kind == CloseKind::Reset {
                // A socket that refuses the option is closed in order, which is no worse.
                let _ = sys::set_linger_zero(fd.as_fd());
            }
            let all = CancelBuilder::fd(Fixed(slot.0)).all();
            self.push_internal(opcode::AsyncCancel2::new(all).build());
            self.push_internal(opcode::Close::new(Fixed(slot.0)).build());
            self.closing.push(fd);
        }
        true
    }

    /// Once the kernel has taken every entry: descriptors that entries named may be closed, and
    /// the places that entries read may be used again.
    fn let_go(&mut self) {
        if self.ring.inner.submission().is_empty() {
            self.closing.clear();
            self.flushes += 1;
        }
    }

    fn submit_and_wait(&mut self, until_ns: u64) -> std::io::Result<()> {
        let idle = self.synthetic.is_empty() && self.ring.inner.completion().is_empty();
        // Whoever has been idle goes on sleeping: there is nobody to hurry for.
        let has_worked = self.brought_any || !self.ring.inner.submission().is_empty();
        let after_work_ns = if has_worked { self.spin.after_work_ns } else { 0 };
        if self.keeps_deadline && idle && until_ns > 0 && self.set_timer(until_ns) {
            return self.ring.enter(Wait::ForCompletion);
        }
        if !idle || until_ns == 0 || after_work_ns.max(self.spin.before_deadline_ns) == 0 {
            return self.ring.enter(self.wait(until_ns, idle));
        }
        self.ring.enter(Wait::No)?;
        let mut now_ns = self.clock.now_ns();
        let asleep_until_ns = until_ns.saturating_sub(self.lead.ns(now_ns));
        let awake_until_ns = now_ns.saturating_add(after_work_ns);
        while now_ns < until_ns && !self.ring.has_work() {
            if now_ns < awake_until_ns || now_ns >= asleep_until_ns {
                std::hint::spin_loop();
                let later_ns = self.clock.now_ns();
                self.idle_spin_ns += (later_ns - now_ns).min(crate::limits::SPIN_STEP_NS_MAX);
                now_ns = later_ns;
                continue;
            }
            self.ring.enter(self.wait(asleep_until_ns, true))?;
            now_ns = self.clock.now_ns();
            if !self.ring.has_work() {
                self.lead.woke(until_ns, now_ns);
            }
        }
        // What the kernel holds ready is brought in; what sleeping brought needs no call.
        if self.ring.inner.completion().is_empty() && self.ring.has_work() {
            return self.ring.enter(Wait::No);
        }
        Ok(())
    }

    /// Sees to it that a timer goes off by `until_ns`; one in flight that does is left alone. False
    /// when there is no room for its entry.
    fn set_timer(&mut self, until_ns: u64) -> bool {
        if self.timer_ns.is_some_and(|timer_ns| timer_ns <= until_ns) {
            return true;
        }
        if self.ring.room() == 0 {
            return false;
        }
        let monotonic_ns = self.clock.base_monotonic_ns().saturating_add(until_ns);
        let monotonic_ns = monotonic_ns.min(i64::MAX as u64);
        *self.timer_at = Timespec::new()
            .sec(monotonic_ns / 1_000_000_000)
            .nsec((monotonic_ns % 1_000_000_000) as u32);
        let timeout = opcode::Timeout::new(&raw const *self.timer_at)
            .flags(io_uring::types::TimeoutFlags::ABS);
        self.ring.push(&timeout.build().user_data(TIMER));
        self.timer_ns = Some(until_ns);
        true
    }

    fn wait(&self, until_ns: u64, idle: bool) -> Wait {
        if !idle || until_ns == 0 {
            return Wait::No;
        }
        if self.ring.abs_timer() {
            let monotonic_ns = self.clock.base_monotonic_ns().saturating_add(until_ns);
            return Wait::UntilMonotonic(monotonic_ns.min(i64::MAX as u64));
        }
        match until_ns.saturating_sub(self.clock.now_ns()) {
            0 => Wait::No,
            ns => Wait::AtMost(ns),
        }
    }

    fn reap(&mut self, done: &mut Completions) {
        while done.room() > 0 {
            let Some(completion) = self.synthetic.pop_front() else { break };
            done.items.push(completion);
        }
        let mut room = done.room();
        let mut queue = self.ring.inner.completion();
        while room > 0 {
            let Some(entry) = queue.next() else { break };
            if entry.user_data() == INTERNAL {
                continue;
            }
            if entry.user_data() == TIMER {
                // It may be one that was set for later, with the one that counts still to come.
                let (now_ns, went_off) = (self.clock.now_ns(), entry.result() == -libc::ETIME);
                self.timer_ns = self.timer_ns.filter(|&at_ns| went_off && at_ns > now_ns);
                continue;
            }
            let (token, flags) = (Token::from_bits(entry.user_data()), entry.flags());
            let mut result = match entry.result() {
                errno @ ..0 => Err(sys::io_error(-errno)),
                bytes => Ok(bytes as u32),
            };
            let mut lease = None;
            if let Some(buffer) = cqueue::buffer_select(flags) {
                match result {
                    Ok(len @ 1..) => lease = Some(RecvLease::new(buffer, len)),
                    _ => self.recv_buffers.recycle(buffer),
                }
            }
            if token.kind() == crate::io::OpKind::Connect
                && result == Err(IoError::Refused)
                && let Some(socket) = self.sockets.get_mut(token.index() as usize)
                && socket.connect_token == token.bits()
            {
                socket.attempt = Attempt::Refused;
            }
            if token.kind() == crate::io::OpKind::Send {
                if let Some(buffer) = take_leased(&mut self.sockets, &mut self.leased_before, token)
                {
                    self.send_buffers.give_back(buffer);
                }
                // The kernel stops short of the whole only when the connection broke on the way, or
                // when it was closed here.
                let asked = self.sockets.get(token.index() as usize);
                match asked.map(|socket| (socket.send_token == token.bits(), socket.send_len)) {
                    Some((true, len)) if result.is_ok_and(|sent| sent < len) => {
                        result = Err(IoError::BrokenPipe);
                    }
                    Some((false, _)) if result.is_ok() => result = Err(IoError::Cancelled),
                    _ => {}
                }
            }
            let socket = self.sockets.get(token.index() as usize);
            let has_rest = cqueue::sock_nonempty(flags) && socket.is_some_and(|s| s.tells_rest);
            let more = cqueue::more(flags);
            done.items.push(Completion { token, result, lease, more, has_rest });
            room -= 1;
        }
    }
}

/// Ends the lease of a send that came back and says which buffer it was, if it had one. Sends of
/// connections that were closed are few, and only they are searched for.
fn take_leased(sockets: &mut [Socket], before: &mut Vec<(u64, u16)>, token: Token) -> Option<u16> {
    let current = sockets.get_mut(token.index() as usize).map(|socket| &mut socket.leased);
    if let Some(leased) = current
        && let Some((_, buffer)) = leased.take_if(|(bits, _)| *bits == token.bits())
    {
        return Some(buffer);
    }
    let position = before.iter().position(|(bits, _)| *bits == token.bits())?;
    Some(before.swap_remove(position).1)
}

fn broken(error: &std::io::Error) -> BackendError {
    BackendError { call: "io_uring_enter", errno: error.raw_os_error().unwrap_or(0) }
}

impl Backend for Uring {
    fn now_ns(&mut self) -> u64 {
        self.clock.now_ns()
    }

    fn push(&mut self, op: Op, token: Token) -> Result<(), QueueFull> {
        if self.ring.room() == 0 {
            return Err(QueueFull(op));
        }
        let bits = token.bits();
        match op {
            Op::Connect { slot, address_index } => {
                if !self.connect(slot, address_index, token) {
                    return Err(QueueFull(op));
                }
            }
            Op::Send { slot, start, len, confirm } => {
                let range = start as usize..start as usize + len as usize;
                let bytes = self.arena[range].as_ptr();
                self.send(slot, bytes, len, confirm, token);
            }
            Op::SendLeased { slot, lease, len } => {
                let bytes = self.send_buffers.address(lease.buffer(), len);
                let leased = &mut self.sockets[slot.0 as usize].leased;
                self.leased_before.extend(leased.replace((bits, lease.buffer())));
                self.send(slot, bytes, len, Confirm::Always, token);
            }
            Op::RecvStream { slot } => {
                self.wake_at(slot, 1);
                self.sockets[slot.0 as usize].recv_token = bits;
                let recv = opcode::RecvMulti::new(Fixed(slot.0), BUFFER_GROUP);
                self.ring.push(&recv.build().user_data(bits));
            }
            Op::RecvOnce { slot, bytes_max } => {
                self.wake_at(slot, 1);
                self.sockets[slot.0 as usize].recv_token = bits;
                // Nothing is there yet in most cases: the answer's request leaves in this turn.
                let recv = opcode::Recv::new(Fixed(slot.0), std::ptr::null_mut(), bytes_max)
                    .ioprio(RECV_POLL_FIRST)
                    .buf_group(BUFFER_GROUP)
                    .build()
                    .flags(squeue::Flags::BUFFER_SELECT);
                self.ring.push(&recv.user_data(bits));
            }
            Op::Discard { slot, bytes_max } => {
                self.sockets[slot.0 as usize].recv_token = bits;
                // TCP throws the bytes away without looking at the address (tcp(7), MSG_TRUNC).
                let len = bytes_max.min(crate::limits::DISCARD_BYTES_MAX) as u32;
                let waits = len >= crate::limits::DISCARD_WAKE_BYTES_MIN
                    || self.sockets[slot.0 as usize].wake_bytes > 1;
                if waits {
                    self.wake_at(slot, len.min(crate::limits::DISCARD_WAKE_BYTES));
                }
                // Asking for readiness first makes the receive heed the low-water mark.
                let recv = opcode::Recv::new(Fixed(slot.0), std::ptr::null_mut(), len)
                    .ioprio(if waits { RECV_POLL_FIRST } else { 0 })
                    .flags(libc::MSG_TRUNC);
                self.ring.push(&recv.build().user_data(bits));
            }
            Op::CancelRecv { slot } => {
                let recv_token = self.sockets[slot.0 as usize].recv_token;
                self.push_internal(opcode::AsyncCancel::new(recv_token).build());
            }
            Op::Close { slot, kind } => {
                if !self.close(slot, kind) {
                    return Err(QueueFull(op));
                }
            }
        }
        Ok(())
    }

    fn turn(&mut self, until_ns: u64, done: &mut Completions) -> Result<(), BackendError> {
        done.items.clear();
        self.recv_buffers.publish();
        let entered = self.submit_and_wait(until_ns);
        self.let_go();
        self.reap(done);
        self.brought_any = !done.items.is_empty();
        done.stamp_ns = self.clock.now_ns();
        entered.map_err(|error| broken(&error))
    }

    fn bytes(&self, lease: &RecvLease) -> &[u8] {
        self.recv_buffers.bytes(lease.buffer(), lease.len())
    }

    fn bytes_mut(&mut self, lease: &mut RecvLease) -> &mut [u8] {
        self.recv_buffers.bytes_mut(lease.buffer(), lease.len())
    }

    fn recycle(&mut self, lease: RecvLease) {
        self.recv_buffers.recycle(lease.buffer());
    }

    fn lease_send(&mut self) -> Option<SendLease> {
        self.send_buffers.lease().map(SendLease::new)
    }

    fn send_bytes_mut(&mut self, lease: &mut SendLease) -> &mut [u8] {
        self.send_buffers.bytes_mut(lease.buffer())
    }

    fn return_send(&mut self, lease: SendLease) {
        self.send_buffers.give_back(lease.buffer());
    }

    fn adopt(&mut self, slot: Slot, fd: OwnedFd) -> Result<(), BackendError> {
        for _ in 0..ADOPT_TRIES {
            if self.ring.room() > 0 {
                break;
            }
            self.ring.enter(Wait::No).map_err(|error| broken(&error))?;
            self.let_go();
        }
        if self.ring.room() == 0 {
            return Err(broken(&std::io::Error::from_raw_os_error(libc::EBUSY)));
        }
        self.enter_table(slot, &fd);
        let socket = &mut self.sockets[slot.0 as usize];
        socket.fd = Some(fd);
        socket.wake_bytes = 1;
        socket.attempt = Attempt::Other;
        Ok(())
    }

    fn local_address(&self, slot: Slot) -> Option<SocketAddr> {
        self.sockets[slot.0 as usize].fd.as_ref().and_then(sys::local_address)
    }

    fn idle_spin_ns(&self) -> u64 {
        self.idle_spin_ns
    }

    fn description(&self) -> String {
        self.ring.describe()
    }
}

impl Drop for Uring {
    fn drop(&mut self) {
        // Submits what is queued, so that nothing is left to be executed after the memory is gone,
        // then ends every operation in flight and waits for it.
        let _ = self.ring.enter(Wait::No);
        let patience = Timespec::new().sec(1);
        let submitter = self.ring.inner.submitter();
        let _ = submitter.register_sync_cancel(Some(patience), CancelBuilder::any());
        let _ = submitter.unregister_buf_ring(BUFFER_GROUP);
    }
}

#[cfg(test)]
mod tests;
