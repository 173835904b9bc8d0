//! Normal and Student tails and their inverses, to ten digits and far out.
//!
//! Tails, not distribution functions: 1 - p loses the digits that early looks at the data need.

use std::f64::consts::{PI, SQRT_2};

/// P(Z > z) of the standard normal distribution. Series and continued fraction of the error
/// function: Abramowitz and Stegun, 7.1.6 and 7.1.14.
pub fn normal_tail(z: f64) -> f64 {
    let x = z.abs() / SQRT_2;
    let upper = if x < 3.0 {
        let (mut term, mut sum, mut odd) = (x, x, 1.0);
        while term > sum * 1e-17 {
            odd += 2.0;
            term *= 2.0 * x * x / odd;
            sum += term;
        }
        0.5 - sum * (-x * x).exp() / PI.sqrt()
    } else {
        // From the inside out; 40 levels are exact to double precision from 3 on.
        let fraction = (1..=40).rev().fold(x, |below, k| x + f64::from(k) / 2.0 / below);
        0.5 * (-x * x).exp() / (PI.sqrt() * fraction)
    };
    if z < 0.0 { 1.0 - upper } else { upper }
}

/// The z with P(Z > z) = `tail`; infinite for a tail of 0.
pub fn normal_critical(tail: f64) -> f64 {
    critical(tail, normal_tail)
}

/// P(T > t) of Student's distribution with `degrees` degrees of freedom, by the incomplete beta
/// function: Abramowitz and Stegun, 26.7.1 and 26.5.8.
pub fn student_tail(t: f64, degrees: f64) -> f64 {
    let upper = 0.5 * incomplete_beta(degrees / 2.0, 0.5, degrees / (degrees + t * t));
    if t < 0.0 { 1.0 - upper } else { upper }
}

/// The t with P(T > t) = `tail`; infinite for a tail of 0.
pub fn student_critical(tail: f64, degrees: f64) -> f64 {
    critical(tail, |t| student_tail(t, degrees))
}

/// Where a falling tail reaches `wanted`, found by halving.
fn critical(wanted: f64, tail: impl Fn(f64) -> f64) -> f64 {
    if wanted <= 0.0 {
        return f64::INFINITY;
    }
    if wanted > 0.5 {
        return -critical(1.0 - wanted, tail);
    }
    let (mut low, mut high) = (0.0, 1.0);
    while tail(high) > wanted && high < 1e300 {
        (low, high) = (high, high * 2.0);
    }
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if tail(middle) > wanted { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

/// The regularised incomplete beta function, by its continued fraction (modified Lentz method:
/// Press et al., Numerical Recipes, section 6.4).
fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    let log_front = ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (-x).ln_1p();
    // The fraction converges fast on this side of the mean only.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - log_front.exp() * beta_fraction(b, a, 1.0 - x) / b;
    }
    log_front.exp() * beta_fraction(a, b, x) / a
}

fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let safe = |value: f64| if value.abs() < TINY { TINY } else { value };
    let (mut c, mut d) = (1.0, 1.0 / safe(1.0 - (a + b) * x / (a + 1.0)));
    let mut fraction = d;
    for m in (1..500).map(f64::from) {
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut step = 1.0;
        for term in [even, odd] {
            d = 1.0 / safe(1.0 + term * d);
            c = safe(1.0 + term / c);
            step = c * d;
            fraction *= step;
        }
        if (step - 1.0).abs() < 1e-15 {
            break;
        }
    }
    fraction
}

/// The logarithm of the gamma function for positive arguments (Lanczos, 9 terms, g = 7).
fn ln_gamma(x: f64) -> f64 {
    const FIRST: f64 = 0.999_999_999_999_809_9;
    const REST: [f64; 8] = [
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    if x < 0.5 {
        return (PI / (PI * x).sin()).ln() - ln_gamma(1.0 - x);
    }
    let x = x - 1.0;
    let sum = (1..).zip(REST).fold(FIRST, |sum, (k, c)| sum + c / (x + f64::from(k)));
    let t = x + 7.5;
    0.5 * (2.0 * PI).ln() + (x + 0.5) * t.ln() - t + sum.ln()
}
