//! What a worker counts of TLS; runs without TLS have none of it.

use crate::hist::Hist;
use crate::limits;
use crate::outcome::{TlsFault, TlsFaultCounts};

/// What was agreed on with a peer, for people.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TlsFacts {
    /// `TLS 1.3`.
    pub version: String,
    /// The cipher suite's registered name.
    pub cipher: String,
    /// Group of the key exchange; empty without one.
    pub group: String,
    /// Application protocol chosen by the peer; empty when it chose none.
    pub alpn: String,
    /// Subject of the peer's certificate.
    pub subject: String,
}

/// Handshakes and faults over the whole run.
#[derive(Clone, Debug, PartialEq)]
pub struct TlsRecord {
    /// Duration in nanoseconds of every successful handshake, from the connected socket on.
    pub handshake: Hist,
    /// Handshakes with an exchange of certificates.
    pub full: u64,
    /// Handshakes shortened by a session known from before.
    pub resumed: u64,
    /// Connections to servers of the same run that are spoken to without TLS.
    pub plain: u64,
    /// Handshakes that failed, and connections that ended by a fault after theirs.
    pub faults: TlsFaultCounts,
    /// The first fault in words; parts of it may come from the peer.
    pub first_fault: Option<String>,
    /// What the first full handshake, or else the first one, agreed on.
    pub facts: Option<TlsFacts>,
}

impl Default for TlsRecord {
    fn default() -> Self {
        Self {
            handshake: Hist::new(limits::LATENCY_NS_MAX),
            full: 0,
            resumed: 0,
            plain: 0,
            faults: TlsFaultCounts::default(),
            first_fault: None,
            facts: None,
        }
    }
}

impl TlsRecord {
    /// Handshakes that succeeded.
    pub fn handshakes(&self) -> u64 {
        self.full + self.resumed
    }

    /// Adds another worker's.
    pub fn merge(&mut self, other: &Self) {
        self.handshake.merge(&other.handshake);
        self.full += other.full;
        self.resumed += other.resumed;
        self.plain += other.plain;
        self.faults.merge(&other.faults);
        if self.first_fault.is_none() {
            self.first_fault.clone_from(&other.first_fault);
        }
        if self.facts.is_none() {
            self.facts.clone_from(&other.facts);
        }
    }

    /// A handshake succeeded after `handshake_ns`.
    pub(super) fn done(
        &mut self,
        handshake_ns: u64,
        is_resumed: bool,
        facts: impl Fn() -> TlsFacts,
    ) {
        self.handshake.record(handshake_ns, 1);
        if is_resumed {
            self.resumed += 1;
        } else {
            self.full += 1;
        }
        if self.facts.is_none() {
            self.facts = Some(facts());
        }
    }

    /// Something was wrong.
    pub(super) fn fault(&mut self, cause: TlsFault, text: String) {
        self.faults.add(cause, 1);
        self.first_fault.get_or_insert(text);
    }
}
