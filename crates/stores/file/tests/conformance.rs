//! The suite of the testkit.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::sync::{Arc, Mutex, Weak};

use authflow_file::{FileStateStore, FileTokenStore};
use authflow_testkit::conformance::state_store::{Keeping, StateStoreCapabilities};
use authflow_testkit::conformance::token_store::TokenStoreFixture;
use authflow_testkit::{state_store_conformance, token_store_conformance};
use tempfile::TempDir;

async fn fixture(directory: TempDir, stores: usize) -> TokenStoreFixture<FileTokenStore> {
    let mut fixture = TokenStoreFixture::new(FileTokenStore::open(directory.path()).await.unwrap());
    for _ in 1..stores {
        fixture = fixture.also(FileTokenStore::open(directory.path()).await.unwrap());
    }
    // The fixture keeps the directory.
    let directory = Arc::new(directory);
    fixture.damage(move |key| {
        let directory = Arc::clone(&directory);
        async move {
            std::fs::write(support::record_path(directory.path(), &key), "nonsense").unwrap();
        }
    })
}

token_store_conformance!(one_store, || fixture(support::directory(), 1));

// As two processes: neither waits for the other but by the lock of a file.
token_store_conformance!(two_stores, || fixture(support::directory(), 2));

async fn states_in(directory: Arc<TempDir>) -> Keeping<FileStateStore, Arc<TempDir>> {
    Keeping::new(FileStateStore::open(directory.path()).await.unwrap(), directory)
}

/// The directory of all who want one at this time.
fn shared_directory() -> Arc<TempDir> {
    static SHARED: Mutex<Weak<TempDir>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap();
    shared.upgrade().unwrap_or_else(|| {
        let directory = Arc::new(support::directory());
        *shared = Arc::downgrade(&directory);
        directory
    })
}

state_store_conformance!(
    states,
    || states_in(Arc::new(support::directory())),
    StateStoreCapabilities::default().expires_by_clock(false),
);

// As processes that use one directory.
state_store_conformance!(
    states_in_one_directory,
    || states_in(shared_directory()),
    StateStoreCapabilities::default().expires_by_clock(false).shares_keys_between_instances(true),
);
