//! The report for people: wrk's block, then our own sections, the verdict last.

use crate::outcome::{Cause, ConnectFailure, Failure};
use crate::record::{Phase, PhaseCounts};
use crate::result::{RunResult, Verdict};
use crate::units::{format_bytes, format_duration_ns, format_grouped};

use super::page::{GREEN, Page, RED, YELLOW};
use super::table::grid;
use super::{
    NOTE_CHARS_MAX, checks, connections, escape, latency, machine, schedule, server, servers,
    steady, targets, tls, words, wrk,
};

/// What the text shows.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TextOptions {
    /// wrk's `Latency Distribution` block; on a schedule wrk2's, with the percentile spectrum.
    pub latency_distribution: bool,
    /// On a schedule also wrk2's block of latency from the actual send.
    pub uncorrected: bool,
    /// Headings and the verdict's word in colour. The text is the same without.
    pub color: bool,
    /// Also the workers, the classes of bytes, the identities' sides and the manifest.
    pub verbose: bool,
}

/// The whole report.
pub fn render(result: &RunResult, options: &TextOptions) -> Vec<u8> {
    let mut page = Page { text: String::new(), color: options.color };
    page.text += &wrk::block(
        result,
        wrk::Parts {
            latency_distribution: options.latency_distribution,
            uncorrected: options.uncorrected,
            calibration: false,
        },
    );
    interrupted(result, &mut page);
    connection_counts(result, &mut page);
    tls::section(result, options.verbose, &mut page);
    schedule::section(result, &mut page);
    steady::section(result, &mut page);
    requests(result, &mut page);
    statuses(result, &mut page);
    failures(result, &mut page);
    checks::section(result, &mut page);
    checks::groups(result, &mut page);
    latency::section(result, &mut page);
    servers::section(result, options.verbose, &mut page);
    targets::section(result, options.verbose, &mut page);
    server::section(result, &mut page);
    if options.verbose {
        details(result, &mut page);
    }
    notes(result, &mut page);
    checks::thresholds(result, &mut page);
    identities(result, options.verbose, &mut page);
    verdict(result, &mut page);
    machine::section(result, &mut page);
    page.text.into_bytes()
}

/// wrk's text and nothing more, for runs under the name `wrk`.
pub fn render_wrk(result: &RunResult, latency_distribution: bool) -> Vec<u8> {
    let parts = wrk::Parts { latency_distribution, ..wrk::Parts::default() };
    wrk::block(result, parts).into_bytes()
}

/// wrk2's text and nothing more, for runs under the name `wrk2`. `uncorrected` implies
/// `latency_distribution`, as `-U` does `-L` there.
pub fn render_wrk2(result: &RunResult, latency_distribution: bool, uncorrected: bool) -> Vec<u8> {
    let parts = wrk::Parts { latency_distribution, uncorrected, calibration: true };
    wrk::block(result, parts).into_bytes()
}

fn interrupted(result: &RunResult, page: &mut Page) {
    let Some(by) = result.interrupted else { return };
    page.heading("Interrupted");
    if result.machine.is_some() {
        page.line(&format!(
            "by {} after the whole window, while it was measured what this machine can do",
            words::interrupted(by)
        ));
        return;
    }
    if result.window_ns == 0 {
        page.line(&format!(
            "by {} before the window started; everything here counts what happened until then",
            words::interrupted(by)
        ));
        return;
    }
    page.line(&format!(
        "by {} after {} of the window; everything here counts what happened until then",
        words::interrupted(by),
        format_duration_ns(result.window_ns)
    ));
}

fn connection_counts(result: &RunResult, page: &mut Page) {
    let (open, counts) = (&result.open, &result.total.connections);
    page.heading("Connections");
    let asked = result.asked.connections;
    page.line(&if result.window_ns == 0 {
        format!("{asked} asked, {} open when it was stopped", open.at_start)
    } else {
        format!(
            "{asked} asked, {} open at the start of the window, {} to {} open during it",
            open.at_start, open.min, open.max
        )
    });
    let mut attempts = format!(
        "{} attempts: {} established, {} failed",
        format_grouped(counts.attempts),
        format_grouped(counts.established),
        format_grouped(counts.failed.total())
    );
    if counts.connecting_end > 0 {
        attempts += &format!(", {} undecided at the end", format_grouped(counts.connecting_end));
    }
    page.line(&attempts);
    let ends = [
        ("by wring", counts.closed_by_us),
        ("by the peer", counts.closed_by_peer),
        ("for an error", counts.errored),
    ];
    let ends: Vec<String> = ends
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(by, count)| format!("{by} {}", format_grouped(*count)))
        .collect();
    if !ends.is_empty() {
        page.line(&format!("closed: {}", ends.join(", ")));
    }
    connections::section(result, page);
}

fn requests(result: &RunResult, page: &mut Page) {
    let whole = result.total.whole();
    let scheduled = result.asked.schedule.is_some();
    page.heading("Requests");
    let row = |name: &str, counts: &PhaseCounts| {
        let mut cells = vec![name.to_owned()];
        let ends = [counts.completed, counts.failed.total()];
        if scheduled {
            let starts = [counts.due, counts.started, counts.shed, counts.unsent];
            cells.extend(starts.map(format_grouped));
        } else {
            cells.push(format_grouped(counts.started));
        }
        cells.extend(ends.map(format_grouped));
        cells.push(format_bytes(counts.bytes_in));
        cells
    };
    let starts: &[&str] =
        if scheduled { &["due", "started", "shed", "unsent"] } else { &["started"] };
    let head = [&[""], starts, &["completed", "failed", "received"]].concat();
    let mut rows = vec![head.into_iter().map(str::to_owned).collect()];
    let used = |counts: &PhaseCounts| {
        counts.due + counts.started + counts.completed + counts.failed.total() + counts.bytes_in > 0
    };
    let phases = [
        (Phase::Opening, "opening", false),
        (Phase::Warmup, "warm-up", result.asked.warmup_ns > 0),
        (Phase::Window, "window", true),
        (Phase::Drain, "drain", true),
    ];
    for (phase, name, always) in phases {
        let counts = result.total.phase(phase);
        if always || used(counts) {
            rows.push(row(name, counts));
        }
    }
    rows.push(row("whole run", &whole));
    page.grid(&rows);
    page.line(&format!(
        "{} still in flight at the end, after a drain of {}",
        format_grouped(result.total.inflight_end),
        format_duration_ns(result.drain_ns)
    ));
    if let Some(count) = result.target_requests {
        page.line(&format!("the target counted {} requests", format_grouped(count)));
    }
}

fn statuses(result: &RunResult, page: &mut Page) {
    let counts = &result.total.phase(Phase::Window).statuses;
    let rows: Vec<Vec<String>> = counts
        .iter()
        .enumerate()
        .filter(|(_, count)| **count > 0)
        .map(|(status, count)| vec![status.to_string(), format_grouped(*count)])
        .collect();
    if !rows.is_empty() {
        page.heading("Status codes in the window");
        page.grid(&rows);
    }
}

fn failures(result: &RunResult, page: &mut Page) {
    let failed = result.total.whole().failed;
    let connect = result.total.connections.failed;
    let requests =
        failed.iter().map(|(cause, count)| (cause.name().to_owned(), count, words::failure(cause)));
    let meaning = |cause| match cause {
        ConnectFailure::Timeout if words::are_silent(result) => {
            "the TLS handshake did not end within the connect timeout; see TLS"
        }
        cause => words::connect_failure(cause),
    };
    let attempts = connect
        .iter()
        .map(|(cause, count)| (format!("connect {}", cause.name()), count, meaning(cause)));
    let found: Vec<_> = requests.chain(attempts).filter(|(_, count, _)| *count > 0).collect();
    if found.is_empty() {
        return;
    }
    page.heading("Failures in the whole run");
    let cells: Vec<Vec<String>> =
        found.iter().map(|(name, count, _)| vec![name.clone(), format_grouped(*count)]).collect();
    for (line, (_, _, meaning)) in grid(&cells).into_iter().zip(&found) {
        page.text += &format!("{line}  {meaning}\n");
    }
}

/// What answers gave notice of, in words.
fn notices(result: &RunResult) -> Vec<String> {
    let (noticed, bytes) = (&result.total.notices, &result.total.bytes);
    let found = [
        (noticed.interim, "interim (1xx) responses were skipped"),
        (noticed.bare_lf, "heads had a bare LF as line end; accepted"),
        (noticed.length_and_chunked, "answers had both Content-Length and chunked framing"),
        (noticed.chunked_in_http10, "answers were chunked in HTTP/1.0"),
        (noticed.unsolicited, "messages arrived that nobody had asked for"),
        (bytes.stray, "bytes arrived that belong to no answer"),
        (noticed.tls_on_plain, "answers were TLS records: the port speaks HTTPS, try https://"),
    ];
    found
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{} {what}", format_grouped(*count)))
        .collect()
}

/// Some servers that are spoken to in plain on a port for TLS end the connection without a word.
fn may_speak_https(result: &RunResult) -> Option<&'static str> {
    let (total, whole) = (&result.total, result.total.whole());
    if total.tls.is_some() || total.notices.tls_on_plain > 0 {
        return None;
    }
    let closed = whole.failed.count(Failure::Eof) + whole.failed.count(Failure::Reset);
    (whole.completed == 0 && closed > 0 && closed == whole.failed.total()).then_some(
        "every connection was closed without an answer: if the port speaks HTTPS, try https://",
    )
}

fn notes(result: &RunResult, page: &mut Page) {
    let mut lines = notices(result);
    lines.extend(may_speak_https(result).map(str::to_owned));
    lines.extend(steady::drift_note(result));
    let remarks = result.asked.notes.iter().chain(&result.remarks);
    lines.extend(remarks.map(|remark| escape(remark, NOTE_CHARS_MAX)));
    if result.may_share_cpus() {
        lines.push(
            "the target runs on this machine: it and wring take CPU time from each other"
                .to_owned(),
        );
    }
    if !lines.is_empty() {
        page.heading("Notes");
        for line in lines {
            page.line(&line);
        }
    }
}

fn details(result: &RunResult, page: &mut Page) {
    page.heading("Workers");
    let head = ["", "cpu", "connections", "completed", "busy", "spinning", "longest turn"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (index, worker) in result.workers.iter().enumerate() {
        let share = |ns: u64| ns as f64 / result.window_ns.max(1) as f64;
        rows.push(vec![
            format!("worker {index}"),
            worker.cpu.map_or_else(|| "any".to_owned(), |cpu| cpu.to_string()),
            worker.connections.to_string(),
            format_grouped(worker.completed),
            format!("{} %", words::percent(share(worker.busy_ns))),
            format!("{} %", words::percent(share(worker.idle_spin_ns))),
            format_duration_ns(worker.turn_gap_ns_max),
        ]);
    }
    page.grid(&rows);

    page.heading("Bytes received");
    let bytes = &result.total.bytes;
    let mut classes = vec![
        ("heads", bytes.head),
        ("bodies", bytes.body),
        ("framing", bytes.framing),
        ("interim", bytes.interim),
        ("stray", bytes.stray),
    ];
    classes.extend(result.total.tls.as_ref().map(|_| ("TLS's own", bytes.tls)));
    let row = |(name, count): (&str, u64)| vec![name.to_owned(), format_grouped(count)];
    page.grid(&classes.into_iter().map(row).collect::<Vec<_>>());

    page.heading("Run");
    let manifest = &result.manifest;
    let unknown = || "unknown".to_owned();
    let cpus: Vec<String> = manifest.cpus_allowed.iter().map(u32::to_string).collect();
    let lines = [
        ("version", manifest.version.clone()),
        ("started", manifest.started_at.clone()),
        ("backend", manifest.backend.clone()),
        ("kernel", manifest.kernel.clone().unwrap_or_else(unknown)),
        ("cpu", manifest.cpu_model.clone().unwrap_or_else(unknown)),
        ("cpus allowed", cpus.join(",")),
        ("governor", manifest.governor.clone().unwrap_or_else(unknown)),
        ("clock source", manifest.clock_source.clone().unwrap_or_else(unknown)),
        ("congestion control", manifest.tcp_congestion.clone().unwrap_or_else(unknown)),
        ("mitigations", manifest.mitigations.clone().unwrap_or_else(unknown)),
        ("options", result.asked.options.join(" ")),
        (
            "request",
            format!(
                "{} bytes, hash {:016x}",
                result.asked.request_bytes, result.asked.request_hash
            ),
        ),
        ("seed", result.asked.seed.to_string()),
    ];
    for (name, value) in lines {
        page.line(&format!("{name}: {}", escape(&value, NOTE_CHARS_MAX)));
    }
}

fn identities(result: &RunResult, verbose: bool, page: &mut Page) {
    let checks = &result.identities;
    let holding = words::identity_ranges(checks, Some(true));
    let unasked = words::identity_ranges(checks, None);
    let mut line = match holding.as_str() {
        "" => "identities: none was checked".to_owned(),
        ranges => format!("identities: {ranges} hold"),
    };
    if !holding.is_empty() && !unasked.is_empty() {
        line += &format!("; {unasked} not applicable");
    }
    page.text += &format!("\n{line}\n");
    for check in checks {
        let failed = check.holds == Some(false);
        if failed {
            let kind = if check.is_broken() { "broken" } else { "off (a warning)" };
            page.line(&format!("{kind}: {}", words::identity(check)));
        } else if verbose && check.holds.is_some() {
            page.line(&format!("holds: {}", words::identity(check)));
        }
    }
}

fn verdict(result: &RunResult, page: &mut Page) {
    let color = match result.verdict {
        Verdict::GeneratorLimited { .. }
        | Verdict::ShortOfCpu { .. }
        | Verdict::NotJudged
        | Verdict::RateNotHeld { .. } => YELLOW,
        Verdict::NotGeneratorLimited { .. } | Verdict::ScheduleKept { .. } => GREEN,
        Verdict::Invalid(_) => RED,
    };
    page.text += "verdict: ";
    page.colored(color, words::verdict_word(&result.verdict));
    page.text += &format!(": {}\n", words::verdict_evidence(result));
}
