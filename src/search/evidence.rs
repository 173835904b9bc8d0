//! Whether a share lies below or above what is allowed, by more than chance explains.
//!
//! The method of batch means (Law and Carson, "A sequential procedure for determining the length of
//! a steady-state simulation", Operations Research 27, 1979): requests that follow each other share
//! their fate, but long stretches of time hardly do, so the stretches' own spread says how far the
//! whole may be off. Few and long stretches are used, with Student's quantile for their number.
//!
//! Where next to nothing missed, there is no spread to go by, and ten late requests may be one event.
//! How many requests one event takes with it is then seen on those that came near: the variance of
//! their number over its mean (the index of dispersion), which is 1 when each is by itself.

/// What a short stretch of time had: of `total` requests, `bad` missed a claim.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Batch {
    /// Those that missed; for a backlog its growth, which may be negative.
    pub bad: f64,
    /// Those that came near to it: of a latency, half of the limit. At least `bad`.
    pub near: f64,
    /// All of them.
    pub total: f64,
}

/// What the evidence says of a claim.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Finding {
    /// It holds.
    Held,
    /// It fails.
    Failed,
    /// It cannot be told yet.
    Open,
}

/// Stretches that the batches are put together to.
const STRETCHES: usize = 12;
/// Fewer say nothing about their spread.
const STRETCHES_MIN: usize = 4;
/// One-sided 2.5 % of the normal distribution.
const Z: f64 = 1.96;

/// Judges batches in order of time against the `allowed` share, `0.0 < allowed < 1.0`; with the share
/// found.
pub fn judge(batches: &[Batch], allowed: f64) -> (f64, Finding) {
    let Some((share, margin)) = measure(batches, allowed) else {
        return (share_of(batches), Finding::Open);
    };
    let finding = if share + margin < allowed {
        Finding::Held
    } else if share - margin > allowed {
        Finding::Failed
    } else {
        Finding::Open
    };
    (share, finding)
}

/// How many times as much evidence it takes, at a guess, until `judge` decides: margins shrink with
/// the root of the time. 1 where nothing can be said yet.
pub(super) fn effort(batches: &[Batch], allowed: f64) -> f64 {
    let Some((share, margin)) = measure(batches, allowed) else { return 1.0 };
    (margin / (share - allowed).abs().max(f64::MIN_POSITIVE)).powi(2)
}

fn share_of(batches: &[Batch]) -> f64 {
    let total: f64 = batches.iter().map(|batch| batch.total).sum();
    let bad: f64 = batches.iter().map(|batch| batch.bad).sum();
    if total > 0.0 { bad / total } else { 0.0 }
}

/// The share that missed, and how far off it may be; `None` of too few batches.
fn measure(batches: &[Batch], allowed: f64) -> Option<(f64, f64)> {
    let sum = |pick: fn(&Batch) -> f64| batches.iter().map(pick).sum::<f64>();
    let (bad, total) = (sum(|b| b.bad), sum(|b| b.total));
    if total <= 0.0 {
        return None;
    }
    let share = bad / total;
    let near = sum(|b| b.near.max(0.0));
    let (bad_ss, near_ss) = squares(batches, share, near / total)?;
    let freedom = (batches.len().min(STRETCHES) - 1) as f64;
    let spread = student(freedom) * bad_ss.sqrt() / total;
    let dispersion = if near > 0.0 { (near_ss / near).max(1.0) } else { 1.0 };
    // Even independent events vary by so much; it also covers stretches that happen to be alike.
    let least = (allowed * (1.0 - allowed) * dispersion / total).sqrt() * Z;
    Some((share, spread.max(least)))
}

/// Estimated variances of the numbers that missed and that came near, from the stretches; `None` of
/// too few.
fn squares(batches: &[Batch], bad_share: f64, near_share: f64) -> Option<(f64, f64)> {
    let count = batches.len().min(STRETCHES);
    if count < STRETCHES_MIN {
        return None;
    }
    let (mut bad_ss, mut near_ss) = (0.0, 0.0);
    for index in 0..count {
        let part = &batches[index * batches.len() / count..(index + 1) * batches.len() / count];
        let off = |pick: fn(&Batch) -> f64, share: f64| -> f64 {
            part.iter().map(|batch| pick(batch) - share * batch.total).sum()
        };
        bad_ss += off(|b| b.bad, bad_share).powi(2);
        near_ss += off(|b| b.near, near_share).powi(2);
    }
    let unbiased = count as f64 / (count - 1) as f64;
    Some((bad_ss * unbiased, near_ss * unbiased))
}

/// Student's one-sided 2.5 % quantile, by the expansion of Cornish and Fisher (Abramowitz and Stegun
/// 26.7.5).
fn student(freedom: f64) -> f64 {
    let g1 = (Z.powi(3) + Z) / 4.0;
    let g2 = (5.0 * Z.powi(5) + 16.0 * Z.powi(3) + 3.0 * Z) / 96.0;
    let g3 = (3.0 * Z.powi(7) + 19.0 * Z.powi(5) + 17.0 * Z.powi(3) - 15.0 * Z) / 384.0;
    Z + g1 / freedom + g2 / freedom.powi(2) + g3 / freedom.powi(3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn batches(bad: &[f64], total: f64) -> Vec<Batch> {
        bad.iter().map(|&bad| Batch { bad, near: bad, total }).collect()
    }

    #[test]
    fn students_quantile_is_that_of_the_tables() {
        for (freedom, table) in [(3.0, 3.182), (7.0, 2.365), (30.0, 2.042)] {
            let found = student(freedom);
            assert!((found - table).abs() < 0.03, "{freedom}: {found}");
        }
    }

    #[test]
    fn few_requests_and_few_batches_say_nothing() {
        assert_eq!(judge(&[], 0.01).1, Finding::Open);
        assert_eq!(judge(&batches(&[0.0; 3], 1e6), 0.01).1, Finding::Open);
        // None late of 200 is no proof that one in a hundred is not.
        assert_eq!(judge(&batches(&[0.0; 8], 25.0), 0.01).1, Finding::Open);
        assert_eq!(judge(&batches(&[0.0; 8], 250.0), 0.01).1, Finding::Held);
        assert_eq!(judge(&batches(&[25.0; 8], 250.0), 0.01), (0.1, Finding::Failed));
    }

    #[test]
    fn the_effort_is_a_guess_at_how_much_more_it_takes() {
        // So much of a share near the limit decides nothing; four times as much nearly does.
        let some = batches(&[10.0, 10.0, 30.0, 30.0].repeat(6), 1000.0);
        let once = effort(&some, 0.022);
        assert!(once > 1.0 && judge(&some, 0.022).1 == Finding::Open, "{once}");
        let twice_as_far = effort(&some, 0.024);
        assert!((once / twice_as_far - 4.0).abs() < 0.5, "{once} {twice_as_far}");
        assert!(effort(&some, 0.5) < 1.0);
        assert_eq!(effort(&[], 0.01), 1.0);
    }

    #[test]
    fn a_burst_counts_once_however_many_requests_it_hit() {
        // 2 % late, all of them in one of eight stretches: it may be a single event.
        let mut bad = [0.0; 16];
        bad[5] = 320.0;
        assert_eq!(judge(&batches(&bad, 1000.0), 0.01), (0.02, Finding::Open));
        // The same share in every stretch is how it is.
        assert_eq!(judge(&batches(&[20.0; 16], 1000.0), 0.01), (0.02, Finding::Failed));
    }

    #[test]
    fn a_share_at_the_limit_is_rarely_decided_and_a_clear_one_nearly_always() {
        let mut rng = Rng::new(5);
        let mut decided = |share_ppm: u32| {
            let (mut held, mut failed) = (0, 0);
            for _ in 0..1000 {
                let draws: Vec<f64> = (0..16)
                    .map(|_| (0..200).filter(|_| rng.chance_ppm(share_ppm)).count() as f64)
                    .collect();
                match judge(&batches(&draws, 200.0), 0.01).1 {
                    Finding::Held => held += 1,
                    Finding::Failed => failed += 1,
                    Finding::Open => {}
                }
            }
            (held, failed)
        };
        let (held, failed) = decided(10_000);
        assert!(held <= 50 && failed <= 50, "{held} held and {failed} failed of 1000 at the limit");
        let (held, failed) = decided(1_000);
        assert!(held > 950 && failed == 0, "{held} {failed}");
        let (held, failed) = decided(30_000);
        assert!(held == 0 && failed > 950, "{held} {failed}");
    }
}
