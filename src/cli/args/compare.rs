//! The flags of `wring compare`.

use clap::{Args, ValueEnum};

use super::server::pid;
use super::{Given, RunArgs};
use crate::compare::Metric;
use crate::limits;
use crate::units::{parse_count, parse_duration_ns};

pub(super) const NOTES: &str = "\
Two URLs are measured in turns, in short blocks whose order is random, and all connections stay
open. What moves both, a slower minute of the machine for instance, is not in the ratio of two
neighbouring blocks. With --a-cmd and --b-cmd wring starts and stops the servers itself, on CPUs
of their own; a server may differ from start to start, so it is started --restarts times more.
Files are those of wring -o; several of one side are joined by commas: a1.json,a2.json
b1.json,b2.json

Every difference has a 95 % interval (bootstrap over pairs of blocks, starts or runs; Student's
where there are fewer than ten). B is called same when the interval lies within the margin, faster
or slower when it excludes zero and does not, undecided otherwise. It is looked at ten times at
most, and every look asks for more than the interval shows, so that fewer than one comparison in a
hundred of a server with itself ends in faster or slower. Faster and slower need eight pairs of
blocks, or four starts or four stored runs of each side.

Where a percentile is not known in a block, because so many requests failed or there were too few,
its pair is left out for it; where more than half are, the verdict is undecided. --expect and the
other checks of answers are counted over all blocks; --threshold is for single runs.

The last line is the verdict. Exit code 99: slower, and by more than the margin (see --fail-on),
or an answer failed a check.

Examples:
  wring compare http://localhost:8081/ http://localhost:8082/
  wring compare --a-cmd './old --port {port}' --b-cmd './new --port {port}' /path
  wring compare old1.json,old2.json,old3.json,old4.json new1.json,new2.json,new3.json,new4.json";

/// Arguments of `wring compare`.
#[derive(Clone, Debug, Args)]
#[command(args_override_self = true, after_long_help = NOTES)]
pub struct CompareArgs {
    /// The flags of a measurement; a block is one.
    #[command(flatten)]
    pub run: RunArgs,
    /// Two URLs, two or more stored results, or with --a-cmd the path to ask for
    #[arg(value_name = "SIDE", help_heading = "Comparison")]
    pub sides: Vec<String>,
    /// Start side A by this command; {port} stands for the port it is to listen on
    #[arg(long, value_name = "CMD", allow_hyphen_values = true, help_heading = "Comparison")]
    pub a_cmd: Option<String>,
    /// The same for side B
    #[arg(long, value_name = "CMD", allow_hyphen_values = true, help_heading = "Comparison")]
    pub b_cmd: Option<String>,
    /// Tell what a request costs the server of A, process PID of this machine with its children
    #[arg(long, value_name = "PID", value_parser = pid, allow_hyphen_values = true)]
    #[arg(help_heading = "Comparison")]
    pub a_server_pid: Option<u32>,
    /// The same for side B
    #[arg(long, value_name = "PID", value_parser = pid, allow_hyphen_values = true)]
    #[arg(help_heading = "Comparison")]
    pub b_server_pid: Option<u32>,
    /// How often servers started by a command are started again
    #[arg(long, value_name = "N", default_value = "5", value_parser = restarts)]
    #[arg(allow_hyphen_values = true, help_heading = "Comparison")]
    pub restarts: u32,
    /// What decides: rps, p50, p90, p99, p99.9 or cpu [default: rps; p99 with a rate]
    #[arg(long, value_name = "NAME", hide_possible_values = true, help_heading = "Comparison")]
    pub metric: Option<MetricChoice>,
    /// Differences up to this are as good as none
    #[arg(long, value_name = "PERCENT", default_value = "1%", value_parser = margin)]
    #[arg(allow_hyphen_values = true, help_heading = "Comparison")]
    pub margin: f64,
    /// Longest time the comparison may take; to start and to end, servers get a second more
    #[arg(long, value_name = "TIME", default_value = "55s", value_parser = max_duration)]
    #[arg(allow_hyphen_values = true, help_heading = "Comparison")]
    pub max_duration: u64,
    /// Length of one block [default: 250ms; longer at low rates, shorter for a short comparison]
    #[arg(long, value_name = "TIME", value_parser = block)]
    #[arg(allow_hyphen_values = true, help_heading = "Comparison")]
    pub block: Option<u64>,
    /// Compare stored results although they were made differently
    #[arg(long, help_heading = "Comparison")]
    pub force: bool,
    /// text, md (for a pull request) or json
    #[arg(long, value_name = "FORMAT", default_value = "text", hide_possible_values = true)]
    #[arg(help_heading = "Comparison")]
    pub format: CompareFormat,
    /// What makes the exit code 99: slower, undecided (or slower), never
    #[arg(long, value_name = "WORD", default_value = "slower", hide_possible_values = true)]
    #[arg(help_heading = "Comparison")]
    pub fail_on: FailOn,
    /// The flags that were typed.
    #[arg(skip)]
    pub given: Given,
}

/// What a comparison can decide on.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum MetricChoice {
    /// Requests per second.
    Rps,
    /// Median latency.
    P50,
    /// 90th percentile.
    P90,
    /// 99th percentile.
    P99,
    /// 99.9th percentile.
    #[value(name = "p99.9")]
    P999,
    /// CPU time of the server for each request.
    Cpu,
}

impl MetricChoice {
    /// The metric itself.
    pub fn metric(self) -> Metric {
        match self {
            Self::Rps => Metric::RequestsPerS,
            Self::P50 => Metric::P50,
            Self::P90 => Metric::P90,
            Self::P99 => Metric::P99,
            Self::P999 => Metric::P999,
            Self::Cpu => Metric::ServerCpu,
        }
    }
}

/// How a comparison is printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum CompareFormat {
    /// For a terminal.
    Text,
    /// Markdown.
    Md,
    /// As `--json`.
    Json,
}

/// What makes a comparison fail.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum FailOn {
    /// The other side is slower, by more than the margin.
    Slower,
    /// That, or nothing could be decided.
    Undecided,
    /// Nothing.
    Never,
}

fn restarts(text: &str) -> Result<u32, String> {
    const MOST: u64 = 1000;
    let count = parse_count(text).map_err(|error| error.to_string())?;
    if count > MOST {
        return Err(format!("'{text}' is out of range; give 0 to {MOST}"));
    }
    Ok(count as u32)
}

/// A share from 0 % to below 100 %.
fn margin(text: &str) -> Result<f64, String> {
    let shown = text.escape_debug();
    let wrong = || format!("'{shown}' is not a margin; give 0% to 50%, such as 1%");
    let number: f64 =
        text.strip_suffix('%').ok_or_else(wrong)?.trim().parse().map_err(|_| wrong())?;
    if (0.0..=50.0).contains(&number) { Ok(number / 100.0) } else { Err(wrong()) }
}

fn within(text: &str, least_ns: u64, least: &str) -> Result<u64, String> {
    let ns = parse_duration_ns(text, limits::DURATION_NS_MAX).map_err(|error| error.to_string())?;
    if ns < least_ns { Err(format!("'{text}' is too short; give {least} or more")) } else { Ok(ns) }
}

fn max_duration(text: &str) -> Result<u64, String> {
    within(text, 500_000_000, "500ms")
}

fn block(text: &str) -> Result<u64, String> {
    within(text, 10_000_000, "10ms")
}
