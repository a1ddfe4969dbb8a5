//! What no hook may leave out of a token request, or put into it twice.

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use memchr::{memchr, memchr2};
use serde_json::{Map, Value};

use crate::call::Call;
use crate::error::{Error, ErrorKind, Result};
use crate::grant::Grant;
use crate::http_client::HttpRequest;
use crate::secret::Secret;

/// After all hooks: the request goes to the provider, and what the engine made is in it: the verifier, the redirect URI. In
/// the body or in the query, as the provider wants it.
pub(super) fn check_token_request(cx: &Call<'_>, request: &HttpRequest) -> Result<()> {
    if !cx.endpoints.is_protocol(&request.url) {
        return Err(Error::new(
            ErrorKind::ForeignOrigin,
            "a hook points the token request at another origin than the provider's; nothing was sent",
        ));
    }
    let content_type = request.headers.get(CONTENT_TYPE).map(http::HeaderValue::as_bytes);
    let is_form = content_type.is_some_and(|value| value.starts_with(b"application/x-www-form-urlencoded"));
    if is_form && has_double(&request.body) {
        return Err(Error::configuration(
            "a parameter of the token request would occur twice (RFC 6749 §3.2)",
        ));
    }
    let Some(Grant::AuthorizationCode { code_verifier, redirect_uri, .. }) = cx.grant else { return Ok(()) };
    let secret = cx.credentials.client_secret().map(Secret::expose);
    let omits = |name: &str| cx.provider.quirks().token.omit.iter().any(|omitted| omitted == name);
    let verifier = code_verifier.as_ref().map(Secret::expose);
    let redirect_uri = redirect_uri.as_deref().filter(|_| !omits("redirect_uri"));
    let [no_verifier, no_redirect_uri, no_secret] = missing(request, [verifier, redirect_uri, secret]);
    if no_verifier {
        return Err(Error::configuration(
            "a hook left the verifier out of the token request (RFC 7636 §4.5)",
        ));
    }
    if no_redirect_uri {
        return Err(Error::configuration(
            "a hook left the redirect URI out of the token request (RFC 6749 §4.1.3)",
        ));
    }
    let is_basic =
        request.headers.get(AUTHORIZATION).is_some_and(|value| value.as_bytes().starts_with(b"Basic "));
    if is_basic && secret.is_some() && !no_secret {
        return Err(Error::configuration(
            "the client would authenticate in two ways at once (RFC 6749 §2.3)",
        ));
    }
    Ok(())
}

/// Which of the wanted values is no value of a parameter, in the query or in the body. What is not wanted is not missing.
fn missing<const N: usize>(request: &HttpRequest, mut wanted: [Option<&str>; N]) -> [bool; N] {
    fn strike<const N: usize>(wanted: &mut [Option<&str>; N], is_it: impl Fn(&str) -> bool) {
        wanted.iter_mut().filter(|value| value.is_some_and(&is_it)).for_each(|value| *value = None);
    }
    let query = request.url.query().unwrap_or_default().as_bytes();
    pairs(query).for_each(|(_, encoded)| strike(&mut wanted, |value| decodes_to(encoded, value)));
    // Only what begins like one is a JSON object.
    let looks_like_json = request.body.trim_ascii_start().starts_with(b"{");
    let json =
        if looks_like_json { serde_json::from_slice::<Map<String, Value>>(&request.body).ok() } else { None };
    match &json {
        Some(object) => {
            object.values().for_each(|member| strike(&mut wanted, |value| member.as_str() == Some(value)));
        }
        None => pairs(&request.body)
            .for_each(|(_, encoded)| strike(&mut wanted, |value| decodes_to(encoded, value))),
    }
    wanted.map(|value| value.is_some())
}

fn has_double(form: &[u8]) -> bool {
    let names = || pairs(form).map(|(name, _)| name);
    // Names of different lengths, with nothing encoded, are not the same: mostly there is no more to look at.
    let mut lengths: u64 = 0;
    let all_differ = names().all(|name| {
        let length = 1 << (name.len() % 64);
        let differs = lengths & length == 0 && is_plain(name);
        lengths |= length;
        differs
    });
    !all_differ
        && names().enumerate().any(|(at, name)| {
            names().take(at).any(|known| decoded(known).eq(decoded(name))) && !decodes_to(name, "resource")
        })
}

/// Names and values of a form, still encoded: nothing is copied to look at them.
fn pairs(form: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = form;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let (pair, after) = split(rest, b'&');
            rest = after;
            if !pair.is_empty() {
                return Some(split(pair, b'='));
            }
        }
        None
    })
}

/// What stands before the first `separator`, and what stands behind it.
fn split(bytes: &[u8], separator: u8) -> (&[u8], &[u8]) {
    let end = memchr(separator, bytes).unwrap_or(bytes.len());
    (bytes.get(..end).unwrap_or_default(), bytes.get(end + 1..).unwrap_or_default())
}

/// Whether `encoded` stands for `value`.
fn decodes_to(encoded: &[u8], value: &str) -> bool {
    // Nothing is written shorter than it is.
    if encoded.len() < value.len() {
        return false;
    }
    // Most that are compared are not the same, and differ at once.
    let (mut encoded, mut value) = (encoded, value.as_bytes());
    if encoded.first() != value.first() && !matches!(encoded.first(), Some(b'%' | b'+')) {
        return false;
    }
    // What is not encoded is compared in one piece; what is, byte by byte.
    loop {
        let (plain, rest) = encoded.split_at(memchr2(b'%', b'+', encoded).unwrap_or(encoded.len()));
        let Some(after) = value.strip_prefix(plain) else { return false };
        let Some((byte, rest)) = decode_one(rest) else { return after.is_empty() };
        let Some(after) = after.strip_prefix(&[byte]) else { return false };
        (encoded, value) = (rest, after);
    }
}

fn is_plain(encoded: &[u8]) -> bool {
    memchr2(b'%', b'+', encoded).is_none()
}

/// The bytes that a form-encoded text stands for (WHATWG URL §5.1).
fn decoded(encoded: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = encoded;
    std::iter::from_fn(move || {
        let (byte, after) = decode_one(rest)?;
        rest = after;
        Some(byte)
    })
}

/// The first byte that a form-encoded text stands for, and what comes after it.
fn decode_one(encoded: &[u8]) -> Option<(u8, &[u8])> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (&first, rest) = encoded.split_first()?;
    match (first, rest) {
        (b'+', _) => Some((b' ', rest)),
        (b'%', [high, low, after @ ..]) => match (digit(*high), digit(*low)) {
            (Some(high), Some(low)) => Some((high * 16 + low, after)),
            _ => Some((b'%', rest)),
        },
        (byte, _) => Some((byte, rest)),
    }
}

#[cfg(test)]
mod tests {
    use url::form_urlencoded;

    use super::{decoded, decodes_to, has_double, pairs};

    #[test]
    fn a_form_is_read_as_the_url_standard_reads_it() {
        for form in ["", "&&a", "a=b&c", "a=b=c&=d", "%61+b=%2B%c3%A9", "a=%&b=%4&c=%zz%41", "a%3Db=1&a%26=2"]
        {
            let ours: Vec<(Vec<u8>, Vec<u8>)> = pairs(form.as_bytes())
                .map(|(name, value)| (decoded(name).collect(), decoded(value).collect()))
                .collect();
            let theirs: Vec<(Vec<u8>, Vec<u8>)> = form_urlencoded::parse(form.as_bytes())
                .map(|(name, value)| (name.into_owned().into_bytes(), value.into_owned().into_bytes()))
                .collect();
            assert_eq!(ours, theirs, "{form}");
        }
    }

    #[test]
    fn values_and_names_are_compared_decoded() {
        assert!(decodes_to(b"https%3A%2F%2Fa+b", "https://a b"));
        assert!(decodes_to(b"%61bc", "abc") && decodes_to(b"+bc", " bc"));
        assert!(!decodes_to(b"%62bc", "abc") && !decodes_to(b"+bc", "abc"));
        assert!(!decodes_to(b"ab", "abc"));
        assert!(!decodes_to(b"abc", "ab"));
        assert!(has_double(b"code=1&c%6Fde=2"));
        assert!(has_double(b"c%6Fde=1&%63%6Fde=2"), "neither is written plainly, nor as long as the other");
        assert!(!has_double(b"resource=1&resource=2&code=3"));
    }
}
