//! Stack Exchange's wire format, held to what is documented and was seen of it.

use std::{io::Read as _, time::Duration};

use authflow_testkit::{AuthorizationServer, Client, Endpoint, Fault, Outcome, Personality};
use serde_json::{Value, json};

use crate::support::{
    Answer, FORM, Hands, REDIRECT, approving, authorization_query, challenge, get, get_with, post, post_raw,
    text, verifier,
};

const PUBLIC: &str = "1001";
const SECRET: &str = "1002";

fn server() -> AuthorizationServer {
    approving().personality(Personality::StackExchange).subject("4711").build().unwrap()
}

async fn code(server: &AuthorizationServer, client: &str, scope: &str) -> (String, String) {
    let verifier = verifier();
    let changes = [("scope", scope), ("response_type", "")];
    let query = authorization_query(client, &challenge(&verifier), &changes);
    let answer = get(server, &format!("/oauth?{query}")).await;
    let mut callback = answer.callback();
    assert_eq!(callback["state"], "state-1");
    assert!(!callback.contains_key("iss"));
    (callback.remove("code").unwrap(), verifier)
}

async fn exchange(server: &AuthorizationServer, path: &str, scope: &str) -> Answer {
    let (code, verifier) = code(server, PUBLIC, scope).await;
    let form =
        [("client_id", PUBLIC), ("redirect_uri", REDIRECT), ("code", &code), ("code_verifier", &verifier)];
    post(server, path, &form).await
}

async fn token(server: &AuthorizationServer) -> String {
    text(&exchange(server, "/oauth/access_token/json", "read_inbox").await.json(), "access_token")
}

/// Names and JSON types, which is what a shape is.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), shape(value))).collect(),
        Value::Array(items) => Value::Array(items.iter().take(1).map(shape).collect()),
        Value::String(_) => json!("string"),
        Value::Number(_) => json!("number"),
        Value::Bool(_) => json!("boolean"),
        Value::Null => Value::Null,
    }
}

fn unzip(answer: &Answer) -> Value {
    assert_eq!(answer.header("content-encoding"), "gzip");
    let mut plain = String::new();
    flate2::read::GzDecoder::new(answer.body.as_ref()).read_to_string(&mut plain).unwrap();
    serde_json::from_str(&plain).unwrap()
}

async fn api(server: &AuthorizationServer, target: &str) -> Value {
    let answer = get(server, target).await;
    assert_eq!(answer.status, 200, "{:?}", unzip(&answer));
    unzip(&answer)
}

async fn api_error(server: &AuthorizationServer, target: &str) -> (u64, String) {
    let answer = get(server, target).await;
    assert_eq!(answer.status, 400);
    let body = unzip(&answer);
    let sample = json!({ "error_id": 403, "error_name": "access_denied", "error_message": "..." });
    assert_eq!(shape(&body), shape(&sample));
    (body["error_id"].as_u64().unwrap(), text(&body, "error_name"))
}

#[tokio::test]
async fn the_json_reply_has_a_token_and_expires() {
    let reply = exchange(&server(), "/oauth/access_token/json", "read_inbox").await;
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(shape(&reply.json()), shape(&json!({ "access_token": "AT", "expires": 86400 })));
    assert_eq!(reply.json()["expires"], 86_400);
}

#[tokio::test]
async fn the_form_reply_has_a_token_and_expires() {
    let server = server();
    let reply = exchange(&server, "/oauth/access_token", "").await;
    assert_eq!(reply.header("content-type"), "application/x-www-form-urlencoded");
    let token = server.ledger().last().unwrap().access_token().unwrap().to_owned();
    assert_eq!(reply.text(), format!("access_token={token}&expires=86400"));
}

#[tokio::test]
async fn no_expiry_means_no_expires() {
    let server = server();
    let reply = exchange(&server, "/oauth/access_token/json", "read_inbox,no_expiry").await;
    assert_eq!(shape(&reply.json()), json!({ "access_token": "string" }));
    let form = exchange(&server, "/oauth/access_token", "no_expiry").await;
    assert!(form.text().starts_with("access_token=") && !form.text().contains('&'));
}

#[tokio::test]
async fn scopes_are_separated_by_commas_and_spaces_work_too() {
    let server = server();
    for scope in ["read_inbox,private_info", "read_inbox private_info"] {
        let token = text(&exchange(&server, "/oauth/access_token/json", scope).await.json(), "access_token");
        let read = api(&server, &format!("/2.3/access-tokens/{token}")).await;
        assert_eq!(read["items"][0]["scope"], json!(["read_inbox", "private_info"]));
    }
    let query = authorization_query(PUBLIC, &challenge(&verifier()), &[("scope", "everything")]);
    assert_eq!(get(&server, &format!("/oauth?{query}")).await.callback()["error"], "invalid_scope");
}

#[tokio::test]
async fn either_the_secret_or_the_verifier_authenticates() {
    let server = server();
    let secret = server.client(SECRET).unwrap().secret().unwrap().to_owned();
    for (with_secret, with_verifier, status) in [(true, true, 200), (false, true, 200), (false, false, 400)] {
        let (code, verifier) = code(&server, SECRET, "").await;
        let mut form = vec![("client_id", SECRET), ("redirect_uri", REDIRECT), ("code", &code)];
        form.extend(with_secret.then_some(("client_secret", secret.as_str())));
        form.extend(with_verifier.then_some(("code_verifier", verifier.as_str())));
        form.extend(with_verifier.then_some(("grant_type", "authorization_code")));
        assert_eq!(post(&server, "/oauth/access_token/json", &form).await.status, status);
    }
    let changes = [("code_challenge", ""), ("code_challenge_method", ""), ("response_type", "")];
    let query = authorization_query(SECRET, "", &changes);
    let mut callback = get(&server, &format!("/oauth?{}", query.replace("read+write", ""))).await.callback();
    let code = callback.remove("code").unwrap();
    let form =
        [("client_id", SECRET), ("redirect_uri", REDIRECT), ("code", &code), ("client_secret", &secret)];
    assert_eq!(post(&server, "/oauth/access_token/json", &form).await.status, 200, "no PKCE at all");
}

#[tokio::test]
async fn token_errors_are_objects() {
    let server = server();
    let sample = json!({ "error": { "type": "invalid_request", "message": "client_id not provided" } });
    let missing = post(&server, "/oauth/access_token/json", &[("code", "x")]).await;
    assert_eq!((missing.status, missing.json()), (400, sample.clone()));
    let json_body = [("content-type", "application/json")];
    let json_body =
        post_raw(&server, "/oauth/access_token/json", &json_body, r#"{"client_id":"1001"}"#).await;
    assert_eq!((json_body.status, json_body.json()), (400, sample.clone()));
    let wrong: [(&str, &[(&str, &str)]); 5] = [
        ("invalid_client", &[("client_id", "1")]),
        ("invalid_client", &[("client_id", SECRET), ("client_secret", "wrong")]),
        ("invalid_client", &[("client_id", PUBLIC), ("client_secret", "any")]),
        ("invalid_grant", &[("client_id", PUBLIC), ("code", "x"), ("code_verifier", "v")]),
        (
            "unsupported_grant_type",
            &[("client_id", PUBLIC), ("code_verifier", "v"), ("grant_type", "refresh_token")],
        ),
    ];
    for (kind, form) in wrong {
        let reply = post(&server, "/oauth/access_token", form).await;
        assert_eq!(reply.status, 400);
        assert_eq!(shape(&reply.json()), shape(&sample));
        assert_eq!(reply.json()["error"]["type"], kind);
    }
    let doubled = post_raw(&server, "/oauth/access_token", &[FORM], "client_id=1001&client_id=1001").await;
    assert_eq!(doubled.json()["error"]["type"], "invalid_request");
}

#[tokio::test]
async fn the_redirect_uri_may_be_anywhere_under_the_registered_domain() {
    let client = Client::post("9", "secret").redirect_uri("https://client.example/");
    let server = approving().personality(Personality::StackExchange).client(client).build().unwrap();
    for (uri, status) in [
        ("https://client.example/any/path", 303),
        ("https://sub.client.example/callback", 303),
        ("https://notclient.example/callback", 400),
        ("http://client.example/callback", 400),
        ("https://client.example:8443/", 400),
        ("https://client.example.attacker.example/", 400),
    ] {
        let changes = [("redirect_uri", uri), ("scope", "")];
        let query = authorization_query("9", &challenge(&verifier()), &changes);
        assert_eq!(get(&server, &format!("/oauth?{query}")).await.status, status, "{uri}");
    }
}

#[tokio::test]
async fn me_wants_token_key_and_site() {
    let server = server();
    let token = token(&server).await;
    let key = "test*key1001((";
    let good = format!("/2.3/me?access_token={token}&key={key}&site=stackoverflow");
    let body = api(&server, &good).await;
    let mut names: Vec<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["has_more", "items", "quota_max", "quota_remaining"]);
    assert_eq!(body["items"][0]["account_id"], 4711);
    assert_ne!(body["items"][0]["user_id"], 4711);
    let left = body["quota_remaining"].as_u64().unwrap();
    assert_eq!(api(&server, &good).await["quota_remaining"], left - 1);

    let me = |query: &str| format!("/2.3/me?{query}");
    let cases = [
        (me(&format!("key={key}&site=x")), 401, "access_token_required"),
        (me(&format!("access_token=unknown&key={key}&site=x")), 402, "invalid_access_token"),
        (me(&format!("access_token={token}&site=x")), 405, "key_required"),
        (me(&format!("access_token={token}&key=other&site=x")), 403, "access_denied"),
        (me(&format!("access_token={token}&key={key}")), 400, "bad_parameter"),
        ("/2.3/nothing".to_owned(), 404, "no_method"),
    ];
    for (target, id, name) in cases {
        assert_eq!(api_error(&server, &target).await, (id, name.to_owned()), "{target}");
    }
    let header = get_with(&server, "/2.3/me?site=x", &[("authorization", &format!("Bearer {token}"))]).await;
    assert_eq!(header.status, 400, "the header counts for nothing");
}

#[tokio::test]
async fn tokens_are_read_many_at_a_time() {
    let hands = Hands::default();
    let server = approving()
        .personality(Personality::StackExchange)
        .subject("1")
        .clock(hands.clock())
        .build()
        .unwrap();
    let (first, second) = (token(&server).await, token(&server).await);
    let sample = json!({
        "items": [{ "access_token": "AT", "expires_on_date": 1_790_000_000, "account_id": 1, "scope": ["read_inbox"] }],
        "has_more": false, "quota_max": 10_000, "quota_remaining": 9999,
    });
    let read = api(&server, &format!("/2.3/access-tokens/{first};{second};unknown")).await;
    assert_eq!(shape(&read), shape(&sample));
    assert_eq!(read["items"].as_array().unwrap().len(), 2);
    assert_eq!(read["items"][0]["expires_on_date"], 1_750_086_400);
    let escaped = api(&server, &format!("/2.3/access-tokens/{first}%3B{second}")).await;
    assert_eq!(escaped["items"].as_array().unwrap().len(), 2);
    let many = ["t"; 21].join(";");
    assert_eq!(api_error(&server, &format!("/2.3/access-tokens/{many}")).await.1, "bad_parameter");
    hands.advance(Duration::from_secs(86_400));
    let read = api(&server, &format!("/2.3/access-tokens/{first}")).await;
    assert_eq!(read["items"], json!([]), "an expired token is not listed");
    let reply = exchange(&server, "/oauth/access_token/json", "no_expiry").await.json();
    hands.advance(Duration::from_secs(10 * 365 * 86_400));
    let read = api(&server, &format!("/2.3/access-tokens/{}", text(&reply, "access_token"))).await;
    let item = read["items"][0].as_object().unwrap();
    assert!(item.contains_key("scope") && !item.contains_key("expires_on_date"), "it lives for ever");
}

#[tokio::test]
async fn invalidate_ends_the_tokens_and_de_authenticate_all_of_the_user() {
    let server = server();
    let (first, second, third) = (token(&server).await, token(&server).await, token(&server).await);
    let ended = api(&server, &format!("/2.3/access-tokens/{first}/invalidate")).await;
    assert_eq!(ended["items"][0]["access_token"], first.as_str());
    assert_eq!(server.ledger().last().unwrap().outcome(), &Outcome::Revoked);
    assert_eq!(server.ledger().last().unwrap().endpoint(), Endpoint::Revocation);
    let me = |token: &str| format!("/2.3/me?access_token={token}&key=test*key1001((&site=x");
    assert_eq!(api_error(&server, &me(&first)).await.0, 402);
    api(&server, &me(&second)).await;
    api(&server, &format!("/2.3/access-tokens/{first}/invalidate")).await;
    assert_eq!(server.ledger().last().unwrap().outcome(), &Outcome::NothingToRevoke);

    api(&server, &format!("/2.3/apps/{second}/de-authenticate")).await;
    assert_eq!(api_error(&server, &me(&second)).await.0, 402);
    assert_eq!(api_error(&server, &me(&third)).await.0, 402);
}

#[tokio::test]
async fn backoff_and_throttling_come_on_request() {
    let server = server();
    let token = token(&server).await;
    let me = format!("/2.3/me?access_token={token}&key=test*key1001((&site=x");
    server.fault_next(Endpoint::Resource, Fault::Backoff(10));
    assert_eq!(api(&server, &me).await["backoff"], 10);
    assert_eq!(server.ledger().last().unwrap().fault(), Some(&Fault::Backoff(10)));
    server.fault_next(Endpoint::Resource, Fault::Throttled);
    assert_eq!(api_error(&server, &me).await, (502, "throttle_violation".to_owned()));
    assert!(api(&server, &me).await.get("backoff").is_none());
}

#[tokio::test]
async fn replies_may_be_compressed_without_saying_so() {
    let server = server();
    let token = token(&server).await;
    let me = format!("/2.3/me?access_token={token}&key=test*key1001((&site=x");
    server.fault_next(Endpoint::Resource, "gzip-undeclared".parse().unwrap());
    let answer = get(&server, &me).await;
    assert_eq!(answer.header("content-encoding"), "");
    assert_eq!(answer.body[..2], [0x1f, 0x8b]);
}

#[tokio::test]
async fn there_are_no_refresh_tokens_and_no_metadata() {
    let server = server();
    let refresh = [("client_id", PUBLIC), ("grant_type", "refresh_token"), ("refresh_token", "x")];
    assert_eq!(post(&server, "/oauth/access_token", &refresh).await.status, 400);
    assert_eq!(get(&server, "/.well-known/oauth-authorization-server").await.status, 404);
    assert!(server.authorization_endpoint().ends_with("/oauth"));
    assert!(server.resource_url().ends_with("/2.3/me"));
    assert!(approving().personality(Personality::StackExchange).subject("alice").build().is_err());
    assert!(!server.sign_in("alice"));
}
