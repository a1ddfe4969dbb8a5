//! Records in few words, and what is said where one cannot be had.

use std::time::Duration;

use authflow_core::{
    ConnectionKey, Incarnation, LeaseHolder, LeaseRequest, SealedBytes, StoreError, StoreErrorKind,
    TokenStore as _, User, Version, Write,
};
use authflow_file::FileTokenStore;
use authflow_testkit::conformance::token_store::check_error;

/// For leases and tombstones that last as long as a test.
pub(crate) const LONG: Duration = Duration::from_secs(600);
pub(crate) const SEALED: &[u8] = b"planted-sealed-bytes";

pub(crate) fn key(account: &str) -> ConnectionKey {
    ConnectionKey::new(&User::new("planted-tenant", "planted-user"), "p").with_account(account)
}

pub(crate) fn write(bytes: &[u8]) -> Write {
    Write::new(SealedBytes::new(bytes.to_vec()))
}

pub(crate) async fn connect(store: &FileTokenStore, key: &ConnectionKey) -> Version {
    store.put(key, Incarnation::random().unwrap(), write(SEALED)).await.unwrap()
}

pub(crate) fn lease() -> LeaseRequest {
    LeaseRequest::new(LeaseHolder::random().unwrap(), LONG)
}

/// That nothing was done, and what the source says.
pub(crate) fn unavailable<T: std::fmt::Debug>(result: Result<T, StoreError>) -> String {
    failed(result, StoreErrorKind::Unavailable)
}

pub(crate) fn failed<T: std::fmt::Debug>(result: Result<T, StoreError>, kind: StoreErrorKind) -> String {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), kind, "{error:?}");
    check_error(&error, &key("planted-account"), SEALED).unwrap();
    let mut words = String::new();
    let mut source = std::error::Error::source(&error);
    while let Some(error) = source {
        words.push_str(&format!("{error}\n"));
        source = error.source();
    }
    words
}
