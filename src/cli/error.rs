//! What is said when the command line cannot be carried out.

use std::ffi::OsString;
use std::fmt;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::redact;

/// Exit code: usage.
pub const EXIT_USAGE: u8 = 2;
/// Exit code: internal failure.
pub const EXIT_INTERNAL: u8 = 1;
/// Exit code: nothing could be measured.
pub const EXIT_NOTHING_MEASURED: u8 = 3;

/// One message for stderr, and the code to exit with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CliError {
    /// What was seen and what would be right; one line.
    pub message: String,
    /// What to try; one line.
    pub hint: Option<String>,
    /// The exit code.
    pub code: u8,
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wring: error: {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for CliError {}

impl CliError {
    /// A usage error, exit code 2.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, code: EXIT_USAGE }
    }

    /// Nothing can be measured, exit code 3.
    pub fn nothing_measured(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, code: EXIT_NOTHING_MEASURED }
    }

    /// An internal failure, exit code 1.
    pub fn internal(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, code: EXIT_INTERNAL }
    }

    /// The same error with a line of advice.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// An argument that must be text is none. Values are not shown: one may be a password.
    pub fn not_utf8(argv: &[OsString]) -> Self {
        let is_bytes = |flag: &str| {
            let long = flag.starts_with("--header") || flag.starts_with("--body");
            long || flag.starts_with("-H") || flag.starts_with("-b")
        };
        let arguments = argv.iter().zip(argv.iter().skip(1));
        let found =
            arguments.filter(|(_, argument)| argument.to_str().is_none()).find_map(|pair| {
                let (before, argument) = (pair.0.to_string_lossy(), pair.1.to_string_lossy());
                let flag = match (argument.starts_with('-'), before.starts_with('-')) {
                    (true, _) => argument.clone(),
                    (false, true) => before,
                    (false, false) => return Some(format!("'{}'", redact::url(&argument))),
                };
                let name = match flag.strip_prefix("--") {
                    Some(_) => flag.split('=').next().unwrap_or_default().to_owned(),
                    None => flag.chars().take(2).collect(),
                };
                (!is_bytes(&name)).then(|| format!("the value of {name}"))
            });
        let what = found.unwrap_or_else(|| "an argument".to_owned());
        Self::usage(format!("{} is not UTF-8", what.escape_debug()))
            .hint("other bytes may stand in header values (-H), in bodies (-b) and in file names")
    }

    /// A complaint of the argument parser in our form.
    pub fn from_clap(error: &clap::Error) -> Self {
        let text = |kind| match error.get(kind) {
            Some(ContextValue::String(text)) => Some(text.as_str()),
            _ => None,
        };
        // `--connections <N>` without its placeholder.
        let flag = text(ContextKind::InvalidArg).unwrap_or_default();
        let flag = flag.split_once([' ', '[', '=']).map_or(flag, |(name, _)| name);
        let value = text(ContextKind::InvalidValue).unwrap_or_default();
        let cause = std::error::Error::source(error).map(ToString::to_string);
        let message = match (error.kind(), cause) {
            (ErrorKind::ValueValidation, Some(cause)) => format!("{flag}: {cause}"),
            (ErrorKind::InvalidValue, _) if value.is_empty() => {
                format!("{flag} needs a value")
            }
            _ => first_paragraph(&error.render().to_string()),
        };
        let known = match error.get(ContextKind::ValidValue) {
            Some(ContextValue::Strings(values)) if !values.is_empty() => {
                Some(format!("possible values are {}", values.join(", ")))
            }
            _ => None,
        };
        let suggestion = match error.get(ContextKind::SuggestedArg) {
            Some(ContextValue::String(like)) => Some(format!("did you mean {like}?")),
            _ => None,
        };
        let hint = suggestion.or(known).or_else(|| swallowed_url(flag, value));
        let hint = hint.unwrap_or_else(|| "wring --help shows every flag".to_owned());
        Self::usage(redact::text(&message)).hint(hint)
    }
}

/// What to say when the value of a flag is the URL behind it, because its own was left out.
fn swallowed_url(flag: &str, value: &str) -> Option<String> {
    match flag {
        // No rate has a colon.
        "--rate" if value.contains(':') => Some("-R needs a value, such as -R 10k/s".to_owned()),
        "--stages" if value.contains("://") => {
            Some("--stages needs a value, such as --stages '0->10k:30s,10k:2m'".to_owned())
        }
        _ => None,
    }
}

/// The parser's own sentence without its preface, advice and usage, on one line.
fn first_paragraph(rendered: &str) -> String {
    let body = rendered.strip_prefix("error: ").unwrap_or(rendered);
    let lines = body.lines().take_while(|line| !line.trim().is_empty());
    let words: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
    let sentence = words.join(" ");
    // The possible values are told in the hint.
    match sentence.split_once(" [possible values") {
        Some((before, _)) => before.to_owned(),
        None => sentence,
    }
}
