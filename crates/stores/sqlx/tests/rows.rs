//! What is in the tables: keys that look alike, rows that stay: F25, F26, F28.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::time::{Duration, SystemTime};

use authflow_core::{ConnectionKey, Loaded, Page, Remove, Shard, StoreErrorKind, TokenStore as _, User};
use authflow_sqlx::sqlx::sqlite::SqlitePoolOptions;
use authflow_sqlx::{SqlDatabase, SqlTokenStore, sqlx};
use support::{LONG, both, database, incarnation, key, kind, mysql_pool, postgres_pool, record, write};

/// A store in memory, and a way past it.
async fn in_memory() -> (SqlTokenStore, sqlx::SqlitePool) {
    let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
    let database = SqlDatabase::sqlite(pool.clone());
    database.migrate().await.unwrap();
    (SqlTokenStore::new(&database), pool)
}

const ALIKE: [&str; 14] = [
    "user",
    "User",
    "USER",
    "user ",
    " user",
    "us\u{e9}r",
    "use\u{301}r",
    "us\u{c9}r",
    "stra\u{df}e",
    "strasse",
    "\u{131}",
    "i",
    "a%",
    "a_",
];

const HOSTILE: [&str; 8] = [
    "'; DROP TABLE authflow_connections; --",
    "\" OR 1=1 --",
    "\\'; DELETE FROM authflow_connections; #",
    "$1",
    "?1",
    ":id",
    "\0",
    "x'00'",
];

/// Writes, reads, lists and removes under names, each as tenant, user, provider id and account.
async fn keeps_apart(store: &SqlTokenStore, names: &[&str], count: impl AsyncFn(&ConnectionKey) -> i64) {
    let unique = key("").user().tenant.clone();
    let mut keys = Vec::new();
    for (n, name) in names.iter().enumerate() {
        let user = User::new(format!("{unique}{name}"), *name);
        keys.push(ConnectionKey::new(&user, *name).with_account(*name));
        let sealed = [n as u8];
        store.put(&keys[n], incarnation(), write(&sealed)).await.unwrap();
    }
    for (n, key) in keys.iter().enumerate() {
        assert_eq!(record(store, key).await.sealed.as_bytes(), [n as u8], "{:?}", names[n]);
        assert_eq!(count(key).await, 1, "{:?}", names[n]);
        let listed = store.list_by_user(key.user(), &Page::first(10)).await.unwrap();
        assert!(matches!(&listed.records[..], [only] if only.key == *key), "{:?}", names[n]);
    }
    store.remove(&keys[0], Remove::new(LONG)).await.unwrap();
    for key in &keys[1..] {
        record(store, key).await;
    }
}

#[tokio::test]
async fn f25_f26_names_are_bytes_and_never_sql() {
    let [postgres, mariadb] = both();
    let names = [&ALIKE[..], &HOSTILE, &["x".repeat(10_240).leak()]].concat();
    let by_id = "SELECT count(*) FROM authflow_connections WHERE id = ";
    let sql = |placeholder: &str| sqlx::AssertSqlSafe(format!("{by_id}{placeholder}"));

    let (store, pool) = in_memory().await;
    keeps_apart(&store, &names, async |key: &ConnectionKey| {
        let id = key.id().as_bytes().to_vec();
        sqlx::query_scalar(sql("?")).bind(id).fetch_one(&pool).await.unwrap()
    })
    .await;

    let (store, pool) = (SqlTokenStore::new(&database(&postgres).await), postgres_pool(&postgres.url()));
    keeps_apart(&store, &names, async |key: &ConnectionKey| {
        let id = key.id().as_bytes().to_vec();
        sqlx::query_scalar(sql("$1")).bind(id).fetch_one(&pool).await.unwrap()
    })
    .await;

    let (store, pool) = (SqlTokenStore::new(&database(&mariadb).await), mysql_pool(&mariadb.url()));
    keeps_apart(&store, &names, async |key: &ConnectionKey| {
        let id = key.id().as_bytes().to_vec();
        sqlx::query_scalar(sql("?")).bind(id).fetch_one(&pool).await.unwrap()
    })
    .await;
}

#[tokio::test]
async fn f28_a_record_outlives_its_due_time_and_every_tombstone() {
    let (memory, _) = in_memory().await;
    let [postgres, mariadb] = both();
    for store in [
        memory,
        SqlTokenStore::new(&database(&postgres).await),
        SqlTokenStore::new(&database(&mariadb).await),
    ] {
        let kept = key("kept");
        let due_long_ago = write(b"one").due_at(Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1)));
        store.put(&kept, incarnation(), due_long_ago).await.unwrap();
        // Each removal lets go of the tombstones that ended; these end in a millisecond.
        for n in 0..5 {
            let gone = key(&n.to_string());
            store.put(&gone, incarnation(), write(b"x")).await.unwrap();
            store.remove(&gone, Remove::new(Duration::from_millis(1))).await.unwrap();
        }
        assert_eq!(record(&store, &kept).await.sealed.as_bytes(), b"one");
    }
}

#[tokio::test]
async fn tombstones_that_ended_are_let_go_of() {
    let (store, pool) = in_memory().await;
    let rows = async || -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM authflow_connections").fetch_one(&pool).await.unwrap()
    };
    for n in 0..10 {
        let gone = key(&n.to_string());
        store.put(&gone, incarnation(), write(b"x")).await.unwrap();
        store.remove(&gone, Remove::new(LONG)).await.unwrap();
    }
    assert_eq!(rows().await, 10);
    sqlx::query("UPDATE authflow_connections SET tombstone_until = 1").execute(&pool).await.unwrap();
    let last = key("last");
    store.put(&last, incarnation(), write(b"x")).await.unwrap();
    store.remove(&last, Remove::new(LONG)).await.unwrap();
    assert_eq!(rows().await, 1);
    assert!(matches!(store.load(&last).await.unwrap(), Loaded::Tombstone(_)));
}

#[tokio::test]
async fn a_cursor_of_another_operation_is_refused() {
    let (store, _) = in_memory().await;
    let cursor = || authflow_core::Cursor::new(&b"nonsense"[..]);
    let page = Page::first(10).after(cursor());
    let shard = Shard::new(0).unwrap();
    assert_eq!(kind(store.list_by_user(&User::new("t", "u"), &page).await), StoreErrorKind::Corrupt);
    assert_eq!(kind(store.walk(shard, &page).await), StoreErrorKind::Corrupt);
    assert_eq!(kind(store.due_before(shard, SystemTime::UNIX_EPOCH, &page).await), StoreErrorKind::Corrupt);
}
