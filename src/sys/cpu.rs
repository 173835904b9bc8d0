//! Which CPUs this process may use, how they lie together, and pinning to one.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// The most CPUs that the kernel interface used here can name.
const CPUS_MAX: u32 = 1024;

/// Where one CPU lies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CpuPlace {
    /// The CPU's number.
    pub cpu: u32,
    /// The socket it is in.
    pub package: u32,
    /// The physical core it belongs to, named by the lowest-numbered CPU of that core.
    pub core: u32,
}

/// The CPUs this process may run on, in ascending order; at least one.
///
/// Read it before any thread is pinned: it is the calling thread's own set.
pub fn allowed_cpus() -> Vec<u32> {
    let mut cpus: Vec<u32> = core_affinity::get_core_ids()
        .unwrap_or_default()
        .into_iter()
        .filter_map(|core| u32::try_from(core.id).ok())
        .collect();
    cpus.sort_unstable();
    if cpus.is_empty() {
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        cpus.extend((0..CPUS_MAX).take(count));
    }
    cpus
}

/// Binds the calling thread to one CPU. False when the kernel refuses, as it does for a CPU that is
/// offline or not allowed.
pub fn pin_current_thread(cpu: u32) -> bool {
    cpu < CPUS_MAX && core_affinity::set_for_current(core_affinity::CoreId { id: cpu as usize })
}

/// Places of `cpus` according to `/sys`. A CPU that `/sys` does not describe counts as a core of
/// its own in package 0.
pub fn read_topology(cpus: &[u32]) -> Vec<CpuPlace> {
    read_topology_from(Path::new("/sys/devices/system/cpu"), cpus)
}

fn read_topology_from(root: &Path, cpus: &[u32]) -> Vec<CpuPlace> {
    let read = |cpu: u32, name: &str| {
        fs::read_to_string(root.join(format!("cpu{cpu}/topology/{name}"))).ok()
    };
    let place = |&cpu: &u32| {
        let package = read(cpu, "physical_package_id").and_then(|text| text.trim().parse().ok());
        let core = read(cpu, "thread_siblings_list")
            .and_then(|text| parse_cpu_list(text.trim()))
            .and_then(|siblings| siblings.into_iter().min());
        CpuPlace { cpu, package: package.unwrap_or(0), core: core.unwrap_or(cpu) }
    };
    cpus.iter().map(place).collect()
}

/// The order in which to hand out CPUs: one of each physical core first, their SMT siblings after,
/// each round package by package so that few workers stay close to one memory.
pub fn spread(places: &[CpuPlace]) -> Vec<u32> {
    let mut by_number = places.to_vec();
    by_number.sort_unstable_by_key(|place| place.cpu);
    by_number.dedup_by_key(|place| place.cpu);
    let mut taken_of_core: HashMap<(u32, u32), u32> = HashMap::new();
    let mut ranked: Vec<(u32, u32, u32)> = by_number
        .into_iter()
        .map(|place| {
            let taken = taken_of_core.entry((place.package, place.core)).or_default();
            *taken += 1;
            (*taken, place.package, place.cpu)
        })
        .collect();
    ranked.sort_unstable();
    ranked.into_iter().map(|(_, _, cpu)| cpu).collect()
}

/// Reads the kernel's list form, `0-3,5`, into ascending numbers without repetition. `None` when it
/// is empty, malformed, or names a CPU beyond 1023.
pub fn parse_cpu_list(text: &str) -> Option<Vec<u32>> {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse().ok()).flatten().filter(|&cpu: &u32| cpu < CPUS_MAX)
    };
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return None;
        }
        cpus.extend(first..=last);
    }
    cpus.sort_unstable();
    cpus.dedup();
    Some(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place((cpu, package, core): (u32, u32, u32)) -> CpuPlace {
        CpuPlace { cpu, package, core }
    }

    fn order(places: &[(u32, u32, u32)]) -> Vec<u32> {
        spread(&places.iter().copied().map(place).collect::<Vec<_>>())
    }

    #[test]
    fn cpu_lists_are_read_in_the_kernels_form() {
        for (text, cpus) in [
            ("0", Some(vec![0])),
            ("0-3,5", Some(vec![0, 1, 2, 3, 5])),
            ("5,0-1,1", Some(vec![0, 1, 5])),
            ("1023", Some(vec![1023])),
            ("", None),
            (",", None),
            ("0,", None),
            ("3-1", None),
            ("-1", None),
            ("0-", None),
            ("a", None),
            ("+1", None),
            ("1024", None),
            ("0-4000000000", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(parse_cpu_list(text), cpus, "{text}");
        }
    }

    #[test]
    fn physical_cores_come_before_smt_siblings() {
        // Siblings numbered far apart, as Intel does.
        let far = [(0, 0, 0), (1, 0, 1), (2, 0, 0), (3, 0, 1)];
        assert_eq!(order(&far), [0, 1, 2, 3]);
        // Siblings numbered next to each other, as virtual machines often do.
        let near = [(0, 0, 0), (1, 0, 0), (2, 0, 2), (3, 0, 2)];
        assert_eq!(order(&near), [0, 2, 1, 3]);
    }

    #[test]
    fn an_allowed_set_with_holes_still_prefers_whole_cores() {
        assert_eq!(order(&[(1, 0, 0), (4, 0, 4), (5, 0, 4), (9, 0, 8)]), [1, 4, 9, 5]);
    }

    #[test]
    fn a_package_is_filled_before_the_next_in_each_round() {
        // Even CPUs in one package, odd in the other; the second half are siblings.
        let places: Vec<_> = (0..8).map(|cpu| (cpu, cpu % 2, cpu % 4)).collect();
        assert_eq!(order(&places), [0, 2, 1, 3, 4, 6, 5, 7]);
    }

    #[test]
    fn equal_core_numbers_in_two_packages_are_two_cores() {
        assert_eq!(order(&[(0, 0, 0), (1, 1, 0)]), [0, 1]);
    }

    #[test]
    fn a_cpu_listed_twice_is_handed_out_once() {
        assert_eq!(order(&[(3, 0, 3), (3, 0, 3), (1, 0, 1)]), [1, 3]);
    }

    #[test]
    fn without_sys_every_cpu_is_its_own_core() {
        let places = read_topology_from(Path::new("/nonexistent"), &[2, 0, 7]);
        assert_eq!(places, [(2, 0, 2), (0, 0, 0), (7, 0, 7)].map(place));
        assert_eq!(spread(&places), [0, 2, 7]);
    }

    #[test]
    fn topology_is_read_from_the_files_the_kernel_writes() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for (cpu, package, siblings) in [(0, "0\n", "0,4\n"), (4, "0\n", "0,4\n"), (5, "-1\n", "?")]
        {
            let folder = root.join(format!("cpu{cpu}/topology"));
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("physical_package_id"), package).unwrap();
            fs::write(folder.join("thread_siblings_list"), siblings).unwrap();
        }
        let places = read_topology_from(root, &[0, 4, 5]);
        assert_eq!(places, [(0, 0, 0), (4, 0, 0), (5, 0, 5)].map(place));
    }

    #[test]
    fn a_thread_can_be_pinned_to_an_allowed_cpu_only() {
        let cpus = allowed_cpus();
        assert!(!cpus.is_empty());
        assert_eq!(spread(&read_topology(&cpus)).len(), cpus.len());
        let last = *cpus.last().unwrap();
        let seen = std::thread::spawn(move || {
            assert!(pin_current_thread(last));
            assert!(!pin_current_thread(CPUS_MAX));
            assert!(!pin_current_thread(1023) || last == 1023 || last > 1000);
            allowed_cpus()
        });
        assert_eq!(seen.join().unwrap(), [last]);
    }
}
