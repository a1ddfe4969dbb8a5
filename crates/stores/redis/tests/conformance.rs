//! The suite of the testkit, on one server.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use authflow_core::{PendingFlow, StateContext, StateKey, StateStore, StoreError, async_trait};
use authflow_redis::{RedisConfig, RedisStateStore};
use authflow_testkit::conformance::state_store::StateStoreCapabilities;
use authflow_testkit::state_store_conformance;
use support::Server;

/// A store that keeps its server running.
#[derive(Debug)]
struct Kept {
    store: RedisStateStore,
    _server: Arc<Server>,
}

async fn kept() -> Kept {
    let server = Server::shared();
    let store = RedisStateStore::connect(RedisConfig::server(&server.url()).unwrap()).await.unwrap();
    Kept { store, _server: server }
}

#[async_trait]
impl StateStore for Kept {
    async fn store_state(
        &self,
        cx: &StateContext<'_>,
        key: &StateKey,
        flow: PendingFlow,
        ttl: Duration,
    ) -> Result<(), StoreError> {
        self.store.store_state(cx, key, flow, ttl).await
    }

    async fn check_state(
        &self,
        cx: &StateContext<'_>,
        key: &StateKey,
    ) -> Result<Option<PendingFlow>, StoreError> {
        self.store.check_state(cx, key).await
    }
}

state_store_conformance!(
    one_server,
    || async { kept().await },
    StateStoreCapabilities::default().shares_keys_between_instances(true).expires_by_clock(false),
);
