//! `cargo xtask bench`: the figures of crates/bench.

use crate::failure::Failure;
use crate::tools::{self, Tool};
use crate::workspace::Workspace;

const HELP: &str = "\
Measures authflow beside work done by hand and beside the oauth2 crate, in release, and prints ratios.

Usage: cargo xtask bench [ARGUMENTS of authflow-bench]

It runs `cargo run --release -p authflow-bench -- ARGUMENTS` and first installs redis-server and
postgresql if they are missing. `cargo xtask bench -- --help` shows the arguments. Close other programs before you measure.
";

pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<(), Failure> {
    if crate::asks_for_help(arguments) {
        print!("{HELP}");
        return Ok(());
    }
    tools::require(workspace, &[Tool::Redis, Tool::Postgres])?;
    let passed_on = arguments.strip_prefix(&["--".to_owned()][..]).unwrap_or(arguments);
    workspace.cargo(&["run", "--locked", "--release", "-p", "authflow-bench", "--"]).args(passed_on).run()
}
