//! A callback that is not this browser's: stolen, or without its cookies.

use std::sync::Arc;

use authflow_testkit::ScriptedUser;

use crate::chromium::{Browsers, Options};
use crate::example::{Stage, Which};

driven! {
    a1_another_users_browser_with_a_stolen_callback_url,
    cookies_are_blocked,
    cookies_are_deleted_before_the_callback,
}

/// The attacker begins a flow, approves with an account of their own, and sends the victim to the callback.
async fn a1_another_users_browser_with_a_stolen_callback_url(which: Which, browsers: Arc<Browsers>) {
    let stage = Stage::new(which).await;
    let attacker = browsers.open().await;
    stage.app.begin(&attacker).await;
    let authorization = attacker.url().await;
    stage.example.sign_in("mallory");
    let stolen = ScriptedUser::new().approve(authorization.as_str()).await.unwrap();

    let victim = browsers.open().await;
    let before = stage.token_requests();
    victim.goto(&stolen).await;
    let refusal = victim.heading().await;
    assert_eq!(stage.token_requests(), before, "no code goes out: {refusal}");
    victim.goto(&stage.app.url("/")).await;
    assert!(victim.text().await.contains("Nobody is signed in"));
    // The same for a victim who is signed in.
    stage.example.sign_in("ada");
    stage.app.sign_in(&victim).await;
    let me = victim.text().await;
    victim.goto(&stolen).await;
    assert_eq!(victim.heading().await, refusal);
    victim.goto(&stage.app.url("/")).await;
    assert_eq!(victim.text().await, me);
    victim.goto(&stage.app.url("/auth")).await;
    assert!(!victim.text().await.contains("mallory"));
    assert_eq!(stage.token_requests(), before + 1);
    // Whoever began can finish: nothing was burnt.
    attacker.goto(&stolen).await;
    attacker.arrives_at(&stage.app.url("/")).await;
    assert_eq!(stage.token_requests(), before + 2);
}

async fn cookies_are_blocked(which: Which, browsers: Arc<Browsers>) {
    let stage = Stage::new(which).await;
    let page = browsers.open_with(Options::without_cookies()).await;
    stage.app.begin(&page).await;
    page.approve().await;
    page.arrives_at(&stage.app.url("/auth/example/callback")).await;
    assert!(page.cookie_names().await.is_empty());
    assert!(page.text().await.to_lowercase().contains("cookie"), "it says what to do: {}", page.text().await);
    assert_eq!(stage.token_requests(), 0);
    page.driver().refresh().await.unwrap();
    page.heading().await;
    assert_eq!(stage.token_requests(), 0);
}

async fn cookies_are_deleted_before_the_callback(which: Which, browsers: Arc<Browsers>) {
    let stage = Stage::new(which).await;
    let page = browsers.open().await;
    stage.app.begin(&page).await;
    page.cdp("Network.clearBrowserCookies", serde_json::json!({})).await;
    page.approve().await;
    page.arrives_at(&stage.app.url("/auth/example/callback")).await;
    assert_eq!(stage.token_requests(), 0);
    // The way on from there.
    stage.app.sign_in(&page).await;
    assert_eq!(stage.token_requests(), 1);
}
