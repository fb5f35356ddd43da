//! The `holdgate` command: arguments in, exit code out.

use clap::Parser as _;
use std::process::ExitCode;

/// Many small allocations a request on several threads are what it is good at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = match holdgate::cli::Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => error.exit(),
    };
    match holdgate::cli::run(arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("holdgate: {}", holdgate::cli::told(&error));
            holdgate::cli::exit_code(&error)
        }
    }
}
