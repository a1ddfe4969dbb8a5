//! A provider that answers with a form (`response_mode=form_post`), in front of the testkit's, which answers in the query.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use authflow_testkit::{AuthorizationServer, ScriptedUser};
use axum::extract::{RawQuery, State};
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::get;
use tokio::task::JoinHandle;

/// It ends with this value.
#[derive(Debug)]
pub(crate) struct Bridge {
    address: SocketAddr,
    server: Behind,
    task: JoinHandle<()>,
}

type Behind = Arc<OnceLock<Arc<AuthorizationServer>>>;

impl Bridge {
    pub(crate) async fn start() -> Self {
        let server = Behind::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = axum::Router::new().route("/authorize", get(authorize)).with_state(Arc::clone(&server));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, server, task }
    }

    /// Which server is behind it.
    pub(crate) fn stand_before(&self, server: &Arc<AuthorizationServer>) {
        self.server.set(Arc::clone(server)).unwrap();
    }

    pub(crate) fn authorization_endpoint(&self) -> String {
        format!("http://{}/authorize", self.address)
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The consent page: its button posts the answer to the application.
async fn authorize(State(server): State<Behind>, RawQuery(query): RawQuery) -> Response {
    let server = server.get().unwrap();
    let query = query.unwrap_or_default();
    let asked: Vec<_> = query.split('&').filter(|pair| *pair != "response_mode=form_post").collect();
    assert!(asked.len() < query.split('&').count(), "the form was asked for");
    let url = format!("{}?{}", server.authorization_endpoint(), asked.join("&"));
    let callback = url::Url::parse(&ScriptedUser::new().approve(&url).await.unwrap()).unwrap();
    let fields: String = callback
        .query_pairs()
        .map(|(name, value)| format!("<input type=\"hidden\" name=\"{name}\" value=\"{value}\">"))
        .collect();
    let mut target = callback;
    target.set_query(None);
    let page = format!(
        "<!doctype html><html lang=\"en\"><title>Consent</title><h1>Consent</h1>\
         <form method=\"post\" action=\"{target}\">{fields}<button value=\"approve\">Approve</button></form></html>"
    );
    Html(page).into_response()
}
