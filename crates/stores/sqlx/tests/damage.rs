//! Rows that were damaged, swapped or moved, behind the store's back: F11, F14, X17, X20, I3.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::time::{Duration, SystemTime};

use authflow_core::{
    ConnectionKey, Incarnation, KeyRing, Lease, LeaseOutcome, LeaseRequest, Loaded, Page, Record,
    RefreshMark, Remove, SealContext, StoreErrorKind, TokenStore as _,
};
use authflow_sqlx::sqlx::sqlite::SqlitePoolOptions;
use authflow_sqlx::{SqlDatabase, SqlTokenStore, sqlx};
use support::{
    Kind, LONG, Server, database_at, holder, incarnation, key, kind, mysql_pool, postgres_pool, record, write,
};

/// A way past a store into its table, in which nobody else writes.
enum Past {
    Sqlite(sqlx::SqlitePool),
    Postgres(sqlx::PgPool),
    MariaDb(sqlx::MySqlPool),
}

macro_rules! on_each {
    ($past:expr, $pool:ident => $work:expr) => {
        match $past {
            Past::Sqlite($pool) => $work,
            Past::Postgres($pool) => $work,
            Past::MariaDb($pool) => $work,
        }
    };
}

impl Past {
    fn is_in_memory(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }

    async fn say(&self, sql: &str) -> u64 {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        on_each!(self, pool => sqlx::raw_sql(sql).execute(pool).await.unwrap().rows_affected())
    }

    /// Sets columns of all rows.
    async fn set(&self, columns: &str) {
        self.say(&format!("UPDATE authflow_connections SET {columns}")).await;
    }

    /// A column of the only row.
    async fn bytes(&self, column: &str) -> Vec<u8> {
        let sql = sqlx::AssertSqlSafe(format!("SELECT {column} FROM authflow_connections"));
        on_each!(self, pool => sqlx::query_scalar(sql).fetch_one(pool).await.unwrap())
    }

    async fn integer(&self, column: &str) -> i64 {
        let integer = if matches!(self, Self::MariaDb(_)) { "signed" } else { "bigint" };
        let sql =
            sqlx::AssertSqlSafe(format!("SELECT CAST({column} AS {integer}) FROM authflow_connections"));
        on_each!(self, pool => sqlx::query_scalar(sql).fetch_one(pool).await.unwrap())
    }

    fn literal(&self, bytes: &[u8]) -> String {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        if matches!(self, Self::Postgres(_)) { format!("'\\x{hex}'::bytea") } else { format!("x'{hex}'") }
    }
}

/// A store in memory.
async fn in_memory() -> (SqlTokenStore, Past) {
    let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
    let database = SqlDatabase::sqlite(pool.clone());
    database.migrate().await.unwrap();
    (SqlTokenStore::new(&database), Past::Sqlite(pool))
}

/// A store of each kind, in a database called `name`.
async fn of_each(name: &str) -> [(SqlTokenStore, Past); 3] {
    let (postgres, mariadb) = (Server::shared(Kind::Postgres), Server::shared(Kind::MariaDb));
    let urls = [&postgres, &mariadb].map(|server| server.database(name));
    let on_postgres = SqlTokenStore::new(&database_at(&urls[0], postgres).await);
    let on_mariadb = SqlTokenStore::new(&database_at(&urls[1], mariadb).await);
    [
        in_memory().await,
        (on_postgres, Past::Postgres(postgres_pool(&urls[0]))),
        (on_mariadb, Past::MariaDb(mysql_pool(&urls[1]))),
    ]
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

/// What is stored, listed, walked and due is read, whatever it is.
async fn is_read_by_all(store: &SqlTokenStore, key: &ConnectionKey) {
    let page = Page::first(10);
    store.list_by_user(key.user(), &page).await.unwrap();
    store.walk(key.shard(), &page).await.unwrap();
    store.due_before(key.shard(), SystemTime::UNIX_EPOCH + LONG * 10_000_000, &page).await.unwrap();
}

/// In SQLite a bit of each byte, elsewhere a bit of each seventh: what is read is judged by the same code.
#[tokio::test]
async fn x20_no_flipped_bit_gives_a_connection_that_is_not_the_one_written() {
    for (store, past) in &of_each("flipped").await {
        let (ring, key) = (KeyRing::generate().unwrap(), key("user"));
        sealed_record(store, &ring, &key).await;
        assert!(opens(&ring, &key, &record(store, &key).await));

        for (column, must_open) in [
            ("id", false),
            ("user_tag", true),
            ("key_bytes", false),
            ("incarnation", false),
            ("sealed", false),
            ("mark", true),
            ("lease_holder", true),
        ] {
            let written = past.bytes(column).await;
            for at in (0..written.len()).step_by(if past.is_in_memory() { 1 } else { 7 }) {
                let mut flipped = written.clone();
                flipped[at] ^= 1 << (at % 8);
                past.set(&format!("{column} = {}", past.literal(&flipped))).await;
                match store.load(&key).await {
                    Ok(Loaded::Found(record)) => {
                        assert_eq!(opens(&ring, &key, &record), must_open, "{column} {at}");
                    }
                    // By the id a row is found.
                    Ok(other) => assert!(column == "id" && matches!(other, Loaded::Absent), "{column} {at}"),
                    Err(error) => {
                        assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{column} {at}");
                        assert!(!must_open, "{column} {at}");
                    }
                }
                is_read_by_all(store, &key).await;
            }
            // A server refuses what is too short, or fills it up.
            for cut in [0, 1, written.len() - 1].into_iter().filter(|_| past.is_in_memory()) {
                past.set(&format!("{column} = {}", past.literal(&written[..cut]))).await;
                match store.load(&key).await {
                    Ok(Loaded::Found(record)) => {
                        let opens = opens(&ring, &key, &record);
                        assert!(column == "user_tag" || (column == "sealed" && !opens), "{column}");
                    }
                    Ok(_) => assert_eq!(column, "id"),
                    Err(error) => assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{column} {cut}"),
                }
            }
            past.set(&format!("{column} = {}", past.literal(&written))).await;
            assert!(opens(&ring, &key, &record(store, &key).await), "{column} is as it was");
        }
    }
}

/// Each bit of each number, and what becomes of the record: it opens, it is corrupt, or, where the number is what a row is
/// found by, it is not found. No lease lasts longer for it than a lease may.
#[tokio::test]
async fn x20_no_flipped_bit_of_a_number_gives_anything_else() {
    for (store, past) in &of_each("flipped_numbers").await {
        let (ring, key) = (KeyRing::generate().unwrap(), key("user"));
        sealed_record(store, &ring, &key).await;
        let sound = record(store, &key).await.version;
        for column in ["shard", "counter", "revision", "due_at", "lease_until"] {
            let written = past.integer(column).await;
            for bit in 0..if column == "shard" { 15 } else { 64 } {
                let flipped = written ^ (1 << bit);
                past.set(&format!("{column} = {flipped}")).await;
                match (column, store.load(&key).await) {
                    ("shard", Ok(Loaded::Absent)) => {}
                    ("counter", Ok(Loaded::Found(record))) => {
                        assert!(opens(&ring, &key, &record) && record.version != sound, "{bit}");
                    }
                    ("counter", Err(error)) => {
                        assert!(flipped <= 0 && error.kind() == StoreErrorKind::Corrupt, "{bit} {error:?}");
                    }
                    ("due_at", Err(error)) => {
                        assert!(flipped < 0 && error.kind() == StoreErrorKind::Corrupt, "{bit} {error:?}");
                    }
                    ("revision" | "due_at" | "lease_until", Ok(Loaded::Found(record))) => {
                        assert!(opens(&ring, &key, &record) && record.version == sound, "{column} {bit}");
                        let remaining = record.lease.map(|lease| lease.remaining);
                        assert!(remaining.is_none_or(|it| it <= Lease::LONGEST), "{column} {bit}");
                    }
                    (_, loaded) => panic!("{column} {bit} {loaded:?}"),
                }
                is_read_by_all(store, &key).await;
            }
            past.set(&format!("{column} = {written}")).await;
            assert_eq!(record(store, &key).await.version, sound, "{column} is as it was");
        }
        // In a record there is none: one that gets it is a removed connection, and never another's.
        store.remove(&key, Remove::new(LONG)).await.unwrap();
        let written = past.integer("tombstone_until").await;
        for bit in 0..64 {
            past.set(&format!("tombstone_until = {}", written ^ (1 << bit))).await;
            assert!(store.load(&key).await.unwrap().into_record().is_none(), "{bit}");
            is_read_by_all(store, &key).await;
        }
    }
}

/// Its clock was ahead when the lease was taken, by ten years or for ever, and whoever took it is gone.
#[tokio::test]
async fn f11_x17_a_lease_until_the_end_of_time_has_ended() {
    for (store, past) in &of_each("immortal").await {
        let (ring, key) = (KeyRing::generate().unwrap(), key("user"));
        sealed_record(store, &ring, &key).await;
        let until = past.integer("lease_until").await;
        for until in [until + 10 * 365 * 24 * 3_600_000, i64::MAX] {
            past.set(&format!("lease_until = {until}")).await;
            let found = record(store, &key).await;
            assert!(found.lease.is_none() && found.mark.is_some(), "{until}");
            let leased = store.lease(&key, LeaseRequest::new(holder(), LONG)).await.unwrap();
            assert!(matches!(leased, LeaseOutcome::Leased { found: Some(_), .. }), "{until} {leased:?}");
            assert!(past.integer("lease_until").await < until);
        }
    }
}

#[tokio::test]
async fn x20_numbers_that_no_store_writes_are_corrupt() {
    let (store, past) = in_memory().await;
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
        past.set(nonsense).await;
        assert_eq!(kind(store.load(&key).await), StoreErrorKind::Corrupt, "{nonsense}");
        let leased = store.lease(&key, LeaseRequest::new(holder(), LONG)).await;
        assert_eq!(kind(leased), StoreErrorKind::Corrupt, "{nonsense}");
    }
    // What is only strange is read.
    for strange in ["due_at = 9223372036854775807", "revision = -1"] {
        sealed_record(&store, &ring, &key).await;
        past.set(strange).await;
        record(&store, &key).await;
        store.remove(&key, Remove::new(LONG)).await.unwrap();
    }
}

#[tokio::test]
async fn x20_swapped_records_do_not_open() {
    for (store, past) in &of_each("swapped").await {
        let ring = KeyRing::generate().unwrap();
        let (one, two) = (key("one"), key("two"));
        for columns in [
            &["sealed"][..],
            &["sealed", "incarnation", "counter"],
            &["key_bytes"],
            &["key_bytes", "user_tag", "sealed"],
        ] {
            sealed_record(store, &ring, &one).await;
            sealed_record(store, &ring, &two).await;
            // Each reads what was there before, by way of a copy.
            past.say("CREATE TABLE copied AS SELECT * FROM authflow_connections").await;
            let sets: Vec<_> = columns
                .iter()
                .map(|it| {
                    format!("{it} = (SELECT {it} FROM copied WHERE copied.id <> authflow_connections.id)")
                })
                .collect();
            let set = format!("UPDATE authflow_connections SET {}", sets.join(", "));
            assert_eq!(past.say(&set).await, 2);
            past.say("DROP TABLE copied").await;
            for key in [&one, &two] {
                match store.load(key).await {
                    Ok(Loaded::Found(record)) => assert!(!opens(&ring, key, &record), "{columns:?}"),
                    Ok(other) => panic!("{columns:?}: {other:?}"),
                    Err(error) => assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{columns:?}"),
                }
            }
        }
    }
}

#[tokio::test]
async fn x20_a_row_that_was_moved_to_another_user_is_not_listed_as_theirs() {
    let (store, past) = in_memory().await;
    let (mine, theirs) = (key("mine"), key("theirs"));
    store.put(&mine, incarnation(), write(b"one")).await.unwrap();
    past.set(&format!("user_tag = {}", past.literal(theirs.user_tag().as_bytes()))).await;
    let listed = store.list_by_user(theirs.user(), &Page::first(10)).await.unwrap();
    assert_eq!((listed.records.len(), listed.unreadable), (0, 1));
}
