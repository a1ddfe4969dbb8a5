//! A manager behind a pointer is the same manager.

use authflow_core::{HttpRequest, HttpResponse};
use http::StatusCode;

use super::fixture::{Pointer, ProviderFixture};
use super::replies::{RefreshReply, refresh_reply};
use super::rig::{Rig, user};
use super::tokens::api_url;
use super::twist::Twist;
use crate::conformance::{Failure, Outcome, Verdict, ensure};

/// Behind `Arc`, `Box`, `Arc<dyn FlowManager>` and `Box<dyn FlowManager>` the manager sends the same requests and gives the
/// same results: no hook falls back to its default on the way.
pub async fn pointers_forward_every_hook(fixture: &ProviderFixture) -> Outcome {
    const POINTERS: [Pointer; 4] = [Pointer::Arc, Pointer::Box, Pointer::ArcDyn, Pointer::BoxDyn];
    let one = transcript(fixture, Pointer::Nothing).await?;
    let mut all_behind = Vec::new();
    for pointer in POINTERS {
        all_behind.push((pointer, transcript(fixture, pointer).await?));
    }
    // Last, so that a time in a request that moves on meanwhile has moved on here too.
    let two = transcript(fixture, Pointer::Nothing).await?;
    // What differs between two runs of one manager is random: state, verifier, what a hook draws.
    let random: Vec<bool> = one.iter().zip(&two).map(|(one, two)| one.1 != two.1).collect();
    for (pointer, behind) in all_behind {
        let labels = |lines: &[Line]| lines.iter().map(|(label, _)| label.clone()).collect::<Vec<_>>();
        let (expected, found) = (labels(&one), labels(&behind));
        let missing = expected.iter().zip(&found).find(|(expected, found)| expected != found);
        ensure!(
            expected == found,
            "behind {pointer:?} the manager does something else at `{}`",
            missing.map_or("the end", |(expected, _)| expected)
        );
        for ((line, other), random) in one.iter().zip(&behind).zip(&random) {
            ensure!(*random || line.1 == other.1, "behind {pointer:?} `{}` is another", line.0);
        }
    }
    Ok(Verdict::Held)
}

/// What happened, and with which value.
type Line = (String, Vec<u8>);

async fn transcript(fixture: &ProviderFixture, pointer: Pointer) -> Result<Vec<Line>, Failure> {
    let rig = Rig::with(fixture, Twist::Nothing, pointer)?;
    let (begun, completed) = rig.complete().await?;
    let mut lines: Vec<Line> = Vec::new();
    let mut note = |label: String, value: &[u8]| lines.push((label, value.to_vec()));
    note("the provider's id".to_owned(), rig.flow.provider().id().as_bytes());
    note("the authorization endpoint".to_owned(), begun.url.split('?').next().unwrap_or_default().as_bytes());
    for (name, value) in begun.parameters() {
        note(format!("the parameter {name} of the authorization URL"), value.as_bytes());
    }

    let mut tokens = completed.tokens;
    let mut api = HttpRequest::get(api_url(fixture, &rig)?);
    let attached = rig.flow.authenticate(&tokens, &mut api).await;
    note("attaching a token".to_owned(), format!("{attached:?}").as_bytes());
    rig.answer_refresh(refresh_reply(fixture, &tokens, RefreshReply::Kept));
    let refreshed = rig.flow.refresh(&tokens).await;
    note(
        "a refresh".to_owned(),
        format!("{:?}", refreshed.as_ref().map_err(|error| error.kind())).as_bytes(),
    );
    if let Ok(refreshed) = refreshed {
        note("the refreshed access token".to_owned(), refreshed.access_token.expose().as_bytes());
        tokens = refreshed;
    }
    let account = format!("{:?} {:?} {:?} {:?}", tokens.account, tokens.extra, tokens.scopes, tokens.expiry);
    note("account, scopes, lifetime and extra fields".to_owned(), account.as_bytes());
    let revoked = rig.flow.revoke(&tokens).await;
    note("a revocation".to_owned(), format!("{revoked:?}").as_bytes());
    let begun = rig.begin().await?;
    let denied = rig.finish(&rig.denied(&begun), &user()).await;
    note("a denial".to_owned(), format!("{:?}", denied.map_err(|error| error.kind()).err()).as_bytes());

    let sent = rig.http.requests();
    for (number, request) in sent.iter().chain([&api]).enumerate() {
        note(format!("the method of request {number}"), request.method.as_str().as_bytes());
        note(format!("the URL of request {number}"), request.url.as_str().as_bytes());
        note(format!("the body of request {number}"), &request.body);
        for (name, value) in &request.headers {
            note(format!("the header {name} of request {number}"), value.as_bytes());
        }
    }
    let hooks = rig.notes.hooks().join(" ");
    note("the order of the hooks".to_owned(), hooks.as_bytes());
    let refuses =
        |body: String| rig.flow.manager().refuses_token(&HttpResponse::new(StatusCode::UNAUTHORIZED, body));
    note("what an empty 401 is about".to_owned(), &[u8::from(refuses(String::new()))]);
    for (name, values) in [("error_code", 0..1000), ("error_id", 400..500)] {
        let about: Vec<u8> =
            values.map(|value| u8::from(refuses(format!("{{\"{name}\":{value}}}")))).collect();
        note(format!("what a 401 with each {name} is about"), &about);
    }
    Ok(lines)
}
