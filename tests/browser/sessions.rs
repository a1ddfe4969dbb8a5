//! What the examples do with their own sessions, and with the accounts that sign somebody in.

use std::sync::Arc;

use crate::chromium::Browsers;
use crate::example::Which;
use crate::page::Page;
use crate::stage::Stage;

driven! {
    a15_t_a7_a_sign_in_begins_a_new_session,
    a_copied_cookie_is_nobody_after_the_sign_out,
    a_linked_account_signs_its_owner_in_until_it_is_disconnected,
}

/// Who the application's own page says one is.
async fn user(stage: &Stage, page: &Page) -> String {
    page.goto(&stage.app.url("/")).await;
    page.driver().find(fantoccini::Locator::Css("#user")).await.unwrap().text().await.unwrap()
}

async fn is_nobody(stage: &Stage, page: &Page) {
    page.goto(&stage.app.url("/")).await;
    assert!(page.text().await.contains("Nobody is signed in"), "{}", page.text().await);
}

async fn sign_out(stage: &Stage, page: &Page) {
    page.goto(&stage.app.url("/")).await;
    page.press("[action='/sign-out'] button").await;
    is_nobody(stage, page).await;
}

/// The attacker plants their own session in the browser of a victim who is about to sign in.
async fn a15_t_a7_a_sign_in_begins_a_new_session(which: Which, browsers: Arc<Browsers>) {
    let stage = Stage::new(which).await;
    let attacker = browsers.open().await;
    stage.begin(&attacker).await;
    stage.approve_as(&attacker, "mallory").await;
    stage.is_signed_in(&attacker).await;
    let planted = attacker.session_cookies().await;
    assert_eq!(planted.len(), 1, "the session");

    let victim = browsers.open().await;
    stage.begin(&victim).await;
    victim.put_cookies(&planted).await;
    stage.approve_as(&victim, "ada").await;
    stage.is_signed_in(&victim).await;
    let session = victim.session_cookies().await;
    assert_eq!(session.len(), 1);
    assert_eq!(session[0]["name"], planted[0]["name"]);
    assert_ne!(session[0]["value"], planted[0]["value"], "a new session");
    is_nobody(&stage, &attacker).await;
    assert_eq!(user(&stage, &victim).await, "person-2");
}

async fn a_copied_cookie_is_nobody_after_the_sign_out(which: Which, browsers: Arc<Browsers>) {
    let stage = Stage::new(which).await;
    let page = browsers.open().await;
    stage.sign_in(&page).await;
    let copied = page.session_cookies().await;
    let thief = browsers.open().await;
    thief.goto(&stage.app.url("/")).await;
    thief.put_cookies(&copied).await;
    assert_eq!(user(&stage, &thief).await, user(&stage, &page).await, "the copy is as good");
    sign_out(&stage, &page).await;
    is_nobody(&stage, &thief).await;
    // Nor does it come back to life when its owner does.
    stage.sign_in(&page).await;
    thief.put_cookies(&copied).await;
    is_nobody(&stage, &thief).await;
}

async fn a_linked_account_signs_its_owner_in_until_it_is_disconnected(which: Which, browsers: Arc<Browsers>) {
    let stage = Stage::new(which).await;
    let page = browsers.open().await;
    let sign_in_with_another = async || {
        page.goto(&stage.app.url("/auth/another/connect")).await;
        stage.approve(&page).await;
        user(&stage, &page).await
    };
    stage.sign_in(&page).await;
    let me = user(&stage, &page).await;
    page.goto(&stage.app.url("/auth")).await;
    page.press("[action='/auth/another/connect'] button").await;
    stage.approve(&page).await;
    page.shows("[action='/auth/another/disconnect']").await;
    sign_out(&stage, &page).await;
    assert_eq!(sign_in_with_another().await, me);

    // The first one goes: from now on it is somebody else's.
    page.goto(&stage.app.url("/auth")).await;
    page.press("[action='/auth/example/disconnect'] button").await;
    page.shows("[role=status]").await;
    sign_out(&stage, &page).await;
    stage.sign_in(&page).await;
    assert_ne!(user(&stage, &page).await, me);

    // The last one stays, or its owner could never come back.
    sign_out(&stage, &page).await;
    assert_eq!(sign_in_with_another().await, me);
    page.goto(&stage.app.url("/auth")).await;
    page.press("[action='/auth/another/disconnect'] button").await;
    page.shows("[role=status]").await;
    sign_out(&stage, &page).await;
    assert_eq!(sign_in_with_another().await, me);
}
