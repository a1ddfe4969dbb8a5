//! Pending flows that ended, by the clock of the database.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::time::{Duration, SystemTime};

use authflow_core::{Binding, Bucket, PendingFlow, StateContext, StateKey, StateStore as _, StoreErrorKind};
use authflow_sqlx::{SqlDatabase, SqlStateStore};
use support::{LONG, both, database_at, key, say};
use tempfile::TempDir;

/// Stores in databases called `name`, and where these are.
async fn stores(name: &str, dir: &TempDir) -> Vec<(SqlStateStore, String)> {
    let address = format!("sqlite:{}", dir.path().join("flows.db").to_str().unwrap());
    let in_a_file = SqlDatabase::connect(&address).await.unwrap();
    in_a_file.migrate().await.unwrap();
    let mut stores = vec![(SqlStateStore::new(&in_a_file), address)];
    for server in both() {
        let url = server.database(name);
        stores.push((SqlStateStore::new(&database_at(&url, server).await), url));
    }
    stores
}

fn state() -> StateKey {
    let user = key("user").user().clone();
    StateKey::new("provider", &user.tenant, &Binding::user("tenant", "user")).unwrap()
}

async fn put(store: &SqlStateStore, state: &StateKey, ttl: Duration) -> Result<(), StoreErrorKind> {
    put_of(store, None, state, ttl).await
}

async fn put_of(
    store: &SqlStateStore,
    bucket: Option<&str>,
    state: &StateKey,
    ttl: Duration,
) -> Result<(), StoreErrorKind> {
    let (extensions, epoch) = (http::Extensions::new(), SystemTime::UNIX_EPOCH);
    let mut flow = PendingFlow::new("provider", "https://app.example/callback", epoch, ttl);
    flow.bucket = bucket.map(|name| Bucket::of(name.as_bytes()));
    let cx = StateContext::new(&extensions, epoch);
    store.store_state(&cx, state, flow, ttl).await.map_err(|error| error.kind())
}

async fn take(store: &SqlStateStore, state: &StateKey) -> Option<PendingFlow> {
    let extensions = http::Extensions::new();
    store.check_state(&StateContext::new(&extensions, SystemTime::UNIX_EPOCH), state).await.unwrap()
}

#[tokio::test]
async fn a_flow_that_has_ended_is_not_found_and_its_key_is_free() {
    let dir = tempfile::tempdir().unwrap();
    for (store, address) in stores("ended", &dir).await {
        let (ended, taken_over, kept) = (state(), state(), state());
        for state in [&ended, &taken_over] {
            put(&store, state, LONG).await.unwrap();
        }
        say(&address, "UPDATE authflow_pending_flows SET expires_at = 1").await;
        put(&store, &kept, LONG).await.unwrap();
        assert!(take(&store, &ended).await.is_none(), "{address}");

        put(&store, &taken_over, LONG).await.unwrap();
        assert_eq!(put(&store, &kept, LONG).await, Err(StoreErrorKind::Conflict), "{address}");
        for state in [&taken_over, &kept] {
            assert!(take(&store, state).await.is_some(), "{address}");
            assert!(take(&store, state).await.is_none(), "{address}");
        }
    }
}

#[tokio::test]
async fn a12_a_thousand_flows_of_one_bucket_are_as_many_rows_as_its_cap() {
    let dir = tempfile::tempdir().unwrap();
    for (store, address) in stores("capped", &dir).await {
        let store = store.bucket_capacity(32);
        let clone = store.clone();
        let waiting = state();
        put_of(&store, Some("neighbour"), &waiting, LONG).await.unwrap();
        let mut newest = state();
        for n in 0..1_000 {
            newest = state();
            let by = if n % 2 == 0 { &store } else { &clone };
            put_of(by, Some("flooder"), &newest, LONG).await.unwrap();
        }
        assert!(take(&store, &waiting).await.is_some(), "{address}");
        assert!(take(&store, &newest).await.is_some(), "{address}");
        assert_eq!(say(&address, "DELETE FROM authflow_pending_flows").await, 31, "{address}");
        // Another process has counted nothing, and has a cap of its own.
        let other = clone.bucket_capacity(1);
        for state in [state(), state(), state()] {
            put_of(&other, Some("flooder"), &state, LONG).await.unwrap();
        }
        assert_eq!(say(&address, "DELETE FROM authflow_pending_flows").await, 1, "{address}");
    }
}

#[tokio::test]
async fn of_64_new_flows_one_lets_go_of_those_that_have_ended() {
    let dir = tempfile::tempdir().unwrap();
    for (store, address) in stores("let_go_of", &dir).await {
        put(&store, &state(), LONG).await.unwrap();
        say(&address, "UPDATE authflow_pending_flows SET expires_at = 1").await;
        for _ in 1..64 {
            put(&store, &state(), LONG).await.unwrap();
        }
        let still_there = "UPDATE authflow_pending_flows SET expires_at = 1 WHERE expires_at = 1";
        assert_eq!(say(&address, still_there).await, 1, "{address}");
        put(&store, &state(), LONG).await.unwrap();
        let ended = say(&address, "DELETE FROM authflow_pending_flows WHERE expires_at = 1").await;
        let going_on = say(&address, "DELETE FROM authflow_pending_flows").await;
        assert_eq!((ended, going_on), (0, 64), "{address}");
    }
}

/// A function that is started for one request stores one flow.
#[tokio::test]
async fn the_first_new_flow_of_a_process_lets_go_of_those_that_have_ended() {
    let dir = tempfile::tempdir().unwrap();
    for (store, address) in stores("let_go_of_at_first", &dir).await {
        put(&store, &state(), LONG).await.unwrap();
        say(&address, "UPDATE authflow_pending_flows SET expires_at = 1").await;
        let other = SqlStateStore::new(&SqlDatabase::connect(&address).await.unwrap());
        put(&other, &state(), LONG).await.unwrap();
        assert_eq!(say(&address, "DELETE FROM authflow_pending_flows").await, 1, "{address}");
    }
}
