//! What a request cost the target.

use serde::{Deserialize, Serialize};

/// What the target's processes used between the window's start and end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerCost {
    /// The process whose family it was, by id; null for a group.
    pub pid: Option<u32>,
    /// The control group, as the folder it has; null for a process.
    pub cgroup: Option<String>,
    /// Time between the two looks: the window; with the drain where the window's end was not known
    /// beforehand.
    pub length_ns: u64,
    /// Requests completed in that time.
    pub requests: u64,
    /// CPU time, user and system.
    pub cpu_ns: u64,
    /// CPU time per completed request; null without one; derived.
    pub cpu_ns_per_request: Option<f64>,
    /// CPUs that were busy with it on average; derived.
    pub cpus: f64,
    /// Memory in RAM at the end: the processes added up, shared pages with each.
    pub resident_bytes: u64,
    /// Context switches of a thread that waited for something.
    pub switches_voluntary: u64,
    /// Context switches of a thread that had to leave its CPU.
    pub switches_forced: u64,
    /// Processes at the end.
    pub processes: u32,
    /// Their threads.
    pub threads: u32,
    /// A process ended meanwhile whose CPU time is missing.
    pub lost_a_process: bool,
}
