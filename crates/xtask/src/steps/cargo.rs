//! The steps that are one command of cargo.

use crate::failure::Failure;
use crate::workspace::Workspace;

pub(crate) fn fmt(workspace: &Workspace) -> Result<(), Failure> {
    workspace.cargo(&["fmt", "--all", "--check"]).run()
}

pub(crate) fn clippy(workspace: &Workspace) -> Result<(), Failure> {
    workspace
        .cargo(&[
            "clippy",
            "--locked",
            "--workspace",
            "--all-targets",
            "--all-features",
            "--",
            "-D",
            "warnings",
        ])
        .run()
}

/// One failing test binary must not hide what the others say. Runs the documentation examples too.
///
/// What a crate does without a feature is not there when all features are on, so those tests are commands of their
/// own. They come first: a log ends with the lines of all the others.
pub(crate) fn test(workspace: &Workspace) -> Result<(), Failure> {
    let without_features = WITHOUT_FEATURES.map(|(package, test)| {
        workspace
            .cargo(&["test", "--locked", "--quiet", "-p", package])
            .args(["--no-default-features", "--test", test])
            .run_tests()
    });
    workspace.cargo(&["test", "--locked", "--workspace", "--all-features", "--no-fail-fast"]).run_tests()?;
    without_features.into_iter().collect()
}

/// Tests that say something of their own where their crate has no feature.
const WITHOUT_FEATURES: [(&str, &str); 2] =
    [("authflow-core", "defaults"), ("authflow-reqwest", "compressed_without_feature")];

/// The states, and the many connections that expire together, that an ordinary test run leaves out, as they take minutes
/// where nothing is optimized.
pub(crate) fn model(workspace: &Workspace) -> Result<(), Failure> {
    // Cargo is content with tests that are not there.
    let explored = optimized(workspace, &["--lib", "refresh_model"])?.matches(" states, ").count();
    if explored != 4 {
        return Err(Failure::new(format!("{explored} of 4 providers were explored")));
    }
    let together = ["--test", "pace", "x24_what_is_due_together_is_swept_and_the_bound_is_kept"];
    if optimized(workspace, &together)?.contains("100000 connections") {
        return Ok(());
    }
    Err(Failure::new("100,000 connections did not expire together"))
}

fn optimized(workspace: &Workspace, which: &[&str]) -> Result<String, Failure> {
    let build = ["test", "--locked", "--profile", "model", "-p", "authflow-core", "--no-default-features"];
    let build = workspace.cargo(&build).args(["--features", "connections"]);
    // Two providers are explored at a time: each is kept in memory, and the largest takes about as long as all others.
    let printed = build.args(which).args(["--", "--nocapture", "--test-threads", "2"]).output()?;
    print!("{printed}");
    Ok(printed)
}

/// Programs first: the program and the facade are both called authflow, and the page that stays must be the
/// library's.
pub(crate) fn doc(workspace: &Workspace) -> Result<(), Failure> {
    for targets in ["--bins", "--lib"] {
        workspace
            .cargo(&[
                "doc",
                "--locked",
                "--no-deps",
                "--workspace",
                "--all-features",
                "--document-private-items",
            ])
            .arg(targets)
            .env("RUSTDOCFLAGS", "-D warnings")
            .run()?;
    }
    Ok(())
}

/// Advisories are a step of their own: their database is a repository on github.com, which a build machine need
/// not reach, and a new advisory is news about the world, not about the change that is being tested.
pub(crate) fn deny(workspace: &Workspace) -> Result<(), Failure> {
    workspace
        .cargo(&[
            "deny",
            "--locked",
            "--all-features",
            "check",
            "--hide-inclusion-graph",
            "bans",
            "licenses",
            "sources",
        ])
        .run()
}

pub(crate) fn advisories(workspace: &Workspace) -> Result<(), Failure> {
    workspace.cargo(&["deny", "--locked", "--all-features", "check", "advisories"]).run()
}

/// The README's first command as it stands there, then with each personality by name.
pub(crate) fn demo(workspace: &Workspace) -> Result<(), Failure> {
    let command = ["run", "--locked", "-p", "authflow-cli", "--", "demo"];
    workspace.cargo(&command).arg("--headless").run()?;
    for personality in ["stackexchange", "contentstack", "rfc"] {
        let journey = workspace.cargo(&command).args([personality, "--headless"]).output()?;
        println!("{journey}");
        if journey.trim().is_empty() {
            return Err(Failure::new(format!(
                "`demo {personality} --headless` ended well and showed nothing"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h7_the_defaults_are_tried_without_features_too() {
        assert!(WITHOUT_FEATURES.contains(&("authflow-core", "defaults")));
    }
}
