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
    /// Left side and right side of the first equation that broke, or of the whole.
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

/// An equation or inequality with its two sides.
struct Equation {
    holds: bool,
    left: u128,
    right: u128,
}

fn equal(left: impl Into<u128>, right: impl Into<u128>) -> Equation {
    let (left, right) = (left.into(), right.into());
    Equation { holds: left == right, left, right }
}

fn at_most(left: impl Into<u128>, right: impl Into<u128>) -> Equation {
    let (left, right) = (left.into(), right.into());
    Equation { holds: left <= right, left, right }
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
            Identity::I5 => vec![equal(record.whole().bytes_in, record.bytes.total())],
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
    let shown =
        equations.iter().position(|e| !e.1.holds).or_else(|| equations.len().checked_sub(1));
    let (worker, left, right) = shown.map_or((None, 0, 0), |index| {
        let (worker, equation) = &equations[index];
        (*worker, equation.left, equation.right)
    });
    IdentityCheck { identity, holds, left, right, worker }
}

fn i1(record: &WorkerRecord) -> Vec<Equation> {
    let whole = record.whole();
    vec![equal(whole.due, whole.started + whole.unsent + whole.shed)]
}

fn i2(record: &WorkerRecord) -> Vec<Equation> {
    let whole = record.whole();
    let mut equations =
        vec![equal(whole.started, whole.completed + whole.failed.total() + record.inflight_end)];
    for target in &record.targets {
        let whole = target.whole();
        let ended = whole.completed + whole.failed.total() + target.inflight_end;
        equations.push(equal(whole.started, ended));
    }
    equations
}

fn i3(record: &WorkerRecord) -> Vec<Equation> {
    let whole = record.whole();
    let window = record.phase(Phase::Window);
    let unresolved = record.window_started_failed + record.window_started_inflight_end;
    let mut equations = vec![
        equal(whole.completed, whole.statuses.iter().sum::<u64>()),
        equal(record.latency.len() + unresolved, window.started),
        equal(record.unanswered.len(), unresolved + window.unsent + window.shed),
    ];
    // Whoever looked at answers saw each of them once.
    let findings = &record.findings;
    if let Some(groups) = &findings.groups {
        equations.push(equal(groups.all().iter().sum::<u64>(), whole.completed));
    }
    if !findings.bodies.is_empty() {
        let met = findings.bodies.iter().flat_map(Bodies::all).sum::<u64>();
        equations.push(equal(met, whole.completed));
    }
    // On a schedule two more clocks ran, over the same requests.
    if record.sending.paced {
        equations.push(equal(record.service.len(), record.latency.len()));
        equations.push(equal(record.sending.lag.len(), window.started));
        equations.push(equal(record.sending.late.len(), window.started));
        equations.push(equal(record.sending.waited.len(), window.started));
        equations.push(equal(record.sending.shed.count, window.shed));
    }
    for target in &record.targets {
        let whole = target.whole();
        equations.push(equal(whole.completed, whole.classes.iter().sum::<u64>()));
    }
    equations
}

/// The targets, counted one by one, are all there is.
fn targets_add_up(total: &WorkerRecord) -> Vec<Equation> {
    if total.targets.is_empty() {
        return Vec::new();
    }
    let sum = |pick: &dyn Fn(&TargetRecord) -> u64| total.targets.iter().map(pick).sum::<u64>();
    let mut equations = vec![
        equal(sum(&|target| target.inflight_end), total.inflight_end),
        equal(sum(&|target| target.latency.len()), total.latency.len()),
    ];
    for phase in Phase::ALL {
        let counts = total.phase(phase);
        equations.push(equal(sum(&|target| target.phase(phase).started), counts.started));
        equations.push(equal(sum(&|target| target.phase(phase).completed), counts.completed));
        for (cause, count) in counts.failed.iter() {
            equations.push(equal(sum(&|target| target.phase(phase).failed.count(cause)), count));
        }
        let mut classes = [0; STATUS_CLASSES];
        for (status, count) in counts.statuses.iter().enumerate() {
            classes[status_class(status as u16)] += count;
        }
        for (class, count) in classes.into_iter().enumerate() {
            equations.push(equal(sum(&|target| target.phase(phase).classes[class]), count));
        }
    }
    equations
}

fn i4(record: &WorkerRecord) -> Vec<Equation> {
    let c = &record.connections;
    let mut equations = vec![
        equal(c.attempts, c.established + c.failed.total() + c.connecting_end),
        equal(
            c.established + c.carried,
            c.closed_by_us + c.closed_by_peer + c.errored + c.open_end,
        ),
        equal(c.established, record.connect.len()),
        at_most(record.connect_window.len(), record.connect.len()),
    ];
    if !record.addresses.is_empty() {
        let sum = |pick: fn(&AddressCounts) -> u64| record.addresses.iter().map(pick).sum::<u64>();
        equations.push(equal(sum(|address| address.attempts), c.attempts));
        equations.push(equal(sum(|address| address.established), c.established));
        equations.push(equal(sum(|address| address.failed), c.failed.total()));
        equations.push(equal(sum(|address| address.completed), record.whole().completed));
    }
    if let Some(tls) = &record.tls {
        equations.push(equal(c.established, tls.handshake.len() + tls.plain));
        equations.push(equal(tls.handshakes(), tls.handshake.len()));
    }
    equations
}

fn i6(total: &WorkerRecord, target_requests: u64) -> Vec<Equation> {
    let whole = total.whole();
    let mut equations =
        vec![at_most(whole.completed, target_requests), at_most(target_requests, whole.started)];
    if total.inflight_end == 0 && whole.failed.total() == 0 {
        equations.push(equal(whole.completed, target_requests));
    }
    equations
}

fn i7(total: &WorkerRecord, workers: &[WorkerRecord], seconds: &[Second]) -> Vec<Equation> {
    let mut merged = WorkerRecord::default();
    for worker in workers {
        merged.merge(worker);
    }
    let same = |a: &Hist, b: &Hist| Equation {
        holds: a == b,
        left: u128::from(a.len()),
        right: u128::from(b.len()),
    };
    let mut equations = vec![
        same(&merged.latency, &total.latency),
        same(&merged.connect, &total.connect),
        same(&merged.connect_window, &total.connect_window),
        same(&merged.service, &total.service),
        same(&merged.unanswered, &total.unanswered),
        same(&merged.sending.lag, &total.sending.lag),
        same(&merged.sending.late, &total.sending.late),
        same(&merged.sending.waited, &total.sending.waited),
        equal(merged.sending.shed.count, total.sending.shed.count),
        equal(merged.sending.outstanding_integral_ns, total.sending.outstanding_integral_ns),
        equal(merged.whole().due, total.whole().due),
        equal(merged.whole().started, total.whole().started),
        equal(merged.whole().completed, total.whole().completed),
        equal(merged.whole().failed.total(), total.whole().failed.total()),
    ];
    equations.extend(targets_add_up(total));
    if let (Some(merged), Some(total)) = (&merged.tls, &total.tls) {
        equations.push(same(&merged.handshake, &total.handshake));
    }
    let (mut inflight, mut backlog) = (0, 0);
    for second in seconds {
        let flow = &second.flow;
        equations.push(equal(second.backlog_start, backlog));
        equations.push(equal(
            second.backlog_start + flow.due,
            flow.started + flow.shed + flow.unsent + second.backlog_end,
        ));
        backlog = second.backlog_end;
        equations.push(equal(second.inflight_start, inflight));
        equations.push(equal(
            second.inflight_start + flow.started,
            flow.completed + flow.failed + second.inflight_end,
        ));
        inflight = second.inflight_end;
    }
    if !seconds.is_empty() {
        let sum = |pick: fn(&Second) -> u64| seconds.iter().map(pick).sum::<u64>();
        equations.push(equal(sum(|s| s.flow.due), total.whole().due));
        equations.push(equal(sum(|s| s.flow.started), total.whole().started));
        equations.push(equal(sum(|s| s.flow.completed), total.whole().completed));
        equations.push(equal(sum(|s| s.flow.failed), total.whole().failed.total()));
        equations.push(equal(inflight, total.inflight_end));
        equations.push(equal(backlog, 0_u64));
    }
    equations
}

fn i8(total: &WorkerRecord, connections: u32) -> Vec<Equation> {
    if total.whole().started < I8_REQUESTS_PER_CONNECTION_MIN * u64::from(connections.max(1)) {
        return Vec::new();
    }
    let (sum, integral) = (total.inflight_sum_ns, total.inflight_integral_ns);
    vec![Equation { holds: sum.abs_diff(integral) * 100 <= integral, left: sum, right: integral }]
}
