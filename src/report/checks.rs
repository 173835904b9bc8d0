//! What answers were checked for, how they fell into groups, and whether the result is good enough:
//! the text sections, and the same as parts of the file schema, in both directions.

use super::page::{GREEN, Page, RED};
use super::schema::{self, ByPhase};
use super::stored::ReadError;
use super::table::grid;
use super::{NOTE_CHARS_MAX, escape, words};
use crate::inspect::{
    Bodies, BodyCount, Check, Checks, Counts, Findings, GroupCount, Groups, Reference,
    total as whole,
};
use crate::outcome::Cause as _;
use crate::record::Phase;
use crate::result::RunResult;
use crate::result::threshold::{Evaluation, Measured, Threshold, Unknown};
use crate::units::{format_bytes, format_duration_ns, format_grouped, parse_statuses};

/// Targets whose different bodies the text lists.
const TARGETS_SHOWN: usize = 10;
/// Other bodies that the text lists.
const BODIES_SHOWN: usize = 3;

fn window(counts: &Counts) -> u64 {
    counts[Phase::Window as usize]
}

fn cells(name: String, counts: &Counts) -> Vec<String> {
    vec![name, format_grouped(window(counts)), format_grouped(whole(counts))]
}

fn head() -> Vec<String> {
    ["", "window", "whole run"].map(str::to_owned).to_vec()
}

/// The checks that were asked for, with how many answers failed them.
pub(super) fn section(result: &RunResult, page: &mut Page) {
    let checks = &result.asked.checks;
    if !checks.has_any() {
        return;
    }
    page.heading("Answers that failed a check");
    let (mut rows, mut expected) = (vec![head()], Vec::new());
    for &check in Check::ALL {
        let Some(failed) = result.failed_checks(check) else { continue };
        rows.push(cells(name(check).to_owned(), &failed));
        expected.push(expectation(check, result));
    }
    let mut lines = grid(&rows).into_iter();
    page.text.extend(lines.next().map(|line| line + "\n"));
    for (line, expected) in lines.zip(expected) {
        page.text += &format!("{line}  {expected}\n");
    }
    if let Some(reference) = checks.body_hash {
        let all = &result.total.findings.bodies;
        if let [bodies] = &all[..] {
            page.line(&described(bodies, reference));
            return;
        }
        // Of many targets, those whose bodies differ.
        let differ = |bodies: &&Bodies| whole(&bodies.differing(reference)) > 0;
        for (index, bodies) in
            all.iter().enumerate().filter(|(_, bodies)| differ(bodies)).take(TARGETS_SHOWN)
        {
            let name = result.asked.targets.get(index).map_or("", |target| &target.name);
            let name = format!("target {} {}", index + 1, escape(name, NOTE_CHARS_MAX));
            page.line(&format!("{}: {}", name.trim_end(), described(bodies, reference)));
        }
    }
}

fn name(check: Check) -> &'static str {
    match check {
        Check::Status => "status",
        Check::BodyBytes => "body length",
        Check::BodyHash => "body",
    }
}

fn expectation(check: Check, result: &RunResult) -> String {
    let checks = &result.asked.checks;
    match check {
        Check::Status => {
            checks.statuses.map_or_else(String::new, |statuses| format!("expected: {statuses}"))
        }
        Check::BodyBytes => checks
            .body_bytes
            .map_or_else(String::new, |bytes| format!("expected: {} bytes", format_grouped(bytes))),
        Check::BodyHash => match checks.body_hash {
            Some(Reference::Given(hash)) => format!("expected: {hash:016x}"),
            _ if result.total.findings.bodies.len() > 1 => {
                "expected: as in the first answer of the same target".to_owned()
            }
            _ => "expected: as in the first answer".to_owned(),
        },
    }
}

/// Which bodies came, in a line.
fn described(bodies: &Bodies, reference: Reference) -> String {
    let Some(expected) = bodies.reference(reference) else {
        return "bodies: no answer came".to_owned();
    };
    let count = |body: &BodyCount| format_grouped(whole(&body.counts));
    let (same, others): (Vec<_>, Vec<_>) =
        bodies.seen.iter().partition(|body| body.hash == expected);
    let mut text = format!(
        "bodies: {} with hash {expected:016x}",
        same.first().copied().map_or_else(|| "0".to_owned(), &count)
    );
    for body in others.iter().take(BODIES_SHOWN) {
        text += &format!(", {} with {:016x}", count(body), body.hash);
    }
    let beyond = others.iter().skip(BODIES_SHOWN).map(|body| whole(&body.counts));
    match beyond.fold(whole(&bodies.other), u64::saturating_add) {
        0 => text,
        rest => format!("{text}, {} with others", format_grouped(rest)),
    }
}

/// Answers by the value of a header.
pub(super) fn groups(result: &RunResult, page: &mut Page) {
    let (Some(header), Some(groups)) =
        (&result.asked.checks.group_by, &result.total.findings.groups)
    else {
        return;
    };
    page.heading(&format!("Answers by {}", escape(header, NOTE_CHARS_MAX)));
    let mut rows = vec![head()];
    for group in &groups.values {
        let value = match group.value.as_str() {
            "" => "(empty)".to_owned(),
            value => escape(value, NOTE_CHARS_MAX),
        };
        rows.push(cells(value, &group.counts));
    }
    for (name, counts) in [("(other values)", &groups.other), ("(without it)", &groups.without)] {
        if whole(counts) > 0 {
            rows.push(cells(name.to_owned(), counts));
        }
    }
    page.grid(&rows);
}

/// Every threshold with what was measured.
pub(super) fn thresholds(result: &RunResult, page: &mut Page) {
    let thresholds = result.thresholds();
    if thresholds.is_empty() {
        return;
    }
    page.heading("Thresholds");
    let conditions: Vec<String> =
        thresholds.iter().map(|t| escape(&t.to_string(), NOTE_CHARS_MAX)).collect();
    let width = conditions.iter().map(|text| text.chars().count()).max().unwrap_or(0);
    for (threshold, condition) in thresholds.iter().zip(&conditions) {
        let found = threshold.evaluate(result);
        page.text += "  ";
        if found.passed {
            page.colored(GREEN, "pass");
        } else {
            page.colored(RED, "FAIL");
        }
        page.text += &format!("  {condition:<width$}  {}\n", measured(&found));
    }
}

/// What was measured, or why that is not known.
fn measured(found: &Evaluation) -> String {
    match found.measured {
        Measured::Time { ns, at_least: false } => format!("measured {}", format_duration_ns(ns)),
        Measured::Time { ns, at_least: true } => format!(
            "measured {} or more: the request of that rank was never answered",
            format_duration_ns(ns)
        ),
        Measured::Count(count) => format!("measured {}", format_grouped(count)),
        Measured::Share { part, whole } => format!(
            "measured {} of {} ({})",
            format_grouped(part),
            format_grouped(whole),
            words::share(part, whole)
        ),
        Measured::RequestsPerSecond(per_s) => format!("measured {per_s:.2}/s"),
        Measured::BytesPerSecond(per_s) => {
            format!("measured {}/s ({per_s:.0} bytes/s)", format_bytes(per_s as u64))
        }
        Measured::Unknown(unknown) => format!("not known: {}", why(unknown)),
    }
}

fn why(unknown: Unknown) -> String {
    match unknown {
        Unknown::TooFewSamples { samples, needed } => format!(
            "of {} requests too few lie above it; it takes {}: measure longer, or ask for a lower \
             percentile or for max",
            format_grouped(samples),
            format_grouped(needed)
        ),
        Unknown::Nothing => "nothing was measured".to_owned(),
        Unknown::NoSchedule => "the run was a closed loop, without a rate (-R)".to_owned(),
        Unknown::NoTls => "the run was not over TLS".to_owned(),
        Unknown::NotChecked(check) => {
            format!("answers were not checked for {}", check.name())
        }
    }
}

fn by_phase(counts: &Counts) -> ByPhase {
    ByPhase {
        warmup: counts[Phase::Warmup as usize],
        window: counts[Phase::Window as usize],
        drain: counts[Phase::Drain as usize],
        whole: whole(counts),
    }
}

fn counts(stored: &ByPhase) -> Counts {
    let mut counts = Counts::default();
    counts[Phase::Warmup as usize] = stored.warmup;
    counts[Phase::Window as usize] = stored.window;
    counts[Phase::Drain as usize] = stored.drain;
    counts
}

fn hex(hash: u64) -> String {
    format!("{hash:016x}")
}

fn from_hex(text: &str) -> Result<u64, ReadError> {
    u64::from_str_radix(text, 16).map_err(|_| ReadError::Implausible("hash of a body"))
}

/// The checks as a part of the file; `None` when none was asked for.
pub(super) fn stored(result: &RunResult) -> Option<schema::Checks> {
    let checks = &result.asked.checks;
    let failed = Check::ALL.iter().filter_map(|check| {
        Some((check.name().to_owned(), by_phase(&result.failed_checks(*check)?)))
    });
    checks.has_any().then(|| schema::Checks {
        statuses: checks.statuses.map(|statuses| statuses.to_string()),
        body_bytes: checks.body_bytes,
        body_hash: checks.body_hash.map(|reference| schema::BodyHash {
            asked: match reference {
                Reference::First => None,
                Reference::Given(hash) => Some(hex(hash)),
            },
            targets: result
                .total
                .findings
                .bodies
                .iter()
                .map(|bodies| stored_bodies(bodies, reference))
                .collect(),
        }),
        failed: failed.collect(),
    })
}

fn stored_bodies(bodies: &Bodies, reference: Reference) -> schema::Bodies {
    schema::Bodies {
        reference: bodies.reference(reference).map(hex),
        first_ns: bodies.first.map(|(ns, _)| ns),
        first: bodies.first.map(|(_, hash)| hex(hash)),
        seen: bodies
            .seen
            .iter()
            .map(|body| schema::Body { hash: hex(body.hash), answers: by_phase(&body.counts) })
            .collect(),
        other: by_phase(&bodies.other),
    }
}

/// The groups as a part of the file; `None` when answers were not grouped.
pub(super) fn stored_groups(result: &RunResult) -> Option<schema::Groups> {
    let header = result.asked.checks.group_by.clone()?;
    let groups = result.total.findings.groups.clone().unwrap_or_default();
    let group = |group: &GroupCount| schema::Group {
        value: group.value.clone(),
        answers: by_phase(&group.counts),
    };
    Some(schema::Groups {
        header,
        values: groups.values.iter().map(group).collect(),
        without: by_phase(&groups.without),
        other: by_phase(&groups.other),
    })
}

/// The thresholds as a part of the file.
pub(super) fn stored_thresholds(result: &RunResult) -> Vec<schema::Threshold> {
    let asked = result.asked.thresholds.len();
    let all = result.thresholds();
    all.iter()
        .enumerate()
        .map(|(index, threshold)| {
            let found = threshold.evaluate(result);
            let mut stored = schema::Threshold {
                condition: threshold.to_string(),
                implied: index >= asked,
                passed: found.passed,
                text: measured(&found),
                measured_ns: None,
                at_least: None,
                measured: None,
                measured_of: None,
                measured_per_s: None,
            };
            match found.measured {
                Measured::Time { ns, at_least } => {
                    (stored.measured_ns, stored.at_least) = (Some(ns), Some(at_least));
                }
                Measured::Count(count) => stored.measured = Some(count),
                Measured::Share { part, whole } => {
                    (stored.measured, stored.measured_of) = (Some(part), Some(whole));
                }
                Measured::RequestsPerSecond(per_s) | Measured::BytesPerSecond(per_s) => {
                    stored.measured_per_s = Some(per_s);
                }
                Measured::Unknown(_) => {}
            }
            stored
        })
        .collect()
}

/// What was asked of answers and what was found, from a file.
pub(super) fn read(
    stored: Option<&schema::Checks>,
    stored_groups: Option<&schema::Groups>,
) -> Result<(Checks, Findings), ReadError> {
    let (mut checks, mut findings) = (Checks::default(), Findings::default());
    if let Some(stored) = stored {
        let statuses = stored.statuses.as_ref().map(|typed| parse_statuses(typed, ','));
        checks.statuses =
            statuses.transpose().map_err(|_| ReadError::Implausible("expected statuses"))?;
        checks.body_bytes = stored.body_bytes;
        if let Some(failed) = stored.failed.get(Check::BodyBytes.name()) {
            findings.body_bytes_failed = counts(failed);
        }
        if let Some(hash) = &stored.body_hash {
            checks.body_hash = Some(match &hash.asked {
                Some(asked) => Reference::Given(from_hex(asked)?),
                None => Reference::First,
            });
            findings.bodies = hash.targets.iter().map(read_bodies).collect::<Result<_, _>>()?;
        }
    }
    if let Some(groups) = stored_groups {
        checks.group_by = Some(groups.header.clone());
        let group = |group: &schema::Group| GroupCount {
            value: group.value.clone(),
            counts: counts(&group.answers),
        };
        findings.groups = Some(Groups {
            values: groups.values.iter().map(group).collect(),
            without: counts(&groups.without),
            other: counts(&groups.other),
        });
    }
    Ok((checks, findings))
}

fn read_bodies(stored: &schema::Bodies) -> Result<Bodies, ReadError> {
    let first = match (stored.first_ns, &stored.first) {
        (Some(ns), Some(hash)) => Some((ns, from_hex(hash)?)),
        (None, None) => None,
        _ => return Err(ReadError::Implausible("first body")),
    };
    let body = |body: &schema::Body| {
        Ok(BodyCount { hash: from_hex(&body.hash)?, counts: counts(&body.answers) })
    };
    let seen = stored.seen.iter().map(body).collect::<Result<_, _>>()?;
    Ok(Bodies { first, seen, other: counts(&stored.other) })
}

/// The thresholds that were asked for, from a file.
pub(super) fn read_thresholds(stored: &[schema::Threshold]) -> Result<Vec<Threshold>, ReadError> {
    let asked = stored.iter().filter(|threshold| !threshold.implied);
    let read = asked.map(|threshold| Threshold::parse(&threshold.condition));
    read.collect::<Result<_, _>>().map_err(|_| ReadError::Implausible("threshold"))
}

/// Every count of what was found, for whoever bounds them.
pub(super) fn all_counts(findings: &Findings) -> Vec<u64> {
    let bodies = findings
        .bodies
        .iter()
        .flat_map(|bodies| bodies.seen.iter().map(|body| body.counts).chain([bodies.other]));
    let groups = findings.groups.iter().flat_map(|groups| {
        let values = groups.values.iter().map(|group| group.counts);
        values.chain([groups.without, groups.other])
    });
    let all = bodies.chain(groups).chain([findings.body_bytes_failed]);
    all.flatten().collect()
}
