//! What ran out on this machine when a socket could not be opened, and what to change.

/// What the error number of a connection attempt that never left this machine means, and what would
/// help: one clause, for the end of a sentence.
pub fn local_failure(errno: i32) -> String {
    match errno {
        libc::EMFILE => "this process has no file descriptor left: raise the limit (ulimit -n) or \
             use fewer connections (-c)"
            .to_owned(),
        libc::ENFILE => "this machine has no file descriptor left (fs.file-max): close other \
             programs or use fewer connections (-c)"
            .to_owned(),
        libc::EADDRNOTAVAIL => "an address to connect from is no longer this machine's: look at \
             --source-ip and at ip addr"
            .to_owned(),
        libc::ENOMEM | libc::ENOBUFS => "the kernel has no memory left for sockets: use fewer \
             connections (-c) or allow more memory"
            .to_owned(),
        libc::EACCES | libc::EPERM => "this machine forbids it: look at its firewall and its \
             routes (ip route get ADDRESS), for a socket file at its permissions"
            .to_owned(),
        0 => "something on this machine failed".to_owned(),
        other => {
            let words = std::io::Error::from_raw_os_error(other);
            format!("{words}: look at the address and the route to it (ip route get ADDRESS)")
        }
    }
}

/// What helps when no local port is free for an address: one clause, for the end of a sentence.
pub fn ports_gone() -> &'static str {
    "each address has some 28,000 ports for one far end, and a connection that was closed in order \
     keeps its port for a minute (TIME_WAIT): use more addresses (--source-ip), --close reset, \
     fewer connections (-c), or a wider net.ipv4.ip_local_port_range"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ran_out_is_named_with_what_to_change() {
        for (errno, words) in [
            (libc::EMFILE, "ulimit -n"),
            (libc::ENFILE, "fs.file-max"),
            (libc::EADDRNOTAVAIL, "--source-ip"),
            (libc::ENOBUFS, "memory"),
            (libc::EACCES, "firewall"),
            (libc::EINVAL, "Invalid argument"),
        ] {
            let text = local_failure(errno);
            assert!(text.contains(words) && !text.contains(['\n', ';']), "{text}");
        }
    }
}
