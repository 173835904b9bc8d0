//! TLS in every form of a result.

use crate::hist::Hist;
use crate::outcome::{Cause, TlsFault};
use crate::record::{TlsFacts, TlsRecord};
use crate::result::RunResult;
use crate::units::format_grouped;

use super::page::Page;
use super::{NOTE_CHARS_MAX, escape, json, schema, servers};

/// What was agreed on, how many handshakes there were, and what was wrong with others.
pub(super) fn section(result: &RunResult, verbose: bool, page: &mut Page) {
    let Some(tls) = &result.total.tls else { return };
    page.heading("TLS");
    let is_told = servers::tls_lines(result, verbose, page);
    if let Some(facts) = tls.facts.as_ref().filter(|_| !is_told) {
        page.line(&escape(&agreed(facts), NOTE_CHARS_MAX));
        if !facts.subject.is_empty() {
            let subject = escape(&facts.subject, NOTE_CHARS_MAX);
            page.line(&format!("certificate: {subject}"));
        }
    }
    let plain = match tls.plain {
        0 => String::new(),
        plain => format!("; {} connections without TLS", format_grouped(plain)),
    };
    page.line(&format!(
        "{} full handshakes, {} resumed{plain}",
        format_grouped(tls.full),
        format_grouped(tls.resumed)
    ));
    let faults: Vec<String> = tls
        .faults
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(cause, count)| format!("{} {}", format_grouped(count), words(cause)))
        .collect();
    if !faults.is_empty() {
        page.line(&format!("faults: {}", faults.join(", ")));
    }
    if let Some(fault) = tls.first_fault.as_ref().filter(|_| !is_told) {
        page.line(&format!("the first: {}", escape(fault, NOTE_CHARS_MAX)));
    }
}

/// `TLS 1.3, TLS_AES_128_GCM_SHA256, X25519, http/1.1`.
pub(super) fn agreed(facts: &TlsFacts) -> String {
    let parts = [&facts.version, &facts.cipher, &facts.group, &facts.alpn];
    let known: Vec<&str> =
        parts.into_iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
    known.join(", ")
}

/// What was wrong.
pub(super) fn words(cause: TlsFault) -> &'static str {
    match cause {
        TlsFault::Expired => "expired certificate",
        TlsFault::NotYetValid => "certificate not yet valid",
        TlsFault::WrongName => "certificate for another name",
        TlsFault::UnknownIssuer => "certificate of an unknown issuer",
        TlsFault::BadCertificate => "certificate not acceptable",
        TlsFault::Alert => "alert from the server",
        TlsFault::NothingInCommon => "nothing in common",
        TlsFault::Alpn => "no common application protocol",
        TlsFault::NotTls => "no TLS at the server",
        TlsFault::Closed => "closed during the handshake",
        TlsFault::Silent => "silent during the handshake",
        TlsFault::Protocol => "broken record or message",
    }
}

/// The section of `--json` and of stored results.
pub(super) fn to_schema(tls: &TlsRecord) -> schema::Tls {
    schema::Tls {
        agreed: tls.facts.clone().map(|facts| {
            let TlsFacts { version, cipher, group, alpn, subject } = facts;
            schema::Agreed { version, cipher, group, alpn, subject }
        }),
        handshakes_full: tls.full,
        handshakes_resumed: tls.resumed,
        connections_plain: tls.plain,
        handshake: json::latency(&tls.handshake),
        faults: json::by_cause(&tls.faults),
        first_fault: tls.first_fault.clone(),
    }
}

/// What a stored section was written from; `None` when it names a cause that is unknown.
pub(super) fn from_schema(stored: schema::Tls, handshake: Hist) -> Option<TlsRecord> {
    let mut tls = TlsRecord {
        handshake,
        full: stored.handshakes_full,
        resumed: stored.handshakes_resumed,
        plain: stored.connections_plain,
        first_fault: stored.first_fault,
        facts: stored.agreed.map(|agreed| {
            let schema::Agreed { version, cipher, group, alpn, subject } = agreed;
            TlsFacts { version, cipher, group, alpn, subject }
        }),
        ..TlsRecord::default()
    };
    for (name, count) in stored.faults {
        let cause = TlsFault::ALL.iter().find(|cause| cause.name() == name)?;
        tls.faults.add(*cause, count);
    }
    Some(tls)
}
