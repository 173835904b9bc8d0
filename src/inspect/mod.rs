//! What answers are checked for beside HTTP's own rules, and what was found.
//!
//! Owns the checks of a run, the hash of a body, the tables of distinct bodies and of the values
//! of one header field, and their counts. Knows neither connections nor codecs nor other workers:
//! it is shown heads and bodies as they pass, and told when an answer is complete.
//!
//! The idea: a check that fails is a finding and no failure of the request. Workers agree on
//! nothing while they run. Each counts how often it met each body and each value, in tables of
//! fixed size; what the first body of the whole run was, and how many differ from it, follows when
//! the counts are merged. Whether a status is an expected one follows from the counts by status
//! and costs nothing.
//!
//! Allocates in `Inspector::new` alone.

mod bodies;
mod groups;
mod inspector;
#[cfg(test)]
mod tests;

use crate::outcome::Cause;
use crate::units::StatusSet;

pub use bodies::{Bodies, BodyCount};
pub use groups::{GroupCount, Groups};
pub use inspector::{Body, Inspector};

/// Counts are kept apart by the phase of the run they belong to; so many phases there are.
pub const PHASES: usize = 4;

/// One count for each phase.
pub type Counts = [u64; PHASES];

/// What the answers of a run are to be checked for. The default asks for nothing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Checks {
    /// Statuses that pass.
    pub statuses: Option<StatusSet>,
    /// Length of every body, in bytes without framing.
    pub body_bytes: Option<u64>,
    /// The hash of every body.
    pub body_hash: Option<Reference>,
    /// Field name whose values answers are counted by.
    pub group_by: Option<String>,
}

/// What the hash of every body is compared with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reference {
    /// The body of the first answer of the run.
    First,
    /// This hash.
    Given(u64),
}

/// One kind of check.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Check {
    /// The status is an expected one.
    Status,
    /// The body has the expected length.
    BodyBytes,
    /// The body is the expected one.
    BodyHash,
}

impl Cause for Check {
    const ALL: &'static [Self] = &[Self::Status, Self::BodyBytes, Self::BodyHash];

    fn index(self) -> usize {
        self as usize
    }

    fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::BodyBytes => "body_bytes",
            Self::BodyHash => "body_hash",
        }
    }
}

impl Checks {
    /// Whether this kind of check was asked for.
    pub fn has(&self, check: Check) -> bool {
        match check {
            Check::Status => self.statuses.is_some(),
            Check::BodyBytes => self.body_bytes.is_some(),
            Check::BodyHash => self.body_hash.is_some(),
        }
    }

    /// Whether any kind of check was asked for.
    pub fn has_any(&self) -> bool {
        Check::ALL.iter().any(|check| self.has(*check))
    }

    /// Whether every byte of every body must be looked at.
    pub fn needs_bodies(&self) -> bool {
        self.body_hash.is_some()
    }

    /// Whether answers must be shown to an `Inspector` at all.
    pub fn needs_inspector(&self) -> bool {
        self.body_bytes.is_some() || self.body_hash.is_some() || self.group_by.is_some()
    }
}

/// What was found, by one worker or by all together.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Findings {
    /// Answers whose body had not the expected length.
    pub body_bytes_failed: Counts,
    /// How often each body was met, for each target; empty when bodies are not compared.
    pub bodies: Vec<Bodies>,
    /// How often each value was met.
    pub groups: Option<Groups>,
}

impl Findings {
    /// Adds another worker's findings. The order of workers makes no difference but to the order of
    /// the lists, which `condense` settles.
    pub fn merge(&mut self, other: &Self) {
        add(&mut self.body_bytes_failed, &other.body_bytes_failed);
        if self.bodies.len() < other.bodies.len() {
            self.bodies.resize_with(other.bodies.len(), Bodies::default);
        }
        for (mine, theirs) in self.bodies.iter_mut().zip(&other.bodies) {
            mine.merge(theirs);
        }
        match (&mut self.groups, &other.groups) {
            (Some(mine), Some(theirs)) => mine.merge(theirs),
            (None, Some(theirs)) => self.groups = Some(theirs.clone()),
            (_, None) => {}
        }
    }

    /// Puts the lists in order, most frequent first, and keeps them to their bounds: what is beyond
    /// counts as other.
    pub fn condense(&mut self, checks: &Checks) {
        for bodies in &mut self.bodies {
            bodies.condense(checks.body_hash);
        }
        if let Some(groups) = &mut self.groups {
            groups.condense();
        }
    }

    /// Answers whose body is not the reference, over all targets.
    pub fn body_hash_failed(&self, reference: Reference) -> Counts {
        let mut failed = Counts::default();
        for bodies in &self.bodies {
            add(&mut failed, &bodies.differing(reference));
        }
        failed
    }
}

/// Adds `more` to `counts`, phase by phase. A stored result may claim anything, so nothing
/// overflows.
fn add(counts: &mut Counts, more: &Counts) {
    for (count, more) in counts.iter_mut().zip(more) {
        *count = count.saturating_add(*more);
    }
}

/// Sum over all phases.
pub fn total(counts: &Counts) -> u64 {
    counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
}
