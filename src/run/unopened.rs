//! Why no connection to a server could be opened, and what to try, in words.

use super::Done;
use crate::outcome::{Cause, ConnectFailure, ConnectFailureCounts, TlsFault};
use crate::plan::{Plan, Prelude};
use crate::record::{ConnectionCounts, ServerRecord};
use crate::result::Asked;
use crate::sys;

/// Servers that a message names at most.
const SERVERS_SAID_MAX: usize = 5;

/// A run in which no connection could be opened.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Unopened {
    /// What became of the attempts, by server; never empty.
    pub servers: Vec<UnopenedServer>,
    /// The error number of an attempt that failed on this machine.
    local_errno: i32,
    proxy: Option<ProxyRefusal>,
    /// The certificates that are trusted were named, and are not the system's.
    names_roots: bool,
}

/// One of its servers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UnopenedServer {
    /// How it is named to the user.
    pub name: String,
    /// Attempts that failed, by cause.
    pub failed: ConnectFailureCounts,
    /// What was wrong with TLS, and the same in words; `None` where that was not it.
    pub tls_fault: Option<(TlsFault, String)>,
}

/// What a proxy answered instead of opening a tunnel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ProxyRefusal {
    pub(super) status: u16,
    /// It had been given a user.
    pub(super) has_credentials: bool,
}

impl ProxyRefusal {
    /// That of a run's attempts, if there is one.
    pub(super) fn of(counts: &ConnectionCounts, plan: &Plan) -> Option<Self> {
        let has_credentials = plan.network.prelude.as_ref().is_some_and(Prelude::has_credentials);
        (counts.proxy_status > 0).then_some(Self { status: counts.proxy_status, has_credentials })
    }

    pub(super) fn words(self) -> String {
        format!("the proxy refused CONNECT with status {}", self.status)
    }

    fn hint(self) -> &'static str {
        match self.status {
            407 if self.has_credentials => {
                "it does not accept the user and password that it was given"
            }
            407 => "give it a user, --proxy http://user:password@host:port",
            403 | 405 => "it does not allow tunnels to this host and port",
            502..=504 => "it could not reach the target",
            _ => "ask whoever runs it",
        }
    }
}

impl UnopenedServer {
    fn of(name: String, record: &ServerRecord) -> Self {
        // Of several reasons the one is told that most attempts failed for.
        let worst = record.worst_fault().filter(|(cause, _)| {
            record.faults.count(*cause).saturating_mul(2) >= record.failed.total()
        });
        let tls_fault = worst.map(|(cause, text)| (cause, text.to_owned()));
        Self { name, failed: record.failed, tls_fault }
    }

    /// `3 refused, 1 timeout`, or what was wrong with TLS.
    fn why(&self) -> String {
        if let Some((_, text)) = &self.tls_fault {
            return text.clone();
        }
        let found = self.failed.iter().filter(|(_, count)| *count > 0);
        let counts: Vec<String> =
            found.map(|(cause, count)| format!("{count} {}", cause.name())).collect();
        match counts.is_empty() {
            true => "no attempt was answered".to_owned(),
            false => counts.join(", "),
        }
    }
}

impl Unopened {
    /// What the workers met.
    pub(super) fn of(plan: &Plan, asked: &Asked, done: &[Done]) -> Self {
        let mut attempts = ConnectionCounts::default();
        let mut records: Vec<ServerRecord> = Vec::new();
        for done in done {
            attempts.merge(&done.outcome.record.connections);
            let theirs = &done.outcome.record.servers;
            records.resize_with(records.len().max(theirs.len()), ServerRecord::default);
            records.iter_mut().zip(theirs).for_each(|(mine, theirs)| mine.merge(theirs));
        }
        let name = |at: usize| match asked.servers.get(at) {
            Some(server) => server.name.clone(),
            None => asked.addresses.join(", "),
        };
        let servers = records.iter().enumerate();
        Self {
            servers: servers.map(|(at, record)| UnopenedServer::of(name(at), record)).collect(),
            local_errno: attempts.local_errno,
            proxy: ProxyRefusal::of(&attempts, plan),
            names_roots: plan.tls.as_ref().is_some_and(|tls| tls.names_roots),
        }
    }

    /// All servers' attempts that failed.
    pub fn failed(&self) -> ConnectFailureCounts {
        let mut all = ConnectFailureCounts::default();
        self.servers.iter().for_each(|server| all.merge(&server.failed));
        all
    }

    /// What was seen.
    pub fn message(&self) -> String {
        match &self.servers[..] {
            [UnopenedServer { name, tls_fault: Some((_, fault)), .. }] => {
                format!("no TLS handshake with {name} succeeded: {fault}")
            }
            [server] => {
                format!("no connection to {} could be opened: {}", server.name, server.why())
            }
            servers => {
                let say = |server: &UnopenedServer| format!("{}: {}", server.name, server.why());
                let said: Vec<String> = servers.iter().take(SERVERS_SAID_MAX).map(say).collect();
                let more = servers.len().saturating_sub(SERVERS_SAID_MAX);
                let more = if more > 0 { format!("; and {more} more") } else { String::new() };
                format!("no connection to any server could be opened: {}{more}", said.join("; "))
            }
        }
    }

    /// What to try: about the first server, where there are several.
    pub fn hint(&self) -> String {
        let failed = self.failed();
        if failed.count(ConnectFailure::Local) > 0 {
            return sys::local_failure(self.local_errno);
        }
        if failed.count(ConnectFailure::Ports) > 0 {
            return sys::ports_gone().to_owned();
        }
        if let Some(proxy) = self.proxy {
            return format!("{}: {}", proxy.words(), proxy.hint());
        }
        let Some(server) = self.servers.first() else { return String::new() };
        let advice = match &server.tls_fault {
            Some((cause, _)) => tls_advice(*cause, self.names_roots),
            None if server.failed.count(ConnectFailure::Proxy) > 0 => {
                "is that a proxy for HTTP, and does it know CONNECT?"
            }
            None if server.failed.count(ConnectFailure::Unreachable) > 0 => {
                "is there a route to the address (ip route get ADDRESS)?"
            }
            None => "is the server running, and on this address and port?",
        };
        advice.to_owned()
    }
}

/// What to try when no handshake succeeds.
fn tls_advice(cause: TlsFault, names_roots: bool) -> &'static str {
    match cause {
        TlsFault::Expired | TlsFault::NotYetValid => {
            "is the clock of this machine right (date)? -k accepts any certificate"
        }
        TlsFault::WrongName => "--sni asks for another name; -k accepts any certificate",
        TlsFault::UnknownIssuer if names_roots => {
            "neither the issuer's certificate nor the server's own is in the file of --cacert, or \
             the server does not send those between; openssl s_client -showcerts -connect shows \
             what it sends; -k accepts any certificate"
        }
        TlsFault::UnknownIssuer => {
            "--cacert FILE trusts an issuer's certificate, or the server's own; -k accepts any \
             certificate"
        }
        TlsFault::BadCertificate => "-k accepts any certificate",
        TlsFault::NotTls => "is it http://, or another port?",
        TlsFault::Alpn => "--alpn http/1.1 offers what wring speaks, --alpn none nothing",
        TlsFault::Alert | TlsFault::NothingInCommon => {
            "--cert gives a client certificate, --sni a name; --tls-version, --ciphers and --groups \
             change the offer"
        }
        TlsFault::Closed | TlsFault::Silent | TlsFault::Protocol => {
            "is it a port for HTTPS? openssl s_client -connect shows what the server says"
        }
    }
}
