//! TCP on this machine: ports, queues, congestion control.

use crate::units::format_grouped;

use super::probe::Machine;
use super::{Check, Group, Mark};

/// How long a closed connection holds its port on the side that closed first (TCP_TIMEWAIT_LEN; no
/// sysctl changes it), in seconds.
const TIME_WAIT_S: u64 = 60;
/// Local ports; Linux's own range has 28,232.
const PORTS: [u64; 3] = [28_000, 4_000, 64];
/// Share of the ports in TIME_WAIT. They may belong to connections to many addresses: never bad.
const WAITING_SHARES: [f64; 3] = [0.25, 0.75, f64::INFINITY];
/// Queues of a listener: shorter ones overflow when many connections are opened at once. Never bad:
/// the target may be elsewhere.
const QUEUES: [u64; 3] = [1_024, 128, 0];

pub(super) fn checks(machine: &Machine) -> [Check; 4] {
    [ports(machine), time_wait(machine), queues(machine), congestion(machine)]
}

fn port_count(machine: &Machine) -> Option<u64> {
    machine.facts.port_range.map(|(first, last)| u64::from(last - first) + 1)
}

fn ports(machine: &Machine) -> Check {
    let count = port_count(machine);
    let per_s = count.map(|count| count / TIME_WAIT_S);
    let reuse = machine.facts.tw_reuse;
    let check = Check::new(
        Group::Network,
        "local ports",
        "every connection to one address and port has a local port of its own, and keeps it for 60 \
         seconds after this side closed first; wring lets the target close first where it can",
    )
    .fact("first", machine.facts.port_range.map(|(first, _)| u64::from(first)))
    .fact("last", machine.facts.port_range.map(|(_, last)| u64::from(last)))
    .fact("count", count)
    .fact("connections_per_s_closed_here", per_s)
    .fact("tcp_tw_reuse", reuse.map(u64::from));
    let (Some((first, last)), Some(count), Some(per_s)) = (machine.facts.port_range, count, per_s)
    else {
        return check;
    };
    let reused = match reuse {
        Some(1) => "; tcp_tw_reuse is 1: after a second a port may be taken again",
        Some(2) => "; tcp_tw_reuse is 2: over loopback a port may be taken again after a second",
        Some(0) => "; tcp_tw_reuse is 0: no port is taken again before",
        _ => "",
    };
    let seen = format!(
        "{first} to {last}: {} connections to one address at once, and {} new ones a second, \
         sustained, if this side closes them{reused}",
        format_grouped(count),
        format_grouped(per_s)
    );
    let mark = Mark::of_falling(count, PORTS);
    let check = check.seen(mark, seen);
    if mark == Mark::Ok {
        return check;
    }
    check.change("sysctl -w net.ipv4.ip_local_port_range='1024 65535'")
}

fn time_wait(machine: &Machine) -> Check {
    let check = Check::new(
        Group::Network,
        "TIME_WAIT",
        "ports that earlier connections still hold are missing to new ones to the same address; an \
         attempt that finds none fails as `ports`",
    )
    .fact("time_wait", machine.facts.sockets.map(|sockets| sockets.time_wait))
    .fact("tcp_in_use", machine.facts.sockets.map(|sockets| sockets.in_use));
    let Some(sockets) = machine.facts.sockets else { return check };
    let waiting = sockets.time_wait;
    let Some(count) = port_count(machine) else {
        return check.seen(Mark::Ok, format!("{} sockets", format_grouped(waiting)));
    };
    let share = waiting as f64 / count as f64;
    let seen = format!(
        "{} sockets now, {:.0} % of the local ports if all went to one address",
        format_grouped(waiting),
        share * 100.0
    );
    let mark = Mark::of_rising(share, WAITING_SHARES);
    let check = check.seen(mark, seen);
    if mark == Mark::Ok {
        return check;
    }
    let check = check.change("wait a minute, or keep connections alive");
    match machine.facts.tw_reuse {
        Some(1) => check,
        _ => check.change("sysctl -w net.ipv4.tcp_tw_reuse=1"),
    }
}

fn queues(machine: &Machine) -> Check {
    let (accept, syn) = (machine.facts.accept_queue_max, machine.facts.syn_queue_max);
    let check = Check::new(
        Group::Network,
        "listen queues",
        "they bound a target on this machine: a connection that finds the queue full is tried \
         again a second later",
    )
    .fact("somaxconn", accept)
    .fact("tcp_max_syn_backlog", syn);
    let Some(least) = accept.into_iter().chain(syn).min() else { return check };
    let named = |name: &str, value: Option<u64>| {
        value.map(|value| format!("{name} {}", format_grouped(value)))
    };
    let seen: Vec<String> =
        named("somaxconn", accept).into_iter().chain(named("tcp_max_syn_backlog", syn)).collect();
    let mark = Mark::of_falling(least, QUEUES);
    let mut check = check.seen(mark, seen.join(", "));
    if accept.is_some_and(|value| value < QUEUES[0]) {
        check = check.change("sysctl -w net.core.somaxconn=4096");
    }
    if syn.is_some_and(|value| value < QUEUES[0]) {
        check = check.change("sysctl -w net.ipv4.tcp_max_syn_backlog=4096");
    }
    check
}

fn congestion(machine: &Machine) -> Check {
    let others = &machine.facts.tcp_congestions;
    let check = Check::new(
        Group::Network,
        "congestion control",
        "one that paces its sends by timers (bbr) costs CPU time for every send, and holds back \
         what a short path could take at once",
    )
    .fact("used", machine.facts.tcp_congestion.clone())
    .fact("available", others.join(","));
    let Some(name) = &machine.facts.tcp_congestion else { return check };
    if !name.starts_with("bbr") {
        return check.seen(Mark::Ok, name.as_str());
    }
    let check = check.seen(Mark::Note, format!("{name}, which paces its sends"));
    let other = ["reno", "cubic"].into_iter().find(|&name| others.iter().any(|has| has == name));
    match other {
        Some(other) => check
            .change(format!("wring --tcp-congestion {other} … for wring's own side"))
            .change(format!("sysctl -w net.ipv4.tcp_congestion_control={other} for both")),
        None => check,
    }
}
