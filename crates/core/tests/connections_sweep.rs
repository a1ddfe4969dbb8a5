//! Sweeps: connections of idle users, and keys that are to go.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod connections_support;

use authflow_core::{Key, Shard};
use connections_support::{Rotates, SECOND, World};

const DAY: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);

#[tokio::test]
async fn idle_connections_are_refreshed_when_they_are_due_and_only_then() {
    let world = World::new(Rotates::Strictly);
    let connections = world.process();
    let mut keys = Vec::new();
    for user in 0..50 {
        keys.push(world.connect_as(&connections, &user.to_string()).await);
    }
    world.clock.advance(6 * DAY);
    assert_eq!(connections.sweep().await.unwrap().seen, 0);
    world.clock.advance(2 * DAY);
    let swept = connections.sweep().await.unwrap();
    assert_eq!((swept.seen, swept.done, swept.failed), (50, 50, 0));
    assert_eq!(world.server.refreshes(), 50);
    assert_eq!(connections.sweep().await.unwrap().seen, 0);
    world.clock.advance(8 * DAY);
    let halves = [0..32, 32..64].map(|range| range.map(|number| Shard::new(number).unwrap()));
    let [one, other] = halves.map(|shards| {
        let process = world.process();
        tokio::spawn(async move { process.sweep().shards(shards).await.unwrap().done })
    });
    assert_eq!(one.await.unwrap() + other.await.unwrap(), 50);
    assert_eq!((world.server.refreshes(), world.server.most_uses()), (100, 1));
}

#[tokio::test]
async fn f2_two_sweeps_of_the_same_shards_use_no_refresh_token_twice() {
    let world = World::new(Rotates::Strictly);
    let connections = world.process();
    for user in 0..50 {
        world.connect_as(&connections, &user.to_string()).await;
    }
    world.clock.advance(8 * DAY);
    let sweeps = [world.process(), world.process()]
        .map(|process| tokio::spawn(async move { process.sweep().await.unwrap() }));
    for sweep in sweeps {
        assert_eq!(sweep.await.unwrap().failed, 0);
    }
    assert_eq!((world.server.refreshes(), world.server.most_uses()), (50, 1));
}

/// F19: no more refreshes run at once than were allowed.
#[tokio::test]
async fn f19_a_provider_is_not_stormed() {
    let world = World::new(Rotates::Strictly);
    let connections = world.builder().max_refreshes(3).build().unwrap();
    let mut keys = Vec::new();
    for user in 0..40 {
        keys.push(world.connect_as(&connections, &user.to_string()).await);
    }
    world.clock.advance(3590 * SECOND);
    world.server.hold();
    for key in &keys {
        assert!(connections.token(key).await.is_ok(), "a good token is served at once");
    }
    world.clock.settle().await;
    assert_eq!(world.server.refreshes(), 3);
    world.server.let_go();
    world.until(|| world.server.refreshes() == 40).await;
}

#[tokio::test]
async fn f15_after_a_reseal_the_old_key_can_go() {
    let mut world = World::new(Rotates::Strictly);
    let connections = world.process();
    let mut keys = Vec::new();
    for user in 0..20 {
        keys.push(world.connect_as(&connections, &user.to_string()).await);
    }
    let old = world.ring.writing_id().to_owned();
    world.ring = world.ring.rotate("new", Key::generate().unwrap()).unwrap();
    let rotated = world.process();
    let swept = rotated.reseal().await.unwrap();
    assert_eq!((swept.seen, swept.done), (20, 20));
    let saves = world.store.count("save");
    assert_eq!(saves, 20);
    rotated.reseal().await.unwrap();
    assert_eq!(world.store.count("save"), saves, "what has the new key is left alone");
    world.ring = world.ring.without(&old).unwrap();
    let process = world.process();
    for key in &keys {
        process.token(key).await.unwrap();
    }
    assert_eq!(world.server.refreshes(), 0);
}

#[tokio::test]
async fn a_sweep_tells_who_needs_to_connect_again() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.server.end_all();
    world.clock.advance(8 * DAY);
    let swept = connections.sweep().await.unwrap();
    assert_eq!((swept.seen, swept.need_reconnect), (1, 1));
    assert_eq!(connections.sweep().await.unwrap().seen, 0, "it is not due any more");
    connections.token(&key).await.unwrap_err();
    assert_eq!(world.server.refreshes(), 1);
}
