//! Peers that make up their answers from what arrives: what a script cannot do, such as TLS.

use std::fmt;
use std::sync::Arc;

use super::Sim;
use super::wire::{Chunk, ECHO, EventKind, Peer};

/// What a live peer does after it took some bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LiveEnd {
    /// Goes on.
    Stays,
    /// Ends the direction towards the client.
    Fin,
    /// Resets the connection.
    Rst,
}

/// The far side of one connection.
pub trait LivePeer: fmt::Debug + Send {
    /// Takes bytes that arrived, appends to `out` what it answers, and says whether it goes on. Not
    /// asked again after an end.
    fn receive(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> LiveEnd;
}

type Make = dyn Fn() -> Box<dyn LivePeer> + Send + Sync;

/// Makes the peer of each connection to one address.
#[derive(Clone)]
pub struct LiveMaker(Arc<Make>);

impl LiveMaker {
    /// Whoever `make` gives answers.
    pub fn new(make: impl Fn() -> Box<dyn LivePeer> + Send + Sync + 'static) -> Self {
        Self(Arc::new(make))
    }

    pub(super) fn make(&self) -> Box<dyn LivePeer> {
        (self.0)()
    }
}

impl fmt::Debug for LiveMaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LiveMaker")
    }
}

/// A live peer's side of a connection.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) peer: Box<dyn LivePeer>,
    pub(super) has_ended: bool,
}

impl Sim {
    /// Bytes have arrived at a live peer.
    pub(super) fn live_reads(&mut self, conn: usize) {
        let it = &mut self.conns[conn];
        let bytes = it.up_readable().to_vec();
        let Peer::Live(live) = &mut it.peer else { return };
        let mut out = Vec::new();
        let end = if live.has_ended { LiveEnd::Stays } else { live.peer.receive(&bytes, &mut out) };
        live.has_ended |= end != LiveEnd::Stays;
        if !out.is_empty() {
            let count = out.len() as u64;
            it.echo.extend(out);
            it.down.push_back(Chunk { source: ECHO, at: 0, end: count });
            self.after_one_way(conn, EventKind::DownArrives(count));
        }
        self.consume(conn, bytes.len());
        match end {
            LiveEnd::Stays => {}
            LiveEnd::Fin => self.after_one_way(conn, EventKind::DownFin),
            LiveEnd::Rst => self.after_one_way(conn, EventKind::DownRst),
        }
    }
}
