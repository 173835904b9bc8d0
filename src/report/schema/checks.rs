//! The parts of a report that exist when answers were checked or a result was judged.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A count, by the phase in which the answers were complete.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ByPhase {
    /// In the warm-up.
    pub warmup: u64,
    /// In the window.
    pub window: u64,
    /// In the drain after it.
    pub drain: u64,
    /// All of them; derived.
    pub whole: u64,
}

/// What answers were checked for. A check that was not asked for is null.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checks {
    /// Statuses that pass, such as `200,3xx`.
    pub statuses: Option<String>,
    /// Length of every body.
    pub body_bytes: Option<u64>,
    /// That every body is the same.
    pub body_hash: Option<BodyHash>,
    /// Answers that failed, by the kind of check: `status`, `body_bytes`, `body_hash`.
    pub failed: BTreeMap<String, ByPhase>,
}

/// The comparison of bodies by XXH3 (64 bits, seed 0) as 16 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BodyHash {
    /// The hash that was asked for; null compares with the first answer of the run.
    pub asked: Option<String>,
    /// For each target, in the order they were given.
    pub targets: Vec<Bodies>,
}

/// The bodies of one target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bodies {
    /// The hash that bodies were compared with; null before the first answer; derived.
    pub reference: Option<String>,
    /// When the first answer was complete, on the run's clock; null before it.
    pub first_ns: Option<u64>,
    /// Its body's hash.
    pub first: Option<String>,
    /// The reference and the most frequent of the others.
    pub seen: Vec<Body>,
    /// Answers with other bodies.
    pub other: ByPhase,
}

/// One body.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Body {
    /// Its hash.
    pub hash: String,
    /// Answers with it.
    pub answers: ByPhase,
}

/// Answers counted by the value of a header.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Groups {
    /// The header's name as typed.
    pub header: String,
    /// The most frequent values.
    pub values: Vec<Group>,
    /// Answers without the header.
    pub without: ByPhase,
    /// Answers with other values.
    pub other: ByPhase,
}

/// One value of the header.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// The value; one that is longer than is told apart ends in `…`.
    pub value: String,
    /// Answers with it.
    pub answers: ByPhase,
}

/// One threshold and what came of it. Of the measured values those are there that it is about, and
/// none when it is not known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// The condition as typed, without blanks.
    pub condition: String,
    /// It follows from a check: no answer may fail it.
    pub implied: bool,
    /// Whether it holds; derived.
    pub passed: bool,
    /// What was measured, or why that is not known, in words; derived.
    pub text: String,
    /// A time; derived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured_ns: Option<u64>,
    /// That time is known from below alone; derived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<bool>,
    /// A count, or the part of a share; derived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<u64>,
    /// The whole of a share; derived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured_of: Option<u64>,
    /// A rate of requests or bytes; derived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured_per_s: Option<f64>,
}
