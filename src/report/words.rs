//! The sentences of the reports: causes, identities, the verdict.

use crate::hist::Hist;
use crate::outcome::{Cause, ConnectFailure, Failure, FailureCounts, TlsFault};
use crate::record::Phase;
use crate::result::{
    Identity, IdentityCheck, Interrupted, Invalid, QuotaUse, RunResult, Verdict, own_lag_limit_ns,
    silent_at_end,
};
use crate::units::{format_duration_ns, format_grouped};

use super::{NOTE_CHARS_MAX, P99, escape};

/// What a failed request ran into.
pub(super) fn failure(cause: Failure) -> &'static str {
    match cause {
        Failure::Send => "the request's bytes could not be sent",
        Failure::Reset => "the peer reset the connection before the answer was whole",
        Failure::Eof => "the peer closed before an answer's head was whole",
        Failure::EofBody => "the peer closed inside a body",
        Failure::Parse => "the answer broke the rules of HTTP",
        Failure::Limit => "the answer went over a bound (head, fields, interim responses, framing)",
        Failure::Timeout => "no whole answer in time, counted from the send",
        Failure::CutOff => {
            "the connection ended with these pipelined requests still waiting behind others; \
             not counted as read errors"
        }
        Failure::Stale => "sent on a kept connection that the peer was just closing",
        Failure::Tls => "a broken TLS record, or an alert, after the handshake",
    }
}

/// What a failed connection attempt ran into.
pub(super) fn connect_failure(cause: ConnectFailure) -> &'static str {
    match cause {
        ConnectFailure::Refused => "nobody listens there",
        ConnectFailure::Timeout => "no answer within the connect timeout",
        ConnectFailure::Unreachable => "no route to the host or network",
        ConnectFailure::Reset => "the peer reset the attempt",
        ConnectFailure::Tls => "the TLS handshake failed; see TLS",
        ConnectFailure::Local => "descriptors or memory ran out on this machine, or it forbids it",
        ConnectFailure::Ports => "no local port was free for the address",
        ConnectFailure::Busy => "the listener's queue was full",
        ConnectFailure::Proxy => "the proxy did not open a tunnel",
    }
}

/// Which signal ended the run.
pub(super) fn interrupted(by: Interrupted) -> &'static str {
    match by {
        Interrupted::Interrupt => "SIGINT",
        Interrupted::Terminate => "SIGTERM",
    }
}

/// A share as whole percent. Only a whole share is 100 and only none is 0.
pub(super) fn percent(share: f64) -> u32 {
    let percent = (share.clamp(0.0, 1.0) * 100.0).round() as u32;
    match share {
        ..=0.0 => 0,
        1.0.. => 100,
        _ => percent.clamp(1, 99),
    }
}

/// A share as percent with two decimals, rounded down, so that only a whole share is 100.00.
pub(super) fn exact_percent(share: f64) -> String {
    // A product that should be whole may lie a little below.
    let hundredths = (share.max(0.0) * 10_000.0 + 1e-9) as u64;
    format!("{}.{:02}", format_grouped(hundredths / 100), hundredths % 100)
}

/// A part as per cent, with as many decimals as say something: `0.1 %`, `0.00012 %`, `99.997 %`.
pub(super) fn share(part: u64, whole: u64) -> String {
    let percent = part as f64 * 100.0 / whole.max(1) as f64;
    // What tells it from none, or from all.
    let least = percent.min((100.0 - percent).abs());
    let decimals = if least > 0.0 { (3.0 - least.log10().floor()).clamp(2.0, 9.0) } else { 0.0 };
    let number = format!("{percent:.0$}", decimals as usize);
    let number = if decimals > 0.0 { number.trim_end_matches('0') } else { &number };
    format!("{} %", number.trim_end_matches('.'))
}

/// Requests that became due per second of the actual window; 0 without a window.
pub(super) fn due_per_s(result: &RunResult) -> f64 {
    match result.window_ns {
        0 => 0.0,
        ns => result.total.phase(Phase::Window).due as f64 * 1e9 / ns as f64,
    }
}

/// `19,996.50 of the 20,000.00 requests per second that became due`: both over the actual window, so
/// that the share of them fits, also when an interruption, a number of requests or random arrivals
/// make the rate another than the asked one. Digits enough to show what is missing.
pub(super) fn achieved(result: &RunResult) -> String {
    let shown = |per_s: f64| {
        let hundredths = (per_s * 100.0).round() as u64;
        format!("{}.{:02}", format_grouped(hundredths / 100), hundredths % 100)
    };
    format!(
        "{} of the {} requests per second that became due",
        shown(result.requests_per_s()),
        shown(due_per_s(result))
    )
}

/// `554 µs at p99`, or the longest where too few were measured for that.
fn at_p99(hist: &Hist) -> String {
    match P99.of(hist) {
        Some(ns) => format!("{} at p99", format_duration_ns(ns)),
        None => format!("{} at most", format_duration_ns(hist.max())),
    }
}

/// The verdict's word.
pub(super) fn verdict_word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::GeneratorLimited { .. } => "generator-limited",
        Verdict::NotGeneratorLimited { .. } => "not generator-limited",
        Verdict::ShortOfCpu { .. } => "short of CPU",
        Verdict::NotJudged => "not judged",
        Verdict::ScheduleKept { .. } => "schedule kept",
        Verdict::RateNotHeld { .. } => "rate not held by the target",
        Verdict::Invalid(_) => "invalid",
    }
}

/// What stands after the verdict's word: its evidence and what to try.
pub(super) fn verdict_evidence(result: &RunResult) -> String {
    match &result.verdict {
        Verdict::GeneratorLimited { busy_share } => generator_limited(result, *busy_share),
        Verdict::NotGeneratorLimited { try_connections, .. } => {
            not_generator_limited(result, *try_connections)
        }
        Verdict::ShortOfCpu { busy_share, starved_share } => {
            short_of_cpu(result, *busy_share, *starved_share)
        }
        Verdict::NotJudged => not_judged(result),
        Verdict::ScheduleKept { sent_share } => format!(
            "{} % of what was due was sent and {} % answered, {} within the window; wring's own \
             part of the send lag was {}{}",
            exact_percent(*sent_share),
            exact_percent(result.answered_share()),
            achieved(result),
            at_p99(&result.total.sending.late),
            match result.total.sending.shed.late {
                0 => String::new(),
                count => format!("; {} were shed because wring was late", format_grouped(count)),
            }
        ),
        Verdict::RateNotHeld { achieved_share } => {
            format!("{}{}", not_held(result, *achieved_share), overload(result))
        }
        Verdict::Invalid(reasons) if reasons.is_empty() && result.window_ns == 0 => {
            "the window never opened; nothing was measured".to_owned()
        }
        Verdict::Invalid(reasons) if reasons.is_empty() => {
            "the run was not judged; do not use its numbers".to_owned()
        }
        Verdict::Invalid(reasons) => {
            let reasons: Vec<String> =
                reasons.iter().map(|reason| invalid(reason, result)).collect();
            format!("{}; do not use these numbers", reasons.join("; "))
        }
    }
}

/// A worker's wait for its CPU, in per cent of the window, where that is worth a word.
fn waited(result: &RunResult) -> Option<u32> {
    Some(result.starved_share_max()).filter(|&share| share >= 0.01).map(percent)
}

fn not_generator_limited(result: &RunResult, try_connections: Option<u32>) -> String {
    let spare = 100 - percent(result.occupied_share_max());
    let mut had = format!("wring had {spare} % to spare");
    if let Some(percent) = waited(result) {
        had += &format!(" (a worker waited for its CPU for {percent} % of the window)");
    }
    if result.window_completed() == 0 {
        return format!(
            "{had}, and no request completed in the window: look at the failures above, the URL and \
             the target"
        );
    }
    if let Some(silent) = silent(result) {
        return format!("{had}, and {silent}");
    }
    match try_connections {
        Some(connections) => format!(
            "{had}; target, network or too few connections set the pace: try -c {connections}"
        ),
        None => format!("{had}; {}", without_connections(result)),
    }
}

/// That the target did not answer any more at the end.
fn silent(result: &RunResult) -> Option<String> {
    let silent = silent_at_end(result)?;
    Some(format!(
        "no answer came in the last {} of the window while {} waited: the target had stopped answering",
        format_duration_ns(silent.length_ns),
        requests(silent.inflight)
    ))
}

fn requests(count: u64) -> String {
    format!("{} request{}", format_grouped(count), if count == 1 { "" } else { "s" })
}

/// That wring got too little CPU to say what the target can do, and why.
fn short_of_cpu(result: &RunResult, busy_share: f64, starved_share: f64) -> String {
    let mut text = match &result.asked.schedule {
        None => String::new(),
        Some(_) => format!("{}; ", not_held(result, result.achieved_share())),
    };
    text += &format!(
        "a worker waited for its CPU for {} % of the window, and the busiest was busy for {} %",
        percent(starved_share),
        percent(busy_share)
    );
    let find_out = "to find out what the target can do";
    text + &match (silent(result), &result.quota) {
        (Some(silent), _) => format!("; {silent}"),
        (None, Some(quota)) => {
            format!(": {}; give wring a larger quota {find_out}", throttled(quota))
        }
        (None, None) if result.may_share_cpus() => format!(
            "; the target is on this machine and may run on the same CPUs, so that both together set \
             the pace: give each its own (--cpus, taskset) {find_out}"
        ),
        (None, None) => {
            format!("; something else runs there: give wring more CPU (-t, --cpus) {find_out}")
        }
    }
}

/// That the window tells nothing about the pace, and why.
fn not_judged(result: &RunResult) -> String {
    let length = format_duration_ns(result.window_ns);
    let completed = result.window_completed();
    if completed > 0 {
        return format!(
            "{} completed in a window of {length}: too little to tell who set the pace; measure for \
             longer (-d)",
            requests(completed)
        );
    }
    let window = result.total.phase(Phase::Window);
    if window.started == 0 {
        return format!("no request was started in the window of {length}");
    }
    let none =
        format!("none of the window's {} was answered in its {length}", requests(window.started));
    match result.total.phase(Phase::Drain).completed {
        0 => format!(
            "{none}, nor in the drain after it: look at the URL and the target, or wait longer (-d, \
             --drain)"
        ),
        later => format!(
            "{none}, and {} later: measure for longer than an answer takes (-d)",
            format_grouped(later)
        ),
    }
}

fn generator_limited(result: &RunResult, busy_share: f64) -> String {
    let waited = waited(result).map_or_else(String::new, |percent| {
        format!(", and a worker waited for its CPU for {percent} % of it")
    });
    let (stopped, give) = match &result.quota {
        Some(quota) => (format!(": {}", throttled(quota)), "a larger quota"),
        None => (String::new(), "more CPUs (-t, --cpus)"),
    };
    let busy = format!(
        "wring's busiest worker was busy {} % of the window{waited}{stopped}; the target may be able \
         to do more: give wring {give}",
        percent(busy_share)
    );
    match &result.asked.schedule {
        None => busy,
        Some(_) => {
            format!("{}; {busy} or ask for a lower -R", not_held(result, result.achieved_share()))
        }
    }
}

fn not_held(result: &RunResult, achieved_share: f64) -> String {
    let answered = exact_percent(result.answered_share());
    let achieved_percent = exact_percent(achieved_share);
    let with_drain = if answered == achieved_percent {
        String::new()
    } else {
        format!(" ({answered} % with the drain)")
    };
    format!(
        "{achieved_percent} % of what was due was answered in the window{with_drain}, {}",
        achieved(result)
    )
}

/// `3 failed: reset 2, eof 1`, the most frequent cause first, of the window's requests and of those
/// that failed after it; `None` without any.
fn failed(result: &RunResult) -> Option<String> {
    let failed = failures(result);
    let mut causes: Vec<(Failure, u64)> = failed.iter().filter(|(_, count)| *count > 0).collect();
    causes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let named: Vec<String> = causes
        .iter()
        .map(|(cause, count)| format!("{} {}", cause.name(), format_grouped(*count)))
        .collect();
    (failed.total() > 0)
        .then(|| format!("{} failed: {}", format_grouped(failed.total()), named.join(", ")))
}

/// Failures in the window and after it.
fn failures(result: &RunResult) -> FailureCounts {
    let mut failed = result.total.phase(Phase::Window).failed;
    failed.merge(&result.total.phase(Phase::Drain).failed);
    failed
}

/// What became of the requests of a rate that was not held, and what to try.
fn overload(result: &RunResult) -> String {
    let (total, window) = (&result.total, result.total.phase(Phase::Window));
    let down = connections_down(result);
    let paced = paced_by_connect_rate(result);
    let mut text = down.as_ref().map_or_else(String::new, |down| format!("; {down}"));
    if let Some(failed) = failed(result) {
        text += &format!("; {failed}");
    }
    if total.window_started_inflight_end > 0 {
        text += &format!(
            "; {} had no answer when the drain ended",
            format_grouped(total.window_started_inflight_end)
        );
    }
    if window.unsent > 0 {
        text += &format!("; {} were unsent at its end", format_grouped(window.unsent));
    }
    let own_shed = total.sending.shed.late;
    if window.shed > 0 {
        text += &format!("; {} were shed past their deadline", format_grouped(window.shed));
    }
    if own_shed > 0 {
        text += &format!(" ({} of them because wring was late)", format_grouped(own_shed));
    }
    // Requests that were never sent have no wait, so those that were may show none.
    let had_room = if total.sending.waited.quantile(P99.share()) > own_lag_limit_ns(result) {
        text += &format!("; no connection was free, for {}", at_p99(&total.sending.waited));
        false
    } else if window.unsent + window.shed > own_shed {
        text += "; no connection was free for those";
        false
    } else {
        true
    };
    if let Some(paced) = paced.filter(|_| !had_room) {
        return format!("{text}; {paced}");
    }
    if !had_room && result.asked.servers.len() > 1 {
        text += " (requests leave in their order: where one server has no connection free, those \
                 behind wait as well)";
    }
    text + &match (unanswered_advice(result), had_room, down.is_some()) {
        (Some(advice), _, _) => format!("; {advice}"),
        (None, false, false) => {
            ": if the target has room for more, try more connections (-c) or pipelining (-p)"
                .to_owned()
        }
        (None, false, true) => {
            "; see why connections failed or closed before asking for more of them".to_owned()
        }
        (None, true, false) => {
            "; connections had room, and the answers fell behind: try a lower -R".to_owned()
        }
        (None, true, true) => "; those that were open had room, and the answers fell behind: see \
                               why the others failed or closed"
            .to_owned(),
    }
}

/// What to look at where the reason is not the rate: nothing was answered while the window lasted,
/// or requests that were sent got no answer, so many that more of them would change nothing.
fn unanswered_advice(result: &RunResult) -> Option<String> {
    let (total, window) = (&result.total, result.total.phase(Phase::Window));
    let unresolved = total.window_started_inflight_end;
    let lost = total.window_started_failed + unresolved;
    // Where all was sent, what is missing are the answers; else they matter if they are many.
    let all_sent = window.unsent + window.shed == 0;
    let is_reason = if all_sent { lost > 0 } else { lost * 10 > window.started };
    if !is_reason {
        let too_short = window.completed == 0 && !total.latency.is_empty() && all_sent;
        return too_short
            .then(|| "an answer takes longer than the window: measure for longer".to_owned());
    }
    let worst = failures(result).iter().max_by_key(|(_, count)| *count);
    Some(match worst {
        Some((cause, count)) if count >= unresolved => match cause {
            Failure::Timeout => format!(
                "most of them because no answer came within {} of the send, and each held its \
                 connection for as long: look at the target, or give it more time (-T)",
                format_duration_ns(result.asked.timeout_ns)
            ),
            _ => "look at the target".to_owned(),
        },
        _ => format!(
            "it is not known whether they would have been answered: look at the target, or wait \
             longer than {} for the last answers (--drain)",
            format_duration_ns(result.asked.drain_ns)
        ),
    })
}

/// That fewer connections than asked for were open, or could be opened; `None` when all were.
fn connections_down(result: &RunResult) -> Option<String> {
    let (open, asked) = (result.open.min, result.asked.connections);
    let failed = result.total.connections.failed;
    let mut parts: Vec<String> = failed
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(cause, count)| format!("connect {} {}", cause.name(), times(count)))
        .collect();
    if open < asked {
        parts.push(match open {
            0 => format!("at times none of {} was open", format_grouped(asked.into())),
            _ => format!("at times only {open} of {asked} were open"),
        });
        return Some(format!("connections were down: {}", parts.join(", ")));
    }
    (!parts.is_empty()).then(|| format!("attempts to connect failed: {}", parts.join(", ")))
}

/// What kept connections from being had, most of all, and what to look at.
fn without_connections(result: &RunResult) -> String {
    let failed = result.total.connections.failed;
    if let Some(paced) = paced_by_connect_rate(result) {
        return paced;
    }
    let worst = failed.iter().filter(|(_, count)| *count > 0).max_by_key(|(_, count)| *count);
    let advice = match worst.map(|(cause, _)| cause) {
        Some(ConnectFailure::Refused) => {
            "nobody listened there all of the time: look at the target, its address and port"
        }
        Some(ConnectFailure::Timeout) if are_silent(result) => {
            "TCP connections were made, and their TLS handshakes did not end in time: the target serves \
             fewer at once"
        }
        Some(ConnectFailure::Tls) => "TLS handshakes failed, for the reasons under TLS above",
        Some(ConnectFailure::Timeout) | None => {
            "attempts were not answered in time: a full backlog at the target, or a firewall or a \
             lost network on the way"
        }
        Some(ConnectFailure::Unreachable) => {
            "there was no route to the target: ip route get ADDRESS shows it"
        }
        Some(ConnectFailure::Reset) => "the target resets new connections: look at its limits",
        Some(ConnectFailure::Busy) => {
            "the target had no room for more at once: its backlog of connections is too short"
        }
        Some(ConnectFailure::Local | ConnectFailure::Ports) => {
            "this machine could open no more, for the reason in the notes: more connections would \
             fail as well"
        }
        Some(_) => "more of them would fail as well",
    };
    match connections_down(result) {
        Some(down) => format!("{down}; {advice}"),
        None => advice.to_owned(),
    }
}

/// Whether most attempts that timed out did so in their TLS handshake, on a TCP connection.
pub(super) fn are_silent(result: &RunResult) -> bool {
    let timeouts = result.total.connections.failed.count(ConnectFailure::Timeout);
    let tls = result.total.tls.as_ref();
    let silent = tls.map_or(0, |tls| tls.faults.count(TlsFault::Silent));
    silent > 0 && silent >= timeouts / 2
}

/// That new connections came as fast as `--connect-rate` lets them, and no faster.
fn paced_by_connect_rate(result: &RunResult) -> Option<String> {
    let rate_per_s = result.asked.connect_rate_per_s.filter(|_| result.is_connect_paced())?;
    Some(format!(
        "new connections came at {:.1} a second, as --connect-rate allows {rate_per_s}: raise it, or \
         keep connections for more requests",
        result.connections_per_s()
    ))
}

/// That a worker did not get its CPU, and what to try.
fn starved(result: &RunResult, share: f64) -> String {
    let who = if result.may_share_cpus() { ", such as the target" } else { "" };
    let spins = result.asked.schedule.as_ref().is_some_and(|schedule| schedule.spin_ns > 0);
    if let Some(quota) = &result.quota {
        return format!(
            "a worker waited for its CPU for {} % of the window: {}; give wring a larger quota{}",
            percent(share),
            throttled(quota),
            if spins { ", or try --no-spin" } else { "" }
        );
    }
    // Looking at the clock uses up a quota that the sends then lack.
    let spares = if spins { ", or with a quota try --no-spin" } else { "" };
    format!(
        "a worker waited for its CPU for {} % of the window: something else runs there{who}, or a \
         CPU quota is too small; give wring more CPU{spares}",
        percent(share)
    )
}

/// What the quota is, and what it took.
fn throttled(quota: &QuotaUse) -> String {
    format!(
        "the CPU quota of its control group, {} of CPU time in every {}, stopped it {}, for {} in all",
        format_duration_ns(quota.quota_us.saturating_mul(1000)),
        format_duration_ns(quota.period_us.saturating_mul(1000)),
        times(quota.throttled_periods),
        format_duration_ns(quota.throttled_ns)
    )
}

/// Why the workers slept until requests were due.
fn slept(result: &RunResult) -> &'static str {
    if result.asked.options.iter().any(|option| option == "--no-spin") {
        return "the workers slept until a request was due (--no-spin) and woke up late";
    }
    if result.target_on_this_machine {
        return "the workers slept until a request was due, because looking at the clock would \
                take the last CPU from the target, and woke up late: run fewer threads (-t), or the \
                target on another machine";
    }
    "the workers slept until a request was due and woke up late"
}

/// What most likely kept wring from sending in time, in the order of how certain it is.
fn own_lag_cause(result: &RunResult, late_ns: u64) -> String {
    let (starved_share, busy) = (result.starved_share_max(), result.busy_share_max());
    let turn_gap_ns = turn_gap_ns_max(result);
    let sleeps = result.asked.schedule.as_ref().is_some_and(|schedule| schedule.spin_ns == 0);
    if starved_share >= 0.01 || result.quota.is_some() {
        return starved(result, starved_share);
    }
    if busy >= 0.90 {
        return format!(
            "a worker was busy {} % of the window: give wring more CPUs (-t, --cpus) or ask for a \
             lower -R",
            percent(busy)
        );
    }
    if turn_gap_ns >= late_ns {
        return format!(
            "a worker's loop stood still for up to {}: its CPU was taken away",
            format_duration_ns(turn_gap_ns)
        );
    }
    if sleeps {
        return slept(result).to_owned();
    }
    "no worker was starved or busy, so the cause is not known".to_owned()
}

fn turn_gap_ns_max(result: &RunResult) -> u64 {
    result.workers.iter().map(|worker| worker.turn_gap_ns_max).max().unwrap_or(0)
}

fn invalid(reason: &Invalid, result: &RunResult) -> String {
    match reason {
        Invalid::NeverReached { server } => never_reached(result, *server),
        Invalid::Lost { server } => format!(
            "no connection to {} could be had any more, so {} of {} requests were never started",
            shown(result.server_name(*server)),
            format_grouped(result.never_started()),
            format_grouped(result.asked.requests.unwrap_or(0))
        ),
        Invalid::SpeaksTls => {
            "every answer was 400, and the port speaks TLS: try https://".to_owned()
        }
        Invalid::IdentityBroken { name } => {
            match result.identities.iter().find(|check| check.identity.name() == *name) {
                Some(check) => format!("identity {} is broken", identity(check)),
                None => format!("identity {name} is broken"),
            }
        }
        Invalid::WorkerBroke => "a worker ended before the run was over".to_owned(),
        Invalid::Starved { share } => starved(result, *share),
        Invalid::Gap { gap_ns } => format!(
            "a worker's loop stood still for {}: suspended, stopped or starved of CPU",
            format_duration_ns(*gap_ns)
        ),
        Invalid::Suspended { suspended_ns } => format!(
            "the machine was suspended for {} during the run",
            format_duration_ns(*suspended_ns)
        ),
        Invalid::OwnShed { count } => {
            let late = format!(
                "wring itself was late for the deadline of {} requests, {} of what was due",
                format_grouped(*count),
                share(*count, result.total.phase(Phase::Window).due)
            );
            // Sending late has the same cause, and named it.
            let is_named = matches!(&result.verdict, Verdict::Invalid(reasons)
                if reasons.iter().any(|reason| matches!(reason, Invalid::OwnLag { .. })));
            if is_named {
                return late;
            }
            let late_ns = result.total.sending.shed.mean_ns();
            format!("{late}; likely cause: {}", own_lag_cause(result, late_ns))
        }
        Invalid::OwnLag { p99_ns, limit_ns } => format!(
            "wring itself sent late, by {} at {}, where {} are accepted; likely cause: {}",
            format_duration_ns(*p99_ns),
            if P99.is_known(result.total.sending.late.len()) {
                "p99"
            } else {
                "the highest percentile with ten requests above it"
            },
            format_duration_ns(*limit_ns),
            own_lag_cause(result, *p99_ns)
        ),
    }
}

/// That nothing was measured of a server, and why.
fn never_reached(result: &RunResult, server: u32) -> String {
    let name = shown(result.server_name(server));
    let Some(record) = result.total.servers.get(server as usize) else {
        return format!("nothing could be measured at {name}");
    };
    let failed = record.failed.iter().filter(|(_, count)| *count > 0);
    let counts: Vec<String> =
        failed.map(|(cause, count)| format!("connect {} {}", cause.name(), times(count))).collect();
    let fault = record.worst_fault().map(|(_, text)| shown(text));
    let why = match (fault, counts.is_empty()) {
        (Some(fault), _) => format!("no TLS handshake succeeded, {fault}"),
        (None, false) => counts.join(", "),
        (None, true) => "no attempt was answered".to_owned(),
    };
    format!("nothing could be measured at {name}: {why}")
}

/// What comes from outside, in a sentence.
fn shown(text: &str) -> String {
    escape(text, NOTE_CHARS_MAX)
}

/// `once`, `1,234 times`.
fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{} times", format_grouped(count)) }
}

/// `I2 (started = …): 400 against 399 in worker 0`: the equation that is shown of it, or where that is
/// not known the whole claim.
pub(super) fn identity(check: &IdentityCheck) -> String {
    let place = check.worker.map_or_else(|| "in total".to_owned(), |w| format!("in worker {w}"));
    let equation = match check.equation.as_str() {
        "" => check.identity.claim().to_owned(),
        equation => escape(equation, NOTE_CHARS_MAX),
    };
    let (name, left, right) = (check.identity.name(), check.left, check.right);
    format!("{name} ({equation}): {left} against {right} {place}")
}

/// `I1–I5, I7` for the identities of `checks` whose finding is `holds`; empty when there are none.
pub(super) fn identity_ranges(checks: &[IdentityCheck], holds: Option<bool>) -> String {
    let is_in =
        |identity: Identity| checks.iter().any(|c| c.identity == identity && c.holds == holds);
    let mut ranges: Vec<String> = Vec::new();
    let mut start = None;
    for (index, identity) in Identity::ALL.into_iter().enumerate() {
        if !is_in(identity) {
            continue;
        }
        let first = *start.get_or_insert(index);
        let next_is_in = Identity::ALL.get(index + 1).is_some_and(|&next| is_in(next));
        if !next_is_in {
            let first_name = Identity::ALL[first].name();
            ranges.push(match index - first {
                0 => first_name.to_owned(),
                _ => format!("{first_name}–{}", identity.name()),
            });
            start = None;
        }
    }
    ranges.join(", ")
}
