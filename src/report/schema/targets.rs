//! The part of the format that tells of several targets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Agreed, Histogram, Latency};

/// One of a run's targets, in the order they were given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// Method and URL, secrets redacted.
    pub name: String,
    /// Its part of the requests, beside the others' weights.
    pub weight: u32,
    /// The server it is for: a place in `servers`.
    pub server: u32,
    /// In flight at the end of the run.
    pub inflight_end: u64,
    /// While connections were opened.
    pub opening: TargetPhase,
    /// Before the window.
    pub warmup: TargetPhase,
    /// The measurement.
    pub window: TargetPhase,
    /// After it.
    pub drain: TargetPhase,
    /// As the run's `latency`; derived.
    pub latency: Latency,
    /// Its histogram; in stored results alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub histogram: Option<Histogram>,
}

/// What became of a target's requests during a phase.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TargetPhase {
    /// Requests started.
    pub started: u64,
    /// Requests completed.
    pub completed: u64,
    /// Requests failed; derived.
    pub failed: u64,
    /// Requests failed, by cause, zeros left out.
    pub failures: BTreeMap<String, u64>,
    /// Requests completed by class of status (`1xx` to `5xx`, `other`), zeros left out.
    pub classes: BTreeMap<String, u64>,
}

/// A server that targets name, in the order they were first named.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Server {
    /// Scheme, host and port.
    pub name: String,
    /// Connections bound to it over all workers.
    pub connections: u32,
    /// Its addresses.
    pub addresses: Vec<String>,
    /// Attempts that became connections.
    #[serde(default)]
    pub established: u64,
    /// Left open by the block before, where runs are blocks of one session.
    #[serde(default, skip_serializing_if = "super::is_zero")]
    pub carried: u64,
    /// Attempts that failed, by cause, zeros left out.
    #[serde(default)]
    pub failures: BTreeMap<String, u64>,
    /// TLS with this server; null without it.
    #[serde(default)]
    pub tls: Option<ServerTls>,
}

/// TLS with one of several servers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerTls {
    /// What was agreed on; null when no handshake succeeded.
    pub agreed: Option<Agreed>,
    /// Handshakes with an exchange of certificates.
    pub handshakes_full: u64,
    /// Handshakes shortened by a session known from before.
    pub handshakes_resumed: u64,
    /// Handshakes that failed and connections that ended by a fault of TLS, by cause, zeros left out.
    pub faults: BTreeMap<String, u64>,
    /// The first of each cause in words.
    pub first_faults: Vec<ServerFault>,
}

/// A fault of TLS.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerFault {
    /// The cause.
    pub cause: String,
    /// What was seen.
    pub text: String,
}
