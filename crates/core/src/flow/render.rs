//! Checks an authorization request and writes it as a URL.

use url::form_urlencoded;

use crate::call::AuthorizationRequest;
use crate::error::{Error, ErrorKind, Result};
use crate::quirks::QueryPlacement;
use crate::rfc::{AuthorizationParameters, Parameter};

/// The most bytes of an authorization URL; browsers and servers begin to refuse not far above.
const MAX_URL: usize = 16 * 1024;

/// Checks what the hook made, and writes the URL.
pub(super) fn authorization_url(
    made: &AuthorizationParameters<'_>,
    request: &AuthorizationRequest<'_>,
    own: &url::Url,
) -> Result<String> {
    if made.endpoint.origin() != own.origin() || made.endpoint.scheme() != own.scheme() {
        return Err(Error::new(
            ErrorKind::ForeignOrigin,
            "the hook authorization_parameters points at another origin than the provider's authorization endpoint",
        ));
    }
    check(made, request)?;
    let url = made.endpoint.as_str();
    let (front, fragment) = match url.split_once('#') {
        Some((front, fragment)) => (front, Some(fragment)),
        None => (url, None),
    };
    let mut text = String::with_capacity(front.len() + 512);
    text.push_str(front);
    match (fragment, made.query_placement) {
        (None, _) => append(&mut text, front.contains('?'), &made.parameters),
        (Some(fragment), Some(QueryPlacement::BeforeFragment)) => {
            append(&mut text, front.contains('?'), &made.parameters);
            text.push('#');
            text.push_str(fragment);
        }
        (Some(fragment), Some(QueryPlacement::InsideFragment)) => {
            text.push('#');
            text.push_str(fragment);
            append(&mut text, fragment.contains('?'), &made.parameters);
        }
        (Some(_), None) => {
            return Err(Error::configuration(
                "the authorization endpoint has a fragment; set query_placement",
            ));
        }
    }
    if text.len() > MAX_URL {
        return Err(Error::usage(
            "the authorization URL is longer than 16 KiB; ask for fewer scopes or parameters",
        ));
    }
    Ok(text)
}

fn check(made: &AuthorizationParameters<'_>, request: &AuthorizationRequest<'_>) -> Result<()> {
    // In the state's own parameter, or inside another one for providers that have none (Mixcloud).
    if !made.parameters.iter().any(|parameter| parameter.value.contains(request.state)) {
        return Err(Error::configuration(
            "the hook authorization_parameters left the state out (RFC 6749 §10.12)",
        ));
    }
    if let Some(challenge) = &request.code_challenge {
        if !made.parameters.iter().any(|parameter| parameter.value == challenge.as_str()) {
            return Err(Error::configuration(
                "the hook authorization_parameters left the challenge out (RFC 7636 §4.3)",
            ));
        }
    }
    let in_endpoint = |name: &str| {
        made.endpoint.query().is_some() && made.endpoint.query_pairs().any(|(known, _)| known == name)
    };
    for (at, parameter) in made.parameters.iter().enumerate() {
        let before = made.parameters.iter().take(at);
        let twice = parameter.name != "resource" && before.clone().any(|known| known.name == parameter.name);
        if twice || in_endpoint(&parameter.name) {
            return Err(Error::usage(
                "a parameter of the authorization request would occur twice (RFC 6749 §3.1)",
            ));
        }
    }
    Ok(())
}

fn append(text: &mut String, has_query: bool, parameters: &[Parameter<'_>]) {
    let mut separator = if has_query { '&' } else { '?' };
    for parameter in parameters {
        text.push(separator);
        separator = '&';
        text.extend(form_urlencoded::byte_serialize(parameter.name.as_bytes()));
        text.push('=');
        if parameter.encoded {
            text.push_str(&parameter.value);
        } else {
            text.extend(form_urlencoded::byte_serialize(parameter.value.as_bytes()));
        }
    }
}
