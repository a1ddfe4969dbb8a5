//! Stores that can be down.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use authflow_core::{
    ConnectionKey, Expected, Incarnation, KeyPage, LeaseHolder, LeaseOutcome, LeaseRequest, Loaded,
    MemoryStateStore, MemoryTokenStore, Page, PendingFlow, RecordPage, Release, Remove, RemoveOutcome, Renew,
    SaveOutcome, Shard, StateContext, StateKey, StateStore, StoreError, StoreErrorKind, Tenure, TokenStore,
    User, Version, Write, async_trait,
};

use crate::application::Mark;

/// A switch.
#[derive(Debug, Default)]
struct Down(AtomicBool);

impl Down {
    fn set(&self, down: bool) {
        self.0.store(down, Ordering::SeqCst);
    }

    fn check(&self) -> Result<(), StoreError> {
        match self.0.load(Ordering::SeqCst) {
            true => Err(StoreError::new(StoreErrorKind::Unavailable)),
            false => Ok(()),
        }
    }
}

/// A state store that can be down, and that looks whether it sees the request.
#[derive(Clone, Debug)]
pub(crate) struct States(Arc<(MemoryStateStore, Down)>);

impl States {
    pub(crate) fn with_capacity(capacity: usize, of_bucket: usize) -> Self {
        Self(Arc::new((MemoryStateStore::with_capacity(capacity, of_bucket), Down::default())))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.0.len()
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.0.1.set(down);
    }

    fn check(&self, cx: &StateContext<'_>) -> Result<(), StoreError> {
        assert!(cx.extensions.get::<Mark>().is_some(), "the state store does not see the request");
        self.0.1.check()
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
        self.check(cx)?;
        self.0.0.store_state(cx, key, flow, ttl).await
    }

    async fn check_state(
        &self,
        cx: &StateContext<'_>,
        key: &StateKey,
    ) -> Result<Option<PendingFlow>, StoreError> {
        self.check(cx)?;
        self.0.0.check_state(cx, key).await
    }
}

/// A token store that can be down.
#[derive(Clone, Debug)]
pub(crate) struct Tokens(Arc<(MemoryTokenStore, Down)>);

impl Tokens {
    pub(crate) fn new(store: MemoryTokenStore) -> Self {
        Self(Arc::new((store, Down::default())))
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.0.1.set(down);
    }

    fn up(&self) -> Result<&MemoryTokenStore, StoreError> {
        self.0.1.check().map(|()| &self.0.0)
    }
}

#[async_trait]
impl TokenStore for Tokens {
    fn is_durable(&self) -> bool {
        false
    }

    async fn put(
        &self,
        key: &ConnectionKey,
        incarnation: Incarnation,
        write: Write,
    ) -> Result<Version, StoreError> {
        self.up()?.put(key, incarnation, write).await
    }

    async fn load(&self, key: &ConnectionKey) -> Result<Loaded, StoreError> {
        self.up()?.load(key).await
    }

    async fn lease(&self, key: &ConnectionKey, request: LeaseRequest) -> Result<LeaseOutcome, StoreError> {
        self.up()?.lease(key, request).await
    }

    async fn renew(
        &self,
        key: &ConnectionKey,
        holder: &LeaseHolder,
        renew: Renew,
    ) -> Result<Tenure, StoreError> {
        self.up()?.renew(key, holder, renew).await
    }

    async fn release(
        &self,
        key: &ConnectionKey,
        holder: &LeaseHolder,
        release: Release,
    ) -> Result<Tenure, StoreError> {
        self.up()?.release(key, holder, release).await
    }

    async fn save_if_version(
        &self,
        key: &ConnectionKey,
        expected: &Expected,
        write: Write,
    ) -> Result<SaveOutcome, StoreError> {
        self.up()?.save_if_version(key, expected, write).await
    }

    async fn remove(&self, key: &ConnectionKey, remove: Remove) -> Result<RemoveOutcome, StoreError> {
        self.up()?.remove(key, remove).await
    }

    async fn list_by_user(&self, user: &User, page: &Page) -> Result<RecordPage, StoreError> {
        self.up()?.list_by_user(user, page).await
    }

    async fn due_before(&self, shard: Shard, time: SystemTime, page: &Page) -> Result<KeyPage, StoreError> {
        self.up()?.due_before(shard, time, page).await
    }

    async fn walk(&self, shard: Shard, page: &Page) -> Result<KeyPage, StoreError> {
        self.up()?.walk(shard, page).await
    }
}
