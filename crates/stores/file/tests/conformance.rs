//! The suite of the testkit.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::sync::Arc;

use authflow_file::FileTokenStore;
use authflow_testkit::conformance::token_store::TokenStoreFixture;
use authflow_testkit::token_store_conformance;
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
