//! Bodies from flags: fields of forms, parts of multipart messages, JSON, lines of a file.
//!
//! Pure but for the files that are named. A body brings the Content-Type that its flag asks for.

use std::path::Path;
use std::sync::Arc;

use serde::de::IgnoredAny;

use super::args::RunArgs;
use super::error::CliError;
use super::files::{read_file, read_named, read_named_bytes};
use crate::plan::{Body, Lines, Text};
use crate::rng::Rng;

const FORM: &str = "application/x-www-form-urlencoded";
/// How the type of a message in parts begins.
pub(super) const MULTIPART: &str = "multipart/form-data";
const JSON: &str = "application/json";

/// A body, and the type that its flag asks for.
#[derive(Clone, Debug)]
pub(super) struct TypedBody {
    /// What is sent.
    pub(super) body: Body,
    /// Value of Content-Type.
    pub(super) content_type: Option<String>,
    /// Two braces stand in it that begin no placeholder.
    pub(super) has_unknown: bool,
}

impl TypedBody {
    /// A body without a type of its own.
    pub(super) fn plain(text: Text) -> Self {
        let has_unknown = text.has_unknown();
        Self { body: Body::Same(text), content_type: None, has_unknown }
    }

    fn of_type(text: Text, content_type: impl Into<String>) -> Self {
        Self { content_type: Some(content_type.into()), ..Self::plain(text) }
    }
}

/// The body that the flags ask for, if any does.
pub(super) fn body(args: &RunArgs) -> Result<Option<TypedBody>, CliError> {
    let targets = &args.targets;
    let given: Vec<&str> = [
        ("-b", args.body.is_some()),
        ("--form", !targets.form.is_empty()),
        ("--multipart", !targets.multipart.is_empty()),
        ("--json-body", targets.json_body.is_some()),
        ("--body-lines", targets.body_lines.is_some()),
    ]
    .into_iter()
    .filter_map(|(flag, is_given)| is_given.then_some(flag))
    .collect();
    if let [first, second, ..] = given[..] {
        return Err(CliError::usage(format!(
            "{first} and {second} contradict each other: a request has one body; give one of them"
        )));
    }
    if let Some(typed) = &args.body {
        return Ok(Some(TypedBody::plain(Text::typed(&read_named_bytes("-b", typed)?))));
    }
    if !targets.form.is_empty() {
        return form(&targets.form).map(Some);
    }
    if !targets.multipart.is_empty() {
        return multipart(&targets.multipart, args.seed).map(Some);
    }
    if let Some(typed) = &targets.json_body {
        return json(&read_named("--json-body", typed)?).map(Some);
    }
    targets.body_lines.as_deref().map(lines).transpose()
}

/// `application/x-www-form-urlencoded`, as browsers write it (WHATWG URL, section 5).
fn form(fields: &[String]) -> Result<TypedBody, CliError> {
    let mut text = Text::default();
    for field in fields {
        let (name, value) = field.split_once('=').ok_or_else(|| no_value("--form", field))?;
        if !text.bytes().is_empty() {
            text.append_bytes(b"&");
        }
        text.append(&Text::typed(name.as_bytes()).encoded(form_byte));
        text.append_bytes(b"=");
        text.append(&Text::typed(value.as_bytes()).encoded(form_byte));
    }
    Ok(TypedBody::of_type(text, FORM))
}

fn no_value(flag: &str, field: &str) -> CliError {
    let shown = field.escape_debug();
    CliError::usage(format!("{flag}: '{shown}' has no '='; write {flag} name=value"))
}

fn form_byte(byte: u8, out: &mut Vec<u8>) {
    match byte {
        b' ' => out.push(b'+'),
        b'*' | b'-' | b'.' | b'_' => out.push(byte),
        _ if byte.is_ascii_alphanumeric() => out.push(byte),
        _ => percent(byte, out),
    }
}

fn percent(byte: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("%{byte:02X}").as_bytes());
}

/// One part of a multipart message.
struct Part {
    name: String,
    file_name: Option<String>,
    content: Text,
}

/// `multipart/form-data` (RFC 7578). A file's bytes are sent as they are.
fn multipart(fields: &[String], seed: u64) -> Result<TypedBody, CliError> {
    let part = |field: &String| {
        let (name, value) = field.split_once('=').ok_or_else(|| no_value("--multipart", field))?;
        let (file_name, content) = match value.strip_prefix('@') {
            Some(path) => {
                let name = Path::new(path).file_name().unwrap_or_default();
                let bytes = read_file("--multipart", path)?;
                (Some(name.to_string_lossy().into_owned()), Text::verbatim(bytes))
            }
            None => (None, Text::typed(value.as_bytes())),
        };
        Ok(Part { name: name.to_owned(), file_name, content })
    };
    let parts = fields.iter().map(part).collect::<Result<Vec<_>, CliError>>()?;
    let boundary = boundary(&parts, seed);
    let mut text = Text::default();
    for Part { name, file_name, content } in &parts {
        let mut head =
            format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"", quotable(name));
        if let Some(file_name) = file_name {
            head += &format!(
                "; filename=\"{}\"\r\nContent-Type: application/octet-stream",
                quotable(file_name)
            );
        }
        text.append_bytes(head.as_bytes());
        text.append_bytes(b"\r\n\r\n");
        text.append(content);
        text.append_bytes(b"\r\n");
    }
    text.append_bytes(format!("--{boundary}--\r\n").as_bytes());
    Ok(TypedBody::of_type(text, format!("{MULTIPART}; boundary={boundary}")))
}

/// Names in quotes, as browsers write them (WHATWG HTML, multipart/form-data encoding algorithm).
fn quotable(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

/// A line that does not occur in any part. No digits filled in later can make it occur: it has
/// letters that they have not.
fn boundary(parts: &[Part], seed: u64) -> String {
    let mut rng = Rng::new(seed);
    loop {
        let boundary = format!("wring-{:016x}", rng.next_u64());
        let occurs = |bytes: &[u8]| bytes.windows(boundary.len()).any(|w| w == boundary.as_bytes());
        if !parts.iter().any(|part| occurs(part.content.bytes())) {
            return boundary;
        }
    }
}

fn json(bytes: &[u8]) -> Result<TypedBody, CliError> {
    let text = std::str::from_utf8(bytes).map_err(|_| {
        CliError::usage("--json-body: the text is not UTF-8, which JSON has to be (RFC 8259)")
    })?;
    if let Err(error) = serde_json::from_str::<IgnoredAny>(text) {
        let error = CliError::usage(format!("--json-body: this is not JSON: {error}"));
        return Err(match text.contains("{{") {
            true => error.hint("placeholders stand in quotes: {\"id\":\"{{seq}}\"}"),
            false => error.hint("-b sends any text as it is"),
        });
    }
    Ok(TypedBody::of_type(Text::typed(bytes), JSON))
}

fn lines(path: &str) -> Result<TypedBody, CliError> {
    let typed = if path == "-" { "@-".to_owned() } else { format!("@{path}") };
    let lines = Lines::new(&read_named("--body-lines", &typed)?).ok_or_else(|| {
        let path = path.escape_debug();
        CliError::usage(format!("--body-lines: '{path}' is empty; give a file with a body a line"))
    })?;
    let has_unknown = lines.has_unknown();
    Ok(TypedBody { body: Body::InTurn(Arc::new(lines)), content_type: None, has_unknown })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(body: &TypedBody) -> String {
        match &body.body {
            Body::Same(text) => String::from_utf8(text.bytes().to_vec()).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    fn fields(fields: &[&str]) -> Vec<String> {
        fields.iter().map(|&field| field.to_owned()).collect()
    }

    #[test]
    fn form_fields_are_written_as_browsers_write_them() {
        let body = form(&fields(&["a=b c", "d=ä&=", "e=", "f=*-._~"])).unwrap();
        assert_eq!(text(&body), "a=b+c&d=%C3%A4%26%3D&e=&f=*-._%7E");
        assert_eq!(body.content_type.as_deref(), Some("application/x-www-form-urlencoded"));
        let filled = form(&fields(&["id=x {{seq}} {{no}}"])).unwrap();
        assert_eq!(text(&filled), "id=x+0000000000000000+%7B%7Bno%7D%7D");
        assert!(filled.has_unknown);
        let Body::Same(filled) = &filled.body else { panic!() };
        assert_eq!(filled.holes()[0].at, 5);
        let refused = form(&fields(&["novalue"])).unwrap_err();
        assert!(refused.message.contains("'novalue' has no '='"), "{refused}");
    }

    #[test]
    fn parts_are_set_apart_by_a_line_that_none_of_them_holds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a\"b.bin");
        std::fs::write(&path, b"\0{{seq}}\r\n--wring").unwrap();
        let typed = fields(&["n=v {{seq}}", &format!("f=@{}", path.display())]);
        let body = multipart(&typed, 1).unwrap();
        let content_type = body.content_type.clone().unwrap();
        let boundary = content_type.strip_prefix("multipart/form-data; boundary=").unwrap();
        assert_eq!(
            text(&body),
            format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"n\"\r\n\r\n\
                 v 0000000000000000\r\n--{boundary}\r\n\
                 Content-Disposition: form-data; name=\"f\"; filename=\"a%22b.bin\"\r\n\
                 Content-Type: application/octet-stream\r\n\r\n\
                 \0{{{{seq}}}}\r\n--wring\r\n--{boundary}--\r\n"
            )
        );
        // What happens to be the boundary makes it another one.
        let again = multipart(&fields(&[&format!("n=--{boundary}")]), 1).unwrap();
        assert_ne!(again.content_type, body.content_type);
        for (field, words) in
            [("x", "no '='"), ("f=@", "names no file"), ("f=@/nowhere", "cannot read")]
        {
            let refused = multipart(&fields(&[field]), 1).unwrap_err();
            assert!(refused.message.contains(words), "{refused}");
        }
    }

    #[test]
    fn json_is_checked_and_sent_as_typed() {
        let typed = br#" {"id": "{{seq}}", "n": [1, 2.5e3, null]} "#;
        let body = json(typed).unwrap();
        assert_eq!(text(&body), r#" {"id": "0000000000000000", "n": [1, 2.5e3, null]} "#);
        assert_eq!(body.content_type.as_deref(), Some("application/json"));
        for typed in ["{", "", "{'a':1}", "{\"a\":1}}", "nul"] {
            assert!(json(typed.as_bytes()).unwrap_err().message.contains("not JSON"), "{typed}");
        }
        let unquoted = json(b"{\"id\":{{seq}}}").unwrap_err();
        assert!(unquoted.hint.unwrap().contains("in quotes"));
        assert!(json(b"\"\xff\"").unwrap_err().message.contains("UTF-8"));
    }

    #[test]
    fn an_empty_file_has_no_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        std::fs::write(&path, "").unwrap();
        let path = path.to_str().unwrap();
        assert!(lines(path).unwrap_err().message.contains("is empty"));
        std::fs::write(path, "a\nb").unwrap();
        assert!(matches!(lines(path).unwrap().body, Body::InTurn(lines) if lines.count() == 2));
    }
}
