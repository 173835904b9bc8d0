//! What the window costs the target: its counters read when the window starts and when it ends.
//!
//! The idea: the control thread looks; workers know nothing of it. Where nobody knows beforehand
//! when the window ends (a number of requests, a signal), the second look comes when all workers
//! have ended, and the drain is part of it.

use std::time::Duration;

use crate::plan::{Plan, ServerOf};
use crate::record::Phase;
use crate::result::{RunResult, ServerCost};
use crate::sys::{Usage, UsageLook};

/// Takes the two looks.
#[derive(Debug)]
pub(super) struct CostWatch {
    of: Option<ServerOf>,
    before: Option<(u64, UsageLook)>,
    after: Option<After>,
}

#[derive(Debug)]
struct After {
    length_ns: u64,
    usage: Result<Usage, String>,
    /// The window ended at its deadline, and this look was then.
    at_deadline: bool,
}

impl CostWatch {
    pub(super) fn new(plan: &Plan) -> Self {
        Self { of: plan.server.clone(), before: None, after: None }
    }

    /// Looks if it is time. `window` is when it starts and, where that is known, ends.
    pub(super) fn look(&mut self, now_ns: u64, window: Option<(u64, Option<u64>)>) {
        let Some((start_ns, end_ns)) = window else { return };
        if self.before.is_none() && now_ns >= start_ns {
            self.look_before(now_ns);
        } else if self.after.is_none() && end_ns.is_some_and(|end_ns| now_ns >= end_ns) {
            self.look_after(now_ns, true);
        }
    }

    /// How long the control thread may sleep without missing a look.
    pub(super) fn sleep(
        &self,
        most: Duration,
        now_ns: u64,
        window: Option<(u64, Option<u64>)>,
    ) -> Duration {
        let next_ns = window.and_then(|(start_ns, end_ns)| match (&self.before, &self.after) {
            _ if self.of.is_none() => None,
            (None, _) => Some(start_ns),
            (Some(_), None) => end_ns,
            (Some(_), Some(_)) => None,
        });
        let left = next_ns.map(|next_ns| Duration::from_nanos(next_ns.saturating_sub(now_ns)));
        left.map_or(most, |left| left.min(most))
    }

    /// All workers have ended.
    pub(super) fn finish(&mut self, now_ns: u64) {
        if self.after.is_none() {
            self.look_after(now_ns, false);
        }
    }

    fn look_before(&mut self, now_ns: u64) {
        let Some(of) = &self.of else { return };
        match take(of, None) {
            Ok(look) => self.before = Some((now_ns, look)),
            Err(error) => {
                self.before = Some((now_ns, UsageLook::default()));
                self.after = Some(After { length_ns: 0, usage: Err(error), at_deadline: true });
            }
        }
    }

    fn look_after(&mut self, now_ns: u64, at_deadline: bool) {
        let (Some(of), Some((then_ns, before))) = (&self.of, &self.before) else { return };
        let usage = take(of, Some(before)).map(|now| now.since(before));
        self.after = Some(After { length_ns: now_ns.saturating_sub(*then_ns), usage, at_deadline });
    }

    /// Puts what was found into the result; a remark where nothing could be.
    pub(super) fn tell(self, result: &mut RunResult) {
        let (Some(of), Some(After { length_ns, usage, at_deadline })) = (self.of, self.after)
        else {
            return;
        };
        let completed = |phase| result.total.phase(phase).completed;
        let in_drain = if at_deadline { 0 } else { completed(Phase::Drain) };
        match usage {
            Ok(usage) => {
                result.server = Some(ServerCost {
                    of,
                    length_ns,
                    requests: completed(Phase::Window) + in_drain,
                    cpu_ns: usage.cpu_ns,
                    resident_bytes: usage.resident_bytes,
                    switches_voluntary: usage.switches_voluntary,
                    switches_forced: usage.switches_forced,
                    processes: usage.processes,
                    threads: usage.threads,
                    lost_a_process: usage.lost_a_process,
                });
            }
            Err(error) => result.remarks.push(format!(
                "what a request costs the server is not known: it was gone before the window \
                 ended ({error})"
            )),
        }
    }
}

fn take(of: &ServerOf, before: Option<&UsageLook>) -> Result<UsageLook, String> {
    match of {
        ServerOf::Process(pid) => UsageLook::of_process(*pid, before),
        ServerOf::Group(folder) => UsageLook::of_group(folder),
    }
    .map_err(|error| error.to_string())
}
