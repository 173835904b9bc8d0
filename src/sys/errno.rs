//! The one place where the kernel's error numbers get their meaning.

use crate::io::IoError;

/// What `errno`, a positive number, means to a connection, whichever backend met it.
pub fn io_error(errno: i32) -> IoError {
    match errno {
        // A socket file that is gone has nobody behind it either.
        libc::ECONNREFUSED | libc::ENOENT => IoError::Refused,
        libc::ETIMEDOUT => IoError::TimedOut,
        libc::ENETUNREACH | libc::EHOSTUNREACH | libc::ENETDOWN | libc::EHOSTDOWN => {
            IoError::Unreachable
        }
        libc::ECONNRESET | libc::ECONNABORTED => IoError::Reset,
        libc::EPIPE | libc::ENOTCONN | libc::ESHUTDOWN => IoError::BrokenPipe,
        libc::ECANCELED => IoError::Cancelled,
        libc::ENOBUFS => IoError::NoBuffers,
        // connect(2), and for a socket file whose queue is full unix(7).
        libc::EADDRNOTAVAIL | libc::EADDRINUSE => IoError::NoPorts,
        libc::EAGAIN => IoError::Busy,
        libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::EACCES | libc::EPERM => {
            IoError::Local(errno)
        }
        other => IoError::Other(other),
    }
}

/// An operation on a slot without a socket.
pub const NO_SOCKET: IoError = IoError::Other(libc::EBADF);
/// A second operation of a sort of which a socket has one at a time.
pub const IN_PROGRESS: IoError = IoError::Other(libc::EALREADY);
