//! The client's side of the network: connecting, sending, receiving, closing.

use super::live::Live;
use super::model::{CONNECT_TIMEOUT_NS, Listener, PeerEnd, PeerSeen};
use super::wire::{
    Chunk, Conn, ECHO, EventKind, Peer, PendingRecv, RecvSort, Script, SendFrom, Serve,
};
use super::{Ready, Sim};
use crate::io::{CloseKind, Completion, Confirm, IoError, RecvLease, Slot, Token};

/// The second part of what was split follows after this long at most, in nanoseconds.
const SPLIT_NS_MAX: u64 = 20_000;
/// Linux's number for a process that has no descriptor left.
const EMFILE: i32 = 24;

impl Sim {
    pub(super) fn connect(&mut self, slot: Slot, address_index: u32, token: Token) {
        assert!((address_index as usize) < self.setup.addresses.len(), "no such address");
        let place = slot.0 as usize;
        assert!(self.slots[place].is_none(), "connect in slot {place}, which is not empty");
        let conn = self.free_conns.pop().unwrap_or_else(|| {
            self.conns.push(Conn::new(0));
            self.conns.len() - 1
        });
        self.slots[place] = Some(conn);
        let it = &mut self.conns[conn];
        (it.client_open, it.connect, it.address_index) = (true, Some(token), address_index);

        let now_ns = self.clock.now_ns;
        match self.attempt_fails(address_index) {
            Some(error) => {
                let after_ns = match error {
                    IoError::Refused => 2 * self.model.one_way_ns,
                    IoError::TimedOut => CONNECT_TIMEOUT_NS,
                    _ => 0,
                };
                self.at(now_ns + after_ns, conn, EventKind::ConnectFails(error));
            }
            None => {
                let listener = self.listener_index(address_index);
                self.conns[conn].peer = match self.listener(address_index) {
                    Some(Listener::Script(_)) => Peer::Script(Script {
                        script: listener,
                        step: 0,
                        left: None,
                        sleeping: false,
                        ended: false,
                        seen: usize::MAX,
                    }),
                    Some(Listener::Live(maker)) => {
                        Peer::Live(Live { peer: maker.make(), has_ended: false })
                    }
                    _ => Peer::Serve(Serve::default()),
                };
                self.after_one_way(conn, EventKind::Accept);
            }
        }
    }

    /// Why a connection attempt that begins now comes to nothing, if it does.
    fn attempt_fails(&mut self, address_index: u32) -> Option<IoError> {
        let faults = self.model.faults;
        if self.rng_says(faults.no_descriptors_ppm) {
            return Some(IoError::Local(EMFILE));
        }
        if self.rng_says(faults.connect_hangs_ppm) {
            return Some(IoError::TimedOut);
        }
        if self.rng_says(faults.refused_ppm) {
            return Some(IoError::Refused);
        }
        let now_ns = self.clock.now_ns;
        match self.listener(address_index)? {
            Listener::Refuse => Some(IoError::Refused),
            Listener::RefuseUntil(until_ns) => (now_ns < *until_ns).then_some(IoError::Refused),
            Listener::ComesAndGoes { up_ns, down_ns } => {
                (now_ns % (up_ns + down_ns) >= *up_ns).then_some(IoError::Refused)
            }
            Listener::Blackhole => Some(IoError::TimedOut),
            Listener::Unreachable => Some(IoError::Unreachable),
            Listener::Serve | Listener::Script(_) | Listener::Live(_) => None,
        }
    }

    fn listener_index(&self, address_index: u32) -> usize {
        address_index as usize % self.model.listeners.len().max(1)
    }

    fn listener(&self, address_index: u32) -> Option<&Listener> {
        self.model.listeners.get(self.listener_index(address_index))
    }

    pub(super) fn handle(&mut self, conn: usize, kind: EventKind) {
        match kind {
            EventKind::Accept => self.accept(conn),
            EventKind::Connected => {
                self.conns[conn].connected = true;
                if let Some(token) = self.conns[conn].connect.take() {
                    self.complete(token, Ok(0));
                }
            }
            EventKind::ConnectFails(error) => {
                if let Some(token) = self.conns[conn].connect.take() {
                    self.complete(token, Err(error));
                }
            }
            EventKind::UpArrives(bytes) => {
                self.conns[conn].up_arrived += bytes;
                self.peer_reads(conn, bytes);
            }
            EventKind::UpEnds(end) => {
                self.conns[conn].up_end = Some(end);
                self.peer_sees_end(conn);
            }
            EventKind::WindowOpens => self.advance_send(conn),
            EventKind::ServiceEnds => self.service_ends(conn),
            EventKind::ScriptWakes => self.script_wakes(conn),
            EventKind::DownArrives(bytes) => {
                self.conns[conn].down_arrived += bytes;
                self.advance_recv(conn);
            }
            EventKind::DownFin => {
                self.conns[conn].fin_arrived = true;
                self.advance_recv(conn);
            }
            EventKind::DownRst => {
                let it = &mut self.conns[conn];
                let error = if it.fin_arrived { IoError::BrokenPipe } else { IoError::Reset };
                (it.error, it.broken) = (Some(error), true);
                self.advance_recv(conn);
                self.advance_send(conn);
            }
            EventKind::RecvGoesOn => self.advance_recv(conn),
            EventKind::LateCompletion(_) => unreachable!("belongs to no connection"),
        }
    }

    fn accept(&mut self, conn: usize) {
        self.after_one_way(conn, EventKind::Connected);
        let address_index = self.conns[conn].address_index;
        match &mut self.conns[conn].peer {
            Peer::Script(script) => {
                script.seen = self.seen.len();
                self.seen.push(PeerSeen { address_index, read: Vec::new(), end: None });
                self.run_script(conn);
            }
            Peer::Live(_) => {}
            _ => {
                self.counts.connections += 1;
                self.greet(conn);
            }
        }
    }

    /// Lets the network take more of the pending send, and completes it when all is taken.
    pub(super) fn advance_send(&mut self, conn: usize) {
        let is_short = self.conns[conn].send.is_some()
            && self.model.faults.short_send_ppm > 0
            && self.rng.chance_ppm(self.model.faults.short_send_ppm);
        let it = &mut self.conns[conn];
        let Some(send) = &mut it.send else { return };
        let failed = match it.error.take() {
            Some(error) => Some(error),
            None if it.broken => Some(IoError::BrokenPipe),
            None => None,
        };
        let (mut taken, mut late) = (0, 0);
        if failed.is_none() {
            let room = self.model.send_window_bytes.saturating_sub(it.up.len() - it.up_head);
            taken = room.min(send.len - send.taken);
            if is_short && taken > 1 {
                late = 1 + self.rng.below(taken as u64 - 1) as usize;
                if send.confirm == Confirm::Always {
                    taken -= late;
                }
            }
            let (from, to) = (send.taken, send.taken + taken);
            match send.from {
                SendFrom::Arena { start } => {
                    it.up.extend_from_slice(&self.setup.arena[start + from..start + to]);
                }
                SendFrom::Scratch { buffer } => {
                    it.up.extend_from_slice(&self.send.bytes(buffer)[from..to]);
                }
            }
            send.taken = to;
        }
        if failed.is_some() || send.taken == send.len {
            self.end_send(conn, failed);
        }
        if late == 0 {
            if taken > 0 {
                self.goes_up(conn, 0, EventKind::UpArrives(taken));
            }
            return;
        }
        let later_ns = 1 + self.rng.below(SPLIT_NS_MAX);
        if self.conns[conn].send.is_some() {
            self.goes_up(conn, 0, EventKind::UpArrives(taken));
            self.at(self.clock.now_ns + later_ns, conn, EventKind::WindowOpens);
        } else {
            self.goes_up(conn, 0, EventKind::UpArrives(taken - late));
            self.goes_up(conn, later_ns, EventKind::UpArrives(late));
        }
    }

    /// Something leaves for the peer and is under way for `later_ns` longer than usual. It never
    /// overtakes what left before.
    fn goes_up(&mut self, conn: usize, later_ns: u64, kind: EventKind) {
        let usual_ns = self.clock.now_ns + self.model.one_way_ns + later_ns;
        let it = &mut self.conns[conn];
        it.up_last_ns = it.up_last_ns.max(usual_ns);
        let at_ns = it.up_last_ns;
        self.at(at_ns, conn, kind);
    }

    pub(super) fn end_send(&mut self, conn: usize, failed: Option<IoError>) {
        if let Some(ready) = self.ended_send(conn, failed) {
            self.ready.push_back(ready);
        }
    }

    /// Takes the pending send out; its completion, unless success is to be silent.
    fn ended_send(&mut self, conn: usize, failed: Option<IoError>) -> Option<Ready> {
        let send = self.conns[conn].send.take()?;
        if failed.is_none() && send.confirm == Confirm::OnFailure {
            return None;
        }
        let scratch = match send.from {
            SendFrom::Scratch { buffer } => Some(buffer),
            SendFrom::Arena { .. } => None,
        };
        let result = failed.map_or(Ok(send.len as u32), Err);
        let completion = Completion::ended(send.token, result);
        Some(Ready { completion, scratch })
    }

    /// Gives the pending receive what has arrived.
    pub(super) fn advance_recv(&mut self, conn: usize) {
        while let Some(recv) = self.conns[conn].recv {
            let it = &mut self.conns[conn];
            if it.down_arrived > 0 {
                if !self.deliver(conn, recv.sort, recv.token) {
                    return;
                }
                continue;
            }
            let result = if it.fin_arrived {
                Ok(0)
            } else if let Some(error) = it.error.take() {
                Err(error)
            } else if it.broken {
                Ok(0)
            } else {
                return;
            };
            it.recv = None;
            self.complete(recv.token, result);
        }
    }

    /// One completion's worth of bytes. False when the rest is to wait for a later event.
    fn deliver(&mut self, conn: usize, sort: RecvSort, token: Token) -> bool {
        let faults = self.model.faults;
        let arrived = self.conns[conn].down_arrived;
        let mut bytes = match sort {
            RecvSort::Stream => arrived.min(self.recv.one_bytes as u64),
            RecvSort::Once { bytes_max } => arrived.min(self.recv.one_bytes as u64).min(bytes_max),
            RecvSort::Discard { bytes_max } => arrived.min(bytes_max).min(u64::from(u32::MAX)),
        };
        let split = self.rng_says(faults.recv_split_ppm);
        if split {
            bytes = 1 + self.rng.below(bytes);
        }
        if let RecvSort::Discard { .. } = sort {
            self.conns[conn].recv = None;
            self.take_down(conn, bytes, None);
            let has_rest = self.conns[conn].has_rest();
            let completion = Completion { has_rest, ..Completion::ended(token, Ok(bytes as u32)) };
            self.finish(completion, None);
            return true;
        }
        let starved = self.rng_says(faults.no_buffers_ppm);
        let buffer = if starved { None } else { self.recv.take() };
        let Some(buffer) = buffer else {
            self.conns[conn].recv = None;
            self.complete(token, Err(IoError::NoBuffers));
            return true;
        };
        self.take_down(conn, bytes, Some(buffer));
        let more = matches!(sort, RecvSort::Stream) && !self.rng_says(faults.stream_ends_ppm);
        if !more {
            self.conns[conn].recv = None;
        }
        let lease = Some(RecvLease::new(buffer, bytes as u32));
        let has_rest = self.conns[conn].has_rest();
        let result = Ok(bytes as u32);
        self.finish(Completion { token, result, lease, more, has_rest }, None);
        if split && more {
            let after_ns = 1 + self.rng.below(SPLIT_NS_MAX);
            self.at(self.clock.now_ns + after_ns, conn, EventKind::RecvGoesOn);
        }
        !split
    }

    /// Takes `count` arrived bytes off the stream, into `buffer` if there is one.
    fn take_down(&mut self, conn: usize, count: u64, buffer: Option<u16>) {
        let it = &mut self.conns[conn];
        it.down_arrived -= count;
        self.bytes_received += count;
        let mut into = buffer.map(|buffer| &mut self.recv.bytes_mut(buffer)[..count as usize]);
        let mut left = count;
        while left > 0 {
            let Some(chunk) = it.down.front_mut() else {
                unreachable!("more bytes arrived than were sent");
            };
            let step = left.min(chunk.end - chunk.at);
            let here = into.take().map(|rest| rest.split_at_mut(step as usize));
            let target = here.map(|(now, rest)| {
                into = Some(rest);
                now
            });
            if chunk.source == ECHO {
                let echoed = it.echo.drain(..step as usize);
                if let Some(target) = target {
                    target.iter_mut().zip(echoed).for_each(|(to, from)| *to = from);
                }
            } else if let Some(target) = target {
                copy_answer(&self.sources[chunk.source], chunk, target);
            }
            chunk.at += step;
            left -= step;
            if chunk.at == chunk.end {
                it.down.pop_front();
            }
        }
    }

    pub(super) fn close(&mut self, slot: Slot, kind: CloseKind) {
        let Some(conn) = self.slots[slot.0 as usize].take() else { return };
        let cancelled = Some(IoError::Cancelled);
        let send = self.ended_send(conn, cancelled);
        // A socket closed with bytes unread is reset, whatever was asked for.
        let unread = self.conns[conn].down_arrived > 0;
        self.data_races_close(conn);
        let it = &mut self.conns[conn];
        it.client_open = false;
        let tokens = [it.connect.take(), it.recv.take().map(|recv| recv.token)];
        for token in tokens.into_iter().flatten() {
            let result = Err(IoError::Cancelled);
            let completion = Completion::ended(token, result);
            self.cancel(Ready { completion, scratch: None });
        }
        if let Some(send) = send {
            self.cancel(send);
        }
        if let Peer::Absent = self.conns[conn].peer {
            self.release(conn);
            return;
        }
        let end = match kind {
            CloseKind::Orderly if !unread => PeerEnd::Eof,
            _ => PeerEnd::Reset,
        };
        self.goes_up(conn, 0, EventKind::UpEnds(end));
    }

    /// What is under way to a stream that is being closed may still come, before its last completion.
    fn data_races_close(&mut self, conn: usize) {
        let it = &self.conns[conn];
        let Some(PendingRecv { token, sort: RecvSort::Stream }) = it.recv else { return };
        let under_way: u64 = it.down.iter().map(|chunk| chunk.end - chunk.at).sum();
        let bytes = under_way.min(self.recv.one_bytes as u64);
        if bytes == 0 || !self.rng_says(self.model.faults.late_cancel_ppm) {
            return;
        }
        let Some(buffer) = self.recv.take() else { return };
        let it = &mut self.conns[conn];
        it.down_arrived = it.down_arrived.max(bytes);
        self.take_down(conn, bytes, Some(buffer));
        let lease = Some(RecvLease::new(buffer, bytes as u32));
        let (result, more) = (Ok(bytes as u32), true);
        self.finish(Completion { token, result, lease, more, has_rest: false }, None);
    }

    /// Completes a cancelled operation, now or later.
    pub(super) fn cancel(&mut self, ready: Ready) {
        if !self.rng_says(self.model.faults.late_cancel_ppm) {
            self.ready.push_back(ready);
            return;
        }
        let after_ns = 1 + self.rng.below(1_000_000);
        let place = self.late.iter().position(Option::is_none).unwrap_or_else(|| {
            self.late.push(None);
            self.late.len() - 1
        });
        self.late[place] = Some(ready);
        self.at(self.clock.now_ns + after_ns, usize::MAX, EventKind::LateCompletion(place));
    }

    /// Both sides are done with the connection.
    pub(super) fn release(&mut self, conn: usize) {
        self.conns[conn].reset();
        self.free_conns.push(conn);
    }
}

/// Copies bytes of an answer from `chunk.at` on: what is behind its bytes is filled with `x`.
fn copy_answer(answer: &super::Answer, chunk: &Chunk, target: &mut [u8]) {
    let at = (chunk.at as usize).min(answer.bytes.len());
    let real = (answer.bytes.len() - at).min(target.len());
    target[..real].copy_from_slice(&answer.bytes[at..at + real]);
    target[real..].fill(b'x');
}
