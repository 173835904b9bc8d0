//! How a request or a connection attempt can end, and fixed arrays to count it.
//!
//! Causes are small `Copy` enums: workers count them and never format them.

use std::marker::PhantomData;

/// A closed set of causes with a dense index and a stable name.
pub trait Cause: Copy + 'static {
    /// All causes in index order.
    const ALL: &'static [Self];
    /// Position in `ALL`.
    fn index(self) -> usize;
    /// The stable name used in reports and files.
    fn name(self) -> &'static str;
}

/// How a started request failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Failure {
    /// The request's bytes could not be sent.
    Send,
    /// The peer reset the connection before the answer was whole.
    Reset,
    /// The peer closed before any of the answer's final head had arrived whole.
    Eof,
    /// The peer closed inside the body.
    EofBody,
    /// The answer broke HTTP's rules.
    Parse,
    /// The answer went over one of our bounds.
    Limit,
    /// No whole answer within the time allowed, counted from the send.
    Timeout,
    /// The connection ended, or had to, with this pipelined request unanswered behind others.
    CutOff,
    /// Sent on an idle kept connection that the peer was already closing.
    Stale,
    /// A broken TLS record, or an alert, after the handshake.
    Tls,
}

impl Cause for Failure {
    const ALL: &'static [Self] = &[
        Self::Send,
        Self::Reset,
        Self::Eof,
        Self::EofBody,
        Self::Parse,
        Self::Limit,
        Self::Timeout,
        Self::CutOff,
        Self::Stale,
        Self::Tls,
    ];

    fn index(self) -> usize {
        self as usize
    }

    fn name(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Reset => "reset",
            Self::Eof => "eof",
            Self::EofBody => "eof_body",
            Self::Parse => "parse",
            Self::Limit => "limit",
            Self::Timeout => "timeout",
            Self::CutOff => "cut_off",
            Self::Stale => "stale",
            Self::Tls => "tls",
        }
    }
}

/// How a connection attempt failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum ConnectFailure {
    /// Nobody listens there.
    Refused,
    /// No answer within the connect timeout.
    Timeout,
    /// No route to the host or network.
    Unreachable,
    /// The peer reset the attempt.
    Reset,
    /// The TLS handshake failed.
    Tls,
    /// Something on this machine: descriptors or memory ran out, or it forbids the attempt.
    Local,
    /// No local port is free for the address.
    Ports,
    /// The listener of a socket file had no room for another connection.
    Busy,
    /// The proxy did not open a tunnel to the target.
    Proxy,
}

impl Cause for ConnectFailure {
    const ALL: &'static [Self] = &[
        Self::Refused,
        Self::Timeout,
        Self::Unreachable,
        Self::Reset,
        Self::Tls,
        Self::Local,
        Self::Ports,
        Self::Busy,
        Self::Proxy,
    ];

    fn index(self) -> usize {
        self as usize
    }

    fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::Reset => "reset",
            Self::Tls => "tls",
            Self::Local => "local",
            Self::Ports => "ports",
            Self::Busy => "busy",
            Self::Proxy => "proxy",
        }
    }
}

/// What was wrong with TLS, in the handshake or after it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum TlsFault {
    /// The certificate has expired.
    Expired,
    /// The certificate is not yet valid.
    NotYetValid,
    /// The certificate is for another name.
    WrongName,
    /// Nobody who is trusted issued the certificate.
    UnknownIssuer,
    /// The certificate, or a signature, is not acceptable for another reason.
    BadCertificate,
    /// The peer sent an alert.
    Alert,
    /// No version, cipher or group that both sides have.
    NothingInCommon,
    /// No application protocol that both sides speak.
    Alpn,
    /// The peer does not speak TLS.
    NotTls,
    /// The peer closed during the handshake.
    Closed,
    /// The peer let the time for the handshake pass.
    Silent,
    /// The peer broke TLS's rules, or a record was changed on its way.
    Protocol,
}

impl Cause for TlsFault {
    const ALL: &'static [Self] = &[
        Self::Expired,
        Self::NotYetValid,
        Self::WrongName,
        Self::UnknownIssuer,
        Self::BadCertificate,
        Self::Alert,
        Self::NothingInCommon,
        Self::Alpn,
        Self::NotTls,
        Self::Closed,
        Self::Silent,
        Self::Protocol,
    ];

    fn index(self) -> usize {
        self as usize
    }

    fn name(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::WrongName => "wrong_name",
            Self::UnknownIssuer => "unknown_issuer",
            Self::BadCertificate => "bad_certificate",
            Self::Alert => "alert",
            Self::NothingInCommon => "nothing_in_common",
            Self::Alpn => "alpn",
            Self::NotTls => "not_tls",
            Self::Closed => "closed",
            Self::Silent => "silent",
            Self::Protocol => "protocol",
        }
    }
}

const CAUSES_MAX: usize = 16;

/// One counter for each cause of `C`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CauseCounts<C> {
    counts: [u64; CAUSES_MAX],
    causes: PhantomData<C>,
}

impl<C: Cause> Default for CauseCounts<C> {
    fn default() -> Self {
        const { assert!(C::ALL.len() <= CAUSES_MAX) };
        Self { counts: [0; CAUSES_MAX], causes: PhantomData }
    }
}

impl<C: Cause> CauseCounts<C> {
    /// Counts `count` more endings by `cause`.
    pub fn add(&mut self, cause: C, count: u64) {
        self.counts[cause.index()] += count;
    }

    /// How many ended by `cause`.
    pub fn count(&self, cause: C) -> u64 {
        self.counts[cause.index()]
    }

    /// How many ended by any cause.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Adds another counter array to this one.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(other.counts) {
            *mine += theirs;
        }
    }

    /// Every cause with its count, zeros included, in index order.
    pub fn iter(&self) -> impl Iterator<Item = (C, u64)> + '_ {
        C::ALL.iter().map(|&cause| (cause, self.count(cause)))
    }
}

/// Counts of failed requests by cause.
pub type FailureCounts = CauseCounts<Failure>;
/// Counts of failed connection attempts by cause.
pub type ConnectFailureCounts = CauseCounts<ConnectFailure>;
/// Counts of what was wrong with TLS by cause.
pub type TlsFaultCounts = CauseCounts<TlsFault>;

#[cfg(test)]
mod tests {
    use super::*;

    fn check_indexes<C: Cause>() {
        for (index, cause) in C::ALL.iter().enumerate() {
            assert_eq!(cause.index(), index);
        }
    }

    #[test]
    fn every_cause_stands_at_its_own_index() {
        check_indexes::<Failure>();
        check_indexes::<ConnectFailure>();
        check_indexes::<TlsFault>();
    }

    #[test]
    fn merged_counts_are_the_sums() {
        let mut a = FailureCounts::default();
        let mut b = FailureCounts::default();
        a.add(Failure::Eof, 2);
        b.add(Failure::Eof, 3);
        b.add(Failure::Stale, 1);
        a.merge(&b);
        assert_eq!((a.count(Failure::Eof), a.count(Failure::Stale), a.total()), (5, 1, 6));
    }
}
