//! authflow against npm's `oidc-provider`.

use authflow::{
    AuthorizationResponse, Binding, ClientAuthentication, ClientCredentials, ConfiguredProvider, ErrorKind,
    Expiry, Flow, HttpClient as _, HttpRequest, Limits, MemoryStateStore, Provider, Revocation,
};
use authflow_testkit::ScriptedUser;

use crate::node::OidcProvider;

const REDIRECT_URI: &str = "http://127.0.0.1:51234/callback";

fn flow(server: &OidcProvider, kind: &str) -> Flow {
    let id = server.text(&format!("/clients/{kind}/client_id")).to_owned();
    let credentials = match kind {
        "public" => ClientCredentials::public(id),
        _ => ClientCredentials::confidential(id, server.text(&format!("/clients/{kind}/client_secret"))),
    };
    let credentials = match kind {
        "post" => credentials.authenticated_by(ClientAuthentication::ClientSecretPost),
        _ => credentials,
    };
    let provider = Provider::builder("oidc-provider")
        .issuer(server.text("/issuer"))
        .authorization_endpoint(server.text("/authorization_endpoint"))
        .token_endpoint(server.text("/token_endpoint"))
        .revocation_endpoint(server.text("/revocation_endpoint"))
        .userinfo_endpoint(server.text("/userinfo_endpoint"))
        .default_scopes(["openid", "offline_access"])
        .build()
        .unwrap();
    let manager = ConfiguredProvider::from_provider(
        provider,
        credentials.redirect_uri(REDIRECT_URI),
        MemoryStateStore::default(),
    );
    authflow::flow(manager.unwrap()).build().unwrap()
}

async fn status(flow: &Flow, server: &OidcProvider, tokens: &authflow::TokenSet) -> u16 {
    let mut request = HttpRequest::get(server.text("/userinfo_endpoint").parse().unwrap());
    flow.authenticate(tokens, &mut request).await.unwrap();
    let client = authflow::reqwest::ReqwestClient::new().unwrap();
    client.send(request, &Limits::default()).await.unwrap().status.as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_flow_with_each_kind_of_client() {
    let server = OidcProvider::start().await;
    for kind in ["public", "basic", "post"] {
        let flow = flow(&server, kind);
        let me = Binding::user("", "user-42");
        let authorization = flow.begin(&me).return_to("/settings").await.unwrap();
        let callback = ScriptedUser::new().approve(authorization.url()).await.unwrap();
        let response = AuthorizationResponse::from_url(&callback).unwrap();
        let completed = flow.finish(&response, &me).await.unwrap_or_else(|error| panic!("{kind}: {error:?}"));
        let tokens = completed.tokens;
        assert!(tokens.id_token.is_some() && completed.nonce.is_some(), "{kind}");
        assert!(matches!(tokens.expiry, Expiry::At(_)));
        assert_eq!(status(&flow, &server, &tokens).await, 200, "{kind}");

        let replay = flow.finish(&response, &me).await.unwrap_err();
        assert_eq!(replay.kind(), ErrorKind::StateNotFound);

        let refreshed = flow.refresh(&tokens).await.unwrap_or_else(|error| panic!("{kind}: {error:?}"));
        assert_eq!(status(&flow, &server, &refreshed).await, 200, "{kind}");
        let old = tokens.refresh_token.as_ref().unwrap();
        assert!(!refreshed.refresh_token.as_ref().unwrap().ct_eq(old.expose()), "{kind}: it rotates");

        assert_eq!(flow.revoke(&refreshed).await.unwrap(), Revocation::Revoked, "{kind}");
        assert_eq!(status(&flow, &server, &refreshed).await, 401, "{kind}");
        assert_eq!(flow.refresh(&refreshed).await.unwrap_err().kind(), ErrorKind::InvalidGrant, "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn denial_and_a_rotated_refresh_token() {
    let server = OidcProvider::start().await;
    let flow = flow(&server, "public");
    let me = Binding::new_browser().unwrap();
    let authorization = flow.begin(&me).await.unwrap();
    let callback = ScriptedUser::new().deny(authorization.url()).await.unwrap();
    let error = flow.finish(&AuthorizationResponse::from_url(&callback).unwrap(), &me).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AccessDenied);

    let authorization = flow.begin(&me).await.unwrap();
    let callback = ScriptedUser::new().approve(authorization.url()).await.unwrap();
    let first = flow.finish(&AuthorizationResponse::from_url(&callback).unwrap(), &me).await.unwrap().tokens;
    flow.refresh(&first).await.unwrap();
    let reused = flow.refresh(&first).await.unwrap_err();
    assert_eq!(reused.kind(), ErrorKind::InvalidGrant, "a refresh token is good for one refresh");
}
