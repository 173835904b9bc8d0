//! Keeps secrets out of everything that echoes what was typed.
//!
//! Works on the argument's text, wherever in it a secret stands, so that no way of writing a flag
//! (`-H x`, `-Hx`, `-LHx`, `--header=x`) can be forgotten.

const SECRET_HEADERS: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];
const MASK: &str = "***";

/// The command line without its program name, secrets masked: `known` ones wherever they stand, and
/// those that show by themselves.
pub fn options(argv: &[String], known: &[String]) -> Vec<String> {
    let masked = |argument: &String| {
        // First, because what is masked otherwise may be a part of one.
        let secrets = known.iter().filter(|secret| !secret.trim_matches(':').is_empty());
        let rest = secrets.fold(argument.clone(), |rest, secret| rest.replace(secret, MASK));
        text(&rest)
    };
    argv.iter().skip(1).map(masked).collect()
}

/// One argument or message with header secrets and URL userinfo masked.
pub fn text(argument: &str) -> String {
    headers(&userinfo(argument))
}

/// A URL, or what was typed in its place, for showing: a user part is masked also where the scheme is
/// missing or broken.
pub fn url(typed: &str) -> String {
    if typed.contains("://") {
        return text(typed);
    }
    let rest = after_scheme(typed).unwrap_or(typed);
    let scheme = &typed[..typed.len() - rest.len()];
    headers(&format!("{scheme}{}", without_user(rest)))
}

/// A command line for a shell: the user part of every URL in it is masked.
pub fn command(line: &str) -> String {
    let words: Vec<String> = line.split_inclusive(char::is_whitespace).map(userinfo).collect();
    headers(&words.concat())
}

/// What follows a scheme that lacks a part of its `://`: `http:/`, `http:`, `http//`.
pub fn after_scheme(typed: &str) -> Option<&str> {
    let is = |name: &str| typed.get(..name.len()).is_some_and(|t| t.eq_ignore_ascii_case(name));
    let name = ["https", "http"].into_iter().find(|name| is(name))?;
    let rest = &typed[name.len()..];
    let after = rest.trim_start_matches([':', '/', '\\']);
    (after.len() < rest.len()).then_some(after)
}

/// A header in which the colon is missing: nothing but the word that must be its name.
pub fn header(typed: &str) -> String {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || "!#$%&*+-.^_`|~".contains(c);
    match typed.find(|c| !is_of_name(c)) {
        None => typed.to_owned(),
        Some(name_bytes) => format!("{} {MASK}", &typed[..name_bytes]),
    }
}

/// How many bytes of what follows a URL's scheme name a user, with the `@` behind it. A password may
/// hold what should be written as %2F, %3F or %23; then what looks like a port is none.
pub fn user_bytes(rest: &str) -> Option<usize> {
    let authority_bytes = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, behind) = rest.split_at(authority_bytes);
    if let Some(at) = authority.rfind('@') {
        return Some(at + 1);
    }
    let (_, port) = super::url::split_port(authority)?;
    let is_password = port.is_some_and(|port| !port.bytes().all(|byte| byte.is_ascii_digit()));
    let at = behind.rfind('@').filter(|_| is_password)?;
    Some(authority_bytes + at + 1)
}

/// Masks the value of a secret header, to the end of the text.
fn headers(argument: &str) -> String {
    let lower = argument.to_ascii_lowercase();
    let colon = |name: &str, start: usize| {
        let after = &argument[start + name.len()..];
        // In JSON the name stands in quotes.
        let rest = after.trim_start_matches([' ', '\t', '"', '\'']);
        rest.starts_with(':').then(|| argument.len() - rest.len())
    };
    let named = SECRET_HEADERS.iter().flat_map(|name| {
        lower.match_indices(name).filter_map(move |(start, _)| colon(name, start))
    });
    match named.min() {
        Some(colon) => format!("{} {MASK}", &argument[..=colon]),
        None => argument.to_owned(),
    }
}

/// Masks the user part of a URL.
fn userinfo(argument: &str) -> String {
    let Some((scheme, rest)) = argument.split_once("://") else { return argument.to_owned() };
    format!("{scheme}://{}", without_user(rest))
}

fn without_user(rest: &str) -> String {
    match user_bytes(rest) {
        Some(bytes) => format!("{MASK}@{}", &rest[bytes..]),
        None => rest.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_however_the_flag_is_written() {
        for (typed, shown) in [
            ("Authorization: Bearer abc", "Authorization: ***"),
            ("-HAuthorization: Bearer abc", "-HAuthorization: ***"),
            ("-LHcookie:a=b", "-LHcookie: ***"),
            ("--header=Proxy-Authorization: x", "--header=Proxy-Authorization: ***"),
            ("AUTHORIZATION :x", "AUTHORIZATION : ***"),
            ("http://user:pw@host/a@b", "http://***@host/a@b"),
            ("http://u@p@host", "http://***@host"),
            ("http://host/a@b", "http://host/a@b"),
            ("http://host?x=a@b", "http://host?x=a@b"),
            ("X-Cookie-Count: 3", "X-Cookie-Count: 3"),
            ("Accept: */*", "Accept: */*"),
            ("é: authorization", "é: authorization"),
            ("Cookie: a; authorization: b", "Cookie: ***"),
            ("{\"Authorization\": \"b\"}", "{\"Authorization\": ***"),
            ("http://me:SEK/RET@host:1", "http://***@host:1"),
            ("http://me:SEK?R#ET@host/", "http://***@host/"),
            ("http://[::1]:80/a@b", "http://[::1]:80/a@b"),
            ("http://h:80/a@b", "http://h:80/a@b"),
        ] {
            assert_eq!(text(typed), shown);
        }
    }

    #[test]
    fn every_url_of_a_command_line_is_masked() {
        for (typed, shown) in [
            (
                "./api --db postgres://app:x@db/a --cache 'redis://:y@c' --port {port}",
                "./api --db postgres://***@db/a --cache 'redis://***@c' --port {port}",
            ),
            ("A=http://h/  ./b -H 'Cookie: z'", "A=http://h/  ./b -H 'Cookie: ***"),
        ] {
            assert_eq!(command(typed), shown);
        }
    }

    #[test]
    fn a_word_that_should_be_a_url_or_a_header_shows_no_secret_either() {
        for (typed, shown) in [
            ("me:SEKRET@host/", "***@host/"),
            ("me:SEK/RET@host/", "***@host/"),
            ("host:80/a@b", "host:80/a@b"),
            ("joe:secret@host/a@b", "***@host/a@b"),
            ("http:/joe:secret@host/", "http:/***@host/"),
            ("http:joe:secret@host", "http:***@host"),
            ("HTTPS//joe@host?x", "HTTPS//***@host?x"),
            ("http:\\\\joe:secret@host", "http:\\\\***@host"),
            ("htp://joe:secret@host", "htp://***@host"),
            ("localhost:8080/@vite/client", "localhost:8080/@vite/client"),
            ("host?a@b", "host?a@b"),
            ("word", "word"),
        ] {
            assert_eq!(url(typed), shown);
        }
        for (typed, shown) in [
            ("Authorization SEKRET", "Authorization ***"),
            ("Authorization=SEKRET", "Authorization ***"),
            ("Bearer\tSEKRET", "Bearer ***"),
            ("X-A", "X-A"),
            ("", ""),
        ] {
            assert_eq!(header(typed), shown);
        }
    }

    #[test]
    fn the_program_name_is_left_out() {
        let argv = ["wring", "-c", "1"].map(str::to_owned);
        assert_eq!(options(&argv, &[]), ["-c", "1"]);
    }

    #[test]
    fn a_known_secret_is_masked_however_it_is_typed() {
        let known = ["joe:pw", "", ":", "a://b@c:d"].map(str::to_owned);
        for (typed, shown) in [
            (&["-u", "a://b@c:d", "http://h/"][..], &["-u", "***", "http://h/"][..]),
            (&["-u", "joe:pw", "-ujoe:pw"], &["-u", "***", "-u***"]),
            (&["-u", "joe:pw"], &["-u", "***"]),
            (&["-ujoe:pw"], &["-u***"]),
            (&["-Lu=joe:pw"], &["-Lu=***"]),
            (&["--user=joe:pw", "http://h/"], &["--user=***", "http://h/"]),
        ] {
            let argv: Vec<String> = ["wring"].iter().chain(typed).map(|&a| a.to_owned()).collect();
            assert_eq!(options(&argv, &known), shown);
        }
    }
}
