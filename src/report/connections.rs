//! How connections came and went, and what each address had of them.

use crate::record;
use crate::result::RunResult;
use crate::units::format_grouped;

use super::page::Page;
use super::schema::{AddressCounts, NewConnections};
use super::{NOTE_CHARS_MAX, escape, json};

/// Rows of the table of addresses; a name may have thousands.
const ROWS_MAX: usize = 64;

/// The lines behind those on how many there were.
pub(super) fn section(result: &RunResult, page: &mut Page) {
    let opened = result.total.connect_window.len();
    if opened > 0 {
        page.line(&format!(
            "{} opened in the window: {} new connections per second",
            format_grouped(opened),
            tenths(result.connections_per_s())
        ));
    }
    let addresses = &result.asked.addresses;
    if addresses.len() < 2 {
        return;
    }
    let shown = |address: &String| escape(address, NOTE_CHARS_MAX);
    if result.total.addresses.len() != addresses.len() {
        let addresses: Vec<String> = addresses.iter().map(shown).collect();
        page.line(&format!("spread evenly over {}", addresses.join(", ")));
        return;
    }
    let head = ["address", "attempts", "established", "failed", "completed"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (address, counts) in addresses.iter().zip(&result.total.addresses).take(ROWS_MAX) {
        let numbers = [counts.attempts, counts.established, counts.failed, counts.completed];
        rows.push([shown(address)].into_iter().chain(numbers.map(format_grouped)).collect());
    }
    page.grid(&rows);
    if addresses.len() > ROWS_MAX {
        page.line(&format!("and {} more, which --json lists", addresses.len() - ROWS_MAX));
    }
}

/// With one decimal and its thousands set apart.
fn tenths(per_s: f64) -> String {
    let tenths = (per_s * 10.0).round() as u64;
    format!("{}.{}", format_grouped(tenths / 10), tenths % 10)
}

/// What was opened in the window, for the file.
pub(super) fn opened(result: &RunResult) -> NewConnections {
    NewConnections {
        established: result.total.connect_window.len(),
        per_s: result.connections_per_s(),
        connect: json::latency(&result.total.connect_window),
    }
}

/// The table of addresses, for the file; empty with one address.
pub(super) fn addresses(result: &RunResult) -> Vec<AddressCounts> {
    let named = result.asked.addresses.iter().zip(&result.total.addresses);
    named
        .map(|(address, counts)| AddressCounts {
            address: address.clone(),
            attempts: counts.attempts,
            established: counts.established,
            failed: counts.failed,
            completed: counts.completed,
        })
        .collect()
}

/// The inverse of `addresses`.
pub(super) fn counts(stored: &[AddressCounts]) -> Vec<record::AddressCounts> {
    let counts = |stored: &AddressCounts| record::AddressCounts {
        attempts: stored.attempts,
        established: stored.established,
        failed: stored.failed,
        completed: stored.completed,
    };
    stored.iter().map(counts).collect()
}
