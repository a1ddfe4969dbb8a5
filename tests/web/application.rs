//! The application that the routes are part of: sessions in a cookie, and switches for the tests.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use authflow::{Error, SignIn, User, async_trait};
use authflow_web::{Application, BoxError, Outcome};
use http::HeaderValue;
use http::header::{COOKIE, SET_COOKIE};
use http::request::Parts;

use crate::jar::SameSite;

/// The name of the session's cookie.
pub(crate) const SESSION: &str = "session";

/// An application with the simplest session there is: a random id in a cookie, and a table of who is behind which.
#[derive(Clone, Debug, Default)]
pub(crate) struct TestApplication(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    sessions: Mutex<HashMap<String, Option<User>>>,
    next: AtomicU64,
    is_broken: AtomicBool,
    offers_sign_in: AtomicBool,
    has_strict_sessions: AtomicBool,
    /// The users of the application by their account: a provider id and a subject.
    accounts: Mutex<HashMap<String, String>>,
    seen: Mutex<Vec<Seen>>,
}

/// What the hook `after` was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Connected(String),
    SignedIn(String),
    Denied(Option<String>),
    Failed(String),
    Disconnected,
}

impl TestApplication {
    pub(crate) fn offering_sign_in(self) -> Self {
        self.0.offers_sign_in.store(true, Ordering::SeqCst);
        self
    }

    /// A session, of a user or of nobody: the value of the cookie.
    pub(crate) fn session(&self, user: Option<&User>) -> String {
        let id = format!("session-{}", self.0.next.fetch_add(1, Ordering::SeqCst));
        self.0.sessions.lock().unwrap().insert(id.clone(), user.cloned());
        id
    }

    /// Whether anybody is behind this session.
    pub(crate) fn user_of(&self, session: &str) -> Option<User> {
        self.0.sessions.lock().unwrap().get(session).cloned().flatten()
    }

    /// With which attribute the cookies of sessions are set from now on: `Lax` as long as nobody says otherwise, or `Strict`.
    pub(crate) fn set_sessions(&self, same_site: SameSite) {
        self.0.has_strict_sessions.store(same_site == SameSite::Strict, Ordering::SeqCst);
    }

    /// From now on, who is signed in cannot be told.
    pub(crate) fn break_sessions(&self, broken: bool) {
        self.0.is_broken.store(broken, Ordering::SeqCst);
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.0.seen.lock().unwrap().clone()
    }

    fn session_ids(parts: &Parts) -> Vec<String> {
        let headers = parts.headers.get_all(COOKIE).iter();
        let pairs = headers.filter_map(|header| header.to_str().ok()).flat_map(|header| header.split(';'));
        let named = pairs.filter_map(|pair| pair.trim().split_once('=')).filter(|(name, _)| *name == SESSION);
        named.map(|(_, value)| value.to_owned()).collect()
    }
}

#[async_trait]
impl Application for TestApplication {
    async fn current_user(&self, request: &Parts) -> Result<Option<User>, BoxError> {
        if self.0.is_broken.load(Ordering::SeqCst) {
            return Err("the table of sessions cannot be read".into());
        }
        Ok(Self::session_ids(request).iter().find_map(|id| self.user_of(id)))
    }

    async fn sign_in(&self, who: SignIn) -> Result<User, BoxError> {
        // A real one looks the account up; the first account of a provider stays the same user here.
        let account = who.provider_id.to_string();
        let mut accounts = self.0.accounts.lock().unwrap();
        let count = accounts.len();
        let id = accounts.entry(account).or_insert_with(|| format!("new-{count}"));
        Ok(User::new("acme", id.as_str()))
    }

    fn offers_sign_in(&self) -> bool {
        self.0.offers_sign_in.load(Ordering::SeqCst)
    }

    async fn after(
        &self,
        request: &Parts,
        outcome: &Outcome,
        response: &mut http::Response<bytes::Bytes>,
    ) -> Result<(), BoxError> {
        let code = |error: &Error| error.server_error().map(|error| error.code().to_owned());
        let seen = match outcome {
            Outcome::Connected(connected) => Seen::Connected(connected.key.provider_id().to_owned()),
            Outcome::SignedIn(connected) => {
                // A new id for the session, and the old one is over.
                for old in Self::session_ids(request) {
                    self.0.sessions.lock().unwrap().remove(&old);
                }
                let id = self.session(Some(connected.key.user()));
                let is_strict = self.0.has_strict_sessions.load(Ordering::SeqCst);
                let same_site = if is_strict { "Strict" } else { "Lax" };
                let cookie = format!("{SESSION}={id}; Path=/; HttpOnly; SameSite={same_site}");
                response.headers_mut().append(SET_COOKIE, HeaderValue::from_str(&cookie)?);
                Seen::SignedIn(connected.key.provider_id().to_owned())
            }
            Outcome::Denied { error, .. } => Seen::Denied(code(error)),
            Outcome::Failed { error, .. } => Seen::Failed(format!("{:?}", error.kind())),
            Outcome::Disconnected { .. } => Seen::Disconnected,
            other => panic!("an outcome that is new: {other:?}"),
        };
        self.0.seen.lock().unwrap().push(seen);
        Ok(())
    }
}
