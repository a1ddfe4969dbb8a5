//! The API about tokens, its wrapper and its errors.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::time::{Duration, SystemTime};

use authflow_core::{Error, ErrorKind, Expiry, Recovery};
use authflow_stackexchange::{Api, ApiError, ApiErrorId, MAX_TOKENS, TokenInfo, TokenList, User, Wrapper};
use serde_json::Value;
use support::{Scripted, builder, response};
use url::Url;

fn api() -> Api {
    builder().build().unwrap().api().clone()
}

fn many(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("token{n}")).collect()
}

#[tokio::test]
async fn one_to_twenty_tokens_go_into_the_path() {
    for (count, wanted) in [(1, "token0"), (3, "token0;token1;token2"), (20, "")] {
        let http = Scripted::provider();
        let tokens = TokenList::new(many(count)).unwrap();
        api().read(&*http, &tokens).await.unwrap();
        api().invalidate(&*http, &tokens).await.unwrap();
        api().de_authenticate(&*http, &tokens).await.unwrap();
        let wanted = if wanted.is_empty() { many(count).join(";") } else { wanted.to_owned() };
        let paths = [
            format!("/2.3/access-tokens/{wanted}"),
            format!("/2.3/access-tokens/{wanted}/invalidate"),
            format!("/2.3/apps/{wanted}/de-authenticate"),
        ];
        assert_eq!(http.paths(), paths);
        for request in http.sent() {
            assert_eq!(request.method, http::Method::GET);
            assert_eq!(request.url.query(), Some("key=key-canary"));
            assert_eq!(request.url.origin().ascii_serialization(), "https://api.stackexchange.com");
        }
    }
}

#[test]
fn none_too_many_and_what_is_no_token_are_refused() {
    let lists = [Vec::new(), many(MAX_TOKENS + 1)];
    for list in lists {
        let error = TokenList::new(list).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.to_string().contains("20"), "{error}");
    }
    for bad in ["", "a;b", ";", "a b", "a\r\nb", "a\0", "caf\u{e9}", ".", "..", "\u{7f}"] {
        let error = TokenList::new(["good", bad]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{bad:?}");
        assert!(!error.to_string().contains("good"));
    }
}

#[test]
fn a_token_stays_one_segment() {
    let tokens = TokenList::new(["a/b?c#d%2fe))"]).unwrap();
    let request = api().invalidate_request(&tokens).unwrap();
    assert_eq!(request.url.path(), "/2.3/access-tokens/a%2Fb%3Fc%23d%252fe))/invalidate");
    assert!(!format!("{request:?} {tokens:?}").contains("a/b"));
}

#[test]
fn the_api_is_not_spoken_to_in_the_clear() {
    for base in ["http://api.stackexchange.com/2.3", "ftp://api.stackexchange.com", "mailto:a@b.example"] {
        let error = Api::at(Url::parse(base).unwrap(), None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{base}");
    }
    let local = Api::at(Url::parse("http://127.0.0.1:9/2.3/").unwrap(), None).unwrap();
    let request = local.read_request(&TokenList::new(["t"]).unwrap()).unwrap();
    assert_eq!(request.url.as_str(), "http://127.0.0.1:9/2.3/access-tokens/t");
}

#[test]
fn fixture_stackexchange_read_tokens() {
    let body = r#"{"items":[{"access_token":"AT","expires_on_date":1790000000,"account_id":1,"scope":["read_inbox","no_expiry"]}],"has_more":false,"quota_max":10000,"quota_remaining":9999}"#;
    let wrapper: Wrapper<TokenInfo> = Wrapper::read(&response(200, body)).unwrap();
    let token = &wrapper.items[0];
    assert_eq!(token.access_token.expose(), "AT");
    assert_eq!(token.account_id, Some(1));
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000);
    assert_eq!(token.expiry, Expiry::At(at));
    assert!(token.scopes.contains("read_inbox"));
    assert_eq!((wrapper.quota_max, wrapper.quota_remaining), (Some(10_000), Some(9_999)));
    assert_eq!((wrapper.has_more, wrapper.backoff, wrapper.total), (false, None, None));
    assert!(!format!("{wrapper:?}").contains("AT"));
}

#[test]
fn a_token_without_a_date_has_no_end_only_if_its_scope_says_so() {
    for (scope, expiry) in [
        (r#","scope":["no_expiry"]"#, Expiry::Never),
        (r#","scope":[]"#, Expiry::Unknown),
        ("", Expiry::Unknown),
        (r#","expires_on_date":18446744073709551615"#, Expiry::Unknown),
    ] {
        let body = format!(r#"{{"items":[{{"access_token":"AT"{scope}}}]}}"#);
        let wrapper: Wrapper<TokenInfo> = Wrapper::read(&response(200, &body)).unwrap();
        assert_eq!(wrapper.items[0].expiry, expiry, "{scope}");
    }
}

#[test]
fn fixture_stackexchange_backoff() {
    let body = r#"{"items":[],"has_more":true,"backoff":10,"quota_max":300,"quota_remaining":299,"total":7}"#;
    let wrapper: Wrapper<User> = Wrapper::read(&response(200, body)).unwrap();
    assert_eq!(wrapper.backoff, Some(Duration::from_secs(10)));
    assert!(wrapper.has_more);
    assert_eq!(wrapper.total, Some(7));
}

#[test]
fn a_backoff_is_a_day_at_most_and_a_bad_one_is_none() {
    for (backoff, wanted) in [
        ("86401", Some(86_400)),
        ("18446744073709551615", Some(86_400)),
        ("-1", None),
        ("\"10\"", None),
        ("null", None),
        ("1e400", None),
    ] {
        let body = format!(r#"{{"items":[],"backoff":{backoff}}}"#);
        let wrapper: Wrapper<Value> = Wrapper::read(&response(200, &body)).unwrap();
        assert_eq!(wrapper.backoff, wanted.map(Duration::from_secs), "{backoff}");
    }
}

fn refused(status: u16, body: &str) -> Error {
    Wrapper::<User>::read(&response(status, body)).unwrap_err()
}

#[test]
fn fixture_stackexchange_api_error() {
    let error = refused(400, r#"{"error_id":403,"error_name":"access_denied","error_message":"..."}"#);
    let api_error = ApiError::of(&error).unwrap();
    assert_eq!(api_error.id(), ApiErrorId::AccessDenied);
    assert_eq!((api_error.name(), api_error.message()), ("access_denied", Some("...")));
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert_eq!(error.server_error().unwrap().code(), "access_denied");
    assert_eq!(error.status().unwrap(), 400);
}

#[test]
fn fixture_stackexchange_throttle() {
    let body = r#"{"error_id":502,"error_name":"throttle_violation","error_message":"too many requests from this IP"}"#;
    let error = refused(400, body);
    assert_eq!(error.recovery(), Recovery::Retry { after: None });

    let body = r#"{"error_id":502,"error_name":"throttle_violation","error_message":"too many requests from this IP, more requests available in 1234 seconds"}"#;
    let error = refused(400, body);
    assert_eq!(error.recovery(), Recovery::Retry { after: Some(Duration::from_secs(1234)) });
    assert_eq!(ApiError::of(&error).unwrap().wait(), Some(Duration::from_secs(1234)));
}

#[test]
fn the_time_to_wait_is_a_day_at_most() {
    for seconds in ["99999999", "99999999999999999999999999"] {
        let error = ApiError::new(502, "throttle_violation", Some(&format!("in {seconds} seconds")), None);
        assert_eq!(error.wait(), Some(Duration::from_secs(86_400)));
    }
    for words in ["in seconds", "in -1 seconds", "in 10 minutes", "10", ""] {
        assert_eq!(ApiError::new(502, "throttle_violation", Some(words), None).wait(), None, "{words}");
    }
}

#[test]
fn each_error_of_the_api_has_its_type_and_its_meaning() {
    use ApiErrorId as Id;
    use ErrorKind as Kind;
    let table = [
        (400, Id::BadParameter, Kind::Usage),
        (401, Id::AccessTokenRequired, Kind::Usage),
        (402, Id::InvalidAccessToken, Kind::InvalidGrant),
        (403, Id::AccessDenied, Kind::Refused),
        (404, Id::NoMethod, Kind::Usage),
        (405, Id::KeyRequired, Kind::Configuration),
        (406, Id::AccessTokenCompromised, Kind::InvalidGrant),
        (407, Id::WriteFailed, Kind::Refused),
        (409, Id::DuplicateRequest, Kind::Refused),
        (500, Id::InternalError, Kind::Unavailable),
        (502, Id::ThrottleViolation, Kind::RateLimited),
        (503, Id::TemporarilyUnavailable, Kind::Unavailable),
        (777, Id::Unknown(777), Kind::Refused),
    ];
    for (id, typed, kind) in table {
        assert_eq!(Id::from_id(id), typed);
        assert_eq!(typed.id(), id);
        // The API answers 400 whatever the error, and 200 to a wrapped request.
        for status in [400, 200] {
            let body =
                format!(r#"{{"error_id":{id},"error_name":"its_name","error_message":"its message"}}"#);
            let error = refused(status, &body);
            assert_eq!(error.kind(), kind, "{id}");
            let api_error = ApiError::of(&error).unwrap();
            assert_eq!((api_error.id(), api_error.name()), (typed, "its_name"));
        }
        assert_eq!(typed.ends_the_token(), id == 402 || id == 406);
    }
}

#[test]
fn an_error_without_a_number_or_a_name_is_still_one() {
    let error = refused(200, r#"{"error_name":"odd","items":[]}"#);
    assert_eq!(ApiError::of(&error).unwrap().id(), ApiErrorId::Unknown(0));
    let error = refused(200, r#"{"error_id":402}"#);
    assert_eq!(ApiError::of(&error).unwrap().id(), ApiErrorId::InvalidAccessToken);
}

#[test]
fn b11_the_words_of_the_api_are_cleaned_and_capped() {
    let message = format!("a\\r\\n\\u001b[31m<b>\\u202e{}", "x".repeat(5000));
    let error =
        refused(400, &format!(r#"{{"error_id":400,"error_name":"a\nb","error_message":"{message}"}}"#));
    let api_error = ApiError::of(&error).unwrap();
    assert_eq!(api_error.name(), "a?b");
    let shown = format!("{error} {api_error:?}");
    assert!(!shown.contains(['\r', '\n', '\u{1b}', '\u{202e}']));
    assert!(api_error.message().unwrap().len() <= 1024);
}

#[test]
fn c6_what_is_no_wrapper_is_a_typed_error_without_the_body() {
    for (status, body, kind) in [
        (200, "<html>canary</html>", ErrorKind::InvalidResponse),
        (200, "", ErrorKind::InvalidResponse),
        (200, "[]", ErrorKind::InvalidResponse),
        (200, r#"{"items":"canary"}"#, ErrorKind::InvalidResponse),
        (200, r#"{"items":[{"account_id":"canary"}]}"#, ErrorKind::InvalidResponse),
        (200, r#"{"items":[],"items":[]}"#, ErrorKind::InvalidResponse),
        (302, "canary", ErrorKind::InvalidResponse),
        (404, "{}", ErrorKind::InvalidResponse),
        (429, "canary", ErrorKind::RateLimited),
        (502, "<html>canary</html>", ErrorKind::Unavailable),
        (500, "{}", ErrorKind::Unavailable),
    ] {
        let error = refused(status, body);
        assert_eq!(error.kind(), kind, "{status} {body}");
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
        assert!(ApiError::of(&error).is_none());
    }
}

#[test]
fn an_answer_without_items_has_none() {
    let wrapper: Wrapper<User> = Wrapper::read(&response(200, "{}")).unwrap();
    assert!(wrapper.items.is_empty());
}

#[tokio::test]
async fn h1_a_token_that_the_api_repeats_is_not_shown() {
    let body = r#"{"error_id":400,"error_name":"bad_parameter","error_message":"canary-token, other-token"}"#;
    let tokens = TokenList::new(["canary-token", "other-token"]).unwrap();
    let error = api().read(&*Scripted::always(400, body), &tokens).await.unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("canary-token") && !shown.contains("other-token"), "{shown}");
    // A word that is too short to be a token is left alone.
    let tokens = TokenList::new(["bad"]).unwrap();
    let error = api().read(&*Scripted::always(400, body), &tokens).await.unwrap_err();
    assert_eq!(ApiError::of(&error).unwrap().name(), "bad_parameter");
}
