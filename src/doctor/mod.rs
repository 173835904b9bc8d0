//! Is this machine fit to measure?
//!
//! Owns the checks: what is looked at, what is good enough, why it matters and what to change.
//! Knows neither flags nor formats. The idea: `probe` looks and gives one plain `Machine`; every check is
//! a pure function of it, so that machines nobody here owns can be judged in tests. What cannot be
//! seen is unknown, which is never a failure.

mod cpu;
mod kernel;
mod limits;
mod network;
mod probe;
mod speed;
mod standstill;

#[cfg(test)]
mod tests;

use crate::sys::Signals;

/// What a check belongs to, in the order of the report.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Group {
    /// The kernel and its interfaces.
    Kernel,
    /// CPUs, their time and their clocks.
    Cpu,
    /// Descriptors and memory.
    Limits,
    /// TCP on this machine.
    Network,
    /// What this machine was seen to do.
    Ceiling,
}

/// How good what was seen is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Mark {
    /// Nothing to say.
    Ok,
    /// Good to know when results are compared.
    Note,
    /// It cannot be seen here.
    Unknown,
    /// Some measurements will be wrong or worse than they could be.
    Warning,
    /// Measurements here are not to be trusted, or impossible.
    Bad,
}

/// One value behind a check, for programs; its unit is in its name.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// Counted or in base units.
    Count(u64),
    /// A share or a quotient.
    Number(f64),
    /// Yes or no.
    Flag(bool),
    /// A name or a sentence, possibly written by others.
    Text(String),
    /// There is no limit.
    Unlimited,
    /// It cannot be seen here, or does not apply.
    Unknown,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// Where it belongs.
    pub group: Group,
    /// What it is called; unique.
    pub name: &'static str,
    /// How good it is.
    pub mark: Mark,
    /// What was seen, in words; possibly with names that others wrote.
    pub seen: String,
    /// Why it matters.
    pub why: &'static str,
    /// What to change: commands to type, or what to ask for. Empty when there is nothing to.
    pub change: Vec<String>,
    /// The values behind it.
    pub facts: Vec<(&'static str, Fact)>,
}

impl Mark {
    /// Of a value that is worse the larger it is, from where it is a note, a warning, bad.
    fn of_rising<T: PartialOrd>(value: T, [note, warning, bad]: [T; 3]) -> Self {
        match value {
            value if value >= bad => Self::Bad,
            value if value >= warning => Self::Warning,
            value if value >= note => Self::Note,
            _ => Self::Ok,
        }
    }

    /// Of a value that is worse the smaller it is, below which it is a note, a warning, bad.
    fn of_falling<T: PartialOrd>(value: T, [note, warning, bad]: [T; 3]) -> Self {
        match value {
            value if value < bad => Self::Bad,
            value if value < warning => Self::Warning,
            value if value < note => Self::Note,
            _ => Self::Ok,
        }
    }
}

impl Check {
    fn new(group: Group, name: &'static str, why: &'static str) -> Self {
        let (mark, seen) = (Mark::Unknown, "cannot be seen here".to_owned());
        Self { group, name, mark, seen, why, change: Vec::new(), facts: Vec::new() }
    }

    fn seen(self, mark: Mark, seen: impl Into<String>) -> Self {
        Self { mark, seen: seen.into(), ..self }
    }

    fn change(mut self, what: impl Into<String>) -> Self {
        self.change.push(what.into());
        self
    }

    fn fact(mut self, name: &'static str, fact: impl Into<Fact>) -> Self {
        self.facts.push((name, fact.into()));
        self
    }
}

/// Everything that was seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Examination {
    /// All checks, by group.
    pub checks: Vec<Check>,
    /// How long it took, in nanoseconds.
    pub took_ns: u64,
}

impl Examination {
    /// The worst mark of all.
    pub fn worst(&self) -> Mark {
        self.checks.iter().map(|check| check.mark).max().unwrap_or(Mark::Unknown)
    }

    /// Names of the checks with `mark`.
    pub fn names(&self, mark: Mark) -> Vec<&'static str> {
        self.checks.iter().filter(|check| check.mark == mark).map(|check| check.name).collect()
    }
}

/// Looks at this machine. `load` also puts a second of load on it, between one worker and the
/// built-in target; a signal cuts that short. Takes about half a second without load, four with.
pub fn examine(load: bool, signals: &Signals) -> Examination {
    let (machine, took_ns) = probe::machine(load, signals);
    Examination { checks: checks(&machine), took_ns }
}

fn checks(machine: &probe::Machine) -> Vec<Check> {
    let mut checks = Vec::new();
    checks.extend(kernel::checks(machine));
    checks.extend(cpu::checks(machine));
    checks.extend(limits::checks(machine));
    checks.extend(network::checks(machine));
    checks.extend(speed::checks(machine));
    checks
}

impl From<u64> for Fact {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<f64> for Fact {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Fact {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<&str> for Fact {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Fact {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl<T: Into<Self>> From<Option<T>> for Fact {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Unknown, T::into)
    }
}

impl From<crate::sys::Limit<u64>> for Fact {
    fn from(limit: crate::sys::Limit<u64>) -> Self {
        match limit {
            crate::sys::Limit::Unknown => Self::Unknown,
            crate::sys::Limit::Unlimited => Self::Unlimited,
            crate::sys::Limit::At(count) => Self::Count(count),
        }
    }
}
