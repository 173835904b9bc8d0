//! What went wrong with TLS, in words for people and as a cause to count.

use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

use super::certificate;
use crate::outcome::TlsFault;

/// A text longer than this is cut.
const TEXT_CHARS_MAX: usize = 300;

/// Why a handshake failed, or a connection after it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    /// The cause, for counting.
    pub cause: TlsFault,
    /// What was seen, for people. Parts of it may come from the peer.
    pub text: String,
}

impl Fault {
    /// What a peer made of the text is cut, and shown without anything that moves a terminal.
    pub(super) fn new(cause: TlsFault, text: impl AsRef<str>) -> Self {
        let shown = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
        Self { cause, text: text.as_ref().chars().take(TEXT_CHARS_MAX).map(shown).collect() }
    }

    /// The peer ended the connection, in order or by a reset, before the handshake was done.
    pub fn closed() -> Self {
        Self::new(TlsFault::Closed, "the peer closed the connection during the handshake")
    }

    /// The same by a reset.
    pub fn reset() -> Self {
        Self::new(TlsFault::Closed, "the peer reset the connection during the handshake")
    }

    /// The handshake was begun, and its time passed without an end.
    pub fn silent() -> Self {
        Self::new(
            TlsFault::Silent,
            "the TCP connection was made, but the handshake did not end within the connect timeout",
        )
    }

    /// The peer chose an application protocol that is not spoken here.
    pub fn protocol_not_spoken(chosen: &[u8]) -> Self {
        let chosen = String::from_utf8_lossy(chosen);
        Self::new(
            TlsFault::Alpn,
            format!("the server chose the protocol '{chosen}' (ALPN), and wring speaks http/1.1"),
        )
    }

    pub(super) fn of(error: &Error) -> Self {
        match error {
            Error::InvalidCertificate(error) => certificate_fault(error),
            Error::AlertReceived(alert) => alert_fault(*alert),
            Error::PeerIncompatible(why) => Self::new(TlsFault::NothingInCommon, nothing(why)),
            Error::NoApplicationProtocol => {
                Self::new(TlsFault::Alpn, "the server speaks none of the protocols offered (ALPN)")
            }
            Error::PeerMisbehaved(how) => {
                let how = in_words(how);
                Self::new(TlsFault::Protocol, format!("the server broke TLS's rules: {how}"))
            }
            Error::InvalidMessage(how) => {
                let how = in_words(how);
                Self::new(TlsFault::Protocol, format!("the server sent a broken message: {how}"))
            }
            other => Self::new(TlsFault::Protocol, format!("{other}")),
        }
    }

    /// A state that no handshake or connection here comes to.
    pub(super) fn unexpected(state: &impl std::fmt::Debug) -> Self {
        Self::new(TlsFault::Protocol, format!("unexpected state of TLS: {}", in_words(state)))
    }
}

fn certificate_fault(error: &CertificateError) -> Fault {
    use CertificateError as E;
    let day = |time: rustls::pki_types::UnixTime| certificate::day(time.as_secs());
    match error {
        E::Expired => Fault::new(TlsFault::Expired, "the server's certificate has expired"),
        E::ExpiredContext { not_after, .. } => Fault::new(
            TlsFault::Expired,
            format!("the server's certificate has expired: it was valid until {}", day(*not_after)),
        ),
        E::NotValidYet => {
            Fault::new(TlsFault::NotYetValid, "the server's certificate is not yet valid")
        }
        E::NotValidYetContext { not_before, .. } => Fault::new(
            TlsFault::NotYetValid,
            format!("the server's certificate is not yet valid: it is from {}", day(*not_before)),
        ),
        E::NotValidForName => {
            Fault::new(TlsFault::WrongName, "the server's certificate is for another name")
        }
        E::NotValidForNameContext { expected, presented } => {
            let names: Vec<&str> = presented.iter().map(|name| presented_name(name)).collect();
            let names = match names.as_slice() {
                [] => "it names no host".to_owned(),
                names => format!("it is for {}", names.join(", ")),
            };
            Fault::new(
                TlsFault::WrongName,
                format!("the server's certificate is not for {}: {names}", expected.to_str()),
            )
        }
        E::UnknownIssuer => Fault::new(
            TlsFault::UnknownIssuer,
            "the server's certificate comes from an unknown issuer",
        ),
        E::Revoked => Fault::new(TlsFault::BadCertificate, "the server's certificate was revoked"),
        E::BadSignature => Fault::new(
            TlsFault::BadCertificate,
            "a signature of the server, or of its certificate's issuer, is wrong",
        ),
        E::Other(other) if format!("{:?}", other.0).contains("CaUsedAsEndEntity") => Fault::new(
            TlsFault::UnknownIssuer,
            "the server shows an issuer's certificate as its own, as self-signed ones often are",
        ),
        E::InvalidPurposeContext { .. } => {
            Fault::new(TlsFault::BadCertificate, format!("the server's {error}"))
        }
        E::UnsupportedSignatureAlgorithmContext { .. }
        | E::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => Fault::new(
            TlsFault::BadCertificate,
            "a signature of the server, or of its certificate's issuer, is of an unsupported kind",
        ),
        other => {
            let why = match other {
                E::Other(inner) => in_words(&inner.0),
                other => in_words(other),
            };
            Fault::new(
                TlsFault::BadCertificate,
                format!("the server's certificate is not acceptable: {why}"),
            )
        }
    }
}

/// The name in `DnsName("host")` and `IpAddress(127.0.0.1)`, as certificates' names are told.
fn presented_name(told: &str) -> &str {
    let name = told.split_once('(').and_then(|(_, name)| name.strip_suffix(')'));
    name.map_or(told, |name| name.trim_matches('"'))
}

/// `UnsupportedCertVersion` as words; what it holds is left out.
fn in_words(value: &impl std::fmt::Debug) -> String {
    let told = format!("{value:?}");
    let mut words = String::new();
    for c in told.chars().take_while(char::is_ascii_alphanumeric) {
        if c.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(c.to_ascii_lowercase());
    }
    words
}

fn alert_fault(alert: AlertDescription) -> Fault {
    use AlertDescription as A;
    let meaning = match alert {
        A::HandshakeFailure => "it accepts none of the versions, ciphers or groups offered",
        A::ProtocolVersion => "it accepts none of the versions offered",
        A::InsufficientSecurity => "it accepts none of the ciphers offered",
        A::CertificateRequired => "it demands a client certificate",
        A::UnrecognisedName => "it does not know the name asked for (SNI)",
        A::NoApplicationProtocol => "it speaks none of the protocols offered (ALPN)",
        A::UnknownCA | A::BadCertificate | A::CertificateUnknown | A::CertificateExpired => {
            "it does not accept the client certificate"
        }
        _ => "it ended the connection",
    };
    let name = match alert {
        A::Unknown(number) => format!("number {number}"),
        known => format!("'{}'", in_words(&known)),
    };
    Fault::new(TlsFault::Alert, format!("the server sent the alert {name}: {meaning}"))
}

fn nothing(why: &PeerIncompatible) -> String {
    let why = in_words(why);
    format!("the server and wring have no version, cipher or group in common ({why})")
}

/// What stands where a record should begin, if it is none: a plain answer has letters there.
pub(super) fn plain_text(bytes: &[u8]) -> Option<String> {
    // Types 20 to 24, then a version whose first byte is 3.
    let is_record = matches!(bytes, [20..=24] | [20..=24, 3, ..]) || bytes.is_empty();
    if is_record {
        return None;
    }
    let seen: String = bytes
        .iter()
        .take_while(|byte| byte.is_ascii_graphic() || **byte == b' ')
        .take(40)
        .map(|&byte| char::from(byte))
        .collect();
    Some(if seen.starts_with("HTTP/") {
        format!("the server answers in plain HTTP ('{seen}') where TLS was expected")
    } else {
        "the server does not speak TLS on this port".to_owned()
    })
}
