//! The tables, and how they come to be.

use crate::database::{AnyPool, SqlDatabase};
use crate::error::{Cause, Failure, MigrateError, Stage, failure};
use crate::sql::{Column, Dialect, Sql};

/// How the tables of a database come to be.
pub(crate) struct Migrations {
    /// What is said before the version is read.
    pub(crate) first: &'static [&'static str],
    /// Reads the version of the tables.
    pub(crate) version: Sql,
    /// Writes that the tables have a version.
    pub(crate) insert: Sql,
    /// What each version adds to the one before: the first makes version 1. What was released is never edited.
    ///
    /// Each statement can be repeated, for MySQL and MariaDB end a transaction with each of them.
    steps: &'static [&'static [&'static str]],
}

impl Migrations {
    fn new(dialect: Dialect) -> Self {
        let (first, steps): (&[_], &[_]) = match dialect {
            #[cfg(feature = "sqlite")]
            Dialect::Sqlite => (&[VERSIONS], &[SQLITE_1]),
            #[cfg(feature = "postgres")]
            Dialect::Postgres => (&[VERSIONS, LOCK], &[POSTGRES_1]),
            #[cfg(feature = "mysql")]
            Dialect::MySql => (&[VERSIONS], &[MYSQL_1]),
        };
        Self {
            first,
            version: Sql::new(
                dialect,
                "SELECT MAX(version) FROM authflow_schema WHERE version > 0{primary}",
                &[],
                &[Column::Integer],
            ),
            insert: Sql::new(dialect, "INSERT INTO authflow_schema (version) VALUES (:version)", &[], &[]),
            steps,
        }
    }

    /// The version that this release makes.
    fn latest(&self) -> i64 {
        i64::try_from(self.steps.len()).unwrap_or(i64::MAX)
    }

    /// What tables of the version `found` lack, with the version that it makes of them.
    pub(crate) fn after(
        &self,
        found: i64,
    ) -> impl Iterator<Item = (i64, &'static [&'static str])> + use<> {
        (1..).zip(self.steps.iter().copied()).filter(move |(version, _)| *version > found)
    }
}

const VERSIONS: &str = "CREATE TABLE IF NOT EXISTS authflow_schema (version BIGINT NOT NULL PRIMARY KEY)";
/// It is the transaction's, not the session's: it holds behind a pooler, and ends with the connection.
#[cfg(feature = "postgres")]
const LOCK: &str = "LOCK TABLE authflow_schema IN ACCESS EXCLUSIVE MODE";

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
        let migrations = Migrations::new(self.dialect());
        let known = migrations.latest();
        let refused = |cause: Cause| MigrateError::Database(cause.into());
        let mut in_the_way = Cause::Text("the tables were made, and are not there");
        for _ in 0..ATTEMPTS {
            let found = self.version(&migrations).await.map_err(|it| refused(it.into_cause()))?;
            if found >= known {
                return if found > known { Err(MigrateError::Newer { found, known }) } else { Ok(()) };
            }
            match self.make(&migrations).await {
                Ok(()) => {}
                // Another process makes the same in this moment; PostgreSQL and MySQL say so with an error.
                Err(Failure::Duplicate(cause) | Failure::InTheWay(cause)) => {
                    in_the_way = cause;
                    tokio::task::yield_now().await;
                }
                Err(failure) => return Err(refused(failure.into_cause())),
            }
        }
        Err(refused(in_the_way))
    }

    /// The version of the tables; zero if there are none.
    async fn version(&self, migrations: &Migrations) -> Result<i64, Failure> {
        match self.read(&migrations.version, &[]).await {
            Ok(rows) => Ok(rows.into_iter().next().and_then(|mut row| row.integer()).unwrap_or_default()),
            Err(failure) if failure.is_missing_table() => Ok(0),
            Err(failure) => Err(failure),
        }
    }

    async fn make(&self, migrations: &Migrations) -> Result<(), Failure> {
        match &self.pool {
            #[cfg(feature = "sqlite")]
            AnyPool::Sqlite(pool) => {
                use sqlx::Connection as _;
                let mut connection = pool.acquire().await.map_err(not_done)?;
                // A transaction that only becomes a writer's later fails where it could have waited.
                let begin = connection.begin_with("BEGIN IMMEDIATE");
                let mut transaction = self.in_time(Stage::Revocable, begin).await?;
                crate::driver::sqlite::migrate(&mut transaction, migrations).await.map_err(not_done)?;
                self.in_time(Stage::Final, transaction.commit()).await
            }
            #[cfg(feature = "postgres")]
            AnyPool::Postgres(pool) => {
                let mut transaction = pool.begin().await.map_err(not_done)?;
                crate::driver::postgres::migrate(&mut transaction, migrations).await.map_err(not_done)?;
                self.in_time(Stage::Final, transaction.commit()).await
            }
            #[cfg(feature = "mysql")]
            AnyPool::MySql(pool) => {
                let mut connection = pool.acquire().await.map_err(not_done)?;
                crate::driver::mysql::migrate(&mut connection, migrations).await.map_err(not_done)
            }
        }
    }
}

/// The tables are made again until they are there: how far it came does not matter.
fn not_done(error: sqlx::Error) -> Failure {
    failure(error, Stage::Revocable)
}
