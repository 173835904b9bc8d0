//! Latency against rate, and where it bends.

/// A rate and what its requests took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CurvePoint {
    /// The rate, in requests per second.
    pub rate_per_s: f64,
    /// The latency that is looked at, in nanoseconds.
    pub latency_ns: u64,
}

/// Fewer points have no shape.
const POINTS_MIN: usize = 5;
/// Of the height: a smaller distance is no bend.
const DISTANCE_MIN: f64 = 0.05;

/// Where the curve bends most: the point farthest below the straight line from its first to its last,
/// both axes scaled to their range ("Kneedle": Satopää, Albrecht, Irwin and Raghavan, "Finding a
/// 'kneedle' in a haystack", ICDCS workshops 2011). A heuristic: it depends on where the curve ends.
/// `None` of a curve that is too short or does not bend upwards. The points must be sorted by rate.
pub fn knee(points: &[CurvePoint]) -> Option<CurvePoint> {
    let (first, last) = (points.first()?, points.last()?);
    let width = last.rate_per_s - first.rate_per_s;
    let height = last.latency_ns as f64 - first.latency_ns as f64;
    if points.len() < POINTS_MIN || width <= 0.0 || height <= 0.0 {
        return None;
    }
    let distance = |point: &CurvePoint| {
        let along = (point.rate_per_s - first.rate_per_s) / width;
        along - (point.latency_ns as f64 - first.latency_ns as f64) / height
    };
    let farthest = points.iter().max_by(|a, b| distance(a).total_cmp(&distance(b)))?;
    (distance(farthest) > DISTANCE_MIN).then_some(*farthest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(of: impl Fn(f64) -> f64) -> Vec<CurvePoint> {
        let load = |step: u32| f64::from(step) / 20.0;
        (1..20)
            .map(|step| CurvePoint {
                rate_per_s: 1000.0 * load(step),
                latency_ns: of(load(step)) as u64,
            })
            .collect()
    }

    #[test]
    fn a_queue_bends_where_waiting_begins_to_grow_and_a_line_nowhere() {
        let queue = curve(|load| 1e6 / (1.0 - load));
        let knee_of_queue = knee(&queue).unwrap();
        // Where the slope of 1/(1-load) is that of the line between 0.05 and 0.95.
        assert!((750.0..=800.0).contains(&knee_of_queue.rate_per_s), "{knee_of_queue:?}");
        assert_eq!(knee(&curve(|load| 1e6 * load)), None);
        assert_eq!(knee(&curve(|load| 1e6 * (2.0 - load))), None);
        assert_eq!(knee(&queue[..4]), None);
        assert_eq!(knee(&[]), None);
    }
}
