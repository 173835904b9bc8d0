//! What the control groups of this process allow it: CPU time and memory.
//!
//! A limit of any group above counts as much as the process's own, so all levels up to the mount
//! are read and the tightest one is told. Both versions are known, and a machine that uses both.

use std::fs;
use std::path::{Path, PathBuf};

/// A limit that may be absent, or not be visible.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Limit<T> {
    /// It cannot be read here.
    #[default]
    Unknown,
    /// There is none.
    Unlimited,
    /// This much.
    At(T),
}

/// CPU time that a group may use in each period, in microseconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CpuQuota {
    /// CPU time, over all CPUs together.
    pub quota_us: u64,
    /// Wall time; never 0.
    pub period_us: u64,
}

impl CpuQuota {
    /// How many CPUs' worth of time that is.
    pub fn cpus(self) -> f64 {
        self.quota_us as f64 / self.period_us as f64
    }
}

/// How often a group ran out of its quota since it was made.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Throttled {
    /// Periods in which the group ran at all.
    pub periods: u64,
    /// Those in which it was stopped until the next one.
    pub throttled_periods: u64,
    /// For how long its threads stood still, added up, in nanoseconds.
    pub throttled_ns: u64,
}

/// The limits of this process's groups.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CgroupFacts {
    /// The group whose CPU time counts, as the kernel names it.
    pub path: Option<String>,
    /// The version of that hierarchy: 1 or 2.
    pub version: Option<u8>,
    /// The tightest quota of all levels.
    pub cpu: Limit<CpuQuota>,
    /// The throttling at the level of that quota; without one, at the process's own.
    pub throttled: Option<Throttled>,
    /// The tightest memory limit of all levels, in bytes.
    pub memory_max_bytes: Limit<u64>,
    /// What counts against it, in bytes; without one, the use of the process's own group.
    pub memory_used_bytes: Option<u64>,
}

impl CgroupFacts {
    /// The limits as they are now.
    pub fn read() -> Self {
        Self::read_from(Path::new("/"))
    }

    /// The limits below `root`, which is `/` but in tests.
    pub(super) fn read_from(root: &Path) -> Self {
        let text = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
        let (groups, mounts) = (text("proc/self/cgroup"), text("proc/self/mountinfo"));
        let mut facts = Self::default();
        if let Some(place) = hierarchy(&groups, &mounts, "cpu") {
            facts.version = Some(place.version);
            facts.read_cpu(&place.levels(root), place.version);
            facts.path = Some(place.group);
        }
        if let Some(place) = hierarchy(&groups, &mounts, "memory") {
            facts.read_memory(&place.levels(root), place.version);
        }
        facts
    }

    fn read_cpu(&mut self, levels: &[PathBuf], version: u8) {
        for level in levels {
            let quota = if version == 2 {
                // A group whose CPU time nobody manages has no such file, hence no limit.
                text_of(level, "cpu.max").map_or(Limit::Unlimited, |text| parse_cpu_max(&text))
            } else {
                let [quota, period] = ["cpu.cfs_quota_us", "cpu.cfs_period_us"]
                    .map(|file| text_of(level, file).unwrap_or_default());
                parse_cfs(&quota, &period)
            };
            let tighter = match (quota, self.cpu) {
                (Limit::Unknown, _) => false,
                (Limit::Unlimited, so_far) => so_far == Limit::Unknown,
                (Limit::At(new), Limit::At(so_far)) => new.cpus() < so_far.cpus(),
                (Limit::At(_), _) => true,
            };
            if tighter {
                self.cpu = quota;
                self.throttled = text_of(level, "cpu.stat").and_then(|text| parse_cpu_stat(&text));
            }
        }
    }

    fn read_memory(&mut self, levels: &[PathBuf], version: u8) {
        let (limit_file, used_file) = match version {
            2 => ("memory.max", "memory.current"),
            _ => ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        };
        for level in levels {
            let limit = match (text_of(level, limit_file), version) {
                (Some(text), _) => parse_memory_limit(&text),
                (None, 2) => Limit::Unlimited,
                (None, _) => Limit::Unknown,
            };
            let tighter = match (limit, self.memory_max_bytes) {
                (Limit::Unknown, _) => false,
                (Limit::Unlimited, so_far) => so_far == Limit::Unknown,
                (Limit::At(new), Limit::At(so_far)) => new < so_far,
                (Limit::At(_), _) => true,
            };
            if tighter {
                self.memory_max_bytes = limit;
                self.memory_used_bytes =
                    text_of(level, used_file).and_then(|text| text.trim().parse().ok());
            }
        }
    }
}

fn text_of(level: &Path, file: &str) -> Option<String> {
    fs::read_to_string(level.join(file)).ok()
}

/// Where the group of this process is that has a controller.
#[derive(Debug, Eq, PartialEq)]
struct Hierarchy {
    version: u8,
    mount: String,
    /// The group's path below the mount, without a slash in front.
    below: String,
    /// The group's path as the kernel names it.
    group: String,
}

impl Hierarchy {
    /// The folders from the process's own group up to the mount; none when they are not there.
    fn levels(&self, root: &Path) -> Vec<PathBuf> {
        let mount = root.join(self.mount.trim_start_matches('/'));
        let own = mount.join(&self.below);
        let levels = own.ancestors().take_while(|level| level.starts_with(&mount));
        levels.filter(|level| level.is_dir()).map(Path::to_owned).collect()
    }
}

/// Finds the group with `controller` from `/proc/self/cgroup` and `/proc/self/mountinfo`
/// (cgroups(7), proc(5)). A controller belongs to version 1 if version 1 names it.
fn hierarchy(cgroup: &str, mountinfo: &str, controller: &str) -> Option<Hierarchy> {
    let has = |list: &str| list.split(',').any(|name| name == controller);
    let lines = || cgroup.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    let old = lines().find(|(controllers, _)| has(controllers));
    let new = lines().find(|(controllers, _)| controllers.is_empty());
    let (version, (_, group)) = match (old, new) {
        (Some(old), _) => (1, old),
        (None, Some(new)) => (2, new),
        (None, None) => return None,
    };
    let (mount_root, mount) = mountinfo.lines().find_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        let mut place = place.split(' ').skip(3);
        let mut kind = kind.split(' ');
        let is_it = match (version, kind.next()?) {
            (1, "cgroup") => has(kind.nth(1)?),
            (2, "cgroup2") => true,
            _ => false,
        };
        is_it.then(|| Some((place.next()?, place.next()?))).flatten()
    })?;
    // In a container the mount shows a group from within, not the hierarchy's root; a group outside
    // of what is shown starts with `/..`, and then the mount's own is the nearest there is.
    let below = match mount_root {
        "/" => group,
        shown => group.strip_prefix(shown).unwrap_or(""),
    };
    let below = if below.split('/').any(|part| part == "..") { "" } else { below };
    Some(Hierarchy {
        version,
        mount: mount.to_owned(),
        below: below.trim_matches('/').to_owned(),
        group: group.to_owned(),
    })
}

/// `max 100000` or `10000 100000`: quota and period.
fn parse_cpu_max(text: &str) -> Limit<CpuQuota> {
    let mut fields = text.split_ascii_whitespace();
    let (quota, period) = (fields.next().unwrap_or_default(), fields.next().unwrap_or("100000"));
    if quota == "max" { Limit::Unlimited } else { quota_of(quota, period) }
}

/// Version 1 has the two in files of their own; −1 is no limit.
fn parse_cfs(quota: &str, period: &str) -> Limit<CpuQuota> {
    if quota.trim() == "-1" { Limit::Unlimited } else { quota_of(quota.trim(), period.trim()) }
}

fn quota_of(quota: &str, period: &str) -> Limit<CpuQuota> {
    match (quota.parse(), period.parse()) {
        (Ok(quota_us), Ok(period_us)) if period_us > 0 => {
            Limit::At(CpuQuota { quota_us, period_us })
        }
        _ => Limit::Unknown,
    }
}

/// `None` where periods are not counted, as in a group without a quota.
fn parse_cpu_stat(text: &str) -> Option<Throttled> {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.trim().parse::<u64>().ok())
    };
    // Version 2 counts microseconds, version 1 nanoseconds.
    let throttled_ns = field("throttled_usec")
        .map(|us| us.saturating_mul(1000))
        .or_else(|| field("throttled_time"));
    Some(Throttled {
        periods: field("nr_periods")?,
        throttled_periods: field("nr_throttled")?,
        throttled_ns: throttled_ns.unwrap_or(0),
    })
}

/// Bytes, or `max`; version 1 writes the largest whole number of pages for no limit.
fn parse_memory_limit(text: &str) -> Limit<u64> {
    const NO_LIMIT_MIN: u64 = 1 << 62;
    match text.trim() {
        "max" => Limit::Unlimited,
        text => match text.parse::<u64>() {
            Ok(NO_LIMIT_MIN..) => Limit::Unlimited,
            Ok(bytes) => Limit::At(bytes),
            Err(_) => Limit::Unknown,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V2_MOUNT: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";
    const V1_MOUNTS: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";

    fn quota(quota_us: u64, period_us: u64) -> Limit<CpuQuota> {
        Limit::At(CpuQuota { quota_us, period_us })
    }

    /// The facts of a machine with these files.
    fn facts(files: &[(&str, &str)]) -> CgroupFacts {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        CgroupFacts::read_from(root)
    }

    #[test]
    fn quotas_of_both_versions_are_read() {
        assert_eq!(parse_cpu_max("max 100000\n"), Limit::Unlimited);
        assert_eq!(parse_cpu_max("10000 100000\n"), quota(10_000, 100_000));
        assert_eq!(parse_cpu_max("250000"), quota(250_000, 100_000));
        assert_eq!(parse_cfs("-1\n", "100000\n"), Limit::Unlimited);
        assert_eq!(parse_cfs("50000\n", "100000\n"), quota(50_000, 100_000));
        for broken in ["", "ten 100000", "1 0", "1 x", "-5 100000"] {
            assert_eq!(parse_cpu_max(broken), Limit::Unknown, "{broken}");
        }
        assert_eq!(parse_cfs("", ""), Limit::Unknown);
        assert!((CpuQuota { quota_us: 250_000, period_us: 100_000 }.cpus() - 2.5).abs() < 1e-9);
    }

    #[test]
    fn memory_limits_of_both_versions_are_read() {
        assert_eq!(parse_memory_limit("max\n"), Limit::Unlimited);
        assert_eq!(parse_memory_limit("9223372036854771712\n"), Limit::Unlimited);
        assert_eq!(parse_memory_limit("536870912\n"), Limit::At(512 << 20));
        assert_eq!(parse_memory_limit(""), Limit::Unknown);
    }

    #[test]
    fn throttling_is_told_in_nanoseconds_whatever_the_version_counts() {
        let throttled =
            Some(Throttled { periods: 10, throttled_periods: 4, throttled_ns: 5_000_000 });
        let v2 = "usage_usec 9\nnr_periods 10\nnr_throttled 4\nthrottled_usec 5000\n";
        assert_eq!(parse_cpu_stat(v2), throttled);
        let v1 = "nr_periods 10\nnr_throttled 4\nthrottled_time 5000000\n";
        assert_eq!(parse_cpu_stat(v1), throttled);
        assert_eq!(parse_cpu_stat("usage_usec 9\nuser_usec 1\n"), None);
    }

    #[test]
    fn the_tightest_limit_of_all_levels_counts() {
        let facts = facts(&[
            ("proc/self/cgroup", "0::/kubepods/pod1/app\n"),
            ("proc/self/mountinfo", V2_MOUNT),
            ("sys/fs/cgroup/kubepods/pod1/app/cpu.max", "400000 100000\n"),
            ("sys/fs/cgroup/kubepods/pod1/app/memory.max", "max\n"),
            ("sys/fs/cgroup/kubepods/pod1/cpu.max", "150000 100000\n"),
            (
                "sys/fs/cgroup/kubepods/pod1/cpu.stat",
                "nr_periods 100\nnr_throttled 7\nthrottled_usec 12\n",
            ),
            ("sys/fs/cgroup/kubepods/pod1/memory.max", "1073741824\n"),
            ("sys/fs/cgroup/kubepods/pod1/memory.current", "4096\n"),
            ("sys/fs/cgroup/kubepods/cpu.max", "max 100000\n"),
        ]);
        assert_eq!(facts.cpu, quota(150_000, 100_000));
        assert_eq!(
            facts.throttled.map(|t| (t.throttled_periods, t.throttled_ns)),
            Some((7, 12_000))
        );
        assert_eq!(
            (facts.memory_max_bytes, facts.memory_used_bytes),
            (Limit::At(1 << 30), Some(4096))
        );
        assert_eq!((facts.version, facts.path.as_deref()), (Some(2), Some("/kubepods/pod1/app")));
    }

    #[test]
    fn a_controller_of_version_1_is_found_beside_an_empty_version_2() {
        let facts = facts(&[
            ("proc/self/cgroup", "4:memory:/box\n1:cpu,cpuacct:/\n0::/elsewhere\n"),
            ("proc/self/mountinfo", V1_MOUNTS),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/memory/box/memory.limit_in_bytes", "268435456\n"),
            ("sys/fs/cgroup/memory/box/memory.usage_in_bytes", "1000\n"),
        ]);
        assert_eq!((facts.version, facts.cpu), (Some(1), Limit::Unlimited));
        assert_eq!(
            (facts.memory_max_bytes, facts.memory_used_bytes),
            (Limit::At(256 << 20), Some(1000))
        );
    }

    #[test]
    fn a_container_that_sees_its_own_group_as_the_mount_finds_its_limit() {
        let mount = V2_MOUNT.replace(" / /sys", " /docker/abc /sys");
        let facts = facts(&[
            ("proc/self/cgroup", "0::/docker/abc\n"),
            ("proc/self/mountinfo", &mount),
            ("sys/fs/cgroup/cpu.max", "10000 100000\n"),
        ]);
        assert_eq!(facts.cpu, quota(10_000, 100_000));
        let outside = hierarchy("0::/../other\n", V2_MOUNT, "cpu").unwrap();
        assert_eq!((outside.below.as_str(), outside.version), ("", 2));
    }

    #[test]
    fn without_files_nothing_is_known_and_a_group_without_a_quota_file_has_none() {
        assert_eq!(CgroupFacts::read_from(Path::new("/nonexistent")), CgroupFacts::default());
        let hidden = facts(&[("proc/self/cgroup", "0::/\n")]);
        assert_eq!((hidden.cpu, hidden.version), (Limit::Unknown, None));
        let unmounted = facts(&[("proc/self/cgroup", "0::/\n"), ("proc/self/mountinfo", V2_MOUNT)]);
        assert_eq!(unmounted.cpu, Limit::Unknown);
        let top = facts(&[
            ("proc/self/cgroup", "0::/\n"),
            ("proc/self/mountinfo", V2_MOUNT),
            ("sys/fs/cgroup/cgroup.procs", "1\n"),
        ]);
        assert_eq!((top.cpu, top.memory_max_bytes), (Limit::Unlimited, Limit::Unlimited));
    }
}
