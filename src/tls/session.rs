//! One connection's records, in both directions.

use std::borrow::Cow;

use rustls::client::UnbufferedClientConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, UnbufferedStatus, WriteTraffic,
};
use rustls::{HandshakeKind, client::ClientConnectionData};

use super::certificate;
use super::fault::{Fault, plain_text};
use super::names;
use super::settings::Client;
use crate::limits::TLS_HELD_BYTES_MAX;
use crate::outcome::TlsFault;

/// Header of every record: type, version, length.
const HEADER_BYTES: usize = 5;
/// The type of a record that holds an alert, and the alert that ends a connection in order (RFC 8446
/// sections 5.1 and 6).
const ALERT: u8 = 21;
const CLOSE_NOTIFY: u8 = 0;
/// Longest content a record's header may announce (RFC 5246 section 6.2.3).
const CONTENT_BYTES_MAX: usize = 16 * 1024 + 2048;

/// What was agreed on with a peer, for people.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Facts {
    /// `TLS 1.3`.
    pub version: String,
    /// The cipher suite by its registered name.
    pub cipher: String,
    /// The group of the key exchange; empty where a resumed session had none.
    pub group: String,
    /// The application protocol chosen by the peer; empty when it chose none.
    pub alpn: String,
    /// Subject of the peer's certificate.
    pub subject: String,
}

/// One connection's TLS. Used again for the next connection by `begin`; its buffers stay.
#[derive(Default)]
pub struct Session {
    conn: Option<UnbufferedClientConnection>,
    /// What arrived of a record that is not whole, and messages in pieces.
    held: Vec<u8>,
    /// Encoded, and not taken by `take_outgoing`.
    outgoing: Vec<u8>,
    /// Bytes of outgoing that were taken.
    taken_bytes: usize,
    is_established: bool,
    is_closed_by_peer: bool,
    is_exhausted: bool,
    /// Nothing more is looked at or written.
    is_over: bool,
    /// Records were accepted, so whoever is there speaks TLS.
    has_heard: bool,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("is_established", &self.is_established)
            .field("held_bytes", &self.held.len())
            .finish_non_exhaustive()
    }
}

impl Session {
    /// A session without a connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins the handshake of a new connection to one of the client's servers, counted from 0; its
    /// first bytes are outgoing.
    pub fn begin(&mut self, client: &Client, server: u32) -> Result<(), Fault> {
        self.held.clear();
        self.outgoing.clear();
        self.taken_bytes = 0;
        self.is_established = false;
        self.is_closed_by_peer = false;
        self.is_exhausted = false;
        self.is_over = false;
        self.has_heard = false;
        self.conn = None;
        let conn = client.connection(server).map_err(|error| Fault::of(&error))?;
        self.conn = Some(conn);
        self.process(&mut [], &mut |_| true).map(|_| ())
    }

    /// The handshake is done; requests may be encrypted.
    pub fn is_established(&self) -> bool {
        self.is_established
    }

    /// The peer said that nothing more will come (close_notify).
    pub fn is_closed_by_peer(&self) -> bool {
        self.is_closed_by_peer
    }

    /// A part of a record or of a message is there, and the rest is awaited.
    pub fn holds_a_part(&self) -> bool {
        !self.held.is_empty()
    }

    /// No more can be encrypted under these keys: the connection is to be replaced.
    pub fn is_exhausted(&self) -> bool {
        self.is_exhausted
    }

    /// Takes bytes that arrived and hands their plaintext to `plain`, piece by piece, until that
    /// answers false: the rest is then not looked at. The bytes are changed in place.
    ///
    /// After a fault the session is of no use but for its outgoing bytes, which tell the peer.
    pub fn receive(
        &mut self,
        bytes: &mut [u8],
        plain: &mut impl FnMut(&[u8]) -> bool,
    ) -> Result<(), Fault> {
        if self.is_over {
            return Ok(());
        }
        let looked = self.look(bytes, plain);
        self.is_over = !matches!(looked, Ok(true));
        looked.map(|_| ())
    }

    /// The same; true when later bytes are to be looked at too.
    fn look(
        &mut self,
        bytes: &mut [u8],
        plain: &mut impl FnMut(&[u8]) -> bool,
    ) -> Result<bool, Fault> {
        let mut rest = bytes;
        while !self.held.is_empty() && !rest.is_empty() {
            let taken = self.missing_bytes().map_or(rest.len(), |missing| missing.min(rest.len()));
            let (now, later) = rest.split_at_mut(taken);
            self.hold(now)?;
            rest = later;
            if self.held.len() >= HEADER_BYTES && self.missing_bytes().is_none() {
                let mut held = std::mem::take(&mut self.held);
                let used = self.process(&mut held, plain);
                self.held = held;
                let Some(used) = used? else { return Ok(false) };
                self.held.drain(..used);
            }
        }
        // Less than a header says nothing yet, and a wrong first byte not what stands there instead.
        if rest.len() < HEADER_BYTES {
            return self.hold(rest).map(|()| true);
        }
        let Some(used) = self.process(rest, plain)? else { return Ok(false) };
        self.hold(&rest[used..])?;
        Ok(true)
    }

    /// Bytes that are missing of the record held; `None` when it is whole (then a message in pieces
    /// is held) or is no record at all.
    fn missing_bytes(&self) -> Option<usize> {
        let Some(header) = self.held.first_chunk::<HEADER_BYTES>() else {
            return Some(HEADER_BYTES - self.held.len());
        };
        let content_bytes = usize::from(u16::from_be_bytes([header[3], header[4]]));
        let is_record = plain_text(header).is_none() && content_bytes <= CONTENT_BYTES_MAX;
        let missing = (HEADER_BYTES + content_bytes).checked_sub(self.held.len());
        missing.filter(|&missing| is_record && missing > 0)
    }

    /// Keeps the beginning of a record. The buffer stays with the session, so it grows seldom.
    fn hold(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let needed = self.held.len() + bytes.len();
        if needed > TLS_HELD_BYTES_MAX {
            return Err(Fault::new(
                TlsFault::Protocol,
                format!("the peer sent a message of more than {TLS_HELD_BYTES_MAX} bytes"),
            ));
        }
        self.held.extend_from_slice(bytes);
        Ok(())
    }

    /// Processes whole records at the start of `bytes`. Answers with the bytes used, or `None` when
    /// the rest is not to be looked at.
    fn process(
        &mut self,
        bytes: &mut [u8],
        plain: &mut impl FnMut(&[u8]) -> bool,
    ) -> Result<Option<usize>, Fault> {
        let Some(conn) = &mut self.conn else { return Ok(None) };
        let (mut used, mut has_encoded) = (0, false);
        loop {
            let UnbufferedStatus { mut discard, state, .. } =
                conn.process_tls_records(&mut bytes[used..]);
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(|error| Fault::of(&error))?;
                        discard += record.discard;
                        if !plain(record.payload) {
                            return Ok(None);
                        }
                    }
                    // Data is the last thing that its record brings, so there is nothing to ask for,
                    // unless what was encoded before waits to be declared sent.
                    if used + discard == bytes.len() && self.is_established && !has_encoded {
                        return Ok(Some(used + discard));
                    }
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    has_encoded = true;
                    encode(&mut self.outgoing, |out| data.encode(out))?;
                }
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::BlockedHandshake) => {
                    self.has_heard |= used + discard > 0;
                    // rustls lets it pass, because anybody could have written it; but whoever did, and
                    // could as well have ended the connection, will say no more.
                    if has_early_end(&bytes[..used + discard]) {
                        return Err(Fault::closed());
                    }
                    return Ok(Some(used + discard));
                }
                Ok(ConnectionState::WriteTraffic(_)) => {
                    self.is_established = true;
                    return Ok(Some(used + discard));
                }
                Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => {
                    if !self.is_established {
                        return Err(Fault::closed());
                    }
                    self.is_closed_by_peer = true;
                    return Ok(None);
                }
                Ok(other) => return Err(Fault::unexpected(&other)),
                Err(error) => {
                    let heard = self.has_heard || self.is_established || used > 0;
                    let unheard = if heard { &[] } else { &bytes[used..] };
                    let fault = plain_text(unheard).map_or_else(
                        || Fault::of(&error),
                        |seen| Fault::new(TlsFault::NotTls, seen),
                    );
                    if !matches!(error, rustls::Error::AlertReceived(_)) {
                        self.tell_peer(&mut bytes[used + discard..]);
                    }
                    return Err(fault);
                }
            }
            used += discard;
        }
    }

    /// Encodes the alert that rustls has ready after an error. It must be shown the bytes it has not
    /// used: parts of a message may lie there.
    fn tell_peer(&mut self, unused: &mut [u8]) {
        let Some(conn) = &mut self.conn else { return };
        if let Ok(ConnectionState::EncodeTlsData(mut data)) = conn.process_tls_records(unused).state
        {
            // Without it the peer still sees the end.
            let _ = encode(&mut self.outgoing, |out| data.encode(out));
        }
    }

    /// Bytes of memory held for records and messages in pieces.
    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.held.capacity()
    }

    /// Bytes that are to leave before anything else.
    pub fn outgoing_bytes(&self) -> usize {
        self.outgoing.len() - self.taken_bytes
    }

    /// Moves outgoing bytes to the start of `out`, as many as fit, and says how many.
    pub fn take_outgoing(&mut self, out: &mut [u8]) -> usize {
        let rest = &self.outgoing[self.taken_bytes..];
        let count = rest.len().min(out.len());
        out[..count].copy_from_slice(&rest[..count]);
        self.taken_bytes += count;
        if self.taken_bytes == self.outgoing.len() {
            self.outgoing.clear();
            self.taken_bytes = 0;
        }
        count
    }

    /// Encrypts `plain` to the start of `out`, which `plain_bytes_max` says is large enough, and
    /// answers with the bytes written. Outgoing bytes must have been taken before. `None` when the
    /// keys are used up.
    pub fn encrypt(&mut self, plain: &[u8], out: &mut [u8]) -> Option<usize> {
        debug_assert_eq!(self.outgoing_bytes(), 0, "records must leave in order");
        let written = self.write(|traffic| traffic.encrypt(plain, out));
        self.is_exhausted |= written.is_none();
        written
    }

    /// Tells the peer that nothing more will come; the alert is written to the start of `out`.
    pub fn close_notify(&mut self, out: &mut [u8]) -> usize {
        self.write(|traffic| traffic.queue_close_notify(out)).unwrap_or(0)
    }

    fn write(
        &mut self,
        write: impl FnOnce(&mut WriteTraffic<'_, ClientConnectionData>) -> Result<usize, EncryptError>,
    ) -> Option<usize> {
        if self.is_over {
            return None;
        }
        let conn = self.conn.as_mut()?;
        // What is held is rustls's too: it may know parts of a message to lie there.
        match conn.process_tls_records(&mut self.held).state {
            Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                let written = write(&mut traffic);
                debug_assert!(
                    !matches!(written, Err(EncryptError::InsufficientSize(_))),
                    "a send buffer is too small: {written:?}"
                );
                written.ok()
            }
            _ => None,
        }
    }

    /// Whether the handshake was short, by a session known from before.
    pub fn is_resumed(&self) -> bool {
        let kind = self.conn.as_ref().and_then(|conn| conn.handshake_kind());
        kind == Some(HandshakeKind::Resumed)
    }

    /// What was agreed on.
    pub fn facts(&self) -> Facts {
        let Some(conn) = &self.conn else { return Facts::default() };
        let group = conn.negotiated_key_exchange_group();
        let leaf = conn.peer_certificates().and_then(<[_]>::first);
        Facts {
            version: conn.protocol_version().map(names::version_name).unwrap_or_default(),
            cipher: conn.negotiated_cipher_suite().map(names::cipher_name).unwrap_or_default(),
            group: group.map(|group| names::group_name(group.name())).unwrap_or_default(),
            alpn: conn
                .alpn_protocol()
                .map(String::from_utf8_lossy)
                .map(Cow::into_owned)
                .unwrap_or_default(),
            subject: leaf.map(|leaf| certificate::subject(leaf)).unwrap_or_default(),
        }
    }

    /// The application protocol chosen by the peer.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.conn.as_ref()?.alpn_protocol()
    }
}

/// Whether a close_notify that nobody encrypted is among these records of a handshake.
fn has_early_end(records: &[u8]) -> bool {
    let mut rest = records;
    while let Some((&[kind, 3, _, high, low], behind)) = rest.split_first_chunk::<HEADER_BYTES>() {
        let content_bytes = usize::from(u16::from_be_bytes([high, low]));
        let Some((content, behind)) = behind.split_at_checked(content_bytes) else { return false };
        if kind == ALERT && matches!(content, [_, CLOSE_NOTIFY]) {
            return true;
        }
        rest = behind;
    }
    false
}

/// Appends what `encode` writes, having asked it how much that is.
fn encode(
    outgoing: &mut Vec<u8>,
    mut encode: impl FnMut(&mut [u8]) -> Result<usize, EncodeError>,
) -> Result<(), Fault> {
    let start = outgoing.len();
    let mut room = 0;
    loop {
        outgoing.resize(start + room, 0);
        match encode(&mut outgoing[start..]) {
            Ok(written) => {
                outgoing.truncate(start + written);
                return Ok(());
            }
            Err(EncodeError::InsufficientSize(size)) if size.required_size > room => {
                room = size.required_size;
            }
            Err(error) => {
                return Err(Fault::new(TlsFault::Protocol, format!("cannot encode: {error}")));
            }
        }
    }
}
