//! What a recorder counts, in which phase, and what it hands over.

use super::*;

const SECOND_NS: u64 = 1_000_000_000;

fn recorder() -> (Recorder, IntervalReader) {
    let (writer, reader) = interval_queue(SECOND_NS);
    (Recorder::new(writer), reader)
}

fn paced() -> (Recorder, IntervalReader) {
    let (writer, reader) = interval_queue(SECOND_NS);
    (Recorder::paced(writer), reader)
}

/// `count` requests of a closed loop: due when they start.
fn start(recorder: &mut Recorder, count: u64, request_bytes: u64) {
    recorder.due(count);
    recorder.started(count, request_bytes);
}

fn closed(sent_ns: u64) -> Stamps {
    Stamps::closed(sent_ns)
}

#[test]
fn whoever_watches_sees_the_counts_as_they_were_last_shown() {
    let (mut recorder, reader) = recorder();
    recorder.advance(100);
    recorder.enter(Phase::Warmup);
    start(&mut recorder, 4, 10);
    assert_eq!(reader.standing(), Standing::default());
    recorder.advance(200);
    recorder.answered(200, 1, closed(100));
    recorder.enter_window(recorder.now_ns());
    recorder.answered(200, 1, closed(100));
    recorder.failed(Failure::Eof, 1, closed(100));
    recorder.show();
    let shown = Standing { due: 4, completed: 2, failed: 1, inflight: 1, backlog: 0 };
    assert_eq!(reader.standing(), shown);
    recorder.answered(200, 1, closed(100));
    assert_eq!(reader.standing(), shown);
    recorder.finish();
    assert_eq!(reader.standing(), Standing { completed: 3, inflight: 0, ..shown });
}

#[test]
fn an_event_counts_in_the_phase_it_happens_in_and_latency_by_the_phase_it_started_in() {
    let (mut recorder, _reader) = recorder();
    recorder.advance(100);
    recorder.enter(Phase::Warmup);
    start(&mut recorder, 2, 10);
    recorder.advance(200);
    recorder.enter_window(recorder.now_ns());
    start(&mut recorder, 3, 10);
    recorder.advance(300);
    recorder.answered(200, 2, closed(100));
    recorder.answered(200, 1, closed(200));
    recorder.advance(400);
    recorder.enter(Phase::Drain);
    recorder.advance(500);
    recorder.answered(404, 1, closed(200));
    recorder.failed(Failure::Reset, 1, closed(200));
    let record = recorder.finish();
    assert_eq!(record.phase(Phase::Warmup).started, 2);
    assert_eq!(record.phase(Phase::Window).completed, 3);
    assert_eq!(record.phase(Phase::Drain).statuses[404], 1);
    assert_eq!(record.latency.len(), 2, "only what started in the window");
    assert_eq!((record.latency.min(), record.latency.max()), (100, 300));
    assert_eq!(record.window_started_failed, 1);
    assert_eq!(record.whole().bytes_out, 50);
}

#[test]
fn the_time_integral_equals_the_sum_of_times_in_flight() {
    let (mut recorder, _reader) = recorder();
    let mut rng = crate::rng::Rng::new(3);
    let mut outstanding: Vec<(u64, u64)> = Vec::new();
    recorder.enter_window(recorder.now_ns());
    let mut now_ns = 0;
    for _ in 0..1000 {
        now_ns += rng.below(1000);
        recorder.advance(now_ns);
        let count = rng.below(5);
        start(&mut recorder, count, 1);
        outstanding.push((now_ns, count));
        if rng.below(2) == 0 {
            let (sent_ns, count) =
                outstanding.swap_remove(rng.below(outstanding.len() as u64) as usize);
            recorder.answered(200, count, closed(sent_ns));
        }
    }
    for (sent_ns, count) in outstanding {
        recorder.left_in_flight(count, closed(sent_ns));
    }
    let record = recorder.finish();
    assert!(record.inflight_end > 0);
    assert_eq!(record.inflight_sum_ns, record.inflight_integral_ns);
}

#[test]
fn intervals_carry_every_event_once_and_line_up_with_the_grid() {
    let (mut recorder, mut reader) = recorder();
    recorder.advance(5);
    recorder.enter_window(recorder.now_ns());
    let mut sum = Flow::default();
    let mut ends = Vec::new();
    let mut inflight = 0;
    let mut take = |reader: &mut IntervalReader| {
        while let Some(interval) = reader.pop() {
            assert_eq!(interval.inflight_start, inflight);
            let flow = interval.flow;
            assert_eq!(
                interval.inflight_start + flow.started,
                flow.completed + flow.failed + interval.inflight_end
            );
            inflight = interval.inflight_end;
            assert_eq!(interval.latency.as_ref().map(|hist| hist.len()), Some(flow.completed));
            ends.push(interval.end_ns);
            sum.merge(&flow);
            if let Some(hist) = interval.latency {
                reader.give_back(hist);
            }
        }
    };
    for step in 0..50_u64 {
        let now_ns = 5 + step * SECOND_NS / 10;
        recorder.advance(now_ns);
        take(&mut reader);
        start(&mut recorder, 10, 1);
        recorder.answered(200, 7, closed(now_ns));
        recorder.failed(Failure::Eof, 1, closed(now_ns));
    }
    let record = recorder.finish();
    take(&mut reader);
    assert_eq!((sum.started, sum.completed, sum.failed), (500, 350, 50));
    assert_eq!(record.whole().completed, 350);
    assert_eq!(ends.len(), 5);
    for (index, end_ns) in ends.iter().take(4).enumerate() {
        assert_eq!(*end_ns, 5 + (index as u64 + 1) * SECOND_NS);
    }
}

#[test]
fn a_reader_that_never_comes_costs_quantiles_but_no_counts() {
    let (mut recorder, mut reader) = recorder();
    recorder.enter_window(recorder.now_ns());
    for step in 0..1000_u64 {
        recorder.advance(step * SECOND_NS);
        start(&mut recorder, 1, 1);
        recorder.answered(200, 1, closed(step * SECOND_NS));
    }
    let record = recorder.finish();
    let (mut completed, mut without) = (0, 0);
    while let Some(interval) = reader.pop() {
        completed += interval.flow.completed;
        without += u64::from(interval.latency.is_none());
    }
    assert!(without > 0);
    assert_eq!(completed, 1000, "intervals that do not fit are merged, not lost");
    assert_eq!(record.whole().completed, 1000);
    assert_eq!(record.latency.len(), 1000);
}

#[test]
fn rates_are_sampled_ten_times_a_second() {
    let (mut recorder, _reader) = recorder();
    recorder.enter_window(recorder.now_ns());
    for step in 1..=1000_u64 {
        recorder.advance(step * 1_000_000);
        start(&mut recorder, 5, 1);
        recorder.answered(200, 5, closed(step * 1_000_000));
    }
    let record = recorder.finish();
    assert_eq!(record.rates.len(), 10);
    let median = record.rates.quantile(0.5);
    assert!((4900..=5100).contains(&median), "{median}");
}

#[test]
fn corrected_latency_counts_from_the_intended_time_and_service_from_the_send() {
    let (mut recorder, _reader) = paced();
    recorder.enter_window(0);
    recorder.advance(1_000);
    recorder.due(1);
    recorder.advance(1_300);
    recorder.started(1, 10);
    recorder.advance(1_900);
    recorder.answered(200, 1, Stamps { intended_ns: 1_000, sent_ns: 1_300 });
    let record = recorder.finish();
    assert_eq!((record.latency.max(), record.service.max()), (900, 600));
    assert_eq!(record.inflight_sum_ns, 600, "a request is in flight from its send on");
    let (mut recorder, _reader) = self::recorder();
    recorder.enter_window(0);
    start(&mut recorder, 1, 10);
    recorder.answered(200, 1, closed(0));
    assert!(recorder.finish().service.is_empty(), "a closed loop has one latency");
}

#[test]
fn what_was_due_before_the_window_is_counted_and_not_measured() {
    let (mut recorder, _reader) = paced();
    recorder.enter(Phase::Warmup);
    recorder.advance(1_000);
    recorder.due(4);
    recorder.started(1, 10);
    recorder.left(lag_of(&recorder, 500, 0), 100);
    recorder.shed(lag_of(&recorder, 600, u64::MAX));
    recorder.advance(2_000);
    recorder.unsent(2);
    recorder.unsent_waited(2, recorder.now_ns().saturating_sub(700));
    recorder.enter_window(2_000);
    recorder.advance(2_500);
    recorder.answered(200, 1, Stamps { intended_ns: 500, sent_ns: 1_000 });
    let record = recorder.finish();
    let warmup = record.phase(Phase::Warmup);
    assert_eq!((warmup.due, warmup.started, warmup.shed, warmup.unsent), (4, 1, 1, 2));
    assert_eq!(record.phase(Phase::Window).due, 0);
    assert!(record.latency.is_empty() && record.service.is_empty());
    let sending = &record.sending;
    assert!(record.unanswered.is_empty() && sending.lag.is_empty());
    assert!(sending.late.is_empty() && sending.waited.is_empty());
}

#[test]
fn due_requests_are_started_shed_unsent_or_in_the_backlog() {
    let (mut recorder, mut reader) = paced();
    recorder.enter_window(0);
    recorder.advance(1_000);
    recorder.due(10);
    recorder.started(3, 10);
    assert_eq!((recorder.backlog(), recorder.inflight()), (7, 3));
    recorder.advance(5_000);
    recorder.shed(lag_of(&recorder, 1_000, u64::MAX));
    recorder.shed(lag_of(&recorder, 2_000, u64::MAX));
    recorder.unsent(4);
    recorder.unsent_waited(4, recorder.now_ns().saturating_sub(3_000));
    assert_eq!(recorder.backlog(), 1);
    recorder.advance(SECOND_NS);
    let interval = reader.pop().unwrap();
    assert_eq!((interval.backlog_start, interval.backlog_end), (0, 1));
    let flow = interval.flow;
    assert_eq!((flow.due, flow.started, flow.shed, flow.unsent), (10, 3, 2, 4));
    recorder.advance(SECOND_NS + 7);
    recorder.unsent(1);
    recorder.unsent_waited(1, recorder.now_ns().saturating_sub(SECOND_NS));
    let record = recorder.finish();
    let rest = reader.pop().unwrap();
    assert_eq!((rest.backlog_start, rest.backlog_end, rest.flow.unsent), (1, 0, 1));
    let window = record.phase(Phase::Window);
    assert_eq!(window.due, window.started + window.shed + window.unsent);
    assert_eq!(record.unanswered.len(), 7, "given up in the window: they count as waited");
    assert_eq!((record.unanswered.min(), record.unanswered.max()), (7, 4_000));
}

/// The send lag of one request due at 1000 and sent at 1500, with room since `room_since_ns`.
fn lag(room_since_ns: u64) -> (u64, u64, u64) {
    let (mut recorder, mut reader) = paced();
    recorder.enter_window(0);
    recorder.advance(1_500);
    recorder.due(1);
    recorder.started(1, 10);
    recorder.left(lag_of(&recorder, 1_000, room_since_ns), 0);
    let record = recorder.finish();
    let interval = reader.pop().unwrap();
    assert_eq!(interval.lag_ns_max, 500);
    assert_eq!(interval.late_ns_max, record.sending.late.max());
    assert_eq!(record.sending.gap_tenths.iter().sum::<u64>(), 0, "no gap was asked for");
    (record.sending.lag.max(), record.sending.late.max(), record.sending.waited.max())
}

#[test]
fn send_lag_is_wrings_while_a_connection_has_room_and_the_targets_before() {
    assert_eq!(lag(0), (500, 500, 0), "there was room all the time");
    assert_eq!(lag(1_000), (500, 500, 0));
    assert_eq!(lag(1_200), (500, 300, 200), "room came after 200 of 500");
    assert_eq!(lag(1_500), (500, 0, 500), "room came with the send");
    assert_eq!(lag(9_999), (500, 0, 500), "room in the future is no room");
}

#[test]
fn gaps_between_sends_are_counted_in_tenths_of_the_asked_gap() {
    let (mut recorder, _reader) = paced();
    recorder.enter_window(1_000);
    // The first has nothing before it in the window; the others follow by 100, 104, 105, 0, 10^6.
    for now_ns in [1_000, 1_100, 1_204, 1_309, 1_309, 1_001_309] {
        recorder.advance(now_ns);
        recorder.due(1);
        recorder.started(1, 10);
        recorder.left(lag_of(&recorder, now_ns, 0), 100);
    }
    let gaps = recorder.finish().sending.gap_tenths;
    let found: Vec<(usize, u64)> =
        gaps.iter().copied().enumerate().filter(|(_, count)| *count > 0).collect();
    assert_eq!(found, [(0, 1), (10, 2), (11, 1), (GAP_TENTHS - 1, 1)]);
}

#[test]
fn merging_adds_every_number_of_a_schedule() {
    let (mut recorder, _reader) = paced();
    recorder.enter_window(10);
    for now_ns in [100, 200, 350] {
        recorder.advance(now_ns);
        recorder.due(3);
        recorder.started(1, 10);
        recorder.left(lag_of(&recorder, now_ns - 50, 0), 100);
        recorder.shed(lag_of(&recorder, now_ns, u64::MAX));
        recorder.unsent(1);
        recorder.unsent_waited(1, recorder.now_ns().saturating_sub(now_ns));
        recorder.answered(200, 1, Stamps { intended_ns: now_ns - 50, sent_ns: now_ns });
    }
    let record = recorder.finish();
    let mut twice = record.clone();
    twice.merge(&record);
    let window = twice.phase(Phase::Window);
    assert_eq!((window.due, window.shed, window.unsent), (18, 6, 6));
    assert_eq!((twice.service.len(), twice.unanswered.len()), (6, 12));
    let sending = &twice.sending;
    assert_eq!((sending.lag.len(), sending.late.len(), sending.waited.len()), (6, 6, 6));
    let shed = &sending.shed;
    assert_eq!((shed.count, shed.late, shed.sum_ns, shed.late_sum_ns), (6, 0, 0, 0));
    assert_eq!((sending.gap_tenths[10], sending.gap_tenths[15]), (2, 2));
}

#[test]
fn a_shed_request_tells_whose_lateness_it_was() {
    let (writer, _reader) = interval_queue(SECOND_NS);
    let mut recorder = Recorder::paced(writer);
    recorder.advance(1_000);
    recorder.enter_window(1_000);
    recorder.advance(9_000);
    recorder.due(2);
    // No connection had room; then one had had it for long.
    recorder.shed(lag_of(&recorder, 2_000, u64::MAX));
    recorder.shed(lag_of(&recorder, 2_000, 3_000));
    let sending = recorder.finish().sending;
    let shed = sending.shed;
    assert_eq!((shed.count, shed.late), (2, 1));
    assert_eq!((shed.mean_ns(), shed.late_mean_ns(), shed.ns_max), (7_000, 3_000, 7_000));
    let parts = [&sending.lag, &sending.late, &sending.waited];
    assert!(parts.iter().all(|hist| hist.is_empty()), "what never left has no send lag");
}
