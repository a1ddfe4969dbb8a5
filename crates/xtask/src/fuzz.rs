//! `cargo xtask fuzz`: runs the fuzz targets for a while.

use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::tools::{self, Tool};
use crate::workspace::Workspace;

const HELP: &str = "\
Runs the fuzz targets, each for a while, from their committed seeds. Plain `cargo test` replays the
seeds; this looks for new ones.

Usage: cargo xtask fuzz [TARGET...] [--seconds N]

  TARGET...     only these targets; default: all
  --seconds N   how long each target runs; default: 60

It needs a nightly toolchain (`rustup toolchain install nightly`), for the fuzzer's instrumentation
is not in stable, and installs cargo-fuzz if it is missing.
";

pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<(), Failure> {
    if crate::asks_for_help(arguments) {
        print!("{HELP}");
        return Ok(());
    }
    let request = Request::parse(arguments)?;
    if !workspace.program("cargo").args(["+nightly", "--version"]).succeeds() {
        return Err(Failure::new("fuzzing needs a nightly toolchain: rustup toolchain install nightly"));
    }
    let folders = folders(workspace.root());
    if folders.is_empty() {
        return Err(Failure::new("no folder `fuzz` with a Cargo.toml in the root or in crates/*"));
    }
    tools::require(workspace, &[Tool::CargoFuzz])?;
    let mut known = Vec::new();
    let mut failures = Vec::new();
    for folder in &folders {
        let folder = folder.to_string_lossy();
        let listed = workspace.cargo(&["+nightly", "fuzz", "list", "--fuzz-dir", &folder]).output()?;
        for target in listed.split_whitespace() {
            known.push(target.to_owned());
            if !request.wants(target) {
                continue;
            }
            let seconds = format!("-max_total_time={}", request.seconds);
            let run = ["+nightly", "fuzz", "run", "--fuzz-dir", &folder, target, "--", &seconds];
            if let Err(failure) = workspace.cargo(&run).run() {
                failures.push(failure.to_string());
            }
        }
    }
    if let Some(unknown) = request.targets.iter().find(|target| !known.contains(target)) {
        return Err(Failure::usage(format!(
            "there is no target `{unknown}`; the targets are {}",
            known.join(", ")
        )));
    }
    if failures.is_empty() { Ok(()) } else { Err(Failure::list("these targets found something:", &failures)) }
}

#[derive(Debug, PartialEq, Eq)]
struct Request {
    targets: Vec<String>,
    seconds: u32,
}

impl Request {
    fn parse(arguments: &[String]) -> Result<Self, Failure> {
        let mut request = Self { targets: Vec::new(), seconds: 60 };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--seconds" => {
                    request.seconds = arguments
                        .next()
                        .and_then(|number| number.parse().ok())
                        .ok_or_else(|| Failure::usage("--seconds takes a whole number of seconds"))?;
                }
                option if option.starts_with('-') => {
                    return Err(Failure::usage(format!("`cargo xtask fuzz` has no option `{option}`")));
                }
                target => request.targets.push(target.to_owned()),
            }
        }
        Ok(request)
    }

    fn wants(&self, target: &str) -> bool {
        self.targets.is_empty() || self.targets.iter().any(|wanted| wanted == target)
    }
}

fn folders(root: &Path) -> Vec<PathBuf> {
    let crates =
        std::fs::read_dir(root.join("crates")).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut folders: Vec<PathBuf> = std::iter::once(root.to_owned())
        .chain(crates)
        .map(|parent| parent.join("fuzz"))
        .filter(|folder| folder.join("Cargo.toml").is_file())
        .collect();
    folders.sort();
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Request, Failure> {
        Request::parse(&arguments.iter().map(|argument| (*argument).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn targets_and_seconds_are_read() {
        let request = parse(&["callback", "--seconds", "5"]).unwrap();
        assert_eq!(request, Request { targets: vec!["callback".to_owned()], seconds: 5 });
        assert!(request.wants("callback") && !request.wants("token_response"));
        assert!(parse(&[]).unwrap().wants("callback"));
    }

    #[test]
    fn mistakes_are_refused() {
        assert!(parse(&["--seconds"]).is_err());
        assert!(parse(&["--seconds", "soon"]).is_err());
        assert!(parse(&["--forever"]).unwrap_err().to_string().contains("--forever"));
    }
}
