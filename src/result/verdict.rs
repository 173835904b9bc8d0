//! What the numbers mean: who set the pace, and whether they can be trusted at all.

use super::{IdentityCheck, RunResult, SilentEnd, share};
use crate::record::Phase;

/// A worker busy for at least this share of the window is the bottleneck.
pub const BUSY_SHARE_LIMITED: f64 = 0.90;
/// A worker that waited for its CPU for more than this share of the window did not keep its load up, …
const STARVED_SHARE_MAX: f64 = 0.10;
/// … unless that was one or two waits of a window too short to have many, in nanoseconds.
const STARVED_NS_MIN: f64 = 10_000_000.0;
/// A window at least this long, in nanoseconds, …
const JUDGED_NS_MIN: u64 = 10_000_000;
/// … or with so many answers tells who set the pace.
const JUDGED_ANSWERS_MIN: u64 = 100;
/// A target that answered nothing for this long before the window's end, in nanoseconds, …
const SILENT_NS_MIN: u64 = 500_000_000;
/// … and for so many times the median latency, had stopped answering.
const SILENT_MEDIANS: u64 = 4;
/// Where it is a quota that makes it wait, this share is enough: it comes all at once.
const THROTTLED_SHARE_MAX: f64 = 0.01;
/// wring's own part of the send lag may reach this, in nanoseconds, …
const OWN_LAG_NS_MIN: u64 = 1_000_000;
/// … or this share of the median of what the target makes of it, if that is more.
const OWN_LAG_SHARE: f64 = 0.10;
/// So large a share of what was due may be shed because wring was late.
const OWN_SHED_SHARE_MAX: f64 = 0.01;
/// A schedule is kept when at least this share of what was due was sent, and answered.
const SHARE_KEPT: f64 = 0.999;
/// So large a share of what was due may be unresolved after the drain, which may have been short.
const UNRESOLVED_SHARE_MAX: f64 = 0.01;
/// And when what is outstanding did not grow by more than this share of what was due.
const GROWTH_SHARE_KEPT: f64 = 0.005;
/// Fewer samples above a quantile, and it is not known.
const SAMPLES_ABOVE: f64 = 10.0;
/// A loop that stood still for this long, in nanoseconds, was not measuring.
const TURN_GAP_NS_MAX: u64 = 1_000_000_000;

/// Why a measurement is invalid.
#[derive(Clone, Debug, PartialEq)]
pub enum Invalid {
    /// There was never a connection to one of the servers, so nothing was measured of it.
    NeverReached {
        /// Its place in `Asked::servers`.
        server: u32,
    },
    /// The run was given up because there was no connection to a server any more.
    Lost {
        /// Its place in `Asked::servers`.
        server: u32,
    },
    /// Plain requests went to a port for TLS, which refused every one.
    SpeaksTls,
    /// A counting identity broke.
    IdentityBroken {
        /// Its name, such as `I2`.
        name: &'static str,
    },
    /// A worker could not go on because its backend broke, or because it panicked.
    WorkerBroke,
    /// A worker waited for its CPU for much of the window, and not because of a target on the same
    /// machine.
    Starved {
        /// Share of the window, `0.0 ..= 1.0`.
        share: f64,
    },
    /// A worker's loop stood still: suspended, stopped, or starved of CPU.
    Gap {
        /// The longest standstill, in nanoseconds.
        gap_ns: u64,
    },
    /// The machine was suspended during the run.
    Suspended {
        /// For how long, in nanoseconds.
        suspended_ns: u64,
    },
    /// Requests left late although connections had room for them.
    OwnLag {
        /// wring's part of the send lag at the 99th percentile, in nanoseconds.
        p99_ns: u64,
        /// What is accepted, in nanoseconds.
        limit_ns: u64,
    },
    /// Requests were shed because wring was late for their deadline.
    OwnShed {
        /// How many.
        count: u64,
    },
}

impl Invalid {
    /// There is nothing that could have been measured.
    pub fn is_nothing_measured(&self) -> bool {
        matches!(self, Self::NeverReached { .. } | Self::SpeaksTls)
    }
}

/// One line of judgement, with its evidence.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// A worker was busy nearly all the time: the target may be able to do more.
    GeneratorLimited {
        /// Share of the window the busiest worker was busy, `0.0 ..= 1.0`.
        busy_share: f64,
    },
    /// Workers had no time to spare, or waited for their CPUs for long, without being busy: most often
    /// because of a target on the same CPUs, which then set the pace together with wring. What
    /// would have been the bottleneck is not known.
    ShortOfCpu {
        /// Share of the window the busiest worker was busy, `0.0 ..= 1.0`.
        busy_share: f64,
        /// Share of the window a worker waited for its CPU, `0.0 ..= 1.0`.
        starved_share: f64,
    },
    /// Too little happened in the window to tell who set the pace.
    NotJudged,
    /// wring had time to spare: target, network or too few connections set the pace.
    NotGeneratorLimited {
        /// Share of the window the busiest worker was busy, `0.0 ..= 1.0`.
        busy_share: f64,
        /// A connection count worth trying next; `None` where connections could not be had, or the
        /// target had stopped answering.
        try_connections: Option<u32>,
    },
    /// On a schedule: what was due was sent and answered, and the target kept up with it.
    ScheduleKept {
        /// Share of the due requests that were sent, `0.0 ..= 1.0`.
        sent_share: f64,
    },
    /// On a schedule: the target answered less than what was due.
    RateNotHeld {
        /// Share of the due requests that were answered within the window, `0.0 ..= 1.0`.
        achieved_share: f64,
    },
    /// The numbers must not be used.
    Invalid(Vec<Invalid>),
}

impl Verdict {
    /// The time of wring's workers, busy or waited for, is a part of what set the pace.
    pub fn is_about_own_time(&self) -> bool {
        matches!(self, Self::GeneratorLimited { .. } | Self::ShortOfCpu { .. })
    }
}

/// Judges a finished run from its identities and its workers' busy shares.
pub fn judge(result: &RunResult) -> Verdict {
    let broken = |check: &&IdentityCheck| check.is_broken();
    let mut invalid = unreached(result);
    invalid.extend(
        result
            .identities
            .iter()
            .filter(broken)
            .map(|check| Invalid::IdentityBroken { name: check.identity.name() }),
    );
    let gap_ns = result.workers.iter().map(|worker| worker.turn_gap_ns_max).max().unwrap_or(0);
    if gap_ns > TURN_GAP_NS_MAX {
        invalid.push(Invalid::Gap { gap_ns });
    }
    if result.has_broken_worker() {
        invalid.push(Invalid::WorkerBroke);
    }
    // A target on the same CPUs competes for them by nature; the report says that it does.
    let share = result.starved_share_max();
    if is_starved(result) && !result.may_share_cpus() {
        invalid.push(Invalid::Starved { share });
    }
    if result.suspended_ns > 0 {
        invalid.push(Invalid::Suspended { suspended_ns: result.suspended_ns });
    }
    let limit_ns = own_lag_limit_ns(result);
    if let Some(p99_ns) = own_lag_ns(result).filter(|&p99_ns| p99_ns > limit_ns) {
        invalid.push(Invalid::OwnLag { p99_ns, limit_ns });
    }
    let count = result.total.sending.shed.late;
    if count as f64 > OWN_SHED_SHARE_MAX * result.total.phase(Phase::Window).due as f64 {
        invalid.push(Invalid::OwnShed { count });
    }
    if !invalid.is_empty() || result.window_ns == 0 {
        return Verdict::Invalid(invalid);
    }
    if result.asked.schedule.is_some() {
        return judge_schedule(result);
    }
    judge_pace(result)
}

/// Who set the pace of a closed loop.
fn judge_pace(result: &RunResult) -> Verdict {
    let busy_share = result.busy_share_max();
    if !tells_pace(result) {
        Verdict::NotJudged
    } else if busy_share >= BUSY_SHARE_LIMITED {
        Verdict::GeneratorLimited { busy_share }
    } else if result.window_completed() > 0 && (is_starved(result) || is_occupied(result)) {
        Verdict::ShortOfCpu { busy_share, starved_share: result.starved_share_max() }
    } else {
        // Where connections fail or may not come faster, or nobody answers, asking for more of them
        // is no advice.
        let could_have_more = result.total.connections.failed.total() == 0
            && result.open.max >= result.asked.connections
            && !result.is_connect_paced()
            && silent_at_end(result).is_none();
        let more = result.asked.connections.saturating_mul(4).min(crate::limits::CONNECTIONS_MAX);
        let try_connections = could_have_more.then_some(more);
        Verdict::NotGeneratorLimited { busy_share, try_connections }
    }
}

/// A worker had nothing to spare, of which a part was waiting for its CPU.
fn is_occupied(result: &RunResult) -> bool {
    result.occupied_share_max() >= BUSY_SHARE_LIMITED
}

fn is_starved(result: &RunResult) -> bool {
    let share = result.starved_share_max();
    share > STARVED_SHARE_MAX && share * result.window_ns as f64 >= STARVED_NS_MIN
}

/// Whether enough happened in the window to say who set the pace. That nothing was answered says so
/// only where something failed.
fn tells_pace(result: &RunResult) -> bool {
    let (window, completed) = (result.total.phase(Phase::Window), result.window_completed());
    let is_long = result.window_ns >= JUDGED_NS_MIN || completed >= JUDGED_ANSWERS_MIN;
    let connect_failed = result.total.connections.failed.total();
    is_long && completed + window.failed.total() + connect_failed > 0
}

/// That the target had stopped answering before the window's end.
pub fn silent_at_end(result: &RunResult) -> Option<SilentEnd> {
    let median_ns = result.total.latency.quantile(0.50);
    let least_ns = SILENT_NS_MIN.max(median_ns.saturating_mul(SILENT_MEDIANS));
    let is_known = !result.total.latency.is_empty();
    result.silent_end.filter(|silent| is_known && silent.length_ns >= least_ns)
}

/// What was not there to be measured.
fn unreached(result: &RunResult) -> Vec<Invalid> {
    let servers = (0..).zip(&result.total.servers);
    let mut invalid: Vec<Invalid> = servers
        .filter(|(_, record)| !record.was_reached())
        .map(|(server, _)| Invalid::NeverReached { server })
        .collect();
    if invalid.is_empty() {
        invalid.extend(result.given_up.map(|server| Invalid::Lost { server }));
    }
    invalid.extend(result.speaks_tls.then_some(Invalid::SpeaksTls));
    invalid
}

/// How late wring itself may be, in nanoseconds: measured by what the target makes of latency, its
/// answers and the wait for a connection, and not by wring's own part of it.
pub fn own_lag_limit_ns(result: &RunResult) -> u64 {
    let total = &result.total;
    let median_ns = total.service.quantile(0.50) + total.sending.waited.quantile(0.50);
    OWN_LAG_NS_MIN.max((median_ns as f64 * OWN_LAG_SHARE) as u64)
}

/// wring's own lag where it is judged: at the 99th percentile, or, of few requests, at the highest
/// quantile that ten of them lie above; `None` of less than twenty.
pub fn own_lag_ns(result: &RunResult) -> Option<u64> {
    let late = &result.total.sending.late;
    let known = 1.0 - SAMPLES_ABOVE / late.len().max(1) as f64;
    (known >= 0.5).then(|| late.quantile(known.min(0.99)))
}

fn judge_schedule(result: &RunResult) -> Verdict {
    let keeps_up = is_sent(result) && !falls_behind(result);
    if keeps_up && is_answered(result) {
        return Verdict::ScheduleKept { sent_share: result.sent_share() };
    }
    // A generator without time to spare, or stopped by its quota, must not blame its target.
    let (busy_share, share) = (result.busy_share_max(), result.starved_share_max());
    let is_throttled = result.quota.is_some() && share > THROTTLED_SHARE_MAX;
    if !keeps_up && (share > STARVED_SHARE_MAX || is_throttled) {
        Verdict::Invalid(vec![Invalid::Starved { share }])
    } else if keeps_up || !is_occupied(result) {
        Verdict::RateNotHeld { achieved_share: result.achieved_share() }
    } else if busy_share >= BUSY_SHARE_LIMITED {
        Verdict::GeneratorLimited { busy_share }
    } else {
        Verdict::ShortOfCpu { busy_share, starved_share: share }
    }
}

/// Whether nearly all of what was due was sent; what wring itself was too late for is not the
/// target's.
fn is_sent(result: &RunResult) -> bool {
    let window = result.total.phase(Phase::Window);
    share(window.started + result.total.sending.shed.late, window.due) >= SHARE_KEPT
}

/// Whether nearly all of what was due was answered, and something of it while the window lasted. What
/// is unresolved because the drain ended tells nothing as long as it is little.
fn is_answered(result: &RunResult) -> bool {
    let (total, window) = (&result.total, result.total.phase(Phase::Window));
    let of_due = |count: u64| share(count, window.due);
    let known = of_due(total.latency.len() + total.sending.shed.late);
    let unresolved = of_due(total.window_started_inflight_end).min(UNRESOLVED_SHARE_MAX);
    window.due == 0 || (window.completed > 0 && known + unresolved >= SHARE_KEPT)
}

/// Whether what was outstanding, sent or not, kept growing: a deep pipeline hides a target that falls
/// behind from everything else, since all is sent, and answered in the drain.
///
/// Where latency is steady, as many are outstanding at the end as on average (Little's law, scaled
/// when the rate at the end is another); where the target falls behind from the start, twice as many.
/// Random numbers of them differ by their square root.
fn falls_behind(result: &RunResult) -> bool {
    let (sending, window) = (&result.total.sending, result.total.phase(Phase::Window));
    let schedule = result.asked.schedule.as_ref();
    let at_end = schedule.map_or(1.0, |s| s.rate_end_per_s / s.rate_per_s.max(f64::MIN_POSITIVE));
    let mean = sending.outstanding_integral_ns as f64 / result.window_ns.max(1) as f64;
    let expected = mean * at_end.max(1.0);
    let outstanding = sending.outstanding_end as f64;
    let grew = outstanding - expected;
    outstanding > 1.5 * expected + 4.0 * expected.sqrt() + 2.0
        && grew > GROWTH_SHARE_KEPT * window.due as f64
}
