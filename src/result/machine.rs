//! What a machine can do, as short runs against the built-in target found it.

/// Which side set the limit of a figure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    /// wring's workers had no time to spare.
    Generator,
    /// The target had none.
    Target,
    /// Neither had, or they share their CPUs.
    Both,
    /// The kernel or the hardware: neither side was busy.
    Kernel,
    /// Not the generator; how busy the target was cannot be seen.
    TargetOrKernel,
}

/// One measured figure, in the base unit that its field names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Figure {
    /// How much.
    pub value: u64,
    /// What kept it from being better.
    pub limited_by: Side,
}

/// What this machine can do, against the built-in target. `None` where it was not measured.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct MachineFigures {
    /// Requests per second, one outstanding on each connection.
    pub requests_per_s_depth_1: Option<Figure>,
    /// Requests per second, 64 outstanding on each connection.
    pub requests_per_s_depth_64: Option<Figure>,
    /// Bytes per second with bodies of 1 MiB.
    pub bytes_per_s_1_mib: Option<Figure>,
    /// New connections per second, one request on each.
    pub connections_per_s: Option<Figure>,
    /// 99th percentile of the time from a due wake-up to the wake-up, in nanoseconds.
    pub wake_up_ns_p99: Option<Figure>,
}
