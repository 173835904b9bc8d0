//! Which flags were typed, whatever their values: a default is no wish.

use clap::ArgMatches;
use clap::parser::ValueSource;

/// The flags of a command line, as help names them: `-c`, `--width`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Given(Vec<String>);

impl Given {
    /// Those in `matches`, which were read by `command`.
    pub(super) fn of(command: &clap::Command, matches: &ArgMatches) -> Self {
        let is_typed = |arg: &&clap::Arg| {
            !arg.is_positional()
                && matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine)
        };
        let name = |arg: &clap::Arg| match (arg.get_short(), arg.get_long()) {
            (Some(short), _) => format!("-{short}"),
            (None, long) => format!("--{}", long.unwrap_or_default()),
        };
        Self(command.get_arguments().filter(is_typed).map(name).collect())
    }

    /// Whether this flag was typed.
    pub fn has(&self, flag: &str) -> bool {
        self.0.iter().any(|given| given == flag)
    }

    /// A flag that is none of these, if one was typed.
    pub fn other_than(&self, flags: &[&str]) -> Option<&str> {
        self.0.iter().map(String::as_str).find(|given| !flags.contains(given))
    }
}
