//! How Contentstack is set up.

use std::sync::Arc;

use authflow_core::quirks::{Condition, DefaultExpiry, Operator, PkceWithSecret, QueryPlacement, Quirks};
use authflow_core::{
    ClientAuthentication, ClientCredentials, Error, KnownProvider, MemoryStateStore, Operation, Pattern,
    Provider, Result, Secret, StateStore, Variable, VariableSource, is_secure,
};
use url::Url;

use crate::provider::Contentstack;
use crate::region::Region;

/// How the authorization URL is written. Contentstack takes all three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum AuthorizationUrl {
    /// `{application}/apps/{app_uid}/authorize?query`, as documented.
    #[default]
    Path,
    /// `{application}/?query#!/apps/{app_uid}/authorize`. A user who has to sign in first may lose the fragment.
    QueryBeforeHash,
    /// `{application}/#!/apps/{app_uid}/authorize?query`. A user who has to sign in first may lose the fragment.
    QueryInsideHash,
}

impl AuthorizationUrl {
    const fn template(self) -> &'static str {
        match self {
            Self::Path => "{application}/apps/{app_uid}/authorize",
            Self::QueryBeforeHash | Self::QueryInsideHash => "{application}/#!/apps/{app_uid}/authorize",
        }
    }

    const fn query_placement(self) -> Option<QueryPlacement> {
        match self {
            Self::Path => None,
            Self::QueryBeforeHash => Some(QueryPlacement::BeforeFragment),
            Self::QueryInsideHash => Some(QueryPlacement::InsideFragment),
        }
    }
}

/// Which token endpoint is asked. Contentstack's documents and tools name four.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum TokenEndpoint {
    /// `{developer_hub}/token`, which the vendor's SDKs call.
    #[default]
    DeveloperHub,
    /// `{application}/apps-api/token`, which the documentation prints.
    Application,
    /// `{developer_hub}/apps/token`, of older code.
    DeveloperHubApps,
    /// `{application}/apps-api/apps/token`.
    ApplicationApps,
}

impl TokenEndpoint {
    const fn template(self) -> &'static str {
        match self {
            Self::DeveloperHub => "{developer_hub}/token",
            Self::Application => "{application}/apps-api/token",
            Self::DeveloperHubApps => "{developer_hub}/apps/token",
            Self::ApplicationApps => "{application}/apps-api/apps/token",
        }
    }
}

/// Builds a [`Contentstack`]. Mistakes are reported by [`build`](Self::build).
#[derive(Debug)]
#[must_use = "nothing is checked until it is built"]
pub struct ContentstackBuilder {
    provider_id: String,
    credentials: Arc<ClientCredentials>,
    app_uid: Option<String>,
    region: Region,
    scopes: Vec<String>,
    authorization_url: AuthorizationUrl,
    token_endpoint: TokenEndpoint,
    state_store: Option<Arc<dyn StateStore>>,
    organization_uid: Option<Secret>,
    api_key: Option<Secret>,
    user_lookup: bool,
    base: Option<String>,
}

impl ContentstackBuilder {
    pub(crate) fn new(credentials: Arc<ClientCredentials>) -> Self {
        Self {
            provider_id: Contentstack::PROVIDER_ID.to_owned(),
            credentials,
            app_uid: None,
            region: Region::default(),
            scopes: Vec::new(),
            authorization_url: AuthorizationUrl::default(),
            token_endpoint: TokenEndpoint::default(),
            state_store: None,
            organization_uid: None,
            api_key: None,
            user_lookup: false,
            base: None,
        }
    }

    /// The uid of the app, which Developer Hub shows in its address. Required.
    pub fn app_uid(mut self, app_uid: impl Into<String>) -> Self {
        self.app_uid = Some(app_uid.into());
        self
    }

    /// The region where flows begin. Default: [`Region::Na`]. A flow goes on in the region that its callback names.
    pub const fn region(mut self, region: Region) -> Self {
        self.region = region;
        self
    }

    /// Where pending flows are kept. Default: in this process, in a [`MemoryStateStore`] of its own.
    pub fn state_store(mut self, state_store: impl StateStore) -> Self {
        self.state_store = Some(Arc::new(state_store));
        self
    }

    /// The scopes that are asked for where `begin` names none. Default: none, which means those of the app's registration.
    pub fn default_scopes<I>(mut self, scopes: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// How the authorization URL is written. Default: [`AuthorizationUrl::Path`].
    pub const fn authorization_url(mut self, authorization_url: AuthorizationUrl) -> Self {
        self.authorization_url = authorization_url;
        self
    }

    /// The token endpoint. Default: [`TokenEndpoint::DeveloperHub`].
    pub const fn token_endpoint(mut self, token_endpoint: TokenEndpoint) -> Self {
        self.token_endpoint = token_endpoint;
        self
    }

    /// The header `organization_uid` of API requests that have none. Default: the token's organization.
    pub fn organization_uid(mut self, organization_uid: impl Into<Secret>) -> Self {
        self.organization_uid = Some(organization_uid.into());
        self
    }

    /// The header `api_key` of API requests that have none. Default: the token's stack, if it is for one.
    pub fn api_key(mut self, api_key: impl Into<Secret>) -> Self {
        self.api_key = Some(api_key.into());
        self
    }

    /// Asks `/v3/user` after the exchange where the token response names no user.
    pub const fn look_up_user(mut self) -> Self {
        self.user_lookup = true;
        self
    }

    /// The provider id: another one for each further registration. Default: `contentstack`.
    pub fn provider_id(mut self, provider_id: impl Into<String>) -> Self {
        self.provider_id = provider_id.into();
        self
    }

    /// Puts application, Developer Hub and Content Management API of every region below `base`, under their usual paths. For
    /// tests and proxies. https, or http to a loopback address.
    pub fn endpoints_at(mut self, base: impl AsRef<str>) -> Self {
        self.base = Some(base.as_ref().to_owned());
        self
    }

    /// Checks everything.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](authflow_core::ErrorKind::Configuration) with the first mistake.
    pub fn build(self) -> Result<Contentstack> {
        let id = self.provider_id.clone();
        self.build_checked().map_err(|error| error.at(&id, Operation::Build))
    }

    fn build_checked(self) -> Result<Contentstack> {
        let app_uid = self.app_uid.ok_or_else(|| {
            Error::configuration(
                "the app's uid is missing; Developer Hub shows it in the address of the app, set it with `app_uid`",
            )
        })?;
        if !is_uid(&app_uid) {
            return Err(Error::configuration(
                "the app's uid is letters, digits, `-` and `_`, 128 at most; copy it from Developer Hub",
            ));
        }
        for value in self.organization_uid.iter().chain(&self.api_key) {
            if value.is_empty() || !value.expose().bytes().all(|b| (0x21..=0x7e).contains(&b)) {
                return Err(Error::configuration(
                    "organization_uid and api_key are headers: visible ASCII, and not empty",
                ));
            }
        }
        check_authentication(&self.credentials)?;
        let base = self.base.as_deref().map(base_of).transpose()?;
        let at = |origin: fn(Region) -> &'static str| {
            let place = |region: Region| base.as_deref().unwrap_or_else(|| origin(region)).to_owned();
            let names =
                Region::ALL.into_iter().flat_map(|region| region.names().map(move |name| (name, region)));
            let values = names.map(|(name, region)| (name, place(region)));
            let sources = [VariableSource::Callback, VariableSource::TokenResponse, VariableSource::Config];
            Variable::closed(sources, values).with_parameter("location")
        };
        let provider = Provider::builder(self.provider_id)
            .name("Contentstack")
            .variable("application", at(Region::application))
            .variable("developer_hub", at(Region::developer_hub))
            .variable("management_api", at(Region::management_api))
            .variable("app_uid", Variable::config(Pattern::Segment))
            .config("location", self.region.location_code())
            .config("app_uid", app_uid.as_str())
            .authorization_endpoint(self.authorization_url.template())
            .token_endpoint(self.token_endpoint.template())
            .introspection_endpoint("{application}/apps-api/introspect")
            .userinfo_endpoint("{management_api}/v3/user")
            .revocation_endpoint("{developer_hub}/manifests/{app_uid}/authorizations")
            .api_origin("{management_api}")
            .api_origin("{developer_hub}")
            .default_scopes(&self.scopes)
            .quirks(quirks(self.authorization_url))
            .build()?;
        provider.check_credentials(&self.credentials)?;
        let application = base.as_deref().unwrap_or(self.region.application());
        let install_url = Url::parse(&format!("{application}/apps/{app_uid}/install"))
            .map_err(|source| Error::configuration("the base is not a URL").with_source(source))?;
        Ok(Contentstack {
            provider,
            credentials: self.credentials,
            state_store: self.state_store.unwrap_or_else(|| Arc::new(MemoryStateStore::new())),
            region: self.region,
            install_url,
            base,
            organization_uid: self.organization_uid,
            api_key: self.api_key,
            user_lookup: self.user_lookup,
        })
    }
}

/// The form of Contentstack's uids. It has no dot, so that no segment of a path can be resolved away.
pub(crate) fn is_uid(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// The token endpoint reads the client from the form: a secret, or a verifier instead. With anything else it would get
/// neither.
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
        "Contentstack takes the client secret in the form (client_secret_post), and none of a public client; leave \
         `authenticated_by` away",
    ))
}

fn base_of(base: &str) -> Result<String> {
    let base = Url::parse(base).map_err(|source| {
        Error::configuration("endpoints_at takes a URL, https://...").with_source(source)
    })?;
    if !is_secure(&base) || base.query().is_some() || base.fragment().is_some() {
        return Err(Error::configuration(
            "endpoints_at takes https, or http to a loopback address, without query and fragment",
        ));
    }
    Ok(base.as_str().trim_end_matches('/').to_owned())
}

/// An hour, says the documentation; for a reply that does not.
const ACCESS_TOKEN_LIFETIME: u64 = 3600;
/// Renewed so many seconds before it ends, as the vendor's SDKs do.
const REFRESH_MARGIN: u32 = 60;

fn quirks(authorization_url: AuthorizationUrl) -> Quirks {
    let mut quirks = Quirks::default();
    quirks.authorization.query_placement = authorization_url.query_placement();
    quirks.authorization_response.retain =
        ["location", "region", "installation_uid"].map(str::to_owned).into();
    quirks.token.client_authentication = Some(ClientAuthentication::ClientSecretPost);
    quirks.token_response.expiry.default = Some(DefaultExpiry::Seconds(ACCESS_TOKEN_LIFETIME));
    let error = &mut quirks.token_response.error;
    error.when = ["/error_message", "/error_code"]
        .map(|pointer| Condition::new(pointer, Operator::Exists, serde_json::Value::Null))
        .into();
    error.code = ["/error", "/error/code", "/error_code"].map(str::to_owned).into();
    error.description =
        ["/error_description", "/error_message", "/error/message", "/message"].map(str::to_owned).into();
    quirks.pkce.with_secret = PkceWithSecret::Exclusive;
    quirks.refresh_policy.margin = Some(REFRESH_MARGIN);
    quirks
}
