//! wring: a load generator for HTTP whose numbers can be trusted.
//!
//! A run is a *plan* turned into a *result*. The plan is immutable and holds everything that can be
//! decided before the loop: the request bytes are already serialised, the addresses resolved, the
//! CPUs chosen. Each worker is one thread pinned to one CPU; it owns a share of the plan and talks
//! to nobody. Inside a worker there are pure machines (codec, connection, recorder) and one impure
//! thing, the backend: the ring, epoll or a simulation. Time is an argument. Text is made only at the
//! end.
//!
//! # Rooms
//!
//! A room imports only from the rooms listed beside it; a third-party crate has one owning room.
//! `src/tests/tidy.rs` holds this table.
//!
//! | L | room | owns | may import |
//! | --- | --- | --- | --- |
//! | 0 | `units` | durations, sizes, counts, rates, sets of statuses: parsing, printing | – |
//! | 0 | `limits` | every bound, with compile-time checks between them | – |
//! | 0 | `rng` | one small seeded generator | – |
//! | 0 | `outcome` | how a request or a connection attempt can end; counters | – |
//! | 1 | `hist` | latency histogram, merge, quantiles, overflow count | units, limits |
//! | 1 | `stats` | intervals and tests over runs and blocks of runs | units, rng |
//! | 1 | `inspect` | what answers are checked for, and what was found: bodies, values of a field | units, limits, outcome |
//! | 1 | `proto` | HTTP codecs: bytes to events | limits |
//! | 1 | `schedule` | intended send times: constant, Poisson, stages | units, rng |
//! | 1 | `tls` | ciphertext to plaintext and back | outcome, limits |
//! | 1 | `io` | vocabulary of effects: operations, completions, the `Backend` trait | units, limits |
//! | 2 | `plan` | the validated, immutable test; request serialisation; shares per worker | L0, io, schedule, proto, tls, inspect |
//! | 2 | `record` | one worker's histograms, counters, timeline | L0, hist, inspect |
//! | 3 | `result` | the finished run as plain data; the counting identities; the verdict; thresholds | L0, hist, inspect, record, plan, stats |
//! | 3 | `conn` | one connection's life and its in-flight queue | L0, io, proto, tls, inspect, plan, record |
//! | 4 | `worker` | the turn loop, timeouts, phases, snapshots | L0, io, schedule, conn, plan, record |
//! | 4 | `sys` | affinity, topology, clock, sockets, names, limits, signals, errors, /proc (**unsafe**) | io, units, limits |
//! | 5 | `uring` | the backend on io_uring (**unsafe**) | io, sys, units, limits |
//! | 5 | `epoll` | the backend on epoll, for hosts that deny io_uring | io, sys, units, limits |
//! | 5 | `sim` | the simulated backend: virtual clock, model server | io, rng, units, limits |
//! | 6 | `run` | threads, phases, signals, merge, manifest | worker, io, uring, epoll, sys, inspect, plan, record, result, hist, L0, stats |
//! | 6 | `target` | the built-in reference server, three engines | L0, io, uring, epoll, sys |
//! | 7 | `doctor` | is this machine fit to measure: what is looked at, how it is judged | run, target, result, plan, hist, io, uring, sys, units, limits |
//! | 7 | `search` | capacity: which rate to try next, what the trials together say | result, record, hist, plan |
//! | 7 | `compare` | which of several sets of blocks is faster, and whether that is real | result, stats, rng |
//! | 8 | `report` | pure renderers to bytes; the versioned file schema | result, record, inspect, hist, outcome, plan, doctor, compare, search, units |
//! | 9 | `live` | the terminal line over snapshots | record, result, report, hist, sys, units |
//! | 10 | `cli` | arguments, lowering, exit codes | everything |
//! | 11 | `fuzz` | fuzz bodies, for tests and the fuzzer alone | everything |
//!
//! # Invariants, mostly absences
//!
//! 1. Only `sys`, `uring`, `epoll`, `target` and `live` touch the operating system. Everything else
//!    below `run` starts no thread, takes no lock, prints nothing, reads no file, environment or
//!    clock.
//! 2. After a worker has prepared, it does not allocate, and no io-wq thread exists.
//! 3. Workers share the plan, a control word and one single-writer snapshot queue each. A snapshot
//!    is skipped when the reader is behind; it is never waited for.
//! 4. `unsafe` exists in `sys` and `uring` alone. Every buffer the kernel can see outlives the ring
//!    that saw it, and is reused only after its final completion.
//! 5. Latency starts at the intended time, which in a closed loop is the moment of sending.
//! 6. Every started request ends in exactly one state; the identities are checked at the end of
//!    every run, in release builds too.
//! 7. Stop condition, codec, transport and sink are independent values. When a feature multiplies
//!    functions, it should have been a value.
//! 8. Renderers are functions from data to bytes. Only `report::schema` defines a file format, and
//!    it carries a version.
//! 9. The worker is generic over `Backend` only, compiled once for each.
//! 10. No async runtime in the engine.

pub mod cli;
pub mod compare;
pub mod conn;
pub mod doctor;
pub mod epoll;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
pub mod hist;
pub mod inspect;
pub mod io;
pub mod limits;
pub mod live;
pub mod outcome;
pub mod plan;
pub mod proto;
pub mod record;
pub mod report;
pub mod result;
pub mod rng;
pub mod run;
pub mod schedule;
pub mod search;
pub mod sim;
pub mod stats;
pub mod sys;
pub mod target;
pub mod tls;
pub mod units;
pub mod uring;
pub mod worker;

#[cfg(test)]
mod tests;
