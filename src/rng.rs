//! One small seeded generator, for jitter, for the simulation and for tests.
//!
//! SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014):
//! 64 bits of state, every seed good, the whole period 2^64. Not for secrets.

/// A stream of pseudo-random numbers, the same for the same seed on every machine.
#[derive(Clone, Debug)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// A stream that depends on `seed` alone.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 uniformly distributed bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..bound`; 0 when `bound` is 0. The bias is below `bound / 2^64`.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// True with the given probability in parts per million.
    pub fn chance_ppm(&mut self, ppm: u32) -> bool {
        self.below(1_000_000) < u64::from(ppm)
    }

    /// An exponentially distributed number with the given mean, rounded; never above 37 times the
    /// mean, since 53 bits are drawn.
    pub fn exponential(&mut self, mean: u64) -> u64 {
        // From (0, 1], so that the logarithm is finite.
        let uniform = ((self.next_u64() >> 11) + 1) as f64 / (1u64 << 53) as f64;
        (-uniform.ln() * mean as f64).round() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_the_published_one() {
        // First outputs for seed 0, as printed by the authors' reference code.
        let mut rng = Rng::new(0);
        assert_eq!(rng.next_u64(), 0xe220_a839_7b1d_cdaf);
        assert_eq!(rng.next_u64(), 0x6e78_9e6a_a1b9_65f4);
    }

    #[test]
    fn below_stays_below_and_reaches_both_ends() {
        let mut rng = Rng::new(7);
        let mut seen = [false; 5];
        for _ in 0..1000 {
            seen[rng.below(5) as usize] = true;
        }
        assert_eq!(seen, [true; 5]);
        assert_eq!(rng.below(0), 0);
        assert_eq!(rng.below(1), 0);
    }

    #[test]
    fn exponential_numbers_have_the_mean_and_the_tail_of_their_law() {
        const MEAN: u64 = 1_000_000;
        const DRAWS: usize = 100_000;
        let mut rng = Rng::new(1);
        let drawn: Vec<u64> = (0..DRAWS).map(|_| rng.exponential(MEAN)).collect();
        let near = |seen: f64, expected: f64, sigma: f64| {
            assert!(
                (seen - expected).abs() < 5.0 * sigma,
                "{seen}, expected {expected} +- {sigma}"
            );
        };
        let root = (DRAWS as f64).sqrt();
        // The standard deviation of the law is its mean.
        let mean = drawn.iter().sum::<u64>() as f64 / DRAWS as f64;
        near(mean, MEAN as f64, MEAN as f64 / root);
        for multiple in 1..=5u64 {
            let share = (-(multiple as f64)).exp();
            let seen = drawn.iter().filter(|&&x| x > multiple * MEAN).count() as f64;
            near(seen / DRAWS as f64, share, (share * (1.0 - share)).sqrt() / root);
        }
        assert_eq!(rng.exponential(0), 0);
        assert!((0..1000).all(|_| rng.exponential(1 << 58) <= 37 << 58));
    }
}
