//! The declared `rust-version` of each crate, checked without the toolchain of that version.
//!
//! A build machine has one toolchain, so the crates cannot be compiled with their oldest one here. Three things
//! stand in its place: this step, which compares what the dependencies declare and looks for the new words of the language that
//! are written most; `clippy::incompatible_msrv`, on by default, which knows since when each item of std exists; and cargo
//! itself, which refuses an edition that the declared version does not know.

use std::path::Path;

use super::files::collect;
use crate::failure::Failure;
use crate::metadata::{Kind, Metadata, Package, RustVersion};
use crate::workspace::Workspace;

/// How a line begins or goes on that an older Rust cannot read, and since when it can be.
const WORDS: [(&str, RustVersion); 2] =
    [("&& let ", RustVersion(1, 88)), ("#[cfg(true)]", RustVersion(1, 88))];

pub(crate) fn run(workspace: &Workspace) -> Result<(), Failure> {
    let metadata = workspace.metadata()?;
    let mut findings = findings(metadata);
    for package in metadata.published() {
        findings.extend(new_words(package)?);
    }
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

/// What of the language a package uses that is newer than it declares.
fn new_words(package: &Package) -> Result<Vec<String>, Failure> {
    let sources = package.manifest.with_file_name("src");
    let mut files = Vec::new();
    collect(&sources, &mut files)?;
    let mut findings = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file)
            .map_err(|error| Failure::new(format!("cannot read {}: {error}", file.display())))?;
        findings.extend(newer_than(package, &file, &text));
    }
    Ok(findings)
}

fn newer_than(package: &Package, file: &Path, text: &str) -> Vec<String> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
    lines
        .filter_map(|(number, line)| {
            let declared = package.rust_version?;
            let (word, since) =
                WORDS.iter().find(|(word, since)| *since > declared && line.contains(word))?;
            let place = format!("{}:{}", file.display(), number + 1);
            Some(format!("{} declares Rust {declared}, and `{word}` in {place} needs {since}", package.name))
        })
        .collect()
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
    fn a_let_chain_is_found_where_it_is_too_new() {
        let text = "if a\n    && let Some(b) = c {}\n// && let Some\n";
        let found = |rust_version| {
            let package = Package { rust_version: Some(rust_version), ..sample("crates/core", "core", &[]) };
            newer_than(&package, Path::new("a.rs"), text)
        };
        assert_eq!(
            found(RustVersion(1, 85)),
            ["core declares Rust 1.85, and `&& let ` in a.rs:2 needs 1.88"]
        );
        assert!(found(RustVersion(1, 88)).is_empty());
    }

    #[test]
    fn a_crate_without_a_rust_version_is_found() {
        let metadata = sample_workspace(vec![Package { rust_version: None, ..sample("a", "a", &[]) }], &[]);
        assert_eq!(findings(&metadata), ["a declares no rust-version"]);
    }
}
