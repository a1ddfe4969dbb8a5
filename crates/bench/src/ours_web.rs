//! authflow in a web application, through axum with tower-sessions and through actix-web with actix-session, as the examples
//! have it.

#![allow(clippy::future_not_send, reason = "a worker of actix-web is one thread")]

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_session::storage::CookieSessionStore;
use actix_session::{SessionExt as _, SessionMiddleware};
use actix_web::cookie::Key;
use actix_web::{HttpRequest, HttpResponse, HttpServer, web};
use authflow_actix::Routes;
use authflow_core::{Connections, MemoryTokenStore, SignIn, StateStore, SystemClock, User};
use authflow_reqwest::ReqwestClient;
use authflow_web::{Accounts, Application, BoxError, async_trait};
use axum::Router;
use http::request::Parts;
use tower_sessions::Session;

use crate::floor_web::{USER, parameter, sessions, sign_in};
use crate::ours::flow_to;
use crate::registration::PROVIDER_ID;

const PUBLIC_URL: &str = "https://app.example.com/auth";
/// As long as the other contenders have their turns.
const KEEP_ALIVE: Duration = Duration::from_secs(600);
/// reqwest's own, which the floor has. With ours the connections to the token endpoint end while the others have their turns.
const IDLE: Duration = Duration::from_secs(90);

struct Site;

/// Who is signed in, out of a session of actix-session.
#[derive(Clone)]
struct SignedIn(String);

#[async_trait]
impl Application for Site {
    async fn current_user(&self, request: &Parts) -> Result<Option<User>, BoxError> {
        let id = match (request.extensions.get(), request.extensions.get::<Session>()) {
            (Some(SignedIn(id)), _) => Some(id.clone()),
            (None, Some(session)) => session.get(USER).await?,
            (None, None) => None,
        };
        Ok(id.map(|id| User::new("", id)))
    }

    fn offers_sign_in(&self) -> bool {
        true
    }

    async fn sign_in(&self, _: SignIn) -> Result<User, BoxError> {
        Ok(User::new("", "visitor"))
    }
}

pub(crate) fn accounts(token_endpoint: &str, states: Arc<dyn StateStore>) -> Accounts {
    let redirect_uri = format!("{PUBLIC_URL}/{PROVIDER_ID}/callback");
    let http = ReqwestClient::builder().idle_timeout(IDLE).build().unwrap();
    let flow = flow_to(&redirect_uri, Arc::new(SystemClock::new()), token_endpoint, states, http);
    let connections = Connections::builder().flow(flow).token_store(MemoryTokenStore::new());
    Accounts::builder(connections.build().unwrap(), PUBLIC_URL, Site).build().unwrap()
}

pub(crate) fn router(accounts: Accounts) -> Router {
    let router = Router::new().route("/sign-in", axum::routing::get(sign_in));
    router.merge(authflow_axum::router(accounts)).layer(sessions())
}

/// Serves through actix-web, with one worker.
pub(crate) async fn serve_actix(listener: TcpListener, accounts: Accounts) {
    let routes = Routes::new(accounts).before(|request, extensions| {
        if let Some(id) = request.get_session().get(USER)? {
            extensions.insert(SignedIn(id));
        }
        Ok(())
    });
    let key = Key::generate();
    let server = HttpServer::new(move || {
        actix_web::App::new()
            .wrap(SessionMiddleware::new(CookieSessionStore::default(), key.clone()))
            .route("/sign-in", web::get().to(sign_in_actix))
            .configure(|config| routes.configure(config))
    });
    let server = server.workers(1).keep_alive(KEEP_ALIVE).disable_signals().listen(listener).unwrap();
    server.run().await.unwrap();
}

async fn sign_in_actix(request: HttpRequest) -> Result<HttpResponse, actix_web::Error> {
    request.get_session().insert(USER, parameter(Some(request.query_string()), USER))?;
    Ok(HttpResponse::Ok().finish())
}
