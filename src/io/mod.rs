//! The vocabulary of effects: what a worker may ask of the outside world, and how it is answered.
//!
//! Owns operations, tokens, completions, leases and the trait `Backend`. Knows no implementation.
//! The idea: operations are values that name *slots*, never descriptors, and every completion
//! carries the token it was pushed with, so one connection state machine serves the ring, epoll and
//! the simulation alike. `contract` (tests) holds all implementations to what is written here.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;

mod address;
#[cfg(test)]
pub(crate) mod contract;
mod lead;

pub use address::Address;
pub use lead::Lead;

/// A place for one socket in a backend; `0 .. Setup::slots`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Slot(pub u32);

/// Which kind of operation a token belongs to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum OpKind {
    /// `Op::Connect`.
    Connect,
    /// `Op::Send` and `Op::SendLeased`.
    Send,
    /// `Op::RecvStream` and `Op::RecvOnce`.
    Recv,
    /// `Op::Discard`.
    Discard,
}

/// Who an operation belongs to: kind (8 bits), generation (24 bits), connection index (32 bits).
///
/// The generation tells a late completion of a closed connection from those of the connection that
/// took over its slot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Token(u64);

impl Token {
    /// Generations count modulo this.
    pub const GENERATIONS: u32 = 1 << 24;

    /// Packs the three parts; `generation` is taken modulo `GENERATIONS`.
    pub fn new(kind: OpKind, generation: u32, index: u32) -> Self {
        let generation = u64::from(generation % Self::GENERATIONS);
        Self(((kind as u64) << 56) | (generation << 32) | u64::from(index))
    }

    /// The kind of operation this token was made for.
    pub fn kind(self) -> OpKind {
        match self.0 >> 56 {
            0 => OpKind::Connect,
            1 => OpKind::Send,
            2 => OpKind::Recv,
            _ => OpKind::Discard,
        }
    }

    /// The generation, below `GENERATIONS`.
    pub fn generation(self) -> u32 {
        ((self.0 >> 32) & 0xff_ffff) as u32
    }

    /// The connection's index within its worker.
    pub fn index(self) -> u32 {
        (self.0 & 0xffff_ffff) as u32
    }

    /// The raw form, for a ring's user data.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// The inverse of `bits`.
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

/// Whether a send that succeeds is answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Confirm {
    /// One completion, whatever happens.
    Always,
    /// A completion only when it fails. The caller vouches that all bytes outstanding on the socket
    /// fit its send buffer, so that the send is never pending when the next one is pushed.
    OnFailure,
}

/// How a connection is ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CloseKind {
    /// FIN.
    Orderly,
    /// RST: leaves no TIME_WAIT behind.
    Reset,
}

/// One operation. A slot has at most one send and one receive (of any sort) in flight.
#[derive(Debug)]
pub enum Op {
    /// Opens a connection in an empty slot to `Setup::addresses[address_index]`, from the next of
    /// `Setup::sources`. Completes once: `Ok(0)` or the cause.
    Connect { slot: Slot, address_index: u32 },
    /// Sends `len` bytes of the arena from `start`. Completes when all bytes are taken (`Ok(len)`)
    /// or with an error; a short send is never reported as success.
    Send { slot: Slot, start: u32, len: u32, confirm: Confirm },
    /// Sends `len` bytes of the scratch buffer, which comes back to the pool with the completion.
    SendLeased { slot: Slot, lease: SendLease, len: u32 },
    /// Receives until told otherwise: each completion but the last has `more`. The last one is
    /// `Ok(0)` (end of stream), or an error: `NoBuffers` (recycle, then push again), `Cancelled`
    /// (after `CancelRecv` or `Close`), or the connection's. `Ok(n > 0)` without `more` means that
    /// the stream ended for the backend's own reasons: push it again.
    RecvStream { slot: Slot },
    /// One receive of at most `bytes_max` bytes: `Ok(n)` with a lease, `Ok(0)` at end of stream.
    RecvOnce { slot: Slot, bytes_max: u32 },
    /// Throws away up to `bytes_max` bytes of a TCP stream, once: `Ok(n)` without a lease, `Ok(0)` at
    /// end of stream. May answer before `bytes_max` are there, and may wait until they are.
    Discard { slot: Slot, bytes_max: u64 },
    /// Ends a receive in flight in the slot, whose final completion follows: `Cancelled`, unless it
    /// had ended by itself. The connection stays.
    CancelRecv { slot: Slot },
    /// Cancels everything in flight in the slot and closes it. Has no completion of its own; the
    /// cancelled operations still complete, with their tokens. The slot can be connected again at
    /// once, even in the same turn.
    Close { slot: Slot, kind: CloseKind },
}

/// Why an operation failed. Errno numbers are translated once, in the backend.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum IoError {
    /// Connection refused.
    Refused,
    /// The kernel gave up waiting.
    TimedOut,
    /// No route to host or network.
    Unreachable,
    /// Connection reset by peer.
    Reset,
    /// The peer no longer takes bytes.
    BrokenPipe,
    /// Ended by `CancelRecv` or `Close`.
    Cancelled,
    /// No receive buffer was free.
    NoBuffers,
    /// No local port is free for this address.
    NoPorts,
    /// The listener has no room for another connection at this moment.
    Busy,
    /// Descriptors or memory of this machine ran out, or it forbids what was asked; the errno says
    /// which.
    Local(i32),
    /// Anything else.
    Other(i32),
}

/// The right to read one finished receive. Neither `Copy` nor `Clone`: given back exactly once.
#[derive(Debug)]
#[must_use = "a lease that is not recycled is a buffer lost"]
pub struct RecvLease {
    buffer: u16,
    len: u32,
}

impl RecvLease {
    /// Made by backends from a completion that handed them `buffer`.
    pub(crate) fn new(buffer: u16, len: u32) -> Self {
        Self { buffer, len }
    }

    /// Number of the buffer within its backend.
    pub(crate) fn buffer(&self) -> u16 {
        self.buffer
    }

    /// Bytes received.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// True when nothing was received.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// The right to write one scratch buffer until it is sent.
#[derive(Debug)]
#[must_use = "a lease that is not sent is a buffer lost"]
pub struct SendLease {
    buffer: u16,
}

impl SendLease {
    /// Made by backends for a free scratch buffer.
    pub(crate) fn new(buffer: u16) -> Self {
        Self { buffer }
    }

    /// Number of the buffer within its backend.
    pub(crate) fn buffer(&self) -> u16 {
        self.buffer
    }
}

/// The end, or one step, of an operation.
#[derive(Debug)]
pub struct Completion {
    /// The token the operation was pushed with.
    pub token: Token,
    /// Bytes moved, or why not.
    pub result: Result<u32, IoError>,
    /// The bytes of a receive; always `None` for other operations and for `Ok(0)`.
    pub lease: Option<RecvLease>,
    /// More completions of this operation will follow.
    pub more: bool,
    /// Of a receive: when it was done, the socket held further bytes, or the end of its stream.
    pub has_rest: bool,
}

impl Completion {
    /// The end of an operation that has received nothing.
    pub fn ended(token: Token, result: Result<u32, IoError>) -> Self {
        Self { token, result, lease: None, more: false, has_rest: false }
    }
}

/// A bounded batch of completions with the one clock read that stamps them.
#[derive(Debug)]
pub struct Completions {
    /// In arrival order; never grows beyond the capacity it was made with.
    pub items: Vec<Completion>,
    /// When the batch was taken, in the backend's time.
    pub stamp_ns: u64,
    capacity: usize,
}

impl Completions {
    /// An empty batch with room for `capacity` completions.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { items: Vec::with_capacity(capacity), stamp_ns: 0, capacity }
    }

    /// How many more fit.
    pub fn room(&self) -> usize {
        self.capacity - self.items.len()
    }
}

/// No room in the submission queue; take a `turn`, then push again. The operation comes back.
#[derive(Debug)]
pub struct QueueFull(pub Op);

/// The backend itself broke; nothing more can be done with it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BackendError {
    /// The call that failed.
    pub call: &'static str,
    /// Its errno.
    pub errno: i32,
}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = std::io::Error::from_raw_os_error(self.errno);
        write!(f, "{} failed: {why}", self.call)
    }
}

/// When a wait keeps the CPU busy instead of giving it up. Both lengths in nanoseconds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Spin {
    /// From a turn on that brought completions or sent something: falling asleep and being woken
    /// costs both sides of a busy connection more than looking does.
    pub after_work_ns: u64,
    /// Before the deadline of a wait: whoever sleeps until then is woken after it.
    pub before_deadline_ns: u64,
    /// The same at most, while sleeps are found to overshoot their deadlines; see `Lead`.
    pub before_deadline_max_ns: u64,
}

impl Spin {
    /// Every wait sleeps.
    pub const NEVER: Self =
        Self { after_work_ns: 0, before_deadline_ns: 0, before_deadline_max_ns: 0 };
}

/// What a backend is given at construction.
#[derive(Clone, Debug)]
pub struct Setup {
    /// How many sockets it must hold at once.
    pub slots: u32,
    /// Bytes that sends refer to; never change.
    pub arena: Arc<[u8]>,
    /// Where `Connect` may go.
    pub addresses: Vec<Address>,
    /// Addresses of this machine that connections come from, in turn for each of `addresses`; the
    /// kernel's choice where none is of the same family.
    pub sources: Vec<IpAddr>,
    /// TCP congestion control to set on each socket; `None` leaves the system's.
    pub tcp_congestion: Option<String>,
    /// Bytes of one receive buffer.
    pub recv_buffer_bytes: usize,
    /// Receive buffers; a power of two.
    pub recv_buffers: u16,
    /// Scratch buffers for `lease_send`.
    pub send_buffers: u16,
    /// Bytes of one scratch buffer.
    pub send_buffer_bytes: usize,
    /// When a `turn` looks for completions instead of sleeping.
    pub spin: Spin,
    /// Waits often end before their deadline and are taken up again with the same one: setting a timer
    /// for each costs more than they do.
    pub keeps_deadline: bool,
}

/// All that a worker may ask of the outside world.
pub trait Backend {
    /// Nanoseconds since a base shared by all workers, taken before they start. Never decreases; may
    /// repeat.
    fn now_ns(&mut self) -> u64;

    /// Queues one operation. Nothing need leave before the next `turn`.
    fn push(&mut self, op: Op, token: Token) -> Result<(), QueueFull>;

    /// Submits what is queued, then waits for a completion or for `until_ns`, whichever is first; a
    /// time in the past does not wait. Clears `done`, fills it in arrival order up to its capacity
    /// and stamps it. May return early with nothing.
    fn turn(&mut self, until_ns: u64, done: &mut Completions) -> Result<(), BackendError>;

    /// Bytes of a finished receive, readable until the lease is given back.
    fn bytes(&self, lease: &RecvLease) -> &[u8];

    /// The same for changing them in place, as decryption does.
    fn bytes_mut(&mut self, lease: &mut RecvLease) -> &mut [u8];

    /// Gives a receive buffer back.
    fn recycle(&mut self, lease: RecvLease);

    /// A scratch buffer of `Setup::send_buffer_bytes`, or `None` when all are in flight.
    fn lease_send(&mut self) -> Option<SendLease>;

    /// The scratch buffer's bytes.
    fn send_bytes_mut(&mut self, lease: &mut SendLease) -> &mut [u8];

    /// Gives a scratch buffer back that was not sent.
    fn return_send(&mut self, lease: SendLease);

    /// A socket made elsewhere takes an empty slot.
    fn adopt(&mut self, slot: Slot, fd: OwnedFd) -> Result<(), BackendError>;

    /// The near end of a slot's TCP connection, once it is established.
    fn local_address(&self, _slot: Slot) -> Option<SocketAddr> {
        None
    }

    /// How long it has looked for completions in vain, in nanoseconds: CPU time that did no work.
    fn idle_spin_ns(&self) -> u64 {
        0
    }

    /// What this backend is and which features it uses, for the manifest: `uring (defer_taskrun …)`.
    fn description(&self) -> String;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_gives_back_its_three_parts() {
        for kind in [OpKind::Connect, OpKind::Send, OpKind::Recv, OpKind::Discard] {
            let token = Token::new(kind, Token::GENERATIONS + 5, u32::MAX);
            assert_eq!((token.kind(), token.generation(), token.index()), (kind, 5, u32::MAX));
            assert_eq!(Token::from_bits(token.bits()), token);
        }
    }
}
