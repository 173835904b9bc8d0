//! What Linux offers beyond the standard library: clock, CPUs, sockets, names, limits, signals and
//! the facts of this machine.
//!
//! Owns every system call that is not the ring's. Knows nothing of HTTP, io_uring or plans. The
//! idea: thin wrappers that give plain values. What is read from `/proc` and `/sys` is optional by
//! type, because containers hide them; what is parsed is parsed by pure functions over text, so
//! that machines nobody here owns can be tested.

mod activity;
mod alloc_count;
mod cgroup;
mod child;
mod clock;
mod cpu;
mod dial;
mod errno;
mod fitness;
mod host;
mod listener;
mod net;
mod poll;
mod shortage;
mod signals;
mod stream;
mod usage;

pub use activity::{Activity, ActivityLook, BusyProcess};
pub use alloc_count::CountingAllocator;
pub use cgroup::{CgroupFacts, CpuQuota, Limit, Throttled};
pub use child::{Child, Patience, STOP_PATIENCE, free_port, replies, reply};
pub use clock::{
    Clock, process_cpu_ns, suspended_ns, thread_cpu_ns, thread_starved_ns, wall_unix_seconds,
};
pub use cpu::{CpuPlace, allowed_cpus, parse_cpu_list, pin_current_thread, read_topology, spread};
pub use dial::{Blocking, Dialer, local_address, set_blocking};
pub use errno::{IN_PROGRESS, NO_SOCKET, io_error};
pub use fitness::{FitnessFacts, MemoryFacts, ResourceLimit, SocketCounts, parse_kernel_release};
pub use host::{
    FdLimit, MachineFacts, ensure_descriptors, io_uring_disabled, io_wq_threads,
    is_seccomp_filtered, open_descriptors, peak_resident_bytes, refuse_huge_pages, resident_bytes,
};
pub use listener::cpus_of_listeners;
pub use net::{
    RawAddress, ResolveError, UNIX_PATH_BYTES_MAX, is_local_address, resolve, set_linger_zero,
    set_receive_low_water, set_tcp_congestion, tcp_congestion_available, tcp_congestion_known,
};
pub use poll::{
    Poller, Readiness, discard_some, disconnect, holds_more, recv_some, send_some,
    set_timer_slack_ns, start_connect, take_error,
};
pub use shortage::{local_failure, ports_gone};
pub use signals::{
    SIGINT, SIGTERM, Signals, block_signals_in_this_thread, survive_file_size_limit,
};
pub use stream::is_writable_within;
pub use usage::{Usage, UsageLook};

/// Turns the `-1` of a C call into the error it left behind.
fn check(result: libc::c_int) -> std::io::Result<libc::c_int> {
    if result == -1 { Err(std::io::Error::last_os_error()) } else { Ok(result) }
}
