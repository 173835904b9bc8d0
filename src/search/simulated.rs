//! A single server with one queue, by Lindley's recursion, as a target for searches.

use super::capacity::Ask;
use super::evidence::Batch;
use super::objective::Claim;
use super::trial::{Trial, undisturbed};
use crate::rng::Rng;

const SECOND: u64 = 1_000_000_000;

/// How long one request is served.
#[derive(Clone, Copy, Debug)]
pub(super) enum Service {
    Constant(u64),
    Exponential(u64),
}

/// The server, and the arrivals it gets.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) service: Service,
    pub(super) poisson: bool,
    /// Every so often, it does nothing for so long.
    pub(super) pause: Option<(u64, u64)>,
    /// Every so often on average, the generator stands still for so long, and what became due meanwhile
    /// leaves at once.
    pub(super) stall: Option<(u64, u64)>,
    pub(super) rng: Rng,
    pub(super) now_ns: u64,
}

impl Server {
    /// What a closed loop with enough connections gets.
    pub(super) fn probe(&mut self, length_ns: u64) -> f64 {
        self.now_ns += length_ns;
        let (Service::Constant(mean_ns) | Service::Exponential(mean_ns)) = self.service;
        let working = self.pause.map_or(1.0, |(every, length)| 1.0 - length as f64 / every as f64);
        working * SECOND as f64 / mean_ns as f64
    }

    /// When work of `work_ns` that begins at `start_ns` is done.
    fn done_ns(&self, start_ns: u64, work_ns: u64) -> u64 {
        let Some((every, length)) = self.pause else { return start_ns + work_ns };
        let (mut at, mut left) = (start_ns, work_ns);
        loop {
            // Each period begins with work and ends with the pause.
            let (in_period, works) = (at % every, every - length);
            if in_period >= works {
                at += every - in_period;
            } else if left <= works - in_period {
                return at + left;
            } else {
                left -= works - in_period;
                at += every - in_period;
            }
        }
    }

    /// When a request that is due at `arrival_ns` leaves; `stall_ns` is when the latest standstill of
    /// the generator began, or the next will.
    fn sent_ns(&mut self, arrival_ns: u64, stall_ns: &mut u64) -> u64 {
        let Some((every_ns, length_ns)) = self.stall else { return arrival_ns };
        while *stall_ns + length_ns <= arrival_ns {
            *stall_ns += length_ns + self.rng.exponential(every_ns);
        }
        if arrival_ns < *stall_ns { arrival_ns } else { *stall_ns + length_ns }
    }

    fn work_ns(&mut self) -> u64 {
        match self.service {
            Service::Constant(ns) => ns,
            Service::Exponential(mean_ns) => self.rng.exponential(mean_ns),
        }
    }

    /// Carries a trial out. The queue is empty when it begins.
    pub(super) fn trial(&mut self, ask: &Ask, claims: &[Claim]) -> Trial {
        let begin_ns = self.now_ns + ask.rest_ns;
        let start_ns = begin_ns + ask.lead_in_ns;
        let end_ns = start_ns + ask.length_ns;
        let gap_ns = SECOND as f64 / ask.rate_per_s;
        let stretches = (ask.length_ns.div_ceil(ask.stretch_ns)) as usize;
        let limits: Vec<u64> = claims.iter().filter_map(Claim::limit_ns).collect();
        let mut over = vec![vec![Batch::default(); stretches]; limits.len()];
        let (mut due, mut done) = (vec![0.0; stretches], vec![0.0; stretches]);
        let (mut free_ns, mut count) = (begin_ns, 0_u64);
        let mut poisson_ns = begin_ns;
        let mut late_ns_max = vec![0; stretches];
        let mut stall_ns = begin_ns;
        loop {
            count += 1;
            let arrival_ns = if self.poisson {
                poisson_ns += self.rng.exponential(gap_ns as u64);
                poisson_ns
            } else {
                begin_ns + (count as f64 * gap_ns) as u64
            };
            if arrival_ns >= end_ns {
                break;
            }
            let work_ns = self.work_ns();
            let sent_ns = self.sent_ns(arrival_ns, &mut stall_ns);
            free_ns = self.done_ns(sent_ns.max(free_ns), work_ns);
            if free_ns >= start_ns && free_ns < end_ns {
                done[((free_ns - start_ns) / ask.stretch_ns) as usize] += 1.0;
            }
            if arrival_ns < start_ns {
                continue;
            }
            let stretch = ((arrival_ns - start_ns) / ask.stretch_ns) as usize;
            due[stretch] += 1.0;
            late_ns_max[stretch] = late_ns_max[stretch].max(sent_ns - arrival_ns);
            for (over, &limit_ns) in over.iter_mut().zip(&limits) {
                let is_over = free_ns - arrival_ns > limit_ns;
                over[stretch].bad += f64::from(u8::from(is_over));
                let is_near = free_ns - arrival_ns > limit_ns / 2;
                over[stretch].near += f64::from(u8::from(is_near));
                over[stretch].total += 1.0;
            }
        }
        // Until everything is answered.
        self.now_ns = end_ns.max(free_ns);

        let used_ns = ask.stretch_ns * keep_undisturbed(&mut over, &late_ns_max, &limits);
        let growth = growth(&due, &done);
        let mut over = over.into_iter();
        let of = |claim: &Claim| match claim {
            Claim::Steady => growth.clone(),
            claim if claim.limit_ns().is_some() => over.next().unwrap_or_default(),
            _ => due.iter().map(|&total| Batch { total, ..Batch::default() }).collect(),
        };
        Trial {
            rate_per_s: ask.rate_per_s,
            length_ns: ask.length_ns,
            used_ns: used_ns.min(ask.length_ns),
            claims: claims.iter().map(of).collect(),
            achieved_per_s: done.iter().sum::<f64>() * SECOND as f64 / ask.length_ns as f64,
            due: due.iter().sum::<f64>() as u64,
            failed: 0,
            unanswered: 0,
            latency: None,
            server: None,
            spoiled: None,
        }
    }
}

/// Leaves the stretches out in which the generator was late; answers with how many there are left.
fn keep_undisturbed(over: &mut [Vec<Batch>], late_ns_max: &[u64], limits: &[u64]) -> u64 {
    let keeps = undisturbed(late_ns_max, limits.iter().min().copied());
    for over in over {
        let mut keeps = keeps.iter();
        over.retain(|_| keeps.next() == Some(&true));
    }
    keeps.iter().filter(|keeps| **keeps).count() as u64
}

/// By how much what waits grew in each stretch.
fn growth(due: &[f64], done: &[f64]) -> Vec<Batch> {
    let of = |(&total, &done): (&f64, &f64)| Batch { bad: total - done, near: 0.0, total };
    due.iter().zip(done).map(of).collect()
}
