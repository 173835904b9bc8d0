//! Versions, cipher suites and groups by the names people write.

use std::fmt;

use rustls::crypto::SupportedKxGroup;
use rustls::crypto::aws_lc_rs::{cipher_suite, kx_group};
use rustls::{NamedGroup, ProtocolVersion, SupportedCipherSuite};

/// A version to insist on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Version {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// A cipher suite to offer.
#[derive(Clone, Copy, Debug)]
pub struct Cipher(pub(super) SupportedCipherSuite);

/// A group to offer for the key exchange.
#[derive(Clone, Copy)]
pub struct Group(pub(super) &'static dyn SupportedKxGroup);

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&group_name(self.0.name()))
    }
}

/// Suites by their registered name and by OpenSSL's.
const CIPHERS: [(&str, &str, SupportedCipherSuite); 9] = [
    ("TLS_AES_128_GCM_SHA256", "", cipher_suite::TLS13_AES_128_GCM_SHA256),
    ("TLS_AES_256_GCM_SHA384", "", cipher_suite::TLS13_AES_256_GCM_SHA384),
    ("TLS_CHACHA20_POLY1305_SHA256", "", cipher_suite::TLS13_CHACHA20_POLY1305_SHA256),
    (
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    (
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
        cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
        cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        "ECDHE-RSA-CHACHA20-POLY1305",
        cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
];

/// Groups by their registered name and by another in use.
const GROUPS: [(&str, &str, &'static dyn SupportedKxGroup); 4] = [
    ("x25519", "", kx_group::X25519),
    ("secp256r1", "P-256", kx_group::SECP256R1),
    ("secp384r1", "P-384", kx_group::SECP384R1),
    ("X25519MLKEM768", "", kx_group::X25519MLKEM768),
];

impl Cipher {
    /// The suite of that name, whatever its case.
    pub fn parse(name: &str) -> Option<Self> {
        let is = |known: &str| !known.is_empty() && known.eq_ignore_ascii_case(name);
        CIPHERS.iter().find(|(one, other, _)| is(one) || is(other)).map(|found| Self(found.2))
    }

    /// Every name known.
    pub fn names() -> impl Iterator<Item = &'static str> {
        CIPHERS.iter().map(|(name, _, _)| *name)
    }
}

impl Group {
    /// The group of that name, whatever its case.
    pub fn parse(name: &str) -> Option<Self> {
        let is = |known: &str| !known.is_empty() && known.eq_ignore_ascii_case(name);
        GROUPS.iter().find(|(one, other, _)| is(one) || is(other)).map(|found| Self(found.2))
    }

    /// Every name known.
    pub fn names() -> impl Iterator<Item = &'static str> {
        GROUPS.iter().map(|(name, _, _)| *name)
    }
}

pub(super) fn version_name(version: ProtocolVersion) -> String {
    match version {
        ProtocolVersion::TLSv1_2 => "TLS 1.2".to_owned(),
        ProtocolVersion::TLSv1_3 => "TLS 1.3".to_owned(),
        other => format!("{other:?}"),
    }
}

pub(super) fn cipher_name(suite: SupportedCipherSuite) -> String {
    let known = CIPHERS.iter().find(|(_, _, known)| known.suite() == suite.suite());
    known.map_or_else(|| format!("{:?}", suite.suite()), |(name, _, _)| (*name).to_owned())
}

pub(super) fn group_name(group: NamedGroup) -> String {
    let known = GROUPS.iter().find(|(_, _, known)| known.name() == group);
    known.map_or_else(|| format!("{group:?}"), |(name, _, _)| (*name).to_owned())
}
