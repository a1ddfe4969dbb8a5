//! Revocation in three steps: list the app's authorizations, find the user's, delete them one by one.
//!
//! `DELETE …/authorizations` without a uid would end the authorizations of every user, so no uid that could be lost on the
//! way to the path is accepted.

use authflow_core::quirks::ResponseFormat;
use authflow_core::rfc::{self, Revocation};
use authflow_core::{Call, Error, HttpClient, HttpRequest, HttpResponse, Limits, Result, TokenSet};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, StatusCode};
use serde_json::Value;
use url::Url;

use crate::api::ContentstackTokens;
use crate::builder::is_uid;
use crate::error::{ApiError, RevocationError};
use crate::provider::{Contentstack, authenticate_revocation};

pub(crate) async fn revoke(
    manager: &Contentstack,
    cx: &Call<'_>,
    http: &dyn HttpClient,
    tokens: &TokenSet,
) -> Result<Revocation> {
    let user_uid = ContentstackTokens::new(tokens).user_uid();
    let user_uid = user_uid.ok_or_else(|| RevocationError::NoUser.into_error())?;
    let Some(authorizations) = cx.endpoints.revocation_endpoint("") else {
        return Ok(Revocation::Unsupported);
    };
    let send = |method: Method, url: Url| async move {
        let mut request = HttpRequest::new(method, url)
            .with_header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        authenticate_revocation(manager, cx, tokens, &mut request)?;
        Ok::<HttpResponse, Error>(http.send(request, &Limits::default()).await?)
    };
    let refused = |response: &HttpResponse| {
        let error = ApiError::read_without(response, &[&tokens.access_token])?;
        let wait = rfc::retry_after(&response.headers, cx.now);
        Some(error.into_error(response).with_retry_after(wait))
    };

    let listed = send(Method::GET, authorizations.clone()).await?;
    if let Some(error) = refused(&listed) {
        return Err(error);
    }
    for uid in of_user(&listed, user_uid)? {
        let mut url = authorizations.clone();
        url.path_segments_mut()
            .map_err(|()| Error::configuration("the revocation endpoint is no https URL"))?
            .push(&uid);
        let deleted = send(Method::DELETE, url).await?;
        // Someone else was faster.
        if deleted.status != StatusCode::NOT_FOUND {
            if let Some(error) = refused(&deleted) {
                return Err(error);
            }
        }
    }
    Ok(Revocation::Revoked)
}

/// The uids of the user's authorizations; at least one.
fn of_user(response: &HttpResponse, user_uid: &str) -> Result<Vec<String>> {
    let body = rfc::parse_object(response, ResponseFormat::Json)
        .map_err(|error| error.with_status(response.status))?;
    let Some(data) = body.get("data").and_then(Value::as_array) else {
        return Err(Error::invalid_response(
            "Contentstack's answer is no list of authorizations; nothing was revoked",
        )
        .with_status(response.status));
    };
    if data.is_empty() {
        return Err(RevocationError::NoAuthorizations.into_error());
    }
    let own =
        data.iter().filter(|entry| entry.pointer("/user/uid").and_then(Value::as_str) == Some(user_uid));
    let mut uids = Vec::new();
    for entry in own {
        let uid = entry.get("authorization_uid").and_then(Value::as_str).filter(|uid| is_uid(uid));
        uids.push(uid.ok_or_else(|| RevocationError::UnusableAuthorization.into_error())?.to_owned());
    }
    if uids.is_empty() {
        return Err(RevocationError::NoAuthorizationOfUser.into_error());
    }
    Ok(uids)
}
