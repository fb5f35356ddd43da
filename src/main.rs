//! The `holdgate` command: arguments in, exit code out.

use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = match holdgate::cli::Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => error.exit(),
    };
    match holdgate::cli::run(arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("holdgate: {error:#}");
            holdgate::cli::exit_code(&error)
        }
    }
}
