//! Revocation, introspection and the protected resource: RFC 6750, RFC 7009, RFC 7662.

use authflow_testkit::Outcome;

use crate::support::{FORM, get, get_with, post, post_basic, post_raw, refresh, resource, server, tokens};

#[tokio::test]
async fn revoking_a_refresh_token_ends_the_family() {
    let server = server();
    let (access, token) = tokens(&server).await;
    let form =
        [("client_id", "public-client"), ("token", token.as_str()), ("token_type_hint", "access_token")];
    let reply = post(&server, "/revoke", &form).await;
    assert_eq!(reply.status, 200, "a wrong hint is only a hint");
    assert_eq!(server.ledger().last().unwrap().outcome(), &Outcome::Revoked);
    assert_eq!(resource(&server, &access).await.status, 401);
    assert_eq!(refresh(&server, &token).await.error(), "invalid_grant");
    assert_eq!(post(&server, "/revoke", &form).await.status, 200);
    assert_eq!(server.ledger().last().unwrap().outcome(), &Outcome::NothingToRevoke);
}

#[tokio::test]
async fn revoking_an_access_token_leaves_the_refresh_token() {
    let server = server();
    let (access, token) = tokens(&server).await;
    let form = [("client_id", "public-client"), ("token", access.as_str())];
    for outcome in [Outcome::Revoked, Outcome::NothingToRevoke] {
        assert_eq!(post(&server, "/revoke", &form).await.status, 200);
        assert_eq!(server.ledger().last().unwrap().outcome(), &outcome);
    }
    assert_eq!(resource(&server, &access).await.status, 401);
    assert_eq!(refresh(&server, &token).await.status, 200);
}

#[tokio::test]
async fn revocation_wants_the_right_client() {
    let server = server();
    let (access, token) = tokens(&server).await;
    assert_eq!(post(&server, "/revoke", &[("token", token.as_str())]).await.status, 401);
    let form = [("token", token.as_str())];
    let stolen = post_basic(&server, server.basic_client(), "/revoke", &form).await;
    assert_eq!((stolen.status, stolen.error().as_str()), (400, "invalid_grant"));
    let unknown = [("client_id", "public-client"), ("token", "unknown")];
    assert_eq!(post(&server, "/revoke", &unknown).await.status, 200);
    let nothing = [("client_id", "public-client")];
    assert_eq!(post(&server, "/revoke", &nothing).await.error(), "invalid_request");
    assert_eq!(resource(&server, &access).await.status, 200);
}

#[tokio::test]
async fn the_resource_wants_one_token_in_the_header() {
    let server = server();
    let (access, _) = tokens(&server).await;
    let bare = get(&server, "/resource").await;
    assert_eq!(bare.status, 401);
    assert_eq!(bare.header("www-authenticate"), r#"Bearer realm="authflow-testkit""#);
    assert_eq!(get(&server, &format!("/resource?access_token={access}")).await.error(), "invalid_request");
    let in_body = post(&server, "/resource", &[("access_token", &access)]).await;
    assert_eq!((in_body.status, in_body.error().as_str()), (400, "invalid_request"));
    let bearer = format!("Bearer {access}");
    let with_form = [FORM, ("authorization", bearer.as_str())];
    assert_eq!(post_raw(&server, "/resource", &with_form, "x=1").await.status, 200);
    assert_eq!(post_raw(&server, "/resource", &with_form, "access_token=x").await.status, 400);
    let cases = [
        (vec![("authorization", "Bearer unknown")], 401),
        (vec![("authorization", "Bearer ")], 400),
        (vec![("authorization", "Basic x")], 400),
        (vec![("authorization", bearer.as_str()), ("authorization", bearer.as_str())], 400),
        (vec![("authorization", bearer.as_str())], 200),
    ];
    for (headers, status) in cases {
        assert_eq!(get_with(&server, "/resource", &headers).await.status, status, "{headers:?}");
    }
    let lower = format!("bearer {access}");
    assert_eq!(get_with(&server, "/resource", &[("authorization", &lower)]).await.status, 200);
}

#[tokio::test]
async fn introspection_tells_confidential_clients() {
    let server = server();
    let (access, _) = tokens(&server).await;
    let form = [("token", access.as_str())];
    let active = post_basic(&server, server.basic_client(), "/introspect", &form).await.json();
    assert_eq!(active["active"], true);
    assert_eq!(active["sub"], "user-1");
    let unknown = [("token", "unknown")];
    let inactive = post_basic(&server, server.basic_client(), "/introspect", &unknown).await;
    assert_eq!(inactive.json(), serde_json::json!({ "active": false }));
    let public = [("token", access.as_str()), ("client_id", "public-client")];
    assert_eq!(post(&server, "/introspect", &public).await.status, 401);
}

#[tokio::test]
async fn users_come_and_go() {
    let server = server();
    let (first, _) = tokens(&server).await;
    assert!(server.sign_in("user-2"));
    assert!(!server.sign_in(""));
    let (second, renew) = tokens(&server).await;
    assert_eq!(resource(&server, &second).await.json()["sub"], "user-2");
    assert_eq!(server.revoke_grants_of("user-2"), 1);
    assert_eq!(server.revoke_grants_of("user-2"), 0);
    assert_eq!(resource(&server, &second).await.status, 401);
    assert_eq!(refresh(&server, &renew).await.error(), "invalid_grant");
    assert_eq!(resource(&server, &first).await.status, 200);
}
