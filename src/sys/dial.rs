//! Sockets for connection attempts: where to, where from, and what is set before they connect.
//!
//! The idea: everything an attempt needs of an address is made once, so that an attempt costs its
//! system calls and allocates nothing. An address of this machine is bound without a port
//! (`IP_BIND_ADDRESS_NO_PORT`), which leaves the port to the connect: then one local port serves
//! connections to different far ends, and the ports last longest.
#![expect(unsafe_code, reason = "the standard library cannot bind a socket it has not connected")]

use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use super::check;
use super::net::{RawAddress, set_option, set_tcp_congestion};
use crate::io::{Address, IoError};

/// Whether a socket's calls wait.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Blocking {
    /// They do; for the ring, which itself never waits inline.
    Yes,
    /// They do not.
    No,
}

/// Makes the sockets of one backend's attempts.
#[derive(Debug)]
pub struct Dialer {
    destinations: Vec<Destination>,
    /// To bind to, by the family of the far end.
    sources: [Vec<RawAddress>; 2],
    congestion: Option<String>,
}

#[derive(Debug)]
struct Destination {
    family: Family,
    raw: RawAddress,
    /// Which of the sources the next attempt comes from. Each far end goes through them by itself,
    /// so that every pair of both is used alike.
    next_source: usize,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Family {
    V4,
    V6,
    Unix,
}

impl Dialer {
    /// For attempts to `addresses` from `sources`, with that congestion control.
    pub fn new(addresses: &[Address], sources: &[IpAddr], congestion: Option<String>) -> Self {
        let destination = |(index, address): (usize, &Address)| Destination {
            family: match address {
                Address::Inet(SocketAddr::V4(_)) => Family::V4,
                Address::Inet(SocketAddr::V6(_)) => Family::V6,
                Address::Unix(_) => Family::Unix,
            },
            raw: RawAddress::of(address),
            next_source: index,
        };
        let raw = |is_wanted: fn(&IpAddr) -> bool| {
            let wanted = sources.iter().filter(|source| is_wanted(source));
            wanted.map(|&source| RawAddress::new(SocketAddr::new(source, 0))).collect()
        };
        Self {
            destinations: addresses.iter().enumerate().map(destination).collect(),
            sources: [raw(IpAddr::is_ipv4), raw(IpAddr::is_ipv6)],
            congestion,
        }
    }

    /// A socket for an attempt to address `index`: not yet connected, bound if there are sources,
    /// and for TCP with `TCP_NODELAY` and the congestion control.
    pub fn socket(&mut self, index: u32, blocking: Blocking) -> Result<OwnedFd, IoError> {
        let made = self.try_socket(index, blocking);
        // Whatever it is, the far end has no part in it.
        made.map_err(|error| IoError::Local(error.raw_os_error().unwrap_or(0)))
    }

    fn try_socket(&mut self, index: u32, blocking: Blocking) -> io::Result<OwnedFd> {
        let to = &mut self.destinations[index as usize];
        let (family, sources) = match to.family {
            Family::V4 => (libc::AF_INET, &self.sources[0]),
            Family::V6 => (libc::AF_INET6, &self.sources[1]),
            Family::Unix => return socket(libc::AF_UNIX, blocking),
        };
        let fd = socket(family, blocking)?;
        set_option(&fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, &ON)?;
        if let Some(name) = &self.congestion {
            set_tcp_congestion(&fd, name)?;
        }
        if !sources.is_empty() {
            let source = &sources[to.next_source % sources.len()];
            to.next_source = (to.next_source + 1) % sources.len();
            bind_without_port(&fd, source)?;
        }
        Ok(fd)
    }

    /// Address `index` in the kernel's form.
    pub fn raw(&self, index: u32) -> &RawAddress {
        &self.destinations[index as usize].raw
    }

    /// Whether a socket made for address `made` serves an attempt to address `index` as well: a socket
    /// file's does not, nor does one that is bound, because the next source's turn has come.
    pub fn fits(&self, made: u32, index: u32) -> bool {
        let [made, wanted] = [made, index].map(|i| self.destinations[i as usize].family);
        let sources = match wanted {
            Family::V4 => &self.sources[0],
            Family::V6 => &self.sources[1],
            Family::Unix => return false,
        };
        made == wanted && sources.is_empty()
    }

    /// Whether address `index` is a socket file.
    pub fn is_unix(&self, index: u32) -> bool {
        self.destinations[index as usize].family == Family::Unix
    }
}

const ON: [u8; size_of::<libc::c_int>()] = 1_i32.to_ne_bytes();

fn socket(family: libc::c_int, blocking: Blocking) -> io::Result<OwnedFd> {
    let waits = if blocking == Blocking::No { libc::SOCK_NONBLOCK } else { 0 };
    // SAFETY: the call takes no pointers.
    let raw = unsafe { libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC | waits, 0) };
    let raw = check(raw)?;
    // SAFETY: `raw` was just opened, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Gives the socket its near address and leaves the port to the connect (ip(7)).
fn bind_without_port(fd: &OwnedFd, source: &RawAddress) -> io::Result<()> {
    set_option(fd, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, &ON)?;
    // SAFETY: the address is readable for its length during the call.
    check(unsafe { libc::bind(fd.as_raw_fd(), source.as_ptr(), source.len()) }).map(drop)
}

/// Makes a socket's calls wait from now on.
pub fn set_blocking(fd: impl AsFd) -> io::Result<()> {
    let fd = fd.as_fd().as_raw_fd();
    let off: libc::c_int = 0;
    // SAFETY: the number is readable during the call, which does not keep it.
    check(unsafe { libc::ioctl(fd, libc::FIONBIO, &raw const off) }).map(drop)
}

/// The near end of a connected TCP socket; `None` for any other.
pub fn local_address(fd: impl AsFd) -> Option<SocketAddr> {
    let mut storage = MaybeUninit::<libc::sockaddr_storage>::zeroed();
    let mut len = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    let (fd, place) = (fd.as_fd().as_raw_fd(), storage.as_mut_ptr());
    // SAFETY: `storage` is writable for `len` bytes during the call, which does not keep it.
    check(unsafe { libc::getsockname(fd, place.cast(), &raw mut len) }).ok()?;
    // SAFETY: zeroes are a valid address, and the kernel wrote another valid one over them.
    let storage = unsafe { storage.assume_init() };
    let place = &raw const storage;
    match libc::c_int::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that this is what was written; the storage is aligned for it.
            let v4 = unsafe { place.cast::<libc::sockaddr_in>().read() };
            let ip = Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes());
            Some(SocketAddr::from((ip, u16::from_be(v4.sin_port))))
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let v6 = unsafe { place.cast::<libc::sockaddr_in6>().read() };
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            Some(SocketAddr::from((ip, u16::from_be(v6.sin6_port))))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::sys::start_connect;

    fn dial(dialer: &mut Dialer, index: u32) -> OwnedFd {
        let fd = dialer.socket(index, Blocking::Yes).unwrap();
        assert!(start_connect(&fd, dialer.raw(index)).unwrap());
        fd
    }

    #[test]
    fn sources_are_used_in_turn_for_each_far_end() {
        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let addresses = listeners.each_ref().map(|l| Address::from(l.local_addr().unwrap()));
        let sources = ["127.0.0.2", "127.0.0.3", "::1"].map(|source| source.parse().unwrap());
        let mut dialer = Dialer::new(&addresses, &sources, None);
        for round in 0..4_u32 {
            for index in 0..2 {
                let fd = dial(&mut dialer, index);
                let (stream, from) = listeners[index as usize].accept().unwrap();
                assert_eq!(local_address(&fd), Some(from));
                assert_eq!(from.ip(), sources[(round + index) as usize % 2], "{round} {index}");
                drop(stream);
            }
        }
    }

    #[test]
    fn an_address_of_another_machine_cannot_be_bound() {
        let to = [Address::from(SocketAddr::from(([127, 0, 0, 1], 80)))];
        let mut dialer = Dialer::new(&to, &["192.0.2.1".parse().unwrap()], None);
        let error = dialer.socket(0, Blocking::Yes).unwrap_err();
        assert_eq!(error, IoError::Local(libc::EADDRNOTAVAIL));
    }

    #[test]
    fn a_socket_file_is_dialled_without_anything_of_tcp() {
        let path = std::env::temp_dir().join(format!("wring-dial-{}", std::process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        let mut dialer = Dialer::new(&[Address::Unix(path.clone())], &[], None);
        assert!(dialer.is_unix(0));
        let fd = dialer.socket(0, Blocking::No).unwrap();
        assert!(start_connect(&fd, dialer.raw(0)).unwrap());
        set_blocking(&fd).unwrap();
        assert_eq!(local_address(&fd), None);
        assert!(!TcpStream::from(fd).nodelay().is_ok_and(|nodelay| nodelay));
        drop(listener);
        std::fs::remove_file(path).unwrap();
    }
}
