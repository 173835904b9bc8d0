//! Servers that wring starts itself, again and again.
//!
//! The idea: two starts of one build differ by themselves (where memory lies, which thread got which
//! connection), so the process is the unit: both sides are started, measured in pairs of blocks,
//! stopped, and started again.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::Duration;

use super::super::args::compare::CompareArgs;
use super::super::error::CliError;
use super::super::redact;
use super::super::selftest::{Division, divide};
use super::live::Contest;
use super::stored::name;
use crate::compare::{Comparison, Layout, Race};
use crate::plan::{Plan, ServerOf};
use crate::report::escape;
use crate::sys::{self, Child, Clock, STOP_PATIENCE, Signals};
use crate::units::format_duration_ns;

/// How long a server may take from its start to its first answer, and …
const START_PATIENCE_NS: u64 = 10_000_000_000;
/// … how long it may take for that, and to end, when the time of the comparison is up.
const GRACE_NS: u64 = 1_000_000_000;
const START_LOOK: Duration = Duration::from_millis(10);
/// The part of a process's time that warming up may take.
const WARM_UP_PART: u64 = 4;
/// What is shown of a server's output.
const OUTPUT_LINES_MAX: usize = 20;
const LINE_CHARS_MAX: usize = 200;

/// Compares two commands, whose servers are asked for `path`.
pub(super) fn compare(
    args: &CompareArgs,
    argv: &[String],
    commands: &[String; 2],
    path: &str,
) -> Result<Comparison, CliError> {
    let spread = sys::spread(&sys::read_topology(&sys::allowed_cpus()));
    let asked = args.run.cpus.as_deref().and_then(sys::parse_cpu_list);
    let division = divide(&spread, asked.as_deref());
    let processes = u64::from(args.restarts) + 1;
    let layout = if processes > 1 { Layout::Processes } else { Layout::Pairs };
    let mut contest = Contest::new(args, layout, true);
    contest.announce();
    let mut race = Race::new(contest.rules(processes), args.run.seed);
    let mut count = 0;
    // Those asked for must be among those allowed.
    let allowed = if asked.is_some() { &spread } else { &division.client };
    for process in 0..processes {
        let slot_ns = contest.left_ns() / (processes - process);
        let Some(mut servers) =
            start_both(&mut contest, args, argv, commands, path, (allowed, &division.target))?
        else {
            break;
        };
        let measured = measure(&mut contest, &servers, slot_ns, layout);
        explain(measured, &mut servers)?;
        drop(servers);
        count += 1;
        if contest.is_stopped() {
            break;
        }
        // Servers that are slow to start or to stop may leave no time for another start.
        let is_late = contest.left_ns() < contest.passed_ns() / count / 2;
        let is_last = process + 1 == processes || is_late;
        if layout == Layout::Processes {
            contest.look(&mut race, is_last);
        }
        if contest.is_decided() || is_last {
            break;
        }
        contest.next_process();
    }
    tell(&mut contest, &division, args.restarts);
    let list = |cpus: &[u32]| cpus.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    let setup = vec![format!(
        "each side started {count} times, on CPUs {}; wring on {}",
        list(&division.target),
        list(&division.client)
    )];
    contest.finish(commands.each_ref().map(|command| redact::command(command)), setup)
}

fn tell(contest: &mut Contest, division: &Division, restarts: u32) {
    if division.shared {
        contest.notes.push(
            "wring and the servers share all CPUs: each slows the other down; --cpus leaves some to \
             the servers"
                .to_owned(),
        );
    }
    match restarts {
        0 => contest.notes.push(
            "each server was started once: how much one start differs from the next is not in the \
             intervals; --restarts 5 measures it"
                .to_owned(),
        ),
        1..3 => contest.notes.push(format!(
            "{} starts of a side say little about how starts differ, so the intervals are wide; \
             give --restarts 5 or more",
            restarts + 1
        )),
        _ => {}
    }
}

/// A server that was started.
struct Server {
    child: Child,
    port: u16,
    plan: Plan,
}

/// Those of both sides. Dropped, it has stopped both of them together: at once when a second signal
/// asks for that, and in what is left of the time and a little more.
struct Servers {
    list: Vec<Server>,
    signals: Signals,
    /// By the comparison's clock.
    deadline_ns: u64,
    clock: Clock,
}

impl Servers {
    fn stop(&mut self) {
        let left_ns = match self.signals.count() {
            0 => self.deadline_ns.saturating_sub(self.clock.now_ns()),
            _ => 0,
        };
        let patience = STOP_PATIENCE.min(Duration::from_nanos(left_ns.max(GRACE_NS)));
        let mut children: Vec<&mut Child> =
            self.list.iter_mut().map(|server| &mut server.child).collect();
        Child::stop_all(&mut children, patience, &|| self.signals.count() > 1);
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Contest {
    /// None yet.
    fn servers(&self) -> Servers {
        let (clock, deadline_ns) = self.deadline();
        Servers { list: Vec::with_capacity(2), signals: self.signals.clone(), deadline_ns, clock }
    }
}

/// Starts both sides, each on `cpus`, and waits until they answer; `None` when a signal came first.
/// wring may have the CPUs `allowed`.
fn start_both(
    contest: &mut Contest,
    args: &CompareArgs,
    argv: &[String],
    commands: &[String; 2],
    path: &str,
    (allowed, cpus): (&[u32], &[u32]),
) -> Result<Option<Servers>, CliError> {
    let mut servers = contest.servers();
    for (side, command) in commands.iter().enumerate() {
        let port = sys::free_port()
            .map_err(|error| CliError::internal(format!("loopback has no free port: {error}")))?;
        let url = format!("http://127.0.0.1:{port}{path}");
        let mut plan = contest.plan(args, argv, &url, allowed)?;
        let command = command.replace("{port}", &port.to_string());
        let child = Child::start(&command, cpus).map_err(|error| {
            CliError::nothing_measured(format!(
                "the server of {} cannot be started: {error}",
                name(side)
            ))
        })?;
        plan.server = Some(ServerOf::Process(child.id()));
        servers.list.push(Server { child, port, plan });
    }
    let patience_ns = START_PATIENCE_NS.min(contest.left_ns().max(GRACE_NS));
    let clock = Clock::start();
    for side in 0..commands.len() {
        if !answers(contest, side, &mut servers, &clock, patience_ns)? {
            return Ok(None);
        }
    }
    Ok(Some(servers))
}

/// Waits for the first answer until `clock` has come to `patience_ns`; false when a signal came first.
fn answers(
    contest: &Contest,
    side: usize,
    servers: &mut Servers,
    clock: &Clock,
    patience_ns: u64,
) -> Result<bool, CliError> {
    let gives_up = || contest.is_stopped() || clock.now_ns() >= patience_ns;
    while !contest.is_stopped() {
        let server = &mut servers.list[side];
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, server.port));
        let replies = sys::replies(address, server.plan.request.bytes(), &gives_up);
        if let Some(how) = server.child.ended() {
            let what = if replies {
                format!("ended ({how})")
            } else {
                format!("ended before it answered on port {} ({how})", server.port)
            };
            return Err(complaint(side, &what, servers));
        }
        if replies {
            return Ok(true);
        }
        if clock.now_ns() >= patience_ns {
            let after = format_duration_ns(patience_ns);
            let short = if patience_ns < START_PATIENCE_NS {
                ", which is what --max-duration left"
            } else {
                ""
            };
            let what = format!("does not answer on {address} after {after}{short}");
            return Err(complaint(side, &what, servers));
        }
        thread::sleep(START_LOOK);
    }
    Ok(false)
}

fn measure(
    contest: &mut Contest,
    servers: &Servers,
    slot_ns: u64,
    layout: Layout,
) -> Result<(), CliError> {
    let mut plans = [0, 1].map(|side: usize| servers.list[side].plan.clone());
    let mut sessions = contest.open(&mut plans)?;
    let begun_ns = contest.left_ns();
    // Starting took a part of it.
    let slot_ns = slot_ns.min(begun_ns);
    contest.warm_up(&mut sessions, &plans, slot_ns / WARM_UP_PART)?;
    if contest.is_stopped() {
        return Ok(());
    }
    match layout {
        Layout::Processes => {
            let passed_ns = begun_ns.saturating_sub(contest.left_ns());
            contest.fill(&mut sessions, &plans, slot_ns.saturating_sub(passed_ns))
        }
        Layout::Pairs | Layout::Runs => contest.race(&mut sessions, &plans),
    }
}

/// A server that ended by itself explains what went wrong better than what was seen of it, and
/// spoils what was measured before.
fn explain(measured: Result<(), CliError>, servers: &mut Servers) -> Result<(), CliError> {
    for side in 0..servers.list.len() {
        if let Some(how) = servers.list[side].child.ended() {
            let what = format!("ended while it was measured ({how})");
            return Err(complaint(side, &what, servers));
        }
    }
    measured
}

/// What is wrong with a server, and what it printed.
fn complaint(side: usize, what: &str, servers: &mut Servers) -> CliError {
    let is_in_background = servers.list[side].child.is_in_background();
    // What it prints when asked to end belongs to it.
    servers.stop();
    if is_in_background {
        return CliError::nothing_measured(format!(
            "the server of {} went to the background: its command {what}, and processes that came of \
             it went on",
            name(side)
        ))
        .hint(
            "they were stopped; give a command that stays until it is asked to end, such as nginx -g \
             'daemon off;', without a --daemon flag or a final &",
        );
    }
    let output = servers.list[side].child.output();
    let lines: Vec<&str> = output.lines().collect();
    let from = lines.len().saturating_sub(OUTPUT_LINES_MAX);
    let shown: Vec<String> = lines[from..]
        .iter()
        .map(|line| format!("\n    {}", escape(line, LINE_CHARS_MAX)))
        .collect();
    let error = CliError::nothing_measured(format!("the server of {} {what}", name(side)));
    if shown.is_empty() {
        return error.hint("it printed nothing; try its command by hand");
    }
    error.hint(format!("it printed:{}", shown.concat()))
}
