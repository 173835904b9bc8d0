//! Sessions: several blocks over the same connections, each held to the identities by itself.

use super::*;
use crate::schedule::Arrivals;

/// Runs the block `count` times and gives each block's record, which the identities hold for, and
/// the backend.
fn blocks(run: &Run, count: usize) -> (Vec<WorkerRecord>, Sim) {
    let (mut worker, _reader) = run.worker();
    let mut records = Vec::new();
    let mut start_ns = 0;
    for _ in 0..count {
        let control = Control::default();
        control.start_at(start_ns);
        let (writer, _) = interval_queue(3600 * SECOND);
        let next = match &run.pace {
            Some(_) => Recorder::paced(writer),
            None => Recorder::new(writer),
        };
        let next = next.inspecting(Inspector::new(&run.checks, run.connections, 1));
        worker.prepare(Block {
            requests: run.requests,
            pace: run.pace.clone(),
            duration_ns: run.duration_ns,
            patience: None,
            warmup_ns: run.warmup_ns,
            drain_ns: SECOND,
        });
        let outcome = worker.block(&control, next);
        assert!(outcome.broke.is_none());
        start_ns = outcome.window_end_ns + outcome.drain_ns + 10 * MS;
        let record = outcome.record;
        for check in check(&record, std::slice::from_ref(&record), &[], run.connections, None) {
            assert!(check.holds != Some(false), "block {}: {check:?}", records.len());
        }
        records.push(record);
    }
    let sim = worker.close();
    assert_eq!(sim.leases_out(), 0, "every lease came back");
    assert_eq!(sim.open_slots(), 0, "every socket was closed");
    (records, sim)
}

#[test]
fn connections_are_opened_once_and_carried_from_block_to_block() {
    for depth in [1, 7] {
        let mut run = Run::answering(OK);
        (run.depth, run.requests) = (depth, Some(300));
        let (records, sim) = blocks(&run, 4);
        for (index, record) in records.iter().enumerate() {
            let opened = if index == 0 { 4 } else { 0 };
            let c = &record.connections;
            assert_eq!((c.established, c.carried, c.open_end), (opened, 4 - opened, 4));
            assert_eq!(record.whole().completed, 300);
            assert_eq!(record.latency.len(), 300, "only this block's");
        }
        assert_eq!(sim.server().requests, 1200);
        assert_eq!(sim.server().connections, 4);
    }
}

#[test]
fn a_schedule_begins_anew_with_each_block() {
    let mut run = Run::answering(OK);
    (run.requests, run.duration_ns, run.warmup_ns) = (None, Some(SECOND), 100 * MS);
    let profile = |length_ns| paced::profile("1000/s", Some(length_ns));
    let warmup = paced::pace_of(&profile(100 * MS), Arrivals::Constant, 0, 1).window;
    let window = paced::pace_of(&profile(SECOND), Arrivals::Constant, 0, 1);
    run.pace = Some(Pace { warmup: Some(warmup), ..window });
    let (records, sim) = blocks(&run, 3);
    for record in &records {
        assert_eq!(record.phase(Phase::Window).due, 1000);
        assert_eq!(record.phase(Phase::Warmup).due, 100);
        assert_eq!(record.latency.len(), 1000);
    }
    assert_eq!(sim.server().requests, 3300);
}

#[test]
fn what_a_block_leaves_unanswered_is_not_met_by_the_next_one() {
    let mut run = Run::answering(OK);
    // Longer than the drain: each block leaves what it has in flight behind.
    run.model.service = Service::Constant(1500 * MS);
    (run.requests, run.duration_ns, run.timeout_ns) = (None, Some(100 * MS), 10 * SECOND);
    let (records, _) = blocks(&run, 3);
    for (index, record) in records.iter().enumerate() {
        assert_eq!((record.inflight_end, record.whole().completed), (4, 0), "block {index}");
        let c = &record.connections;
        assert_eq!((c.established, c.carried, c.open_end), (4, 0, 4), "they could not stay");
        assert_eq!(record.bytes.stray, 0);
    }
}

#[test]
fn a_connection_that_ends_between_blocks_is_opened_again_and_counted() {
    let mut run =
        Run::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    run.requests = Some(40);
    let (records, sim) = blocks(&run, 3);
    for record in &records {
        assert_eq!(record.whole().completed, 40);
        assert_eq!(record.connections.connecting_end, 0, "opened before the load, or after it");
    }
    assert_eq!(sim.server().requests, 120);
}

#[test]
fn each_block_counts_its_own_values_although_the_heads_are_known_from_the_one_before() {
    let answer = "HTTP/1.1 200 OK\r\nX-Backend: a\r\nContent-Length: 5\r\n\r\nhello";
    let mut run = Run::answering(answer);
    run.checks = Checks { group_by: Some("X-Backend".to_owned()), ..Checks::default() };
    let (records, _) = blocks(&run, 3);
    for record in &records {
        let groups = record.findings.groups.as_ref().unwrap();
        assert_eq!(groups.values.len(), 1, "{groups:?}");
        assert_eq!(groups.values[0].counts, [0, 0, 400, 0]);
    }
}
