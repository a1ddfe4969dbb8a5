//! A8 and A9: several flows in one browser, and callbacks that are opened once more.

use crate::browser::{Browser, From};
use crate::world::{Setup, World, get};

#[tokio::test]
async fn a8_five_tabs_in_reverse_order() {
    let world = World::new();
    let browser = Browser::of("alice");
    let mut tabs = Vec::new();
    for tab in 0..5 {
        let provider = if tab % 2 == 0 { "alpha" } else { "beta" };
        tabs.push((world.until_callback(&browser, provider, &format!("/tab/{tab}")).await, tab));
    }
    for (callback, tab) in tabs.into_iter().rev() {
        assert_eq!(world.deliver(&browser, &callback).await.location(), format!("/tab/{tab}"));
    }
    assert_eq!(world.token_requests(), 5);
}

#[tokio::test]
async fn a8_the_eleventh_takes_the_oldest_away_and_no_other() {
    let world = World::new();
    let browser = Browser::of("alice");
    let mut tabs = Vec::new();
    for tab in 0..11 {
        world.advance(1);
        tabs.push(world.until_callback(&browser, "alpha", &format!("/tab/{tab}")).await);
        assert!(browser.flows().len() <= 10);
    }
    assert_eq!(browser.flows().len(), 10);
    let answer = world.deliver(&browser, &tabs[0]).await;
    world.assert_refused(&answer, 400, 0);
    for (tab, callback) in tabs.iter().enumerate().skip(1) {
        assert_eq!(world.deliver(&browser, callback).await.location(), format!("/tab/{tab}"));
    }
}

/// Nobody has asked for it yet, and each flow would push out one that somebody did ask for.
#[tokio::test]
async fn a12_what_a_browser_fetches_ahead_begins_nothing() {
    for (world, browser) in
        [(World::new(), Browser::of("alice")), (Setup::new().offers_sign_in().build(), Browser::default())]
    {
        let callback = world.until_callback(&browser, "alpha", "/done").await;
        let flows = browser.flows();
        for (name, purpose) in [
            ("sec-purpose", "prefetch"),
            ("sec-purpose", "prefetch;prerender"),
            ("sec-purpose", "prefetch;anonymous-client-ip"),
            ("sec-purpose", "Prefetch ; prerender"),
            ("purpose", "prefetch"),
            ("purpose", "preview, prefetch"),
        ] {
            for mode in ["navigate", "no-cors"] {
                let mut request = get("/auth/alpha/connect?return_to=/x");
                request.headers_mut().append(name, "other".parse().unwrap());
                request.headers_mut().append(name, purpose.parse().unwrap());
                let answer = world.send_as(&browser, From::Own, mode, request).await;
                // Browsers throw away what is no success, and ask once more when somebody follows the link.
                answer.is_page(503);
                assert!(answer.headers.get("set-cookie").is_none(), "{name}: {purpose}");
            }
        }
        assert_eq!((world.states.len(), browser.flows()), (1, flows));
        assert!(world.application.errors().is_empty());
        assert_eq!(world.arrive(&browser, &callback).await.place, "/done");
        let mut other = get("/auth/alpha/connect");
        other.headers_mut().insert("sec-purpose", "prefetching".parse().unwrap());
        world.send(&browser, From::Own, other).await.location();
        let unknown = world.get(&browser, From::Own, "/auth/gone/connect").await;
        unknown.is_page(404);
    }
}

#[tokio::test]
async fn a8_flows_that_have_ended_make_room_first() {
    let world = World::new();
    let browser = Browser::of("alice");
    let oldest = world.until_callback(&browser, "alpha", "/oldest").await;
    for _ in 0..8 {
        world.advance(1);
        world.begin(&browser, "alpha", "").await;
    }
    world.advance(1);
    world.connect(&browser, "beta").await;
    assert_eq!(browser.flows().len(), 10);
    world.begin(&browser, "alpha", "").await;
    assert_eq!(browser.flows().len(), 10);
    assert!(!browser.flows().iter().any(|(_, value)| value.starts_with("1ld")), "the mark made room");
    assert_eq!(world.deliver(&browser, &oldest).await.location(), "/oldest");
}

#[tokio::test]
async fn a8_the_cookies_stay_below_4_kib() {
    let world = World::new();
    let browser = Browser::of("alice");
    let long = format!("/{}", "x".repeat(500));
    for round in 0..12 {
        world.advance(1);
        let callback = world.until_callback(&browser, "alpha", &long).await;
        assert_eq!(world.deliver(&browser, &callback).await.location(), long);
        let bytes: usize = browser.flows().iter().map(|(name, value)| name.len() + value.len() + 3).sum();
        assert!(bytes <= 3584, "{bytes} bytes after {round}");
    }
    for _ in 0..10 {
        world.begin(&browser, "alpha", &long).await;
    }
    assert_eq!(browser.flows().len(), 10);
}

#[tokio::test]
async fn a9_the_reload_of_a_callback_goes_on() {
    let world = World::new();
    let browser = Browser::of("alice");
    let return_to = "/done?tab=2;x=\"y\",z%20#part";
    let callback = world.until_callback(&browser, "alpha", return_to).await;
    assert_eq!(world.deliver(&browser, &callback).await.location(), return_to);
    for from in [From::Foreign, From::Own, From::Typed] {
        assert_eq!(world.get(&browser, from, &callback).await.location(), return_to);
    }
    assert_eq!(world.token_requests(), 1);
    assert_eq!(world.application.outcomes().len(), 1);
    world.advance(600);
    let answer = world.deliver(&browser, &callback).await;
    world.assert_refused(&answer, 400, 1);
}

#[tokio::test]
async fn a9_the_reload_without_a_return_to_goes_to_the_default() {
    let world = crate::world::Setup::new().build_with(|it| it, |builder| builder.after("/home"));
    let browser = Browser::of("alice");
    let callback = world.until_callback(&browser, "alpha", "").await;
    assert_eq!(world.deliver(&browser, &callback).await.location(), "/home");
    let [(name, value)] = browser.flows().try_into().unwrap();
    assert_eq!(world.deliver(&browser, &callback).await.location(), "/home");
    // Too long to be kept, or planted: the default.
    let [tag, _, head] = value.rsplitn(3, '.').collect::<Vec<_>>().try_into().unwrap();
    for planted in ["", "//evil.example", "https:%2F%2Fevil.example", "%2F%5Cevil.example"] {
        browser.plant(&name, &format!("{head}.{planted}.{tag}"));
        assert_eq!(world.deliver(&browser, &callback).await.location(), "/home", "b17: {planted}");
    }
}

/// Where a flow led is its own user's; whoever else is there now comes to the accounts page.
#[tokio::test]
async fn a9_the_reload_leads_its_own_user_only() {
    let world = World::new();
    let browser = Browser::of("alice");
    let callback = world.until_callback(&browser, "alpha", "/alices").await;
    assert_eq!(world.deliver(&browser, &callback).await.location(), "/alices");
    for other in ["bob", "t/alice", "alic"] {
        browser.plant("session", other);
        assert_eq!(world.deliver(&browser, &callback).await.location(), "/auth", "{other}");
    }
    browser.plant("session", "alice");
    let [(name, value)] = browser.flows().try_into().unwrap();
    let (head, tag) = value.rsplit_once('.').unwrap();
    for planted in ["", &tag[1..], &format!("{tag}x")] {
        browser.plant(&name, &format!("{head}.{planted}"));
        assert_eq!(world.deliver(&browser, &callback).await.location(), "/auth", "{planted}");
    }
    browser.plant(&name, &value);
    assert_eq!(world.deliver(&browser, &callback).await.location(), "/alices");
    world.application.sessions_fail.store(true, std::sync::atomic::Ordering::SeqCst);
    world.deliver(&browser, &callback).await.is_page(503);
    assert_eq!(world.token_requests(), 1);
}

#[tokio::test]
async fn a9_the_reload_of_a_denial_says_that_it_has_ended() {
    let world = World::new();
    let browser = Browser::of("alice");
    let denied = world.until_denied(&browser, "alpha").await;
    assert_eq!(world.deliver(&browser, &denied).await.location(), "/auth/alpha/denied");
    let again = world.deliver(&browser, &denied).await;
    world.assert_refused(&again, 410, 0);
    assert_eq!(world.application.outcomes(), ["denied alpha access_denied"]);
}
