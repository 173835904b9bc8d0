//! Machines that nobody here owns, judged.

use super::probe::{Machine, Refused};
use super::speed::{Load, Speed, WakeUp};
use super::standstill::Standstill;
use super::*;
use crate::sys::{
    Activity, BusyProcess, CgroupFacts, CpuPlace, CpuQuota, FitnessFacts, Limit, MemoryFacts,
    ResourceLimit, SocketCounts, Throttled,
};

const RING: &str = "uring (single_issuer defer_taskrun no_sqarray abs_timer registered_ring_fd)";

fn places(cpus: impl IntoIterator<Item = (u32, u32, u32)>) -> Vec<CpuPlace> {
    cpus.into_iter().map(|(cpu, package, core)| CpuPlace { cpu, package, core }).collect()
}

/// A quiet server of four cores with nothing to complain of.
fn good() -> Machine {
    let limit = |value| ResourceLimit { soft: Limit::At(1024), hard: Limit::At(value) };
    let cgroup = CgroupFacts {
        path: Some("/user.slice".to_owned()),
        version: Some(2),
        cpu: Limit::Unlimited,
        throttled: None,
        memory_max_bytes: Limit::Unlimited,
        memory_used_bytes: Some(1 << 20),
    };
    let facts = FitnessFacts {
        kernel: Some("6.12.1".to_owned()),
        uring_disabled: Some(0),
        uring_group: Some(-1),
        seccomp: Some(0),
        capabilities: Some(0),
        open_files: limit(524_288),
        locked_memory: ResourceLimit { soft: Limit::At(8 << 20), hard: Limit::At(8 << 20) },
        cpus_online: Some((0..4).collect()),
        cores_known: true,
        governors: vec!["performance".to_owned()],
        turbo: Some(false),
        clock_source: Some("tsc".to_owned()),
        clock_sources: vec!["tsc".to_owned(), "hpet".to_owned()],
        vulnerabilities: Some(vec![("mds".to_owned(), "Not affected".to_owned())]),
        is_virtual: Some(false),
        container: None,
        port_range: Some((32_768, 60_999)),
        tw_reuse: Some(2),
        sockets: Some(SocketCounts { in_use: 10, time_wait: 5 }),
        accept_queue_max: Some(4096),
        syn_queue_max: Some(4096),
        tcp_congestion: Some("cubic".to_owned()),
        tcp_congestions: vec!["reno".to_owned(), "cubic".to_owned()],
        load_average: Some(0.1),
        memory: Some(MemoryFacts {
            total_bytes: 16 << 30,
            available_bytes: 12 << 30,
            swap_used_bytes: 0,
        }),
        cgroup,
    };
    let quiet = Activity {
        busy_share: Some(0.01),
        stolen_share: Some(0.0),
        swapped_pages: Some(0),
        busiest: None,
    };
    let load = Load {
        requests_per_s: 150_000.0,
        worker_cpu: 0,
        target_cpu: 1,
        worker_busy_share: 0.8,
        target_busy_share: Some(0.99),
        worker_starved_share: 0.0,
        is_invalid: false,
    };
    let standstill =
        Standstill { cpu: 1, cpus: 4, share: 0.0004, longest_ns: 80_000, late_p999_ns: 12_000 };
    let wake_up = WakeUp { p50_ns: 12_000, p99_ns: Some(60_000), max_ns: 300_000 };
    Machine {
        facts,
        allowed: places([(0, 0, 0), (1, 0, 1), (2, 0, 2), (3, 0, 3)]),
        ring: Ok(RING.to_owned()),
        clock_read_ns: 25,
        quiet: quiet.clone(),
        whole: quiet,
        speed: Speed::Measured { load: Ok(load), wake_up: Ok(wake_up) },
        standstill: Some(standstill),
    }
}

fn of(machine: &Machine, name: &str) -> Check {
    let found = checks(machine).into_iter().find(|check| check.name == name);
    found.unwrap_or_else(|| panic!("no check is called {name}"))
}

/// The check called `name` must have `mark`, and its words and advice hold all of `words`.
#[track_caller]
fn check(machine: &Machine, name: &str, mark: Mark, words: &[&str]) {
    let check = of(machine, name);
    assert_eq!(check.mark, mark, "{check:?}");
    let said = format!("{} | {}", check.seen, check.change.join(" | "));
    for word in words {
        assert!(said.contains(word), "no '{word}' in: {said}");
    }
}

fn refused(errno: i32, change: impl FnOnce(&mut Machine)) -> Machine {
    let mut machine = good();
    machine.ring = Err(Refused { step: "io_uring_setup", errno });
    change(&mut machine);
    machine
}

#[test]
fn a_good_machine_has_nothing_to_change_and_every_check_its_own_name() {
    let checks = checks(&good());
    for check in &checks {
        assert_eq!(check.mark, Mark::Ok, "{check:?}");
        assert!(check.change.is_empty(), "{check:?}");
        assert!(!check.why.is_empty() && !check.facts.is_empty(), "{check:?}");
    }
    let mut names: Vec<_> = checks.iter().map(|check| check.name).collect();
    assert!(checks.is_sorted_by_key(|check| check.group));
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), checks.len());
    assert_eq!(Examination { checks, took_ns: 1 }.worst(), Mark::Ok);
}

#[test]
fn a_machine_that_shows_nothing_is_unknown_and_not_bad() {
    let machine = Machine {
        facts: FitnessFacts::default(),
        quiet: Activity::default(),
        whole: Activity::default(),
        speed: Speed::NotMeasured("left out".to_owned()),
        standstill: None,
        ..good()
    };
    let of_facts = |check: &Check| !matches!(check.name, "io_uring" | "CPUs" | "clock");
    for check in checks(&machine).iter().filter(|check| of_facts(check)) {
        assert_eq!(check.mark, Mark::Unknown, "{check:?}");
    }
    check(&machine, "CPUs", Mark::Ok, &["4 may be used"]);
    check(&machine, "clock", Mark::Note, &["source not known", "25 ns"]);
}

#[test]
fn a_denied_ring_is_told_by_its_cause() {
    let cause = |machine: &Machine| {
        let check = of(machine, "io_uring");
        assert_eq!(check.mark, Mark::Warning);
        assert!(!check.change.is_empty(), "{check:?}");
        let found = check.facts.into_iter().find(|(name, _)| *name == "cause");
        match found.map(|(_, fact)| fact) {
            Some(Fact::Text(cause)) => cause,
            other => panic!("{other:?}"),
        }
    };
    let disabled = |level| {
        refused(libc::EPERM, |machine| {
            machine.facts.uring_disabled = Some(level);
        })
    };
    assert_eq!(cause(&disabled(2)), "disabled");
    check(&disabled(2), "io_uring", Mark::Warning, &["sysctl -w kernel.io_uring_disabled=0"]);
    assert_eq!(cause(&disabled(1)), "disabled_for_this_user");
    check(
        &disabled(1),
        "io_uring",
        Mark::Warning,
        &["CAP_SYS_ADMIN", "io_uring_group=\"$(id -g)\""],
    );
    let mut with_group = disabled(1);
    with_group.facts.uring_group = Some(990);
    check(&with_group, "io_uring", Mark::Warning, &["the group 990", "sg "]);

    let filter = |machine: &mut Machine| machine.facts.seccomp = Some(2);
    assert_eq!(cause(&refused(libc::EPERM, filter)), "seccomp");
    assert_eq!(cause(&refused(libc::ENOSYS, filter)), "seccomp");
    check(&refused(libc::EPERM, filter), "io_uring", Mark::Warning, &["seccomp=unconfined"]);
    assert_eq!(cause(&refused(libc::EPERM, |_| {})), "denied");

    let old = |machine: &mut Machine| machine.facts.kernel = Some("4.18.0-553.el8".to_owned());
    assert_eq!(cause(&refused(libc::ENOSYS, old)), "no_io_uring");
    assert_eq!(cause(&refused(libc::EINVAL, old)), "too_old");
    assert_eq!(cause(&refused(libc::EINVAL, |_| {})), "other");
    let both = |machine: &mut Machine| {
        old(machine);
        filter(machine);
    };
    assert_eq!(cause(&refused(libc::ENOSYS, both)), "no_io_uring");

    let no_lock = |machine: &mut Machine| machine.facts.locked_memory.soft = Limit::At(64 << 10);
    assert_eq!(cause(&refused(libc::ENOMEM, no_lock)), "memlock");
    check(&refused(libc::ENOMEM, no_lock), "io_uring", Mark::Warning, &["64.0 KiB", "ulimit -l"]);
    let capable = |machine: &mut Machine| machine.facts.capabilities = Some(1 << 14);
    assert_eq!(cause(&refused(libc::ENOMEM, capable)), "no_memory");
    assert_eq!(cause(&refused(libc::EMFILE, |_| {})), "open_files");
    assert_eq!(cause(&refused(libc::EIO, |_| {})), "other");
}

#[test]
fn an_old_kernel_is_bad_and_one_without_some_features_a_note() {
    let mut machine = good();
    machine.facts.kernel = Some("5.15.0-generic".to_owned());
    check(&machine, "kernel", Mark::Warning, &["older than 6.1"]);
    machine.facts.kernel = Some("6.1.0-28-amd64".to_owned());
    machine.ring = Ok("uring (single_issuer registered_ring_fd)".to_owned());
    check(&machine, "kernel", Mark::Note, &["no_sqarray, abs_timer", "Linux 6.12"]);
    machine.facts.kernel = Some("weird".to_owned());
    check(&machine, "kernel", Mark::Unknown, &["'weird'"]);
}

#[test]
fn the_features_looked_for_are_those_that_a_ring_names() {
    let clock = crate::sys::Clock::start();
    let setup = crate::io::Setup {
        slots: 1,
        arena: std::sync::Arc::from([]),
        addresses: Vec::new(),
        sources: Vec::new(),
        tcp_congestion: None,
        recv_buffer_bytes: 64,
        recv_buffers: 1,
        send_buffers: 0,
        send_buffer_bytes: 0,
        spin: crate::io::Spin::NEVER,
        keeps_deadline: false,
    };
    let masked = |masked| {
        let ring = crate::uring::Uring::with_masked(setup.clone(), clock, masked).unwrap();
        let mut machine = good();
        machine.ring = Ok(crate::io::Backend::description(&ring));
        of(&machine, "kernel").seen
    };
    let none = crate::uring::Masked {
        abs_timer: true,
        no_sqarray: true,
        ring_fd: true,
        ..Default::default()
    };
    let seen = masked(none);
    for name in ["abs_timer", "no_sqarray", "registered_ring_fd"] {
        assert!(seen.contains(name), "{seen}");
    }
    let seen = masked(crate::uring::Masked { ring_fd: true, ..Default::default() });
    assert!(seen.contains("registered_ring_fd"), "{seen}");
}

#[test]
fn dear_workarounds_are_told_apart() {
    let mut machine = good();
    let state = |name: &str, state: &str| (name.to_owned(), state.to_owned());
    machine.facts.vulnerabilities = Some(vec![
        state("meltdown", "Mitigation: PTI"),
        state("spectre_v1", "Mitigation: barriers"),
        state("tsa", "Vulnerable: no microcode"),
    ]);
    check(&machine, "mitigations", Mark::Note, &["meltdown: Mitigation: PTI", "left open: tsa"]);
    machine.facts.vulnerabilities = Some(vec![state("spectre_v1", "Mitigation: barriers")]);
    check(&machine, "mitigations", Mark::Ok, &["spectre_v1"]);
    machine.facts.vulnerabilities = Some(vec![state("spectre_v1", "Vulnerable")]);
    check(&machine, "mitigations", Mark::Note, &["none, although vulnerable"]);
}

#[test]
fn cpus_are_counted_with_cores_siblings_packages_and_holes() {
    let mut machine = good();
    // 128 CPUs: 64 cores in two packages, the second threads numbered after the first ones.
    machine.allowed = places((0..128).map(|cpu| (cpu, cpu % 64 / 32, cpu % 64)));
    machine.facts.cpus_online = Some((0..128).collect());
    let words = ["128 of 128 online", "(0-127)", "64 physical cores in 2 packages", "64 of them"];
    check(&machine, "CPUs", Mark::Note, &words);
    check(&machine, "CPUs", Mark::Note, &["wring -t 64"]);
    // SMT off, half of them left by a taskset with holes.
    machine.allowed = places([(0, 0, 0), (2, 0, 2), (3, 0, 3), (9, 1, 9)]);
    machine.facts.cpus_online = Some((0..64).collect());
    let words = ["4 of 64 online", "(0,2-3,9)", "4 physical cores", "taskset -c 0-63 wring"];
    check(&machine, "CPUs", Mark::Note, &words);
    assert!(!of(&machine, "CPUs").seen.contains("SMT"));
    machine.allowed = places([(5, 0, 5)]);
    check(&machine, "CPUs", Mark::Warning, &["1 of 64 online", "(5)", "taskset"]);
    machine.facts.cpus_online = Some(vec![5]);
    check(&machine, "CPUs", Mark::Warning, &["another machine"]);
    // Without /sys every CPU stands for a core.
    machine.allowed = places((0..4).map(|cpu| (cpu, 0, cpu)));
    (machine.facts.cpus_online, machine.facts.cores_known) = (None, false);
    let words = ["4 may be used (0-3), on how many cores cannot be seen"];
    check(&machine, "CPUs", Mark::Ok, &words);
    assert!(!of(&machine, "CPUs").seen.contains("physical"));
}

#[test]
fn a_quota_is_judged_against_the_cpus_it_is_for() {
    let mut machine = good();
    let mut with = |quota_us, throttled| {
        machine.facts.cgroup.cpu = Limit::At(CpuQuota { quota_us, period_us: 100_000 });
        machine.facts.cgroup.throttled = throttled;
        machine.clone()
    };
    check(&with(10_000, None), "CPU quota", Mark::Bad, &["0.10 CPUs", "100 ms", "docker update"]);
    check(&with(250_000, None), "CPU quota", Mark::Warning, &["2.50 CPUs", "wring -t 2"]);
    check(&with(400_000, None), "CPU quota", Mark::Ok, &["4.00 CPUs"]);
    let throttled = Throttled { periods: 900, throttled_periods: 31, throttled_ns: 1_500_000_000 };
    let words = ["stood still for 1.50 s in 31 of 900 periods"];
    check(&with(400_000, Some(throttled)), "CPU quota", Mark::Warning, &words);
    machine.facts.cgroup.cpu = Limit::Unknown;
    check(&machine, "CPU quota", Mark::Unknown, &["cannot be seen"]);
}

#[test]
fn clocks_are_judged_by_their_source_and_by_their_price() {
    let mut machine = good();
    let mut with = |source: &str, read_ns| {
        machine.facts.clock_source = Some(source.to_owned());
        machine.clock_read_ns = read_ns;
        machine.clone()
    };
    for source in ["tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter"] {
        check(&with(source, 30), "clock", Mark::Ok, &[source]);
    }
    check(&with("hpet", 1_200), "clock", Mark::Bad, &["hpet", "1.20 µs", "echo tsc >"]);
    check(&with("acpi_pm", 30), "clock", Mark::Bad, &["acpi_pm"]);
    check(&with("xen", 400), "clock", Mark::Warning, &["400 ns", "echo tsc >"]);
    check(&with("tsc", 5_000), "clock", Mark::Bad, &["dmesg"]);
    check(&with("new_thing", 30), "clock", Mark::Note, &["new_thing"]);
}

#[test]
fn a_governor_that_saves_power_is_warned_of_and_turbo_noted() {
    let mut machine = good();
    machine.facts.governors = vec!["performance".to_owned(), "powersave".to_owned()];
    check(&machine, "frequency", Mark::Warning, &["powersave", "cpupower frequency-set"]);
    machine.facts.governors = vec!["performance".to_owned()];
    machine.facts.turbo = Some(true);
    check(&machine, "frequency", Mark::Note, &["turbo on", "no_turbo"]);
    machine.facts.governors.clear();
    machine.facts.turbo = None;
    check(&machine, "frequency", Mark::Unknown, &["host decides"]);
}

#[test]
fn time_taken_by_others_is_measured_and_its_taker_named() {
    let mut machine = good();
    machine.quiet.busy_share = Some(0.26);
    let busiest = BusyProcess { pid: 412, name: "rustc".to_owned(), cpus: 0.98 };
    machine.quiet.busiest = Some(busiest);
    let words = ["26.0 %", "load average 0.10", "rustc (process 412), 0.98 of a CPU"];
    check(&machine, "other load", Mark::Warning, &words);
    machine.quiet.busy_share = Some(0.9);
    check(&machine, "other load", Mark::Bad, &["90.0 %"]);
    machine.whole.stolen_share = Some(0.03);
    check(&machine, "stolen time", Mark::Warning, &["3.0 %"]);
    machine.whole.stolen_share = Some(0.2);
    check(&machine, "stolen time", Mark::Bad, &["20.0 %"]);
    machine.facts.is_virtual = Some(true);
    machine.facts.container = Some("kubepods".to_owned());
    check(&machine, "virtualisation", Mark::Note, &["virtual machine", "kubepods"]);
}

#[test]
fn a_cpu_that_stands_still_is_warned_of_by_what_it_does_to_a_schedule() {
    let mut machine = good();
    check(&machine, "standstills", Mark::Ok, &["CPU 1", "0.04 %", "80.0 µs", "12.0 µs at p99.9"]);
    let mut seen = machine.standstill.unwrap();
    (seen.share, seen.longest_ns, seen.late_p999_ns) = (0.012, 4_100_000, 2_300_000);
    machine.standstill = Some(seen);
    check(&machine, "standstills", Mark::Warning, &["1.20 %", "4.10 ms", "2.30 ms at p99.9"]);
    machine.standstill = None;
    check(&machine, "standstills", Mark::Unknown, &["not looked for"]);
}

#[test]
fn descriptors_say_how_many_connections_they_allow() {
    let mut machine = good();
    let mut with = |hard| {
        machine.facts.open_files.hard = hard;
        machine.clone()
    };
    check(&with(Limit::At(65_536)), "open files", Mark::Ok, &["-c 65455", "1,024", "65,536"]);
    check(&with(Limit::Unlimited), "open files", Mark::Ok, &["no limit", "-c 1000000"]);
    check(&with(Limit::At(4_096)), "open files", Mark::Note, &["-c 4015", "prlimit --nofile"]);
    check(&with(Limit::At(1_024)), "open files", Mark::Warning, &["1,024: up to -c 943"]);
    check(&with(Limit::At(145)), "open files", Mark::Warning, &["-c 64"]);
    check(&with(Limit::At(144)), "open files", Mark::Bad, &["-c 63"]);
    check(&with(Limit::At(100)), "open files", Mark::Bad, &["-c 41"]);
    check(&with(Limit::At(3)), "open files", Mark::Bad, &["-c 0"]);
}

#[test]
fn locked_memory_is_judged_by_what_the_workers_need_and_may() {
    let mut machine = good();
    machine.facts.locked_memory.soft = Limit::At(64 << 10);
    check(&machine, "locked memory", Mark::Warning, &["64.0 KiB", "4 workers", "ulimit -l"]);
    machine.facts.capabilities = Some(1 << 14);
    check(&machine, "locked memory", Mark::Ok, &["CAP_IPC_LOCK"]);
    machine.facts.capabilities = None;
    machine.facts.locked_memory.soft = Limit::Unlimited;
    check(&machine, "locked memory", Mark::Ok, &["no limit"]);
}

#[test]
fn memory_counts_the_control_groups_limit_and_swapping_is_seen() {
    let mut machine = good();
    machine.facts.cgroup.memory_max_bytes = Limit::At(256 << 20);
    check(&machine, "memory", Mark::Warning, &["256 MiB for this control group", "12.0 GiB"]);
    machine.facts.cgroup.memory_max_bytes = Limit::At(32 << 20);
    check(&machine, "memory", Mark::Bad, &["32.0 MiB"]);
    machine.facts.memory = Some(MemoryFacts { swap_used_bytes: 1 << 20, ..Default::default() });
    check(&machine, "swap", Mark::Note, &["1.00 MiB in use", "swapoff"]);
    machine.whole.swapped_pages = Some(7);
    check(&machine, "swap", Mark::Warning, &["7 pages"]);
}

#[test]
fn ports_and_queues_say_what_they_allow() {
    let mut machine = good();
    check(&machine, "local ports", Mark::Ok, &["28,232 connections", "470 new", "over loopback"]);
    machine.facts.port_range = Some((40_000, 41_199));
    check(&machine, "local ports", Mark::Warning, &["1,200", "20 new", "ip_local_port_range"]);
    machine.facts.sockets = Some(SocketCounts { in_use: 0, time_wait: 1_080 });
    check(&machine, "TIME_WAIT", Mark::Warning, &["1,080", "90 %", "tcp_tw_reuse=1"]);
    assert!(of(&machine, "TIME_WAIT").why.contains("fails as `ports`"), "as a run counts it");
    machine.facts.tw_reuse = Some(1);
    assert!(!of(&machine, "TIME_WAIT").change.join(" ").contains("tcp_tw_reuse"));
    machine.facts.accept_queue_max = Some(128);
    check(&machine, "listen queues", Mark::Note, &["somaxconn 128", "somaxconn=4096"]);
    machine.facts.syn_queue_max = Some(64);
    check(&machine, "listen queues", Mark::Warning, &["tcp_max_syn_backlog=4096"]);
    machine.facts.tcp_congestion = Some("bbr".to_owned());
    check(&machine, "congestion control", Mark::Note, &["bbr", "--tcp-congestion reno"]);
}

#[test]
fn what_the_machine_did_is_judged_by_what_kept_it_from_more() {
    let with = |change: &dyn Fn(&mut Load)| {
        let mut machine = good();
        if let Speed::Measured { load: Ok(load), .. } = &mut machine.speed {
            change(load);
        }
        machine
    };
    check(&with(&|_| {}), "loopback", Mark::Ok, &["150k requests/s", "limited by the target"]);
    let starved = with(&|load| load.worker_starved_share = 0.3);
    check(&starved, "loopback", Mark::Warning, &["waited for its CPU for 30 %"]);
    let shared = with(&|load| {
        load.target_cpu = load.worker_cpu;
        load.worker_starved_share = 0.5;
    });
    check(&shared, "loopback", Mark::Note, &["share the one CPU"]);
    let unseen = with(&|load| load.target_busy_share = None);
    check(
        &unseen,
        "loopback",
        Mark::Ok,
        &["limited by the target or the kernel", "cannot be seen"],
    );
    let unseen = with(&|load| (load.worker_busy_share, load.target_busy_share) = (0.97, None));
    check(&unseen, "loopback", Mark::Ok, &["limited by wring; how busy the target was cannot"]);
    check(&with(&|load| load.is_invalid = true), "loopback", Mark::Warning, &["invalid"]);
    let mut machine = good();
    let mut wakes = |p99_ns| {
        let wake_up = WakeUp { p50_ns: 9_000, p99_ns, max_ns: 99_000_000 };
        let load = Err("no connection".to_owned());
        machine.speed = Speed::Measured { load, wake_up: Ok(wake_up) };
        machine.clone()
    };
    check(&wakes(None), "wake-up", Mark::Bad, &["p99 not known", "99.0 ms at most"]);
    check(&wakes(Some(300_000)), "wake-up", Mark::Note, &["300 µs at p99"]);
    check(&wakes(Some(2_000_000)), "wake-up", Mark::Warning, &["2.00 ms at p99"]);
    check(&wakes(Some(20_000_000)), "wake-up", Mark::Bad, &["20.0 ms at p99"]);
    check(&wakes(None), "loopback", Mark::Warning, &["no connection"]);
}

#[test]
fn this_machine_is_examined_in_time_without_load() {
    let examination = examine(false, &Signals::default());
    assert_eq!(examination.checks.len(), checks(&good()).len());
    let loopback = examination.checks.iter().find(|check| check.name == "loopback").unwrap();
    assert!(loopback.seen.contains("--quick"), "{loopback:?}");
    assert!(examination.took_ns < 5_000_000_000, "{}", examination.took_ns);
}
