//! The authorization request and the exchange that belongs to it.

use authflow_core::CodeChallenge;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::fixture::ProviderFixture;
use super::probe::Stage;
use super::rig::{Rig, carries, request_parameters, url_parameters, user};
use crate::conformance::{Failure, Outcome, Verdict, ensure, succeed};

/// The fewest characters of a state that has 128 bits (RFC 6749 §10.10).
const MIN_STATE: usize = 22;

/// The authorization URL has the state, another one each time, and the redirect URI as it is registered.
pub async fn the_authorization_url_has_state_and_redirect_uri(fixture: &ProviderFixture) -> Outcome {
    let rig = Rig::new(fixture)?;
    let (one, other) = (rig.begin().await?, rig.begin().await?);
    for begun in [&one, &other] {
        let parameters = begun.parameters();
        ensure!(begun.state.len() >= MIN_STATE, "the state has fewer than 128 bits");
        let has_state = parameters.iter().any(|(_, value)| value.contains(&begun.state));
        ensure!(has_state, "the authorization URL does not hold the state");
        let omitted = rig.flow.provider().quirks().authorization.wire_name("redirect_uri").is_none();
        let has_redirect_uri = parameters.iter().any(|(_, value)| *value == *begun.pending.redirect_uri);
        ensure!(
            omitted || has_redirect_uri,
            "the authorization URL does not hold the redirect URI as it is registered"
        );
    }
    ensure!(one.state != other.state, "two flows have the same state");
    Ok(Verdict::Held)
}

/// The authorization URL has the challenge of the verifier that is kept, and never the verifier itself unless the provider
/// knows nothing else (RFC 7636 §4.2, §4.3).
pub async fn the_authorization_url_has_the_challenge(fixture: &ProviderFixture) -> Outcome {
    let rig = Rig::new(fixture)?;
    let (one, other) = (rig.begin().await?, rig.begin().await?);
    let provider = rig.flow.provider();
    if !provider.uses_pkce(&rig.flow.manager().credentials()) {
        ensure!(one.pending.code_verifier.is_none(), "a verifier is kept, and the provider uses no PKCE");
        return Ok(NO_PKCE);
    }
    let verifier = |pending: &authflow_core::PendingFlow| {
        let verifier = pending.code_verifier.as_ref();
        verifier
            .map(|verifier| verifier.expose().to_owned())
            .ok_or(Failure::new("no verifier is kept, and the provider uses PKCE"))
    };
    let (kept, another) = (verifier(&one.pending)?, verifier(&other.pending)?);
    ensure!(kept != another, "two flows have the same verifier");
    ensure!((43..=128).contains(&kept.len()), "a verifier has 43 to 128 characters (RFC 7636 §4.1)");
    let policy = &provider.quirks().pkce;
    let challenge = match *policy == authflow_core::quirks::PkcePolicy::default() {
        true => URL_SAFE_NO_PAD.encode(Sha256::digest(kept.as_bytes())),
        false => CodeChallenge::new(&kept, policy).as_str().to_owned(),
    };
    let parameters = one.parameters();
    let has_challenge = parameters.iter().any(|(_, value)| *value == challenge);
    ensure!(has_challenge, "the authorization URL does not hold the challenge of the verifier that is kept");
    ensure!(challenge == kept || !one.url.contains(&kept), "the authorization URL holds the verifier");
    if let Some(name) = provider.quirks().authorization.wire_name("code_challenge_method") {
        let has_method = parameters.iter().any(|(known, _)| known == name);
        ensure!(has_method, "the authorization URL does not name the challenge's method (RFC 7636 §4.3)");
    }
    Ok(Verdict::Held)
}

const NO_PKCE: Verdict = Verdict::Skipped("this provider and these client credentials use no PKCE");

/// Neither the authorization URL nor the token request has a parameter twice, but for `resource` (RFC 6749 §3.1, §3.2).
pub async fn no_parameter_occurs_twice(fixture: &ProviderFixture) -> Outcome {
    let rig = Rig::new(fixture)?;
    let (begun, _) = rig.complete().await?;
    let mut requests = vec![("the authorization URL", begun.parameters())];
    requests.extend(
        rig.sent(Stage::Token).iter().map(|request| ("the token request", request_parameters(request))),
    );
    for (what, parameters) in requests {
        for (at, (name, _)) in parameters.iter().enumerate() {
            let twice = parameters.iter().take(at).any(|(known, _)| known == name);
            ensure!(!twice || name == "resource", "{what} has the parameter `{name}` twice");
        }
    }
    Ok(Verdict::Held)
}

/// The parameters and scopes that a caller asks for in one flow reach the URL, whatever a hook does beside.
pub async fn what_one_flow_asks_for_reaches_the_url(fixture: &ProviderFixture) -> Outcome {
    let rig = Rig::new(fixture)?;
    let begun = rig.flow.begin(&user()).scope("conformance-scope").param("conformance-hint", "x y&z=%").await;
    let authorization = succeed!(begun, "beginning a flow with a scope and a parameter of its own");
    let parameters = url_parameters(authorization.url());
    let hinted = parameters.iter().any(|(name, value)| name == "conformance-hint" && value == "x y&z=%");
    ensure!(hinted, "a parameter of one flow does not reach the authorization URL as it is");
    let omitted = rig.flow.provider().quirks().authorization.wire_name("scope").is_none();
    let scoped = parameters.iter().any(|(_, value)| value.contains("conformance-scope"));
    ensure!(omitted || scoped, "a scope of one flow does not reach the authorization URL");
    Ok(Verdict::Held)
}

/// The token request has the verifier whose challenge is in the URL (RFC 7636 §4.5).
pub async fn the_token_request_has_the_verifier(fixture: &ProviderFixture) -> Outcome {
    let rig = Rig::new(fixture)?;
    let (begun, _) = rig.complete().await?;
    let Some(verifier) = &begun.pending.code_verifier else { return Ok(NO_PKCE) };
    let request = only(rig.sent(Stage::Token))?;
    let has_verifier = request_parameters(&request).iter().any(|(_, value)| value == verifier.expose());
    ensure!(has_verifier, "the token request does not hold the verifier");
    Ok(Verdict::Held)
}

/// The token request has the code, and the redirect URI byte by byte as it was sent before (RFC 6749 §4.1.3).
pub async fn the_token_request_repeats_the_redirect_uri(fixture: &ProviderFixture) -> Outcome {
    let rig = Rig::new(fixture)?;
    let (begun, _) = rig.complete().await?;
    let request = only(rig.sent(Stage::Token))?;
    if let Some(code) = rig.code(&begun) {
        ensure!(carries(&request, &code)?, "the token request does not hold the code of the callback");
    }
    let parameters = request_parameters(&request);
    let omitted = rig.flow.provider().quirks().token.wire_name("redirect_uri").is_none();
    let repeated = parameters.iter().any(|(_, value)| *value == *begun.pending.redirect_uri);
    ensure!(omitted || repeated, "the token request does not repeat the redirect URI byte by byte");
    Ok(Verdict::Held)
}

/// A flow whose callback and token reply are good gives an access token that was received now.
pub async fn a_flow_gives_tokens(fixture: &ProviderFixture) -> Outcome {
    let rig = Rig::new(fixture)?;
    let (begun, completed) = rig.complete().await?;
    let tokens = &completed.tokens;
    let optional = rig.flow.provider().quirks().token_response.access_token_optional;
    ensure!(optional || !tokens.access_token.is_empty(), "the access token is empty");
    let now = authflow_core::Clock::now(&rig.clock);
    ensure!(
        tokens.received_at == now,
        "the token set does not have the time of its reply, by the flow's clock"
    );
    ensure!(
        completed.owner == begun.pending.owner.or(user().as_user().cloned()),
        "the owner of the flow is lost"
    );
    only(rig.sent(Stage::Token))?;
    Ok(Verdict::Held)
}

/// The only one of the requests: a code is sent once.
pub(super) fn only(
    mut requests: Vec<authflow_core::HttpRequest>,
) -> Result<authflow_core::HttpRequest, Failure> {
    let count = requests.len();
    requests.pop().filter(|_| count == 1).ok_or_else(|| {
        Failure::new(format!("{count} token requests were sent for one code, and one is expected"))
    })
}
