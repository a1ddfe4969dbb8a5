//! X26 and its like: what does not answer, and the hook that fails. A12: whom flows are counted for.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use authflow_core::{KeyRing, KeySource, async_trait};
use authflow_testkit::{Endpoint, Fault, RetryAfter};
use authflow_web::ClientAddress;

use crate::browser::{Browser, From};
use crate::stores::States;
use crate::world::{Setup, World, get};

#[tokio::test]
async fn x26_a_state_store_that_is_down_uses_nothing_up() {
    let world = World::new();
    let browser = Browser::of("alice");
    let callback = world.until_callback(&browser, "alpha", "/done").await;
    world.states.set_down(true);
    let answer = world.get(&browser, From::Own, "/auth/alpha/connect").await;
    world.assert_refused(&answer, 503, 0);
    assert!(answer.body.contains("href=\"\""), "a link that asks once more");
    let posted = world.post(&browser, From::Own, "/auth/alpha/connect", "").await;
    assert!(!posted.is_page(503).body.contains("href=\"\""), "which after a post asks for something else");
    assert_eq!(browser.flows().len(), 1);
    let answer = world.deliver(&browser, &callback).await;
    world.assert_refused(&answer, 503, 0);
    assert!(answer.headers.get("set-cookie").is_none(), "the cookie stays");
    assert!(world.application.outcomes().is_empty());
    assert_eq!(world.application.errors().len(), 3);
    world.states.set_down(false);
    assert_eq!(world.deliver(&browser, &callback).await.location(), "/done");
}

#[tokio::test]
async fn x26_a_token_store_that_is_down_is_no_empty_one() {
    let world = World::new();
    let browser = Browser::of("alice");
    world.connect(&browser, "alpha").await;
    let callback = world.until_callback(&browser, "beta", "/done").await;
    world.tokens.set_down(true);
    world.get(&browser, From::Own, "/auth").await.is_page(503);
    for form in ["", "account=user-1"] {
        world.post(&browser, From::Own, "/auth/alpha/disconnect", form).await.is_page(503);
    }
    assert_eq!(world.application.outcomes(), ["connected alpha", "disconnected alpha user-1 false"]);
    let answer = world.deliver(&browser, &callback).await;
    world.assert_refused(&answer, 503, 1);
    world.tokens.set_down(false);
    assert_eq!(world.deliver(&browser, &callback).await.location(), "/done");
    assert_eq!(
        world.connections("alice").await,
        ["beta user-1"],
        "the other one was removed as soon as it could be"
    );
}

#[tokio::test]
async fn x26_what_waits_goes_on_waiting() {
    let world = Setup::new().form_post().build();
    let browser = Browser::of("alice");
    let callback = world.until_callback(&browser, "alpha", "/done").await;
    let resume = world.deliver(&browser, &callback).await.location().to_owned();
    world.states.set_down(true);
    world.get(&browser, From::Own, &resume).await.is_page(503);
    world.states.set_down(false);
    assert_eq!(world.get(&browser, From::Own, &resume).await.location(), "/done");
}

#[tokio::test]
async fn x26_each_503_has_it_wait_for_two_minutes_more() {
    let world = Setup::new().form_post().build();
    let browser = Browser::of("alice");
    // A code would have ended before.
    let denied = world.until_denied(&browser, "alpha").await;
    let resume = world.deliver(&browser, &denied).await.location().to_owned();
    for (states, sessions) in [(true, false), (false, true), (true, false)] {
        world.states.set_down(states);
        world.application.sessions_fail.store(sessions, Ordering::SeqCst);
        world.advance(119);
        world.get(&browser, From::Own, &resume).await.is_page(503);
        assert_eq!(browser.waiting()[0].max_age().unwrap().whole_seconds(), 120);
    }
    world.states.set_down(false);
    world.advance(119);
    assert_eq!(world.get(&browser, From::Own, &resume).await.location(), "/auth/alpha/denied");
    assert!(browser.waiting().is_empty());
}

#[tokio::test]
async fn x26_a_session_that_cannot_be_read_is_not_nobody() {
    let world = World::new();
    let browser = Browser::of("alice");
    world.connect(&browser, "alpha").await;
    let callback = world.until_callback(&browser, "beta", "/done").await;
    world.application.sessions_fail.store(true, Ordering::SeqCst);
    for path in ["/auth", "/auth/alpha/connect"] {
        let answer = world.get(&browser, From::Own, path).await;
        answer.is_page(503);
        assert!(!answer.body.contains("planted-session-failure"));
    }
    world.post(&browser, From::Own, "/auth/alpha/disconnect", "").await.is_page(503);
    let answer = world.deliver(&browser, &callback).await;
    world.assert_refused(&answer, 503, 1);
    assert!(browser.waiting().is_empty());
    assert!(world.application.errors().concat().contains("planted-session-failure"));
    world.application.sessions_fail.store(false, Ordering::SeqCst);
    assert_eq!(world.deliver(&browser, &callback).await.location(), "/done");
    assert_eq!(world.connections("alice").await, ["alpha user-1", "beta user-1"]);
}

/// Nobody is asked to wait for what no waiting helps. The callback works once it is set right, all the same.
#[tokio::test]
async fn who_never_knows_who_is_signed_in_is_an_application_that_is_broken() {
    let world = World::new();
    let browser = Browser::of("alice");
    let done = world.until_callback(&browser, "alpha", "/done").await;
    world.deliver(&browser, &done).await.location();
    let callback = world.until_callback(&browser, "beta", "/done").await;
    world.application.sessions_are_missing.store(true, Ordering::SeqCst);
    for path in ["/auth", "/auth/alpha/connect"] {
        let answer = world.get(&browser, From::Own, path).await;
        assert!(!answer.is_page(500).body.contains("planted-session-mistake"));
        assert!(answer.headers.get("retry-after").is_none());
    }
    world.post(&browser, From::Own, "/auth/alpha/disconnect", "").await.is_page(500);
    world.deliver(&browser, &done).await.is_page(500);
    world.assert_refused(&world.deliver(&browser, &callback).await, 500, 1);
    assert!(world.application.errors().concat().contains("planted-session-mistake"));
    world.application.sessions_are_missing.store(false, Ordering::SeqCst);
    assert_eq!(world.deliver(&browser, &callback).await.location(), "/done");
}

/// Once the state is used up, the same callback cannot work any more: it is a failure, and says so.
#[tokio::test]
async fn x13_a_provider_that_is_down_at_the_exchange() {
    let world = World::new();
    let browser = Browser::of("alice");
    let callback = world.until_callback(&browser, "alpha", "/done").await;
    world.server.fault_next(Endpoint::Token, Fault::Unavailable(RetryAfter::Seconds(7)));
    let answer = world.deliver(&browser, &callback).await;
    assert_eq!(answer.location(), "/auth/alpha/failed?reason=unavailable&return_to=/done");
    assert_eq!(world.application.outcomes(), ["failed alpha unavailable"]);
    world.deliver(&browser, &callback).await.is_page(410);
    assert_eq!(world.token_requests(), 1);
}

#[tokio::test]
async fn x33_a_hook_that_fails_is_an_error_page() {
    let world = World::new();
    let browser = Browser::of("alice");
    let callback = world.until_callback(&browser, "alpha", "/done").await;
    world.application.after_fails.store(true, Ordering::SeqCst);
    let answer = world.deliver(&browser, &callback).await;
    answer.is_page(500);
    assert!(!answer.body.contains("planted-after-failure"));
    assert!(browser.cookie("planted").is_none(), "nothing of its answer goes out");
    assert!(world.application.errors().concat().contains("planted-after-failure"));
    world.deliver(&browser, &callback).await.is_page(410);
    assert_eq!(world.connections("alice").await, ["alpha user-1"]);
    let answer = world.post(&browser, From::Own, "/auth/alpha/disconnect", "").await;
    answer.is_page(500);
    assert!(browser.cookie("planted").is_none());
    assert!(world.connections("alice").await.is_empty());
}

/// All is done then: nobody is asked to reload, which would find a flow that has ended.
#[tokio::test]
async fn x33_a_hook_that_panics_when_all_is_done_is_one_that_fails() {
    let world = World::new();
    let browser = Browser::of("alice");
    let callback = world.until_callback(&browser, "alpha", "/done").await;
    world.application.after_panics.store(true, Ordering::SeqCst);
    let answer = world.deliver(&browser, &callback).await;
    assert!(!answer.is_page(500).body.contains("planted-after-panic"));
    assert_eq!(world.application.outcomes(), ["connected alpha"]);
    assert_eq!(world.connections("alice").await, ["alpha user-1"]);
    world.deliver(&browser, &callback).await.is_page(410);
    assert!(world.application.errors().concat().contains("`Application::after` panicked"));
    let told = world.application.errors().len();

    let answer = world.post(&browser, From::Own, "/auth/alpha/disconnect", "").await;
    answer.is_page(500);
    assert!(world.connections("alice").await.is_empty());
    assert_eq!(world.application.outcomes(), ["connected alpha", "disconnected alpha user-1 true"]);
    assert!(world.application.errors()[told..].concat().contains("`Application::after` panicked"));
    assert!(browser.cookie("planted").is_none(), "nothing of its answers goes out");

    let denied = world.until_denied(&browser, "beta").await;
    world.deliver(&browser, &denied).await.is_page(500);
    world.deliver(&browser, &denied).await.is_page(410);
    world.application.after_panics.store(false, Ordering::SeqCst);
    world.connect(&browser, "alpha").await.location();
}

#[derive(Debug)]
struct PanickingKeys;

#[async_trait]
impl KeySource for PanickingKeys {
    async fn key_ring(&self) -> authflow_core::Result<KeyRing> {
        panic!("planted")
    }
}

/// Where something panicked is not known: nobody is asked to reload what may be used up.
#[tokio::test]
async fn x33_a_key_source_that_panics_ends_the_flow() {
    let world = Setup::new().build_with(|builder| builder.keys(PanickingKeys), |builder| builder);
    let browser = Browser::of("alice");
    let callback = world.until_callback(&browser, "alpha", "/done").await;
    let answer = world.deliver(&browser, &callback).await;
    assert_eq!(answer.location(), "/auth/alpha/failed?reason=other&return_to=/done");
    assert_eq!(world.application.outcomes(), ["failed alpha interrupted"]);
    world.deliver(&browser, &callback).await.is_page(410);
}

#[tokio::test]
async fn x33_a_hook_that_panics_ends_the_flow_and_no_other() {
    for hook in ["check_state", "token_response"] {
        let world = World::new();
        let (alice, bob) = (Browser::of("alice"), Browser::of("bob"));
        let callback = world.until_callback(&alice, "alpha", "/done").await;
        let others = world.until_callback(&bob, "alpha", "/done").await;
        world.states.panic_at(hook);
        let answer = world.deliver(&alice, &callback).await;
        assert!(world.states.has_panicked());
        assert_eq!(answer.location(), "/auth/alpha/failed?reason=other&return_to=/done", "{hook}");
        assert_eq!(world.application.outcomes(), ["failed alpha interrupted"], "{hook}");
        world.deliver(&alice, &callback).await.is_page(410);
        assert_eq!(world.deliver(&bob, &others).await.location(), "/done", "{hook}");
        world.connect(&alice, "alpha").await.location();
        assert_eq!(world.connections("alice").await, ["alpha user-1"], "{hook}");
    }
}

/// The code is used up, so what it gave is kept.
#[tokio::test]
async fn x33_a_hook_that_panics_after_the_exchange_leaves_a_connection() {
    let world = World::new();
    let browser = Browser::of("alice");
    let callback = world.until_callback(&browser, "alpha", "/done").await;
    world.states.panic_at("after_exchange");
    assert_eq!(world.deliver(&browser, &callback).await.location(), "/done");
    assert!(world.states.has_panicked());
    assert_eq!(world.connections("alice").await, ["alpha ?"]);
}

/// A begin runs in the task of its request, which a framework gives each connection for itself.
#[tokio::test]
async fn x33_a_hook_that_panics_at_the_begin_stays_in_its_request() {
    let world = Arc::new(World::new());
    world.states.panic_at("store_state");
    let begins = Arc::clone(&world);
    let request = tokio::spawn(async move {
        begins.get(&Browser::of("alice"), From::Own, "/auth/alpha/connect").await;
    });
    assert!(request.await.unwrap_err().is_panic());
    assert!(world.states.has_panicked());
    world.connect(&Browser::of("alice"), "alpha").await.location();
    assert_eq!(world.connections("alice").await, ["alpha user-1"]);
}

/// Whether the flow was remembered is not known: the next one is another.
#[tokio::test]
async fn x26_a_begin_whose_answer_was_lost_works_later() {
    let world = World::new();
    let browser = Browser::of("alice");
    world.states.lose_answers(true);
    world.get(&browser, From::Own, "/auth/alpha/connect").await.is_page(503);
    assert!(browser.flows().is_empty());
    world.states.lose_answers(false);
    world.connect(&browser, "alpha").await.location();
}

/// The mark remembers where the application's own answer led; only a path of this site is remembered.
#[tokio::test]
async fn a9_the_applications_own_answer_is_the_one_that_a_reload_gets() {
    for (elsewhere, again) in [("/welcome", "/welcome"), ("https://other.example/", "/done")] {
        let world = World::new();
        *world.application.elsewhere.lock().unwrap() = Some(elsewhere);
        let browser = Browser::of("alice");
        let callback = world.until_callback(&browser, "alpha", "/done").await;
        assert_eq!(world.deliver(&browser, &callback).await.location(), elsewhere);
        assert_eq!(world.deliver(&browser, &callback).await.location(), again);
    }
}

#[tokio::test]
async fn a12_flows_of_nobody_are_counted_by_address() {
    let mut setup = Setup::new().offers_sign_in();
    setup.states = States::with_capacity(10_000, 3);
    let world = setup.build();
    let begin = async |address: &str, browser: &Browser| {
        let mut request = get("/auth/alpha/connect?return_to=/done");
        request.extensions_mut().insert(ClientAddress(address.parse().unwrap()));
        let url = world.send(browser, From::Own, request).await.location().to_owned();
        world.approve(&url).await
    };
    let quiet = Browser::default();
    let callback = begin("2001:db8:0:1::1", &quiet).await;
    for number in 0..20 {
        begin(&format!("2001:db8:0:2::{number}"), &Browser::default()).await;
        begin("192.0.2.1", &Browser::default()).await;
    }
    assert_eq!(world.states.len(), 3 + 3 + 1);
    assert_eq!(world.arrive(&quiet, &callback).await.place, "/done");
    // Whoever is signed in is counted as who that is.
    let signed_in = Browser::of("alice");
    let callback = begin("192.0.2.1", &signed_in).await;
    for _ in 0..5 {
        begin("192.0.2.1", &Browser::default()).await;
    }
    assert_eq!(world.deliver(&signed_in, &callback).await.location(), "/done");
}

/// RFC 6749 §4.1.2.1: two of the codes say that the provider is at fault, and for now.
#[tokio::test]
async fn a_provider_that_is_busy_is_tried_again_later() {
    let world = World::new();
    let browser = Browser::of("alice");
    let cases = [
        ("server_error", "unavailable"),
        ("temporarily_unavailable", "unavailable"),
        ("invalid_scope", "configuration"),
        ("unknown_code", "other"),
    ];
    for (code, reason) in cases {
        let denied = world.until_denied(&browser, "alpha").await;
        assert!(denied.contains("error=access_denied"), "{denied}");
        let callback = denied.replace("error=access_denied", &format!("error={code}"));
        let answer = world.deliver(&browser, &callback).await;
        assert_eq!(answer.location(), format!("/auth/alpha/failed?reason={reason}"), "{code}");
    }
}
