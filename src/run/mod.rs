//! Threads, phases, signals and the merge: a plan becomes a result.
//!
//! Owns the worker threads and the control loop beside them. Knows neither flags nor report formats.
//!
//! The idea: the calling thread is the control thread. It waits for nobody: it looks at the workers'
//! words and queues some twenty times a second, sets the common start when all are open, turns
//! signals into stop requests, and at the end joins the workers and adds their records up.

mod cost;
mod engine;
mod quota;
mod session;
mod timeline;
mod wakeup;
mod warmup;

use std::fmt;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::epoll::Epoll;
use crate::inspect::Inspector;
use crate::io::{BackendError, Setup, Spin};
use crate::outcome::{Cause, ConnectFailure, ConnectFailureCounts, TlsFault};
use crate::plan::{Arena, EngineChoice, Lane, Origin, Pacing, Plan, Share, Target, Targets};
use crate::record::{
    ConnectionCounts, IntervalReader, IntervalWriter, Phase, Recorder, WorkerRecord, interval_queue,
};
use crate::result::{
    Asked, AskedServer, AskedTarget, Interrupted, Manifest, OpenConnections, RunResult, Schedule,
    Verdict, WorkerSummary, check, fnv1a, judge,
};
use crate::sys::{self, Clock, MachineFacts, Signals};
use crate::units;
use crate::uring::{SetupError, Uring};
use crate::worker::{
    ConnectPace, Control, CpuTime, Outcome, Pace, Shape, Stop, Task, TlsShape, Worker,
};

use cost::CostWatch;
use engine::{Engine, setup, setup_of_lane};
use quota::QuotaWatch;
use session::Seat;
use timeline::Timeline;
use warmup::WarmupWatch;

pub use engine::settle;
pub use session::Session;
pub use wakeup::wakeup_latency;

/// How often the control thread looks around.
const LOOK: Duration = Duration::from_millis(20);
/// From the decision to start to the start: long enough for every worker to see it in time.
const START_LEAD_NS: u64 = 2_000_000;
/// No suspension is shorter than this; two clocks read one after the other differ by less.
const SUSPENSION_NS_MIN: u64 = 50_000_000;
/// How long before an intended time a worker stays awake at most, where sleeps overshoot, in
/// nanoseconds.
const SPIN_NS_MAX: u64 = 2_000_000;
/// Opening waits so much longer than an attempt may take, so that those which nobody answers end as
/// timed out, not as undecided.
const OPENING_SPARE_NS: u64 = 50_000_000;
/// Descriptors beside those of connections: standard streams, rings, report files.
pub const DESCRIPTORS_SPARE: u64 = 64;

/// Why there is no result.
#[derive(Clone, Debug, PartialEq)]
pub enum RunError {
    /// The limit on open files is too low even at its maximum.
    Descriptors(sys::FdLimit),
    /// The ring cannot be used.
    Backend(SetupError),
    /// Nor can epoll, which every kernel has.
    Epoll(BackendError),
    /// A worker thread could not be started.
    Thread(String),
    /// No connection could be opened.
    NothingOpen {
        /// Where to.
        addresses: Vec<String>,
        /// What became of the attempts.
        failed: Box<ConnectFailureCounts>,
        /// The error number of an attempt that failed on this machine.
        local_errno: i32,
        /// The status with which a proxy refused a tunnel.
        proxy_status: u16,
        /// What was wrong with TLS, and the same in words.
        tls_fault: Option<(TlsFault, String)>,
    },
    /// A worker panicked; its record is lost.
    WorkerLost,
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Descriptors(limit) => limit.fmt(f),
            Self::Backend(error) => error.fmt(f),
            Self::Epoll(error) => {
                write!(
                    f,
                    "epoll cannot be used: {error}; are there too many open files (ulimit -n)?"
                )
            }
            Self::Thread(why) => write!(
                f,
                "a worker thread could not be started: {why}; use fewer threads (-t) or raise the \
                 limit on processes (ulimit -u)"
            ),
            Self::NothingOpen { addresses, tls_fault: Some((cause, fault)), .. } => {
                write!(f, "no TLS handshake with {} succeeded: {fault}; ", addresses.join(", "))?;
                f.write_str(tls_advice(*cause))
            }
            Self::NothingOpen { addresses, failed, local_errno, proxy_status, .. } => {
                write!(f, "no connection to {} could be opened", addresses.join(", "))?;
                let mut separator = ": ";
                for (cause, count) in failed.iter().filter(|(_, count)| *count > 0) {
                    write!(f, "{separator}{count} {}", cause.name())?;
                    separator = ", ";
                }
                f.write_str("; ")?;
                if failed.count(ConnectFailure::Local) > 0 {
                    return f.write_str(&sys::local_failure(*local_errno));
                }
                if failed.count(ConnectFailure::Ports) > 0 {
                    return f.write_str(sys::ports_gone());
                }
                if *proxy_status > 0 {
                    return write!(
                        f,
                        "{}: {}",
                        proxy_refused(*proxy_status),
                        proxy_hint(*proxy_status)
                    );
                }
                if failed.count(ConnectFailure::Proxy) > 0 {
                    return f.write_str("is that a proxy for HTTP, and does it know CONNECT?");
                }
                if failed.count(ConnectFailure::Unreachable) > 0 {
                    return f.write_str("is there a route to the address (ip route get ADDRESS)?");
                }
                f.write_str("is the server running, and on this address and port?")
            }
            Self::WorkerLost => f.write_str(
                "a worker thread panicked; its counts are lost, so there is no result. Please \
                 report this with the message above",
            ),
        }
    }
}

/// What to try when no handshake succeeds.
fn tls_advice(cause: TlsFault) -> &'static str {
    match cause {
        TlsFault::Expired | TlsFault::NotYetValid => {
            "is the clock of this machine right (date)? -k accepts any certificate"
        }
        TlsFault::WrongName => "--sni asks for another name; -k accepts any certificate",
        TlsFault::UnknownIssuer => {
            "--cacert FILE trusts the certificates in a file; -k accepts any certificate"
        }
        TlsFault::BadCertificate => "-k accepts any certificate",
        TlsFault::NotTls => "is it http://, or another port?",
        TlsFault::Alpn => "--alpn http/1.1 offers what wring speaks, --alpn none nothing",
        TlsFault::Alert | TlsFault::NothingInCommon => {
            "--cert gives a client certificate, --sni a name; --tls-version, --ciphers and --groups \
             change the offer"
        }
        TlsFault::Closed | TlsFault::Silent | TlsFault::Protocol => {
            "is it a port for HTTPS? openssl s_client -connect shows what the server says"
        }
    }
}

/// What the run looks like at this moment, for whoever watches.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Progress {
    /// Since the load began, in nanoseconds.
    pub elapsed_ns: u64,
    /// How long the load is to last, if that is known.
    pub total_ns: Option<u64>,
    /// Requests completed per second in the latest interval.
    pub requests_per_s: f64,
    /// Median latency of the latest interval.
    pub p50_ns: Option<u64>,
    /// 99th percentile of the latest interval.
    pub p99_ns: Option<u64>,
    /// Requests failed so far.
    pub failed: u64,
    /// Requests completed so far.
    pub completed: u64,
    /// Requests that became due per second in the latest interval; `None` in a closed loop.
    pub asked_per_s: Option<f64>,
    /// Requests due and not sent at the end of the latest interval.
    pub backlog: u64,
    /// Requests in flight at the end of the latest interval.
    pub inflight: u64,
}

/// What a worker thread brings home.
struct Done {
    outcome: Outcome,
    backend_description: String,
    /// The CPU it really was pinned to.
    pinned: Option<u32>,
    /// How long before a deadline it stopped sleeping, in nanoseconds.
    spin_ns: u64,
}

/// The worker of a session has handed its parts over before it ends.
type Handle = JoinHandle<Result<Option<Done>, RunError>>;

/// Stops the other workers when this one panics, so that nobody waits for a run that is lost.
struct StopOnPanic<'a>(&'a Control);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.request_stop(Stop::AtOnce);
        }
    }
}

fn cpu_time() -> CpuTime {
    CpuTime { busy_ns: sys::thread_cpu_ns(), starved_ns: sys::thread_starved_ns() }
}

fn ensure_descriptors(plan: &Plan) -> Result<(), RunError> {
    let needed = u64::from(plan.connections) + DESCRIPTORS_SPARE;
    sys::ensure_descriptors(needed).map_err(RunError::Descriptors)
}

/// Runs `plan` from opening to drain. `watch` is called several times a second on the calling
/// thread; `target_requests` is asked once, after the drain, for the target's own count.
pub fn measure(
    plan: &Plan,
    signals: &Signals,
    watch: &mut dyn FnMut(&Progress),
    target_requests: &dyn Fn() -> Option<u64>,
) -> Result<RunResult, RunError> {
    if plan.engine == EngineChoice::Auto {
        let mut plan = plan.clone();
        settle(&mut plan)?;
        return measure(&plan, signals, watch, target_requests);
    }
    ensure_descriptors(plan)?;
    let started_at = units::format_rfc3339(sys::wall_unix_seconds());
    let suspended_before_ns = sys::suspended_ns();
    let clock = Clock::start();
    let control = Arc::new(Control::default());
    let (mut handles, mut readers) = (Vec::new(), Vec::new());
    for ((index, share), lane) in plan.shares.iter().enumerate().zip(plan.lanes()) {
        let (writer, reader) = interval_queue(plan.interval_ns);
        let spawn = match plan.engine {
            EngineChoice::Epoll => spawn::<Epoll>,
            EngineChoice::Uring | EngineChoice::Auto => spawn::<Uring>,
        };
        match spawn(plan, (index, share), lane, clock, Arc::clone(&control), writer, None) {
            Ok(handle) => handles.push(handle),
            Err(error) => {
                control.request_stop(Stop::AtOnce);
                let _ = join(handles);
                return Err(RunError::Thread(error.to_string()));
            }
        }
        readers.push(reader);
    }
    let mut collected = Collected::new(plan, readers);
    let mut ended = || handles.iter().filter(|handle| handle.is_finished()).count();
    let opening_ns =
        supervise(plan, &clock, &control, signals, &mut ended, None, &mut collected, watch);
    let done = join(handles)?;
    let manifest = manifest(plan, started_at);
    let seen = Seen { clock, opening_ns, suspended_before_ns };
    conclude(plan, &control, signals, seen, done, manifest, collected, target_requests())
}

/// What the control thread saw of a block beside the workers.
struct Seen {
    clock: Clock,
    opening_ns: u64,
    suspended_before_ns: u64,
}

/// Puts the result together when all workers have brought home their part.
#[expect(clippy::too_many_arguments, reason = "everything a block leaves behind, once")]
fn conclude(
    plan: &Plan,
    control: &Control,
    signals: &Signals,
    seen: Seen,
    done: Vec<Done>,
    mut manifest: Manifest,
    collected: Collected,
    target_requests: Option<u64>,
) -> Result<RunResult, RunError> {
    let Collected { mut timeline, mut cost, quota, warmup } = collected;
    cost.finish(seen.clock.now_ns());
    timeline.collect(true);
    let mut asked = asked(plan);
    if control.ready().1 == 0 && done.iter().all(|d| d.outcome.record.connections.established == 0)
    {
        let mut attempts = ConnectionCounts::default();
        for done in &done {
            attempts.merge(&done.outcome.record.connections);
        }
        let tls_fault = done.iter().find_map(|done| {
            let tls = done.outcome.record.tls.as_ref()?;
            let (cause, _) = tls.faults.iter().max_by_key(|(_, count)| *count)?;
            Some((cause, tls.first_fault.clone()?))
        });
        if signals.count() == 0 {
            return Err(RunError::NothingOpen {
                addresses: asked.addresses,
                failed: Box::new(attempts.failed),
                local_errno: attempts.local_errno,
                proxy_status: attempts.proxy_status,
                tls_fault,
            });
        }
    }
    if let Some(schedule) = &mut asked.schedule {
        schedule.spin_ns = done.iter().map(|done| done.spin_ns).max().unwrap_or(0);
    }
    manifest.backend = done.first().map(|d| d.backend_description.clone()).unwrap_or_default();
    let base_ns = seen.clock.base_monotonic_ns();
    let window_start_ns = done.iter().map(|done| done.outcome.window_start_ns).max().unwrap_or(0);
    let mut result = assemble(plan, done, asked, manifest, timeline, target_requests);
    if plan.pacing.as_ref().is_some_and(|pacing| pacing.spin) && !spins(plan) {
        result.remarks.push(
            "the workers slept between requests: looking at the clock instead would take the last \
             CPU from the target on this machine; fewer threads (-t) leave it one"
                .to_owned(),
        );
    }
    cost.tell(&mut result);
    result.quota = quota.taken();
    result.warmed_up = warmup.tell(plan, control, &result);
    result.opening_ns = seen.opening_ns;
    result.window_start_monotonic_ns = base_ns + window_start_ns;
    let suspended_ns = sys::suspended_ns().saturating_sub(seen.suspended_before_ns);
    result.suspended_ns = if suspended_ns < SUSPENSION_NS_MIN { 0 } else { suspended_ns };
    result.interrupted = interrupted(plan, signals, &result);
    result.verdict = judge(&result);
    Ok(result)
}

/// What the control thread collects while the workers run.
struct Collected {
    timeline: Timeline,
    cost: CostWatch,
    quota: QuotaWatch,
    warmup: WarmupWatch,
}

impl Collected {
    fn new(plan: &Plan, readers: Vec<IntervalReader>) -> Self {
        let limits_ns = plan.pacing.as_ref().map_or(&[][..], |pacing| &pacing.limits_ns);
        Self {
            timeline: Timeline::new(readers).counting(limits_ns),
            cost: CostWatch::new(plan),
            quota: QuotaWatch::new(),
            warmup: WarmupWatch::new(plan),
        }
    }
}

/// Watches over the workers until all have done their part, which `ended` counts; tells how long the
/// opening took. With `look_end` the last looks come that often, so that the next block need not
/// wait for them.
#[expect(clippy::too_many_arguments, reason = "everything the control thread looks at, once")]
fn supervise(
    plan: &Plan,
    clock: &Clock,
    control: &Control,
    signals: &Signals,
    ended: &mut dyn FnMut() -> usize,
    look_end: Option<Duration>,
    collected: &mut Collected,
    watch: &mut dyn FnMut(&Progress),
) -> u64 {
    let Collected { timeline, cost, quota, warmup } = collected;
    let begun_ns = clock.now_ns();
    let mut opening_ns = None;
    let mut progress = Progress { total_ns: load_ns(plan), ..Progress::default() };
    let mut seen_ns = 0;
    let workers_all = plan.shares.len();
    loop {
        let count = ended();
        if count == workers_all {
            break;
        }
        let look = match (opening_ns, look_end) {
            (None, _) => LOOK / 20,
            (Some(_), None) => LOOK,
            (Some(_), Some(shortest)) => {
                let end_ns =
                    control.start_ns().zip(progress.total_ns).map(|(start, ns)| start + ns);
                let left_ns = end_ns.map_or(u64::MAX, |ns| ns.saturating_sub(clock.now_ns()));
                Duration::from_nanos(left_ns).clamp(shortest, LOOK)
            }
        };
        thread::sleep(cost.sleep(look, clock.now_ns(), window(plan, control)));
        cost.look(clock.now_ns(), window(plan, control));
        quota.look(clock.now_ns(), window(plan, control));
        match signals.count() {
            0 => {}
            1 => control.request_stop(Stop::Drain),
            _ => control.request_stop(Stop::AtOnce),
        }
        // A worker that ended before the others were done broke, or never came to work.
        if count > 0 && control.start_ns().is_none() {
            control.request_stop(Stop::AtOnce);
        }
        let (workers, open) = control.ready();
        if opening_ns.is_none() && workers as usize == workers_all {
            let now_ns = clock.now_ns();
            opening_ns = Some(now_ns - begun_ns);
            if open == 0 {
                control.request_stop(Stop::AtOnce);
            } else {
                timeline.load_starts_at(now_ns + START_LEAD_NS);
                control.start_at(now_ns + START_LEAD_NS);
            }
        }
        timeline.collect(false);
        warmup.look(clock.now_ns(), timeline.seconds(), plan, control);
        if let (Some(start_ns), Some(second)) = (control.start_ns(), timeline.last()) {
            progress.elapsed_ns = clock.now_ns().saturating_sub(start_ns);
            if second.start_ns + second.length_ns > seen_ns {
                seen_ns = second.start_ns + second.length_ns;
                progress.inflight = second.inflight_end;
                let per_ns = second.flow.completed as f64 / second.length_ns.max(1) as f64;
                progress.requests_per_s = per_ns * 1e9;
                let due_per_ns = second.flow.due as f64 / second.length_ns.max(1) as f64;
                progress.asked_per_s = plan.pacing.is_some().then_some(due_per_ns * 1e9);
                progress.backlog = second.backlog_end;
                (progress.p50_ns, progress.p99_ns) = (second.p50_ns, second.p99_ns);
            }
        } else if let Some(start_ns) = control.start_ns() {
            progress.elapsed_ns = clock.now_ns().saturating_sub(start_ns);
        }
        (progress.completed, progress.failed) = timeline.so_far();
        watch(&progress);
    }
    opening_ns.unwrap_or_else(|| clock.now_ns() - begun_ns)
}

/// When the window starts and, if time ends it, ends; `None` before that is settled.
fn window(plan: &Plan, control: &Control) -> Option<(u64, Option<u64>)> {
    let longest_ns = control.start_ns()? + plan.warmup_ns;
    let start_ns = control.window_ns().unwrap_or(longest_ns).min(longest_ns);
    Some((start_ns, plan.stop.duration_ns.map(|ns| start_ns.saturating_add(ns))))
}

fn load_ns(plan: &Plan) -> Option<u64> {
    plan.stop.duration_ns.map(|duration_ns| plan.warmup_ns + duration_ns)
}

/// Starts the worker of a share on a backend that it makes itself. With a seat in a session it waits
/// for orders, without one it runs the plan.
fn spawn<B: Engine>(
    plan: &Plan,
    (index, share): (usize, &Share),
    lane: Option<Arc<Lane>>,
    clock: Clock,
    control: Arc<Control>,
    intervals: IntervalWriter,
    seat: Option<Seat>,
) -> std::io::Result<Handle> {
    let arena = plan.request.arena(plan.depth);
    let tls = plan.tls.as_ref().map(|tls| TlsShape {
        client: tls.settings.client(),
        arena: Arc::clone(lane.as_ref().map_or(&arena.bytes, |lane| &lane.arena)),
    });
    let task = Task {
        connections: share.connections,
        connection_first: share.connection_first,
        addresses: plan.addresses.len() as u32,
        requests: share.requests,
        pace: plan.pacing.as_ref().map(|pacing| pace(plan, pacing, share, index)),
        duration_ns: plan.stop.duration_ns,
        warmup_ns: plan.warmup_ns,
        drain_ns: plan.drain_ns,
        opening_ns: opening_ns_max(plan),
        connect_pace: connect_pace(plan, index),
        shape: {
            let shape = shape(plan, &arena);
            let shape = match &lane {
                Some(lane) => shape.with_lane(lane),
                None => shape,
            };
            match tls {
                Some(tls) => shape.over_tls(tls),
                None => shape,
            }
        },
        lane: lane.clone(),
        seed: share.seed,
    };
    let setup = match &lane {
        None => setup(plan, share, arena.bytes),
        Some(lane) => setup_of_lane(plan, share, lane),
    };
    let reported = lane.map_or(0, |lane| lane.targets().reported());
    let inspector = Inspector::new(&plan.checks, share.connections, plan.target_count());
    let cpu = share.cpu;
    let (paced, encrypted, spins) = (plan.pacing.is_some(), plan.tls.is_some(), spins(plan));
    thread::Builder::new().name(format!("wring-{index}")).spawn(move || {
        sys::block_signals_in_this_thread();
        // A CPU that went away since it was chosen leaves the thread where the system puts it.
        let pinned = cpu.filter(|&cpu| sys::pin_current_thread(cpu));
        // A backend belongs to the thread that makes it.
        let spin_ns = if spins { wakeup::spin_ns::<B>() } else { 0 };
        let spin = Spin {
            after_work_ns: spin_ns,
            before_deadline_ns: spin_ns,
            before_deadline_max_ns: if spins { SPIN_NS_MAX } else { 0 },
        };
        let backend = match B::make(Setup { spin, ..setup }, clock) {
            Ok(backend) => backend,
            Err(error) => {
                control.request_stop(Stop::AtOnce);
                return Err(error);
            }
        };
        let backend_description = crate::io::Backend::description(&backend);
        let _guard = StopOnPanic(&control);
        let recorder = if paced { Recorder::paced(intervals) } else { Recorder::new(intervals) };
        let recorder = recorder.with_targets(reported);
        let recorder = if encrypted { recorder.with_tls() } else { recorder };
        let recorder = recorder.inspecting(inspector);
        let worker = Worker::new(backend, task, recorder, cpu_time);
        let done = move |outcome| Done {
            outcome,
            backend_description: backend_description.clone(),
            pinned,
            spin_ns,
        };
        if let Some(seat) = seat {
            seat.serve(worker, done);
            return Ok(None);
        }
        let (outcome, _backend) = worker.run(&control);
        Ok(Some(done(outcome)))
    })
}

/// Opening lasts as long as one attempt may take, and as pacing them takes.
fn opening_ns_max(plan: &Plan) -> u64 {
    let paced_ns = plan.network.opening_ns_min(plan.connections);
    paced_ns.saturating_add(plan.connect_timeout_ns + OPENING_SPARE_NS)
}

/// One worker's part of the rate of attempts, which is never exceeded: parts of a nanosecond are
/// rounded up.
fn connect_pace(plan: &Plan, index: usize) -> Option<ConnectPace> {
    let rate = plan.network.connect_rate?;
    let every_ns = |attempts: u128| {
        let ns = (attempts * u128::from(rate.per_ns())).div_ceil(u128::from(rate.count().max(1)));
        u64::try_from(ns).unwrap_or(u64::MAX)
    };
    Some(ConnectPace {
        interval_ns: every_ns(plan.shares.len() as u128),
        first_ns: every_ns(index as u128),
    })
}

fn shape(plan: &Plan, arena: &Arena) -> Shape {
    let network = &plan.network;
    let shape = Shape::new(
        &plan.request,
        arena,
        plan.depth,
        plan.timeout_ns,
        plan.connect_timeout_ns,
        plan.addresses.len() as u32,
    );
    Shape {
        // The kernel throws away what TCP received, unless somebody wants to look at it.
        discards: plan.addresses.iter().all(|address| address.inet().is_some())
            && !plan.checks.needs_bodies(),
        prelude: network.prelude.clone(),
        requests_max: network.requests_per_connection.map_or(u64::MAX, u64::from),
        close: network.close,
        ..shape
    }
}

/// One worker's share of the schedule.
fn pace(plan: &Plan, pacing: &Pacing, share: &Share, index: usize) -> Pace {
    let (worker, workers) = (index as u32, plan.shares.len() as u32);
    Pace {
        window: pacing.window_share(worker, workers, plan.seed, share.requests),
        warmup: pacing.warmup_share(worker, workers, plan.seed),
        profile: Arc::clone(&pacing.profile),
        arrivals: pacing.arrivals,
        workers,
        deadline_ns: pacing.deadline_ns,
    }
}

/// Whether workers keep their CPUs busy shortly before an intended time. Never where that would take
/// the last CPU from a target on this machine.
fn spins(plan: &Plan) -> bool {
    let leaves_a_cpu = || !is_target_here(plan) || plan.shares.len() < sys::allowed_cpus().len();
    plan.pacing.as_ref().is_some_and(|pacing| pacing.spin) && leaves_a_cpu()
}

/// Whether load goes to this machine itself.
fn is_target_here(plan: &Plan) -> bool {
    plan.addresses.iter().any(|address| address.inet().is_none_or(sys::is_local_address))
}

fn join(handles: Vec<Handle>) -> Result<Vec<Done>, RunError> {
    let mut all = Vec::with_capacity(handles.len());
    let mut error = None;
    for handle in handles {
        match handle.join() {
            Ok(Ok(done)) => all.extend(done),
            Ok(Err(setup)) => error = Some(setup),
            Err(_) => error = Some(RunError::WorkerLost),
        }
    }
    error.map_or(Ok(all), Err)
}

fn assemble(
    plan: &Plan,
    done: Vec<Done>,
    asked: Asked,
    manifest: Manifest,
    timeline: Timeline,
    target_requests: Option<u64>,
) -> RunResult {
    let mut result = RunResult { asked, manifest, target_requests, ..RunResult::default() };
    let outcomes = || done.iter().map(|done| &done.outcome);
    let start_ns = outcomes().map(|o| o.window_start_ns).max().unwrap_or(0);
    // A worker without a part of the requests does not make the window longer.
    let at_work = |o: &&Outcome| o.record.phase(Phase::Window).started > 0;
    let ends_ns = outcomes().filter(at_work).map(|o| o.window_end_ns);
    let end_ns = ends_ns.max().or_else(|| outcomes().map(|o| o.window_end_ns).max());
    result.window_ns = end_ns.unwrap_or(0).saturating_sub(start_ns);
    result.drain_ns = outcomes().map(|o| o.drain_ns).max().unwrap_or(0);
    let mut records: Vec<WorkerRecord> = Vec::with_capacity(done.len());
    for (Done { outcome, pinned, .. }, share) in done.into_iter().zip(&plan.shares) {
        let OpenConnections { at_start, min, max } = &mut result.open;
        *at_start += outcome.open_at_start;
        *min += outcome.open_min;
        *max += outcome.open_max;
        result.workers.push(WorkerSummary {
            cpu: pinned,
            connections: share.connections,
            busy_ns: outcome.cpu.busy_ns.saturating_sub(outcome.idle_spin_ns),
            idle_spin_ns: outcome.idle_spin_ns,
            turns: outcome.turns,
            starved_ns: outcome.cpu.starved_ns,
            completed: outcome.record.phase(Phase::Window).completed,
            turn_gap_ns_max: outcome.turn_gap_ns_max,
            broke: outcome.broke.is_some(),
        });
        if let Some(error) = outcome.broke {
            result.remarks.push(broke(&error));
        }
        records.push(outcome.record);
    }
    for record in &records {
        result.total.merge(record);
    }
    result.total.findings.condense(&plan.checks);
    if result.open.at_start < plan.connections && result.window_ns > 0 {
        result.remarks.push(format!(
            "only {} of {} connections were open when the window started",
            result.open.at_start, plan.connections
        ));
    }
    let connections = &result.total.connections;
    let ports = connections.failed.count(ConnectFailure::Ports);
    if ports > 0 {
        result.remarks.push(format!(
            "{ports} connection attempts found no free local port: {}",
            sys::ports_gone()
        ));
    }
    if connections.proxy_status > 0 {
        result.remarks.push(proxy_refused(connections.proxy_status));
    }
    let local = connections.failed.count(ConnectFailure::Local);
    if local > 0 {
        result.remarks.push(format!(
            "{local} connection attempts failed on this machine: {}",
            sys::local_failure(connections.local_errno)
        ));
    }
    (result.seconds, result.over_limits, result.late_ns_max) = timeline.into_parts();
    result.target_on_this_machine = is_target_here(plan);
    result.identities =
        check(&result.total, &records, &result.seconds, plan.connections, target_requests);
    result.verdict = Verdict::Invalid(Vec::new());
    result
}

fn proxy_hint(status: u16) -> &'static str {
    match status {
        407 => "give it a user, --proxy http://user:password@host:port",
        403 | 405 => "it does not allow tunnels to this host and port",
        502..=504 => "it could not reach the target",
        _ => "ask whoever runs it",
    }
}

fn proxy_refused(status: u16) -> String {
    format!("the proxy refused CONNECT with status {status}")
}

fn broke(error: &BackendError) -> String {
    format!("a worker ended early: {error}")
}

fn asked(plan: &Plan) -> Asked {
    let provenance = &plan.provenance;
    Asked {
        url: provenance.url.clone(),
        addresses: plan.addresses.iter().map(ToString::to_string).collect(),
        options: provenance.options.clone(),
        schedule: plan.pacing.as_ref().map(|pacing| asked_schedule(plan, pacing)),
        connections: plan.connections,
        threads: plan.shares.len() as u32,
        depth: plan.depth,
        requests_per_connection: plan.network.requests_per_connection,
        duration_ns: plan.stop.duration_ns,
        requests: plan.stop.requests,
        warmup_ns: plan.warmup_ns,
        drain_ns: plan.drain_ns,
        timeout_ns: plan.timeout_ns,
        connect_timeout_ns: plan.connect_timeout_ns,
        interval_ns: plan.interval_ns,
        seed: plan.seed,
        request_bytes: plan.request.bytes().len() as u64,
        request_hash: fnv1a(plan.request.bytes()),
        notes: provenance.notes.clone(),
        targets: plan.targets.as_deref().map_or_else(Vec::new, asked_targets),
        servers: plan.targets.as_deref().map_or_else(Vec::new, |t| asked_servers(plan, t)),
        checks: plan.checks.clone(),
        thresholds: Vec::new(),
    }
}

/// One target says nothing that the URL does not.
fn asked_targets(targets: &Targets) -> Vec<AskedTarget> {
    let asked = |target: &Target| AskedTarget {
        name: target.name.clone(),
        weight: target.weight,
        server: target.origin,
    };
    let reported = targets.list().iter().take(targets.reported());
    reported.map(asked).collect()
}

fn asked_servers(plan: &Plan, targets: &Targets) -> Vec<AskedServer> {
    if targets.origins().len() < 2 {
        return Vec::new();
    }
    let lanes: Vec<Arc<Lane>> = plan.lanes().into_iter().flatten().collect();
    let bound = |origin: usize| {
        let seats = lanes.iter().flat_map(|lane| lane.seats.iter());
        seats.filter(|seat| seat.origin as usize == origin).count() as u32
    };
    let addresses = |first: u32, count: u32| {
        let range = first as usize..(first + count) as usize;
        plan.addresses[range].iter().map(ToString::to_string).collect()
    };
    let origins = targets.origins().iter().enumerate();
    let server = |(index, origin): (usize, &Origin)| AskedServer {
        name: origin.name.clone(),
        connections: bound(index),
        addresses: addresses(origin.address_first, origin.addresses),
    };
    origins.map(server).collect()
}

fn asked_schedule(plan: &Plan, pacing: &Pacing) -> Schedule {
    Schedule {
        profile: pacing.described.clone(),
        arrivals: pacing.arrivals_name().to_owned(),
        requests: pacing.requests(plan.stop.requests),
        rate_per_s: pacing.mean_rate_per_s(),
        rate_end_per_s: pacing.end_rate_per_s(),
        deadline_ns: pacing.deadline_ns,
        spin_ns: 0,
    }
}

fn manifest(plan: &Plan, started_at: String) -> Manifest {
    let facts = MachineFacts::read();
    Manifest {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at,
        kernel: facts.kernel,
        cpu_model: facts.cpu_model,
        cpus_allowed: sys::allowed_cpus(),
        mitigations: facts.mitigations,
        governor: facts.governor,
        clock_source: facts.clock_source,
        tcp_congestion: plan.tcp_congestion.clone().or(facts.tcp_congestion),
        backend: String::new(),
    }
}

/// A signal that came before the run was done by itself. A run without an end of its own is not cut
/// short by SIGINT: that is how it ends.
fn interrupted(plan: &Plan, signals: &Signals, result: &RunResult) -> Option<Interrupted> {
    let signal = signals.first()?;
    let endless = plan.stop.duration_ns.is_none() && plan.stop.requests.is_none();
    let window_started = result.total.phase(Phase::Window).started;
    let finished = plan.stop.duration_ns.is_some_and(|ns| result.window_ns >= ns)
        || plan.stop.requests.is_some_and(|requests| window_started >= requests);
    match signal {
        _ if finished => None,
        sys::SIGINT if endless && signals.count() == 1 => None,
        sys::SIGINT => Some(Interrupted::Interrupt),
        _ => Some(Interrupted::Terminate),
    }
}
