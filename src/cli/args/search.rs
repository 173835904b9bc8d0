//! Arguments of `wring search`.

use std::path::PathBuf;

use clap::Args;

use super::{Given, RunArgs, connections, duration, pipeline};

const NOTES: &str = "\
An objective is a threshold as for --threshold: 'p99<5ms', 'p99.9<=20ms', 'failed<0.1%',
'rps>10k'. Latency counts from when a request was due; one that fails or is never sent is slower
than any. A backlog that grows fails, whatever the objective says.

A closed loop finds an upper bound; then rates are tried, the longer the nearer they come to the
answer. A rate is held or failed when its trials together say so beyond chance; a single bad trial
does not decide, and one that wring itself spoiled is repeated. The run flags (-c, -p, -H,
--arrivals and so on) are those of the trials. --max-rps searches the fewest connections, and with
--max-pipeline the least depth, beyond which a closed loop gains nothing; where that was not seen,
because the time was up or no more was allowed, it says at least how much there is. A load that
was disturbed on wring's side is measured again, and left out when it stays so.

Exit codes: 0 found; 99 no rate was shown to hold, or an answer failed a check (--expect); 4 wring
itself could not judge any rate, or any load; 3 the target is not there, hangs or went away; 130
and 143 interrupted, with the best bracket so far.

Examples:
  wring search --slo 'p99<5ms' --slo 'failed<0.1%' http://localhost:8080/
  wring search --slo 'p99<5ms' --arrivals poisson --csv trials.csv http://localhost:8080/
  wring search --max-rps --max-pipeline 16 http://localhost:8080/";

/// What is searched for, and the flags of the trials.
#[derive(Clone, Debug, Args)]
#[command(args_override_self = true, after_help = NOTES)]
pub struct SearchArgs {
    /// What a rate must meet, such as 'p99<5ms' or 'failed<0.1%'; may be repeated
    #[arg(long, value_name = "CLAIM", allow_hyphen_values = true, help_heading = "Search")]
    pub slo: Vec<String>,
    /// Search the most requests per second, and the fewest connections that get it
    #[arg(long, help_heading = "Search")]
    pub max_rps: bool,
    /// How long the whole search may take
    #[arg(long, value_name = "TIME", default_value = "170s", value_parser = whole)]
    #[arg(allow_hyphen_values = true, help_heading = "Search")]
    pub max_duration: u64,
    /// Width of the bracket to stop at, relative to the rate
    #[arg(long, value_name = "PERCENT", default_value = "1%", value_parser = width)]
    #[arg(allow_hyphen_values = true, help_heading = "Search")]
    pub width: f64,
    /// With --max-rps: most connections tried
    #[arg(long, value_name = "N", default_value = "1024", value_parser = connections)]
    #[arg(allow_hyphen_values = true, help_heading = "Search")]
    pub max_connections: u32,
    /// With --max-rps: most requests in flight tried on each connection
    #[arg(long, value_name = "N", default_value = "1", value_parser = pipeline)]
    #[arg(allow_hyphen_values = true, help_heading = "Search")]
    pub max_pipeline: u32,
    /// Write every trial to FILE as CSV
    #[arg(long, value_name = "FILE", help_heading = "Search")]
    pub csv: Option<PathBuf>,
    /// The flags of the trials.
    #[command(flatten)]
    pub run: RunArgs,
    /// Where to send requests: http://host:port/path?query
    #[arg(value_name = "URL", help_heading = "Target")]
    pub url: Vec<String>,
    /// The flags that were typed.
    #[arg(skip)]
    pub given: Given,
}

/// A time in which something can be found out.
fn whole(text: &str) -> Result<u64, String> {
    const LEAST_NS: u64 = 1_000_000_000;
    match duration(text)? {
        0..LEAST_NS => Err(format!("'{text}' is too short to find anything; give 1s or more")),
        ns => Ok(ns),
    }
}

fn width(text: &str) -> Result<f64, String> {
    let percent = text.strip_suffix('%').and_then(|number| number.parse::<f64>().ok());
    match percent {
        Some(percent) if (0.1..=100.0).contains(&percent) => Ok(percent / 100.0),
        _ => {
            Err(format!("'{}' is not a width; give 0.1% to 100%, such as 1%", text.escape_debug()))
        }
    }
}
