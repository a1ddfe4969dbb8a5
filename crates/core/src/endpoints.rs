//! Where a provider is: URI templates, and what may be put into them.

mod variable;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use url::{Origin, Url};

pub use self::variable::{Pattern, Variable, VariableSource, VariableSources};

use crate::error::{Error, Result};
use crate::http_client::is_secure;
use crate::secret::Secret;
use crate::template::Template;

/// The endpoints of a provider, as URI templates over [`Variable`]s (RFC 8414 §2 has the names).
///
/// A value that comes from a callback or a token response decides where a code and a client secret go. So each variable has
/// a closed list of values or a strict form, and a value outside is refused before anything is sent.
///
/// A value that only the callback or the token response tells is unknown before. Until then an origin that depends on it is
/// not among those that are open, and an endpoint is absent.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Endpoints {
    /// The issuer (RFC 8414 §2), compared byte by byte with the `iss` of callbacks (RFC 9207).
    pub issuer: Option<String>,
    /// The authorization endpoint (RFC 6749 §3.1). Absent where flows begin at the provider only.
    pub authorization_endpoint: Option<Template>,
    /// The token endpoint (RFC 6749 §3.2). Required, unless the endpoints are discovered
    /// ([`ProviderBuilder::build_for_discovery`](crate::ProviderBuilder::build_for_discovery)).
    pub token_endpoint: Option<Template>,
    /// Where a token is refreshed, if not at the token endpoint.
    pub refresh_endpoint: Option<Template>,
    /// The revocation endpoint (RFC 7009 §2). Here alone the variable `{token}` stands for the token that is revoked.
    pub revocation_endpoint: Option<Template>,
    /// The introspection endpoint (RFC 7662 §2).
    pub introspection_endpoint: Option<Template>,
    /// The endpoint that tells who the user is (OpenID Connect Core §5.3, or the provider's own).
    pub userinfo_endpoint: Option<Template>,
    /// The device authorization endpoint (RFC 8628 §3.1).
    pub device_authorization_endpoint: Option<Template>,
    /// The pushed authorization request endpoint (RFC 9126 §2).
    pub pushed_authorization_request_endpoint: Option<Template>,
    /// The client registration endpoint (RFC 7591 §3).
    pub registration_endpoint: Option<Template>,
    /// Where the discovery document is, if not at the well-known place of the issuer.
    pub discovery_url: Option<Template>,
    /// Origins of the provider's API: where access tokens may go.
    pub api_origins: Vec<Template>,
    /// Origins that hooks may speak to, beside those of the endpoints.
    pub protocol_origins: Vec<Template>,
    /// The variables of the templates.
    pub variables: BTreeMap<String, Variable>,
}

/// The endpoints of one call: every URL is secure. What depends on a value that the callback or the token response has yet to
/// tell is absent.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EndpointUrls {
    /// The issuer.
    pub issuer: Option<Arc<str>>,
    /// The authorization endpoint.
    pub authorization_endpoint: Option<Url>,
    /// The token endpoint. Absent where it waits for the callback.
    pub token_endpoint: Option<Url>,
    /// Where a token is refreshed: the refresh endpoint, or the token endpoint where the provider names none.
    pub refresh_endpoint: Option<Url>,
    /// The introspection endpoint.
    pub introspection_endpoint: Option<Url>,
    /// The userinfo endpoint.
    pub userinfo_endpoint: Option<Url>,
    /// The origins that the engine and the hooks may speak to.
    pub(crate) protocol_origins: Vec<Origin>,
    /// The origins that access tokens may go to, beside those.
    pub(crate) api_origins: Vec<Origin>,
    /// The revocation endpoint, with `{token}` still in it if it has one.
    pub(crate) revocation: Option<RevocationUrl>,
    /// The variable that the token endpoint waits for.
    token_endpoint_awaits: Option<Box<str>>,
}

#[derive(Clone, Debug)]
pub(crate) enum RevocationUrl {
    Fixed(Url),
    WithToken { before: Box<str>, after: Box<str> },
}

/// Compares in place: [`Url::origin`] copies the host.
fn is_one_of(url: &Url, origins: &[Origin]) -> bool {
    origins.iter().any(|origin| match origin {
        Origin::Tuple(scheme, host, port) => {
            scheme == url.scheme()
                && url.host().is_some_and(|known| *host == known)
                && url.port_or_known_default() == Some(*port)
        }
        Origin::Opaque(_) => false,
    })
}

impl EndpointUrls {
    /// Whether the engine and the hooks may speak to `url`.
    #[must_use]
    pub fn is_protocol(&self, url: &Url) -> bool {
        is_secure(url) && is_one_of(url, &self.protocol_origins)
    }

    /// Whether an access token may go to `url`.
    #[must_use]
    pub fn is_api(&self, url: &Url) -> bool {
        is_secure(url) && (is_one_of(url, &self.api_origins) || is_one_of(url, &self.protocol_origins))
    }

    /// The revocation endpoint (RFC 7009 §2). A provider that wants the token in the path gets it there, encoded.
    #[must_use]
    pub fn revocation_endpoint(&self, token: &str) -> Option<Url> {
        match self.revocation.as_ref()? {
            RevocationUrl::Fixed(url) => Some(url.clone()),
            RevocationUrl::WithToken { before, after } => {
                let token: String = url::form_urlencoded::byte_serialize(token.as_bytes()).collect();
                Url::parse(&format!("{before}{}{after}", token.replace('+', "%20"))).ok()
            }
        }
    }

    pub(crate) const fn revocation_takes_token_in_path(&self) -> bool {
        matches!(self.revocation, Some(RevocationUrl::WithToken { .. }))
    }

    /// Why there is no token endpoint.
    pub(crate) fn no_token_endpoint(&self) -> Error {
        match &self.token_endpoint_awaits {
            Some(name) => Error::configuration(format!(
                "the token endpoint needs the variable `{name}`, which nobody has told; give it a default if this grant is to \
                 work without"
            )),
            None => Error::configuration("the provider has no token endpoint"),
        }
    }

    /// Whether there is a revocation endpoint.
    #[must_use]
    pub const fn has_revocation_endpoint(&self) -> bool {
        self.revocation.is_some()
    }
}

const AUTHORIZATION: &str = "the authorization endpoint";
const TOKEN: &str = "the token endpoint";
const REFRESH: &str = "the refresh endpoint";
const REVOCATION: &str = "the revocation endpoint";
const INTROSPECTION: &str = "the introspection endpoint";
const USERINFO: &str = "the userinfo endpoint";
const API_ORIGIN: &str = "an API origin";
const PROTOCOL_ORIGIN: &str = "a protocol origin";

/// Stands for the token while the rest of a revocation endpoint is checked.
const TOKEN_PLACEHOLDER: &str = "authflow-token-goes-here";

impl Endpoints {
    /// Only these two, both fixed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) for an unbalanced brace.
    pub fn new(authorization_endpoint: &str, token_endpoint: &str) -> Result<Self> {
        Ok(Self {
            authorization_endpoint: Some(Template::parse(authorization_endpoint)?),
            token_endpoint: Some(Template::parse(token_endpoint)?),
            ..Self::default()
        })
    }

    /// Whether every value is known as soon as the configuration is.
    pub(crate) fn is_fixed(&self) -> bool {
        self.variables
            .values()
            .all(|variable| variable.sources.iter().all(|source| *source == VariableSource::Config))
    }

    /// Puts the values in.
    ///
    /// Where a source is `None`, it was not asked yet: an endpoint that waits for it is absent. Once it was asked, a missing
    /// value is an error. An origin whose variable may come later is left out as long as the value is unknown.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if a variable has no value or is not declared, if its
    /// value is not allowed, or if a URL is not secure. Which value it was is not told: it may be an attacker's.
    pub fn resolve(&self, sources: &VariableSources<'_>) -> Result<EndpointUrls> {
        let values = Values::of(self, sources)?;
        let known = |what, template: &Option<Template>| {
            template.as_ref().map_or(Ok(None), |template| values.url(what, template))
        };
        let authorization_endpoint =
            self.authorization_endpoint.as_ref().map(|t| values.known_url(AUTHORIZATION, t)).transpose()?;
        let token_endpoint = known(TOKEN, &self.token_endpoint)?;
        let awaited = self.token_endpoint.as_ref().filter(|_| token_endpoint.is_none());
        let refresh_endpoint = match &self.refresh_endpoint {
            Some(template) => values.url(REFRESH, template)?,
            None => token_endpoint.clone(),
        };
        let revocation = self.revocation_endpoint.as_ref().map_or(Ok(None), |t| values.revocation(t))?;
        let mut urls = EndpointUrls {
            issuer: self.issuer.as_deref().map(Arc::from),
            authorization_endpoint,
            token_endpoint,
            refresh_endpoint,
            introspection_endpoint: known(INTROSPECTION, &self.introspection_endpoint)?,
            userinfo_endpoint: known(USERINFO, &self.userinfo_endpoint)?,
            protocol_origins: values.origins(PROTOCOL_ORIGIN, &self.protocol_origins)?,
            api_origins: values.origins(API_ORIGIN, &self.api_origins)?,
            revocation: None,
            token_endpoint_awaits: awaited.and_then(|t| values.missing(t).next()).map(Into::into),
        };
        let listed = [
            &urls.token_endpoint,
            &urls.refresh_endpoint,
            &urls.introspection_endpoint,
            &urls.userinfo_endpoint,
        ];
        let (revocation, origin) = revocation.unzip();
        let listed: Vec<_> = listed.into_iter().flatten().map(Url::origin).chain(origin).collect();
        urls.protocol_origins.extend(listed);
        urls.revocation = revocation;
        Ok(urls)
    }

    /// Finds at build time what would fail at the first user.
    pub(crate) fn check(&self, config: &BTreeMap<String, Secret>) -> Result<()> {
        for (name, variable) in &self.variables {
            if name == "token" {
                return Err(Error::configuration(
                    "the variable `token` stands for the token that is revoked",
                ));
            }
            variable.check(name)?;
        }
        for (what, template) in self.templates() {
            // The revocation endpoint has a variable of its own.
            for name in template.variables().filter(|name| what != REVOCATION || *name != "token") {
                self.check_used(what, name, config)?;
            }
        }
        let sources = VariableSources::new(config);
        // A value of the configuration that is not allowed is found here.
        let values = Values::of(self, &sources)?;
        let first_missing = |template: &Option<Template>, comes_in_time: &dyn Fn(&Variable) -> bool| {
            let missing = template.as_ref().and_then(|template| {
                values.missing(template).find(|name| !self.variables.get(*name).is_some_and(comes_in_time))
            });
            missing.map(str::to_owned)
        };
        if let Some(name) = first_missing(&self.authorization_endpoint, &|_| false) {
            return Err(Error::configuration(format!(
                "the authorization endpoint needs the variable `{name}`, which is told only after it was asked; give the \
                 variable a default, or a value in the configuration"
            )));
        }
        let from_callback = |variable: &Variable| variable.sources.contains(&VariableSource::Callback);
        if let Some(name) = first_missing(&self.token_endpoint, &from_callback) {
            return Err(Error::configuration(format!(
                "the token endpoint needs the variable `{name}`, which only its own reply tells; give the variable a \
                 default, or a value in the configuration"
            )));
        }
        // Nothing resolves these yet: that they can be resolved is seen here.
        self.unused().try_for_each(|(what, template)| values.url(what, template).map(drop))
    }

    fn templates(&self) -> impl Iterator<Item = (&'static str, &Template)> {
        let named = [
            (AUTHORIZATION, &self.authorization_endpoint),
            (TOKEN, &self.token_endpoint),
            (REFRESH, &self.refresh_endpoint),
            (REVOCATION, &self.revocation_endpoint),
            (INTROSPECTION, &self.introspection_endpoint),
            (USERINFO, &self.userinfo_endpoint),
        ];
        let named = named.into_iter().filter_map(|(what, template)| Some((what, template.as_ref()?)));
        let api = self.api_origins.iter().map(|template| (API_ORIGIN, template));
        let protocol = self.protocol_origins.iter().map(|template| (PROTOCOL_ORIGIN, template));
        named.chain(self.unused()).chain(api).chain(protocol)
    }

    fn unused(&self) -> impl Iterator<Item = (&'static str, &Template)> {
        let named = [
            ("the device authorization endpoint", &self.device_authorization_endpoint),
            ("the pushed authorization request endpoint", &self.pushed_authorization_request_endpoint),
            ("the registration endpoint", &self.registration_endpoint),
            ("the discovery URL", &self.discovery_url),
        ];
        named.into_iter().filter_map(|(what, template)| Some((what, template.as_ref()?)))
    }

    fn check_used(&self, what: &str, name: &str, config: &BTreeMap<String, Secret>) -> Result<()> {
        match self.variables.get(name) {
            None => Err(Error::configuration(format!("the variable `{name}` of {what} is not declared"))),
            Some(variable) if variable.can_be_known(name, config) => Ok(()),
            Some(_) => Err(without_value(what, name)),
        }
    }
}

/// The values of the variables for one call.
struct Values<'e> {
    known: BTreeMap<&'e str, String>,
    variables: &'e BTreeMap<String, Variable>,
    sources: &'e VariableSources<'e>,
}

impl<'e> Values<'e> {
    fn of(endpoints: &'e Endpoints, sources: &'e VariableSources<'e>) -> Result<Self> {
        let mut known = BTreeMap::new();
        for (name, variable) in &endpoints.variables {
            if let Some(value) = variable.value(name, sources)? {
                known.insert(name.as_str(), value);
            }
        }
        Ok(Self { known, variables: &endpoints.variables, sources })
    }

    fn value(&self, name: &str) -> Option<Cow<'_, str>> {
        self.known.get(name).map(|value| Cow::Borrowed(value.as_str()))
    }

    fn missing<'t>(&self, template: &'t Template) -> impl Iterator<Item = &'t str> {
        template.variables().filter(|name| !self.known.contains_key(name))
    }

    fn known_url(&self, what: &str, template: &Template) -> Result<Url> {
        let text = template
            .render(|name| self.value(name))
            .ok_or_else(|| without_value(what, self.missing(template).next().unwrap_or_default()))?;
        parse(what, &text)
    }

    /// Whether `template` lacks values, and nothing but such as `may_come` says of their variables.
    fn waits(&self, template: &Template, may_come: impl Fn(&Variable) -> bool) -> bool {
        let mut missing = self.missing(template).peekable();
        missing.peek().is_some() && missing.all(|name| self.variables.get(name).is_some_and(&may_come))
    }

    /// The URL; `None` while it waits for a source that was not asked yet.
    fn url(&self, what: &str, template: &Template) -> Result<Option<Url>> {
        if self.waits(template, |variable| variable.is_awaited(self.sources)) {
            return Ok(None);
        }
        self.known_url(what, template).map(Some)
    }

    /// The origins whose values are known. One that is not known is not open.
    fn origins(&self, what: &str, templates: &[Template]) -> Result<Vec<Origin>> {
        let known = templates.iter().filter(|template| !self.waits(template, Variable::may_come_later));
        known.map(|template| Ok(self.known_url(what, template)?.origin())).collect()
    }

    fn revocation(&self, template: &Template) -> Result<Option<(RevocationUrl, Origin)>> {
        let mut missing = self.missing(template).filter(|name| *name != "token").peekable();
        if let Some(first) = missing.peek().copied() {
            let awaited = |name| self.variables.get(name).is_some_and(|v| v.is_awaited(self.sources));
            return if missing.all(awaited) { Ok(None) } else { Err(without_value(REVOCATION, first)) };
        }
        let rendered = template.render(|name| match name {
            "token" => Some(Cow::Borrowed(TOKEN_PLACEHOLDER)),
            name => self.value(name),
        });
        let url = parse(REVOCATION, &rendered.unwrap_or_default())?;
        let origin = url.origin();
        let revocation = match url.as_str().split_once(TOKEN_PLACEHOLDER) {
            // Parsed and written again before it is split: a token in the host would be another origin each time.
            Some((before, after)) if !url.host_str().unwrap_or_default().contains(TOKEN_PLACEHOLDER) => {
                RevocationUrl::WithToken { before: before.into(), after: after.into() }
            }
            Some(_) => {
                return Err(Error::configuration(
                    "the token must not be part of the revocation endpoint's host",
                ));
            }
            None => RevocationUrl::Fixed(url),
        };
        Ok(Some((revocation, origin)))
    }
}

fn without_value(what: &str, name: &str) -> Error {
    Error::configuration(format!("the variable `{name}` of {what} has no value"))
}

fn parse(what: &str, text: &str) -> Result<Url> {
    let url = Url::parse(text).map_err(|source| {
        Error::configuration(format!("{what} is not an absolute URL")).with_source(source)
    })?;
    // A browser's reading skips slashes until it finds a host: it would take the first segment of the path.
    if text.split_once("://").is_none_or(|(_, rest)| rest.starts_with(['/', '\\'])) {
        return Err(Error::configuration(format!("{what} names no host")));
    }
    if is_secure(&url) {
        Ok(url)
    } else {
        Err(Error::configuration(format!(
            "{what} must be https, without user information; plain http is for loopback addresses"
        )))
    }
}
