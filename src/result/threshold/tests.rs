//! Every metric against runs of known numbers, every error of the grammar, and the edges.

use proptest::prelude::*;

use super::*;
use crate::outcome::{ConnectFailure, Failure};
use crate::record::{Phase, PhaseCounts};
use crate::result::{RunResult, Schedule};

const MS: u64 = 1_000_000;

/// 10,000 answers in ten seconds, one each at 1, 2, 3 … 10,000 µs; 5 of them are 503.
fn run() -> RunResult {
    let mut result = RunResult { window_ns: 10_000 * MS, ..RunResult::default() };
    for us in 1..=10_000 {
        result.total.latency.record(us * 1000, 1);
    }
    let window = &mut result.total.phases[Phase::Window as usize];
    (window.due, window.started, window.completed) = (10_000, 10_000, 9_990);
    window.bytes_in = 1_000_000;
    (window.statuses[200], window.statuses[503]) = (9_986, 4);
    let drain = &mut result.total.phases[Phase::Drain as usize];
    (drain.completed, drain.statuses[200], drain.statuses[503]) = (10, 9, 1);
    result.total.connections.attempts = 200;
    result
}

/// As `run`, with `count` requests of the window more, which timed out after 2 s.
fn with_timeouts(count: u64) -> RunResult {
    let mut result = run();
    let window = &mut result.total.phases[Phase::Window as usize];
    window.due += count;
    window.started += count;
    window.failed.add(Failure::Timeout, count);
    result.total.window_started_failed = count;
    result.total.unanswered.record(2_000 * MS, count);
    result
}

fn scheduled() -> RunResult {
    let mut result = run();
    result.asked.schedule = Some(Schedule::default());
    result.total.sending.paced = true;
    for us in 1..=10_000_u64 {
        result.total.service.record(us * 100, 1);
        result.total.sending.lag.record(us, 1);
        result.total.sending.late.record(us / 2, 1);
    }
    let window = &mut result.total.phases[Phase::Window as usize];
    (window.due, window.shed, window.unsent) = (10_020, 15, 5);
    result
}

fn evaluate(typed: &str, result: &RunResult) -> Evaluation {
    Threshold::parse(typed).unwrap_or_else(|error| panic!("{error}")).evaluate(result)
}

/// What is measured passes the first threshold and fails the second.
fn check(result: &RunResult, passes: &str, fails: &str, measured: Measured) {
    for (typed, passed) in [(passes, true), (fails, false)] {
        let found = evaluate(typed, result);
        assert_eq!(found, Evaluation { measured, passed }, "{typed}");
    }
}

fn ns(ns: u64) -> Measured {
    Measured::Time { ns, at_least: false }
}

#[test]
fn times_are_those_of_their_series() {
    let run = run();
    let quantile = |q| ns(run.total.latency.quantile(q));
    check(&run, "p50<5.1ms", "p50<4.9ms", quantile(0.5));
    check(&run, "p99 > 9.8ms", "p99 > 10ms", quantile(0.99));
    check(&run, "p99.9<1s", "p99.9<9ms", quantile(0.999));
    check(&run, "latency.p75<=8ms", "latency.p75<=7ms", quantile(0.75));
    check(&run, "max=10ms", "max<10ms", ns(10 * MS));
    check(&run, "min=1us", "min>1us", ns(1_000));
    check(&run, "service.max<=10ms", "service.max>10ms", ns(10 * MS));
    let mean = ns(run.total.latency.mean().round() as u64);
    check(&run, "mean<5.1ms", "avg<4.9ms", mean);

    let scheduled = scheduled();
    let service = ns(scheduled.total.service.quantile(0.99));
    check(&scheduled, "service.p99<1ms", "service.p99<0.9ms", service);
    check(&scheduled, "lag.max<=10us", "lag.max<10us", ns(10_000));
    check(&scheduled, "late.max=5us", "late.max>5us", ns(5_000));

    let mut connected = run.clone();
    connected.total.connect.record(3 * MS, 20);
    check(&connected, "connect.p50<4ms", "connect.p50<2ms", ns(3 * MS));
    let tls = connected.total.tls.get_or_insert_default();
    tls.handshake.record(7 * MS, 20);
    check(&connected, "handshake.p50<8ms", "handshake.p50<6ms", ns(7 * MS));
    let measured = Measured::Unknown(Unknown::NoTls);
    assert_eq!(evaluate("handshake.max<1s", &run), Evaluation { measured, passed: false });
}

#[test]
fn rates_are_those_of_the_window() {
    let run = run();
    check(&run, "rps>=999", "rps>999", Measured::RequestsPerSecond(999.0));
    check(&run, "rps=59940/m", "rps<0.9k/s", Measured::RequestsPerSecond(999.0));
    check(&run, "transfer>=100kB", "transfer>100kB/s", Measured::BytesPerSecond(100_000.0));
}

#[test]
fn parts_are_counted_in_window_and_drain() {
    let run = with_timeouts(10);
    let share = |part, whole| Measured::Share { part, whole };
    check(&run, "failed<=10", "failed<10", Measured::Count(10));
    check(&run, "failed<0.1%", "failed<0.09%", share(10, 10_010));
    check(&run, "timeouts=10", "timeouts=0", Measured::Count(10));
    check(&run, "failed[timeout]>9", "failed[timeout|eof]<10", Measured::Count(10));
    check(&run, "failed[reset | eof]=0", "failed[reset|eof]>0", Measured::Count(0));
    check(&run, "unanswered=10", "unanswered<5", Measured::Count(10));
    check(&run, "status[5xx]<6", "status[5xx]<1", Measured::Count(5));
    check(&run, "status[5xx|404]<=0.05%", "status[500-503]<0.05%", share(5, 10_000));
    check(&run, "status[2xx]>99.9%", "status[2xx]=100%", share(9_995, 10_000));

    let mut refused = run;
    refused.total.connections.failed.add(ConnectFailure::Refused, 1);
    check(&refused, "connect_failed<1%", "connect_failed<0.5%", share(1, 200));
    check(&refused, "connect_failed[refused]=1", "connect_failed=0", Measured::Count(1));
    check(&refused, "connect_failed[timeout]=0", "connect_failed[timeout]>0", Measured::Count(0));

    let scheduled = scheduled();
    check(&scheduled, "shed<16", "shed<15", Measured::Count(15));
    check(&scheduled, "unsent=5", "unsent<5", Measured::Count(5));
    check(&scheduled, "sent>99.8%", "sent>99.9%", share(10_000, 10_020));
    check(&scheduled, "held>=99.7%", "held>=99.8%", share(9_990, 10_020));
}

#[test]
fn a_share_is_compared_exactly_at_its_limit() {
    let mut result = RunResult::default();
    for (part, whole, typed) in
        [(1, 1000, "0.1%"), (3, 10, "30%"), (7, 700, "1%"), (1, 3_000_000, "33.3%")]
    {
        result.total.phases[2] = PhaseCounts { completed: whole - part, ..PhaseCounts::default() };
        result.total.phases[2].failed.add(Failure::Eof, part);
        let passed = |sign: &str| evaluate(&format!("failed{sign}{typed}"), &result).passed;
        let is_at = part * 3 != whole && whole != 3_000_000;
        assert_eq!(passed("="), is_at, "{typed}");
        assert_eq!(passed("<"), !is_at, "{typed}");
        assert!(passed("<="), "{typed}");
        assert!(!passed(">"), "{typed}");
    }
}

#[test]
fn a_percentile_with_too_few_samples_is_not_known_and_does_not_pass() {
    for (typed, needed) in [
        ("p50<1h", 20),
        ("p99<1h", 1_000),
        ("p99.9<1h", 10_000),
        ("p99.99<1h", 100_000),
        ("p99.99>0ns", 100_000),
        ("p99.999999<1h", 1_000_000_000),
    ] {
        let mut result = RunResult::default();
        let samples = (needed - 1).min(10_000_000);
        result.total.latency.record(MS, samples);
        let unknown = Measured::Unknown(Unknown::TooFewSamples { samples, needed });
        assert_eq!(evaluate(typed, &result), Evaluation { measured: unknown, passed: false });
        result.total.latency.record(MS, needed - samples);
        assert!(evaluate(typed, &result).passed, "{typed}");
    }
}

#[test]
fn a_request_without_an_answer_is_slower_than_any() {
    let run = with_timeouts(200);
    let at_least = Measured::Time { ns: 2_000 * MS, at_least: true };
    // Two per cent never came, so the 99th percentile is among them.
    for (typed, passed) in [
        ("p99<1h", false),
        ("p99=2s", false),
        ("p99>1s", true),
        ("p99>=2s", true),
        ("p99>3s", false),
    ] {
        assert_eq!(evaluate(typed, &run), Evaluation { measured: at_least, passed }, "{typed}");
    }
    assert!(!evaluate("max<1h", &run).passed);
    assert!(evaluate("p90<10ms", &run).passed);
    // In the mean they count with the time they waited: 200 times 2 s over 10,200 requests.
    let Measured::Time { ns, at_least: false } = evaluate("mean<1s", &run).measured else {
        panic!("the mean is known")
    };
    assert!((43 * MS..46 * MS).contains(&ns), "{ns}");
}

#[test]
fn what_was_not_measured_passes_nothing() {
    let empty = RunResult::default();
    for typed in [
        "max<1s",
        "min>0s",
        "mean<1s",
        "connect.max<1s",
        "rps<1M",
        "transfer<1GB",
        "failed<1%",
        "status[5xx]<1%",
        "connect_failed<1%",
        "unanswered<1%",
    ] {
        let measured = Measured::Unknown(Unknown::Nothing);
        assert_eq!(evaluate(typed, &empty), Evaluation { measured, passed: false }, "{typed}");
    }
    for typed in ["lag.p99<1s", "late.max<1s", "sent>1%", "held>1%", "shed<5", "unsent<5"] {
        let measured = Measured::Unknown(Unknown::NoSchedule);
        assert_eq!(evaluate(typed, &run()), Evaluation { measured, passed: false }, "{typed}");
    }
    let unanswered = RunResult { window_ns: MS, ..with_timeouts(1) };
    assert!(!evaluate("min<1us", &unanswered).passed);
}

#[test]
fn a_threshold_is_printed_as_typed_without_blanks() {
    for (typed, printed) in [
        ("p99<20ms", "p99<20ms"),
        ("  p99.9  <=  1.5s ", "p99.9<=1.5s"),
        ("status[5xx | 404] < 1 %", "status[5xx|404]<1%"),
        ("rps == 50k/s", "rps==50k/s"),
    ] {
        assert_eq!(Threshold::parse(typed).unwrap().to_string(), printed);
    }
}

#[test]
fn every_error_names_the_place_and_what_would_be_right() {
    for (typed, at, words) in [
        ("", 1, "no comparison"),
        ("   ", 4, "no comparison"),
        ("p99", 1, "such as p99<20ms"),
        ("http://host/", 1, "no comparison"),
        ("<20ms", 1, "the metric is missing"),
        ("p9o<20ms", 2, "'9o' is no percentile"),
        ("pp<20ms", 1, "no metric 'pp'"),
        ("q99<20ms", 1, "known are p50"),
        ("P99<20ms", 1, "no metric 'P99'"),
        ("service.<20ms", 1, "no metric 'service.'"),
        ("service.rps<5", 1, "no metric"),
        ("lag.p100<20ms", 6, "p100 is max"),
        ("p0<20ms", 2, "p0 is min"),
        ("p00000000000000000000099<1s", 2, "no percentile"),
        ("p99.9999999<20ms", 2, "at most 6 decimals"),
        ("p99.9.9<20ms", 2, "no percentile"),
        ("p99<", 5, "the value is missing; give a time"),
        ("p99<20", 5, "'20' has no unit; give a time such as 20ms"),
        ("p99<0.5", 5, "no unit"),
        ("p99 < 20 apples", 7, "cannot be read"),
        ("p99<-1ms", 5, "negative"),
        ("p99<1%", 5, "cannot be read"),
        ("p99<9000h", 5, "too large"),
        ("p99=<20ms", 5, "cannot be read"),
        ("p99<>20ms", 5, "cannot be read"),
        ("p99<20ms<30ms", 5, "cannot be read"),
        ("p99<0s", 5, "nothing is less than 0"),
        ("max>=0ms", 6, "always holds"),
        ("rps>fast", 5, "'fast' cannot be read"),
        ("rps>1%", 5, "cannot be read"),
        ("rps>2G", 5, "too large"),
        ("transfer>5 apples", 10, "cannot be read"),
        ("transfer>", 10, "the value is missing; give a size per second"),
        ("failed<some", 8, "'some' is neither a count nor a share"),
        ("failed<1.5", 8, "such as 10 or a share such as 0.1%"),
        ("failed<0", 8, "write = for none"),
        ("failed<0%", 8, "write = for none"),
        ("failed>=0", 9, "always holds"),
        ("failed>101%", 8, "more than the whole"),
        ("failed<1%%", 8, "no share"),
        ("failed<%", 8, "no share"),
        ("failed<.5%", 8, "no share"),
        ("failed<0.0000000001%", 8, "at most 9 decimals"),
        ("failed[]<1", 8, "no '' here"),
        ("failed[slow]<1", 8, "known are send, reset, eof"),
        ("failed[timeout|slow]<1", 16, "no 'slow' here"),
        ("failed[timeout<1", 15, "close it with ]"),
        ("failed]<1", 1, "no metric 'failed]'"),
        ("connect_failed[eof]<1", 16, "known are refused"),
        ("checks[header]=0", 8, "known are status, body_bytes, body_hash"),
        ("timeouts[eof]<1", 9, "'timeouts' takes no list"),
        ("status<1", 1, "status[5xx|404]"),
        ("status[]<1", 8, "a status is missing"),
        ("status[5xx|4x]<1", 12, "'4x' is no status"),
        ("status[5xx,404]<1", 8, "'5xx,404' is no status"),
        ("held>1000", 6, "'1000' is no share"),
        ("held>100.1%", 6, "more than the whole"),
        ("é99<1ms", 1, "no metric"),
        ("p99<é", 5, "'é' cannot be read"),
        ("\u{1b}[31m<1ms", 6, "close it with ]"),
    ] {
        let error = Threshold::parse(typed).expect_err(typed);
        let text = error.to_string();
        assert_eq!(error.at, at, "{text}");
        assert!(text.contains(words), "{text}");
        assert!(text.contains(&typed.escape_debug().to_string()), "{text}");
        assert!(!text.contains(char::is_control), "{text:?}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(
        text in "\\PC{0,24}|[a-z.]{0,9}[\\[<>=% |\\]]{0,3}[-+0-9.a-zA-Z%/ ]{0,12}",
    ) {
        match Threshold::parse(&text) {
            Ok(threshold) => {
                prop_assert_eq!(Threshold::parse(&threshold.to_string()), Ok(threshold));
            }
            Err(error) => prop_assert!((1..=text.chars().count() + 1).contains(&error.at)),
        }
    }

    #[test]
    fn a_comparison_is_that_of_the_numbers(limit in 1_u64..5_000, count in 0_u64..5_000) {
        let mut result = RunResult::default();
        result.total.phases[2].failed.add(Failure::Eof, count);
        let passed = |sign: &str| evaluate(&format!("failed{sign}{limit}"), &result).passed;
        prop_assert_eq!(passed("<"), count < limit);
        prop_assert_eq!(passed("<="), count <= limit);
        prop_assert_eq!(passed(">"), count > limit);
        prop_assert_eq!(passed(">="), count >= limit);
        prop_assert_eq!(passed("="), count == limit);
    }

    #[test]
    fn a_share_is_that_of_the_fractions(
        millionths in 1_u64..=1_000_000, part in 0_u64..3_000, rest in 0_u64..3_000,
    ) {
        let mut result = RunResult::default();
        result.total.phases[2].failed.add(Failure::Eof, part);
        result.total.phases[2].completed = rest;
        prop_assume!(part + rest > 0);
        let (whole, decimals) = (millionths / 10_000, millionths % 10_000);
        let passed = evaluate(&format!("failed<{whole}.{decimals:04}%"), &result).passed;
        prop_assert_eq!(passed, part * 1_000_000 < millionths * (part + rest));
    }

    #[test]
    fn a_percentile_never_passes_what_the_sorted_values_fail(
        mut values in proptest::collection::vec(1_u64..1_000_000, 1..400),
        unanswered in 0_u64..40,
        hundredths in 1_u64..10_000,
        limit in 1_u64..1_000_000,
    ) {
        let mut result = RunResult::default();
        values.iter().for_each(|&ns| result.total.latency.record(ns, 1));
        result.total.window_started_failed = unanswered;
        result.total.unanswered.record(1, unanswered);
        let typed = format!("p{}.{:02}<{limit}ns", hundredths / 100, hundredths % 100);
        let found = evaluate(&typed, &result);
        values.sort_unstable();
        let all = values.len() as u64 + unanswered;
        let rank = (hundredths * all).div_ceil(10_000).max(1);
        // Three digits are kept of a value; the exact one may lie a thousandth below.
        let exact = values.get(rank as usize - 1).copied();
        let is_known = u128::from(10_000 - hundredths) * u128::from(all) >= 100_000;
        let certain = exact.is_some_and(|ns| ns < limit) && is_known;
        prop_assert!(!found.passed || certain, "{typed}: {found:?}, exactly {exact:?}");
        let clear = exact.is_some_and(|ns| ns + ns / 500 + 1 < limit) && is_known;
        prop_assert!(!clear || found.passed, "{typed}: {found:?}, exactly {exact:?}");
    }
}
