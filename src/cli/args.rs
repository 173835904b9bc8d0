//! What was typed: each flag read and checked by itself, without a system call, so that help and
//! version always work. What flags mean together is `lower`'s business.

mod checks;
pub mod compare;
mod connections;
mod given;
pub mod search;
pub mod server;
mod targets;
mod tls;
pub mod warmup;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use super::error::CliError;
use crate::limits;
use crate::result::threshold::Threshold;
use crate::target::Freeze;
pub use targets::TargetArgs;

use crate::units::{
    Distribution, Rate, parse_bytes, parse_count, parse_distribution, parse_duration_ns, parse_rate,
};

pub use checks::CheckArgs;
pub use connections::{CloseChoice, ConnectionArgs, ProxyProtocolChoice};
pub use given::Given;
pub use tls::{TlsArgs, TlsVersion};

const EXAMPLES: &str = "\
Examples (wring --help lists every flag):
  wring http://localhost:8080/               64 connections for 10 seconds
  wring -R 20k -d 30s -L http://host/path    20,000 a second, whatever happens
  wring -p 16 -n 1M -k https://host/         exactly a million, not verified
  wring -X PUT -H 'Type: a' -b @body.json --json http://host/item";

/// The whole command line.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "wring",
    version,
    propagate_version = true,
    about = "Measures how many HTTP requests per second a server answers, and how fast.",
    override_usage = "wring [OPTIONS] <URL>...\n       wring <COMMAND> [OPTIONS]",
    after_help = EXAMPLES,
    args_conflicts_with_subcommands = true,
    args_override_self = true,
    disable_help_subcommand = true,
    disable_help_flag = true,
    disable_version_flag = true,
    subcommand_negates_reqs = true,
    max_term_width = 100
)]
pub struct Cli {
    /// One of the commands; without one, the flags are those of `run`.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The flags of a measurement.
    #[command(flatten)]
    pub run: RunArgs,
    /// Where to send requests, http://host:port/path?query; several get equal shares
    #[arg(value_name = "URL", help_heading = "Targets", hide_short_help = true)]
    pub url: Vec<String>,
    /// Print help; -h prints the short form
    #[arg(short, long, action = ArgAction::Help, global = true, hide_short_help = true)]
    help: Option<bool>,
    /// Print the version
    #[arg(short = 'V', long, action = ArgAction::Version, global = true, hide_short_help = true)]
    version: Option<bool>,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Measure one endpoint (the command may be left out)
    Run(UrlArgs),
    /// Measure the built-in server: needs nothing else on this machine
    ///
    /// The report ends with what this machine can do, in five short runs; --json and -o have that as
    /// the object `machine`.
    Selftest(RunArgs),
    /// Tell which of two servers, builds or stored results is faster
    Compare(Box<compare::CompareArgs>),
    /// Find the highest rate that meets an objective, or the ceiling
    Search(Box<search::SearchArgs>),
    /// Run the built-in server
    Serve(ServeArgs),
    /// Render a stored result again
    Report(ReportArgs),
    /// Tell whether this machine is fit to measure
    Doctor(DoctorArgs),
    /// Print completions for a shell
    Completions(CompletionsArgs),
    /// Print the manual page
    Man,
    /// Print help, for a command or for all
    #[command(hide = true)]
    Help(HelpArgs),
}

/// Arguments of `wring help`.
#[derive(Clone, Debug, Args)]
pub struct HelpArgs {
    /// The command; none for all of wring
    #[arg(value_name = "COMMAND")]
    pub command: Option<String>,
}

impl Command {
    /// Which flags were typed, for the commands that must tell a wish from a default.
    fn note(&mut self, given: Given) {
        match self {
            Self::Compare(args) => args.given = given,
            Self::Search(args) => args.given = given,
            _ => {}
        }
    }
}

/// Arguments of `wring run`.
#[derive(Clone, Debug, Args)]
#[command(args_override_self = true, after_help = EXAMPLES)]
pub struct UrlArgs {
    /// The flags of a measurement.
    #[command(flatten)]
    pub run: RunArgs,
    /// Where to send requests, http://host:port/path?query; several get equal shares
    #[arg(value_name = "URL", help_heading = "Targets")]
    pub url: Vec<String>,
}

/// The flags of a measurement, as typed.
#[derive(Clone, Debug, Args)]
#[command(args_override_self = true)]
pub struct RunArgs {
    /// Connections kept open
    #[arg(short, long, value_name = "N", default_value = "64", value_parser = connections)]
    #[arg(allow_hyphen_values = true, help_heading = "Load")]
    pub connections: u32,
    /// Worker threads [default: one for each allowed CPU]
    #[arg(short, long, value_name = "N", value_parser = threads)]
    #[arg(allow_hyphen_values = true, help_heading = "Load")]
    pub threads: Option<u32>,
    /// How long to measure; 0 is until stopped [default: 10s]
    #[arg(short, long, value_name = "TIME", value_parser = duration)]
    #[arg(allow_hyphen_values = true, help_heading = "Load")]
    pub duration: Option<u64>,
    /// Requests per second, sent when due: 10k, 300/m, 0.1/s
    #[arg(short = 'R', long, value_name = "RATE", value_parser = rate)]
    #[arg(allow_hyphen_values = true, help_heading = "Load")]
    pub rate: Option<Rate>,
    /// Send exactly N requests; no time limit without -d
    ///
    /// Without -d, a server to which no connection can be had is waited for: for 30 s and
    /// --connect-timeout more, or 5 s and --connect-timeout where there never was one. Then the run
    /// ends with what was done. -d 0 waits until stopped.
    #[arg(short = 'n', long, value_name = "N", value_parser = requests)]
    #[arg(allow_hyphen_values = true, help_heading = "Load")]
    pub requests: Option<u64>,
    /// Requests in flight on each connection
    ///
    /// From 8 on, a pipeline is refilled when half of it has been answered.
    #[arg(short, long, value_name = "N", default_value = "1", value_parser = pipeline)]
    #[arg(allow_hyphen_values = true, help_heading = "Load")]
    pub pipeline: u32,
    /// Longest wait for one answer
    #[arg(short = 'T', long, value_name = "TIME", default_value = "2s", value_parser = time)]
    #[arg(allow_hyphen_values = true, help_heading = "Load")]
    pub timeout: u64,
    /// Load before the measurement starts; auto ends it when the target is steady (60s at most)
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = warmup::warmup)]
    #[arg(allow_hyphen_values = true, help_heading = "Load", hide_short_help = true)]
    pub warmup: warmup::Warmup,
    /// Longest wait for outstanding answers at the end
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    #[arg(allow_hyphen_values = true, help_heading = "Load", hide_short_help = true)]
    pub drain: u64,
    /// Longest time to open a connection [default: as --timeout]
    #[arg(long, value_name = "TIME", value_parser = time, hide_short_help = true)]
    #[arg(allow_hyphen_values = true, help_heading = "Load")]
    pub connect_timeout: Option<u64>,
    /// Seed of everything random [default: fixed]
    #[arg(long, value_name = "N", default_value = "1", value_parser = parse_count)]
    #[arg(hide_default_value = true, hide_short_help = true)]
    #[arg(allow_hyphen_values = true, help_heading = "Load")]
    pub seed: u64,

    /// Instead of -R and -d, a rate that changes: '0->10k:30s,10k:2m'
    #[arg(long, value_name = "SPEC", value_parser = stages, hide_short_help = true)]
    #[arg(allow_hyphen_values = true, help_heading = "Schedule")]
    pub stages: Option<String>,
    /// How requests follow each other: constant or poisson [default: constant]
    #[arg(long, value_name = "NAME", hide_possible_values = true, hide_short_help = true)]
    #[arg(help_heading = "Schedule")]
    pub arrivals: Option<ArrivalsChoice>,
    /// Give a request up that could not be sent within TIME of when it was due
    #[arg(long, value_name = "TIME", value_parser = deadline, hide_short_help = true)]
    #[arg(allow_hyphen_values = true, help_heading = "Schedule")]
    pub deadline: Option<u64>,
    /// Sleep until a request is due: less CPU time, later sends
    #[arg(long, help_heading = "Schedule", hide_short_help = true)]
    pub no_spin: bool,

    /// Request method [default: GET, or POST with a body]
    #[arg(short = 'X', long, value_name = "NAME", allow_hyphen_values = true)]
    #[arg(help_heading = "Request")]
    pub method: Option<String>,
    /// Add a header, 'Name: value'; may be repeated
    #[arg(short = 'H', long = "header", value_name = "HEADER", action = ArgAction::Append)]
    #[arg(allow_hyphen_values = true, help_heading = "Request")]
    pub headers: Vec<OsString>,
    /// Request body: the text itself, @FILE, or @- for stdin
    #[arg(short, long, value_name = "BODY", allow_hyphen_values = true)]
    #[arg(help_heading = "Request")]
    pub body: Option<OsString>,
    /// Many targets, and bodies of other kinds.
    #[command(flatten)]
    pub targets: TargetArgs,

    /// How connections are made, and when they end.
    #[command(flatten)]
    pub network: ConnectionArgs,
    /// Whom to believe over https, and what to offer.
    #[command(flatten)]
    pub tls: TlsArgs,
    /// What answers and the result are checked for.
    #[command(flatten)]
    pub checks: CheckArgs,

    /// Print the latency distribution
    #[arg(short = 'L', long, help_heading = "Output")]
    pub latency: bool,
    /// With a rate: also the distribution from the actual sends (implies -L)
    #[arg(short = 'U', long = "u_latency", alias = "u-latency", help_heading = "Output")]
    #[arg(hide_short_help = true)]
    pub u_latency: bool,
    /// Print JSON instead of text, or write it to FILE
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    #[arg(help_heading = "Output")]
    pub json: Option<Option<PathBuf>>,
    /// Store the result for `wring report`
    #[arg(short, long, value_name = "RESULT", help_heading = "Output")]
    pub output: Option<PathBuf>,
    /// Length of one step of the series over time
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    #[arg(allow_hyphen_values = true, help_heading = "Output", hide_short_help = true)]
    pub interval: u64,
    /// Colour: auto, always or never
    #[arg(long, value_name = "WHEN", default_value = "auto", hide_possible_values = true)]
    #[arg(help_heading = "Output", hide_short_help = true)]
    pub color: ColorChoice,
    /// Nothing on stderr but errors
    #[arg(short, long, help_heading = "Output", hide_short_help = true)]
    pub quiet: bool,
    /// Report more: per thread, per address, how it ran
    #[arg(short, long, help_heading = "Output", hide_short_help = true)]
    pub verbose: bool,

    /// CPUs to use, such as 0-3,5 [default: all allowed]
    #[arg(long, value_name = "LIST", allow_hyphen_values = true, hide_short_help = true)]
    #[arg(help_heading = "Machine")]
    pub cpus: Option<String>,
    /// Leave threads to the scheduler
    #[arg(long, help_heading = "Machine", hide_short_help = true)]
    pub no_pin: bool,
    /// How to talk to the kernel: auto (io_uring, or epoll where that is denied), uring or epoll
    #[arg(long, value_name = "NAME", default_value = "auto", hide_possible_values = true)]
    #[arg(help_heading = "Machine", hide_short_help = true)]
    pub engine: Engine,
    /// TCP congestion control [default: the system's]
    #[arg(long, value_name = "NAME", help_heading = "Machine", hide_short_help = true)]
    pub tcp_congestion: Option<String>,

    /// Whose cost is watched.
    #[command(flatten)]
    pub server: server::ServerArgs,

    /// Reserved for wrk's Lua script; answers with what to use instead.
    #[arg(short = 's', long = "script", value_name = "SCRIPT", hide = true)]
    #[arg(num_args = 0..=1, default_missing_value = "", allow_hyphen_values = true)]
    pub script: Option<String>,
    /// wrk2's; answers why there is none.
    #[arg(short = 'B', long = "batch_latency", hide = true)]
    pub batch_latency: bool,
}

/// How requests at a rate follow each other.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum ArrivalsChoice {
    /// Evenly spaced.
    Constant,
    /// Independently of each other.
    Poisson,
}

/// When to colour the report.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum ColorChoice {
    /// When stdout is a terminal and NO_COLOR is not set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The backend asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Engine {
    /// The best that works here.
    Auto,
    /// io_uring.
    Uring,
    /// epoll.
    Epoll,
}

const SERVE_NOTES: &str = "\
A DIST is a time (1ms), exp:1ms for an exponential one with that mean, or a mixture of these:
99%:0,1%:100ms makes one answer in a hundred, drawn at random, take 100 ms.

With --delay, --service, --freeze or --log, answers leave within microseconds of when they are
due. Only --engine tokio-uring has timers of a millisecond: asked for by name it takes a --delay
that does not vary, and adds up to a millisecond and more. A request arrives when its last byte is
read; requests are read and counted during a freeze too. Answers on one connection keep the order
of their requests. /__count is answered with the counts at any time.

With --faults the engine is uring, and each request has that chance of being the last on its
connection. In equal parts the connection is closed before the answer, reset before it, closed within
the body, sent a broken status line and closed, or kept open in silence, so that the client times out.

The log is CSV with the columns arrival_ns,start_ns,end_ns,connection,number and a line for each
counted request in order of arrival. Times are nanoseconds of CLOCK_MONOTONIC. start_ns is when
--service began with it, and its arrival with --delay; end_ns is when its answer was due, after any
freeze and not before the answers ahead of it on its connection; with neither flag both are when it
was due. Connections, and the requests of each, are numbered from 0.

Until the server stops a logged request takes 32 bytes of memory: 32 MiB at first, 2 GiB at most.
After 67,108,864 requests logging ends, and stderr and the last line, beginning with #, say so.

Examples:
  wring serve --body 1KiB                         at once, with 1 KiB
  wring serve --service exp:1ms --log stamps.csv  one queue, 1 ms each on average
  wring serve --freeze 3s:2s                      hangs for 2 s, as in a collector's pause
  wring serve --delay 99%:0,1%:100ms              one answer in a hundred takes 100 ms";

/// Arguments of `wring serve`.
#[derive(Clone, Debug, Args)]
#[command(args_override_self = true, after_long_help = SERVE_NOTES)]
pub struct ServeArgs {
    /// Address and port; port 0 takes a free one and prints it
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    #[arg(allow_hyphen_values = true)]
    pub listen: String,
    /// Server threads [default: one for each CPU; 1 with --service]
    #[arg(short, long, value_name = "N", value_parser = threads, allow_hyphen_values = true)]
    pub threads: Option<u32>,
    /// Bytes of every answer's body
    #[arg(long, value_name = "BYTES", default_value = "100", value_parser = parse_bytes)]
    #[arg(allow_hyphen_values = true)]
    pub body: u64,
    /// Wait before every answer, each by itself [default: 0s]
    #[arg(long, value_name = "DIST", value_parser = distribution, allow_hyphen_values = true)]
    pub delay: Option<Distribution>,
    /// Serve all connections' requests one at a time, in order of arrival, each for this long
    #[arg(long, value_name = "DIST", value_parser = distribution, allow_hyphen_values = true)]
    pub service: Option<Distribution>,
    /// Answer nothing for LENGTH, starting FROM after the first request: 3s:2s
    #[arg(long, value_name = "FROM:LENGTH", value_parser = freeze, allow_hyphen_values = true)]
    pub freeze: Option<Freeze>,
    /// Seed of the times that vary, and of --faults
    #[arg(long, value_name = "N", default_value = "1", value_parser = parse_count)]
    #[arg(allow_hyphen_values = true)]
    pub seed: u64,
    /// Write when each request arrived and its answer was due to FILE when stopped, as CSV
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Status of every answer
    #[arg(long, value_name = "CODE", default_value = "200", value_parser = status)]
    #[arg(allow_hyphen_values = true)]
    pub status: u16,
    /// Which server to run: tokio-uring, uring or epoll [default: uring if answers are timed or
    /// logged, else tokio-uring; epoll where io_uring is denied]
    #[arg(long, value_name = "NAME", hide_possible_values = true)]
    pub engine: Option<ServeEngine>,
    /// CPUs to pin the threads to, such as 0-3,5 [default: all allowed]
    #[arg(long, value_name = "LIST", allow_hyphen_values = true)]
    pub cpus: Option<String>,
    /// Close every connection after N answers
    #[arg(long, value_name = "N", value_parser = close_after, allow_hyphen_values = true)]
    pub close_after: Option<u32>,
    /// Meet this share of requests with a fault instead of an answer, such as 1%
    #[arg(long, value_name = "PERCENT", value_parser = faults_ppm, allow_hyphen_values = true)]
    pub faults: Option<u32>,
    /// Print what was received and answered when stopped, as JSON
    #[arg(long)]
    pub count_on_exit: bool,
}

/// The built-in servers.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum ServeEngine {
    /// On tokio-uring: shares no code with the generator.
    TokioUring,
    /// On the generator's own ring: the fastest.
    Uring,
    /// On the generator's own epoll backend.
    Epoll,
}

/// Arguments of `wring report`.
#[derive(Clone, Debug, Args)]
pub struct ReportArgs {
    /// A file written by -o
    #[arg(value_name = "RESULT")]
    pub result: PathBuf,
    /// Judge it by this instead of what the run was asked for: 'p99<20ms'; may be repeated
    #[arg(long = "threshold", value_name = "CONDITION", value_parser = checks::threshold)]
    #[arg(action = ArgAction::Append, allow_hyphen_values = true)]
    pub thresholds: Vec<Threshold>,
    /// text or json
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: ReportFormat,
    /// Print the latency distribution
    #[arg(short = 'L', long)]
    pub latency: bool,
    /// With a rate: also the distribution from the actual sends (implies -L)
    #[arg(short = 'U', long = "u_latency", alias = "u-latency")]
    pub u_latency: bool,
    /// Report more
    #[arg(short, long)]
    pub verbose: bool,
    /// Colour: auto, always or never
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: ColorChoice,
}

/// How a stored result is rendered.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum ReportFormat {
    /// As after a run.
    Text,
    /// As `--json`.
    Json,
}

const DOCTOR_NOTES: &str = "\
Every check is one line: ok, note (good to know when results are compared), unknown (it cannot be
seen here), WARN (some measurements will be worse or wrong) or BAD (do not measure here). Nothing is
changed on the machine. The last group puts load on loopback for a second, between one worker and
the built-in target; --quick leaves it out.

The exit code is 0 whatever was found: --json tells a program, by its field verdict (fit,
reservations or unfit).";

/// Arguments of `wring doctor`.
#[derive(Clone, Copy, Debug, Args)]
#[command(args_override_self = true, after_long_help = DOCTOR_NOTES)]
pub struct DoctorArgs {
    /// Leave out the second of load
    #[arg(long)]
    pub quick: bool,
    /// Print JSON instead of text
    #[arg(long)]
    pub json: bool,
    /// Colour: auto, always or never
    #[arg(long, value_name = "WHEN", default_value = "auto", hide_possible_values = true)]
    pub color: ColorChoice,
}

/// Arguments of `wring completions`.
#[derive(Clone, Copy, Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

/// What the command line comes to.
#[derive(Clone, Debug)]
pub enum Parsed {
    /// A command to carry out.
    Command(Box<Command>),
    /// Help or version, for stdout.
    Text(String),
}

/// Reads a command line; `argv[0]` is the program's name.
pub fn parse<I, T>(argv: I) -> Result<Parsed, CliError>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    use clap::error::ErrorKind::{DisplayHelp, DisplayVersion, InvalidUtf8};
    let argv: Vec<OsString> = argv.into_iter().map(Into::into).collect();
    let mut definition = definition();
    let read = definition.try_get_matches_from_mut(&argv).and_then(|matches| {
        let cli = Cli::from_arg_matches(&matches)?;
        Ok((cli, matches))
    });
    match read {
        Ok((mut cli, matches)) => {
            if let (Some(command), Some((name, below))) = (&mut cli.command, matches.subcommand()) {
                let given = definition.find_subcommand(name).map(|c| Given::of(c, below));
                command.note(given.unwrap_or_default());
            }
            let implied = Command::Run(UrlArgs { run: cli.run, url: cli.url });
            Ok(Parsed::Command(Box::new(cli.command.unwrap_or(implied))))
        }
        Err(error) if error.kind() == DisplayHelp => Ok(Parsed::Text(error.render().to_string())),
        // Of every command it is wring's.
        Err(error) if error.kind() == DisplayVersion => {
            Ok(Parsed::Text(format!("wring {}\n", env!("CARGO_PKG_VERSION"))))
        }
        Err(error) if error.kind() == InvalidUtf8 => Err(CliError::not_utf8(&argv)),
        Err(error) => Err(CliError::from_clap(&error)),
    }
}

/// The long help of a command, or of wring itself.
pub fn help(asked: &HelpArgs) -> Result<String, CliError> {
    let mut line = vec!["wring"];
    if let Some(command) = &asked.command {
        let names = command_names();
        if !names.contains(command) {
            let shown = command.escape_debug();
            return Err(CliError::usage(format!("'{shown}' is no command"))
                .hint(format!("the commands are {}", names.join(", "))));
        }
        line.push(command);
    }
    line.push("--help");
    match parse(line)? {
        Parsed::Text(text) => Ok(text),
        Parsed::Command(_) => Err(CliError::internal("there is no help")),
    }
}

/// The definition that completions and the manual page are generated from.
pub fn definition() -> clap::Command {
    Cli::command()
}

/// Names of the commands, for suggestions.
pub fn command_names() -> Vec<String> {
    let definition = definition();
    let shown = definition.get_subcommands().filter(|command| !command.is_hide_set());
    shown.map(|command| command.get_name().to_owned()).collect()
}

fn within(text: &str, least: u64, most: u64) -> Result<u64, String> {
    let count = parse_count(text).map_err(|error| error.to_string())?;
    if (least..=most).contains(&count) {
        Ok(count)
    } else {
        Err(format!("'{text}' is out of range; give {least} to {most}"))
    }
}

fn within_u32(text: &str, most: u32) -> Result<u32, String> {
    within(text, 1, u64::from(most)).map(|count| count as u32)
}

fn connections(text: &str) -> Result<u32, String> {
    within_u32(text, limits::CONNECTIONS_MAX)
}

fn threads(text: &str) -> Result<u32, String> {
    within_u32(text, limits::THREADS_MAX)
}

fn pipeline(text: &str) -> Result<u32, String> {
    within_u32(text, limits::PIPELINE_MAX)
}

fn close_after(text: &str) -> Result<u32, String> {
    within_u32(text, u32::MAX)
}

/// Percents with at most four decimals, in parts per million.
fn faults_ppm(text: &str) -> Result<u32, String> {
    const DECIMALS: usize = 4;
    let shown = text.escape_debug();
    let wrong = || format!("'{shown}' is not a share; give 0.0001% to 100%, such as 1%");
    let number = text.strip_suffix('%').ok_or_else(wrong)?;
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    let all_digits = [whole, decimals].iter().all(|part| part.bytes().all(|b| b.is_ascii_digit()));
    if whole.is_empty() || whole.len() > 3 || decimals.len() > DECIMALS || !all_digits {
        return Err(wrong());
    }
    let ppm = format!("{whole}{decimals:0<DECIMALS$}").parse().map_err(|_| wrong())?;
    if (1..=1_000_000).contains(&ppm) { Ok(ppm) } else { Err(wrong()) }
}

fn requests(text: &str) -> Result<u64, String> {
    within(text, 1, u64::MAX)
}

fn status(text: &str) -> Result<u16, String> {
    within(text, 200, 599).map(|status| status as u16)
}

fn duration(text: &str) -> Result<u64, String> {
    parse_duration_ns(text, limits::DURATION_NS_MAX).map_err(|error| error.to_string())
}

fn distribution(text: &str) -> Result<Distribution, String> {
    parse_distribution(text, limits::DURATION_NS_MAX).map_err(|error| error.to_string())
}

fn freeze(text: &str) -> Result<Freeze, String> {
    let shown = text.escape_debug();
    let (from, length) = text
        .split_once(':')
        .ok_or_else(|| format!("'{shown}' is not FROM:LENGTH; give two times such as 3s:2s"))?;
    let read = |time| duration(time).map_err(|cause| format!("in '{shown}': {cause}"));
    let (from_ns, length_ns) = (read(from)?, read(length)?);
    if length_ns == 0 {
        return Err(format!("'{shown}' has no length; give two times such as 3s:2s"));
    }
    Ok(Freeze { from_ns, length_ns })
}

/// A time that cannot be zero.
fn time(text: &str) -> Result<u64, String> {
    match duration(text)? {
        0 => Err(format!("'{text}' would end every request at once; give a time such as 2s")),
        ns => Ok(ns),
    }
}

/// A rate that cannot be zero.
fn rate(text: &str) -> Result<Rate, String> {
    let rate = parse_rate(text).map_err(|error| error.to_string())?;
    if rate.is_zero() {
        return Err(format!("'{text}' would send nothing; give a rate such as 10k/s or 300/m"));
    }
    Ok(rate)
}

/// Anything but a URL, which stands there when the stages were left out. What they say is
/// read where the schedule is made.
fn stages(text: &str) -> Result<String, String> {
    if text.contains("://") {
        return Err(format!("'{}' is a URL and no list of stages", text.escape_debug()));
    }
    Ok(text.to_owned())
}

/// A time that cannot be zero.
fn deadline(text: &str) -> Result<u64, String> {
    match duration(text)? {
        0 => Err(format!("'{text}' would leave no time to send; give a time such as 100ms")),
        ns => Ok(ns),
    }
}

fn interval(text: &str) -> Result<u64, String> {
    const LEAST_NS: u64 = 10_000_000;
    match duration(text)? {
        0..LEAST_NS => Err(format!("'{text}' is too short; give 10ms or more")),
        ns => Ok(ns),
    }
}
