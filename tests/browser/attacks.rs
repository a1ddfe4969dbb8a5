//! A callback that is not this browser's: stolen, or without its cookies.

use std::sync::Arc;

use crate::chromium::{Browsers, Options};
use crate::example::Which;
use crate::stage::{By, Setting, Stage};

staged! {
    a1_another_users_browser_with_a_stolen_callback_url,
    cookies_are_blocked,
}

driven! {
    cookies_are_deleted_before_the_callback,
}

/// The attacker begins a flow, approves with an account of their own, keeps the callback from being used up, and sends the
/// victim there.
async fn a1_another_users_browser_with_a_stolen_callback_url(setting: Setting, browsers: Arc<Browsers>) {
    let stage = setting.start().await;
    let attacker = browsers.open().await;
    stage.begin(&attacker).await;
    let cookies = attacker.take_cookies_of_flows().await;
    stage.approve_as(&attacker, "mallory").await;
    attacker.arrives_at(&stage.app.url("/auth/example/callback")).await;
    let stolen = attacker.url().await;
    assert!(stolen.query().is_some_and(|query| query.contains("code=")));

    let victim = browsers.open().await;
    victim.goto(stolen.as_str()).await;
    let refusal = victim.heading().await;
    victim.reload().await;
    assert_eq!(victim.heading().await, refusal);
    assert_eq!(stage.token_requests().await, 0, "no code goes out: {refusal}");
    victim.goto(&stage.app.url("/")).await;
    assert!(victim.text().await.contains("Nobody is signed in"));
    // The same for a victim who is signed in.
    stage.begin(&victim).await;
    stage.approve_as(&victim, "ada").await;
    stage.is_signed_in(&victim).await;
    let me = victim.text().await;
    victim.goto(stolen.as_str()).await;
    assert_eq!(victim.heading().await, refusal);
    victim.goto(&stage.app.url("/")).await;
    assert_eq!(victim.text().await, me);
    victim.goto(&stage.app.url("/auth")).await;
    assert!(!victim.text().await.contains("mallory"));
    assert_eq!(stage.token_requests().await, 1);
    // Whoever began can finish: nothing was burnt.
    attacker.put_cookies(&cookies).await;
    attacker.reload().await;
    stage.is_signed_in(&attacker).await;
    assert_ne!(attacker.text().await, me, "somebody else");
    assert_eq!(stage.token_requests().await, 2);
}

async fn cookies_are_blocked(setting: Setting, browsers: Arc<Browsers>) {
    let stage = setting.start().await;
    // At npm's nobody can sign in without cookies: they are blocked for the application.
    let blocked = match setting.by {
        By::Testkit => Options::without_cookies(),
        By::OidcProvider => Options::without_cookies_of(&stage.app.address),
    };
    let page = browsers.open_with(blocked).await;
    stage.begin(&page).await;
    stage.approve(&page).await;
    page.arrives_at(&stage.app.url("/auth/example/callback")).await;
    assert!(page.text().await.to_lowercase().contains("cookie"), "it says what to do: {}", page.text().await);
    assert_eq!(stage.token_requests().await, 0);
    page.reload().await;
    page.heading().await;
    assert_eq!(stage.token_requests().await, 0);
}

async fn cookies_are_deleted_before_the_callback(which: Which, browsers: Arc<Browsers>) {
    let stage = Stage::new(which).await;
    let page = browsers.open().await;
    stage.begin(&page).await;
    page.cdp("Network.clearBrowserCookies", serde_json::json!({})).await;
    stage.approve(&page).await;
    page.arrives_at(&stage.app.url("/auth/example/callback")).await;
    assert_eq!(stage.token_requests().await, 0);
    // The way on from there.
    stage.sign_in(&page).await;
    assert_eq!(stage.token_requests().await, 1);
}
