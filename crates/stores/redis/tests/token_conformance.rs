//! The suite of token stores, on one server.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::sync::Arc;

use authflow_redis::RedisTokenStore;
use authflow_testkit::conformance::token_store::TokenStoreFixture;
use authflow_testkit::token_store_conformance;
use support::Server;
use support::tokens::{open, redis_key, set_field};

/// Two clients of the server, which runs as long as the fixture is there.
async fn fixture() -> TokenStoreFixture<RedisTokenStore> {
    let server = Server::shared();
    TokenStoreFixture::new(open(&server).await).also(open(&server).await).damage(move |key| {
        let server = Arc::clone(&server);
        async move {
            let redis_key = redis_key(&server, &key).await.unwrap();
            set_field(&server, &redis_key, "h", b"nonsense").await;
        }
    })
}

token_store_conformance!(one_server, fixture);
