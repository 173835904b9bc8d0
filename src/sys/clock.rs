//! Clocks. Durations come from the monotonic clock alone; the wall clock only stamps a report.
#![expect(unsafe_code, reason = "the standard library has no clock that yields plain nanoseconds")]

use std::io;
use std::time::SystemTime;

use super::check;

/// Nanoseconds since a base that all threads share.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    base_ns: u64,
}

impl Clock {
    /// A clock whose time 0 is now.
    pub fn start() -> Self {
        Self { base_ns: read_ns(libc::CLOCK_MONOTONIC) }
    }

    /// Nanoseconds since the base. Never decreases; may repeat.
    #[inline]
    pub fn now_ns(&self) -> u64 {
        read_ns(libc::CLOCK_MONOTONIC).saturating_sub(self.base_ns)
    }

    /// The base itself on the kernel's monotonic clock, from which absolute deadlines are made.
    pub fn base_monotonic_ns(&self) -> u64 {
        self.base_ns
    }
}

/// CPU time of the calling thread so far, user and system, in nanoseconds.
pub fn thread_cpu_ns() -> u64 {
    read_ns(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// Time the calling thread was ready to run and waited for a CPU so far, in nanoseconds; 0 where the
/// kernel does not tell. Does not allocate.
pub fn thread_starved_ns() -> u64 {
    let mut text = [0; 128];
    // Three numbers: time run, time waited, time slices (Documentation/scheduler/sched-stats.rst).
    let read = std::fs::File::open("/proc/thread-self/schedstat")
        .and_then(|mut file| io::Read::read(&mut file, &mut text));
    let fields = std::str::from_utf8(&text[..read.unwrap_or(0)]).unwrap_or_default();
    fields.split_ascii_whitespace().nth(1).and_then(|field| field.parse().ok()).unwrap_or(0)
}

/// CPU time of the whole process so far, user and system, in nanoseconds.
pub fn process_cpu_ns() -> u64 {
    read_ns(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// CPU time of the whole process `pid` so far, threads that ended included, in nanoseconds.
pub(super) fn process_cpu_ns_of(pid: u32) -> io::Result<u64> {
    let pid = libc::pid_t::try_from(pid).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut clock = 0;
    // SAFETY: `clock` is a valid place for one clock id during the call; nothing else is touched.
    let error = unsafe { libc::clock_getcpuclockid(pid, &raw mut clock) };
    if error != 0 {
        return Err(io::Error::from_raw_os_error(error));
    }
    try_read_ns(clock)
}

/// How long this machine has been suspended since it started, in nanoseconds: what the monotonic
/// clock leaves out (clock_gettime(2), CLOCK_BOOTTIME).
pub fn suspended_ns() -> u64 {
    // Read on both sides of the other clock, so that the time between two reads is no suspension.
    let before_ns = read_ns(libc::CLOCK_MONOTONIC);
    let boot_ns = read_ns(libc::CLOCK_BOOTTIME);
    let after_ns = read_ns(libc::CLOCK_MONOTONIC);
    boot_ns.saturating_sub(before_ns.midpoint(after_ns))
}

/// Seconds since 1970 on the wall clock: for stamps, never for measuring.
pub fn wall_unix_seconds() -> i64 {
    match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => since.as_secs().cast_signed(),
        Err(before) => -before.duration().as_secs().cast_signed(),
    }
}

/// The same for a clock that may be gone, such as that of a process that ended.
fn try_read_ns(clock: libc::clockid_t) -> io::Result<u64> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for one timespec during the call; nothing else is touched.
    check(unsafe { libc::clock_gettime(clock, &raw mut time) })?;
    Ok(time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned())
}

fn read_ns(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for one timespec during the call; nothing else is touched.
    let result = unsafe { libc::clock_gettime(clock, &raw mut time) };
    // These clocks exist on every kernel that can run the rest of the program.
    debug_assert_eq!(result, 0);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_starts_near_zero_and_never_goes_back() {
        let clock = Clock::start();
        let mut last_ns = clock.now_ns();
        assert!(last_ns < 1_000_000_000);
        for _ in 0..1000 {
            let now_ns = clock.now_ns();
            assert!(now_ns >= last_ns);
            last_ns = now_ns;
        }
        assert!(clock.base_monotonic_ns() > 0);
    }

    #[test]
    fn copies_of_a_clock_agree_across_threads() {
        let clock = Clock::start();
        let before_ns = clock.now_ns();
        let there_ns = std::thread::spawn(move || clock.now_ns()).join().unwrap();
        assert!((before_ns..=clock.now_ns()).contains(&there_ns));
    }

    #[test]
    fn busy_work_shows_in_both_cpu_clocks() {
        // In this order: what passes between the two readings only adds to the process's.
        let process_ns = process_cpu_ns();
        let thread_ns = thread_cpu_ns();
        while thread_cpu_ns() < thread_ns + 1_000_000 {}
        assert!(process_cpu_ns() >= process_ns + 1_000_000);
    }

    #[test]
    fn the_wall_clock_is_past_the_year_2024() {
        assert!(wall_unix_seconds() > 1_704_067_200);
    }
}
