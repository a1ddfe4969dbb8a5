//! What a callback may and may not do.

use std::time::Duration;

use authflow_core::{Binding, ErrorKind};

use super::fixture::ProviderFixture;
use super::probe::Stage;
use super::rig::{Rig, user};
use crate::conformance::{Failure, Outcome, Verdict, ensure, succeed};

/// A denial is [`ErrorKind::AccessDenied`], sends nothing, and uses the state up.
pub async fn a_denial_is_typed_and_uses_the_state_up(fixture: &ProviderFixture) -> Outcome {
    let rig = Rig::new(fixture)?;
    let begun = rig.begin().await?;
    let denied = rig.finish(&rig.denied(&begun), &user()).await;
    refused(&rig, denied, ErrorKind::AccessDenied, "a denial")?;
    let again = rig.finish(&rig.granted(&begun), &user()).await;
    refused(&rig, again, ErrorKind::StateNotFound, "a callback with the state of a denial")?;
    Ok(Verdict::Held)
}

/// A state is good for one callback; so is a code.
pub async fn a_state_is_used_once(fixture: &ProviderFixture) -> Outcome {
    let rig = Rig::new(fixture)?;
    let (begun, _) = rig.complete().await?;
    let again = rig.finish(&rig.granted(&begun), &user()).await;
    expect(again, ErrorKind::StateNotFound, "the same callback a second time")?;
    let sent = rig.sent(Stage::Token).len();
    ensure!(sent == 1, "the same callback a second time sent a token request");
    Ok(Verdict::Held)
}

/// A callback with the binding of another finds nothing, sends nothing and burns nothing: the right one still succeeds.
pub async fn a_foreign_binding_finds_nothing(fixture: &ProviderFixture) -> Outcome {
    let rig = Rig::new(fixture)?;
    let begun = rig.begin().await?;
    let query = rig.granted(&begun);
    let browser = succeed!(Binding::new_browser(), "making a browser's secret");
    for foreign in [
        Binding::user("tenant-1", "user-43"),
        Binding::user("tenant-2", "user-42"),
        Binding::process(),
        user().and(browser.clone()),
        browser,
    ] {
        let stolen = rig.finish(&query, &foreign).await;
        refused(&rig, stolen, ErrorKind::StateNotFound, "a callback with a foreign binding")?;
    }
    succeed!(rig.finish(&query, &user()).await, "the callback with its own binding, after foreign ones");
    Ok(Verdict::Held)
}

/// An unknown or missing state is [`ErrorKind::StateNotFound`] and sends nothing.
pub async fn an_unknown_state_is_refused(fixture: &ProviderFixture) -> Outcome {
    let rig = Rig::new(fixture)?;
    let mut begun = rig.begin().await?;
    for state in ["", "conformance-state-that-was-never-sent-0000000"] {
        begun.state = state.to_owned();
        let unknown = rig.finish(&rig.granted(&begun), &user()).await;
        refused(&rig, unknown, ErrorKind::StateNotFound, "a callback with an unknown state")?;
    }
    Ok(Verdict::Held)
}

/// A callback that comes after the flow's time is refused.
pub async fn an_expired_flow_is_refused(fixture: &ProviderFixture) -> Outcome {
    let rig = Rig::new(fixture)?;
    let begun = rig.begin().await?;
    rig.clock.advance(rig.flow.state_ttl() + Duration::from_secs(1));
    let late = rig.finish(&rig.granted(&begun), &user()).await;
    refused(&rig, late, ErrorKind::StateNotFound, "a callback after the flow's time")?;
    Ok(Verdict::Held)
}

/// A callback that has its state or its code twice is refused, and nothing is sent (RFC 6749 §3.1).
pub async fn doubled_callback_parameters_are_refused(fixture: &ProviderFixture) -> Outcome {
    let rig = Rig::new(fixture)?;
    let begun = rig.begin().await?;
    let query = rig.granted(&begun);
    let shape = &rig.flow.provider().quirks().authorization_response;
    let code = shape.code_parameter.as_deref().unwrap_or("code");
    for name in [rig.state_parameter(), code] {
        let doubled = format!("{query}&{name}=another-value-0123");
        let has_two =
            url::form_urlencoded::parse(doubled.as_bytes()).filter(|(known, _)| known == name).count();
        if has_two == 2 {
            let twice = rig.finish(&doubled, &user()).await;
            refused(&rig, twice, ErrorKind::CallbackMalformed, &format!("a callback with `{name}` twice"))?;
        }
    }
    Ok(Verdict::Held)
}

/// Where the provider's issuer is known, a callback of another issuer is refused and nothing is sent (RFC 9207 §2.4).
pub async fn another_issuer_is_refused(fixture: &ProviderFixture) -> Outcome {
    let rig = Rig::new(fixture)?;
    let begun = rig.begin().await?;
    if begun.pending.issuer.is_none() {
        return Ok(Verdict::Skipped("the provider has no issuer to compare with"));
    }
    let query = rig.granted(&begun);
    let kept = url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != "iss");
    let other = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(kept)
        .append_pair("iss", "https://issuer.elsewhere.invalid")
        .finish();
    let mixed_up = rig.finish(&other, &user()).await;
    refused(&rig, mixed_up, ErrorKind::IssuerMismatch, "a callback of another issuer")?;
    Ok(Verdict::Held)
}

/// The call failed with this kind.
pub(super) fn expect<T>(
    result: Result<T, authflow_core::Error>,
    kind: ErrorKind,
    what: &str,
) -> Result<(), Failure> {
    match result {
        Ok(_) => Err(Failure::new(format!("{what} was accepted, and {kind:?} is expected"))),
        Err(error) => {
            ensure!(error.kind() == kind, "{what} is {:?}, and {kind:?} is expected: {error}", error.kind());
            Ok(())
        }
    }
}

/// The call failed with this kind, and no token request was sent.
pub(super) fn refused<T>(
    rig: &Rig,
    result: Result<T, authflow_core::Error>,
    kind: ErrorKind,
    what: &str,
) -> Result<(), Failure> {
    ensure!(rig.sent(Stage::Token).is_empty(), "{what} sent a token request");
    expect(result, kind, what)
}
