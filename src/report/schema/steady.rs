//! How a warm-up went that was to end by itself.

use serde::{Deserialize, Serialize};

/// A warm-up that was to end when the target is steady.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct WarmedUp {
    /// How long it lasted; until the run was stopped where that came first.
    pub length_ns: u64,
    /// Since when, counted from its start, the series was steady; null if it was not when the time was
    /// up.
    pub steady_from_ns: Option<u64>,
}
