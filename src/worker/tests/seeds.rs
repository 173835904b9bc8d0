//! Whole runs drawn from seeds, each held to everything that is always true.
//!
//! A seed draws the load, the server, its answers and the faults (`drawn`); the run is judged by the
//! model server's own counts, by the identities, by its bounds in time and by what must be given
//! back. The same seed is the same run, so a seed that fails is its own replay: `scripts/seeds`.

mod drawn;

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::hist::Hist;
use crate::outcome::{Cause, FailureCounts};
use crate::plan::{Share, deal};
use crate::record::{ByteCounts, ConnectionCounts};
use crate::schedule::Arrivals;
use drawn::{Drawn, Parts};

/// Seeds of every test run.
const DEFAULT_SEEDS: u64 = 256;

/// One worker's end of a run.
struct Ended {
    outcome: Outcome,
    sim: Sim,
    seconds: Vec<Second>,
}

impl Drawn {
    fn shares(&self) -> Vec<Share> {
        deal(self.connections, self.requests, self.workers, &[], self.seed)
    }

    fn setup(&self, share: &Share, arena: &crate::plan::Arena) -> Setup {
        Setup {
            slots: share.connections,
            arena: Arc::clone(&arena.bytes),
            addresses: vec![([192, 0, 2, 1], 80).into(); self.addresses as usize],
            sources: Vec::new(),
            tcp_congestion: None,
            recv_buffer_bytes: self.recv_buffer_bytes,
            recv_buffers: self.recv_buffers,
            send_buffers: 0,
            send_buffer_bytes: 0,
            spin: Spin::NEVER,
            keeps_deadline: false,
        }
    }

    fn pace(&self, worker: u32) -> Option<Pace> {
        let pacing = self.pacing.as_ref()?;
        Some(Pace {
            window: pacing.window_share(worker, self.workers, self.seed, self.requests),
            warmup: pacing.warmup_share(worker, self.workers, self.seed),
            profile: Arc::clone(&pacing.profile),
            arrivals: pacing.arrivals,
            workers: self.workers,
            deadline_ns: pacing.deadline_ns,
        })
    }

    fn run_worker(&self, worker: u32, share: &Share) -> Ended {
        let request = Request::new(self.method, "/", "h", &[], self.body.as_deref()).unwrap();
        let arena = request.arena(self.depth);
        let timeouts_ns = (self.timeout_ns, self.opening_ns);
        let shape =
            Shape::new(&request, &arena, self.depth, timeouts_ns.0, timeouts_ns.1, self.addresses);
        let shape = Shape { requests_max: self.requests_max, close: self.close, ..shape };
        let pace = self.pace(worker);
        let (writer, mut reader) = interval_queue(self.interval_ns);
        let recorder = match &pace {
            Some(_) => Recorder::paced(writer),
            None => Recorder::new(writer),
        };
        let task = Task {
            connections: share.connections,
            connection_first: share.connection_first,
            addresses: self.addresses,
            requests: share.requests,
            pace,
            duration_ns: self.duration_ns,
            patience: None,
            warmup_ns: self.warmup_ns,
            drain_ns: self.drain_ns,
            opening_ns: self.opening_ns,
            connect_pace: None,
            shape,
            lane: None,
            seed: share.seed,
        };
        let model = Model { seed: self.model.seed ^ u64::from(worker), ..self.model.clone() };
        let sim = Sim::new(self.setup(share, &arena), model);
        let control = Control::default();
        // As when the slowest of all workers is the last to open.
        control.start_at(self.opening_ns);
        let (outcome, sim) = Worker::new(sim, task, recorder, CpuTime::default).run(&control);
        let mut seconds = Vec::new();
        while let Some(interval) = reader.pop() {
            seconds.push(Second::from(&interval));
        }
        Ended { outcome, sim, seconds }
    }

    fn run(&self) -> Vec<Ended> {
        let shares = self.shares();
        (0..).zip(&shares).map(|(worker, share)| self.run_worker(worker, share)).collect()
    }

    /// Everything that is true of every run.
    fn judge(&self, ended: &[Ended]) {
        for (one, share) in ended.iter().zip(self.shares()) {
            self.judge_worker(one, &share);
        }
        if let [one] = ended {
            return self.judge_total(&one.outcome.record, ended);
        }
        let mut total = WorkerRecord::default();
        let records: Vec<_> = ended.iter().map(|one| one.outcome.record.clone()).collect();
        records.iter().for_each(|record| total.merge(record));
        let requests = ended.iter().map(|one| one.sim.server().requests).sum();
        self.judge_identities(&total, &records, &[], self.connections, requests);
        self.judge_total(&total, ended);
    }

    fn judge_total(&self, total: &WorkerRecord, ended: &[Ended]) {
        let window = total.phase(Phase::Window);
        if let (Some(pacing), Some(duration_ns)) = (&self.pacing, self.duration_ns) {
            let whole = |one: &Ended| {
                one.outcome.window_end_ns - one.outcome.window_start_ns == duration_ns
            };
            if pacing.arrivals == Arrivals::Constant
                && self.requests.is_none()
                && ended.iter().all(whole)
            {
                assert_eq!(Some(window.due), pacing.profile.total(), "all that was asked is due");
            }
        }
        if self.calm {
            self.judge_calm(total, ended);
        }
    }

    fn judge_identities(
        &self,
        total: &WorkerRecord,
        records: &[WorkerRecord],
        seconds: &[Second],
        connections: u32,
        requests: u64,
    ) {
        for check in check(total, records, seconds, connections, Some(requests)) {
            assert!(check.holds != Some(false), "{} {check:?}", check.identity.claim());
        }
    }

    fn judge_worker(&self, one: &Ended, share: &Share) {
        let Ended { outcome, sim, seconds } = one;
        assert!(outcome.broke.is_none(), "the backend broke: {:?}", outcome.broke);
        assert_eq!(sim.leases_out(), 0, "every lease came back");
        assert_eq!(sim.open_slots(), 0, "every socket was closed");
        if let Some(end_ns) = self.ends_by_ns() {
            assert!(sim.time_ns() <= end_ns, "over at {}, not by {end_ns}", sim.time_ns());
        }

        let record = &outcome.record;
        let server = sim.server();
        let alone = std::slice::from_ref(record);
        self.judge_identities(record, alone, seconds, share.connections, server.requests);

        let whole = record.whole();
        assert_eq!(server.malformed, 0, "the server understood everything");
        assert!(server.bytes_in <= whole.bytes_out, "{server:?} {}", whole.bytes_out);
        assert!(sim.bytes_received() <= server.bytes_out, "{server:?}");
        assert!(whole.bytes_in <= sim.bytes_received(), "{}", whole.bytes_in);
        assert!(record.connections.established <= server.connections, "{server:?}");
        let most = record.connections.established.saturating_mul(self.requests_max);
        assert!(whole.started <= most, "{} requests, {most} may be", whole.started);
        let mut by_status = whole.statuses.clone();
        for (parts, sent) in self.parts.iter().zip(sim.answers_of()) {
            let completed = std::mem::take(&mut by_status[usize::from(parts.status)]);
            let most = if self.close_delimited { server.requests } else { *sent };
            assert!(completed <= most, "{completed} of status {} of {most}", parts.status);
        }
        assert_eq!(by_status.iter().sum::<u64>(), 0, "no other status was sent");
        for cause in [Failure::Parse, Failure::Limit] {
            assert_eq!(whole.failed.count(cause), 0, "{cause:?} of a well-formed answer");
        }
        if self.timeout_ns >= 30 * SECOND {
            assert_eq!(whole.failed.count(Failure::Timeout), 0, "no time for a timeout");
        }
        self.judge_window(outcome, share);
    }

    fn judge_window(&self, outcome: &Outcome, share: &Share) {
        let (record, whole) = (&outcome.record, outcome.record.whole());
        let window = record.phase(Phase::Window);
        let length_ns = outcome.window_end_ns - outcome.window_start_ns;
        assert_eq!(outcome.window_start_ns, self.opening_ns + self.warmup_ns);
        assert!(length_ns <= self.duration_ns.unwrap_or(u64::MAX), "{length_ns}");
        assert_eq!(record.phase(Phase::Opening).due + record.phase(Phase::Drain).started, 0);
        if self.pacing.is_none() {
            assert_eq!((whole.due, whole.unsent, whole.shed), (whole.started, 0, 0));
        }
        // A schedule deals them by their indexes, whatever connections a worker has.
        let own = if self.pacing.is_some() { self.requests } else { share.requests };
        if let Some(requests) = own {
            assert!(window.due <= requests, "{} of {requests}", window.due);
            let is_early = self.duration_ns.is_none_or(|ns| length_ns < ns);
            if is_early && self.pacing.is_none() {
                assert_eq!(window.started, requests, "the window ended early");
            }
        }
        if self.pacing.as_ref().is_none_or(|pacing| pacing.deadline_ns.is_none()) {
            assert_eq!(whole.shed, 0, "nothing has a deadline");
        }
        assert!(outcome.drain_ns <= self.drain_ns + SECOND, "{}", outcome.drain_ns);
        assert!(outcome.open_max <= share.connections);
    }

    /// No fault of a backend ends a request otherwise than without it.
    fn judge_calm(&self, total: &WorkerRecord, ended: &[Ended]) {
        let whole = total.whole();
        assert_eq!((whole.failed.total(), total.inflight_end), (0, 0), "{:?}", whole.failed);
        let ConnectionCounts { errored, closed_by_peer, failed, .. } = total.connections;
        assert_eq!((errored, closed_by_peer, failed.total()), (0, 0, 0), "{failed:?}");
        let sum = |pick: fn(&Parts) -> u64| -> u64 {
            let of = |one: &Ended| -> u64 {
                let sent = one.sim.answers_of();
                self.parts.iter().zip(sent).map(|(parts, sent)| sent * pick(parts)).sum()
            };
            ended.iter().map(of).sum()
        };
        let expected = ByteCounts {
            head: sum(|parts| parts.head),
            body: sum(|parts| parts.body),
            framing: sum(|parts| parts.framing),
            interim: sum(|parts| parts.interim),
            stray: 0,
            tls: 0,
        };
        assert_eq!(total.bytes, expected, "bytes by class, as the server sent them");
        let server_in: u64 = ended.iter().map(|one| one.sim.server().bytes_in).sum();
        assert_eq!(whole.bytes_out, server_in, "all that was sent has arrived");
    }
}

/// A number for a run: equal runs have equal ones. Histograms, which follow from the stamps that are
/// in the simulation's digest, come in with their ends alone.
fn digest(ended: &[Ended]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut mix = |value: u64| hash = (hash.rotate_left(5) ^ value).wrapping_mul(0x100_0000_01b3);
    for Ended { outcome, sim, .. } in ended {
        let record = &outcome.record;
        mix(sim.digest());
        mix(sim.time_ns());
        for phase in &record.phases {
            let counts = [phase.due, phase.shed, phase.unsent, phase.started, phase.completed];
            counts.into_iter().chain([phase.bytes_in, phase.bytes_out]).for_each(&mut mix);
            phase.statuses.iter().copied().for_each(&mut mix);
            phase.failed.iter().for_each(|(cause, count)| mix(count ^ cause.index() as u64));
        }
        let bytes = record.bytes;
        [bytes.head, bytes.body, bytes.framing, bytes.interim, bytes.stray]
            .into_iter()
            .for_each(&mut mix);
        let ends = &record.connections;
        [ends.attempts, ends.established, ends.connecting_end, ends.open_end]
            .into_iter()
            .for_each(&mut mix);
        [ends.closed_by_us, ends.closed_by_peer, ends.errored, ends.failed.total()]
            .into_iter()
            .for_each(&mut mix);
        mix(record.inflight_sum_ns as u64);
        mix(record.inflight_integral_ns as u64);
        let (sending, hists) = (&record.sending, [&record.latency, &record.service]);
        let others: [&Hist; 5] =
            [&record.unanswered, &record.connect, &sending.lag, &sending.late, &sending.waited];
        for hist in hists.into_iter().chain(others) {
            [hist.len(), hist.min(), hist.max()].into_iter().for_each(&mut mix);
        }
    }
    hash
}

/// Runs a seed twice; panics where something is not as it must be. Its digest, and its ends.
fn run_seed(seed: u64) -> (u64, Ends) {
    let drawn = Drawn::new(seed);
    let first = drawn.run();
    drawn.judge(&first);
    let again = drawn.run();
    let (once, twice) = (digest(&first), digest(&again));
    assert_eq!(once, twice, "the same seed gave two digests");
    for (one, other) in first.iter().zip(&again) {
        assert_eq!(one.outcome.record, other.outcome.record, "the same seed gave two records");
    }
    let mut ends = Ends::default();
    for one in &first {
        ends.add(&one.outcome.record);
    }
    (once, ends)
}

/// How requests, attempts and connections ended: what a set of seeds has met.
#[derive(Clone, Debug, Default)]
struct Ends {
    started: u64,
    failed: FailureCounts,
    shed: u64,
    unsent: u64,
    inflight_end: u64,
    interim: u64,
    connections: ConnectionCounts,
}

impl Ends {
    fn add(&mut self, record: &WorkerRecord) {
        let whole = record.whole();
        self.merge(&Self {
            started: whole.started,
            failed: whole.failed,
            shed: whole.shed,
            unsent: whole.unsent,
            inflight_end: record.inflight_end,
            interim: record.notices.interim,
            connections: record.connections.clone(),
        });
    }

    fn merge(&mut self, other: &Self) {
        self.started += other.started;
        self.failed.merge(&other.failed);
        self.shed += other.shed;
        self.unsent += other.unsent;
        self.inflight_end += other.inflight_end;
        self.interim += other.interim;
        self.connections.merge(&other.connections);
    }

    /// What was never met and should have been.
    fn missing(&self) -> Vec<&'static str> {
        let c = &self.connections;
        let mut met = vec![
            ("shed", self.shed),
            ("unsent", self.unsent),
            ("in flight at the end", self.inflight_end),
            ("interim", self.interim),
            ("closed by us", c.closed_by_us),
            ("closed by the peer", c.closed_by_peer),
            ("errored", c.errored),
            ("connecting at the end", c.connecting_end),
        ];
        // The model server breaks no rule of HTTP, and resets no attempt; it is no proxy, speaks no TLS and is no
        // socket file, and has ports without end.
        let others =
            |cause: &Failure| !matches!(cause, Failure::Parse | Failure::Limit | Failure::Tls);
        let never = |cause: &ConnectFailure| {
            use ConnectFailure::{Busy, Ports, Proxy, Reset, Tls};
            matches!(cause, Reset | Ports | Busy | Proxy | Tls)
        };
        met.extend(
            self.failed
                .iter()
                .filter(|(cause, _)| others(cause))
                .map(|(cause, count)| (cause.name(), count)),
        );
        met.extend(
            c.failed
                .iter()
                .filter(|(cause, _)| !never(cause))
                .map(|(cause, count)| (cause.name(), count)),
        );
        met.into_iter().filter(|(_, count)| *count == 0).map(|(name, _)| name).collect()
    }
}

/// What is known of all seeds together.
#[derive(Default)]
struct Sum {
    /// Independent of the order in which the seeds ran.
    digest: AtomicU64,
    ends: Mutex<Ends>,
    failed: Mutex<Vec<(u64, String)>>,
}

/// Runs `seeds` on all CPUs.
fn run_seeds(seeds: Range<u64>) -> Sum {
    let (next, sum) = (AtomicU64::new(seeds.start), Sum::default());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    match catch_unwind(AssertUnwindSafe(|| run_seed(seed))) {
                        Ok((digest, ends)) => {
                            sum.digest.fetch_add(digest, Ordering::Relaxed);
                            sum.ends.lock().unwrap().merge(&ends);
                        }
                        Err(panic) => {
                            let why = panic.downcast_ref::<String>().cloned();
                            let why = why.unwrap_or_else(|| String::from("see above"));
                            sum.failed.lock().unwrap().push((seed, why));
                        }
                    }
                }
            });
        }
    });
    sum
}

/// Which seeds to run: `WRING_SEEDS=FROM..TO` says otherwise; `scripts/seeds` sets it.
fn asked() -> Option<Range<u64>> {
    let text = std::env::var("WRING_SEEDS").ok()?;
    let (from, to) = text.split_once("..").expect("WRING_SEEDS is FROM..TO");
    Some(from.parse().unwrap()..to.parse().unwrap())
}

fn say(text: &str) {
    use std::io::Write;
    // Past the test harness, which keeps what is printed by tests that pass.
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[test]
fn every_seed_keeps_every_promise() {
    let asked = asked();
    let seeds = asked.clone().unwrap_or(0..DEFAULT_SEEDS);
    if let Some(Range { start, end }) = asked.clone()
        && end - start == 1
    {
        say(&format!("{:#?}", Drawn::new(start)));
    }
    let begun = std::time::Instant::now();
    let sum = run_seeds(seeds.clone());
    let mut failed = sum.failed.into_inner().unwrap();
    failed.sort();
    let lines: Vec<_> = failed
        .iter()
        .map(|(seed, why)| format!("scripts/seeds --seed {seed}   # {}", first_line(why)))
        .collect();
    assert!(failed.is_empty(), "{} seeds failed; replay:\n{}", failed.len(), lines.join("\n"));
    let (count, ends) = (seeds.end - seeds.start, sum.ends.into_inner().unwrap());
    if count >= DEFAULT_SEEDS {
        assert!(ends.missing().is_empty(), "no seed met: {:?}", ends.missing());
    }
    if asked.is_some() {
        let (digest, took) = (sum.digest.into_inner(), begun.elapsed().as_secs_f64());
        say(&format!(
            "{count} seeds from {}: all hold; {} requests, digest {digest:016x}, {took:.1} s\n{ends:?}",
            seeds.start, ends.started
        ));
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or("").chars().take(120).collect()
}

#[test]
fn a_warm_up_that_is_over_before_its_first_turn_leaves_nothing_to_the_window() {
    for seed in 0..24 {
        let mut drawn = Drawn::new(seed);
        drawn.warmup_ns = 1 + seed;
        // So that the turn which meets the start of the load is often a turn late.
        drawn.model.faults.clock_stands_ppm = 600_000;
        drawn.judge(&drawn.run());
    }
}
