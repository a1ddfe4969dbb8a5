//! Who is asking at the token endpoint (RFC 6749 §2.3, §3.2.1).

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    client::{Client, ClientAuthentication},
    config::Config,
    params::{Params, form_decode},
    refusal::Refusal,
    request::Received,
};

/// Authenticates by the method that the client registered; two methods at once are refused.
pub(super) fn authenticate<'c>(
    config: &'c Config,
    request: &Received,
    form: &Params,
) -> Result<&'c Client, Refusal> {
    let body_id = form.get("client_id");
    let body_secret = form.get("client_secret");
    let Some(header) = request.single_header("authorization")? else {
        let id = body_id.ok_or_else(|| Refusal::client("the client did not name itself"))?;
        let client = config.client(id).ok_or_else(|| Refusal::client("the client is unknown"))?;
        return match (client.authentication(), body_secret) {
            (ClientAuthentication::None, None) => Ok(client),
            (ClientAuthentication::None, Some(_)) => Err(Refusal::client("a public client has no secret")),
            (ClientAuthentication::Post, Some(secret)) if client.secret() == Some(secret) => Ok(client),
            (ClientAuthentication::Post, Some(_)) => Err(Refusal::client("the client secret is wrong")),
            (ClientAuthentication::Post, None) => Err(Refusal::client("the client secret is missing")),
            (ClientAuthentication::Basic | ClientAuthentication::BasicUnencoded, _) => {
                Err(Refusal::client("this client must use client_secret_basic"))
            }
        };
    };
    if body_secret.is_some() {
        return Err(Refusal::request("the client authenticated in two ways at once"));
    }
    let (raw_id, raw_secret) = basic(header)?;
    let decoded = form_decode(raw_id.as_bytes()).zip(form_decode(raw_secret.as_bytes()));
    let registered = |id: &str| config.client(id);
    let by_decoding = decoded.and_then(|(id, secret)| {
        let client = registered(&id)?;
        (client.authentication() == ClientAuthentication::Basic).then_some((client, secret))
    });
    let unencoded = || {
        let client = registered(&raw_id)?;
        (client.authentication() == ClientAuthentication::BasicUnencoded)
            .then_some((client, raw_secret.clone()))
    };
    let Some((client, secret)) = by_decoding.or_else(unencoded) else {
        return Err(Refusal::client("the client is unknown, or must not use client_secret_basic"));
    };
    if client.secret() != Some(secret.as_str()) {
        return Err(Refusal::client("the client secret is wrong"));
    }
    if body_id.is_some_and(|id| id != client.id()) {
        return Err(Refusal::request("client_id in the body differs from that in the header"));
    }
    Ok(client)
}

/// User name and password of a `Basic` header (RFC 7617), still form-encoded.
fn basic(header: &str) -> Result<(String, String), Refusal> {
    let unreadable = || Refusal::client("the Authorization header is not readable as Basic");
    let (scheme, credentials) = header.split_once(' ').ok_or_else(unreadable)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(unreadable());
    }
    let decoded = STANDARD.decode(credentials.trim()).map_err(|_| unreadable())?;
    let text = String::from_utf8(decoded).map_err(|_| unreadable())?;
    let (id, secret) = text.split_once(':').ok_or_else(unreadable)?;
    Ok((id.to_owned(), secret.to_owned()))
}
