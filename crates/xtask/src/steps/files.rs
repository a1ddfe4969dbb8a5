//! What a reader meets: files of a readable size, nothing left undone, and the files every repository needs.

use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::workspace::Workspace;

const MOST_LINES: usize = 800;

/// Pieced together, so that this file does not find itself.
const UNDONE: [&str; 5] = [
    concat!("FIX", "ME"),
    concat!("to", "do!("),
    concat!("unimple", "mented!("),
    concat!("#[ig", "nore"),
    concat!("dbg", "!("),
];

const REQUIRED: [&str; 8] = [
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "Cargo.lock",
    ".ci/run",
];

pub(crate) fn run(workspace: &Workspace) -> Result<(), Failure> {
    let root = workspace.root();
    let mut findings: Vec<String> = REQUIRED
        .iter()
        .filter(|name| !root.join(name).is_file())
        .map(|name| format!("{name} is missing"))
        .collect();
    let mut files = Vec::new();
    collect(root, &mut files)?;
    files.sort();
    for path in &files {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display())))?;
        let shown = path.strip_prefix(root).unwrap_or(path).display().to_string();
        findings.extend(judge(&shown, &text));
    }
    if !findings.is_empty() {
        return Err(Failure::list("these files need work:", &findings));
    }
    println!("{} Rust files, none over {MOST_LINES} lines", files.len());
    Ok(())
}

fn judge(shown: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    let lines = text.lines().count();
    if lines > MOST_LINES {
        findings.push(format!("{shown} has {lines} lines; split it below {MOST_LINES}"));
    }
    for (number, line) in text.lines().enumerate() {
        for mark in UNDONE.iter().filter(|mark| line.contains(**mark)) {
            findings.push(format!("{shown}:{} has `{mark}`", number + 1));
        }
    }
    findings
}

/// The Rust files of the checkout, without what builds and package managers put there.
pub(super) fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let io = |error: std::io::Error| Failure::new(format!("cannot list {}: {error}", folder.display()));
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let kind = entry.file_type().map_err(io)?;
        if kind.is_dir() {
            if !name.starts_with('.') && name != "target" && name != "node_modules" {
                collect(&entry.path(), files)?;
            }
        } else if kind.is_file() && name.ends_with(".rs") {
            files.push(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_is_found_and_the_longest_allowed_is_not() {
        assert_eq!(judge("a.rs", &"\n".repeat(MOST_LINES)), Vec::<String>::new());
        assert_eq!(judge("a.rs", &"\n".repeat(MOST_LINES + 1)), ["a.rs has 801 lines; split it below 800"]);
    }

    /// The libraries that are no tools for tests. The lints are warnings, and the step `clippy` denies those.
    #[test]
    fn h6_the_lints_of_every_library_find_what_panics() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let manifest = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
        for lint in ["unwrap_used = \"warn\"", "expect_used = \"warn\"", "unsafe_code = \"forbid\""] {
            assert!(manifest.lines().any(|line| line == lint), "{lint}");
        }
        let mut files = Vec::new();
        collect(&root.join("crates"), &mut files).unwrap();
        let tools = ["bench", "fuzz", "test-servers", "testkit"];
        let inside = |path: &Path| path.strip_prefix(&root).unwrap().to_owned();
        let is_tool = |path: &Path| inside(path).iter().any(|name| tools.iter().any(|tool| name == *tool));
        let libraries: Vec<_> =
            files.iter().filter(|path| path.ends_with("src/lib.rs") && !is_tool(path)).collect();
        assert!(libraries.len() >= 14, "{libraries:?}");
        for library in libraries {
            let text = std::fs::read_to_string(library).unwrap();
            let lints = "    not(test),\n    warn(clippy::indexing_slicing, clippy::panic, clippy::string_slice, \
                         clippy::unreachable)\n";
            assert!(text.contains(lints), "{}", library.display());
            let manifest = std::fs::read_to_string(library.with_file_name("../Cargo.toml")).unwrap();
            assert!(manifest.contains("[lints]\nworkspace = true"), "{}", library.display());
        }
    }

    #[test]
    fn what_is_left_undone_is_found_with_its_line() {
        for mark in UNDONE {
            assert_eq!(judge("a.rs", &format!("fine\n  {mark}")), [format!("a.rs:2 has `{mark}`")]);
        }
    }
}
