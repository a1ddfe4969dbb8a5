//! Checks an authorization request and writes it as a URL.

use url::{Position, form_urlencoded};

use crate::call::AuthorizationRequest;
use crate::error::{Error, ErrorKind, Result};
use crate::pkce::CodeChallenge;
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
    if !is_same_origin(&made.endpoint, own) {
        return Err(Error::new(
            ErrorKind::ForeignOrigin,
            "the hook authorization_parameters points at another origin than the provider's authorization endpoint",
        ));
    }
    check(made, request)?;
    let front = &made.endpoint[..Position::AfterQuery];
    let has_query = made.endpoint.query().is_some();
    let fragment = made.endpoint.fragment();
    let mut text = String::with_capacity(front.len() + 512);
    text.push_str(front);
    let append = |text: &mut String, has_query: bool| append(text, has_query, &made.parameters, request);
    match (fragment, made.query_placement) {
        (None, _) => append(&mut text, has_query),
        (Some(fragment), Some(QueryPlacement::BeforeFragment)) => {
            append(&mut text, has_query);
            text.push('#');
            text.push_str(fragment);
        }
        (Some(fragment), Some(QueryPlacement::InsideFragment)) => {
            text.push('#');
            text.push_str(fragment);
            append(&mut text, fragment.contains('?'));
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

/// Compares in place: [`url::Url::origin`] copies the host.
fn is_same_origin(a: &url::Url, b: &url::Url) -> bool {
    std::ptr::eq(a, b)
        || a.scheme() == b.scheme()
            && a.host().is_some()
            && a.host() == b.host()
            && a.port_or_known_default() == b.port_or_known_default()
}

fn check(made: &AuthorizationParameters<'_>, request: &AuthorizationRequest<'_>) -> Result<()> {
    // In the state's own parameter, or inside another one for providers that have none (Mixcloud).
    let mut parameters = made.parameters.iter();
    if !parameters.clone().any(|parameter| parameter.value == request.state)
        && !parameters.any(|parameter| parameter.value.contains(request.state))
    {
        return Err(Error::configuration(
            "the hook authorization_parameters left the state out (RFC 6749 §10.12)",
        ));
    }
    if let Some(challenge) = request.code_challenge.as_ref().map(CodeChallenge::as_str) {
        if !made.parameters.iter().any(|parameter| parameter.value == challenge) {
            return Err(Error::configuration(
                "the hook authorization_parameters left the challenge out (RFC 7636 §4.3)",
            ));
        }
    }
    let has_query = made.endpoint.query().is_some();
    let in_endpoint = |name: &str| has_query && made.endpoint.query_pairs().any(|(known, _)| known == name);
    // Two names of different lengths are not the same: most need no other look.
    let mut lengths: u64 = 0;
    for (at, parameter) in made.parameters.iter().enumerate() {
        let length = 1 << (parameter.name.len() % 64);
        let mut before = made.parameters.iter().take(at);
        let twice = lengths & length != 0
            && parameter.name != "resource"
            && before.any(|known| known.name == parameter.name);
        lengths |= length;
        if twice || in_endpoint(&parameter.name) {
            return Err(Error::usage(
                "a parameter of the authorization request would occur twice (RFC 6749 §3.1)",
            ));
        }
    }
    Ok(())
}

fn append(
    text: &mut String,
    has_query: bool,
    parameters: &[Parameter<'_>],
    request: &AuthorizationRequest<'_>,
) {
    let challenge = request.code_challenge.as_ref().map_or("", CodeChallenge::as_str);
    let mut separator = if has_query { '&' } else { '?' };
    for parameter in parameters {
        text.push(separator);
        separator = '&';
        if is_standard(&parameter.name) {
            text.push_str(&parameter.name);
        } else {
            push_encoded(text, &parameter.name);
        }
        text.push('=');
        // State and challenge are the engine's own: base64url or hexadecimal, with nothing to encode.
        if parameter.encoded || parameter.value == request.state || parameter.value == challenge {
            text.push_str(&parameter.value);
        } else {
            push_encoded(text, &parameter.value);
        }
    }
}

/// The names that occur in every request. They have nothing to encode.
fn is_standard(name: &str) -> bool {
    matches!(
        name,
        "response_type"
            | "client_id"
            | "redirect_uri"
            | "scope"
            | "state"
            | "code_challenge"
            | "code_challenge_method"
    )
}

/// Form-encodes (WHATWG URL §5.2).
fn push_encoded(text: &mut String, value: &str) {
    let is_plain = |byte: &u8| IS_PLAIN[usize::from(*byte)];
    // Most have nothing to encode.
    if value.as_bytes().iter().all(is_plain) {
        text.push_str(value);
    } else {
        text.extend(form_urlencoded::byte_serialize(value.as_bytes()));
    }
}

/// The bytes that form encoding leaves as they are.
static IS_PLAIN: [bool; 256] = {
    let mut is_plain = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        let it = byte as u8;
        is_plain[byte] = it.is_ascii_alphanumeric() || matches!(it, b'*' | b'-' | b'.' | b'_');
        byte += 1;
    }
    is_plain
};

#[cfg(test)]
mod tests {
    use url::form_urlencoded::byte_serialize;

    use super::push_encoded;

    #[test]
    fn what_is_written_is_form_encoded() {
        let every: String = (0..=0x2ff_u32).filter_map(char::from_u32).collect();
        for text in ["", "a", " ", "read_inbox no_expiry", "https://a.example/?b=c&d#e", "\u{1f600}", &every]
        {
            let mut written = "x".to_owned();
            push_encoded(&mut written, text);
            assert_eq!(written[1..], byte_serialize(text.as_bytes()).collect::<String>());
        }
    }
}
