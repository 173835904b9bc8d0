//! Commands on hosts that deny io_uring: behind a seccomp filter, or without memory to lock.

use std::path::Path;
use std::process::Command;

use super::find_program;

/// Installs a filter that answers a system call with an errno, then becomes the program: load the
/// call's number; if it is that one, return the errno; else allow.
const FILTER: &str = "\
import ctypes, os, struct, sys
errno, allow = 0x50000 | int(sys.argv[1]), 0x7FFF0000
steps = [(0x20, 0, 0, 0), (0x15, 0, 1, int(sys.argv[2])), (6, 0, 0, errno), (6, 0, 0, allow)]
code = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *step) for step in steps))
class Program(ctypes.Structure):
    _fields_ = [('len', ctypes.c_ushort), ('filter', ctypes.c_void_p)]
program = Program(len(steps), ctypes.addressof(code))
NO_NEW_PRIVS, SECCOMP, MODE_FILTER = 38, 22, 2
prctl = ctypes.CDLL(None, use_errno=True).prctl
if prctl(NO_NEW_PRIVS, 1, 0, 0, 0) or prctl(SECCOMP, MODE_FILTER, ctypes.byref(program)):
    sys.exit(f'no filter: errno {ctypes.get_errno()}')
os.execv(sys.argv[3], sys.argv[3:])
";

/// `wring` behind a filter that answers `io_uring_setup` with `errno`; `None`, loudly, without
/// Python.
pub(crate) fn by_seccomp(errno: i32) -> Option<Command> {
    program_by_seccomp(errno, Path::new(env!("CARGO_BIN_EXE_wring")))
}

/// The same for a program of another name.
pub(crate) fn program_by_seccomp(errno: i32, program: &Path) -> Option<Command> {
    // Its number everywhere.
    const IO_URING_SETUP: i64 = 425;
    filtered(IO_URING_SETUP, errno, program)
}

/// `wring` behind a filter that answers `call` with `errno`.
pub(crate) fn by_seccomp_of(call: i64, errno: i32) -> Option<Command> {
    filtered(call, errno, Path::new(env!("CARGO_BIN_EXE_wring")))
}

fn filtered(call: i64, errno: i32, program: &Path) -> Option<Command> {
    let mut command = Command::new(find_program("python3")?);
    command.args(["-c", FILTER, &errno.to_string(), &call.to_string()]).arg(program);
    Some(command)
}

/// `wring` with no right to lock memory. `None`, loudly, without the programs that take it away.
pub(crate) fn by_memlock() -> Option<Command> {
    let mut command = Command::new(find_program("prlimit")?);
    command.arg("--memlock=0:0").arg(find_program("setpriv")?);
    // Whoever has the capability may lock whatever the limit says; only its bearer can give it up.
    if holds_ipc_lock() {
        command.args(["--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock"]);
    }
    command.arg(env!("CARGO_BIN_EXE_wring"));
    Some(command)
}

fn holds_ipc_lock() -> bool {
    const CAP_IPC_LOCK: u32 = 14;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    effective.is_some_and(|mask| mask >> CAP_IPC_LOCK & 1 == 1)
}
