//! An application with axum, its session in tower-sessions and its state behind an `Arc`, that has got *Connect with Stack
//! Exchange*: what the README of authflow-axum builds up, as a whole.

#![allow(clippy::print_stderr, reason = "an example tells what fails")]

use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use authflow::axum::{Connected, CurrentUser, Refusal};
use authflow::http::Response;
use authflow::http::request::Parts;
use authflow::stackexchange::{self, StackExchange, Wrapper};
use authflow::web::{Accounts, Application, BoxError, Outcome};
use authflow::{
    ClientCredentials, Connections, EnvKeys, MemoryStateStore, MemoryTokenStore, User, async_trait,
};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{FromRef, State};
use axum::http::StatusCode;
use axum::response::{Html, Redirect};
use axum::routing::get;
use tokio::net::TcpListener;
use tower_sessions::cookie::SameSite;
use tower_sessions::{MemoryStore, Session, SessionManagerLayer};

struct People;

#[async_trait]
impl Application for People {
    async fn current_user(&self, request: &Parts) -> Result<Option<User>, BoxError> {
        // That is a mistake of ours. Any other error may be over when the user tries again.
        let missing = || authflow::Error::configuration("the layer of the session is missing");
        let session: &Session = request.extensions.get().ok_or_else(missing)?;
        // Where your sign-in keeps the user's id: one that never changes, not an e-mail address.
        let id: Option<String> = session.get("user").await?;
        Ok(id.map(|id| User::new("", id)))
    }

    /// No page tells a cause: these two are all that anybody gets to know of it.
    fn on_error(&self, _: &Parts, error: &(dyn Error + 'static)) {
        log("authflow", error);
    }

    async fn after(&self, _: &Parts, outcome: &Outcome, _: &mut Response<Bytes>) -> Result<(), BoxError> {
        let error = match outcome {
            Outcome::Failed { error, .. } => Some(error),
            // Connected, and the first request failed: where the key is wrong, so will all others.
            Outcome::Connected(connected) => connected.after_exchange.as_ref(),
            _ => None,
        };
        if let Some(error) = error {
            log("connecting", error);
        }
        Ok(())
    }
}

/// An error and its causes, in a line. Your application has a log of its own.
fn log(what: &str, error: &(dyn Error + 'static)) {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    let texts: Vec<String> = causes.map(ToString::to_string).collect();
    eprintln!("{what}: {}", texts.join(": "));
}

fn variable(name: &str) -> Result<String, String> {
    std::env::var(name).map_err(|error| format!("{name}: {error}; fill in `.env`, then `set -a; . ./.env`"))
}

/// `public_url` is where browsers find the application, such as `https://shop.example`.
fn accounts(public_url: &str) -> Result<Accounts, Box<dyn Error>> {
    let (id, secret) = (variable("STACKEXCHANGE_CLIENT_ID")?, variable("STACKEXCHANGE_CLIENT_SECRET")?);
    let credentials = ClientCredentials::confidential(id, secret)
        .redirect_uri(format!("{public_url}/auth/stackexchange/callback"));
    let mut stack_exchange = StackExchange::builder(credentials)
        .key(variable("STACKEXCHANGE_KEY")?)
        .site("stackoverflow")
        // Without scopes you learn who they are. For more: `.default_scopes([scope::READ_INBOX])`.
        .state_store(MemoryStateStore::new());
    if let Ok(stand_in) = variable("STACKEXCHANGE_STAND_IN") {
        stack_exchange = stack_exchange.endpoints_at(stand_in); // for step 8, and nothing else
    }
    let connections = Connections::builder()
        .flow(authflow::flow(stack_exchange.build()?).build()?)
        .token_store(MemoryTokenStore::new()) // forgets at the end of the process: step 7
        .keys(EnvKeys::new("AUTHFLOW_KEYS"))
        .build()?;
    let accounts = Accounts::builder(connections, &format!("{public_url}/auth"), People)
        .application("Shop", "/") // the way back from the pages of authflow
        .sign_in_at("/login"); // your page
    Ok(accounts.build()?)
}

/// The state of the application: what it was, and the accounts beside it.
#[derive(Clone)]
struct App {
    shop: Arc<Shop>,
    accounts: Accounts,
}

/// For the extractors of authflow.
impl FromRef<App> for Accounts {
    fn from_ref(app: &App) -> Self {
        app.accounts.clone()
    }
}

/// For the handlers that were there before, which ask for `State<Arc<Shop>>`.
impl FromRef<App> for Arc<Shop> {
    fn from_ref(app: &App) -> Self {
        Self::clone(&app.shop)
    }
}

pub(crate) async fn serve(listener: TcpListener, public_url: &str) -> Result<(), Box<dyn Error>> {
    let accounts = accounts(public_url)?;
    let sessions = SessionManagerLayer::new(MemoryStore::default())
        .with_same_site(SameSite::Lax) // tower-sessions says `Strict`: see "What to mind"
        .with_secure(public_url.starts_with("https://"));
    let app = Router::new()
        .route("/", get(home))
        .route("/login", get(sign_in_page).post(sign_in))
        .route("/profile", get(profile))
        .merge(authflow::axum::router(accounts.clone()))
        .layer(sessions) // below all routes that it is for
        .with_state(App { shop: Arc::new(Shop { name: "Shop" }), accounts });
    Ok(axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?)
}

async fn home(shop: State<Arc<Shop>>, accounts: State<Accounts>, who: CurrentUser) -> Html<String> {
    let connect = accounts.connect_path("stackexchange", Some("/profile"));
    let button = match who.0 {
        Some(_) => format!(
            r#"<form method="post" action="{connect}"><button>Connect with Stack Exchange</button></form>"#
        ),
        None => r#"<p><a href="/login">Sign in</a></p>"#.to_owned(),
    };
    Html(format!(r#"<h1>{}</h1>{button}<p><a href="/auth">Connected accounts</a></p>"#, shop.name))
}

async fn profile(stack: Connected<StackExchange>) -> Result<String, Refusal> {
    let api = variable("STACKEXCHANGE_STAND_IN"); // step 8
    let api = api.as_deref().unwrap_or("https://api.stackexchange.com");
    let answer = stack.get(&format!("{api}/2.3/me")).await?;
    // `get` gives whatever the API answered; `read` makes errors of its refusals.
    let me: Wrapper<stackexchange::User> = answer.read(Wrapper::read)?;
    Ok(me.items.into_iter().filter_map(|user| user.display_name).collect())
}

// From here on it is what your application has already.

struct Shop {
    name: &'static str,
}

async fn sign_in_page() -> Html<&'static str> {
    Html(r#"<form method="post"><button>Sign in</button></form>"#)
}

async fn sign_in(session: Session) -> Result<Redirect, StatusCode> {
    session.cycle_id().await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    session.insert("user", "user-42").await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    Ok(Redirect::to("/"))
}

async fn run() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    serve(listener, &variable("PUBLIC_URL")?).await
}

#[tokio::main]
async fn main() -> ExitCode {
    let Err(error) = run().await else { return ExitCode::SUCCESS };
    log("error", &*error);
    ExitCode::FAILURE
}
