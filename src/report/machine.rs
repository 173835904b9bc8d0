//! What a machine can do: the table below a self test's report, and the object of the file schema.

use crate::result::{Figure, MachineFigures, RunResult, Side};
use crate::units::{format_bytes, format_count, format_duration_ns};

use super::page::Page;
use super::schema::machine as schema;
use super::stored::ReadError;
use super::table::grid;

/// How a side is called in the table.
fn name(side: Side) -> &'static str {
    match side {
        Side::Generator => "wring",
        Side::Target => "the target",
        Side::Both => "both sides",
        Side::Kernel => "the kernel",
        Side::TargetOrKernel => "the target or the kernel",
    }
}

/// One line for each figure under a heading; nothing for a run that was no self test.
pub(super) fn section(result: &RunResult, page: &mut Page) {
    let Some(figures) = &result.machine else { return };
    let missing = if result.interrupted.is_some() { "interrupted" } else { "not measured" };
    let row = |what: &str, figure: Option<Figure>, format: &dyn Fn(u64) -> String| {
        let value = figure.map_or_else(|| missing.to_owned(), |f| format(f.value));
        (what.to_owned(), value, figure.map(|f| name(f.limited_by)))
    };
    let count = |value: u64| format_count(value as f64);
    let rate = |value: u64| format!("{}/s", format_bytes(value));
    let rows = [
        row("requests per second, depth 1", figures.requests_per_s_depth_1, &count),
        row("requests per second, depth 64", figures.requests_per_s_depth_64, &count),
        row("bytes per second, 1 MiB bodies", figures.bytes_per_s_1_mib, &rate),
        row("new connections per second", figures.connections_per_s, &count),
        row("wake-up latency, p99", figures.wake_up_ns_p99, &format_duration_ns),
    ];
    let cells: Vec<Vec<String>> =
        rows.iter().map(|(what, value, _)| vec![what.clone(), value.clone()]).collect();
    page.heading("What this machine can do");
    for (line, (_, _, side)) in grid(&cells).into_iter().zip(&rows) {
        page.text += &line;
        page.text += &side.map_or_else(String::new, |side| format!("  limited by {side}"));
        page.text.push('\n');
    }
}

pub(super) fn to_schema(figures: &MachineFigures) -> schema::Machine {
    let figure = |figure: Option<Figure>| {
        figure.map(|Figure { value, limited_by }| schema::Figure {
            value,
            limited_by: match limited_by {
                Side::Generator => schema::Side::Wring,
                Side::Target => schema::Side::Target,
                Side::Both => schema::Side::Both,
                Side::Kernel => schema::Side::Kernel,
                Side::TargetOrKernel => schema::Side::TargetOrKernel,
            },
        })
    };
    schema::Machine {
        version: schema::MACHINE_VERSION,
        requests_per_s_depth_1: figure(figures.requests_per_s_depth_1),
        requests_per_s_depth_64: figure(figures.requests_per_s_depth_64),
        bytes_in_per_s_1_mib: figure(figures.bytes_per_s_1_mib),
        connections_per_s: figure(figures.connections_per_s),
        wake_up_p99_ns: figure(figures.wake_up_ns_p99),
    }
}

/// `amount_max` is the largest number that no renderer has to fear.
pub(super) fn from_schema(
    stored: schema::Machine,
    amount_max: u64,
) -> Result<MachineFigures, ReadError> {
    if stored.version != schema::MACHINE_VERSION {
        return Err(ReadError::Implausible("machine"));
    }
    let figure = |figure: Option<schema::Figure>| {
        let Some(schema::Figure { value, limited_by }) = figure else { return Ok(None) };
        if value > amount_max {
            return Err(ReadError::Implausible("machine"));
        }
        let limited_by = match limited_by {
            schema::Side::Wring => Side::Generator,
            schema::Side::Target => Side::Target,
            schema::Side::Both => Side::Both,
            schema::Side::Kernel => Side::Kernel,
            schema::Side::TargetOrKernel => Side::TargetOrKernel,
        };
        Ok(Some(Figure { value, limited_by }))
    };
    Ok(MachineFigures {
        requests_per_s_depth_1: figure(stored.requests_per_s_depth_1)?,
        requests_per_s_depth_64: figure(stored.requests_per_s_depth_64)?,
        bytes_per_s_1_mib: figure(stored.bytes_in_per_s_1_mib)?,
        connections_per_s: figure(stored.connections_per_s)?,
        wake_up_ns_p99: figure(stored.wake_up_p99_ns)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::text::{self, TextOptions};
    use crate::report::{json, samples, stored};
    use crate::result::Interrupted;

    fn with_figures() -> RunResult {
        let figure = |value, limited_by| Some(Figure { value, limited_by });
        let mut result = samples::calm();
        result.machine = Some(MachineFigures {
            requests_per_s_depth_1: figure(212_345, Side::Target),
            requests_per_s_depth_64: figure(3_456_789, Side::Generator),
            bytes_per_s_1_mib: figure(7 << 30, Side::TargetOrKernel),
            connections_per_s: None,
            wake_up_ns_p99: figure(61_200, Side::Kernel),
        });
        result
    }

    fn plain(result: &RunResult) -> String {
        String::from_utf8(text::render(result, &TextOptions::default())).unwrap()
    }

    #[test]
    fn the_machine_table_is_the_end_lines_up_and_names_the_limit() {
        let expected = "
What this machine can do
  requests per second, depth 1            212k  limited by the target
  requests per second, depth 64          3.46M  limited by wring
  bytes per second, 1 MiB bodies    7.00 GiB/s  limited by the target or the kernel
  new connections per second      not measured
  wake-up latency, p99                 61.2 µs  limited by the kernel
";
        let text = plain(&with_figures());
        assert!(text.ends_with(expected), "{text}");
        assert!(!plain(&samples::calm()).contains("this machine can do"));
    }

    #[test]
    fn a_table_that_was_interrupted_says_so_in_its_rows_and_in_the_report() {
        let mut result = with_figures();
        result.interrupted = Some(Interrupted::Interrupt);
        let text = plain(&result);
        let row = text.lines().find(|line| line.contains("new connections per second"));
        assert!(row.unwrap().ends_with("  interrupted"), "{text}");
        let by = "by SIGINT after the whole window, while it was measured what this machine can do";
        assert!(text.contains(by), "{text}");
    }

    #[test]
    fn the_figures_are_in_json_and_come_back_from_a_file() {
        let result = with_figures();
        let object: serde_json::Value = serde_json::from_slice(&json::render(&result)).unwrap();
        let machine = &object["machine"];
        assert_eq!(machine["version"], 1);
        assert_eq!(machine["requests_per_s_depth_64"]["value"], 3_456_789);
        assert_eq!(machine["requests_per_s_depth_64"]["limited_by"], "wring");
        assert!(machine["connections_per_s"].is_null());
        assert_eq!(stored::read(&stored::write(&result)).unwrap().machine, result.machine);
        let without = json::render(&samples::calm());
        assert!(!String::from_utf8(without).unwrap().contains("\"machine\""));
    }
}
