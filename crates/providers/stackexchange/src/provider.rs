//! Stack Exchange as a [`FlowManager`].

use std::fmt;
use std::sync::Arc;

use authflow_core::quirks::ResponseFormat;
use authflow_core::rfc::{self, Revocation};
use authflow_core::url::form_urlencoded::parse;
use authflow_core::{
    Call, ClientCredentials, Error, Expiry, FlowManager, HttpClient, HttpRequest, HttpResponse,
    KnownProvider, Limits, Provider, Result, StateStore, TokenSet, async_trait,
};

use crate::api::{Api, TokenList, User, Wrapper};
use crate::builder::StackExchangeBuilder;
use crate::error::ApiError;

/// The scopes. Without any, a token only tells who the user is.
pub mod scope {
    /// Tokens without an end. Stack Exchange advises against it.
    pub const NO_EXPIRY: &str = "no_expiry";
    /// The user's inbox.
    pub const READ_INBOX: &str = "read_inbox";
    /// To write in the user's name.
    pub const WRITE_ACCESS: &str = "write_access";
    /// The user's full history and private data.
    pub const PRIVATE_INFO: &str = "private_info";
}

/// The redirect URI of applications that have no web server, where *Non-Web Redirect URL* is on in the registration. The
/// user copies the URL of that page back into the application.
pub const NON_WEB_REDIRECT_URI: &str = "https://stackexchange.com/oauth/login_success";

/// Stack Exchange: one registration of ours there, and the place where pending flows are kept.
pub struct StackExchange {
    pub(crate) provider: Provider,
    pub(crate) credentials: Arc<ClientCredentials>,
    pub(crate) state_store: Arc<dyn StateStore>,
    pub(crate) api: Api,
    pub(crate) site: Box<str>,
    pub(crate) account_lookup: bool,
}

impl StackExchange {
    /// Begins to set it up. With a client secret, secret and PKCE's verifier go together; without one, PKCE stands alone.
    pub fn builder(credentials: impl Into<Arc<ClientCredentials>>) -> StackExchangeBuilder {
        StackExchangeBuilder::new(credentials.into())
    }

    /// Reads, invalidates and de-authenticates tokens.
    #[must_use]
    pub const fn api(&self) -> &Api {
        &self.api
    }

    /// The site that API requests are about where they name none.
    #[must_use]
    pub fn site(&self) -> &str {
        &self.site
    }

    /// Adds `site`, unless the request names one. An empty one in the request asks for none: the network-wide methods
    /// are about no site.
    fn set_site(&self, request: &mut HttpRequest) {
        let own = request.url.query_pairs().find(|(name, _)| name == "site").map(|(_, site)| site.is_empty());
        match own {
            Some(false) => {}
            Some(true) => {
                let is_other = |piece: &&str| parse(piece.as_bytes()).all(|(name, _)| name != "site");
                let kept: Vec<&str> =
                    request.url.query().unwrap_or_default().split('&').filter(is_other).collect();
                let kept = kept.join("&");
                request.url.set_query(Some(&kept).filter(|kept| !kept.is_empty()).map(String::as_str));
            }
            None => {
                request.url.query_pairs_mut().append_pair("site", &self.site);
            }
        }
    }
}

impl fmt::Debug for StackExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StackExchange")
            .field("provider", &self.provider.id())
            .field("credentials", &self.credentials)
            .field("api", &self.api)
            .field("site", &self.site)
            .finish_non_exhaustive()
    }
}

/// Unless [the builder](crate::StackExchangeBuilder::provider_id) was given another id.
impl KnownProvider for StackExchange {
    const PROVIDER_ID: &'static str = "stackexchange";
}

#[async_trait]
impl FlowManager for StackExchange {
    fn provider(&self) -> &Provider {
        &self.provider
    }

    fn credentials(&self) -> Arc<ClientCredentials> {
        Arc::clone(&self.credentials)
    }

    fn state_store(&self) -> &dyn StateStore {
        &*self.state_store
    }

    /// A token without `expires` has no end if that was asked for; else nothing is known of it.
    fn token_response(&self, cx: &Call<'_>, response: &HttpResponse) -> Result<TokenSet> {
        let mut tokens = rfc::token_response(cx, response)?;
        let asked = cx.scopes.is_some_and(|scopes| scopes.contains(scope::NO_EXPIRY));
        if asked && tokens.expiry == Expiry::Unknown && !has_lifetime(response) {
            tokens.expiry = Expiry::Never;
        }
        Ok(tokens)
    }

    /// Asks `/me` whose token it is.
    async fn after_exchange(
        &self,
        cx: &Call<'_>,
        http: &dyn HttpClient,
        tokens: &TokenSet,
    ) -> Result<Option<TokenSet>> {
        let Some(url) = cx.endpoints.userinfo_endpoint.clone().filter(|_| self.account_lookup) else {
            return Ok(None);
        };
        let mut request = HttpRequest::get(url);
        self.authenticate(cx, tokens, &mut request)?;
        let response = http.send(request, &Limits::default()).await?;
        let users = Wrapper::<User>::read_without(&response, &[&tokens.access_token])?;
        let user = users.items.into_iter().next().ok_or_else(|| {
            Error::invalid_response(
                "`/me` names no user: the account has no profile on the configured `site`; choose another, or switch the \
                 look-up off",
            )
        })?;
        let account_id = user.account_id.ok_or_else(|| {
            Error::invalid_response("`/me` names no account_id; only registered users have an account")
        })?;
        let mut tokens = tokens.clone();
        tokens.account = Some(account_id.to_string());
        tokens.extra.insert("account_id".to_owned(), account_id.into());
        if let Some(user_id) = user.user_id {
            tokens.extra.insert("user_id".to_owned(), user_id.into());
        }
        Ok(Some(tokens))
    }

    /// `access_token`, `key` and `site`, in the query.
    fn authenticate(&self, cx: &Call<'_>, tokens: &TokenSet, request: &mut HttpRequest) -> Result<()> {
        rfc::authenticate(cx, tokens, request)?;
        self.set_site(request);
        Ok(())
    }

    /// `/access-tokens/{token}/invalidate`. A token that was not valid any more counts as revoked (RFC 7009 §2.2).
    async fn revoke(&self, cx: &Call<'_>, http: &dyn HttpClient, tokens: &TokenSet) -> Result<Revocation> {
        let _ = cx;
        match self.api.invalidate(http, &TokenList::of(tokens)?).await {
            Ok(_) => Ok(Revocation::Revoked),
            Err(error) => match ApiError::of(&error).map(ApiError::id) {
                Some(id) if id.ends_the_token() => Ok(Revocation::Revoked),
                _ => Err(error),
            },
        }
    }
}

/// Whether the answer says anything about a lifetime, readable or not.
fn has_lifetime(response: &HttpResponse) -> bool {
    let Ok(body) = rfc::parse_object(response, ResponseFormat::Auto) else { return false };
    ["expires", "expires_in"].iter().any(|name| body.get(*name).is_some_and(|value| !value.is_null()))
}
