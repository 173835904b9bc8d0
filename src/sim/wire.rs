//! One simulated connection: a byte pipe each way, what is pending on it, and events in time.

use super::live::Live;
use std::cmp::Ordering;
use std::collections::VecDeque;

use super::server::RequestReader;
use crate::io::{Confirm, IoError, Token};
use crate::sim::model::{Leftover, PeerEnd};

/// Something that will happen. Ties are broken by `seq`, so the order is the same in every run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub(super) at_ns: u64,
    pub(super) seq: u64,
    pub(super) conn: usize,
    /// Serial of the connection meant; a later one in the same place is not.
    pub(super) serial: u64,
    pub(super) kind: EventKind,
}

/// What happens. *Up* is towards the peer, *down* towards the client.
#[derive(Clone, Copy, Debug)]
pub(super) enum EventKind {
    Accept,
    Connected,
    ConnectFails(IoError),
    UpArrives(usize),
    UpEnds(PeerEnd),
    WindowOpens,
    ServiceEnds,
    ScriptWakes,
    DownArrives(u64),
    DownFin,
    DownRst,
    RecvGoesOn,
    LateCompletion(usize),
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Event {}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Event {
    /// The greatest is the earliest, as a max-heap wants it.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at_ns, other.seq).cmp(&(self.at_ns, self.seq))
    }
}

/// A send that has not been taken entirely.
#[derive(Debug)]
pub(super) struct PendingSend {
    pub(super) token: Token,
    pub(super) from: SendFrom,
    pub(super) taken: usize,
    pub(super) len: usize,
    pub(super) confirm: Confirm,
}

/// Where a send's bytes lie.
#[derive(Clone, Copy, Debug)]
pub(super) enum SendFrom {
    Arena { start: usize },
    Scratch { buffer: u16 },
}

#[derive(Clone, Copy, Debug)]
pub(super) struct PendingRecv {
    pub(super) token: Token,
    pub(super) sort: RecvSort,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum RecvSort {
    Stream,
    Once { bytes_max: u64 },
    Discard { bytes_max: u64 },
}

/// Bytes `at..end` of a source, or of the connection's echo when `source` is `ECHO`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunk {
    pub(super) source: usize,
    pub(super) at: u64,
    pub(super) end: u64,
}

/// The source number of a connection's own echo.
pub(super) const ECHO: usize = usize::MAX;

/// The far end of a connection.
#[derive(Debug)]
pub(super) enum Peer {
    /// Nobody there.
    Absent,
    Serve(Serve),
    Script(Script),
    Live(Live),
}

/// The model server's side of a connection.
#[derive(Debug, Default)]
pub(super) struct Serve {
    pub(super) reader: RequestReader,
    pub(super) received: u32,
    pub(super) answered: u32,
    /// When the service of each received request ends, in order.
    pub(super) due_ns: VecDeque<u64>,
    pub(super) busy_until_ns: u64,
    /// Set once the server has ended the connection.
    pub(super) closed: Option<Leftover>,
}

/// A script's progress.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) script: usize,
    pub(super) step: usize,
    /// Bytes the current step still wants; `None` before the step has begun.
    pub(super) left: Option<usize>,
    pub(super) sleeping: bool,
    pub(super) ended: bool,
    /// Index of its record.
    pub(super) seen: usize,
}

/// One connection, client's side and peer's side.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) serial: u64,
    pub(super) address_index: u32,
    /// The client has not closed it.
    pub(super) client_open: bool,
    pub(super) connected: bool,
    pub(super) connect: Option<Token>,
    pub(super) send: Option<PendingSend>,
    pub(super) recv: Option<PendingRecv>,

    /// Everything sent by the peer and not received, under way or arrived.
    pub(super) down: VecDeque<Chunk>,
    pub(super) echo: VecDeque<u8>,
    /// How many bytes of `down` have arrived.
    pub(super) down_arrived: u64,
    pub(super) fin_arrived: bool,
    /// Reported once, by whichever operation comes first; as a socket's error is.
    pub(super) error: Option<IoError>,
    /// A reset has arrived.
    pub(super) broken: bool,

    /// Everything taken from the client and not read by the peer, from `up_head` on.
    pub(super) up: Vec<u8>,
    pub(super) up_head: usize,
    /// How many bytes of `up` have arrived.
    pub(super) up_arrived: usize,
    /// When the last of what is under way to the peer arrives.
    pub(super) up_last_ns: u64,
    pub(super) up_end: Option<PeerEnd>,
    pub(super) peer: Peer,
}

impl Conn {
    /// A receive would bring something now.
    pub(super) fn has_rest(&self) -> bool {
        self.down_arrived > 0 || self.fin_arrived || self.error.is_some() || self.broken
    }

    pub(super) fn new(serial: u64) -> Self {
        Self {
            serial,
            address_index: 0,
            client_open: false,
            connected: false,
            connect: None,
            send: None,
            recv: None,
            down: VecDeque::new(),
            echo: VecDeque::new(),
            down_arrived: 0,
            fin_arrived: false,
            error: None,
            broken: false,
            up: Vec::new(),
            up_head: 0,
            up_arrived: 0,
            up_last_ns: 0,
            up_end: None,
            peer: Peer::Absent,
        }
    }

    /// Makes room for another connection and keeps the memory.
    pub(super) fn reset(&mut self) {
        let fresh = Self::new(self.serial + 1);
        let old = std::mem::replace(self, fresh);
        (self.down, self.echo, self.up) = (old.down, old.echo, old.up);
        self.down.clear();
        self.echo.clear();
        self.up.clear();
    }

    /// What the peer can read.
    pub(super) fn up_readable(&self) -> &[u8] {
        &self.up[self.up_head..self.up_head + self.up_arrived]
    }

    /// The peer has read `count` bytes.
    pub(super) fn up_consume(&mut self, count: usize) {
        assert!(count <= self.up_arrived);
        self.up_arrived -= count;
        self.up_head += count;
        if self.up_head == self.up.len() {
            self.up.clear();
            self.up_head = 0;
        } else if self.up_head > 64 * 1024 {
            self.up.drain(..self.up_head);
            self.up_head = 0;
        }
    }
}
