//! A12, A15, T-A7, T-A10: flows of people who are not signed in, how many there may be, and what becomes of the session.

use std::net::{IpAddr, Ipv4Addr};

use authflow::Clock as _;
use futures_util::future::join_all;

use crate::application::{SESSION, Seen};
use crate::browser::Browser;
use crate::framework::Framework;
use crate::jar::{From, SameSite};
use crate::stores::{Kind, Stores};
use crate::world::{EXAMPLE, Setup, World};

judged! {
    memory:
        a_strict_session_is_there_after_a_sign_in;
    every_store:
        a12_t_a10_a_flood_from_one_address_pushes_out_its_own,
        a15_t_a7_the_session_of_before_is_over,
        a15_a_sign_in_links_nothing_to_whoever_signed_in_meanwhile,
        signing_in_connects_the_account_to_its_user;
}

async fn signing_in_connects_the_account_to_its_user<F: Framework>(kind: Kind) {
    let world: World<F> = Setup::new(kind).await.offering_sign_in().start().await;
    let browser = world.browser();
    world.connect(&browser).await;
    assert_eq!(world.application.seen(), [Seen::SignedIn(EXAMPLE.to_owned())]);
    assert_eq!(browser.get("/whoami").send().await.body, "new-0");
    assert_eq!(browser.get("/me").send().await.status, 200);
    assert_eq!(world.connections_of("new-0").await, [EXAMPLE]);
    // The same account in another browser is the same user.
    let elsewhere = world.browser();
    world.connect(&elsewhere).await;
    assert_eq!(elsewhere.get("/whoami").send().await.body, "new-0");
}

/// A page that needs the connection sends a person to sign in, and gets them back with the session that was set on the way. The
/// provider approves without a question: where the session does not come along, nothing would end it.
async fn a_strict_session_is_there_after_a_sign_in<F: Framework>(kind: Kind) {
    for form_post in [false, true] {
        for (same_site, pages) in [(SameSite::Lax, 0), (SameSite::Strict, 1)] {
            let setup = Setup::new(kind).await.offering_sign_in();
            let world: World<F> = if form_post { setup.form_post() } else { setup }.start().await;
            world.application.set_sessions(same_site);
            let browser = world.browser();
            let (mut from, mut seen) = (From::Person, 0);
            let mut answer = browser.get("/me?tab=2").from(from).send().await;
            for _ in 0..12 {
                let next = match answer.refresh() {
                    Some(next) => {
                        (from, seen) = (From::Refresh, seen + 1);
                        next
                    }
                    None if answer.status == 303 => answer.location().to_owned(),
                    None => break,
                };
                answer = if next.starts_with(world.example.base_url()) {
                    from = From::CrossSite;
                    world.deliver(&browser, &world.approve(&next).await).await
                } else {
                    browser.get(&next).from(from).send().await
                };
            }
            assert_eq!((answer.status, seen), (200, pages), "{same_site:?} {form_post}: {answer:?}");
            assert_eq!(world.token_requests(), 1);
            assert_eq!(browser.get("/whoami").send().await.body, "new-0");
        }
    }
}

/// Whoever planted the session that the victim signs in with is left with nothing.
async fn a15_t_a7_the_session_of_before_is_over<F: Framework>(kind: Kind) {
    let world: World<F> = Setup::new(kind).await.offering_sign_in().start().await;
    let planted = world.application.session(None);
    let victim = world.browser();
    victim.plant(SESSION, &planted, SameSite::Lax);
    world.connect(&victim).await;
    let [session] = victim.cookies(SESSION).try_into().unwrap();
    assert_ne!(session.value, planted, "the hook set a new session");
    assert_eq!(victim.get("/whoami").send().await.body, "new-0");

    let attacker = world.browser();
    attacker.plant(SESSION, &planted, SameSite::Lax);
    assert_eq!(attacker.get("/whoami").send().await.body, "nobody");
}

/// A flow that was begun by nobody ends as a sign-in: it does not become a link.
async fn a15_a_sign_in_links_nothing_to_whoever_signed_in_meanwhile<F: Framework>(kind: Kind) {
    let world: World<F> = Setup::new(kind).await.offering_sign_in().start().await;
    let browser = world.browser();
    let callback = world.until_callback(&browser, Some("/done")).await;
    world.sign_in(&browser, "alice");
    let [of_alice] = browser.cookies(SESSION).try_into().unwrap();
    world.arrive(&browser, &callback).await;
    assert!(world.connections_of("alice").await.is_empty());
    assert_eq!(browser.get("/whoami").send().await.body, "new-0");
    assert!(world.application.user_of(&of_alice.value).is_none(), "nobody is two people at once");
}

/// Each address has a bucket of its own: 127.0.0.2 floods, 127.0.0.3 does not notice.
async fn a12_t_a10_a_flood_from_one_address_pushes_out_its_own<F: Framework>(kind: Kind) {
    const CAP: usize = 32;
    let rounds = if kind == Kind::Memory { 40 } else { 8 };
    let (stores, states) = Stores::capped(kind, CAP).await;
    let world: World<F> = Setup::over(stores).offering_sign_in().start().await;
    let from = |last: u8| {
        let own = IpAddr::V4(Ipv4Addr::new(127, 0, 0, last));
        Browser::at(&world.origin, world.address, Some(own))
    };
    let neighbour = from(3);
    let waiting = world.until_callback(&neighbour, Some("/done")).await;
    let flood = from(2);
    for _ in 0..rounds {
        let some = (0..50).map(|_| {
            let visit = flood.get("/auth/example/connect").from(From::Person).cookies("");
            async { assert_eq!(visit.send().await.status, 303) }
        });
        join_all(some).await;
    }
    world.arrive(&neighbour, &waiting).await;
    // Whoever floods has the newest of their own.
    let own = from(2);
    let callback = world.until_callback(&own, Some("/done")).await;
    world.arrive(&own, &callback).await;
    // All but the one that was just used.
    assert_eq!(states.left(world.clock.now()).await, (rounds * 50 + 2, CAP - 1));
}
