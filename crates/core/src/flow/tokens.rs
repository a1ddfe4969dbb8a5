//! What is done with tokens: exchange, refresh, client credentials, revocation, API requests.

use std::sync::Arc;

use http::header::HOST;

use super::Flow;
use super::guard::check_size;
use super::token_check::check_token_request;
use crate::call::Call;
use crate::credentials::ClientCredentials;
use crate::endpoints::{EndpointUrls, Endpoints};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::grant::Grant;
use crate::http_client::HttpRequest;
use crate::observe::observed;
use crate::quirks::RefreshInput;
use crate::rfc::Revocation;
use crate::scopes::Scopes;
use crate::state::PendingFlow;
use crate::token::TokenSet;
use crate::wait::caught;

impl Flow {
    /// Refreshes (RFC 6749 §6). The result replaces `tokens` whole: what the provider left out is kept from there.
    ///
    /// One refresh token is good for one refresh where the provider rotates it: two calls at once with the same tokens can
    /// end the connection. This call does not coordinate them. `Connections` does.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::InvalidGrant`] if the user has to connect again;
    /// - [`ErrorKind::Unsupported`] if there is nothing to refresh;
    /// - [`ErrorKind::Network`], [`ErrorKind::Unavailable`], [`ErrorKind::RateLimited`], [`ErrorKind::Refused`],
    ///   [`ErrorKind::InvalidResponse`]: the provider did not answer, could not, or answered something else.
    pub async fn refresh(&self, tokens: &TokenSet) -> Result<TokenSet> {
        let work =
            observed!(self.clock(), self.provider().id(), Operation::Refresh, self.run_refresh(tokens));
        self.at(Operation::Refresh, work.await)
    }

    async fn run_refresh(&self, tokens: &TokenSet) -> Result<TokenSet> {
        let refresh_token = match self.provider().quirks().refresh_policy.input {
            RefreshInput::RefreshToken => tokens.refresh_token.clone(),
            RefreshInput::AccessToken => Some(tokens.access_token.clone()),
            RefreshInput::None => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    "this provider has no refresh; connect again",
                ));
            }
        };
        let refresh_token = refresh_token
            .ok_or_else(|| Error::new(ErrorKind::Unsupported, "there is no refresh token; connect again"))?;
        let grant = Grant::RefreshToken { refresh_token };
        let credentials = self.credentials();
        let urls = self.urls(None, Some(tokens)).await?;
        let mut cx = self.call(Operation::Refresh, &urls, &credentials);
        cx.grant = Some(&grant);
        cx.scopes = Some(&tokens.scopes);
        cx.previous = Some(tokens);
        let mut fresh = self.exchange_grant(&mut cx, &urls).await?;
        fresh.unread.clone_from(&tokens.unread);
        Ok(fresh)
    }

    /// Gets a token for the client itself (RFC 6749 §4.4).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] for a client without a secret (RFC 6749 §4.4.2).
    pub async fn client_credentials(&self, scopes: &Scopes) -> Result<TokenSet> {
        let work = observed!(
            self.clock(),
            self.provider().id(),
            Operation::ClientCredentials,
            self.run_client_credentials(scopes)
        );
        self.at(Operation::ClientCredentials, work.await)
    }

    async fn run_client_credentials(&self, scopes: &Scopes) -> Result<TokenSet> {
        let credentials = self.credentials();
        if !credentials.is_confidential() {
            return Err(Error::configuration(
                "client credentials need a client with a secret (RFC 6749 §4.4.2)",
            ));
        }
        let urls = self.urls(None, None).await?;
        let mut cx = self.call(Operation::ClientCredentials, &urls, &credentials);
        cx.grant = Some(&Grant::ClientCredentials);
        cx.scopes = Some(scopes);
        self.exchange_grant(&mut cx, &urls).await
    }

    /// Revokes the tokens at the provider. Forgetting them here is the caller's part, whatever comes of it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Network`], [`ErrorKind::Unavailable`], [`ErrorKind::RateLimited`] and [`ErrorKind::Refused`], with the
    /// tokens still in force.
    pub async fn revoke(&self, tokens: &TokenSet) -> Result<Revocation> {
        let work = observed!(self.clock(), self.provider().id(), Operation::Revoke, self.run_revoke(tokens));
        self.at(Operation::Revoke, work.await)
    }

    async fn run_revoke(&self, tokens: &TokenSet) -> Result<Revocation> {
        let credentials = self.credentials();
        let urls = self.urls(None, Some(tokens)).await?;
        let mut cx = self.call(Operation::Revoke, &urls, &credentials);
        cx.previous = Some(tokens);
        cx.scopes = Some(&tokens.scopes);
        self.manager().revoke(&cx, &self.guarded(&urls), tokens).await
    }

    /// Attaches the access token to an API request, in the provider's way (RFC 6750 §2).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ForeignOrigin`] if the request does not go to one of the provider's
    /// [`api_origins`](crate::Endpoints::api_origins), before or after the hook, or has a `Host` header of another host;
    /// [`ErrorKind::Usage`] if the token cannot be attached to it; those of the hooks
    /// [`resolve`](crate::FlowManager::resolve) and [`authenticate`](crate::FlowManager::authenticate). Nothing is attached
    /// then.
    pub async fn authenticate(&self, tokens: &TokenSet, request: &mut HttpRequest) -> Result<()> {
        *request = self.attached(tokens, request).await?;
        Ok(())
    }

    /// The request with the access token.
    pub(crate) async fn attached(&self, tokens: &TokenSet, request: &HttpRequest) -> Result<HttpRequest> {
        self.at(Operation::Authenticate, self.attach(tokens, request).await)
    }

    async fn attach(&self, tokens: &TokenSet, request: &HttpRequest) -> Result<HttpRequest> {
        let credentials = self.credentials();
        let urls = self.urls(None, Some(tokens)).await?;
        let foreign = || {
            Err(Error::new(
                ErrorKind::ForeignOrigin,
                "the request does not go to an origin of this provider's API; list it in api_origins if it is one",
            ))
        };
        if !urls.is_api(&request.url) {
            return foreign();
        }
        let mut cx = self.call(Operation::Authenticate, &urls, &credentials);
        cx.previous = Some(tokens);
        let mut attached = request.clone();
        self.manager().authenticate(&cx, tokens, &mut attached)?;
        if !urls.is_api(&attached.url) {
            return foreign();
        }
        if !names_its_host(&attached) {
            return Err(Error::new(
                ErrorKind::ForeignOrigin,
                "the request's Host header names another host than its URL; leave it to the HTTP client",
            ));
        }
        Ok(attached)
    }

    /// Sends the grant of `cx`, once, and reads the answer.
    pub(super) async fn exchange_grant(
        &self,
        cx: &mut Call<'_>,
        urls: &Arc<EndpointUrls>,
    ) -> Result<TokenSet> {
        let http = self.guarded(urls);
        let mut request = self.manager().token_request(cx)?;
        self.manager().prepare_token_request(cx, &http, &mut request).await?;
        check_token_request(cx, &request)?;
        let limits = http.admit(&mut request, http.limits())?;
        let response = http.client().send(request, &limits).await?;
        check_size(&response, &limits)?;
        cx.now = self.inner.clock.now();
        self.manager().token_response(cx, &response)
    }

    pub(super) async fn after_exchange(
        &self,
        endpoints: &Arc<Endpoints>,
        credentials: &ClientCredentials,
        pending: &PendingFlow,
        tokens: &mut TokenSet,
    ) -> Result<()> {
        let urls = self.urls_of(endpoints, None, Some(tokens))?;
        // The tokens have just come: the clock need not be read for it.
        let now = tokens.received_at;
        let mut cx = Call::new(Operation::Finish, self.provider(), &urls, credentials, now);
        cx.pending = Some(pending);
        cx.scopes = Some(&pending.scopes);
        let http = self.guarded(&urls);
        match caught(self.manager().after_exchange(&cx, &http, tokens)).await {
            Some(changed) => {
                if let Some(changed) = changed? {
                    *tokens = changed;
                }
                Ok(())
            }
            // The code is used up: what it gave is kept, whatever happens here.
            None => Err(Error::new(
                ErrorKind::Interrupted,
                "the provider's own code panicked after the exchange; the tokens are kept",
            )),
        }
    }
}

/// Whether the request goes where its URL says: a proxy, or a server with many names, goes by this header (RFC 9110 §7.2).
fn names_its_host(request: &HttpRequest) -> bool {
    let url = &request.url;
    let host = url.host_str().unwrap_or_default();
    request.headers.get_all(HOST).iter().all(|named| {
        let (named, port) = (named.as_bytes(), url.port_or_known_default().unwrap_or_default());
        named.eq_ignore_ascii_case(format!("{host}:{port}").as_bytes())
            || (url.port().is_none() && named.eq_ignore_ascii_case(host.as_bytes()))
    })
}
