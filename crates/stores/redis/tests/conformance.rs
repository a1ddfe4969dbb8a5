//! The suite of the testkit, on one server.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::sync::Arc;

use authflow_redis::{RedisConfig, RedisStateStore};
use authflow_testkit::conformance::state_store::{Keeping, StateStoreCapabilities};
use authflow_testkit::state_store_conformance;
use support::Server;

async fn on_a_server() -> Keeping<RedisStateStore, Arc<Server>> {
    let server = Server::shared();
    let config = RedisConfig::server(&server.url()).unwrap();
    Keeping::new(RedisStateStore::connect(config).await.unwrap(), server)
}

state_store_conformance!(
    one_server,
    on_a_server,
    StateStoreCapabilities::default().shares_keys_between_instances(true).expires_by_clock(false),
);
