//! The PROXY protocol's header, which tells a server whom a proxy stands for.
//!
//! Source: "The PROXY protocol, versions 1 and 2" (HAProxy's doc/proxy-protocol.txt), sections 2.1
//! and 2.2. It is sent once, before the connection's first other byte, and not answered.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};

/// Which form the header takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ProxyVersion {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// Longest header in bytes: version 2 with a pair of socket files.
pub const PROXY_HEADER_BYTES_MAX: usize = 16 + UNIX_BLOCK_BYTES;

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2, command PROXY.
const VERSION_AND_COMMAND: u8 = 0x21;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;
const UNIX_STREAM: u8 = 0x31;
/// Two paths of 108 bytes each.
const UNIX_BLOCK_BYTES: usize = 216;

/// Between whom the connection is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ends<'a> {
    /// TCP: the near end, then the far end.
    Inet(SocketAddr, SocketAddr),
    /// A socket file, whose path is the far end; the near end has none.
    Unix(&'a [u8]),
}

/// Writes the header at the start of `out`, which must have room for `PROXY_HEADER_BYTES_MAX`, and
/// says how long it is. Allocates nothing.
pub fn write_proxy_header(version: ProxyVersion, ends: Ends<'_>, out: &mut [u8]) -> usize {
    match version {
        ProxyVersion::V1 => write_v1(ends, out),
        ProxyVersion::V2 => write_v2(ends, out),
    }
}

fn write_v1(ends: Ends<'_>, out: &mut [u8]) -> usize {
    let room = out.len();
    let mut rest = out;
    let written = match ends {
        Ends::Inet(near, far) => {
            let (near_ip, far_ip) = same_family(near.ip(), far.ip());
            let family = if near_ip.is_ipv4() { "TCP4" } else { "TCP6" };
            write!(rest, "PROXY {family} {near_ip} {far_ip} {} {}\r\n", near.port(), far.port())
        }
        // Version 1 has no other families than TCP's.
        Ends::Unix(_) => write!(rest, "PROXY UNKNOWN\r\n"),
    };
    debug_assert!(written.is_ok(), "the longest header of version 1 has 107 bytes");
    room - rest.len()
}

fn write_v2(ends: Ends<'_>, out: &mut [u8]) -> usize {
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        out[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    };
    put(&SIGNATURE);
    match ends {
        Ends::Inet(near, far) => {
            match same_family(near.ip(), far.ip()) {
                (IpAddr::V4(near), IpAddr::V4(far)) => {
                    put(&[VERSION_AND_COMMAND, TCP4, 0, 12]);
                    put(&near.octets());
                    put(&far.octets());
                }
                (near, far) => {
                    put(&[VERSION_AND_COMMAND, TCP6, 0, 36]);
                    put(&as_v6(near));
                    put(&as_v6(far));
                }
            }
            put(&near.port().to_be_bytes());
            put(&far.port().to_be_bytes());
        }
        Ends::Unix(path) => {
            put(&[VERSION_AND_COMMAND, UNIX_STREAM, 0, UNIX_BLOCK_BYTES as u8]);
            put(&[0; UNIX_BLOCK_BYTES / 2]);
            let path = &path[..path.len().min(UNIX_BLOCK_BYTES / 2)];
            put(path);
            put(&[0; UNIX_BLOCK_BYTES / 2][path.len()..]);
        }
    }
    at
}

/// Both ends of a connection are of one family; should the kernel show one of them as an IPv4
/// address in IPv6's form, both are told so.
fn same_family(near: IpAddr, far: IpAddr) -> (IpAddr, IpAddr) {
    if near.is_ipv4() == far.is_ipv4() {
        return (near, far);
    }
    (IpAddr::V6(as_v6(near).into()), IpAddr::V6(as_v6(far).into()))
}

fn as_v6(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(version: ProxyVersion, ends: Ends<'_>) -> Vec<u8> {
        let mut out = [0xaa; PROXY_HEADER_BYTES_MAX];
        let len = write_proxy_header(version, ends, &mut out);
        assert!(out[len..].iter().all(|&byte| byte == 0xaa), "wrote beyond its length");
        out[..len].to_vec()
    }

    fn inet(near: &str, far: &str) -> Ends<'static> {
        Ends::Inet(near.parse().unwrap(), far.parse().unwrap())
    }

    #[test]
    fn version_1_is_the_specifications_line() {
        for (near, far, line) in [
            (
                "192.168.0.1:56324",
                "192.168.0.11:443",
                "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n",
            ),
            ("[::1]:1", "[2001:db8::2]:65535", "PROXY TCP6 ::1 2001:db8::2 1 65535\r\n"),
            ("127.0.0.1:1", "[::1]:2", "PROXY TCP6 ::ffff:127.0.0.1 ::1 1 2\r\n"),
        ] {
            assert_eq!(header(ProxyVersion::V1, inet(near, far)), line.as_bytes());
        }
        assert_eq!(header(ProxyVersion::V1, Ends::Unix(b"/run/x")), b"PROXY UNKNOWN\r\n");
    }

    #[test]
    fn the_longest_line_of_version_1_has_room() {
        // Section 2.1 counts 107 bytes with its final NUL, 106 on the wire at most for TCP6.
        let longest = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535";
        let line = header(ProxyVersion::V1, inet(longest, longest));
        assert_eq!(line.len(), 104);
        assert!(line.ends_with(b" 65535 65535\r\n"));
    }

    #[test]
    fn version_2_is_the_specifications_bytes() {
        let v4 = header(ProxyVersion::V2, inet("192.168.0.1:56324", "192.168.0.11:443"));
        let expected = [
            0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54,
            0x0a, // signature
            0x21, 0x11, 0x00, 0x0c, // version 2, PROXY, TCP over IPv4, 12 bytes
            192, 168, 0, 1, 192, 168, 0, 11, 0xdc, 0x04, 0x01, 0xbb,
        ];
        assert_eq!(v4, expected);
        let v6 = header(ProxyVersion::V2, inet("[::1]:1", "[2001:db8::2]:256"));
        assert_eq!(v6.len(), 16 + 36);
        assert_eq!(v6[12..16], [0x21, 0x21, 0x00, 0x24]);
        assert_eq!(v6[16..32], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(v6[32..36], [0x20, 0x01, 0x0d, 0xb8]);
        assert_eq!(v6[48..], [0, 1, 1, 0]);
        let unix = header(ProxyVersion::V2, Ends::Unix(b"/run/app.sock"));
        assert_eq!((unix.len(), &unix[12..16]), (232, &[0x21, 0x31, 0x00, 0xd8][..]));
        assert_eq!(unix[16..124], [0; 108]);
        assert_eq!(unix[124..138], *b"/run/app.sock\0");
    }
}
