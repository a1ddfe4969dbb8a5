//! Contentstack as a [`FlowManager`].

use std::fmt;
use std::sync::Arc;

use authflow_core::quirks::ResponseFormat;
use authflow_core::rfc::{self, Revocation};
use authflow_core::{
    AuthorizationResponse, Call, Callback, ClientCredentials, Error, ErrorKind, FlowManager, Grant,
    HttpClient, HttpRequest, HttpResponse, KnownProvider, Limits, Provider, Result, Secret, StateStore,
    TokenSet, async_trait,
};
use http::{HeaderName, HeaderValue};
use serde_json::Value;
use url::Url;

use crate::api::{ContentstackTokens, needs_refresh};
use crate::builder::ContentstackBuilder;
use crate::error::ApiError;
use crate::region::Region;
use crate::revoke;

/// Contentstack: one registration of ours there, and the place where pending flows are kept.
pub struct Contentstack {
    pub(crate) provider: Provider,
    pub(crate) credentials: Arc<ClientCredentials>,
    pub(crate) state_store: Arc<dyn StateStore>,
    pub(crate) region: Region,
    pub(crate) install_url: Url,
    pub(crate) base: Option<String>,
    pub(crate) organization_uid: Option<Secret>,
    pub(crate) api_key: Option<Secret>,
    pub(crate) user_lookup: bool,
}

/// The header that names the organization.
const ORGANIZATION_UID: HeaderName = HeaderName::from_static("organization_uid");
/// The header that names the stack.
const API_KEY: HeaderName = HeaderName::from_static("api_key");

impl Contentstack {
    /// Begins to set it up. A client has a secret, or PKCE instead: Contentstack takes one of them, never both.
    pub fn builder(credentials: impl Into<Arc<ClientCredentials>>) -> ContentstackBuilder {
        ContentstackBuilder::new(credentials.into())
    }

    /// The region where flows begin.
    #[must_use]
    pub const fn region(&self) -> Region {
        self.region
    }

    /// Where an administrator installs the app. Contentstack itself starts the redirect then, and there is no state in the
    /// callback: see [`Flow::finish_install_without_state`](authflow_core::Flow::finish_install_without_state).
    #[must_use]
    pub const fn install_url(&self) -> &Url {
        &self.install_url
    }

    /// The origin of the Content Management API for a token set, without a slash at the end.
    #[must_use]
    pub fn management_api(&self, tokens: &TokenSet) -> &str {
        let region = ContentstackTokens::new(tokens).region().unwrap_or(self.region);
        self.base.as_deref().unwrap_or(region.management_api())
    }
}

impl fmt::Debug for Contentstack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contentstack")
            .field("provider", &self.provider.id())
            .field("credentials", &self.credentials)
            .field("region", &self.region)
            .field("api_key", &self.api_key)
            .finish_non_exhaustive()
    }
}

/// Unless [the builder](crate::ContentstackBuilder::provider_id) was given another id.
impl KnownProvider for Contentstack {
    const PROVIDER_ID: &'static str = "contentstack";
}

#[async_trait]
impl FlowManager for Contentstack {
    fn provider(&self) -> &Provider {
        &self.provider
    }

    fn credentials(&self) -> Arc<ClientCredentials> {
        Arc::clone(&self.credentials)
    }

    fn state_store(&self) -> &dyn StateStore {
        &*self.state_store
    }

    /// The region of the callback has to be on the list, before anything is sent there.
    fn callback(&self, cx: &Call<'_>, response: &AuthorizationResponse<'_>) -> Result<Callback> {
        let mut callback = rfc::callback(cx, response)?;
        let retained = &mut callback.retained;
        let (location, region) = (retained.remove("location"), retained.remove("region"));
        if callback.outcome.is_ok() {
            let named = location.filter(|location| !location.is_empty()).or(region);
            let region = Region::named(named.as_deref()).map_err(|source| {
                Error::new(
                    ErrorKind::CallbackMalformed,
                    "the callback names a region that is none of Contentstack's; the code was sent nowhere",
                )
                .with_source(source)
            })?;
            if let Some(region) = region {
                retained.insert("location".to_owned(), region.location_code().to_owned());
            }
        }
        Ok(callback)
    }

    /// The redirect URI goes with a refresh too.
    fn token_request(&self, cx: &Call<'_>) -> Result<HttpRequest> {
        if let Some(Grant::AuthorizationCode { code_verifier: None, .. }) = cx.grant {
            if !cx.credentials.is_confidential() {
                return Err(Error::configuration(
                    "a public client has no verifier for a flow that it did not begin, and nothing else that protects the \
                     code; finish an install with a client that has a secret",
                ));
            }
        }
        let mut request = rfc::token_request(cx)?;
        if let (Some(Grant::RefreshToken { .. }), Some(redirect_uri)) = (cx.grant, refresh_redirect_uri(cx)) {
            request.body.extend_from_slice(b"&redirect_uri=");
            let encoded = url::form_urlencoded::byte_serialize(redirect_uri.as_bytes());
            request.body.extend(encoded.flat_map(str::bytes));
        }
        Ok(request)
    }

    fn token_response(&self, cx: &Call<'_>, response: &HttpResponse) -> Result<TokenSet> {
        let mut tokens =
            rfc::token_response(cx, response).map_err(|error| with_api_error(cx, error, response))?;
        settle_region(cx, &mut tokens)?;
        // A refresh that is answered for another user has to be seen: what was known before gives way.
        if let Some(user_uid) = ContentstackTokens::new(&tokens).user_uid() {
            tokens.account = Some(user_uid.to_owned());
        }
        if let Some(Grant::AuthorizationCode { redirect_uri: Some(redirect_uri), .. }) = cx.grant {
            tokens.extra.insert("redirect_uri".to_owned(), Value::from(&**redirect_uri));
        }
        Ok(tokens)
    }

    /// Asks `/v3/user` whose token it is, if that is wanted and not known.
    async fn after_exchange(
        &self,
        cx: &Call<'_>,
        http: &dyn HttpClient,
        tokens: &TokenSet,
    ) -> Result<Option<TokenSet>> {
        let Some(url) = cx.endpoints.userinfo_endpoint.clone().filter(|_| self.user_lookup) else {
            return Ok(None);
        };
        if tokens.account.is_some() {
            return Ok(None);
        }
        let mut request = HttpRequest::get(url);
        self.authenticate(cx, tokens, &mut request)?;
        let response = http.send(request, &Limits::default()).await?;
        if let Some(error) = ApiError::read_without(&response, &[&tokens.access_token]) {
            return Err(error.into_error(&response));
        }
        let body = rfc::parse_object(&response, ResponseFormat::Json)?;
        let uid = body.get("user").and_then(|user| user.get("uid")).and_then(Value::as_str);
        let uid = uid.filter(|uid| !uid.is_empty()).ok_or_else(|| {
            Error::invalid_response("`/v3/user` names no user; an app's own token has none")
                .with_status(response.status)
        })?;
        let mut tokens = tokens.clone();
        tokens.account = Some(uid.to_owned());
        Ok(Some(tokens))
    }

    /// `Authorization: Bearer`, and the headers `organization_uid` and `api_key` where the request has none of its own.
    fn authenticate(&self, cx: &Call<'_>, tokens: &TokenSet, request: &mut HttpRequest) -> Result<()> {
        rfc::authenticate(cx, tokens, request)?;
        let known = ContentstackTokens::new(tokens);
        let organization = self.organization_uid.as_ref().map(Secret::expose).or(known.organization_uid());
        let stack = self.api_key.as_ref().map(Secret::expose).or(known.stack_api_key());
        add_header(request, ORGANIZATION_UID, organization)?;
        add_header(request, API_KEY, stack)
    }

    /// A 401 that asks for a second factor or misses a permission is not about the token.
    fn refuses_token(&self, response: &HttpResponse) -> bool {
        needs_refresh(response)
    }

    /// Three steps: the app's authorizations, those of this user, and their end.
    async fn revoke(&self, cx: &Call<'_>, http: &dyn HttpClient, tokens: &TokenSet) -> Result<Revocation> {
        revoke::revoke(self, cx, http, tokens).await
    }
}

/// What authorizes a request about the app's authorizations: those of the token's organization, which may be another one than that
/// of the requests to the API.
pub(crate) fn authenticate_revocation(
    manager: &Contentstack,
    cx: &Call<'_>,
    tokens: &TokenSet,
    request: &mut HttpRequest,
) -> Result<()> {
    rfc::authenticate(cx, tokens, request)?;
    let own = ContentstackTokens::new(tokens).organization_uid();
    add_header(request, ORGANIZATION_UID, own.or(manager.organization_uid.as_ref().map(Secret::expose)))
}

/// Adds a header that the request does not have.
fn add_header(request: &mut HttpRequest, name: HeaderName, value: Option<&str>) -> Result<()> {
    let Some(value) = value.filter(|_| !request.headers.contains_key(&name)) else { return Ok(()) };
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        Error::usage("the token names an organization or a stack with a character that no header can carry")
    })?;
    value.set_sensitive(true);
    request.headers.insert(name, value);
    Ok(())
}

/// The redirect URI that the tokens came by, as long as it is registered; else the first.
fn refresh_redirect_uri<'a>(cx: &Call<'a>) -> Option<&'a str> {
    let used = cx.previous.and_then(|tokens| tokens.extra_str("redirect_uri"));
    let credentials = cx.credentials;
    used.and_then(|used| credentials.redirect_uris().find(|uri| *uri == used))
        .or_else(|| credentials.redirect_uris().next())
}

/// Writes the region that counts into the token set, so that it is there after the callback is forgotten: the callback's,
/// else the reply's, else the one from before a refresh.
fn settle_region(cx: &Call<'_>, tokens: &mut TokenSet) -> Result<()> {
    let known = ContentstackTokens::new(tokens);
    let from_callback = tokens.callback.get("location").and_then(|location| location.parse().ok());
    let before = cx.previous.and_then(|tokens| ContentstackTokens::new(tokens).region());
    let said = known.location().or_else(|| tokens.extra_str("region"));
    let named = Region::named(said);
    // What was known before a refresh counts where the reply is silent or cannot be read: the new tokens are worth more.
    let region = from_callback.or(named.ok().flatten()).or(before);
    if let (None, Err(source)) = (region, named) {
        return Err(Error::invalid_response(
            "the token response names a region that is none of Contentstack's; update authflow-contentstack if it is new",
        )
        .with_source(source));
    }
    match region {
        Some(region) => tokens.extra.insert("location".to_owned(), region.location_code().into()),
        None => tokens.extra.remove("location"),
    };
    Ok(())
}

/// Adds what the body says besides a code: the sentence of one that has no code at all, and what is wrong with which field.
fn with_api_error(cx: &Call<'_>, error: Error, response: &HttpResponse) -> Error {
    let said = ApiError::read_without(response, &rfc::sent_secrets(cx)).filter(ApiError::says_something);
    let Some(said) = said else { return error };
    let error = match said.server_error().filter(|_| error.server_error().is_none()) {
        Some(server_error) => error.with_server_error(server_error),
        None => error,
    };
    error.with_source(said)
}
