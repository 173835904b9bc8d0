//! Requests to stop, counted.
//!
//! The handler only stores to two atomics, so there is no thread that could fail to start and no
//! pipe that could fill up; whoever waits looks at the count now and then.
#![expect(unsafe_code, reason = "a signal handler must promise to be async-signal-safe")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use signal_hook::consts::SIGHUP;
pub use signal_hook::consts::{SIGINT, SIGTERM};

/// Deliveries of SIGINT, SIGTERM and SIGHUP since `install`. A clone sees the same counts.
#[derive(Clone, Debug, Default)]
pub struct Signals {
    shared: Arc<Shared>,
    released: Arc<AtomicBool>,
}

#[derive(Debug, Default)]
struct Shared {
    /// The first signal delivered, 0 before any.
    first: AtomicU8,
    /// How many were delivered, at most 255.
    count: AtomicU8,
}

impl Signals {
    /// Takes the three signals over from now on: they no longer end the process. One that cannot be
    /// taken over keeps its effect.
    pub fn install() -> Self {
        let signals = Self::default();
        // A closed terminal asks for the same as SIGTERM.
        for (signal, counted_as) in [(SIGINT, SIGINT), (SIGTERM, SIGTERM), (SIGHUP, SIGTERM)] {
            let shared = Arc::clone(&signals.shared);
            let counted_as = counted_as.to_le_bytes()[0];
            // Comes first, so that a signal ends the process once it is released.
            let released = Arc::clone(&signals.released);
            let _ = signal_hook::flag::register_conditional_default(signal, released);
            // SAFETY: the action touches lock-free atomics only; it neither allocates nor panics.
            let registered = unsafe {
                signal_hook::low_level::register(signal, move || shared.deliver(counted_as))
            };
            drop(registered);
        }
        signals
    }

    /// Gives the signals their usual effect back: from now on each ends the process.
    pub fn release(&self) {
        self.released.store(true, Ordering::Release);
    }

    /// The signal that came first: `SIGINT`, or `SIGTERM` (which SIGHUP counts as).
    pub fn first(&self) -> Option<i32> {
        match self.shared.first.load(Ordering::Acquire) {
            0 => None,
            signal => Some(i32::from(signal)),
        }
    }

    /// How many signals have come; stays at 255.
    pub fn count(&self) -> u8 {
        self.shared.count.load(Ordering::Acquire)
    }
}

impl Shared {
    fn deliver(&self, signal: u8) {
        // Lost when another signal was first, which is the meaning of first.
        let _ = self.first.compare_exchange(0, signal, Ordering::AcqRel, Ordering::Acquire);
        // Saturates; a compare-exchange loop over an atomic takes no lock.
        let _ = self.count.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| n.checked_add(1));
    }
}

/// From now on a write beyond the limit on file sizes (ulimit -f) fails instead of ending the process.
/// A handler that does nothing, and not none at all: that one children would inherit.
pub fn survive_file_size_limit() {
    let _ = signal_hook::flag::register(libc::SIGXFSZ, Arc::default());
}

/// Leaves signals to the other threads, so that a worker's waits are never interrupted by one.
/// Threads started afterwards from this one inherit it.
pub fn block_signals_in_this_thread() {
    // SAFETY: a signal set is plain bits, of which all zeros is a valid value.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // SAFETY: `set` is a valid signal set during the call.
        unsafe { libc::sigaddset(&raw mut set, signal) };
    }
    // SAFETY: `set` is only read, and the old mask is not asked for.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Delivered to the calling thread before it returns.
    fn raise(signal: i32) {
        // SAFETY: the call takes no pointers.
        assert_eq!(unsafe { libc::raise(signal) }, 0);
    }

    #[test]
    fn signals_are_counted_and_a_hangup_counts_as_a_termination() {
        let signals = Signals::install();
        let seen_elsewhere = signals.clone();
        assert_eq!((signals.first(), signals.count()), (None, 0));
        raise(SIGHUP);
        raise(SIGINT);
        assert_eq!((seen_elsewhere.first(), seen_elsewhere.count()), (Some(SIGTERM), 2));
        for _ in 0..300 {
            raise(SIGTERM);
        }
        assert_eq!((signals.first(), signals.count()), (Some(SIGTERM), u8::MAX));

        // A thread that blocks them leaves them pending, without a delivery.
        let fresh = Signals::install();
        std::thread::spawn(|| {
            block_signals_in_this_thread();
            raise(SIGINT);
        })
        .join()
        .unwrap();
        assert_eq!(fresh.count(), 0);
    }
}
