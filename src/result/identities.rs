//! The counting identities. Each is computed from counters that were counted independently; a
//! broken one means that some number of the report is wrong, and the run says so.

use crate::hist::Hist;
use crate::inspect::Bodies;
use crate::record::{
    AddressCounts, Phase, STATUS_CLASSES, TargetRecord, WorkerRecord, status_class,
};

use super::Second;

/// The identities that every run is held to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Identity {
    /// Due = started + unsent + shed. In a closed loop a request is due when it is started.
    I1,
    /// Started = completed + failed + in flight at the end.
    I2,
    /// Completed = sum over statuses; samples of each latency = completed that became due in the window.
    I3,
    /// Attempts and connections end in exactly one way each.
    I4,
    /// Bytes received = heads + bodies + framing + interim + stray + what TLS adds.
    I5,
    /// Completed <= received by the target <= started; all equal after a clean drain.
    I6,
    /// The workers' merge equals the total; every interval's flow balances.
    I7,
    /// Sum of the times in flight = time integral of the number in flight, within 1 % (a warning).
    I8,
}

impl Identity {
    /// All identities in order.
    pub const ALL: [Self; 8] =
        [Self::I1, Self::I2, Self::I3, Self::I4, Self::I5, Self::I6, Self::I7, Self::I8];

    /// `I1` … `I8`.
    pub fn name(self) -> &'static str {
        ["I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8"][self as usize]
    }

    /// What it says, in a few words.
    pub fn claim(self) -> &'static str {
        match self {
            Self::I1 => "due = started + unsent + shed",
            Self::I2 => "started = completed + failed + in flight at the end",
            Self::I3 => "completed = sum of statuses; latency samples = completed of the window",
            Self::I4 => "attempts and connections each end in exactly one way",
            Self::I5 => "bytes in = heads + bodies + framing + interim + stray + TLS's",
            Self::I6 => "completed <= received by the target <= started",
            Self::I7 => "workers add up to the total, seconds balance",
            Self::I8 => "sum of times in flight = integral of the number in flight",
        }
    }
}

/// One identity as found.
#[derive(Clone, Debug, PartialEq)]
pub struct IdentityCheck {
    /// Which.
    pub identity: Identity,
    /// `None` where it does not apply (I6 without a known target count, I8 with few requests).
    pub holds: Option<bool>,
    /// What is shown of it: the first equation that broke or, when all hold, its first in total.
    pub equation: String,
    /// The left side and the right side of that equation.
    pub left: u128,
    /// See `left`.
    pub right: u128,
    /// Which worker it broke in; `None` for the total.
    pub worker: Option<u32>,
}

impl IdentityCheck {
    /// True when the identity applies, does not hold, and is more than a warning.
    pub fn is_broken(&self) -> bool {
        self.holds == Some(false) && self.identity != Identity::I8
    }
}

/// I8 is asked for from this many requests per connection on.
const I8_REQUESTS_PER_CONNECTION_MIN: u64 = 100;

/// An equation or inequality: what it says, and its two sides.
struct Equation {
    claim: &'static str,
    holds: bool,
    left: u128,
    right: u128,
}

fn equal(claim: &'static str, left: impl Into<u128>, right: impl Into<u128>) -> Equation {
    let (left, right) = (left.into(), right.into());
    Equation { claim, holds: left == right, left, right }
}

fn at_most(claim: &'static str, left: impl Into<u128>, right: impl Into<u128>) -> Equation {
    let (left, right) = (left.into(), right.into());
    Equation { claim, holds: left <= right, left, right }
}

/// Checks all identities: I2 to I5 for every worker and in total, the others in total.
///
/// `seconds` is the whole series, `connections` the number asked for, `target_requests` the target's
/// own count of requests received whole during this run, where it is known.
pub fn check(
    total: &WorkerRecord,
    workers: &[WorkerRecord],
    seconds: &[Second],
    connections: u32,
    target_requests: Option<u64>,
) -> Vec<IdentityCheck> {
    let mut checks = Vec::with_capacity(8);
    for identity in Identity::ALL {
        let in_record = |record: &WorkerRecord| match identity {
            Identity::I1 => i1(record),
            Identity::I2 => i2(record),
            Identity::I3 => i3(record),
            Identity::I4 => i4(record),
            Identity::I5 => i5(record),
            Identity::I6 | Identity::I7 | Identity::I8 => Vec::new(),
        };
        let mut equations: Vec<(Option<u32>, Equation)> = Vec::new();
        for (index, worker) in workers.iter().enumerate() {
            equations.extend(in_record(worker).into_iter().map(|e| (Some(index as u32), e)));
        }
        equations.extend(in_record(total).into_iter().map(|e| (None, e)));
        let in_total = match identity {
            Identity::I6 => target_requests.map_or_else(Vec::new, |count| i6(total, count)),
            Identity::I7 => i7(total, workers, seconds),
            Identity::I8 => i8(total, connections),
            _ => Vec::new(),
        };
        equations.extend(in_total.into_iter().map(|e| (None, e)));
        checks.push(conclude(identity, equations));
    }
    checks
}

fn conclude(identity: Identity, equations: Vec<(Option<u32>, Equation)>) -> IdentityCheck {
    let holds = if equations.is_empty() { None } else { Some(equations.iter().all(|e| e.1.holds)) };
    let broken = equations.iter().find(|(_, equation)| !equation.holds);
    let shown = broken.or_else(|| equations.iter().find(|(worker, _)| worker.is_none()));
    let (worker, claim, left, right) = shown.map_or((None, "", 0, 0), |(worker, equation)| {
        (*worker, equation.claim, equation.left, equation.right)
    });
    IdentityCheck { identity, holds, equation: claim.to_owned(), left, right, worker }
}

fn i1(record: &WorkerRecord) -> Vec<Equation> {
    let whole = record.whole();
    vec![equal(
        "due = started + unsent + shed",
        whole.due,
        whole.started + whole.unsent + whole.shed,
    )]
}

fn i2(record: &WorkerRecord) -> Vec<Equation> {
    let whole = record.whole();
    let ended = whole.completed + whole.failed.total() + record.inflight_end;
    let mut equations =
        vec![equal("started = completed + failed + in flight at the end", whole.started, ended)];
    for target in &record.targets {
        let whole = target.whole();
        let ended = whole.completed + whole.failed.total() + target.inflight_end;
        let claim = "of one target: started = completed + failed + in flight at the end";
        equations.push(equal(claim, whole.started, ended));
    }
    equations
}

fn i3(record: &WorkerRecord) -> Vec<Equation> {
    let whole = record.whole();
    let window = record.phase(Phase::Window);
    let unresolved = record.window_started_failed + record.window_started_inflight_end;
    let (given_up, latencies) = (window.unsent + window.shed, record.latency.len());
    let statuses = whole.statuses.iter().sum::<u64>();
    let mut equations = vec![
        equal("completed = sum of statuses", whole.completed, statuses),
        equal(
            "latency samples + failed + unresolved = started in the window",
            latencies + unresolved,
            window.started,
        ),
        equal(
            "waits of the unanswered = failed + unresolved + unsent + shed",
            record.unanswered.len(),
            unresolved + given_up,
        ),
    ];
    // Whoever looked at answers saw each of them once.
    let findings = &record.findings;
    if let Some(groups) = &findings.groups {
        let met = groups.all().iter().sum::<u64>();
        equations.push(equal("answers by value = completed", met, whole.completed));
    }
    if !findings.bodies.is_empty() {
        let met = findings.bodies.iter().flat_map(Bodies::all).sum::<u64>();
        equations.push(equal("answers by body = completed", met, whole.completed));
    }
    // On a schedule two more clocks ran, over the same requests.
    let sending = &record.sending;
    if sending.paced {
        equations.extend([
            equal("service samples = latency samples", record.service.len(), latencies),
            equal("lag samples = started", sending.lag.len(), window.started),
            equal("samples of wring's lag = started", sending.late.len(), window.started),
            equal("samples of waiting = started", sending.waited.len(), window.started),
            equal("samples of what was shed = shed", sending.shed.count, window.shed),
        ]);
    }
    for target in &record.targets {
        let (completed, classes) = (target.whole().completed, target.whole().classes);
        let claim = "of one target: completed = sum of status classes";
        equations.push(equal(claim, completed, classes.iter().sum::<u64>()));
    }
    equations
}

/// The targets, counted one by one, are all there is.
fn targets_add_up(total: &WorkerRecord) -> Vec<Equation> {
    if total.targets.is_empty() {
        return Vec::new();
    }
    let sum = |pick: &dyn Fn(&TargetRecord) -> u64| total.targets.iter().map(pick).sum::<u64>();
    let (inflight, latencies) = (total.inflight_end, total.latency.len());
    let mut equations = vec![
        equal("targets' in flight = in flight", sum(&|target| target.inflight_end), inflight),
        equal("targets' samples = samples", sum(&|target| target.latency.len()), latencies),
    ];
    for phase in Phase::ALL {
        let counts = total.phase(phase);
        let (started, completed) =
            (sum(&|target| target.phase(phase).started), sum(&|t| t.phase(phase).completed));
        equations.push(equal("targets' started = started", started, counts.started));
        equations.push(equal("targets' completed = completed", completed, counts.completed));
        for (cause, count) in counts.failed.iter() {
            let failed = sum(&|target| target.phase(phase).failed.count(cause));
            equations.push(equal("targets' failed by cause = failed by cause", failed, count));
        }
        let mut classes = [0; STATUS_CLASSES];
        for (status, count) in counts.statuses.iter().enumerate() {
            classes[status_class(status as u16)] += count;
        }
        for (class, count) in classes.into_iter().enumerate() {
            let answers = sum(&|target| target.phase(phase).classes[class]);
            equations.push(equal("targets' status classes = status classes", answers, count));
        }
    }
    equations
}

fn i4(record: &WorkerRecord) -> Vec<Equation> {
    let c = &record.connections;
    let mut equations = vec![
        equal(
            "attempts = established + failed + undecided at the end",
            c.attempts,
            c.established + c.failed.total() + c.connecting_end,
        ),
        equal(
            "established + carried over = closed by either + errored + open at the end",
            c.established + c.carried,
            c.closed_by_us + c.closed_by_peer + c.errored + c.open_end,
        ),
        equal("established = connect samples", c.established, record.connect.len()),
        at_most(
            "connect samples of the window <= of the run",
            record.connect_window.len(),
            record.connect.len(),
        ),
    ];
    if !record.addresses.is_empty() {
        let sum = |pick: fn(&AddressCounts) -> u64| record.addresses.iter().map(pick).sum::<u64>();
        let completed = record.whole().completed;
        equations.extend([
            equal("addresses' attempts = attempts", sum(|address| address.attempts), c.attempts),
            equal("addresses' established = established", sum(|a| a.established), c.established),
            equal("addresses' failed = failed", sum(|address| address.failed), c.failed.total()),
            equal("addresses' completed = completed", sum(|a| a.completed), completed),
        ]);
    }
    if let Some(tls) = &record.tls {
        let handshakes = tls.handshake.len();
        equations.push(equal(
            "established = handshakes + plain",
            c.established,
            handshakes + tls.plain,
        ));
        equations.push(equal("handshakes by kind = handshakes", tls.handshakes(), handshakes));
    }
    equations
}

fn i5(record: &WorkerRecord) -> Vec<Equation> {
    let (arrived, classes) = (record.whole().bytes_in, record.bytes.total());
    vec![equal("bytes in = heads + bodies + framing + interim + stray + TLS's", arrived, classes)]
}

fn i6(total: &WorkerRecord, target_requests: u64) -> Vec<Equation> {
    let whole = total.whole();
    let mut equations = vec![
        at_most("completed <= received by the target", whole.completed, target_requests),
        at_most("received by the target <= started", target_requests, whole.started),
    ];
    if total.inflight_end == 0 && whole.failed.total() == 0 {
        equations.push(equal(
            "completed = received by the target",
            whole.completed,
            target_requests,
        ));
    }
    equations
}

/// Two histograms are the same bucket by bucket; shown are their samples.
fn same(claim: &'static str, a: &Hist, b: &Hist) -> Equation {
    Equation { claim, holds: a == b, left: u128::from(a.len()), right: u128::from(b.len()) }
}

fn i7(total: &WorkerRecord, workers: &[WorkerRecord], seconds: &[Second]) -> Vec<Equation> {
    let mut merged = WorkerRecord::default();
    for worker in workers {
        merged.merge(worker);
    }
    let (ours, all) = (merged.whole(), total.whole());
    let (sending, of_all) = (&merged.sending, &total.sending);
    let (outstanding, of_total) = (sending.outstanding_integral_ns, of_all.outstanding_integral_ns);
    let mut equations = vec![
        same("workers' latencies = the total's", &merged.latency, &total.latency),
        same("workers' connect times = the total's", &merged.connect, &total.connect),
        same(
            "workers' connect times of the window = the total's",
            &merged.connect_window,
            &total.connect_window,
        ),
        same("workers' service latencies = the total's", &merged.service, &total.service),
        same("workers' unanswered = the total's", &merged.unanswered, &total.unanswered),
        same("workers' send lags = the total's", &sending.lag, &of_all.lag),
        same("workers' own lags = the total's", &sending.late, &of_all.late),
        same("workers' waits for a connection = the total's", &sending.waited, &of_all.waited),
        equal("workers' shed = the total's", sending.shed.count, of_all.shed.count),
        equal("workers' outstanding = the total's", outstanding, of_total),
        equal("workers' due = the total's", ours.due, all.due),
        equal("workers' started = the total's", ours.started, all.started),
        equal("workers' completed = the total's", ours.completed, all.completed),
        equal("workers' failed = the total's", ours.failed.total(), all.failed.total()),
    ];
    equations.extend(targets_add_up(total));
    if let (Some(merged), Some(total)) = (&merged.tls, &total.tls) {
        equations.push(same(
            "workers' handshakes = the total's",
            &merged.handshake,
            &total.handshake,
        ));
    }
    equations.extend(seconds_balance(total, seconds));
    equations
}

/// What every interval begins with is what the one before it ended with, and each balances.
fn seconds_balance(total: &WorkerRecord, seconds: &[Second]) -> Vec<Equation> {
    let mut equations = Vec::new();
    let (mut inflight, mut backlog) = (0, 0);
    for second in seconds {
        let flow = &second.flow;
        equations.push(equal(
            "backlog at a second's start = before it",
            second.backlog_start,
            backlog,
        ));
        equations.push(equal(
            "of a second: backlog + due = started + shed + unsent + backlog after it",
            second.backlog_start + flow.due,
            flow.started + flow.shed + flow.unsent + second.backlog_end,
        ));
        backlog = second.backlog_end;
        equations.push(equal(
            "in flight at a second's start = before it",
            second.inflight_start,
            inflight,
        ));
        equations.push(equal(
            "of a second: in flight + started = completed + failed + in flight after it",
            second.inflight_start + flow.started,
            flow.completed + flow.failed + second.inflight_end,
        ));
        inflight = second.inflight_end;
    }
    if !seconds.is_empty() {
        let sum = |pick: fn(&Second) -> u64| seconds.iter().map(pick).sum::<u64>();
        let whole = total.whole();
        equations.extend([
            equal("seconds' due = due", sum(|s| s.flow.due), whole.due),
            equal("seconds' started = started", sum(|s| s.flow.started), whole.started),
            equal("seconds' completed = completed", sum(|s| s.flow.completed), whole.completed),
            equal("seconds' failed = failed", sum(|s| s.flow.failed), whole.failed.total()),
            equal("in flight after the last second = at the end", inflight, total.inflight_end),
            equal("backlog after the last second = none", backlog, 0_u64),
        ]);
    }
    equations
}

fn i8(total: &WorkerRecord, connections: u32) -> Vec<Equation> {
    if total.whole().started < I8_REQUESTS_PER_CONNECTION_MIN * u64::from(connections.max(1)) {
        return Vec::new();
    }
    let (left, right) = (total.inflight_sum_ns, total.inflight_integral_ns);
    let claim = "sum of times in flight = integral of the number in flight, within 1 %";
    vec![Equation { claim, holds: left.abs_diff(right) * 100 <= right, left, right }]
}
