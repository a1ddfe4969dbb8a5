//! One shard: a map into a list of entries, linked in the order in which they expire.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Slot;

use super::parked::Parked;
use crate::state::{Bucket, PendingFlow, StateKey};

/// No entry.
const NONE: u32 = u32::MAX;
/// How many expired entries one call lets go of.
const EXPIRE_AT_ONCE: usize = 16;
/// How far a new entry looks for its place among those that expire later.
const MAX_STEPS: usize = 32;
/// How many entries are allocated together.
const CHUNK: usize = 1024;
/// Up to how many entries an index keeps its memory when it is empty.
const SMALL: usize = 14;
/// Up to how many entries an index keeps its memory as long as it is not.
const LARGE: usize = 256;
/// For how many entries the first chunk has room at first.
const FIRST: usize = 4;
/// For how many entries it has room next, before it has it for all. It grows in two steps: each leaves small pieces
/// behind, which in the allocator's hands keep what lies below them from going back to the operating system.
const FEW: usize = 16;

/// The places of the entries, found by their keys.
type Index = HashTable<u32>;

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

/// A place for an entry, in as few cache lines as it fills: of many entries few are at hand. All that is looked at of a
/// neighbour lies in the first.
#[derive(Default)]
#[repr(C, align(64))]
struct Place {
    key: [u8; 32],
    expires_at: u64,
    before: u32,
    /// Of a free place, the place that was left before this one.
    after: u32,
    flow: Parked,
}

impl Place {
    fn is_taken(&self) -> bool {
        self.flow.is_taken()
    }
}

/// What a call let go of. It is dropped after the lock is given back: the allocator may return much memory at once. Most calls
/// let go of nothing.
#[derive(Default)]
pub(super) struct Evicted(Option<Box<Garbage>>);

#[derive(Default)]
struct Garbage {
    /// As they lay there: to make flows of them would take memory, in small pieces.
    entries: Vec<(StateKey, Parked)>,
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

    fn push(&mut self, entry: (StateKey, Parked)) {
        let entries = &mut self.garbage().entries;
        if entries.is_empty() {
            entries.reserve(EXPIRE_AT_ONCE);
        }
        entries.push(entry);
    }

    /// The keys that a bucket counts.
    pub(super) fn counted(&self) -> impl Iterator<Item = (StateKey, Bucket)> {
        let entries = self.0.iter().flat_map(|garbage| &garbage.entries);
        entries.filter_map(|(key, flow)| Some((*key, flow.bucket()?)))
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

    /// Makes room under a key that is free, where a flow has to be put then, and lets go of what expired and of what is over
    /// `capacity`.
    pub(super) fn make_room(
        &mut self,
        key: &StateKey,
        now: u64,
        expires_at: u64,
        capacity: usize,
        evicted: &mut Evicted,
    ) -> Option<&mut Parked> {
        self.expire(now, evicted);
        while self.len() >= capacity && self.evict(self.first, evicted) {}
        let at = if self.free == NONE { self.places() } else { self.free };
        let chunks = &self.chunks;
        let is_it = |at: &u32| key_at(chunks, *at) == Some(key.as_bytes());
        let hash_at = |at: &u32| key_at(chunks, *at).map_or(0, hash);
        match self.index.entry(hash(key.as_bytes()), is_it, hash_at) {
            Slot::Vacant(vacant) if at != NONE => vacant.insert(at),
            _ => return None,
        };
        let (before, after) = self.neighbours(expires_at);
        self.follow(before, at);
        self.precede(after, at);
        let place = self.take_place()?;
        (place.key, place.expires_at) = (*key.as_bytes(), expires_at);
        (place.before, place.after) = (before, after);
        Some(&mut place.flow)
    }

    /// Takes the flow of a key to `taken`, and lets go of a few that expired at `now`. Says when the flow ends.
    pub(super) fn take(
        &mut self,
        key: &StateKey,
        now: u64,
        taken: &mut Option<PendingFlow>,
        evicted: &mut Evicted,
    ) -> u64 {
        let is_it = |at: &u32| key_at(&self.chunks, *at) == Some(key.as_bytes());
        let mut expires_at = 0;
        if let Ok(found) = self.index.find_entry(hash(key.as_bytes()), is_it) {
            let (at, _) = found.remove();
            expires_at = self.leave(at, evicted, |flow| flow.unpark(taken));
        }
        self.expire(now, evicted);
        expires_at
    }

    /// Lets go of a few entries that expired at `now`.
    pub(super) fn expire(&mut self, now: u64, evicted: &mut Evicted) {
        for _ in 0..EXPIRE_AT_ONCE {
            let has_expired = self.entry(self.first).is_some_and(|entry| entry.expires_at <= now);
            if !has_expired || !self.evict(self.first, evicted) {
                break;
            }
        }
    }

    /// Lets go of an entry, if there is one.
    fn evict(&mut self, at: u32, evicted: &mut Evicted) -> bool {
        let Some(key) = key_at(&self.chunks, at).copied() else { return false };
        if let Ok(found) = self.index.find_entry(hash(&key), |known| *known == at) {
            found.remove();
        }
        let mut flow = Parked::default();
        self.leave(at, evicted, |parked| flow = std::mem::take(parked));
        evicted.push((StateKey::from_bytes(key), flow));
        true
    }

    fn entry(&self, at: u32) -> Option<&Place> {
        entry_at(&self.chunks, at)
    }

    fn entry_mut(&mut self, at: u32) -> Option<&mut Place> {
        self.place(at).filter(|place| place.is_taken())
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

    /// The place that was left last, or a new one.
    fn take_place(&mut self) -> Option<&mut Place> {
        if self.free == NONE {
            return self.new_place();
        }
        let free = self.free;
        self.free = self.place(free)?.after;
        self.place(free)
    }

    fn new_place(&mut self) -> Option<&mut Place> {
        let has_room = self.chunks.last().is_some_and(|chunk| chunk.len() < CHUNK);
        if !has_room {
            // A shard with a few entries has room for a few.
            self.chunks.push(Vec::with_capacity(if self.chunks.is_empty() { FIRST } else { CHUNK }));
        }
        let chunk = self.chunks.last_mut()?;
        if chunk.len() == chunk.capacity() {
            chunk.reserve_exact(if chunk.len() < FEW { FEW } else { CHUNK } - chunk.len());
        }
        chunk.push(Place::default());
        chunk.last_mut()
    }

    /// Between which two an entry belongs. They come in order where all have the same lifetime; where one belongs far ahead it is
    /// put as far as the steps reach, and is let go of a little late.
    fn neighbours(&self, expires_at: u64) -> (u32, u32) {
        let (mut before, mut after) = (self.last, NONE);
        for _ in 0..MAX_STEPS {
            match self.entry(before) {
                Some(entry) if entry.expires_at > expires_at => (before, after) = (entry.before, before),
                _ => break,
            }
        }
        (before, after)
    }

    /// Makes `at` follow an entry, or be the first.
    fn follow(&mut self, before: u32, at: u32) {
        match self.entry_mut(before) {
            Some(entry) => entry.after = at,
            None => self.first = at,
        }
    }

    /// Makes `at` precede an entry, or be the last.
    fn precede(&mut self, after: u32, at: u32) {
        match self.entry_mut(after) {
            Some(entry) => entry.before = at,
            None => self.last = at,
        }
    }

    /// Leaves the place of an entry that the index no longer names, after `take` took the flow. It then is the first to be taken.
    /// Says when the flow ends.
    fn leave(&mut self, at: u32, evicted: &mut Evicted, take: impl FnOnce(&mut Parked)) -> u64 {
        let free = self.free;
        let Some(place) = self.entry_mut(at) else { return 0 };
        take(&mut place.flow);
        let (before, after, expires_at) = (place.before, place.after, place.expires_at);
        place.after = free;
        self.free = at;
        self.follow(before, after);
        self.precede(after, before);
        self.shrink(evicted);
        expires_at
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
            if let Some(place) = self.place(at).filter(|place| !place.is_taken()) {
                place.after = free;
                self.free = at;
            }
        }
        for at in kept..places {
            let Some(place) = self.place(at).filter(|place| place.is_taken()) else { continue };
            let entry = std::mem::take(place);
            let (before, after) = (entry.before, entry.after);
            let to = self.free;
            if let Some(place) = self.take_place() {
                *place = entry;
            }
            self.follow(before, to);
            self.precede(after, to);
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

/// The place, if an entry is in it.
fn entry_at(chunks: &[Vec<Place>], at: u32) -> Option<&Place> {
    let at = usize::try_from(at).ok()?;
    chunks.get(at / CHUNK)?.get(at % CHUNK).filter(|place| place.is_taken())
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
        shard.make_room(&key(n), 0, 600, usize::MAX, &mut Evicted::default()).unwrap().park(flow);
    }

    fn takes(shard: &mut Shard, n: u64) -> bool {
        let mut taken = None;
        shard.take(&key(n), 0, &mut taken, &mut Evicted::default());
        taken.is_some()
    }

    #[test]
    fn a12_memory_is_given_back() {
        let mut shard = Shard::default();
        (0..10_000).for_each(|n| store(&mut shard, n));
        assert!(shard.index.capacity() >= 10_000);
        for n in 0..9_900 {
            assert!(takes(&mut shard, n));
        }
        assert_eq!((shard.len(), shard.chunks.len()), (100, 100_usize.div_ceil(CHUNK)));
        assert!(shard.index.capacity() < 1_000, "room for {}", shard.index.capacity());
        for n in 9_900..10_000 {
            assert!(takes(&mut shard, n));
        }
        assert_eq!((shard.len(), shard.chunks.capacity()), (0, 0));
        assert!(shard.index.capacity() <= SMALL, "room for {}", shard.index.capacity());
    }

    #[test]
    fn a12_few_flows_leave_no_memory_behind() {
        for few in [FIRST + 1, SMALL, SMALL + 1, FEW, FEW + 1, 28, 29, LARGE] {
            let mut shard = Shard::default();
            (0..few as u64).for_each(|n| store(&mut shard, n));
            (0..few as u64).for_each(|n| assert!(takes(&mut shard, n)));
            let places: usize = shard.chunks.iter().map(Vec::capacity).sum();
            assert!(places <= FEW, "room for {places} after {few}");
        }
    }

    #[test]
    fn what_is_left_when_memory_is_given_back_is_found_and_expires_in_order() {
        let mut shard = Shard::default();
        (0..10_000).for_each(|n| store(&mut shard, n));
        // From everywhere, so that what stays lies in all chunks.
        (0..10_000).filter(|n| n % 10 != 0).for_each(|n| assert!(takes(&mut shard, n)));
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
        all.for_each(|n| assert!(takes(&mut shard, n), "{n}"));
        assert_eq!((shard.len(), shard.first, shard.last), (0, NONE, NONE));
    }

    #[test]
    fn an_entry_fills_its_cache_lines() {
        assert_eq!(size_of::<Place>(), 192);
    }
}
