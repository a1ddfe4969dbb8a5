//! The program `authflow`.

use std::process::ExitCode;

fn main() -> ExitCode {
    authflow_cli::main()
}
