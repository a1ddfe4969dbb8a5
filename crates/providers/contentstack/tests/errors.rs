//! Error bodies of all known shapes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use authflow_contentstack::{ApiError, needs_refresh};
use authflow_core::{ErrorKind, Recovery};
use support::{Scripted, builder, complete, flow, response, user_tokens};

#[test]
fn fixture_contentstack_cma_error() {
    let body = r#"{"error_message":"The Content Type was not found.","error_code":118,"errors":{"uid":["is not valid."]}}"#;
    let error = ApiError::read(&response(422, body)).unwrap();
    assert_eq!(error.status(), 422);
    assert_eq!(error.error_code(), Some(118));
    assert_eq!(error.message(), Some("The Content Type was not found."));
    let errors: Vec<_> = error.errors().map(|(field, texts)| (field, texts.collect::<Vec<_>>())).collect();
    assert_eq!(errors, [("uid", vec!["is not valid."])]);
    let shown = error.to_string();
    assert_eq!(
        shown,
        "Contentstack answered 422 Unprocessable Entity, error_code 118: The Content Type was not found."
    );
}

#[test]
fn all_known_shapes_are_read() {
    for (body, code, error, message) in [
        (
            r#"{"error":"invalid_grant","error_description":"spent"}"#,
            None,
            Some("invalid_grant"),
            Some("spent"),
        ),
        (r#"{"message":"Not allowed"}"#, None, None, Some("Not allowed")),
        (
            r#"{"error":"Unauthorized","message":"No","statusCode":401}"#,
            None,
            Some("Unauthorized"),
            Some("No"),
        ),
        (r#"{"error":{"code":"105","message":"inner"}}"#, Some(105), None, Some("inner")),
        (r#"{"error_code":"294","error_message":"2FA"}"#, Some(294), None, Some("2FA")),
        (r#"{"errors":["a","b"]}"#, None, None, None),
        ("<html>", None, None, None),
        ("", None, None, None),
    ] {
        let read = ApiError::read(&response(400, body)).unwrap();
        assert_eq!((read.error_code(), read.error(), read.message()), (code, error, message), "{body}");
    }
    let read = ApiError::read(&response(400, r#"{"errors":["a","b"]}"#)).unwrap();
    let errors: Vec<_> = read.errors().map(|(field, texts)| (field.len(), texts.count())).collect();
    assert_eq!(errors, [(0, 2)]);
    let read = ApiError::read(&response(422, r#"{"errors":{"title":"is missing"}}"#)).unwrap();
    let errors: Vec<_> = read.errors().map(|(field, texts)| (field, texts.collect::<Vec<_>>())).collect();
    assert_eq!(errors, [("title", vec!["is missing"])], "a text instead of a list");
    assert!(ApiError::read(&response(200, r#"{"user":{}}"#)).is_none());
    assert!(ApiError::read(&response(204, "")).is_none());
    assert!(ApiError::read(&response(200, r#"{"error_code":105}"#)).is_some());
}

#[test]
fn b11_texts_are_cleaned_and_lists_are_capped() {
    let many: Vec<String> = (0..500).map(|n| format!(r#""field{n}":["x","y"]"#)).collect();
    let long = "x".repeat(5000);
    let body = format!(r#"{{"error_message":"a\r\n\u001b[31m{long}","errors":{{{}}}}}"#, many.join(","));
    let error = ApiError::read(&response(422, &body)).unwrap();
    assert!(error.message().unwrap().starts_with("a???[31m"));
    assert!(error.message().unwrap().len() <= 1024);
    assert_eq!(error.errors().count(), 32);
    let body = format!(r#"{{"errors":{{"field":[{}"x"]}}}}"#, r#""x","#.repeat(500));
    let error = ApiError::read(&response(422, &body)).unwrap();
    assert_eq!(error.errors().next().unwrap().1.count(), 32);
}

#[test]
fn a_401_that_is_not_about_the_token_asks_for_no_refresh() {
    for (status, body, refresh) in [
        (401, r#"{"error_message":"expired","error_code":105}"#, true),
        (401, "{}", true),
        (401, "<html>", true),
        (401, r#"{"error_message":"2FA","error_code":294}"#, false),
        (401, r#"{"error_message":"permission","error_code":161}"#, false),
        (401, r#"{"error_code":"294"}"#, false),
        (403, r#"{"error_code":105}"#, false),
        (200, "{}", false),
        (422, r#"{"error_code":105}"#, false),
    ] {
        assert_eq!(needs_refresh(&response(status, body)), refresh, "{status} {body}");
    }
}

#[tokio::test]
async fn the_token_endpoints_errors_are_read_in_every_shape() {
    for (status, body, kind, code, description) in [
        (
            400,
            r#"{"error":"invalid_grant","error_description":"spent"}"#,
            ErrorKind::InvalidGrant,
            "invalid_grant",
            "spent",
        ),
        (
            401,
            r#"{"error":"invalid_client","error_description":"who"}"#,
            ErrorKind::Refused,
            "invalid_client",
            "who",
        ),
        (
            422,
            r#"{"error_message":"wrong","error_code":141,"errors":{"code":["no"]}}"#,
            ErrorKind::Refused,
            "141",
            "wrong",
        ),
        (400, r#"{"message":"The code is wrong"}"#, ErrorKind::Refused, "unspecified", "The code is wrong"),
        (400, r#"{"error":"Bad Request","message":"wrong"}"#, ErrorKind::Refused, "Bad Request", "wrong"),
        (400, r#"{"error":{"code":7,"message":"wrong"}}"#, ErrorKind::Refused, "7", "wrong"),
        (
            200,
            r#"{"access_token":"AT","error_message":"wrong","error_code":141}"#,
            ErrorKind::Refused,
            "141",
            "wrong",
        ),
        (200, r#"{"access_token":"AT","error_message":"wrong"}"#, ErrorKind::Refused, "unspecified", "wrong"),
        (422, r#"{"error_message":"wrong","error_code":"104"}"#, ErrorKind::Refused, "104", "wrong"),
        (429, r#"{"error_message":"slowly","error_code":429}"#, ErrorKind::RateLimited, "429", "slowly"),
        (500, r#"{"error_message":"broken","error_code":500}"#, ErrorKind::Unavailable, "500", "broken"),
        (
            503,
            r#"{"error":"invalid_grant","error_description":"x"}"#,
            ErrorKind::Unavailable,
            "invalid_grant",
            "x",
        ),
    ] {
        let http = Scripted::always(status, body);
        let flow = flow(builder(), &http);
        let exchange = complete(&flow).await.unwrap_err();
        let refresh = flow.refresh(&user_tokens()).await.unwrap_err();
        for error in [exchange, refresh] {
            assert_eq!(error.kind(), kind, "{body}");
            assert_eq!(error.status().unwrap(), status);
            let server_error = error.server_error().unwrap();
            assert_eq!(
                (server_error.code(), server_error.description()),
                (code, Some(description)),
                "{body}"
            );
        }
    }
}

/// Of Developer Hub and of the Content Management API, whose errors come with these statuses.
#[tokio::test]
async fn the_apis_errors_are_read_in_every_shape() {
    let cma = r#"{"error_message":"wrong","error_code":118,"errors":{"uid":["no"]}}"#;
    for (status, body, kind, code) in [
        (422, cma, ErrorKind::Refused, "118"),
        (422, r#"{"error_message":"wrong","error_code":104}"#, ErrorKind::Refused, "104"),
        (429, r#"{"error_message":"wrong","error_code":429}"#, ErrorKind::RateLimited, "429"),
        (500, cma, ErrorKind::Unavailable, "118"),
        (503, cma, ErrorKind::Unavailable, "118"),
        (200, cma, ErrorKind::Refused, "118"),
        (403, r#"{"message":"wrong"}"#, ErrorKind::Refused, "unspecified"),
        (403, r#"{"error":"Forbidden","message":"wrong"}"#, ErrorKind::Refused, "Forbidden"),
        (403, r#"{"error":{"code":7,"message":"wrong"}}"#, ErrorKind::Refused, "7"),
        (
            400,
            r#"{"error":"invalid_request","error_description":"wrong"}"#,
            ErrorKind::Refused,
            "invalid_request",
        ),
    ] {
        let http = Scripted::new(move |request| {
            Ok(if request.url.path() == "/token" {
                response(200, r#"{"access_token":"AT"}"#)
            } else {
                response(status, body)
            })
        });
        let flow = flow(builder().look_up_user(), &http);
        let revoked = flow.revoke(&user_tokens()).await.unwrap_err();
        let looked_up = complete(&flow).await.unwrap().after_exchange.unwrap();
        for error in [revoked, looked_up] {
            assert_eq!(error.kind(), kind, "{body}");
            assert_eq!(error.status().unwrap(), status);
            let server_error = error.server_error().unwrap();
            assert_eq!((server_error.code(), server_error.description()), (code, Some("wrong")), "{body}");
            assert_eq!(ApiError::of(&error).unwrap().message(), Some("wrong"));
        }
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_field_is_kept_where_nothing_else_is_said() {
    let http = Scripted::always(422, r#"{"errors":{"code":["no"]}}"#);
    let error = flow(builder(), &http).refresh(&user_tokens()).await.unwrap_err();
    assert_eq!(ApiError::of(&error).unwrap().errors().count(), 1);
}

#[tokio::test]
async fn only_where_a_refresh_would_help_the_error_says_refresh() {
    for (code, says_so) in [(105, true), (294, false), (161, false)] {
        let body = format!(r#"{{"error_message":"no","error_code":{code}}}"#);
        let flow = flow(builder(), &Scripted::always(401, &body));
        let error = flow.revoke(&user_tokens()).await.unwrap_err();
        assert_eq!(error.to_string().contains("refresh"), says_so, "{error}");
        assert_eq!(flow.manager().refuses_token(&response(401, &body)), says_so, "{code}");
    }
}

#[tokio::test]
async fn c6_a_page_instead_of_a_token_is_a_typed_error_without_the_page() {
    for (status, kind) in
        [(200, ErrorKind::InvalidResponse), (400, ErrorKind::InvalidResponse), (502, ErrorKind::Unavailable)]
    {
        let http = Scripted::always(status, "<html>canary</html>");
        let error = complete(&flow(builder(), &http)).await.unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(error.server_error().is_none() && ApiError::of(&error).is_none());
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
}

#[tokio::test]
async fn only_a_parsed_invalid_grant_ends_a_connection() {
    for (status, body, ends) in [
        (400, r#"{"error":"invalid_grant"}"#, true),
        (401, r#"{"error_message":"invalid_grant","error_code":105}"#, false),
        (401, "invalid_grant", false),
        (500, r#"{"error":"invalid_grant"}"#, false),
    ] {
        let error =
            flow(builder(), &Scripted::always(status, body)).refresh(&user_tokens()).await.unwrap_err();
        assert_eq!(error.recovery() == Recovery::Reconnect, ends, "{status} {body}");
    }
}
