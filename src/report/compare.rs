//! A comparison as text, as Markdown for a pull request, and as JSON.

use serde::Serialize;

use super::schema::answers::Answers as AnswersObject;
use super::table::grid;
use super::{NOTE_CHARS_MAX, answers, escape, json, words};
use crate::compare::{
    Against, Comparison, Difference, Disturbance, Layout, Metric, SHOWN, Side, Unknown, Word,
};
use crate::result::Answers;
use crate::units::{format_duration_ns, format_grouped};

/// The version of the object.
const SCHEMA_VERSION: u32 = 1;
/// Longest label shown, in characters.
const LABEL_CHARS_MAX: usize = 300;

const BOLD: (&str, &str) = ("\u{1b}[1m", "\u{1b}[0m");

/// What kept a block from being measured.
pub fn disturbance(disturbance: Disturbance) -> &'static str {
    match disturbance {
        Disturbance::SentLate => "wring itself sent late",
        Disturbance::Starved => "wring waited for its CPU",
        Disturbance::StoodStill => "wring stood still for more than a second",
        Disturbance::Suspended => "the machine was suspended",
        Disturbance::Broke => "a worker of wring broke",
        Disturbance::NoWindow => "the block did not come to its measurement",
    }
}

/// `eof 100, timeout 20`; `None` where no request failed.
pub fn failures(of: &Answers) -> Option<String> {
    answers::causes(of)
}

/// The text report; its last line is the verdict.
pub fn text(comparison: &Comparison, color: bool) -> Vec<u8> {
    let mut text = String::new();
    let names: Vec<&str> = comparison.sides.iter().map(|side| side.name.as_str()).collect();
    text += &format!("Comparing {}: {}\n", listed(&names), setup(comparison));
    for side in &comparison.sides {
        text += &format!("  {}  {}\n", side.name, escape(&side.label, LABEL_CHARS_MAX));
    }
    text.push('\n');
    let rows: Vec<Vec<String>> = rows(comparison);
    for line in grid(&rows) {
        text += &line;
        text.push('\n');
    }
    let answers = answers_lines(comparison);
    if !answers.is_empty() {
        text += "\nAnswers\n";
        for line in answers {
            text += &format!("  {line}\n");
        }
    }
    let notes = notes(comparison);
    if !notes.is_empty() {
        text += "\nNotes\n";
        for note in notes {
            text += &format!("  {note}\n");
        }
    }
    text.push('\n');
    let (on, off) = if color { BOLD } else { ("", "") };
    for line in verdicts(comparison) {
        text += &format!("{on}{line}{off}\n");
    }
    text.into_bytes()
}

/// Markdown: the verdict, the table, the rest folded away.
pub fn markdown(comparison: &Comparison) -> Vec<u8> {
    let mut text = String::new();
    for line in verdicts(comparison) {
        text += &format!("**{}**\n\n", marked(&line));
    }
    let rows = rows(comparison);
    for (index, row) in rows.iter().enumerate() {
        let cells: Vec<String> = row.iter().map(|cell| marked(cell)).collect();
        text += &format!("| {} |\n", cells.join(" | "));
        if index == 0 {
            text += &format!("| --- | --- |{}\n", " ---: |".repeat(row.len() - 2));
        }
    }
    let answers = answers_lines(comparison);
    if !answers.is_empty() {
        text.push('\n');
    }
    for line in answers {
        text += &format!("- {}\n", marked(&line));
    }
    text +=
        &format!("\n<details><summary>How it was measured</summary>\n\n{}\n\n", setup(comparison));
    for side in &comparison.sides {
        let label = escape(&side.label, LABEL_CHARS_MAX).replace('`', "'");
        text += &format!("- {}: `{label}`\n", side.name);
    }
    for note in notes(comparison) {
        text += &format!("- {}\n", marked(&note));
    }
    text += "\n</details>\n";
    text.into_bytes()
}

/// What deserves a look among the answers, side by side: statuses that are no success, requests without
/// an answer, failed checks.
fn answers_lines(comparison: &Comparison) -> Vec<String> {
    let sides = || comparison.sides.iter();
    let has_other = sides().any(|side| side.answers.other() > 0);
    let statuses = sides().filter(|_| has_other).map(|side| {
        let outside = answers::outside(&side.answers);
        let line = outside.unwrap_or_else(|| answers::classes(&side.answers));
        format!("{}  {line}", side.name)
    });
    let failed = sides().filter_map(|side| {
        let causes = answers::causes(&side.answers)?;
        Some(format!("{}  requests that failed: {causes}", side.name))
    });
    let of = |side: &Side| {
        let name = side.name.clone();
        answers::checks(&side.answers).into_iter().map(move |line| format!("{name}  {line}"))
    };
    statuses.chain(failed).chain(sides().flat_map(of)).collect()
}

/// What Markdown would take for its own.
fn marked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '|' | '*' | '_' | '`' | '<' | '[' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn listed(names: &[&str]) -> String {
    match names {
        [rest @ .., last] if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.join(""),
    }
}

fn setup(comparison: &Comparison) -> String {
    comparison.setup.join("; ")
}

fn notes(comparison: &Comparison) -> Vec<String> {
    let mut notes: Vec<String> =
        comparison.notes.iter().map(|note| escape(note, NOTE_CHARS_MAX)).collect();
    for (side, other) in comparison.sides[1..].iter().zip(&comparison.others) {
        let reference = comparison.sides.first();
        let sides = [reference, Some(side)].into_iter().flatten().collect::<Vec<_>>();
        notes.extend(other.unknown.iter().map(|unknown| left_out(comparison, &sides, unknown)));
        let Some(difference) = decisive(comparison, other) else { continue };
        let excludes_zero =
            difference.interval().is_some_and(|(low, high)| low > 0.0 || high < 0.0);
        if other.is_by_few {
            notes.push(format!("{}: {}", side.name, by_few(comparison.layout)));
        } else if other.word == Word::Undecided
            && excludes_zero
            && !other.is_little_known(comparison.metric)
        {
            notes.push(format!(
                "{}: the interval excludes zero, but a verdict asked for {:.4} % certainty here \
                 instead of 95, so that fewer than one comparison in a hundred of a server with \
                 itself ends in faster or slower",
                side.name,
                (1.0 - other.alpha) * 100.0
            ));
        }
        if let Some(more) = other.more {
            notes.push(format!(
                "{}: to decide it, it would take some {}{}",
                side.name,
                more_needed(comparison.layout, more),
                how_to_get_more(comparison.layout)
            ));
        }
    }
    if let Some(by) = comparison.interrupted {
        notes.push(format!("interrupted by {} before it was decided", words::interrupted(by)));
    }
    notes
}

/// That pairs or runs do not count for a metric, and why it is not known in them.
fn left_out(comparison: &Comparison, sides: &[&Side], unknown: &Unknown) -> String {
    let Unknown { metric, units, by_failures, of } = *unknown;
    let what = match comparison.layout {
        Layout::Runs => "runs",
        Layout::Pairs | Layout::Processes => "pairs of blocks",
    };
    let failed = || {
        let of = |side: &&Side| Some(format!("{}: {}", side.name, answers::causes(&side.answers)?));
        let sides: Vec<String> = sides.iter().filter_map(of).collect();
        format!(
            "in {} so many requests failed, which is slower than any answer, that it lies among them \
             (in all {})",
            format_grouped(by_failures as u64),
            sides.join("; ")
        )
    };
    let few = || match metric {
        Metric::ServerCpu => "a process of the server ended meanwhile".to_owned(),
        _ => "fewer than ten requests lie above it there: a longer --block gives more".to_owned(),
    };
    let why = match units - by_failures {
        0 => failed(),
        _ if by_failures == 0 => few(),
        _ => format!("{}; elsewhere {}", failed(), few()),
    };
    format!(
        "{} is not known in {} of {} {what}, which are left out for it: {why}",
        metric.name(),
        format_grouped(units as u64),
        format_grouped(of as u64)
    )
}

/// Why an interval alone is not believed.
fn by_few(layout: Layout) -> &'static str {
    match layout {
        Layout::Pairs => {
            "what the interval shows comes from few pairs of blocks, and chance may have put them \
             there: nearly all of eight pairs or more must show it"
        }
        Layout::Processes => {
            "a verdict needs four starts of each side: fewer agree by chance too often"
        }
        Layout::Runs => "a verdict needs four runs of each side: fewer agree by chance too often",
    }
}

/// `some 40 more blocks` without the `some`.
fn more_needed(layout: Layout, more: u64) -> String {
    let (count, what) = match layout {
        Layout::Pairs => (more.saturating_mul(2), "block"),
        Layout::Processes => (more, "start"),
        Layout::Runs => (more, "run"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{} more {what}{plural}", format_grouped(count))
}

fn how_to_get_more(layout: Layout) -> &'static str {
    match layout {
        Layout::Pairs => "; raise --max-duration",
        Layout::Processes => " of each side; raise --restarts and --max-duration",
        Layout::Runs => " of each side",
    }
}

fn decisive<'a>(comparison: &Comparison, other: &'a Against) -> Option<&'a Difference> {
    other.differences.iter().find(|difference| difference.metric == comparison.metric)
}

/// The heading, then for each metric the reference and every other side beside it.
fn rows(comparison: &Comparison) -> Vec<Vec<String>> {
    let cells = |cells: [&str; 5]| cells.map(str::to_owned).to_vec();
    let reference = comparison.sides.first().map_or("A", |side| &side.name);
    let mut rows = vec![cells(["", "", "mean", &format!("to {reference}"), "95 % interval"])];
    for metric in Metric::ALL {
        let of = |other: &Against| other.differences.iter().find(|d| d.metric == metric).copied();
        let Some(first) = comparison.others.iter().find_map(of) else { continue };
        let mean = value(metric, first.reference);
        rows.push(cells([metric.name(), reference, &mean, "reference", ""]));
        for (side, other) in comparison.sides[1..].iter().zip(&comparison.others) {
            rows.push(match of(other) {
                Some(difference) => {
                    let unit = if metric.is_share() { "points" } else { "%" };
                    let interval = difference.interval().map_or_else(
                        || "unknown".to_owned(),
                        |(low, high)| format!("{} to {}", signed(low), signed(high)),
                    );
                    let relative = format!("{} {unit}", signed(difference.relative()));
                    cells(["", &side.name, &value(metric, difference.other), &relative, &interval])
                }
                None => cells(["", &side.name, "–", "–", "–"]),
            });
        }
    }
    rows
}

fn value(metric: Metric, value: f64) -> String {
    match metric {
        Metric::RequestsPerS if value < 999.95 => format!("{value:.1}"),
        Metric::RequestsPerS => format_grouped(value.round() as u64),
        Metric::Failed if value == 0.0 => "0 %".to_owned(),
        Metric::Failed => format!("{:.3} %", value * 100.0),
        _ => format_duration_ns(value.round() as u64),
    }
}

/// A share in percent with its sign; nothing is neither more nor less.
fn signed(share: f64) -> String {
    let text = format!("{:+.1}", share * 100.0);
    if matches!(text.as_str(), "+0.0" | "-0.0") { "0.0".to_owned() } else { text }
}

/// The same with a sign only when it is negative.
fn plain(share: f64) -> String {
    signed(share).trim_start_matches('+').to_owned()
}

/// One line for each other side, its word in one place. Faster and slower give amounts, same what it
/// lies within, undecided the signed difference and what it would take.
fn verdicts(comparison: &Comparison) -> Vec<String> {
    let reference = comparison.sides.first().map_or("A", |side| &side.name);
    comparison.sides[1..]
        .iter()
        .zip(&comparison.others)
        .map(|(side, other)| {
            let (word, metric) = (other.word.name(), comparison.metric.name());
            let difference = decisive(comparison, other);
            let relative = difference.map_or(f64::NAN, Difference::relative);
            let is_amount = matches!(other.word, Word::Faster | Word::Slower) && relative < 0.0;
            let (relative, ends) = match difference.and_then(Difference::interval) {
                Some((low, high)) if is_amount => (-relative, Some((-high, -low))),
                ends => (relative, ends),
            };
            let amount = if relative.is_nan() { "?".to_owned() } else { plain(relative) };
            let interval = ends.map_or_else(
                || "unknown".to_owned(),
                |(low, high)| format!("{} to {}", plain(low), plain(high)),
            );
            let name = &side.name;
            match other.word {
                Word::Faster | Word::Slower => format!(
                    "verdict: {name} is {word} than {reference} in {metric} by {amount} % \
                     (95 %: {interval})"
                ),
                Word::Same => format!(
                    "verdict: {name} is {word} as {reference} in {metric} within {} % \
                     (95 %: {interval})",
                    plain(comparison.margin)
                ),
                Word::Undecided => {
                    let more = match (other.more, other.unknown_of(comparison.metric)) {
                        (Some(more), _) => {
                            format!("; some {} would tell", more_needed(comparison.layout, more))
                        }
                        (None, Some(unknown)) if unknown.is_too_much() => format!(
                            "; it is not known in {} of {} {}",
                            unknown.units,
                            unknown.of,
                            if comparison.layout == Layout::Runs { "runs" } else { "pairs" }
                        ),
                        _ => String::new(),
                    };
                    format!(
                        "verdict: {name} is {word} against {reference} in {metric} at {amount} % \
                         (95 %: {interval}){more}"
                    )
                }
            }
        })
        .collect()
}

#[derive(Serialize)]
struct Object {
    schema_version: u32,
    kind: &'static str,
    metric: &'static str,
    margin: f64,
    layout: &'static str,
    setup: Vec<String>,
    sides: Vec<SideObject>,
    comparisons: Vec<AgainstObject>,
    interrupted: Option<&'static str>,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct SideObject {
    name: String,
    label: String,
    blocks: Vec<BlockObject>,
    /// What was answered, in every block or run, whether it counts or not.
    answers: AnswersObject,
}

#[derive(Serialize)]
struct BlockObject {
    process: u32,
    requests_per_s: Option<f64>,
    p50_ns: Option<f64>,
    p90_ns: Option<f64>,
    p99_ns: Option<f64>,
    p999_ns: Option<f64>,
    failed_share: Option<f64>,
    server_cpu_ns_per_request: Option<f64>,
    generator_limited: bool,
}

#[derive(Serialize)]
struct AgainstObject {
    reference: String,
    other: String,
    verdict: &'static str,
    /// The error probability that the verdict was given at.
    alpha: f64,
    /// The interval excludes zero because of few pairs.
    by_few: bool,
    /// Pairs, starts or runs more that it would take.
    units_more: Option<u64>,
    differences: Vec<DifferenceObject>,
    /// Metrics that are not known everywhere.
    left_out: Vec<LeftOutObject>,
}

/// Pairs or runs that do not count for a metric, which is not known in them.
#[derive(Serialize)]
struct LeftOutObject {
    metric: &'static str,
    units: usize,
    /// Those among them in which it lies among requests that failed.
    by_failures: usize,
    of: usize,
}

#[derive(Serialize)]
struct DifferenceObject {
    metric: &'static str,
    reference: f64,
    other: f64,
    /// Relative; of shares the plain difference.
    difference: f64,
    confidence: f64,
    low: Option<f64>,
    high: Option<f64>,
}

/// The comparison as one JSON object in one line.
pub fn json(comparison: &Comparison) -> Vec<u8> {
    let reference = comparison.sides.first().map_or_else(String::new, |side| side.name.clone());
    let comparisons = comparison.sides[1..].iter().zip(&comparison.others);
    json::to_safe_bytes(&Object {
        schema_version: SCHEMA_VERSION,
        kind: "wring-comparison",
        metric: comparison.metric.key(),
        margin: comparison.margin,
        layout: match comparison.layout {
            Layout::Pairs => "pairs",
            Layout::Processes => "processes",
            Layout::Runs => "runs",
        },
        setup: comparison.setup.clone(),
        sides: comparison.sides.iter().map(side_object).collect(),
        comparisons: comparisons
            .map(|(side, other)| AgainstObject {
                reference: reference.clone(),
                other: side.name.clone(),
                verdict: other.word.name(),
                alpha: other.alpha,
                by_few: other.is_by_few,
                units_more: other.more,
                differences: other.differences.iter().map(difference_object).collect(),
                left_out: other.unknown.iter().map(left_out_object).collect(),
            })
            .collect(),
        interrupted: comparison.interrupted.map(words::interrupted),
        notes: comparison.notes.clone(),
    })
}

fn side_object(side: &Side) -> SideObject {
    let block = |block: &crate::compare::Block| BlockObject {
        process: block.process,
        requests_per_s: block.value(Metric::RequestsPerS),
        p50_ns: block.value(Metric::P50),
        p90_ns: block.value(Metric::P90),
        p99_ns: block.value(Metric::P99),
        p999_ns: block.value(Metric::P999),
        failed_share: block.value(Metric::Failed),
        server_cpu_ns_per_request: block.value(Metric::ServerCpu),
        generator_limited: block.is_generator_limited,
    };
    SideObject {
        name: side.name.clone(),
        label: side.label.clone(),
        blocks: side.blocks.iter().map(block).collect(),
        answers: answers::to_schema(&side.answers),
    }
}

fn left_out_object(unknown: &Unknown) -> LeftOutObject {
    let Unknown { metric, units, by_failures, of } = *unknown;
    LeftOutObject { metric: metric.key(), units, by_failures, of }
}

fn difference_object(difference: &Difference) -> DifferenceObject {
    let interval = difference.interval();
    DifferenceObject {
        metric: difference.metric.key(),
        reference: difference.reference,
        other: difference.other,
        difference: difference.relative(),
        confidence: 1.0 - SHOWN,
        low: interval.map(|(low, _)| low),
        high: interval.map(|(_, high)| high),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{Block, Side, Terms, against};
    use crate::result::Interrupted;
    use crate::rng::Rng;

    /// A comparison of these requests per second, block by block.
    fn comparison(a: &[f64], b: &[f64], word: Option<Word>) -> Comparison {
        let block = |&rps: &f64| Block {
            requests_per_s: Some(rps),
            latency_ns: [Some(64e9 / rps), None, None, None],
            failed_share: Some(0.0),
            ..Block::default()
        };
        let side = |name: &str, values: &[f64]| Side {
            name: name.to_owned(),
            label: format!("http://{name}/"),
            blocks: values.iter().map(block).collect(),
            answers: Answers::default(),
        };
        let sides = vec![side("A", a), side("B", b)];
        let terms = Terms {
            metric: Metric::RequestsPerS,
            margin: 0.01,
            layout: Layout::Pairs,
            alpha: 0.05,
        };
        let mut other = against(&sides[0].blocks, &sides[1].blocks, &terms, &mut Rng::new(1));
        other.word = word.unwrap_or(other.word);
        Comparison {
            sides,
            others: vec![other],
            metric: Metric::RequestsPerS,
            margin: 0.01,
            layout: Layout::Pairs,
            setup: vec!["64 connections".to_owned(), "4 pairs".to_owned()],
            notes: vec!["both run here".to_owned()],
            interrupted: None,
        }
    }

    const A: [f64; 4] = [1000.0, 1010.0, 990.0, 1000.0];

    fn slower() -> Comparison {
        comparison(&A, &[968.0, 980.0, 960.0, 968.0], None)
    }

    fn shown(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn the_text_has_a_reference_row_and_ends_with_the_verdict() {
        let expected = "\
Comparing A and B: 64 connections; 4 pairs
  A  http://A/
  B  http://B/

                      mean        to A  95 % interval
  requests/sec  A    1,000   reference
                B    969.0      -3.1 %   -3.3 to -2.9
  latency p50   A  64.0 ms   reference
                B  66.0 ms      +3.2 %   +3.0 to +3.4
  failed        A      0 %   reference
                B      0 %  0.0 points     0.0 to 0.0

Notes
  both run here

verdict: B is slower than A in requests/sec by 3.1 % (95 %: 2.9 to 3.3)
";
        assert_eq!(shown(text(&slower(), false)), expected);
    }

    #[test]
    fn every_word_stands_in_its_place() {
        let last = |comparison: &Comparison| {
            shown(text(comparison, false)).lines().last().unwrap().to_owned()
        };
        let faster = comparison(&A, &[1050.0, 1060.0, 1040.0, 1052.0], None);
        assert_eq!(
            last(&faster),
            "verdict: B is faster than A in requests/sec by 5.1 % (95 %: 4.9 to 5.2)"
        );
        assert_eq!(
            last(&comparison(&A, &A, None)),
            "verdict: B is same as A in requests/sec within 1.0 % (95 %: 0.0 to 0.0)"
        );
        let undecided = comparison(&A, &[900.0, 1100.0, 950.0, 1080.0], None);
        let line = last(&undecided);
        let start = "verdict: B is undecided against A in requests/sec at ";
        assert!(line.starts_with(start), "{line}");
        assert!(line.contains("(95 %: -") && line.ends_with(" more blocks would tell"), "{line}");
        let alone = comparison(&[100.0], &[97.0], None);
        assert_eq!(
            last(&alone),
            "verdict: B is undecided against A in requests/sec at -3.0 % (95 %: unknown)"
        );
    }

    #[test]
    fn what_it_would_take_and_what_was_asked_is_told() {
        let mut undecided = comparison(&A, &[900.0, 1100.0, 950.0, 1080.0], None);
        undecided.interrupted = Some(Interrupted::Interrupt);
        let text = shown(text(&undecided, false));
        assert!(text.contains("B: to decide it, it would take some "), "{text}");
        assert!(text.contains(" more blocks; raise --max-duration"), "{text}");
        assert!(text.contains("interrupted by SIGINT before it was decided"), "{text}");
        let mut strict = slower();
        (strict.others[0].word, strict.others[0].alpha) = (Word::Undecided, 0.0001);
        let by_few = Comparison {
            others: vec![Against { is_by_few: true, ..strict.others[0].clone() }],
            ..strict.clone()
        };
        assert!(shown(super::text(&by_few, false)).contains("comes from few pairs"));
        let text = shown(super::text(&strict, false));
        assert!(text.contains("a verdict asked for 99.9900 % certainty here"), "{text}");
        for (layout, said) in [
            (Layout::Processes, "B: a verdict needs four starts of each side"),
            (Layout::Runs, "B: a verdict needs four runs of each side"),
        ] {
            let mut few = Comparison { layout, ..by_few.clone() };
            few.others[0].more = Some(1);
            let text = shown(super::text(&few, false));
            assert!(text.contains(said), "{text}");
            let what = if layout == Layout::Runs { "run" } else { "start" };
            assert!(text.ends_with(&format!("; some 1 more {what} would tell\n")), "{text}");
        }
    }

    /// Answers of which some are no success, some failed a check, and some never came.
    fn answers() -> Answers {
        use crate::outcome::Failure;
        use crate::result::RunResult;
        let mut result = RunResult::default();
        result.asked.checks.statuses = crate::units::parse_statuses("2xx", ',').ok();
        result.total.phases[2].statuses[200] = 10;
        result.total.phases[2].statuses[404] = 30;
        result.total.phases[2].failed.add(Failure::Eof, 5);
        Answers::of(&result)
    }

    #[test]
    fn answers_that_are_no_success_are_told_for_each_side() {
        let mut comparison = slower();
        assert!(!shown(text(&comparison, false)).contains("Answers"));
        comparison.sides[1].answers.add(&answers());
        let lines = [
            "A  none came",
            "B  2xx 10, 4xx 30: 30 of 40 are outside 2xx and 3xx",
            "B  requests that failed: eof 5",
            "B  30 of 40 answers failed the check of their status (expected: 2xx)",
        ];
        let in_text = format!("\nAnswers\n  {}\n\nNotes\n", lines.join("\n  "));
        let text = shown(text(&comparison, false));
        assert!(text.contains(&in_text), "{text}");
        let in_markdown = format!("|\n\n- {}\n\n<details>", lines.join("\n- "));
        let markdown = shown(markdown(&comparison));
        assert!(markdown.contains(&in_markdown), "{markdown}");
        let value: serde_json::Value = serde_json::from_slice(&json(&comparison)).unwrap();
        let of = &value["sides"][1]["answers"];
        assert_eq!((&of["outside_2xx_3xx"], &of["classes"]["4xx"]), (&30.into(), &30.into()));
        assert_eq!((&of["failed"]["eof"], &of["failed_checks"]["status"]), (&5.into(), &30.into()));
    }

    #[test]
    fn pairs_in_which_a_percentile_is_not_known_are_told_with_the_cause() {
        let mut comparison = slower();
        comparison.metric = Metric::P99;
        comparison.sides[1].answers.add(&answers());
        let other = &mut comparison.others[0];
        other.word = Word::Undecided;
        other.unknown = vec![Unknown { metric: Metric::P99, units: 3, by_failures: 3, of: 4 }];
        let text = shown(text(&comparison, false));
        let note = "latency p99 is not known in 3 of 4 pairs of blocks, which are left out for it: in \
                    3 so many requests failed, which is slower than any answer, that it lies among \
                    them (in all B: eof 5)";
        assert!(text.contains(note), "{text}");
        let verdict = "verdict: B is undecided against A in latency p99 at ? % (95 %: unknown); it is \
                       not known in 3 of 4 pairs\n";
        assert!(text.ends_with(verdict), "{text}");
        comparison.others[0].unknown[0] =
            Unknown { metric: Metric::P50, units: 1, by_failures: 0, of: 4 };
        let text = shown(super::text(&comparison, false));
        assert!(text.contains("fewer than ten requests lie above it there"), "{text}");
        let value: serde_json::Value = serde_json::from_slice(&json(&comparison)).unwrap();
        assert_eq!(value["comparisons"][0]["left_out"][0]["metric"], "p50_ns");
    }

    #[test]
    fn markdown_is_a_table_under_the_verdict() {
        let mut comparison = slower();
        comparison.sides[1].label = "a|b `c`".to_owned();
        let text = shown(markdown(&comparison));
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("**verdict: B is slower than A in requests/sec by 3.1 %"));
        assert_eq!(lines[2], "|  |  | mean | to A | 95 % interval |");
        assert_eq!(lines[3], "| --- | --- | ---: | ---: | ---: |");
        assert_eq!(lines[4], "| requests/sec | A | 1,000 | reference |  |");
        assert!(lines[5].starts_with("|  | B | 969.0 | -3.1 % | -3."), "{}", lines[5]);
        assert!(text.contains("- B: `a|b 'c'`"), "{text}");
        let columns = |line: &&&str| line.matches(" |").count();
        assert!(lines[2..10].iter().all(|line| columns(&line) == columns(&&lines[2])), "{text}");
    }

    #[test]
    fn json_has_every_block_and_every_difference() {
        let value: serde_json::Value = serde_json::from_slice(&json(&slower())).unwrap();
        assert_eq!(value["kind"], "wring-comparison");
        assert_eq!(value["schema_version"], 1);
        assert_eq!(value["sides"][1]["blocks"][2]["requests_per_s"], 960.0);
        assert_eq!(value["sides"][0]["blocks"][0]["p99_ns"], serde_json::Value::Null);
        let found = &value["comparisons"][0];
        assert_eq!((&found["reference"], &found["other"]), (&"A".into(), &"B".into()));
        assert_eq!(found["verdict"], "slower");
        let difference = &found["differences"][0];
        assert_eq!(difference["metric"], "requests_per_s");
        let number = |key: &str| difference[key].as_f64().unwrap();
        assert!((number("difference") + 0.031).abs() < 1e-3);
        assert!(number("low") < number("difference") && number("difference") < number("high"));
        assert_eq!(number("confidence"), 0.95);
    }
}
