//! From `0->10k:30s,10k:2m` to stages, or to a message that names the part that is wrong.

use std::fmt;

use super::Stage;
use crate::units::{UnitError, format_duration_ns, parse_duration_ns, parse_rate};

/// Stages that could not be read. Prints which part is wrong and what would be right.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StagesError {
    /// Which part, counted from 1.
    pub stage: usize,
    /// That part as typed.
    pub part: String,
    fault: Fault,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Fault {
    Empty,
    NoLength,
    ZeroLength,
    Rate(UnitError),
    Length(UnitError),
    TooLongTogether { length_ns_max: u64 },
}

impl fmt::Display for StagesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const WANT: &str = "give RATE:TIME or RATE->RATE:TIME, such as 10k:2m or 0->10k:30s";
        if self.fault == Fault::Empty {
            return write!(f, "stage {} is empty; {WANT}", self.stage);
        }
        write!(f, "stage {} ('{}'): ", self.stage, self.part.escape_debug())?;
        match &self.fault {
            Fault::Empty | Fault::NoLength => write!(f, "has no ':' with a time behind it; {WANT}"),
            Fault::ZeroLength => {
                write!(f, "its time is zero; give a time above it, or leave the stage out")
            }
            Fault::Rate(error) => write!(f, "rate: {error}"),
            Fault::Length(error) => write!(f, "time: {error}"),
            Fault::TooLongTogether { length_ns_max } => write!(
                f,
                "with it the stages are too long; at most {} together are possible",
                format_duration_ns(*length_ns_max)
            ),
        }
    }
}

impl std::error::Error for StagesError {}

/// Reads stages: `0->10k:30s,10k:2m,10k->0:10s`, where `A->B:TIME` is a linear ramp and `A:TIME` a
/// flat stage. Spaces around every part are allowed.
///
/// Rates have the grammar of `parse_rate`, times that of `parse_duration_ns`; the stages may last
/// `length_ns_max` together. A stage without length is an error: it could only be a mistake.
pub fn parse_stages(text: &str, length_ns_max: u64) -> Result<Vec<Stage>, StagesError> {
    let mut stages = Vec::new();
    let mut left_ns = length_ns_max;
    for (index, part) in text.split(',').enumerate() {
        let part = part.trim();
        let fail = |fault| StagesError { stage: index + 1, part: part.to_owned(), fault };
        let stage = parse_stage(part, length_ns_max).map_err(fail)?;
        left_ns = left_ns
            .checked_sub(stage.length_ns)
            .ok_or_else(|| fail(Fault::TooLongTogether { length_ns_max }))?;
        stages.push(stage);
    }
    Ok(stages)
}

fn parse_stage(part: &str, length_ns_max: u64) -> Result<Stage, Fault> {
    if part.is_empty() {
        return Err(Fault::Empty);
    }
    let (rates, length) = part.split_once(':').ok_or(Fault::NoLength)?;
    let (from, to) = rates.split_once("->").unwrap_or((rates, rates));
    let from = parse_rate(from.trim()).map_err(Fault::Rate)?;
    let to = parse_rate(to.trim()).map_err(Fault::Rate)?;
    let length_ns = parse_duration_ns(length.trim(), length_ns_max).map_err(Fault::Length)?;
    if length_ns == 0 { Err(Fault::ZeroLength) } else { Ok(Stage { from, to, length_ns }) }
}
