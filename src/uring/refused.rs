//! Why a ring could not be made, as a value and in words.

use std::fmt;
use std::io;

use crate::sys;

/// What keeps io_uring from being used here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Denial {
    /// `kernel.io_uring_disabled` has this value, 1 or 2.
    Sysctl(u8),
    /// A seccomp filter, as containers have.
    Seccomp,
    /// It is forbidden, and neither of the two tells why.
    Forbidden,
    /// The kernel has no io_uring.
    Absent,
    /// The kernel's io_uring lacks what is needed.
    Outdated,
    /// The limit on locked memory is too low.
    LockedMemory,
    /// The limit on open files is too low.
    Descriptors,
    /// Something else, which the errno tells.
    Other,
}

impl Denial {
    /// From an errno, from what `kernel.io_uring_disabled` says, and from whether a seccomp filter
    /// watches this process; `None` where the system does not tell.
    fn new(errno: i32, disabled: Option<u8>, is_filtered: Option<bool>) -> Self {
        match (errno, disabled) {
            (libc::EPERM | libc::EACCES, Some(level @ 1..)) => Self::Sysctl(level),
            (libc::EPERM | libc::EACCES, _) if is_filtered == Some(true) => Self::Seccomp,
            (libc::EPERM | libc::EACCES, _) => Self::Forbidden,
            // A kernel with that setting has io_uring; a filter may deny that there is such a call.
            (libc::ENOSYS, Some(_)) => Self::Seccomp,
            (libc::ENOSYS, None) => Self::Absent,
            (libc::ENOMEM, _) => Self::LockedMemory,
            (libc::EMFILE | libc::ENFILE, _) => Self::Descriptors,
            (libc::EINVAL, _) => Self::Outdated,
            _ => Self::Other,
        }
    }

    /// What is wrong, in a few words.
    pub fn cause(self) -> String {
        match self {
            Self::Sysctl(level) => {
                return format!("the system forbids it (kernel.io_uring_disabled = {level})");
            }
            Self::Seccomp => "a seccomp filter denies it, as containers' default profiles do",
            Self::Forbidden => "it is forbidden, by a container's or a security module's policy",
            Self::Absent => "this kernel has none",
            Self::Outdated => "this kernel's is too old",
            Self::LockedMemory => "the limit on locked memory is too low",
            Self::Descriptors => "the limit on open files is too low for the connections",
            Self::Other => "the kernel refuses it",
        }
        .to_owned()
    }

    /// What to change.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Sysctl(_) => {
                "set kernel.io_uring_disabled to 0, or ask whoever runs this machine to"
            }
            Self::Seccomp | Self::Forbidden => {
                "run with a profile that allows io_uring_setup, io_uring_enter and \
                 io_uring_register"
            }
            Self::Absent | Self::Outdated => "Linux 6.1 or newer is needed",
            Self::LockedMemory => "raise it (ulimit -l), or use fewer connections or threads",
            Self::Descriptors => "raise it (ulimit -n), or use fewer connections",
            Self::Other => "try a newer kernel, or fewer connections",
        }
    }
}

/// Why a ring could not be made. `Display` ends with what to change, after a semicolon.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SetupError {
    /// The step that failed.
    pub step: &'static str,
    /// Its errno.
    pub errno: i32,
    /// What that means here.
    pub denial: Denial,
}

impl SetupError {
    /// The failure of `step`, with what the system says about io_uring.
    pub fn new(step: &'static str, error: &io::Error) -> Self {
        let errno = error.raw_os_error().unwrap_or(0);
        let denial = Denial::new(errno, sys::io_uring_disabled(), sys::is_seccomp_filtered());
        Self { step, errno, denial }
    }
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, errno, denial } = self;
        let (why, cause) = (io::Error::from_raw_os_error(*errno), denial.cause());
        let advice = denial.advice();
        write!(f, "io_uring cannot be used here: {cause}: {step} failed: {why}; {advice}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_to_be_denied_has_its_own_name() {
        for (errno, disabled, is_filtered, denial) in [
            (libc::EPERM, Some(2), Some(false), Denial::Sysctl(2)),
            (libc::EPERM, Some(1), Some(true), Denial::Sysctl(1)),
            (libc::EPERM, Some(0), Some(true), Denial::Seccomp),
            (libc::EPERM, None, Some(true), Denial::Seccomp),
            (libc::EPERM, Some(0), Some(false), Denial::Forbidden),
            (libc::EACCES, None, None, Denial::Forbidden),
            (libc::ENOSYS, Some(0), Some(true), Denial::Seccomp),
            (libc::ENOSYS, None, Some(false), Denial::Absent),
            (libc::EINVAL, Some(0), Some(false), Denial::Outdated),
            (libc::ENOMEM, Some(0), Some(false), Denial::LockedMemory),
            (libc::EMFILE, Some(0), Some(false), Denial::Descriptors),
            (libc::EIO, Some(0), Some(false), Denial::Other),
        ] {
            assert_eq!(Denial::new(errno, disabled, is_filtered), denial, "errno {errno}");
            let error = SetupError { step: "io_uring_setup", errno, denial };
            let text = error.to_string();
            assert!(text.contains(&denial.cause()) && text.ends_with(denial.advice()), "{text}");
            assert_eq!(text.matches("; ").count(), 1, "one cause and one advice: {text}");
        }
    }
}
