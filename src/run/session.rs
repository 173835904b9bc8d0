//! Several blocks of load over connections that stay open between them.
//!
//! Owns the worker threads from `open` to `close`. The idea: a worker that has brought its part of a
//! block home sleeps until the next order comes, so that a session that rests takes nothing from one
//! that works. What happens to its connections meanwhile is met, and counted, by its next block.

use std::sync::Arc;
use std::sync::mpsc::{self, TryRecvError};
use std::time::Duration;

use super::engine::Engine;
use super::{
    Collected, Done, Handle, Progress, RunError, Seen, StopOnPanic, conclude, ensure_descriptors,
    join, look_for_tls, manifest, pace, patience, settle, spawn, supervise,
};
use crate::epoll::Epoll;
use crate::inspect::{Checks, Inspector};
use crate::io::BackendError;
use crate::plan::{self, EngineChoice, Plan};
use crate::record::{IntervalReader, Recorder, interval_queue};
use crate::result::{Manifest, RunResult};
use crate::sys::{self, Clock, Signals};
use crate::units;
use crate::uring::Uring;
use crate::worker::{Block, Control, Outcome, Worker};

/// How often the end of a block is looked for once it is due.
const LOOK_END: Duration = Duration::from_millis(1);

/// What a worker is to do next.
struct Order {
    block: Block,
    control: Arc<Control>,
}

/// What a worker brings home, and where its next block's seconds will come.
struct News {
    done: Done,
    next: IntervalReader,
}

/// A worker's side of a session.
pub(super) struct Seat {
    orders: mpsc::Receiver<Order>,
    news: mpsc::Sender<News>,
    interval_ns: u64,
    paced: bool,
    checks: Checks,
    connections: u32,
    targets: usize,
}

impl Seat {
    /// Runs one block after another until the session is closed.
    pub(super) fn serve<B: Engine>(self, mut worker: Worker<B>, done: impl Fn(Outcome) -> Done) {
        while let Ok(Order { block, control }) = self.orders.recv() {
            let _guard = StopOnPanic(&control);
            let (writer, next) = interval_queue(self.interval_ns);
            let recorder = if self.paced { Recorder::paced(writer) } else { Recorder::new(writer) };
            let recorder =
                recorder.inspecting(Inspector::new(&self.checks, self.connections, self.targets));
            worker.prepare(block);
            let outcome = worker.block(&control, recorder);
            let is_broken = outcome.broke.is_some();
            let sent = self.news.send(News { done: done(outcome), next });
            if sent.is_err() || is_broken {
                break;
            }
        }
        worker.close();
    }
}

/// The session's side of a worker.
struct Lane {
    orders: mpsc::Sender<Order>,
    news: mpsc::Receiver<News>,
    got: Option<News>,
    is_lost: bool,
}

impl Lane {
    /// Whether its part of the block is here, or will never come.
    fn has_ended(&mut self) -> bool {
        if self.got.is_none() && !self.is_lost {
            match self.news.try_recv() {
                Ok(news) => self.got = Some(news),
                Err(TryRecvError::Disconnected) => self.is_lost = true,
                Err(TryRecvError::Empty) => {}
            }
        }
        self.got.is_some() || self.is_lost
    }
}

/// Workers with their connections, ready for one block of load after another. Dropped, it closes
/// every connection.
pub struct Session {
    plan: Plan,
    manifest: Manifest,
    clock: Clock,
    lanes: Vec<Lane>,
    handles: Vec<Handle>,
    readers: Vec<IntervalReader>,
    /// Whether nobody has looked yet if the target speaks TLS.
    is_new: bool,
    /// What broke a worker's backend in an earlier block.
    broke: Option<BackendError>,
}

impl Session {
    /// Starts the workers of `plan`. Connections are opened by the first block.
    pub fn open(plan: &Plan) -> Result<Self, RunError> {
        let mut plan = plan.clone();
        if plan.engine == EngineChoice::Auto {
            settle(&mut plan)?;
        }
        ensure_descriptors(std::slice::from_ref(&plan))?;
        let started_at = units::format_rfc3339(sys::wall_unix_seconds());
        let mut session = Self {
            manifest: manifest(&plan, started_at),
            clock: Clock::start(),
            lanes: Vec::new(),
            handles: Vec::new(),
            readers: Vec::new(),
            is_new: true,
            broke: None,
            plan,
        };
        for (index, way) in session.plan.lanes().into_iter().enumerate() {
            session.seat(index, way).map_err(|error| RunError::Thread(error.to_string()))?;
        }
        Ok(session)
    }

    fn seat(&mut self, index: usize, way: Option<Arc<plan::Lane>>) -> std::io::Result<()> {
        let plan = &self.plan;
        let (orders, ordered) = mpsc::channel();
        let (told, news) = mpsc::channel();
        let (writer, reader) = interval_queue(plan.interval_ns);
        let seat = Seat {
            orders: ordered,
            news: told,
            interval_ns: plan.interval_ns,
            paced: plan.pacing.is_some(),
            checks: plan.checks.clone(),
            connections: plan.shares[index].connections,
            targets: plan.target_count(),
        };
        let spawn = match plan.engine {
            EngineChoice::Epoll => spawn::<Epoll>,
            EngineChoice::Uring | EngineChoice::Auto => spawn::<Uring>,
        };
        // Orders carry the control of their block; this one only hears of a backend that failed.
        let control = Arc::new(Control::default());
        let share = (index, &plan.shares[index]);
        self.handles.push(spawn(plan, share, way, self.clock, control, writer, Some(seat))?);
        self.readers.push(reader);
        self.lanes.push(Lane { orders, news, got: None, is_lost: false });
        Ok(())
    }

    /// Runs one block: opens what is not open, then warm-up, window and drain as `plan` says, which
    /// differs from the plan of `open` in its stop, pacing (but not in whether there is one), warm-up,
    /// drain and seed alone. The result counts what happened since the block before ended. After an
    /// error the session is of no use but to be closed, except that nothing could be opened.
    pub fn block(
        &mut self,
        plan: &Plan,
        signals: &Signals,
        watch: &mut dyn FnMut(&Progress),
    ) -> Result<RunResult, RunError> {
        assert_eq!(
            plan.pacing.is_some(),
            self.plan.pacing.is_some(),
            "the backends were made for it"
        );
        assert_eq!(plan.shares.len(), self.plan.shares.len(), "the workers stay");
        assert_eq!(plan.connections, self.plan.connections, "the connections stay");
        let suspended_before_ns = sys::suspended_ns();
        let control = Arc::new(Control::over(plan.server_count()));
        for (index, (lane, share)) in self.lanes.iter_mut().zip(&plan.dealt()).enumerate() {
            let block = Block {
                requests: share.requests,
                pace: plan.pacing.as_ref().map(|pacing| pace(plan, pacing, share, index)),
                duration_ns: plan.stop.duration_ns,
                patience: patience(plan),
                warmup_ns: plan.warmup_ns,
                drain_ns: plan.drain_ns,
            };
            let order = Order { block, control: Arc::clone(&control) };
            let sent = lane.orders.send(order).is_ok();
            lane.is_lost |= !sent;
        }
        let mut collected = Collected::new(plan, std::mem::take(&mut self.readers));
        let lanes = &mut self.lanes;
        let mut ended =
            || lanes.iter_mut().filter_map(|lane| lane.has_ended().then_some(())).count();
        let opening_ns = supervise(
            plan,
            &self.clock,
            &control,
            signals,
            &mut ended,
            Some(LOOK_END),
            &mut collected,
            watch,
        );
        let done = self.gather()?;
        // The next block comes at once.
        let clock = self.clock;
        let seen = Seen { clock, opening_ns, suspended_before_ns, may_look_for_target: false };
        let manifest = self.manifest.clone();
        let mut result = conclude(plan, &control, signals, seen, done, manifest, collected, None)?;
        // What it is does not change.
        if std::mem::take(&mut self.is_new) {
            look_for_tls(plan, &mut result, signals);
        }
        Ok(result)
    }

    /// The workers' parts of the block. One that is missing ends the session.
    fn gather(&mut self) -> Result<Vec<Done>, RunError> {
        if self.lanes.iter().any(|lane| lane.is_lost) {
            self.lanes.clear();
            let has_lost = join(std::mem::take(&mut self.handles))?.has_lost;
            let broke = self.broke.filter(|_| !has_lost);
            return Err(broke.map_or(RunError::WorkerLost, RunError::Broke));
        }
        let mut done = Vec::with_capacity(self.lanes.len());
        for news in self.lanes.iter_mut().filter_map(|lane| lane.got.take()) {
            self.broke = self.broke.or(news.done.outcome.broke);
            done.push(news.done);
            self.readers.push(news.next);
        }
        Ok(done)
    }

    /// Closes every connection and ends the workers.
    pub fn close(mut self) -> Result<(), RunError> {
        self.lanes.clear();
        match join(std::mem::take(&mut self.handles))?.has_lost {
            true => Err(RunError::WorkerLost),
            false => Ok(()),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.lanes.clear();
        let _ = join(std::mem::take(&mut self.handles));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use super::*;
    use crate::plan::{Network, Provenance, Request, StopAfter};
    use crate::target::{Config, Engine as TargetEngine, Server, Timing};

    const MS: u64 = 1_000_000;

    pub(in super::super) fn serve(port: u16, close_after: Option<u32>) -> Server {
        Server::start_or_fall_back(Config {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            threads: 1,
            cpus: Vec::new(),
            body_bytes: 10,
            timing: Timing::default(),
            status: 200,
            engine: TargetEngine::TokioUring,
            close_after,
            faults_ppm: 0,
        })
        .unwrap()
        .0
    }

    pub(in super::super) fn plan_of(address: SocketAddr) -> Plan {
        Plan {
            request: Request::new("GET", "/", "h", &[], None).unwrap(),
            targets: None,
            addresses: vec![address.into()],
            network: Network::default(),
            connections: 4,
            depth: 1,
            stop: StopAfter { duration_ns: Some(30 * MS), ..StopAfter::default() },
            pacing: None,
            warmup_ns: 2 * MS,
            warmup_until_steady: false,
            drain_ns: 1000 * MS,
            timeout_ns: 5000 * MS,
            connect_timeout_ns: 5000 * MS,
            interval_ns: 1000 * MS,
            seed: 1,
            tls: None,
            tcp_congestion: None,
            checks: Checks::default(),
            engine: EngineChoice::Auto,
            server: None,
            shares: plan::deal(4, None, 2, &[], 1),
            provenance: Provenance::default(),
        }
    }

    pub(in super::super) fn assert_holds(result: &RunResult) {
        let broken: Vec<_> = result.identities.iter().filter(|check| check.is_broken()).collect();
        assert!(broken.is_empty(), "{broken:?}");
    }

    #[test]
    fn blocks_share_their_connections_and_the_target_saw_exactly_their_requests() {
        let server = serve(0, None);
        let mut plan = plan_of(server.address());
        // The same one twice, so that what each address answered is told apart and adds up.
        plan.addresses.push(server.address().into());
        let mut session = Session::open(&plan).unwrap();
        let (mut started, mut completed) = (0, 0);
        for block in 0..3 {
            let result = session.block(&plan, &Signals::default(), &mut |_| {}).unwrap();
            assert_holds(&result);
            completed += result.window_completed();
            assert_eq!(result.window_ns, 30 * MS);
            let c = &result.total.connections;
            let opened = if block == 0 { 4 } else { 0 };
            assert_eq!((c.established, c.carried, c.open_end), (opened, 4 - opened, 4));
            started += result.total.whole().started;
        }
        session.close().unwrap();
        assert!(completed > 0);
        assert_eq!(server.stop().requests, started);
    }

    #[test]
    fn whoever_watches_sees_counts_and_a_rate_long_before_an_interval_is_over() {
        let server = serve(0, None);
        let mut plan = plan_of(server.address());
        plan.stop.duration_ns = Some(500 * MS);
        plan.interval_ns = 3_600_000 * MS;
        let mut seen = Vec::new();
        let mut session = Session::open(&plan).unwrap();
        session.block(&plan, &Signals::default(), &mut |progress| seen.push(*progress)).unwrap();
        assert!(seen.iter().any(|p| p.inflight > Some(0) && p.elapsed_ns < 400 * MS), "{seen:?}");
        assert!(seen.iter().any(|p| p.requests_per_s.is_some_and(|rate| rate > 100.0)), "{seen:?}");
    }

    #[test]
    fn two_sessions_take_turns_and_a_plan_may_ask_for_a_number_of_requests() {
        let (a, b) = (serve(0, None), serve(0, Some(7)));
        let plans = [plan_of(a.address()), plan_of(b.address())];
        let mut sessions = plans.each_ref().map(|plan| Session::open(plan).unwrap());
        for _ in 0..2 {
            for (session, plan) in sessions.iter_mut().zip(&plans) {
                let mut plan = plan.clone();
                plan.stop = StopAfter { requests: Some(50), ..StopAfter::default() };
                plan.shares = plan::deal(4, Some(50), 2, &[], 1);
                plan.warmup_ns = 0;
                let result = session.block(&plan, &Signals::default(), &mut |_| {}).unwrap();
                assert_holds(&result);
                assert_eq!(result.total.whole().started, 50);
            }
        }
    }

    #[test]
    fn a_server_that_is_gone_is_told_and_the_session_goes_on_when_it_is_back() {
        let server = serve(0, None);
        let address = server.address();
        let plan = plan_of(address);
        let mut session = Session::open(&plan).unwrap();
        session.block(&plan, &Signals::default(), &mut |_| {}).unwrap();
        server.stop();
        let error = session.block(&plan, &Signals::default(), &mut |_| {}).unwrap_err();
        assert!(matches!(error, RunError::NothingOpen(_)), "{error}");
        let _back = serve(address.port(), None);
        let result = session.block(&plan, &Signals::default(), &mut |_| {}).unwrap();
        assert_holds(&result);
        assert!(result.window_completed() > 0);
        session.close().unwrap();
    }
}
