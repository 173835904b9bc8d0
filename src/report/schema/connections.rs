//! What a result tells of connections beyond their number.

use serde::{Deserialize, Serialize};

use super::Latency;

/// Connections that were opened in the window, when they come and go under load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewConnections {
    /// How many were established; derived.
    pub established: u64,
    /// The same per second of the window; derived.
    pub per_s: f64,
    /// How long the attempts took that led to them; derived.
    pub connect: Latency,
}

/// One of several addresses, over the whole run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AddressCounts {
    /// As in `asked.addresses`, in the same order.
    pub address: String,
    /// Attempts begun.
    pub attempts: u64,
    /// Attempts that became connections.
    pub established: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Requests answered.
    pub completed: u64,
}
