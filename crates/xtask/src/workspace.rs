//! Where the workspace is, and the commands that run in it.

use std::cell::OnceCell;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::metadata::Metadata;
use crate::process::Program;

#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
    metadata: OnceCell<Metadata>,
}

impl Workspace {
    pub(crate) fn open() -> Result<Self, Failure> {
        // Set by `cargo run`. A path fixed at compile time would be wrong in a moved checkout.
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR").ok_or_else(|| {
            Failure::usage("start this program as `cargo xtask`, so that it knows its workspace")
        })?;
        let manifest = PathBuf::from(manifest);
        let root = manifest
            .ancestors()
            .nth(2)
            .ok_or_else(|| Failure::new(format!("{} is not inside a workspace", manifest.display())))?;
        Ok(Self { root: root.to_owned(), metadata: OnceCell::new() })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A command in the workspace's root, which finds the tools that were installed for the workspace alone.
    pub(crate) fn program(&self, name: &str) -> Program {
        Program::new(name, &self.root).hidden_env("PATH", self.path())
    }

    pub(crate) fn cargo(&self, arguments: &[&str]) -> Program {
        let mut program = self.program("cargo").args(arguments);
        if std::env::var_os("CARGO_INCREMENTAL").is_none() && std::env::var_os("CI").is_some() {
            // From an empty target the incremental files cost time and disk, and nobody reads them again.
            program = program.hidden_env("CARGO_INCREMENTAL", "0");
        }
        program
    }

    /// The directory of tools that nothing else on the machine should see.
    pub(crate) fn tools(&self) -> PathBuf {
        self.root.join("target").join("tools")
    }

    fn path(&self) -> OsString {
        let own = self.tools().join("bin");
        let inherited = std::env::var_os("PATH").unwrap_or_default();
        let all = std::iter::once(own).chain(std::env::split_paths(&inherited));
        std::env::join_paths(all).unwrap_or(inherited)
    }

    /// `cargo metadata` with every feature and for every platform, read once.
    pub(crate) fn metadata(&self) -> Result<&Metadata, Failure> {
        if let Some(metadata) = self.metadata.get() {
            return Ok(metadata);
        }
        let text = self.cargo(&["metadata", "--format-version=1", "--locked", "--all-features"]).output()?;
        let metadata = Metadata::parse(&text)?;
        Ok(self.metadata.get_or_init(|| metadata))
    }
}
