//! Readiness: an epoll set that waits with the accuracy of nanoseconds, and socket calls that never
//! block.
#![expect(unsafe_code, reason = "the standard library has neither epoll nor calls that discard")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

use super::check;
use super::net::{RawAddress, option};

const NS_PER_S: u64 = 1_000_000_000;

/// What became of one socket since it was last told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Readiness {
    /// The socket's key, as given to `Poller::add`.
    pub key: u64,
    /// Bytes, the end of the stream or an error can be received.
    pub is_readable: bool,
    /// Bytes can be sent, or sending fails.
    pub is_writable: bool,
    /// The peer has ended the stream, or the connection is broken or over.
    pub has_ended: bool,
}

/// An epoll set. Edge-triggered: it tells of a socket once for each change.
pub struct Poller {
    epoll: OwnedFd,
    events: Vec<libc::epoll_event>,
    has_pwait2: bool,
}

impl std::fmt::Debug for Poller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Poller").field("epoll", &self.epoll).finish_non_exhaustive()
    }
}

impl Poller {
    /// A set that tells of at most `events_max` sockets at once. With `masks_pwait2` it does
    /// without `epoll_pwait2` (Linux 5.11), as it does where a filter denies that call.
    pub fn new(events_max: usize, masks_pwait2: bool) -> io::Result<Self> {
        // SAFETY: the call takes no pointers.
        let raw = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: `raw` was just opened, and nobody else knows it.
        let epoll = unsafe { OwnedFd::from_raw_fd(raw) };
        let events = vec![libc::epoll_event { events: 0, u64: 0 }; events_max.max(1)];
        let mut poller = Self { epoll, events, has_pwait2: true };
        poller.has_pwait2 = !masks_pwait2 && poller.pwait2(0).is_ok();
        Ok(poller)
    }

    /// Whether one call waits and tells; else it takes two.
    pub fn has_pwait2(&self) -> bool {
        self.has_pwait2
    }

    /// Watches a socket from now on; what is ready already is told as well.
    pub fn add(&self, fd: impl AsFd, key: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, key)
    }

    /// Watches a socket that is watched already anew, under another key: what was told before is
    /// forgotten, and what is ready now is told.
    pub fn renew(&self, fd: impl AsFd, key: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, key)
    }

    fn control(&self, change: libc::c_int, fd: impl AsFd, key: u64) -> io::Result<()> {
        let events = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET;
        let mut event = libc::epoll_event { events: events.cast_unsigned(), u64: key };
        let (epoll, fd) = (self.epoll.as_raw_fd(), fd.as_fd().as_raw_fd());
        // SAFETY: `event` is readable during the call, which does not keep it.
        check(unsafe { libc::epoll_ctl(epoll, change, fd, &raw mut event) }).map(drop)
    }

    /// Watches it no longer. Closing the last descriptor of a socket does the same.
    pub fn remove(&self, fd: impl AsFd) -> io::Result<()> {
        let (epoll, fd) = (self.epoll.as_raw_fd(), fd.as_fd().as_raw_fd());
        // SAFETY: deleting reads no event.
        check(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_DEL, fd, ptr::null_mut()) }).map(drop)
    }

    /// Waits for `timeout_ns` or until there is something to tell, and says of how many sockets.
    /// A signal ends the wait early, with nothing to tell.
    pub fn wait(&mut self, timeout_ns: u64) -> io::Result<usize> {
        let told = if self.has_pwait2 {
            self.pwait2(timeout_ns)
        } else {
            // An epoll set can itself be polled, and `ppoll` counts in nanoseconds.
            self.poll_itself(timeout_ns).and_then(|()| self.look())
        };
        match told {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            told => told,
        }
    }

    /// What the last `wait` had to tell, by number.
    pub fn readiness(&self, number: usize) -> Readiness {
        let libc::epoll_event { events, u64: key } = self.events[number];
        let has = |flags: libc::c_int| events & flags.cast_unsigned() != 0;
        let has_ended = has(libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR);
        Readiness {
            key,
            is_readable: has(libc::EPOLLIN) || has_ended,
            is_writable: has(libc::EPOLLOUT | libc::EPOLLHUP | libc::EPOLLERR),
            has_ended,
        }
    }

    fn pwait2(&mut self, timeout_ns: u64) -> io::Result<usize> {
        let timeout = timespec(timeout_ns);
        let (events, events_max) = (self.events.as_mut_ptr(), self.events.len());
        // SAFETY: `events` has room for `events_max` events, and `timeout` outlives the call.
        let told = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.epoll.as_raw_fd(),
                events,
                events_max,
                &raw const timeout,
                ptr::null::<libc::sigset_t>(),
                0_usize,
            )
        };
        usize::try_from(told).map_err(|_| io::Error::last_os_error())
    }

    fn look(&mut self) -> io::Result<usize> {
        let (events, events_max) = (self.events.as_mut_ptr(), self.events.len());
        // SAFETY: `events` has room for `events_max` events.
        let told = unsafe {
            libc::epoll_wait(self.epoll.as_raw_fd(), events, events_max as libc::c_int, 0)
        };
        usize::try_from(told).map_err(|_| io::Error::last_os_error())
    }

    fn poll_itself(&self, timeout_ns: u64) -> io::Result<()> {
        if timeout_ns == 0 {
            return Ok(());
        }
        let timeout = timespec(timeout_ns);
        let fd = self.epoll.as_raw_fd();
        let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        // SAFETY: one `pollfd` and the timeout are valid during the call.
        check(unsafe { libc::ppoll(&raw mut poll, 1, &raw const timeout, ptr::null()) }).map(drop)
    }
}

fn timespec(ns: u64) -> libc::timespec {
    libc::timespec { tv_sec: (ns / NS_PER_S).cast_signed(), tv_nsec: (ns % NS_PER_S).cast_signed() }
}

/// Lets the waits of the calling thread end up to `ns` late, at least 1 (prctl(2),
/// PR_SET_TIMERSLACK); the kernel's own choice is 50,000. True when the kernel agrees.
pub fn set_timer_slack_ns(ns: u32) -> bool {
    // SAFETY: the call takes numbers only.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, libc::c_ulong::from(ns)) == 0 }
}

/// Begins to connect a non-blocking socket. True when it is connected at once; else its writability
/// tells, and `take_error` how it went.
pub fn start_connect(fd: impl AsFd, address: &RawAddress) -> io::Result<bool> {
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: the address is readable for its length during the call.
    let connected = check(unsafe { libc::connect(fd, address.as_ptr(), address.len()) });
    match connected {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Takes a TCP socket whose attempt was refused back to where it can connect again, with the options
/// it has (connect(2), AF_UNSPEC). What the kernel still knew of the attempt is forgotten.
pub fn disconnect(fd: impl AsFd) -> io::Result<()> {
    let fd = fd.as_fd().as_raw_fd();
    let nowhere =
        libc::sockaddr { sa_family: libc::AF_UNSPEC as libc::sa_family_t, sa_data: [0; 14] };
    let len = size_of::<libc::sockaddr>() as libc::socklen_t;
    // SAFETY: the address is readable for its length during the call.
    check(unsafe { libc::connect(fd, &raw const nowhere, len) }).map(drop)
}

/// The error that waits on a socket, which is thereby taken (socket(7), SO_ERROR).
pub fn take_error(fd: impl AsFd) -> io::Result<()> {
    match option(fd, libc::SOL_SOCKET, libc::SO_ERROR)? {
        0 => Ok(()),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

/// Sends what the socket takes at once; `None` when it takes nothing.
pub fn send_some(fd: impl AsFd, bytes: &[u8]) -> io::Result<Option<usize>> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: `bytes` is readable during the call, which does not keep it.
    moved(unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), flags) })
}

/// Receives what is there; `None` when nothing is, 0 at the end of the stream.
pub fn recv_some(fd: impl AsFd, bytes: &mut [u8]) -> io::Result<Option<usize>> {
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: `bytes` is writable during the call, which does not keep it.
    moved(unsafe { libc::recv(fd, bytes.as_mut_ptr().cast(), bytes.len(), libc::MSG_DONTWAIT) })
}

/// Throws away up to `bytes_max` bytes of those that are there, without copying them; answers as
/// `recv_some`.
pub fn discard_some(fd: impl AsFd, bytes_max: usize) -> io::Result<Option<usize>> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: with MSG_TRUNC, TCP does not look at the address (tcp(7)).
    moved(unsafe { libc::recv(fd, ptr::null_mut(), bytes_max, flags) })
}

/// Whether a receive would bring something now: bytes or the end of the stream. An error is told once,
/// and so not to the receive.
pub fn holds_more(fd: impl AsFd) -> io::Result<bool> {
    let (fd, mut byte) = (fd.as_fd().as_raw_fd(), 0_u8);
    let flags = libc::MSG_DONTWAIT | libc::MSG_PEEK;
    // SAFETY: one byte is writable during the call, which does not keep it.
    let peeked = moved(unsafe { libc::recv(fd, (&raw mut byte).cast(), 1, flags) });
    peeked.map(|count| count.is_some())
}

fn moved(result: isize) -> io::Result<Option<usize>> {
    usize::try_from(result).map(Some).or_else(|_| {
        let error = io::Error::last_os_error();
        if error.kind() == io::ErrorKind::WouldBlock { Ok(None) } else { Err(error) }
    })
}
