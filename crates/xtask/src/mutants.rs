//! `cargo xtask mutants`: is every check of authflow-core tested?

use crate::failure::Failure;
use crate::tools::{self, Tool};
use crate::workspace::Workspace;

const HELP: &str = "\
Changes the checks of authflow-core one by one and runs the tests each time: a change that no test
notices is a check that nobody tests.

Usage: cargo xtask mutants [ARGUMENTS of cargo-mutants]

.cargo/mutants.toml names the files, the tests and the limits. The results are in mutants.out.
A whole run takes hours on two cores. Useful arguments:
  --list                           what would be changed
  --file 'crates/core/src/flow/*'  only these files
  --in-diff changes.diff           only what a diff touches
  --shard 0/8                      an eighth of the work
";

pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<(), Failure> {
    if crate::asks_for_help(arguments) {
        print!("{HELP}");
        return Ok(());
    }
    tools::require(workspace, &[Tool::CargoMutants])?;
    let passed_on = arguments.strip_prefix(&["--".to_owned()][..]).unwrap_or(arguments);
    // Two at once at most: each of them is a whole build and test run.
    workspace.cargo(&["mutants", "--package", "authflow-core", "--jobs", "2"]).args(passed_on).run().map_err(
        |failure| {
            Failure::new(format!(
                "{failure}\nmutants.out/missed.txt lists the changes that no test noticed: write a test for each, \
                 or say in .cargo/mutants.toml why it does not matter"
            ))
        },
    )
}
