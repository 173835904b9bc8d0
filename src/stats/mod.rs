//! Intervals and tests over runs and blocks of runs.
//!
//! Owns the methods, each with its source. Knows nothing of where the numbers came from. The idea:
//! requests within a run depend on each other, so the unit is a run, a block or a process, and units
//! are few; what is said of few units must hold for few units, which the tests measure.

mod bootstrap;
mod distributions;
mod ranks;
mod spending;
mod steady;

pub use bootstrap::{Estimate, RESAMPLES, Units, estimate};
pub use distributions::{normal_critical, normal_tail, student_critical, student_tail};
pub use ranks::signed_rank;
pub use spending::{Boundary, obrien_fleming};
pub use steady::{Drift, drift, steady_since};

/// How many units it takes until an interval reaches no further than `gap` to either side, with
/// probability 0.8, when units scatter by `deviation` and the interval takes `critical` standard
/// errors. The textbook formula for the mean of normal values: ((z + z_0.2) sd / gap)^2.
pub fn units_needed(deviation: f64, gap: f64, critical: f64) -> u64 {
    const POWER_CRITICAL: f64 = 0.841_621_233_572_914_3;
    if gap <= 0.0 {
        return u64::MAX;
    }
    let errors = (critical + POWER_CRITICAL) * deviation / gap;
    (errors * errors).ceil() as u64
}

#[cfg(test)]
mod tests;
