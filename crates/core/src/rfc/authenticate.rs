//! The access token in an API request (RFC 6750 §2).

use http::HeaderValue;
use http::header::CONTENT_TYPE;
use url::form_urlencoded;

use super::token_request::{header_name, sensitive};
use crate::call::Call;
use crate::error::{Error, Result};
use crate::http_client::HttpRequest;
use crate::quirks::TokenPlacement;
use crate::text;
use crate::token::TokenSet;

/// Puts the access token where the provider wants it, in one place only, and adds what every request of this provider
/// carries. What the request had there before is replaced; the rest of its query, or of its form, stays byte for byte as it
/// is.
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
            request.body = with_pair(&request.body, name, token);
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
    let query = with_pair(request.url.query().unwrap_or_default().as_bytes(), name, value);
    // Nothing is lost: what UTF-8 is cut into at `&` is UTF-8.
    request.url.set_query(Some(&String::from_utf8_lossy(&query)));
}

/// `form` with this pair at its end, and without the others of that name, however they are written. What else there is stays
/// as it is written: nobody but the API knows what it makes of bytes that are no UTF-8, or of a name without `=`.
fn with_pair(form: &[u8], name: &str, value: &str) -> Vec<u8> {
    let pair = form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish();
    let is_other = |piece: &&[u8]| form_urlencoded::parse(piece).all(|(known, _)| known != name);
    // An empty form has no piece, not an empty one.
    let pieces = form.split(|byte| *byte == b'&').filter(|_| !form.is_empty());
    pieces.filter(is_other).chain([pair.as_bytes()]).collect::<Vec<_>>().join(&b'&')
}
