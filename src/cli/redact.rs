//! Keeps secrets out of everything that echoes what was typed.
//!
//! Works on the argument's text, wherever in it a secret stands, so that no way of writing a flag
//! (`-H x`, `-Hx`, `-LHx`, `--header=x`) can be forgotten.

const SECRET_HEADERS: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];
const MASK: &str = "***";

/// The command line without its program name, secrets masked: those that show by themselves, and
/// `known` ones wherever they stand.
pub fn options(argv: &[String], known: &[String]) -> Vec<String> {
    let masked = |argument: &String| {
        let masked = text(argument);
        let secrets = known.iter().filter(|secret| !secret.is_empty());
        secrets.fold(masked, |masked, secret| masked.replace(secret.as_str(), MASK))
    };
    argv.iter().skip(1).map(masked).collect()
}

/// One argument or message with header secrets and URL userinfo masked.
pub fn text(argument: &str) -> String {
    headers(&userinfo(argument))
}

/// A URL, or what was typed in its place, for showing: userinfo is masked also where the scheme is
/// missing or broken.
pub fn url(typed: &str) -> String {
    let shown = text(typed);
    if shown.contains("://") {
        return shown;
    }
    let rest = after_scheme(&shown).unwrap_or(&shown);
    let authority_bytes = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    match rest[..authority_bytes].rfind('@') {
        Some(at) => {
            let scheme = &shown[..shown.len() - rest.len()];
            format!("{scheme}{MASK}{}", &rest[at..])
        }
        None => shown,
    }
}

/// What follows a scheme that lacks a part of its `://`: `http:/`, `http:`, `http//`.
pub fn after_scheme(typed: &str) -> Option<&str> {
    let is = |name: &str| typed.get(..name.len()).is_some_and(|t| t.eq_ignore_ascii_case(name));
    let name = ["https", "http"].into_iter().find(|name| is(name))?;
    let rest = &typed[name.len()..];
    let after = rest.trim_start_matches([':', '/', '\\']);
    (after.len() < rest.len()).then_some(after)
}

/// Masks the value of a secret header, to the end of the text.
fn headers(argument: &str) -> String {
    let lower = argument.to_ascii_lowercase();
    for name in SECRET_HEADERS {
        for (start, _) in lower.match_indices(name) {
            let after = &argument[start + name.len()..];
            if after.trim_start_matches([' ', '\t']).starts_with(':') {
                let colon = argument.len() - after.len() + after.find(':').unwrap_or(0);
                return format!("{} {MASK}", &argument[..=colon]);
            }
        }
    }
    argument.to_owned()
}

/// Masks what stands between `://` and `@` in a URL's authority.
fn userinfo(argument: &str) -> String {
    let Some((scheme, rest)) = argument.split_once("://") else { return argument.to_owned() };
    let authority_bytes = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..authority_bytes].rfind('@') {
        Some(at) => format!("{scheme}://{MASK}{}", &rest[at..]),
        None => argument.to_owned(),
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
        ] {
            assert_eq!(text(typed), shown);
        }
    }

    #[test]
    fn a_user_in_a_url_is_masked_however_broken_its_scheme() {
        for (typed, shown) in [
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
    }

    #[test]
    fn the_program_name_is_left_out() {
        let argv = ["wring", "-c", "1"].map(str::to_owned);
        assert_eq!(options(&argv, &[]), ["-c", "1"]);
    }

    #[test]
    fn a_known_secret_is_masked_however_it_is_typed() {
        let known = ["joe:pw".to_owned(), String::new()];
        for (typed, shown) in [
            (&["-u", "joe:pw"][..], &["-u", "***"][..]),
            (&["-ujoe:pw"], &["-u***"]),
            (&["-Lu=joe:pw"], &["-Lu=***"]),
            (&["--user=joe:pw", "http://h/"], &["--user=***", "http://h/"]),
        ] {
            let argv: Vec<String> = ["wring"].iter().chain(typed).map(|&a| a.to_owned()).collect();
            assert_eq!(options(&argv, &known), shown);
        }
    }
}
