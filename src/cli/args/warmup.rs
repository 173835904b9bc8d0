//! How long the warm-up lasts.

use super::duration;

/// Longest warm-up that is to end by itself, in nanoseconds.
pub const AUTO_NS_MAX: u64 = 60_000_000_000;

/// What `--warmup` says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Warmup {
    /// So many nanoseconds.
    For(u64),
    /// Until the target is steady.
    Auto,
}

impl Warmup {
    /// How long it lasts at most, in nanoseconds.
    pub fn longest_ns(self) -> u64 {
        match self {
            Self::For(ns) => ns,
            Self::Auto => AUTO_NS_MAX,
        }
    }
}

pub(super) fn warmup(text: &str) -> Result<Warmup, String> {
    if text == "auto" {
        return Ok(Warmup::Auto);
    }
    duration(text).map(Warmup::For).map_err(|error| format!("{error}, or auto"))
}
