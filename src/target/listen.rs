//! The listening socket and its backlog.

use std::io;
use std::net::{SocketAddr, TcpListener};

/// Connections that may wait for an accept: `-c 10000` opens them all at once. The system's
/// `net.core.somaxconn` caps it.
const BACKLOG: u32 = 16 * 1024;

/// Listens on `address`, without blocking accepts.
///
/// The port is not shared (no SO_REUSEPORT): a second server on it must be an error, since two
/// that share it would each see a part of the requests.
pub(super) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    // The standard library gives no say in the backlog; tokio's socket does and wants a runtime
    // about it while it listens.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let _inside = runtime.enter();
    let socket = match address {
        SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4()?,
        SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6()?,
    };
    // A port whose connections are still in TIME_WAIT is free.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

/// What to do after a failed accept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum AcceptFailure {
    /// The connection was gone before it was taken: try the next.
    Gone,
    /// Nothing waits.
    Empty,
    /// Descriptors or memory ran out: try again later.
    Exhausted,
}

/// Tells the failures of `accept` apart.
pub(super) fn accept_failure(error: &io::Error) -> AcceptFailure {
    match error.kind() {
        io::ErrorKind::WouldBlock => AcceptFailure::Empty,
        io::ErrorKind::ConnectionAborted
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::Interrupted => AcceptFailure::Gone,
        _ => AcceptFailure::Exhausted,
    }
}
