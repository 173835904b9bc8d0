//! The open loop: which requests are due, and which connection takes each.
//!
//! Owns the forward cursors over the worker's share of the schedule and the sets of connections with
//! room. Knows nothing of what a connection does with a request. Times of the schedule count from
//! its origin, all others from the run's clock.
//!
//! The idea: an intended time is a function of the request's index, so a backlog is the distance
//! between two cursors, one at the next index to become due and one at the next to leave. A request
//! belongs to no connection until one takes it, so a stalled connection holds up what it has, and
//! nothing else.

use std::sync::Arc;

use super::delays::Delays;
use super::places::Places;
use crate::plan::Lane;
use crate::record::{Lag, Recorder};
use crate::schedule::{Arrivals, Cursor, Profile};

/// Sends in one turn while few requests wait: the turn's one stamp is to be true for the last of them
/// too, and each takes the kernel some microseconds.
const SENDS_FEW: u32 = 16;
/// Sends in one turn while many wait, when fuller turns are worth more than exact stamps.
const SENDS_MANY: u32 = 64;
/// From this backlog on, many wait.
const BACKLOG_LARGE: u64 = 256;
/// Random arrivals that become due in one turn are drawn up to this many, the rest in the next, so
/// that after a standstill the loop stays a loop.
const DUE_PER_TURN: u64 = 65_536;
/// And requests whose deadline passed are booked up to this many.
const SHED_PER_TURN: u32 = 8192;
/// What was never sent gets its stamps in so many blocks at most; all of a block count as having
/// waited as long as its youngest.
const UNSENT_BLOCKS: u64 = 4096;
/// Random arrivals that were never sent are drawn again for their stamps, up to this many. So many
/// lie along the integral of the rate as evenly as a stamp can tell, and drawing more takes too long.
const UNSENT_DRAWN: u64 = 1 << 20;

/// When one worker's requests are to leave.
#[derive(Clone, Debug)]
pub struct Pace {
    /// The window's share; time 0 is the window's start.
    pub window: Cursor,
    /// The warm-up's, from its start.
    pub warmup: Option<Cursor>,
    /// The profile the window's share is of, how requests lie in it, and how many share it.
    pub profile: Arc<Profile>,
    /// See above.
    pub arrivals: Arrivals,
    /// See above.
    pub workers: u32,
    /// Longest time a request may start after its intended time, in nanoseconds.
    pub deadline_ns: Option<u64>,
}

/// A worker's open loop.
#[derive(Debug)]
pub(super) struct Release {
    pace: Pace,
    /// At the next request to become due, and the next to leave.
    due: Cursor,
    leaving: Cursor,
    origin_ns: u64,
    backlog: u64,
    /// Intended time of the request before the next one to leave.
    left_before_ns: Option<u64>,
    /// When that one could have left.
    free_before_ns: u64,
    /// The connections to each server.
    seats: Vec<Seats>,
    /// The server of the next request to leave.
    origin: usize,
    /// Which server each request is for, where there are several.
    lane: Option<Arc<Lane>>,
    /// When the loop was not there.
    delays: Delays,
    /// Never sent, not stamped yet, and the end of their phase.
    unsent: (u64, u64),
}

/// The connections to one server that have room.
#[derive(Debug)]
struct Seats {
    /// Connections with nothing in flight, and others that could take more. The idle ones are asked
    /// first: what is given to a busy one waits behind what it has.
    idle: Places,
    busy: Places,
    /// Since when a connection has had room.
    room_since_ns: u64,
    /// How many connections there are to this server, or are to be.
    connections: u32,
}

impl Seats {
    /// For `connections` to this server, of all that are numbered below `places`.
    fn new(places: u32, connections: u32) -> Self {
        let none = || Places::new(places);
        Self { idle: none(), busy: none(), room_since_ns: 0, connections }
    }

    #[inline]
    fn room(&self) -> u32 {
        self.idle.count() + self.busy.count()
    }
}

impl Release {
    pub(super) fn new(pace: Pace, connections: u32, lane: Option<&Arc<Lane>>) -> Self {
        let lane = lane.filter(|lane| lane.has_origins()).cloned();
        let seats = match &lane {
            None => vec![Seats::new(connections, connections)],
            Some(lane) => {
                let to = |origin: usize| {
                    lane.seats.iter().filter(|seat| seat.origin as usize == origin).count() as u32
                };
                let origins = 0..lane.targets().origins().len();
                origins.map(|origin| Seats::new(connections, to(origin))).collect()
            }
        };
        // Until it has an origin, nothing of it is due.
        let first = pace.warmup.as_ref().unwrap_or(&pace.window).clone();
        Self {
            due: first.clone(),
            leaving: first,
            pace,
            origin_ns: u64::MAX,
            backlog: 0,
            left_before_ns: None,
            free_before_ns: 0,
            seats,
            origin: lane.as_ref().map_or(0, |lane| lane.target(0).origin as usize),
            lane,
            delays: Delays::new(),
            unsent: (0, 0),
        }
    }

    /// The warm-up's schedule begins.
    pub(super) fn begin_warmup(&mut self, origin_ns: u64) {
        if self.pace.warmup.is_some() {
            self.origin_ns = origin_ns;
        }
    }

    /// The window's schedule begins; what is left of the warm-up's has been given up.
    pub(super) fn begin_window(&mut self, origin_ns: u64) {
        debug_assert_eq!(self.backlog, 0, "the warm-up's backlog does not enter the window");
        self.due = self.pace.window.clone();
        self.leaving = self.pace.window.clone();
        self.origin_ns = origin_ns;
        self.left_before_ns = None;
        self.free_before_ns = 0;
        self.unsent = (0, 0);
        self.look_ahead();
    }

    /// Finds the server of the next request to leave.
    #[inline]
    fn look_ahead(&mut self) {
        if let Some(lane) = &self.lane {
            let place = self.leaving.taken() % u64::from(lane.cycle());
            self.origin = lane.target(place as u32).origin as usize;
        }
    }

    /// Which of the worker's requests leaves next, counted from the schedule's first.
    pub(super) fn next_index(&self) -> u64 {
        self.leaving.taken()
    }

    /// The server of the next request to leave.
    pub(super) fn next_origin(&self) -> u32 {
        self.origin as u32
    }

    /// Everything that was to leave has left or been given up.
    pub(super) fn is_exhausted(&self) -> bool {
        self.backlog == 0 && self.due.peek_ns().is_none()
    }

    /// When something is to be done next: at once, or when the next request becomes due; never while
    /// no connection could take it.
    pub(super) fn wake_ns(&self) -> u64 {
        match self.due.peek_ns() {
            _ if self.room() == 0 => u64::MAX,
            _ if self.backlog > 0 => 0,
            Some(next_ns) => self.origin_ns.saturating_add(next_ns),
            None => u64::MAX,
        }
    }

    /// Some connection could take the next request.
    pub(super) fn has_room(&self) -> bool {
        self.room() > 0
    }

    fn room(&self) -> u32 {
        self.seats[self.origin].room()
    }

    /// Notes whether a connection to a server could take a request, as of `since_ns`, and whether it
    /// has any.
    #[inline]
    pub(super) fn note(
        &mut self,
        origin: u32,
        index: u32,
        has_room: bool,
        is_idle: bool,
        since_ns: u64,
    ) {
        let seats = &mut self.seats[origin as usize];
        if has_room && seats.room() == 0 {
            seats.room_since_ns = since_ns;
        }
        seats.idle.set(index, has_room && is_idle);
        seats.busy.set(index, has_room && !is_idle);
    }

    /// Takes what is due before `end_ns` over into the backlog, and says how much that is.
    pub(super) fn count_due_before(&mut self, end_ns: u64) -> u64 {
        let length_ns = end_ns.checked_sub(self.origin_ns);
        let Some(last_ns) = length_ns.and_then(|length_ns| length_ns.checked_sub(1)) else {
            return 0;
        };
        let most = match self.pace.arrivals {
            Arrivals::Constant => u64::MAX,
            Arrivals::Poisson => DUE_PER_TURN,
        };
        let count = self.due.take_until(last_ns, most);
        self.backlog += count;
        count
    }

    /// Counts what has become due by now and before `end_ns`, and sheds what can no longer start in
    /// time.
    pub(super) fn become_due(&mut self, recorder: &mut Recorder, end_ns: u64) {
        let now_ns = recorder.now_ns();
        let count = self.count_due_before(now_ns.saturating_add(1).min(end_ns));
        recorder.due(count);
        let Some(deadline_ns) = self.pace.deadline_ns else { return };
        let mut shed = 0;
        while self.backlog > 0 && shed < SHED_PER_TURN {
            let intended_ns = self.leaving_ns();
            if intended_ns.saturating_add(deadline_ns) >= now_ns {
                return;
            }
            let free_ns = self.free_ns(now_ns, self.room() > 0);
            let lag = self.lag(intended_ns, now_ns, free_ns);
            self.take_leaving(free_ns);
            shed += 1;
            recorder.shed(lag);
        }
    }

    /// How many sends may leave in this turn.
    pub(super) fn sends_max(&self) -> u32 {
        if self.backlog < BACKLOG_LARGE { SENDS_FEW } else { SENDS_MANY }
    }

    /// Due, neither started nor given up.
    pub(super) fn backlog(&self) -> u64 {
        self.backlog
    }

    /// The loop was not there from `from_ns` to `to_ns`, and now connections have room. What that
    /// cost those who wait: all of it where a connection `had_room` before, because then wring alone
    /// was missing. Else the target had requests to work on, and what it lacked is at most what the
    /// connections that came back would have carried, of the `open` ones: a target that works on
    /// all requests at once lost that share of its pace, one with a queue of its own less, and none
    /// while the queue lasted.
    pub(super) fn note_delay(&mut self, from_ns: u64, to_ns: u64, had_room: bool, open: u32) {
        let seats = &self.seats[self.origin];
        let delay_ns = to_ns.saturating_sub(from_ns);
        let lost_ns = if had_room {
            delay_ns
        } else {
            let came_back = u64::from(seats.room());
            let open = u64::from(open.min(seats.connections)).max(came_back).max(1);
            (u128::from(delay_ns) * u128::from(came_back) / u128::from(open)) as u64
        };
        self.delays.add(from_ns, to_ns, lost_ns);
    }

    /// Which connection takes the next requests, and how many: they are spread over all that have
    /// room before any takes a second one, in `sends_left` sends.
    pub(super) fn pick(&mut self, sends_left: u32) -> Option<(u32, u64)> {
        let Seats { idle, busy, .. } = &mut self.seats[self.origin];
        let places = if idle.count() > 0 { idle } else { busy };
        let takers = u64::from(places.count().min(sends_left).max(1));
        places.next().map(|index| (index, self.backlog.div_ceil(takers)))
    }

    /// The next request leaves now: its intended time in the run's clock.
    #[inline]
    pub(super) fn leave(&mut self, recorder: &mut Recorder) -> u64 {
        let intended_ns = self.leaving_ns();
        let asked_gap_ns = self.left_before_ns.map_or(0, |before| self.asked_gap_ns(before));
        let now_ns = recorder.now_ns();
        let free_ns = self.free_ns(now_ns, true);
        recorder.left(self.lag(intended_ns, now_ns, free_ns), asked_gap_ns);
        self.take_leaving(free_ns);
        intended_ns
    }

    fn take_leaving(&mut self, free_ns: u64) {
        self.left_before_ns = Some(self.leaving_ns());
        self.free_before_ns = free_ns;
        self.leaving.advance();
        self.backlog -= 1;
        self.look_ahead();
    }

    /// Since when the next request could have left: a connection to its server had room, and the
    /// request before it could have left. They leave in order, so what keeps one waiting for a
    /// connection keeps those behind it waiting for the same.
    #[inline]
    fn free_ns(&self, now_ns: u64, has_room: bool) -> u64 {
        let room_since_ns = self.seats[self.origin].room_since_ns;
        let free_ns = if has_room { room_since_ns } else { now_ns };
        free_ns.max(self.free_before_ns).min(now_ns)
    }

    /// The lag of a request due at `intended_ns` that could have left from `free_ns` on, and whose it
    /// is: wring's from then on, and before that as far as the loop's own delays put it off.
    #[inline]
    fn lag(&self, intended_ns: u64, now_ns: u64, free_ns: u64) -> Lag {
        let total_ns = now_ns.saturating_sub(intended_ns);
        let without_room_ns = free_ns.saturating_sub(intended_ns);
        let mut late_ns = total_ns - without_room_ns;
        if without_room_ns > 0 {
            late_ns += self.delays.between(intended_ns, free_ns).min(without_room_ns);
        }
        Lag { intended_ns, total_ns, late_ns }
    }

    /// The phase ends at `end_ns`: what became due before it and has not left never will. Takes no
    /// time worth naming, as answers are still on their way; when each was due is booked by
    /// `stamp_unsent`.
    pub(super) fn close(&mut self, end_ns: u64, recorder: &mut Recorder) {
        let last_ns = end_ns.checked_sub(self.origin_ns).and_then(|length| length.checked_sub(1));
        let count = last_ns.map_or(0, |last_ns| self.due.take_until(last_ns, u64::MAX));
        recorder.due(count);
        self.backlog += count;
        recorder.unsent(self.backlog);
        self.unsent = (self.backlog, end_ns);
        self.backlog = 0;
    }

    /// Books how long those waited that never left, until the end of their phase.
    pub(super) fn stamp_unsent(&mut self, recorder: &mut Recorder) {
        let (mut left, end_ns) = self.unsent;
        if left > UNSENT_DRAWN && self.pace.arrivals == Arrivals::Poisson {
            return self.stamp_unsent_evenly(recorder);
        }
        let block = left.div_ceil(UNSENT_BLOCKS).max(1);
        while left > 0 {
            let count = block.min(left);
            self.leaving.skip(count - 1);
            recorder.unsent_waited(count, end_ns.saturating_sub(self.leaving_ns()));
            self.leaving.advance();
            left -= count;
        }
        self.unsent = (0, 0);
    }

    /// The same for many random arrivals: each where it is expected between the first of them and the
    /// end.
    fn stamp_unsent_evenly(&mut self, recorder: &mut Recorder) {
        let (all, end_ns) = std::mem::take(&mut self.unsent);
        let first_ns = self.leaving.peek_ns().unwrap_or(0);
        let last_ns = end_ns.saturating_sub(self.origin_ns).max(first_ns);
        let [low, high] = [first_ns, last_ns].map(|at_ns| self.pace.profile.integral(at_ns));
        let block = all.div_ceil(UNSENT_BLOCKS);
        let mut booked = 0;
        while booked < all {
            let count = block.min(all - booked);
            booked += count;
            let wanted = low + (high - low) * booked as f64 / all as f64;
            let place_ns = first_reaching(wanted, &self.pace.profile, first_ns, last_ns);
            recorder.unsent_waited(count, last_ns - place_ns);
        }
    }

    /// What was to lie between the request that left before and the one that leaves now: for random
    /// arrivals the mean at this time.
    #[inline]
    fn asked_gap_ns(&self, before_ns: u64) -> u64 {
        let intended_ns = self.leaving_ns();
        match self.pace.arrivals {
            Arrivals::Constant => intended_ns - before_ns,
            Arrivals::Poisson => {
                let at_ns = intended_ns.saturating_sub(self.origin_ns);
                let rate_per_s =
                    self.pace.profile.rate_per_s_at(at_ns) / f64::from(self.pace.workers);
                if rate_per_s > 0.0 { (1e9 / rate_per_s) as u64 } else { 0 }
            }
        }
    }

    fn leaving_ns(&self) -> u64 {
        debug_assert!(self.leaving.peek_ns().is_some(), "what is due has an intended time");
        self.origin_ns.saturating_add(self.leaving.peek_ns().unwrap_or(0))
    }
}

/// When the integral of the rate reaches `wanted`, between two times.
fn first_reaching(wanted: f64, profile: &Profile, mut low_ns: u64, mut high_ns: u64) -> u64 {
    while low_ns < high_ns {
        let middle_ns = low_ns + (high_ns - low_ns) / 2;
        if profile.integral(middle_ns) < wanted {
            low_ns = middle_ns + 1;
        } else {
            high_ns = middle_ns;
        }
    }
    low_ns
}
