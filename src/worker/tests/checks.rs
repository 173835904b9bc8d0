//! Answers that are looked at: what is found is what the model server sent, however it comes.

use super::*;
use crate::inspect::{Checks, Findings, Reference, total};

/// An answer with this body and a backend's name, whole in one piece of memory.
fn sized(backend: &str, body: &str) -> Answer {
    let bytes = body.len();
    let head =
        format!("HTTP/1.1 200 OK\r\nX-Backend: {backend}\r\nContent-Length: {bytes}\r\n\r\n");
    Answer::from(format!("{head}{body}").into_bytes())
}

/// An answer with as many `x` as its body.
fn filled(backend: &str, bytes: u64) -> Answer {
    let head =
        format!("HTTP/1.1 200 OK\r\nX-Backend: {backend}\r\nContent-Length: {bytes}\r\n\r\n");
    Answer { bytes: head.into_bytes(), fill_bytes: bytes }
}

fn chunked(backend: &str, chunks: &[&str]) -> Answer {
    let mut text =
        format!("HTTP/1.1 200 OK\r\nX-Backend: {backend}\r\nTransfer-Encoding: chunked\r\n\r\n");
    for chunk in chunks {
        text += &format!("{:x};a=b\r\n{chunk}\r\n", chunk.len());
    }
    Answer::from(format!("{text}0\r\nX-Trailer: x\r\n\r\n").into_bytes())
}

/// Everything that cuts and delays bytes without breaking anything.
fn rough() -> Faults {
    Faults {
        recv_split_ppm: 500_000,
        reorder_ppm: 300_000,
        no_buffers_ppm: 50_000,
        stream_ends_ppm: 50_000,
        queue_full_ppm: 100_000,
        ..Faults::none()
    }
}

fn all_checks() -> Checks {
    Checks {
        statuses: None,
        body_bytes: Some(5),
        body_hash: Some(Reference::First),
        group_by: Some("x-backend".to_owned()),
    }
}

/// Runs over good and rough paths at several depths; gives what was found and what was sent.
fn for_each_run(answers: &[Answer], checks: &Checks, judge: impl Fn(&Findings, &[u64])) {
    // Bytes of large bodies take their time in a debug build.
    let is_large = answers.iter().any(|answer| answer.fill_bytes > 0);
    let requests = if is_large { 200 } else { 2_000 };
    for (seed, depth) in [(1, 1), (2, 3), (3, 16), (4, 64)] {
        for faults in [Faults::none(), rough()] {
            let mut run = Run::against(Model::answering(Vec::new()));
            run.model.answers = answers.to_vec();
            (run.model.seed, run.model.faults, run.depth) = (seed, faults, depth);
            (run.connections, run.requests) = (5, Some(requests));
            run.checks = checks.clone();
            let (outcome, sim) = run.run();
            assert_eq!(completed(&outcome), requests, "depth {depth}");
            let mut findings = outcome.record.findings.clone();
            findings.condense(checks);
            judge(&findings, sim.answers_of());
        }
    }
}

fn group(findings: &Findings, value: &str) -> u64 {
    let groups = findings.groups.as_ref().unwrap();
    groups.values.iter().filter(|group| group.value == value).map(|g| total(&g.counts)).sum()
}

#[test]
fn every_value_is_counted_as_often_as_it_was_sent() {
    let without = Answer::from(OK.as_bytes().to_vec());
    let answers = [
        sized("a", "hello"),
        sized("a", "hello"),
        sized("b", "hello"),
        chunked("c", &["hello"]),
        without,
    ];
    for_each_run(&answers, &all_checks(), |findings, sent| {
        assert_eq!(group(findings, "a"), sent[0] + sent[1]);
        assert_eq!((group(findings, "b"), group(findings, "c")), (sent[2], sent[3]));
        let groups = findings.groups.as_ref().unwrap();
        assert_eq!((total(&groups.without), total(&groups.other)), (sent[4], 0));
        assert_eq!(total(&findings.body_hash_failed(Reference::First)), 0, "all bodies are equal");
        assert_eq!(total(&findings.body_bytes_failed), 0);
    });
}

#[test]
fn groups_alone_are_counted_by_runs_of_equal_heads() {
    let checks = Checks { group_by: Some("X-BACKEND".to_owned()), ..Checks::default() };
    let answers =
        [sized("a", "hello"), sized("a", "world"), sized("a", "other"), sized("b", "hello")];
    for_each_run(&answers, &checks, |findings, sent| {
        assert_eq!(group(findings, "a"), sent[0] + sent[1] + sent[2]);
        assert_eq!(group(findings, "b"), sent[3]);
        assert!(findings.bodies.is_empty());
    });
}

#[test]
fn every_body_that_differs_is_counted_under_equal_heads_too() {
    let answers = [
        sized("a", "hello"),
        sized("a", "hello"),
        sized("a", "hellO"),
        chunked("a", &["he", "l", "lo"]),
        chunked("a", &["hello", "!"]),
        sized("a", ""),
    ];
    for_each_run(&answers, &all_checks(), |findings, sent| {
        let failed = total(&findings.body_hash_failed(Reference::First));
        assert_eq!(failed, sent[2] + sent[4] + sent[5]);
        assert_eq!(total(&findings.body_bytes_failed), sent[4] + sent[5]);
        assert_eq!(findings.bodies[0].seen.len(), 4, "distinct bodies: {findings:?}");
    });
}

#[test]
fn large_bodies_are_looked_at_when_they_are_compared() {
    let answers = [filled("a", 50_000), filled("a", 50_000), filled("a", 49_999), sized("a", "x")];
    for_each_run(&answers, &all_checks(), |findings, sent| {
        let failed = total(&findings.body_hash_failed(Reference::First));
        assert_eq!(failed, sent[2] + sent[3]);
        assert_eq!(total(&findings.body_bytes_failed), sent.iter().sum::<u64>());
    });
}

#[test]
fn the_length_of_a_body_is_known_though_it_is_thrown_away_unseen() {
    let checks = Checks { body_bytes: Some(50_000), ..Checks::default() };
    let answers = [filled("a", 50_000), filled("a", 49_999), filled("a", 50_000)];
    for_each_run(&answers, &checks, |findings, sent| {
        assert_eq!(total(&findings.body_bytes_failed), sent[1]);
    });
}

#[test]
fn a_body_that_the_end_of_the_stream_ends_is_compared_too() {
    let answer = |body: &str| Answer::from(format!("HTTP/1.1 200 OK\r\n\r\n{body}").into_bytes());
    for (body, failed) in [("hello", 0), ("hellO", 400)] {
        let mut run = Run::against(Model::answering(answer(body)));
        run.model.ending = Ending::AfterAnswers { answers: 1, leftover: Leftover::Swallow };
        run.checks = Checks {
            body_hash: Some(Reference::Given(0x9555_e855_5c62_dcfd)),
            body_bytes: Some(5),
            ..Checks::default()
        };
        let (outcome, _) = run.run();
        let findings = &outcome.record.findings;
        assert_eq!(total(&findings.bodies[0].all()), 400);
        assert_eq!(total(&findings.body_hash_failed(run.checks.body_hash.unwrap())), failed);
        assert_eq!(total(&findings.body_bytes_failed), 0);
    }
}

#[test]
fn an_answer_cut_off_leaves_nothing_behind_for_the_next_connection() {
    let mut run = Run::answering(OK);
    run.model.ending = Ending::CutAnswer { answers: 2, bytes: 41, reset: false };
    (run.connections, run.requests) = (3, Some(300));
    run.checks = all_checks();
    let (outcome, _) = run.run();
    let findings = &outcome.record.findings;
    assert!(failed(&outcome, Failure::EofBody) > 90, "{:?}", outcome.record.whole().failed);
    assert_eq!(total(&findings.bodies[0].all()), completed(&outcome));
    assert_eq!(total(&findings.body_hash_failed(Reference::First)), 0);
    assert_eq!(total(&findings.body_bytes_failed), 0);
}

#[test]
fn what_is_found_is_counted_in_the_phase_it_happens_in() {
    let mut run = Run::answering(OK);
    run.model.service = Service::Constant(MS);
    (run.requests, run.duration_ns, run.warmup_ns) = (None, Some(SECOND), SECOND / 2);
    run.checks = Checks { body_bytes: Some(4), ..all_checks() };
    let (outcome, _) = run.run();
    let record = &outcome.record;
    let phases = std::array::from_fn(|phase| record.phases[phase].completed);
    assert!(phases[1] > 0 && phases[2] > 0 && phases[3] > 0);
    assert_eq!(record.findings.body_bytes_failed, phases);
    assert_eq!(record.findings.bodies[0].seen[0].counts, phases);
    assert_eq!(record.findings.groups.as_ref().unwrap().without, phases);
}
