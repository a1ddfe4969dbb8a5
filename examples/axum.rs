//! An application with axum whose people sign in with a provider and link accounts at others. Who is signed in is in its own
//! session, of tower-sessions.
//!
//! `cargo run --example axum` prints the address it listens on. The providers are two authorization servers in the same
//! process, unless `AUTHFLOW_EXAMPLE_PROVIDERS` names others.

mod support;

use std::net::SocketAddr;

use authflow::axum::{Connected, CurrentUser, Refusal};
use authflow::http::{Response, StatusCode, request::Parts};
use authflow::web::{Accounts, Application, BoxError, Outcome};
use authflow::{SignIn, User, async_trait};
use axum::extract::State;
use axum::response::{Html, Redirect};
use axum::{Router, body::Bytes, routing};
use support::{Example, People, USER};
use tower_sessions::{MemoryStore, Session, SessionManagerLayer, cookie::SameSite};

fn session(request: &Parts) -> Result<&Session, BoxError> {
    request.extensions.get().ok_or_else(support::no_session)
}

#[async_trait]
impl Application for People {
    async fn current_user(&self, request: &Parts) -> Result<Option<User>, BoxError> {
        Ok(session(request)?.get::<String>(USER).await?.map(|id| User::new("", id)))
    }

    fn offers_sign_in(&self) -> bool {
        true
    }

    async fn sign_in(&self, who: SignIn) -> Result<User, BoxError> {
        self.find_or_make(&who)
    }

    async fn after(&self, of: &Parts, outcome: &Outcome, _: &mut Response<Bytes>) -> Result<(), BoxError> {
        self.note(outcome);
        if let Outcome::SignedIn(connected) = outcome {
            let session = session(of)?;
            // A new id, and nothing of before: whoever planted that is left with nothing. (`flush` would keep the id.)
            session.clear().await;
            session.cycle_id().await?;
            session.insert(USER, &connected.key.user().id).await?;
        }
        Ok(())
    }

    fn on_error(&self, _: &Parts, error: &(dyn std::error::Error + 'static)) {
        support::log(error);
    }
}

async fn home(at: State<Accounts>, who: CurrentUser, example: Option<Connected<Example>>) -> Html<String> {
    Html(support::page(&at, who.0.as_ref(), example.is_some()))
}

/// Whoever is not connected is sent to connect, and comes back here.
async fn profile(example: Connected<Example>) -> Result<String, Refusal> {
    let answer = example.get(support::profile_url()).await?;
    Ok(String::from_utf8_lossy(&answer.body).into_owned())
}

async fn sign_out(session: Session) -> Result<Redirect, StatusCode> {
    session.flush().await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    Ok(Redirect::to("/"))
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), support::Failed> {
    let setup = support::setup().await?;
    let accounts = Accounts::builder(setup.connections, &setup.public_url, People::default()).build()?;
    // `Lax`, so that the session is there when the provider sends the browser back; without TLS, for this machine alone.
    let sessions = SessionManagerLayer::new(MemoryStore::default());
    let app = Router::new()
        .route("/", routing::get(home))
        .route("/profile", routing::get(profile))
        .route("/sign-out", routing::post(sign_out))
        .merge(authflow::axum::router(accounts.clone()))
        .layer(sessions.with_same_site(SameSite::Lax).with_secure(false))
        .with_state(accounts);
    let listener = tokio::net::TcpListener::from_std(setup.listener)?;
    Ok(axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?)
}
