//! A TLS server in memory, on rustls's other, buffered interface.

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, ServerConnection};

use super::certificates::{Authority, Issued};

/// What a server is like.
#[derive(Clone, Debug)]
pub(crate) struct Like {
    pub(crate) version: u16,
    pub(crate) tickets: usize,
    pub(crate) alpn: &'static [&'static str],
    /// Demands a client certificate of this authority (PEM).
    pub(crate) demands: Option<String>,
    /// Longest record it writes.
    pub(crate) fragment: Option<usize>,
    pub(crate) groups: Option<usize>,
}

impl Default for Like {
    fn default() -> Self {
        Self {
            version: 13,
            tickets: 2,
            alpn: &["http/1.1"],
            demands: None,
            fragment: None,
            groups: None,
        }
    }
}

impl Like {
    pub(crate) fn config(&self, issued: &Issued) -> Arc<ServerConfig> {
        let mut provider = aws_lc_rs::default_provider();
        if let Some(one) = self.groups {
            provider.kx_groups = vec![provider.kx_groups[one]];
        }
        let provider = Arc::new(provider);
        let version = if self.version == 12 { &TLS12 } else { &TLS13 };
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[version])
            .unwrap();
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(issued.chain.as_bytes()).collect();
        let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
        let builder = match &self.demands {
            None => builder.with_no_client_auth(),
            Some(root) => {
                let mut roots = RootCertStore::empty();
                roots.add(CertificateDer::from_pem_slice(root.as_bytes()).unwrap()).unwrap();
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                        .build()
                        .unwrap();
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_single_cert(chain.unwrap(), key).unwrap();
        config.send_tls13_tickets = self.tickets;
        config.session_storage = match self.tickets {
            0 => Arc::new(NoServerSessionStorage {}),
            _ => ServerSessionMemoryCache::new(1024),
        };
        config.max_fragment_size = self.fragment;
        config.alpn_protocols = self.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

/// One server's side of a connection: takes requests, answers each with the same bytes.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) conn: ServerConnection,
    /// Plaintext received and not answered yet.
    pub(crate) read: Vec<u8>,
    pub(crate) error: Option<rustls::Error>,
}

impl Server {
    pub(crate) fn new(config: &Arc<ServerConfig>) -> Self {
        let mut conn = ServerConnection::new(Arc::clone(config)).unwrap();
        conn.set_buffer_limit(None);
        Self { conn, read: Vec::new(), error: None }
    }

    /// Takes bytes from the client; its plaintext is in `read` afterwards.
    pub(crate) fn receive(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.error.is_none() {
            if self.conn.read_tls(&mut bytes).unwrap() == 0 {
                return;
            }
            if let Err(error) = self.conn.process_new_packets() {
                self.error = Some(error);
            }
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = self.conn.reader().read(&mut piece) {
                self.read.extend_from_slice(&piece[..count]);
            }
        }
    }

    /// Writes plaintext.
    pub(crate) fn write(&mut self, plain: &[u8]) {
        self.conn.writer().write_all(plain).unwrap();
    }

    /// What is to leave for the client.
    pub(crate) fn outgoing(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        while self.conn.wants_write() {
            self.conn.write_tls(&mut out).unwrap();
        }
        out
    }
}

/// A root, and a certificate of it for `name` that is valid now.
pub(crate) fn issued_for(name: &str) -> (Authority, Issued) {
    let root = Authority::root("Test Root");
    let issued = root.issue(&[name], super::certificates::Valid::Now);
    (root, issued)
}
