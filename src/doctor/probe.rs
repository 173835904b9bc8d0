//! The looking: facts, a ring made for real, the price of a clock read, a quiet moment, a load.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::io::{Backend, Setup, Spin};
use crate::limits;
use crate::run::descriptors;
use crate::sys::{self, Activity, ActivityLook, Clock, CpuPlace, FitnessFacts, Signals};
use crate::uring::Uring;

use super::speed::{self, Speed};
use super::standstill::{self, Standstill};

/// Connections of the ring that is tried: the default of a run.
const CONNECTIONS: u32 = 64;
/// How long the machine is watched while nothing is done, in nanoseconds: thirty ticks of a CPU.
const QUIET_NS: u64 = 300_000_000;
/// The price of a clock read is the best of as many rounds, each of as many reads.
const CLOCK_ROUNDS: u32 = 20;
const CLOCK_READS: u32 = 200;

/// Everything that was seen of this machine.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    pub(super) facts: FitnessFacts,
    /// CPUs this process may use, and where they lie.
    pub(super) allowed: Vec<CpuPlace>,
    /// The ring in a line, or why there is none.
    pub(super) ring: Result<String, Refused>,
    /// What one look at the clock costs, in nanoseconds.
    pub(super) clock_read_ns: u64,
    /// What others did on the allowed CPUs while this process slept.
    pub(super) quiet: Activity,
    /// What happened over the whole examination.
    pub(super) whole: Activity,
    /// What the machine was seen to do.
    pub(super) speed: Speed,
    /// For how long it stood still; `None` when that was not looked for.
    pub(super) standstill: Option<Standstill>,
}

/// Where the making of a ring ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Refused {
    /// The step that failed.
    pub(super) step: &'static str,
    /// Its errno.
    pub(super) errno: i32,
}

/// Looks; tells also how long that took, in nanoseconds.
pub(super) fn machine(load: bool, signals: &Signals) -> (Machine, u64) {
    let clock = Clock::start();
    let cpus = sys::allowed_cpus();
    let facts = FitnessFacts::read(&cpus);
    let before = ActivityLook::now();
    let from_ns = clock.now_ns();
    thread::sleep(Duration::from_nanos(QUIET_NS));
    let quiet = ActivityLook::now().since(&before, &cpus, clock.now_ns() - from_ns);
    // As before a run, which raises the limit too; what is not granted shows in the ring.
    let _ = sys::ensure_descriptors(sys::open_descriptors() + descriptors(CONNECTIONS, 1, false));
    let ring = try_ring(clock);
    let clock_read_ns = clock_read_ns(clock);
    let allowed = sys::read_topology(&cpus);
    let (speed, standstill) = match load {
        false => (Speed::NotMeasured("--quick leaves the load out".to_owned()), None),
        true => {
            let spread = sys::spread(&allowed);
            (speed::measure(&spread, signals), standstill::measure(&spread, signals))
        }
    };
    let whole = ActivityLook::now().since(&before, &cpus, clock.now_ns() - from_ns);
    let machine = Machine { facts, allowed, ring, clock_read_ns, quiet, whole, speed, standstill };
    (machine, clock.now_ns())
}

/// Makes a ring as a worker of a run does, and describes it.
fn try_ring(clock: Clock) -> Result<String, Refused> {
    let setup = Setup {
        slots: CONNECTIONS,
        arena: Arc::from([]),
        addresses: Vec::new(),
        sources: Vec::new(),
        tcp_congestion: None,
        recv_buffer_bytes: limits::RECV_BUFFER_BYTES,
        recv_buffers: limits::RECV_BUFFERS,
        send_buffers: 0,
        send_buffer_bytes: 0,
        spin: Spin::NEVER,
        keeps_deadline: false,
    };
    Uring::new(setup, clock)
        .map(|ring| ring.description())
        .map_err(|error| Refused { step: error.step, errno: error.errno })
}

fn clock_read_ns(clock: Clock) -> u64 {
    let round = |_| {
        let from_ns = clock.now_ns();
        let mut last_ns = from_ns;
        for _ in 0..CLOCK_READS {
            last_ns = std::hint::black_box(clock.now_ns());
        }
        (last_ns - from_ns) / u64::from(CLOCK_READS)
    };
    (0..CLOCK_ROUNDS).map(round).min().unwrap_or(0)
}
