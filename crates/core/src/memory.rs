//! Pending flows in memory.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use crate::state::{PendingFlow, StateContext, StateKey, StateStore, StoreError, StoreErrorKind};

/// Keeps pending flows in this process.
#[derive(Debug, Default)]
pub struct MemoryStateStore(Mutex<HashMap<StateKey, (SystemTime, PendingFlow)>>);

#[async_trait]
impl StateStore for MemoryStateStore {
    async fn store_state(
        &self,
        cx: &StateContext<'_>,
        key: &StateKey,
        flow: PendingFlow,
        ttl: Duration,
    ) -> Result<(), StoreError> {
        let mut map = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if map.contains_key(key) {
            return Err(StoreError::new(StoreErrorKind::Conflict));
        }
        map.insert(*key, (cx.now + ttl, flow));
        Ok(())
    }

    async fn check_state(
        &self,
        cx: &StateContext<'_>,
        key: &StateKey,
    ) -> Result<Option<PendingFlow>, StoreError> {
        let mut map = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Ok(map.remove(key).filter(|(expires, _)| cx.now < *expires).map(|(_, flow)| flow))
    }
}
