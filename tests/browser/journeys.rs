//! What people do: connect, say no, open tabs, go back, reload.

use std::sync::Arc;

use crate::chromium::Browsers;
use crate::example::{Stage, Which};
use crate::page::Page;

driven! {
    connect_link_and_disconnect,
    deny_and_try_again,
    a8_two_tabs_in_reverse_order,
    a9_the_back_button,
    a9_the_reload_of_the_callback,
    a14_a_link_from_another_page_asks_first,
}

/// Waits for the accounts page, which says that an account at `another` has just been connected, and shows it.
async fn another_is_connected(stage: &Stage, page: &Page) {
    page.arrives_at(&stage.app.url("/auth")).await;
    assert_eq!(page.url().await.query(), Some("notice=connected&provider=another"));
    page.shows("[role=status]").await;
    page.shows("[action='/auth/another/disconnect']").await;
}

async fn connect_link_and_disconnect(which: Which, browsers: Arc<Browsers>) {
    let stage = Stage::new(which).await;
    let page = browsers.open().await;
    stage.app.begin(&page).await;
    assert!(page.heading().await.contains("The example application"), "the provider asks");
    page.approve().await;
    stage.app.is_signed_in(&page).await;
    assert_eq!(stage.token_requests(), 1);

    // The API, with the token.
    page.follow("My profile at Example").await;
    assert!(page.text().await.contains("ada"));

    // One more account, of the same person.
    page.goto(&stage.app.url("/auth")).await;
    let accounts = page.heading().await;
    page.press("[action='/auth/another/connect'] button").await;
    page.approve().await;
    another_is_connected(&stage, &page).await;
    assert_eq!(page.heading().await, accounts);
    assert_eq!(stage.token_requests(), 2);

    page.press("[action='/auth/another/disconnect'] button").await;
    // The page after it has a line about it.
    page.shows("[role=status]").await;
    page.goto(&stage.app.url("/auth")).await;
    assert!(!page.has("[action='/auth/another/disconnect']").await, "{}", page.describe().await);
    assert_eq!(stage.another.ledger().count(authflow_testkit::Endpoint::Revocation), 1);
    assert!(page.has("[action='/auth/example/disconnect']").await);
}

async fn deny_and_try_again(which: Which, browsers: Arc<Browsers>) {
    let stage = Stage::new(which).await;
    let page = browsers.open().await;
    stage.app.begin(&page).await;
    page.deny().await;
    page.arrives_at(&stage.app.url("/auth/example/denied")).await;
    assert!(!page.url().await.as_str().contains("state="));
    assert_eq!(stage.token_requests(), 0);
    // The page is one to reload, and has a way on.
    page.driver().refresh().await.unwrap();
    page.arrives_at(&stage.app.url("/auth/example/denied")).await;
    page.press("main [href^='/auth/example/connect'], main [action^='/auth/example/connect'] button").await;
    page.approve().await;
    stage.app.is_signed_in(&page).await;
}

async fn a8_two_tabs_in_reverse_order(which: Which, browsers: Arc<Browsers>) {
    let stage = Stage::new(which).await;
    let page = browsers.open().await;
    // Somebody who is signed in, so that both tabs are the same person's.
    stage.app.sign_in(&page).await;

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
        page.approve().await;
        another_is_connected(&stage, &page).await;
    }
    assert_eq!(stage.another.ledger().token_requests().len(), 2);
}

async fn a9_the_back_button(which: Which, browsers: Arc<Browsers>) {
    let stage = Stage::new(which).await;
    let page = browsers.open().await;
    stage.app.sign_in(&page).await;
    // Back to the provider's page, and forward: nothing happens twice.
    page.driver().back().await.unwrap();
    page.arrives_under(stage.example.base_url()).await;
    page.driver().forward().await.unwrap();
    stage.app.is_signed_in(&page).await;
    assert_eq!(stage.token_requests(), 1);
    // Back until before it began, and once more.
    page.driver().back().await.unwrap();
    page.arrives_under(stage.example.base_url()).await;
    page.driver().back().await.unwrap();
    page.arrives_at(&stage.app.url("/")).await;
    page.driver().refresh().await.unwrap();
    assert!(page.text().await.contains("Example is connected"));
    page.goto(&stage.app.url("/auth")).await;
    page.press("[action='/auth/another/connect'] button").await;
    page.arrives_under(stage.another.base_url()).await;
    page.driver().back().await.unwrap();
    page.arrives_at(&stage.app.url("/auth")).await;
    page.press("[action='/auth/another/connect'] button").await;
    page.approve().await;
    another_is_connected(&stage, &page).await;
    assert_eq!(stage.token_requests(), 2);
}

async fn a9_the_reload_of_the_callback(which: Which, browsers: Arc<Browsers>) {
    let stage = Stage::new(which).await;
    let page = browsers.open().await;
    stage.app.sign_in(&page).await;
    let callback = stage.last_callback();
    for _ in 0..2 {
        page.goto(&callback).await;
        stage.app.is_signed_in(&page).await;
    }
    assert_eq!(stage.token_requests(), 1, "the code is sent once");
}

/// The address in the address bar, and a link on a page of another site.
async fn a14_a_link_from_another_page_asks_first(which: Which, browsers: Arc<Browsers>) {
    let stage = Stage::new(which).await;
    let page = browsers.open().await;
    stage.app.sign_in(&page).await;
    let connect = stage.app.url("/auth/another/connect");
    page.goto(&connect).await;
    page.arrives_at(&connect).await;
    // `localhost` is another site than 127.0.0.1, on the same machine.
    let port = url::Url::parse(stage.example.base_url()).unwrap().port().unwrap();
    page.goto(&format!("http://localhost:{port}/")).await;
    let link = format!("location.href = {}", serde_json::to_string(&connect).unwrap());
    page.driver().execute(&link, Vec::new()).await.unwrap();
    page.arrives_at(&connect).await;
    assert_eq!(stage.another.ledger().len(), 0, "nothing was begun");
    page.press("main form button").await;
    page.approve().await;
    // Nothing said where to go on: it ends on the application's own page.
    stage.app.is_signed_in(&page).await;
    page.goto(&stage.app.url("/auth")).await;
    page.shows("[action='/auth/another/disconnect']").await;
    assert_eq!(stage.another.ledger().token_requests().len(), 1);
}
