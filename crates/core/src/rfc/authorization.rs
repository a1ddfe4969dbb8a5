//! The authorization request (RFC 6749 §4.1.1).

use std::borrow::Cow;
use std::fmt;

use url::Url;

use crate::call::Call;
use crate::error::{Error, Result};
use crate::pkce;
use crate::quirks::{QueryPlacement, RequestOrder, ResponseMode};

/// An authorization request before it is written as a URL: the endpoint and the parameters, in order.
#[derive(Clone)]
#[non_exhaustive]
pub struct AuthorizationParameters<'a> {
    /// The authorization endpoint. The engine refuses another origin than the provider's.
    pub endpoint: Cow<'a, Url>,
    /// The parameters. The engine checks them before it writes the URL.
    pub parameters: Vec<Parameter<'a>>,
    /// Where the query goes if the endpoint has a fragment.
    pub query_placement: Option<QueryPlacement>,
}

/// One parameter of a request.
#[derive(Clone)]
#[non_exhaustive]
pub struct Parameter<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// Its value.
    pub value: Cow<'a, str>,
    /// Whether the value is form-encoded already, because a delimiter has to reach the wire as it is.
    pub encoded: bool,
}

impl<'a> AuthorizationParameters<'a> {
    /// Sets a parameter: in its place if it is there, else at the end.
    pub fn set(&mut self, name: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) {
        let (name, value) = (name.into(), value.into());
        match self.parameters.iter_mut().find(|parameter| parameter.name == name) {
            Some(parameter) => *parameter = Parameter { name, value, encoded: false },
            None => self.push(name, value),
        }
    }

    /// Removes a parameter.
    pub fn remove(&mut self, name: &str) {
        self.parameters.retain(|parameter| parameter.name != name);
    }

    /// The value of a parameter.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|parameter| parameter.name == name).map(|parameter| &*parameter.value)
    }

    fn push(&mut self, name: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) {
        self.parameters.push(Parameter { name: name.into(), value: value.into(), encoded: false });
    }
}

impl fmt::Debug for AuthorizationParameters<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.parameters.iter().map(|parameter| &*parameter.name).collect();
        f.debug_struct("AuthorizationParameters").field("names", &names).finish_non_exhaustive()
    }
}

impl fmt::Debug for Parameter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parameter").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The parameters of RFC 6749 §4.1.1, PKCE, RFC 8707 and the nonce of OpenID Connect, under the provider's names, then the
/// provider's own, then those of this request. Empty values are left out.
///
/// # Errors
///
/// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if the provider has no authorization endpoint.
pub fn authorization_parameters<'a>(cx: &'a Call<'_>) -> Result<AuthorizationParameters<'a>> {
    let endpoint = cx.endpoints.authorization_endpoint.as_ref();
    let (Some(endpoint), Some(request)) = (endpoint, cx.authorization) else {
        return Err(Error::configuration(
            "the provider has no authorization endpoint: its flows begin at the provider",
        ));
    };
    let quirks = cx.provider.quirks();
    let shape = &quirks.authorization;
    let mut all = AuthorizationParameters {
        endpoint: Cow::Borrowed(endpoint),
        parameters: Vec::with_capacity(10 + request.resources.len() + request.parameters.len()),
        query_placement: shape.query_placement,
    };
    let has_own_names = !shape.omit.is_empty() || !shape.rename.is_empty();
    let named = |name: &'static str| if has_own_names { shape.wire_name(name) } else { Some(name) };
    let parameters = &mut all.parameters;
    put(parameters, named("response_type"), shape.type_value.as_deref().unwrap_or("code"));
    put(parameters, named("client_id"), cx.credentials.client_id());
    put(parameters, named("redirect_uri"), request.redirect_uri);
    put_scopes(parameters, named("scope"), cx);
    put(parameters, named("state"), request.state);
    if let Some(challenge) = &request.code_challenge {
        put(parameters, named("code_challenge"), challenge.as_str());
        put(parameters, named("code_challenge_method"), pkce::method_value(&quirks.pkce));
    }
    if let Some(nonce) = request.nonce {
        put(parameters, named("nonce"), nonce);
    }
    if quirks.authorization_response.response_mode == ResponseMode::FormPost {
        put(parameters, named("response_mode"), "form_post");
    }
    for resource in request.resources {
        put(parameters, named("resource"), resource);
    }
    for (name, template) in shape.parameters.iter() {
        // A parameter of this one request replaces the provider's own.
        if request.parameters.iter().any(|(replaced, _)| replaced == name) {
            continue;
        }
        match template.as_literal() {
            Some("") => {}
            Some(value) => all.push(name, value),
            None => {
                if let Some(value) = cx.render(template)? {
                    all.push(name, value);
                }
            }
        }
    }
    for (name, value) in request.parameters {
        if !value.is_empty() {
            all.push(name.as_str(), value.as_str());
        }
    }
    if shape.order == RequestOrder::Sorted {
        all.parameters.sort_by(|a, b| a.name.cmp(&b.name));
    }
    Ok(all)
}

/// Adds a parameter that the provider has a name for, unless it is empty.
fn put<'a>(parameters: &mut Vec<Parameter<'a>>, name: Option<&'a str>, value: &'a str) {
    if let Some(name) = name.filter(|_| !value.is_empty()) {
        parameters.push(Parameter { name: name.into(), value: value.into(), encoded: false });
    }
}

fn put_scopes<'a>(parameters: &mut Vec<Parameter<'a>>, name: Option<&'a str>, cx: &'a Call<'_>) {
    let (Some(name), Some(scopes)) = (name, cx.scopes) else { return };
    let shape = &cx.provider.quirks().authorization;
    if shape.raw_scope {
        let encode = |scope: &str| url::form_urlencoded::byte_serialize(scope.as_bytes()).collect::<String>();
        let joined = scopes.iter().map(encode).collect::<Vec<_>>().join(shape.scope_delimiter());
        if !joined.is_empty() {
            parameters.push(Parameter { name: name.into(), value: joined.into(), encoded: true });
        }
    } else if scopes == cx.provider.default_scopes() {
        put(parameters, Some(name), cx.provider.joined_default_scopes());
    } else if !scopes.is_empty() {
        let joined = scopes.join(shape.scope_delimiter());
        parameters.push(Parameter { name: name.into(), value: joined.into(), encoded: false });
    }
}
