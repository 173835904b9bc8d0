//! Fuzz bodies: claims that must hold for any bytes at all.
//!
//! Compiled for tests and under `cfg(fuzzing)` only. Owns the table of bodies and how a claim's
//! arguments are taken from bytes; the claims about a room's private parts stand in that room.
//! `tests` replays the stored corpus (`tests/fuzz/corpus/<body>/`) and random and mutated inputs;
//! `scripts/fuzz` runs the same functions coverage-guided. The idea: a body is an ordinary function
//! of bytes that panics when a claim is broken, so any input that ever broke one is a test.

mod grammar;
mod input;
mod simulated;
mod stored;
#[cfg(test)]
mod tests;
mod wire;

/// A claim about any bytes; panics when it is broken.
pub type Body = fn(&[u8]);

/// All bodies by name. `tests/fuzz/fuzz_targets` has one target for each.
pub const BODIES: [(&str, Body); 12] = [
    ("answers", wire::answers),
    ("chunks", wire::chunks),
    ("memo", wire::memo),
    ("requests", wire::requests),
    ("serialised", wire::serialised),
    ("argv", grammar::argv),
    ("values", grammar::values),
    ("threshold", grammar::threshold),
    ("url", grammar::url),
    ("urls", grammar::urls),
    ("stored", stored::file),
    ("worlds", simulated::worlds),
];

/// Runs the body called `name`; panics when a claim is broken or there is no such body.
pub fn run(name: &str, data: &[u8]) {
    let body = BODIES.iter().find(|(known, _)| *known == name);
    let (_, body) = body.expect("a body of the table");
    body(data);
}
