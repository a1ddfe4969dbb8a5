//! A database that stores share: its pool, and how statements are sent.

use std::fmt;
use std::future::Future;
use std::time::Duration;

#[cfg(any(feature = "mysql", feature = "postgres"))]
use sqlx::pool::PoolConnection;

use crate::driver::{Bound, Parameters, Row};
use crate::error::{Failure, Stage, failure, timed_out};
use crate::sql::{Dialect, Sql};

/// A database with the tables of authflow, for [`SqlTokenStore`](crate::SqlTokenStore) and
/// [`SqlStateStore`](crate::SqlStateStore). Cheap to clone; the clones share their connections.
#[derive(Clone)]
pub struct SqlDatabase {
    pub(crate) pool: AnyPool,
    prepares: bool,
    answer_timeout: Duration,
    pub(crate) is_durable: bool,
    /// One writes at a time in SQLite. Who waits for its turn here is woken; in the driver it would look again and again.
    #[cfg(feature = "sqlite")]
    turn: std::sync::Arc<tokio::sync::Semaphore>,
}

#[derive(Clone)]
pub(crate) enum AnyPool {
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::SqlitePool),
    #[cfg(feature = "postgres")]
    Postgres(sqlx::PgPool),
    #[cfg(feature = "mysql")]
    MySql(sqlx::MySqlPool),
}

/// How long a statement may take, where nothing else is said: longer than SQLite waits for another writer, and less than
/// `Connections` waits for a store.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(4);

impl SqlDatabase {
    /// Connections to SQLite that the application opened. The database file should have `journal_mode = WAL`, and the
    /// connections a `busy_timeout` below the [`answer_timeout`](Self::answer_timeout); [`open`](Self::open) sees to both.
    #[cfg(feature = "sqlite")]
    #[must_use]
    pub fn sqlite(pool: sqlx::SqlitePool) -> Self {
        Self::with(AnyPool::Sqlite(pool))
    }

    /// Connections to PostgreSQL that the application opened. A standby refuses every call: what it holds may be old.
    #[cfg(feature = "postgres")]
    #[must_use]
    pub fn postgres(pool: sqlx::PgPool) -> Self {
        Self::with(AnyPool::Postgres(pool))
    }

    /// Connections to MySQL or MariaDB that the application opened: to the primary, which these databases cannot be asked for.
    /// What a replica holds may be old.
    #[cfg(feature = "mysql")]
    #[must_use]
    pub fn mysql(pool: sqlx::MySqlPool) -> Self {
        Self::with(AnyPool::MySql(pool))
    }

    pub(crate) fn with(pool: AnyPool) -> Self {
        Self {
            pool,
            prepares: false,
            answer_timeout: ANSWER_TIMEOUT,
            is_durable: true,
            #[cfg(feature = "sqlite")]
            turn: std::sync::Arc::new(tokio::sync::Semaphore::new(1)),
        }
    }

    /// Lets PostgreSQL keep the statements prepared, each under a name: an operation is one round trip then, and otherwise
    /// four. Default: it does not.
    ///
    /// A pooler that gives each transaction another server connection (PgBouncer in transaction mode before 1.21 or without
    /// `max_prepared_statements`, and others like it) mixes up the statements of its clients. Turn this on where there is no
    /// pooler, or one that is known to keep them apart. It means nothing to the other databases.
    #[must_use]
    pub const fn prepared_statements(mut self, prepares: bool) -> Self {
        self.prepares = prepares;
        self
    }

    /// How long the answer to a statement may take. Default: 4 seconds. What a write did whose answer did not come is not
    /// known ([`StoreErrorKind::OutcomeUnknown`](authflow_core::StoreErrorKind::OutcomeUnknown)). How long a connection is
    /// waited for is a setting of the pool (`acquire_timeout`).
    #[must_use]
    pub const fn answer_timeout(mut self, timeout: Duration) -> Self {
        self.answer_timeout = timeout;
        self
    }

    /// Closes the connections, once those that are in use are given back. Every later call fails.
    pub async fn close(&self) {
        match &self.pool {
            #[cfg(feature = "sqlite")]
            AnyPool::Sqlite(pool) => pool.close().await,
            #[cfg(feature = "postgres")]
            AnyPool::Postgres(pool) => pool.close().await,
            #[cfg(feature = "mysql")]
            AnyPool::MySql(pool) => pool.close().await,
        }
    }

    pub(crate) const fn dialect(&self) -> Dialect {
        match &self.pool {
            #[cfg(feature = "sqlite")]
            AnyPool::Sqlite(_) => Dialect::Sqlite,
            #[cfg(feature = "postgres")]
            AnyPool::Postgres(_) => Dialect::Postgres,
            #[cfg(feature = "mysql")]
            AnyPool::MySql(_) => Dialect::MySql,
        }
    }

    /// What a statement finds. A lost answer is no harm.
    pub(crate) async fn read(&self, sql: &Sql, parameters: &Parameters<'_>) -> Result<Vec<Row>, Failure> {
        self.run(sql, parameters, Stage::Revocable, Wanted::Rows).await.map(|(rows, _)| rows)
    }

    /// What a statement changed and returns.
    pub(crate) async fn write_returning(
        &self,
        sql: &Sql,
        parameters: &Parameters<'_>,
    ) -> Result<Vec<Row>, Failure> {
        self.run(sql, parameters, Stage::Final, Wanted::Rows).await.map(|(rows, _)| rows)
    }

    /// How many rows a statement changed.
    pub(crate) async fn write(&self, sql: &Sql, parameters: &Parameters<'_>) -> Result<u64, Failure> {
        self.run(sql, parameters, Stage::Final, Wanted::Count).await.map(|(_, count)| count)
    }

    async fn run(
        &self,
        sql: &Sql,
        parameters: &Parameters<'_>,
        stage: Stage,
        wanted: Wanted,
    ) -> Result<(Vec<Row>, u64), Failure> {
        let mut attempts = ATTEMPTS;
        loop {
            attempts -= 1;
            match self.run_once(sql, parameters, stage, wanted).await {
                // It was rolled back because of another one, which therefore went on.
                Err(Failure::InTheWay(_)) if attempts > 0 => tokio::task::yield_now().await,
                result => return result,
            }
        }
    }

    async fn run_once(
        &self,
        sql: &Sql,
        parameters: &Parameters<'_>,
        stage: Stage,
        wanted: Wanted,
    ) -> Result<(Vec<Row>, u64), Failure> {
        let bound = Bound { sql, parameters, named: true };
        match &self.pool {
            #[cfg(feature = "sqlite")]
            AnyPool::Sqlite(pool) => {
                use crate::driver::sqlite;
                let _turn = match stage {
                    Stage::Final => Some(self.turn().await?),
                    Stage::Revocable => None,
                };
                // Each connection has a thread of its own, which ends what it began, whoever still waits.
                let mut connection = pool.acquire().await.map_err(|it| failure(it, Stage::Revocable))?;
                let work = async {
                    Ok(match wanted {
                        Wanted::Rows => (sqlite::rows(&mut connection, &bound).await?, 0),
                        Wanted::Count => (Vec::new(), sqlite::changed(&mut connection, &bound).await?),
                    })
                };
                self.in_time(stage, work).await
            }
            #[cfg(feature = "postgres")]
            AnyPool::Postgres(pool) => {
                let mut connection = Held::new(acquire(pool).await?);
                let done = if self.prepares {
                    let work = run_on_postgres(&mut connection.connection, &bound, wanted);
                    self.in_time(stage, work).await
                } else {
                    self.in_a_transaction(
                        &mut connection.connection,
                        Bound { named: false, ..bound },
                        stage,
                        wanted,
                    )
                    .await
                };
                connection.give_back_if(may_go_on(&done));
                done
            }
            #[cfg(feature = "mysql")]
            AnyPool::MySql(pool) => {
                use crate::driver::mysql;
                let mut connection = Held::new(acquire(pool).await?);
                let work = async {
                    let connection = &mut connection.connection;
                    Ok(match wanted {
                        Wanted::Rows => (mysql::rows(connection, &bound).await?, 0),
                        Wanted::Count => (Vec::new(), mysql::changed(connection, &bound).await?),
                    })
                };
                let done = self.in_time(stage, work).await;
                connection.give_back_if(may_go_on(&done));
                done
            }
        }
    }

    #[cfg(feature = "sqlite")]
    async fn turn(&self) -> Result<tokio::sync::SemaphorePermit<'_>, Failure> {
        match tokio::time::timeout(self.answer_timeout, self.turn.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(timed_out(Stage::Revocable)),
        }
    }

    /// A statement without a name is parsed in one round trip and run in another; a pooler may give each to another server
    /// connection unless they are in one transaction.
    #[cfg(feature = "postgres")]
    async fn in_a_transaction(
        &self,
        connection: &mut sqlx::PgConnection,
        bound: Bound<'_>,
        stage: Stage,
        wanted: Wanted,
    ) -> Result<(Vec<Row>, u64), Failure> {
        use sqlx::Connection as _;
        let work = async {
            let mut transaction = connection.begin().await?;
            let done = run_on_postgres(&mut transaction, &bound, wanted).await?;
            Ok((transaction, done))
        };
        let (transaction, done) = self.in_time(Stage::Revocable, work).await?;
        self.in_time(stage, transaction.commit()).await?;
        Ok(done)
    }

    pub(crate) async fn in_time<T>(
        &self,
        stage: Stage,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, Failure> {
        match tokio::time::timeout(self.answer_timeout, work).await {
            Ok(done) => done.map_err(|error| failure(error, stage)),
            Err(_) => Err(timed_out(stage)),
        }
    }
}

impl fmt::Debug for SqlDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The options of a pool hold the password.
        f.debug_struct("SqlDatabase")
            .field("dialect", &self.dialect())
            .field("prepares", &self.prepares)
            .field("answer_timeout", &self.answer_timeout)
            .finish_non_exhaustive()
    }
}

/// How often a statement is sent that the database rolled back for another's sake.
const ATTEMPTS: usize = 10;

#[derive(Clone, Copy)]
enum Wanted {
    Rows,
    Count,
}

#[cfg(feature = "postgres")]
async fn run_on_postgres(
    connection: &mut sqlx::PgConnection,
    bound: &Bound<'_>,
    wanted: Wanted,
) -> Result<(Vec<Row>, u64), sqlx::Error> {
    use crate::driver::postgres;
    Ok(match wanted {
        Wanted::Rows => (postgres::rows(connection, bound).await?, 0),
        Wanted::Count => (Vec::new(), postgres::changed(connection, bound).await?),
    })
}

#[cfg(any(feature = "mysql", feature = "postgres"))]
async fn acquire<D: sqlx::Database>(pool: &sqlx::Pool<D>) -> Result<PoolConnection<D>, Failure> {
    use crate::error::Cause;
    pool.acquire().await.map_err(|error| match error {
        // The pool has tried for all that time, and keeps to itself why it has none.
        sqlx::Error::PoolTimedOut if pool.size() == 0 => Failure::NotDone(Cause::Text(
            "no connection could be made in time: the database does not run, or takes none from here",
        )),
        error => failure(error, Stage::Revocable),
    })
}

/// Whether the connection is as it was before: an answer came, and the answer was the database's own.
#[cfg(any(feature = "mysql", feature = "postgres"))]
fn may_go_on<T>(done: &Result<T, Failure>) -> bool {
    use crate::error::{Cause, READ_ONLY, STANDBY};
    match done {
        Ok(_) | Err(Failure::InTheWay(_) | Failure::Duplicate(_) | Failure::Corrupt(_)) => true,
        // The address of one that takes no writes may lead elsewhere by now, and where it leads is found by connecting anew.
        Err(Failure::NotDone(cause)) => {
            matches!(cause, Cause::Refused { hint, .. } if ![READ_ONLY, STANDBY].contains(hint))
        }
        Err(Failure::Unknown(_)) => false,
    }
}

/// A connection that is closed, and not given back, if what was begun on it did not end: its caller went away, or no
/// answer came.
#[cfg(any(feature = "mysql", feature = "postgres"))]
struct Held<D: sqlx::Database> {
    connection: PoolConnection<D>,
    is_sound: bool,
}

#[cfg(any(feature = "mysql", feature = "postgres"))]
impl<D: sqlx::Database> Held<D> {
    const fn new(connection: PoolConnection<D>) -> Self {
        Self { connection, is_sound: false }
    }

    fn give_back_if(&mut self, is_sound: bool) {
        self.is_sound = is_sound;
    }
}

#[cfg(any(feature = "mysql", feature = "postgres"))]
impl<D: sqlx::Database> Drop for Held<D> {
    fn drop(&mut self) {
        if !self.is_sound {
            self.connection.close_on_drop();
        }
    }
}
