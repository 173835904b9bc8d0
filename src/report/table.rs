//! Columns that line up, and the table of what a machine can do.

use crate::units::{format_bytes, format_count, format_duration_ns};

/// Rows of cells as lines: the first column left, the others right, two blanks between columns and
/// before the first. Width is counted in characters.
pub(super) fn grid(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    rows.iter()
        .map(|row| {
            let mut line = String::new();
            for (cell, (column, &width)) in row.iter().zip(widths.iter().enumerate()) {
                line.push_str("  ");
                match column {
                    0 => line.push_str(&format!("{cell:<width$}")),
                    _ => line.push_str(&format!("{cell:>width$}")),
                }
            }
            line.truncate(line.trim_end().len());
            line
        })
        .collect()
}

/// Which side set the limit of a figure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    /// wring's workers had no time to spare.
    Generator,
    /// The target had none.
    Target,
    /// Neither had, or they share their CPUs.
    Both,
    /// The kernel or the hardware: neither side was busy.
    Kernel,
    /// Not the generator; how busy the target was cannot be seen.
    TargetOrKernel,
}

impl Side {
    /// How the side is called in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Generator => "wring",
            Self::Target => "the target",
            Self::Both => "both sides",
            Self::Kernel => "the kernel",
            Self::TargetOrKernel => "the target or the kernel",
        }
    }
}

/// One measured figure, in the base unit that its field names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Figure {
    /// How much.
    pub value: u64,
    /// What kept it from being better.
    pub limited_by: Side,
}

/// What this machine can do, against the built-in target. `None` where it was not measured.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct MachineFigures {
    /// Requests per second, one outstanding on each connection.
    pub requests_per_s_depth_1: Option<Figure>,
    /// Requests per second, 64 outstanding on each connection.
    pub requests_per_s_depth_64: Option<Figure>,
    /// Bytes per second with bodies of 1 MiB.
    pub bytes_per_s_1_mib: Option<Figure>,
    /// New connections per second, one request on each.
    pub connections_per_s: Option<Figure>,
    /// 99th percentile of the time from a due wake-up to the wake-up, in nanoseconds.
    pub wake_up_ns_p99: Option<Figure>,
}

/// The table as text, one line for each figure under a heading.
pub fn machine(figures: &MachineFigures) -> Vec<u8> {
    let row = |what: &str, figure: Option<Figure>, format: &dyn Fn(u64) -> String| {
        let value = figure.map_or_else(|| "not measured".to_owned(), |f| format(f.value));
        (what.to_owned(), value, figure.map_or("", |f| f.limited_by.name()))
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
    let mut text = String::from("What this machine can do\n");
    for (line, (_, _, side)) in grid(&cells).into_iter().zip(&rows) {
        text.push_str(&line);
        if !side.is_empty() {
            text.push_str(&format!("  limited by {side}"));
        }
        text.push('\n');
    }
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_table_lines_up_and_names_the_limit() {
        let figure = |value, limited_by| Some(Figure { value, limited_by });
        let figures = MachineFigures {
            requests_per_s_depth_1: figure(212_345, Side::Target),
            requests_per_s_depth_64: figure(3_456_789, Side::Generator),
            bytes_per_s_1_mib: figure(7 << 30, Side::Both),
            connections_per_s: None,
            wake_up_ns_p99: figure(61_200, Side::Kernel),
        };
        let expected = "\
What this machine can do
  requests per second, depth 1            212k  limited by the target
  requests per second, depth 64          3.46M  limited by wring
  bytes per second, 1 MiB bodies    7.00 GiB/s  limited by both sides
  new connections per second      not measured
  wake-up latency, p99                 61.2 µs  limited by the kernel
";
        assert_eq!(String::from_utf8(machine(&figures)).unwrap(), expected);
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_in_characters() {
        let rows = [vec!["a".to_owned(), "µ".to_owned()], vec!["bcd".to_owned(), "10".to_owned()]];
        assert_eq!(grid(&rows), ["  a     µ", "  bcd  10"]);
        assert!(grid(&[]).is_empty());
    }
}
