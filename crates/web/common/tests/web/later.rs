//! Callbacks at which nobody is known at first: `form_post`, which another site posts, and sessions with `SameSite=Strict`.

use cookie::SameSite;

use crate::browser::{Answer, Browser, From};
use crate::world::{Setup, World};

/// Where a page that goes on by itself goes on to.
#[track_caller]
fn refresh(answer: &Answer) -> String {
    answer.refresh().expect("a page that goes on")
}

fn form_post() -> World {
    Setup::new().form_post().build()
}

#[tokio::test]
async fn b13_form_post_goes_on_when_the_lax_session_is_there() {
    let world = form_post();
    let browser = Browser::of("alice");
    let callback = world.until_callback(&browser, "alpha", "/done").await;
    let posted = world.deliver(&browser, &callback).await;
    let [waiting] = browser.waiting().try_into().unwrap();
    let id = waiting.name().strip_prefix("__Host-authflow-resume-").unwrap();
    assert_eq!(posted.location(), format!("/auth/alpha/callback?resume={id}"));
    assert_eq!(
        (waiting.same_site(), waiting.http_only(), waiting.path()),
        (Some(SameSite::Lax), Some(true), Some("/"))
    );
    assert_eq!((waiting.secure(), waiting.max_age().unwrap().whole_seconds()), (Some(true), 120));
    assert_eq!(world.token_requests(), 0);
    let answer = world.get(&browser, From::Foreign, posted.location()).await;
    assert_eq!(answer.location(), "/done");
    assert!(browser.waiting().is_empty());
    assert_eq!(world.connections("alice").await, ["alpha user-1"]);
    // The reload.
    assert_eq!(world.get(&browser, From::Own, posted.location()).await.location(), "/done");
    assert_eq!(world.token_requests(), 1);
}

#[tokio::test]
async fn a_strict_session_is_there_after_a_page_of_our_own() {
    let world = World::new();
    let browser = Browser::strict("alice");
    let callback = world.until_callback(&browser, "alpha", "/done").await;
    let bounced = world.deliver(&browser, &callback).await;
    let next = refresh(&bounced);
    assert!(next.starts_with("/auth/alpha/callback?resume=") && next.ends_with("&again=1"), "{next}");
    assert_eq!(world.get(&browser, From::Refresh, &next).await.location(), "/done");
    assert!(browser.waiting().is_empty());
}

#[tokio::test]
async fn form_post_with_a_strict_session() {
    let world = form_post();
    let browser = Browser::strict("alice");
    let callback = world.until_callback(&browser, "alpha", "/done").await;
    let posted = world.deliver(&browser, &callback).await;
    let bounced = world.get(&browser, From::Foreign, posted.location()).await;
    assert_eq!(browser.waiting().len(), 1);
    let next = refresh(&bounced);
    assert_eq!(world.get(&browser, From::Refresh, &next).await.location(), "/done");
    assert!(browser.waiting().is_empty());
}

/// Also after its end a callback finds the session that did not come along.
#[tokio::test]
async fn a9_the_reload_finds_the_session_that_comes_later() {
    for (world, browser) in
        [(World::new(), Browser::strict("alice")), (form_post(), Browser::strict("alice"))]
    {
        let callback = world.until_callback(&browser, "alpha", "/done").await;
        for round in 0..2 {
            let mut answer = world.deliver(&browser, &callback).await;
            if answer.status == 303 {
                let resume = answer.location().to_owned();
                answer = world.get(&browser, From::Foreign, &resume).await;
            }
            assert_eq!(
                world.get(&browser, From::Refresh, &refresh(&answer)).await.location(),
                "/done",
                "{round}"
            );
            assert!(browser.waiting().is_empty());
        }
        browser.forget("session");
        let mut answer = world.deliver(&browser, &callback).await;
        if answer.status == 303 {
            let resume = answer.location().to_owned();
            answer = world.get(&browser, From::Foreign, &resume).await;
        }
        let nobody = world.get(&browser, From::Refresh, &refresh(&answer)).await;
        assert_eq!(nobody.location(), "/auth", "no loop");
        assert_eq!(world.token_requests(), 1);
    }
}

#[tokio::test]
async fn a_session_that_has_ended_is_no_loop() {
    for world in [World::new(), form_post()] {
        let browser = Browser::of("alice");
        let callback = world.until_callback(&browser, "alpha", "").await;
        browser.forget("session");
        let mut answer = world.deliver(&browser, &callback).await;
        if answer.status == 303 {
            let resume = answer.location().to_owned();
            answer = world.get(&browser, From::Foreign, &resume).await;
        }
        let end = world.get(&browser, From::Refresh, &refresh(&answer)).await;
        world.assert_refused(&end, 401, 0);
        assert!(browser.waiting().is_empty());
        assert!(world.application.outcomes().is_empty());
        assert_eq!(world.states.len(), 1, "nothing was used up");
    }
}

#[tokio::test]
async fn a1_what_waits_is_of_its_browser_and_of_its_user() {
    let world = form_post();
    let browser = Browser::of("alice");
    let callback = world.until_callback(&browser, "alpha", "/done").await;
    let resume = world.deliver(&browser, &callback).await.location().to_owned();
    for other in [Browser::of("alice"), Browser::of("mallory")] {
        let answer = world.get(&other, From::Own, &resume).await;
        world.assert_refused(&answer, 400, 0);
        // With the response, and without the flow.
        other.put_back(browser.waiting().remove(0));
        let answer = world.get(&other, From::Own, &resume).await;
        world.assert_refused(&answer, 400, 0);
    }
    browser.plant("session", "mallory");
    let answer = world.get(&browser, From::Own, &resume).await;
    world.assert_refused(&answer, 403, 0);
    let elsewhere = resume.replace("/alpha/", "/beta/");
    browser.plant("session", "alice");
    let answer = world.get(&browser, From::Own, &elsewhere).await;
    world.assert_refused(&answer, 400, 0);
}

/// The response that waits is the one of this flow, in the mode that it came in.
#[tokio::test]
async fn a6_another_response_in_its_place_is_refused() {
    let world = form_post();
    let browser = Browser::of("alice");
    let first = world.until_callback(&browser, "alpha", "").await;
    let second = world.until_callback(&browser, "alpha", "").await;
    let resume = world.deliver(&browser, &first).await.location().to_owned();
    let [mut waiting] = browser.waiting().try_into().unwrap();
    let right = waiting.value().to_owned();
    let other = second.split_once('?').unwrap().1;
    for wrong in [format!("1f.{other}"), right.replacen("1f.", "1q.", 1), "1f.".to_owned(), "x".to_owned()] {
        let is_of_another_flow = !wrong.starts_with("1q.");
        waiting.set_value(wrong);
        browser.put_back(waiting.clone());
        let answer = world.get(&browser, From::Own, &resume).await;
        world.assert_refused(&answer, 400, 0);
        assert_eq!(browser.waiting().is_empty(), is_of_another_flow, "what is of no use is taken away");
    }
    waiting.set_value(right);
    browser.put_back(waiting);
    world.get(&browser, From::Own, &resume).await.location();
}

/// Other cookies of ours are not taken for a flow's, and so are not taken away.
#[tokio::test]
async fn a13_only_a_flow_is_resumed() {
    let world = World::new();
    let browser = Browser::of("alice");
    world.get(&browser, From::Own, "/auth").await.is_page(200);
    assert!(browser.cookie("__Host-authflow-form").is_some());
    let answer = world.get(&browser, From::Own, "/auth/alpha/callback?resume=form").await;
    world.assert_refused(&answer, 400, 0);
    assert!(browser.cookie("__Host-authflow-form").is_some());
}

#[tokio::test]
async fn what_waits_does_not_wait_for_long() {
    let world = form_post();
    let browser = Browser::of("alice");
    let callback = world.until_callback(&browser, "alpha", "").await;
    let resume = world.deliver(&browser, &callback).await.location().to_owned();
    world.advance(120);
    let answer = world.get(&browser, From::Own, &resume).await;
    world.assert_refused(&answer, 400, 0);
    assert!(answer.body.contains("That took too long"), "its own browser is told that it came too late");
    let other = world.get(&Browser::of("alice"), From::Own, &resume).await;
    world.assert_refused(&other, 400, 0);
    assert!(!other.body.contains("That took too long"));
}

/// One of them is not ours, and which one cannot be told.
#[tokio::test]
async fn a13_of_two_responses_that_wait_none_is_taken() {
    let world = form_post();
    let browser = Browser::of("alice");
    let callback = world.until_callback(&browser, "alpha", "").await;
    let resume = world.deliver(&browser, &callback).await.location().to_owned();
    let [waiting] = browser.waiting().try_into().unwrap();
    browser.plant("other", &format!("x; {}={}", waiting.name(), waiting.value()));
    let answer = world.get(&browser, From::Own, &resume).await;
    world.assert_refused(&answer, 400, 0);
    assert!(!answer.body.contains("That took too long"));
}

#[tokio::test]
async fn what_is_too_large_to_wait_is_said() {
    let world = form_post();
    let browser = Browser::of("alice");
    let callback = world.until_callback(&browser, "alpha", "").await;
    let large = |bytes: usize| format!("{callback}&x={}", "x".repeat(bytes));
    let answer = world.deliver(&browser, &large(3000)).await;
    assert_eq!(answer.location(), "/auth/alpha/failed?reason=too_large");
    assert!(browser.waiting().is_empty());
    assert_eq!(world.application.outcomes(), ["failed alpha invalid_response"]);
    assert_eq!(world.token_requests(), 0);
    world.get(&browser, From::Own, "/auth/alpha/failed?reason=too_large").await.is_page(200);
    let callback = world.until_callback(&browser, "alpha", "").await;
    let answer = world.deliver(&browser, &format!("{callback}&x={}", "x".repeat(2500))).await;
    assert!(answer.location().contains("resume="));
}

#[tokio::test]
async fn a_denial_waits_as_well() {
    let world = form_post();
    let browser = Browser::of("alice");
    let denied = world.until_denied(&browser, "alpha").await;
    let resume = world.deliver(&browser, &denied).await.location().to_owned();
    let answer = world.get(&browser, From::Foreign, &resume).await;
    assert_eq!(answer.location(), "/auth/alpha/denied");
    assert!(browser.waiting().is_empty());
    world.get(&browser, From::Own, &resume).await.is_page(410);
}

/// A parameter of that name that a provider sends beside a state is not ours.
#[tokio::test]
async fn b12_a_response_may_have_a_parameter_of_that_name() {
    let world = World::new();
    let browser = Browser::of("alice");
    let callback = world.until_callback(&browser, "alpha", "/done").await;
    assert_eq!(world.deliver(&browser, &format!("{callback}&resume=x")).await.location(), "/done");
}
