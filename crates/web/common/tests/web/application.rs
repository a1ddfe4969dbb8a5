//! The application around the routes: a session that is a cookie with the user's name, and switches for the tests.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use authflow_core::{Begin, Error, SignIn, User};
use authflow_web::{Application, BoxError, Outcome, async_trait};
use bytes::Bytes;
use http::header::{COOKIE, LOCATION, SET_COOKIE};
use http::request::Parts;
use http::{HeaderValue, Response};

/// A request's mark that the session layer of an application might leave.
#[derive(Clone)]
pub(crate) struct Mark;

/// What becomes of the session of somebody who signs in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Session {
    /// A cookie that comes with a redirect from elsewhere.
    #[default]
    Lax,
    /// One that does not.
    Strict,
    /// There is none.
    Absent,
}

#[derive(Debug, Default)]
pub(crate) struct TestApplication {
    pub(crate) offers_sign_in: bool,
    pub(crate) session: Session,
    pub(crate) refuses_sign_in: bool,
    pub(crate) sessions_fail: AtomicBool,
    /// As if their layer were not there.
    pub(crate) sessions_are_missing: AtomicBool,
    pub(crate) after_fails: AtomicBool,
    pub(crate) after_panics: AtomicBool,
    /// Where `after` sends the browser instead.
    pub(crate) elsewhere: Mutex<Option<&'static str>>,
    /// What `after` was told, in a word, and its `Debug`.
    outcomes: Mutex<Vec<(String, String)>>,
    errors: Mutex<Vec<String>>,
}

impl TestApplication {
    pub(crate) fn outcomes(&self) -> Vec<String> {
        self.outcomes.lock().unwrap().iter().map(|(word, _)| word.clone()).collect()
    }

    pub(crate) fn debugs(&self) -> String {
        self.outcomes.lock().unwrap().iter().map(|(_, debug)| format!("{debug}\n")).collect()
    }

    pub(crate) fn errors(&self) -> Vec<String> {
        self.errors.lock().unwrap().clone()
    }
}

pub(crate) fn user_of(session: &str) -> User {
    let (tenant, id) = session.split_once('/').unwrap_or(("", session));
    User::new(tenant, id)
}

#[async_trait]
impl Application for TestApplication {
    async fn current_user(&self, request: &Parts) -> Result<Option<User>, BoxError> {
        if self.sessions_fail.load(Ordering::SeqCst) {
            return Err("planted-session-failure".into());
        }
        if self.sessions_are_missing.load(Ordering::SeqCst) {
            return Err(Error::configuration("planted-session-mistake").into());
        }
        let cookies = request.headers.get(COOKIE).map_or("", |value| value.to_str().unwrap());
        let session = cookies.split("; ").find_map(|pair| pair.strip_prefix("session="));
        Ok(session.map(user_of))
    }

    async fn sign_in(&self, who: SignIn) -> Result<User, BoxError> {
        if self.refuses_sign_in {
            return Err("planted-refusal".into());
        }
        let account = who.tokens.account.ok_or("the provider names no account")?;
        Ok(User::new("", format!("{}:{account}", who.provider_id)))
    }

    fn offers_sign_in(&self) -> bool {
        self.offers_sign_in
    }

    fn begin<'f>(&self, request: &Parts, provider_id: &str, begin: Begin<'f>) -> Begin<'f> {
        assert!(request.extensions.get::<Mark>().is_some(), "the request's extensions are lost");
        // Tried, and set right again.
        let begin = begin.redirect_uri(format!("https://app.example/auth/{provider_id}/planted"));
        if provider_id == "alpha" { begin.scope("read").param("login_hint", "planted-hint") } else { begin }
    }

    async fn after(
        &self,
        request: &Parts,
        outcome: &Outcome,
        response: &mut Response<Bytes>,
    ) -> Result<(), BoxError> {
        assert!(request.extensions.get::<Mark>().is_some(), "the request's extensions are lost");
        let word = match outcome {
            Outcome::Connected(connected) => format!("connected {}", connected.key.provider_id()),
            Outcome::SignedIn(connected) => {
                if self.session != Session::Absent {
                    let (user, same_site) = (&connected.key.user().id, self.session);
                    let session = format!("session={user}; Path=/; HttpOnly; SameSite={same_site:?}");
                    response.headers_mut().append(SET_COOKIE, HeaderValue::try_from(session)?);
                }
                format!("signed in {}", connected.key.user().id)
            }
            Outcome::Denied { provider_id, error } => {
                format!("denied {provider_id} {}", error.server_error().unwrap().code())
            }
            Outcome::Failed { provider_id, error } => {
                format!("failed {provider_id} {}", error.kind().as_str())
            }
            Outcome::Disconnected { key, disconnected } => {
                let removed = disconnected.removal.is_ok();
                format!("disconnected {} {} {removed}", key.provider_id(), key.account().unwrap_or_default())
            }
            other => panic!("an outcome that is new: {other:?}"),
        };
        self.outcomes.lock().unwrap().push((word, format!("{outcome:?}")));
        if self.after_fails.load(Ordering::SeqCst) {
            response.headers_mut().append(SET_COOKIE, HeaderValue::from_static("planted=1"));
            return Err("planted-after-failure".into());
        }
        if self.after_panics.load(Ordering::SeqCst) {
            response.headers_mut().append(SET_COOKIE, HeaderValue::from_static("planted=1"));
            // Not at once: where it waited first it is another poll.
            tokio::task::yield_now().await;
            panic!("planted-after-panic");
        }
        if let Some(elsewhere) = *self.elsewhere.lock().unwrap() {
            response.headers_mut().insert(LOCATION, HeaderValue::from_static(elsewhere));
        }
        Ok(())
    }

    fn on_error(&self, _: &Parts, error: &(dyn std::error::Error + 'static)) {
        self.errors.lock().unwrap().push(format!("{error} {error:?}"));
    }
}
