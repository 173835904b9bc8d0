//! Threads, phases, signals and the merge: a plan becomes a result.
//!
//! Owns the worker threads and the control loop beside them. Knows neither flags nor report formats.
//!
//! The idea: the calling thread is the control thread. It waits for nobody: it looks at the workers'
//! words and queues some twenty times a second, sets the common start when all are open, turns
//! signals into stop requests, and at the end joins the workers and adds their records up.

mod cost;
mod ends;
mod engine;
mod https;
mod progress;
mod quota;
mod session;
mod silence;
mod timeline;
mod unopened;
mod unstarted;
mod wakeup;
mod warmup;

use std::fmt;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::epoll::Epoll;
use crate::inspect::Inspector;
use crate::io::{BackendError, Setup, Spin};
use crate::outcome::ConnectFailure;
use crate::plan::{Arena, EngineChoice, Lane, Origin, Pacing, Plan, Share, Target, Targets};
use crate::record::{
    IntervalReader, IntervalWriter, Phase, Recorder, WorkerRecord, interval_queue,
};
use crate::result::{
    Asked, AskedServer, AskedTarget, Interrupted, Manifest, OpenConnections, RunResult, Schedule,
    Verdict, WorkerSummary, check, fnv1a, judge,
};
use crate::sys::{self, Clock, MachineFacts, Signals};
use crate::units;
use crate::uring::{SetupError, Uring};
use crate::worker::{
    ConnectPace, Control, CpuTime, Outcome, Pace, Patience, Shape, Stop, Task, TlsShape, Worker,
};

use cost::CostWatch;
use engine::{Engine, setup, setup_of_lane};
use progress::ProgressWatch;
use quota::QuotaWatch;
use session::Seat;
use silence::SilenceWatch;
use timeline::Timeline;
use unopened::ProxyRefusal;
use warmup::WarmupWatch;

pub use engine::{settle, settle_together};
pub use progress::Progress;
pub use session::Session;
pub use unopened::{Unopened, UnopenedServer};
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
/// How long beyond an attempt's time a server is waited for that was never reached, in nanoseconds, …
const NEVER_REACHED_NS: u64 = 5_000_000_000;
/// … and one that was.
const LOST_NS: u64 = 30_000_000_000;
/// From this share of the window on that a worker waited for its CPU, it matters which CPUs a target
/// on this machine has.
const STARVED_SHARE_LOOK: f64 = 0.05;
/// Descriptors that a run has for a moment, to read of the machine.
const DESCRIPTORS_SPARE: u64 = 8;
/// Connections that are closing while their successors open, at most, where it is the server that
/// closes them now and then.
const CLOSING: u64 = 64;
/// Those that wring has before it: the standard streams and two report files.
const DESCRIPTORS_BEFORE: u64 = 5;

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
    NothingOpen(Box<Unopened>),
    /// The ring or epoll broke before anything could be opened.
    Broke(BackendError),
    /// All workers panicked, or one whose part cannot be missed; their records are lost.
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
            Self::NothingOpen(unopened) => {
                write!(f, "{}; {}", unopened.message(), unopened.hint())
            }
            Self::Broke(error) => {
                write!(f, "{}; another --engine (uring or epoll) may work", broke(error))
            }
            Self::WorkerLost => f.write_str(
                "a worker thread panicked; its counts are lost, so there is no result. Please \
                 report this with the message above",
            ),
        }
    }
}

/// What a worker thread brings home.
struct Done {
    outcome: Outcome,
    /// Its place among the shares of the plan.
    share: usize,
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

/// Descriptors that a run needs beside those that are open already: each connection is one, and so is
/// each worker's backend. `replaces_all` when no connection is to last, so that each may be closing
/// while its successor opens.
pub fn descriptors(connections: u32, workers: u32, replaces_all: bool) -> u64 {
    let connections = u64::from(connections);
    let closing = if replaces_all { connections } else { connections.min(CLOSING) };
    connections + closing + u64::from(workers) + DESCRIPTORS_SPARE
}

/// How many connections `workers` can have where there may be `descriptors_max` in all.
pub fn connections_within(descriptors_max: u64, workers: u32) -> u64 {
    let left = descriptors_max.saturating_sub(descriptors(0, workers, false) + DESCRIPTORS_BEFORE);
    left.saturating_sub(CLOSING).max(left.min(2 * CLOSING) / 2)
}

/// Descriptors for the connections of all `plans` at once.
fn ensure_descriptors(plans: &[Plan]) -> Result<(), RunError> {
    let needs = plans.iter().map(|plan| {
        let replaces_all = plan.network.requests_per_connection.is_some();
        descriptors(plan.connections, plan.shares.len() as u32, replaces_all)
    });
    let needed = sys::open_descriptors() + needs.sum::<u64>();
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
    ensure_descriptors(std::slice::from_ref(plan))?;
    let started_at = units::format_rfc3339(sys::wall_unix_seconds());
    let Ran { control, seen, done, collected } = work(plan, signals, watch)?;
    let manifest = manifest(plan, started_at);
    let mut result =
        conclude(plan, &control, signals, seen, done, manifest, collected, target_requests())?;
    look_for_tls(plan, &mut result, signals);
    Ok(result)
}

/// Plain requests to a port for TLS measure nothing.
fn look_for_tls(plan: &Plan, result: &mut RunResult, signals: &Signals) {
    if https::speaks_tls(plan, result, signals) {
        result.speaks_tls = true;
        result.verdict = judge(result);
    }
}

/// What is left when the workers of a run have ended.
struct Ran {
    control: Arc<Control>,
    seen: Seen,
    done: Vec<Done>,
    collected: Collected,
}

/// Starts the workers, watches over them, and takes what they bring home.
fn work(plan: &Plan, signals: &Signals, watch: &mut dyn FnMut(&Progress)) -> Result<Ran, RunError> {
    let suspended_before_ns = sys::suspended_ns();
    let clock = Clock::start();
    let control = Arc::new(Control::over(plan.server_count()));
    let (mut handles, mut readers) = (Vec::new(), Vec::new());
    for ((index, share), lane) in plan.dealt().iter().enumerate().zip(plan.lanes()) {
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
    let done = join(handles)?.done;
    let seen = Seen { clock, opening_ns, suspended_before_ns, may_look_for_target: true };
    Ok(Ran { control, seen, done, collected })
}

/// What the control thread saw of a block beside the workers.
struct Seen {
    clock: Clock,
    opening_ns: u64,
    suspended_before_ns: u64,
    /// There is time to find out who serves the target.
    may_look_for_target: bool,
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
    if done.is_empty() {
        return Err(RunError::WorkerLost);
    }
    let Collected { mut timeline, mut cost, quota, warmup, silence, .. } = collected;
    cost.finish(seen.clock.now_ns());
    timeline.collect(true);
    let mut asked = asked(plan);
    let has_begun = control.start_ns().is_some();
    if !has_begun && done.iter().all(|d| d.outcome.record.connections.established == 0) {
        if let Some(error) = done.iter().find_map(|done| done.outcome.broke) {
            return Err(RunError::Broke(error));
        }
        if done.len() < plan.shares.len() {
            return Err(RunError::WorkerLost);
        }
    }
    let is_whole =
        done.len() == plan.shares.len() && done.iter().all(|d| d.outcome.broke.is_none());
    if !has_begun && is_whole && signals.count() == 0 {
        let unopened = Unopened::of(plan, &asked, &done);
        return Err(RunError::NothingOpen(Box::new(unopened)));
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
    result.silent_end = silence.tell(window_start_ns, &result);
    let matters = result.starved_share_max() >= STARVED_SHARE_LOOK;
    if result.target_on_this_machine && matters && seen.may_look_for_target {
        result.target_cpus = sys::cpus_of_listeners(&plan.addresses);
    }
    result.verdict = judge(&result);
    Ok(result)
}

/// What the control thread collects while the workers run.
struct Collected {
    timeline: Timeline,
    cost: CostWatch,
    quota: QuotaWatch,
    warmup: WarmupWatch,
    progress: ProgressWatch,
    silence: SilenceWatch,
}

impl Collected {
    fn new(plan: &Plan, readers: Vec<IntervalReader>) -> Self {
        let limits_ns = plan.pacing.as_ref().map_or(&[][..], |pacing| &pacing.limits_ns);
        Self {
            timeline: Timeline::new(readers).counting(limits_ns),
            cost: CostWatch::new(plan),
            quota: QuotaWatch::new(),
            warmup: WarmupWatch::new(plan),
            progress: ProgressWatch::new(load_ns(plan), plan.pacing.is_some()),
            silence: SilenceWatch::default(),
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
    let Collected { timeline, cost, quota, warmup, progress, silence } = collected;
    let begun_ns = clock.now_ns();
    let mut opening_ns = None;
    let total_ns = load_ns(plan);
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
                let end_ns = control.start_ns().zip(total_ns).map(|(start, ns)| start + ns);
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
        let (now_ns, standing) = (clock.now_ns(), timeline.standing());
        let window_end_ns = window(plan, control).and_then(|(_, end_ns)| end_ns);
        silence.look(now_ns, window_end_ns, standing.completed);
        let elapsed_ns = control.start_ns().map(|ns| now_ns.saturating_sub(ns));
        watch(progress.look(elapsed_ns, standing, timeline.last()));
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
        patience: patience(plan),
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
            share: index,
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

/// How long a run without an end in time waits for a server: an attempt more than its time, and as
/// long as a restart may take where it had been there.
fn patience(plan: &Plan) -> Option<Patience> {
    let stop = &plan.stop;
    let ends_by_count = stop.requests.is_some() && stop.duration_ns.is_none();
    let attempt_ns = opening_ns_max(plan);
    (ends_by_count && !stop.waits).then(|| Patience {
        never_reached_ns: attempt_ns.saturating_add(NEVER_REACHED_NS),
        lost_ns: attempt_ns.saturating_add(LOST_NS),
    })
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

/// What worker threads left behind.
#[derive(Default)]
struct Joined {
    done: Vec<Done>,
    /// One of them panicked, and its part is lost.
    has_lost: bool,
}

fn join(handles: Vec<Handle>) -> Result<Joined, RunError> {
    let mut joined = Joined::default();
    let mut error = None;
    for handle in handles {
        match handle.join() {
            Ok(Ok(done)) => joined.done.extend(done),
            Ok(Err(setup)) => error = Some(setup),
            Err(_) => joined.has_lost = true,
        }
    }
    error.map_or(Ok(joined), Err)
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
    let dealt = plan.dealt();
    let at_work =
        |done: &&Done| dealt.get(done.share).is_some_and(|share| share.requests != Some(0));
    let ends_ns: Vec<u64> =
        done.iter().filter(at_work).map(|done| done.outcome.window_end_ns).collect();
    let last_ns = ends_ns.iter().copied().max();
    let end_ns = last_ns.or_else(|| outcomes().map(|o| o.window_end_ns).max());
    result.window_ns = end_ns.unwrap_or(0).saturating_sub(start_ns);
    result.drain_ns = outcomes().map(|o| o.drain_ns).max().unwrap_or(0);
    result.remarks.extend(not_pinned(plan, &done));
    let mut records: Vec<WorkerRecord> = Vec::with_capacity(done.len());
    let mut done = done.into_iter().peekable();
    for (index, share) in plan.shares.iter().enumerate() {
        let Some(Done { outcome, pinned, .. }) = done.next_if(|done| done.share == index) else {
            result.workers.push(WorkerSummary {
                connections: share.connections,
                broke: true,
                ..WorkerSummary::default()
            });
            result.remarks.push(format!(
                "worker {index}, which had {} of the {} connections, panicked: what it did is not \
                 counted here",
                share.connections, plan.connections
            ));
            continue;
        };
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
        result.given_up = result.given_up.or(outcome.given_up);
        if let Some(error) = outcome.broke {
            result.remarks.push(broke(&error));
        }
        records.push(outcome.record);
    }
    for record in &records {
        result.total.merge(record);
    }
    result.total.findings.condense(&plan.checks);
    if plan.server_count() < 2 {
        // What there is to say of the only one is said in total.
        result.total.servers.clear();
    }
    unstarted::tell(plan, &mut result);
    if plan.pacing.is_none() && plan.stop.requests.is_some() {
        let median_ns = result.total.latency.quantile(0.5);
        result.remarks.extend(ends::apart(&ends_ns, result.window_ns, median_ns));
    }
    let is_whole = records.len() == plan.shares.len();
    if result.open.at_start < plan.connections && result.window_ns > 0 && is_whole {
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
    if let Some(refusal) = ProxyRefusal::of(connections, plan) {
        result.remarks.push(refusal.words());
    }
    let local = connections.failed.count(ConnectFailure::Local);
    if local > 0 {
        result.remarks.push(format!(
            "{local} connection attempts failed on this machine: {}",
            sys::local_failure(connections.local_errno)
        ));
    }
    if is_whole {
        (result.seconds, result.over_limits, result.late_ns_max) = timeline.into_parts();
    } else {
        // Both hold what a worker did whose counts are lost.
        result.target_requests = None;
    }
    result.target_on_this_machine = is_target_here(plan);
    let target_requests = result.target_requests;
    result.identities =
        check(&result.total, &records, &result.seconds, plan.connections, target_requests);
    result.verdict = Verdict::Invalid(Vec::new());
    result
}

/// That workers are not on the CPUs chosen for them.
fn not_pinned(plan: &Plan, done: &[Done]) -> Option<String> {
    let meant = plan.shares.iter().filter(|share| share.cpu.is_some()).count();
    let pinned = done.iter().filter(|done| done.pinned.is_some()).count();
    (pinned < meant).then(|| {
        format!(
            "{} of {meant} workers could not be pinned to their CPUs (sched_setaffinity was refused) \
             and ran where the system put them",
            meant - pinned
        )
    })
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
        connect_rate_per_s: plan.network.connect_rate.map(|rate| rate.per_s()),
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
        _ => interrupted_by(signals),
    }
}

/// Which signal came first, of those that end something; `None` before any.
pub fn interrupted_by(signals: &Signals) -> Option<Interrupted> {
    signals.first().map(|signal| match signal {
        sys::SIGINT => Interrupted::Interrupt,
        _ => Interrupted::Terminate,
    })
}

#[cfg(test)]
mod tests;
