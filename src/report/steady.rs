//! How the warm-up went, and a drift: text, and to and from the file schema.

use crate::result::{Drift, RunResult, WarmedUp, drift};
use crate::units::format_duration_ns;

use super::page::Page;
use super::schema;
use super::stored::ReadError;

/// The section of a warm-up that was to end by itself.
pub(super) fn section(result: &RunResult, page: &mut Page) {
    let Some(warmed) = &result.warmed_up else { return };
    page.heading("Warm-up");
    let length = format_duration_ns(warmed.length_ns);
    page.line(&match warmed.steady_from_ns {
        _ if result.window_ns == 0 => {
            format!("stopped after {length}: the window never began")
        }
        Some(from_ns) => format!(
            "steady since {} after the start; the window began at {length}",
            format_duration_ns(from_ns)
        ),
        None => format!(
            "not steady within {length}: the window began all the same, and its numbers may depend \
             on when one looks; a shorter --interval shows more steps"
        ),
    });
}

/// What is to be said of a drift.
pub(super) fn drift_note(result: &RunResult) -> Option<String> {
    let Drift { change, at_ns } = drift(result)?;
    let (direction, percent) =
        if change < 0.0 { ("fell", -change * 100.0) } else { ("rose", change * 100.0) };
    let when = match at_ns {
        Some(at_ns) => format!("at once, some {} into the window", format_duration_ns(at_ns)),
        None => "through the window".to_owned(),
    };
    Some(format!(
        "requests per second {direction} by {percent:.1} % {when}: the mean over it is not how the \
         target stays; try a longer run, or --warmup auto"
    ))
}

pub(super) fn to_schema(warmed: &WarmedUp) -> schema::steady::WarmedUp {
    let WarmedUp { length_ns, steady_from_ns } = *warmed;
    schema::steady::WarmedUp { length_ns, steady_from_ns }
}

/// `amount_max` is the longest time that no renderer has to fear.
pub(super) fn from_schema(
    stored: schema::steady::WarmedUp,
    amount_max: u64,
) -> Result<WarmedUp, ReadError> {
    let schema::steady::WarmedUp { length_ns, steady_from_ns } = stored;
    if length_ns.max(steady_from_ns.unwrap_or(0)) > amount_max {
        return Err(ReadError::Implausible("warm-up"));
    }
    Ok(WarmedUp { length_ns, steady_from_ns })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::text::{self, TextOptions};
    use crate::report::{json, samples, stored};

    #[test]
    fn a_warm_up_is_told_stored_and_read_back() {
        for steady_from_ns in [Some(2_000_000_000), None] {
            let mut result = samples::calm();
            result.warmed_up = Some(WarmedUp { length_ns: 7_000_000_000, steady_from_ns });
            let text = String::from_utf8(text::render(&result, &TextOptions::default())).unwrap();
            let expected = match steady_from_ns {
                Some(_) => {
                    "Warm-up\n  steady since 2.00 s after the start; the window began at 7.00 s\n"
                }
                None => "Warm-up\n  not steady within 7.00 s: the window began all the same",
            };
            assert!(text.contains(expected), "{text}");
            assert_eq!(stored::read(&stored::write(&result)), Ok(result.clone()));
            let json: serde_json::Value = serde_json::from_slice(&json::render(&result)).unwrap();
            assert_eq!(json["warmed_up"]["length_ns"], 7_000_000_000_u64);
        }
        let mut stopped = samples::calm();
        (stopped.window_ns, stopped.warmed_up) =
            (0, Some(WarmedUp { length_ns: 1_500_000_000, steady_from_ns: None }));
        let text = String::from_utf8(text::render(&stopped, &TextOptions::default())).unwrap();
        assert!(
            text.contains("Warm-up\n  stopped after 1.50 s: the window never began\n"),
            "{text}"
        );
        let mut stepped = samples::calm();
        stepped.seconds = (0..10)
            .map(|second| crate::result::Second {
                start_ns: second * 1_000_000_000,
                length_ns: 1_000_000_000,
                flow: crate::record::Flow {
                    completed: if second < 4 { 1_000 } else { 600 } + second % 3,
                    ..Default::default()
                },
                ..Default::default()
            })
            .collect();
        stepped.window_ns = 10_000_000_000;
        stepped.asked.warmup_ns = 0;
        let text = String::from_utf8(text::render(&stepped, &TextOptions::default())).unwrap();
        let note = "requests per second fell by 39.9 % at once, some 4.00 s into the window: ";
        assert!(text.contains(note), "{text}");
        let json: serde_json::Value = serde_json::from_slice(&json::render(&stepped)).unwrap();
        assert_eq!(json["drift_at_ns"], 4_000_000_000_u64);
        let none: serde_json::Value =
            serde_json::from_slice(&json::render(&samples::calm())).unwrap();
        assert!(none["warmed_up"].is_null() && none["drift_share"].is_null());
    }
}
