//! Checks an authorization request and writes it as a URL.

use url::Position;
use url::form_urlencoded::byte_serialize;

use crate::call::AuthorizationRequest;
use crate::credentials::ClientCredentials;
use crate::error::{Error, ErrorKind, Result};
use crate::pkce::{self, CodeChallenge};
use crate::provider::Provider;
use crate::quirks::QueryPlacement;
use crate::rfc::{AuthorizationParameters, Parameter};

/// The most bytes of an authorization URL; browsers and servers begin to refuse not far above.
const MAX_URL: usize = 16 * 1024;

/// Checks what the hook made, and writes the URL.
pub(super) fn authorization_url(
    made: &AuthorizationParameters<'_>,
    request: &AuthorizationRequest<'_>,
    own: &url::Url,
    known: &Encoded,
) -> Result<String> {
    if !is_same_origin(&made.endpoint, own) {
        return Err(Error::new(
            ErrorKind::ForeignOrigin,
            "the hook authorization_parameters points at another origin than the provider's authorization endpoint",
        ));
    }
    check_names(made)?;
    let front = &made.endpoint[..Position::AfterQuery];
    let has_query = made.endpoint.query().is_some();
    let fragment = made.endpoint.fragment();
    let mut text = String::with_capacity(front.len() + 512);
    text.push_str(front);
    let append =
        |text: &mut String, has_query: bool| append(text, has_query, &made.parameters, request, known);
    match (fragment, made.query_placement) {
        (None, _) => append(&mut text, has_query)?,
        (Some(fragment), Some(QueryPlacement::BeforeFragment)) => {
            append(&mut text, has_query)?;
            text.push('#');
            text.push_str(fragment);
        }
        (Some(fragment), Some(QueryPlacement::InsideFragment)) => {
            text.push('#');
            text.push_str(fragment);
            append(&mut text, fragment.contains('?'))?;
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

/// No name twice, neither among the parameters nor in the endpoint.
fn check_names(made: &AuthorizationParameters<'_>) -> Result<()> {
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

/// Writes the parameters, and sees that state, challenge and the challenge's method are among them.
fn append(
    text: &mut String,
    has_query: bool,
    parameters: &[Parameter<'_>],
    request: &AuthorizationRequest<'_>,
    known: &Encoded,
) -> Result<()> {
    let challenge = request.code_challenge.as_ref().map(CodeChallenge::as_bytes);
    let (mut has_state, mut has_challenge) = (false, challenge.is_none());
    let mut separator = if has_query { '&' } else { '?' };
    let mut next = &*known.pairs;
    for parameter in parameters {
        text.push(separator);
        separator = '&';
        let (name, value) = (&*parameter.name, &*parameter.value);
        // What is known is neither the state nor the challenge: those are drawn for this flow.
        if !parameter.encoded {
            if let Some(pair) = known.pair(&mut next, name, value) {
                text.push_str(pair);
                continue;
            }
        }
        let (is_state, is_challenge) = (value == request.state, Some(value.as_bytes()) == challenge);
        has_state |= is_state;
        has_challenge |= is_challenge;
        // They are the engine's own: base64url or hexadecimal, with nothing to encode.
        let is_own = is_state || is_challenge;
        match known.name(name) {
            Some(name) => text.push_str(name),
            None => {
                text.extend(byte_serialize(name.as_bytes()));
                text.push('=');
            }
        }
        if is_own || parameter.encoded {
            text.push_str(value);
        } else {
            text.extend(byte_serialize(value.as_bytes()));
        }
    }
    // Inside another one for providers that have no parameter for it (Mixcloud).
    has_state = has_state || parameters.iter().any(|parameter| parameter.value.contains(request.state));
    if !has_state {
        return Err(Error::configuration(
            "the hook authorization_parameters left the state out (RFC 6749 §10.12)",
        ));
    }
    if !has_challenge {
        return Err(Error::configuration(
            "the hook authorization_parameters left the challenge out (RFC 7636 §4.3)",
        ));
    }
    if challenge.is_some() && !known.has_method(parameters) {
        return Err(Error::configuration(
            "the hook authorization_parameters left the challenge's method out, or changed it; without one the challenge \
             would count as plain (RFC 7636 §4.3)",
        ));
    }
    Ok(())
}

/// What occurs in every request of a flow, form-encoded (WHATWG URL §5.2) once. Only a short cut: what is not in it, such as
/// credentials that rotated, is encoded as it comes. The method of the challenge never changes, and is checked by it.
#[derive(Debug)]
pub(super) struct Encoded {
    names: Box<[Piece]>,
    /// In the order in which they are asked for. The last is the method of the challenge.
    pairs: Box<[(Box<str>, Piece)]>,
}

/// A text, and how it is written.
#[derive(Debug)]
struct Piece {
    plain: Box<str>,
    written: Box<str>,
}

impl Encoded {
    pub(super) fn new(provider: &Provider, credentials: &ClientCredentials) -> Self {
        let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
        let shape = &provider.quirks().authorization;
        let own_name = |name: &'static str| shape.wire_name(name).unwrap_or(name);
        let name = |name| {
            let plain = own_name(name);
            Piece { plain: plain.into(), written: format!("{}=", encode(plain)).into() }
        };
        let pair = |(name, value): (_, &str)| {
            let (name, written) = (own_name(name), encode(value));
            let written = format!("{}={written}", encode(name)).into();
            (name.into(), Piece { plain: value.into(), written })
        };
        let first = [("response_type", "code"), ("client_id", credentials.client_id())];
        let redirect_uris = credentials.redirect_uris().map(|uri| ("redirect_uri", uri));
        let method = pkce::method_value(&provider.quirks().pkce);
        let last = [("scope", provider.joined_default_scopes()), ("code_challenge_method", method)];
        Self {
            names: ["state", "code_challenge"].map(name).into(),
            pairs: first.into_iter().chain(redirect_uris).chain(last).map(pair).collect(),
        }
    }

    /// Whether the method of the challenge is sent, under the provider's name: what has another name is no method to it.
    fn has_method(&self, parameters: &[Parameter<'_>]) -> bool {
        self.pairs.last().is_some_and(|(name, method)| {
            // Mostly it is the last of them.
            let mut sent = parameters.iter().rev();
            sent.any(|parameter| *parameter.name == **name && *parameter.value == *method.plain)
        })
    }

    fn name(&self, name: &str) -> Option<&str> {
        self.names.iter().find(|known| *known.plain == *name).map(|known| &*known.written)
    }

    /// How a parameter is written. Mostly it is the `next` of those that are known; then the one behind it becomes that.
    fn pair<'e>(&'e self, next: &mut &'e [(Box<str>, Piece)], name: &str, value: &str) -> Option<&'e str> {
        let is_it = |(known, piece): &&(Box<str>, Piece)| *piece.plain == *value && **known == *name;
        let found = match next.split_first() {
            Some((first, rest)) if is_it(&first) => {
                *next = rest;
                first
            }
            _ => self.pairs.iter().find(is_it)?,
        };
        Some(&found.1.written)
    }
}
