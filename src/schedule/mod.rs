//! When each request should be sent.
//!
//! Owns the map from a request's index to its intended time, for a constant rate and for stages,
//! and one worker's way through it. Knows nothing of connections, clocks or sockets: times are
//! nanoseconds from the schedule's start, and the caller knows what time it is.
//!
//! The idea: request `k` is due when the integral of the rate reaches `k`. Its time is a function
//! of `k` alone, computed in integers, so that nothing adds up: there is no drift in a year, a late
//! worker keeps no queue, and the workers that deal the indexes among themselves (`k mod workers`)
//! are together exactly the schedule of one. Poisson arrivals are points thrown on the same axis by
//! a seeded stream for each worker.
//!
//! # Invariants
//!
//! 1. A schedule of length D has exactly floor(∫rate) requests, the first at the first moment of
//!    non-zero rate, all before D.
//! 2. Times never decrease along the index.
//! 3. Products that could overflow are excluded when a profile is made, not checked when it is
//!    used.

mod cursor;
mod error;
mod parse;
mod profile;
mod stages;
#[cfg(test)]
mod tests;

pub use cursor::{Arrivals, Cursor, deal};
pub use error::ScheduleError;
pub use parse::{StagesError, parse_stages};
pub use profile::Profile;
pub use stages::Stage;
