//! When each answer leaves.
//!
//! Owns what may be asked of the server's timing and the map from a request's arrival to the start
//! and the end of its service. Knows no sockets and reads no clock: arrivals are handed in.
//!
//! The idea: deadlines are virtual. What an answer's end depends on is known when its request
//! arrives, so a late timer delays one answer and never the ones after it. A single server that
//! takes requests in order of arrival is Lindley's recursion: a service starts at the later of the
//! arrival and the end of the service before it.

use crate::rng::Rng;
use crate::units::{Distribution, Shape};

/// What answers wait for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Wait {
    /// Nothing.
    #[default]
    AtOnce,
    /// Each by itself for a time of its own, as with endlessly many servers; an answer also waits
    /// for those before it on its connection.
    Delay(Distribution),
    /// One server that serves all connections' requests one at a time, in order of arrival.
    Service(Distribution),
}

/// A pause of the whole server, counted from the first request that it received.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Freeze {
    /// Nanoseconds from the first request to the pause.
    pub from_ns: u64,
    /// Its length in nanoseconds.
    pub length_ns: u64,
}

/// When answers leave, and whether that is logged.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Timing {
    /// What answers wait for.
    pub wait: Wait,
    /// Answers that would leave during it leave at its end; a service in progress or about to
    /// start goes on after it.
    pub freeze: Option<Freeze>,
    /// Seed of the times that vary.
    pub seed: u64,
    /// Keep each request's stamps for `Server::stop_with_log`.
    pub is_logged: bool,
}

impl Timing {
    /// The same time before every answer, in nanoseconds, if that is all that is asked.
    pub(super) fn plain_delay_ns(&self) -> Option<u64> {
        match &self.wait {
            _ if self.freeze.is_some() || self.is_logged => None,
            Wait::AtOnce => Some(0),
            Wait::Delay(time) => time.constant_ns(),
            Wait::Service(_) => None,
        }
    }

    /// True when only a timer finer than a millisecond, or one queue for all connections, will do:
    /// the engine on tokio-uring has neither.
    pub fn needs_precision(&self) -> bool {
        self.plain_delay_ns().is_none()
    }
}

/// One request's service, in the server's nanoseconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Span {
    pub(super) start_ns: u64,
    /// When its answer is due.
    pub(super) end_ns: u64,
}

/// The freeze in the server's time.
#[derive(Clone, Copy, Debug)]
struct Window {
    from_ns: u64,
    until_ns: u64,
}

impl Window {
    fn contains(self, at_ns: u64) -> bool {
        (self.from_ns..self.until_ns).contains(&at_ns)
    }
}

/// The state of the map for one thread.
#[derive(Debug)]
pub(super) struct Schedule {
    wait: Wait,
    freeze: Option<Freeze>,
    window: Option<Window>,
    rng: Rng,
    /// When the single server is free again.
    free_ns: u64,
}

impl Schedule {
    /// `index` is the thread's: threads draw from streams of their own.
    pub(super) fn new(timing: &Timing, index: usize) -> Self {
        let mut seeds = Rng::new(timing.seed);
        let seed = (0..=index).fold(0, |_, _| seeds.next_u64());
        Self {
            wait: timing.wait.clone(),
            freeze: timing.freeze,
            window: None,
            rng: Rng::new(seed),
            free_ns: 0,
        }
    }

    /// True until `begin` has placed a freeze.
    pub(super) fn wants_beginning(&self) -> bool {
        self.freeze.is_some() && self.window.is_none()
    }

    /// The server's first request came at `first_ns`.
    pub(super) fn begin(&mut self, first_ns: u64) {
        self.window = self.freeze.map(|freeze| {
            let from_ns = first_ns.saturating_add(freeze.from_ns);
            Window { from_ns, until_ns: from_ns.saturating_add(freeze.length_ns) }
        });
    }

    /// The next request's service. Arrivals must not decrease; `before_ns` is when the answer
    /// before it on its connection is due.
    pub(super) fn next(&mut self, arrival_ns: u64, before_ns: u64) -> Span {
        match &self.wait {
            Wait::AtOnce => {
                let end_ns = thawed(self.window, arrival_ns).max(before_ns);
                Span { start_ns: end_ns, end_ns }
            }
            Wait::Delay(time) => {
                let end_ns = arrival_ns.saturating_add(draw(time, &mut self.rng));
                let end_ns = thawed(self.window, end_ns).max(before_ns);
                Span { start_ns: arrival_ns, end_ns }
            }
            Wait::Service(time) => {
                let start_ns = thawed(self.window, arrival_ns.max(self.free_ns));
                let mut end_ns = start_ns.saturating_add(draw(time, &mut self.rng));
                if let Some(Window { from_ns, until_ns }) = self.window
                    && start_ns < from_ns
                    && end_ns >= from_ns
                {
                    end_ns = end_ns.saturating_add(until_ns - from_ns);
                }
                self.free_ns = end_ns;
                Span { start_ns, end_ns }
            }
        }
    }
}

/// The moment itself, or the end of the freeze it falls into.
fn thawed(window: Option<Window>, at_ns: u64) -> u64 {
    window.filter(|window| window.contains(at_ns)).map_or(at_ns, |window| window.until_ns)
}

fn draw(time: &Distribution, rng: &mut Rng) -> u64 {
    let parts = time.parts();
    let mut shape = parts[0].shape;
    if parts.len() > 1 {
        let mut left = rng.below(Distribution::WHOLE);
        for part in parts {
            shape = part.shape;
            if left < part.weight {
                break;
            }
            left -= part.weight;
        }
    }
    match shape {
        Shape::Constant(ns) => ns,
        Shape::Exponential(mean_ns) => rng.exponential(mean_ns),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    // Named, since proptest brings a trait of that name.
    use crate::rng::Rng;
    use crate::units::parse_distribution;

    fn read(text: &str) -> Distribution {
        parse_distribution(text, u64::MAX).unwrap()
    }

    fn schedule(wait: Wait, freeze: Option<Freeze>) -> Schedule {
        let mut schedule = Schedule::new(&Timing { wait, freeze, ..Timing::default() }, 0);
        schedule.begin(0);
        schedule
    }

    /// The single server walked through tick by tick: it works only outside the freeze.
    fn walked(requests: &[(u64, u64)], freeze: Option<Freeze>) -> Vec<Span> {
        let mut spans: Vec<Span> = Vec::new();
        let mut current: Option<(u64, u64)> = None;
        let mut tick = 0;
        while spans.len() < requests.len() {
            let is_frozen =
                freeze.is_some_and(|f| (f.from_ns..f.from_ns + f.length_ns).contains(&tick));
            while !is_frozen && spans.len() < requests.len() {
                let (arrival, work) = requests[spans.len()];
                if current.is_none() && arrival <= tick {
                    current = Some((tick, work));
                }
                let Some((start_ns, 0)) = current else { break };
                spans.push(Span { start_ns, end_ns: tick });
                current = None;
            }
            if let Some((_, left)) = &mut current
                && !is_frozen
            {
                *left -= 1;
            }
            tick += 1;
        }
        spans
    }

    proptest! {
        #[test]
        fn the_single_server_is_the_one_walked_through_tick_by_tick(
            gaps in prop::collection::vec(0u64..12, 1..40),
            work in 0u64..9,
            from_ns in 0u64..60,
            length_ns in 1u64..40,
            is_frozen: bool,
        ) {
            let freeze = is_frozen.then_some(Freeze { from_ns, length_ns });
            let mut at_ns = 0;
            let requests: Vec<_> = gaps.iter().map(|gap| { at_ns += gap; (at_ns, work) }).collect();
            let wait = Wait::Service(Distribution::constant(work));
            let mut schedule = schedule(wait, freeze);
            let spans: Vec<_> = requests.iter().map(|r| schedule.next(r.0, 0)).collect();
            prop_assert_eq!(spans, walked(&requests, freeze));
        }

        #[test]
        fn with_times_that_vary_services_never_overlap_and_last_what_was_drawn(
            gaps in prop::collection::vec(0u64..2_000_000, 1..200),
            seed: u64,
        ) {
            let time = read("50%:exp:1ms,30%:0,20%:2ms");
            let timing = Timing { wait: Wait::Service(time.clone()), seed, ..Timing::default() };
            let mut schedule = Schedule::new(&timing, 0);
            let mut rng = Rng::new(Rng::new(seed).next_u64());
            let (mut arrival_ns, mut free_ns) = (0, 0);
            for gap in gaps {
                arrival_ns += gap;
                let start_ns = u64::max(arrival_ns, free_ns);
                free_ns = start_ns + draw(&time, &mut rng);
                prop_assert_eq!(schedule.next(arrival_ns, 0), Span { start_ns, end_ns: free_ns });
            }
        }

        #[test]
        fn a_freeze_moves_exactly_the_answers_that_would_leave_in_it(
            arrival_ns in 0u64..100,
            delay in 0u64..100,
            from_ns in 0u64..100,
            length_ns in 1u64..100,
        ) {
            let until_ns = from_ns + length_ns;
            let freeze = Some(Freeze { from_ns, length_ns });
            for wait in [Wait::AtOnce, Wait::Delay(Distribution::constant(delay))] {
                let free_ns = schedule(wait.clone(), None).next(arrival_ns, 0).end_ns;
                let frozen_ns = schedule(wait, freeze).next(arrival_ns, 0).end_ns;
                let is_inside = free_ns >= from_ns && free_ns < until_ns;
                prop_assert_eq!(frozen_ns, if is_inside { until_ns } else { free_ns });
            }
        }

        #[test]
        fn an_answer_is_never_due_before_the_one_before_it(
            gaps in prop::collection::vec(0u64..50, 1..100), seed: u64, from_ns in 0u64..500,
        ) {
            let timing = Timing {
                wait: Wait::Delay(read("50%:0,50%:exp:100ns")),
                freeze: Some(Freeze { from_ns, length_ns: 100 }),
                seed,
                is_logged: false,
            };
            let mut schedule = Schedule::new(&timing, 3);
            schedule.begin(0);
            let (mut arrival_ns, mut before_ns) = (0, 0);
            for gap in gaps {
                arrival_ns += gap;
                let span = schedule.next(arrival_ns, before_ns);
                prop_assert!(span.start_ns == arrival_ns && span.end_ns >= arrival_ns);
                prop_assert!(span.end_ns >= before_ns);
                prop_assert!(!(from_ns..from_ns + 100).contains(&span.end_ns));
                before_ns = span.end_ns;
            }
        }
    }

    #[test]
    fn a_mixture_is_drawn_in_its_shares() {
        const DRAWS: usize = 200_000;
        let time = read("89.5%:1ns,0%:2ns,0.5%:3ns,10%:exp:1s");
        let mut rng = Rng::new(1);
        let drawn: Vec<u64> = (0..DRAWS).map(|_| draw(&time, &mut rng)).collect();
        let count = |is_so: fn(u64) -> bool| drawn.iter().filter(|&&ns| is_so(ns)).count() as f64;
        assert_eq!(count(|ns| ns == 2), 0.0);
        for (seen, share) in
            [(count(|ns| ns == 1), 0.895), (count(|ns| ns == 3), 0.005), (count(|ns| ns > 3), 0.1)]
        {
            let sigma = (DRAWS as f64 * share * (1.0 - share)).sqrt();
            let expected = DRAWS as f64 * share;
            assert!((seen - expected).abs() < 5.0 * sigma, "{seen}, expected {expected}");
        }
    }

    #[test]
    fn a_seed_gives_the_same_times_and_threads_draw_apart() {
        let timing = |seed| Timing { wait: Wait::Delay(read("exp:1s")), seed, ..Timing::default() };
        let times = |seed, index| {
            let mut schedule = Schedule::new(&timing(seed), index);
            [0; 4].map(|arrival_ns| schedule.next(arrival_ns, 0).end_ns)
        };
        assert_eq!(times(1, 0), times(1, 0));
        assert_ne!(times(1, 0), times(2, 0));
        assert_ne!(times(1, 0), times(1, 1));
    }

    #[test]
    fn only_a_constant_delay_does_without_precision() {
        let needs =
            |wait, freeze, is_logged| Timing { wait, freeze, seed: 0, is_logged }.needs_precision();
        let freeze = Some(Freeze { from_ns: 0, length_ns: 1 });
        assert!(!needs(Wait::AtOnce, None, false));
        assert!(!needs(Wait::Delay(read("5ms")), None, false));
        assert!(needs(Wait::Delay(read("exp:5ms")), None, false));
        assert!(needs(Wait::Delay(read("50%:0,50%:5ms")), None, false));
        assert!(needs(Wait::Service(read("5ms")), None, false));
        assert!(needs(Wait::AtOnce, freeze, false));
        assert!(needs(Wait::AtOnce, None, true));
    }
}
