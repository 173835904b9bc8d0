//! Why no schedule can be made of what was asked, for the person who asked.

use std::fmt;

use crate::units::{Rate, format_duration_ns, format_rate};

/// A rate over time that cannot be followed. `Display` ends with what to try.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ScheduleError {
    /// The list of stages is empty.
    NoStages,
    /// A stage has no length; stages are counted from 1.
    EmptyStage {
        /// Which one.
        stage: usize,
    },
    /// A rate above one request every nanosecond.
    TooFast {
        /// The stage that asks for it, counted from 1; `None` for a constant rate.
        stage: Option<usize>,
        /// The rate.
        rate: Rate,
    },
    /// Up to this stage, the exact integral no longer fits in 128 bits.
    TooFine {
        /// Which one, counted from 1.
        stage: usize,
    },
    /// The rate is zero, or less than one request falls into the whole time.
    NothingDue {
        /// The constant rate; `None` for stages.
        rate: Option<Rate>,
        /// How long; `None` is without end.
        length_ns: Option<u64>,
    },
}

impl fmt::Display for ScheduleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NoStages => {
                write!(f, "there are no stages; give at least one, such as 0->10k:30s")
            }
            Self::EmptyStage { stage } => {
                write!(f, "stage {stage} has no length; give it a time above zero, or leave it out")
            }
            Self::TooFast { stage, rate } => {
                if let Some(stage) = stage {
                    write!(f, "stage {stage}: ")?;
                }
                let rate = format_rate(rate);
                write!(f, "{rate} is too fast; times are whole nanoseconds, give at most 1G/s")
            }
            Self::TooFine { stage } => write!(
                f,
                "stage {stage} is too long for rates this fine to be added up exactly; give rates \
                 with fewer decimals, or shorter stages"
            ),
            Self::NothingDue { rate, length_ns } => nothing_due(f, rate, length_ns),
        }
    }
}

impl std::error::Error for ScheduleError {}

fn nothing_due(
    f: &mut fmt::Formatter<'_>,
    rate: Option<Rate>,
    length_ns: Option<u64>,
) -> fmt::Result {
    write!(f, "no request would become due")?;
    if let Some(length_ns) = length_ns {
        write!(f, " in {}", format_duration_ns(length_ns))?;
    }
    match rate {
        Some(rate) if !rate.is_zero() => {
            let each_ns = rate.per_ns().div_ceil(rate.count());
            let each = format_duration_ns(each_ns);
            write!(f, ": at {}, one takes {each}; ", format_rate(rate))?;
            write!(f, "give a longer duration or a higher rate")
        }
        Some(_) => write!(f, " at a rate of zero; give a rate above it"),
        None => write!(
            f,
            ": all stages together ask for less than one; give longer stages or higher rates"
        ),
    }
}
