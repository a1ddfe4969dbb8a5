//! The tables, and how they come to be.

use crate::database::{AnyPool, SqlDatabase};
use crate::driver::{Bound, Parameters, Value};
use crate::error::{Failure, MigrateError, Stage, failure};
use crate::sql::{Column, Dialect, Sql};

/// What each version adds to the one before: the first makes version 1. What was released is never edited.
///
/// Each statement can be repeated, for MySQL and MariaDB end a transaction with each of them.
const fn migrations(dialect: Dialect) -> &'static [&'static [&'static str]] {
    match dialect {
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite => &[SQLITE_1],
        #[cfg(feature = "postgres")]
        Dialect::Postgres => &[POSTGRES_1],
        #[cfg(feature = "mysql")]
        Dialect::MySql => &[MYSQL_1],
    }
}

const VERSIONS: &str = "CREATE TABLE IF NOT EXISTS authflow_schema (version BIGINT NOT NULL PRIMARY KEY)";

/// Names and texts are bytes: no collation folds, trims or normalizes them. Shard and id are the whole key, and what a shard
/// is walked by; lease and mark are in no index, so that most of what is written touches none.
#[cfg(feature = "sqlite")]
const SQLITE_1: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS authflow_connections (
        shard INTEGER NOT NULL,
        id BLOB NOT NULL,
        user_tag BLOB NOT NULL,
        key_bytes BLOB NOT NULL,
        incarnation BLOB NOT NULL,
        counter INTEGER NOT NULL,
        revision INTEGER NOT NULL,
        sealed BLOB,
        due_at INTEGER,
        lease_holder BLOB,
        lease_until INTEGER,
        mark BLOB,
        mark_found BLOB,
        tombstone_until INTEGER,
        PRIMARY KEY (shard, id)
    ) STRICT",
    "CREATE INDEX IF NOT EXISTS authflow_connections_of_user ON authflow_connections (user_tag, id)",
    "CREATE INDEX IF NOT EXISTS authflow_connections_due ON authflow_connections (shard, due_at, id)
        WHERE due_at IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS authflow_connections_gone ON authflow_connections (tombstone_until)
        WHERE tombstone_until IS NOT NULL",
    "CREATE TABLE IF NOT EXISTS authflow_pending_flows (
        id BLOB NOT NULL PRIMARY KEY,
        flow BLOB NOT NULL,
        expires_at INTEGER NOT NULL
    ) STRICT",
    "CREATE INDEX IF NOT EXISTS authflow_pending_flows_end ON authflow_pending_flows (expires_at)",
];

/// A fill factor leaves room for the next lease in the page, which then touches no index.
#[cfg(feature = "postgres")]
const POSTGRES_1: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS authflow_connections (
        shard SMALLINT NOT NULL,
        id BYTEA NOT NULL,
        user_tag BYTEA NOT NULL,
        key_bytes BYTEA NOT NULL,
        incarnation BYTEA NOT NULL,
        counter BIGINT NOT NULL,
        revision BIGINT NOT NULL,
        sealed BYTEA,
        due_at BIGINT,
        lease_holder BYTEA,
        lease_until BIGINT,
        mark BYTEA,
        mark_found BYTEA,
        tombstone_until BIGINT,
        PRIMARY KEY (shard, id)
    ) WITH (fillfactor = 80)",
    "CREATE INDEX IF NOT EXISTS authflow_connections_of_user ON authflow_connections (user_tag, id)",
    "CREATE INDEX IF NOT EXISTS authflow_connections_due ON authflow_connections (shard, due_at, id)
        WHERE due_at IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS authflow_connections_gone ON authflow_connections (tombstone_until)
        WHERE tombstone_until IS NOT NULL",
    "CREATE TABLE IF NOT EXISTS authflow_pending_flows (
        id BYTEA NOT NULL PRIMARY KEY,
        flow BYTEA NOT NULL,
        expires_at BIGINT NOT NULL
    )",
    "CREATE INDEX IF NOT EXISTS authflow_pending_flows_end ON authflow_pending_flows (expires_at)",
];

/// With its indexes in one statement: MySQL has no `CREATE INDEX IF NOT EXISTS`.
#[cfg(feature = "mysql")]
const MYSQL_1: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS authflow_connections (
        shard SMALLINT NOT NULL,
        id BINARY(32) NOT NULL,
        user_tag BINARY(32) NOT NULL,
        key_bytes LONGBLOB NOT NULL,
        incarnation VARBINARY(16) NOT NULL,
        counter BIGINT NOT NULL,
        revision BIGINT NOT NULL,
        sealed LONGBLOB,
        due_at BIGINT,
        lease_holder VARBINARY(16),
        lease_until BIGINT,
        mark VARBINARY(60),
        mark_found VARBINARY(60),
        tombstone_until BIGINT,
        PRIMARY KEY (shard, id),
        INDEX authflow_connections_of_user (user_tag, id),
        INDEX authflow_connections_due (shard, due_at, id),
        INDEX authflow_connections_gone (tombstone_until)
    ) ENGINE = InnoDB",
    "CREATE TABLE IF NOT EXISTS authflow_pending_flows (
        id BINARY(32) NOT NULL PRIMARY KEY,
        flow LONGBLOB NOT NULL,
        expires_at BIGINT NOT NULL,
        INDEX authflow_pending_flows_end (expires_at)
    ) ENGINE = InnoDB",
];

/// How often it is begun again when another process makes the same tables.
const ATTEMPTS: usize = 20;

impl SqlDatabase {
    /// Makes the tables, or brings them up to the version of this release: `authflow_schema`, `authflow_connections` and
    /// `authflow_pending_flows`, in the schema or database that the connections are in.
    ///
    /// It may be called at every start, by any number of processes at once: where nothing is to be done it reads one number.
    /// What is stored stays. A release reads the tables of the release before it and its own.
    ///
    /// # Errors
    ///
    /// [`MigrateError`]. Nothing is lost; it can be called again.
    pub async fn migrate(&self) -> Result<(), MigrateError> {
        let mut attempts = ATTEMPTS;
        loop {
            attempts -= 1;
            match self.migrate_once().await {
                Ok(found) => return self.check_version(found),
                // Another process makes the same table in this moment; PostgreSQL says so with an error.
                Err(Failure::Duplicate(_) | Failure::InTheWay(_)) if attempts > 0 => {
                    tokio::task::yield_now().await;
                }
                Err(failure) => return Err(MigrateError::Database(failure.into_cause().into())),
            }
        }
    }

    /// The version of the tables afterwards.
    async fn migrate_once(&self) -> Result<i64, Failure> {
        let latest = self.latest();
        let found = match self.version().await {
            Ok(version) => version,
            Err(failure) if failure.is_missing_table() => 0,
            Err(failure) => return Err(failure),
        };
        if found >= latest {
            return Ok(found);
        }
        match &self.pool {
            #[cfg(feature = "sqlite")]
            AnyPool::Sqlite(pool) => {
                use crate::driver::sqlite;
                use sqlx::Connection as _;
                let mut connection = pool.acquire().await.map_err(not_done)?;
                // A transaction that only becomes a writer's later fails where it could have waited.
                let begin = connection.begin_with("BEGIN IMMEDIATE");
                let mut transaction = self.in_time(Stage::Revocable, begin).await?;
                sqlite::run(&mut transaction, VERSIONS).await.map_err(not_done)?;
                let version = self.version_query();
                let found = read_version(sqlite::rows(&mut transaction, &bound(&version, &[])).await)?;
                for (version, statements) in self.missing(found) {
                    for statement in statements {
                        sqlite::run(&mut transaction, statement).await.map_err(not_done)?;
                    }
                    let (sql, values) = (self.insert_query(), [("version", Value::Integer(version))]);
                    sqlite::changed(&mut transaction, &bound(&sql, &values)).await.map_err(not_done)?;
                }
                self.in_time(Stage::Final, transaction.commit()).await?;
            }
            #[cfg(feature = "postgres")]
            AnyPool::Postgres(pool) => {
                use crate::driver::postgres;
                let mut transaction = pool.begin().await.map_err(not_done)?;
                postgres::run(&mut transaction, VERSIONS).await.map_err(not_done)?;
                // It is the transaction's, not the session's: it holds behind a pooler, and ends with the connection.
                let lock = "LOCK TABLE authflow_schema IN ACCESS EXCLUSIVE MODE";
                postgres::run(&mut transaction, lock).await.map_err(not_done)?;
                let version = self.version_query();
                let found = read_version(postgres::rows(&mut transaction, &bound(&version, &[])).await)?;
                for (version, statements) in self.missing(found) {
                    for statement in statements {
                        postgres::run(&mut transaction, statement).await.map_err(not_done)?;
                    }
                    let (sql, values) = (self.insert_query(), [("version", Value::Integer(version))]);
                    postgres::changed(&mut transaction, &bound(&sql, &values)).await.map_err(not_done)?;
                }
                self.in_time(Stage::Final, transaction.commit()).await?;
            }
            #[cfg(feature = "mysql")]
            AnyPool::MySql(pool) => {
                use crate::driver::mysql;
                let mut connection = pool.acquire().await.map_err(not_done)?;
                mysql::run(&mut connection, VERSIONS).await.map_err(not_done)?;
                for (version, statements) in self.missing(found) {
                    for statement in statements {
                        mysql::run(&mut connection, statement).await.map_err(not_done)?;
                    }
                    let (sql, values) = (self.insert_query(), [("version", Value::Integer(version))]);
                    match mysql::changed(&mut connection, &bound(&sql, &values)).await.map_err(not_done) {
                        // Another process was here, and did the same.
                        Ok(_) | Err(Failure::Duplicate(_)) => {}
                        Err(failure) => return Err(failure),
                    }
                }
            }
        }
        Ok(latest)
    }

    async fn version(&self) -> Result<i64, Failure> {
        let row = self.read(&self.version_query(), &[]).await?.into_iter().next();
        Ok(row.and_then(|mut row| row.integer()).unwrap_or_default())
    }

    fn version_query(&self) -> Sql {
        Sql::new(self.dialect(), "SELECT MAX(version) FROM authflow_schema", &[], &[Column::Integer])
    }

    fn insert_query(&self) -> Sql {
        Sql::new(self.dialect(), "INSERT INTO authflow_schema (version) VALUES (:version)", &[], &[])
    }

    fn check_version(&self, found: i64) -> Result<(), MigrateError> {
        let known = self.latest();
        if found > known { Err(MigrateError::Newer { found, known }) } else { Ok(()) }
    }

    fn latest(&self) -> i64 {
        i64::try_from(migrations(self.dialect()).len()).unwrap_or(i64::MAX)
    }

    fn missing(&self, found: i64) -> impl Iterator<Item = (i64, &'static [&'static str])> + use<> {
        (1..).zip(migrations(self.dialect()).iter().copied()).filter(move |(version, _)| *version > found)
    }
}

#[cfg(any(feature = "postgres", feature = "sqlite"))]
fn read_version(rows: Result<Vec<crate::driver::Row>, sqlx::Error>) -> Result<i64, Failure> {
    let row = rows.map_err(not_done)?.into_iter().next();
    Ok(row.and_then(|mut row| row.integer()).unwrap_or_default())
}

/// Without a name, for what is said once.
const fn bound<'v>(sql: &'v Sql, parameters: &'v Parameters<'v>) -> Bound<'v> {
    Bound { sql, parameters, named: false }
}

/// The tables are made again until they are there: how far it came does not matter.
fn not_done(error: sqlx::Error) -> Failure {
    failure(error, Stage::Revocable)
}
