//! Several requests in one run: which there are, and the way of each worker through them.
//!
//! The idea: the order is decided before the run. A worker's `Lane` is the cycle of targets it goes
//! through, and where it can, the bytes of their requests in that very order, so that a pipelined
//! batch is one range of them wherever in the cycle it begins. Requests too large for that stand
//! there once each, and those that are not the same every time are written when they leave.
//!
//! On a schedule request `k` of all workers takes place `k` of the cycle, as it takes time `k`. In a
//! closed loop each worker goes through the whole cycle by itself: where its neighbour is faster, the
//! shares are still right. Each begins where the one before it is to end, if that is known, so that
//! together they have taken the first places, each once.

use std::sync::Arc;

use super::pattern::{PatternTooLong, gcd, pattern};
use super::{Request, Share};
use crate::limits;
use crate::rng::Rng;

/// One of the requests that a run sends.
#[derive(Clone, Debug)]
pub struct Target {
    /// Method and URL, secrets redacted.
    pub name: String,
    /// Its part of the requests, beside the others' weights; at least 1.
    pub weight: u32,
    /// Which server it is for: a place in `Targets::origins`.
    pub origin: u32,
    /// What is sent.
    pub request: Request,
}

/// A server that a part of the connections is bound to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Origin {
    /// `http://host:port`.
    pub name: String,
    /// Its addresses: the first in `Plan::addresses`, and how many.
    pub address_first: u32,
    /// See above.
    pub addresses: u32,
}

/// All of a run's requests, where there is more to say than one request's bytes.
#[derive(Clone, Debug)]
pub struct Targets {
    list: Vec<Target>,
    origins: Vec<Origin>,
    /// The target at each place of the cycle.
    pattern: Vec<u32>,
}

/// What a connection is bound to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Seat {
    /// The origin.
    pub origin: u32,
    /// The address it tries first, and the range it goes through from there.
    pub address: u32,
    /// See above.
    pub address_first: u32,
    /// See above.
    pub addresses: u32,
}

/// How a lane's requests are held.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Layout {
    /// In the order of the cycle; `starts` has one more than places.
    InOrder,
    /// Each once; `starts` has one more than targets.
    Once,
    /// Not at all: each is written when it leaves.
    Written,
}

/// One worker's way through the targets.
#[derive(Clone, Debug)]
pub struct Lane {
    targets: Arc<Targets>,
    layout: Layout,
    /// What sends refer to.
    pub arena: Arc<[u8]>,
    starts: Arc<[u32]>,
    /// The target at each place, and behind the cycle its first places again.
    order: Arc<[u32]>,
    cycle: u32,
    /// Most requests in one send.
    pub batch_max: u32,
    /// What each connection is bound to.
    pub seats: Arc<[Seat]>,
    /// The first request's number over all workers, and how far it is to the next one's.
    pub number_first: u64,
    /// See above.
    pub number_step: u64,
}

impl Targets {
    /// These targets, of these origins.
    pub fn new(list: Vec<Target>, origins: Vec<Origin>) -> Result<Self, PatternTooLong> {
        let weights: Vec<u32> = list.iter().map(|target| target.weight).collect();
        Ok(Self { pattern: pattern(&weights)?, list, origins })
    }

    /// In the order they were given.
    pub fn list(&self) -> &[Target] {
        &self.list
    }

    /// In the order they were first named.
    pub fn origins(&self) -> &[Origin] {
        &self.origins
    }

    /// Whether results are kept for each: of many it would take too much memory, of one it says
    /// nothing.
    pub fn reported(&self) -> usize {
        if (2..=limits::TARGETS_REPORTED_MAX).contains(&self.list.len()) {
            self.list.len()
        } else {
            0
        }
    }

    /// Some requests are HEAD and others are not.
    pub fn mixes_head(&self) -> bool {
        let heads = self.list.iter().filter(|target| target.request.head_request()).count();
        heads > 0 && heads < self.list.len()
    }

    /// The most bytes that one request takes.
    pub fn bytes_max(&self) -> usize {
        self.list.iter().map(|target| target.request.bytes_max()).max().unwrap_or(1)
    }

    /// One lane for each worker, whose requests are those of every `shares.len()`th place where they
    /// are dealt `in_turn`, else as many in a row as it has.
    pub fn lanes(self: &Arc<Self>, shares: &[Share], in_turn: bool, depth: u32) -> Vec<Lane> {
        let (places, workers) = (self.pattern.len() as u64, shares.len() as u64);
        let mut seated = vec![0; self.origins.len()];
        let mut begin = 0;
        (0..)
            .zip(shares)
            .map(|(worker, share)| {
                let (first, step) = if in_turn { (worker, workers) } else { (begin, 1) };
                begin += share.requests.unwrap_or_else(|| places.div_ceil(workers)) % places;
                let cycle = places / gcd(places, step);
                let order: Vec<u32> = (0..cycle)
                    .map(|place| self.pattern[((first + place * step) % places) as usize])
                    .collect();
                let seats = self.seats(share.connections, &order, &mut seated);
                let lane = self.lane(order, depth, seats);
                Lane { number_first: worker, number_step: workers, ..lane }
            })
            .collect()
    }

    /// Binds connections to the origins of a cycle, each at least one of them, the others by how
    /// many places it has; `seated` counts an origin's connections over all workers.
    fn seats(&self, connections: u32, order: &[u32], seated: &mut [u32]) -> Arc<[Seat]> {
        let mut places = vec![0_u64; self.origins.len()];
        for &target in order {
            places[self.list[target as usize].origin as usize] += 1;
        }
        let mut given = vec![0_u64; self.origins.len()];
        let mut seats = Vec::with_capacity(connections as usize);
        for _ in 0..connections {
            // The one that has least for its places; one without any comes first (D'Hondt).
            let wants = |&origin: &usize| places[origin] > 0;
            let Some(origin) = (0..places.len()).filter(wants).min_by(|&a, &b| {
                let beside = |this: usize, other: usize| {
                    let is_seated = u64::from(given[this] > 0);
                    (is_seated, (given[this] + 1) * places[other])
                };
                beside(a, b).cmp(&beside(b, a))
            }) else {
                break;
            };
            given[origin] += 1;
            let Origin { address_first, addresses, .. } = self.origins[origin];
            let address = address_first + seated[origin] % addresses.max(1);
            seats.push(Seat { origin: origin as u32, address, address_first, addresses });
            seated[origin] += 1;
        }
        seats.into()
    }

    fn lane(self: &Arc<Self>, mut order: Vec<u32>, depth: u32, seats: Arc<[Seat]>) -> Lane {
        let cycle = order.len() as u32;
        let fitting = (limits::ARENA_BYTES_TARGET / self.bytes_max().max(1)).max(1);
        let batch_max = fitting.min(depth.max(1) as usize) as u32;
        let request = |target: u32| self.list[target as usize].request.bytes();
        // Wherever a batch begins, it goes on without a break.
        let wrapped =
            order.iter().copied().cycle().take((cycle + batch_max - 1) as usize).collect();
        let in_order = std::mem::replace(&mut order, wrapped);
        let bytes: usize = order.iter().map(|&target| request(target).len()).sum();
        let is_constant = self.list.iter().all(|target| target.request.is_constant());
        let (layout, batch_max, laid_out) = match is_constant {
            false => (Layout::Written, batch_max, Vec::new()),
            true if bytes <= limits::LANE_BYTES_MAX => (Layout::InOrder, batch_max, order.clone()),
            true => (Layout::Once, 1, (0..self.list.len() as u32).collect()),
        };
        if layout != Layout::InOrder {
            order = in_order;
        }
        let mut arena = Vec::new();
        let mut starts = vec![0];
        for target in laid_out {
            arena.extend_from_slice(request(target));
            starts.push(arena.len() as u32);
        }
        Lane {
            targets: Arc::clone(self),
            layout,
            arena: arena.into(),
            starts: starts.into(),
            order: order.into(),
            cycle,
            batch_max,
            seats,
            number_first: 0,
            number_step: 1,
        }
    }
}

impl Lane {
    /// All targets.
    pub fn targets(&self) -> &Targets {
        &self.targets
    }

    /// How many places the cycle has.
    pub fn cycle(&self) -> u32 {
        self.cycle
    }

    /// The target at a place below `cycle`.
    #[inline]
    pub fn target(&self, place: u32) -> &Target {
        &self.targets.list[self.target_index(place) as usize]
    }

    /// Its index.
    #[inline]
    pub fn target_index(&self, place: u32) -> u32 {
        self.order[place as usize]
    }

    /// The requests go to more than one server.
    #[inline]
    pub fn has_origins(&self) -> bool {
        self.targets.origins.len() > 1
    }

    /// Requests are written when they leave; no range of the arena holds them.
    #[inline]
    pub fn is_written(&self) -> bool {
        self.layout == Layout::Written
    }

    /// Several requests leave in one send.
    pub fn has_batches(&self) -> bool {
        self.layout != Layout::Once
    }

    /// Where in the arena the `count` requests from a place on begin, and how many bytes they take.
    /// At most `batch_max`, of a lane that is not written.
    #[inline]
    pub fn range(&self, place: u32, count: u32) -> (u32, u32) {
        let from = match self.layout {
            Layout::InOrder => place,
            Layout::Once | Layout::Written => self.order[place as usize],
        };
        let start = self.starts[from as usize];
        (start, self.starts[(from + count) as usize] - start)
    }

    /// Writes the request of a place, as request `number`, to the front of `out`; gives its length.
    pub fn write(&self, out: &mut [u8], place: u32, number: u64, rng: &mut Rng) -> usize {
        self.target(place).request.write(out, number, rng)
    }

    /// Bytes of one scratch buffer, and how many are enough for `connections` or all there are; none
    /// for a lane that is not written.
    pub fn scratch(&self, connections: u32) -> (usize, u16) {
        if !self.is_written() {
            return (0, 0);
        }
        let bytes = self.batch_max as usize * self.targets.bytes_max();
        let affordable = (limits::SCRATCH_BYTES_MAX / bytes).clamp(1, usize::from(u16::MAX));
        (bytes, affordable.min(connections as usize) as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Body, Text, deal, part};
    use super::*;

    fn target(weight: u32, path: &str, origin: u32) -> Target {
        let request = Request::new("GET", path, "h", &[], None).unwrap();
        Target { name: path.to_owned(), weight, origin, request }
    }

    fn origin(address_first: u32, addresses: u32) -> Origin {
        Origin { name: format!("http://h{address_first}"), address_first, addresses }
    }

    fn targets(weights: &[u32]) -> Arc<Targets> {
        let list = weights.iter().enumerate().map(|(i, &w)| target(w, &format!("/{i}"), 0));
        Arc::new(Targets::new(list.collect(), vec![origin(0, 1)]).unwrap())
    }

    /// The targets of a worker's first `count` requests.
    fn first(lane: &Lane, count: u64) -> Vec<u32> {
        (0..count).map(|n| lane.target_index((n % u64::from(lane.cycle())) as u32)).collect()
    }

    #[test]
    fn a_known_number_of_requests_takes_the_first_places_whatever_the_threads() {
        let weights = [5, 3, 1, 1];
        for total in [1, 7, 10, 99, 1000] {
            for threads in 1..6 {
                let targets = targets(&weights);
                let shares = deal(8, Some(total), threads, &[], 1);
                for paced in [false, true] {
                    let lanes = targets.lanes(&shares, paced, 1);
                    let mut taken = vec![0_u64; weights.len()];
                    for ((worker, lane), share) in (0..).zip(&lanes).zip(&shares) {
                        let of_schedule = part(total, threads, worker);
                        let own = if paced { of_schedule } else { share.requests.unwrap() };
                        for target in first(lane, own) {
                            taken[target as usize] += 1;
                        }
                    }
                    let mut expected = vec![0; weights.len()];
                    for k in 0..total {
                        expected[targets.pattern[(k % 10) as usize] as usize] += 1;
                    }
                    assert_eq!(taken, expected, "{total} on {threads}, paced {paced}");
                }
            }
        }
    }

    #[test]
    fn on_a_schedule_request_k_takes_place_k() {
        let targets = targets(&[3, 2, 1]);
        for threads in 1..8 {
            let lanes = targets.lanes(&deal(8, None, threads, &[], 1), true, 4);
            for k in 0..100_u64 {
                let lane = &lanes[(k % u64::from(threads)) as usize];
                let place = (k / u64::from(threads)) % u64::from(lane.cycle());
                let expected = targets.pattern[(k % 6) as usize];
                assert_eq!(lane.target_index(place as u32), expected, "{k} on {threads}");
            }
        }
    }

    #[test]
    fn in_a_closed_loop_every_worker_keeps_the_shares_by_itself() {
        let lanes = targets(&[1, 1]).lanes(&deal(8, None, 2, &[], 1), false, 1);
        assert_eq!(first(&lanes[0], 4), [0, 1, 0, 1]);
        assert_eq!(first(&lanes[1], 4), [1, 0, 1, 0]);
    }

    #[test]
    fn a_batch_is_one_range_wherever_it_begins() {
        let targets = targets(&[3, 2, 1]);
        for depth in [1, 2, 7, 16] {
            let lane = &targets.lanes(&deal(1, None, 1, &[], 1), false, depth)[0];
            assert_eq!(lane.batch_max, depth);
            for place in 0..lane.cycle() {
                for count in 1..=depth {
                    let (start, len) = lane.range(place, count);
                    let expected: Vec<u8> = (0..count)
                        .flat_map(|n| {
                            let target = lane.target_index((place + n) % lane.cycle());
                            targets.list()[target as usize].request.bytes().to_vec()
                        })
                        .collect();
                    assert_eq!(lane.arena[start as usize..][..len as usize], expected[..]);
                }
            }
        }
    }

    #[test]
    fn large_requests_stand_in_the_arena_once() {
        let body = vec![b'x'; limits::LANE_BYTES_MAX / 3];
        let mut large = target(3, "/large", 0);
        large.request = Request::new("POST", "/large", "h", &[], Some(&body)).unwrap();
        let list = vec![large, target(2, "/small", 0)];
        let targets = Arc::new(Targets::new(list, vec![origin(0, 1)]).unwrap());
        let lane = &targets.lanes(&deal(1, None, 1, &[], 1), false, 16)[0];
        assert_eq!((lane.cycle(), lane.batch_max, lane.has_batches()), (5, 1, false));
        assert!(lane.arena.len() < limits::LANE_BYTES_MAX);
        for place in 0..5 {
            let (start, len) = lane.range(place, 1);
            let request = lane.target(place).request.bytes();
            assert_eq!(&lane.arena[start as usize..(start + len) as usize], request);
        }
    }

    #[test]
    fn what_varies_is_written_into_scratch_of_bounded_size() {
        let body = Body::Same(Text::typed(b"{{uuid}}"));
        let request = Request::with_placeholders("POST", "/{{seq}}", "h", &[], body).unwrap();
        let bytes = request.bytes_max();
        let list = vec![Target { request, ..target(1, "/", 0) }];
        let targets = Arc::new(Targets::new(list, vec![origin(0, 1)]).unwrap());
        let lane = &targets.lanes(&deal(1, None, 1, &[], 1), false, 16)[0];
        assert!(lane.is_written() && lane.arena.is_empty());
        assert_eq!(lane.scratch(100), (16 * bytes, 100));
        let (one, buffers) = lane.scratch(u32::MAX);
        assert!(one * usize::from(buffers) <= limits::SCRATCH_BYTES_MAX);
        assert_eq!(targets.reported(), 0);
    }

    #[test]
    fn connections_are_spread_by_weight_each_server_has_one_and_addresses_take_turns() {
        let list = vec![target(6, "/a", 0), target(3, "/b", 1), target(1, "/c", 2)];
        let origins = vec![origin(0, 2), origin(2, 1), origin(3, 3)];
        let targets = Arc::new(Targets::new(list, origins).unwrap());
        let count = |lanes: &[Lane], origin| {
            lanes.iter().flat_map(|l| l.seats.iter()).filter(|s| s.origin == origin).count()
        };
        let lanes = targets.lanes(&deal(20, None, 1, &[], 1), false, 1);
        assert_eq!([0, 1, 2].map(|origin| count(&lanes, origin)), [12, 6, 2]);
        let lanes = targets.lanes(&deal(3, None, 1, &[], 1), false, 1);
        assert_eq!([0, 1, 2].map(|origin| count(&lanes, origin)), [1, 1, 1]);
        let lanes = targets.lanes(&deal(20, None, 3, &[], 1), false, 1);
        let seats: Vec<Seat> = lanes.iter().flat_map(|lane| lane.seats.iter().copied()).collect();
        assert_eq!(seats.len(), 20);
        for seat in &seats {
            let range = seat.address_first..seat.address_first + seat.addresses;
            assert!(range.contains(&seat.address), "{seat:?}");
        }
        let at = |address| seats.iter().filter(|seat| seat.address == address).count();
        assert!(at(0).abs_diff(at(1)) <= 1, "{seats:?}");
    }
}
