//! Which flows are counted, and in which order they were stored.

use std::collections::HashMap;

use hashbrown::HashTable;

use crate::state::{Bucket, StateKey};

/// No place.
const NONE: u32 = u32::MAX;
/// How many flows are counted at most.
pub(super) const MOST: usize = 65_536;
/// How many flows one call looks at, to let go of those that have ended: more than the one that it adds.
const LOOK_AT: usize = 4;
/// Up to how many entries a map keeps its memory.
const SMALL: usize = 256;

/// A flow that is counted. Times are in milliseconds.
#[derive(Clone, Copy)]
pub(super) struct Flow {
    pub(super) key: StateKey,
    pub(super) bucket: Bucket,
    pub(super) stored_at: u64,
    pub(super) ttl: u64,
}

impl Flow {
    /// A clock that went back more than the flow's own time ends it too, so that no step of the clock keeps one for ever.
    const fn has_ended(&self, now: u64) -> bool {
        now >= self.stored_at.saturating_add(self.ttl) || now.saturating_add(self.ttl) < self.stored_at
    }
}

/// The flows that are counted. Each is in two lists in the order in which they were stored: of all, and of its bucket.
#[derive(Default)]
pub(super) struct Counts {
    places: Vec<Place>,
    /// The places, found by their keys.
    index: HashTable<u32>,
    buckets: HashMap<Bucket, Of>,
    all: List,
    /// The places that are still to be looked at for what has ended: those in front. From behind, since a place that is left
    /// is taken by the last.
    unseen: usize,
}

struct Place {
    flow: Flow,
    in_all: Links,
    in_bucket: Links,
}

/// The neighbours in a list.
#[derive(Clone, Copy)]
struct Links {
    older: u32,
    newer: u32,
}

/// The ends of a list.
#[derive(Clone, Copy)]
struct List {
    oldest: u32,
    newest: u32,
}

impl Default for List {
    fn default() -> Self {
        Self { oldest: NONE, newest: NONE }
    }
}

/// The flows of a bucket.
#[derive(Default)]
struct Of {
    list: List,
    len: usize,
}

/// Which of its two lists is meant.
type LinksOf = fn(&mut Place) -> &mut Links;

const IN_ALL: LinksOf = |place| &mut place.in_all;
const IN_BUCKET: LinksOf = |place| &mut place.in_bucket;

impl Counts {
    /// Counts a flow that was stored now, and says whose place it takes where its bucket has more than `capacity`.
    pub(super) fn add(&mut self, flow: Flow, capacity: usize) -> Option<StateKey> {
        let now = flow.stored_at;
        self.let_go_of_some(now);
        // Whoever stored it was told so, and it is no second flow.
        self.forget(&flow.key);
        if self.places.len() >= MOST {
            self.remove(self.all.oldest);
        }
        self.push(flow);
        let of = self.buckets.get(&flow.bucket).filter(|of| of.len > capacity)?;
        let oldest = self.remove(of.list.oldest)?;
        (!oldest.has_ended(now)).then_some(oldest.key)
    }

    /// No longer counts the flow of a key, if it does.
    pub(super) fn forget(&mut self, key: &StateKey) {
        let is_it = |at: &u32| key_at(&self.places, *at) == Some(key);
        if let Some(at) = self.index.find(hash(key), is_it).copied() {
            self.remove(at);
        }
    }

    fn let_go_of_some(&mut self, now: u64) {
        for _ in 0..LOOK_AT {
            if self.unseen == 0 {
                self.unseen = self.places.len();
            }
            let Some(at) = self.unseen.min(self.places.len()).checked_sub(1) else { return };
            self.unseen = at;
            if self.places.get(at).is_some_and(|place| place.flow.has_ended(now)) {
                self.remove(place_number(at));
            }
        }
    }

    fn push(&mut self, flow: Flow) {
        let at = place_number(self.places.len());
        let of = self.buckets.entry(flow.bucket).or_default();
        of.len += 1;
        let last = |list: &List| Links { older: list.newest, newer: NONE };
        self.places.push(Place { flow, in_all: last(&self.all), in_bucket: last(&of.list) });
        attach(&mut self.places, &mut self.all, IN_ALL, at);
        attach(&mut self.places, &mut of.list, IN_BUCKET, at);
        let places = &self.places;
        self.index.insert_unique(hash(&flow.key), at, |at| hash_at(places, *at));
    }

    /// No longer counts the flow of a place, which the last one takes.
    fn remove(&mut self, at: u32) -> Option<Flow> {
        let flow = self.places.get(index(at))?.flow;
        if let Ok(found) = self.index.find_entry(hash(&flow.key), |known| *known == at) {
            found.remove();
        }
        detach(&mut self.places, &mut self.all, IN_ALL, at);
        if let Some(of) = self.buckets.get_mut(&flow.bucket) {
            detach(&mut self.places, &mut of.list, IN_BUCKET, at);
            of.len = of.len.saturating_sub(1);
            if of.len == 0 {
                self.buckets.remove(&flow.bucket);
            }
        }
        self.places.swap_remove(index(at));
        self.renumber(place_number(self.places.len()), at);
        self.shrink();
        Some(flow)
    }

    /// The flow of the last place is at another one now.
    fn renumber(&mut self, from: u32, to: u32) {
        let Some(flow) = self.places.get(index(to)).map(|place| place.flow) else { return };
        if let Some(at) = self.index.find_mut(hash(&flow.key), |at| *at == from) {
            *at = to;
        }
        attach(&mut self.places, &mut self.all, IN_ALL, to);
        if let Some(of) = self.buckets.get_mut(&flow.bucket) {
            attach(&mut self.places, &mut of.list, IN_BUCKET, to);
        }
    }

    /// Gives memory back once most of it is unused.
    fn shrink(&mut self) {
        let is_wide = |room: usize, len: usize| room > SMALL && len < room / 4;
        let (len, buckets) = (self.places.len(), self.buckets.len());
        if is_wide(self.places.capacity(), len) {
            self.places.shrink_to(len * 2);
            let places = &self.places;
            self.index.shrink_to(len * 2, |at| hash_at(places, *at));
        }
        if is_wide(self.buckets.capacity(), buckets) {
            self.buckets.shrink_to(buckets * 2);
        }
    }
}

/// Has the neighbours of a place name it.
fn attach(places: &mut [Place], list: &mut List, links: LinksOf, at: u32) {
    let Some(Links { older, newer }) = places.get_mut(index(at)).map(|place| *links(place)) else { return };
    match places.get_mut(index(older)) {
        Some(place) => links(place).newer = at,
        None => list.oldest = at,
    }
    match places.get_mut(index(newer)) {
        Some(place) => links(place).older = at,
        None => list.newest = at,
    }
}

/// Has the neighbours of a place name each other.
fn detach(places: &mut [Place], list: &mut List, links: LinksOf, at: u32) {
    let Some(Links { older, newer }) = places.get_mut(index(at)).map(|place| *links(place)) else { return };
    match places.get_mut(index(older)) {
        Some(place) => links(place).newer = newer,
        None => list.oldest = newer,
    }
    match places.get_mut(index(newer)) {
        Some(place) => links(place).older = older,
        None => list.newest = older,
    }
}

fn key_at(places: &[Place], at: u32) -> Option<&StateKey> {
    places.get(index(at)).map(|place| &place.flow.key)
}

fn hash_at(places: &[Place], at: u32) -> u64 {
    key_at(places, at).map_or(0, hash)
}

/// Eight bytes of the key: it is a hash already, over a state that we drew.
fn hash(key: &StateKey) -> u64 {
    key.as_bytes().first_chunk().map_or(0, |eight| u64::from_le_bytes(*eight))
}

fn index(at: u32) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

/// There are fewer places than numbers.
fn place_number(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(NONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: u64 = 600_000;
    /// More than anything here is stored for, on both sides of which clocks go.
    const LATE: u64 = 1_800_000_000_000;

    fn key(n: u64) -> StateKey {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
        StateKey::from_bytes(bytes)
    }

    fn flow(n: u64, bucket: u64, stored_at: u64) -> Flow {
        Flow { key: key(n), bucket: Bucket::of(&bucket.to_le_bytes()), stored_at, ttl: TTL }
    }

    /// The number of the flow whose place is taken.
    fn add(counts: &mut Counts, n: u64, bucket: u64, stored_at: u64, capacity: usize) -> Option<u64> {
        let oldest = counts.add(flow(n, bucket, stored_at), capacity)?;
        (0..=n).find(|other| key(*other) == oldest)
    }

    fn counts_it(counts: &Counts, n: u64) -> bool {
        counts.index.find(hash(&key(n)), |at| key_at(&counts.places, *at) == Some(&key(n))).is_some()
    }

    /// The keys of a list, from both of its ends.
    fn keys(counts: &mut Counts, list: List, links: LinksOf) -> Vec<StateKey> {
        let mut walk = |mut at: u32, next: fn(Links) -> u32| {
            let mut keys = Vec::new();
            while let Some(place) = counts.places.get_mut(index(at)) {
                keys.push(place.flow.key);
                at = next(*links(place));
            }
            keys
        };
        let keys = walk(list.oldest, |links| links.newer);
        let mut backwards = walk(list.newest, |links| links.older);
        backwards.reverse();
        assert_eq!(keys, backwards);
        keys
    }

    #[test]
    fn a12_at_a_buckets_cap_its_own_oldest_goes() {
        let mut counts = Counts::default();
        assert_eq!(add(&mut counts, 0, 0, LATE, 3), None);
        for n in 1..=10 {
            assert_eq!(add(&mut counts, n, 1, LATE, 3), n.checked_sub(3).filter(|n| *n > 0));
        }
        assert_eq!(counts.places.len(), 4);
        // Where the cap was lower than what is counted, one goes for each that comes.
        assert_eq!((add(&mut counts, 11, 1, LATE, 1), add(&mut counts, 12, 0, LATE, 1)), (Some(8), Some(0)));
    }

    #[test]
    fn a12_a_used_flow_leaves_its_bucket() {
        let mut counts = Counts::default();
        for n in 0..3 {
            assert_eq!(add(&mut counts, n, 1, LATE, 3), None);
        }
        counts.forget(&key(1));
        counts.forget(&key(1));
        counts.forget(&key(77));
        assert_eq!(add(&mut counts, 3, 1, LATE, 3), None, "its place is free");
        assert_eq!(add(&mut counts, 4, 1, LATE, 3), Some(0));
        assert_eq!(add(&mut counts, 5, 1, LATE, 3), Some(2), "the used one is no more in between");
    }

    #[test]
    fn a_key_that_is_stored_again_is_counted_once() {
        let mut counts = Counts::default();
        for n in [0, 1, 0] {
            assert_eq!(add(&mut counts, n, 1, LATE, 2), None);
        }
        assert_eq!(add(&mut counts, 2, 1, LATE, 2), Some(1), "the other one was stored before");
    }

    #[test]
    fn a12_a_flow_that_has_ended_leaves_its_bucket() {
        let mut counts = Counts::default();
        for n in 0..100 {
            assert_eq!(add(&mut counts, n, n, LATE, 3), None);
        }
        // Bit by bit: each call looks at four, and adds one.
        let old = |counts: &Counts| (0..100).filter(|n| counts_it(counts, *n)).count();
        let mut before = old(&counts);
        for n in 100..160 {
            assert_eq!(add(&mut counts, n, 7, LATE + TTL, 1_000), None);
            let left = old(&counts);
            assert!(left <= before && before - left <= LOOK_AT, "{left} of {before}");
            before = left;
        }
        assert_eq!((before, counts.places.len(), counts.buckets.len()), (0, 60, 1));

        // Where the oldest of a bucket ended and was not looked at yet, nobody has to remove it.
        let mut counts = Counts::default();
        for n in 0..10 {
            assert_eq!(add(&mut counts, n, 1, LATE, 10), None);
        }
        counts.unseen = 0;
        assert_eq!(add(&mut counts, 10, 1, LATE + TTL, 6), None);
        assert_eq!(counts.places.len(), 6);
        assert!(!counts_it(&counts, 0) && counts_it(&counts, 1) && !counts_it(&counts, 9));
    }

    #[test]
    fn a12_x15_a_clock_that_goes_back_or_forth_keeps_no_flow_for_ever() {
        for (first, second) in [(LATE, LATE - TTL - 1), (LATE, 0), (0, LATE), (u64::MAX, LATE)] {
            let mut counts = Counts::default();
            for n in 0..100 {
                add(&mut counts, n, n, first, 3);
            }
            for n in 100..130 {
                add(&mut counts, n, n, second, 3);
            }
            assert_eq!(counts.places.len(), 30, "stored at {first}, then at {second}");
        }
        // A small step ends nothing.
        let mut counts = Counts::default();
        for n in 0..100 {
            add(&mut counts, n, n, LATE - n, 3);
        }
        assert_eq!(counts.places.len(), 100);
    }

    #[test]
    fn a12_all_that_is_counted_is_capped() {
        const ALL: u64 = MOST as u64;
        let mut counts = Counts::default();
        for n in 0..ALL {
            add(&mut counts, n, n, LATE, 3);
        }
        assert!(counts_it(&counts, 0));
        for n in ALL..ALL + 1_000 {
            assert_eq!(
                add(&mut counts, n, n, LATE, 3),
                None,
                "who is counted no longer is removed by nobody"
            );
            assert!(counts.places.len() == MOST && counts_it(&counts, n));
            assert!(!counts_it(&counts, n - ALL) && counts_it(&counts, n - ALL + 1), "{n}");
        }
        assert_eq!(counts.buckets.len(), MOST);
        // A bucket is capped however many others there are.
        for n in ALL + 1_000..ALL + 1_100 {
            let oldest = add(&mut counts, n, 0, LATE, 3);
            assert_eq!(oldest, n.checked_sub(3).filter(|n| *n >= ALL + 1_000));
        }
    }

    #[test]
    fn a12_what_is_no_longer_counted_takes_no_memory() {
        let mut counts = Counts::default();
        for n in 0..60_000 {
            add(&mut counts, n, n, LATE, 3);
        }
        let room =
            |counts: &Counts| [counts.places.capacity(), counts.index.capacity(), counts.buckets.capacity()];
        assert!(room(&counts).iter().all(|room| *room >= 60_000));
        for n in 100..60_000 {
            counts.forget(&key(n));
        }
        assert!(room(&counts).iter().all(|room| *room < 1_000), "room for {:?}", room(&counts));
        (0..100).for_each(|n| assert!(counts_it(&counts, n), "{n}"));
        (0..100).for_each(|n| counts.forget(&key(n)));
        assert!(counts.places.is_empty() && counts.index.is_empty() && counts.buckets.is_empty());
        assert!(room(&counts).iter().all(|room| *room <= 2 * SMALL), "room for {:?}", room(&counts));
    }

    #[test]
    fn a_random_history_leaves_lists_and_maps_in_step() {
        let mut counts = Counts::default();
        let mut model: Vec<Flow> = Vec::new();
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        for n in 0..20_000 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let (bucket, which) = (random % 8, random >> 8);
            if random & (1 << 40) == 0 && !model.is_empty() {
                let used = model.remove(usize::try_from(which).unwrap() % model.len());
                counts.forget(&used.key);
            } else {
                let (new, capacity) = (flow(n, bucket, LATE), 1 + usize::try_from(bucket).unwrap() * 5);
                model.push(new);
                let mut own = model.iter().filter(|flow| flow.bucket == new.bucket);
                let oldest = own.next().map(|flow| flow.key).filter(|_| own.count() >= capacity);
                assert_eq!(counts.add(new, capacity), oldest);
                model.retain(|flow| Some(flow.key) != oldest);
            }
            assert_eq!((counts.places.len(), counts.index.len()), (model.len(), model.len()));
            if n % 16 == 0 {
                let all = counts.all;
                let known: Vec<_> = model.iter().map(|flow| flow.key).collect();
                assert_eq!(keys(&mut counts, all, IN_ALL), known);
                let own = |flow: &&Flow| flow.bucket == Bucket::of(&bucket.to_le_bytes());
                let known: Vec<_> = model.iter().filter(own).map(|flow| flow.key).collect();
                let list = counts.buckets.get(&Bucket::of(&bucket.to_le_bytes()));
                let list = list.map_or_else(List::default, |of| of.list);
                assert_eq!(keys(&mut counts, list, IN_BUCKET), known);
            }
        }
    }
}
