//! What changes while a refresh waits: a token that was good ends (X24), and a process stands still for longer than its lease
//! (X3).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod connections_support;

use std::iter::successors;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use authflow_core::{ConnectionKey, Connections, ErrorKind, LeaseHolder, LeaseRequest, TokenStore as _};
use connections_support::{Fault, ManualClock, Rotates, SECOND, World, ask};

async fn two_users(world: &World, connections: &Connections) -> [ConnectionKey; 2] {
    [world.connect_as(connections, "one").await, world.connect_as(connections, "two").await]
}

/// The first one's refresh has the only turn, or the only place, and the second one's waits behind it. Their tokens are good for
/// 0.6 s more.
async fn begin_both(world: &World, connections: &Connections, keys: &[ConnectionKey; 2]) {
    world.clock.advance(3594 * SECOND + SECOND / 5);
    for key in keys {
        connections.token(key).await.unwrap();
        world.clock.settle().await;
        world.clock.advance(SECOND / 10);
    }
}

#[tokio::test]
async fn x24_a_caller_whose_token_ends_while_its_refresh_waits_for_a_turn_gets_the_new_one() {
    let world = World::new(Rotates::Strictly);
    let connections = world.builder().max_refreshes_per_second(1).build().unwrap();
    let keys = two_users(&world, &connections).await;
    begin_both(&world, &connections, &keys).await;
    let begun = (world.server.refreshes(), world.store.count("lease"));
    assert_eq!(begun, (1, 2), "the second waits for its turn");
    // The turn comes a second after the first one's.
    world.clock.advance(SECOND * 7 / 10);
    let asked = ask(&connections, &keys[1]);
    world.clock.settle().await;
    assert_eq!((asked.is_finished(), world.server.refreshes()), (false, 1), "it waits with its refresh");
    assert_eq!(world.clock.drive(async move { asked.await.unwrap() }).await.unwrap(), "AT-4");
    assert_eq!((world.server.refreshes(), world.server.most_uses()), (2, 1));
}

/// The first one's answer has to be let go.
async fn one_waits_for_the_place_of_the_other() -> (World, Connections, [ConnectionKey; 2]) {
    let world = World::new(Rotates::Strictly);
    let connections = world.builder().max_refreshes(1).build().unwrap();
    let keys = two_users(&world, &connections).await;
    world.server.hold();
    begin_both(&world, &connections, &keys).await;
    let begun = (world.server.refreshes(), world.store.count("lease"));
    assert_eq!(begun, (1, 1), "the second waits for its place");
    (world, connections, keys)
}

#[tokio::test]
async fn x24_a_caller_whose_token_ends_while_its_refresh_waits_for_a_place_gets_the_new_one() {
    let (world, connections, keys) = one_waits_for_the_place_of_the_other().await;
    world.clock.advance(3 * SECOND);
    let asked = ask(&connections, &keys[1]);
    world.clock.settle().await;
    assert!(!asked.is_finished(), "it waits with its refresh");
    world.server.let_go();
    assert_eq!(world.clock.drive(async move { asked.await.unwrap() }).await.unwrap(), "AT-4");
    assert_eq!((world.server.refreshes(), world.server.most_uses()), (2, 1));
}

#[tokio::test]
async fn x24_a_refresh_that_waits_for_a_place_is_done_although_nobody_asks_again() {
    let (world, _, _) = one_waits_for_the_place_of_the_other().await;
    world.server.let_go();
    world.until(|| world.server.refreshes() == 2).await;
    assert_eq!(world.server.most_uses(), 1);
}

/// The new token was served, and then forgotten by a disconnect that the store did not take: what the flight saves after it
/// is removed and revoked.
#[tokio::test]
async fn f16_what_is_saved_after_a_disconnect_that_the_store_did_not_take_is_removed() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.expire();
    world.store.failing_saves.store(1000, Ordering::SeqCst);
    assert!(!connections.token(&key).await.unwrap().is_saved());
    world.store.down(true);
    let disconnected = connections.disconnect(&key).await.unwrap();
    assert_eq!(disconnected.removal.unwrap_err().kind(), ErrorKind::StoreUnavailable);
    world.store.down(false);
    let asked = ask(&connections, &key);
    world.clock.settle().await;
    assert!(asked.is_finished(), "nobody waits for a refresh that is for nobody");
    assert_eq!(asked.await.unwrap().unwrap_err().kind(), ErrorKind::NotConnected);
    world.store.failing_saves.store(0, Ordering::SeqCst);
    for _ in 0..20 {
        world.clock.advance(SECOND);
        world.clock.settle().await;
    }
    assert_eq!(world.server.revoked(), ["RT-2"], "once");
    assert_eq!(world.process().token(&key).await.unwrap_err().kind(), ErrorKind::NotConnected);
    assert_eq!(connections.token(&key).await.unwrap_err().kind(), ErrorKind::NotConnected);
    assert_eq!(world.server.refreshes(), 1);
}

/// A process with a clock of its own: while that stands still, so does the process, and only for it.
fn with_own_clock(world: &World, per_second: Option<u32>) -> (ManualClock, Connections) {
    let clock = ManualClock::new();
    let builder = world.builder().clock(Arc::new(clock.clone()));
    let builder = match per_second {
        Some(bound) => builder.max_refreshes_per_second(bound),
        None => builder,
    };
    (clock, builder.build().unwrap())
}

const LEASE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn x3_a_process_that_stood_still_while_it_waited_for_its_turn_sends_nothing() {
    let world = World::new(Rotates::Strictly);
    let elsewhere = world.process();
    let one = world.connect_as(&elsewhere, "one").await;
    let two = world.connect_as(&elsewhere, "two").await;
    let (clock, stopped) = with_own_clock(&world, Some(1));
    world.expire();
    clock.advance(3600 * SECOND);
    stopped.token(&one).await.unwrap();
    let asked = ask(&stopped, &two);
    world.clock.settle().await;
    assert_eq!((world.store.count("lease"), world.server.refreshes()), (2, 1), "it has a lease and no turn");
    world.clock.advance(LEASE + SECOND);
    let taken_over = world.process().token(&two).await.unwrap();
    assert_eq!(world.server.refreshes(), 2);
    clock.advance(LEASE + SECOND);
    assert_eq!(asked.await.unwrap().unwrap(), taken_over.expose());
    assert_eq!((world.server.refreshes(), world.server.most_uses()), (2, 1), "the stale token is not sent");
    assert!(world.server.takes(taken_over.expose()), "so the provider ended nothing");
}

#[tokio::test]
async fn x3_x17_a_process_that_stood_still_while_it_got_its_lease_sends_nothing() {
    for stands_still in [ManualClock::advance, ManualClock::sleep_through] {
        let (world, _, key) = World::connected(Rotates::Strictly).await;
        let (clock, stopped) = with_own_clock(&world, None);
        world.expire();
        clock.advance(3600 * SECOND);
        world.store.hold_lease();
        let asked = ask(&stopped, &key);
        world.clock.settle().await;
        assert_eq!((world.store.count("lease"), world.server.refreshes()), (1, 0));
        world.clock.advance(LEASE + SECOND);
        let taken_over = world.process().token(&key).await.unwrap();
        world.store.leases_open.send_replace(true);
        stands_still(&clock, LEASE + SECOND);
        assert_eq!(asked.await.unwrap().unwrap(), taken_over.expose());
        let uses = (world.server.refreshes(), world.server.most_uses());
        assert_eq!(uses, (1, 1), "the stale token is not sent");
        assert!(world.server.takes(taken_over.expose()), "so the provider ended nothing");
    }
}

/// Whoever waits for another process asks again after half of a pause to a whole one, and the pauses grow to half a second.
#[tokio::test]
async fn x23_who_waits_for_another_process_asks_less_and_less_often() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.expire();
    let another = LeaseRequest::new(LeaseHolder::random().unwrap(), LEASE);
    world.store.inner.lease(&key, another).await.unwrap();
    let asked = ask(&connections, &key);
    world.clock.settle().await;
    let pauses = successors(Some(SECOND / 40), |pause| Some((*pause * 3 / 2).min(SECOND / 2)));
    world.calls_again_after("lease", pauses.take(12)).await;
    assert_eq!(world.clock.drive(async move { asked.await.unwrap() }).await.unwrap(), "AT-2");
}

/// The mark of a lease that was lost, or could not be renewed, before anything was sent stays in the record, and says nothing.
#[tokio::test]
async fn x3_r6_a_lease_under_which_nothing_was_sent_leaves_no_doubt() {
    for is_down in [false, true] {
        let (world, _, key) = World::connected(Rotates::Strictly).await;
        let connections = world.builder().store_timeout(LEASE).build().unwrap();
        world.expire();
        world.server.end_all();
        world.store.hold_lease();
        let asked = ask(&connections, &key);
        world.clock.settle().await;
        world.store.loses_leases.store(!is_down, Ordering::SeqCst);
        world.store.down(is_down);
        world.store.leases_open.send_replace(true);
        world.clock.advance(LEASE / 2);
        world.clock.settle().await;
        world.store.loses_leases.store(false, Ordering::SeqCst);
        world.store.down(false);
        assert_eq!(world.server.refreshes(), 0, "down: {is_down}");
        let mut error = world.clock.drive(async move { asked.await.unwrap() }).await.unwrap_err();
        if is_down {
            assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
            world.clock.advance(LEASE);
            let asked = ask(&connections, &key);
            error = world.clock.drive(async move { asked.await.unwrap() }).await.unwrap_err();
        }
        assert_eq!(
            (error.kind(), world.server.refreshes()),
            (ErrorKind::NeedsReconnect, 1),
            "down: {is_down}"
        );
    }
}

/// Nor is a good token's refresh held back because of it.
#[tokio::test]
async fn r6_a_lease_under_which_nothing_was_sent_holds_no_refresh_back() {
    let (world, _, key) = World::connected(Rotates::Strictly).await;
    let connections = world.builder().store_timeout(LEASE).build().unwrap();
    world.clock.advance(3541 * SECOND);
    world.store.hold_lease();
    assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-1");
    world.clock.settle().await;
    world.store.loses_leases.store(true, Ordering::SeqCst);
    world.clock.advance(LEASE / 2);
    world.store.leases_open.send_replace(true);
    world.clock.settle().await;
    assert_eq!(world.server.refreshes(), 0);
    world.store.loses_leases.store(false, Ordering::SeqCst);
    world.clock.advance(LEASE);
    assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-1");
    world.clock.settle().await;
    assert_eq!(world.server.refreshes(), 1);
}

/// The same where the provider said that it did nothing, and the mark could not be taken away.
#[tokio::test]
async fn r6_a_refresh_token_that_was_not_used_is_not_in_doubt_although_its_mark_stays() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.expire();
    world.server.fault(Fault::Answer(503, &[], "{}"));
    world.server.hold();
    let asked = ask(&connections, &key);
    world.until(|| world.server.refreshes() == 1).await;
    world.store.down(true);
    world.server.let_go();
    assert_eq!(asked.await.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
    world.store.down(false);
    world.server.end_all();
    world.clock.advance(LEASE);
    assert_eq!(connections.token(&key).await.unwrap_err().kind(), ErrorKind::NeedsReconnect);
}

/// Before half of the lease the lease is taken on trust; from then on it is renewed, and what was lost is not used.
#[tokio::test]
async fn x3_from_half_a_lease_on_nothing_is_sent_on_trust() {
    for (stood_still, is_renewed, is_lost) in [
        (LEASE / 2 - SECOND, false, true),
        (LEASE / 2, true, true),
        (LEASE / 2, true, false),
        (LEASE - SECOND, true, true),
    ] {
        let case = format!("{stood_still:?}, lost: {is_lost}");
        let (world, _, key) = World::connected(Rotates::Strictly).await;
        let connections = world.builder().store_timeout(LEASE).build().unwrap();
        world.expire();
        world.store.hold_lease();
        world.server.hold();
        let asked = ask(&connections, &key);
        world.clock.settle().await;
        assert_eq!(world.store.count("lease"), 1, "{case}");
        world.store.loses_leases.store(is_lost, Ordering::SeqCst);
        world.store.leases_open.send_replace(true);
        world.clock.advance(stood_still);
        world.clock.settle().await;
        let is_sent = !is_renewed || !is_lost;
        assert_eq!(world.server.refreshes(), usize::from(is_sent), "{case}");
        world.store.loses_leases.store(false, Ordering::SeqCst);
        world.server.let_go();
        assert_eq!(world.clock.drive(async move { asked.await.unwrap() }).await.unwrap(), "AT-2", "{case}");
        assert_eq!((world.server.refreshes(), world.server.most_uses()), (1, 1), "{case}");
    }
}
