//! Claims about schedules: closed forms, and statistics with a fixed seed.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::units::{Rate, parse_rate};

mod poisson;

const SECOND_NS: u64 = 1_000_000_000;
const DAY_NS: u64 = 86_400 * SECOND_NS;
const YEAR_NS: u64 = 366 * DAY_NS;

fn rate(text: &str) -> Rate {
    parse_rate(text).unwrap()
}

fn constant(text: &str, length_ns: u64) -> Profile {
    Profile::constant(rate(text), Some(length_ns)).unwrap()
}

fn staged(text: &str) -> Profile {
    Profile::stages(parse_stages(text, YEAR_NS).unwrap()).unwrap()
}

/// What each of the workers is given, in its order.
fn dealt(profile: &Profile, workers: u32, requests: Option<u64>) -> Vec<Vec<u64>> {
    let profile = Arc::new(profile.clone());
    let deal = |worker: u32| {
        let all = u64::from(workers);
        let own = requests.map(|n| n / all + u64::from(u64::from(worker) < n % all));
        drain(Cursor::new(profile.clone(), Arrivals::Constant, worker, workers, 0, own))
    };
    (0..workers).map(deal).collect()
}

fn drain(mut cursor: Cursor) -> Vec<u64> {
    let mut times = Vec::new();
    while let Some(t_ns) = cursor.peek_ns() {
        times.push(t_ns);
        cursor.advance();
        assert_eq!(cursor.taken(), times.len() as u64);
    }
    cursor.advance();
    assert_eq!(cursor.taken(), times.len() as u64, "an exhausted cursor takes nothing");
    times
}

fn merged(shares: &[Vec<u64>]) -> Vec<u64> {
    let mut all = shares.concat();
    all.sort_unstable();
    all
}

/// Whether all indexes of the profile are before its end, at a sample of them.
fn assert_all_due_before_the_end(profile: &Profile) {
    let (total, length_ns) = (profile.total().unwrap(), profile.length_ns().unwrap());
    for index in [0, 1, 2, total / 3, total / 2, total - total.min(2), total - 1] {
        let t_ns = profile.time_ns(index.min(total - 1)).unwrap();
        assert!(t_ns < length_ns, "{index}: {t_ns} of {length_ns}");
    }
    assert_eq!(profile.time_ns(total), None);
    assert_eq!(profile.time_ns(u64::MAX), None);
}

fn take_before(cursor: &mut Cursor, end_ns: u64) -> u64 {
    end_ns.checked_sub(1).map_or(0, |last_ns| cursor.take_until(last_ns, u64::MAX))
}

#[test]
fn skipping_takes_what_stepping_takes() {
    let profiles = [
        constant("7", 3 * SECOND_NS),
        constant("333/m", 100 * SECOND_NS),
        constant("1.7M", SECOND_NS / 100),
        constant("3", 7 * SECOND_NS),
        staged("0->900:1s,50:2s,900->0:500ms"),
        staged("5:1s,0:3s,1k:1s"),
    ];
    for profile in profiles.map(Arc::new) {
        let length_ns = profile.length_ns().unwrap();
        for arrivals in [Arrivals::Constant, Arrivals::Poisson] {
            for (worker, workers, own) in [(0, 1, None), (1, 3, None), (1, 2, Some(11))] {
                let mut skipping = Cursor::new(profile.clone(), arrivals, worker, workers, 9, own);
                let mut stepping = skipping.clone();
                for part in [0, 1, 2, 3, 10, 11, 60, 61, 97, 100, 101] {
                    let end_ns = length_ns * part / 100 + part % 2;
                    let mut count = 0;
                    while stepping.peek_ns().is_some_and(|t_ns| t_ns < end_ns) {
                        stepping.advance();
                        count += 1;
                    }
                    assert_eq!(take_before(&mut skipping, end_ns), count, "{part}");
                    assert_eq!(skipping.taken(), stepping.taken(), "{part}");
                    assert_eq!(skipping.peek_ns(), stepping.peek_ns(), "{part}");
                    skipping.advance();
                    stepping.advance();
                }
            }
        }
    }
}

#[test]
fn skipping_a_year_at_the_highest_rate_takes_no_time() {
    let profile = Arc::new(Profile::constant(rate("1G"), None).unwrap());
    let mut cursor = Cursor::new(profile, Arrivals::Constant, 0, 2, 0, None);
    assert_eq!(take_before(&mut cursor, YEAR_NS), YEAR_NS / 2);
    assert_eq!(cursor.peek_ns(), Some(YEAR_NS));
    let profile = Arc::new(staged("0->1G:1h"));
    let total = profile.total().unwrap();
    let mut cursor = Cursor::new(profile, Arrivals::Constant, 0, 1, 0, None);
    assert_eq!(take_before(&mut cursor, YEAR_NS), total);
    assert_eq!(cursor.peek_ns(), None);
}

#[test]
fn exactly_the_rate_times_the_duration_is_due_however_it_is_dealt() {
    let rates =
        ["0.1", "0.7", "1", "3", "20/m", "7/h", "333", "333.333", "999.999999", "1k", "12345.678"];
    let lengths_ns =
        [1, 999_999_999, 1_000_000_001, 7_300_000_000, 30 * SECOND_NS, 600 * SECOND_NS];
    let mut checked = 0;
    for text in rates {
        for length_ns in lengths_ns {
            let rate = rate(text);
            let due = u128::from(rate.count()) * u128::from(length_ns) / u128::from(rate.per_ns());
            let profile = Profile::constant(rate, Some(length_ns));
            if due == 0 {
                assert!(profile.is_err(), "{text} for {length_ns}");
                continue;
            }
            let profile = profile.unwrap();
            assert_eq!(u128::from(profile.total().unwrap()), due);
            assert_all_due_before_the_end(&profile);
            if due > 20_000 {
                continue;
            }
            for workers in [1, 2, 3, 7, 64] {
                let shares = dealt(&profile, workers, None);
                assert_eq!(merged(&shares).len() as u128, due, "{text} {length_ns} {workers}");
                checked += 1;
            }
        }
    }
    assert!(checked > 100, "{checked}");
}

#[test]
fn fast_and_long_schedules_have_exactly_their_number() {
    for (text, length_ns, due) in [
        ("1G", 1, 1),
        ("1G", SECOND_NS, SECOND_NS),
        ("1G", YEAR_NS, YEAR_NS),
        ("0.1", DAY_NS, 8640),
        ("333", DAY_NS, 333 * 86_400),
        ("333", YEAR_NS, 333 * 86_400 * 366),
        ("20/m", DAY_NS, 20 * 60 * 24),
        ("999999999", SECOND_NS - 1, 999_999_998),
        ("0.000000001", YEAR_NS, 0),
        ("0.0000001", YEAR_NS, 3),
    ] {
        let profile = Profile::constant(rate(text), Some(length_ns));
        if due == 0 {
            assert!(profile.is_err());
            continue;
        }
        let profile = profile.unwrap();
        assert_eq!(profile.total(), Some(due), "{text} {length_ns}");
        assert_all_due_before_the_end(&profile);
        // The same as one flat stage: no ramp, so a year is no longer than a second.
        let rate = rate(text);
        let flat = Profile::stages(vec![Stage { from: rate, to: rate, length_ns }]).unwrap();
        assert_eq!(flat.total(), Some(due));
        assert_all_due_before_the_end(&flat);
    }
}

#[test]
fn days_later_the_schedule_is_where_it_started() {
    for text in ["0.1", "1", "333", "10k", "7/h", "100/m", "333.333", "123456.789", "1G"] {
        let rate = rate(text);
        let endless = Profile::constant(rate, None).unwrap();
        // Multiples of five days are whole numbers of requests at all these rates.
        for days in [5, 365] {
            let scaled = u128::from(rate.count()) * u128::from(days * DAY_NS);
            assert!(scaled.is_multiple_of(u128::from(rate.per_ns())), "{text}");
            let index = (scaled / u128::from(rate.per_ns())) as u64;
            assert_eq!(endless.time_ns(index), Some(days * DAY_NS), "{text}");
        }
        assert_eq!((endless.total(), endless.length_ns()), (None, None));
    }
}

#[test]
fn a_stepping_cursor_does_not_drift() {
    // 86.4 thousand steps of three workers at a rate that never divides a nanosecond.
    let profile = Arc::new(Profile::constant(rate("333.333"), None).unwrap());
    for worker in 0..3 {
        let mut cursor = Cursor::new(profile.clone(), Arrivals::Constant, worker, 3, 0, None);
        for step in 0..86_400 {
            let index = u64::from(worker) + 3 * step;
            assert_eq!(cursor.peek_ns(), profile.time_ns(index));
            cursor.advance();
        }
    }
}

#[test]
fn workers_deal_the_first_requests_among_themselves() {
    for profile in [constant("333", 60 * SECOND_NS), staged("0->1k:10s,1k->0:10s")] {
        for workers in [1, 2, 3, 8] {
            for requests in [0, 1, 2, 7, 1000] {
                let times = merged(&dealt(&profile, workers, Some(requests)));
                let due: Vec<_> = (0..requests).map(|k| profile.time_ns(k).unwrap()).collect();
                assert_eq!(times, due, "{workers} workers, {requests} requests");
            }
        }
    }
}

#[test]
fn the_end_of_time_ends_a_schedule_without_end() {
    let profile = Arc::new(Profile::constant(rate("0.000000001"), None).unwrap());
    let times = drain(Cursor::new(profile.clone(), Arrivals::Constant, 0, 1, 0, None));
    // A request each 10^18 ns: the 19th comes after 584 years.
    assert_eq!(times.len(), 19);
    assert_eq!(times[18], 18 * SECOND_NS * SECOND_NS);
    assert_eq!(profile.time_ns(19), None);
    let late = Cursor::new(profile.clone(), Arrivals::Constant, 30, 31, 0, None);
    assert_eq!(late.peek_ns(), None);
    assert!(drain(Cursor::new(profile, Arrivals::Poisson, 0, 1, 1, None)).len() < 100);
}

#[test]
fn a_ramp_is_due_where_its_closed_form_says() {
    // N(t) = R t^2 / 2L: request k at L * sqrt(k / total).
    let profile = staged("0->10k:30s");
    assert_eq!(profile.total(), Some(150_000));
    for (index, t_ns) in [
        (0, 0),
        (37_500, 15 * SECOND_NS),
        (1_500, 3 * SECOND_NS),
        (6_000, 6 * SECOND_NS),
        (121_500, 27 * SECOND_NS),
        // 30 s * sqrt(1 / 150,000) = 77,459,666.92 ns
        (1, 77_459_667),
    ] {
        assert_eq!(profile.time_ns(index), Some(t_ns), "{index}");
    }
    // Downwards it is the mirror image.
    let down = staged("10k->0:30s");
    assert_eq!(down.total(), Some(150_000));
    for (index, t_ns) in [(0, 0), (112_500, 15 * SECOND_NS), (148_500, 27 * SECOND_NS)] {
        assert_eq!(down.time_ns(index), Some(t_ns), "{index}");
    }
    // The last one: 30 s * (1 - sqrt(1 / 150,000)).
    assert_eq!(down.time_ns(149_999), Some(30 * SECOND_NS - 77_459_666));
}

#[test]
fn a_pause_has_no_requests_and_a_stage_has_all_of_its_own() {
    let profile = staged("0:5s,10:1s,0:5s,20:1s,0:5s");
    assert_eq!(profile.total(), Some(30));
    assert_eq!(profile.length_ns(), Some(17 * SECOND_NS));
    assert_eq!(profile.time_ns(0), Some(5 * SECOND_NS), "the first moment of non-zero rate");
    assert_eq!(profile.time_ns(9), Some(5_900_000_000));
    assert_eq!(profile.time_ns(10), Some(11 * SECOND_NS), "not at the beginning of the pause");
    assert_eq!(profile.time_ns(29), Some(11_950_000_000));
    assert_eq!(profile.time_ns(30), None);
    assert!(profile.rate_start().is_zero());
    assert_eq!(profile.rate_max(), rate("20"));
    assert_eq!(profile.rate_per_s_at(5 * SECOND_NS - 1), 0.0);
    assert_eq!(profile.rate_per_s_at(5 * SECOND_NS), 10.0);
    assert_eq!(profile.rate_per_s_at(17 * SECOND_NS), 0.0);
    assert_eq!(profile.integral(8 * SECOND_NS), 10.0);
    assert_eq!(profile.integral(u64::MAX), 30.0);
}

#[test]
fn the_rate_and_its_integral_can_be_shown() {
    let endless = Profile::constant(rate("333"), None).unwrap();
    assert_eq!(endless.rate_per_s_at(DAY_NS), 333.0);
    assert_eq!(endless.integral(DAY_NS), 333.0 * 86_400.0);
    let ended = constant("333", SECOND_NS);
    assert_eq!((ended.integral(DAY_NS), ended.rate_per_s_at(SECOND_NS)), (333.0, 0.0));
    let ramp = staged("0->10k:30s,10k->5k:10s");
    assert_eq!(ramp.rate_per_s_at(15 * SECOND_NS), 5000.0);
    assert!((ramp.rate_per_s_at(35 * SECOND_NS) - 7500.0).abs() < 1e-6);
    assert!((ramp.integral(15 * SECOND_NS) - 37_500.0).abs() < 1e-6);
    assert!((ramp.integral(40 * SECOND_NS) - 225_000.0).abs() < 1e-6);
}

#[test]
fn a_year_of_ramps_at_fine_rates_stays_exact() {
    let profile = staged("0.1->333.333:4000h,333.333->7/h:4000h,999999.999->0.000001:700h");
    let total = profile.total().unwrap();
    assert_all_due_before_the_end(&profile);
    for index in (0..1000).map(|part| total / 1000 * part) {
        let t_ns = profile.time_ns(index).unwrap();
        let error = profile.integral(t_ns) - index as f64;
        // Rounded up to a nanosecond of at most 1e6/s, and floats of this size.
        assert!((-1e-2..=1e-2).contains(&error), "{index} at {t_ns}: {error}");
    }
}

#[test]
fn what_cannot_be_followed_says_what_to_try() {
    let message = |profile: Result<Profile, ScheduleError>| profile.unwrap_err().to_string();
    let none = message(Profile::constant(rate("0.05"), Some(10 * SECOND_NS)));
    assert_eq!(
        none,
        "no request would become due in 10.0 s: at 0.05/s, one takes 20.0 s; give a longer \
         duration or a higher rate"
    );
    assert!(message(Profile::constant(rate("0"), None)).contains("above"));
    assert!(message(Profile::constant(rate("1k"), Some(0))).contains("longer"));
    let fast = Rate::new(2, 1).unwrap();
    assert!(message(Profile::constant(fast, None)).contains("at most 1G/s"));
    let stage = Stage { from: rate("1"), to: fast, length_ns: 1 };
    assert!(message(Profile::stages(vec![stage])).starts_with("stage 1: 2,000,000,000/s"));
    assert!(message(Profile::stages(vec![])).contains("at least one"));
    let empty = Stage { from: rate("1"), to: rate("1"), length_ns: 0 };
    assert!(message(Profile::stages(vec![empty])).contains("stage 1 has no length"));
    let little = parse_stages("0->1:1s", YEAR_NS).unwrap();
    assert!(message(Profile::stages(little)).contains("less than one"));
    // Denominators without a common divisor multiply up until nothing holds them.
    let prime = |per_ns| Stage {
        from: Rate::new(1, per_ns).unwrap(),
        to: Rate::new(1, per_ns).unwrap(),
        length_ns: YEAR_NS,
    };
    let primes = [u64::MAX - 58, u64::MAX - 82, u64::MAX - 94].map(prime);
    let fine = message(Profile::stages(primes.to_vec()));
    assert!(fine.starts_with("stage 2 is too long for rates this fine"), "{fine}");
    let long = Stage { from: rate("1"), to: rate("1"), length_ns: u64::MAX };
    assert!(matches!(Profile::stages(vec![long, long]), Err(ScheduleError::TooFine { stage: 2 })));
}

#[test]
fn stages_are_read_with_spaces_and_in_order() {
    let ramp = |from: &str, to: &str, seconds: u64| Stage {
        from: rate(from),
        to: rate(to),
        length_ns: seconds * SECOND_NS,
    };
    let read = parse_stages("0->10k:30s,10k:2m,10k->0:10s", YEAR_NS);
    assert_eq!(read, Ok(vec![ramp("0", "10k", 30), ramp("10k", "10k", 120), ramp("10k", "0", 10)]));
    let read = parse_stages(" 300/m -> 0.5k/s : 1h 30m , 7 : 2 ", YEAR_NS);
    assert_eq!(read, Ok(vec![ramp("5", "500", 5400), ramp("7", "7", 2)]));
}

#[test]
fn a_wrong_stage_is_named() {
    for (text, stage, says) in [
        ("", 1, "empty"),
        (" ", 1, "empty"),
        ("10k:2m,", 2, "empty"),
        ("10k:2m,,1:1s", 2, "empty"),
        ("10k", 1, "no ':'"),
        ("10k:", 1, "time"),
        ("10k:0s", 1, "zero"),
        ("10k:1s,5k:0", 2, "zero"),
        (":5s", 1, "rate"),
        ("->:5s", 1, "rate"),
        ("0->:5s", 1, "rate"),
        ("0->10k->5:5s", 1, "'10k->5'"),
        ("0->10kk:5s", 1, "'10kk'"),
        ("0-10k:5s", 1, "'0-10k'"),
        ("0->-5:5s", 1, "negative"),
        ("5:-1s", 1, "negative"),
        ("1:5s,NaN:5s", 2, "'NaN'"),
        ("1:1e30", 1, "too large"),
        ("1:1s:1s", 1, "time"),
        ("1:8000h,1:8000h", 2, "together"),
    ] {
        let error = parse_stages(text, YEAR_NS).expect_err(text);
        assert_eq!(error.stage, stage, "{text}");
        let message = error.to_string();
        assert!(message.starts_with(&format!("stage {stage}")), "{message}");
        assert!(message.contains(says), "{text}: {message}");
    }
}

/// Rates as people give them, zero among them.
fn any_rate() -> impl Strategy<Value = Rate> {
    prop_oneof![
        Just(Rate::new(0, 1).unwrap()),
        (1u64..2_000_000, prop_oneof![Just(1u64), Just(2), Just(3), Just(10), Just(7919)])
            .prop_map(|(count, seconds)| Rate::new(count, seconds * SECOND_NS).unwrap()),
        (1u64..=1000, 1000u64..1_000_000).prop_map(|(c, per_ns)| Rate::new(c, per_ns).unwrap()),
    ]
}

fn any_stages() -> impl Strategy<Value = Vec<Stage>> {
    let length_ns = prop_oneof![1u64..1000, 1u64..SECOND_NS, 1u64..DAY_NS];
    let stage = (any_rate(), any_rate(), any::<bool>(), length_ns).prop_map(
        |(from, to, flat, length_ns)| Stage { from, to: if flat { from } else { to }, length_ns },
    );
    prop::collection::vec(stage, 1..5)
}

proptest! {
    #[test]
    fn stepping_gives_the_closed_form_however_far(
        // Small terms divide often, large ones carry far; a stride of billions leads far out.
        (count, more) in prop_oneof![(1u64..50, 0u64..50), (1u64..=u64::MAX, 0u64..=u64::MAX)],
        workers in prop_oneof![1u32..=1024, 1u32..=u32::MAX],
        worker: u32,
    ) {
        let rate = Rate::new(count, count.saturating_add(more)).unwrap();
        let profile = Arc::new(Profile::constant(rate, None).unwrap());
        let worker = worker % workers;
        let mut cursor = Cursor::new(profile.clone(), Arrivals::Constant, worker, workers, 0, None);
        for step in 0..200 {
            let index = u64::from(worker) + step * u64::from(workers);
            prop_assert_eq!(cursor.peek_ns(), profile.time_ns(index));
            cursor.advance();
        }
    }

    #[test]
    fn a_constant_time_is_the_first_at_which_the_integral_is_there(
        count in 1u64..=u64::MAX, more in 0u64..=u64::MAX, index: u64,
    ) {
        let rate = Rate::new(count, count.saturating_add(more)).unwrap();
        let endless = Profile::constant(rate, None).unwrap();
        if let Some(t_ns) = endless.time_ns(index) {
            let due = u128::from(index) * u128::from(rate.per_ns());
            let at = |t_ns: u64| u128::from(t_ns) * u128::from(rate.count());
            prop_assert!(at(t_ns) >= due);
            prop_assert!(t_ns == 0 || at(t_ns - 1) < due);
        }
    }

    #[test]
    fn every_request_of_a_length_is_due_before_its_end(
        count in 1u64..=u64::MAX, more in 0u64..=u64::MAX, length_ns: u64,
    ) {
        let rate = Rate::new(count, count.saturating_add(more)).unwrap();
        if let Ok(profile) = Profile::constant(rate, Some(length_ns)) {
            assert_all_due_before_the_end(&profile);
        }
    }

    #[test]
    fn a_flat_stage_cut_anywhere_is_the_constant_rate(
        rate in any_rate(), first_ns in 1u64..DAY_NS, second_ns in 1u64..DAY_NS, at: u64,
    ) {
        let length_ns = first_ns + second_ns;
        if let Ok(constant) = Profile::constant(rate, Some(length_ns)) {
            let stage = |length_ns| Stage { from: rate, to: rate, length_ns };
            let whole = Profile::stages(vec![stage(length_ns)]).unwrap();
            let cut = Profile::stages(vec![stage(first_ns), stage(second_ns)]).unwrap();
            let total = constant.total().unwrap();
            for index in [0, at % total, total - 1, total] {
                prop_assert_eq!(whole.time_ns(index), constant.time_ns(index));
                prop_assert_eq!(cut.time_ns(index), constant.time_ns(index));
            }
        }
    }

    #[test]
    fn a_ramp_cut_in_two_is_the_whole_ramp(
        from in 0u64..1_000_000, rise in 0u64..1_000_000, half_ns in 1u64..DAY_NS, at: u64,
    ) {
        // The rate in the middle needs a denominator twice as fine.
        let rate = |doubled: u64| Rate::new(doubled, 2 * SECOND_NS).unwrap();
        let (low, middle, high) = (rate(2 * from), rate(2 * from + rise), rate(2 * (from + rise)));
        for (a, b, c) in [(low, middle, high), (high, middle, low)] {
            let whole = Stage { from: a, to: c, length_ns: 2 * half_ns };
            let halves = [(a, b), (b, c)].map(|(from, to)| Stage { from, to, length_ns: half_ns });
            let Ok(whole) = Profile::stages(vec![whole]) else { continue };
            let halves = Profile::stages(halves.to_vec()).unwrap();
            let total = whole.total().unwrap();
            prop_assert_eq!(halves.total(), Some(total));
            for index in [0, at % total, total - 1, total] {
                prop_assert_eq!(halves.time_ns(index), whole.time_ns(index));
            }
        }
    }

    #[test]
    fn stages_never_step_back_and_end_before_their_end(stages in any_stages(), at: u64) {
        if let Ok(profile) = Profile::stages(stages) {
            assert_all_due_before_the_end(&profile);
            let total = profile.total().unwrap();
            let first = at % total;
            let times: Vec<_> = (first..total).take(50).map(|k| profile.time_ns(k)).collect();
            prop_assert!(times.is_sorted() && !times.contains(&None));
        }
    }

    #[test]
    fn a_staged_time_is_the_first_at_which_the_integral_is_there(stages in any_stages(), at: u64) {
        if let Ok(profile) = Profile::stages(stages.clone()) {
            let index = at % profile.total().unwrap();
            let t_ns = profile.time_ns(index).unwrap();
            let reached = |t_ns| reaches(&stages, t_ns, index);
            prop_assert!(reached(t_ns));
            // After a pause the integral has been there since before it.
            let in_pause = profile.rate_per_s_at(t_ns.saturating_sub(1)) == 0.0;
            prop_assert!(t_ns == 0 || in_pause || !reached(t_ns - 1));
        }
    }

    #[test]
    fn as_many_are_due_by_a_time_as_the_integral_says(
        text in "[1-9][0-9]{0,2}->[0-9]{1,3}:[1-9]s",
    ) {
        let stages = parse_stages(&text, YEAR_NS).unwrap();
        if let Ok(profile) = Profile::stages(stages.clone()) {
            let (total, length_ns) = (profile.total().unwrap(), profile.length_ns().unwrap());
            let times: Vec<_> = (0..total).map(|k| profile.time_ns(k).unwrap()).collect();
            for t_ns in (0..100).map(|part| length_ns / 100 * part) {
                let due = times.partition_point(|&time| time <= t_ns) as u64;
                // floor(N(t)) + 1 of them: the integral has reached due - 1, and not due.
                prop_assert!(due >= 1 && reaches(&stages, t_ns, due - 1));
                prop_assert!(due == total || !reaches(&stages, t_ns, due));
            }
        }
    }

    #[test]
    fn no_text_makes_the_parser_of_stages_panic(text in "[-0-9.:,>/kKmsh ]{0,32}|\\PC{0,24}") {
        if let Ok(stages) = parse_stages(&text, YEAR_NS) {
            let _ = Profile::stages(stages);
        }
    }
}

/// Whether the integral up to `t_ns` is at least `index`, by rational arithmetic on big integers:
/// nothing is shared with the code under test, neither its denominator nor its wide product.
fn reaches(stages: &[Stage], t_ns: u64, index: u64) -> bool {
    // Sum of n_i / d_i, minus index, at least 0.
    let (mut numerator, mut denominator) = (Big::from(0), Big::from(1));
    let mut left_ns = t_ns;
    for stage in stages {
        let t = left_ns.min(stage.length_ns);
        left_ns -= t;
        let big = |number: u64| Big::from(number);
        let (p0, q0) = (big(stage.from.count()), big(stage.from.per_ns()));
        let (p1, q1) = (big(stage.to.count()), big(stage.to.per_ns()));
        let (t, l) = (big(t), big(stage.length_ns));
        // t * (p0/q0 * (2L - t) + p1/q1 * t) / 2L, every term at least 0.
        let rest = big(2 * stage.length_ns - t.0[0]);
        let n = t.times(&p0.times(&q1).times(&rest).plus(&p1.times(&q0).times(&t)));
        let d = q0.times(&q1).times(&l).times(&big(2));
        numerator = numerator.times(&d).plus(&n.times(&denominator));
        denominator = denominator.times(&d);
    }
    numerator.at_least(&denominator.times(&Big::from(index)))
}

/// A natural number, least significant digit of 64 bits first.
struct Big(Vec<u64>);

impl From<u64> for Big {
    fn from(number: u64) -> Self {
        Self(vec![number])
    }
}

impl Big {
    fn times(&self, other: &Self) -> Self {
        let mut out = vec![0_u64; self.0.len() + other.0.len()];
        for (i, &a) in self.0.iter().enumerate() {
            let mut carry = 0_u128;
            for (j, &b) in other.0.iter().enumerate() {
                let sum = u128::from(a) * u128::from(b) + u128::from(out[i + j]) + carry;
                out[i + j] = sum as u64;
                carry = sum >> 64;
            }
            out[i + other.0.len()] = carry as u64;
        }
        Self(out)
    }

    fn plus(&self, other: &Self) -> Self {
        let digit = |big: &Self, at: usize| u128::from(big.0.get(at).copied().unwrap_or(0));
        let mut out = Vec::new();
        let mut carry = 0_u128;
        for at in 0..=self.0.len().max(other.0.len()) {
            let sum = digit(self, at) + digit(other, at) + carry;
            out.push(sum as u64);
            carry = sum >> 64;
        }
        Self(out)
    }

    fn at_least(&self, other: &Self) -> bool {
        let digit = |big: &Self, at: usize| big.0.get(at).copied().unwrap_or(0);
        let length = self.0.len().max(other.0.len());
        let differs = (0..length).rev().find(|&at| digit(self, at) != digit(other, at));
        differs.is_none_or(|at| digit(self, at) > digit(other, at))
    }
}

proptest! {
    #[test]
    fn a_leap_lands_where_as_many_steps_do(
        count in 1..5_000_u64,
        per_ns in 1_000..3_000_000_000_u64,
        workers in 1..9_u32,
        steps in 0..2_000_u64,
        leap in 0..3_000_u64,
        bound in prop::option::of(0..4_000_u64),
        staged in any::<bool>(),
    ) {
        let per_ns = per_ns.max(count);
        let rate = Rate::new(count, per_ns).unwrap();
        let length_ns = 3_600 * 1_000_000_000;
        let stage = Stage { from: rate, to: Rate::new(0, 1).unwrap(), length_ns };
        let made = if staged { Profile::stages(vec![stage]) } else { Profile::constant(rate, Some(length_ns)) };
        prop_assume!(made.is_ok());
        let profile = Arc::new(made.unwrap());
        for worker in [0, workers - 1] {
            let arrivals = Arrivals::Constant;
            let mut stepping =
                Cursor::new(Arc::clone(&profile), arrivals, worker, workers, 1, bound);
            for _ in 0..steps {
                stepping.advance();
            }
            let mut leaping = stepping.clone();
            let mut taken = 0;
            while taken < leap && stepping.peek_ns().is_some() {
                stepping.advance();
                taken += 1;
            }
            prop_assert_eq!(leaping.skip(leap), taken);
            prop_assert_eq!((leaping.peek_ns(), leaping.taken()), (stepping.peek_ns(), stepping.taken()));
            // And both go on alike.
            for _ in 0..100 {
                stepping.advance();
                leaping.advance();
                prop_assert_eq!(leaping.peek_ns(), stepping.peek_ns());
            }
        }
    }

    #[test]
    fn taking_until_a_time_takes_what_stepping_to_it_does(
        count in 1..2_000_u64,
        workers in 1..5_u32,
        until_ms in 0..40_000_u64,
        most in prop::option::of(0..5_000_u64),
        kind in 0..3,
    ) {
        let rate = Rate::new(count, 1_000_000_000).unwrap();
        let length_ns = 20 * 1_000_000_000;
        let (until_ns, most) = (until_ms * 1_000_000, most.unwrap_or(u64::MAX));
        let stage = Stage { from: Rate::new(0, 1).unwrap(), to: rate, length_ns };
        let made = match kind {
            0 => Profile::stages(vec![stage]),
            _ => Profile::constant(rate, Some(length_ns)),
        };
        prop_assume!(made.is_ok());
        let arrivals = if kind == 2 { Arrivals::Poisson } else { Arrivals::Constant };
        let mut stepping =
            Cursor::new(Arc::new(made.unwrap()), arrivals, 0, workers, 1, None);
        let mut taking = stepping.clone();
        let mut taken = 0;
        while taken < most && stepping.peek_ns().is_some_and(|t_ns| t_ns <= until_ns) {
            stepping.advance();
            taken += 1;
        }
        prop_assert_eq!(taking.take_until(until_ns, most), taken);
        prop_assert_eq!((taking.peek_ns(), taking.taken()), (stepping.peek_ns(), stepping.taken()));
    }
}
