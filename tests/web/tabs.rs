//! A8 and A9: several flows in one browser, and callbacks that are opened again.

use authflow::Clock as _;
use futures_util::future::join_all;

use crate::framework::Framework;
use crate::jar::From;
use crate::stores::{Kind, Stores};
use crate::world::{EXAMPLE, OTHER, Setup, World};

/// The most flows that one browser has at once.
const MOST: usize = 10;

judged! {
    memory:
        a8_the_cookies_stay_small;
    every_store:
        a8_five_tabs_in_reverse_order,
        a8_tabs_of_two_providers_at_once,
        a8_the_eleventh_flow_drops_the_oldest_only,
        a8_ended_flows_make_room_first,
        a9_the_reload_of_a_callback_goes_on,
        a9_the_reload_of_a_denial_says_that_it_has_ended,
        a9_the_reload_without_a_return_to_goes_to_the_default,
        a9_the_back_button_leads_to_a_new_flow,
        t_a10_very_many_starts_in_one_browser_leave_the_newest_usable;
}

async fn a8_five_tabs_in_reverse_order<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    let mut tabs = Vec::new();
    for tab in 0..5 {
        let return_to = format!("/tab/{tab}");
        tabs.push((world.until_callback(&browser, Some(&return_to)).await, return_to));
    }
    for (callback, return_to) in tabs.iter().rev() {
        assert_eq!(world.deliver(&browser, callback).await.location(), return_to);
    }
    assert_eq!(world.token_requests(), 5);
}

async fn a8_tabs_of_two_providers_at_once<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    let first = world.begin_at(EXAMPLE, &browser, Some("/first")).await;
    let second = world.begin_at(OTHER, &browser, Some("/second")).await;
    let callbacks = [world.approve(&first).await, world.approve(&second).await];
    let answers = join_all(callbacks.iter().map(|callback| world.deliver(&browser, callback))).await;
    let mut locations: Vec<_> = answers.iter().map(|answer| answer.location()).collect();
    locations.sort_unstable();
    assert_eq!(locations, ["/first", "/second"]);
    let mut connected = world.connections_of("alice").await;
    connected.sort();
    assert_eq!(connected, [EXAMPLE, OTHER]);
}

async fn a8_the_eleventh_flow_drops_the_oldest_only<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    let mut callbacks = Vec::new();
    for tab in 0..=MOST {
        // One after the other also by the clock, so that there is an oldest.
        world.clock.advance(std::time::Duration::from_secs(1));
        callbacks.push(world.until_callback(&browser, Some(&format!("/tab/{tab}"))).await);
        assert!(browser.cookies("authflow-").len() <= MOST);
    }
    assert_eq!(browser.cookies("authflow-").len(), MOST);
    world.assert_refused(&world.deliver(&browser, &callbacks[0]).await, 0);
    for (tab, callback) in callbacks.iter().enumerate().skip(1).rev() {
        assert_eq!(world.deliver(&browser, callback).await.location(), format!("/tab/{tab}"));
    }
    assert_eq!(world.token_requests(), MOST);
}

async fn a8_ended_flows_make_room_first<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    let mut pending = Vec::new();
    for tab in 0..MOST - 1 {
        world.clock.advance(std::time::Duration::from_secs(1));
        pending.push(world.until_callback(&browser, Some(&format!("/tab/{tab}"))).await);
    }
    world.clock.advance(std::time::Duration::from_secs(1));
    // The youngest has ended; its marker takes a place until somebody needs it.
    world.connect(&browser).await;
    let newest = world.until_callback(&browser, Some("/newest")).await;
    assert!(browser.cookies("authflow-").len() <= MOST);
    assert_eq!(world.deliver(&browser, &newest).await.location(), "/newest");
    for (tab, callback) in pending.iter().enumerate() {
        // The provider's codes live for a minute, which all of this is within.
        assert_eq!(
            world.deliver(&browser, callback).await.location(),
            format!("/tab/{tab}"),
            "none was dropped"
        );
    }
}

async fn a8_the_cookies_stay_small<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    let long = format!("/{}", "x".repeat(500));
    for _ in 0..MOST {
        world.begin(&browser, Some(&long)).await;
    }
    let size = browser.cookie_header("/auth/example/callback").len();
    assert!(size < 4096, "{size} bytes of cookies while ten flows are pending");
    // And when all of them have ended.
    let browser = world.browser_of("alice");
    for _ in 0..MOST {
        let callback = world.until_callback(&browser, Some(&long)).await;
        assert_eq!(world.deliver(&browser, &callback).await.location(), long);
    }
    let size = browser.cookie_header("/auth/example/callback").len();
    assert!(size < 4096, "{size} bytes of cookies after ten flows");
}

async fn a9_the_reload_of_a_callback_goes_on<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    let callback = world.until_callback(&browser, Some("/done?tab=2#part")).await;
    assert_eq!(world.deliver(&browser, &callback).await.location(), "/done?tab=2#part");
    for from in [From::CrossSite, From::SameOrigin, From::Person] {
        let again = browser.get(&callback).from(from).send().await;
        assert_eq!(again.location(), "/done?tab=2#part", "{from:?}");
    }
    assert_eq!(world.token_requests(), 1);
    assert_eq!(world.application.seen().len(), 1);
    // Only for as long as somebody may want to reload it: then it is like any other old URL.
    crate::binding::without_flow_cookies(&browser);
    world.assert_refused(&world.deliver(&browser, &callback).await, 1);
}

async fn a9_the_reload_without_a_return_to_goes_to_the_default<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    let callback = world.until_callback(&browser, None).await;
    let first = world.deliver(&browser, &callback).await.location().to_owned();
    assert!(first.starts_with('/'), "{first}");
    assert_eq!(world.deliver(&browser, &callback).await.location(), first);
}

async fn a9_the_reload_of_a_denial_says_that_it_has_ended<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    let url = world.begin(&browser, Some("/done")).await;
    let callback = world.deny(&url).await;
    let first = world.deliver(&browser, &callback).await;
    assert!(first.location().contains(&world.path(EXAMPLE, "denied")), "{first:?}");
    world.deliver(&browser, &callback).await.assert_page(410);
    assert_eq!(world.token_requests(), 0);
    assert_eq!(world.application.seen().len(), 1, "the hook hears of it once");
}

/// Back to the page with the button, and once more: a flow of its own, whatever became of the first.
async fn a9_the_back_button_leads_to_a_new_flow<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    let first = world.begin(&browser, Some("/done")).await;
    let second = world.begin(&browser, Some("/done")).await;
    assert_ne!(first, second);
    let callback = world.approve(&second).await;
    assert_eq!(world.deliver(&browser, &callback).await.location(), "/done");
    let callback = world.approve(&first).await;
    assert_eq!(world.deliver(&browser, &callback).await.location(), "/done");
}

/// No more than the cap of a user are kept.
async fn t_a10_very_many_starts_in_one_browser_leave_the_newest_usable<F: Framework>(kind: Kind) {
    const CAP: usize = 256;
    let starts = if kind == Kind::Memory { 2000 } else { 300 };
    let (stores, states) = Stores::capped(kind, CAP).await;
    let world: World<F> = Setup::over(stores).start().await;
    let browser = world.browser_of("alice");
    let waiting = world.until_callback(&browser, Some("/done")).await;
    for _ in 0..starts {
        world.begin(&browser, Some("/done")).await;
    }
    assert_eq!(browser.cookies("authflow-").len(), MOST);
    world.connect(&browser).await;
    world.assert_refused(&world.deliver(&browser, &waiting).await, 1);
    // All but the one that was just used.
    assert_eq!(states.left(world.clock.now()).await, (starts + 2, CAP - 1));
}
