//! A store that keeps flows in the session of whoever calls, against the suite.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use authflow_core::{
    PendingFlow, StateContext, StateKey, StateStore, StoreError, StoreErrorKind, async_trait,
};
use authflow_testkit::conformance::state_store::{self, StateStoreCapabilities};
use authflow_testkit::state_store_conformance;
use http::Extensions;

#[derive(Clone, Default)]
struct Session(Arc<Mutex<HashMap<StateKey, (PendingFlow, SystemTime)>>>);

#[derive(Debug)]
struct SessionStateStore;

impl SessionStateStore {
    fn session<'a>(cx: &StateContext<'a>) -> Result<&'a Session, StoreError> {
        cx.extensions
            .get()
            .ok_or_else(|| StoreError::new(StoreErrorKind::Unavailable).with_source("no session"))
    }
}

#[async_trait]
impl StateStore for SessionStateStore {
    async fn store_state(
        &self,
        cx: &StateContext<'_>,
        key: &StateKey,
        flow: PendingFlow,
        ttl: Duration,
    ) -> Result<(), StoreError> {
        let mut flows = Self::session(cx)?.0.lock().unwrap();
        flows.retain(|_, (_, until)| cx.now < *until);
        if flows.contains_key(key) {
            return Err(StoreError::new(StoreErrorKind::Conflict));
        }
        flows.insert(*key, (flow, cx.now + ttl));
        Ok(())
    }

    async fn check_state(
        &self,
        cx: &StateContext<'_>,
        key: &StateKey,
    ) -> Result<Option<PendingFlow>, StoreError> {
        let found = Self::session(cx)?.0.lock().unwrap().remove(key);
        Ok(found.filter(|(_, until)| cx.now < *until).map(|(flow, _)| flow))
    }
}

/// All stores look into the one session of a check. Nobody counts buckets in it.
fn capabilities() -> StateStoreCapabilities {
    let in_a_session = || {
        let mut extensions = Extensions::new();
        extensions.insert(Session::default());
        extensions
    };
    StateStoreCapabilities::default()
        .extensions(in_a_session)
        .shares_keys_between_instances(true)
        .bucket_capacity(None)
}

state_store_conformance!(in_a_session, || async { SessionStateStore }, capabilities());

#[tokio::test]
async fn without_a_session_it_can_keep_nothing() {
    let without = capabilities().extensions(Extensions::new);
    let failure = state_store::all(|| async { SessionStateStore }, &without).await.expect_err("no session");
    assert!(failure.to_string().contains("no session"), "{failure}");
}

#[tokio::test]
async fn the_functions_of_the_suite_give_it_a_session_too() {
    // It says that it has no cap of a bucket.
    let skipped = state_store::all(|| async { SessionStateStore }, &capabilities()).await.unwrap();
    assert_eq!(skipped.len(), 2, "{skipped:?}");
}
