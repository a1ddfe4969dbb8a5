//! Pending flows in memory.

mod buckets;
mod parked;
mod shard;

use std::fmt;
use std::future::ready;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use self::buckets::Buckets;
use self::shard::{Evicted, Shard};
use crate::bucket_caps::BucketCaps;
use crate::state::{PendingFlow, StateContext, StateKey, StateStore, StoreError, StoreErrorKind};

/// Keeps pending flows in this process: sharded, expiring, capped for each bucket and in total.
///
/// A flow takes about 210 bytes. What has expired is let go bit by bit, with the calls that come; no call waits for more
/// than a few of them, and one in some thousands for giving memory back. [`purge_expired`](Self::purge_expired) lets go of
/// all at once.
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
/// More shards than processors that may call at once, so that two calls seldom meet.
const ENOUGH_SHARDS: usize = 64;
/// As many as the bytes of the key that choose one can name.
const MAX_SHARDS: usize = 1 << 16;
/// Above this a shard takes long to give memory back.
const LONG_SHARD: usize = 16_384;
/// A store so small that an exact cap matters more than concurrency has one shard.
const MIN_SHARD_CAPACITY: usize = 1024;

impl MemoryStateStore {
    /// A store for a million flows, 256 of one bucket.
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(DEFAULT_CAPACITY, BucketCaps::DEFAULT_CAPACITY)
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
            let mut unseen = u32::MAX;
            while unseen > 0 {
                let mut evicted = Evicted::default();
                unseen = lock(&shard.0).expire_among(unseen, now, &mut evicted).unseen;
                self.forget(&evicted);
            }
        }
    }

    fn shard(&self, key: &StateKey) -> Option<&Mutex<Shard>> {
        // The number of shards is a power of two; the bytes are some that the shard's own map does not look at.
        let [.., one, other] = *key.as_bytes();
        let at = usize::from(u16::from_le_bytes([one, other])) & (self.shards.len() - 1);
        self.shards.get(at).map(|shard| &shard.0)
    }

    fn store(
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
        let expires_at = now.saturating_add(ttl);
        let mut evicted = Evicted::default();
        let is_stored = {
            let mut shard = lock(shard);
            let room = shard.make_room(key, now, expires_at, self.shard_capacity, &mut evicted);
            room.map(|room| room.park(flow)).is_some()
        };
        self.forget(&evicted);
        if !is_stored {
            return Err(StoreError::new(StoreErrorKind::Conflict));
        }
        if let Some(bucket) = bucket {
            // Counted after it is stored: at worst a bucket holds one flow too many for a moment.
            for oldest in self.buckets.add(bucket, *key) {
                if let Some(shard) = self.shard(&oldest) {
                    let mut pushed_out = None;
                    let mut evicted = Evicted::default();
                    lock(shard).take(&oldest, now, &mut pushed_out, &mut evicted);
                    self.forget(&evicted);
                }
            }
        }
        Ok(())
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

/// It was. Nothing is in it, so that in a box it takes no memory.
struct Stored;

impl Future for Stored {
    type Output = Result<(), StoreError>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(()))
    }
}

#[async_trait]
impl StateStore for MemoryStateStore {
    /// Stores when it is called, not when it is polled: the future would take the flow along, and move it five times.
    fn store_state<'a, 'b, 'c, 'd, 'async_trait>(
        &'a self,
        cx: &'b StateContext<'c>,
        key: &'d StateKey,
        flow: PendingFlow,
        ttl: Duration,
    ) -> Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + 'async_trait>>
    where
        'a: 'async_trait,
        'b: 'async_trait,
        'c: 'async_trait,
        'd: 'async_trait,
        Self: 'async_trait,
    {
        match self.store(cx, key, flow, ttl) {
            Ok(()) => Box::pin(Stored),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }

    async fn check_state(
        &self,
        cx: &StateContext<'_>,
        key: &StateKey,
    ) -> Result<Option<PendingFlow>, StoreError> {
        let now = milliseconds(cx.now);
        let Some(shard) = self.shard(key) else { return Ok(None) };
        let (mut found, mut evicted) = (None, Evicted::default());
        let expires_at = lock(shard).take(key, now, &mut found, &mut evicted);
        self.forget(&evicted);
        if let Some(PendingFlow { bucket: Some(bucket), .. }) = &found {
            self.buckets.remove(bucket, key);
        }
        if expires_at <= now {
            found = None;
        }
        Ok(found)
    }
}

/// A panic elsewhere leaves a shard whole: none of its changes can be half done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn milliseconds(time: SystemTime) -> u64 {
    whole_milliseconds(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

/// In 64 bits: the division of 128 would be felt.
pub(crate) fn whole_milliseconds(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1000).saturating_add(duration.subsec_millis().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A million flows lie in shards that give their memory back within a call, and ten million in more of those.
    #[test]
    fn a_larger_store_has_more_shards_and_no_longer_ones() {
        for (capacity, shards) in [
            (0, 1),
            (1_023, 1),
            (2_048, 2),
            (100_000, 64),
            (1_000_000, 64),
            (10_000_000, 1_024),
            (usize::MAX, 65_536),
        ] {
            let store = MemoryStateStore::with_capacity(capacity, 1);
            assert_eq!(store.shards.len(), shards, "for {capacity}");
            assert_eq!(store.shard_capacity, capacity.max(1).div_ceil(shards), "for {capacity}");
        }
    }
}
