//! The browser's side of the application: each request to the accounts' routes, and its answer.

use std::borrow::Cow;
use std::sync::Arc;

use authflow_web::Accounts;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::header::{LOCATION, SET_COOKIE};
use http::{Method, StatusCode};
use url::{Url, form_urlencoded};

use super::feed::{Field, Lane, Line, Tone};
use super::ledger::{shown, shown_of_a_stranger};
use super::party::Party;
use super::story::Story;
use crate::demo::explain;
use crate::demo::recorder::masked_path;
use crate::terminal::printable;

/// Tells a request, lets it be answered, and tells the answer.
pub(super) async fn told(
    State((story, accounts)): State<(Arc<Story>, Accounts)>,
    request: Request<Body>,
    next: Next,
) -> Response {
    let (provider, action) = place(&story, request.uri().path());
    let is_own = accounts.is_own_request(request.headers());
    let (request, form) = match with_form(request, action, accounts.max_body()).await {
        Ok(whole) => whole,
        Err(_) => {
            let text = "This is longer than a provider's answer can be.\n";
            return (StatusCode::PAYLOAD_TOO_LARGE, text).into_response();
        }
    };
    begin(&story, provider, action, is_own, &request, &form);
    let response = next.run(request).await;
    story.tell(provider, answer(provider, action, &response));
    response
}

/// A request, and what was posted with it to a callback.
async fn with_form(
    request: Request<Body>,
    action: Action,
    max: usize,
) -> Result<(Request<Body>, Bytes), axum::Error> {
    if action != Action::Callback || request.method() != Method::POST {
        return Ok((request, Bytes::new()));
    }
    let (parts, body) = request.into_parts();
    let form = to_bytes(body, max).await?;
    Ok((Request::from_parts(parts, Body::from(form.clone())), form))
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
fn place(story: &Story, path: &str) -> (Option<Party>, Action) {
    let mut segments = path.rsplit('/');
    let action = match segments.next() {
        Some("connect") => Action::Connect,
        Some("callback") => Action::Callback,
        Some("disconnect") => Action::Disconnect,
        _ => Action::Page,
    };
    (segments.next().and_then(|id| story.party_of(id)), action)
}

fn begin(
    story: &Story,
    provider: Option<Party>,
    action: Action,
    is_own: bool,
    request: &Request<Body>,
    form: &[u8],
) {
    let (method, uri) = (request.method(), request.uri());
    let name = provider.map_or("a provider", |party| story.title(party));
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
        Action::Callback if provider.is_some_and(|party| story.has_issuer(party)) => {
            "The browser brings the answer. State, cookie and iss (the issuer: who answers) are compared before the code is used."
        }
        Action::Callback if provider == Some(Party::Own) => {
            "The browser brings the answer. State and cookie are compared before the code is used. An issuer to compare was not \
             given."
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
        .chain(form_urlencoded::parse(form))
        .map(|(name, value)| Field {
            value: of(provider, &name, &value),
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

fn answer(provider: Option<Party>, action: Action, response: &Response) -> Line {
    let status = response.status();
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let target = location.map(destination);
    let mut name = format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or_default());
    if let Some(target) = &target {
        name = format!("{} to {target}", status.as_u16());
    }
    let is_bad = status.is_client_error() || status.is_server_error();
    let about = match (action, is_bad) {
        (Action::Connect, false) if status == StatusCode::SEE_OTHER && provider == Some(Party::Own) => {
            "State and verifier are made and kept here; the browser gets a cookie that belongs to this flow, and brings the \
             question to the authorization server. What the two say to each other is not seen here."
        }
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
        fields: match (provider, action) {
            // No ledger tells later how it arrived.
            (Some(Party::Own), Action::Connect) => {
                location.map(asked).into_iter().flatten().chain(cookies(response)).collect()
            }
            _ => cookies(response),
        },
        tone: if is_bad { Tone::Bad } else { Tone::Plain },
        took: None,
    }
}

/// The authorization request, as it is sent.
fn asked(location: &str) -> Vec<Field> {
    let Ok(url) = Url::parse(location) else { return Vec::new() };
    let field = |(name, value): (Cow<'_, str>, Cow<'_, str>)| Field {
        value: of(Some(Party::Own), &name, &value),
        name: printable(&name),
        about: explain::authorization(&name),
    };
    url.query_pairs().map(field).collect()
}

/// A parameter as it may be seen.
fn of(provider: Option<Party>, name: &str, value: &str) -> String {
    match provider {
        Some(Party::Own) => shown_of_a_stranger(name, value),
        _ => shown(name, value),
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
