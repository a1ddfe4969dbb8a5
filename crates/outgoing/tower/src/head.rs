//! A request's head, with and without a token.

use std::mem;

use authflow_core::url::Url;
use authflow_core::{AccessToken, ConnectionKey, Connections, Error, HttpRequest, Result};
use http::Uri;
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};

/// A head that is ready to be sent.
pub(crate) struct Attached {
    pub(crate) head: Parts,
    pub(crate) token: AccessToken,
}

/// The connection whose token the request goes with: the layer's own, if it has one, and else the one that the request names.
///
/// A request that names another than the layer's is refused. Were it obeyed, what loses the extensions on the way, as a layer
/// that makes a new request of a redirect does, would have it sent with the token of somebody else.
pub(crate) fn connection_of(head: &Parts, own: Option<&ConnectionKey>) -> Result<ConnectionKey> {
    match (own, head.extensions.get::<ConnectionKey>()) {
        (Some(own), Some(named)) if own != named => Err(Error::usage(
            "the request names another connection than the one that the layer was made with; use `per_request` where each \
             request names its connection; nothing was sent",
        )),
        (Some(key), _) | (None, Some(key)) => Ok(key.clone()),
        (None, None) => {
            Err(Error::usage("the request names no connection; put a ConnectionKey into its extensions"))
        }
    }
}

/// Looks a token up and attaches it.
pub(crate) async fn attach(connections: &Connections, key: &ConnectionKey, head: Parts) -> Result<Attached> {
    // A request that goes nowhere costs no refresh.
    url_of(&head.uri)?;
    let token = connections.token(key).await?;
    attach_token(connections, token, head).await
}

pub(crate) async fn attach_token(
    connections: &Connections,
    token: AccessToken,
    mut head: Parts,
) -> Result<Attached> {
    let url = url_of(&head.uri)?;
    let mut request = HttpRequest::new(head.method, url.clone());
    request.headers = mem::take(&mut head.headers);
    connections.authenticate(&token, &mut request).await?;
    head.uri = with_url(&head.uri, &url, &request.url)?;
    head.method = request.method;
    head.headers = request.headers;
    Ok(Attached { head, token })
}

fn url_of(uri: &Uri) -> Result<Url> {
    if uri.scheme().is_none() || uri.authority().is_none() {
        return Err(Error::usage(
            "the request's URI has no scheme or no host, so that nobody sees where the token would go; make it absolute",
        ));
    }
    Url::parse(&uri.to_string()).map_err(|_| Error::usage("the request's URI is no URL"))
}

/// The URI of `attached`. Scheme and host are those that were checked, as they were read then; path and query stay byte for
/// byte what they were where nothing was attached to them.
fn with_url(uri: &Uri, before: &Url, attached: &Url) -> Result<Uri> {
    let host = attached.host_str().unwrap_or_default();
    let authority = match attached.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    let path = if attached.path() == before.path() { uri.path() } else { attached.path() };
    let query = if attached.query() == before.query() { uri.query() } else { attached.query() };
    let path_and_query = match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let unusable = || Error::usage("the request's URL cannot be written as a URI");
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(Scheme::try_from(attached.scheme()).map_err(|_| unusable())?);
    parts.authority = Some(Authority::try_from(authority).map_err(|_| unusable())?);
    parts.path_and_query = Some(PathAndQuery::try_from(path_and_query).map_err(|_| unusable())?);
    Uri::from_parts(parts).map_err(|_| unusable())
}
