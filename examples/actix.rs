//! An application with actix-web whose people sign in with a provider and link accounts at others. Who is signed in is in its
//! own session, of actix-session.
//!
//! `cargo run --example actix` prints the address it listens on. The providers are two authorization servers in the same
//! process, unless `AUTHFLOW_EXAMPLE_PROVIDERS` names others.

#![allow(clippy::future_not_send, reason = "a worker of actix-web is one thread")]

mod support;

use actix_session::storage::CookieSessionStore;
use actix_session::{Session, SessionExt as _, SessionMiddleware};
use actix_web::web::{self, Bytes, Data, Html, Redirect};
use actix_web::{App, HttpServer, Responder, cookie::Key};
use authflow::actix::{Connected, CurrentUser, Failure, IfConnected, Routes};
use authflow::http::{Response, request::Parts};
use authflow::web::{Accounts, Application, BoxError, Outcome};
use authflow::{SignIn, User, async_trait};
use support::{Example, People};

/// Where the session keeps the id of who is signed in.
const USER: &str = "user";

/// What goes between the session, which stays with its request, and the application below.
#[derive(Clone)]
struct SignedIn(String);

#[async_trait]
impl Application for People {
    async fn current_user(&self, request: &Parts) -> Result<Option<User>, BoxError> {
        Ok(request.extensions.get().map(|SignedIn(id)| User::new("", id.as_str())))
    }

    fn offers_sign_in(&self) -> bool {
        true
    }

    async fn sign_in(&self, who: SignIn) -> Result<User, BoxError> {
        Ok(self.find_or_make(&who.provider_id, who.tokens.account.as_deref())?)
    }

    async fn after(&self, _: &Parts, outcome: &Outcome, to: &mut Response<Bytes>) -> Result<(), BoxError> {
        match outcome {
            Outcome::SignedIn(connected) => {
                to.extensions_mut().insert(SignedIn(connected.key.user().id.to_string()));
            }
            Outcome::Connected(connected) => self.link(&connected.key),
            _ => {}
        }
        Ok(())
    }
}

/// Reads the session before the application is asked, and writes it once somebody has signed in.
fn with_session(routes: Routes) -> Routes {
    let before = routes.before(|request, extensions| {
        if let Some(id) = request.get_session().get(USER)? {
            extensions.insert(SignedIn(id));
        }
        Ok(())
    });
    before.after(|request, extensions| {
        if let Some(SignedIn(id)) = extensions.get() {
            let session = request.get_session();
            // A new session, and nothing of before: whoever planted the old one is left with nothing.
            session.clear();
            session.renew();
            session.insert(USER, id)?;
        }
        Ok(())
    })
}

async fn home(
    accounts: Data<Accounts>,
    CurrentUser(user): CurrentUser,
    IfConnected(example): IfConnected<Example>,
) -> impl Responder {
    let connect = accounts.connect_path("example", Some("/"));
    Html::new(support::page(user.as_ref(), &connect, example.is_some()))
}

/// Whoever is not connected is sent to connect, and comes back here.
async fn profile(example: Connected<Example>) -> Result<String, Failure> {
    let answer = example.get(support::profile_url()).await?;
    Ok(String::from_utf8_lossy(&answer.body).into_owned())
}

async fn sign_out(session: Session) -> impl Responder {
    session.purge();
    Redirect::to("/").see_other()
}

#[actix_web::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let setup = support::setup().await?;
    let accounts = Accounts::builder(setup.connections, &setup.public_url, People::default()).build()?;
    let key = Key::generate();
    let routes = with_session(Routes::new(accounts.clone()));
    let server = HttpServer::new(move || {
        // Without TLS, for this machine alone.
        let sessions = SessionMiddleware::builder(CookieSessionStore::default(), key.clone());
        App::new()
            .wrap(sessions.cookie_secure(false).build())
            .app_data(Data::new(accounts.clone()))
            .route("/", web::get().to(home))
            .route("/profile", web::get().to(profile))
            .route("/sign-out", web::post().to(sign_out))
            .configure(|config| routes.configure(config))
    });
    server.listen(setup.listener)?.run().await?;
    Ok(())
}
