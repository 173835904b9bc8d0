//! What a rate must meet: the claims of an objective, in the form that evidence can be had on.

use std::fmt;

use crate::result::threshold::{Aim, Threshold};

/// Growth of the backlog that is no failure, as a share of the requests that became due: a target
/// that falls behind by more fails, whatever else is asked.
const GROWTH_ALLOWED: f64 = 0.002;
/// Requests that must be able to miss a claim, on average, for none or few of them to mean something.
const REQUESTS_PER_ALLOWED: f64 = 7.0;
/// The same of failures, where none in so many is what there is to see: then the share is below what
/// is allowed with 97.5 % certainty (the rule of three: Hanley and Lippman-Hand, "If nothing goes
/// wrong, is everything all right?", JAMA 249, 1983; at that certainty it is one of 3.7).
const REQUESTS_PER_ALLOWED_FAILED: f64 = 4.0;
/// Below this share nothing could ever be shown to hold.
const ALLOWED_MIN: f64 = 1e-7;

/// One claim about the requests of a rate.
#[derive(Clone, Debug, PartialEq)]
pub enum Claim {
    /// A share of the requests: see `Threshold::aim`.
    Share(Threshold, Aim),
    /// Something that a trial as a whole meets or misses.
    Whole(Threshold),
    /// What waits for its answer does not grow for ever.
    Steady,
}

impl Claim {
    /// What a threshold claims.
    pub fn of(threshold: Threshold) -> Self {
        match threshold.aim() {
            // However many requests do not fail, they never prove that none does, so it is asked of
            // each trial as a whole.
            Some(Aim::Failed { allowed: 0.0 }) | None => Self::Whole(threshold),
            Some(aim) => Self::Share(threshold, aim),
        }
    }

    /// The share of the requests, or of the trials, that may miss it.
    pub fn allowed(&self) -> f64 {
        match self {
            Self::Share(_, Aim::Slower { allowed, .. } | Aim::Failed { allowed }) => {
                allowed.max(ALLOWED_MIN)
            }
            Self::Whole(_) => 0.5,
            Self::Steady => GROWTH_ALLOWED,
        }
    }

    /// How many requests it takes, at a guess, before anything can be said of it.
    pub fn requests_least(&self) -> f64 {
        match self {
            Self::Share(_, Aim::Slower { .. }) => REQUESTS_PER_ALLOWED / self.allowed(),
            Self::Share(_, Aim::Failed { .. }) => REQUESTS_PER_ALLOWED_FAILED / self.allowed(),
            Self::Whole(_) | Self::Steady => 0.0,
        }
    }

    /// The latency whose exceedances are to be counted, in nanoseconds.
    pub fn limit_ns(&self) -> Option<u64> {
        match self {
            Self::Share(_, Aim::Slower { limit_ns, .. }) => Some(*limit_ns),
            _ => None,
        }
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Share(threshold, _) | Self::Whole(threshold) => threshold.fmt(f),
            Self::Steady => f.write_str("no growing backlog"),
        }
    }
}
