//! Black-box tests: the built binary as a process, against real servers and scripted ones.
//!
//! One program holds them all, so that those which wait leave the CPUs to the others. What counts
//! allocations or memory of its own process stands alone beside it.

#[path = "../support/mod.rs"]
mod support;

mod checks;
mod cli;
mod compare;
mod connections;
mod counts;
mod doctor;
mod engine;
mod faults;
mod faults_connections;
mod faults_limits;
mod faults_names;
mod faults_process;
mod faults_time;
mod hostile;
mod options;
mod outputs;
mod peers;
mod rate;
mod refusals;
mod search;
mod serve;
mod signals;
mod targets;
mod tls;
mod wire;
mod wrk_persona;
