//! What others do to a server, and what becomes of the calls that they are in the way of: X8.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use authflow_core::{
    ConnectionKey, Expected, SaveOutcome, StoreError, StoreErrorKind, TokenStore as _, Version,
};
use authflow_sqlx::{SqlDatabase, SqlTokenStore, sqlx};
use authflow_testkit::conformance::token_store::check_error;
use support::{
    Kind, Server, both, database, in_time, incarnation, key, kind, mysql_pool, one_of, postgres_pool, record,
    say, text, until, write,
};

/// A save in a task of its own: it waits for what somebody else keeps locked.
fn saving(
    store: &SqlTokenStore,
    key: &ConnectionKey,
    version: Version,
) -> impl Future<Output = Result<SaveOutcome, StoreError>> + use<> {
    let (store, key) = (store.clone(), key.clone());
    // With another due time, so that an index changes, too.
    let due_at = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000);
    let write = write(b"two").due_at(Some(due_at));
    let saving =
        tokio::spawn(async move { store.save_if_version(&key, &Expected::version(version), write).await });
    async { in_time(saving).await.unwrap() }
}

#[tokio::test]
async fn x8_a_terminated_backend_did_nothing() {
    let [server, _] = both();
    let database = database(&server).await;
    let admin = postgres_pool(&server.url());
    for prepares in [false, true] {
        let store = SqlTokenStore::new(&database.clone().prepared_statements(prepares));
        let key = key("user");
        let put = store.put(&key, incarnation(), write(b"one")).await.unwrap();
        let mut blocker = admin.begin().await.unwrap();
        let id = &key.id().as_bytes()[..];
        sqlx::query("SELECT 1 FROM authflow_connections WHERE id = $1 FOR UPDATE")
            .bind(id)
            .execute(&mut *blocker)
            .await
            .unwrap();
        let saving = saving(&store, &key, put);
        // Whoever waits for the row is the one.
        let terminate = "SELECT count(pg_terminate_backend(waiting.pid)) FROM pg_locks waiting \
             JOIN pg_locks granted ON waiting.transactionid = granted.transactionid \
             WHERE NOT waiting.granted AND granted.granted AND granted.pid = $1";
        let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *blocker).await.unwrap();
        until("the save waits, and is terminated", || async {
            sqlx::query_scalar::<_, i64>(terminate).bind(pid).fetch_one(&admin).await.unwrap() > 0
        })
        .await;
        let saved = saving.await;
        let expected = if prepares { StoreErrorKind::OutcomeUnknown } else { StoreErrorKind::Unavailable };
        assert_eq!(kind(saved), expected);
        blocker.rollback().await.unwrap();
        assert_eq!(record(&store, &key).await.version, put);
    }
}

/// Of the transactions, the number of the connection that waits for the connection with this number.
const WAITS_FOR: &str = "SELECT CAST(waiting.trx_mysql_thread_id AS SIGNED) \
     FROM information_schema.innodb_lock_waits lock_wait \
     JOIN information_schema.innodb_trx waiting ON waiting.trx_id = lock_wait.requesting_trx_id \
     JOIN information_schema.innodb_trx granted ON granted.trx_id = lock_wait.blocking_trx_id \
     WHERE granted.trx_mysql_thread_id = ?";

/// Who waits for a connection. InnoDB answers from a copy, which it makes anew only if nobody has read it for 0.1 seconds.
async fn waits_for(admin: &sqlx::MySqlPool, id: i64) -> Option<i64> {
    sqlx::raw_sql("DO SLEEP(0.15)").execute(admin).await.unwrap();
    sqlx::query_scalar(WAITS_FOR).bind(id).fetch_optional(admin).await.unwrap()
}

async fn connection_id(connection: &mut sqlx::MySqlConnection) -> i64 {
    sqlx::query_scalar("SELECT CAST(CONNECTION_ID() AS SIGNED)").fetch_one(connection).await.unwrap()
}

#[tokio::test]
async fn x8_a_killed_connection_of_mariadb_did_nothing() {
    let [_, server] = both();
    let store = SqlTokenStore::new(&database(&server).await);
    let admin = mysql_pool(&server.url());
    let key = key("user");
    let put = store.put(&key, incarnation(), write(b"one")).await.unwrap();
    let mut blocker = admin.begin().await.unwrap();
    sqlx::query("SELECT 1 FROM authflow_connections WHERE shard = ? AND id = ? FOR UPDATE")
        .bind(i64::from(key.shard().number()))
        .bind(&key.id().as_bytes()[..])
        .execute(&mut *blocker)
        .await
        .unwrap();
    let id = connection_id(&mut blocker).await;
    let saving = saving(&store, &key, put);
    until("the save waits, and its connection is killed", || async {
        let waiting = waits_for(&admin, id).await;
        let Some(waiting) = waiting else { return false };
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("KILL {waiting}"))).execute(&admin).await.unwrap();
        true
    })
    .await;
    let error = saving.await.unwrap_err();
    assert!(
        matches!(error.kind(), StoreErrorKind::OutcomeUnknown | StoreErrorKind::Unavailable),
        "{}",
        text(&error)
    );
    check_error(&error, &key, b"two").unwrap();
    blocker.rollback().await.unwrap();
    assert_eq!(record(&store, &key).await.version, put);
    // The pool has another one for who comes next.
    let saved = store.save_if_version(&key, &Expected::version(put), write(b"two")).await.unwrap();
    assert!(matches!(saved, SaveOutcome::Saved(_)), "{saved:?}");
}

/// The save has the row and waits for an index entry, whose reader then wants the row. InnoDB gives up who changed less.
#[tokio::test]
async fn x8_the_loser_of_a_deadlock_of_mariadb_is_tried_again() {
    let [_, server] = both();
    let store = SqlTokenStore::new(&database(&server).await);
    let admin = mysql_pool(&server.url());
    sqlx::raw_sql("CREATE TABLE IF NOT EXISTS ballast (number INT)").execute(&admin).await.unwrap();
    let key = key("user");
    let due_at = std::time::SystemTime::UNIX_EPOCH + Duration::from_millis(1_234_567_890_123);
    let put = store.put(&key, incarnation(), write(b"one").due_at(Some(due_at))).await.unwrap();
    let deadlocks = async || -> i64 {
        let sql = "SELECT CAST(variable_value AS SIGNED) FROM information_schema.global_status \
                   WHERE variable_name = 'innodb_deadlocks'";
        sqlx::query_scalar(sql).fetch_one(&admin).await.unwrap()
    };
    let before = deadlocks().await;

    let mut other = admin.begin().await.unwrap();
    for _ in 0..64 {
        sqlx::query("INSERT INTO ballast VALUES (1)").execute(&mut *other).await.unwrap();
    }
    let shard = i64::from(key.shard().number());
    let entry = "SELECT due_at FROM authflow_connections FORCE INDEX (authflow_connections_due) \
                 WHERE shard = ? AND due_at = 1234567890123 LOCK IN SHARE MODE";
    let read = sqlx::query(entry).bind(shard).fetch_all(&mut *other).await.unwrap();
    assert_eq!(read.len(), 1);
    let id = connection_id(&mut other).await;
    let saving = saving(&store, &key, put);
    until("the save waits", || async { waits_for(&admin, id).await.is_some() }).await;
    let row = "SELECT counter FROM authflow_connections WHERE shard = ? AND id = ? FOR UPDATE";
    let row = sqlx::query_scalar::<_, i64>(row).bind(shard).bind(&key.id().as_bytes()[..]);
    let counter = in_time(row.fetch_one(&mut *other)).await.unwrap();
    assert_eq!(counter, 1, "the save was rolled back");
    assert!(deadlocks().await > before);
    other.commit().await.unwrap();

    let saved = saving.await.unwrap();
    assert!(matches!(saved, SaveOutcome::Saved(version) if version == put.next()), "{saved:?}");
    assert_eq!(record(&store, &key).await.sealed.as_bytes(), b"two");
}

/// The save has a lock of the table and waits in a trigger for another one, whose holder waits for the table. PostgreSQL gives
/// up who looks first.
#[tokio::test]
async fn x8_the_loser_of_a_deadlock_of_postgres_is_tried_again() {
    const GATE: i64 = 1;
    const HELD: i64 = 2;
    let [server, _] = both();
    let url = server.database("deadlock");
    support::database_at(&url, Arc::clone(&server)).await;
    say(
        &url,
        "CREATE FUNCTION two_locks() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             PERFORM pg_advisory_xact_lock(1); PERFORM pg_advisory_xact_lock(2); RETURN NEW; END $$; \
         CREATE TRIGGER two_locks BEFORE UPDATE ON authflow_connections \
             FOR EACH ROW EXECUTE FUNCTION two_locks()",
    )
    .await;
    let admin = postgres_pool(&url);
    let waits = async |kind: &str| -> bool {
        let sql = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND locktype = $1 \
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        sqlx::query_scalar(sql).bind(kind).fetch_one(&admin).await.unwrap()
    };
    for prepares in [false, true] {
        let options: sqlx::postgres::PgConnectOptions = url.parse().unwrap();
        let options = options.options([("deadlock_timeout", "10ms")]);
        let pool = sqlx::PgPool::connect_lazy_with(options);
        let store = SqlTokenStore::new(&SqlDatabase::postgres(pool).prepared_statements(prepares));
        let key = key("user");
        let put = store.put(&key, incarnation(), write(b"one")).await.unwrap();

        let (mut gate, mut other) = (admin.begin().await.unwrap(), admin.begin().await.unwrap());
        let lock = "SELECT pg_advisory_xact_lock($1)";
        sqlx::query(lock).bind(GATE).execute(&mut *gate).await.unwrap();
        sqlx::query(lock).bind(HELD).execute(&mut *other).await.unwrap();
        let saving = saving(&store, &key, put);
        until("the save waits at the gate", || waits("advisory")).await;
        let table = tokio::spawn(async move {
            sqlx::raw_sql(
                "SET LOCAL deadlock_timeout = '10min'; LOCK TABLE authflow_connections IN SHARE MODE",
            )
            .execute(&mut *other)
            .await
            .unwrap();
            other
        });
        until("the other waits for the table", || waits("relation")).await;
        gate.commit().await.unwrap();
        // It gets the table because the save was rolled back.
        let mut other = in_time(table).await.unwrap();
        let counter: i64 = sqlx::query_scalar("SELECT max(counter) FROM authflow_connections WHERE id = $1")
            .bind(&key.id().as_bytes()[..])
            .fetch_one(&mut *other)
            .await
            .unwrap();
        assert_eq!(counter, 1);
        other.commit().await.unwrap();
        let saved = saving.await.unwrap();
        assert!(matches!(saved, SaveOutcome::Saved(version) if version == put.next()), "{saved:?}");
    }
}

/// The pool waits for its one connection as long as it can be made to wait in vain, which a login on a busy machine may take
/// longer than: what has to succeed is tried until it does.
async fn is_unavailable_without<D: sqlx::Database>(pool: sqlx::Pool<D>, database: SqlDatabase) {
    let store = SqlTokenStore::new(&database);
    let key = key("user");
    let taken = std::sync::Mutex::new(None);
    until("the connection is taken", || async {
        let acquired = pool.acquire().await.ok();
        let is_taken = acquired.is_some();
        *taken.lock().unwrap() = acquired;
        is_taken
    })
    .await;
    let error = in_time(store.put(&key, incarnation(), write(b"one"))).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(text(&error).contains("allow more connections"), "{}", text(&error));
    drop(taken);
    until("the connection is free", || async { store.put(&key, incarnation(), write(b"one")).await.is_ok() })
        .await;
}

#[tokio::test]
async fn x8_a_pool_without_a_free_connection_is_unavailable() {
    let [postgres, mariadb] = both();
    let patience = Duration::from_secs(1);
    database(&postgres).await;
    let pool = one_of::<sqlx::Postgres>(patience).connect_lazy(&postgres.url()).unwrap();
    is_unavailable_without(pool.clone(), SqlDatabase::postgres(pool)).await;
    database(&mariadb).await;
    let pool = one_of::<sqlx::MySql>(patience).connect_lazy(&mariadb.url()).unwrap();
    is_unavailable_without(pool.clone(), SqlDatabase::mysql(pool)).await;
}

#[tokio::test]
async fn x8_a_read_only_server_is_read_and_says_so() {
    let _servers = both();
    for server_kind in [Kind::Postgres, Kind::MariaDb] {
        let server = Server::shared(server_kind);
        let writer = SqlTokenStore::new(&database(&server).await);
        let key = key("user");
        let put = writer.put(&key, incarnation(), write(b"one")).await.unwrap();
        let read_only = if server_kind == Kind::Postgres {
            let options: sqlx::postgres::PgConnectOptions = server.url().parse().unwrap();
            let options = options.options([("default_transaction_read_only", "on")]);
            SqlDatabase::postgres(sqlx::PgPool::connect_lazy_with(options))
        } else {
            let pool = sqlx::mysql::MySqlPoolOptions::new().after_connect(|connection, _| {
                Box::pin(async move {
                    sqlx::query("SET SESSION tx_read_only = 1").execute(connection).await.map(|_| ())
                })
            });
            SqlDatabase::mysql(pool.connect_lazy(&server.url()).unwrap())
        };
        let store = SqlTokenStore::new(&read_only);
        assert_eq!(record(&store, &key).await.version, put);
        let error = store.save_if_version(&key, &Expected::version(put), write(b"two")).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        assert!(text(&error).contains("read-only"), "{}", text(&error));
        check_error(&error, &key, b"two").unwrap();
    }
}

#[tokio::test]
async fn x8_serialization_failures_are_tried_again() {
    let [server, _] = both();
    database(&server).await;
    let options: sqlx::postgres::PgConnectOptions = server.url().parse().unwrap();
    let options = options.options([("default_transaction_isolation", "serializable")]);
    let pool =
        sqlx::postgres::PgPoolOptions::new().max_connections(8).acquire_timeout(Duration::from_secs(20));
    let store = SqlTokenStore::new(&SqlDatabase::postgres(pool.connect_lazy_with(options)));
    let key = key("user");
    let put = store.put(&key, incarnation(), write(b"one")).await.unwrap();
    let tasks: Vec<_> = (0..16)
        .map(|n: u8| {
            let (store, key) = (store.clone(), key.clone());
            tokio::spawn(async move {
                store.save_if_version(&key, &Expected::version(put), write(&[n])).await.unwrap()
            })
        })
        .collect();
    let mut saved = 0;
    for task in tasks {
        saved += usize::from(matches!(in_time(task).await.unwrap(), SaveOutcome::Saved(_)));
    }
    assert_eq!(saved, 1);
}
