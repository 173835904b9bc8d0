//! What a plan says of TLS.

use crate::limits::{TLS_SEND_BUFFER_BYTES_MAX, TLS_SEND_BUFFER_BYTES_MIN, TLS_SEND_BYTES_MAX};
use crate::tls::{self, Settings};

/// Requests go over TLS.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The accepted configuration.
    pub settings: Settings,
    /// Whom to believe was named, and is not left to the system; for advice.
    pub names_roots: bool,
}

impl Tls {
    /// Bytes of one scratch buffer when one send covers `batch_bytes` of requests.
    pub fn send_buffer_bytes(&self, batch_bytes: usize) -> usize {
        tls::buffer_bytes_for(batch_bytes)
            .clamp(TLS_SEND_BUFFER_BYTES_MIN, TLS_SEND_BUFFER_BYTES_MAX)
            .next_multiple_of(64)
    }

    /// How many of them a worker needs: one for each connection, so that a connection whose peer
    /// takes nothing holds up no other. Where that is too much memory, they share.
    pub fn send_buffers(&self, connections: u32, buffer_bytes: usize) -> u16 {
        let most = (TLS_SEND_BYTES_MAX / buffer_bytes.max(1)).min(usize::from(u16::MAX));
        (connections as usize).clamp(1, most.max(1)) as u16
    }
}
