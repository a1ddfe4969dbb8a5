//! A1 to A7: a flow belongs to the browser, the user, the tenant and the provider that it was begun for, and ends once.

use std::time::Duration;

use futures_util::future::join_all;

use crate::application::Seen;
use crate::browser::Browser;
use crate::framework::{Actix, Axum, Framework};
use crate::jar::{From, SameSite};
use crate::stores::{Kind, Stores};
use crate::world::{EXAMPLE, OTHER, Setup, TTL, World};

judged! {
    every_store:
        a1_t_a1_a_stolen_callback_is_refused_in_another_browser,
        a1_t_a1_the_same_for_people_who_sign_in,
        a1_t_a1_states_of_two_browsers_are_not_interchangeable,
        a1_the_secret_of_another_browser_finds_no_flow,
        a2_what_an_attacker_plants_is_not_used,
        a2_a_planted_transaction_links_nothing,
        a2_the_plain_name_of_a_cookie_does_not_stand_for_the_prefixed_one,
        a3_a_callback_is_used_once,
        a3_fifty_callbacks_at_once_are_one_exchange,
        a4_a_flow_expires,
        a4_a_clock_that_goes_back_prolongs_nothing,
        a5_another_user_in_the_same_browser_gets_nothing,
        a6_t_a3_a_flow_ends_at_the_provider_it_began_at,
        a7_another_tenant_with_the_same_user_id_is_another_user,
        a7_an_application_with_another_prefix_or_store_knows_nothing_of_it,
        x28_another_instance_in_another_framework_finishes,
        h4_a_page_says_not_which_state_there_is;
}

/// Of a state that waits, was used, has expired, is malformed or never was, a browser that did not begin gets the same answer.
async fn h4_a_page_says_not_which_state_there_is<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let alice = world.browser_of("alice");
    let expired = world.until_callback(&alice, None).await;
    world.clock.advance(TTL + Duration::from_secs(1));
    let used = world.until_callback(&alice, None).await;
    world.deliver(&alice, &used).await;
    let waiting = world.until_callback(&alice, None).await;
    let state = waiting.split_once("state=").unwrap().1.split('&').next().unwrap();
    let unknown = waiting.replace(state, &"x".repeat(state.len()));
    let short = waiting.replace(state, "x");
    let mut answers = Vec::new();
    for callback in [&waiting, &used, &expired, &unknown, &short] {
        let mut answer = world.deliver(&world.browser(), callback).await;
        answer.headers.remove("date");
        answers.push(answer);
    }
    for answer in &answers {
        answer.assert_page(400);
        assert_eq!((&answer.headers, &answer.body), (&answers[0].headers, &answers[0].body));
    }
    assert_eq!(world.token_requests(), 1);
}

/// The attacker's own state and code, opened by others: signed in, signed out, with a flow of their own under way.
async fn a1_t_a1_a_stolen_callback_is_refused_in_another_browser<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let attacker = world.browser_of("mallory");
    let callback = world.until_callback(&attacker, Some("/done")).await;

    let empty = world.browser();
    let signed_in = world.browser_of("alice");
    let same_user = world.browser_of("mallory");
    let busy = world.browser_of("bob");
    let own = world.until_callback(&busy, Some("/done")).await;
    for victim in [&empty, &signed_in, &same_user, &busy] {
        let answer = world.deliver(victim, &callback).await;
        world.assert_refused(&answer, 0);
        answer.assert_lacks(callback.split_once("code=").unwrap().1.split('&').next().unwrap());
    }
    assert!(world.connections_of("alice").await.is_empty() && world.connections_of("bob").await.is_empty());
    assert!(world.application.seen().is_empty(), "no hook hears of what was not accepted");

    // Nothing was burnt: whoever began can finish.
    assert_eq!(world.deliver(&attacker, &callback).await.location(), "/done");
    assert_eq!(world.deliver(&busy, &own).await.location(), "/done");
    assert_eq!(world.token_requests(), 2);
}

async fn a1_t_a1_the_same_for_people_who_sign_in<F: Framework>(kind: Kind) {
    let world: World<F> = Setup::new(kind).await.offering_sign_in().start().await;
    let attacker = world.browser();
    let callback = world.until_callback(&attacker, Some("/done")).await;
    for victim in [world.browser(), world.browser_of("alice")] {
        world.assert_refused(&world.deliver(&victim, &callback).await, 0);
        assert!(victim.cookies("authflow").is_empty());
    }
    assert!(world.connections_of("alice").await.is_empty());
    world.arrive(&attacker, &callback).await;
    assert_eq!(world.application.seen(), [Seen::SignedIn(EXAMPLE.to_owned())]);
}

async fn a1_t_a1_states_of_two_browsers_are_not_interchangeable<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browsers = [world.browser_of("alice"), world.browser_of("bob")];
    let [first, second] = [
        world.until_callback(&browsers[0], Some("/done")).await,
        world.until_callback(&browsers[1], Some("/done")).await,
    ];
    // Each with the other's state, and with both browsers' cookies in each.
    world.assert_refused(&world.deliver(&browsers[0], &second).await, 0);
    world.assert_refused(&world.deliver(&browsers[1], &first).await, 0);
    let mixed = callback_with(&first, "state", &value(&second, "state"));
    world.assert_refused(&world.deliver(&browsers[0], &mixed).await, 0);
    assert_eq!(world.deliver(&browsers[1], &second).await.location(), "/done");
    assert_eq!(world.deliver(&browsers[0], &first).await.location(), "/done");
}

/// Two browsers of one user, and in the one the other's cookie, under the name that goes with the stolen state.
async fn a1_the_secret_of_another_browser_finds_no_flow<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let [own, other] = [world.browser_of("alice"), world.browser_of("alice")];
    let callback = world.until_callback(&own, Some("/done")).await;
    world.begin(&other, Some("/done")).await;
    let [stolen] = own.cookies("authflow-").try_into().unwrap();
    let [known] = other.cookies("authflow-").try_into().unwrap();
    other.plant(&stolen.name, &known.value, SameSite::Lax);
    world.deliver(&other, &callback).await.assert_page(410);
    assert_eq!(world.token_requests(), 0, "no code goes out");
    assert_eq!(world.deliver(&own, &callback).await.location(), "/done");
}

/// Cookies of every name there is, planted before *Connect*.
async fn a2_what_an_attacker_plants_is_not_used<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let attacker = world.browser_of("mallory");
    world.begin(&attacker, None).await;
    let planted = attacker.cookies("authflow");
    let victim = world.browser_of("alice");
    for cookie in &planted {
        victim.plant(&cookie.name, &cookie.value, SameSite::Lax);
    }
    world.begin(&victim, None).await;
    let own: Vec<_> =
        victim.cookies("authflow").into_iter().filter(|cookie| cookie.value != planted[0].value).collect();
    assert_eq!(own.len(), 1, "a flow has a cookie of its own");
    let secret = |value: &str| value.split('.').map(str::to_owned).collect::<Vec<_>>();
    for piece in secret(&own[0].value).iter().filter(|piece| piece.len() >= 20) {
        assert!(!planted[0].value.contains(piece.as_str()), "no part of a secret is used twice");
    }
}

/// The attacker's whole transaction in the victim's browser: the callback with the attacker's cookies.
async fn a2_a_planted_transaction_links_nothing<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let attacker = world.browser_of("mallory");
    let callback = world.until_callback(&attacker, Some("/done")).await;
    let victim = world.browser_of("alice");
    for cookie in attacker.cookies("authflow") {
        victim.plant(&cookie.name, &cookie.value, SameSite::Lax);
    }
    let answer = world.deliver(&victim, &callback).await;
    answer.assert_page(403);
    assert_eq!(world.token_requests(), 0);
    assert!(world.connections_of("alice").await.is_empty());
    assert_eq!(world.deliver(&attacker, &callback).await.location(), "/done");
}

/// A sub-domain can set `authflow-…`, not `__Host-authflow-…`.
async fn a2_the_plain_name_of_a_cookie_does_not_stand_for_the_prefixed_one<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    let callback = world.until_callback(&browser, Some("/done")).await;
    let cookies = browser.cookie_header(&world.path(EXAMPLE, "callback"));
    assert!(cookies.contains("__Host-authflow-"), "{cookies}");
    for prefix in ["", "__host-", "__Secure-"] {
        let cookies = cookies.replace("__Host-authflow-", &format!("{prefix}authflow-"));
        let answer = browser.get(&callback).from(From::CrossSite).cookies(&cookies).send().await;
        world.assert_refused(&answer, 0);
    }
    assert_eq!(browser.get(&callback).from(From::CrossSite).cookies(&cookies).send().await.status, 303);
}

async fn a3_a_callback_is_used_once<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    let callback = world.until_callback(&browser, Some("/done")).await;
    let cookies = browser.cookie_header(&callback);
    assert_eq!(world.deliver(&browser, &callback).await.location(), "/done");
    // Whoever kept the cookies cannot do it again.
    for _ in 0..3 {
        let again = browser.get(&callback).from(From::CrossSite).cookies(&cookies).send().await;
        assert!(!(200..300).contains(&again.status), "{again:?}");
        assert_eq!(world.token_requests(), 1);
    }
    assert_eq!(world.connections_of("alice").await, [EXAMPLE]);
    assert_eq!(world.application.seen().len(), 1, "the hook hears of it once");
}

async fn a3_fifty_callbacks_at_once_are_one_exchange<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    let callback = world.until_callback(&browser, Some("/done")).await;
    let cookies = browser.cookie_header(&callback);
    let all = (0..50).map(|_| browser.get(&callback).from(From::CrossSite).cookies(&cookies).send());
    let answers = join_all(all).await;
    assert_eq!(world.token_requests(), 1, "one exchange");
    let connected = answers.iter().filter(|answer| answer.status == 303 && answer.location() == "/done");
    assert_eq!(connected.count(), 1, "one of them is told so");
    for answer in answers.iter().filter(|answer| answer.status != 303) {
        answer.assert_page(410);
    }
    assert_eq!(world.connections_of("alice").await, [EXAMPLE]);
    assert_eq!(world.application.seen(), [Seen::Connected(EXAMPLE.to_owned())]);
}

async fn a4_a_flow_expires<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    let [early, late] =
        [world.until_callback(&browser, Some("/early")).await, world.begin(&browser, Some("/late")).await];
    world.clock.advance(TTL - Duration::from_secs(1));
    let late = world.approve(&late).await;
    // The provider's code of the first is over; that the flow was found is what counts.
    world.deliver(&browser, &early).await;
    assert_eq!(world.token_requests(), 1, "until its last second it is accepted");

    world.clock.advance(Duration::from_secs(2));
    let answer = world.deliver(&browser, &late).await;
    world.assert_refused(&answer, 1);
    answer.assert_contains(&world.path(EXAMPLE, "connect"));
    // A foreign one is told in other words: there is nothing to do again.
    let foreign = world.deliver(&world.browser_of("alice"), &late).await;
    world.assert_refused(&foreign, 1);
    assert_ne!(foreign.body, answer.body, "expired is told from not accepted");
    assert!(world.connections_of("alice").await.is_empty());
}

async fn a4_a_clock_that_goes_back_prolongs_nothing<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    let callback = world.until_callback(&browser, None).await;
    let [flow] = browser.cookies("authflow-").try_into().unwrap();
    world.clock.step_back(Duration::from_secs(3600));
    let answer = world.deliver(&browser, &callback).await;
    world.assert_refused(&answer, 0);
    answer.assert_contains(&world.path(EXAMPLE, "connect"));
    // Whoever moves the times in the cookie as well meets those that are stored.
    let moved: Vec<_> = flow.value.split('.').map(an_hour_earlier).collect();
    browser.plant(&flow.name, &moved.join("."), SameSite::Lax);
    world.deliver(&browser, &callback).await.assert_page(410);
    assert_eq!(world.token_requests(), 0, "no code goes out");
}

/// A part of a cookie, if it is a time.
fn an_hour_earlier(part: &str) -> String {
    part.parse().map_or_else(|_| part.to_owned(), |seconds: u64| (seconds - 3600).to_string())
}

async fn a5_another_user_in_the_same_browser_gets_nothing<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    let callback = world.until_callback(&browser, Some("/done")).await;
    world.sign_in(&browser, "bob");
    let answer = world.deliver(&browser, &callback).await;
    answer.assert_page(403);
    assert_eq!(world.token_requests(), 0);
    assert!(world.connections_of("alice").await.is_empty() && world.connections_of("bob").await.is_empty());
    assert!(world.application.seen().is_empty());
    // The flow is as it was.
    world.sign_in(&browser, "alice");
    assert_eq!(world.deliver(&browser, &callback).await.location(), "/done");
    assert_eq!(world.connections_of("alice").await, [EXAMPLE]);
    assert!(world.connections_of("bob").await.is_empty());
}

async fn a6_t_a3_a_flow_ends_at_the_provider_it_began_at<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    let callback = world.until_callback(&browser, Some("/done")).await;
    let elsewhere = callback.replace(&world.path(EXAMPLE, "callback"), &world.path(OTHER, "callback"));
    world.assert_refused(&world.deliver(&browser, &elsewhere).await, 0);
    // Neither with that provider's issuer.
    let issuer: String = url::form_urlencoded::byte_serialize(world.other.issuer().as_bytes()).collect();
    let disguised = callback_with(&elsewhere, "iss", &issuer);
    world.assert_refused(&world.deliver(&browser, &disguised).await, 0);
    assert_eq!(world.deliver(&browser, &callback).await.location(), "/done");
    assert_eq!(world.other.ledger().token_requests().len(), 0);
}

async fn a7_another_tenant_with_the_same_user_id_is_another_user<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("acme/alice");
    let callback = world.until_callback(&browser, Some("/done")).await;
    for other in ["globex/alice", "acme/Alice", "/alice", "acmeal/ice"] {
        world.sign_in(&browser, other);
        world.deliver(&browser, &callback).await.assert_page(403);
    }
    assert_eq!(world.token_requests(), 0);
    world.sign_in(&browser, "acme/alice");
    assert_eq!(world.deliver(&browser, &callback).await.location(), "/done");
    assert!(world.connections_of("globex/alice").await.is_empty());
}

async fn a7_an_application_with_another_prefix_or_store_knows_nothing_of_it<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    let callback = world.until_callback(&browser, Some("/done")).await;
    let elsewhere = Setup::over(Stores::new(kind).await);
    let (address, _running) = world.instance_over::<F>(&elsewhere);
    let answer = world.deliver(&browser.moved(address), &callback).await;
    answer.assert_page(410);
    assert_eq!(world.token_requests(), 0, "no code goes out");
    assert_eq!(world.deliver(&browser, &callback).await.location(), "/done");
}

/// What is in a cookie and in a store is the same in both frameworks.
async fn x28_another_instance_in_another_framework_finishes<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    let callback = world.until_callback(&browser, Some("/done")).await;
    let (axum, _first) = world.another_instance::<Axum>();
    let (actix, _second) = world.another_instance::<Actix>();
    let elsewhere = browser.moved(axum);
    assert_eq!(world.deliver(&elsewhere, &callback).await.location(), "/done");
    // The reload, at a third one.
    assert_eq!(world.deliver(&elsewhere.moved(actix), &callback).await.location(), "/done");
    assert_eq!(world.token_requests(), 1);
}

/// The value of a parameter, as it stands in the callback.
pub(crate) fn value(callback: &str, name: &str) -> String {
    let query = callback.split_once('?').unwrap().1;
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(known, _)| *known == name).unwrap_or_else(|| panic!("no {name} in {callback}")).1.to_owned()
}

/// The callback with another value, which is put there as it is.
pub(crate) fn callback_with(callback: &str, name: &str, new: &str) -> String {
    let old = value(callback, name);
    callback.replace(&format!("{name}={old}"), &format!("{name}={new}"))
}

/// A browser that lost its cookies, but for those of the application.
pub(crate) fn without_flow_cookies(browser: &Browser) {
    let kept: Vec<_> =
        browser.jar().cookies().iter().filter(|cookie| !cookie.name.contains("authflow")).cloned().collect();
    browser.jar().clear();
    for cookie in kept {
        browser.jar().put(cookie);
    }
}
