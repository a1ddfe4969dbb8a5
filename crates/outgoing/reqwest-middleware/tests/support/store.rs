//! A token store that can be switched off.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use authflow_core::{
    ConnectionKey, Expected, Incarnation, KeyPage, LeaseHolder, LeaseOutcome, LeaseRequest, Loaded,
    MemoryTokenStore, Page, RecordPage, Release, Remove, RemoveOutcome, Renew, SaveOutcome, Shard,
    StoreError, StoreErrorKind, Tenure, TokenStore, User, Version, Write, async_trait,
};

#[derive(Debug, Default)]
pub struct Switch {
    inner: MemoryTokenStore,
    is_off: AtomicBool,
}

impl Switch {
    pub fn off(&self) {
        self.is_off.store(true, Ordering::SeqCst);
    }

    fn ask(&self) -> Result<&MemoryTokenStore, StoreError> {
        match self.is_off.load(Ordering::SeqCst) {
            true => Err(StoreError::new(StoreErrorKind::Unavailable)),
            false => Ok(&self.inner),
        }
    }
}

#[async_trait]
impl TokenStore for Switch {
    fn is_durable(&self) -> bool {
        false
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
