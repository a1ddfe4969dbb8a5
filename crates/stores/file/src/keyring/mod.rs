//! The sealing key in the keyring of the operating system.

mod error;
mod platform;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use authflow_core::{Error, ErrorKind, KeyRing, KeySource, Result};
use keyring_core::{CredentialStore, Entry};
use zeroize::Zeroizing;

pub use self::error::KeyringError;
use crate::error::{Doing, FileStoreError};
use crate::system::{Dir, LockFile};

/// A key ring in the keyring of the operating system: the Secret Service on Linux and other free systems (GNOME Keyring, KDE
/// Wallet, KeePassXC), the Keychain on macOS, the Credential Manager on Windows.
///
/// Where there is no keyring, or where it is locked, each use fails with a [`KeyringError`]. Nothing is ever written
/// somewhere else instead.
///
/// ```no_run
/// use authflow_core::Keys;
/// use authflow_file::{FileTokenStore, KeyringKeys};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let store = FileTokenStore::open("/home/me/.local/share/example/connections").await?;
/// let keyring = KeyringKeys::new("example");
/// let lock = store.directory().to_owned();
/// tokio::task::spawn_blocking({
///     let keyring = keyring.clone();
///     move || keyring.read_or_create(lock)
/// })
/// .await??;
/// let keys = Keys::new(keyring);
/// # let _ = keys;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct KeyringKeys {
    account: Box<str>,
    opener: Arc<Opener>,
}

/// Opens the keyring. It is opened for each use: one that was not there may have come, and one that was may be gone.
type Opener = dyn Fn() -> std::result::Result<Arc<CredentialStore>, KeyringError> + Send + Sync;

/// Under which name the entry is filed, beside the account.
const SERVICE: &str = "authflow";
/// The file that is locked while an entry is made.
const LOCK: &str = "keyring.lock";

impl KeyringKeys {
    /// The entry `account` of the service `authflow`. Two applications that have different keys have different accounts.
    pub fn new(account: impl Into<Box<str>>) -> Self {
        Self::opened_by(account, platform::open)
    }

    fn opened_by(
        account: impl Into<Box<str>>,
        opener: impl Fn() -> std::result::Result<Arc<CredentialStore>, KeyringError> + Send + Sync + 'static,
    ) -> Self {
        Self { account: account.into(), opener: Arc::new(opener) }
    }

    /// Reads the key ring. It blocks, for as long as the keyring asks its user to unlock it.
    ///
    /// # Errors
    ///
    /// Every [`KeyringError`]; [`NoEntry`](KeyringError::NoEntry) if nothing was stored yet.
    pub fn read(&self) -> std::result::Result<KeyRing, KeyringError> {
        let source = self.clone();
        on_a_thread(move || source.read_now())
    }

    /// Reads the key ring; where there is none, makes one with a new key. It blocks as [`read`](Self::read) does.
    ///
    /// A keyring has no "write if there is none". So that of several processes that do this at once none seals with a key that
    /// another one overwrites, they do it one after the other: each locks the file `keyring.lock` in `directory`, which is
    /// made with mode 0700 where it is missing. All processes that use this entry name the same directory, such as that of
    /// the [`FileTokenStore`](crate::FileTokenStore).
    ///
    /// # Errors
    ///
    /// Every [`KeyringError`] but [`NoEntry`](KeyringError::NoEntry).
    pub fn read_or_create(&self, directory: impl AsRef<Path>) -> std::result::Result<KeyRing, KeyringError> {
        let (source, directory) = (self.clone(), directory.as_ref().to_owned());
        on_a_thread(move || match source.read_now() {
            Err(KeyringError::NoEntry) => source.create(&directory),
            other => other,
        })
    }

    fn read_now(&self) -> std::result::Result<KeyRing, KeyringError> {
        let bytes = Zeroizing::new(self.entry()?.get_secret().map_err(error::of_the_keyring)?);
        let text = std::str::from_utf8(&bytes).map_err(|_| KeyringError::NotAKeyRing { source: None })?;
        KeyRing::parse(text).map_err(|error| KeyringError::NotAKeyRing { source: Some(error) })
    }

    fn create(&self, directory: &Path) -> std::result::Result<KeyRing, KeyringError> {
        Dir::make_root(directory)?;
        let directory = Dir::open_root(directory)?;
        let failed = |error: std::io::Error| FileStoreError::io(Doing::Lock, directory.path(LOCK), error);
        let lock = directory.open_lock(LOCK, LockFile::Made)?;
        let lock = lock.ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))?;
        fs4::FileExt::lock(&lock).map_err(failed)?;
        // Whoever had the lock before may have made it.
        match self.read_now() {
            Err(KeyringError::NoEntry) => {}
            other => return other,
        }
        let ring = KeyRing::generate().map_err(|source| KeyringError::NoKey { source })?;
        self.entry()?.set_secret(ring.to_text().expose().as_bytes()).map_err(error::of_the_keyring)?;
        // What is used is what the keyring gives back: a keyring that forgets is found out before anything is sealed.
        match self.read_now() {
            Ok(kept) if kept.to_text().ct_eq(ring.to_text().expose()) => Ok(kept),
            Ok(_) | Err(KeyringError::NoEntry) => Err(KeyringError::NotKept),
            Err(error) => Err(error),
        }
    }

    fn entry(&self) -> std::result::Result<Entry, KeyringError> {
        (self.opener)()?.build(SERVICE, &self.account, None).map_err(error::of_the_keyring)
    }
}

impl fmt::Debug for KeyringKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyringKeys").field("account", &self.account).finish_non_exhaustive()
    }
}

#[async_trait]
impl KeySource for KeyringKeys {
    async fn key_ring(&self) -> Result<KeyRing> {
        let source = self.clone();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        // Not a thread of the runtime: a keyring may ask its user for as long as it likes, and a runtime that ends waits for
        // its own.
        spawn(move || {
            // Whoever asked may have gone.
            let _ = sender.send(source.read_now());
        })?;
        let answer = receiver.await.map_err(|error| {
            Error::new(ErrorKind::KeysUnavailable, "the keyring was not read to the end").with_source(error)
        })?;
        Ok(answer?)
    }
}

/// The driver of the keyring runs its own runtime, which may not be done on a thread of another one.
fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> std::result::Result<T, KeyringError> + Send + 'static,
) -> std::result::Result<T, KeyringError> {
    let ended = spawn(work)?.join();
    ended.unwrap_or_else(|_| Err(KeyringError::Refused { source: "its driver panicked".into() }))
}

fn spawn<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> std::result::Result<std::thread::JoinHandle<T>, KeyringError> {
    std::thread::Builder::new()
        .name("authflow-keyring".to_owned())
        .spawn(work)
        .map_err(|error| KeyringError::Refused { source: error.into() })
}
