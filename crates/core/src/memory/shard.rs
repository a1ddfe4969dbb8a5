//! One shard: a map into places with entries, linked in the order in which they expire.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Slot;

use super::parked::Parked;
use super::places::{Freed, NONE, Places};
use crate::state::{Bucket, StateKey};

/// How many expired entries one call lets go of.
const EXPIRE_AT_ONCE: usize = 16;
/// How far a new entry looks for its place among those that expire later.
const MAX_STEPS: usize = 32;
/// Up to how many entries an index keeps its memory when it is empty.
const SMALL: usize = 28;
/// Up to how many entries an index keeps its memory as long as it is not.
const LARGE: usize = 256;

/// The places of the entries, found by their keys.
type Index = HashTable<u32>;

#[derive(Debug)]
pub(super) struct Shard {
    index: Index,
    places: Places<Entry>,
    /// The entry that expires first, and the last.
    first: u32,
    last: u32,
}

/// In as few cache lines as it fills: a store with many entries has few of them at hand.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Entry {
    key: [u8; 32],
    flow: Parked,
    expires_at: u64,
    before: u32,
    after: u32,
}

/// What a call took out.
pub(super) struct Taken {
    pub(super) flow: Parked,
    pub(super) expires_at: u64,
}

/// What a call let go of. It is dropped after the lock is given back: the allocator may return much memory at once.
#[derive(Default)]
pub(super) struct Evicted {
    entries: Vec<Entry>,
    freed: Freed<Entry>,
    index: Option<Index>,
}

impl Evicted {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn push(&mut self, entry: Entry) {
        if self.entries.is_empty() {
            self.entries.reserve(EXPIRE_AT_ONCE);
        }
        self.entries.push(entry);
    }

    /// The keys that a bucket counts.
    pub(super) fn counted(&self) -> impl Iterator<Item = (StateKey, Bucket)> {
        let counted = |entry: &Entry| Some((StateKey::from_bytes(entry.key), entry.flow.bucket()?));
        self.entries.iter().filter_map(counted)
    }
}

impl Default for Shard {
    fn default() -> Self {
        Self { index: Index::new(), places: Places::default(), first: NONE, last: NONE }
    }
}

impl Shard {
    pub(super) const fn len(&self) -> usize {
        self.places.len()
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
        let Some(at) = self.places.next() else { return (false, evicted) };
        let places = &self.places;
        let is_it = |at: &u32| key_at(places, *at) == Some(key.as_bytes());
        let hash_at = |at: &u32| key_at(places, *at).map_or(0, hash);
        match self.index.entry(hash(key.as_bytes()), is_it, hash_at) {
            Slot::Vacant(vacant) => vacant.insert(at),
            Slot::Occupied(_) => return (false, evicted),
        };
        let (before, after) = self.neighbours(expires_at);
        self.places.put(Entry { key: *key.as_bytes(), flow, expires_at, before, after });
        self.join(before, at);
        self.join(at, after);
        (true, evicted)
    }

    /// Takes the flow of a key, and lets go of a few that expired at `now`.
    pub(super) fn take(&mut self, key: &StateKey, now: u64) -> (Option<Taken>, Evicted) {
        let mut evicted = Evicted::default();
        let is_it = |at: &u32| key_at(&self.places, *at) == Some(key.as_bytes());
        let found = self.index.find_entry(hash(key.as_bytes()), is_it).ok().map(|found| found.remove().0);
        let entry = found.and_then(|at| self.remove_place(at, &mut evicted));
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
            match self.places.get(self.first) {
                Some(entry) if entry.expires_at <= now => {}
                _ => break,
            }
            if let Some(entry) = self.remove(self.first, evicted) {
                evicted.push(entry);
            }
        }
    }

    /// Between which two a new entry belongs. They come in order where all have the same lifetime; where one belongs far
    /// ahead it is put as far as the steps reach, and is let go of a little late.
    fn neighbours(&self, expires_at: u64) -> (u32, u32) {
        let (mut before, mut after) = (self.last, NONE);
        for _ in 0..MAX_STEPS {
            match self.places.get(before) {
                Some(entry) if entry.expires_at > expires_at => (before, after) = (entry.before, before),
                _ => break,
            }
        }
        (before, after)
    }

    /// Makes `after` follow `before`; either may be the end of the list.
    fn join(&mut self, before: u32, after: u32) {
        match self.places.get_mut(before) {
            Some(entry) => entry.after = after,
            None => self.first = after,
        }
        match self.places.get_mut(after) {
            Some(entry) => entry.before = before,
            None => self.last = before,
        }
    }

    /// Removes an entry.
    fn remove(&mut self, at: u32, evicted: &mut Evicted) -> Option<Entry> {
        let hash = hash(key_at(&self.places, at)?);
        if let Ok(found) = self.index.find_entry(hash, |known| *known == at) {
            found.remove();
        }
        self.remove_place(at, evicted)
    }

    /// Removes an entry that the index no longer has.
    fn remove_place(&mut self, at: u32, evicted: &mut Evicted) -> Option<Entry> {
        let entry = self.places.take(at, &mut evicted.freed)?;
        self.join(entry.before, entry.after);
        self.shrink(evicted);
        Some(entry)
    }

    /// Gives the index's memory back once most of it is unused. A shard is small enough to do so within a call.
    fn shrink(&mut self, evicted: &mut Evicted) {
        let (len, capacity) = (self.len(), self.index.capacity());
        let is_idle = len == 0 && capacity > SMALL;
        if !is_idle && (capacity <= LARGE || len >= capacity / 4) {
            return;
        }
        let places = &self.places;
        let hash_at = |at: &u32| key_at(places, *at).map_or(0, hash);
        let mut index = Index::with_capacity(len * 2);
        for at in self.index.drain() {
            index.insert_unique(hash_at(&at), at, hash_at);
        }
        evicted.index = Some(std::mem::replace(&mut self.index, index));
    }
}

fn key_at(places: &Places<Entry>, at: u32) -> Option<&[u8; 32]> {
    places.get(at).map(|entry| &entry.key)
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
        assert_eq!(shard.len(), 100);
        assert!(shard.index.capacity() < 1_000, "room for {}", shard.index.capacity());
        for n in 9_900..10_000 {
            assert!(shard.take(&key(n), 0).0.is_some());
        }
        assert_eq!(shard.len(), 0);
        assert!(shard.index.capacity() <= SMALL, "room for {}", shard.index.capacity());
    }

    #[test]
    fn an_entry_has_no_place_of_its_own_for_being_taken() {
        assert_eq!(size_of::<super::super::places::Place<Entry>>(), size_of::<Entry>());
        assert!(size_of::<Entry>() <= 192, "{}", size_of::<Entry>());
    }
}
