//! X2: a caller goes away at any point. Each future is dropped after each number of polls, up to the one that makes it ready.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod connections_support;

use std::pin::pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use authflow_core::{AuthorizationResponse, Binding, ConnectionKey, Connections, ErrorKind, HttpRequest};
use connections_support::{Rotates, World, ask};

/// Polls `work` so often, or until it is ready, and drops it then. Between two polls everything else takes one step.
async fn polled<T>(work: impl Future<Output = T>, polls: usize) -> Option<T> {
    let mut work = pin!(work);
    for _ in 0..polls {
        if let Poll::Ready(done) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return Some(done);
        }
        tokio::task::yield_now().await;
    }
    None
}

/// One connection, whose access token AT-1 is over, and a store that takes its time.
async fn expired() -> (World, Connections, ConnectionKey) {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.expire();
    world.store.is_slow.store(true, Ordering::SeqCst);
    (world, connections, key)
}

/// Counts up until `is_done` says so: then each number of polls was tried.
async fn at_every_poll(is_done: impl AsyncFn(usize) -> bool) {
    let mut polls = 0;
    while !is_done(polls).await {
        polls += 1;
        assert!(polls < 1000, "it is never ready");
    }
    assert!(polls > 2, "it was dropped in the middle too: {polls}");
}

#[tokio::test]
async fn f3_x2_a_caller_that_goes_away_loses_nothing() {
    at_every_poll(async |polls| {
        let (world, connections, key) = expired().await;
        let token = polled(connections.token(&key), polls).await;
        // Whoever asks meanwhile waits for the same refresh.
        let waits = ask(&connections, &key);
        world.clock.settle().await;
        assert_eq!(waits.await.unwrap().unwrap(), "AT-2", "{polls} polls");
        assert_eq!(world.server.refreshes(), 1, "{polls} polls");
        assert_eq!(world.process().token(&key).await.unwrap().expose(), "AT-2", "it is in the store");
        token.is_some_and(|token| token.unwrap().expose() == "AT-2")
    })
    .await;
}

/// Nobody else asks: what was begun is brought to its end all the same.
#[tokio::test]
async fn i1_x2_a_refresh_that_nobody_waits_for_is_saved() {
    at_every_poll(async |polls| {
        let (world, connections, key) = expired().await;
        let token = polled(connections.token(&key), polls).await;
        world.clock.settle().await;
        assert_eq!(world.server.refreshes(), usize::from(polls > 0), "{polls} polls");
        let record = world.store.inner_record(&key).await.unwrap();
        assert_eq!(record.version.counter(), if polls > 0 { 2 } else { 1 }, "{polls} polls");
        assert_eq!((record.mark, record.lease), (None, None), "{polls} polls");
        token.is_some()
    })
    .await;
}

#[tokio::test]
async fn i1_x2_a_completion_whose_caller_goes_away_is_brought_to_its_end() {
    at_every_poll(async |polls| {
        let world = World::new(Rotates::Strictly);
        let connections = world.process();
        let binding = Binding::user("tenant", "user-42");
        let query = world.callback(&connections, &binding).await;
        let response = AuthorizationResponse::from_query(&query).unwrap();
        world.store.is_slow.store(true, Ordering::SeqCst);
        let complete = connections.complete("p", &response, &binding).into_future();
        let completed = polled(complete, polls).await;
        world.clock.settle().await;
        let key = ConnectionKey::new(&connections_support::user(), "p");
        let token = ask(&world.process(), &key).await.unwrap();
        if polls == 0 {
            assert_eq!(token.unwrap_err().kind(), ErrorKind::NotConnected);
            assert_eq!(world.server.exchanges(), 0);
        } else {
            assert_eq!(token.unwrap(), "AT-1", "{polls} polls");
            assert_eq!((world.server.exchanges(), world.server.revoked().len()), (1, 0), "{polls} polls");
        }
        assert_eq!(connections.drain(connections_support::SECOND).await.unfinished, 0);
        completed.is_some_and(|completed| completed.unwrap().key == key)
    })
    .await;
}

#[tokio::test]
async fn i6_x2_a_disconnect_whose_caller_goes_away_is_brought_to_its_end() {
    at_every_poll(async |polls| {
        let (world, connections, key) = expired().await;
        let disconnected = polled(connections.disconnect(&key), polls).await;
        world.clock.settle().await;
        let is_there = world.store.inner_record(&key).await.is_some();
        assert_eq!(is_there, polls == 0, "{polls} polls");
        assert_eq!(world.server.revoked().len(), usize::from(polls > 0), "{polls} polls");
        if polls > 0 {
            assert_eq!(connections.token(&key).await.unwrap_err().kind(), ErrorKind::NotConnected);
        }
        disconnected.is_some_and(|disconnected| disconnected.unwrap().removal.is_ok())
    })
    .await;
}

/// A request is the caller's own, and is not sent for nobody; the refresh that it began is everybody's.
#[tokio::test]
async fn i1_x2_a_request_whose_caller_goes_away_loses_no_refresh() {
    for is_refused in [false, true] {
        at_every_poll(async |polls| {
            let (world, connections, key) = if is_refused {
                let connected = World::connected(Rotates::Strictly).await;
                connected.0.server.api_answers(401, "");
                connected.0.store.is_slow.store(true, Ordering::SeqCst);
                connected
            } else {
                expired().await
            };
            let request = HttpRequest::get("https://api.example/me".parse().unwrap());
            let sent = polled(connections.send(&key, request).into_future(), polls).await;
            let refused = world.server.api().len();
            world.clock.settle().await;
            assert_eq!(world.server.api().len(), refused, "{polls} polls: nothing is sent for nobody");
            let was_begun = if is_refused { refused > 0 } else { polls > 0 };
            assert_eq!(world.server.refreshes(), usize::from(was_begun), "{polls} polls");
            let counter = world.store.inner_record(&key).await.unwrap().version.counter();
            assert_eq!(counter, if was_begun { 2 } else { 1 }, "{polls} polls");
            let token = ask(&connections, &key).await.unwrap().unwrap();
            assert_eq!(token, if was_begun || !is_refused { "AT-2" } else { "AT-1" }, "{polls} polls");
            sent.is_some_and(|sent| sent.unwrap().status.as_u16() == 200)
        })
        .await;
    }
}
