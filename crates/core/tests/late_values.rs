//! Values of endpoints that only the callback or the token response tells.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use std::sync::Arc;

use authflow_core::{
    AuthorizationResponse, Call, ClientCredentials, EndpointUrls, ErrorKind, Flow, FlowManager, HttpClient,
    HttpRequest, Limits, MemoryStateStore, Pattern, Provider, ProviderBuilder, Quirks, Result, Scopes,
    StateStore, TokenSet, Variable, VariableSource, async_trait,
};
use common::{Rig, Script, callback, credentials, user};

fn urls(provider: &Provider, name: &str, value: &str) -> Result<EndpointUrls> {
    let config = std::collections::BTreeMap::new();
    let callback = std::collections::BTreeMap::from([(name.to_owned(), value.to_owned())]);
    let mut sources = authflow_core::VariableSources::new(&config);
    sources.callback = Some(&callback);
    provider.endpoints().resolve(&sources)
}

#[test]
fn a_callback_cannot_choose_the_host() {
    let with = |variable: Variable| {
        Provider::builder("p")
            .authorization_endpoint("https://as.example/authorize")
            .token_endpoint("https://{host}/token")
            .variable("host", variable)
            .build()
            .unwrap()
    };
    let mut closed =
        Variable::closed([VariableSource::Callback], [("EU", "eu.as.example"), ("NA", "as.example")]);
    closed = closed.with_default("NA");
    let roots = vec!["as.example".to_owned()];
    let under = Variable::matching([VariableSource::Callback], Pattern::HostUnder(roots));
    let evil = [
        "evil.example",
        "as.example.evil.example",
        "evilas.example",
        "as.example/@evil.example",
        "as.example:80",
        "EVIL",
        "",
        "as.example#",
        "as.example?",
        "as.example\\@evil.example",
        "a@as.example",
        "eu.as.example.",
        ".as.example",
        "-.as.example",
    ];
    for value in evil {
        assert_eq!(
            urls(&with(closed.clone()), "host", value).unwrap_err().kind(),
            ErrorKind::Configuration,
            "{value}"
        );
        assert_eq!(
            urls(&with(under.clone()), "host", value).unwrap_err().kind(),
            ErrorKind::Configuration,
            "{value}"
        );
    }
    let token = |urls: EndpointUrls| urls.token_endpoint.unwrap().to_string();
    assert_eq!(token(urls(&with(closed.clone()), "host", "EU").unwrap()), "https://eu.as.example/token");
    assert_eq!(token(urls(&with(closed), "other", "x").unwrap()), "https://as.example/token");
    assert_eq!(
        token(urls(&with(under.clone()), "host", "shop.as.example").unwrap()),
        "https://shop.as.example/token"
    );
    assert_eq!(token(urls(&with(under), "host", "as.example").unwrap()), "https://as.example/token");
}

#[test]
fn an_origin_from_a_token_reply_must_be_under_a_listed_root() {
    let pattern = Pattern::OriginUnder(vec!["salesforce.example".to_owned()]);
    let variable = Variable::matching([VariableSource::Callback], pattern);
    let provider = Provider::builder("p")
        .token_endpoint("https://login.salesforce.example/token")
        .api_origin("{instance}")
        .variable("instance", variable)
        .build()
        .unwrap();
    let api = |value: &str, url: &str| {
        urls(&provider, "instance", value).map(|urls| urls.is_api(&url.parse().unwrap()))
    };
    assert!(api("https://na1.salesforce.example/path?x", "https://na1.salesforce.example/data").unwrap());
    assert!(!api("https://na1.salesforce.example", "https://na2.salesforce.example/").unwrap());
    for value in [
        "http://na1.salesforce.example",
        "https://evil.example",
        "https://u@na1.salesforce.example",
        "https://na1.salesforce.example:8443",
        "https://evilsalesforce.example",
        "na1.salesforce.example",
    ] {
        assert!(api(value, "https://x.example/").is_err(), "{value}");
    }
}

/// The token response tells where the API is.
fn api_is_told() -> ProviderBuilder {
    let roots = vec!["api.example".to_owned()];
    Provider::builder("p")
        .authorization_endpoint("https://as.example/authorize")
        .token_endpoint("https://as.example/token")
        .api_origin("{instance_url}")
        .variable(
            "instance_url",
            Variable::matching([VariableSource::TokenResponse], Pattern::OriginUnder(roots)),
        )
}

const TOLD: &str = "https://eu.api.example";

/// Asks the API before, and after, its origin is known.
#[derive(Debug)]
struct Eager {
    provider: Provider,
    states: MemoryStateStore,
    /// Whether it is asked before the exchange.
    before: bool,
}

fn ask() -> HttpRequest {
    HttpRequest::get(format!("{TOLD}/me").parse().unwrap())
}

#[async_trait]
impl FlowManager for Eager {
    fn provider(&self) -> &Provider {
        &self.provider
    }

    fn credentials(&self) -> Arc<ClientCredentials> {
        Arc::new(credentials())
    }

    fn state_store(&self) -> &dyn StateStore {
        &self.states
    }

    async fn prepare_token_request(
        &self,
        _: &Call<'_>,
        http: &dyn HttpClient,
        _: &mut HttpRequest,
    ) -> Result<()> {
        if self.before {
            http.send(ask(), &Limits::default()).await?;
        }
        Ok(())
    }

    async fn after_exchange(
        &self,
        _: &Call<'_>,
        http: &dyn HttpClient,
        tokens: &TokenSet,
    ) -> Result<Option<TokenSet>> {
        // A look-up may tell what the response did not.
        if tokens.extra_str("instance_url").is_none() {
            let mut tokens = tokens.clone();
            tokens.extra.insert("instance_url".to_owned(), TOLD.into());
            return Ok(Some(tokens));
        }
        http.send(ask(), &Limits::default()).await?;
        Ok(None)
    }
}

async fn finish(flow: &Flow) -> Result<authflow_core::Completed> {
    let query = callback(flow.begin(&user()).await?.url());
    flow.finish(&AuthorizationResponse::from_query(&query)?, &user()).await
}

#[tokio::test]
async fn c3_no_origin_is_open_before_its_value_is_known() {
    let eager = |before| {
        let provider = api_is_told().build().unwrap();
        let http = Script::new();
        let manager = Eager { provider, states: MemoryStateStore::default(), before };
        (Flow::builder(manager).http_client(Arc::clone(&http)).build().unwrap(), http)
    };
    let told = format!(r#"{{"access_token":"planted-access-1","instance_url":"{TOLD}"}}"#);

    let (flow, http) = eager(true);
    let error = finish(&flow).await.unwrap_err();
    assert_eq!((error.kind(), http.count()), (ErrorKind::ForeignOrigin, 0), "before the token response");

    let (flow, http) = eager(false);
    http.json(&told);
    http.json("{}");
    let completed = finish(&flow).await.unwrap();
    assert!(completed.after_exchange.is_none(), "{:?}", completed.after_exchange);
    assert_eq!(http.requests()[1].url.as_str(), format!("{TOLD}/me"), "after it");
    let mut request = ask();
    flow.authenticate(&completed.tokens, &mut request).await.unwrap();
    assert!(request.headers.contains_key("authorization"));
    let mut other = HttpRequest::get("https://na.api.example/me".parse().unwrap());
    let error = flow.authenticate(&completed.tokens, &mut other).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ForeignOrigin, "only the one that was told");

    let mut silent = completed.tokens.clone();
    silent.extra.clear();
    let error = flow.authenticate(&silent, &mut ask()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ForeignOrigin, "where nobody told, none");
    let mut hostile = completed.tokens;
    hostile.extra.insert("instance_url".to_owned(), "https://evil.example".into());
    let error = flow.authenticate(&hostile, &mut ask()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration, "a value outside its form stays an error");
}

#[tokio::test]
async fn what_a_look_up_tells_opens_the_origin_afterwards() {
    let manager = Eager {
        provider: api_is_told().build().unwrap(),
        states: MemoryStateStore::default(),
        before: false,
    };
    let http = Script::new();
    let flow = Flow::builder(manager).http_client(Arc::clone(&http)).build().unwrap();
    http.json(r#"{"access_token":"planted-access-1"}"#);
    let completed = finish(&flow).await.unwrap();
    assert!(completed.after_exchange.is_none(), "{:?}", completed.after_exchange);
    flow.authenticate(&completed.tokens, &mut ask()).await.unwrap();
}

#[tokio::test]
async fn an_endpoint_that_is_needed_and_not_known_names_its_variable() {
    let label = |source| Variable::matching([source], Pattern::Label);
    let mut quirks = Quirks::default();
    quirks.authorization_response.retain = vec!["region".to_owned()];
    let provider = api_is_told()
        .token_endpoint("https://{region}.as.example/token")
        .refresh_endpoint("https://{dc}.as.example/refresh")
        .revocation_endpoint("https://{dc}.as.example/revoke")
        .userinfo_endpoint("https://{dc}.as.example/me")
        .variable("region", label(VariableSource::Callback))
        .variable("dc", label(VariableSource::TokenResponse))
        .quirks(quirks);
    let rig = Rig::with(provider.build().unwrap(), credentials());

    // A callback that does not tell: nothing is sent.
    let query = rig.begin(&user()).await;
    let error = rig.finish(&query, &user()).await.unwrap_err();
    assert_eq!((error.kind(), rig.http.count()), (ErrorKind::Configuration, 0));
    assert!(error.to_string().contains("`region`"), "{error}");
    // A grant without a callback.
    let error = rig.flow.client_credentials(&Scopes::none()).await.unwrap_err();
    assert!(error.to_string().contains("`region`"), "{error}");
    assert_eq!(rig.http.count(), 0);

    let query = rig.begin(&user()).await;
    rig.http.json(r#"{"access_token":"planted-access-1","refresh_token":"planted-refresh-1","dc":"us1"}"#);
    let tokens = rig.finish(&format!("{query}&region=eu"), &user()).await.unwrap().tokens;
    assert_eq!(rig.http.requests()[0].url.as_str(), "https://eu.as.example/token");
    rig.tokens();
    rig.flow.refresh(&tokens).await.unwrap();
    assert_eq!(rig.http.requests()[1].url.as_str(), "https://us1.as.example/refresh");

    // Known by nobody, the refresh does not go to the token endpoint instead, nor is a revocation said to be unsupported.
    let mut silent = tokens;
    silent.extra.clear();
    let refresh = rig.flow.refresh(&silent).await.unwrap_err();
    let revoke = rig.flow.revoke(&silent).await.unwrap_err();
    for error in [refresh, revoke] {
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains("`dc`"), "{error}");
    }
    assert_eq!(rig.http.count(), 2);
}
