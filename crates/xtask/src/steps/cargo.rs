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
/// What a crate does without a feature is not there when all features are on, so those tests are a command of their
/// own. It comes first: a log ends with the lines of all the others.
pub(crate) fn test(workspace: &Workspace) -> Result<(), Failure> {
    let without_feature = workspace
        .cargo(&["test", "--locked", "--quiet", "-p", "authflow-reqwest"])
        .args(["--no-default-features", "--test", "compressed_without_feature"])
        .run();
    workspace.cargo(&["test", "--locked", "--workspace", "--all-features", "--no-fail-fast"]).run()?;
    without_feature
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
