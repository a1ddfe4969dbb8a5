//! Faults while a user connects, disconnects or looks, and when a program ends.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod connections_support;

use std::iter::successors;
use std::sync::atomic::Ordering;
use std::time::Duration;

use authflow_core::{
    AuthorizationResponse, Binding, Clock as _, ConnectionKey, Error, ErrorKind, EventKind, Health, KeyRing,
    KeySource, Next, ReconnectReason, Recovery, Removal, Result, async_trait,
};
use connections_support::{Fault, Rotates, SECOND, World, ask, callback, user};

fn binding() -> Binding {
    Binding::user("tenant", "user-42")
}

#[derive(Debug)]
struct NoKeys;

#[async_trait]
impl KeySource for NoKeys {
    async fn key_ring(&self) -> Result<KeyRing> {
        Err(Error::new(ErrorKind::Network, "the key service is down"))
    }
}

#[tokio::test]
async fn x21_x26_no_code_is_sent_while_there_is_no_key_and_the_callback_works_later() {
    let world = World::new(Rotates::Strictly);
    let without = world.builder().keys(NoKeys).build().unwrap();
    let query = world.callback(&without, &binding()).await;
    let response = AuthorizationResponse::from_query(&query).unwrap();
    let error = without.complete("p", &response, &binding()).await.unwrap_err();
    assert_eq!((error.kind(), world.server.exchanges()), (ErrorKind::KeysUnavailable, 0));
    world.process().complete("p", &response, &binding()).await.unwrap();
}

#[derive(Debug)]
struct PanickingKeys;

#[async_trait]
impl KeySource for PanickingKeys {
    async fn key_ring(&self) -> Result<KeyRing> {
        panic!("planted")
    }
}

/// Where it ended is not known, so the same callback is not asked for again. Without a task of its own it ends the same.
#[tokio::test]
async fn x33_a_completion_that_panics_is_begun_again() {
    let world = World::new(Rotates::Strictly);
    let connections = world.builder().keys(PanickingKeys).build().unwrap();
    let query = world.callback(&connections, &binding()).await;
    let response = AuthorizationResponse::from_query(&query).unwrap();
    let complete = || connections.complete("p", &response, &binding());
    for complete in [complete(), complete().in_place()] {
        let error = complete.await.unwrap_err();
        assert_eq!((error.kind(), error.recovery()), (ErrorKind::Interrupted, Recovery::Reconnect));
    }
    assert_eq!(connections.drain(SECOND).await.unfinished, 0);
}

#[tokio::test]
async fn x35_a_drain_lets_no_code_be_sent() {
    let world = World::new(Rotates::Strictly);
    let connections = world.process();
    let query = world.callback(&connections, &binding()).await;
    let response = AuthorizationResponse::from_query(&query).unwrap();
    assert_eq!(connections.drain(SECOND).await.unfinished, 0);
    let error = connections.complete("p", &response, &binding()).await.unwrap_err();
    assert_eq!((error.kind(), world.server.exchanges()), (ErrorKind::Interrupted, 0));
}

#[tokio::test]
async fn x35_a_drain_begins_no_look_into_the_store() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    connections.drain(SECOND).await;
    world.expire();
    let loads = world.store.count("load");
    assert_eq!(connections.token(&key).await.unwrap_err().kind(), ErrorKind::Interrupted);
    assert_eq!(world.store.count("load"), loads);
}

/// Who waits for another process's refresh would begin one of its own after it.
#[tokio::test]
async fn x35_a_drain_ends_the_wait_for_another_process() {
    let (world, one, key) = World::connected(Rotates::Strictly).await;
    let other = world.process();
    world.expire();
    world.server.hold();
    let ask = |connections: &authflow_core::Connections| {
        let (connections, key) = (connections.clone(), key.clone());
        tokio::spawn(async move { connections.token(&key).await })
    };
    let _first = ask(&one);
    world.until(|| world.server.refreshes() == 1).await;
    let second = ask(&other);
    world.clock.settle().await;
    let drained = world.clock.drive(async move { other.drain(30 * SECOND).await }).await;
    assert_eq!(drained.unfinished, 0);
    assert_eq!(second.await.unwrap().unwrap_err().kind(), ErrorKind::Interrupted);
}

#[tokio::test]
async fn a_flow_that_nobody_owns_gives_its_tokens_back() {
    let world = World::new(Rotates::Strictly);
    let connections = world.process();
    let begun = connections.begin_in_browser("p").unwrap().await.unwrap();
    let query = callback(begun.url());
    let response = AuthorizationResponse::from_query(&query).unwrap();
    let error = connections.complete("p", &response, begun.binding()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert_eq!(world.server.revoked(), ["RT-1"]);
}

/// What is there is the connect before, and not this one.
#[tokio::test]
async fn x8_a_put_that_was_not_done_is_done_again() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.store.lost_puts.store(1, Ordering::SeqCst);
    let query = world.callback(&connections, &binding()).await;
    let again = connections.clone();
    let connected = world.clock.drive(async move {
        let response = AuthorizationResponse::from_query(&query).unwrap();
        again.complete("p", &response, &binding()).await.unwrap()
    });
    assert_eq!(connected.await.key, key);
    assert_eq!(world.store.count("put"), 3);
    assert_eq!(world.process().token(&key).await.unwrap().expose(), "AT-2");
}

/// A connect that cannot be saved is tried six times, less and less often, and then given back.
#[tokio::test]
async fn x8_a_put_is_done_again_less_and_less_often_and_then_given_up() {
    let world = World::new(Rotates::Strictly);
    let connections = world.process();
    let asked = world.complete(&connections).await;
    world.store.lost_puts.store(1000, Ordering::SeqCst);
    world.until(|| world.store.count("put") == 1).await;
    world.clock.settle().await;
    world.calls_again_after("put", successors(Some(SECOND / 5), |pause| Some(*pause * 2)).take(5)).await;
    assert_eq!(asked.await.unwrap().unwrap_err().kind(), ErrorKind::NotDurable);
    assert_eq!(world.server.revoked(), ["RT-1"]);
}

/// It was saved, its answer lost, and a disconnect came after it: it is not brought back, nor tried again and again.
#[tokio::test]
async fn x8_x22_a_put_after_which_a_disconnect_came_is_given_up_at_once() {
    let world = World::new(Rotates::Strictly);
    let connections = world.process();
    world.store.lost_writes.store(1, Ordering::SeqCst);
    world.server.hold();
    let asked = world.complete(&connections).await;
    world.until(|| world.server.exchanges() == 1).await;
    world.store.hold("load");
    world.server.let_go();
    world.until(|| world.store.is_holding()).await;
    let key = ConnectionKey::new(&user(), "p");
    assert_eq!(world.process().disconnect(&key).await.unwrap().removal.unwrap(), Removal::Removed);
    world.store.let_go();
    let error = world.clock.drive(async move { asked.await.unwrap() }).await.unwrap_err();
    assert_eq!((error.kind(), world.store.count("put")), (ErrorKind::NotDurable, 2));
    assert_eq!(world.process().token(&key).await.unwrap_err().kind(), ErrorKind::NotConnected);
    assert!(!world.server.takes("AT-1"));
}

/// A refresh of the connect before that fails says nothing of the new one.
#[tokio::test]
async fn f16_x22_what_fails_for_an_old_connect_does_not_slow_the_new_one_down() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.expire();
    world.store.hold_lease();
    let asked = ask(&connections, &key);
    world.clock.settle().await;
    world.connect(&connections).await;
    world.server.fault(Fault::NotSent);
    world.store.leases_open.send_replace(true);
    assert_eq!(asked.await.unwrap().unwrap(), "AT-2", "that of the new connect");
    assert_eq!(connections.refresh_now(&key).await.unwrap().expose(), "AT-3");
}

/// The new tokens come after the disconnect, and the store does not take them at once.
#[tokio::test]
async fn f16_a_token_that_is_not_saved_does_not_undo_a_disconnect() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.expire();
    world.store.saves_open.send_replace(false);
    let asked = ask(&connections, &key);
    world.until(|| world.server.refreshes() == 1).await;
    world.clock.settle().await;
    assert_eq!(connections.disconnect(&key).await.unwrap().removal.unwrap(), Removal::Removed);
    world.store.failing_saves.store(1, Ordering::SeqCst);
    world.store.saves_open.send_replace(true);
    world.until(|| world.store.count("save") == 1).await;
    world.clock.settle().await;
    assert_eq!(connections.token(&key).await.unwrap_err().kind(), ErrorKind::NotConnected);
    assert_eq!(asked.await.unwrap().unwrap_err().kind(), ErrorKind::NotConnected);
    // Nobody waits for the flight that saves still.
    let drained = world.clock.drive(async move { connections.drain(60 * SECOND).await }).await;
    assert_eq!(drained.unfinished, 0);
    assert_eq!(world.server.revoked(), ["RT-1", "RT-2"], "what came too late is revoked");
}

#[tokio::test]
async fn x8_a_removal_whose_answer_was_lost_is_made_sure_of() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.store.lost_writes.store(1, Ordering::SeqCst);
    let disconnected = connections.disconnect(&key).await.unwrap();
    assert_eq!(disconnected.removal.unwrap(), Removal::Removed, "by the first call");
    assert_eq!(world.server.revoked(), ["RT-1"]);
}

/// Each kind of event, once, and in order.
#[tokio::test]
async fn who_subscribes_is_told_of_all_that_happens() {
    let world = World::new(Rotates::Strictly);
    let connections = world.process();
    let mut events = connections.subscribe();
    let key = world.connect(&connections).await;
    connections.refresh_now(&key).await.unwrap();
    world.server.fault(Fault::Answer(503, &[], "{}"));
    connections.refresh_now(&key).await.unwrap_err();
    world.clock.advance(10 * SECOND);
    world.store.failing_saves.store(1, Ordering::SeqCst);
    assert!(!connections.refresh_now(&key).await.unwrap().is_saved());
    world.clock.settle().await;
    world.clock.advance(SECOND);
    world.clock.settle().await;
    world.server.end_all();
    connections.refresh_now(&key).await.unwrap_err();
    connections.disconnect(&key).await.unwrap().removal.unwrap();
    let expected = [
        EventKind::Connected,
        EventKind::Refreshed,
        EventKind::RefreshFailed(ErrorKind::Unavailable),
        EventKind::NotDurable,
        EventKind::Refreshed,
        EventKind::NeedsReconnect(ReconnectReason::Refused),
        EventKind::Disconnected,
    ];
    for (at, expected) in expected.into_iter().enumerate() {
        let Some(Next::Event(event)) = events.next().await else { panic!("an event") };
        assert_eq!((&event.key, event.kind), (&key, expected), "{at}");
        assert!(event.at <= world.clock.now());
    }
    drop((connections, world));
    assert_eq!(events.next().await, None, "and of nothing twice");
}

#[tokio::test]
async fn a_disconnect_that_the_store_did_not_take_is_not_told() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    let mut events = connections.subscribe();
    world.store.down(true);
    connections.disconnect(&key).await.unwrap().removal.unwrap_err();
    drop((connections, world));
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn the_list_tells_what_is_in_doubt() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.expire();
    world.server.fault(Fault::LoseAnswer);
    connections.token(&key).await.unwrap_err();
    let listing = connections.list(&user()).await.unwrap();
    assert_eq!(listing.connections[0].health, Health::InDoubt);
}

#[tokio::test]
async fn i6_another_processs_refresh_is_waited_for_as_long_as_was_set_and_no_longer() {
    let (world, one, key) = World::connected(Rotates::Strictly).await;
    let other = world.builder().wait(5 * SECOND).build().unwrap();
    world.expire();
    world.server.hold();
    let _first = tokio::spawn({
        let key = key.clone();
        async move { one.token(&key).await }
    });
    world.until(|| world.server.refreshes() == 1).await;
    let waited = async move { other.token(&key).await.unwrap_err().kind() };
    let before = world.clock.monotonic();
    assert_eq!(world.clock.drive(waited).await, ErrorKind::RefreshPending);
    assert!(world.clock.monotonic() - before < Duration::from_secs(7));
}

/// Whoever can write to the store could have written it.
#[tokio::test]
async fn x20_a_record_that_is_not_sealed_is_not_read_where_there_are_keys() {
    let world = World::new(Rotates::Strictly);
    let key = world.connect(&world.builder().unsealed().build().unwrap()).await;
    let error = world.process().token(&key).await.unwrap_err();
    assert_eq!((error.kind(), world.server.refreshes()), (ErrorKind::StoreCorrupt, 0));
}
