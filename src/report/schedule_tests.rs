//! Runs on a schedule as people, scripts and readers of JSON see them.

use super::samples::{self, settle};
use super::text::{self, TextOptions};
use super::{json, wrk};
use crate::outcome::{ConnectFailure, Failure};
use crate::record::Phase;
use crate::result::{Interrupted, Invalid, RunResult, Verdict, judge};

const MS: u64 = 1_000_000;

fn plain(result: &RunResult) -> String {
    String::from_utf8(text::render(result, &TextOptions::default())).unwrap()
}

fn verdict_line(result: &RunResult) -> String {
    plain(result).lines().last().unwrap().to_owned()
}

fn parsed(result: &RunResult) -> serde_json::Value {
    serde_json::from_slice(&json::render(result)).unwrap()
}

/// The report behind wrk's block.
fn sections(result: &RunResult) -> String {
    let block = wrk::block(result, wrk::Parts::default());
    plain(result).strip_prefix(&block).unwrap().to_owned()
}

#[test]
fn a_kept_schedule_tells_what_was_asked_and_what_left_when() {
    let expected = "\
Schedule
  asked: 1,000/s, constant arrivals, 2,000 requests
  window: 2,000 due, 2,000 started, 0 shed, 0 unsent at its end
  achieved: 999.50 of the 1,000.00 requests per second that became due; rate held to 99.95 %
  answered: 2,000 of what was due, the drain included: 100.00 %; 0 failed, 0 unresolved at the end
  arrivals: Kolmogorov–Smirnov distance 0.010 between the times from one send to the next \
and the asked ones (0: as asked, 1: nothing in common)
  waiting: the workers slept until 50.0 µs before a request was due, then watched the clock

Send lag
         total (µs)  wring was late (µs)  no connection was free (µs)
  p50        30.015               29.007                        0.000
  p99        54.015               54.000                        0.000
  p99.9           –                    –                            –
  max       254.000               54.000                      254.000
  –: fewer than ten samples lie above it, so it is not known

Requests
               due  started  shed  unsent  completed  failed  received
  window     2,000    2,000     0       0      1,999       0   293 KiB
  drain          0        0     0       0          1       0     150 B
  whole run  2,000    2,000     0       0      2,000       0   293 KiB
  0 still in flight at the end, after a drain of 3.00 ms

";
    let text = plain(&samples::scheduled());
    assert!(text.contains(expected), "{text}");
    let expected = "
Latency in ms
               p50    p75    p90    p99  p99.9  p99.99    max
  corrected  0.379  0.405  0.435  0.554      –       –  1.254
  service    0.349  0.374  0.389  0.398      –       –  1.200
  connect        –      –      –      –      –       –  0.045
  –: fewer than ten samples lie above it, so it is not known
  Corrected latency counts from the time a request was due, service latency from its \
actual send; what lies between them is the send lag.

identities: I1–I5, I7–I8 hold; I6 not applicable
verdict: schedule kept: 100.00 % of what was due was sent and 100.00 % answered, 999.50 of the \
1,000.00 requests per second that became due within the window; wring's own part of the send lag \
was 54.0 µs at p99
";
    assert!(text.ends_with(expected), "{text}");
}

#[test]
fn a_rate_that_is_not_held_is_told_with_its_backlog() {
    let expected = "
Connections
  64 asked, 64 open at the start of the window, 64 to 64 open during it
  1 attempts: 1 established, 0 failed
  closed: by wring 1

Schedule
  asked: 1,000/s, constant arrivals, 2,000 requests
  window: 2,000 due, 1,000 started, 0 shed, 1,000 unsent at its end
  achieved: 499.50 of the 1,000.00 requests per second that became due; rate held to 49.95 %
  answered: 1,000 of what was due, the drain included: 50.00 %; 0 failed, 0 unresolved at the end
  arrivals: Kolmogorov–Smirnov distance 1.000 between the times from one send to the next \
and the asked ones (0: as asked, 1: nothing in common)
  waiting: the workers slept until 50.0 µs before a request was due, then watched the clock

Send lag
         total (ms)  wring was late (µs)  no connection was free (ms)
  p50       499.122                0.000                      499.122
  p99       989.331                0.000                      989.331
  p99.9           –                    –                            –
  max       999.005                5.000                      999.005
  –: fewer than ten samples lie above it, so it is not known

Requests
               due  started  shed  unsent  completed  failed  received
  window     2,000    1,000     0   1,000        999       0   146 KiB
  drain          0        0     0       0          1       0     150 B
  whole run  2,000    1,000     0   1,000      1,000       0   146 KiB
  0 still in flight at the end, after a drain of 3.00 ms

Status codes in the window
  200  999

Latency in ms
                        p50         p75         p90         p99  p99.9  p99.99         max
  corrected         501.219     751.305     901.251     991.429      –       –    1001.005
  with unfinished  1001.005  ≥ 1001.005  ≥ 1001.005  ≥ 1001.005      –       –  ≥ 1001.005
  service             2.000       2.000       2.000       2.000      –       –       2.000
  connect                 –           –           –           –      –       –       0.045
  –: fewer than ten samples lie above it, so it is not known
  with unfinished: the 1,000 requests of the window that failed, were never answered or \
never sent count as slower than any answer
  The rate was not held, so corrected latency is mostly the wait in the backlog: it grows \
for as long as the run lasts, whatever one answer takes; --deadline sheds requests that \
cannot start in time.
  Corrected latency counts from the time a request was due, service latency from its \
actual send; what lies between them is the send lag.

identities: I1–I5, I7–I8 hold; I6 not applicable
verdict: rate not held by the target: 49.95 % of what was due was answered in the window \
(50.00 % with the drain), 499.50 of the 1,000.00 requests per second that became due; 1,000 were unsent at its end; \
no connection was free, for 989 ms at p99: if the target has room for more, try more connections (-c) or \
pipelining (-p)
";
    let ours = sections(&samples::overloaded());
    assert_eq!(ours, expected, "{ours}");
}

#[test]
fn wrk2s_text_is_reproduced_line_by_line() {
    let expected = "\
Running 2s test @ http://127.0.0.1:8080/
  2 threads and 64 connections
  Thread calibration: mean lat.: 0.389ms, rate sampling interval: 100ms
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   389.38us   95.87us   1.25ms   98.05%
    Req/Sec     1.00k     2.98     1.00k    94.74%
  Latency Distribution (HdrHistogram - Recorded Latency)
 50.000%  379.00us
 75.000%  405.00us
 90.000%  435.00us
 99.000%  554.00us
 99.900%    1.25ms
 99.990%    1.25ms
 99.999%    1.25ms
100.000%    1.25ms

  Detailed Percentile spectrum:
       Value   Percentile   TotalCount 1/(1-Percentile)

       0.305     0.000000            1         1.00
       0.325     0.100000          201         1.11
       0.345     0.200000          401         1.25
       0.359     0.300000          601         1.43
       0.369     0.400000          801         1.67
       0.379     0.500000         1001         2.00
       0.385     0.550000         1121         2.22
       0.389     0.600000         1201         2.50
       0.395     0.650000         1321         2.86
       0.399     0.700000         1401         3.33
       0.405     0.750000         1501         4.00
       0.411     0.775000         1561         4.44
       0.415     0.800000         1601         5.00
       0.421     0.825000         1661         5.71
       0.425     0.850000         1701         6.67
       0.431     0.875000         1761         8.00
       0.433     0.887500         1781         8.89
       0.435     0.900000         1801        10.00
       0.439     0.912500         1841        11.43
       0.441     0.925000         1861        13.33
       0.443     0.937500         1881        16.00
       0.445     0.943750         1901        17.78
       0.445     0.950000         1901        20.00
       0.447     0.956250         1921        22.86
       0.449     0.962500         1941        26.67
       0.449     0.968750         1941        32.00
       0.451     0.971875         1961        35.56
       0.451     0.975000         1961        40.00
       0.451     0.978125         1961        45.71
       0.554     0.981250         1980        53.33
       0.554     0.984375         1980        64.00
       0.554     0.985938         1980        71.11
       0.554     0.987500         1980        80.00
       0.554     0.989062         1980        91.43
       1.254     0.990625         2000       106.67
       1.254     1.000000         2000          inf
#[Mean    =        0.389, StdDeviation   =        0.096]
#[Max     =        1.254, Total count    =         2000]
#[Buckets =           27, SubBuckets     =         2048]
----------------------------------------------------------
  1999 requests in 2.00s, 292.82KB read
Requests/sec:    999.50
Transfer/sec:    146.41KB
";
    let text = text::render_wrk2(&samples::scheduled(), true, false);
    assert_eq!(String::from_utf8(text).unwrap(), expected);
}

#[test]
fn the_uncorrected_block_follows_the_recorded_one_and_implies_it() {
    let result = samples::scheduled();
    let render = |latency, uncorrected| {
        String::from_utf8(text::render_wrk2(&result, latency, uncorrected)).unwrap()
    };
    let whole = render(true, true);
    assert_eq!(render(false, true), whole);
    let recorded = render(true, false);
    let rule = format!("{}\n", "-".repeat(58));
    let (head, tail) = recorded.split_once(&rule).unwrap();
    let second = whole.strip_prefix(head).unwrap().strip_suffix(tail).unwrap();
    let second = second.strip_prefix(&rule).unwrap();
    assert!(
        second.starts_with(
            "\n  Latency Distribution (HdrHistogram - Uncorrected Latency (measured without taking \
             delayed starts into account))\n 50.000%  349.00us\n"
        ),
        "{second}"
    );
    assert!(second.ends_with(&rule));
    assert!(!render(false, false).contains("Distribution"));
}

#[test]
fn the_normal_report_has_wrk2s_block_without_the_calibration() {
    let result = samples::scheduled();
    let options = TextOptions { uncorrected: true, ..TextOptions::default() };
    let text = String::from_utf8(text::render(&result, &options)).unwrap();
    let wrk2 = String::from_utf8(text::render_wrk2(&result, true, true)).unwrap();
    let calibration = "  Thread calibration: mean lat.: 0.389ms, rate sampling interval: 100ms\n";
    assert!(wrk2.contains(calibration) && !text.contains("calibration"));
    assert!(text.starts_with(&wrk2.replace(calibration, "")));
    // A closed loop has one latency, so the option changes nothing.
    let calm = samples::calm();
    let with = String::from_utf8(text::render(&calm, &options)).unwrap();
    assert_eq!(with, plain(&calm));
}

#[test]
fn there_is_one_line_of_calibration_for_each_thread_and_none_without_an_answer() {
    let mut result = samples::scheduled();
    result.workers.push(result.workers[0].clone());
    let lines = |result: &RunResult| {
        let text = String::from_utf8(text::render_wrk2(result, false, false)).unwrap();
        text.matches("  Thread calibration: mean lat.: ").count()
    };
    assert_eq!(lines(&result), 2);
    result.total.latency.clear();
    assert_eq!(lines(&result), 0);
}

#[test]
fn a_deadline_is_told_and_changes_how_overload_is_read() {
    let result = samples::shedding();
    let text = plain(&result);
    for part in [
        "  asked: 1,000/s, constant arrivals, 2,000 requests, to be started within 100 ms or \
         shed\n",
        "  window: 2,000 due, 1,000 started, 900 shed, 100 unsent at its end\n",
        "  window     2,000    1,000   900     100        999       0   146 KiB\n",
        "mostly the wait in the backlog: --deadline bounds the wait to 100 ms before",
        "; 100 were unsent at its end; 900 were shed past their deadline; no connection was free",
        "  shed, and not in the table: 900 after 100 ms on average, 100 ms at most; wring was late for \
         0 s of it on average\n",
    ] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
}

#[test]
fn a_target_that_falls_behind_a_deep_pipeline_is_asked_for_less_not_for_more() {
    let mut result = samples::scheduled();
    result.verdict = Verdict::RateNotHeld { achieved_share: 0.9995 };
    assert_eq!(
        verdict_line(&result),
        "verdict: rate not held by the target: 99.95 % of what was due was answered in the window \
         (100.00 % with the drain), 999.50 of the 1,000.00 requests per second that became due; \
         connections had room, and the answers fell behind: try a lower -R"
    );
}

#[test]
fn sheds_that_wring_was_late_for_are_not_put_on_the_target() {
    let mut result = samples::shedding();
    assert!(!verdict_line(&result).contains("because wring was late"));
    let shed = &mut result.total.sending.shed;
    (shed.late, shed.late_sum_ns) = (15, 15 * 110_000_000);
    let line = verdict_line(&result);
    let part =
        "900 were shed past their deadline (15 of them because wring was late); no connection";
    assert!(line.contains(part), "{line}");
    let text = plain(&result);
    let part = "wring was late for 1.83 ms of it on average, for 15 of them the larger part\n";
    assert!(text.contains(part), "{text}");
    // Nothing but those was missing.
    result = samples::scheduled();
    (result.total.sending.shed.late, result.total.sending.shed.count) = (15, 15);
    result.total.phases[Phase::Window as usize].shed = 15;
    assert!(verdict_line(&result).ends_with("at p99; 15 were shed because wring was late"));
    result.verdict = Verdict::RateNotHeld { achieved_share: 0.5 };
    assert!(!verdict_line(&result).contains("no connection was free"), "{line}");
    result.verdict = Verdict::Invalid(vec![Invalid::OwnShed { count: 50 }]);
    let line = verdict_line(&result);
    let part = "wring itself was late for the deadline of 50 requests, 2.5 % of what was due; likely \
                cause: a worker's loop stood still for up to 3.00 ms: its CPU was taken away; do not";
    assert!(line.contains(part), "{line}");
    let late = Invalid::OwnLag { p99_ns: 2_310_000, limit_ns: 1_000_000 };
    result.verdict = Verdict::Invalid(vec![late, Invalid::OwnShed { count: 50 }]);
    assert_eq!(verdict_line(&result).matches("likely cause").count(), 1);
}

/// Of 2,000 requests so many failed for each cause in the window, and so many were unresolved.
fn unanswered(failures: &[(Failure, u64)], unresolved: u64) -> RunResult {
    let mut result = samples::scheduled();
    let window = &mut result.total.phases[Phase::Window as usize];
    for &(cause, count) in failures {
        window.failed.add(cause, count);
    }
    let failed = window.failed.total();
    window.completed -= failed + unresolved;
    result.total.latency.clear();
    result.total.latency.record(MS, 2_000 - failed - unresolved);
    result.total.window_started_failed = failed;
    result.total.window_started_inflight_end = unresolved;
    result.verdict = judge(&result);
    result
}

#[test]
fn what_failed_most_is_named_as_the_reason() {
    let result = unanswered(&[(Failure::Eof, 99), (Failure::Reset, 500)], 0);
    assert!(
        verdict_line(&result).ends_with(
            "70.00 % of what was due was answered in the window (70.05 % with the drain), 700.00 of \
             the 1,000.00 requests per second that became due; 599 failed: reset 500, eof 99; look at \
             the target"
        ),
        "{}",
        verdict_line(&result)
    );
    let text = plain(&result);
    let part = "  answered: 1,401 of what was due, the drain included: 70.05 %; 599 failed, 0 \
                unresolved at the end\n";
    assert!(text.contains(part), "{text}");
    // None was answered in time, and the others never found a connection.
    let mut result = unanswered(&[(Failure::Timeout, 1_999)], 0);
    result.total.phases[Phase::Window as usize].unsent = 1_600;
    let line = verdict_line(&result);
    let part = "; 1,999 failed: timeout 1,999; 1,600 were unsent at its end; no connection was free \
                for those; most of them because no answer came within 2.00 s of the send";
    assert!(line.contains(part), "{line}");
    assert!(!line.contains("try more connections"), "{line}");
    let line = verdict_line(&unanswered(&[], 500));
    let part = "; 500 had no answer when the drain ended; it is not known whether they would have";
    assert!(line.contains(part), "{line}");
    // A few failures beside a backlog are not its reason.
    let mut result = samples::overloaded();
    result.total.phases[Phase::Window as usize].failed.add(Failure::Reset, 3);
    result.total.window_started_failed = 3;
    let line = verdict_line(&result);
    assert!(line.contains("; 3 failed: reset 3; 1,000 were unsent"), "{line}");
    assert!(line.ends_with("try more connections (-c) or pipelining (-p)"), "{line}");
}

#[test]
fn a_window_shorter_than_an_answer_tells_so() {
    let mut result = samples::scheduled();
    result.total.phases[Phase::Window as usize].completed = 0;
    result.verdict = judge(&result);
    let line = verdict_line(&result);
    assert!(
        line.contains("0.00 % of what was due was answered in the window (100.00 % with"),
        "{line}"
    );
    assert!(
        line.ends_with("; an answer takes longer than the window: measure for longer"),
        "{line}"
    );
}

#[test]
fn latency_is_called_a_wait_only_where_most_of_it_is_one() {
    let mut result = samples::scheduled();
    result.verdict = Verdict::RateNotHeld { achieved_share: 0.5 };
    assert!(!plain(&result).contains("mostly the wait"), "two requests in a hundred waited");
    assert!(plain(&samples::overloaded()).contains("mostly the wait in the backlog: it grows"));
}

#[test]
fn random_arrivals_are_held_against_what_became_due() {
    let mut result = samples::scheduled();
    let schedule = result.asked.schedule.as_mut().unwrap();
    (schedule.arrivals, schedule.rate_per_s) = ("poisson".to_owned(), 980.0);
    let text = plain(&result);
    let part = "  achieved: 999.50 of the 1,000.00 requests per second that became due; rate held to 99.95 %\n";
    assert!(text.contains(part), "{text}");
}

#[test]
fn wrings_own_lag_is_named_with_its_likely_cause() {
    let line = |change: fn(&mut RunResult)| {
        let mut result = samples::scheduled();
        result.total.sending.late.clear();
        result.total.sending.late.record(2_310_000, 2_000);
        change(&mut result);
        settle(&mut result);
        assert!(matches!(&result.verdict, Verdict::Invalid(_)));
        verdict_line(&result)
    };
    let expected = "verdict: invalid: wring itself sent late, by 2.31 ms at p99, where 1.00 ms are \
                    accepted; likely cause: ";
    for (change, cause) in [
        (
            (|result| result.workers[0].starved_ns = 100_000_000) as fn(&mut RunResult),
            "a worker waited for its CPU for 5 % of the window",
        ),
        (|result| result.workers[0].busy_ns = 1_900_000_000, "a worker was busy 95 % of"),
        (|_| {}, "a worker's loop stood still for up to 3.00 ms: its CPU was taken away"),
        (
            |result| {
                result.workers[0].turn_gap_ns_max = 1;
                result.asked.schedule.as_mut().unwrap().spin_ns = 0;
            },
            "the workers slept until a request was due and woke up late;",
        ),
        (
            |result| {
                result.workers[0].turn_gap_ns_max = 1;
                result.asked.schedule.as_mut().unwrap().spin_ns = 0;
                result.asked.options.push("--no-spin".to_owned());
                result.target_on_this_machine = true;
            },
            "the workers slept until a request was due (--no-spin) and woke up late",
        ),
        (
            |result| {
                result.workers[0].turn_gap_ns_max = 1;
                result.asked.schedule.as_mut().unwrap().spin_ns = 0;
                result.target_on_this_machine = true;
            },
            "the workers slept until a request was due, because looking at the clock would take \
             the last CPU from the target, and woke up late: run fewer threads (-t)",
        ),
        (
            |result| result.workers[0].turn_gap_ns_max = 1,
            "no worker was starved or busy, so the cause is not known",
        ),
    ] {
        let found = line(change);
        let rest = found.strip_prefix(expected).unwrap_or_else(|| panic!("{found}"));
        assert!(rest.starts_with(cause), "{rest}");
        assert!(rest.ends_with("; do not use these numbers"));
    }
}

#[test]
fn rates_over_a_window_that_was_cut_short_fit_their_share() {
    let mut result = samples::scheduled();
    // Of a ramp to 1,000/s over 20 seconds the first four, in which 2,000 became due.
    result.window_ns = 4_000_000_000;
    result.interrupted = Some(Interrupted::Interrupt);
    let schedule = result.asked.schedule.as_mut().unwrap();
    (schedule.profile, schedule.rate_per_s) = ("0/s->1,000/s:20s".to_owned(), 500.0);
    schedule.requests = Some(10_000);
    let text = plain(&result);
    for part in [
        "  asked: 0/s->1,000/s:20s, constant arrivals, 10,000 requests (of which 2,000 became due \
         before the interruption)\n",
        "  achieved: 499.75 of the 500.00 requests per second that became due; rate held to 99.95 \
         %\n",
    ] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    result.window_ns = 8_000_000_000;
    let schedule = &parsed(&result)["schedule"];
    assert_eq!(schedule["asked_per_s"], 500.0);
    assert_eq!(schedule["due_per_s"], 250.0);
    assert_eq!(schedule["achieved_per_s"], 249.875);
    assert_eq!(schedule["achieved_share"], 249.875 / 250.0);
    // All of it had become due, or nothing ended it early.
    result.asked.schedule.as_mut().unwrap().requests = Some(2_000);
    assert!(!plain(&result).contains("of which"));
}

/// Half of the requests found no connection, and none that was sent had waited for one.
fn killed_midway() -> RunResult {
    let mut result = samples::overloaded();
    result.total.sending.waited.clear();
    result.total.sending.waited.record(0, 1_000);
    for _ in 0..819 {
        result.total.connections.failed.add(ConnectFailure::Refused, 1);
    }
    result.open.min = 0;
    result
}

#[test]
fn connections_that_were_down_come_before_what_more_of_them_might_do() {
    let line = verdict_line(&killed_midway());
    assert!(
        line.ends_with(
            " that became due; connections were down: connect refused 819 times, at times none of \
             64 was open; 1,000 were unsent at its end; no connection was free for those; see why \
             connections failed or closed before asking for more of them"
        ),
        "{line}"
    );
    let mut result = samples::overloaded();
    result.open.min = 60;
    let line = verdict_line(&result);
    let part = "due; connections were down: at times only 60 of 64 were open; 1,000 were unsent at \
                its end; no connection was free, for 989 ms at p99; see why";
    assert!(line.contains(part), "{line}");
    // Attempts that failed before the window took nothing from it.
    result.open.min = 64;
    result.total.connections.failed.add(ConnectFailure::Timeout, 1);
    let line = verdict_line(&result);
    assert!(line.contains("due; attempts to connect failed: connect timeout once; 1,0"), "{line}");
    let mut result = samples::scheduled();
    result.verdict = Verdict::RateNotHeld { achieved_share: 0.9995 };
    result.open.min = 63;
    let line = verdict_line(&result);
    let part = "at times only 63 of 64 were open; those that were open had room, and the answers";
    assert!(line.contains(part), "{line}");
}

#[test]
fn a_wait_of_nothing_is_no_evidence() {
    let result = killed_midway();
    assert!(!verdict_line(&result).contains("at p99"));
    assert!(!plain(&result).contains("mostly the wait"), "the median of the waits is 0");
}

#[test]
fn a_rate_that_wring_could_not_send_is_not_put_on_the_target() {
    let mut result = samples::overloaded();
    result.verdict = Verdict::GeneratorLimited { busy_share: 0.95 };
    assert_eq!(
        verdict_line(&result),
        "verdict: generator-limited: 49.95 % of what was due was answered in the window (50.00 % with \
         the drain), 499.50 of the 1,000.00 requests per second that became due; wring's busiest worker was busy 95 % of \
         the window; the target may be able to do more: give wring more CPUs (-t, --cpus) or ask \
         for a lower -R"
    );
}

#[test]
fn starvation_names_the_quota_and_who_else_may_be_there() {
    let line = |change: fn(&mut RunResult)| {
        let mut result = samples::overloaded();
        result.verdict = Verdict::Invalid(vec![Invalid::Starved { share: 0.4 }]);
        change(&mut result);
        verdict_line(&result)
    };
    let spins = line(|_| {});
    assert_eq!(
        spins,
        "verdict: invalid: a worker waited for its CPU for 40 % of the window: something else runs \
         there, or a CPU quota is too small; give wring more CPU, or with a quota try --no-spin; do \
         not use these numbers"
    );
    let sleeps = line(|result| result.asked.schedule.as_mut().unwrap().spin_ns = 0);
    assert!(!sleeps.contains("--no-spin"), "{sleeps}");
    let shared = line(|result| result.target_on_this_machine = true);
    assert!(shared.contains("something else runs there, such as the target, or a"), "{shared}");
}

#[test]
fn a_percentile_that_too_few_requests_reach_is_not_claimed() {
    let few = |result: &mut RunResult| {
        result.total.sending.late.clear();
        result.total.sending.late.record(40_000, 500);
    };
    let mut result = samples::scheduled();
    few(&mut result);
    let line = verdict_line(&result);
    assert!(line.ends_with("part of the send lag was 40.0 µs at most"), "{line}");
    result.verdict =
        Verdict::Invalid(vec![Invalid::OwnLag { p99_ns: 2_310_000, limit_ns: 1_000_000 }]);
    let line = verdict_line(&result);
    let part = "by 2.31 ms at the highest percentile with ten requests above it, where 1.00 ms";
    assert!(line.contains(part), "{line}");
}

#[test]
fn a_suspended_machine_is_named() {
    let mut result = samples::scheduled();
    result.suspended_ns = 3_000_000_000;
    settle(&mut result);
    assert_eq!(
        verdict_line(&result),
        "verdict: invalid: the machine was suspended for 3.00 s during the run; do not use these \
         numbers"
    );
}

#[test]
fn random_arrivals_name_their_seed_and_short_gaps_are_not_compared() {
    let mut result = samples::scheduled();
    let schedule = result.asked.schedule.as_mut().unwrap();
    schedule.arrivals = "poisson".to_owned();
    schedule.requests = None;
    schedule.spin_ns = 0;
    result.workers[0].busy_ns = 1_900_000_000;
    result.workers[0].turns = 100;
    let text = plain(&result);
    for part in [
        "  asked: 1,000/s, poisson arrivals (seed 18446744073709551615)\n",
        "  arrivals: not compared with the asked ones: requests follow each other within ten turns \
         of the loop, so the send lag is the evidence\n",
        "  waiting: the workers slept until a request was due; waking up is in the send lag\n",
    ] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    result.total.sending.gap_tenths.fill(0);
    assert!(
        plain(&result).contains("asked ones: no two requests of a worker left in the window\n")
    );
}

#[test]
fn only_a_whole_share_is_a_hundred_percent() {
    for (share, text) in [
        (1.0, "100.00"),
        (0.999_999, "99.99"),
        (0.9998, "99.98"),
        (0.29, "29.00"),
        (0.57, "57.00"),
        (0.0, "0.00"),
        (1.0001, "100.01"),
        (0.999, "99.90"),
    ] {
        assert_eq!(super::words::exact_percent(share), text);
    }
}

#[test]
fn json_carries_the_three_clocks_and_the_schedule() {
    let json = parsed(&samples::shedding());
    let asked = &json["asked"]["schedule"];
    assert_eq!(asked["profile"], "1,000/s");
    assert_eq!(asked["arrivals"], "constant");
    assert_eq!(asked["requests"], 2_000);
    assert_eq!(asked["rate_per_s"], 1000.0);
    assert_eq!(asked["deadline_ns"], 100_000_000);
    assert_eq!(asked["spin_ns"], 50_000);
    let requests = &json["requests"];
    assert_eq!(requests["due"], 2_000);
    assert_eq!(requests["started"], 1_000);
    assert_eq!(requests["shed"], 900);
    assert_eq!(requests["unsent_end"], 100);
    let schedule = &json["schedule"];
    assert_eq!(schedule["asked_per_s"], 1000.0);
    assert_eq!(schedule["due_per_s"], 1000.0);
    assert_eq!(schedule["achieved_per_s"], 499.5);
    assert_eq!(schedule["sent_share"], 0.5);
    assert_eq!(schedule["answered_share"], 0.5);
    assert_eq!(schedule["achieved_share"], 0.4995);
    assert_eq!(schedule["arrivals_distance"], 1.0);
    assert_eq!(json["latency"]["max_ns"], 101_005_000);
    assert_eq!(json["service"]["max_ns"], 2_000_000);
    let send_lag = &json["send_lag"];
    assert_eq!(send_lag["total"]["max_ns"], 99_005_000);
    assert_eq!(send_lag["late"]["max_ns"], 5_000);
    assert_eq!(send_lag["no_connection"]["max_ns"], 99_005_000);
    for part in ["total", "late", "no_connection"] {
        assert_eq!(send_lag[part]["count"], 1_000, "{part}");
    }
    let shed = &schedule["shed_lag"];
    assert_eq!((&shed["count"], &shed["late"]), (&900.into(), &0.into()));
    assert_eq!(shed["max_ns"], 100_005_000);
    assert_eq!(json["unanswered"]["shed"], 900);
    assert_eq!(json["verdict"]["kind"], "rate not held by the target");
    assert_eq!(json["verdict"]["achieved_share"], 0.4995);
    let closed = parsed(&samples::calm());
    for field in ["schedule", "service", "send_lag"] {
        assert!(closed[field].is_null(), "{field}");
    }
    assert!(closed["asked"]["schedule"].is_null());
    assert_eq!(closed["requests"]["due"], closed["requests"]["started"]);
}

#[test]
fn the_series_in_json_shows_the_backlog_grow() {
    let json = parsed(&samples::overloaded());
    let seconds = json["seconds"].as_array().unwrap();
    let column = |name: &str| -> Vec<u64> {
        seconds.iter().map(|second| second[name].as_u64().unwrap()).collect()
    };
    assert_eq!(column("asked"), [999, 1_000, 1]);
    assert_eq!(column("started"), [500, 500, 0]);
    assert_eq!(column("unsent"), [0, 0, 1_000]);
    assert_eq!(column("backlog_start"), [0, 499, 999]);
    assert_eq!(column("backlog_end"), [499, 999, 0]);
    assert_eq!(column("lag_max_ns"), [499_005_000, 999_005_000, 0]);
    assert!(seconds[0]["p99_ns"].is_u64());
}

#[test]
fn every_number_of_a_schedule_appears_in_the_json() {
    let mut result = samples::scheduled();
    let second = &mut result.seconds[0];
    let places = [
        &mut second.backlog_start,
        &mut second.backlog_end,
        &mut second.lag_ns_max,
        &mut second.turn_gap_ns_max,
        &mut second.flow.due,
        &mut second.flow.shed,
        &mut second.flow.unsent,
    ];
    let mut planted = Vec::new();
    for (index, place) in places.into_iter().enumerate() {
        *place = 8_000_001 + index as u64;
        planted.push(*place);
    }
    let json = String::from_utf8(json::render(&result)).unwrap();
    for value in planted {
        assert!(json.contains(&format!(":{value}")), "{value} is missing");
    }
    result.verdict = Verdict::Invalid(vec![
        Invalid::Suspended { suspended_ns: 8_100_001 },
        Invalid::OwnLag { p99_ns: 8_100_002, limit_ns: 8_100_003 },
        Invalid::OwnShed { count: 8_100_004 },
    ]);
    let verdict = &parsed(&result)["verdict"];
    assert_eq!(verdict["suspended_ns"], 8_100_001);
    assert_eq!(verdict["own_lag_p99_ns"], 8_100_002);
    assert_eq!(verdict["own_lag_limit_ns"], 8_100_003);
    assert_eq!(verdict["own_shed"], 8_100_004);
}

#[test]
fn the_workers_table_tells_work_from_spinning() {
    let options = TextOptions { verbose: true, ..TextOptions::default() };
    let text = String::from_utf8(text::render(&samples::scheduled(), &options)).unwrap();
    let line = text.lines().find(|line| line.contains("worker 0")).unwrap();
    let cells: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(cells[5..9], ["5", "%", "20", "%"], "{line}");
}
