//! Pending flows in a store of one's own: the session that the application has anyway.
//!
//! A store has two methods. What the caller gives to `begin` and `finish` as `extensions` reaches both, so the store itself
//! needs no connection to the request. `cargo run --example custom_state_store` shows a sign-in in one browser, and what
//! another browser gets that is sent the same callback.

#![allow(clippy::print_stdout, reason = "an example that tells what it does")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use authflow::{
    AuthorizationResponse, Binding, ClientCredentials, ConfiguredProvider, ErrorKind, PendingFlow, Secret,
    StateContext, StateKey, StateStore, StoreError, StoreErrorKind, async_trait,
};
use authflow_testkit::{AuthorizationServer, ScriptedUser};

/// The application's session, as its framework hands it out: one for each browser.
#[derive(Clone, Debug, Default)]
struct Session(Arc<Mutex<Entries>>);

#[derive(Debug, Default)]
struct Entries {
    browser_secret: Option<Secret>,
    pending: BTreeMap<StateKey, PendingFlow>,
}

impl Session {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For `begin` and `finish`: what the store gets to see.
    fn extensions(&self) -> http::Extensions {
        let mut extensions = http::Extensions::new();
        extensions.insert(self.clone());
        extensions
    }
}

/// The most flows of one session that are under way, such as tabs; beyond it the oldest goes.
const MOST_PENDING: usize = 10;

#[derive(Debug)]
struct SessionStateStore;

impl SessionStateStore {
    fn session<'a>(cx: &StateContext<'a>) -> Result<&'a Session, StoreError> {
        cx.extensions.get().ok_or_else(|| {
            StoreError::new(StoreErrorKind::Unavailable)
                .with_source("no session: give `.extensions(..)` to begin and finish")
        })
    }
}

#[async_trait]
impl StateStore for SessionStateStore {
    async fn store_state(
        &self,
        cx: &StateContext<'_>,
        key: &StateKey,
        flow: PendingFlow,
        _ttl: Duration,
    ) -> Result<(), StoreError> {
        let mut entries = Self::session(cx)?.entries();
        entries.pending.retain(|_, flow| !flow.is_expired(cx.now));
        if entries.pending.contains_key(key) {
            return Err(StoreError::new(StoreErrorKind::Conflict));
        }
        if entries.pending.len() >= MOST_PENDING {
            let oldest = entries.pending.iter().min_by_key(|(_, flow)| flow.created_at).map(|(key, _)| *key);
            oldest.map(|oldest| entries.pending.remove(&oldest));
        }
        entries.pending.insert(*key, flow);
        Ok(())
    }

    async fn check_state(
        &self,
        cx: &StateContext<'_>,
        key: &StateKey,
    ) -> Result<Option<PendingFlow>, StoreError> {
        // Removed and returned under one lock: of two callbacks at once, one gets the flow.
        let found = Self::session(cx)?.entries().pending.remove(key);
        Ok(found.filter(|flow| !flow.is_expired(cx.now)))
    }
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = AuthorizationServer::builder().start().await?;
    let provider = server.provider("example").default_scopes(["profile"]).build()?;
    let credentials = ClientCredentials::public("public-client").redirect_uri("http://127.0.0.1/callback");
    let flow = authflow::flow(ConfiguredProvider::from_provider(provider, credentials, SessionStateStore)?)
        .build()?;

    // Nobody is signed in yet: the flow is bound to the browser, by a secret in its session.
    let (session, other_session) = (Session::default(), Session::default());
    let authorization = flow.begin_in_browser().extensions(session.extensions()).await?;
    session.entries().browser_secret = authorization.browser_secret().cloned();
    other_session.entries().browser_secret = Binding::new_browser()?.browser_secret().cloned();
    let callback = ScriptedUser::new().approve(authorization.url()).await?;
    let response = AuthorizationResponse::from_url(&callback)?;

    for (name, session) in [("another browser", &other_session), ("the same browser", &session)] {
        let secret = session.entries().browser_secret.clone().ok_or("the session has no secret")?;
        match flow.finish(&response, &Binding::browser(secret)).extensions(session.extensions()).await {
            Ok(completed) => println!("In {name}: signed in, with the scopes {:?}", completed.tokens.scopes),
            Err(error) if error.kind() == ErrorKind::StateNotFound => println!("In {name}: {error}"),
            Err(error) => return Err(error.into()),
        }
    }
    println!("Left in the session: {} pending flows", session.entries().pending.len());
    Ok(())
}
