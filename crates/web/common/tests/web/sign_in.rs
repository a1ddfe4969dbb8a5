//! Flows that begin while nobody is signed in.

use crate::application::Session;
use crate::browser::{Browser, From};
use crate::world::{Arrival, Setup, World};

fn world() -> World {
    with(Session::Lax)
}

fn with(session: Session) -> World {
    let mut setup = Setup::new().offers_sign_in();
    setup.application.session = session;
    setup.build()
}

fn arrival(place: &str, pages: usize) -> Arrival {
    Arrival { place: place.to_owned(), pages }
}

#[tokio::test]
async fn somebody_signs_in_and_is_connected() {
    let world = world();
    let browser = Browser::default();
    let callback = world.until_callback(&browser, "alpha", "/home").await;
    assert_eq!(world.arrive(&browser, &callback).await, arrival("/home", 0));
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
    assert_eq!(world.arrive(&browser, &callback).await, arrival("/home", 0));
    assert!(browser.waiting().is_empty());
}

/// The session that the sign-in brings is not sent as long as the provider's redirects go on: without a page of our own the
/// application finds nobody, and has the browser sign in again, for ever.
#[tokio::test]
async fn a_strict_session_is_there_after_a_sign_in() {
    for form_post in [false, true] {
        for (session, pages) in [(Session::Lax, 0), (Session::Strict, 1)] {
            let mut setup = Setup::new().offers_sign_in();
            setup = if form_post { setup.form_post() } else { setup };
            setup.application.session = session;
            let world = setup.build();
            for from in [From::Typed, From::Own, From::Foreign] {
                let browser = Browser::default();
                let journey = world.travel(&browser, from, "/inbox?page=2").await;
                assert_eq!(journey.end().status, 200, "{journey:?}");
                assert!(journey.end().body.contains("user-1"));
                // From another site it begins with a page that sees whether there is a session.
                let pages = pages + usize::from(from == From::Foreign);
                assert_eq!(journey.pages, pages, "{session:?}: {journey:?}");
                assert_eq!(journey.count("the callback"), 1);
            }
            assert_eq!(world.token_requests(), 3);
        }
    }
}

/// It may know its users otherwise than by what it says of this request, or ask for more before they are.
#[tokio::test]
async fn who_is_not_seen_after_a_sign_in_goes_on_all_the_same() {
    let world = with(Session::Absent);
    let browser = Browser::default();
    let callback = world.until_callback(&browser, "alpha", "/home").await;
    assert_eq!(world.arrive(&browser, &callback).await, arrival("/home", 1));
    assert_eq!(world.arrive(&browser, &callback).await, arrival("/home", 1), "the reload");
    *world.application.elsewhere.lock().unwrap() = Some("/second-factor");
    let callback = world.until_callback(&browser, "alpha", "/home").await;
    assert_eq!(world.arrive(&browser, &callback).await, arrival("/second-factor", 1));
    // Somebody else is there: the way was not theirs.
    browser.plant("session", "mallory");
    assert_eq!(world.arrive(&browser, &callback).await, arrival("/auth", 0));
}

#[tokio::test]
async fn where_the_application_leads_after_a_sign_in_is_where_the_session_is_there() {
    for (session, pages) in [(Session::Lax, 0), (Session::Strict, 1)] {
        let world = with(session);
        for (elsewhere, expected) in [
            ("/welcome?x=1", arrival("/welcome?x=1", pages)),
            // Not of this site, or none of our business: as it is.
            ("https://other.example/", arrival("https://other.example/", 0)),
            ("//other.example/", arrival("//other.example/", 0)),
        ] {
            *world.application.elsewhere.lock().unwrap() = Some(elsewhere);
            let browser = Browser::default();
            let callback = world.until_callback(&browser, "alpha", "/home").await;
            assert_eq!(world.arrive(&browser, &callback).await, expected);
            assert_eq!(browser.cookie("session").unwrap().value(), "alpha:user-1");
        }
    }
}

/// What is too long for the mark is not forgotten.
#[tokio::test]
async fn a_long_way_on_is_gone_after_a_sign_in() {
    let long = format!("/inbox?{}", "x".repeat(600));
    for session in [Session::Lax, Session::Strict] {
        let world = with(session);
        let browser = Browser::default();
        let callback = world.until_callback(&browser, "alpha", &long).await;
        let first = world.deliver(&browser, &callback).await;
        assert_eq!(first.refresh().as_deref(), Some(&*long), "{session:?}");
        assert_eq!(first.header("location"), "");
        assert_eq!(world.open(&browser, From::Refresh, &long).await.status, 200);
    }
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
