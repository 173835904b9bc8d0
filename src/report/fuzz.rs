//! What must be true of a stored result wherever it comes from, for the fuzzer and for tests.
//!
//! Owns the claims; knows nothing of where the bytes come from. Each function panics when its claim
//! is broken.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::text::TextOptions;
use super::{json, stored, text};
use crate::result::RunResult;

/// A histogram as a file holds it.
#[derive(Clone, Copy, Debug)]
pub struct Buckets<'v2> {
    /// HdrHistogram's V2 form, or anything else.
    pub v2: &'v2 [u8],
    /// Its smallest value.
    pub min: u64,
    /// Its largest value.
    pub max: u64,
    /// Values above the bound.
    pub overflow: u64,
}

/// A file is refused in one line, or read and then written, read again and rendered in every form.
pub fn a_file_is_refused_or_renders(bytes: &[u8]) {
    let result = match stored::read(bytes) {
        Ok(result) => result,
        Err(error) => return is_one_line(&error.to_string()),
    };
    assert_eq!(stored::read(&stored::write(&result)).as_ref(), Ok(&result), "written differently");
    let options =
        TextOptions { latency_distribution: true, uncorrected: true, verbose: true, color: false };
    is_plain(&text::render(&result, &options));
    is_plain(&text::render_wrk(&result, true));
    is_plain(&text::render_wrk2(&result, true, true));
    assert!(!json::render(&result).is_empty());
}

/// The same for a file that is sound but for one histogram, which is where the library's own reader
/// would trust what it is told.
pub fn a_histogram_is_refused_or_renders(buckets: Buckets<'_>) {
    let sound = stored::write(&RunResult::default());
    let mut file: serde_json::Value =
        serde_json::from_slice(&sound).expect("what was written is JSON");
    let latency = &mut file["histograms"]["latency"];
    assert!(latency["v2"].is_string(), "the schema has moved the histograms");
    latency["v2"] = BASE64.encode(buckets.v2).into();
    latency["min"] = buckets.min.into();
    latency["max"] = buckets.max.into();
    latency["overflow"] = buckets.overflow.into();
    a_file_is_refused_or_renders(file.to_string().as_bytes());
}

fn is_one_line(message: &str) {
    assert!(!message.is_empty() && !message.contains(char::is_control), "{message:?}");
}

/// Text for a terminal: whatever a file says, it moves no cursor and changes no colour.
fn is_plain(text: &[u8]) {
    let text = str::from_utf8(text).expect("a report is UTF-8");
    let control = text.chars().find(|&c| c.is_control() && c != '\n');
    assert!(!text.is_empty() && control.is_none(), "{control:?} in {text:?}");
}
