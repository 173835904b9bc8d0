//! The list of addresses that connections come from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::error::CliError;
use crate::limits::SOURCES_MAX;

/// Every address of a list such as `10.0.0.5,10.0.1.0/28,fd00::/120`, each once and in order, or what
/// is wrong with it. Of an IPv4 network the first and the last address are left out, which are no
/// host's (RFC 1122 section 3.2.1.3), unless it has no others.
pub(super) fn parse(list: &str) -> Result<Vec<IpAddr>, CliError> {
    let mut all = Vec::new();
    for item in list.split(',') {
        let block = Block::parse(item).map_err(|why| {
            CliError::usage(format!("--source-ip: '{}' {why}", item.escape_debug()))
                .hint("write addresses and networks of this machine: 10.0.0.5,10.0.1.0/28")
        })?;
        if block.count().saturating_add(all.len() as u128) > SOURCES_MAX as u128 {
            return Err(CliError::usage(format!(
                "--source-ip '{}' names more than {SOURCES_MAX} addresses",
                list.escape_debug()
            ))
            .hint("each has some 28,000 ports; a few dozen are enough for a million connections"));
        }
        all.extend(block.addresses());
    }
    let mut seen = std::collections::HashSet::new();
    all.retain(|address| seen.insert(*address));
    Ok(all)
}

/// Some neighbouring addresses.
#[derive(Debug, Eq, PartialEq)]
struct Block {
    is_v4: bool,
    first: u128,
    last: u128,
}

impl Block {
    fn parse(item: &str) -> Result<Self, String> {
        let (address, prefix) = match item.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (item, None),
        };
        let address: IpAddr =
            address.parse().map_err(|_| "is neither an address nor a network".to_owned())?;
        let (bits, width) = match address {
            IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32),
            IpAddr::V6(v6) => (v6.to_bits(), 128),
        };
        let Some(prefix) = prefix else {
            if address.is_unspecified() || address.is_multicast() {
                return Err("is not an address that a connection can come from".to_owned());
            }
            return Ok(Self { is_v4: width == 32, first: bits, last: bits });
        };
        let is_number = !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_digit());
        let prefix = prefix.parse().ok().filter(|&prefix: &u32| is_number && prefix <= width);
        let prefix =
            prefix.ok_or_else(|| format!("has a broken prefix; give 0 to {width} behind the /"))?;
        let host_bits = width - prefix;
        let mask = if host_bits == 128 { u128::MAX } else { (1 << host_bits) - 1 };
        if bits & mask != 0 {
            let network = match address {
                IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits((bits & !mask) as u32)),
                IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(bits & !mask)),
            };
            return Err(format!(
                "is not the beginning of a network: that is {network}/{prefix}; the address alone is \
                 {address}"
            ));
        }
        // Network and broadcast address.
        let without_ends = u128::from(width == 32 && host_bits >= 2);
        Ok(Self {
            is_v4: width == 32,
            first: bits + without_ends,
            last: (bits | mask) - without_ends,
        })
    }

    fn count(&self) -> u128 {
        (self.last - self.first).saturating_add(1)
    }

    fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let is_v4 = self.is_v4;
        (self.first..=self.last).map(move |bits| match is_v4 {
            true => IpAddr::V4(Ipv4Addr::from_bits(bits as u32)),
            false => IpAddr::V6(Ipv6Addr::from_bits(bits)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(list: &str) -> Vec<String> {
        parse(list).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn addresses_and_networks_are_listed_in_order_and_once() {
        for (list, expected) in [
            ("10.0.0.5", &["10.0.0.5"][..]),
            ("10.0.0.5,::1", &["10.0.0.5", "::1"]),
            ("10.0.0.4/30", &["10.0.0.5", "10.0.0.6"]),
            ("10.0.0.4/31", &["10.0.0.4", "10.0.0.5"]),
            ("10.0.0.4/32", &["10.0.0.4"]),
            ("fd00::/127", &["fd00::", "fd00::1"]),
            ("10.0.0.5,10.0.0.4/30,10.0.0.5", &["10.0.0.5", "10.0.0.6"]),
        ] {
            assert_eq!(texts(list), expected, "{list}");
        }
        assert_eq!(parse("10.1.0.0/16").unwrap().len(), 65_534);
        assert_eq!(texts("10.0.0.0/24").len(), 254);
        assert_eq!(texts("10.0.0.0/24")[253], "10.0.0.254");
    }

    #[test]
    fn nonsense_is_named() {
        for (list, words) in [
            ("", "'' is neither"),
            ("10.0.0.5,", "'' is neither"),
            ("10.0.0", "'10.0.0' is neither"),
            ("10.0.0.256", "neither"),
            ("host", "'host' is neither"),
            ("10.0.0.5:80", "neither"),
            ("[::1]", "neither"),
            ("10.0.0.0/", "broken prefix; give 0 to 32"),
            ("10.0.0.0/33", "broken prefix"),
            ("10.0.0.0/+8", "broken prefix"),
            ("10.0.0.0/-1", "broken prefix"),
            ("fd00::/129", "give 0 to 128"),
            ("10.0.0.0/99999999999", "broken prefix"),
            ("10.0.0.5/24", "that is 10.0.0.0/24; the address alone is 10.0.0.5"),
            ("fd00::1/64", "that is fd00::/64"),
            ("10.0.0.0/8", "more than 65536"),
            ("::/0", "more than 65536"),
            ("0.0.0.0/0", "more than 65536"),
            ("10.1.0.0/16,10.2.0.0/16", "more than 65536"),
            ("0.0.0.0", "is not an address that a connection can come from"),
            ("224.0.0.1", "is not an address"),
        ] {
            let error = parse(list).expect_err(list);
            assert_eq!(error.code, 2);
            assert!(error.message.contains(words), "{list}: {error}");
        }
    }
}
