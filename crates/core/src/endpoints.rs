//! Where a provider is: URI templates, and what may be put into them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use url::{Origin, Url};

use crate::error::{Error, Result};
use crate::http_client::is_secure;
use crate::secret::Secret;
use crate::template::Template;

/// The endpoints of a provider, as URI templates over [`Variable`]s (RFC 8414 §2 has the names).
///
/// A value that comes from a callback or a token response decides where a code and a client secret go. So each variable has
/// a closed list of values or a strict form, and a value outside is refused before anything is sent.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Endpoints {
    /// The issuer (RFC 8414 §2), compared byte by byte with the `iss` of callbacks (RFC 9207).
    pub issuer: Option<String>,
    /// The authorization endpoint (RFC 6749 §3.1). Absent where flows begin at the provider only.
    pub authorization_endpoint: Option<Template>,
    /// The token endpoint (RFC 6749 §3.2).
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

/// A variable of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Variable {
    /// Where a value is looked for, in this order. Default: the configuration.
    pub sources: Vec<VariableSource>,
    /// The name under which the sources know it. Default: the variable's own.
    pub parameter: Option<String>,
    /// The value if no source has one; it is looked up in [`values`](Self::values) like any other.
    pub default: Option<String>,
    /// The closed list: each value that may come, and what it becomes in the URL.
    pub values: Option<BTreeMap<String, String>>,
    /// The form of a value, where there is no list.
    pub pattern: Option<Pattern>,
}

/// Where the value of a variable comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum VariableSource {
    /// The provider's configuration.
    Config,
    /// A retained parameter of the callback.
    Callback,
    /// A member of the token response.
    TokenResponse,
}

/// The form of a variable's value.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Pattern {
    /// One label of a host name: letters, digits and inner hyphens, 63 at most.
    #[default]
    Label,
    /// One segment of a path: unreserved characters (RFC 3986 §2.3), 256 at most, not `.` or `..`.
    Segment,
    /// A host name that is one of these or below it.
    HostUnder(Vec<String>),
    /// An https origin or URL whose host is one of these or below it; only the origin is taken.
    OriginUnder(Vec<String>),
}

impl Pattern {
    /// The part of `value` that may go into a URL, if all of it has this form.
    fn accept<'v>(&self, value: &'v str) -> Option<Cow<'v, str>> {
        let under = |host: &str, roots: &[String]| {
            is_host(host)
                && roots.iter().any(|root| {
                    host.strip_suffix(root.as_str())
                        .is_some_and(|front| front.is_empty() || front.ends_with('.'))
                })
        };
        match self {
            Self::Label => is_label(value).then_some(Cow::Borrowed(value)),
            Self::Segment => {
                let unreserved = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
                let fits = !value.is_empty() && value.len() <= 256 && value.bytes().all(unreserved);
                (fits && value != "." && value != "..").then_some(Cow::Borrowed(value))
            }
            Self::HostUnder(roots) => under(value, roots).then_some(Cow::Borrowed(value)),
            Self::OriginUnder(roots) => {
                let url = Url::parse(value).ok()?;
                let fits = url.scheme() == "https"
                    && is_secure(&url)
                    && url.port().is_none()
                    && url.host_str().is_some_and(|host| under(host, roots));
                fits.then(|| Cow::Owned(url.origin().ascii_serialization()))
            }
        }
    }
}

fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn is_host(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

/// Where the values of variables come from, for one call.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct VariableSources<'a> {
    /// The provider's configuration.
    pub config: &'a BTreeMap<String, Secret>,
    /// The retained parameters of the callback.
    pub callback: Option<&'a BTreeMap<String, String>>,
    /// The unknown members of the token response.
    pub token_response: Option<&'a serde_json::Map<String, serde_json::Value>>,
}

impl<'a> VariableSources<'a> {
    /// Values from the configuration only.
    #[must_use]
    pub const fn new(config: &'a BTreeMap<String, Secret>) -> Self {
        Self { config, callback: None, token_response: None }
    }
}

/// The endpoints of one call: every variable has its value, every URL is secure.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EndpointUrls {
    /// The issuer.
    pub issuer: Option<Arc<str>>,
    /// The authorization endpoint.
    pub authorization_endpoint: Option<Url>,
    /// The token endpoint.
    pub token_endpoint: Option<Url>,
    /// Where a token is refreshed: the refresh endpoint, or else the token endpoint.
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

    /// Whether there is a revocation endpoint.
    #[must_use]
    pub const fn has_revocation_endpoint(&self) -> bool {
        self.revocation.is_some()
    }
}

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
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if a variable has no value or is not declared, if its
    /// value is not allowed, or if a URL is not secure. Which value it was is not told: it may be an attacker's.
    pub fn resolve(&self, sources: &VariableSources<'_>) -> Result<EndpointUrls> {
        let mut values = BTreeMap::new();
        for (name, variable) in &self.variables {
            if let Some(value) = variable.value(name, sources)? {
                values.insert(name.as_str(), value);
            }
        }
        let text = |template: &Template| {
            template.render(|name| values.get(name).map(|value| Cow::Borrowed(value.as_str()))).ok_or_else(
                || {
                    let missing =
                        template.variables().find(|name| !values.contains_key(name)).unwrap_or_default();
                    Error::configuration(format!("the variable `{missing}` of an endpoint has no value"))
                },
            )
        };
        let url = |template: &Option<Template>| template.as_ref().map(|t| parse(&text(t)?)).transpose();
        let origins = |templates: &[Template]| {
            templates.iter().map(|t| Ok(parse(&text(t)?)?.origin())).collect::<Result<Vec<_>>>()
        };

        let token_endpoint = url(&self.token_endpoint)?;
        let revocation = self.revocation_url(&values)?;
        let mut urls = EndpointUrls {
            issuer: self.issuer.as_deref().map(Arc::from),
            authorization_endpoint: url(&self.authorization_endpoint)?,
            refresh_endpoint: url(&self.refresh_endpoint)?.or_else(|| token_endpoint.clone()),
            token_endpoint,
            introspection_endpoint: url(&self.introspection_endpoint)?,
            userinfo_endpoint: url(&self.userinfo_endpoint)?,
            protocol_origins: origins(&self.protocol_origins)?,
            api_origins: origins(&self.api_origins)?,
            revocation: None,
        };
        let listed = [
            &urls.token_endpoint,
            &urls.refresh_endpoint,
            &urls.introspection_endpoint,
            &urls.userinfo_endpoint,
        ];
        let listed: Vec<_> = listed.into_iter().flatten().map(Url::origin).chain(revocation.1).collect();
        urls.protocol_origins.extend(listed);
        urls.revocation = revocation.0;
        Ok(urls)
    }

    fn revocation_url(
        &self,
        values: &BTreeMap<&str, String>,
    ) -> Result<(Option<RevocationUrl>, Option<Origin>)> {
        let Some(template) = &self.revocation_endpoint else { return Ok((None, None)) };
        let rendered = template.render(|name| match name {
            "token" => Some(Cow::Borrowed(TOKEN_PLACEHOLDER)),
            name => values.get(name).map(|value| Cow::Borrowed(value.as_str())),
        });
        let rendered = rendered
            .ok_or_else(|| Error::configuration("a variable of the revocation endpoint has no value"))?;
        let url = parse(&rendered)?;
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
        Ok((Some(revocation), Some(origin)))
    }

    /// Finds at build time what would fail at the first user.
    pub(crate) fn check(&self) -> Result<()> {
        for (name, variable) in &self.variables {
            if name == "token" {
                return Err(Error::configuration(
                    "the variable `token` stands for the token that is revoked",
                ));
            }
            let foreign = variable.sources.iter().any(|source| *source != VariableSource::Config);
            if foreign && variable.values.is_none() && variable.pattern.is_none() {
                return Err(Error::configuration(format!(
                    "the variable `{name}` comes from outside: give it a closed list of values or a pattern"
                )));
            }
        }
        let named = [
            &self.authorization_endpoint,
            &self.token_endpoint,
            &self.refresh_endpoint,
            &self.introspection_endpoint,
            &self.userinfo_endpoint,
        ];
        for template in named.into_iter().flatten().chain(&self.api_origins).chain(&self.protocol_origins) {
            if let Some(name) = template.variables().find(|name| !self.variables.contains_key(*name)) {
                return Err(Error::configuration(format!(
                    "the variable `{name}` of an endpoint is not declared"
                )));
            }
        }
        Ok(())
    }
}

impl Variable {
    /// A variable of the configuration.
    #[must_use]
    pub fn config(pattern: Pattern) -> Self {
        Self { pattern: Some(pattern), ..Self::default() }
    }

    /// A variable with a closed list of values, looked for in `sources`.
    pub fn closed<K: Into<String>, V: Into<String>>(
        sources: impl IntoIterator<Item = VariableSource>,
        values: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        Self {
            sources: sources.into_iter().collect(),
            values: Some(values.into_iter().map(|(from, to)| (from.into(), to.into())).collect()),
            ..Self::default()
        }
    }

    /// Sets the name under which the sources know it.
    #[must_use]
    pub fn with_parameter(mut self, parameter: &str) -> Self {
        self.parameter = Some(parameter.to_owned());
        self
    }

    /// Sets the value that is taken if no source has one.
    #[must_use]
    pub fn with_default(mut self, value: &str) -> Self {
        self.default = Some(value.to_owned());
        self
    }

    fn value(&self, name: &str, sources: &VariableSources<'_>) -> Result<Option<String>> {
        let parameter = self.parameter.as_deref().unwrap_or(name);
        let config = || sources.config.get(parameter).map(|value| Cow::Borrowed(value.expose()));
        let found = if self.sources.is_empty() {
            config()
        } else {
            self.sources.iter().find_map(|source| match source {
                VariableSource::Config => config(),
                VariableSource::Callback => {
                    sources.callback?.get(parameter).map(|value| Cow::Borrowed(value.as_str()))
                }
                VariableSource::TokenResponse => sources
                    .token_response?
                    .get(parameter)?
                    .as_str()
                    .filter(|v| !v.is_empty())
                    .map(Cow::Borrowed),
            })
        };
        let Some(found) = found.or_else(|| self.default.as_deref().map(Cow::Borrowed)) else {
            return Ok(None);
        };
        let accepted = match &self.values {
            Some(values) => values.get(&*found).map(|value| Cow::Borrowed(value.as_str())),
            None => match &self.pattern {
                Some(pattern) => pattern.accept(&found),
                None => Pattern::Segment.accept(&found),
            },
        };
        let accepted = accepted.map(Cow::into_owned);
        accepted.map(Some).ok_or_else(|| {
            Error::configuration(format!(
                "the variable `{name}` of an endpoint has a value that is not allowed"
            ))
        })
    }
}

fn parse(text: &str) -> Result<Url> {
    let url = Url::parse(text)
        .map_err(|source| Error::configuration("an endpoint is not an absolute URL").with_source(source))?;
    if is_secure(&url) {
        Ok(url)
    } else {
        Err(Error::configuration(
            "an endpoint must be https, without user information; plain http is for loopback addresses",
        ))
    }
}
