//! The suite of token stores, on one server.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::sync::Arc;

use authflow_redis::RedisTokenStore;
use authflow_testkit::conformance::token_store::TokenStoreFixture;
use authflow_testkit::token_store_conformance;
use support::Server;
use support::tokens::{lengthen_lease, open, redis_key, set_field};

/// Two clients of the server, which runs as long as the fixture is there.
async fn fixture() -> TokenStoreFixture<RedisTokenStore> {
    let server = Server::shared();
    let fixture = TokenStoreFixture::new(open(&server).await).also(open(&server).await);
    let lengthening = Arc::clone(&server);
    fixture
        .damage(move |key| {
            let server = Arc::clone(&server);
            async move {
                let redis_key = redis_key(&server, &key).await.unwrap();
                set_field(&server, &redis_key, "h", b"nonsense").await;
            }
        })
        .lengthen_lease(move |key, by| {
            let server = Arc::clone(&lengthening);
            async move {
                let redis_key = redis_key(&server, &key).await.unwrap();
                lengthen_lease(&server, &redis_key, by).await;
            }
        })
}

token_store_conformance!(one_server, fixture);
