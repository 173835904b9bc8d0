//! What became of the connections to each of several servers.
//!
//! Counted beside the totals, by the same events, so that a report can say which server it was that
//! could not be reached, and why.

use crate::outcome::{ConnectFailure, ConnectFailureCounts, TlsFault, TlsFaultCounts};

use super::{Recorder, TlsFacts};

/// Attempts, connections and TLS of one server, over the whole run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerRecord {
    /// Attempts that became connections.
    pub established: u64,
    /// Connections that the block before had left open.
    pub carried: u64,
    /// Attempts that failed, by cause.
    pub failed: ConnectFailureCounts,
    /// TLS handshakes with an exchange of certificates.
    pub full: u64,
    /// TLS handshakes shortened by a session known from before.
    pub resumed: u64,
    /// Handshakes that failed, and connections that ended by a fault of TLS after theirs.
    pub faults: TlsFaultCounts,
    /// The first fault of each cause in words, in the order they came; parts of them may come from
    /// the peer.
    pub fault_texts: Vec<(TlsFault, String)>,
    /// What the first handshake agreed on.
    pub facts: Option<TlsFacts>,
}

impl ServerRecord {
    /// There was a connection to it at some time.
    pub fn was_reached(&self) -> bool {
        self.established + self.carried > 0
    }

    /// The fault that came most often, and how the first of its kind was told.
    pub fn worst_fault(&self) -> Option<(TlsFault, &str)> {
        let (cause, _) =
            self.faults.iter().filter(|(_, count)| *count > 0).max_by_key(|(_, count)| *count)?;
        let text = self.fault_texts.iter().find(|(known, _)| *known == cause)?;
        Some((cause, &text.1))
    }

    /// Adds another worker's.
    pub fn merge(&mut self, other: &Self) {
        self.established += other.established;
        self.carried += other.carried;
        self.failed.merge(&other.failed);
        self.full += other.full;
        self.resumed += other.resumed;
        self.faults.merge(&other.faults);
        for (cause, text) in &other.fault_texts {
            self.tell(*cause, text);
        }
        if self.facts.is_none() {
            self.facts.clone_from(&other.facts);
        }
    }

    fn tell(&mut self, cause: TlsFault, text: &str) {
        if !self.fault_texts.iter().any(|(known, _)| *known == cause) {
            self.fault_texts.push((cause, text.to_owned()));
        }
    }
}

/// Adds another worker's servers, which are the same ones or, in a record of nothing yet, new.
pub(super) fn merge(mine: &mut Vec<ServerRecord>, theirs: &[ServerRecord]) {
    mine.resize_with(mine.len().max(theirs.len()), ServerRecord::default);
    for (mine, theirs) in mine.iter_mut().zip(theirs) {
        mine.merge(theirs);
    }
}

impl Recorder {
    /// Tells `count` servers apart.
    #[must_use]
    pub fn over_servers(mut self, count: u32) -> Self {
        self.record.servers = vec![ServerRecord::default(); count as usize];
        self
    }

    /// How many servers are told apart.
    pub fn servers(&self) -> u32 {
        self.record.servers.len() as u32
    }

    /// So many connections to `server` are open from before.
    pub fn carried_to(&mut self, server: u32, connections: u32) {
        self.at_server(server, |record| record.carried = u64::from(connections));
    }

    /// An attempt to `server` became a connection; booked by `established` as well.
    pub fn server_established(&mut self, server: u32) {
        self.at_server(server, |record| record.established += 1);
    }

    /// An attempt to `server` failed; booked by `connect_failed` as well.
    pub fn server_failed(&mut self, server: u32, cause: ConnectFailure) {
        self.at_server(server, |record| record.failed.add(cause, 1));
    }

    /// A TLS handshake with `server`, begun at `begun_ns`, succeeded.
    pub fn handshake_done(
        &mut self,
        server: u32,
        begun_ns: u64,
        is_resumed: bool,
        facts: impl Fn() -> TlsFacts,
    ) {
        let handshake_ns = self.now_ns.saturating_sub(begun_ns);
        self.record.tls.get_or_insert_default().done(handshake_ns, is_resumed, &facts);
        self.at_server(server, |record| {
            let count = if is_resumed { &mut record.resumed } else { &mut record.full };
            *count += 1;
            record.facts.get_or_insert_with(facts);
        });
    }

    /// A TLS handshake with `server` failed, or a connection after its own. `text` is for people.
    pub fn tls_fault(&mut self, server: u32, cause: TlsFault, text: String) {
        self.at_server(server, |record| {
            record.faults.add(cause, 1);
            record.tell(cause, &text);
        });
        self.record.tls.get_or_insert_default().fault(cause, text);
    }

    fn at_server(&mut self, server: u32, change: impl FnOnce(&mut ServerRecord)) {
        if let Some(record) = self.record.servers.get_mut(server as usize) {
            change(record);
        }
    }
}
