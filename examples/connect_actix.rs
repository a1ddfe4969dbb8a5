//! An application with actix-web and its session in actix-session that has got *Connect with Stack Exchange*: what the README
//! of authflow-actix builds up, as a whole.

#![allow(clippy::future_not_send, reason = "a worker of actix-web is one thread")]
#![allow(clippy::print_stderr, reason = "an example tells what fails")]

use std::error::Error;
use std::net::TcpListener;
use std::process::ExitCode;

use actix_session::storage::CookieSessionStore;
use actix_session::{Session, SessionExt as _, SessionMiddleware};
use actix_web::cookie::Key;
use actix_web::dev::Server;
use actix_web::web::{self, Bytes, Data, Html, Redirect};
use actix_web::{App, HttpServer};
use authflow::actix::{Connected, CurrentUser, Refusal, Routes};
use authflow::http::Response;
use authflow::http::request::Parts;
use authflow::stackexchange::{self, StackExchange, Wrapper};
use authflow::web::{Accounts, Application, BoxError, Outcome};
use authflow::{
    ClientCredentials, Connections, EnvKeys, MemoryStateStore, MemoryTokenStore, User, async_trait,
};

struct People;

#[async_trait]
impl Application for People {
    async fn current_user(&self, request: &Parts) -> Result<Option<User>, BoxError> {
        // What `routes` has put there.
        Ok(request.extensions.get::<User>().cloned())
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

fn routes(accounts: Accounts) -> Routes {
    Routes::new(accounts).before(|request, extensions| {
        // Where your sign-in keeps the user's id: one that never changes, not an e-mail address.
        if let Some(id) = request.get_session().get::<String>("user")? {
            extensions.insert(User::new("", id));
        }
        Ok(())
    })
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

pub(crate) fn serve(listener: TcpListener, public_url: &str) -> Result<Server, Box<dyn Error>> {
    let accounts = accounts(public_url)?;
    let routes = routes(accounts.clone());
    let (secure, key) = (public_url.starts_with("https://"), Key::generate());
    let server = HttpServer::new(move || {
        let sessions = SessionMiddleware::builder(CookieSessionStore::default(), key.clone());
        App::new()
            .wrap(sessions.cookie_secure(secure).build())
            .app_data(Data::new(accounts.clone())) // for links to connect
            .route("/", web::get().to(home))
            .route("/login", web::get().to(sign_in_page))
            .route("/login", web::post().to(sign_in))
            .route("/profile", web::get().to(profile))
            .configure(|config| routes.configure(config))
    });
    Ok(server.listen(listener)?.run())
}

async fn home(accounts: Data<Accounts>, who: CurrentUser) -> Html {
    let connect = accounts.connect_path("stackexchange", Some("/profile"));
    let button = match who.0 {
        Some(_) => format!(
            r#"<form method="post" action="{connect}"><button>Connect with Stack Exchange</button></form>"#
        ),
        None => r#"<p><a href="/login">Sign in</a></p>"#.to_owned(),
    };
    Html::new(format!(r#"<h1>Shop</h1>{button}<p><a href="/auth">Connected accounts</a></p>"#))
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

async fn sign_in_page() -> Html {
    Html::new(r#"<form method="post"><button>Sign in</button></form>"#)
}

async fn sign_in(session: Session) -> actix_web::Result<Redirect> {
    session.renew();
    session.insert("user", "user-42")?;
    Ok(Redirect::to("/").see_other())
}

async fn run() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:3000")?;
    Ok(serve(listener, &variable("PUBLIC_URL")?)?.await?)
}

#[actix_web::main]
async fn main() -> ExitCode {
    let Err(error) = run().await else { return ExitCode::SUCCESS };
    log("error", &*error);
    ExitCode::FAILURE
}
