//! The far side of the network: the model server's answers and endings, and scripted peers.

use super::Sim;
use super::model::{
    Answer, Ending, Leftover, Listener, PeerEnd, STALL_NS_MAX, ServerQueue, Service, Step,
};
use super::server::Read;
use super::wire::{Chunk, ECHO, EventKind, Peer};

/// The scripts of all listeners, with what they write moved to the sources.
#[derive(Debug)]
pub(super) struct Steps(Vec<Vec<SimStep>>);

/// A `Step` that can be copied.
#[derive(Clone, Copy, Debug)]
enum SimStep {
    Read { bytes: usize },
    ReadSlowly { bytes: usize, piece_bytes: usize, pause_ns: u64 },
    Write { source: usize },
    Echo { bytes: usize },
    Pause { ns: u64 },
    Fin,
    Rst,
}

impl Steps {
    pub(super) fn new(listeners: &[Listener], sources: &mut Vec<Answer>) -> Self {
        let mut lower = |step: &Step| match step {
            Step::Read(bytes) => SimStep::Read { bytes: *bytes },
            Step::ReadSlowly { bytes, piece_bytes, pause_ns } => SimStep::ReadSlowly {
                bytes: *bytes,
                piece_bytes: *piece_bytes,
                pause_ns: *pause_ns,
            },
            Step::Write(bytes) => {
                sources.push(bytes.clone().into());
                SimStep::Write { source: sources.len() - 1 }
            }
            Step::Echo(bytes) => SimStep::Echo { bytes: *bytes },
            Step::Pause(ns) => SimStep::Pause { ns: *ns },
            Step::Fin => SimStep::Fin,
            Step::Rst => SimStep::Rst,
        };
        let scripts = listeners.iter().map(|listener| match listener {
            Listener::Script(steps) => steps.iter().map(&mut lower).collect(),
            _ => Vec::new(),
        });
        Self(scripts.collect())
    }
}

impl Sim {
    /// Bytes have arrived at the peer.
    pub(super) fn peer_reads(&mut self, conn: usize, arrived: usize) {
        match self.conns[conn].peer {
            Peer::Serve(_) => {
                self.counts.bytes_in += arrived as u64;
                if self.serve(conn).closed.is_none()
                    && self.rng_says(self.model.faults.request_reset_ppm)
                {
                    self.end_connection(conn, Leftover::Swallow, true);
                } else {
                    self.server_reads(conn);
                }
            }
            Peer::Script(_) => self.run_script(conn),
            Peer::Live(_) => self.live_reads(conn),
            Peer::Absent => unreachable!("bytes for nobody"),
        }
    }

    /// The client has ended the connection and all it sent has arrived.
    pub(super) fn peer_sees_end(&mut self, conn: usize) {
        match self.conns[conn].peer {
            Peer::Script(_) => self.run_script(conn),
            _ => self.release(conn),
        }
    }

    pub(super) fn consume(&mut self, conn: usize, count: usize) {
        let it = &mut self.conns[conn];
        it.up_consume(count);
        if count > 0 && it.send.is_some() {
            self.after_one_way(conn, EventKind::WindowOpens);
        }
    }

    fn write(&mut self, conn: usize, source: usize, bytes: u64) {
        if bytes > 0 {
            self.conns[conn].down.push_back(Chunk { source, at: 0, end: bytes });
        }
    }

    fn serve(&mut self, conn: usize) -> &mut super::wire::Serve {
        let Peer::Serve(serve) = &mut self.conns[conn].peer else {
            unreachable!("not the model server's connection");
        };
        serve
    }

    /// How many requests the server reads on one connection.
    fn requests_max(&self) -> u32 {
        match self.model.ending {
            Ending::Never => u32::MAX,
            Ending::AfterAnswers { answers, .. } | Ending::ResetAfterAnswers(answers) => answers,
            Ending::CutAnswer { answers, .. } => answers.saturating_add(1),
        }
    }

    /// A connection was accepted; some endings come before any request.
    pub(super) fn greet(&mut self, conn: usize) {
        if self.requests_max() == 0 {
            self.end_by_rule(conn);
        }
    }

    fn server_reads(&mut self, conn: usize) {
        loop {
            let requests_max = self.requests_max();
            let serve = self.serve(conn);
            if let Some(leftover) = serve.closed {
                let rest = self.conns[conn].up_arrived;
                self.consume(conn, rest);
                if leftover == Leftover::Reset && rest > 0 {
                    self.after_one_way(conn, EventKind::DownRst);
                }
                return;
            }
            if serve.received >= requests_max {
                return;
            }
            // Taken out and put back, so that it can look at its own connection's bytes.
            let mut reader = std::mem::take(&mut serve.reader);
            let read = reader.read(self.conns[conn].up_readable());
            self.serve(conn).reader = reader;
            match read {
                Read::More(used) => return self.consume(conn, used),
                Read::Request(used) => {
                    self.consume(conn, used);
                    self.counts.requests += 1;
                    self.start_service(conn);
                }
                Read::Malformed => {
                    self.counts.malformed += 1;
                    return self.end_connection(conn, Leftover::Swallow, true);
                }
            }
        }
    }

    fn start_service(&mut self, conn: usize) {
        let stalls = self.rng_says(self.model.faults.stall_ppm);
        let stall_ns = if stalls { 1 + self.rng.below(STALL_NS_MAX) } else { 0 };
        let service_ns = stall_ns
            + match self.model.service {
                Service::Constant(ns) => ns,
                Service::Exponential { mean_ns } => {
                    // 53 random bits give a number in (0, 1], whose logarithm is finite.
                    let uniform = ((self.rng.next_u64() >> 11) + 1) as f64 / (1_u64 << 53) as f64;
                    (-uniform.ln() * mean_ns as f64) as u64
                }
            };
        let now_ns = self.clock.now_ns;
        let busy_until_ns = match self.model.queue {
            ServerQueue::PerConnection => self.serve(conn).busy_until_ns,
            ServerQueue::SingleFifo => self.server_busy_until_ns,
        };
        let mut start_ns = now_ns.max(busy_until_ns);
        let mut end_ns = start_ns + service_ns;
        if let Some(pause) = &self.model.pause_ns {
            if pause.contains(&start_ns) {
                start_ns = pause.end;
                end_ns = start_ns + service_ns;
            } else if start_ns < pause.start && end_ns > pause.start {
                end_ns += pause.end - pause.start;
            }
        }
        self.server_busy_until_ns = self.server_busy_until_ns.max(end_ns);
        let serve = self.serve(conn);
        serve.received += 1;
        serve.busy_until_ns = end_ns;
        serve.due_ns.push_back(end_ns);
        if serve.due_ns.len() == 1 {
            self.at(end_ns, conn, EventKind::ServiceEnds);
        }
    }

    /// Sends the answers that are due, in one write.
    pub(super) fn service_ends(&mut self, conn: usize) {
        let now_ns = self.clock.now_ns;
        let (requests_max, ending) = (self.requests_max(), self.model.ending);
        let mut sent_bytes = 0;
        let mut over = false;
        let mut cut = None;
        while !over
            && cut.is_none()
            && self.serve(conn).due_ns.front().is_some_and(|due_ns| *due_ns <= now_ns)
        {
            let serve = self.serve(conn);
            serve.due_ns.pop_front();
            serve.answered += 1;
            let answered = serve.answered;
            let source = (answered - 1) as usize % self.model.answers.len();
            let whole_bytes = self.sources[source].len_bytes();
            over = answered >= requests_max;
            let mut bytes = match ending {
                Ending::CutAnswer { bytes, .. } if over => bytes.min(whole_bytes),
                _ => whole_bytes,
            };
            cut = self.answer_is_cut();
            if cut.is_some() {
                bytes = bytes.min(self.rng.below(whole_bytes + 1));
            }
            let is_whole = u64::from(bytes == whole_bytes);
            self.counts.answers += is_whole;
            self.answers_of[source] += is_whole;
            self.write(conn, source, bytes);
            sent_bytes += bytes;
        }
        self.counts.bytes_out += sent_bytes;
        if sent_bytes > 0 {
            self.after_one_way(conn, EventKind::DownArrives(sent_bytes));
        }
        if let Some((leftover, reset)) = cut {
            self.end_connection(conn, leftover, reset);
        } else if over {
            self.end_by_rule(conn);
        } else if let Some(due_ns) = self.serve(conn).due_ns.front().copied() {
            self.at(due_ns, conn, EventKind::ServiceEnds);
        }
    }

    /// Whether an answer is cut by chance: what becomes of requests that come later, and whether the
    /// connection is reset.
    fn answer_is_cut(&mut self) -> Option<(Leftover, bool)> {
        let faults = self.model.faults;
        if self.rng_says(faults.answer_reset_ppm) {
            return Some((Leftover::Swallow, true));
        }
        self.rng_says(faults.answer_eof_ppm).then(|| match self.rng.below(2) {
            0 => (Leftover::Swallow, false),
            _ => (Leftover::Reset, false),
        })
    }

    fn end_by_rule(&mut self, conn: usize) {
        let (leftover, reset) = match self.model.ending {
            Ending::Never => return,
            Ending::AfterAnswers { leftover, .. } => (leftover, false),
            Ending::ResetAfterAnswers(_) => (Leftover::Swallow, true),
            Ending::CutAnswer { reset, .. } => (Leftover::Reset, reset),
        };
        self.end_connection(conn, leftover, reset);
    }

    /// The server ends a connection; what it was working on is dropped.
    fn end_connection(&mut self, conn: usize, leftover: Leftover, reset: bool) {
        let serve = self.serve(conn);
        serve.closed = Some(leftover);
        serve.due_ns.clear();
        // A close with bytes unread is a reset in itself; `server_reads` sends it.
        let unread = leftover == Leftover::Reset && self.conns[conn].up_arrived > 0;
        if reset {
            self.after_one_way(conn, EventKind::DownRst);
        } else if !unread {
            self.after_one_way(conn, EventKind::DownFin);
        }
        self.server_reads(conn);
    }

    pub(super) fn script_wakes(&mut self, conn: usize) {
        if let Peer::Script(script) = &mut self.conns[conn].peer {
            script.sleeping = false;
        }
        self.run_script(conn);
    }

    /// Plays a script as far as it goes with what has arrived.
    pub(super) fn run_script(&mut self, conn: usize) {
        loop {
            let it = &mut self.conns[conn];
            let (arrived, up_end) = (it.up_arrived, it.up_end);
            let Peer::Script(script) = &mut it.peer else { return };
            if script.ended {
                self.consume(conn, arrived);
                if up_end.is_some() {
                    self.release(conn);
                }
                return;
            }
            if script.sleeping {
                return;
            }
            match self.scripts.0[script.script].get(script.step).copied() {
                Some(SimStep::Read { bytes }) => {
                    if !self.script_reads(conn, bytes, bytes, false) {
                        return;
                    }
                }
                Some(SimStep::Echo { bytes }) => {
                    if !self.script_reads(conn, bytes, bytes, true) {
                        return;
                    }
                }
                Some(SimStep::ReadSlowly { bytes, piece_bytes, pause_ns }) => {
                    if !self.script_reads(conn, bytes, piece_bytes, false) {
                        return;
                    }
                    self.script_sleeps(conn, pause_ns);
                }
                Some(SimStep::Pause { ns }) => {
                    script.step += 1;
                    self.script_sleeps(conn, ns);
                }
                Some(SimStep::Write { source }) => {
                    script.step += 1;
                    let bytes = self.sources[source].len_bytes();
                    self.write(conn, source, bytes);
                    self.after_one_way(conn, EventKind::DownArrives(bytes));
                }
                Some(SimStep::Fin) => {
                    script.step += 1;
                    self.after_one_way(conn, EventKind::DownFin);
                }
                Some(SimStep::Rst) => {
                    self.after_one_way(conn, EventKind::DownRst);
                    self.script_ends(conn, PeerEnd::OwnReset);
                }
                None => {
                    if !self.script_reads(conn, usize::MAX, usize::MAX, false) {
                        return;
                    }
                }
            }
        }
    }

    fn script_sleeps(&mut self, conn: usize, ns: u64) {
        if let Peer::Script(script) = &mut self.conns[conn].peer {
            script.sleeping = true;
        }
        self.at(self.clock.now_ns + ns, conn, EventKind::ScriptWakes);
    }

    fn script_ends(&mut self, conn: usize, end: PeerEnd) {
        if let Peer::Script(script) = &mut self.conns[conn].peer {
            script.ended = true;
            self.seen[script.seen].end = Some(end);
        }
    }

    /// Reads up to `piece_bytes` for a step that wants `bytes` in all. False when the script has to
    /// wait for more.
    fn script_reads(&mut self, conn: usize, bytes: usize, piece: usize, echo: bool) -> bool {
        let it = &mut self.conns[conn];
        let (arrived, up_end) = (it.up_arrived, it.up_end);
        let Peer::Script(script) = &mut it.peer else { return false };
        let left = script.left.unwrap_or(bytes);
        let count = left.min(arrived).min(piece);
        if count == 0 && left > 0 {
            script.left = Some(left);
            return match up_end {
                Some(end) => {
                    self.script_ends(conn, end);
                    true
                }
                None => false,
            };
        }
        if left == count {
            script.step += 1;
            script.left = None;
        } else {
            script.left = Some(left - count);
        }
        let seen = script.seen;
        let from = it.up_head;
        self.seen[seen].read.extend_from_slice(&it.up[from..from + count]);
        if echo {
            it.echo.extend(&it.up[from..from + count]);
            it.down.push_back(Chunk { source: ECHO, at: 0, end: count as u64 });
            self.after_one_way(conn, EventKind::DownArrives(count as u64));
        }
        self.consume(conn, count);
        true
    }
}
