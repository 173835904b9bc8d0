//! Finished runs for the tests of the renderers, counted by a real recorder.

use crate::outcome::{ConnectFailure, Failure, TlsFault};
use crate::record::{
    Flow, IntervalReader, Phase, Recorder, ServerRecord, Stamps, TlsFacts, TlsRecord, WorkerRecord,
    interval_queue, lag_of,
};
use crate::result::{
    Asked, AskedServer, Interrupted, Manifest, OpenConnections, RunResult, Schedule, Second,
    WorkerSummary, check, judge,
};

/// What a sample run meets.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sample {
    /// Answers with status 200 in the window.
    pub(super) answers: u64,
    /// Answers with status 404 in the window.
    pub(super) not_found: u64,
    /// How each failed request of the window ends.
    pub(super) failures: &'static [(Failure, u64)],
    /// Failed attempts beside the one connection.
    pub(super) refused: u64,
    /// Requests left in flight.
    pub(super) left: u64,
}

/// The record of `sample`: requests leave every 10 µs and are answered after 100 µs, 101 µs, ….
fn record(sample: Sample) -> WorkerRecord {
    let (writer, _reader) = interval_queue(1_000_000_000);
    let mut recorder = Recorder::new(writer);
    recorder.connections_mut().attempts += 1 + sample.refused;
    for _ in 0..sample.refused {
        recorder.connect_failed(ConnectFailure::Refused, 0);
    }
    recorder.advance(50_000);
    recorder.established(5_000, 0);
    recorder.enter_window(recorder.now_ns());
    let mut now_ns = 1_000_000;
    for index in 0..sample.answers + sample.not_found {
        recorder.advance(now_ns);
        recorder.due(1);
        recorder.started(1, 40);
        now_ns += 100_000 + index * 1_000;
        recorder.advance(now_ns);
        recorder.received(150);
        recorder.bytes_mut().head += 50;
        recorder.bytes_mut().body += 100;
        let sent_ns = now_ns - 100_000 - index * 1_000;
        recorder.answered(
            if index < sample.answers { 200 } else { 404 },
            1,
            Stamps::closed(sent_ns),
        );
        now_ns += 10_000;
    }
    for &(cause, count) in sample.failures {
        recorder.due(count);
        recorder.started(count, 40);
        recorder.advance(now_ns + 250_000);
        recorder.failed(cause, count, Stamps::closed(now_ns));
        now_ns += 250_000;
    }
    let sent_ns = recorder.now_ns();
    recorder.due(sample.left);
    recorder.started(sample.left, 40);
    recorder.enter(Phase::Drain);
    recorder.advance(sent_ns + 3_000_000);
    recorder.left_in_flight(sample.left, Stamps::closed(sent_ns));
    recorder.connections_mut().closed_by_us += 1;
    recorder.finish()
}

/// A run on a schedule of 1,000 requests per second for two seconds, over one connection.
#[derive(Clone, Copy, Debug)]
struct Paced {
    /// How long each request takes from its send.
    service_ns: fn(u64) -> u64,
    /// Longest time a request may start after its intended time.
    deadline_ns: Option<u64>,
}

const PACED_REQUESTS: u64 = 2_000;
const PACED_GAP_NS: u64 = 1_000_000;
const PACED_START_NS: u64 = 1_000_000;

/// The record of `paced` and its series. wring is 5 to 54 µs late when the connection has room.
fn paced_record(paced: Paced) -> (WorkerRecord, Vec<Second>) {
    let (writer, mut reader) = interval_queue(1_000_000_000);
    let mut recorder = Recorder::paced(writer);
    recorder.connections_mut().attempts += 1;
    recorder.advance(50_000);
    recorder.established(5_000, 0);
    recorder.advance(PACED_START_NS);
    recorder.enter_window(PACED_START_NS);
    let end_ns = PACED_START_NS + PACED_REQUESTS * PACED_GAP_NS;
    let (mut counted, mut next, mut room_since_ns, mut last) = (0, 0, 0, None);
    let mut move_to = |recorder: &mut Recorder, now_ns: u64| {
        recorder.advance(now_ns);
        let due = ((now_ns - PACED_START_NS) / PACED_GAP_NS + 1).min(PACED_REQUESTS);
        recorder.due(due - counted);
        counted = due;
    };
    while next < PACED_REQUESTS {
        let intended_ns = PACED_START_NS + next * PACED_GAP_NS;
        let sent_ns = room_since_ns.max(intended_ns + 5_000 + next % 50 * 1_000);
        if sent_ns >= end_ns {
            break;
        }
        next += 1;
        move_to(&mut recorder, sent_ns);
        if paced.deadline_ns.is_some_and(|deadline_ns| sent_ns > intended_ns + deadline_ns) {
            recorder.shed(lag_of(&recorder, intended_ns, u64::MAX));
            continue;
        }
        recorder.started(1, 40);
        recorder.left(
            lag_of(&recorder, intended_ns, room_since_ns),
            if next > 1 { PACED_GAP_NS } else { 0 },
        );
        let stamps = Stamps { intended_ns, sent_ns };
        room_since_ns = sent_ns + (paced.service_ns)(next - 1);
        if room_since_ns >= end_ns {
            last = Some(stamps);
            break;
        }
        move_to(&mut recorder, room_since_ns);
        answer(&mut recorder, stamps);
    }
    move_to(&mut recorder, end_ns);
    for index in next..PACED_REQUESTS {
        recorder.unsent(1);
        recorder.unsent_waited(
            1,
            recorder.now_ns().saturating_sub(PACED_START_NS + index * PACED_GAP_NS),
        );
    }
    recorder.enter(Phase::Drain);
    recorder.advance(room_since_ns.max(end_ns));
    if let Some(stamps) = last {
        answer(&mut recorder, stamps);
    }
    recorder.connections_mut().closed_by_us += 1;
    (recorder.finish(), series(&mut reader))
}

fn answer(recorder: &mut Recorder, stamps: Stamps) {
    recorder.received(150);
    recorder.bytes_mut().head += 50;
    recorder.bytes_mut().body += 100;
    recorder.answered(200, 1, stamps);
}

fn series(reader: &mut IntervalReader) -> Vec<Second> {
    let second = |interval: crate::record::Interval| Second {
        start_ns: interval.start_ns - PACED_START_NS,
        length_ns: interval.end_ns - interval.start_ns,
        inflight_start: interval.inflight_start,
        inflight_end: interval.inflight_end,
        backlog_start: interval.backlog_start,
        backlog_end: interval.backlog_end,
        lag_ns_max: interval.lag_ns_max,
        turn_gap_ns_max: interval.turn_gap_ns_max,
        flow: interval.flow,
        p50_ns: interval.latency.as_ref().map(|latency| latency.quantile(0.50)),
        p99_ns: interval.latency.as_ref().map(|latency| latency.quantile(0.99)),
        max_ns: interval.latency.as_ref().map(|latency| latency.max()),
    };
    std::iter::from_fn(|| reader.pop()).map(second).collect()
}

fn paced_run(paced: Paced) -> RunResult {
    let mut result = calm();
    result.open.min = 64;
    (result.total, result.seconds) = paced_record(paced);
    result.asked.schedule = Some(Schedule {
        profile: "1,000/s".to_owned(),
        arrivals: "constant".to_owned(),
        requests: Some(PACED_REQUESTS),
        rate_per_s: 1000.0,
        rate_end_per_s: 1000.0,
        deadline_ns: paced.deadline_ns,
        spin_ns: 50_000,
    });
    result.workers[0].completed = result.total.whole().completed;
    result.workers[0].busy_ns = 100_000_000;
    result.workers[0].idle_spin_ns = 400_000_000;
    result.workers[0].turns = 4_000;
    settle(&mut result);
    result
}

/// A schedule that is kept: answers take 0.3 to 0.4 ms, and every hundredth 1.2 ms, so that the
/// request after it waits for the connection.
pub(super) fn scheduled() -> RunResult {
    let service_ns =
        |index: u64| if index % 100 == 99 { 1_200_000 } else { 300_000 + index % 100 * 1_000 };
    paced_run(Paced { service_ns, deadline_ns: None })
}

/// Twice what the target can take: answers take 2 ms.
pub(super) fn overloaded() -> RunResult {
    paced_run(Paced { service_ns: |_| 2_000_000, deadline_ns: None })
}

/// The same with a deadline of 100 ms.
pub(super) fn shedding() -> RunResult {
    paced_run(Paced { service_ns: |_| 2_000_000, deadline_ns: Some(100_000_000) })
}

/// The finished run of `sample`, with a window of two seconds and a worker busy for 62 % of it.
pub(super) fn run(sample: Sample) -> RunResult {
    let total = record(sample);
    let whole = total.whole();
    let mut result = RunResult {
        asked: Asked {
            url: "http://127.0.0.1:8080/".to_owned(),
            addresses: vec!["127.0.0.1:8080".to_owned()],
            options: vec!["-c64".to_owned(), "http://127.0.0.1:8080/".to_owned()],
            connections: 64,
            threads: 2,
            depth: 1,
            duration_ns: Some(2_000_000_000),
            timeout_ns: 2_000_000_000,
            interval_ns: 1_000_000_000,
            seed: u64::MAX,
            requests_per_connection: Some(1000),
            request_bytes: 40,
            request_hash: 0xcbf2_9ce4_8422_2325,
            ..Asked::default()
        },
        manifest: Manifest {
            version: "0.1.0".to_owned(),
            started_at: "2026-01-31T12:00:00Z".to_owned(),
            kernel: Some("6.12.0".to_owned()),
            cpus_allowed: vec![0, 1],
            backend: "uring: single issuer".to_owned(),
            ..Manifest::default()
        },
        workers: vec![WorkerSummary {
            cpu: Some(1),
            connections: 64,
            busy_ns: 1_240_000_000,
            completed: whole.completed,
            turn_gap_ns_max: 3_000_000,
            ..WorkerSummary::default()
        }],
        opening_ns: 1_000_000,
        window_ns: 2_000_000_000,
        drain_ns: 3_000_000,
        open: OpenConnections { at_start: 64, min: 63, max: 64 },
        seconds: vec![Second {
            length_ns: 2_000_000_000,
            inflight_end: total.inflight_end,
            flow: Flow {
                due: whole.due,
                shed: whole.shed,
                unsent: whole.unsent,
                started: whole.started,
                completed: whole.completed,
                failed: whole.failed.total(),
                bytes_in: whole.bytes_in,
            },
            p50_ns: Some(300_000),
            ..Second::default()
        }],
        total,
        ..RunResult::default()
    };
    settle(&mut result);
    result
}

/// Checks the identities and judges the run anew, after a test has changed something.
pub(super) fn settle(result: &mut RunResult) {
    let workers = [result.total.clone()];
    result.identities = check(&result.total, &workers, &result.seconds, 1, result.target_requests);
    result.verdict = judge(result);
}

/// A calm run: everything answered with 200.
pub(super) fn calm() -> RunResult {
    run(Sample { answers: 2_000, ..Sample::default() })
}

/// A run in which everything a report can show has happened, to a value of its own where possible.
pub(super) fn eventful() -> RunResult {
    let mut result = run(Sample {
        answers: 1_500,
        not_found: 30,
        failures: &[
            (Failure::Send, 1),
            (Failure::Reset, 2),
            (Failure::Eof, 3),
            (Failure::EofBody, 4),
            (Failure::Parse, 5),
            (Failure::Limit, 6),
            (Failure::Timeout, 7),
            (Failure::CutOff, 8),
            (Failure::Stale, 9),
        ],
        refused: 11,
        left: 13,
    });
    result.interrupted = Some(Interrupted::Terminate);
    result.target_on_this_machine = true;
    result.target_requests = Some(1_560);
    result.asked.addresses.push("[::1]:8080".to_owned());
    result.asked.addresses.push("127.0.0.2:8080".to_owned());
    result.asked.notes.push("a note \u{1b}[31m\u{202e}on the request".to_owned());
    result.remarks.push("63 of 64 connections opened".to_owned());
    result.total.notices.bare_lf = 17;
    result.total.notices.interim = 19;
    settle(&mut result);
    result
}

/// A run over three servers: a plain one, one over TLS, and one that was never reached.
pub(super) fn several_servers() -> RunResult {
    let mut result = calm();
    let named = |name: &str, connections: u32| AskedServer {
        name: name.to_owned(),
        connections,
        addresses: vec!["127.0.0.1:1".to_owned()],
    };
    result.asked.servers =
        vec![named("http://a", 31), named("https://b", 30), named("https://c", 3)];
    let facts = TlsFacts {
        version: "TLS 1.3".to_owned(),
        cipher: "TLS_AES_128_GCM_SHA256".to_owned(),
        group: "x25519".to_owned(),
        alpn: "http/1.1".to_owned(),
        subject: "CN=b\u{1b}[2J".to_owned(),
    };
    let over_tls = ServerRecord {
        established: 17,
        carried: 3,
        full: 6,
        resumed: 7,
        facts: Some(facts.clone()),
        ..ServerRecord::default()
    };
    let mut never = ServerRecord {
        fault_texts: vec![
            (TlsFault::Closed, "the peer closed".to_owned()),
            (TlsFault::UnknownIssuer, "nobody\u{1b}[2J knows".to_owned()),
        ],
        ..ServerRecord::default()
    };
    never.failed.add(ConnectFailure::Tls, 23);
    never.faults.add(TlsFault::Closed, 4);
    never.faults.add(TlsFault::UnknownIssuer, 19);
    let plain = ServerRecord { established: 29, ..ServerRecord::default() };
    result.total.servers = vec![plain, over_tls, never];
    let mut tls = TlsRecord { facts: Some(facts), ..TlsRecord::default() };
    tls.first_fault = Some("the peer closed".to_owned());
    // The one connection of the sample is what the identities know of.
    tls.plain = result.total.connections.established;
    result.total.tls = Some(Box::new(tls));
    settle(&mut result);
    result
}
