//! What people do: connect, say no, open tabs, go back, reload, take too long.

use std::sync::Arc;

use crate::chromium::Browsers;
use crate::example::Which;
use crate::page::Page;
use crate::stage::{Setting, Stage};

staged! {
    connect_link_and_disconnect,
    deny_and_try_again,
    a8_two_tabs_in_reverse_order,
    a9_the_back_button,
    a9_the_reload_of_the_callback,
    a4_a_flow_that_took_too_long,
    form_post,
}

driven! {
    a14_a_link_from_another_page_asks_first,
}

/// Waits for the accounts page, which says that an account at `another` has just been connected, and shows it.
async fn another_is_connected(stage: &Stage, page: &Page) {
    page.arrives_at(&stage.app.url("/auth")).await;
    assert_eq!(page.url().await.query(), Some("notice=connected&provider=another"));
    page.shows("[role=status]").await;
    page.shows("[action='/auth/another/disconnect']").await;
}

async fn connect_link_and_disconnect(setting: Setting, browsers: Arc<Browsers>) {
    let stage = setting.start().await;
    let page = browsers.open().await;
    stage.begin(&page).await;
    stage.approve(&page).await;
    stage.is_signed_in(&page).await;
    assert_eq!(stage.token_requests().await, 1);

    // The API, with the token.
    page.follow("My profile at Example").await;
    assert!(page.text().await.contains(stage.account()), "{}", page.text().await);

    // One more account, of the same person.
    page.goto(&stage.app.url("/auth")).await;
    let accounts = page.heading().await;
    page.press("[action='/auth/another/connect'] button").await;
    stage.approve(&page).await;
    another_is_connected(&stage, &page).await;
    assert_eq!(page.heading().await, accounts);
    assert_eq!(stage.token_requests().await, 2);

    page.press("[action='/auth/another/disconnect'] button").await;
    // The page after it has a line about it.
    page.shows("[role=status]").await;
    page.goto(&stage.app.url("/auth")).await;
    assert!(!page.has("[action='/auth/another/disconnect']").await, "{}", page.describe().await);
    assert_eq!(stage.revocations().await, 1);
    page.press("[action='/auth/example/disconnect'] button").await;
    page.shows("[role=status]").await;
    page.goto(&stage.app.url("/")).await;
    assert!(page.text().await.contains("Example is not connected"), "{}", page.text().await);
    assert_eq!(stage.revocations().await, 2);
}

async fn deny_and_try_again(setting: Setting, browsers: Arc<Browsers>) {
    let stage = setting.start().await;
    let page = browsers.open().await;
    stage.begin(&page).await;
    stage.deny(&page).await;
    page.arrives_at(&stage.app.url("/auth/example/denied")).await;
    assert!(!page.url().await.as_str().contains("state="));
    assert_eq!(stage.token_requests().await, 0);
    // The page is one to reload, and has a way on.
    page.reload().await;
    page.arrives_at(&stage.app.url("/auth/example/denied")).await;
    page.press("main [href^='/auth/example/connect'], main [action^='/auth/example/connect'] button").await;
    stage.approve(&page).await;
    stage.is_signed_in(&page).await;
}

async fn a8_two_tabs_in_reverse_order(setting: Setting, browsers: Arc<Browsers>) {
    let stage = setting.start().await;
    let page = browsers.open().await;
    // Somebody who is signed in, so that both tabs are the same person's.
    stage.sign_in(&page).await;

    let first = page.driver().window().await.unwrap();
    page.goto(&stage.app.url("/auth")).await;
    page.press("[action='/auth/another/connect'] button").await;
    page.shows("button[value=approve]").await;
    let second = page.new_tab().await;
    page.goto(&stage.app.url("/auth")).await;
    page.press("[action='/auth/another/connect'] button").await;
    page.shows("button[value=approve]").await;
    for tab in [second, first] {
        page.driver().switch_to_window(tab).await.unwrap();
        stage.approve(&page).await;
        another_is_connected(&stage, &page).await;
    }
    assert_eq!(stage.token_requests().await, 3);
}

async fn a9_the_back_button(setting: Setting, browsers: Arc<Browsers>) {
    let stage = setting.start().await;
    let page = browsers.open().await;
    stage.sign_in(&page).await;
    // Back to the provider's page, and forward: nothing happens twice.
    page.driver().back().await.unwrap();
    page.is_under(stage.provider_url("example")).await;
    page.driver().forward().await.unwrap();
    stage.is_signed_in(&page).await;
    assert_eq!(stage.token_requests().await, 1);
    // Back over all of the provider's pages, to before it began, and once more.
    page.driver().back().await.unwrap();
    while page.url().await.as_str().starts_with(stage.provider_url("example")) {
        page.driver().back().await.unwrap();
    }
    page.arrives_at(&stage.app.url("/")).await;
    page.reload().await;
    assert!(page.text().await.contains("Example is connected"));
    page.goto(&stage.app.url("/auth")).await;
    page.press("[action='/auth/another/connect'] button").await;
    page.arrives_under(stage.provider_url("another")).await;
    page.driver().back().await.unwrap();
    page.arrives_at(&stage.app.url("/auth")).await;
    page.press("[action='/auth/another/connect'] button").await;
    stage.approve(&page).await;
    another_is_connected(&stage, &page).await;
    assert_eq!(stage.token_requests().await, 2);
}

/// A callback stays in the address bar where it could not be finished: here without its cookies, which come back.
async fn a9_the_reload_of_the_callback(setting: Setting, browsers: Arc<Browsers>) {
    let stage = setting.start().await;
    let page = browsers.open().await;
    stage.begin(&page).await;
    let cookies = page.take_cookies_of_flows().await;
    stage.approve(&page).await;
    let refusal = page.arrives_at(&stage.app.url("/auth/example/callback")).await;
    page.reload().await;
    assert_eq!(page.heading().await, refusal);
    assert_eq!(stage.token_requests().await, 0, "no code goes out");

    let callback = page.url().await;
    page.put_cookies(&cookies).await;
    page.reload().await;
    stage.is_signed_in(&page).await;
    for _ in 0..2 {
        page.goto(callback.as_str()).await;
        stage.is_signed_in(&page).await;
        page.reload().await;
        stage.is_signed_in(&page).await;
    }
    assert_eq!(stage.token_requests().await, 1, "the code is sent once");
}

/// The same in a process whose clock a test moves: `a4_an_expired_flow_says_so_and_can_begin_again`.
async fn a4_a_flow_that_took_too_long(setting: Setting, browsers: Arc<Browsers>) {
    let stage = Setting { state_ttl: Some(1), ..setting }.start().await;
    let page = browsers.open().await;
    stage.begin(&page).await;
    page.shows("button[value=approve]").await;
    page.sees_pass(1).await;
    stage.approve(&page).await;
    let expired = page.arrives_at(&stage.app.url("/auth/example/callback")).await;
    page.reload().await;
    assert_eq!(page.heading().await, expired);
    assert_eq!(stage.token_requests().await, 0, "no code goes out");
    // It says so, rather than that the callback is not of this browser; and leads to the provider again.
    page.press("main [href^='/auth/example/connect'], main [action^='/auth/example/connect'] button").await;
    page.is_under(stage.provider_url("example")).await;
    page.goto(&stage.app.url("/")).await;
    assert!(page.text().await.contains("Nobody is signed in"));
}

async fn form_post(setting: Setting, browsers: Arc<Browsers>) {
    let stage = Setting { form_post: true, ..setting }.start().await;
    let page = browsers.open().await;
    stage.sign_in(&page).await;
    assert_eq!(stage.token_requests().await, 1);
    page.follow("My profile at Example").await;
    assert!(page.text().await.contains(stage.account()), "{}", page.text().await);
}

/// The address in the address bar, and a link on a page of another site.
async fn a14_a_link_from_another_page_asks_first(which: Which, browsers: Arc<Browsers>) {
    let stage = Stage::new(which).await;
    let page = browsers.open().await;
    stage.sign_in(&page).await;
    let connect = stage.app.url("/auth/another/connect");
    page.goto(&connect).await;
    page.arrives_at(&connect).await;
    // `localhost` is another site than 127.0.0.1, on the same machine.
    let port = url::Url::parse(stage.provider_url("example")).unwrap().port().unwrap();
    page.goto(&format!("http://localhost:{port}/")).await;
    let link = format!("location.href = {}", serde_json::to_string(&connect).unwrap());
    page.driver().execute(&link, Vec::new()).await.unwrap();
    page.arrives_at(&connect).await;
    assert_eq!(stage.server("another").ledger().len(), 0, "nothing was begun");
    page.press("main form button").await;
    stage.approve(&page).await;
    // Nothing said where to go on: it ends on the application's own page.
    stage.is_signed_in(&page).await;
    page.goto(&stage.app.url("/auth")).await;
    page.shows("[action='/auth/another/disconnect']").await;
    assert_eq!(stage.token_requests().await, 2);
}
