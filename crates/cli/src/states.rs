//! The pending flow of this process.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use authflow::{MemoryStateStore, PendingFlow, StateContext, StateKey, StateStore, StoreError};

/// Keeps pending flows in memory, and remembers which one was taken: that tells a second callback from a stray one, and a
/// callback that used the state up from one that did not.
#[derive(Debug, Default)]
pub(crate) struct States {
    memory: MemoryStateStore,
    taken: Mutex<Option<StateKey>>,
}

impl States {
    /// The key of the flow that was taken.
    pub(crate) fn taken(&self) -> Option<StateKey> {
        *self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl StateStore for States {
    async fn store_state(
        &self,
        cx: &StateContext<'_>,
        key: &StateKey,
        flow: PendingFlow,
        ttl: Duration,
    ) -> Result<(), StoreError> {
        self.memory.store_state(cx, key, flow, ttl).await
    }

    async fn check_state(
        &self,
        cx: &StateContext<'_>,
        key: &StateKey,
    ) -> Result<Option<PendingFlow>, StoreError> {
        let found = self.memory.check_state(cx, key).await?;
        if found.is_some() {
            *self.taken.lock().unwrap_or_else(PoisonError::into_inner) = Some(*key);
        }
        Ok(found)
    }
}
