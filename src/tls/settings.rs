//! From what was asked for to a configuration that cannot be refused any more.

use std::fmt;
use std::sync::Arc;

use rustls::client::{Resumption, UnbufferedClientConnection};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

use super::names::{Cipher, Group, Version};
use super::trust::{AnyCertificate, Trusted};

/// Sessions each worker remembers for resumption, at least.
const SESSIONS_REMEMBERED: usize = 256;
/// And for each server: rustls keeps this many tickets of one.
const SESSIONS_PER_SERVER: usize = 8;

/// Whom to believe.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Anybody who holds the key of the certificate shown, whatever that says.
    Anybody,
    /// Whoever has a certificate for the name, issued by one of these, or one of these itself (DER).
    Roots(Vec<Vec<u8>>),
}

/// A client certificate with its chain, and its key.
#[derive(Debug)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        Self { chain: self.chain.clone(), key: self.key.clone_key() }
    }
}

/// What was asked of TLS.
#[derive(Clone, Debug)]
pub struct Options {
    /// The name that is asked for (SNI) and that the certificate must be for, or an address.
    pub server_name: String,
    /// Whom to believe.
    pub trust: Trust,
    /// The client certificate.
    pub identity: Option<Identity>,
    /// Application protocols offered, the preferred one first; none leaves the offer out.
    pub alpn: Vec<String>,
    /// The one version to use; `None` leaves the choice to the server.
    pub version: Option<Version>,
    /// Cipher suites to offer in order; none are the usual ones.
    pub ciphers: Vec<Cipher>,
    /// Groups to offer in order; none are the usual ones.
    pub groups: Vec<Group>,
    /// Sessions are remembered and resumed.
    pub resumes: bool,
}

/// Why there can be no configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SettingsError {
    /// Neither a host name nor an address.
    Name(String),
    /// Not a certificate, or none in the file.
    Certificate(String),
    /// Not a private key, or none in the file.
    Key(String),
    /// The key does not belong to the certificate.
    KeyMismatch,
    /// Versions, ciphers and groups leave nothing to offer.
    NothingToOffer(String),
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => {
                write!(f, "'{}' is neither a host name nor an address", name.escape_debug())
            }
            Self::Certificate(why) => write!(f, "no certificate can be read: {why}"),
            Self::Key(why) => write!(f, "no private key can be read: {why}"),
            Self::KeyMismatch => f.write_str("the private key does not belong to the certificate"),
            Self::NothingToOffer(why) => {
                write!(f, "version, ciphers and groups leave nothing to offer: {why}")
            }
        }
    }
}

/// The certificates of a PEM file, as DER; never none.
pub fn certificates_from_pem(bytes: &[u8]) -> Result<Vec<Vec<u8>>, SettingsError> {
    Ok(read_certificates(bytes)?.iter().map(|certificate| certificate.to_vec()).collect())
}

fn read_certificates(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, SettingsError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    let read = read.map_err(|error| SettingsError::Certificate(pem_error(&error)))?;
    if read.is_empty() {
        return Err(SettingsError::Certificate("no BEGIN CERTIFICATE is in it".to_owned()));
    }
    Ok(read)
}

/// A client certificate with its chain, and its key, each from a PEM file; they may be the same.
pub fn identity_from_pem(chain: &[u8], key: &[u8]) -> Result<Identity, SettingsError> {
    let chain = read_certificates(chain)?;
    let holds = |words: &[u8]| key.windows(words.len()).any(|window| window == words);
    // The older form says so in a header line, which is no base64.
    if holds(b"BEGIN ENCRYPTED PRIVATE KEY") || holds(b"Proc-Type: 4,ENCRYPTED") {
        return Err(SettingsError::Key("a password protects it".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
        pem::Error::NoItemsFound => SettingsError::Key("no BEGIN PRIVATE KEY is in it".to_owned()),
        other => SettingsError::Key(pem_error(&other)),
    })?;
    Ok(Identity { chain, key })
}

fn pem_error(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no END line".to_owned(),
        pem::Error::IllegalSectionStart { .. } => "a BEGIN line is broken".to_owned(),
        pem::Error::Base64Decode(_) => "its base64 is broken".to_owned(),
        other => other.to_string(),
    }
}

/// What all workers share: a configuration that was accepted, and whom it is for.
#[derive(Clone, Debug)]
pub struct Settings {
    config: Arc<ClientConfig>,
    /// By server; one without a name is spoken to without TLS.
    names: Arc<[Option<ServerName<'static>>]>,
    resumes: bool,
}

impl Settings {
    /// Checks everything that can be checked before a connection.
    pub fn new(options: Options) -> Result<Self, SettingsError> {
        let names = Arc::from([Some(server_name(&options.server_name)?)]);
        let mut provider = aws_lc_rs::default_provider();
        if !options.ciphers.is_empty() {
            provider.cipher_suites = options.ciphers.iter().map(|cipher| cipher.0).collect();
        }
        if !options.groups.is_empty() {
            provider.kx_groups = options.groups.iter().map(|group| group.0).collect();
        }
        let mut config = configuration(provider, options.version, options.trust, options.identity)?;
        config.alpn_protocols = options.alpn.into_iter().map(String::into_bytes).collect();
        config.resumption = Resumption::disabled();
        Ok(Self { config: Arc::new(config), names, resumes: options.resumes })
    }

    /// The same for several servers: the name of each, or none for one without TLS.
    pub fn for_servers(self, names: &[Option<&str>]) -> Result<Self, SettingsError> {
        let names: Result<Vec<_>, _> =
            names.iter().map(|name| name.map(server_name).transpose()).collect();
        Ok(Self { names: names?.into(), ..self })
    }

    /// The configuration of one worker, with a memory for sessions of its own.
    pub fn client(&self) -> Client {
        let mut config = ClientConfig::clone(&self.config);
        if self.resumes {
            let sessions = SESSIONS_REMEMBERED.max(SESSIONS_PER_SERVER * self.names.len());
            config.resumption = Resumption::in_memory_sessions(sessions);
        }
        Client { config: Arc::new(config), names: Arc::clone(&self.names) }
    }
}

fn server_name(typed: &str) -> Result<ServerName<'static>, SettingsError> {
    ServerName::try_from(typed.to_owned()).map_err(|_| SettingsError::Name(typed.to_owned()))
}

fn configuration(
    provider: CryptoProvider,
    version: Option<Version>,
    trust: Trust,
    identity: Option<Identity>,
) -> Result<ClientConfig, SettingsError> {
    let provider = Arc::new(provider);
    let versions: &[&'static SupportedProtocolVersion] = match version {
        None => &[&TLS13, &TLS12],
        Some(Version::Tls12) => &[&TLS12],
        Some(Version::Tls13) => &[&TLS13],
    };
    // Ciphers and groups may leave one of two versions without any, which is then not offered.
    let with = |versions: &[&'static SupportedProtocolVersion]| {
        ClientConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions)
    };
    let has_suite = |wanted: &&'static SupportedProtocolVersion| {
        provider.cipher_suites.iter().any(|suite| suite.version() == *wanted)
    };
    let has_group = |wanted: &&'static SupportedProtocolVersion| {
        provider.kx_groups.iter().any(|group| group.usable_for_version(wanted.version))
    };
    let offered: Vec<_> = versions.iter().copied().filter(has_suite).filter(has_group).collect();
    if offered.is_empty() {
        let lacking = if versions.iter().any(has_suite) { "group" } else { "cipher" };
        let which = if versions.len() == 1 { "the version asked for" } else { "the other" };
        let why = format!("there is no {lacking} among them for {which}");
        return Err(SettingsError::NothingToOffer(why));
    }
    let builder =
        with(&offered).map_err(|error| SettingsError::NothingToOffer(error.to_string()))?;
    let builder = match trust {
        Trust::Anybody => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate::new(&provider))),
        Trust::Roots(roots) => {
            let roots: Vec<_> = roots.into_iter().map(CertificateDer::from).collect();
            let trusted = Trusted::new(roots.clone(), store(roots)?, &provider)
                .map_err(|error| SettingsError::Certificate(error.to_string()))?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(trusted))
        }
    };
    let Some(Identity { chain, key }) = identity else {
        return Ok(builder.with_no_client_auth());
    };
    builder.with_client_auth_cert(chain, key).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => SettingsError::KeyMismatch,
        rustls::Error::General(why) => SettingsError::Key(why),
        other => SettingsError::Certificate(other.to_string()),
    })
}

/// Roots that cannot be used are left out, as long as one can: the system's have oddities.
fn store(roots: Vec<CertificateDer<'static>>) -> Result<RootCertStore, SettingsError> {
    let mut store = RootCertStore::empty();
    let (usable, _) = store.add_parsable_certificates(roots);
    if usable == 0 {
        return Err(SettingsError::Certificate("none of them can be used as a root".to_owned()));
    }
    Ok(store)
}

/// The configuration of one worker.
#[derive(Clone, Debug)]
pub struct Client {
    config: Arc<ClientConfig>,
    names: Arc<[Option<ServerName<'static>>]>,
}

impl Client {
    /// Makes what the calling thread's first handshake would have to wait for, such as the seed of its
    /// random numbers: it may take a tenth of a second, and belongs to nobody's handshake.
    pub fn prepare(&self) {
        let mut session = super::Session::new();
        let server = self.names.iter().position(Option::is_some).unwrap_or(0) as u32;
        // Whatever fails here fails again, and is told, when it is wanted.
        let _ = session.begin(self, server);
    }

    /// Whether connections to this server, counted from 0, are encrypted.
    pub fn encrypts(&self, server: u32) -> bool {
        self.names.get(server as usize).is_some_and(Option::is_some)
    }

    pub(super) fn connection(
        &self,
        server: u32,
    ) -> Result<UnbufferedClientConnection, rustls::Error> {
        let name = self.names.get(server as usize).cloned().flatten();
        let name = name.ok_or_else(|| rustls::Error::General("a server without TLS".to_owned()))?;
        UnbufferedClientConnection::new(Arc::clone(&self.config), name)
    }
}
