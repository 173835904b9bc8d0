//! Several blocks of load on the same connections.
//!
//! The idea: a block is a run that neither opens what is open nor closes what can stay. Between two
//! blocks nobody looks at the connections; what happened to them meanwhile is met at the beginning
//! of the next block and counted there. Each block has a record of its own, made outside of it.

use super::{
    Backend, BackendError, Completions, Control, Outcome, Pace, Patience, Phase, Recorder, Stop,
};
use super::{Release, Status, Worker, limits};

/// What a block asks of one worker; the rest of its task stays as it is.
#[derive(Clone, Debug)]
pub struct Block {
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
}

impl<B: Backend> Worker<B> {
    /// Sets what the next block asks for. Not during one.
    pub fn prepare(&mut self, block: Block) {
        let Block { requests, pace, duration_ns, patience, warmup_ns, drain_ns } = block;
        self.requests_left = requests.unwrap_or(u64::MAX);
        self.release = pace.clone().map(|pace| {
            let lane = self.task.lane.as_ref();
            let mut release = Box::new(Release::new(pace, self.task.connections, lane));
            for (index, conn) in (0..).zip(&self.conns) {
                let (has_room, is_idle) = (conn.room() > 0, conn.is_idle());
                release.note(conn.origin(), index, has_room, is_idle, self.recorder.now_ns());
            }
            release
        });
        self.task.requests = requests;
        self.task.pace = pace;
        self.task.duration_ns = duration_ns;
        self.task.patience = patience;
        self.task.warmup_ns = warmup_ns;
        self.task.drain_ns = drain_ns;
    }

    /// Runs one block, from the opening of what is not open to the end of the drain. Connections
    /// stay open. `next` counts from then on: for the next block, or for nobody.
    pub fn block(&mut self, control: &Control, next: Recorder) -> Outcome {
        let next = next.with_targets(self.recorder.targets());
        let mut done = Completions::with_capacity(limits::COMPLETIONS_PER_TURN);
        let ran = self.look_around(&mut done).and_then(|()| self.phases(control, &mut done));
        if ran.is_err() {
            // What the others measure without this worker is not what was asked for.
            control.request_stop(Stop::Drain);
            if matches!(self.recorder.phase(), Phase::Warmup | Phase::Window) {
                self.enter_drain(self.recorder.now_ns());
            }
        }
        let drain_ns = self.drained_ns();
        self.rest();
        let servers = self.recorder.servers();
        let mut next = next.over_addresses(self.task.addresses).over_servers(servers);
        next.advance(self.recorder.now_ns());
        next.carry_tls(&self.recorder);
        next.connections_mut().carried = u64::from(self.open);
        for (server, &open) in (0..).zip(self.reach.open()) {
            next.carried_to(server, open);
        }
        let record = std::mem::replace(&mut self.recorder, next).finish();
        // The labels of known heads were those of the record that has ended.
        self.memo.forget();
        let window = std::mem::take(&mut self.window);
        // Lets the closes out.
        let broke = ran.and_then(|()| self.turn(0, &mut done)).err();
        window.outcome(record, drain_ns, broke)
    }

    /// Closes every connection.
    pub fn close(self) -> B {
        let mut done = Completions::with_capacity(limits::COMPLETIONS_PER_TURN);
        self.finish(&mut done, None).1
    }

    /// Meets what became of the connections while nobody looked, and finds out which are to be
    /// opened again. Nothing before the first block.
    fn look_around(&mut self, done: &mut Completions) -> Result<(), BackendError> {
        if self.turn == 0 {
            return Ok(());
        }
        let now_ns = self.backend.now_ns();
        self.recorder.advance(now_ns);
        self.next_tick_ns = now_ns;
        self.turn(0, done)?;
        self.untried = 0;
        for (tried, conn) in self.tried.iter_mut().zip(&self.conns) {
            let is_open = conn.status() == Status::Open;
            *tried = if is_open { conn.addresses() } else { 0 };
            self.untried += u32::from(!is_open);
        }
        Ok(())
    }

    /// Counts what is unresolved and ends the connections that cannot stay.
    fn rest(&mut self) {
        if let Some(release) = &mut self.release {
            release.stamp_unsent(&mut self.recorder);
        }
        for index in 0..self.conns.len() as u32 {
            let Some((conn, mut ctx)) = self.split(index) else { return };
            let before = conn.status();
            conn.rest(&mut ctx);
            self.after(index, before);
        }
    }
}
