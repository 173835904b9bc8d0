//! What is sent: one request, or several with their weights and servers.
//!
//! From flags and lists to serialised requests and the servers they are for. Files are read here;
//! names are resolved by a function that is passed in.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use super::args::RunArgs;
use super::bodies::{MULTIPART, TypedBody, body};
use super::connections::Route;
use super::error::CliError;
use super::files::{read_file, read_named};
use super::lower::Refused;
use super::urls::{Entry, EntryBody};
use super::{redact, url, urls};
use crate::io::Address;
use crate::limits;
use crate::plan::{Body, Header, Origin, Request, RequestError, Target, Targets, Text};
use crate::units::{format_bytes, format_grouped};

/// What may stand before the first character of a file.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// A request that was asked for, and where to.
#[derive(Debug)]
pub(super) struct Wanted {
    weight: u32,
    name: String,
    pub(super) split: url::Target,
    pub(super) request: Request,
}

/// Everything to be sent; never empty.
#[derive(Debug)]
pub(super) struct AllWanted {
    pub(super) list: Vec<Wanted>,
    /// The servers' places in `list`, in the order first named.
    servers: Vec<usize>,
    /// In words, for reports.
    pub(super) shown: String,
}

impl AllWanted {
    /// How many servers there are.
    pub(super) fn servers(&self) -> u32 {
        self.servers.len() as u32
    }

    /// By server: the host of one that is spoken to over TLS.
    pub(super) fn encrypted_hosts(&self) -> Vec<Option<&str>> {
        let splits = self.servers.iter().map(|&at| &self.list[at].split);
        splits.map(|split| split.is_encrypted.then_some(split.host.as_str())).collect()
    }

    /// Resolves every server with `resolve`, and gives the addresses of all of them, with a target of
    /// each one's server, and all targets unless there is nothing but one request.
    pub(super) fn resolve(
        self,
        mut resolve: impl FnMut(&url::Target) -> Result<Vec<Address>, Refused>,
    ) -> Result<Resolved, Refused> {
        let (mut addresses, mut of_addresses) = (Vec::new(), Vec::new());
        let mut origins = Vec::new();
        for &at in &self.servers {
            let split = &self.list[at].split;
            let found = resolve(split)?;
            origins.push(Origin {
                name: format!("{}://{}", split.scheme(), split.host_field),
                address_first: addresses.len() as u32,
                addresses: found.len() as u32,
            });
            of_addresses.extend(std::iter::repeat_n(split.clone(), found.len()));
            addresses.extend(found);
        }
        if let [only] = &self.list[..]
            && only.request.is_constant()
        {
            return Ok(Resolved { addresses, of_addresses, targets: None });
        }
        let servers: Vec<_> = self.servers.iter().map(|&at| server(&self.list[at].split)).collect();
        let origin_of = |split: &url::Target| {
            servers.iter().position(|known| *known == server(split)).unwrap_or(0) as u32
        };
        let target = |wanted: Wanted| Target {
            origin: origin_of(&wanted.split),
            name: wanted.name,
            weight: wanted.weight,
            request: wanted.request,
        };
        let list = self.list.into_iter().map(target).collect();
        let targets = Targets::new(list, origins).map_err(|error| {
            CliError::usage(format!(
                "the weights take {} requests until they come round; at most {} are possible",
                format_grouped(error.places),
                format_grouped(limits::PATTERN_PLACES_MAX)
            ))
            .hint("round them, so that they have a common divisor, as 600 and 400 have")
        })?;
        Ok(Resolved { addresses, of_addresses, targets: Some(Arc::new(targets)) })
    }
}

/// Everything to be sent, and where.
#[derive(Debug)]
pub(super) struct Resolved {
    pub(super) addresses: Vec<Address>,
    /// By address: a URL of its server.
    pub(super) of_addresses: Vec<url::Target>,
    pub(super) targets: Option<Arc<Targets>>,
}

/// What makes a server one and the same.
fn server(split: &url::Target) -> (String, u16, bool) {
    (split.host.to_ascii_lowercase(), split.port, split.is_encrypted)
}

/// What the URLs of the command line and the flags ask for.
pub(super) fn wanted(
    args: &RunArgs,
    typed_urls: &[String],
    route: &Route,
    notes: &mut Vec<String>,
) -> Result<AllWanted, CliError> {
    let list = match (&args.targets.urls[..], typed_urls) {
        ([_, ..], [url, ..]) => {
            let shown = redact::url(url);
            return Err(CliError::usage(format!(
                "--urls and the URL '{}' contradict each other; give one of them",
                shown.escape_debug()
            )));
        }
        (files @ [_, ..], []) => of_lists(args, files, route, notes)?,
        ([], _) => of_urls(args, typed_urls, route, notes)?,
    };
    let bytes: usize = list.iter().map(|wanted| wanted.request.bytes().len()).sum();
    if list.len() > 1 && bytes > limits::REQUEST_BODY_BYTES_MAX {
        return Err(CliError::usage(format!(
            "the requests take {} together; at most {} are possible",
            format_bytes(bytes as u64),
            format_bytes(limits::REQUEST_BODY_BYTES_MAX as u64)
        )));
    }
    let mut servers: Vec<usize> = Vec::new();
    let mut known = std::collections::HashSet::new();
    for (at, wanted) in list.iter().enumerate() {
        if known.insert(server(&wanted.split)) {
            servers.push(at);
        }
    }
    if servers.len() > args.connections as usize {
        return Err(CliError::usage(format!(
            "-c {} is too few for {} servers: each needs a connection of its own",
            args.connections,
            servers.len()
        )));
    }
    let splits: Vec<&url::Target> = servers.iter().map(|&at| &list[at].split).collect();
    route.check_servers(&splits)?;
    if list.len() > limits::TARGETS_REPORTED_MAX {
        notes.push(format!(
            "results are given in total: {} targets are more than the {} that are told apart",
            format_grouped(list.len() as u64),
            format_grouped(limits::TARGETS_REPORTED_MAX as u64)
        ));
    }
    let first = redact::text(typed_urls.first().map_or(&list[0].name, String::as_str));
    let shown = match (list.len(), &args.targets.urls[..]) {
        (1, []) => first,
        (count, []) => format!("{first} and {} more", count - 1),
        (count, files) => {
            let files: Vec<String> = files.iter().map(|file| shown_file(file)).collect();
            format!("{count} requests of {}", files.join(" and "))
        }
    };
    Ok(AllWanted { list, servers, shown })
}

/// The URLs of the command line, which share method, headers and body.
fn of_urls(
    args: &RunArgs,
    typed: &[String],
    route: &Route,
    notes: &mut Vec<String>,
) -> Result<Vec<Wanted>, CliError> {
    let splits = typed.iter().map(|url| url::split(url)).collect::<Result<Vec<_>, _>>()?;
    let headers = args.headers.iter().map(|typed| header(typed)).collect::<Result<Vec<_>, _>>()?;
    check_once(&headers, "-H: ")?;
    let body = body(args)?;
    let method = match (&args.method, &body) {
        (Some(method), _) => method,
        (None, Some(_)) => {
            notes.push("the body is sent with POST; -X changes that".to_owned());
            "POST"
        }
        (None, None) => "GET",
    };
    let mut has_unknown = false;
    let mut list = Vec::with_capacity(typed.len());
    for (url, split) in typed.iter().zip(splits) {
        let (request, unknown) = request(method, &split, &headers, body.as_ref(), route)?;
        has_unknown |= unknown;
        list.push(Wanted { weight: 1, name: name(method, url), split, request });
    }
    note_unknown(has_unknown, notes);
    Ok(list)
}

/// The requests of lists, one list after the other, each request with a body of its own.
fn of_lists(
    args: &RunArgs,
    files: &[String],
    route: &Route,
    notes: &mut Vec<String>,
) -> Result<Vec<Wanted>, CliError> {
    let given = [("-X", args.method.is_some()), ("a body", body(args)?.is_some())];
    if let Some((what, _)) = given.iter().find(|(_, is_given)| *is_given) {
        return Err(CliError::usage(format!(
            "--urls and {what} contradict each other: each line has a method and a body of its own"
        )));
    }
    let common = args.headers.iter().map(|typed| header(typed)).collect::<Result<Vec<_>, _>>()?;
    check_once(&common, "-H: ")?;
    let mut has_unknown = false;
    let mut list = Vec::new();
    for file in files {
        has_unknown |= of_list(file, &common, route, &mut list)?;
    }
    if list.len() > limits::TARGETS_MAX {
        let most = format_grouped(limits::TARGETS_MAX as u64);
        return Err(CliError::usage(format!("--urls: at most {most} requests are possible")));
    }
    note_unknown(has_unknown, notes);
    Ok(list)
}

/// Adds the requests of a list to `list`; true when they hold braces that begin no placeholder.
fn of_list(
    file: &str,
    common: &[Header],
    route: &Route,
    list: &mut Vec<Wanted>,
) -> Result<bool, CliError> {
    let path = file.strip_prefix('@').unwrap_or(file);
    let bytes = match path {
        "-" => read_named("--urls", "@-")?,
        path => read_file("--urls", path)?,
    };
    let shown = shown_file(file);
    let at = |line: usize, column: usize| format!("--urls {shown}:{line}:{column}: ");
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let valid = &bytes[..error.valid_up_to()];
        let line = valid.iter().filter(|&&byte| byte == b'\n').count() + 1;
        let column = valid.iter().rev().take_while(|&&byte| byte != b'\n').count() + 1;
        CliError::usage(format!("{}this is not UTF-8", at(line, column)))
    })?;
    // Some editors begin a file with it, and it says nothing.
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let entries = urls::parse(text).map_err(|mistake| {
        CliError::usage(format!("{}{}", at(mistake.line, mistake.column), mistake.message))
    })?;
    if entries.is_empty() {
        return Err(CliError::usage(format!("--urls: '{shown}' lists no request"))
            .hint("write one a line: [weight] METHOD URL [@body-file] ['Name: value'...]"));
    }
    let mut has_unknown = false;
    for entry in entries {
        let place = at(entry.line, entry.column);
        let placed =
            |error: CliError| CliError { message: place.clone() + &error.message, ..error };
        let (wanted, unknown) = of_entry(entry, common, route).map_err(placed)?;
        has_unknown |= unknown;
        list.push(wanted);
    }
    Ok(has_unknown)
}

fn of_entry(entry: Entry, common: &[Header], route: &Route) -> Result<(Wanted, bool), CliError> {
    if !entry.url.contains("://") {
        let shown = redact::url(&entry.url);
        let shown = shown.escape_debug();
        return Err(CliError::usage(format!("URL '{shown}' has no scheme"))
            .hint(format!("did you mean 'http://{shown}'?")));
    }
    let split = url::split(&entry.url)?;
    let is_own = |header: &&Header| {
        !entry.headers.iter().any(|own| own.name.eq_ignore_ascii_case(&header.name))
    };
    let mut headers: Vec<Header> = common.iter().filter(is_own).cloned().collect();
    headers.extend(entry.headers.iter().cloned());
    check_once(&headers, "")?;
    if let Some(header) = entry.headers.iter().find(|header| route.is_for_proxy(header)) {
        return Err(CliError::usage(format!(
            "{} is for the proxy, not for one target",
            header.name
        ))
        .hint("give it with -H, or a user with --proxy http://user:password@host:port"));
    }
    let body = match entry.body {
        EntryBody::None => None,
        EntryBody::Text(text) => Some(TypedBody::plain(Text::typed(text.as_bytes()))),
        EntryBody::File(path) => {
            Some(TypedBody::plain(Text::typed(&read_file("the body", &path)?)))
        }
    };
    let method = match (&entry.method, &body) {
        (Some(method), _) => method.as_str(),
        (None, Some(_)) => "POST",
        (None, None) => "GET",
    };
    let (request, has_unknown) = request(method, &split, &headers, body.as_ref(), route)?;
    let name = name(method, &entry.url);
    Ok((Wanted { weight: entry.weight, name, split, request }, has_unknown))
}

/// One request, serialised; true beside it when it holds braces that begin no placeholder.
fn request(
    method: &str,
    target: &url::Target,
    headers: &[Header],
    body: Option<&TypedBody>,
    route: &Route,
) -> Result<(Request, bool), CliError> {
    if method == "CONNECT" {
        return Err(CliError::usage(
            "CONNECT asks for a tunnel and has no answers to measure; it is not sent as a method",
        )
        .hint("--proxy http://host:port --proxy-tunnel measures a server through a tunnel"));
    }
    let is_own = |header: &&Header| !route.is_for_proxy(header);
    let mut headers: Vec<Header> = headers.iter().filter(is_own).cloned().collect();
    let is_typed = headers.iter().any(|header| header.name.eq_ignore_ascii_case("content-type"));
    let content_type = body.and_then(|body| body.content_type.as_ref());
    if is_typed && content_type.is_some_and(|value| value.starts_with(MULTIPART)) {
        return Err(CliError::usage(
            "--multipart and -H Content-Type contradict each other: the parts are set apart by a line \
             that wring chooses, and that header has to name it",
        )
        .hint("leave the header out, or give a body of your own with -b @FILE"));
    }
    if let Some(content_type) = content_type
        && !is_typed
    {
        let value = content_type.as_bytes().to_vec();
        headers.push(Header { name: "Content-Type".to_owned(), value });
    }
    route.add_headers(target, &mut headers);
    let line_target = route.request_target(target);
    let is_unknown = |bytes: &[u8]| Text::typed(bytes).has_unknown();
    let has_unknown = is_unknown(target.path.as_bytes())
        || headers.iter().any(|header| is_unknown(&header.value))
        || body.is_some_and(|body| body.has_unknown);
    let content = body.map_or(Body::None, |body| body.body.clone());
    let request =
        Request::with_placeholders(method, &line_target, &target.host_field, &headers, content)
            .map_err(refused)?;
    Ok((request, has_unknown))
}

/// What stands before the first colon need not be a name.
fn refused(error: RequestError) -> CliError {
    let error = match error {
        RequestError::HeaderName(name) => RequestError::HeaderName(redact::header(&name)),
        other => other,
    };
    CliError::usage(error.to_string())
}

fn name(method: &str, url: &str) -> String {
    format!("{method} {}", redact::url(url))
}

fn shown_file(file: &str) -> String {
    match file {
        "-" | "@-" => "standard input".to_owned(),
        file => file.escape_debug().to_string(),
    }
}

fn note_unknown(has_unknown: bool, notes: &mut Vec<String>) {
    if has_unknown {
        notes.push(
            "a '{{' that begins none of {{seq}}, {{rand}} and {{uuid}} is sent as it is".to_owned(),
        );
    }
}

/// What a request may have once only.
fn check_once(headers: &[Header], place: &str) -> Result<(), CliError> {
    let named = |name: &str| headers.iter().filter(|h| h.name.eq_ignore_ascii_case(name)).count();
    for name in ["Host", "Content-Length"] {
        // RFC 9112 section 3.2: a server must refuse more than one Host.
        if named(name) > 1 {
            return Err(CliError::usage(format!("{place}{name} is given twice; give it once")));
        }
    }
    Ok(())
}

/// Takes `Name: value` apart; the value may be any bytes.
fn header(typed: &OsStr) -> Result<Header, CliError> {
    let bytes = typed.as_bytes();
    let Some(colon) = bytes.iter().position(|&byte| byte == b':') else {
        let shown = redact::header(&typed.to_string_lossy());
        let shown = shown.escape_debug();
        return Err(CliError::usage(format!("-H '{shown}' has no colon; write -H 'Name: value'")));
    };
    let (name, value) = (&bytes[..colon], &bytes[colon + 1..]);
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !is_blank(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !is_blank(byte)).map_or(start, |last| last + 1);
    // A name that is not UTF-8 is no token, which is told with what it looks like.
    let name = String::from_utf8_lossy(name).into_owned();
    Ok(Header { name, value: value[start..end].to_vec() })
}
