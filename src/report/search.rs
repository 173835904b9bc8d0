//! What a search found: text, JSON and CSV.

use crate::result::threshold::Aim;
use crate::result::{Answers, Invalid, Verdict};
use crate::search::{
    Ceiling, CeilingEnded, Claim, Ended, Finding, Found, FoundPoint, FoundTrial, Latencies, Load,
    Purpose, Standing, Stopped,
};
use crate::units::{format_duration_ns, format_grouped};

use super::page::{GREEN, Page, RED, YELLOW};
use super::schema::search as schema;
use super::{NOTE_CHARS_MAX, URL_CHARS_MAX, answers, escape, json as to_json, server, words};

/// Columns of the longest bar of a plot.
const BAR_COLUMNS: f64 = 40.0;
/// Nanoseconds in a second.
const SECOND_NS: f64 = 1e9;

/// A ceiling that was searched, and how that ended.
#[derive(Clone, Debug)]
pub struct FoundCeiling {
    /// The URL as typed.
    pub url: String,
    /// All arguments as typed, secrets redacted.
    pub options: Vec<String>,
    /// How long it took, in nanoseconds.
    pub elapsed_ns: u64,
    /// Why it ended; `None` when it was stopped.
    pub ended: Option<CeilingEnded>,
    /// Why it was stopped.
    pub stopped: Option<Stopped>,
    /// What was measured.
    pub ceiling: Ceiling,
    /// What was answered under all loads.
    pub answers: Answers,
}

/// A rate with as many digits as a search tells apart.
fn rate(per_s: f64) -> String {
    if per_s >= 100.0 {
        format!("{}/s", format_grouped(per_s.round() as u64))
    } else {
        format!("{per_s:.2}/s")
    }
}

fn time(ns: Option<u64>) -> String {
    ns.map_or_else(|| "–".to_owned(), format_duration_ns)
}

fn share(share: f64) -> String {
    format!("{:.3} %", share * 100.0)
}

fn objective(claims: &[Claim]) -> String {
    let typed = claims.iter().filter(|claim| !matches!(claim, Claim::Steady));
    let typed: Vec<String> =
        typed.map(|claim| escape(&claim.to_string(), NOTE_CHARS_MAX)).collect();
    typed.join(", ")
}

fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Held => "held",
        Standing::Failed => "failed",
        Standing::Open => "open",
        Standing::OutOfReach => "out of reach",
    }
}

fn purpose(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Bracket => "bracket",
        Purpose::Narrow => "narrow",
        Purpose::Confirm => "confirm",
        Purpose::Curve => "curve",
    }
}

fn ended(found: &Found) -> &'static str {
    match (&found.stopped, found.ended) {
        (Some(stopped), _) => stopped_word(stopped),
        (None, Some(Ended::Narrow)) => "narrow",
        (None, Some(Ended::TimeUp) | None) => "time up",
        (None, Some(Ended::Missed)) => "missed",
        (None, Some(Ended::Unbounded)) => "unbounded",
        (None, Some(Ended::OutOfReach)) => "out of reach",
    }
}

fn ceiling_ended(found: &FoundCeiling) -> &'static str {
    match (&found.stopped, found.ended) {
        (Some(stopped), _) => stopped_word(stopped),
        (None, Some(CeilingEnded::Found)) => "done",
        (None, Some(CeilingEnded::TimeUp) | None) => "time up",
        (None, Some(CeilingEnded::MostAllowed { .. })) => "most allowed",
        (None, Some(CeilingEnded::Disturbed)) => "disturbed",
    }
}

fn stopped_word(stopped: &Stopped) -> &'static str {
    match stopped {
        Stopped::Interrupt => "SIGINT",
        Stopped::Terminate => "SIGTERM",
        Stopped::Trouble(_) => "trouble",
    }
}

fn trouble(stopped: Option<&Stopped>) -> Option<String> {
    match stopped {
        Some(Stopped::Trouble(what)) => Some(what.clone()),
        _ => None,
    }
}

/// Said when the closed loop is done.
pub fn probe_line(per_s: f64, connections: u32, depth: u32) -> String {
    let depth = if depth > 1 { format!(", {depth} deep") } else { String::new() };
    format!("closed loop: {} with {connections} connections{depth}", rate(per_s))
}

/// Said when a trial is done.
pub fn trial_line(index: u64, trial: &FoundTrial, claims: &[Claim], of: Standing) -> String {
    let came = match &trial.spoiled {
        Some(verdict) => format!("does not count: {}", spoiled_reason(verdict)),
        None => {
            let shares =
                trial.shares.iter().zip(claims).filter(|(_, c)| !matches!(c, Claim::Steady));
            let shares: Vec<String> = shares
                .map(|(of, claim)| {
                    format!("{} miss {}", share(*of), escape(&claim.to_string(), NOTE_CHARS_MAX))
                })
                .collect();
            format!("p99 {}, {}", time(trial.latencies.p99_ns), shares.join(", "))
        }
    };
    let counted = match trial.used_ns < trial.length_ns && trial.spoiled.is_none() {
        true => {
            format!(" ({} count; wring sent late in the rest)", format_duration_ns(trial.used_ns))
        }
        false => String::new(),
    };
    format!(
        "trial {index}: {} for {}{counted}: {came}; {}",
        rate(trial.rate_per_s),
        format_duration_ns(trial.length_ns),
        standing(of)
    )
}

/// Why a trial does not count.
fn spoiled_reason(verdict: &Verdict) -> String {
    let first = match verdict {
        Verdict::Invalid(reasons) => reasons.first(),
        _ => None,
    };
    match first {
        Some(Invalid::OwnLag { p99_ns, .. }) => {
            let late = "wring itself sent late nearly all the time";
            // Of too few requests there is no percentile.
            match p99_ns {
                0 => late.to_owned(),
                ns => format!("{late}, p99 {}", time(Some(*ns))),
            }
        }
        Some(Invalid::Gap { gap_ns }) => {
            format!("wring stood still for {}", time(Some(*gap_ns)))
        }
        Some(Invalid::Suspended { suspended_ns }) => {
            format!("the machine was suspended for {}", time(Some(*suspended_ns)))
        }
        Some(Invalid::Starved { share }) => {
            format!("a worker waited for its CPU for {} % of the time", words::percent(*share))
        }
        Some(Invalid::OwnShed { count }) => {
            format!("wring itself was late for the deadline of {} requests", format_grouped(*count))
        }
        Some(Invalid::NeverReached { .. } | Invalid::Lost { .. }) => {
            "there was no connection to a server".to_owned()
        }
        Some(Invalid::SpeaksTls) => "plain requests went to a port for TLS".to_owned(),
        Some(Invalid::WorkerBroke) => "a worker's backend broke".to_owned(),
        Some(Invalid::IdentityBroken { name }) => format!("identity {name} is broken"),
        None if verdict.is_about_own_time() => "wring's workers had no time to spare".to_owned(),
        None => words::verdict_word(verdict).to_owned(),
    }
}

/// What helps against it.
fn spoiled_advice(verdict: &Verdict) -> &'static str {
    if verdict.is_about_own_time() {
        "give wring more CPUs (-t, --cpus)"
    } else {
        "wring doctor may tell why"
    }
}

/// Said when a load is measured.
pub fn load_line(load: &Load) -> String {
    let limited = match (&load.spoiled, load.is_generator_limited) {
        (Some(verdict), _) => format!("; does not count: {}", spoiled_reason(verdict)),
        (None, true) => "; wring had no time to spare".to_owned(),
        (None, false) => String::new(),
    };
    format!(
        "{} connections, {} deep: {}, p99 {}{limited}",
        load.connections,
        load.depth,
        rate(load.requests_per_s),
        time(load.latencies.p99_ns)
    )
}

/// What is said of a target that went away.
pub fn died(error: &str, trial: u64, rate_per_s: f64) -> String {
    format!(
        "the target could not be reached for trial {trial} at {}, nor a second later: {}",
        rate(rate_per_s),
        escape(error, NOTE_CHARS_MAX)
    )
}

/// What is said of a target that answers nothing any more.
pub fn hangs(trial: u64, rate_per_s: f64) -> String {
    format!(
        "the target answered no request of trial {trial} at {}, nor when it was repeated: it hangs",
        rate(rate_per_s)
    )
}

/// The report for people.
pub fn text(found: &Found, color: bool, verbose: bool) -> Vec<u8> {
    let mut page = Page { text: String::new(), color };
    let url = escape(&found.url, URL_CHARS_MAX);
    page.text += &format!("Capacity of {url} for {}\n", objective(&found.claims));
    page.line(&format!(
        "{} arrivals over {} connections, {} deep; {} trials in {}",
        found.arrivals,
        found.connections,
        found.depth,
        found.trials.len(),
        format_duration_ns(found.elapsed_ns)
    ));
    bracket(found, &mut page);
    answers_section(&found.answers, &mut page);
    curve(found, &mut page);
    if verbose || found.trials.len() <= 60 {
        trials(found, &mut page);
    }
    notes(found, &mut page);
    verdict(found, &mut page);
    page.text.into_bytes()
}

/// What deserves a look among the answers: statuses that are no success, requests without an answer,
/// and failed checks.
fn answers_section(of: &Answers, page: &mut Page) {
    let (outside, failed, checks) =
        (answers::outside(of), answers::causes(of), answers::checks(of));
    if outside.is_none() && failed.is_none() && checks.is_empty() {
        return;
    }
    page.heading("Answers");
    page.line(&outside.unwrap_or_else(|| answers::classes(of)));
    if let Some(causes) = failed {
        page.line(&format!("requests that failed: {causes}"));
    }
    checks.iter().for_each(|line| page.line(line));
}

/// Why trials at the upper end did not count, the latest of them.
fn reason_at(found: &Found, place: Option<usize>) -> Option<&Verdict> {
    let rate_per_s = found.points[place?].rate_per_s;
    let at = |trial: &&FoundTrial| trial.rate_per_s == rate_per_s;
    found.trials.iter().rev().filter(at).find_map(|trial| trial.spoiled.as_ref())
}

fn bracket(found: &Found, page: &mut Page) {
    page.heading("Bracket");
    if let Some(per_s) = found.probe_per_s {
        page.line(&format!("closed loop: {}", rate(per_s)));
    }
    match found.held.map(|held| &found.points[held]) {
        Some(held) => {
            page.line(&format!(
                "held: {}, {} in {} trials",
                rate(held.rate_per_s),
                format_duration_ns(held.measured_ns),
                held.trials
            ));
            let Latencies { p50_ns, p90_ns, p99_ns, p99_9_ns, max_ns } = held.latencies;
            page.line(&format!(
                "its latency: p50 {}, p90 {}, p99 {}, p99.9 {}, max {}",
                time(p50_ns),
                time(p90_ns),
                time(p99_ns),
                time(p99_9_ns),
                time(max_ns)
            ));
            page.line(&format!("its shares: {}", shares(held, &found.claims)));
            if let Some(ns) = held.cpu_ns_per_request {
                page.line(&format!(
                    "its cost: {} of server CPU per request",
                    server::per_request(ns)
                ));
            }
        }
        None => page.line("held: none of the rates tried"),
    }
    match found.failed.map(|failed| &found.points[failed]) {
        Some(point) if found.is_cut_off() => page.line(&format!(
            "out of reach: {}: wring itself spoiled {} trials there{}",
            rate(point.rate_per_s),
            point.spoiled,
            reason_at(found, found.failed)
                .map_or_else(String::new, |verdict| format!(": {}", spoiled_reason(verdict)))
        )),
        Some(failed) => page.line(&format!(
            "failed: {}, {} in {} trials: {}",
            rate(failed.rate_per_s),
            format_duration_ns(failed.measured_ns),
            failed.trials,
            shares(failed, &found.claims)
        )),
        None => page.line("failed: none of the rates tried"),
    }
    if let Some(width) = found.bracket_width() {
        page.line(&format!("width: {:.2} %, asked {:.2} %", width * 100.0, found.width * 100.0));
    }
    if let Some(estimate) = found.estimate_per_s {
        page.line(&format!(
            "estimate of the rate between: {} (a line through the shares)",
            rate(estimate)
        ));
    }
}

fn shares(point: &FoundPoint, claims: &[Claim]) -> String {
    let of = |((missed, finding), claim): (&(f64, Finding), &Claim)| {
        let finding = match finding {
            Finding::Held => "holds",
            Finding::Failed => "fails",
            Finding::Open => "open",
        };
        let name = escape(&claim.to_string(), NOTE_CHARS_MAX);
        match claim {
            Claim::Steady => format!("{name} {finding}"),
            Claim::Whole(_) => {
                format!("{name} {finding} ({} of the trials miss it)", share(*missed))
            }
            Claim::Share(..) => {
                format!(
                    "{name} {finding} ({} of {} miss it)",
                    share(*missed),
                    share(claim.allowed())
                )
            }
        }
    };
    point.claims.iter().zip(claims).map(of).collect::<Vec<_>>().join(", ")
}

/// Latency against rate, a line for each rate, with bars on a logarithmic scale.
fn curve(found: &Found, page: &mut Page) {
    if found.points.is_empty() {
        return;
    }
    page.heading("Latency against rate");
    let head = ["rate", "p50", "p99", "max", "measured", "", "p99, logarithmic"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let known: Vec<f64> =
        found.points.iter().filter_map(|p| p.latencies.p99_ns).map(|ns| ns as f64).collect();
    let least = known.iter().copied().fold(f64::INFINITY, f64::min).max(1.0);
    let most = known.iter().copied().fold(1.0, f64::max);
    for point in &found.points {
        let bar = point.latencies.p99_ns.map_or_else(String::new, |ns| {
            let range = (most / least).ln().max(1e-9);
            let columns =
                ((ns as f64 / least).max(1.0).ln() / range * BAR_COLUMNS).round() as usize;
            "#".repeat(columns.max(1))
        });
        rows.push(vec![
            rate(point.rate_per_s),
            time(point.latencies.p50_ns),
            time(point.latencies.p99_ns),
            time(point.latencies.max_ns),
            format_duration_ns(point.measured_ns),
            standing(point.standing).to_owned(),
            format!("{bar:<width$}|", width = BAR_COLUMNS as usize),
        ]);
    }
    page.grid(&rows);
    match found.knee() {
        Some(knee) => page.line(&format!(
            "knee (heuristic): {}, where latency bends upwards most",
            rate(knee.rate_per_s)
        )),
        None => page.line("knee (heuristic): the curve shows none"),
    }
}

fn trials(found: &Found, page: &mut Page) {
    if found.trials.is_empty() {
        return;
    }
    page.heading("Trials");
    let head =
        ["", "at", "rate", "length", "counted", "for", "achieved", "p99", "missed", "failed"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (index, trial) in found.trials.iter().enumerate() {
        let worst = trial.shares.iter().zip(&found.claims);
        let worst = worst.filter(|(_, claim)| !matches!(claim, Claim::Steady));
        let worst = worst.map(|(share, _)| *share).fold(0.0, f64::max);
        rows.push(vec![
            (index + 1).to_string(),
            format_duration_ns(trial.start_ns),
            rate(trial.rate_per_s),
            format_duration_ns(trial.length_ns),
            format_duration_ns(if trial.spoiled.is_some() { 0 } else { trial.used_ns }),
            purpose(trial.purpose).to_owned(),
            rate(trial.achieved_per_s),
            time(trial.latencies.p99_ns),
            match &trial.spoiled {
                Some(verdict) => words::verdict_word(verdict).to_owned(),
                None => share(worst),
            },
            format_grouped(trial.failed + trial.unanswered),
        ]);
    }
    page.grid(&rows);
}

fn notes(found: &Found, page: &mut Page) {
    let mut lines = Vec::new();
    if found.is_contradictory {
        lines.push(
            "a rate held although a lower one failed: the target does not only get worse with load, \
             and the lower one counts"
                .to_owned(),
        );
    }
    let spoiled: u32 = found.points.iter().map(|point| point.spoiled).sum();
    if spoiled > 0 {
        let cause = found.trials.iter().rev().find_map(|trial| trial.spoiled.as_ref());
        let cause = cause.map_or_else(String::new, |verdict| {
            format!(": {}; {}", spoiled_reason(verdict), spoiled_advice(verdict))
        });
        lines.push(format!("wring itself spoiled {spoiled} trials, which do not count{cause}"));
    }
    if found.held.is_none() {
        lines.extend(found.claims.iter().filter_map(|claim| too_few(found, claim)));
    }
    if !lines.is_empty() {
        page.heading("Notes");
        lines.iter().for_each(|line| page.line(line));
    }
}

/// That there were too few requests at any rate to show that few enough fail.
fn too_few(found: &Found, claim: &Claim) -> Option<String> {
    let Claim::Share(_, Aim::Failed { .. }) = claim else { return None };
    let index = found.claims.iter().position(|known| known == claim)?;
    let is_open = |point: &&FoundPoint| {
        point.claims.get(index).is_some_and(|&(share, finding)| {
            finding == Finding::Open && share <= claim.allowed() && point.trials > 0
        })
    };
    let open = found.points.iter().filter(is_open);
    let highest = open.map(|point| point.rate_per_s).max_by(f64::total_cmp)?;
    let requests = claim.requests_least();
    let needed_ns = requests / highest * SECOND_NS;
    Some(format!(
        "that {} holds takes some {} requests at one rate to be shown, at {} some {}: --max-duration \
         gives it more time",
        escape(&claim.to_string(), NOTE_CHARS_MAX),
        format_grouped(requests as u64),
        rate(highest),
        format_duration_ns(needed_ns as u64)
    ))
}

fn verdict(found: &Found, page: &mut Page) {
    let (color, text) = conclusion(found);
    page.text += "\nverdict: ";
    page.colored(color, &text);
    page.text.push('\n');
}

fn conclusion(found: &Found) -> (&'static str, String) {
    let objective = objective(&found.claims);
    let held = found.held.map(|held| rate(found.points[held].rate_per_s));
    let failed = found.failed.map(|failed| rate(found.points[failed].rate_per_s));
    let bracket = match (&held, &failed) {
        (Some(held), Some(rate)) if found.is_cut_off() => {
            format!("{objective} holds at {held}; {rate} is out of wring's reach{}", why(found))
        }
        (None, Some(cut_off)) if found.is_cut_off() => {
            let why = why(found);
            let failed = found.points.iter().find(|point| point.standing == Standing::Failed);
            let failed = failed.map_or_else(String::new, |point| {
                format!("fails at {} and ", rate(point.rate_per_s))
            });
            format!("{objective} {failed}cannot be judged at {cut_off}{why}; no rate held so far")
        }
        (Some(held), Some(failed)) => format!("{objective} holds at {held} and fails at {failed}"),
        (Some(held), None) => format!("{objective} holds at {held}; no rate failed so far"),
        (None, Some(failed)) => format!("{objective} fails at {failed}; no rate held so far"),
        (None, None) => format!("no rate was shown to meet {objective}"),
    };
    match (&found.stopped, found.ended) {
        (Some(Stopped::Trouble(what)), _) => {
            (RED, format!("stopped: {what}; until then {bracket}"))
        }
        (Some(stopped), _) => {
            (YELLOW, format!("interrupted by {}; so far {bracket}", stopped_word(stopped)))
        }
        (None, Some(Ended::Narrow)) => (GREEN, bracket),
        (None, Some(Ended::Missed)) => {
            let lowest = found.points.first().map_or_else(String::new, |p| rate(p.rate_per_s));
            (
                RED,
                format!(
                    "{objective} is missed even at {lowest}, the lowest rate tried: the target is \
                     slower than that by itself, or the objective is not one for it"
                ),
            )
        }
        (None, Some(Ended::Unbounded)) => (
            YELLOW,
            format!(
                "{bracket}, up to sixteen times what a closed loop got: try more connections (-c)"
            ),
        ),
        (None, Some(Ended::OutOfReach)) => {
            let lowest = found.points.first().map_or_else(String::new, |p| rate(p.rate_per_s));
            let why = why(found);
            (
                RED,
                format!(
                    "{objective} cannot be judged by wring here, not even at {lowest}, the lowest \
                     rate tried{why}"
                ),
            )
        }
        (None, Some(Ended::TimeUp) | None) => {
            let color = if found.held.is_some() { YELLOW } else { RED };
            (color, format!("{bracket}; the time was up: --max-duration gives it more"))
        }
    }
}

/// `: wring itself sent late …; wring doctor may tell why`
fn why(found: &Found) -> String {
    let latest = || found.trials.iter().rev().find_map(|trial| trial.spoiled.as_ref());
    match reason_at(found, found.failed).or_else(latest) {
        Some(verdict) => format!(" ({}; {})", spoiled_reason(verdict), spoiled_advice(verdict)),
        None => String::new(),
    }
}

/// One object in one line, with a line end.
pub fn json(found: &Found) -> Vec<u8> {
    let upper_per_s = found.failed.map(|failed| found.points[failed].rate_per_s);
    to_json::to_safe_bytes(&schema::Search {
        schema_version: schema::SEARCH_SCHEMA_VERSION,
        kind: "wring-search".to_owned(),
        url: found.url.clone(),
        options: found.options.clone(),
        connections: found.connections,
        depth: found.depth,
        arrivals: found.arrivals.clone(),
        objective: found.claims.iter().map(ToString::to_string).collect(),
        ended: ended(found).to_owned(),
        trouble: trouble(found.stopped.as_ref()),
        elapsed_ns: found.elapsed_ns,
        closed_loop_per_s: found.probe_per_s,
        held_per_s: found.held.map(|held| found.points[held].rate_per_s),
        failed_per_s: upper_per_s.filter(|_| !found.is_cut_off()),
        out_of_reach_per_s: upper_per_s.filter(|_| found.is_cut_off()),
        width: found.bracket_width(),
        width_asked: found.width,
        estimate_per_s: found.estimate_per_s,
        knee_per_s: found.knee().map(|knee| knee.rate_per_s),
        contradictory: found.is_contradictory,
        curve: found.points.iter().map(schema_rate).collect(),
        trials: found.trials.iter().map(schema_trial).collect(),
        answers: answers::to_schema(&found.answers),
    })
}

fn latency(of: &Latencies) -> schema::Latency {
    let Latencies { p50_ns, p90_ns, p99_ns, p99_9_ns, max_ns } = *of;
    schema::Latency { p50_ns, p90_ns, p99_ns, p99_9_ns, max_ns }
}

fn schema_rate(point: &FoundPoint) -> schema::Rate {
    schema::Rate {
        rate_per_s: point.rate_per_s,
        standing: standing(point.standing).to_owned(),
        measured_ns: point.measured_ns,
        trials: point.trials,
        spoiled: point.spoiled,
        missed_shares: point.claims.iter().map(|(share, _)| *share).collect(),
        latency: latency(&point.latencies),
        server_cpu_ns_per_request: point.cpu_ns_per_request,
    }
}

fn schema_trial(trial: &FoundTrial) -> schema::Trial {
    schema::Trial {
        start_ns: trial.start_ns,
        rate_per_s: trial.rate_per_s,
        length_ns: trial.length_ns,
        counted_ns: if trial.spoiled.is_some() { 0 } else { trial.used_ns },
        purpose: purpose(trial.purpose).to_owned(),
        achieved_per_s: trial.achieved_per_s,
        due: trial.due,
        failed: trial.failed,
        unanswered: trial.unanswered,
        missed_shares: trial.shares.clone(),
        latency: latency(&trial.latencies),
        spoiled: trial.spoiled.as_ref().map(|verdict| words::verdict_word(verdict).to_owned()),
        spoiled_reason: trial.spoiled.as_ref().map(spoiled_reason),
    }
}

fn csv_time(ns: Option<u64>) -> String {
    ns.map_or_else(String::new, |ns| ns.to_string())
}

/// A line for each trial; times in nanoseconds, empty where they are not known. `missed_share` is the
/// largest of the shares that missed a claim.
pub fn csv(found: &Found) -> Vec<u8> {
    let mut text =
        "trial,start_ns,rate_per_s,length_ns,purpose,achieved_per_s,due,failed,unanswered,\
                    missed_share,p50_ns,p90_ns,p99_ns,p99_9_ns,max_ns,counts,rate_standing\n"
            .to_owned();
    for (index, trial) in found.trials.iter().enumerate() {
        let worst = trial.shares.iter().zip(&found.claims);
        let worst = worst.filter(|(_, claim)| !matches!(claim, Claim::Steady));
        let worst = worst.map(|(share, _)| *share).fold(0.0, f64::max);
        let point = found.points.iter().find(|point| point.rate_per_s == trial.rate_per_s);
        let Latencies { p50_ns, p90_ns, p99_ns, p99_9_ns, max_ns } = trial.latencies;
        text += &format!(
            "{},{},{},{},{},{:.3},{},{},{},{:.6},{},{},{},{},{},{},{}\n",
            index + 1,
            trial.start_ns,
            trial.rate_per_s,
            trial.length_ns,
            purpose(trial.purpose),
            trial.achieved_per_s,
            trial.due,
            trial.failed,
            trial.unanswered,
            worst,
            csv_time(p50_ns),
            csv_time(p90_ns),
            csv_time(p99_ns),
            csv_time(p99_9_ns),
            csv_time(max_ns),
            u8::from(trial.spoiled.is_none()),
            point.map_or("", |point| standing(point.standing)),
        );
    }
    text.into_bytes()
}

/// The report on a ceiling for people.
pub fn ceiling_text(found: &FoundCeiling, color: bool) -> Vec<u8> {
    let mut page = Page { text: String::new(), color };
    let url = escape(&found.url, URL_CHARS_MAX);
    page.text += &format!(
        "Most requests per second of {url} in a closed loop: {} loads in {:.1} s\n",
        found.ceiling.loads().len(),
        found.elapsed_ns as f64 / SECOND_NS
    );
    let mut loads: Vec<&Load> = found.ceiling.loads().iter().collect();
    loads.sort_by_key(|load| (load.depth, load.connections));
    if !loads.is_empty() {
        page.heading("Rate against load");
        let head = ["connections", "depth", "requests/s", "p50", "p99", "", ""];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        let most = loads.iter().map(|load| load.requests_per_s).fold(1.0, f64::max);
        for load in loads {
            let columns = (load.requests_per_s / most * BAR_COLUMNS).round() as usize;
            rows.push(vec![
                load.connections.to_string(),
                load.depth.to_string(),
                format_grouped(load.requests_per_s.round() as u64),
                time(load.latencies.p50_ns),
                time(load.latencies.p99_ns),
                match (load.is_valid(), load.is_generator_limited) {
                    (false, _) => "does not count".to_owned(),
                    (true, true) => "wring-limited".to_owned(),
                    (true, false) => String::new(),
                },
                format!("{:<width$}|", "#".repeat(columns), width = BAR_COLUMNS as usize),
            ]);
        }
        page.grid(&rows);
    }
    answers_section(&found.answers, &mut page);
    ceiling_notes(found, &mut page);
    let (color, text) = ceiling_conclusion(found);
    page.text += "\nverdict: ";
    page.colored(color, &text);
    page.text.push('\n');
    page.text.into_bytes()
}

/// Loads that were disturbed: measured again, or left out.
fn ceiling_notes(found: &FoundCeiling, page: &mut Page) {
    let disturbed: Vec<&Verdict> =
        found.ceiling.loads().iter().filter_map(|load| load.spoiled.as_ref()).collect();
    let Some(last) = disturbed.last() else { return };
    page.heading("Notes");
    let reason = spoiled_reason(last);
    page.line(&format!(
        "{} of {} loads do not count and were measured again: {reason}; {}",
        disturbed.len(),
        found.ceiling.loads().len(),
        spoiled_advice(last)
    ));
    for (connections, depth) in found.ceiling.left_out() {
        page.line(&format!("left out, disturbed each time: {}", load_flags(connections, depth)));
    }
}

/// `-c 64 -p 4`
fn load_flags(connections: u32, depth: u32) -> String {
    match depth {
        1 => format!("-c {connections}"),
        depth => format!("-c {connections} -p {depth}"),
    }
}

fn ceiling_conclusion(found: &FoundCeiling) -> (&'static str, String) {
    let load = |load: &Load| load_flags(load.connections, load.depth);
    let ceiling = &found.ceiling;
    let (Some(most), Some(enough)) = (ceiling.most(), ceiling.enough()) else {
        return (RED, no_load(found));
    };
    let limited = if most.is_generator_limited {
        "; wring had no time to spare there, so the target may do more: give wring more CPUs (-t, \
         --cpus)"
    } else {
        ""
    };
    let at_least = format!("at least {}, with {}", rate(most.requests_per_s), load(most));
    match (&found.stopped, found.ended) {
        (Some(Stopped::Trouble(what)), _) => {
            let what = escape(what, NOTE_CHARS_MAX);
            (RED, format!("stopped: {what}; until then {at_least}"))
        }
        (Some(stopped), _) => {
            (YELLOW, format!("interrupted by {}; so far {at_least}", stopped_word(stopped)))
        }
        (None, Some(CeilingEnded::Found)) => (
            if most.is_generator_limited { YELLOW } else { GREEN },
            format!(
                "{} at most, with {}; {} is enough for 98 % of it{limited}",
                rate(most.requests_per_s),
                load(most),
                load(enough)
            ),
        ),
        (None, Some(CeilingEnded::MostAllowed { connections, depth })) => {
            let (connections_max, depth_max) = ceiling.most_allowed();
            let of = [(connections, "-c", connections_max), (depth, "-p", depth_max)];
            let of = of.iter().filter(|(is_it, ..)| *is_it);
            let allowed: Vec<String> = of.map(|(_, flag, most)| format!("{flag} {most}")).collect();
            let raise = match (connections, depth) {
                (true, false) => "--max-connections",
                (false, true) => "--max-pipeline",
                _ => "--max-connections and --max-pipeline",
            };
            (
                YELLOW,
                format!(
                    "{at_least}; the rate still rose there, and {} is the most allowed: raise \
                     {raise}{limited}",
                    allowed.join(" ")
                ),
            )
        }
        (None, Some(CeilingEnded::Disturbed)) => {
            let cause = ceiling.loads().iter().rev().find_map(|load| load.spoiled.as_ref());
            let cause = cause.map_or_else(String::new, |verdict| {
                format!(": {}; {}", spoiled_reason(verdict), spoiled_advice(verdict))
            });
            (YELLOW, format!("{at_least}; larger loads could not be judged{cause}"))
        }
        (None, Some(CeilingEnded::TimeUp) | None) => (
            YELLOW,
            format!(
                "{at_least}; the time was up before it was known whether more gain anything: \
                 --max-duration gives it more{limited}"
            ),
        ),
    }
}

/// Why there is no load to speak of.
fn no_load(found: &FoundCeiling) -> String {
    let cause = found.ceiling.loads().iter().rev().find_map(|load| load.spoiled.as_ref());
    match (&found.stopped, cause) {
        (Some(Stopped::Trouble(what)), _) => {
            format!("stopped: {}; no load was measured", escape(what, NOTE_CHARS_MAX))
        }
        (Some(stopped), _) => {
            format!("interrupted by {}; no load was measured", stopped_word(stopped))
        }
        (None, Some(verdict)) => format!(
            "no load could be judged by wring here: {}; {}",
            spoiled_reason(verdict),
            spoiled_advice(verdict)
        ),
        (None, None) => "no load could be measured".to_owned(),
    }
}

/// One object in one line, with a line end.
pub fn ceiling_json(found: &FoundCeiling) -> Vec<u8> {
    let load = |load: &Load| schema::Load {
        connections: load.connections,
        depth: load.depth,
        requests_per_s: load.requests_per_s,
        latency: latency(&load.latencies),
        generator_limited: load.is_generator_limited,
        valid: load.is_valid(),
        invalid_reason: load.spoiled.as_ref().map(spoiled_reason),
    };
    let left_out = found.ceiling.left_out().into_iter();
    to_json::to_safe_bytes(&schema::Ceiling {
        schema_version: schema::SEARCH_SCHEMA_VERSION,
        kind: "wring-ceiling".to_owned(),
        url: found.url.clone(),
        options: found.options.clone(),
        ended: ceiling_ended(found).to_owned(),
        trouble: trouble(found.stopped.as_ref()),
        elapsed_ns: found.elapsed_ns,
        most: found.ceiling.most().map(load),
        enough: found.ceiling.enough().map(load),
        loads: found.ceiling.loads().iter().map(load).collect(),
        left_out: left_out
            .map(|(connections, depth)| schema::LeftOut { connections, depth })
            .collect(),
        answers: answers::to_schema(&found.answers),
    })
}

/// A line for each load, in order of time.
pub fn ceiling_csv(found: &FoundCeiling) -> Vec<u8> {
    let mut text =
        "connections,depth,requests_per_s,p50_ns,p90_ns,p99_ns,p99_9_ns,max_ns,generator_limited,valid\n"
            .to_owned();
    for load in found.ceiling.loads() {
        let Latencies { p50_ns, p90_ns, p99_ns, p99_9_ns, max_ns } = load.latencies;
        let times = [p50_ns, p90_ns, p99_ns, p99_9_ns, max_ns].map(csv_time).join(",");
        text += &format!(
            "{},{},{:.3},{times},{},{}\n",
            load.connections,
            load.depth,
            load.requests_per_s,
            u8::from(load.is_generator_limited),
            u8::from(load.is_valid())
        );
    }
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::threshold::Threshold;

    fn point(rate_per_s: f64, p99_ns: u64, missed: f64, standing: Standing) -> FoundPoint {
        let finding = match standing {
            Standing::Held => Finding::Held,
            _ => Finding::Failed,
        };
        FoundPoint {
            rate_per_s,
            standing,
            measured_ns: 20_000_000_000,
            trials: 3,
            spoiled: 0,
            latencies: Latencies { p99_ns: Some(p99_ns), ..Latencies::default() },
            claims: vec![(missed, finding), (0.0, Finding::Held)],
            cpu_ns_per_request: Some(12_345.0),
        }
    }

    fn found() -> Found {
        let claim = Claim::of(Threshold::parse("p99<5ms").unwrap());
        Found {
            url: "http://host/\u{1b}".to_owned(),
            options: vec!["wring".to_owned()],
            connections: 64,
            depth: 1,
            arrivals: "poisson".to_owned(),
            claims: vec![claim, Claim::Steady],
            width: 0.01,
            probe_per_s: Some(5_000.4),
            elapsed_ns: 60_000_000_000,
            ended: Some(Ended::Narrow),
            stopped: None,
            points: vec![
                point(500.0, 400_000, 0.0, Standing::Held),
                point(4_500.0, 4_000_000, 0.008, Standing::Held),
                point(4_540.0, 6_000_000, 0.014, Standing::Failed),
            ],
            held: Some(1),
            failed: Some(2),
            estimate_per_s: Some(4_520.0),
            is_contradictory: false,
            trials: vec![FoundTrial {
                start_ns: 3_000_000_000,
                rate_per_s: 4_500.0,
                length_ns: 20_000_000_000,
                used_ns: 18_000_000_000,
                purpose: Purpose::Confirm,
                achieved_per_s: 4_499.9,
                due: 90_000,
                failed: 1,
                unanswered: 2,
                latencies: Latencies::default(),
                shares: vec![0.008, 0.0],
                spoiled: None,
            }],
            answers: Answers::default(),
        }
    }

    fn shown(found: &Found) -> String {
        String::from_utf8(text(found, false, false)).unwrap()
    }

    #[test]
    fn the_text_tells_the_bracket_its_latency_the_curve_and_every_trial() {
        let text = shown(&found());
        for part in [
            "for p99<5ms\n",
            "  held: 4,500/s, 20.0 s in 3 trials\n",
            "p99 4.00 ms",
            "12.35 µs of server CPU per request",
            "  failed: 4,540/s",
            "p99<5ms fails (1.400 % of 1.000 % miss it)",
            "  width: 0.89 %, asked 1.00 %\n",
            "between: 4,520/s",
            "knee (heuristic)",
            "0.800 %       3\n",
            "verdict: p99<5ms holds at 4,500/s and fails at 4,540/s\n",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn every_end_has_its_words() {
        let ends = |change: fn(&mut Found)| {
            let mut found = found();
            change(&mut found);
            shown(&found)
        };
        let missed = ends(|f| (f.ended, f.held) = (Some(Ended::Missed), None));
        assert!(missed.contains("is missed even at 500/s, the lowest rate tried"), "{missed}");
        let late = ends(|f| f.ended = Some(Ended::TimeUp));
        assert!(late.contains("the time was up: --max-duration"), "{late}");
        let unbounded = ends(|f| (f.ended, f.failed) = (Some(Ended::Unbounded), None));
        assert!(unbounded.contains("no rate failed so far, up to sixteen times"), "{unbounded}");
        let stopped = ends(|f| f.stopped = Some(Stopped::Interrupt));
        assert!(stopped.contains("interrupted by SIGINT; so far p99<5ms holds at"), "{stopped}");
        let died = ends(|f| f.stopped = Some(Stopped::Trouble("it is gone".to_owned())));
        assert!(died.contains("stopped: it is gone; until then"), "{died}");
        let beyond = ends(cut_off);
        assert!(beyond.contains("out of reach: 4,540/s: wring itself spoiled 3"), "{beyond}");
        assert!(beyond.contains("wring itself spoiled 3 trials, which do not count: "), "{beyond}");
        let verdict = "verdict: p99<5ms holds at 4,500/s; 4,540/s is out of wring's reach (wring \
                       itself sent late nearly all the time, p99 2.00 ms; wring doctor may tell why)\n";
        assert!(beyond.ends_with(verdict) && !beyond.contains("fails at"), "{beyond}");
        assert!(!beyond.contains("width: "), "{beyond}");
        let nowhere = ends(|f| {
            cut_off(f);
            (f.ended, f.held, f.failed) = (Some(Ended::OutOfReach), None, Some(0));
            f.points.drain(..2);
            f.trials[0].rate_per_s = 4_540.0;
        });
        let between = ends(|f| {
            cut_off(f);
            (f.ended, f.held) = (Some(Ended::TimeUp), None);
            (f.points[0].standing, f.points[1].standing) = (Standing::Open, Standing::Open);
            f.points.push(point(5_000.0, 6_000_000, 0.014, Standing::Failed));
        });
        let said =
            "verdict: p99<5ms fails at 5,000/s and cannot be judged at 4,540/s (wring itself";
        assert!(between.contains(said), "{between}");
        let verdict = "verdict: p99<5ms cannot be judged by wring here, not even at 4,540/s, the \
                       lowest rate tried (wring itself sent late nearly all the time";
        assert!(nowhere.contains(verdict), "{nowhere}");
    }

    /// The upper end was spoiled by wring itself.
    fn cut_off(found: &mut Found) {
        found.points[2].standing = Standing::OutOfReach;
        found.points[2].spoiled = 3;
        found.trials[0].rate_per_s = 4_540.0;
        let late = Invalid::OwnLag { p99_ns: 2_000_000, limit_ns: 1_000_000 };
        found.trials[0].spoiled = Some(Verdict::Invalid(vec![late]));
    }

    #[test]
    fn what_wring_could_not_judge_is_told_from_what_failed() {
        let mut found = found();
        let value =
            |found: &Found| -> serde_json::Value { serde_json::from_slice(&json(found)).unwrap() };
        assert_eq!(value(&found)["failed_per_s"], 4_540.0);
        assert!(value(&found)["out_of_reach_per_s"].is_null() && !found.is_beyond_wring());
        cut_off(&mut found);
        assert_eq!(value(&found)["out_of_reach_per_s"], 4_540.0);
        assert!(value(&found)["failed_per_s"].is_null() && value(&found)["width"].is_null());
        let reason = &value(&found)["trials"][0]["spoiled_reason"];
        assert!(reason.as_str().unwrap().contains("sent late"), "{reason}");
        // Nothing held: because of wring only where no rate failed.
        assert!(!found.is_beyond_wring());
        found.held = None;
        found.points[0].standing = Standing::Open;
        found.points[1].standing = Standing::Open;
        assert!(found.is_beyond_wring());
        found.points[0].standing = Standing::Failed;
        assert!(!found.is_beyond_wring());
    }

    #[test]
    fn answers_that_are_no_success_and_failed_checks_are_told() {
        use crate::result::RunResult;
        let mut result = RunResult::default();
        result.asked.checks.statuses = crate::units::parse_statuses("200", ',').ok();
        result.total.phases[0].statuses[200] = 7;
        result.total.phases[2].statuses[503] = 1_234;
        let mut found = found();
        assert!(!shown(&found).contains("Answers\n"));
        found.answers.add(&Answers::of(&result));
        let text = shown(&found);
        let lines = "Answers\n  2xx 7, 5xx 1,234: 1,234 of 1,241 are outside 2xx and 3xx\n  1,234 of \
                     1,241 answers failed the check of their status (expected: 200)\n";
        assert!(text.contains(lines), "{text}");
        let object: serde_json::Value = serde_json::from_slice(&json(&found)).unwrap();
        assert_eq!(object["answers"]["classes"]["5xx"], 1_234);
        assert_eq!(object["answers"]["outside_2xx_3xx"], 1_234);
        assert_eq!(object["answers"]["failed_checks"]["status"], 1_234);
    }

    #[test]
    fn too_few_requests_to_show_that_none_fails_are_told() {
        let mut found = found();
        found.claims[0] = Claim::of(Threshold::parse("failed<0.1%").unwrap());
        (found.ended, found.held, found.failed) = (Some(Ended::TimeUp), None, None);
        for point in &mut found.points {
            (point.standing, point.claims[0]) = (Standing::Open, (0.0, Finding::Open));
        }
        let text = shown(&found);
        let note = "that failed<0.1% holds takes some 4,000 requests at one rate to be shown";
        assert!(text.contains(note), "{text}");
        assert!(text.contains("verdict: no rate was shown to meet failed<0.1%; the time was up"));
    }

    fn ceiling(loads: &[(u32, f64, bool)], ended: CeilingEnded) -> FoundCeiling {
        let mut ceiling = Ceiling::new(64, 4, 60_000_000_000);
        for &(connections, requests_per_s, is_valid) in loads {
            let gap = Verdict::Invalid(vec![Invalid::Gap { gap_ns: 1_100_000_000 }]);
            ceiling.measured(Load {
                connections,
                depth: 1,
                requests_per_s,
                latencies: Latencies::default(),
                is_generator_limited: false,
                spoiled: (!is_valid).then_some(gap),
            });
        }
        FoundCeiling {
            url: "http://host/".to_owned(),
            options: Vec::new(),
            elapsed_ns: 1_000_000_000,
            ended: Some(ended),
            stopped: None,
            ceiling,
            answers: Answers::default(),
        }
    }

    #[test]
    fn a_ceiling_is_one_only_where_more_gains_nothing() {
        let loads = [(1, 100.0, true), (2, 50.0, false), (2, 200.0, true), (4, 9.0, false)];
        let most = CeilingEnded::MostAllowed { connections: true, depth: true };
        for (ended, word, said) in [
            (CeilingEnded::Found, "done", "verdict: 200/s at most, with -c 2; -c 2 is enough for"),
            (
                CeilingEnded::TimeUp,
                "time up",
                "verdict: at least 200/s, with -c 2; the time was up",
            ),
            (
                most,
                "most allowed",
                "; the rate still rose there, and -c 64 -p 4 is the most allowed",
            ),
            (
                CeilingEnded::Disturbed,
                "disturbed",
                "at least 200/s, with -c 2; larger loads could not be judged: wring stood still for",
            ),
        ] {
            let found = ceiling(&loads, ended);
            let text = shown_ceiling(&found);
            assert!(text.contains(said), "{said}: {text}");
            assert!(
                text.contains("2 of 4 loads do not count and were measured again: wring stood")
            );
            assert!(text.contains("left out, disturbed each time: -c 4"), "{text}");
            let object: serde_json::Value = serde_json::from_slice(&ceiling_json(&found)).unwrap();
            assert_eq!(object["ended"], word);
            assert_eq!(object["left_out"][0]["connections"], 4);
            assert_eq!(object["loads"][1]["valid"], false);
            assert_eq!(object["loads"][1]["invalid_reason"], "wring stood still for 1.10 s");
        }
        let nothing = ceiling(&[(1, 5.0, false)], CeilingEnded::Disturbed);
        let text = shown_ceiling(&nothing);
        assert!(
            text.contains("verdict: no load could be judged by wring here: wring stood"),
            "{text}"
        );
    }

    fn shown_ceiling(found: &FoundCeiling) -> String {
        String::from_utf8(ceiling_text(found, false)).unwrap()
    }

    #[test]
    fn json_and_csv_have_every_rate_and_trial() {
        let found = found();
        let object: serde_json::Value = serde_json::from_slice(&json(&found)).unwrap();
        assert_eq!(object["held_per_s"], 4_500.0);
        assert_eq!(object["curve"][2]["standing"], "failed");
        assert_eq!(object["curve"][1]["p99_ns"], 4_000_000);
        assert_eq!(object["trials"][0]["missed_shares"][0], 0.008);
        assert_eq!(object["ended"], "narrow");
        let csv = String::from_utf8(csv(&found)).unwrap();
        let line =
            "1,3000000000,4500,20000000000,confirm,4499.900,90000,1,2,0.008000,,,,,,1,held\n";
        assert!(csv.ends_with(line), "{csv}");
    }
}
