//! How connections are made and when they are given up.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::io::{Address, CloseKind};
use crate::proto::{Ends, PROXY_HEADER_BYTES_MAX, ProxyVersion, write_proxy_header};
use crate::units::Rate;

/// The line of a CONNECT request that says who is there, in small letters.
const CREDENTIALS: &[u8] = b"\r\nproxy-authorization:";

/// Everything about connections beyond where they go; the default asks for nothing special.
#[derive(Clone, Debug)]
pub struct Network {
    /// Addresses of this machine that connections come from, in turn; empty leaves it to the kernel.
    pub sources: Vec<IpAddr>,
    /// Requests that one connection carries before wring closes it; `None` is without bound.
    pub requests_per_connection: Option<u32>,
    /// How wring closes a connection that has carried them.
    pub close: CloseKind,
    /// Attempts per second over all workers; `None` is as fast as they end.
    pub connect_rate: Option<Rate>,
    /// What comes first on every connection.
    pub prelude: Option<Prelude>,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            sources: Vec::new(),
            requests_per_connection: None,
            close: CloseKind::Reset,
            connect_rate: None,
            prelude: None,
        }
    }
}

impl Network {
    /// How long opening `connections` takes at least, in nanoseconds.
    pub fn opening_ns_min(&self, connections: u32) -> u64 {
        let Some(rate) = self.connect_rate else { return 0 };
        let ns = u128::from(connections) * u128::from(rate.per_ns()) / u128::from(rate.count());
        u64::try_from(ns).unwrap_or(u64::MAX)
    }
}

/// Bytes that are sent once on every connection, before anything else.
#[derive(Clone, Debug)]
pub enum Prelude {
    /// A PROXY protocol header with the connection's own ends. Nothing answers it.
    ProxyHeader {
        /// Its form.
        version: ProxyVersion,
        /// The far ends: the plan's addresses.
        addresses: Arc<[Address]>,
    },
    /// By address of the plan: a CONNECT request, which a proxy must grant; none where the proxy
    /// passes requests on.
    Tunnels(Arc<[Option<Arc<[u8]>>]>),
}

impl Prelude {
    /// Room it needs in a send buffer.
    pub fn bytes_max(&self) -> usize {
        match self {
            Self::ProxyHeader { .. } => PROXY_HEADER_BYTES_MAX,
            Self::Tunnels(requests) => {
                requests.iter().flatten().map(|request| request.len()).max().unwrap_or(0)
            }
        }
    }

    /// Whether a connection to this address begins with it.
    pub fn is_for(&self, address_index: u32) -> bool {
        match self {
            Self::ProxyHeader { .. } => true,
            Self::Tunnels(requests) => requests[address_index as usize].is_some(),
        }
    }

    /// Whether it says who is there, to a proxy that asks for that.
    pub fn has_credentials(&self) -> bool {
        let names_user = |request: &[u8]| {
            let head = request.to_ascii_lowercase();
            head.windows(CREDENTIALS.len()).any(|window| window == CREDENTIALS)
        };
        match self {
            Self::ProxyHeader { .. } => false,
            Self::Tunnels(requests) => requests.iter().flatten().any(|request| names_user(request)),
        }
    }

    /// Whether it has to be answered before the connection can be used.
    pub fn is_answered(&self) -> bool {
        matches!(self, Self::Tunnels(_))
    }

    /// Writes it to the start of `out`, which has `bytes_max` bytes, and says how many it has. `near`
    /// is the connection's own end, without which there is no header for TCP. Allocates nothing.
    pub fn write(
        &self,
        address_index: u32,
        near: Option<SocketAddr>,
        out: &mut [u8],
    ) -> Option<usize> {
        match self {
            Self::Tunnels(requests) => {
                let request = requests[address_index as usize].as_ref()?;
                out[..request.len()].copy_from_slice(request);
                Some(request.len())
            }
            Self::ProxyHeader { version, addresses } => {
                let ends = match (&addresses[address_index as usize], near) {
                    (Address::Unix(path), _) => Ends::Unix(path.as_os_str().as_encoded_bytes()),
                    (Address::Inet(far), Some(near)) => Ends::Inet(near, *far),
                    (Address::Inet(_), None) => return None,
                };
                Some(write_proxy_header(*version, ends, out))
            }
        }
    }
}
