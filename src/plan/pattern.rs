//! In which order several targets take their turns.
//!
//! The idea: of the first `n` requests every target has its weighted share to within one, for any
//! `n`, and after a whole cycle exactly. That is the chairman assignment problem; the order is the one
//! of R. Tijdeman (Discrete Mathematics 32, 1980, 323–330): with `k` targets no share is ever off by
//! more than `1 - 1/(2k - 2)`. Each turn of a target has a first and a last place it may take, and of
//! the turns that may be taken the one with the earliest last place is.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::limits;

/// The cycle has more places than can be laid out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PatternTooLong {
    /// How many it would have.
    pub places: u64,
}

/// The cycle for these weights: which target takes which place. A weight of zero never has a turn.
///
/// As long as the weights' sum over their greatest common divisor, at most
/// `limits::PATTERN_PLACES_MAX`.
pub(super) fn pattern(weights: &[u32]) -> Result<Vec<u32>, PatternTooLong> {
    let divisor = weights.iter().fold(0, |divisor, &weight| gcd(divisor, u64::from(weight)));
    let parts = |weight: u32| u64::from(weight) / divisor.max(1);
    let places: u64 = weights.iter().map(|&weight| parts(weight)).sum();
    if places > limits::PATTERN_PLACES_MAX {
        return Err(PatternTooLong { places });
    }
    let turns = Turns { slack: (2 * weights.len() as u64).saturating_sub(2).max(1), places };
    // The next turn of each target, by its first place, and those that may be taken, by their last.
    let mut coming = BinaryHeap::with_capacity(weights.len());
    let mut ready = BinaryHeap::with_capacity(weights.len());
    let mut taken = vec![0_u64; weights.len()];
    for (target, &weight) in weights.iter().enumerate().filter(|(_, weight)| **weight > 0) {
        coming.push(Reverse((turns.first(0, parts(weight)), target)));
    }
    let mut order = Vec::with_capacity(places as usize);
    for place in 1..=places {
        while let Some(&Reverse((first, target))) = coming.peek()
            && (first <= place || ready.is_empty())
        {
            coming.pop();
            let last = turns.last(taken[target], parts(weights[target]));
            ready.push(Reverse((last, target)));
        }
        let Some(Reverse((_, target))) = ready.pop() else { break };
        order.push(target as u32);
        taken[target] += 1;
        coming.push(Reverse((turns.first(taken[target], parts(weights[target])), target)));
    }
    Ok(order)
}

/// The places that a target's turns may take, counted from 1. Turns count from 0.
struct Turns {
    /// A share may be ahead or behind by `1 - 1/slack`.
    slack: u64,
    places: u64,
}

impl Turns {
    /// The first place at which turn `turn` leaves its target not too far ahead.
    fn first(&self, turn: u64, weight: u64) -> u64 {
        ((turn * self.slack + 1) * self.places).div_ceil(self.slack * weight)
    }

    /// The last place at which it leaves its target not too far behind.
    fn last(&self, turn: u64, weight: u64) -> u64 {
        ((turn + 1) * self.slack - 1) * self.places / (self.slack * weight) + 1
    }
}

/// Greatest common divisor (Euclid); `gcd(0, b)` is `b`.
pub(super) fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn letters(weights: &[u32]) -> String {
        let letter = |target: u32| char::from(b'A' + target as u8);
        pattern(weights).unwrap().into_iter().map(letter).collect()
    }

    /// Every prefix has every share to within one, and the whole exactly.
    fn check(weights: &[u32]) {
        let order = pattern(weights).unwrap();
        let sum: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
        let mut taken = vec![0_u64; weights.len()];
        for (n, &target) in (1_u64..).zip(&order) {
            taken[target as usize] += 1;
            for (target, &weight) in weights.iter().enumerate() {
                let off = (taken[target] * sum).abs_diff(n * u64::from(weight));
                assert!(off < sum, "{weights:?}: target {target} after {n}: {}", taken[target]);
            }
        }
        for (target, &weight) in weights.iter().enumerate() {
            assert_eq!(taken[target] * sum, order.len() as u64 * u64::from(weight), "{weights:?}");
        }
    }

    #[test]
    fn turns_are_spread_not_bunched() {
        for (weights, order) in [
            (&[1][..], "A"),
            (&[7], "A"),
            (&[1, 1], "AB"),
            (&[2, 1], "ABA"),
            (&[30, 10], "AABA"),
            (&[5, 1, 1], "AABAACA"),
            (&[1, 1, 1, 1], "ABCD"),
        ] {
            assert_eq!(letters(weights), order, "{weights:?}");
        }
    }

    #[test]
    fn extreme_weights_keep_their_shares() {
        check(&[999, 1]);
        check(&[1, 999, 7]);
        check(&[100_000, 1, 1, 1, 3]);
        check(&(1..=60).collect::<Vec<_>>());
        check(&vec![1; 500]);
    }

    #[test]
    fn a_cycle_that_is_too_long_is_refused() {
        let refused = pattern(&[1_000_003, 999_983]);
        assert_eq!(refused, Err(PatternTooLong { places: 1_999_986 }));
        assert!(pattern(&[1_000_000, 500_000]).unwrap().len() == 3);
    }

    proptest! {
        #[test]
        fn of_any_first_n_every_target_has_its_share_to_within_one(
            weights in proptest::collection::vec(1_u32..200, 1..40)
        ) {
            check(&weights);
        }
    }
}
