//! Contentstack's wire format, held to what is documented and was seen of it.

use authflow_testkit::{AuthorizationServer, Builder, Client, Endpoint, Outcome, Personality, Rotation};
use http::{Method, Request};
use serde_json::{Value, json};

use crate::support::{
    Answer, FORM, REDIRECT, approving, authorization_query, challenge, get, get_with, post, post_raw,
    resource, send, text, verifier,
};

const APP: &str = "apppublic-client";

fn builder() -> Builder {
    approving().personality(Personality::Contentstack)
}

fn server() -> AuthorizationServer {
    builder().build().unwrap()
}

fn query(client: &str, challenge: &str, changes: &[(&str, &str)]) -> String {
    let changes = [&[("scope", "user:read user:write")], changes].concat();
    authorization_query(client, challenge, &changes)
}

async fn code(server: &AuthorizationServer) -> (String, String) {
    let verifier = verifier();
    let query = query("public-client", &challenge(&verifier), &[]);
    let mut callback = get(server, &format!("/apps/{APP}/authorize?{query}")).await.callback();
    (callback.remove("code").unwrap(), verifier)
}

async fn exchange_at(server: &AuthorizationServer, path: &str) -> Answer {
    let (code, verifier) = code(server).await;
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", "public-client"),
        ("redirect_uri", REDIRECT),
        ("code", &code),
        ("code_verifier", &verifier),
    ];
    post(server, path, &form).await
}

async fn tokens(server: &AuthorizationServer) -> Value {
    let reply = exchange_at(server, "/token").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

fn names(value: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

async fn hub(
    server: &AuthorizationServer,
    method: Method,
    path: &str,
    token: &str,
    organization: &str,
) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {token}"))
        .header("organization_uid", organization)
        .header("content-type", "application/json");
    send(server, request.body(bytes::Bytes::new()).unwrap()).await
}

const ORGANIZATION: &str = "bltorganization01";

#[tokio::test]
async fn the_callback_carries_the_location() {
    let server = builder().location("AZURE_EU").build().unwrap();
    let query = query("public-client", &challenge(&verifier()), &[]);
    let (_, pairs) = get(&server, &format!("/apps/{APP}/authorize?{query}")).await.redirect();
    let names: Vec<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["code", "location", "state"]);
    assert_eq!(pairs[1].1, "AZURE_EU");
}

#[tokio::test]
async fn the_app_uid_is_part_of_the_path() {
    let server = server();
    assert!(server.authorization_endpoint().ends_with(&format!("/apps/{APP}/authorize")));
    let query = query("public-client", &challenge(&verifier()), &[]);
    assert_eq!(get(&server, &format!("/apps/appbasic-client/authorize?{query}")).await.status, 400);
    assert_eq!(get(&server, &format!("/apps/{APP}/elsewhere?{query}")).await.status, 404);
    assert_eq!(get(&server, &format!("/authorize?{query}")).await.status, 404);
    assert_eq!(get(&server, "/").await.status, 404);
    for path in ["/v3/nothing", "/manifests/nothing"] {
        let reply = get(&server, path).await;
        assert_eq!((reply.status, reply.json()["error_message"].is_string()), (404, true));
    }
    assert_eq!(get(&server, &format!("/?{query}")).await.status, 303, "the query before the fragment");
}

#[tokio::test]
async fn a_token_reply_has_the_fields_of_the_samples() {
    let server = builder().location("EU").stack_api_key("bltSTACK").build().unwrap();
    for path in ["/token", "/apps/token", "/apps-api/token", "/apps-api/apps/token"] {
        let reply = exchange_at(&server, path).await.json();
        let sample = json!({
            "access_token": "AT", "refresh_token": "RT", "token_type": "Bearer", "expires_in": 3600,
            "location": "EU", "region": "EU", "organization_uid": "bltORG", "authorization_type": "user",
            "user_uid": "bltUSER", "stack_api_key": "",
        });
        assert_eq!(names(&reply), names(&sample));
        assert_eq!(reply["token_type"], "Bearer");
        assert_eq!(reply["expires_in"], 3600);
        assert_eq!((&reply["location"], &reply["region"]), (&json!("EU"), &json!("EU")));
        assert_eq!(reply["authorization_type"], "user");
        assert_eq!(reply["user_uid"], "bltuser01");
        assert_eq!(reply["organization_uid"], ORGANIZATION);
        assert_eq!(reply["stack_api_key"], "bltSTACK");
    }
}

#[tokio::test]
async fn either_the_secret_or_the_verifier_and_never_both() {
    let server = server();
    let secret = server.post_client().secret().unwrap();
    for (with_secret, with_verifier, with_challenge, error) in [
        (true, false, false, None),
        (false, true, true, None),
        (true, true, true, Some("invalid_request")),
        (false, false, false, Some("invalid_client")),
        (true, false, true, Some("invalid_grant")),
    ] {
        let verifier = verifier();
        let challenge = if with_challenge { challenge(&verifier) } else { String::new() };
        let changes: &[(&str, &str)] =
            if with_challenge { &[] } else { &[("code_challenge", ""), ("code_challenge_method", "")] };
        let query = query("post-client", &challenge, changes);
        let answer = get(&server, &format!("/apps/apppost-client/authorize?{query}")).await;
        let code = answer.callback().remove("code").unwrap();
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("client_id", "post-client"),
            ("redirect_uri", REDIRECT),
            ("code", code.as_str()),
        ];
        form.extend(with_secret.then_some(("client_secret", secret)));
        form.extend(with_verifier.then_some(("code_verifier", verifier.as_str())));
        let reply = post(&server, "/token", &form).await;
        match error {
            None => assert_eq!(reply.status, 200, "{}", reply.text()),
            Some(error) => assert_eq!(reply.error(), error),
        }
    }
}

#[tokio::test]
async fn a_refresh_keeps_the_token_unless_rotation_is_on() {
    for (rotation, same) in [(None, true), (Some(Rotation::Rotate { grace: None }), false)] {
        let mut builder = builder();
        if let Some(rotation) = rotation {
            builder = builder.rotation(rotation);
        }
        let server = builder.build().unwrap();
        let first = text(&tokens(&server).await, "refresh_token");
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", "public-client"),
            ("redirect_uri", REDIRECT),
            ("refresh_token", &first),
        ];
        let reply = post(&server, "/token", &form).await.json();
        assert_eq!(text(&reply, "refresh_token") == first, same);
        assert_eq!(reply["user_uid"], "bltuser01");
        let again = post(&server, "/token", &form).await;
        assert_eq!(again.status, if same { 200 } else { 400 });
    }
}

#[tokio::test]
async fn a_refresh_needs_the_secret_where_the_exchange_had_it() {
    let server = server();
    let secret = server.post_client().secret().unwrap();
    let changes = [("code_challenge", ""), ("code_challenge_method", "")];
    let query = query("post-client", "", &changes);
    let answer = get(&server, &format!("/apps/apppost-client/authorize?{query}")).await;
    let code = answer.callback().remove("code").unwrap();
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", "post-client"),
        ("client_secret", secret),
        ("redirect_uri", REDIRECT),
        ("code", &code),
    ];
    let token = text(&post(&server, "/token", &form).await.json(), "refresh_token");
    let mut form =
        vec![("grant_type", "refresh_token"), ("client_id", "post-client"), ("refresh_token", &token)];
    assert_eq!(post(&server, "/token", &form).await.error(), "invalid_client");
    form.push(("client_secret", "wrong"));
    assert_eq!(post(&server, "/token", &form).await.error(), "invalid_client");
    form.pop();
    form.push(("client_secret", secret));
    assert_eq!(post(&server, "/token", &form).await.status, 200);
}

#[tokio::test]
async fn token_requests_carry_no_authorization_header() {
    let server = server();
    let headers = [FORM, ("authorization", "Bearer expired")];
    let reply =
        post_raw(&server, "/token", &headers, "grant_type=refresh_token&client_id=public-client").await;
    assert_eq!(reply.error(), "invalid_request");
    for (app_id, error) in [("other", "invalid_request"), (APP, "invalid_grant")] {
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", "public-client"),
            ("refresh_token", "unknown"),
            ("app_id", app_id),
        ];
        assert_eq!(post(&server, "/token", &form).await.error(), error);
    }
}

#[tokio::test]
async fn client_credentials_give_an_app_token() {
    let server = server();
    let secret = server.post_client().secret().unwrap();
    let form =
        [("grant_type", "client_credentials"), ("client_id", "post-client"), ("client_secret", secret)];
    let reply = post(&server, "/token", &form).await.json();
    assert_eq!(reply["authorization_type"], "app");
    assert_eq!(reply["user_uid"], "");
    assert!(reply.get("refresh_token").is_none());
    assert_eq!(resource(&server, &text(&reply, "access_token")).await.status, 401, "an app has no user");
    let bare = [("grant_type", "client_credentials"), ("client_id", "post-client")];
    assert_eq!(post(&server, "/token", &bare).await.error(), "invalid_client");
}

#[tokio::test]
async fn an_installation_comes_back_without_state() {
    let client =
        Client::post("installed", "secret").redirect_uri("http://127.0.0.1:7002/install").app_uid("appX");
    let server = builder().client(client).build().unwrap();
    let (url, pairs) = get(&server, "/apps/appX/install").await.redirect();
    assert_eq!(url.as_str(), "http://127.0.0.1:7002/install");
    let names: Vec<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["code", "location", "region", "installation_uid"]);
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", "installed"),
        ("client_secret", "secret"),
        ("redirect_uri", "http://127.0.0.1:7002/install"),
        ("code", &pairs[0].1),
    ];
    let reply = post(&server, "/token", &form).await.json();
    assert_eq!(reply["authorization_type"], "app");
    assert_eq!(reply["user_uid"], "");
    assert_eq!(get(&server, "/apps/unknown/install").await.status, 400);
}

#[tokio::test]
async fn the_first_registered_redirect_uri_is_the_default() {
    let client =
        Client::post("d", "s").redirect_uri("https://a.example/1").redirect_uri("https://a.example/2");
    let server = builder().client(client).build().unwrap();
    let query = query("d", &challenge(&verifier()), &[("redirect_uri", "")]);
    let answer = get(&server, &format!("/apps/appd/authorize?{query}")).await;
    assert!(answer.header("location").starts_with("https://a.example/1?code="));
}

#[tokio::test]
async fn the_user_comes_wrapped_and_errors_in_their_own_shape() {
    let server = server();
    let token = text(&tokens(&server).await, "access_token");
    let user = resource(&server, &token).await.json();
    assert_eq!(user["user"]["uid"], "bltuser01");
    assert_eq!(names(&user["user"]), ["email", "first_name", "last_name", "uid"]);
    let sample = json!({ "error_message": "m", "error_code": 118, "errors": { "uid": ["is not valid."] } });
    for reply in [resource(&server, "unknown").await, get(&server, "/v3/user").await] {
        assert_eq!(reply.status, 401);
        assert_eq!(names(&reply.json()), names(&sample));
        assert!(reply.json()["error_code"].is_u64());
    }
}

#[tokio::test]
async fn stacks_want_to_know_the_organization_or_the_stack() {
    let server = builder().stack_api_key("bltSTACK").build().unwrap();
    let token = text(&tokens(&server).await, "access_token");
    let bearer = format!("Bearer {token}");
    let authorization = ("authorization", bearer.as_str());
    for (header, status) in [
        (("organization_uid", ORGANIZATION), 200),
        (("api_key", "bltSTACK"), 200),
        (("organization_uid", "other"), 422),
        (("x-nothing", "x"), 422),
    ] {
        assert_eq!(
            get_with(&server, "/v3/stacks", &[authorization, header]).await.status,
            status,
            "{header:?}"
        );
    }
}

#[tokio::test]
async fn revocation_takes_three_steps() {
    let server = server();
    let first = tokens(&server).await;
    server.sign_in("bltother");
    let other = text(&tokens(&server).await, "access_token");
    let token = text(&first, "access_token");
    let list = format!("/manifests/{APP}/authorizations");

    let listed = hub(&server, Method::GET, &list, &token, ORGANIZATION).await.json();
    let sample = json!({ "authorization_uid": "AUTH1", "user": { "uid": "bltUSER" } });
    let data = listed["data"].as_array().unwrap();
    assert_eq!(data.len(), 2);
    assert!(data.iter().all(|one| names(one) == names(&sample)));
    let own = data.iter().find(|one| one["user"]["uid"] == first["user_uid"]).unwrap();
    let own = format!("{list}/{}", text(own, "authorization_uid"));

    assert_eq!(
        hub(&server, Method::DELETE, &format!("{list}/unknown"), &token, ORGANIZATION).await.status,
        404
    );
    assert_eq!(hub(&server, Method::DELETE, &own, &token, "other").await.status, 422);
    assert_eq!(hub(&server, Method::DELETE, &own, "unknown", ORGANIZATION).await.status, 401);
    let foreign = own.replace(APP, "apppost-client");
    assert_eq!(hub(&server, Method::DELETE, &foreign, &token, ORGANIZATION).await.status, 404);
    assert_eq!(hub(&server, Method::DELETE, &own, &token, ORGANIZATION).await.status, 200);
    assert_eq!(server.ledger().last().unwrap().outcome(), &Outcome::Revoked);
    assert_eq!(server.ledger().last().unwrap().endpoint(), Endpoint::Revocation);
    assert_eq!(resource(&server, &token).await.status, 401);
    assert_eq!(resource(&server, &other).await.status, 200);

    assert_eq!(hub(&server, Method::DELETE, &list, &other, ORGANIZATION).await.status, 200);
    assert_eq!(resource(&server, &other).await.status, 401);
}

#[tokio::test]
async fn introspection_answers_anyone() {
    let server = server();
    let token = text(&tokens(&server).await, "access_token");
    let active = post(&server, "/apps-api/introspect", &[("token", &token)]).await.json();
    assert_eq!(active, json!({ "active": true, "scope": "user:read user:write" }));
    let inactive = post(&server, "/apps-api/introspect", &[("token", "x")]).await.json();
    assert_eq!(inactive, json!({ "active": false }));
}
