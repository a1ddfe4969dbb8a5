//! Saying no, in the words of each endpoint.

use std::borrow::Cow;

use http::{StatusCode, header::WWW_AUTHENTICATE};
use serde_json::json;

use super::{
    ledger::Outcome,
    reply::{Format, Reply},
};

/// Why a request is refused.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) error: String,
    pub(super) reason: String,
    /// Where the ledger has a better word than "refused".
    pub(super) outcome: Option<Outcome>,
    /// RFC 6750 §3.1: a request without any token gets a challenge without an error code.
    pub(super) bare_challenge: bool,
}

impl Refusal {
    pub(super) fn new(error: &str, reason: &str) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            error: error.to_owned(),
            reason: reason.to_owned(),
            outcome: None,
            bare_challenge: false,
        }
    }

    pub(super) fn request(reason: &str) -> Self {
        Self::new("invalid_request", reason)
    }

    pub(super) fn grant(reason: &str) -> Self {
        Self::new("invalid_grant", reason)
    }

    pub(super) fn client(reason: &str) -> Self {
        Self::new("invalid_client", reason).with_status(StatusCode::UNAUTHORIZED)
    }

    pub(super) fn token(reason: &str) -> Self {
        Self::new("invalid_token", reason).with_status(StatusCode::UNAUTHORIZED)
    }

    pub(super) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    pub(super) fn with_outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = Some(outcome);
        self
    }

    pub(super) fn outcome(&self) -> Outcome {
        self.outcome
            .clone()
            .unwrap_or_else(|| Outcome::Refused { error: self.error.clone(), reason: self.reason.clone() })
    }
}

/// In which shape an endpoint says no.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// RFC 6749 §5.2.
    OAuth,
    /// RFC 6750 §3.
    Bearer,
    /// Stack Exchange's token endpoints.
    StackExchangeToken,
    /// Stack Exchange's API.
    StackExchangeApi,
    /// Contentstack's management and developer hub APIs.
    Contentstack,
    /// A page for people.
    Page,
}

impl Style {
    pub(super) fn render(self, refusal: &Refusal) -> Reply {
        match self {
            Self::OAuth => oauth(refusal),
            Self::Bearer => bearer(refusal),
            Self::StackExchangeToken => {
                let error = json!({ "type": refusal.error, "message": refusal.reason });
                Reply::fields(StatusCode::BAD_REQUEST, vec![("error", error)], Format::Json)
            }
            Self::StackExchangeApi => {
                let (id, name) = stack_exchange_error(&refusal.error);
                let fields = vec![
                    ("error_id", json!(id)),
                    ("error_message", json!(refusal.reason)),
                    ("error_name", json!(name)),
                ];
                let mut reply = Reply::fields(StatusCode::BAD_REQUEST, fields, Format::Json);
                reply.compressed = true;
                reply
            }
            Self::Contentstack => {
                let code = if refusal.status == StatusCode::UNAUTHORIZED { 105 } else { 141 };
                let fields = vec![
                    ("error_message", json!(refusal.reason)),
                    ("error_code", json!(code)),
                    ("errors", json!({ refusal.error.clone(): ["is not valid."] })),
                ];
                Reply::fields(refusal.status, fields, Format::Json)
            }
            Self::Page => Reply::html(refusal.status, super::page::error(&refusal.error, &refusal.reason)),
        }
    }
}

fn oauth(refusal: &Refusal) -> Reply {
    let fields = vec![("error", json!(refusal.error)), ("error_description", json!(refusal.reason))];
    let reply = Reply::fields(refusal.status, fields, Format::Json);
    if refusal.status == StatusCode::UNAUTHORIZED {
        return reply.header("www-authenticate", r#"Basic realm="authflow-testkit", charset="UTF-8""#);
    }
    reply
}

fn bearer(refusal: &Refusal) -> Reply {
    let fields = vec![("error", json!(refusal.error)), ("error_description", json!(refusal.reason))];
    let mut reply = Reply::fields(refusal.status, fields, Format::Json);
    let challenge: Cow<'_, str> = if refusal.bare_challenge {
        r#"Bearer realm="authflow-testkit""#.into()
    } else {
        format!(
            r#"Bearer realm="authflow-testkit", error="{}", error_description="{}""#,
            quotable(&refusal.error),
            quotable(&refusal.reason)
        )
        .into()
    };
    reply.set(WWW_AUTHENTICATE, &challenge);
    reply
}

/// The characters that RFC 6750 §3 allows within the quotes.
fn quotable(text: &str) -> String {
    text.chars().filter(|c| matches!(c, ' '..='~') && !matches!(c, '"' | '\\')).take(200).collect()
}

fn stack_exchange_error(error: &str) -> (u16, &'static str) {
    match error {
        "access_token_required" => (401, "access_token_required"),
        "invalid_access_token" | "invalid_token" => (402, "invalid_access_token"),
        "access_denied" => (403, "access_denied"),
        "no_method" | "not_found" => (404, "no_method"),
        "key_required" => (405, "key_required"),
        "throttle_violation" => (502, "throttle_violation"),
        "temporarily_unavailable" => (503, "temporarily_unavailable"),
        _ => (400, "bad_parameter"),
    }
}
