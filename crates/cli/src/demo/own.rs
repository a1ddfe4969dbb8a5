//! A server of the user's, on the demo's page.

use std::path::Path;
use std::sync::Arc;

use authflow::quirks::ResponseMode;
use authflow::{FlowManager, Template};
use url::{Host, Url};

use crate::args::{OwnArgs, ProviderArgs};
use crate::failure::Failure;
use crate::provider::{Purpose, Registration};
use crate::states::States;

/// The provider id: what the redirect URI has in its path, whatever the file says.
pub(super) const ID: &str = "own";

/// The server, and our registration there.
#[derive(Debug)]
pub(super) struct Own {
    registration: Registration,
    title: String,
    /// Scheme, host and port of the page where users are asked.
    place: String,
    has_issuer: bool,
    scopes: Vec<String>,
    resource: Option<Url>,
    redirect_uri: Option<String>,
}

impl Own {
    /// Reads the options, as `login` does. `None` where they say nothing of such a server.
    pub(super) fn of(file: Option<&Path>, args: &OwnArgs) -> Result<Option<Self>, Failure> {
        if *args == OwnArgs::default() && file.is_none() {
            return Ok(None);
        }
        if file.is_none() && args.endpoints.first().is_none() {
            return Err(Failure::usage(
                "which server? The options that you gave are about one of yours: give --authorization-endpoint and \
                 --token-endpoint as well, or a file that describes it (`authflow login --help` has one to start from)",
            ));
        }
        let provider = ProviderArgs {
            provider: file.map(Into::into),
            endpoints: args.endpoints.clone(),
            client: args.client.clone(),
            ..ProviderArgs::default()
        };
        let registration = Registration::of(&provider, Purpose::Login)?.with_id(ID);
        let Some(definition) = registration.definition() else {
            return Err(Failure::usage("a server of yours is one that a file or its endpoints describe"));
        };
        let endpoints = &definition.endpoints;
        let asks = endpoints.authorization_endpoint.as_ref().and_then(fixed);
        if definition.quirks.authorization_response.response_mode == ResponseMode::FormPost
            && !asks.as_ref().is_some_and(is_same_site)
        {
            return Err(Failure::usage(
                "this provider answers with a form (response_mode = \"form_post\"), and that does not work here: the demo's page is \
                 at http://127.0.0.1, where its cookies are not Secure, and browsers send such a cookie along with no form that \
                 another site posts. It works where the authorization endpoint is at http://127.0.0.1 too, at any port. Else leave \
                 response_mode out of the file, if the provider answers in the query as well",
            ));
        }
        let own = Self {
            title: definition.name.clone().unwrap_or_else(|| "Your own server".to_owned()),
            place: asks.map_or_else(String::new, |url| url.origin().ascii_serialization()),
            has_issuer: endpoints.issuer.is_some(),
            scopes: args.scopes.clone(),
            resource: endpoints.userinfo_endpoint.as_ref().and_then(fixed),
            redirect_uri: args.redirect_uri.clone(),
            registration,
        };
        Ok(Some(own))
    }

    /// The port of the redirect URI that is registered, whose path has to be this one; 0 for a free one.
    pub(super) fn port(&self, path: &str) -> Result<u16, Failure> {
        let Some(given) = &self.redirect_uri else { return Ok(0) };
        let port = given.strip_prefix("http://127.0.0.1:").and_then(|rest| rest.strip_suffix(path));
        port.and_then(|port| port.parse().ok()).ok_or_else(|| {
            Failure::usage(format!(
                "--redirect-uri is an address of the demo's page here: http://127.0.0.1:PORT{path}. Register it with a port of \
                 your choice; many providers take any port of 127.0.0.1, and then the option can be left out"
            ))
        })
    }

    pub(super) fn title(&self) -> &str {
        &self.title
    }

    pub(super) fn place(&self) -> &str {
        &self.place
    }

    pub(super) const fn has_issuer(&self) -> bool {
        self.has_issuer
    }

    /// What is asked for; where there is nothing, the provider's default ones are.
    pub(super) fn scopes(&self) -> &[String] {
        &self.scopes
    }

    /// The one place that is known to take the access token: the userinfo endpoint.
    pub(super) const fn resource(&self) -> Option<&Url> {
        self.resource.as_ref()
    }

    /// The same manager that `login` uses.
    pub(super) fn manager(&self, redirect_uri: &str) -> Result<Box<dyn FlowManager>, Failure> {
        self.registration.manager(Some(redirect_uri), Arc::new(States::default()))
    }
}

/// The address of an endpoint that has no variable in it.
fn fixed(template: &Template) -> Option<Url> {
    let written = template.variables().next().is_none().then(|| serde_json::to_value(template).ok())??;
    Url::parse(written.as_str()?).ok()
}

/// Whether a browser takes a form of that address for one of the page's own site: of one scheme and one address, whatever the
/// port.
fn is_same_site(url: &Url) -> bool {
    url.scheme() == "http" && url.host() == Some(Host::Ipv4(std::net::Ipv4Addr::LOCALHOST))
}
