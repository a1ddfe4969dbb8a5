//! What is said to the database about connections.

use crate::row::{RECORD, RECORD_COLUMNS};
use crate::sql::Column::{Bytes, Integer};
use crate::sql::{Column, Dialect, Sql};

#[derive(Debug)]
pub(crate) struct Statements {
    pub(crate) load: Sql,
    /// Writes a connect over nothing; with `ON CONFLICT`, over another incarnation as well.
    pub(crate) insert: Sql,
    /// Writes a connect over another incarnation.
    pub(crate) replace: Sql,
    /// Leases what may be leased, and returns it.
    pub(crate) lease: Sql,
    /// Leases the row that was read.
    pub(crate) lease_read: Sql,
    pub(crate) renew: Sql,
    pub(crate) release: Sql,
    pub(crate) save: Sql,
    /// Makes a tombstone of the row that was read.
    pub(crate) remove_read: Sql,
    /// Lets go of a few tombstones that ended.
    pub(crate) purge: Sql,
    pub(crate) list: Sql,
    pub(crate) due: Sql,
    pub(crate) walk: Sql,
}

const PIECES: &[(&str, &str)] = &[
    ("record", RECORD),
    ("here", "shard = :shard AND id = :id"),
    // What cannot be read stays as it is: a statement that changes it has to see as much as the reader of a row does.
    (
        "sound",
        "tombstone_until IS NULL AND key_bytes = :key AND length(incarnation) = 16 AND counter > 0 \
         AND sealed IS NOT NULL AND (due_at IS NULL OR due_at >= 0) \
         AND (lease_holder IS NULL) = (lease_until IS NULL) \
         AND (lease_holder IS NULL OR length(lease_holder) = 16) AND (mark IS NULL OR length(mark) = 60)",
    ),
    ("lasts", "lease_until > {now} AND lease_until <= {now} + {believed}"),
    ("held", "lease_holder = :holder AND {lasts}"),
    // No row ever has the same three again: each connect has another incarnation.
    ("as_read", "revision = :revision AND incarnation = :incarnation AND counter = :counter"),
    (
        "lease_set",
        "mark_found = mark, mark = COALESCE(:mark, mark), lease_holder = :holder, \
         lease_until = {now} + :duration, revision = revision + 1",
    ),
    ("lease_free", "(lease_until IS NULL OR NOT ({lasts}) OR lease_holder = :holder)"),
    ("nobody", "lease_holder = NULL, lease_until = NULL, mark = NULL, mark_found = NULL"),
];

const NEW_ROW: &str = "INSERT INTO authflow_connections \
     (shard, id, user_tag, key_bytes, incarnation, counter, revision, sealed, due_at) \
     VALUES (:shard, :id, :tag, :key, :incarnation, 1, 1, :sealed, :due)";

const NEW_ROW_OR_REPLACE: &str = "INSERT INTO authflow_connections \
     (shard, id, user_tag, key_bytes, incarnation, counter, revision, sealed, due_at) \
     VALUES (:shard, :id, :tag, :key, :incarnation, 1, 1, :sealed, :due) \
     ON CONFLICT (shard, id) DO UPDATE SET user_tag = excluded.user_tag, key_bytes = excluded.key_bytes, \
     incarnation = excluded.incarnation, counter = 1, revision = 1, \
     sealed = excluded.sealed, due_at = excluded.due_at, tombstone_until = NULL, {nobody} \
     WHERE authflow_connections.incarnation <> excluded.incarnation";

/// What another call purges or connects anew at this moment is passed over where a database can.
const fn purge(dialect: Dialect) -> &'static str {
    match dialect {
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite => {
            "DELETE FROM authflow_connections WHERE rowid IN (\
     SELECT rowid FROM authflow_connections WHERE tombstone_until <= {now_for_index} \
     ORDER BY tombstone_until LIMIT 64)"
        }
        #[cfg(feature = "postgres")]
        Dialect::Postgres => {
            "DELETE FROM authflow_connections WHERE (shard, id) IN (\
     SELECT shard, id FROM authflow_connections WHERE tombstone_until <= {now_for_index} \
     ORDER BY tombstone_until LIMIT 64 FOR UPDATE SKIP LOCKED)"
        }
        #[cfg(feature = "mysql")]
        Dialect::MySql => {
            "DELETE FROM authflow_connections WHERE tombstone_until <= {now_for_index} \
     ORDER BY tombstone_until LIMIT 64"
        }
    }
}

impl Statements {
    pub(crate) fn new(dialect: Dialect) -> Self {
        let sql = |template, columns: &'static [Column]| Sql::new(dialect, template, PIECES, columns);
        let insert = if dialect.returns_what_it_wrote() { NEW_ROW_OR_REPLACE } else { NEW_ROW };
        Self {
            load: sql("SELECT {record} FROM authflow_connections WHERE {here}{primary}", RECORD_COLUMNS),
            insert: sql(insert, &[]),
            replace: sql(
                "UPDATE authflow_connections SET user_tag = :tag, key_bytes = :key, incarnation = :incarnation, \
                 counter = 1, revision = 1, sealed = :sealed, due_at = :due, tombstone_until = NULL, {nobody} \
                 WHERE {here} AND incarnation <> :incarnation",
                &[],
            ),
            lease: sql(
                "UPDATE authflow_connections SET {lease_set} WHERE {here} AND {sound} AND {lease_free} \
                 AND (:any = 1 OR (incarnation = :incarnation AND counter = :counter)) RETURNING {record}",
                RECORD_COLUMNS,
            ),
            lease_read: sql(
                "UPDATE authflow_connections SET {lease_set} WHERE {here} AND {sound} AND {lease_free} AND {as_read}",
                &[],
            ),
            renew: sql(
                "UPDATE authflow_connections SET lease_until = {now} + :duration, mark = COALESCE(:mark, mark), \
                 revision = revision + 1 WHERE {here} AND {sound} AND {held}",
                &[],
            ),
            release: sql(
                "UPDATE authflow_connections SET lease_holder = NULL, lease_until = NULL, mark_found = NULL, \
                 mark = CASE WHEN :keep = 1 THEN mark ELSE NULL END, due_at = COALESCE(:due, due_at), \
                 revision = revision + 1 WHERE {here} AND {sound} AND {held}",
                &[],
            ),
            save: sql(
                "UPDATE authflow_connections SET sealed = :sealed, due_at = :due, counter = counter + 1, \
                 revision = revision + 1, {nobody} WHERE {here} AND {sound} AND incarnation = :incarnation \
                 AND counter = :counter AND (:any = 1 OR ({held}))",
                &[],
            ),
            remove_read: sql(
                "UPDATE authflow_connections SET tombstone_until = CASE WHEN {lasts} AND lease_until > {now} + :keep \
                 THEN lease_until ELSE {now} + :keep END, user_tag = :tag, key_bytes = :key, \
                 sealed = NULL, due_at = NULL, incarnation = :buried_incarnation, counter = :buried_counter, \
                 revision = revision + 1, {nobody} WHERE {here} AND {as_read}",
                &[],
            ),
            purge: sql(purge(dialect), &[]),
            list: sql(
                "SELECT {record} FROM authflow_connections WHERE user_tag = :tag AND id > :after \
                 AND tombstone_until IS NULL{primary} ORDER BY id LIMIT :limit",
                RECORD_COLUMNS,
            ),
            due: sql(
                "SELECT id, key_bytes, due_at FROM authflow_connections WHERE shard = :shard \
                 AND due_at < :time AND due_at >= :after_due AND (due_at > :after_due OR id > :after){primary} \
                 ORDER BY due_at, id LIMIT :limit",
                &[Bytes, Bytes, Integer],
            ),
            walk: sql(
                "SELECT id, key_bytes FROM authflow_connections WHERE shard = :shard AND id > :after \
                 AND tombstone_until IS NULL{primary} ORDER BY id LIMIT :limit",
                &[Bytes, Bytes],
            ),
        }
    }
}
