//! Which answers came in several runs: lines for people, and the same as a part of the file schema.

use super::schema::answers as schema;
use crate::inspect::Check;
use crate::outcome::Cause as _;
use crate::result::Answers;
use crate::units::format_grouped;

/// `2xx 18,766, 5xx 1,234: 1,234 of 20,000 are outside 2xx and 3xx`; `None` where all are within.
pub(super) fn outside(answers: &Answers) -> Option<String> {
    let other = answers.other();
    (other > 0).then(|| {
        format!(
            "{}: {} of {} are outside 2xx and 3xx",
            classes(answers),
            format_grouped(other),
            format_grouped(answers.completed())
        )
    })
}

/// `2xx 18,766, 5xx 1,234`
pub(super) fn classes(answers: &Answers) -> String {
    let of = |(class, count): (usize, u64)| format!("{class}xx {}", format_grouped(count));
    match answers.by_class() {
        none if none.is_empty() => "none came".to_owned(),
        classes => classes.into_iter().map(of).collect::<Vec<_>>().join(", "),
    }
}

/// `eof 100, timeout 20`; `None` where no request failed.
pub(super) fn causes(answers: &Answers) -> Option<String> {
    let counts = answers.failed.iter().filter(|(_, count)| *count > 0);
    let of = |(cause, count): (crate::outcome::Failure, u64)| {
        format!("{} {}", cause.name(), format_grouped(count))
    };
    let causes: Vec<String> = counts.map(of).collect();
    (!causes.is_empty()).then(|| causes.join(", "))
}

/// One line for each check that was made: how many answers failed it.
pub(super) fn checks(answers: &Answers) -> Vec<String> {
    let line = |(check, failed): (Check, u64)| {
        let (what, expected) = match check {
            Check::Status => {
                ("status", answers.expected().map(|set| format!(" (expected: {set})")))
            }
            Check::BodyBytes => ("body length", None),
            Check::BodyHash => ("body", None),
        };
        format!(
            "{} of {} answers failed the check of their {what}{}",
            format_grouped(failed),
            format_grouped(answers.completed()),
            expected.unwrap_or_default()
        )
    };
    answers.failed_checks().into_iter().map(line).collect()
}

pub(super) fn to_schema(answers: &Answers) -> schema::Answers {
    let named = |(class, count): (usize, u64)| (format!("{class}xx"), count);
    let failed = answers.failed.iter().filter(|(_, count)| *count > 0);
    schema::Answers {
        completed: answers.completed(),
        outside_2xx_3xx: answers.other(),
        classes: answers.by_class().into_iter().map(named).collect(),
        failed: failed.map(|(cause, count)| (cause.name().to_owned(), count)).collect(),
        failed_checks: answers
            .failed_checks()
            .into_iter()
            .map(|(check, count)| (check.name().to_owned(), count))
            .collect(),
    }
}
