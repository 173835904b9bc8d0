//! Which CPUs the processes behind a listening socket of this machine may use.
//!
//! The idea: the kernel lists listening sockets with their inodes, and every process's descriptors
//! with the inodes behind them. What cannot be read (another user's process, another network
//! namespace) is not known, and then nothing is.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::cpu::parse_cpu_list;
use crate::io::Address;

/// Processes looked at, at most.
const PROCESSES_MAX: usize = 20_000;
/// A thread that had less than this share of the CPU time of all is not at work: it may use a CPU,
/// but does not.
const AT_WORK_SHARE: f64 = 0.05;
/// The state of a listening socket in `/proc/net/tcp` (`TCP_LISTEN`).
const LISTENS: &str = "0A";
/// The flag of one in `/proc/net/unix` (`__SO_ACCEPTCON`).
const ACCEPTS: u32 = 1 << 16;

/// The CPUs that the threads may use which serve `addresses`; `None` where they cannot be found. Of
/// this process the calling thread does not count, nor do those that send the load.
pub fn cpus_of_listeners(addresses: &[Address]) -> Option<Vec<u32>> {
    cpus_below(Path::new("/proc"), addresses)
}

fn cpus_below(proc: &Path, addresses: &[Address]) -> Option<Vec<u32>> {
    let inodes: BTreeSet<u64> = addresses
        .iter()
        .flat_map(|address| match address {
            Address::Inet(address) => tcp_listeners(proc, *address),
            Address::Unix(path) => unix_listeners(proc, path),
        })
        .collect();
    if inodes.is_empty() {
        return None;
    }
    let mut held = BTreeSet::new();
    let holds_one = |pid: &String| {
        let own = sockets_of(proc, pid, &inodes);
        held.extend(&own);
        !own.is_empty()
    };
    let threads: Vec<Thread> =
        processes(proc).filter(holds_one).flat_map(|pid| threads(proc, &pid)).collect();
    if held != inodes {
        return None;
    }
    let all_ns: u64 = threads.iter().map(|thread| thread.ran_ns).sum();
    let at_work = threads.iter().filter(|t| t.ran_ns as f64 >= all_ns as f64 * AT_WORK_SHARE);
    let cpus: BTreeSet<u32> = at_work.flat_map(|thread| thread.cpus.iter().copied()).collect();
    (!cpus.is_empty()).then(|| cpus.into_iter().collect())
}

/// The inodes of the sockets that listen there.
fn tcp_listeners(proc: &Path, address: SocketAddr) -> Vec<u64> {
    let mut inodes = Vec::new();
    for name in ["net/tcp", "net/tcp6"] {
        let Ok(file) = fs::File::open(proc.join(name)) else { continue };
        // Those that listen come first, so thousands of connections need not be read.
        let lines = BufReader::new(file).lines().map_while(Result::ok).skip(1);
        let sockets = lines.map_while(|line| parse_tcp(&line));
        inodes.extend(sockets.filter(|s| listens_for(s.0, address)).map(|(_, inode)| inode));
    }
    inodes
}

/// The local address and the inode of a line that is about a listening socket (proc_net_tcp(5)).
fn parse_tcp(line: &str) -> Option<(SocketAddr, u64)> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    if *fields.get(3)? != LISTENS {
        return None;
    }
    let (ip, port) = fields.get(1)?.split_once(':')?;
    // Words of 32 bits, each as this machine would print it.
    let word = |at: usize| u32::from_str_radix(ip.get(at * 8..at * 8 + 8)?, 16).ok();
    let ip = if ip.len() == 8 {
        IpAddr::V4(Ipv4Addr::from(word(0)?.to_ne_bytes()))
    } else {
        let mut bytes = [0; 16];
        for (at, chunk) in bytes.chunks_mut(4).enumerate() {
            chunk.copy_from_slice(&word(at)?.to_ne_bytes());
        }
        IpAddr::V6(Ipv6Addr::from(bytes))
    };
    let port = u16::from_str_radix(port, 16).ok()?;
    Some((SocketAddr::new(ip.to_canonical(), port), fields.get(9)?.parse().ok()?))
}

/// Whether a socket bound to `bound` may get connections to `wanted`.
fn listens_for(bound: SocketAddr, wanted: SocketAddr) -> bool {
    let ip = wanted.ip().to_canonical();
    bound.port() == wanted.port() && (bound.ip().is_unspecified() || bound.ip() == ip)
}

/// The inodes of the sockets that listen at a path (proc_net_unix(5)).
fn unix_listeners(proc: &Path, path: &Path) -> Vec<u64> {
    let text = fs::read(proc.join("net/unix")).unwrap_or_default();
    let lines = text.split(|&byte| byte == b'\n');
    let listens = |line: &&[u8]| line.ends_with(&[b" ", path.as_os_str().as_bytes()].concat());
    lines
        .filter(listens)
        .filter_map(|line| {
            let line = String::from_utf8_lossy(line);
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let flags = u32::from_str_radix(fields.get(3)?, 16).ok()?;
            (flags & ACCEPTS != 0).then(|| fields.get(6)?.parse().ok()).flatten()
        })
        .collect()
}

fn processes(proc: &Path) -> impl Iterator<Item = String> {
    let names = fs::read_dir(proc).into_iter().flatten().flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())).take(PROCESSES_MAX)
}

fn sockets_of(proc: &Path, pid: &str, inodes: &BTreeSet<u64>) -> BTreeSet<u64> {
    let descriptors = fs::read_dir(proc.join(pid).join("fd")).into_iter().flatten().flatten();
    let links = descriptors.filter_map(|entry| fs::read_link(entry.path()).ok());
    let sockets = links.filter_map(|link| {
        let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
        inode.parse().ok()
    });
    sockets.filter(|inode| inodes.contains(inode)).collect()
}

struct Thread {
    ran_ns: u64,
    cpus: Vec<u32>,
}

fn threads(proc: &Path, pid: &str) -> Vec<Thread> {
    let is_own = pid.parse() == Ok(std::process::id());
    let own = fs::read_link(proc.join("thread-self")).ok();
    let tasks = fs::read_dir(proc.join(pid).join("task")).into_iter().flatten().flatten();
    tasks
        .map(|task| task.path())
        .filter(|task| {
            let is_caller = own.as_ref().is_some_and(|own| own.file_name() == task.file_name());
            !is_own || !(is_caller || sends_load(task))
        })
        .filter_map(|task| {
            let status = fs::read_to_string(task.join("status")).ok()?;
            let list = status.lines().find_map(|l| l.strip_prefix("Cpus_allowed_list:"))?;
            // A kernel that does not count has all threads at work.
            let ran = fs::read_to_string(task.join("schedstat")).unwrap_or_default();
            let ran_ns = ran.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0);
            Some(Thread { ran_ns, cpus: parse_cpu_list(list.trim())? })
        })
        .collect()
}

/// Whether a thread of this process is a worker, by the name that it has: `wring-3`.
fn sends_load(task: &Path) -> bool {
    let name = fs::read_to_string(task.join("comm")).unwrap_or_default();
    let number = name.trim_end().strip_prefix("wring-");
    number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn listening_sockets_are_read_from_the_kernels_lines() {
        let v4 = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0 \
                  0 4242 1 0000000000000000 100 0 0 10 0";
        let read =
            |line: &str| parse_tcp(line).map(|(address, inode)| (address.to_string(), inode));
        assert_eq!(read(v4), Some(("127.0.0.1:8080".to_owned(), 4242)));
        assert_eq!(read(&v4.replace(" 0A ", " 01 ")), None, "a connection");
        let v6 = v4.replace("0100007F", "00000000000000000000000001000000");
        assert_eq!(read(&v6), Some(("[::1]:8080".to_owned(), 4242)));
        assert_eq!(read("sl local"), None);
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        for (bound, wanted, serves) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("127.0.0.2:80", "127.0.0.1:80", false),
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("[::]:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "[::ffff:127.0.0.1]:80", true),
        ] {
            assert_eq!(listens_for(at(bound), at(wanted)), serves, "{bound} {wanted}");
        }
    }

    #[test]
    fn a_listener_of_this_process_is_found_with_the_cpus_of_the_thread_that_works() {
        let allowed = super::super::allowed_cpus();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::Inet(listener.local_addr().unwrap());
        let inodes: BTreeSet<u64> =
            tcp_listeners(Path::new("/proc"), address.inet().unwrap()).into_iter().collect();
        assert_eq!(inodes.len(), 1);
        assert_eq!(
            sockets_of(Path::new("/proc"), &std::process::id().to_string(), &inodes),
            inodes
        );
        let found = cpus_of_listeners(&[address]);
        assert!(found.as_ref().is_none_or(|cpus| cpus.iter().all(|cpu| allowed.contains(cpu))));
        drop(listener);

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let _listener = UnixListener::bind(&path).unwrap();
        assert_eq!(unix_listeners(Path::new("/proc"), &path).len(), 1);
        assert_eq!(unix_listeners(Path::new("/proc"), Path::new("socket")), Vec::<u64>::new());
        assert_eq!(cpus_of_listeners(&[Address::Unix(folder.path().join("other"))]), None);
    }

    #[test]
    fn a_thread_that_hardly_runs_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let proc = folder.path();
        let line = "   0: 0100007F:1F90 00000000:0000 0A 0:0 00:0 0 0 0 77 1\n";
        fs::create_dir_all(proc.join("net")).unwrap();
        fs::write(proc.join("net/tcp"), format!("head\n{line}")).unwrap();
        fs::create_dir_all(proc.join("9/fd")).unwrap();
        std::os::unix::fs::symlink("socket:[77]", proc.join("9/fd/3")).unwrap();
        for (thread, ran_ns, cpus) in [("9", 1_000_u64, "0-3"), ("10", 900_000, "2")] {
            let task = proc.join("9/task").join(thread);
            fs::create_dir_all(&task).unwrap();
            fs::write(task.join("status"), format!("Name: a\nCpus_allowed_list:\t{cpus}\n"))
                .unwrap();
            fs::write(task.join("schedstat"), format!("{ran_ns} 5 6\n")).unwrap();
        }
        let address: SocketAddr = "127.0.0.1:8080".parse().unwrap();
        assert_eq!(cpus_below(proc, &[address.into()]), Some(vec![2]));
        let other: SocketAddr = "127.0.0.1:8081".parse().unwrap();
        assert_eq!(cpus_below(proc, &[other.into()]), None);
    }
}
