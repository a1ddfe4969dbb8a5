//! Two processes share a store: what its user has done in one is believed by the other, as soon as it may know.

#![allow(clippy::unwrap_used, reason = "tests")]

mod connections_support;

use std::sync::atomic::Ordering;

use authflow_core::quirks::RefreshInput;
use authflow_core::{ConnectionKey, Connections, ErrorKind, Health, HttpRequest};
use connections_support::{Rotates, SECOND, World, ask, user};

const INVALID_TOKEN: &str = "Bearer error=\"invalid_token\"";

fn get() -> HttpRequest {
    HttpRequest::get("https://api.example/me".parse().unwrap())
}

/// A connection that is over, and known to be by the first of two processes.
async fn ended() -> (World, Connections, Connections, ConnectionKey) {
    let (world, one, key) = World::connected(Rotates::Strictly).await;
    world.server.end_all();
    world.expire();
    assert_eq!(one.token(&key).await.unwrap_err().kind(), ErrorKind::NeedsReconnect);
    let other = world.process();
    (world, one, other, key)
}

#[tokio::test]
async fn who_has_connected_again_elsewhere_is_not_sent_to_connect_a_second_later() {
    let (world, one, other, key) = ended().await;
    assert_eq!(world.connect(&other).await, key);
    world.clock.advance(SECOND);
    assert_eq!(one.token(&key).await.unwrap().expose(), other.token(&key).await.unwrap().expose());
}

#[tokio::test]
async fn what_a_list_shows_is_what_is_used_next() {
    let (world, one, other, key) = ended().await;
    assert_eq!(world.connect(&other).await, key);
    assert_eq!(one.list(&user()).await.unwrap().connections[0].health, Health::Good);
    assert_eq!(one.token(&key).await.unwrap().expose(), other.token(&key).await.unwrap().expose());

    // There was none, a moment ago.
    one.disconnect(&key).await.unwrap();
    world.clock.advance(30 * SECOND);
    assert_eq!(other.token(&key).await.unwrap_err().kind(), ErrorKind::NotConnected);
    assert_eq!(world.connect(&one).await, key);
    assert_eq!(other.list(&user()).await.unwrap().connections.len(), 1);
    assert_eq!(other.token(&key).await.unwrap().expose(), one.token(&key).await.unwrap().expose());

    // Another token is good, so that the first one is served until the list shows it.
    assert_eq!(world.connect(&one).await, key);
    let before = other.token(&key).await.unwrap();
    assert_ne!(before.expose(), one.token(&key).await.unwrap().expose());
    other.list(&user()).await.unwrap();
    assert_eq!(other.token(&key).await.unwrap().expose(), one.token(&key).await.unwrap().expose());
}

/// Whoever asks for what is over asks the store once a second, and the provider not at all.
#[tokio::test]
async fn a_connection_that_is_over_costs_a_look_a_second() {
    let (world, one, _, key) = ended().await;
    let (loads, refreshes) = (world.store.count("load"), world.server.refreshes());
    for _ in 0..100 {
        assert_eq!(one.token(&key).await.unwrap_err().kind(), ErrorKind::NeedsReconnect);
        world.clock.advance(SECOND / 10);
    }
    let asked = world.store.count("load") - loads;
    assert!((8..=10).contains(&asked), "{asked}");
    assert_eq!(world.server.refreshes(), refreshes);
}

/// The store reads, and does not write that the connection is over: the refresh token that was refused is not sent again
/// each second.
#[tokio::test]
async fn f14_what_the_store_did_not_take_of_an_end_is_known_for_as_long_as_a_token_would_be() {
    let (world, one, key) = World::connected(Rotates::Strictly).await;
    world.server.end_all();
    world.expire();
    world.store.failing_saves.store(usize::MAX, Ordering::SeqCst);
    assert_eq!(one.token(&key).await.unwrap_err().kind(), ErrorKind::NeedsReconnect);
    let sent = world.server.refreshes();
    for _ in 0..14 {
        world.clock.advance(2 * SECOND);
        let asked = ask(&one, &key);
        world.clock.settle().await;
        assert!(asked.is_finished(), "the provider is asked again");
        assert_eq!(asked.await.unwrap().unwrap_err().kind(), ErrorKind::NeedsReconnect);
    }
    assert_eq!(world.server.refreshes(), sent);
    world.clock.advance(2 * SECOND);
    let asked = ask(&one, &key);
    world.clock.drive(asked).await.unwrap().unwrap_err();
    assert_eq!(world.server.refreshes(), sent + 1, "the store may have lost what it was told by others");
    // What the user does about it is seen all the same.
    world.store.failing_saves.store(0, Ordering::SeqCst);
    world.connect(&world.process()).await;
    world.clock.advance(SECOND);
    one.token(&key).await.unwrap();
}

/// Nothing is there to refresh with, and the user has connected again elsewhere, or here while the request was under way.
#[tokio::test]
async fn f22_a_refused_token_that_cannot_be_refreshed_gives_way_to_a_newer_one() {
    let mut world = World::new(Rotates::Strictly);
    world.quirks.refresh_policy.input = RefreshInput::None;
    let (one, other) = (world.process(), world.process());
    let key = world.connect(&one).await;
    let first = one.token(&key).await.unwrap();
    world.clock.advance(SECOND);
    assert_eq!(world.connect(&other).await, key);
    world.server.api_answers(401, INVALID_TOKEN);
    assert_eq!(one.send(&key, get()).await.unwrap().status, 200);
    let second = other.token(&key).await.unwrap();
    assert_eq!(world.server.api(), [first.expose(), second.expose()]);

    let late = one.token_refused(&first).await.unwrap().unwrap();
    assert_eq!(late.expose(), second.expose());
    // A store that cannot be asked makes no error of what is an answer.
    world.clock.advance(2 * SECOND);
    world.store.down(true);
    world.server.api_answers(401, INVALID_TOKEN);
    assert_eq!(one.send(&key, get()).await.unwrap().status, 401);
}
