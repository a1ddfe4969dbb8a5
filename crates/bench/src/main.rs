//! `authflow-bench`: see `--help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    authflow_bench::run(&arguments)
}
