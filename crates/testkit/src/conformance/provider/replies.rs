//! Replies of the token endpoint: errors, rubbish, nothing at all; and the refresh.

use std::time::Duration;

use authflow_core::quirks::RefreshInput;
use authflow_core::{
    Clock as _, Delivery, ErrorKind, HttpError, HttpErrorKind, HttpResponse, Secret, TokenSet,
};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use serde_json::Value;

use super::callback::expect;
use super::fixture::ProviderFixture;
use super::probe::Stage;
use super::rig::{Rig, carries, user};
use crate::LeakDetector;
use crate::conformance::{Failure, Outcome, Verdict, ensure, succeed};

/// The provider's no to a code is an error of the kind that the fixture names, and the state is used up.
pub async fn an_error_reply_is_typed(fixture: &ProviderFixture) -> Outcome {
    let rig = Rig::new(fixture)?;
    let begun = rig.begin().await?;
    let (reply, kind) = fixture.token_error.clone();
    rig.answer_token(Ok(reply));
    expect(rig.finish(&rig.granted(&begun), &user()).await, kind, "the provider's error reply")?;
    let again = rig.finish(&rig.granted(&begun), &user()).await;
    expect(again, ErrorKind::StateNotFound, "the same callback after an error reply")?;
    Ok(Verdict::Held)
}

/// What is neither tokens nor an error of the provider is an error, without a panic and without the body in it.
pub async fn a_useless_reply_is_an_error_without_its_body(fixture: &ProviderFixture) -> Outcome {
    const PLANTED: &str = "planted-body-9f8e7d6c5b4a";
    let html = format!("<html><body>{PLANTED}</body></html>");
    let odd = [
        (200, "text/html", html.clone()),
        (200, "application/json", String::new()),
        (200, "application/json", "{}".to_owned()),
        (200, "application/json", format!(r#"["{PLANTED}"]"#)),
        (200, "application/json", format!(r#"{{"access_token": {{"a": "{PLANTED}"}}}}"#)),
        (200, "application/json", format!(r#"{{"note": "{PLANTED}", "trunca"#)),
        (200, "application/octet-stream", format!("\u{0}{PLANTED}\u{fffd}")),
        (302, "text/html", html.clone()),
        (400, "text/html", html.clone()),
        (404, "text/plain", PLANTED.to_owned()),
        (429, "text/html", html.clone()),
        (500, "text/html", html.clone()),
        (503, "text/html", html),
    ];
    let rig = Rig::new(fixture)?;
    for (status, media_type, body) in odd {
        let begun = rig.begin().await?;
        let status = StatusCode::from_u16(status).unwrap_or_default();
        let reply =
            HttpResponse::new(status, body).with_header(CONTENT_TYPE, HeaderValue::from_static(media_type));
        rig.answer_token(Ok(reply));
        let Err(error) = rig.finish(&rig.granted(&begun), &user()).await else {
            return Err(Failure::new(format!(
                "a {status} with a useless body of type {media_type} gave tokens"
            )));
        };
        let leaks = LeakDetector::new();
        leaks.plant("the body of a useless reply", PLANTED);
        if let Some(leak) = leaks.scan_error("the error", &error).first() {
            return Err(Failure::new(leak.to_string()));
        }
    }
    Ok(Verdict::Held)
}

/// A token request whose answer was lost is an error, and is not sent again: the code may be used up.
pub async fn a_lost_answer_is_not_asked_for_again(fixture: &ProviderFixture) -> Outcome {
    for (kind, delivery) in
        [(HttpErrorKind::Transport, Delivery::Unknown), (HttpErrorKind::Timeout, Delivery::Unknown)]
    {
        let rig = Rig::new(fixture)?;
        let begun = rig.begin().await?;
        rig.answer_token(Err(HttpError::new(kind, delivery)));
        let lost = rig.finish(&rig.granted(&begun), &user()).await;
        expect(lost, ErrorKind::Network, "a token request without an answer")?;
        let sent = rig.sent(Stage::Token).len();
        ensure!(sent == 1, "a token request whose answer was lost was sent {sent} times");
    }
    Ok(Verdict::Held)
}

/// A refresh sends the refresh token, keeps it where the reply has none and replaces it where it has one (RFC 6749 §6); a
/// provider without a refresh says [`ErrorKind::Unsupported`] and sends nothing.
pub async fn a_refresh_keeps_or_replaces_the_refresh_token(fixture: &ProviderFixture) -> Outcome {
    let rig = Rig::new(fixture)?;
    let (_, completed) = rig.complete().await?;
    let tokens = completed.tokens;
    let policy = &rig.flow.provider().quirks().refresh_policy;
    let Some(sent_token) = refreshed_token(&rig, &tokens) else {
        expect(rig.flow.refresh(&tokens).await, ErrorKind::Unsupported, "a refresh without a refresh token")?;
        ensure!(rig.sent(Stage::Refresh).is_empty(), "a refresh that is not supported sent a request");
        return Ok(Verdict::Held);
    };
    rig.clock.advance(Duration::from_secs(60));

    let kept = refreshed(&rig, &tokens, refresh_reply(fixture, &tokens, RefreshReply::Kept)).await?;
    let request = rig.sent(Stage::Refresh).pop();
    let request = request.ok_or(Failure::new("a refresh gave tokens without a request"))?;
    ensure!(carries(&request, sent_token.expose())?, "the refresh request does not hold what is refreshed");
    let old = tokens.refresh_token.as_ref().filter(|_| policy.keep_refresh_token_when_absent);
    let same = match (old, &kept.refresh_token) {
        (Some(old), Some(new)) => old.ct_eq(new.expose()),
        (None, None) => true,
        _ => false,
    };
    ensure!(same, "a reply without a refresh token did not leave the old one in force (RFC 6749 §6)");

    if tokens.refresh_token.is_some() {
        let rotated = refreshed(&rig, &kept, refresh_reply(fixture, &tokens, RefreshReply::Rotated)).await?;
        let replaced = match (&tokens.refresh_token, &rotated.refresh_token) {
            (Some(old), Some(new)) => !old.ct_eq(new.expose()),
            _ => false,
        };
        ensure!(replaced, "a reply with a new refresh token did not replace the old one (RFC 6749 §6)");
    }
    Ok(Verdict::Held)
}

/// An answer to a refresh in which the provider does not say `invalid_grant` is another error: a server that is down, a proxy
/// or a page ends no connection, as [`ErrorKind::InvalidGrant`] does.
pub async fn only_the_providers_word_ends_a_connection(fixture: &ProviderFixture) -> Outcome {
    // The words alone are no answer either: a page may quote them.
    const PAGE: &str = "<html><body>Sorry. What does invalid_grant mean? See our help.</body></html>";
    const JSON: &str = "application/json";
    let useless = [
        (200, "text/html", PAGE),
        (200, JSON, "{}"),
        (200, JSON, ""),
        (302, "text/html", PAGE),
        (400, "text/html", PAGE),
        (400, JSON, r#"{"error": "invalid_gra"#),
        (401, "text/html", PAGE),
        (403, "text/html", PAGE),
        (404, "text/plain", ""),
        (429, "text/html", PAGE),
        (500, "text/html", PAGE),
        (502, "text/html", PAGE),
        (503, "text/html", PAGE),
        (503, "text/plain", ""),
    ];
    let rig = Rig::new(fixture)?;
    let (_, completed) = rig.complete().await?;
    let tokens = completed.tokens;
    if refreshed_token(&rig, &tokens).is_none() {
        return Ok(Verdict::Skipped("there is nothing to refresh"));
    }
    for (status, media_type, body) in useless {
        let status = StatusCode::from_u16(status).unwrap_or_default();
        let media_type = HeaderValue::from_static(media_type);
        rig.answer_refresh(HttpResponse::new(status, body).with_header(CONTENT_TYPE, media_type));
        let Err(error) = rig.flow.refresh(&tokens).await else {
            return Err(Failure::new(format!(
                "a refresh that is answered with {status} and no tokens gave some"
            )));
        };
        ensure!(
            error.kind() != ErrorKind::InvalidGrant,
            "a refresh that is answered with {status}, and without the provider's invalid_grant, ends the connection"
        );
    }
    Ok(Verdict::Held)
}

/// What a refresh of these tokens sends, if there is one.
fn refreshed_token(rig: &Rig, tokens: &TokenSet) -> Option<Secret> {
    match rig.flow.provider().quirks().refresh_policy.input {
        RefreshInput::RefreshToken => tokens.refresh_token.clone(),
        RefreshInput::AccessToken => Some(tokens.access_token.clone()),
        _ => None,
    }
}

async fn refreshed(rig: &Rig, tokens: &TokenSet, reply: HttpResponse) -> Result<TokenSet, Failure> {
    rig.answer_refresh(reply);
    let new = succeed!(rig.flow.refresh(tokens).await, "refreshing");
    let changed = !new.access_token.ct_eq(tokens.access_token.expose());
    ensure!(
        changed,
        "the refresh gave the old access token; where the token reply cannot be read by the suite, give the fixture its refresh \
         replies"
    );
    ensure!(
        new.received_at == rig.clock.now(),
        "the refreshed token set does not have the time of its reply"
    );
    Ok(new)
}

#[derive(Clone, Copy, Debug)]
pub(super) enum RefreshReply {
    Kept,
    Rotated,
}

/// The fixture's refresh reply, or else its token reply with other tokens. `first` is what that one gave.
pub(super) fn refresh_reply(
    fixture: &ProviderFixture,
    first: &TokenSet,
    which: RefreshReply,
) -> HttpResponse {
    let (given, number, keeps) = match which {
        RefreshReply::Kept => (&fixture.kept_refresh_reply, 2, true),
        RefreshReply::Rotated => (&fixture.rotated_refresh_reply, 3, false),
    };
    if let Some(given) = given {
        return given.clone();
    }
    let access_token = format!("planted-access-token-{number}");
    let refresh_token = (!keeps).then(|| format!("planted-refresh-token-{number}"));
    let planted = |text: &str| {
        if first.access_token.ct_eq(text) {
            Change::To(access_token.clone())
        } else if first.refresh_token.as_ref().is_some_and(|token| token.ct_eq(text)) {
            refresh_token.clone().map_or(Change::Remove, Change::To)
        } else {
            Change::Nothing
        }
    };
    let mut reply = fixture.token_reply.clone();
    reply.body = match serde_json::from_slice::<Value>(&reply.body) {
        Ok(mut body) => {
            change(&mut body, &planted);
            body.to_string().into_bytes()
        }
        Err(_) => {
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            for (name, value) in url::form_urlencoded::parse(&reply.body) {
                match planted(&value) {
                    Change::Nothing => form.append_pair(&name, &value),
                    Change::To(new) => form.append_pair(&name, &new),
                    Change::Remove => &mut form,
                };
            }
            form.finish().into_bytes()
        }
    };
    reply
}

enum Change {
    Nothing,
    To(String),
    Remove,
}

fn change(value: &mut Value, planted: &impl Fn(&str) -> Change) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| {
                !member.as_str().is_some_and(|text| matches!(planted(text), Change::Remove))
            });
            members.values_mut().for_each(|member| change(member, planted));
        }
        Value::Array(members) => members.iter_mut().for_each(|member| change(member, planted)),
        Value::String(text) => {
            if let Change::To(new) = planted(text) {
                *text = new;
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
