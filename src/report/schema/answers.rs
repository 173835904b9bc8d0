//! The part of a comparison or a search that says which answers came.

use std::collections::BTreeMap;

use serde::Serialize;

/// The answers of several runs, and what became of the requests without one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answers {
    /// All answers.
    pub completed: u64,
    /// Those outside 2xx and 3xx.
    pub outside_2xx_3xx: u64,
    /// Answers by class of their status, such as `5xx`; classes that came.
    pub classes: BTreeMap<String, u64>,
    /// Requests that failed, by cause; causes that came.
    pub failed: BTreeMap<String, u64>,
    /// Answers that failed a check, by the kind of check: `status`, `body_bytes`, `body_hash`; checks
    /// that were asked for.
    pub failed_checks: BTreeMap<String, u64>,
}
