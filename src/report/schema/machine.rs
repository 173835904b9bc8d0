//! What a machine can do.

use serde::{Deserialize, Serialize};

/// The version of this object.
pub const MACHINE_VERSION: u32 = 1;

/// What the machine did in short runs against the built-in target; a figure is null where it was not
/// measured, because the self test was interrupted or something went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Version of this object; rises when a field changes its meaning, its type or disappears.
    pub version: u32,
    /// Requests per second, 64 connections, 100-byte bodies, one outstanding on each connection.
    pub requests_per_s_depth_1: Option<Figure>,
    /// The same with 64 outstanding on each.
    pub requests_per_s_depth_64: Option<Figure>,
    /// Bytes received per second, 16 connections, bodies of 1 MiB.
    pub bytes_in_per_s_1_mib: Option<Figure>,
    /// New connections per second, each closed by the target after one request.
    pub connections_per_s: Option<Figure>,
    /// How late a thread is woken that waits for a deadline, 99th percentile.
    pub wake_up_p99_ns: Option<Figure>,
}

/// One figure.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// How much, in the unit that its name tells.
    pub value: u64,
    /// What kept it from being better.
    pub limited_by: Side,
}

/// Who sets a limit.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// wring's workers had no time to spare.
    Wring,
    /// The target had none.
    Target,
    /// Neither had, or they share their CPUs.
    Both,
    /// Neither was busy.
    Kernel,
    /// Not wring; how busy the target was cannot be seen.
    TargetOrKernel,
}
