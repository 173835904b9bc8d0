//! Commands on hosts that deny io_uring: behind a seccomp filter, or without memory to lock.

use std::path::Path;
use std::process::Command;

use super::find_program;

/// Installs a filter that answers one call with an errno, then becomes the program: load the call's
/// number; unless it is the one, go to the last; load the second argument; unless it is large
/// enough, go to the last; return the errno; allow.
const FILTER: &str = "\
import ctypes, os, struct, sys
errno, allow = 0x50000 | int(sys.argv[1]), 0x7FFF0000
call, least = int(sys.argv[2]), int(sys.argv[3])
steps = [(0x20, 0, 0, 0), (0x15, 0, 3, call), (0x20, 0, 0, 24), (0x35, 0, 1, least)]
steps += [(6, 0, 0, errno), (6, 0, 0, allow)]
code = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *step) for step in steps))
class Program(ctypes.Structure):
    _fields_ = [('len', ctypes.c_ushort), ('filter', ctypes.c_void_p)]
program = Program(len(steps), ctypes.addressof(code))
NO_NEW_PRIVS, SECCOMP, MODE_FILTER = 38, 22, 2
prctl = ctypes.CDLL(None, use_errno=True).prctl
if prctl(NO_NEW_PRIVS, 1, 0, 0, 0) or prctl(SECCOMP, MODE_FILTER, ctypes.byref(program)):
    sys.exit(f'no filter: errno {ctypes.get_errno()}')
os.execv(sys.argv[4], sys.argv[4:])
";

/// A call that a filter denies, most of them of io_uring.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Denied {
    Setup,
    Enter,
    Register,
    /// Registering rings of buffers, which Linux 5.19 brought, and all that came later.
    BufferRings,
    /// Entering with so many operations or more to submit: a ring that is made and tried out breaks
    /// when there is work to do.
    Batches(u32),
    /// Any other call, by its number.
    Call(u32),
}

impl Denied {
    /// The number that the call has everywhere, and the least second argument it is denied with.
    fn terms(self) -> (u32, u32) {
        match self {
            Self::Setup => (425, 0),
            Self::Enter => (426, 0),
            Self::Register => (427, 0),
            Self::BufferRings => (427, 22),
            Self::Batches(least) => (426, least),
            Self::Call(number) => (number, 0),
        }
    }
}

/// `wring` behind a filter that answers a call with `errno`; `None`, loudly, without Python.
pub(crate) fn by_seccomp(denied: Denied, errno: i32) -> Option<Command> {
    program_by_seccomp(denied, errno, Path::new(env!("CARGO_BIN_EXE_wring")))
}

/// The same for a program of another name.
pub(crate) fn program_by_seccomp(denied: Denied, errno: i32, program: &Path) -> Option<Command> {
    let (call, least) = denied.terms();
    let mut command = Command::new(find_program("python3")?);
    command.args(["-c", FILTER]).args([errno.to_string(), call.to_string(), least.to_string()]);
    command.arg(program);
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
