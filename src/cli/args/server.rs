//! Flags that name the target's process, for what a request costs it.

use clap::Args;

/// Whose CPU time is read before and after the window.
#[derive(Clone, Debug, Default, Args)]
pub struct ServerArgs {
    /// Tell what a request costs process PID of this machine, its threads and children
    #[arg(long, value_name = "PID", value_parser = pid, allow_hyphen_values = true)]
    #[arg(help_heading = "Server", hide_short_help = true)]
    pub server_pid: Option<u32>,
    /// The same for a control group (version 2): its folder, or its path in /proc/PID/cgroup
    #[arg(long, value_name = "PATH", help_heading = "Server", hide_short_help = true)]
    pub server_cgroup: Option<String>,
}

pub(super) fn pid(text: &str) -> Result<u32, String> {
    let shown = text.escape_debug();
    text.parse::<u32>()
        .ok()
        .filter(|&pid| (1..=i32::MAX.cast_unsigned()).contains(&pid))
        .ok_or_else(|| format!("'{shown}' is not a process id; give one such as $(pidof nginx)"))
}
