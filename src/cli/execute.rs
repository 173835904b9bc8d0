//! Carrying a job out: measure, serve, render; and which exit code that deserves.

use std::io::Read;
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::args::{DoctorArgs, ReportArgs, ReportFormat};
use super::error::{CliError, EXIT_INTERNAL, EXIT_NOTHING_MEASURED, EXIT_USAGE};
use super::files::{self, ReportFile};
use super::lower::{Output, RunJob, ServeJob};
use super::wrk::Persona;
use super::{Job, colored, compare, search, selftest, write_stderr, write_stdout};
use crate::doctor;
use crate::io::Address;
use crate::live::{LiveLine, LiveView};
use crate::report::text::TextOptions;
use crate::report::{self, json, stored, text};
use crate::result::{Interrupted, Invalid, RunResult, Verdict};
use crate::run::{self, RunError};
use crate::sys::{SIGINT, Signals};
use crate::target::{Server, StampLog, StartError};
use crate::uring::SetupError;

/// Exit code: the measurement is invalid.
const EXIT_INVALID: u8 = 4;
/// Exit code: a threshold does not hold.
const EXIT_THRESHOLD: u8 = 99;
/// How often a server looks whether it should stop.
const SERVE_LOOK: Duration = Duration::from_millis(50);

/// Carries a job out; answers with the exit code.
pub fn execute(job: Job) -> Result<u8, CliError> {
    match job {
        Job::Print(bytes) => write_stdout(&bytes).map(|()| 0),
        Job::Run(mut job) => {
            let signals = Signals::install();
            settle(&mut job)?;
            let result = measure(&job, &signals, &|| None)?;
            // The report may be long and its reader slow: a signal now ends the process.
            signals.release();
            present(&result, job.output)?;
            Ok(exit_code(&result))
        }
        Job::Wrk { persona, run, preface, remark } => {
            if let Some(remark) = remark {
                write_stderr(&format!("{}: {remark}", persona.name));
            }
            as_wrk(persona, run, &preface)
        }
        Job::Selftest { args, argv } => selftest::selftest(&args, &argv),
        Job::Search(job) => search::search(*job),
        Job::Serve(job) => serve(*job),
        Job::Report(args) => report(&args),
        Job::Doctor(args) => examine(args),
        Job::Compare(job) => compare::execute(*job),
    }
}

/// Decides which backend measures; a note says so when it is not the one that was wanted.
pub(super) fn settle(job: &mut RunJob) -> Result<(), CliError> {
    let refused = run::settle(&mut job.plan).map_err(|error| run_error(&error))?;
    job.notes.extend(refused.map(|refused| on_epoll(&refused)));
    Ok(())
}

/// What is said where epoll takes the place of io_uring.
pub(super) fn on_epoll(refused: &SetupError) -> String {
    format!("{refused}; epoll is used instead")
}

/// Measures, with the live line and the remarks that belong on stderr.
pub(super) fn measure(
    job: &RunJob,
    signals: &Signals,
    target_requests: &dyn Fn() -> Option<u64>,
) -> Result<RunResult, CliError> {
    if !job.output.quiet {
        for note in &job.notes {
            write_stderr(&format!("wring: note: {note}"));
        }
    }
    let mut line: Option<LiveLine> = None;
    let mut watch = |progress: &run::Progress| {
        let line = line.get_or_insert_with(|| LiveLine::new(progress.total_ns, job.output.quiet));
        line.update(&LiveView {
            elapsed_ns: progress.elapsed_ns,
            requests_per_s: progress.requests_per_s,
            p50_ns: progress.p50_ns,
            p99_ns: progress.p99_ns,
            failed: progress.failed,
            inflight: progress.inflight,
            asked_per_s: progress.asked_per_s,
            backlog: progress.backlog,
        });
    };
    let result = run::measure(&job.plan, signals, &mut watch, target_requests);
    if let Some(line) = line {
        line.finish();
    }
    let mut result = result.map_err(|error| run_error(&error))?;
    result.asked.thresholds.clone_from(&job.thresholds);
    Ok(result)
}

/// Prints the report and writes the files; the files come first, so that a closed stdout or a full
/// disk for one of them loses nothing of the others.
pub(super) fn present(result: &RunResult, output: Output) -> Result<(), CliError> {
    let commit = |file: Option<ReportFile>, bytes: fn(&RunResult) -> Vec<u8>| {
        file.map_or(Ok(()), |file| file.commit(&bytes(result)))
    };
    let written =
        files::all([commit(output.json_file, json::render), commit(output.stored, stored::write)]);
    if output.json_stdout {
        write_stdout(&json::render(result))?;
    } else {
        let options = TextOptions {
            latency_distribution: output.latency,
            uncorrected: output.uncorrected,
            color: colored(output.color),
            verbose: output.verbose,
        };
        write_stdout(&text::render(result, &options))?;
    }
    written?;
    has_ended_well(result)
}

/// Whether all workers worked to the end. A report of the others alone is no success.
fn has_ended_well(result: &RunResult) -> Result<(), CliError> {
    if !result.has_broken_worker() {
        return Ok(());
    }
    let message = "a worker ended before the run was over; the report says what became of it";
    Err(CliError::internal(message).hint("please report this with all that was printed"))
}

/// The first that applies: nothing measured, invalid, interrupted, a threshold failed, fine.
pub(super) fn exit_code(result: &RunResult) -> u8 {
    let completed: u64 = result.total.phases.iter().map(|phase| phase.completed).sum();
    match (&result.verdict, result.interrupted) {
        // What only a warm-up saw was not measured.
        _ if completed == 0 || result.window_ns == 0 => EXIT_NOTHING_MEASURED,
        (Verdict::Invalid(reasons), _) if reasons.iter().any(Invalid::is_nothing_measured) => {
            EXIT_NOTHING_MEASURED
        }
        (Verdict::Invalid(reasons), _) if !reasons.is_empty() => EXIT_INVALID,
        (_, Some(Interrupted::Interrupt)) => 130,
        (_, Some(Interrupted::Terminate)) => 143,
        // Not judged for no reason known.
        (Verdict::Invalid(_), None) => EXIT_INVALID,
        _ if !result.passes() => EXIT_THRESHOLD,
        _ => 0,
    }
}

pub(super) fn run_error(error: &RunError) -> CliError {
    let code = match error {
        RunError::Descriptors(_) => EXIT_USAGE,
        RunError::Backend(_) | RunError::NothingOpen(_) => EXIT_NOTHING_MEASURED,
        RunError::Epoll(_) | RunError::Thread(_) | RunError::Broke(_) | RunError::WorkerLost => {
            EXIT_INTERNAL
        }
    };
    let text = error.to_string();
    let (message, hint) = match text.split_once("; ") {
        _ if let RunError::NothingOpen(unopened) = error => {
            (unopened.message(), Some(unopened.hint()))
        }
        Some((message, hint)) => (message.to_owned(), Some(hint.to_owned())),
        None => (text, None),
    };
    CliError { message, hint, code }
}

fn as_wrk(persona: &Persona, mut job: Box<RunJob>, preface: &str) -> Result<u8, CliError> {
    let signals = Signals::install();
    let measured = run::settle(&mut job.plan).and_then(|refused| {
        if let Some(refused) = refused {
            write_stderr(&format!("{}: {}", persona.name, on_epoll(&refused)));
        }
        run::measure(&job.plan, &signals, &mut |_| {}, &|| None)
    });
    // As in a run under our own name, nothing that is printed from here on is waited for in vain.
    signals.release();
    match measured {
        Ok(result) => {
            let mut bytes = preface.as_bytes().to_vec();
            bytes.extend((persona.render)(&result, &job.output));
            write_stdout(&bytes)?;
            match has_ended_well(&result) {
                Ok(()) => Ok(0),
                Err(error) => {
                    write_stderr(&format!("{}: {}", persona.name, error.message));
                    Ok(1)
                }
            }
        }
        Err(RunError::NothingOpen(unopened)) => {
            use crate::outcome::Cause;
            let failed = unopened.failed();
            let cause = failed.iter().find(|(_, count)| *count > 0);
            let reason = cause.map_or("unknown", |(cause, _)| cause.name());
            let host = &job.plan.provenance.host;
            let to = job.plan.addresses.first().and_then(Address::inet);
            let port = to.map_or(0, |address| address.port());
            write_stdout(preface.as_bytes())?;
            write_stderr(&format!("unable to connect to {host}:{port} Connection {reason}"));
            Ok(1)
        }
        Err(error) => {
            write_stderr(&error.to_string());
            Ok(1)
        }
    }
}

fn serve(job: ServeJob) -> Result<u8, CliError> {
    let signals = Signals::install();
    let ServeJob { config, may_fall_back, log: file, count_on_exit } = job;
    let started = if may_fall_back {
        Server::start_or_fall_back(config)
    } else {
        Server::start(config).map(|server| (server, None))
    };
    let (server, refused) = started.map_err(|error| match error {
        // As a measurement on an engine that is not to be had.
        StartError::Ring(_) => CliError::nothing_measured(error.to_string()),
        _ => CliError::usage(error.to_string()),
    })?;
    if let Some(refused) = refused {
        write_stderr(&format!("wring: note: {}", on_epoll(&refused)));
    }
    write_stderr(&format!("wring: listening on http://{}/", server.address()));
    while signals.count() == 0 && server.broken().is_none() {
        thread::sleep(SERVE_LOOK);
    }
    let stopped = server.stop_with_log();
    let (counts, log) = stopped.map_err(|why| broken_server(&why))?;
    // The file comes first, but counts are printed even when it cannot be written.
    let written = match (file, log) {
        (Some(file), Some(log)) => write_log(file, &log),
        _ => Ok(()),
    };
    if count_on_exit {
        write_stdout(format!("{}\n", counts.to_json()).as_bytes())?;
    }
    written.map(|()| 0)
}

/// Plain requests went to a port for TLS, and the server said no to every one.
pub(super) fn speaks_tls(so: &str) -> CliError {
    CliError::nothing_measured(format!("every answer was a 400 and the port speaks TLS, so {so}"))
        .hint("write https:// instead of http://")
}

/// The built-in server does not serve any more.
pub(super) fn broken_server(why: &str) -> CliError {
    CliError::internal(format!("the server broke: {why}"))
        .hint("if io_uring is the cause, --engine epoll does without")
}

/// Writes the stamps; says loudly what is missing.
fn write_log(file: ReportFile, log: &StampLog) -> Result<(), CliError> {
    let path = files::shown(file.path());
    file.commit_with(|out| log.write(out))?;
    if log.lost() > 0 {
        write_stderr(&format!(
            "wring: warning: '{path}' is incomplete: it holds {} requests, and {} that were \
             counted are missing; memory for stamps is bounded: run the server for a shorter time",
            log.requests(),
            log.lost()
        ));
    }
    Ok(())
}

/// Examines the machine. Whatever is found is a finding, not a failure.
fn examine(args: DoctorArgs) -> Result<u8, CliError> {
    let signals = Signals::install();
    let examination = doctor::examine(!args.quick, &signals);
    signals.release();
    write_stdout(&if args.json {
        report::doctor::json(&examination)
    } else {
        report::doctor::text(&examination, colored(args.color))
    })?;
    Ok(match signals.first() {
        Some(SIGINT) => 130,
        Some(_) => 143,
        None => 0,
    })
}

fn report(args: &ReportArgs) -> Result<u8, CliError> {
    let mut result = read_stored(&args.result)?;
    if !args.thresholds.is_empty() {
        result.asked.thresholds.clone_from(&args.thresholds);
    }
    let bytes = match args.format {
        ReportFormat::Json => json::render(&result),
        ReportFormat::Text => text::render(
            &result,
            &TextOptions {
                latency_distribution: args.latency || args.u_latency,
                uncorrected: args.u_latency,
                color: colored(args.color),
                verbose: args.verbose,
            },
        ),
    };
    write_stdout(&bytes)?;
    // What the run itself was asked for was its own matter.
    let fails = !args.thresholds.is_empty() && !result.passes();
    Ok(if fails { EXIT_THRESHOLD } else { 0 })
}

/// Reads a file that `-o` wrote, or says what is wrong with it.
pub(super) fn read_stored(file: &Path) -> Result<RunResult, CliError> {
    parse_stored(file, &stored_bytes(file)?)
}

/// The bytes of a file that should be such a one.
pub(super) fn stored_bytes(file: &Path) -> Result<Vec<u8>, CliError> {
    let path = files::shown(file);
    let read = || -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = std::fs::File::open(file)?;
        file.take(stored::FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|error| {
        CliError::usage(format!("cannot read '{path}': {error}"))
            .hint("name a file written by wring -o")
    })
}

/// What they say.
pub(super) fn parse_stored(file: &Path, bytes: &[u8]) -> Result<RunResult, CliError> {
    let path = file.display();
    stored::read(bytes).map_err(|error| CliError::usage(format!("cannot read '{path}': {error}")))
}
