//! The application's HTTP client, whose every request and answer is told.

use std::sync::Arc;

use async_trait::async_trait;
use authflow::quirks::ResponseFormat;
use authflow::{Clock as _, HttpClient, HttpError, HttpRequest, HttpResponse, Limits, SystemClock, rfc};
use http::header::{LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::Value;

use super::feed::{Field, Lane, Line, Tone};
use super::ledger::shown_of_a_stranger;
use super::party::Party;
use super::story::Story;
use crate::args::DemoProvider;
use crate::demo::explain;
use crate::demo::recorder::{Carried, carried, masked_path};
use crate::terminal::{masked_briefly, printable, shortened};

/// An [`HttpClient`] of one provider that tells what passes through it.
#[derive(Debug)]
pub(super) struct Tap<C> {
    pub(super) inner: C,
    pub(super) provider: Party,
    pub(super) story: Arc<Story>,
}

#[async_trait]
impl<C: HttpClient> HttpClient for Tap<C> {
    async fn send(&self, request: HttpRequest, limits: &Limits) -> Result<HttpResponse, HttpError> {
        let to = self.lane(&request);
        let purpose = Purpose::of(&request, to);
        if purpose == Purpose::Refresh {
            let act = Line::Act { title: "Refresh".to_owned(), reference: "RFC 6749 §6" };
            self.story.tell(self.provider, act);
        }
        self.story.tell(self.provider, sent(&request, to, purpose, self.provider));
        let clock = SystemClock::new();
        let begun = clock.monotonic();
        let result = self.inner.send(request, limits).await;
        let took = clock.monotonic().saturating_sub(begun);
        let (name, about, fields, tone) = match &result {
            Ok(response) => answered(response, purpose, self.provider),
            Err(error) => (
                "no usable answer".to_owned(),
                format!("{}. What the server did is not known here.", printable(&error.to_string())),
                Vec::new(),
                Tone::Bad,
            ),
        };
        let answer =
            Line::Arrow { from: to, to: Lane::Application, name, about, fields, tone, took: Some(took) };
        self.story.tell(self.provider, answer);
        result
    }
}

impl<C> Tap<C> {
    fn lane(&self, request: &HttpRequest) -> Lane {
        let is_api = self
            .story
            .resource(self.provider)
            .is_some_and(|api| api.origin() == request.url.origin() && api.path() == request.url.path());
        if is_api { Lane::Api } else { Lane::Server }
    }
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Exchange,
    Refresh,
    Api,
    Other,
}

impl Purpose {
    fn of(request: &HttpRequest, to: Lane) -> Self {
        if to == Lane::Api {
            return Self::Api;
        }
        let carried = carried(request);
        let has = |name: &str, value: Option<&str>| {
            carried.iter().any(|c| c.name == name && value.is_none_or(|value| c.value == value))
        };
        if has("grant_type", Some("refresh_token")) {
            Self::Refresh
        } else if has("code", None) {
            Self::Exchange
        } else {
            Self::Other
        }
    }

    const fn about(self) -> &'static str {
        match self {
            Self::Exchange => {
                "The code becomes tokens, without the browser: who stole the code lacks the verifier."
            }
            Self::Refresh => {
                "The refresh token brings a new access token. The user has nothing to do with it."
            }
            Self::Api => "The application uses the access token in the user's name.",
            Self::Other => "Part of the provider's own way.",
        }
    }
}

fn sent(request: &HttpRequest, to: Lane, purpose: Purpose, provider: Party) -> Line {
    let path = masked_path(request.url.path());
    let about = match purpose {
        Purpose::Other if ["revoke", "revocation", "invalidate"].iter().any(|word| path.contains(word)) => {
            "The application gives the tokens back: nobody can use them any more."
        }
        Purpose::Other if request.method == http::Method::DELETE => {
            "The application ends the user's authorization at the provider."
        }
        Purpose::Other if path.contains("authorizations") => {
            "The provider knows no token revocation: first the authorization is looked up."
        }
        purpose => purpose.about(),
    };
    Line::Arrow {
        from: Lane::Application,
        to,
        name: format!("{} {path}", request.method),
        about: about.to_owned(),
        fields: carried(request).into_iter().map(|carried| field(carried, provider)).collect(),
        tone: Tone::Plain,
        took: None,
    }
}

fn field(carried: Carried, provider: Party) -> Field {
    let about = explain::request(&carried.name);
    let value = match provider {
        Party::Own if !carried.is_header => shown_of_a_stranger(&carried.name, &carried.value),
        _ => carried.value,
    };
    Field { name: carried.name, value, about }
}

fn answered(
    response: &HttpResponse,
    purpose: Purpose,
    provider: Party,
) -> (String, String, Vec<Field>, Tone) {
    let status = response.status;
    let name = format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or_default());
    let mut fields: Vec<Field> = [RETRY_AFTER, WWW_AUTHENTICATE, LOCATION]
        .into_iter()
        .filter_map(|name| {
            let value = response.headers.get(&name)?.to_str().ok()?;
            let about = match name {
                RETRY_AFTER => "how long to wait; it is kept to",
                WWW_AUTHENTICATE => "why the token is refused (RFC 6750 §3)",
                _ => "never followed",
            };
            Some(Field { name: name.to_string(), value: shortened(&printable(value), 80), about })
        })
        .collect();
    let members = rfc::parse_object(response, ResponseFormat::Auto);
    if let Ok(members) = &members {
        fields.extend(members.iter().map(|(name, value)| Field {
            name: printable(name),
            value: member(name, value),
            about: explain::reply(name),
        }));
    }
    let is_error = !status.is_success()
        || members
            .as_ref()
            .is_ok_and(|members| members.contains_key("error") || members.contains_key("error_id"));
    let tone = if is_error { Tone::Bad } else { Tone::Good };
    let about = match (purpose, is_error) {
        (Purpose::Exchange, false) => "Tokens. They stay in the application; the browser never has them.",
        (Purpose::Exchange, true) => "No tokens. The code is used up all the same.",
        (Purpose::Refresh, false) => {
            "New tokens. Where the refresh token is replaced, the old one is used up."
        }
        (Purpose::Refresh, true) => "No new token.",
        (Purpose::Api, false) => "The API believes the token.",
        (Purpose::Api, true) if status == http::StatusCode::UNAUTHORIZED => {
            "The API refuses the token: the application may refresh, once, and send the request again."
        }
        (Purpose::Api, true) if provider == Party::Testkit(DemoProvider::StackExchange) => {
            "The API says no: with 400 here, and the reason in the body."
        }
        (Purpose::Other, false) => "Done.",
        (Purpose::Api | Purpose::Other, true) => "The answer is an error.",
    };
    (name, about.to_owned(), fields, tone)
}

/// A member of a reply as it may be seen: what is known to be harmless. Everything else is masked.
fn member(name: &str, value: &Value) -> String {
    const OPEN: [&str; 16] = [
        "account_id",
        "client_id",
        "error",
        "error_code",
        "error_description",
        "error_id",
        "error_message",
        "error_name",
        "expires",
        "expires_in",
        "has_more",
        "location",
        "message",
        "scope",
        "sub",
        "token_type",
    ];
    match value {
        Value::String(text) if OPEN.contains(&name) => shortened(&printable(text), 80),
        Value::Number(number) if OPEN.contains(&name) => number.to_string(),
        Value::Bool(yes) => yes.to_string(),
        Value::Null => "null".to_owned(),
        Value::String(text) if text.is_empty() => "(empty)".to_owned(),
        Value::String(text) => masked_briefly(text),
        Value::Number(number) => masked_briefly(&number.to_string()),
        Value::Array(items) if items.len() == 1 => "1 item".to_owned(),
        Value::Array(items) => format!("{} items", items.len()),
        Value::Object(members) if members.len() == 1 => "1 member".to_owned(),
        Value::Object(members) => format!("{} members", members.len()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::member;

    #[test]
    fn h1_what_is_not_known_to_be_harmless_is_masked() {
        let secret = "at-0123456789-0123456789-0123456789";
        for name in ["access_token", "refresh_token", "id_token", "anything", ""] {
            assert_eq!(member(name, &json!(secret)), "at-012****", "{name}");
        }
        assert_eq!(member("anything", &json!(123_456_789)), "****");
        assert_eq!(member("items", &json!([{ "access_token": secret }])), "1 item");
        assert_eq!(member("user", &json!({ "access_token": secret })), "1 member");
        assert_eq!(member("expires_in", &json!(60)), "60");
        assert_eq!(member("error_description", &json!("a\u{1b}[31mb")), "a?[31mb");
    }
}
