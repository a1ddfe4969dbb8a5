//! Features add, and never need each other: every crate compiles with none of its features, with each alone, and
//! with all.
//!
//! Clippy in place of `cargo check`, for it reuses what the lint step has built, and a warning (an import that is
//! unused without some feature) fails it, which for `cargo check` takes flags that rebuild every dependency.

use std::collections::BTreeSet;

use crate::failure::Failure;
use crate::workspace::Workspace;

pub(crate) fn run(workspace: &Workspace) -> Result<(), Failure> {
    let metadata = workspace.metadata()?;
    let mut failures = Vec::new();
    for package in metadata.published().filter(|package| !package.features.is_empty()) {
        for set in sets(&package.features) {
            let mut command = workspace.cargo(&["clippy", "--locked", "--quiet", "-p", &package.name]);
            command = match &set {
                Set::None => command.arg("--no-default-features"),
                Set::One(feature) => command.args(["--no-default-features", "--features", feature]),
                Set::All => command.arg("--all-features"),
            };
            if let Err(failure) = command.args(["--", "-D", "warnings"]).run() {
                failures.push(failure.to_string());
            }
        }
    }
    if failures.is_empty() {
        Ok(())
    } else {
        Err(Failure::list("these sets of features do not hold:", &failures))
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Set<'a> {
    None,
    One(&'a str),
    All,
}

fn sets(features: &BTreeSet<String>) -> Vec<Set<'_>> {
    let mut sets = vec![Set::None];
    sets.extend(features.iter().map(|feature| Set::One(feature)));
    sets.push(Set::All);
    sets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_then_each_alone_then_all() {
        let features = BTreeSet::from(["default".to_owned(), "redis".to_owned()]);
        assert_eq!(sets(&features), [Set::None, Set::One("default"), Set::One("redis"), Set::All]);
    }
}
