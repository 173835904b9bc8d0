//! Whose CPU time and memory a run watches, beside its own.

/// The target as this machine's kernel knows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ServerOf {
    /// A process with its threads and children, by process id.
    Process(u32),
    /// A control group of version 2: the path of its folder.
    Group(String),
}
