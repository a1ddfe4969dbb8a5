//! A provider: who it is, where it is, how it deviates.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::endpoints::{EndpointUrls, Endpoints, Variable, VariableSources};
use crate::error::{Error, Operation, Result};
use crate::quirks::{PkceSupport, PkceWithSecret, Quirks, RefreshInput};
use crate::scopes::Scopes;
use crate::secret::Secret;
use crate::template::Template;
use crate::{ClientCredentials, text};

/// A provider (RFC 6749 §1.1: the authorization server), with everything checked when it was built. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Provider(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: Arc<str>,
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
        if !credentials.is_confidential() && !self.uses_pkce(credentials) {
            return Err(Error::configuration(
                "this provider knows no PKCE, so a client without a secret has nothing that protects the code (RFC 9700 \
                 §2.1.1); register a client with a secret",
            ));
        }
        Ok(())
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
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) with the first mistake.
    pub fn build(self) -> Result<Provider> {
        let id = self.id.clone();
        self.build_checked().map_err(|error| error.at(&id, Operation::Build))
    }

    fn build_checked(self) -> Result<Provider> {
        if self.id.is_empty() || self.id.len() > 128 || !text::is_visible_ascii(&self.id) {
            return Err(Error::configuration("a provider id is 1 to 128 visible ASCII characters"));
        }
        self.endpoints.check()?;
        check_quirks(&self.quirks)?;
        if self.endpoints.authorization_endpoint.is_none() && self.endpoints.token_endpoint.is_none() {
            return Err(Error::configuration(
                "a provider needs an authorization endpoint or a token endpoint",
            ));
        }
        let config: BTreeMap<_, _> =
            self.config.into_iter().map(|(name, value)| (name, Secret::new(value))).collect();
        let urls = if self.endpoints.is_fixed() {
            let sources = VariableSources { config: &config, callback: None, token_response: None };
            let urls = self.endpoints.resolve(&sources)?;
            check_authorization_endpoint(&urls, &self.quirks)?;
            Some(Arc::new(urls))
        } else {
            check_every_value(&self.endpoints, &config, &self.quirks)?;
            None
        };
        let delimiter = self.quirks.authorization.scope_delimiter();
        if self.default_scopes.iter().any(|scope| !text::is_visible_ascii(scope)) {
            return Err(Error::configuration("a scope is visible ASCII without spaces (RFC 6749 §3.3)"));
        }
        Ok(Provider(Arc::new(Inner {
            id: self.id.into(),
            endpoints: Arc::new(self.endpoints),
            joined_default_scopes: self.default_scopes.join(delimiter).into(),
            default_scopes: self.default_scopes,
            quirks: self.quirks,
            config,
            urls,
        })))
    }
}

/// Builds the URLs once with each value of each closed list, so that a typing mistake in the list of regions is found here.
fn check_every_value(
    endpoints: &Endpoints,
    config: &BTreeMap<String, Secret>,
    quirks: &Quirks,
) -> Result<()> {
    let longest =
        endpoints.variables.values().filter_map(|v| v.values.as_ref()).map(BTreeMap::len).max().unwrap_or(0);
    for round in 0..longest.max(1) {
        let mut fixed = endpoints.clone();
        for (name, variable) in &mut fixed.variables {
            let parameter = variable.parameter.as_deref().unwrap_or(name);
            let configured = config.get(parameter).map(|value| value.expose().to_owned());
            if let Some(values) = &variable.values {
                let nth = values.iter().nth(round).or_else(|| values.iter().next());
                let Some((from, _)) = nth else {
                    return Err(Error::configuration(format!(
                        "the variable `{name}` has an empty list of values"
                    )));
                };
                variable.default = Some(from.clone());
            } else if variable.default.is_none() && configured.is_none() {
                variable.values = None;
                variable.default = Some(match &variable.pattern {
                    Some(crate::endpoints::Pattern::HostUnder(roots)) => {
                        roots.first().cloned().unwrap_or_default()
                    }
                    Some(crate::endpoints::Pattern::OriginUnder(roots)) => {
                        format!("https://{}", roots.first().map(String::as_str).unwrap_or_default())
                    }
                    _ => "x".to_owned(),
                });
            }
            let waits = variable.sources.iter().any(|s| *s != crate::endpoints::VariableSource::Config);
            if waits {
                variable.sources = vec![crate::endpoints::VariableSource::Callback];
            }
        }
        let sources = VariableSources { config, callback: None, token_response: None };
        check_authorization_endpoint(&fixed.resolve(&sources)?, quirks)?;
    }
    Ok(())
}

fn check_authorization_endpoint(urls: &EndpointUrls, quirks: &Quirks) -> Result<()> {
    let Some(url) = &urls.authorization_endpoint else { return Ok(()) };
    if url.fragment().is_some() && quirks.authorization.query_placement.is_none() {
        return Err(Error::configuration(
            "an authorization endpoint has no fragment (RFC 6749 §3.1); where a provider's does, say where the query goes \
             with query_placement",
        ));
    }
    Ok(())
}

fn check_quirks(quirks: &Quirks) -> Result<()> {
    let response = &quirks.authorization_response;
    let required = ["state"];
    for name in required {
        if quirks.authorization.omit.iter().any(|omitted| omitted == name) {
            return Err(Error::configuration(
                "`state` is always sent: no quirk can leave it out (RFC 6749 §10.12)",
            ));
        }
    }
    if quirks.authorization.omit.iter().any(|name| name.starts_with("code_challenge")) {
        return Err(Error::configuration(
            "PKCE is switched off with pkce.support, not by leaving parameters out",
        ));
    }
    if quirks.token.omit.iter().any(|name| name == "code_verifier" || name == "code") {
        return Err(Error::configuration("`code` and `code_verifier` are always sent to the token endpoint"));
    }
    let names = [&response.code_parameter, &response.state_parameter, &response.error_parameters.error];
    if names.into_iter().flatten().any(String::is_empty) {
        return Err(Error::configuration("a parameter's name must not be empty"));
    }
    let shapes = [
        Some(&quirks.authorization),
        Some(&quirks.token),
        quirks.refresh.as_ref(),
        quirks.client_credentials.as_ref(),
    ];
    for shape in shapes.into_iter().flatten() {
        if shape.parameters.iter().any(|(name, _)| is_guarded(name)) {
            return Err(Error::configuration(
                "extra parameters must not name a parameter of the protocol; rename or omit the standard one",
            ));
        }
        if shape.client_authentication == Some(crate::ClientAuthentication::AccessTokenBearer) {
            return Err(Error::configuration("an access token authenticates a revocation only"));
        }
        for (name, template) in shape.headers.iter() {
            check_header_name(name)?;
            check_literal_header(template)?;
        }
    }
    for (name, template) in
        quirks.access_token_usage.request_headers.iter().chain(quirks.revocation.request.headers.iter())
    {
        check_header_name(name)?;
        check_literal_header(template)?;
    }
    Ok(())
}

/// The parameters that only the engine sets: a second one, or another value, would undo a check.
pub(crate) fn is_guarded(name: &str) -> bool {
    matches!(
        name,
        "state"
            | "code_challenge"
            | "code_challenge_method"
            | "code_verifier"
            | "code"
            | "redirect_uri"
            | "request"
            | "request_uri"
            | "nonce"
            | "response_mode"
    )
}

fn check_header_name(name: &str) -> Result<()> {
    http::HeaderName::from_bytes(name.as_bytes()).map(drop).map_err(|source| {
        Error::configuration(format!("`{}` is no header name", text::clean(name, 64))).with_source(source)
    })
}

fn check_literal_header(template: &Template) -> Result<()> {
    match template.as_literal().map(http::HeaderValue::from_str) {
        Some(Err(source)) => {
            Err(Error::configuration("a header's value has an illegal character").with_source(source))
        }
        Some(Ok(_)) | None => Ok(()),
    }
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
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) with the first mistake.
    pub fn build(self) -> Result<Provider> {
        if let Some(message) = self.error {
            return Err(Error::configuration(message).at(&self.definition.id, Operation::Build));
        }
        self.definition.build()
    }
}
