//! How a client authenticates, by its registration, its provider and what the two allow (RFC 6749 §2.3).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use authflow_core::ClientAuthentication::{
    AccessTokenBearer, ClientSecretBasic, ClientSecretBasicUnencoded, ClientSecretPost, None as Public,
    Omitted, SecretBasicUsername, SecretBearer,
};
use authflow_core::quirks::Quirks;
use authflow_core::{ClientAuthentication, ClientCredentials, ErrorKind, HttpRequest};
use common::{REDIRECT_URI, Rig, SECRET, provider, user};

fn public() -> ClientCredentials {
    ClientCredentials::public("client-1").redirect_uri(REDIRECT_URI)
}

fn confidential() -> ClientCredentials {
    ClientCredentials::confidential("client-1", SECRET).redirect_uri(REDIRECT_URI)
}

/// The token request of a client at a provider with this default.
async fn request(default: Option<ClientAuthentication>, credentials: ClientCredentials) -> HttpRequest {
    let mut quirks = Quirks::default();
    quirks.token.client_authentication = default;
    let rig = Rig::with(provider("p").quirks(quirks).build().unwrap(), credentials);
    let query = rig.begin(&user()).await;
    rig.tokens();
    rig.finish(&query, &user()).await.unwrap();
    rig.http.requests().remove(0)
}

#[test]
fn r6749_which_ways_need_a_secret() {
    for authentication in
        [ClientSecretBasic, ClientSecretBasicUnencoded, ClientSecretPost, SecretBearer, SecretBasicUsername]
    {
        assert!(authentication.needs_secret(), "{authentication:?}");
        let error =
            provider("p").build().unwrap().check_credentials(&public().authenticated_by(authentication));
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Configuration, "{authentication:?}");
    }
    for authentication in [Public, AccessTokenBearer, Omitted] {
        assert!(!authentication.needs_secret(), "{authentication:?}");
    }
    let check =
        |credentials: &ClientCredentials| provider("p").build().unwrap().check_credentials(credentials);
    for authentication in [Public, Omitted] {
        check(&public().authenticated_by(authentication)).unwrap();
        check(&confidential().authenticated_by(authentication)).unwrap();
    }
    // It authenticates a revocation.
    for credentials in [public(), confidential()] {
        let error = check(&credentials.authenticated_by(AccessTokenBearer)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
    }
    assert_eq!(confidential().authenticated_by(ClientSecretPost).authentication(), Some(ClientSecretPost));
    assert_eq!(confidential().authentication(), None);
}

/// The registration goes before the provider's default, and neither asks a public client for a secret.
#[tokio::test]
async fn r6749_09_a_provider_that_wants_a_secret_still_takes_a_public_client() {
    let (basic, post, id, nothing) = ("basic", "post", "id", "nothing");
    for (default, said, is_public, expected) in [
        (None, None, false, basic),
        (None, None, true, id),
        (Some(ClientSecretPost), None, false, post),
        (Some(ClientSecretPost), None, true, id),
        (Some(ClientSecretBasic), None, true, id),
        (Some(ClientSecretPost), Some(ClientSecretBasic), false, basic),
        (Some(ClientSecretPost), Some(Public), false, id),
        (Some(Omitted), None, true, nothing),
        (Some(Omitted), None, false, nothing),
        (None, Some(Omitted), true, nothing),
    ] {
        let mut credentials = if is_public { public() } else { confidential() };
        if let Some(said) = said {
            credentials = credentials.authenticated_by(said);
        }
        let request = request(default, credentials).await;
        let form: Vec<_> = url::form_urlencoded::parse(&request.body).collect();
        let has = |name: &str| form.iter().any(|(known, _)| known == name);
        let seen =
            match (request.headers.contains_key("authorization"), has("client_id"), has("client_secret")) {
                (true, false, false) => basic,
                (false, true, true) => post,
                (false, true, false) => id,
                (false, false, false) => nothing,
                other => panic!("{other:?}"),
            };
        assert_eq!(seen, expected, "{default:?} {said:?} {is_public}");
    }
}
