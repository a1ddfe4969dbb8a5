//! A store that can be switched off.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use authflow_core::{
    ConnectionKey, Expected, Incarnation, KeyPage, LeaseHolder, LeaseOutcome, LeaseRequest, Loaded, Page,
    PendingFlow, RecordPage, Release, Remove, RemoveOutcome, Renew, SaveOutcome, Shard, StateContext,
    StateKey, StateStore, StoreError, StoreErrorKind, Tenure, TokenStore, User, Version, Write, async_trait,
};

/// A store that can be switched off, to see what an application does then: every call answers
/// [`StoreErrorKind::Unavailable`], and nothing is done. Share it in an `Arc`.
///
/// ```
/// use std::sync::Arc;
///
/// use authflow_core::{Connections, MemoryTokenStore};
/// use authflow_testkit::Outage;
///
/// let store = Arc::new(Outage::new(MemoryTokenStore::new()));
/// let builder = Connections::builder().token_store(Arc::clone(&store));
/// store.set_down(true);
/// # let _ = builder;
/// ```
#[derive(Debug, Default)]
pub struct Outage<S> {
    store: S,
    is_down: AtomicBool,
}

impl<S> Outage<S> {
    /// `store`, which answers.
    pub const fn new(store: S) -> Self {
        Self { store, is_down: AtomicBool::new(false) }
    }

    /// Switches it off, or on again. What it keeps stays.
    pub fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::SeqCst);
    }

    /// The store behind the switch, which always answers.
    pub const fn store(&self) -> &S {
        &self.store
    }

    fn ask(&self) -> Result<&S, StoreError> {
        match self.is_down.load(Ordering::SeqCst) {
            true => Err(StoreError::new(StoreErrorKind::Unavailable)),
            false => Ok(&self.store),
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: StateStore> StateStore for Outage<S> {
    async fn store_state(
        &self,
        cx: &StateContext<'_>,
        key: &StateKey,
        flow: PendingFlow,
        ttl: Duration,
    ) -> Result<(), StoreError> {
        self.ask()?.store_state(cx, key, flow, ttl).await
    }

    async fn check_state(
        &self,
        cx: &StateContext<'_>,
        key: &StateKey,
    ) -> Result<Option<PendingFlow>, StoreError> {
        self.ask()?.check_state(cx, key).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: TokenStore> TokenStore for Outage<S> {
    fn is_durable(&self) -> bool {
        self.store.is_durable()
    }

    async fn put(
        &self,
        key: &ConnectionKey,
        incarnation: Incarnation,
        write: Write,
    ) -> Result<Version, StoreError> {
        self.ask()?.put(key, incarnation, write).await
    }

    async fn load(&self, key: &ConnectionKey) -> Result<Loaded, StoreError> {
        self.ask()?.load(key).await
    }

    async fn lease(&self, key: &ConnectionKey, request: LeaseRequest) -> Result<LeaseOutcome, StoreError> {
        self.ask()?.lease(key, request).await
    }

    async fn renew(
        &self,
        key: &ConnectionKey,
        holder: &LeaseHolder,
        renew: Renew,
    ) -> Result<Tenure, StoreError> {
        self.ask()?.renew(key, holder, renew).await
    }

    async fn release(
        &self,
        key: &ConnectionKey,
        holder: &LeaseHolder,
        release: Release,
    ) -> Result<Tenure, StoreError> {
        self.ask()?.release(key, holder, release).await
    }

    async fn save_if_version(
        &self,
        key: &ConnectionKey,
        expected: &Expected,
        write: Write,
    ) -> Result<SaveOutcome, StoreError> {
        self.ask()?.save_if_version(key, expected, write).await
    }

    async fn remove(&self, key: &ConnectionKey, remove: Remove) -> Result<RemoveOutcome, StoreError> {
        self.ask()?.remove(key, remove).await
    }

    async fn list_by_user(&self, user: &User, page: &Page) -> Result<RecordPage, StoreError> {
        self.ask()?.list_by_user(user, page).await
    }

    async fn due_before(&self, shard: Shard, time: SystemTime, page: &Page) -> Result<KeyPage, StoreError> {
        self.ask()?.due_before(shard, time, page).await
    }

    async fn walk(&self, shard: Shard, page: &Page) -> Result<KeyPage, StoreError> {
        self.ask()?.walk(shard, page).await
    }
}
