//! The flow, over a scripted client.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use authflow_core::rfc::Revocation;
use authflow_core::{AuthorizationResponse, ErrorKind, Expiry, Flow, HttpRequest, Recovery, TokenSet};
use authflow_stackexchange::{ApiError, ApiErrorId, StackExchange, TokenEndpoint, scope};
use http::Method;
use support::{
    CALLBACK, ME_REPLY, Scripted, builder, complete, confidential, flow, form, public, query, response, user,
    usual,
};
use url::Url;

#[tokio::test]
async fn the_authorization_request_is_the_documented_one() {
    let flow = flow(builder(), &Scripted::provider());
    let authorization =
        flow.begin(&user()).scope(scope::READ_INBOX).scope(scope::PRIVATE_INFO).await.unwrap();
    assert!(authorization.url().starts_with("https://stackoverflow.com/oauth?"));
    let query = query(authorization.url());
    assert_eq!(query["client_id"], "12345");
    assert_eq!(query["redirect_uri"], CALLBACK);
    assert_eq!(query["scope"], "read_inbox,private_info", "commas between scopes");
    assert_eq!(query["state"].len(), 43);
    assert_eq!(query["code_challenge_method"], "S256");
    assert!(!query.contains_key("key"), "the key is for the API");
}

#[tokio::test]
async fn without_scopes_no_scope_is_sent() {
    let flow = flow(builder(), &Scripted::provider());
    let authorization = flow.begin(&user()).await.unwrap();
    assert!(!query(authorization.url()).contains_key("scope"));
}

#[tokio::test]
async fn the_json_endpoint_is_the_default() {
    let http = Scripted::provider();
    let completed = complete(&flow(builder(), &http), &[]).await.unwrap();
    let token = &http.sent()[0];
    assert_eq!(token.method, Method::POST);
    assert_eq!(token.url.as_str(), "https://stackoverflow.com/oauth/access_token/json");
    let sent = form(token);
    assert_eq!(sent["client_id"], "12345");
    assert_eq!(sent["client_secret"], "secret-canary");
    assert_eq!(sent["code"], "code-canary");
    assert_eq!(sent["redirect_uri"], CALLBACK);
    assert!(!token.headers.contains_key("authorization"), "the secret is in the form alone");
    assert_eq!(completed.tokens.access_token.expose(), "AT-canary))");
}

#[tokio::test]
async fn the_form_endpoint_answers_a_form_even_without_a_content_type() {
    let http = Scripted::provider();
    let flow = flow(builder().token_endpoint(TokenEndpoint::Form), &http);
    let tokens = complete(&flow, &[]).await.unwrap().tokens;
    assert_eq!(http.sent()[0].url.as_str(), "https://stackoverflow.com/oauth/access_token");
    assert_eq!(tokens.access_token.expose(), "AT-canary))");
    assert_eq!(tokens.expiry, Expiry::At(tokens.received_at + Duration::from_secs(86_400)));
}

#[tokio::test]
async fn pkce_goes_with_the_secret_and_without() {
    for (credentials, has_secret) in [(confidential(), true), (public(), false)] {
        let http = Scripted::provider();
        let flow = flow(StackExchange::builder(credentials).key("key-canary"), &http);
        complete(&flow, &[]).await.unwrap();
        let sent = form(&http.sent()[0]);
        assert_eq!(sent["code_verifier"].len(), 43);
        assert_eq!(sent.contains_key("client_secret"), has_secret);
    }
}

#[tokio::test]
async fn peer_x_oauth2_the_lifetime_is_read_from_expires() {
    let tokens = complete(&flow(builder(), &Scripted::provider()), &[]).await.unwrap().tokens;
    assert_eq!(tokens.expiry, Expiry::At(tokens.received_at + Duration::from_secs(86_400)));
    assert!(!tokens.extra.contains_key("expires"));
}

#[tokio::test]
async fn peer_spring_a_reply_without_token_type_is_a_reply() {
    let tokens = complete(&flow(builder(), &Scripted::provider()), &[]).await.unwrap().tokens;
    assert_eq!(tokens.token_type, None);
    assert!(tokens.refresh_token.is_none());
}

/// The answer to an exchange with `scopes`, where the token endpoint says `body`.
async fn expiry_of(body: &'static str, scopes: &[&str]) -> (Expiry, TokenSet) {
    let http = Scripted::new(move |request| {
        let is_token = request.url.path().starts_with("/oauth");
        Ok(response(200, if is_token { body } else { usual(request) }))
    });
    let tokens = complete(&flow(builder(), &http), scopes).await.unwrap().tokens;
    (tokens.expiry, tokens)
}

#[tokio::test]
async fn no_expiry_means_never_only_where_it_was_asked_for_and_no_lifetime_came() {
    let never = [scope::READ_INBOX, scope::NO_EXPIRY];
    assert_eq!(expiry_of(r#"{"access_token":"AT"}"#, &never).await.0, Expiry::Never);
    assert_eq!(expiry_of("access_token=AT", &never).await.0, Expiry::Never);
    assert_eq!(expiry_of(r#"{"access_token":"AT","expires":null}"#, &never).await.0, Expiry::Never);
    // Not asked for: nothing is known.
    assert_eq!(expiry_of(r#"{"access_token":"AT"}"#, &[scope::READ_INBOX]).await.0, Expiry::Unknown);
    // A lifetime came all the same, readable or not.
    let (expiry, tokens) = expiry_of(r#"{"access_token":"AT","expires":60}"#, &never).await;
    assert_eq!(expiry, Expiry::At(tokens.received_at + Duration::from_secs(60)));
    for unreadable in [
        r#"{"access_token":"AT","expires":"soon"}"#,
        r#"{"access_token":"AT","expires_in":"soon"}"#,
        "access_token=AT&expires=soon",
    ] {
        assert_eq!(expiry_of(unreadable, &never).await.0, Expiry::Unknown);
    }
}

#[tokio::test]
async fn granted_scopes_are_those_asked_for() {
    let tokens =
        complete(&flow(builder(), &Scripted::provider()), &[scope::READ_INBOX]).await.unwrap().tokens;
    assert!(tokens.scopes_assumed);
    assert!(tokens.scopes.contains(scope::READ_INBOX));
}

#[tokio::test]
async fn the_error_object_of_the_token_endpoint_is_read() {
    let body = r#"{"error":{"type":"invalid_request","message":"client_id not provided"}}"#;
    for endpoint in [TokenEndpoint::Json, TokenEndpoint::Form] {
        let flow = flow(builder().token_endpoint(endpoint), &Scripted::always(400, body));
        let error = complete(&flow, &[]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert_eq!(error.status().unwrap(), 400);
        let server_error = error.server_error().unwrap();
        assert_eq!(server_error.code(), "invalid_request");
        assert_eq!(server_error.description(), Some("client_id not provided"));
    }
}

#[tokio::test]
async fn c7_an_error_object_with_status_200_is_an_error() {
    for body in [
        r#"{"access_token":"AT","error":{"type":"invalid_grant","message":"code is spent"}}"#,
        r#"{"access_token":"AT","error_id":400,"error_name":"invalid_grant","error_message":"no"}"#,
    ] {
        let error = complete(&flow(builder(), &Scripted::always(200, body)), &[]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidGrant);
    }
}

#[tokio::test]
async fn the_account_comes_from_me_after_the_exchange() {
    let http = Scripted::provider();
    let completed = complete(&flow(builder().site("serverfault"), &http), &[]).await.unwrap();
    assert!(completed.after_exchange.is_none());
    assert_eq!(completed.tokens.account.as_deref(), Some("4711"));
    assert_eq!(completed.tokens.extra["user_id"], 42);
    assert_eq!(completed.tokens.extra["account_id"], 4711);
    let me = &http.sent()[1];
    assert_eq!((me.method.clone(), me.url.path()), (Method::GET, "/2.3/me"));
    let query = query(me.url.as_str());
    assert_eq!(query["access_token"], "AT-canary))");
    assert_eq!(query["key"], "key-canary");
    assert_eq!(query["site"], "serverfault");
}

#[tokio::test]
async fn the_look_up_can_be_switched_off() {
    let http = Scripted::provider();
    let completed = complete(&flow(builder().without_account_lookup(), &http), &[]).await.unwrap();
    assert_eq!(completed.tokens.account, None);
    assert_eq!(http.sent().len(), 1);
}

#[tokio::test]
async fn a_look_up_that_fails_never_costs_the_tokens() {
    let throttled = r#"{"error_id":502,"error_name":"throttle_violation","error_message":"too many requests from this IP, more requests available in 37 seconds"}"#;
    for (status, body, kind) in [
        (400, throttled, ErrorKind::RateLimited),
        (503, "<html>", ErrorKind::Unavailable),
        (200, r#"{"items":[]}"#, ErrorKind::InvalidResponse),
        (200, r#"{"items":[{"user_id":-2}]}"#, ErrorKind::InvalidResponse),
        (200, r#"{"items":[{"user_id":1}]}"#, ErrorKind::InvalidResponse),
    ] {
        let http = Scripted::new(move |request| {
            let is_me = request.url.path() == "/2.3/me";
            Ok(if is_me { response(status, body) } else { response(200, usual(request)) })
        });
        let completed = complete(&flow(builder(), &http), &[]).await.unwrap();
        assert_eq!(completed.tokens.access_token.expose(), "AT-canary))");
        assert_eq!(completed.tokens.account, None, "nothing half-way");
        let error = completed.after_exchange.unwrap();
        assert_eq!(error.kind(), kind, "{body}");
        assert_eq!(error.provider(), Some("stackexchange"));
    }
}

#[tokio::test]
async fn a_compressed_answer_that_nobody_decoded_says_what_to_do() {
    let http = Scripted::new(|request| {
        let is_me = request.url.path() == "/2.3/me";
        let mut response = response(200, usual(request));
        if is_me {
            response.body = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0];
        }
        Ok(response)
    });
    let error = complete(&flow(builder(), &http), &[]).await.unwrap().after_exchange.unwrap();
    assert_eq!(error.kind(), ErrorKind::InvalidResponse);
    assert!(error.to_string().contains("decompression"), "{error}");
}

fn tokens() -> TokenSet {
    TokenSet::new("AT-canary))", std::time::SystemTime::UNIX_EPOCH)
}

#[tokio::test]
async fn a_request_gets_token_key_and_site() {
    let flow = flow(builder(), &Scripted::provider());
    let url = Url::parse("https://api.stackexchange.com/2.3/me/inbox?pagesize=5&access_token=old").unwrap();
    let mut request = HttpRequest::get(url);
    flow.authenticate(&tokens(), &mut request).await.unwrap();
    let pairs: Vec<_> = request.url.query_pairs().into_owned().collect();
    let wanted = [
        ("pagesize", "5"),
        ("access_token", "AT-canary))"),
        ("key", "key-canary"),
        ("site", "stackoverflow"),
    ];
    assert_eq!(pairs, wanted.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert!(!format!("{request:?}").contains("canary"));
}

#[tokio::test]
async fn the_site_of_a_request_is_its_own() {
    let flow = flow(builder(), &Scripted::provider());
    for (given, wanted) in
        [("site=serverfault", Some("serverfault")), ("site=", None), ("q=%E9&%73ite=&flag&site=", None)]
    {
        let url = Url::parse(&format!("https://api.stackexchange.com/2.3/me?{given}")).unwrap();
        let mut request = HttpRequest::get(url);
        flow.authenticate(&tokens(), &mut request).await.unwrap();
        assert_eq!(query(request.url.as_str()).get("site").map(String::as_str), wanted);
        // What else there is stays as it is written.
        let is_kept = request.url.query().unwrap().starts_with("q=%E9&flag&");
        assert_eq!(is_kept, given.starts_with('q'), "{}", request.url);
    }
}

#[tokio::test]
async fn a_token_goes_to_the_api_by_https_only() {
    let flow = flow(builder(), &Scripted::provider());
    for url in [
        "http://api.stackexchange.com/2.3/me",
        "https://api.stackexchange.com.evil.example/2.3/me",
        "https://api.stackexchange.com:8443/2.3/me",
        "https://user@api.stackexchange.com/2.3/me",
        "https://api.stackoverflow.com/2.3/me",
    ] {
        let mut request = HttpRequest::get(Url::parse(url).unwrap());
        let error = flow.authenticate(&tokens(), &mut request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ForeignOrigin, "{url}");
        assert_eq!(request.url.as_str(), url, "nothing is attached");
    }
}

#[tokio::test]
async fn there_is_no_refresh() {
    let http = Scripted::provider();
    let error = flow(builder(), &http).refresh(&tokens()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(http.sent().is_empty());
}

#[tokio::test]
async fn a_revocation_invalidates_the_token() {
    let http = Scripted::provider();
    assert_eq!(flow(builder(), &http).revoke(&tokens()).await.unwrap(), Revocation::Revoked);
    let sent = http.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].method, Method::GET);
    assert_eq!(
        sent[0].url.as_str(),
        "https://api.stackexchange.com/2.3/access-tokens/AT-canary))/invalidate?key=key-canary"
    );
    assert!(!sent[0].headers.contains_key("authorization"));
}

#[tokio::test]
async fn a_token_that_is_over_counts_as_revoked_and_other_errors_do_not() {
    let body = r#"{"error_id":402,"error_name":"invalid_access_token","error_message":"gone"}"#;
    let revoked = flow(builder(), &Scripted::always(400, body)).revoke(&tokens()).await.unwrap();
    assert_eq!(revoked, Revocation::Revoked);

    let body =
        r#"{"error_id":503,"error_name":"temporarily_unavailable","error_message":"later","backoff":10}"#;
    let error = flow(builder(), &Scripted::always(400, body)).revoke(&tokens()).await.unwrap_err();
    assert_eq!(error.recovery(), Recovery::Retry { after: Some(Duration::from_secs(10)) });
    assert_eq!(ApiError::of(&error).unwrap().id(), ApiErrorId::TemporarilyUnavailable);
    assert_eq!(error.operation().unwrap().as_str(), "revoke");
}

#[tokio::test]
async fn a3_state_is_used_once() {
    let http = Scripted::provider();
    let flow = flow(builder(), &http);
    let authorization = flow.begin(&user()).await.unwrap();
    let callback = format!("code=c&state={}", query(authorization.url())["state"]);
    let response = AuthorizationResponse::from_query(&callback).unwrap();
    flow.finish(&response, &user()).await.unwrap();
    let error = flow.finish(&response, &user()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StateNotFound);
    assert_eq!(http.sent().iter().filter(|request| request.url.path().starts_with("/oauth")).count(), 1);
}

#[tokio::test]
async fn b14_tokens_of_the_implicit_flow_are_refused() {
    let http = Scripted::provider();
    let flow = flow(builder(), &http);
    let authorization = flow.begin(&user()).await.unwrap();
    let state = &query(authorization.url())["state"];
    let callback = format!("access_token=AT&expires=86400&state={state}");
    let response = AuthorizationResponse::from_query(&callback).unwrap();
    assert_eq!(flow.finish(&response, &user()).await.unwrap_err().kind(), ErrorKind::CallbackMalformed);
    assert!(http.sent().is_empty());
}

#[tokio::test]
async fn b9_a_denial_is_typed() {
    let flow = flow(builder(), &Scripted::provider());
    let authorization = flow.begin(&user()).await.unwrap();
    let state = &query(authorization.url())["state"];
    let callback = format!("error=access_denied&error_description=no&state={state}");
    let response = AuthorizationResponse::from_query(&callback).unwrap();
    let error = flow.finish(&response, &user()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AccessDenied);
}

#[tokio::test]
async fn h1_no_secret_in_debug_or_errors() {
    let echo = r#"{"error_id":400,"error_name":"bad_parameter","error_message":"AT-canary)) is no token"}"#;
    let http = Scripted::new(move |request| {
        let is_token = request.url.path().starts_with("/oauth");
        Ok(if is_token { response(200, usual(request)) } else { response(400, echo) })
    });
    let manager = builder().build().unwrap();
    let mut shown = format!("{manager:?}");
    let flow = Flow::builder(manager).http_client(Arc::clone(&http)).build().unwrap();
    let completed = complete(&flow, &[]).await.unwrap();
    let revoked = flow.revoke(&completed.tokens).await.unwrap_err();
    let looked_up = completed.after_exchange.as_ref().unwrap();
    for error in [looked_up, &revoked] {
        let source = std::error::Error::source(error).unwrap();
        shown += &format!("{error} {error:?} {source} {source:?}");
    }
    shown += &format!("{flow:?} {completed:?}");
    for secret in ["AT-canary", "secret-canary", "code-canary", "key-canary"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    assert!(shown.contains("[redacted]"));
    assert!(!ME_REPLY.contains("canary"));
}
