//! What a result says of TLS.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Latency;

/// TLS over the whole run; the section is null without it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tls {
    /// What was agreed on; null when no handshake succeeded.
    pub agreed: Option<Agreed>,
    /// Handshakes with an exchange of certificates.
    pub handshakes_full: u64,
    /// Handshakes shortened by a session known from before.
    pub handshakes_resumed: u64,
    /// Connections to servers of the same run that are spoken to without TLS.
    #[serde(default)]
    pub connections_plain: u64,
    /// Duration of the successful handshakes, from the connected socket on; derived.
    pub handshake: Latency,
    /// Handshakes that failed and connections that ended by a fault of TLS, by cause, zeros included.
    pub faults: BTreeMap<String, u64>,
    /// The first of them in words.
    pub first_fault: Option<String>,
}

/// What was agreed on with the peer, as of the first handshake.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agreed {
    /// `TLS 1.3`.
    pub version: String,
    /// Registered name of the cipher suite.
    pub cipher: String,
    /// Group of the key exchange; empty without one.
    pub group: String,
    /// Application protocol chosen by the peer; empty when it chose none.
    pub alpn: String,
    /// Subject of the peer's certificate.
    pub subject: String,
}
