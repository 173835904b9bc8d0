//! Findings against a model that keeps every answer.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::limits::{BODIES_MAX, GROUPS_MAX};

const WINDOW: usize = 2;

fn hashing(reference: Reference) -> Checks {
    Checks { body_hash: Some(reference), ..Checks::default() }
}

/// One worker's findings of bodies that are complete at these times, in order.
fn worker(checks: &Checks, answers: &[(u64, u64)]) -> Findings {
    let mut inspector = Inspector::new(checks, 1, 1).unwrap();
    inspector.enter(WINDOW);
    for &(now_ns, hash) in answers {
        inspector.count(0, 0, Body { bytes: 1, hash }, 1, now_ns);
    }
    inspector.finish()
}

fn merged(checks: &Checks, workers: &[Findings]) -> Findings {
    let mut all = Findings::default();
    workers.iter().for_each(|findings| all.merge(findings));
    all.condense(checks);
    all
}

#[test]
fn nothing_asked_for_needs_no_inspector() {
    assert!(Inspector::new(&Checks::default(), 10, 1).is_none());
    let statuses = crate::units::parse_statuses("200", ',').ok();
    assert!(Inspector::new(&Checks { statuses, ..Checks::default() }, 10, 1).is_none());
}

#[test]
fn a_hash_is_the_one_that_xxhsum_prints() {
    // From the reference implementation: `printf hello | xxhsum -H3`.
    let inspector = Inspector::new(&hashing(Reference::First), 1, 1).unwrap();
    assert_eq!(inspector.whole(b"").hash, 0x2d06_8005_38d3_94c2);
    assert_eq!(inspector.whole(b"hello").hash, 0x9555_e855_5c62_dcfd);
}

#[test]
fn the_reference_is_the_first_answer_of_all_workers() {
    let checks = hashing(Reference::First);
    let late = worker(&checks, &[(20, 7), (30, 7), (40, 7), (50, 8)]);
    let early = worker(&checks, &[(10, 8), (60, 8)]);
    for workers in [[late.clone(), early.clone()], [early, late]] {
        let all = merged(&checks, &workers);
        assert_eq!(all.bodies[0].reference(Reference::First), Some(8));
        assert_eq!(all.bodies[0].seen[0].hash, 8, "the reference stands first");
        assert_eq!(all.body_hash_failed(Reference::First), [0, 0, 3, 0]);
    }
}

#[test]
fn a_given_reference_counts_exactly_however_many_others_come_first() {
    let checks = hashing(Reference::Given(1));
    let mut answers: Vec<(u64, u64)> = (0..200).map(|n| (n, 100 + n)).collect();
    answers.extend((0..50).map(|n| (300 + n, 1)));
    let all = merged(&checks, &[worker(&checks, &answers)]);
    assert_eq!(all.body_hash_failed(Reference::Given(1)), [0, 0, 200, 0]);
    assert_eq!(total(&all.bodies[0].all()), 250);
    let never = merged(&checks, &[worker(&checks, &[(1, 5), (2, 6)])]);
    assert_eq!(never.body_hash_failed(Reference::Given(1)), [0, 0, 2, 0]);
}

#[test]
fn bodies_have_the_expected_length_or_are_counted() {
    let checks = Checks { body_bytes: Some(5), ..Checks::default() };
    let mut inspector = Inspector::new(&checks, 2, 1).unwrap();
    for (phase, bytes, count) in [(1, 5, 9), (1, 4, 2), (2, 6, 3), (3, 0, 4), (3, 5, 1)] {
        inspector.enter(phase);
        inspector.count(0, 0, Body { bytes, hash: 0 }, count, 0);
    }
    assert_eq!(inspector.finish().body_bytes_failed, [0, 2, 3, 4]);
}

#[test]
fn targets_have_references_of_their_own() {
    let checks = hashing(Reference::First);
    let mut inspector = Inspector::new(&checks, 1, 2).unwrap();
    inspector.enter(WINDOW);
    for (target, hash) in [(0, 1), (1, 2), (0, 1), (1, 2), (1, 1), (0, 2)] {
        inspector.count(target, 0, Body { bytes: 1, hash }, 1, 5);
    }
    let findings = merged(&checks, &[inspector.finish()]);
    assert_eq!(findings.body_hash_failed(Reference::First), [0, 0, 2, 0]);
}

/// A whole head with this value.
fn head(value: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nServer: s\r\nX-Backend: {value}\r\nContent-Length: 0\r\n\r\n")
        .into()
}

proptest! {
    #[test]
    fn any_split_of_a_body_gives_the_same(
        body in vec(any::<u8>(), 0..2000),
        cuts in vec(any::<Index>(), 0..6),
        before in vec(any::<u8>(), 0..300),
    ) {
        let mut inspector = Inspector::new(&hashing(Reference::First), 3, 1).unwrap();
        let expected = inspector.whole(&body);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
        cuts.sort_unstable();
        // What another answer left behind, or another connection receives meanwhile, is forgotten.
        inspector.begin(1);
        inspector.body(1, &before);
        inspector.begin(1);
        inspector.begin(2);
        let mut from = 0;
        for to in cuts.into_iter().chain([body.len()]) {
            inspector.passed(1, (to - from) as u64);
            inspector.body(1, &body[from..to]);
            inspector.passed(2, before.len() as u64);
            inspector.body(2, &before);
            from = to;
        }
        prop_assert_eq!(inspector.completed(1), expected);
    }

    #[test]
    fn workers_together_count_what_one_would(
        workers in vec(vec((0_u64..1000, 0_u64..20), 0..60), 1..5),
    ) {
        let checks = hashing(Reference::First);
        let mut sorted = workers;
        // Within a worker time does not go back.
        sorted.iter_mut().for_each(|answers| answers.sort_by_key(|(now_ns, _)| *now_ns));
        let findings: Vec<Findings> =
            sorted.iter().map(|answers| worker(&checks, answers)).collect();
        let all = merged(&checks, &findings);
        let reversed: Vec<Findings> = findings.into_iter().rev().collect();
        prop_assert_eq!(&merged(&checks, &reversed), &all);
        let first = sorted.iter().filter_map(|answers| answers.first()).min();
        let reference = first.map(|(_, hash)| *hash);
        let differing = sorted.iter().flatten().filter(|(_, hash)| Some(*hash) != reference);
        prop_assert_eq!(total(&all.body_hash_failed(Reference::First)), differing.count() as u64);
        let count = sorted.iter().flatten().count() as u64;
        prop_assert_eq!(all.bodies.iter().map(|b| total(&b.all())).sum::<u64>(), count);
    }

    #[test]
    fn more_bodies_than_are_told_apart_are_still_all_counted(
        answers in vec(0_u64..200, 1..400),
    ) {
        let checks = hashing(Reference::First);
        let timed: Vec<(u64, u64)> = (0..).zip(answers.iter().copied()).collect();
        let all = merged(&checks, &[worker(&checks, &timed)]);
        // The first body of one worker always has its place, so this is exact.
        let differing = answers.iter().filter(|hash| **hash != answers[0]).count() as u64;
        prop_assert_eq!(total(&all.body_hash_failed(Reference::First)), differing);
        prop_assert!(all.bodies[0].seen.len() <= BODIES_MAX);
        prop_assert_eq!(total(&all.bodies[0].all()), answers.len() as u64);
    }

    #[test]
    fn groups_are_the_counts_of_the_values(
        workers in vec(vec((0_usize..100, 1_u64..5), 0..80), 1..4),
    ) {
        let checks = Checks { group_by: Some("x-backend".to_owned()), ..Checks::default() };
        let (mut model, mut count) = (BTreeMap::<usize, u64>::new(), 0);
        let findings: Vec<Findings> = workers.iter().map(|answers| {
            let mut inspector = Inspector::new(&checks, 1, 1).unwrap();
            inspector.enter(WINDOW);
            for &(value, alike) in answers {
                let label = inspector.label(&head(&value.to_string()));
                inspector.count(0, label, Body::default(), alike, 0);
                *model.entry(value).or_default() += alike;
                count += alike;
            }
            inspector.finish()
        }).collect();
        let groups = merged(&checks, &findings).groups.unwrap();
        prop_assert_eq!(total(&groups.all()), count);
        prop_assert!(groups.values.len() <= GROUPS_MAX);
        let fits = workers.iter().all(|answers| {
            answers.iter().map(|(value, _)| value).collect::<std::collections::BTreeSet<_>>().len()
                <= GROUPS_MAX
        });
        for group in &groups.values {
            let counted = total(&group.counts);
            let exact = model[&group.value.parse::<usize>().unwrap()];
            prop_assert!(counted <= exact && (!fits || counted == exact), "{group:?}");
        }
        if model.len() <= GROUPS_MAX {
            prop_assert_eq!(total(&groups.other), 0);
            prop_assert_eq!(groups.values.len(), model.len());
        }
        let sizes: Vec<u64> = groups.values.iter().map(|group| total(&group.counts)).collect();
        prop_assert!(sizes.is_sorted_by(|a, b| a >= b), "most frequent first: {sizes:?}");
    }
}
