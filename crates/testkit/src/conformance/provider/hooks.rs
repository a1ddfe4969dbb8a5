//! Hooks: overridden, forwarded, and kept inside what they may do.

use authflow_core::{ErrorKind, HttpRequest, HttpResponse, Revocation};
use http::StatusCode;
use url::Url;

use super::callback::expect;
use super::fixture::ProviderFixture;
use super::probe::Stage;
use super::rig::{Begun, Rig, user};
use super::tokens::api_url;
use super::twist::{ELSEWHERE, MARK, Twist};
use crate::conformance::{Failure, Outcome, Verdict, ensure, succeed};

/// A wrapper that overrides a hook is heard: what it changes reaches the wire or the result, for each hook.
pub async fn every_hook_can_be_overridden(fixture: &ProviderFixture) -> Outcome {
    let rig = Rig::twisted(fixture, Twist::Marks)?;
    let begun = rig.begin().await?;
    let marked = begun.parameters().iter().any(|(name, _)| name == MARK);
    ensure!(marked, "what authorization_parameters adds does not reach the URL");
    let query = rig.granted(&begun);
    let response = succeed!(rig.response(&query), "reading the callback");
    let read = rig.flow.callback(&begun.pending, &response).await;
    let read = succeed!(read, "the hook callback");
    ensure!(read.retained.contains_key(MARK), "what the hook callback adds is lost");

    let (_, completed) = rig.complete().await?;
    let tokens = completed.tokens;
    let request = rig.sent(Stage::Token).pop().ok_or(Failure::new("no token request was sent"))?;
    for (header, hook) in
        [("x-marked-by-token-request", "token_request"), ("x-marked-by-prepare", "prepare_token_request")]
    {
        ensure!(request.headers.contains_key(header), "what {hook} adds does not reach the token request");
    }
    ensure!(tokens.extra.contains_key(MARK), "what token_response adds is lost");
    ensure!(tokens.account.as_deref() == Some(MARK), "what after_exchange adds is lost");
    let mut api = HttpRequest::get(api_url(fixture, &rig)?);
    succeed!(rig.flow.authenticate(&tokens, &mut api).await, "attaching the token");
    ensure!(api.headers.contains_key("x-marked-by-authenticate"), "what authenticate adds is lost");
    let revocation = succeed!(rig.flow.revoke(&tokens).await, "revoking");
    ensure!(revocation == Revocation::Partial, "what revoke returns is lost");

    let unauthorized = HttpResponse::new(StatusCode::UNAUTHORIZED, "");
    let plain = Rig::new(fixture)?.flow.manager().refuses_token(&unauthorized);
    let marked = rig.flow.manager().refuses_token(&unauthorized);
    ensure!(marked != plain, "what refuses_token answers is lost");

    let called = rig.notes.hooks();
    for hook in [
        "resolve",
        "authorization_parameters",
        "callback",
        "token_request",
        "prepare_token_request",
        "token_response",
        "after_exchange",
        "authenticate",
        "refuses_token",
        "revoke",
    ] {
        ensure!(called.contains(&hook), "the hook {hook} is never called");
    }
    what_resolve_answers_is_used(fixture).await?;
    Ok(Verdict::Held)
}

/// `resolve` leaves no mark in a result: what it answers shows in where the token request goes.
async fn what_resolve_answers_is_used(fixture: &ProviderFixture) -> Result<(), Failure> {
    let plain = to_the_token_endpoint(&Rig::new(fixture)?).await?;
    let other = to_the_token_endpoint(&Rig::twisted(fixture, Twist::AnotherTokenEndpoint)?).await?;
    ensure!(
        other.told.path().ends_with(MARK),
        "the token endpoint that resolve answers is not the one that the hooks are told"
    );
    // A manager may send its token requests where no endpoint says; what it is told is all that counts then.
    if same_place(&plain.told, &plain.sent) {
        ensure!(
            same_place(&other.told, &other.sent),
            "resolve answers another token endpoint, and the token request does not go there"
        );
    }
    Ok(())
}

/// Where the engine says that the token endpoint is, and where the token request went.
struct TokenEndpoint {
    told: Url,
    sent: Url,
}

async fn to_the_token_endpoint(rig: &Rig) -> Result<TokenEndpoint, Failure> {
    rig.complete().await?;
    let told = rig.notes.token_endpoint();
    let told = told.ok_or(Failure::new("the hook token_request is told no token endpoint"))?;
    let sent = rig.sent(Stage::Token).pop().ok_or(Failure::new("no token request was sent"))?;
    Ok(TokenEndpoint { told, sent: sent.url })
}

/// Compares without the query: a provider may take its parameters there.
fn same_place(one: &Url, other: &Url) -> bool {
    one.origin() == other.origin() && one.path() == other.path()
}

/// A hook that points a request at an origin which the provider does not list is refused, and nothing goes there.
pub async fn hooks_cannot_leave_the_origins(fixture: &ProviderFixture) -> Outcome {
    for twist in [
        Twist::AuthorizationElsewhere,
        Twist::TokenRequestElsewhere,
        Twist::PreparedElsewhere,
        Twist::PrepareAsksElsewhere,
        Twist::AfterExchangeAsksElsewhere,
        Twist::RevokeAsksElsewhere,
        Twist::ApiRequestElsewhere,
    ] {
        let rig = Rig::twisted(fixture, twist)?;
        let what = format!("the twist {twist:?}");
        match act(&rig, fixture, twist).await? {
            Ok(()) => {
                return Err(Failure::new(format!("{what} was accepted, and ForeignOrigin is expected")));
            }
            Err(error) => expect::<()>(Err(error), ErrorKind::ForeignOrigin, &what)?,
        }
        let strayed = rig.http.requests().iter().any(|request| request.url.host_str() == Some(ELSEWHERE));
        ensure!(!strayed, "{what} was refused, and its request was sent all the same");
        if matches!(
            twist,
            Twist::TokenRequestElsewhere | Twist::PreparedElsewhere | Twist::PrepareAsksElsewhere
        ) {
            ensure!(rig.sent(Stage::Token).is_empty(), "{what} was refused, and a token request was sent");
        }
    }
    Ok(Verdict::Held)
}

/// A hook that leaves out state, challenge, verifier or redirect URI, or doubles a parameter, is refused before anything is
/// sent.
pub async fn hooks_cannot_drop_what_protects_the_flow(fixture: &ProviderFixture) -> Outcome {
    let plain = Rig::new(fixture)?;
    let (begun, _) = plain.complete().await?;
    let quirks = plain.flow.provider().quirks();
    let pkce = begun.pending.code_verifier.is_some();
    let repeats = quirks.token.wire_name("redirect_uri").is_some();
    for (twist, applies) in [
        (Twist::DropsState, true),
        (Twist::DoublesParameter, true),
        (Twist::DropsChallenge, pkce),
        (Twist::DropsVerifier, pkce),
        (Twist::DropsRedirectUri, repeats),
    ] {
        if !applies {
            continue;
        }
        let rig = Rig::twisted(fixture, twist)?;
        let acted = act(&rig, fixture, twist).await?;
        ensure!(acted.is_err(), "the twist {twist:?} was accepted");
        ensure!(
            rig.sent(Stage::Token).is_empty(),
            "the twist {twist:?} was refused, and a token request was sent"
        );
    }
    Ok(Verdict::Held)
}

/// A failure of `after_exchange` costs no tokens: they are kept as they came, and the error stands beside them.
pub async fn a_failing_after_exchange_keeps_the_tokens(fixture: &ProviderFixture) -> Outcome {
    let rig = Rig::twisted(fixture, Twist::AfterExchangeFails)?;
    let begun = rig.begin().await?;
    let finished = rig.finish(&rig.granted(&begun), &user()).await;
    let completed = succeed!(finished, "finishing a flow whose after_exchange fails");
    ensure!(completed.after_exchange.is_some(), "the failure of after_exchange is not reported");
    let half_done = completed.tokens.account.as_deref() == Some("half done");
    ensure!(!half_done, "what after_exchange did before it failed was kept");
    Ok(Verdict::Held)
}

/// Does what the twisted hook is part of.
async fn act(
    rig: &Rig,
    fixture: &ProviderFixture,
    twist: Twist,
) -> Result<Result<(), authflow_core::Error>, Failure> {
    let begun: Begun = match rig.try_begin().await {
        Ok(begun) => begun,
        Err(error) => return Ok(Err(error)),
    };
    let completed = match rig.finish(&rig.granted(&begun), &user()).await {
        Ok(completed) => completed,
        Err(error) => return Ok(Err(error)),
    };
    if let Some(error) = completed.after_exchange {
        return Ok(Err(error));
    }
    match twist {
        Twist::RevokeAsksElsewhere => Ok(rig.flow.revoke(&completed.tokens).await.map(drop)),
        Twist::ApiRequestElsewhere => {
            let mut request = HttpRequest::get(api_url(fixture, rig)?);
            Ok(rig.flow.authenticate(&completed.tokens, &mut request).await)
        }
        _ => Ok(Ok(())),
    }
}
