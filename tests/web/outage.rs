//! T-A4 and X26: what cannot be told is never taken for a no, and a callback works again later.

use std::time::Duration;

use authflow_test_servers::{Kind as ServerKind, Server};
use authflow_testkit::{Endpoint, Fault, RetryAfter};

use crate::framework::{Actix, Axum, Framework};
use crate::jar::From;
use crate::stores::{Kind, Stores};
use crate::world::{EXAMPLE, Setup, World};

judged! {
    memory:
        t_a4_a_session_that_cannot_be_read_is_no_user;
    every_store:
        x13_a_provider_that_fails_ends_the_flow_with_a_page,
        x25_a_browser_that_goes_away_loses_nothing,
        disconnect_says_when_the_provider_did_not_answer;
}

async fn t_a4_a_session_that_cannot_be_read_is_no_user<F: Framework>(kind: Kind) {
    for sign_in in [false, true] {
        let setup = Setup::new(kind).await;
        let world: World<F> = if sign_in { setup.offering_sign_in() } else { setup }.start().await;
        let browser = world.browser_of("alice");
        world.connect(&browser).await;
        let callback = world.until_callback(&browser, Some("/done")).await;
        world.application.break_sessions(true);
        for path in ["/auth", "/auth/example/connect", "/me", "/maybe", "/whoami", &callback] {
            let answer = browser.get(path).send().await;
            assert!(answer.status >= 500, "{path}: {answer:?}");
            answer.assert_lacks("the table of sessions");
        }
        let answer = browser.post("/auth/example/disconnect", &[]).send().await;
        assert!(answer.status >= 500, "{answer:?}");
        assert_eq!(world.token_requests(), 1);
        world.application.break_sessions(false);
        assert_eq!(world.connections_of("alice").await, [EXAMPLE]);
        // The flow is as it was.
        assert_eq!(world.deliver(&browser, &callback).await.location(), "/done");
    }
}

async fn x13_a_provider_that_fails_ends_the_flow_with_a_page<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    let faults = [
        Fault::ServerError(RetryAfter::Absent),
        Fault::Unavailable(RetryAfter::Seconds(5)),
        Fault::ResetBeforeResponse,
        Fault::InvalidJson,
        Fault::HostileDescription,
        Fault::MissingAccessToken,
    ];
    for fault in faults {
        world.example.fault_next(Endpoint::Token, fault.clone());
        let before = world.token_requests();
        let callback = world.until_callback(&browser, Some("/done")).await;
        let answer = world.deliver(&browser, &callback).await;
        assert_eq!(world.token_requests(), before + 1, "{fault}");
        let location = answer.location().to_owned();
        assert!(location.starts_with(&world.path(EXAMPLE, "failed")), "{fault}: {location}");
        let page = browser.get(&location).send().await;
        page.assert_page(page.status).assert_lacks("<script").assert_lacks("invalid_request");
        // The code is not sent again by a reload.
        world.deliver(&browser, &callback).await.assert_page(410);
        assert_eq!(world.token_requests(), before + 1, "{fault}");
        assert!(world.connections_of("alice").await.is_empty());
    }
}

/// The browser closes the connection while the code is on its way.
async fn x25_a_browser_that_goes_away_loses_nothing<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    let callback = world.until_callback(&browser, Some("/done")).await;
    world.example.fault_next(Endpoint::Token, Fault::SlowHeaders(Duration::from_millis(200)));
    {
        let visit = std::pin::pin!(world.deliver(&browser, &callback));
        let sent =
            std::pin::pin!(world.example.ledger().wait_for(|entry| entry.endpoint() == Endpoint::Token));
        let answered = tokio::select! {
            biased;
            _ = sent => false,
            _ = visit => true,
        };
        assert!(!answered, "the provider is slower");
    }
    while world.application.seen().is_empty() {
        crate::a_moment().await;
    }
    // Once more, as a person does who saw nothing.
    let again = world.deliver(&browser, &callback).await;
    again.assert_page(410);
    assert_eq!(world.token_requests(), 1, "the code went out once");
    assert_eq!(world.application.seen().len(), 1, "the hook hears of it, and once");
    assert_eq!(world.connections_of("alice").await, [EXAMPLE]);
    assert_eq!(browser.get("/me").send().await.status, 200);
}

async fn disconnect_says_when_the_provider_did_not_answer<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    world.connect(&browser).await;
    world.example.fault_all(Endpoint::Revocation, Fault::ServerError(RetryAfter::Absent));
    let answer = browser.post("/auth/example/disconnect", &[]).send().await;
    assert!(answer.status < 500, "{answer:?}");
    let page = if answer.status == 303 { browser.get(answer.location()).send().await } else { answer };
    page.assert_page(page.status);
    assert!(world.connections_of("alice").await.is_empty(), "it is forgotten here all the same");
    assert_eq!(browser.get("/maybe").send().await.body, "no");
}

/// The store is killed, and comes back with what it had.
async fn a_store_that_is_down_is_no_answer<F: Framework>() {
    let mut server = Server::start(ServerKind::Redis);
    let stores = Stores::on(&server).await;
    let world: World<F> = Setup::over(stores).start().await;
    let browser = world.browser_of("alice");
    world.connect(&browser).await;
    let callback = world.until_callback(&browser, Some("/done")).await;
    let stranger = world.browser_of("bob");

    server.kill();
    for path in ["/me", "/maybe"] {
        let answer = stranger.get(path).by_script().send().await;
        assert_eq!(answer.status, 503, "never `not connected`: {path}: {answer:?}");
        let navigated = stranger.get(path).send().await;
        assert_eq!(navigated.status, 503, "nobody is sent to connect: {navigated:?}");
    }
    let begun = browser.get("/auth/example/connect").send().await;
    assert!(begun.status >= 500, "{begun:?}");
    let accounts = browser.get("/auth").send().await;
    accounts.assert_page(503).assert_lacks("/auth/example/disconnect");
    // The callback: a page at the same address, and the cookie is kept.
    let answer = world.deliver(&browser, &callback).await;
    answer.assert_page(503);
    assert_eq!(world.token_requests(), 1, "no code goes out that nobody could keep");

    server.restart();
    let last = loop {
        let answer = browser.get(&callback).from(From::CrossSite).send().await;
        if answer.status == 303 {
            break answer;
        }
        assert_eq!(answer.status, 503, "{answer:?}");
        crate::a_moment().await;
    };
    assert_eq!(last.location(), "/done");
    assert_eq!(world.token_requests(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn axum_t_a4_x26_a_store_that_is_down_is_no_answer() {
    crate::in_time(a_store_that_is_down_is_no_answer::<Axum>()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn actix_t_a4_x26_a_store_that_is_down_is_no_answer() {
    crate::in_time(a_store_that_is_down_is_no_answer::<Actix>()).await;
}
