//! Where a connection may go.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The far end of a connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Address {
    /// TCP.
    Inet(SocketAddr),
    /// The socket file of a stream socket on this machine.
    Unix(PathBuf),
}

impl Address {
    /// Address and port; `None` for a socket file.
    pub fn inet(&self) -> Option<SocketAddr> {
        match self {
            Self::Inet(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Inet(address)
    }
}

/// An IPv4 address and a port.
impl From<([u8; 4], u16)> for Address {
    fn from(address: ([u8; 4], u16)) -> Self {
        Self::Inet(address.into())
    }
}

/// `127.0.0.1:80`, `[::1]:80`, `unix:/run/app.sock`.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
