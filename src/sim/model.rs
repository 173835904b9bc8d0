//! What the simulated world is like: the answers, the service times, the endings, the faults.
//!
//! Plain data. A `Model` together with a `Setup` and the caller's pushes decides every completion.

use std::ops::Range;

use super::live::LiveMaker;
use crate::rng::Rng;

/// One simulated network with one server behind every address.
#[derive(Clone, Debug)]
pub struct Model {
    /// Decides every random draw.
    pub seed: u64,
    /// Nanoseconds a byte is under way, the same in both directions.
    pub one_way_ns: u64,
    /// What a turn costs, in nanoseconds. With both this and all delays at zero, time stands still.
    pub turn_cost_ns: u64,
    /// Who listens at `Setup::addresses[i]`: `listeners[i % len]`; the model server when empty.
    pub listeners: Vec<Listener>,
    /// How long the model server works on one request.
    pub service: Service,
    /// Who waits for whom in the model server.
    pub queue: ServerQueue,
    /// While the server pauses no service makes progress; virtual time, nanoseconds.
    pub pause_ns: Option<Range<u64>>,
    /// A turn in this time comes back at its end: the caller was stopped meanwhile, or had no CPU.
    pub standstill_ns: Option<Range<u64>>,
    /// The same again and again, so many nanoseconds after it began; 0 is once.
    pub standstill_every_ns: u64,
    /// The turn that was stopped comes back with nothing, as a wait does that a signal interrupts.
    pub standstill_interrupts: bool,
    /// The n-th request of a connection is answered with `answers[n % len]`.
    pub answers: Vec<Answer>,
    /// How the model server ends connections.
    pub ending: Ending,
    /// Bytes the network holds for a peer that does not read.
    pub send_window_bytes: usize,
    /// Operations that can be pushed between two turns.
    pub queue_ops: usize,
    /// A turn that begins after this virtual time is an error, in nanoseconds: it finds a caller that
    /// never comes to its end.
    pub end_ns: u64,
    /// What goes wrong by chance.
    pub faults: Faults,
}

impl Model {
    /// A server that answers everything with `answer`, at once, 10 µs away.
    pub fn answering(answer: impl Into<Answer>) -> Self {
        Self {
            seed: 0,
            one_way_ns: 10_000,
            turn_cost_ns: 1_000,
            listeners: Vec::new(),
            service: Service::Constant(0),
            queue: ServerQueue::PerConnection,
            pause_ns: None,
            standstill_ns: None,
            standstill_every_ns: 0,
            standstill_interrupts: false,
            answers: vec![answer.into()],
            ending: Ending::Never,
            send_window_bytes: 256 * 1024,
            queue_ops: 4096,
            end_ns: u64::MAX,
            faults: Faults::none(),
        }
    }

    /// When the caller goes on if it is stopped at `now_ns`.
    pub(super) fn still_until_ns(&self, now_ns: u64) -> Option<u64> {
        let still_ns = self.standstill_ns.as_ref()?;
        let since_ns = now_ns.checked_sub(still_ns.start)?;
        let passed = since_ns.checked_div(self.standstill_every_ns).unwrap_or(0);
        let end_ns = still_ns.end + passed * self.standstill_every_ns;
        (now_ns < end_ns).then_some(end_ns)
    }

    /// Scripted peers only: address `i` behaves as `listeners[i]`.
    pub fn scripted(listeners: Vec<Listener>) -> Self {
        Self { listeners, ..Self::answering(Vec::new()) }
    }
}

/// What one address does with connection attempts.
#[derive(Clone, Debug)]
pub enum Listener {
    /// The model server.
    Serve,
    /// Every connection plays this script.
    Script(Vec<Step>),
    /// Every connection gets a peer of its own from here.
    Live(LiveMaker),
    /// Nobody listens.
    Refuse,
    /// Nobody listens before this virtual time; then the model server does.
    RefuseUntil(u64),
    /// The model server listens for `up_ns`, then nobody for `down_ns`, and so on from time 0.
    /// Connections that are established stay.
    ComesAndGoes { up_ns: u64, down_ns: u64 },
    /// No answer ever; the attempt times out after `CONNECT_TIMEOUT_NS`.
    Blackhole,
    /// No route.
    Unreachable,
}

/// After this long without an answer a connection attempt ends as `TimedOut`; Linux with its
/// default of six SYN retries.
pub const CONNECT_TIMEOUT_NS: u64 = 127 * 1_000_000_000;

/// One step of a scripted peer. After the last one it reads until the client ends the connection.
#[derive(Clone, Debug)]
pub enum Step {
    /// Reads exactly this many bytes.
    Read(usize),
    /// Reads this many bytes in pieces of `piece_bytes`, with a pause after each.
    ReadSlowly { bytes: usize, piece_bytes: usize, pause_ns: u64 },
    /// Writes these bytes.
    Write(Vec<u8>),
    /// Reads this many bytes and writes each back.
    Echo(usize),
    /// Does nothing for so long.
    Pause(u64),
    /// Ends the direction towards the client, and goes on reading.
    Fin,
    /// Resets the connection; what follows is not played.
    Rst,
}

/// How a scripted peer saw its connection end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PeerEnd {
    /// The client's FIN.
    Eof,
    /// The client's RST.
    Reset,
    /// It reset the connection itself.
    OwnReset,
}

/// What a scripted peer saw of one connection.
#[derive(Clone, Debug)]
pub struct PeerSeen {
    /// The address it was connected to.
    pub address_index: u32,
    /// All bytes read.
    pub read: Vec<u8>,
    /// `None` while the connection lives.
    pub end: Option<PeerEnd>,
}

/// How long one request is worked on.
#[derive(Clone, Copy, Debug)]
pub enum Service {
    /// Always this many nanoseconds.
    Constant(u64),
    /// Exponentially distributed, with this mean.
    Exponential { mean_ns: u64 },
}

/// Who waits for whom.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ServerQueue {
    /// Each connection has its own server; requests of one connection are served in order.
    PerConnection,
    /// One server for all, first come first served.
    SingleFifo,
}

/// Raw bytes sent for one request: `bytes`, then `fill_bytes` times `x`.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Sent first.
    pub bytes: Vec<u8>,
    /// So a body of 10 GiB needs no memory.
    pub fill_bytes: u64,
}

impl Answer {
    /// Length on the wire.
    pub fn len_bytes(&self) -> u64 {
        self.bytes.len() as u64 + self.fill_bytes
    }
}

impl From<Vec<u8>> for Answer {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, fill_bytes: 0 }
    }
}

/// How the model server ends connections.
#[derive(Clone, Copy, Debug)]
pub enum Ending {
    /// Never.
    Never,
    /// Closes once this many requests are answered, and reads no request beyond them. Bytes that
    /// arrive later are swallowed, or answered by a reset.
    AfterAnswers { answers: u32, leftover: Leftover },
    /// Resets the connection behind the last byte of this many answers.
    ResetAfterAnswers(u32),
    /// Answers `answers` requests, then sends `bytes` bytes of the next answer and ends.
    CutAnswer { answers: u32, bytes: u64, reset: bool },
}

/// What happens to requests sent to a server that has ended the connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Leftover {
    /// Read and thrown away (a lingering close).
    Swallow,
    /// Answered by a reset (a plain close).
    Reset,
}

/// A stalling server works up to this much longer on a request, in nanoseconds.
pub const STALL_NS_MAX: u64 = 50_000_000;

/// What goes wrong by chance, each a probability in parts per million, drawn from the seed.
///
/// There are two sorts. Faults of the *backend* are what the contract of `io::Backend` allows on a
/// good day: they lose and invent no byte, and no request ends otherwise for them. Faults of the
/// *world* change outcomes; those of an answer concern the model server alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Per step of a send: a part of it is taken, and the rest later. One whose success is silent is
    /// never pending, so it is taken whole, and its rest is under way for longer.
    pub short_send_ppm: u32,
    /// Per receive: it is cut at a random byte, and the rest follows later.
    pub recv_split_ppm: u32,
    /// Per pair of neighbours in a batch: they change places if of different connections.
    pub reorder_ppm: u32,
    /// Per receive into a buffer: `NoBuffers`, although there are.
    pub no_buffers_ppm: u32,
    /// Per completion of a `RecvStream`: the stream ends after it.
    pub stream_ends_ppm: u32,
    /// Per push: `QueueFull`, although there is room.
    pub queue_full_ppm: u32,
    /// Per operation cancelled: its completion comes up to a millisecond later. Per stream closed:
    /// bytes that are under way to it still arrive.
    pub late_cancel_ppm: u32,
    /// Per batch of several completions: only the first fit the completion queue. The others come
    /// with the next turn, and streams of which one is among them end.
    pub overflow_ppm: u32,
    /// Per turn: it returns early with nothing, as an interrupted wait does.
    pub early_return_ppm: u32,
    /// Per turn: the clock reads as it did the time before.
    pub clock_stands_ppm: u32,

    /// World. Per connection attempt: refused.
    pub refused_ppm: u32,
    /// World. Per connection attempt: no answer, as from a full backlog.
    pub connect_hangs_ppm: u32,
    /// World. Per connection attempt: no descriptor left.
    pub no_descriptors_ppm: u32,
    /// World. Per send: this machine has no memory for it.
    pub send_fails_ppm: u32,
    /// World. Per arrival of bytes at the server: it resets the connection instead of reading them,
    /// so that a request may be broken at any byte.
    pub request_reset_ppm: u32,
    /// World. Per answer: the server resets the connection behind a random byte of it.
    pub answer_reset_ppm: u32,
    /// World. Per answer: the server closes the connection behind a random byte of it.
    pub answer_eof_ppm: u32,
    /// World. Per request: the server takes up to `STALL_NS_MAX` longer.
    pub stall_ppm: u32,
}

impl Faults {
    /// A world where nothing goes wrong.
    pub fn none() -> Self {
        Self::default()
    }

    /// The backend's dials drawn at random, each off in half of the draws: so some worlds know one
    /// fault alone, and others nearly all of them.
    pub fn swarm(rng: &mut Rng) -> Self {
        let mut dial = |ppm_max: u64| dial(rng, ppm_max);
        Self {
            short_send_ppm: dial(500_000),
            recv_split_ppm: dial(500_000),
            reorder_ppm: dial(500_000),
            no_buffers_ppm: dial(300_000),
            stream_ends_ppm: dial(500_000),
            queue_full_ppm: dial(300_000),
            late_cancel_ppm: dial(900_000),
            early_return_ppm: dial(300_000),
            clock_stands_ppm: dial(300_000),
            overflow_ppm: dial(300_000),
            ..Self::none()
        }
    }

    /// The world's dials drawn in the same way, on top of these.
    pub fn with_world(self, rng: &mut Rng) -> Self {
        let mut dial = |ppm_max: u64| dial(rng, ppm_max);
        Self {
            refused_ppm: dial(500_000),
            connect_hangs_ppm: dial(100_000),
            no_descriptors_ppm: dial(200_000),
            send_fails_ppm: dial(50_000),
            request_reset_ppm: dial(50_000),
            answer_reset_ppm: dial(50_000),
            answer_eof_ppm: dial(50_000),
            stall_ppm: dial(50_000),
            ..self
        }
    }
}

fn dial(rng: &mut Rng, ppm_max: u64) -> u32 {
    match rng.below(2) {
        0 => 0,
        _ => 1 + rng.below(ppm_max) as u32,
    }
}
