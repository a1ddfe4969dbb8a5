//! Answers that come as a form, and sessions that another site's request comes without: over https from another site.

use std::sync::Arc;

use authflow::quirks::ResponseMode;

use crate::application::SESSION;
use crate::bridge::Bridge;
use crate::chromium::Browsers;
use crate::example::Which;
use crate::framework::{Actix, Axum, Framework};
use crate::jar::SameSite;
use crate::stores::Kind;
use crate::tls::TlsProxy;
use crate::world::{EXAMPLE, Setup, World};

driven! {
    https_from_another_site,
    https_form_post_from_another_site,
    https_form_post_with_a_strict_session,
    https_with_a_strict_session,
}

async fn https_from_another_site(which: Which, browsers: Arc<Browsers>) {
    over_https(which, browsers, ResponseMode::Query, SameSite::Lax).await;
}

async fn https_form_post_from_another_site(which: Which, browsers: Arc<Browsers>) {
    over_https(which, browsers, ResponseMode::FormPost, SameSite::Lax).await;
}

async fn https_form_post_with_a_strict_session(which: Which, browsers: Arc<Browsers>) {
    over_https(which, browsers, ResponseMode::FormPost, SameSite::Strict).await;
}

async fn https_with_a_strict_session(which: Which, browsers: Arc<Browsers>) {
    over_https(which, browsers, ResponseMode::Query, SameSite::Strict).await;
}

async fn over_https(which: Which, browsers: Arc<Browsers>, mode: ResponseMode, session: SameSite) {
    match which {
        Which::Axum => journey::<Axum>(browsers, mode, session).await,
        Which::Actix => journey::<Actix>(browsers, mode, session).await,
    }
}

/// `https://app.example` with a session, and a provider at 127.0.0.1: another site, so that every rule for cookies counts.
async fn journey<F: Framework>(browsers: Arc<Browsers>, mode: ResponseMode, session: SameSite) {
    let bridge = Bridge::start().await;
    let mut setup = Setup::new(Kind::Memory).await;
    if mode == ResponseMode::FormPost {
        setup = setup.form_post();
        setup.authorization_endpoint = Some(bridge.authorization_endpoint());
    }
    let world: World<F> = setup.start().await;
    bridge.stand_before(&world.example);
    let proxy = TlsProxy::start(world.address).await;
    let page = browsers.open_with(proxy.browser()).await;
    page.goto("https://app.example/auth/example/denied").await;
    let alice = world.application.session(Some(&authflow::User::new("acme", "alice")));
    page.set_cookie(SESSION, &alice, session).await;

    page.goto("https://app.example/auth").await;
    page.press("[action='/auth/example/connect'] button").await;
    page.shows("button[value=approve]").await;
    assert_ne!(page.url().await.host_str(), Some("app.example"));
    page.approve().await;
    page.arrives_at("https://app.example/auth").await;
    assert_eq!(world.token_requests(), 1);
    assert_eq!(world.connections_of("alice").await, [EXAMPLE]);
    // What is left of it in the browser: a marker for reloads, for this host alone.
    for name in page.cookie_names().await {
        assert!(name == SESSION || name.starts_with("__Host-authflow-"), "{name}");
        assert!(!name.contains("resume"), "{name}");
    }
}
