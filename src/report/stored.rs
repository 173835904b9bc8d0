//! Stored results: the object of `schema` with its histograms, written and read back.
//!
//! A file may come from anywhere, so reading trusts nothing: size, counts, histogram headers and
//! every bucket are checked before they are used, and what was read can be rendered without
//! overflow. What is derived is not read.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;

use crate::hist::Hist;
use crate::outcome::{Cause, CauseCounts};
use crate::record::{
    ByteCounts, ConnectionCounts, Flow, GAP_TENTHS, NoticeCounts, PhaseCounts, STATUSES, Sending,
    Shed, TlsRecord, WorkerRecord,
};
use crate::result::{
    Asked, Identity, IdentityCheck, Interrupted, Invalid, Manifest, OpenConnections, RunResult,
    Schedule, Second, SilentEnd, Verdict, WorkerSummary,
};

use super::schema::{self, SCHEMA_VERSION};
use super::{
    NOTE_CHARS_MAX, checks, escape, json, machine, quota, server, servers, steady, targets, tls,
    words,
};

/// Largest file read, in bytes: over ten times what the longest series takes.
pub const FILE_BYTES_MAX: usize = 64 << 20;
/// Largest count of requests, connections or samples accepted: sums over all statuses of all
/// phases stay within 64 bits.
const COUNT_MAX: u64 = 1 << 51;
/// Largest number of bytes or nanoseconds accepted: sums of eight stay within 64 bits.
const AMOUNT_MAX: u64 = 1 << 60;
/// Bytes before the buckets in HdrHistogram's V2 form.
const V2_HEADER_BYTES: usize = 40;
/// First four bytes of HdrHistogram's V2 form without compression.
const V2_COOKIE: u32 = 0x1c84_9303 | 0x10;

/// Why a stored result cannot be read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ReadError {
    /// The file is larger than any result.
    TooLarge {
        /// Its size in bytes.
        bytes: usize,
    },
    /// Not JSON, or cut off.
    NotJson(String),
    /// JSON, but not a result.
    NotAResult(String),
    /// Written by a newer wring.
    NewerSchema {
        /// The version it carries.
        version: u64,
    },
    /// A result as `--json` prints it, without histograms.
    NoHistograms,
    /// A histogram is not what it says.
    CorruptHistogram(&'static str),
    /// A number no run can have counted.
    Implausible(&'static str),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { bytes } => write!(
                f,
                "{bytes} bytes are more than a stored result can have ({FILE_BYTES_MAX}); give a \
                 file that wring wrote with -o"
            ),
            Self::NotJson(cause) => write!(
                f,
                "the file is not JSON or was cut off ({cause}); give a file that wring wrote with -o"
            ),
            Self::NotAResult(cause) => write!(
                f,
                "the file is JSON but not a result of wring ({cause}); give a file that wring \
                 wrote with -o"
            ),
            Self::NewerSchema { version } => write!(
                f,
                "the file has schema version {version}, this wring reads up to {SCHEMA_VERSION}; \
                 read it with the newer wring that wrote it"
            ),
            Self::NoHistograms => write!(
                f,
                "the file has no histograms, so it is what --json prints; store the result with -o"
            ),
            Self::CorruptHistogram(name) => write!(
                f,
                "the histogram `{name}` of the file is corrupt, so no percentile can be trusted; \
                 measure again"
            ),
            Self::Implausible(what) => write!(
                f,
                "the file's {what} cannot come from a run, so the file was changed or damaged; \
                 measure again"
            ),
        }
    }
}

impl std::error::Error for ReadError {}

/// The result as stored by `-o`.
pub fn write(result: &RunResult) -> Vec<u8> {
    let mut report = json::report(result);
    report.targets = targets::to_schema(result, true);
    report.histograms = Some(schema::Histograms {
        latency: histogram(&result.total.latency),
        unanswered: histogram(&result.total.unanswered),
        connect: histogram(&result.total.connect),
        connect_window: (!result.total.connect_window.is_empty())
            .then(|| histogram(&result.total.connect_window)),
        rates: histogram(&result.total.rates),
        scheduled: json::is_scheduled(result).then(|| scheduled(&result.total)),
        tls_handshake: result.total.tls.as_ref().map(|tls| histogram(&tls.handshake)),
    });
    json::to_bytes(&report)
}

fn scheduled(total: &WorkerRecord) -> schema::ScheduledHistograms {
    schema::ScheduledHistograms {
        service: histogram(&total.service),
        lag: histogram(&total.sending.lag),
        late: histogram(&total.sending.late),
        no_connection: histogram(&total.sending.waited),
        gap_tenths: total.sending.gap_tenths.clone(),
        outstanding_integral_ns: schema::Wide(total.sending.outstanding_integral_ns),
        outstanding_end: total.sending.outstanding_end,
    }
}

pub(super) fn histogram(hist: &Hist) -> schema::Histogram {
    schema::Histogram {
        value_max: hist.value_max(),
        min: hist.min(),
        max: hist.max(),
        overflow: hist.overflow(),
        v2: BASE64.encode(hist.to_v2()),
    }
}

/// What tells a result from other JSON, read before the rest so that a newer file is named as such.
#[derive(Deserialize)]
struct Header {
    kind: Option<String>,
    schema_version: Option<u64>,
}

/// Reads what `write` wrote, or says what is wrong with it.
pub fn read(bytes: &[u8]) -> Result<RunResult, ReadError> {
    if bytes.len() > FILE_BYTES_MAX {
        return Err(ReadError::TooLarge { bytes: bytes.len() });
    }
    let header: Header = parse(bytes)?;
    if header.kind.as_deref() != Some(schema::KIND) {
        return Err(ReadError::NotAResult(format!("it lacks \"kind\":\"{}\"", schema::KIND)));
    }
    match header.schema_version {
        Some(version) if version > u64::from(SCHEMA_VERSION) => {
            return Err(ReadError::NewerSchema { version });
        }
        Some(1..) => {}
        Some(0) => {
            let what = "its schema_version is 0, and the first that wring wrote is 1";
            return Err(ReadError::NotAResult(what.to_owned()));
        }
        None => return Err(ReadError::NotAResult("it has no schema_version".to_owned())),
    }
    let mut report: schema::Report = parse(bytes)?;
    if report.schema_version == 1 {
        complete_version_1(&mut report);
    }
    let result = result(report)?;
    check_plausible(&result)?;
    Ok(result)
}

/// In version 1 every request was due when it was started.
fn complete_version_1(report: &mut schema::Report) {
    let phases = [&mut report.opening, &mut report.warmup, &mut report.window, &mut report.drain];
    for phase in phases {
        phase.due = phase.started;
    }
    for second in &mut report.seconds {
        second.asked = second.started;
    }
}

fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, ReadError> {
    serde_json::from_slice(bytes).map_err(|error| {
        // The message may quote the file.
        let cause = escape(&error.to_string(), NOTE_CHARS_MAX);
        if error.is_data() { ReadError::NotAResult(cause) } else { ReadError::NotJson(cause) }
    })
}

fn result(report: schema::Report) -> Result<RunResult, ReadError> {
    let histograms = report.histograms.ok_or(ReadError::NoHistograms)?;
    // The bounds of a fresh record are the ones every other result has, so stored ones merge.
    let fresh = WorkerRecord::default();
    let (service, sending) = match &histograms.scheduled {
        Some(stored) => {
            let shed = report.schedule.as_ref().and_then(|schedule| schedule.shed_lag.as_ref());
            (hist("service", &stored.service, &fresh.service)?, sending(stored, shed)?)
        }
        None => (fresh.service.clone(), Sending::default()),
    };
    let (asked_targets, target_records) = targets::read(&report.targets)?;
    let (asked_servers, servers) = servers::read(report.servers)?;
    let [opening, warmup, window, drain] =
        [&report.opening, &report.warmup, &report.window, &report.drain];
    let length = |phase: &schema::Phase| phase.length_ns.unwrap_or(0);
    let (checked, findings) = checks::read(report.checks.as_ref(), report.groups.as_ref())?;
    let thresholds = checks::read_thresholds(&report.thresholds)?;
    Ok(RunResult {
        window_start_monotonic_ns: report.window_start_monotonic_ns,
        opening_ns: length(opening),
        window_ns: length(window),
        drain_ns: length(drain),
        total: WorkerRecord {
            phases: [phase(opening)?, phase(warmup)?, phase(window)?, phase(drain)?],
            inflight_end: report.requests.inflight_end,
            window_started_failed: report.unanswered.failed,
            window_started_inflight_end: report.unanswered.inflight_end,
            connections: connections(&report.connections)?,
            addresses: super::connections::counts(&report.addresses),
            bytes: bytes(&report.bytes),
            notices: notices(&report.notices),
            findings,
            latency: hist("latency", &histograms.latency, &fresh.latency)?,
            service,
            sending,
            unanswered: hist("unanswered", &histograms.unanswered, &fresh.unanswered)?,
            connect: hist("connect", &histograms.connect, &fresh.connect)?,
            connect_window: match &histograms.connect_window {
                Some(stored) => hist("connect_window", stored, &fresh.connect_window)?,
                None => fresh.connect_window.clone(),
            },
            tls: tls_record(report.tls, histograms.tls_handshake.as_ref(), &fresh)?,
            rates: hist("rates", &histograms.rates, &fresh.rates)?,
            inflight_sum_ns: report.inflight.sum_ns.0,
            inflight_integral_ns: report.inflight.integral_ns.0,
            targets: target_records,
            servers,
        },
        open: OpenConnections {
            at_start: report.connections.open_at_start,
            min: report.connections.open_min,
            max: report.connections.open_max,
        },
        workers: report.workers.iter().map(worker).collect(),
        seconds: report.seconds.iter().map(second).collect(),
        over_limits: Vec::new(),
        late_ns_max: Vec::new(),
        interrupted: report.interrupted.as_deref().map(interrupted).transpose()?,
        given_up: report.given_up_server,
        speaks_tls: report.speaks_tls,
        target_on_this_machine: report.target_on_this_machine,
        target_cpus: report.target_cpus,
        silent_end: report.silent_end.map(|silent| silent_end(&silent)).transpose()?,
        suspended_ns: report.suspended_ns,
        target_requests: report.target_requests,
        machine: report.machine.map(|m| machine::from_schema(m, AMOUNT_MAX)).transpose()?,
        warmed_up: report.warmed_up.map(|w| steady::from_schema(w, AMOUNT_MAX)).transpose()?,
        server: report
            .server
            .map(|cost| server::from_schema(cost, AMOUNT_MAX, COUNT_MAX))
            .transpose()?,
        quota: report
            .cpu_quota
            .map(|cpu_quota| quota::from_schema(cpu_quota, AMOUNT_MAX))
            .transpose()?,
        identities: report.identities.iter().map(identity_check).collect::<Result<_, _>>()?,
        verdict: verdict(&report.verdict)?,
        asked: Asked {
            targets: asked_targets,
            servers: asked_servers,
            checks: checked,
            thresholds,
            ..asked(report.asked)?
        },
        manifest: manifest(report.manifest),
        remarks: report.remarks,
    })
}

pub(super) fn unknown(what: &str, word: &str) -> ReadError {
    ReadError::NotAResult(format!("{what} `{}` is unknown", escape(word, NOTE_CHARS_MAX)))
}

fn phase(phase: &schema::Phase) -> Result<PhaseCounts, ReadError> {
    let mut statuses = vec![0; STATUSES];
    for (&status, &count) in &phase.statuses {
        let place = statuses.get_mut(usize::from(status));
        *place.ok_or_else(|| unknown("status", &status.to_string()))? = count;
    }
    Ok(PhaseCounts {
        due: phase.due,
        shed: phase.shed,
        unsent: phase.unsent,
        started: phase.started,
        completed: phase.completed,
        failed: causes(&phase.failures)?,
        statuses,
        bytes_in: phase.bytes_in,
        bytes_out: phase.bytes_out,
    })
}

fn sending(
    stored: &schema::ScheduledHistograms,
    shed: Option<&schema::ShedLag>,
) -> Result<Sending, ReadError> {
    let fresh = Sending::default();
    if stored.gap_tenths.len() != GAP_TENTHS {
        return Err(ReadError::Implausible("gap_tenths"));
    }
    Ok(Sending {
        lag: hist("lag", &stored.lag, &fresh.lag)?,
        late: hist("late", &stored.late, &fresh.late)?,
        waited: hist("no_connection", &stored.no_connection, &fresh.waited)?,
        shed: shed.map_or_else(Shed::default, |shed| Shed {
            count: shed.count,
            late: shed.late,
            sum_ns: u128::from(shed.mean_ns) * u128::from(shed.count),
            late_sum_ns: u128::from(shed.late_mean_ns) * u128::from(shed.count),
            ns_max: shed.max_ns,
        }),
        gap_tenths: stored.gap_tenths.clone(),
        paced: true,
        outstanding_integral_ns: stored.outstanding_integral_ns.0,
        outstanding_end: stored.outstanding_end,
    })
}

pub(super) fn causes<C: Cause>(
    by_name: &BTreeMap<String, u64>,
) -> Result<CauseCounts<C>, ReadError> {
    let mut counts = CauseCounts::default();
    for (name, &count) in by_name {
        let cause = C::ALL.iter().find(|cause| cause.name() == name);
        counts.add(*cause.ok_or_else(|| unknown("cause", name))?, count);
    }
    Ok(counts)
}

fn connections(stored: &schema::Connections) -> Result<ConnectionCounts, ReadError> {
    Ok(ConnectionCounts {
        // Told in remarks; the numbers mean nothing elsewhere.
        local_errno: 0,
        proxy_status: 0,
        attempts: stored.attempts,
        established: stored.established,
        failed: causes(&stored.failures)?,
        connecting_end: stored.connecting_end,
        closed_by_us: stored.closed_by_us,
        closed_by_peer: stored.closed_by_peer,
        errored: stored.errored,
        open_end: stored.open_end,
        carried: stored.carried,
    })
}

fn bytes(stored: &schema::Bytes) -> ByteCounts {
    ByteCounts {
        head: stored.head,
        body: stored.body,
        framing: stored.framing,
        interim: stored.interim,
        stray: stored.stray,
        tls: stored.tls,
    }
}

fn notices(stored: &schema::Notices) -> NoticeCounts {
    NoticeCounts {
        interim: stored.interim,
        bare_lf: stored.bare_lf,
        length_and_chunked: stored.length_and_chunked,
        chunked_in_http10: stored.chunked_in_http10,
        unsolicited: stored.unsolicited,
        tls_on_plain: stored.tls_on_plain,
    }
}

fn tls_record(
    stored: Option<schema::Tls>,
    handshake: Option<&schema::Histogram>,
    fresh: &WorkerRecord,
) -> Result<Option<Box<TlsRecord>>, ReadError> {
    let Some(stored) = stored else { return Ok(None) };
    let handshake = handshake.ok_or(ReadError::CorruptHistogram("tls_handshake"))?;
    let handshake = hist("tls_handshake", handshake, &fresh.connect)?;
    let read = tls::from_schema(stored, handshake);
    read.map(|tls| Some(Box::new(tls))).ok_or_else(|| unknown("cause of", "tls.faults"))
}

fn worker(stored: &schema::Worker) -> WorkerSummary {
    WorkerSummary {
        cpu: stored.cpu,
        connections: stored.connections,
        busy_ns: stored.busy_ns,
        idle_spin_ns: stored.idle_spin_ns,
        turns: stored.turns,
        completed: stored.completed,
        turn_gap_ns_max: stored.turn_gap_max_ns,
        starved_ns: stored.starved_ns,
        broke: stored.broke,
    }
}

fn second(stored: &schema::Second) -> Second {
    Second {
        start_ns: stored.start_ns,
        length_ns: stored.length_ns,
        inflight_start: stored.inflight_start,
        inflight_end: stored.inflight_end,
        backlog_start: stored.backlog_start,
        backlog_end: stored.backlog_end,
        lag_ns_max: stored.lag_max_ns,
        turn_gap_ns_max: stored.turn_gap_max_ns,
        flow: Flow {
            due: stored.asked,
            shed: stored.shed,
            unsent: stored.unsent,
            started: stored.started,
            completed: stored.completed,
            failed: stored.failed,
            bytes_in: stored.bytes_in,
        },
        p50_ns: stored.p50_ns,
        p99_ns: stored.p99_ns,
        max_ns: stored.max_ns,
    }
}

fn interrupted(signal: &str) -> Result<Interrupted, ReadError> {
    [Interrupted::Interrupt, Interrupted::Terminate]
        .into_iter()
        .find(|by| words::interrupted(*by) == signal)
        .ok_or_else(|| unknown("signal", signal))
}

fn identity(name: &str) -> Result<Identity, ReadError> {
    let found = Identity::ALL.into_iter().find(|identity| identity.name() == name);
    found.ok_or_else(|| unknown("identity", name))
}

fn identity_check(stored: &schema::Identity) -> Result<IdentityCheck, ReadError> {
    Ok(IdentityCheck {
        identity: identity(&stored.name)?,
        holds: stored.holds,
        equation: stored.equation.clone(),
        left: stored.left.0,
        right: stored.right.0,
        worker: stored.worker,
    })
}

fn silent_end(stored: &schema::SilentEnd) -> Result<SilentEnd, ReadError> {
    let schema::SilentEnd { length_ns, inflight } = *stored;
    if length_ns > AMOUNT_MAX || inflight > AMOUNT_MAX {
        return Err(ReadError::Implausible("silent_end"));
    }
    Ok(SilentEnd { length_ns, inflight })
}

fn verdict(stored: &schema::Verdict) -> Result<Verdict, ReadError> {
    let share = |share: Option<f64>, what, max: f64| match share {
        Some(share) if (0.0..=max).contains(&share) => Ok(share),
        _ => Err(ReadError::Implausible(what)),
    };
    let busy_share = || share(stored.busy_share, "busy_share", 1.0);
    match stored.kind.as_str() {
        "generator-limited" => Ok(Verdict::GeneratorLimited { busy_share: busy_share()? }),
        "short of CPU" => Ok(Verdict::ShortOfCpu {
            busy_share: busy_share()?,
            starved_share: share(stored.starved_share, "starved_share", 1.0)?,
        }),
        "not judged" => Ok(Verdict::NotJudged),
        "not generator-limited" => Ok(Verdict::NotGeneratorLimited {
            busy_share: busy_share()?,
            try_connections: stored.try_connections,
        }),
        "schedule kept" => {
            Ok(Verdict::ScheduleKept { sent_share: share(stored.sent_share, "sent_share", 1.0)? })
        }
        // What was asked for before the window may be answered in it.
        "rate not held by the target" => Ok(Verdict::RateNotHeld {
            achieved_share: share(stored.achieved_share, "achieved_share", COUNT_MAX as f64)?,
        }),
        "invalid" => {
            let never = stored.never_reached.iter();
            let mut reasons: Vec<Invalid> =
                never.map(|&server| Invalid::NeverReached { server }).collect();
            reasons.extend(stored.lost.map(|server| Invalid::Lost { server }));
            reasons.extend(stored.speaks_tls.then_some(Invalid::SpeaksTls));
            for name in &stored.broken_identities {
                reasons.push(Invalid::IdentityBroken { name: identity(name)?.name() });
            }
            reasons.extend(stored.gaps_ns.iter().map(|&gap_ns| Invalid::Gap { gap_ns }));
            reasons.extend(stored.worker_broke.then_some(Invalid::WorkerBroke));
            if let Some(share) = stored.starved_share.filter(|share| (0.0..=1.0).contains(share)) {
                reasons.push(Invalid::Starved { share });
            }
            let suspended =
                stored.suspended_ns.map(|suspended_ns| Invalid::Suspended { suspended_ns });
            reasons.extend(suspended);
            if let (Some(p99_ns), Some(limit_ns)) = (stored.own_lag_p99_ns, stored.own_lag_limit_ns)
            {
                reasons.push(Invalid::OwnLag { p99_ns, limit_ns });
            }
            reasons.extend(stored.own_shed.map(|count| Invalid::OwnShed { count }));
            Ok(Verdict::Invalid(reasons))
        }
        other => Err(unknown("verdict", other)),
    }
}

fn asked(stored: schema::Asked) -> Result<Asked, ReadError> {
    let request_hash = u64::from_str_radix(&stored.request_hash, 16)
        .map_err(|_| ReadError::Implausible("request_hash"))?;
    Ok(Asked {
        url: stored.url,
        addresses: stored.addresses,
        options: stored.options,
        schedule: stored.schedule.map(schedule).transpose()?,
        connections: stored.connections,
        threads: stored.threads,
        depth: stored.depth,
        requests_per_connection: stored.requests_per_connection,
        duration_ns: stored.duration_ns,
        requests: stored.requests,
        warmup_ns: stored.warmup_ns,
        drain_ns: stored.drain_ns,
        timeout_ns: stored.timeout_ns,
        connect_timeout_ns: stored.connect_timeout_ns,
        connect_rate_per_s: stored.connect_rate_per_s,
        interval_ns: stored.interval_ns,
        seed: stored.seed,
        request_bytes: stored.request_bytes,
        request_hash,
        notes: stored.notes,
        ..Asked::default()
    })
}

fn schedule(stored: schema::Schedule) -> Result<Schedule, ReadError> {
    if !["constant", "poisson"].contains(&stored.arrivals.as_str()) {
        return Err(unknown("kind of arrivals", &stored.arrivals));
    }
    if !(0.0..=COUNT_MAX as f64).contains(&stored.rate_per_s) {
        return Err(ReadError::Implausible("rate_per_s"));
    }
    Ok(Schedule {
        profile: stored.profile,
        arrivals: stored.arrivals,
        requests: stored.requests,
        rate_per_s: stored.rate_per_s,
        rate_end_per_s: stored.rate_end_per_s,
        deadline_ns: stored.deadline_ns,
        spin_ns: stored.spin_ns,
    })
}

fn manifest(stored: schema::Manifest) -> Manifest {
    Manifest {
        version: stored.version,
        started_at: stored.started_at,
        kernel: stored.kernel,
        cpu_model: stored.cpu_model,
        cpus_allowed: stored.cpus_allowed,
        mitigations: stored.mitigations,
        governor: stored.governor,
        clock_source: stored.clock_source,
        tcp_congestion: stored.tcp_congestion,
        backend: stored.backend,
    }
}

/// A histogram with the bounds of `fresh`, checked before the library sees its bytes.
pub(super) fn hist(
    name: &'static str,
    stored: &schema::Histogram,
    fresh: &Hist,
) -> Result<Hist, ReadError> {
    let corrupt = || ReadError::CorruptHistogram(name);
    let v2 = BASE64.decode(&stored.v2).map_err(|_| corrupt())?;
    let value_max = fresh.value_max();
    let samples = v2_samples(&v2, &fresh.to_v2()).ok_or_else(corrupt)?;
    let empty_extremes = stored.min == 0 && stored.max == 0;
    let sound = stored.value_max == value_max
        && stored.min <= stored.max
        && stored.max <= AMOUNT_MAX
        && stored.overflow <= samples
        && (stored.overflow > 0) == (stored.max > value_max)
        && (samples > 0 || empty_extremes);
    if !sound {
        return Err(corrupt());
    }
    let read = Hist::from_v2(&v2, value_max, stored.min, stored.max, stored.overflow);
    read.filter(|hist| hist.len() == samples).ok_or_else(corrupt)
}

/// Counts the samples of a V2 histogram whose header must be like that of `fresh`; `None` when it
/// is not one. The library's own reader trusts the header's lengths and the sizes of counts.
fn v2_samples(v2: &[u8], fresh: &[u8]) -> Option<u64> {
    let (header, buckets) = v2.split_at_checked(V2_HEADER_BYTES)?;
    let cookie = u32::from_be_bytes(header.get(..4)?.try_into().ok()?);
    let bucket_bytes = u32::from_be_bytes(header.get(4..8)?.try_into().ok()?);
    // Bytes 8 on: normalising offset, digits, smallest and largest value, ratio.
    let same_kind = header.get(8..) == fresh.get(8..V2_HEADER_BYTES);
    if cookie != V2_COOKIE || !same_kind || bucket_bytes as usize != buckets.len() {
        return None;
    }
    let mut samples: u64 = 0;
    let mut rest = buckets;
    while !rest.is_empty() {
        let (number, after) = varint(rest)?;
        rest = after;
        // Zigzag: even numbers are counts, odd ones runs of empty buckets.
        if number % 2 == 0 {
            samples = samples.checked_add(number / 2).filter(|&sum| sum <= COUNT_MAX)?;
        } else if number / 2 > u64::from(u32::MAX) {
            return None;
        }
    }
    Some(samples)
}

/// One number of seven bits a byte, lowest first; a ninth byte counts whole.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0;
    for index in 0..9 {
        let byte = *bytes.get(index)?;
        if index == 8 || byte & 0x80 == 0 {
            number |= u64::from(byte) << (7 * index);
            return Some((number, &bytes[index + 1..]));
        }
        number |= u64::from(byte & 0x7f) << (7 * index);
    }
    None
}

/// Refuses numbers whose sums would not fit, so that no renderer has to fear them.
fn check_plausible(result: &RunResult) -> Result<(), ReadError> {
    let at_most = |what, max: u64, values: &[u64]| match values.iter().all(|&v| v <= max) {
        true => Ok(()),
        false => Err(ReadError::Implausible(what)),
    };
    let total = &result.total;
    for phase in &total.phases {
        at_most("request counts", COUNT_MAX, &[phase.due, phase.shed, phase.unsent])?;
        at_most("request counts", COUNT_MAX, &[phase.started, phase.completed])?;
        at_most("status counts", COUNT_MAX, &phase.statuses)?;
        at_most("bytes", AMOUNT_MAX, &[phase.bytes_in, phase.bytes_out])?;
        let failed: Vec<u64> = phase.failed.iter().map(|(_, count)| count).collect();
        at_most("failure counts", COUNT_MAX, &failed)?;
    }
    for target in &total.targets {
        for phase in &target.phases {
            at_most("target counts", COUNT_MAX, &[phase.started, phase.completed])?;
            at_most("target counts", COUNT_MAX, &phase.classes)?;
            let failed: Vec<u64> = phase.failed.iter().map(|(_, count)| count).collect();
            at_most("target counts", COUNT_MAX, &failed)?;
        }
        at_most("target counts", COUNT_MAX, &[target.inflight_end])?;
    }
    let unresolved = [
        total.inflight_end,
        total.window_started_failed,
        total.window_started_inflight_end,
        result.target_requests.unwrap_or(0),
    ];
    at_most("request counts", COUNT_MAX, &unresolved)?;
    let c = &total.connections;
    let ended = [c.closed_by_us, c.closed_by_peer, c.errored, c.open_end, c.connecting_end];
    at_most("connection counts", COUNT_MAX, &ended)?;
    at_most("connection counts", COUNT_MAX, &[c.attempts, c.established, c.carried])?;
    let failed: Vec<u64> = c.failed.iter().map(|(_, count)| count).collect();
    at_most("connection counts", COUNT_MAX, &failed)?;
    for address in &total.addresses {
        let ended = [address.established, address.failed, address.completed];
        at_most("address counts", COUNT_MAX, &ended)?;
        at_most("address counts", COUNT_MAX, &[address.attempts])?;
    }
    for server in &total.servers {
        at_most("server counts", COUNT_MAX, &servers::all_counts(server))?;
    }
    at_most("counts of checks", COUNT_MAX, &checks::all_counts(&total.findings))?;
    let b = &total.bytes;
    at_most("bytes", AMOUNT_MAX, &[b.head, b.body, b.framing, b.interim, b.stray, b.tls])?;
    if let Some(tls) = &total.tls {
        at_most("TLS counts", COUNT_MAX, &[tls.full, tls.resumed, tls.plain])?;
        let faults: Vec<u64> = tls.faults.iter().map(|(_, count)| count).collect();
        at_most("TLS counts", COUNT_MAX, &faults)?;
    }
    let lengths = [
        result.opening_ns,
        result.window_ns,
        result.drain_ns,
        result.suspended_ns,
        result.asked.duration_ns.unwrap_or(0),
    ];
    at_most("times", AMOUNT_MAX, &lengths)?;
    at_most("gap_tenths", COUNT_MAX, &total.sending.gap_tenths)?;
    let shed = &total.sending.shed;
    at_most("shed requests", COUNT_MAX, &[shed.count, shed.late])?;
    at_most("times", AMOUNT_MAX, &[shed.ns_max, shed.mean_ns(), shed.late_mean_ns()])?;
    for worker in &result.workers {
        at_most(
            "workers",
            AMOUNT_MAX,
            &[worker.busy_ns, worker.idle_spin_ns, worker.starved_ns, worker.turn_gap_ns_max],
        )?;
        at_most("workers", COUNT_MAX, &[worker.completed, worker.turns])?;
    }
    for second in &result.seconds {
        let flow = &second.flow;
        at_most("series", COUNT_MAX, &[flow.started, flow.completed, flow.failed])?;
        at_most("series", COUNT_MAX, &[flow.due, flow.shed, flow.unsent])?;
        at_most("series", COUNT_MAX, &[second.inflight_start, second.inflight_end])?;
        at_most("series", COUNT_MAX, &[second.backlog_start, second.backlog_end])?;
        at_most("series", AMOUNT_MAX, &[second.lag_ns_max, second.turn_gap_ns_max])?;
        at_most("series", AMOUNT_MAX, &[second.start_ns, second.length_ns, flow.bytes_in])?;
    }
    Ok(())
}
