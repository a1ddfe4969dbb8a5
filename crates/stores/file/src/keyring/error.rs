//! What can go wrong with a keyring, and what a person can do about it.

use authflow_core::{Error, ErrorKind};

use crate::error::FileStoreError;

type Source = Box<dyn std::error::Error + Send + Sync + 'static>;

/// Why a key ring could not be got from the keyring. It holds no key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// The system has no keyring, or none that this session reaches.
    #[error(
        "no keyring answers; start one (GNOME Keyring, KDE Wallet or KeePassXC, in the session of the user), or keep the \
         sealing key in an environment variable or in a file with mode 0600"
    )]
    NoKeyring {
        /// What the system said.
        source: Source,
    },
    /// The keyring is locked and its user did not unlock it, or it fails.
    #[error("the keyring refuses; unlock it and try again")]
    Refused {
        /// What the keyring said.
        source: Source,
    },
    /// There is no such entry: no key was made yet, or somebody deleted it.
    #[error("the keyring has no sealing key under this name; make one with read_or_create")]
    NoEntry,
    /// There are several such entries, and any of them may be the one that sealed.
    #[error(
        "the keyring has several sealing keys under this name; remove all but the one that was made first"
    )]
    Ambiguous,
    /// What the entry holds is no key ring.
    #[error("what the keyring has under this name is no key ring; something else wrote it")]
    NotAKeyRing {
        /// Which part of it is wrong, where that is known.
        source: Option<Error>,
    },
    /// The keyring took a new key and did not give it back.
    #[error("the keyring did not keep a new sealing key; nothing was sealed with it")]
    NotKept,
    /// No key could be made.
    #[error("no sealing key could be made")]
    NoKey {
        /// Why.
        source: Error,
    },
    /// The lock could not be taken under which a key is made.
    #[error(transparent)]
    Lock(#[from] FileStoreError),
}

impl From<KeyringError> for Error {
    fn from(error: KeyringError) -> Self {
        let kind = match &error {
            KeyringError::Refused { .. } | KeyringError::NotKept | KeyringError::Lock(_) => {
                ErrorKind::KeysUnavailable
            }
            KeyringError::NoKey { .. } => ErrorKind::Randomness,
            _ => ErrorKind::Configuration,
        };
        Self::new(kind, error.to_string()).with_source(error)
    }
}

/// An error of the driver. Some of its kinds carry what was stored: of these only the kind is kept.
pub(super) fn of_the_keyring(error: keyring_core::Error) -> KeyringError {
    match error {
        keyring_core::Error::NoEntry => KeyringError::NoEntry,
        keyring_core::Error::Ambiguous(_) => KeyringError::Ambiguous,
        keyring_core::Error::BadEncoding(_) | keyring_core::Error::BadDataFormat(..) => {
            KeyringError::NotAKeyRing { source: None }
        }
        keyring_core::Error::NoDefaultStore => KeyringError::NoKeyring { source: "none was opened".into() },
        keyring_core::Error::PlatformFailure(source) | keyring_core::Error::NoStorageAccess(source) => {
            KeyringError::Refused { source }
        }
        other => KeyringError::Refused { source: other.to_string().into() },
    }
}
