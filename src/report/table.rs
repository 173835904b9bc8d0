//! Columns that line up.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_in_characters() {
        let rows = [vec!["a".to_owned(), "µ".to_owned()], vec!["bcd".to_owned(), "10".to_owned()]];
        assert_eq!(grid(&rows), ["  a     µ", "  bcd  10"]);
        assert!(grid(&[]).is_empty());
    }
}
