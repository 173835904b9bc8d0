//! The kernel, and whether it lets this process have a ring.

use crate::sys::{FitnessFacts, Limit, parse_kernel_release};
use crate::units::format_bytes;

use super::probe::{Machine, Refused};
use super::{Check, Group, Mark};

/// The oldest kernel whose io_uring has all that a run needs.
const KERNEL_MIN: (u32, u32) = (6, 1);
/// Features that a run uses where they are, as the ring names them, and the kernel they came with.
const FEATURES: [(&str, (u32, u32)); 3] =
    [("registered_ring_fd", (5, 18)), ("no_sqarray", (6, 6)), ("abs_timer", (6, 12))];
/// Linux's numbers for errors, as a ring's setup meets them (errno(3)).
const EPERM: i32 = 1;
const ENOMEM: i32 = 12;
const EACCES: i32 = 13;
const EINVAL: i32 = 22;
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;
const ENOSYS: i32 = 38;

pub(super) fn checks(machine: &Machine) -> [Check; 3] {
    [ring(machine), kernel(machine), mitigations(machine)]
}

fn ring(machine: &Machine) -> Check {
    let check = Check::new(
        Group::Kernel,
        "io_uring",
        "wring moves its bytes through io_uring; where it is denied it works through epoll, which \
         costs more CPU time for each request",
    );
    match &machine.ring {
        Ok(description) => check
            .seen(Mark::Ok, format!("works: {description}"))
            .fact("usable", true)
            .fact("backend", description.as_str()),
        Err(error) => {
            let denial = denial(*error, &machine.facts);
            let system = std::io::Error::from_raw_os_error(error.errno);
            let seen = format!("cannot be used: {}; {} failed: {system}", denial.seen, error.step);
            let mut check = check
                .seen(Mark::Warning, seen)
                .fact("usable", false)
                .fact("cause", denial.cause)
                .fact("failed_step", error.step)
                .fact("errno", u64::from(error.errno.unsigned_abs()));
            check.change = denial.change;
            check
        }
    }
}

/// Why there is no ring.
struct Denial {
    /// For programs.
    cause: &'static str,
    seen: String,
    change: Vec<String>,
}

fn denial(error: Refused, facts: &FitnessFacts) -> Denial {
    let is_new = kernel_version(facts).is_none_or(|version| version >= KERNEL_MIN);
    let is_filtered = facts.seccomp == Some(2);
    match (error.errno, facts.uring_disabled) {
        (EPERM, Some(2..)) => Denial {
            cause: "disabled",
            seen: "kernel.io_uring_disabled is 2: nobody may use it".to_owned(),
            change: vec!["sysctl -w kernel.io_uring_disabled=0".to_owned()],
        },
        (EPERM, Some(1)) => for_a_group(facts),
        (EPERM | EACCES, _) | (ENOSYS, _) if is_filtered && is_new => seccomp(),
        (EPERM | EACCES, _) => Denial {
            cause: "denied",
            seen: "no sysctl and no seccomp filter forbids it, so a security module (SELinux, \
                   AppArmor) or the sandbox around this process does"
                .to_owned(),
            change: vec!["look for io_uring in the output of dmesg and ausearch -m avc".to_owned()],
        },
        (ENOSYS, _) => Denial {
            cause: "no_io_uring",
            seen: "this kernel has none: too old, or built without CONFIG_IO_URING".to_owned(),
            change: vec!["boot Linux 6.1 or newer".to_owned()],
        },
        (ENOMEM, _) => no_memory(facts),
        (EMFILE | ENFILE, _) => Denial {
            cause: "open_files",
            seen: "the limit on open files is used up".to_owned(),
            change: vec!["ulimit -n 65536".to_owned()],
        },
        (EINVAL, _) if !is_new => Denial {
            cause: "too_old",
            seen: "this kernel's is too old".to_owned(),
            change: vec!["boot Linux 6.1 or newer".to_owned()],
        },
        _ => Denial {
            cause: "other",
            seen: "the kernel refuses for a reason that is not known here".to_owned(),
            change: vec!["boot Linux 6.1 or newer".to_owned()],
        },
    }
}

fn for_a_group(facts: &FitnessFacts) -> Denial {
    let (who, join) = match facts.uring_group {
        Some(group @ 0..) => (
            format!("the group {group} (kernel.io_uring_group)"),
            format!("or run wring in it: sg \"$(getent group {group} | cut -d: -f1)\" wring"),
        ),
        _ => (
            "no group (kernel.io_uring_group is not set)".to_owned(),
            "or let a group: sysctl -w kernel.io_uring_group=\"$(id -g)\"".to_owned(),
        ),
    };
    Denial {
        cause: "disabled_for_this_user",
        seen: format!(
            "kernel.io_uring_disabled is 1: it is for processes with CAP_SYS_ADMIN and for {who}"
        ),
        change: vec!["sysctl -w kernel.io_uring_disabled=0".to_owned(), join],
    }
}

fn seccomp() -> Denial {
    Denial {
        cause: "seccomp",
        seen: "the kernel allows it, and a seccomp filter on this process denies it, as the \
               default profiles of containers do"
            .to_owned(),
        change: vec![
            "docker run --security-opt seccomp=unconfined …".to_owned(),
            "Kubernetes: securityContext: {seccompProfile: {type: Unconfined}}".to_owned(),
            "or a profile that allows io_uring_setup, io_uring_enter, io_uring_register".to_owned(),
        ],
    }
}

fn no_memory(facts: &FitnessFacts) -> Denial {
    let limit = match facts.locked_memory.soft {
        Limit::At(bytes) if facts.may_lock_any_memory() != Some(true) => format_bytes(bytes),
        _ => {
            return Denial {
                cause: "no_memory",
                seen: "the kernel has no memory for it, and the limit on locked memory is not why"
                    .to_owned(),
                change: vec!["raise the memory limit of this container or service".to_owned()],
            };
        }
    };
    Denial {
        cause: "memlock",
        seen: format!(
            "the limit on locked memory is {limit} for all processes of this user together, and \
             this one has no CAP_IPC_LOCK"
        ),
        change: raise_memlock(),
    }
}

/// How to raise the limit on locked memory.
pub(super) fn raise_memlock() -> Vec<String> {
    vec![
        "ulimit -l unlimited (as root: prlimit --memlock=unlimited --pid $$)".to_owned(),
        "systemd: LimitMEMLOCK=infinity; docker run --ulimit memlock=-1 …".to_owned(),
    ]
}

fn kernel_version(facts: &FitnessFacts) -> Option<(u32, u32)> {
    parse_kernel_release(facts.kernel.as_deref()?)
}

fn kernel(machine: &Machine) -> Check {
    let check = Check::new(
        Group::Kernel,
        "kernel",
        "6.1 is the oldest with all that a run needs; 6.6 saves an indirection for each \
         submission, 6.12 lets waits end at an exact time",
    )
    .fact("release", machine.facts.kernel.clone());
    let Some(release) = &machine.facts.kernel else { return check };
    let Some(version) = kernel_version(&machine.facts) else {
        return check.seen(Mark::Unknown, format!("'{release}' tells no version"));
    };
    if version < KERNEL_MIN {
        let seen = format!("{release} is older than 6.1");
        return check.seen(Mark::Warning, seen).change("boot Linux 6.1 or newer");
    }
    let Ok(ring) = &machine.ring else { return check.seen(Mark::Ok, release.as_str()) };
    let has = |name: &str| ring.split([' ', '(', ')']).any(|word| word == name);
    let missing: Vec<_> = FEATURES.iter().filter(|(name, _)| !has(name)).collect();
    let Some((_, newest)) = missing.iter().max_by_key(|(_, since)| since) else {
        return check.seen(Mark::Ok, format!("{release}, with every feature that a run can use"));
    };
    let names: Vec<_> = missing.iter().map(|(name, _)| *name).collect();
    check
        .seen(Mark::Note, format!("{release}, without {}", names.join(", ")))
        .change(format!("boot Linux {}.{} or newer", newest.0, newest.1))
}

/// Workarounds that make every system call or switch dearer, by what the kernel says of them.
const DEAR: [(&str, &str); 4] = [
    ("meltdown", "PTI"),
    ("retbleed", "IBRS"),
    ("retbleed", "untrained return thunk"),
    ("mds", "Clear CPU buffers"),
];

fn mitigations(machine: &Machine) -> Check {
    let check = Check::new(
        Group::Kernel,
        "mitigations",
        "they make system calls dearer, here and on the target: figures of two machines compare \
         only with the same ones",
    );
    let Some(all) = &machine.facts.vulnerabilities else { return check };
    let named = |start: &str| -> Vec<&str> {
        let of = all.iter().filter(|(_, state)| state.starts_with(start));
        of.map(|(name, _)| name.as_str()).collect()
    };
    let (mitigated, open) = (named("Mitigation"), named("Vulnerable"));
    let is_dear = |(name, state): &(String, String)| {
        DEAR.iter().any(|(which, how)| name == which && state.contains(how))
    };
    let dear: Vec<_> = all.iter().filter(|entry| is_dear(entry)).collect();
    let check = check
        .fact("mitigated", mitigated.join(","))
        .fact("vulnerable", open.join(","))
        .fact("dear", dear.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(","));
    let seen = match (mitigated.is_empty(), open.is_empty()) {
        (true, true) => return check.seen(Mark::Ok, "none needed"),
        (true, false) => format!("none, although vulnerable: {}", open.join(", ")),
        (false, true) => mitigated.join(", "),
        (false, false) => format!("{}; left open: {}", mitigated.join(", "), open.join(", ")),
    };
    if dear.is_empty() {
        return check.seen(if open.is_empty() { Mark::Ok } else { Mark::Note }, seen);
    }
    let costs: Vec<String> = dear.iter().map(|(name, state)| format!("{name}: {state}")).collect();
    check.seen(Mark::Note, format!("{seen}; dear ones: {}", costs.join("; ")))
}
