//! Whether pairs differ at all, by their ranks alone: no outlier moves it.

use super::distributions::normal_tail;

/// Up to so many pairs the distribution is worked out, beyond them it is as good as normal.
const EXACT_MAX: usize = 60;

/// The two-sided p-value of the signed-rank test (Wilcoxon, Biometrics Bulletin 1, 1945) that
/// `differences` lie symmetrically around zero. Differences of zero are left out, ties share the mean
/// of their ranks, rounded down in sum: no smaller p-value than the ranks deserve.
pub fn signed_rank(differences: &[f64]) -> f64 {
    let mut sorted: Vec<f64> =
        differences.iter().copied().filter(|d| *d != 0.0 && d.is_finite()).collect();
    sorted.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let count = sorted.len();
    let total = (count * (count + 1) / 2) as f64;
    let (mut positive, mut from) = (0.0, 0);
    while from < count {
        let alike = sorted[from..].iter().take_while(|d| d.abs() == sorted[from].abs()).count();
        let rank = (2 * from + alike + 1) as f64 / 2.0;
        let above = sorted[from..from + alike].iter().filter(|d| **d > 0.0).count();
        positive += rank * above as f64;
        from += alike;
    }
    let larger = positive.max(total - positive).floor();
    let tail = if count <= EXACT_MAX {
        exact_tail(count, larger as usize)
    } else {
        let variance = total * (2 * count + 1) as f64 / 12.0;
        normal_tail((larger - 0.5 - total / 2.0) / variance.sqrt())
    };
    (2.0 * tail).min(1.0)
}

/// P(sum of the ranks that a fair coin chose among 1 to `count` >= `sum`).
fn exact_tail(count: usize, sum: usize) -> f64 {
    let mut shares = vec![0.0; count * (count + 1) / 2 + 1];
    shares[0] = 1.0;
    for rank in 1..=count {
        for place in (0..shares.len()).rev() {
            let with = if place >= rank { shares[place - rank] } else { 0.0 };
            shares[place] = 0.5 * (shares[place] + with);
        }
    }
    shares[sum.min(shares.len())..].iter().sum()
}
