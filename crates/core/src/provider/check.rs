//! What a provider is checked for when it is built, so that it does not fail at the first user.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use url::Url;

use crate::credentials::{ClientAuthentication, ClientCredentials};
use crate::endpoints::{EndpointUrls, Endpoints, Pattern, VariableSource, VariableSources};
use crate::error::{Error, Result};
use crate::http_client;
use crate::quirks::{PkceSupport, Quirks, RequestShape, ResponseMode, TokenPlacement};
use crate::scopes::Scopes;
use crate::secret::Secret;
use crate::template::Template;
use crate::text;

use super::check_quirks;

/// Builds the URLs once with each value of each closed list, so that a typing mistake in the list of regions is found here.
pub(super) fn every_value(
    endpoints: &Endpoints,
    config: &BTreeMap<String, Secret>,
    check: impl Fn(&EndpointUrls) -> Result<()>,
) -> Result<()> {
    let longest =
        endpoints.variables.values().filter_map(|v| v.values.as_ref()).map(BTreeMap::len).max().unwrap_or(0);
    for round in 0..longest.max(1) {
        let mut fixed = endpoints.clone();
        for (name, variable) in &mut fixed.variables {
            if let Some(values) = &variable.values {
                let nth = values.keys().nth(round).or_else(|| values.keys().next());
                variable.default = nth.cloned();
            } else if let Some(value) = config.get(variable.parameter(name)) {
                variable.default = Some(value.expose().to_owned());
            } else if variable.default.is_none() {
                variable.default = Some(match &variable.pattern {
                    Some(Pattern::HostUnder(roots)) => roots.first().cloned().unwrap_or_default(),
                    Some(Pattern::OriginUnder(roots)) => {
                        format!("https://{}", roots.first().map(String::as_str).unwrap_or_default())
                    }
                    _ => "x".to_owned(),
                });
            }
            // There is no callback here: what is taken is the default.
            variable.sources = vec![VariableSource::Callback];
        }
        check(&fixed.resolve(&VariableSources::new(config))?)?;
    }
    Ok(())
}

/// RFC 8414 §2, so that a mistake is not met by the first user as an issuer that does not match.
pub(super) fn issuer(issuer: Option<&str>) -> Result<()> {
    let Some(issuer) = issuer else { return Ok(()) };
    let is_issuer =
        |url: &Url| http_client::is_secure(url) && url.query().is_none() && url.fragment().is_none();
    if Url::parse(issuer).is_ok_and(|url| is_issuer(&url)) {
        return Ok(());
    }
    Err(Error::configuration(format!(
        "the issuer `{}` is no https URL without query and fragment (RFC 8414 §2); plain http is for loopback addresses; \
         leave it out where the provider has none",
        text::clean(issuer, 128)
    )))
}

/// The authorization request that every `begin` makes: a name that occurs twice would fail each time (RFC 6749 §3.1).
pub(super) fn authorization(urls: &EndpointUrls, quirks: &Quirks, default_scopes: &Scopes) -> Result<()> {
    let Some(url) = &urls.authorization_endpoint else { return Ok(()) };
    let shape = &quirks.authorization;
    if url.fragment().is_some() && shape.query_placement.is_none() {
        return Err(Error::configuration(
            "an authorization endpoint has no fragment (RFC 6749 §3.1); where a provider's does, say where the query goes \
             with query_placement",
        ));
    }
    let pkce = quirks.pkce.support == PkceSupport::Supported;
    let form_post = quirks.authorization_response.response_mode == ResponseMode::FormPost;
    let standard = [
        ("response_type", true),
        ("client_id", true),
        ("redirect_uri", true),
        ("state", true),
        ("scope", !default_scopes.is_empty()),
        ("code_challenge", pkce),
        ("code_challenge_method", pkce),
        ("response_mode", form_post),
    ];
    let standard =
        standard.into_iter().filter(|(_, sent)| *sent).filter_map(|(name, _)| shape.wire_name(name));
    let mut seen: BTreeSet<Cow<'_, str>> = url.query_pairs().map(|(name, _)| name).collect();
    no_double(&mut seen, standard.chain(extra_parameters(shape)))
}

/// The extra parameters that are sent for sure.
fn extra_parameters(shape: &RequestShape) -> impl Iterator<Item = &str> {
    shape.parameters.iter().filter(|(_, value)| value.as_literal() != Some("")).map(|(name, _)| name)
}

fn no_double<'n>(seen: &mut BTreeSet<Cow<'n, str>>, names: impl IntoIterator<Item = &'n str>) -> Result<()> {
    for name in names {
        if !seen.insert(name.into()) {
            return Err(Error::configuration(format!(
                "the parameter `{}` would be sent twice: by the endpoint's own query, the standard parameters or the extra \
                 ones; rename or omit the standard one, or leave the other out",
                text::clean(name, 64)
            )));
        }
    }
    Ok(())
}

/// The token requests: what each sends, whatever the client credentials are.
fn token_requests(quirks: &Quirks) -> Result<()> {
    let grants: [(&RequestShape, &[&str]); 3] = [
        (&quirks.token, &["grant_type", "code", "redirect_uri", "code_verifier"]),
        (quirks.refresh.as_ref().unwrap_or(&quirks.token), &["grant_type", "refresh_token"]),
        (quirks.client_credentials.as_ref().unwrap_or(&quirks.token), &["grant_type"]),
    ];
    for (shape, standard) in grants {
        let standard = standard.iter().filter_map(|name| shape.wire_name(name));
        no_double(&mut BTreeSet::new(), standard.chain(extra_parameters(shape)))?;
    }
    Ok(())
}

/// What the client's authentication adds to the body of a token request, where an extra parameter has that name already.
pub(super) fn client_parameters(quirks: &Quirks, credentials: &ClientCredentials) -> Result<()> {
    let shapes = [Some(&quirks.token), quirks.refresh.as_ref(), quirks.client_credentials.as_ref()];
    for shape in shapes.into_iter().flatten() {
        let default = shape.client_authentication.or(quirks.token.client_authentication);
        let standard: &[&str] = match credentials.authentication_or(default) {
            _ if shape.client_authentication == Some(ClientAuthentication::Omitted) => &[],
            ClientAuthentication::ClientSecretPost => &["client_id", "client_secret"],
            ClientAuthentication::None => &["client_id"],
            _ => &[],
        };
        let standard = standard.iter().filter_map(|name| shape.wire_name(name));
        no_double(&mut BTreeSet::new(), standard.chain(extra_parameters(shape)))?;
    }
    Ok(())
}

/// What only a hook could mend: an unknown token endpoint, and values that the callback does not keep.
pub(super) fn without_hooks(endpoints: &Endpoints, quirks: &Quirks) -> Result<()> {
    if endpoints.token_endpoint.is_none() {
        return Err(Error::configuration(
            "a provider without code needs a token endpoint: it discovers none (RFC 6749 §3.2)",
        ));
    }
    let from_callback = endpoints
        .variables
        .iter()
        .filter(|(_, variable)| variable.sources.contains(&VariableSource::Callback))
        .map(|(name, variable)| variable.parameter(name));
    let in_templates = templates(quirks)
        .flat_map(|(_, template)| template.variables())
        .filter_map(|name| name.strip_prefix("callback."));
    let retained = &quirks.authorization_response.retain;
    match from_callback.chain(in_templates).find(|name| !retained.iter().any(|kept| kept == name)) {
        None => Ok(()),
        Some(name) => Err(Error::configuration(format!(
            "the callback's parameter `{}` is used, and not kept: list it in authorization_response.retain",
            text::clean(name, 64)
        ))),
    }
}

pub(super) fn quirks(quirks: &Quirks) -> Result<()> {
    let response = &quirks.authorization_response;
    if quirks.authorization.omit.iter().any(|omitted| omitted == "state") {
        return Err(Error::configuration(
            "`state` is always sent: no quirk can leave it out (RFC 6749 §10.12)",
        ));
    }
    if quirks.authorization.omit.iter().any(|name| name.starts_with("code_challenge")) {
        return Err(Error::configuration(
            "PKCE is switched off with pkce.support, not by leaving parameters out",
        ));
    }
    if quirks.token.omit.iter().any(|name| name == "code_verifier" || name == "code") {
        return Err(Error::configuration("`code` and `code_verifier` are always sent to the token endpoint"));
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
        if shape.client_authentication == Some(ClientAuthentication::AccessTokenBearer) {
            return Err(Error::configuration("an access token authenticates a revocation only"));
        }
    }
    check_quirks::standard_names(quirks)?;
    check_quirks::refresh_token(quirks)?;
    check_quirks::method_value(quirks)?;
    check_quirks::pointers(quirks)?;
    let shapes = shapes.into_iter().flatten().chain([&quirks.revocation.request]);
    let renamed = shapes.clone().flat_map(|shape| shape.rename.values());
    if response.own_names().chain(renamed).any(String::is_empty) {
        return Err(Error::configuration(
            "a parameter's name must not be empty; what is not sent is listed in `omit`",
        ));
    }
    if shapes.clone().any(|shape| shape.scope_delimiter.as_deref() == Some("")) {
        return Err(Error::configuration("a scope delimiter must not be empty: the scopes would be one"));
    }
    placement(&quirks.access_token_usage.placement)?;
    for (_, template) in templates(quirks) {
        if let Some(name) = template.variables().find(|name| !is_template_variable(name)) {
            return Err(Error::configuration(format!(
                "a template names `{{{}}}`, which nothing tells; there are client_id, client_secret, redirect_uri, scope, \
                 random, config.x, callback.x and token.x",
                text::clean(name, 64)
            )));
        }
    }
    for (name, template) in
        shapes.flat_map(|shape| shape.headers.iter()).chain(quirks.access_token_usage.request_headers.iter())
    {
        check_header_name(name)?;
        check_literal_header(template)?;
    }
    token_requests(quirks)
}

/// Every template of the quirks, with the name of the parameter or header that it is the value of.
fn templates(quirks: &Quirks) -> impl Iterator<Item = (&str, &Template)> {
    let shapes = [
        Some(&quirks.authorization),
        Some(&quirks.token),
        quirks.refresh.as_ref(),
        quirks.client_credentials.as_ref(),
        Some(&quirks.revocation.request),
    ];
    let usage = &quirks.access_token_usage;
    let of_usage = usage.request_headers.iter().chain(usage.request_parameters.iter());
    shapes
        .into_iter()
        .flatten()
        .flat_map(|shape| shape.parameters.iter().chain(shape.headers.iter()))
        .chain(of_usage)
}

/// Whether [`Call::render`](crate::Call::render) may know it.
fn is_template_variable(name: &str) -> bool {
    match name.split_once('.') {
        Some((source, field)) => matches!(source, "config" | "callback" | "token") && !field.is_empty(),
        None => matches!(name, "client_id" | "client_secret" | "redirect_uri" | "scope" | "random"),
    }
}

fn placement(placement: &TokenPlacement) -> Result<()> {
    match placement {
        TokenPlacement::Header { name, scheme } => {
            check_header_name(name)?;
            if scheme.as_deref().is_some_and(|scheme| !text::is_visible_ascii(scheme)) {
                return Err(Error::configuration("the scheme before an access token is visible ASCII"));
            }
            Ok(())
        }
        TokenPlacement::Query { name } | TokenPlacement::Form { name } if name.is_empty() => {
            Err(Error::configuration("the access token's parameter needs a name"))
        }
        TokenPlacement::Query { .. } | TokenPlacement::Form { .. } => Ok(()),
    }
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
