//! How a run on a schedule went: what was asked, what left and when, what came of it.

use crate::record::Phase;
use crate::result::{RunResult, Schedule, distance_from_asked};
use crate::units::{format_duration_ns, format_grouped};

use super::page::Page;
use super::{NOTE_CHARS_MAX, escape, latency, words};

/// The section; nothing in a closed loop.
pub(super) fn section(result: &RunResult, page: &mut Page) {
    let Some(schedule) = &result.asked.schedule else { return };
    let window = result.total.phase(Phase::Window);
    page.heading("Schedule");
    page.line(&format!("asked: {}", asked(result, schedule)));
    page.line(&format!(
        "window: {} due, {} started, {} shed, {} unsent at its end",
        format_grouped(window.due),
        format_grouped(window.started),
        format_grouped(window.shed),
        format_grouped(window.unsent)
    ));
    page.line(&format!(
        "achieved: {}; rate held to {} %",
        words::achieved(result),
        words::exact_percent(result.achieved_share())
    ));
    let total = &result.total;
    page.line(&format!(
        "answered: {} of what was due, the drain included: {} %; {} failed, {} unresolved at the end",
        format_grouped(total.latency.len()),
        words::exact_percent(result.answered_share()),
        format_grouped(total.window_started_failed),
        format_grouped(total.window_started_inflight_end)
    ));
    page.line(&format!("arrivals: {}", arrivals(result)));
    page.line(&match schedule.spin_ns {
        0 => "waiting: the workers slept until a request was due; waking up is in the send lag"
            .to_owned(),
        ns => format!(
            "waiting: the workers slept until {} before a request was due, then watched the clock",
            format_duration_ns(ns)
        ),
    });
    latency::send_lag(result, page);
}

fn asked(result: &RunResult, schedule: &Schedule) -> String {
    let profile = escape(&schedule.profile, NOTE_CHARS_MAX);
    let mut text = format!("{profile}, {} arrivals", escape(&schedule.arrivals, NOTE_CHARS_MAX));
    if schedule.arrivals == "poisson" {
        text += &format!(" (seed {})", result.asked.seed);
    }
    if let Some(requests) = schedule.requests {
        text += &format!(", {} requests", format_grouped(requests));
        let due = result.total.phase(Phase::Window).due;
        if result.interrupted.is_some() && due < requests {
            text +=
                &format!(" (of which {} became due before the interruption)", format_grouped(due));
        }
    }
    if let Some(ns) = schedule.deadline_ns {
        text += &format!(", to be started within {} or shed", format_duration_ns(ns));
    }
    text
}

fn arrivals(result: &RunResult) -> String {
    if let Some(distance) = distance_from_asked(result) {
        return format!(
            "Kolmogorov–Smirnov distance {distance:.3} between the times from one send to the next \
             and the asked ones (0: as asked, 1: nothing in common)"
        );
    }
    let why = if result.total.sending.gap_tenths.iter().all(|&count| count == 0) {
        "no two requests of a worker left in the window"
    } else {
        "requests follow each other within ten turns of the loop, so the send lag is the evidence"
    };
    format!("not compared with the asked ones: {why}")
}
