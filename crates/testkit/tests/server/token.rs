//! The token endpoint: RFC 6749 §3.2 to §6, RFC 7636 §4.6, RFC 9700 §4.14.

use std::{sync::Arc, time::Duration};

use authflow_testkit::{Client, Endpoint, Entry, IssuedKind, Outcome, Rotation};
use tokio::task::JoinSet;

use crate::support::{
    FORM, Hands, REDIRECT, approving, authorization_query, basic_header, challenge, code, code_for, encode,
    exchange, get, post, post_basic, post_raw, refresh, resource, server, text, tokens, verifier,
};

#[tokio::test]
async fn a_code_becomes_a_token_set() {
    let server = server();
    let (code, verifier) = code(&server).await;
    let reply = exchange(&server, &code, &verifier, &[]).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(reply.header("cache-control"), "no-store");
    assert_eq!(reply.header("pragma"), "no-cache");
    let json = reply.json();
    let mut names: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["access_token", "expires_in", "refresh_token", "scope", "token_type"]);
    assert_eq!(json["token_type"], "Bearer");
    assert_eq!(json["expires_in"], 3600);
    assert_eq!(json["scope"], "read write");
    let served = resource(&server, &text(&json, "access_token")).await;
    assert_eq!(served.json()["sub"], "user-1");
    assert_eq!(served.json()["scope"], "read write");
    assert_eq!(served.json()["client_id"], "public-client");
}

#[tokio::test]
async fn what_is_wrong_in_an_exchange_is_refused() {
    let server = server();
    let wrong = [
        ("code", "code-unknown", "invalid_grant"),
        ("code", "", "invalid_request"),
        ("code_verifier", &verifier(), "invalid_grant"),
        ("code_verifier", "", "invalid_grant"),
        ("code_verifier", "short", "invalid_grant"),
        ("redirect_uri", "http://127.0.0.1:7002/callback", "invalid_grant"),
        ("redirect_uri", "http://127.0.0.1:7001/callback/", "invalid_grant"),
        ("redirect_uri", "", "invalid_grant"),
        ("grant_type", "", "invalid_request"),
        ("grant_type", "password", "unsupported_grant_type"),
        ("client_id", "", "invalid_client"),
        ("client_id", "nobody", "invalid_client"),
    ];
    for (name, value, error) in wrong {
        let (code, verifier) = code(&server).await;
        let reply = exchange(&server, &code, &verifier, &[(name, value)]).await;
        assert_eq!(reply.error(), error, "{name}={value}");
        let status = if error == "invalid_client" { 401 } else { 400 };
        assert_eq!(reply.status, status, "{name}={value}");
        assert_eq!(reply.header("cache-control"), "no-store");
        assert_eq!(!reply.header("www-authenticate").is_empty(), status == 401);
        assert!(reply.json().get("access_token").is_none());
    }
    let issued = server.ledger().token_requests().iter().filter(|entry| !entry.issued().is_empty()).count();
    assert_eq!(issued, 0);
}

#[tokio::test]
async fn a_verifier_is_43_to_128_unreserved_characters() {
    let server = server();
    let fresh = verifier();
    let long = format!("{fresh}{}", ".~".repeat(42));
    for (verifier, status) in [
        (fresh.get(1..).unwrap().to_owned(), 400),
        (fresh.clone(), 200),
        (format!("{long}-"), 200),
        (format!("{long}-_"), 400),
        (fresh.replacen(fresh.get(..1).unwrap(), "+", 1), 400),
        (fresh.replacen(fresh.get(..1).unwrap(), "\u{e9}", 1), 400),
    ] {
        let query = authorization_query("public-client", &challenge(&verifier), &[]);
        let code = get(&server, &format!("/authorize?{query}")).await.callback().remove("code").unwrap();
        let reply = exchange(&server, &code, &verifier, &[]).await;
        assert_eq!(reply.status, status, "{verifier}");
    }
}

#[tokio::test]
async fn a_code_is_for_its_client_only() {
    let other = Client::public("other").redirect_uri(REDIRECT);
    let server = approving().client(other).build().unwrap();
    let (code, verifier) = code(&server).await;
    let stolen = exchange(&server, &code, &verifier, &[("client_id", "other")]).await;
    assert_eq!(stolen.error(), "invalid_grant");
    assert_eq!(exchange(&server, &code, &verifier, &[]).await.status, 200, "the thief has not used it up");
}

#[tokio::test]
async fn a_faulty_attempt_uses_the_code_up() {
    let server = server();
    let (code, right) = code(&server).await;
    assert_eq!(exchange(&server, &code, &verifier(), &[]).await.error(), "invalid_grant");
    assert_eq!(exchange(&server, &code, &right, &[]).await.error(), "invalid_grant");
}

#[tokio::test]
async fn i8_a_code_used_twice_ends_the_tokens_issued_from_it() {
    let server = server();
    let (code, verifier) = code(&server).await;
    let first = exchange(&server, &code, &verifier, &[]).await.json();
    assert_eq!(exchange(&server, &code, &verifier, &[]).await.error(), "invalid_grant");
    assert_eq!(server.ledger().last().unwrap().outcome(), &Outcome::CodeReused);
    assert_eq!(resource(&server, &text(&first, "access_token")).await.error(), "invalid_token");
    assert_eq!(refresh(&server, &text(&first, "refresh_token")).await.error(), "invalid_grant");
}

#[tokio::test]
async fn i8_a_verifier_used_twice_is_refused() {
    let server = server();
    let verifier = verifier();
    let query = authorization_query("public-client", &challenge(&verifier), &[]);
    let mut replies = Vec::new();
    for _ in 0..2 {
        let code = get(&server, &format!("/authorize?{query}")).await.callback().remove("code").unwrap();
        replies.push(exchange(&server, &code, &verifier, &[]).await);
    }
    assert_eq!(replies[0].status, 200);
    assert_eq!(replies[1].error(), "invalid_grant");
}

#[tokio::test]
async fn codes_and_tokens_expire_by_the_servers_clock() {
    let hands = Hands::default();
    let server =
        approving().clock(hands.clock()).refresh_token_lifetime(Duration::from_secs(86_400)).build().unwrap();
    let (late, late_verifier) = code(&server).await;
    hands.advance(Duration::from_secs(59));
    let (code, verifier) = code(&server).await;
    hands.advance(Duration::from_secs(1));
    assert_eq!(exchange(&server, &late, &late_verifier, &[]).await.error(), "invalid_grant");
    let json = exchange(&server, &code, &verifier, &[]).await.json();
    let (access, renew) = (text(&json, "access_token"), text(&json, "refresh_token"));
    hands.advance(Duration::from_secs(3599));
    assert_eq!(resource(&server, &access).await.status, 200);
    hands.advance(Duration::from_secs(1));
    let refused = resource(&server, &access).await;
    assert_eq!(refused.status, 401);
    assert!(refused.header("www-authenticate").contains(r#"error="invalid_token""#));
    hands.advance(Duration::from_secs(86_400 - 3600));
    assert_eq!(refresh(&server, &renew).await.error(), "invalid_grant");
}

#[tokio::test]
async fn each_client_authenticates_in_its_own_way() {
    let server = server();
    let form = [("grant_type", "client_credentials")];
    let basic = server.basic_client();
    assert_eq!(post_basic(&server, basic, "/token", &form).await.status, 200);
    let with_id = [("grant_type", "client_credentials"), ("client_id", "basic-client")];
    assert_eq!(post_basic(&server, basic, "/token", &with_id).await.status, 200);
    let lower = basic_header("basic-client", basic.secret().unwrap()).replacen("Basic", "bAsIc", 1);
    let reply = post_raw(&server, "/token", &[FORM, ("authorization", &lower)], &encode(&form)).await;
    assert_eq!(reply.status, 200, "the scheme has no case");

    let secret = server.post_client().secret().unwrap();
    let posted =
        [("grant_type", "client_credentials"), ("client_id", "post-client"), ("client_secret", secret)];
    assert_eq!(post(&server, "/token", &posted).await.status, 200);
}

#[tokio::test]
async fn a_client_that_is_not_who_it_says_is_refused() {
    let server = server();
    let secret = server.basic_client().secret().unwrap();
    let unencoded = {
        use base64::Engine as _;
        format!(
            "Basic {}",
            base64::engine::general_purpose::STANDARD.encode(format!("basic-client:{secret}"))
        )
    };
    let headers = [
        basic_header("basic-client", "wrong"),
        basic_header("nobody", secret),
        basic_header("post-client", server.post_client().secret().unwrap()),
        basic_header("public-client", ""),
        unencoded,
        "Basic !!!".to_owned(),
        "Basic".to_owned(),
        "Bearer x".to_owned(),
        "Basic bm8tY29sb24=".to_owned(),
    ];
    for header in headers {
        let body = encode(&[("grant_type", "client_credentials")]);
        let reply = post_raw(&server, "/token", &[FORM, ("authorization", &header)], &body).await;
        assert_eq!((reply.status, reply.error().as_str()), (401, "invalid_client"), "{header}");
        assert!(reply.header("www-authenticate").starts_with("Basic "));
    }
    let forms: [&[(&str, &str)]; 5] = [
        &[("client_id", "post-client"), ("client_secret", "wrong")],
        &[("client_id", "post-client")],
        &[("client_id", "basic-client"), ("client_secret", secret)],
        &[("client_id", "public-client"), ("client_secret", "x")],
        &[],
    ];
    for form in forms {
        let form = [&[("grant_type", "client_credentials")], form].concat();
        let reply = post(&server, "/token", &form).await;
        assert_eq!((reply.status, reply.error().as_str()), (401, "invalid_client"), "{form:?}");
    }
}

#[tokio::test]
async fn two_methods_two_names_and_two_headers_are_refused() {
    let server = server();
    let basic = server.basic_client();
    let secret = basic.secret().unwrap();
    let both =
        [("grant_type", "client_credentials"), ("client_id", "basic-client"), ("client_secret", secret)];
    assert_eq!(post_basic(&server, basic, "/token", &both).await.error(), "invalid_request");
    let other = [("grant_type", "client_credentials"), ("client_id", "post-client")];
    assert_eq!(post_basic(&server, basic, "/token", &other).await.error(), "invalid_request");
    let header = basic_header("basic-client", secret);
    let headers = [FORM, ("authorization", header.as_str()), ("authorization", header.as_str())];
    let reply = post_raw(&server, "/token", &headers, "grant_type=client_credentials").await;
    assert_eq!(reply.error(), "invalid_request");
}

#[tokio::test]
async fn a_server_that_does_not_decode_takes_the_raw_secret_only() {
    use base64::Engine as _;
    let client = Client::basic_unencoded("raw", "a+b%20c");
    let server = approving().client(client).build().unwrap();
    let raw = base64::engine::general_purpose::STANDARD.encode("raw:a+b%20c");
    let body = "grant_type=client_credentials";
    let reply = post_raw(&server, "/token", &[FORM, ("authorization", &format!("Basic {raw}"))], body).await;
    assert_eq!(reply.status, 200);
    let encoded = basic_header("raw", "a+b%20c");
    let reply = post_raw(&server, "/token", &[FORM, ("authorization", &encoded)], body).await;
    assert_eq!(reply.error(), "invalid_client");
}

#[tokio::test]
async fn a_token_request_is_one_form_without_duplicates() {
    let server = server();
    let (code, verifier) = code(&server).await;
    let form = encode(&[
        ("grant_type", "authorization_code"),
        ("client_id", "public-client"),
        ("redirect_uri", REDIRECT),
        ("code", &code),
        ("code_verifier", &verifier),
    ]);
    let json = ("content-type", "application/json");
    let reply = post_raw(&server, "/token", &[json], r#"{"grant_type":"authorization_code"}"#).await;
    assert_eq!(reply.error(), "invalid_request");
    assert_eq!(post_raw(&server, "/token", &[], &form).await.error(), "invalid_request");
    for doubled in ["&code=x", "&grant_type=authorization_code", "&client_id=public-client", "&x=1&x=1"] {
        let reply = post_raw(&server, "/token", &[FORM], &format!("{form}{doubled}")).await;
        assert_eq!(reply.error(), "invalid_request", "{doubled}");
    }
    let reply = post_raw(&server, "/token", &[FORM], &format!("{form}&x=%f")).await;
    assert_eq!(reply.error(), "invalid_request");
    let charset = ("content-type", "application/x-www-form-urlencoded; charset=UTF-8");
    assert_eq!(post_raw(&server, "/token", &[charset], &form).await.status, 200);
}

#[tokio::test]
async fn confidential_clients_exchange_codes_as_well() {
    let server = server();
    for client in [server.basic_client(), server.post_client()] {
        let (code, verifier) = code_for(&server, client.id()).await;
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("redirect_uri", REDIRECT),
            ("code", code.as_str()),
            ("code_verifier", verifier.as_str()),
        ];
        let reply = if client.id() == "basic-client" {
            post_basic(&server, client, "/token", &form).await
        } else {
            form.extend([("client_id", client.id()), ("client_secret", client.secret().unwrap())]);
            post(&server, "/token", &form).await
        };
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
}

#[tokio::test]
async fn client_credentials_are_for_confidential_clients() {
    let server = server();
    let public = [("grant_type", "client_credentials"), ("client_id", "public-client")];
    assert_eq!(post(&server, "/token", &public).await.error(), "unauthorized_client");
    let form = [("grant_type", "client_credentials"), ("scope", "write")];
    let reply = post_basic(&server, server.basic_client(), "/token", &form).await.json();
    assert_eq!(reply["scope"], "write");
    assert!(reply.get("refresh_token").is_none());
    let bad = [("grant_type", "client_credentials"), ("scope", "everything")];
    assert_eq!(post_basic(&server, server.basic_client(), "/token", &bad).await.error(), "invalid_scope");
}

#[tokio::test]
async fn a_refresh_token_rotates_and_its_reuse_ends_the_family() {
    let server = server();
    let (first_access, first) = tokens(&server).await;
    let second = refresh(&server, &first).await.json();
    assert_ne!(text(&second, "refresh_token"), first);
    assert_eq!(server.ledger().last().unwrap().outcome(), &Outcome::RefreshUsed);
    assert_eq!(resource(&server, &first_access).await.status, 200);

    assert_eq!(refresh(&server, &first).await.error(), "invalid_grant");
    assert_eq!(server.ledger().last().unwrap().outcome(), &Outcome::RefreshReused);
    assert_eq!(refresh(&server, &text(&second, "refresh_token")).await.error(), "invalid_grant");
    assert_eq!(resource(&server, &text(&second, "access_token")).await.status, 401);
    assert_eq!(resource(&server, &first_access).await.status, 401);
}

#[tokio::test]
async fn reuse_ends_one_family_and_not_another() {
    let server = server();
    let (_, first) = tokens(&server).await;
    let (bystander, _) = tokens(&server).await;
    refresh(&server, &first).await;
    refresh(&server, &first).await;
    assert_eq!(resource(&server, &bystander).await.status, 200);
}

#[tokio::test]
async fn grace_accepts_the_last_token_for_a_while() {
    let hands = Hands::default();
    let grace = Rotation::Rotate { grace: Some(Duration::from_secs(10)) };
    let server = approving().clock(hands.clock()).rotation(grace).build().unwrap();
    let (_, first) = tokens(&server).await;
    let second = refresh(&server, &first).await.json();
    hands.advance(Duration::from_secs(9));
    let again = refresh(&server, &first).await;
    assert_eq!(again.status, 200);
    assert_eq!(server.ledger().last().unwrap().outcome(), &Outcome::RefreshGrace);
    hands.advance(Duration::from_secs(1));
    assert_eq!(refresh(&server, &first).await.error(), "invalid_grant");
    assert_eq!(server.ledger().last().unwrap().outcome(), &Outcome::RefreshReused);
    assert_eq!(refresh(&server, &text(&second, "refresh_token")).await.error(), "invalid_grant");
}

#[tokio::test]
async fn grace_ends_when_the_replacement_is_used() {
    let hands = Hands::default();
    let grace = Rotation::Rotate { grace: Some(Duration::from_secs(10)) };
    let server = approving().clock(hands.clock()).rotation(grace).build().unwrap();
    let (_, first) = tokens(&server).await;
    let second = refresh(&server, &first).await.json();
    assert_eq!(refresh(&server, &text(&second, "refresh_token")).await.status, 200);
    assert_eq!(refresh(&server, &first).await.error(), "invalid_grant");
    assert_eq!(server.ledger().last().unwrap().outcome(), &Outcome::RefreshReused);
}

#[tokio::test]
async fn without_rotation_the_refresh_token_stays() {
    for (rotation, repeated) in [(Rotation::None, false), (Rotation::Repeat, true)] {
        let server = approving().rotation(rotation).build().unwrap();
        let (_, token) = tokens(&server).await;
        for _ in 0..3 {
            let reply = refresh(&server, &token).await;
            assert_eq!(reply.status, 200);
            assert_eq!(reply.json()["refresh_token"].as_str(), repeated.then_some(token.as_str()));
        }
    }
}

#[tokio::test]
async fn a_refresh_narrows_the_scope_and_never_widens_it() {
    let server = server();
    let (_, token) = tokens(&server).await;
    let ask = |token: String, scope: &'static str| {
        let server = &server;
        async move {
            let form = [
                ("grant_type", "refresh_token"),
                ("client_id", "public-client"),
                ("refresh_token", token.as_str()),
                ("scope", scope),
            ];
            post(server, "/token", &form).await
        }
    };
    assert_eq!(ask(token.clone(), "read profile").await.error(), "invalid_scope");
    let narrow = ask(token, "read").await.json();
    assert_eq!(narrow["scope"], "read");
    let wide = refresh(&server, &text(&narrow, "refresh_token")).await.json();
    assert_eq!(wide["scope"], "read write", "the refresh token keeps what was granted");
}

#[tokio::test]
async fn a_refresh_token_is_for_its_client_only() {
    let server = server();
    let (_, token) = tokens(&server).await;
    let form = [("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
    let stolen = post_basic(&server, server.basic_client(), "/token", &form).await;
    assert_eq!(stolen.error(), "invalid_grant");
    assert_eq!(refresh(&server, "rt-unknown").await.error(), "invalid_grant");
    assert_eq!(refresh(&server, &token).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a3_of_many_concurrent_exchanges_one_succeeds() {
    let server = Arc::new(server());
    let (code, verifier) = code(&server).await;
    let mut attempts = JoinSet::new();
    for _ in 0..32 {
        let (server, code, verifier) = (Arc::clone(&server), code.clone(), verifier.clone());
        attempts.spawn(async move { exchange(&server, &code, &verifier, &[]).await.status });
    }
    let statuses = attempts.join_all().await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1);
    let requests = server.ledger().token_requests();
    let issued = requests.iter().flat_map(Entry::issued).filter(|one| one.kind() == IssuedKind::AccessToken);
    assert_eq!(issued.count(), 1);
    assert_eq!(server.ledger().count(Endpoint::Token), 32);
}
