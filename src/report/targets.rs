//! Several targets: what became of each one's requests, as text and as `schema` has it.

use std::collections::BTreeMap;

use crate::hist::Hist;
use crate::outcome::Cause;
use crate::record::{Phase, STATUS_CLASSES, TargetCounts, TargetRecord};
use crate::result::{AskedTarget, RunResult};
use crate::units::{TimeUnit, format_grouped};

use super::page::Page;
use super::schema::targets as stored;
use super::stored::{ReadError, causes, hist, histogram, unknown};
use super::{QUANTILES, escape, json};

/// Longest name in the table, in characters.
const NAME_CHARS_MAX: usize = 60;
/// Rows of the table unless everything is asked for.
const ROWS_MAX: usize = 20;
/// As `record::status_class` counts them.
const CLASS_NAMES: [&str; STATUS_CLASSES] = ["1xx", "2xx", "3xx", "4xx", "5xx", "other"];

/// A line for each target.
pub(super) fn section(result: &RunResult, verbose: bool, page: &mut Page) {
    let targets = pairs(result);
    if targets.is_empty() {
        return;
    }
    let shown = if verbose { targets.len() } else { targets.len().min(ROWS_MAX) };
    let window = |record: &TargetRecord| *record.phase(Phase::Window);
    let used: Vec<usize> = (0..STATUS_CLASSES)
        .filter(|&class| targets.iter().any(|(_, record)| window(record).classes[class] > 0))
        .collect();
    let has_failed = targets.iter().any(|(_, record)| window(record).failed.total() > 0);
    let quantiles = [QUANTILES[0], QUANTILES[3]];
    let times = |latency: &Hist| {
        let max = (!latency.is_empty()).then_some(latency.max());
        quantiles.map(|q| q.of(latency)).into_iter().chain([max]).collect::<Vec<_>>()
    };
    let all = targets.iter().flat_map(|(_, record)| times(&record.latency)).flatten();
    let unit = TimeUnit::for_column(&all.collect::<Vec<u64>>());
    page.heading(&format!("Targets in the window, latency in {}", unit.name()));
    let mut head = vec!["", "weight", "started", "completed"];
    head.extend(has_failed.then_some("failed"));
    head.extend(used.iter().map(|&class| CLASS_NAMES[class]));
    head.extend(quantiles.iter().map(|q| q.name).chain(["max"]));
    let mut rows = vec![head.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    for (asked, record) in &targets[..shown] {
        let (counts, latency) = (window(record), &record.latency);
        let mut row = vec![escape(&asked.name, NAME_CHARS_MAX), asked.weight.to_string()];
        row.extend([counts.started, counts.completed].map(format_grouped));
        row.extend(has_failed.then(|| format_grouped(counts.failed.total())));
        row.extend(used.iter().map(|&class| format_grouped(counts.classes[class])));
        let shown = |ns: Option<u64>| ns.map_or_else(|| "–".to_owned(), |ns| unit.number(ns));
        row.extend(times(latency).into_iter().map(shown));
        rows.push(row);
    }
    page.grid(&rows);
    if shown < targets.len() {
        let left = targets.len() - shown;
        page.line(&format!("and {left} more: -v prints all, --json and -o have them"));
    }
}

/// Targets as asked with what was counted; none when nothing was counted of them one by one.
fn pairs(result: &RunResult) -> Vec<(&AskedTarget, &TargetRecord)> {
    result.asked.targets.iter().zip(&result.total.targets).collect()
}

/// The targets for `--json`; with histograms for a stored result.
pub(super) fn to_schema(result: &RunResult, with_histograms: bool) -> Vec<stored::Target> {
    let target = |(asked, record): (&AskedTarget, &TargetRecord)| stored::Target {
        name: asked.name.clone(),
        weight: asked.weight,
        server: asked.server,
        inflight_end: record.inflight_end,
        opening: phase(record.phase(Phase::Opening)),
        warmup: phase(record.phase(Phase::Warmup)),
        window: phase(record.phase(Phase::Window)),
        drain: phase(record.phase(Phase::Drain)),
        latency: json::latency(&record.latency),
        histogram: with_histograms.then(|| histogram(&record.latency)),
    };
    pairs(result).into_iter().map(target).collect()
}

fn phase(counts: &TargetCounts) -> stored::TargetPhase {
    let failures = counts.failed.iter().filter(|(_, count)| *count > 0);
    let classes = CLASS_NAMES.iter().zip(counts.classes).filter(|(_, count)| *count > 0);
    stored::TargetPhase {
        started: counts.started,
        completed: counts.completed,
        failed: counts.failed.total(),
        failures: failures.map(|(cause, count)| (cause.name().to_owned(), count)).collect(),
        classes: classes.map(|(name, count)| ((*name).to_owned(), count)).collect(),
    }
}

/// The targets of a stored result.
pub(super) fn read(
    targets: &[stored::Target],
) -> Result<(Vec<AskedTarget>, Vec<TargetRecord>), ReadError> {
    let (mut asked, mut records) = (Vec::new(), Vec::new());
    let fresh = TargetRecord::default();
    for target in targets {
        let latency = match &target.histogram {
            Some(stored) => hist("targets", stored, &fresh.latency)?,
            None => return Err(ReadError::NoHistograms),
        };
        asked.push(AskedTarget {
            name: target.name.clone(),
            weight: target.weight,
            server: target.server,
        });
        let phases = [&target.opening, &target.warmup, &target.window, &target.drain];
        let [opening, warmup, window, drain] = phases.map(read_phase);
        records.push(TargetRecord {
            phases: [opening?, warmup?, window?, drain?],
            inflight_end: target.inflight_end,
            latency,
        });
    }
    Ok((asked, records))
}

fn read_phase(stored: &stored::TargetPhase) -> Result<TargetCounts, ReadError> {
    Ok(TargetCounts {
        started: stored.started,
        completed: stored.completed,
        failed: causes(&stored.failures)?,
        classes: read_classes(&stored.classes)?,
    })
}

fn read_classes(by_name: &BTreeMap<String, u64>) -> Result<[u64; STATUS_CLASSES], ReadError> {
    let mut classes = [0; STATUS_CLASSES];
    for (name, &count) in by_name {
        let class = CLASS_NAMES.iter().position(|known| known == name);
        classes[class.ok_or_else(|| unknown("class of status", name))?] = count;
    }
    Ok(classes)
}
