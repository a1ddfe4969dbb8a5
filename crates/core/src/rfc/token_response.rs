//! The token response (RFC 6749 §5).

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::{Map, Value};

use super::body::at;
use super::expiry::{expiry, lifetime, remaining};
use super::{parse_object, redact, retry_after};
use crate::call::Call;
use crate::error::{Error, ErrorKind, Result};
use crate::grant::Grant;
use crate::http_client::HttpResponse;
use crate::quirks::{Condition, Operator, ResponseShape};
use crate::scopes::Scopes;
use crate::secret::Secret;
use crate::text;
use crate::token::TokenSet;

/// Reads a token response, or the error in it.
///
/// # Errors
///
/// [`ErrorKind::InvalidGrant`] and [`ErrorKind::Refused`] for the provider's error, with whatever status it came;
/// [`ErrorKind::RateLimited`] and [`ErrorKind::Unavailable`] for 429 and 5xx, whose codes are never believed;
/// [`ErrorKind::InvalidResponse`] for what is neither. No error holds the body.
pub fn token_response(cx: &Call<'_>, response: &HttpResponse) -> Result<TokenSet> {
    let quirks = cx.provider.quirks();
    let is_refresh = matches!(cx.grant, Some(Grant::RefreshToken { .. }));
    let shape = match (&quirks.refresh_response, is_refresh) {
        (Some(shape), true) => shape,
        _ => &quirks.token_response,
    };
    let document = parse_object(response, shape.format).map(Value::Object);
    if let Some(error) = error_in(cx, shape, response, document.as_ref().ok()) {
        return Err(error);
    }
    let document = document.map_err(|error| {
        error.with_status(response.status).with_body_prefix(redact::body_prefix(cx, &response.body))
    })?;
    tokens(cx, shape, &document, is_refresh).map_err(|error| error.with_status(response.status))
}

/// The error in an answer that is no token response: of a revocation, of a hook's own request. `None` if it is a success.
#[must_use]
pub fn error_response(cx: &Call<'_>, response: &HttpResponse) -> Option<Error> {
    let shape = &cx.provider.quirks().token_response;
    let document = parse_object(response, shape.format).map(Value::Object);
    error_in(cx, shape, response, document.as_ref().ok())
}

fn error_in(
    cx: &Call<'_>,
    shape: &ResponseShape,
    response: &HttpResponse,
    document: Option<&Value>,
) -> Option<Error> {
    let status = response.status;
    let says_error = document.is_some_and(|document| {
        let standard = at(document, "/error").and_then(Value::as_str).is_some_and(|code| !code.is_empty());
        standard || shape.error.when.iter().any(|condition| holds(condition, document))
    });
    if status.is_success() && !says_error {
        return None;
    }
    let server_error = document.and_then(|document| {
        let code = first_text(document, &shape.error.code, "/error")?;
        let code = shape.error.code_map.get(&code).cloned().unwrap_or(code);
        let description = first_text(document, &shape.error.description, "/error_description");
        let uri = at(document, "/error_uri").and_then(Value::as_str);
        Some(redact::server_error(cx, &code, description.as_deref(), uri))
    });
    let fixed = |kind, message: &'static str| {
        let error = Error::new(kind, message);
        match &server_error {
            Some(server_error) => error.with_server_error(server_error.clone()),
            None => error,
        }
    };
    let error = if status == StatusCode::TOO_MANY_REQUESTS {
        fixed(ErrorKind::RateLimited, "the provider asks to slow down")
    } else if status.is_server_error() {
        // A proxy or a broken server wrote this: no code in it may end a connection.
        fixed(ErrorKind::Unavailable, "the provider is not available")
    } else if status.is_redirection() {
        Error::invalid_response(
            "the provider answered with a redirect, and redirects are not followed; check the endpoint",
        )
    } else {
        match server_error {
            Some(server_error) => Error::refused(server_error),
            None if document.is_some() => {
                Error::new(ErrorKind::Refused, "the provider refused the request without a code")
            }
            None => Error::invalid_response(
                "the provider refused the request with a body that is no error response",
            ),
        }
    };
    let prefix = if error.server_error().is_none() { redact::body_prefix(cx, &response.body) } else { None };
    let wait = retry_after(&response.headers, cx.now);
    Some(error.with_status(status).with_retry_after(wait).with_body_prefix(prefix))
}

fn holds(condition: &Condition, document: &Value) -> bool {
    let value = at(document, &condition.pointer).filter(|value| !value.is_null());
    let equal = |value: &Value| match (value, &condition.value) {
        (Value::Number(number), Value::String(text)) | (Value::String(text), Value::Number(number)) => {
            number.to_string() == *text
        }
        (value, wanted) => value == wanted,
    };
    match condition.op {
        Operator::Exists => value.is_some(),
        Operator::Equals => value.is_some_and(equal),
        Operator::NotEquals => value.is_some_and(|value| !equal(value)),
        Operator::IsObject => value.is_some_and(Value::is_object),
        Operator::IsString => value.is_some_and(Value::is_string),
    }
}

fn first_text(document: &Value, pointers: &[String], default: &str) -> Option<String> {
    let text = |pointer: &str| match at(document, pointer)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    if pointers.is_empty() { text(default) } else { pointers.iter().find_map(|pointer| text(pointer)) }
}

fn tokens(cx: &Call<'_>, shape: &ResponseShape, document: &Value, is_refresh: bool) -> Result<TokenSet> {
    let policy = &cx.provider.quirks().refresh_policy;
    let previous = cx.previous.filter(|_| is_refresh);
    let fields = &shape.fields;
    let access_pointer = fields.access_token.as_deref();
    let root = root(document, &shape.root, access_pointer);
    let field = |configured: Option<&str>, standard: &str| {
        let value = configured.and_then(|pointer| at(root, pointer));
        value.or_else(|| at(root, standard)).filter(|value| !value.is_null())
    };

    let id_token = secret(field(fields.id_token.as_deref(), "/id_token"), "id_token")?;
    let access_token = match secret(field(access_pointer, "/access_token"), "access_token")? {
        Some(token) => token,
        None if shape.access_token_optional && id_token.is_some() => Secret::new(""),
        None => previous
            .filter(|_| policy.keep_access_token_when_absent)
            .map(|tokens| tokens.access_token.clone())
            .ok_or_else(|| {
                Error::invalid_response("the provider's answer has no access_token (RFC 6749 §5.1)")
            })?,
    };
    let refresh_token = secret(field(fields.refresh_token.as_deref(), "/refresh_token"), "refresh_token")?;
    let kept = previous.filter(|_| refresh_token.is_none() && policy.keep_refresh_token_when_absent);
    let refresh_expiry_value = field(fields.refresh_token_expires_in.as_deref(), "/refresh_token_expires_in");

    let delimiter = shape.scope_delimiter.as_deref().unwrap_or(" ");
    let requested = cx.scopes.cloned().unwrap_or_default();
    let granted =
        field(fields.scope.as_deref(), "/scope").and_then(|value| scopes(value, delimiter, &requested));
    let expires_pointer = fields.expires_in.as_deref().filter(|pointer| at(root, pointer).is_some());
    let expires_pointer = expires_pointer.unwrap_or("/expires_in");

    let mut tokens = TokenSet::new(access_token, cx.now);
    tokens.expiry = expiry(root, expires_pointer, &shape.expiry, cx.now);
    tokens.refresh_expiry = match (refresh_expiry_value, kept) {
        (None, Some(kept)) => kept.refresh_expiry,
        (value, _) => lifetime(value, cx.now),
    };
    tokens.refresh_token = refresh_token.or_else(|| kept.and_then(|kept| kept.refresh_token.clone()));
    tokens.token_type =
        field(fields.token_type.as_deref(), "/token_type").and_then(Value::as_str).map(str::to_owned);
    tokens.scopes_assumed = granted.is_none();
    tokens.scopes = granted.unwrap_or(requested);
    tokens.id_token = id_token;
    let account = fields.account.as_deref().and_then(|pointer| at(root, pointer));
    tokens.account = account.and_then(name).or_else(|| previous.and_then(|tokens| tokens.account.clone()));
    tokens.callback = callback_values(cx);
    tokens.resources = cx.pending.map_or_else(
        || previous.map(|tokens| tokens.resources.clone()).unwrap_or_default(),
        |pending| pending.resources.iter().map(|resource| resource.to_string()).collect(),
    );
    tokens.extra = extra(shape, root, previous);
    Ok(tokens)
}

fn root<'v>(document: &'v Value, pointers: &[String], access_pointer: Option<&str>) -> &'v Value {
    let objects =
        || pointers.iter().filter_map(|pointer| at(document, pointer)).filter(|value| value.is_object());
    let has_token = |value: &&Value| {
        let is_at = |pointer: &str| at(value, pointer).is_some_and(|token| !token.is_null());
        access_pointer.is_some_and(is_at) || is_at("/access_token")
    };
    objects().find(has_token).or_else(|| objects().next()).unwrap_or(document)
}

/// A token: a string that is not empty. One with a character that no header can carry is refused, before anything is done
/// with it (RFC 6749 appendix A.12).
fn secret(value: Option<&Value>, name: &'static str) -> Result<Option<Secret>> {
    let Some(token) = value.and_then(Value::as_str).filter(|token| !token.is_empty()) else {
        return Ok(None);
    };
    if text::is_visible_ascii(token) {
        Ok(Some(Secret::new(token)))
    } else {
        Err(Error::invalid_response(format!("the {name} holds an illegal character (RFC 6749 appendix A)")))
    }
}

fn name(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn scopes(value: &Value, delimiter: &str, requested: &Scopes) -> Option<Scopes> {
    match value {
        // Granted as asked, which is most often so, they are shared.
        Value::String(text) if text.split_ascii_whitespace().eq(requested.iter()) && delimiter == " " => {
            Some(requested.clone())
        }
        Value::String(text) => Some(Scopes::split(text, delimiter)),
        Value::Array(scopes) => Some(Scopes::new(scopes.iter().filter_map(name))),
        _ => None,
    }
}

fn callback_values(cx: &Call<'_>) -> BTreeMap<String, String> {
    let previous = cx.previous.map(|tokens| &tokens.callback);
    cx.callback.or(previous).cloned().unwrap_or_default()
}

/// The members that no field of the token set holds. Where a refresh leaves out what endpoints depend on, what was known
/// stays.
fn extra(shape: &ResponseShape, root: &Value, previous: Option<&TokenSet>) -> Map<String, Value> {
    let fields = &shape.fields;
    let standard = [
        "/access_token",
        "/token_type",
        "/refresh_token",
        "/expires_in",
        "/scope",
        "/id_token",
        "/refresh_token_expires_in",
    ];
    let configured = [
        &fields.access_token,
        &fields.token_type,
        &fields.refresh_token,
        &fields.expires_in,
        &fields.scope,
        &fields.id_token,
        &fields.refresh_token_expires_in,
        &fields.account,
        &shape.expiry.pointer,
        &shape.expiry.issued_at,
    ];
    let pointers = standard.into_iter().chain(configured.into_iter().flatten().map(String::as_str));
    let mut extra = root.as_object().map(|object| remaining(object, &pointers)).unwrap_or_default();
    if let Some(previous) = previous {
        for (name, value) in &previous.extra {
            if !extra.contains_key(name) {
                extra.insert(name.clone(), value.clone());
            }
        }
    }
    extra
}
