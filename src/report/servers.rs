//! Several servers: what became of the connections to each, as text and as `schema` has it.

use std::collections::BTreeMap;

use crate::outcome::{Cause, CauseCounts};
use crate::record::{ServerRecord, TlsFacts};
use crate::result::{AskedServer, RunResult};
use crate::units::format_grouped;

use super::page::Page;
use super::schema::targets as stored;
use super::schema::{Agreed, ServerFault, ServerTls};
use super::stored::{ReadError, causes, unknown};
use super::{NOTE_CHARS_MAX, escape, tls};

/// Longest name in a table, in characters.
const NAME_CHARS_MAX: usize = 60;
/// Rows unless everything is asked for.
const ROWS_MAX: usize = 20;

/// Where the connections went, if there are several servers.
pub(super) fn section(result: &RunResult, verbose: bool, page: &mut Page) {
    let servers = &result.asked.servers;
    if servers.len() < 2 {
        return;
    }
    let records = &result.total.servers;
    page.heading("Servers");
    let mut head = vec!["", "connections"];
    if !records.is_empty() {
        head.extend(["established", "failed"]);
    }
    head.push("addresses");
    let mut rows = vec![head.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    let shown = if verbose { servers.len() } else { servers.len().min(ROWS_MAX) };
    for (at, server) in servers.iter().enumerate().take(shown) {
        let mut row = vec![escape(&server.name, NAME_CHARS_MAX), server.connections.to_string()];
        if let Some(record) = records.get(at) {
            row.extend([record.established, record.failed.total()].map(format_grouped));
        }
        row.push(escape(&server.addresses.join(", "), NOTE_CHARS_MAX));
        rows.push(row);
    }
    page.grid(&rows);
    if servers.len() > shown {
        page.line(&format!("and {} more: -v prints all", servers.len() - shown));
    }
}

/// What was agreed on over TLS with each of several servers, and what was wrong with others. True
/// where that was told.
pub(super) fn tls_lines(result: &RunResult, verbose: bool, page: &mut Page) -> bool {
    let named = result.asked.servers.iter().zip(&result.total.servers);
    let encrypted: Vec<_> = named.filter(|(_, record)| has_tls(record)).collect();
    if encrypted.len() < 2 {
        return false;
    }
    let shown = if verbose { encrypted.len() } else { encrypted.len().min(ROWS_MAX) };
    for (server, record) in &encrypted[..shown] {
        let mut parts: Vec<String> = Vec::new();
        if let Some(facts) = &record.facts {
            parts.push(tls::agreed(facts));
            let subject = (!facts.subject.is_empty()).then_some(&facts.subject);
            parts.extend(subject.map(|subject| format!("certificate: {subject}")));
        }
        if record.full + record.resumed > 0 {
            let counts = [record.full, record.resumed].map(format_grouped);
            parts.push(format!("{} full handshakes, {} resumed", counts[0], counts[1]));
        }
        for (cause, text) in &record.fault_texts {
            let count = format_grouped(record.faults.count(*cause));
            parts.push(format!("{count} times {}: {text}", tls::words(*cause)));
        }
        let line = format!("{}: {}", server.name, parts.join("; "));
        page.line(&escape(&line, NOTE_CHARS_MAX));
    }
    if encrypted.len() > shown {
        page.line(&format!("and {} servers more: -v prints all", encrypted.len() - shown));
    }
    true
}

fn has_tls(record: &ServerRecord) -> bool {
    record.facts.is_some() || record.full + record.resumed + record.faults.total() > 0
}

/// The servers for `--json`.
pub(super) fn to_schema(result: &RunResult) -> Vec<stored::Server> {
    let records = result.total.servers.iter().map(Some).chain(std::iter::repeat(None));
    let server = |(server, record): (&AskedServer, Option<&ServerRecord>)| stored::Server {
        name: server.name.clone(),
        connections: server.connections,
        addresses: server.addresses.clone(),
        established: record.map_or(0, |record| record.established),
        carried: record.map_or(0, |record| record.carried),
        failures: record.map_or_else(BTreeMap::new, |record| nonzero(&record.failed)),
        tls: record.filter(|record| has_tls(record)).map(tls_to_schema),
    };
    result.asked.servers.iter().zip(records).map(server).collect()
}

fn nonzero<C: Cause>(counts: &CauseCounts<C>) -> BTreeMap<String, u64> {
    let found = counts.iter().filter(|(_, count)| *count > 0);
    found.map(|(cause, count)| (cause.name().to_owned(), count)).collect()
}

fn tls_to_schema(record: &ServerRecord) -> ServerTls {
    let fault = |(cause, text): &(crate::outcome::TlsFault, String)| ServerFault {
        cause: cause.name().to_owned(),
        text: text.clone(),
    };
    ServerTls {
        agreed: record.facts.clone().map(|facts| {
            let TlsFacts { version, cipher, group, alpn, subject } = facts;
            Agreed { version, cipher, group, alpn, subject }
        }),
        handshakes_full: record.full,
        handshakes_resumed: record.resumed,
        faults: nonzero(&record.faults),
        first_faults: record.fault_texts.iter().map(fault).collect(),
    }
}

/// The servers of a stored result, and what was counted of each; none where that was not told.
pub(super) fn read(
    servers: Vec<stored::Server>,
) -> Result<(Vec<AskedServer>, Vec<ServerRecord>), ReadError> {
    let mut records = Vec::with_capacity(servers.len());
    for server in &servers {
        let mut record = ServerRecord {
            established: server.established,
            carried: server.carried,
            failed: causes(&server.failures)?,
            ..ServerRecord::default()
        };
        if let Some(tls) = &server.tls {
            record.full = tls.handshakes_full;
            record.resumed = tls.handshakes_resumed;
            record.faults = causes(&tls.faults)?;
            record.facts = tls.agreed.clone().map(|agreed| {
                let Agreed { version, cipher, group, alpn, subject } = agreed;
                TlsFacts { version, cipher, group, alpn, subject }
            });
            for fault in &tls.first_faults {
                let known = crate::outcome::TlsFault::ALL.iter();
                let cause = known.into_iter().find(|cause| cause.name() == fault.cause);
                let cause = *cause.ok_or_else(|| unknown("cause", &fault.cause))?;
                record.fault_texts.push((cause, fault.text.clone()));
            }
        }
        records.push(record);
    }
    if records.iter().all(|record| *record == ServerRecord::default()) {
        records.clear();
    }
    let server = |server: stored::Server| AskedServer {
        name: server.name,
        connections: server.connections,
        addresses: server.addresses,
    };
    Ok((servers.into_iter().map(server).collect(), records))
}

/// Every count of a server, for the check of what was read.
pub(super) fn all_counts(record: &ServerRecord) -> Vec<u64> {
    let causes = record.failed.iter().map(|(_, count)| count);
    let faults = record.faults.iter().map(|(_, count)| count);
    let own = [record.established, record.carried, record.full, record.resumed];
    own.into_iter().chain(causes).chain(faults).collect()
}
