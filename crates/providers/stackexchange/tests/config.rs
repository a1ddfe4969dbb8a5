//! Mistakes in the configuration are found when the provider is built.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use authflow_core::{
    Call, ClientAuthentication, ClientCredentials, ErrorKind, FlowManager as _, MemoryStateStore, Operation,
    StateStore, TokenSet, VariableSources, rfc,
};
use authflow_stackexchange::{StackExchange, StackExchangeBuilder};
use support::{CALLBACK, Scripted, builder, complete, confidential, flow, public, query, user};
use url::Url;

fn message(builder: StackExchangeBuilder) -> String {
    let error = builder.build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(error.operation(), Some(Operation::Build));
    error.to_string()
}

#[test]
fn a_missing_key_says_where_to_find_it() {
    let message = message(StackExchange::builder(confidential()));
    assert!(message.contains("Stack Apps"), "{message}");
}

#[test]
fn what_cannot_be_sent_is_refused() {
    for key in ["", "a b", "a\nb", "caf\u{e9}"] {
        assert!(message(StackExchange::builder(confidential()).key(key)).contains("key"));
    }
    for site in ["", "a b", "a&key=b", "stack/overflow", &"x".repeat(129)] {
        assert!(message(builder().site(site)).contains("site"));
    }
    builder().site("x".repeat(128)).build().unwrap();
    for scope in ["a b", "a\nb"] {
        assert!(message(builder().default_scopes([scope])).contains("scope"));
    }
    assert!(message(builder().provider_id("")).contains("provider id"));
}

#[test]
fn the_client_authenticates_in_the_form_or_not_at_all() {
    for credentials in [
        confidential().authenticated_by(ClientAuthentication::ClientSecretBasic),
        confidential().authenticated_by(ClientAuthentication::None),
        public().authenticated_by(ClientAuthentication::ClientSecretPost),
        public().authenticated_by(ClientAuthentication::Omitted),
    ] {
        let message = message(StackExchange::builder(credentials).key("k"));
        assert!(message.contains("client_secret_post"), "{message}");
    }
    for credentials in [
        confidential().authenticated_by(ClientAuthentication::ClientSecretPost),
        public().authenticated_by(ClientAuthentication::None),
    ] {
        StackExchange::builder(credentials).key("k").build().unwrap();
    }
    message(StackExchange::builder(ClientCredentials::confidential("12345", "")).key("k"));
    message(StackExchange::builder(ClientCredentials::public("")).key("k"));
    message(
        StackExchange::builder(ClientCredentials::public("1").redirect_uri("http://app.example/cb")).key("k"),
    );
}

#[test]
fn other_endpoints_are_secure_ones() {
    for base in [
        "http://proxy.example",
        "http://localhost:9",
        "https://proxy.example/?a=b",
        "https://proxy.example/#a",
        "https://user@proxy.example/",
    ] {
        assert!(message(builder().endpoints_at(Url::parse(base).unwrap())).contains("https"), "{base}");
        assert!(message(builder().endpoints_at(base)).contains("https"), "{base}");
    }
}

#[test]
fn what_is_no_url_is_no_base_and_is_not_repeated() {
    for base in ["user:secret@proxy", "secret", "http://user:secret@", ""] {
        let message = message(builder().endpoints_at(base));
        assert!(message.contains("endpoints_at") && !message.contains("secret"), "{base}: {message}");
    }
    builder().endpoints_at("http://127.0.0.1:9").build().unwrap();
}

#[tokio::test]
async fn endpoints_can_be_below_another_base() {
    let http = Scripted::provider();
    let manager = builder().endpoints_at(Url::parse("https://proxy.example/se/").unwrap());
    let flow = flow(manager.provider_id("second").default_scopes(["read_inbox"]), &http);
    let authorization = flow.begin(&user()).await.unwrap();
    assert!(authorization.url().starts_with("https://proxy.example/se/oauth?"));
    assert_eq!(query(authorization.url())["scope"], "read_inbox");
    let completed = complete(&flow, &[]).await.unwrap();
    flow.revoke(&completed.tokens).await.unwrap();
    let paths = http.paths();
    assert_eq!(paths[0], "/se/oauth/access_token/json");
    assert_eq!(paths[1], "/se/2.3/me");
    assert!(paths[2].starts_with("/se/2.3/access-tokens/"));
    assert_eq!(flow.provider().id(), "second");
    let origins: Vec<_> = http.sent().iter().map(|r| r.url.origin().ascii_serialization()).collect();
    assert_eq!(origins, ["https://proxy.example"; 3]);
}

#[tokio::test]
async fn the_state_is_kept_where_the_application_says() {
    let store = Arc::new(MemoryStateStore::new());
    let shared: Arc<dyn StateStore> = Arc::clone(&store) as _;
    let flow = flow(builder().state_store(shared), &Scripted::provider());
    flow.begin(&user()).await.unwrap();
    assert_eq!(store.len(), 1);
}

#[tokio::test]
async fn the_data_alone_says_how_a_token_is_revoked() {
    let manager = builder().build().unwrap();
    let provider = manager.provider();
    let tokens = TokenSet::new("AT-canary))", SystemTime::UNIX_EPOCH);
    let (by_data, by_hook) = (Scripted::provider(), Scripted::provider());
    let urls = provider.endpoints().resolve(&VariableSources::new(&BTreeMap::new())).unwrap();
    let credentials = manager.credentials();
    let cx = Call::new(Operation::Revoke, provider, &urls, &credentials, SystemTime::UNIX_EPOCH);
    rfc::revoke(&cx, &*by_data, &tokens).await.unwrap();
    manager.revoke(&cx, &*by_hook, &tokens).await.unwrap();
    let sent = [&by_data, &by_hook].map(|http| http.sent().remove(0));
    assert_eq!(sent[0].method, sent[1].method);
    assert_eq!(sent[0].url.as_str().replace("%29", ")"), sent[1].url.as_str());
    assert!(!sent[0].headers.contains_key("authorization"), "the token in the path is what authorizes");
    assert!(!provider.supports_refresh());
    assert!(provider.uses_pkce(&manager.credentials()));
    assert_eq!(manager.credentials().redirect_uris().next(), Some(CALLBACK));
    assert_eq!(manager.site(), "stackoverflow");
}
