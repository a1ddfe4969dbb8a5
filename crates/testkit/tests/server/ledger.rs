//! The ledger: complete, in order, and silent about secrets.

use authflow_testkit::{Endpoint, IssuedKind, Outcome};

use crate::support::{
    REDIRECT, approving, code, encode, exchange, get, get_with, post_basic, refresh, resource, server, tokens,
};

#[tokio::test]
async fn each_request_is_one_entry_in_order() {
    let server = server();
    assert!(server.ledger().is_empty());
    let (access, renew) = tokens(&server).await;
    resource(&server, &access).await;
    refresh(&server, &renew).await;
    get(&server, "/nowhere").await;
    let entries = server.ledger().entries();
    let seen: Vec<(u64, Endpoint, u16)> =
        entries.iter().map(|entry| (entry.sequence(), entry.endpoint(), entry.status())).collect();
    assert_eq!(
        seen,
        [
            (0, Endpoint::Authorization, 303),
            (1, Endpoint::Token, 200),
            (2, Endpoint::Resource, 200),
            (3, Endpoint::Token, 200),
            (4, Endpoint::Other, 404),
        ]
    );
    assert_eq!(entries[1].access_token(), Some(access.as_str()));
    assert_eq!(entries[1].refresh_token(), Some(renew.as_str()));
    assert_eq!(entries[0].code(), entries[1].form_value("code"));
    assert_eq!(entries[0].query_value("redirect_uri"), Some(REDIRECT));
    assert_eq!(entries[2].header("authorization"), Some(format!("Bearer {access}").as_str()));
    assert_eq!(entries[1].client(), Some("public-client"));
    assert_eq!(entries[1].subject(), Some("user-1"));
    let family: Vec<Option<u64>> = entries.iter().take(4).map(|entry| entry.grant()).collect();
    assert_eq!(family, [Some(0); 4]);
    let kinds: Vec<IssuedKind> = entries[3].issued().iter().map(|issued| issued.kind()).collect();
    assert_eq!(kinds, [IssuedKind::AccessToken, IssuedKind::RefreshToken]);
    assert_eq!(server.ledger().count(Endpoint::Token), 2);
    assert_eq!(server.ledger().token_requests().len(), 2);
    assert_eq!(server.ledger().len(), 5);
    for (from, expected) in [(0, &[0, 1, 2, 3, 4][..]), (3, &[3, 4]), (5, &[]), (u64::MAX, &[])] {
        let entries = server.ledger().entries_from(from);
        let numbers: Vec<u64> = entries.iter().map(|entry| entry.sequence()).collect();
        assert_eq!(numbers, expected, "{from}");
    }
}

#[tokio::test]
async fn h1_debug_shows_no_secret() {
    let server = server();
    let (code, verifier) = code(&server).await;
    exchange(&server, &code, &verifier, &[]).await;
    let last = server.ledger().last().unwrap();
    let secrets = [
        code.as_str(),
        verifier.as_str(),
        "state-1",
        last.access_token().unwrap(),
        last.refresh_token().unwrap(),
        server.basic_client().secret().unwrap(),
        server.post_client().secret().unwrap(),
        "Basic ",
        "Bearer ",
    ]
    .map(str::to_owned);
    post_basic(&server, server.basic_client(), "/token", &[("grant_type", "client_credentials")]).await;
    resource(&server, &secrets[3]).await;
    let query = encode(&[("access_token", &secrets[3]), ("client_id", "shown")]);
    get_with(&server, &format!("/resource?{query}"), &[("cookie", &secrets[0])]).await;
    let shown = format!("{:?} {:?} {:?} {:?}", server.ledger(), server, server.clients(), approving());
    for secret in secrets {
        assert!(!shown.contains(&secret), "{secret}");
    }
    assert!(shown.contains("\"grant_type\": \"authorization_code\""));
    assert!(shown.contains("\"code_verifier\": \"***\""));
    assert!(shown.contains("authorization"));
}

#[tokio::test]
async fn debug_of_a_path_with_tokens_shows_none() {
    let server = approving().personality(authflow_testkit::Personality::StackExchange).build().unwrap();
    get(&server, "/2.3/access-tokens/secret-token/invalidate").await;
    assert!(server.ledger().last().unwrap().path().contains("secret-token"));
    assert!(!format!("{:?}", server.ledger()).contains("secret-token"));
}

#[tokio::test]
async fn waiting_sees_what_was_and_what_comes() {
    let server = server();
    get(&server, "/nowhere").await;
    let past = server.ledger().wait_for(|entry| entry.endpoint() == Endpoint::Other).await;
    assert_eq!(past.sequence(), 0);
    let waiting = server.ledger().wait_for(|entry| entry.outcome() == &Outcome::CodeRedeemed);
    let (entry, _) = tokio::join!(waiting, tokens(&server));
    assert_eq!(entry.sequence(), 2);
}
