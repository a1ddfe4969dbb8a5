//! The variables of endpoints: where their values come from, and which are allowed.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::error::{Error, Result};
use crate::http_client::is_secure;
use crate::secret::Secret;

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
    /// The retained parameters of the callback. `None` before it came.
    pub callback: Option<&'a BTreeMap<String, String>>,
    /// The unknown members of the token response. `None` before it came.
    pub token_response: Option<&'a serde_json::Map<String, serde_json::Value>>,
}

impl<'a> VariableSources<'a> {
    /// Values from the configuration only.
    #[must_use]
    pub const fn new(config: &'a BTreeMap<String, Secret>) -> Self {
        Self { config, callback: None, token_response: None }
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

    /// A variable whose values have a form, looked for in `sources`. Where the values can be listed, [`closed`](Self::closed)
    /// is stricter.
    ///
    /// ```
    /// # use authflow_core::{Pattern, Provider, Variable, VariableSource};
    /// let instance = Pattern::OriginUnder(vec!["provider.example".to_owned()]);
    /// let provider = Provider::builder("example")
    ///     .token_endpoint("https://login.provider.example/token")
    ///     .variable("instance_url", Variable::matching([VariableSource::TokenResponse], instance))
    ///     .api_origin("{instance_url}")
    ///     .build()?;
    /// # Ok::<(), authflow_core::Error>(())
    /// ```
    pub fn matching(sources: impl IntoIterator<Item = VariableSource>, pattern: Pattern) -> Self {
        Self { sources: sources.into_iter().collect(), pattern: Some(pattern), ..Self::default() }
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

    /// Whether a callback or a token response may tell the value.
    pub(super) fn may_come_later(&self) -> bool {
        self.sources.iter().any(|source| *source != VariableSource::Config)
    }

    /// Whether a source that may tell the value was not asked yet.
    pub(super) fn is_awaited(&self, sources: &VariableSources<'_>) -> bool {
        self.sources.iter().any(|source| match source {
            VariableSource::Config => false,
            VariableSource::Callback => sources.callback.is_none(),
            VariableSource::TokenResponse => sources.token_response.is_none(),
        })
    }

    /// Whether there is, or may be at some time, a value.
    pub(super) fn can_be_known(&self, name: &str, config: &BTreeMap<String, Secret>) -> bool {
        self.may_come_later() || self.default.is_some() || config.contains_key(self.parameter(name))
    }

    /// The name under which the sources know it.
    pub(crate) fn parameter<'v>(&'v self, name: &'v str) -> &'v str {
        self.parameter.as_deref().unwrap_or(name)
    }

    /// Finds at build time what can allow no value, and a default that is not allowed.
    pub(super) fn check(&self, name: &str) -> Result<()> {
        if self.may_come_later() && self.values.is_none() && self.pattern.is_none() {
            return Err(Error::configuration(format!(
                "the variable `{name}` comes from outside: give it a closed list of values or a pattern"
            )));
        }
        if self.values.as_ref().is_some_and(BTreeMap::is_empty) {
            return Err(Error::configuration(format!("the variable `{name}` has an empty list of values")));
        }
        if self.default.as_deref().is_some_and(|default| self.accept(default).is_none()) {
            return Err(Error::configuration(format!(
                "the default of the variable `{name}` is not one of its values, or not of its form"
            )));
        }
        Ok(())
    }

    fn accept<'v>(&'v self, value: &'v str) -> Option<Cow<'v, str>> {
        match (&self.values, &self.pattern) {
            (Some(values), _) => values.get(value).map(|value| Cow::Borrowed(value.as_str())),
            (None, Some(pattern)) => pattern.accept(value),
            (None, None) => Pattern::Segment.accept(value),
        }
    }

    pub(super) fn value(&self, name: &str, sources: &VariableSources<'_>) -> Result<Option<String>> {
        let parameter = self.parameter(name);
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
        self.accept(&found).map(|value| Some(value.into_owned())).ok_or_else(|| not_allowed(name))
    }
}

fn not_allowed(name: &str) -> Error {
    Error::configuration(format!("the variable `{name}` of an endpoint has a value that is not allowed"))
}
