//! The state store: what each of its operations does in its shard.

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use authflow_core::{BucketCaps, PendingFlow, Shard, StateContext, StateKey, StateStore, StoreError};

use crate::error::{Doing, FileStoreError};
use crate::flows::Flows;
use crate::names::FlowName;
use crate::shard::Access;
use crate::turns::Turns;

/// Keeps pending flows in files of one directory, for programs on one machine: one process may begin a flow and another one
/// finish it.
///
/// Any number of processes may use one directory at once, and any number of stores in a process. A
/// [`FileTokenStore`](crate::FileTokenStore) may use the same directory: flows are in sub-directories of their own.
///
/// - Of any number of calls that check a state, in all processes, the one that removed its file gets the flow, once the removal
///   is on the disk. A loss of power may cost a flow; it never gives one out twice.
/// - The time to live is counted by a clock that all processes of the machine share, and nobody sets on Linux: see "Time" on
///   the page of the crate. A flow ends with the boot it began in.
/// - What has ended is let go of bit by bit, with the flows that are stored after it.
/// - At the cap of its [`Bucket`](authflow_core::Bucket) ([`bucket_capacity`](Self::bucket_capacity)) a new flow takes the place of
///   that bucket's oldest. Each store counts the flows that it stored itself: [`BucketCaps`] says what that means where several
///   processes share the directory. For the whole there is a [`capacity`](Self::capacity).
/// - Flows are not sealed. Each file has a verifier and names a user; it is for its owner alone (mode 0600) and holds no token.
pub struct FileStateStore {
    turns: Turns,
    shard_capacity: usize,
    buckets: BucketCaps,
}

/// How many flows there may be where nothing else is set.
const CAPACITY: usize = 65_536;

const fn of_a_shard(capacity: usize) -> usize {
    let most = capacity.div_ceil(Shard::COUNT as usize);
    if most == 0 { 1 } else { most }
}

impl FileStateStore {
    /// Opens the store in `directory`, and makes it with mode 0700 where it is missing.
    ///
    /// # Errors
    ///
    /// A [`FileStoreError`] that says what to do: the directory is a symbolic link or no directory, it belongs to another
    /// user, others may use it, it is on a network file system, or the operating system does not let it be used.
    pub async fn open(directory: impl Into<PathBuf>) -> Result<Self, FileStoreError> {
        let turns = Turns::open(directory.into()).await?;
        Ok(Self { turns, shard_capacity: of_a_shard(CAPACITY), buckets: BucketCaps::default() })
    }

    /// Sets how long a call waits for other processes that work on the same shard, before it is
    /// [`Unavailable`](authflow_core::StoreErrorKind::Unavailable). 10 seconds if not set. A process that dies lets go of its
    /// lock at once; this is for one that was stopped.
    #[must_use]
    pub const fn lock_wait(mut self, duration: Duration) -> Self {
        self.turns.lock_wait = duration;
        self
    }

    /// Sets how many flows there may be. 65 536 if not set, of about half a kilobyte each, or a block of the file system.
    ///
    /// Each of the 64 shards has its share, rounded up. Where a shard is full, a new flow takes the place of the one that ends
    /// first of the eight that it looks at, whosever it is: it is to be far above what one bucket may have.
    #[must_use]
    pub const fn capacity(mut self, flows: usize) -> Self {
        self.shard_capacity = of_a_shard(flows);
        self
    }

    /// Sets how many flows of one [`Bucket`](authflow_core::Bucket), which is a user or an address, this store stores; at least
    /// one. 256 if not set; 65,536 or more is no cap: see [`BucketCaps`]. It begins to count anew.
    #[must_use]
    pub fn bucket_capacity(mut self, flows: usize) -> Self {
        self.buckets = BucketCaps::new(flows);
        self
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.turns.root()
    }
}

impl fmt::Debug for FileStateStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStateStore").field("directory", self.turns.root()).finish_non_exhaustive()
    }
}

#[async_trait]
impl StateStore for FileStateStore {
    async fn store_state(
        &self,
        cx: &StateContext<'_>,
        key: &StateKey,
        flow: PendingFlow,
        ttl: Duration,
    ) -> Result<(), StoreError> {
        let (bucket, name, most) = (flow.bucket, FlowName::of(key), self.shard_capacity);
        let root = self.turns.root().clone();
        let store = self.turns.locked(name.shard(), Access::Make, move |locked, now| {
            let missing = || FileStoreError::io(Doing::Make, &*root, ErrorKind::NotFound);
            Flows::make(locked.ok_or_else(missing)?)?.store(&name, &flow, ttl, most, now)
        });
        let remove = |oldest| {
            let turns = self.turns.clone();
            async move { take(&turns, &oldest).await.map(drop) }
        };
        self.buckets.store(cx, key, bucket, ttl, store, remove).await
    }

    async fn check_state(
        &self,
        _: &StateContext<'_>,
        key: &StateKey,
    ) -> Result<Option<PendingFlow>, StoreError> {
        self.buckets.check(key, take(&self.turns, key)).await
    }
}

async fn take(turns: &Turns, key: &StateKey) -> Result<Option<PendingFlow>, StoreError> {
    let name = FlowName::of(key);
    turns
        .locked(name.shard(), Access::Change, move |locked, now| {
            let flows = locked.map_or(Ok(None), Flows::open)?;
            flows.map_or(Ok(None), |flows| flows.take(&name, now))
        })
        .await
}
