//! One shard: a map into a dense list of entries, linked in the order in which they expire.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Place;

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
    /// The entries without a gap, in chunks, so that growing copies nothing and shrinking gives memory back.
    chunks: Vec<Vec<Entry>>,
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

/// What a call took out.
pub(super) struct Taken {
    pub(super) flow: Parked,
    pub(super) expires_at: u64,
}

/// What a call let go of. It is dropped after the lock is given back: the allocator may return much memory at once.
#[derive(Default)]
pub(super) struct Evicted {
    entries: Vec<Entry>,
    chunk: Option<Vec<Entry>>,
    index: Option<Index>,
    list: Option<Vec<Vec<Entry>>>,
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
        Self { index: Index::new(), chunks: Vec::new(), first: NONE, last: NONE }
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
        let at = u32::try_from(self.len()).unwrap_or(NONE);
        let chunks = &self.chunks;
        let is_it = |at: &u32| key_at(chunks, *at) == Some(key.as_bytes());
        let hash_at = |at: &u32| key_at(chunks, *at).map_or(0, hash);
        match self.index.entry(hash(key.as_bytes()), is_it, hash_at) {
            Place::Vacant(vacant) if at != NONE => vacant.insert(at),
            _ => return (false, evicted),
        };
        self.push(Entry { key: *key.as_bytes(), flow, expires_at, before: NONE, after: NONE });
        self.link(at);
        (true, evicted)
    }

    /// Takes the flow of a key, and lets go of a few that expired at `now`.
    pub(super) fn take(&mut self, key: &StateKey, now: u64) -> (Option<Taken>, Evicted) {
        let mut evicted = Evicted::default();
        let is_it = |at: &u32| key_at(&self.chunks, *at) == Some(key.as_bytes());
        let at = self.index.find(hash(key.as_bytes()), is_it).copied();
        let entry = at.and_then(|at| self.remove(at, &mut evicted));
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
        let at = usize::try_from(at).ok()?;
        self.chunks.get_mut(at / CHUNK)?.get_mut(at % CHUNK)
    }

    fn push(&mut self, entry: Entry) {
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

    /// Puts the last entry into its place among those that expire later. They come in order where all have the same
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

    /// Removes an entry and moves the last one into the gap.
    fn remove(&mut self, at: u32, evicted: &mut Evicted) -> Option<Entry> {
        let (before, after, key) = self.entry(at).map(|entry| (entry.before, entry.after, entry.key))?;
        self.join(before, after);
        let last = u32::try_from(self.len().checked_sub(1)?).ok()?;
        if let Ok(found) = self.index.find_entry(hash(&key), |known| *known == at) {
            found.remove();
        }
        let moved = self.chunks.last_mut()?.pop()?;
        // A small one stays, for a store that is empty now and then.
        if self.chunks.last().is_some_and(|chunk| chunk.is_empty() && chunk.capacity() > KEPT) {
            // Few entries go at once: there is one at most.
            evicted.chunk = self.chunks.pop();
        }
        let removed = if at == last {
            moved
        } else {
            let (before, after) = (moved.before, moved.after);
            if let Some(place) = self.index.find_mut(hash(&moved.key), |known| *known == last) {
                *place = at;
            }
            let removed = std::mem::replace(self.entry_mut(at)?, moved);
            self.join(before, at);
            self.join(at, after);
            removed
        };
        self.shrink(evicted);
        Some(removed)
    }

    /// Gives memory back once most of it is unused. A shard is small enough to do so within a call.
    fn shrink(&mut self, evicted: &mut Evicted) {
        let (len, capacity) = (self.len(), self.index.capacity());
        let is_idle = len == 0 && capacity > SMALL;
        if !is_idle && (capacity <= LARGE || len >= capacity / 4) {
            return;
        }
        let chunks = &self.chunks;
        let hash_at = |at: &u32| key_at(chunks, *at).map_or(0, hash);
        let mut index = Index::with_capacity(len * 2);
        for at in self.index.drain() {
            index.insert_unique(hash_at(&at), at, hash_at);
        }
        evicted.index = Some(std::mem::replace(&mut self.index, index));
        if is_idle {
            evicted.list = Some(std::mem::take(&mut self.chunks));
        }
    }
}

fn entry_at(chunks: &[Vec<Entry>], at: u32) -> Option<&Entry> {
    let at = usize::try_from(at).ok()?;
    chunks.get(at / CHUNK)?.get(at % CHUNK)
}

fn key_at(chunks: &[Vec<Entry>], at: u32) -> Option<&[u8; 32]> {
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
    fn an_entry_fills_its_cache_lines() {
        assert_eq!(size_of::<Entry>(), 192);
    }
}
