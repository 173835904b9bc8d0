//! The tables of times, in units that go with what stands below each other.

use crate::hist::Hist;
use crate::result::{RunResult, Verdict};
use crate::units::{TimeUnit, format_duration_ns, format_grouped};

use super::page::Page;
use super::{QUANTILES, Quantile};

/// Stands for a quantile that is not known.
const UNKNOWN: &str = "–";
const UNKNOWN_MEANS: &str = "–: fewer than ten samples lie above it, so it is not known";

/// One row: quantiles and the maximum, each exact, "at least" or unknown.
struct Row {
    name: &'static str,
    cells: Vec<Option<Result<u64, u64>>>,
}

impl Row {
    fn of(name: &'static str, hist: &Hist, quantiles: &[Quantile]) -> Self {
        let max = (!hist.is_empty()).then(|| Ok(hist.max()));
        let cells = quantiles.iter().map(|quantile| quantile.of(hist).map(Ok)).chain([max]);
        Self { name, cells: cells.collect() }
    }

    fn with_unanswered(result: &RunResult) -> Self {
        let max = Some(result.quantile_with_unanswered(1.0));
        let cells = QUANTILES.iter().map(|q| q.with_unanswered(result)).chain([max]);
        Self { name: "with unfinished", cells: cells.collect() }
    }
}

/// Writes the rows under a heading that names their unit.
fn table(heading: &str, quantiles: &[Quantile], rows: &[Row], page: &mut Page) {
    let values: Vec<u64> = rows
        .iter()
        .flat_map(|row| row.cells.iter().flatten())
        .map(|cell| cell.unwrap_or_else(|at_least| at_least))
        .collect();
    let unit = TimeUnit::for_column(&values);
    let shown = |cell: &Option<Result<u64, u64>>| match cell {
        None => UNKNOWN.to_owned(),
        Some(Ok(ns)) => unit.number(*ns),
        Some(Err(ns)) => format!("≥ {}", unit.number(*ns)),
    };
    let mut head = vec![String::new()];
    head.extend(quantiles.iter().map(|quantile| quantile.name.to_owned()));
    head.push("max".to_owned());
    let mut cells = vec![head];
    for row in rows {
        cells.push([row.name.to_owned()].into_iter().chain(row.cells.iter().map(shown)).collect());
    }
    page.heading(&format!("{heading} in {}", unit.name()));
    page.grid(&cells);
    if rows.iter().any(|row| row.cells.iter().any(Option::is_none)) {
        page.line(UNKNOWN_MEANS);
    }
}

/// How late requests left, and whose doing it was. Microseconds of one stand beside seconds of the
/// other when a target falls behind, so each is a column with a unit of its own.
pub(super) fn send_lag(result: &RunResult, page: &mut Page) {
    let sending = &result.total.sending;
    let columns = [
        ("total", &sending.lag),
        ("wring was late", &sending.late),
        ("no connection was free", &sending.waited),
    ];
    let quantiles = QUANTILES.iter().filter(|q| ["p50", "p99", "p99.9"].contains(&q.name));
    let mut rows = vec![vec![String::new()]];
    rows.extend(quantiles.clone().map(|quantile| vec![quantile.name.to_owned()]));
    rows.push(vec!["max".to_owned()]);
    for (name, hist) in columns {
        let max = (!hist.is_empty()).then(|| hist.max());
        let values: Vec<Option<u64>> = quantiles.clone().map(|q| q.of(hist)).chain([max]).collect();
        let unit = TimeUnit::for_column(&values.iter().copied().flatten().collect::<Vec<_>>());
        rows[0].push(format!("{name} ({})", unit.name()));
        for (row, value) in rows[1..].iter_mut().zip(&values) {
            row.push(value.map_or_else(|| UNKNOWN.to_owned(), |ns| unit.number(ns)));
        }
    }
    page.heading("Send lag");
    page.grid(&rows);
    if rows.iter().flatten().any(|cell| cell == UNKNOWN) {
        page.line(UNKNOWN_MEANS);
    }
    let shed = &sending.shed;
    if shed.count > 0 {
        let mostly = match shed.late {
            0 => String::new(),
            late => format!(", for {} of them the larger part", format_grouped(late)),
        };
        page.line(&format!(
            "shed, and not in the table: {} after {} on average, {} at most; wring was late for {} \
             of it on average{mostly}",
            format_grouped(shed.count),
            format_duration_ns(shed.mean_ns()),
            format_duration_ns(shed.ns_max),
            format_duration_ns(shed.late_mean_ns()),
        ));
    }
}

/// How long answers and connections took.
pub(super) fn section(result: &RunResult, page: &mut Page) {
    let (total, scheduled) = (&result.total, result.asked.schedule.is_some());
    let of = |name, hist| Row::of(name, hist, &QUANTILES);
    let mut rows = vec![of(if scheduled { "corrected" } else { "answered" }, &total.latency)];
    if result.unanswered() > 0 {
        rows.push(Row::with_unanswered(result));
    }
    if scheduled {
        rows.push(of("service", &total.service));
    }
    rows.push(of("connect", &total.connect));
    if !total.connect_window.is_empty() {
        rows.push(of("connect in window", &total.connect_window));
    }
    rows.extend(total.tls.as_ref().map(|tls| of("TLS handshake", &tls.handshake)));
    table("Latency", &QUANTILES, &rows, page);
    if result.unanswered() > 0 {
        page.line(&format!(
            "with unfinished: the {} requests of the window that {} count as slower than any \
             answer",
            format_grouped(result.unanswered()),
            if scheduled {
                "failed, were never answered or never sent"
            } else {
                "failed or were never answered"
            }
        ));
    }
    let overflow = total.latency.overflow();
    if overflow > 0 {
        page.line(&format!(
            "{} answers took longer than {} and are told apart in max alone",
            format_grouped(overflow),
            format_duration_ns(total.latency.value_max())
        ));
    }
    if matches!(result.verdict, Verdict::RateNotHeld { .. }) && is_mostly_wait(result) {
        overload(result, page);
    }
    page.line(if scheduled {
        "Corrected latency counts from the time a request was due, service latency from its actual \
         send; what lies between them is the send lag."
    } else {
        "Closed loop: a stalled server also stalls this load; latency counts from the actual send."
    });
}

/// "Mostly" is a claim about the median, and it was the wait for a connection only if that wait has
/// such a median of its own: wring's lateness may double a short answer as well.
fn is_mostly_wait(result: &RunResult) -> bool {
    let total = &result.total;
    let corrected_ns = total.latency.quantile(0.50);
    corrected_ns >= 2 * total.service.quantile(0.50)
        && 2 * total.sending.waited.quantile(0.50) >= corrected_ns
}

/// How to read latencies that are mostly the wait behind everything that is already late.
fn overload(result: &RunResult, page: &mut Page) {
    let deadline_ns = result.asked.schedule.as_ref().and_then(|schedule| schedule.deadline_ns);
    let rest = match deadline_ns {
        None => {
            "it grows for as long as the run lasts, whatever one answer takes; --deadline sheds \
                 requests that cannot start in time"
                .to_owned()
        }
        Some(ns) => format!(
            "--deadline bounds the wait to {} before a request starts and sheds the others",
            format_duration_ns(ns)
        ),
    };
    page.line(&format!(
        "The rate was not held, so corrected latency is mostly the wait in the backlog: {rest}."
    ));
}
