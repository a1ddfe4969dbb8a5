//! What a hook may need.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use crate::credentials::ClientCredentials;
use crate::endpoints::EndpointUrls;
use crate::error::{Operation, Result};
use crate::grant::Grant;
use crate::pkce::CodeChallenge;
use crate::provider::Provider;
use crate::quirks::RequestShape;
use crate::random;
use crate::scopes::Scopes;
use crate::state::PendingFlow;
use crate::template::Template;
use crate::token::TokenSet;

/// Everything that belongs to one call of a hook. So a manager needs no state of its own.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Call<'a> {
    /// What is being done.
    pub operation: Operation,
    /// The provider.
    pub provider: &'a Provider,
    /// Its endpoints, resolved for this call.
    pub endpoints: &'a EndpointUrls,
    /// The client credentials.
    pub credentials: &'a ClientCredentials,
    /// The time by the flow's clock.
    pub now: SystemTime,
    /// The authorization request, while it is built.
    pub authorization: Option<&'a AuthorizationRequest<'a>>,
    /// The pending flow, from the callback to the end of the exchange.
    pub pending: Option<&'a PendingFlow>,
    /// The grant, around a token request.
    pub grant: Option<&'a Grant>,
    /// The scopes that this call asks for: those of the authorization request, or those of the grant.
    pub scopes: Option<&'a Scopes>,
    /// The callback parameters that the provider retains.
    pub callback: Option<&'a BTreeMap<String, String>>,
    /// The token set as it was before: what is refreshed, revoked or attached.
    pub previous: Option<&'a TokenSet>,
}

/// The values of an authorization request that the engine made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AuthorizationRequest<'a> {
    /// The state (RFC 6749 §4.1.1).
    pub state: &'a str,
    /// The PKCE challenge, unless this provider and client use none (RFC 7636 §4.3).
    pub code_challenge: Option<CodeChallenge>,
    /// The redirect URI.
    pub redirect_uri: &'a str,
    /// The nonce, where `openid` is asked for.
    pub nonce: Option<&'a str>,
    /// The resources (RFC 8707 §2.1).
    pub resources: &'a [Arc<str>],
    /// Extra parameters of this one request.
    pub parameters: &'a [(String, String)],
}

impl<'a> AuthorizationRequest<'a> {
    /// A request with a state and a redirect URI.
    #[must_use]
    pub const fn new(state: &'a str, redirect_uri: &'a str) -> Self {
        Self { state, code_challenge: None, redirect_uri, nonce: None, resources: &[], parameters: &[] }
    }
}

impl<'a> Call<'a> {
    /// A call with nothing but its surroundings. The engine makes these; tests of hooks do too.
    #[must_use]
    pub const fn new(
        operation: Operation,
        provider: &'a Provider,
        endpoints: &'a EndpointUrls,
        credentials: &'a ClientCredentials,
        now: SystemTime,
    ) -> Self {
        Self {
            operation,
            provider,
            endpoints,
            credentials,
            now,
            authorization: None,
            pending: None,
            grant: None,
            scopes: None,
            callback: None,
            previous: None,
        }
    }

    /// A random value of 256 bits, as 43 characters of base64url.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Randomness`](crate::ErrorKind::Randomness).
    pub fn random(&self) -> Result<String> {
        random::token()
    }

    /// A template with the values of this call; `None` if a variable has no value, or an empty one. `{scope}` is written as in
    /// the authorization request.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Randomness`](crate::ErrorKind::Randomness), for `{random}`.
    pub fn render(&self, template: &Template) -> Result<Option<String>> {
        self.render_with(template, self.previous)
    }

    pub(crate) fn render_with(
        &self,
        template: &Template,
        tokens: Option<&TokenSet>,
    ) -> Result<Option<String>> {
        self.render_in(&self.provider.quirks().authorization, template, tokens)
    }

    /// As a request of this shape writes it.
    pub(crate) fn render_in(
        &self,
        shape: &RequestShape,
        template: &Template,
        tokens: Option<&TokenSet>,
    ) -> Result<Option<String>> {
        let random = match template.variables().any(|name| name == "random") {
            true => Some(random::token()?),
            false => None,
        };
        let rendered = template.render(|name| {
            let value = match name {
                "random" => random.as_deref().map(Cow::Borrowed),
                "scope" => self.joined_scopes(shape).map(Cow::Owned),
                name => self.variable(name, tokens),
            };
            value.filter(|value| !value.is_empty())
        });
        Ok(rendered.filter(|text| !text.is_empty()))
    }

    /// The scopes with what stands between two of them in a request of this shape: its own delimiter, or else that of the
    /// authorization request.
    pub(crate) fn joined_scopes(&self, shape: &RequestShape) -> Option<String> {
        let of_authorization = || self.provider.quirks().authorization.scope_delimiter();
        let delimiter = shape.scope_delimiter.as_deref().unwrap_or_else(of_authorization);
        self.scopes.map(|scopes| scopes.join(delimiter))
    }

    fn variable<'s>(&'s self, name: &str, tokens: Option<&'s TokenSet>) -> Option<Cow<'s, str>> {
        match name {
            "client_id" => return Some(self.credentials.client_id().into()),
            "client_secret" => return self.credentials.client_secret().map(|secret| secret.expose().into()),
            "redirect_uri" => {
                return self
                    .pending
                    .map(|pending| &*pending.redirect_uri)
                    .or_else(|| self.authorization.map(|request| request.redirect_uri))
                    .or_else(|| self.credentials.redirect_uris().next())
                    .map(Cow::Borrowed);
            }
            _ => {}
        }
        let (source, field) = name.split_once('.')?;
        match source {
            "config" => self.provider.config(field).map(|value| value.expose().into()),
            "callback" => {
                let callback = self.callback.or_else(|| tokens.map(|tokens| &tokens.callback))?;
                callback.get(field).map(|value| value.as_str().into())
            }
            "token" => {
                let tokens = tokens?;
                match field {
                    "access_token" => Some(tokens.access_token.expose().into()),
                    "refresh_token" => tokens.refresh_token.as_ref().map(|token| token.expose().into()),
                    "account" => tokens.account.as_deref().map(Cow::Borrowed),
                    field => match tokens.extra.get(field)? {
                        serde_json::Value::String(text) => Some(text.into()),
                        serde_json::Value::Number(number) => Some(number.to_string().into()),
                        serde_json::Value::Bool(value) => Some(value.to_string().into()),
                        _ => None,
                    },
                }
            }
            _ => None,
        }
    }
}
