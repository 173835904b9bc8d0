//! What this machine was seen to do: one worker against the built-in target, and waking up.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread;

use crate::hist::Hist;
use crate::plan::{self, EngineChoice, Network, Plan, Provenance, Request, StopAfter};
use crate::result::Verdict;
use crate::run;
use crate::sys::{Clock, Signals};
use crate::target::{Config, Engine, Server, Timing};
use crate::units::{format_count, format_duration_ns};

use super::probe::Machine;
use super::{Check, Group, Mark};

/// Length of the load, in nanoseconds.
const LOAD_NS: u64 = 1_000_000_000;
/// Bounds of everything around it, in nanoseconds.
const PATIENCE_NS: u64 = 500_000_000;
const CONNECTIONS: u32 = 64;
const BODY_BYTES: u64 = 100;
/// Waits of a millisecond behind the wake-up figures: ten lie above the 99th percentile.
const WAKE_UPS: u64 = 1_000;
const WAKE_UPS_ROUND: u32 = 100;
/// No further round starts after this long, in nanoseconds.
const WAKE_UP_NS_MAX: u64 = 1_500_000_000;
/// A side that was busy for this share of its CPU had nothing to spare.
const BUSY_SHARE: f64 = 0.9;
/// wring's own lateness is accepted up to a millisecond, so waking up had better take less.
const WAKE_UP_NS: [u64; 3] = [250_000, 1_000_000, 10_000_000];
/// A worker that waited so long for its CPU shared it with somebody.
const STARVED_WARNING: f64 = 0.05;

/// What was measured, or why not.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Speed {
    NotMeasured(String),
    Measured { load: Result<Load, String>, wake_up: Result<WakeUp, String> },
}

/// One worker against one thread of the built-in target.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Load {
    pub(super) requests_per_s: f64,
    /// CPUs of the two; the same when there is only one.
    pub(super) worker_cpu: u32,
    pub(super) target_cpu: u32,
    /// Shares of the window that each was busy.
    pub(super) worker_busy_share: f64,
    pub(super) target_busy_share: Option<f64>,
    /// Share of the window that the worker waited for its CPU.
    pub(super) worker_starved_share: f64,
    /// The run was found invalid.
    pub(super) is_invalid: bool,
}

/// How long after a deadline a sleeping worker runs again, in nanoseconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct WakeUp {
    pub(super) p50_ns: u64,
    /// `None` when too few waits were made to know it.
    pub(super) p99_ns: Option<u64>,
    pub(super) max_ns: u64,
}

/// Measures on the first two of `cpus`, which come with physical cores first.
pub(super) fn measure(cpus: &[u32], signals: &Signals) -> Speed {
    let Some(&worker_cpu) = cpus.first() else {
        return Speed::NotMeasured("no CPU is known".to_owned());
    };
    if signals.count() > 0 {
        return Speed::NotMeasured("interrupted".to_owned());
    }
    let target_cpu = cpus.get(1).copied().unwrap_or(worker_cpu);
    let load = load(worker_cpu, target_cpu, signals);
    if signals.count() > 0 {
        return Speed::NotMeasured("interrupted".to_owned());
    }
    // A thread of its own, because the measurement pins the thread it runs on.
    let wake_up = thread::spawn(move || wake_up(worker_cpu))
        .join()
        .unwrap_or_else(|_| Err("the measurement panicked".to_owned()));
    Speed::Measured { load, wake_up }
}

fn wake_ups(cpu: u32) -> Result<Hist, String> {
    let late = run::wakeup_latency(EngineChoice::Auto, Some(cpu), WAKE_UPS_ROUND);
    late.map_err(|error| error.to_string())
}

/// In rounds, so that a machine that wakes up in its own good time does not take all of ours.
fn wake_up(cpu: u32) -> Result<WakeUp, String> {
    let clock = Clock::start();
    let mut late = wake_ups(cpu)?;
    while late.len() < WAKE_UPS && clock.now_ns() < WAKE_UP_NS_MAX {
        let more = wake_ups(cpu)?;
        late.merge(&more);
    }
    Ok(WakeUp {
        p50_ns: late.quantile(0.50),
        p99_ns: (late.len() >= WAKE_UPS).then(|| late.quantile(0.99)),
        max_ns: late.max(),
    })
}

fn load(worker_cpu: u32, target_cpu: u32, signals: &Signals) -> Result<Load, String> {
    let (server, _fell_back) = Server::start_or_fall_back(Config {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        threads: 1,
        cpus: vec![target_cpu],
        body_bytes: BODY_BYTES,
        timing: Timing::default(),
        status: 200,
        // The same as in `wring selftest`, so that the figures of both compare.
        engine: Engine::TokioUring,
        close_after: None,
        faults_ppm: 0,
    })
    .map_err(|error| error.to_string())?;
    let address = server.address();
    let request = Request::new("GET", "/", &address.to_string(), &[], None)
        .map_err(|error| error.to_string())?;
    let plan = Plan {
        tls: None,
        request,
        targets: None,
        addresses: vec![address.into()],
        network: Network::default(),
        connections: CONNECTIONS,
        depth: 1,
        stop: StopAfter { duration_ns: Some(LOAD_NS), ..StopAfter::default() },
        pacing: None,
        warmup_ns: 0,
        warmup_until_steady: false,
        drain_ns: PATIENCE_NS,
        timeout_ns: PATIENCE_NS,
        connect_timeout_ns: PATIENCE_NS,
        interval_ns: LOAD_NS,
        seed: 1,
        tcp_congestion: None,
        engine: EngineChoice::Auto,
        server: None,
        checks: Default::default(),
        shares: plan::deal(CONNECTIONS, None, 1, &[worker_cpu], 1),
        provenance: Provenance::default(),
    };
    let target_before_ns = server.cpu_ns();
    let result = run::measure(&plan, signals, &mut |_| {}, &|| Some(server.counts().requests))
        .map_err(|error| error.to_string())?;
    let spent = server.cpu_ns().zip(target_before_ns).map(|(now, then)| now.saturating_sub(then));
    let share = |ns: u64| (ns as f64 / result.window_ns.max(1) as f64).min(1.0);
    Ok(Load {
        requests_per_s: result.requests_per_s(),
        worker_cpu,
        target_cpu,
        worker_busy_share: result.busy_share_max(),
        target_busy_share: spent.map(share),
        worker_starved_share: result.starved_share_max(),
        is_invalid: matches!(result.verdict, Verdict::Invalid(_)),
    })
}

pub(super) fn checks(machine: &Machine) -> [Check; 2] {
    let loopback = Check::new(
        Group::Ceiling,
        "loopback",
        "no target on this machine will be seen to do more with one worker at depth 1: a figure \
         near this one is wring's limit or the kernel's, not the target's",
    );
    let wake_up = Check::new(
        Group::Ceiling,
        "wake-up",
        "how late a sleeping worker sends or notices: it is part of every latency measured at a \
         rate; wring --no-spin would add it to the send lag",
    );
    match &machine.speed {
        Speed::NotMeasured(why) => {
            let seen = format!("not measured: {why}");
            [loopback.seen(Mark::Unknown, seen.as_str()), wake_up.seen(Mark::Unknown, seen)]
        }
        Speed::Measured { load, wake_up: late } => {
            [judge_load(loopback, load), judge_wake_up(wake_up, late)]
        }
    }
}

fn judge_load(check: Check, load: &Result<Load, String>) -> Check {
    let load = match load {
        Ok(load) => load,
        Err(why) => return check.seen(Mark::Warning, format!("could not be measured: {why}")),
    };
    let check = check
        .fact("requests_per_s", load.requests_per_s)
        .fact("connections", u64::from(CONNECTIONS))
        .fact("worker_cpu", u64::from(load.worker_cpu))
        .fact("target_cpu", u64::from(load.target_cpu))
        .fact("worker_busy_share", load.worker_busy_share)
        .fact("target_busy_share", load.target_busy_share)
        .fact("worker_starved_share", load.worker_starved_share);
    let is_shared = load.worker_cpu == load.target_cpu;
    let did = format!(
        "{} requests/s by one worker, depth 1, {CONNECTIONS} connections",
        format_count(load.requests_per_s)
    );
    if load.is_invalid || (load.worker_starved_share >= STARVED_WARNING && !is_shared) {
        let seen = format!(
            "{did}, and the worker waited for its CPU for {:.0} % of the time: less than the \
             machine can do{}",
            load.worker_starved_share * 100.0,
            if load.is_invalid { "; the run was invalid" } else { "" }
        );
        let check = check.seen(Mark::Warning, seen);
        return check.change("stop what else runs here, and lift CPU quotas");
    }
    let is_busy = |share: f64| share >= BUSY_SHARE;
    let limit = match (is_busy(load.worker_busy_share), load.target_busy_share.map(is_busy)) {
        _ if is_shared => "both share the one CPU",
        (true, Some(true)) => "limited by both sides",
        (true, Some(false)) => "limited by wring",
        (false, Some(true)) => "limited by the target",
        (false, Some(false)) => "limited by the kernel",
        (true, None) => "limited by wring; how busy the target was cannot be seen here",
        (false, None) => {
            "limited by the target or the kernel: how busy the target was cannot be \
                          seen here"
        }
    };
    check.seen(if is_shared { Mark::Note } else { Mark::Ok }, format!("{did}; {limit}"))
}

fn judge_wake_up(check: Check, late: &Result<WakeUp, String>) -> Check {
    let late = match late {
        Ok(late) => late,
        Err(why) => return check.seen(Mark::Warning, format!("could not be measured: {why}")),
    };
    let p99 = late.p99_ns.map_or_else(
        || "p99 not known because waking took so long".to_owned(),
        |p99_ns| format!("{} at p99", format_duration_ns(p99_ns)),
    );
    let seen = format!(
        "{} at p50, {p99}, {} at most",
        format_duration_ns(late.p50_ns),
        format_duration_ns(late.max_ns)
    );
    let mark = Mark::of_rising(late.p99_ns.unwrap_or(late.max_ns), WAKE_UP_NS);
    let check = check
        .fact("p50_ns", late.p50_ns)
        .fact("p99_ns", late.p99_ns)
        .fact("max_ns", late.max_ns)
        .seen(mark, seen);
    if mark < Mark::Warning {
        return check;
    }
    check.change("stop what else runs here; on hardware: cpupower idle-set -D 10")
}
