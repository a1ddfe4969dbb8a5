//! A state store that can be down.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use authflow_core::{
    MemoryStateStore, PendingFlow, StateContext, StateKey, StateStore, StoreError, StoreErrorKind,
    async_trait,
};
use authflow_testkit::Outage;

use crate::application::Mark;

/// A state store that can be down, and that looks whether it sees the request.
#[derive(Clone, Debug)]
pub(crate) struct States(Arc<Outage<MemoryStateStore>>, Arc<AtomicBool>, Planted);

/// Which hook panics at its next call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Planted(Arc<Mutex<Option<&'static str>>>);

impl Planted {
    pub(crate) fn pass(&self, hook: &'static str) {
        let mut planted = self.0.lock().unwrap();
        if *planted == Some(hook) {
            *planted = None;
            drop(planted);
            panic!("planted");
        }
    }
}

impl States {
    pub(crate) fn with_capacity(capacity: usize, of_bucket: usize) -> Self {
        Self(
            Arc::new(Outage::new(MemoryStateStore::with_capacity(capacity, of_bucket))),
            Arc::default(),
            Planted::default(),
        )
    }

    pub(crate) fn len(&self) -> usize {
        self.0.store().len()
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.0.set_down(down);
    }

    /// Whether a flow is remembered and the answer is lost.
    pub(crate) fn lose_answers(&self, lose: bool) {
        self.1.store(lose, Ordering::SeqCst);
    }

    pub(crate) fn panic_at(&self, hook: &'static str) {
        *self.2.0.lock().unwrap() = Some(hook);
    }

    pub(crate) fn planted(&self) -> Planted {
        self.2.clone()
    }

    /// Whether the hook was called that was to panic.
    pub(crate) fn has_panicked(&self) -> bool {
        self.2.0.lock().unwrap().is_none()
    }

    fn seeing(&self, cx: &StateContext<'_>) -> &Outage<MemoryStateStore> {
        assert!(cx.extensions.get::<Mark>().is_some(), "the state store does not see the request");
        &self.0
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
        self.2.pass("store_state");
        self.seeing(cx).store_state(cx, key, flow, ttl).await?;
        if self.1.load(Ordering::SeqCst) {
            return Err(StoreError::new(StoreErrorKind::OutcomeUnknown));
        }
        Ok(())
    }

    async fn check_state(
        &self,
        cx: &StateContext<'_>,
        key: &StateKey,
    ) -> Result<Option<PendingFlow>, StoreError> {
        self.2.pass("check_state");
        self.seeing(cx).check_state(cx, key).await
    }
}
