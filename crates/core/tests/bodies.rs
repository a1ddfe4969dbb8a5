//! The sample bodies of real providers, against expectations that were written by hand.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::time::{Duration, SystemTime};

use authflow_core::quirks::{Quirks, ResponseShape};
use authflow_core::{
    Call, ClientCredentials, ErrorKind, Expiry, Grant, HttpResponse, Operation, Provider, Scopes, TokenSet,
    VariableSources, rfc,
};
use serde_json::Value;

/// Late enough that an `issued_at` of a sample lies in the past.
const NOW: u64 = 1_900_000_000;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)
}

fn read(
    shape: ResponseShape,
    response: &HttpResponse,
    previous: Option<&TokenSet>,
) -> authflow_core::Result<TokenSet> {
    let mut quirks = Quirks::default();
    quirks.token_response = shape;
    let provider = Provider::builder("sample")
        .authorization_endpoint("https://sample.example/authorize")
        .token_endpoint("https://sample.example/token")
        .quirks(quirks)
        .build()
        .unwrap();
    let config = std::collections::BTreeMap::new();
    let none = sources(&config);
    let urls = provider.endpoints().resolve(&none).unwrap();
    let credentials =
        ClientCredentials::confidential("client", "client-secret").redirect_uri("https://app.example/cb");
    let grant = Grant::AuthorizationCode { code: "CODE".into(), code_verifier: None, redirect_uri: None };
    let asked = Scopes::new(["asked"]);
    let mut cx = Call::new(Operation::Exchange, &provider, &urls, &credentials, now());
    cx.grant = Some(&grant);
    cx.scopes = Some(&asked);
    cx.previous = previous;
    rfc::token_response(&cx, response)
}

fn sources(config: &std::collections::BTreeMap<String, authflow_core::Secret>) -> VariableSources<'_> {
    VariableSources::new(config)
}

fn response(sample: &Value, body: &str) -> HttpResponse {
    let status = u16::try_from(sample["http_status"].as_u64().unwrap()).unwrap();
    let response = HttpResponse::new(http::StatusCode::from_u16(status).unwrap(), body.as_bytes());
    match sample["content_type"].as_str() {
        Some(content_type) => response.with_header(http::header::CONTENT_TYPE, content_type.parse().unwrap()),
        None => response,
    }
}

fn text(value: &Value) -> Option<&str> {
    value.as_str()
}

fn check(id: &str, expect: &Value, got: authflow_core::Result<TokenSet>, body: &str) {
    match expect["kind"].as_str().unwrap() {
        "tokens" => {
            let tokens = got.unwrap_or_else(|error| panic!("{id}: {error}"));
            check_tokens(id, expect, &tokens);
        }
        "error" => {
            let error = got.expect_err(id);
            let server_error =
                error.server_error().unwrap_or_else(|| panic!("{id}: no server error in {error:?}"));
            assert_eq!(server_error.code(), text(&expect["code"]).unwrap(), "{id}");
            assert_eq!(server_error.description(), text(&expect["description"]), "{id}");
        }
        "malformed" => {
            let error = got.expect_err(id);
            assert!(error.server_error().is_none(), "{id}: {error}");
            let kinds = [ErrorKind::InvalidResponse, ErrorKind::Refused, ErrorKind::Unavailable];
            assert!(kinds.contains(&error.kind()), "{id}: {error:?}");
            assert!(
                body.is_empty() || !format!("{error} {error:?}").contains(body),
                "{id}: the body is in the error"
            );
        }
        other => panic!("{id}: {other}"),
    }
}

fn check_tokens(id: &str, expect: &Value, tokens: &TokenSet) {
    assert!(tokens.access_token.ct_eq(text(&expect["access_token"]).unwrap()), "{id}: access_token");
    assert_eq!(
        tokens.refresh_token.as_ref().map(|token| token.expose()),
        text(&expect["refresh_token"]),
        "{id}"
    );
    assert_eq!(tokens.token_type.as_deref(), text(&expect["token_type"]), "{id}: token_type");
    assert_eq!(
        tokens.id_token.as_ref().map(|token| token.expose()),
        text(&expect["id_token"]),
        "{id}: id_token"
    );
    let expected = match &expect["expiry"] {
        Value::String(word) if word == "never" => Expiry::Never,
        Value::String(_) => Expiry::Unknown,
        Value::Object(at) => match (at.get("in"), at.get("at")) {
            (Some(seconds), None) => Expiry::At(now() + Duration::from_secs(seconds.as_u64().unwrap())),
            (None, Some(at)) => {
                Expiry::At(SystemTime::UNIX_EPOCH + Duration::from_secs(at.as_u64().unwrap()))
            }
            _ => panic!("{id}: expiry"),
        },
        other => panic!("{id}: {other}"),
    };
    assert_eq!(whole_seconds(tokens.expiry), expected, "{id}: expiry");
    match &expect["scope"] {
        Value::Null => {
            assert!(tokens.scopes_assumed, "{id}: scope");
            assert_eq!(tokens.scopes, Scopes::new(["asked"]), "{id}: absent means as asked");
        }
        scopes => {
            assert!(!tokens.scopes_assumed, "{id}: scope");
            let scopes: Vec<_> =
                scopes.as_array().unwrap().iter().map(|scope| scope.as_str().unwrap()).collect();
            assert_eq!(tokens.scopes.iter().collect::<Vec<_>>(), scopes, "{id}: scope");
        }
    }
    let refresh_expiry = match expect["refresh_token_expires_in"].as_u64() {
        Some(seconds) => Expiry::At(now() + Duration::from_secs(seconds)),
        None => Expiry::Unknown,
    };
    assert_eq!(whole_seconds(tokens.refresh_expiry), refresh_expiry, "{id}: refresh_token_expires_in");
    let mut extra: Vec<_> = tokens.extra.keys().map(String::as_str).collect();
    extra.sort_unstable();
    let expected: Vec<_> =
        expect["extra"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(extra, expected, "{id}: extra");
    if let Some(account) = expect.get("account") {
        assert_eq!(tokens.account.as_deref(), account.as_str(), "{id}: account");
    }
}

fn whole_seconds(expiry: Expiry) -> Expiry {
    match expiry {
        Expiry::At(at) => {
            let seconds = at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
            Expiry::At(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
        }
        other => other,
    }
}

#[test]
fn every_sample_body_gives_what_is_written_beside_it() {
    let samples: Vec<Value> = serde_json::from_str(include_str!("fixtures/bodies.json")).unwrap();
    assert_eq!(samples.len(), 93);
    let mut checked = 0;
    for sample in &samples {
        let id = sample["id"].as_str().unwrap();
        let shape = |value: &Value| -> ResponseShape {
            serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{id}: {error}"))
        };
        let body = sample["body"].as_str().unwrap();
        let expect = match &sample["expect"] {
            elsewhere if elsewhere["kind"] == "not_a_token_response" => &sample["as_token_response"],
            expect => expect,
        };
        if !expect.is_null() {
            let response = response(sample, body);
            check(id, expect, read(shape(&sample["quirks"]), &response, None), body);
            checked += 1;
        }
        for variant in sample["variants"].as_array().unwrap_or(&Vec::new()) {
            let body = variant["body"].as_str().unwrap_or(body);
            let shape = shape(variant.get("quirks").unwrap_or(&sample["quirks"]));
            let response = response(sample, body);
            let id = format!("{id}, {}", variant["why"].as_str().unwrap_or("variant"));
            check(&id, &variant["expect"], read(shape, &response, None), body);
            checked += 1;
        }
    }
    assert_eq!(checked, 121, "a case was skipped");
}
