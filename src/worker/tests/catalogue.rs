//! The catalogue of answers through worker, connection and recorder, over the simulation.

use super::paced::{pace_of, profile};
use super::*;
use crate::outcome::Cause as _;
use crate::schedule::Arrivals;
use crate::tests::catalogue::{Case, Counts, Delivery, Step as Played, cases};

/// Nanoseconds between pieces that are to travel alone.
const GAP_NS: u64 = 30_000;
/// More of what is of no interest is not written out.
const FILL_BYTES_MAX: u64 = 1 << 20;

/// A case on one connection, cut in one way.
type Play<'c> = (&'c Case, Delivery);

/// A run with a connection for each play; their cases have one shape.
fn run_of(plays: &[Play<'_>]) -> Run {
    let case = plays[0].0;
    let (raw, fill_bytes) = (case.raw(), fill_bytes(case));
    let model = if fill_bytes > FILL_BYTES_MAX {
        let mut model = Model::answering(Answer { bytes: raw, fill_bytes });
        model.send_window_bytes = 64 << 20;
        model
    } else {
        let scripts = plays.iter().map(|(case, delivery)| script(case, *delivery));
        Model::scripted(scripts.map(Listener::Script).collect())
    };
    let mut run = Run::against(model);
    let connections = plays.len() as u32;
    (run.connections, run.addresses, run.depth) = (connections, connections, case.depth);
    run.requests = Some(u64::from(case.requests.unwrap_or(connections * case.depth)));
    // Virtual time: long enough for every case, and an end where a request was lost.
    run.duration_ns = Some(100 * SECOND);
    run.timeout_ns = case.timeout_ms.map_or(60 * SECOND, |ms| ms * MS);
    run.method = method(case);
    run.body = request_body(case);
    if let Some(rate) = case.rate_per_s {
        let length_ns = u64::from(case.requests.unwrap_or(1)) * SECOND / u64::from(rate);
        let profile = profile(&rate.to_string(), Some(length_ns));
        run.pace = Some(pace_of(&profile, Arrivals::Constant, 0, 1));
        (run.requests, run.duration_ns) = (None, Some(length_ns));
    }
    run
}

fn method(case: &Case) -> &'static str {
    match (case.head_request, case.request_body_bytes) {
        (true, _) => "HEAD",
        (false, 0) => "GET",
        (false, _) => "POST",
    }
}

fn request_body(case: &Case) -> Option<Vec<u8>> {
    (case.request_body_bytes > 0).then(|| vec![b'x'; case.request_body_bytes])
}

fn fill_bytes(case: &Case) -> u64 {
    let fills = case.steps.iter().map(|step| match step {
        Played::Fill(bytes) => *bytes,
        _ => 0,
    });
    fills.sum()
}

/// What the peer does, for every batch of requests that a connection brings.
fn script(case: &Case, delivery: Delivery) -> Vec<Step> {
    let body = request_body(case);
    let request = Request::new(method(case), "/", "h", &[], body.as_deref()).unwrap();
    // Requests are read up to the end of their heads.
    let request_bytes = request.arena(1).request_bytes as usize - case.request_body_bytes;
    let batch = case.delivered(delivery).into_iter().map(|step| match step {
        Played::Send(bytes) => Step::Write(bytes),
        Played::Fill(count) => Step::Write(vec![b'x'; count as usize]),
        Played::Gap => Step::Pause(GAP_NS),
        Played::Pause(ms) => Step::Pause(ms * MS),
        Played::Fin => Step::Fin,
        Played::Rst => Step::Rst,
    });
    let read = Step::Read(request_bytes * case.depth as usize);
    let once: Vec<Step> = std::iter::once(read).chain(batch).collect();
    let times = case.requests.map_or(1, |requests| requests.div_ceil(case.depth));
    std::iter::repeat_n(once, times as usize).flatten().collect()
}

fn counts_of(record: &WorkerRecord) -> Counts {
    let whole = record.whole();
    let mut counts = Counts::default();
    for (status, count) in whole.statuses.iter().enumerate() {
        counts.add(&status.to_string(), *count);
    }
    for (cause, count) in whole.failed.iter() {
        counts.add(cause.name(), count);
    }
    let notices = &record.notices;
    counts.add("interim", notices.interim);
    counts.add("bare_lf", notices.bare_lf);
    counts.add("length_and_chunked", notices.length_and_chunked);
    counts.add("chunked_in_http10", notices.chunked_in_http10);
    counts.add("unsolicited", notices.unsolicited);
    counts.add("body", record.bytes.body);
    counts.add("stray", record.bytes.stray);
    counts
}

/// What differs from the table, if anything does. Connections are given up at the first error, so
/// stray bytes that come later are not always seen: unless all is sent at once, there may be fewer.
fn difference(plays: &[Play<'_>], outcome: &Outcome) -> Option<String> {
    let mut expected = Counts::default();
    plays.iter().for_each(|(case, _)| expected.add_all(&case.expected, 1));
    expected.take("close");
    let broken = ["parse", "limit", "reset", "timeout"];
    let errored: u64 = broken.iter().map(|name| expected.count(name)).sum();
    let mut counts = counts_of(&outcome.record);
    let is_at_once =
        |(case, delivery): &Play<'_>| case.is_one_piece() && *delivery == Delivery::Whole;
    let is_small_run = !plays[0].0.is_one_batch() && plays[0].0.is_one_piece();
    if !plays.iter().all(is_at_once) && !is_small_run {
        for name in ["stray", "unsolicited"] {
            let (seen, most) = (counts.take(name), expected.take(name));
            if seen > most {
                return Some(format!("{name} {seen} > {most}"));
            }
        }
    }
    if let Some(connections) = plays[0].0.connections {
        // One that ended with the last request may have been replaced already.
        let established = outcome.record.connections.established;
        if !(connections..=connections + u64::from(connections > 1)).contains(&established) {
            return Some(format!("{established} connections instead of {connections}"));
        }
    }
    let seen = (counts.text(), outcome.record.connections.errored, outcome.record.inflight_end);
    let wanted = (expected.text(), errored, 0);
    (seen != wanted).then(|| format!("counted {seen:?}, expected {wanted:?}"))
}

/// Runs what has one shape together; where that differs from the table, each play alone says which
/// it is.
fn check(cases: &[&Case], deliveries: impl Fn(&Case) -> Vec<Delivery>) {
    let shape = |case: &Case| {
        let alone = !case.is_one_batch() || fill_bytes(case) > FILL_BYTES_MAX;
        let alone = alone.then(|| case.name());
        let request = (case.head_request, case.request_body_bytes);
        (case.depth, request, case.timeout_ms, case.is_one_piece(), alone)
    };
    let mut rest = cases.to_vec();
    while let Some(first) = rest.first().copied() {
        let (group, others): (Vec<_>, Vec<_>) =
            rest.into_iter().partition(|case| shape(case) == shape(first));
        rest = others;
        for group in group.chunks(20) {
            let all = |case| deliveries(case).into_iter().map(move |delivery| (case, delivery));
            let plays: Vec<Play<'_>> = group.iter().copied().flat_map(all).collect();
            let Some(together) = difference(&plays, &run_of(&plays).run().0) else { continue };
            let alone = |play: &Play<'_>| {
                let difference = difference(&[*play], &run_of(&[*play]).run().0)?;
                Some(format!("{}, {:?}: {difference}", play.0.name(), play.1))
            };
            let culprits: Vec<String> = plays.iter().filter_map(alone).collect();
            panic!("{together}; alone: {culprits:#?}");
        }
    }
}

#[test]
fn every_answer_of_the_catalogue_is_counted_as_the_table_says() {
    check(&cases().iter().collect::<Vec<_>>(), |_| vec![Delivery::Whole]);
}

#[test]
fn every_answer_of_the_catalogue_is_counted_the_same_in_pieces() {
    let all = cases();
    let is_cut_here = |case: &&Case| {
        let is_large = fill_bytes(case) > FILL_BYTES_MAX || case.request_body_bytes > 0;
        case.is_one_batch() && !case.is_in_pieces() && !is_large && case.raw().len() > 1
    };
    check(&all.iter().filter(is_cut_here).collect::<Vec<_>>(), |case| {
        let raw_bytes = case.raw().len();
        let stride = raw_bytes.div_ceil(40);
        let splits = (1..raw_bytes).step_by(stride).chain([raw_bytes - 1]);
        let pieces = [raw_bytes.div_ceil(200), stride, 2 * stride].map(Delivery::Pieces);
        splits.map(Delivery::SplitAt).chain(pieces).collect()
    });
}

#[test]
fn late_completions_of_earlier_connections_are_dropped() {
    // The slot of a connection is taken again at once, while what was cancelled with the one before
    // is still under way.
    let closing = |case: &&Case| {
        case.is_one_batch() && case.expected.count("close") > 0 && case.raw().len() <= 4096
    };
    for case in cases().iter().filter(closing).step_by(4) {
        let mut run = run_of(&[(case, Delivery::Whole)]);
        run.model.faults.late_cancel_ppm = 1_000_000;
        run.connections = 8;
        run.requests = Some(u64::from(case.depth) * 200);
        let (outcome, _) = run.run();
        let mut expected = Counts::default();
        expected.add_all(&case.expected, 200);
        expected.take("close");
        assert_eq!(counts_of(&outcome.record).text(), expected.text(), "{}", case.name());
    }
}
