//! Pending flows in few words.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use authflow_core::http::Extensions;
use authflow_core::{PendingFlow, StateContext, StateKey, StateStore as _, StoreError, StoreErrorKind};
use authflow_file::FileStateStore;
use authflow_testkit::conformance::state_store::check_error;

/// For flows that last as long as a test.
pub(crate) const LONG: Duration = Duration::from_secs(600);

pub(crate) fn key(number: u64) -> StateKey {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    StateKey::from_bytes(bytes)
}

pub(crate) fn flow() -> PendingFlow {
    let mut flow = PendingFlow::new("p", "https://app.example/callback", SystemTime::UNIX_EPOCH, LONG);
    flow.nonce = Some("planted-nonce".into());
    flow
}

pub(crate) async fn put(
    store: &FileStateStore,
    key: &StateKey,
    flow: PendingFlow,
    ttl: Duration,
) -> Result<(), StoreError> {
    let extensions = Extensions::new();
    store.store_state(&StateContext::new(&extensions, SystemTime::UNIX_EPOCH), key, flow, ttl).await
}

pub(crate) async fn store(store: &FileStateStore, key: &StateKey) -> Result<(), StoreError> {
    put(store, key, flow(), LONG).await
}

pub(crate) async fn check(store: &FileStateStore, key: &StateKey) -> Result<Option<PendingFlow>, StoreError> {
    let extensions = Extensions::new();
    store.check_state(&StateContext::new(&extensions, SystemTime::UNIX_EPOCH), key).await
}

/// That it failed so, without a word of the key or the flow; and what the source says.
pub(crate) fn failed<T: std::fmt::Debug>(
    result: Result<T, StoreError>,
    kind: StoreErrorKind,
    key: &StateKey,
) -> String {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), kind, "{error:?}");
    check_error(&error, key, &flow()).unwrap();
    std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default()
}

/// All files of flows, and of nothing else.
pub(crate) fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = shards(directory).iter().flat_map(|shard| paths(shard)).collect();
    files.sort();
    files
}

/// The directories that the flows are in.
pub(crate) fn shards(directory: &Path) -> Vec<PathBuf> {
    paths(directory).iter().map(|shard| shard.join("flows")).filter(|flows| flows.exists()).collect()
}

fn paths(directory: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// The only file of a flow.
pub(crate) fn file(directory: &Path) -> PathBuf {
    let files = files(directory);
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}
