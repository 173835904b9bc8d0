//! The flags of TLS, as typed.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// What `https://` may need to be told.
#[derive(Clone, Debug, Default, Args)]
pub struct TlsArgs {
    /// Accept any certificate; without it, who answers is verified
    #[arg(short = 'k', long, help_heading = "TLS", hide_short_help = true)]
    pub insecure: bool,
    /// Trust the certificates in FILE (PEM) instead of the system's: issuers', or servers' own
    #[arg(long, value_name = "FILE", help_heading = "TLS", hide_short_help = true)]
    pub cacert: Option<PathBuf>,
    /// Client certificate with its chain (PEM); its key may be in the same file
    #[arg(long, value_name = "FILE", help_heading = "TLS", hide_short_help = true)]
    pub cert: Option<PathBuf>,
    /// Key of the client certificate (PEM, not encrypted) [default: in the file of --cert]
    #[arg(long, value_name = "FILE", help_heading = "TLS", hide_short_help = true)]
    pub key: Option<PathBuf>,
    /// Ask for NAME and expect a certificate for it [default: the URL's host]
    #[arg(long, value_name = "NAME", help_heading = "TLS", hide_short_help = true)]
    pub sni: Option<String>,
    /// Application protocols to offer, or none [default: http/1.1]
    #[arg(long, value_name = "LIST", help_heading = "TLS", hide_short_help = true)]
    pub alpn: Option<String>,
    /// Insist on a version: 1.2 or 1.3 [default: what the server prefers]
    #[arg(long, value_name = "VERSION", hide_possible_values = true, hide_short_help = true)]
    #[arg(help_heading = "TLS")]
    pub tls_version: Option<TlsVersion>,
    /// Cipher suites to offer, in order: TLS_AES_128_GCM_SHA256,...
    #[arg(long, value_name = "LIST", help_heading = "TLS", hide_short_help = true)]
    pub ciphers: Option<String>,
    /// Groups of the key exchange to offer, in order: x25519,secp256r1,...
    #[arg(long, value_name = "LIST", help_heading = "TLS", hide_short_help = true)]
    pub groups: Option<String>,
    /// Make every handshake a full one
    #[arg(long, help_heading = "TLS", hide_short_help = true)]
    pub no_resumption: bool,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum TlsVersion {
    /// 1.2
    #[value(name = "1.2")]
    V12,
    /// 1.3
    #[value(name = "1.3")]
    V13,
}
