//! What a search found: text, JSON and CSV.

use crate::result::{Invalid, Verdict};
use crate::search::{
    Ceiling, Claim, Ended, Finding, Found, FoundPoint, FoundTrial, Latencies, Load, Purpose,
    Standing, Stopped,
};
use crate::units::{format_duration_ns, format_grouped};

use super::page::{GREEN, Page, RED, YELLOW};
use super::schema::search as schema;
use super::{NOTE_CHARS_MAX, URL_CHARS_MAX, escape, json as to_json, server, words};

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
    /// Why it was stopped.
    pub stopped: Option<Stopped>,
    /// What was measured.
    pub ceiling: Ceiling,
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
            format!("wring itself sent late nearly all the time, p99 {}", time(Some(*p99_ns)))
        }
        Some(Invalid::Gap { gap_ns }) => {
            format!("wring stood still for {}", time(Some(*gap_ns)))
        }
        Some(Invalid::Suspended { suspended_ns }) => {
            format!("the machine was suspended for {}", time(Some(*suspended_ns)))
        }
        _ => words::verdict_word(verdict).to_owned(),
    }
}

/// Said when a load is measured.
pub fn load_line(load: &Load) -> String {
    let limited = match (load.is_valid, load.is_generator_limited) {
        (false, _) => "; invalid",
        (true, true) => "; wring had no time to spare",
        (true, false) => "",
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
    curve(found, &mut page);
    if verbose || found.trials.len() <= 60 {
        trials(found, &mut page);
    }
    notes(found, &mut page);
    verdict(found, &mut page);
    page.text.into_bytes()
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
        Some(point) if point.standing == Standing::OutOfReach => page.line(&format!(
            "out of reach: {}: wring itself spoiled {} trials there",
            rate(point.rate_per_s),
            point.spoiled
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
        let cause = match cause {
            Some(verdict) if verdict.is_short_of_time() => {
                "its workers had no time to spare; give it more CPUs (-t, --cpus)"
            }
            _ => "it sent late, stood still or got no CPU; wring doctor may tell why",
        };
        lines.push(format!("wring itself spoiled {spoiled} trials, which do not count: {cause}"));
    }
    if !lines.is_empty() {
        page.heading("Notes");
        lines.iter().for_each(|line| page.line(line));
    }
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
        (Some(held), Some(failed)) => format!("{objective} holds at {held} and fails at {failed}"),
        (Some(held), None) => format!("{objective} holds at {held}; no rate failed so far"),
        (None, Some(failed)) => format!("{objective} fails at {failed}; no rate held so far"),
        (None, None) => format!("nothing is known of {objective} yet"),
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
        (None, Some(Ended::TimeUp) | None) => {
            (YELLOW, format!("{bracket}; the time was up: --max-duration gives it more"))
        }
    }
}

/// One object in one line, with a line end.
pub fn json(found: &Found) -> Vec<u8> {
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
        failed_per_s: found.failed.map(|failed| found.points[failed].rate_per_s),
        width: found.bracket_width(),
        width_asked: found.width,
        estimate_per_s: found.estimate_per_s,
        knee_per_s: found.knee().map(|knee| knee.rate_per_s),
        contradictory: found.is_contradictory,
        curve: found.points.iter().map(schema_rate).collect(),
        trials: found.trials.iter().map(schema_trial).collect(),
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
                match (load.is_valid, load.is_generator_limited) {
                    (false, _) => "invalid".to_owned(),
                    (true, true) => "wring-limited".to_owned(),
                    (true, false) => String::new(),
                },
                format!("{:<width$}|", "#".repeat(columns), width = BAR_COLUMNS as usize),
            ]);
        }
        page.grid(&rows);
    }
    let (color, text) = ceiling_conclusion(found);
    page.text += "\nverdict: ";
    page.colored(color, &text);
    page.text.push('\n');
    page.text.into_bytes()
}

fn ceiling_conclusion(found: &FoundCeiling) -> (&'static str, String) {
    let load = |load: &Load| match load.depth {
        1 => format!("-c {}", load.connections),
        depth => format!("-c {} -p {depth}", load.connections),
    };
    let most = match (found.ceiling.most(), found.ceiling.enough()) {
        (Some(most), Some(enough)) => {
            let limited = if most.is_generator_limited {
                "; wring had no time to spare there, so the target may do more: give wring more CPUs \
                 (-t, --cpus)"
            } else {
                ""
            };
            format!(
                "{} at most, with {}; {} is enough for 98 % of it{limited}",
                rate(most.requests_per_s),
                load(most),
                load(enough)
            )
        }
        _ => "no load could be measured".to_owned(),
    };
    match &found.stopped {
        Some(Stopped::Trouble(what)) => {
            let what = escape(what, NOTE_CHARS_MAX);
            (RED, format!("stopped: {what}; until then {most}"))
        }
        Some(stopped) => {
            (YELLOW, format!("interrupted by {}; so far {most}", stopped_word(stopped)))
        }
        None if found.ceiling.most().is_none() => (RED, most),
        None => (GREEN, most),
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
        valid: load.is_valid,
    };
    to_json::to_safe_bytes(&schema::Ceiling {
        schema_version: schema::SEARCH_SCHEMA_VERSION,
        kind: "wring-ceiling".to_owned(),
        url: found.url.clone(),
        options: found.options.clone(),
        ended: found.stopped.as_ref().map_or("done", stopped_word).to_owned(),
        trouble: trouble(found.stopped.as_ref()),
        elapsed_ns: found.elapsed_ns,
        most: found.ceiling.most().map(load),
        enough: found.ceiling.enough().map(load),
        loads: found.ceiling.loads().iter().map(load).collect(),
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
            u8::from(load.is_valid)
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
        let beyond = ends(|f| {
            f.points[2].standing = Standing::OutOfReach;
            f.points[2].spoiled = 3;
        });
        assert!(beyond.contains("out of reach: 4,540/s: wring itself spoiled 3"), "{beyond}");
        assert!(beyond.contains("wring itself spoiled 3 trials, which do not count"), "{beyond}");
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
