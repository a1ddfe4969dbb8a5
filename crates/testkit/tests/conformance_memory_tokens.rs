//! The memory token store against the suite.

use std::sync::Arc;

use authflow_core::MemoryTokenStore;
use authflow_testkit::conformance::token_store::TokenStoreFixture;
use authflow_testkit::{ManualClock, token_store_conformance};

token_store_conformance!(by_a_manual_clock, || async {
    let clock = ManualClock::new();
    TokenStoreFixture::new(MemoryTokenStore::new().clock(Arc::new(clock.clone()))).clock(clock)
});

// As a store on a server is held to it: its clock runs by itself, and there are two instances.
token_store_conformance!(by_the_systems_clock, || async {
    let store = Arc::new(MemoryTokenStore::new());
    TokenStoreFixture::new(Arc::clone(&store)).also(store)
});
