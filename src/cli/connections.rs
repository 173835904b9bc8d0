//! The flags on connections, checked against each other and turned into a way to the target.
//!
//! `check` finds everything that is wrong with the flags themselves, before anything is looked up;
//! what it gives knows how the request changes for the way it takes, where the way leads, and what
//! is to be kept out of every output.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::args::{CloseChoice, ConnectionArgs, ProxyProtocolChoice, RunArgs};
use super::error::CliError;
use super::lower::Refused;
use super::{basic_auth, files, redact, source_ip, url};
use crate::io::{Address, CloseKind};
use crate::plan::{Header, Network, Prelude, RequestError};
use crate::proto::ProxyVersion;
use crate::sys;
use crate::units::{format_duration_ns, format_rate};

/// Longest wait for a name's addresses; with it, a name that does not resolve ends within 5 s.
const RESOLVE_NS_MAX: u64 = 4_500_000_000;
/// Stands for every host in an entry of `--resolve`; no host has it for a name.
const ANY_HOST: &str = "*";
/// What is read of a file with a user, in bytes.
const USER_BYTES_MAX: u64 = 64 * 1024;
/// What tells a proxy who is there (RFC 9110 section 11.7.2).
const PROXY_AUTHORIZATION: &str = "Proxy-Authorization";
/// What must be written otherwise in the user part of a URL (RFC 3986 section 3.2.1).
const USER_MARKS: [char; 3] = ['/', '?', '#'];
/// Opening that takes longer at the rate asked for is worth a word.
const OPENING_NS_SAID: u64 = 5_000_000_000;

/// The way to the target, before any name is looked up.
#[derive(Debug, Default)]
pub(super) struct Route {
    unix_socket: Option<PathBuf>,
    connect_to: Option<Place>,
    resolve: Vec<Resolve>,
    family: Option<Family>,
    proxy: Option<Proxy>,
    proxy_version: Option<ProxyVersion>,
    says_close: bool,
    authorization: Option<String>,
    secrets: Vec<String>,
    network: Network,
}

/// A host, without brackets, and a port.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Place {
    host: String,
    port: u16,
}

/// What is to be used instead of a look-up.
#[derive(Debug)]
struct Resolve {
    place: Place,
    /// Addresses, perhaps with a scope.
    addresses: Vec<String>,
}

impl Resolve {
    fn is_for_any(&self) -> bool {
        self.place.host == ANY_HOST
    }

    fn is_for(&self, place: &Place) -> bool {
        let is_host = self.is_for_any() || self.place.host.eq_ignore_ascii_case(&place.host);
        is_host && self.place.port == place.port
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Family {
    V4,
    V6,
}

#[derive(Debug)]
struct Proxy {
    place: Place,
    authorization: Option<String>,
    /// Plain requests go through a tunnel as well.
    tunnels: bool,
}

impl Proxy {
    /// What is encrypted goes through a tunnel in any case: the proxy could not read it.
    fn tunnels_to(&self, target: &url::Target) -> bool {
        self.tunnels || target.is_encrypted
    }
}

/// Checks the flags on connections, by themselves and against each other.
pub(super) fn check(args: &RunArgs) -> Result<Route, CliError> {
    let typed = &args.network;
    check_pairs(args)?;
    let user = typed.user.last().map(|typed| user(typed)).transpose()?;
    let basic = |user: &String| {
        basic_auth::basic(user.as_bytes())
            .map_err(|why| CliError::usage(format!("-u: the user cannot be sent: {why}")))
    };
    let network = Network {
        sources: typed.source_ip.as_deref().map(sources).transpose()?.unwrap_or_default(),
        requests_per_connection: match typed.no_keepalive {
            true => Some(1),
            false => typed.requests_per_connection,
        },
        close: match typed.close {
            Some(CloseChoice::Orderly) => CloseKind::Orderly,
            Some(CloseChoice::Reset) | None => CloseKind::Reset,
        },
        connect_rate: typed.connect_rate,
        prelude: None,
    };
    Ok(Route {
        unix_socket: typed.unix_socket.as_deref().map(socket_file).transpose()?,
        connect_to: typed.connect_to.as_deref().map(connect_to).transpose()?,
        resolve: typed.resolve.iter().map(|typed| resolve(typed)).collect::<Result<_, _>>()?,
        family: match (typed.ipv4, typed.ipv6) {
            (true, _) => Some(Family::V4),
            (_, true) => Some(Family::V6),
            (false, false) => None,
        },
        proxy: typed.proxy.last().map(|url| own_proxy(url, args)).transpose()?,
        proxy_version: typed.proxy_protocol.map(|version| match version {
            ProxyProtocolChoice::V1 => ProxyVersion::V1,
            ProxyProtocolChoice::V2 => ProxyVersion::V2,
        }),
        says_close: typed.no_keepalive && !has_header(args, "connection"),
        authorization: user.as_ref().map(basic).transpose()?,
        secrets: secrets(typed, user),
        network,
    })
}

/// What must not be shown of what was typed, besides what shows by itself to be secret.
fn secrets(typed: &ConnectionArgs, user: Option<String>) -> Vec<String> {
    let user_part = |url: &String| {
        let (_, rest) = url.split_once("://").unwrap_or(("", url));
        rest.rsplit_once('@').map(|(user, _)| user.to_owned())
    };
    // A short one without a mark of its own may be a part of any word.
    let odd = |user: &String| user.contains(USER_MARKS);
    let proxies = typed.proxy.iter().filter_map(user_part).filter(odd);
    typed.user.iter().cloned().chain(user).chain(proxies).collect()
}

/// What the self test, which brings its own target, cannot have.
pub(super) fn check_selftest(typed: &ConnectionArgs) -> Result<(), CliError> {
    let given = [
        ("--unix-socket", typed.unix_socket.is_some()),
        ("--connect-to", typed.connect_to.is_some()),
        ("--resolve", !typed.resolve.is_empty()),
        ("--proxy", !typed.proxy.is_empty()),
        ("--proxy-protocol", typed.proxy_protocol.is_some()),
        ("-6", typed.ipv6),
    ];
    match given.iter().find(|(_, is_given)| *is_given) {
        None => Ok(()),
        Some((flag, _)) => Err(CliError::usage(format!(
            "{flag} says how to reach a target, and the self test brings its own"
        ))
        .hint(format!("leave {flag} out, or give a URL instead of selftest"))),
    }
}

fn has_header(args: &RunArgs, name: &str) -> bool {
    header_value(args, name).is_some()
}

fn header_value(args: &RunArgs, name: &str) -> Option<String> {
    let value = args.headers.iter().find_map(|typed| field(typed, name))?;
    Some(String::from_utf8_lossy(value).into_owned())
}

/// The value of a header as typed, if that is its name.
fn field<'a>(typed: &'a OsStr, name: &str) -> Option<&'a [u8]> {
    let bytes = typed.as_bytes();
    let (field, value) = bytes.split_at(bytes.iter().position(|&byte| byte == b':')?);
    field.eq_ignore_ascii_case(name.as_bytes()).then_some(&value[1..])
}

/// What two flags together cannot mean.
fn check_pairs(args: &RunArgs) -> Result<(), CliError> {
    let typed = &args.network;
    let unix = typed.unix_socket.is_some();
    let proxy = !typed.proxy.is_empty();
    let pairs = [
        ("--unix-socket", unix, "--connect-to", typed.connect_to.is_some()),
        ("--unix-socket", unix, "--resolve", !typed.resolve.is_empty()),
        ("--unix-socket", unix, "-4", typed.ipv4),
        ("--unix-socket", unix, "-6", typed.ipv6),
        ("--unix-socket", unix, "--source-ip", typed.source_ip.is_some()),
        ("--unix-socket", unix, "--proxy", proxy),
        ("--unix-socket", unix, "--tcp-congestion", args.tcp_congestion.is_some()),
        ("--connect-to", typed.connect_to.is_some(), "--proxy", proxy),
        ("--proxy-protocol", typed.proxy_protocol.is_some(), "--proxy", proxy),
        ("-4", typed.ipv4, "-6", typed.ipv6),
        ("-u", !typed.user.is_empty(), "-H Authorization", has_header(args, "authorization")),
    ];
    if let Some((one, _, other, _)) = pairs.iter().find(|(_, one, _, other)| *one && *other) {
        let message = format!("{one} and {other} contradict each other; give one of them");
        return Err(CliError::usage(message));
    }
    if typed.proxy_tunnel && !proxy {
        return Err(CliError::usage("--proxy-tunnel needs a proxy")
            .hint("add one: --proxy http://host:port"));
    }
    let per_connection = typed.requests_per_connection;
    if typed.no_keepalive && per_connection.is_some_and(|count| count != 1) {
        return Err(CliError::usage(format!(
            "--no-keepalive is one request on each connection, --requests-per-connection says {}; \
             give one of them",
            per_connection.unwrap_or(0)
        )));
    }
    if typed.close.is_some() && !typed.no_keepalive && per_connection.is_none() {
        return Err(CliError::usage("--close needs connections that wring closes")
            .hint("add --no-keepalive or --requests-per-connection N"));
    }
    let asked = header_value(args, "connection").unwrap_or_default().to_ascii_lowercase();
    if typed.no_keepalive && asked.contains("keep-alive") {
        return Err(CliError::usage(
            "--no-keepalive and -H 'Connection: keep-alive' contradict each other",
        )
        .hint("--requests-per-connection 1 closes each connection and leaves the request alone"));
    }
    Ok(())
}

/// `name:password` as typed, or the first line of a file.
fn user(typed: &str) -> Result<String, CliError> {
    let Some(path) = typed.strip_prefix('@') else { return Ok(typed.to_owned()) };
    let read = files::once("-u", path, || {
        let mut text = Vec::new();
        File::open(path)?.take(USER_BYTES_MAX).read_to_end(&mut text)?;
        Ok(text)
    });
    let text = read.and_then(|bytes| {
        String::from_utf8(bytes).map_err(|_| io::Error::other("it holds bytes that are no UTF-8"))
    });
    let text = text.map_err(|error| {
        CliError::usage(format!("-u: cannot read '{}': {error}", path.escape_debug()))
            .hint("write -u name:password, or -u @FILE for a file with that on its first line")
    })?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// A path that is a socket.
fn socket_file(path: &Path) -> Result<PathBuf, CliError> {
    let shown = path.display().to_string();
    let shown = shown.escape_debug();
    let refused = |why: &str| CliError::usage(format!("--unix-socket: '{shown}' {why}"));
    if path.as_os_str().len() > sys::UNIX_PATH_BYTES_MAX {
        let most = sys::UNIX_PATH_BYTES_MAX;
        return Err(refused(&format!(
            "is longer than the {most} bytes that a socket's path can have"
        ))
        .hint("name it from a folder nearer to it, or through a symbolic link"));
    }
    if path.as_os_str().as_bytes().contains(&0) {
        return Err(refused("holds a NUL, which no path can"));
    }
    match std::fs::metadata(path) {
        Ok(known) if known.file_type().is_socket() => Ok(path.to_owned()),
        Ok(known) if known.is_dir() => Err(refused("is a directory and no socket")),
        Ok(_) => Err(refused("is no socket")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(refused("does not exist").hint("the server makes it when it starts listening"))
        }
        Err(error) => Err(refused(&format!("cannot be looked at: {error}"))),
    }
}

/// `HOST:PORT`, with an IPv6 address in brackets.
fn place(typed: &str) -> Option<Place> {
    let (host, port) = url::split_port(typed)?;
    Some(Place { host: url::check_host(host)?, port: url::check_port(port?)? })
}

fn connect_to(typed: &str) -> Result<Place, CliError> {
    place(typed).ok_or_else(|| {
        CliError::usage(format!(
            "--connect-to: '{}' is not a host and a port",
            redact::url(typed).escape_debug()
        ))
        .hint("write --connect-to host:8080, 10.0.0.7:80 or [::1]:80")
    })
}

/// `HOST:PORT:ADDR[,ADDR]`, as curl has it; `*` stands for every host that has no entry of its own.
fn resolve(typed: &str) -> Result<Resolve, CliError> {
    let wrong = |why: &str| {
        let shown = typed.escape_debug();
        CliError::usage(format!("--resolve: '{shown}' {why}"))
            .hint("write --resolve name:80:10.0.0.7,10.0.0.8 or name:80:[::1]")
    };
    let host_bytes = match typed.starts_with('[') {
        true => typed.find(']').map_or(0, |at| at + 1),
        false => typed.find(':').unwrap_or(typed.len()),
    };
    let rest = typed[host_bytes..].strip_prefix(':').unwrap_or_default();
    let (_, addresses) = rest.split_once(':').ok_or_else(|| wrong("is not HOST:PORT:ADDR"))?;
    let place_bytes = typed.len() - addresses.len() - 1;
    let before = &typed[..place_bytes];
    let place = match before.strip_prefix("*:") {
        Some(port) => url::check_port(port).map(|port| Place { host: ANY_HOST.to_owned(), port }),
        None => place(before),
    };
    let place = place.ok_or_else(|| wrong("does not begin with a host and a port"))?;
    if place.host != ANY_HOST && place.host.contains('*') {
        return Err(wrong("has a pattern; name the host itself, or * for all of them"));
    }
    let mut distinct = Vec::new();
    for item in addresses.split(',') {
        let bare = item.strip_prefix('[').and_then(|item| item.strip_suffix(']')).unwrap_or(item);
        let address = address(bare)
            .ok_or_else(|| wrong(&format!("has '{}', which is no address", item.escape_debug())))?;
        if !distinct.contains(&address) {
            distinct.push(address);
        }
    }
    Ok(Resolve { place, addresses: distinct })
}

/// An address, in one form; one with a scope keeps that.
fn address(typed: &str) -> Option<String> {
    match typed.parse::<IpAddr>() {
        Ok(address) => Some(address.to_string()),
        Err(_) => url::check_host(&format!("[{typed}]")),
    }
}

/// The addresses to connect from, each of which is this machine's.
fn sources(list: &str) -> Result<Vec<IpAddr>, CliError> {
    let sources = source_ip::parse(list)?;
    let is_ours = |source: &&IpAddr| sys::is_local_address(SocketAddr::new(**source, 0));
    if let Some(other) = sources.iter().find(|source| !is_ours(source)) {
        let of = if sources.len() > 1 { format!(" (of '{list}')") } else { String::new() };
        return Err(CliError::usage(format!(
            "--source-ip: {other}{of} is not an address of this machine"
        ))
        .hint(format!("ip addr lists them; ip addr add {other} dev lo adds one for a test")));
    }
    Ok(sources)
}

/// `http://[user[:password]@]host:port`.
fn proxy(typed: &str, tunnels: bool) -> Result<Proxy, CliError> {
    // A user may stand in it however little it looks like a URL.
    let (scheme, rest) = typed.split_once("://").unwrap_or(("", typed));
    let (userinfo, authority) = match rest.rsplit_once('@') {
        Some((userinfo, authority)) => (Some(userinfo), authority),
        None => (None, rest),
    };
    let user_shown = if userinfo.is_some() { "***@" } else { "" };
    let scheme_shown = if scheme.is_empty() { String::new() } else { format!("{scheme}://") };
    let shown = format!("{scheme_shown}{user_shown}{authority}");
    let wrong = |why: &str| {
        CliError::usage(format!("--proxy: '{}' {why}", shown.escape_debug()))
            .hint("write --proxy http://host:3128 or http://user:password@host:3128")
    };
    match scheme {
        scheme if scheme.eq_ignore_ascii_case("http") => {}
        "" => return Err(wrong("has no scheme")),
        _ => return Err(wrong("is not an http:// proxy, and no other sort is supported")),
    }
    if userinfo.is_some_and(|user| user.contains(USER_MARKS)) {
        return Err(wrong("has a user part with a plain '/', '?' or '#': write %2F, %3F or %23"));
    }
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    if authority.contains(['/', '?', '#']) {
        return Err(wrong("has a path, which a proxy has not"));
    }
    let place = place(authority).ok_or_else(|| wrong("is not a host and a port"))?;
    let authorization = userinfo
        .map(|user| basic_auth::basic_of_userinfo(user).map_err(|why| wrong(&format!(": {why}"))))
        .transpose()?;
    Ok(Proxy { place, authorization, tunnels })
}

/// The same with what `-H Proxy-Authorization` says, which is for the proxy alone and therefore not
/// for what comes out of a tunnel.
fn own_proxy(typed: &str, args: &RunArgs) -> Result<Proxy, CliError> {
    let mut proxy = proxy(typed, args.network.proxy_tunnel)?;
    let mut values = args.headers.iter().filter_map(|typed| field(typed, PROXY_AUTHORIZATION));
    let Some(value) = values.next() else { return Ok(proxy) };
    if proxy.authorization.is_some() || values.next().is_some() {
        return Err(CliError::usage(format!(
            "the proxy is told twice who is there, and takes one {PROXY_AUTHORIZATION}"
        ))
        .hint("give a user in --proxy, or one -H Proxy-Authorization"));
    }
    let value = std::str::from_utf8(value).ok().filter(|text| !text.contains(['\r', '\n', '\0']));
    let value = value.ok_or_else(|| {
        CliError::usage(RequestError::HeaderValue(PROXY_AUTHORIZATION.to_owned()).to_string())
    })?;
    proxy.authorization = Some(value.trim_matches([' ', '\t']).to_owned());
    Ok(proxy)
}

impl Route {
    /// Whether a field of a request is for a proxy that requests go through, and not for the target.
    pub(super) fn is_for_proxy(&self, header: &Header) -> bool {
        self.proxy.is_some() && header.name.eq_ignore_ascii_case(PROXY_AUTHORIZATION)
    }

    /// What must not be shown, wherever it stands.
    pub(super) fn secrets(&self) -> &[String] {
        &self.secrets
    }

    /// Checks what depends on which servers there are: several cannot have flags that are about one,
    /// and each entry of `--resolve` is for one of them.
    pub(super) fn check_servers(&self, servers: &[&url::Target]) -> Result<(), CliError> {
        let given = [
            ("--unix-socket", self.unix_socket.is_some()),
            ("--connect-to", self.connect_to.is_some()),
        ];
        if let Some((flag, _)) = given.iter().find(|(_, is_given)| *is_given && servers.len() > 1) {
            return Err(CliError::usage(format!(
                "{flag} is about one server, and the requests are for several"
            ))
            .hint("give URLs of one server"));
        }
        let places: Vec<Place> = servers.iter().map(|server| self.place(server)).collect();
        let is_of_use = |entry: &&Resolve| places.iter().any(|place| entry.is_for(place));
        let Some(other) = self.resolve.iter().find(|entry| !is_of_use(entry)) else {
            return Ok(());
        };
        let Place { host, port } = &other.place;
        let place = &places[0];
        let more = if places.len() > 1 { " and others" } else { "" };
        Err(CliError::usage(format!(
            "--resolve {host}:{port} is of no use: connections go to {}:{}{more}",
            place.host, place.port
        ))
        .hint("name the host and the port that connections go to"))
    }

    /// Where connections for a target go.
    fn place(&self, target: &url::Target) -> Place {
        let proxy = self.proxy.as_ref().map(|proxy| &proxy.place);
        match proxy.or(self.connect_to.as_ref()) {
            Some(place) => place.clone(),
            None => Place { host: target.host.clone(), port: target.port },
        }
    }

    /// What the request's target line says: the path, or for a proxy that passes the request on, the
    /// whole URL (RFC 9112 section 3.2.2).
    pub(super) fn request_target(&self, target: &url::Target) -> String {
        match &self.proxy {
            Some(proxy) if !proxy.tunnels_to(target) => {
                format!("http://{}{}", target.host_field, target.path)
            }
            _ => target.path.clone(),
        }
    }

    /// Adds the fields that the flags ask for behind the user's own.
    pub(super) fn add_headers(&self, target: &url::Target, headers: &mut Vec<Header>) {
        let mut add = |name: &str, value: &str| {
            headers.push(Header { name: name.to_owned(), value: value.as_bytes().to_vec() });
        };
        if let Some(authorization) = &self.authorization {
            add("Authorization", authorization);
        }
        let passes_on = self.proxy.as_ref().filter(|proxy| !proxy.tunnels_to(target));
        if let Some(authorization) = passes_on.and_then(|proxy| proxy.authorization.as_ref()) {
            add(PROXY_AUTHORIZATION, authorization);
        }
        if self.says_close {
            add("Connection", "close");
        }
    }

    /// Where connections go, with what is worth a word about it.
    pub(super) fn addresses(
        &self,
        target: &url::Target,
        connections: u32,
        notes: &mut Vec<String>,
    ) -> Result<Vec<Address>, Refused> {
        if let Some(path) = &self.unix_socket {
            return Ok(vec![Address::Unix(path.clone())]);
        }
        let place = &self.place(target);
        let service = match (&place.host, place.port) == (&target.host, target.port) {
            true => target.service.clone(),
            false => place.port.to_string(),
        };
        let found = self.look_up(place, service)?;
        let mut addresses = self.of_family(place, found)?;
        let sources = &self.network.sources;
        if !sources.is_empty() {
            let has_source = |to: &SocketAddr| sources.iter().any(|s| s.is_ipv4() == to.is_ipv4());
            let all = addresses.len();
            addresses.retain(has_source);
            if addresses.is_empty() {
                let kind = if sources[0].is_ipv4() { "IPv4" } else { "IPv6" };
                return Err(CliError::usage(format!(
                    "--source-ip gives {kind} addresses only, and '{}' has none of that kind",
                    place.host
                ))
                .into());
            }
            if addresses.len() < all {
                notes.push(format!(
                    "{} of the {all} addresses of '{}' are used: --source-ip has none of the others' \
                     kind",
                    addresses.len(),
                    place.host
                ));
            }
        }
        let is_kept = self.network.requests_per_connection.is_none();
        if is_kept && addresses.len() > connections as usize {
            notes.push(format!(
                "-c {connections} reaches {connections} of the {} addresses of '{}'",
                addresses.len(),
                place.host
            ));
        }
        Ok(addresses.into_iter().map(Address::from).collect())
    }

    fn look_up(&self, place: &Place, service: String) -> Result<Vec<SocketAddr>, Refused> {
        // Every host comes after those that are named.
        for is_any in [false, true] {
            let fits = |entry: &&Resolve| entry.is_for(place) && entry.is_for_any() == is_any;
            let mut given = Vec::new();
            for address in self.resolve.iter().filter(fits).flat_map(|entry| &entry.addresses) {
                given.extend(resolved(address, place.port, &service)?);
            }
            if !given.is_empty() {
                return Ok(given);
            }
        }
        resolved(&place.host, place.port, &service)
    }

    fn of_family(
        &self,
        place: &Place,
        mut addresses: Vec<SocketAddr>,
    ) -> Result<Vec<SocketAddr>, Refused> {
        let Some(family) = self.family else { return Ok(addresses) };
        let (flag, kind) = match family {
            Family::V4 => ("-4", "IPv4"),
            Family::V6 => ("-6", "IPv6"),
        };
        addresses.retain(|address| address.is_ipv4() == (family == Family::V4));
        if addresses.is_empty() {
            let message = format!("{flag}: '{}' has no {kind} address", place.host);
            return Err(match place.host.parse::<IpAddr>() {
                Ok(_) => CliError::usage(message).into(),
                Err(_) => CliError::nothing_measured(message).into(),
            });
        }
        Ok(addresses)
    }

    /// How connections are made and given up, once it is known where they go: `targets` has one for
    /// each of the addresses.
    pub(super) fn network(&self, targets: &[url::Target], addresses: &[Address]) -> Network {
        let tunnel = |target: &url::Target| {
            let proxy = self.proxy.as_ref().filter(|proxy| proxy.tunnels_to(target))?;
            Some(Arc::from(connect_request(proxy, target)))
        };
        let tunnels: Vec<Option<Arc<[u8]>>> = targets.iter().map(tunnel).collect();
        let prelude = match self.proxy_version {
            Some(version) => {
                Some(Prelude::ProxyHeader { version, addresses: Arc::from(addresses) })
            }
            None if tunnels.iter().any(Option::is_some) => Some(Prelude::Tunnels(tunnels.into())),
            None => None,
        };
        Network { prelude, ..self.network.clone() }
    }

    /// What the user might not expect of opening `connections`.
    pub(super) fn note(&self, connections: u32) -> Option<String> {
        let opening_ns = self.network.opening_ns_min(connections);
        let rate = self.network.connect_rate.filter(|_| opening_ns > OPENING_NS_SAID)?;
        Some(format!(
            "opening {connections} connections at {} takes {}",
            format_rate(rate),
            format_duration_ns(opening_ns)
        ))
    }
}

/// The addresses of a name, or the one that it is; a scope is the name of an interface.
fn resolved(host: &str, port: u16, service: &str) -> Result<Vec<SocketAddr>, Refused> {
    sys::resolve(host, port, RESOLVE_NS_MAX).map_err(|error| Refused::Unresolved {
        host: host.to_owned(),
        service: service.to_owned(),
        cause: error.to_string(),
    })
}

/// Asks a proxy for a tunnel to the target (RFC 9110 section 9.3.6).
fn connect_request(proxy: &Proxy, target: &url::Target) -> Vec<u8> {
    let host = match target.host.split_once('%') {
        // A scope has a meaning on this machine only.
        Some((address, _)) => address,
        None => &target.host,
    };
    let place = match host.contains(':') {
        true => format!("[{host}]:{}", target.port),
        false => format!("{host}:{}", target.port),
    };
    let mut request = format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n");
    if let Some(authorization) = &proxy.authorization {
        request += &format!("{PROXY_AUTHORIZATION}: {authorization}\r\n");
    }
    request += "\r\n";
    request.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolve_entry_is_read_as_curl_reads_it() {
        for (typed, host, port, addresses) in [
            ("h:80:127.0.0.1", "h", 80, &["127.0.0.1"][..]),
            ("h.example:8080:10.0.0.1,10.0.0.2", "h.example", 8080, &["10.0.0.1", "10.0.0.2"]),
            ("h:80:[::1],127.0.0.1", "h", 80, &["::1", "127.0.0.1"]),
            ("h:80:::1", "h", 80, &["::1"]),
            ("[::2]:80:127.0.0.1,127.0.0.1", "::2", 80, &["127.0.0.1"]),
            ("*:443:10.0.0.1,[::1]", "*", 443, &["10.0.0.1", "::1"]),
            ("x:8080:[fe80::1%d0],fe80::2%25eth0", "x", 8080, &["fe80::1%d0", "fe80::2%eth0"]),
            ("h:80:[0:0::1],::1", "h", 80, &["::1"]),
        ] {
            let entry = resolve(typed).unwrap_or_else(|error| panic!("{typed}: {error}"));
            assert_eq!(entry.place, Place { host: host.to_owned(), port }, "{typed}");
            assert_eq!(entry.addresses, addresses, "{typed}");
        }
        for typed in [
            "",
            "h",
            "h:80",
            "h:80:",
            "h:0:127.0.0.1",
            "h:x:127.0.0.1",
            ":80:127.0.0.1",
            "h:80:other",
            "h:80:127.0.0.1,",
            "h:80:127.0.0.1:90",
            "[::1:80:127.0.0.1",
            "*:0:1.2.3.4",
            "*.h:80:1.2.3.4",
            "h:80:1.2.3.4%lo",
            "h:80:[fe80::1%]",
        ] {
            let error = resolve(typed).expect_err(typed);
            assert!(
                error.code == 2 && error.message.starts_with("--resolve: "),
                "{typed}: {error}"
            );
        }
    }

    #[test]
    fn a_scope_is_that_of_an_interface_of_this_machine() {
        let look_up = |typed: &str| {
            let route = Route { resolve: vec![resolve(typed).unwrap()], ..Route::default() };
            let place = Place { host: "h".to_owned(), port: 80 };
            route.look_up(&place, "80".to_owned())
        };
        let found = look_up("h:80:[fe80::1%lo],127.0.0.1").unwrap();
        assert!(matches!(found[0], SocketAddr::V6(v6) if v6.scope_id() > 0), "{found:?}");
        assert_eq!(found[1], SocketAddr::from(([127, 0, 0, 1], 80)));
        let error = look_up("h:80:[fe80::1%nothing0]").unwrap_err();
        assert!(matches!(&error, Refused::Unresolved { host, .. } if host == "fe80::1%nothing0"));
    }

    #[test]
    fn a_proxy_is_an_http_url_with_a_port_and_perhaps_a_user() {
        let place = |typed: &str| proxy(typed, false).unwrap().place;
        assert_eq!(place("http://p:3128"), Place { host: "p".to_owned(), port: 3128 });
        assert_eq!(place("HTTP://[::1]:1/"), Place { host: "::1".to_owned(), port: 1 });
        let with_user = proxy("http://Aladdin:open%20sesame@p:1", true).unwrap();
        let expected = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";
        assert_eq!(with_user.authorization.as_deref(), Some(expected));
        for typed in [
            "",
            "p",
            "p:3128",
            "u:secret@p:3128",
            "http://",
            "http://p",
            "http://u:secret@p",
            "http://p:0",
            "http://p:3128/path",
            "https://u:secret@p:1",
            "socks5://p:1",
            "http://u:secret%zz@p:1",
            "http://u:secret/x@p:1",
            "http://u:secret?@p:1",
            "http://u:#secret@p:1/",
            "u:secret/x@p:1",
            "ftp://u:secret@p:1",
        ] {
            let error = proxy(typed, false).expect_err(typed);
            assert!(error.code == 2 && error.message.starts_with("--proxy: "), "{typed}: {error}");
            assert!(!error.to_string().contains("secret"), "{typed}: {error}");
        }
    }

    #[test]
    fn a_tunnel_is_asked_for_by_host_and_port() {
        let request = |proxy_url: &str, url: &str| {
            let proxy = proxy(proxy_url, true).unwrap();
            String::from_utf8(connect_request(&proxy, &url::split(url).unwrap())).unwrap()
        };
        assert_eq!(
            request("http://p:1", "http://host/x"),
            "CONNECT host:80 HTTP/1.1\r\nHost: host:80\r\n\r\n"
        );
        assert_eq!(
            request("http://a:b@p:1", "http://[::1]:81/x"),
            "CONNECT [::1]:81 HTTP/1.1\r\nHost: [::1]:81\r\nProxy-Authorization: Basic YTpi\r\n\r\n"
        );
    }
}
