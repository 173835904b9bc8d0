//! Durations, sizes, counts, rates and sets of status codes: parsing and printing.
//!
//! Owns the text forms of quantities, in both directions. Knows nothing of flags, clocks or
//! reports. The idea: a quantity is an integer in its base unit (nanoseconds, bytes, ones)
//! everywhere else in the program; this room is the only place where it is a word.
//!
//! `wrk` writes quantities exactly as wrk does, for the lines that scripts scrape; everything else
//! here is our own form. Our sizes are powers of 1024 and say so (`KiB`), our counts powers of
//! 1000.

mod distribution;
mod parse;
mod print;
mod rate;
mod statuses;
pub mod wrk;

pub use distribution::{
    Distribution, DistributionError, DistributionFault, Part, Shape, parse_distribution,
};
pub use parse::{UnitError, UnitFault, parse_bytes, parse_count, parse_duration_ns};
pub use print::{
    TimeUnit, format_bytes, format_count, format_duration_ns, format_grouped, format_rfc3339,
};
pub use rate::{Rate, format_rate, parse_rate};
pub use statuses::{StatusSet, StatusSetError, parse_statuses};
