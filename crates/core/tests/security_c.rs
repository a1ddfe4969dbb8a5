//! facts/security.md §4.C and §1: the token endpoint.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use std::time::{Duration, SystemTime};

use authflow_core::quirks::{ExpiryKind, Quirks, RefreshInput, RequestFormat, RequestMethod, ZeroExpiry};
use authflow_core::{
    ClientAuthentication, ClientCredentials, Clock as _, Delivery, ErrorKind, Expiry, HttpError,
    HttpErrorKind, HttpResponse, Recovery, Revocation, Scopes, Secret, TokenSet, rfc,
};
use common::{REDIRECT_URI, Rig, SECRET, credentials, provider, user};

async fn finish(rig: &Rig) -> authflow_core::Result<TokenSet> {
    let query = rig.begin(&user()).await;
    rig.finish(&query, &user()).await.map(|completed| completed.tokens)
}

async fn reply(body: &str) -> authflow_core::Result<TokenSet> {
    let rig = Rig::new();
    rig.http.json(body);
    finish(&rig).await
}

fn tokens() -> TokenSet {
    let mut tokens = TokenSet::new("planted-access-1", SystemTime::UNIX_EPOCH);
    tokens.refresh_token = Some(Secret::new("planted-refresh-1"));
    tokens.scopes = Scopes::new(["read"]);
    tokens
}

#[tokio::test]
async fn c1_an_oversized_answer_is_an_error_whatever_the_client_does() {
    let rig = Rig::new();
    let body = format!("{{\"access_token\":\"{}\"}}", "x".repeat(2 << 20));
    rig.http.json(&body);
    let error = finish(&rig).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidResponse);
}

#[tokio::test]
async fn c4_a_redirect_is_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        let rig = Rig::new();
        let location = (http::header::LOCATION, "https://evil.example/".parse().unwrap());
        let response = HttpResponse::new(http::StatusCode::from_u16(status).unwrap(), "");
        rig.http.push(Ok(response.with_header(location.0, location.1)));
        assert_eq!(finish(&rig).await.unwrap_err().kind(), ErrorKind::InvalidResponse);
        assert_eq!(rig.http.count(), 1);
    }
}

#[tokio::test]
async fn c6_a_page_is_no_token_response() {
    let page = "<html><form action=\"/login?access_token=leak\">planted-page-token-0123456789</form></html>";
    for (status, content_type) in
        [(200, "text/html"), (400, "text/html"), (200, "application/json"), (403, "text/plain")]
    {
        let rig = Rig::new();
        rig.http.answer(status, content_type, page);
        let error = finish(&rig).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidResponse, "{status} {content_type}");
        assert_eq!(error.status().unwrap().as_u16(), status);
        assert!(!format!("{error} {error:?}").contains("planted"));
        assert!(!error.body_prefix().unwrap().contains("planted-page-token"), "{:?}", error.body_prefix());
    }
}

#[tokio::test]
async fn c6_content_types_do_not_matter_where_the_body_is_clear() {
    for content_type in
        ["application/json; charset=utf-8", "text/javascript", "text/plain", "application/jwt+json"]
    {
        let rig = Rig::new();
        rig.http.answer(200, content_type, r#"{"access_token":"a"}"#);
        finish(&rig).await.unwrap();
    }
    let rig = Rig::new();
    rig.http.answer(201, "text/plain", "access_token=a&expires_in=60");
    assert!(finish(&rig).await.unwrap().access_token.ct_eq("a"));
}

#[tokio::test]
async fn c7_an_error_on_200_is_an_error() {
    let error = reply(r#"{"error":"bad_verification_code","access_token":"x"}"#).await.unwrap_err();
    assert_eq!((error.kind(), error.recovery()), (ErrorKind::Refused, Recovery::GiveUp));
    let error = reply(r#"{"error":"invalid_grant","error_description":"expired"}"#).await.unwrap_err();
    assert_eq!((error.kind(), error.recovery()), (ErrorKind::InvalidGrant, Recovery::Reconnect));
    let error = reply(r#"{"error":"invalid_client"}"#).await.unwrap_err();
    assert_eq!(error.recovery(), Recovery::FixConfiguration);
}

#[tokio::test]
async fn c8_without_an_access_token_there_is_no_success() {
    for body in [
        "{}",
        r#"{"access_token":null}"#,
        r#"{"access_token":""}"#,
        r#"{"access_token":7}"#,
        r#"{"token_type":"x"}"#,
    ] {
        let error = reply(body).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidResponse, "{body}");
    }
}

async fn expiry_of(value: &str, quirks: Quirks) -> Expiry {
    let rig = Rig::quirks(quirks);
    rig.http.json(&format!(r#"{{"access_token":"a","expires_in":{value}}}"#));
    let now = rig.clock.now();
    match finish(&rig).await.unwrap_or_else(|error| panic!("{value}: {error}")).expiry {
        Expiry::At(at) => Expiry::At(SystemTime::UNIX_EPOCH + at.duration_since(now).unwrap()),
        other => other,
    }
}

fn seconds(seconds: u64) -> Expiry {
    Expiry::At(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

#[tokio::test]
async fn c9_c10_a_bad_expires_in_never_fails_the_reply() {
    for (value, expected) in [
        ("3600", seconds(3600)),
        ("\"3599\"", seconds(3599)),
        ("3599.0", seconds(3599)),
        ("\" 60 \"", seconds(60)),
        ("1e3", seconds(1000)),
        ("\"1e5\"", seconds(100_000)),
        ("0", seconds(0)),
        ("-1", seconds(0)),
        ("\"0\"", seconds(0)),
        ("-9223372036854775808", seconds(0)),
        ("\"abc\"", Expiry::Unknown),
        ("\"\"", Expiry::Unknown),
        ("\"inf\"", Expiry::Unknown),
        ("\"NaN\"", Expiry::Unknown),
        ("true", Expiry::Unknown),
        ("[]", Expiry::Unknown),
        ("{}", Expiry::Unknown),
        ("null", Expiry::Unknown),
    ] {
        assert_eq!(expiry_of(value, Quirks::default()).await, expected, "{value}");
    }
    for huge in
        ["9223372036854775807", "18446744073709551615", "18446744073709551616", "1e300", "1e999", "\"1e999\""]
    {
        match expiry_of(huge, Quirks::default()).await {
            Expiry::At(at) => assert!(at > SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 32), "{huge}"),
            other => panic!("{huge}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn c10_zero_means_what_the_provider_means() {
    let mut quirks = Quirks::default();
    quirks.token_response.expiry.zero = ZeroExpiry::Never;
    assert_eq!(expiry_of("0", quirks.clone()).await, Expiry::Never);
    assert_eq!(expiry_of("60", quirks.clone()).await, seconds(60));
    quirks.token_response.expiry.kind = ExpiryKind::Milliseconds;
    assert_eq!(expiry_of("60000", quirks).await, seconds(60));
}

#[tokio::test]
async fn c11_an_unknown_expiry_is_told_apart() {
    let tokens = reply(r#"{"access_token":"a"}"#).await.unwrap();
    assert_eq!(tokens.expiry, Expiry::Unknown);
    assert!(!tokens.is_expired(SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40)));
}

#[tokio::test]
async fn c13_expiry_survives_every_step_of_the_clock() {
    let tokens = reply(r#"{"access_token":"a","expires_in":3600}"#).await.unwrap();
    assert!(!tokens.is_expired(SystemTime::UNIX_EPOCH));
    assert!(tokens.is_expired(SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40)));
    assert!(tokens.expiry.is_over(SystemTime::UNIX_EPOCH, Duration::MAX));
    assert!(!Expiry::Never.is_over(SystemTime::UNIX_EPOCH, Duration::MAX));
}

#[tokio::test]
async fn c14_a_member_that_occurs_twice_spoils_the_reply() {
    for body in [
        r#"{"access_token":"a","access_token":"b"}"#,
        r#"{"access_token":"a","scope":"x","scope":"y"}"#,
        r#"{"access_token":"a","error":"x","error":""}"#,
        r#"{"access_token":"a","x":{"y":1,"y":2}}"#,
        r#"{"access_token":"a","access_token":"b","expires_in":1e999}"#,
    ] {
        assert_eq!(reply(body).await.unwrap_err().kind(), ErrorKind::InvalidResponse, "{body}");
    }
    let rig = Rig::new();
    rig.http.answer(200, "application/x-www-form-urlencoded", "access_token=a&access_token=b");
    assert_eq!(finish(&rig).await.unwrap_err().kind(), ErrorKind::InvalidResponse);
}

#[tokio::test]
async fn c15_names_are_exact() {
    for body in [r#"{"Access_Token":"a"}"#, r#"{"access_token\u0000":"a"}"#, r#"{"ACCESS_TOKEN":"a"}"#] {
        assert_eq!(reply(body).await.unwrap_err().kind(), ErrorKind::InvalidResponse, "{body}");
    }
    let tokens = reply(r#"{"access_token":"a","Refresh_Token":"r"}"#).await.unwrap();
    assert!(tokens.refresh_token.is_none());
}

#[tokio::test]
async fn c16_strange_bodies_are_errors_and_no_panic() {
    let deep = format!("{{\"access_token\":\"a\",\"x\":{}", "[".repeat(100_000));
    let bodies: [&[u8]; 11] = [
        b"",
        b"[]",
        b"null",
        b"\"access_token\"",
        b"[{\"access_token\":\"a\"}]",
        b"\xef\xbb\xbf{\"access_token\":\"a\"}",
        b"{\"access_token\":\"a\"}x",
        b"{\"access_token\":\"a\xff\"}",
        b"{\"access_token\":\"a\"",
        b"{",
        deep.as_bytes(),
    ];
    for body in bodies {
        let rig = Rig::new();
        rig.http.push(Ok(HttpResponse::new(http::StatusCode::OK, body)));
        assert_eq!(finish(&rig).await.unwrap_err().kind(), ErrorKind::InvalidResponse);
    }
}

#[tokio::test]
async fn c17_tokens_hold_only_what_a_header_can_carry() {
    for token in ["a\\r\\nX: y", "a b", "a\\u0000", "caf\u{e9}", "\\u007f", "a\\tb"] {
        for name in ["access_token", "refresh_token", "id_token"] {
            let body = match name {
                "access_token" => format!(r#"{{"access_token":"{token}"}}"#),
                name => format!(r#"{{"access_token":"a","{name}":"{token}"}}"#),
            };
            assert_eq!(reply(&body).await.unwrap_err().kind(), ErrorKind::InvalidResponse, "{name} {token}");
        }
    }
    let large = "t".repeat(64 * 1024);
    let tokens = reply(&format!(r#"{{"access_token":"{large}"}}"#)).await.unwrap();
    assert_eq!(tokens.access_token.len(), 64 * 1024);
}

#[tokio::test]
async fn c19_the_granted_scopes_are_the_replys() {
    let scopes = |tokens: &TokenSet| tokens.scopes.iter().map(str::to_owned).collect::<Vec<_>>();
    let absent = reply(r#"{"access_token":"a"}"#).await.unwrap();
    assert_eq!((scopes(&absent), absent.scopes_assumed), (vec!["read".into(), "write".into()], true));
    let empty = reply(r#"{"access_token":"a","scope":""}"#).await.unwrap();
    assert_eq!((scopes(&empty), empty.scopes_assumed), (vec![], false), "an empty scope grants nothing");
    let odd = reply(r#"{"access_token":"a","scope":" read  admin read "}"#).await.unwrap();
    assert_eq!((scopes(&odd), odd.scopes_assumed), (vec!["read".into(), "admin".into()], false));
    let missing = Scopes::new(["read", "write"]).missing_from(&odd.scopes);
    assert_eq!(missing, Scopes::new(["write"]));
}

#[tokio::test]
async fn c23_the_servers_text_is_capped_and_free_of_what_we_sent() {
    let rig = Rig::new();
    let long = "d".repeat(1 << 19);
    let body =
        format!(r#"{{"error":"invalid_request","error_description":"planted-code-1 {SECRET} {long}"}}"#);
    rig.http.answer(400, "application/json", &body);
    let error = finish(&rig).await.unwrap_err();
    let description = error.server_error().unwrap().description().unwrap();
    assert!(description.len() <= 1024);
    assert!(!description.contains("planted"), "{description}");
}

#[tokio::test]
async fn x13_rate_limits_and_outages_are_retryable_and_their_codes_are_not_believed() {
    let day = Duration::from_secs(86_400);
    assert_eq!(rfc::MAX_RETRY_AFTER, day);
    for (value, expected) in [
        (Some("7"), Some(Duration::from_secs(7))),
        (Some("315360000"), Some(day)),
        (Some("99999999999999999999999"), Some(day)),
        (Some("-1"), None),
        (Some("soon"), None),
        (Some("Fri, 15 Jan 2027 08:01:00 GMT"), Some(Duration::from_secs(60))),
        (Some("Fri, 15 Jan 2020 08:01:00 GMT"), None),
        (Some("Wed, 15 Jan 2020 08:01:00 GMT"), Some(Duration::ZERO)),
        (None, None),
    ] {
        for status in [408, 425, 429, 500, 502, 503] {
            let rig = Rig::new();
            let mut response = HttpResponse::new(
                http::StatusCode::from_u16(status).unwrap(),
                r#"{"error":"invalid_grant"}"#,
            );
            if let Some(value) = value {
                response = response.with_header(http::header::RETRY_AFTER, value.parse().unwrap());
            }
            rig.http.push(Ok(response));
            let error = rig.flow.refresh(&tokens()).await.unwrap_err();
            let kind = if status == 429 { ErrorKind::RateLimited } else { ErrorKind::Unavailable };
            assert_eq!(error.kind(), kind);
            assert_eq!(error.recovery(), Recovery::Retry { after: expected }, "{value:?}");
        }
    }
}

#[tokio::test]
async fn c2_failures_of_the_network_are_typed_and_retryable() {
    for (kind, delivery, expected) in [
        (HttpErrorKind::Timeout, Delivery::Unknown, ErrorKind::Network),
        (HttpErrorKind::Transport, Delivery::NotSent, ErrorKind::Network),
        (HttpErrorKind::Tls, Delivery::NotSent, ErrorKind::Network),
        (HttpErrorKind::TooLarge, Delivery::Answered, ErrorKind::InvalidResponse),
        (HttpErrorKind::Decode, Delivery::Answered, ErrorKind::InvalidResponse),
    ] {
        let rig = Rig::new();
        rig.http.push(Err(HttpError::new(kind, delivery)));
        let error = finish(&rig).await.unwrap_err();
        assert_eq!(error.kind(), expected);
        assert_eq!(rig.http.count(), 1, "a code is never sent twice");
        if expected == ErrorKind::Network {
            assert_eq!(error.recovery(), Recovery::Reconnect, "the state is used up: begin again");
        }
    }
}

#[tokio::test]
async fn r6749_01_02_09_each_way_to_authenticate_is_used_alone() {
    let cases = [
        (
            ClientAuthentication::ClientSecretBasic,
            Some("Basic Y2xpZW50LTE6YSUzQWIlMkJjKyVDMyVBOSUyNQ=="),
            false,
            false,
        ),
        (
            ClientAuthentication::ClientSecretBasicUnencoded,
            Some("Basic Y2xpZW50LTE6YTpiK2Mgw6kl"),
            false,
            false,
        ),
        (ClientAuthentication::ClientSecretPost, None, true, true),
        (ClientAuthentication::None, None, true, false),
        (ClientAuthentication::Omitted, None, false, false),
    ];
    for (authentication, header, id_in_body, secret_in_body) in cases {
        let credentials = ClientCredentials::confidential("client-1", "a:b+c \u{e9}%")
            .redirect_uri(REDIRECT_URI)
            .authenticated_by(authentication);
        let rig = Rig::with(provider("p").build().unwrap(), credentials);
        rig.tokens();
        finish(&rig).await.unwrap();
        let request = rig.http.requests().pop().unwrap();
        let sent = request.headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(sent.as_deref(), header, "{authentication:?}");
        let form = rig.http.last_form();
        let has = |name: &str| form.iter().any(|(known, _)| known == name);
        assert_eq!(
            (has("client_id"), has("client_secret")),
            (id_in_body, secret_in_body),
            "{authentication:?}"
        );
        assert!(request.url.query().is_none());
        assert_eq!(request.method, "POST");
    }
    for (authentication, header) in [
        (ClientAuthentication::SecretBearer, "Bearer s3cret"),
        (ClientAuthentication::SecretBasicUsername, "Basic czNjcmV0Og=="),
    ] {
        let credentials = ClientCredentials::confidential("client-1", "s3cret")
            .redirect_uri(REDIRECT_URI)
            .authenticated_by(authentication);
        let rig = Rig::with(provider("p").build().unwrap(), credentials);
        rig.tokens();
        finish(&rig).await.unwrap();
        assert_eq!(rig.http.requests()[0].headers["authorization"], header);
        assert!(rig.http.requests()[0].headers["authorization"].is_sensitive());
    }
}

#[tokio::test]
async fn r6749_09_a_public_client_sends_its_id() {
    let rig = Rig::with(
        provider("p").build().unwrap(),
        ClientCredentials::public("pub").redirect_uri(REDIRECT_URI),
    );
    rig.tokens();
    finish(&rig).await.unwrap();
    assert!(rig.http.last_form().contains(&("client_id".to_owned(), "pub".to_owned())));
    let error = rig.flow.client_credentials(&Scopes::none()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration, "RFC 6749 §4.4.2");
}

#[tokio::test]
async fn r6749_the_exact_bytes_of_a_token_request() {
    let rig = Rig::new();
    let query = rig.begin(&user()).await;
    rig.tokens();
    rig.finish(&query, &user()).await.unwrap();
    let request = rig.http.requests().pop().unwrap();
    let body = String::from_utf8(request.body).unwrap();
    let front = "grant_type=authorization_code&code=planted-code-1&redirect_uri=https%3A%2F%2Fapp.example%2Fcallback&code_verifier=";
    assert_eq!(body.len(), front.len() + 43);
    assert!(body.starts_with(front), "{body}");
    assert_eq!(request.headers["content-type"], "application/x-www-form-urlencoded");
    assert_eq!(request.headers["accept"], "application/json");
    assert_eq!(request.headers["accept-encoding"], "identity");
    assert!(!request.headers.contains_key("user-agent"), "the client's own setting is not hidden");
}

#[tokio::test]
async fn other_formats_of_a_token_request() {
    let mut quirks = Quirks::default();
    quirks.token.format = RequestFormat::Json;
    let rig = Rig::quirks(quirks.clone());
    rig.tokens();
    finish(&rig).await.unwrap();
    let request = rig.http.requests().pop().unwrap();
    assert_eq!(request.headers["content-type"], "application/json");
    let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(body["grant_type"], "authorization_code");

    quirks.token.format = RequestFormat::Query;
    quirks.token.method = RequestMethod::Get;
    quirks.token.omit = vec!["grant_type".to_owned()];
    quirks.token.rename.insert("code".to_owned(), "auth_code".to_owned());
    let rig = Rig::quirks(quirks);
    rig.tokens();
    finish(&rig).await.unwrap();
    let request = rig.http.requests().pop().unwrap();
    assert!(request.body.is_empty());
    let names: Vec<_> = request.url.query_pairs().map(|(name, _)| name.into_owned()).collect();
    assert_eq!(names, ["auth_code", "redirect_uri", "code_verifier"]);
    assert!(!format!("{request:?}").contains("planted"), "a URL may hold a secret");
}

#[tokio::test]
async fn r6749_20_refresh_tokens_are_replaced_or_kept() {
    for (reply, expected) in [
        (r#"{"access_token":"new"}"#, "planted-refresh-1"),
        (r#"{"access_token":"new","refresh_token":null}"#, "planted-refresh-1"),
        (r#"{"access_token":"new","refresh_token":""}"#, "planted-refresh-1"),
        (r#"{"access_token":"new","refresh_token":"second"}"#, "second"),
    ] {
        let rig = Rig::new();
        rig.http.json(reply);
        let refreshed = rig.flow.refresh(&tokens()).await.unwrap();
        assert!(refreshed.access_token.ct_eq("new"));
        assert!(refreshed.refresh_token.unwrap().ct_eq(expected), "{reply}");
        assert_eq!(refreshed.scopes, Scopes::new(["read"]), "absent means as before");
        let form = rig.http.last_form();
        assert_eq!(form[0], ("grant_type".to_owned(), "refresh_token".to_owned()));
        assert!(form.iter().all(|(name, _)| name != "scope"), "never larger than granted: not sent");
        assert!(rig.http.requests()[0].headers["authorization"].to_str().unwrap().starts_with("Basic "));
    }
}

#[tokio::test]
async fn a_refresh_needs_something_to_refresh() {
    let rig = Rig::new();
    let mut none = tokens();
    none.refresh_token = None;
    assert_eq!(rig.flow.refresh(&none).await.unwrap_err().kind(), ErrorKind::Unsupported);
    let mut quirks = Quirks::default();
    quirks.refresh_policy.input = RefreshInput::None;
    let without = Rig::quirks(quirks.clone());
    assert_eq!(without.flow.refresh(&tokens()).await.unwrap_err().kind(), ErrorKind::Unsupported);

    quirks.refresh_policy.input = RefreshInput::AccessToken;
    quirks.refresh_policy.grant_type = Some("fb_exchange_token".to_owned());
    quirks.token.rename.insert("refresh_token".to_owned(), "fb_exchange_token".to_owned());
    let rig = Rig::quirks(quirks);
    rig.http.json(r#"{"access_token":"new"}"#);
    rig.flow.refresh(&none).await.unwrap();
    let form = rig.http.last_form();
    assert!(form.contains(&("grant_type".into(), "fb_exchange_token".into())));
    assert!(form.contains(&("fb_exchange_token".into(), "planted-access-1".into())));
}

#[tokio::test]
async fn x14_only_invalid_grant_ends_a_connection() {
    for (status, body, kind, recovery) in [
        (400, r#"{"error":"invalid_grant"}"#, ErrorKind::InvalidGrant, Recovery::Reconnect),
        (401, r#"{"error":"invalid_client"}"#, ErrorKind::Refused, Recovery::FixConfiguration),
        (400, r#"{"error":"invalid_scope"}"#, ErrorKind::Refused, Recovery::FixConfiguration),
        (400, r#"{"error":"unauthorized_client"}"#, ErrorKind::Refused, Recovery::FixConfiguration),
        (400, r#"{"error":"my_invalid_grant_text"}"#, ErrorKind::Refused, Recovery::GiveUp),
        (400, r#"{"error":"x","error_description":"invalid_grant"}"#, ErrorKind::Refused, Recovery::GiveUp),
        (400, "invalid_grant", ErrorKind::InvalidResponse, Recovery::GiveUp),
    ] {
        let rig = Rig::new();
        rig.http.answer(status, "application/json", body);
        let error = rig.flow.refresh(&tokens()).await.unwrap_err();
        assert_eq!((error.kind(), error.recovery()), (kind, recovery), "{body}");
    }
}

#[tokio::test]
async fn r7009_revocation_by_the_rfc() {
    let rig = Rig::new();
    rig.http.answer(200, "text/plain", "ok");
    assert_eq!(rig.flow.revoke(&tokens()).await.unwrap(), Revocation::Revoked);
    let request = rig.http.requests().pop().unwrap();
    assert_eq!(request.url.as_str(), "https://as.example/revoke");
    assert_eq!(request.body, b"token=planted-refresh-1&token_type_hint=refresh_token");
    assert!(request.headers.contains_key("authorization"));

    rig.http.answer(503, "text/plain", "");
    let error = rig.flow.revoke(&tokens()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("still in force"));

    rig.http.answer(400, "application/json", r#"{"error":"unsupported_token_type"}"#);
    rig.http.answer(200, "text/plain", "");
    assert_eq!(rig.flow.revoke(&tokens()).await.unwrap(), Revocation::Partial);

    let without = Rig::with(
        authflow_core::Provider::builder("p").token_endpoint("https://as.example/token").build().unwrap(),
        credentials(),
    );
    assert_eq!(without.flow.revoke(&tokens()).await.unwrap(), Revocation::Unsupported);
}

#[tokio::test]
async fn revocation_in_other_shapes() {
    let quirks: Quirks = serde_json::from_str(
        r#"{"revocation": {"token": "access_token",
            "request": {"method": "DELETE", "client_authentication": "access_token_bearer"}}}"#,
    )
    .unwrap();
    let provider = provider("p")
        .revocation_endpoint("https://as.example/tokens/{token}/revoke")
        .quirks(quirks)
        .build()
        .unwrap();
    let rig = Rig::with(provider, credentials());
    rig.http.answer(204, "text/plain", "");
    let mut odd = tokens();
    odd.access_token = Secret::new("a/b?c#d");
    assert_eq!(rig.flow.revoke(&odd).await.unwrap(), Revocation::Revoked);
    let request = rig.http.requests().pop().unwrap();
    assert_eq!(request.url.as_str(), "https://as.example/tokens/a%2Fb%3Fc%23d/revoke");
    assert_eq!((request.method.as_str(), request.body.len()), ("DELETE", 0));
    assert!(!request.headers.contains_key("content-type"), "there is nothing to send");
    assert_eq!(request.headers["authorization"], "Bearer a/b?c#d");
}
