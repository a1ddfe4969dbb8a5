//! A manager around the manager under test: it notes what happens, and misbehaves where a check wants it to.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use authflow_core::rfc::AuthorizationParameters;
use authflow_core::{
    AuthorizationResponse, Call, Callback, ClientCredentials, Endpoints, FlowManager, Grant, HttpClient,
    HttpRequest, HttpResponse, Provider, Result, Revocation, StateStore, TokenSet, async_trait,
};
use url::Url;

use super::twist::Twist;

/// What the manager is doing while a request goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Other,
    /// The token request of a code or of the client itself.
    Token,
    Refresh,
    Revoke,
}

/// What the probe saw.
#[derive(Debug, Default)]
pub(super) struct Seen {
    stage: Option<Stage>,
    /// Names of the hooks in the order in which they were called.
    pub(super) hooks: Vec<&'static str>,
    /// The last token request, after all hooks.
    pub(super) token_request: Option<HttpRequest>,
    /// The token endpoint that the engine told the hook `token_request` last.
    token_endpoint: Option<Url>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Notes(Arc<Mutex<Seen>>);

impl Notes {
    pub(super) fn stage(&self) -> Stage {
        self.seen().stage.unwrap_or(Stage::Other)
    }

    pub(super) fn hooks(&self) -> Vec<&'static str> {
        self.seen().hooks.clone()
    }

    pub(super) fn token_request(&self) -> Option<HttpRequest> {
        self.seen().token_request.clone()
    }

    pub(super) fn token_endpoint(&self) -> Option<Url> {
        self.seen().token_endpoint.clone()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, hook: &'static str, stage: Stage) {
        let mut seen = self.seen();
        seen.hooks.push(hook);
        seen.stage = Some(stage);
    }
}

#[derive(Debug)]
pub(super) struct Probe {
    pub(super) inner: Box<dyn FlowManager>,
    pub(super) notes: Notes,
    pub(super) twist: Twist,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl FlowManager for Probe {
    fn provider(&self) -> &Provider {
        self.inner.provider()
    }

    fn credentials(&self) -> Arc<ClientCredentials> {
        self.inner.credentials()
    }

    fn state_store(&self) -> &dyn StateStore {
        self.inner.state_store()
    }

    async fn resolve(&self, http: &dyn HttpClient) -> Result<Arc<Endpoints>> {
        self.notes.enter("resolve", Stage::Other);
        let endpoints = self.inner.resolve(http).await?;
        self.twist.endpoints(endpoints)
    }

    fn authorization_parameters<'a>(&self, cx: &'a Call<'_>) -> Result<AuthorizationParameters<'a>> {
        self.notes.enter("authorization_parameters", Stage::Other);
        let mut made = self.inner.authorization_parameters(cx)?;
        self.twist.authorization(cx, &mut made);
        Ok(made)
    }

    fn callback(&self, cx: &Call<'_>, response: &AuthorizationResponse<'_>) -> Result<Callback> {
        self.notes.enter("callback", Stage::Other);
        let mut callback = self.inner.callback(cx, response)?;
        self.twist.callback(&mut callback);
        Ok(callback)
    }

    fn token_request(&self, cx: &Call<'_>) -> Result<HttpRequest> {
        self.notes.enter("token_request", Stage::Other);
        self.notes.seen().token_endpoint.clone_from(&cx.endpoints.token_endpoint);
        let mut request = self.inner.token_request(cx)?;
        self.twist.token_request(cx, &mut request);
        Ok(request)
    }

    async fn prepare_token_request(
        &self,
        cx: &Call<'_>,
        http: &dyn HttpClient,
        request: &mut HttpRequest,
    ) -> Result<()> {
        self.notes.enter("prepare_token_request", Stage::Other);
        self.inner.prepare_token_request(cx, http, request).await?;
        self.twist.prepare(http, request).await?;
        let mut seen = self.notes.seen();
        seen.stage = Some(match cx.grant {
            Some(Grant::RefreshToken { .. }) => Stage::Refresh,
            _ => Stage::Token,
        });
        seen.token_request = Some(request.clone());
        Ok(())
    }

    fn token_response(&self, cx: &Call<'_>, response: &HttpResponse) -> Result<TokenSet> {
        self.notes.enter("token_response", Stage::Other);
        let mut tokens = self.inner.token_response(cx, response)?;
        self.twist.tokens(&mut tokens);
        Ok(tokens)
    }

    async fn after_exchange(
        &self,
        cx: &Call<'_>,
        http: &dyn HttpClient,
        tokens: &TokenSet,
    ) -> Result<Option<TokenSet>> {
        self.notes.enter("after_exchange", Stage::Other);
        let changed = self.inner.after_exchange(cx, http, tokens).await?;
        let mut tokens = changed.unwrap_or_else(|| tokens.clone());
        self.twist.after_exchange(http, &mut tokens).await?;
        Ok(Some(tokens))
    }

    fn authenticate(&self, cx: &Call<'_>, tokens: &TokenSet, request: &mut HttpRequest) -> Result<()> {
        self.notes.enter("authenticate", Stage::Other);
        self.inner.authenticate(cx, tokens, request)?;
        self.twist.authenticate(request);
        Ok(())
    }

    fn refuses_token(&self, response: &HttpResponse) -> bool {
        self.notes.enter("refuses_token", Stage::Other);
        self.inner.refuses_token(response) != (self.twist == Twist::Marks)
    }

    async fn revoke(&self, cx: &Call<'_>, http: &dyn HttpClient, tokens: &TokenSet) -> Result<Revocation> {
        self.notes.enter("revoke", Stage::Revoke);
        self.twist.revoke(http).await?;
        let revocation = self.inner.revoke(cx, http, tokens).await?;
        Ok(self.twist.revocation(revocation))
    }
}
