//! Looking at the data several times without finding what is not there.
//!
//! The idea (Lan and DeMets, Biometrika 70, 1983): the chance of a false finding is a budget that
//! is spent look by look, how much by when being fixed before; how far out a look must find the
//! data follows from what the looks before it left, by integrating over the paths that went on
//! (Armitage, McPherson and Rowe, J. R. Statist. Soc. A 132, 1969).

use super::distributions::{normal_critical, normal_tail};

/// Points of the density that is carried from look to look; odd, for Simpson's rule.
const NODES: usize = 301;
/// Beyond so many standard deviations nothing is carried.
const REACH: f64 = 8.0;

/// What may be spent of `alpha`, two-sided, by the fraction `information` (0 to 1) of the planned
/// units: Lan and DeMets' function that is like O'Brien and Fleming's bounds, sparing at first.
pub fn obrien_fleming(information: f64, alpha: f64) -> f64 {
    if information <= 0.0 {
        return 0.0;
    }
    (4.0 * normal_tail(normal_critical(alpha / 4.0) / information.min(1.0).sqrt())).min(alpha)
}

/// The bounds of a sequence of looks, made one at a time.
#[derive(Clone, Debug)]
pub struct Boundary {
    information: f64,
    spent: f64,
    /// Where the sum of all units stands if it crossed no bound yet: places and probabilities.
    paths: Vec<(f64, f64)>,
}

impl Default for Boundary {
    fn default() -> Self {
        Self { information: 0.0, spent: 0.0, paths: vec![(0.0, 1.0)] }
    }
}

impl Boundary {
    /// How many standard errors from zero, to either side, a look must find the data, when there are
    /// `information` units (any unit; more than at the look before) and `spent` may have been spent
    /// in total after it. Infinite when nothing is left to spend.
    pub fn look(&mut self, information: f64, spent: f64) -> f64 {
        let step = information - self.information;
        if step <= 0.0 {
            return f64::INFINITY;
        }
        let (deviation, budget) = (step.sqrt(), spent - self.spent);
        let crossed = |bound: f64| -> f64 {
            let beyond = |place: f64| {
                normal_tail((bound - place) / deviation) + normal_tail((bound + place) / deviation)
            };
            self.paths.iter().map(|&(place, share)| share * beyond(place)).sum()
        };
        let (mut low, mut high) = (0.0, 40.0 * information.sqrt());
        let bound = if budget <= 0.0 {
            f64::INFINITY
        } else {
            for _ in 0..50 {
                let middle = f64::midpoint(low, high);
                if crossed(middle) > budget { low = middle } else { high = middle }
            }
            f64::midpoint(low, high)
        };
        self.go_on(bound.min(REACH * information.sqrt()), deviation);
        self.information = information;
        self.spent = self.spent.max(spent);
        bound / information.sqrt()
    }

    /// The paths that stay within `reach` after a step of the given deviation.
    fn go_on(&mut self, reach: f64, deviation: f64) {
        let width = 2.0 * reach / (NODES - 1) as f64;
        let scale = 1.0 / (deviation * (2.0 * std::f64::consts::PI).sqrt());
        self.paths = (0..NODES)
            .map(|node| {
                let place = width * node as f64 - reach;
                let density: f64 = self
                    .paths
                    .iter()
                    .map(|&(from, share)| {
                        let away = (place - from) / deviation;
                        share * (-0.5 * away * away).exp()
                    })
                    .sum();
                let simpson = match node {
                    0 => 1.0,
                    _ if node == NODES - 1 => 1.0,
                    _ if node % 2 == 1 => 4.0,
                    _ => 2.0,
                };
                (place, density * scale * simpson * width / 3.0)
            })
            .collect();
    }
}
