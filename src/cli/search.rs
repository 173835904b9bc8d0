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
use crate::result::{Answers, RunResult, Verdict};
use crate::run::{self, RunError};
use crate::schedule::Profile;
use crate::search::{
    Ask, Capacity, Ceiling, CeilingAsk, CeilingEnded, CeilingNext, Claim, Config, Ended, Found,
    FoundTrial, Latencies, Load, Next, Standing, Stopped, Trial, limits_ns,
};
use crate::sys::{self, Clock, SIGINT, Signals};
use crate::units::{Rate, format_duration_ns, parse_rate};

/// Exit code: the measurement is invalid.
const EXIT_INVALID: u8 = 4;
/// Exit code: no rate was shown to meet the objective, or an answer failed a check.
const EXIT_MISSED: u8 = 99;
/// So many loads in a row without an answer are no accident.
const SILENT_MAX: u32 = 2;
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
    check_flags(args)?;
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
    let claims = claims(args, super::url::split(url)?.is_encrypted)?;
    // Any rate will do to have the flags of a schedule checked; each trial brings its own.
    let rate = if args.max_rps { None } else { parse_rate("1/s").ok() };
    // There must be room for the most that may be tried.
    let connections_max = if args.given.has("--max-connections") {
        args.max_connections
    } else {
        args.max_connections.min(connections_possible(&args.run))
    };
    let connections = if args.max_rps { connections_max } else { args.run.connections };
    let run_args = RunArgs { rate, connections, duration: Some(1_000_000_000), ..args.run.clone() };
    let run = lower::run(&run_args, url, argv, allowed).map_err(CliError::from)?;
    let csv = args.csv.as_deref().map(|path| ReportFile::open("--csv", path)).transpose()?;
    if let (Some(json), Some(csv)) = (&run.output.json_file, &csv)
        && json.path() == csv.path()
    {
        let path = json.path().display();
        return Err(CliError::usage(format!("--json and --csv name the same file '{path}'")));
    }
    Ok(SearchJob {
        run,
        claims,
        max_duration_ns: args.max_duration,
        width: args.width,
        connections_max,
        depth_max: args.max_pipeline,
        csv,
    })
}

/// How many connections this process may have; where each is replaced, half of them are closing.
fn connections_possible(args: &RunArgs) -> u32 {
    let threads = args.threads.unwrap_or_else(|| sys::allowed_cpus().len() as u32);
    let Err(limit) = sys::ensure_descriptors(u64::MAX) else { return u32::MAX };
    let most = run::connections_within(limit.hard, threads);
    let network = &args.network;
    let replaces_all = network.no_keepalive || network.requests_per_connection.is_some();
    let most = if replaces_all { most / 2 } else { most };
    most.clamp(1, u64::from(u32::MAX)) as u32
}

/// Flags of a run that a search has no use for, or not this one; with what is to be used instead.
fn check_flags(args: &SearchArgs) -> Result<(), CliError> {
    const RATE: &str = "the rate is what is searched for";
    const WHOLE: &str = "--max-duration bounds the whole search";
    const OF_RATES: &str = "the report has the percentiles of every rate";
    const OF_LOADS: &str = "the load is what is searched for; --max-connections and --max-pipeline \
                            bound it";
    const CLOSED: &str = "its loads have no schedule, they go as fast as they can";
    const COST: &str = "wring --server-pid tells the cost of a run, and --slo that of every rate";
    const FIXED: &str = "that bounds --max-rps; -c and -p set the connections of every trial";
    let never = [
        ("-R", RATE),
        ("--stages", RATE),
        ("-d", WHOLE),
        ("-n", WHOLE),
        ("-o", "--json=FILE and --csv FILE write what was found"),
        (
            "--threshold",
            "--slo 'p99<5ms' says what a rate must meet, --expect what an answer must be",
        ),
        ("--warmup", "every trial has a lead-in of its own"),
        ("--interval", "trials choose the length of their steps themselves"),
        ("--group-by", "a run counts answers by a header: wring --group-by"),
        ("-L", OF_RATES),
        ("-U", OF_RATES),
    ];
    let of_rates = [("--max-connections", FIXED), ("--max-pipeline", FIXED)];
    let of_loads = [
        ("-c", OF_LOADS),
        ("-p", OF_LOADS),
        ("--width", "it is the width of a bracket, and a ceiling has none"),
        ("-v", "every load is in the report"),
        ("--arrivals", CLOSED),
        ("--deadline", CLOSED),
        ("--no-spin", CLOSED),
        ("--server-pid", COST),
        ("--server-cgroup", COST),
    ];
    let taken = |flags: &[(&'static str, &'static str)]| {
        flags.iter().copied().find(|(flag, _)| args.given.has(flag))
    };
    if let Some((flag, why)) = taken(&never) {
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
    let (kind, flags) =
        if args.max_rps { ("--max-rps", &of_loads[..]) } else { ("--slo", &of_rates[..]) };
    match taken(flags) {
        Some((flag, why)) => {
            Err(CliError::usage(format!("{flag} has no meaning with {kind}: {why}")))
        }
        None => Ok(()),
    }
}

/// The objective; empty where a ceiling is searched.
fn claims(args: &SearchArgs, is_encrypted: bool) -> Result<Vec<Claim>, CliError> {
    let checks = super::checks::lower(&args.run)?;
    let claim = |typed: &String| {
        let threshold =
            Threshold::parse(typed).map_err(|error| CliError::usage(format!("--slo: {error}")))?;
        super::checks::is_made(&threshold, "--slo", &checks)?;
        match threshold.unfit_as_objective(is_encrypted) {
            Some(why) => Err(CliError::usage(format!("--slo: {why}"))),
            None => Ok(Claim::of(threshold)),
        }
    };
    let mut claims = args.slo.iter().map(claim).collect::<Result<Vec<_>, CliError>>()?;
    if !args.max_rps {
        claims.push(Claim::Steady);
    }
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
    if job.claims.is_empty() { ceiling(job, &signals) } else { capacity(job, &signals) }
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
    let (mut trials, mut answers) = (Vec::new(), Answers::default());
    let (ended, stopped) = climb(&bench, &mut capacity, &claims, &mut trials, &mut answers)?;
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
        answers,
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
    Ok(match &found.stopped {
        Some(Stopped::Trouble(_)) => EXIT_NOTHING_MEASURED,
        None if found.trials.is_empty() => EXIT_NOTHING_MEASURED,
        None if found.is_beyond_wring() => EXIT_INVALID,
        Some(Stopped::Interrupt) => 130,
        Some(Stopped::Terminate) => 143,
        None if found.held.is_none() || found.answers.fails_a_check() => EXIT_MISSED,
        None => 0,
    })
}

/// Does what the search asks for until it ends or is stopped.
fn climb(
    bench: &Bench<'_>,
    capacity: &mut Capacity,
    claims: &[Claim],
    trials: &mut Vec<FoundTrial>,
    answers: &mut Answers,
) -> Result<(Option<Ended>, Option<Stopped>), CliError> {
    let mut silent = 0;
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
                answers.add(&Answers::of(&result));
                ensure_measured(&result)?;
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
                    Err(error @ RunError::NothingOpen(_)) => {
                        forget_the_dying(capacity, trials);
                        let trouble = report::died(&error.to_string(), index, ask.rate_per_s);
                        return Ok((None, Some(Stopped::Trouble(trouble))));
                    }
                    Err(error) => return Err(execute::run_error(&error)),
                };
                answers.add(&Answers::of(&result));
                if result.interrupted.is_some() {
                    // What was cut short is no trial, and without it nothing has come to its end.
                    return Ok((None, bench.stopped()));
                }
                // Nor is what a target that hangs did not answer.
                let trial = Trial::of_run(&result, claims, ask.rate_per_s);
                let is_silent = trial.spoiled.is_none() && is_silent(&result);
                silent = if is_silent { silent + 1 } else { 0 };
                if silent == SILENT_MAX {
                    forget_the_dying(capacity, trials);
                    let trouble = report::hangs(index, ask.rate_per_s);
                    return Ok((None, Some(Stopped::Trouble(trouble))));
                } else if silent > 0 {
                    continue;
                }
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
    if let Some(last) = trials.last().filter(|trial| trial.failed + trial.unanswered > 0) {
        capacity.forget(last.rate_per_s);
    }
}

/// That what the target said was an answer to what it was asked.
fn ensure_measured(result: &RunResult) -> Result<(), CliError> {
    match result.speaks_tls {
        true => Err(execute::speaks_tls("there is nothing to search")),
        false => Ok(()),
    }
}

/// Requests were sent, and the target answered none of them.
fn is_silent(result: &RunResult) -> bool {
    let whole = result.total.whole();
    whole.started > 0 && whole.completed == 0
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
    let mut answers = Answers::default();
    let (ended, stopped) = load_up(&bench, &mut ceiling, &mut answers)?;
    signals.release();
    let found = report::FoundCeiling {
        url: plan.provenance.url.clone(),
        options: plan.provenance.options.clone(),
        elapsed_ns: bench.clock.now_ns(),
        ended,
        stopped,
        ceiling,
        answers,
    };
    let csv_bytes = csv.is_some().then(|| report::ceiling_csv(&found));
    let json = report::ceiling_json(&found);
    let written = write_files(output.json_file, csv, &json, csv_bytes);
    write_stdout(&match output.json_stdout {
        true => json,
        false => report::ceiling_text(&found, colored(output.color)),
    })?;
    written?;
    let is_known = found.ceiling.most().is_some();
    Ok(match &found.stopped {
        Some(Stopped::Trouble(_)) => EXIT_NOTHING_MEASURED,
        None if found.ceiling.loads().is_empty() => EXIT_NOTHING_MEASURED,
        None if !is_known => EXIT_INVALID,
        Some(Stopped::Interrupt) => 130,
        Some(Stopped::Terminate) => 143,
        None if found.answers.fails_a_check() => EXIT_MISSED,
        None => 0,
    })
}

/// Measures what the search asks for until it ends or is stopped.
fn load_up(
    bench: &Bench<'_>,
    ceiling: &mut Ceiling,
    answers: &mut Answers,
) -> Result<(Option<CeilingEnded>, Option<Stopped>), CliError> {
    let mut silent = 0;
    loop {
        let ask = match ceiling.next(bench.clock.now_ns()) {
            CeilingNext::Done(ended) => return Ok((Some(ended), bench.stopped())),
            CeilingNext::Load(ask) => ask,
        };
        let measured = bench.again(|| bench.closed(ask.connections, ask.depth, ask.length_ns));
        let result = match measured {
            Ok(result) => result,
            Err(error @ RunError::NothingOpen(_)) if !ceiling.loads().is_empty() => {
                return Ok((None, Some(Stopped::Trouble(error.to_string()))));
            }
            Err(error) => return Err(execute::run_error(&error)),
        };
        answers.add(&Answers::of(&result));
        ensure_measured(&result)?;
        if result.interrupted.is_some() || bench.stopped().is_some() {
            return Ok((None, bench.stopped()));
        }
        let spoiled = match &result.verdict {
            Verdict::Invalid(reasons) if !reasons.is_empty() => Some(result.verdict.clone()),
            _ => None,
        };
        if spoiled.is_none() && result.window_completed() == 0 {
            // Once may be a stall that is over.
            silent += 1;
            if silent < SILENT_MAX {
                continue;
            }
            if ceiling.loads().is_empty() {
                return Err(nothing_completed(&result));
            }
            return Ok((None, Some(Stopped::Trouble(hangs(&ask)))));
        }
        silent = 0;
        let load = Load {
            connections: ask.connections,
            depth: ask.depth,
            requests_per_s: result.requests_per_s(),
            latencies: Latencies::of(&result.total.latency),
            is_generator_limited: result.is_short_of_time(),
            spoiled,
        };
        bench.say(&report::load_line(&load));
        ceiling.measured(load);
    }
}

fn hangs(ask: &CeilingAsk) -> String {
    format!(
        "the target answered no request in {SILENT_MAX} loads of {} with -c {} -p {}: it hangs, or \
         went away",
        format_duration_ns(ask.length_ns),
        ask.connections,
        ask.depth
    )
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
