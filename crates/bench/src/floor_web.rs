//! The floor of the web: an application written by hand with the `oauth2` crate and tower-sessions on axum. Its session is in
//! tower-sessions' own memory store. The flow is in the session, or in Redis with one `SET` and one `GETDEL`; what the code
//! brings is written into the session. One provider, one flow for each session, no page, no error a person could act on.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Redirect;
use axum::routing::get;
use redis::aio::MultiplexedConnection;
use serde::{Deserialize, Serialize};
use tower_sessions::cookie::SameSite;
use tower_sessions::{MemoryStore, Session, SessionManagerLayer};
use url::form_urlencoded::parse;

use crate::peer;
use crate::registration::STATE_TTL;

/// Where the session keeps who is signed in.
pub(crate) const USER: &str = "user";
const PENDING: &str = "pending";
const TOKENS: &str = "tokens";

pub(crate) struct Application {
    pub(crate) oauth2: peer::Client,
    pub(crate) redis: Option<MultiplexedConnection>,
}

#[derive(Serialize, Deserialize)]
struct Pending {
    state: String,
    verifier: String,
    return_to: String,
    expires_at: SystemTime,
    /// The session's id, where the flow is not in the session itself.
    browser: Option<String>,
}

pub(crate) fn router(application: Application) -> Router {
    Router::new()
        .route("/sign-in", get(sign_in))
        .route("/auth/bench/connect", get(connect))
        .route("/auth/bench/callback", get(callback))
        .layer(sessions())
        .with_state(Arc::new(application))
}

pub(crate) fn sessions() -> SessionManagerLayer<MemoryStore> {
    SessionManagerLayer::new(MemoryStore::default()).with_same_site(SameSite::Lax)
}

pub(crate) async fn sign_in(session: Session, RawQuery(query): RawQuery) -> Result<(), StatusCode> {
    session.insert(USER, parameter(query.as_deref(), USER)).await.map_err(broken)
}

async fn connect(
    State(application): State<Arc<Application>>,
    session: Session,
    RawQuery(query): RawQuery,
) -> Result<Redirect, StatusCode> {
    let return_to = parameter(query.as_deref(), "return_to");
    let return_to = return_to.filter(|path| path.starts_with('/') && !path.starts_with("//"));
    let (url, state, verifier) = application.oauth2.authorize();
    let mut pending = Pending {
        state: state.into_secret(),
        verifier: verifier.into_secret(),
        return_to: return_to.unwrap_or_else(|| "/".to_owned()),
        expires_at: now() + Duration::from_secs(STATE_TTL),
        browser: None,
    };
    match &application.redis {
        None => session.insert(PENDING, pending).await.map_err(broken)?,
        Some(redis) => {
            pending.browser = Some(session.id().ok_or(StatusCode::UNAUTHORIZED)?.to_string());
            let value = serde_json::to_string(&pending).map_err(broken)?;
            let mut set = redis::cmd("SET");
            set.arg(key(&pending.state)).arg(value).arg("NX").arg("PX").arg(STATE_TTL * 1000);
            set.query_async::<()>(&mut redis.clone()).await.map_err(broken)?;
        }
    }
    Ok(Redirect::to(url.as_str()))
}

async fn callback(
    State(application): State<Arc<Application>>,
    session: Session,
    RawQuery(query): RawQuery,
) -> Result<Redirect, StatusCode> {
    let state = parameter(query.as_deref(), "state").ok_or(StatusCode::BAD_REQUEST)?;
    let code = parameter(query.as_deref(), "code").ok_or(StatusCode::BAD_REQUEST)?;
    let pending: Option<Pending> = match &application.redis {
        None => session.remove(PENDING).await.map_err(broken)?,
        Some(redis) => {
            let mut get = redis::cmd("GETDEL");
            let found = get.arg(key(&state)).query_async::<Option<String>>(&mut redis.clone()).await;
            let found = found.map_err(broken)?.and_then(|value| serde_json::from_str(&value).ok());
            let browser = session.id().map(|id| id.to_string());
            found.filter(|pending: &Pending| pending.browser.is_some() && pending.browser == browser)
        }
    };
    let pending = pending.filter(|pending| pending.state == state && now() < pending.expires_at);
    let pending = pending.ok_or(StatusCode::BAD_REQUEST)?;
    let tokens = application.oauth2.exchange(code, pending.verifier).await.ok_or(StatusCode::BAD_GATEWAY)?;
    session.insert(TOKENS, tokens).await.map_err(broken)?;
    Ok(Redirect::to(&pending.return_to))
}

fn key(state: &str) -> String {
    format!("flow:{state}")
}

pub(crate) fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    parse(query?.as_bytes()).find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

fn broken<E>(_: E) -> StatusCode {
    StatusCode::INTERNAL_SERVER_ERROR
}

#[allow(clippy::disallowed_methods, reason = "the floor has no clock to be moved")]
fn now() -> SystemTime {
    SystemTime::now()
}
