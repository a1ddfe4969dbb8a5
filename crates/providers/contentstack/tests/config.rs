//! Mistakes in the configuration are found when the provider is built.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::sync::Arc;

use authflow_contentstack::{Contentstack, ContentstackBuilder, Region};
use authflow_core::{
    ClientAuthentication, ClientCredentials, ErrorKind, FlowManager as _, MemoryStateStore, Operation,
    StateStore,
};
use support::{
    Scripted, builder, complete, confidential, flow, public, query, tokens, user, user_tokens, with,
};
use url::Url;

fn message(builder: ContentstackBuilder) -> String {
    let error = builder.build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(error.operation(), Some(Operation::Build));
    error.to_string()
}

#[test]
fn a_missing_app_uid_says_where_to_find_it() {
    let message = message(Contentstack::builder(confidential()));
    assert!(message.contains("Developer Hub"), "{message}");
}

#[test]
fn what_cannot_be_sent_is_refused() {
    for uid in ["", ".", "..", "a/b", "a b", "a%2f", "caf\u{e9}", "{x}", &"x".repeat(129)] {
        assert!(message(Contentstack::builder(confidential()).app_uid(uid)).contains("uid"), "{uid}");
    }
    for value in ["", "a b", "a\r\nb", "caf\u{e9}"] {
        assert!(message(builder().api_key(value)).contains("api_key"));
        assert!(message(builder().organization_uid(value)).contains("organization_uid"));
    }
    assert!(message(builder().default_scopes(["a b"])).contains("scope"));
    assert!(message(builder().provider_id("")).contains("provider id"));
}

#[test]
fn the_client_authenticates_in_the_form_or_not_at_all() {
    for credentials in [
        confidential().authenticated_by(ClientAuthentication::ClientSecretBasic),
        // Neither a secret nor a verifier would be sent.
        confidential().authenticated_by(ClientAuthentication::None),
        public().authenticated_by(ClientAuthentication::ClientSecretPost),
        public().authenticated_by(ClientAuthentication::Omitted),
    ] {
        let message = message(with(credentials));
        assert!(message.contains("client_secret_post"), "{message}");
    }
    with(confidential().authenticated_by(ClientAuthentication::ClientSecretPost)).build().unwrap();
    with(public().authenticated_by(ClientAuthentication::None)).build().unwrap();
    message(with(ClientCredentials::public("")));
    message(with(ClientCredentials::public("1").redirect_uri("http://app.example/cb")));
}

#[test]
fn other_endpoints_are_secure_ones() {
    for base in [
        "http://proxy.example",
        "http://localhost:9",
        "https://proxy.example/?a=b",
        "https://u@proxy.example/",
    ] {
        assert!(message(builder().endpoints_at(Url::parse(base).unwrap())).contains("https"), "{base}");
        assert!(message(builder().endpoints_at(base)).contains("https"), "{base}");
    }
    assert!(message(builder().endpoints_at("proxy.example")).contains("takes a URL"));
    builder().endpoints_at("http://127.0.0.1:9").build().unwrap();
}

#[tokio::test]
async fn endpoints_can_be_below_another_base() {
    let http = Scripted::provider();
    let proxied = || {
        builder()
            .region(Region::Eu)
            .endpoints_at("https://proxy.example/cs/")
            .provider_id("second")
            .default_scopes(["user:read"])
    };
    let flow = flow(proxied(), &http);
    let authorization = flow.begin(&user()).await.unwrap();
    assert!(authorization.url().starts_with("https://proxy.example/cs/apps/app-uid/authorize?"));
    assert_eq!(query(authorization.url())["scope"], "user:read");
    let completed = complete(&flow).await.unwrap();
    flow.revoke(&completed.tokens).await.unwrap();
    let wanted = ["token", "manifests/app-uid/authorizations", "manifests/app-uid/authorizations/AUTH1"];
    assert_eq!(http.urls(), wanted.map(|path| format!("https://proxy.example/cs/{path}")));
    let manager = proxied().build().unwrap();
    assert_eq!(manager.install_url().as_str(), "https://proxy.example/cs/apps/app-uid/install");
    assert_eq!(manager.management_api(&user_tokens()), "https://proxy.example/cs");
    assert_eq!(flow.provider().id(), "second");
}

#[tokio::test]
async fn the_state_is_kept_where_the_application_says() {
    let store = Arc::new(MemoryStateStore::new());
    let shared: Arc<dyn StateStore> = Arc::clone(&store) as _;
    let flow = flow(builder().state_store(shared), &Scripted::provider());
    flow.begin(&user()).await.unwrap();
    assert_eq!(store.len(), 1);
}

#[test]
fn the_defaults() {
    let manager = builder().build().unwrap();
    assert_eq!(manager.provider().id(), "contentstack");
    assert_eq!(manager.region(), Region::Na);
    assert!(manager.provider().default_scopes().is_empty());
    assert!(manager.provider().supports_refresh());
    assert!(!manager.provider().uses_pkce(&manager.credentials()), "a secret stands alone");
    assert_eq!(manager.management_api(&tokens(&[])), "https://api.contentstack.io");
}
