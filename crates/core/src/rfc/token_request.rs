//! The token request (RFC 6749 §4.1.3, §6, §4.4.2).

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method};
use serde_json::{Map, Value};
use url::Url;
use url::form_urlencoded;
use zeroize::Zeroizing;

use crate::call::Call;
use crate::credentials::ClientAuthentication;
use crate::error::{Error, ErrorKind, Result};
use crate::grant::Grant;
use crate::http_client::HttpRequest;
use crate::quirks::{RequestFormat, RequestMethod, RequestOrder, RequestShape};
use crate::secret::Secret;
use crate::token::TokenSet;

pub(super) type Parameters<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// Builds the request for [`Call::grant`]: the grant's parameters, PKCE's verifier, the resources (RFC 8707 §2.2), the
/// client authentication, all under the provider's names, then the provider's own parameters.
///
/// # Errors
///
/// [`ErrorKind::Configuration`] if the provider has no token endpoint; [`ErrorKind::Unsupported`] if it has no refresh.
pub fn token_request(cx: &Call<'_>) -> Result<HttpRequest> {
    let Some(grant) = cx.grant else { return Err(Error::usage("a token request needs a grant")) };
    let quirks = cx.provider.quirks();
    let (shape, endpoint) = match grant {
        Grant::AuthorizationCode { .. } => (&quirks.token, &cx.endpoints.token_endpoint),
        Grant::RefreshToken { .. } => {
            if !cx.provider.supports_refresh() {
                return Err(Error::new(ErrorKind::Unsupported, "this provider has no refresh"));
            }
            (quirks.refresh.as_ref().unwrap_or(&quirks.token), &cx.endpoints.refresh_endpoint)
        }
        Grant::ClientCredentials => {
            (quirks.client_credentials.as_ref().unwrap_or(&quirks.token), &cx.endpoints.token_endpoint)
        }
    };
    let Some(endpoint) = endpoint else {
        return Err(cx.endpoints.no_token_endpoint());
    };
    let mut parameters = grant_parameters(cx, grant, shape);
    let resources: Vec<&str> = match (cx.pending, cx.previous) {
        (Some(pending), _) => pending.resources.iter().map(|resource| &**resource).collect(),
        (None, Some(previous)) => previous.resources.iter().map(String::as_str).collect(),
        (None, None) => Vec::new(),
    };
    for resource in resources {
        push(&mut parameters, shape, "resource", resource.into());
    }
    build(cx, shape, endpoint.clone(), parameters, cx.previous)
}

fn grant_parameters<'a>(cx: &'a Call<'_>, grant: &'a Grant, shape: &'a RequestShape) -> Parameters<'a> {
    let quirks = cx.provider.quirks();
    let mut parameters = Vec::with_capacity(10);
    let mut add = |name, value: Cow<'a, str>| push(&mut parameters, shape, name, value);
    match grant {
        Grant::AuthorizationCode { code, code_verifier, redirect_uri } => {
            add("grant_type", shape.type_value.as_deref().unwrap_or(grant.grant_type()).into());
            add("code", code.expose().into());
            if let Some(redirect_uri) = redirect_uri {
                add("redirect_uri", (&**redirect_uri).into());
            }
            if let Some(code_verifier) = code_verifier {
                add("code_verifier", code_verifier.expose().into());
            }
        }
        Grant::RefreshToken { refresh_token } => {
            add(
                "grant_type",
                quirks.refresh_policy.grant_type.as_deref().unwrap_or(grant.grant_type()).into(),
            );
            add("refresh_token", refresh_token.expose().into());
            if quirks.refresh_policy.send_scope {
                add("scope", cx.joined_scopes(shape).unwrap_or_default().into());
            }
        }
        Grant::ClientCredentials => {
            add("grant_type", grant.grant_type().into());
            add("scope", cx.joined_scopes(shape).unwrap_or_default().into());
        }
    }
    parameters
}

pub(super) fn push<'a>(
    parameters: &mut Parameters<'a>,
    shape: &'a RequestShape,
    standard: &'a str,
    value: Cow<'a, str>,
) {
    if let Some(name) = shape.wire_name(standard).filter(|_| !value.is_empty()) {
        parameters.push((name.into(), value));
    }
}

/// Adds client authentication and the shape's own parameters and headers, and writes it all in the shape's format.
pub(super) fn build<'a>(
    cx: &'a Call<'_>,
    shape: &'a RequestShape,
    endpoint: Url,
    mut parameters: Parameters<'a>,
    tokens: Option<&TokenSet>,
) -> Result<HttpRequest> {
    let method = match shape.method {
        RequestMethod::Post => Method::POST,
        RequestMethod::Get => Method::GET,
        RequestMethod::Delete => Method::DELETE,
    };
    let mut request = HttpRequest::new(method, endpoint);
    // With what the HTTP client adds, for it need not grow then.
    request.headers.reserve(8);
    client_authentication(cx, shape, &mut parameters, &mut request, tokens)?;
    for (name, template) in shape.parameters.iter() {
        if let Some(value) = cx.render_in(shape, template, tokens)? {
            parameters.push((name.into(), value.into()));
        }
    }
    for (name, template) in shape.headers.iter() {
        if let Some(value) = cx.render_in(shape, template, tokens)? {
            request.headers.insert(header_name(name)?, sensitive(value)?);
        }
    }
    if shape.order == RequestOrder::Sorted {
        parameters.sort();
    }
    write(&mut request, shape.format, &parameters);
    Ok(request)
}

fn client_authentication<'a>(
    cx: &'a Call<'_>,
    shape: &'a RequestShape,
    parameters: &mut Parameters<'a>,
    request: &mut HttpRequest,
    tokens: Option<&TokenSet>,
) -> Result<()> {
    let credentials = cx.credentials;
    let default = shape.client_authentication.or(cx.provider.quirks().token.client_authentication);
    // A revocation that is authorized by the token itself has nothing to do with how the client is registered.
    let authentication = match shape.client_authentication {
        Some(fixed @ (ClientAuthentication::AccessTokenBearer | ClientAuthentication::Omitted)) => fixed,
        _ => credentials.authentication_or(default),
    };
    let id = credentials.client_id();
    let secret = || {
        credentials
            .client_secret()
            .ok_or_else(|| Error::configuration("this client authentication needs a client secret"))
    };
    let authorization = match authentication {
        ClientAuthentication::ClientSecretBasic => {
            let encode = |text: &'a str| form_urlencoded::byte_serialize(text.as_bytes());
            basic(encode(id), encode(secret()?.expose()))
        }
        ClientAuthentication::ClientSecretBasicUnencoded => basic([id], [secret()?.expose()]),
        ClientAuthentication::SecretBasicUsername => basic([secret()?.expose()], []),
        ClientAuthentication::SecretBearer => format!("Bearer {}", secret()?.expose()),
        ClientAuthentication::AccessTokenBearer => {
            let tokens = tokens
                .ok_or_else(|| Error::configuration("an access token authenticates a revocation only"))?;
            format!("Bearer {}", tokens.access_token.expose())
        }
        ClientAuthentication::ClientSecretPost => {
            push(parameters, shape, "client_id", id.into());
            let secret = secret()?;
            // Never in a URI (RFC 6749 §2.3.1), unless the provider knows no body at all.
            push(parameters, shape, "client_secret", secret.expose().into());
            return Ok(());
        }
        ClientAuthentication::None => {
            push(parameters, shape, "client_id", id.into());
            return Ok(());
        }
        ClientAuthentication::Omitted => return Ok(()),
    };
    request.headers.insert(AUTHORIZATION, sensitive(authorization)?);
    Ok(())
}

/// User and password, in pieces.
fn basic<'p>(user: impl IntoIterator<Item = &'p str>, password: impl IntoIterator<Item = &'p str>) -> String {
    let mut pair = Zeroizing::new(String::with_capacity(128));
    pair.extend(user);
    pair.push(':');
    pair.extend(password);
    let mut authorization = String::with_capacity(6 + pair.len().div_ceil(3) * 4);
    authorization.push_str("Basic ");
    STANDARD.encode_string(&*pair, &mut authorization);
    authorization
}

fn write(request: &mut HttpRequest, format: RequestFormat, parameters: &Parameters<'_>) {
    if parameters.is_empty() {
        return;
    }
    let format = if request.method == Method::GET { RequestFormat::Query } else { format };
    match format {
        RequestFormat::Form => {
            request.body = form(parameters).into_bytes();
            request
                .headers
                .insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        }
        RequestFormat::Json => {
            let mut object = Map::new();
            for (name, value) in parameters {
                insert(&mut object, name, value);
            }
            request.body = Value::Object(object).to_string().into_bytes();
            request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        RequestFormat::Query => {
            let mut query = request.url.query_pairs_mut();
            for (name, value) in parameters {
                query.append_pair(name, value);
            }
        }
    }
}

/// Several resources, each with its own parameter in a form (RFC 8707 §2.2), are a list.
fn insert(object: &mut Map<String, Value>, name: &str, value: &str) {
    let value = Value::from(value);
    match object.get_mut(name).filter(|_| name == "resource") {
        None => drop(object.insert(name.to_owned(), value)),
        Some(Value::Array(values)) => values.push(value),
        Some(first) => *first = Value::Array(vec![first.take(), value]),
    }
}

/// As `application/x-www-form-urlencoded` (WHATWG URL §5.2). Names, codes and verifiers mostly have nothing to encode.
fn form(parameters: &Parameters<'_>) -> String {
    let mut body = String::with_capacity(256);
    let append = |body: &mut String, text: &str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'*' | b'-' | b'.' | b'_');
        if text.bytes().all(is_plain) {
            body.push_str(text);
        } else {
            body.extend(form_urlencoded::byte_serialize(text.as_bytes()));
        }
    };
    for (name, value) in parameters {
        if !body.is_empty() {
            body.push('&');
        }
        append(&mut body, name);
        body.push('=');
        append(&mut body, value);
    }
    body
}

pub(super) fn header_name(name: &str) -> Result<HeaderName> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|source| {
        Error::configuration("a quirk names a header that cannot be sent").with_source(source)
    })
}

/// A header's value that no client may print.
pub(super) fn sensitive(value: String) -> Result<HeaderValue> {
    let mut value = HeaderValue::try_from(value).map_err(|_| {
        Error::usage("a value that has to go into a header holds a character that cannot be sent")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// The token that a grant or a revocation is about.
pub(super) fn token_type_hint(tokens: &TokenSet, token: &Secret) -> &'static str {
    if token.ct_eq(tokens.access_token.expose()) { "access_token" } else { "refresh_token" }
}

#[cfg(test)]
mod tests {
    use url::form_urlencoded;

    use super::form;

    #[test]
    fn a_form_is_written_as_the_url_standard_writes_it() {
        let all: String = (0..=0x2ff).filter_map(char::from_u32).collect();
        let pairs = [
            ("grant_type", "authorization_code"),
            ("code", "4/0A*-._b+c d"),
            ("redirect_uri", "https://app.example/cb?a=b&c=%20"),
            ("", ""),
            ("a b&c=d", ""),
            (&all, &all),
        ];
        for taken in 0..=pairs.len() {
            let pairs = &pairs[..taken];
            let parameters = pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
            let expected = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
            assert_eq!(form(&parameters), expected);
        }
    }
}
