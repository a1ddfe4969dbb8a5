//! The steps of `begin` and `finish`, one by one.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use super::Flow;
use super::begin::Options;
use super::render::authorization_url;
use super::token_check::check_token_request;
use crate::binding::Binding;
use crate::call::{AuthorizationRequest, Call};
use crate::callback::{AuthorizationResponse, Callback, STANDARD, malformed};
use crate::credentials::ClientCredentials;
use crate::endpoints::{EndpointUrls, Endpoints};
use crate::error::{Error, ErrorKind, Operation, Result, ServerError};
use crate::grant::Grant;
use crate::http_client::{HttpRequest, HttpResponse};
use crate::pkce::CodeChallenge;
use crate::quirks::{IssPolicy, ResponseMode};
use crate::scopes::Scopes;
use crate::secret::Secret;
use crate::state::{Bucket, PendingFlow, StateContext, StateKey, epoch_seconds};
use crate::token::TokenSet;
use crate::{provider, random};

/// A flow that is ready to be begun: the URL, the state, and what has to be remembered. Nothing is stored yet.
#[non_exhaustive]
pub struct Prepared {
    /// Where the user is sent.
    pub url: String,
    /// The state.
    pub state: String,
    /// What has to be remembered until the callback.
    pub pending: PendingFlow,
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("pending", &self.pending).finish_non_exhaustive()
    }
}

impl Flow {
    /// First step of [`begin`](Self::begin): makes state, verifier and nonce and writes the URL. Nothing is stored: that is
    /// [`store_state`](Self::store_state).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] and [`ErrorKind::Usage`].
    pub async fn prepare(&self) -> Result<Prepared> {
        let urls = self.urls(None, None).await;
        let now = self.inner.clock.now();
        let prepared = urls.and_then(|urls| self.prepare_with(&urls, &Options::default(), now));
        let (url, state, pending) = self.at(Operation::Begin, prepared)?;
        Ok(Prepared { url, state: state.as_str().to_owned(), pending })
    }

    pub(super) fn prepare_with(
        &self,
        urls: &EndpointUrls,
        options: &Options,
        now: SystemTime,
    ) -> Result<(String, random::Text, PendingFlow)> {
        let provider = self.provider();
        let credentials = self.credentials();
        options.check(provider)?;
        let redirect_uri = credentials.choose_redirect_uri(options.redirect_uri.as_deref())?;
        let scopes = options.scopes.as_ref().unwrap_or_else(|| provider.default_scopes());

        // Each has 256 bits (RFC 6749 §10.10, RFC 7636 §7.1).
        let mut bytes = [[0; 32]; 2];
        random::fill(bytes.as_flattened_mut())?;
        let [state, verifier] = &bytes;
        let state = random::Text::new(state);
        let uses_pkce = provider.uses_pkce(&credentials);
        let code_verifier = uses_pkce.then(|| Secret::new(random::base64url(verifier)));
        let nonce: Option<Arc<str>> =
            if scopes.contains("openid") { Some(random::token()?.into()) } else { None };

        let policy = &provider.quirks().pkce;
        let mut request = AuthorizationRequest::new(state.as_str(), &redirect_uri);
        request.code_challenge =
            code_verifier.as_ref().map(|verifier| CodeChallenge::new(verifier.expose(), policy));
        request.nonce = nonce.as_deref();
        request.resources = &options.resources;
        request.parameters = &options.parameters;
        let mut cx = Call::new(Operation::Begin, provider, urls, &credentials, now);
        cx.authorization = Some(&request);
        cx.scopes = Some(scopes);
        let made = self.manager().authorization_parameters(&cx)?;
        let own = urls.authorization_endpoint.as_ref().unwrap_or(&made.endpoint);
        let url = authorization_url(&made, &request, own, &self.inner.encoded)?;

        let created_at = epoch_seconds(now);
        let pending = PendingFlow {
            provider_id: provider.shared_id(),
            issuer: urls.issuer.clone(),
            owner: None,
            code_verifier,
            nonce,
            scopes: scopes.clone(),
            redirect_uri,
            resources: options.resources.clone(),
            return_to: options.return_to.clone(),
            bucket: options.bucket,
            created_at,
            expires_at: created_at.saturating_add(self.inner.state_ttl.as_secs()),
        };
        Ok((url, state, pending))
    }

    /// Second step of [`begin`](Self::begin): stores the flow for `binding`, in the manager's
    /// [`StateStore`](crate::StateStore).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::StoreUnavailable`], [`ErrorKind::StoreConflict`], [`ErrorKind::StoreOutcomeUnknown`];
    /// [`ErrorKind::Usage`] for a binding that ties to nothing.
    pub async fn store_state(
        &self,
        extensions: &http::Extensions,
        state: &str,
        binding: &Binding,
        pending: PendingFlow,
    ) -> Result<()> {
        let stored = self.run_store_state(extensions, state, binding, pending).await;
        self.at(Operation::Begin, stored)
    }

    async fn run_store_state(
        &self,
        extensions: &http::Extensions,
        state: &str,
        binding: &Binding,
        mut pending: PendingFlow,
    ) -> Result<()> {
        let key = self.bind(state.as_bytes(), binding, &mut pending)?;
        let cx = StateContext::new(extensions, self.inner.clock.now());
        let ttl = pending.lifetime();
        Ok(self.manager().state_store().store_state(&cx, &key, pending, ttl).await?)
    }

    /// Names the owner in the flow, and makes its key.
    pub(super) fn bind(
        &self,
        state: &[u8],
        binding: &Binding,
        pending: &mut PendingFlow,
    ) -> Result<StateKey> {
        binding.check()?;
        if let Some(user) = binding.as_user() {
            pending.bucket = pending.bucket.or_else(|| Some(Bucket::of_user(user)));
            pending.owner = Some(user.clone());
        }
        StateKey::of(self.provider().id(), state, binding)
    }

    /// First step of [`finish`](Self::finish): takes the flow that the response's state and this binding belong to. The state
    /// is used up.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::StateNotFound`] whatever the reason; [`ErrorKind::StoreUnavailable`]; [`ErrorKind::StoreOutcomeUnknown`]
    /// where the state may be used up.
    pub async fn check_state(
        &self,
        extensions: &http::Extensions,
        response: &AuthorizationResponse<'_>,
        binding: &Binding,
    ) -> Result<PendingFlow> {
        let checked = self.run_check_state(extensions, response, binding).await;
        self.at(Operation::Finish, checked)
    }

    pub(super) async fn run_check_state(
        &self,
        extensions: &http::Extensions,
        response: &AuthorizationResponse<'_>,
        binding: &Binding,
    ) -> Result<PendingFlow> {
        binding.check()?;
        let shape = &self.provider().quirks().authorization_response;
        if response.mode() != shape.response_mode {
            return Err(malformed(match shape.response_mode {
                ResponseMode::Query => "the callback arrived as a form; this flow asked for a query",
                ResponseMode::FormPost => "the callback arrived in the query; this flow asked for a form",
            }));
        }
        self.check_parameters(response)?;
        let not_found =
            || Error::new(ErrorKind::StateNotFound, "no pending flow fits this callback; begin again");
        let state = response.get(shape.state_parameter.as_deref().unwrap_or("state"))?;
        let state = state.filter(|state| !state.is_empty()).ok_or_else(not_found)?;
        let key = StateKey::new(self.provider().id(), state, binding)?;
        let now = self.inner.clock.now();
        let found =
            self.manager().state_store().check_state(&StateContext::new(extensions, now), &key).await?;
        let pending = found.ok_or_else(not_found)?;
        // The store is not trusted with these: it may ignore the time, or hold another manager's flows.
        let own =
            *pending.provider_id == *self.provider().id() && pending.owner.as_ref() == binding.as_user();
        if !own || pending.is_expired(now) {
            return Err(not_found());
        }
        Ok(pending)
    }

    /// Refuses a protocol parameter that occurs twice (RFC 6749 §3.1), and a value that is no text, before the store is asked.
    pub(super) fn check_parameters(&self, response: &AuthorizationResponse<'_>) -> Result<()> {
        let shape = &self.provider().quirks().authorization_response;
        response.check_text(shape.error_parameters.error_description.as_deref())?;
        if !response.has_double() {
            return Ok(());
        }
        let own = shape.own_names().map(String::as_str);
        own.chain(STANDARD).try_for_each(|name| response.get(name).map(drop))
    }

    /// Second step of [`finish`](Self::finish): checks the issuer and the redirect URI, and reads code or error by the
    /// provider's rules.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::IssuerMismatch`], [`ErrorKind::CallbackMalformed`], [`ErrorKind::Configuration`].
    pub async fn callback(
        &self,
        pending: &PendingFlow,
        response: &AuthorizationResponse<'_>,
    ) -> Result<Callback> {
        let credentials = self.credentials();
        let read = match self.check_callback(&credentials, pending, response) {
            Ok(()) => self.resolve().await,
            Err(error) => Err(error),
        };
        let read = read.and_then(|endpoints| {
            self.read_callback(&endpoints, &credentials, pending, response, self.inner.clock.now())
        });
        self.at(Operation::Finish, read)
    }

    pub(super) fn check_callback(
        &self,
        credentials: &ClientCredentials,
        pending: &PendingFlow,
        response: &AuthorizationResponse<'_>,
    ) -> Result<()> {
        check_issuer(pending, response, self.provider().quirks().authorization_response.iss)?;
        if !credentials.redirect_uris().any(|uri| *uri == *pending.redirect_uri) {
            return Err(Error::configuration(
                "the flow's redirect URI is no longer one of the client credentials'",
            ));
        }
        Ok(())
    }

    pub(super) fn read_callback(
        &self,
        endpoints: &Arc<Endpoints>,
        credentials: &ClientCredentials,
        pending: &PendingFlow,
        response: &AuthorizationResponse<'_>,
        now: SystemTime,
    ) -> Result<Callback> {
        let urls = self.urls_of(endpoints, None, None)?;
        let mut cx = Call::new(Operation::Finish, self.provider(), &urls, credentials, now);
        cx.pending = Some(pending);
        cx.scopes = Some(&pending.scopes);
        self.manager().callback(&cx, response)
    }

    /// Third step of [`finish`](Self::finish): sends the code, at most once, and returns the tokens.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AccessDenied`] and [`ErrorKind::AuthorizationFailed`] if the callback is the provider's no; else those of
    /// the token request.
    pub async fn exchange(&self, pending: &PendingFlow, callback: Callback) -> Result<TokenSet> {
        self.at(Operation::Exchange, self.run_exchange(pending, callback).await)
    }

    async fn run_exchange(&self, pending: &PendingFlow, callback: Callback) -> Result<TokenSet> {
        let Callback { outcome, retained } = callback;
        let credentials = self.credentials();
        self.check_verifier(&credentials, pending)?;
        let grant = code_grant(pending, outcome)?;
        let endpoints = self.resolve().await?;
        let now = self.inner.clock.now();
        self.exchange_code(&endpoints, &credentials, pending, &grant, &retained, now).await
    }

    pub(super) fn check_verifier(
        &self,
        credentials: &ClientCredentials,
        pending: &PendingFlow,
    ) -> Result<()> {
        if pending.code_verifier.is_none() && self.provider().uses_pkce(credentials) {
            return Err(Error::new(ErrorKind::StateNotFound, "the flow was begun without PKCE; begin again"));
        }
        Ok(())
    }

    pub(super) async fn exchange_code(
        &self,
        endpoints: &Arc<Endpoints>,
        credentials: &ClientCredentials,
        pending: &PendingFlow,
        grant: &Grant,
        retained: &BTreeMap<String, String>,
        now: SystemTime,
    ) -> Result<TokenSet> {
        let urls = self.urls_of(endpoints, Some(retained), None)?;
        let mut cx = Call::new(Operation::Exchange, self.provider(), &urls, credentials, now);
        cx.grant = Some(grant);
        cx.pending = Some(pending);
        cx.callback = Some(retained);
        cx.scopes = Some(&pending.scopes);
        self.exchange_grant(&mut cx, &urls).await
    }

    /// The token request for a grant, as the manager makes it, without sending it: to look at, or to send by other means.
    ///
    /// # Errors
    ///
    /// Those of the hooks.
    pub async fn token_request(&self, grant: &Grant, scopes: &Scopes) -> Result<HttpRequest> {
        self.at(Operation::Exchange, self.run_token_request(grant, scopes).await)
    }

    async fn run_token_request(&self, grant: &Grant, scopes: &Scopes) -> Result<HttpRequest> {
        let credentials = self.credentials();
        let urls = self.urls(None, None).await?;
        let mut cx = self.call(Operation::Exchange, &urls, &credentials);
        cx.grant = Some(grant);
        cx.scopes = Some(scopes);
        let http = self.guarded(&urls);
        let mut request = self.manager().token_request(&cx)?;
        self.manager().prepare_token_request(&cx, &http, &mut request).await?;
        check_token_request(&cx, &request)?;
        Ok(request)
    }

    /// Reads a token response by the manager's rules.
    ///
    /// # Errors
    ///
    /// Those of [`rfc::token_response`](crate::rfc::token_response), or the hook's.
    pub async fn token_response(
        &self,
        grant: &Grant,
        scopes: &Scopes,
        response: &HttpResponse,
    ) -> Result<TokenSet> {
        let credentials = self.credentials();
        let urls = self.at(Operation::Exchange, self.urls(None, None).await)?;
        let mut cx = self.call(Operation::Exchange, &urls, &credentials);
        cx.grant = Some(grant);
        cx.scopes = Some(scopes);
        self.at(Operation::Exchange, self.manager().token_response(&cx, response))
    }
}

/// The grant for the code of a callback, or the provider's no.
pub(super) fn code_grant(
    pending: &PendingFlow,
    outcome: std::result::Result<Secret, ServerError>,
) -> Result<Grant> {
    let code = outcome.map_err(|server_error| {
        let (kind, message) = match server_error.code() {
            "access_denied" => (ErrorKind::AccessDenied, "access was denied"),
            _ => (
                ErrorKind::AuthorizationFailed,
                "the provider answered the authorization request with an error",
            ),
        };
        Error::new(kind, message).with_server_error(server_error)
    })?;
    Ok(Grant::AuthorizationCode {
        code,
        code_verifier: pending.code_verifier.clone(),
        redirect_uri: Some(Arc::clone(&pending.redirect_uri)),
    })
}

/// RFC 9207 §2.4: byte by byte, before the token request, and without a word of the response in the error.
fn check_issuer(
    pending: &PendingFlow,
    response: &AuthorizationResponse<'_>,
    policy: IssPolicy,
) -> Result<()> {
    let Some(issuer) = &pending.issuer else { return Ok(()) };
    match (response.get("iss")?, policy) {
        (Some(iss), _) if *iss == **issuer => Ok(()),
        (None, IssPolicy::IfPresent) => Ok(()),
        (Some(_), _) => Err(Error::new(
            ErrorKind::IssuerMismatch,
            "the callback names another issuer (RFC 9207 §2.4); nothing was sent",
        )),
        (None, IssPolicy::Required) => Err(Error::new(
            ErrorKind::IssuerMismatch,
            "the callback names no issuer (RFC 9207 §2.4); if this provider never does, set the quirk iss = \"if_present\"",
        )),
    }
}

pub(super) fn is_protocol_parameter(name: &str, provider: &provider::Provider) -> bool {
    let shape = &provider.quirks().authorization;
    provider::is_guarded(name)
        || matches!(name, "response_type" | "client_id" | "scope" | "resource")
        || shape.rename.values().any(|renamed| renamed == name)
}
