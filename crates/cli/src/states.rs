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
        // One that is over by the clock, such as by one that was set back, is refused: no answer comes of it, and whoever waits for
        // one would wait for ever.
        if found.as_ref().is_some_and(|flow| !flow.is_expired(cx.now)) {
            *self.taken.lock().unwrap_or_else(PoisonError::into_inner) = Some(*key);
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[tokio::test]
    async fn g9_a_state_is_taken_unless_the_clock_says_that_it_is_over() {
        const HOUR: Duration = Duration::from_secs(3600);
        let begun = SystemTime::UNIX_EPOCH + 1000 * HOUR;
        let extensions = http::Extensions::new();
        let at = |now| StateContext::new(&extensions, now);
        for (now, is_taken) in [
            (begun, true),
            (begun + HOUR / 2, true),
            (begun + 2 * HOUR, false),
            (begun - HOUR / 2, true),
            (begun - 2 * HOUR, false),
        ] {
            let (states, key) = (States::default(), StateKey::from_bytes([7; 32]));
            let flow = PendingFlow::new("a", "http://127.0.0.1:7/callback", begun, HOUR);
            states.store_state(&at(begun), &key, flow, HOUR).await.unwrap();
            states.check_state(&at(now), &key).await.unwrap();
            assert_eq!(states.taken().is_some(), is_taken, "{now:?}");
        }
    }
}
