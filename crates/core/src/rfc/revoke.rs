//! Revocation (RFC 7009).

use super::token_request::{build, push, token_type_hint};
use super::{parse_object, retry_after};
use crate::call::Call;
use crate::credentials::ClientAuthentication;
use crate::error::{Error, ErrorKind, Result};
use crate::http_client::{HttpClient, HttpResponse};
use crate::quirks::{ResponseFormat, RevokedToken};
use crate::secret::Secret;
use crate::token::TokenSet;

/// What a revocation came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Revocation {
    /// The provider no longer accepts the tokens, or never did (RFC 7009 §2.2).
    Revoked,
    /// The provider revoked one token and cannot revoke the other (`unsupported_token_type`, RFC 7009 §2.2.1).
    Partial,
    /// The provider has no revocation: the tokens end by themselves.
    Unsupported,
}

/// Revokes at the revocation endpoint (RFC 7009 §2.1), in the provider's shape.
///
/// # Errors
///
/// [`ErrorKind::Unavailable`] for a 503, with the token still in force (RFC 7009 §2.2.1), and what else the provider answers.
pub async fn revoke(cx: &Call<'_>, http: &dyn HttpClient, tokens: &TokenSet) -> Result<Revocation> {
    if !cx.endpoints.has_revocation_endpoint() {
        return Ok(Revocation::Unsupported);
    }
    let access_token = &tokens.access_token;
    let refresh_token = tokens.refresh_token.as_ref();
    match cx.provider.quirks().revocation.token {
        RevokedToken::AccessToken => {
            revoke_one(cx, http, tokens, access_token).await.map(|done| match done {
                Outcome::Done => Revocation::Revoked,
                Outcome::UnsupportedTokenType => Revocation::Unsupported,
            })
        }
        RevokedToken::RefreshToken => {
            let first = refresh_token.unwrap_or(access_token);
            match revoke_one(cx, http, tokens, first).await? {
                Outcome::Done => Ok(Revocation::Revoked),
                Outcome::UnsupportedTokenType if refresh_token.is_some() => {
                    match revoke_one(cx, http, tokens, access_token).await? {
                        Outcome::Done => Ok(Revocation::Partial),
                        Outcome::UnsupportedTokenType => Ok(Revocation::Unsupported),
                    }
                }
                Outcome::UnsupportedTokenType => Ok(Revocation::Unsupported),
            }
        }
        RevokedToken::Both => {
            let refresh = match refresh_token {
                Some(token) => Some(revoke_one(cx, http, tokens, token).await?),
                None => None,
            };
            let access = revoke_one(cx, http, tokens, access_token).await?;
            Ok(match (refresh, access) {
                (Some(Outcome::Done) | None, Outcome::Done) => Revocation::Revoked,
                (Some(Outcome::UnsupportedTokenType) | None, Outcome::UnsupportedTokenType) => {
                    Revocation::Unsupported
                }
                _ => Revocation::Partial,
            })
        }
    }
}

enum Outcome {
    Done,
    UnsupportedTokenType,
}

async fn revoke_one(
    cx: &Call<'_>,
    http: &dyn HttpClient,
    tokens: &TokenSet,
    token: &Secret,
) -> Result<Outcome> {
    let shape = &cx.provider.quirks().revocation;
    let Some(endpoint) = cx.endpoints.revocation_endpoint(token.expose()) else {
        return Ok(Outcome::UnsupportedTokenType);
    };
    let in_path = cx.endpoints.revocation_takes_token_in_path();
    let mut parameters = Vec::new();
    if !in_path {
        push(&mut parameters, &shape.request, "token", token.expose().into());
        if !shape.omit_token_type_hint {
            push(&mut parameters, &shape.request, "token_type_hint", token_type_hint(tokens, token).into());
        }
    }
    let request = build(cx, &shape.request, endpoint, parameters, Some(tokens))?;
    let response = http.send(request, &crate::Limits::default()).await?;
    let is_credential = shape.request.client_authentication == Some(ClientAuthentication::AccessTokenBearer);
    outcome(cx, &response, is_credential && tokens.refresh_token.is_some())
}

/// The body of a success does not matter (RFC 7009 §2.2), unless it says that it is none. Where the access token authorizes the
/// request and there is more than that to revoke, an `invalid_token` is about what authorizes (RFC 6750 §3.1).
fn outcome(cx: &Call<'_>, response: &HttpResponse, is_about_credential: bool) -> Result<Outcome> {
    let Some(error) = super::error_response(cx, response) else { return Ok(Outcome::Done) };
    let code = parse_object(response, ResponseFormat::Auto).ok();
    let code = code.as_ref().and_then(|body| body.get("error")).and_then(serde_json::Value::as_str);
    match (error.kind(), code) {
        // A proxy or a broken server wrote the code.
        (ErrorKind::RateLimited, _) => Err(error),
        (ErrorKind::Unavailable, _) => {
            let wait = retry_after(&response.headers, cx.now);
            let message = "the provider could not revoke; the tokens are still in force (RFC 7009 §2.2.1)";
            Err(Error::new(ErrorKind::Unavailable, message)
                .with_status(response.status)
                .with_retry_after(wait))
        }
        (_, Some("unsupported_token_type")) => Ok(Outcome::UnsupportedTokenType),
        (_, Some("invalid_token")) if is_about_credential => Err(error),
        // Some servers answer so for a token that they no longer know: it is revoked.
        (ErrorKind::InvalidGrant, _) | (_, Some("invalid_token")) => Ok(Outcome::Done),
        _ => Err(error),
    }
}
