//! The keyring of this operating system.

use std::sync::Arc;

use keyring_core::{CredentialStore, Error, Result};

use super::error::KeyringError;

/// Opens it.
pub(super) fn open() -> std::result::Result<Arc<CredentialStore>, KeyringError> {
    native().map_err(|error| KeyringError::NoKeyring {
        source: match error {
            Error::PlatformFailure(source) | Error::NoStorageAccess(source) => source,
            other => other.to_string().into(),
        },
    })
}

#[cfg(target_os = "macos")]
fn native() -> Result<Arc<CredentialStore>> {
    Ok(apple_native_keyring_store::keychain::Store::new()?)
}

#[cfg(target_os = "windows")]
fn native() -> Result<Arc<CredentialStore>> {
    Ok(windows_native_keyring_store::Store::new()?)
}

#[cfg(all(unix, not(any(target_os = "macos", target_os = "ios", target_os = "android"))))]
fn native() -> Result<Arc<CredentialStore>> {
    Ok(zbus_secret_service_keyring_store::Store::new()?)
}

#[cfg(not(any(
    target_os = "macos",
    target_os = "windows",
    all(unix, not(any(target_os = "ios", target_os = "android")))
)))]
fn native() -> Result<Arc<CredentialStore>> {
    Err(Error::NotSupportedByStore("this system has no keyring that is known here".to_owned()))
}
