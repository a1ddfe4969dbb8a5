//! How Stack Exchange is set up.

use std::sync::Arc;

use authflow_core::quirks::{
    Condition, Operator, Quirks, RefreshInput, RequestMethod, RevokedToken, Templates, TokenPlacement,
};
use authflow_core::{
    ClientAuthentication, ClientCredentials, Error, KnownProvider, MemoryStateStore, Operation, Provider,
    Result, Secret, StateStore, Template, is_secure,
};
use url::Url;

use crate::api::{API_BASE, Api};
use crate::provider::StackExchange;

/// Which of the two token endpoints is asked. Both take the same form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum TokenEndpoint {
    /// `/oauth/access_token/json`, which answers JSON.
    #[default]
    Json,
    /// `/oauth/access_token`, which answers a form.
    Form,
}

impl TokenEndpoint {
    const fn path(self) -> &'static str {
        match self {
            Self::Json => "/oauth/access_token/json",
            Self::Form => "/oauth/access_token",
        }
    }
}

/// Builds a [`StackExchange`]. Mistakes are reported by [`build`](Self::build).
#[derive(Debug)]
#[must_use = "nothing is checked until it is built"]
pub struct StackExchangeBuilder {
    provider_id: String,
    credentials: Arc<ClientCredentials>,
    key: Option<Secret>,
    site: String,
    scopes: Vec<String>,
    token_endpoint: TokenEndpoint,
    state_store: Option<Arc<dyn StateStore>>,
    account_lookup: bool,
    base: Option<String>,
}

/// Where the user is sent, and where the token endpoints are.
const OAUTH_BASE: &str = "https://stackoverflow.com";

impl StackExchangeBuilder {
    pub(crate) fn new(credentials: Arc<ClientCredentials>) -> Self {
        Self {
            provider_id: StackExchange::PROVIDER_ID.to_owned(),
            credentials,
            key: None,
            site: "stackoverflow".to_owned(),
            scopes: Vec::new(),
            token_endpoint: TokenEndpoint::default(),
            state_store: None,
            account_lookup: true,
            base: None,
        }
    }

    /// The key of the application, which Stack Apps shows beside the client id. Required: the API takes an access token
    /// together with the key of the same application only.
    pub fn key(mut self, key: impl Into<Secret>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// The site that API requests are about where they name none: `stackoverflow`, `meta.serverfault`. Default:
    /// `stackoverflow`.
    pub fn site(mut self, site: impl Into<String>) -> Self {
        self.site = site.into();
        self
    }

    /// Where pending flows are kept. Default: in this process, in a [`MemoryStateStore`] of its own.
    pub fn state_store(mut self, state_store: impl StateStore) -> Self {
        self.state_store = Some(Arc::new(state_store));
        self
    }

    /// The token endpoint. Default: [`TokenEndpoint::Json`].
    pub const fn token_endpoint(mut self, token_endpoint: TokenEndpoint) -> Self {
        self.token_endpoint = token_endpoint;
        self
    }

    /// The scopes that are asked for where `begin` names none. Default: none, which lets the application know who the user
    /// is and no more. Their names: [`scope`](crate::scope).
    pub fn default_scopes<I>(mut self, scopes: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// Leaves out the request to `/me` after the exchange. The account of the token set is unknown then.
    pub const fn without_account_lookup(mut self) -> Self {
        self.account_lookup = false;
        self
    }

    /// The provider id: another one for each further registration. Default: `stackexchange`.
    pub fn provider_id(mut self, provider_id: impl Into<String>) -> Self {
        self.provider_id = provider_id.into();
        self
    }

    /// Puts all endpoints below `base`, under their usual paths: `{base}/oauth`, `{base}/2.3/me`. For tests and proxies.
    /// https, or http to a loopback address; a `&str` or a [`Url`].
    pub fn endpoints_at(mut self, base: impl AsRef<str>) -> Self {
        self.base = Some(base.as_ref().to_owned());
        self
    }

    /// Checks everything.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](authflow_core::ErrorKind::Configuration) with the first mistake.
    pub fn build(self) -> Result<StackExchange> {
        let id = self.provider_id.clone();
        self.build_checked().map_err(|error| error.at(&id, Operation::Build))
    }

    fn build_checked(self) -> Result<StackExchange> {
        let key = self.key.ok_or_else(|| {
            Error::configuration(
                "the key of the application is missing: the API takes no access token without it; Stack Apps shows it \
                 beside the client id, set it with `key`",
            )
        })?;
        if key.is_empty() || !key.expose().bytes().all(|b| (0x21..=0x7e).contains(&b)) {
            return Err(Error::configuration(
                "the key is empty or holds a character that is not visible ASCII; copy it from Stack Apps",
            ));
        }
        let label = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
        if self.site.is_empty() || self.site.len() > 128 || !self.site.bytes().all(label) {
            return Err(Error::configuration(
                "the site is the API's name of one, such as `stackoverflow` or `meta.serverfault`",
            ));
        }
        check_authentication(&self.credentials)?;
        let (oauth, api) = bases(self.base.as_deref())?;
        let provider = Provider::builder(self.provider_id)
            .name("Stack Exchange")
            .base_uri(&oauth)
            .authorization_endpoint("/oauth")
            .token_endpoint(self.token_endpoint.path())
            .userinfo_endpoint(&format!("{api}/me"))
            .revocation_endpoint(&format!("{api}/access-tokens/{{token}}/invalidate"))
            .api_origin(&api)
            .default_scopes(&self.scopes)
            .config("key", key.expose())
            .quirks(quirks()?)
            .build()?;
        provider.check_credentials(&self.credentials)?;
        let api = Url::parse(&api)
            .map_err(|source| Error::configuration("the base is not a URL").with_source(source))?;
        Ok(StackExchange {
            provider,
            credentials: self.credentials,
            state_store: self.state_store.unwrap_or_else(|| Arc::new(MemoryStateStore::new())),
            api: Api::at(api, Some(key))?,
            site: self.site.into(),
            account_lookup: self.account_lookup,
        })
    }
}

/// The token endpoints read the client from the form only.
fn check_authentication(credentials: &ClientCredentials) -> Result<()> {
    let fits = match credentials.authentication() {
        None => true,
        Some(ClientAuthentication::ClientSecretPost) => credentials.is_confidential(),
        Some(ClientAuthentication::None) => !credentials.is_confidential(),
        Some(_) => false,
    };
    if fits {
        return Ok(());
    }
    Err(Error::configuration(
        "Stack Exchange takes the client secret in the form (client_secret_post), and none of a public client; leave \
         `authenticated_by` away",
    ))
}

fn bases(base: Option<&str>) -> Result<(String, String)> {
    let Some(base) = base else { return Ok((OAUTH_BASE.to_owned(), API_BASE.to_owned())) };
    let base = Url::parse(base).map_err(|source| {
        Error::configuration("endpoints_at takes a URL, https://...").with_source(source)
    })?;
    if !is_secure(&base) || base.query().is_some() || base.fragment().is_some() {
        return Err(Error::configuration(
            "endpoints_at takes https, or http to a loopback address, without query and fragment: Stack Exchange destroys \
             tokens that are sent in the clear",
        ));
    }
    let base = base.as_str().trim_end_matches('/').to_owned();
    let api = format!("{base}/2.3");
    Ok((base, api))
}

/// What facts of the documentation are data. `site` is not here: a request may name its own.
fn quirks() -> Result<Quirks> {
    let mut quirks = Quirks::default();
    quirks.authorization.scope_delimiter = Some(",".to_owned());
    quirks.token.client_authentication = Some(ClientAuthentication::ClientSecretPost);
    quirks.token_response.scope_delimiter = Some(",".to_owned());
    quirks.token_response.fields.expires_in = Some("/expires".to_owned());
    let error = &mut quirks.token_response.error;
    error.when = vec![
        Condition::new("/error", Operator::IsObject, serde_json::Value::Null),
        Condition::new("/error_name", Operator::Exists, serde_json::Value::Null),
    ];
    error.code = ["/error/type", "/error", "/error_name"].map(str::to_owned).into();
    error.description = ["/error/message", "/error_description", "/error_message"].map(str::to_owned).into();
    quirks.refresh_policy.input = RefreshInput::None;
    let key =
        || -> Result<Templates> { Ok(Templates::default().with("key", Template::parse("{config.key}")?)) };
    quirks.access_token_usage.placement = TokenPlacement::Query { name: "access_token".to_owned() };
    quirks.access_token_usage.request_parameters = key()?;
    quirks.revocation.token = RevokedToken::AccessToken;
    quirks.revocation.omit_token_type_hint = true;
    quirks.revocation.request.method = RequestMethod::Get;
    quirks.revocation.request.client_authentication = Some(ClientAuthentication::Omitted);
    quirks.revocation.request.parameters = key()?;
    Ok(quirks)
}
