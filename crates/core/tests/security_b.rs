//! facts/security.md §4.B: the authorization response.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use authflow_core::quirks::{IssPolicy, PkceMethod, Quirks, ResponseMode};
use authflow_core::{
    AuthorizationResponse, Delivery, Error, ErrorKind, Grant, HttpError, HttpErrorKind, Recovery, Scopes,
    ServerError, check_return_to,
};
use common::{REDIRECT_URI, Rig, callback, credentials, provider, query_value, user};

fn with_issuer(policy: IssPolicy) -> Rig {
    let mut quirks = Quirks::default();
    quirks.authorization_response.iss = policy;
    Rig::with(provider("p").issuer("https://as.example").quirks(quirks).build().unwrap(), credentials())
}

#[tokio::test]
async fn b1_b4_the_issuer_is_compared_byte_by_byte() {
    for wrong in [
        "https://as.example/",
        "HTTPS://as.example",
        "https://as.example:443",
        "https://%61s.example",
        "https://evil.example",
        "https://as.example1",
        "",
        "https://as.exampl",
    ] {
        let rig = with_issuer(IssPolicy::Required);
        let encoded: String = url::form_urlencoded::byte_serialize(wrong.as_bytes()).collect();
        let query = format!("{}&iss={encoded}", rig.begin(&user()).await);
        let error = rig.finish(&query, &user()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::IssuerMismatch, "{wrong}");
        assert_eq!(rig.http.count(), 0, "{wrong}");
    }
    let rig = with_issuer(IssPolicy::Required);
    let query = format!("{}&iss=https%3A%2F%2Fas.example", rig.begin(&user()).await);
    rig.tokens();
    rig.finish(&query, &user()).await.unwrap();
}

#[tokio::test]
async fn b2_a_missing_issuer_is_refused_where_it_is_known() {
    let rig = with_issuer(IssPolicy::Required);
    let query = rig.begin(&user()).await;
    let error = rig.finish(&query, &user()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::IssuerMismatch);
    assert!(error.to_string().contains("if_present"), "the error says what to do: {error}");
    assert_eq!(rig.http.count(), 0);
}

#[tokio::test]
async fn b2_where_the_policy_or_the_issuer_is_tolerant_the_flow_goes_on() {
    let rig = with_issuer(IssPolicy::IfPresent);
    let query = rig.begin(&user()).await;
    rig.tokens();
    rig.finish(&query, &user()).await.unwrap();
    let query = format!("{}&iss=https%3A%2F%2Fevil.example", rig.begin(&user()).await);
    assert_eq!(rig.finish(&query, &user()).await.unwrap_err().kind(), ErrorKind::IssuerMismatch);

    let unknown = Rig::new();
    let query = format!("{}&iss=https%3A%2F%2Fanyone.example", unknown.begin(&user()).await);
    unknown.tokens();
    unknown.finish(&query, &user()).await.unwrap();
}

#[tokio::test]
async fn b1_an_error_with_the_wrong_issuer_is_not_shown() {
    let rig = with_issuer(IssPolicy::Required);
    let url = rig.flow.begin(&user()).await.unwrap();
    let state = query_value(url.url(), "state").unwrap();
    let query =
        format!("error=access_denied&error_description=mark&state={state}&iss=https%3A%2F%2Fevil.example");
    let error = rig.finish(&query, &user()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::IssuerMismatch);
    assert!(error.server_error().is_none());
}

#[tokio::test]
async fn b5_a_code_is_sent_with_the_verifier_of_its_own_flow() {
    let rig = Rig::new();
    let first = rig.flow.begin(&user()).await.unwrap();
    let second = rig.flow.begin(&user()).await.unwrap();
    let challenge = |url: &str| query_value(url, "code_challenge").unwrap();
    assert_ne!(challenge(first.url()), challenge(second.url()));
    rig.tokens();
    rig.finish(&callback(first.url()), &user()).await.unwrap();
    let form = rig.http.last_form();
    let verifier = &form.iter().find(|(name, _)| name == "code_verifier").unwrap().1;
    let computed = authflow_core::CodeChallenge::new(verifier, &authflow_core::quirks::PkcePolicy::default());
    assert_eq!(computed.as_str(), challenge(first.url()));
}

#[tokio::test]
async fn b6_pkce_is_s256_and_a_public_client_cannot_be_without() {
    let rig = Rig::new();
    let url = rig.flow.begin(&user()).await.unwrap();
    assert_eq!(query_value(url.url(), "code_challenge_method").as_deref(), Some("S256"));

    let mut quirks = Quirks::default();
    quirks.pkce.support = authflow_core::quirks::PkceSupport::Unsupported;
    let provider = provider("p").quirks(quirks).build().unwrap();
    let public = authflow_core::ClientCredentials::public("c").redirect_uri(REDIRECT_URI);
    assert_eq!(provider.check_credentials(&public).unwrap_err().kind(), ErrorKind::Configuration);
    provider.check_credentials(&credentials()).unwrap();
}

#[tokio::test]
async fn b6_plain_is_a_choice_and_never_a_fallback() {
    let mut quirks = Quirks::default();
    quirks.pkce.method = PkceMethod::Plain;
    let rig = Rig::quirks(quirks);
    let authorization = rig.flow.begin(&user()).await.unwrap();
    assert_eq!(query_value(authorization.url(), "code_challenge_method").as_deref(), Some("plain"));
    let challenge = query_value(authorization.url(), "code_challenge").unwrap();
    rig.tokens();
    rig.finish(&callback(authorization.url()), &user()).await.unwrap();
    assert!(rig.http.last_form().contains(&("code_verifier".to_owned(), challenge)));
}

#[tokio::test]
async fn b7_no_parameter_occurs_twice() {
    for name in ["code", "state", "iss", "error", "error_description", "id_token", "response", "access_token"]
    {
        let rig = Rig::new();
        let good = rig.begin(&user()).await;
        let query = match name {
            "code" | "state" => format!("{good}&{name}=x"),
            _ => format!("{good}&{name}=x&{name}=x"),
        };
        let error = rig.finish(&query, &user()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CallbackMalformed, "{name}");
        assert_eq!(rig.http.count(), 0);
        rig.tokens();
        rig.finish(&good, &user()).await.expect("nothing was used up");
    }
}

#[tokio::test]
async fn b8_code_and_error_exclude_each_other() {
    let rig = Rig::new();
    for suffix in ["&error=access_denied", "&error="] {
        let query = format!("{}{suffix}", rig.begin(&user()).await);
        assert_eq!(rig.finish(&query, &user()).await.unwrap_err().kind(), ErrorKind::CallbackMalformed);
    }
    let neither = rig.begin(&user()).await.replace("code=planted-code-1&", "");
    assert_eq!(rig.finish(&neither, &user()).await.unwrap_err().kind(), ErrorKind::CallbackMalformed);
    assert_eq!(rig.http.count(), 0);
}

#[tokio::test]
async fn b9_an_error_with_a_good_state_is_typed_and_uses_the_state_up() {
    for (code, kind, recovery) in [
        ("access_denied", ErrorKind::AccessDenied, Recovery::GiveUp),
        ("invalid_scope", ErrorKind::AuthorizationFailed, Recovery::FixConfiguration),
        // The same callback cannot work later: its state is used up.
        ("server_error", ErrorKind::AuthorizationFailed, Recovery::Reconnect),
        ("temporarily_unavailable", ErrorKind::AuthorizationFailed, Recovery::Reconnect),
        ("login_required", ErrorKind::AuthorizationFailed, Recovery::Reconnect),
        ("weird_code", ErrorKind::AuthorizationFailed, Recovery::Reconnect),
    ] {
        let rig = Rig::new();
        let url = rig.flow.begin(&user()).await.unwrap();
        let query =
            format!("error={code}&error_description=why&state={}", query_value(url.url(), "state").unwrap());
        let error = rig.finish(&query, &user()).await.unwrap_err();
        assert_eq!((error.kind(), error.recovery()), (kind, recovery), "{code}");
        let server_error = error.server_error().unwrap();
        assert_eq!((server_error.code(), server_error.description()), (code, Some("why")));
        assert_eq!(rig.finish(&query, &user()).await.unwrap_err().kind(), ErrorKind::StateNotFound);
        assert_eq!(rig.http.count(), 0);
    }
}

#[test]
fn b9_what_the_authorization_server_fails_with_for_now_may_be_tried_again() {
    for (code, recovery) in [
        ("server_error", Recovery::Retry { after: None }),
        ("temporarily_unavailable", Recovery::Retry { after: None }),
        ("invalid_request", Recovery::FixConfiguration),
        ("login_required", Recovery::Reconnect),
    ] {
        let error = Error::new(ErrorKind::AuthorizationFailed, "the authorization failed")
            .with_server_error(ServerError::new(code, None, None));
        assert_eq!(error.recovery(), recovery, "{code}");
    }
}

#[tokio::test]
async fn b10_an_error_without_a_good_state_is_not_read() {
    let rig = Rig::new();
    rig.begin(&user()).await;
    for query in ["error=access_denied&error_description=mark", "error=mark&state=wrong", "error=mark&state="]
    {
        let error = rig.finish(query, &user()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StateNotFound, "{query}");
        assert!(error.server_error().is_none());
        assert!(!format!("{error} {error:?}").contains("mark"));
    }
}

#[tokio::test]
async fn b11_the_providers_words_are_cleaned_and_capped() {
    let rig = Rig::new();
    let url = rig.flow.begin(&user()).await.unwrap();
    let nasty = "\u{1b}[31m\r\nSet-Cookie: x=1\u{202e}</script>\"\\".to_owned() + &"y".repeat(5000);
    let encoded: String = url::form_urlencoded::byte_serialize(nasty.as_bytes()).collect();
    let state = query_value(url.url(), "state").unwrap();
    let query =
        format!("error=server_error&error_description={encoded}&error_uri=javascript:alert(1)&state={state}");
    let error = rig.finish(&query, &user()).await.unwrap_err();
    let description = error.server_error().unwrap().description().unwrap();
    assert!(description.len() <= 1024);
    assert!(description.bytes().all(|b| (0x20..=0x7e).contains(&b) && b != b'"' && b != b'\\'));
    assert!(!error.to_string().contains(['\r', '\n', '\u{1b}']));
}

#[tokio::test]
async fn b12_what_is_no_text_is_refused_without_a_panic() {
    let rig = Rig::new();
    rig.begin(&user()).await;
    let huge = format!("state={}", "x".repeat(1 << 20));
    for query in [
        "code=%ff&state=x",
        "code=%zz&state=x",
        "code=%",
        "code=%4",
        "code=a%41%zz&state=x",
        "code=a%00b&state=x",
        "state=%0d%0a",
        "code=c&state=x&name=a%00b",
        "code=c&state=x&name=%ff",
        &huge,
    ] {
        let error = rig.finish(query, &user()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CallbackMalformed);
    }
    for query in ["", "&&&", "=", "a", "code", "?", "state=x", "+=+", "%41=%41"] {
        assert_eq!(rig.finish(query, &user()).await.unwrap_err().kind(), ErrorKind::StateNotFound, "{query}");
    }
}

#[tokio::test]
async fn b12_a_plus_is_a_space_and_a_code_may_hold_what_is_legal() {
    let rig = Rig::new();
    let query = rig.begin(&user()).await.replace("planted-code-1", "4%2F0Ab+c%2B%3D");
    rig.tokens();
    rig.finish(&query, &user()).await.unwrap();
    assert!(rig.http.last_form().contains(&("code".to_owned(), "4/0Ab c+=".to_owned())));
}

#[tokio::test]
async fn b12_text_of_other_languages_is_text_and_only_prose_may_hold_more() {
    let rig = Rig::new();
    let query = format!("{}&name=%C3%A9+%E2%9C%93", rig.begin(&user()).await);
    rig.tokens();
    rig.finish(&query, &user()).await.unwrap();
    for name in ["error_description", "error_message", "error_reason"] {
        let query = rig.begin(&user()).await.replace("code=planted-code-1", "error=server_error");
        let error = rig.finish(&format!("{query}&{name}=a%0D%0Ab%FF"), &user()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AuthorizationFailed, "{name}");
    }
    let query = rig.begin(&user()).await.replace("code=planted-code-1", "error=a%0D%0Ab");
    assert_eq!(rig.finish(&query, &user()).await.unwrap_err().kind(), ErrorKind::CallbackMalformed);
}

/// Who reads a response before its flow does gets no control character from the protocol's own parameters, nor from a name.
#[test]
fn b12_the_protocols_own_parameters_are_text_before_any_flow_sees_them() {
    for name in ["code", "state", "iss", "error", "error_uri", "id_token", "access_token", "response", "a%00"]
    {
        for value in ["a%0Ab", "%7F", "%FF"] {
            let refused = AuthorizationResponse::from_query(&format!("{name}={value}")).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::CallbackMalformed, "{name}={value}");
        }
    }
}

#[tokio::test]
async fn b13_the_response_arrives_in_the_mode_that_was_asked_for() {
    let rig = Rig::new();
    let query = rig.begin(&user()).await;
    let form = AuthorizationResponse::from_form(query.as_bytes()).unwrap();
    let error = rig.flow.finish(&form, &user()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CallbackMalformed);

    let mut quirks = Quirks::default();
    quirks.authorization_response.response_mode = ResponseMode::FormPost;
    let rig = Rig::quirks(quirks);
    let authorization = rig.flow.begin(&user()).await.unwrap();
    assert_eq!(query_value(authorization.url(), "response_mode").as_deref(), Some("form_post"));
    let query = callback(authorization.url());
    assert_eq!(rig.finish(&query, &user()).await.unwrap_err().kind(), ErrorKind::CallbackMalformed);
    rig.tokens();
    let form = AuthorizationResponse::from_form(query.as_bytes()).unwrap();
    rig.flow.finish(&form, &user()).await.unwrap();
}

#[tokio::test]
async fn b14_tokens_through_the_browser_are_refused() {
    for token in ["access_token", "id_token", "refresh_token"] {
        let rig = Rig::new();
        let query = format!("{}&{token}=x", rig.begin(&user()).await);
        assert_eq!(rig.finish(&query, &user()).await.unwrap_err().kind(), ErrorKind::CallbackMalformed);
        let query = rig.begin(&user()).await.replace("code=", &format!("{token}="));
        assert_eq!(rig.finish(&query, &user()).await.unwrap_err().kind(), ErrorKind::CallbackMalformed);
        assert_eq!(rig.http.count(), 0);
    }
}

#[tokio::test]
async fn b16_the_token_request_repeats_the_redirect_uri_byte_by_byte() {
    let odd = "https://app.example/cb?a=b%20c&d=é";
    let credentials = credentials().redirect_uri(odd);
    let rig = Rig::with(provider("p").build().unwrap(), credentials);
    let authorization = rig.flow.begin(&user()).redirect_uri(odd).await.unwrap();
    assert_eq!(query_value(authorization.url(), "redirect_uri").as_deref(), Some(odd));
    rig.tokens();
    rig.finish(&callback(authorization.url()), &user()).await.unwrap();
    assert!(rig.http.last_form().contains(&("redirect_uri".to_owned(), odd.to_owned())));
}

#[test]
fn b17_return_to_stays_on_the_site() {
    let long = format!("/{}", "a".repeat(10_000));
    let tab = |at: usize| {
        let mut text = "//evil.example".to_owned();
        text.insert(at, '\t');
        text
    };
    let (tab1, tab2) = (tab(1), tab(0));
    for bad in [
        "",
        "a",
        "evil.example",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "\\/evil.example",
        "https:evil.example",
        "https://evil.example",
        "HtTpS://evil.example",
        "javascript:alert(1)",
        "data:text/html,x",
        "/\r/evil",
        "/\t/evil.example",
        "/ /evil.example",
        " //evil.example",
        "/\u{0}",
        "/\u{2028}",
        "/é",
        "/%0d%0a\n",
        "/./\\evil.example",
        "/.//evil.example",
        "/x/..//evil.example",
        "/%2e//evil.example",
        "http:/\\evil.example",
        "?//evil.example",
        "#x",
        "@evil.example",
        "/\u{ff0f}evil.example",
        "\u{feff}//evil.example",
        &long,
        &tab1,
        &tab2,
    ] {
        assert!(check_return_to(bad).is_err(), "{bad:?}");
    }
    for good in [
        "/",
        "/settings",
        "/a/b?c=d&e=https://x.example#f",
        "/%2f/evil",
        "/a//b",
        "/?next=//x",
        "/@x",
        "/a:b",
        "/..",
        "/~u/",
    ] {
        assert!(check_return_to(good).is_ok(), "{good:?}");
    }
}

/// Accepted means that a browser stays on the origin: the corpus is made here, prefix by prefix.
#[test]
fn b17_whatever_is_accepted_resolves_to_the_same_origin() {
    let pieces = [
        "/",
        "\\",
        ".",
        "..",
        "%2f",
        "%5c",
        "\t",
        "\n",
        "@",
        ":",
        "https:",
        "evil.example",
        "?",
        "#",
        ";",
        "%09",
        " ",
    ];
    let base = url::Url::parse("https://app.example/here").unwrap();
    let (mut tried, mut accepted) = (0, 0);
    for a in pieces {
        for b in pieces {
            for c in pieces {
                for d in pieces {
                    let text = format!("{a}{b}{c}{d}evil.example/x");
                    tried += 1;
                    if check_return_to(&text).is_ok() {
                        accepted += 1;
                        let resolved = base.join(&text).unwrap();
                        assert_eq!(resolved.origin(), base.origin(), "{text:?}");
                        // A second resolution, as a framework that normalises the path would make.
                        let again = base.join(resolved.path()).unwrap();
                        assert_eq!(again.origin(), base.origin(), "{text:?}");
                    }
                }
            }
        }
    }
    assert_eq!(tried, 83_521);
    assert!(accepted > 100, "{accepted}");
}

#[tokio::test]
async fn b17_return_to_comes_back_from_the_store_and_is_not_in_the_url() {
    let rig = Rig::new();
    let authorization =
        rig.flow.begin(&user()).return_to("/settings?scope=admin&redirect_uri=x").await.unwrap();
    assert!(!authorization.url().contains("settings"));
    assert_eq!(query_value(authorization.url(), "scope").as_deref(), Some("read write"));
    rig.tokens();
    let completed = rig.finish(&callback(authorization.url()), &user()).await.unwrap();
    assert_eq!(completed.return_to.as_deref(), Some("/settings?scope=admin&redirect_uri=x"));
    let error = rig.flow.begin(&user()).return_to("//evil.example").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
}

#[tokio::test]
async fn b19_extra_parameters_cannot_touch_the_protocol() {
    let rig = Rig::new();
    for name in [
        "scope",
        "redirect_uri",
        "state",
        "code_challenge",
        "code_challenge_method",
        "request_uri",
        "request",
        "client_id",
        "response_type",
        "nonce",
        "response_mode",
        "code_verifier",
        "resource",
        "",
    ] {
        let error = rig.flow.begin(&user()).param(name, "x").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{name}");
    }
    for first in ["a", "b", ""] {
        let error = rig.flow.begin(&user()).param("prompt", first).param("prompt", "b").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{first:?}");
    }
    let authorization = rig.flow.begin(&user()).param("login_hint", "a&scope=admin").await.unwrap();
    assert_eq!(query_value(authorization.url(), "login_hint").as_deref(), Some("a&scope=admin"));
    assert_eq!(query_value(authorization.url(), "scope").as_deref(), Some("read write"));
    assert!(rig.store.len() == 1);
}

#[tokio::test]
async fn b19_renamed_parameters_are_guarded_too() {
    let mut quirks = Quirks::default();
    quirks.authorization.rename.insert("scope".to_owned(), "perms".to_owned());
    let rig = Rig::quirks(quirks);
    let error = rig.flow.begin(&user()).param("perms", "admin").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    rig.flow.begin(&user()).param("login_hint", "alice").await.expect("no other is");
}

#[tokio::test]
async fn oidc_01_a_nonce_is_sent_whenever_openid_is_asked_for() {
    let rig = Rig::new();
    let without = rig.flow.begin(&user()).await.unwrap();
    assert_eq!(query_value(without.url(), "nonce"), None);
    let with = rig.flow.begin(&user()).scope("openid").await.unwrap();
    let nonce = query_value(with.url(), "nonce").unwrap();
    assert_eq!(nonce.len(), 43);
    rig.tokens();
    let completed = rig.finish(&callback(with.url()), &user()).await.unwrap();
    assert_eq!(completed.nonce.as_deref(), Some(nonce.as_str()));
}

#[tokio::test]
async fn r8707_01_resources_go_into_both_requests_and_into_the_refresh() {
    let rig = Rig::new();
    let (one, two) = ("https://api.example/one", "https://api.example/two");
    let authorization = rig.flow.begin(&user()).resource(one).resource(two).await.unwrap();
    let query = authorization.url().split_once('?').unwrap().1;
    let sent: Vec<_> =
        url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "resource").collect();
    assert_eq!(sent.len(), 2);
    rig.http.json(r#"{"access_token":"a","refresh_token":"r"}"#);
    let completed = rig.finish(&callback(authorization.url()), &user()).await.unwrap();
    assert!(rig.http.last_form().contains(&("resource".to_owned(), two.to_owned())));
    rig.http.json(r#"{"access_token":"b"}"#);
    let refreshed = rig.flow.refresh(&completed.tokens).await.unwrap();
    assert!(rig.http.last_form().contains(&("resource".to_owned(), one.to_owned())));
    assert_eq!(refreshed.resources, [one, two]);
    for bad in ["/relative", "https://api.example/#f"] {
        assert_eq!(rig.flow.begin(&user()).resource(bad).await.unwrap_err().kind(), ErrorKind::Usage);
    }
}

#[tokio::test]
async fn r8707_01_resources_in_a_json_request_are_a_list() {
    let (one, two, three) = ("https://api.example/1", "https://api.example/2", "https://api.example/3");
    for resources in [&[one][..], &[one, two], &[one, two, three]] {
        let rig = Rig::quirks(serde_json::from_str(r#"{"token": {"format": "json"}}"#).unwrap());
        let mut begin = rig.flow.begin(&user());
        for resource in resources {
            begin = begin.resource(*resource);
        }
        let authorization = begin.await.unwrap();
        rig.http.json(r#"{"access_token":"a"}"#);
        rig.finish(&callback(authorization.url()), &user()).await.unwrap();
        let sent: serde_json::Value = serde_json::from_slice(&rig.http.requests().remove(0).body).unwrap();
        let expected =
            if resources.len() == 1 { serde_json::json!(one) } else { serde_json::json!(resources) };
        assert_eq!(sent["resource"], expected);
    }
}

#[tokio::test]
async fn a_callback_without_state_goes_through_its_own_method_only() {
    let rig = Rig::new();
    let install = AuthorizationResponse::from_query("code=c&installation_uid=i").unwrap();
    assert_eq!(rig.flow.finish(&install, &user()).await.unwrap_err().kind(), ErrorKind::StateNotFound);
    let with_state = AuthorizationResponse::from_query("code=c&state=s").unwrap();
    let error = rig.flow.finish_install_without_state(&with_state).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    for doubled in ["code=c&code=d", "code=c&iss=a&iss=b", "code=c&error=e", "code=c&access_token=t"] {
        let doubled = AuthorizationResponse::from_query(doubled).unwrap();
        let error = rig.flow.finish_install_without_state(&doubled).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CallbackMalformed);
    }
    assert_eq!(rig.http.count(), 0);
    rig.tokens();
    let completed = rig.flow.finish_install_without_state(&install).await.unwrap();
    assert!(completed.owner.is_none());
    assert!(rig.http.last_form().iter().all(|(name, _)| name != "code_verifier"));
}

/// RFC 6749 §4.1.2: as after a callback with a state.
#[tokio::test]
async fn the_code_of_an_install_is_not_sent_again() {
    let rig = Rig::new();
    let install = AuthorizationResponse::from_query("code=c&installation_uid=i").unwrap();
    for delivery in [Delivery::NotSent, Delivery::Unknown] {
        rig.http.push(Err(HttpError::new(HttpErrorKind::Timeout, delivery)));
        let error = rig.flow.finish_install_without_state(&install).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.recovery()),
            (ErrorKind::Network, Recovery::Reconnect),
            "{delivery:?}"
        );
    }
}

#[tokio::test]
async fn b1_a_callback_without_state_names_the_issuer_too() {
    for (policy, iss, kind) in [
        (IssPolicy::Required, "&iss=https%3A%2F%2Fas.example", None),
        (IssPolicy::Required, "", Some(ErrorKind::IssuerMismatch)),
        (IssPolicy::IfPresent, "", None),
        (IssPolicy::IfPresent, "&iss=https%3A%2F%2Fevil.example", Some(ErrorKind::IssuerMismatch)),
    ] {
        let rig = with_issuer(policy);
        rig.tokens();
        let query = format!("code=c{iss}");
        let install = AuthorizationResponse::from_query(&query).unwrap();
        let finished = rig.flow.finish_install_without_state(&install).await;
        assert_eq!(finished.err().map(|error| error.kind()), kind, "{policy:?} {iss}");
        assert_eq!(rig.http.count(), usize::from(kind.is_none()));
    }
}

#[tokio::test]
async fn a_record_without_a_verifier_does_not_switch_pkce_off() {
    let rig = Rig::new();
    let mut prepared = rig.flow.prepare().await.unwrap();
    prepared.pending.code_verifier = None;
    let response = format!("code=c&state={}", prepared.state);
    let response = AuthorizationResponse::from_query(&response).unwrap();
    let callback = rig.flow.callback(&prepared.pending, &response).await.unwrap();
    let error = rig.flow.exchange(&prepared.pending, callback).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StateNotFound);

    let extensions = http::Extensions::new();
    rig.flow.store_state(&extensions, &prepared.state, &user(), prepared.pending).await.unwrap();
    let error = rig.flow.finish(&response, &user()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StateNotFound);
    assert_eq!(rig.http.count(), 0);
}

#[tokio::test]
async fn the_token_request_can_be_looked_at() {
    let rig = Rig::new();
    let request = rig.flow.token_request(&Grant::ClientCredentials, &Scopes::new(["a"])).await.unwrap();
    assert_eq!(request.url.as_str(), "https://as.example/token");
    assert_eq!(request.body, b"grant_type=client_credentials&scope=a");
    assert_eq!(rig.http.count(), 0);
}
