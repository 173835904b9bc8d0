//! The flags of a schedule, checked against each other and turned into one.

use std::sync::Arc;

use super::args::{ArrivalsChoice, RunArgs};
use super::error::CliError;
use crate::limits;
use crate::plan::Pacing;
use crate::schedule::{Arrivals, Profile, Stage, parse_stages};
use crate::units::{Rate, format_grouped, format_rate};

/// The window's length when neither a duration nor a number of requests is given.
const DURATION_DEFAULT_NS: u64 = 10_000_000_000;

/// How long the window is without stages; `None` is as long as it takes, or until stopped.
pub(super) fn window_ns(duration_ns: Option<u64>, requests: Option<u64>) -> Option<u64> {
    match (duration_ns, requests) {
        (Some(0), _) | (None, Some(_)) => None,
        (duration_ns, _) => Some(duration_ns.unwrap_or(DURATION_DEFAULT_NS)),
    }
}

/// The schedule that the flags ask for; `None` is a closed loop.
pub(super) fn lower(args: &RunArgs) -> Result<Option<Pacing>, CliError> {
    check_flags(args)?;
    let (profile, described) = match (args.rate, &args.stages) {
        (Some(rate), _) => (constant(rate, args)?, format_rate(rate)),
        (None, Some(typed)) => stages(typed)?,
        (None, None) => return Ok(None),
    };
    if args.arrivals == Some(ArrivalsChoice::Poisson) {
        check_drawable(&profile)?;
    }
    // A schedule that asks for nothing in the warm-up is none there.
    let warmup = (args.warmup.longest_ns() > 0)
        .then(|| Profile::constant(profile.rate_start(), Some(args.warmup.longest_ns())).ok())
        .flatten();
    Ok(Some(Pacing {
        profile: Arc::new(profile),
        warmup: warmup.map(Arc::new),
        arrivals: match args.arrivals {
            Some(ArrivalsChoice::Poisson) => Arrivals::Poisson,
            Some(ArrivalsChoice::Constant) | None => Arrivals::Constant,
        },
        deadline_ns: args.deadline,
        limits_ns: Vec::new(),
        spin: !args.no_spin,
        described,
    }))
}

/// What the user might not expect of a schedule.
pub(super) fn note(pacing: &Pacing, warmup_ns: u64) -> Option<String> {
    if warmup_ns == 0 || pacing.warmup.is_some() {
        return None;
    }
    let rate = format_rate(pacing.profile.rate_start());
    Some(format!(
        "nothing is sent in the warm-up: it has the rate that the window starts with, and at \
         {rate} no request is due in it"
    ))
}

/// Random arrivals are drawn one by one, which takes time of its own.
fn check_drawable(profile: &Profile) -> Result<(), CliError> {
    let (rate, most) = (profile.rate_max(), limits::POISSON_RATE_PER_S_MAX);
    if rate.per_s() <= most as f64 {
        return Ok(());
    }
    Err(CliError::usage(format!(
        "--arrivals poisson: {} is too fast for arrivals that are drawn one by one; at most {}/s",
        format_rate(rate),
        format_grouped(most)
    ))
    .hint("give a lower rate, or leave --arrivals out: evenly spaced requests have no such limit"))
}

/// What the flags cannot mean together.
fn check_flags(args: &RunArgs) -> Result<(), CliError> {
    if args.batch_latency {
        return Err(CliError::usage("-B: latency is never that of a whole batch")
            .hint("leave it out: with -p, every request has its own intended time and latency"));
    }
    match (args.rate, &args.stages) {
        (Some(rate), Some(stages)) => {
            let (rate, stages) = (format_rate(rate), stages.escape_debug());
            Err(CliError::usage(format!(
                "-R ({rate}) and --stages '{stages}' contradict each other; give one of them"
            ))
            .hint("a flat stage is a rate: --stages '0->10k:30s,10k:2m'"))
        }
        (None, Some(stages)) => check_ends(stages, args.duration),
        (Some(_), None) => Ok(()),
        (None, None) => check_needs_rate(args),
    }
}

fn check_ends(stages: &str, duration_ns: Option<u64>) -> Result<(), CliError> {
    let Some(duration_ns) = duration_ns else { return Ok(()) };
    let (stages, duration) = (stages.escape_debug(), length(duration_ns));
    Err(CliError::usage(format!(
        "-d ({duration}) and --stages '{stages}' contradict each other; leave -d out"
    ))
    .hint("the stages say how long to measure"))
}

/// Flags that mean nothing in a closed loop.
fn check_needs_rate(args: &RunArgs) -> Result<(), CliError> {
    let given = [
        ("--arrivals", args.arrivals.is_some()),
        ("--deadline", args.deadline.is_some()),
        ("-U", args.u_latency),
        ("--no-spin", args.no_spin),
    ];
    let Some((flag, _)) = given.iter().find(|(_, is_given)| *is_given) else { return Ok(()) };
    Err(CliError::usage(format!(
        "{flag} needs a rate: without one, requests are sent when answers come and none is ever due"
    ))
    .hint("add one, such as -R 10k or --stages '0->10k:30s'"))
}

fn constant(rate: Rate, args: &RunArgs) -> Result<Profile, CliError> {
    Profile::constant(rate, window_ns(args.duration, args.requests))
        .map_err(|error| CliError::usage(format!("-R: {error}")))
}

/// The profile, and the stages as they were understood.
fn stages(typed: &str) -> Result<(Profile, String), CliError> {
    let stages = parse_stages(typed, limits::DURATION_NS_MAX)
        .map_err(|error| CliError::usage(format!("--stages: {error}")))?;
    let described: Vec<String> = stages.iter().map(described).collect();
    let profile = Profile::stages(stages).map_err(|error| {
        CliError::usage(format!("--stages '{}': {error}", typed.escape_debug()))
    })?;
    Ok((profile, described.join(",")))
}

fn described(stage: &Stage) -> String {
    let (from, to) = (format_rate(stage.from), format_rate(stage.to));
    let length = length(stage.length_ns);
    if from == to { format!("{from}:{length}") } else { format!("{from}->{to}:{length}") }
}

/// A time exactly as it would be typed: `30s`, `2m`, `1h30m`, `500ms`.
fn length(ns: u64) -> String {
    const MINUTE_NS: u64 = 60_000_000_000;
    if 0 < ns && ns < 1_000_000_000 {
        return format!("{}ms", ns as f64 / 1e6);
    }
    let minutes = ns / MINUTE_NS;
    let seconds = (ns % MINUTE_NS) as f64 / 1e9;
    let parts = [(minutes / 60) as f64, (minutes % 60) as f64, seconds];
    let mut text = String::new();
    for (amount, unit) in parts.into_iter().zip(["h", "m", "s"]) {
        if amount > 0.0 || (unit == "s" && text.is_empty()) {
            text.push_str(&format!("{amount}{unit}"));
        }
    }
    text
}
