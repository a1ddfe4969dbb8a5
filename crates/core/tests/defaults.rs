//! H7: features add, and never change what is done without them. `cargo xtask test` runs this with all features, and with none.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use authflow_core::{
    AuthorizationResponse, ConfiguredProvider, Flow, HttpClient, HttpError, HttpRequest, HttpResponse,
    Limits, MemoryStateStore, PendingFlow, Quirks, StateContext, StateKey, StateStore, StoreError,
    async_trait,
};
use common::{ManualClock, callback, credentials, provider, user};
use serde_json::{Value, json};

/// What reached the provider and the state store.
#[derive(Debug, Default)]
struct Seen {
    requests: Mutex<Vec<Value>>,
    lifetime: Mutex<Option<Duration>>,
    flows: MemoryStateStore,
}

#[async_trait]
impl HttpClient for Seen {
    async fn send(&self, request: HttpRequest, limits: &Limits) -> Result<HttpResponse, HttpError> {
        let names: Vec<_> = request.headers.keys().map(http::HeaderName::as_str).collect();
        let coding = request.headers.get(http::header::ACCEPT_ENCODING);
        self.requests.lock().unwrap().push(json!({
            "method": request.method.as_str(),
            "url": request.url.as_str(),
            "headers": names,
            "accept-encoding": coding.and_then(|coding| coding.to_str().ok()),
            "body": shown(&request.body),
            "limits": format!("{limits:?}"),
        }));
        let body = r#"{"access_token":"AT","refresh_token":"RT","expires_in":3600}"#;
        let json = http::HeaderValue::from_static("application/json");
        Ok(HttpResponse::new(http::StatusCode::OK, body).with_header(http::header::CONTENT_TYPE, json))
    }
}

#[async_trait]
impl StateStore for Seen {
    async fn store_state(
        &self,
        cx: &StateContext<'_>,
        key: &StateKey,
        flow: PendingFlow,
        ttl: Duration,
    ) -> Result<(), StoreError> {
        *self.lifetime.lock().unwrap() = Some(ttl);
        self.flows.store_state(cx, key, flow, ttl).await
    }

    async fn check_state(
        &self,
        cx: &StateContext<'_>,
        key: &StateKey,
    ) -> Result<Option<PendingFlow>, StoreError> {
        self.flows.check_state(cx, key).await
    }
}

/// The parameters in order; of what is drawn anew each time, how long it is.
fn shown(encoded: &[u8]) -> Vec<String> {
    let is_random = |name: &str| matches!(name, "state" | "code_challenge" | "code_verifier");
    let pairs = url::form_urlencoded::parse(encoded).map(|(name, value)| match is_random(&name) {
        true => format!("{name}: {} characters", value.len()),
        false => format!("{name}={value}"),
    });
    pairs.collect()
}

/// PKCE, the shape of each request, the caps and the deadlines, and every quirk.
#[tokio::test]
async fn h7_what_is_done_by_default_is_the_same_whatever_the_features() {
    let seen = Arc::new(Seen::default());
    let manager =
        ConfiguredProvider::from_provider(provider("p").build().unwrap(), credentials(), Arc::clone(&seen));
    let flow = Flow::builder(manager.unwrap())
        .http_client(Arc::clone(&seen))
        .clock(ManualClock::new())
        .build()
        .unwrap();
    let authorization = flow.begin(&user()).await.unwrap();
    let (endpoint, query) = authorization.url().split_once('?').unwrap();
    let answer = callback(authorization.url());
    let completed = flow.finish(&AuthorizationResponse::from_query(&answer).unwrap(), &user()).await.unwrap();
    flow.refresh(&completed.tokens).await.unwrap();
    flow.revoke(&completed.tokens).await.unwrap();
    let mut request = HttpRequest::get("https://api.example/me".parse().unwrap());
    flow.authenticate(&completed.tokens, &mut request).await.unwrap();

    let done = json!({
        "authorization": { "endpoint": endpoint, "parameters": shown(query.as_bytes()) },
        "lifetime": format!("{:?}", seen.lifetime.lock().unwrap().unwrap()),
        "requests": *seen.requests.lock().unwrap(),
        "authenticated": request.headers.keys().map(http::HeaderName::as_str).collect::<Vec<_>>(),
        "quirks": Quirks::default(),
    });
    let expected: Value = serde_json::from_str(include_str!("fixtures/defaults.json")).unwrap();
    assert_eq!(done, expected, "{done:#}");
}
