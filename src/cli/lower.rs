//! From what was typed to what will be done: flags checked against each other, files opened, names
//! resolved. Everything that can be refused is refused here, before anything is sent; what the user
//! got wrong is told before the network is asked anything.

use std::path::Path;

use super::args::warmup::Warmup;
use super::args::{ColorChoice, Engine, RunArgs, ServeArgs, ServeEngine};
use super::connections;
use super::error::CliError;
use super::files::{ReportFile, shown};
use super::{checks, pacing, redact, server, targets, tls};
use crate::inspect::Checks;
use crate::plan::{self, EngineChoice, Pacing, Plan, Provenance, StopAfter};
use crate::result::threshold::Threshold;
use crate::run;
use crate::sys;
use crate::target;

/// Longest congestion control name the kernel has (`TCP_CA_NAME_MAX`, with its final NUL).
const CONGESTION_NAME_BYTES: usize = 16;

/// A measurement ready to be carried out.
#[derive(Debug)]
pub struct RunJob {
    /// What to measure.
    pub plan: Plan,
    /// What to do with the result.
    pub output: Output,
    /// What the result must measure.
    pub thresholds: Vec<Threshold>,
    /// Remarks for stderr before the load starts; nothing that `-q` would keep.
    pub notes: Vec<String>,
}

/// What to do with a result.
#[derive(Debug)]
pub struct Output {
    /// Print JSON on stdout instead of the text report.
    pub json_stdout: bool,
    /// Write the same JSON here as well.
    pub json_file: Option<ReportFile>,
    /// Store the result here.
    pub stored: Option<ReportFile>,
    /// With the latency distribution.
    pub latency: bool,
    /// And with that of the latency from the actual sends.
    pub uncorrected: bool,
    /// With everything.
    pub verbose: bool,
    /// Nothing on stderr but errors.
    pub quiet: bool,
    /// When to colour.
    pub color: ColorChoice,
}

/// Why there is no measurement.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Refused {
    /// What was typed cannot be done.
    Usage(CliError),
    /// The target's name has no address.
    Unresolved {
        /// The name.
        host: String,
        /// The port as typed, or the scheme.
        service: String,
        /// The resolver's words.
        cause: String,
    },
}

impl From<CliError> for Refused {
    fn from(error: CliError) -> Self {
        Self::Usage(error)
    }
}

impl From<Refused> for CliError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Usage(error) => error,
            Refused::Unresolved { host, cause, .. } => {
                Self::nothing_measured(format!("cannot resolve '{host}': {cause}"))
                    .hint("check the name; an address works too")
            }
        }
    }
}

/// The reference server to start.
#[derive(Debug)]
pub struct ServeJob {
    /// What to serve.
    pub config: target::Config,
    /// No engine was asked for: where io_uring is denied, epoll will do.
    pub may_fall_back: bool,
    /// Where the stamps go.
    pub log: Option<ReportFile>,
    /// Print the counts when stopped.
    pub count_on_exit: bool,
}

/// Resolves a measurement of `target`.
///
/// `argv` is the whole command line for the record, `allowed` the CPUs this process may use (for
/// the self test: the client's part of them).
pub fn run(
    args: &RunArgs,
    target: &str,
    argv: &[String],
    allowed: &[u32],
) -> Result<RunJob, Refused> {
    run_all(args, &[target.to_owned()], argv, allowed)
}

/// Resolves a measurement of all `urls`, or of the list that `--urls` names.
pub fn run_all(
    args: &RunArgs,
    urls: &[String],
    argv: &[String],
    allowed: &[u32],
) -> Result<RunJob, Refused> {
    let (pacing, checks) = check(args)?;
    let route = connections::check(args)?;
    let mut notes = Vec::new();
    let wanted = targets::wanted(args, urls, &route, &mut notes)?;
    let (threads, cpus) = threads_and_cpus(args, wanted.servers(), allowed, &mut notes)?;
    ensure_descriptors(args, threads)?;
    let server = server::lower(&args.server, &mut notes)?;
    let tls = tls::lower(&args.tls, &wanted.encrypted_hosts())?;
    let output = output(args)?;
    let (first, request) = (wanted.list[0].split.clone(), wanted.list[0].request.clone());
    let shown = wanted.shown.clone();
    let targets::Resolved { addresses, of_addresses, targets } =
        wanted.resolve(|split| route.addresses(split, args.connections, &mut notes))?;
    notes.extend(route.note(args.connections));
    notes.extend(pacing.as_ref().and_then(|pacing| pacing::note(pacing, args.warmup.longest_ns())));
    let plan = Plan {
        request,
        targets,
        network: route.network(&of_addresses, &addresses),
        addresses,
        connections: args.connections,
        depth: args.pipeline,
        stop: stop_after(args, pacing.as_ref()),
        warmup_ns: args.warmup.longest_ns(),
        warmup_until_steady: args.warmup == Warmup::Auto,
        drain_ns: args.drain,
        timeout_ns: args.timeout,
        connect_timeout_ns: args.connect_timeout.unwrap_or(args.timeout),
        interval_ns: args.interval,
        seed: args.seed,
        pacing,
        tls,
        tcp_congestion: args.tcp_congestion.clone(),
        engine: match args.engine {
            Engine::Auto => EngineChoice::Auto,
            Engine::Uring => EngineChoice::Uring,
            Engine::Epoll => EngineChoice::Epoll,
        },
        server,
        checks,
        shares: plan::deal(args.connections, args.requests, threads, &cpus, args.seed),
        provenance: Provenance {
            url: shown,
            host: first.host,
            options: redact::options(argv, route.secrets()),
            notes: notes.clone(),
        },
    };
    Ok(RunJob { plan, output, thresholds: args.checks.thresholds.clone(), notes })
}

/// Makes room for the descriptors of a run whose report files are not open yet.
fn ensure_descriptors(args: &RunArgs, threads: u32) -> Result<(), CliError> {
    let files = [matches!(args.json, Some(Some(_))), args.output.is_some()];
    let files = files.iter().filter(|is_asked| **is_asked).count() as u64;
    let network = &args.network;
    let replaces_all = network.no_keepalive || network.requests_per_connection.is_some();
    let more = run::descriptors(args.connections, threads, replaces_all);
    let needed = sys::open_descriptors() + files + more;
    sys::ensure_descriptors(needed).map_err(|limit| {
        let workers = if threads == 1 { "thread" } else { "threads" };
        let message = format!("-c {} on {threads} {workers}: {limit}", args.connections);
        CliError::usage(message).hint(format!(
            "raise it with 'ulimit -Hn {}', or use fewer connections or threads",
            limit.needed
        ))
    })
}

/// Resolves the flags of the reference server.
pub fn serve(args: &ServeArgs, allowed: &[u32]) -> Result<ServeJob, CliError> {
    let listen = args.listen.parse().map_err(|_| {
        let typed = args.listen.escape_debug();
        CliError::usage(format!("--listen: '{typed}' is not an address with a port"))
            .hint("write 127.0.0.1:8080, 0.0.0.0:80 or [::1]:8080")
    })?;
    let cpus = sys::spread(&sys::read_topology(&chosen_cpus(args.cpus.as_deref(), allowed)?));
    let timing = timing(args)?;
    let is_one_queue = args.service.is_some();
    let threads_default = if is_one_queue { 1 } else { cpus.len().max(1) as u32 };
    let threads = args.threads.unwrap_or(threads_default);
    if is_one_queue && threads > 1 {
        return Err(CliError::usage(format!(
            "--service makes one queue for all connections, which needs one thread; -t {threads} \
             was given"
        ))
        .hint("leave out -t"));
    }
    let engine = match args.engine {
        Some(ServeEngine::TokioUring) if args.faults.is_some() => {
            return Err(CliError::usage(
                "--engine tokio-uring has no faults: --faults needs --engine uring",
            )
            .hint("leave out --engine"));
        }
        Some(ServeEngine::TokioUring) if timing.needs_precision() => {
            return Err(CliError::usage(
                "--engine tokio-uring has timers of a millisecond and no log: --service, --freeze, \
                 --log and a --delay that varies need --engine uring or epoll",
            )
            .hint("leave out --engine"));
        }
        Some(ServeEngine::Uring) => target::Engine::Backend,
        Some(ServeEngine::Epoll) => target::Engine::Epoll,
        // A delay that was asked for is meant to be that long.
        None if timing.needs_precision() || args.delay.is_some() || args.faults.is_some() => {
            target::Engine::Backend
        }
        Some(ServeEngine::TokioUring) | None => target::Engine::TokioUring,
    };
    let log = args.log.as_deref().map(|path| ReportFile::open("--log", path)).transpose()?;
    let config = target::Config {
        listen,
        threads,
        cpus,
        body_bytes: args.body,
        timing,
        status: args.status,
        engine,
        close_after: args.close_after,
        faults_ppm: args.faults.unwrap_or(0),
    };
    let may_fall_back = args.engine.is_none();
    Ok(ServeJob { config, may_fall_back, log, count_on_exit: args.count_on_exit })
}

/// When the server's answers leave.
fn timing(args: &ServeArgs) -> Result<target::Timing, CliError> {
    let wait = match (&args.delay, &args.service) {
        (None, None) => target::Wait::AtOnce,
        (Some(time), None) => target::Wait::Delay(time.clone()),
        (None, Some(time)) => target::Wait::Service(time.clone()),
        (Some(_), Some(_)) => {
            return Err(CliError::usage(
                "--delay and --service contradict each other: answers wait each by itself or for \
                 one server",
            ));
        }
    };
    let is_logged = args.log.is_some();
    Ok(target::Timing { wait, freeze: args.freeze, seed: args.seed, is_logged })
}

/// When the run ends; stages say so themselves.
fn stop_after(args: &RunArgs, pacing: Option<&Pacing>) -> StopAfter {
    let duration_ns = match (args.duration, args.requests) {
        _ if args.stages.is_some() => pacing.and_then(|pacing| pacing.profile.length_ns()),
        (duration, requests) => pacing::window_ns(duration, requests),
    };
    StopAfter { duration_ns, requests: args.requests, waits: args.duration == Some(0) }
}

/// Checks the flags against each other and makes the schedule, if a rate is asked for.
pub(super) fn check(args: &RunArgs) -> Result<(Option<Pacing>, Checks), CliError> {
    check_flags(args)?;
    Ok((pacing::lower(args)?, checks::lower(args)?))
}

/// What two flags together cannot mean, and what is reserved.
fn check_flags(args: &RunArgs) -> Result<(), CliError> {
    if args.script.is_some() {
        return Err(CliError::usage("-s: wrk's Lua scripts are not supported").hint(
            "-X, -H and -b shape the request, -p pipelines it, --json and -o give the numbers",
        ));
    }
    if args.quiet && args.verbose {
        return Err(CliError::usage("-q and -v contradict each other; give one of them"));
    }
    if args.no_pin && args.cpus.is_some() {
        return Err(CliError::usage(
            "--no-pin and --cpus contradict each other; to limit threads to some CPUs without \
             pinning, start wring under taskset",
        ));
    }
    if let Some(name) = &args.tcp_congestion {
        check_congestion(name)?;
    }
    Ok(())
}

fn check_congestion(name: &str) -> Result<(), CliError> {
    let fits = name.len() < CONGESTION_NAME_BYTES && !name.contains('\0');
    if fits && sys::tcp_congestion_known(name) {
        return Ok(());
    }
    let shown = name.escape_debug();
    let error = CliError::usage(format!("--tcp-congestion: this machine has no '{shown}'"));
    Err(match sys::tcp_congestion_available() {
        Some(names) => error.hint(format!("available are {}", names.join(", "))),
        None => error,
    })
}

/// How many threads, and the CPUs to hand out to them in order; none without pinning. Every thread
/// has a connection to each of the servers.
fn threads_and_cpus(
    args: &RunArgs,
    servers: u32,
    allowed: &[u32],
    notes: &mut Vec<String>,
) -> Result<(u32, Vec<u32>), CliError> {
    let chosen = chosen_cpus(args.cpus.as_deref(), allowed)?;
    let cpus = sys::spread(&sys::read_topology(&chosen));
    let cpu_count = cpus.len().max(1) as u32;
    let asked = args.threads.unwrap_or(cpu_count);
    let threads = asked.min(args.connections / servers.max(1));
    if let Some(asked) = args.threads.filter(|&asked| asked > threads) {
        notes.push(format!(
            "-t {asked} is more than -c {} allows: {threads} threads are used, each with a \
             connection{}",
            args.connections,
            if servers > 1 { " to each server" } else { "" }
        ));
    }
    if args.no_pin {
        return Ok((threads, Vec::new()));
    }
    if threads > cpu_count {
        notes.push(format!(
            "{threads} threads share {cpu_count} CPUs: those beyond the CPUs are not pinned, and \
             threads take each other's time"
        ));
    }
    Ok((threads, cpus))
}

/// The CPUs of `--cpus`, each of which must be allowed; all allowed ones without it.
fn chosen_cpus(typed: Option<&str>, allowed: &[u32]) -> Result<Vec<u32>, CliError> {
    let Some(typed) = typed else { return Ok(allowed.to_vec()) };
    let shown = typed.escape_debug();
    let cpus = sys::parse_cpu_list(typed).ok_or_else(|| {
        CliError::usage(format!("--cpus: '{shown}' is not a list of CPUs; write one like 0-3,5"))
    })?;
    if let Some(denied) = cpus.iter().find(|cpu| !allowed.contains(cpu)) {
        let allowed: Vec<String> = allowed.iter().map(u32::to_string).collect();
        return Err(CliError::usage(format!(
            "--cpus '{shown}': CPU {denied} is not among those this process may use"
        ))
        .hint(format!("allowed are {}", allowed.join(","))));
    }
    Ok(cpus)
}

/// Opens the report files.
fn output(args: &RunArgs) -> Result<Output, CliError> {
    let open = |flag: &str, path: &Path| ReportFile::open(flag, path);
    let json_file = match &args.json {
        Some(Some(path)) => Some(open("--json", path)?),
        _ => None,
    };
    let stored = args.output.as_deref().map(|path| open("-o", path)).transpose()?;
    if let (Some(json), Some(stored)) = (&json_file, &stored)
        && json.path() == stored.path()
    {
        let path = shown(json.path());
        return Err(CliError::usage(format!("--json and -o name the same file '{path}'")));
    }
    Ok(Output {
        json_stdout: args.json == Some(None),
        json_file,
        stored,
        latency: args.latency || args.u_latency,
        uncorrected: args.u_latency,
        verbose: args.verbose,
        quiet: args.quiet,
        color: args.color,
    })
}
