//! The server, as one of the providers, and our registration there.

use std::time::Duration;

use authflow::contentstack::Contentstack;
use authflow::quirks::ResponseFormat;
use authflow::stackexchange::{self, StackExchange};
use authflow::{
    ClientCredentials, ConfiguredProvider, Error, ErrorKind, FlowManager, HttpResponse, ServerError,
    StateStore, rfc,
};
use authflow_testkit::{AuthorizationServer, Client, Fault, Personality};
use url::Url;

use super::page::Party;
use crate::args::DemoProvider;
use crate::failure::Failure;

/// A running server.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) provider: DemoProvider,
    pub(super) server: AuthorizationServer,
    client_id: Option<&'static str>,
}

impl Stage {
    pub(super) async fn start(provider: DemoProvider, fault: Option<&Fault>) -> Result<Self, Failure> {
        let server = started(builder(provider)).await?;
        if let Some(fault) = fault {
            server.set_fault(fault.clone());
        }
        Ok(Self { provider, server, client_id: None })
    }

    /// With a registration of its own, for a redirect URI of this path on any port of 127.0.0.1, and access tokens that live
    /// as long as is worth watching.
    pub(super) async fn start_for(
        provider: DemoProvider,
        redirect_path: &str,
        lifetime: Duration,
    ) -> Result<Self, Failure> {
        // Stack Exchange gives its clients numbers.
        let client_id = if provider == DemoProvider::StackExchange { "2001" } else { "authflow-demo" };
        let client = Client::public(client_id)
            .name("authflow demo")
            .redirect_uri(format!("http://127.0.0.1{redirect_path}"));
        let server = started(builder(provider).client(client).access_token_lifetime(lifetime)).await?;
        Ok(Self { provider, server, client_id: Some(client_id) })
    }

    fn client(&self) -> &Client {
        let own = self.client_id.and_then(|id| self.server.client(id));
        own.unwrap_or_else(|| self.server.public_client())
    }

    /// Who it is among those of the page.
    pub(super) const fn party(&self) -> Party {
        Party::Testkit(self.provider)
    }

    /// The provider id.
    pub(super) const fn id(&self) -> &'static str {
        self.provider.id()
    }

    pub(super) const fn name(&self) -> &'static str {
        match self.provider {
            DemoProvider::StackExchange => "Stack Exchange",
            DemoProvider::Contentstack => "Contentstack",
            DemoProvider::Rfc => "the RFCs",
        }
    }

    /// What the page calls it.
    pub(super) const fn title(&self) -> &'static str {
        match self.provider {
            DemoProvider::StackExchange => "Stack Exchange",
            DemoProvider::Contentstack => "Contentstack",
            DemoProvider::Rfc => "RFC server",
        }
    }

    /// In what it differs from the others.
    pub(super) const fn about(&self) -> &'static str {
        match self.provider {
            DemoProvider::StackExchange => {
                "Commas between scopes, the token in the query, no refresh tokens."
            }
            DemoProvider::Contentstack => "An app uid, a region in the callback, revocation in three steps.",
            DemoProvider::Rfc => "PKCE, iss, refresh tokens that rotate, revocation.",
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
        states: impl StateStore,
    ) -> Result<Box<dyn FlowManager>, Failure> {
        let client = self.client();
        let credentials = ClientCredentials::public(client.id()).redirect_uri(redirect_uri);
        let base = self.server.base_url();
        Ok(match self.provider {
            DemoProvider::StackExchange => Box::new(
                StackExchange::builder(credentials)
                    .key(client.api_key())
                    .site("stackoverflow")
                    .endpoints_at(base)
                    .state_store(states)
                    .build()?,
            ),
            DemoProvider::Contentstack => Box::new(
                Contentstack::builder(credentials)
                    .app_uid(client.registered_app_uid())
                    .endpoints_at(base)
                    .state_store(states)
                    .build()?,
            ),
            DemoProvider::Rfc => {
                let provider = self.server.provider("rfc").name(self.title()).build()?;
                Box::new(ConfiguredProvider::from_provider(provider, credentials, states)?)
            }
        })
    }

    /// Whether the manager knows the issuer, so that it compares the `iss` of a callback.
    pub(super) const fn has_issuer(&self) -> bool {
        matches!(self.provider, DemoProvider::Rfc)
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
        api_error(response)
    }
}

/// Why an API said no that speaks as most do.
pub(super) fn api_error(response: &HttpResponse) -> Error {
    let body = rfc::parse_object(response, ResponseFormat::Auto).unwrap_or_default();
    let text =
        |names: [&str; 2]| names.into_iter().find_map(|name| body.get(name)?.as_str().map(str::to_owned));
    let code = text(["error", "error_name"]);
    let words = text(["error_description", "error_message"]);
    let error = match (response.status.as_u16(), code) {
        (429, _) => Error::new(ErrorKind::RateLimited, "the API asks to slow down"),
        (500.., _) => Error::new(ErrorKind::Unavailable, "the API is not available"),
        (401, code) => {
            Error::new(ErrorKind::InvalidGrant, "the API does not accept the access token").with_server_error(
                ServerError::new(code.as_deref().unwrap_or("invalid_token"), words.as_deref(), None),
            )
        }
        (400..500, Some(code)) => Error::refused(ServerError::new(&code, words.as_deref(), None)),
        _ => Error::invalid_response("the API's answer is not one that can be used"),
    };
    error.with_status(response.status)
}

fn builder(provider: DemoProvider) -> authflow_testkit::Builder {
    AuthorizationServer::builder().personality(match provider {
        DemoProvider::StackExchange => Personality::StackExchange,
        DemoProvider::Contentstack => Personality::Contentstack,
        DemoProvider::Rfc => Personality::Rfc,
    })
}

async fn started(builder: authflow_testkit::Builder) -> Result<AuthorizationServer, Failure> {
    let started = builder.start().await;
    started.map_err(|error| Failure::local(format!("the demo's server could not be started: {error}")))
}

fn url(text: &str) -> Result<Url, Failure> {
    Url::parse(text)
        .map_err(|error| Failure::local(format!("the demo's server has no usable address: {error}")))
}
