//! A token store that does not answer.

use std::time::SystemTime;

use authflow_core::{
    ConnectionKey, Expected, Incarnation, KeyPage, LeaseHolder, LeaseOutcome, LeaseRequest, Loaded, Page,
    RecordPage, Release, Remove, RemoveOutcome, Renew, SaveOutcome, Shard, StoreError, StoreErrorKind,
    Tenure, TokenStore, User, Version, Write, async_trait,
};

#[derive(Debug)]
pub struct Down;

const DOWN: fn() -> StoreError = || StoreError::new(StoreErrorKind::Unavailable);

#[async_trait]
impl TokenStore for Down {
    fn is_durable(&self) -> bool {
        false
    }

    async fn put(&self, _: &ConnectionKey, _: Incarnation, _: Write) -> Result<Version, StoreError> {
        Err(DOWN())
    }

    async fn load(&self, _: &ConnectionKey) -> Result<Loaded, StoreError> {
        Err(DOWN())
    }

    async fn lease(&self, _: &ConnectionKey, _: LeaseRequest) -> Result<LeaseOutcome, StoreError> {
        Err(DOWN())
    }

    async fn renew(&self, _: &ConnectionKey, _: &LeaseHolder, _: Renew) -> Result<Tenure, StoreError> {
        Err(DOWN())
    }

    async fn release(&self, _: &ConnectionKey, _: &LeaseHolder, _: Release) -> Result<Tenure, StoreError> {
        Err(DOWN())
    }

    async fn save_if_version(
        &self,
        _: &ConnectionKey,
        _: &Expected,
        _: Write,
    ) -> Result<SaveOutcome, StoreError> {
        Err(DOWN())
    }

    async fn remove(&self, _: &ConnectionKey, _: Remove) -> Result<RemoveOutcome, StoreError> {
        Err(DOWN())
    }

    async fn list_by_user(&self, _: &User, _: &Page) -> Result<RecordPage, StoreError> {
        Err(DOWN())
    }

    async fn due_before(&self, _: Shard, _: SystemTime, _: &Page) -> Result<KeyPage, StoreError> {
        Err(DOWN())
    }

    async fn walk(&self, _: Shard, _: &Page) -> Result<KeyPage, StoreError> {
        Err(DOWN())
    }
}
