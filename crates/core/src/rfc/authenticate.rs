//! The access token in an API request (RFC 6750 §2).

use http::HeaderValue;
use http::header::CONTENT_TYPE;

use super::token_request::{header_name, sensitive};
use crate::call::Call;
use crate::error::{Error, Result};
use crate::http_client::HttpRequest;
use crate::quirks::TokenPlacement;
use crate::text;
use crate::token::TokenSet;

/// Puts the access token where the provider wants it, in one place only, and adds what every request of this provider
/// carries. What the request had there before is replaced.
///
/// # Errors
///
/// [`ErrorKind::Usage`](crate::ErrorKind::Usage) if the token cannot be sent, or a form is needed and there is none.
pub fn authenticate(cx: &Call<'_>, tokens: &TokenSet, request: &mut HttpRequest) -> Result<()> {
    let token = tokens.access_token.expose();
    if !text::is_visible_ascii(token) {
        return Err(Error::usage("the access token is empty or holds a character that cannot be sent"));
    }
    let usage = &cx.provider.quirks().access_token_usage;
    match &usage.placement {
        TokenPlacement::Header { name, scheme } => {
            let value = match scheme {
                Some(scheme) => sensitive(format!("{scheme} {token}"))?,
                None => sensitive(token.to_owned())?,
            };
            request.headers.insert(header_name(name)?, value);
        }
        TokenPlacement::Query { name } => set_query(request, name, token),
        TokenPlacement::Form { name } => {
            let form = HeaderValue::from_static("application/x-www-form-urlencoded");
            if request.headers.get(CONTENT_TYPE).is_some_and(|value| *value != form) {
                return Err(Error::usage(
                    "this provider takes the access token in a form body only (RFC 6750 §2.2)",
                ));
            }
            let mut body = url::form_urlencoded::Serializer::new(String::new());
            body.extend_pairs(url::form_urlencoded::parse(&request.body).filter(|(known, _)| known != name));
            body.append_pair(name, token);
            request.body = body.finish().into_bytes();
            request.headers.insert(CONTENT_TYPE, form);
        }
    }
    for (name, template) in usage.request_headers.iter() {
        if let Some(value) = cx.render_with(template, Some(tokens))? {
            request.headers.insert(header_name(name)?, sensitive(value)?);
        }
    }
    for (name, template) in usage.request_parameters.iter() {
        if let Some(value) = cx.render_with(template, Some(tokens))? {
            set_query(request, name, &value);
        }
    }
    Ok(())
}

fn set_query(request: &mut HttpRequest, name: &str, value: &str) {
    let kept: Vec<(String, String)> = request
        .url
        .query_pairs()
        .filter(|(known, _)| known != name)
        .map(|(n, v)| (n.into_owned(), v.into_owned()))
        .collect();
    request.url.query_pairs_mut().clear().extend_pairs(kept).append_pair(name, value);
}
