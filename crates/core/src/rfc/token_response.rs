//! The token response (RFC 6749 §5).

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::{Map, Value};

use super::body::{Document, Field, Object};
use super::expiry::{expiry, lifetime};
use super::{redact, retry_after};
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
/// [`ErrorKind::RateLimited`] for 429 and [`ErrorKind::Unavailable`] for 5xx, 408 and 425, whose codes are never believed;
/// [`ErrorKind::InvalidResponse`] for what is neither. No error holds the body.
pub fn token_response(cx: &Call<'_>, response: &HttpResponse) -> Result<TokenSet> {
    let quirks = cx.provider.quirks();
    let is_refresh = matches!(cx.grant, Some(Grant::RefreshToken { .. }));
    let shape = match (&quirks.refresh_response, is_refresh) {
        (Some(shape), true) => shape,
        _ => &quirks.token_response,
    };
    let document = Document::parse(response, shape.format);
    if let Some(error) = error_in(cx, shape, response, document.as_ref().ok().map(Object::Document)) {
        return Err(error);
    }
    let document = document.map_err(|error| {
        error.with_status(response.status).with_body_prefix(redact::body_prefix(cx, &response.body))
    })?;
    tokens(cx, shape, Object::Document(&document), is_refresh)
        .map_err(|error| error.with_status(response.status))
}

/// The error in an answer that is no token response: of a revocation, of a hook's own request. `None` if it is a success.
#[must_use]
pub fn error_response(cx: &Call<'_>, response: &HttpResponse) -> Option<Error> {
    let shape = &cx.provider.quirks().token_response;
    let document = Document::parse(response, shape.format);
    error_in(cx, shape, response, document.as_ref().ok().map(Object::Document))
}

fn error_in(
    cx: &Call<'_>,
    shape: &ResponseShape,
    response: &HttpResponse,
    document: Option<Object<'_>>,
) -> Option<Error> {
    let status = response.status;
    let says_error = document.is_some_and(|document| {
        let standard = document.get("error").and_then(Field::as_str).is_some_and(|code| !code.is_empty());
        standard || shape.error.when.iter().any(|condition| holds(condition, document))
    });
    if status.is_success() && !says_error {
        return None;
    }
    let server_error = document.and_then(|document| {
        let code = first_text(document, &shape.error.code, "error")?;
        let code = shape.error.code_map.get(&code).cloned().unwrap_or(code);
        let description = first_text(document, &shape.error.description, "error_description");
        let uri = document.get("error_uri").and_then(Field::as_str);
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
    } else if status.is_server_error() || is_for_now(status) {
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

/// The request was not looked at, and may be sent again: it did not come in time (RFC 9110 §15.5.9), or came too early for a
/// server that fears a replay (RFC 8470 §5.2).
fn is_for_now(status: StatusCode) -> bool {
    status == StatusCode::REQUEST_TIMEOUT || status == StatusCode::TOO_EARLY
}

fn holds(condition: &Condition, document: Object<'_>) -> bool {
    let value = document.at(&condition.pointer).filter(|value| !value.is_null());
    let equal = |value: Field<'_>| match (value, Field::from(&condition.value)) {
        (Field::Value(Value::Number(number)), Field::Text(text))
        | (Field::Text(text), Field::Value(Value::Number(number))) => number.to_string() == text,
        (Field::Text(text), Field::Text(wanted)) => text == wanted,
        (Field::Value(value), Field::Value(wanted)) => value == wanted,
        _ => false,
    };
    match condition.op {
        Operator::Exists => value.is_some(),
        Operator::Equals => value.is_some_and(equal),
        Operator::NotEquals => value.is_some_and(|value| !equal(value)),
        Operator::IsObject => value.and_then(Field::as_object).is_some(),
        Operator::IsString => value.and_then(Field::as_str).is_some(),
    }
}

fn first_text(document: Object<'_>, pointers: &[String], default: &str) -> Option<String> {
    if pointers.is_empty() {
        return document.get(default).and_then(name);
    }
    pointers.iter().find_map(|pointer| document.at(pointer).and_then(name))
}

fn tokens(cx: &Call<'_>, shape: &ResponseShape, document: Object<'_>, is_refresh: bool) -> Result<TokenSet> {
    let policy = &cx.provider.quirks().refresh_policy;
    let previous = cx.previous.filter(|_| is_refresh);
    let fields = &shape.fields;
    let access_pointer = fields.access_token.as_deref();
    let root = root(document, &shape.root, access_pointer);
    let field = |configured: Option<&str>, standard: &str| {
        let value = configured.and_then(|pointer| root.at(pointer));
        value.or_else(|| root.get(standard)).filter(|value| !value.is_null())
    };

    let id_token = secret(field(fields.id_token.as_deref(), "id_token"), "id_token")?;
    let access_token = match secret(field(access_pointer, "access_token"), "access_token")? {
        Some(token) => token,
        None if shape.access_token_optional && id_token.is_some() => Secret::new(""),
        None => previous
            .filter(|_| policy.keep_access_token_when_absent)
            .map(|tokens| tokens.access_token.clone())
            .ok_or_else(|| {
                Error::invalid_response("the provider's answer has no access_token (RFC 6749 §5.1)")
            })?,
    };
    let refresh_token = secret(field(fields.refresh_token.as_deref(), "refresh_token"), "refresh_token")?;
    let kept = previous.filter(|_| refresh_token.is_none() && policy.keep_refresh_token_when_absent);
    let refresh_expiry_value = field(fields.refresh_token_expires_in.as_deref(), "refresh_token_expires_in");

    let delimiter = shape.scope_delimiter.as_deref().unwrap_or(" ");
    let requested = cx.scopes.cloned().unwrap_or_default();
    let granted =
        field(fields.scope.as_deref(), "scope").and_then(|value| scopes(value, delimiter, &requested));
    let expires_in = fields.expires_in.as_deref().and_then(|pointer| root.at(pointer));
    let expires_in = expires_in.or_else(|| root.get("expires_in"));

    let mut tokens = TokenSet::new(access_token, cx.now);
    tokens.expiry = expiry(root, expires_in, &shape.expiry, cx.now);
    tokens.refresh_expiry = match (refresh_expiry_value, kept) {
        (None, Some(kept)) => kept.refresh_expiry,
        (value, _) => lifetime(value, cx.now),
    };
    tokens.refresh_token = refresh_token.or_else(|| kept.and_then(|kept| kept.refresh_token.clone()));
    let token_type = field(fields.token_type.as_deref(), "token_type").and_then(Field::as_str);
    tokens.token_type = token_type.or_else(|| previous?.token_type.as_deref()).map(str::to_owned);
    tokens.scopes_assumed = granted.is_none();
    tokens.scopes = granted.unwrap_or(requested);
    // A refresh need not bring another one (OpenID Connect Core §12.2).
    tokens.id_token = id_token.or_else(|| previous?.id_token.clone());
    let account = fields.account.as_deref().and_then(|pointer| root.at(pointer));
    tokens.account = account.and_then(name).or_else(|| previous.and_then(|tokens| tokens.account.clone()));
    tokens.callback = callback_values(cx);
    tokens.resources = cx.pending.map_or_else(
        || previous.map(|tokens| tokens.resources.clone()).unwrap_or_default(),
        |pending| pending.resources.iter().map(|resource| resource.to_string()).collect(),
    );
    tokens.extra = extra(shape, root, previous);
    Ok(tokens)
}

fn root<'v>(document: Object<'v>, pointers: &[String], access_pointer: Option<&str>) -> Object<'v> {
    let object = |pointer: &String| match pointer.as_str() {
        "" => Some(document),
        pointer => document.at(pointer).and_then(Field::as_object).map(Object::Inner),
    };
    let has_token = |object: &Object<'_>| {
        let at_pointer = access_pointer.and_then(|pointer| object.at(pointer));
        [at_pointer, object.get("access_token")].into_iter().flatten().any(|token| !token.is_null())
    };
    let objects = || pointers.iter().filter_map(object);
    objects().find(has_token).or_else(|| objects().next()).unwrap_or(document)
}

/// A token: a string that is not empty. One with a character that no header can carry is refused, before anything is done
/// with it (RFC 6749 appendix A.12).
fn secret(value: Option<Field<'_>>, name: &'static str) -> Result<Option<Secret>> {
    let Some(token) = value.and_then(Field::as_str).filter(|token| !token.is_empty()) else {
        return Ok(None);
    };
    if text::is_visible_ascii(token) {
        Ok(Some(Secret::new(token)))
    } else {
        Err(Error::invalid_response(format!("the {name} holds an illegal character (RFC 6749 appendix A)")))
    }
}

fn name(value: Field<'_>) -> Option<String> {
    match value {
        Field::Text(text) if !text.is_empty() => Some(text.to_owned()),
        Field::Value(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    }
}

fn scopes(value: Field<'_>, delimiter: &str, requested: &Scopes) -> Option<Scopes> {
    match value {
        // Granted as asked, which is most often so, they are shared.
        Field::Text(text) if text.split_ascii_whitespace().eq(requested.iter()) && delimiter == " " => {
            Some(requested.clone())
        }
        Field::Text(text) => Some(Scopes::split(text, delimiter)),
        Field::Value(Value::Array(scopes)) => {
            Some(Scopes::new(scopes.iter().filter_map(|scope| name(scope.into()))))
        }
        _ => None,
    }
}

fn callback_values(cx: &Call<'_>) -> BTreeMap<String, String> {
    let previous = cx.previous.map(|tokens| &tokens.callback);
    cx.callback.or(previous).cloned().unwrap_or_default()
}

/// The members that no field of the token set holds. Where a refresh leaves out what endpoints depend on, what was known
/// stays.
fn extra(shape: &ResponseShape, root: Object<'_>, previous: Option<&TokenSet>) -> Map<String, Value> {
    let is_field = |name: &str| {
        let is_standard = matches!(
            name,
            "access_token"
                | "token_type"
                | "refresh_token"
                | "expires_in"
                | "scope"
                | "id_token"
                | "refresh_token_expires_in"
        );
        // A pointer that goes deeper leaves its member in place.
        is_standard || shape.value_pointers().any(|pointer| pointer.strip_prefix('/') == Some(name))
    };
    let mut extra = Map::new();
    root.for_each(|name, value| {
        if !is_field(name) {
            extra.insert(name.to_owned(), value.to_value());
        }
    });
    if let Some(previous) = previous {
        for (name, value) in &previous.extra {
            if !extra.contains_key(name) {
                extra.insert(name.clone(), value.clone());
            }
        }
    }
    extra
}
