//! The tools together: a whole flow against the server on a loopback port.

use std::sync::Arc;
use std::time::Duration;

use authflow_core::{
    AuthorizationResponse, Binding, ClientCredentials, Clock, ConfiguredProvider, ErrorKind, Flow,
    MemoryStateStore, Revocation,
};
use authflow_testkit::{AuthorizationServer, LeakDetector, LoopbackClient, ManualClock, ScriptedUser};

#[tokio::test]
async fn a_whole_flow_runs_over_the_loopback_client() {
    let clock = ManualClock::new();
    let server = AuthorizationServer::builder()
        .clock({
            let clock = clock.clone();
            move || clock.now()
        })
        .start()
        .await
        .unwrap();
    let provider = server.provider("testkit").build().unwrap();
    let credentials = ClientCredentials::public(server.public_client().id())
        .redirect_uri("https://client.example/callback");
    let manager =
        ConfiguredProvider::from_provider(provider, credentials, MemoryStateStore::default()).unwrap();
    let handle: Arc<dyn Clock> = Arc::new(clock.clone());
    let flow = Flow::builder(manager).http_client(LoopbackClient::new()).clock(handle).build().unwrap();

    let user = Binding::user("", "user-42");
    let authorization = flow.begin(&user).await.unwrap();
    let callback = ScriptedUser::new().approve(authorization.url()).await.unwrap();
    let response = AuthorizationResponse::from_url(&callback).unwrap();
    let tokens = flow.finish(&response, &user).await.unwrap().tokens;
    clock.advance(Duration::from_secs(3600));
    let refreshed = flow.refresh(&tokens).await.unwrap();
    assert!(!refreshed.access_token.ct_eq(tokens.access_token.expose()));
    assert_eq!(flow.revoke(&refreshed).await.unwrap(), Revocation::Revoked);
    let over = flow.refresh(&refreshed).await.unwrap_err();
    assert_eq!(over.kind(), ErrorKind::InvalidGrant);

    let leaks = LeakDetector::new();
    leaks.plant("the access token", refreshed.access_token.expose());
    leaks.plant("the refresh token", refreshed.refresh_token.as_ref().unwrap().expose());
    leaks.scan_error("the refused refresh", &over);
    leaks.scan_named("the flow", format!("{flow:?} {refreshed:?} {response:?} {authorization:?} {server:?}"));
    leaks.assert_clean();
}
