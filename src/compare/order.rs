//! Who runs first, and when both have warmed up.

use crate::rng::Rng;

/// The order within pairs: at random, and every second pair the mirror of the one before it (ABBA or
/// BAAB), so that a steady drift adds nothing to the sum of two pairs.
#[derive(Clone, Debug)]
pub struct Order {
    rng: Rng,
    mirrored: Option<bool>,
}

impl Order {
    /// An order that depends on `seed` alone.
    pub fn new(seed: u64) -> Self {
        Self { rng: Rng::new(seed), mirrored: None }
    }

    /// Whether the reference runs first in the next pair.
    pub fn reference_first(&mut self) -> bool {
        if let Some(first) = self.mirrored.take() {
            return first;
        }
        let first = self.rng.chance_ppm(500_000);
        self.mirrored = Some(!first);
        first
    }
}

/// Blocks that are looked at for steadiness.
const STEADY_BLOCKS: usize = 6;
/// A drift below this share is none.
const STEADY_SHARE: f64 = 0.01;

/// Whether a side has warmed up, by the logarithms of its latest blocks' metric: the later half lies
/// within two standard errors, or one percent, of the earlier half.
pub fn is_steady(values: &[f64]) -> bool {
    let Some(from) = values.len().checked_sub(STEADY_BLOCKS) else { return false };
    let (earlier, later) = values[from..].split_at(STEADY_BLOCKS / 2);
    let mean = |half: &[f64]| half.iter().sum::<f64>() / half.len() as f64;
    let error_squared = |half: &[f64]| -> f64 {
        let centre = mean(half);
        let squares: f64 = half.iter().map(|value| (value - centre) * (value - centre)).sum();
        squares / (half.len() as f64 - 1.0) / half.len() as f64
    };
    let drift = (mean(later) - mean(earlier)).abs();
    drift <= STEADY_SHARE || drift <= 2.0 * (error_squared(earlier) + error_squared(later)).sqrt()
}
