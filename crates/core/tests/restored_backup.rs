//! F29: a store that was restored from a backup, with a refresh token that was used since.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod connections_support;

use std::time::Duration;

use authflow_core::{
    ConnectionKey, Connections, ErrorKind, Health, Record, Recovery, Remove, RemoveOutcome, TokenStore as _,
    Write,
};
use connections_support::{Rotates, SECOND, World, user};

async fn stored(world: &World, key: &ConnectionKey) -> Record {
    world.store.inner.load(key).await.unwrap().into_record().unwrap()
}

/// The store has what it had when `backup` was made, byte by byte.
async fn restore(world: &World, key: &ConnectionKey, backup: Record) {
    let removed = world.store.inner.remove(key, Remove::new(Duration::ZERO)).await.unwrap();
    assert!(matches!(removed, RemoveOutcome::Removed { .. }));
    // A tombstone lasts a millisecond at least.
    world.clock.advance(Duration::from_millis(1));
    let version = world
        .store
        .inner
        .put(key, *backup.version.incarnation(), Write::new(backup.sealed).due_at(backup.due_at))
        .await
        .unwrap();
    assert_eq!(version, backup.version);
}

/// A connection that was refreshed three times since its backup, and the backup is back.
async fn restored(rotates: Rotates) -> (World, Connections, ConnectionKey) {
    let (world, connections, key) = World::connected(rotates).await;
    let backup = stored(&world, &key).await;
    for _ in 0..3 {
        connections.refresh_now(&key).await.unwrap();
    }
    restore(&world, &key, backup).await;
    (world, connections, key)
}

#[tokio::test]
async fn f29_after_a_backup_came_back_one_request_finds_out_and_there_is_no_loop() {
    let (world, _, key) = restored(Rotates::Strictly).await;
    world.expire();
    let before = world.server.refreshes();
    let fresh = world.process();
    let error = fresh.token(&key).await.unwrap_err();
    assert_eq!((error.kind(), error.recovery()), (ErrorKind::NeedsReconnect, Recovery::Reconnect));
    assert_eq!(error.server_error().map(|said| said.code().to_owned()).as_deref(), Some("invalid_grant"));
    assert_eq!(world.server.refreshes(), before + 1);
    // Neither here nor elsewhere, neither now nor later, however it is asked for.
    for _ in 0..20 {
        for connections in [&fresh, &world.process()] {
            assert_eq!(connections.token(&key).await.unwrap_err().kind(), ErrorKind::NeedsReconnect);
            assert_eq!(connections.refresh_now(&key).await.unwrap_err().kind(), ErrorKind::NeedsReconnect);
            connections.sweep().await.unwrap();
        }
        world.clock.advance(24 * 3600 * SECOND);
    }
    assert_eq!((world.server.refreshes(), world.server.most_uses()), (before + 1, 1));
    let listed = fresh.list(&user()).await.unwrap();
    assert!(matches!(listed.connections[0].health, Health::NeedsReconnect { .. }));
    // And it is mended by what the error asks for.
    world.connect(&fresh).await;
    let token = world.process().token(&key).await.unwrap();
    assert!(world.server.takes(token.expose()));
}

/// A thousand callers who come at once after the restore send the one request too.
#[tokio::test]
async fn f29_all_who_ask_after_the_restore_share_the_one_request() {
    let (world, _, key) = restored(Rotates::Strictly).await;
    world.expire();
    let before = world.server.refreshes();
    let fresh = world.process();
    let tasks: Vec<_> = (0..1000)
        .map(|_| {
            let (fresh, key) = (fresh.clone(), key.clone());
            tokio::spawn(async move { fresh.token(&key).await.unwrap_err().kind() })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), ErrorKind::NeedsReconnect);
    }
    assert_eq!(world.server.refreshes(), before + 1);
}

/// A process that lived through the restore knows better: it says so once (I2: never an older token silently), and then takes
/// the store's word, and comes to the same end.
#[tokio::test]
async fn f29_i2_a_process_that_lived_through_the_restore_says_so_first() {
    let (world, connections, key) = restored(Rotates::Strictly).await;
    assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-4", "what is in memory is good");
    let before = world.server.refreshes();
    world.expire();
    let error = connections.token(&key).await.unwrap_err();
    assert_eq!((error.kind(), world.server.refreshes()), (ErrorKind::StoreContractViolated, before));
    for later in 0..20 {
        world.clock.advance(600 * SECOND);
        assert_eq!(connections.token(&key).await.unwrap_err().kind(), ErrorKind::NeedsReconnect, "{later}");
    }
    assert_eq!((world.server.refreshes(), world.server.most_uses()), (before + 1, 1));
}

/// Where the old refresh token is still good, so is the connection.
#[tokio::test]
async fn f29_where_the_provider_takes_the_old_refresh_token_the_connection_goes_on() {
    for rotates in [Rotates::WithGrace, Rotates::Never] {
        let (world, _, key) = restored(rotates).await;
        world.expire();
        let before = world.server.refreshes();
        let token = world.process().token(&key).await.unwrap();
        assert!(world.server.takes(token.expose()), "{rotates:?}");
        assert_eq!(world.server.refreshes(), before + 1, "{rotates:?}");
        assert_eq!(world.process().token(&key).await.unwrap().expose(), token.expose(), "{rotates:?}");
        assert_eq!(world.server.refreshes(), before + 1, "{rotates:?}");
    }
}

/// The access token of the backup is served as long as it is good: its provider has not ended it.
#[tokio::test]
async fn f29_a_restored_access_token_that_is_good_costs_no_request() {
    let (world, _, key) = restored(Rotates::Strictly).await;
    let before = world.server.refreshes();
    let token = world.process().token(&key).await.unwrap();
    assert_eq!((token.expose(), token.version().counter()), ("AT-1", 1));
    assert!(world.server.takes("AT-1"));
    assert_eq!(world.server.refreshes(), before);
}
