//! The contract of a provider.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::call::Call;
use crate::callback::{AuthorizationResponse, Callback};
use crate::credentials::ClientCredentials;
use crate::endpoints::Endpoints;
use crate::error::Result;
use crate::http_client::{HttpClient, HttpRequest, HttpResponse};
use crate::provider::Provider;
use crate::rfc;
use crate::rfc::{AuthorizationParameters, Revocation};
use crate::state::StateStore;
use crate::token::TokenSet;

/// A provider together with our client there and the place where pending flows are kept: what a provider crate implements.
///
/// Three methods are required. All others are hooks: each changes what the provider says or hears on the wire, and has a
/// default in module [`rfc`] that follows the RFCs and the provider's [`Quirks`](crate::quirks::Quirks). An implementation
/// that changes a little calls that default and goes on from its result.
///
/// # What no hook can do
///
/// The engine ([`Flow`](crate::Flow)) checks what the hooks made: state and challenge are in the authorization URL, verifier
/// and redirect URI in the token request, no parameter of the protocol is doubled, and every request goes to an origin that
/// [`Endpoints`] lists. Provider id, expiry, issuer and redirect URI of a pending flow are checked before any hook sees the
/// callback.
///
/// # Wrappers
///
/// `Arc<M>` and `Box<M>` forward every method. A wrapper of your own must do so too: put
/// `#[deny(clippy::missing_trait_methods)]` on its `impl`.
#[async_trait]
pub trait FlowManager: fmt::Debug + Send + Sync + 'static {
    /// Who the provider is: id, endpoints, default scopes, quirks. Built once, when the manager is.
    fn provider(&self) -> &Provider;

    /// The client credentials. They may change between calls, so that a secret can be rotated; each call asks once.
    fn credentials(&self) -> Arc<ClientCredentials>;

    /// Where pending flows are kept: the hooks that store and check the state.
    fn state_store(&self) -> &dyn StateStore;

    /// The endpoints. For providers whose metadata is discovered; called at the start of every operation, so it should cache.
    ///
    /// Default: [`rfc::resolve`].
    async fn resolve(&self, http: &dyn HttpClient) -> Result<Arc<Endpoints>> {
        rfc::resolve(self.provider(), http).await
    }

    /// The parameters of the authorization request (RFC 6749 §4.1.1).
    ///
    /// Default: [`rfc::authorization_parameters`].
    fn authorization_parameters<'a>(&self, cx: &'a Call<'_>) -> Result<AuthorizationParameters<'a>> {
        rfc::authorization_parameters(cx)
    }

    /// Reads the authorization response (RFC 6749 §4.1.2), such as to check a signature over it.
    ///
    /// Default: [`rfc::callback`].
    fn callback(&self, cx: &Call<'_>, response: &AuthorizationResponse<'_>) -> Result<Callback> {
        rfc::callback(cx, response)
    }

    /// Builds the token request for [`Call::grant`] (RFC 6749 §4.1.3, §6, §4.4.2).
    ///
    /// Default: [`rfc::token_request`].
    fn token_request(&self, cx: &Call<'_>) -> Result<HttpRequest> {
        rfc::token_request(cx)
    }

    /// Last change to the token request: signs it, or asks the provider for something first.
    ///
    /// Default: nothing.
    async fn prepare_token_request(
        &self,
        cx: &Call<'_>,
        http: &dyn HttpClient,
        request: &mut HttpRequest,
    ) -> Result<()> {
        let _ = (cx, http, request);
        Ok(())
    }

    /// Reads the token response (RFC 6749 §5).
    ///
    /// Default: [`rfc::token_response`].
    fn token_response(&self, cx: &Call<'_>, response: &HttpResponse) -> Result<TokenSet> {
        rfc::token_response(cx, response)
    }

    /// After the exchange of a code: looks up the account, or makes a second exchange. Returns the token set with what was
    /// found out, or `None` where it stays as it is. Whatever happens here, the tokens are kept; an error is reported beside
    /// them.
    ///
    /// Default: `None`.
    async fn after_exchange(
        &self,
        cx: &Call<'_>,
        http: &dyn HttpClient,
        tokens: &TokenSet,
    ) -> Result<Option<TokenSet>> {
        let _ = (cx, http, tokens);
        Ok(None)
    }

    /// Attaches the access token to an API request (RFC 6750 §2).
    ///
    /// Default: [`rfc::authenticate`].
    fn authenticate(&self, cx: &Call<'_>, tokens: &TokenSet, request: &mut HttpRequest) -> Result<()> {
        rfc::authenticate(cx, tokens, request)
    }

    /// Whether a 401 of an API refuses the access token, so that another one may help.
    /// [`Connections::send`](crate::Connections::send) asks, and who reads its answer in authflow-web, and only where the challenge
    /// in the header does not say that something else is wrong (RFC 6750 §3.1). After `false` nothing is refreshed. For APIs that
    /// say in the body what is wrong: whoever hands on a body that is not read yet, as middleware does, goes by the header alone.
    ///
    /// Default: `true`.
    fn refuses_token(&self, response: &HttpResponse) -> bool {
        let _ = response;
        true
    }

    /// Revokes the tokens at the provider (RFC 7009, or the provider's own way).
    ///
    /// Default: [`rfc::revoke`].
    async fn revoke(&self, cx: &Call<'_>, http: &dyn HttpClient, tokens: &TokenSet) -> Result<Revocation> {
        rfc::revoke(cx, http, tokens).await
    }
}

/// A type that stands for one provider id, where code names a provider by a type: `Connected<StackExchange>` in a web
/// framework. The crates of providers implement it for their default id; for another registration a type of one's own does.
///
/// ```
/// use authflow_core::KnownProvider;
///
/// struct GitHub;
///
/// impl KnownProvider for GitHub {
///     const PROVIDER_ID: &'static str = "github";
/// }
/// ```
pub trait KnownProvider {
    /// The provider id.
    const PROVIDER_ID: &'static str;
}

macro_rules! forward_flow_manager {
    ($($pointer:ident),+) => {$(
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<M: FlowManager + ?Sized> FlowManager for $pointer<M> {
            fn provider(&self) -> &Provider {
                (**self).provider()
            }

            fn credentials(&self) -> Arc<ClientCredentials> {
                (**self).credentials()
            }

            fn state_store(&self) -> &dyn StateStore {
                (**self).state_store()
            }

            async fn resolve(&self, http: &dyn HttpClient) -> Result<Arc<Endpoints>> {
                (**self).resolve(http).await
            }

            fn authorization_parameters<'a>(&self, cx: &'a Call<'_>) -> Result<AuthorizationParameters<'a>> {
                (**self).authorization_parameters(cx)
            }

            fn callback(&self, cx: &Call<'_>, response: &AuthorizationResponse<'_>) -> Result<Callback> {
                (**self).callback(cx, response)
            }

            fn token_request(&self, cx: &Call<'_>) -> Result<HttpRequest> {
                (**self).token_request(cx)
            }

            async fn prepare_token_request(
                &self,
                cx: &Call<'_>,
                http: &dyn HttpClient,
                request: &mut HttpRequest,
            ) -> Result<()> {
                (**self).prepare_token_request(cx, http, request).await
            }

            fn token_response(&self, cx: &Call<'_>, response: &HttpResponse) -> Result<TokenSet> {
                (**self).token_response(cx, response)
            }

            async fn after_exchange(&self, cx: &Call<'_>, http: &dyn HttpClient, tokens: &TokenSet) -> Result<Option<TokenSet>> {
                (**self).after_exchange(cx, http, tokens).await
            }

            fn authenticate(&self, cx: &Call<'_>, tokens: &TokenSet, request: &mut HttpRequest) -> Result<()> {
                (**self).authenticate(cx, tokens, request)
            }

            fn refuses_token(&self, response: &HttpResponse) -> bool {
                (**self).refuses_token(response)
            }

            async fn revoke(&self, cx: &Call<'_>, http: &dyn HttpClient, tokens: &TokenSet) -> Result<Revocation> {
                (**self).revoke(cx, http, tokens).await
            }
        }
    )+};
}

forward_flow_manager!(Arc, Box);
