//! The revocation in three steps.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use authflow_contentstack::{ApiError, RevocationError};
use authflow_core::rfc::Revocation;
use authflow_core::{ErrorKind, HttpResponse, Operation, Recovery};
use http::Method;
use support::{LIST_REPLY, Scripted, builder, flow, header, response, tokens, user_tokens};

const AUTHORIZATIONS: &str = "https://developerhub-api.contentstack.com/manifests/app-uid/authorizations";

/// A provider that lists `list` and answers a deletion with `status` and `body`.
fn provider(list: &str, status: u16, body: &'static str) -> Arc<Scripted> {
    let list = list.to_owned();
    Scripted::new(move |request| {
        Ok(if request.method == Method::GET { response(200, &list) } else { response(status, body) })
    })
}

fn deleted(http: &Scripted) -> Vec<String> {
    let deletions = http.sent().into_iter().filter(|request| request.method == Method::DELETE);
    deletions.map(|request| request.url.to_string()).collect()
}

#[tokio::test]
async fn the_users_authorization_is_listed_found_and_deleted() {
    let http = provider(LIST_REPLY, 200, "{}");
    assert_eq!(flow(builder(), &http).revoke(&user_tokens()).await.unwrap(), Revocation::Revoked);
    let sent = http.sent();
    assert_eq!(sent.len(), 2);
    assert_eq!((&sent[0].method, sent[0].url.as_str()), (&Method::GET, AUTHORIZATIONS));
    assert_eq!(sent[1].method, Method::DELETE);
    assert_eq!(sent[1].url.as_str(), format!("{AUTHORIZATIONS}/AUTH1"));
    for request in &sent {
        assert_eq!(header(request, "authorization"), Some("Bearer AT-canary"));
        assert_eq!(header(request, "organization_uid"), Some("bltORG"));
        assert_eq!(header(request, "content-type"), Some("application/json"));
    }
}

#[tokio::test]
async fn the_authorizations_are_those_of_the_tokens_organization_whatever_is_configured() {
    let configured = || builder().organization_uid("bltSET").api_key("bltKEY");
    for (tokens, organization) in
        [(user_tokens(), "bltORG"), (tokens(&[("user_uid", "bltUSER"), ("location", "NA")]), "bltSET")]
    {
        let http = provider(LIST_REPLY, 200, "{}");
        assert_eq!(flow(configured(), &http).revoke(&tokens).await.unwrap(), Revocation::Revoked);
        for request in &http.sent() {
            assert_eq!(header(request, "organization_uid"), Some(organization));
            assert_eq!(header(request, "api_key"), None, "no stack's");
        }
    }
}

#[tokio::test]
async fn all_authorizations_of_the_user_end_and_no_others() {
    let list = r#"{"data":[
        {"authorization_uid":"A1","user":{"uid":"bltUSER"}},
        {"authorization_uid":"B1","user":{"uid":"bltUSER2"}},
        {"authorization_uid":"B2"}, 7, {"authorization_uid":"B3","user":null},
        {"authorization_uid":"A2","user":{"uid":"bltUSER"}}]}"#;
    let http = provider(list, 200, "");
    flow(builder(), &http).revoke(&user_tokens()).await.unwrap();
    assert_eq!(deleted(&http), [format!("{AUTHORIZATIONS}/A1"), format!("{AUTHORIZATIONS}/A2")]);
}

#[tokio::test]
async fn an_app_token_names_no_user_and_nothing_is_sent() {
    for extra in [&[("user_uid", ""), ("authorization_type", "app")][..], &[][..]] {
        let http = provider(LIST_REPLY, 200, "{}");
        let error = flow(builder(), &http).revoke(&tokens(extra)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert_eq!(RevocationError::of(&error), Some(RevocationError::NoUser));
        assert!(error.to_string().contains("uninstalled"), "{error}");
        assert_eq!(error.operation(), Some(Operation::Revoke));
        assert!(http.sent().is_empty());
    }
}

#[tokio::test]
async fn no_authorizations_and_none_of_this_user_are_two_errors() {
    for (list, reason) in [
        (r#"{"data":[]}"#, RevocationError::NoAuthorizations),
        (
            r#"{"data":[{"authorization_uid":"AUTH2","user":{"uid":"bltOTHER"}}]}"#,
            RevocationError::NoAuthorizationOfUser,
        ),
    ] {
        let http = provider(list, 200, "{}");
        let error = flow(builder(), &http).revoke(&user_tokens()).await.unwrap_err();
        assert_eq!(RevocationError::of(&error), Some(reason));
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(deleted(&http).is_empty());
    }
}

#[tokio::test]
async fn a_uid_that_would_be_lost_in_the_path_deletes_nothing() {
    // Without its last segment the path would end the authorizations of all users.
    for uid in [
        r#""""#,
        r#"".""#,
        r#""..""#,
        r#""%2e%2e""#,
        r#""a/b""#,
        r#""a?b""#,
        r##""a#b""##,
        r#""a b""#,
        r#""a\nb""#,
        "null",
        "7",
        r#"["AUTH1"]"#,
    ] {
        let list = format!(r#"{{"data":[{{"authorization_uid":{uid},"user":{{"uid":"bltUSER"}}}}]}}"#);
        let http = provider(&list, 200, "{}");
        let error = flow(builder(), &http).revoke(&user_tokens()).await.unwrap_err();
        assert_eq!(RevocationError::of(&error), Some(RevocationError::UnusableAuthorization), "{uid}");
        assert!(deleted(&http).is_empty(), "{uid}");
    }
    // One bad name among good ones: nothing is deleted either.
    let list = r#"{"data":[{"authorization_uid":"A1","user":{"uid":"bltUSER"}},{"authorization_uid":"..","user":{"uid":"bltUSER"}}]}"#;
    let http = provider(list, 200, "{}");
    flow(builder(), &http).revoke(&user_tokens()).await.unwrap_err();
    assert!(deleted(&http).is_empty());
}

#[tokio::test]
async fn what_is_no_list_is_a_typed_error() {
    for list in ["<html>", "", "[]", "{}", r#"{"data":{}}"#, r#"{"data":null}"#] {
        let http = provider(list, 200, "{}");
        let error = flow(builder(), &http).revoke(&user_tokens()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidResponse, "{list}");
        assert!(deleted(&http).is_empty());
    }
}

#[tokio::test]
async fn an_authorization_that_is_gone_already_is_revoked() {
    let http = provider(LIST_REPLY, 404, r#"{"error_message":"not found","error_code":141}"#);
    assert_eq!(flow(builder(), &http).revoke(&user_tokens()).await.unwrap(), Revocation::Revoked);
}

#[tokio::test]
async fn an_access_token_that_is_over_says_refresh_first() {
    let body = r#"{"error_message":"The access token is invalid or expired","error_code":105}"#;
    let error = flow(builder(), &Scripted::always(401, body)).revoke(&user_tokens()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("refresh"), "{error}");
    assert_eq!(ApiError::of(&error).unwrap().error_code(), Some(105));
}

#[tokio::test]
async fn errors_of_either_step_are_the_providers() {
    let slow = |status: u16| -> HttpResponse {
        response(status, "").with_header(http::header::RETRY_AFTER, "7".parse().unwrap())
    };
    for step in [Method::GET, Method::DELETE] {
        for (status, kind, recovery) in [
            (429, ErrorKind::RateLimited, Recovery::Retry { after: Some(Duration::from_secs(7)) }),
            (503, ErrorKind::Unavailable, Recovery::Retry { after: Some(Duration::from_secs(7)) }),
            (403, ErrorKind::Refused, Recovery::GiveUp),
            (302, ErrorKind::InvalidResponse, Recovery::GiveUp),
        ] {
            let failing = step.clone();
            let http = Scripted::new(move |request| {
                Ok(if request.method == failing { slow(status) } else { response(200, LIST_REPLY) })
            });
            let error = flow(builder(), &http).revoke(&user_tokens()).await.unwrap_err();
            assert_eq!((error.kind(), error.recovery()), (kind, recovery), "{step} {status}");
            assert_eq!(error.status().unwrap(), status);
        }
    }
    let refused = r#"{"error_message":"no","error_code":161}"#;
    let error =
        flow(builder(), &provider(LIST_REPLY, 200, refused)).revoke(&user_tokens()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "an error with status 200");
}
