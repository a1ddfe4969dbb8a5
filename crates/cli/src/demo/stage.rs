//! The server, as one of the providers, and our registration there.

use std::sync::Arc;

use authflow::contentstack::Contentstack;
use authflow::quirks::ResponseFormat;
use authflow::stackexchange::{self, StackExchange};
use authflow::{
    ClientCredentials, ConfiguredProvider, Endpoints, Error, ErrorKind, FlowManager, HttpResponse,
    ProviderDefinition, ServerError, Template, rfc,
};
use authflow_testkit::{AuthorizationServer, Fault, Personality};
use url::Url;

use crate::args::DemoProvider;
use crate::failure::Failure;
use crate::states::States;

/// A running server.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) provider: DemoProvider,
    pub(super) server: AuthorizationServer,
}

impl Stage {
    pub(super) async fn start(provider: DemoProvider, fault: Option<&Fault>) -> Result<Self, Failure> {
        let personality = match provider {
            DemoProvider::StackExchange => Personality::StackExchange,
            DemoProvider::Contentstack => Personality::Contentstack,
            DemoProvider::Rfc => Personality::Rfc,
        };
        let server =
            AuthorizationServer::builder().personality(personality).start().await.map_err(|error| {
                Failure::local(format!("the demo's server could not be started: {error}"))
            })?;
        if let Some(fault) = fault {
            server.set_fault(fault.clone());
        }
        Ok(Self { provider, server })
    }

    pub(super) const fn name(&self) -> &'static str {
        match self.provider {
            DemoProvider::StackExchange => "Stack Exchange",
            DemoProvider::Contentstack => "Contentstack",
            DemoProvider::Rfc => "the RFCs",
        }
    }

    /// How the server speaks.
    pub(super) const fn manner(&self) -> &'static str {
        match self.provider {
            DemoProvider::StackExchange => "Stack Exchange does",
            DemoProvider::Contentstack => "Contentstack does",
            DemoProvider::Rfc => "the RFCs say",
        }
    }

    /// What is asked for.
    pub(super) const fn scopes(&self) -> &'static [&'static str] {
        match self.provider {
            DemoProvider::StackExchange => &["read_inbox", "private_info"],
            DemoProvider::Contentstack => &["user:read", "organizations:read"],
            DemoProvider::Rfc => &["read", "offline_access"],
        }
    }

    /// The same manager that an application would use, but for the addresses.
    pub(super) fn manager(
        &self,
        redirect_uri: &str,
        states: Arc<States>,
    ) -> Result<Box<dyn FlowManager>, Failure> {
        let client = self.server.public_client();
        let credentials = ClientCredentials::public(client.id()).redirect_uri(redirect_uri);
        let base = url(self.server.base_url())?;
        Ok(match self.provider {
            DemoProvider::StackExchange => Box::new(
                StackExchange::builder(credentials)
                    .key(client.api_key())
                    .site("stackoverflow")
                    .endpoints_at(&base)
                    .state_store(states)
                    .build()?,
            ),
            DemoProvider::Contentstack => Box::new(
                Contentstack::builder(credentials)
                    .app_uid(client.registered_app_uid())
                    .endpoints_at(&base)
                    .state_store(states)
                    .build()?,
            ),
            DemoProvider::Rfc => Box::new(ConfiguredProvider::new(self.definition()?, credentials, states)?),
        })
    }

    fn definition(&self) -> Result<ProviderDefinition, Failure> {
        let mut definition = ProviderDefinition::default();
        definition.id = "rfc".to_owned();
        definition.endpoints =
            Endpoints::new(&self.server.authorization_endpoint(), &self.server.token_endpoint())?;
        definition.endpoints.revocation_endpoint = Some(Template::parse(&self.server.revocation_endpoint())?);
        definition.endpoints.issuer = Some(self.server.issuer().to_owned());
        Ok(definition)
    }

    /// Where the access token is used.
    pub(super) fn resource(&self) -> Result<Url, Failure> {
        url(&self.server.resource_url())
    }

    /// Why the API said no.
    pub(super) fn api_error(&self, response: &HttpResponse) -> Error {
        if self.provider == DemoProvider::StackExchange
            && let Err(error) = stackexchange::Wrapper::<stackexchange::User>::read(response)
        {
            return error;
        }
        let body = rfc::parse_object(response, ResponseFormat::Auto).unwrap_or_default();
        let text =
            |names: [&str; 2]| names.into_iter().find_map(|name| body.get(name)?.as_str().map(str::to_owned));
        let code = text(["error", "error_name"]);
        let words = text(["error_description", "error_message"]);
        let error = match (response.status.as_u16(), code) {
            (429, _) => Error::new(ErrorKind::RateLimited, "the API asks to slow down"),
            (500.., _) => Error::new(ErrorKind::Unavailable, "the API is not available"),
            (401, code) => Error::new(ErrorKind::InvalidGrant, "the API does not accept the access token")
                .with_server_error(ServerError::new(
                    code.as_deref().unwrap_or("invalid_token"),
                    words.as_deref(),
                    None,
                )),
            (400..500, Some(code)) => Error::refused(ServerError::new(&code, words.as_deref(), None)),
            _ => Error::invalid_response("the API's answer is not one that can be used"),
        };
        error.with_status(response.status)
    }
}

fn url(text: &str) -> Result<Url, Failure> {
    Url::parse(text)
        .map_err(|error| Failure::local(format!("the demo's server has no usable address: {error}")))
}
