//! Arguments, lowering, exit codes.
//!
//! Owns the command line from what was typed to the code the process exits with, and the two
//! streams. Knows nothing of how anything is measured. The idea: two stages. `args` records what
//! was typed and checks each value by itself, without a system call; `lower` checks them together,
//! opens files, resolves names, and gives a job that cannot be refused any more.
//!
//! Results go to stdout, everything else to stderr. A closed stream ends nothing: whoever runs
//! `wring … | head -1` still gets the files.

pub mod args;
mod basic_auth;
mod bodies;
mod checks;
mod compare;
mod connections;
pub mod error;
pub mod execute;
pub mod files;
pub mod lower;
mod pacing;
pub mod redact;
mod search;
mod selftest;
mod server;
mod source_ip;
mod targets;
mod tls;
pub mod url;
pub mod urls;
pub mod wrk;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use crate::live::understands_escapes;
use args::{ColorChoice, Command, DoctorArgs, Parsed, ReportArgs, RunArgs};
pub use compare::CompareJob;
use error::CliError;
use lower::{Refused, RunJob, ServeJob};
use wrk::Persona;

/// A pipe that takes bytes at all takes this many at once (`PIPE_BUF`, pipe(7)).
const PIPE_PIECE_BYTES: usize = 4096;
/// Longest wait for a reader of stderr, in milliseconds.
const STDERR_PATIENCE_MS: u16 = 100;

/// What the process is to do, everything resolved.
#[derive(Debug)]
pub enum Job {
    /// Print this on stdout and exit with 0.
    Print(Vec<u8>),
    /// Measure and report.
    Run(Box<RunJob>),
    /// Measure as wrk or wrk2 would, and print its report after `preface`.
    Wrk {
        /// Whose place is taken.
        persona: &'static Persona,
        /// What to measure.
        run: Box<RunJob>,
        /// Printed before the report.
        preface: String,
        /// For stderr before the load starts.
        remark: Option<String>,
    },
    /// Measure the built-in server; `lower::run` makes the plan once its port is known.
    Selftest {
        /// The flags.
        args: Box<RunArgs>,
        /// The command line, for the record.
        argv: Vec<String>,
    },
    /// Find how much a target can carry.
    Search(Box<search::SearchJob>),
    /// Run the built-in server.
    Serve(Box<ServeJob>),
    /// Render a stored result again.
    Report(ReportArgs),
    /// Examine this machine.
    Doctor(DoctorArgs),
    /// Compare servers, builds or stored results.
    Compare(Box<CompareJob>),
}

/// Why there is no job: what to print on each stream, and the exit code.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// For stdout.
    pub stdout: String,
    /// For stderr, with its line end.
    pub stderr: String,
    /// The exit code.
    pub code: u8,
}

impl From<CliError> for Refusal {
    fn from(error: CliError) -> Self {
        Self { stdout: String::new(), stderr: format!("{error}\n"), code: error.code }
    }
}

/// Reads a command line, `argv[0]` first, and resolves it. `allowed` are the CPUs this process may
/// use.
pub fn prepare(argv: Vec<OsString>, allowed: &[u32]) -> Result<Job, Refusal> {
    let typed: Vec<String> = argv.iter().map(|a| a.to_string_lossy().into_owned()).collect();
    if let Some(persona) = typed.first().and_then(|program| Persona::of(program)) {
        return prepare_wrk(persona, &argv, &typed, allowed);
    }
    let command = match args::parse(argv)? {
        Parsed::Text(text) => return Ok(Job::Print(text.into_bytes())),
        Parsed::Command(command) => *command,
    };
    Ok(match command {
        Command::Run(run) => {
            if run.url.is_empty() && run.run.targets.urls.is_empty() {
                let error = CliError::usage("no URL is given; write wring http://host/");
                return Err(error
                    .hint("wring -h has examples; wring selftest needs no URL")
                    .into());
            }
            let job = lower::run_all(&run.run, &run.url, &typed, allowed);
            Job::Run(Box::new(job.map_err(CliError::from)?))
        }
        Command::Selftest(args) => {
            let args = selftest::with_defaults(args);
            connections::check_selftest(&args.network)?;
            lower::check(&args)?;
            connections::check(&args)?;
            if !args.targets.urls.is_empty() {
                let error = CliError::usage("--urls: the self test has a target of its own");
                return Err(error.hint("wring --urls FILE measures what the file lists").into());
            }
            Job::Selftest { args: Box::new(args), argv: typed }
        }
        Command::Search(args) => Job::Search(Box::new(search::lower(&args, &typed, allowed)?)),
        Command::Serve(args) => Job::Serve(Box::new(lower::serve(&args, allowed)?)),
        Command::Report(args) => Job::Report(args),
        Command::Doctor(args) => Job::Doctor(args),
        Command::Compare(args) => Job::Compare(Box::new(compare::lower(*args, typed)?)),
        Command::Completions(shell) => Job::Print(completions(shell.shell)),
        Command::Man => Job::Print(manual()?),
        Command::Help(asked) => Job::Print(args::help(&asked)?.into_bytes()),
    })
}

/// The process: prepares a job, prints what there is to print, and leaves measuring and serving to
/// `execute`, which answers with the exit code.
pub fn main(
    argv: impl IntoIterator<Item = OsString>,
    execute: impl FnOnce(Job) -> Result<u8, CliError>,
) -> ExitCode {
    // Without it more is resident, and in larger steps; nothing else.
    let _ = crate::sys::refuse_huge_pages();
    // A report that does not fit is told of, and its temporary file removed.
    crate::sys::survive_file_size_limit();
    let code = match prepare(argv.into_iter().collect(), &crate::sys::allowed_cpus()) {
        Err(refusal) => {
            // The code tells more than a stream that nobody reads.
            let _ = write_stdout(refusal.stdout.as_bytes());
            if !refusal.stderr.is_empty() {
                write_stderr(&refusal.stderr);
            }
            Ok(refusal.code)
        }
        Ok(Job::Print(bytes)) => write_stdout(&bytes).map(|()| 0),
        Ok(job) => execute(job),
    };
    ExitCode::from(code.unwrap_or_else(|error| {
        write_stderr(&error.to_string());
        error.code
    }))
}

/// The same in another tool's place; theirs are only the exit codes 0 and 1.
fn prepare_wrk(
    persona: &'static Persona,
    argv: &[OsString],
    typed: &[String],
    allowed: &[u32],
) -> Result<Job, Refusal> {
    let parsed = persona.parse(argv).map_err(|refusal| Refusal {
        stdout: refusal.stdout,
        stderr: refusal.stderr,
        code: 1,
    })?;
    let run = lower::run(&parsed.args, &parsed.url, typed, allowed).map_err(|refused| {
        let message = match refused {
            Refused::Usage(error) => error.message,
            Refused::Unresolved { host, service, cause } => {
                format!("unable to resolve {host}:{service} {cause}")
            }
        };
        Refusal { stdout: parsed.preface.clone(), stderr: format!("{message}\n"), code: 1 }
    })?;
    let (preface, remark) = (parsed.preface, parsed.remark);
    Ok(Job::Wrk { persona, run: Box::new(run), preface, remark })
}

fn completions(shell: clap_complete::Shell) -> Vec<u8> {
    let mut bytes = Vec::new();
    clap_complete::generate(shell, &mut args::definition(), "wring", &mut bytes);
    bytes
}

/// The manual page: the flags of a measurement, then those of each command that has its own.
fn manual() -> Result<Vec<u8>, CliError> {
    let failed = |error: io::Error| CliError::internal(format!("cannot make the page: {error}"));
    let definition = described(args::definition());
    let mut page = Vec::new();
    clap_mangen::Man::new(definition.clone()).render(&mut page).map_err(failed)?;
    let mut text = String::from_utf8_lossy(&page).into_owned();
    let shared = ["run", "selftest", "man"];
    for command in definition.get_subcommands().filter(|c| !shared.contains(&c.get_name())) {
        let mut options = Vec::new();
        clap_mangen::Man::new(command.clone())
            .render_options_section(&mut options)
            .map_err(failed)?;
        let title = format!(".SH \"OPTIONS OF WRING {}\"", command.get_name().to_uppercase());
        let options = String::from_utf8_lossy(&options);
        let (_, section) = options.split_once(".SH OPTIONS").unwrap_or(("", &options));
        // Their headings are below that one.
        text += &(title + &section.replace("\n.SH ", "\n.SS "));
    }
    Ok(for_roff(&text).into_bytes())
}

/// The same definition with every flag described: the page has no short form to leave one out of.
fn described(command: clap::Command) -> clap::Command {
    let describe = |arg: clap::Arg| match (arg.get_long_help(), arg.get_help()) {
        (None, Some(help)) => {
            let help = help.clone();
            arg.long_help(help)
        }
        _ => arg,
    };
    command.mut_args(describe).mut_subcommands(described)
}

/// What roff reads: letters beyond ASCII by their numbers, and commands by their names, for there is
/// one page for all of them.
fn for_roff(page: &str) -> String {
    let line = |line: &str| match line.strip_prefix("wring\\-").and_then(|l| l.strip_suffix("(1)"))
    {
        Some(command) => format!("\\fBwring {command}\\fR\n"),
        None => format!("{line}\n"),
    };
    let lines: String = page.lines().map(line).collect();
    let letter = |c: char| match c {
        '\0'..='\x7f' => c.to_string(),
        '…' => "...".to_owned(),
        _ => format!("\\[u{:04X}]", u32::from(c)),
    };
    lines.chars().map(letter).collect()
}

/// Whether the text on stdout is to be coloured.
pub fn colored(choice: ColorChoice) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        // https://no-color.org: set and not empty.
        ColorChoice::Auto => {
            let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            !refused && io::stdout().is_terminal() && understands_escapes()
        }
    }
}

/// Writes a result to stdout. A reader that has gone away is a normal end, not a failure.
pub fn write_stdout(bytes: &[u8]) -> Result<(), CliError> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(CliError::internal(format!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes a line for people to stderr. If nobody reads it, nothing can be done about that, and
/// nothing waits for it: a full pipe costs the line, not the run.
pub fn write_stderr(text: &str) {
    let mut stderr = io::stderr().lock();
    let line = format!("{}\n", text.trim_end_matches('\n'));
    for piece in line.as_bytes().chunks(PIPE_PIECE_BYTES) {
        let is_read = crate::sys::is_writable_within(&stderr, STDERR_PATIENCE_MS);
        if !is_read || stderr.write_all(piece).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
