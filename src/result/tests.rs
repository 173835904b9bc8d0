//! Every identity is broken by the fault it watches for; verdicts follow from busy shares.

use super::*;
use crate::outcome::Failure;
use crate::record::{GAP_TENTHS, Recorder, Stamps, interval_queue, lag_of};
use crate::rng::Rng;

/// A small honest run: 400 started, 398 answered, one failed, one left in flight.
fn honest() -> WorkerRecord {
    let (writer, _reader) = interval_queue(1_000_000_000);
    let mut recorder = Recorder::new(writer);
    recorder.connections_mut().attempts += 1;
    recorder.advance(10);
    recorder.established(5, 0);
    recorder.enter_window(recorder.now_ns());
    for step in 0..398_u64 {
        recorder.advance(100 + step * 100);
        recorder.due(1);
        recorder.started(1, 40);
        recorder.advance(150 + step * 100);
        recorder.received(100);
        recorder.bytes_mut().head += 60;
        recorder.bytes_mut().body += 40;
        recorder.answered(200, 1, Stamps::closed(100 + step * 100));
    }
    recorder.due(2);
    recorder.started(2, 40);
    let sent_ns = recorder.now_ns();
    recorder.enter(Phase::Drain);
    recorder.advance(sent_ns + 500);
    recorder.failed(Failure::Eof, 1, Stamps::closed(sent_ns));
    recorder.left_in_flight(1, Stamps::closed(sent_ns));
    recorder.connections_mut().closed_by_us += 1;
    recorder.finish()
}

fn seconds_of(record: &WorkerRecord) -> Vec<Second> {
    let whole = record.whole();
    vec![Second {
        inflight_end: record.inflight_end,
        flow: Flow {
            due: whole.due,
            shed: whole.shed,
            unsent: whole.unsent,
            started: whole.started,
            completed: whole.completed,
            failed: whole.failed.total(),
            bytes_in: whole.bytes_in,
        },
        ..Second::default()
    }]
}

fn broken(record: &WorkerRecord, target_requests: Option<u64>) -> Vec<&'static str> {
    let seconds = seconds_of(record);
    check(record, std::slice::from_ref(record), &seconds, 1, target_requests)
        .into_iter()
        .filter(|check| check.holds == Some(false))
        .map(|check| check.identity.name())
        .collect()
}

#[test]
fn an_honest_record_breaks_nothing() {
    let record = honest();
    assert_eq!(broken(&record, Some(399)), Vec::<&str>::new());
    let checks = check(&record, std::slice::from_ref(&record), &seconds_of(&record), 1, Some(399));
    assert!(checks.iter().all(|check| check.holds == Some(true)), "{checks:?}");
}

#[test]
fn what_is_shown_of_an_identity_is_one_equation_with_its_own_sides() {
    let record = honest();
    let shown = |record: &WorkerRecord| {
        let seconds = seconds_of(record);
        let checks = check(record, std::slice::from_ref(record), &seconds, 1, Some(399));
        checks.into_iter().map(|c| (c.equation, c.left, c.right, c.worker)).collect::<Vec<_>>()
    };
    let all = shown(&record);
    let third = ("completed = sum of statuses".to_owned(), 398, 398, None);
    assert_eq!(all[2], third, "of the total, and not of what it says besides");
    let fourth = "attempts = established + failed + undecided at the end".to_owned();
    assert_eq!(all[3], (fourth, 1, 1, None));
    let mut broken = record;
    broken.latency.record(1, 1);
    let claim = "latency samples + failed + unresolved = started in the window".to_owned();
    assert_eq!(shown(&broken)[2], (claim, 401, 400, Some(0)), "the one that broke");
}

#[test]
fn every_identity_is_broken_by_the_fault_it_watches_for() {
    let fault = |change: fn(&mut WorkerRecord)| {
        let mut record = honest();
        change(&mut record);
        broken(&record, Some(399))
    };
    assert!(fault(|r| r.phases[2].due += 1).contains(&"I1"));
    assert!(fault(|r| r.phases[2].started += 1).contains(&"I2"));
    assert!(fault(|r| r.inflight_end += 1).contains(&"I2"));
    assert!(fault(|r| r.phases[2].statuses[200] += 1).contains(&"I3"));
    assert!(fault(|r| r.latency.record(1, 1)).contains(&"I3"));
    assert!(fault(|r| r.connections.attempts += 1).contains(&"I4"));
    assert!(fault(|r| r.connections.closed_by_us = 0).contains(&"I4"));
    assert!(fault(|r| r.bytes.stray += 1).contains(&"I5"));
    assert!(fault(|r| r.inflight_sum_ns += r.inflight_sum_ns / 50).contains(&"I8"));
    let record = honest();
    assert_eq!(broken(&record, Some(397)), ["I6"]);
    assert_eq!(broken(&record, Some(401)), ["I6"]);
    let mut seconds = seconds_of(&record);
    seconds[0].flow.completed -= 1;
    let checks = check(&record, std::slice::from_ref(&record), &seconds, 1, None);
    assert_eq!(checks[6].holds, Some(false));
    let mut other = record.clone();
    other.latency.record(77, 1);
    let checks = check(&record, &[other], &seconds_of(&record), 1, None);
    assert!(checks[6].is_broken(), "the merge is compared bucket by bucket");
}

#[test]
fn unanswered_requests_count_as_slower_than_any() {
    let mut result = RunResult { total: honest(), ..RunResult::default() };
    result.total.window_started_failed = 397;
    result.total.unanswered.record(900, 396);
    assert_eq!(result.unanswered(), 398);
    assert_eq!(result.quantile_with_unanswered(0.25), Ok(result.total.latency.quantile(0.5)));
    assert_eq!(result.quantile_with_unanswered(0.501), Err(500), "the shortest of the waits");
    assert_eq!(result.quantile_with_unanswered(0.9), Err(900));
}

const MS: u64 = 1_000_000;

/// A closed loop of one second with 1,000 answers of 1 ms and one worker.
fn closed_loop(busy_ns: u64, starved_ns: u64) -> RunResult {
    let worker = WorkerSummary { cpu: Some(0), busy_ns, starved_ns, ..WorkerSummary::default() };
    let mut result =
        RunResult { window_ns: 1000 * MS, workers: vec![worker], ..RunResult::default() };
    (result.asked.connections, result.open.max) = (64, 64);
    result.total.phases[Phase::Window as usize].completed = 1000;
    result.total.latency.record(MS, 1000);
    result
}

#[test]
fn the_busiest_worker_decides_who_set_the_pace() {
    let with = |busy_ns: u64, turn_gap_ns_max: u64| {
        let mut result = closed_loop(busy_ns, 0);
        result.workers[0].turn_gap_ns_max = turn_gap_ns_max;
        result.workers.push(WorkerSummary::default());
        judge(&result)
    };
    assert_eq!(with(950 * MS, 0), Verdict::GeneratorLimited { busy_share: 0.95 });
    assert_eq!(
        with(620 * MS, 0),
        Verdict::NotGeneratorLimited { busy_share: 0.62, try_connections: Some(256) }
    );
    let gap_ns = 1_500 * MS;
    assert_eq!(with(620 * MS, gap_ns), Verdict::Invalid(vec![Invalid::Gap { gap_ns }]));
}

#[test]
fn a_worker_that_waits_for_its_cpu_blames_the_target_only_where_that_may_be_there() {
    let with = |starved_ns: u64, on_this_machine: bool, target_cpus: Option<Vec<u32>>| {
        let result = closed_loop(300 * MS, starved_ns);
        judge(&RunResult { target_on_this_machine: on_this_machine, target_cpus, ..result })
    };
    let invalid = Verdict::Invalid(vec![Invalid::Starved { share: 0.65 }]);
    assert_eq!(with(650 * MS, false, None), invalid);
    assert_eq!(with(650 * MS, true, Some(vec![1, 2])), invalid, "it has other CPUs");
    let short = Verdict::ShortOfCpu { busy_share: 0.3, starved_share: 0.65 };
    assert_eq!(with(650 * MS, true, Some(vec![0])), short);
    assert_eq!(with(650 * MS, true, None), short, "not known to have others");
    let spare = Verdict::NotGeneratorLimited { busy_share: 0.3, try_connections: Some(256) };
    assert_eq!(with(50 * MS, false, None), spare, "the share it was busy, not the wait");
    let mut unanswered = RunResult { target_on_this_machine: true, ..closed_loop(0, 650 * MS) };
    let window = &mut unanswered.total.phases[Phase::Window as usize];
    window.completed = 0;
    window.failed.add(Failure::Timeout, 9);
    let nobody = matches!(judge(&unanswered), Verdict::NotGeneratorLimited { .. });
    assert!(nobody, "a target that answers nothing competes for nothing");
    let mut unpinned = closed_loop(300 * MS, 650 * MS);
    (unpinned.workers[0].cpu, unpinned.manifest.cpus_allowed) = (None, vec![0, 1]);
    (unpinned.target_on_this_machine, unpinned.target_cpus) = (true, Some(vec![1]));
    assert_eq!(judge(&unpinned), short);
}

#[test]
fn one_wait_in_a_short_window_is_no_starvation_and_no_time_to_spare_is_not_the_targets_pace() {
    let mut short = closed_loop(3 * MS, 2 * MS);
    short.window_ns = 10 * MS;
    assert!(matches!(judge(&short), Verdict::NotGeneratorLimited { .. }));
    let occupied = closed_loop(860 * MS, 80 * MS);
    let verdict = Verdict::ShortOfCpu { busy_share: 0.86, starved_share: 0.08 };
    assert_eq!(judge(&occupied), verdict);
}

#[test]
fn without_evidence_nobody_is_said_to_have_set_the_pace() {
    let with = |window_ns: u64, completed: u64, failed: u64| {
        let mut result = RunResult { window_ns, ..closed_loop(0, 0) };
        let window = &mut result.total.phases[Phase::Window as usize];
        window.completed = completed;
        window.failed.add(Failure::Eof, failed);
        judge(&result) != Verdict::NotJudged
    };
    assert!(!with(1, 0, 0) && !with(1_000, 3, 0) && !with(9 * MS, 99, 0));
    assert!(with(9 * MS, 100, 0) && with(10 * MS, 1, 0));
    assert!(!with(1000 * MS, 0, 0), "no answer, and nothing that failed");
    assert!(with(1000 * MS, 0, 1));
}

#[test]
fn more_connections_are_no_advice_where_the_target_had_stopped_answering() {
    let advice = |length_ns: u64, median_ns: u64| {
        let mut result = closed_loop(0, 0);
        result.total.latency.clear();
        result.total.latency.record(median_ns, 1000);
        result.silent_end = Some(SilentEnd { length_ns, inflight: 64 });
        match judge(&result) {
            Verdict::NotGeneratorLimited { try_connections, .. } => try_connections,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(advice(600 * MS, MS), None);
    assert_eq!(advice(400 * MS, MS), Some(256), "that short a pause may be anything");
    assert_eq!(advice(600 * MS, 200 * MS), Some(256), "answers take that long");
}

#[test]
fn a_quantile_of_a_second_is_known_with_ten_answers_above_it() {
    let known = |completed: u64| {
        let flow = Flow { completed, ..Flow::default() };
        let (p50_ns, p99_ns, max_ns) = (Some(5), Some(6), Some(7));
        let second = Second { flow, p50_ns, p99_ns, max_ns, ..Second::default() };
        let second = second.with_known_quantiles();
        (second.p50_ns, second.p99_ns, second.max_ns)
    };
    assert_eq!(known(19), (None, None, Some(7)));
    assert_eq!(known(20), (Some(5), None, Some(7)));
    assert_eq!(known(1000), (Some(5), Some(6), Some(7)));
}

#[test]
fn halving_the_series_keeps_every_count() {
    let second = |start_ns: u64, completed: u64| Second {
        start_ns,
        length_ns: 10,
        flow: Flow { completed, ..Flow::default() },
        p50_ns: Some(1),
        max_ns: Some(completed),
        ..Second::default()
    };
    let mut seconds = vec![second(0, 1), second(10, 5), second(20, 3)];
    halve(&mut seconds);
    assert_eq!(seconds.len(), 2);
    assert_eq!((seconds[0].flow.completed, seconds[0].length_ns), (6, 20));
    assert_eq!((seconds[0].p50_ns, seconds[0].max_ns), (None, Some(5)));
    assert_eq!((seconds[1].flow.completed, seconds[1].p50_ns), (3, Some(1)));
}

/// A small honest run on a schedule: of 400 due requests one is shed, two are unsent, one fails and
/// one is left in flight. Each is sent 20 ns late, half of it by wring.
fn paced() -> WorkerRecord {
    let (writer, _reader) = interval_queue(1_000_000_000);
    let mut recorder = Recorder::paced(writer);
    recorder.enter_window(0);
    let send = |recorder: &mut Recorder, intended_ns: u64| {
        recorder.advance(intended_ns + 20);
        recorder.due(1);
        recorder.started(1, 40);
        recorder.left(lag_of(recorder, intended_ns, intended_ns + 10), 100);
        Stamps { intended_ns, sent_ns: intended_ns + 20 }
    };
    for index in 0..395_u64 {
        let stamps = send(&mut recorder, 100 * index);
        recorder.advance(stamps.sent_ns + 50);
        recorder.answered(200, 1, stamps);
    }
    let fails = send(&mut recorder, 39_500);
    let stays = send(&mut recorder, 39_600);
    recorder.due(3);
    recorder.shed(lag_of(&recorder, 39_600, u64::MAX));
    recorder.unsent(2);
    recorder.unsent_waited(2, recorder.now_ns().saturating_sub(39_600));
    recorder.enter(Phase::Drain);
    recorder.advance(40_000);
    recorder.failed(Failure::Eof, 1, fails);
    recorder.left_in_flight(1, stays);
    recorder.finish()
}

#[test]
fn an_honest_schedule_breaks_nothing() {
    let record = paced();
    assert_eq!(broken(&record, Some(396)), Vec::<&str>::new());
}

#[test]
fn the_identities_of_a_schedule_are_broken_by_the_faults_they_watch_for() {
    let fault = |change: fn(&mut WorkerRecord)| {
        let mut record = paced();
        change(&mut record);
        broken(&record, Some(396))
    };
    assert!(fault(|r| r.phases[2].shed += 1).contains(&"I1"));
    assert!(fault(|r| r.phases[2].unsent -= 1).contains(&"I1"));
    assert!(fault(|r| r.phases[3].due += 1).contains(&"I1"));
    assert!(fault(|r| r.service.record(50, 1)).contains(&"I3"));
    assert!(fault(|r| r.unanswered.record(50, 1)).contains(&"I3"));
    assert!(fault(|r| r.sending.lag.record(20, 1)).contains(&"I3"));
    assert!(fault(|r| r.sending.late.record(10, 1)).contains(&"I3"));
    assert!(fault(|r| r.sending.waited.record(10, 1)).contains(&"I3"));
}

/// Whether I7 breaks when a worker's record or the series of an honest schedule is changed.
fn breaks_i7(change_worker: fn(&mut WorkerRecord), change_second: fn(&mut Second)) -> Option<bool> {
    let total = paced();
    let mut worker = total.clone();
    change_worker(&mut worker);
    let mut seconds = seconds_of(&total);
    change_second(&mut seconds[0]);
    check(&total, &[worker], &seconds, 1, None)[6].holds.map(|holds| !holds)
}

#[test]
fn the_series_and_the_merge_of_a_schedule_are_watched() {
    assert_eq!(breaks_i7(|_| {}, |_| {}), Some(false));
    for change in [
        (|s: &mut Second| s.flow.due += 1) as fn(&mut Second),
        |s| s.flow.shed += 1,
        |s| s.flow.unsent -= 1,
        |s| s.backlog_start = 1,
        |s| s.backlog_end = 1,
        // Balances, and says that something was left waiting.
        |s| {
            s.flow.unsent -= 1;
            s.backlog_end = 1;
        },
    ] {
        assert_eq!(breaks_i7(|_| {}, change), Some(true));
    }
    for change in [
        (|r: &mut WorkerRecord| r.service.record(1, 1)) as fn(&mut WorkerRecord),
        |r| r.unanswered.record(1, 1),
        |r| r.sending.lag.record(1, 1),
        |r| r.sending.late.record(1, 1),
        |r| r.sending.waited.record(1, 1),
        |r| r.phases[2].due += 1,
    ] {
        assert_eq!(breaks_i7(change, |_| {}), Some(true));
    }
}

#[test]
fn shed_and_unsent_requests_count_as_slower_than_any() {
    let result = RunResult { total: paced(), ..RunResult::default() };
    assert_eq!(result.unanswered(), 5);
    assert_eq!(result.quantile_with_unanswered(395.0 / 400.0), Ok(70));
    assert_eq!(result.quantile_with_unanswered(1.0), Err(500), "the longest wait: the failed one");
    assert!((result.sent_share() - 397.0 / 400.0).abs() < 1e-12);
    assert!((result.achieved_share() - 395.0 / 400.0).abs() < 1e-12);
}

/// A run on a schedule of 100,000 requests, `unsent` of which never left, that had `mean` requests
/// outstanding on average and `at_end` when the window ended.
fn scheduled(unsent: u64, mean: u64, at_end: u64) -> RunResult {
    let mut result = RunResult { window_ns: 1000, ..RunResult::default() };
    let (rate_per_s, rate_end_per_s) = (1000.0, 1000.0);
    result.asked.schedule = Some(Schedule { rate_per_s, rate_end_per_s, ..Schedule::default() });
    let window = &mut result.total.phases[Phase::Window as usize];
    (window.due, window.started, window.completed) = (100_000, 100_000 - unsent, 99_000);
    window.unsent = unsent;
    result.total.latency.record(1, 100_000 - unsent);
    result.total.sending.outstanding_integral_ns = u128::from(mean) * 1000;
    result.total.sending.outstanding_end = at_end;
    result
}

#[test]
fn a_schedule_is_kept_when_nearly_all_was_sent() {
    assert_eq!(judge(&scheduled(100, 64, 64)), Verdict::ScheduleKept { sent_share: 0.999 });
    assert_eq!(judge(&scheduled(101, 64, 64)), Verdict::RateNotHeld { achieved_share: 0.99 });
    let mut none_due = scheduled(0, 64, 64);
    none_due.total.phases[Phase::Window as usize] = Default::default();
    assert_eq!(judge(&none_due), Verdict::ScheduleKept { sent_share: 1.0 });
}

#[test]
fn a_target_that_falls_behind_is_told_from_a_slow_one_and_from_chance() {
    let is_kept = |mean: u64, at_end: u64| {
        matches!(judge(&scheduled(0, mean, at_end)), Verdict::ScheduleKept { .. })
    };
    assert!(is_kept(5_000, 5_000), "slow and steady");
    assert!(is_kept(1_000, 100), "it caught up");
    assert!(is_kept(10, 27), "a few random arrivals more");
    assert!(is_kept(0, 2), "hardly any");
    assert!(is_kept(400, 800), "not worth naming beside 100,000");
    assert!(!is_kept(1_000, 2_000), "from nothing to twice the mean");
    assert!(!is_kept(25_000, 50_000), "half of what was asked");
    // A rate that rises has more outstanding at its end.
    let mut rising = scheduled(0, 1_000, 2_000);
    rising.asked.schedule.as_mut().unwrap().rate_end_per_s = 2000.0;
    assert!(matches!(judge(&rising), Verdict::ScheduleKept { .. }));
}

#[test]
fn a_schedule_is_kept_only_if_what_was_sent_was_answered() {
    // All of it was sent; so many failed, were unresolved after the drain, and completed in the window.
    let with = |failed: u64, unresolved: u64, in_window: u64| {
        let mut result = scheduled(0, 64, 64);
        result.total.latency.clear();
        result.total.latency.record(1, 100_000 - failed - unresolved);
        result.total.window_started_failed = failed;
        result.total.window_started_inflight_end = unresolved;
        result.total.phases[Phase::Window as usize].completed = in_window;
        judge(&result)
    };
    let is_kept = |failed: u64, unresolved: u64, in_window: u64| {
        matches!(with(failed, unresolved, in_window), Verdict::ScheduleKept { .. })
    };
    assert!(is_kept(100, 0, 99_900), "one in a thousand");
    assert!(!is_kept(101, 0, 99_899));
    assert!(is_kept(0, 1_000, 99_000), "the drain was a little short");
    assert!(is_kept(100, 1_000, 98_900));
    assert!(!is_kept(0, 1_200, 98_800));
    assert!(!is_kept(0, 40_000, 60_000), "most are not known");
    assert!(is_kept(0, 0, 1), "slow, and all of it came in the drain");
    assert!(!is_kept(0, 0, 0), "while the window lasted there was nothing");
    assert_eq!(with(100_000, 0, 0), Verdict::RateNotHeld { achieved_share: 0.0 });
    assert_eq!(with(30_000, 0, 70_000), Verdict::RateNotHeld { achieved_share: 0.7 });
    // Failures are the target's, however busy the generator that sent everything in time.
    let mut result = scheduled(0, 64, 64);
    result.total.latency.clear();
    result.total.latency.record(1, 99_000);
    result.workers = vec![WorkerSummary { busy_ns: 950, ..WorkerSummary::default() }];
    assert!(matches!(judge(&result), Verdict::RateNotHeld { .. }));
}

#[test]
fn what_wring_shed_by_its_own_lateness_is_not_the_targets() {
    let with = |shed: u64, late: u64| {
        let mut result = scheduled(0, 64, 64);
        let window = &mut result.total.phases[Phase::Window as usize];
        (window.started, window.shed) = (100_000 - shed, shed);
        result.total.latency.clear();
        result.total.latency.record(1, 100_000 - shed);
        let sending = &mut result.total.sending;
        (sending.shed.count, sending.shed.late) = (shed, late);
        judge(&result)
    };
    assert_eq!(with(600, 550), Verdict::ScheduleKept { sent_share: 0.994 });
    assert!(matches!(with(600, 400), Verdict::RateNotHeld { .. }));
    assert_eq!(with(1_000, 1_000), Verdict::ScheduleKept { sent_share: 0.99 });
    assert_eq!(with(1_001, 1_001), Verdict::Invalid(vec![Invalid::OwnShed { count: 1_001 }]));
    assert!(matches!(with(50_000, 0), Verdict::RateNotHeld { .. }));
}

#[test]
fn a_generator_without_time_to_spare_does_not_blame_its_target() {
    let with = |busy_ns: u64, starved_ns: u64| {
        let mut result = scheduled(50_000, 64, 64);
        result.target_on_this_machine = true;
        result.workers = vec![WorkerSummary { busy_ns, starved_ns, ..WorkerSummary::default() }];
        judge(&result)
    };
    assert_eq!(with(500, 0), Verdict::RateNotHeld { achieved_share: 0.99 });
    assert_eq!(with(920, 0), Verdict::GeneratorLimited { busy_share: 0.92 });
    let short = Verdict::ShortOfCpu { busy_share: 0.85, starved_share: 0.09 };
    assert_eq!(with(850, 90), short);
    assert_eq!(with(300, 200), Verdict::Invalid(vec![Invalid::Starved { share: 0.2 }]));
}

#[test]
fn wrings_own_lag_makes_a_run_invalid_beyond_its_limit() {
    let with = |median_ns: u64, late_ns: u64| {
        let mut result = scheduled(0, 64, 64);
        result.total.service.record(median_ns, 100);
        // What wring itself made of corrected latency makes nothing of its lag better.
        result.total.latency.record(1000 * median_ns, 100);
        result.total.sending.late.record(late_ns, 100);
        (own_lag_limit_ns(&result), judge(&result))
    };
    let (limit_ns, verdict) = with(200_000, 1_000_000);
    assert_eq!((limit_ns, verdict), (1_000_000, Verdict::ScheduleKept { sent_share: 1.0 }));
    let (_, verdict) = with(200_000, 1_100_000);
    let (p99_ns, limit_ns) = (1_100_000, 1_000_000);
    assert_eq!(verdict, Verdict::Invalid(vec![Invalid::OwnLag { p99_ns, limit_ns }]));
    let (limit_ns, verdict) = with(50_000_000, 4_900_000);
    assert!((4_999_000..5_001_000).contains(&limit_ns), "a tenth of the median: {limit_ns}");
    assert_eq!(verdict, Verdict::ScheduleKept { sent_share: 1.0 });
    // Half of the requests waited for a connection: that is what lateness stands beside.
    let waiting = |waited_ns: u64| {
        let mut result = scheduled(0, 64, 64);
        result.total.service.record(2_000_000, 100);
        result.total.sending.waited.record(waited_ns, 100);
        result.total.sending.late.record(9_000_000, 100);
        own_lag_limit_ns(&result) / 10_000
    };
    assert_eq!([waiting(0), waiting(98_000_000), waiting(998_000_000)], [100, 1_000, 10_000]);
    // Of few requests one late one is no 99th percentile: ten must lie above what is judged.
    let few = |late: u64| {
        let mut result = scheduled(0, 64, 64);
        result.total.sending.late.record(0, 100 - late);
        result.total.sending.late.record(9_000_000, late);
        matches!(judge(&result), Verdict::Invalid(_))
    };
    assert!(!few(10) && few(11));
    // The target's part is its own.
    let mut result = scheduled(0, 64, 64);
    result.total.sending.waited.record(9_000_000_000, 100);
    assert_eq!(judge(&result), Verdict::ScheduleKept { sent_share: 1.0 });
}

#[test]
fn a_suspended_machine_measured_nothing() {
    let result = RunResult { suspended_ns: 1, ..scheduled(0, 64, 64) };
    assert_eq!(judge(&result), Verdict::Invalid(vec![Invalid::Suspended { suspended_ns: 1 }]));
}

/// The distance of `gaps`, in units of the asked gap, from `arrivals`.
fn distance(arrivals: &str, gaps: impl Iterator<Item = f64>) -> Option<f64> {
    let mut result = scheduled(0, 64, 64);
    result.asked.schedule = Some(Schedule { arrivals: arrivals.to_owned(), ..Schedule::default() });
    for gap in gaps {
        let tenths = ((gap * 10.0).round() as usize).min(GAP_TENTHS - 1);
        result.total.sending.gap_tenths[tenths] += 1;
    }
    // 100,000 requests, 1 ms apart; a turn takes 100 us.
    result.window_ns = 100_000_000_000;
    let worker = WorkerSummary { busy_ns: 10_000_000_000, turns: 100_000, ..Default::default() };
    result.workers = vec![worker];
    distance_from_asked(&result)
}

#[test]
fn the_distance_from_the_asked_arrivals_tells_constant_from_random_ones() {
    let mut rng = Rng::new(7);
    let uniform: Vec<f64> =
        (0..100_000).map(|_| (rng.below(1 << 52) + 1) as f64 / (1_u64 << 52) as f64).collect();
    let exponential = || uniform.iter().map(|u| -u.ln());
    let constant = || uniform.iter().map(|_| 1.0);
    assert_eq!(distance("constant", constant()), Some(0.0));
    let random = distance("poisson", exponential()).unwrap();
    assert!(random < 0.01, "sampling error and rounding alone: {random}");
    // P(gap < 1) = 1 - 1/e, so the curves lie that far apart just below and 1/e just above.
    let poisson_for_constant = distance("constant", exponential()).unwrap();
    assert!((0.60..0.64).contains(&poisson_for_constant), "{poisson_for_constant}");
    let constant_for_poisson = distance("poisson", constant()).unwrap();
    assert!((0.60..0.64).contains(&constant_for_poisson), "{constant_for_poisson}");
    // Every second request leaves with the one before it.
    let in_pairs = uniform.iter().enumerate().map(|(index, _)| (index % 2 * 2) as f64);
    assert_eq!(distance("constant", in_pairs), Some(0.5));
}

#[test]
fn arrivals_are_not_compared_where_turns_are_too_long_or_nothing_left() {
    assert_eq!(distance("constant", std::iter::empty()), None);
    let mut result = scheduled(0, 64, 64);
    result.total.sending.gap_tenths[10] = 1000;
    result.window_ns = 100_000_000_000;
    let with = |busy_ns: u64, workers: usize| {
        let worker = WorkerSummary { busy_ns, turns: 100_000, ..WorkerSummary::default() };
        let workers = vec![worker; workers];
        distance_from_asked(&RunResult { workers, ..result.clone() }).is_some()
    };
    assert!(with(10_000_000_000, 1), "ten turns of 100 us in 1 ms");
    assert!(!with(10_100_000_000, 1));
    assert!(with(20_000_000_000, 2), "two workers have twice the gap each");
    result.asked.schedule = None;
    assert_eq!(distance_from_asked(&result), None);
}
