//! The facts that decide whether this machine is fit to measure.
//!
//! Texts of `/proc` and `/sys` become plain values here and are judged elsewhere. Every fact is
//! optional: what a container hides is not known, which is never an error.

use std::fs;
use std::path::Path;

use super::cgroup::{CgroupFacts, Limit};
use super::host::line_of;

/// A limit on one resource of this process.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ResourceLimit {
    /// What holds now.
    pub soft: Limit<u64>,
    /// What the process may raise it to.
    pub hard: Limit<u64>,
}

/// TCP sockets of this network namespace.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SocketCounts {
    /// In use.
    pub in_use: u64,
    /// In TIME_WAIT: closed here first, their ports held for a minute.
    pub time_wait: u64,
}

/// Memory of the machine, in bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct MemoryFacts {
    /// All of it.
    pub total_bytes: u64,
    /// What a new program could have without swapping.
    pub available_bytes: u64,
    /// Swap space in use.
    pub swap_used_bytes: u64,
}

/// What the kernel says of this process and this machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FitnessFacts {
    /// The kernel's release.
    pub kernel: Option<String>,
    /// `kernel.io_uring_disabled`: 0 allowed, 1 for a group, 2 for nobody.
    pub uring_disabled: Option<u8>,
    /// `kernel.io_uring_group`: who may use it at level 1; −1 is nobody.
    pub uring_group: Option<i64>,
    /// Seccomp mode of this process: 0 none, 1 strict, 2 a filter.
    pub seccomp: Option<u8>,
    /// Effective capabilities of this process, as bits.
    pub capabilities: Option<u64>,
    /// Open files.
    pub open_files: ResourceLimit,
    /// Locked memory, in bytes.
    pub locked_memory: ResourceLimit,
    /// CPUs online, in ascending order.
    pub cpus_online: Option<Vec<u32>>,
    /// Whether it is told which of the asked CPUs share a core.
    pub cores_known: bool,
    /// The frequency governors of the asked CPUs, each once.
    pub governors: Vec<String>,
    /// Whether CPUs may run faster than their base frequency for a while.
    pub turbo: Option<bool>,
    /// Where the kernel's time comes from.
    pub clock_source: Option<String>,
    /// Where it could come from.
    pub clock_sources: Vec<String>,
    /// Hardware vulnerabilities and what is done about each, by name.
    pub vulnerabilities: Option<Vec<(String, String)>>,
    /// The CPU says that it is a virtual machine's.
    pub is_virtual: Option<bool>,
    /// Signs of a container: its kind.
    pub container: Option<String>,
    /// First and last local port given to connections.
    pub port_range: Option<(u16, u16)>,
    /// `net.ipv4.tcp_tw_reuse`: 0 never, 1 always, 2 on loopback.
    pub tw_reuse: Option<u8>,
    /// TCP sockets now.
    pub sockets: Option<SocketCounts>,
    /// `net.core.somaxconn`.
    pub accept_queue_max: Option<u64>,
    /// `net.ipv4.tcp_max_syn_backlog`.
    pub syn_queue_max: Option<u64>,
    /// The congestion control that new sockets get.
    pub tcp_congestion: Option<String>,
    /// What can be asked for instead.
    pub tcp_congestions: Vec<String>,
    /// Threads running or waiting for a disk, averaged over the last minute.
    pub load_average: Option<f64>,
    /// Memory and swap.
    pub memory: Option<MemoryFacts>,
    /// Limits of the control groups.
    pub cgroup: CgroupFacts,
}

/// CAP_IPC_LOCK (capabilities(7)): may lock any amount of memory.
const CAP_IPC_LOCK: u32 = 14;

impl FitnessFacts {
    /// The facts of this machine as far as they can be read; `cpus` are those whose governors count.
    pub fn read(cpus: &[u32]) -> Self {
        Self::read_from(Path::new("/"), cpus)
    }

    fn read_from(root: &Path, cpus: &[u32]) -> Self {
        let text = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
        let line = |path: &str| line_of(&root.join(path));
        let words = |path: &str| text(path).split_whitespace().map(str::to_owned).collect();
        let (status, limits) = (text("proc/self/status"), text("proc/self/limits"));
        let status_field = |name: &str| field(&status, name);
        let clock = |file| format!("sys/devices/system/clocksource/clocksource0/{file}");
        let cpuinfo = text("proc/cpuinfo");
        Self {
            kernel: line("proc/sys/kernel/osrelease"),
            uring_disabled: number(line("proc/sys/kernel/io_uring_disabled")),
            uring_group: number(line("proc/sys/kernel/io_uring_group")),
            seccomp: status_field("Seccomp").and_then(|value| value.parse().ok()),
            capabilities: status_field("CapEff").and_then(|v| u64::from_str_radix(v, 16).ok()),
            open_files: parse_limit(&limits, "Max open files"),
            locked_memory: parse_limit(&limits, "Max locked memory"),
            cpus_online: line("sys/devices/system/cpu/online")
                .and_then(|list| super::parse_cpu_list(&list)),
            cores_known: are_cores_known(root, cpus),
            governors: governors(root, cpus),
            turbo: turbo(
                line("sys/devices/system/cpu/intel_pstate/no_turbo").as_deref(),
                line("sys/devices/system/cpu/cpufreq/boost").as_deref(),
            ),
            clock_source: line(&clock("current_clocksource")),
            clock_sources: words(&clock("available_clocksource")),
            vulnerabilities: vulnerabilities(&root.join("sys/devices/system/cpu/vulnerabilities")),
            is_virtual: is_virtual(&cpuinfo),
            container: container(root, &text("proc/1/cgroup"), &text("proc/self/cgroup")),
            port_range: parse_port_range(&text("proc/sys/net/ipv4/ip_local_port_range")),
            tw_reuse: number(line("proc/sys/net/ipv4/tcp_tw_reuse")),
            sockets: parse_sockstat(&text("proc/net/sockstat")),
            accept_queue_max: number(line("proc/sys/net/core/somaxconn")),
            syn_queue_max: number(line("proc/sys/net/ipv4/tcp_max_syn_backlog")),
            tcp_congestion: line("proc/sys/net/ipv4/tcp_congestion_control"),
            tcp_congestions: words("proc/sys/net/ipv4/tcp_available_congestion_control"),
            load_average: text("proc/loadavg")
                .split(' ')
                .next()
                .and_then(|first| first.parse().ok()),
            memory: parse_meminfo(&text("proc/meminfo")),
            cgroup: CgroupFacts::read_from(root),
        }
    }

    /// Whether limits on locked memory do not apply to this process; `None` if that is not known.
    pub fn may_lock_any_memory(&self) -> Option<bool> {
        self.capabilities.map(|bits| bits >> CAP_IPC_LOCK & 1 == 1)
    }
}

fn number<T: std::str::FromStr>(line: Option<String>) -> Option<T> {
    line?.parse().ok()
}

/// The value of `Name:<blank>value` among lines.
fn field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// Major and minor number of a kernel release such as `6.1.0-28-amd64`.
pub fn parse_kernel_release(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// One line of `/proc/self/limits`: its name, the soft and the hard limit in columns.
fn parse_limit(text: &str, name: &str) -> ResourceLimit {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    let mut fields = line.split_ascii_whitespace().map(|value| match value {
        "unlimited" => Limit::Unlimited,
        value => value.parse().map_or(Limit::Unknown, Limit::At),
    });
    let (soft, hard) = (fields.next(), fields.next());
    ResourceLimit { soft: soft.unwrap_or_default(), hard: hard.unwrap_or_default() }
}

fn are_cores_known(root: &Path, cpus: &[u32]) -> bool {
    let siblings = "topology/thread_siblings_list";
    cpus.iter().all(|cpu| root.join(format!("sys/devices/system/cpu/cpu{cpu}/{siblings}")).exists())
}

fn governors(root: &Path, cpus: &[u32]) -> Vec<String> {
    let of = |cpu: &u32| {
        line_of(&root.join(format!("sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor")))
    };
    let mut names: Vec<String> = cpus.iter().filter_map(of).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// From `intel_pstate/no_turbo` and `cpufreq/boost`, whichever there is.
fn turbo(no_turbo: Option<&str>, boost: Option<&str>) -> Option<bool> {
    match (no_turbo, boost) {
        (Some("0"), _) | (None, Some("1")) => Some(true),
        (Some("1"), _) | (None, Some("0")) => Some(false),
        _ => None,
    }
}

fn vulnerabilities(folder: &Path) -> Option<Vec<(String, String)>> {
    let mut all: Vec<(String, String)> = fs::read_dir(folder)
        .ok()?
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            Some((name, line_of(&entry.path())?))
        })
        .collect();
    all.sort_unstable();
    Some(all)
}

/// `None` where the CPU lists no features in x86's way.
fn is_virtual(cpuinfo: &str) -> Option<bool> {
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags"))?;
    Some(flags.split_ascii_whitespace().any(|flag| flag == "hypervisor"))
}

fn container(root: &Path, init_group: &str, own_group: &str) -> Option<String> {
    const MARKS: [(&str, &str); 2] = [(".dockerenv", "docker"), ("run/.containerenv", "podman")];
    const NAMES: [&str; 5] = ["kubepods", "docker", "libpod", "lxc", "containerd"];
    let in_path = NAMES.iter().find(|name| init_group.contains(*name) || own_group.contains(*name));
    let mark = MARKS.iter().find(|(file, _)| root.join(file).exists()).map(|(_, name)| name);
    in_path.or(mark).map(|name| (*name).to_owned())
}

fn parse_port_range(text: &str) -> Option<(u16, u16)> {
    let mut ports = text.split_ascii_whitespace().map(str::parse);
    let (first, last) = (ports.next()?.ok()?, ports.next()?.ok()?);
    (first <= last).then_some((first, last))
}

fn parse_sockstat(text: &str) -> Option<SocketCounts> {
    let fields: Vec<&str> = field(text, "TCP")?.split(' ').collect();
    let value = |name: &str| {
        let at = fields.iter().position(|field| *field == name)?;
        fields.get(at + 1)?.parse().ok()
    };
    Some(SocketCounts { in_use: value("inuse")?, time_wait: value("tw")? })
}

fn parse_meminfo(text: &str) -> Option<MemoryFacts> {
    let bytes = |name: &str| {
        let kib: u64 = field(text, name)?.strip_suffix("kB")?.trim_end().parse().ok()?;
        kib.checked_mul(1024)
    };
    let swap = |name| bytes(name).unwrap_or(0);
    Some(MemoryFacts {
        total_bytes: bytes("MemTotal")?,
        available_bytes: bytes("MemAvailable")?,
        swap_used_bytes: swap("SwapTotal").saturating_sub(swap("SwapFree")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_proc_and_sys_has_no_facts_and_no_failure() {
        let facts = FitnessFacts::read_from(Path::new("/nonexistent"), &[0, 1]);
        assert_eq!(facts, FitnessFacts::default());
        assert_eq!(facts.may_lock_any_memory(), None);
    }

    #[test]
    fn facts_are_read_from_the_files_the_kernel_writes() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let cpu = "sys/devices/system/cpu";
        for (path, text) in [
            ("proc/self/status", "Name:\tx\nCapEff:\t0000000000004000\nSeccomp:\t2\n".to_owned()),
            ("proc/loadavg", "1.50 1.00 0.50 2/300 4711\n".to_owned()),
            ("proc/sys/kernel/io_uring_group", "-1\n".to_owned()),
            ("proc/self/cgroup", "0::/kubepods/pod1\n".to_owned()),
            ("sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet\n".into()),
            (
                "sys/devices/system/clocksource/clocksource0/available_clocksource",
                "hpet acpi_pm \n".into(),
            ),
            (&format!("{cpu}/online"), "0-127\n".to_owned()),
            (&format!("{cpu}/cpu0/topology/thread_siblings_list"), "0,64\n".to_owned()),
            (&format!("{cpu}/cpu0/cpufreq/scaling_governor"), "powersave\n".to_owned()),
            (&format!("{cpu}/cpu2/cpufreq/scaling_governor"), "performance\n".to_owned()),
            (&format!("{cpu}/cpu3/cpufreq/scaling_governor"), "performance\n".to_owned()),
            (&format!("{cpu}/cpu9/cpufreq/scaling_governor"), "ondemand\n".to_owned()),
            (&format!("{cpu}/intel_pstate/no_turbo"), "0\n".to_owned()),
            (&format!("{cpu}/vulnerabilities/meltdown"), "Mitigation: PTI\n".to_owned()),
        ] {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let facts = FitnessFacts::read_from(root, &[0, 2, 3, 7]);
        assert_eq!(facts.governors, ["performance", "powersave"]);
        assert!(!facts.cores_known && FitnessFacts::read_from(root, &[0]).cores_known);
        assert_eq!((facts.turbo, facts.load_average), (Some(true), Some(1.5)));
        assert_eq!(facts.cpus_online.map(|cpus| cpus.len()), Some(128));
        assert_eq!((facts.seccomp, facts.uring_group), (Some(2), Some(-1)));
        assert_eq!(facts.capabilities, Some(1 << 14));
        assert_eq!(facts.clock_source.as_deref(), Some("hpet"));
        assert_eq!(facts.clock_sources, ["hpet", "acpi_pm"]);
        assert_eq!(facts.container.as_deref(), Some("kubepods"));
        let expected = Some(vec![("meltdown".to_owned(), "Mitigation: PTI".to_owned())]);
        assert_eq!(facts.vulnerabilities, expected);
    }

    #[test]
    fn kernel_releases_of_all_makers_are_read() {
        for (release, version) in [
            ("6.18.44-fc-v445", Some((6, 18))),
            ("6.1.0-28-amd64", Some((6, 1))),
            ("5.10-generic", Some((5, 10))),
            ("4.18.0-553.el8.x86_64", Some((4, 18))),
            ("6", None),
            ("", None),
            ("linux", None),
        ] {
            assert_eq!(parse_kernel_release(release), version, "{release}");
        }
    }

    #[test]
    fn limits_of_the_process_are_read_with_and_without_bounds() {
        let text = "\
Limit                     Soft Limit           Hard Limit           Units
Max locked memory         65536                unlimited            bytes
Max open files            1024                 524288               files
";
        let files = ResourceLimit { soft: Limit::At(1024), hard: Limit::At(524_288) };
        assert_eq!(parse_limit(text, "Max open files"), files);
        let locked = ResourceLimit { soft: Limit::At(65_536), hard: Limit::Unlimited };
        assert_eq!(parse_limit(text, "Max locked memory"), locked);
        assert_eq!(parse_limit(text, "Max processes"), ResourceLimit::default());
        assert_eq!(parse_limit("Max open files x y", "Max open files"), ResourceLimit::default());
    }

    #[test]
    fn turbo_is_known_from_either_file() {
        assert_eq!(turbo(Some("1"), None), Some(false));
        assert_eq!(turbo(None, Some("1")), Some(true));
        assert_eq!(turbo(Some("0"), Some("0")), Some(true));
        assert_eq!(turbo(None, None), None);
    }

    #[test]
    fn a_hypervisor_shows_in_the_cpus_flags() {
        assert_eq!(is_virtual("processor: 0\nflags\t\t: fpu hypervisor sse\n"), Some(true));
        assert_eq!(is_virtual("flags\t\t: fpu sse\n"), Some(false));
        assert_eq!(is_virtual("Features\t: fp asimd\n"), None);
    }

    #[test]
    fn sockets_ports_and_memory_are_read() {
        let sockstat =
            "sockets: used 673\nTCP: inuse 645 orphan 0 tw 521 alloc 645 mem 13\nUDP: inuse 0\n";
        let counts = SocketCounts { in_use: 645, time_wait: 521 };
        assert_eq!(parse_sockstat(sockstat), Some(counts));
        assert_eq!(parse_sockstat("TCP: inuse x"), None);
        assert_eq!(parse_port_range("32768\t60999\n"), Some((32_768, 60_999)));
        assert_eq!(parse_port_range("60999 32768"), None);
        assert_eq!(parse_port_range("32768"), None);
        let meminfo =
            "MemTotal: 2048 kB\nMemAvailable:  1024 kB\nSwapTotal: 100 kB\nSwapFree: 40 kB\n";
        let memory = MemoryFacts {
            total_bytes: 2 << 20,
            available_bytes: 1 << 20,
            swap_used_bytes: 60 << 10,
        };
        assert_eq!(parse_meminfo(meminfo), Some(memory));
        assert_eq!(parse_meminfo("MemTotal: 2048 kB\n"), None);
    }
}
