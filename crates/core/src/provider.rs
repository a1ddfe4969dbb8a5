//! A provider: who it is, where it is, how it deviates.

mod check;
mod check_quirks;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub(crate) use self::check::is_guarded;

use crate::endpoints::{EndpointUrls, Endpoints, Variable, VariableSources};
use crate::error::{Error, Operation, Result};
use crate::quirks::{PkceSupport, PkceWithSecret, Quirks, RefreshInput};
use crate::scopes::Scopes;
use crate::secret::Secret;
use crate::template::Template;
use crate::{ClientCredentials, text};

/// The most bytes of a provider's name.
const MAX_NAME: usize = 128;

/// A provider (RFC 6749 §1.1: the authorization server), with everything checked when it was built. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Provider(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: Arc<str>,
    name: Option<Box<str>>,
    endpoints: Arc<Endpoints>,
    default_scopes: Scopes,
    joined_default_scopes: Box<str>,
    quirks: Quirks,
    config: BTreeMap<String, Secret>,
    /// The URLs, if no variable waits for a callback or a token.
    urls: Option<Arc<EndpointUrls>>,
}

impl Provider {
    /// Begins a provider.
    ///
    /// The id names one registration of ours at the provider; by default it is the provider's name. It is part of every
    /// key: two registrations at one provider need two ids.
    #[must_use]
    pub fn builder(id: impl Into<String>) -> ProviderBuilder {
        ProviderBuilder {
            definition: ProviderDefinition { id: id.into(), ..ProviderDefinition::default() },
            error: None,
            base: None,
        }
    }

    /// The provider id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// What people call the provider, for pages and buttons: `Stack Exchange`. Where it was given no name, its id.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.name.as_deref().unwrap_or(&self.0.id)
    }

    pub(crate) fn shared_id(&self) -> Arc<str> {
        Arc::clone(&self.0.id)
    }

    /// The endpoints, with their variables.
    #[must_use]
    pub fn endpoints(&self) -> &Arc<Endpoints> {
        &self.0.endpoints
    }

    /// The scopes that are asked for where `begin` names none.
    #[must_use]
    pub fn default_scopes(&self) -> &Scopes {
        &self.0.default_scopes
    }

    pub(crate) fn joined_default_scopes(&self) -> &str {
        &self.0.joined_default_scopes
    }

    /// The deviations.
    #[must_use]
    pub fn quirks(&self) -> &Quirks {
        &self.0.quirks
    }

    /// A value of the configuration, for `{config.x}` in templates.
    #[must_use]
    pub fn config(&self, name: &str) -> Option<&Secret> {
        self.0.config.get(name)
    }

    pub(crate) fn config_values(&self) -> &BTreeMap<String, Secret> {
        &self.0.config
    }

    pub(crate) fn fixed_urls(&self) -> Option<&Arc<EndpointUrls>> {
        self.0.urls.as_ref()
    }

    /// Whether PKCE is used with these credentials.
    #[must_use]
    pub fn uses_pkce(&self, credentials: &ClientCredentials) -> bool {
        let pkce = &self.0.quirks.pkce;
        pkce.support == PkceSupport::Supported
            && !(pkce.with_secret == PkceWithSecret::Exclusive && credentials.is_confidential())
    }

    /// Whether the provider has a refresh at all.
    #[must_use]
    pub fn supports_refresh(&self) -> bool {
        self.0.quirks.refresh_policy.input != RefreshInput::None
    }

    /// Whether the credentials fit the provider.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) with what does not fit.
    pub fn check_credentials(&self, credentials: &ClientCredentials) -> Result<()> {
        credentials.check(self.0.quirks.opaque_redirect_uri)?;
        check::client_parameters(self.quirks(), credentials)?;
        if !credentials.is_confidential() && !self.uses_pkce(credentials) {
            return Err(Error::configuration(
                "this provider knows no PKCE, so a client without a secret has nothing that protects the code (RFC 9700 \
                 §2.1.1); register a client with a secret",
            ));
        }
        Ok(())
    }

    /// Finds what no hook can mend where there is none.
    pub(crate) fn check_without_hooks(&self) -> Result<()> {
        check::without_hooks(self.endpoints(), self.quirks())
    }
}

/// A provider as a serde value: what [`Provider::builder`] fills in, and what a file for
/// [`ConfiguredProvider`](crate::ConfiguredProvider) holds.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ProviderDefinition {
    /// The provider id.
    pub id: String,
    /// What people call the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The endpoints.
    pub endpoints: Endpoints,
    /// The scopes that are asked for where `begin` names none.
    pub default_scopes: Scopes,
    /// The deviations.
    pub quirks: Quirks,
    /// Values for variables and for `{config.x}`. They are configuration, not secrets, until the provider is built.
    pub config: BTreeMap<String, String>,
}

impl ProviderDefinition {
    /// Checks everything and builds the provider.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) with the first mistake; a missing token endpoint is one.
    pub fn build(self) -> Result<Provider> {
        self.build_with(Known::Now)
    }

    /// As [`build`](Self::build), for a manager that finds the endpoints itself, in its hook
    /// [`resolve`](crate::FlowManager::resolve): none is required here. Those that are given are checked all the same.
    ///
    /// # Errors
    ///
    /// As for [`build`](Self::build).
    pub fn build_for_discovery(self) -> Result<Provider> {
        self.build_with(Known::Discovered)
    }

    fn build_with(self, known: Known) -> Result<Provider> {
        let id = self.id.clone();
        self.build_checked(known).map_err(|error| error.at(&id, Operation::Build))
    }

    fn build_checked(self, known: Known) -> Result<Provider> {
        if self.id.is_empty() || self.id.len() > 128 || !text::is_visible_ascii(&self.id) {
            return Err(Error::configuration("a provider id is 1 to 128 visible ASCII characters"));
        }
        let is_name = |name: &String| {
            !name.trim().is_empty() && name.len() <= MAX_NAME && !name.chars().any(char::is_control)
        };
        if !self.name.as_ref().is_none_or(is_name) {
            return Err(Error::configuration(
                "a provider's name is 1 to 128 bytes without control characters",
            ));
        }
        if known == Known::Now && self.endpoints.token_endpoint.is_none() {
            return Err(Error::configuration(
                "a provider needs a token endpoint (RFC 6749 §3.2); only one whose manager discovers it does without \
                 (`build_for_discovery`)",
            ));
        }
        let config: BTreeMap<_, _> =
            self.config.into_iter().map(|(name, value)| (name, Secret::new(value))).collect();
        self.endpoints.check(&config)?;
        check::quirks(&self.quirks)?;
        check::issuer(self.endpoints.issuer.as_deref())?;
        if self.default_scopes.iter().any(|scope| !text::is_visible_ascii(scope)) {
            return Err(Error::configuration("a scope is visible ASCII without spaces (RFC 6749 §3.3)"));
        }
        let check = |urls: &EndpointUrls| check::authorization(urls, &self.quirks, &self.default_scopes);
        let urls = if self.endpoints.is_fixed() {
            let urls = self.endpoints.resolve(&VariableSources::new(&config))?;
            check(&urls)?;
            Some(Arc::new(urls))
        } else {
            check::every_value(&self.endpoints, &config, check)?;
            None
        };
        let delimiter = self.quirks.authorization.scope_delimiter();
        Ok(Provider(Arc::new(Inner {
            id: self.id.into(),
            name: self.name.map(Into::into),
            endpoints: Arc::new(self.endpoints),
            joined_default_scopes: self.default_scopes.join(delimiter).into(),
            default_scopes: self.default_scopes,
            quirks: self.quirks,
            config,
            urls,
        })))
    }
}

/// When the endpoints are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Now,
    Discovered,
}

/// Builds a [`Provider`]. Mistakes are reported by [`build`](Self::build).
#[derive(Clone, Debug)]
pub struct ProviderBuilder {
    definition: ProviderDefinition,
    base: Option<String>,
    error: Option<&'static str>,
}

macro_rules! endpoint_setters {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $name(mut self, path_or_url: &str) -> Self {
            self.definition.endpoints.$name = self.template(path_or_url);
            self
        }
    )+};
}

impl ProviderBuilder {
    /// What people call the provider, for pages and buttons ([`Provider::name`]).
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.definition.name = Some(name.into());
        self
    }

    /// The part that the paths given after it are joined to: `https://provider.example`.
    #[must_use]
    pub fn base_uri(mut self, base_uri: &str) -> Self {
        self.base = Some(base_uri.trim_end_matches('/').to_owned());
        self
    }

    endpoint_setters! {
        /// The authorization endpoint (RFC 6749 §3.1): a URL, or a path below the base URI.
        authorization_endpoint,
        /// The token endpoint (RFC 6749 §3.2).
        token_endpoint,
        /// Where tokens are refreshed, if not at the token endpoint.
        refresh_endpoint,
        /// The revocation endpoint (RFC 7009 §2). `{token}` in it stands for the token.
        revocation_endpoint,
        /// The introspection endpoint (RFC 7662 §2).
        introspection_endpoint,
        /// The endpoint that tells who the user is.
        userinfo_endpoint,
    }

    fn template(&mut self, path_or_url: &str) -> Option<Template> {
        let joined = match &self.base {
            Some(base) if path_or_url.starts_with('/') => format!("{base}{path_or_url}"),
            None if path_or_url.starts_with('/') => {
                self.error = Some("a path needs a base URI, given before it");
                return None;
            }
            _ => path_or_url.to_owned(),
        };
        let template = Template::parse(&joined);
        if template.is_err() {
            self.error = Some("an endpoint has an unbalanced brace; `{{` and `}}` stand for braces");
        }
        template.ok()
    }

    /// The issuer (RFC 8414 §2). A callback must then carry the same `iss` (RFC 9207), unless a quirk says otherwise.
    #[must_use]
    pub fn issuer(mut self, issuer: &str) -> Self {
        self.definition.endpoints.issuer = Some(issuer.to_owned());
        self
    }

    /// Adds an origin of the provider's API: where access tokens may go.
    #[must_use]
    pub fn api_origin(mut self, origin: &str) -> Self {
        if let Some(template) = self.template(origin) {
            self.definition.endpoints.api_origins.push(template);
        }
        self
    }

    /// Adds an origin that hooks may speak to, beside those of the endpoints.
    #[must_use]
    pub fn protocol_origin(mut self, origin: &str) -> Self {
        if let Some(template) = self.template(origin) {
            self.definition.endpoints.protocol_origins.push(template);
        }
        self
    }

    /// Declares a variable of the endpoints.
    #[must_use]
    pub fn variable(mut self, name: &str, variable: Variable) -> Self {
        self.definition.endpoints.variables.insert(name.to_owned(), variable);
        self
    }

    /// Sets a value for variables and for `{config.x}`.
    #[must_use]
    pub fn config(mut self, name: &str, value: impl Into<String>) -> Self {
        self.definition.config.insert(name.to_owned(), value.into());
        self
    }

    /// The scopes that are asked for where `begin` names none.
    pub fn default_scopes<I>(mut self, scopes: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        self.definition.default_scopes = Scopes::new(scopes);
        self
    }

    /// The deviations.
    #[must_use]
    pub fn quirks(mut self, quirks: Quirks) -> Self {
        self.definition.quirks = quirks;
        self
    }

    /// Checks everything and builds the provider.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) with the first mistake; a missing token endpoint is one.
    pub fn build(self) -> Result<Provider> {
        self.build_with(Known::Now)
    }

    /// As [`build`](Self::build), for a manager that finds the endpoints itself, in its hook
    /// [`resolve`](crate::FlowManager::resolve): none is required here. Those that are given are checked all the same.
    ///
    /// # Errors
    ///
    /// As for [`build`](Self::build).
    pub fn build_for_discovery(self) -> Result<Provider> {
        self.build_with(Known::Discovered)
    }

    fn build_with(self, known: Known) -> Result<Provider> {
        if let Some(message) = self.error {
            return Err(Error::configuration(message).at(&self.definition.id, Operation::Build));
        }
        self.definition.build_with(known)
    }
}
