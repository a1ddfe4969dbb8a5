//! Caps of buckets, for stores that keep their flows in another place.

mod counts;

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use tokio::runtime::Handle;

use self::counts::{Counts, Flow};
use crate::memory::{lock, milliseconds, whole_milliseconds};
use crate::state::{Bucket, PendingFlow, StateContext, StateKey, StoreError, StoreErrorKind};

/// Caps the pending flows of each [`Bucket`], for a [`StateStore`](crate::StateStore) that keeps them in another place: at a
/// bucket's cap, a new flow takes the place of that bucket's oldest.
///
/// It counts, in this process, the flows that it sees stored. So
///
/// - of one bucket, a store that several processes share holds at most as many flows as all their caps together;
/// - a flow that another process finished is counted until its time to live ends, and takes a place until then;
/// - a restart begins at zero: what was stored before ends with its time to live.
///
/// To count in the store would cost another command with each flow, to other keys than the flow's own.
///
/// An implementation of [`StateStore`](crate::StateStore) has one, which all its clones share, and does its work within
/// [`store`](Self::store) and [`check`](Self::check):
///
/// ```
/// # use std::{collections::HashMap, sync::{Arc, Mutex}, time::Duration};
/// use authflow_core::{BucketCaps, PendingFlow, StateContext, StateKey, StateStore, StoreError, async_trait};
///
/// #[derive(Clone, Debug)]
/// struct TableStore {
///     table: Table,
///     buckets: Arc<BucketCaps>,
/// }
/// # #[derive(Clone, Debug, Default)]
/// # struct Table(Arc<Mutex<HashMap<StateKey, PendingFlow>>>);
/// # impl Table {
/// #     async fn insert(&self, key: &StateKey, flow: PendingFlow, _: Duration) -> Result<(), StoreError> {
/// #         self.0.lock().unwrap().insert(*key, flow);
/// #         Ok(())
/// #     }
/// #     async fn take(&self, key: &StateKey) -> Result<Option<PendingFlow>, StoreError> {
/// #         Ok(self.0.lock().unwrap().remove(key))
/// #     }
/// # }
///
/// #[async_trait]
/// impl StateStore for TableStore {
///     async fn store_state(
///         &self,
///         cx: &StateContext<'_>,
///         key: &StateKey,
///         flow: PendingFlow,
///         ttl: Duration,
///     ) -> Result<(), StoreError> {
///         let bucket = flow.bucket;
///         let remove = |oldest| {
///             let table = self.table.clone();
///             async move { table.take(&oldest).await.map(drop) }
///         };
///         self.buckets.store(cx, key, bucket, ttl, self.table.insert(key, flow, ttl), remove).await
///     }
///
///     async fn check_state(
///         &self,
///         _: &StateContext<'_>,
///         key: &StateKey,
///     ) -> Result<Option<PendingFlow>, StoreError> {
///         self.buckets.check(key, self.table.take(key)).await
///     }
/// }
/// # let extensions = http::Extensions::new();
/// # let cx = StateContext::new(&extensions, std::time::SystemTime::UNIX_EPOCH);
/// # let store = TableStore { table: Table::default(), buckets: Arc::new(BucketCaps::new(2)) };
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// # for n in 0..10 {
/// #     let mut flow = PendingFlow::new("p", "https://app.example/cb", cx.now, Duration::from_secs(600));
/// #     flow.bucket = Some(authflow_core::Bucket::of(b"192.0.2.1"));
/// #     store.store_state(&cx, &StateKey::from_bytes([n; 32]), flow, Duration::from_secs(600)).await.unwrap();
/// # }
/// # assert_eq!(store.table.0.lock().unwrap().len(), 2);
/// # assert!(store.check_state(&cx, &StateKey::from_bytes([9; 32])).await.unwrap().is_some());
/// # });
/// ```
///
/// A flow takes about 150 bytes here, as long as it lives. 65,536 are counted at most: then the one that was stored first is
/// counted no longer, and ends with its time to live. What has ended goes bit by bit, with the flows that are stored.
pub struct BucketCaps {
    counts: Mutex<Counts>,
    capacity: usize,
}

impl BucketCaps {
    /// How many flows of one bucket there may be where nothing else is set.
    pub const DEFAULT_CAPACITY: usize = 256;

    /// Counts up to `bucket_capacity` flows of one bucket, which is at least one. 65,536 or more is no cap.
    #[must_use]
    pub fn new(bucket_capacity: usize) -> Self {
        Self { counts: Mutex::default(), capacity: bucket_capacity.max(1) }
    }

    /// Lets `store` store the flow of `bucket` under `key`, counts it for `ttl`, and has the bucket's oldest flow removed where
    /// there are too many. Without a bucket it only stores.
    ///
    /// `remove` makes the future that removes a flow. It is made for a key that has no place any more, and runs in a task of its
    /// own, for which this call waits. Whoever goes away while `store` is on its way is counted all the same: the flow may have
    /// been stored.
    ///
    /// # Errors
    ///
    /// Those of `store`. After [`StoreErrorKind::OutcomeUnknown`] the flow is counted, for it may have been stored. That the
    /// oldest could not be removed is no error: it ends with its time to live.
    pub async fn store<R>(
        &self,
        cx: &StateContext<'_>,
        key: &StateKey,
        bucket: Option<Bucket>,
        ttl: Duration,
        store: impl Future<Output = Result<(), StoreError>> + Send,
        remove: impl FnOnce(StateKey) -> R + Send,
    ) -> Result<(), StoreError>
    where
        R: Future<Output = Result<(), StoreError>> + Send + 'static,
    {
        let Some(bucket) = bucket else { return store.await };
        let flow = Flow { key: *key, bucket, stored_at: milliseconds(cx.now), ttl: whole_milliseconds(ttl) };
        let mut storing = Storing { caps: self, flow, remove: Some(remove) };
        let stored = store.await;
        match &stored {
            Ok(()) => {}
            Err(error) if error.kind() == StoreErrorKind::OutcomeUnknown => {}
            Err(_) => {
                storing.remove = None;
                return stored;
            }
        }
        if let Some(removing) = storing.end() {
            match Handle::try_current() {
                Ok(runtime) => drop(runtime.spawn(removing).await),
                Err(_) => removing.await,
            }
        }
        stored
    }

    /// Lets `check` take the flow under `key`, which is counted no longer once it is gone.
    ///
    /// # Errors
    ///
    /// Those of `check`.
    pub async fn check(
        &self,
        key: &StateKey,
        check: impl Future<Output = Result<Option<PendingFlow>, StoreError>> + Send,
    ) -> Result<Option<PendingFlow>, StoreError> {
        let checked = check.await;
        let is_gone = checked.as_ref().map_or_else(|error| error.kind() == StoreErrorKind::Corrupt, |_| true);
        if is_gone {
            lock(&self.counts).forget(key);
        }
        checked
    }
}

impl Default for BucketCaps {
    fn default() -> Self {
        Self::new(Self::DEFAULT_CAPACITY)
    }
}

impl fmt::Debug for BucketCaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BucketCaps").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

/// A flow that is being stored. Whoever goes away meanwhile drops it.
struct Storing<'c, F, R>
where
    F: FnOnce(StateKey) -> R,
    R: Future<Output = Result<(), StoreError>> + Send + 'static,
{
    caps: &'c BucketCaps,
    flow: Flow,
    /// Until the flow is counted, or known not to be stored.
    remove: Option<F>,
}

impl<F, R> Storing<'_, F, R>
where
    F: FnOnce(StateKey) -> R,
    R: Future<Output = Result<(), StoreError>> + Send + 'static,
{
    /// Counts the flow, and makes what removes the one that has no place any more.
    ///
    /// Not before it was sent: it could lose its place to others while it is on its way, and would be stored when nobody
    /// counts it.
    fn end(&mut self) -> Option<impl Future<Output = ()> + Send + 'static> {
        let remove = self.remove.take()?;
        let oldest = lock(&self.caps.counts).add(self.flow, self.caps.capacity)?;
        let removing = remove(oldest);
        Some(async move {
            // What cannot be removed ends with its time to live. The caller's own flow is stored all the same.
            let _ = removing.await;
        })
    }
}

impl<F, R> Drop for Storing<'_, F, R>
where
    F: FnOnce(StateKey) -> R,
    R: Future<Output = Result<(), StoreError>> + Send + 'static,
{
    fn drop(&mut self) {
        if let (Some(removing), Ok(runtime)) = (self.end(), Handle::try_current()) {
            runtime.spawn(removing);
        }
    }
}
