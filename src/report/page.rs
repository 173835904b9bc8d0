//! The text report so far: headings, lines and tables, in colour or not.

use super::table::grid;

pub(super) const RED: &str = "\x1b[1;31m";
pub(super) const GREEN: &str = "\x1b[1;32m";
pub(super) const YELLOW: &str = "\x1b[1;33m";
const BOLD: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";

/// The text so far.
pub(super) struct Page {
    pub(super) text: String,
    pub(super) color: bool,
}

impl Page {
    pub(super) fn heading(&mut self, text: &str) {
        self.text.push('\n');
        self.colored(BOLD, text);
        self.text.push('\n');
    }

    pub(super) fn colored(&mut self, color: &str, text: &str) {
        if self.color {
            self.text += &format!("{color}{text}{PLAIN}");
        } else {
            self.text += text;
        }
    }

    pub(super) fn line(&mut self, text: &str) {
        self.text += &format!("  {text}\n");
    }

    pub(super) fn grid(&mut self, rows: &[Vec<String>]) {
        for line in grid(rows) {
            self.text += &line;
            self.text.push('\n');
        }
    }
}
