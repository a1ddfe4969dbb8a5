//! The routes: the page, what it asks for while it is open, and what its buttons do.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use authflow::{Clock as _, SystemClock};
use authflow_testkit::{Fault, FaultSpan};
use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, LOCATION, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use serde_json::json;
use url::form_urlencoded;

use super::app::Demo;
use super::faults;
use super::party::Party;
use super::{accounts, front, guard, sequence, view};
use crate::failure::Failure;

/// How long an open page waits for news before it asks again.
const POLL: Duration = Duration::from_secs(20);

/// The longest form of the page is a few names.
const LARGEST_FORM: usize = 4096;

/// Without `form-action`: browsers apply it to the redirect that leads to the authorization server as well.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; frame-ancestors 'none'";

pub(super) fn router(demo: &Demo) -> Result<Router, Failure> {
    let accounts = demo.accounts()?;
    let own = Router::new()
        .route("/", get(page))
        .route("/demo/page.css", get(|| file("text/css; charset=utf-8", include_str!("page.css"))))
        .route("/demo/page.js", get(|| file("text/javascript; charset=utf-8", include_str!("page.js"))))
        .route("/demo/news", get(news))
        .route("/demo/call", post(call))
        .route("/demo/refresh", post(refresh))
        .route("/demo/fault", post(fault))
        .route("/demo/behave", post(behave))
        .route("/demo/clear", post(clear))
        .fallback(async || text(StatusCode::NOT_FOUND, "There is nothing here.\n"))
        .layer(DefaultBodyLimit::max(LARGEST_FORM))
        .layer(from_fn_with_state(accounts.clone(), guard::own))
        .with_state(demo.clone());
    // Its routes alone: what is at no path of theirs is told to nobody.
    let told = from_fn_with_state((Arc::clone(&demo.story), accounts.clone()), front::told);
    let router = own.merge(authflow_axum::router(accounts).route_layer(told));
    Ok(router.layer(from_fn_with_state(demo.site.clone(), guard::meant)).layer(from_fn(protected)))
}

/// Headers of every answer, refusals too, but for those that authflow-web's have of their own.
async fn protected(request: Request<Body>, next: Next) -> Response {
    const HEADERS: [(HeaderName, &str); 5] = [
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, POLICY),
        // Not `no-referrer`: browsers would send `Origin: null` with a form then.
        (REFERRER_POLICY, "same-origin"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
    ];
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

async fn file(media_type: &'static str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, media_type)], text).into_response()
}

fn text(status: StatusCode, text: &'static str) -> Response {
    (status, text).into_response()
}

async fn page(State(demo): State<Demo>) -> Response {
    demo.story.catch_up();
    let news = demo.story.feed.since(0);
    match accounts::read(&demo).await {
        Ok(accounts) => {
            let page = view::page(&demo, &accounts, &news);
            ([(CONTENT_TYPE, "text/html; charset=utf-8")], page.into_string()).into_response()
        }
        Err(_) => text(StatusCode::SERVICE_UNAVAILABLE, "The connections could not be read. Try again.\n"),
    }
}

/// What is new after `after`: at once where there is something, else as soon as there is, or nothing after a while.
async fn news(State(demo): State<Demo>, uri: Uri) -> Response {
    let query = form(uri.query().unwrap_or_default().as_bytes());
    let after = query.get("after").and_then(|after| after.parse().ok()).unwrap_or_default();
    demo.story.catch_up();
    let clock = SystemClock::new();
    tokio::select! {
        biased;
        () = demo.story.feed.wait_beyond(after) => {}
        () = clock.sleep(POLL) => {}
    }
    let news = demo.story.feed.since(after);
    let Ok(accounts) = accounts::read(&demo).await else {
        return text(StatusCode::SERVICE_UNAVAILABLE, "The connections could not be read.\n");
    };
    let body = json!({
        "revision": news.revision,
        "now": view::milliseconds(SystemClock::new().now()),
        "afresh": news.afresh,
        "messages": sequence::messages(&demo, &news.messages).into_string(),
        "accounts": accounts::cards(&accounts).into_string(),
        "faults": view::active_faults(&demo).into_string(),
    });
    ([(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

async fn call(State(demo): State<Demo>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(provider) = provider(&demo, &form(&body)) else { return unknown() };
    // It goes on where the browser does not wait.
    let task = tokio::spawn(async move { demo.call(provider).await });
    done(&headers, task.await.is_ok())
}

async fn refresh(State(demo): State<Demo>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(provider) = provider(&demo, &form(&body)) else { return unknown() };
    let task = tokio::spawn(async move { demo.refresh(provider).await });
    done(&headers, task.await.is_ok())
}

async fn fault(State(demo): State<Demo>, headers: HeaderMap, body: Bytes) -> Response {
    let form = form(&body);
    let stage = provider(&demo, &form).and_then(|provider| demo.story.stage(provider));
    let Some(stage) = stage else { return unknown() };
    let presets = faults::presets(stage.provider);
    let preset = form.get("preset").and_then(|name| presets.iter().find(|preset| preset.name == name));
    let named = form.get("fault").and_then(|name| name.parse::<Fault>().ok());
    match (preset, named) {
        (Some(preset), _) => demo.story.misbehave(stage, preset.fault(), preset.span),
        (None, Some(fault)) => {
            let every = form.get("span").is_some_and(|span| span == "every");
            demo.story.misbehave(stage, &fault, if every { FaultSpan::Every } else { FaultSpan::Next });
        }
        (None, None) => return unknown(),
    }
    done(&headers, true)
}

async fn behave(State(demo): State<Demo>, headers: HeaderMap) -> Response {
    demo.story.behave();
    done(&headers, true)
}

async fn clear(State(demo): State<Demo>, headers: HeaderMap) -> Response {
    demo.story.catch_up();
    demo.story.feed.clear();
    done(&headers, true)
}

/// For the script nothing more, for a browser without it the page again.
fn done(headers: &HeaderMap, is_done: bool) -> Response {
    if !is_done {
        return text(StatusCode::INTERNAL_SERVER_ERROR, "This did not come to its end.\n");
    }
    let is_script = headers.get(ACCEPT).is_some_and(|accept| accept == "application/json");
    if is_script {
        return StatusCode::NO_CONTENT.into_response();
    }
    (StatusCode::SEE_OTHER, [(LOCATION, "/#newest")]).into_response()
}

fn unknown() -> Response {
    text(StatusCode::BAD_REQUEST, "There is no such provider or fault here.\n")
}

fn form(body: &[u8]) -> HashMap<String, String> {
    form_urlencoded::parse(body).into_owned().collect()
}

fn provider(demo: &Demo, form: &HashMap<String, String>) -> Option<Party> {
    demo.story.party_of(form.get("provider")?)
}
