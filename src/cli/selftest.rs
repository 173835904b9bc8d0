//! The same measurement against the built-in server, and what this machine can do.
//!
//! Generator and target share the machine, so they share out its CPUs: half to the target, spread
//! over physical cores. The figures at the end are short runs, each with the side that set its
//! limit.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread;

use super::args::RunArgs;
use super::error::CliError;
use super::lower::{self, RunJob};
use super::{execute, write_stderr};
use crate::hist::Hist;
use crate::plan::{self, Network, Plan, Request, StopAfter};
use crate::result::{Figure, MachineFigures, RunResult, Side};
use crate::run;
use crate::sys::{self, Signals};
use crate::target::{Config, Engine, Server, Timing};

/// Length of the main measurement when none is asked for, in nanoseconds: with the figures the
/// whole stays well under 20 seconds.
const DURATION_NS: u64 = 5_000_000_000;
/// Length of the run behind one figure, in nanoseconds.
const FIGURE_NS: u64 = 1_000_000_000;
/// Waits behind the wake-up figure, one millisecond each, …
const WAKE_UPS: u64 = 500;
/// … and so many of them before it is looked whether the user wants to stop.
const WAKE_UPS_ROUND: u32 = 25;
/// A side that was busy for this share of its CPUs had nothing to spare.
const BUSY_SHARE: f64 = 0.9;
const BODY_BYTES: u64 = 100;
/// Connections of the runs behind the figures.
const FIGURE_CONNECTIONS: u32 = 64;
/// Servers that are there at once, and what each of their threads has open beside connections.
const SERVERS: u64 = 3;
const DESCRIPTORS_PER_SERVER_THREAD: u64 = 6;

/// Which CPUs are whose.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Division {
    pub(super) client: Vec<u32>,
    pub(super) target: Vec<u32>,
    pub(super) shared: bool,
}

/// Divides `allowed`, physical cores first: the target gets half, rounded down, but the CPUs that
/// the user gave to the generator are not taken from it.
pub(super) fn divide(spread: &[u32], asked: Option<&[u32]>) -> Division {
    let client_count = spread.len() - spread.len() / 2;
    let client: Vec<u32> = asked.map_or_else(|| spread[..client_count].to_vec(), <[u32]>::to_vec);
    let mut target: Vec<u32> = spread.iter().copied().filter(|cpu| !client.contains(cpu)).collect();
    let shared = target.is_empty();
    if shared {
        target = client.clone();
    }
    Division { client, target, shared }
}

/// The same flags with the self test's own defaults.
pub(super) fn with_defaults(args: RunArgs) -> RunArgs {
    let has_end = args.duration.is_some() || args.requests.is_some() || args.stages.is_some();
    if has_end { args } else { RunArgs { duration: Some(DURATION_NS), ..args } }
}

/// Runs the self test and answers with the exit code.
pub(super) fn selftest(args: &RunArgs, argv: &[String]) -> Result<u8, CliError> {
    let spread = sys::spread(&sys::read_topology(&sys::allowed_cpus()));
    let asked = args.cpus.as_deref().and_then(sys::parse_cpu_list);
    let division = divide(&spread, asked.as_deref());
    if !args.quiet {
        let side = |cpus: &[u32]| format!("{} CPU{}", cpus.len(), plural(cpus.len()));
        write_stderr(&if division.shared {
            let shared = match division.client.len() {
                1 => "one CPU".to_owned(),
                count => format!("{count} CPUs"),
            };
            format!("wring: generator and target share {shared}: each slows the other down")
        } else {
            let (client, target) = (side(&division.client), side(&division.target));
            format!("wring: {client} for the generator, {target} for the built-in target")
        });
    }
    // Both ends of every connection are descriptors of this process, the target's even two.
    let connections = args.connections.max(FIGURE_CONNECTIONS);
    let workers = args.threads.unwrap_or(division.client.len() as u32);
    let of_target = 2 * u64::from(connections)
        + SERVERS * DESCRIPTORS_PER_SERVER_THREAD * division.target.len() as u64;
    let descriptors = run::descriptors(connections, workers, true) + of_target;
    sys::ensure_descriptors(sys::open_descriptors() + descriptors)
        .map_err(|limit| CliError::usage(limit.to_string()))?;
    let signals = Signals::install();
    let server = start(&division, BODY_BYTES, None)?;
    let url = format!("http://{}/", server.address());
    let allowed = if asked.is_some() { &spread } else { &division.client };
    let mut job = lower::run(args, &url, argv, allowed).map_err(CliError::from)?;
    // Says why not io_uring, for the target as well.
    execute::settle(&mut job)?;
    let measured = execute::measure(&job, &signals, &|| Some(server.counts().requests));
    if let Some(why) = server.broken() {
        return Err(execute::broken_server(why));
    }
    let mut result = measured?;
    let RunJob { plan, output, .. } = job;
    let mut failed = None;
    if signals.count() == 0 {
        if !output.quiet {
            write_stderr("wring: measured; now what this machine can do");
        }
        let mut figures = MachineFigures::default();
        failed = measure_figures(&plan, &division, &server, &signals, &mut figures).err();
        result.machine = Some(figures);
        result.interrupted = run::interrupted_by(&signals);
    } else if result.interrupted.is_none() {
        // Stopped when the run itself was over.
        result.machine = Some(MachineFigures::default());
        result.interrupted = run::interrupted_by(&signals);
    }
    signals.release();
    execute::present(&result, output)?;
    failed.map_or_else(|| Ok(execute::exit_code(&result)), Err)
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

fn start(
    division: &Division,
    body_bytes: u64,
    close_after: Option<u32>,
) -> Result<Server, CliError> {
    Server::start_or_fall_back(Config {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        threads: division.target.len() as u32,
        cpus: division.target.clone(),
        body_bytes,
        timing: Timing::default(),
        status: 200,
        engine: Engine::TokioUring,
        close_after,
        faults_ppm: 0,
    })
    .map(|(server, _)| server)
    .map_err(|error| CliError::nothing_measured(error.to_string()))
}

/// Fills in one figure after the other, until the user wants to stop or one cannot be had.
fn measure_figures(
    plan: &Plan,
    division: &Division,
    server: &Server,
    signals: &Signals,
    figures: &mut MachineFigures,
) -> Result<(), CliError> {
    let large = start(division, 1 << 20, None)?;
    let closing = start(division, BODY_BYTES, Some(1))?;
    let per_s = |server: &Server, connections, depth, value: fn(&RunResult) -> f64| {
        figure(plan, division, server, connections, depth, signals, value)
    };
    figures.requests_per_s_depth_1 =
        per_s(server, FIGURE_CONNECTIONS, 1, RunResult::requests_per_s)?;
    figures.requests_per_s_depth_64 =
        per_s(server, FIGURE_CONNECTIONS, 64, RunResult::requests_per_s)?;
    figures.bytes_per_s_1_mib = per_s(&large, 16, 1, RunResult::bytes_per_s)?;
    // Every connection carries one request and is closed by the target.
    figures.connections_per_s = per_s(&closing, FIGURE_CONNECTIONS, 1, RunResult::requests_per_s)?;
    figures.wake_up_ns_p99 = wake_up(plan, division, signals)?;
    Ok(())
}

/// One short run and who set its limit; `None` once the user wants to stop.
fn figure(
    plan: &Plan,
    division: &Division,
    server: &Server,
    connections: u32,
    depth: u32,
    signals: &Signals,
    value: fn(&RunResult) -> f64,
) -> Result<Option<Figure>, CliError> {
    if signals.count() > 0 {
        return Ok(None);
    }
    let address = server.address();
    let request = Request::new("GET", "/", &address.to_string(), &[], None)
        .map_err(|error| CliError::internal(error.to_string()))?;
    let threads = (plan.shares.len() as u32).min(connections);
    let cpus: Vec<u32> = plan.shares.iter().filter_map(|share| share.cpu).collect();
    let plan = Plan {
        request,
        targets: None,
        addresses: vec![address.into()],
        network: Network::default(),
        connections,
        depth,
        stop: StopAfter { duration_ns: Some(FIGURE_NS), ..StopAfter::default() },
        warmup_ns: 0,
        pacing: None,
        shares: plan::deal(connections, None, threads, &cpus, plan.seed),
        ..plan.clone()
    };
    let target_before_ns = server.cpu_ns();
    let result = run::measure(&plan, signals, &mut |_| {}, &|| None)
        .map_err(|error| CliError::nothing_measured(error.to_string()))?;
    if signals.count() > 0 {
        return Ok(None);
    }
    let target_ns =
        server.cpu_ns().zip(target_before_ns).map(|(now, then)| now.saturating_sub(then));
    let all_ns = result.window_ns.max(1) as f64 * division.target.len() as f64;
    let is_target_busy = target_ns.map(|ns| ns as f64 / all_ns >= BUSY_SHARE);
    let limited_by = match (result.busy_share_max() >= BUSY_SHARE, is_target_busy) {
        _ if division.shared => Side::Both,
        (true, Some(true)) => Side::Both,
        (true, Some(false) | None) => Side::Generator,
        (false, Some(true)) => Side::Target,
        (false, Some(false)) => Side::Kernel,
        (false, None) => Side::TargetOrKernel,
    };
    Ok(Some(Figure { value: value(&result) as u64, limited_by }))
}

fn wake_up(
    plan: &Plan,
    division: &Division,
    signals: &Signals,
) -> Result<Option<Figure>, CliError> {
    if signals.count() > 0 {
        return Ok(None);
    }
    let (engine, cpu) = (plan.engine, division.client.first().copied());
    // A thread of its own, because the measurement pins the thread it runs on.
    let measured = thread::scope(|scope| {
        let rounds = || -> Result<Hist, run::RunError> {
            let mut late = run::wakeup_latency(engine, cpu, WAKE_UPS_ROUND)?;
            while late.len() < WAKE_UPS && signals.count() == 0 {
                let more = run::wakeup_latency(engine, cpu, WAKE_UPS_ROUND)?;
                // A backend that broke brings nothing more.
                if more.is_empty() {
                    break;
                }
                late.merge(&more);
            }
            Ok(late)
        };
        scope.spawn(rounds).join()
    });
    let late = measured
        .map_err(|_| CliError::internal("the wake-up measurement panicked"))?
        .map_err(|error| CliError::nothing_measured(error.to_string()))?;
    let is_whole = signals.count() == 0;
    let figure = Figure { value: late.quantile(0.99), limited_by: Side::Kernel };
    Ok(is_whole.then_some(figure))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_gets_half_of_the_cpus_and_a_single_one_is_shared() {
        let half = divide(&[0, 2, 1, 3], None);
        assert_eq!((half.client, half.target, half.shared), (vec![0, 2], vec![1, 3], false));
        let odd = divide(&[0, 1, 2], None);
        assert_eq!((odd.client, odd.target), (vec![0, 1], vec![2]));
        let one = divide(&[5], None);
        assert_eq!((one.client, one.target, one.shared), (vec![5], vec![5], true));
    }

    #[test]
    fn cpus_given_to_the_generator_are_not_the_targets() {
        let asked = divide(&[0, 1, 2, 3], Some(&[3]));
        assert_eq!((asked.client, asked.target), (vec![3], vec![0, 1, 2]));
        assert!(divide(&[0, 1], Some(&[0, 1])).shared);
    }
}
