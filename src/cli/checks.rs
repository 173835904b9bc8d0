//! The checks of answers and the thresholds, checked against the other flags.

use super::args::RunArgs;
use super::error::CliError;
use crate::inspect::{Check, Checks, Reference};
use crate::plan::is_token;
use crate::result::threshold::Threshold;

/// What the flags ask of answers.
pub(super) fn lower(args: &RunArgs) -> Result<Checks, CliError> {
    let typed = &args.checks;
    let checks = Checks {
        statuses: typed.expect,
        body_bytes: typed.expect_body_bytes,
        body_hash: typed.expect_body_hash.map(|hash| match hash {
            Some(hash) => Reference::Given(hash),
            None => Reference::First,
        }),
        group_by: typed.group_by.clone(),
    };
    if let Some(name) = &checks.group_by
        && !is_token(name)
    {
        let shown = name.escape_debug();
        return Err(CliError::usage(format!("--group-by: '{shown}' is no name of a header"))
            .hint("write the name alone, such as --group-by X-Backend"));
    }
    check_head(args, &checks)?;
    for threshold in &typed.thresholds {
        let shown = threshold.to_string();
        let shown = shown.escape_debug();
        if threshold.needs_schedule() && args.rate.is_none() && args.stages.is_none() {
            return Err(CliError::usage(format!(
                "--threshold '{shown}' needs a rate: without one nothing is ever due"
            ))
            .hint("add one, such as -R 10k or --stages '0->10k:30s'"));
        }
        is_made(threshold, "--threshold", &checks)?;
    }
    Ok(checks)
}

/// That the checks are made which a condition that the flag `by` gave speaks of.
pub(super) fn is_made(threshold: &Threshold, by: &str, checks: &Checks) -> Result<(), CliError> {
    let Some(check) = threshold.lacks(checks) else { return Ok(()) };
    let shown = threshold.to_string();
    Err(CliError::usage(format!(
        "{by} '{}' needs {}: answers are not checked for that",
        shown.escape_debug(),
        flag(check)
    )))
}

/// Answers to HEAD have no body.
fn check_head(args: &RunArgs, checks: &Checks) -> Result<(), CliError> {
    if args.method.as_deref() != Some("HEAD") {
        return Ok(());
    }
    let asked = [Check::BodyBytes, Check::BodyHash].into_iter().find(|check| checks.has(*check));
    let Some(check) = asked.filter(|_| checks.body_bytes != Some(0)) else { return Ok(()) };
    Err(CliError::usage(format!("{} and -X HEAD contradict each other", flag(check)))
        .hint("answers to HEAD have no body, whatever they announce"))
}

fn flag(check: Check) -> &'static str {
    match check {
        Check::Status => "--expect",
        Check::BodyBytes => "--expect-body-bytes",
        Check::BodyHash => "--expect-body-hash",
    }
}
