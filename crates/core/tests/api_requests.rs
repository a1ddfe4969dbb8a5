//! The access token in an API request (RFC 6750 §2), in each place that a provider may want it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use std::time::SystemTime;

use authflow_core::{ErrorKind, HttpRequest, TokenSet};
use common::{Rig, credentials, provider};
use http::Method;
use http::header::CONTENT_TYPE;

const FORM: &str = "application/x-www-form-urlencoded";

fn rig(usage: &str) -> Rig {
    let quirks = serde_json::from_str(&format!(r#"{{"access_token_usage": {usage}}}"#)).unwrap();
    Rig::with(provider("p").config("key", "k&1").quirks(quirks).build().unwrap(), credentials())
}

fn tokens() -> TokenSet {
    TokenSet::new("planted-access-1", SystemTime::UNIX_EPOCH)
}

fn get(query: &str) -> HttpRequest {
    HttpRequest::get(format!("https://api.example/me?{query}").parse().unwrap())
}

fn post(content_type: Option<&'static str>, body: &str) -> HttpRequest {
    let request = HttpRequest::new(Method::POST, "https://api.example/me".parse().unwrap()).with_body(body);
    match content_type {
        Some(content_type) => request.with_header(CONTENT_TYPE, content_type.parse().unwrap()),
        None => request,
    }
}

#[tokio::test]
async fn a_token_in_the_query_replaces_what_was_there_and_nothing_else() {
    let rig = rig(r#"{"placement": {"query": {"name": "access_token"}},
            "request_parameters": {"key": "{config.key}", "site": "{config.site}"}}"#);
    for (before, after) in [
        ("", "access_token=planted-access-1&key=k%261"),
        ("a=1&b=2", "a=1&b=2&access_token=planted-access-1&key=k%261"),
        ("access_token=old&a=1&key=old", "a=1&access_token=planted-access-1&key=k%261"),
        // However their names are written.
        ("access%5Ftoken=old&a&%6bey=old", "a&access_token=planted-access-1&key=k%261"),
        ("access_token&access_token=&key=1=2&access_token=old", "access_token=planted-access-1&key=k%261"),
        // As they are written.
        (
            "q=%E9&flag&x=a+b&y=a%20b&%7e=%2F/",
            "q=%E9&flag&x=a+b&y=a%20b&%7e=%2F/&access_token=planted-access-1&key=k%261",
        ),
        ("&a&&b=&", "&a&&b=&&access_token=planted-access-1&key=k%261"),
        (
            "a=key&access_token%3D=1&access+token=2&Key=3&site=4",
            "a=key&access_token%3D=1&access+token=2&Key=3&site=4&access_token=planted-access-1&key=k%261",
        ),
    ] {
        let mut request = get(before);
        for attempt in ["once", "twice"] {
            rig.flow.authenticate(&tokens(), &mut request).await.unwrap();
            assert_eq!(request.url.query(), Some(after), "{before}, {attempt}");
        }
        assert!(request.headers.is_empty());
    }
}

#[tokio::test]
async fn a_token_in_the_query_needs_no_query_and_leaves_the_fragment_alone() {
    let rig = rig(r#"{"placement": {"query": {"name": "access_token"}}}"#);
    let url = "https://api.example/me#access_token=%E9&a";
    let mut request = HttpRequest::get(url.parse().unwrap());
    rig.flow.authenticate(&tokens(), &mut request).await.unwrap();
    let expected = "https://api.example/me?access_token=planted-access-1#access_token=%E9&a";
    assert_eq!(request.url.as_str(), expected);
}

#[tokio::test]
async fn a_token_in_a_form_replaces_what_was_there_and_nothing_else() {
    let rig = rig(r#"{"placement": {"form": {"name": "access_token"}}}"#);
    let rows: [(&[u8], &[u8]); 4] = [
        (b"", b"access_token=planted-access-1"),
        (b"access%5Ftoken=old&access_token", b"access_token=planted-access-1"),
        (
            b"\xE9=\xFF&q=%E9&flag&access_token=\xFF&x=a+b&y=a%20b",
            b"\xE9=\xFF&q=%E9&flag&x=a+b&y=a%20b&access_token=planted-access-1",
        ),
        (b"&a=\"\r\n\"&&", b"&a=\"\r\n\"&&&access_token=planted-access-1"),
    ];
    for (before, after) in rows {
        let mut request = post(Some(FORM), "");
        request.body = before.to_vec();
        for attempt in ["once", "twice"] {
            rig.flow.authenticate(&tokens(), &mut request).await.unwrap();
            assert_eq!(request.body, after, "{}, {attempt}", before.escape_ascii());
        }
        assert_eq!(request.url.query(), None);
    }
}

#[tokio::test]
async fn a_token_in_a_form_needs_a_form() {
    let rig = rig(r#"{"placement": {"form": {"name": "token"}}}"#);
    for content_type in [Some(FORM), None] {
        let mut request = post(content_type, "a=1&token=old&b=2");
        rig.flow.authenticate(&tokens(), &mut request).await.unwrap();
        assert_eq!(request.body, b"a=1&b=2&token=planted-access-1", "{content_type:?}");
        assert_eq!(request.headers[CONTENT_TYPE], FORM);
    }
    let mut request = post(Some("application/json"), "{}");
    let error = rig.flow.authenticate(&tokens(), &mut request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert_eq!(request.body, b"{}", "nothing is attached to a request that is refused");
}

#[tokio::test]
async fn a_token_in_a_header_has_the_scheme_of_the_provider() {
    for (placement, name, value) in [
        (
            r#"{"name": "authorization", "scheme": "Zoho-oauthtoken"}"#,
            "authorization",
            "Zoho-oauthtoken planted-access-1",
        ),
        (r#"{"name": "x-token"}"#, "x-token", "planted-access-1"),
    ] {
        let rig = rig(&format!(
            r#"{{"placement": {{"header": {placement}}}, "request_headers": {{"x-key": "{{config.key}}"}}}}"#
        ));
        let mut request = get("a=1");
        rig.flow.authenticate(&tokens(), &mut request).await.unwrap();
        assert_eq!(request.headers[name], value);
        assert_eq!(request.headers["x-key"], "k&1");
        assert!(request.headers.values().all(http::HeaderValue::is_sensitive));
        assert_eq!(request.headers.len(), 2);
        assert_eq!(request.url.query(), Some("a=1"));
    }
}

#[tokio::test]
async fn c17_a_token_that_cannot_be_sent_is_not_sent() {
    let rig = Rig::new();
    for token in ["", "a b", "a\r\nb", "é"] {
        let mut request = get("");
        let error = rig.flow.authenticate(&TokenSet::new(token, SystemTime::UNIX_EPOCH), &mut request).await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Usage, "{token:?}");
        assert!(request.headers.is_empty());
    }
}
