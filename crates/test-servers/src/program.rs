//! Where programs are, and as whom they run.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::directory::Directory;

/// A program, and what has to be said where it is missing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    /// The package of Debian that has it.
    pub(crate) package: &'static str,
    /// As whom it runs where this process is root: most servers refuse to be root.
    pub(crate) user: Option<&'static str>,
}

impl Program {
    pub(crate) fn missing(&self) -> String {
        format!("{} is needed: apt-get install {}", self.name, self.package)
    }

    /// The same package's and user's.
    pub(crate) const fn beside(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    pub(crate) fn command(&self) -> Command {
        let path = self.path();
        let mut command = match self.user {
            Some(user) if is_root() => {
                // The child has to be the program itself, so that it can be killed: `setpriv` becomes what it starts.
                let mut command = Command::new("setpriv");
                command.arg(format!("--reuid={user}")).arg(format!("--regid={user}"));
                command.args(["--clear-groups", "--"]).arg(path);
                command
            }
            _ => Command::new(path),
        };
        command.current_dir("/");
        command
    }

    /// Runs it to its end, whatever that is.
    pub(crate) fn output(&self, args: &[&str]) -> Output {
        self.command().args(args).output().unwrap_or_else(|error| panic!("{}: {error}", self.missing()))
    }

    /// Runs it to its end, which has to be a good one.
    pub(crate) fn run(&self, args: &[&str]) {
        let output = self.output(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} fails ({}): {said}", self.name, self.missing());
    }

    pub(crate) fn is_installed(&self) -> bool {
        Command::new(self.path()).arg("--version").output().is_ok()
    }

    /// A directory that its user may write to.
    pub(crate) fn directory(&self) -> Directory {
        self.directory_in(&std::env::temp_dir())
    }

    /// The same, in another place than usual.
    pub(crate) fn directory_in(&self, place: &Path) -> Directory {
        let dir = Directory::within(place);
        self.give(dir.path());
        dir
    }

    /// Makes a directory its user's.
    pub(crate) fn give(&self, dir: &Path) {
        if let Some(user) = self.user.filter(|_| is_root()) {
            let given = Command::new("chown").arg(format!("{user}:{user}")).arg(dir).status();
            assert!(given.unwrap().success(), "there is no user {user}: {}", self.missing());
        }
    }

    /// Debian keeps PostgreSQL's programs in a folder for each version, and other servers where only root looks for them.
    fn path(&self) -> PathBuf {
        let folders = newest_postgres().into_iter().chain([PathBuf::from("/usr/sbin")]);
        let found = folders.map(|folder| folder.join(self.name)).find(|path| path.exists());
        found.unwrap_or_else(|| PathBuf::from(self.name))
    }
}

fn newest_postgres() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let numbered = versions.map(|version| {
        let name = version.file_name();
        let number = name.to_string_lossy().split('.').next().and_then(|major| major.parse::<u32>().ok());
        (number, version.path().join("bin"))
    });
    numbered.max().map(|(_, folder)| folder)
}

fn is_root() -> bool {
    user() == 0
}

/// Whose process this is.
pub(crate) fn user() -> u32 {
    use std::os::unix::fs::MetadataExt as _;
    tempfile::tempfile().unwrap().metadata().unwrap().uid()
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}
