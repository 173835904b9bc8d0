//! Addresses in the kernel's form, options of sockets, and names turned into addresses.
#![expect(unsafe_code, reason = "the standard library sets few options and shows no raw address")]

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use super::check;
use super::dial::{Blocking, Dialer};
use super::host::line_of;
use crate::io::Address;

/// A socket address in the kernel's form.
pub struct RawAddress {
    // Boxed, so that its place stays the same for a kernel that reads it later.
    storage: Box<libc::sockaddr_storage>,
    len: libc::socklen_t,
}

impl fmt::Debug for RawAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawAddress").field("len", &self.len).finish_non_exhaustive()
    }
}

/// Longest path of a socket file, in bytes: `sun_path` with its final NUL (unix(7)).
pub const UNIX_PATH_BYTES_MAX: usize = 107;

impl RawAddress {
    /// The kernel's form of `address`. A path beyond `UNIX_PATH_BYTES_MAX` is cut off there, where
    /// nobody listens.
    pub fn of(address: &Address) -> Self {
        match address {
            Address::Inet(address) => Self::new(*address),
            Address::Unix(path) => Self::unix(path.as_os_str().as_bytes()),
        }
    }

    fn unix(path: &[u8]) -> Self {
        let path = &path[..path.len().min(UNIX_PATH_BYTES_MAX)];
        let mut plain = libc::sockaddr_un {
            sun_family: libc::AF_UNIX as libc::sa_family_t,
            sun_path: [0; UNIX_PATH_BYTES_MAX + 1],
        };
        for (place, byte) in plain.sun_path.iter_mut().zip(path) {
            *place = libc::c_char::from_ne_bytes([*byte]);
        }
        // SAFETY: all zeroes is a valid, unspecified socket address.
        let mut storage: Box<libc::sockaddr_storage> = Box::new(unsafe { std::mem::zeroed() });
        let place = &raw mut *storage;
        // SAFETY: `sockaddr_storage` is made to hold any socket address, aligned.
        unsafe { place.cast::<libc::sockaddr_un>().write(plain) };
        let len = std::mem::offset_of!(libc::sockaddr_un, sun_path) + path.len() + 1;
        Self { storage, len: len as libc::socklen_t }
    }

    /// The kernel's form of `address`.
    pub fn new(address: SocketAddr) -> Self {
        // SAFETY: all zeroes is a valid, unspecified socket address.
        let mut storage: Box<libc::sockaddr_storage> = Box::new(unsafe { std::mem::zeroed() });
        let place = &raw mut *storage;
        let len = match address {
            SocketAddr::V4(v4) => {
                let plain = libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: v4.port().to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) },
                    sin_zero: [0; 8],
                };
                // SAFETY: `sockaddr_storage` is made to hold any socket address, aligned.
                unsafe { place.cast::<libc::sockaddr_in>().write(plain) };
                size_of::<libc::sockaddr_in>()
            }
            SocketAddr::V6(v6) => {
                let plain = libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as libc::sa_family_t,
                    sin6_port: v6.port().to_be(),
                    sin6_flowinfo: v6.flowinfo(),
                    sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                    sin6_scope_id: v6.scope_id(),
                };
                // SAFETY: as above.
                unsafe { place.cast::<libc::sockaddr_in6>().write(plain) };
                size_of::<libc::sockaddr_in6>()
            }
        };
        Self { storage, len: len as libc::socklen_t }
    }

    /// Its place, the same as long as `self` lives.
    pub fn as_ptr(&self) -> *const libc::sockaddr {
        (&raw const *self.storage).cast()
    }

    /// Its length in bytes.
    #[expect(clippy::len_without_is_empty, reason = "no address is empty")]
    pub fn len(&self) -> libc::socklen_t {
        self.len
    }
}

/// Chooses the congestion control of a socket; connections accepted from a listener inherit its.
pub fn set_tcp_congestion(fd: impl AsFd, name: &str) -> io::Result<()> {
    set_option(fd, libc::IPPROTO_TCP, libc::TCP_CONGESTION, name.as_bytes())
}

/// How many bytes must have arrived before `fd` counts as readable (socket(7), SO_RCVLOWAT); its end
/// and its errors always do. TCP grows the receive window to match.
pub fn set_receive_low_water(fd: impl AsFd, bytes: u32) -> io::Result<()> {
    let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    set_option(fd, libc::SOL_SOCKET, libc::SO_RCVLOWAT, &bytes.to_ne_bytes())
}

/// Makes the close of `fd` a reset, which leaves no TIME_WAIT behind.
pub fn set_linger_zero(fd: impl AsFd) -> io::Result<()> {
    // `struct linger`: on, for zero seconds.
    let mut linger = [0; size_of::<libc::linger>()];
    linger[..size_of::<libc::c_int>()].copy_from_slice(&libc::c_int::from(1u8).to_ne_bytes());
    set_option(fd, libc::SOL_SOCKET, libc::SO_LINGER, &linger)
}

pub(super) fn set_option(
    fd: impl AsFd,
    level: libc::c_int,
    name: libc::c_int,
    value: &[u8],
) -> io::Result<()> {
    let fd = fd.as_fd().as_raw_fd();
    let len = libc::socklen_t::try_from(value.len())
        .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: `value` is readable for `len` bytes during the call, which does not keep it.
    check(unsafe { libc::setsockopt(fd, level, name, value.as_ptr().cast(), len) }).map(drop)
}

/// The value of an option that is a number.
pub(super) fn option(
    fd: impl AsFd,
    level: libc::c_int,
    name: libc::c_int,
) -> io::Result<libc::c_int> {
    let fd = fd.as_fd().as_raw_fd();
    let mut value: libc::c_int = 0;
    let mut len = size_of::<libc::c_int>() as libc::socklen_t;
    let place = (&raw mut value).cast();
    // SAFETY: `value` is writable for `len` bytes during the call, which does not keep it.
    check(unsafe { libc::getsockopt(fd, level, name, place, &raw mut len) }).map(|_| value)
}

/// The congestion controls that any process may choose here. `None` when `/proc` does not tell.
pub fn tcp_congestion_available() -> Option<Vec<String>> {
    let line = line_of(Path::new("/proc/sys/net/ipv4/tcp_available_congestion_control"))?;
    Some(line.split_whitespace().map(str::to_owned).collect())
}

/// True when a socket can be given the congestion control `name`: it is tried on one.
pub fn tcp_congestion_known(name: &str) -> bool {
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut dialer = Dialer::new(&[address.into()], &[], Some(name.to_owned()));
    !name.is_empty() && dialer.socket(0, Blocking::Yes).is_ok()
}

/// Why a name has no address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ResolveError {
    /// The resolver answered, with this cause.
    Failed(String),
    /// No answer within this many nanoseconds.
    TimedOut(u64),
    /// The thread that asks could not be started, with this cause.
    NoThread(String),
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(cause) => f.write_str(cause),
            Self::TimedOut(after_ns) => {
                let after = crate::units::format_duration_ns(*after_ns);
                write!(f, "no answer from the resolver within {after}")
            }
            Self::NoThread(cause) => write!(f, "cannot ask the resolver: {cause}"),
        }
    }
}

impl std::error::Error for ResolveError {}

/// All addresses of `host`, in the resolver's order and each once, within `timeout_ns`.
///
/// `host` may be an address itself; an IPv6 one comes without brackets and may carry a scope. A
/// resolver that hangs costs a sleeping thread until the process ends, and nothing else.
pub fn resolve(host: &str, port: u16, timeout_ns: u64) -> Result<Vec<SocketAddr>, ResolveError> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let name = host.to_owned();
    bounded(timeout_ns, move || (name.as_str(), port).to_socket_addrs().map(Iterator::collect))
        .and_then(first_of_each)
}

fn bounded<F>(timeout_ns: u64, look_up: F) -> Result<Vec<SocketAddr>, ResolveError>
where
    F: FnOnce() -> io::Result<Vec<SocketAddr>> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel();
    std::thread::Builder::new()
        .name("resolver".to_owned())
        // Nobody may be listening any more: then the answer is of no use to anyone.
        .spawn(move || drop(sender.send(look_up())))
        .map_err(|error| ResolveError::NoThread(error.to_string()))?;
    match receiver.recv_timeout(Duration::from_nanos(timeout_ns)) {
        Ok(Ok(addresses)) => Ok(addresses),
        Ok(Err(error)) => Err(ResolveError::Failed(resolver_cause(&error))),
        Err(RecvTimeoutError::Timeout) => Err(ResolveError::TimedOut(timeout_ns)),
        Err(RecvTimeoutError::Disconnected) => {
            Err(ResolveError::Failed("the resolver broke".to_owned()))
        }
    }
}

/// The resolver's own words, without the standard library's preface.
fn resolver_cause(error: &io::Error) -> String {
    let text = error.to_string();
    match text.strip_prefix("failed to lookup address information: ") {
        Some(cause) => cause.to_owned(),
        None => text,
    }
}

fn first_of_each(addresses: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, ResolveError> {
    let mut distinct = Vec::with_capacity(addresses.len());
    for address in addresses {
        if !distinct.contains(&address) {
            distinct.push(address);
        }
    }
    if distinct.is_empty() {
        return Err(ResolveError::Failed("the name has no address".to_owned()));
    }
    Ok(distinct)
}

/// Whether `address` belongs to this machine, whatever its port: only a local one can be bound to. A
/// link-local one is known by its scope alone.
pub fn is_local_address(mut address: SocketAddr) -> bool {
    address.set_port(0);
    UdpSocket::bind(address).is_ok()
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn connect(address: SocketAddr) -> TcpStream {
        let mut dialer = Dialer::new(&[address.into()], &[], None);
        let fd = dialer.socket(0, Blocking::Yes).unwrap();
        assert!(crate::sys::start_connect(&fd, dialer.raw(0)).unwrap());
        TcpStream::from(fd)
    }

    #[test]
    fn a_socket_has_no_delay_and_the_congestion_control_asked_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stream = connect(address);
        assert!(stream.nodelay().unwrap());
        for name in tcp_congestion_available().unwrap_or_default() {
            assert!(tcp_congestion_known(&name), "{name}");
        }
        assert!(!tcp_congestion_known("no-such-control"));
        assert!(!tcp_congestion_known(""));
    }

    #[test]
    fn a_close_without_linger_is_a_reset() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stream = connect(address);
        let (mut peer, _) = listener.accept().unwrap();
        set_linger_zero(&stream).unwrap();
        drop(stream);
        let error = peer.read(&mut [0; 1]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[test]
    fn literal_addresses_need_no_resolver() {
        let v4 = resolve("127.0.0.1", 80, 1).unwrap();
        assert_eq!(v4, [SocketAddr::from(([127, 0, 0, 1], 80))]);
        let v6 = resolve("::1", 8080, 1).unwrap();
        assert_eq!(v6[0].to_string(), "[::1]:8080");
    }

    #[test]
    fn localhost_has_loopback_addresses_only() {
        let addresses = resolve("localhost", 81, 5_000_000_000).unwrap();
        assert!(addresses.iter().all(|a| a.ip().is_loopback() && a.port() == 81));
    }

    #[test]
    fn a_name_that_does_not_exist_gives_the_resolvers_cause() {
        let error = resolve("no such name", 80, 5_000_000_000).unwrap_err();
        assert!(matches!(&error, ResolveError::Failed(cause) if !cause.is_empty()), "{error:?}");
    }

    #[test]
    fn a_resolver_that_hangs_is_left_behind() {
        let (release, held) = mpsc::channel::<()>();
        let error = bounded(1_000_000, move || {
            let _ = held.recv();
            Ok(Vec::new())
        });
        assert_eq!(error, Err(ResolveError::TimedOut(1_000_000)));
        drop(release);
    }

    #[test]
    fn an_address_given_twice_is_used_once() {
        let [a, b] = [1, 2].map(|last| SocketAddr::from(([127, 0, 0, last], 80)));
        assert_eq!(first_of_each(vec![a, b, a]), Ok(vec![a, b]));
        assert!(first_of_each(Vec::new()).is_err());
    }
}
