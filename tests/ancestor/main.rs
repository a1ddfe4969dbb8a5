//! Parity with `auth-code-flow` 0.2.1, the Python package whose idea this project carries on: each of its fields, methods and
//! hooks has an equal or better answer here, and none of its five traps. The table in `ARCHITECTURE.md` names these tests.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "../common/mod.rs"]
mod common;
mod fields;
mod methods;
mod traps;

use std::sync::Arc;

use authflow::quirks::RequestShape;
use authflow::{
    AuthorizationResponse, Binding, ClientCredentials, Completed, ConfiguredProvider, Flow, FlowManager,
    Grant, MemoryStateStore, Provider, ProviderBuilder, Quirks, Result, Secret,
};
use common::{Script, functions, named_tests, pairs, read, value};

const REDIRECT_URI: &str = "https://app.example/callback";
const SECRET: &str = "planted-client-secret";
const CODE: &str = "planted-code";
const TOKENS: &str = r#"{"access_token":"planted-access-token","token_type":"Bearer","expires_in":3600}"#;

fn provider() -> ProviderBuilder {
    Provider::builder("example")
        .base_uri("https://provider.example")
        .authorization_endpoint("/authorize")
        .token_endpoint("/access_token")
        .default_scopes(["read", "write"])
}

fn credentials() -> ClientCredentials {
    ClientCredentials::confidential("client-1", SECRET).redirect_uri(REDIRECT_URI)
}

fn with_token(change: impl FnOnce(&mut RequestShape)) -> Quirks {
    let mut quirks = Quirks::default();
    change(&mut quirks.token);
    quirks
}

struct Rig {
    flow: Flow,
    http: Arc<Script>,
}

impl Rig {
    fn new(provider: ProviderBuilder) -> Self {
        let provider = provider.build().unwrap();
        Self::over(
            ConfiguredProvider::from_provider(provider, credentials(), MemoryStateStore::new()).unwrap(),
        )
    }

    fn over(manager: impl FlowManager) -> Self {
        let http = Script::new();
        Self { flow: Flow::builder(manager).http_client(Arc::clone(&http)).build().unwrap(), http }
    }

    /// `get_authorization_endpoint`, and then the user's approval.
    async fn begin(&self) -> (String, String) {
        let url = self.flow.begin(&user()).await.unwrap().url().to_owned();
        let state = value(&query(&url), "state").unwrap();
        (url, format!("code={CODE}&state={state}"))
    }

    /// `fetch_access_token`.
    async fn finish(&self, callback: &str) -> Result<Completed> {
        self.flow.finish(&AuthorizationResponse::from_query(callback)?, &user()).await
    }

    async fn whole_flow(&self) -> Result<Completed> {
        let (_, callback) = self.begin().await;
        self.finish(&callback).await
    }
}

fn user() -> Binding {
    Binding::user("", "user-42")
}

fn query(url: &str) -> Vec<(String, String)> {
    pairs(url.split_once('?').unwrap().1.as_bytes())
}

fn names(pairs: &[(String, String)]) -> Vec<&str> {
    pairs.iter().map(|(name, _)| name.as_str()).collect()
}

fn code_grant() -> Grant {
    Grant::AuthorizationCode {
        code: Secret::new(CODE),
        code_verifier: None,
        redirect_uri: Some(REDIRECT_URI.into()),
    }
}

#[test]
fn every_test_that_a_document_names_exists() {
    let functions = functions();
    for (document, least) in [("ARCHITECTURE.md", 28), ("SECURITY.md", 200), ("README.md", 80)] {
        let named = named_tests(&read(document));
        assert!(named.len() >= least, "{document} names only {} tests", named.len());
        let missing: Vec<_> = named.iter().filter(|name| !functions.contains(*name)).collect();
        assert!(missing.is_empty(), "{document} names tests that do not exist: {missing:?}");
    }
}

#[test]
fn every_test_of_parity_is_in_the_table() {
    let named = named_tests(&read("ARCHITECTURE.md"));
    let own = functions().into_iter().filter(|name| name.starts_with("acf_"));
    let missing: Vec<_> = own.filter(|name| !named.contains(name)).collect();
    assert!(missing.is_empty(), "the table in ARCHITECTURE.md lacks {missing:?}");
}
