//! The grammar of a list of requests: one a line, as words or as JSON.
//!
//! Pure: text in, entries or the first mistake with its line and column out. What the words mean
//! (is it a URL, can the file be read) is for whoever carries them out, with the same places.
//!
//! ```text
//! line   = blank | "#" anything | JSON object | [weight] [method] url ["@" body-file] header...
//! word   = a stretch without blanks; '…' keeps everything in it, "…" all but \" and \\
//! weight = a whole number from 1 on; a method has no "://", which tells it from the URL
//! header = a word with a colon: Name:value or 'Name: value'
//! ```

use std::collections::BTreeMap;

use serde::Deserialize;

use super::redact;
use crate::limits;
use crate::plan::Header;
use crate::report;

/// Longest message of the JSON reader that is shown, in characters.
const MESSAGE_CHARS_MAX: usize = 200;
/// Largest weight.
const WEIGHT_MAX: u32 = 1_000_000;

/// One request of the list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Where it stands, counted from 1.
    pub line: usize,
    /// Where its URL stands in the line, in characters from 1; 1 for JSON.
    pub column: usize,
    /// At least 1.
    pub weight: u32,
    /// The method, if it was given.
    pub method: Option<String>,
    /// The URL as typed.
    pub url: String,
    /// Headers in their order; of JSON by name.
    pub headers: Vec<Header>,
    /// What follows the head.
    pub body: EntryBody,
}

/// The body of an entry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum EntryBody {
    /// None.
    None,
    /// This text.
    Text(String),
    /// The bytes of this file.
    File(String),
}

/// What is wrong with a list, and where.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mistake {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// What is wrong and what would be right.
    pub message: String,
}

/// Reads a list. It may come out empty.
pub fn parse(text: &str) -> Result<Vec<Entry>, Mistake> {
    let mut entries = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let start = line.trim_start();
        if start.is_empty() || start.starts_with('#') {
            continue;
        }
        let entry = if start.starts_with('{') { json(line) } else { words(line).and_then(entry) };
        let entry = entry.map_err(|(column, message)| Mistake { line: number, column, message })?;
        if entries.len() == limits::TARGETS_MAX {
            let message = format!("at most {} requests are possible", limits::TARGETS_MAX);
            return Err(Mistake { line: number, column: 1, message });
        }
        entries.push(Entry { line: number, ..entry });
    }
    Ok(entries)
}

/// A column and what is wrong there.
type Wrong = (usize, String);

fn wrong<T>(column: usize, message: impl Into<String>) -> Result<T, Wrong> {
    Err((column, message.into()))
}

struct Word {
    text: String,
    column: usize,
}

/// The words of a line and the column behind it.
struct Words {
    words: std::vec::IntoIter<Word>,
    end: usize,
}

fn words(line: &str) -> Result<Words, Wrong> {
    let mut words: Vec<Word> = Vec::new();
    let mut is_in_word = false;
    let mut characters = (1..).zip(line.chars());
    let end = line.chars().count() + 1;
    while let Some((column, c)) = characters.next() {
        if matches!(c, ' ' | '\t') {
            is_in_word = false;
            continue;
        }
        if !is_in_word {
            words.push(Word { text: String::new(), column });
            is_in_word = true;
        }
        let Some(word) = words.last_mut() else { continue };
        if !matches!(c, '\'' | '"') {
            word.text.push(c);
            continue;
        }
        loop {
            match characters.next() {
                None => return wrong(column, format!("the quote {c} is not closed")),
                Some((_, next)) if next == c => break,
                Some((_, '\\')) if c == '"' => match characters.next() {
                    Some((_, escaped @ ('"' | '\\'))) => word.text.push(escaped),
                    Some((_, other)) => word.text.extend(['\\', other]),
                    None => return wrong(column, format!("the quote {c} is not closed")),
                },
                Some((_, other)) => word.text.push(other),
            }
        }
    }
    Ok(Words { words: words.into_iter(), end })
}

fn entry(Words { mut words, end }: Words) -> Result<Entry, Wrong> {
    let mut next = || words.next();
    let mut word = next();
    let mut weight = 1;
    if let Some(first) = &word
        && first.text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'))
    {
        weight = weight_of(&first.text).map_err(|message| (first.column, message))?;
        word = next();
    }
    let mut method = None;
    if let Some(typed) = &word
        && !typed.text.contains("://")
    {
        if typed.text.is_empty() || typed.text.contains([':', '/', '.', '@']) {
            let shown = redact::url(&typed.text);
            let shown = shown.escape_debug();
            let message =
                format!("'{shown}' is neither a method nor a URL; write http://host/path");
            return wrong(typed.column, message);
        }
        method = Some(typed.text.clone());
        word = next();
    }
    let Some(url) = word else { return wrong(end, "the URL is missing") };
    let mut body = EntryBody::None;
    let mut headers = Vec::new();
    for word in words {
        match word.text.strip_prefix('@') {
            Some("" | "-") => {
                return wrong(word.column, "no body file is named behind @; write @FILE");
            }
            Some(path) if body == EntryBody::None && headers.is_empty() => {
                body = EntryBody::File(path.to_owned());
            }
            Some(_) => {
                let message = "one body file may be given, right behind the URL";
                return wrong(word.column, message);
            }
            None => {
                let before = headers.last();
                let header = header(&word.text, before).map_err(|why| (word.column, why))?;
                headers.push(header);
            }
        }
    }
    let Word { text: url, column } = url;
    Ok(Entry { line: 0, column, weight, method, url, headers, body })
}

fn weight_of(typed: &str) -> Result<u32, String> {
    let shown = typed.escape_debug();
    let digits = typed.bytes().all(|byte| byte.is_ascii_digit());
    match typed.parse::<u32>() {
        Ok(0) => {
            Err("a weight of 0 would never be sent; give 1 or more, or leave the line out".into())
        }
        Ok(weight) if digits && weight <= WEIGHT_MAX => Ok(weight),
        _ => Err(format!("'{shown}' is no weight; give a whole number from 1 to {WEIGHT_MAX}")),
    }
}

/// A header, which comes behind `before`.
fn header(typed: &str, before: Option<&Header>) -> Result<Header, String> {
    let Some((name, value)) = typed.split_once(':') else {
        // It may be the value, and that a secret.
        if let Some(Header { name, .. }) = before.filter(|before| before.value.is_empty()) {
            let name = name.escape_debug();
            return Err(format!(
                "no header begins here; if it belongs to '{name}:', put both in quotes: \
                 '{name}: value'"
            ));
        }
        let shown = redact::header(typed);
        let shown = shown.escape_debug();
        return Err(format!(
            "'{shown}' is no header; write Name:value, or 'Name: value' in quotes"
        ));
    };
    let value = value.trim_matches([' ', '\t']).as_bytes().to_vec();
    Ok(Header { name: name.to_owned(), value })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonEntry {
    weight: Option<serde_json::Number>,
    method: Option<String>,
    url: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<String>,
    body_file: Option<String>,
}

fn json(line: &str) -> Result<Entry, Wrong> {
    let read: JsonEntry = serde_json::from_str(line).map_err(|error| {
        // The place is told beside it.
        let text = error.to_string();
        let words = text.split(" at line 1").next().unwrap_or_default();
        (error.column().max(1), report::escape(&without_text(words), MESSAGE_CHARS_MAX))
    })?;
    let weight = read.weight.map_or(Ok(1), |weight| weight_of(&weight.to_string()));
    let body = match (read.body, read.body_file) {
        (Some(_), Some(_)) => {
            return wrong(1, "\"body\" and \"body_file\" contradict each other; give one of them");
        }
        (Some(text), None) => EntryBody::Text(text),
        (None, Some(path)) => EntryBody::File(path),
        (None, None) => EntryBody::None,
    };
    let header = |(name, value): (String, String)| Header { name, value: value.into_bytes() };
    Ok(Entry {
        line: 0,
        column: 1,
        weight: weight.map_err(|message| (1, message))?,
        method: read.method,
        url: read.url,
        headers: read.headers.into_iter().map(header).collect(),
        body,
    })
}

/// What the JSON reader says without the text it quotes: it may be a secret at a wrong place.
fn without_text(words: &str) -> String {
    let quoted = words.split_once("string \"").zip(words.rsplit_once("\", expected"));
    match quoted {
        Some(((before, _), (_, after))) => format!("{before}string, expected{after}"),
        None => redact::text(words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &str) -> Entry {
        let mut entries = parse(line).unwrap_or_else(|mistake| panic!("{line}: {mistake:?}"));
        assert_eq!(entries.len(), 1, "{line}");
        entries.remove(0)
    }

    fn headers(entry: &Entry) -> Vec<(&str, &str)> {
        let value = |header: &Header| std::str::from_utf8(&header.value).unwrap().to_owned();
        let leak = |text: String| -> &'static str { text.leak() };
        entry.headers.iter().map(|h| (h.name.as_str(), leak(value(h)))).collect()
    }

    #[test]
    fn a_line_has_a_weight_a_method_a_url_a_body_file_and_headers() {
        let all = one("3 POST http://h/p?q @b.json 'X-A: a b' X-B:c \"X-C: say \\\"hi\\\"\"");
        assert_eq!((all.weight, all.method.as_deref()), (3, Some("POST")));
        assert_eq!((all.url.as_str(), all.column), ("http://h/p?q", 8));
        assert_eq!(all.body, EntryBody::File("b.json".to_owned()));
        assert_eq!(headers(&all), [("X-A", "a b"), ("X-B", "c"), ("X-C", "say \"hi\"")]);
        let least = one("http://h/");
        assert_eq!((least.weight, least.method, least.body), (1, None, EntryBody::None));
        assert_eq!(one("7\tHEAD \t http://h/ ").weight, 7);
        assert_eq!(one("GET 'http://h/it'\"'\"s").url, "http://h/it's");
        assert_eq!(
            headers(&one("GET http://h/ 'If-None-Match: \"x\"'")),
            [("If-None-Match", "\"x\"")]
        );
        assert_eq!(headers(&one("GET http://h/ X:")), [("X", "")]);
    }

    #[test]
    fn a_line_may_be_json() {
        let entry = one(
            r#" {"weight":3,"method":"POST","url":"http://h/","headers":{"B":"2","A":"1"},"body":"x\ny"}"#,
        );
        assert_eq!((entry.weight, entry.method.as_deref()), (3, Some("POST")));
        assert_eq!(headers(&entry), [("A", "1"), ("B", "2")]);
        assert_eq!(entry.body, EntryBody::Text("x\ny".to_owned()));
        let file = one(r#"{"url":"http://h/","body_file":"b"}"#);
        assert_eq!((file.weight, file.body), (1, EntryBody::File("b".to_owned())));
    }

    #[test]
    fn empty_lines_and_remarks_are_skipped_and_lines_are_counted() {
        let entries = parse("# list\n\n  \t\nGET http://a/\r\n  # more\n2 http://b/").unwrap();
        let places: Vec<_> = entries.iter().map(|e| (e.line, e.url.as_str())).collect();
        assert_eq!(places, [(4, "http://a/"), (6, "http://b/")]);
        assert_eq!(parse("").unwrap(), []);
    }

    #[test]
    fn a_mistake_is_told_with_its_line_and_column() {
        for (text, line, column, words) in [
            ("GET http://h/\n0 GET http://h/", 2, 1, "weight of 0"),
            ("-1 GET http://h/", 1, 1, "'-1' is no weight"),
            ("1.5 GET http://h/", 1, 1, "'1.5' is no weight"),
            ("1000001 GET http://h/", 1, 1, "to 1000000"),
            ("3", 1, 2, "URL is missing"),
            ("3 GET", 1, 6, "URL is missing"),
            ("GET  ", 1, 6, "URL is missing"),
            ("h/path", 1, 1, "neither a method nor a URL"),
            ("GET http://h/ 'X: y", 1, 15, "not closed"),
            ("GET http://h/ \"X: y\\", 1, 15, "not closed"),
            ("GET http://h/ @", 1, 15, "no body file"),
            ("GET http://h/ @-", 1, 15, "no body file"),
            ("GET http://h/ @a @b", 1, 18, "one body file"),
            ("GET http://h/ X:y @b", 1, 19, "right behind the URL"),
            ("GET http://h/ word", 1, 15, "'word' is no header"),
            ("ö http://h/ word", 1, 13, "'word' is no header"),
            ("GET http://h/ 'Authorization SEKRET'", 1, 15, "'Authorization ***' is no header"),
            ("GET http://h/ Authorization: SEKRET", 1, 30, "put both in quotes"),
            ("me:SEKRET@h/", 1, 1, "'***@h/' is neither"),
            (
                "{\"url\":\"x\",\"headers\":\"SEKRET\"}",
                1,
                29,
                "invalid type: string, expected a map",
            ),
            ("{\"Authorization: SEKRET\":1}", 1, 24, "unknown field `Authorization: ***"),
            ("{\"url\":3}", 1, 8, "invalid type"),
            ("{\"uri\":\"x\"}", 1, 6, "unknown field"),
            ("{\"weight\":0,\"url\":\"http://h/\"}", 1, 1, "weight of 0"),
            ("{\"weight\":-3,\"url\":\"http://h/\"}", 1, 1, "no weight"),
            ("{\"url\":\"http://h/\",\"body\":\"\",\"body_file\":\"\"}", 1, 1, "contradict"),
            ("{\"url\":\"http://h/\"", 1, 18, "EOF"),
            ("{}", 1, 2, "missing field"),
        ] {
            let mistake = parse(text).expect_err(text);
            assert_eq!((mistake.line, mistake.column), (line, column), "{text}: {mistake:?}");
            assert!(mistake.message.contains(words), "{text}: {mistake:?}");
            assert!(!mistake.message.contains("SEKRET"), "{text}: {mistake:?}");
        }
    }
}
