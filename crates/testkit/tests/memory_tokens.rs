//! What is the memory token store's own: its bound, its tombstones, its cursors.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use authflow_core::{
    ConnectionKey, Cursor, Incarnation, Loaded, MemoryTokenStore, Page, Remove, RemoveOutcome, SealedBytes,
    StoreErrorKind, TokenStore as _, User, Write,
};
use authflow_testkit::ManualClock;

const HOUR: Duration = Duration::from_secs(3600);

fn key(user: usize) -> ConnectionKey {
    ConnectionKey::new(&User::new("", user.to_string()), "provider-1")
}

async fn put(store: &MemoryTokenStore, user: usize) -> Result<(), StoreErrorKind> {
    let write = Write::new(SealedBytes::new(b"sealed".to_vec()));
    let put = store.put(&key(user), Incarnation::random().unwrap(), write).await;
    put.map(|_| ()).map_err(|error| error.kind())
}

#[tokio::test]
async fn f27_a_full_store_refuses_new_connections_and_lets_none_go() {
    let store = MemoryTokenStore::with_capacity(3);
    for user in 0..3 {
        assert_eq!(put(&store, user).await, Ok(()));
    }
    assert_eq!(put(&store, 3).await, Err(StoreErrorKind::Unavailable));
    assert_eq!(put(&store, 1).await, Ok(()), "who is connected may connect anew");
    for user in 0..3 {
        assert!(matches!(store.load(&key(user)).await.unwrap(), Loaded::Found(_)));
    }
    assert!(matches!(store.load(&key(3)).await.unwrap(), Loaded::Absent));
    assert_eq!(store.len(), 3);
}

#[tokio::test]
async fn i6_tombstones_that_have_ended_give_their_room_back() {
    let clock = ManualClock::new();
    let store = MemoryTokenStore::with_capacity(1).clock(Arc::new(clock.clone()));
    for user in 0..100 {
        // Of any shard: a store that is full looks through all of them.
        let key = key(1000 + user);
        let write = Write::new(SealedBytes::new(Vec::new()));
        store.put(&key, Incarnation::random().unwrap(), write).await.unwrap();
        let removed = store.remove(&key, Remove::new(HOUR)).await.unwrap();
        assert!(matches!(removed, RemoveOutcome::Removed { .. }));
        assert_eq!(store.len(), 1, "the tombstone counts");
        assert_eq!(put(&store, 1).await, Err(StoreErrorKind::Unavailable));
        clock.advance(HOUR);
    }
}

#[tokio::test]
async fn x20_a_cursor_of_another_place_is_refused() {
    let store = MemoryTokenStore::new();
    let key = key(1);
    for length in [0, 1, 31, 33, 63, 65, 71, 73, 4096] {
        let page = Page::first(10).after(Cursor::new(vec![7; length]));
        let user = store.list_by_user(key.user(), &page).await.map(|_| ());
        let due = store.due_before(key.shard(), UNIX_EPOCH, &page).await.map(|_| ());
        let walk = store.walk(key.shard(), &page).await.map(|_| ());
        for result in [user, due, walk] {
            assert_eq!(result.expect_err("no cursor of that length").kind(), StoreErrorKind::Corrupt);
        }
    }
}

#[tokio::test]
async fn a_token_store_in_memory_is_not_durable() {
    assert!(!MemoryTokenStore::new().is_durable());
}
