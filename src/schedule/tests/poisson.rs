//! Claims about Poisson arrivals. Every seed is fixed, so a bound that holds once holds always; the
//! bounds are those a right generator misses less than once in a million seeds.

use super::*;

fn arrivals(profile: &Arc<Profile>, worker: u32, workers: u32, seed: u64) -> Vec<u64> {
    drain(Cursor::new(profile.clone(), Arrivals::Poisson, worker, workers, seed, None))
}

/// Gaps in nanoseconds; the first is from the schedule's start.
fn gaps(times: &[u64]) -> Vec<f64> {
    let before = [0].into_iter().chain(times.iter().copied());
    before.zip(times).map(|(before, &after)| (after - before) as f64).collect()
}

/// The largest distance between the distribution of `values` and the one with this function.
fn ks_distance(mut values: Vec<f64>, distribution: impl Fn(f64) -> f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let n = values.len() as f64;
    let distance = |(index, &value): (usize, &f64)| {
        let expected = distribution(value);
        (expected - index as f64 / n).max((index + 1) as f64 / n - expected)
    };
    values.iter().enumerate().map(distance).fold(0.0, f64::max)
}

/// The distance exceeded once in a million, for `n` values: sqrt(ln(2e6) / 2n).
fn ks_bound(n: usize) -> f64 {
    (2e6_f64.ln() / (2.0 * n as f64)).sqrt()
}

fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let dot = |f: &dyn Fn(f64, f64) -> f64| a.iter().zip(b).map(|(&x, &y)| f(x, y)).sum::<f64>();
    let covariance = dot(&|x, y| (x - mean_a) * (y - mean_b));
    let variance_a = dot(&|x, _| (x - mean_a).powi(2));
    let variance_b = dot(&|_, y| (y - mean_b).powi(2));
    covariance / (variance_a * variance_b).sqrt()
}

#[test]
fn gaps_are_exponential_with_the_workers_part_of_the_rate() {
    for (profile, workers, mean_ns) in [
        (constant("10k", 20 * SECOND_NS), 1, 100_000.0),
        (constant("30k", 20 * SECOND_NS), 3, 100_000.0),
        (staged("10k:12s,10k:8s"), 1, 100_000.0),
        (constant("7/h", 10 * YEAR_NS), 1, 3600e9 / 7.0),
    ] {
        let profile = Arc::new(profile);
        for seed in [1, 2, 3] {
            let times = arrivals(&profile, workers - 1, workers, seed);
            assert!(times.is_sorted());
            assert!(times[0] > 0, "the first arrival comes after a gap");
            let n = times.len();
            let mean = *times.last().unwrap() as f64 / n as f64;
            assert!((mean / mean_ns - 1.0).abs() < 5.0 / (n as f64).sqrt(), "{mean} of {mean_ns}");
            let distance = ks_distance(gaps(&times), |gap| 1.0 - (-gap / mean_ns).exp());
            assert!(distance < ks_bound(n), "{distance} with {n}");
        }
    }
}

#[test]
fn all_workers_together_are_one_poisson_process_of_the_whole_rate() {
    let profile = Arc::new(constant("10k", 20 * SECOND_NS));
    for workers in [2, 7] {
        let shares: Vec<_> = (0..workers).map(|w| arrivals(&profile, w, workers, 42)).collect();
        let all = merged(&shares);
        let n = all.len() as f64;
        assert!((n - 200_000.0).abs() < 5.0 * 200_000_f64.sqrt(), "{n}");
        let distance = ks_distance(gaps(&all), |gap| 1.0 - (-gap / 100_000.0).exp());
        assert!(distance < ks_bound(all.len()), "{distance}");
    }
}

#[test]
fn a_seed_gives_its_stream_again_and_another_seed_another() {
    let profile = Arc::new(constant("1k", SECOND_NS));
    assert_eq!(arrivals(&profile, 0, 2, 7), arrivals(&profile, 0, 2, 7));
    assert_ne!(arrivals(&profile, 0, 2, 7), arrivals(&profile, 1, 2, 7));
    assert_ne!(arrivals(&profile, 0, 2, 7), arrivals(&profile, 0, 2, 8));
}

#[test]
fn streams_of_workers_and_seeds_are_no_shifted_copies_of_each_other() {
    // Seeds that differ by the generator's own increment are the treacherous ones.
    const INCREMENT: u64 = 0x9e37_79b9_7f4a_7c15;
    let profile = Arc::new(constant("10k", 10 * SECOND_NS));
    let base = gaps(&arrivals(&profile, 0, 4, 42));
    let others = [(1, 42), (2, 42), (3, 42), (0, 43), (1, 43), (0, 42 + INCREMENT), (1, INCREMENT)];
    for (worker, seed) in others {
        let other = gaps(&arrivals(&profile, worker, 4, seed));
        for shift in 0..64 {
            let n = base.len().min(other.len()) - shift;
            for (a, b) in [(&base[shift..], &other[..]), (&base[..], &other[shift..])] {
                let r = correlation(&a[..n], &b[..n]);
                assert!(r.abs() < 5.5 / (n as f64).sqrt(), "{worker} {seed} {shift}: {r}");
            }
        }
    }
}

#[test]
fn stages_have_their_expected_numbers_and_pauses_have_none() {
    let text = "0->10k:8s,10k:4s,0:3600s,10k->2k:5s,2k->0:10s";
    let profile = Arc::new(staged(text));
    for seed in 1..=5 {
        let shares: Vec<_> = (0..3).map(|w| arrivals(&profile, w, 3, seed)).collect();
        let times = merged(&shares);
        let mut start_ns = 0;
        for stage in parse_stages(text, YEAR_NS).unwrap() {
            let end_ns = start_ns + stage.length_ns;
            let expected = profile.integral(end_ns) - profile.integral(start_ns);
            let within = |t_ns: u64| times.partition_point(|&time| time < t_ns) as f64;
            let count = within(end_ns) - within(start_ns);
            assert!((count - expected).abs() <= 5.0 * expected.sqrt(), "{count} of {expected}");
            start_ns = end_ns;
        }
        // Along the integral they are spread evenly, in ramps as elsewhere.
        let places: Vec<_> = times.iter().map(|&time| profile.integral(time)).collect();
        let whole = profile.integral(u64::MAX);
        let distance = ks_distance(places, |place| place / whole);
        assert!(distance < ks_bound(times.len()), "{distance}");
    }
}

#[test]
fn the_bound_on_requests_ends_a_stream_early() {
    let profile = Arc::new(constant("1k", 10 * SECOND_NS));
    let all = arrivals(&profile, 1, 2, 9);
    for bound in [0, 1, 100] {
        let some = Cursor::new(profile.clone(), Arrivals::Poisson, 1, 2, 9, Some(bound));
        assert_eq!(drain(some), all[..bound as usize]);
    }
    assert!(*all.last().unwrap() < 10 * SECOND_NS);
}

#[test]
fn the_first_arrivals_of_all_streams_are_dealt_to_those_they_belong_to() {
    for profile in [constant("10k", DAY_NS), staged("0->10k:3s,10k:100s")] {
        let profile = Arc::new(profile);
        for (workers, total) in [(1, 500), (4, 500), (4, 1), (7, 20_000)] {
            for seed in 1..=5 {
                let parts = deal(&profile, Arrivals::Poisson, workers, seed, total);
                assert_eq!(parts.iter().sum::<u64>(), total);
                let stream = |worker: u32, part: u64| {
                    let profile = profile.clone();
                    let part = Some(part);
                    Cursor::new(profile, Arrivals::Poisson, worker, workers, seed, part)
                };
                let first = |more: u64| -> Vec<Vec<u64>> {
                    let with_part = (0..workers).zip(&parts);
                    with_part.map(|(worker, part)| drain(stream(worker, part + more))).collect()
                };
                // Nobody's next one comes before anybody's last.
                let last = merged(&first(0)).pop().unwrap();
                for (more, part) in first(1).iter().zip(&parts) {
                    assert!(more[*part as usize] >= last, "{workers} {total} {seed}");
                }
            }
        }
    }
    // The mean of many is as long as asked; dealt in turn it would wait for the slowest.
    let profile = Arc::new(constant("500", DAY_NS));
    let lasts = (0..200).map(|seed| {
        let parts = deal(&profile, Arrivals::Poisson, 4, seed, 500);
        let ends = (0..4).zip(parts).map(|(worker, part)| {
            let part = Some(part);
            let all = drain(Cursor::new(profile.clone(), Arrivals::Poisson, worker, 4, seed, part));
            all.last().copied().unwrap_or(0)
        });
        ends.max().unwrap() as f64 / SECOND_NS as f64
    });
    // Erlang: a standard deviation of 1 / sqrt(500), over 200 of them.
    let mean = lasts.sum::<f64>() / 200.0;
    assert!((mean - 1.0).abs() < 5.0 / (500.0_f64 * 200.0).sqrt(), "{mean}");
}

#[test]
fn a_schedule_that_ends_before_its_number_of_requests_deals_what_there_is() {
    let profile = Arc::new(constant("100", SECOND_NS));
    let parts = deal(&profile, Arrivals::Poisson, 3, 9, 1_000_000);
    for (worker, part) in (0..3).zip(parts) {
        assert_eq!(part, arrivals(&profile, worker, 3, 9).len() as u64);
    }
    let parts = deal(&profile, Arrivals::Constant, 3, 9, 100);
    assert_eq!(parts, [34, 33, 33]);
}
