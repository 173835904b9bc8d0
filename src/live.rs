//! The terminal line while a run lasts.
//!
//! Owns one line of stderr. Knows nothing of workers: it is handed a view now and then and draws it
//! at most four times a second, so what it costs is bounded whatever the run does. Without a
//! terminal it draws nothing.

use std::io::{IsTerminal, stderr};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::units::{format_count, format_duration_ns, format_grouped};

/// Least time between two redraws, in nanoseconds. The bar's own limit lets a burst of twenty pass.
const REDRAW_NS: u64 = 250_000_000;

/// Whether a terminal, if there is one, says that it understands escape sequences: one without a type
/// may be anything, and a dumb one is not.
pub fn understands_escapes() -> bool {
    std::env::var_os("TERM").is_some_and(|kind| !kind.is_empty() && kind != "dumb")
}

/// What the line shows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LiveView {
    /// Time since the load began, in nanoseconds.
    pub elapsed_ns: u64,
    /// Requests completed per second of late, once that is known.
    pub requests_per_s: Option<f64>,
    /// Median latency of late, in nanoseconds.
    pub p50_ns: Option<u64>,
    /// 99th percentile of late, in nanoseconds.
    pub p99_ns: Option<u64>,
    /// Failed requests so far.
    pub failed: u64,
    /// Requests in flight, where that is known.
    pub inflight: Option<u64>,
    /// Requests that became due per second of late; `None` in a closed loop.
    pub asked_per_s: Option<f64>,
    /// Requests due and not sent.
    pub backlog: u64,
}

/// One line on stderr, redrawn in place and cleared at the end.
#[derive(Debug)]
pub struct LiveLine {
    bar: ProgressBar,
    total_ns: Option<u64>,
    /// Elapsed time of the run at the last redraw.
    drawn_ns: Option<u64>,
}

impl LiveLine {
    /// The line of a run that takes `total_ns`, if that is known. Invisible when `quiet`, or when
    /// stderr is not a terminal that understands it.
    pub fn new(total_ns: Option<u64>, quiet: bool) -> Self {
        let visible = !quiet && stderr().is_terminal() && understands_escapes();
        Self::drawing_to(
            total_ns,
            if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() },
        )
    }

    fn drawing_to(total_ns: Option<u64>, target: ProgressDrawTarget) -> Self {
        let bar = ProgressBar::with_draw_target(None, target);
        // A template of one placeholder is always well formed; the default style would do too.
        if let Ok(style) = ProgressStyle::with_template("{msg}") {
            bar.set_style(style);
        }
        Self { bar, total_ns, drawn_ns: None }
    }

    /// Shows `view`, unless the line was drawn less than a quarter of a second ago.
    pub fn update(&mut self, view: &LiveView) {
        let is_due = self.drawn_ns.is_none_or(|ns| view.elapsed_ns >= ns + REDRAW_NS);
        if is_due && !self.bar.is_hidden() {
            self.drawn_ns = Some(view.elapsed_ns);
            self.bar.set_message(text(view, self.total_ns));
        }
    }

    /// Clears the line, so that the report starts on a clean one.
    pub fn finish(self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for LiveLine {
    fn drop(&mut self) {
        // A run that ends by an error must not leave half a line behind.
        if !self.bar.is_finished() {
            self.bar.finish_and_clear();
        }
    }
}

/// `12s  81.2k req/s  p50 240 µs  p99 1.20 ms  3 failed  64 in flight  18s left`; on a schedule
/// `61.2k of 100k req/s`, and `1,204 not sent` behind what is in flight.
fn text(view: &LiveView, total_ns: Option<u64>) -> String {
    let of = |per_s| format!(" of {}", format_count(per_s));
    let asked = view.asked_per_s.map_or_else(String::new, of);
    let mut parts = vec![whole_seconds(view.elapsed_ns)];
    let rate = |per_s| format!("{}{asked} req/s", format_count(per_s));
    parts.extend(view.requests_per_s.map(rate));
    for (name, quantile) in [("p50", view.p50_ns), ("p99", view.p99_ns)] {
        if let Some(ns) = quantile {
            parts.push(format!("{name} {}", format_duration_ns(ns)));
        }
    }
    if view.failed > 0 {
        parts.push(format!("{} failed", format_grouped(view.failed)));
    }
    parts.extend(view.inflight.map(|count| format!("{} in flight", format_grouped(count))));
    if view.backlog > 0 {
        parts.push(format!("{} not sent", format_grouped(view.backlog)));
    }
    if let Some(left_ns) = total_ns.and_then(|total_ns| total_ns.checked_sub(view.elapsed_ns)) {
        parts.push(format!("{} left", whole_seconds(left_ns)));
    }
    parts.join("  ")
}

/// Seconds rounded down up to a minute; a line that counts up should not show fractions.
fn whole_seconds(ns: u64) -> String {
    const SECOND_NS: u64 = 1_000_000_000;
    match ns / SECOND_NS {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds => format_duration_ns(seconds * SECOND_NS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    #[test]
    fn the_line_shows_what_is_known_and_nothing_else() {
        let mut view = LiveView {
            elapsed_ns: 12 * SECOND_NS + 900_000_000,
            requests_per_s: Some(81_234.0),
            p50_ns: Some(240_000),
            p99_ns: Some(1_200_000),
            failed: 3,
            inflight: Some(64),
            ..LiveView::default()
        };
        assert_eq!(
            text(&view, Some(30 * SECOND_NS)),
            "12s  81.2k req/s  p50 240 µs  p99 1.20 ms  3 failed  64 in flight  17s left"
        );
        let elapsed_ns = 90 * SECOND_NS;
        view = LiveView { elapsed_ns, requests_per_s: Some(5.0), ..LiveView::default() };
        assert_eq!(text(&view, None), "1m30s  5 req/s");
        view = LiveView { elapsed_ns, inflight: Some(0), ..LiveView::default() };
        assert_eq!(text(&view, None), "1m30s  0 in flight");
    }

    #[test]
    fn a_schedule_shows_what_was_asked_and_what_is_behind() {
        let mut view = LiveView {
            elapsed_ns: 3 * SECOND_NS,
            requests_per_s: Some(61_234.0),
            asked_per_s: Some(100_000.0),
            inflight: Some(64),
            ..LiveView::default()
        };
        assert_eq!(text(&view, None), "3s  61.2k of 100k req/s  64 in flight");
        view.backlog = 1_204;
        assert_eq!(text(&view, None), "3s  61.2k of 100k req/s  64 in flight  1,204 not sent");
    }

    #[test]
    fn a_run_beyond_its_time_has_no_time_left_to_show() {
        let view = LiveView { elapsed_ns: 31 * SECOND_NS, ..LiveView::default() };
        assert!(!text(&view, Some(30 * SECOND_NS)).contains("left"));
    }

    #[test]
    fn without_a_terminal_nothing_is_drawn() {
        let mut line = LiveLine::drawing_to(None, ProgressDrawTarget::hidden());
        line.update(&LiveView::default());
        assert_eq!(line.bar.message(), "");
        line.finish();
    }
}
