//! The tasks of this workspace, run as `cargo xtask TASK`.
//!
//! Nothing here is published. The only dependency is serde_json, so that the first run on a new
//! machine builds in seconds and can install what the other tasks need.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that talks to the person who started it"
)]
#![allow(clippy::disallowed_methods, reason = "steps are timed with the machine's own clock")]

mod bench;
mod disk;
mod failed_tests;
mod failure;
mod fuzz;
mod metadata;
mod mutants;
mod plan;
mod process;
mod runner;
mod steps;
mod tools;
mod workspace;

use std::process::ExitCode;

use crate::failure::Failure;
use crate::workspace::Workspace;

const HELP: &str = "\
The tasks of this workspace.

Usage: cargo xtask TASK [ARGUMENTS]

Tasks:
  test      everything that must hold before a change lands: style, lints, features, documentation,
            dependency rules, licences, packages, the demo and all tests; installs what is missing
  bench     the figures of crates/bench, in release; arguments are passed on
  mutants   changes the checks of authflow-core one by one and expects a test to fail each time
  fuzz      runs the fuzz targets; needs a nightly toolchain

`cargo xtask TASK --help` says more about one task.
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(task) = arguments.next() else {
        eprint!("{HELP}");
        return ExitCode::from(2);
    };
    match run(&task, &arguments.collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(task: &str, arguments: &[String]) -> Result<(), Failure> {
    match task {
        "test" => runner::run(&Workspace::open()?, arguments),
        "bench" => bench::run(&Workspace::open()?, arguments),
        "mutants" => mutants::run(&Workspace::open()?, arguments),
        "fuzz" => fuzz::run(&Workspace::open()?, arguments),
        "help" | "-h" | "--help" => {
            print!("{HELP}");
            Ok(())
        }
        other => Err(Failure::usage(format!(
            "there is no task `{other}`; the tasks are test, bench, mutants and fuzz"
        ))),
    }
}

/// Whether the arguments, up to a `--`, ask for help.
fn asks_for_help(arguments: &[String]) -> bool {
    arguments
        .iter()
        .take_while(|argument| *argument != "--")
        .any(|argument| matches!(argument.as_str(), "-h" | "--help"))
}
