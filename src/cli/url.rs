//! Takes a URL apart without rewriting it: what is typed is what is sent.

use http::uri::Authority;

use super::args::command_names;
use super::error::CliError;
use super::redact;

/// The parts of a URL that a request needs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Target {
    /// Host name or literal address, without brackets, with its scope if it has one.
    pub host: String,
    /// `https`: requests go over TLS.
    pub is_encrypted: bool,
    /// The port; unless given, 80, or 443 for `https`.
    pub port: u16,
    /// The port as typed, or the scheme that stands for it: what a resolver calls the service.
    pub service: String,
    /// Value of the `Host` field: host as typed without scope, and the port if it was given.
    pub host_field: String,
    /// Path and query as typed; `/` when there is no path.
    pub path: String,
}

impl Target {
    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.is_encrypted { "https" } else { "http" }
    }
}

/// Splits `typed`, or says what is wrong with it.
pub fn split(typed: &str) -> Result<Target, CliError> {
    let shown = redact::url(typed);
    let shown = shown.escape_debug();
    if let Some(bad) = typed.chars().find(|c| c.is_control()) {
        let message = format!("URL '{shown}' holds the control character {bad:?}; remove it");
        return Err(CliError::usage(message));
    }
    if typed.contains(' ') {
        let message = format!("URL '{shown}' holds a blank; write it as %20");
        return Err(CliError::usage(message));
    }
    let (is_encrypted, rest) = without_scheme(typed, &shown.to_string())?;
    let (scheme, default_port) = if is_encrypted { ("https", 443) } else { ("http", 80) };
    let has_user = redact::user_bytes(rest).is_some();
    let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if has_user {
        let message = format!("URL '{shown}' holds a user name, which HTTP requests do not carry");
        return Err(CliError::usage(message)
            .hint("send it as a header: -u name:password makes 'Authorization: Basic' of it"));
    }
    let (host_typed, port_typed) = split_port(authority)
        .ok_or_else(|| CliError::usage(format!("URL '{shown}' has a broken [address]")))?;
    if host_typed.is_empty() {
        let message = format!("URL '{shown}' has no host; write {scheme}://host/");
        return Err(CliError::usage(message));
    }
    let host = check_host(host_typed).ok_or_else(|| {
        let host = host_typed.escape_debug();
        CliError::usage(format!("'{host}' in URL '{shown}' is neither a host name nor an address"))
    })?;
    let port = match port_typed {
        None | Some("") => default_port,
        Some(digits) => check_port(digits).ok_or_else(|| {
            let digits = digits.escape_debug();
            CliError::usage(format!("port '{digits}' in URL '{shown}' is not 1 to 65535"))
        })?,
    };
    // A scope has a meaning on this machine only (RFC 6874 section 4).
    let mut host_field = match host_typed.split_once('%') {
        Some((address, _)) if host_typed.starts_with('[') => format!("{address}]"),
        _ => host_typed.to_owned(),
    };
    let port_typed = port_typed.filter(|digits| !digits.is_empty());
    if let Some(digits) = port_typed {
        host_field = format!("{host_field}:{digits}");
    }
    let service = port_typed.unwrap_or(scheme).to_owned();
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    Ok(Target { host, is_encrypted, port, service, host_field, path })
}

/// Whether it is `https`, and what follows the scheme.
fn without_scheme<'t>(typed: &'t str, shown: &str) -> Result<(bool, &'t str), CliError> {
    match typed.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => Ok((false, rest)),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => Ok((true, rest)),
        Some((scheme, _)) => Err(CliError::usage(format!(
            "URL '{shown}' has the scheme '{}'; http:// and https:// are supported",
            scheme.escape_debug()
        ))),
        None => Err(bare_word(typed, shown)),
    }
}

/// A word without a scheme: a mistyped command, or a URL with its beginning left out.
fn bare_word(typed: &str, shown: &str) -> CliError {
    let looks_like_a_host = typed.contains(['.', ':', '/', '[']) || typed == "localhost";
    let nearest = command_names().into_iter().min_by_key(|name| distance(typed, name));
    match nearest {
        _ if typed.is_empty() => {
            CliError::usage("the URL is empty; write http://host/").hint("wring -h has examples")
        }
        Some(name) if name == typed => {
            CliError::usage(format!("'{shown}' stands where a URL is expected"))
                .hint(format!("a command comes first, before any flag: wring {name} -c 5 URL"))
        }
        Some(name) if !looks_like_a_host && distance(typed, &name) <= 2 => {
            CliError::usage(format!("'{shown}' is neither a command nor a URL"))
                .hint(format!("did you mean 'wring {name}'?"))
        }
        _ if looks_like_a_host => match with_whole_scheme(shown) {
            Some(whole) => CliError::usage(format!("URL '{shown}' has a broken scheme"))
                .hint(format!("did you mean '{whole}'?")),
            None => CliError::usage(format!("URL '{shown}' has no scheme"))
                .hint(format!("did you mean 'http://{shown}'?")),
        },
        _ => {
            let names = command_names().join(", ");
            CliError::usage(format!("'{shown}' is neither a command nor a URL"))
                .hint(format!("did you mean 'http://{shown}'? The commands are {names}"))
        }
    }
}

/// The URL that was meant by one whose scheme lacks a part of its `://`. A host may be called `http`,
/// with a port behind it.
fn with_whole_scheme(typed: &str) -> Option<String> {
    let rest = redact::after_scheme(typed)?;
    let scheme = if typed.to_ascii_lowercase().starts_with("https") { "https" } else { "http" };
    let port = rest.split('/').next().unwrap_or_default();
    let is_host = typed.len() == scheme.len() + 1 + rest.len()
        && typed[scheme.len()..].starts_with(':')
        && port.bytes().all(|byte| byte.is_ascii_digit());
    (!is_host).then(|| format!("{scheme}://{rest}"))
}

/// Host and port of an authority; a bracketed address keeps its brackets.
pub(super) fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    if !authority.starts_with('[') {
        return Some(match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        });
    }
    let (host, rest) = authority.split_at(authority.find(']')? + 1);
    match rest.strip_prefix(':') {
        Some(port) => Some((host, Some(port))),
        None => rest.is_empty().then_some((host, None)),
    }
}

/// The host without brackets, if it can be one.
pub(super) fn check_host(typed: &str) -> Option<String> {
    if let Some(literal) = typed.strip_prefix('[') {
        let literal = literal.strip_suffix(']')?;
        let (address, scope) = match literal.split_once('%') {
            Some((address, scope)) => (address, Some(scope)),
            None => (literal, None),
        };
        address.parse::<std::net::Ipv6Addr>().ok()?;
        let Some(scope) = scope else { return Some(literal.to_owned()) };
        // RFC 6874 writes the percent sign as %25; people leave that out.
        let scope = scope.strip_prefix("25").filter(|rest| !rest.is_empty()).unwrap_or(scope);
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        let fits = !scope.is_empty() && scope.bytes().all(plain);
        return fits.then(|| format!("{address}%{scope}"));
    }
    let authority: Authority = typed.parse().ok()?;
    (authority.host() == typed && typed.is_ascii()).then(|| typed.to_owned())
}

pub(super) fn check_port(digits: &str) -> Option<u16> {
    let plain = digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten().filter(|&port| port != 0)
}

/// How many letters must be added, dropped or changed to make one word of the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    // Words longer than any command are far from all of them.
    for (i, letter) in a.chars().take(32).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in b.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(typed: &str) -> (String, u16, String, String) {
        let target = split(typed).unwrap();
        (target.host, target.port, target.host_field, target.path)
    }

    #[test]
    fn urls_are_split_and_never_rewritten() {
        for (typed, host, port, host_field, path) in [
            ("http://h", "h", 80, "h", "/"),
            ("http://h/", "h", 80, "h", "/"),
            ("HTTP://Host:8080/A%20b?x=/#f", "Host", 8080, "Host:8080", "/A%20b?x=/"),
            ("http://h?x=1", "h", 80, "h", "/?x=1"),
            ("http://h#frag", "h", 80, "h", "/"),
            ("http://h:/", "h", 80, "h", "/"),
            ("http://h:80/", "h", 80, "h:80", "/"),
            ("http://h:00080/", "h", 80, "h:00080", "/"),
            ("http://127.0.0.1:1/a//b/../c", "127.0.0.1", 1, "127.0.0.1:1", "/a//b/../c"),
            ("http://[::1]/", "::1", 80, "[::1]", "/"),
            ("https://h/x", "h", 443, "h", "/x"),
            ("HTTPS://h:80", "h", 80, "h:80", "/"),
            ("http://[::1]:81/x", "::1", 81, "[::1]:81", "/x"),
            ("http://[fe80::1%eth0]:81/", "fe80::1%eth0", 81, "[fe80::1]:81", "/"),
            ("http://[fe80::1%25eth0]/", "fe80::1%eth0", 80, "[fe80::1]", "/"),
            ("http://h/a@b:c", "h", 80, "h", "/a@b:c"),
            ("http://h/?u=http://x", "h", 80, "h", "/?u=http://x"),
            ("http://h/<>\"{}|^`", "h", 80, "h", "/<>\"{}|^`"),
            ("http://my_host.local/", "my_host.local", 80, "my_host.local", "/"),
        ] {
            let expected = (host.to_owned(), port, host_field.to_owned(), path.to_owned());
            assert_eq!(parts(typed), expected, "{typed}");
        }
    }

    #[test]
    fn a_wrong_url_is_named_with_what_would_be_right() {
        for (typed, words) in [
            ("", "empty"),
            ("https:///", "write https://host/"),
            ("ftp://h/", "'ftp'"),
            ("://h", "scheme ''"),
            ("http://", "no host"),
            ("http:///path", "no host"),
            ("http://:80/", "no host"),
            ("http://h:0/", "port '0'"),
            ("http://h:70000/", "port '70000'"),
            ("http://h:80a/", "port '80a'"),
            ("http://h:+80/", "port '+80'"),
            ("http://h:-1/", "port '-1'"),
            ("http://h:1:2/", "port '1:2'"),
            ("http://u:secret@h/", "user name"),
            ("http://u:secret/x@h/", "user name"),
            ("http://u:x#secret@h/", "user name"),
            ("u:secret@h/", "no scheme"),
            ("u:secret/x@h/", "no scheme"),
            ("http://h/a b", "blank"),
            ("http://h/\r\nX: y", "control character"),
            ("http://h/\0", "control character"),
            ("http://h/\t", "control character"),
            ("http://[::1", "broken [address]"),
            ("http://[::1]x/", "broken [address]"),
            ("http://[nonsense]/", "'[nonsense]'"),
            ("http://[::1%]/", "'[::1%]'"),
            ("http://[127.0.0.1]/", "'[127.0.0.1]'"),
            ("http://a<b/", "'a<b'"),
            ("http://bücher/", "'bücher'"),
            ("http://a%zz/", "'a%zz'"),
            ("localhost:8080", "no scheme"),
            ("u:secret@h/", "'***@h/' has no scheme"),
            ("http:/u:secret@h/", "'http:/***@h/' has a broken scheme"),
            ("htp://u:secret@h/", "scheme 'htp'"),
            ("example.com/path", "no scheme"),
            ("word", "neither a command nor a URL"),
        ] {
            let error = split(typed).expect_err(typed);
            assert_eq!(error.code, 2, "{typed}");
            assert!(error.message.contains(words), "{typed}: {error}");
            assert!(!error.to_string().contains("secret"), "{error}");
            assert!(!error.message.contains(['\r', '\n', '\0']), "{error}");
        }
    }

    #[test]
    fn a_bare_word_gets_the_likely_suggestion() {
        for (typed, suggestion) in [
            ("selftset", "wring selftest"),
            ("serv", "wring serve"),
            ("reports", "wring report"),
            ("localhost:8080", "http://localhost:8080"),
            ("localhost", "http://localhost"),
            ("example.com", "http://example.com"),
            ("myhost", "http://myhost"),
            ("http:/h/x", "'http://h/x'"),
            ("http:h", "'http://h'"),
            ("HTTPS//h:1/", "'https://h:1/'"),
            ("http:8080/x", "'http://http:8080/x'"),
        ] {
            let hint = split(typed).unwrap_err().hint.unwrap();
            assert!(hint.contains(suggestion), "{typed}: {hint}");
        }
    }
}
