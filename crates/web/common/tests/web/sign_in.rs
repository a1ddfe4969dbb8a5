//! Flows that begin while nobody is signed in.

use crate::browser::{Browser, From};
use crate::world::{Setup, World};

fn world() -> World {
    Setup::new().offers_sign_in().build()
}

#[tokio::test]
async fn somebody_signs_in_and_is_connected() {
    let world = world();
    let browser = Browser::default();
    let callback = world.until_callback(&browser, "alpha", "/home").await;
    assert_eq!(world.deliver(&browser, &callback).await.location(), "/home");
    assert_eq!(world.application.outcomes(), ["signed in alpha:user-1"]);
    assert_eq!(browser.cookie("session").unwrap().value(), "alpha:user-1", "the hook set the session");
    assert_eq!(world.connections("alpha:user-1").await, ["alpha user-1"]);
    let page = world.get(&browser, From::Own, "/auth").await;
    assert!(page.is_page(200).body.contains("user-1"));
    // From now on an account is linked to who that is.
    world.connect(&browser, "beta").await.location();
    assert_eq!(world.connections("alpha:user-1").await, ["alpha user-1", "beta user-1"]);
}

#[tokio::test]
async fn a1_a_sign_in_is_bound_to_its_browser() {
    let world = world();
    let attacker = Browser::default();
    let callback = world.until_callback(&attacker, "alpha", "/home").await;
    for victim in [Browser::default(), Browser::of("alice")] {
        let answer = world.deliver(&victim, &callback).await;
        world.assert_refused(&answer, 400, 0);
    }
    world.deliver(&attacker, &callback).await.location();
}

/// In another tab somebody has signed in meanwhile: the account is its own user's all the same, and nobody else's.
#[tokio::test]
async fn a5_a_sign_in_links_nothing_to_whoever_is_there() {
    let world = world();
    let browser = Browser::default();
    let callback = world.until_callback(&browser, "alpha", "").await;
    browser.plant("session", "alice");
    world.deliver(&browser, &callback).await.location();
    assert!(world.connections("alice").await.is_empty());
    assert_eq!(world.application.outcomes(), ["signed in alpha:user-1"]);
}

#[tokio::test]
async fn form_post_needs_no_session_to_sign_in() {
    let world = Setup::new().form_post().offers_sign_in().build();
    let browser = Browser::default();
    let callback = world.until_callback(&browser, "alpha", "/home").await;
    assert_eq!(world.deliver(&browser, &callback).await.location(), "/home");
    assert!(browser.waiting().is_empty());
}

#[tokio::test]
async fn whom_the_application_does_not_know_is_turned_away() {
    let mut setup = Setup::new().offers_sign_in();
    setup.application.refuses_sign_in = true;
    let world = setup.build();
    let browser = Browser::default();
    let callback = world.until_callback(&browser, "alpha", "/home").await;
    let answer = world.deliver(&browser, &callback).await;
    assert_eq!(answer.location(), "/auth/alpha/failed?reason=sign_in_refused&return_to=/home");
    assert!(browser.cookie("session").is_none());
    assert_eq!(world.application.outcomes(), ["failed alpha usage"]);
    assert_eq!(
        world.server.ledger().count(authflow_testkit::Endpoint::Revocation),
        1,
        "tokens are given back"
    );
    let page = world.get(&browser, From::Own, answer.location()).await;
    assert!(!page.is_page(200).body.contains("planted-refusal"));
    assert!(
        world.application.debugs().contains("planted-refusal"),
        "the application's own words are for its log"
    );
}

#[tokio::test]
async fn the_page_offers_to_sign_in() {
    let world = world();
    let page = world.get(&Browser::default(), From::Typed, "/auth?return_to=/home").await;
    page.is_page(200);
    assert!(page.body.contains("/auth/alpha/connect") && page.body.contains("/auth/beta/connect"));
    assert!(page.body.contains("value=\"/home\""));
    let closed = World::new();
    let page = closed.get(&Browser::default(), From::Typed, "/auth").await;
    assert!(!page.is_page(401).body.contains("/connect"));
    closed.post(&Browser::default(), From::Own, "/auth/alpha/disconnect", "").await.is_page(401);
}
