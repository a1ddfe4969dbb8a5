//! The state store.

use std::sync::Arc;
use std::time::Duration;

use authflow_core::{
    BucketCaps, PendingFlow, StateContext, StateKey, StateStore, StoreError, StoreErrorKind, async_trait,
};
use redis::{Cmd, Value};

use crate::config::{MAX_PREFIX, MAX_TTL, RedisConfig};
use crate::error::{Cause, ConnectError, Failure, NOT_REDIS, Refusal};
use crate::server::Server;

/// Keeps pending flows in Redis. Cheap to clone; the clones share their connections, and count the flows of a bucket together.
///
/// A flow is one key, `prefix` and the 32 bytes of the [`StateKey`], with [`PendingFlow::to_bytes`] as its value. Storing it
/// is `SET … NX PX`, checking it is `GETDEL`: one round trip each, and neither is ever sent a second time unless the server
/// said, or it is certain, that nothing was done. Redis counts the time to live, by its own clock.
///
/// At the cap of its [`Bucket`](authflow_core::Bucket) ([`RedisConfig::bucket_capacity`]) a new flow takes the place of that
/// bucket's oldest, which is removed by another `GETDEL`; below the cap nothing more is sent. Each process counts the flows that
/// it stored itself: [`BucketCaps`] says what that means where several share the server.
#[derive(Clone, Debug)]
pub struct RedisStateStore {
    server: Arc<Server>,
    prefix: Arc<str>,
    buckets: Arc<BucketCaps>,
}

impl RedisStateStore {
    /// Connects, and finds out whether everything is there that is needed: the server is reached and recent enough, takes
    /// writes, and lets the user do what has to be done. To see that, it writes a key that no flow can have, for a
    /// millisecond, and removes it.
    ///
    /// # Errors
    ///
    /// [`ConnectError`]: each says what to change.
    pub async fn connect(config: RedisConfig) -> Result<Self, ConnectError> {
        let server = Server::connect(&config).await?;
        let buckets = Arc::new(BucketCaps::new(config.bucket_capacity));
        let store = Self { server: Arc::new(server), prefix: config.prefix.into(), buckets };
        store.check_server().await?;
        Ok(store)
    }

    async fn check_server(&self) -> Result<(), ConnectError> {
        // No provider id, state and binding have this SHA-256.
        let key = Key::new(&self.prefix, &[0; 32]);
        let slot = self.server.slot(key.as_bytes());
        let info = self.server.info(slot).await?;
        match self.server.call(&set(&key, b"", Duration::from_millis(1)), slot).await {
            Ok(_) => {}
            Err(Failure::Refused(refusal)) if is_passing(&refusal) => {}
            Err(Failure::Refused(refusal)) if refusal.code() == "CLUSTERDOWN" => {
                return Err(ConnectError::NotACluster);
            }
            Err(failure) => return Err(failure.at_start()),
        }
        match self.server.call(&getdel(&key), slot).await {
            Ok(_) => Ok(()),
            // It looks for the command before it looks at the day.
            Err(Failure::Refused(refusal)) if is_passing(&refusal) => Ok(()),
            Err(Failure::Refused(refusal)) if refusal.is_unknown_command() => {
                Err(ConnectError::TooOld { version: info.find("redis_version").map(str::to_owned) })
            }
            Err(failure) => Err(failure.at_start()),
        }
    }

    async fn put(&self, key: &StateKey, flow: PendingFlow, ttl: Duration) -> Result<(), StoreError> {
        let (cmd, slot) = {
            let key = Key::new(&self.prefix, key.as_bytes());
            (set(&key, &flow.to_bytes(), ttl), self.server.slot(key.as_bytes()))
        };
        drop(flow);
        match self.server.call(&cmd, slot).await? {
            Value::Okay => Ok(()),
            Value::Nil => Err(StoreError::new(StoreErrorKind::Conflict)),
            _ => Err(unreadable()),
        }
    }

    async fn take(&self, key: &StateKey) -> Result<Option<PendingFlow>, StoreError> {
        let (cmd, slot) = {
            let key = Key::new(&self.prefix, key.as_bytes());
            (getdel(&key), self.server.slot(key.as_bytes()))
        };
        match self.server.call(&cmd, slot).await? {
            Value::Nil => Ok(None),
            Value::BulkString(bytes) => PendingFlow::from_bytes(&bytes).map(Some),
            _ => Err(unreadable()),
        }
    }
}

/// Whether the server is the right one, and has a bad day: that is what `begin` is for to say.
fn is_passing(refusal: &Refusal) -> bool {
    matches!(refusal.code(), "OOM" | "MISCONF" | "NOREPLICAS")
}

#[async_trait]
impl StateStore for RedisStateStore {
    async fn store_state(
        &self,
        cx: &StateContext<'_>,
        key: &StateKey,
        flow: PendingFlow,
        ttl: Duration,
    ) -> Result<(), StoreError> {
        let bucket = flow.bucket;
        let remove = |oldest| {
            let store = self.clone();
            // Not `DEL`, for which the user may have no right.
            async move { store.take(&oldest).await.map(drop) }
        };
        self.buckets.store(cx, key, bucket, ttl, self.put(key, flow, ttl), remove).await
    }

    async fn check_state(
        &self,
        _: &StateContext<'_>,
        key: &StateKey,
    ) -> Result<Option<PendingFlow>, StoreError> {
        self.buckets.check(key, self.take(key)).await
    }
}

/// An answer that the command does not have: nobody knows what the server did.
fn unreadable() -> StoreError {
    Failure::Lost(Cause::new(NOT_REDIS)).into()
}

fn set(key: &Key, value: &[u8], ttl: Duration) -> Cmd {
    // A time to live of zero is an error to Redis, and its resolution is a millisecond.
    let ttl = u64::try_from(ttl.as_millis()).unwrap_or(MAX_TTL).clamp(1, MAX_TTL);
    let mut cmd = Cmd::with_capacity(6, key.len + value.len() + 24);
    cmd.arg("SET").arg(key.as_bytes()).arg(value).arg("NX").arg("PX").arg(ttl);
    cmd
}

fn getdel(key: &Key) -> Cmd {
    let mut cmd = Cmd::with_capacity(2, key.len + 6);
    cmd.arg("GETDEL").arg(key.as_bytes());
    cmd
}

/// Prefix and state key, without an allocation.
struct Key {
    bytes: [u8; MAX_PREFIX + 32],
    len: usize,
}

impl Key {
    fn new(prefix: &str, key: &[u8; 32]) -> Self {
        let mut bytes = [0; MAX_PREFIX + 32];
        let mut len = 0;
        // `RedisConfig::check` keeps the prefix short enough.
        for (to, from) in bytes.iter_mut().zip(prefix.bytes().take(MAX_PREFIX).chain(*key)) {
            *to = from;
            len += 1;
        }
        Self { bytes, len }
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}
