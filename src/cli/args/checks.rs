//! The flags that check answers and judge results, each read by itself.

use clap::{ArgAction, Args};

use crate::result::threshold::Threshold;
use crate::units::{StatusSet, parse_bytes, parse_statuses};

/// What answers are checked for, and what the result must measure.
#[derive(Clone, Debug, Default, Args)]
pub struct CheckArgs {
    /// Statuses that pass, such as 200,3xx,404-410; any other fails the run (exit 99)
    #[arg(long, value_name = "STATUSES", value_parser = statuses)]
    #[arg(allow_hyphen_values = true, help_heading = "Checks", hide_short_help = true)]
    pub expect: Option<StatusSet>,
    /// Length of every body; another one fails the run
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    #[arg(allow_hyphen_values = true, help_heading = "Checks", hide_short_help = true)]
    pub expect_body_bytes: Option<u64>,
    /// Every body is that of the first answer of its target, or has this XXH3 hash (16 digits, as
    /// xxhsum -H3 prints it); another one fails the run
    #[arg(long, value_name = "HASH", value_parser = hash, num_args = 0..=1, require_equals = true)]
    #[arg(help_heading = "Checks", hide_short_help = true)]
    pub expect_body_hash: Option<Option<u64>>,
    /// Count answers by the value of this header, such as X-Backend
    #[arg(long, value_name = "HEADER", help_heading = "Checks", hide_short_help = true)]
    pub group_by: Option<String>,
    /// What the result must measure: `p99<20ms`, `failed<0.1%`, `rps>50k`, `status[5xx]=0`; exit
    /// 99 if it does not; may be repeated
    #[arg(long = "threshold", value_name = "CONDITION", value_parser = threshold)]
    #[arg(action = ArgAction::Append, allow_hyphen_values = true, help_heading = "Checks")]
    #[arg(hide_short_help = true)]
    pub thresholds: Vec<Threshold>,
}

pub(super) fn threshold(text: &str) -> Result<Threshold, String> {
    Threshold::parse(text).map_err(|error| error.to_string())
}

fn statuses(text: &str) -> Result<StatusSet, String> {
    parse_statuses(text, ',').map_err(|error| format!("in '{}': {error}", text.escape_debug()))
}

fn hash(text: &str) -> Result<u64, String> {
    let is_hash = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let hash = if is_hash { u64::from_str_radix(text, 16).ok() } else { None };
    hash.ok_or_else(|| {
        format!(
            "'{}' is no hash; give the 16 hexadecimal digits that `xxhsum -H3 FILE` prints, or \
             leave the value out to compare with the first answer",
            text.escape_debug()
        )
    })
}
