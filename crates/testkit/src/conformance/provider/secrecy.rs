//! What must not be seen.

use std::fmt::Debug;

use authflow_core::{Binding, HttpRequest, HttpResponse, TokenSet};
use http::StatusCode;
use url::Url;

use super::fixture::ProviderFixture;
use super::rig::{Begun, Rig, user};
use super::tokens::api_url;
use super::twist::{ELSEWHERE, Twist};
use crate::LeakDetector;
use crate::conformance::{Failure, Outcome, Verdict};

/// Client secret, state, code, verifier and tokens are in no `Debug` of manager, flow, requests and tokens, and in no error.
pub async fn nothing_secret_is_shown(fixture: &ProviderFixture) -> Outcome {
    let rig = Rig::new(fixture)?;
    let leaks = LeakDetector::new();
    if let Some(secret) = rig.flow.manager().credentials().client_secret() {
        plant(&leaks, "the client secret", secret.expose());
    }
    let waiting = rig.begin().await?;
    plant_flow(&leaks, &rig, &waiting);
    show(&leaks, "the flow while one is pending", &rig.flow);
    show(&leaks, "the manager while a flow is pending", rig.flow.manager());
    show(&leaks, "the pending flow", &waiting.pending);

    let (begun, completed) = rig.complete().await?;
    plant_flow(&leaks, &rig, &begun);
    plant_tokens(&leaks, &completed.tokens);
    show(&leaks, "the completed flow", &completed);
    show(&leaks, "the token set", &completed.tokens);
    show(&leaks, "the manager", rig.flow.manager());
    show(&leaks, "the client credentials", &rig.flow.manager().credentials());
    let query = rig.granted(&begun);
    if let Ok(response) = rig.response(&query) {
        show(&leaks, "the callback", &response);
    }
    for request in rig.http.requests() {
        show(&leaks, "a request", &request);
    }
    errors(fixture, &leaks, &rig, &completed.tokens).await?;
    match leaks.found().first() {
        None => Ok(Verdict::Held),
        Some(leak) => Err(Failure::new(leak.to_string())),
    }
}

/// Every error that the suite can provoke.
async fn errors(
    fixture: &ProviderFixture,
    leaks: &LeakDetector,
    rig: &Rig,
    tokens: &TokenSet,
) -> Result<(), Failure> {
    let begun = rig.begin().await?;
    plant_flow(leaks, rig, &begun);
    note(
        leaks,
        "the error for a foreign binding",
        rig.finish(&rig.granted(&begun), &Binding::process()).await,
    );
    note(leaks, "the error for a denial", rig.finish(&rig.denied(&begun), &user()).await);
    note(leaks, "the error for a used state", rig.finish(&rig.granted(&begun), &user()).await);

    let token = tokens.access_token.expose();
    let odd_replies = [
        fixture.token_error.0.clone(),
        HttpResponse::new(StatusCode::OK, format!("<html>{token}</html>")),
        HttpResponse::new(StatusCode::OK, format!(r#"{{"tokens": "{token}", "trunca"#)),
        HttpResponse::new(StatusCode::INTERNAL_SERVER_ERROR, token),
    ];
    for reply in odd_replies {
        let begun = rig.begin().await?;
        plant_flow(leaks, rig, &begun);
        rig.answer_token(Ok(reply));
        note(leaks, "the error for a useless token reply", rig.finish(&rig.granted(&begun), &user()).await);
    }
    rig.answer_refresh(HttpResponse::new(StatusCode::BAD_REQUEST, format!("{{{token}")));
    note(leaks, "the error of a refresh", rig.flow.refresh(tokens).await);
    rig.answer_revocation(HttpResponse::new(StatusCode::SERVICE_UNAVAILABLE, token));
    note(leaks, "the error of a revocation", rig.flow.revoke(tokens).await);

    let mut api = HttpRequest::get(api_url(fixture, rig)?);
    note(leaks, "the error of an API request", rig.flow.authenticate(tokens, &mut api).await);
    show(leaks, "an API request", &api);
    if let Ok(elsewhere) = Url::parse(&format!("https://{ELSEWHERE}/")) {
        let mut request = HttpRequest::get(elsewhere);
        note(leaks, "the error of a foreign request", rig.flow.authenticate(tokens, &mut request).await);
    }
    for twist in [Twist::TokenRequestElsewhere, Twist::DropsVerifier, Twist::AfterExchangeAsksElsewhere] {
        let rig = Rig::twisted(fixture, twist)?;
        let begun = rig.begin().await?;
        plant_flow(leaks, &rig, &begun);
        let finished = rig.finish(&rig.granted(&begun), &user()).await;
        note(
            leaks,
            "the error for a hook that goes astray",
            finished.map(|completed| completed.after_exchange),
        );
    }
    Ok(())
}

fn plant_flow(leaks: &LeakDetector, rig: &Rig, begun: &Begun) {
    plant(leaks, "the state", &begun.state);
    if let Some(verifier) = &begun.pending.code_verifier {
        plant(leaks, "the verifier", verifier.expose());
    }
    if let Some(code) = rig.code(begun) {
        plant(leaks, "the code", &code);
    }
}

fn plant_tokens(leaks: &LeakDetector, tokens: &TokenSet) {
    plant(leaks, "the access token", tokens.access_token.expose());
    for (label, token) in [("the refresh token", &tokens.refresh_token), ("the id_token", &tokens.id_token)] {
        if let Some(token) = token {
            plant(leaks, label, token.expose());
        }
    }
}

/// What is too short would be found by chance.
fn plant(leaks: &LeakDetector, label: &str, secret: &str) {
    if secret.len() >= 8 {
        leaks.plant(label, secret);
    }
}

fn show(leaks: &LeakDetector, what: &str, value: &(impl Debug + ?Sized)) {
    leaks.scan_named(what, format!("{value:?}\n{value:#?}"));
}

fn note<T: Debug>(leaks: &LeakDetector, what: &str, result: Result<T, authflow_core::Error>) {
    match result {
        Ok(value) => show(leaks, what, &value),
        Err(error) => drop(leaks.scan_error(what, &error)),
    }
}
