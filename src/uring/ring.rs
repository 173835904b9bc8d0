//! The ring itself: setup, features, and the one system call of the hot path.
//!
//! Flags, each for a reason: SINGLE_ISSUER and DEFER_TASKRUN, because one thread owns the ring and
//! completion work should run when that thread asks for it, in batches; TASKRUN_FLAG, so that
//! pending work can be seen without a call; SUBMIT_ALL, so that one bad entry does not cut a batch;
//! NO_SQARRAY where the kernel has it, to save an indirection; a large completion queue, because an
//! overflow ends multishot receives. The ring's descriptor is registered, which saves the reference
//! counting of a file in a threaded process. `io_uring::Submitter` forgets that registration with
//! every call, so `enter` is made here.

use std::io;
use std::os::fd::AsRawFd;

use io_uring::{IoUring, opcode, squeue};

use super::refused::SetupError;

const ENTER_GETEVENTS: u32 = 1;
const ENTER_EXT_ARG: u32 = 1 << 3;
const ENTER_REGISTERED_RING: u32 = 1 << 4;
const ENTER_ABS_TIMER: u32 = 1 << 5;
const REGISTER_RING_FDS: u32 = 20;
const UNREGISTER_RING_FDS: u32 = 21;
/// How often, and for how long each time, an operation that does nothing is waited for; it is done at
/// once wherever it is done at all.
const NOTHING_TRIES: u32 = 10;
const NOTHING_NS: u64 = 100_000_000;

/// What to leave unused although the kernel has it, so that tests reach the other path.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Masked {
    /// Absolute deadlines for waiting (Linux 6.12).
    pub abs_timer: bool,
    /// Rings without the index array (Linux 6.6).
    pub no_sqarray: bool,
    /// A registered ring descriptor (Linux 5.18).
    pub ring_fd: bool,
    /// Queues with room for more entries than this, of either sort.
    pub entries_max: Option<u32>,
    /// Every second call to enter: in turn it is interrupted, short of memory, or has completions to
    /// be taken first, and does nothing.
    #[cfg(test)]
    pub enter: bool,
}

#[repr(C)]
struct GeteventsArg {
    sigmask: u64,
    sigmask_bytes: u32,
    min_wait_us: u32,
    timespec: u64,
}

#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

#[repr(C)]
struct RingFdUpdate {
    offset: u32,
    reserved: u32,
    data: u64,
}

/// How long `enter` may wait.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Wait {
    /// Not at all.
    No,
    /// Until one completion is there, or this time on the monotonic clock, in nanoseconds.
    UntilMonotonic(u64),
    /// Until one completion is there, or this long, in nanoseconds.
    AtMost(u64),
    /// Until one completion is there; a timer of the ring's is one.
    ForCompletion,
}

pub(super) struct Ring {
    pub(super) inner: IoUring,
    enter_fd: i32,
    enter_flags: u32,
    abs_timer: bool,
    no_sqarray: bool,
    #[cfg(test)]
    spoilt: tests::Spoilt,
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ring").field("enter_fd", &self.enter_fd).finish_non_exhaustive()
    }
}

impl Ring {
    pub(super) fn new(
        sq_entries: u32,
        cq_entries: u32,
        masked: Masked,
    ) -> Result<Self, SetupError> {
        let bounded = |entries: u32| entries.min(masked.entries_max.unwrap_or(u32::MAX));
        let (inner, no_sqarray) = build(bounded(sq_entries), bounded(cq_entries), masked)?;
        let abs_timer = inner.params().is_feature_min_timeout() && !masked.abs_timer;
        let fd = inner.as_raw_fd();
        let mut ring = Self {
            inner,
            enter_fd: fd,
            enter_flags: 0,
            abs_timer,
            no_sqarray,
            #[cfg(test)]
            spoilt: tests::Spoilt::new(masked.enter),
        };
        if !masked.ring_fd {
            ring.register_ring_fd();
        }
        Ok(ring)
    }

    /// Has an operation done that does nothing. Making a ring may be allowed where entering it is not.
    pub(super) fn do_nothing(&mut self) -> Result<(), SetupError> {
        let refused = |error: &io::Error| SetupError::new("io_uring_enter", error);
        self.push(&opcode::Nop::new().build());
        for _ in 0..NOTHING_TRIES {
            self.enter(Wait::AtMost(NOTHING_NS)).map_err(|error| refused(&error))?;
            if self.inner.completion().next().is_some() {
                return Ok(());
            }
        }
        Err(refused(&io::Error::from_raw_os_error(libc::EAGAIN)))
    }

    /// Whether waits take absolute deadlines.
    pub(super) fn abs_timer(&self) -> bool {
        self.abs_timer
    }

    pub(super) fn describe(&self) -> String {
        let mut text = String::from("uring (single_issuer defer_taskrun taskrun_flag submit_all");
        for (name, used) in [
            ("no_sqarray", self.no_sqarray),
            ("abs_timer", self.abs_timer),
            ("registered_ring_fd", self.enter_flags & ENTER_REGISTERED_RING != 0),
        ] {
            if used {
                text.push(' ');
                text.push_str(name);
            }
        }
        text.push_str(" direct_descriptors buffer_ring multishot_recv cqe_skip)");
        text
    }

    /// Room in the submission queue.
    pub(super) fn room(&mut self) -> usize {
        let queue = self.inner.submission();
        queue.capacity() - queue.len()
    }

    /// Queues one entry. The caller has checked `room`.
    pub(super) fn push(&mut self, entry: &squeue::Entry) {
        let mut queue = self.inner.submission();
        // SAFETY: every buffer an entry points to belongs to the backend or to the arena it holds,
        // and `Uring::drop` waits for all operations before any of them is freed.
        let pushed = unsafe { queue.push(entry) };
        debug_assert!(pushed.is_ok(), "room was checked");
    }

    /// Submits everything queued, runs deferred work, and waits as asked. Interruptions and
    /// timeouts are no errors.
    pub(super) fn enter(&mut self, wait: Wait) -> io::Result<()> {
        #[cfg(test)]
        if let Some(errno) = self.spoilt.next() {
            return outcome(io::Error::from_raw_os_error(errno));
        }
        let to_submit = self.inner.submission().len() as u32;
        let mut timespec = Timespec { seconds: 0, nanoseconds: 0 };
        let mut flags = self.enter_flags | ENTER_GETEVENTS;
        let mut want = 0;
        if let Wait::UntilMonotonic(ns) | Wait::AtMost(ns) = wait {
            want = 1;
            flags |= ENTER_EXT_ARG;
            if matches!(wait, Wait::UntilMonotonic(_)) {
                flags |= ENTER_ABS_TIMER;
            }
            timespec.seconds = (ns / 1_000_000_000) as i64;
            timespec.nanoseconds = (ns % 1_000_000_000) as i64;
        }
        if wait == Wait::ForCompletion {
            want = 1;
        }
        let arg = GeteventsArg {
            sigmask: 0,
            sigmask_bytes: 0,
            min_wait_us: 0,
            timespec: (&raw const timespec) as u64,
        };
        let (arg_address, arg_bytes) = if flags & ENTER_EXT_ARG == 0 {
            (std::ptr::null(), 0)
        } else {
            (&raw const arg, size_of::<GeteventsArg>())
        };
        // SAFETY: the ring is ours and the argument structures outlive the call; what the queued
        // entries point to is vouched for in `push`.
        let result = unsafe {
            libc::syscall(
                libc::SYS_io_uring_enter,
                self.enter_fd,
                to_submit,
                want,
                flags,
                arg_address,
                arg_bytes,
            )
        };
        if result >= 0 {
            return Ok(());
        }
        outcome(io::Error::last_os_error())
    }

    /// Whether the kernel has completions for us, taken or still to be run.
    pub(super) fn has_work(&mut self) -> bool {
        !self.inner.completion().is_empty() || self.inner.submission().taskrun()
    }

    fn register_ring_fd(&mut self) {
        let data = self.inner.as_raw_fd() as u64;
        let mut update = RingFdUpdate { offset: u32::MAX, reserved: 0, data };
        if self.register(REGISTER_RING_FDS, &mut update) {
            self.enter_fd = update.offset as i32;
            self.enter_flags |= ENTER_REGISTERED_RING;
        }
    }

    /// Takes the ring out of the thread's table again; `enter` goes on through its descriptor.
    fn unregister_ring_fd(&mut self) {
        if self.enter_flags & ENTER_REGISTERED_RING != 0 {
            let offset = self.enter_fd as u32;
            self.register(UNREGISTER_RING_FDS, &mut RingFdUpdate { offset, reserved: 0, data: 0 });
            self.enter_fd = self.inner.as_raw_fd();
            self.enter_flags &= !ENTER_REGISTERED_RING;
        }
    }

    fn register(&self, opcode: u32, update: &mut RingFdUpdate) -> bool {
        let fd = self.inner.as_raw_fd();
        // SAFETY: the structure has the kernel's layout for these calls and outlives them.
        let result = unsafe {
            libc::syscall(
                libc::SYS_io_uring_register,
                fd,
                opcode,
                std::ptr::from_mut(update),
                1_u32,
            )
        };
        result == 1
    }
}

/// What an error of `enter` means: time is up, a signal came, memory is short, or completions must be
/// taken before more is submitted. Whatever was not submitted stays in the queue.
fn outcome(error: io::Error) -> io::Result<()> {
    match error.raw_os_error() {
        Some(libc::ETIME | libc::EINTR | libc::EAGAIN | libc::EBUSY) => Ok(()),
        _ => Err(error),
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // Else the thread's table of registered rings would keep this one alive.
        self.unregister_ring_fd();
    }
}

fn build(sq: u32, cq: u32, masked: Masked) -> Result<(IoUring, bool), SetupError> {
    let with = |no_sqarray: bool| {
        let mut builder = IoUring::builder();
        builder
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_clamp()
            .setup_cqsize(cq)
            .dontfork();
        if no_sqarray {
            builder.setup_no_sqarray();
        }
        builder.build(sq)
    };
    if !masked.no_sqarray {
        match with(true) {
            Ok(ring) => return Ok((ring, true)),
            Err(error) if error.raw_os_error() != Some(libc::EINVAL) => {
                return Err(SetupError::new("io_uring_setup", &error));
            }
            Err(_) => {}
        }
    }
    with(false).map(|ring| (ring, false)).map_err(|error| SetupError::new("io_uring_setup", &error))
}

#[cfg(test)]
mod tests {
    /// The calls to enter that are spoilt.
    #[derive(Debug)]
    pub(super) struct Spoilt {
        is_on: bool,
        calls: usize,
    }

    impl Spoilt {
        pub(super) fn new(is_on: bool) -> Self {
            Self { is_on, calls: 0 }
        }

        /// What the next call ends with, if it does nothing.
        pub(super) fn next(&mut self) -> Option<i32> {
            const ERRNOS: [i32; 3] = [libc::EINTR, libc::EAGAIN, libc::EBUSY];
            self.calls += 1;
            let is_spoilt = self.is_on && self.calls.is_multiple_of(2);
            is_spoilt.then(|| ERRNOS[self.calls / 2 % ERRNOS.len()])
        }
    }
}
