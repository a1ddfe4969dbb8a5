//! The floor of what is done with a connection, by hand: one token set behind a mutex, one refresh at a time whose future all
//! share, and a pointer to the token for those who only read. No store, no other process, no other connection.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};

use crate::floor::Tokens;
use crate::registration::{CLIENT_ID, CLIENT_SECRET, CODE, REDIRECT_URI};

/// How long before its end a token is replaced in the background.
const EARLY: Duration = Duration::from_secs(60);

type Failed = Box<dyn std::error::Error + Send + Sync>;
/// All who wait get the same error.
type Outcome = Result<Arc<str>, Arc<Failed>>;
type Flight = Shared<BoxFuture<'static, Outcome>>;

pub(crate) struct Connection {
    http: reqwest::Client,
    token_endpoint: String,
    state: Mutex<State>,
}

struct State {
    access_token: Arc<str>,
    refresh_token: String,
    until: Instant,
    flight: Option<Flight>,
}

impl Connection {
    /// Exchanges a code; the token is then said to be good for `left` only.
    pub(crate) async fn new(http: reqwest::Client, token_endpoint: String, left: Duration) -> Arc<Self> {
        let form = [("grant_type", "authorization_code"), ("code", CODE), ("redirect_uri", REDIRECT_URI)];
        let tokens = send(&http, &token_endpoint, &form).await.unwrap();
        let state = State {
            access_token: tokens.access_token.into(),
            refresh_token: tokens.refresh_token.unwrap(),
            until: now() + left,
            flight: None,
        };
        Arc::new(Self { http, token_endpoint, state: Mutex::new(state) })
    }

    pub(crate) async fn token(self: &Arc<Self>) -> Outcome {
        let flight = {
            let mut state = self.state.lock().unwrap();
            let left = state.until.saturating_duration_since(now());
            if left > EARLY {
                return Ok(Arc::clone(&state.access_token));
            }
            let flight = match &state.flight {
                Some(flight) => flight.clone(),
                None => {
                    let flight = Arc::clone(self).refresh(state.refresh_token.clone()).boxed().shared();
                    // It goes on where the caller goes away.
                    tokio::spawn(flight.clone());
                    state.flight = Some(flight.clone());
                    flight
                }
            };
            if !left.is_zero() {
                return Ok(Arc::clone(&state.access_token));
            }
            flight
        };
        flight.await
    }

    async fn refresh(self: Arc<Self>, refresh_token: String) -> Outcome {
        let form = [("grant_type", "refresh_token"), ("refresh_token", &*refresh_token)];
        let sent = send(&self.http, &self.token_endpoint, &form).await;
        let mut state = self.state.lock().unwrap();
        state.flight = None;
        let tokens = sent.map_err(Arc::new)?;
        state.access_token = tokens.access_token.into();
        state.refresh_token = tokens.refresh_token.unwrap_or(refresh_token);
        state.until = now() + Duration::from_secs(tokens.expires_in.unwrap_or_default());
        Ok(Arc::clone(&state.access_token))
    }

    /// Waits for the refresh that is under way.
    pub(crate) async fn landed(&self) {
        let flight = self.state.lock().unwrap().flight.clone();
        if let Some(flight) = flight {
            let _may_have_failed = flight.await;
        }
    }
}

async fn send(http: &reqwest::Client, token_endpoint: &str, form: &[(&str, &str)]) -> Result<Tokens, Failed> {
    let request = http.post(token_endpoint).basic_auth(CLIENT_ID, Some(CLIENT_SECRET));
    let response = request.header("accept", "application/json").form(form).send().await?;
    Ok(serde_json::from_slice(&response.error_for_status()?.bytes().await?)?)
}

/// A token for those who only read it, behind a shared pointer: no caller keeps another one out.
pub(crate) struct SharedToken(ArcSwap<(Arc<str>, Instant)>);

impl SharedToken {
    pub(crate) fn new(access_token: &str, good_for: Duration) -> Self {
        Self(ArcSwap::from_pointee((access_token.into(), now() + good_for)))
    }

    pub(crate) fn get(&self) -> Option<Arc<str>> {
        let current = self.0.load();
        (now() < current.1).then(|| Arc::clone(&current.0))
    }
}

#[allow(clippy::disallowed_methods, reason = "the floor has no clock to be moved")]
fn now() -> Instant {
    Instant::now()
}
