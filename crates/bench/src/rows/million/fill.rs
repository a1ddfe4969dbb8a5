//! Fills a store with copies of one connection, quicker than by connecting each.

use std::time::{Duration, SystemTime};

use authflow_core::{ConnectionKey, Incarnation, Loaded, SealedBytes, TokenStore, Write};
use authflow_sqlx::sqlx;
use tokio::task::JoinSet;

use crate::stores::open;

const AT_ONCE: usize = 64;
/// How many rows one statement writes.
const ROWS: usize = 5_000;

/// The columns that a copy has of its own, and those that it shares with the sample.
const COPY: &str = "INSERT INTO authflow_connections \
     (shard, id, user_tag, key_bytes, incarnation, counter, revision, sealed, due_at) \
     SELECT n.shard, n.id, n.tag, n.key, n.incarnation, s.counter, s.revision, n.sealed, n.due \
     FROM UNNEST($1::smallint[], $2::bytea[], $3::bytea[], $4::bytea[], $5::bytea[], $6::bytea[], $7::bigint[]) \
       AS n (shard, id, tag, key, incarnation, sealed, due), \
     (SELECT counter, revision FROM authflow_connections WHERE id = $8) AS s";

/// What the copies are made of.
#[derive(Clone)]
struct Sample {
    sealed: Vec<u8>,
    /// Where it says whose it is: the key's id, then the incarnation.
    whose: usize,
    due_at: SystemTime,
}

impl Sample {
    async fn load(store: &dyn TokenStore, key: &ConnectionKey) -> Self {
        let Loaded::Found(record) = store.load(key).await.unwrap() else { panic!("it was connected") };
        let sealed = record.sealed.as_bytes().to_vec();
        let id = key.id().as_bytes();
        let whose = sealed.windows(id.len()).position(|bytes| bytes == id);
        Self { whose: whose.expect("it is not sealed"), sealed, due_at: record.due_at.unwrap() }
    }

    fn copy(&self, key: &ConnectionKey, incarnation: Incarnation) -> Vec<u8> {
        let mut copy = self.sealed.clone();
        copy[self.whose..][..32].copy_from_slice(key.id().as_bytes());
        copy[self.whose + 32..][..16].copy_from_slice(incarnation.as_bytes());
        copy
    }
}

/// Writes a copy of `sample`'s connection for each of `keys` into the store at `address`.
pub(super) async fn fill(address: &str, sample: &ConnectionKey, keys: impl Iterator<Item = ConnectionKey>) {
    let store = open(address).await;
    let of = Sample::load(&*store, sample).await;
    if address.starts_with("postgres:") {
        return copy_rows(address, sample, &of, keys).await;
    }
    let mut tasks = JoinSet::new();
    for (number, key) in keys.enumerate() {
        while tasks.len() >= AT_ONCE {
            tasks.join_next().await.unwrap().unwrap();
        }
        let (store, of) = (store.clone(), of.clone());
        tasks.spawn(async move {
            let incarnation = Incarnation::random().unwrap();
            let write = Write::new(SealedBytes::new(of.copy(&key, incarnation)));
            let due_at = of.due_at + Duration::from_millis(number as u64);
            store.put(&key, incarnation, write.due_at(Some(due_at))).await.unwrap();
        });
    }
    tasks.join_all().await;
}

async fn copy_rows(
    address: &str,
    sample: &ConnectionKey,
    of: &Sample,
    keys: impl Iterator<Item = ConnectionKey>,
) {
    let pool = sqlx::PgPool::connect(address).await.unwrap();
    let due_at = of.due_at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
    let mut keys = keys.peekable();
    let mut due = i64::try_from(due_at).unwrap();
    while keys.peek().is_some() {
        let (mut shards, mut dues) = (Vec::<i16>::new(), Vec::<i64>::new());
        let mut bytes = [const { Vec::<Vec<u8>>::new() }; 5];
        for key in keys.by_ref().take(ROWS) {
            let incarnation = Incarnation::random().unwrap();
            let sealed = of.copy(&key, incarnation);
            shards.push(key.shard().number().into());
            dues.push(due);
            due += 1;
            let row = [
                key.id().as_bytes().to_vec(),
                key.user_tag().as_bytes().to_vec(),
                key.to_bytes(),
                incarnation.as_bytes().to_vec(),
                sealed,
            ];
            bytes.iter_mut().zip(row).for_each(|(column, value)| column.push(value));
        }
        let [ids, tags, names, incarnations, sealed] = bytes;
        let insert = sqlx::query(COPY).bind(shards).bind(ids).bind(tags).bind(names).bind(incarnations);
        let insert = insert.bind(sealed).bind(dues).bind(&sample.id().as_bytes()[..]);
        insert.execute(&pool).await.unwrap();
    }
    // As the server does by itself, a while after so many new rows.
    sqlx::query("VACUUM ANALYZE authflow_connections").execute(&pool).await.unwrap();
    // Else the server writes them down while it is measured.
    sqlx::query("CHECKPOINT").execute(&pool).await.unwrap();
    pool.close().await;
}
