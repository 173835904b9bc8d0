//! Whose cost a run watches: the flags checked against this machine.

use super::args::server::ServerArgs;
use super::error::CliError;
use crate::plan::ServerOf;
use crate::sys::UsageLook;

/// The server that the flags name, which must be there and readable; `None` without any. What is to be
/// known of it is added to `notes`.
pub(super) fn lower(
    args: &ServerArgs,
    notes: &mut Vec<String>,
) -> Result<Option<ServerOf>, CliError> {
    match (args.server_pid, &args.server_cgroup) {
        (Some(pid), Some(group)) => Err(CliError::usage(format!(
            "--server-pid {pid} and --server-cgroup '{}' contradict each other; give one of them",
            group.escape_debug()
        ))),
        (Some(pid), None) => process("--server-pid", pid).map(Some),
        (None, Some(typed)) => group(typed, notes).map(Some),
        (None, None) => Ok(None),
    }
}

/// The process `pid`, which `flag` names.
pub(super) fn process(flag: &str, pid: u32) -> Result<ServerOf, CliError> {
    if pid == std::process::id() {
        return Err(CliError::usage(format!("{flag} {pid} is wring itself")));
    }
    UsageLook::of_process(pid, None).map_err(|error| {
        CliError::usage(format!("{flag} {pid} cannot be watched: {error}"))
            .hint("give the id of the server's process on this machine, such as $(pidof nginx)")
    })?;
    Ok(ServerOf::Process(pid))
}

fn group(typed: &str, notes: &mut Vec<String>) -> Result<ServerOf, CliError> {
    let shown = typed.escape_debug();
    let (folder, look) = UsageLook::find_group(typed).map_err(|error| {
        CliError::usage(format!("--server-cgroup '{shown}' cannot be watched: {error}")).hint(
            "give a folder of the version-2 hierarchy, such as /sys/fs/cgroup/system.slice/\
             nginx.service",
        )
    })?;
    if look.has(std::process::id()) {
        notes.push(format!(
            "wring itself is in the group of --server-cgroup '{shown}': what it uses counts as the \
             server's; name a group of the server alone"
        ));
    }
    Ok(ServerOf::Group(folder))
}
