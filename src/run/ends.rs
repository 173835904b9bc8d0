//! When each worker was done with its part of a number of requests.

use crate::units::format_duration_ns;

/// Workers that end further apart than this share of the window are told of.
const APART_SHARE: f64 = 0.05;
/// But not when a few answers more or less make the difference: so many medians are never told of.
const APART_MEDIANS: u64 = 4;

/// That the window's end waited for the slowest worker, which makes `Requests/sec` less than what the
/// target answered while all were at work; `None` where they ended together. `ends_ns` are those of
/// the workers that had a part of the requests.
pub(super) fn apart(ends_ns: &[u64], window_ns: u64, median_ns: u64) -> Option<String> {
    let apart_ns = ends_ns.iter().max()? - ends_ns.iter().min()?;
    let is_long = apart_ns as f64 > window_ns as f64 * APART_SHARE;
    (is_long && apart_ns > median_ns.saturating_mul(APART_MEDIANS)).then(|| {
        format!(
            "the first worker had done its part of the requests {} before the last one, for which \
             the window's end waited; with -t 1 all connections share all requests",
            format_duration_ns(apart_ns)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_workers_that_end_far_apart_are_told_of() {
        let told = |ends: &[u64], median_ns| apart(ends, 1_000_000_000, median_ns);
        let slow = told(&[600_000_000, 1_000_000_000], 1_000).unwrap();
        assert!(slow.contains("400 ms before the last"), "{slow}");
        assert_eq!(told(&[960_000_000, 1_000_000_000], 1_000), None);
        assert_eq!(told(&[600_000_000, 1_000_000_000], 100_000_000), None);
        assert_eq!(told(&[1_000_000_000], 1_000), None);
        assert_eq!(told(&[], 0), None);
    }
}
