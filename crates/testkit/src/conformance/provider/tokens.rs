//! What is done with tokens: attaching and revoking them.

use authflow_core::{ErrorKind, HttpRequest, HttpResponse, Revocation};
use http::StatusCode;
use url::Url;

use super::callback::expect;
use super::fixture::ProviderFixture;
use super::probe::Stage;
use super::rig::{Rig, carries};
use super::twist::ELSEWHERE;
use crate::conformance::{Failure, Outcome, Verdict, ensure, succeed};

/// The access token is attached to a request to the provider's API, in a sensitive header if in a header, and to no other:
/// another host, port or scheme is refused and the request left as it was.
pub async fn tokens_go_to_api_origins_only(fixture: &ProviderFixture) -> Outcome {
    let rig = Rig::new(fixture)?;
    let (_, completed) = rig.complete().await?;
    let tokens = completed.tokens;
    let api = api_url(fixture, &rig)?;
    let token = tokens.access_token.expose();

    let mut request = HttpRequest::get(api.clone());
    succeed!(
        rig.flow.authenticate(&tokens, &mut request).await,
        "attaching the token to a request to {}",
        origin(&api)
    );
    ensure!(carries(&request, token)?, "the request to the API does not hold the access token");
    ensure!(request.url.origin() == api.origin(), "the request to the API was pointed at another origin");
    for (name, value) in &request.headers {
        let exposed = value.to_str().is_ok_and(|value| value.contains(token)) && !value.is_sensitive();
        ensure!(!exposed, "the header {name} holds the access token and is not marked sensitive");
    }

    for foreign in foreign_urls(&api) {
        let mut request = HttpRequest::get(foreign.clone());
        let attached = rig.flow.authenticate(&tokens, &mut request).await;
        expect(
            attached,
            ErrorKind::ForeignOrigin,
            &format!("attaching the token to a request to {}", origin(&foreign)),
        )?;
        let untouched = request.headers.is_empty() && request.body.is_empty() && request.url == foreign;
        ensure!(untouched, "a request that was refused was changed all the same");
    }
    Ok(Verdict::Held)
}

/// The API's URL: the fixture's, or the root of the origin where the token request went.
pub(super) fn api_url(fixture: &ProviderFixture, rig: &Rig) -> Result<Url, Failure> {
    if let Some(url) = &fixture.api_url {
        return Ok(url.clone());
    }
    let request = rig.notes.token_request().ok_or(Failure::new("no token request was made"))?;
    let mut url = request.url;
    url.set_path("/");
    url.set_query(None);
    Ok(url)
}

fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// URLs that look like the API's and are not.
fn foreign_urls(api: &Url) -> Vec<Url> {
    let host = api.host_str().unwrap_or_default();
    let other_port = if api.port() == Some(8443) { 9443 } else { 8443 };
    let mut all = vec![api.clone(); 5];
    // What cannot be changed so stays the API's own URL, and is left out below.
    if let [other_host, longer_host, port, user, scheme] = all.as_mut_slice() {
        let _ = other_host.set_host(Some(ELSEWHERE));
        let _ = longer_host.set_host(Some(&format!("{host}.{ELSEWHERE}")));
        let _ = port.set_port(Some(other_port));
        let _ = user.set_username("someone");
        let _ = scheme.set_scheme("http");
    }
    all.retain(|url| url != api);
    all
}

/// A revocation sends a token to the provider, or says [`Revocation::Unsupported`] and sends nothing (RFC 7009).
pub async fn a_revocation_is_sent_or_unsupported(fixture: &ProviderFixture) -> Outcome {
    let rig = Rig::new(fixture)?;
    let (_, completed) = rig.complete().await?;
    let tokens = completed.tokens;
    let revocation = succeed!(rig.flow.revoke(&tokens).await, "revoking");
    let sent = rig.sent(Stage::Revoke);
    if revocation == Revocation::Unsupported {
        ensure!(sent.is_empty(), "a revocation that is not supported sent a request");
        return Ok(Verdict::Held);
    }
    let secrets = [Some(&tokens.access_token), tokens.refresh_token.as_ref()];
    let mut carried = false;
    for secret in secrets.into_iter().flatten() {
        for request in &sent {
            carried |= carries(request, secret.expose())?;
        }
    }
    ensure!(carried, "the tokens are said to be revoked, and no request held one of them");
    Ok(Verdict::Held)
}

/// A provider that cannot revoke now is an error: the tokens are not said to be revoked (RFC 7009 §2.2.1).
pub async fn a_failed_revocation_is_an_error(fixture: &ProviderFixture) -> Outcome {
    let rig = Rig::new(fixture)?;
    let (_, completed) = rig.complete().await?;
    rig.answer_revocation(HttpResponse::new(StatusCode::SERVICE_UNAVAILABLE, "planted-body-of-a-503"));
    let revoked = rig.flow.revoke(&completed.tokens).await;
    if rig.sent(Stage::Revoke).is_empty() {
        return Ok(Verdict::Skipped("the provider has no revocation"));
    }
    match revoked {
        Ok(revocation) => Err(Failure::new(format!(
            "every request of the revocation got a 503, and it came to {revocation:?}"
        ))),
        Err(_) => Ok(Verdict::Held),
    }
}
