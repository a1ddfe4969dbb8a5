//! X24: many connections expire together, and the provider allows so many requests in a second.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod connections_support;

use std::sync::Arc;

use authflow_core::{ConnectionKey, Connections, ErrorKind};
use connections_support::{Rotates, SECOND, World, ask};

const DAY: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);

async fn connected(world: &World, connections: &Connections, count: usize) -> Arc<[ConnectionKey]> {
    let mut keys = Vec::new();
    for user in 0..count {
        keys.push(world.connect_as(connections, &user.to_string()).await);
    }
    keys.into()
}

#[tokio::test]
async fn x24_what_is_due_together_is_swept_and_the_bound_is_kept() {
    // As many as that only where it is optimized: there it takes half a minute instead of minutes.
    const COUNT: usize = if cfg!(debug_assertions) { 600 } else { 100_000 };
    let world = World::new(Rotates::Strictly);
    let connections = world.builder().max_refreshes_per_second(50).build().unwrap();
    connected(&world, &connections, COUNT).await;
    world.clock.advance(8 * DAY);
    let swept = world.clock.drive(async move { connections.sweep().await.unwrap() }).await;
    assert_eq!((swept.done, swept.failed), (COUNT, 0));
    println!("{COUNT} connections expired together");
    assert_eq!((world.server.refreshes(), world.server.most_uses()), (COUNT, 1));
    assert_eq!(world.server.most_in_a_second(), 50, "all of what is allowed is used, and no more");
}

/// Who has a good token and no turn does not ask the store whether it would be one.
#[tokio::test]
async fn x24_without_a_turn_the_store_is_not_asked() {
    let world = World::new(Rotates::Strictly);
    let builder = world.builder().max_refreshes_per_second(1).cache_for(DAY);
    let connections = builder.build().unwrap();
    let keys = connected(&world, &connections, 2).await;
    for key in &*keys {
        connections.token(key).await.unwrap();
    }
    world.clock.advance(3593 * SECOND);
    connections.token(&keys[0]).await.unwrap();
    world.until(|| world.server.refreshes() == 1).await;
    let loads = world.store.count("load");
    for _ in 0..10 {
        connections.token(&keys[1]).await.unwrap();
        world.clock.settle().await;
    }
    assert_eq!((world.store.count("load"), world.server.refreshes()), (loads, 1));
}

/// Tokens that are good are served at once, whoever else waits; what is over is refreshed in its turn, and nobody starves.
#[tokio::test]
async fn x24_callers_with_good_tokens_never_wait() {
    const COUNT: usize = 500;
    let world = World::new(Rotates::Strictly);
    let connections = world.builder().max_refreshes_per_second(50).build().unwrap();
    let keys = connected(&world, &connections, COUNT).await;
    world.clock.advance(3550 * SECOND);
    for _ in 0..10 {
        // No time passes in here: whoever waited for a turn would wait for ever.
        for key in &*keys {
            connections.token(key).await.unwrap();
        }
        for _ in 0..50 {
            world.clock.settle().await;
            world.clock.advance(SECOND / 50);
        }
    }
    assert!((200..=600).contains(&world.server.refreshes()), "{}", world.server.refreshes());
    world.clock.advance(40 * SECOND);
    let tasks: Vec<_> = keys.iter().map(|key| ask(&connections, key)).collect();
    let all = async move {
        for task in tasks {
            task.await.unwrap().unwrap();
        }
    };
    world.clock.drive(all).await;
    assert!((COUNT..2 * COUNT).contains(&world.server.refreshes()), "{}", world.server.refreshes());
    assert!(world.server.most_in_a_second() <= 50, "{}", world.server.most_in_a_second());
    assert_eq!(world.server.most_uses(), 1);
}

#[tokio::test]
async fn x24_a_sweep_has_a_bound_of_its_own() {
    let world = World::new(Rotates::Strictly);
    let connections = world.process();
    connected(&world, &connections, 100).await;
    world.clock.advance(8 * DAY);
    let swept = world.clock.drive(async move { connections.sweep().per_second(10).await.unwrap() }).await;
    assert_eq!((swept.done, world.server.refreshes()), (100, 100));
    assert!(world.server.most_in_a_second() <= 10, "{}", world.server.most_in_a_second());
}

#[tokio::test]
async fn x24_a_bound_of_nothing_is_refused() {
    let world = World::new(Rotates::Strictly);
    let error = world.builder().max_refreshes_per_second(0).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
}

/// Who waits for a turn has a lease already: no more have one than get their turn within a second.
#[tokio::test]
async fn x24_what_waits_for_a_turn_holds_few_leases() {
    let world = World::new(Rotates::Strictly);
    let connections = world.builder().max_refreshes_per_second(2).build().unwrap();
    connected(&world, &connections, 9).await;
    world.clock.advance(8 * DAY);
    world.server.hold();
    let sweep = tokio::spawn(async move { connections.sweep().await.unwrap().done });
    world.clock.settle().await;
    assert_eq!((world.store.count("lease"), world.server.refreshes()), (2, 1));
    world.server.let_go();
    assert_eq!(world.clock.drive(async move { sweep.await.unwrap() }).await, 9);
}

/// Whoever has a good token leaves the turns to those who have none: it does not even take a lease.
#[tokio::test]
async fn x24_who_has_a_good_token_leaves_the_turns_to_those_who_have_none() {
    let world = World::new(Rotates::Strictly);
    let connections = world.builder().max_refreshes_per_second(1).build().unwrap();
    let over = world.connect_as(&connections, "over").await;
    world.clock.advance(60 * SECOND);
    let good = connected(&world, &connections, 9).await;
    world.clock.advance(3550 * SECOND);
    for key in &*good {
        connections.token(key).await.unwrap();
    }
    world.clock.settle().await;
    assert_eq!((world.store.count("lease"), world.server.refreshes()), (1, 1), "the others wait for no turn");
    let asked = connections_support::ask(&connections, &over);
    world.clock.settle().await;
    world.clock.advance(SECOND);
    asked.await.unwrap().unwrap();
    assert_eq!((world.store.count("lease"), world.server.refreshes()), (2, 2), "the next turn is its own");
}

/// A sweep that was told to refresh them refreshes them, however many turns that takes.
#[tokio::test]
async fn x24_a_sweep_waits_for_the_turns_of_what_is_good_still() {
    let world = World::new(Rotates::Strictly);
    let connections = world.builder().max_refreshes_per_second(1).build().unwrap();
    world.server.expires_in(Some(30 * DAY.as_secs()));
    connected(&world, &connections, 9).await;
    world.clock.advance(8 * DAY);
    let swept = world.clock.drive(async move { connections.sweep().await.unwrap() }).await;
    assert_eq!((swept.done, world.server.refreshes()), (9, 9));
}
