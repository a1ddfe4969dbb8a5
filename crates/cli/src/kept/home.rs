//! The directory of the program's own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;

use super::quoted;
use crate::failure::Failure;

/// The environment variable that names it.
const VARIABLE: &str = "AUTHFLOW_HOME";

/// `AUTHFLOW_HOME`, or `authflow` in the platform's configuration directory. Only its owner may use it.
#[derive(Clone, Debug)]
pub(crate) struct Home(PathBuf);

impl Home {
    /// Where it is, whether or not it is there.
    pub(crate) fn find() -> Result<Self, Failure> {
        if let Some(path) = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
            // What is kept must not depend on where a command is run.
            return std::path::absolute(&path).map(Self).map_err(|error| {
                Failure::unusable(format!(
                    "{VARIABLE} cannot be used ({error}); give it the path of a directory"
                ))
            });
        }
        match etcetera::choose_base_strategy() {
            Ok(strategy) => Ok(Self(strategy.config_dir().join("authflow"))),
            Err(_) => Err(Failure::unusable(format!(
                "this user has no home directory, so there is no place to keep connections: set {VARIABLE} to a directory"
            ))),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Makes it if it is not there, for nobody but the user. Refuses one that others may use.
    pub(crate) fn make(&self) -> Result<(), Failure> {
        if self.check()? {
            return Ok(());
        }
        let make = || {
            if let Some(parent) = self.0.parent() {
                fs::create_dir_all(parent)?;
            }
            let mut builder = fs::DirBuilder::new();
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            match builder.create(&self.0) {
                // Another process was first.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                made => made,
            }
        };
        make().map_err(|error| self.failed("could not be made", &error))?;
        self.check().map(drop)
    }

    /// Whether it is there. Refuses one that others than its owner may use.
    pub(crate) fn check(&self) -> Result<bool, Failure> {
        let found = match fs::metadata(&self.0) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(self.failed("cannot be looked at", &error)),
        };
        if !found.is_dir() {
            return Err(Failure::unusable(format!(
                "{} is no directory; set {VARIABLE} to one, or to a path where one can be made",
                self.0.display()
            )));
        }
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::MetadataExt::mode(&found) & 0o7777;
            if mode & 0o077 != 0 {
                return Err(Failure::unusable(format!(
                    "others than its owner may use the directory {}: its mode is {mode:04o}. Nothing was read or written. \
                     Run:\n  chmod 700 {}",
                    self.0.display(),
                    quoted(&self.0.to_string_lossy())
                )));
            }
        }
        Ok(true)
    }

    fn failed(&self, what: &str, error: &io::Error) -> Failure {
        Failure::unusable(format!(
            "the directory {} {what} ({error}); {VARIABLE} can name another one",
            self.0.display()
        ))
    }
}
