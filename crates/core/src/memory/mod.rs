//! Pending flows in memory.

mod buckets;
mod parked;
mod shard;

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use self::buckets::Buckets;
use self::parked::Parked;
use self::shard::{Evicted, Shard};
use crate::state::{PendingFlow, StateContext, StateKey, StateStore, StoreError, StoreErrorKind};

/// Keeps pending flows in this process: sharded, expiring, capped for each bucket and in total.
///
/// A flow takes about 210 bytes. What has expired is let go bit by bit, with the calls that come; no call waits for more
/// than a few of them. [`purge_expired`](Self::purge_expired) lets go of all at once.
///
/// At its bucket's cap, a new flow takes the place of that bucket's oldest; at the store's cap, of the oldest near it. So
/// whoever begins many flows pushes out their own.
pub struct MemoryStateStore {
    shards: Box<[Apart<Mutex<Shard>>]>,
    buckets: Buckets,
    shard_capacity: usize,
}

/// The cap of the whole store where none is set.
const DEFAULT_CAPACITY: usize = 1_000_000;
/// The cap of one bucket where none is set.
const DEFAULT_BUCKET_CAPACITY: usize = 256;
/// More shards than processors that may call at once, so that two calls seldom meet.
const ENOUGH_SHARDS: usize = 64;
/// As many as the byte of the key that chooses one can name.
const MAX_SHARDS: usize = 256;
/// Above this a shard takes long to give memory back.
const LONG_SHARD: usize = 16_384;
/// A store so small that an exact cap matters more than concurrency has one shard.
const MIN_SHARD_CAPACITY: usize = 1024;

impl MemoryStateStore {
    /// A store for a million flows, 256 of one bucket.
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(DEFAULT_CAPACITY, DEFAULT_BUCKET_CAPACITY)
    }

    /// A store for `capacity` flows, `bucket_capacity` of one bucket. Each is at least one.
    #[must_use]
    pub fn with_capacity(capacity: usize, bucket_capacity: usize) -> Self {
        let capacity = capacity.max(1);
        let for_concurrency = (capacity / MIN_SHARD_CAPACITY).min(ENOUGH_SHARDS);
        let for_short_locks = (capacity / LONG_SHARD).min(MAX_SHARDS);
        let shards = for_concurrency.max(for_short_locks).max(1).next_power_of_two();
        Self {
            shards: (0..shards).map(|_| Apart(Mutex::new(Shard::default()))).collect(),
            buckets: Buckets::new(shards, bucket_capacity.max(1)),
            shard_capacity: capacity.div_ceil(shards),
        }
    }

    /// How many flows are held, expired ones that are still there included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(&shard.0).len()).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lets go of everything that has expired at `now`. Calls of other threads get their turn in between.
    pub fn purge_expired(&self, now: SystemTime) {
        let now = milliseconds(now);
        for shard in &self.shards {
            loop {
                let evicted = lock(&shard.0).expire(now);
                self.forget(&evicted);
                if evicted.is_empty() {
                    break;
                }
            }
        }
    }

    fn shard(&self, key: &StateKey) -> Option<&Mutex<Shard>> {
        // The number of shards is a power of two; the byte is one that the shard's own map does not look at.
        self.shards.get(usize::from(key.as_bytes()[31]) & (self.shards.len() - 1)).map(|shard| &shard.0)
    }

    fn forget(&self, evicted: &Evicted) {
        for (key, bucket) in evicted.counted() {
            self.buckets.remove(&bucket, &key);
        }
    }
}

/// A cache line of its own, with the one that processors fetch along: calls to two shards do not slow each other down.
#[repr(align(128))]
struct Apart<T>(T);

impl Default for MemoryStateStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStateStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStateStore").field("len", &self.len()).finish_non_exhaustive()
    }
}

#[async_trait]
impl StateStore for MemoryStateStore {
    async fn store_state(
        &self,
        cx: &StateContext<'_>,
        key: &StateKey,
        flow: PendingFlow,
        ttl: Duration,
    ) -> Result<(), StoreError> {
        let now = milliseconds(cx.now);
        let ttl = whole_milliseconds(ttl);
        let Some(shard) = self.shard(key) else { return Err(StoreError::new(StoreErrorKind::Unavailable)) };
        let bucket = flow.bucket;
        let flow = Parked::new(flow);
        let (stored, evicted) =
            lock(shard).store(key, flow, now, now.saturating_add(ttl), self.shard_capacity);
        self.forget(&evicted);
        if !stored {
            return Err(StoreError::new(StoreErrorKind::Conflict));
        }
        if let Some(bucket) = bucket {
            // Counted after it is stored: at worst a bucket holds one flow too many for a moment.
            for oldest in self.buckets.add(bucket, *key) {
                if let Some(shard) = self.shard(&oldest) {
                    let taken = lock(shard).take(&oldest, now);
                    self.forget(&taken.1);
                }
            }
        }
        Ok(())
    }

    async fn check_state(
        &self,
        cx: &StateContext<'_>,
        key: &StateKey,
    ) -> Result<Option<PendingFlow>, StoreError> {
        let now = milliseconds(cx.now);
        let Some(shard) = self.shard(key) else { return Ok(None) };
        let (found, evicted) = lock(shard).take(key, now);
        self.forget(&evicted);
        let Some(found) = found else { return Ok(None) };
        if let Some(bucket) = found.flow.bucket() {
            self.buckets.remove(&bucket, key);
        }
        Ok((now < found.expires_at).then(|| found.flow.into_flow()))
    }
}

/// A panic elsewhere leaves a shard whole: none of its changes can be half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn milliseconds(time: SystemTime) -> u64 {
    whole_milliseconds(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

/// In 64 bits: the division of 128 would be felt.
fn whole_milliseconds(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1000).saturating_add(duration.subsec_millis().into())
}
