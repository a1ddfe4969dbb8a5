//! The whole way with npm's `oidc-provider`.

use std::sync::Arc;

use crate::chromium::Browsers;
use crate::example::{Example, Registration, Which};
use crate::node::OidcProvider;

driven! {
    connect_with_oidc_provider,
    deny_at_oidc_provider,
}

async fn start(which: Which) -> (OidcProvider, Example) {
    let provider = OidcProvider::with_redirect_uri("http://127.0.0.1/auth/example/callback").await;
    let text = |pointer: &str| provider.text(pointer).to_owned();
    let registration = Registration {
        id: "example",
        client_id: text("/clients/public/client_id"),
        scopes: "'openid', 'offline_access'",
        issuer: text("/issuer"),
        authorization_endpoint: text("/authorization_endpoint"),
        token_endpoint: text("/token_endpoint"),
        revocation_endpoint: text("/revocation_endpoint"),
        account_url: text("/userinfo_endpoint"),
        form_post: false,
    };
    let app = Example::start(which, &[registration]).await;
    (provider, app)
}

async fn connect_with_oidc_provider(which: Which, browsers: Arc<Browsers>) {
    let (_provider, app) = start(which).await;
    let page = browsers.open().await;
    app.begin(&page).await;
    // Signs in, and consents.
    assert_eq!(page.heading().await, "Sign in");
    page.approve().await;
    assert_eq!(page.heading().await, "Authorize");
    page.approve().await;
    app.is_signed_in(&page).await;
    page.follow("My profile at Example").await;
    assert!(page.text().await.contains("\"sub\":\"alice\""), "{}", page.text().await);
    page.goto(&app.url("/auth")).await;
    page.press("[action='/auth/example/disconnect'] button").await;
    page.arrives_at(&app.url("/auth")).await;
    page.goto(&app.url("/")).await;
    assert!(page.text().await.contains("Example is not connected"), "{}", page.text().await);
}

async fn deny_at_oidc_provider(which: Which, browsers: Arc<Browsers>) {
    let (_provider, app) = start(which).await;
    let page = browsers.open().await;
    app.begin(&page).await;
    page.approve().await;
    assert_eq!(page.heading().await, "Authorize");
    page.deny().await;
    page.arrives_at(&app.url("/auth/example/denied")).await;
    page.goto(&app.url("/")).await;
    assert!(page.text().await.contains("Nobody is signed in"));
}
