//! The suite that every provider is held to.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::sync::Arc;

use authflow_core::{ClientCredentials, ErrorKind, HttpResponse, StateStore};
use authflow_stackexchange::StackExchange;
use authflow_testkit::conformance::provider::ProviderFixture;
use authflow_testkit::provider_conformance;
use http::StatusCode;

fn fixture(credentials: fn() -> ClientCredentials) -> ProviderFixture {
    let make = move |states: Arc<dyn StateStore>| {
        StackExchange::builder(credentials())
            .key("planted-key-0123456789")
            .site("stackoverflow")
            .state_store(states)
            .build()
            .unwrap()
    };
    let refusal = r#"{"error":{"type":"invalid_grant","message":"Invalid code"}}"#;
    ProviderFixture::new(make)
        .token_json(r#"{"access_token":"planted-access-token","expires":86400}"#)
        .token_error(HttpResponse::new(StatusCode::BAD_REQUEST, refusal), ErrorKind::InvalidGrant)
        .api_url("https://api.stackexchange.com/2.3/me/inbox")
        .script(|request| {
            let path = request.url.path();
            let body = if path.ends_with("/me") {
                r#"{"items":[{"account_id":11,"user_id":7}],"has_more":false,"quota_max":300,"quota_remaining":299}"#
            } else if path.ends_with("/invalidate") {
                r#"{"items":[{"access_token":"planted-access-token"}],"has_more":false,"quota_max":300,"quota_remaining":298}"#
            } else {
                return None;
            };
            Some(HttpResponse::new(StatusCode::OK, body))
        })
}

fn confidential() -> ClientCredentials {
    ClientCredentials::confidential("1234", "planted-client-secret")
        .redirect_uri("https://app.example/callback")
}

fn public() -> ClientCredentials {
    ClientCredentials::public("1234").redirect_uri("https://app.example/callback")
}

provider_conformance!(with_a_secret, fixture(confidential));
provider_conformance!(without_a_secret, fixture(public));
