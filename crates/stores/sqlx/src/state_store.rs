//! The state store.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use authflow_core::{
    BucketCaps, PendingFlow, StateContext, StateKey, StateStore, StoreError, StoreErrorKind, async_trait,
};

use crate::database::SqlDatabase;
use crate::driver::Value;
use crate::error::Failure;
use crate::row::lasting;
use crate::sql::Column::{Bytes, Integer};
use crate::sql::{Dialect, Sql};

/// Keeps pending flows in SQLite, PostgreSQL, MySQL or MariaDB. Cheap to clone; the clones share their connections to the
/// database, and count the flows of a bucket together.
///
/// A flow is one row of `authflow_pending_flows`, found by the 32 bytes of its [`StateKey`]. Of any number of calls that check a
/// state, the one whose `DELETE` removed the row gets the flow. Nothing is sent twice unless it is certain that nothing was done.
/// The database counts the time to live, by its own clock.
///
/// At the cap of its [`Bucket`](authflow_core::Bucket) ([`bucket_capacity`](Self::bucket_capacity)) a new flow takes the place of
/// that bucket's oldest, which is removed as a check removes it; below the cap nothing more is sent. Each process counts the flows
/// that it stored itself: [`BucketCaps`] says what that means where several share the database.
#[derive(Clone)]
pub struct SqlStateStore {
    database: SqlDatabase,
    statements: Arc<Statements>,
    buckets: Arc<BucketCaps>,
}

struct Statements {
    insert: Sql,
    /// Makes room for a flow under a key whose flow has ended.
    remove_ended: Sql,
    take: Sql,
    read: Sql,
    remove_read: Sql,
    purge: Sql,
    stored: AtomicUsize,
}

/// With how many flows those that ended are let go of once: with the first, too, as a process may end before it has stored so many.
const PURGE_EVERY: usize = 64;

/// Enough that the flows of the time between two purges go with the second.
const fn purge(dialect: Dialect) -> &'static str {
    match dialect {
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite => {
            "DELETE FROM authflow_pending_flows WHERE id IN (\
     SELECT id FROM authflow_pending_flows WHERE expires_at <= {now_for_index} ORDER BY expires_at LIMIT 256)"
        }
        #[cfg(feature = "postgres")]
        Dialect::Postgres => {
            "DELETE FROM authflow_pending_flows WHERE id IN (\
     SELECT id FROM authflow_pending_flows WHERE expires_at <= {now_for_index} \
     ORDER BY expires_at LIMIT 256 FOR UPDATE SKIP LOCKED)"
        }
        #[cfg(feature = "mysql")]
        Dialect::MySql => {
            "DELETE FROM authflow_pending_flows WHERE expires_at <= {now_for_index} \
     ORDER BY expires_at LIMIT 256"
        }
    }
}

impl SqlStateStore {
    /// A store in the tables that [`SqlDatabase::migrate`] made.
    #[must_use]
    pub fn new(database: &SqlDatabase) -> Self {
        let sql = |template, columns| Sql::new(database.dialect(), template, &[], columns);
        let statements = Statements {
            insert: sql(
                "INSERT INTO authflow_pending_flows (id, flow, expires_at) VALUES (:id, :flow, {now} + :ttl)",
                &[],
            ),
            remove_ended: sql(
                "DELETE FROM authflow_pending_flows WHERE id = :id AND expires_at <= {now}",
                &[],
            ),
            take: sql(
                "DELETE FROM authflow_pending_flows WHERE id = :id RETURNING flow, expires_at, {now}",
                &[Bytes, Integer, Integer],
            ),
            read: sql(
                "SELECT flow, expires_at, {now} FROM authflow_pending_flows WHERE id = :id",
                &[Bytes, Integer, Integer],
            ),
            remove_read: sql(
                "DELETE FROM authflow_pending_flows WHERE id = :id AND flow = :flow AND expires_at = :expires",
                &[],
            ),
            purge: sql(purge(database.dialect()), &[]),
            stored: AtomicUsize::new(0),
        };
        Self { database: database.clone(), statements: Arc::new(statements), buckets: Arc::default() }
    }

    /// Sets how many flows of one [`Bucket`](authflow_core::Bucket), which is a user or an address, this process stores; at least
    /// one. 256 if not set; 65,536 or more is no cap: see [`BucketCaps`]. It begins to count anew, apart from the clones that were
    /// made before.
    #[must_use]
    pub fn bucket_capacity(mut self, flows: usize) -> Self {
        self.buckets = Arc::new(BucketCaps::new(flows));
        self
    }

    async fn put(&self, key: &StateKey, flow: PendingFlow, ttl: Duration) -> Result<(), StoreError> {
        let (key, flow, ttl) = (*key.as_bytes(), flow.to_bytes(), lasting(ttl));
        if self.statements.stored.fetch_add(1, Ordering::Relaxed).is_multiple_of(PURGE_EVERY) {
            // It is no harm if it cannot be done now.
            let _ = self.database.write(&self.statements.purge, &[]).await;
        }
        match self.insert(&key, &flow, ttl).await {
            Err(Failure::Duplicate(_)) => {}
            result => return Ok(result?),
        }
        let here = [("id", Value::Bytes(&key[..]))];
        if self.database.write(&self.statements.remove_ended, &here).await? == 0 {
            return Err(StoreError::new(StoreErrorKind::Conflict));
        }
        match self.insert(&key, &flow, ttl).await {
            Err(Failure::Duplicate(_)) => Err(StoreError::new(StoreErrorKind::Conflict)),
            result => Ok(result?),
        }
    }

    async fn insert(&self, key: &[u8], flow: &[u8], ttl: i64) -> Result<(), Failure> {
        let values = [("id", Value::Bytes(key)), ("flow", Value::Bytes(flow)), ("ttl", Value::Integer(ttl))];
        self.database.write(&self.statements.insert, &values).await.map(|_| ())
    }

    /// The flow and when it ends and ended, from whoever removed its row.
    async fn take(&self, key: &[u8]) -> Result<Option<Taken>, Failure> {
        let here = [("id", Value::Bytes(key))];
        if self.database.dialect().returns_what_it_wrote() {
            let rows = self.database.write_returning(&self.statements.take, &here).await?;
            return Ok(rows.into_iter().next().map(Taken::read));
        }
        let rows = self.database.read(&self.statements.read, &here).await?;
        let Some(taken) = rows.into_iter().next().map(Taken::read) else { return Ok(None) };
        let values = [
            ("id", Value::Bytes(key)),
            ("flow", Value::Bytes(&taken.flow)),
            ("expires", Value::Integer(taken.expires_at)),
        ];
        let removed = self.database.write(&self.statements.remove_read, &values).await?;
        Ok(Some(taken).filter(|_| removed == 1))
    }
}

#[async_trait]
impl StateStore for SqlStateStore {
    async fn store_state(
        &self,
        cx: &StateContext<'_>,
        key: &StateKey,
        flow: PendingFlow,
        ttl: Duration,
    ) -> Result<(), StoreError> {
        let bucket = flow.bucket;
        let remove = |oldest: StateKey| {
            let store = self.clone();
            async move { store.take(oldest.as_bytes()).await.map(drop).map_err(StoreError::from) }
        };
        self.buckets.store(cx, key, bucket, ttl, self.put(key, flow, ttl), remove).await
    }

    async fn check_state(
        &self,
        _: &StateContext<'_>,
        key: &StateKey,
    ) -> Result<Option<PendingFlow>, StoreError> {
        let check = async {
            match self.take(key.as_bytes()).await? {
                Some(taken) if taken.now < taken.expires_at => PendingFlow::from_bytes(&taken.flow).map(Some),
                _ => Ok(None),
            }
        };
        self.buckets.check(key, check).await
    }
}

impl fmt::Debug for SqlStateStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlStateStore").field("database", &self.database).finish_non_exhaustive()
    }
}

struct Taken {
    flow: Vec<u8>,
    expires_at: i64,
    now: i64,
}

impl Taken {
    fn read(mut row: crate::driver::Row) -> Self {
        Self {
            flow: row.bytes().unwrap_or_default(),
            expires_at: row.integer().unwrap_or_default(),
            now: row.integer().unwrap_or_default(),
        }
    }
}
