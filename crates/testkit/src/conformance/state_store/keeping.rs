//! A store with what it lives on.

use std::fmt::Debug;
use std::time::Duration;

use authflow_core::{PendingFlow, StateContext, StateKey, StateStore, StoreError, async_trait};

/// A store, and what has to be there as long as it is: a directory, a server. For
/// [`state_store_conformance!`](crate::state_store_conformance), whose closure makes a store for each test.
#[derive(Debug)]
pub struct Keeping<S, K> {
    store: S,
    // After the store, which may still need it when it is dropped.
    _kept: K,
}

impl<S, K> Keeping<S, K> {
    /// `store`, which goes before `kept`.
    pub const fn new(store: S, kept: K) -> Self {
        Self { store, _kept: kept }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: StateStore, K: Debug + Send + Sync + 'static> StateStore for Keeping<S, K> {
    async fn store_state(
        &self,
        cx: &StateContext<'_>,
        key: &StateKey,
        flow: PendingFlow,
        ttl: Duration,
    ) -> Result<(), StoreError> {
        self.store.store_state(cx, key, flow, ttl).await
    }

    async fn check_state(
        &self,
        cx: &StateContext<'_>,
        key: &StateKey,
    ) -> Result<Option<PendingFlow>, StoreError> {
        self.store.check_state(cx, key).await
    }
}
