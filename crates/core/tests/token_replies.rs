//! What the members of a token response become, by the RFC and by the provider's shape.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use std::time::{Duration, SystemTime};

use authflow_core::{Clock as _, ErrorKind, Expiry, Grant, Quirks, Result, Scopes, Secret, TokenSet};
use common::{Rig, callback, user};
use serde_json::json;

fn quirks(json: &str) -> Quirks {
    serde_json::from_str(json).unwrap()
}

async fn reply(rig: &Rig, content_type: &str, body: &str) -> Result<TokenSet> {
    rig.http.answer(200, content_type, body);
    let query = rig.begin(&user()).await;
    rig.finish(&query, &user()).await.map(|completed| completed.tokens)
}

async fn json_reply(shape: &str, body: &str) -> Result<TokenSet> {
    reply(&Rig::quirks(quirks(&format!(r#"{{"token_response": {shape}}}"#))), "application/json", body).await
}

/// Seconds from the reply on.
fn left(rig: &Rig, expiry: Expiry) -> Option<u64> {
    match expiry {
        Expiry::At(at) => Some(at.duration_since(rig.clock.now()).unwrap().as_secs()),
        Expiry::Never | Expiry::Unknown => None,
    }
}

#[tokio::test]
async fn c6_what_says_that_it_is_json_is_not_read_as_a_form() {
    let form = "access_token=a&token_type=bearer";
    for content_type in ["application/json", "application/problem+json", "text/json; charset=utf-8"] {
        let error = reply(&Rig::new(), content_type, form).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidResponse, "{content_type}");
    }
    reply(&Rig::new(), "text/plain", form).await.unwrap();
}

#[tokio::test]
async fn members_that_the_protocol_does_not_know_are_kept_as_they_are() {
    let body = r#"{"access_token":"a","s":"é\n","t":true,"f":false,"n":null,"i":-7,"u":18446744073709551615,
        "d":1.5,"l":[1,"x",null],"o":{"a":{"b":false}},"a/b":1,"expires_in":60}"#;
    let tokens = json_reply("{}", body).await.unwrap();
    let kept = json!({"s": "é\n", "t": true, "f": false, "n": null, "i": -7, "u": u64::MAX, "d": 1.5,
        "l": [1, "x", null], "o": {"a": {"b": false}}, "a/b": 1});
    assert_eq!(serde_json::Value::Object(tokens.extra), kept);
}

#[tokio::test]
async fn c15_a_name_may_be_written_with_escapes() {
    let body = r#"{"acc\u0065ss_token":"a","ex\u0070ires_in":60,"s\u00e9":1,"a\tb":{"\u0063":2}}"#;
    let tokens = json_reply("{}", body).await.unwrap();
    assert!(tokens.access_token.ct_eq("a") && matches!(tokens.expiry, Expiry::At(_)));
    assert_eq!(serde_json::Value::Object(tokens.extra), json!({"sé": 1, "a\tb": {"c": 2}}));
}

/// More than a number can hold is the most that it can: in one member it does not cost the others.
#[tokio::test]
async fn c16_a_number_beyond_all_bounds_is_the_greatest_there_is() {
    let tokens = json_reply("{}", r#"{"access_token":"a","low":-1e999,"high":1e999}"#).await.unwrap();
    assert!(tokens.access_token.ct_eq("a"));
    assert_eq!((&tokens.extra["low"], &tokens.extra["high"]), (&json!(f64::MIN), &json!(f64::MAX)));
}

#[tokio::test]
async fn a_field_is_where_its_pointer_says() {
    let shape = r#"{"fields": {"access_token": "/token~1s/a~0b", "account": "/who/id"}}"#;
    let body = r#"{"token/s": {"a~b": "planted"}, "who": {"id": 7}}"#;
    let tokens = json_reply(shape, body).await.unwrap();
    assert!(tokens.access_token.ct_eq("planted"));
    assert_eq!(tokens.account.as_deref(), Some("7"));
    for (account, expected) in [(r#""x""#, Some("x")), (r#""""#, None), ("true", None), ("null", None)] {
        let body = format!(r#"{{"access_token": "a", "who": {{"id": {account}}}}}"#);
        let tokens = json_reply(shape, &body).await.unwrap();
        assert_eq!(tokens.account.as_deref(), expected, "{account}");
    }
}

#[tokio::test]
async fn a_lifetime_counts_from_the_time_of_issue_in_seconds_or_milliseconds() {
    let now = 1_800_000_000_u64;
    for (issued, expected) in [
        (json!(now - 10), 50),
        (json!((now - 10) * 1000), 50),
        (json!((now - 10).to_string()), 50),
        // Never from a time in the future, nor from what is no time.
        (json!(now + 10), 60),
        (json!((now + 10) * 1000), 60),
        (json!(100_000_000_000_u64), 60),
        (json!("soon"), 60),
        (json!(-1), 60),
    ] {
        let rig = Rig::quirks(quirks(r#"{"token_response": {"expiry": {"issued_at": "/issued"}}}"#));
        let body = json!({"access_token": "a", "expires_in": 60, "issued": issued}).to_string();
        let tokens = reply(&rig, "application/json", &body).await.unwrap();
        assert_eq!(left(&rig, tokens.expiry), Some(expected), "{issued}");
    }
}

#[tokio::test]
async fn a_lifetime_that_is_null_is_one_that_is_not_told() {
    for (body, expected) in [
        (r#"{"access_token":"a"}"#, Some(60)),
        (r#"{"access_token":"a","expires_in":null}"#, Some(60)),
        (r#"{"access_token":"a","expires_in":30}"#, Some(30)),
        (r#"{"access_token":"a","expires_in":"soon"}"#, None),
    ] {
        let rig = Rig::quirks(quirks(r#"{"token_response": {"expiry": {"default": 60}}}"#));
        let tokens = reply(&rig, "application/json", body).await.unwrap();
        assert_eq!(left(&rig, tokens.expiry), expected, "{body}");
    }
}

#[tokio::test]
async fn a_refresh_token_of_zero_seconds_is_one_of_unknown_lifetime() {
    for (value, expected) in [("60", Some(60)), ("0.5", Some(0)), ("0", None), ("-1", None), (r#""x""#, None)]
    {
        let rig = Rig::new();
        let body =
            format!(r#"{{"access_token":"a","refresh_token":"r","refresh_token_expires_in":{value}}}"#);
        let tokens = reply(&rig, "application/json", &body).await.unwrap();
        assert_eq!(left(&rig, tokens.refresh_expiry), expected, "{value}");
        assert_eq!(expected.is_none(), tokens.refresh_expiry == Expiry::Unknown);
    }
}

#[tokio::test]
async fn an_access_token_may_be_missing_only_where_the_shape_says_so() {
    let optional = r#"{"access_token_optional": true}"#;
    let tokens = json_reply(optional, r#"{"id_token":"i"}"#).await.unwrap();
    assert!(tokens.access_token.is_empty());
    assert!(tokens.id_token.unwrap().ct_eq("i"));
    for (shape, body) in [("{}", r#"{"id_token":"i"}"#), (optional, r#"{"refresh_token":"r"}"#)] {
        let error = json_reply(shape, body).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidResponse, "{shape} {body}");
    }
}

#[tokio::test]
async fn granted_scopes_are_split_by_the_providers_delimiter() {
    let rig = Rig::quirks(quirks(r#"{"token_response": {"scope_delimiter": ","}}"#));
    for (asked, granted, expected) in
        [("a,b", "a,b", &["a", "b"][..]), ("a", "a", &["a"]), ("a", "a,c d", &["a", "c", "d"])]
    {
        let authorization = rig.flow.begin(&user()).scope(asked).await.unwrap();
        rig.http.json(&json!({"access_token": "a", "scope": granted}).to_string());
        let completed = rig.finish(&callback(authorization.url()), &user()).await.unwrap();
        assert_eq!(completed.tokens.scopes, Scopes::new(expected), "{granted}");
        assert!(!completed.tokens.scopes_assumed);
    }
}

fn connected() -> TokenSet {
    let received = SystemTime::UNIX_EPOCH + Duration::from_secs(1_799_000_000);
    let mut tokens = TokenSet::new("access-1", received);
    tokens.refresh_token = Some(Secret::new("refresh-1"));
    tokens.refresh_expiry = Expiry::At(received + Duration::from_secs(5_000_000));
    tokens.extra.insert("team".to_owned(), "one".into());
    tokens.extra.insert("instance".to_owned(), "eu".into());
    tokens
}

#[tokio::test]
async fn r6749_20_what_a_refresh_leaves_out_stays_and_what_it_names_is_new() {
    let rig = Rig::new();
    rig.http.json(r#"{"access_token":"access-2","team":"two"}"#);
    let tokens = rig.flow.refresh(&connected()).await.unwrap();
    assert_eq!((tokens.extra_str("team"), tokens.extra_str("instance")), (Some("two"), Some("eu")));
    assert!(tokens.refresh_token.unwrap().ct_eq("refresh-1"));
    assert_eq!(tokens.refresh_expiry, connected().refresh_expiry);

    // The lifetime was that of the old one.
    rig.http.json(r#"{"access_token":"access-3","refresh_token":"refresh-2"}"#);
    let tokens = rig.flow.refresh(&connected()).await.unwrap();
    assert!(tokens.refresh_token.unwrap().ct_eq("refresh-2"));
    assert_eq!(tokens.refresh_expiry, Expiry::Unknown);

    let rig = Rig::quirks(quirks(r#"{"refresh_policy": {"keep_refresh_token_when_absent": false}}"#));
    rig.http.json(r#"{"access_token":"access-4"}"#);
    let tokens = rig.flow.refresh(&connected()).await.unwrap();
    assert!(tokens.refresh_token.is_none());
    assert_eq!(tokens.refresh_expiry, Expiry::Unknown);
}

#[tokio::test]
async fn a_provider_without_refresh_is_asked_for_none() {
    let rig = Rig::quirks(quirks(r#"{"refresh_policy": {"input": "none"}}"#));
    let error = rig.flow.refresh(&connected()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let grant = Grant::RefreshToken { refresh_token: Secret::new("refresh-1") };
    let error = rig.flow.token_request(&grant, &Scopes::none()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(rig.http.count(), 0);
}

#[tokio::test]
async fn the_answer_to_a_refresh_may_have_a_shape_of_its_own() {
    let rig = Rig::quirks(quirks(r#"{"refresh_response": {"fields": {"access_token": "/data/token"}}}"#));
    let tokens =
        reply(&rig, "application/json", r#"{"access_token":"a","data":{"token":"b"}}"#).await.unwrap();
    assert!(tokens.access_token.ct_eq("a"));
    rig.http.json(r#"{"access_token":"a","data":{"token":"b"}}"#);
    assert!(rig.flow.refresh(&connected()).await.unwrap().access_token.ct_eq("b"));
}

#[tokio::test]
async fn x14_an_error_is_where_the_shape_says() {
    let shape = r#"{"error": {
        "when": [{"pointer": "/status", "op": "equals", "value": "1"}, {"pointer": "/failed", "op": "equals", "value": true}],
        "code": ["/reason", "/number"], "code_map": {"gone": "invalid_grant"}}}"#;
    for (body, code) in [
        (r#"{"access_token":"a","status":1,"reason":"gone"}"#, Some("invalid_grant")),
        (r#"{"access_token":"a","status":"1","reason":"","number":42}"#, Some("42")),
        (r#"{"access_token":"a","failed":true,"reason":"x"}"#, Some("x")),
        (r#"{"access_token":"a","status":2,"failed":"true","reason":"gone"}"#, None),
        (r#"{"access_token":"a","status":"ok","reason":"gone"}"#, None),
        (r#"{"access_token":"a","status":null,"reason":"gone"}"#, None),
    ] {
        match json_reply(shape, body).await {
            Ok(_) => assert_eq!(code, None, "{body}"),
            Err(error) => assert_eq!(error.server_error().map(|it| it.code()), code, "{body}"),
        }
    }
}

#[tokio::test]
async fn a_refusal_without_a_code_is_told_from_a_page() {
    for (body, kind) in [
        (r#"{"message":"no"}"#, ErrorKind::Refused),
        ("<html></html>", ErrorKind::InvalidResponse),
        ("", ErrorKind::InvalidResponse),
    ] {
        let rig = Rig::new();
        rig.http.answer(403, "application/json", body);
        assert_eq!(rig.flow.refresh(&connected()).await.unwrap_err().kind(), kind, "{body}");
    }
}

/// OpenID Connect Core §12.2: a refresh need not bring another id_token.
#[tokio::test]
async fn what_a_refresh_leaves_out_stays() {
    let mut before = connected();
    (before.id_token, before.token_type) = (Some(Secret::new("id-1")), Some("DPoP".to_owned()));
    for (more, id_token, token_type) in
        [("", "id-1", "DPoP"), (r#","id_token":"id-2","token_type":"Bearer""#, "id-2", "Bearer")]
    {
        let rig = Rig::new();
        rig.http.json(&format!(r#"{{"access_token":"a"{more}}}"#));
        let refreshed = rig.flow.refresh(&before).await.unwrap();
        assert!(refreshed.id_token.unwrap().ct_eq(id_token), "{more}");
        assert_eq!(refreshed.token_type.as_deref(), Some(token_type));
    }
}

/// As JavaScript and Python write a name that was cut by UTF-16 units (RFC 8259 §8.2).
#[tokio::test]
async fn c16_half_a_character_in_a_name_costs_no_token() {
    for (written, read) in [
        (r"x\ud83d", "x\u{fffd}"),
        (r"\ude00x", "\u{fffd}x"),
        (r"\ud83d\ud83d\ude00\n", "\u{fffd}\u{1f600}\n"),
        (r"\ud83d\u0041", "\u{fffd}A"),
        (r"\\ud83d\ud83d", "\\ud83d\u{fffd}"),
        (r"é\uD83D", "é\u{fffd}"),
    ] {
        let body = format!(r#"{{"access_token":"a","team":{{"name":"{written}"}},"{{}}":"{written}"}}"#);
        let tokens = json_reply("{}", &body).await.unwrap();
        assert_eq!(tokens.extra["team"]["name"], read, "{written}");
        assert_eq!(tokens.extra_str("{}"), Some(read), "{written}");
    }
    for bad in [
        r#"{"access_token":"a\ud83d"}"#,
        r#"{"access_token":"a","x":{"a":"\ud83d","a":"\ud83d"}}"#,
        r#"{"access_token":"a","x":"\ud83d\q"}"#,
        r#"{"access_token":"a","x":"\ud83d\u00g0"}"#,
    ] {
        assert_eq!(json_reply("{}", bad).await.unwrap_err().kind(), ErrorKind::InvalidResponse, "{bad}");
    }
}

/// At most 256 characters of it, and nothing that is or looks like a token.
#[tokio::test]
async fn h1_the_beginning_of_a_strange_body_is_kept_without_its_secrets() {
    let letters = |length: usize| "x".repeat(length);
    let (thirty, thirty_one) = (letters(30), letters(31));
    for (body, expected) in [
        ("Service down, sorry 503", "Service down, sorry 503".to_owned()),
        // A word counts with what ends it.
        ("abcdefghijklm1 abcdefghijklmn1 .", "abcdefghijklm1 [..] .".to_owned()),
        (&*format!("{thirty} {thirty_one} ."), format!("{thirty} [..] .")),
        ("<p>refresh-1</p>", "<p>[redacted]</p>".to_owned()),
        ("M.C5!aB9*cDe7$fGh|(j) .", "[..] .".to_owned()),
        (
            r#"{"access_token": "ab:c", "a": "b", no}"#,
            "{'access_token': '[..] [..] , 'a': 'b', no}".to_owned(),
        ),
        ("Refresh_Token=ab&a=b c", "Refresh_Token=[..] a=b c".to_owned()),
        ("the token is unknown; token_type: x", "the token is unknown; token_type: x".to_owned()),
        (&*"no ".repeat(200), "no ".repeat(86)[..256].to_owned()),
    ] {
        let rig = Rig::new();
        rig.http.answer(400, "text/html", body);
        let error = rig.flow.refresh(&connected()).await.unwrap_err();
        assert_eq!(error.body_prefix(), Some(&*expected), "{body}");
    }
    let rig = Rig::new();
    rig.http.answer(400, "text/html", "");
    assert_eq!(rig.flow.refresh(&connected()).await.unwrap_err().body_prefix(), None);
}
