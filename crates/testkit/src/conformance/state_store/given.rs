//! A store that gets the extensions that it needs.

use std::fmt;
use std::time::Duration;

use authflow_core::{PendingFlow, StateContext, StateKey, StateStore, StoreError, async_trait};
use http::Extensions;

use super::StateStoreCapabilities;

/// The store of a check, in each of whose calls the extensions are those of the check.
pub(super) struct Given<S> {
    store: S,
    extensions: Extensions,
}

impl StateStoreCapabilities {
    /// The store, with extensions of its own.
    pub(super) fn given<S: StateStore>(&self, store: S) -> Given<S> {
        self.giving()(store)
    }

    /// For several stores, which all get the same extensions.
    pub(super) fn giving<S: StateStore>(&self) -> impl Fn(S) -> Given<S> + use<S> {
        let extensions = (self.extensions)();
        move |store| Given { store, extensions: extensions.clone() }
    }
}

/// What the store shows of itself.
impl<S: StateStore> fmt::Debug for Given<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: StateStore> StateStore for Given<S> {
    async fn store_state(
        &self,
        cx: &StateContext<'_>,
        key: &StateKey,
        flow: PendingFlow,
        ttl: Duration,
    ) -> Result<(), StoreError> {
        self.store.store_state(&StateContext::new(&self.extensions, cx.now), key, flow, ttl).await
    }

    async fn check_state(
        &self,
        cx: &StateContext<'_>,
        key: &StateKey,
    ) -> Result<Option<PendingFlow>, StoreError> {
        self.store.check_state(&StateContext::new(&self.extensions, cx.now), key).await
    }
}
