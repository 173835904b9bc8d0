//! CPUs, how much of them there is, and their clocks.

use std::collections::BTreeSet;

use crate::sys::{CpuPlace, CpuQuota, Limit};
use crate::units::format_duration_ns;

use super::probe::Machine;
use super::{Check, Fact, Group, Mark, standstill};

/// Price of a clock read: through the kernel's shared page it costs less than the first; by a
/// system call more; above the last the clock is a device that has to be asked.
const CLOCK_READ_NS: [u64; 3] = [150, 250, 1_000];
/// Shares of the CPUs' time that others may take: from here on noted, warned of, bad.
const OTHERS_SHARES: [f64; 3] = [0.03, 0.10, 0.50];
/// The same for time that the hypervisor took.
const STOLEN_SHARES: [f64; 3] = [0.002, 0.02, 0.10];
/// A process that takes less of a CPU is not worth its name.
const PROCESS_CPUS_MIN: f64 = 0.02;

pub(super) fn checks(machine: &Machine) -> [Check; 8] {
    [
        cpus(machine),
        quota(machine),
        frequency(machine),
        clock(machine),
        virtual_machine(machine),
        stolen(machine),
        standstill::check(machine),
        others(machine),
    ]
}

/// Ascending CPU numbers in the kernel's list form: `0-3,5`.
pub(super) fn cpu_list(cpus: &[u32]) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for &cpu in cpus {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == cpu => *last = cpu,
            _ => ranges.push((cpu, cpu)),
        }
    }
    let range = |&(first, last): &(u32, u32)| match last - first {
        0 => first.to_string(),
        _ => format!("{first}-{last}"),
    };
    ranges.iter().map(range).collect::<Vec<_>>().join(",")
}

/// Physical cores among `places`.
fn core_count(places: &[CpuPlace]) -> usize {
    places.iter().map(|place| (place.package, place.core)).collect::<BTreeSet<_>>().len()
}

fn cpus(machine: &Machine) -> Check {
    let allowed: Vec<u32> = machine.allowed.iter().map(|place| place.cpu).collect();
    let is_known = machine.facts.cores_known;
    let cores = core_count(&machine.allowed);
    let siblings = allowed.len() - cores;
    let online = machine.facts.cpus_online.as_ref().map(Vec::len);
    let packages: BTreeSet<u32> = machine.allowed.iter().map(|place| place.package).collect();
    let mut seen = match online {
        Some(online) => format!("{} of {online} online may be used", allowed.len()),
        None => format!("{} may be used", allowed.len()),
    };
    seen += &format!(" ({}), ", cpu_list(&allowed));
    seen += &match is_known {
        true => format!("on {cores} physical core{}", plural(cores)),
        false => "on how many cores cannot be seen here".to_owned(),
    };
    if packages.len() > 1 {
        seen += &format!(" in {} packages", packages.len());
    }
    if siblings > 0 {
        seen += &format!(", {siblings} of them as second threads of a core (SMT)");
    }
    let check = Check::new(
        Group::Cpu,
        "CPUs",
        "each worker wants a CPU of its own, and a target on this machine others; two threads of \
         one core share its units",
    )
    .fact("allowed", cpu_list(&allowed))
    .fact("allowed_count", allowed.len() as u64)
    .fact("online_count", online.map(|count| count as u64))
    .fact("cores", is_known.then_some(cores as u64))
    .fact("smt_siblings", is_known.then_some(siblings as u64))
    .fact("packages", is_known.then_some(packages.len() as u64));
    let is_restricted = online.is_some_and(|online| allowed.len() < online);
    let mark = match allowed.len() {
        1 => Mark::Warning,
        _ if is_restricted || siblings > 0 => Mark::Note,
        _ => Mark::Ok,
    };
    let mut check = check.seen(mark, seen);
    if is_restricted {
        let all = machine.facts.cpus_online.as_deref().map(cpu_list).unwrap_or_default();
        check = check.change(format!(
            "taskset -c {all} wring …, or lift the cpuset of the container or service"
        ));
    } else if allowed.len() == 1 {
        check = check.change("run the target on another machine, or give this one more CPUs");
    }
    if siblings > 0 {
        check = check.change(format!("wring -t {cores} … uses one thread of each core"));
    }
    check
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

fn quota(machine: &Machine) -> Check {
    let cgroup = &machine.facts.cgroup;
    let throttled = cgroup.throttled.filter(|throttled| throttled.throttled_periods > 0);
    let at = |value: &dyn Fn(CpuQuota) -> Fact| match cgroup.cpu {
        Limit::Unknown => Fact::Unknown,
        Limit::Unlimited => Fact::Unlimited,
        Limit::At(quota) => value(quota),
    };
    let period_us = match cgroup.cpu {
        Limit::At(quota) => Some(quota.period_us),
        Limit::Unknown | Limit::Unlimited => None,
    };
    let check = Check::new(
        Group::Cpu,
        "CPU quota",
        "a group that has used its quota up stands still until the next period, usually for tens \
         of milliseconds, and every latency in that time is wrong",
    )
    .fact("cgroup", cgroup.path.clone())
    .fact("cgroup_version", cgroup.version.map(u64::from))
    .fact("quota_cpus", at(&|quota| Fact::Number(quota.cpus())))
    .fact("quota_us", at(&|quota| Fact::Count(quota.quota_us)))
    // Without a quota there are no periods.
    .fact("period_us", period_us)
    .fact("periods", cgroup.throttled.map(|throttled| throttled.periods))
    .fact("throttled_periods", cgroup.throttled.map(|throttled| throttled.throttled_periods))
    .fact("throttled_ns", cgroup.throttled.map(|throttled| throttled.throttled_ns));
    let version =
        cgroup.version.map_or_else(String::new, |version| format!(" (cgroup v{version})"));
    let stood_still = throttled.map_or_else(String::new, |throttled| {
        format!(
            "; so far its threads stood still for {} in {} of {} periods",
            format_duration_ns(throttled.throttled_ns),
            throttled.throttled_periods,
            throttled.periods
        )
    });
    let quota = match cgroup.cpu {
        Limit::Unknown => return check,
        Limit::Unlimited => return check.seen(Mark::Ok, format!("none{version}")),
        Limit::At(quota) => quota,
    };
    let allowed = machine.allowed.len();
    let seen = format!(
        "{:.2} CPUs' worth of time for {allowed} CPU{}{version}, in periods of {}{stood_still}",
        quota.cpus(),
        plural(allowed),
        format_duration_ns(quota.period_us.saturating_mul(1000))
    );
    let mark = match quota.cpus() {
        cpus if cpus < 1.0 => Mark::Bad,
        cpus if cpus < allowed as f64 || throttled.is_some() => Mark::Warning,
        _ => Mark::Ok,
    };
    let check = check.seen(mark, seen);
    if mark == Mark::Ok {
        return check;
    }
    let check = check
        .change(format!("docker update --cpus {allowed} CONTAINER; systemd: CPUQuota="))
        .change(
            "Kubernetes: leave resources.limits.cpu out, or use whole CPUs with a static policy",
        );
    match quota.cpus() as u64 {
        0 => check,
        whole => check.change(format!("or stay below it: wring -t {whole} …")),
    }
}

fn frequency(machine: &Machine) -> Check {
    let (governors, turbo) = (&machine.facts.governors, machine.facts.turbo);
    let check = Check::new(
        Group::Cpu,
        "frequency",
        "a CPU that slows down when idle wakes up slowly, and one with turbo is faster in the \
         first seconds than in the rest",
    )
    .fact("governors", (!governors.is_empty()).then(|| governors.join(",")))
    .fact("turbo", turbo);
    if governors.is_empty() && turbo.is_none() {
        let seen = "cannot be seen here, as in most virtual machines: the host decides";
        return check.seen(Mark::Unknown, seen);
    }
    let is_fast = governors.iter().all(|name| name == "performance");
    let governor = match governors[..] {
        [] => "governor not known".to_owned(),
        _ => format!("governor {}", governors.join(", ")),
    };
    let turbo_is = match turbo {
        Some(true) => ", turbo on",
        Some(false) => ", turbo off",
        None => "",
    };
    let mark = match (is_fast, turbo) {
        (false, _) => Mark::Warning,
        (true, Some(true)) => Mark::Note,
        (true, _) => Mark::Ok,
    };
    let mut check = check.seen(mark, format!("{governor}{turbo_is}"));
    if !is_fast {
        check = check.change("cpupower frequency-set -g performance");
    }
    if turbo == Some(true) {
        check = check.change(
            "for steady clocks: echo 1 > /sys/devices/system/cpu/intel_pstate/no_turbo, or echo 0 \
             > /sys/devices/system/cpu/cpufreq/boost",
        );
    }
    check
}

fn clock(machine: &Machine) -> Check {
    let read_ns = machine.clock_read_ns;
    let source = machine.facts.clock_source.as_deref();
    let price = format!("one read takes {}", format_duration_ns(read_ns));
    let by_price = Mark::of_rising(read_ns, CLOCK_READ_NS);
    let by_source = match source {
        Some("tsc" | "arch_sys_counter" | "kvm-clock") => Mark::Ok,
        Some(name) if name.starts_with("hyperv") || name == "xen" => Mark::Ok,
        Some("hpet" | "acpi_pm" | "jiffies" | "pit" | "refined-jiffies") => Mark::Bad,
        _ => Mark::Unknown,
    };
    let mark = match (by_source, by_price) {
        // The price tells enough of a source that nobody knows.
        (Mark::Unknown, Mark::Ok) => Mark::Note,
        (by_source, by_price) => by_source.max(by_price),
    };
    let check = Check::new(
        Group::Cpu,
        "clock",
        "every turn of a worker reads the clock; a slow one costs CPU time, a coarse one makes \
         short latencies wrong",
    )
    .fact("source", source)
    .fact("read_ns", read_ns)
    .seen(mark, format!("{}, {price}", source.unwrap_or("source not known")));
    if matches!(mark, Mark::Ok | Mark::Note) {
        return check;
    }
    let has_tsc = machine.facts.clock_sources.iter().any(|name| name == "tsc");
    if has_tsc && source != Some("tsc") {
        let file = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
        return check.change(format!("echo tsc > {file}"));
    }
    check.change(
        "look for why in dmesg | grep -i -e tsc -e clocksource; the kernel distrusts the CPU's \
         counter (boot with tsc=reliable only if it is wrong)",
    )
}

fn virtual_machine(machine: &Machine) -> Check {
    let check = Check::new(
        Group::Cpu,
        "virtualisation",
        "a hypervisor takes CPU time and adds to every wake-up: figures hold for this machine \
         alone",
    )
    .fact("virtual", machine.facts.is_virtual)
    .fact("container", machine.facts.container.as_deref());
    let container = match &machine.facts.container {
        Some(kind) => format!(", in a container ({kind})"),
        None => String::new(),
    };
    match machine.facts.is_virtual {
        Some(true) => check.seen(Mark::Note, format!("a virtual machine{container}")),
        Some(false) => check.seen(Mark::Ok, format!("no hypervisor{container}")),
        None => check,
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn stolen(machine: &Machine) -> Check {
    let share = machine.whole.stolen_share;
    let check = Check::new(
        Group::Cpu,
        "stolen time",
        "while the hypervisor runs somebody else, this machine stands still and does not know it",
    )
    .fact("stolen_share", share);
    let Some(share) = share else { return check };
    let mark = Mark::of_rising(share, STOLEN_SHARES);
    let check = check.seen(mark, format!("{} of the CPUs' time just now", percent(share)));
    if mark < Mark::Warning {
        return check;
    }
    check.change("use a machine with CPUs of its own (dedicated, not burstable or overcommitted)")
}

fn others(machine: &Machine) -> Check {
    let (quiet, load) = (&machine.quiet, machine.facts.load_average);
    let busiest = quiet.busiest.as_ref().filter(|process| process.cpus >= PROCESS_CPUS_MIN);
    let check = Check::new(
        Group::Cpu,
        "other load",
        "whatever else runs takes CPU time from wring and from a target on this machine",
    )
    .fact("busy_share", quiet.busy_share)
    .fact("load_average_1m", load)
    .fact("busiest_process", busiest.map(|process| process.name.clone()))
    .fact("busiest_pid", busiest.map(|process| u64::from(process.pid)))
    .fact("busiest_cpus", busiest.map(|process| process.cpus));
    let Some(share) = quiet.busy_share else { return check };
    let mark = Mark::of_rising(share, OTHERS_SHARES);
    let mut seen = format!("{} of the CPUs were busy while wring waited", percent(share));
    if let Some(load) = load {
        seen += &format!(", load average {load:.2}");
    }
    if let Some(process) = busiest {
        let (name, pid) = (&process.name, process.pid);
        seen += &format!("; most by {name} (process {pid}), {:.2} of a CPU", process.cpus);
    }
    let check = check.seen(mark, seen);
    if mark < Mark::Warning {
        return check;
    }
    check.change("stop what else runs here (top shows it), or keep it off: wring --cpus LIST …")
}
