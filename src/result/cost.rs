//! What the window cost the target.

use crate::plan::ServerOf;

/// What the target's processes used while the window lasted.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerCost {
    /// Whose cost it is.
    pub of: ServerOf,
    /// Time between the two looks: the window, in nanoseconds; with the drain where the window's end
    /// was not known beforehand.
    pub length_ns: u64,
    /// Requests completed in that time.
    pub requests: u64,
    /// CPU time, user and system, in nanoseconds.
    pub cpu_ns: u64,
    /// Memory in RAM at its end, in bytes: the processes added up, shared pages with each.
    pub resident_bytes: u64,
    /// Context switches of a thread that waited for something.
    pub switches_voluntary: u64,
    /// Context switches of a thread that had to leave its CPU.
    pub switches_forced: u64,
    /// Processes at its end.
    pub processes: u32,
    /// Their threads.
    pub threads: u32,
    /// A process ended meanwhile whose CPU time is missing.
    pub lost_a_process: bool,
}

impl ServerCost {
    /// CPU time of one completed request, in nanoseconds; `None` without one.
    pub fn cpu_ns_per_request(&self) -> Option<f64> {
        self.per_request(self.cpu_ns)
    }

    /// CPUs that were busy with it on average.
    pub fn cpus(&self) -> f64 {
        self.cpu_ns as f64 / self.length_ns.max(1) as f64
    }

    /// `count` over the completed requests; `None` without one.
    pub fn per_request(&self, count: u64) -> Option<f64> {
        (self.requests > 0).then(|| count as f64 / self.requests as f64)
    }
}
