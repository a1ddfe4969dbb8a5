//! One shard: a map into places for entries, which are looked through for what has expired.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Slot;

use super::parked::Parked;
use crate::state::{Bucket, PendingFlow, StateKey};

/// No entry.
const NONE: u32 = u32::MAX;
/// At how many places one call looks for what has expired, or for the oldest entry.
const AT_ONCE: u32 = 16;
/// For how long nothing is looked for after all places were looked at, in milliseconds: what expires meanwhile waits.
const REST: u64 = 10_000;
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
    /// When places are looked through for what has expired: not before the first expires.
    due: u64,
    /// When that will be once all were looked at.
    next_due: u64,
    /// The places that are still to be looked at: those in front. From behind, since `shrink` moves entries to the front.
    unseen: u32,
    /// Where the oldest entry is looked for.
    oldest: u32,
}

/// A place for an entry, in as few cache lines as it fills: of many entries few are at hand. All that is looked at of other
/// entries than the one that is asked for lies in the first.
#[derive(Default)]
#[repr(C, align(64))]
struct Place {
    key: [u8; 32],
    expires_at: u64,
    /// Of a free place, the place that was left before this one.
    next_free: u32,
    flow: Parked,
}

impl Place {
    fn is_taken(&self) -> bool {
        self.flow.is_taken()
    }
}

/// What was seen of places.
pub(super) struct Seen {
    /// The places that are still to be looked at.
    pub(super) unseen: u32,
    /// When the first of those looked at expires.
    expires_at: u64,
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
    fn garbage(&mut self) -> &mut Garbage {
        self.0.get_or_insert_default()
    }

    fn push(&mut self, entry: (StateKey, Parked)) {
        let entries = &mut self.garbage().entries;
        if entries.is_empty() {
            entries.reserve(AT_ONCE as usize);
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
        Self {
            index: Index::new(),
            chunks: Vec::new(),
            free: NONE,
            due: u64::MAX,
            next_due: u64::MAX,
            unseen: 0,
            oldest: 0,
        }
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
        if self.len() >= capacity {
            // No rest: what has expired is to go before what has not.
            self.due = self.due.min(self.next_due);
        }
        self.expire(now, evicted);
        while self.len() >= capacity && self.evict_oldest(evicted) {}
        let at = if self.free == NONE { self.places() } else { self.free };
        let chunks = &self.chunks;
        let is_it = |at: &u32| key_at(chunks, *at) == Some(key.as_bytes());
        let hash_at = |at: &u32| key_at(chunks, *at).map_or(0, hash);
        match self.index.entry(hash(key.as_bytes()), is_it, hash_at) {
            Slot::Vacant(vacant) if at != NONE => vacant.insert(at),
            _ => return None,
        };
        self.due = self.due.min(expires_at);
        self.next_due = self.next_due.min(expires_at);
        let place = self.take_place()?;
        (place.key, place.expires_at) = (*key.as_bytes(), expires_at);
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

    /// Lets go of a few entries that expired at `now`, if it is time to look.
    pub(super) fn expire(&mut self, now: u64, evicted: &mut Evicted) {
        if now < self.due {
            return;
        }
        if self.unseen == 0 {
            (self.unseen, self.next_due) = (self.places(), u64::MAX);
        }
        let next = self.expire_among(self.unseen, now, evicted);
        self.next_due = self.next_due.min(next.expires_at);
        self.unseen = next.unseen;
        if self.unseen == 0 {
            self.due = self.next_due.max(now.saturating_add(REST));
        }
    }

    /// Looks at the last few of the places that are `unseen`, and lets go of what expired at `now`.
    pub(super) fn expire_among(&mut self, unseen: u32, now: u64, evicted: &mut Evicted) -> Seen {
        let unseen = unseen.min(self.places());
        let mut seen = Seen { unseen: unseen.saturating_sub(AT_ONCE), expires_at: u64::MAX };
        for at in (seen.unseen..unseen).rev() {
            match self.entry(at).map(|entry| entry.expires_at) {
                Some(expires_at) if expires_at > now => seen.expires_at = seen.expires_at.min(expires_at),
                Some(_) => self.evict(at, evicted),
                None => {}
            }
        }
        seen
    }

    /// Lets go of the entry that expires first among a few, if there is one at all.
    fn evict_oldest(&mut self, evicted: &mut Evicted) -> bool {
        let places = self.places();
        for _ in 0..places.div_ceil(AT_ONCE) {
            let from = self.oldest;
            let few = (from..from.saturating_add(AT_ONCE)).map(|at| at % places).take(places as usize);
            let oldest = few
                .filter_map(|at| Some((self.entry(at)?.expires_at, at)))
                .min_by_key(|(expires_at, _)| *expires_at);
            self.oldest = oldest.map_or(from.saturating_add(AT_ONCE), |(_, at)| at + 1);
            if let Some((_, at)) = oldest {
                self.evict(at, evicted);
                return true;
            }
        }
        false
    }

    /// Lets go of an entry, if there is one.
    fn evict(&mut self, at: u32, evicted: &mut Evicted) {
        let Some(key) = key_at(&self.chunks, at).copied() else { return };
        if let Ok(found) = self.index.find_entry(hash(&key), |known| *known == at) {
            found.remove();
        }
        let mut flow = Parked::default();
        self.leave(at, evicted, |parked| flow = std::mem::take(parked));
        evicted.push((StateKey::from_bytes(key), flow));
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
        self.free = self.place(free)?.next_free;
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

    /// Leaves the place of an entry that the index no longer names, after `take` took the flow. It then is the first to be taken.
    /// Says when the flow ends.
    fn leave(&mut self, at: u32, evicted: &mut Evicted, take: impl FnOnce(&mut Parked)) -> u64 {
        let free = self.free;
        let Some(place) = self.entry_mut(at) else { return 0 };
        take(&mut place.flow);
        let expires_at = place.expires_at;
        place.next_free = free;
        self.free = at;
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
                place.next_free = free;
                self.free = at;
            }
        }
        for at in kept..places {
            let Some(place) = self.place(at).filter(|place| place.is_taken()) else { continue };
            let entry = std::mem::take(place);
            if let Some(place) = self.take_place() {
                *place = entry;
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
        store_until(shard, n, 600, usize::MAX);
    }

    fn store_until(shard: &mut Shard, n: u64, expires_at: u64, capacity: usize) {
        let room = shard.make_room(&key(n), 0, expires_at, capacity, &mut Evicted::default());
        room.unwrap().park(flow());
    }

    fn flow() -> PendingFlow {
        let ttl = Duration::from_secs(600);
        PendingFlow::new("p", "https://app.example/cb", SystemTime::UNIX_EPOCH, ttl)
    }

    fn holds(shard: &Shard, n: u64) -> bool {
        shard.index.iter().any(|at| key_at(&shard.chunks, *at) == Some(key(n).as_bytes()))
    }

    fn expire(shard: &mut Shard, now: u64) {
        shard.expire(now, &mut Evicted::default());
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
    fn what_is_left_when_memory_is_given_back_is_found() {
        let mut shard = Shard::default();
        (0..10_000).for_each(|n| store(&mut shard, n));
        // From everywhere, so that what stays lies in all chunks.
        (0..10_000).filter(|n| n % 10 != 0).for_each(|n| assert!(takes(&mut shard, n)));
        assert!(shard.len() == 1_000 && shard.chunks.len() <= 4, "{} chunks", shard.chunks.len());
        (10_000..12_000).for_each(|n| store(&mut shard, n));
        let all = (0..10_000).step_by(10).chain(10_000..12_000);
        all.for_each(|n| assert!(takes(&mut shard, n), "{n}"));
        assert_eq!((shard.len(), shard.free), (0, NONE));
    }

    #[test]
    fn a12_what_expired_is_gone_once_all_places_were_looked_at() {
        let mut shard = Shard::default();
        (0..100).for_each(|n| store(&mut shard, n));
        (0..10).for_each(|_| expire(&mut shard, 599));
        assert_eq!(shard.len(), 100);
        for left in [84, 68, 52, 36, 20, 4, 0] {
            expire(&mut shard, 600);
            assert_eq!(shard.len(), left);
        }
    }

    #[test]
    fn a12_what_moves_while_places_are_looked_at_is_seen_too() {
        let mut shard = Shard::default();
        (0..10_000).for_each(|n| store(&mut shard, n));
        (0..300).for_each(|_| expire(&mut shard, 600));
        assert_eq!(shard.len(), 10_000 - 300 * 16);
        // So many that the rest moves to the front.
        (500..5_200).for_each(|n| assert!(takes(&mut shard, n)));
        assert!(shard.len() == 500 && shard.unseen > 500);
        (0..shard.places().div_ceil(AT_ONCE)).for_each(|_| expire(&mut shard, 600));
        assert_eq!(shard.len(), 0);
    }

    #[test]
    fn after_all_places_were_looked_at_calls_rest_until_something_may_have_expired() {
        let mut shard = Shard::default();
        for (n, expires_at) in [(0, 600), (1, 700), (2, 600 + REST)] {
            store_until(&mut shard, n, expires_at, usize::MAX);
        }
        for (now, left) in [(600, 2), (700, 2), (599 + REST, 2), (600 + REST, 0)] {
            expire(&mut shard, now);
            assert_eq!(shard.len(), left, "at {now}");
        }
        let later = 600 + 3 * REST;
        store_until(&mut shard, 3, later, usize::MAX);
        store_until(&mut shard, 4, later + 2 * REST, usize::MAX);
        for (now, left) in [(later - 1, 2), (later, 1), (later + 2 * REST - 1, 1), (later + 2 * REST, 0)] {
            expire(&mut shard, now);
            assert_eq!(shard.len(), left, "at {now}");
        }
        // Where what is stored meanwhile ends before all the others.
        (10..50).for_each(|n| store_until(&mut shard, n, later + 9 * REST, usize::MAX));
        store_until(&mut shard, 50, later + 3 * REST, usize::MAX);
        expire(&mut shard, later + 3 * REST);
        store_until(&mut shard, 51, later + 5 * REST, usize::MAX);
        (0..2).for_each(|_| expire(&mut shard, later + 3 * REST));
        assert!(shard.len() == 41 && !holds(&shard, 50));
        (0..3).for_each(|_| expire(&mut shard, later + 5 * REST));
        assert!(shard.len() == 40 && !holds(&shard, 51));
    }

    #[test]
    fn a12_at_the_cap_what_expired_goes_before_what_did_not() {
        let mut shard = Shard::default();
        let later = 9 * REST;
        (0..38).for_each(|n| store_until(&mut shard, n, later, 40));
        store_until(&mut shard, 38, 700, 40);
        store_until(&mut shard, 39, 600, 40);
        (0..3).for_each(|_| expire(&mut shard, 600));
        store_until(&mut shard, 40, later, 40);
        // While the calls rest.
        expire(&mut shard, 700);
        assert!(shard.len() == 40 && holds(&shard, 38));
        shard.make_room(&key(41), 700, later, 40, &mut Evicted::default()).unwrap().park(flow());
        assert!(shard.len() == 40 && !holds(&shard, 38) && holds(&shard, 0));
    }

    #[test]
    fn a12_at_the_cap_the_oldest_near_by_goes() {
        let mut shard = Shard::default();
        // The last expires first.
        (0..20).for_each(|n| store_until(&mut shard, n, 600 - n, 20));
        for (n, oldest) in [(20, 15), (21, 19), (22, 14)] {
            store_until(&mut shard, n, 1_000, 20);
            assert!(shard.len() == 20 && !holds(&shard, oldest), "{n}");
        }
        // Where all expire at once, in the order in which they came.
        let mut shard = Shard::default();
        for n in 0..200 {
            store_until(&mut shard, n, 600, 50);
            assert!(n < 50 || shard.len() == 50 && !holds(&shard, n - 50) && holds(&shard, n - 49), "{n}");
        }
        // Also where many places are free.
        (151..199).for_each(|n| assert!(takes(&mut shard, n)));
        assert!(holds(&shard, 150) && holds(&shard, 199));
        store_until(&mut shard, 200, 600, 1);
        assert!(shard.len() == 1 && holds(&shard, 200));
    }

    #[test]
    fn an_entry_fills_its_cache_lines() {
        assert_eq!(size_of::<Place>(), 192);
    }
}
