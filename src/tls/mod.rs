//! TLS, the client's side: ciphertext of a connection in, plaintext out, and the other way round.
//!
//! Owns rustls, the certificates and what is accepted of a peer. Knows neither HTTP nor sockets nor
//! time: callers bring bytes that arrived and take bytes that are to leave.
//!
//! The idea: records are decrypted where they were received. Only a record that came in pieces is
//! collected in the session's own buffer, which is bounded, and from which what follows goes on in
//! place. What is sent is encrypted straight into the buffer that the kernel will read.
//!
//! `settings` turns what was asked for into a configuration that cannot be refused any more, `names`
//! knows the cipher suites and groups, `trust` whom to believe, `session` is one connection,
//! `fault` says what went wrong, `certificate` reads a certificate's subject.
//!
//! Kernel TLS is left out. Its gain is sending files without a copy, and a load generator sends
//! small requests and wants to look at every answer; rustls would have to hand its keys over, and
//! many kernels are built without it.

mod certificate;
mod fault;
mod names;
mod session;
mod settings;
#[cfg(test)]
pub(crate) mod tests;
mod trust;

pub use fault::Fault;
pub use names::{Cipher, Group, Version};
pub use session::{Facts, Session};
pub use settings::{
    Client, Identity, Options, Settings, SettingsError, Trust, certificates_from_pem,
    identity_from_pem,
};

/// Bytes that one record adds to its plaintext at most: header, explicit nonce, padding type, tag.
const RECORD_OVERHEAD_BYTES: usize = 5 + 8 + 1 + 16;
/// Most plaintext in one record (RFC 8446 section 5.1).
const RECORD_PLAIN_BYTES_MAX: usize = 16 * 1024;
/// Room kept in every buffer for a change of keys that goes before the data.
const KEY_UPDATE_BYTES: usize = 64;

/// How many bytes of plaintext surely fit a send buffer of `buffer_bytes` once encrypted.
pub fn plain_bytes_max(buffer_bytes: usize) -> usize {
    let room = buffer_bytes.saturating_sub(KEY_UPDATE_BYTES);
    let records = room.div_ceil(RECORD_PLAIN_BYTES_MAX + RECORD_OVERHEAD_BYTES);
    room.saturating_sub(records * RECORD_OVERHEAD_BYTES)
}

/// The send buffer that takes `plain_bytes` at once.
pub fn buffer_bytes_for(plain_bytes: usize) -> usize {
    let records = plain_bytes.div_ceil(RECORD_PLAIN_BYTES_MAX);
    plain_bytes + records * RECORD_OVERHEAD_BYTES + KEY_UPDATE_BYTES
}
