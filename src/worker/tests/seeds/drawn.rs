//! What one seed stands for: a run, a server and a world, all drawn from one number.

use std::sync::Arc;

use super::super::{MS, SECOND};
use crate::io::CloseKind;
use crate::plan::Pacing;
use crate::rng::Rng;
use crate::schedule::{Arrivals, Profile, Stage};
use crate::sim::{
    Answer, Ending, Faults, Leftover, Listener, Model, STALL_NS_MAX, ServerQueue, Service,
};
use crate::units::Rate;

/// A whole run, as drawn.
#[derive(Clone, Debug)]
pub(super) struct Drawn {
    pub(super) seed: u64,
    /// No fault of the world, a server that never ends a connection, and time enough: every request
    /// is answered.
    pub(super) calm: bool,
    pub(super) model: Model,
    /// What the model's answers are, one for each.
    pub(super) parts: Vec<Parts>,
    /// The end of an answer is the end of its connection, so a cut one passes for whole.
    pub(super) close_delimited: bool,
    pub(super) workers: u32,
    pub(super) connections: u32,
    pub(super) addresses: u32,
    pub(super) depth: u32,
    pub(super) method: &'static str,
    pub(super) body: Option<Vec<u8>>,
    pub(super) requests: Option<u64>,
    pub(super) pacing: Option<Pacing>,
    pub(super) duration_ns: Option<u64>,
    pub(super) warmup_ns: u64,
    pub(super) drain_ns: u64,
    pub(super) opening_ns: u64,
    pub(super) timeout_ns: u64,
    pub(super) interval_ns: u64,
    pub(super) recv_buffers: u16,
    pub(super) recv_buffer_bytes: usize,
    /// Requests that one connection may carry.
    pub(super) requests_max: u64,
    pub(super) close: CloseKind,
}

/// One answer, by the classes its bytes are to be counted in.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Parts {
    pub(super) status: u16,
    pub(super) interim: u64,
    pub(super) head: u64,
    pub(super) body: u64,
    pub(super) framing: u64,
}

/// A number whose magnitude is uniform: as often below as above the geometric mean.
fn log_uniform(rng: &mut Rng, least: u64, most: u64) -> u64 {
    let share = rng.below(1 << 20) as f64 / (1_u64 << 20) as f64;
    (least as f64 * (most as f64 / least as f64).powf(share)) as u64
}

fn one_in(rng: &mut Rng, n: u64) -> bool {
    rng.below(n) == 0
}

impl Drawn {
    pub(super) fn new(seed: u64) -> Self {
        // Seeds in a row are to have nothing in common.
        let rng = &mut Rng::new(Rng::new(seed).next_u64());
        let calm = one_in(rng, 4);
        let connections = 1 + rng.below([1, 4, 40][rng.clone().below(3) as usize]) as u32;
        let depth = if one_in(rng, 2) { 1 } else { 1 + rng.below(12) as u32 };
        let mut it = Self {
            seed,
            calm,
            model: Model::answering(Vec::new()),
            parts: Vec::new(),
            close_delimited: false,
            workers: if one_in(rng, 4) { 1 + rng.below(3) as u32 } else { 1 }.min(connections),
            connections,
            addresses: 1,
            depth,
            method: "GET",
            body: None,
            requests: None,
            pacing: None,
            duration_ns: None,
            warmup_ns: 0,
            drain_ns: if calm { 20 * SECOND } else { log_uniform(rng, MS, SECOND) },
            opening_ns: log_uniform(rng, 5 * MS, 300 * MS),
            timeout_ns: 30 * SECOND,
            interval_ns: log_uniform(rng, MS, 10 * SECOND),
            recv_buffers: 1 << (1 + rng.below(5)),
            recv_buffer_bytes: 1 << (9 + rng.below(6)),
            requests_max: u64::MAX,
            close: CloseKind::Reset,
        };
        if !calm && one_in(rng, 2) {
            it.timeout_ns = log_uniform(rng, MS, 100 * MS);
        }
        it.draw_request(rng);
        it.draw_answers(rng);
        it.draw_server(rng);
        it.draw_world(rng);
        it.draw_load(rng);
        if calm {
            // An attempt lasts no longer than the opening may. One that follows a connection waits
            // for its end first, so it takes more than a round trip.
            it.opening_ns = it.opening_ns.max(8 * it.model.one_way_ns);
        }
        if one_in(rng, 3) {
            it.requests_max = log_uniform(rng, 1, 30);
            it.close = if one_in(rng, 2) { CloseKind::Reset } else { CloseKind::Orderly };
        }
        // Long after any run that ends in time, or for a number of requests at all.
        it.model.end_ns = it.ends_by_ns().unwrap_or(3600 * SECOND).saturating_add(10 * SECOND);
        it
    }

    /// When the run must be over, if time bounds it.
    pub(super) fn ends_by_ns(&self) -> Option<u64> {
        let duration_ns = self.duration_ns?;
        Some(self.opening_ns + self.warmup_ns + duration_ns + self.drain_ns + SECOND)
    }

    fn draw_request(&mut self, rng: &mut Rng) {
        match rng.below(4) {
            0 => self.method = "HEAD",
            1 => {
                self.method = "POST";
                let bytes = if one_in(rng, 8) { 60_000 } else { rng.below(3000) };
                self.body = Some(vec![b'b'; bytes as usize]);
            }
            _ => {}
        }
    }

    fn draw_answers(&mut self, rng: &mut Rng) {
        let mut answers = Vec::new();
        self.close_delimited = !self.calm && one_in(rng, 12) && self.method != "HEAD";
        let count = if self.close_delimited { 1 } else { 1 + rng.below(4) as usize };
        let may_close = !self.calm || self.depth == 1;
        for status in [200, 206, 404, 503].into_iter().take(count) {
            let (mut parts, mut answer) = self.draw_framing(rng, status, may_close);
            if one_in(rng, 4) {
                let one = b"HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n";
                let interim = one.repeat(1 + rng.below(3) as usize);
                parts.interim = interim.len() as u64;
                answer.bytes.splice(0..0, interim);
            }
            if self.method == "HEAD" {
                answer.bytes.truncate((parts.interim + parts.head) as usize);
                answer.fill_bytes = 0;
                (parts.body, parts.framing) = (0, 0);
            }
            answers.push(answer);
            self.parts.push(parts);
        }
        self.model.answers = answers;
    }

    fn draw_framing(&self, rng: &mut Rng, status: u16, may_close: bool) -> (Parts, Answer) {
        let close = may_close && one_in(rng, 12);
        let more = if close { "Connection: close\r\n" } else { "" };
        let start = format!("HTTP/1.1 {status} Word\r\nX-Pad: {}\r\n{more}", status * 7);
        let parts = |head: usize, body: u64, framing: usize| Parts {
            status,
            interim: 0,
            head: head as u64,
            body,
            framing: framing as u64,
        };
        if self.close_delimited {
            let head = format!("{start}\r\n").into_bytes();
            let fill_bytes = rng.below(5000);
            return (parts(head.len(), fill_bytes, 0), Answer { bytes: head, fill_bytes });
        }
        if one_in(rng, 3) {
            let mut bytes = format!("{start}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
            let (head, mut body) = (bytes.len(), 0);
            for _ in 0..rng.below(6) {
                let chunk = log_uniform(rng, 1, 3000) as usize;
                body += chunk;
                bytes.extend_from_slice(format!("{chunk:x};e=1\r\n").as_bytes());
                bytes.resize(bytes.len() + chunk, b'c');
                bytes.extend_from_slice(b"\r\n");
            }
            let trailer = if one_in(rng, 3) { "T: 1\r\n" } else { "" };
            bytes.extend_from_slice(format!("0\r\n{trailer}\r\n").as_bytes());
            return (parts(head, body as u64, bytes.len() - head - body), bytes.into());
        }
        let fill_bytes = match rng.below(8) {
            0 => 0,
            1 => log_uniform(rng, 10_000, 300_000),
            2 if one_in(rng, 4) => 3 << 20,
            _ => rng.below(600),
        };
        let head = format!("{start}Content-Length: {fill_bytes}\r\n\r\n").into_bytes();
        (parts(head.len(), fill_bytes, 0), Answer { bytes: head, fill_bytes })
    }

    fn draw_server(&mut self, rng: &mut Rng) {
        let model = &mut self.model;
        model.seed = rng.next_u64();
        model.one_way_ns = log_uniform(rng, 500, 2 * MS);
        model.turn_cost_ns = log_uniform(rng, 100, 20_000);
        model.service = match rng.below(3) {
            0 => Service::Constant(0),
            1 => Service::Constant(log_uniform(rng, 100, 10 * MS)),
            _ => Service::Exponential { mean_ns: log_uniform(rng, 100, 10 * MS) },
        };
        if one_in(rng, 4) {
            model.queue = ServerQueue::SingleFifo;
        }
        if one_in(rng, 3) {
            let from_ns = self.opening_ns + rng.below(200 * MS);
            model.pause_ns = Some(from_ns..from_ns + rng.below(300 * MS));
        }
        if self.body.as_ref().is_some_and(|body| body.len() > 50_000) {
            model.send_window_bytes = log_uniform(rng, 2000, 200_000) as usize;
        }
        if one_in(rng, 3) {
            model.queue_ops = 1 + rng.below(12) as usize;
        }
        if self.close_delimited {
            let leftover = Leftover::Swallow;
            model.ending = Ending::AfterAnswers { answers: 1, leftover };
        } else if !self.calm {
            let answers = log_uniform(rng, 1, 60) as u32;
            model.ending = match rng.below(8) {
                0 => Ending::AfterAnswers { answers, leftover: Leftover::Reset },
                1 => Ending::AfterAnswers { answers, leftover: Leftover::Swallow },
                2 => Ending::ResetAfterAnswers(answers),
                3 => Ending::CutAnswer {
                    answers: answers - 1,
                    bytes: rng.below(200),
                    reset: one_in(rng, 2),
                },
                _ => Ending::Never,
            };
        }
    }

    fn draw_world(&mut self, rng: &mut Rng) {
        self.model.faults = Faults::swarm(rng);
        if self.calm {
            return;
        }
        if one_in(rng, 2) {
            self.model.faults = self.model.faults.with_world(rng);
        }
        if one_in(rng, 3) {
            self.addresses = 1 + rng.below(3) as u32;
            let until_ns = self.opening_ns + rng.below(300 * MS);
            let (up_ns, down_ns) = (log_uniform(rng, MS, SECOND), log_uniform(rng, MS, SECOND));
            self.model.listeners = (0..self.addresses)
                .map(|_| match rng.below(8) {
                    0 => Listener::Refuse,
                    1 => Listener::RefuseUntil(until_ns),
                    2 => Listener::Blackhole,
                    3 => Listener::Unreachable,
                    4 | 5 => Listener::ComesAndGoes { up_ns, down_ns },
                    _ => Listener::Serve,
                })
                .collect();
        }
    }

    /// How long one request takes when nothing goes wrong, about, and how many go at once.
    fn request_ns(&self) -> (u64, u64) {
        let service_ns = match self.model.service {
            Service::Constant(ns) | Service::Exponential { mean_ns: ns } => ns,
        };
        let stall_ns = self.model.faults.stall_ppm as u64 * (STALL_NS_MAX / 2) / 1_000_000;
        let way_ns = 2 * (self.model.one_way_ns + self.model.turn_cost_ns);
        let at_once = match self.model.queue {
            ServerQueue::SingleFifo if service_ns > way_ns => 1,
            _ => u64::from(self.connections * self.depth),
        };
        (service_ns + stall_ns + way_ns, at_once)
    }

    fn draw_load(&mut self, rng: &mut Rng) {
        let budget = log_uniform(rng, 1, 800);
        if one_in(rng, 2) {
            return self.draw_schedule(rng, budget);
        }
        let (request_ns, at_once) = self.request_ns();
        let paced_ns = (budget * request_ns / at_once).clamp(MS / 5, 2 * SECOND);
        match rng.below(3) {
            0 => {
                self.requests = Some(budget);
                // Without a bound in time, a world where nothing works would go on for long.
                self.duration_ns = (!self.calm).then_some(2 * paced_ns);
            }
            1 => (self.requests, self.duration_ns) = (Some(budget), Some(paced_ns)),
            _ => self.duration_ns = Some(paced_ns),
        }
        if one_in(rng, 3) {
            self.warmup_ns = 1 + rng.below(paced_ns);
        }
    }

    fn draw_schedule(&mut self, rng: &mut Rng, budget: u64) {
        let duration_ns = log_uniform(rng, 5 * MS, 2 * SECOND);
        let mut rate = |most: u64| Rate::new(rng.below(most + 1), duration_ns);
        let ends: Vec<_> = (0..6).filter_map(|_| rate(budget * 2)).collect();
        let even = Rate::new(budget, duration_ns).unwrap();
        let stages = rng.below(4) as usize;
        let lengths_ns = duration_ns / (stages as u64).max(1);
        let stages: Vec<_> = (0..stages)
            .map(|at| Stage { from: ends[at], to: ends[at + 1], length_ns: lengths_ns })
            .collect();
        // Stages with less than one request in all are none.
        let profile = Profile::stages(stages)
            .or_else(|_| Profile::constant(even, Some(duration_ns)))
            .unwrap();
        self.duration_ns = profile.length_ns();
        let deadline_ns = one_in(rng, 3).then(|| rng.below(50 * MS));
        if one_in(rng, 3) {
            self.requests = Some(1 + rng.below(budget));
        }
        if one_in(rng, 3) {
            self.warmup_ns = 1 + rng.below(duration_ns);
        }
        let warmup = Profile::constant(profile.rate_start(), Some(self.warmup_ns)).ok();
        self.pacing = Some(Pacing {
            profile: Arc::new(profile),
            warmup: warmup.map(Arc::new),
            arrivals: if one_in(rng, 2) { Arrivals::Constant } else { Arrivals::Poisson },
            deadline_ns,
            limits_ns: Vec::new(),
            spin: false,
            described: String::new(),
        });
    }
}
