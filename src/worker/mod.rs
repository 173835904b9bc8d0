//! The turn loop: one worker's connections, its phases and its timers.
//!
//! Owns a backend, a share of the plan's connections and a recorder. Knows neither threads nor the
//! kernel nor text. Generic over the backend alone.
//!
//! Each turn: submit and wait (the backend), stamp (one clock read), move time on, change phase if it
//! is time, hand each completion to its connection, start what may be started, and every now and then
//! look at the timers. Changing phase comes before the completions, so that an answer stamped at or
//! after the end of the window never counts inside it.
//!
//! In a closed loop a connection with room starts a request at once. On a schedule `release` says
//! what is due and who takes it, after a second clock read: the completions have taken their time.
//! Where requests are not all the same, `mixed` keeps their order.

mod blocks;
mod control;
mod delays;
mod mixed;
mod opener;
mod partings;
mod places;
mod reach;
mod release;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

use crate::conn::{Conn, Context, Memo, PARTING_NS, Pumped, Status};
use crate::io::{Backend, BackendError, Completion, Completions};
use crate::limits;
use crate::plan::{Lane, Seat};
use crate::record::{Phase, PhaseCounts, Recorder, WorkerRecord};
use crate::rng::Rng;

pub use crate::conn::{Shape, TlsShape};
pub use blocks::Block;
pub use control::{Control, Stop};
pub use opener::ConnectPace;
pub use reach::Patience;
pub use release::Pace;

use mixed::Mixed;
use opener::Opener;
use partings::Partings;
use reach::Reach;
use release::Release;

/// How often timers and the stop flag are looked at, in nanoseconds.
const TICK_NS: u64 = 10_000_000;
/// While requests wait, a turn this long is asked whether the thread was kept from running, in
/// nanoseconds.
const STARVED_LOOK_NS: u64 = 200_000;
/// A turn that takes less than this, in nanoseconds, did not wait for what it brought.
const AT_ONCE_NS: u64 = 50_000;
/// Handling what a turn brought never takes this long, in nanoseconds, unless the thread lost its CPU
/// meanwhile.
const HANDLING_NS_MAX: u64 = 1_000_000;
/// How often a ready worker looks whether the others are ready too, in nanoseconds.
const STANDBY_NS: u64 = 1_000_000;
/// Connection attempts under way at once, at least; many more would overflow common listen
/// backlogs, many less would make opening wait for the network.
const CONNECTING_MIN: u32 = 128;

/// So many first TLS handshakes that all failed alike tell enough.
const HOPELESS_HANDSHAKES: u32 = 8;

/// What one worker is to do.
#[derive(Clone, Debug)]
pub struct Task {
    /// Number of connections.
    pub connections: u32,
    /// Index of the first among all workers' connections; decides addresses.
    pub connection_first: u32,
    /// Number of addresses the backend was given.
    pub addresses: u32,
    /// Requests to start in the window; `None` is without bound.
    pub requests: Option<u64>,
    /// When they are to leave; `None` is a closed loop.
    pub pace: Option<Pace>,
    /// Length of the window in nanoseconds; `None` is without bound.
    pub duration_ns: Option<u64>,
    /// For how long a server that cannot be reached holds the window up; `None` is without bound.
    pub patience: Option<Patience>,
    /// Warm-up before the window, in nanoseconds.
    pub warmup_ns: u64,
    /// Longest drain, in nanoseconds.
    pub drain_ns: u64,
    /// Longest opening, in nanoseconds.
    pub opening_ns: u64,
    /// At which rate attempts begin; `None` is as fast as they end.
    pub connect_pace: Option<ConnectPace>,
    /// What the connections have in common.
    pub shape: Shape,
    /// The requests in their order, where they are not all the same; it then also says what the
    /// connections are bound to.
    pub lane: Option<Arc<Lane>>,
    /// Seed of the jitter, and of what is filled in at random.
    pub seed: u64,
}

impl Task {
    /// What a connection is bound to. Without several servers they are spread over the addresses.
    fn seat(&self, index: u32) -> Seat {
        if let Some(lane) = &self.lane {
            return lane.seats[index as usize];
        }
        let addresses = self.addresses.max(1);
        let address = (self.connection_first + index) % addresses;
        Seat { origin: 0, address, address_first: 0, addresses }
    }

    /// Number of servers.
    fn servers(&self) -> u32 {
        self.lane.as_ref().map_or(1, |lane| lane.targets().origins().len() as u32)
    }
}

/// What a thread made of its time, in nanoseconds since it began.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct CpuTime {
    /// Time it ran.
    pub busy_ns: u64,
    /// Time it was ready to run and waited for a CPU.
    pub starved_ns: u64,
}

/// What one worker brings home.
#[derive(Debug)]
pub struct Outcome {
    /// Everything it counted.
    pub record: WorkerRecord,
    /// When its window started and ended, in the backend's time; 0 when it came to none.
    pub window_start_ns: u64,
    /// See above.
    pub window_end_ns: u64,
    /// CPU time used during the window, looking for work in vain included.
    pub cpu: CpuTime,
    /// Time it looked for work in vain during the window, in nanoseconds.
    pub idle_spin_ns: u64,
    /// How long the drain took, in nanoseconds.
    pub drain_ns: u64,
    /// Longest time between two turns of the window that was no wait it wanted, in nanoseconds.
    pub turn_gap_ns_max: u64,
    /// Turns taken in the window.
    pub turns: u64,
    /// Connections open when the window started, and the fewest and most during it; if it never did,
    /// those open at the end.
    pub open_at_start: u32,
    /// See above.
    pub open_min: u32,
    /// See above.
    pub open_max: u32,
    /// The server for which it was waited in vain, so that the window ended early.
    pub given_up: Option<u32>,
    /// Why it ended, if the backend broke.
    pub broke: Option<BackendError>,
}

/// One worker.
#[derive(Debug)]
pub struct Worker<B> {
    backend: B,
    task: Task,
    recorder: Recorder,
    memo: Memo,
    rng: Rng,
    conns: Vec<Conn>,
    /// Connections that may have something to push or to start; each at most once.
    ready: VecDeque<u32>,
    is_ready: Vec<bool>,
    /// Connections that are down, by the time they may be tried again; each at most once.
    retries: BinaryHeap<Reverse<(u64, u32)>>,
    opener: Opener,
    partings: Partings,
    connecting: u32,
    open: u32,
    /// Connections that are not open yet and have not met every address.
    untried: u32,
    /// Attempts of each connection that ended, up to the number of addresses.
    tried: Vec<u32>,
    reach: Reach,
    requests_left: u64,
    release: Option<Box<Release>>,
    mixed: Option<Box<Mixed>>,
    turn: u64,
    /// When the backend came back from this turn.
    stamp_ns: u64,
    /// When this turn's news could have been known.
    woken_ns: u64,
    /// Since when the loop was not there, when it came back to find nothing; else out of reach.
    unseen_since_ns: u64,
    /// What the thread had waited for a CPU when that was last asked.
    starved_seen_ns: u64,
    next_tick_ns: u64,
    /// No connection has waited too long before this.
    next_expiry_ns: u64,
    window: Window,
    cpu_time: fn() -> CpuTime,
}

/// What a worker notes of its window, beside the record.
#[derive(Debug, Default)]
struct Window {
    start_ns: u64,
    end_ns: u64,
    /// When it will end by itself.
    deadline_ns: u64,
    cpu_at_start: CpuTime,
    cpu: CpuTime,
    idle_spin_at_start_ns: u64,
    idle_spin_ns: u64,
    turn_gap_ns_max: u64,
    turns: u64,
    drain_start_ns: u64,
    open_at_start: u32,
    open_min: u32,
    open_max: u32,
    given_up: Option<u32>,
}

impl Window {
    fn outcome(self, record: WorkerRecord, drain_ns: u64, broke: Option<BackendError>) -> Outcome {
        Outcome {
            record,
            window_start_ns: self.start_ns,
            window_end_ns: self.end_ns,
            drain_ns,
            cpu: self.cpu,
            idle_spin_ns: self.idle_spin_ns,
            turn_gap_ns_max: self.turn_gap_ns_max,
            turns: self.turns,
            open_at_start: self.open_at_start,
            open_min: self.open_min,
            open_max: self.open_max,
            given_up: self.given_up,
            broke,
        }
    }
}

impl<B: Backend> Worker<B> {
    /// Prepares everything; nothing is allocated after it. `cpu_time` tells the calling thread's.
    pub fn new(backend: B, task: Task, recorder: Recorder, cpu_time: fn() -> CpuTime) -> Self {
        let count = task.connections as usize;
        if let Some(tls) = &task.shape.tls {
            tls.client.prepare();
        }
        let conns = (0..task.connections)
            .map(|index| Conn::new(index, task.seat(index), &task.shape))
            .collect();
        let mut retries = BinaryHeap::with_capacity(count + 1);
        retries.extend((0..task.connections).map(|index| Reverse((0, index))));
        Self {
            backend,
            recorder: recorder.over_addresses(task.addresses).over_servers(task.servers()),
            memo: Memo::new(),
            rng: Rng::new(task.seed),
            conns,
            ready: VecDeque::with_capacity(count + 1),
            is_ready: vec![false; count],
            retries,
            opener: Opener::default(),
            partings: Partings::new(task.connections),
            connecting: 0,
            open: 0,
            untried: task.connections,
            tried: vec![0; count],
            reach: Reach::new(task.servers()),
            requests_left: task.requests.unwrap_or(u64::MAX),
            release: task
                .pace
                .clone()
                .map(|pace| Box::new(Release::new(pace, task.connections, task.lane.as_ref()))),
            mixed: task
                .lane
                .clone()
                .map(|lane| Box::new(Mixed::new(lane, task.connections, task.seed))),
            turn: 0,
            stamp_ns: 0,
            woken_ns: 0,
            unseen_since_ns: u64::MAX,
            starved_seen_ns: 0,
            next_tick_ns: 0,
            next_expiry_ns: 0,
            window: Window::default(),
            cpu_time,
            task,
        }
    }

    /// Runs from opening to the end of the drain.
    pub fn run(mut self, control: &Control) -> (Outcome, B) {
        let mut done = Completions::with_capacity(limits::COMPLETIONS_PER_TURN);
        let broke = self.phases(control, &mut done).err();
        if broke.is_some() {
            // What the others measure without this worker is not what was asked for.
            control.request_stop(Stop::Drain);
        }
        self.finish(&mut done, broke)
    }

    fn phases(&mut self, control: &Control, done: &mut Completions) -> Result<(), BackendError> {
        let now_ns = self.backend.now_ns();
        self.recorder.advance(now_ns);
        self.opener = Opener::new(self.task.connect_pace, now_ns);
        let opening_end_ns = now_ns.saturating_add(self.task.opening_ns);
        while self.untried > 0
            && self.recorder.now_ns() < opening_end_ns
            && control.stop() == Stop::No
            && !self.is_hopeless()
        {
            self.turn(opening_end_ns, done)?;
        }
        let mut open_told = self.open;
        control.opened(open_told);
        // Ready connections wait idle until every worker is.
        let start_ns = loop {
            match control.start_ns() {
                Some(start_ns) if self.recorder.now_ns() >= start_ns => break start_ns,
                Some(start_ns) => self.turn(start_ns, done)?,
                None if control.stop() != Stop::No => return Ok(()),
                None => self.turn(self.recorder.now_ns() + STANDBY_NS, done)?,
            }
            if self.open > open_told {
                control.opened_late(self.open - open_told);
                open_told = self.open;
            }
        };
        self.reach.begin(self.task.patience, start_ns);
        self.window.start_ns = start_ns + self.task.warmup_ns;
        self.window.end_ns = self.window.start_ns;
        let duration_ns = self.task.duration_ns.unwrap_or(u64::MAX);
        self.window.deadline_ns = self.window.start_ns.saturating_add(duration_ns);
        // All workers' intervals lie alike, and as the schedule does.
        self.recorder.start_series(start_ns);
        if self.task.warmup_ns > 0 {
            self.recorder.enter(Phase::Warmup);
            if let Some(release) = &mut self.release {
                release.begin_warmup(start_ns);
            }
        }
        // Whoever wakes late may have missed all of the warm-up: what starts now is the window's. And
        // whoever has missed all of the window starts nothing.
        if self.recorder.now_ns() >= self.window.start_ns {
            self.enter_window();
        }
        if self.recorder.now_ns() >= self.window.deadline_ns {
            self.enter_drain(self.window.deadline_ns);
        } else {
            self.start_all();
        }
        while matches!(self.recorder.phase(), Phase::Warmup | Phase::Window) {
            if control.stop() != Stop::No || self.has_finished() || self.gives_up(control) {
                self.enter_drain(self.recorder.now_ns());
                break;
            }
            if self.recorder.phase() == Phase::Warmup {
                self.heed_window(control);
            }
            self.turn(self.next_tick_ns, done)?;
        }
        let drain_end_ns = self.window.drain_start_ns + self.task.drain_ns;
        while self.recorder.inflight() > 0
            && self.recorder.now_ns() < drain_end_ns
            && control.stop() != Stop::AtOnce
        {
            self.turn(drain_end_ns, done)?;
        }
        Ok(())
    }

    /// First TLS handshakes enough have failed, all for the same reason, and no other connection's
    /// first attempt is under way: more of them would tell nothing new. This worker's opening is then
    /// over; whether the run is, is for those to say who see all workers.
    fn is_hopeless(&self) -> bool {
        let record = self.recorder.record();
        let Some(tls) = &record.tls else { return false };
        let enough = self.task.connections.min(HOPELESS_HANDSHAKES).max(self.task.addresses);
        let failed = tls.faults.total();
        let is_first =
            |(conn, tried): (&Conn, &u32)| *tried == 0 && conn.status() == Status::Connecting;
        failed >= u64::from(enough)
            && record.connections.established + record.connections.carried == 0
            && tls.faults.iter().any(|(_, count)| count == failed)
            && !self.conns.iter().zip(&self.tried).any(is_first)
    }

    /// The warm-up may be ended before its time.
    fn heed_window(&mut self, control: &Control) {
        if let Some(start_ns) = control.window_ns().filter(|&ns| ns < self.window.start_ns) {
            // A worker that hears of it too late has started requests of the warm-up after that time:
            // its window begins behind them.
            let start_ns = start_ns.max(self.recorder.now_ns() + 1);
            self.window.start_ns = start_ns;
            self.window.end_ns = start_ns;
            let duration_ns = self.task.duration_ns.unwrap_or(u64::MAX);
            self.window.deadline_ns = start_ns.saturating_add(duration_ns);
        }
    }

    /// Every request this worker was to start in the window has ended.
    fn has_finished(&self) -> bool {
        self.has_started_all() && self.recorder.inflight() == 0
    }

    /// Nothing more is to start in the window.
    fn has_started_all(&self) -> bool {
        let started = match &self.release {
            Some(release) => self.task.requests.is_some() && release.is_exhausted(),
            None => self.requests_left == 0,
        };
        self.recorder.phase() == Phase::Window && started
    }

    /// Changes phase when its time has come. What is stamped with the boundary belongs to the later
    /// phase.
    #[inline]
    fn step_phase(&mut self, gap_ns: u64) {
        let now_ns = self.recorder.now_ns();
        match self.recorder.phase() {
            Phase::Warmup if now_ns >= self.window.start_ns => self.enter_window(),
            Phase::Window => {
                self.window.turn_gap_ns_max = self.window.turn_gap_ns_max.max(gap_ns);
                self.window.turns += 1;
                if now_ns >= self.window.deadline_ns {
                    // What became due just before the end leaves in the turn that meets the end.
                    while self.release_due() {}
                    self.enter_drain(self.window.deadline_ns);
                }
            }
            _ => {}
        }
    }

    fn enter_window(&mut self) {
        if let Some(release) = &mut self.release {
            release.close(self.window.start_ns, &mut self.recorder);
            release.begin_window(self.window.start_ns);
        }
        if let Some(mixed) = &mut self.mixed {
            mixed.mix.seek(0);
        }
        self.window.cpu_at_start = (self.cpu_time)();
        self.window.idle_spin_at_start_ns = self.backend.idle_spin_ns();
        self.window.open_at_start = self.open;
        self.window.open_min = self.open;
        self.window.open_max = self.open;
        self.window.turn_gap_ns_max = self.recorder.now_ns().saturating_sub(self.window.start_ns);
        self.recorder.enter_window(self.window.start_ns);
    }

    /// Ends the window, or the warm-up when the run is stopped in it.
    fn enter_drain(&mut self, window_end_ns: u64) {
        if let Some(release) = &mut self.release {
            release.close(window_end_ns, &mut self.recorder);
        }
        if self.recorder.phase() == Phase::Window {
            let (now, before) = ((self.cpu_time)(), self.window.cpu_at_start);
            self.window.cpu = CpuTime {
                busy_ns: now.busy_ns.saturating_sub(before.busy_ns),
                starved_ns: now.starved_ns.saturating_sub(before.starved_ns),
            };
            let idle_spin_ns = self.backend.idle_spin_ns();
            self.window.idle_spin_ns = idle_spin_ns - self.window.idle_spin_at_start_ns;
            self.window.end_ns = window_end_ns;
        } else {
            (self.window.start_ns, self.window.end_ns) = (0, 0);
        }
        self.window.drain_start_ns = self.recorder.now_ns();
        self.window.given_up = self.reach.given_up;
        self.recorder.enter(Phase::Drain);
    }

    /// One turn: wait until `until_ns` at the latest, then handle everything that came.
    fn turn(&mut self, until_ns: u64, done: &mut Completions) -> Result<(), BackendError> {
        let mut until_ns = until_ns.min(self.next_tick_ns).min(self.phase_end_ns());
        if let Some(Reverse((retry_ns, _))) = self.retries.peek()
            && self.may_connect()
        {
            until_ns = until_ns.min((*retry_ns).max(self.opener.next_ns()));
        }
        until_ns = until_ns.min(self.partings.next_ns());
        if !self.ready.is_empty() {
            until_ns = 0;
        }
        if let Some(release) = &self.release
            && self.is_loaded()
        {
            until_ns = until_ns.min(release.wake_ns());
        }
        let last_ns = self.recorder.now_ns();
        self.backend.turn(until_ns, done)?;
        self.turn += 1;
        let now_ns = done.stamp_ns;
        // Handling the turn before, and coming back later than asked.
        let wanted_ns = until_ns.clamp(last_ns, now_ns.max(last_ns));
        let gap_ns = last_ns.saturating_sub(self.stamp_ns) + now_ns.saturating_sub(wanted_ns);
        self.stamp_ns = now_ns;
        self.end_intervals(now_ns, gap_ns);
        self.recorder.advance(now_ns);
        let had_room = self.note_delay(last_ns, until_ns, done.items.is_empty());
        self.step_phase(gap_ns);
        if now_ns >= self.next_expiry_ns {
            self.end_late(&done.items);
        }
        let is_stale = !done.items.is_empty();
        for completion in done.items.drain(..) {
            self.complete(completion);
        }
        if let Some(release) = &mut self.release
            && release.has_room()
        {
            // What brought no connection back has held up nothing.
            release.note_delay(self.woken_ns, now_ns, had_room, self.open);
        }
        if self.release.is_some() && self.is_loaded() {
            if is_stale {
                self.look_again(had_room);
            }
            self.release_due();
        }
        self.pump_ready();
        self.end_partings();
        self.connect_due();
        if now_ns >= self.next_tick_ns {
            self.next_tick_ns = now_ns + TICK_NS;
            self.recorder.show();
            self.check_times();
            if self.release.is_some() {
                self.starved_seen_ns = (self.cpu_time)().starved_ns;
            }
        }
        self.check_counts();
        Ok(())
    }

    /// Requests may start.
    fn is_loaded(&self) -> bool {
        matches!(self.recorder.phase(), Phase::Warmup | Phase::Window)
    }

    /// On a schedule: finds out for how long this turn's news could have been known, had the loop been
    /// there: it came back later than it wanted to, or was ready to run and got no CPU. With no
    /// connection free, the news were answers, which came one after the other while it was away, for
    /// as long as an answer takes at least: in the middle of that, on average. A turn that was
    /// interrupted brings nothing, and what had come meanwhile is there at once in the next. True when
    /// a connection was free.
    fn note_delay(&mut self, last_ns: u64, until_ns: u64, is_empty: bool) -> bool {
        let Some(release) = &self.release else { return false };
        let now_ns = self.recorder.now_ns();
        let mut delay_ns = now_ns - until_ns.clamp(last_ns, now_ns);
        if release.backlog() > 0 && now_ns - last_ns >= STARVED_LOOK_NS {
            let starved_ns = (self.cpu_time)().starved_ns;
            let more_ns = starved_ns.saturating_sub(self.starved_seen_ns);
            self.starved_seen_ns = starved_ns;
            delay_ns = delay_ns.max(more_ns.min(now_ns - last_ns));
        }
        if now_ns - last_ns < AT_ONCE_NS {
            delay_ns = delay_ns.max(now_ns.saturating_sub(self.unseen_since_ns));
        }
        let was_away = delay_ns >= AT_ONCE_NS;
        self.unseen_since_ns = if is_empty && was_away { now_ns - delay_ns } else { u64::MAX };
        let had_room = release.has_room();
        if !had_room {
            delay_ns -= delay_ns.min(self.recorder.service_least_ns()) / 2;
        }
        self.woken_ns = now_ns - delay_ns;
        had_room
    }

    /// On a schedule: reads the clock once more, as what is sent now leaves after all that was handled.
    fn look_again(&mut self, had_room: bool) {
        let now_ns = self.backend.now_ns();
        if let Some(release) = &mut self.release
            && now_ns.saturating_sub(self.stamp_ns) >= HANDLING_NS_MAX
            && release.has_room()
        {
            release.note_delay(self.stamp_ns, now_ns, had_room, self.open);
        }
        self.end_intervals(now_ns, now_ns.saturating_sub(self.stamp_ns));
        self.recorder.advance(now_ns);
    }

    /// Tells the series that the loop was not there for the last `gap_ns`. On a schedule, intervals
    /// that are over by `now_ns` are ended one by one, each with what became due in it, however long
    /// nobody looked.
    #[inline]
    fn end_intervals(&mut self, now_ns: u64, gap_ns: u64) {
        let gone_ns = now_ns.saturating_sub(gap_ns);
        let schedule_end_ns = self.schedule_end_ns();
        if let Some(release) = &mut self.release
            && matches!(self.recorder.phase(), Phase::Warmup | Phase::Window)
        {
            while let Some(end_ns) = self.recorder.interval_over(now_ns) {
                let due = release.count_due_before(end_ns.min(schedule_end_ns));
                self.recorder.end_interval(end_ns, gone_ns, due);
            }
        }
        self.recorder.stood_still(gone_ns, now_ns);
    }

    /// Where the schedule of this phase ends. A warm-up that ends by itself has one that is longer, and
    /// what is due in the window is the window's.
    fn schedule_end_ns(&self) -> u64 {
        match self.recorder.phase() {
            Phase::Warmup => self.window.start_ns,
            _ => u64::MAX,
        }
    }

    /// On a schedule: starts what is due, as far as connections have room and one turn goes. True
    /// when it could go on.
    fn release_due(&mut self) -> bool {
        let Some(mut release) = self.release.take() else { return false };
        let mut mixed = self.mixed.take();
        let schedule_end_ns = self.schedule_end_ns();
        release.become_due(&mut self.recorder, schedule_end_ns);
        let mut sends_left = release.sends_max();
        let mut could_go_on = false;
        while release.backlog() > 0
            && let Some((index, allowed)) = release.pick(sends_left)
            && let Some((conn, mut ctx)) = self.split(index)
        {
            could_go_on = sends_left == 0;
            if could_go_on {
                break;
            }
            let (next, origin) = (release.next_index(), conn.origin());
            let leave = |recorder: &mut Recorder| release.leave(recorder);
            let started = match &mut mixed {
                None => conn.start_due(&mut ctx, allowed, leave),
                Some(mixed) => {
                    mixed.mix.seek(next);
                    conn.start_due_mixed(&mut ctx, &mut mixed.mix, allowed, leave)
                }
            };
            if started == 0 {
                // The queue empties with the next turn, which must not wait for that.
                self.make_ready(index);
                break;
            }
            sends_left -= 1;
            release.note(origin, index, conn.room() > 0, false, self.woken_ns);
        }
        self.mixed = mixed;
        self.release = Some(release);
        could_go_on
    }

    /// When the current phase ends by itself.
    fn phase_end_ns(&self) -> u64 {
        match self.recorder.phase() {
            Phase::Warmup => self.window.start_ns,
            Phase::Window => self.window.deadline_ns,
            Phase::Opening | Phase::Drain => u64::MAX,
        }
    }

    /// The load begins: every connection starts what it may.
    fn start_all(&mut self) {
        for index in 0..self.conns.len() as u32 {
            self.make_ready(index);
        }
        self.pump_ready();
    }

    #[inline]
    fn complete(&mut self, completion: Completion) {
        let index = completion.token.index();
        let allowed = self.allowed();
        let Some((conn, mut ctx)) = self.split(index) else { return };
        let before = conn.status();
        conn.complete(completion, &mut ctx);
        if allowed == 0 || before != Status::Open || conn.status() != Status::Open {
            return self.after(index, before);
        }
        // What nearly all completions of a closed loop are: an answer, and the next request.
        let (started, waits) = start(conn, &mut ctx, allowed);
        let waits = waits || conn.has_wishes();
        self.started(index, started, waits);
    }

    /// Books what a call changed about a connection, and lets it go on.
    #[inline]
    fn after(&mut self, index: u32, before: Status) {
        let now = self.conns[index as usize].status();
        if before != now {
            self.changed(index, before, now);
        }
        if let Some(release) = &mut self.release {
            let conn = &self.conns[index as usize];
            release.note(conn.origin(), index, conn.room() > 0, conn.is_idle(), self.woken_ns);
        } else if self.mixed.is_some() {
            self.start_mixed(index);
        } else if now == Status::Open {
            let allowed = self.allowed();
            let Some((conn, mut ctx)) = self.split(index) else { return };
            let (started, waits) = start(conn, &mut ctx, allowed);
            self.started(index, started, waits);
        }
        // Whatever found no room in the queue is pushed after the next turn.
        if self.conns[index as usize].has_wishes() {
            self.make_ready(index);
        }
    }

    #[cold]
    fn changed(&mut self, index: u32, before: Status, now: Status) {
        let is = |status: Status, this: Status| u32::from(status == this);
        self.open = self.open + is(now, Status::Open) - is(before, Status::Open);
        self.connecting =
            self.connecting + is(now, Status::Connecting) - is(before, Status::Connecting);
        let addresses = self.conns[index as usize].addresses();
        if before == Status::Connecting && self.tried[index as usize] < addresses {
            // Opening is over for a connection when it is open or has met every address.
            let tried = &mut self.tried[index as usize];
            *tried = if now == Status::Open { addresses } else { *tried + 1 };
            self.untried -= u32::from(*tried == addresses);
        }
        let origin = self.conns[index as usize].origin();
        match (before, now) {
            (_, Status::Open) => self.reach.opened(origin),
            (Status::Open, _) => self.reach.ended(origin),
            _ => {}
        }
        if now == Status::Parting {
            self.partings.add(self.recorder.now_ns() + PARTING_NS, index);
        }
        if self.recorder.phase() == Phase::Window {
            self.window.open_min = self.window.open_min.min(self.open);
            self.window.open_max = self.window.open_max.max(self.open);
        }
        if let Some(retry_ns) = self.conns[index as usize].retry_ns() {
            self.retries.push(Reverse((retry_ns, index)));
        }
    }

    /// Books what a closed loop has started.
    #[inline]
    fn started(&mut self, index: u32, started: u32, waits: bool) {
        if self.recorder.phase() == Phase::Window && self.requests_left != u64::MAX {
            self.requests_left -= u64::from(started);
        }
        if waits {
            self.make_ready(index);
        }
    }

    /// How many requests a closed loop may start now, all of one kind; 0 where they start otherwise.
    #[inline]
    fn allowed(&self) -> u64 {
        if self.release.is_some() || self.mixed.is_some() {
            return 0;
        }
        match self.recorder.phase() {
            Phase::Warmup => u64::MAX,
            Phase::Window => self.requests_left,
            Phase::Opening | Phase::Drain => 0,
        }
    }

    fn make_ready(&mut self, index: u32) {
        if !std::mem::replace(&mut self.is_ready[index as usize], true) {
            self.ready.push_back(index);
        }
    }

    #[inline]
    fn pump_ready(&mut self) {
        for _ in 0..self.ready.len() {
            let Some(index) = self.ready.pop_front() else { return };
            self.is_ready[index as usize] = false;
            let Some((conn, mut ctx)) = self.split(index) else { continue };
            let before = conn.status();
            conn.settle(&mut ctx);
            if conn.pump(&mut ctx) == Pumped::QueueFull {
                if conn.status() != before {
                    self.after(index, before);
                }
                self.make_ready(index);
                return;
            }
            self.after(index, before);
        }
    }

    fn may_connect(&self) -> bool {
        let most = CONNECTING_MIN.max(self.task.connections / 8);
        // A connection that nothing will be sent on is not opened any more.
        let is_of_use = self.recorder.phase() != Phase::Drain && !self.has_started_all();
        self.connecting < most && is_of_use
    }

    /// Gives up on peers that announced a close and take too long.
    fn end_partings(&mut self) {
        while let Some(index) = self.partings.take(self.recorder.now_ns()) {
            self.check_time(index);
            if let Some(until_ns) = self.conns[index as usize].parting_until_ns() {
                self.partings.add(until_ns, index);
            }
        }
    }

    /// Begins the attempts whose time has come.
    #[inline]
    fn connect_due(&mut self) {
        while let Some(&Reverse((retry_ns, index))) = self.retries.peek()
            && self.may_connect()
        {
            let now_ns = self.recorder.now_ns();
            if retry_ns.max(self.opener.next_ns()) > now_ns {
                return;
            }
            let Some((conn, mut ctx)) = self.split(index) else { return };
            if conn.connect(&mut ctx) == Pumped::QueueFull {
                // The queue empties with the next turn, which must not wait for that.
                self.make_ready(index);
                return;
            }
            self.retries.pop();
            self.opener.pass(now_ns);
            self.after(index, Status::Down);
        }
    }

    /// Ends what has waited too long. Going through all connections is put off until the first of
    /// them can have: what begins after it cannot before its own time is over.
    fn check_times(&mut self) {
        let now_ns = self.recorder.now_ns();
        if now_ns < self.next_expiry_ns {
            return;
        }
        let Shape { timeout_ns, connect_timeout_ns, .. } = self.task.shape;
        self.next_expiry_ns = now_ns.saturating_add(timeout_ns.min(connect_timeout_ns));
        for index in 0..self.conns.len() as u32 {
            self.check_time(index);
            // Partings have a list of their own.
            let conn = &self.conns[index as usize];
            if conn.status() != Status::Parting {
                self.next_expiry_ns = self.next_expiry_ns.min(conn.expiry_ns(&self.task.shape));
            }
        }
    }

    /// What came after its request's time is no answer any more, however early the kernel had it: the
    /// request ends before its connection hears of it. Only for turns in which anything can be late.
    #[cold]
    fn end_late(&mut self, items: &[Completion]) {
        for item in items {
            let index = item.token.index();
            if self.conns.get(index as usize).is_some_and(|conn| conn.status() == Status::Open) {
                self.check_time(index);
            }
        }
    }

    fn check_time(&mut self, index: u32) {
        let Some((conn, mut ctx)) = self.split(index) else { return };
        let before = conn.status();
        conn.check_time(&mut ctx);
        if conn.status() != before {
            self.after(index, before);
        }
    }

    /// The identities that cost nothing to check, once a turn in debug builds.
    fn check_counts(&self) {
        if cfg!(debug_assertions) {
            let record = self.recorder.record();
            let sum = |pick: fn(&PhaseCounts) -> u64| record.phases.iter().map(pick).sum::<u64>();
            let started = sum(|phase| phase.started);
            let ended = sum(|phase| phase.completed + phase.failed.total());
            let given_up = sum(|phase| phase.unsent + phase.shed);
            let due = sum(|phase| phase.due);
            debug_assert_eq!(due, started + given_up + self.recorder.backlog(), "I1");
            debug_assert_eq!(started, ended + self.recorder.inflight(), "I2");
        }
    }

    /// How long the drain has taken, from the window's end on: answers that came in the very turn which
    /// met that end took a part of it.
    fn drained_ns(&self) -> u64 {
        match (self.recorder.phase(), self.window.end_ns) {
            (Phase::Drain, 0) => self.recorder.now_ns() - self.window.drain_start_ns,
            (Phase::Drain, end_ns) => self.recorder.now_ns().saturating_sub(end_ns),
            _ => 0,
        }
    }

    /// Counts what is unresolved, closes every connection and lets the closes out.
    fn finish(mut self, done: &mut Completions, broke: Option<BackendError>) -> (Outcome, B) {
        let drain_ns = self.drained_ns();
        if self.window.end_ns == 0 {
            let window = &mut self.window;
            (window.open_at_start, window.open_min, window.open_max) =
                (self.open, self.open, self.open);
        }
        if let Some(release) = &mut self.release {
            release.stamp_unsent(&mut self.recorder);
        }
        for index in 0..self.conns.len() as u32 {
            if let Some((conn, mut ctx)) = self.split(index) {
                conn.finish(&mut ctx);
            }
            self.make_ready(index);
        }
        // The last turn lets the last closes out.
        let mut last = broke.is_some();
        while !last {
            last = self.ready.is_empty();
            if self.backend.turn(0, done).is_err() {
                break;
            }
            self.turn += 1;
            for completion in done.items.drain(..) {
                let index = completion.token.index();
                if let Some((conn, mut ctx)) = self.split(index) {
                    conn.complete(completion, &mut ctx);
                }
            }
            self.pump_ready();
        }
        (self.window.outcome(self.recorder.finish(), drain_ns, broke), self.backend)
    }

    #[inline]
    fn split(&mut self, index: u32) -> Option<(&mut Conn, Context<'_, B>)> {
        let ctx = Context {
            backend: &mut self.backend,
            recorder: &mut self.recorder,
            memo: &mut self.memo,
            shape: &self.task.shape,
            rng: &mut self.rng,
            turn: self.turn,
        };
        Some((self.conns.get_mut(index as usize)?, ctx))
    }
}

/// Starts as many requests of a closed loop as the connection has room for and are allowed. Answers
/// with their number, and whether the queue was too full for them.
#[inline]
fn start<B: Backend>(conn: &mut Conn, ctx: &mut Context<'_, B>, allowed: u64) -> (u32, bool) {
    if allowed == 0 || conn.refill(ctx.shape) == 0 {
        return (0, false);
    }
    let started = conn.start(ctx, allowed);
    (started, started == 0)
}

#[cfg(test)]
mod tests;
