//! What is in the tables: keys that look alike, rows that were damaged or swapped, rows that stay: F14, F25, F26, F28, X20.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::time::{Duration, SystemTime};

use authflow_core::{
    ConnectionKey, Incarnation, KeyRing, LeaseRequest, Loaded, Page, Record, RefreshMark, Remove,
    SealContext, Shard, StoreErrorKind, TokenStore as _, User,
};
use authflow_sqlx::sqlx::sqlite::SqlitePoolOptions;
use authflow_sqlx::{SqlDatabase, SqlTokenStore, sqlx};
use support::{
    LONG, both, database, holder, incarnation, key, kind, mysql_pool, postgres_pool, record, write,
};

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

fn context<'k>(key: &'k ConnectionKey, incarnation: &'k Incarnation) -> SealContext<'k> {
    SealContext {
        tenant: &key.user().tenant,
        user: &key.user().id,
        provider_id: key.provider_id(),
        account: key.account().unwrap_or_default(),
        incarnation: incarnation.as_bytes(),
        ..SealContext::new("connection")
    }
}

/// Whether what was found opens as the connection that was asked for.
fn opens(ring: &KeyRing, key: &ConnectionKey, record: &Record) -> bool {
    ring.open(&context(key, record.version.incarnation()), record.sealed.as_bytes()).is_ok()
}

async fn sealed_record(store: &SqlTokenStore, ring: &KeyRing, key: &ConnectionKey) {
    let incarnation = incarnation();
    let sealed = ring.seal(&context(key, &incarnation), b"planted-tokens").unwrap();
    let due_at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    store.put(key, incarnation, write(&sealed).due_at(Some(due_at))).await.unwrap();
    let owner = holder();
    let mark = RefreshMark::new(owner, [9; 32], due_at);
    store.lease(key, LeaseRequest::new(owner, LONG).mark(mark)).await.unwrap();
}

#[tokio::test]
async fn x20_no_flipped_bit_gives_a_connection_that_is_not_the_one_written() {
    let (store, pool) = in_memory().await;
    let (ring, key) = (KeyRing::generate().unwrap(), key("user"));
    sealed_record(&store, &ring, &key).await;
    assert!(opens(&ring, &key, &record(&store, &key).await));

    for (column, must_open) in [
        ("id", false),
        ("key_bytes", false),
        ("incarnation", false),
        ("sealed", false),
        ("mark", true),
        ("lease_holder", true),
    ] {
        let read = sqlx::AssertSqlSafe(format!("SELECT {column} FROM authflow_connections"));
        let set = format!("UPDATE authflow_connections SET {column} = ?");
        let written: Vec<u8> = sqlx::query_scalar(read).fetch_one(&pool).await.unwrap();
        for at in 0..written.len() {
            let mut flipped = written.clone();
            flipped[at] ^= 1 << (at % 8);
            sqlx::query(sqlx::AssertSqlSafe(set.clone())).bind(flipped).execute(&pool).await.unwrap();
            match store.load(&key).await {
                Ok(Loaded::Found(record)) => {
                    assert_eq!(opens(&ring, &key, &record), must_open, "{column} {at}");
                }
                Ok(_) => assert_eq!(column, "id", "{at}"),
                Err(error) => assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{column} {at}"),
            }
            store.list_by_user(key.user(), &Page::first(10)).await.unwrap();
            store.walk(key.shard(), &Page::first(10)).await.unwrap();
            store
                .due_before(key.shard(), SystemTime::UNIX_EPOCH + LONG * 10_000_000, &Page::first(10))
                .await
                .unwrap();
        }
        for cut in [0, 1, written.len() - 1] {
            let short = written[..cut].to_vec();
            sqlx::query(sqlx::AssertSqlSafe(set.clone())).bind(short).execute(&pool).await.unwrap();
            match store.load(&key).await {
                Ok(Loaded::Found(record)) => {
                    assert!(column == "sealed" && !opens(&ring, &key, &record), "{column}")
                }
                Ok(_) => assert_eq!(column, "id"),
                Err(error) => assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{column} {cut}"),
            }
        }
        sqlx::query(sqlx::AssertSqlSafe(set)).bind(written).execute(&pool).await.unwrap();
        assert!(opens(&ring, &key, &record(&store, &key).await), "{column} is as it was");
    }
}

#[tokio::test]
async fn x20_numbers_that_no_store_writes_are_corrupt() {
    let (store, pool) = in_memory().await;
    let (ring, key) = (KeyRing::generate().unwrap(), key("user"));
    for nonsense in [
        "counter = 0",
        "counter = -9223372036854775808",
        "due_at = -1",
        "lease_until = NULL",
        "lease_holder = NULL",
        "sealed = NULL",
        "mark = x'00'",
    ] {
        sealed_record(&store, &ring, &key).await;
        let set = sqlx::AssertSqlSafe(format!("UPDATE authflow_connections SET {nonsense}"));
        sqlx::query(set).execute(&pool).await.unwrap();
        assert_eq!(kind(store.load(&key).await), StoreErrorKind::Corrupt, "{nonsense}");
        let leased = store.lease(&key, LeaseRequest::new(holder(), LONG)).await;
        assert_eq!(kind(leased), StoreErrorKind::Corrupt, "{nonsense}");
    }
    // What is only strange is read.
    for strange in ["lease_until = 9223372036854775807", "due_at = 9223372036854775807", "revision = -1"] {
        sealed_record(&store, &ring, &key).await;
        let set = sqlx::AssertSqlSafe(format!("UPDATE authflow_connections SET {strange}"));
        sqlx::query(set).execute(&pool).await.unwrap();
        record(&store, &key).await;
        store.remove(&key, Remove::new(LONG)).await.unwrap();
    }
}

#[tokio::test]
async fn x20_swapped_records_do_not_open() {
    let (store, pool) = in_memory().await;
    let ring = KeyRing::generate().unwrap();
    let (one, two) = (key("one"), key("two"));
    for columns in [
        &["sealed"][..],
        &["sealed", "incarnation", "counter"],
        &["key_bytes"],
        &["key_bytes", "user_tag", "sealed"],
    ] {
        sealed_record(&store, &ring, &one).await;
        sealed_record(&store, &ring, &two).await;
        let sets: Vec<_> = columns
            .iter()
            .map(|it| format!("{it} = (SELECT {it} FROM authflow_connections AS other WHERE other.id <> authflow_connections.id)"))
            .collect();
        // Each reads what was there before, for SQLite computes all rows of a subquery as it goes; so by way of a copy.
        sqlx::query("CREATE TEMP TABLE copied AS SELECT * FROM authflow_connections")
            .execute(&pool)
            .await
            .unwrap();
        let sql = format!("UPDATE authflow_connections SET {}", sets.join(", "))
            .replace("FROM authflow_connections AS other", "FROM copied AS other");
        let done = sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&pool).await.unwrap();
        assert_eq!(done.rows_affected(), 2);
        sqlx::query("DROP TABLE copied").execute(&pool).await.unwrap();
        for key in [&one, &two] {
            match store.load(key).await {
                Ok(Loaded::Found(record)) => assert!(!opens(&ring, key, &record), "{columns:?}"),
                Ok(other) => panic!("{columns:?}: {other:?}"),
                Err(error) => assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{columns:?}"),
            }
        }
    }
}

#[tokio::test]
async fn x20_a_row_that_was_moved_to_another_user_is_not_listed_as_theirs() {
    let (store, pool) = in_memory().await;
    let (mine, theirs) = (key("mine"), key("theirs"));
    store.put(&mine, incarnation(), write(b"one")).await.unwrap();
    let tag = theirs.user_tag().as_bytes().to_vec();
    sqlx::query("UPDATE authflow_connections SET user_tag = ?").bind(tag).execute(&pool).await.unwrap();
    let listed = store.list_by_user(theirs.user(), &Page::first(10)).await.unwrap();
    assert_eq!((listed.records.len(), listed.unreadable), (0, 1));
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
