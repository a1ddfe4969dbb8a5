//! `cargo xtask mutants`: is every check of authflow-core tested?

use std::path::Path;

use crate::failure::Failure;
use crate::tools::{self, Tool};
use crate::workspace::Workspace;

const HELP: &str = "\
Changes the checks of authflow-core one by one and runs the tests each time: a change that no test
notices is a check that nobody tests.

Usage: cargo xtask mutants [ARGUMENTS of cargo-mutants]

First each change meets the tests of authflow-core alone. What they miss then meets the suites of
authflow-testkit too, which take longer to build. .cargo/mutants.toml names the files, the tests and
the limits. The results are in mutants.out.
A whole run takes hours on two cores. Useful arguments:
  --list                           what would be changed
  --re 'core/src/flow/'            only these files
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
    let mutants = || workspace.cargo(&["mutants", "--package", "authflow-core", "--jobs", "2"]);
    let first = mutants().args(["--test-package", "authflow-core"]).args(passed_on).run();
    let only_listed = passed_on.iter().any(|argument| argument.starts_with("--list"));
    let missed =
        if only_listed { Vec::new() } else { missed(&workspace.root().join("mutants.out/missed.txt")) };
    if missed.is_empty() {
        return first;
    }
    // Named one by one: with --iterate, a shard would be another part of what is left.
    let names = missed.iter().flat_map(|name| ["--re".to_owned(), format!("^{}$", escaped(name))]);
    mutants().args(names).run().map_err(|failure| {
        Failure::new(format!(
            "{failure}\nmutants.out/missed.txt lists the changes that no test noticed: write a test for each, \
             or say in .cargo/mutants.toml why it does not matter"
        ))
    })
}

/// The names of the changes that no test noticed.
fn missed(file: &Path) -> Vec<String> {
    std::fs::read_to_string(file).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// A regular expression that matches `text` only.
fn escaped(text: &str) -> String {
    let mut expression = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        // Not these two: with a backslash they are the ends of a word.
        if c.is_ascii_punctuation() && !matches!(c, '<' | '>') {
            expression.push('\\');
        }
        expression.push(c);
    }
    expression
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn a_name_is_taken_as_it_is() {
        assert_eq!(
            escaped("a.rs:1: replace || with && in <T>::f"),
            r"a\.rs\:1\: replace \|\| with \&\& in <T>\:\:f"
        );
    }
}
