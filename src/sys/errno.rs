//! The one place where the kernel's error numbers get their meaning.

use crate::io::IoError;

/// What `errno`, a positive number, means to a connection, whichever backend met it.
pub fn io_error(errno: i32) -> IoError {
    match errno {
        libc::ECONNREFUSED => IoError::Refused,
        libc::ETIMEDOUT => IoError::TimedOut,
        libc::ENETUNREACH | libc::EHOSTUNREACH | libc::ENETDOWN | libc::EHOSTDOWN => {
            IoError::Unreachable
        }
        libc::ECONNRESET | libc::ECONNABORTED => IoError::Reset,
        libc::EPIPE | libc::ENOTCONN | libc::ESHUTDOWN => IoError::BrokenPipe,
        libc::ECANCELED => IoError::Cancelled,
        libc::ENOBUFS => IoError::NoBuffers,
        libc::EMFILE
        | libc::ENFILE
        | libc::ENOMEM
        | libc::EADDRNOTAVAIL
        | libc::EADDRINUSE
        | libc::EACCES
        | libc::EPERM => IoError::Local(errno),
        other => IoError::Other(other),
    }
}

/// An operation on a slot without a socket.
pub const NO_SOCKET: IoError = IoError::Other(libc::EBADF);
/// A second operation of a sort of which a socket has one at a time.
pub const IN_PROGRESS: IoError = IoError::Other(libc::EALREADY);
