//! `--json`: a finished run as one object of `schema`.

use std::collections::BTreeMap;
use std::io;

use serde::Serialize;
use serde_json::ser::Formatter;

use crate::hist::Hist;
use crate::outcome::{Cause, CauseCounts};
use crate::record::{Phase, PhaseCounts, Shed, WorkerRecord};
use crate::result::{Invalid, RunResult, Verdict, distance_from_asked, drift};

use super::escape::is_unsafe;
use super::quota;
use super::schema;
use super::{QUANTILES, checks, machine, server, servers, steady, targets, tls, words};

/// The object in one line, with a line end.
pub fn render(result: &RunResult) -> Vec<u8> {
    to_bytes(&report(result))
}

/// Writes `report` so that the bytes are safe to show: what `escape` would write out, JSON's own
/// escapes stand for, and a reader of JSON gets the exact text back.
pub(super) fn to_bytes(report: &schema::Report) -> Vec<u8> {
    to_safe_bytes(report)
}

/// The same for any object that has only text keys.
pub(super) fn to_safe_bytes(report: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, SafeText);
    report
        .serialize(&mut serializer)
        .expect("the schema has only text keys, and a vector takes all bytes");
    bytes.push(b'\n');
    bytes
}

struct SafeText;

impl Formatter for SafeText {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut written = 0;
        for (index, c) in fragment.char_indices().filter(|(_, c)| is_unsafe(*c)) {
            writer.write_all(&fragment.as_bytes()[written..index])?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            written = index + c.len_utf8();
        }
        writer.write_all(&fragment.as_bytes()[written..])
    }
}

/// The object without histograms.
pub(super) fn report(result: &RunResult) -> schema::Report {
    let total = &result.total;
    let phase = |phase: Phase, length_ns| phase_of(total.phase(phase), length_ns);
    let whole = total.whole();
    schema::Report {
        schema_version: schema::SCHEMA_VERSION,
        kind: schema::KIND.to_owned(),
        manifest: manifest(result),
        asked: asked(result),
        verdict: verdict(result),
        interrupted: result.interrupted.map(|by| words::interrupted(by).to_owned()),
        given_up_server: result.given_up,
        speaks_tls: result.speaks_tls,
        rates: rates(result),
        schedule: schedule(result),
        requests: schema::Requests {
            due: whole.due,
            started: whole.started,
            completed: whole.completed,
            failed: whole.failed.total(),
            inflight_end: total.inflight_end,
            shed: whole.shed,
            unsent_end: whole.unsent,
        },
        target_requests: result.target_requests,
        machine: result.machine.as_ref().map(machine::to_schema),
        warmed_up: result.warmed_up.as_ref().map(steady::to_schema),
        drift_share: drift(result).map(|drift| drift.change),
        drift_at_ns: drift(result).and_then(|drift| drift.at_ns),
        server: result.server.as_ref().map(server::to_schema),
        cpu_quota: result.quota.as_ref().map(quota::to_schema),
        target_on_this_machine: result.target_on_this_machine,
        target_cpus: result.target_cpus.clone(),
        silent_end: result.silent_end.map(|silent| schema::SilentEnd {
            length_ns: silent.length_ns,
            inflight: silent.inflight,
        }),
        suspended_ns: result.suspended_ns,
        window_start_monotonic_ns: result.window_start_monotonic_ns,
        opening: phase(Phase::Opening, Some(result.opening_ns)),
        warmup: phase(Phase::Warmup, None),
        window: phase(Phase::Window, Some(result.window_ns)),
        drain: phase(Phase::Drain, Some(result.drain_ns)),
        whole: phase_of(&whole, None),
        unanswered: schema::Unanswered {
            failed: total.window_started_failed,
            inflight_end: total.window_started_inflight_end,
            shed: total.phase(Phase::Window).shed,
            unsent: total.phase(Phase::Window).unsent,
            waited_max_ns: total.unanswered.max(),
        },
        connections: connections(result),
        new_connections: Some(super::connections::opened(result)),
        addresses: super::connections::addresses(result),
        bytes: bytes(total),
        notices: notices(total),
        latency: latency(&total.latency),
        latency_with_unanswered: latency_with_unanswered(result),
        service: is_scheduled(result).then(|| latency(&total.service)),
        send_lag: is_scheduled(result).then(|| send_lag(total)),
        connect: latency(&total.connect),
        tls: total.tls.as_deref().map(tls::to_schema),
        inflight: schema::Inflight {
            sum_ns: schema::Wide(total.inflight_sum_ns),
            integral_ns: schema::Wide(total.inflight_integral_ns),
        },
        targets: targets::to_schema(result, false),
        servers: servers::to_schema(result),
        seconds: seconds(result),
        checks: checks::stored(result),
        groups: checks::stored_groups(result),
        thresholds: checks::stored_thresholds(result),
        workers: workers(result),
        identities: identities(result),
        remarks: result.remarks.clone(),
        histograms: None,
    }
}

fn manifest(result: &RunResult) -> schema::Manifest {
    let manifest = result.manifest.clone();
    schema::Manifest {
        version: manifest.version,
        started_at: manifest.started_at,
        kernel: manifest.kernel,
        cpu_model: manifest.cpu_model,
        cpus_allowed: manifest.cpus_allowed,
        mitigations: manifest.mitigations,
        governor: manifest.governor,
        clock_source: manifest.clock_source,
        tcp_congestion: manifest.tcp_congestion,
        backend: manifest.backend,
    }
}

fn asked(result: &RunResult) -> schema::Asked {
    let asked = result.asked.clone();
    schema::Asked {
        url: asked.url,
        addresses: asked.addresses,
        options: asked.options,
        schedule: asked.schedule.map(|schedule| schema::Schedule {
            profile: schedule.profile,
            arrivals: schedule.arrivals,
            requests: schedule.requests,
            rate_per_s: schedule.rate_per_s,
            rate_end_per_s: schedule.rate_end_per_s,
            deadline_ns: schedule.deadline_ns,
            spin_ns: schedule.spin_ns,
        }),
        connections: asked.connections,
        threads: asked.threads,
        depth: asked.depth,
        requests_per_connection: asked.requests_per_connection,
        duration_ns: asked.duration_ns,
        requests: asked.requests,
        warmup_ns: asked.warmup_ns,
        drain_ns: asked.drain_ns,
        timeout_ns: asked.timeout_ns,
        connect_timeout_ns: asked.connect_timeout_ns,
        connect_rate_per_s: asked.connect_rate_per_s,
        interval_ns: asked.interval_ns,
        seed: asked.seed,
        request_bytes: asked.request_bytes,
        request_hash: format!("{:016x}", asked.request_hash),
        notes: asked.notes,
    }
}

/// Whether a schedule was asked for, or its numbers are there without one.
pub(super) fn is_scheduled(result: &RunResult) -> bool {
    let total = &result.total;
    result.asked.schedule.is_some() || !total.service.is_empty() || !total.sending.lag.is_empty()
}

fn schedule(result: &RunResult) -> Option<schema::ScheduleKept> {
    let schedule = result.asked.schedule.as_ref()?;
    let window = result.total.phase(Phase::Window);
    Some(schema::ScheduleKept {
        asked_per_s: schedule.rate_per_s,
        due_per_s: words::due_per_s(result),
        achieved_per_s: result.requests_per_s(),
        due: window.due,
        started: window.started,
        shed: window.shed,
        shed_lag: shed_lag(&result.total.sending.shed),
        unsent_end: window.unsent,
        sent_share: result.sent_share(),
        answered_share: result.answered_share(),
        achieved_share: result.achieved_share(),
        arrivals_distance: distance_from_asked(result),
    })
}

fn send_lag(total: &WorkerRecord) -> schema::SendLag {
    schema::SendLag {
        total: latency(&total.sending.lag),
        late: latency(&total.sending.late),
        no_connection: latency(&total.sending.waited),
    }
}

fn shed_lag(shed: &Shed) -> Option<schema::ShedLag> {
    (shed.count > 0).then(|| schema::ShedLag {
        count: shed.count,
        late: shed.late,
        mean_ns: shed.mean_ns(),
        late_mean_ns: shed.late_mean_ns(),
        max_ns: shed.ns_max,
    })
}

fn verdict(result: &RunResult) -> schema::Verdict {
    let kind = words::verdict_word(&result.verdict);
    let mut verdict = schema::Verdict {
        kind: kind.to_owned(),
        text: format!("{kind}: {}", words::verdict_evidence(result)),
        busy_share: None,
        try_connections: None,
        broken_identities: Vec::new(),
        gaps_ns: Vec::new(),
        starved_share: None,
        worker_broke: false,
        suspended_ns: None,
        own_lag_p99_ns: None,
        own_lag_limit_ns: None,
        never_reached: Vec::new(),
        lost: None,
        speaks_tls: false,
        own_shed: None,
        sent_share: None,
        achieved_share: None,
    };
    match &result.verdict {
        Verdict::GeneratorLimited { busy_share } => verdict.busy_share = Some(*busy_share),
        Verdict::ShortOfCpu { busy_share, starved_share } => {
            verdict.busy_share = Some(*busy_share);
            verdict.starved_share = Some(*starved_share);
        }
        Verdict::NotJudged => {}
        Verdict::NotGeneratorLimited { busy_share, try_connections } => {
            verdict.busy_share = Some(*busy_share);
            verdict.try_connections = *try_connections;
        }
        Verdict::ScheduleKept { sent_share } => verdict.sent_share = Some(*sent_share),
        Verdict::RateNotHeld { achieved_share } => verdict.achieved_share = Some(*achieved_share),
        Verdict::Invalid(reasons) => {
            for reason in reasons {
                match reason {
                    Invalid::NeverReached { server } => verdict.never_reached.push(*server),
                    Invalid::Lost { server } => verdict.lost = Some(*server),
                    Invalid::SpeaksTls => verdict.speaks_tls = true,
                    Invalid::IdentityBroken { name } => {
                        verdict.broken_identities.push((*name).to_owned());
                    }
                    Invalid::Gap { gap_ns } => verdict.gaps_ns.push(*gap_ns),
                    Invalid::Starved { share } => verdict.starved_share = Some(*share),
                    Invalid::WorkerBroke => verdict.worker_broke = true,
                    Invalid::Suspended { suspended_ns } => {
                        verdict.suspended_ns = Some(*suspended_ns);
                    }
                    Invalid::OwnLag { p99_ns, limit_ns } => {
                        verdict.own_lag_p99_ns = Some(*p99_ns);
                        verdict.own_lag_limit_ns = Some(*limit_ns);
                    }
                    Invalid::OwnShed { count } => verdict.own_shed = Some(*count),
                }
            }
        }
    }
    verdict
}

fn rates(result: &RunResult) -> schema::Rates {
    let samples = &result.total.rates;
    let known = |value: u64| (!samples.is_empty()).then_some(value);
    schema::Rates {
        requests_per_s: result.requests_per_s(),
        bytes_in_per_s: result.bytes_per_s(),
        per_thread: schema::ThreadRates {
            samples: samples.len(),
            min_per_s: known(samples.min()),
            mean_per_s: known(samples.mean().round() as u64),
            stdev_per_s: known(samples.stdev().round() as u64),
            max_per_s: known(samples.max()),
        },
    }
}

pub(super) fn by_cause<C: Cause>(counts: &CauseCounts<C>) -> BTreeMap<String, u64> {
    counts.iter().map(|(cause, count)| (cause.name().to_owned(), count)).collect()
}

fn phase_of(counts: &PhaseCounts, length_ns: Option<u64>) -> schema::Phase {
    let statuses = counts.statuses.iter().enumerate().filter(|(_, count)| **count > 0);
    schema::Phase {
        length_ns,
        due: counts.due,
        shed: counts.shed,
        unsent: counts.unsent,
        started: counts.started,
        completed: counts.completed,
        failed: counts.failed.total(),
        failures: by_cause(&counts.failed),
        statuses: statuses.map(|(status, count)| (status as u16, *count)).collect(),
        bytes_in: counts.bytes_in,
        bytes_out: counts.bytes_out,
    }
}

fn connections(result: &RunResult) -> schema::Connections {
    let (open, counts) = (&result.open, &result.total.connections);
    schema::Connections {
        open_at_start: open.at_start,
        open_min: open.min,
        open_max: open.max,
        attempts: counts.attempts,
        established: counts.established,
        failed: counts.failed.total(),
        failures: by_cause(&counts.failed),
        connecting_end: counts.connecting_end,
        closed_by_us: counts.closed_by_us,
        closed_by_peer: counts.closed_by_peer,
        errored: counts.errored,
        open_end: counts.open_end,
        carried: counts.carried,
    }
}

fn bytes(total: &WorkerRecord) -> schema::Bytes {
    let bytes = &total.bytes;
    schema::Bytes {
        head: bytes.head,
        body: bytes.body,
        framing: bytes.framing,
        interim: bytes.interim,
        stray: bytes.stray,
        tls: bytes.tls,
    }
}

fn notices(total: &WorkerRecord) -> schema::Notices {
    let noticed = &total.notices;
    schema::Notices {
        interim: noticed.interim,
        bare_lf: noticed.bare_lf,
        length_and_chunked: noticed.length_and_chunked,
        chunked_in_http10: noticed.chunked_in_http10,
        unsolicited: noticed.unsolicited,
        tls_on_plain: noticed.tls_on_plain,
    }
}

pub(super) fn latency(hist: &Hist) -> schema::Latency {
    let [p50_ns, p75_ns, p90_ns, p99_ns, p99_9_ns, p99_99_ns] = QUANTILES.map(|q| q.of(hist));
    let known = |value: u64| (!hist.is_empty()).then_some(value);
    schema::Latency {
        count: hist.len(),
        overflow: hist.overflow(),
        min_ns: known(hist.min()),
        mean_ns: known(hist.mean().round() as u64),
        stdev_ns: known(hist.stdev().round() as u64),
        p50_ns,
        p75_ns,
        p90_ns,
        p99_ns,
        p99_9_ns,
        p99_99_ns,
        max_ns: known(hist.max()),
    }
}

fn latency_with_unanswered(result: &RunResult) -> schema::LatencyWithUnanswered {
    let bound = |value: Result<u64, u64>| schema::Bound {
        ns: value.unwrap_or_else(|at_least_ns| at_least_ns),
        at_least: value.is_err(),
    };
    let [p50, p75, p90, p99, p99_9, p99_99] =
        QUANTILES.map(|q| q.with_unanswered(result).map(bound));
    let count = result.total.latency.len() + result.unanswered();
    let max = (count > 0).then(|| bound(result.quantile_with_unanswered(1.0)));
    schema::LatencyWithUnanswered {
        count,
        unanswered: result.unanswered(),
        p50,
        p75,
        p90,
        p99,
        p99_9,
        p99_99,
        max,
    }
}

fn seconds(result: &RunResult) -> Vec<schema::Second> {
    let second = |second: &crate::result::Second| schema::Second {
        start_ns: second.start_ns,
        length_ns: second.length_ns,
        inflight_start: second.inflight_start,
        inflight_end: second.inflight_end,
        backlog_start: second.backlog_start,
        backlog_end: second.backlog_end,
        asked: second.flow.due,
        started: second.flow.started,
        completed: second.flow.completed,
        failed: second.flow.failed,
        shed: second.flow.shed,
        unsent: second.flow.unsent,
        lag_max_ns: second.lag_ns_max,
        turn_gap_max_ns: second.turn_gap_ns_max,
        bytes_in: second.flow.bytes_in,
        p50_ns: second.p50_ns,
        p99_ns: second.p99_ns,
        max_ns: second.max_ns,
    };
    result.seconds.iter().map(second).collect()
}

fn workers(result: &RunResult) -> Vec<schema::Worker> {
    let worker = |worker: &crate::result::WorkerSummary| schema::Worker {
        cpu: worker.cpu,
        connections: worker.connections,
        busy_ns: worker.busy_ns,
        idle_spin_ns: worker.idle_spin_ns,
        turns: worker.turns,
        completed: worker.completed,
        turn_gap_max_ns: worker.turn_gap_ns_max,
        starved_ns: worker.starved_ns,
        broke: worker.broke,
    };
    result.workers.iter().map(worker).collect()
}

fn identities(result: &RunResult) -> Vec<schema::Identity> {
    let identity = |check: &crate::result::IdentityCheck| schema::Identity {
        name: check.identity.name().to_owned(),
        claim: check.identity.claim().to_owned(),
        holds: check.holds,
        equation: check.equation.clone(),
        left: schema::Wide(check.left),
        right: schema::Wide(check.right),
        worker: check.worker,
    };
    result.identities.iter().map(identity).collect()
}
