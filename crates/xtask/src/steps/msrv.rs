//! The declared `rust-version` of each crate, checked without the toolchain of that version.
//!
//! A build machine has one toolchain, so the crates cannot be compiled with their oldest one here. Three things
//! stand in its place: this step, which compares what the dependencies declare; `clippy::incompatible_msrv`, on by
//! default, which knows since when each item of std exists; and cargo itself, which refuses an edition that the
//! declared version does not know.
//!
//! None of them sees a feature of the language that is newer than the declared version, such as let chains
//! (Rust 1.88). Only a build with that version does.

use crate::failure::Failure;
use crate::metadata::{Kind, Metadata, Package};
use crate::workspace::Workspace;

pub(crate) fn run(workspace: &Workspace) -> Result<(), Failure> {
    let metadata = workspace.metadata()?;
    let findings = findings(metadata);
    if !findings.is_empty() {
        return Err(Failure::list("these need a newer Rust than is declared:", &findings));
    }
    for package in metadata.published() {
        if let Some(declared) = package.rust_version {
            println!("{:<24} Rust {declared}", package.name);
        }
    }
    Ok(())
}

fn findings(metadata: &Metadata) -> Vec<String> {
    let mut findings = Vec::new();
    for package in metadata.published() {
        let Some(declared) = package.rust_version else {
            findings.push(format!("{} declares no rust-version", package.name));
            continue;
        };
        for needed in metadata.compiled_with(package, |from, to| !raises_the_floor(from, to)) {
            // A crate that declares nothing is older than the field, or promises nothing.
            if let Some(wanted) = needed.rust_version.filter(|wanted| *wanted > declared) {
                findings.push(format!(
                    "{} declares Rust {declared}, but {} {} asks for {wanted}",
                    package.name, needed.name, needed.version
                ));
            }
        }
    }
    findings
}

/// An optional crate of ours may ask for a newer Rust than the crate that offers it: who turns the feature on is
/// told so by that crate's own `rust-version`, and that crate is checked on its own.
fn raises_the_floor(from: &Package, to: &Package) -> bool {
    from.ours
        && to.ours
        && to.rust_version > from.rust_version
        && from
            .dependencies
            .iter()
            .filter(|dependency| dependency.name == to.name && dependency.kind != Kind::Dev)
            .all(|dependency| dependency.optional)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::RustVersion;
    use crate::metadata::tests::{sample, sample_workspace};

    fn foreign(name: &str, rust_version: Option<RustVersion>) -> Package {
        Package { ours: false, published: true, rust_version, ..sample("x", name, &[]) }
    }

    #[test]
    fn a_newer_dependency_is_found_through_another() {
        let core = sample("crates/core", "core", &[("a", Kind::Normal, false)]);
        let metadata = sample_workspace(
            vec![core, foreign("a", None), foreign("b", Some(RustVersion(1, 86)))],
            &[("core", "a", Kind::Normal), ("a", "b", Kind::Build)],
        );
        assert_eq!(findings(&metadata), ["core declares Rust 1.85, but b 0.1.0 asks for 1.86"]);
    }

    #[test]
    fn a_dependency_of_tests_may_be_newer() {
        let core = sample("crates/core", "core", &[("a", Kind::Dev, false)]);
        let metadata =
            sample_workspace(vec![core, foreign("a", Some(RustVersion(1, 90)))], &[("core", "a", Kind::Dev)]);
        assert_eq!(findings(&metadata), Vec::<String>::new());
    }

    #[test]
    fn only_an_optional_crate_of_ours_may_raise_the_floor() {
        for (optional, expected) in [(true, 0), (false, 1)] {
            let facade = sample("crates/facade", "facade", &[("store", Kind::Normal, optional)]);
            let store =
                Package { rust_version: Some(RustVersion(1, 88)), ..sample("crates/store", "store", &[]) };
            let metadata = sample_workspace(vec![facade, store], &[("facade", "store", Kind::Normal)]);
            assert_eq!(findings(&metadata).len(), expected);
        }
    }

    #[test]
    fn a_crate_without_a_rust_version_is_found() {
        let metadata = sample_workspace(vec![Package { rust_version: None, ..sample("a", "a", &[]) }], &[]);
        assert_eq!(findings(&metadata), ["a declares no rust-version"]);
    }
}
