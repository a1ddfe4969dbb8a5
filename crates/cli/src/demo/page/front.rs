//! The browser's side of the application: each request to the accounts' routes, and its answer.

use std::sync::Arc;

use authflow_web::Accounts;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{LOCATION, SET_COOKIE};
use http::{Method, StatusCode, Uri};
use url::{Url, form_urlencoded};

use super::feed::{Field, Lane, Line, Tone};
use super::ledger::shown;
use super::story::Story;
use crate::args::DemoProvider;
use crate::demo::explain;
use crate::demo::recorder::masked_path;
use crate::demo::stage::Stage;
use crate::terminal::printable;

/// Tells a request, lets it be answered, and tells the answer.
pub(super) async fn told(
    State((story, accounts)): State<(Arc<Story>, Accounts)>,
    request: Request<Body>,
    next: Next,
) -> Response {
    let (provider, action) = place(&story, request.uri().path());
    let is_own = accounts.is_own_request(request.headers());
    begin(&story, provider, action, is_own, request.method(), request.uri());
    let response = next.run(request).await;
    story.tell(provider, answer(action, &response));
    response
}

/// What a route is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Connect,
    Callback,
    Disconnect,
    Page,
}

/// The provider and the action of `{base}/{provider}/{action}`.
fn place(story: &Story, path: &str) -> (Option<DemoProvider>, Action) {
    let mut segments = path.rsplit('/');
    let action = match segments.next() {
        Some("connect") => Action::Connect,
        Some("callback") => Action::Callback,
        Some("disconnect") => Action::Disconnect,
        _ => Action::Page,
    };
    let stage = segments.next().and_then(|id| story.stage_of(id));
    (stage.map(|stage| stage.provider), action)
}

fn begin(
    story: &Story,
    provider: Option<DemoProvider>,
    action: Action,
    is_own: bool,
    method: &Method,
    uri: &Uri,
) {
    let name =
        provider.and_then(|provider| story.stage(provider)).map_or("a provider", |stage| stage.title());
    match action {
        Action::Connect => {
            let title = format!("Connect: {name}");
            story.tell(provider, Line::Act { title, reference: "RFC 6749 §4.1, RFC 7636" });
        }
        Action::Disconnect => {
            let title = format!("Disconnect: {name}");
            story.tell(provider, Line::Act { title, reference: "RFC 7009" });
        }
        Action::Callback | Action::Page => {}
    }
    let about = match action {
        Action::Connect | Action::Disconnect if !is_own => {
            "The browser does not say that a page of this application asks for this."
        }
        Action::Connect => "You press Connect.",
        Action::Callback if provider.and_then(|of| story.stage(of)).is_some_and(Stage::has_issuer) => {
            "The browser brings the answer. State, cookie and iss (the issuer: who answers) are compared before the code is used."
        }
        Action::Callback => {
            "The browser brings the answer. State and cookie are compared before the code is used. This provider does not say \
             who answers."
        }
        Action::Disconnect => {
            "You press Disconnect. The connection is forgotten here first, so that no refresh under way brings it back; then \
             the provider is asked to revoke the tokens."
        }
        Action::Page => "A page of the application.",
    };
    let query = uri.query().unwrap_or_default();
    let fields = form_urlencoded::parse(query.as_bytes())
        .map(|(name, value)| Field {
            value: shown(&name, &value),
            name: printable(&name),
            about: if action == Action::Callback { explain::callback(&name) } else { "" },
        })
        .collect();
    let arrow = Line::Arrow {
        from: Lane::Browser,
        to: Lane::Application,
        name: format!("{method} {}", masked_path(uri.path())),
        about: about.to_owned(),
        fields,
        tone: Tone::Plain,
        took: None,
    };
    story.tell(provider, arrow);
}

fn answer(action: Action, response: &Response) -> Line {
    let status = response.status();
    let target = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).map(destination);
    let mut name = format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or_default());
    if let Some(target) = &target {
        name = format!("{} to {target}", status.as_u16());
    }
    let is_bad = status.is_client_error() || status.is_server_error();
    let about = match (action, is_bad) {
        (Action::Connect, false) if status == StatusCode::SEE_OTHER => {
            "State and verifier are made and kept here; the browser gets a cookie that belongs to this flow, and the way to \
             the authorization server."
        }
        (Action::Callback, false) if status == StatusCode::SEE_OTHER => {
            "To an address without code and state, so that neither stays in the history."
        }
        (Action::Callback, true) => {
            "This is not taken for the answer to our question. Nothing was connected."
        }
        (_, true) => "The application says no.",
        _ => "",
    };
    Line::Arrow {
        from: Lane::Application,
        to: Lane::Browser,
        name,
        about: about.to_owned(),
        fields: cookies(response),
        tone: if is_bad { Tone::Bad } else { Tone::Plain },
        took: None,
    }
}

/// Where a redirect goes, without its parameters: the next message has them.
fn destination(location: &str) -> String {
    match Url::parse(location) {
        Ok(url) => format!("{}{}", url.origin().ascii_serialization(), masked_path(url.path())),
        Err(_) => masked_path(location.split(['?', '#']).next().unwrap_or_default()),
    }
}

/// The cookies of an answer: that they are set or removed, and their attributes.
fn cookies(response: &Response) -> Vec<Field> {
    let cookies = response.headers().get_all(SET_COOKIE).iter();
    cookies
        .filter_map(|cookie| {
            let mut parts = cookie.to_str().ok()?.split(';').map(str::trim);
            let (name, _) = parts.next()?.split_once('=')?;
            // The end of a name is made of the state.
            let kind: String = printable(name).chars().take(16).collect();
            let attributes: Vec<String> = parts.map(printable).collect();
            let is_removal = attributes.iter().any(|attribute| attribute.eq_ignore_ascii_case("max-age=0"));
            Some(Field {
                name: "set-cookie".to_owned(),
                value: format!("{kind}****; {}", attributes.join("; ")),
                about: if is_removal { "removed" } else { "for this flow; no script reads it" },
            })
        })
        .collect()
}
