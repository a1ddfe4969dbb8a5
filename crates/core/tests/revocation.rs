//! Revocation (RFC 7009): which token is revoked, and what the answers come to.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use std::time::SystemTime;

use authflow_core::Revocation::{Partial, Revoked, Unsupported};
use authflow_core::{ClientAuthentication, ErrorKind, Quirks, Secret, TokenSet};
use common::{Rig, credentials, provider};

const OK: (u16, &str) = (200, "");
const UNSUPPORTED: (u16, &str) = (400, r#"{"error":"unsupported_token_type"}"#);

fn tokens(refresh_token: Option<&str>) -> TokenSet {
    let mut tokens = TokenSet::new("access-1", SystemTime::UNIX_EPOCH);
    tokens.refresh_token = refresh_token.map(Secret::new);
    tokens
}

fn rig(revocation: &str) -> Rig {
    Rig::quirks(serde_json::from_str(&format!(r#"{{"revocation": {revocation}}}"#)).unwrap())
}

fn sent(rig: &Rig) -> Vec<String> {
    let form = |body: &[u8]| url::form_urlencoded::parse(body).next().unwrap().1.into_owned();
    rig.http.requests().iter().map(|request| form(&request.body)).collect()
}

#[tokio::test]
async fn r7009_each_token_is_revoked_once_and_what_came_of_it_is_told() {
    let (refresh_token, access_token, both) = ("refresh_token", "access_token", "both");
    for (which, refresh, answers, expected, revoked) in [
        (refresh_token, Some("refresh-1"), &[OK][..], Revoked, &["refresh-1"][..]),
        (refresh_token, Some("refresh-1"), &[UNSUPPORTED, OK], Partial, &["refresh-1", "access-1"]),
        (
            refresh_token,
            Some("refresh-1"),
            &[UNSUPPORTED, UNSUPPORTED],
            Unsupported,
            &["refresh-1", "access-1"],
        ),
        (refresh_token, None, &[OK], Revoked, &["access-1"]),
        (refresh_token, None, &[UNSUPPORTED], Unsupported, &["access-1"]),
        (access_token, Some("refresh-1"), &[OK], Revoked, &["access-1"]),
        (access_token, Some("refresh-1"), &[UNSUPPORTED], Unsupported, &["access-1"]),
        (both, Some("refresh-1"), &[OK, OK], Revoked, &["refresh-1", "access-1"]),
        (both, Some("refresh-1"), &[OK, UNSUPPORTED], Partial, &["refresh-1", "access-1"]),
        (both, Some("refresh-1"), &[UNSUPPORTED, OK], Partial, &["refresh-1", "access-1"]),
        (both, Some("refresh-1"), &[UNSUPPORTED, UNSUPPORTED], Unsupported, &["refresh-1", "access-1"]),
        (both, None, &[OK], Revoked, &["access-1"]),
        (both, None, &[UNSUPPORTED], Unsupported, &["access-1"]),
    ] {
        let rig = rig(&format!(r#"{{"token": "{which}"}}"#));
        for (status, body) in answers {
            rig.http.answer(*status, "application/json", body);
        }
        let case = format!("{which} {refresh:?} {answers:?}");
        assert_eq!(rig.flow.revoke(&tokens(refresh)).await.unwrap(), expected, "{case}");
        assert_eq!(sent(&rig), revoked, "{case}");
    }
}

#[tokio::test]
async fn r7009_a_token_that_the_server_no_longer_knows_is_revoked() {
    for (body, expected) in [
        (r#"{"error":"invalid_token"}"#, Ok(Revoked)),
        (r#"{"error":"invalid_grant"}"#, Ok(Revoked)),
        (r#"{"error":"invalid_client"}"#, Err(ErrorKind::Refused)),
        (r#"{"error":"invalid_request"}"#, Err(ErrorKind::Refused)),
    ] {
        let rig = Rig::new();
        rig.http.answer(400, "application/json", body);
        let done = rig.flow.revoke(&tokens(Some("refresh-1"))).await.map_err(|error| error.kind());
        assert_eq!(done, expected, "{body}");
    }
}

/// RFC 7009 §2.2.1: with a 503 the token is still in force, whatever a proxy wrote below it.
#[tokio::test]
async fn r7009_04_a_code_of_a_server_that_is_not_available_is_not_believed() {
    for (status, kind) in
        [(503, ErrorKind::Unavailable), (500, ErrorKind::Unavailable), (429, ErrorKind::RateLimited)]
    {
        for code in ["invalid_token", "invalid_grant", "unsupported_token_type"] {
            let rig = Rig::new();
            rig.http.answer(status, "application/json", &format!(r#"{{"error":"{code}"}}"#));
            let error = rig.flow.revoke(&tokens(Some("refresh-1"))).await.unwrap_err();
            assert_eq!((error.kind(), rig.http.count()), (kind, 1), "{status} {code}");
        }
    }
}

/// RFC 6750 §3.1: what authorizes the request is over. Of what it was to revoke, that says nothing.
#[tokio::test]
async fn r7009_an_access_token_that_is_over_revokes_no_refresh_token() {
    for (token, refresh, is_revoked) in [
        ("refresh_token", Some("refresh-1"), false),
        ("access_token", Some("refresh-1"), false),
        ("both", Some("refresh-1"), false),
        ("access_token", None, true),
        ("both", None, true),
    ] {
        let rig = rig(&format!(
            r#"{{"token": "{token}", "request": {{"client_authentication": "access_token_bearer"}}}}"#
        ));
        rig.http.answer(401, "application/json", r#"{"error":"invalid_token"}"#);
        let revoked = rig.flow.revoke(&tokens(refresh)).await.map_err(|error| (error.kind(), error.status()));
        let refused = Err((ErrorKind::Refused, Some(http::StatusCode::UNAUTHORIZED)));
        assert_eq!(revoked, if is_revoked { Ok(Revoked) } else { refused }, "{token} {refresh:?}");
    }
}

#[tokio::test]
async fn r7009_the_hint_names_the_token_and_can_be_left_out() {
    for (refresh, omit, expected) in [
        (Some("refresh-1"), false, "token=refresh-1&token_type_hint=refresh_token"),
        (None, false, "token=access-1&token_type_hint=access_token"),
        (Some("refresh-1"), true, "token=refresh-1"),
    ] {
        let rig = rig(&format!(r#"{{"omit_token_type_hint": {omit}}}"#));
        rig.http.answer(200, "text/plain", "");
        rig.flow.revoke(&tokens(refresh)).await.unwrap();
        assert_eq!(String::from_utf8(rig.http.requests().remove(0).body).unwrap(), expected);
    }
}

/// Whatever the client's registration says of the token endpoint.
#[tokio::test]
async fn a_revocation_may_be_authorized_by_the_token_itself() {
    let quirks: Quirks = serde_json::from_str(
        r#"{"revocation": {"token": "access_token", "request": {"client_authentication": "access_token_bearer"}}}"#,
    )
    .unwrap();
    let credentials = credentials().authenticated_by(ClientAuthentication::ClientSecretPost);
    let rig = Rig::with(provider("p").quirks(quirks).build().unwrap(), credentials);
    rig.http.answer(200, "text/plain", "");
    rig.flow.revoke(&tokens(None)).await.unwrap();
    let request = rig.http.requests().remove(0);
    assert_eq!(request.headers["authorization"], "Bearer access-1");
    assert_eq!(request.body, b"token=access-1&token_type_hint=access_token");
}
