//! Connections in memory.

mod shard;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use self::shard::{DuePlace, Place, Refused, Room};
use super::{
    Cursor, Expected, Incarnation, KeyPage, LeaseHolder, LeaseOutcome, LeaseRequest, Loaded, Page,
    RecordPage, Release, Remove, RemoveOutcome, Renew, SaveOutcome, Tenure, TokenStore, Version, Write,
};
use crate::binding::User;
use crate::clock::{Clock, SystemClock};
use crate::connection_key::{ConnectionId, ConnectionKey, Shard, UserTag};
use crate::state::{StoreError, StoreErrorKind};

/// Keeps connections in this process: sharded, bounded, in order.
///
/// For tests, and for programs whose connections may end with the process. A store that is full refuses new connections;
/// it never lets one go for another. Connections and the tombstones of removed ones count alike.
pub struct MemoryTokenStore {
    shards: Box<[Mutex<shard::Shard>]>,
    room: Room,
    clock: Arc<dyn Clock>,
}

/// The cap where none is set.
const DEFAULT_CAPACITY: usize = 1_000_000;

impl MemoryTokenStore {
    /// A store for a million connections.
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(DEFAULT_CAPACITY)
    }

    /// A store for `capacity` connections.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        let shards = Shard::all().map(|_| Mutex::default()).collect();
        Self { shards, room: Room::new(capacity), clock: Arc::new(SystemClock::new()) }
    }

    /// Sets the clock by which leases and tombstones end: its monotonic time.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// How many connections and tombstones there are. Tombstones that have ended count until a later call lets them go.
    #[must_use]
    pub fn len(&self) -> usize {
        self.room.used()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn at(&self, key: &ConnectionKey) -> Result<(MutexGuard<'_, shard::Shard>, Place), StoreError> {
        let tag = key.user_tag();
        Ok((self.shard(tag.shard())?, (tag, *key.id())))
    }

    fn shard(&self, shard: Shard) -> Result<MutexGuard<'_, shard::Shard>, StoreError> {
        let shard = self.shards.get(usize::from(shard.number()));
        let shard = shard.ok_or_else(|| StoreError::new(StoreErrorKind::Unavailable))?;
        // A panic elsewhere leaves a shard whole: none of its changes can be half done.
        Ok(shard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lets go of a few tombstones that ended in each shard, and says of how many.
    fn purge(&self) -> Result<usize, StoreError> {
        let now = self.now();
        Shard::all().map(|shard| Ok(self.shard(shard)?.purge(now, &self.room))).sum()
    }

    fn now(&self) -> Duration {
        self.clock.monotonic()
    }
}

impl Default for MemoryTokenStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryTokenStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryTokenStore").field("len", &self.len()).finish_non_exhaustive()
    }
}

#[async_trait]
impl TokenStore for MemoryTokenStore {
    fn is_durable(&self) -> bool {
        false
    }

    async fn put(
        &self,
        key: &ConnectionKey,
        incarnation: Incarnation,
        write: Write,
    ) -> Result<Version, StoreError> {
        let put = || {
            let (mut shard, place) = self.at(key)?;
            Ok(shard.put(place, key, incarnation, &write, self.now(), &self.room))
        };
        let mut put_now = put()?;
        if put_now == Err(Refused::Full) && self.purge()? > 0 {
            put_now = put()?;
        }
        put_now.map_err(|refused| match refused {
            Refused::Conflict => StoreError::new(StoreErrorKind::Conflict),
            Refused::Full => StoreError::new(StoreErrorKind::Unavailable).with_source(
                "the memory store holds as many connections as it was made for; make it with a larger capacity",
            ),
        })
    }

    async fn load(&self, key: &ConnectionKey) -> Result<Loaded, StoreError> {
        let (shard, place) = self.at(key)?;
        Ok(shard.load(&place, self.now()))
    }

    async fn lease(&self, key: &ConnectionKey, request: LeaseRequest) -> Result<LeaseOutcome, StoreError> {
        let (mut shard, place) = self.at(key)?;
        Ok(shard.lease(&place, request, self.now()))
    }

    async fn renew(
        &self,
        key: &ConnectionKey,
        holder: &LeaseHolder,
        renew: Renew,
    ) -> Result<Tenure, StoreError> {
        let (mut shard, place) = self.at(key)?;
        Ok(shard.renew(&place, holder, renew, self.now()))
    }

    async fn release(
        &self,
        key: &ConnectionKey,
        holder: &LeaseHolder,
        release: Release,
    ) -> Result<Tenure, StoreError> {
        let (mut shard, place) = self.at(key)?;
        Ok(shard.release(&place, holder, release, self.now()))
    }

    async fn save_if_version(
        &self,
        key: &ConnectionKey,
        expected: &Expected,
        write: Write,
    ) -> Result<SaveOutcome, StoreError> {
        let (mut shard, place) = self.at(key)?;
        Ok(shard.save(&place, expected, write, self.now()))
    }

    async fn remove(&self, key: &ConnectionKey, remove: Remove) -> Result<RemoveOutcome, StoreError> {
        let (mut shard, place) = self.at(key)?;
        Ok(shard.remove(&place, remove, self.now(), &self.room))
    }

    async fn list_by_user(&self, user: &User, page: &Page) -> Result<RecordPage, StoreError> {
        let tag = UserTag::of(user);
        let after =
            page.after.as_ref().map(|cursor| Ok(ConnectionId::from_bytes(*read(cursor)?))).transpose()?;
        let limit = page.limit.max(1);
        let mut records = self.shard(tag.shard())?.of_user(tag, after, limit, self.now());
        let next = cut(&mut records, limit, |last| Cursor::new(&last.key.id().as_bytes()[..]));
        Ok(RecordPage::new(records, next))
    }

    async fn due_before(&self, shard: Shard, time: SystemTime, page: &Page) -> Result<KeyPage, StoreError> {
        let after = page.after.as_ref().map(due_place).transpose()?;
        let limit = page.limit.max(1);
        let mut found = self.shard(shard)?.due(time, after, limit);
        let next = cut(&mut found, limit, |((due_at, tag, id), _)| {
            Cursor::new([&due_at.to_be_bytes()[..], tag.as_bytes(), id.as_bytes()].concat())
        });
        Ok(KeyPage::new(found.into_iter().map(|(_, key)| key).collect(), next))
    }

    async fn walk(&self, shard: Shard, page: &Page) -> Result<KeyPage, StoreError> {
        let after = page.after.as_ref().map(place).transpose()?;
        let limit = page.limit.max(1);
        let mut found = self.shard(shard)?.walk(after, limit);
        let next = cut(&mut found, limit, |((tag, id), _)| {
            Cursor::new([&tag.as_bytes()[..], id.as_bytes()].concat())
        });
        Ok(KeyPage::new(found.into_iter().map(|(_, key)| key).collect(), next))
    }
}

/// Cuts what is over `limit` off, and names the last that stays if anything was.
fn cut<T>(found: &mut Vec<T>, limit: usize, name: impl FnOnce(&T) -> Cursor) -> Option<Cursor> {
    if found.len() <= limit {
        return None;
    }
    found.truncate(limit);
    found.last().map(name)
}

fn place(cursor: &Cursor) -> Result<Place, StoreError> {
    two_hashes(read::<64>(cursor)?)
}

fn due_place(cursor: &Cursor) -> Result<DuePlace, StoreError> {
    let (due_at, place) = read::<72>(cursor)?.split_first_chunk::<8>().ok_or_else(foreign_cursor)?;
    let (tag, id) = two_hashes(place)?;
    Ok((u64::from_be_bytes(*due_at), tag, id))
}

fn two_hashes(bytes: &[u8]) -> Result<Place, StoreError> {
    let (tag, id) = bytes.split_first_chunk::<32>().ok_or_else(foreign_cursor)?;
    let id = id.first_chunk::<32>().ok_or_else(foreign_cursor)?;
    Ok((UserTag::from_bytes(*tag), ConnectionId::from_bytes(*id)))
}

fn read<const N: usize>(cursor: &Cursor) -> Result<&[u8; N], StoreError> {
    cursor.as_bytes().try_into().map_err(|_| foreign_cursor())
}

fn foreign_cursor() -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt)
        .with_source("the cursor is not one of this operation of this store")
}
