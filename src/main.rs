//! The `wring` binary: hands its arguments to the library and exits with its code.

use std::process::ExitCode;

use wring::cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main(std::env::args_os(), cli::execute::execute)
}
