//! How the rate runs over time, and with it when each request is due.
//!
//! A constant rate has the closed form `t = ceil(k * per_ns / count)`, good for any time; anything
//! else is a list of stages.

use super::ScheduleError;
use super::stages::{Stage, Stages};
use crate::units::Rate;

/// The rate over time, from the schedule's start at 0 on; rates are at most one request every
/// nanosecond, and at least one request is due.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Profile {
    pub(super) shape: Shape,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Shape {
    Constant { rate: Rate, end: Option<End> },
    Stages(Stages),
}

/// Where a constant rate ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct End {
    pub(super) length_ns: u64,
    /// floor(rate * length).
    pub(super) total: u64,
}

impl Profile {
    /// The same rate all the time, for `length_ns` nanoseconds or without end.
    ///
    /// Errors: a zero rate, a rate above one per nanosecond, or less than one request in all.
    pub fn constant(rate: Rate, length_ns: Option<u64>) -> Result<Self, ScheduleError> {
        if rate.count() > rate.per_ns() {
            return Err(ScheduleError::TooFast { stage: None, rate });
        }
        let end = length_ns.map(|length_ns| {
            let total =
                u128::from(rate.count()) * u128::from(length_ns) / u128::from(rate.per_ns());
            // At most one request a nanosecond: the total is at most the length.
            End { length_ns, total: total as u64 }
        });
        if rate.is_zero() || end.is_some_and(|end| end.total == 0) {
            return Err(ScheduleError::NothingDue { rate: Some(rate), length_ns });
        }
        Ok(Self { shape: Shape::Constant { rate, end } })
    }

    /// One stage after another. Nothing needs to fit at the seams: a jump is a step of the rate.
    ///
    /// Errors: no stage, a stage without length, a rate above one per nanosecond, less than one
    /// request in all, or rates of which the exact integral does not fit in 128 bits.
    pub fn stages(stages: Vec<Stage>) -> Result<Self, ScheduleError> {
        Ok(Self { shape: Shape::Stages(Stages::new(&stages)?) })
    }

    /// Where the schedule ends, in nanoseconds from its start; `None` is never.
    pub fn length_ns(&self) -> Option<u64> {
        match &self.shape {
            Shape::Constant { end, .. } => end.map(|end| end.length_ns),
            Shape::Stages(stages) => Some(stages.length_ns()),
        }
    }

    /// How many requests are due in all: the integral of the rate, rounded down; `None` without
    /// end.
    pub fn total(&self) -> Option<u64> {
        match &self.shape {
            Shape::Constant { end, .. } => end.map(|end| end.total),
            Shape::Stages(stages) => Some(stages.total()),
        }
    }

    /// When request `index` is due, in whole nanoseconds, rounded up: never early, and less than
    /// one late. Always before `length_ns`. `None` from `total` on (and after 584 years).
    ///
    /// It is the moment at which the integral of the rate goes beyond `index`. A request that would
    /// fall exactly on the beginning of a pause is therefore the first one after the pause, as the
    /// first request of all waits for the first moment of non-zero rate: a stage that asks for `n`
    /// requests has exactly `n`, and what falls on the end of the schedule is not due.
    pub fn time_ns(&self, index: u64) -> Option<u64> {
        match &self.shape {
            Shape::Constant { rate, end } => {
                if end.is_some_and(|end| index >= end.total) {
                    return None;
                }
                // Before the end even when rounded up: index + 1 <= rate * length, and a request
                // takes at least a nanosecond, so index / rate <= length - 1.
                let scaled = u128::from(index) * u128::from(rate.per_ns());
                u64::try_from(scaled.div_ceil(u128::from(rate.count()))).ok()
            }
            Shape::Stages(stages) => stages.time_ns(index),
        }
    }

    /// The rate at a moment, in requests per second; on a seam that of the stage that begins, 0
    /// from the end on. For showing: schedules are not computed from it.
    pub fn rate_per_s_at(&self, t_ns: u64) -> f64 {
        match &self.shape {
            Shape::Constant { end: Some(end), .. } if t_ns >= end.length_ns => 0.0,
            Shape::Constant { rate, .. } => rate.per_s(),
            Shape::Stages(stages) => stages.rate_per_s_at(t_ns),
        }
    }

    /// The highest rate of all.
    pub fn rate_max(&self) -> Rate {
        match &self.shape {
            Shape::Constant { rate, .. } => *rate,
            Shape::Stages(stages) => stages.rate_max(),
        }
    }

    /// The rate at the start, possibly zero.
    pub fn rate_start(&self) -> Rate {
        match &self.shape {
            Shape::Constant { rate, .. } => *rate,
            Shape::Stages(stages) => stages.rate_start(),
        }
    }

    /// Requests expected from the start to `t_ns`, not rounded to whole ones, for comparing
    /// arrivals with what was asked; exact to a float's 53 bits.
    pub fn integral(&self, t_ns: u64) -> f64 {
        match &self.shape {
            Shape::Constant { rate, end } => {
                let t_ns = end.map_or(t_ns, |end| t_ns.min(end.length_ns));
                let scaled = u128::from(rate.count()) * u128::from(t_ns);
                scaled as f64 / rate.per_ns() as f64
            }
            Shape::Stages(stages) => stages.integral(t_ns),
        }
    }
}
