//! The suite that every provider is held to.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::sync::Arc;

use authflow_contentstack::{Contentstack, Region};
use authflow_core::{ClientCredentials, HttpResponse, StateStore};
use authflow_testkit::conformance::provider::ProviderFixture;
use authflow_testkit::provider_conformance;
use http::{Method, StatusCode};

fn fixture(credentials: fn() -> ClientCredentials) -> ProviderFixture {
    let make = move |states: Arc<dyn StateStore>| {
        Contentstack::builder(credentials())
            .app_uid("app-1")
            .region(Region::Na)
            .state_store(states)
            .build()
            .unwrap()
    };
    ProviderFixture::new(make)
        .callback("code=planted-code-01&location=EU")
        .token_json(
            r#"{"access_token":"planted-access-token","refresh_token":"planted-refresh-token","token_type":"Bearer",
                "expires_in":3600,"location":"EU","region":"EU","organization_uid":"bltORG","authorization_type":"user",
                "user_uid":"bltUSER","stack_api_key":""}"#,
        )
        .api_url("https://eu-api.contentstack.com/v3/stacks")
        .script(|request| {
            let path = request.url.path();
            let (status, body) = match request.method {
                Method::GET if path.ends_with("/authorizations") => {
                    (StatusCode::OK, r#"{"data":[{"authorization_uid":"AUTH1","user":{"uid":"bltUSER"}}]}"#)
                }
                Method::DELETE if path.ends_with("/authorizations/AUTH1") => (StatusCode::NO_CONTENT, ""),
                _ => return None,
            };
            Some(HttpResponse::new(status, body))
        })
}

fn confidential() -> ClientCredentials {
    ClientCredentials::confidential("client-1", "planted-client-secret")
        .redirect_uri("https://app.example/callback")
}

fn public() -> ClientCredentials {
    ClientCredentials::public("client-1").redirect_uri("https://app.example/callback")
}

provider_conformance!(with_a_secret, fixture(confidential));
provider_conformance!(without_a_secret, fixture(public));
