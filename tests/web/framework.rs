//! The frameworks under judgement, each with the same small application.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc;

use authflow::KnownProvider;
use authflow_web::Accounts;

use crate::world::EXAMPLE;

/// The provider [`EXAMPLE`], as a type for extractors.
pub(crate) struct Example;

impl KnownProvider for Example {
    const PROVIDER_ID: &'static str = EXAMPLE;
}

/// A web framework. Beside the routes of `accounts` it serves, in the same words:
///
/// - `/me`: what the provider's API says of the connection of the signed-in user;
/// - `/accounts`: the same of each of the user's accounts there, a line for each;
/// - `/maybe`: whether there is one, `yes` or `no`;
/// - `/whoami`: the id of the signed-in user, or `nobody`.
pub(crate) trait Framework: Send + Sync + 'static {
    /// Serves on `listener` until the value is dropped.
    fn serve(listener: TcpListener, accounts: Accounts, resource: String) -> Running;
}

/// An application that runs. It ends with this value.
pub(crate) struct Running(Option<Box<dyn FnOnce() + Send + Sync>>);

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(stop) = self.0.take() {
            stop();
        }
    }
}

pub(crate) struct Axum;

#[derive(Clone)]
struct AxumState {
    accounts: Accounts,
    resource: Arc<str>,
}

impl axum::extract::FromRef<AxumState> for Accounts {
    fn from_ref(state: &AxumState) -> Self {
        state.accounts.clone()
    }
}

impl Framework for Axum {
    fn serve(listener: TcpListener, accounts: Accounts, resource: String) -> Running {
        use authflow_axum::{AllConnected, Connected, CurrentUser, Refusal};
        use axum::extract::State;
        use axum::routing::get;

        async fn me(
            State(state): State<AxumState>,
            client: Connected<Example>,
        ) -> Result<(http::StatusCode, String), Refusal> {
            let answer = client.get(&state.resource).await?;
            Ok((answer.status, String::from_utf8_lossy(&answer.body).into_owned()))
        }
        async fn all(
            State(state): State<AxumState>,
            AllConnected(clients): AllConnected<Example>,
        ) -> Result<String, Refusal> {
            let mut all = String::new();
            for client in clients {
                all += &String::from_utf8_lossy(&client.get(&state.resource).await?.body);
                all += "\n";
            }
            Ok(all)
        }
        async fn maybe(client: Option<Connected<Example>>) -> &'static str {
            if client.is_some() { "yes" } else { "no" }
        }
        async fn whoami(user: CurrentUser) -> String {
            user.0.map_or_else(|| "nobody".to_owned(), |user| user.id.to_string())
        }

        let router = axum::Router::new()
            .route("/me", get(me))
            .route("/accounts", get(all))
            .route("/maybe", get(maybe))
            .route("/whoami", get(whoami))
            .merge(authflow_axum::router(accounts.clone()))
            .with_state(AxumState { accounts, resource: resource.into() });
        listener.set_nonblocking(true).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let task = tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
        Running(Some(Box::new(move || task.abort())))
    }
}

pub(crate) struct Actix;

impl Framework for Actix {
    fn serve(listener: TcpListener, accounts: Accounts, resource: String) -> Running {
        use actix_web::web::Data;
        use actix_web::{App, HttpResponse, HttpServer, web};
        use authflow_actix::{AllConnected, Connected, CurrentUser, IfConnected, Refusal};

        async fn me(resource: Data<String>, client: Connected<Example>) -> Result<HttpResponse, Refusal> {
            let answer = client.get(&resource).await?;
            let status = actix_web::http::StatusCode::from_u16(answer.status.as_u16()).unwrap();
            Ok(HttpResponse::build(status).body(answer.into_inner().body))
        }
        async fn all(
            resource: Data<String>,
            AllConnected(clients): AllConnected<Example>,
        ) -> Result<String, Refusal> {
            let mut all = String::new();
            for client in clients {
                all += &String::from_utf8_lossy(&client.get(&resource).await?.body);
                all += "\n";
            }
            Ok(all)
        }
        async fn maybe(client: IfConnected<Example>) -> &'static str {
            if client.0.is_some() { "yes" } else { "no" }
        }
        async fn whoami(user: CurrentUser) -> String {
            user.0.map_or_else(|| "nobody".to_owned(), |user| user.id.to_string())
        }

        // Its workers have runtimes of their own: so has the whole server, in a thread that ends with it.
        let (started, handle) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let server = HttpServer::new(move || {
                    App::new()
                        .app_data(Data::new(resource.clone()))
                        .route("/me", web::get().to(me))
                        .route("/accounts", web::get().to(all))
                        .route("/maybe", web::get().to(maybe))
                        .route("/whoami", web::get().to(whoami))
                        .configure(authflow_actix::configure(accounts.clone()))
                });
                let server =
                    server.workers(1).disable_signals().shutdown_timeout(0).listen(listener).unwrap().run();
                started.send(server.handle()).unwrap();
                server.await.unwrap();
            });
        });
        let handle = handle.recv().unwrap();
        Running(Some(Box::new(move || {
            // The command is on its way once this is called; the thread ends when it has been carried out.
            drop(handle.stop(false));
            thread.join().unwrap();
        })))
    }
}
