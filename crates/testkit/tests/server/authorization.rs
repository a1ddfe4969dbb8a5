//! The authorization endpoint: RFC 6749 §4.1.1 and §4.1.2, RFC 7636 §4.3, RFC 8252 §7.3, RFC 9207.

use authflow_testkit::{Client, Consent, Endpoint, IssuerParameter, Outcome, Pkce};
use url::Url;

use crate::support::{
    FORM, REDIRECT, approving, authorization_query, challenge, encode, exchange, get, post_raw, send, server,
    verifier,
};

fn query(changes: &[(&str, &str)]) -> String {
    authorization_query("public-client", &challenge(&verifier()), changes)
}

#[tokio::test]
async fn a_response_goes_to_the_redirect_uri_with_code_state_and_issuer() {
    let server = server();
    let answer = get(&server, &format!("/authorize?{}", query(&[]))).await;
    let (url, pairs) = answer.redirect();
    assert_eq!(url.as_str(), REDIRECT);
    let names: Vec<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["code", "state", "iss"]);
    assert_eq!(pairs[1].1, "state-1");
    assert_eq!(pairs[2].1, server.issuer());
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
}

#[tokio::test]
async fn state_comes_back_byte_for_byte() {
    let server = server();
    for state in ["a b+c&d=e%20f", "é\u{202e}漢", "~-._", "\"'<>\\", " ", "=", "a\r\nb"] {
        let answer = get(&server, &format!("/authorize?{}", query(&[("state", state)]))).await;
        assert_eq!(answer.callback()["state"], state);
    }
}

#[tokio::test]
async fn a_query_of_the_redirect_uri_is_kept() {
    let client = Client::public("q").redirect_uri("https://client.example/cb?tenant=a%2Fb");
    let server = approving().client(client).build().unwrap();
    let changes = [("redirect_uri", "https://client.example/cb?tenant=a%2Fb")];
    let query = authorization_query("q", &challenge(&verifier()), &changes);
    let answer = get(&server, &format!("/authorize?{query}")).await;
    assert!(answer.header("location").starts_with("https://client.example/cb?tenant=a%2Fb&code="));
}

#[tokio::test]
async fn errors_without_a_safe_place_to_go_are_shown_here() {
    let server = server();
    let bad = [
        query(&[("client_id", "")]),
        query(&[("client_id", "nobody")]),
        query(&[("redirect_uri", "https://attacker.example/callback")]),
        query(&[("redirect_uri", "http://127.0.0.1:7001/callback/")]),
        query(&[("redirect_uri", "http://127.0.0.1:7001/Callback")]),
        query(&[("redirect_uri", "http://127.0.0.1:7001/callback?x=1")]),
        query(&[("redirect_uri", "http://127.0.0.1:7001/callback#x")]),
        query(&[("redirect_uri", "http://127.0.0.1:99999/callback")]),
        query(&[("redirect_uri", "http://127.0.0.1:/callback")]),
        query(&[("redirect_uri", "http://127.0.0.1@attacker.example/callback")]),
        query(&[("redirect_uri", "http://127.0.0.1.attacker.example/callback")]),
        query(&[("redirect_uri", "http://user@127.0.0.1:7001/callback")]),
        query(&[("redirect_uri", "http://localhost:7001/callback")]),
        query(&[("redirect_uri", "https://127.0.0.1:7001/callback")]),
        query(&[("redirect_uri", "https://client.example:8443/callback")]),
        query(&[("redirect_uri", "https://client.example/callback/../callback")]),
        query(&[("redirect_uri", "javascript:alert(1)")]),
        query(&[("redirect_uri", "/callback")]),
        query(&[("redirect_uri", "")]),
        format!("{}&client_id=public-client", query(&[])),
        format!("{}&redirect_uri=https%3A%2F%2Fclient.example%2Fcallback", query(&[])),
        format!("{}&x=%ff", query(&[])),
        format!("{}&x=%zz", query(&[])),
    ];
    for query in bad {
        let answer = get(&server, &format!("/authorize?{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
        assert_eq!(answer.header("location"), "", "{query}");
        assert!(answer.header("content-type").starts_with("text/html"));
    }
    assert!(server.ledger().entries().iter().all(|entry| matches!(entry.outcome(), Outcome::Refused { .. })));
}

#[tokio::test]
async fn errors_with_a_safe_place_to_go_are_told_to_the_client() {
    let server = server();
    let cases = [
        (query(&[("response_type", "")]), "invalid_request"),
        (query(&[("response_type", "token")]), "unsupported_response_type"),
        (query(&[("response_mode", "fragment")]), "invalid_request"),
        (query(&[("scope", "read everything")]), "invalid_scope"),
        (query(&[("code_challenge", "")]), "invalid_request"),
        (query(&[("code_challenge", ""), ("code_challenge_method", "")]), "invalid_request"),
        (query(&[("code_challenge_method", "plain")]), "invalid_request"),
        (query(&[("code_challenge_method", "")]), "invalid_request"),
        (query(&[("code_challenge_method", "s256")]), "invalid_request"),
        (query(&[("code_challenge", "short")]), "invalid_request"),
        (query(&[("code_challenge", &"A".repeat(44))]), "invalid_request"),
        (query(&[("code_challenge", &"+".repeat(43))]), "invalid_request"),
        (query(&[("request", "x.y.z")]), "request_not_supported"),
        (query(&[("request_uri", "urn:x")]), "request_uri_not_supported"),
        (format!("{}&scope=read", query(&[])), "invalid_request"),
        (format!("{}&nonce=1&nonce=1", query(&[])), "invalid_request"),
    ];
    for (query, error) in cases {
        let answer = get(&server, &format!("/authorize?{query}")).await;
        let callback = answer.callback();
        assert_eq!(callback["error"], error, "{query}");
        assert_eq!(callback["state"], "state-1");
        assert_eq!(callback["iss"], server.issuer());
        assert!(!callback.contains_key("code"));
        assert!(
            callback["error_description"]
                .bytes()
                .all(|b| matches!(b, b' '..=b'~') && !matches!(b, b'"' | b'\\'))
        );
    }
}

#[tokio::test]
async fn a_doubled_state_is_refused_and_neither_comes_back() {
    let server = server();
    let answer = get(&server, &format!("/authorize?{}&state=other", query(&[]))).await;
    let callback = answer.callback();
    assert_eq!(callback["error"], "invalid_request");
    assert!(!callback.contains_key("state"));
}

#[tokio::test]
async fn resource_may_repeat() {
    let server = server();
    let query = format!("{}&resource=https%3A%2F%2Fa&resource=https%3A%2F%2Fb", query(&[]));
    assert!(get(&server, &format!("/authorize?{query}")).await.callback().contains_key("code"));
}

#[tokio::test]
async fn a_loopback_redirect_uri_takes_any_port() {
    let server = server();
    let good = [
        "http://127.0.0.1/callback",
        "http://127.0.0.1:1/callback",
        "http://127.0.0.1:65535/callback",
        "http://[::1]:7001/callback",
        "https://client.example/callback",
    ];
    for uri in good {
        let answer = get(&server, &format!("/authorize?{}", query(&[("redirect_uri", uri)]))).await;
        assert!(answer.header("location").starts_with(&format!("{uri}?code=")), "{uri}");
    }
}

#[tokio::test]
async fn a_single_registered_redirect_uri_may_be_left_out() {
    let client = Client::public("one").redirect_uri("https://client.example/only");
    let server = approving().client(client).build().unwrap();
    let verifier = verifier();
    let query = authorization_query("one", &challenge(&verifier), &[("redirect_uri", "")]);
    let answer = get(&server, &format!("/authorize?{query}")).await;
    let code = answer.callback().remove("code").unwrap();
    assert!(answer.header("location").starts_with("https://client.example/only?"));
    let changes = [("client_id", "one"), ("redirect_uri", "")];
    assert_eq!(exchange(&server, &code, &verifier, &changes).await.status, 200);
}

#[tokio::test]
async fn pkce_policy_is_the_clients() {
    let client = Client::public("lax").redirect_uri(REDIRECT).pkce(Pkce::Optional);
    let server = approving().client(client).build().unwrap();
    let changes = [("code_challenge", ""), ("code_challenge_method", "")];
    let query = authorization_query("lax", "", &changes);
    let code = get(&server, &format!("/authorize?{query}")).await.callback().remove("code").unwrap();
    // RFC 9700 §2.1.1: a verifier without a challenge is a downgrade.
    let downgraded = exchange(&server, &code, &verifier(), &[("client_id", "lax")]).await;
    assert_eq!(downgraded.error(), "invalid_grant");
    let code = get(&server, &format!("/authorize?{query}")).await.callback().remove("code").unwrap();
    let plain = exchange(&server, &code, "", &[("client_id", "lax"), ("code_verifier", "")]).await;
    assert_eq!(plain.status, 200);
}

#[tokio::test]
async fn plain_pkce_can_be_switched_on() {
    let server = approving().allow_plain_pkce().build().unwrap();
    let verifier = verifier();
    for changes in [vec![("code_challenge_method", "plain")], vec![("code_challenge_method", "")]] {
        let verifier = format!("{verifier}-{}", changes[0].1);
        let query = authorization_query("public-client", &verifier, &changes);
        let code = get(&server, &format!("/authorize?{query}")).await.callback().remove("code").unwrap();
        assert_eq!(exchange(&server, &code, &verifier, &[]).await.status, 200);
    }
}

#[tokio::test]
async fn the_request_may_be_posted() {
    let server = server();
    let answer = post_raw(&server, "/authorize", &[FORM], &query(&[])).await;
    assert!(answer.callback().contains_key("code"));
}

#[tokio::test]
async fn the_issuer_parameter_has_four_settings() {
    let cases = [
        (IssuerParameter::Advertised, true, Some("https://as.example")),
        (IssuerParameter::Unadvertised, false, Some("https://as.example")),
        (IssuerParameter::Omitted, false, None),
        (IssuerParameter::Wrong, true, Some("https://attacker.example")),
    ];
    for (setting, advertised, issuer) in cases {
        let server = approving().issuer_parameter(setting).build().unwrap();
        let metadata = get(&server, "/.well-known/oauth-authorization-server").await.json();
        assert_eq!(metadata["authorization_response_iss_parameter_supported"], advertised);
        let callback = get(&server, &format!("/authorize?{}", query(&[]))).await.callback();
        assert_eq!(callback.get("iss").map(String::as_str), issuer);
    }
}

#[tokio::test]
async fn denial_is_access_denied() {
    let server = approving().consent(Consent::Deny).build().unwrap();
    let callback = get(&server, &format!("/authorize?{}", query(&[]))).await.callback();
    assert_eq!(callback["error"], "access_denied");
    assert_eq!(callback["state"], "state-1");
    assert_eq!(server.ledger().last().unwrap().outcome(), &Outcome::Denied);
}

#[tokio::test]
async fn scopes_of_a_client_are_its_own() {
    let client = Client::public("few").redirect_uri(REDIRECT).scopes(["read"]);
    let server = approving().client(client).build().unwrap();
    let query = authorization_query("few", &challenge(&verifier()), &[]);
    assert_eq!(get(&server, &format!("/authorize?{query}")).await.callback()["error"], "invalid_scope");
    let query = authorization_query("few", &challenge(&verifier()), &[("scope", "read")]);
    assert!(get(&server, &format!("/authorize?{query}")).await.callback().contains_key("code"));
}

#[tokio::test]
async fn metadata_is_served_under_both_names() {
    let server = server();
    for path in ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"] {
        let metadata = get(&server, path).await.json();
        assert_eq!(metadata["issuer"], server.issuer());
        assert_eq!(metadata["authorization_endpoint"], server.authorization_endpoint());
        assert_eq!(metadata["token_endpoint"], server.token_endpoint());
        assert_eq!(metadata["revocation_endpoint"], server.revocation_endpoint());
        assert_eq!(metadata["code_challenge_methods_supported"], serde_json::json!(["S256"]));
        assert_eq!(
            metadata["token_endpoint_auth_methods_supported"],
            serde_json::json!(["none", "client_secret_basic", "client_secret_post"])
        );
    }
    assert_eq!(get(&server, "/jwks").await.json(), serde_json::json!({ "keys": [] }));
    assert_eq!(server.ledger().count(Endpoint::Metadata), 3);
}

#[tokio::test]
async fn methods_and_paths_that_do_not_exist_are_refused() {
    let server = server();
    let answer = get(&server, "/token").await;
    assert_eq!(answer.status, 405);
    assert_eq!(answer.header("allow"), "POST");
    assert_eq!(get(&server, "/nowhere").await.status, 404);
    let request = http::Request::put("/authorize").body(bytes::Bytes::new()).unwrap();
    assert_eq!(send(&server, request).await.status, 405);
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let twice = approving().client(Client::public("public-client")).build().unwrap_err();
    assert!(twice.to_string().contains("public-client"));
    for uri in [
        "https://client.example/#x",
        "/relative",
        "javascript:x",
        "https://u@client.example/",
        "https://:p@client.example/",
    ] {
        let error = approving().client(Client::public("c").redirect_uri(uri)).build().unwrap_err();
        assert!(error.to_string().contains("redirect URI"), "{uri}");
    }
    assert!(approving().subject("").build().is_err());
}

#[tokio::test]
async fn an_application_of_its_own_scheme_is_returned_to() {
    let client = Client::public("app").redirect_uri("com.example.app:/oauth");
    let server = approving().client(client).build().unwrap();
    let query =
        authorization_query("app", &challenge(&verifier()), &[("redirect_uri", "com.example.app:/oauth")]);
    let answer = get(&server, &format!("/authorize?{query}")).await;
    assert!(answer.header("location").starts_with("com.example.app:/oauth?code="));
    assert!(Url::parse(answer.header("location")).is_ok());
}

#[tokio::test]
async fn empty_parameters_count_as_omitted() {
    let server = server();
    let answer = get(&server, &format!("/authorize?{}&prompt=&login_hint=", query(&[]))).await;
    assert!(answer.callback().contains_key("code"));
    let query = encode(&[("client_id", ""), ("redirect_uri", REDIRECT)]);
    assert_eq!(get(&server, &format!("/authorize?{query}")).await.status, 400);
}

#[tokio::test]
async fn scopes_that_repeat_or_are_empty_count_once() {
    let server = server();
    let verifier = verifier();
    let changes = [("scope", " read  write read ")];
    let query = authorization_query("public-client", &challenge(&verifier), &changes);
    let code = get(&server, &format!("/authorize?{query}")).await.callback().remove("code").unwrap();
    assert_eq!(exchange(&server, &code, &verifier, &[]).await.json()["scope"], "read write");
}
