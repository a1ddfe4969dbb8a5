//! One shard: a map into a list of entries, linked in the order in which they expire.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Slot;

use super::parked::Parked;
use crate::state::{Bucket, StateKey};

/// No entry.
const NONE: u32 = u32::MAX;
/// How many expired entries one call lets go of.
const EXPIRE_AT_ONCE: usize = 16;
/// How far a new entry looks for its place among those that expire later.
const MAX_STEPS: usize = 32;
/// How many entries are allocated together.
const CHUNK: usize = 1024;
/// Up to how many entries an index keeps its memory when it is empty.
const SMALL: usize = 28;
/// Up to how many entries an index keeps its memory as long as it is not.
const LARGE: usize = 256;
/// The most entries of a chunk that is kept though it is empty.
const KEPT: usize = 4;
/// For how many entries the first chunk has room before it has it for all. It grows in two steps: each leaves small pieces
/// behind, which in the allocator's hands keep what lies below them from going back to the operating system.
const FEW: usize = 16;

/// The places of the entries, found by their keys.
type Index = HashTable<u32>;

#[derive(Debug)]
pub(super) struct Shard {
    index: Index,
    /// The places of the entries, in chunks, so that growing copies nothing.
    chunks: Vec<Vec<Place>>,
    /// The place that was left last: it is at hand, and is taken first.
    free: u32,
    /// The entry that expires first, and the last.
    first: u32,
    last: u32,
}

/// In as few cache lines as it fills: of many entries few are at hand.
#[derive(Debug)]
#[repr(align(64))]
struct Entry {
    key: [u8; 32],
    flow: Parked,
    expires_at: u64,
    before: u32,
    after: u32,
}

/// A place for an entry.
#[derive(Debug)]
enum Place {
    Taken(Entry),
    /// The place that was left before this one.
    Free(u32),
}

impl Place {
    const fn entry(&self) -> Option<&Entry> {
        match self {
            Self::Taken(entry) => Some(entry),
            Self::Free(_) => None,
        }
    }
}

/// What a call took out.
pub(super) struct Taken {
    pub(super) flow: Parked,
    pub(super) expires_at: u64,
}

/// What a call let go of. It is dropped after the lock is given back: the allocator may return much memory at once. Most calls
/// let go of nothing.
#[derive(Default)]
pub(super) struct Evicted(Option<Box<Garbage>>);

#[derive(Default)]
struct Garbage {
    entries: Vec<Entry>,
    chunks: Vec<Vec<Place>>,
    index: Option<Index>,
}

impl Evicted {
    pub(super) fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|garbage| garbage.entries.is_empty())
    }

    fn garbage(&mut self) -> &mut Garbage {
        self.0.get_or_insert_default()
    }

    fn push(&mut self, entry: Entry) {
        let entries = &mut self.garbage().entries;
        if entries.is_empty() {
            entries.reserve(EXPIRE_AT_ONCE);
        }
        entries.push(entry);
    }

    /// The keys that a bucket counts.
    pub(super) fn counted(&self) -> impl Iterator<Item = (StateKey, Bucket)> {
        let counted = |entry: &Entry| Some((StateKey::from_bytes(entry.key), entry.flow.bucket()?));
        self.0.iter().flat_map(|garbage| &garbage.entries).filter_map(counted)
    }
}

impl Default for Shard {
    fn default() -> Self {
        Self { index: Index::new(), chunks: Vec::new(), free: NONE, first: NONE, last: NONE }
    }
}

impl Shard {
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// Stores under a key that is free, and lets go of what expired and of what is over `capacity`.
    pub(super) fn store(
        &mut self,
        key: &StateKey,
        flow: Parked,
        now: u64,
        expires_at: u64,
        capacity: usize,
    ) -> (bool, Evicted) {
        let mut evicted = Evicted::default();
        self.expire_into(now, &mut evicted);
        while self.len() >= capacity {
            match self.remove(self.first, &mut evicted) {
                Some(entry) => evicted.push(entry),
                None => break,
            }
        }
        let at = if self.free == NONE { self.places() } else { self.free };
        let chunks = &self.chunks;
        let is_it = |at: &u32| key_at(chunks, *at) == Some(key.as_bytes());
        let hash_at = |at: &u32| key_at(chunks, *at).map_or(0, hash);
        match self.index.entry(hash(key.as_bytes()), is_it, hash_at) {
            Slot::Vacant(vacant) if at != NONE => vacant.insert(at),
            _ => return (false, evicted),
        };
        self.put(Entry { key: *key.as_bytes(), flow, expires_at, before: NONE, after: NONE });
        self.link(at);
        (true, evicted)
    }

    /// Takes the flow of a key, and lets go of a few that expired at `now`.
    pub(super) fn take(&mut self, key: &StateKey, now: u64) -> (Option<Taken>, Evicted) {
        let mut evicted = Evicted::default();
        let is_it = |at: &u32| key_at(&self.chunks, *at) == Some(key.as_bytes());
        let entry = match self.index.find_entry(hash(key.as_bytes()), is_it) {
            Ok(found) => {
                let (at, _) = found.remove();
                self.detach(at, &mut evicted)
            }
            Err(_) => None,
        };
        self.expire_into(now, &mut evicted);
        (entry.map(|entry| Taken { flow: entry.flow, expires_at: entry.expires_at }), evicted)
    }

    /// Lets go of a few entries that expired at `now`.
    pub(super) fn expire(&mut self, now: u64) -> Evicted {
        let mut evicted = Evicted::default();
        self.expire_into(now, &mut evicted);
        evicted
    }

    fn expire_into(&mut self, now: u64, evicted: &mut Evicted) {
        for _ in 0..EXPIRE_AT_ONCE {
            match self.entry(self.first) {
                Some(entry) if entry.expires_at <= now => {}
                _ => break,
            }
            if let Some(entry) = self.remove(self.first, evicted) {
                evicted.push(entry);
            }
        }
    }

    fn entry(&self, at: u32) -> Option<&Entry> {
        entry_at(&self.chunks, at)
    }

    fn entry_mut(&mut self, at: u32) -> Option<&mut Entry> {
        match self.place(at)? {
            Place::Taken(entry) => Some(entry),
            Place::Free(_) => None,
        }
    }

    fn place(&mut self, at: u32) -> Option<&mut Place> {
        let at = usize::try_from(at).ok()?;
        self.chunks.get_mut(at / CHUNK)?.get_mut(at % CHUNK)
    }

    /// How many places there are, free ones included.
    fn places(&self) -> u32 {
        let Some(last) = self.chunks.last() else { return 0 };
        u32::try_from((self.chunks.len() - 1) * CHUNK + last.len()).unwrap_or(NONE)
    }

    /// Fills the place that was left last, or a new one.
    fn put(&mut self, entry: Entry) {
        let entry = Place::Taken(entry);
        if let Some(place) = self.place(self.free) {
            if let Place::Free(next) = std::mem::replace(place, entry) {
                self.free = next;
            }
            return;
        }
        match self.chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK => {
                if chunk.len() == chunk.capacity() {
                    let room = if chunk.len() < FEW { FEW } else { CHUNK };
                    chunk.reserve_exact(room - chunk.len());
                }
                chunk.push(entry);
            }
            _ => {
                // A shard with a few entries has room for a few.
                let mut chunk = Vec::with_capacity(if self.chunks.is_empty() { KEPT } else { CHUNK });
                chunk.push(entry);
                self.chunks.push(chunk);
            }
        }
    }

    /// Links an entry in its place among those that expire later. They come in order where all have the same
    /// lifetime; where one belongs far ahead it is put as far as the steps reach, and is let go of a little late.
    fn link(&mut self, at: u32) {
        let Some(expires_at) = self.entry(at).map(|entry| entry.expires_at) else { return };
        let mut before = self.last;
        for _ in 0..MAX_STEPS {
            match self.entry(before) {
                Some(entry) if entry.expires_at > expires_at => before = entry.before,
                _ => break,
            }
        }
        let after = match self.entry(before) {
            Some(entry) => entry.after,
            None => self.first,
        };
        if let Some(entry) = self.entry_mut(at) {
            (entry.before, entry.after) = (before, after);
        }
        self.join(before, at);
        self.join(at, after);
    }

    /// Makes `after` follow `before`; either may be the end of the list.
    fn join(&mut self, before: u32, after: u32) {
        match self.entry_mut(before) {
            Some(entry) => entry.after = after,
            None => self.first = after,
        }
        match self.entry_mut(after) {
            Some(entry) => entry.before = before,
            None => self.last = before,
        }
    }

    /// Removes an entry.
    fn remove(&mut self, at: u32, evicted: &mut Evicted) -> Option<Entry> {
        let hash = hash(key_at(&self.chunks, at)?);
        if let Ok(found) = self.index.find_entry(hash, |known| *known == at) {
            found.remove();
        }
        self.detach(at, evicted)
    }

    /// Takes out an entry that the index no longer names.
    fn detach(&mut self, at: u32, evicted: &mut Evicted) -> Option<Entry> {
        let removed = self.leave(at)?;
        self.join(removed.before, removed.after);
        self.shrink(evicted);
        Some(removed)
    }

    /// Takes the entry out of a place, which then is the first to be taken.
    fn leave(&mut self, at: u32) -> Option<Entry> {
        let left = Place::Free(self.free);
        let place = self.place(at)?;
        match std::mem::replace(place, left) {
            Place::Taken(entry) => {
                self.free = at;
                Some(entry)
            }
            free @ Place::Free(_) => {
                *place = free;
                None
            }
        }
    }

    /// Gives memory back once most of it is unused: what lies behind moves to the front, and nothing new is allocated but the
    /// index. A shard is small enough to do so within a call.
    fn shrink(&mut self, evicted: &mut Evicted) {
        let (len, room) = (self.len(), self.index.capacity());
        let is_idle = len == 0 && room > SMALL;
        if !is_idle && (room <= LARGE || len >= room / 4) {
            return;
        }
        let chunks_kept = len.div_ceil(CHUNK);
        let places = self.places();
        let kept = u32::try_from(chunks_kept * CHUNK).unwrap_or(NONE).min(places);
        // Only the places in front are free now, the foremost first.
        self.free = NONE;
        for at in (0..kept).rev() {
            let free = self.free;
            if let Some(place @ Place::Free(_)) = self.place(at) {
                *place = Place::Free(free);
                self.free = at;
            }
        }
        for at in kept..places {
            let to = self.free;
            let Some(place) = self.place(at) else { break };
            if let Place::Taken(entry) = std::mem::replace(place, Place::Free(NONE)) {
                let (before, after) = (entry.before, entry.after);
                self.put(entry);
                self.join(before, to);
                self.join(to, after);
            }
        }
        let mut index = Index::with_capacity(len * 2);
        let chunks = &self.chunks;
        let hash_at = |at: &u32| key_at(chunks, *at).map_or(0, hash);
        for at in (0..kept).filter(|at| self.entry(*at).is_some()) {
            index.insert_unique(hash_at(&at), at, hash_at);
        }
        let garbage = evicted.garbage();
        garbage.index = Some(std::mem::replace(&mut self.index, index));
        garbage.chunks =
            if is_idle { std::mem::take(&mut self.chunks) } else { self.chunks.split_off(chunks_kept) };
    }
}

fn entry_at(chunks: &[Vec<Place>], at: u32) -> Option<&Entry> {
    let at = usize::try_from(at).ok()?;
    chunks.get(at / CHUNK)?.get(at % CHUNK)?.entry()
}

fn key_at(chunks: &[Vec<Place>], at: u32) -> Option<&[u8; 32]> {
    entry_at(chunks, at).map(|entry| &entry.key)
}

/// Eight bytes of the key: it is a hash already, over a state that we drew.
fn hash(key: &[u8; 32]) -> u64 {
    key.first_chunk().map_or(0, |eight| u64::from_le_bytes(*eight))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::state::PendingFlow;

    fn key(n: u64) -> StateKey {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
        StateKey::from_bytes(bytes)
    }

    fn store(shard: &mut Shard, n: u64) {
        let ttl = Duration::from_secs(600);
        let flow = PendingFlow::new("p", "https://app.example/cb", SystemTime::UNIX_EPOCH, ttl);
        assert!(shard.store(&key(n), Parked::new(flow), 0, 600, usize::MAX).0);
    }

    #[test]
    fn a12_memory_is_given_back() {
        let mut shard = Shard::default();
        (0..10_000).for_each(|n| store(&mut shard, n));
        assert!(shard.index.capacity() >= 10_000);
        for n in 0..9_900 {
            assert!(shard.take(&key(n), 0).0.is_some());
        }
        assert_eq!((shard.len(), shard.chunks.len()), (100, 100_usize.div_ceil(CHUNK)));
        assert!(shard.index.capacity() < 1_000, "room for {}", shard.index.capacity());
        for n in 9_900..10_000 {
            assert!(shard.take(&key(n), 0).0.is_some());
        }
        assert_eq!((shard.len(), shard.chunks.capacity()), (0, 0));
        assert!(shard.index.capacity() <= SMALL, "room for {}", shard.index.capacity());
    }

    #[test]
    fn what_is_left_when_memory_is_given_back_is_found_and_expires_in_order() {
        let mut shard = Shard::default();
        (0..10_000).for_each(|n| store(&mut shard, n));
        // From everywhere, so that what stays lies in all chunks.
        (0..10_000).filter(|n| n % 10 != 0).for_each(|n| assert!(shard.take(&key(n), 0).0.is_some()));
        assert!(shard.len() == 1_000 && shard.chunks.len() <= 4, "{} chunks", shard.chunks.len());
        let mut order = Vec::new();
        let mut at = shard.first;
        while let Some(entry) = shard.entry(at) {
            order.push(entry.key);
            at = entry.after;
        }
        let expected: Vec<_> = (0..10_000).step_by(10).map(|n| *key(n).as_bytes()).collect();
        assert!(order == expected);
        (10_000..12_000).for_each(|n| store(&mut shard, n));
        let all = (0..10_000).step_by(10).chain(10_000..12_000);
        all.for_each(|n| assert!(shard.take(&key(n), 0).0.is_some(), "{n}"));
        assert_eq!((shard.len(), shard.first, shard.last), (0, NONE, NONE));
    }

    #[test]
    fn an_entry_fills_its_cache_lines() {
        assert_eq!(size_of::<Place>(), 192);
    }
}
