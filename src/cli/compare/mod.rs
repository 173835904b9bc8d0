//! `wring compare`: what was typed becomes two sides, which are measured in turns or read, compared and
//! reported.
//!
//! Owns which kind of sides was named, the output and the exit code. `live` measures, `builds` starts
//! servers, `stored` reads files; what a difference is and when it is real is the room `compare`'s.

mod builds;
mod live;
mod stored;

use std::path::Path;

use super::args::compare::{CompareArgs, CompareFormat, FailOn};
use super::error::CliError;
use super::files::ReportFile;
use super::{colored, write_stdout};
use crate::compare::{Comparison, Metric, Word};
use crate::report::compare as render;
use crate::result::Interrupted;
use crate::units::format_duration_ns;

/// Exit code: a threshold failed.
const EXIT_FAILED: u8 = 99;
/// Length of a block when none is asked for, in nanoseconds.
const BLOCK_NS: u64 = 250_000_000;
/// Longest that a low rate makes it.
const BLOCK_NS_MAX: u64 = 5_000_000_000;
/// Shortest that a short comparison makes it, and how many there are to be in one at least.
const BLOCK_NS_MIN: u64 = 20_000_000;
const BLOCKS_MIN: u64 = 60;
/// Pairs without which no side is called faster or slower.
const PAIRS_LEAST: u64 = 8;

/// What is compared.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Kind {
    /// Two servers that run.
    Urls([String; 2]),
    /// Two commands, and what to ask their servers for.
    Commands([String; 2], String),
    /// Stored results: the files of each side.
    Files(Vec<Vec<String>>),
}

/// What `wring compare` is to do.
#[derive(Clone, Debug)]
pub struct CompareJob {
    args: Box<CompareArgs>,
    argv: Vec<String>,
    kind: Kind,
}

/// Checks what can be checked without touching the network.
pub(super) fn lower(args: CompareArgs, argv: Vec<String>) -> Result<CompareJob, CliError> {
    let kind = kind(&args)?;
    check_server_pids(&args, &kind)?;
    check_flags(&args, &kind)?;
    if !matches!(kind, Kind::Files(_)) {
        check_metric(&args, &kind)?;
        check_block(&args, &kind)?;
        super::lower::check(&args.run)?;
    }
    if args.run.json == Some(None) && args.format != CompareFormat::Text {
        return Err(CliError::usage("--json and --format contradict each other; give one of them"));
    }
    Ok(CompareJob { args: Box::new(args), argv, kind })
}

/// Carries it out; answers with the exit code.
pub(super) fn execute(job: CompareJob) -> Result<u8, CliError> {
    let CompareJob { args, argv, kind } = job;
    let file = match &args.run.json {
        Some(Some(path)) => Some(ReportFile::open("--json", path)?),
        _ => None,
    };
    let measures = !matches!(kind, Kind::Files(_));
    let comparison = match kind {
        Kind::Files(sides) => stored::compare(&args, &sides)?,
        Kind::Urls(urls) => live::compare_urls(&args, &argv, urls)?,
        Kind::Commands(commands, path) => builds::compare(&args, &argv, &commands, &path)?,
    };
    present(&args, &comparison, file)?;
    // Stored runs were judged when they were made.
    let fails_a_check = measures && comparison.sides.iter().any(|s| s.answers.fails_a_check());
    Ok(exit_code(&comparison, args.fail_on, fails_a_check))
}

fn present(
    args: &CompareArgs,
    comparison: &Comparison,
    file: Option<ReportFile>,
) -> Result<(), CliError> {
    let written = file.map_or(Ok(()), |file| file.commit(&render::json(comparison)));
    let is_json = args.run.json == Some(None) || args.format == CompareFormat::Json;
    write_stdout(&match args.format {
        _ if is_json => render::json(comparison),
        CompareFormat::Md => render::markdown(comparison),
        _ => render::text(comparison, colored(args.run.color)),
    })?;
    written
}

/// The first that applies: interrupted, failed, fine.
fn exit_code(comparison: &Comparison, fail_on: FailOn, fails_a_check: bool) -> u8 {
    let is_beyond_margin = |other: &crate::compare::Against| {
        let decisive = other.differences.iter().find(|d| d.metric == comparison.metric);
        decisive.is_some_and(|difference| difference.relative().abs() > comparison.margin)
    };
    let slower = comparison.others.iter().any(|o| o.word == Word::Slower && is_beyond_margin(o));
    let undecided = comparison.others.iter().any(|other| other.word == Word::Undecided);
    match (comparison.interrupted, fail_on) {
        (Some(Interrupted::Interrupt), _) => 130,
        (Some(Interrupted::Terminate), _) => 143,
        (None, _) if fails_a_check => EXIT_FAILED,
        (None, FailOn::Never) => 0,
        (None, FailOn::Undecided) if slower || undecided => EXIT_FAILED,
        (None, FailOn::Slower) if slower => EXIT_FAILED,
        _ => 0,
    }
}

/// Which kind of sides the words are.
fn kind(args: &CompareArgs) -> Result<Kind, CliError> {
    const USAGE: &str = "write wring compare URL_A URL_B, wring compare a.json b.json, or wring \
                         compare --a-cmd './a --port {port}' --b-cmd './b --port {port}' /path";
    let words = &args.sides;
    match (&args.a_cmd, &args.b_cmd) {
        (Some(a), Some(b)) => return commands(a, b, words),
        (None, None) => {}
        (Some(_), None) => {
            return Err(CliError::usage("--a-cmd starts one side only; --b-cmd is missing"));
        }
        (None, Some(_)) => {
            return Err(CliError::usage("--b-cmd starts one side only; --a-cmd is missing"));
        }
    }
    let is_url = |word: &&String| word.contains("://");
    let is_file = |word: &&String| word.split(',').all(|path| Path::new(path).is_file());
    if let Some(word) = words.iter().find(|word| !is_url(word) && !is_file(word)) {
        let shown = super::redact::url(word);
        let shown = shown.escape_debug();
        let missing = word.split(',').find(|path| !Path::new(path).is_file()).unwrap_or(word);
        let missing = super::redact::url(missing);
        let missing = missing.escape_debug();
        let looks_like_a_host = word.contains(':') || word == "localhost";
        let hint = match () {
            () if looks_like_a_host => format!("did you mean 'http://{shown}'?"),
            () if word.starts_with('/') => format!("a path needs --a-cmd and --b-cmd; {USAGE}"),
            () => format!("there is no file '{missing}'; {USAGE}"),
        };
        let message = format!("'{shown}' is neither a URL nor a stored result");
        return Err(CliError::usage(message).hint(hint));
    }
    match words.as_slice() {
        [] => Err(CliError::usage("nothing to compare is given").hint(USAGE)),
        [one] => {
            let shown = super::redact::url(one);
            let message =
                format!("'{}' is one side only; a second one is missing", shown.escape_debug());
            Err(CliError::usage(message).hint(USAGE))
        }
        [a, b] if is_url(&a) && is_url(&b) => {
            // What is wrong with one is told before anything is asked of the other.
            super::url::split(a)?;
            super::url::split(b)?;
            Ok(Kind::Urls([a.clone(), b.clone()]))
        }
        words if words.iter().all(|word| !is_url(&word)) => {
            let files = |word: &String| word.split(',').map(str::to_owned).collect();
            Ok(Kind::Files(words.iter().map(files).collect()))
        }
        words if words.iter().all(|word| is_url(&word)) => {
            Err(CliError::usage(format!("{} URLs are given; two are compared", words.len()))
                .hint("store a run of each with -o and compare the files, three or more"))
        }
        _ => Err(CliError::usage("a URL and a stored result cannot be compared").hint(USAGE)),
    }
}

fn commands(a: &str, b: &str, words: &[String]) -> Result<Kind, CliError> {
    for (flag, command) in [("--a-cmd", a), ("--b-cmd", b)] {
        if command.trim().is_empty() {
            return Err(CliError::usage(format!("{flag} is empty; give a command")));
        }
        if !command.contains("{port}") {
            let shown = super::redact::command(command);
            let message = format!("{flag} '{}' has no {{port}}", shown.escape_debug());
            return Err(CliError::usage(message)
                .hint("write {port} where the server is told its port: './server --port {port}'"));
        }
    }
    let path = match words {
        [] => "/",
        [path] if path.starts_with('/') => path,
        [word] => {
            let shown = super::redact::url(word);
            let message = format!("'{}' is not a path", shown.escape_debug());
            return Err(CliError::usage(message)
                .hint("with --a-cmd wring chooses host and port: give the path alone, such as /"));
        }
        _ => {
            return Err(CliError::usage(format!(
                "{} words are given; with --a-cmd there is one path",
                words.len()
            )));
        }
    };
    Ok(Kind::Commands([a.to_owned(), b.to_owned()], path.to_owned()))
}

/// The flags that a comparison of this kind has no use for, with what is to be used instead.
fn check_flags(args: &CompareArgs, kind: &Kind) -> Result<(), CliError> {
    const SHORT: &str = "--max-duration bounds the comparison, --block sets the length of a block";
    const PERCENTILES: &str = "the table has the percentiles";
    const COST: &str = "--a-server-pid and --b-server-pid name the server of each side; with --a-cmd \
                        and --b-cmd the cost of both is told unasked";
    const STORED: &str = "it compares stored results although they were made differently";
    let never = [
        ("-d", SHORT),
        ("-n", SHORT),
        ("--stages", "-R gives both sides a constant rate"),
        ("--warmup", "a comparison finds out by itself when both are warm"),
        ("--interval", "a block has no series"),
        ("-o", "--json=FILE keeps what was found"),
        ("-v", "the report has all there is"),
        ("-L", PERCENTILES),
        ("-U", PERCENTILES),
        ("--urls", "two URLs are compared"),
        (
            "--threshold",
            "--metric and --margin decide and --fail-on says what ends with exit code 99; --expect \
             says what answers must be",
        ),
        ("--group-by", "a run counts answers by a header: wring --group-by"),
        ("--server-pid", COST),
        ("--server-cgroup", COST),
    ];
    let refused = |flag: &str, what: &str, hint: &str| {
        Err(CliError::usage(format!("{flag} has no meaning {what}")).hint(hint))
    };
    if let Kind::Files(_) = kind {
        const OF_STORED: [&str; 9] = [
            "--metric",
            "--margin",
            "--force",
            "--format",
            "--fail-on",
            "--json",
            "--color",
            "--seed",
            "-q",
        ];
        return match args.given.other_than(&OF_STORED) {
            Some(flag) => refused(
                flag,
                "for stored results",
                "they were made with the flags that were given then",
            ),
            None => Ok(()),
        };
    }
    if let Some((flag, hint)) = never.iter().find(|(flag, _)| args.given.has(flag)) {
        return refused(flag, "in a comparison", hint);
    }
    match kind {
        Kind::Urls(_) if args.given.has("--restarts") => {
            refused("--restarts", "with URLs", "wring starts again what --a-cmd and --b-cmd start")
        }
        _ if args.given.has("--force") => refused("--force", "without stored results", STORED),
        _ => Ok(()),
    }
}

/// A block must be so short that the least number of them fits.
fn check_block(args: &CompareArgs, kind: &Kind) -> Result<(), CliError> {
    let Some(block_ns) = args.block else { return Ok(()) };
    let blocks = blocks_least(args, matches!(kind, Kind::Commands(..)));
    let least_ns = blocks.saturating_mul(block_ns);
    if least_ns <= args.max_duration {
        return Ok(());
    }
    Err(CliError::usage(format!(
        "--block {} is too long for --max-duration {}: the {blocks} blocks that a comparison takes at \
         least need {}",
        format_duration_ns(block_ns),
        format_duration_ns(args.max_duration),
        format_duration_ns(least_ns)
    ))
    .hint(format!(
        "give --max-duration that, or a --block of {} or less",
        format_duration_ns(args.max_duration / blocks)
    )))
}

/// Blocks without which there is nothing to decide by: two pairs to warm up and those that count, in
/// each process.
fn blocks_least(args: &CompareArgs, starts_servers: bool) -> u64 {
    match args.restarts {
        restarts @ 1.. if starts_servers => 2 * (2 + 1) * (u64::from(restarts) + 1),
        _ => 2 * (2 + PAIRS_LEAST),
    }
}

/// The flags that name the servers of both sides.
fn server_pids(args: &CompareArgs) -> [(&'static str, Option<u32>); 2] {
    [("--a-server-pid", args.a_server_pid), ("--b-server-pid", args.b_server_pid)]
}

/// Costs are compared, so both are named or none, and of servers that run.
fn check_server_pids(args: &CompareArgs, kind: &Kind) -> Result<(), CliError> {
    let [(flag_a, a), (flag_b, b)] = server_pids(args);
    let (given, missing) = match (a, b) {
        (None, None) => return Ok(()),
        (None, Some(_)) => (flag_b, Some(flag_a)),
        (Some(_), None) => (flag_a, Some(flag_b)),
        (Some(_), Some(_)) => (flag_a, None),
    };
    match (kind, missing) {
        (Kind::Commands(..), _) => {
            Err(CliError::usage(format!("{given} has no meaning with --a-cmd and --b-cmd"))
                .hint("the cost of both is told unasked"))
        }
        (Kind::Files(_), _) => {
            Err(CliError::usage(format!("{given} has no meaning for stored results"))
                .hint("runs that were stored with --server-pid have the cost"))
        }
        (Kind::Urls(_), Some(missing)) => {
            Err(CliError::usage(format!("{given} names one side only; {missing} is missing")))
        }
        (Kind::Urls(_), None) if a == b => {
            Err(CliError::usage(format!("{flag_a} and {flag_b} name the same process"))
                .hint("one server costs what it costs: the two sides need a server each"))
        }
        (Kind::Urls(_), None) => Ok(()),
    }
}

/// What decides must be measured.
fn check_metric(args: &CompareArgs, kind: &Kind) -> Result<(), CliError> {
    let is_cost = args.metric.is_some_and(|choice| choice.metric() == Metric::ServerCpu);
    if is_cost && matches!(kind, Kind::Urls(_)) && args.a_server_pid.is_none() {
        return Err(CliError::usage("--metric cpu needs servers whose CPU time can be read").hint(
            "name them by --a-server-pid and --b-server-pid, or start them by --a-cmd and --b-cmd",
        ));
    }
    Ok(())
}

/// What the verdict is about.
fn metric(args: &CompareArgs, is_paced: bool) -> Metric {
    match (args.metric, is_paced) {
        (Some(choice), _) => choice.metric(),
        (None, false) => Metric::RequestsPerS,
        (None, true) => Metric::P99,
    }
}

/// How long a block is: so long that at the asked rate its percentile is known, and so short that
/// there are enough of them.
fn block_ns(args: &CompareArgs, starts_servers: bool) -> u64 {
    if let Some(block_ns) = args.block {
        return block_ns;
    }
    // Ten samples above, and a tenth more to be sure.
    let requests = match metric(args, args.run.rate.is_some()) {
        Metric::P99 => 1100.0,
        Metric::P999 => 11_000.0,
        _ => 110.0,
    };
    let rate_per_s = args.run.rate.map_or(f64::INFINITY, rate_per_s);
    let needed_ns = (requests / rate_per_s * 1e9) as u64;
    let most_ns = BLOCK_NS_MAX.min(args.max_duration / blocks_least(args, starts_servers));
    let usual_ns = BLOCK_NS.min(args.max_duration / BLOCKS_MIN);
    usual_ns.max(needed_ns).min(most_ns).max(BLOCK_NS_MIN)
}

fn rate_per_s(rate: crate::units::Rate) -> f64 {
    crate::schedule::Profile::constant(rate, None)
        .map_or(f64::INFINITY, |profile| profile.rate_per_s_at(0))
}

#[cfg(test)]
mod tests;
