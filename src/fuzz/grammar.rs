//! What people type: command lines, values, URLs.
//!
//! The idea: whatever is typed, the answer is a value or one message that can be shown anywhere.

use std::ffi::OsString;
use std::net::IpAddr;
use std::os::unix::ffi::OsStringExt as _;
use std::sync::Arc;

use crate::cli::args::{self, Command, Parsed, RunArgs};
use crate::cli::error::CliError;
use crate::cli::wrk::Persona;
use crate::cli::{self, lower, url, urls};
use crate::limits;
use crate::result::RunResult;
use crate::result::threshold::{Measured, Threshold};
use crate::schedule::{Arrivals, Cursor, Profile, parse_stages};
use crate::units::{
    Rate, format_bytes, format_duration_ns, format_rate, parse_bytes, parse_count,
    parse_distribution, parse_duration_ns, parse_rate,
};

/// A longer command line says nothing new.
const TYPED_BYTES_MAX: usize = 2048;
/// CPUs that the command line may name.
const ALLOWED: [u32; 2] = [0, 1];

fn typed(data: &[u8]) -> String {
    String::from_utf8_lossy(&data[..data.len().min(TYPED_BYTES_MAX)]).into_owned()
}

fn is_one_line(message: &str) {
    assert!(!message.is_empty() && !message.contains(char::is_control), "{message:?}");
}

fn is_one_message(error: &CliError) {
    assert!(matches!(error.code, 1..=3), "{error:?}");
    is_one_line(&error.message);
    if let Some(hint) = &error.hint {
        is_one_line(hint);
    }
}

/// The argument grammar, one word a line, `argv[0]` first: any words give a job or one message.
///
/// Nothing is opened, and no name is asked for: arguments that would do so are checked without.
pub(super) fn argv(data: &[u8]) {
    let data = &data[..data.len().min(TYPED_BYTES_MAX)];
    let words: Vec<OsString> =
        data.split(|&byte| byte == b'\n').map(|word| OsString::from_vec(word.to_vec())).collect();
    let texts: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    if let Some(persona) = Persona::of(&texts[0]) {
        match persona.parse(&words) {
            Ok(run) => measurement(run.args, &[run.url], &texts),
            Err(refusal) => {
                let is_said = !refusal.stdout.is_empty() || !refusal.stderr.is_empty();
                assert!(is_said, "refused without a word");
            }
        }
        return;
    }
    match args::parse(words) {
        Err(error) => is_one_message(&error),
        Ok(Parsed::Text(text)) => assert!(!text.is_empty()),
        Ok(Parsed::Command(command)) => match *command {
            Command::Run(run) if run.url.is_empty() && run.run.targets.urls.is_empty() => {
                refused_without_url(&texts);
            }
            Command::Run(run) => measurement(run.run, &run.url, &texts),
            Command::Selftest(run) => {
                measurement(run, &["http://127.0.0.1:1/".to_owned()], &texts);
            }
            Command::Search(search) if search.url.is_empty() => refused_without_url(&texts),
            Command::Search(search) => measurement(search.run, &search.url, &texts),
            Command::Serve(mut serve) => {
                serve.log = None;
                if let Err(error) = lower::serve(&serve, &ALLOWED) {
                    is_one_message(&error);
                }
            }
            Command::Compare(compare) => {
                measurement(compare.run, &["http://127.0.0.1:1/".to_owned()], &texts)
            }
            Command::Doctor(_)
            | Command::Report(_)
            | Command::Completions(_)
            | Command::Man
            | Command::Help(_) => {}
        },
    }
}

fn refused_without_url(texts: &[String]) {
    let argv = texts.iter().map(OsString::from).collect();
    let refusal = cli::prepare(argv, &ALLOWED).expect_err("there is nothing to measure");
    assert_eq!(refusal.code, 2, "{refusal:?}");
    assert!(refusal.stdout.is_empty() && refusal.stderr.ends_with('\n'), "{refusal:?}");
}

/// Lowers the flags of a measurement without opening a file or asking a resolver.
fn measurement(mut args: RunArgs, urls: &[String], texts: &[String]) {
    args.output = None;
    args.json = args.json.map(|_| None);
    let names_no_file = |typed: &String| !typed.starts_with('@');
    args.body = args.body.filter(|typed| !typed.as_encoded_bytes().starts_with(b"@"));
    args.targets.json_body = args.targets.json_body.filter(names_no_file);
    args.targets.multipart.retain(|part| !part.contains("=@"));
    args.targets.urls.clear();
    args.targets.body_lines = None;
    args.network.user.retain(names_no_file);
    args.network.proxy.clear();
    (args.network.unix_socket, args.network.connect_to) = (None, None);
    args.network.proxy_tunnel = false;
    if urls.is_empty() {
        return;
    }
    for url in urls {
        match url::split(url) {
            Err(error) => return is_one_message(&error),
            // Without its scope, which names an interface.
            Ok(target) if target.host.parse::<IpAddr>().is_err() => return,
            Ok(_) => {}
        }
    }
    match lower::run_all(&args, urls, texts, &ALLOWED) {
        Err(lower::Refused::Usage(error)) => is_one_message(&error),
        Err(lower::Refused::Unresolved { host, .. }) => panic!("{host} is an address"),
        Ok(job) => {
            let dealt: u64 = job.plan.shares.iter().map(|s| u64::from(s.connections)).sum();
            assert_eq!(dealt, u64::from(args.connections), "every connection has one worker");
            job.notes.iter().for_each(|note| is_one_line(note));
        }
    }
}

/// Durations, counts, sizes, rates, distributions and stages: a value in its bounds, or one line.
pub(super) fn values(data: &[u8]) {
    let text = typed(data);
    let refused = |error: &dyn std::error::Error| is_one_line(&error.to_string());
    match parse_duration_ns(&text, limits::DURATION_NS_MAX) {
        Ok(ns) => {
            assert!(ns <= limits::DURATION_NS_MAX);
            is_one_line(&format_duration_ns(ns));
        }
        Err(error) => refused(&error),
    }
    if let Err(error) = parse_count(&text) {
        refused(&error);
    }
    match parse_bytes(&text) {
        Ok(bytes) => is_one_line(&format_bytes(bytes)),
        Err(error) => refused(&error),
    }
    match parse_rate(&text) {
        Ok(rate) => rate_is_kept(rate),
        Err(error) => refused(&error),
    }
    match parse_distribution(&text, limits::DURATION_NS_MAX) {
        Ok(distribution) => assert!(!distribution.parts().is_empty()),
        Err(error) => refused(&error),
    }
    match parse_stages(&text, limits::DURATION_NS_MAX) {
        Ok(stages) => match Profile::stages(stages) {
            Ok(profile) => profile_is_followed(profile),
            Err(error) => refused(&error),
        },
        Err(error) => refused(&error),
    }
}

/// A rate is printed exactly, or marked as rounded; a schedule of it is one.
fn rate_is_kept(rate: Rate) {
    let printed = format_rate(rate);
    if !printed.starts_with('~') {
        assert_eq!(parse_rate(&printed.replace(',', "")), Ok(rate), "{printed}");
    }
    for length_ns in [None, Some(limits::DURATION_NS_MAX), Some(1_000_000_000)] {
        match Profile::constant(rate, length_ns) {
            Ok(profile) => profile_is_followed(profile),
            Err(error) => is_one_line(&error.to_string()),
        }
    }
}

/// Times never go back, none lies at the end or after it, and cursors follow them.
fn profile_is_followed(profile: Profile) {
    let length_ns = profile.length_ns().unwrap_or(u64::MAX);
    let total = profile.total();
    let last = total.map_or(1 << 40, |total| total - 1);
    let mut before_ns = 0;
    for index in [0, 1, 2, last / 3, last / 2, last.saturating_sub(1), last] {
        if index > last {
            continue;
        }
        let Some(at_ns) = profile.time_ns(index) else {
            assert!(total.is_none(), "request {index} of {total:?} is never due");
            return;
        };
        assert!(at_ns < length_ns, "request {index} is due at {at_ns}, after {length_ns}");
        let is_after = index < 3 || at_ns >= before_ns;
        assert!(is_after, "request {index} is due at {at_ns}, before {before_ns}");
        before_ns = at_ns;
    }
    if let Some(total) = total {
        assert_eq!(profile.time_ns(total), None, "one more than the total is due");
    }
    let profile = Arc::new(profile);
    for arrivals in [Arrivals::Constant, Arrivals::Poisson] {
        let mut cursor = Cursor::new(Arc::clone(&profile), arrivals, 1, 3, 7, Some(20));
        let mut before_ns = 0;
        for step in 0..20 {
            let Some(at_ns) = cursor.peek_ns() else { break };
            assert!((before_ns..length_ns).contains(&at_ns), "{arrivals:?} {step}: {at_ns}");
            if arrivals == Arrivals::Constant {
                assert_eq!(profile.time_ns(1 + 3 * step), Some(at_ns));
            }
            before_ns = at_ns;
            cursor.advance();
        }
    }
}

/// A threshold is refused in one line with its place, or printed so that it is read as the same,
/// and judges a run in which nothing happened without passing what was not measured.
pub(super) fn threshold(data: &[u8]) {
    let text = typed(data);
    let threshold = match Threshold::parse(&text) {
        Ok(threshold) => threshold,
        Err(error) => {
            assert!((1..=text.chars().count() + 1).contains(&error.at), "{error:?}");
            return is_one_line(&error.to_string());
        }
    };
    let printed = threshold.to_string();
    is_one_line(&printed);
    assert_eq!(Threshold::parse(&printed), Ok(threshold.clone()), "{printed}");
    let found = threshold.evaluate(&RunResult::default());
    let is_unknown = matches!(found.measured, Measured::Unknown(_));
    assert!(!(is_unknown && found.passed), "{printed}: {found:?}");
}

/// A URL is split without being rewritten, or refused in one line.
pub(super) fn url(data: &[u8]) {
    let text = typed(data);
    match url::split(&text) {
        Err(error) => is_one_message(&error),
        Ok(target) => {
            assert!(target.port != 0 && !target.host.is_empty(), "{target:?}");
            let path = target.path.strip_prefix('/').unwrap_or_default();
            assert!(target.path.starts_with('/') && text.contains(path), "{target:?}");
            assert!(!target.path.contains('#'), "{target:?}");
            let sent = format!("{}{}", target.host_field, target.path);
            assert!(!sent.contains(|c: char| c.is_control() || c == ' '), "{target:?}");
        }
    }
}

/// A list of requests is read entry by entry, or the first mistake in it is told with its place.
pub(super) fn urls(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let lines: Vec<&str> = text.lines().collect();
    match urls::parse(&text) {
        Err(mistake) => {
            is_one_line(&mistake.message);
            let line = lines.get(mistake.line - 1).expect("a line of the list");
            let most = line.len() + 1;
            assert!((1..=most).contains(&mistake.column), "{mistake:?} in {line:?}");
        }
        Ok(entries) => {
            let mut before = 0;
            for entry in entries {
                assert!(entry.line > before && entry.line <= lines.len(), "{entry:?}");
                assert!(entry.weight > 0, "{entry:?}");
                let line = lines[entry.line - 1].trim_start();
                assert!(!line.is_empty() && !line.starts_with('#'), "{entry:?}");
                before = entry.line;
            }
        }
    }
}
