//! How late this machine wakes a thread that waits on a backend for a deadline.

use std::sync::Arc;

use super::RunError;
use super::engine::Engine;
use crate::epoll::Epoll;
use crate::hist::Hist;
use crate::io::{Completions, Setup, Spin};
use crate::limits;
use crate::plan::EngineChoice;
use crate::sys::{self, Clock};
use crate::uring::Uring;

/// Length of one wait, in nanoseconds.
const WAIT_NS: u64 = 1_000_000;
/// What the spin before a deadline is calibrated with: as many waits, each as long.
const SPIN_WAITS: u32 = 100;
const SPIN_WAIT_NS: u64 = 200_000;
/// Bounds of that spin. The longest is what a virtual machine takes to come back from a halt.
const SPIN_NS_MIN: u64 = 20_000;
const SPIN_NS_MAX: u64 = 100_000;

/// Waits `waits` times for a deadline one millisecond ahead, on a backend with nothing in flight, and
/// records in nanoseconds how long after the deadline the wait came back. Runs on the calling
/// thread, pinned to `cpu` if given.
pub fn wakeup_latency(
    engine: EngineChoice,
    cpu: Option<u32>,
    waits: u32,
) -> Result<Hist, RunError> {
    if let Some(cpu) = cpu {
        let _ = sys::pin_current_thread(cpu);
    }
    match engine {
        EngineChoice::Uring => lateness::<Uring>(waits, WAIT_NS),
        EngineChoice::Epoll => lateness::<Epoll>(waits, WAIT_NS),
        EngineChoice::Auto => {
            lateness::<Uring>(waits, WAIT_NS).or_else(|_| lateness::<Epoll>(waits, WAIT_NS))
        }
    }
}

/// How long before a deadline the calling thread had better stop sleeping, in nanoseconds: so that
/// nearly every wait is over in time, as measured here and now.
pub(super) fn spin_ns<B: Engine>() -> u64 {
    let late =
        lateness::<B>(SPIN_WAITS, SPIN_WAIT_NS).map_or(SPIN_NS_MAX, |late| late.quantile(0.95));
    (late + late / 2).clamp(SPIN_NS_MIN, SPIN_NS_MAX)
}

fn lateness<B: Engine>(waits: u32, wait_ns: u64) -> Result<Hist, RunError> {
    let setup = Setup {
        slots: 1,
        arena: Arc::from([]),
        addresses: Vec::new(),
        sources: Vec::new(),
        tcp_congestion: None,
        recv_buffer_bytes: 64,
        recv_buffers: 1,
        send_buffers: 0,
        send_buffer_bytes: 0,
        spin: Spin::NEVER,
        keeps_deadline: false,
    };
    let mut backend = B::make(setup, Clock::start())?;
    let mut done = Completions::with_capacity(1);
    let mut late = Hist::new(limits::LATENCY_NS_MAX);
    for _ in 0..waits {
        let deadline_ns = backend.now_ns() + wait_ns;
        while backend.now_ns() < deadline_ns {
            if backend.turn(deadline_ns, &mut done).is_err() {
                return Ok(late);
            }
        }
        late.record(done.stamp_ns.saturating_sub(deadline_ns), 1);
    }
    Ok(late)
}
