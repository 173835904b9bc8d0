//! Descriptors and memory: how many connections fit.

use crate::limits::CONNECTIONS_MAX;
use crate::run::connections_within;
use crate::sys::Limit;
use crate::units::{format_bytes, format_grouped};

use super::kernel::raise_memlock;
use super::probe::Machine;
use super::{Check, Group, Mark};

/// Connections that fit: below the first many a run does not, below the last not even one with
/// default values.
const CONNECTIONS: [u64; 3] = [10_000, 1_000, 64];
/// What the ring of one worker locks: 512 submissions of 64 bytes, 4096 completions of 16, the ring
/// of receive buffers, in whole pages and rounded up. From 1024 connections of a worker on it grows
/// by 64 bytes each.
const RING_LOCKED_BYTES: u64 = 112 * 1024;
/// Memory to be had, in bytes: little for many connections, little for any run.
const MEMORY_BYTES: [u64; 3] = [1 << 30, 512 << 20, 64 << 20];

pub(super) fn checks(machine: &Machine) -> [Check; 4] {
    [open_files(machine), locked_memory(machine), memory(machine), swap(machine)]
}

fn shown(limit: Limit<u64>, format: fn(u64) -> String) -> String {
    match limit {
        Limit::Unknown => "not known".to_owned(),
        Limit::Unlimited => "no limit".to_owned(),
        Limit::At(value) => format(value),
    }
}

fn open_files(machine: &Machine) -> Check {
    let limit = machine.facts.open_files;
    let connections = match limit.hard {
        Limit::Unknown => None,
        Limit::Unlimited => Some(u64::from(CONNECTIONS_MAX)),
        Limit::At(files) => {
            let workers = machine.allowed.len() as u32;
            Some(connections_within(files, workers).min(u64::from(CONNECTIONS_MAX)))
        }
    };
    let check = Check::new(
        Group::Limits,
        "open files",
        "each connection is a descriptor, and four in wring selftest; wring raises the soft limit \
         to the hard one by itself",
    )
    .fact("soft", limit.soft)
    .fact("hard", limit.hard)
    .fact("connections_max", connections);
    let Some(connections) = connections else { return check };
    let hard = shown(limit.hard, format_grouped);
    let seen = if limit.soft == limit.hard {
        format!("{hard}: up to -c {connections}")
    } else {
        let soft = shown(limit.soft, format_grouped);
        format!("{soft}, raised to {hard} when needed: up to -c {connections}")
    };
    let mark = Mark::of_falling(connections, CONNECTIONS);
    let check = check.seen(mark, seen);
    if mark == Mark::Ok {
        return check;
    }
    check
        .change("as root: prlimit --nofile=65536 --pid $$")
        .change("lasting: '* hard nofile 65536' in /etc/security/limits.conf; LimitNOFILE=65536")
}

fn locked_memory(machine: &Machine) -> Check {
    let limit = machine.facts.locked_memory.soft;
    let workers = machine.allowed.len() as u64;
    let needed_bytes = workers * RING_LOCKED_BYTES;
    let is_free = machine.facts.may_lock_any_memory();
    let check = Check::new(
        Group::Limits,
        "locked memory",
        "the kernel counts the memory of rings against this limit, for all processes of a user \
         together; over it no ring can be made",
    )
    .fact("soft_bytes", limit)
    .fact("hard_bytes", machine.facts.locked_memory.hard)
    .fact("has_cap_ipc_lock", is_free)
    .fact("needed_bytes", needed_bytes);
    let bytes = match (limit, is_free) {
        (_, Some(true)) => {
            return check.seen(Mark::Ok, "any amount: this process has CAP_IPC_LOCK");
        }
        (Limit::Unknown, _) => return check,
        (Limit::Unlimited, _) => return check.seen(Mark::Ok, "no limit"),
        (Limit::At(bytes), _) => bytes,
    };
    let seen = format!(
        "{} and no CAP_IPC_LOCK; {workers} worker{} need about {}",
        format_bytes(bytes),
        if workers == 1 { "" } else { "s" },
        format_bytes(needed_bytes)
    );
    if bytes >= 2 * needed_bytes {
        return check.seen(Mark::Ok, seen);
    }
    // No more than a warning: not every kernel counts rings, and one ring was tried for real.
    let check = check.seen(Mark::Warning, seen);
    raise_memlock().into_iter().fold(check, Check::change)
}

fn memory(machine: &Machine) -> Check {
    let cgroup = &machine.facts.cgroup;
    let check = Check::new(
        Group::Limits,
        "memory",
        "each connection takes memory here and in the kernel; who runs out of it is killed in the \
         middle of a measurement",
    )
    .fact("available_bytes", machine.facts.memory.map(|memory| memory.available_bytes))
    .fact("total_bytes", machine.facts.memory.map(|memory| memory.total_bytes))
    .fact("cgroup_max_bytes", cgroup.memory_max_bytes)
    .fact("cgroup_used_bytes", cgroup.memory_used_bytes);
    let mut most_bytes = None;
    let mut seen = Vec::new();
    if let Some(memory) = machine.facts.memory {
        most_bytes = Some(memory.available_bytes);
        seen.push(format!(
            "{} of {} available",
            format_bytes(memory.available_bytes),
            format_bytes(memory.total_bytes)
        ));
    }
    if let Limit::At(bytes) = cgroup.memory_max_bytes {
        // What the group uses is mostly file cache, which gives way.
        most_bytes = Some(most_bytes.unwrap_or(bytes).min(bytes));
        seen.push(format!("at most {} for this control group", format_bytes(bytes)));
    }
    let Some(most_bytes) = most_bytes else { return check };
    let mark = Mark::of_falling(most_bytes, MEMORY_BYTES);
    let check = check.seen(mark, seen.join(", "));
    if mark == Mark::Ok {
        return check;
    }
    check.change("free memory, or raise the limit: docker run --memory 2g …; systemd: MemoryMax=2G")
}

fn swap(machine: &Machine) -> Check {
    let used_bytes = machine.facts.memory.map(|memory| memory.swap_used_bytes);
    let pages = machine.whole.swapped_pages;
    let check = Check::new(
        Group::Limits,
        "swap",
        "a page that has to be read back from disk stops a worker for milliseconds",
    )
    .fact("used_bytes", used_bytes)
    .fact("swapped_pages", pages);
    match (used_bytes, pages) {
        (None, None) => check,
        (used_bytes, Some(pages @ 1..)) => check
            .seen(
                Mark::Warning,
                format!(
                    "{pages} pages were swapped just now, {} in use",
                    format_bytes(used_bytes.unwrap_or(0))
                ),
            )
            .change("stop what takes the memory, then: swapoff -a"),
        (Some(used_bytes @ 1..), _) => check
            .seen(Mark::Note, format!("{} in use, none moved just now", format_bytes(used_bytes)))
            .change("swapoff -a"),
        _ => check.seen(Mark::Ok, "not in use"),
    }
}
