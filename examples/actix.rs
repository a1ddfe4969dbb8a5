//! An application with actix-web whose people sign in with a provider and link accounts at others. Who is signed in is in its
//! own session, of actix-session.
//!
//! `cargo run --example actix` prints the address it listens on. The providers are two authorization servers in the same
//! process, unless `AUTHFLOW_EXAMPLE_PROVIDERS` names others.

#![allow(clippy::future_not_send, reason = "a worker of actix-web is one thread")]

mod support;

use actix_session::{Session, SessionExt as _};
use actix_web::web::{self, Bytes, Data, Html, Redirect};
use actix_web::{App, HttpServer, Responder};
use authflow::actix::{Connected, CurrentUser, IfConnected, Refusal, Routes};
use authflow::http::{Response, request::Parts};
use authflow::web::{Accounts, Application, BoxError, Outcome};
use authflow::{SignIn, User, async_trait};
use support::{Example, People, USER, sessions::MemorySessions};

/// What the session says, and what is to be written into it, goes through the extensions: see `routes`.
#[async_trait]
impl Application for People {
    async fn current_user(&self, request: &Parts) -> Result<Option<User>, BoxError> {
        request.extensions.get::<Option<User>>().cloned().ok_or_else(support::no_session)
    }

    fn offers_sign_in(&self) -> bool {
        true
    }

    async fn sign_in(&self, who: SignIn) -> Result<User, BoxError> {
        self.find_or_make(&who)
    }

    async fn after(&self, _: &Parts, outcome: &Outcome, to: &mut Response<Bytes>) -> Result<(), BoxError> {
        self.note(outcome);
        if let Outcome::SignedIn(connected) = outcome {
            to.extensions_mut().insert(connected.key.user().clone());
        }
        Ok(())
    }

    fn on_error(&self, _: &Parts, error: &(dyn std::error::Error + 'static)) {
        support::log(error);
    }
}

/// Reads the session before the application is asked, and writes it once somebody has signed in.
fn routes(accounts: &Accounts) -> Routes {
    let before = Routes::new(accounts.clone()).before(|request, extensions| {
        extensions.insert(request.get_session().get(USER)?.map(|id: String| User::new("", id)));
        Ok(())
    });
    before.after(|request, extensions| {
        let Some(user) = extensions.get::<User>() else { return Ok(()) };
        let session = request.get_session();
        // A new session, and nothing of before: whoever planted the old one is left with nothing.
        session.clear();
        session.renew();
        Ok(session.insert(USER, &user.id)?)
    })
}

async fn home(at: Data<Accounts>, who: CurrentUser, example: IfConnected<Example>) -> impl Responder {
    Html::new(support::page(&at, who.0.as_ref(), example.0.is_some()))
}

/// Whoever is not connected is sent to connect, and comes back here.
async fn profile(example: Connected<Example>) -> Result<String, Refusal> {
    let answer = example.get(support::profile_url()).await?;
    Ok(String::from_utf8_lossy(&answer.body).into_owned())
}

async fn sign_out(session: Session) -> impl Responder {
    session.purge();
    Redirect::to("/").see_other()
}

#[actix_web::main]
pub(crate) async fn main() -> Result<(), support::Failed> {
    let setup = support::setup().await?;
    let accounts = Accounts::builder(setup.connections, &setup.public_url, People::default()).build()?;
    let (routes, sessions) = (routes(&accounts), MemorySessions::default());
    let server = HttpServer::new(move || {
        App::new()
            .wrap(sessions.middleware())
            .app_data(Data::new(accounts.clone()))
            .route("/", web::get().to(home))
            .route("/profile", web::get().to(profile))
            .route("/sign-out", web::post().to(sign_out))
            .configure(|config| routes.configure(config))
    });
    Ok(server.listen(setup.listener)?.run().await?)
}
