//! Comparing stored results.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::args::compare::CompareArgs;
use super::super::error::CliError;
use super::super::execute::{parse_stored, stored_bytes};
use super::metric;
use crate::compare::{
    self, Block, Comparison, FALSE_ALARM, Layout, Side, Terms, against, summarize, unlike,
};
use crate::report::escape;
use crate::result::{Answers, RunResult, Verdict, fnv1a};
use crate::rng::Rng;

/// Longest URL shown, in characters.
const URL_CHARS_MAX: usize = 200;

/// Reads all files and compares the sides with the first.
pub(super) fn compare(args: &CompareArgs, files: &[Vec<String>]) -> Result<Comparison, CliError> {
    let mut notes = Vec::new();
    let mut first: Option<(String, RunResult)> = None;
    let mut sides = Vec::new();
    let mut metrics = None;
    let mut known = Known::default();
    for (index, paths) in files.iter().enumerate() {
        let (mut blocks, mut answers) = (Vec::new(), Answers::default());
        let mut url = String::new();
        for path in paths {
            let bytes = stored_bytes(Path::new(path))?;
            let shown = path.escape_debug().to_string();
            known.note(path, &shown, &bytes)?;
            let (result, path) = (parse_stored(Path::new(path), &bytes)?, shown);
            if result.window_completed() == 0 {
                return Err(CliError::nothing_measured(format!(
                    "no request completed in the run in '{path}', so there is nothing to compare"
                ))
                .hint("wring report FILE shows what became of its requests"));
            }
            if let Some((other, reference)) = &first {
                check_alike(args, (other, reference), (&path, &result), &mut notes)?;
            }
            if let Verdict::Invalid(_) = result.verdict {
                notes.push(format!("the run in '{path}' is invalid by its own verdict"));
            }
            metrics.get_or_insert_with(|| metric(args, result.asked.schedule.is_some()));
            blocks.push(summarize(&result, 0));
            answers.add(&Answers::of(&result));
            url = escape(&result.asked.url, URL_CHARS_MAX);
            first.get_or_insert((path, result));
        }
        let shown: Vec<String> = paths.iter().map(|path| path.escape_debug().to_string()).collect();
        sides.push(Side {
            name: name(index),
            label: format!("{} ({url})", shown.join(", ")),
            blocks,
            answers,
        });
    }
    let metric = metrics.unwrap_or(compare::Metric::RequestsPerS);
    // What failures hide is a finding, what was never measured is none.
    let was_measured =
        |block: &Block| block.value(metric).is_some() || block.is_lost_to_failures(metric);
    if let Some(side) = sides.iter().find(|side| !side.blocks.iter().any(was_measured)) {
        let message = format!("{} is not known in the results of {}", metric.name(), side.name);
        return Err(CliError::nothing_measured(message).hint("--metric chooses another"));
    }
    if sides.iter().any(|side| side.blocks.len() < 2) {
        notes.push(
            "with a single run of a side no interval can be given: how much runs differ by \
             themselves is not known; give several of each, a1.json,a2.json b1.json,b2.json"
                .to_owned(),
        );
    }
    // The promise is that of servers measured in turns, although this is one look.
    let terms = Terms { metric, margin: args.margin, layout: Layout::Runs, alpha: FALSE_ALARM };
    let mut rng = Rng::new(args.run.seed);
    let others = sides[1..]
        .iter()
        .map(|side| against(&sides[0].blocks, &side.blocks, &terms, &mut rng))
        .collect();
    Ok(Comparison {
        setup: first.map(|(_, result)| setup(&result)).unwrap_or_default(),
        sides,
        others,
        metric,
        margin: args.margin,
        layout: Layout::Runs,
        notes,
        interrupted: None,
    })
}

/// The files so far: the same run twice is no second run, and knows nothing of how runs differ.
#[derive(Default)]
struct Known {
    /// The file itself, the hash of its content, and its name as typed.
    files: Vec<(PathBuf, u64, String)>,
}

impl Known {
    fn note(&mut self, path: &str, shown: &str, bytes: &[u8]) -> Result<(), CliError> {
        let place = fs::canonicalize(path).unwrap_or_else(|_| PathBuf::from(path));
        let hash = fnv1a(bytes);
        let same = self.files.iter().find(|(other, of, _)| *other == place || *of == hash);
        if let Some((_, _, other)) = same {
            return Err(CliError::usage(format!(
                "'{other}' and '{shown}' are the same run: it counts once"
            ))
            .hint("store several runs of each side, each with -o FILE of its own"));
        }
        self.files.push((place, hash, shown.to_owned()));
        Ok(())
    }
}

/// `A`, `B`, … `Z`, then numbers.
pub(super) fn name(index: usize) -> String {
    match u8::try_from(index) {
        Ok(index @ 0..26) => char::from(b'A' + index).to_string(),
        _ => format!("side {}", index + 1),
    }
}

fn setup(result: &RunResult) -> Vec<String> {
    let asked = &result.asked;
    vec![format!("stored results, {} connections", asked.connections)]
}

fn check_alike(
    args: &CompareArgs,
    (path_a, a): (&str, &RunResult),
    (path_b, b): (&str, &RunResult),
    notes: &mut Vec<String>,
) -> Result<(), CliError> {
    let found = unlike(a, b);
    if found.is_empty() {
        return Ok(());
    }
    let found = escape(&found.join("; "), 400);
    let message = format!("'{path_a}' and '{path_b}' were not made alike: {found}");
    if !args.force {
        return Err(CliError::usage(message).hint(
            "what differs besides the target may be the difference; --force compares all the same",
        ));
    }
    notes.push(message);
    Ok(())
}
