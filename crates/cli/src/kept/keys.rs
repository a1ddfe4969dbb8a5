//! The keys that seal what is kept.
//!
//! They are in one of three places. Which one is decided once, when the first key is made, and is then found again: a key of
//! the keyring leaves a file without any secret under the home directory that says so. A session without the keyring, such as
//! one over SSH, then says where the key is, and makes no second one, with which nothing could be opened.

use std::path::PathBuf;

use authflow::{EnvKeys, Error, ErrorKind, FileKeys, KeyRing};

use super::home::Home;
use crate::failure::Failure;
use crate::terminal::note;

/// The environment variable with the keys.
const VARIABLE: &str = "AUTHFLOW_KEYS";
/// The file under the home directory.
const FILE: &str = "keys";

/// Whether the environment has them, readable or not.
pub(super) fn are_in_environment() -> bool {
    std::env::var_os(VARIABLE).is_some_and(|value| !value.is_empty())
}

/// The keys, from the first place that has them.
pub(super) async fn find(home: Option<&Home>) -> Result<Option<KeyRing>, Failure> {
    if are_in_environment() {
        return EnvKeys::new(VARIABLE).read().map(Some).map_err(usable);
    }
    let Some(home) = home else { return Ok(None) };
    if let Some(ring) = keyring::find(home).await? {
        return Ok(Some(ring));
    }
    let path = home.path().join(FILE);
    if is_missing(&path) {
        return Ok(None);
    }
    FileKeys::new(path).read().map(Some).map_err(usable)
}

/// Makes a key: in the keyring, and where there is none in a file. Says where it is.
pub(super) async fn make(home: &Home) -> Result<KeyRing, Failure> {
    if let Some(ring) = keyring::make(home).await? {
        note(
            "A sealing key was made; it is in the keyring of this system. Without it, nothing of what is kept can be read.",
        );
        return Ok(ring);
    }
    let path = home.path().join(FILE);
    let ring = FileKeys::new(&path).read_or_create().map_err(usable)?;
    note(format_args!(
        "No keyring is at hand, so the sealing key is in the file {} (mode 0600). Without it, nothing of what is kept can be \
         read.",
        path.display()
    ));
    Ok(ring)
}

fn is_missing(path: &PathBuf) -> bool {
    std::fs::symlink_metadata(path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

/// There is something that was sealed, and nothing to open it with. `option` names the store in a further command.
pub(super) fn lost(option: &str) -> Failure {
    let place = Home::find().map(|home| home.path().join(FILE).display().to_string());
    Failure::local(format!(
        "the keys are missing that connections were sealed with; nothing was changed or deleted. Set {VARIABLE} to them, or put \
         the key file back ({}). If they are lost for good, `authflow logout --all --forget{option}` forgets what nobody can \
         read any more, and then `authflow login` begins anew",
        place.as_deref().unwrap_or("`keys` under AUTHFLOW_HOME")
    ))
}

/// What a person has to change.
fn usable(error: Error) -> Failure {
    if error.kind() == ErrorKind::Configuration { Failure::unusable(error.to_string()) } else { error.into() }
}

#[cfg(feature = "keyring")]
mod keyring {
    use std::io::Write as _;
    use std::path::PathBuf;

    use authflow::KeyRing;
    use authflow_file::{KeyringError, KeyringKeys};

    use super::super::home::Home;
    use super::{VARIABLE, is_missing};
    use crate::failure::Failure;
    use crate::progress::telling;

    /// The file that says that the key is in the keyring.
    const MARKER: &str = "keyring";

    const ASKING: &str = "Asking the keyring for the sealing key; it may ask you to unlock it.";

    /// Each home has a key of its own.
    fn entry(home: &Home) -> KeyringKeys {
        KeyringKeys::new(format!("authflow-cli {}", home.path().display()))
    }

    fn marker(home: &Home) -> PathBuf {
        home.path().join(MARKER)
    }

    /// The key, if the first one was put there.
    pub(super) async fn find(home: &Home) -> Result<Option<KeyRing>, Failure> {
        if is_missing(&marker(home)) {
            return Ok(None);
        }
        let entry = entry(home);
        match ask(move || entry.read()).await? {
            Ok(ring) => Ok(Some(ring)),
            Err(error) => Err(Failure::local(format!(
                "the sealing key is in the keyring, as the file {} says, and cannot be had: {error}; {VARIABLE} takes it too. \
                 Nothing was changed",
                marker(home).display()
            ))),
        }
    }

    /// Makes a key; `None` where there is no keyring.
    pub(super) async fn make(home: &Home) -> Result<Option<KeyRing>, Failure> {
        let (entry, directory) = (entry(home), home.path().to_owned());
        match ask(move || entry.read_or_create(directory)).await? {
            Ok(ring) => {
                mark(home)?;
                Ok(Some(ring))
            }
            Err(KeyringError::NoKeyring { .. }) => Ok(None),
            // There is one: a key in a file would be less than what its user chose.
            Err(error) => Err(Failure::local(format!(
                "no sealing key could be made in the keyring: {error}; or set {VARIABLE} to a key, such as `k1:` and what \
                 `openssl rand -base64 32` prints"
            ))),
        }
    }

    fn mark(home: &Home) -> Result<(), Failure> {
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options
            .open(marker(home))
            .and_then(|mut file| {
                file.write_all(
                    b"The sealing key is in the keyring of the operating system: service authflow.\n",
                )?;
                file.sync_all()
            })
            .map_err(|error| {
                Failure::io("the file that says where the sealing key is could not be written", error)
            })
    }

    async fn ask<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
        let asked = telling(ASKING, tokio::task::spawn_blocking(work)).await;
        asked.map_err(|_| Failure::local("the keyring was not asked to the end"))
    }
}

#[cfg(not(feature = "keyring"))]
mod keyring {
    use authflow::KeyRing;

    use super::super::home::Home;
    use crate::failure::Failure;

    pub(super) async fn find(_: &Home) -> Result<Option<KeyRing>, Failure> {
        Ok(None)
    }

    pub(super) async fn make(_: &Home) -> Result<Option<KeyRing>, Failure> {
        Ok(None)
    }
}
