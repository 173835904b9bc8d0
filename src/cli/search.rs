//! `wring search`: drives a search, one measurement after the other.
//!
//! The idea: the room `search` says what to measure next and what that means; here it is measured.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::args::RunArgs;
use super::args::search::SearchArgs;
use super::error::{CliError, EXIT_NOTHING_MEASURED};
use super::files::{self, ReportFile};
use super::lower::{self, RunJob};
use super::{colored, execute, write_stderr, write_stdout};
use crate::plan::{Pacing, Plan, StopAfter};
use crate::report::search as report;
use crate::result::threshold::Threshold;
use crate::result::{RunResult, Verdict};
use crate::run::{self, RunError};
use crate::schedule::Profile;
use crate::search::{
    Ask, Capacity, Ceiling, Claim, Config, Ended, Found, FoundTrial, Latencies, Load, Next,
    Standing, Stopped, Trial, limits_ns,
};
use crate::sys::{Clock, SIGINT, Signals};
use crate::units::{Rate, parse_rate};

/// Exit code: the objective is missed.
const EXIT_MISSED: u8 = 99;
/// How long a target that does not answer any more is given to come back.
const COME_BACK: Duration = Duration::from_secs(1);
/// How often a rest looks whether it should end.
const REST_LOOK: Duration = Duration::from_millis(20);
/// Longest wait for outstanding answers after a trial, in nanoseconds.
const DRAIN_NS_MAX: u64 = 2_000_000_000;
/// Length of a closed loop's intervals, in nanoseconds.
const INTERVAL_NS: u64 = 250_000_000;

/// A search ready to be carried out.
#[derive(Debug)]
pub struct SearchJob {
    run: RunJob,
    claims: Vec<Claim>,
    max_duration_ns: u64,
    width: f64,
    connections_max: u32,
    depth_max: u32,
    csv: Option<ReportFile>,
}

/// Resolves the flags of a search.
pub(super) fn lower(
    args: &SearchArgs,
    argv: &[String],
    allowed: &[u32],
) -> Result<SearchJob, CliError> {
    let claims = check(args)?;
    let url = match (args.url.as_slice(), args.run.targets.urls.as_slice()) {
        ([url], []) => url,
        ([], []) => {
            let what = "no URL is given; write wring search --slo 'p99<5ms' http://host/";
            return Err(CliError::usage(what));
        }
        _ => {
            return Err(CliError::usage(
                "wring search takes one URL: each target has its own limit",
            ));
        }
    };
    // Any rate will do to have the flags of a schedule checked; each trial brings its own.
    let rate = if args.max_rps { None } else { parse_rate("1/s").ok() };
    let run_args = RunArgs { rate, duration: Some(1_000_000_000), ..args.run.clone() };
    let run = lower::run(&run_args, url, argv, allowed).map_err(CliError::from)?;
    let csv = args.csv.as_deref().map(|path| ReportFile::open("--csv", path)).transpose()?;
    Ok(SearchJob {
        run,
        claims,
        max_duration_ns: args.max_duration,
        width: args.width,
        connections_max: args.max_connections,
        depth_max: args.max_pipeline,
        csv,
    })
}

/// What the flags cannot mean together; the objective.
fn check(args: &SearchArgs) -> Result<Vec<Claim>, CliError> {
    let taken = [
        ("-R", args.run.rate.is_some(), "the rate is what is searched for"),
        ("--stages", args.run.stages.is_some(), "the rate is what is searched for"),
        ("-d", args.run.duration.is_some(), "--max-duration bounds the whole search"),
        ("-n", args.run.requests.is_some(), "--max-duration bounds the whole search"),
        ("-o", args.run.output.is_some(), "--json=FILE and --csv FILE write what was found"),
    ];
    if let Some((flag, _, why)) = taken.iter().find(|(_, is_given, _)| *is_given) {
        return Err(CliError::usage(format!("{flag} is not for wring search: {why}")));
    }
    if args.max_rps != args.slo.is_empty() {
        let what = if args.max_rps {
            "--max-rps and --slo are two searches; ask for one at a time"
        } else {
            "nothing says what to search for: give --slo 'p99<5ms', or --max-rps"
        };
        return Err(CliError::usage(what).hint("wring search -h has examples"));
    }
    let claim = |typed: &String| {
        let threshold = Threshold::parse(typed);
        threshold.map(Claim::of).map_err(|error| CliError::usage(format!("--slo: {error}")))
    };
    let mut claims = args.slo.iter().map(claim).collect::<Result<Vec<_>, _>>()?;
    claims.push(Claim::Steady);
    Ok(claims)
}

/// Carries a search out; answers with the exit code.
pub(super) fn search(mut job: SearchJob) -> Result<u8, CliError> {
    let signals = Signals::install();
    execute::settle(&mut job.run)?;
    if !job.run.output.quiet {
        for note in &job.run.notes {
            write_stderr(&format!("wring: note: {note}"));
        }
    }
    if job.claims.len() > 1 { capacity(job, &signals) } else { ceiling(job, &signals) }
}

/// A measurement of the search, and what has become of it.
struct Bench<'a> {
    plan: &'a Plan,
    signals: &'a Signals,
    clock: Clock,
    quiet: bool,
}

impl Bench<'_> {
    fn closed(&self, connections: u32, depth: u32, length_ns: u64) -> Result<RunResult, RunError> {
        let threads = (self.plan.shares.len() as u32).min(connections);
        let cpus: Vec<u32> = self.plan.shares.iter().filter_map(|share| share.cpu).collect();
        let plan = Plan {
            connections,
            depth,
            pacing: None,
            stop: StopAfter { duration_ns: Some(length_ns), ..StopAfter::default() },
            warmup_ns: length_ns / 8,
            warmup_until_steady: false,
            interval_ns: INTERVAL_NS,
            shares: crate::plan::deal(connections, None, threads, &cpus, self.plan.seed),
            ..self.plan.clone()
        };
        run::measure(&plan, self.signals, &mut |_| {}, &|| None)
    }

    fn paced(&self, ask: &Ask, claims: &[Claim], index: u64) -> Result<RunResult, RunError> {
        let rate = rate_of(ask.rate_per_s);
        let profile = |length_ns| Profile::constant(rate, Some(length_ns)).ok().map(Arc::new);
        let template = self.plan.pacing.clone();
        let pacing =
            template.zip(profile(ask.length_ns)).map(|(template, profile_of_window)| Pacing {
                profile: profile_of_window,
                warmup: profile(ask.lead_in_ns),
                described: crate::units::format_rate(rate),
                limits_ns: limits_ns(claims),
                ..template
            });
        let plan = Plan {
            pacing,
            stop: StopAfter { duration_ns: Some(ask.length_ns), ..StopAfter::default() },
            warmup_ns: ask.lead_in_ns,
            warmup_until_steady: false,
            drain_ns: self.plan.drain_ns.max(self.plan.timeout_ns).min(DRAIN_NS_MAX),
            interval_ns: ask.stretch_ns,
            // Random arrivals are others in every trial.
            seed: self.plan.seed.wrapping_add(index),
            ..self.plan.clone()
        };
        self.rest(Duration::from_nanos(ask.rest_ns));
        run::measure(&plan, self.signals, &mut |_| {}, &|| None)
    }

    fn rest(&self, rest: Duration) {
        let end_ns = self.clock.now_ns() + rest.as_nanos() as u64;
        while self.clock.now_ns() < end_ns && self.signals.count() == 0 {
            thread::sleep(REST_LOOK.min(Duration::from_nanos(end_ns - self.clock.now_ns())));
        }
    }

    /// The same, once more after a while when nobody could be reached: an overloaded target may have
    /// refused for a moment.
    fn again<T>(&self, measure: impl Fn() -> Result<T, RunError>) -> Result<T, RunError> {
        match measure() {
            Err(RunError::NothingOpen(_)) if self.signals.count() == 0 => {
                self.rest(COME_BACK);
                measure()
            }
            measured => measured,
        }
    }

    fn say(&self, text: &str) {
        if !self.quiet {
            write_stderr(&format!("wring: {text}"));
        }
    }

    /// What a signal stopped the search with.
    fn stopped(&self) -> Option<Stopped> {
        self.signals.first().map(|signal| match signal {
            SIGINT => Stopped::Interrupt,
            _ => Stopped::Terminate,
        })
    }
}

/// The rate to a thousandth of a request per second.
fn rate_of(per_s: f64) -> Rate {
    let per_1000_s = (per_s * 1000.0).round().clamp(1.0, 1e12) as u64;
    Rate::new(per_1000_s, 1_000_000_000_000).expect("the time is not 0")
}

fn capacity(job: SearchJob, signals: &Signals) -> Result<u8, CliError> {
    let SearchJob { run, claims, max_duration_ns, width, csv, .. } = job;
    let RunJob { plan, output, .. } = run;
    let bench = Bench { plan: &plan, signals, clock: Clock::start(), quiet: output.quiet };
    let config =
        Config { claims: claims.clone(), width, budget_ns: max_duration_ns, with_curve: true };
    let mut capacity = Capacity::new(config);
    let mut trials = Vec::new();
    let (ended, stopped) = climb(&bench, &mut capacity, &claims, &mut trials)?;
    let found = Found {
        url: plan.provenance.url.clone(),
        options: plan.provenance.options.clone(),
        connections: plan.connections,
        depth: plan.depth,
        arrivals: plan.pacing.as_ref().map_or("", Pacing::arrivals_name).to_owned(),
        width,
        elapsed_ns: bench.clock.now_ns(),
        ended,
        stopped,
        ..Found::of(&capacity, trials)
    };
    signals.release();
    let csv_bytes = csv.is_some().then(|| report::csv(&found));
    let written = write_files(output.json_file, csv, &report::json(&found), csv_bytes);
    write_stdout(&match output.json_stdout {
        true => report::json(&found),
        false => report::text(&found, colored(output.color), output.verbose),
    })?;
    written?;
    Ok(match (&found.stopped, found.ended) {
        (Some(Stopped::Trouble(_)), _) => EXIT_NOTHING_MEASURED,
        (Some(Stopped::Interrupt), _) => 130,
        (Some(Stopped::Terminate), _) => 143,
        (None, Some(Ended::Missed)) => EXIT_MISSED,
        (None, _) if found.trials.is_empty() => EXIT_NOTHING_MEASURED,
        (None, _) => 0,
    })
}

/// Does what the search asks for until it ends or is stopped.
fn climb(
    bench: &Bench<'_>,
    capacity: &mut Capacity,
    claims: &[Claim],
    trials: &mut Vec<FoundTrial>,
) -> Result<(Option<Ended>, Option<Stopped>), CliError> {
    loop {
        let next = capacity.next(bench.clock.now_ns());
        if let (Some(stopped), false) = (bench.stopped(), matches!(next, Next::Done(_))) {
            return Ok((None, Some(stopped)));
        }
        match next {
            Next::Done(ended) => return Ok((Some(ended), None)),
            Next::Probe(length_ns) => {
                let (connections, depth) = (bench.plan.connections, bench.plan.depth);
                let result = bench
                    .closed(connections, depth, length_ns)
                    .map_err(|error| execute::run_error(&error))?;
                let per_s = result.requests_per_s();
                if result.window_completed() == 0 && bench.stopped().is_none() {
                    return Err(nothing_completed(&result));
                }
                capacity.probed(per_s);
                bench.say(&report::probe_line(per_s, connections, depth));
            }
            Next::Trial(ask) => {
                let index = trials.len() as u64 + 1;
                let start_ns = bench.clock.now_ns() + ask.rest_ns;
                let result = match bench.again(|| bench.paced(&ask, claims, index)) {
                    Ok(result) => result,
                    Err(error) => {
                        forget_the_dying(capacity, trials);
                        let trouble = report::died(&error.to_string(), index, ask.rate_per_s);
                        return Ok((None, Some(Stopped::Trouble(trouble))));
                    }
                };
                if result.interrupted.is_some() {
                    // What was cut short is no trial.
                    continue;
                }
                let trial = Trial::of_run(&result, claims, ask.rate_per_s);
                capacity.tried(&trial);
                trials.push(FoundTrial::of(start_ns, &ask, &trial));
                let standing = standing_of(capacity, ask.rate_per_s);
                if let Some(trial) = trials.last() {
                    bench.say(&report::trial_line(index, trial, claims, standing));
                }
            }
        }
    }
}

fn standing_of(capacity: &Capacity, rate_per_s: f64) -> Standing {
    let points = capacity.points();
    let point = points.into_iter().find(|point| point.rate_per_s == rate_per_s);
    point.map_or(Standing::Open, |point| capacity.standing(point))
}

/// A target that cannot be reached any more died in the trial before, if that had failures: they say
/// nothing of its rate.
fn forget_the_dying(capacity: &mut Capacity, trials: &[FoundTrial]) {
    if let Some(last) = trials.last().filter(|trial| trial.failed > 0) {
        capacity.forget(last.rate_per_s);
    }
}

fn nothing_completed(result: &RunResult) -> CliError {
    let started = result.total.whole().started;
    CliError::nothing_measured(format!(
        "no request completed in a closed loop ({started} were sent), so there is nothing to search"
    ))
    .hint("look at the failures: wring -d 2s URL")
}

fn ceiling(job: SearchJob, signals: &Signals) -> Result<u8, CliError> {
    let SearchJob { run, max_duration_ns, connections_max, depth_max, csv, .. } = job;
    let RunJob { plan, output, .. } = run;
    let bench = Bench { plan: &plan, signals, clock: Clock::start(), quiet: output.quiet };
    let mut ceiling = Ceiling::new(connections_max, depth_max, max_duration_ns);
    let mut stopped = None;
    while let Some(ask) = ceiling.next(bench.clock.now_ns()) {
        let measured = bench.again(|| bench.closed(ask.connections, ask.depth, ask.length_ns));
        let result = match measured {
            Ok(result) => result,
            Err(error) if ceiling.loads().is_empty() => return Err(execute::run_error(&error)),
            Err(error) => {
                stopped = Some(Stopped::Trouble(error.to_string()));
                break;
            }
        };
        if result.interrupted.is_some() || bench.stopped().is_some() {
            break;
        }
        let load = Load {
            connections: ask.connections,
            depth: ask.depth,
            requests_per_s: result.requests_per_s(),
            latencies: Latencies::of(&result.total.latency),
            is_generator_limited: result.verdict.is_short_of_time(),
            is_valid: !matches!(result.verdict, Verdict::Invalid(_))
                && result.window_completed() > 0,
        };
        bench.say(&report::load_line(&load));
        ceiling.measured(load);
    }
    let stopped = stopped.or_else(|| bench.stopped());
    signals.release();
    let found = report::FoundCeiling {
        url: plan.provenance.url.clone(),
        options: plan.provenance.options.clone(),
        elapsed_ns: bench.clock.now_ns(),
        stopped,
        ceiling,
    };
    let csv_bytes = csv.is_some().then(|| report::ceiling_csv(&found));
    let json = report::ceiling_json(&found);
    let written = write_files(output.json_file, csv, &json, csv_bytes);
    write_stdout(&match output.json_stdout {
        true => json,
        false => report::ceiling_text(&found, colored(output.color)),
    })?;
    written?;
    Ok(match &found.stopped {
        Some(Stopped::Interrupt) => 130,
        Some(Stopped::Terminate) => 143,
        Some(Stopped::Trouble(_)) => EXIT_NOTHING_MEASURED,
        None if found.ceiling.most().is_none() => EXIT_NOTHING_MEASURED,
        None => 0,
    })
}

fn write_files(
    json: Option<ReportFile>,
    csv: Option<ReportFile>,
    json_bytes: &[u8],
    csv_bytes: Option<Vec<u8>>,
) -> Result<(), CliError> {
    let files = [(json, json_bytes), (csv, csv_bytes.as_deref().unwrap_or_default())];
    let commit =
        |(file, bytes): (Option<ReportFile>, &[u8])| file.map_or(Ok(()), |file| file.commit(bytes));
    files::all(files.map(commit))
}
