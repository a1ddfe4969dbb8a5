//! A provider without code.

use std::sync::Arc;

use crate::credentials::ClientCredentials;
use crate::error::{Operation, Result};
use crate::manager::FlowManager;
use crate::provider::{Provider, ProviderDefinition};
use crate::state::StateStore;

/// A [`FlowManager`] from a serde value: what most providers need.
///
/// The value is a [`ProviderDefinition`]. In TOML:
///
/// ```
/// # use authflow_core::{ClientCredentials, ConfiguredProvider, FlowManager as _, MemoryStateStore, ProviderDefinition};
/// let definition: ProviderDefinition = toml::from_str(r#"
///     id = "github"
///     name = "GitHub"
///     default_scopes = ["read:user"]
///
///     [endpoints]
///     authorization_endpoint = "https://github.com/login/oauth/authorize"
///     token_endpoint = "https://github.com/login/oauth/access_token"
///     api_origins = ["https://api.github.com"]
///
///     [quirks.token]
///     client_authentication = "client_secret_post"
///
///     [quirks.token_response]
///     scope_delimiter = ","
///     error.code_map = { bad_verification_code = "invalid_grant" }
/// "#)?;
/// let credentials = ClientCredentials::confidential("client-1", "secret").redirect_uri("https://app.example/callback");
/// let github = ConfiguredProvider::new(definition, credentials, MemoryStateStore::default())?;
/// assert_eq!((github.provider().id(), github.provider().name()), ("github", "GitHub"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// And in JSON, with a variable that the callback decides, out of a closed list:
///
/// ```
/// # use authflow_core::ProviderDefinition;
/// let definition: ProviderDefinition = serde_json::from_str(r#"{
///     "id": "zoho",
///     "endpoints": {
///         "authorization_endpoint": "https://accounts.zoho.com/oauth/v2/auth",
///         "token_endpoint": "https://{accounts}/oauth/v2/token",
///         "variables": { "accounts": {
///             "sources": ["callback"],
///             "parameter": "location",
///             "default": "us",
///             "values": { "us": "accounts.zoho.com", "eu": "accounts.zoho.eu", "in": "accounts.zoho.in" }
///         } }
///     },
///     "quirks": {
///         "authorization": { "scope_delimiter": ",", "parameters": { "access_type": "offline" } },
///         "authorization_response": { "retain": ["location"] },
///         "access_token_usage": { "placement": { "header": { "name": "authorization", "scheme": "Zoho-oauthtoken" } } }
///     }
/// }"#)?;
/// assert!(definition.build().is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ConfiguredProvider {
    provider: Provider,
    credentials: Arc<ClientCredentials>,
    state_store: Box<dyn StateStore>,
}

impl ConfiguredProvider {
    /// Checks the definition and the credentials.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) with the first mistake.
    pub fn new(
        definition: ProviderDefinition,
        credentials: ClientCredentials,
        state_store: impl StateStore,
    ) -> Result<Self> {
        Self::from_provider(definition.build()?, credentials, state_store)
    }

    /// The same with a provider that was built before.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if the credentials do not fit the provider, or if the
    /// provider needs a hook: one whose endpoints are discovered, or with a value from the callback that is not retained.
    pub fn from_provider(
        provider: Provider,
        credentials: ClientCredentials,
        state_store: impl StateStore,
    ) -> Result<Self> {
        provider
            .check_without_hooks()
            .and_then(|()| provider.check_credentials(&credentials))
            .map_err(|error| error.at(provider.id(), Operation::Build))?;
        Ok(Self { provider, credentials: Arc::new(credentials), state_store: Box::new(state_store) })
    }
}

#[async_trait::async_trait]
impl FlowManager for ConfiguredProvider {
    fn provider(&self) -> &Provider {
        &self.provider
    }

    fn credentials(&self) -> Arc<ClientCredentials> {
        Arc::clone(&self.credentials)
    }

    fn state_store(&self) -> &dyn StateStore {
        &*self.state_store
    }
}
